//! How far a workload's pods are, as `kubectl rollout status` judges it: the same conditions, in the
//! same order. `tests/it/status.rs` holds it to that on a real cluster.

use crate::manifest::Wanted;
use serde_json::Value;

/// How far a rollout is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Rollout {
    /// The newest template is everywhere, and its pods are there.
    Done,
    /// Pods are missing.
    Waiting {
        /// Which, for people.
        words: String,
        /// How many are ready: whether it comes further.
        ready: i64,
        /// Whether the workload itself tells when it has taken too long.
        has_deadline: bool,
    },
    /// The workload itself gave up.
    Failed(String),
}

/// How many pods of a workload are ready.
pub(crate) fn ready(wanted: &Wanted, live: &Value) -> i64 {
    let ready = if wanted.kind == "DaemonSet" { "numberReady" } else { "readyReplicas" };
    number(live, &format!("/status/{ready}"))
}

fn number(live: &Value, path: &str) -> i64 {
    live.pointer(path).and_then(Value::as_i64).unwrap_or(0)
}

/// How far a workload is, as it lives.
pub(crate) fn of(wanted: &Wanted, live: &Value) -> Rollout {
    let number = |path: &str| number(live, path);
    let title = wanted.title();
    let waiting = |what: String| Rollout::Waiting {
        words: format!("{title} ({what})"),
        ready: ready(wanted, live),
        has_deadline: wanted.kind == "Deployment",
    };
    // Its pods wait for a person, and helm does not wait for them.
    if live.pointer("/spec/updateStrategy/type").and_then(Value::as_str) == Some("OnDelete") {
        return Rollout::Done;
    }
    if number("/status/observedGeneration") < number("/metadata/generation") {
        return waiting("not taken up yet".to_owned());
    }
    if gave_up(live) {
        return Rollout::Failed(format!("{title} exceeded its progress deadline"));
    }
    let (all, updated, there) = if wanted.kind == "DaemonSet" {
        (
            number("/status/desiredNumberScheduled"),
            number("/status/updatedNumberScheduled"),
            number("/status/numberAvailable"),
        )
    } else if wanted.kind == "StatefulSet" {
        let (all, ready) = (number("/spec/replicas"), number("/status/readyReplicas"));
        let kept_back = number("/spec/updateStrategy/rollingUpdate/partition").clamp(0, all);
        (all, number("/status/updatedReplicas").saturating_add(kept_back), ready)
    } else {
        (
            number("/spec/replicas"),
            number("/status/updatedReplicas"),
            number("/status/availableReplicas"),
        )
    };
    let old = number("/status/replicas").saturating_sub(updated);
    if updated < all || there < all {
        return waiting(format!("{} of {all} pods ready", updated.min(there)));
    }
    if wanted.kind == "Deployment" && old > 0 {
        return waiting(format!("{old} pods of the revision before are still there"));
    }
    Rollout::Done
}

