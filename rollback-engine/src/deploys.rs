//! Deploys as they are reported: which way back there is, and the message that says so.

use crate::catalog::ServiceConfig;
use crate::engine::{Engine, Inner, not_recorded};
use crate::facts::{self, complete};
use crate::telling;
use rollback_core::guard::{Question, evaluate};
use rollback_core::known_good::{Candidates, Choice};
use rollback_core::named::resolve;
use rollback_core::notice::{DeployCard, Notice};
use rollback_core::ports::{CommandError, Query, SavedDeploy, StoreError};
use rollback_core::{
    Deploy, DeployId, Fact, GuardView, Label, Plan, Revision, RevisionRef, RevisionStatus,
    RollbackId, RollbackView, ServiceKey, Timestamp,
};
use std::sync::Arc;
use std::time::Duration;

/// How often a deploy whose way back could not be found out is looked at again.
const AGAIN_EVERY: Duration = Duration::from_secs(15);

/// How many deploys of a service are looked at again.
const LOOK_BACK: usize = 4;

/// For how long it is looked up again which revision an earlier deploy made. What no history has
/// told by then was named wrongly.
const FOUND_WITHIN: Duration = Duration::from_secs(3600);

/// What became of a reported deploy.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct DeployReport {
    /// The deploy, and the target that was chosen for it.
    pub card: DeployCard,
    /// Whether it was new.
    pub saved: SavedDeploy,
}

/// How a service stands.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ServiceStatus {
    /// What runs now, if that is known; with what the history tells of it, if that is known, too.
    pub live: Option<Revision>,
    /// What a rollback would go back to.
    pub target: Option<Revision>,
    /// Why that, or why nothing.
    pub why: String,
    /// The deploy history, newest first; empty when it is not known.
    pub history: Vec<Revision>,
    /// Everything that was passed over, and why.
    pub skipped: Vec<rollback_core::known_good::Skipped>,
    /// The guards as they stand now; empty when there is no target to judge.
    pub guards: Vec<GuardView>,
    /// The rollback that holds the service.
    pub rollback: Option<RollbackId>,
}

impl Engine {
    /// A deploy went live: keeps it, chooses the way back, and posts its message. The same id again
    /// changes nothing. A deploy that is reported late never takes the place of a newer one.
    ///
    /// What the report calls the revision is looked up in the CD system's history, once: what is kept
    /// is the identity of exactly one revision, or none.
    ///
    /// # Errors
    ///
    /// [`CommandError`] when it was not kept. It may be reported again.
    pub async fn deployed(&self, mut deploy: Deploy) -> Result<DeployReport, CommandError> {
        let inner = &self.inner;
        deploy.reported = deploy.revision.take().map(Into::into).or(deploy.reported);
        let key = deploy.key();
        let service = inner
            .catalog
            .services
            .get(&key)
            .ok_or_else(|| CommandError::NotConfigured(key.clone()))?;
        let _turn = turn(inner, &key).await;
        let known = inner.store.deploy(&deploy.id).await.map_err(|e| not_recorded(&e))?;
        if let Some(card) = known {
            return Ok(DeployReport { card, saved: SavedDeploy::Known });
        }
        let newest = newest(inner, &key).await.map_err(|e| not_recorded(&e))?;
        let newer = newest.as_ref().filter(|newest| newest.deployed_at > deploy.deployed_at);
        let mut card = match newer {
            Some(newer) => late(inner, service, deploy, newer).await,
            None => card(inner, service, deploy).await,
        };
        card.purpose = service.purpose;
        let notices = posted(inner, service, &card);
        let saved = inner.store.save_deploy(&card, notices).await.map_err(|e| not_recorded(&e))?;
        inner.outbox_wake.notify_one();
        if saved == SavedDeploy::Known {
            // Somebody else was faster with the same id; what they reported is what is kept.
            let kept = inner.store.deploy(&card.deploy.id).await.map_err(|e| not_recorded(&e))?;
            return Ok(DeployReport { card: kept.unwrap_or(card), saved });
        }
        if let Some(older) = newest.filter(|_| card.superseded_by.is_none())
            && let Err(error) = supersede(inner, service, &older.id, &card.deploy).await
        {
            tracing::warn!(%error, deploy = %older.id, "the message of the deploy before was not brought up to date");
        }
        Ok(DeployReport { card, saved })
    }

