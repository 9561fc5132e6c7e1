//! A CD system that answers with everything that can go wrong. Each row: what it does with an
//! order, and what that proves. One request is sent, never two.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::panic,
    clippy::string_slice,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, and looks for one thing among many"
)]

use crate::common;
use crate::common::TOKEN;
use rollback_core::ports::{
    CdBackend as _, ErrorKind, Fence, Fenced, HistoryOptions, LiveOptions, ObserveOptions,
    PortError, StartError,
};
use rollback_core::{Phase, Receipt};
use rollback_http::{Config, HttpBackend};
use rollback_testkit::wire::{Does, Peer};
use rollback_testkit::{again, fixtures, order_for};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

/// How long a client waits for what never comes. What does come has longer.
const SHORT: Duration = Duration::from_millis(600);
const LONG: Duration = Duration::from_secs(20);

/// A client of whatever listens there.
fn at(address: SocketAddr, wait: Duration) -> HttpBackend {
    let mut config = Config::new(format!("http://{address}"), TOKEN);
    config.timeout = wait;
    config.fence = Fence::Yes;
    HttpBackend::new(&config).unwrap()
}

fn client(cd: &Peer, wait: Duration) -> HttpBackend {
    at(cd.address(), wait)
}

/// An answer, whole.
fn answer(status: &str, media: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: {media}\r\ncontent-length: {length}");
    format!("{head}\r\n\r\n{body}").into_bytes()
}

