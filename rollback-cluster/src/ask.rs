//! One request: what is asked, and where. Whatever is a name stays one: it cannot lead elsewhere.

use crate::objects::Meta;
use core::fmt;
use http::{Method, Request};
use serde_json::{Value, json};

const JSON: &str = "application/json";
const BARE: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const BARE_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
const JSON_PATCH: &str = "application/json-patch+json";
/// How a question about kinds begins: no resource has a space in its name.
const KINDS: &str = "the kinds of";
const APPLY: &str = "application/apply-patch+yaml";

/// What a request is about, in the words of a Role.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tried {
    pub(crate) verb: &'static str,
    pub(crate) resource: String,
    pub(crate) name: Option<String>,
    pub(crate) namespace: Option<String>,
}

impl Tried {
    /// What a refusal says besides. About a read it says nothing: whoever looks after a rollback that goes
    /// on reads, too, and nobody may take the refusal for the end of the rollback.
    pub(crate) fn consequence(&self) -> &'static str {
        match self.verb {
            "get" | "list" | "watch" => "",
            _ => "; nothing was changed",
        }
    }

    /// Whether it asks which kinds there are, and no object.
    pub(crate) fn is_about_kinds(&self) -> bool {
        self.name.is_none() && self.resource.starts_with(KINDS)
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if let Some(name) = &self.name {
            write!(f, " `{name}`")?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " in namespace `{namespace}`"),
            None => Ok(()),
        }
    }
}

/// The objects of one resource: those of a namespace, or all where they are in none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    api: String,
    resource: String,
    namespace: Option<String>,
}

impl Place {
    /// The objects of a namespace: `apps/v1`, `deployments`, `shop`.
    #[must_use]
    pub fn namespaced(api_version: &str, resource: &str, namespace: &str) -> Self {
        let namespace = Some(namespace.to_owned());
        Self { namespace, ..Self::of_cluster(api_version, resource) }
    }

    /// The objects that are in no namespace.
    #[must_use]
    pub fn of_cluster(api_version: &str, resource: &str) -> Self {
        Self { api: api(api_version), resource: resource.to_owned(), namespace: None }
    }

    /// The path of all of them.
    #[must_use]
    pub fn path(&self) -> String {
        let within = self.namespace.as_deref().map(encode);
        let within = within.map(|name| format!("/namespaces/{name}")).unwrap_or_default();
        format!("{}{within}/{}", self.api, encode(&self.resource))
    }

    /// The path of one of them.
    #[must_use]
    pub fn object(&self, name: &str) -> String {
        format!("{}/{}", self.path(), encode(name))
    }
}

/// One request that is not yet sent.
#[derive(Clone)]
pub struct Ask {
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    accept: &'static str,
    content: &'static str,
    body: Option<Value>,
    tried: Tried,
}

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its body can hold passwords.
        f.debug_struct("Ask").field("tried", &self.tried).finish_non_exhaustive()
    }
}

impl Ask {
    fn new(method: Method, verb: &'static str, place: &Place, name: Option<&str>) -> Self {
        let path = name.map_or_else(|| place.path(), |name| place.object(name));
        let tried = Tried {
            verb,
            resource: place.resource.clone(),
            name: name.map(str::to_owned),
            namespace: place.namespace.clone(),
        };
        let (query, body) = (Vec::new(), None);
        Self { method, path, query, accept: JSON, content: JSON, body, tried }
    }

    /// Reads an object.
    #[must_use]
    pub fn get(place: &Place, name: &str) -> Self {
        Self::new(Method::GET, "get", place, Some(name))
    }

    /// Reads objects, at most so many.
    #[must_use]
    pub fn list(place: &Place, max: usize) -> Self {
        Self::new(Method::GET, "list", place, None).with("limit", max.to_string())
    }

    /// Waits for what comes after a version.
    #[must_use]
    pub fn watch(place: &Place, version: &str) -> Self {
        let watch = Self::new(Method::GET, "watch", place, None).with("watch", "true");
        watch.with("resourceVersion", version)
    }

    /// Reads which kinds a group has in a version.
    #[must_use]
    pub fn kinds(api_version: &str) -> Self {
        let mut ask = Self::new(Method::GET, "get", &Place::of_cluster(api_version, ""), None);
        ask.path = api(api_version);
        ask.tried.resource = format!("{KINDS} {}", crate::text::clip(api_version, 100));
        ask
    }

