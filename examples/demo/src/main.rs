//! `cargo demo`.

use demo::command::{self, Wanted};
use demo::releases::{Serve, serve};
use demo::worker::{Worker, work};
use demo::{Setup, SiteError, scenes};
use std::io::{self, Write as _};
use std::iter::Peekable;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

const USAGE: &str = "\
usage: cargo demo [--backend NAME] [--port PORT] [--dir FOLDER] [--scene NAME] [--open]

  --backend NAME  what is rolled back: folder (needs nothing), or kubernetes or helm on a cluster
  --port PORT     where the page is; a free port otherwise
  --dir FOLDER    keeps journal, database and logs there; a temporary folder otherwise
  --scene NAME    begins with this scene
  --open          opens the page in a browser";

/// What a program of its own rolls back.
const CLUSTERS: [&str; 2] = ["kubernetes", "helm"];

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
                command::log();
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
            let _unheard = writeln!(io::stderr(), "{}", command::with_causes(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

async fn demo(args: Peekable<impl Iterator<Item = String>>) -> Result<(), SiteError> {
    let args: Vec<String> = args.skip_while(|arg| arg == "--").collect();
    if let Some(at) = args.iter().position(|arg| arg == "--backend") {
        let backend = at.checked_add(1).and_then(|at| args.get(at)).ok_or(USAGE)?;
        if backend != "folder" {
            return Err(on_a_cluster(backend, &args)?.into());
        }
    }
    let wanted = Wanted::parse(args.into_iter(), scenes::SCENES).ok_or(USAGE)?;
    wanted.play(Setup::new(wanted.dir(), std::env::current_exe()?)).await
}

/// Puts the program in this one's place that has the clients of a cluster compiled in: whoever only
/// looks at the demo does not build those. Comes back only with why it could not.
fn on_a_cluster(backend: &str, args: &[String]) -> Result<String, SiteError> {
    if !CLUSTERS.contains(&backend) {
        return Ok(format!(
            "there is no backend `{backend}`; it is one of folder, {}",
            CLUSTERS.join(", ")
        ));
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    if let Some(missing) = command::missing_peers(&here.join("../../tools/peers"))? {
        return Ok(missing);
    }
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.arg("run").arg("--manifest-path").arg(here.join("../demo-cluster/Cargo.toml"));
    let failed = cargo.arg("--").args(args).exec();
    Ok(format!("cargo cannot be called to build the demo on a cluster: {failed}"))
}
