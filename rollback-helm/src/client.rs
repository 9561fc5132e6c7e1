//! All requests of our own, and no decision but one: whether a failed request can have changed
//! anything.

use crate::config::{Connection, Release};
use crate::error::HelmError;
use crate::objects::{Bare, List, Meta};
use crate::record::{RawSecret, clip};
use core::fmt;
use core::time::Duration;
use futures_util::StreamExt as _;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// How many revisions are listed: a hundred times what helm keeps unless it is told.
const LIST_MAX: usize = 1000;

const JSON: &str = "application/json";
const BARE: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const BARE_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/// What a request is about, in the words of a Role.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tried {
    verb: &'static str,
    resource: String,
    name: Option<String>,
    namespace: String,
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if let Some(name) = &self.name {
            write!(f, " `{name}`")?;
        }
        write!(f, " in namespace `{}`", self.namespace)
    }
}

/// A connection to a cluster. Clones share it; the releases of one cluster need only one.
#[derive(Clone)]
pub struct Cluster {
    client: kube::Client,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither address nor credentials.
        f.debug_struct("Cluster").finish_non_exhaustive()
    }
}

impl Cluster {
    /// Sets the connection up. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`HelmError::Connection`] when the kubeconfig or the service account cannot be read.
    pub async fn connect(connection: &Connection) -> Result<Self, HelmError> {
        fn bad<E>(what: &'static str) -> impl FnOnce(E) -> HelmError
        where
            E: Into<Box<dyn std::error::Error + Send + Sync>>,
        {
            move |error| HelmError::Connection { what, source: error.into() }
        }
        let mut config = match connection {
            Connection::Inferred => kube::Config::infer()
                .await
                .map_err(bad("there is neither a usable kubeconfig nor a service account"))?,
            Connection::InCluster => kube::Config::incluster()
                .map_err(bad("this does not run in a pod with a service account"))?,
            Connection::Kubeconfig { path, context } => {
                let read = match path {
                    Some(path) => Kubeconfig::read_from(path),
                    None => Kubeconfig::read(),
                };
                let kubeconfig = read.map_err(bad("the kubeconfig cannot be read"))?;
                let options =
                    KubeConfigOptions { context: context.clone(), ..KubeConfigOptions::default() };
                kube::Config::from_custom_kubeconfig(kubeconfig, &options)
                    .await
                    .map_err(bad("the kubeconfig's context cannot be used"))?
            }
        };
        // It would send a write again after a 504: whether to do that is not the client's to say.
        config.default_retry = false;
        let client =
            kube::Client::try_from(config).map_err(bad("its certificates cannot be used"))?;
        Ok(Self { client })
    }

    /// Sends what somebody else wrote. Its answer may go on for as long as a watch does.
    pub(crate) async fn forward(
        &self,
        request: Request<kube::client::Body>,
    ) -> Result<http::Response<kube::client::Body>, kube::Error> {
        self.client.send(request).await
    }
}

/// One release of a cluster.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) cluster: Cluster,
    pub(crate) release: Release,
    timeout: Duration,
    /// The resources of each group and version, by kind.
    kinds: Mutex<BTreeMap<String, BTreeMap<String, Resource>>>,
}

/// Where objects of a kind are found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Resource {
    pub(crate) plural: String,
    pub(crate) namespaced: bool,
}

/// The releases of a list, and from when on a watch goes on.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) metas: Vec<Meta>,
    pub(crate) version: String,
}

impl Client {
    pub(crate) fn new(cluster: Cluster, release: Release, timeout: Duration) -> Self {
        Self { cluster, release, timeout, kinds: Mutex::default() }
    }

    /// The metadata of every revision of the release, without what is in them.
    pub(crate) async fn list(&self) -> Result<Listed, HelmError> {
        let tried = self.tried("list", "secrets");
        let path = format!("{}?limit={LIST_MAX}&labelSelector={}", self.secrets(), self.selector());
        let list: List<Bare> = self.ask(Method::GET, &path, None, BARE_LIST, tried.clone()).await?;
        if !list.metadata.more.is_empty() {
            return Err(HelmError::TooMany { tried, max: LIST_MAX });
        }
        let metas = list.items.into_iter().map(|bare| bare.metadata).collect();
        Ok(Listed { metas, version: list.metadata.resource_version })
    }