/// One that does not say what it is.
fn unsaid(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 202 Accepted\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

fn json(status: &str, body: &str) -> Vec<u8> {
    answer(status, "application/json", body)
}

fn problem(status: &str, body: &str) -> Vec<u8> {
    answer(status, "application/problem+json", body)
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Proves {
    Taken,
    Refused,
    Conflict,
    Nothing,
}

fn proven(started: &Result<Receipt, StartError>) -> Proves {
    match started {
        Ok(receipt) => {
            assert_eq!(receipt, &Receipt::new("run-7"));
            Proves::Taken
        }
        Err(StartError::Refused { .. }) => Proves::Refused,
        Err(StartError::Conflict { .. }) => Proves::Conflict,
        Err(StartError::InDoubt { .. }) => Proves::Nothing,
    }
}

const GOOD: &str = r#"{"execution_id":"run-7"}"#;
const DETAIL: &str = r#"{"title":"No","detail":"not today"}"#;

fn answers() -> Vec<(&'static str, Vec<u8>, Proves)> {
    use Proves::{Conflict, Nothing, Refused, Taken};
    let page = "<html><body>upstream is sad</body></html>";
    let long = format!(r#"{{"execution_id":"{}"}}"#, "7".repeat(301));
    let mut twice = json("202 Accepted", GOOD);
    twice.extend(json("202 Accepted", r#"{"execution_id":"run-8"}"#));
    vec![
        ("202", json("202 Accepted", GOOD), Taken),
        ("202 with more in it", json("202 Accepted", r#"{"execution_id":"run-7","x":[]}"#), Taken),
        ("202 twice", twice, Taken),
        ("202 that does not say what it is", unsaid(GOOD), Taken),
        ("202 that is not JSON and does not say what it is", unsaid("run-7"), Nothing),
        ("202 without an execution", json("202 Accepted", "{}"), Nothing),
        ("202 with an empty execution", json("202 Accepted", r#"{"execution_id":""}"#), Nothing),
        ("202 with no text as execution", json("202 Accepted", r#"{"execution_id":7}"#), Nothing),
        ("202 with a huge execution", json("202 Accepted", &long), Nothing),
        ("202 and garbage", json("202 Accepted", "\u{1}\u{2}garbage"), Nothing),
        ("202 cut short", json("202 Accepted", r#"{"execution_id":"run-"#), Nothing),
        ("202 without a body", json("202 Accepted", ""), Nothing),
        ("202 that is not said to be JSON", answer("202 Accepted", "text/plain", GOOD), Nothing),
        ("202 and a page", answer("202 Accepted", "text/html", page), Nothing),
        ("200", json("200 OK", GOOD), Nothing),
        ("201", json("201 Created", GOOD), Nothing),
        ("204", b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(), Nothing),
        ("304", b"HTTP/1.1 304 Not Modified\r\n\r\n".to_vec(), Nothing),
        ("400", json("400 Bad Request", "{}"), Nothing),
        ("400 with a problem", problem("400 Bad Request", DETAIL), Refused),
        ("401", json("401 Unauthorized", ""), Refused),
        ("403", problem("403 Forbidden", DETAIL), Refused),
        ("404", json("404 Not Found", ""), Refused),
        ("404 in plain text", answer("404 Not Found", "text/plain", "not found"), Refused),
        ("404 and a page", answer("404 Not Found", "text/html", page), Nothing),
        ("408 with a problem", problem("408 Request Timeout", DETAIL), Nothing),
        ("409", json("409 Conflict", ""), Conflict),
        ("409 and a page", answer("409 Conflict", "text/html", page), Nothing),
        ("413 with a problem", problem("413 Content Too Large", DETAIL), Refused),
        ("415", json("415 Unsupported Media Type", "{}"), Nothing),
        ("418", json("418 I'm a teapot", "[]"), Nothing),
        ("422", problem("422 Unprocessable Content", DETAIL), Refused),
        ("422 in garbage", json("422 Unprocessable Content", "{{{"), Refused),
        ("429 with a problem", problem("429 Too Many Requests", DETAIL), Nothing),
        ("500", json("500 Internal Server Error", GOOD), Nothing),
        ("502 and a page", answer("502 Bad Gateway", "text/html", page), Nothing),
        ("503 with a problem", problem("503 Service Unavailable", DETAIL), Nothing),
        ("504", json("504 Gateway Timeout", ""), Nothing),
        ("no HTTP at all", b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), Nothing),
        ("a status that there is not", json("999 Hello", GOOD), Nothing),
    ]
}

#[tokio::test]
async fn an_answer_to_an_order_proves_what_it_proves_and_one_request_was_sent() {
    for (name, bytes, proves) in answers() {
        let cd = Peer::that(Does::Say(bytes));
        let started = client(&cd, LONG).start(order_for(fixtures::plan())).await;
        assert_eq!(proven(&started), proves, "{name}: {started:?}");
        assert_eq!(cd.connections(), 1, "{name}");
    }
}

#[tokio::test]
async fn an_order_that_is_not_answered_is_in_doubt_and_one_request_was_sent() {
    let half = json("202 Accepted", GOOD);
    let half = half[..half.len() - 5].to_vec();
    let head = b"HTTP/1.1 202 Acc".to_vec();
    let huge = json("202 Accepted", &format!(r#"{{"execution_id":"{}"}}"#, "7".repeat(2 << 20)));
    let refusal = problem("422 Unprocessable Content", DETAIL);
    let endless = problem("422 Unprocessable Content", &format!("{DETAIL}{}", " ".repeat(2 << 20)));
    for (name, does, wait) in [
        ("hung up at once", Does::HangUpAtOnce, LONG),
        ("hung up after reading", Does::HangUpAfterReading, LONG),
        ("said nothing", Does::Nothing, SHORT),
        ("half a body", Does::Say(half.clone()), LONG),
        ("half a body and silence", Does::SayAndWait(half), SHORT),
        ("half a head", Does::Say(head.clone()), LONG),
        ("half a head and silence", Does::SayAndWait(head), SHORT),
        ("an answer without an end", Does::Say(huge), LONG),
        ("half a refusal", Does::Say(refusal[..refusal.len() - 5].to_vec()), LONG),
        ("a refusal without an end", Does::Say(endless), LONG),
        ("a late answer", Does::SayAfter(SHORT * 2, json("202 Accepted", GOOD)), SHORT),
    ] {
        let cd = Peer::that(does);
        let started = client(&cd, wait).start(order_for(fixtures::plan())).await;
        assert_eq!(proven(&started), Proves::Nothing, "{name}: {started:?}");
        assert_eq!(cd.connections(), 1, "{name}");
    }
}

#[tokio::test]
async fn an_order_that_found_nobody_was_not_sent() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let named = |url: String| {
        let mut config = Config::new(url, TOKEN);
        config.timeout = LONG;
        HttpBackend::new(&config).unwrap()
    };
    let plain = Peer::that(Does::Say(json("202 Accepted", GOOD)));
    for (name, client) in [
        ("nobody listens", at(nobody, LONG)),
        ("nobody has that name", named("https://no-such-host.invalid".to_owned())),
        ("somebody who does not speak TLS", named(format!("https://{}", plain.address()))),
    ] {
        match client.start(order_for(fixtures::plan())).await {
            Err(StartError::Refused { why }) => assert!(why.contains("nothing was sent"), "{why}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

/// A listener whose queue is full drops whoever comes, as a firewall does.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_order_that_never_got_a_connection_was_not_sent() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(1).unwrap();
    let address = full.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(connected) = timeout(SHORT, TcpStream::connect(address)).await {
        queued.push(connected.unwrap());
        assert!(queued.len() < 100, "the queue never fills");
    }
    match at(address, SHORT).start(order_for(fixtures::plan())).await {
        Err(StartError::Refused { why }) => assert!(why.contains("in time"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_token_is_not_taken_elsewhere() {
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"] {
        let elsewhere = Peer::that(Does::Say(json("202 Accepted", GOOD)));
        let location = format!("http://{}/v1/rollbacks", elsewhere.address());
        let bytes =
            format!("HTTP/1.1 {status}\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        let cd = Peer::that(Does::Say(bytes.into_bytes()));
        let order = order_for(fixtures::plan());
        let started = client(&cd, LONG).start(again(&order)).await;
        assert_eq!(proven(&started), Proves::Nothing, "{status}: {started:?}");
        let found = client(&cd, LONG).find(&order).await.unwrap_err();
        assert_eq!(found.kind, ErrorKind::Misconfigured, "{status}: {found}");
        assert_eq!((cd.connections(), elsewhere.connections()), (2, 0), "{status}");
    }
}

#[tokio::test]
async fn a_refusal_is_told_in_the_words_of_the_cd_system() {
    let body = r##"{"title":"Unprocessable","detail":"the target is from before the split",
        "errors":[{"pointer":"#/target","detail":"too old"}]}"##;
    let cd = Peer::that(Does::Say(problem("422 Unprocessable Content", body)));
    let started = client(&cd, LONG).start(order_for(fixtures::plan())).await;
    let why = "the target is from before the split; #/target: too old".to_owned();
    assert_eq!(started, Err(StartError::Refused { why }));

    let body = r#"{"detail":"live has moved","live":{"id":"43","version":"2.15.0"}}"#;
    let cd = Peer::that(Does::Say(problem("409 Conflict", body)));
    match client(&cd, LONG).start(order_for(fixtures::plan())).await {
        Err(StartError::Conflict { live: Some(live), why }) => {
            assert_eq!((live.revision.as_str(), why.as_str()), ("43", "live has moved"));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_words_of_a_cd_system_are_cut_and_never_show_the_token() {
    let words = format!("you sent Bearer {TOKEN} {}", "x".repeat(10_000));
    let body = serde_json::json!({"title": TOKEN, "detail": words}).to_string();
    let order = order_for(fixtures::plan());
    for status in ["422 Unprocessable Content", "503 Service Unavailable", "403 Forbidden"] {
        let cd = Peer::that(Does::Say(problem(status, &body)));
        let client = client(&cd, LONG);
        let started = format!("{:?}", client.start(again(&order)).await);
        let found = format!("{:?}", client.find(&order).await);
        let live = format!("{:?}", client.live(&fixtures::key(), LiveOptions::default()).await);
        for said in [started, found, live, format!("{client:?}")] {
            assert!(!said.contains(TOKEN), "{status}: {said}");
            assert!(said.len() < 1_000, "{status}: {} bytes", said.len());
        }
    }
}

/// What a failed read tells its caller to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Then {
    Retry,
    Reject,
    Configure,
}

fn then<T: std::fmt::Debug>(read: Result<T, PortError>) -> Option<Then> {
    match read.err()?.kind {
        ErrorKind::Retry(_) => Some(Then::Retry),
        ErrorKind::Rejected => Some(Then::Reject),
        ErrorKind::Misconfigured => Some(Then::Configure),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_read_that_is_not_answered_as_the_contract_says_is_an_error() {
    let whole = r#"{"live":{"id":"42"},"in_progress":null,"revisions":[{"id":"42"}]}"#;
    let bad_id = r#"{"live":null,"in_progress":null,"revisions":[{"id":"<!here>"}]}"#;
    let bad_kind = r#"{"live":null,"in_progress":{"kind":"dance"},"revisions":[]}"#;
    let bad_status = r#"{"live":null,"in_progress":null,"revisions":[{"id":"1","status":"ok"}]}"#;
    let huge = format!(
        r#"{{"live":null,"in_progress":null,"revisions":[],"x":"{}"}}"#,
        "x".repeat(2 << 20)
    );
    let page = "<html>nothing to see</html>";
    for (name, bytes, expected) in [
        ("good", json("200 OK", whole), None),
        ("without what matters", json("200 OK", "{}"), Some(Then::Retry)),
        ("a revision that none can be", json("200 OK", bad_id), Some(Then::Retry)),
        ("an operation of no known kind", json("200 OK", bad_kind), Some(Then::Retry)),
        ("a status of no known kind", json("200 OK", bad_status), Some(Then::Retry)),
        ("null", json("200 OK", "null"), Some(Then::Retry)),
        ("garbage", json("200 OK", "}{"), Some(Then::Retry)),
        ("cut short", json("200 OK", &whole[..30]), Some(Then::Retry)),
        ("huge", json("200 OK", &huge), Some(Then::Retry)),
        ("a page", answer("200 OK", "text/html", page), Some(Then::Retry)),
        ("not said to be JSON", answer("200 OK", "text/plain", whole), Some(Then::Retry)),
        ("201", json("201 Created", whole), Some(Then::Reject)),
        ("401", json("401 Unauthorized", ""), Some(Then::Configure)),
        ("403", json("403 Forbidden", ""), Some(Then::Configure)),
        ("404", problem("404 Not Found", DETAIL), Some(Then::Reject)),
        ("404 and a page", answer("404 Not Found", "text/html", page), Some(Then::Configure)),
        ("429", json("429 Too Many Requests", ""), Some(Then::Retry)),
        ("500", json("500 Internal Server Error", whole), Some(Then::Retry)),
        ("503", problem("503 Service Unavailable", DETAIL), Some(Then::Retry)),
    ] {
        let cd = Peer::that(Does::Say(bytes));
        let client = client(&cd, LONG);
        let key = fixtures::key();
        assert_eq!(then(client.live(&key, LiveOptions::default()).await), expected, "live, {name}");
        assert_eq!(
            then(client.history(&key, HistoryOptions::newest(9)).await),
            expected,
            "history, {name}"
        );
        assert_eq!(then(client.preflight(&fixtures::plan()).await), expected, "preflight, {name}");
        assert_eq!(cd.connections(), 3, "{name}");
    }
}

#[tokio::test]
async fn a_retry_waits_as_long_as_it_was_told() {
    let bytes = b"HTTP/1.1 503 Wait\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n".to_vec();
    let cd = Peer::that(Does::Say(bytes));
    let error = client(&cd, LONG).live(&fixtures::key(), LiveOptions::default()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Retry(Some(Duration::from_secs(7))));
}

#[tokio::test]
async fn only_a_clear_no_means_that_an_order_was_never_accepted() {
    let page = "<html>404</html>";
    let run = r#"{"execution_id":"run-7","phase":"started","message":"","live":null}"#;
    for (name, bytes, found) in [
        ("the execution", json("200 OK", run), Some(true)),
        ("404", json("404 Not Found", ""), Some(false)),
        ("404 in plain text", answer("404 Not Found", "text/plain", "no"), Some(false)),
        ("404 and a page", answer("404 Not Found", "text/html", page), None),
        ("410", json("410 Gone", ""), None),
        ("200 without an execution", json("200 OK", r#"{"phase":"complete"}"#), None),
        (
            "200 of a phase that there is not",
            json("200 OK", r#"{"execution_id":"r","phase":"x"}"#),
            None,
        ),
        ("204", b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(), None),
        ("500", json("500 Internal Server Error", ""), None),
    ] {
        let cd = Peer::that(Does::Say(bytes));
        let answer = client(&cd, LONG).find(&order_for(fixtures::plan())).await;
        assert_eq!(answer.as_ref().ok().map(Option::is_some), found, "{name}: {answer:?}");
    }
}

#[tokio::test]
async fn of_two_executions_with_one_ticket_nobody_says_which_is_ours() {
    let two = r#"{"title":"Ambiguous","detail":"runs 7 and 8 both carry rb-1"}"#;
    let cd = Peer::that(Does::Say(problem("409 Conflict", two)));
    let order = order_for(fixtures::plan());
    let found = client(&cd, LONG).find(&order).await.unwrap_err();
    assert!(found.to_string().contains("runs 7 and 8 both carry rb-1"), "{found}");
    // Nor is it fenced off: it was accepted, so a fence proves nothing while it cannot be found.
    let fenced = client(&cd, LONG).fence(&order).await.unwrap_err();
    assert!(fenced.to_string().contains("runs 7 and 8 both carry rb-1"), "{fenced}");
}

#[tokio::test]
async fn another_execution_than_the_one_that_was_taken_is_never_looked_at_as_ours() {
    let order = order_for(fixtures::plan());
    let other = r#"{"execution_id":"run-8","phase":"complete","live":{"id":"41"}}"#;
    let cd = Peer::that(Does::Say(json("200 OK", other)));
    let error = client(&cd, LONG)
        .observe(&order, &Receipt::new("run-7"), ObserveOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Rejected);

    // What else is live is told as it is; who asked judges it.
    let ours = r#"{"execution_id":"run-7","phase":"complete","live":{"id":"43"}}"#;
    let cd = Peer::that(Does::Say(json("200 OK", ours)));
    let progress = client(&cd, LONG)
        .observe(&order, &Receipt::new("run-7"), ObserveOptions::default())
        .await
        .unwrap();
    assert_eq!(progress.phase, Phase::Complete);
    assert_eq!(progress.live.unwrap().revision.as_str(), "43");
}

#[tokio::test]
async fn a_fence_stands_only_when_the_cd_system_says_so() {
    let page = "<html>yes</html>";
    let id = "rb-1";
    let yes = format!(r#"{{"operation_id":"{id}","voided":true}}"#);
    let no = format!(r#"{{"operation_id":"{id}","voided":false}}"#);
    for (name, bytes, stands) in [
        ("200", json("200 OK", &yes), true),
        ("200 that says no", json("200 OK", &no), false),
        ("200 without a word", json("200 OK", ""), false),
        ("200 and a page", answer("200 OK", "text/html", page), false),
        ("202", json("202 Accepted", &yes), false),
        ("404", json("404 Not Found", ""), false),
        ("405", json("405 Method Not Allowed", ""), false),
        // Accepted, it says, and then it does not show it: nothing is certain.
        ("409", json("409 Conflict", ""), false),
        ("501", json("501 Not Implemented", ""), false),
        ("503", json("503 Service Unavailable", ""), false),
    ] {
        let cd = Peer::that(Does::Say(bytes));
        let fenced = client(&cd, LONG).fence(&order_for(fixtures::plan())).await;
        assert_eq!(matches!(fenced, Ok(Fenced::Done)), stands, "{name}: {fenced:?}");
    }
}

#[tokio::test]
async fn a_cd_system_that_is_not_said_to_fence_is_not_asked_to() {
    let cd = Peer::that(Does::Nothing);
    let client = common::client(cd.address(), Fence::No);
    let fenced = client.fence(&order_for(fixtures::plan())).await;
    assert_eq!((fenced.unwrap(), cd.connections()), (Fenced::Unsupported, 0));
}
