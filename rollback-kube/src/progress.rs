//! How far an order is, from one look.

use crate::classify::{Bounds, Diagnosis, Seen, reference};
use crate::config::Kind;
use crate::marks::Mark;
use crate::objects::Pod;
use crate::pods::Gravity;
use crate::rollout::{self, Rollout};
use rollback_cluster::short;
use rollback_core::{Label, Phase, Progress, Receipt, RevisionId, Timestamp};

/// An order that a workload took: which object of that name, and which generation it made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Execution {
    name: String,
    uid: String,
    generation: i64,
}

impl Execution {
    pub(crate) fn new(name: &str, uid: &str, generation: i64) -> Self {
        Self { name: name.to_owned(), uid: short(uid).to_owned(), generation }
    }

    pub(crate) fn receipt(&self) -> Receipt {
        Receipt::new(format!("{}@{}#{}", self.name, self.uid, self.generation))
    }

    /// None when it was never ours.
    pub(crate) fn read(receipt: &Receipt) -> Option<Self> {
        let (object, generation) = receipt.execution.as_str().rsplit_once('#')?;
        let (name, uid) = object.rsplit_once('@')?;
        let generation = generation.parse().ok()?;
        Some(Self { name: name.to_owned(), uid: uid.to_owned(), generation })
    }
}

/// What one look at an execution rests on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look<'a> {
    pub(crate) seen: &'a Seen,
    pub(crate) pods: &'a [Pod],
    pub(crate) to: &'a RevisionId,
    pub(crate) ordered_at: Timestamp,
    pub(crate) now: Timestamp,
    pub(crate) bounds: Bounds,
}

/// What a look at an execution found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Found {
    /// It is this far.
    At(Progress),
    /// Something else took the target's place. Kubernetes does not note whether the target had
    /// been complete before.
    Overtaken(Progress),
    /// There never was such an execution.
    Nothing,
}

fn say(phase: Phase, message: impl Into<Label>) -> Progress {
    let mut progress = Progress::new(phase);
    progress.message = Some(message.into());
    progress
}

impl Seen {
    /// The receipt of an order that this workload took.
    pub(crate) fn receipt(&self, mark: &Mark) -> Receipt {
        let meta = &self.object.metadata;
        Execution::new(&meta.name, &meta.uid, mark.generation).receipt()
    }
}

