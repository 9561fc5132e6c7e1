//! What stands in the way of a rollback now, each part by its name: fed by everything that asks a
//! part something, read by `/v1/status`, the metrics and the page to whoever is on call.
//!
//! ```text
//! outbox ─┐
//! CD calls ┤
//! sinks ───┼─ report(part, answer) ─► Health ─► Engine::health, Engine::parts
//! loops ───┤
//! host ────┘
//! ```

use crate::clock;
use crate::engine::{Engine, Inner};
use rollback_core::ports::{Clock, Listed, Query, StoreError};
use rollback_core::{
    BackendName, ChannelId, Label, RollbackId, ServiceKey, StateName, Timestamp, in_words,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Most parts that are kept. Their names are configured, so a real service has some dozens; beyond
/// that a new one is not kept, rather than an old trouble forgotten.
const PARTS_MAX: usize = 1_024;

/// Most services whose reads are kept apart. They are configured; beyond that only their CD system as
/// a whole is known.
const SERVICES_MAX: usize = 10_000;

/// Longest explanation that is kept, in characters.
const WHY_MAX: usize = 300;

/// Most rollbacks of unknown outcome that a status lists.
const UNSETTLED_MAX: usize = 1_000;

/// What is told to one person at a time. Somebody may have no direct messages, and that keeps nobody
/// from rolling back.
pub(crate) const TO_ONE_PERSON: &str = "direct messages";

/// Something that a rollback needs.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Part {
    /// Our own store.
    Store,
    /// A CD system, by the name of its backend.
    Cd(BackendName),
    /// One service of a CD system that answers otherwise: its reads hang, fail or are refused.
    Service {
        /// The CD system.
        cd: BackendName,
        /// The service.
        service: ServiceKey,
    },
    /// A notifier as a whole: it refuses us, or does not answer.
    Chat(Label),
    /// One channel of a notifier: archived, or without us.
    Channel {
        /// The notifier.
        notifier: Label,
        /// The channel.
        channel: ChannelId,
        /// What cannot be delivered: what is posted there, pages, or direct messages.
        what: &'static str,
    },
    /// A notice that is stored and cannot be read. Others are delivered.
    Notice {
        /// The notifier.
        notifier: Label,
        /// The identity of its message.
        key: Label,
    },
    /// The directory that says who is in which group.
    Directory,
    /// An audit sink, by its name.
    Sink {
        /// Its name.
        name: Label,
        /// Whether an order waits for it.
        required: Required,
    },
    /// The engine of this process: it drives, delivers and looks, or it does not run.
    Engine,
    /// A background loop of this process.
    Loop(Label),
}

/// Whether an order waits for a part.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "yes or no")]
pub enum Required {
    /// No order is given without it.
    Yes,
    /// Orders are given without it.
    No,
}

