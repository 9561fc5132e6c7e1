//! The helm command: which version it is, how it is called, and how it is left alone.

use crate::config::Config;
use crate::error::HelmError;
use crate::record::clip;
use core::fmt;
use core::time::Duration;
use serde_json::json;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

/// How long helm may take to say its version.
const VERSION_WITHIN: Duration = Duration::from_secs(5);
/// How long an answer about the version counts: from the click to the order.
const SAID_MAX: Duration = Duration::from_secs(600);
/// How much of what helm says is kept: its end, where the error is.
const OUTPUT_MAX: usize = 32 << 10;

/// A version of helm that is known here.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Version {
    major: u32,
    minor: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Helm {}.{}", self.major, self.minor)
    }
}

impl Version {
    /// Reads `v3.17.3`. Others than 3 and 4 are not known.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().strip_prefix('v')?.split('.');
        let version =
            Self { major: parts.next()?.parse().ok()?, minor: parts.next()?.parse().ok()? };
        matches!(version.major, 3 | 4).then_some(version)
    }

    /// Whether it applies on the server what was applied there before.
    pub(crate) const fn can_apply_on_server(self) -> bool {
        self.major >= 4
    }

    /// The arguments of a rollback. Never `--force`, never `--cleanup-on-fail`.
    fn arguments(self, config: &Config, target: u32, must_wait: bool) -> Vec<String> {
        let release = &config.release;
        let mut arguments = vec![
            "rollback".to_owned(),
            release.name.clone(),
            target.to_string(),
            format!("--namespace={}", release.namespace),
            format!("--timeout={}ms", config.timeout.as_millis()),
            format!("--history-max={}", config.history_max),
        ];
        // Otherwise the pods are looked at here, and helm's process need not live as long as they take.
        if must_wait {
            arguments.push(if self.major == 3 { "--wait" } else { "--wait=watcher" }.to_owned());
        }
        if self.major >= 4 {
            arguments.push("--server-side=auto".to_owned());
        }
        arguments
    }
}

/// What helm last said about its version. Asking it starts a program of 60 MB, and an order waits for
/// the answer.
#[derive(Debug, Default)]
pub(crate) struct LastSaid(tokio::sync::Mutex<Option<Said>>);

#[derive(Debug)]
struct Said {
    by: Stamp,
    at: Instant,
    version: Version,
}

/// By what one file is known from the one that takes its place.
#[derive(Debug, Eq, PartialEq)]
struct Stamp {
    file: (u64, u64),
    length: u64,
    /// In seconds and nanoseconds: when it was written, and when anything about it was changed.
    times: [(i64, i64); 2],
}

impl Stamp {
    /// None when the file cannot be seen: then whatever it is, is asked.
    fn of(helm: &Path) -> Option<Self> {
        let seen = std::fs::metadata(found(helm)?).ok()?;
        Some(Self {
            file: (seen.dev(), seen.ino()),
            length: seen.len(),
            times: [(seen.mtime(), seen.mtime_nsec()), (seen.ctime(), seen.ctime_nsec())],
        })
    }
}

/// The file that is started under this name.
fn found(helm: &Path) -> Option<PathBuf> {
    if helm.components().count() > 1 {
        return Some(helm.to_owned());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(helm)).find(|file| file.is_file())
}

impl LastSaid {
    /// The version of helm: as it said before, while it is the same file and that was not long ago.
    /// What is a script may call another helm by now.
    pub(crate) async fn version(&self, helm: &Path) -> Result<Version, HelmError> {
        let mut said = self.0.lock().await;
        let stamp = Stamp::of(helm);
        if let (Some(said), Some(stamp)) = (said.as_ref(), &stamp)
            && said.by == *stamp
            && said.at.elapsed() < SAID_MAX
        {
            return Ok(said.version);
        }
        *said = None;
        let version = version(helm).await?;
        *said = stamp.map(|by| Said { by, at: Instant::now(), version });
        Ok(version)
    }
}

