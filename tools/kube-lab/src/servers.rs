//! The three servers, as child processes that end with this one.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use tempfile::TempDir;

/// One of the servers of a control plane.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "what this control plane is made of")]
pub enum Server {
    /// What keeps the objects.
    Etcd,
    /// What every request goes to.
    Api,
    /// What makes pods of workloads.
    Controllers,
}

/// Runs its arguments, tells their process id, and kills them when its standard input ends.
const LIFELINE: &str =
    r#"log=$1; shift; "$@" >>"$log" 2>&1 & echo $!; cat >/dev/null; kill -9 $! 2>/dev/null; wait"#;

const CONTROLLERS: &str = "deployment-controller,replicaset-controller,statefulset-controller,daemonset-controller,job-controller,garbage-collector-controller,namespace-controller,resourcequota-controller";

/// Who changed what, in words; who read what, by name.
const AUDIT_POLICY: &str = r#"{"apiVersion":"audit.k8s.io/v1","kind":"Policy","omitStages":["RequestReceived"],"rules":[
{"level":"None","users":["kubelet"]},
{"level":"Request","verbs":["create","update","patch","delete"],"resources":[{"group":"apps"},{"group":"","resources":["secrets"]}]},
{"level":"Metadata"}]}"#;

#[derive(Debug)]
pub(crate) struct Servers {
    bin: PathBuf,
    dir: TempDir,
    ports: Ports,
    running: BTreeMap<Server, Running>,
}

#[derive(Debug)]
struct Ports {
    etcd: u16,
    peer: u16,
    api: u16,
    controllers: u16,
}

#[derive(Debug)]
struct Running {
    shell: Child,
    lifeline: Option<ChildStdin>,
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        // The shell ends once the server has.
        let _status = self.shell.wait();
    }
}

impl Servers {
    pub(crate) fn start(bin: &Path) -> Self {
        let listeners: Vec<_> =
            (0..4).map(|_| TcpListener::bind(("127.0.0.1", 0)).unwrap()).collect();
        let free: Vec<u16> = listeners.iter().map(|l| l.local_addr().unwrap().port()).collect();
        drop(listeners);
        let ports = Ports { etcd: free[0], peer: free[1], api: free[2], controllers: free[3] };
        let dir = TempDir::with_prefix("kube-lab-").unwrap();
        let mut servers = Self { bin: bin.to_owned(), dir, ports, running: BTreeMap::new() };
        servers.write_files();
        for server in [Server::Etcd, Server::Api, Server::Controllers] {
            servers.spawn(server);
        }
        servers
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.path("admin.kubeconfig")
    }

    pub(crate) fn audit_log(&self) -> PathBuf {
        self.path("audit.log")
    }

    /// The end of each server's log.
    pub(crate) fn last_words(&self) -> String {
        let end = |server: &Server| {
            let log = fs::read_to_string(self.log(*server)).unwrap_or_default();
            let lines: Vec<&str> = log.lines().rev().take(5).collect();
            format!("\n{server:?}: {}", lines.join("\n  "))
        };
        self.running.keys().map(end).collect()
    }

    pub(crate) fn kill(&mut self, server: Server) {
        self.running.remove(&server);
    }

    pub(crate) fn end(&mut self) {
        self.running.clear();
        fs::remove_dir_all(self.dir.path()).unwrap();
    }

