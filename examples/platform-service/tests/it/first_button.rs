//! The how-to, word for word: its commands are run in one shell, in their order, and the person of
//! the story clicks in between.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

use crate::stage::service::client;
use local_slack::LocalSlack;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use team::{CHANNEL, OWNER, PATIENCE, TOKEN, people};

const PAGE: &str = include_str!("../../../../docs/first-button.md");

/// The fenced blocks of one kind.
fn blocks(kind: &str) -> Vec<String> {
    let opening = format!("\n```{kind}\n");
    let found = PAGE.split(opening.as_str()).skip(1);
    found.map(|rest| rest.split("\n```").next().unwrap().to_owned()).collect()
}

/// A shell that is given one block after the other.
struct Shell {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
}

impl Drop for Shell {
    /// The shell, and what runs in its background.
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        drop(Command::new("kill").args(["-KILL", "--", &group]).status());
        drop(self.child.wait());
    }
}

impl Shell {
    fn start(folder: &Path, slack: &LocalSlack) -> Self {
        let binary = Path::new(env!("CARGO_BIN_EXE_platform-service"));
        let path =
            format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH").unwrap());
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut child = Command::new("bash")
            .args(["-u", "-o", "pipefail"])
            .current_dir(folder)
            .env_clear()
            .env("PATH", path)
            .env("REPOSITORY", root)
            .env("SLACK_API_URL", slack.api_url())
            .env("RUST_LOG", "warn")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .process_group(0)
            .spawn()
            .expect("a shell");
        let stdin = child.stdin.take().unwrap();
        let stdout = child.stdout.take().unwrap();
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, stdin, lines }
    }

    /// Runs a block, gives it this to read, and returns what it printed.
    fn run(&mut self, block: &str, to_read: &[&str]) -> String {
        let mut block = block.to_owned();
        // What a shell reads is the next line it is sent: each secret follows its `read`.
        for secret in to_read {
            let at = block.find("read -rs").expect("a read for each secret");
            let end = at + block[at..].find('\n').expect("a line") + 1;
            let done = block[..end].replace("read -rs", "read  -rs");
            block = format!("{done}{secret}\n{}", &block[end..]);
        }
        write!(self.stdin, "{block}\necho \"== $?\"\n").expect("a shell that reads");
        self.stdin.flush().expect("a shell that reads");
        let mut printed = String::new();
        loop {
            let line = self
                .lines
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|late| panic!("{late} after:\n{block}\nprinted:\n{printed}"));
            // `curl` prints no end of line after a body.
            if let Some((before, status)) = line.split_once("== ") {
                printed.push_str(before);
                assert_eq!(status, "0", "{block}\nprinted:\n{printed}");
                return printed;
            }
            printed.push_str(&line);
            printed.push('\n');
        }
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_how_to_does_what_it_says() {
    if Command::new("python3").arg("--version").output().is_err()
        || Command::new("curl").arg("--version").output().is_err()
    {
        return peer::skipped("the how-to", "python3 and curl are not both installed");
    }
    let slack = LocalSlack::start(people()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (port, cd) = (free_port(), free_port());
    let blocks: Vec<String> = blocks("sh")
        .into_iter()
        .map(|block| block.replace("8080", &port.to_string()).replace("9000", &cd.to_string()))
        .collect();
    let [secrets, stand_in, configuration, service, deploy, verify] = blocks.as_slice() else {
        panic!("the how-to has other blocks: {blocks:#?}");
    };
    let mut shell = Shell::start(folder.path(), &slack);
    shell.run(secrets, &[TOKEN, "xapp-local-slack"]);
    shell.run(stand_in, &[]);
    for _ in 0..100 {
        if std::net::TcpStream::connect(("127.0.0.1", cd)).is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let table = shell.run(configuration, &[]);
    for line in PAGE.lines().filter(|line| line.starts_with("OK  ")) {
        let wanted: Vec<&str> = line.split_whitespace().collect();
        let has = |line: &str| line.split_whitespace().eq(wanted.iter().copied());
        assert!(table.lines().any(has), "not in the table: {line}\n{table}");
    }
    shell.run(service, &[]);
    let answer = shell.run(deploy, &[]);
    assert!(answer.contains("\"41\""), "{answer}");
    let message = slack.wait_until(PATIENCE, |slack| {
        slack.messages(CHANNEL).into_iter().find(|m| m.element("rollback_open").is_some())
    });
    let message = message.await.expect("the button");
    assert!(message.all_text().contains("2.14.0"), "{}", message.all_text());
    let clicked = async {
        // Socket Mode may need a moment.
        while slack.click(OWNER, CHANNEL, &message.ts, "rollback_open").await.unwrap()
            != local_slack::Outcome::Acknowledged
        {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, clicked).await.expect("a click");
    let modal = slack.wait_until(PATIENCE, |slack| {
        let views = slack.views(OWNER);
        views.into_iter().find(|view| format!("{view:?}").contains("\"submit\": Object"))
    });
    let modal = modal.await.expect("a modal to submit");
    slack.submit(OWNER, &modal.id, &[("reason", "to see it work")]).await.unwrap();
    let ended = slack.wait_until(PATIENCE, |slack| {
        let message = slack.message(CHANNEL, &message.ts)?;
        (message.element("rollback_open").is_none() && message.all_text().contains("healthy"))
            .then_some(())
    });
    ended.await.expect("2.13.4 runs and is healthy");
    let verified = shell.run(verify, &[]);
    assert!(verified.contains("\"ok\":true"), "{verified}");
    let health = client().get(format!("http://127.0.0.1:{port}/readyz")).send().await.unwrap();
    assert!(health.status().is_success());
}

#[test]
fn the_manifest_of_the_how_to_is_the_apps_with_socket_mode_for_an_address() {
    let shown: serde_json::Value = serde_json::from_str(&blocks("json")[0]).unwrap();
    let kept: serde_json::Value =
        serde_json::from_str(include_str!("../../deploy/slack-app-manifest.json")).unwrap();
    assert_eq!(shown.get("oauth_config"), kept.get("oauth_config"));
    assert_eq!(shown.pointer("/settings/socket_mode_enabled"), Some(&true.into()));
    assert_eq!(shown.pointer("/settings/interactivity/request_url"), None);
    assert_eq!(blocks("sh build"), ["cargo install --path examples/platform-service"]);
}
