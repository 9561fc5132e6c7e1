//! A real Kubernetes control plane for tests: etcd, kube-apiserver and kube-controller-manager on
//! free loopback ports, with throw-away keys in a folder of their own.
//!
//! ```text
//! Lab ─┬─ etcd ◀─ kube-apiserver ◀─ kube-controller-manager      (real)
//!      ├─ pods become ready, or fail in a chosen way             (a fake kubelet)
//!      └─ Space: a namespace per test ─┬─ user: exactly these RBAC rules
//!                                      └─ Wire: between a client and the API server;
//!                                         loses answers, holds up orders, is cut
//! ```
//!
//! One lab serves a whole test binary; each test takes a namespace. The servers end with the
//! process, however it ends: they hang on a pipe that the system closes. `tools/peers kube-cluster`
//! builds them. `ROLLBACK_TEST_KUBECONFIG` points at any disposable cluster instead, whose servers
//! are then left alone, and the pods of other namespaces too: `./check` lends one to all its test
//! binaries so. A test that kills a server takes [`Lab::own`]. `cargo run -p kube-lab --example
//! cluster` starts one to look at.
//!
//! ```no_run
//! # async fn example() {
//! let Some(lab) = kube_lab::Lab::shared("my test") else { return };
//! let space = lab.space("shop").await;
//! space.create("apis/apps/v1", "deployments", kube_lab::deployment("web", "shop:1", 2)).await;
//! # }
//! ```
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a stage for tests: what goes wrong fails the test, and says so"
)]

mod kubelet;
mod lent;
mod manifests;
mod own;
mod servers;
mod space;
mod webhook;
mod wire;

pub use kubelet::Behaviour;
pub use manifests::{daemon_set, deployment, stateful_set};
pub use own::Own;
pub use servers::Server;
pub use space::Space;
pub use webhook::{Consent, Webhook};
pub use wire::{IsOrder, Wire};

use kubelet::Behaviours;
use servers::Servers;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::runtime::Runtime;

/// A cluster that tests may do anything to.
#[derive(Debug)]
pub struct Lab {
    /// Drives the fake kubelet and the wires, apart from the tests' own runtimes.
    runtime: Runtime,
    kubeconfig: PathBuf,
    behaviours: Arc<Behaviours>,
    /// None when the cluster is somebody else's.
    servers: Option<Mutex<Servers>>,
    next: AtomicU32,
    run: u64,
}

/// Names the kubeconfig of a cluster that is lent.
pub(crate) const LENT: &str = "ROLLBACK_TEST_KUBECONFIG";
/// How long a control plane may take to come up, on a machine that builds something else too.
const UP_WITHIN: Duration = Duration::from_secs(90);

