//! How far an execution is: from one look, whoever carries it out and whatever was missed before.

use crate::compare::differences;
use crate::history::Seen;
use crate::journal::{Entry, State};
use crate::manifest::{self, Wanted};
use crate::record::{Content, Record, Status};
use crate::site::Site;
use rollback_cluster::ClusterError;
use rollback_core::{Label, Phase, Progress};
use serde_json::Value;

/// What a look found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Look {
    /// It has ended so, or it cannot be known any more.
    Ended(Progress),
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
        State::Running if seen.runner_lives => return Look::Runs,
        State::Running => {}
    }
    let record = entry
        .made
        .as_ref()
        .and_then(|(number, uid)| seen.records.iter().find(|record| record.is(*number, uid)));
    Look::Ended(match record {
        Some(record) => left_alone(record),
        None => progress(
            Phase::Failed,
            "its revision was removed or pruned before anybody saw how it ended; look at what runs",
        ),
    })
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
            if let Some(live) = live {
                waits.extend(readiness(wanted, &live));
            }
        }
        if waits.is_empty() {
            return Ok(progress(Phase::HealthChecking, "helm is about to finish"));
        }
        Ok(progress(Phase::HealthChecking, format!("waits for {}", waits.join(", "))))
    }
}

/// How many pods of a workload are ready; none when all are.
fn readiness(wanted: &Wanted, live: &Value) -> Option<String> {
    let number = |path: &str| live.pointer(path).and_then(Value::as_i64).unwrap_or(0);
    let (all, updated, ready) = if wanted.kind == "DaemonSet" {
        (
            number("/status/desiredNumberScheduled"),
            number("/status/updatedNumberScheduled"),
            number("/status/numberReady"),
        )
    } else {
        (
            number("/spec/replicas"),
            number("/status/updatedReplicas"),
            number("/status/readyReplicas"),
        )
    };
    let seen = number("/status/observedGeneration") >= number("/metadata/generation");
    let ready = if seen { ready.min(updated) } else { 0 };
    (ready < all).then(|| format!("{} ({ready} of {all} pods ready)", wanted.title()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::tests::{at, seen};
    use crate::manifest::{read, tests::content};
    use crate::record::Status::{Deployed, Failed, PendingRollback, Superseded};
    use serde_json::json;

    fn entry(state: State) -> Entry {
        Entry {
            order: "r1".parse().unwrap(),
            state,
            at: at(0),
            to: Some("1@00000001".parse().unwrap()),
            made: Some((3, "00000003-0000".into())),
            message: Some("as it was".into()),
        }
    }

    fn phase(look: &Look) -> Option<Phase> {
        match look {
            Look::Ended(progress) => Some(progress.phase),
            Look::Runs => None,
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
            let Look::Ended(progress) = look(&seen, &entry(State::Running)) else {
                panic!("ended")
            };
            assert_eq!(progress.phase, expected, "{status:?}");
            assert!(progress.message.unwrap().as_str().contains(words), "{status:?}");
        }
    }

    #[test]
    fn what_was_written_down_counts_whatever_came_after() {
        let mut seen = seen(&[(Superseded, "a")]);
        seen.runner_lives = false;
        assert_eq!(phase(&look(&seen, &entry(State::Complete))), Some(Phase::Complete));
        assert_eq!(phase(&look(&seen, &entry(State::Failed))), Some(Phase::Failed));
        assert_eq!(phase(&look(&seen, &entry(State::Void))), Some(Phase::Failed));
        let Look::Ended(gone) = look(&seen, &entry(State::Running)) else { panic!("ended") };
        assert!(gone.message.unwrap().as_str().contains("removed or pruned"));
    }

    #[test]
    fn readiness_counts_only_pods_of_the_newest_template() {
        let of = |kind: &str| {
            let object =
                json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "web"}});
            read(&content(&object.to_string())).unwrap().remove(0)
        };
        let live = |observed: i64, updated: i64, ready: i64| {
            json!({"metadata": {"generation": 2}, "spec": {"replicas": 2}, "status":
                {"observedGeneration": observed, "updatedReplicas": updated, "readyReplicas": ready}})
        };
        let web = of("Deployment");
        assert_eq!(readiness(&web, &live(2, 2, 2)), None);
        assert_eq!(readiness(&web, &live(2, 1, 2)).unwrap(), "deployment web (1 of 2 pods ready)");
        assert_eq!(readiness(&web, &live(1, 2, 2)).unwrap(), "deployment web (0 of 2 pods ready)");
        let daemons = json!({"status": {"desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberReady": 3}});
        assert_eq!(readiness(&of("DaemonSet"), &daemons), None);
    }
}
