//! The command line of platform-service.

use clap::{Args, Parser, Subcommand};
use platform_service::check::check;
use platform_service::{
    Config, Credentials, Environment, How, Log, LogFormat, Platform, Telemetry,
};
use rollback_audit::PublicKey;
use rollback_core::RollbackId;
use rollback_core::ports::Clock;
use rollback_engine::SystemClock;
use std::fmt::Display;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// A Rollback button in Slack for every deploy: safe, audited, one click.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// The configuration.
    #[arg(long, global = true, default_value = "rollback.yaml")]
    config: PathBuf,
    /// Where Slack and pipelines reach the service. Put a TLS proxy in front.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// How logs are written; text on a terminal, JSON anywhere else.
    #[arg(long, value_enum)]
    log_format: Option<LogFormat>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Reads the configuration, asks every system that it names, and prints how to fix what fails.
    Check,
    /// The audit log.
    Audit(Audit),
    /// Takes every rollback of the store of the configuration again, step by step, and insists on
    /// every invariant that a store can show. Its service must not be running.
    Verify,
    /// Lets the service go on with a store that has lost what was seen of it: after a backup was
    /// restored, or a standby that lagged behind took over. Find out first what is missing. Puts this
    /// host's audit file away if it has what was lost: run it on every host that has one.
    AcknowledgeLoss,
    /// Prints the JSON Schema of the configuration, for editors.
    Schema,
}

#[derive(Args, Debug)]
struct Audit {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Verifies that every record is what was written, against everything that was kept elsewhere.
    ///
    /// Ends with 0 when the log is whole; 1 when the chain is broken; 2 when a signature or a key
    /// is not good; 3 when the log is not the one that was anchored: cut off, rewritten, or one of
    /// two; 4 when it is whole and an order's outcome was never recorded; 5 when something cannot
    /// be read or is not canonical; 6 when the store has no record, so that nothing was verified; 7
    /// when the log is whole and the audit file of the configuration was not there to be compared.
    Verify(Verify),
    /// Prints what the log has of one rollback: who, when, why, and the evidence.
    Explain {
        /// The rollback.
        rollback: RollbackId,
        /// The audit file or an export; without it the store of the configuration.
        #[arg(long, visible_alias = "export")]
        file: Option<PathBuf>,
    },
    /// Makes a key for signing checkpoints, and prints its public half.
    Key {
        /// Its name: what the log is known by, as `rollback.example.com/audit`.
        #[arg(long)]
        name: String,
        /// The new file for the private key, which nobody else may read.
        #[arg(long)]
        out: PathBuf,
    },
}

#[derive(Args, Debug)]
struct Verify {
    /// The audit file, with those put aside beside it, or an export; without it the store of the
    /// configuration, whose service must not be running.
    #[arg(long, visible_alias = "export")]
    file: Option<PathBuf>,
    /// A public key that is trusted, as `audit key` printed it; several are.
    #[arg(long, value_name = "KEY", value_parser = public_key)]
    public_key: Vec<PublicKey>,
    /// A file with checkpoints, or with lines of a record's number and the first digits of its
    /// hash; several are read.
    #[arg(long, value_name = "FILE")]
    anchor: Vec<PathBuf>,
    /// The first record; what is before it is taken for good.
    #[arg(long, value_name = "SEQUENCE", default_value_t = 1)]
    from: u64,
    /// An order without an outcome is told when it is older than this many minutes.
    #[arg(long, value_name = "MINUTES", default_value_t = 60)]
    open_after: u64,
    /// Two checkpoints of one process are at most this many minutes apart.
    #[arg(long, value_name = "MINUTES")]
    silence_max: Option<u64>,
}

