//! Everything around the replicas, and the replicas themselves.

use crate::cd::{Cd, Effects};
use crate::chat::Chat;
use crate::figures::Cost;
use crate::key;
use crate::replica::{Asked, CD_TOKEN, Stands};
use postgres_lab::{Server, Space};
use reqwest::Client;
use rollback_core::Timestamp;
use rollback_core::ports::{CdBackend, Clock as _, Outbox as _};
use rollback_engine::SystemClock;
use rollback_http::server::{MemoryLog, Server as CdServer};
use rollback_store::{PostgresOptions, PostgresStore};
use rollback_testkit::fixtures;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// How much of everything there is.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "arguments of a command line")]
pub struct Setup {
    /// Processes.
    pub replicas: usize,
    /// Services.
    pub keys: usize,
    /// Posts a second that a channel of the chat takes.
    pub posts_per_second: u32,
    /// Rollbacks that a process has open at a time.
    pub open_max: usize,
    /// How long a process owns a rollback without renewing.
    pub lease: Duration,
}

/// The processes, their database, the CD system and the chat.
#[derive(Debug)]
pub struct World<'a> {
    pub(crate) server: &'a Server,
    pub(crate) space: Space<'a>,
    pub(crate) setup: Setup,
    pub(crate) cd: Vec<Arc<Cd>>,
    pub(crate) effects: Effects,
    /// Whether the CD systems get no further with what they do.
    pub(crate) busy: Arc<AtomicBool>,
    pub(crate) chat: Arc<Chat>,
    /// One that only looks.
    pub(crate) store: PostgresStore,
    pub(crate) client: Client,
    /// How often somebody was told to try again.
    pub(crate) again: AtomicUsize,
    replicas: Vec<Replica>,
    program: Program,
}

/// What plays a replica, and with which arguments.
#[derive(Debug)]
struct Program {
    path: PathBuf,
    arguments: Vec<String>,
}

impl Program {
    fn start(&self) -> Replica {
        let mut command = Command::new(&self.path);
        command.args(&self.arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut address = String::new();
        let out = child.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut address).unwrap();
        Replica { url: format!("http://{}", address.trim()), child }
    }
}

#[derive(Debug)]
struct Replica {
    url: String,
    child: Child,
}

impl Drop for Replica {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl<'a> World<'a> {
    /// Starts everything; `program` is what plays a replica.
    pub async fn start(server: &'a Server, program: &Path, setup: Setup) -> Self {
        let space = server.space();
        let chat = Chat::new(setup.posts_per_second);
        let (effects, began, busy) = (Effects::default(), now(), Arc::default());
        let cd: Vec<Arc<Cd>> =
            (0..setup.keys).map(|number| Cd::of(number, began, &effects, &busy)).collect();
        let cd_url = serve(cd_server(&cd)).await;
        let chat_url = serve(chat.routes()).await;
        let store = PostgresStore::connect(&space.url(), PostgresOptions::default()).await.unwrap();
        let arguments = [
            "replica".to_owned(),
            format!("--database={}", space.url()),
            format!("--cd={cd_url}"),
            format!("--chat={chat_url}"),
            format!("--keys={}", setup.keys),
            format!("--open-max={}", setup.open_max),
            format!("--lease-ms={}", setup.lease.as_millis()),
        ];
        let program = Program { path: program.to_owned(), arguments: arguments.to_vec() };
        let replicas = (0..setup.replicas).map(|_replica| program.start()).collect();
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(600));
        let client = client.build().unwrap();
        Self {
            server,
            space,
            setup,
            cd,
            effects,
            busy,
            chat,
            store,
            client,
            again: AtomicUsize::new(0),
            replicas,
            program,
        }
    }

    /// What the replicas have used so far.
    pub async fn cost(&self) -> Cost {
        let mut costs = Vec::new();
        for replica in &self.replicas {
            let asked = self.client.get(format!("{}/cost", replica.url)).send().await.unwrap();
            costs.push(asked.json().await.unwrap());
        }
        Cost::of_all(&costs)
    }

    /// The process that is the replica of this number.
    pub(crate) fn replica(&self, number: usize) -> u32 {
        self.replicas.get(number).unwrap().child.id()
    }

    /// Kills the replica of this number: nothing is cleaned up, flushed or said.
    pub(crate) fn kill(&mut self, number: usize) {
        let replica = self.replicas.get_mut(number).unwrap();
        replica.child.kill().unwrap();
        replica.child.wait().unwrap();
    }

    /// A new process takes the place of the replica of this number.
    pub(crate) fn start_again(&mut self, number: usize) {
        *self.replicas.get_mut(number).unwrap() = self.program.start();
    }

    /// Where the replica of this number is.
    pub(crate) fn url(&self, number: usize, path: &str) -> String {
        let replica = self.replicas.get(number % self.replicas.len()).unwrap();
        format!("{}{path}", replica.url)
    }

    /// Asks the replica of this number, and answers with the refusal in words if it is one.
    pub(crate) async fn ask(
        &self,
        replica: usize,
        path: &str,
        asked: &Asked,
    ) -> Result<Stands, String> {
        let sent = self.client.post(self.url(replica, path)).json(asked).send().await.unwrap();
        if sent.status().is_success() {
            Ok(sent.json().await.unwrap())
        } else {
            Err(sent.text().await.unwrap())
        }
    }

    /// The same, and once more whenever the answer is to try again, as people do.
    pub(crate) async fn insist(&self, replica: usize, path: &str, asked: &Asked) -> Stands {
        loop {
            match self.ask(replica, path, asked).await {
                Ok(stands) => return stands,
                Err(why) => assert!(why.contains("try again in a minute"), "{why}"),
            }
            self.again.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Somebody deploys the next revision of a service.
    pub(crate) async fn deploy(&self, number: usize, revision: usize) {
        let name = revision.to_string();
        if revision > FIRST {
            let deployed = fixtures::revision(&name, &format!("2.{name}.0"), now());
            self.cd.get(number).unwrap().inner.deploy(deployed);
        }
        let asked = Asked { number, revision, rollback: None };
        self.insist(number, "/deployed", &asked).await;
    }

    /// How many rollbacks have not ended.
    pub(crate) fn open(&self) -> usize {
        self.space.sql("SELECT count(*) FROM rollback WHERE NOT is_end").parse().unwrap()
    }

    /// How many there are in each state.
    pub(crate) fn count(&self, state: &str) -> usize {
        let sql = format!("SELECT count(*) FROM rollback WHERE state = '{state}'");
        self.space.sql(&sql).parse().unwrap()
    }

    /// Waits until every rollback has ended and everything is told.
    pub(crate) async fn settle(&self) {
        while self.open() > 0 || self.store.waiting().await.unwrap() > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// The revision that is live at the start.
pub(crate) const FIRST: usize = 42;

fn now() -> Timestamp {
    SystemClock::new().now()
}

fn cd_server(cd: &[Arc<Cd>]) -> axum::Router {
    let server = CdServer::new(CD_TOKEN, Arc::new(MemoryLog::default())).unwrap();
    let all = cd.iter().enumerate();
    let server = all.fold(server, |server, (number, cd)| {
        let backend: Arc<dyn CdBackend> = Arc::<Cd>::clone(cd);
        server.service(key(number), backend)
    });
    server.router()
}

async fn serve(routes: axum::Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    format!("http://{address}")
}
