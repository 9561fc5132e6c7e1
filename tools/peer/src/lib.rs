//! Peers: programs that we did not write, which tests compare us with. `tools/peers` installs them.
//!
//! A test whose peer is missing is skipped, and says so by name: past the test harness, which shows
//! nothing of a test that passes. With `CI=true` it fails instead.
//!
//! ```no_run
//! # fn a_test() {
//! let Some(tools) = peer::wanted("helm", "a comparison with kubectl") else { return };
//! let kubectl = tools.join("kubectl");
//! # }
//! ```

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The variable with a file that each skip is added to: `./check` tells them again at its end.
const SKIPPED: &str = "ROLLBACK_SKIPPED";

/// Where a peer is installed, if it is.
///
/// # Panics
///
/// When `tools/peers` cannot be run.
#[must_use]
#[expect(clippy::expect_used, reason = "a test fails by panicking")]
pub fn find(name: &str) -> Option<PathBuf> {
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../peers");
    let asked = Command::new(peers).args(["--where", name]).output().expect("tools/peers runs");
    let path = String::from_utf8(asked.stdout).expect("a path");
    asked.status.success().then(|| path.trim().into())
}

/// Where a peer is installed that `what` needs; none when it is not, once that was told.
///
/// # Panics
///
/// When it is missing and `CI=true`.
#[must_use]
pub fn wanted(name: &str, what: &str) -> Option<PathBuf> {
    let found = find(name);
    if found.is_none() {
        skipped(what, &format!("{name} is not installed; tools/peers {name} installs it"));
    }
    found
}

/// Tells that `what` is skipped, and why.
///
/// # Panics
///
/// With `CI=true`, where nothing may be skipped.
pub fn skipped(what: &str, why: &str) {
    let is_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(!is_ci, "{what} would be skipped: {why}");
    // Whether anybody reads it is not this test's business.
    drop(tell(&format!("SKIPPED {what}: {why}\n")));
}

fn tell(line: &str) -> io::Result<()> {
    // Not `eprintln`, which the test harness keeps to itself.
    io::stderr().write_all(line.as_bytes())?;
    if let Some(path) = std::env::var_os(SKIPPED) {
        OpenOptions::new().create(true).append(true).open(path)?.write_all(line.as_bytes())?;
    }
    Ok(())
}
