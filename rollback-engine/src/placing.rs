//! Which deploy is the current one, and what each message says of the way back. What is live decides;
//! it is looked at again until the CD system has had its time.

use crate::catalog::ServiceConfig;
use crate::engine::Inner;
use crate::facts::{self, complete};
use crate::telling;
use futures_util::{StreamExt as _, stream};
use rollback_core::current::{Settled, current};
use rollback_core::known_good::{Candidates, Choice};
use rollback_core::named::resolve;
use rollback_core::notice::{DeployCard, Notice};
use rollback_core::observed::{Live, ServiceRecord};
use rollback_core::ports::{Queued, StoreError};
use rollback_core::{
    Deploy, DeployId, Fact, Revision, RevisionId, RevisionRef, RevisionStatus, ServiceKey,
    Timestamp,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore};

/// How often the deploys of a service are looked at again.
const AGAIN_EVERY: Duration = Duration::from_secs(15);

/// How many deploys of a service are looked at again.
const LOOK_BACK: usize = 4;

/// For how long it is looked up again which revision an earlier deploy made. What no history has
/// told by then was named wrongly.
const FOUND_WITHIN: Duration = Duration::from_secs(3600);

/// How many looks a deploy that was reported last has for its revision to go live: a minute.
const LOOKS_TO_SETTLE: u32 = 4;

/// How many looks there are for what is live: an hour. What has not gone live by then will not, and
/// what runs then was never reported.
const LOOKS_MAX: u32 = 240;

/// How many services are looked at side by side, so that a CD system that hangs keeps few waiting.
const SERVICES_AT_ONCE: usize = 8;

/// How many reports of one service ask the CD system at a time.
const ASKING_MAX: usize = 4;

/// What the reports of one service share.
#[derive(Debug)]
pub(crate) struct Lane {
    /// One deploy at a time is placed among the others. The CD system is never asked meanwhile.
    pub(crate) turn: Mutex<()>,
    /// Whose turn it is to ask the CD system.
    pub(crate) asking: Semaphore,
}

impl Default for Lane {
    fn default() -> Self {
        Self { turn: Mutex::default(), asking: Semaphore::new(ASKING_MAX) }
    }
}

/// What the CD system and the store say about a service, read at once.
#[derive(Debug)]
pub(crate) struct Seen {
    live: Fact<Live>,
    history: Fact<Vec<Revision>>,
    record: Fact<ServiceRecord>,
}

impl Seen {
    /// Asks.
    pub(crate) async fn now(inner: &Inner, service: &ServiceConfig, key: &ServiceKey) -> Self {
        let (live, history, record) = tokio::join!(
            facts::live(inner, service, key),
            facts::history(inner, service, key),
            facts::record(inner, key),
        );
        Self { live, history, record }
    }

    /// Nobody asked, and why.
    pub(crate) fn unknown(why: &str) -> Self {
        Self { live: Fact::unknown(why), history: Fact::unknown(why), record: Fact::unknown(why) }
    }

    fn running(&self) -> Option<&RevisionRef> {
        self.live.value()?.revision.as_ref()
    }

    fn live(&self) -> Option<&RevisionId> {
        self.running().map(|running| &running.revision)
    }

    fn history(&self) -> &[Revision] {
        self.history.value().map_or(&[], Vec::as_slice)
    }

    /// Whether something is on its way as far as the CD system tells.
    fn is_moving(&self) -> bool {
        self.live.value().is_some_and(|live| live.in_progress.something().is_some())
    }
}

/// The deploy's message, in every notifier's outbox.
pub(crate) fn posted(inner: &Inner, service: &ServiceConfig, card: &DeployCard) -> Vec<Queued> {
    let key = telling::deploy_key(&card.deploy.id);
    let notice = Notice::Deploy(Box::new(card.clone()));
    telling::address(inner, &key, &notice, &service.channel, None)
}

