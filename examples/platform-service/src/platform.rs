//! The service as a whole: built of a configuration, run until it is told to stop.

use crate::admission::{Admission, LateDirectory, Offered, in_flight};
use crate::audit::{NoSigner, signer};
use crate::catalog::{backends, catalog};
use crate::config::{Config, SinkName};
use crate::kinds::NotSetUp;
use crate::probe::SlackProbe;
use crate::secrets::{Environment, NoSecret};
use crate::store::{OpenStore, StoreNotOpened};
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use rollback_api::{
    Api, Connections, HealthSetupError, Metrics, ServeLimits, TokenError, Tokens, serve_counted,
};
use rollback_core::WorkspaceId;
use rollback_core::ports::{AuditSink, Clock, Directory, StoreError};
use rollback_engine::{Checkpoints, Engine, EngineBuilder, SystemClock, WiringError};
use rollback_slack::{
    CallError, EmptySecret, SetupError, SigningSecrets, SlackNotifier, SocketEnd, Surface, WebApi,
    WebApiOptions,
};
use rollback_store::{AuditFile, AuditFileOptions};
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinError;
use tracing::Instrument as _;

/// How long what was acknowledged to Slack may take to be recorded on shutdown: the directory is
/// asked, and it has five seconds.
const RECORD_MAX: Duration = Duration::from_secs(8);

/// How long the start waits for Slack's word on the bot's token, where nothing is in flight.
const ASK_ONCE: Duration = Duration::from_secs(3);

/// How often it is looked whether Slack, the store and every CD system answer: often enough to know it
/// before somebody needs them.
const PROBE_EVERY: Duration = Duration::from_secs(15);

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
            Err(wrong @ (NoSecret::File { .. } | NoSecret::Implausible { .. })) => Err(wrong),
        };
        let signing_secret = match environment.secret("SLACK_SIGNING_SECRET") {
            Err(NoSecret::Variable(_)) if matches!(app_token, Ok(Some(_))) => Ok(None),
            secret => secret.map(Some),
        };
        let app_token = app_token.and_then(|token| match token {
            Some(token) => plausible("SLACK_APP_TOKEN", token, &APP_TOKEN).map(Some),
            None => Ok(None),
        });
        let signing_secret = signing_secret.and_then(|secret| match secret {
            Some(secret) => plausible("SLACK_SIGNING_SECRET", secret, &SIGNING_SECRET).map(Some),
            None => Ok(None),
        });
        let bot_token = environment.secret("SLACK_BOT_TOKEN");
        let bot_token = bot_token.and_then(|it| plausible("SLACK_BOT_TOKEN", it, &BOT_TOKEN));
        let api_token = environment.secret("ROLLBACK_API_TOKEN");
        let api_token = api_token.and_then(|it| plausible("ROLLBACK_API_TOKEN", it, &API_TOKEN));
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

/// What a secret looks like, as far as that is known.
struct Shape {
    begins: &'static [&'static str],
    chars_min: usize,
    remedy: &'static str,
}

const BOT_TOKEN: Shape = Shape {
    begins: &["xoxb-", "xoxe.xoxb-"],
    chars_min: 8,
    remedy: "a bot token begins with `xoxb-`; it is on the app's page, under OAuth & Permissions",
};

const APP_TOKEN: Shape = Shape {
    begins: &["xapp-"],
    chars_min: 8,
    remedy: "an app token begins with `xapp-`; it is on the app's page, under Basic Information",
};

const SIGNING_SECRET: Shape = Shape {
    begins: &[""],
    chars_min: 16,
    remedy: "the signing secret has 32 digits; it is on the app's page, under Basic Information",
};

const API_TOKEN: Shape = Shape {
    begins: &[""],
    chars_min: 24,
    remedy: "it has fewer than 24 characters or one that a header cannot carry, and could be guessed; \
             make one with `openssl rand -hex 32`",
};

