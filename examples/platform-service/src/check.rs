//! `check`: asks every configured system whether the service could work with it, before it must.
//! Changes nothing: what is read is read, and the one file that is written is removed again.

mod disk;
mod services;
mod slack;

pub use self::slack::SCOPES;

use crate::catalog::{backends, catalog};
use crate::config::Config;
use crate::platform::{Credentials, slack as client};
use crate::secrets::Environment;
use rollback_core::ports::Clock;
use rollback_core::{ServiceKey, WorkspaceId};
use rollback_engine::SystemClock;
use std::fmt;
use std::sync::Arc;

/// What came of one check.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "three verdicts, as everywhere")]
pub enum Verdict {
    /// It works.
    Ok,
    /// It does not.
    Fail,
    /// It could not be found out, or there is nothing to find out yet.
    Unknown,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "OK",
            Self::Fail => "FAIL",
            Self::Unknown => "UNKNOWN",
        })
    }
}

/// One line of the table.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Row {
    /// What came of it.
    pub verdict: Verdict,
    /// What was checked.
    pub subject: String,
    /// What was found.
    pub finding: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

impl Row {
    fn ok(subject: impl Into<String>, finding: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Ok,
            subject: subject.into(),
            finding: finding.into(),
            remedy: None,
        }
    }

    fn fail(
        subject: impl Into<String>,
        finding: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let remedy = Some(remedy.into());
        Self { verdict: Verdict::Fail, subject: subject.into(), finding: finding.into(), remedy }
    }

    fn unknown(
        subject: impl Into<String>,
        finding: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { verdict: Verdict::Unknown, ..Self::fail(subject, finding, remedy) }
    }
}

/// Everything that was checked, in a fixed order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// The lines.
    pub rows: Vec<Row>,
}

impl Report {
    /// Whether nothing failed.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.count(Verdict::Fail) == 0
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.rows.iter().filter(|row| row.verdict == verdict).count()
    }
}

/// The table: for each check its verdict, what was found, and what to do.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widest = self.rows.iter().map(|row| row.subject.chars().count()).max().unwrap_or(0);
        for row in &self.rows {
            writeln!(f, "{:<7}  {:<widest$}  {}", row.verdict, row.subject, row.finding)?;
            if let Some(remedy) = &row.remedy {
                writeln!(f, "{:<7}  {:<widest$}  -> {remedy}", "", "")?;
            }
        }
        let (ok, failed) = (self.count(Verdict::Ok), self.count(Verdict::Fail));
        let unknown = self.count(Verdict::Unknown);
        write!(f, "{ok} OK, {failed} FAIL, {unknown} UNKNOWN")
    }
}

/// Asks everything.
pub async fn check(config: &Config, environment: &Environment) -> Report {
    let mut rows = vec![Row::ok("configuration", counted(services_of(config).len()))];
    let credentials = Credentials::of(environment);
    if let Err(missing) = &credentials {
        let absent = missing.iter().map(|missing| {
            Row::fail("environment", missing.to_string(), "the service does not start without it")
        });
        rows.extend(absent);
    }
    rows.extend(disk::rows(config, environment).await);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let mut workspace = config.file.slack.workspace.clone();
    if let Ok(token) = environment.secret("SLACK_BOT_TOKEN") {
        match client(token, environment, 2) {
            Ok(api) => {
                let app = environment.secret("SLACK_APP_TOKEN").ok();
                let app = app.and_then(|token| client(token, environment, 2).ok());
                let (asked, found) = slack::rows(config, &api, app.as_ref()).await;
                workspace = workspace.or(found);
                rows.extend(asked);
            }
            Err(error) => rows.push(Row::fail("Slack token", error.to_string(), "correct it")),
        }
    }
    match backends(config, environment, &clock).await {
        Ok(backends) => {
            let anybody = || WorkspaceId::parse("T0UNKNOWN").ok();
            if let Some(workspace) = workspace.or_else(anybody) {
                match catalog(config, Some(workspace), &clock) {
                    Ok(catalog) => {
                        rows.extend(services::rows(&catalog, &backends, &clock).await);
                    }
                    Err(error) => {
                        rows.push(Row::fail("health checks", error.to_string(), "correct it"));
                    }
                }
            }
        }
        Err(error) => {
            rows.push(Row::fail("backends", error.to_string(), "correct the configuration"));
        }
    }
    Report { rows }
}

fn counted(services: usize) -> String {
    match services {
        1 => "1 service in its environment".into(),
        more => format!("{more} services in their environments"),
    }
}

fn services_of(config: &Config) -> Vec<ServiceKey> {
    let services = config.file.services.iter().flat_map(|(name, service)| {
        service
            .environments
            .keys()
            .map(|environment| ServiceKey::new(name.clone(), environment.clone()))
    });
    services.collect()
}
