//! How far a rollout is, in exactly the words of `kubectl rollout status`: the same conditions, in
//! the same order. A differential test holds it to that.

use crate::config::Kind;
use crate::objects::{Object, condition};

/// What `kubectl rollout status` says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Rollout {
    /// It ends well.
    Done(String),
    /// It waits.
    Waiting(String),
    /// It ends badly.
    Failed(String),
}

/// Whether the controller has seen the newest specification.
pub(crate) const fn is_observed(object: &Object) -> bool {
    object.metadata.generation <= object.status.observed_generation
}

pub(crate) fn status(kind: Kind, object: &Object) -> Rollout {
    match kind {
        Kind::Deployment => deployment(object),
        Kind::StatefulSet => stateful_set(object),
        Kind::DaemonSet => daemon_set(object),
    }
}

fn deployment(object: &Object) -> Rollout {
    let (name, status) = (&object.metadata.name, &object.status);
    let waiting = |what: String| {
        Rollout::Waiting(format!("Waiting for deployment \"{name}\" rollout to finish: {what}..."))
    };
    if !is_observed(object) {
        return Rollout::Waiting("Waiting for deployment spec update to be observed...".into());
    }
    let progressing = condition(&status.conditions, "Progressing");
    if progressing.is_some_and(|it| it.reason == "ProgressDeadlineExceeded") {
        return Rollout::Failed(format!("deployment \"{name}\" exceeded its progress deadline"));
    }
    let (updated, wanted) = (status.updated_replicas, object.spec.replicas);
    if let Some(wanted) = wanted.filter(|wanted| updated < *wanted) {
        return waiting(format!("{updated} out of {wanted} new replicas have been updated"));
    }
    if status.replicas > updated {
        let old = status.replicas.saturating_sub(updated);
        return waiting(format!("{old} old replicas are pending termination"));
    }
    if status.available_replicas < updated {
        let available = status.available_replicas;
        return waiting(format!("{available} of {updated} updated replicas are available"));
    }
    Rollout::Done(format!("deployment \"{name}\" successfully rolled out"))
}

/// The only strategy under which there is a rollout to speak of.
const ROLLING_UPDATE: &str = "RollingUpdate";

fn only_rolling(object: &Object) -> Option<Rollout> {
    (object.spec.update_strategy.kind != ROLLING_UPDATE).then(|| {
        Rollout::Failed(format!(
            "rollout status is only available for {ROLLING_UPDATE} strategy type"
        ))
    })
}

fn daemon_set(object: &Object) -> Rollout {
    let (name, status) = (&object.metadata.name, &object.status);
    let waiting = |what: String| {
        Rollout::Waiting(format!("Waiting for daemon set \"{name}\" rollout to finish: {what}..."))
    };
    if let Some(other) = only_rolling(object) {
        return other;
    }
    if !is_observed(object) {
        return Rollout::Waiting("Waiting for daemon set spec update to be observed...".into());
    }
    let wanted = status.desired_number_scheduled;
    if status.updated_number_scheduled < wanted {
        let updated = status.updated_number_scheduled;
        return waiting(format!("{updated} out of {wanted} new pods have been updated"));
    }
    if status.number_available < wanted {
        let available = status.number_available;
        return waiting(format!("{available} of {wanted} updated pods are available"));
    }
    Rollout::Done(format!("daemon set \"{name}\" successfully rolled out"))
}

fn stateful_set(object: &Object) -> Rollout {
    let status = &object.status;
    if let Some(other) = only_rolling(object) {
        return other;
    }
    if status.observed_generation == 0 || !is_observed(object) {
        return Rollout::Waiting("Waiting for statefulset spec update to be observed...".into());
    }
    if let Some(wanted) = object.spec.replicas.filter(|wanted| status.ready_replicas < *wanted) {
        let missing = wanted.saturating_sub(status.ready_replicas);
        return Rollout::Waiting(format!("Waiting for {missing} pods to be ready..."));
    }
    let updated = status.updated_replicas;
    if let Some(rolling) = &object.spec.update_strategy.rolling_update {
        if let (Some(replicas), Some(partition)) = (object.spec.replicas, rolling.partition) {
            let wanted = replicas.saturating_sub(partition);
            if updated < wanted {
                return Rollout::Waiting(format!(
                    "Waiting for partitioned roll out to finish: {updated} out of {wanted} new pods have been updated..."
                ));
            }
        }
        return Rollout::Done(format!(
            "partitioned roll out complete: {updated} new pods have been updated..."
        ));
    }
    if status.update_revision != status.current_revision {
        return Rollout::Waiting(format!(
            "waiting for statefulset rolling update to complete {updated} pods at revision {}...",
            status.update_revision
        ));
    }
    let current = &status.current_revision;
    Rollout::Done(format!(
        "statefulset rolling update complete {} pods at revision {current}...",
        status.replicas
    ))
}

