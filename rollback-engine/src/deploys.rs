//! Deploys as they are reported: which way back there is, and the message that says so.

use crate::catalog::ServiceConfig;
use crate::clock::within;
use crate::engine::{Engine, Inner, not_recorded};
use crate::facts;
use crate::placing::{self, Seen};
use rollback_core::audit::Hash;
use rollback_core::guard::{Question, evaluate};
use rollback_core::known_good::{Candidates, Choice};
use rollback_core::notice::DeployCard;
use rollback_core::observed::Freeze;
use rollback_core::ports::{CommandError, Query, SavedDeploy, StoreError};
use rollback_core::{
    DEPLOYS_FOUND, Deploy, DeployId, Fact, GuardView, IdError, Label, Plan, Revision, RevisionId,
    RevisionName, RevisionRef, RollbackId, RollbackView, ServiceKey,
};
use std::time::Duration;

/// How long a report waits for those before it to be done asking the CD system. After that it is kept
/// without asking, and its way back is looked up by itself.
const ASK_WITHIN: Duration = Duration::from_secs(2);

/// What became of a reported deploy.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct DeployReport {
    /// The deploy, and the target that was chosen for it.
    pub card: DeployCard,
    /// Whether it was new.
    pub saved: SavedDeploy,
    /// In which fields a report under a known id differs from what is kept. What is kept stays.
    pub differs: Vec<&'static str>,
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
    /// The freezes, also those that begin later or are over; none when that is not known.
    pub freezes: Option<Vec<Freeze>>,
    /// The rollback that holds the service.
    pub rollback: Option<RollbackId>,
}

impl Engine {
    /// A deploy went live: keeps it, chooses the way back, and posts its message. The same id again
    /// changes nothing; the report says in what it differs from what is kept. Which deploy is the
    /// current one is decided by what is live, and by the times of the reports only where that cannot
    /// tell.
    ///
    /// What the report calls the revision is looked up in the CD system's history, once: what is kept
    /// is the identity of exactly one revision, or none. A CD system that does not answer keeps no
    /// report waiting for longer than its own time-out, nor those that follow: they are kept without
    /// asking it.
    ///
    /// # Errors
    ///
    /// [`CommandError`] when it was not kept. It may be reported again.
    pub async fn deployed(&self, mut deploy: Deploy) -> Result<DeployReport, CommandError> {
        let inner = &self.inner;
        deploy.reported = deploy.revision.take().map(Into::into).or(deploy.reported);
        let key = deploy.key();
        let (Some(service), Some(lane)) =
            (inner.catalog.services.get(&key), inner.deploy_lanes.get(&key))
        else {
            return Err(CommandError::NotConfigured(key));
        };
        if let Some(known) = self.reported_before(&deploy).await? {
            return Ok(known);
        }
        let asking = within(inner.clock.as_ref(), ASK_WITHIN, lane.asking.acquire()).await;
        let seen = match &asking {
            Some(Ok(_turn)) => Seen::now(inner, service, &key).await,
            Some(Err(_)) | None => Seen::unknown("other deploys are being looked up"),
        };
        drop(asking);
        let _turn = lane.turn.lock().await;
        let kept = inner.store.deploys(&key, facts::HISTORY_MAX).await;
        let kept = kept.map_err(|error| not_recorded(&error))?;
        let mut card = placing::new_card(inner, service, &seen, deploy.clone(), &kept);
        card.purpose = service.purpose;
        let notices = placing::posted(inner, service, &card);
        let saved = inner.store.save_deploy(&card, notices).await.map_err(|e| not_recorded(&e))?;
        inner.outbox_wake.notify_one();
        if saved == SavedDeploy::Known
            && let Some(known) = self.reported_before(&deploy).await?
        {
            // Somebody else was faster with the same id; what they reported is what is kept.
            return Ok(known);
        }
        if card.superseded_by.is_none()
            && let Err(error) = placing::supersede(inner, service, &kept, &card.deploy).await
        {
            tracing::warn!(%error, deploy = %card.deploy.id, "the messages of the deploys before were not brought up to date; they are looked at again");
        }
        Ok(DeployReport { card, saved, differs: Vec::new() })
    }

    /// What is kept of a deploy under the same id.
    async fn reported_before(&self, deploy: &Deploy) -> Result<Option<DeployReport>, CommandError> {
        let card = self.inner.store.deploy(&deploy.id).await.map_err(|e| not_recorded(&e))?;
        Ok(card.map(|card| {
            let differs = card.deploy.differences(deploy);
            DeployReport { card, saved: SavedDeploy::Known, differs }
        }))
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
        let (live, history, record, freezes) = tokio::join!(
            facts::live(inner, service, key),
            facts::history(inner, service, key),
            facts::record(inner, key),
            facts::freezes(inner, key),
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
            freezes: freezes.value().cloned(),
            rollback: record.value().and_then(|record| record.in_flight.clone()),
            target: choice.target,
            why: choice.why,
            skipped: choice.skipped,
        })
    }

    /// The services that are configured.
    pub fn services(&self) -> impl Iterator<Item = &ServiceKey> {
        self.inner.catalog.services.keys()
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
        let version = live.version.clone().unwrap_or_else(|| Label::new(live.revision.as_str()));
        for number in 0..FOUND_IDS_MAX {
            let id = found_id(key, &live.revision, number)
                .map_err(|error| CommandError::NotRecorded(error.to_string()))?;
            let mut deploy = Deploy::new(id, key.clone(), version.clone(), inner.clock.now());
            deploy.revision = Some(live.revision.clone());
            deploy.commit.clone_from(&live.commit);
            let kept = self.deployed(deploy).await?.card.deploy;
            let name = RevisionName::from(live.revision.clone());
            let is_it = kept
                .revision
                .as_ref()
                .map_or_else(|| kept.reported == Some(name), |revision| *revision == live.revision);
            if kept.key() == *key && is_it {
                return Ok(kept);
            }
            // Before these ids were reserved, anybody could report a deploy under one of them.
            tracing::warn!(deploy = %kept.id, %key, "the id of a deploy that was found is another deploy's");
        }
        Err(CommandError::NotRecorded(format!(
            "the ids for the deploy that made `{}` live are all taken by other deploys; report that \
             deploy of {key} under an id of its own",
            live.revision
        )))
    }
}

/// How many ids are tried for a deploy that nobody reported.
const FOUND_IDS_MAX: u32 = 3;

/// The id of a deploy that nobody reported: bound to its service and its revision. A service's name
/// has no colon, so that two of them never make one id; what is too long is told by its digest.
fn found_id(key: &ServiceKey, revision: &RevisionId, number: u32) -> Result<DeployId, IdError> {
    let again = if number == 0 { String::new() } else { format!("again-{number}:") };
    let told = format!("{}:{}:{revision}", key.service, key.environment);
    DeployId::parse(format!("{DEPLOYS_FOUND}{again}{told}")).or_else(|_too_long| {
        DeployId::parse(format!("{DEPLOYS_FOUND}{again}{}", Hash::of(told.as_bytes())))
    })
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
    let facts = facts::gather(inner, service, &plan, facts::Asking::default()).await;
    evaluate(&Question::new(&plan, &policy, inner.clock.now()), &facts).views()
}