impl Part {
    /// What kind of part it is, as the API and the metrics spell it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Cd(_) => "cd",
            Self::Service { .. } => "service",
            Self::Chat(_) => "chat",
            Self::Channel { .. } => "channel",
            Self::Notice { .. } => "notice",
            Self::Directory => "directory",
            Self::Sink { .. } => "audit_sink",
            Self::Engine => "engine",
            Self::Loop(_) => "loop",
        }
    }

    /// Which of its kind.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Store => "store".into(),
            Self::Cd(name) => name.to_string(),
            Self::Service { cd, service } => {
                format!("{cd}/{}/{}", service.service, service.environment)
            }
            Self::Chat(name) | Self::Loop(name) | Self::Sink { name, .. } => name.to_string(),
            Self::Channel { notifier, channel, what } => format!("{notifier}/{channel} ({what})"),
            Self::Notice { notifier, key } => format!("{notifier}/{key}"),
            Self::Directory => "directory".into(),
            Self::Engine => "engine".into(),
        }
    }

    /// Whether its trouble blocks rollbacks: all of them, or those of its services.
    #[must_use]
    pub fn blocks(&self) -> bool {
        match self {
            Self::Store
            | Self::Cd(_)
            | Self::Service { .. }
            | Self::Chat(_)
            | Self::Directory
            | Self::Engine => true,
            Self::Channel { what, .. } => *what != TO_ONE_PERSON,
            Self::Notice { .. } => false,
            Self::Sink { required, .. } => matches!(required, Required::Yes),
            Self::Loop(_) => true,
        }
    }

    /// What follows for rollbacks while it does not work, for people.
    #[must_use]
    pub const fn consequence(&self) -> &'static str {
        match self {
            Self::Store => "No rollback can start or continue.",
            Self::Cd(_) => "Rollbacks of its services are refused.",
            Self::Service { .. } => {
                "Rollbacks of this service are refused. The CD system itself answers."
            }
            Self::Chat(_) => {
                "Messages and buttons are missing; they are delivered once this is fixed. Running \
                 rollbacks continue."
            }
            Self::Channel { .. } => {
                "These messages are missing; they are delivered once this is fixed. Running \
                 rollbacks continue."
            }
            Self::Notice { .. } => "This message is missing. Its row is kept in the outbox.",
            Self::Directory => "Nobody can be checked, so everybody is denied.",
            Self::Engine => "This process starts and continues no rollback.",
            Self::Sink { required: Required::Yes, .. } => {
                "Each order waits until this sink has kept its record, and is refused without it."
            }
            Self::Sink { required: Required::No, .. } => "Orders do not wait for it.",
            Self::Loop(_) => "See the rollback service's log.",
        }
    }

    /// The CD system as a whole, if this is one service of it.
    pub(crate) fn cd(&self) -> Option<Self> {
        match self {
            Self::Service { cd, .. } => Some(Self::Cd(cd.clone())),
            Self::Store
            | Self::Cd(_)
            | Self::Chat(_)
            | Self::Channel { .. }
            | Self::Notice { .. }
            | Self::Directory
            | Self::Sink { .. }
            | Self::Engine
            | Self::Loop(_) => None,
        }
    }

    /// The channel that it is, if it is one.
    pub(crate) const fn channel(&self) -> Option<&ChannelId> {
        match self {
            Self::Channel { channel, .. } => Some(channel),
            Self::Store
            | Self::Cd(_)
            | Self::Service { .. }
            | Self::Chat(_)
            | Self::Notice { .. }
            | Self::Directory
            | Self::Sink { .. }
            | Self::Engine
            | Self::Loop(_) => None,
        }
    }
}

/// For people: `CD system "inhouse"`.
impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store => f.write_str("the rollback service's store"),
            Self::Cd(name) => write!(f, "CD system \"{name}\""),
            Self::Service { cd, service } => write!(f, "{service} in CD system \"{cd}\""),
            Self::Chat(name) => write!(f, "chat \"{name}\""),
            Self::Channel { notifier, channel, what } => {
                write!(f, "{what} in {channel} through {notifier}")
            }
            Self::Notice { notifier, key } => write!(f, "message {key} through {notifier}"),
            Self::Directory => f.write_str("the user directory"),
            Self::Sink { name, required: Required::Yes } => {
                write!(f, "required audit sink \"{name}\"")
            }
            Self::Sink { name, required: Required::No } => write!(f, "audit sink \"{name}\""),
            Self::Engine => f.write_str("the rollback service's engine"),
            Self::Loop(name) => write!(f, "background task \"{name}\""),
        }
    }
}

/// How a part stands, as far as this process has seen.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct PartStanding {
    /// Which.
    pub part: Part,
    /// When it last answered or failed to.
    pub seen_at: Timestamp,
    /// What is wrong with it; none while it answers.
    pub trouble: Option<Trouble>,
}

/// What is wrong with a part.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Trouble {
    /// Since when every answer was a failure.
    pub since: Timestamp,
    /// The last failure, in words for people.
    pub why: String,
}

/// What blocks a rollback now.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Status {
    /// When this was looked up.
    pub at: Timestamp,
    /// Every part that was asked something since the start.
    pub parts: Vec<PartStanding>,
    /// Quarantined rollbacks: they crashed the service, or their journal does not replay. Each waits for
    /// a person's decision. None where that could not be looked up.
    pub put_aside: Option<Vec<RollbackId>>,
    /// Rollbacks with an unknown outcome that nobody has settled; none where that could not be looked up.
    pub unsettled: Option<Vec<RollbackId>>,
}

impl Status {
    /// The parts whose trouble blocks rollbacks.
    pub fn blockers(&self) -> impl Iterator<Item = (&Part, &Trouble)> {
        blockers(&self.parts)
    }
}

