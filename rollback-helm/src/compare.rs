//! What is live, beside what the target wants. A three-way merge leaves behind what neither the
//! revision before nor the target mentions: a container that somebody added by hand stays.
//!
//! Differences are told by name. Values are shown only where they cannot be a password: images and
//! numbers of replicas.

use crate::manifest::Wanted;
use crate::record::clip;
use serde_json::Value;

/// Lists whose items have a name, and of which an extra one was left behind.
const NAMED_LISTS: [&str; 6] =
    ["containers", "initContainers", "env", "volumes", "volumeMounts", "ports"];

/// How many differences of one object are told.
const TOLD_MAX: usize = 3;

/// What of the target is not live, or lives beside it.
pub(crate) fn differences(wanted: &Wanted, live: Option<&Value>) -> Option<String> {
    let Some(live) = live else {
        return Some(format!("{} is not there", wanted.title()));
    };
    let mut found = Vec::new();
    for part in ["spec", "data"] {
        if let Some(expected) = wanted.object.get(part) {
            // A Secret's values may be written as text and are kept in base64.
            if wanted.kind == "Secret" {
                continue;
            }
            let seen = live.get(part).unwrap_or(&Value::Null);
            walk(expected, seen, part, &mut found);
        }
    }
    if found.is_empty() {
        return None;
    }
    let more = found.len().saturating_sub(TOLD_MAX);
    let mut told: Vec<String> = found.into_iter().take(TOLD_MAX).collect();
    if more > 0 {
        told.push(format!("{more} more"));
    }
    Some(format!("{}: {}", wanted.title(), told.join(", ")))
}

fn walk(wanted: &Value, live: &Value, path: &str, found: &mut Vec<String>) {
    match (wanted, live) {
        // Asking for nothing is the same as getting a default.
        (Value::Null, _) => {}
        (Value::Object(wanted), Value::Object(live)) => {
            for (key, value) in wanted {
                let below = format!("{path}.{key}");
                walk(value, live.get(key).unwrap_or(&Value::Null), &below, found);
            }
            for (key, value) in live.iter().filter(|(key, _)| !wanted.contains_key(*key)) {
                // A whole list that the target does not have; its items are what was left behind.
                if NAMED_LISTS.contains(&key.as_str()) && key != "ports" && path != "spec" {
                    extra(&Value::Array(Vec::new()), value, &format!("{path}.{key}"), found);
                }
            }
        }
        (Value::Array(items), Value::Array(seen)) => {
            let key = path.rsplit('.').next().unwrap_or_default();
            if items.iter().chain(seen).all(|item| name(item).is_some()) {
                for item in items {
                    let Some(wanted_name) = name(item) else { continue };
                    let same = seen.iter().find(|it| name(it) == Some(wanted_name));
                    let below = format!("{path}[{wanted_name}]");
                    walk(item, same.unwrap_or(&Value::Null), &below, found);
                }
                if NAMED_LISTS.contains(&key) {
                    extra(wanted, live, path, found);
                }
            } else if items.len() == seen.len() {
                for (index, (item, seen)) in items.iter().zip(seen).enumerate() {
                    walk(item, seen, &format!("{path}[{index}]"), found);
                }
            } else {
                found.push(format!("{} differs", shown(path)));
            }
        }
        (wanted, Value::Null) if is_empty(wanted) => {}
        (wanted, live) if same(wanted, live) => {}
        (Value::String(wanted), Value::String(live)) if path.ends_with(".image") => {
            found.push(clip(&format!("{} is {live} and not {wanted}", shown(path))));
        }
        (wanted, live) if path == "spec.replicas" => {
            found.push(clip(&format!("replicas is {live} and not {wanted}")));
        }
        _ => found.push(format!("{} differs", shown(path))),
    }
}

fn extra(wanted: &Value, live: &Value, path: &str, found: &mut Vec<String>) {
    let (Some(wanted), Some(live)) = (wanted.as_array(), live.as_array()) else { return };
    for item in live {
        if let Some(left) =
            name(item).filter(|left| !wanted.iter().any(|it| name(it) == Some(left)))
        {
            found.push(clip(&format!("{}[{left}] was left behind", shown(path))));
        }
    }
}

fn name(item: &Value) -> Option<&str> {
    item.get("name").and_then(Value::as_str)
}

/// Whether the API server leaves such a thing out.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
    }
}

/// Whether both mean the same: quantities and ports come back in another spelling.
fn same(wanted: &Value, live: &Value) -> bool {
    if wanted == live {
        return true;
    }
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    let (Some(wanted), Some(live)) = (text(wanted), text(live)) else { return false };
    wanted == live || quantity(&wanted).is_some_and(|it| quantity(&live) == Some(it))
}

/// A Kubernetes quantity in thousandths: `500m`, `0.5`, `1Gi`.
fn quantity(text: &str) -> Option<i128> {
    const SUFFIXES: [(&str, i128); 13] = [
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("Ti", 1 << 40),
        ("Pi", 1 << 50),
        ("Ei", 1 << 60),
        ("k", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
        ("P", 1_000_000_000_000_000),
        ("E", 1_000_000_000_000_000_000),
        ("", 1),
    ];
    if let Some(thousandths) = text.strip_suffix('m') {
        return thousandths.parse().ok();
    }
    let (number, factor) =
        SUFFIXES.iter().find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, factor)))?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.len() > 3 {
        return None;
    }
    let whole: i128 = whole.parse().ok()?;
    let fraction: i128 = format!("{fraction:0<3}").parse().ok()?;
    whole.checked_mul(1000)?.checked_add(fraction)?.checked_mul(*factor)
}