/// The card of a deploy that was just reported, in its place among those that are kept, which are
/// given newest first.
pub(crate) fn new_card(
    inner: &Inner,
    service: &ServiceConfig,
    seen: &Seen,
    mut deploy: Deploy,
    kept: &[Deploy],
) -> DeployCard {
    let is_late = kept.first().is_some_and(|newest| newest.deployed_at > deploy.deployed_at);
    let told = deploy.reported.is_some() || deploy.revision.is_some();
    // Who names no revision means the live one, unless that is another deploy's.
    let is_taken =
        kept.iter().any(|it| it.revision.is_none() || it.revision.as_ref() == seen.live());
    let is_another = is_late && is_taken;
    if !told && !is_another {
        deploy.revision = seen.live().cloned();
    }
    let nameless = !told && deploy.revision.is_none() && is_late;
    let mut card = if nameless {
        DeployCard::new(deploy, None, Choice::none(""))
    } else {
        look(inner, service, seen, deploy)
    };
    let place = kept.iter().take_while(|it| it.deployed_at > card.deploy.deployed_at).count();
    let mut all = kept.to_vec();
    all.insert(place, card.deploy.clone());
    let newer = current(&all, seen.live(), seen.history(), Settled::NotYet);
    if let Some(newer) = newer.filter(|newer| newer.id != card.deploy.id) {
        let why = if newer.deployed_at > card.deploy.deployed_at {
            format!("a newer deploy, `{}`, was reported before this one", newer.version)
        } else {
            format!("`{}`, another deploy, is live by the CD system's own word", newer.version)
        };
        card.choice = Choice::none(why);
        card.undecided = false;
        card.superseded_by = Some(newer.version.clone());
    }
    card
}

/// What there is to go back to, as it was seen.
fn look(inner: &Inner, service: &ServiceConfig, seen: &Seen, mut deploy: Deploy) -> DeployCard {
    let (history, record) = match (&seen.history, &seen.record) {
        (Fact::Known { value: history, .. }, Fact::Known { value: record, .. }) => {
            (history, record)
        }
        (Fact::Unknown { why }, _) | (_, Fact::Unknown { why }) => return undecided(deploy, why),
    };
    let running = seen.running();
    if let Some(name) = deploy.reported.as_ref().filter(|_| deploy.revision.is_none()) {
        match resolve(name, Some(deploy.deployed_at), history, running) {
            Ok(found) => deploy.revision = Some(found),
            Err(why) => return undecided(deploy, &why.to_string()),
        }
    }
    if deploy.reported.is_none() && deploy.revision.is_none() {
        deploy.revision = seen.live().cloned();
    }
    let history = complete(history.clone(), std::slice::from_ref(&deploy));
    let Some(revision) = deploy.revision.clone() else {
        let why = match &seen.live {
            Fact::Unknown { why } => why.clone(),
            Fact::Known { .. } => "the CD system says that nothing runs".into(),
        };
        return undecided(deploy, &why);
    };
    let now = inner.clock.now();
    let choice = Candidates::new(&history, &revision, record, service.soak, now).choose();
    let previous = before(&history, &revision, deploy.deployed_at);
    DeployCard::new(deploy, previous, choice)
}

/// What ran before a revision: the newest earlier one whose deploy did not fail.
fn before(
    history: &[Revision],
    revision: &RevisionId,
    deployed_at: Timestamp,
) -> Option<RevisionRef> {
    let place = history.iter().position(|entry| entry.id == *revision)?;
    history
        .iter()
        .skip(place.saturating_add(1))
        .filter(|entry| entry.status != RevisionStatus::Failed)
        .find(|entry| entry.deployed_at.is_none_or(|at| at <= deployed_at))
        .map(Revision::reference)
}

fn undecided(deploy: Deploy, why: &str) -> DeployCard {
    let why = format!("the way back is not known yet: {why}; it is looked up again by itself");
    let mut card = DeployCard::new(deploy, None, Choice::none(why));
    card.undecided = true;
    card
}

/// Takes the button from the messages of the deploys before, which are given newest first.
pub(crate) async fn supersede(
    inner: &Inner,
    service: &ServiceConfig,
    before: &[Deploy],
    newer: &Deploy,
) -> Result<(), StoreError> {
    for older in before.iter().take(LOOK_BACK) {
        let Some(mut card) = inner.store.deploy(&older.id).await? else { continue };
        if card.superseded_by.is_none() {
            card.superseded_by = Some(newer.version.clone());
            update(inner, service, card).await?;
        }
    }
    Ok(())
}

