//! The service as a whole: built of a configuration, run until it is told to stop.

use crate::audit::{NoSigner, signer};
use crate::catalog::{backends, catalog};
use crate::config::{Config, SinkName};
use crate::kinds::NotSetUp;
use crate::secrets::{Environment, NoSecret};
use crate::store::{OpenStore, StoreNotOpened};
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use rollback_api::{Api, HealthSetupError, Metrics, ServeLimits, TokenError, Tokens, serve};
use rollback_core::WorkspaceId;
use rollback_core::ports::{AuditSink, Clock, StoreError};
use rollback_engine::{Checkpoints, Engine, EngineBuilder, SystemClock};
use rollback_slack::{
    Accepted, CallError, EmptySecret, Intake, Interactivity, SetupError, SigningSecrets,
    SlackDirectory, SlackNotifier, SocketEnd, SocketMode, SocketOptions, Surface, WebApi,
    WebApiOptions,
};
use rollback_store::{AuditFile, AuditFileOptions};
use secrecy::SecretString;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing::Instrument as _;

/// How long what was acknowledged to Slack may take to be recorded on shutdown: the directory is
/// asked, and it has five seconds.
const RECORD_MAX: Duration = Duration::from_secs(8);

/// The pause before Slack is asked again at the start.
const ASK_AGAIN: Duration = Duration::from_secs(3);

/// The secrets that the service itself needs.
#[derive(Debug)]
#[non_exhaustive]
pub struct Credentials {
    /// `SLACK_BOT_TOKEN`.
    pub bot_token: SecretString,
    /// `SLACK_SIGNING_SECRET`; may be absent where Socket Mode is used.
    pub signing_secret: Option<SecretString>,
    /// `SLACK_APP_TOKEN`: Socket Mode.
    pub app_token: Option<SecretString>,
    /// `ROLLBACK_API_TOKEN`.
    pub api_token: SecretString,
}

impl Credentials {
    /// Reads them, each from its variable or from the file that the variable with `_FILE` names.
    ///
    /// # Errors
    ///
    /// Every one that is missing.
    pub fn of(environment: &Environment) -> Result<Self, Vec<NoSecret>> {
        let app_token = match environment.secret("SLACK_APP_TOKEN") {
            Ok(token) => Ok(Some(token)),
            Err(NoSecret::Variable(_)) => Ok(None),
            Err(unreadable @ NoSecret::File { .. }) => Err(unreadable),
        };
        let signing_secret = match environment.secret("SLACK_SIGNING_SECRET") {
            Err(NoSecret::Variable(_)) if matches!(app_token, Ok(Some(_))) => Ok(None),
            secret => secret.map(Some),
        };
        let bot_token = environment.secret("SLACK_BOT_TOKEN");
        let api_token = environment.secret("ROLLBACK_API_TOKEN");
        match (bot_token, signing_secret, app_token, api_token) {
            (Ok(bot_token), Ok(signing_secret), Ok(app_token), Ok(api_token)) => {
                Ok(Self { bot_token, signing_secret, app_token, api_token })
            }
            (bot, signing, app, api) => {
                let missing = [bot.err(), signing.err(), app.err(), api.err()];
                Err(missing.into_iter().flatten().collect())
            }
        }
    }
}

