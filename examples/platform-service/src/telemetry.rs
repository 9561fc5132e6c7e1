//! Logs, and traces for OpenTelemetry when its usual environment variables ask for them.

use crate::lines::{Colours, Lines};
use crate::log_queue::Queue;
use crate::secrets::Environment;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithHttpConfig as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use reqwest::{blocking, redirect};
use std::io::IsTerminal;
use std::time::Duration;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

/// How long one batch of traces may take, unless the standard's own variables say otherwise: the
/// standard's default.
const EXPORT_WITHIN: Duration = Duration::from_secs(10);

/// How logs are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
#[non_exhaustive]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

impl LogFormat {
    /// For people on a terminal, JSON anywhere else.
    #[must_use]
    pub fn fitting() -> Self {
        if std::io::stderr().is_terminal() { Self::Text } else { Self::Json }
    }
}

/// What must be flushed at the end.
#[derive(Debug)]
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
    log: Queue,
}

/// Logs cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// The filter.
    #[error("the environment variable `RUST_LOG` is not a filter of logs; write `info`, say")]
    Filter(#[source] tracing_subscriber::filter::ParseError),
    /// The exporter of traces.
    #[error("OpenTelemetry cannot be set up; correct the variables that begin with `OTEL_`")]
    Exporter(#[source] opentelemetry_otlp::ExporterBuildError),
    /// The exporter's HTTP client.
    #[error("the HTTP client for OpenTelemetry cannot be set up on this machine")]
    Client,
    /// The thread that writes the log.
    #[error("no thread can be started that writes the log")]
    Log(#[source] std::io::Error),
    /// Somebody did it before.
    #[error("logs are set up already")]
    Twice(#[source] tracing_subscriber::util::TryInitError),
}

impl Telemetry {
    /// Writes logs to standard error, without ever waiting for their reader: what nobody reads in time is
    /// dropped, counted and told. At the level that `RUST_LOG` says (`info`), and sends traces
    /// where `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` says, over HTTP.
    /// Must not be called on an async runtime: the exporter has threads of its own.
    ///
    /// # Errors
    ///
    /// [`TelemetryError`]; nothing was set up.
    pub fn start(format: LogFormat, environment: &Environment) -> Result<Self, TelemetryError> {
        let written = environment.text("RUST_LOG").unwrap_or("info");
        let filter = EnvFilter::try_new(written).map_err(TelemetryError::Filter)?;
        let traces = traces(environment)?;
        let exported = traces.as_ref().map(|provider| {
            tracing_opentelemetry::layer()
                .with_tracer(provider.tracer("platform-service"))
                .with_filter(tracing_subscriber::filter::LevelFilter::INFO)
        });
        let is_seen = std::io::stderr().is_terminal() && format == LogFormat::Text;
        let colours = if is_seen { Colours::Some } else { Colours::None };
        let log = Queue::to_standard_error().map_err(TelemetryError::Log)?;
        let lines = Lines::new(format, colours, log.clone());
        let lines = tracing_subscriber::fmt::layer().with_writer(lines);
        let lines = match format {
            LogFormat::Json => lines.json().flatten_event(true).with_filter(filter).boxed(),
            LogFormat::Text => lines.with_ansi(is_seen).with_filter(filter).boxed(),
        };
        let all = tracing_subscriber::registry().with(exported).with(lines);
        all.try_init().map_err(TelemetryError::Twice)?;
        // The usual hook writes to standard error, and waits for its reader.
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string);
            let payload = panic.payload();
            let words = payload.downcast_ref::<&str>().copied();
            let words = words.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
            let what = words.unwrap_or("it says nothing");
            tracing::error!(place, what, "a task panicked");
        }));
        Ok(Self { traces, log })
    }

    /// Sends what has not been sent.
    pub fn flush(self) {
        if let Some(Err(error)) = self.traces.map(|traces| traces.shutdown()) {
            tracing::warn!(%error, "not every trace was sent");
        }
        self.log.flush();
    }
}

fn traces(environment: &Environment) -> Result<Option<SdkTracerProvider>, TelemetryError> {
    let asked = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
    let is_asked = asked.iter().any(|name| environment.text(name).is_some());
    let is_off = environment.text("OTEL_SDK_DISABLED") == Some("true")
        || environment.text("OTEL_TRACES_EXPORTER") == Some("none");
    if !is_asked || is_off {
        return Ok(None);
    }
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(client(environment)?)
        .build()
        .map_err(TelemetryError::Exporter)?;
    let mut resource = Resource::builder();
    if environment.text("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name("rollback");
    }
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource.build())
        .build();
    Ok(Some(provider))
}

/// What is sent carries the collector's key in headers that only the collector knows, so it goes
/// there straight and not on to wherever an answer points.
fn client(environment: &Environment) -> Result<blocking::Client, TelemetryError> {
    let said = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"]
        .iter()
        .find_map(|name| environment.text(name)?.parse().ok().map(Duration::from_millis));
    blocking::Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        .timeout(said.unwrap_or(EXPORT_WITHIN))
        .build()
        .map_err(|_told| TelemetryError::Client)
}