/// What is in trouble and blocks rollbacks. A service is no blocker of its own while its CD system as a
/// whole is one.
pub(crate) fn blockers(parts: &[PartStanding]) -> impl Iterator<Item = (&Part, &Trouble)> {
    let troubles = |standing: &'_ PartStanding| standing.trouble.is_some();
    let down: BTreeSet<&Part> = parts.iter().filter(|it| troubles(it)).map(|it| &it.part).collect();
    let is_covered = move |part: &Part| match part.cd() {
        Some(cd) => down.contains(&cd),
        None => false,
    };
    let blocking = parts.iter().filter(move |it| it.part.blocks() && !is_covered(&it.part));
    blocking.filter_map(|standing| Some((&standing.part, standing.trouble.as_ref()?)))
}

/// What is read of one service.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Read {
    /// What is live.
    Live,
    /// Its revisions.
    History,
}

/// Why a read was not answered with what was asked for.
#[derive(Clone, Debug)]
pub(crate) enum Unread {
    /// The CD system answered, and does not give this.
    Refused(String),
    /// The CD system did not answer, or could not.
    Failed(String),
}

#[derive(Clone, Debug)]
struct Seen {
    at: Timestamp,
    /// When it last answered with what was wanted.
    worked_at: Option<Timestamp>,
    trouble: Option<Trouble>,
    /// Whether the trouble is that it answered, and does not give what was asked for.
    is_refused: bool,
    /// Whether it was told by a delivery.
    by_delivery: bool,
}

impl Seen {
    /// How it stands after this answer.
    fn after(before: Option<&Self>, answer: Result<(), String>, now: Timestamp) -> Self {
        let trouble_before = before.and_then(|seen| seen.trouble.as_ref());
        let trouble = answer.err().map(|why| Trouble {
            since: trouble_before.map_or(now, |before| before.since),
            why: clipped(&why),
        });
        let worked_at = match trouble {
            Some(_) => before.and_then(|seen| seen.worked_at),
            None => Some(now),
        };
        Self { at: now, worked_at, trouble, is_refused: false, by_delivery: false }
    }
}

/// What every part last answered.
#[derive(Debug)]
pub(crate) struct Health {
    clock: Arc<dyn Clock>,
    seen: Mutex<AllSeen>,
}

#[derive(Debug, Default)]
struct AllSeen {
    parts: BTreeMap<Part, Seen>,
    /// Each service by what is read of it: a read that is answered says nothing of one that hangs.
    services: BTreeMap<(BackendName, ServiceKey), BTreeMap<Read, Seen>>,
}

fn clipped(why: &str) -> String {
    why.chars().take(WHY_MAX).collect()
}

/// Tells in the log when trouble begins and when it ends.
fn log_change(part: &Part, before: Option<&Trouble>, after: Option<&Trouble>, now: Timestamp) {
    match (before, after) {
        (None, Some(trouble)) => {
            tracing::warn!(kind = part.kind(), name = %part.name(), why = %trouble.why, "a part of the service is in trouble");
        }
        (Some(before), None) => {
            let seconds = now.since(before.since).as_secs();
            tracing::info!(kind = part.kind(), name = %part.name(), seconds, "a part of the service works again");
        }
        (None, None) | (Some(_), Some(_)) => {}
    }
}

/// The trouble of a service that has lasted longest, of all that is read of it.
fn longest(reads: &BTreeMap<Read, Seen>) -> Option<&Trouble> {
    reads.values().filter_map(|seen| seen.trouble.as_ref()).min_by_key(|trouble| trouble.since)
}

impl AllSeen {
    fn note(&mut self, part: Part, mut after: Seen) {
        if self.parts.len() >= PARTS_MAX && !self.parts.contains_key(&part) {
            return;
        }
        let before = self.parts.get(&part).and_then(|seen| seen.trouble.clone());
        log_change(&part, before.as_ref(), after.trouble.as_ref(), after.at);
        if let (Part::Cd(cd), Some(outage), None) = (&part, &before, &after.trouble) {
            self.forget_what_an_outage_did(cd, outage.since);
        }
        after.worked_at = after.worked_at.max(self.parts.get(&part).and_then(|it| it.worked_at));
        self.parts.insert(part, after);
    }

    /// What failed while the whole CD system did says nothing of a service by itself. It counts as not
    /// asked yet, so that it is asked soon.
    fn forget_what_an_outage_did(&mut self, cd: &BackendName, since: Timestamp) {
        for ((of, _), reads) in &mut self.services {
            if of == cd {
                let began = |seen: &Seen| seen.trouble.as_ref().map(|trouble| trouble.since);
                reads.retain(|_, seen| began(seen).is_none_or(|began| began < since));
            }
        }
        self.services.retain(|_, reads| !reads.is_empty());
    }

