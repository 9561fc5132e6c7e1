//! The service with no more than its Kubernetes manifest gives it: its user, a root that is read-only,
//! its volumes and its account. With that it rolls a Helm release back on a real API server.
//!
//! No image is pulled: what the Dockerfile copies is put into an empty root, beside the system's
//! libraries.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use crate::stage::service::Service;
use kube_lab::{Lab, Space};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use team::{CHANNEL, OWNER, Team, VERSION, WORKSPACE, now};

const MANIFEST: &str = include_str!("../../deploy/kubernetes-helm.yaml");

/// Where a pod finds its account.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// A chart of one ConfigMap: whose pods are ready is not the question here.
const CHART: [(&str, &str); 3] = [
    ("Chart.yaml", "apiVersion: v2\nname: web\nversion: 0.1.0\n"),
    ("values.yaml", "number: 0\n"),
    (
        "templates/all.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {number: \"{{ .Values.number }}\"}\n",
    ),
];

struct Pod {
    bwrap: PathBuf,
    helm: PathBuf,
    /// What is mounted: the volumes, and the account.
    files: tempfile::TempDir,
    spec: Value,
    /// Host and port of the API server.
    api: (String, String),
}

fn objects() -> Vec<Value> {
    serde_saphyr::from_multiple(MANIFEST).unwrap()
}

fn of_kind(kind: &str) -> Value {
    objects().into_iter().find(|object| object["kind"] == kind).unwrap()
}

impl Pod {
    /// The pod of the manifest, in the cluster that this kubeconfig is for.
    fn new(bwrap: &Path, helm: &Path, space: &Space, kubeconfig: &Path) -> Self {
        let files = tempfile::tempdir().unwrap();
        let kubeconfig: Value =
            serde_json::from_str(&fs::read_to_string(kubeconfig).unwrap()).unwrap();
        let cluster = &kubeconfig["clusters"][0]["cluster"];
        let account = files.path().join("account");
        fs::create_dir(&account).unwrap();
        fs::copy(cluster["certificate-authority"].as_str().unwrap(), account.join("ca.crt"))
            .unwrap();
        let token = kubeconfig["users"][0]["user"]["token"].as_str().unwrap();
        fs::write(account.join("token"), token).unwrap();
        fs::write(account.join("namespace"), "rollback").unwrap();
        let settings = files.path().join("configuration");
        fs::create_dir(&settings).unwrap();
        for (name, text) in of_kind("ConfigMap")["data"].as_object().unwrap() {
            let text = text.as_str().unwrap();
            let here = text
                .replace("namespace: shop", &format!("namespace: {}", space.name()))
                .replace("C0DEPLOYS", CHANNEL)
                .replace("T0ACME", WORKSPACE)
                .replace("U02ANA", OWNER);
            fs::write(settings.join(name), format!("{here}limits: {{settle: 200ms}}\n")).unwrap();
        }
        fs::create_dir(files.path().join("data")).unwrap();
        let spec = of_kind("StatefulSet")["spec"]["template"]["spec"].clone();
        let server = cluster["server"].as_str().unwrap().trim_start_matches("https://");
        let (host, port) = server.split_once(':').unwrap();
        let api = (host.to_owned(), port.to_owned());
        let (bwrap, helm) = (bwrap.to_owned(), helm.to_owned());
        Self { bwrap, helm, files, spec, api }
    }

    fn container(&self) -> &Value {
        &self.spec["containers"][0]
    }

    /// Every mount of the container, but for those that are left out.
    fn volumes(&self, command: &mut Command, without: &str) {
        for mount in self.container()["volumeMounts"].as_array().unwrap() {
            let (name, at) = (&mount["name"], mount["mountPath"].as_str().unwrap());
            if name == without {
                continue;
            }
            let volumes = self.spec["volumes"].as_array().unwrap();
            let volume = volumes.iter().find(|volume| volume["name"] == *name).unwrap();
            let source = self.files.path().join(name.as_str().unwrap());
            if volume.get("emptyDir").is_some() {
                command.args(["--perms", "1777", "--tmpfs", at]);
            } else if mount["readOnly"] == true {
                command.arg("--ro-bind").arg(source).arg(at);
            } else {
                command.arg("--bind").arg(source).arg(at);
            }
        }
    }

    fn command(&self, without: &str) -> Command {
        let (pod, own) = (&self.spec["securityContext"], &self.container()["securityContext"]);
        assert_eq!(own["readOnlyRootFilesystem"], true);
        assert_eq!(own["capabilities"]["drop"], json!(["ALL"]));
        let id = |key: &str| pod[key].as_u64().unwrap().to_string();
        let mut command = Command::new(&self.bwrap);
        command
            .args(["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts"])
            .args(["--die-with-parent", "--cap-drop", "ALL"])
            .args(["--uid", &id("runAsUser"), "--gid", &id("runAsGroup")])
            .args([
                "--ro-bind",
                "/usr/lib",
                "/usr/lib",
                "--ro-bind-try",
                "/usr/lib64",
                "/usr/lib64",
            ])
            .args(["--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64"])
            .args(["--ro-bind-try", "/etc/ssl", "/etc/ssl", "--proc", "/proc", "--dev", "/dev"])
            .args(["--ro-bind", env!("CARGO_BIN_EXE_platform-service")])
            .arg("/usr/local/bin/platform-service")
            .arg("--ro-bind")
            .arg(&self.helm)
            .arg("/usr/local/bin/helm")
            .arg("--ro-bind")
            .arg(self.files.path().join("account"))
            .arg(ACCOUNT);
        self.volumes(&mut command, without);
        command.args(["--chdir", "/var/lib/rollback", "--remount-ro", "/", "--"]);
        command.arg("/usr/local/bin/platform-service");
        let arguments = self.container()["args"].as_array().unwrap();
        let own_port = |text: &str| text.replace("0.0.0.0:8080", "127.0.0.1:0");
        command.args(arguments.iter().map(|argument| own_port(argument.as_str().unwrap())));
        command
    }

