//! Checks at an interval whether what a rollback needs is working, before somebody needs it, and pages
//! on-call when something has blocked rollbacks for long.

use crate::clock::within;
use crate::engine::Inner;
use crate::health::{Part, PartStanding, Trouble, blockers};
use crate::outbox::DELIVERY_MAX;
use futures_util::future::join_all;
use rollback_core::notice::{Blocked, Delivered, Delivery, MessageRef, Notice};
use rollback_core::ports::{HistoryOptions, LiveOptions};
use rollback_core::{BackendName, ChannelId, GroupId, Label, ServiceKey, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How long something must block rollbacks before whoever is on call is told: longer than a restart
/// of a CD system or a failover of a database, and shorter than the time in which most incidents are
/// noticed.
pub(crate) const LASTS_AFTER: Duration = Duration::from_secs(120);

/// How many services of one CD system are asked about in one turn, so that a turn is a fraction of what
/// the CD system can take: two hundred services are asked in about six minutes at fifteen seconds a turn.
const ASKED_MAX: usize = 8;

/// How many of those in trouble are asked about again besides, so that they keep nobody else from being
/// asked about.
const ASKED_AGAIN_MAX: usize = 4;

/// How many services of one CD system on-call is paged about one by one; `/v1/status` has them all.
const PAGED_MAX: usize = 5;

pub(crate) async fn run(inner: Arc<Inner>, every: Duration) {
    let mut prober = Prober { every, told: BTreeMap::new() };
    loop {
        tokio::select! {
            biased;
            () = inner.stopping.cancelled() => return,
            () = prober.turn(&inner) => {}
        }
        tokio::select! {
            biased;
            () = inner.stopping.cancelled() => return,
            () = inner.clock.sleep(every) => {}
        }
    }
}

/// What whoever is on call was told of a part.
#[derive(Debug)]
struct Told {
    since: Timestamp,
    why: String,
    /// Every notifier that took it, with its message if it posted one.
    taken: BTreeMap<&'static str, Option<MessageRef>>,
}

/// The services of one CD system, each with when it was last asked about.
#[derive(Debug, Default)]
struct Places<'a> {
    /// The one that answered last.
    witness: Option<(Timestamp, &'a ServiceKey)>,
    in_trouble: Vec<(Timestamp, &'a ServiceKey)>,
    others: Vec<(Option<Timestamp>, &'a ServiceKey)>,
}

/// The services of one CD system that are asked about in one turn.
#[derive(Debug)]
struct Round<'a> {
    /// Asked first: while it is answered, whatever is not is the trouble of its service alone.
    witness: Option<&'a ServiceKey>,
    rest: Vec<&'a ServiceKey>,
}

impl<'a> Places<'a> {
    /// A few of those that were not asked about lately, whoever waits longest first.
    fn round(mut self) -> Round<'a> {
        self.in_trouble.sort();
        self.others.sort();
        let again = self.in_trouble.into_iter().take(ASKED_AGAIN_MAX).map(|(_, key)| key);
        let others = self.others.into_iter().take(ASKED_MAX).map(|(_, key)| key);
        let mut rest: Vec<&ServiceKey> = again.chain(others).collect();
        let witness = self.witness.map(|(_, key)| key).filter(|_| !rest.is_empty());
        rest.retain(|key| Some(*key) != witness);
        Round { witness, rest }
    }
}

#[derive(Debug)]
struct Prober {
    every: Duration,
    told: BTreeMap<Part, Told>,
}

impl Prober {
    async fn turn(&mut self, inner: &Inner) {
        inner.look_at_loops();
        let store = inner.writes(Some(inner.source_timeout));
        let asked = self.quiet(inner).into_iter().map(|(name, round)| look(inner, name, round));
        let sinks = inner.sinks.iter().filter(|sink| sink.required).map(|sink| sink.look(inner));
        let (asked, sinks) = (join_all(asked), join_all(sinks));
        let directory = self.look_at_the_directory(inner);
        let (_noted, _asked, _looked, ()) = tokio::join!(store, asked, sinks, directory);
        self.tell(inner).await;
    }

    /// The directory, if nobody has asked it anything lately. The answer, and the lack of one, is noted
    /// on the way.
    async fn look_at_the_directory(&self, inner: &Inner) {
        let seen = inner.health.seen_at(&Part::Directory);
        if seen.is_some_and(|seen| inner.clock.now().since(seen) < self.every) {
            return;
        }
        let mut groups: BTreeSet<GroupId> = BTreeSet::new();
        for key in inner.catalog.services.keys() {
            groups.extend(inner.access().for_service(key).groups().into_iter().cloned());
        }
        let groups: Vec<GroupId> = groups.into_iter().collect();
        let looked = inner.directory.look(&groups);
        drop(within(inner.clock.as_ref(), inner.source_timeout, looked).await);
    }

    /// The CD systems with services that nobody has asked anything about lately.
    fn quiet<'a>(&self, inner: &'a Inner) -> Vec<(&'a BackendName, Round<'a>)> {
        let now = inner.clock.now();
        let mut places: BTreeMap<&BackendName, Places<'_>> = BTreeMap::new();
        for (key, service) in &inner.catalog.services {
            let places = places.entry(&service.backend).or_default();
            let Some((at, trouble)) = inner.health.service(&service.backend, key) else {
                places.others.push((None, key));
                continue;
            };
            let is_due = now.since(at) >= self.every;
            if trouble.is_none() {
                places.witness = places.witness.max(Some((at, key)));
            }
            match trouble {
                Some(_) if is_due => places.in_trouble.push((at, key)),
                None if is_due => places.others.push((Some(at), key)),
                Some(_) | None => {}
            }
        }
        places.into_iter().map(|(name, places)| (name, places.round())).collect()
    }

    /// Tells whoever is on call what has blocked rollbacks for long, and when it is over. Past the
    /// outbox: the store may be what is blocked. What cannot be told is tried again at the next turn.
    async fn tell(&mut self, inner: &Inner) {
        let Some(channel) = inner.catalog.services.values().map(|it| &it.channel).next() else {
            return;
        };
        let (now, parts) = (inner.clock.now(), inner.health.parts());
        let lasting: BTreeMap<&Part, &Trouble> = blockers(&parts)
            .filter(|(_, trouble)| now.since(trouble.since) >= LASTS_AFTER)
            .filter(|(part, _)| !inner.health.is_not_deployed_yet(part))
            .collect();
        for (part, trouble) in &lasting {
            let is_known = self.told.get(part).is_some_and(|told| {
                told.since == trouble.since && told.taken.len() == inner.notifiers.len()
            });
            if !is_known && self.has_room_for(part) {
                self.page(inner, channel, part, trouble).await;
            }
        }
        // A service whose whole CD system has failed since does not work again.
        let goes_on = |part: &Part| {
            let cd = part.cd();
            let fails = |it: &PartStanding| Some(&it.part) == cd.as_ref() && it.trouble.is_some();
            lasting.contains_key(part) || parts.iter().any(fails)
        };
        let over: Vec<Part> = self.told.keys().filter(|part| !goes_on(part)).cloned().collect();
        for part in over {
            let Some(told) = self.told.remove(&part) else { continue };
            let mut blocked = blocked(&part, told.since, told.why);
            blocked.over = Some(now);
            tracing::info!(part = %part, "a part that was paged about works again");
            for notifier in &inner.notifiers {
                let mut delivery = delivery(channel, &part, told.since, &blocked);
                delivery.previous = told.taken.get(notifier.name()).cloned().flatten();
                if delivery.previous.is_none() {
                    continue;
                }
                let done = notifier.deliver(&delivery);
                let done = within(inner.clock.as_ref(), DELIVERY_MAX, done).await;
                if !matches!(done, Some(Ok(_))) {
                    tracing::warn!(
                        notifier = notifier.name(),
                        ?done,
                        "on-call was not told that a part works again"
                    );
                }
            }
        }
    }

    /// Whether on-call is told of this part, too: of one CD system not every service is a page.
    fn has_room_for(&self, part: &Part) -> bool {
        let Some(cd) = part.cd() else { return true };
        let told = self.told.keys().filter(|it| it.cd().as_ref() == Some(&cd)).count();
        told < PAGED_MAX || self.told.contains_key(part)
    }

    async fn page(&mut self, inner: &Inner, channel: &ChannelId, part: &Part, trouble: &Trouble) {
        let seconds = inner.clock.now().since(trouble.since).as_secs();
        let told = self.told.entry(part.clone()).or_insert_with(|| {
            tracing::error!(part = %part, why = %trouble.why, seconds, "a part that rollbacks need is not working; on-call is paged");
            Told { since: trouble.since, why: trouble.why.clone(), taken: BTreeMap::new() }
        });
        if told.since != trouble.since {
            *told = Told { since: trouble.since, why: trouble.why.clone(), taken: BTreeMap::new() };
        }
        let blocked = blocked(part, trouble.since, trouble.why.clone());
        for notifier in &inner.notifiers {
            if told.taken.contains_key(notifier.name()) {
                continue;
            }
            let delivery = delivery(channel, part, trouble.since, &blocked);
            let done = notifier.deliver(&delivery);
            match within(inner.clock.as_ref(), DELIVERY_MAX, done).await {
                Some(Ok(Delivered::Posted(message))) => {
                    told.taken.insert(notifier.name(), Some(message));
                }
                Some(Ok(Delivered::Sent | Delivered::NotMine)) => {
                    told.taken.insert(notifier.name(), None);
                }
                done @ (Some(Err(_)) | None) => {
                    tracing::warn!(
                        notifier = notifier.name(),
                        ?done,
                        "on-call was not told that a part is not working"
                    );
                }
            }
        }
    }
}

