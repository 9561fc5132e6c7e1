//! `cargo demo`.

use demo::releases::{Serve, serve};
use std::io::Write as _;
use std::process::ExitCode;

const USAGE: &str = "usage: demo serve-release <folder> <port> <instance>";

#[tokio::main]
async fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let called = match args.next().as_deref() {
        Some("serve-release") => Serve::from_args(args),
        Some(_) | None => None,
    };
    let Some(called) = called else {
        return fail(USAGE);
    };
    match serve(called).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            fail(&format!("{error}: {}", cause.unwrap_or_default()))
        }
    }
}

fn fail(why: &str) -> ExitCode {
    // Nobody is left to be told when standard error is closed.
    let _unheard = writeln!(std::io::stderr(), "{why}");
    ExitCode::FAILURE
}
