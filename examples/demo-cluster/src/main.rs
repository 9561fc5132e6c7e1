//! `cargo demo -- --backend kubernetes`, and `helm`.

use demo::SiteError;
use demo::command::{self, Wanted};
use demo::worker::Worker;
use demo_cluster::{Adapter, Stage, work};
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo demo --backend kubernetes|helm [--port PORT] [--dir FOLDER] [--scene NAME] [--open]";

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).skip_while(|arg| arg == "--").collect();
    let done = match args.split_first() {
        Some((first, rest)) if first == "worker" => {
            command::log();
            serve(rest.to_vec()).await
        }
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

/// The adapter of a worker is that of its scene.
async fn serve(args: Vec<String>) -> Result<(), SiteError> {
    let worker = Worker::from_args(args.into_iter())
        .ok_or("usage: demo-cluster worker <folder> <port> <shop port> <scene>")?;
    let plays =
        |adapter: &Adapter| adapter.scenes().iter().any(|scene| scene.id == worker.scene.id);
    let adapter = [Adapter::Kubernetes, Adapter::Helm].into_iter().find(plays);
    Ok(work(worker, adapter.ok_or("no adapter plays this scene")?).await?)
}

async fn demo(args: Vec<String>) -> Result<(), SiteError> {
    let named = args.iter().skip_while(|arg| *arg != "--backend").nth(1);
    let adapter: Adapter = named.and_then(|name| name.parse().ok()).ok_or(USAGE)?;
    let wanted = Wanted::parse(args.iter().cloned(), adapter.scenes()).ok_or(USAGE)?;
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/peers");
    if let Some(missing) = command::missing_peers(&peers)? {
        return Err(missing.into());
    }
    writeln!(io::stdout(), "\n  A cluster is being started …")?;
    let stage = Stage::open(adapter).ok_or("the cluster could not be started")?;
    let setup = stage.setup(wanted.dir(), std::env::current_exe()?).await?;
    let played = wanted.play(setup).await;
    stage.close().await?;
    played
}