    pub(crate) async fn secret(&self, name: &str) -> Result<RawSecret, HelmError> {
        let tried = self.tried("get", "secrets").named(name);
        let path = format!("{}/{}", self.secrets(), encode(name));
        self.ask(Method::GET, &path, None, JSON, tried).await
    }

    /// The metadata of a Secret; none when it is not there.
    pub(crate) async fn secret_meta(&self, name: &str) -> Result<Option<Meta>, HelmError> {
        let tried = self.tried("get", "secrets").named(name);
        let path = format!("{}/{}", self.secrets(), encode(name));
        let bare: Result<Bare, HelmError> = self.ask(Method::GET, &path, None, BARE, tried).await;
        found(bare).map(|bare| bare.map(|bare| bare.metadata))
    }

    /// Deletes exactly this Secret as it was seen.
    pub(crate) async fn delete_secret(&self, meta: &Meta) -> Result<(), HelmError> {
        let tried = self.tried("delete", "secrets").named(&meta.name);
        let path = format!("{}/{}", self.secrets(), encode(&meta.name));
        let only =
            json!({"preconditions": {"uid": meta.uid, "resourceVersion": meta.resource_version}});
        let gone: Result<Value, HelmError> =
            self.ask(Method::DELETE, &path, Some(&only), JSON, tried).await;
        found(gone).map(drop)
    }

    pub(crate) async fn lease(&self, name: &str) -> Result<Option<Value>, HelmError> {
        let tried = self.tried("get", "leases").named(name);
        found(self.ask(Method::GET, &self.leases(Some(name)), None, JSON, tried).await)
    }

    pub(crate) async fn create_lease(&self, name: &str, lease: &Value) -> Result<Value, HelmError> {
        let tried = self.tried("create", "leases").named(name);
        self.ask(Method::POST, &self.leases(None), Some(lease), JSON, tried).await
    }

    pub(crate) async fn put_lease(&self, name: &str, lease: &Value) -> Result<Value, HelmError> {
        let tried = self.tried("update", "leases").named(name);
        self.ask(Method::PUT, &self.leases(Some(name)), Some(lease), JSON, tried).await
    }

