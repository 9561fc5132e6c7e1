//! The reviewed views, judged by validators that we did not write: a Block Kit library that knows
//! Slack's lengths and surfaces, and the TypeScript compiler with Slack's own types.
//!
//! A validator that is not installed is skipped by name, and missing it fails where `CI=true`:
//! `tools/peers slackblocks` and `tools/peers slack-types` install them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::panic, clippy::print_stderr, reason = "a test fails by panicking, and tells")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The snapshots as files of plain JSON, in a folder of this test's own.
fn snapshots(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    fs::create_dir_all(&folder).unwrap();
    let snapshots = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/snapshots");
    for snapshot in fs::read_dir(snapshots).unwrap() {
        let path = snapshot.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let (_, json) = text.strip_prefix("---\n").unwrap().split_once("\n---\n").unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap();
        fs::write(folder.join(format!("{name}.json")), json).unwrap();
    }
    folder
}

/// A copy of one message with this in place of that.
fn spoiled(test: &str, that: &str, this: &str) -> PathBuf {
    let folder = snapshots(test);
    let good = fs::read_to_string(folder.join("deploy_with_button.json")).unwrap();
    assert!(good.contains(that));
    let spoiled = folder.join("spoiled");
    fs::create_dir(&spoiled).unwrap();
    fs::write(spoiled.join("message.json"), good.replacen(that, this, 1)).unwrap();
    spoiled
}

fn judge(mut command: Command) -> bool {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    eprintln!("{said}{}", String::from_utf8_lossy(&output.stderr));
    if !said.contains(" judged, ") {
        panic!("the validator judged nothing");
    }
    output.status.success()
}

fn slackblocks(peer: &Path, folder: &Path) -> bool {
    let mut command = Command::new(peer.join("bin/slackblocks-oracle"));
    command.arg(folder);
    judge(command)
}

fn slack_types(peer: &Path, folder: &Path) -> bool {
    let mut command = Command::new("node");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle/types/check.mjs");
    command.arg(script).arg(folder).arg(peer);
    judge(command)
}

#[test]
fn slackblocks_takes_every_view_and_refuses_a_spoiled_one() {
    let Some(peer) = peer::wanted("slackblocks", "a judgement of the views") else { return };
    assert!(slackblocks(&peer, &snapshots("slackblocks")));
    let long = "x".repeat(151);
    let spoiled = spoiled("slackblocks_spoiled", "checkout 2.14.0 in production", &long);
    assert!(!slackblocks(&peer, &spoiled), "a header of 151 characters");
}

#[test]
fn slacks_own_types_take_every_view_and_refuse_a_spoiled_one() {
    let Some(peer) = peer::wanted("slack-types", "a judgement of the views") else { return };
    assert!(slack_types(&peer, &snapshots("types")));
    let disabled = "\"disabled\": true, \"action_id\": \"rollback_open\"";
    let spoiled = spoiled("types_spoiled", "\"action_id\": \"rollback_open\"", disabled);
    assert!(!slack_types(&peer, &spoiled), "a field that a button does not have");
}
