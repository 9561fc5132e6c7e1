//! What people and machines change about services: freezes, and marks on revisions.

use crate::catalog::ServiceConfig;
use crate::engine::{Engine, not_recorded};
use crate::entitled::Wish;
use crate::{placing, telling};
use rollback_core::access::{Duty, Moment, Route};
use rollback_core::audit::Draft;
use rollback_core::change::{Judged, by_a_machine, freeze, judge, why_bad};
use rollback_core::named::resolve;
use rollback_core::notice::Notice;
use rollback_core::ports::{CommandError, Freshness};
use rollback_core::{
    Actor, Changer, Label, Proposer, RevisionId, RevisionName, ServiceChange, ServiceChanged,
    ServiceKey,
};

impl Engine {
    /// Changes what holds for a service, for a machine: whoever calls says that it may, and by which
    /// rule, as the audit record has it (`token ci`). False where nothing changed.
    ///
    /// # Errors
    ///
    /// [`CommandError`] when it was not taken.
    pub async fn change_service_by_machine(
        &self,
        key: &ServiceKey,
        change: ServiceChange,
        by: Proposer,
        rule: &str,
    ) -> Result<bool, CommandError> {
        let change = self.meant(key, change).await?;
        let record = by_a_machine((key, &change), &by, rule, self.inner.clock.now(), self.named()?);
        self.change(key, change, (Changer::Machine(by), Route::Ownership), record).await
    }

    /// The same for a person, whom the rules must let in.
    pub(crate) async fn change_service_by_person(
        &self,
        key: &ServiceKey,
        change: ServiceChange,
        actor: Actor,
    ) -> Result<bool, CommandError> {
        let inner = &self.inner;
        if !inner.admits() {
            return Err(CommandError::NotAdmitting);
        }
        inner.turned_away.knocks(&actor.id, inner.clock.now())?;
        let not_configured = || CommandError::NotConfigured(key.clone());
        let limits = inner.catalog.services.get(key).ok_or_else(not_configured)?.limits;
        let access = inner.access().for_service(key);
        let wish = Wish { access: &access, limits, duty: Duty::Operate, actor: &actor };
        let standing = wish.standing(inner, Freshness::Now).await;
        let moment = Moment::new(inner.clock.now(), limits.directory_age_max);
        let judged = |change: &ServiceChange, id: Label| {
            judge((key, change), (&actor, &standing), &access, moment, id)
        };
        if let Judged::Denied(_, text, record) = judged(&change, self.named()?) {
            inner.turned_away.was_turned_away(&actor.id, inner.clock.now());
            inner.store.append(record).await.map_err(|error| not_recorded(&error))?;
            inner.written();
            return Err(CommandError::Denied(text));
        }
        let change = self.meant(key, change).await?;
        match judged(&change, self.named()?) {
            Judged::Allowed(Route::BreakGlass, record) if record.reason.is_none() => {
                Err(CommandError::ReasonMissing)
            }
            Judged::Allowed(route, record) => {
                self.change(key, change, (Changer::Person(actor), route), record).await
            }
            Judged::Denied(_, text, _) => Err(CommandError::Denied(text)),
        }
    }

    /// The change with the identity of the revision that is meant by its name, if it has an effect.
    async fn meant(
        &self,
        key: &ServiceKey,
        change: ServiceChange,
    ) -> Result<ServiceChange, CommandError> {
        if self.inner.stopping.is_cancelled() {
            return Err(CommandError::Stopping);
        }
        if !self.inner.catalog.services.contains_key(key) {
            return Err(CommandError::NotConfigured(key.clone()));
        }
        match change {
            ServiceChange::Freeze { name, until: Some(until), .. }
                if until <= self.inner.clock.now() =>
            {
                Err(CommandError::Pointless(format!("the freeze `{name}` would be over already")))
            }
            ServiceChange::MarkBad { revision, reason } => {
                let revision = self.revision_named(key, revision).await?;
                Ok(ServiceChange::MarkBad { revision, reason })
            }
            ServiceChange::UnmarkBad { revision, reason } => {
                let record = self.inner.store.record(key).await;
                let marked = record.map_err(|error| not_recorded(&error))?.marked_bad;
                if marked.contains_key(&revision) {
                    return Ok(ServiceChange::UnmarkBad { revision, reason });
                }
                let revision = self.revision_named(key, revision).await?;
                Ok(ServiceChange::UnmarkBad { revision, reason })
            }
            ServiceChange::Freeze { .. } | ServiceChange::Unfreeze { .. } => Ok(change),
        }
    }