    /// How a service stands: live, target, and the guards as they stand now. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`CommandError::NotConfigured`]. A CD system that does not answer is not an error: what is
    /// not known is said in `why` and in the guards.
    pub async fn status(&self, key: &ServiceKey) -> Result<ServiceStatus, CommandError> {
        let inner = &self.inner;
        let service = inner
            .catalog
            .services
            .get(key)
            .ok_or_else(|| CommandError::NotConfigured(key.clone()))?;
        let (live, history, record) = tokio::join!(
            facts::live(inner, service, key),
            facts::history(inner, service, key),
            facts::record(inner, key),
        );
        let live = live.map(|live| live.revision);
        let running = live.value().cloned().flatten();
        let choice = match (&live, &history, &record) {
            (
                Fact::Known { value: Some(live), .. },
                Fact::Known { value: history, .. },
                Fact::Known { value: record, .. },
            ) => {
                let now = inner.clock.now();
                Candidates::new(history, &live.revision, record, service.soak, now).choose()
            }
            (Fact::Known { value: None, .. }, _, _) => Choice::none("nothing runs now"),
            (Fact::Unknown { why }, _, _)
            | (_, Fact::Unknown { why }, _)
            | (_, _, Fact::Unknown { why }) => Choice::none(why.clone()),
        };
        let guards = guards(inner, service, key, running.as_ref(), &choice).await;
        let history = history.value().cloned().unwrap_or_default();
        Ok(ServiceStatus {
            live: running.map(|running| told_of(running, &history)),
            history,
            guards,
            rollback: record.value().and_then(|record| record.in_flight.clone()),
            target: choice.target,
            why: choice.why,
            skipped: choice.skipped,
        })
    }

    /// Rollbacks, newest first.
    ///
    /// # Errors
    ///
    /// [`StoreError`] as it comes.
    pub async fn rollbacks(&self, query: &Query) -> Result<Vec<RollbackView>, StoreError> {
        let listed = self.inner.store.list(query).await?;
        Ok(listed.into_iter().map(|listed| listed.view).collect())
    }

    /// The deploy that made a revision live; one that nobody reported is kept as it was found.
    pub(crate) async fn deploy_of(
        &self,
        key: &ServiceKey,
        live: &RevisionRef,
    ) -> Result<Deploy, CommandError> {
        let inner = &self.inner;
        let deploys = inner.store.deploys(key, facts::HISTORY_MAX).await;
        let deploys = deploys.map_err(|error| not_recorded(&error))?;
        if let Some(deploy) =
            deploys.into_iter().find(|d| d.revision.as_ref() == Some(&live.revision))
        {
            return Ok(deploy);
        }
        let id = format!("found:{}:{}:{}", key.service, key.environment, live.revision);
        let id = DeployId::parse(id).map_err(|e| CommandError::NotRecorded(e.to_string()))?;
        let version = live.version.clone().unwrap_or_else(|| Label::new(live.revision.as_str()));
        let mut deploy = Deploy::new(id, key.clone(), version, inner.clock.now());
        deploy.revision = Some(live.revision.clone());
        deploy.commit.clone_from(&live.commit);
        Ok(self.deployed(deploy).await?.card.deploy)
    }
}

/// The history's entry of a revision; failing that, what identifies it.
fn told_of(running: RevisionRef, history: &[Revision]) -> Revision {
    let told = history.iter().find(|entry| entry.id == running.revision).cloned();
    let mut revision = told.unwrap_or_else(|| Revision::new(running.revision));
    revision.version = revision.version.or(running.version);
    revision.commit = revision.commit.or(running.commit);
    revision
}

async fn guards(
    inner: &Inner,
    service: &ServiceConfig,
    key: &ServiceKey,
    live: Option<&RevisionRef>,
    choice: &Choice,
) -> Vec<GuardView> {
    let (Some(live), Some(target)) = (live, &choice.target) else { return Vec::new() };
    let Ok(plan) = Plan::new(key.clone(), live.clone(), target.reference()) else {
        return Vec::new();
    };
    let policy = inner.policy(key, service);
    let facts = facts::gather(inner, service, &plan, service.guards.custom()).await;
    evaluate(&Question::new(&plan, &policy, inner.clock.now()), &facts).views()
}

/// Waits until no other deploy of the service is being looked at.
async fn turn<'a>(inner: &'a Inner, key: &ServiceKey) -> Option<tokio::sync::MutexGuard<'a, ()>> {
    Some(inner.deploy_turns.get(key)?.lock().await)
}

/// The newest deploy of a service.
async fn newest(inner: &Inner, key: &ServiceKey) -> Result<Option<Deploy>, StoreError> {
    Ok(inner.store.deploys(key, 1).await?.into_iter().next())
}

/// The deploy's message, in every notifier's outbox.
fn posted(
    inner: &Inner,
    service: &ServiceConfig,
    card: &DeployCard,
) -> Vec<rollback_core::ports::Queued> {
    let key = telling::deploy_key(&card.deploy.id);
    let notice = Notice::Deploy(Box::new(card.clone()));
    telling::address(inner, &key, &notice, &service.channel, None)
}

/// A deploy that is reported after a newer one. What runs now is the newer one's, and so is the
/// way back.
async fn late(
    inner: &Inner,
    service: &ServiceConfig,
    deploy: Deploy,
    newer: &Deploy,
) -> DeployCard {
    let why = format!("a newer deploy, `{}`, was reported before this one", newer.version);
    let mut card = match &deploy.reported {
        Some(_) => card(inner, service, deploy).await,
        None => DeployCard::new(deploy, None, Choice::none("")),
    };
    card.choice = Choice::none(why);
    card.undecided = false;
    card.superseded_by = Some(newer.version.clone());
    card
}