    /// An object of any kind; none when it, or its kind, is not there.
    pub(crate) async fn object(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Value>, HelmError> {
        let Some((path, tried)) = self.locate("get", api_version, kind, namespace, name).await?
        else {
            return Ok(None);
        };
        found(self.ask(Method::GET, &path, None, JSON, tried).await)
    }

    /// Applies an object as helm 4 does, without effect. An error says why helm could not.
    pub(crate) async fn rehearse_apply(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
        object: &Value,
    ) -> Result<(), HelmError> {
        let Some((path, tried)) = self.locate("patch", api_version, kind, namespace, name).await?
        else {
            return Ok(());
        };
        let path = format!("{path}?fieldManager=helm&force=false&dryRun=All");
        let mut request = build(Method::PATCH, &path, Some(object), JSON, &tried)?;
        let apply = HeaderValue::from_static("application/apply-patch+yaml");
        request.headers_mut().insert(CONTENT_TYPE, apply);
        self.send::<Value>(request, tried).await.map(drop)
    }

    /// Where an object is found; none when the cluster does not know its kind.
    async fn locate(
        &self,
        verb: &'static str,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Option<(String, Tried)>, HelmError> {
        let Some(resource) = self.resource(api_version, kind).await? else {
            return Ok(None);
        };
        let within = if resource.namespaced {
            format!("/namespaces/{}", encode(namespace))
        } else {
            String::new()
        };
        let path = format!("{}{within}/{}/{}", api(api_version), resource.plural, encode(name));
        let tried = Tried {
            verb,
            resource: resource.plural,
            name: Some(name.to_owned()),
            namespace: namespace.to_owned(),
        };
        Ok(Some((path, tried)))
    }

    /// Every autoscaler of the namespace.
    pub(crate) async fn autoscalers(&self) -> Result<Vec<Value>, HelmError> {
        let tried = self.tried("list", "horizontalpodautoscalers");
        let path = self.path("apis/autoscaling/v2", "horizontalpodautoscalers");
        let list: List<Value> =
            self.ask(Method::GET, &format!("{path}?limit={LIST_MAX}"), None, JSON, tried).await?;
        Ok(list.items)
    }

    /// Completes at the first change of a revision after `version`.
    pub(crate) async fn changed_since(&self, version: &str) -> Result<(), HelmError> {
        let tried = self.tried("watch", "secrets");
        let path = format!(
            "{}?watch=true&labelSelector={}&resourceVersion={}",
            self.secrets(),
            self.selector(),
            encode(version)
        );
        let request = build(Method::GET, &path, None, BARE, &tried)?;
        let events = self.cluster.client.request_events::<Value>(request);
        let events = tokio::time::timeout(self.timeout, events).await;
        let events = events.map_err(|_elapsed| late(&tried, self.timeout))?;
        let events = events.map_err(|error| classify(error, &tried))?;
        let first = std::pin::pin!(events).next().await;
        match first {
            Some(Err(error)) => Err(classify(error, &tried)),
            Some(Ok(_)) | None => Ok(()),
        }
    }

    /// The path of the Secrets of the namespace.
    pub(crate) fn secrets(&self) -> String {
        self.path("api/v1", "secrets")
    }

    fn leases(&self, name: Option<&str>) -> String {
        let all = self.path("apis/coordination.k8s.io/v1", "leases");
        name.map_or_else(|| all.clone(), |name| format!("{all}/{}", encode(name)))
    }

    fn selector(&self) -> String {
        encode(&format!("owner=helm,name={}", self.release.name))
    }

    fn path(&self, api: &str, resource: &str) -> String {
        format!("/{api}/namespaces/{}/{resource}", encode(&self.release.namespace))
    }

    fn tried(&self, verb: &'static str, resource: &str) -> Tried {
        let namespace = self.release.namespace.clone();
        Tried { verb, resource: resource.to_owned(), name: None, namespace }
    }

    async fn resource(&self, api_version: &str, kind: &str) -> Result<Option<Resource>, HelmError> {
        let known = {
            let kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
            kinds.get(api_version).map(|kinds| kinds.get(kind).cloned())
        };
        if let Some(known) = known {
            return Ok(known);
        }
        let tried = self.tried("get", &format!("the kinds of {}", clip(api_version)));
        let path = api(api_version);
        let Some(list) = found(self.ask::<Value>(Method::GET, &path, None, JSON, tried).await)?
        else {
            return Ok(None);
        };
        let read = kinds_of(&list);
        let resource = read.get(kind).cloned();
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        kinds.insert(api_version.to_owned(), read);
        Ok(resource)
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        accept: &str,
        tried: Tried,
    ) -> Result<T, HelmError> {
        let request = build(method, path, body, accept, &tried)?;
        self.send(request, tried).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        request: Request<Vec<u8>>,
        tried: Tried,
    ) -> Result<T, HelmError> {
        let answer = self.cluster.client.request_text(request);
        let answer = tokio::time::timeout(self.timeout, answer).await;
        let text = answer.map_err(|_elapsed| late(&tried, self.timeout))?;
        let text = text.map_err(|error| classify(error, &tried))?;
        serde_json::from_str(&text).map_err(|error| {
            // Where it is wrong, not what it says: it can hold secrets.
            let why = format!("its answer makes no sense (line {})", error.line());
            HelmError::Silent { tried, why }
        })
    }
}

impl Tried {
    fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }
}

