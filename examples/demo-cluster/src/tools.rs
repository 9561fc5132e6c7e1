//! `kubectl` and `helm`, called as whoever deploys calls them.

use demo::SiteError;
use demo::worker::Worker;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// Where `kubectl` and `helm` are.
pub(crate) const TOOLS: &str = "DEMO_TOOLS";
/// The kubeconfig of whoever deploys.
pub(crate) const KUBECONFIG: &str = "DEMO_KUBECONFIG";
/// How the namespaces of this demo begin.
pub(crate) const NAMESPACES: &str = "DEMO_NAMESPACES";
/// The label that all of them carry.
const OF: &str = "rollback-rs.github.io/demo";

/// The image of a version.
pub(crate) fn image(version: &str) -> String {
    format!("registry.example.com/shop:{version}")
}

/// The namespace of a scene, by the name of its folder.
pub(crate) fn namespace(names: &str, scene: &str) -> String {
    format!("{names}-{scene}")
}

/// The tools, in the namespace of one scene.
#[derive(Clone, Debug)]
pub(crate) struct Tools {
    folder: PathBuf,
    kubeconfig: PathBuf,
    namespace: String,
    of: String,
    /// What they keep, and the files of this scene.
    pub(crate) home: PathBuf,
}

impl Tools {
    pub(crate) fn from_env(worker: &Worker) -> Result<Self, SiteError> {
        let var = |name: &str| std::env::var(name).map_err(|error| format!("{name}: {error}"));
        let scene = worker.dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let of = var(NAMESPACES)?;
        Ok(Self {
            folder: var(TOOLS)?.into(),
            kubeconfig: var(KUBECONFIG)?.into(),
            namespace: namespace(&of, &scene),
            of,
            home: worker.dir.clone(),
        })
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(crate) fn helm_program(&self) -> PathBuf {
        self.folder.join("helm4")
    }

    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> Result<String, SiteError> {
        self.call(&self.folder.join("kubectl"), arguments, None).await
    }

    pub(crate) async fn helm(&self, arguments: &[&str]) -> Result<String, SiteError> {
        self.call(&self.helm_program(), arguments, None).await
    }

    /// `kubectl apply` of these manifests.
    pub(crate) async fn apply(&self, manifests: &str) -> Result<(), SiteError> {
        let arguments = ["apply", "--filename", "-"];
        self.call(&self.folder.join("kubectl"), &arguments, Some(manifests)).await?;
        Ok(())
    }

    async fn call(
        &self,
        program: &Path,
        arguments: &[&str],
        input: Option<&str>,
    ) -> Result<String, SiteError> {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .arg(format!("--namespace={}", self.namespace))
            .env("KUBECONFIG", &self.kubeconfig)
            .envs(
                ["HOME", "HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"]
                    .map(|it| (it, &self.home)),
            );
        run(command, input).await
    }

    /// The namespace, and a service account in it that may do what these manifests say: its
    /// kubeconfig.
    pub(crate) async fn account(&self, rbac: &str) -> Result<PathBuf, SiteError> {
        let kubeconfig = self.home.join("rollback.kubeconfig");
        if kubeconfig.exists() {
            return Ok(kubeconfig);
        }
        let meta = json!({"name": self.namespace, "labels": {OF: self.of}});
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": meta});
        self.apply(&namespace.to_string()).await?;
        let account =
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "rollback"}});
        self.apply(&account.to_string()).await?;
        self.apply(rbac).await?;
        let token = self.kubectl(&["create", "token", "rollback", "--duration=2h"]).await?;
        let view = ["config", "view", "--raw", "--flatten", "--minify", "--output=json"];
        let mut config: Value = serde_json::from_str(&self.kubectl(&view).await?)?;
        if let Some(user) = config.pointer_mut("/users/0/user") {
            *user = json!({"token": token.trim()});
        }
        // The folder of a scene belongs to whoever looks at the demo.
        std::fs::write(&kubeconfig, config.to_string())?;
        Ok(kubeconfig)
    }
}

/// Every namespace that a demo made.
pub(crate) async fn remove_namespaces(
    tools: &Path,
    kubeconfig: &Path,
    of: &str,
) -> Result<(), SiteError> {
    let mut command = Command::new(tools.join("kubectl"));
    let label = format!("{OF}={of}");
    command
        .args(["delete", "namespaces", "--wait=false", "--selector", &label])
        .env("KUBECONFIG", kubeconfig);
    run(command, None).await.map(drop)
}

async fn run(mut command: Command, input: Option<&str>) -> Result<String, SiteError> {
    let mut child = command
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        stdin.write_all(input.as_bytes()).await?;
    }
    let output = child.wait_with_output().await?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    let program = command.as_std().get_program().display().to_string();
    Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()).into())
}
