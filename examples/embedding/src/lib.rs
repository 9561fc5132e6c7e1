//! A host's own axum service with a Rollback button in it.
//!
//! README shows [`rollback`] word for word; the end-to-end tests of `examples/platform-service` run
//! against it and against that service: embedding is the same thing.

// README: from here
use rollback_core::ports::{CdBackend, Clock};
use rollback_core::{BackendName, WorkspaceId};
use rollback_engine::{Catalog, Engine, EngineBuilder, SystemClock};
use rollback_slack::{
    Accepted, Intake, Interactivity, SigningSecrets, SlackDirectory, SlackNotifier, Surface,
    WebApi, WebApiOptions, router,
};
use rollback_store::{Options, SqliteStore};
use std::{error::Error, path::PathBuf, sync::Arc};

/// What the host knows: from its environment, never from a file in the repository.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "an example to copy")]
pub struct Settings {
    /// The bot's token.
    pub bot_token: secrecy::SecretString,
    /// What Slack signs its callbacks with.
    pub signing_secret: secrecy::SecretString,
    /// The workspace whose members may click.
    pub workspace: WorkspaceId,
    /// Where the journal, the outbox and the audit chain are kept.
    pub database: PathBuf,
    /// Slack's Web API, or a local one.
    pub slack_api: String,
}

/// Puts the button into a host's service: merge the router, spawn `engine.run`, and report each
/// deploy with `engine.deployed`.
///
/// # Errors
///
/// When a token is malformed or the database cannot be opened; nothing was started.
pub async fn rollback(
    settings: Settings,
    catalog: Catalog,
    backends: Vec<(BackendName, Arc<dyn CdBackend>)>,
) -> Result<(Engine, axum::Router), Box<dyn Error + Send + Sync>> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let mut options = WebApiOptions::default();
    options.base_url = settings.slack_api;
    let slack = WebApi::new(settings.bot_token, options)?;
    let store = SqliteStore::open(settings.database, Options::default()).await?;
    let people = SlackDirectory::new(slack.clone(), settings.workspace.clone(), Arc::clone(&clock));
    let notifier = SlackNotifier::new(slack.clone(), Arc::clone(&clock));
    let mut builder = EngineBuilder::new(Arc::new(store), Arc::new(people), catalog)
        .notifier(Arc::new(notifier))
        .clock(Arc::clone(&clock));
    for (name, backend) in backends {
        builder = builder.backend(name, backend);
    }
    let engine = builder.build()?;
    let surface = Surface::new(Arc::new(engine.clone()), slack, clock);
    let accepted = Accepted::any().team(settings.workspace.as_str());
    let secrets = SigningSecrets::new(&settings.signing_secret)?;
    let interactivity = Interactivity::new(secrets, Arc::new(Intake::new(accepted, surface)));
    Ok((engine, router(Arc::new(interactivity))))
}
// README: to here