fn found<T>(asked: Result<T, HelmError>) -> Result<Option<T>, HelmError> {
    match asked {
        Ok(object) => Ok(Some(object)),
        Err(HelmError::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `/api/v1` or `/apis/apps/v1`.
fn api(api_version: &str) -> String {
    let encoded: Vec<String> = api_version.split('/').map(encode).collect();
    let root = if encoded.len() == 1 { "api" } else { "apis" };
    format!("/{root}/{}", encoded.join("/"))
}

fn kinds_of(list: &Value) -> BTreeMap<String, Resource> {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let resources = list.get("resources").and_then(Value::as_array);
    resources
        .into_iter()
        .flatten()
        .filter_map(|resource| {
            let plural = text(resource, "name").filter(|name| !name.contains('/'))?;
            let namespaced = resource.get("namespaced").and_then(Value::as_bool)?;
            Some((text(resource, "kind")?, Resource { plural, namespaced }))
        })
        .collect()
}

fn build(
    method: Method,
    path: &str,
    body: Option<&Value>,
    accept: &str,
    tried: &Tried,
) -> Result<Request<Vec<u8>>, HelmError> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("accept", accept)
        .header("content-type", JSON);
    let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
    request.body(body).map_err(|_bad_name| HelmError::Refused {
        tried: tried.clone(),
        code: 0,
        why: "its name cannot be part of a URL".to_owned(),
    })
}

fn late(tried: &Tried, timeout: Duration) -> HelmError {
    let why = format!("no answer within {}", rollback_core::in_words(timeout));
    HelmError::Silent { tried: tried.clone(), why }
}

/// What an error means for whoever asked. Every answer of 4xx is a decision of the API server not
/// to do it; everything else leaves a write in doubt.
fn classify(error: kube::Error, tried: &Tried) -> HelmError {
    let tried = tried.clone();
    let told = error.to_string();
    let kube::Error::Api(status) = error else {
        tracing::debug!(error = told, "the API server did not answer");
        return HelmError::Silent { tried, why: "the connection failed".to_owned() };
    };
    let why = clip(&status.message);
    match status.code {
        401 => HelmError::Unauthorized,
        // A webhook or a quota forbids in other words than RBAC does.
        403 if status.message.contains(&format!("cannot {} resource", tried.verb)) => {
            HelmError::Forbidden { tried }
        }
        404 => HelmError::Missing { tried },
        // Somebody else owns a field that was to be applied.
        409 if status.message.contains("Apply failed with") => {
            HelmError::Refused { tried, code: 409, why }
        }
        409 => HelmError::Moved { tried },
        429 => {
            let seconds = status.details.as_ref().map_or(0, |it| it.retry_after_seconds);
            let after = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
            HelmError::Overloaded { tried, after }
        }
        code @ 400..=499 => HelmError::Refused { tried, code, why },
        code => HelmError::Silent { tried, why: format!("it answered {code}") },
    }
}

/// A part of a URL.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: u16, message: &str) -> kube::Error {
        let status = json!({"status": "Failure", "code": code, "message": message,
            "reason": "", "metadata": {}});
        kube::Error::Api(serde_json::from_value(status).unwrap())
    }

    #[test]
    fn only_an_answer_of_4xx_says_that_nothing_happened() {
        let tried = Tried {
            verb: "update",
            resource: "leases".into(),
            name: Some("web".into()),
            namespace: "shop".into(),
        };
        let rbac = "leases \"web\" is forbidden: User \"u\" cannot update resource \"leases\" in API group";
        let table = [
            (401, "Unauthorized", "does not accept the credentials"),
            (403, rbac, "may not update leases `web` in namespace `shop`"),
            (403, "admission webhook \"policy\" denied the request: no", "refused to update"),
            (404, "not found", "there is nothing to update"),
            (409, "the object has been modified", "it has changed meanwhile"),
            (409, "Apply failed with 1 conflict: conflict with \"x\"", "conflict with \"x\""),
            (422, "Lease is invalid", "refused to update"),
            (429, "too many requests", "overloaded"),
            (500, "etcdserver: request timed out", "did not answer"),
            (503, "apiserver not ready", "did not answer"),
            (504, "request did not complete", "did not answer"),
        ];
        for (code, message, words) in table {
            let error = classify(answer(code, message), &tried);
            assert!(error.to_string().contains(words), "{code} {message:?}: {error}");
            let silent = matches!(error, HelmError::Silent { .. });
            assert_eq!(silent, !(400..500).contains(&code), "{code}");
            assert_eq!(silent, !error.to_string().contains("nothing was changed"), "{error}");
        }
        let reset =
            kube::Error::ReadEvents(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        assert!(matches!(classify(reset, &tried), HelmError::Silent { .. }));
    }

    #[test]
    fn a_name_cannot_lead_to_another_path() {
        assert_eq!(encode("web-1.2_~"), "web-1.2_~");
        assert_eq!(encode("../x?a=b c"), "..%2Fx%3Fa%3Db%20c");
        assert_eq!(api("v1"), "/api/v1");
        assert_eq!(api("apps/v1"), "/apis/apps/v1");
        assert_eq!(api("../x y"), "/apis/../x%20y");
    }

    #[test]
    fn kinds_are_found_and_subresources_are_not() {
        let list = json!({"resources": [
            {"name": "deployments", "kind": "Deployment", "namespaced": true},
            {"name": "deployments/scale", "kind": "Scale", "namespaced": true},
            {"name": "nodes", "kind": "Node", "namespaced": false}]});
        let kinds = kinds_of(&list);
        assert_eq!(kinds.len(), 2);
        assert_eq!(
            kinds["Deployment"],
            Resource { plural: "deployments".into(), namespaced: true }
        );
        assert!(!kinds["Node"].namespaced);
    }
}