#[cfg(test)]
mod against_kubectl;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn said(kind: Kind, spec: &Value, status: &Value) -> String {
        let object =
            json!({"metadata": {"name": "web", "generation": 4}, "spec": spec, "status": status});
        match super::status(kind, &serde_json::from_value(object).unwrap()) {
            Rollout::Done(text) => format!("done: {text}"),
            Rollout::Waiting(text) => format!("waiting: {text}"),
            Rollout::Failed(text) => format!("failed: {text}"),
        }
    }

    #[test]
    fn a_deployment_is_done_only_when_the_newest_template_is_everywhere_and_available() {
        let late = json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]);
        let table = [
            // Right after the patch everything else still tells of the revision before.
            (
                json!({"observedGeneration": 3, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}),
                "waiting: Waiting for deployment spec update to be observed...",
            ),
            (
                json!({"observedGeneration": 4, "conditions": late}),
                "failed: deployment \"web\" exceeded its progress deadline",
            ),
            (
                json!({"observedGeneration": 4, "updatedReplicas": 1}),
                "waiting: Waiting for deployment \"web\" rollout to finish: 1 out of 3 new replicas have been updated...",
            ),
            (
                json!({"observedGeneration": 4, "replicas": 5, "updatedReplicas": 3}),
                "waiting: Waiting for deployment \"web\" rollout to finish: 2 old replicas are pending termination...",
            ),
            (
                json!({"observedGeneration": 4, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 2}),
                "waiting: Waiting for deployment \"web\" rollout to finish: 2 of 3 updated replicas are available...",
            ),
            (
                json!({"observedGeneration": 5, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}),
                "done: deployment \"web\" successfully rolled out",
            ),
        ];
        for (status, words) in table {
            assert_eq!(said(Kind::Deployment, &json!({"replicas": 3}), &status), words);
        }
        let none = json!({"observedGeneration": 4});
        let words = said(Kind::Deployment, &json!({"replicas": 0}), &none);
        assert_eq!(words, "done: deployment \"web\" successfully rolled out");
    }

    #[test]
    fn a_stateful_set_waits_for_ready_pods_and_then_for_those_past_its_partition() {
        let rolling = |partition: u8| {
            json!({"replicas": 3, "updateStrategy": {"type": "RollingUpdate",
            "rollingUpdate": {"partition": partition}}})
        };
        let table = [
            (
                rolling(0),
                json!({"observedGeneration": 3}),
                "waiting: Waiting for statefulset spec update to be observed...",
            ),
            (
                rolling(0),
                json!({"observedGeneration": 4, "readyReplicas": 1}),
                "waiting: Waiting for 2 pods to be ready...",
            ),
            (
                rolling(0),
                json!({"observedGeneration": 4, "readyReplicas": 3, "updatedReplicas": 1}),
                "waiting: Waiting for partitioned roll out to finish: 1 out of 3 new pods have been updated...",
            ),
            (
                rolling(2),
                json!({"observedGeneration": 4, "readyReplicas": 3, "updatedReplicas": 1}),
                "done: partitioned roll out complete: 1 new pods have been updated...",
            ),
            (
                json!({"replicas": 3, "updateStrategy": {"type": "RollingUpdate"}}),
                json!({"observedGeneration": 4, "readyReplicas": 3, "updatedReplicas": 1,
                    "updateRevision": "web-b", "currentRevision": "web-a"}),
                "waiting: waiting for statefulset rolling update to complete 1 pods at revision web-b...",
            ),
            (
                json!({"replicas": 3, "updateStrategy": {"type": "OnDelete"}}),
                json!({"observedGeneration": 4}),
                "failed: rollout status is only available for RollingUpdate strategy type",
            ),
        ];
        for (spec, status, words) in table {
            assert_eq!(said(Kind::StatefulSet, &spec, &status), words);
        }
    }

    #[test]
    fn a_daemon_set_waits_for_every_node_it_is_wanted_on() {
        let spec = json!({"updateStrategy": {"type": "RollingUpdate"}});
        let table = [
            (
                json!({"observedGeneration": 3}),
                "waiting: Waiting for daemon set spec update to be observed...",
            ),
            (
                json!({"observedGeneration": 4, "desiredNumberScheduled": 2, "updatedNumberScheduled": 1}),
                "waiting: Waiting for daemon set \"web\" rollout to finish: 1 out of 2 new pods have been updated...",
            ),
            (
                json!({"observedGeneration": 4, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2,
                    "numberAvailable": 1}),
                "waiting: Waiting for daemon set \"web\" rollout to finish: 1 of 2 updated pods are available...",
            ),
            (
                json!({"observedGeneration": 4, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2,
                    "numberAvailable": 2}),
                "done: daemon set \"web\" successfully rolled out",
            ),
        ];
        for (status, words) in table {
            assert_eq!(said(Kind::DaemonSet, &spec, &status), words);
        }
    }
}
