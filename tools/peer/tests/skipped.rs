//! What a test says whose peer is missing, seen through the test harness.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Output};

/// What the other test does, which this one starts as a process of its own.
#[test]
#[ignore = "the other tests start it"]
fn one_whose_peer_is_missing() {
    assert_eq!(peer::wanted("slack-python", "a comparison"), None);
}

/// Runs it where nothing is installed; `ci` is what `CI` says.
fn run(ci: &str, kept: &str) -> Output {
    let nowhere = tempfile::tempdir().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "one_whose_peer_is_missing", "--quiet"]);
    command.env("XDG_CACHE_HOME", nowhere.path()).env("CI", ci).env("ROLLBACK_SKIPPED", kept);
    command.output().unwrap()
}

const LINE: &str = "SKIPPED a comparison: slack-python is not installed; \
                    tools/peers slack-python installs it\n";

#[test]
fn a_skip_is_told_although_the_test_passes_and_kept_for_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("skipped");
    let run = run("", kept.to_str().unwrap());
    assert!(run.status.success());
    assert_eq!(String::from_utf8(run.stderr).unwrap(), LINE);
    assert_eq!(std::fs::read_to_string(kept).unwrap(), LINE);
}

#[test]
fn in_ci_a_missing_peer_is_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let run = run("true", folder.path().join("skipped").to_str().unwrap());
    assert!(!run.status.success());
    let said = String::from_utf8(run.stdout).unwrap();
    assert!(said.contains("a comparison would be skipped"), "{said}");
}
