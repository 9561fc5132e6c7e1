//! All input and output, and no decision but one: whether a failed request can have changed
//! anything.

use crate::config::{Connection, Workload};
use crate::error::KubeError;
use crate::objects::{Kept, List, Object, Pod, RawRevision};
use core::fmt;
use core::time::Duration;
use futures_util::StreamExt as _;
use http::{Method, Request};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What this adapter is called where the API server notes who changed what.
pub(crate) const FIELD_MANAGER: &str = "rollback-kube";

/// How many objects of one list are read: a history keeps ten by default, and nobody looks at more
/// pods than this to know why a rollout waits.
pub(crate) const LIST_MAX: usize = 500;

/// What a request is about, in the words of a Role.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tried {
    verb: &'static str,
    resource: &'static str,
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

/// A connection to a cluster. Clones share it; the workloads of one cluster need only one.
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
    /// [`KubeError::Connection`] when the kubeconfig or the service account cannot be read.
    pub async fn connect(connection: &Connection) -> Result<Self, KubeError> {
        fn bad<E>(what: &'static str) -> impl FnOnce(E) -> KubeError
        where
            E: Into<Box<dyn std::error::Error + Send + Sync>>,
        {
            move |error| KubeError::Connection { what, source: error.into() }
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
        // It would send a PATCH again after a 504: whether to do that is not the client's to say.
        config.default_retry = false;
        let client =
            kube::Client::try_from(config).map_err(bad("its certificates cannot be used"))?;
        Ok(Self { client })
    }
}

/// One workload of a cluster.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    cluster: Cluster,
    workload: Workload,
    timeout: Duration,
}

/// Whether a write is only tried.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Dry {
    Run,
    No,
}

impl Client {
    pub(crate) const fn new(cluster: Cluster, workload: Workload, timeout: Duration) -> Self {
        Self { cluster, workload, timeout }
    }

    pub(crate) async fn read(&self) -> Result<Object, KubeError> {
        let tried = self.tried("get", self.workload.kind.resource()).named(&self.workload.name);
        self.ask(Method::GET, &self.object(), Vec::new(), tried).await
    }

    /// Every revision that is kept of this workload and holds a template, newest first.
    pub(crate) async fn kept(&self, object: &Object) -> Result<Vec<Kept>, KubeError> {
        let kind = self.workload.kind;
        let list: Vec<RawRevision> =
            self.list("apis/apps/v1", kind.history(), object, TooMany::IsAnError).await?;
        let mut kept: Vec<Kept> = list
            .into_iter()
            .filter(|raw| raw.metadata.is_owned_by(&object.metadata.uid))
            .filter_map(|raw| Kept::read(kind, raw))
            .collect();
        kept.sort_by(|a, b| {
            let created = |it: &Kept| it.meta.creation_timestamp;
            b.number.cmp(&a.number).then_with(|| created(b).cmp(&created(a)))
        });
        Ok(kept)
    }

    /// The workload's pods; of a crowd, some.
    pub(crate) async fn pods(&self, object: &Object) -> Result<Vec<Pod>, KubeError> {
        self.list("api/v1", "pods", object, TooMany::IsEnough).await
    }

    pub(crate) async fn patch(&self, patch: &Value, dry: Dry) -> Result<Object, KubeError> {
        let dry = if dry == Dry::Run { "&dryRun=All" } else { "" };
        let path = format!("{}?fieldManager={FIELD_MANAGER}{dry}", self.object());
        let tried = self.tried("patch", self.workload.kind.resource()).named(&self.workload.name);
        self.ask(Method::PATCH, &path, patch.to_string().into_bytes(), tried).await
    }