/// Why the service did not start. Nothing was posted and nothing was rolled back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Slack's client.
    #[error("{0}")]
    Slack(#[from] SetupError),
    /// The bot's token.
    #[error("Slack does not accept the bot's token; give another one in `SLACK_BOT_TOKEN`")]
    Token(#[source] CallError),
    /// Slack named a workspace that cannot be one.
    #[error("Slack named no workspace that can be used; write `slack: {{workspace: T…}}`")]
    Workspace,
    /// The signing secret.
    #[error("{0}")]
    SigningSecret(#[from] EmptySecret),
    /// The token of the HTTP API.
    #[error("{0}")]
    ApiToken(#[from] TokenError),
    /// The store.
    #[error("{0}")]
    Store(#[from] StoreNotOpened),
    /// A backend.
    #[error("{0}")]
    Backend(String),
    /// A health check.
    #[error("{0}")]
    Health(#[from] HealthSetupError),
    /// The key that signs checkpoints.
    #[error("the key of `audit.checkpoints`: {0}")]
    Checkpoints(#[from] NoSigner),
    /// Stopped before it had started.
    #[error("stopped before Slack had answered")]
    Stopped,
}

impl From<NotSetUp> for StartError {
    fn from(NotSetUp(why): NotSetUp) -> Self {
        Self::Backend(why)
    }
}

/// Why the service ended by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The port.
    #[error("connections cannot be accepted any more")]
    Listen(#[source] std::io::Error),
    /// The store.
    #[error("the store could not be read at the start")]
    Store(#[source] StoreError),
    /// Socket Mode.
    #[error("{0}")]
    Socket(#[source] SocketEnd),
}

/// The client for Slack that a token and the environment make.
///
/// # Errors
///
/// [`SetupError`]; nothing was sent.
pub(crate) fn slack(
    token: SecretString,
    environment: &Environment,
    attempts_max: u32,
) -> Result<WebApi, SetupError> {
    let mut options = WebApiOptions::default();
    if let Some(base) = environment.text("SLACK_API_URL") {
        options.base_url = base.to_owned();
    }
    options.attempts_max = attempts_max;
    WebApi::new(token, options)
}

/// The service, built and not yet running.
pub struct Platform {
    engine: Engine,
    surface: Surface,
    store: OpenStore,
    router: axum::Router,
    socket: Option<SocketMode<Surface>>,
}

impl fmt::Debug for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_socket = self.socket.is_some();
        f.debug_struct("Platform").field("socket_mode", &has_socket).finish_non_exhaustive()
    }
}

impl Platform {
    /// Builds the service: opens the store and, unless the configuration names the workspace, asks
    /// Slack for it until it answers or `stop` completes.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub async fn build(
        config: &Config,
        credentials: Credentials,
        environment: &Environment,
        stop: impl Future<Output = ()> + Send,
    ) -> Result<Self, StartError> {
        let attempts_max = WebApiOptions::default().attempts_max;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let api = slack(credentials.bot_token, environment, attempts_max)?;
        let signing = credentials.signing_secret.as_ref().map(SigningSecrets::new).transpose()?;
        let tokens = Tokens::new([&credentials.api_token])?;
        let backends = backends(config, environment, &clock).await?;
        let app = credentials.app_token.map(|token| slack(token, environment, attempts_max));
        let app = app.transpose()?;
        let workspace = match &config.file.slack.workspace {
            Some(workspace) => workspace.clone(),
            None => tokio::select! {
                biased;
                workspace = workspace_of(&api) => workspace?,
                () = stop => return Err(StartError::Stopped),
            },
        };
        let store = OpenStore::open(&config.store).await?;
        let metrics = Metrics::new(env!("CARGO_PKG_VERSION"));
        let catalog = catalog(config, workspace.clone(), &clock)?;
        let people = SlackDirectory::new(api.clone(), workspace.clone(), Arc::clone(&clock));
        let builder = EngineBuilder::new(store.port(), Arc::new(people), catalog)
            .notifier(Arc::new(notifier(config, &api, &clock)))
            .clock(Arc::clone(&clock))
            .lease(config.file.limits.lease)
            .open_max(config.file.limits.open_max)
            .sink(metrics.sink());
        let watched = backends.into_iter().fold(builder, |builder, (name, backend)| {
            let watched = metrics.watching(&name, backend);
            builder.backend(name, watched)
        });
        let engine =
            with_checkpoints(with_audit_file(watched, config), config, environment)?.build();
        let surface = Surface::new(Arc::new(engine.clone()), api, clock);
        let accepted = config.file.slack.app.as_ref().map_or_else(Accepted::any, Accepted::app);
        let accepted = accepted.team(workspace.as_str());
        let intake = Arc::new(Intake::new(accepted, surface.clone()));
        let counted = Arc::clone(&intake);
        let metrics = metrics.counting(
            "slack_interactions",
            "Slack's callbacks, by what became of them",
            move || counted.counters().snapshot().named(),
        );
        let callbacks = signing.map_or_else(axum::Router::new, |signing| {
            rollback_slack::router(Arc::new(Interactivity::new(signing, Arc::clone(&intake))))
        });
        let router = Api::new(engine.clone(), tokens).metrics(metrics).with(callbacks);
        let socket = app.map(|app| SocketMode::new(app, intake, SocketOptions::default()));
        Ok(Self { engine, surface, store, router: router.layer(from_fn(traced)), socket })
    }

    /// The engine, for what a host does besides.
    #[must_use]
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Runs until `stop` completes. Then no connection is accepted any more, what is being answered
    /// is answered, what was acknowledged to Slack is recorded, an order that is being sent is
    /// answered, every rollback is given back, and the store is closed: in this order, each in
    /// bounded time.
    ///
    /// # Errors
    ///
    /// [`RunError`] when it ended by itself. It is stopped in the same order then, and nothing is
    /// lost: the next start goes on.
    pub async fn run(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send,
    ) -> Result<(), RunError> {
        let Self { engine, surface, store, router, socket } = self;
        let (say_stop, stopping) = watch::channel(false);
        let (stop_engine, engine_stopping) = watch::channel(false);
        let running = tokio::spawn({
            let engine = engine.clone();
            async move { engine.run(until(engine_stopping)).await }
        });
        let served = serve(listener, router, ServeLimits::default(), until(stopping.clone()));
        let listened = async {
            match socket {
                Some(socket) => socket.run(until(stopping.clone())).await,
                None => {
                    until(stopping.clone()).await;
                    Ok(())
                }
            }
        };
        let told = async {
            stop.await;
            tracing::info!("stopping: what is on its way comes to its end");
            say_stop.send_replace(true);
        };
        tokio::pin!(served, listened, told);
        let mut ended = Ok(());
        let (mut is_serving, mut is_listening, mut is_told) = (true, true, false);
        while is_serving || is_listening {
            tokio::select! {
                () = &mut told, if !is_told => is_told = true,
                served = &mut served, if is_serving => {
                    is_serving = false;
                    keep_first(&mut ended, served.map_err(RunError::Listen));
                    say_stop.send_replace(true);
                }
                listened = &mut listened, if is_listening => {
                    is_listening = false;
                    keep_first(&mut ended, listened.map_err(RunError::Socket));
                    say_stop.send_replace(true);
                }
            }
        }
        record_clicks(&surface).await;
        stop_engine.send_replace(true);
        match running.await {
            Ok(run) => keep_first(&mut ended, run.map_err(RunError::Store)),
            Err(error) => tracing::error!(%error, "the engine did not stop in good order"),
        }
        drop((engine, surface));
        store.close().await;
        ended
    }
}

/// Waits until what was acknowledged to Slack is recorded, but not for ever.
async fn record_clicks(surface: &Surface) {
    if tokio::time::timeout(RECORD_MAX, surface.drain()).await.is_err() {
        tracing::warn!("not everything that was clicked could be recorded in time");
    }
}

/// The audit file of the configuration, with its checkpoints.
pub(crate) fn audit_file(config: &Config) -> Option<AuditFile> {
    let audit = &config.file.audit;
    let file = audit.file.as_ref()?;
    let mut options = AuditFileOptions::default();
    options.rotate_bytes = file.rotate;
    let sink = AuditFile::new(&file.path, options);
    Some(match &audit.checkpoints {
        Some(checkpoints) => sink.anchored_in(&checkpoints.file),
        None => sink,
    })
}

fn with_audit_file(builder: EngineBuilder, config: &Config) -> EngineBuilder {
    let audit = &config.file.audit;
    let Some(sink) = audit_file(config) else { return builder };
    let sink: Arc<dyn AuditSink> = Arc::new(sink);
    if audit.require.contains(&SinkName::File) {
        builder.required_sink(sink)
    } else {
        builder.sink(sink)
    }
}

fn with_checkpoints(
    builder: EngineBuilder,
    config: &Config,
    environment: &Environment,
) -> Result<EngineBuilder, NoSigner> {
    let Some(configured) = &config.file.audit.checkpoints else { return Ok(builder) };
    let mut checkpoints = Checkpoints::new(Arc::new(signer(configured, environment)?));
    checkpoints.every_records = configured.records;
    checkpoints.heartbeat = configured.heartbeat;
    Ok(builder.checkpoints(checkpoints))
}

fn notifier(config: &Config, api: &WebApi, clock: &Arc<dyn Clock>) -> SlackNotifier {
    let notifier = SlackNotifier::new(api.clone(), Arc::clone(clock));
    match &config.file.slack.on_call {
        Some(channel) => notifier.on_call(channel.clone()),
        None => notifier,
    }
}

/// The workspace that the bot's token belongs to; Slack is asked until it answers.
async fn workspace_of(api: &WebApi) -> Result<WorkspaceId, StartError> {
    loop {
        match api.identity().await {
            Ok(identity) => {
                return WorkspaceId::parse(identity.team_id).map_err(|_told| StartError::Workspace);
            }
            Err(error) if error.is_fatal_for_the_token() => return Err(StartError::Token(error)),
            Err(error) => {
                tracing::warn!(%error, "Slack was asked which workspace this is; it is asked again");
                tokio::time::sleep(ASK_AGAIN).await;
            }
        }
    }
}

/// Of several errors the first is the reason for the others.
fn keep_first(ended: &mut Result<(), RunError>, then: Result<(), RunError>) {
    if ended.is_ok() {
        *ended = then;
    }
}

/// Completes when the value becomes true, or nobody can make it so any more.
async fn until(mut value: watch::Receiver<bool>) {
    drop(value.wait_for(|is_true| *is_true).await);
}

/// A span for each request, for traces. The path is ours; of what it was asked nothing is kept.
async fn traced(request: Request, next: Next) -> Response {
    let span =
        tracing::info_span!("request", method = %request.method(), path = request.uri().path());
    next.run(request).instrument(span).await
}