/// Whether a Deployment says that it has taken too long.
fn gave_up(live: &Value) -> bool {
    let conditions = live.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|condition| {
        let text = |key: &str| condition.get(key).and_then(Value::as_str);
        text("type") == Some("Progressing") && text("reason") == Some("ProgressDeadlineExceeded")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{read, tests::content};
    use serde_json::json;

    fn wanted(kind: &str) -> Wanted {
        let object = json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "web"}});
        read(&content(&object.to_string())).unwrap().remove(0)
    }

    fn told(kind: &str, spec: &Value, status: &Value) -> String {
        let live = json!({"metadata": {"generation": 2}, "spec": spec, "status": status});
        match of(&wanted(kind), &live) {
            Rollout::Done => "done".to_owned(),
            Rollout::Waiting { words, .. } => words,
            Rollout::Failed(why) => format!("failed: {why}"),
        }
    }

    #[test]
    fn a_deployment_is_done_when_the_newest_template_is_everywhere_and_nothing_else_is_left() {
        let spec = json!({"replicas": 2});
        let status = |observed: i64, all: i64, updated: i64, available: i64| {
            json!({"observedGeneration": observed, "replicas": all, "updatedReplicas": updated,
                "availableReplicas": available})
        };
        let of = |status: Value| told("Deployment", &spec, &status);
        assert_eq!(of(status(1, 2, 2, 2)), "deployment web (not taken up yet)");
        assert_eq!(of(status(2, 3, 1, 2)), "deployment web (1 of 2 pods ready)");
        assert_eq!(of(status(2, 2, 2, 1)), "deployment web (1 of 2 pods ready)");
        let left = "deployment web (1 pods of the revision before are still there)";
        assert_eq!(of(status(2, 3, 2, 2)), left);
        assert_eq!(of(status(2, 2, 2, 2)), "done");
        let mut late = status(2, 3, 1, 2);
        late["conditions"] = json!([{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]);
        assert_eq!(of(late), "failed: deployment web exceeded its progress deadline");
    }

    #[test]
    fn a_stateful_set_is_done_past_its_partition_and_a_daemon_set_on_every_node() {
        let status = |updated: i64, ready: i64| {
            json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": updated,
                "readyReplicas": ready})
        };
        let all = json!({"replicas": 3, "updateStrategy": {"type": "RollingUpdate"}});
        assert_eq!(told("StatefulSet", &all, &status(2, 3)), "statefulset web (2 of 3 pods ready)");
        assert_eq!(told("StatefulSet", &all, &status(3, 2)), "statefulset web (2 of 3 pods ready)");
        assert_eq!(told("StatefulSet", &all, &status(3, 3)), "done");
        let part = json!({"replicas": 3, "updateStrategy": {"rollingUpdate": {"partition": 2}}});
        assert_eq!(told("StatefulSet", &part, &status(1, 3)), "done");
        let by_hand = json!({"replicas": 3, "updateStrategy": {"type": "OnDelete"}});
        assert_eq!(told("StatefulSet", &by_hand, &status(0, 3)), "done");
        let nodes = |updated: i64, available: i64| {
            json!({"observedGeneration": 2, "desiredNumberScheduled": 3,
                "updatedNumberScheduled": updated, "numberAvailable": available})
        };
        let rolling = json!({});
        assert_eq!(told("DaemonSet", &rolling, &nodes(2, 3)), "daemonset web (2 of 3 pods ready)");
        assert_eq!(told("DaemonSet", &rolling, &nodes(3, 2)), "daemonset web (2 of 3 pods ready)");
        assert_eq!(told("DaemonSet", &rolling, &nodes(3, 3)), "done");
    }

    #[test]
    fn ready_pods_are_counted_where_each_kind_counts_them() {
        let live = json!({"status": {"numberReady": 5, "readyReplicas": 3}});
        for (kind, expected) in [("Deployment", 3), ("StatefulSet", 3), ("DaemonSet", 5)] {
            assert_eq!(ready(&wanted(kind), &live), expected, "{kind}");
        }
    }

    #[test]
    fn a_deployment_gives_up_by_one_condition_for_one_reason() {
        for (kind, reason, expected) in [
            ("Progressing", "ProgressDeadlineExceeded", true),
            ("Progressing", "ReplicaSetUpdated", false),
            ("Available", "ProgressDeadlineExceeded", false),
        ] {
            let conditions = json!([{"type": "Available"}, {"type": kind, "reason": reason}]);
            let live = json!({"status": {"conditions": conditions}});
            assert_eq!(gave_up(&live), expected, "{kind} {reason}");
        }
    }

    #[test]
    fn only_a_deployment_tells_by_itself_that_it_took_too_long() {
        for (kind, expected) in [("Deployment", true), ("StatefulSet", false), ("DaemonSet", false)]
        {
            let live = json!({"metadata": {"generation": 2}, "status": {"observedGeneration": 1}});
            let Rollout::Waiting { has_deadline, .. } = of(&wanted(kind), &live) else {
                panic!("{kind} does not wait")
            };
            assert_eq!(has_deadline, expected, "{kind}");
        }
    }
}
