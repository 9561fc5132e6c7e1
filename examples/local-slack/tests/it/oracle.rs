//! Slack's own SDKs against the local Slack. `tools/peers slack-python` and `tools/peers
//! slack-node` install them; without them a test is skipped by name, and fails where `CI` is set.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::process::Command;

use local_slack::{Channel, LocalSlack, Options, User, UserGroup};

fn root(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// Runs a script of `oracle/` against a new local Slack and wants every line of it.
async fn run(program: String, script: &'static str, rest: Vec<String>, lines: usize) {
    let options = Options::default()
        .user(User::new("U02ANA", "Ana"))
        .group(UserGroup::new("S0PAYMENTS", "payments", ["U02ANA"]))
        .channel(Channel::new("C0DEPLOYS", "deploys"));
    let slack = LocalSlack::start(options).await.unwrap();
    let url = slack.url();
    let ran = tokio::task::spawn_blocking(move || {
        let script = root("examples/local-slack/oracle").join(script);
        Command::new(program).arg(script).arg(url).args(rest).output().unwrap()
    });
    let ran = ran.await.unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    let wrong = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}\n{wrong}\n{:#?}", slack.calls());
    // A script that ends early with success has not shown what it should show.
    assert_eq!(said.lines().filter(|line| line.starts_with("ok ")).count(), lines, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_sdk_and_bolt_are_content() {
    let Some(folder) = peer::wanted("slack-python", "the local Slack with an official SDK") else {
        return;
    };
    let python = folder.join("bin/python").display().to_string();
    run(python, "sdk.py", Vec::new(), PYTHON_LINES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_sdk_is_content() {
    let Some(folder) = peer::wanted("slack-node", "the local Slack with an official SDK") else {
        return;
    };
    run("node".to_owned(), "sdk.mjs", vec![folder.display().to_string()], NODE_LINES).await;
}

const PYTHON_LINES: usize = 11;
const NODE_LINES: usize = 8;