    pub(crate) fn spawn(&mut self, server: Server) {
        let (program, arguments) = match server {
            Server::Etcd => ("etcd", self.etcd()),
            Server::Api => ("kube-apiserver", self.api()),
            Server::Controllers => ("kube-controller-manager", self.controllers()),
        };
        let mut shell = Command::new("sh")
            .args(["-c", LIFELINE, "kube-lab"])
            .arg(self.log(server))
            .arg(self.bin.join(program))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut id = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut id).unwrap();
        let lifeline = shell.stdin.take();
        self.running.insert(server, Running { shell, lifeline });
    }

    /// Has etcd forget every version before this one, through its JSON gateway.
    pub(crate) fn compact(&self, version: u64) {
        let asked =
            serde_json::json!({"revision": version.to_string(), "physical": true}).to_string();
        let mut connection = TcpStream::connect(("127.0.0.1", self.ports.etcd)).unwrap();
        let request = format!(
            "POST /v3/kv/compaction HTTP/1.1\r\nhost: etcd\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{asked}",
            asked.len()
        );
        connection.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "etcd did not compact: {answer}");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn arg(&self, flag: &str, name: &str) -> String {
        format!("--{flag}={}", self.path(name).display())
    }

    fn log(&self, server: Server) -> PathBuf {
        self.path(&format!("{server:?}.log"))
    }

    fn write_files(&self) {
        let key = rcgen::KeyPair::generate().unwrap();
        fs::write(self.path("sa.key"), key.serialize_pem()).unwrap();
        fs::write(self.path("sa.pub"), key.public_key_pem()).unwrap();
        let tokens = "admin-token,admin,admin,system:masters\nkubelet-token,kubelet,kubelet,system:masters\ncontrollers-token,controllers,controllers,system:masters\n";
        fs::write(self.path("tokens.csv"), tokens).unwrap();
        fs::write(self.path("audit-policy.json"), AUDIT_POLICY).unwrap();
        for user in ["admin", "kubelet", "controllers"] {
            let url = format!("https://127.0.0.1:{}", self.ports.api);
            let certificate = self.path("certs/apiserver.crt");
            let text = kubeconfig(&url, Some(&certificate), &format!("{user}-token"));
            fs::write(self.path(&format!("{user}.kubeconfig")), text).unwrap();
        }
        // Clients read it before the API server has made its own.
        fs::create_dir_all(self.path("certs")).unwrap();
        let san = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let made = rcgen::generate_simple_self_signed(san).unwrap();
        fs::write(self.path("certs/apiserver.crt"), made.cert.pem()).unwrap();
        fs::write(self.path("certs/apiserver.key"), made.signing_key.serialize_pem()).unwrap();
    }

    fn etcd(&self) -> Vec<String> {
        let (client, peer) = (
            format!("http://127.0.0.1:{}", self.ports.etcd),
            format!("http://127.0.0.1:{}", self.ports.peer),
        );
        vec![
            self.arg("data-dir", "etcd"),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
            "--unsafe-no-fsync".to_owned(),
        ]
    }

    fn api(&self) -> Vec<String> {
        vec![
            format!("--etcd-servers=http://127.0.0.1:{}", self.ports.etcd),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={}", self.ports.api),
            self.arg("tls-cert-file", "certs/apiserver.crt"),
            self.arg("tls-private-key-file", "certs/apiserver.key"),
            "--service-account-issuer=https://localhost".to_owned(),
            self.arg("service-account-key-file", "sa.pub"),
            self.arg("service-account-signing-key-file", "sa.key"),
            "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
            "--endpoint-reconciler-type=none".to_owned(),
            "--authorization-mode=RBAC".to_owned(),
            self.arg("token-auth-file", "tokens.csv"),
            "--disable-admission-plugins=ServiceAccount".to_owned(),
            self.arg("audit-policy-file", "audit-policy.json"),
            self.arg("audit-log-path", "audit.log"),
        ]
    }

    fn controllers(&self) -> Vec<String> {
        vec![
            self.arg("kubeconfig", "controllers.kubeconfig"),
            "--leader-elect=false".to_owned(),
            "--use-service-account-credentials=false".to_owned(),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={}", self.ports.controllers),
            self.arg("cert-dir", "controllers"),
            format!("--controllers={CONTROLLERS}"),
            "--kube-api-qps=200".to_owned(),
            "--kube-api-burst=400".to_owned(),
        ]
    }
}

/// A kubeconfig with one cluster and one token. JSON is YAML too.
pub(crate) fn kubeconfig(url: &str, certificate: Option<&Path>, token: &str) -> String {
    let mut cluster = serde_json::json!({ "server": url });
    if let Some(path) = certificate {
        cluster["certificate-authority"] = path.display().to_string().into();
    }
    serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": cluster}],
        "users": [{"name": "lab", "user": {"token": token}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
        "current-context": "lab",
    })
    .to_string()
}
