//! What is read of Kubernetes' objects, and no more. Everything may be missing: an API server of
//! another age leaves out what it does not know.

use crate::config::Kind;
use rollback_cluster::{Meta, Texts};
use rollback_core::{RevisionName, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value};

/// A Deployment, a StatefulSet or a DaemonSet.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Object {
    pub(crate) metadata: Meta,
    pub(crate) spec: Spec,
    pub(crate) status: Status,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Spec {
    pub(crate) replicas: Option<i64>,
    pub(crate) paused: bool,
    pub(crate) selector: Selector,
    pub(crate) template: Value,
    pub(crate) revision_history_limit: Option<i64>,
    pub(crate) pod_management_policy: Option<String>,
    pub(crate) volume_claim_templates: Vec<Value>,
    /// Of a StatefulSet or a DaemonSet.
    pub(crate) update_strategy: Strategy,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Strategy {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) rolling_update: Option<RollingUpdate>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RollingUpdate {
    pub(crate) partition: Option<i64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Selector {
    pub(crate) match_labels: Texts,
    pub(crate) match_expressions: Vec<Requirement>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Requirement {
    pub(crate) key: String,
    pub(crate) operator: String,
    pub(crate) values: Vec<String>,
}

impl Selector {
    /// As a query wants it. None when it says something that is not known here.
    pub(crate) fn query(&self) -> Option<String> {
        let labels = self.match_labels.iter().map(|(key, value)| Some(format!("{key}={value}")));
        let rules = self.match_expressions.iter().map(|rule| {
            let (key, values) = (&rule.key, rule.values.join(","));
            match rule.operator.as_str() {
                "In" => Some(format!("{key} in ({values})")),
                "NotIn" => Some(format!("{key} notin ({values})")),
                "Exists" => Some(key.clone()),
                "DoesNotExist" => Some(format!("!{key}")),
                _ => None,
            }
        });
        let parts: Option<Vec<String>> = labels.chain(rules).collect();
        parts.filter(|parts| !parts.is_empty()).map(|parts| parts.join(","))
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Status {
    pub(crate) observed_generation: i64,
    pub(crate) replicas: i64,
    pub(crate) updated_replicas: i64,
    pub(crate) ready_replicas: i64,
    pub(crate) available_replicas: i64,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) update_revision: String,
    pub(crate) current_revision: String,
    pub(crate) desired_number_scheduled: i64,
    pub(crate) updated_number_scheduled: i64,
    pub(crate) number_available: i64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Condition {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) status: String,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) last_transition_time: Option<Timestamp>,
}

pub(crate) fn condition<'a>(all: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    all.iter().find(|condition| condition.kind == kind)
}

/// A ReplicaSet or a ControllerRevision, as it came.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RawRevision {
    pub(crate) metadata: Meta,
    /// Of a ReplicaSet.
    pub(crate) spec: Spec,
    pub(crate) status: Status,
    /// Of a ControllerRevision.
    pub(crate) revision: i64,
    pub(crate) data: Value,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Pod {
    pub(crate) metadata: Meta,
    pub(crate) status: PodStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PodStatus {
    pub(crate) conditions: Vec<Condition>,
    pub(crate) init_container_statuses: Vec<ContainerStatus>,
    pub(crate) container_statuses: Vec<ContainerStatus>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ContainerStatus {
    pub(crate) name: String,
    pub(crate) restart_count: i64,
    pub(crate) state: Option<ContainerState>,
    pub(crate) last_state: Option<ContainerState>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ContainerState {
    pub(crate) waiting: Option<Waiting>,
    pub(crate) terminated: Option<Terminated>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Waiting {
    pub(crate) reason: String,
    pub(crate) message: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Terminated {
    pub(crate) reason: String,
    pub(crate) exit_code: i64,
    pub(crate) finished_at: Option<Timestamp>,
}

/// The label by which a Deployment tells its ReplicaSets apart.
const TEMPLATE_HASH: &str = "pod-template-hash";
/// The label by which the others tell their revisions' pods apart.
const REVISION_HASH: &str = "controller-revision-hash";
const NUMBER: &str = "deployment.kubernetes.io/revision";
const NUMBERS_BEFORE: &str = "deployment.kubernetes.io/revision-history";

/// One kept revision of a workload, of whichever kind.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) meta: Meta,
    pub(crate) number: i64,
    /// The pod template, without what the controller added.
    pub(crate) template: Value,
    /// Why its pods cannot be created, and since when.
    pub(crate) cannot_create: Option<(String, Option<Timestamp>)>,
    /// It certainly was live before its current turn.
    pub(crate) again: bool,
    /// The numbers that it had before its current turn, newest first; of a StatefulSet's or a
    /// DaemonSet's nobody knows.
    pub(crate) numbers_before: Vec<i64>,
    kind: Kind,
}

impl Kept {
    /// None when it holds no template: then nothing can be restored from it.
    pub(crate) fn read(kind: Kind, raw: RawRevision) -> Option<Self> {
        let RawRevision { metadata: meta, spec, status, revision, mut data } = raw;
        let (number, mut template) = match kind {
            Kind::Deployment => {
                (meta.annotation(NUMBER).and_then(|n| n.parse().ok()).unwrap_or(0), spec.template)
            }
            Kind::StatefulSet | Kind::DaemonSet => {
                (revision, data.pointer_mut("/spec/template").map(Value::take)?)
            }
        };
        let fields = template.as_object_mut()?;
        fields.remove("$patch");
        if let Some(Value::Object(labels)) = template.pointer_mut("/metadata/labels") {
            labels.remove(TEMPLATE_HASH);
        }
        let failure = condition(&status.conditions, "ReplicaFailure");
        let cannot_create = failure
            .filter(|it| it.status == "True")
            .map(|it| (it.message.clone(), it.last_transition_time));
        let before = meta.annotation(NUMBERS_BEFORE).unwrap_or_default();
        let again = !before.is_empty();
        let numbers_before = before.rsplit(',').filter_map(|it| it.trim().parse().ok()).collect();
        Some(Self { meta, number, template, cannot_create, again, numbers_before, kind })
    }

    /// What people call it: its number, its name, the numbers that it had before. A number is given
    /// again only after the object that had it was deleted.
    pub(crate) fn names(&self) -> impl Iterator<Item = RevisionName> {
        let now = (self.number > 0).then_some(self.number);
        let numbers =
            |numbers: &[i64]| -> Vec<String> { numbers.iter().map(ToString::to_string).collect() };
        let names = numbers(now.as_slice()).into_iter().chain([self.meta.name.clone()]);
        names.chain(numbers(&self.numbers_before)).filter_map(|name| RevisionName::parse(name).ok())
    }

    pub(crate) fn owns(&self, pod: &Pod) -> bool {
        let label = |key| pod.metadata.label(key);
        match self.kind {
            Kind::Deployment => pod.metadata.is_owned_by(&self.meta.uid),
            Kind::StatefulSet => label(REVISION_HASH) == Some(self.meta.name.as_str()),
            Kind::DaemonSet => {
                let hash = self.meta.label(REVISION_HASH);
                hash.is_some() && label(REVISION_HASH) == hash
            }
        }
    }

    /// Whether a workload with this template runs this revision.
    pub(crate) fn is(&self, template: &Value) -> bool {
        canonical(&self.template) == canonical(template)
    }
}

/// Without what means the same as its absence: null and the empty object.
pub(crate) fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept: Map<String, Value> = fields
                .iter()
                .map(|(key, value)| (key.clone(), canonical(value)))
                .filter(|(_, value)| !is_nothing(value))
                .collect();
            Value::Object(kept)
        }
        Value::Array(items) => Value::Array(items.iter().map(canonical).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_selector_is_asked_for_as_the_api_wants_it() {
        let table = [
            (json!({"matchLabels": {"app": "web", "tier": "front"}}), Some("app=web,tier=front")),
            (
                json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["a", "b"]}]}),
                Some("app in (a,b)"),
            ),
            (
                json!({"matchLabels": {"a": "1"}, "matchExpressions": [
                    {"key": "x", "operator": "Exists"}, {"key": "y", "operator": "DoesNotExist"},
                    {"key": "z", "operator": "NotIn", "values": ["q"]}]}),
                Some("a=1,x,!y,z notin (q)"),
            ),
            (json!({"matchExpressions": [{"key": "x", "operator": "Near"}]}), None),
            // Everything in the namespace would be a strange history.
            (json!({}), None),
        ];
        for (selector, query) in table {
            let read: Selector = serde_json::from_value(selector.clone()).unwrap();
            assert_eq!(read.query().as_deref(), query, "{selector}");
        }
    }

    #[test]
    fn templates_are_the_same_whatever_is_written_for_nothing() {
        let written = json!({"metadata": {"creationTimestamp": null, "labels": {"app": "web"}},
            "spec": {"securityContext": {}, "containers": [{"name": "a", "env": []}]}});
        let bare = json!({"metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "a"}]}});
        assert_eq!(canonical(&written), canonical(&bare));
        let other = json!({"metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "a", "tty": false}]}});
        assert_ne!(canonical(&bare), canonical(&other));
    }

    #[test]
    fn a_kept_revision_is_the_template_without_what_the_controller_added() {
        let raw = json!({"metadata": {"name": "web-1", "annotations": {NUMBER: "7"}}, "spec": {
            "template": {"metadata": {"labels": {"app": "web", TEMPLATE_HASH: "1"}}}}});
        let kept = Kept::read(Kind::Deployment, serde_json::from_value(raw).unwrap()).unwrap();
        assert_eq!((kept.number, kept.again), (7, false));
        assert!(kept.is(&json!({"metadata": {"labels": {"app": "web"}}})));

        let names: Vec<String> = kept.names().map(String::from).collect();
        assert_eq!(names, ["7", "web-1"]);
        let raw = json!({"metadata": {"name": "web-1", "annotations": {NUMBER: "7", NUMBERS_BEFORE: "2,5,x"}},
            "spec": {"template": {}}});
        let kept = Kept::read(Kind::Deployment, serde_json::from_value(raw).unwrap()).unwrap();
        let names: Vec<String> = kept.names().map(String::from).collect();
        assert!(kept.again);
        assert_eq!(names, ["7", "web-1", "5", "2"], "it came back twice");

        let raw = json!({"metadata": {"name": "db-1"}, "revision": 3, "data": {"spec": {
            "template": {"$patch": "replace", "metadata": {"labels": {"app": "db"}}}}}});
        let kept = Kept::read(Kind::StatefulSet, serde_json::from_value(raw).unwrap()).unwrap();
        assert_eq!(kept.number, 3);
        assert!(kept.is(&json!({"metadata": {"labels": {"app": "db"}}})));

        let empty = serde_json::from_value(json!({"metadata": {"name": "x"}})).unwrap();
        assert!(Kept::read(Kind::DaemonSet, empty).is_none());

        let raw = json!({"metadata": {"name": "web-1"}, "spec": {"template": {}}});
        let kept = Kept::read(Kind::Deployment, serde_json::from_value(raw).unwrap()).unwrap();
        let names: Vec<String> = kept.names().map(String::from).collect();
        assert_eq!(names, ["web-1"], "without a number");
    }

    #[test]
    fn pods_cannot_be_created_while_the_replica_set_says_so() {
        let why = |status: &str| {
            let failure = json!({"type": "ReplicaFailure", "status": status, "message": "quota"});
            let raw = json!({"metadata": {"name": "web-1"}, "spec": {"template": {}},
                "status": {"conditions": [failure]}});
            let kept = Kept::read(Kind::Deployment, serde_json::from_value(raw).unwrap()).unwrap();
            kept.cannot_create
        };
        assert_eq!(why("True"), Some(("quota".to_owned(), None)));
        assert_eq!(why("False"), None);
    }

    #[test]
    fn a_pod_belongs_to_a_revision_by_its_owner_or_by_its_hash() {
        let pod =
            |meta: Value| -> Pod { serde_json::from_value(json!({"metadata": meta})).unwrap() };
        let owned = |uid: &str| pod(json!({"ownerReferences": [{"uid": uid, "controller": true}]}));
        let hashed = |hash: &str| pod(json!({"labels": {REVISION_HASH: hash}}));
        let kept = |kind, meta: Value| {
            let raw = json!({"metadata": meta, "spec": {"template": {}},
                "data": {"spec": {"template": {}}}});
            Kept::read(kind, serde_json::from_value(raw).unwrap()).unwrap()
        };
        let replica_set = kept(Kind::Deployment, json!({"name": "web-1", "uid": "1"}));
        assert!(replica_set.owns(&owned("1")));
        assert!(!replica_set.owns(&owned("2")) && !replica_set.owns(&hashed("web-1")));
        let of_a_stateful_set = kept(Kind::StatefulSet, json!({"name": "db-1", "uid": "1"}));
        assert!(of_a_stateful_set.owns(&hashed("db-1")));
        assert!(!of_a_stateful_set.owns(&hashed("db-2")) && !of_a_stateful_set.owns(&owned("1")));
        let labels = json!({"name": "agent-1", "labels": {REVISION_HASH: "1"}});
        let of_a_daemon_set = kept(Kind::DaemonSet, labels);
        assert!(of_a_daemon_set.owns(&hashed("1")));
        assert!(!of_a_daemon_set.owns(&hashed("2")) && !of_a_daemon_set.owns(&hashed("agent-1")));
        let unlabelled = kept(Kind::DaemonSet, json!({"name": "agent-1"}));
        assert!(!unlabelled.owns(&pod(json!({}))), "two that have no hash have nothing in common");
    }
}