impl Lab {
    /// The lab of this process, started at the first call.
    ///
    /// None when there is no cluster to test on, after saying on standard error that `test` was
    /// skipped; with `CI=true` that is a failure.
    pub fn shared(test: &str) -> Option<&'static Self> {
        static LAB: OnceLock<Option<Lab>> = OnceLock::new();
        // A runtime cannot be blocked on from within another one.
        let lab = LAB.get_or_init(|| {
            let started = std::thread::spawn(|| match std::env::var_os(LENT) {
                Some(path) => Some(Self::start(PathBuf::from(path), None)),
                None => Self::start_servers(),
            });
            started.join().expect("the cluster for tests did not start")
        });
        if lab.is_none() {
            let how = "build one with tools/peers kube-cluster, or point ROLLBACK_TEST_KUBECONFIG at a disposable one";
            peer::skipped(test, &format!("there is no cluster; {how}"));
        }
        lab.as_ref()
    }

    /// With servers of our own; none when they are not installed.
    fn start_servers() -> Option<Self> {
        let servers = Servers::start(&peer::find("kube-cluster")?);
        Some(Self::start(servers.kubeconfig(), Some(Mutex::new(servers))))
    }

    fn start(kubeconfig: PathBuf, servers: Option<Mutex<Servers>>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let behaviours = Arc::new(Behaviours::default());
        let lab = Self {
            runtime,
            kubeconfig,
            behaviours,
            servers,
            next: AtomicU32::new(0),
            run: since.as_secs(),
        };
        lab.runtime.block_on(async {
            lab.ready().await;
            if lab.servers.is_some() {
                kubelet::add_nodes(&lab.client().await).await;
            }
        });
        let (kubeconfig, behaviours) = (lab.kubeconfig.clone(), Arc::clone(&lab.behaviours));
        lab.runtime
            .spawn(async move { kubelet::run(&client(&kubeconfig).await, &behaviours).await });
        lab
    }

    /// Whether there is a cluster to be had: its servers are installed, or somebody lends one.
    #[must_use]
    pub fn is_there() -> bool {
        std::env::var_os(LENT).is_some() || peer::find("kube-cluster").is_some()
    }

    /// Drives the pods of every namespace whose name begins like this, whoever makes it.
    pub fn adopt(&self, namespaces: &str) {
        self.behaviours.adopt(namespaces);
    }

    /// How the pods of an image fare in namespaces that were adopted.
    pub fn behave(&self, namespaces: &str, image: &str, behaviour: Behaviour) {
        self.behaviours.set(namespaces, image, behaviour);
    }

    /// Ends the servers and removes their folder. Nothing can be asked of the lab afterwards.
    pub fn end(&self) {
        if let Some(servers) = &self.servers {
            servers.lock().unwrap_or_else(PoisonError::into_inner).end();
        }
    }

    /// The administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A client of the administrator, for the calling runtime.
    pub async fn client(&self) -> kube::Client {
        client(&self.kubeconfig).await
    }

    /// A fresh namespace.
    pub async fn space(&'static self, prefix: &str) -> Space {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let name = format!("{prefix}-{}-{}-{number}", self.run % 1_000_000, std::process::id());
        Space::open(self, name).await
    }

    /// Whether servers can be killed and started: not those of somebody else's cluster.
    #[must_use]
    pub const fn is_ours(&self) -> bool {
        self.servers.is_some()
    }

    /// Kills one of the servers, as a crash would. It stays down until [`Self::revive`].
    pub fn kill(&self, server: Server) {
        self.servers().kill(server);
    }

    /// Starts a server that was killed, and waits until the API server answers.
    pub async fn revive(&self, server: Server) {
        self.servers().spawn(server);
        self.ready().await;
    }

    /// Everything that is older than now is gone: etcd compacts it, and the API server is started
    /// anew, since it remembers for itself what it has seen lately.
    pub async fn forget_the_past(&self) {
        let version = self.newest_version().await;
        self.kill(Server::Api);
        self.servers().compact(version);
        self.revive(Server::Api).await;
    }

    /// The version of an object that is made for it: whatever was seen before is older.
    async fn newest_version(&self) -> u64 {
        let object = serde_json::json!({"metadata": {"generateName": "newer-than-all-"}});
        let make = http::Request::post("/api/v1/namespaces/default/configmaps")
            .header("content-type", "application/json")
            .body(object.to_string().into_bytes())
            .unwrap();
        let made: serde_json::Value = self.client().await.request(make).await.unwrap();
        made["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
    }

    fn servers(&self) -> std::sync::MutexGuard<'_, Servers> {
        let servers = self.servers.as_ref().expect("the servers of this cluster are not ours");
        servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every request of the audit log so far, oldest first: the API server's own account.
    #[must_use]
    pub fn requests(&self) -> Vec<serde_json::Value> {
        let path = self.servers().audit_log();
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    async fn ready(&self) {
        let client = self.client().await;
        let answered = tokio::time::timeout(UP_WITHIN, async {
            loop {
                let request = http::Request::get("/readyz").body(Vec::new()).unwrap();
                if client.request_text(request).await.is_ok() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        if answered.await.is_err() {
            let logs = self.servers.as_ref().map(|_ours| self.servers().last_words());
            panic!("the API server was not ready in time: {}", logs.unwrap_or_default());
        }
    }
}

async fn client(kubeconfig: &Path) -> kube::Client {
    let kubeconfig = kube::config::Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
    let options = kube::config::KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await;
    kube::Client::try_from(config.expect("a kubeconfig that can be used")).expect("a client")
}