    /// A mark on a name that is no revision would hold nothing back, and nobody would notice.
    async fn revision_named(
        &self,
        key: &ServiceKey,
        revision: RevisionId,
    ) -> Result<RevisionId, CommandError> {
        let status = self.status(key).await?;
        if status.history.is_empty() {
            return Err(CommandError::NoTarget(format!(
                "which revision `{revision}` is could not be looked up: {}",
                status.why
            )));
        }
        resolve(&RevisionName::from(revision), None, &status.history, None)
            .map_err(|why| CommandError::NoTarget(why.to_string()))
    }

    async fn change(
        &self,
        key: &ServiceKey,
        change: ServiceChange,
        (by, route): (Changer, Route),
        record: Draft,
    ) -> Result<bool, CommandError> {
        let inner = &self.inner;
        let service = inner.catalog.services.get(key);
        let service = service.ok_or_else(|| CommandError::NotConfigured(key.clone()))?;
        if self.is_so(key, &change, &record).await? {
            return Ok(false);
        }
        let told = ServiceChanged::new(key.clone(), change.clone(), by, record.at);
        let tell = |key: Label, told: ServiceChanged| {
            telling::address(inner, &key, &Notice::Changed(Box::new(told)), &service.channel, None)
        };
        let mut notices = tell(record.id.clone(), told.clone());
        if route == Route::BreakGlass {
            let mut page = told;
            page.through_break_glass = true;
            notices.extend(tell(Label::new(format!("{}/page", record.id)), page));
        }
        let changed = inner.store.change(key, &change, record, notices).await;
        let changed = changed.map_err(|error| not_recorded(&error))?;
        if changed {
            tracing::info!(%key, kind = change.kind().as_str(), "what holds for a service was changed");
            inner.written();
            self.choose_again(key, service, &change).await;
        }
        Ok(changed)
    }

    /// Whether somebody set just this before: a repeat is neither recorded nor told again.
    async fn is_so(
        &self,
        key: &ServiceKey,
        change: &ServiceChange,
        record: &Draft,
    ) -> Result<bool, CommandError> {
        let store = &self.inner.store;
        Ok(match change {
            ServiceChange::Freeze { name, until, .. } => {
                let wanted = freeze(name, *until, record);
                let freezes = store.freezes(key).await.map_err(|error| not_recorded(&error))?;
                freezes.iter().any(|kept| {
                    let as_wanted = (&kept.name, kept.until, &kept.reason, &kept.by)
                        == (&wanted.name, wanted.until, &wanted.reason, &wanted.by);
                    as_wanted && kept.from <= wanted.from
                })
            }
            ServiceChange::MarkBad { revision, .. } => {
                let kept = store.record(key).await.map_err(|error| not_recorded(&error))?;
                kept.marked_bad.get(revision) == Some(&why_bad(record))
            }
            ServiceChange::Unfreeze { .. } | ServiceChange::UnmarkBad { .. } => false,
        })
    }

    /// A mark may change where the button of the current deploy leads.
    async fn choose_again(
        &self,
        key: &ServiceKey,
        service: &ServiceConfig,
        change: &ServiceChange,
    ) {
        match change {
            ServiceChange::MarkBad { .. } | ServiceChange::UnmarkBad { .. } => {}
            ServiceChange::Freeze { .. } | ServiceChange::Unfreeze { .. } => return,
        }
        if let Err(error) = placing::look_again(&self.inner, service, key).await {
            tracing::warn!(%error, %key, "the button shows its target from before the mark; each click is judged anew");
        }
    }

    /// A new identity for a record.
    fn named(&self) -> Result<Label, CommandError> {
        Ok(Label::new(format!("change/{}", self.inner.new_rollback_id()?)))
    }
}