async fn look(inner: &Inner, name: &BackendName, round: Round<'_>) {
    if let Some(witness) = round.witness {
        ask(inner, name, witness).await;
    }
    join_all(round.rest.into_iter().map(|key| ask(inner, name, key))).await;
}

async fn ask(inner: &Inner, name: &BackendName, key: &ServiceKey) {
    let Some(backend) = inner.backends.get(name) else {
        let why = "it is not configured here".to_owned();
        return inner.health.report(Part::Cd(name.clone()), Err(why));
    };
    let services = &inner.catalog.services;
    let bound = services.get(key).map_or(inner.source_timeout, |it| it.limits.cd_timeout);
    // The answers, and the lack of one, are noted on the way.
    let live = within(inner.clock.as_ref(), bound, backend.live(key, LiveOptions::default()));
    let history = backend.history(key, HistoryOptions::newest(1));
    let history = within(inner.clock.as_ref(), bound, history);
    let (_noted, _too) = tokio::join!(live, history);
}

fn blocked(part: &Part, since: Timestamp, why: String) -> Blocked {
    let channel = part.channel().cloned();
    Blocked::new(part.to_string(), since, why).meaning(part.consequence(), channel)
}

fn delivery(channel: &ChannelId, part: &Part, since: Timestamp, blocked: &Blocked) -> Delivery {
    let key = Label::new(format!("blocked:{}:{}:{since}", part.kind(), part.name()));
    let version = 1_u64.saturating_add(u64::from(blocked.over.is_some()));
    Delivery::new(key, version, Notice::Blocked(Box::new(blocked.clone())), channel.clone())
}
