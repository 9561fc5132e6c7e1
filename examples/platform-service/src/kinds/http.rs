//! `kind: http`: any CD system that speaks the CD API contract.

use super::{Context, Kind, NotSetUp, Target, judged};
use crate::config::{FilePath, Url, Variable};
use async_trait::async_trait;
use rollback_core::ports::{CdBackend, Fence};
use rollback_http::{Config, HttpBackend, UndoneBy};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::sync::Arc;

/// The kind `http`.
pub(super) struct Http;

/// A CD system that speaks the CD API contract.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Where the contract's paths begin.
    #[schemars(with = "Url")]
    url: String,
    /// The environment variable with the bearer token.
    #[serde(default)]
    #[schemars(with = "Variable")]
    token_env: Option<String>,
    /// The file with the bearer token.
    #[serde(default)]
    #[schemars(with = "FilePath")]
    token_file: Option<PathBuf>,
    /// Whether the site can void an order that it never accepted.
    #[serde(default)]
    fence: bool,
    /// Your word that nothing undoes a rollback here by itself, such as a GitOps controller that
    /// restores what Git has, for a CD system whose answers have no `undone_by`. Each rollback's
    /// guard and audit record say that they rest on it.
    #[serde(default)]
    #[schemars(with = "Vouched")]
    undone_by: Option<Vouched>,
}

/// What the site vouches for.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Vouched {
    Nothing,
}

/// The contract names services and environments as the configuration does: nothing to add.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct With {}

#[async_trait]
impl Kind for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    fn needs_token(&self) -> bool {
        true
    }

    fn settings(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn with(&self, generator: &mut SchemaGenerator) -> Schema {
        With::json_schema(generator)
    }

    async fn build(
        &self,
        settings: Map<String, Value>,
        _targets: Vec<Target>,
        context: &Context<'_>,
    ) -> Result<Arc<dyn CdBackend>, NotSetUp> {
        let settings: Settings = judged(settings)?;
        let token = context.token(settings.token_env.as_deref(), settings.token_file.as_deref())?;
        let mut config = Config::new(settings.url, token);
        config.timeout = context.cd_timeout;
        config.fence = if settings.fence { Fence::Yes } else { Fence::No };
        config.undone_by = match settings.undone_by {
            Some(Vouched::Nothing) => UndoneBy::VouchedNothing,
            None => UndoneBy::AsReported,
        };
        let backend = HttpBackend::new(&config).map_err(|error| NotSetUp(error.to_string()))?;
        Ok(Arc::new(backend))
    }
}