    /// Completes at the first change after `version`.
    pub(crate) async fn changed_since(&self, version: &str) -> Result<(), KubeError> {
        let tried = self.tried("watch", self.workload.kind.resource()).named(&self.workload.name);
        let (all, name) =
            (self.path("apis/apps/v1", self.workload.kind.resource()), &self.workload.name);
        let only = encode(&format!("metadata.name={name}"));
        let path =
            format!("{all}?watch=true&fieldSelector={only}&resourceVersion={}", encode(version));
        let request = build(Method::GET, &path, Vec::new(), &tried)?;
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

    fn path(&self, api: &str, resource: &str) -> String {
        format!("/{api}/namespaces/{}/{resource}", encode(&self.workload.namespace))
    }

    fn object(&self) -> String {
        let all = self.path("apis/apps/v1", self.workload.kind.resource());
        format!("{all}/{}", encode(&self.workload.name))
    }

    fn tried(&self, verb: &'static str, resource: &'static str) -> Tried {
        Tried { verb, resource, name: None, namespace: self.workload.namespace.clone() }
    }

    async fn list<T: DeserializeOwned>(
        &self,
        api: &str,
        resource: &'static str,
        object: &Object,
        too_many: TooMany,
    ) -> Result<Vec<T>, KubeError> {
        let tried = self.tried("list", resource);
        let Some(selector) = object.spec.selector.query() else {
            let why = "the workload's selector is not understood".to_owned();
            return Err(KubeError::Refused { tried, code: 0, why });
        };
        let all = self.path(api, resource);
        let path = format!("{all}?limit={LIST_MAX}&labelSelector={}", encode(&selector));
        let list: List<T> = self.ask(Method::GET, &path, Vec::new(), tried.clone()).await?;
        match too_many {
            TooMany::IsAnError if !list.metadata.more.is_empty() => {
                Err(KubeError::TooMany { tried, max: LIST_MAX })
            }
            TooMany::IsAnError | TooMany::IsEnough => Ok(list.items),
        }
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
        tried: Tried,
    ) -> Result<T, KubeError> {
        let request = build(method, path, body, &tried)?;
        let answer = self.cluster.client.request_text(request);
        let answer = tokio::time::timeout(self.timeout, answer).await;
        let text = answer.map_err(|_elapsed| late(&tried, self.timeout))?;
        let text = text.map_err(|error| classify(error, &tried))?;
        serde_json::from_str(&text).map_err(|error| {
            // Where it is wrong, not what it says: an object can hold secrets.
            let why = format!("its answer makes no sense (line {})", error.line());
            KubeError::Silent { tried, why }
        })
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum TooMany {
    IsAnError,
    IsEnough,
}

impl Tried {
    fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }
}

fn build(
    method: Method,
    path: &str,
    body: Vec<u8>,
    tried: &Tried,
) -> Result<Request<Vec<u8>>, KubeError> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("accept", "application/json")
        .header("content-type", "application/json-patch+json");
    request.body(body).map_err(|_bad_name| KubeError::Refused {
        tried: tried.clone(),
        code: 0,
        why: "its name cannot be part of a URL".to_owned(),
    })
}

fn late(tried: &Tried, timeout: Duration) -> KubeError {
    let why = format!("no answer within {}", rollback_core::in_words(timeout));
    KubeError::Silent { tried: tried.clone(), why }
}

/// What an error means for whoever asked. Every answer of 4xx is a decision of the API server not
/// to do it; everything else leaves a write in doubt.
fn classify(error: kube::Error, tried: &Tried) -> KubeError {
    let tried = tried.clone();
    if !matches!(error, kube::Error::Api(_)) {
        tracing::debug!(%error, "the API server did not answer");
    }
    let kube::Error::Api(status) = error else {
        return KubeError::Silent { tried, why: "the connection failed".to_owned() };
    };
    let why = crate::pods::clip(&status.message);
    match status.code {
        401 => KubeError::Unauthorized,
        // A webhook or a quota forbids in other words than RBAC does.
        403 if status.message.contains(&format!("cannot {} resource", tried.verb)) => {
            KubeError::Forbidden { tried }
        }
        404 => KubeError::Missing { tried },
        409 => KubeError::Moved { tried },
        422 if is_failed_test(&status.message) => KubeError::Moved { tried },
        429 => {
            let seconds = status.details.as_ref().map_or(0, |it| it.retry_after_seconds);
            let after = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
            KubeError::Overloaded { tried, after }
        }
        code @ 400..=499 => KubeError::Refused { tried, code, why },
        code => KubeError::Silent { tried, why: format!("it answered {code}") },
    }
}

/// A `test` of a JSON patch that does not hold is told in this one sentence and no detail.
fn is_failed_test(message: &str) -> bool {
    message.is_empty() || message.contains("due to an error in our request")
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

    fn tried() -> Tried {
        Tried {
            verb: "patch",
            resource: "deployments",
            name: Some("web".into()),
            namespace: "shop".into(),
        }
    }

    fn answer(code: u16, message: &str) -> kube::Error {
        let status = serde_json::json!({"status": "Failure", "code": code, "message": message,
            "reason": "", "metadata": {}});
        kube::Error::Api(serde_json::from_value(status).unwrap())
    }

    #[test]
    fn only_an_answer_of_4xx_says_that_nothing_happened() {
        let rbac = "deployments.apps \"web\" is forbidden: User \"u\" cannot patch resource \"deployments\" in API group \"apps\" in the namespace \"shop\"";
        let test = "the server rejected our request due to an error in our request";
        let table = [
            (401, "Unauthorized", "does not accept the credentials"),
            (403, rbac, "may not patch deployments `web` in namespace `shop`"),
            (403, "admission webhook \"policy\" denied the request: no", "refused to patch"),
            (403, "exceeded quota: q", "refused to patch"),
            (404, "not found", "there is nothing to patch"),
            (409, "the object has been modified", "it has changed meanwhile"),
            (422, test, "it has changed meanwhile"),
            (422, "", "it has changed meanwhile"),
            (422, "Deployment.apps \"web\" is invalid: spec", "refused to patch"),
            (429, "too many requests", "overloaded"),
            (500, "etcdserver: request timed out", "did not answer"),
            (503, "apiserver not ready", "did not answer"),
            (504, "request did not complete", "did not answer"),
            (200, "what", "did not answer"),
        ];
        for (code, message, words) in table {
            let error = classify(answer(code, message), &tried());
            assert!(error.to_string().contains(words), "{code} {message:?}: {error}");
            let silent = matches!(error, KubeError::Silent { .. });
            assert_eq!(silent, !(400..500).contains(&code), "{code}");
            assert_eq!(silent, !error.to_string().contains("nothing was changed"), "{error}");
        }
        let reset =
            kube::Error::ReadEvents(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        assert!(matches!(classify(reset, &tried()), KubeError::Silent { .. }));
    }

    #[test]
    fn a_name_cannot_lead_to_another_path() {
        assert_eq!(encode("web-1.2_~"), "web-1.2_~");
        assert_eq!(encode("../x?a=b c&é"), "..%2Fx%3Fa%3Db%20c%26%C3%A9");
    }
}
