//! The page that Prometheus reads, in the format that it asks for.

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

/// How the page is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Format {
    /// The text format that everything reads.
    Prometheus,
    /// OpenMetrics, for whoever asks for it.
    OpenMetrics,
}

impl Format {
    /// What the header `Accept` asks for.
    pub(crate) fn wanted(accept: Option<&str>) -> Self {
        match accept {
            Some(accept) if accept.contains("application/openmetrics-text") => Self::OpenMetrics,
            Some(_) | None => Self::Prometheus,
        }
    }

    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

pub(super) fn encode(registry: &Registry, format: Format) -> String {
    let mut page = String::new();
    if text::encode(&mut page, registry).is_err() {
        tracing::warn!("the metrics could not be written in full");
    }
    match format {
        Format::OpenMetrics => page,
        Format::Prometheus => older(&page),
    }
}

/// A page of OpenMetrics in the older format, which names a family as its samples are named, and
/// knows neither information nor units nor an end.
fn older(page: &str) -> String {
    let mut written = String::with_capacity(page.len());
    let mut help = "";
    for line in page.lines() {
        if let Some(told) = line.strip_prefix("# HELP ") {
            help = told.split_once(' ').map_or("", |(_name, words)| words);
        } else if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|told| told.split_once(' '))
        {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                other => ("", other),
            };
            let family = format!("# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}\n");
            written.push_str(&family);
        } else if !line.starts_with('#') {
            written.push_str(line);
            written.push('\n');
        }
    }
    written
}