    async fn start(&self, team: &Team, without: &str) -> Service {
        let (host, port) = (self.api.0.as_str(), self.api.1.as_str());
        let environment = [
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("KUBERNETES_SERVICE_HOST", host),
            ("KUBERNETES_SERVICE_PORT", port),
        ];
        let (folder, nobody) = (tempfile::tempdir().unwrap(), tokio::spawn(async {}));
        let command = self.command(without);
        let service = Service::start_command(command, folder, team, nobody, &environment).await;
        team.set_interactivity_url(service.url("/slack/interactivity"));
        service
    }
}

/// A release with two revisions; gives what helm says of it.
struct Release<'a> {
    helm: &'a Path,
    space: &'a Space,
    chart: tempfile::TempDir,
}

impl<'a> Release<'a> {
    fn new(helm: &'a Path, space: &'a Space) -> Self {
        let chart = tempfile::tempdir().unwrap();
        fs::create_dir(chart.path().join("templates")).unwrap();
        for (file, text) in CHART {
            fs::write(chart.path().join(file), text).unwrap();
        }
        let release = Self { helm, space, chart };
        for number in 1..=2 {
            let (path, set) =
                (release.chart.path().display().to_string(), format!("--set=number={number}"));
            release.call(&["upgrade", "--install", "checkout", &path, &set]);
        }
        release
    }

    fn call(&self, arguments: &[&str]) -> Vec<u8> {
        let home = self.chart.path();
        let done = Command::new(self.helm)
            .args(arguments)
            .arg(format!("--namespace={}", self.space.name()))
            .env("KUBECONFIG", self.space.lab().kubeconfig())
            .envs([("HELM_CACHE_HOME", home), ("HELM_CONFIG_HOME", home)])
            .env("HELM_DATA_HOME", home)
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        done.stdout
    }

    fn newest(&self) -> Value {
        let history: Vec<Value> =
            serde_json::from_slice(&self.call(&["history", "checkout", "--output=json"])).unwrap();
        history.last().unwrap().clone()
    }
}

async fn report(service: &Service) {
    let report = json!({
        "id": "ci-1", "service": "checkout", "environment": "production", "version": VERSION,
        "revision": "2", "deployed_at": now().to_string(), "migrations": [],
    });
    let (status, answer) = service.post("/v1/deploys", &report).await;
    assert_eq!(status, 201, "{answer}");
}

/// The peers, the namespace and its account, the release.
macro_rules! set {
    ($what:literal, $lab:ident, $folder:ident, $bwrap:ident) => {
        let Some($folder) = peer::wanted("helm", $what) else { return };
        let Some($bwrap) = peer::wanted("bubblewrap", $what) else { return };
        let Some($lab) = Lab::own($what).await else { return };
        let $lab = $lab.lab();
        let $bwrap = PathBuf::from(fs::read_to_string($bwrap.join("path")).unwrap().trim());
    };
}

#[tokio::test]
async fn with_what_the_manifest_gives_it_a_helm_release_is_rolled_back() {
    set!("the service as its manifest runs it", lab, folder, bwrap);
    for command in ["helm3", "helm4"] {
        let (space, helm) = (lab.space(command).await, folder.join(command));
        let release = Release::new(&helm, &space);
        let kubeconfig = space.user(&of_kind("Role")["rules"]).await;
        let pod = Pod::new(&bwrap, &helm, &space, &kubeconfig);
        let team = Team::start().await;
        let service = pod.start(&team, "").await;
        report(&service).await;
        let modal = team.open(OWNER).await;
        team.confirm(OWNER, &modal, "errors up").await;
        team.message_with("is healthy").await;
        let newest = release.newest();
        assert_eq!(
            (&newest["revision"], &newest["status"], &newest["description"]),
            (&json!(3), &json!("deployed"), &json!("Rollback to 1"))
        );
        let settings = space.get("api/v1", "configmaps/settings").await;
        assert_eq!(settings["data"]["number"], "1");
    }
}

#[tokio::test]
async fn without_a_folder_that_can_be_written_that_is_told_before_anybody_orders() {
    set!("the service without a folder for helm", lab, folder, bwrap);
    let (space, helm) = (lab.space("helm4").await, folder.join("helm4"));
    let release = Release::new(&helm, &space);
    let kubeconfig = space.user(&of_kind("Role")["rules"]).await;
    let pod = Pod::new(&bwrap, &helm, &space, &kubeconfig);
    let team = Team::start().await;
    let service = pod.start(&team, "temporary").await;
    report(&service).await;
    let told = service.get("/v1/services/checkout/production").await.to_string();
    assert!(told.contains("no folder for its files") && told.contains("/tmp"), "{told}");
    assert_eq!(release.newest()["revision"], 2, "nothing was changed");
}