/// Asks helm which version it is.
async fn version(helm: &Path) -> Result<Version, HelmError> {
    let unusable = |what: String| HelmError::Command { what };
    let mut command = Command::new(helm);
    command
        .args(["version", "--template", "{{.Version}}"])
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let asked = tokio::time::timeout(VERSION_WITHIN, command.output()).await;
    let output = asked
        .map_err(|_elapsed| unusable("it does not say its version".to_owned()))?
        .map_err(|error| unusable(format!("it does not start ({})", error.kind())))?;
    let said = String::from_utf8_lossy(&output.stdout);
    Version::parse(&said)
        .ok_or_else(|| unusable(format!("its version is {:?}, and 3 and 4 are known", clip(&said))))
}

/// A helm that runs, and where its files are.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    _home: TempDir,
}

/// How helm ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Ended {
    pub(crate) success: bool,
    /// The end of what it said. It can quote values: only what `classify` reads is passed on.
    pub(crate) stderr: String,
}

/// A folder for one helm, with the kubeconfig that it is given; removed when helm has ended.
fn folder(server: &str) -> Result<(TempDir, PathBuf), HelmError> {
    let failed = |error: std::io::Error| HelmError::Folder { kind: error.kind() };
    let home = TempDir::with_prefix("rollback-helm-").map_err(failed)?;
    let kubeconfig = home.path().join("kubeconfig");
    std::fs::write(&kubeconfig, kubeconfig_for(server)).map_err(failed)?;
    Ok((home, kubeconfig))
}

/// Whether helm could be given a folder now.
pub(crate) fn has_folder() -> Result<(), HelmError> {
    folder("http://127.0.0.1").map(drop)
}

/// Starts helm, with `server` as the only way to the cluster that it knows.
///
/// It is in a process group of its own, so that whatever stops us does not stop it half-way, and
/// nothing here ever kills it: a rollback that is cut off stays pending for ever.
pub(crate) fn start(
    config: &Config,
    version: Version,
    (target, must_wait): (u32, bool),
    server: &str,
) -> Result<Running, HelmError> {
    let failed = |error: std::io::Error| HelmError::Command {
        what: format!("it could not be started ({})", error.kind()),
    };
    let (home, kubeconfig) = folder(server)?;
    let mut command = Command::new(&config.helm);
    command
        .args(version.arguments(config, target, must_wait))
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("KUBECONFIG", &kubeconfig)
        .env("HELM_DRIVER", "secret")
        .env("HOME", home.path())
        .env("HELM_CACHE_HOME", home.path())
        .env("HELM_CONFIG_HOME", home.path())
        .env("HELM_DATA_HOME", home.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0);
    Ok(Running { child: command.spawn().map_err(failed)?, _home: home })
}

/// The folder that it lies in belongs to this user alone. JSON is YAML too.
fn kubeconfig_for(server: &str) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "rollback", "cluster": {"server": server}}],
        "users": [{"name": "rollback", "user": {}}],
        "contexts": [{"name": "rollback", "context": {"cluster": "rollback", "user": "rollback"}}],
        "current-context": "rollback",
    })
    .to_string()
}

impl Running {
    /// Waits until it has ended.
    pub(crate) async fn ended(mut self) -> std::io::Result<Ended> {
        let stderr = match self.child.stderr.take() {
            Some(stderr) => tail(stderr).await?,
            None => String::new(),
        };
        Ok(Ended { success: self.child.wait().await?.success(), stderr })
    }
}

