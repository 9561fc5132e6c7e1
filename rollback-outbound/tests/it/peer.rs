//! Clients of a server with a fault, what they send, and what it answers.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use rollback_outbound::{Client, ClientConfig, Credential, Exchange, Proved, Request, judge};
pub(crate) use rollback_testkit::wire::{Does, Peer};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// How long a client waits for what never comes. What does come has longer.
pub(crate) const SHORT: Duration = Duration::from_millis(600);
pub(crate) const LONG: Duration = Duration::from_secs(20);
pub(crate) const TOKEN: &str = "canary-token-of-the-test";

pub(crate) fn config(peer: &Peer) -> ClientConfig {
    ClientConfig::new(format!("http://{}", peer.address()), Credential::bearer(TOKEN))
}

pub(crate) fn client(peer: &Peer, wait: Duration) -> Client {
    let mut config = config(peer);
    config.timeout = wait;
    config.answer_bytes_max = 64 * 1024;
    Client::new(&config).unwrap()
}

/// Reads one request, whole, where the testkit's [`Peer`] cannot: it does not speak TLS.
pub(crate) async fn request(stream: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(buffer.get(..read)?);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8(bytes.get(..end)?.to_vec()).ok()?;
        let length = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(0, |(_, value)| value.trim().parse::<usize>().unwrap());
        if bytes.len() >= end + 4 + length {
            return Some(bytes);
        }
    }
}

/// An answer, whole.
pub(crate) fn answer(status: &str, media: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: {media}\r\ncontent-length: {length}");
    format!("{head}\r\n\r\n{body}").into_bytes()
}

pub(crate) fn order() -> Request {
    Request::post(["apps", "shop", "rollback"]).json(&serde_json::json!({"id": 41}))
}

/// What is proved where the rule of the API takes every answer for a refusal: the most that any
/// adapter could make of it.
pub(crate) fn at_most(exchange: Exchange) -> Proved<u16> {
    judge(exchange, |answer| Some(answer.status))
}
