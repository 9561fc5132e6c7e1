//! The process `platform-service`, told everything by a file, the environment and HTTP.

use super::Host;
use async_trait::async_trait;
use local_slack::LocalSlack;
use rollback_core::ports::CdBackend;
use rollback_core::{Deploy, StateName};
use rollback_http::server::{MemoryLog, Server};
use rollback_testkit::fakes::FakeBackend;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use team::{PATIENCE, SECRET, TOKEN, WORKSPACE, key};
use tokio::task::JoinHandle;

pub(crate) const API_TOKEN: &str = "an-api-token-of-24-characters";
pub(crate) const CD_TOKEN: &str = "a-cd-token";

pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) logs: Arc<Mutex<String>>,
    child: Child,
    cd: Option<JoinHandle<()>>,
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(cd) = &self.cd {
            cd.abort();
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The CD API contract over a backend, on a port of its own.
pub(crate) async fn serve_cd(cd: &Arc<FakeBackend>) -> (SocketAddr, JoinHandle<()>) {
    let backend: Arc<dyn CdBackend> = Arc::<FakeBackend>::clone(cd);
    let log = Arc::new(MemoryLog::default());
    let routes = Server::new(CD_TOKEN, log).expect("a server").service(key(), backend).router();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = tokio::spawn(async move {
        axum::serve(listener, routes).await.expect("a server");
    });
    (address, server)
}

pub(crate) fn yaml(cd: SocketAddr, approvals: u8) -> String {
    format!(
        "slack: {{channel: C0DEPLOYS, workspace: {WORKSPACE}}}\n\
         store: sqlite://rollback.db\n\
         backends:\n  \
           inhouse: {{kind: http, url: \"http://{cd}\", token_env: CD_TOKEN, fence: true}}\n\
         services:\n  \
           checkout:\n    \
             owners: {{users: [U02ANA], groups: [S0PAYMENTS]}}\n    \
             environments:\n      \
               production: {{backend: inhouse, approvals: {approvals}}}\n\
         audit: {{require: [store, file], file: {{path: audit.jsonl}}}}\n\
         limits: {{settle: 200ms, cd_timeout: 2s}}\n"
    )
}

impl Service {
    pub(crate) async fn start(slack: &LocalSlack, cd: &Arc<FakeBackend>, approvals: u8) -> Self {
        let (cd, server) = serve_cd(cd).await;
        Self::start_with(slack, &yaml(cd, approvals), server, &[]).await
    }

    pub(crate) async fn start_with(
        slack: &LocalSlack,
        yaml: &str,
        cd: JoinHandle<()>,
        more: &[(&str, &str)],
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("rollback.yaml"), yaml).expect("a file");
        Self::start_in(folder, slack, cd, more).await
    }

    pub(crate) async fn start_in(
        folder: tempfile::TempDir,
        slack: &LocalSlack,
        cd: JoinHandle<()>,
        more: &[(&str, &str)],
    ) -> Self {
        Self::start_logging("json", folder, slack, cd, more).await
    }

    /// The same with a log in this format.
    pub(crate) async fn start_logging(
        format: &str,
        folder: tempfile::TempDir,
        slack: &LocalSlack,
        cd: JoinHandle<()>,
        more: &[(&str, &str)],
    ) -> Self {
        let program = Command::new(env!("CARGO_BIN_EXE_platform-service"));
        Self::start_program(program, format, folder, slack, cd, more).await
    }

    /// The same with so many file descriptors, sockets among them.
    pub(crate) async fn start_with_files(
        files: u32,
        folder: tempfile::TempDir,
        slack: &LocalSlack,
        cd: JoinHandle<()>,
    ) -> Self {
        let mut program = Command::new("/bin/sh");
        let limited = format!("ulimit -n {files} && exec \"$0\" \"$@\"");
        program.args(["-c", &limited, env!("CARGO_BIN_EXE_platform-service")]);
        Self::start_program(program, "json", folder, slack, cd, &[]).await
    }

    async fn start_program(
        mut program: Command,
        format: &str,
        folder: tempfile::TempDir,
        slack: &LocalSlack,
        cd: JoinHandle<()>,
        more: &[(&str, &str)],
    ) -> Self {
        program.args(["--config", "rollback.yaml", "--listen", "127.0.0.1:0"]);
        program.args(["--log-format", format]);
        Self::start_command(program, folder, slack, cd, more).await
    }

    /// Starts it by a command that is complete.
    pub(crate) async fn start_command(
        mut program: Command,
        folder: tempfile::TempDir,
        slack: &LocalSlack,
        cd: JoinHandle<()>,
        more: &[(&str, &str)],
    ) -> Self {
        let mut child = program
            .current_dir(folder.path())
            .env_clear()
            .envs([
                ("SLACK_BOT_TOKEN", TOKEN),
                ("SLACK_SIGNING_SECRET", SECRET),
                ("SLACK_API_URL", slack.api_url().as_str()),
                ("ROLLBACK_API_TOKEN", API_TOKEN),
                ("CD_TOKEN", CD_TOKEN),
            ])
            .envs(more.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a process");
        let stderr = child.stderr.take().expect("its log");
        let logs = Arc::new(Mutex::new(String::new()));
        let (tell, told) = tokio::sync::oneshot::channel();
        let kept = Arc::clone(&logs);
        std::thread::spawn(move || {
            let mut tell = Some(tell);
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Some(address) = listens_at(&line)
                    && let Some(tell) = tell.take()
                {
                    drop(tell.send(address));
                }
                let mut kept = kept.lock().expect("the log");
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        let address = tokio::time::timeout(PATIENCE, told).await;
        let address = match address {
            Ok(Ok(address)) => address.parse().expect("an address"),
            _ => panic!("it never listened: {}", logs.lock().expect("the log")),
        };
        Self { address, folder, logs, child, cd: Some(cd) }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = client().get(self.url(path)).bearer_auth(API_TOKEN).send().await;
        let text = answer.expect("an answer").text().await.expect("a body");
        serde_json::from_str(&text).unwrap_or(Value::String(text))
    }

    /// How many of Slack's interactions were counted as this.
    pub(crate) async fn interactions(&self, outcome: &str) -> usize {
        let page = client().get(self.url("/metrics")).send().await.expect("an answer");
        let page = page.text().await.expect("a page");
        let named = format!("\"{outcome}\"");
        let mut lines = page.lines().filter(|line| line.contains("slack_interactions"));
        let line = lines.find(|line| line.contains(&named)).unwrap_or_default();
        line.rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or_default()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let answer = client().post(self.url(path)).bearer_auth(API_TOKEN).json(body).send().await;
        let answer = answer.expect("an answer");
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("a body");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// Asks the process to end, waits until it has, and says with what.
    pub(crate) async fn terminate(&mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("kill");
        assert!(sent.success(), "the process was gone");
        self.ended().await
    }

    /// Waits until the process has ended, and says with what.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        let ended = async {
            loop {
                if let Some(status) = self.child.try_wait().expect("a child") {
                    return status.code();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, ended).await.expect("it did not end")
    }

    /// Kills the process at once, and leaves what it kept and the CD system, which runs on.
    pub(crate) fn kill(mut self) -> (tempfile::TempDir, JoinHandle<()>) {
        self.child.kill().expect("a process");
        let cd = self.cd.take().expect("a CD system");
        (self.into_folder(), cd)
    }

    /// Takes the folder with all that was kept in it.
    pub(crate) fn into_folder(mut self) -> tempfile::TempDir {
        drop(self.child.kill());
        drop(self.child.wait());
        std::mem::replace(&mut self.folder, tempfile::tempdir().expect("a folder"))
    }
}

/// What the line says that the process listens at, in either format.
fn listens_at(line: &str) -> Option<String> {
    let said: Value = serde_json::from_str(line).unwrap_or_default();
    if said["message"] == "listening" {
        return said["address"].as_str().map(str::to_owned);
    }
    let (_, address) = line.split_once("listening address=")?;
    address.split_whitespace().next().map(str::to_owned)
}

pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client")
}

/// A deploy as a pipeline reports it.
pub(crate) fn report_of(deploy: &Deploy) -> Value {
    json!({
        "id": deploy.id.as_str(),
        "service": deploy.service.as_str(),
        "environment": deploy.environment.as_str(),
        "version": deploy.version.as_str(),
        "revision": deploy.revision.as_ref().map(rollback_core::RevisionId::as_str),
        "deployer": {"name": "Ana", "slack_user_id": "U02ANA"},
        "deployed_at": deploy.deployed_at.to_string(),
        "migrations": [],
    })
}

#[async_trait]
impl Host for Service {
    fn callbacks(&self) -> String {
        self.url("/slack/interactivity")
    }

    async fn report(&self, deploy: Deploy) {
        let (status, answer) = self.post("/v1/deploys", &report_of(&deploy)).await;
        assert_eq!(status, 201, "{answer}");
    }

    async fn states(&self) -> Vec<StateName> {
        let list = self.get("/v1/rollbacks").await;
        let all = list["rollbacks"].as_array().cloned().unwrap_or_default();
        let state = |rollback: Value| serde_json::from_value(rollback["state"].clone());
        all.into_iter().map(|rollback| state(rollback).expect("a state")).collect()
    }

    async fn stop(mut self: Box<Self>) {
        assert_eq!(self.terminate().await, Some(0), "{}", self.logs.lock().expect("the log"));
    }
}
