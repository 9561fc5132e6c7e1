//! A fake kubelet: no container runs, and pods report what a test tells them to.

use http::{Method, Request};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Between two looks at every pod.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How the pods of an image fare.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Behaviour {
    /// They run and become ready; with `restartPolicy: Never` they succeed.
    #[default]
    Ready,
    /// They run, and become ready when they have been there for so long.
    ReadyAfter(Duration),
    /// They run and never become ready.
    NeverReady,
    /// Nothing becomes of them at all, as on a cluster without room.
    Unschedulable,
    /// The image is not there.
    ImagePullBackOff,
    /// The image's name makes no sense.
    InvalidImageName,
    /// Something that the container needs to start is missing.
    CreateContainerConfigError,
    /// The program ends again and again; with `restartPolicy: Never` they fail.
    CrashLoopBackOff,
    /// The same, for want of memory.
    OutOfMemory,
}

/// What a test told the kubelet.
#[derive(Debug, Default)]
pub(crate) struct Behaviours(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    /// How the beginnings of the names of namespaces are spelt whose pods are ours: another lab may
    /// have pods on the same cluster.
    ours: BTreeSet<String>,
    /// By the beginning of the namespace's name, and the image.
    images: BTreeMap<(String, String), Behaviour>,
}

impl Behaviours {
    /// Drives the pods of every namespace whose name begins like this.
    pub(crate) fn adopt(&self, namespaces: &str) {
        self.told().ours.insert(namespaces.to_owned());
    }

    pub(crate) fn set(&self, namespaces: &str, image: &str, behaviour: Behaviour) {
        let key = (namespaces.to_owned(), image.to_owned());
        self.told().images.insert(key, behaviour);
    }

    fn is_idle(&self) -> bool {
        self.told().ours.is_empty()
    }

