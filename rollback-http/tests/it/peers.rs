//! The document and the server, judged by tools that we did not write. `tools/peers schemathesis`
//! installs them; one that is missing is skipped by name, and fails where `CI=true`.

use crate::common::{TOKEN, everything_is_documented, fake, routes, serve};
use rollback_core::ports::Fence;
use rollback_http::server::MemoryLog;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

fn crate_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where the judges are installed, if they are.
fn judges() -> Option<PathBuf> {
    Some(peer::wanted("schemathesis", "a judgement of the OpenAPI document")?.join("bin"))
}

#[test]
fn the_document_is_openapi_3_1_and_a_spoiled_one_is_not() {
    let Some(judges) = judges() else { return };
    let valid = |path: &Path| {
        let judged =
            Command::new(judges.join("openapi-spec-validator")).arg(path).output().unwrap();
        eprintln!("{}", String::from_utf8_lossy(&judged.stdout));
        judged.status.success()
    };
    let path = crate_root().join("openapi.json");
    assert!(valid(&path));
    let spoiled = Path::new(env!("CARGO_TARGET_TMPDIR")).join("spoiled.json");
    let text = std::fs::read_to_string(path).unwrap().replace("\"responses\"", "\"answers\"");
    std::fs::write(&spoiled, text).unwrap();
    assert!(!valid(&spoiled), "a document without answers was taken");
}

/// Hundreds of requests made from the document, good and bad, alone and in a row: the server
/// answers each as the document says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_does_what_the_document_says() {
    let Some(judges) = judges() else { return };
    let log = Arc::new(MemoryLog::default());
    let (address, _task) = serve(routes(fake(Fence::Yes), log)).await;
    let run = move || {
        Command::new(judges.join("schemathesis"))
            .arg("--config-file")
            .arg(crate_root().join("tests/schemathesis.toml"))
            .args(["run", "--no-color", "--url", &format!("http://{address}")])
            .args(["--header", &format!("Authorization: Bearer {TOKEN}")])
            .arg(crate_root().join("openapi.json"))
            .current_dir(env!("CARGO_TARGET_TMPDIR"))
            .output()
            .unwrap()
    };
    let judged = tokio::task::spawn_blocking(run).await.unwrap();
    let said = String::from_utf8_lossy(&judged.stdout).replace(TOKEN, "[token]");
    assert!(judged.status.success(), "{said}{}", String::from_utf8_lossy(&judged.stderr));
    everything_is_documented();
}
