//! How far an execution is: from one look, whoever carries it out and whatever was missed before.

use crate::compare::differences;
use crate::error::HelmError;
use crate::history::Seen;
use crate::journal::{Entry, State, Written};
use crate::manifest::{self, Wanted};
use crate::record::{Content, Record, Status};
use crate::rollout::{self, Rollout};
use crate::site::{Site, side_by_side};
use futures_util::{StreamExt as _, TryStreamExt as _};
use rollback_cluster::ClusterError;
use rollback_core::{Label, Phase, Progress};
use serde_json::Value;

/// What a look found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Look {
    /// It has ended so, or it cannot be known any more.
    Ended(Progress),
    /// Whoever carried it out fell silent, and this is how it ends.
    Abandoned(Progress),
    /// Helm has done its part; how far the pods are, the workloads tell.
    Applied,
    /// Helm is at it; how far, the workloads tell.
    Runs,
}

fn progress(phase: Phase, message: impl Into<String>) -> Progress {
    let mut progress = Progress::new(phase);
    progress.message = Some(Label::new(message));
    progress
}

/// The table of what a record says about an order of ours.
pub(crate) fn look(seen: &Seen, entry: &Entry) -> Look {
    let message = || entry.message.as_ref().map(Label::as_str).unwrap_or_default();
    match entry.state {
        State::Complete => return Look::Ended(progress(Phase::Complete, message())),
        State::Failed => return Look::Ended(progress(Phase::Failed, message())),
        State::Void => {
            let text = "it was given up before it took effect; nothing was changed";
            return Look::Ended(progress(Phase::Failed, text));
        }
        State::Applied => return Look::Applied,
        State::Running if seen.runner_lives => return Look::Runs,
        State::Running => {}
    }
    Look::Abandoned(match made(seen, entry) {
        Some(record) => left_alone(record),
        None => progress(Phase::Failed, REMOVED),
    })
}

/// What can be said of a rollback whose record is gone.
const REMOVED: &str =
    "its revision was removed or pruned before anybody saw how it ended; look at what runs";

/// Helm's record of an order.
fn made<'a>(seen: &'a Seen, entry: &Entry) -> Option<&'a Record> {
    let (number, uid) = entry.made.as_ref()?;
    seen.records.iter().find(|record| record.is(*number, uid))
}

/// What became of a rollback whose process died: helm's own record tells.
fn left_alone(record: &Record) -> Progress {
    let number = record.number;
    match record.status {
        Status::Deployed => progress(Phase::Complete, format!("revision {number} is live")),
        Status::Superseded if !record.has_failed() => progress(
            Phase::Failed,
            format!(
                "revision {number} was overtaken before anybody saw it complete; look at what runs"
            ),
        ),
        Status::Superseded | Status::Failed => progress(
            Phase::Failed,
            format!("helm called revision {number} failed; look at what runs"),
        ),
        Status::PendingRollback => progress(
            Phase::Failed,
            format!(
                "it was interrupted: the process that carried it out ended, and helm could do nothing more without it; what runs may be a mixture, and revision {number} stays pending-rollback and keeps helm from deploying; roll back once more, that ends both"
            ),
        ),
        Status::Uninstalled
        | Status::Uninstalling
        | Status::PendingInstall
        | Status::PendingUpgrade
        | Status::Unknown => progress(
            Phase::Failed,
            format!("revision {number} is {}; look at what runs", record.status.as_str()),
        ),
    }
}