    /// Notes how a read of a service stands, and since when it has failed if it does.
    fn note_read(
        &mut self,
        (cd, service): (&BackendName, &ServiceKey),
        read: Read,
        answer: Result<(), Unread>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let is_refused = matches!(answer, Err(Unread::Refused(_)));
        let answer = answer.map_err(|unread| match unread {
            Unread::Refused(why) | Unread::Failed(why) => why,
        });
        let key = (cd.clone(), service.clone());
        if self.services.len() >= SERVICES_MAX && !self.services.contains_key(&key) {
            return None;
        }
        let reads = self.services.entry(key).or_default();
        let before = longest(reads).cloned();
        let after = Seen { is_refused, ..Seen::after(reads.get(&read), answer, now) };
        let since = after.trouble.as_ref().map(|trouble| trouble.since);
        reads.insert(read, after);
        let part = Part::Service { cd: cd.clone(), service: service.clone() };
        log_change(&part, before.as_ref(), longest(reads), now);
        since
    }
}

impl Health {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, seen: Mutex::default() }
    }

    /// Notes what a part answered: that it works, or why not. The first failure after a success is
    /// told in the log, and so is the first success after a failure.
    pub(crate) fn report(&self, part: Part, answer: Result<(), String>) {
        let now = self.clock.now();
        let mut all = self.locked();
        let after = Seen::after(all.parts.get(&part), answer, now);
        all.note(part, after);
    }

    /// The same for what came of a delivery.
    pub(crate) fn report_delivery(&self, part: Part, answer: Result<(), String>) {
        let now = self.clock.now();
        let mut all = self.locked();
        let after = Seen::after(all.parts.get(&part), answer, now);
        all.note(part, Seen { by_delivery: true, ..after });
    }

    /// A part answered a delivery, and not with what was wanted: a delivery that it did not answer is
    /// no trouble any more. What somebody else has seen of it stays.
    pub(crate) fn answers_again(&self, part: Part) {
        let seen = self.locked().parts.get(&part).cloned();
        if seen.is_some_and(|seen| seen.by_delivery && seen.trouble.is_some()) {
            self.report_delivery(part, Ok(()));
        }
    }

    /// Notes what came of a read of one service, which was asked for at `asked_at`.
    ///
    /// A failure is the CD system's as well, unless it has answered something since: then only this
    /// service is in trouble.
    pub(crate) fn report_read(
        &self,
        (cd, service): (&BackendName, &ServiceKey),
        read: Read,
        asked_at: Timestamp,
        answer: Result<(), Unread>,
    ) {
        let now = self.clock.now();
        let mut all = self.locked();
        let failing_since = all.note_read((cd, service), read, answer.clone(), now);
        let part = Part::Cd(cd.clone());
        let before = all.parts.get(&part);
        let of_system = match answer {
            Ok(()) | Err(Unread::Refused(_)) => Ok(()),
            Err(Unread::Failed(why)) => {
                let began = failing_since.map_or(asked_at, |since| since.min(asked_at));
                let answered = before.and_then(|seen| seen.worked_at);
                if answered.is_some_and(|answered| answered >= began) {
                    return;
                }
                Err(why)
            }
        };
        let after = Seen::after(before, of_system, now);
        all.note(part, after);
    }

    /// When something was last read of a service, and whether it is in trouble; none where nothing was.
    pub(crate) fn service(
        &self,
        cd: &BackendName,
        service: &ServiceKey,
    ) -> Option<(Timestamp, Option<Trouble>)> {
        let all = self.locked();
        let reads = all.services.get(&(cd.clone(), service.clone()))?;
        let seen_at = reads.values().map(|seen| seen.at).max()?;
        Some((seen_at, longest(reads).cloned()))
    }

    /// Whether this is a service that its CD system has not known since this process started: as long as
    /// nobody has deployed it, there is nothing to roll back, and nobody to page.
    pub(crate) fn is_not_deployed_yet(&self, part: &Part) -> bool {
        let Part::Service { cd, service } = part else { return false };
        let all = self.locked();
        let Some(reads) = all.services.get(&(cd.clone(), service.clone())) else { return false };
        reads.values().all(|seen| seen.worked_at.is_none() && seen.is_refused)
    }

    /// Whether this failure of a part is another one than was reported last.
    pub(crate) fn is_news(&self, part: &Part, why: &str) -> bool {
        let all = self.locked();
        let known = all.parts.get(part).and_then(|seen| seen.trouble.as_ref());
        known.is_none_or(|known| known.why != clipped(why))
    }

    /// Whether a part was asked, and answered.
    fn works(&self, part: &Part) -> bool {
        self.locked().parts.get(part).is_some_and(|seen| seen.trouble.is_none())
    }

    /// Forgets a part: it is not asked any more. Says whether it was in trouble.
    pub(crate) fn forget(&self, part: &Part) -> bool {
        self.locked().parts.remove(part).is_some_and(|seen| seen.trouble.is_some())
    }

    /// How many parts of a kind are known.
    pub(crate) fn count(&self, is_one: impl Fn(&Part) -> bool) -> usize {
        self.locked().parts.keys().filter(|part| is_one(part)).count()
    }

    pub(crate) fn parts(&self) -> Vec<PartStanding> {
        let standing = |(part, seen): (&Part, &Seen)| PartStanding {
            part: part.clone(),
            seen_at: seen.at,
            trouble: seen.trouble.clone(),
        };
        let all = self.locked();
        let mut parts: Vec<PartStanding> = all.parts.iter().map(standing).collect();
        parts.extend(all.services.iter().filter_map(|((cd, service), reads)| {
            let part = Part::Service { cd: cd.clone(), service: service.clone() };
            let seen_at = reads.values().map(|seen| seen.at).max()?;
            Some(PartStanding { part, seen_at, trouble: longest(reads).cloned() })
        }));
        parts
    }

    /// When a part last answered or failed to.
    pub(crate) fn seen_at(&self, part: &Part) -> Option<Timestamp> {
        self.locked().parts.get(part).map(|seen| seen.at)
    }

    fn locked(&self) -> MutexGuard<'_, AllSeen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Notes which background loops panic again and again.
    pub(crate) fn look_at_loops(&self) {
        for standing in self.loops.standing(self.clock.now()) {
            let answer = match standing.failing_since {
                Some(_) => {
                    Err("it panics and is begun anew; see the log for the reason".to_owned())
                }
                None => Ok(()),
            };
            self.health.report(Part::Loop(standing.name.into()), answer);
        }
    }

    /// Notes whether the engine runs, once it was to: without it nothing is driven and nobody is told
    /// anything.
    pub(crate) fn look_at_the_engine(&self) {
        if self.running.load(Ordering::Acquire) {
            self.health.report(Part::Engine, Ok(()));
        } else if self.health.works(&Part::Engine) {
            self.health.report(Part::Engine, Err("it has stopped".to_owned()));
        }
    }

    /// Has the store write something, within this time where one is given, and notes whether it could.
    pub(crate) async fn writes(&self, within: Option<Duration>) -> Result<(), StoreError> {
        let ping = self.store.ping();
        let written = match within {
            Some(bound) => match clock::within(self.clock.as_ref(), bound, ping).await {
                Some(written) => written,
                None => Err(StoreError::Unavailable(format!("nothing within {}", in_words(bound)))),
            },
            None => ping.await,
        };
        self.health.report(Part::Store, written.as_ref().copied().map_err(ToString::to_string));
        written
    }
}