fn shown(path: &str) -> &str {
    path.strip_prefix("spec.template.spec.").or_else(|| path.strip_prefix("spec.")).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{read, tests::content};
    use serde_json::json;

    fn wanted(spec: &Value) -> Wanted {
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec});
        read(&content(&object.to_string())).unwrap().remove(0)
    }

    fn pods(containers: &Value) -> Value {
        json!({"replicas": 2, "template": {"spec": {"containers": containers}}})
    }

    fn compare(spec: &Value, live: &Value) -> Option<String> {
        differences(&wanted(spec), Some(&json!({ "spec": live })))
    }

    #[test]
    fn what_the_api_server_adds_is_no_difference() {
        let spec = pods(
            &json!([{"name": "app", "image": "shop:1", "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}},
            "ports": [{"containerPort": 80}], "env": [], "stdin": false, "tty": null}]),
        );
        let live = json!({"replicas": 2, "revisionHistoryLimit": 10, "template": {"spec": {"dnsPolicy": "ClusterFirst",
            "containers": [{"name": "app", "image": "shop:1", "imagePullPolicy": "Always",
                "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}}, "tty": true,
                "ports": [{"containerPort": 80, "protocol": "TCP"}]}]}}});
        assert_eq!(compare(&spec, &live), None);
        let bare = pods(&json!([{"name": "app"}]));
        let live = json!({"replicas": 2, "template": {"spec": {
            "imagePullSecrets": [{"name": "added-by-the-service-account"}],
            "containers": [{"name": "app", "ports": [{"name": "http", "containerPort": 80}]}]}}});
        assert_eq!(compare(&bare, &live), None, "nor is what a controller puts beside it");
    }

    #[test]
    fn what_was_left_behind_and_what_is_missing_is_told_by_name() {
        let spec = pods(
            &json!([{"name": "app", "image": "shop:1", "env": [{"name": "A", "value": "hunter2"}]}]),
        );
        let app = |env: Value, image: &str| json!({"name": "app", "image": image, "env": env});
        let a = json!({"name": "A", "value": "hunter2"});
        let table = [
            (
                json!([app(json!([a]), "shop:1"), {"name": "debug", "image": "x"}]),
                "deployment web: containers[debug] was left behind",
            ),
            (
                json!([app(json!([a, {"name": "B", "value": "swordfish"}]), "shop:1")]),
                "deployment web: containers[app].env[B] was left behind",
            ),
            (
                json!([app(json!([{"name": "A", "value": "swordfish"}]), "shop:1")]),
                "deployment web: containers[app].env[A].value differs",
            ),
            (
                json!([app(json!([a]), "shop:2")]),
                "deployment web: containers[app].image is shop:2 and not shop:1",
            ),
            (
                json!([{"name": "other"}]),
                "deployment web: containers[app] differs, containers[other] was left behind",
            ),
        ];
        for (containers, expected) in table {
            let told = compare(&spec, &pods(&containers)).unwrap();
            assert_eq!(told, expected);
            assert!(!told.contains("swordfish") && !told.contains("hunter2"), "{told}");
        }
        let env = pods(&json!([{"name": "app", "image": "shop:1"}]));
        let told = compare(&env, &pods(&json!([app(json!([a]), "shop:1")])));
        assert_eq!(told.as_deref(), Some("deployment web: containers[app].env[A] was left behind"));
    }

    #[test]
    fn replicas_and_absence_are_told() {
        let two = json!({"replicas": 2});
        assert_eq!(
            compare(&two, &json!({"replicas": 7})).unwrap(),
            "deployment web: replicas is 7 and not 2"
        );
        assert_eq!(differences(&wanted(&two), None).unwrap(), "deployment web is not there");
    }

    #[test]
    fn many_differences_of_one_object_are_counted() {
        let spec = json!({"a": 1, "b": 2, "c": 3, "d": 4, "e": 5});
        let told = compare(&spec, &json!({})).unwrap();
        assert_eq!(told, "deployment web: a differs, b differs, c differs, 2 more");
    }

    #[test]
    fn quantities_are_compared_by_what_they_mean() {
        for (one, other) in [
            ("0.5", "500m"),
            ("0.125", "125m"),
            ("1", "1000m"),
            ("2k", "2000"),
            ("1Ki", "1024"),
            ("1Mi", "1024Ki"),
            ("1Gi", "1024Mi"),
            ("1Ti", "1024Gi"),
            ("1Pi", "1024Ti"),
            ("1Ei", "1024Pi"),
        ] {
            assert_ne!(quantity(one), None, "{one}");
            assert_eq!(quantity(one), quantity(other), "{one} {other}");
        }
        for text in ["", "x", "1.2345", "99999999999999999999999999999999999999Ei", "-"] {
            assert_eq!(quantity(text), None, "{text}");
        }
    }

    #[test]
    fn a_secret_is_never_compared_by_value() {
        let text =
            "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\ndata: {password: aHVudGVyMg==}";
        let secret = read(&content(text)).unwrap().remove(0);
        assert_eq!(differences(&secret, Some(&json!({"data": {"password": "eHg="}}))), None);
    }
}