impl Site {
    /// How far an order is. What ends it is written down before anybody is told.
    pub(crate) async fn progress(&self, seen: &Seen, entry: &Entry) -> Result<Progress, HelmError> {
        match look(seen, entry) {
            Look::Ended(progress) => Ok(progress),
            Look::Abandoned(found) => {
                let ended = self.ended(entry, &found);
                if self.client.take_over(&seen.journal, &ended).await? {
                    self.outrun_changes(entry).await;
                    return Ok(found);
                }
                // Then it has not fallen silent, or somebody else has ended it.
                Ok(progress(Phase::HealthChecking, "something was written meanwhile; looks again"))
            }
            Look::Applied => {
                let found = self.come_up(seen, entry).await?;
                if matches!(found.phase, Phase::Complete | Phase::Failed) {
                    return self.settle(entry, found).await;
                }
                Ok(found)
            }
            Look::Runs => {
                let number = entry.made.as_ref().map_or(0, |(number, _)| *number);
                let (_record, content) = self.content(number).await?;
                Ok(self.waits_for(&content).await?)
            }
        }
    }

    /// Touches every object that helm may have changed for an order that was taken over, so that a change
    /// which is still on its way is for a version that is no more. What cannot be touched is left: the
    /// takeover stands, and a change that arrives there is seen as what is live.
    async fn outrun_changes(&self, entry: &Entry) {
        let number = entry.made.as_ref().map_or(0, |(number, _)| *number);
        let Ok((_record, content)) = self.content(number).await else { return };
        let objects = manifest::read(&content).unwrap_or_default();
        let touched = objects.iter().map(|object| async move {
            let Some(live) = self.live_object(object).await? else { return Ok(()) };
            let uid = live.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default();
            let namespace = object.namespace.as_deref().unwrap_or(&self.config.release.namespace);
            self.client.touch(object, namespace, uid, &entry.order).await
        });
        let touched: Vec<Result<(), ClusterError>> = side_by_side(touched).collect().await;
        for error in touched.into_iter().filter_map(Result::err) {
            tracing::warn!(%error, "a late change of an order that was taken over could still arrive");
        }
    }

    fn ended(&self, entry: &Entry, found: &Progress) -> Entry {
        let state = if found.phase == Phase::Complete { State::Complete } else { State::Failed };
        entry.then(state, self.config.clock.now(), found.message.clone())
    }

    /// Writes down how the pods' coming up ended. Of several who see it end, the first is believed.
    async fn settle(&self, entry: &Entry, found: Progress) -> Result<Progress, HelmError> {
        let ended = self.ended(entry, &found);
        let over = |known: &Entry| known.state == State::Applied;
        match self.client.note(&ended, over, ended.at).await? {
            Written::Done => Ok(found),
            Written::Ended(known) => {
                let complete = known.state == State::Complete;
                let phase = if complete { Phase::Complete } else { Phase::Failed };
                let message = known.message.as_ref().map(Label::as_str).unwrap_or_default();
                Ok(progress(phase, message))
            }
        }
    }

    /// How far the pods are of an order with which helm is done.
    async fn come_up(&self, seen: &Seen, entry: &Entry) -> Result<Progress, HelmError> {
        let Some(record) = made(seen, entry) else { return Ok(progress(Phase::Failed, REMOVED)) };
        if let Some(newer) = seen.newer_than(record) {
            return Ok(progress(
                Phase::Failed,
                format!(
                    "revision {} took the place of revision {} before that was seen to be complete; look at what runs",
                    newer.number, record.number
                ),
            ));
        }
        let (_record, content) = self.content(record.number).await?;
        let (words, ready, has_deadline) = match self.rollout(&content).await? {
            Rollout::Failed(why) => {
                let number = record.number;
                let told = format!(
                    "{why}; revision {number} is what runs; roll back once more, or deploy that version anew"
                );
                return Ok(progress(Phase::Failed, told));
            }
            Rollout::Done => {
                let left_behind = self.compare(&content).await.ok();
                return Ok(progress(Phase::Complete, is_live(entry, left_behind)));
            }
            Rollout::Waiting { words, ready, has_deadline } => (words, ready, has_deadline),
        };
        let stood = self.stood_still(&entry.order, ready);
        if !has_deadline && stood > self.config.deadline {
            let stood = rollback_core::in_words(stood);
            return Ok(progress(
                Phase::Failed,
                format!("no pod became ready for {stood}: waits for {words}; look at the pods"),
            ));
        }
        Ok(progress(Phase::HealthChecking, format!("waits for {words}")))
    }

