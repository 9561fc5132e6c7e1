//! The kinds of CD system that a configuration can name. One file each: to add a kind, write its
//! file and add it to [`BUILT`].

mod helm;
mod http;
mod kubernetes;

use crate::secrets::{Environment, secret_in};
use async_trait::async_trait;
use rollback_cluster::{Cluster, Connection};
use rollback_core::ServiceKey;
use rollback_core::ports::{CdBackend, Clock};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The kinds in this build.
const BUILT: [&dyn Kind; 3] = [&http::Http, &kubernetes::Kubernetes, &helm::Helm];

/// The kinds of the contract. One whose adapter is not in this build is refused by name.
const CONTRACT: [&str; 7] =
    ["argocd", "argo-rollouts", "helm", "kubernetes", "ecs", "github-actions", "http"];

/// A service that a backend rolls back, and what the CD system calls it.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) key: ServiceKey,
    pub(crate) with: Map<String, Value>,
}

/// What every kind is given.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    /// How long one request to the CD system may take.
    pub(crate) cd_timeout: Duration,
    /// Where secrets come from.
    pub(crate) environment: &'a Environment,
    /// What time it is.
    pub(crate) clock: &'a Arc<dyn Clock>,
}

impl Context<'_> {
    /// How long one request to a cluster may take, of which one question of the engine takes two.
    fn cluster_request_timeout(&self) -> Duration {
        self.cd_timeout / 2
    }

    /// The token that one of these names.
    fn token(&self, variable: Option<&str>, file: Option<&Path>) -> Result<SecretString, NotSetUp> {
        let found = match (variable, file) {
            (Some(variable), _) => self.environment.secret(variable),
            (None, Some(file)) => secret_in(file),
            (None, None) => return Err(NotSetUp("no token is named; add `token_env`".into())),
        };
        found.map_err(|error| NotSetUp(error.to_string()))
    }
}

/// A backend could not be set up; the text says why and what to do. Nothing was sent.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotSetUp(pub(crate) String);

/// A kind of CD system.
#[async_trait]
pub(crate) trait Kind: Sync {
    /// As the configuration names it.
    fn name(&self) -> &'static str;

    /// Whether `token_env` or `token_file` must be there.
    fn needs_token(&self) -> bool;

    /// The keys of a backend of this kind, `kind` left out.
    fn settings(&self, generator: &mut SchemaGenerator) -> Schema;

    /// The keys under `with:` of an environment that uses such a backend.
    fn with(&self, generator: &mut SchemaGenerator) -> Schema;

    /// Sets up the adapter. What it is given was judged by the two schemas.
    async fn build(
        &self,
        settings: Map<String, Value>,
        targets: Vec<Target>,
        context: &Context<'_>,
    ) -> Result<Arc<dyn CdBackend>, NotSetUp>;
}

/// The cluster that a configuration names.
async fn cluster(
    kubeconfig: Option<PathBuf>,
    context: Option<String>,
) -> Result<Cluster, NotSetUp> {
    let connection = Connection::named(kubeconfig, context);
    Cluster::connect(&connection).await.map_err(|error| NotSetUp(error.to_string()))
}

/// What a schema judged already, as the type that the schema was made of.
fn judged<T: DeserializeOwned>(settings: Map<String, Value>) -> Result<T, NotSetUp> {
    serde_json::from_value(Value::Object(settings)).map_err(|error| NotSetUp(error.to_string()))
}

impl fmt::Debug for dyn Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The kind of this name, if it is in this build.
pub(crate) fn built(name: &str) -> Option<&'static dyn Kind> {
    BUILT.iter().copied().find(|kind| kind.name() == name)
}

/// Whether the kind is one of the contract that this build does not have.
pub(crate) fn is_absent(name: &str) -> bool {
    CONTRACT.contains(&name) && built(name).is_none()
}

/// The kinds in this build, for people.
pub(crate) fn built_names() -> String {
    BUILT.iter().map(|kind| format!("`{}`", kind.name())).collect::<Vec<_>>().join(", ")
}

/// A backend of any kind, as the schema shows it.
pub(crate) struct AnyKind;

impl JsonSchema for AnyKind {
    fn schema_name() -> Cow<'static, str> {
        "Backend".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let built = BUILT.iter().map(|kind| named(kind.name(), kind.settings(generator)));
        let mut branches: Vec<Value> = built.collect();
        branches.extend(CONTRACT.iter().filter(|name| is_absent(name)).map(|name| {
            json!({
                "type": "object",
                "description": "Not in this build yet.",
                "properties": {"kind": {"const": name}},
                "required": ["kind"],
                "additionalProperties": true,
            })
        }));
        json_schema!({"oneOf": branches})
    }
}

/// The settings of a kind with the key that names it.
fn named(name: &str, settings: Schema) -> Value {
    let mut settings = settings.to_value();
    if let Some(object) = settings.as_object_mut() {
        let properties = object.entry("properties").or_insert_with(|| json!({}));
        if let Some(properties) = properties.as_object_mut() {
            properties.insert("kind".into(), json!({"const": name}));
        }
        let required = object.entry("required").or_insert_with(|| json!([]));
        if let Some(required) = required.as_array_mut() {
            required.insert(0, "kind".into());
        }
    }
    settings
}
