//! What others write cannot forge a line of the log, or steer the terminal that shows it.

use super::recorder::Recorder;
use crate::stage::service::{Service, yaml};
use local_slack::LocalSlack;
use serde_json::{Value, json};
use team::{PATIENCE, people};

/// A kind of operation that no CD system has: the error that names it is logged.
const HOSTILE: &str = "x\nERROR forged\r\n{\"level\":\"ERROR\",\"message\":\"forged\"}\n\
                       \u{1b}[2J\u{9b}31m\u{1b}]0;owned\u{7}\u{202e}\u{2028}y";

/// Everything that a process logged that was answered so by its CD system.
async fn log_in(format: &str) -> String {
    let body = json!({"live": null, "in_progress": {"kind": HOSTILE}, "revisions": []}).to_string();
    let cd = Recorder::saying(format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    ))
    .await;
    let slack = LocalSlack::start(people()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let yaml = yaml(cd.address.parse().unwrap(), 0);
    std::fs::write(folder.path().join("rollback.yaml"), yaml).unwrap();
    let nobody = tokio::spawn(async {});
    let mut service = Service::start_logging(format, folder, &slack, nobody, &[]).await;
    let status = service.get("/v1/services/checkout/production").await;
    assert!(status["live"].is_null(), "{status}");
    assert_eq!(tokio::time::timeout(PATIENCE, service.terminate()).await.unwrap(), Some(0));
    let logs = service.logs.lock().unwrap().clone();
    assert!(logs.contains("could not be read") && logs.contains("forged"), "{logs}");
    logs
}

fn steers(char: char) -> bool {
    char.is_control() || matches!(char, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}')
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_write_forges_no_line_of_the_log_and_steers_no_terminal() {
    for format in ["json", "text"] {
        let logs = log_in(format).await;
        for line in logs.lines() {
            assert!(!line.chars().any(steers), "{format}: {line:?}");
            assert!(!line.starts_with("ERROR forged"), "{format}: {line:?}");
            let read: Result<Value, _> = serde_json::from_str(line);
            assert_eq!(read.is_ok(), format == "json", "{format}: {line:?}");
            assert!(!read.is_ok_and(|said| said["message"] == "forged"), "{line:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_in_json_still_says_what_was_said() {
    let logs = log_in("json").await;
    let said = logs.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let told = said.filter_map(|said| said["error"].as_str().map(str::to_owned));
    assert!(told.clone().any(|told| told.contains(HOSTILE)), "{:?}", told.collect::<Vec<_>>());
}