    /// Makes an object.
    #[must_use]
    pub fn create(place: &Place, name: &str, object: &Value) -> Self {
        let mut ask = Self::new(Method::POST, "create", place, None).holding(object.clone());
        ask.tried.name = Some(name.to_owned());
        ask
    }

    /// Writes an object as a whole. The version in its metadata is a precondition.
    #[must_use]
    pub fn update(place: &Place, name: &str, object: &Value) -> Self {
        Self::new(Method::PUT, "update", place, Some(name)).holding(object.clone())
    }

    /// Deletes exactly this object, as it was seen.
    #[must_use]
    pub fn delete(place: &Place, meta: &Meta) -> Self {
        let only =
            json!({"preconditions": {"uid": meta.uid, "resourceVersion": meta.resource_version}});
        Self::new(Method::DELETE, "delete", place, Some(&meta.name)).holding(only)
    }

    /// Changes an object by a JSON patch, in this manager's name.
    #[must_use]
    pub fn patch(place: &Place, name: &str, patch: &Value, manager: &str) -> Self {
        let ask = Self::new(Method::PATCH, "patch", place, Some(name)).holding(patch.clone());
        Self { content: JSON_PATCH, ..ask.with("fieldManager", manager) }
    }

    /// Applies an object on the server in this manager's name. What another one owns is not taken.
    #[must_use]
    pub fn apply(place: &Place, name: &str, object: &Value, manager: &str) -> Self {
        let ask = Self::patch(place, name, object, manager).with("force", "false");
        Self { content: APPLY, ..ask }
    }

    /// Without effect.
    #[must_use]
    pub fn rehearsed(self) -> Self {
        self.with("dryRun", "All")
    }

    /// Only what has these labels.
    #[must_use]
    pub fn labelled(self, selector: impl Into<String>) -> Self {
        self.with("labelSelector", selector)
    }

    /// Only the object of this name.
    #[must_use]
    pub fn only(mut self, name: &str) -> Self {
        self.tried.name = Some(name.to_owned());
        self.with("fieldSelector", format!("metadata.name={name}"))
    }

    /// Without what is in the objects: their metadata alone.
    #[must_use]
    pub fn bare(self) -> Self {
        let accept = if self.tried.verb == "list" { BARE_LIST } else { BARE };
        Self { accept, ..self }
    }

    /// What it is about.
    #[must_use]
    pub const fn tried(&self) -> &Tried {
        &self.tried
    }

    fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.query.push((key, value.into()));
        self
    }

    fn holding(self, body: Value) -> Self {
        Self { body: Some(body), ..self }
    }

    /// As it goes over the wire; what is left when a name cannot be part of a URL.
    pub(crate) fn into_request(self) -> Result<(Request<Vec<u8>>, Tried), Tried> {
        let Self { method, path, query, accept, content, body, tried } = self;
        let query: Vec<String> =
            query.iter().map(|(key, value)| format!("{key}={}", encode(value))).collect();
        let uri = if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) };
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let request = Request::builder().method(method).uri(uri);
        let request = request.header("accept", accept).header("content-type", content).body(body);
        match request {
            Ok(request) => Ok((request, tried)),
            Err(_bad_name) => Err(tried),
        }
    }
}