impl Engine {
    /// What blocks a rollback now, each part by its name. The store is asked to write something.
    /// What cannot be looked up is a part in trouble.
    pub async fn health(&self) -> Status {
        let inner = &self.inner;
        self.inner.look_at_loops();
        inner.look_at_the_engine();
        // What cannot be written can often be read.
        drop(inner.writes(None).await);
        let (put_aside, unsettled) = (self.put_aside().await, self.unsettled().await);
        for error in [put_aside.as_ref().err(), unsettled.as_ref().err()].into_iter().flatten() {
            inner.health.report(Part::Store, Err(error.to_string()));
        }
        Status {
            at: inner.clock.now(),
            parts: inner.health.parts(),
            put_aside: put_aside.ok(),
            unsettled: unsettled.ok(),
        }
    }

    /// The same from memory, where the store kept whoever asked waiting for so long.
    #[must_use]
    pub fn health_without_store(&self, waited: Duration) -> Status {
        let health = &self.inner.health;
        self.inner.look_at_loops();
        self.inner.look_at_the_engine();
        health.report(Part::Store, Err(format!("it did not answer for {}", in_words(waited))));
        let (put_aside, unsettled) = (None, None);
        Status { at: self.inner.clock.now(), parts: health.parts(), put_aside, unsettled }
    }

