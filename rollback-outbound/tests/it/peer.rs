//! A server with a fault, how often it was connected to, and what it was sent.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use rollback_outbound::{Client, ClientConfig, Credential, Exchange, Proved, Request, judge};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// How long a client waits for what never comes. What does come has longer.
pub(crate) const SHORT: Duration = Duration::from_millis(600);
pub(crate) const LONG: Duration = Duration::from_secs(20);
pub(crate) const TOKEN: &str = "canary-token-of-the-test";

/// What the server does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Does {
    /// Hangs up before it reads.
    HangUpAtOnce,
    /// Reads it all, and hangs up.
    HangUpAfterReading,
    /// Reads it all, and says nothing.
    Nothing,
    /// Answers with these bytes and hangs up.
    Say(Vec<u8>),
    /// Answers with these bytes and leaves it at that.
    SayAndWait(Vec<u8>),
    /// Answers with these bytes, and then with one byte now and then for ever.
    SayAndDrip(Vec<u8>),
    /// Answers with these bytes, and then with as many as somebody reads.
    SayAndFlood(Vec<u8>),
}

pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    written: Arc<AtomicUsize>,
    read: Arc<Mutex<Vec<u8>>>,
}

impl Peer {
    pub(crate) async fn that(does: Does) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = Self {
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
            written: Arc::default(),
            read: Arc::default(),
        };
        let (connections, written) = (Arc::clone(&peer.connections), Arc::clone(&peer.written));
        let read = Arc::clone(&peer.read);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                let (does, written, read) = (does.clone(), Arc::clone(&written), Arc::clone(&read));
                tokio::spawn(async move {
                    if matches!(does, Does::HangUpAtOnce) {
                        return;
                    }
                    let Some(request) = request(&mut stream).await else { return };
                    read.lock().unwrap().extend(request);
                    let (first, then) = match does {
                        Does::HangUpAtOnce | Does::HangUpAfterReading => return,
                        Does::Nothing => (Vec::new(), Then::Wait),
                        Does::Say(bytes) => (bytes, Then::HangUp),
                        Does::SayAndWait(bytes) => (bytes, Then::Wait),
                        Does::SayAndDrip(bytes) => (bytes, Then::Drip),
                        Does::SayAndFlood(bytes) => (bytes, Then::Flood),
                    };
                    drop(stream.write_all(&first).await);
                    let (chunk, pause) = match then {
                        Then::HangUp => return,
                        Then::Wait => return std::future::pending().await,
                        Then::Drip => (vec![b' '; 1], SHORT / 10),
                        Then::Flood => (vec![b' '; 16 * 1024], Duration::ZERO),
                    };
                    while stream.write_all(&chunk).await.is_ok() {
                        written.fetch_add(chunk.len(), Ordering::SeqCst);
                        tokio::time::sleep(pause).await;
                    }
                });
            }
        });
        peer
    }

    pub(crate) fn config(&self) -> ClientConfig {
        ClientConfig::new(format!("http://{}", self.address), Credential::bearer(TOKEN))
    }

    pub(crate) fn client(&self, wait: Duration) -> Client {
        let mut config = self.config();
        config.timeout = wait;
        config.answer_bytes_max = 64 * 1024;
        Client::new(&config).unwrap()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// How many bytes it wrote after what it had to say.
    pub(crate) fn written(&self) -> usize {
        self.written.load(Ordering::SeqCst)
    }

    pub(crate) fn was_sent(&self) -> String {
        String::from_utf8(self.read.lock().unwrap().clone()).unwrap()
    }
}

enum Then {
    HangUp,
    Wait,
    Drip,
    Flood,
}

/// Reads one request, whole.
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