impl Look<'_> {
    pub(crate) fn at(self, execution: &Execution) -> Found {
        let meta = &self.seen.object.metadata;
        if execution.name != meta.name {
            return Found::Nothing;
        }
        if execution.uid != short(&meta.uid) {
            return Found::Overtaken(say(
                Phase::Failed,
                "the workload was deleted and made anew meanwhile; look at what runs now",
            ));
        }
        if execution.generation > meta.generation {
            return Found::Nothing;
        }
        let live = self.seen.live();
        let target = self.seen.find(self.to);
        let Some(target) = target.filter(|it| it.is(&self.seen.object.spec.template)) else {
            let what = live
                .and_then(reference)
                .map_or_else(|| "something newer".to_owned(), |it| it.to_string());
            let mut progress = say(
                Phase::Failed,
                format!("{what} took its place before it was seen to be complete"),
            );
            progress.live = live.and_then(reference);
            return Found::Overtaken(progress);
        };
        let mut progress = self.of(target);
        progress.live = live.and_then(reference);
        Found::At(progress)
    }

    fn of(self, target: &crate::objects::Kept) -> Progress {
        let (said, waits) = match rollout::status(self.seen.kind, &self.seen.object) {
            Rollout::Done(said) => return say(Phase::Complete, said),
            Rollout::Failed(said) => (said, false),
            Rollout::Waiting(said) => (said, true),
        };
        let diagnosis = self.seen.diagnosis(target, self.pods);
        let told = match &diagnosis {
            Some(diagnosis) => format!("{} — {said}", diagnosis.words),
            None => said,
        };
        if !waits {
            return say(Phase::Failed, told);
        }
        if !rollout::is_observed(&self.seen.object) {
            return say(Phase::Started, told);
        }
        // As a Deployment's own deadline does, time counts from the last progress.
        let progress = Seen::last_ready(target, self.pods).max(Some(self.ordered_at));
        let lasts = |since: Option<Timestamp>| self.now.since(since.unwrap_or(self.ordered_at));
        let hopeless = match diagnosis {
            Some(Diagnosis { gravity: Gravity::Final, .. }) => true,
            Some(Diagnosis { gravity: Gravity::MayHeal, since, .. }) => {
                lasts(since.max(progress)) > self.bounds.grace
            }
            Some(Diagnosis { gravity: Gravity::Passing, .. }) | None => false,
        };
        let overdue = lasts(progress) > self.bounds.deadline;
        // A Deployment has a deadline of its own.
        if hopeless || (self.seen.kind != Kind::Deployment && overdue) {
            return say(Phase::Failed, told);
        }
        say(Phase::HealthChecking, told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::tests::{AT, at, bounds, pod_of, seen, template};
    use serde_json::json;

    /// Back to web-b, ordered at the second 0.
    fn back() -> Seen {
        let mut seen = seen();
        seen.object.spec.template = template("shop:2");
        seen.object.metadata.generation = 4;
        seen.object.status.observed_generation = 4;
        seen.object.status.available_replicas = 1;
        seen
    }

    fn execution() -> Execution {
        Execution::new("web", "0123456789", 4)
    }

    fn look(seen: &Seen, pods: &[Pod], seconds: u64) -> Found {
        let to: RevisionId = "web-b@web-b-ui".parse().unwrap();
        let (ordered_at, now) = (at(0), at(seconds));
        Look { seen, pods, to: &to, ordered_at, now, bounds: bounds() }.at(&execution())
    }

    fn phase(seen: &Seen, pods: &[Pod], seconds: u64) -> (Phase, String) {
        let Found::At(progress) = look(seen, pods, seconds) else { panic!("not there") };
        (progress.phase, progress.message.unwrap().to_string())
    }

    fn waiting(reason: &str) -> serde_json::Value {
        json!({"containerStatuses": [{"name": "app", "state": {"waiting": {"reason": reason}}}]})
    }

    #[test]
    fn an_execution_is_read_back_from_its_receipt_and_foreign_ones_are_not() {
        let receipt = execution().receipt();
        assert_eq!(receipt.execution.as_str(), "web@01234567#4");
        assert_eq!(Execution::read(&receipt), Some(execution()));
        for foreign in ["", "999999999", "web#4", "web@1#x", "#@"] {
            assert_eq!(Execution::read(&Receipt::new(foreign)), None, "{foreign}");
        }
    }

    #[test]
    fn the_phases_follow_the_rollout_of_the_target() {
        let mut seen = back();
        seen.object.status.observed_generation = 3;
        // Everything but the generation still tells of the revision before, which was complete.
        seen.object.status.available_replicas = 2;
        assert_eq!(phase(&seen, &[], 1).0, Phase::Started);
        assert_eq!(phase(&back(), &[], 1).0, Phase::HealthChecking);
        let mut done = back();
        done.object.status.available_replicas = 2;
        let (complete, said) = phase(&done, &[], 1);
        assert_eq!(complete, Phase::Complete);
        assert_eq!(said, "deployment \"web\" successfully rolled out");
    }

    #[test]
    fn what_cannot_heal_fails_at_once_and_the_rest_after_its_grace() {
        let seen = back();
        let target = &seen.kept[1];
        for (reason, seconds, expected) in [
            ("InvalidImageName", 1, Phase::Failed),
            ("CreateContainerConfigError", 1, Phase::HealthChecking),
            ("CreateContainerConfigError", 121, Phase::Failed),
            ("ImagePullBackOff", 120, Phase::HealthChecking),
            ("ImagePullBackOff", 121, Phase::Failed),
            ("CrashLoopBackOff", 121, Phase::Failed),
            ("ContainerCreating", 599, Phase::HealthChecking),
            // A Deployment's own deadline counts, not ours.
            ("ContainerCreating", 6_000, Phase::HealthChecking),
        ] {
            let (found, said) = phase(&seen, &[pod_of(target, &waiting(reason))], seconds);
            assert_eq!(found, expected, "{reason} after {seconds} s");
            assert_eq!(said.contains("pod `web-x`"), reason != "ContainerCreating", "{said}");
        }
        // The pods that are being left behind may fail as they like.
        let old = pod_of(&seen.kept[0], &waiting("InvalidImageName"));
        assert_eq!(phase(&seen, &[old], 1).0, Phase::HealthChecking);
    }

    #[test]
    fn a_deadline_that_passed_fails_with_the_reason_that_pods_give() {
        let mut seen = back();
        seen.object.status.conditions = serde_json::from_value(json!([
            {"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]))
        .unwrap();
        let pod = pod_of(&seen.kept[1], &waiting("ImagePullBackOff"));
        let (found, said) = phase(&seen, &[pod], 1);
        assert_eq!(found, Phase::Failed);
        assert!(said.contains("ImagePullBackOff") && said.contains("progress deadline"), "{said}");
    }

    #[test]
    fn a_quota_is_named_and_given_time_to_be_raised() {
        let mut seen = back();
        seen.kept[1].cannot_create =
            Some(("pods \"web-x\" is forbidden: exceeded quota".into(), Some(at(0))));
        let (found, said) = phase(&seen, &[], 1);
        assert_eq!(found, Phase::HealthChecking);
        assert!(said.contains("cannot be created") && said.contains("exceeded quota"), "{said}");
        assert_eq!(phase(&seen, &[], 121).0, Phase::Failed);
    }

    #[test]
    fn a_workload_without_a_deadline_of_its_own_has_ours() {
        let mut seen = Seen { kind: Kind::DaemonSet, ..back() };
        seen.object.spec.update_strategy.kind = "RollingUpdate".into();
        seen.object.status.desired_number_scheduled = 2;
        assert_eq!(phase(&seen, &[], 600).0, Phase::HealthChecking);
        assert_eq!(phase(&seen, &[], 601).0, Phase::Failed);
    }

    /// A pod of the target, named, made at a second and ready since another one.
    fn ready_since(target: &crate::objects::Kept, made: u64, ready: u64) -> Pod {
        let status = json!({"conditions": [{"type": "Ready", "status": "True",
            "lastTransitionTime": at(ready).to_string()}]});
        let mut pod = pod_of(target, &status);
        pod.metadata.creation_timestamp = Some(at(made));
        pod
    }

    #[test]
    fn time_counts_from_the_last_pod_that_became_ready() {
        // Thirty ordered pods of a minute each.
        let mut seen = Seen { kind: Kind::DaemonSet, ..back() };
        seen.object.spec.update_strategy.kind = "RollingUpdate".into();
        seen.object.status.desired_number_scheduled = 30;
        seen.kept[1].meta.labels = [("controller-revision-hash".to_owned(), "b".to_owned())].into();
        let target = seen.kept[1].clone();
        let pods: Vec<Pod> = (0..20)
            .map(|number| {
                let mut pod = ready_since(&target, number * 60, number * 60 + 59);
                pod.metadata.labels = target.meta.labels.clone();
                pod
            })
            .collect();
        let last = 19 * 60 + 59;
        assert_eq!(phase(&seen, &pods, last + 600).0, Phase::HealthChecking);
        assert_eq!(
            phase(&seen, &pods, last + 601).0,
            Phase::Failed,
            "nothing came for ten minutes"
        );
    }

    #[test]
    fn trouble_late_in_a_healthy_rollout_has_its_whole_grace() {
        let seen = back();
        let target = &seen.kept[1];
        let unplaced = json!({"conditions": [{"type": "PodScheduled", "status": "False",
            "reason": "Unschedulable", "message": "no room",
            "lastTransitionTime": at(300).to_string()}]});
        let restarted = json!({"containerStatuses": [{"name": "app", "restartCount": 1,
            "state": {"running": {}},
            "lastState": {"terminated": {"reason": "Error", "exitCode": 1}}}]});
        assert_eq!(phase(&seen, &[pod_of(target, &unplaced)], 420).0, Phase::HealthChecking);
        assert_eq!(phase(&seen, &[pod_of(target, &unplaced)], 421).0, Phase::Failed);
        // Another pod became ready meanwhile.
        let pods = [pod_of(target, &unplaced), ready_since(target, 0, 400)];
        assert_eq!(phase(&seen, &pods, 520).0, Phase::HealthChecking);
        let (found, said) = phase(&seen, &[pod_of(target, &restarted)], 6_000);
        assert_eq!(found, Phase::HealthChecking);
        assert!(said.contains("restarted 1 times"), "{said}");
    }

    #[test]
    fn the_pod_that_an_ordered_stateful_set_waits_for_is_named() {
        let mut seen = Seen { kind: Kind::StatefulSet, ..back() };
        seen.object.spec.update_strategy.kind = "RollingUpdate".into();
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "web-1", "creationTimestamp": AT,
                "ownerReferences": [{"uid": "0123456789", "controller": true}]},
            "status": waiting("ImagePullBackOff")}))
        .unwrap();
        let (found, said) = phase(&seen, core::slice::from_ref(&pod), 1);
        assert_eq!(found, Phase::HealthChecking);
        assert!(said.contains("OrderedReady") && said.contains("delete pod `web-1`"), "{said}");
        seen.object.spec.pod_management_policy = Some("Parallel".into());
        assert!(!phase(&seen, &[pod], 1).1.contains("OrderedReady"));
    }

    #[test]
    fn what_took_the_targets_place_is_named_and_never_complete() {
        let mut seen = back();
        seen.object.status.available_replicas = 2;
        seen.object.spec.template = template("shop:3");
        let Found::Overtaken(progress) = look(&seen, &[], 1) else { panic!("not overtaken") };
        assert_eq!(progress.phase, Phase::Failed);
        let said = progress.message.unwrap().to_string();
        assert!(said.starts_with("`web-c@web-c-ui` (shop:3) took its place"), "{said}");
        seen.object.spec.template = template("shop:unknown-yet");
        assert!(matches!(look(&seen, &[], 1), Found::Overtaken(_)));
    }

    #[test]
    fn a_workload_that_was_made_anew_is_another_one() {
        let mut seen = back();
        seen.object.metadata.uid = "another-one".into();
        assert!(matches!(look(&seen, &[], 1), Found::Overtaken(_)));
        seen.object.metadata.name = "other".into();
        assert_eq!(look(&seen, &[], 1), Found::Nothing);
        let mut early = back();
        early.object.metadata.generation = 3;
        assert_eq!(look(&early, &[], 1), Found::Nothing);
    }
}