    /// How every part stands that was asked something since the start, from memory.
    #[must_use]
    pub fn parts(&self) -> Vec<PartStanding> {
        self.inner.health.parts()
    }

    /// Notes what the host has seen of a part: that it works, or why not, in words for people and
    /// without secrets.
    pub fn report(&self, part: Part, answer: Result<(), String>) {
        self.inner.health.report(part, answer);
    }

    async fn unsettled(&self) -> Result<Vec<RollbackId>, StoreError> {
        let (store, catalog) = (&self.inner.store, &self.inner.catalog);
        let mut query = Query::all(UNSETTLED_MAX);
        query.state = Some(StateName::OutcomeUnknown);
        let newest = store.list(&query).await?;
        let may_hide_some = newest.len() >= UNSETTLED_MAX;
        let mut open: BTreeSet<RollbackId> = newest.into_iter().filter_map(open_outcome).collect();
        if may_hide_some {
            // Those that were settled are listed as well. What nobody settled holds its service.
            for key in catalog.services.keys() {
                let Some(holder) = store.record(key).await?.in_flight else { continue };
                let mut query = Query::all(1);
                query.rollback = Some(holder);
                open.extend(store.list(&query).await?.into_iter().filter_map(open_outcome));
            }
        }
        Ok(open.into_iter().collect())
    }
}

/// The rollback, if nobody knows its outcome and nobody has settled it.
fn open_outcome(listed: Listed) -> Option<RollbackId> {
    let view = listed.view;
    (view.state == StateName::OutcomeUnknown && !view.settled).then_some(view.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollback_testkit::ManualClock;

    #[tokio::test(start_paused = true)]
    async fn trouble_lasts_from_its_first_failure_to_the_next_answer() {
        let clock = Arc::new(ManualClock::starting_at(Timestamp::from_millis(0)));
        let health = Health::new(Arc::<ManualClock>::clone(&clock));
        let part = || Part::Chat("slack".into());
        health.report(part(), Err("invalid_auth".into()));
        let since = clock.now();
        tokio::time::sleep(Duration::from_secs(5)).await;
        health.report(part(), Err("it did not answer".into()));
        let [standing] = health.parts().try_into().unwrap();
        let why = "it did not answer".to_owned();
        assert_eq!(standing.trouble, Some(Trouble { since, why }));
        assert_eq!(standing.seen_at, since.after(Duration::from_secs(5)));
        health.report(part(), Ok(()));
        assert_eq!(health.parts().pop().unwrap().trouble, None);
        health.report(part(), Err("again".into()));
        let again = health.parts().pop().unwrap().trouble.unwrap();
        assert_eq!(again.since, since.after(Duration::from_secs(5)));
    }

    #[test]
    fn a_sink_that_no_order_waits_for_blocks_nothing() {
        let clock = Arc::new(ManualClock::starting_at(Timestamp::from_millis(0)));
        let health = Health::new(clock);
        let sink = |required| Part::Sink { name: "file".into(), required };
        health.report(sink(Required::No), Err("full".into()));
        assert_eq!(blockers(&health.parts()).count(), 0);
        health.report(sink(Required::Yes), Err("full".into()));
        assert_eq!(blockers(&health.parts()).count(), 1);
    }

    #[test]
    fn parts_are_bounded_and_a_known_one_is_always_kept_up_to_date() {
        let clock = Arc::new(ManualClock::starting_at(Timestamp::from_millis(0)));
        let health = Health::new(clock);
        for number in 0..PARTS_MAX + 10 {
            let name = Label::new(format!("loop-{number}"));
            health.report(Part::Loop(name), Err("x".repeat(WHY_MAX + 1)));
        }
        let parts = health.parts();
        assert_eq!(parts.len(), PARTS_MAX);
        assert!(parts.iter().all(|p| p.trouble.as_ref().unwrap().why.len() == WHY_MAX));
        health.report(Part::Loop("loop-0".into()), Ok(()));
        assert_eq!(blockers(&health.parts()).count(), PARTS_MAX - 1);
    }
}