async fn update(
    inner: &Inner,
    service: &ServiceConfig,
    card: DeployCard,
) -> Result<(), StoreError> {
    let notices = posted(inner, service, &card);
    inner.store.update_deploy(&card, notices).await?;
    inner.outbox_wake.notify_one();
    Ok(())
}

/// Has the way back of the current deploy looked up anew: what may be a target has changed.
///
/// # Errors
///
/// [`StoreError`] as it comes.
pub(crate) async fn look_again(
    inner: &Inner,
    service: &ServiceConfig,
    key: &ServiceKey,
) -> Result<(), StoreError> {
    let Some(lane) = inner.deploy_lanes.get(key) else { return Ok(()) };
    let _turn = lane.turn.lock().await;
    let deploys = inner.store.deploys(key, LOOK_BACK).await?;
    for mut card in cards(inner, &deploys).await? {
        if card.superseded_by.is_none() && !card.undecided {
            card.undecided = true;
            update(inner, service, card).await?;
        }
    }
    Ok(())
}

/// A service whose deploys are looked at again and again, and how far that has come.
struct Watched<'a> {
    key: &'a ServiceKey,
    service: &'a ServiceConfig,
    /// The newest deploys when they were last looked at.
    deploys: Vec<(DeployId, Option<RevisionId>)>,
    /// How often it was looked what is live since these are the newest.
    looks: u32,
    /// Whether it is settled which of them is the current one.
    settled: bool,
}

/// Looks again at the deploys of every service now and then: until it is settled which is the current
/// one, until its way back is known, and at those before it, which a process that died may have left
/// with their button.
pub(crate) async fn choose_again(inner: Arc<Inner>) {
    let services = inner.catalog.services.iter();
    let mut services: Vec<Watched<'_>> = services
        .map(|(key, service)| Watched {
            key,
            service,
            deploys: Vec::new(),
            looks: 0,
            settled: false,
        })
        .collect();
    loop {
        let round = stream::iter(services.iter_mut()).for_each_concurrent(
            SERVICES_AT_ONCE,
            |watched| {
                let inner = &inner;
                async move {
                    if let Err(error) = watched.look(inner).await {
                        tracing::warn!(%error, key = %watched.key, "the deploys could not be looked at again");
                    }
                }
            },
        );
        let round = async {
            round.await;
            inner.clock.sleep(AGAIN_EVERY).await;
        };
        tokio::select! {
            biased;
            () = inner.stopping.cancelled() => return,
            () = round => {}
        }
    }
}

