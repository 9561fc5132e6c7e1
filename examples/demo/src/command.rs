//! What a demo is called with, and how it is played from a terminal.

use crate::scenes::Scene;
use crate::site::SiteError;
use crate::theatre::{Demo, Setup};
use std::error::Error;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What was asked for on the command line.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Wanted {
    /// What is to be rolled back.
    pub backend: Option<String>,
    /// The port of the page; 0 takes a free one.
    pub port: u16,
    /// Where everything is kept; a temporary folder otherwise.
    pub dir: Option<PathBuf>,
    /// The first scene.
    pub scene: Option<&'static Scene>,
    /// Whether the page is opened in a browser.
    pub open: bool,
}

impl Wanted {
    /// Reads the arguments. None when they make no sense.
    #[must_use]
    pub fn parse(mut args: impl Iterator<Item = String>, scenes: &'static [Scene]) -> Option<Self> {
        let mut wanted = Self::default();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--backend" => wanted.backend = Some(args.next()?),
                "--port" => wanted.port = args.next()?.parse().ok()?,
                "--dir" => wanted.dir = Some(args.next()?.into()),
                "--scene" => {
                    let id = args.next()?;
                    wanted.scene = Some(scenes.iter().find(|scene| scene.id == id)?);
                }
                "--open" => wanted.open = true,
                _unknown => return None,
            }
        }
        Some(wanted)
    }

    /// Where everything is kept.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        let temporary =
            || std::env::temp_dir().join(format!("rollback-demo-{}", std::process::id()));
        self.dir.clone().unwrap_or_else(temporary)
    }

    /// Plays until Ctrl-C is pressed, and leaves nothing behind but a folder that was named.
    ///
    /// # Errors
    ///
    /// What keeps the demo from going on.
    pub async fn play(&self, mut setup: Setup) -> Result<(), SiteError> {
        let dir = setup.dir.clone();
        setup.port = self.port;
        setup.scene = self.scene.unwrap_or(setup.scene);
        let mut demo = Demo::start(setup).await?;
        let mut out = io::stdout();
        writeln!(out, "\n  Open {}\n", demo.url())?;
        writeln!(out, "  Everything is kept in {}", dir.display())?;
        writeln!(out, "  Press Ctrl-C to end it.\n")?;
        out.flush()?;
        if self.open {
            open(&demo.url());
        }
        let ended = tokio::select! {
            broken = demo.broken() => broken,
            pressed = tokio::signal::ctrl_c() => {
                pressed?;
                demo.stop().await
            }
        };
        if self.dir.is_none() {
            std::fs::remove_dir_all(&dir)?;
        }
        Ok(ended?)
    }
}

/// Whoever has no browser has the address.
fn open(url: &str) {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let _without_a_browser = Command::new(opener).arg(url).spawn();
}

/// What a demo on a cluster misses here, and how to get it.
///
/// # Errors
///
/// `tools/peers` cannot be called.
pub fn missing_peers(tool: &Path) -> io::Result<Option<String>> {
    let mut missing = Vec::new();
    for peer in ["kube-cluster", "helm"] {
        if peer == "kube-cluster" && std::env::var_os("ROLLBACK_TEST_KUBECONFIG").is_some() {
            continue;
        }
        let mut asked = Command::new(tool);
        asked.args(["--where", peer]).stdout(Stdio::null()).stderr(Stdio::null());
        if !asked.status()?.success() {
            missing.push(peer);
        }
    }
    let install = missing.iter().map(|peer| format!("tools/peers {peer}")).collect::<Vec<_>>();
    Ok((!missing.is_empty()).then(|| {
        format!(
            "this needs a cluster, and the tools of whoever deploys to it; install them with {}, or point ROLLBACK_TEST_KUBECONFIG at a cluster that may be used up",
            install.join(" && ")
        )
    }))
}

/// An error, and what it came from.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Logs to standard error, without colours: it goes into a file.
pub fn log() {
    tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(false).init();
}
