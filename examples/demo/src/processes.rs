//! The rollback service as a process: started, stopped, killed.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, ChildStdin, Command};

/// How long a worker may take to come to rest before it is killed.
const REST_WITHIN: Duration = Duration::from_secs(5);

/// How a worker is called.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) program: PathBuf,
    pub(crate) port: u16,
    pub(crate) shop_port: u16,
    pub(crate) api_url: String,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) secrets: Secrets,
}

/// Made anew at every start, and known to nobody else.
#[derive(Clone)]
pub(crate) struct Secrets {
    pub(crate) bot_token: String,
    pub(crate) signing_secret: String,
    pub(crate) control_token: String,
}

impl Secrets {
    pub(crate) fn new() -> Self {
        let secret = |prefix: &str| {
            let parts = [uuid::Uuid::now_v7(), uuid::Uuid::now_v7()];
            format!("{prefix}{}{}", parts[0].simple(), parts[1].simple())
        };
        Self { bot_token: secret("xoxb-"), signing_secret: secret(""), control_token: secret("") }
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets")
    }
}

/// The worker of a scene, and every lifeline that was handed out in it.
///
/// The shop inherits the lifeline of the worker that started it, and must outlive that worker when
/// it is killed: so a lifeline is held until the scene ends.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    running: Option<Child>,
    lifelines: Vec<ChildStdin>,
}

impl Workers {
    pub(crate) fn start(&mut self, call: &Call, dir: &Path, scene: &str) -> io::Result<()> {
        let log = File::options().create(true).append(true).open(dir.join("worker.log"))?;
        let mut child = Command::new(&call.program)
            .arg("worker")
            .arg(dir)
            .arg(call.port.to_string())
            .arg(call.shop_port.to_string())
            .arg(scene)
            .envs(call.env.iter().cloned())
            .env("SLACK_API_URL", &call.api_url)
            .env("SLACK_BOT_TOKEN", &call.secrets.bot_token)
            .env("SLACK_SIGNING_SECRET", &call.secrets.signing_secret)
            .env("DEMO_CONTROL_TOKEN", &call.secrets.control_token)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        self.lifelines.extend(child.stdin.take());
        self.running = Some(child);
        Ok(())
    }

    /// The process id, while it runs.
    pub(crate) fn pid(&mut self) -> Option<u32> {
        let child = self.running.as_mut()?;
        match child.try_wait() {
            Ok(None) => child.id(),
            Ok(Some(_)) | Err(_) => None,
        }
    }

    /// SIGKILL: it gets no chance to do anything.
    pub(crate) async fn kill(&mut self) -> io::Result<()> {
        match self.running.as_mut() {
            Some(child) => child.kill().await,
            None => Ok(()),
        }
    }

    /// Lets it come to rest, and the shop end with it.
    pub(crate) async fn stop(&mut self) -> io::Result<()> {
        self.lifelines.clear();
        let Some(mut child) = self.running.take() else {
            return Ok(());
        };
        match tokio::time::timeout(REST_WITHIN, child.wait()).await {
            Ok(ended) => ended.map(|_status| ()),
            Err(_elapsed) => child.kill().await,
        }
    }
}