    /// How far the workloads of a revision are, all together.
    async fn rollout(&self, content: &Content) -> Result<Rollout, ClusterError> {
        let workloads = manifest::read(content).unwrap_or_default();
        let (mut waits, mut all_ready, mut all_have_deadlines) = (Vec::new(), 0, true);
        for wanted in workloads.iter().filter(|wanted| wanted.is_workload()) {
            let Some(live) = self.live_object(wanted).await? else {
                return Ok(Rollout::Failed(format!("{} is not there any more", wanted.title())));
            };
            match rollout::of(wanted, &live) {
                Rollout::Done => all_ready += rollout::ready(wanted, &live),
                Rollout::Waiting { words, ready, has_deadline } => {
                    waits.push(words);
                    all_ready += ready;
                    all_have_deadlines &= has_deadline;
                }
                failed @ Rollout::Failed(_) => return Ok(failed),
            }
        }
        if waits.is_empty() {
            return Ok(Rollout::Done);
        }
        let (words, has_deadline) = (waits.join(", "), all_have_deadlines);
        Ok(Rollout::Waiting { words, ready: all_ready, has_deadline })
    }

    /// What of a revision is not live, or lives beside it.
    pub(crate) async fn compare(&self, content: &Content) -> Result<Vec<String>, HelmError> {
        let Some(wanted) = manifest::read(content) else {
            return Ok(vec!["its manifest could not be read here".to_owned()]);
        };
        let looked = wanted.iter().map(|object| async move {
            match self.live_object(object).await {
                Ok(live) => Ok(differences(object, live.as_ref())),
                // What helm may write, we may perhaps not read.
                Err(ClusterError::Forbidden { tried }) => Ok(Some(format!("may not {tried}"))),
                Err(error) => Err(HelmError::from(error)),
            }
        });
        let found: Vec<Option<String>> = side_by_side(looked).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// An object as it lives in the cluster.
    pub(crate) async fn live_object(&self, wanted: &Wanted) -> Result<Option<Value>, ClusterError> {
        let namespace = wanted.namespace.as_deref().unwrap_or(&self.config.release.namespace);
        self.client.object(&wanted.api_version, &wanted.kind, namespace, &wanted.name).await
    }

    /// Applies an object as helm 4 does, without effect.
    pub(crate) async fn rehearse_apply(&self, wanted: &Wanted) -> Result<(), ClusterError> {
        let namespace = wanted.namespace.as_deref().unwrap_or(&self.config.release.namespace);
        let Wanted { api_version, kind, name, object, .. } = wanted;
        self.client.rehearse_apply(api_version, kind, namespace, name, object).await
    }

    /// What helm waits for.
    pub(crate) async fn waits_for(&self, content: &Content) -> Result<Progress, ClusterError> {
        let workloads = manifest::read(content).unwrap_or_default();
        let mut waits = Vec::new();
        for wanted in workloads.iter().filter(|wanted| wanted.is_workload()) {
            let live = match self.live_object(wanted).await {
                Ok(live) => live,
                Err(ClusterError::Forbidden { .. }) => continue,
                Err(error) => return Err(error),
            };
            if let Some(differs) = differences(wanted, live.as_ref()) {
                return Ok(progress(Phase::Started, format!("helm is changing {differs}")));
            }
            if let Some(Rollout::Waiting { words, .. }) = live.map(|it| rollout::of(wanted, &it)) {
                waits.push(words);
            }
        }
        if waits.is_empty() {
            return Ok(progress(Phase::HealthChecking, "helm is about to finish"));
        }
        Ok(progress(Phase::HealthChecking, format!("waits for {}", waits.join(", "))))
    }
}

/// How a rollback is told that went well, with what was left behind; none where that could not be
/// read.
pub(crate) fn is_live(entry: &Entry, left_behind: Option<Vec<String>>) -> String {
    let target = entry.to.as_ref().and_then(|to| crate::record::parse_id(to.as_str()));
    let target = target.map_or_else(|| "the target".to_owned(), |(it, _)| format!("revision {it}"));
    let number = entry.made.as_ref().map_or(0, |(number, _)| *number);
    let live = format!("{target} is live again, as revision {number}");
    match left_behind {
        Some(found) if found.is_empty() => live,
        Some(found) => format!("{live}, and not all is as it says: {}", found.join("; ")),
        None => format!("{live}; whether something was left behind could not be read"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::tests::{at, seen};
    use crate::record::Status::{Deployed, Failed, PendingRollback, Superseded};

    fn entry(state: State) -> Entry {
        Entry {
            order: "r1".parse().unwrap(),
            state,
            at: at(0),
            to: Some("1@00000001".parse().unwrap()),
            made: Some((3, "00000003-0000".into())),
            message: Some("as it was".into()),
            taken_over: false,
        }
    }

    fn phase(look: &Look) -> Option<Phase> {
        match look {
            Look::Ended(progress) | Look::Abandoned(progress) => Some(progress.phase),
            Look::Applied | Look::Runs => None,
        }
    }

    #[test]
    fn a_rollback_of_a_process_that_died_is_told_by_helms_own_record() {
        let table = [
            (Deployed, "Rollback to 1", Phase::Complete, "is live"),
            (Superseded, "Rollback to 1", Phase::Failed, "overtaken"),
            (Superseded, "Rollback \"web\" failed: no", Phase::Failed, "called revision 3 failed"),
            (Failed, "Release \"web\" failed: late", Phase::Failed, "called revision 3 failed"),
            (PendingRollback, "Rollback to 1", Phase::Failed, "interrupted"),
            (Status::Uninstalling, "Deletion in progress", Phase::Failed, "uninstalling"),
        ];
        for (status, text, expected, words) in table {
            let mut seen = seen(&[(Superseded, "a"), (Deployed, "b"), (status, text)]);
            assert_eq!(look(&seen, &entry(State::Running)), Look::Runs);
            seen.runner_lives = false;
            let Look::Abandoned(progress) = look(&seen, &entry(State::Running)) else {
                panic!("left alone")
            };
            assert_eq!(progress.phase, expected, "{status:?}");
            assert!(progress.message.unwrap().as_str().contains(words), "{status:?}");
        }
    }

    #[test]
    fn a_rollback_that_went_well_says_what_is_live_and_what_was_left_behind() {
        let rolled_back = entry(State::Complete);
        let live = "revision 1 is live again, as revision 3";
        let left = |found: &[&str]| Some(found.iter().map(ToString::to_string).collect());
        for (left_behind, words) in [
            (left(&[]), String::new()),
            (left(&["a", "b"]), ", and not all is as it says: a; b".to_owned()),
            (None, "; whether something was left behind could not be read".to_owned()),
        ] {
            assert_eq!(is_live(&rolled_back, left_behind), format!("{live}{words}"));
        }
        let unnamed = Entry { to: None, ..rolled_back };
        assert_eq!(is_live(&unnamed, left(&[])), "the target is live again, as revision 3");
    }

    #[test]
    fn what_was_written_down_counts_whatever_came_after() {
        let mut seen = seen(&[(Superseded, "a")]);
        seen.runner_lives = false;
        assert_eq!(look(&seen, &entry(State::Applied)), Look::Applied, "nobody needs to be alive");
        assert_eq!(phase(&look(&seen, &entry(State::Complete))), Some(Phase::Complete));
        assert_eq!(phase(&look(&seen, &entry(State::Failed))), Some(Phase::Failed));
        assert_eq!(phase(&look(&seen, &entry(State::Void))), Some(Phase::Failed));
        let Look::Abandoned(gone) = look(&seen, &entry(State::Running)) else { panic!("left") };
        assert!(gone.message.unwrap().as_str().contains("removed or pruned"));
    }
}
