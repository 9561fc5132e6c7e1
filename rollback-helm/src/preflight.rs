//! Whether a rollback would be accepted, and what it would mean. Changes nothing.

use crate::command;
use crate::error::HelmError;
use crate::history::current;
use crate::manifest::{self, Wanted};
use crate::obstacle::{Keeper, keeper, replicas};
use crate::record::Record;
use crate::site::{Site, side_by_side};
use futures_util::TryStreamExt as _;
use rollback_cluster::ClusterError;
use rollback_core::observed::{Acceptance, Preflight};
use rollback_core::{Plan, Presence};
use std::collections::BTreeSet;

impl Site {
    /// Who else is in charge of the release, by its record, its manifest and what runs of it. Where one
    /// of these cannot be read, "nobody" is not known.
    pub(crate) async fn keeper(
        &self,
        newest: &Record,
        wanted: Option<&[Wanted]>,
    ) -> Result<Presence<Keeper>, ClusterError> {
        let Some(wanted) = wanted else {
            let seen = keeper(newest, &[], None);
            return Ok(seen.map_or_else(
                || {
                    Presence::cannot_tell(format!(
                        "the manifest of revision {}, where marks of others would be, cannot be read",
                        newest.number
                    ))
                },
                Presence::Something,
            ));
        };
        let (live, unseen) = match wanted.iter().find(|wanted| wanted.is_workload()) {
            Some(workload) => match self.live_object(workload).await {
                Ok(live) => (live, None),
                Err(ClusterError::Forbidden { tried }) => (None, Some(tried)),
                Err(error) => return Err(error),
            },
            None => (None, None),
        };
        Ok(match (keeper(newest, wanted, live.as_ref()), unseen) {
            (Some(keeper), _) => Presence::Something(keeper),
            (None, None) => Presence::Nothing,
            (None, Some(tried)) => Presence::cannot_tell(format!(
                "what others marked on what runs cannot be seen: the service account may not {tried}"
            )),
        })
    }

    /// What of the target's replicas somebody else has set.
    async fn replica_notes(&self, wanted: &[Wanted]) -> Result<Vec<String>, ClusterError> {
        let scalers = match self.client.autoscalers().await {
            Ok(scalers) => Some(scalers),
            Err(ClusterError::Forbidden { .. } | ClusterError::Missing { .. }) => None,
            Err(error) => return Err(error),
        };
        let mut notes = Vec::new();
        for workload in wanted.iter().filter(|it| it.is_workload() && it.replicas().is_some()) {
            match self.live_object(workload).await {
                Ok(Some(live)) => notes.extend(replicas(workload, &live, scalers.as_deref())),
                Ok(None) | Err(ClusterError::Forbidden { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(notes)
    }

    /// The first object of a kind that the cluster does not serve. What it served before counts for
    /// nothing: a kind goes with its definition.
    async fn unserved<'a>(&self, wanted: &'a [Wanted]) -> Result<Option<&'a Wanted>, ClusterError> {
        let mut asked: BTreeSet<&str> = BTreeSet::new();
        for object in wanted.iter().filter(|it| !it.is_list()) {
            let group = object.api_version.as_str();
            if asked.insert(group) {
                match self.client.learn(group).await {
                    // Who may not see what is served is told by helm.
                    Ok(()) | Err(ClusterError::Forbidden { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            if self.client.is_served(group, &object.kind) == Some(false) {
                return Ok(Some(object));
            }
        }
        Ok(None)
    }

    /// Whether the API server would take every object of the target. Helm would notice only when it
    /// is half-way.
    async fn rehearse(&self, wanted: &[Wanted]) -> Result<Acceptance, ClusterError> {
        let rehearsed = wanted.iter().map(|object| async move {
            match self.rehearse_apply(object).await {
                Ok(()) => Ok(None),
                Err(ClusterError::Refused { why, .. }) => Ok(Some(format!(
                    "helm would fail at {}: {why}; take that change back, or deploy that version anew",
                    object.title()
                ))),
                Err(error @ ClusterError::Forbidden { .. }) => Ok(Some(error.to_string())),
                Err(error) => Err(error),
            }
        });
        let mut rehearsed = std::pin::pin!(side_by_side(rehearsed));
        while let Some(problem) = rehearsed.try_next().await? {
            if let Some(problem) = problem {
                return Ok(Acceptance::Rejected(problem));
            }
        }
        Ok(Acceptance::Accepted)
    }

    /// What [`CdBackend::preflight`](rollback_core::ports::CdBackend::preflight) answers.
    pub(crate) async fn preflight(&self, plan: &Plan) -> Result<Preflight, HelmError> {
        let seen = self.look().await?;
        let now = self.config.clock.now();
        let newest = seen.newest(now, self.config.pending_max);
        let to = &plan.to().revision;
        if let Some(why) = seen.obstacle(&newest, to, now) {
            return Ok(Preflight::rejected(why));
        }
        let (Some(current), Some(target)) = (current(&newest), seen.find(to)) else {
            return Ok(Preflight::rejected(format!("`{}` is gone", to.short())));
        };
        let (_record, content) = self.content(current.number).await?;
        let wanted = manifest::read(&content);
        let keeper = self.keeper(current, wanted.as_deref()).await?;
        let wanted = wanted.unwrap_or_default();
        let unread = self.unserved(&wanted).await?.map(Wanted::kind_in_words);
        let (_record, content) = self.content(target.number).await?;
        let wanted = manifest::read(&content).unwrap_or_default();
        let undone_by = match &keeper {
            Presence::Something(keeper) if keeper.by_itself => {
                Presence::Something(keeper.who.clone())
            }
            Presence::Something(_) | Presence::Nothing => Presence::Nothing,
            Presence::CannotTell(why) => Presence::cannot_tell(why.clone()),
        };
        let mut preflight = Preflight::accepted();
        if let Presence::Something(keeper) = keeper {
            preflight = Preflight::rejected(keeper.words());
        } else if let Some(gone) = self.unserved(&wanted).await? {
            preflight = Preflight::rejected(format!(
                "the cluster does not serve {} any more, which the target has, and helm would stop there; install that kind again, or deploy that version anew with a newer chart",
                gone.kind_in_words()
            ));
        } else {
            let version = self.helm.version(&self.config.helm).await;
            match version.and_then(|version| command::has_folder().map(|()| version)) {
                Ok(version) if version.can_apply_on_server() && target.applied_on_server => {
                    preflight.acceptance = self.rehearse(&wanted).await?;
                }
                Ok(_applies_as_helm_3) => {}
                Err(error) => preflight = Preflight::rejected(error.to_string()),
            }
        }
        preflight.undone_by = undone_by;
        preflight.not_undone = seen.notes(&newest, target);
        preflight.not_undone.extend(unread.map(|kind| {
            format!(
                "the cluster does not serve {kind} any more, which revision {} has: helm stops there before it changes anything, and the rollback after this one goes through",
                current.number
            )
        }));
        preflight.not_undone.extend(self.replica_notes(&wanted).await?);
        Ok(preflight)
    }
}
