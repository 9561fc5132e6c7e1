//! Requests that no well-behaved sender makes, over raw sockets. Each body here is signed, so that
//! nothing but the wire stands between it and the engine.

use super::{Target, form, signed};
use crate::stage::service::API_TOKEN;
use serde_json::json;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longer than every bound of the service: what is still open then is held by nobody's patience.
const NEVER: Duration = Duration::from_secs(20);

/// Exact bytes out, and everything that comes back until the service closes.
async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A service that has seen enough may close before it has read everything.
    drop(stream.write_all(bytes).await);
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    drop(tokio::time::timeout(NEVER, read).await.expect("it never closed"));
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

/// A click that would open a rollback if it were read, and its form.
async fn harmful(target: &Target) -> Vec<u8> {
    let mut payload = target.click_of_nothing().await.payload;
    payload["actions"][0]["action_id"] = json!("rollback_open");
    payload["trigger_id"] = json!("1.2.harmful");
    form(&payload)
}

#[tokio::test]
async fn a_callback_that_two_readers_could_read_differently_does_nothing() {
    let target = Target::new().await;
    let body = harmful(&target).await;
    let text = String::from_utf8(body.clone()).unwrap();
    let (length, signed) = (body.len(), signed(&body));
    let line = "POST /slack/interactivity HTTP/1.1";
    let chunk = format!("{length:x}\r\n{text}\r\n0\r\n\r\n");
    let huge = "f".repeat(17);
    let extension = "x".repeat(64 * 1024);
    let tricks = [
        (line, format!("content-length: {length}\r\ncontent-length: 3\r\n\r\n{text}")),
        (line, format!("content-length: {length}, 3\r\n\r\n{text}")),
        (line, format!("content-length: +{length}\r\n\r\n{text}")),
        (line, format!("content-length: 0x{length:x}\r\n\r\n{text}")),
        (line, format!("content-length: -1\r\n\r\n{text}")),
        (line, format!("content-length : {length}\r\n\r\n{text}")),
        (line, format!("content-length:\r\n {length}\r\n\r\n{text}")),
        (line, format!("x: y\r\n folded\r\ncontent-length: {length}\r\n\r\n{text}")),
        (line, format!("content-length: {length}\0\r\n\r\n{text}")),
        (line, format!("transfer-encoding: gzip\r\n\r\n{text}")),
        (line, format!("transfer-encoding: chunked, identity\r\n\r\n{chunk}")),
        (line, format!("transfer-encoding: xchunked\r\n\r\n{chunk}")),
        (line, format!("transfer-encoding : chunked\r\n\r\n{chunk}")),
        (line, format!("transfer-encoding:\x0bchunked\r\n\r\n{chunk}")),
        (line, format!("transfer-encoding: chunked\r\n\r\n{huge}\r\n{text}\r\n0\r\n\r\n")),
        (line, format!("transfer-encoding: chunked\r\n\r\n-1\r\n{text}\r\n0\r\n\r\n")),
        (line, format!("transfer-encoding: chunked\r\n\r\n0x{length:x}\r\n{text}\r\n0\r\n\r\n")),
        (line, format!("transfer-encoding: chunked\r\n\r\n{length:x}\r\n{text}X\r\n0\r\n\r\n")),
        (line, format!("transfer-encoding: chunked\r\n\r\n1;{extension}\r\np\r\n0\r\n\r\n")),
        (line, format!("transfer-encoding: chunked\r\n\r\n{length:x}\r\n{text}\r\n")),
        (
            "POST /slack/interactivity HTTP/1.0",
            format!("transfer-encoding: chunked\r\n\r\n{chunk}"),
        ),
        ("POST  /slack/interactivity HTTP/1.1", format!("content-length: {length}\r\n\r\n{text}")),
        ("POST /slack/interactivity HTTP/2.0", format!("content-length: {length}\r\n\r\n{text}")),
        ("POST /slack/interactivity", format!("content-length: {length}\r\n\r\n{text}")),
    ];
    for (line, trick) in tricks {
        let head = format!("{line}\r\nhost: x\r\nconnection: close\r\n{signed}\r\n");
        let told = raw(target.service.address, format!("{head}{trick}").as_bytes()).await;
        let shown: String = trick.chars().take(60).collect();
        assert!(told.is_empty() || status(&told).starts_with('4'), "{line} {shown:?}: {told}");
        assert!(told.matches("HTTP/1.1 ").count() <= 1, "answered twice: {shown:?}: {told}");
    }
    assert_eq!(target.rollbacks().await, 0, "one of them was taken for a click");

    // The very same click, said plainly, is one: so it was the wire that stopped the others.
    let plain = format!("{line}\r\nhost: x\r\nconnection: close\r\n{signed}\r\n");
    let plain = format!("{plain}content-length: {length}\r\n\r\n{text}");
    assert_eq!(status(&raw(target.service.address, plain.as_bytes()).await), "200");
    let opened = async {
        while target.rollbacks().await == 0 {
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
    };
    tokio::time::timeout(NEVER, opened).await.expect("a rollback that was opened");
}

/// A length and chunks: the chunks count, and nothing on the connection is read after them, so that
/// whoever stands in front and believes the length cannot be made to pass a second request on.
#[tokio::test]
async fn what_follows_a_body_of_two_lengths_is_not_read_as_a_request() {
    let target = Target::new().await;
    let (length, chunked) = ("content-length: 5", "transfer-encoding: chunked");
    let smuggled = format!(
        "GET /v1/rollbacks HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {API_TOKEN}\r\n\r\n"
    );
    for lengths in [[length, chunked], [chunked, length]] {
        for path in ["/slack/interactivity", "/v1/deploys", "/v1/rollbacks"] {
            let [first, second] = lengths;
            let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\n{first}\r\n{second}\r\n\r\n");
            let both = format!("{head}0\r\n\r\n{smuggled}");
            let told = raw(target.service.address, both.as_bytes()).await;
            assert!(told.matches("HTTP/1.1 ").count() <= 1, "{path} {lengths:?}: {told}");
            assert!(!told.contains("\"rollbacks\":["), "{path} {lengths:?}: {told}");
            assert!(!status(&told).starts_with('2'), "{path} {lengths:?}: {told}");
        }
    }
}

#[tokio::test]
async fn a_signed_body_that_is_packed_cut_twice_or_no_text_does_nothing() {
    let target = Target::new().await;
    let body = harmful(&target).await;
    let twice = [&body[..], b"&", &body[..]].concat();
    let not_utf_8 = b"payload=%7B%22type%22%3A%22\xff\xfe%22%7D".to_vec();
    let escaped = b"payload=%7B%22type%22%3A%22%FF%FE%22%7D".to_vec();
    // What `{}` is when it is packed by gzip.
    let packed =
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\xae\x05\x00\x43\xbf\xa6\xa3".to_vec();
    let cut = body[..body.len() / 2].to_vec();
    let plus = String::from_utf8(body.clone()).unwrap().replace("payload=", "payload=+&payload=");
    for (what, body, headers) in [
        ("the field twice", twice, ""),
        ("the field twice, once empty", plus.into_bytes(), ""),
        ("bytes that are no text", not_utf_8, ""),
        ("escapes that are no text", escaped, ""),
        ("a packed body", packed, "content-encoding: gzip\r\n"),
        ("half of it", cut, ""),
        ("nothing", Vec::new(), ""),
    ] {
        let head = format!(
            "POST /slack/interactivity HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\
             content-type: application/x-www-form-urlencoded\r\n{}\r\ncontent-length: {}\r\n\r\n",
            signed(&body),
            body.len()
        );
        let told = raw(target.service.address, &[head.as_bytes(), &body].concat()).await;
        let expected = if headers.is_empty() { "400" } else { "415" };
        assert_eq!(status(&told), expected, "{what}: {told}");
        assert!(told.ends_with("\r\n\r\n"), "{what} learns nothing more: {told}");
    }
    assert_eq!(target.rollbacks().await, 0);
}

#[tokio::test]
async fn a_body_is_given_up_when_it_is_too_large_too_slow_or_has_no_end() {
    let target = Target::new().await;
    let head = "POST /slack/interactivity HTTP/1.1\r\nhost: x\r\nconnection: close\r\n";
    let said = format!("{head}content-length: 10485760\r\n\r\n");
    let mut large = said.into_bytes();
    large.resize(large.len() + 10_485_760, b'x');
    let told = raw(target.service.address, &large).await;
    assert!(told.is_empty() || status(&told) == "413", "{told}");

    // Never the end of it, at a good pace and byte by byte.
    for (pause, piece) in [(0, 8 * 1024), (50, 1)] {
        let mut stream = TcpStream::connect(target.service.address).await.unwrap();
        let head = format!("{head}transfer-encoding: chunked\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let (mut reading, mut writing) = stream.into_split();
        let began = Instant::now();
        let endless = async move {
            let chunk = format!("{piece:x}\r\n{}\r\n", "x".repeat(piece));
            while writing.write_all(chunk.as_bytes()).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            std::future::pending::<()>().await;
        };
        let mut answer = Vec::new();
        tokio::select! {
            read = reading.read_to_end(&mut answer) => drop(read),
            () = endless => {}
            () = tokio::time::sleep(NEVER) => panic!("it is still read"),
        }
        let told = String::from_utf8_lossy(&answer).into_owned();
        assert!(told.is_empty() || ["413", "408"].contains(&status(&told)), "{told}");
        assert!(began.elapsed() < NEVER);
    }
    assert_eq!(target.rollbacks().await, 0);
    assert_eq!(target.slack.resend(&target.click_of_nothing().await).await.unwrap().status, 200);
}
