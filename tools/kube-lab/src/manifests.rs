//! Small workloads. No scheduler takes their pods, so that no real kubelet does either.

use serde_json::{Value, json};

fn workload(kind: &str, name: &str, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "schedulerName": "kube-lab",
                    "terminationGracePeriodSeconds": 0,
                    "containers": [{"name": "app", "image": image}],
                },
            },
        },
    })
}

/// A Deployment with one container.
#[must_use]
pub fn deployment(name: &str, image: &str, replicas: u32) -> Value {
    let mut made = workload("Deployment", name, image);
    made["spec"]["replicas"] = replicas.into();
    made
}

/// A StatefulSet with one container.
#[must_use]
pub fn stateful_set(name: &str, image: &str, replicas: u32) -> Value {
    let mut made = workload("StatefulSet", name, image);
    made["spec"]["replicas"] = replicas.into();
    made["spec"]["serviceName"] = name.into();
    made
}

/// A DaemonSet with one container.
#[must_use]
pub fn daemon_set(name: &str, image: &str) -> Value {
    workload("DaemonSet", name, image)
}