impl Watched<'_> {
    async fn look(&mut self, inner: &Inner) -> Result<(), StoreError> {
        let deploys = inner.store.deploys(self.key, LOOK_BACK).await?;
        if deploys.is_empty() {
            return Ok(());
        }
        let cards = cards(inner, &deploys).await?;
        self.note(&deploys);
        let now = inner.clock.now();
        let is_open = |card: &DeployCard| {
            let is_recent = now.since(card.deploy.deployed_at) <= FOUND_WITHIN;
            let is_nameless = card.deploy.revision.is_none() && card.deploy.reported.is_some();
            (card.undecided && card.superseded_by.is_none()) || (is_nameless && is_recent)
        };
        // One deploy alone has no order that could be told wrongly.
        let is_contested = !self.settled && deploys.len() > 1;
        let is_unfinished = cards.iter().filter(|card| card.superseded_by.is_none()).count() != 1;
        if !is_contested && !is_unfinished && !cards.iter().any(is_open) {
            return Ok(());
        }
        // Before anybody waits for their turn: a CD system that hangs holds up nobody's report.
        let seen = Seen::now(inner, self.service, self.key).await;
        let Some(lane) = inner.deploy_lanes.get(self.key) else { return Ok(()) };
        let _turn = lane.turn.lock().await;
        self.place(inner, &seen).await
    }

    /// Begins anew when other deploys are the newest, or it was found which revision one made.
    fn note(&mut self, deploys: &[Deploy]) {
        let newest = deploys.iter().take(LOOK_BACK);
        let newest: Vec<_> =
            newest.map(|deploy| (deploy.id.clone(), deploy.revision.clone())).collect();
        if self.deploys != newest {
            (self.deploys, self.looks, self.settled) = (newest, 0, false);
        }
    }

    /// Gives the button to the current deploy, and takes it from the others.
    async fn place(&mut self, inner: &Inner, seen: &Seen) -> Result<(), StoreError> {
        let deploys = inner.store.deploys(self.key, facts::HISTORY_MAX).await?;
        self.note(&deploys);
        let newest = deploys.get(..LOOK_BACK).unwrap_or(&deploys);
        let cards = cards(inner, newest).await?;
        let Some(current) = self.current(&deploys, &cards, seen).map(|it| it.id.clone()) else {
            return Ok(());
        };
        let Some(card) = inner.store.deploy(&current).await? else { return Ok(()) };
        let version = card.deploy.version.clone();
        self.bring_back(inner, seen, card).await?;
        for mut other in cards.into_iter().filter(|card| card.deploy.id != current) {
            let is_new = other.superseded_by.is_none();
            other.superseded_by.get_or_insert_with(|| version.clone());
            if self.find_revision(inner, seen, &mut other) || is_new {
                update(inner, self.service, other).await?;
            }
        }
        Ok(())
    }

    /// Which of the deploys is the current one.
    fn current<'a>(
        &mut self,
        deploys: &'a [Deploy],
        cards: &[DeployCard],
        seen: &Seen,
    ) -> Option<&'a Deploy> {
        let mut standing = cards.iter().filter(|card| card.superseded_by.is_none());
        let placed = match (standing.next(), standing.next()) {
            (Some(card), None) => deploys.iter().find(|deploy| deploy.id == card.deploy.id),
            (Some(_) | None, _) => None,
        };
        let is_live = |deploy: &Deploy| deploy.revision.as_ref() == seen.live();
        let Some(live) = seen.live() else {
            // Nobody knows: whoever has the button keeps it.
            return placed.or_else(|| current(deploys, None, &[], Settled::NotYet));
        };
        // While a later one may still go live, it is looked again.
        let is_last = |deploy: &Deploy| deploys.first().is_some_and(|last| last.id == deploy.id);
        let is_settled = |found: &Deploy| is_live(found) && is_last(found);
        if !seen.is_moving() {
            self.looks = self.looks.saturating_add(1);
        }
        if placed.is_some_and(is_live) {
            self.settled = placed.is_some_and(is_settled) || self.looks > LOOKS_MAX;
            return placed;
        }
        let settled = if self.looks > LOOKS_TO_SETTLE { Settled::Yes } else { Settled::NotYet };
        let found = current(deploys, Some(live), seen.history(), settled);
        self.settled = found.is_some_and(is_settled) || self.looks > LOOKS_MAX;
        found
    }

    /// The card of the current deploy: with its way back, once that is known.
    async fn bring_back(
        &self,
        inner: &Inner,
        seen: &Seen,
        kept: DeployCard,
    ) -> Result<(), StoreError> {
        let returns = kept.superseded_by.is_some();
        if !kept.undecided && !returns {
            return Ok(());
        }
        let mut looked = look(inner, self.service, seen, kept.deploy.clone());
        looked.purpose = kept.purpose;
        if looked.undecided && !returns {
            return Ok(());
        }
        update(inner, self.service, looked).await
    }

    /// Which revision an earlier deploy made. What it brought counts for whoever goes back past it.
    fn find_revision(&self, inner: &Inner, seen: &Seen, kept: &mut DeployCard) -> bool {
        let is_nameless = kept.deploy.revision.is_none() && kept.deploy.reported.is_some();
        if !is_nameless || inner.clock.now().since(kept.deploy.deployed_at) > FOUND_WITHIN {
            return false;
        }
        let found = look(inner, self.service, seen, kept.deploy.clone());
        if found.deploy.revision.is_none() {
            return false;
        }
        (kept.deploy, kept.previous) = (found.deploy, found.previous);
        true
    }
}

async fn cards(inner: &Inner, deploys: &[Deploy]) -> Result<Vec<DeployCard>, StoreError> {
    let mut cards = Vec::with_capacity(deploys.len());
    for deploy in deploys {
        cards.extend(inner.store.deploy(&deploy.id).await?);
    }
    Ok(cards)
}