fn public_key(text: &str) -> Result<PublicKey, String> {
    PublicKey::parse(text).map_err(|error| error.to_string())
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let environment = Environment::of_this_process();
    let format = cli.log_format.unwrap_or_else(LogFormat::fitting);
    let telemetry = match Telemetry::start(format, &environment) {
        Ok(telemetry) => telemetry,
        Err(error) => return failed(&error),
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let ended = runtime.block_on(command(&cli, &environment));
    drop(runtime);
    telemetry.flush();
    ended
}

async fn command(cli: &Cli, environment: &Environment) -> ExitCode {
    match &cli.command {
        None => run(cli, environment).await,
        Some(Command::Check) => match Config::load(&cli.config, environment) {
            Ok(config) => {
                let report = check(&config, environment).await;
                say(&report);
                if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
            }
            Err(problems) => failed(&problems),
        },
        Some(Command::Audit(Audit { command })) => match command {
            AuditCommand::Verify(arguments) => verify(cli, environment, arguments).await,
            AuditCommand::Explain { rollback, file } => {
                explain(cli, environment, rollback, file.as_deref()).await
            }
            AuditCommand::Key { name, out } => match platform_service::make_key(name, out) {
                Ok(public) => {
                    say(&public);
                    ExitCode::SUCCESS
                }
                Err(error) => failed(&error),
            },
        },
        Some(Command::Verify) => match Config::load(&cli.config, environment) {
            Ok(config) => verify_store(&config, environment).await,
            Err(problems) => failed(&problems),
        },
        Some(Command::AcknowledgeLoss) => {
            let config = match Config::load(&cli.config, environment) {
                Ok(config) => config,
                Err(problems) => return failed(&problems),
            };
            match platform_service::acknowledge_loss(&config, environment).await {
                Ok(acknowledged) => {
                    say(&acknowledged);
                    ExitCode::SUCCESS
                }
                Err(error) => failed(&error),
            }
        }
        Some(Command::Schema) => match serde_json::to_string_pretty(&platform_service::schema()) {
            Ok(text) => {
                say(&text);
                ExitCode::SUCCESS
            }
            Err(error) => failed(&error),
        },
    }
}

async fn verify_store(config: &Config, environment: &Environment) -> ExitCode {
    match platform_service::verify_store(config, environment).await {
        Ok(verified) => {
            say(&verified);
            match (verified.holds(), verified.is_compared()) {
                (true, true) => ExitCode::SUCCESS,
                (true, false) => NOT_COMPARED.into(),
                (false, _) => ExitCode::FAILURE,
            }
        }
        Err(error) => failed(&with_causes(&error)),
    }
}

/// What `verify` ends with when everything holds, and something that is configured to be kept on this
/// host was not compared with the store.
const NOT_COMPARED: u8 = 3;

/// What `audit verify` ends with when it cannot read what it should verify.
const UNREADABLE: u8 = 5;

async fn verify(cli: &Cli, environment: &Environment, arguments: &Verify) -> ExitCode {
    let minutes = |minutes: u64| Duration::from_secs(minutes.saturating_mul(60));
    let mut how = How::at(SystemClock::new().now());
    how.public_keys.clone_from(&arguments.public_key);
    how.anchors.clone_from(&arguments.anchor);
    how.from = arguments.from;
    how.open_after = minutes(arguments.open_after);
    how.silence_max = arguments.silence_max.map(minutes);
    let verdict = match &arguments.file {
        Some(file) => platform_service::verify(Log::File(file), &how).await,
        None => match Config::load(&cli.config, environment) {
            Ok(config) => {
                let how = how.with(&config, environment).await;
                platform_service::verify(Log::Store(config.store()), &how).await
            }
            Err(problems) => {
                failed(&problems);
                return UNREADABLE.into();
            }
        },
    };
    match serde_json::to_string(&verdict) {
        Ok(text) => say(&text),
        Err(error) => return failed(&error),
    }
    verdict.code.into()
}

async fn explain(
    cli: &Cli,
    environment: &Environment,
    rollback: &RollbackId,
    file: Option<&Path>,
) -> ExitCode {
    let explained = match file {
        Some(file) => platform_service::explain(Log::File(file), rollback).await,
        None => match Config::load(&cli.config, environment) {
            Ok(config) => platform_service::explain(Log::Store(config.store()), rollback).await,
            Err(problems) => return failed(&problems),
        },
    };
    match explained {
        Ok(Some(explanation)) => {
            say(&explanation);
            ExitCode::SUCCESS
        }
        Ok(None) => failed(&format!("the log has no record of rollback `{rollback}`")),
        Err(problem) => failed(&problem),
    }
}

async fn run(cli: &Cli, environment: &Environment) -> ExitCode {
    let config = Config::load(&cli.config, environment);
    let credentials = Credentials::of(environment);
    let (config, credentials) = match (config, credentials) {
        (Ok(config), Ok(credentials)) => (config, credentials),
        (config, credentials) => {
            if let Err(problems) = config {
                failed(&problems);
            }
            for missing in credentials.err().into_iter().flatten() {
                failed(&missing);
            }
            return ExitCode::FAILURE;
        }
    };
    let listener = match tokio::net::TcpListener::bind(cli.listen).await {
        Ok(listener) => listener,
        Err(error) => {
            return failed(&format!("`{}` cannot be listened on: {error}", cli.listen));
        }
    };
    let (stop, stopping) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        told_to_stop().await;
        stop.send_replace(true);
        // Held until the process ends, so that the value is never taken for gone.
        stop.closed().await;
    });
    let until = |mut stopping: tokio::sync::watch::Receiver<bool>| async move {
        drop(stopping.wait_for(|is_told| *is_told).await);
    };
    let platform = match Platform::build(&config, credentials, environment).await {
        Ok(platform) => platform,
        Err(error) => return failed(&with_causes(&error)),
    };
    match platform.run(listener, until(stopping)).await {
        Ok(()) => {
            tracing::info!("stopped; nothing was lost");
            ExitCode::SUCCESS
        }
        Err(error) => failed(&with_causes(&error)),
    }
}

/// Completes when the process is asked to end.
async fn told_to_stop() {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminated) => {
                tokio::select! {
                    _ = terminated.recv() => {}
                    _ = interrupted => {}
                }
            }
            Err(error) => {
                tracing::warn!(%error, "SIGTERM cannot be waited for; interrupt the process instead");
                drop(interrupted.await);
            }
        }
    }
    #[cfg(not(unix))]
    drop(interrupted.await);
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

fn say(text: &dyn Display) {
    // Whoever closed the pipe does not want to read it.
    drop(writeln!(std::io::stdout(), "{text}"));
}

/// How long the process waits for a reader of its last words.
const SAID_MAX: Duration = Duration::from_secs(2);

fn failed(text: &dyn Display) -> ExitCode {
    let (text, (done, written)) = (text.to_string(), std::sync::mpsc::channel());
    // In a thread of its own: a reader that has stalled must not keep the process from ending.
    let writer = std::thread::Builder::new().spawn(move || {
        drop(writeln!(std::io::stderr(), "{text}"));
        let _gone = done.send(());
    });
    if writer.is_ok() {
        let _late = written.recv_timeout(SAID_MAX);
    }
    ExitCode::FAILURE
}