/// A secret that could be the right one. It is not shown, whatever is wrong with it.
fn plausible(name: &str, secret: SecretString, shape: &Shape) -> Result<SecretString, NoSecret> {
    let text = secret.expose_secret();
    let begins = shape.begins.iter().any(|begin| text.starts_with(begin));
    if begins && text.len() >= shape.chars_min && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(secret);
    }
    let (place, problem) = (format!("`{name}`"), shape.remedy.to_owned());
    Err(NoSecret::Implausible { place, problem })
}

/// Why the service did not start. Nothing was posted and nothing was rolled back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Slack's client.
    #[error(transparent)]
    Slack(#[from] SetupError),
    /// The bot's token.
    #[error("Slack does not accept the bot's token; give another one in `SLACK_BOT_TOKEN`")]
    Token(#[source] CallError),
    /// Slack named a workspace that cannot be one.
    #[error("Slack named no workspace that can be used; write `slack: {{workspace: T…}}`")]
    Workspace,
    /// The signing secret.
    #[error(transparent)]
    SigningSecret(#[from] EmptySecret),
    /// The token of the HTTP API.
    #[error(transparent)]
    ApiToken(#[from] TokenError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreNotOpened),
    /// A backend.
    #[error("{0}")]
    Backend(String),
    /// A health check.
    #[error(transparent)]
    Health(#[from] HealthSetupError),
    /// The key that signs checkpoints.
    #[error("the key of `audit.checkpoints`: {0}")]
    Checkpoints(#[from] NoSigner),
    /// How the engine is put together: every fault, each with its remedy.
    #[error(transparent)]
    Wiring(#[from] WiringError),
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
    /// The engine came to an end by itself.
    #[error("the engine ended by itself; see the log for the reason, and start the service again")]
    Engine,
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
    connections: Connections,
    admission: Admission,
    slack: SlackProbe,
}

impl fmt::Debug for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Platform").field("admission", &self.admission).finish_non_exhaustive()
    }
}

impl Platform {
    /// Builds the service. What runs does not wait for Slack: where the configuration does not name the
    /// workspace and Slack does not answer at once, the service runs, and takes clicks when it has.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub async fn build(
        config: &Config,
        credentials: Credentials,
        environment: &Environment,
    ) -> Result<Self, StartError> {
        let attempts_max = WebApiOptions::default().attempts_max;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let api = slack(credentials.bot_token, environment, attempts_max)?;
        let signing = credentials.signing_secret.as_ref().map(SigningSecrets::new).transpose()?;
        let tokens = Tokens::new([&credentials.api_token])?;
        let backends = backends(config, environment, &clock).await?;
        let app = credentials.app_token.map(|token| slack(token, environment, attempts_max));
        let app = app.transpose()?;
        let store = OpenStore::open(&config.store).await?;
        let written = config.file.slack.workspace.clone();
        if written.is_none() && !in_flight(store.port().as_ref()).await {
            // Nothing waits for us, so that a mistake in the configuration may end the start.
            token_is_taken(&api).await?;
        }
        let metrics = Metrics::new(env!("CARGO_PKG_VERSION"));
        let catalog = catalog(config, None, &clock)?;
        let people = Arc::new(LateDirectory::default());
        let directory: Arc<dyn Directory> = Arc::<LateDirectory>::clone(&people);
        let builder = EngineBuilder::new(store.port(), directory, catalog)
            .admitting_later()
            .notifier(Arc::new(notifier(config, &api, &clock)))
            .clock(Arc::clone(&clock))
            .lease(config.file.limits.lease)
            .open_max(config.file.limits.open_max)
            .probe_every(PROBE_EVERY)
            .sink(metrics.sink());
        let watched = backends.into_iter().fold(builder, |builder, (name, backend)| {
            let watched = metrics.watching(&name, backend);
            builder.backend(name, watched)
        });
        let engine =
            with_checkpoints(with_audit_file(watched, config), config, environment)?.build()?;
        let slack = SlackProbe::new(api.clone(), engine.clone(), Arc::clone(&clock), PROBE_EVERY);
        let surface = Surface::new(Arc::new(engine.clone()), api.clone(), Arc::clone(&clock));
        let offered = Offered {
            engine: engine.clone(),
            surface: surface.clone(),
            people,
            api,
            clock,
            app_id: config.file.slack.app.clone(),
            signing,
            app,
        };
        let admission = Admission::new(offered);
        if let Some(workspace) = written {
            admission.opens(workspace);
        }
        let (counted, connections) = (admission.clone(), Connections::default());
        let connected = connections.clone();
        let metrics = metrics
            .counting(
                "slack_interactions",
                "Slack's callbacks, by what became of them",
                move || counted.counts(),
            )
            .counting("connections", "Connections of callers, by what became of them", move || {
                connected.named()
            })
            .counting("log_lines", "Lines of the log that were not written, by why", || {
                vec![("dropped", crate::log_queue::dropped_lines())]
            });
        let router = Api::new(engine.clone(), tokens).metrics(metrics).with(admission.routes());
        let router = router.layer(from_fn(traced));
        Ok(Self { engine, surface, store, router, connections, admission, slack })
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
        let Self { engine, surface, store, router, connections, admission, slack } = self;
        let (say_stop, stopping) = watch::channel(false);
        let (stop_engine, engine_stopping) = watch::channel(false);
        let mut running = tokio::spawn({
            let engine = engine.clone();
            async move { engine.run(until(engine_stopping)).await }
        });
        let probing = tokio::spawn(slack.run(until(stopping.clone())));
        let limits = ServeLimits::default();
        let served = serve_counted(listener, router, limits, connections, until(stopping.clone()));
        let listened = admission.run(until(stopping.clone()));
        let told = async {
            stop.await;
            tracing::info!("stopping: what is on its way comes to its end");
            say_stop.send_replace(true);
        };
        tokio::pin!(served, listened, told);
        let mut ended = Ok(());
        let (mut is_serving, mut is_listening, mut is_told) = (true, true, false);
        let mut is_running = true;
        while is_serving || is_listening {
            tokio::select! {
                // Nothing is driven and nobody is told anything without it: whatever runs the service
                // starts it anew.
                run = &mut running, if is_running => {
                    is_running = false;
                    keep_first(&mut ended, ended_by_itself(run));
                    say_stop.send_replace(true);
                }
                () = &mut told, if !is_told => is_told = true,
                served = &mut served, if is_serving => {
                    is_serving = false;
                    keep_first(&mut ended, served.map_err(RunError::Listen));
                    say_stop.send_replace(true);
                }
                listened = &mut listened, if is_listening => {
                    is_listening = false;
                    keep_first(&mut ended, listened);
                    say_stop.send_replace(true);
                }
            }
        }
        record_clicks(&surface).await;
        drop(probing.await);
        stop_engine.send_replace(true);
        if is_running {
            match running.await {
                Ok(run) => keep_first(&mut ended, run.map_err(RunError::Store)),
                Err(error) => tracing::error!(%error, "the engine did not stop in good order"),
            }
        }
        drop((engine, surface));
        store.close().await;
        ended
    }
}

/// Why the engine ended that nobody had stopped.
fn ended_by_itself(run: Result<Result<(), StoreError>, JoinError>) -> Result<(), RunError> {
    match run {
        Ok(Err(error)) => Err(RunError::Store(error)),
        Ok(Ok(())) => Err(RunError::Engine),
        Err(error) => {
            tracing::error!(%error, "the engine ended by itself");
            Err(RunError::Engine)
        }
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

/// Asks Slack once whether it takes the bot's token. No answer is no mistake.
async fn token_is_taken(api: &WebApi) -> Result<(), StartError> {
    match tokio::time::timeout(ASK_ONCE, api.identity()).await {
        Ok(Ok(identity)) => {
            WorkspaceId::parse(identity.team_id).map_err(|_told| StartError::Workspace).map(drop)
        }
        Ok(Err(error)) if error.is_fatal_for_the_token() => Err(StartError::Token(error)),
        Ok(Err(_)) | Err(_) => Ok(()),
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