    /// None when somebody else drives the pods of this namespace.
    fn of(&self, namespace: &str, image: &str) -> Option<Behaviour> {
        let told = self.told();
        let mut ours = told.ours.iter().filter(|own| namespace.starts_with(own.as_str()));
        // Of several, the last is the longest.
        let own = ours.next_back()?;
        Some(told.images.get(&(own.clone(), image.to_owned())).copied().unwrap_or_default())
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the kubelet keeps of a pod.
#[derive(Debug)]
struct Known {
    since: Instant,
    told: Option<Behaviour>,
}

impl Known {
    /// What is to be told of it now.
    fn now(&self, behaviour: Behaviour) -> Behaviour {
        let Behaviour::ReadyAfter(wait) = behaviour else { return behaviour };
        if self.since.elapsed() < wait { Behaviour::NeverReady } else { Behaviour::Ready }
    }
}

/// Two nodes, so that DaemonSets have somewhere to be.
pub(crate) async fn add_nodes(client: &kube::Client) {
    for name in ["node-a", "node-b"] {
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
        send(client, Method::POST, "/api/v1/nodes", "application/json", &node).await;
        let ready = json!({"status": {"conditions": [
            {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "fake"}]}});
        let path = format!("/api/v1/nodes/{name}/status");
        send(client, Method::PATCH, &path, "application/merge-patch+json", &ready).await;
        // The admission of a node that nobody has seen ready yet.
        let untainted = json!({"spec": {"taints": []}});
        let path = format!("/api/v1/nodes/{name}");
        send(client, Method::PATCH, &path, "application/merge-patch+json", &untainted).await;
    }
}

/// Drives every pod of our namespaces that no scheduler has taken, for ever.
pub(crate) async fn run(client: &kube::Client, behaviours: &Behaviours) {
    let mut known: BTreeMap<String, Known> = BTreeMap::new();
    loop {
        // A lab that only lends its servers has no pods.
        if behaviours.is_idle() {
            tokio::time::sleep(LOOK_EVERY).await;
            continue;
        }
        // As of what the API server remembers, without asking etcd: each change names its pod's uid.
        let list = Request::get("/api/v1/pods?resourceVersion=0").body(Vec::new()).unwrap();
        // While the API server is down there is nothing to do.
        if let Ok(list) = client.request::<Value>(list).await {
            for pod in list["items"].as_array().unwrap_or(&Vec::new()) {
                look(client, behaviours, pod, &mut known).await;
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn look(
    client: &kube::Client,
    behaviours: &Behaviours,
    pod: &Value,
    known: &mut BTreeMap<String, Known>,
) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let meta = &pod["metadata"];
    let (namespace, name, uid) =
        (text(&meta["namespace"]), text(&meta["name"]), text(&meta["uid"]));
    if pod["spec"]["nodeName"].is_string() {
        return;
    }
    let image = text(&pod["spec"]["containers"][0]["image"]);
    let Some(behaviour) = behaviours.of(&namespace, &image) else { return };
    let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
    if meta["deletionTimestamp"].is_string() {
        let at_once = json!({"gracePeriodSeconds": 0, "preconditions": {"uid": uid}});
        send(client, Method::DELETE, &path, "application/json", &at_once).await;
        return;
    }
    let known =
        known.entry(uid.clone()).or_insert_with(|| Known { since: Instant::now(), told: None });
    let behaviour = known.now(behaviour);
    if known.told == Some(behaviour) {
        return;
    }
    let status = json!({"metadata": {"uid": uid}, "status": status(pod, behaviour)});
    let path = format!("{path}/status");
    if send(client, Method::PATCH, &path, "application/merge-patch+json", &status).await {
        known.told = Some(behaviour);
    }
}

fn status(pod: &Value, behaviour: Behaviour) -> Value {
    let now = k8s_openapi::jiff::Timestamp::now();
    let now = k8s_openapi::jiff::Timestamp::from_second(now.as_second()).unwrap().to_string();
    let once = pod["spec"]["restartPolicy"] == "Never";
    let yes_no = |yes| if yes { "True" } else { "False" };
    let scheduled = behaviour != Behaviour::Unschedulable;
    let ready = behaviour == Behaviour::Ready && !once;
    let mut placed =
        json!({"type": "PodScheduled", "status": yes_no(scheduled), "lastTransitionTime": now});
    if !scheduled {
        placed["reason"] = "Unschedulable".into();
        placed["message"] = "0/3 nodes are available: 3 Insufficient cpu.".into();
    }
    let waiting =
        |reason: &str| json!({"waiting": {"reason": reason, "message": "as the test wants it"}});
    let ended = |reason: &str, code: u8| json!({"terminated": {"reason": reason, "exitCode": code, "startedAt": now, "finishedAt": now}});
    let running = || json!({"running": {"startedAt": now}});
    let (phase, state, last, restarts) = match behaviour {
        Behaviour::Ready if once => ("Succeeded", ended("Completed", 0), None, 0),
        Behaviour::CrashLoopBackOff | Behaviour::OutOfMemory if once => {
            ("Failed", ended("Error", 1), None, 0)
        }
        Behaviour::Ready | Behaviour::ReadyAfter(_) | Behaviour::NeverReady => {
            ("Running", running(), None, 0)
        }
        Behaviour::Unschedulable => ("Pending", json!(null), None, 0),
        Behaviour::ImagePullBackOff => ("Pending", waiting("ImagePullBackOff"), None, 0),
        Behaviour::InvalidImageName => ("Pending", waiting("InvalidImageName"), None, 0),
        Behaviour::CreateContainerConfigError => {
            ("Pending", waiting("CreateContainerConfigError"), None, 0)
        }
        Behaviour::CrashLoopBackOff => {
            ("Running", waiting("CrashLoopBackOff"), Some(ended("Error", 1)), 3)
        }
        Behaviour::OutOfMemory => {
            ("Running", waiting("CrashLoopBackOff"), Some(ended("OOMKilled", 137)), 3)
        }
    };
    let container = &pod["spec"]["containers"][0];
    let mut seen = json!({
        "name": container["name"], "image": container["image"], "imageID": "",
        "ready": ready, "started": ready, "restartCount": restarts, "state": state,
    });
    if let Some(last) = last {
        seen["lastState"] = last;
    }
    json!({
        "phase": phase,
        "conditions": [
            placed,
            {"type": "Initialized", "status": yes_no(scheduled), "lastTransitionTime": now},
            {"type": "ContainersReady", "status": yes_no(ready), "lastTransitionTime": now},
            {"type": "Ready", "status": yes_no(ready), "lastTransitionTime": now},
        ],
        "containerStatuses": if scheduled { json!([seen]) } else { json!([]) },
    })
}

/// Whether it was taken. A pod that is gone by now is nobody's loss.
async fn send(client: &kube::Client, method: Method, path: &str, kind: &str, body: &Value) -> bool {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", kind)
        .body(body.to_string().into_bytes())
        .unwrap();
    client.request::<Value>(request).await.is_ok()
}