/// Asks the CD system what there is to go back to.
async fn card(inner: &Inner, service: &ServiceConfig, mut deploy: Deploy) -> DeployCard {
    let key = deploy.key();
    let (live, history, record) = tokio::join!(
        facts::live(inner, service, &key),
        facts::history(inner, service, &key),
        facts::record(inner, &key),
    );
    let running = live.value().and_then(|live| live.revision.as_ref());
    if deploy.reported.is_none() && deploy.revision.is_none() {
        deploy.revision = running.map(|running| running.revision.clone());
    }
    let (history, record) = match (history, record) {
        (Fact::Known { value: history, .. }, Fact::Known { value: record, .. }) => {
            (history, record)
        }
        (Fact::Unknown { why }, _) | (_, Fact::Unknown { why }) => {
            return undecided(deploy, &why);
        }
    };
    if let Some(name) = deploy.reported.as_ref().filter(|_| deploy.revision.is_none()) {
        match resolve(name, Some(deploy.deployed_at), &history, running) {
            Ok(found) => deploy.revision = Some(found),
            Err(why) => return undecided(deploy, &why.to_string()),
        }
    }
    let history = complete(history, std::slice::from_ref(&deploy));
    let Some(revision) = deploy.revision.clone() else {
        let why = match live {
            Fact::Unknown { why } => why,
            Fact::Known { .. } => "the CD system says that nothing runs".into(),
        };
        return undecided(deploy, &why);
    };
    let now = inner.clock.now();
    let choice = Candidates::new(&history, &revision, &record, service.soak, now).choose();
    let previous = before(&history, &revision, deploy.deployed_at);
    DeployCard::new(deploy, previous, choice)
}

/// What ran before a revision: the newest earlier one whose deploy did not fail.
fn before(
    history: &[Revision],
    revision: &rollback_core::RevisionId,
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

/// Takes the button from the message of a deploy that is no longer the newest.
async fn supersede(
    inner: &Inner,
    service: &ServiceConfig,
    older: &DeployId,
    newer: &Deploy,
) -> Result<(), StoreError> {
    let Some(mut card) = inner.store.deploy(older).await? else { return Ok(()) };
    card.superseded_by = Some(newer.version.clone());
    update(inner, service, card).await
}

async fn update(
    inner: &Inner,
    service: &ServiceConfig,
    card: DeployCard,
) -> Result<(), StoreError> {
    let shown = telling::prominent(inner, &card.deploy.key(), &card.deploy.id, None).await?;
    let notices = posted(inner, service, &telling::with_rollback(card.clone(), shown));
    inner.store.update_deploy(&card, notices).await?;
    inner.outbox_wake.notify_one();
    Ok(())
}

/// Looks again at the deploys of every service now and then: at the newest until its way back is
/// known, and at the one before it, which a process that died may have left with its button.
pub(crate) async fn choose_again(inner: Arc<Inner>) {
    loop {
        for (key, service) in &inner.catalog.services {
            let looked = tokio::select! {
                biased;
                () = inner.stopping.cancelled() => return,
                looked = look_again(&inner, key, service) => looked,
            };
            if let Err(error) = looked {
                tracing::warn!(%error, %key, "the deploys could not be looked at again");
            }
        }
        let next = inner.clock.now().after(AGAIN_EVERY);
        tokio::select! {
            biased;
            () = inner.stopping.cancelled() => return,
            () = inner.clock.sleep_until(next) => {}
        }
    }
}

async fn look_again(
    inner: &Inner,
    key: &ServiceKey,
    service: &ServiceConfig,
) -> Result<(), StoreError> {
    let _turn = turn(inner, key).await;
    let deploys = inner.store.deploys(key, LOOK_BACK).await?;
    let [newest, before @ ..] = deploys.as_slice() else { return Ok(()) };
    for older in before {
        let Some(kept) = inner.store.deploy(&older.id).await? else { continue };
        if kept.superseded_by.is_none() {
            supersede(inner, service, &older.id, newest).await?;
        } else if kept.deploy.revision.is_none() && kept.deploy.reported.is_some() {
            find_once_more(inner, service, kept).await?;
        }
    }
    choose_once_more(inner, service, newest).await
}

/// Which revision an earlier deploy made. What it brought counts for whoever goes back past it.
async fn find_once_more(
    inner: &Inner,
    service: &ServiceConfig,
    mut kept: DeployCard,
) -> Result<(), StoreError> {
    if inner.clock.now().since(kept.deploy.deployed_at) > FOUND_WITHIN {
        return Ok(());
    }
    let found = card(inner, service, kept.deploy.clone()).await;
    if found.deploy.revision.is_none() {
        return Ok(());
    }
    (kept.deploy, kept.previous) = (found.deploy, found.previous);
    update(inner, service, kept).await
}

async fn choose_once_more(
    inner: &Inner,
    service: &ServiceConfig,
    newest: &Deploy,
) -> Result<(), StoreError> {
    let Some(kept) = inner.store.deploy(&newest.id).await? else { return Ok(()) };
    if !kept.undecided {
        return Ok(());
    }
    let mut looked = card(inner, service, kept.deploy.clone()).await;
    looked.superseded_by = kept.superseded_by.clone();
    looked.purpose = kept.purpose;
    if looked.undecided {
        return Ok(());
    }
    update(inner, service, looked).await
}
