//! A namespace of one test's own.

use crate::kubelet::Behaviour;
use crate::webhook::Webhook;
use crate::wire::{IsOrder, Wire};
use crate::{Lab, servers};
use http::{Method, Request};
use serde_json::{Value, json};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// How long a lent cluster may take to accept that a namespace goes.
const DELETED_WITHIN: Duration = Duration::from_secs(10);

/// A namespace, with an administrator's hands in it.
pub struct Space {
    lab: &'static Lab,
    name: String,
    client: kube::Client,
    files: TempDir,
    next: AtomicU32,
}

impl fmt::Debug for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Space").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A cluster that is lent is left as it was found, but for what a test that failed leaves to whoever
/// looks into it. One of ours ends as a whole.
impl Drop for Space {
    fn drop(&mut self) {
        if self.lab.is_ours() || std::thread::panicking() {
            return;
        }
        let (lab, path) = (self.lab, format!("/api/v1/namespaces/{}", self.name));
        let (done, wait) = std::sync::mpsc::channel();
        // Not on the test's own runtime, which may be the one that waits here.
        lab.runtime.spawn(async move {
            let request = Request::delete(path).body(Vec::new()).unwrap();
            let deleted = lab.client().await.request_text(request).await;
            let _nobody_waits_any_more = done.send(deleted);
        });
        let deleted = wait.recv_timeout(DELETED_WITHIN);
        assert!(matches!(deleted, Ok(Ok(_))), "{} is left behind: {deleted:?}", self.name);
    }
}

