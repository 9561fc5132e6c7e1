//! Starts, replaces and asks the one process that serves the folder's current release.
//!
//! A process is replaced by starting the next one: the folder names it as the one that may serve,
//! the one before sees that and ends. So a process that outlived its supervisor is replaced in the
//! same way as a child.

use super::config::{Config, Lifeline};
use super::error::ReleasesError;
use super::service::Up;
use rollback_core::RevisionId;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

/// How long an answer of the service may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How often a service that does not answer yet is asked again.
const ASKED_EVERY: Duration = Duration::from_millis(40);

/// Looks after one service.
#[derive(Debug)]
pub(crate) struct Supervisor {
    program: PathBuf,
    root: PathBuf,
    port: u16,
    lifeline: Lifeline,
    up_within: Duration,
    http: reqwest::Client,
    /// The last process that was started here, with our end of its lifeline.
    child: Mutex<Option<Child>>,
}

impl Supervisor {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            program: config.program.clone(),
            root: config.root.clone(),
            port: config.port,
            lifeline: config.lifeline,
            up_within: config.up_within,
            http: super::to_this_machine(),
            child: Mutex::new(None),
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Starts the process with this number. The one before it ends by itself.
    pub(crate) fn start(&self, instance: u64) -> Result<(), ReleasesError> {
        let mut command = Command::new(&self.program);
        command
            .arg("serve-release")
            .arg(absolute(&self.root))
            .arg(self.port.to_string())
            .arg(instance.to_string())
            .stdout(Stdio::null())
            .stdin(match self.lifeline {
                Lifeline::Own => Stdio::piped(),
                Lifeline::Inherited => Stdio::inherit(),
            });
        let started = command.spawn();
        let program = self.program.clone();
        let child = started.map_err(|source| ReleasesError::Start { program, source })?;
        // The handle of the one before is dropped, and with it our end of its lifeline.
        *self.child.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        Ok(())
    }

    /// Which release answers, if one does.
    pub(crate) async fn up(&self) -> Option<Up> {
        let asked = self.http.get(self.url("/up")).timeout(ANSWER_WITHIN).send().await.ok()?;
        asked.error_for_status().ok()?.json().await.ok()
    }

    /// Waits until this release answers; says what was seen when it does not in time.
    pub(crate) async fn await_up(&self, release: &RevisionId) -> Result<(), String> {
        let started = Instant::now();
        loop {
            let seen = self.up().await;
            let answering = seen.map(|up| up.release);
            if answering.as_deref() == Some(release.as_str()) {
                return Ok(());
            }
            if started.elapsed() > self.up_within {
                let seen = answering.map_or_else(
                    || "nothing answered".to_owned(),
                    |other| format!("release `{other}` answered"),
                );
                let within = rollback_core::in_words(self.up_within);
                return Err(format!("{seen} within {within}"));
            }
            tokio::time::sleep(ASKED_EVERY).await;
        }
    }
}

/// The service may be started from another folder than this process.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_no_current_dir| path.to_owned())
}
