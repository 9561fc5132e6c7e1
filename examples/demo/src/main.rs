//! `cargo demo`.

use demo::releases::{Serve, serve};
use demo::worker::{Worker, work};
use demo::{Demo, Setup, scenes};
use std::error::Error;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo demo [--port PORT] [--dir FOLDER] [--scene NAME] [--open]

  --port PORT    where the page is; a free port otherwise
  --dir FOLDER   keeps journal, database and logs there; a temporary folder otherwise
  --scene NAME   begins with this scene
  --open         opens the page in a browser";

#[tokio::main]
async fn main() -> ExitCode {
    let mut args = std::env::args().skip(1).peekable();
    let done = match args.peek().map(String::as_str) {
        Some("serve-release") => match Serve::from_args(args.skip(1)) {
            Some(called) => serve(called).await.map_err(Into::into),
            None => Err("usage: demo serve-release <folder> <port> <instance>".into()),
        },
        Some("worker") => match Worker::from_args(args.skip(1)) {
            Some(called) => {
                log();
                work(called).await.map_err(Into::into)
            }
            None => Err("usage: demo worker <folder> <port> <shop port> <scene>".into()),
        },
        Some(_) | None => demo(args).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to be told when standard error is closed.
            let _unheard = writeln!(io::stderr(), "{}", with_causes(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// To standard error, without colours: it goes into a file.
fn log() {
    tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(false).init();
}

#[derive(Debug, Default)]
struct Wanted {
    port: u16,
    dir: Option<PathBuf>,
    scene: Option<&'static scenes::Scene>,
    open: bool,
}

fn parse(mut args: impl Iterator<Item = String>) -> Option<Wanted> {
    let mut wanted = Wanted::default();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--port" => wanted.port = args.next()?.parse().ok()?,
            "--dir" => wanted.dir = Some(args.next()?.into()),
            "--scene" => wanted.scene = Some(scenes::find(&args.next()?)?),
            "--open" => wanted.open = true,
            _unknown => return None,
        }
    }
    Some(wanted)
}

async fn demo(args: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let wanted = parse(args).ok_or(USAGE)?;
    let kept = wanted.dir.is_some();
    let dir = wanted.dir.unwrap_or_else(|| {
        std::env::temp_dir().join(format!("rollback-demo-{}", std::process::id()))
    });
    let mut setup = Setup::new(dir.clone(), std::env::current_exe()?);
    setup.port = wanted.port;
    if let Some(scene) = wanted.scene {
        setup.scene = scene;
    }
    let mut demo = Demo::start(setup).await?;
    let mut out = io::stdout();
    writeln!(out, "\n  Open {}\n", demo.url())?;
    writeln!(out, "  Everything is kept in {}", dir.display())?;
    writeln!(out, "  Press Ctrl-C to end it.\n")?;
    out.flush()?;
    if wanted.open {
        open(&demo.url());
    }
    let ended = tokio::select! {
        broken = demo.broken() => broken,
        pressed = tokio::signal::ctrl_c() => {
            pressed?;
            demo.stop().await
        }
    };
    if !kept {
        std::fs::remove_dir_all(&dir)?;
    }
    Ok(ended?)
}

/// Whoever has no browser has the address.
fn open(url: &str) {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let _without_a_browser = std::process::Command::new(opener).arg(url).spawn();
}