impl Space {
    pub(crate) async fn open(lab: &'static Lab, name: String) -> Self {
        let client = lab.client().await;
        let files = TempDir::with_prefix("kube-lab-space-").unwrap();
        let space = Self { lab, name, client, files, next: AtomicU32::new(0) };
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space.name}});
        lab.behaviours.adopt(&space.name);
        space.ask(Method::POST, "/api/v1/namespaces", "application/json", &namespace).await;
        space
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The lab it is in.
    #[must_use]
    pub const fn lab(&self) -> &'static Lab {
        self.lab
    }

    /// How the pods of an image fare here, those that are there already and those to come.
    pub fn behave(&self, image: &str, behaviour: Behaviour) {
        self.lab.behaviours.set(&self.name, image, behaviour);
    }

    /// `/apis/apps/v1/namespaces/<name>/deployments/web`, of `apis/apps/v1` and `deployments/web`.
    #[must_use]
    pub fn path(&self, api: &str, rest: &str) -> String {
        format!("/{api}/namespaces/{}/{rest}", self.name)
    }

    /// Reads an object or a list.
    pub async fn get(&self, api: &str, rest: &str) -> Value {
        self.ask(Method::GET, &self.path(api, rest), "application/json", &Value::Null).await
    }

    /// Reads an object; none when it is not there.
    pub async fn find(&self, api: &str, rest: &str) -> Option<Value> {
        let path = self.path(api, rest);
        self.try_ask(Method::GET, &path, "application/json", &Value::Null).await.ok()
    }

    /// Creates an object.
    pub async fn create(&self, api: &str, kind: &str, object: Value) -> Value {
        self.ask(Method::POST, &self.path(api, kind), "application/json", &object).await
    }

    /// Changes an object by a merge patch.
    pub async fn merge(&self, api: &str, rest: &str, change: Value) -> Value {
        let path = self.path(api, rest);
        self.ask(Method::PATCH, &path, "application/merge-patch+json", &change).await
    }

    /// Changes an object by a strategic merge patch.
    pub async fn strategic(&self, api: &str, rest: &str, change: Value) -> Value {
        let path = self.path(api, rest);
        self.ask(Method::PATCH, &path, "application/strategic-merge-patch+json", &change).await
    }

    /// Deletes an object.
    pub async fn delete(&self, api: &str, rest: &str) {
        self.ask(Method::DELETE, &self.path(api, rest), "application/json", &json!({})).await;
    }

    /// Sends a request as the administrator.
    ///
    /// # Errors
    ///
    /// What the API server, or the way there, said against it.
    pub async fn try_ask(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: &Value,
    ) -> Result<Value, kube::Error> {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", kind)
            .body(body)
            .unwrap();
        self.client.request(request).await
    }

    async fn ask(&self, method: Method, path: &str, kind: &str, body: &Value) -> Value {
        let answer = self.try_ask(method.clone(), path, kind, body).await;
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// The kubeconfig of a new user who may do here exactly what these RBAC rules say: a service
    /// account, as a host would run under.
    pub async fn user(&self, rules: &Value) -> PathBuf {
        const RBAC: &str = "apis/rbac.authorization.k8s.io/v1";
        let name = format!("user-{}", self.next.fetch_add(1, Ordering::Relaxed));
        let meta = json!({ "name": name });
        self.create("api/v1", "serviceaccounts", json!({"metadata": meta})).await;
        self.create(RBAC, "roles", json!({"metadata": meta, "rules": rules})).await;
        let binding = json!({
            "metadata": meta,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": self.name}],
        });
        self.create(RBAC, "rolebindings", binding).await;
        let asked = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"expirationSeconds": 3600}});
        let made = self.create("api/v1", &format!("serviceaccounts/{name}/token"), asked).await;
        let token = made["status"]["token"].as_str().unwrap();
        self.file(&self.with_token(token))
    }

    /// The cluster as the administrator reaches it, with somebody else's token.
    fn with_token(&self, token: &str) -> String {
        let config = kube::config::Kubeconfig::read_from(self.lab.kubeconfig()).unwrap();
        let context = config.current_context.as_ref().expect("a kubeconfig with a current context");
        let context = config.contexts.iter().find(|it| it.name == *context);
        let name = &context.unwrap().context.as_ref().unwrap().cluster;
        let cluster = config.clusters.iter().find(|it| it.name == *name).unwrap();
        let mut made: Value = serde_json::from_str(&servers::kubeconfig("", None, token)).unwrap();
        // Whatever it says about the way there: certificates, another name, a proxy.
        made["clusters"][0]["cluster"] = serde_json::to_value(&cluster.cluster).unwrap();
        made.to_string()
    }

    fn file(&self, text: &str) -> PathBuf {
        let name = format!("{}.kubeconfig", self.next.fetch_add(1, Ordering::Relaxed));
        let path = self.files.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A webhook that consents to every change of a Deployment here, until it says something else.
    /// None when the cluster is somebody else's and its API server does not come to this machine,
    /// after saying on standard error that `test` was skipped.
    pub async fn webhook(&self, test: &str) -> Option<Webhook> {
        const ADMISSION: &str =
            "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
        let (webhook, config) = Webhook::open(self.lab, &self.name).await;
        let made = self.ask(Method::POST, ADMISSION, "application/json", &config).await;
        if self.lab.is_ours() || self.is_asked(&webhook).await {
            return Some(webhook);
        }
        let name = made["metadata"]["name"].as_str().unwrap();
        let path = format!("{ADMISSION}/{name}");
        self.ask(Method::DELETE, &path, "application/json", &json!({})).await;
        peer::skipped(test, "the cluster is somebody else's and does not reach a webhook here");
        None
    }

    /// Whether the API server gets as far as a webhook on this machine.
    async fn is_asked(&self, webhook: &Webhook) -> bool {
        self.create("apis/apps/v1", "deployments", crate::deployment("asks", "asks:1", 0)).await;
        let path = self.path("apis/apps/v1", "deployments/asks");
        let mut asked = false;
        // It takes the API server a moment to know of a webhook.
        for number in 0..50 {
            let change =
                json!({"metadata": {"annotations": {"example.com/asks": number.to_string()}}});
            let merge = "application/merge-patch+json";
            let changed = self.try_ask(Method::PATCH, &path, merge, &change).await;
            asked = webhook.was_asked();
            if asked || changed.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.delete("apis/apps/v1", "deployments/asks").await;
        asked
    }

    /// A wire to the API server, and the kubeconfig of the same user over it.
    pub async fn wire(&self, kubeconfig: &Path) -> (Wire, PathBuf) {
        self.wire_for(kubeconfig, crate::wire::replaces_a_template).await
    }

    /// The same, for a test that says itself what an order is.
    pub async fn wire_for(&self, kubeconfig: &Path, is_order: IsOrder) -> (Wire, PathBuf) {
        let wire = Wire::open(self.lab, is_order).await;
        let config = kube::config::Kubeconfig::read_from(kubeconfig).unwrap();
        use_token(&config, |token| {
            let path = self.file(&servers::kubeconfig(&wire.url(), None, token));
            (wire, path)
        })
    }
}

fn use_token<T>(config: &kube::config::Kubeconfig, then: impl FnOnce(&str) -> T) -> T {
    // A kubeconfig's own type hides its token; as text it does not.
    let text = serde_json::to_value(config).unwrap();
    then(text["users"][0]["user"]["token"].as_str().expect("a user with a token"))
}