async fn tail(mut from: impl AsyncRead + Unpin) -> std::io::Result<String> {
    let mut kept: Vec<u8> = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let read = from.read(&mut piece).await?;
        if read == 0 {
            return Ok(String::from_utf8_lossy(&kept).into_owned());
        }
        kept.extend_from_slice(piece.get(..read).unwrap_or_default());
        let over = kept.len().saturating_sub(OUTPUT_MAX);
        kept.drain(..over);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Release;
    use rollback_core::ServiceKey;
    use rollback_testkit::ManualClock;
    use std::sync::Arc;

    fn config() -> Config {
        let key = ServiceKey::new("web".parse().unwrap(), "production".parse().unwrap());
        let clock = Arc::new(ManualClock::starting_at(rollback_core::Timestamp::from_millis(0)));
        Config::new(key, Release::new("shop", "web"), clock)
    }

    #[test]
    fn a_version_is_read_and_one_that_is_not_known_is_none() {
        assert_eq!(Version::parse("v3.17.3"), Some(Version { major: 3, minor: 17 }));
        assert_eq!(Version::parse("v4.1.4+g123\n"), Some(Version { major: 4, minor: 1 }));
        for other in ["v2.16.0", "v5.0.0", "3.1.0", "", "v", "vx.y"] {
            assert_eq!(Version::parse(other), None, "{other}");
        }
    }

    #[test]
    fn helm_is_called_as_its_version_wants_and_never_by_force() {
        let mut config = config();
        config.history_max = 7;
        let (three, four) = (Version { major: 3, minor: 17 }, Version { major: 4, minor: 1 });
        let call = |version: Version, wait| version.arguments(&config, 41, wait).join(" ");
        let common = "rollback web 41 --namespace=shop --timeout=300000ms --history-max=7";
        assert_eq!(call(three, true), format!("{common} --wait"));
        assert_eq!(call(three, false), common);
        assert_eq!(call(four, true), format!("{common} --wait=watcher --server-side=auto"));
        assert_eq!(call(four, false), format!("{common} --server-side=auto"));
        let all = [call(three, true), call(three, false), call(four, true), call(four, false)];
        assert!(!all.concat().contains("force"));
    }

    #[test]
    fn where_helm_is_sent_is_in_a_file_and_not_in_its_arguments() {
        let server = "http://127.0.0.1:4711/one-time-token";
        assert!(kubeconfig_for(server).contains(server));
        let arguments = Version { major: 4, minor: 1 }.arguments(&config(), 1, true).join(" ");
        assert!(!arguments.contains("127.0.0.1"));
    }

    #[tokio::test]
    async fn what_is_not_helm_is_told_apart() {
        let error = version(Path::new("/nonexistent/helm")).await.unwrap_err();
        assert!(error.to_string().contains("does not start"), "{error}");
        let error = version(Path::new("true")).await.unwrap_err();
        assert!(error.to_string().contains("3 and 4 are known"), "{error}");
    }

    /// A helm that notes how often it was asked.
    fn write_helm(folder: &Path, version: &str) -> PathBuf {
        // Written by another process: what this one has open for writing, a child of another test may
        // have, too, and then nobody can start it.
        let script = "printf '#!/bin/sh\\necho x >>%s/asked\\necho %s\\n' \"$1\" \"$2\" >\"$1/helm\" && chmod 755 \"$1/helm\"";
        let mut writer = std::process::Command::new("sh");
        writer.args(["-c", script, "sh"]).arg(folder).arg(version);
        assert!(writer.status().unwrap().success());
        folder.join("helm")
    }

    #[tokio::test]
    async fn helm_is_asked_for_its_version_again_only_when_it_is_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let helm = write_helm(folder.path(), "v3.17.3");
        let asked =
            || std::fs::read_to_string(folder.path().join("asked")).unwrap().lines().count();
        let said = LastSaid::default();
        for _look in 0..3 {
            assert_eq!(said.version(&helm).await.unwrap().to_string(), "Helm 3.17");
        }
        assert_eq!(asked(), 1);
        // Of the same length, in the same place.
        write_helm(folder.path(), "v4.17.3");
        assert_eq!(said.version(&helm).await.unwrap().to_string(), "Helm 4.17");
        assert_eq!(asked(), 2);
        // One that took its place and says nothing that makes sense is not remembered.
        write_helm(folder.path(), "v5.0.0");
        for times in 3..5 {
            assert!(said.version(&helm).await.is_err());
            assert_eq!(asked(), times);
        }
        std::fs::remove_file(&helm).unwrap();
        assert!(said.version(&helm).await.is_err());
    }

    #[test]
    fn a_bare_name_is_looked_for_where_it_would_be_started_from() {
        assert!(found(Path::new("sh")).unwrap().is_absolute());
        assert_eq!(found(Path::new("no-such-program-anywhere")), None);
        assert_eq!(found(Path::new("/opt/helm")), Some("/opt/helm".into()));
    }

    #[tokio::test]
    async fn of_a_long_output_the_end_is_kept() {
        let long = [vec![b'x'; OUTPUT_MAX * 2], b"Error: the end".to_vec()].concat();
        let kept = tail(long.as_slice()).await.unwrap();
        assert_eq!(kept.len(), OUTPUT_MAX);
        assert!(kept.ends_with("Error: the end"));
    }
}