/// `/api/v1` or `/apis/apps/v1`.
fn api(api_version: &str) -> String {
    let encoded: Vec<String> = api_version.split('/').map(encode).collect();
    let root = if encoded.len() == 1 { "api" } else { "apis" };
    format!("/{root}/{}", encoded.join("/"))
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

    fn sent(ask: Ask) -> String {
        let (request, tried) = ask.into_request().unwrap();
        format!("{} {} ({tried})", request.method(), request.uri())
    }

    #[test]
    fn each_request_is_what_a_role_calls_it() {
        let web = Place::namespaced("apps/v1", "deployments", "shop");
        let secrets = Place::namespaced("v1", "secrets", "shop");
        let nodes = Place::of_cluster("v1", "nodes");
        let meta = Meta { name: "s".into(), ..Meta::default() };
        let table = [
            (
                Ask::get(&web, "web"),
                "GET /apis/apps/v1/namespaces/shop/deployments/web (get deployments `web` in namespace `shop`)",
            ),
            (
                Ask::list(&secrets, 7).labelled("owner=helm,name=web").bare(),
                "GET /api/v1/namespaces/shop/secrets?limit=7&labelSelector=owner%3Dhelm%2Cname%3Dweb (list secrets in namespace `shop`)",
            ),
            (
                Ask::watch(&web, "12").only("web"),
                "GET /apis/apps/v1/namespaces/shop/deployments?watch=true&resourceVersion=12&fieldSelector=metadata.name%3Dweb (watch deployments `web` in namespace `shop`)",
            ),
            (
                Ask::create(&secrets, "s", &json!({})),
                "POST /api/v1/namespaces/shop/secrets (create secrets `s` in namespace `shop`)",
            ),
            (
                Ask::update(&secrets, "s", &json!({})),
                "PUT /api/v1/namespaces/shop/secrets/s (update secrets `s` in namespace `shop`)",
            ),
            (
                Ask::delete(&secrets, &meta),
                "DELETE /api/v1/namespaces/shop/secrets/s (delete secrets `s` in namespace `shop`)",
            ),
            (
                Ask::patch(&web, "web", &json!([]), "me").rehearsed(),
                "PATCH /apis/apps/v1/namespaces/shop/deployments/web?fieldManager=me&dryRun=All (patch deployments `web` in namespace `shop`)",
            ),
            (
                Ask::apply(&nodes, "n", &json!({}), "me"),
                "PATCH /api/v1/nodes/n?fieldManager=me&force=false (patch nodes `n`)",
            ),
            (Ask::kinds("apps/v1"), "GET /apis/apps/v1 (get the kinds of apps/v1)"),
        ];
        for (ask, expected) in table {
            assert_eq!(sent(ask), expected);
        }
    }

    #[test]
    fn a_name_cannot_lead_to_another_path() {
        assert_eq!(encode("web-1.2_~"), "web-1.2_~");
        assert_eq!(encode("../x?a=b c&é"), "..%2Fx%3Fa%3Db%20c%26%C3%A9");
        assert_eq!(api("v1"), "/api/v1");
        assert_eq!(api("apps/v1"), "/apis/apps/v1");
        assert_eq!(api("../x y"), "/apis/../x%20y");
        let place = Place::namespaced("v1", "secrets/x", "a/b");
        assert_eq!(place.object("c?d"), "/api/v1/namespaces/a%2Fb/secrets%2Fx/c%3Fd");
    }

    #[test]
    fn a_request_says_what_it_sends_and_what_it_wants_back() {
        let web = Place::namespaced("apps/v1", "deployments", "shop");
        let object = json!({"kind": "Deployment"});
        let none: &[u8] = b"";
        for (ask, accept, content, body) in [
            (Ask::get(&web, "web"), JSON, JSON, none),
            (Ask::get(&web, "web").bare(), BARE, JSON, none),
            (Ask::watch(&web, "12").bare(), BARE, JSON, none),
            (Ask::list(&web, 7), JSON, JSON, none),
            (Ask::list(&web, 7).bare(), BARE_LIST, JSON, none),
            (Ask::create(&web, "web", &object), JSON, JSON, br#"{"kind":"Deployment"}"#),
            (Ask::update(&web, "web", &object), JSON, JSON, br#"{"kind":"Deployment"}"#),
            (Ask::patch(&web, "web", &json!([]), "me"), JSON, JSON_PATCH, b"[]"),
            (Ask::apply(&web, "web", &object, "me"), JSON, APPLY, br#"{"kind":"Deployment"}"#),
        ] {
            let (request, tried) = ask.into_request().unwrap();
            let header = |name| request.headers().get(name).unwrap().to_str().unwrap();
            assert_eq!((header("accept"), header("content-type")), (accept, content), "{tried}");
            assert_eq!(request.body(), body, "{tried}");
        }
    }

    #[test]
    fn only_the_object_that_was_seen_is_deleted() {
        let secrets = Place::namespaced("v1", "secrets", "shop");
        let meta = Meta {
            name: "s".into(),
            uid: "1a2b".into(),
            resource_version: "12".into(),
            ..Meta::default()
        };
        let (request, _tried) = Ask::delete(&secrets, &meta).into_request().unwrap();
        let body: Value = serde_json::from_slice(request.body()).unwrap();
        assert_eq!(body, json!({"preconditions": {"uid": "1a2b", "resourceVersion": "12"}}));
    }

    #[test]
    fn what_is_sent_is_not_shown() {
        let place = Place::namespaced("v1", "secrets", "shop");
        let shown = format!("{:?}", Ask::create(&place, "s", &json!({"data": "hunter2"})));
        assert!(shown.contains("secrets") && !shown.contains("hunter2"), "{shown}");
    }
}
