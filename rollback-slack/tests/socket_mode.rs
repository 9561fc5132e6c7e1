//! Socket Mode against a Slack that greets, warns, breaks and falls silent.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rollback_slack::{
    Accepted, Click, ClickAck, Closing, ClosingAck, FieldErrors, Intake, Interactions, SocketEnd,
    SocketMode, SocketOptions, Submission, SubmissionAck, WebApi, WebApiOptions,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async};

const SOON: Duration = Duration::from_secs(5);

struct Refuser;

impl Interactions for Refuser {
    fn clicked(&self, _: Click) -> ClickAck {
        ClickAck::Taken
    }

    fn submitted(&self, _: Submission) -> SubmissionAck {
        SubmissionAck::Errors(FieldErrors::at("reason", "too short"))
    }

    fn closed(&self, _: Closing) -> ClosingAck {
        ClosingAck::Taken
    }
}

/// The far end of one connection.
struct Peer(WebSocketStream<TcpStream>);

impl Peer {
    async fn send(&mut self, frame: &Value) {
        self.0.send(Message::text(frame.to_string())).await.unwrap();
    }

    async fn hello(&mut self) {
        self.send(&json!({"type": "hello", "num_connections": 1})).await;
    }

    /// Sends a submission and returns its acknowledgement.
    async fn submit(&mut self, envelope_id: &str) -> Value {
        self.send(&json!({"envelope_id": envelope_id, "type": "interactive",
            "accepts_response_payload": true, "payload": {"type": "view_submission",
                "user": {"id": "U1"}, "view": {"id": "V1"}, "trigger_id": envelope_id}}))
            .await;
        loop {
            let message = timeout(SOON, self.0.next()).await.unwrap().unwrap().unwrap();
            if let Message::Text(text) = message {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }
}

struct Slack {
    api_url: String,
    peers: mpsc::UnboundedReceiver<Peer>,
    asked: Arc<Mutex<u32>>,
}

impl Slack {
    /// Answers `apps.connections.open` with `answer`, in which `ADDRESS` becomes the socket's.
    async fn start(answer: Value) -> Self {
        let sockets = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("ws://{}/?ticket=canary", sockets.local_addr().unwrap());
        let api = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api_url = format!("http://{}/api/", api.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(0));
        let answer = answer.to_string().replace("ADDRESS", &address);
        tokio::spawn(answer_api(api, answer, Arc::clone(&asked)));
        let (sender, peers) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (stream, _) = sockets.accept().await.unwrap();
                let socket = accept_async(stream).await.unwrap();
                if sender.send(Peer(socket)).is_err() {
                    return;
                }
            }
        });
        Self { api_url, peers, asked }
    }

    async fn working() -> Self {
        Self::start(json!({"ok": true, "url": "ADDRESS"})).await
    }

    async fn peer(&mut self) -> Peer {
        timeout(SOON, self.peers.recv()).await.unwrap().unwrap()
    }
}

async fn answer_api(api: TcpListener, answer: String, asked: Arc<Mutex<u32>>) {
    loop {
        let (mut stream, _) = api.accept().await.unwrap();
        let mut bytes = vec![0; 4_096];
        assert_ne!(stream.read(&mut bytes).await.unwrap(), 0);
        *asked.lock().unwrap() += 1;
        let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length:";
        let text = format!("{head} {}\r\n\r\n{answer}", answer.len());
        stream.write_all(text.as_bytes()).await.unwrap();
    }
}

struct Running {
    intake: Arc<Intake<Refuser>>,
    stop: Option<oneshot::Sender<()>>,
    ended: JoinHandle<Result<(), SocketEnd>>,
}

fn run(slack: &Slack, connections: usize) -> Running {
    let mut options = SocketOptions::default();
    options.connections = connections;
    options.ping_every = Duration::from_millis(50);
    options.silence_max = Duration::from_millis(400);
    let mut api = WebApiOptions::default();
    api.base_url = slack.api_url.clone();
    let api = WebApi::new("xapp-canary".into(), api).unwrap();
    let intake = Arc::new(Intake::new(Accepted::any(), Refuser));
    let socket_mode = SocketMode::new(api, Arc::clone(&intake), options);
    let (stop, stopped) = oneshot::channel::<()>();
    let ended = tokio::spawn(socket_mode.run(async move { drop(stopped.await) }));
    Running { intake, stop: Some(stop), ended }
}

#[tokio::test]
async fn an_envelope_is_acknowledged_with_its_response() {
    let mut slack = Slack::working().await;
    let mut running = run(&slack, 1);
    let mut peer = slack.peer().await;
    peer.hello().await;
    let errors = json!({"response_action": "errors", "errors": {"reason": "too short"}});
    assert_eq!(peer.submit("e1").await, json!({"envelope_id": "e1", "payload": errors}));
    running.stop.take().unwrap().send(()).unwrap();
    assert_eq!(timeout(SOON, running.ended).await.unwrap().unwrap(), Ok(()));
}

#[tokio::test]
async fn the_next_connection_is_there_before_the_old_one_is_given_up() {
    let mut slack = Slack::working().await;
    let running = run(&slack, 1);
    let mut old = slack.peer().await;
    old.hello().await;
    old.send(&json!({"type": "disconnect", "reason": "warning"})).await;
    let mut new = slack.peer().await;
    // The new one is not greeted yet, so the old one still works.
    assert_eq!(old.submit("e1").await["envelope_id"], "e1");
    new.hello().await;
    assert_eq!(new.submit("e2").await["envelope_id"], "e2");
    // What was on its way through the old one is not lost either, nor handed on twice.
    assert_eq!(old.submit("e3").await["envelope_id"], "e3");
    assert_eq!(new.submit("e3").await, json!({"envelope_id": "e3"}));
    let counts = running.intake.counters().snapshot();
    assert_eq!((counts.submissions, counts.repeats), (3, 1));
    assert_eq!((counts.sockets_opened, counts.sockets_lost), (2, 0));
}

#[tokio::test]
async fn a_connection_that_breaks_is_opened_again() {
    let mut slack = Slack::working().await;
    let running = run(&slack, 1);
    let mut first = slack.peer().await;
    first.hello().await;
    first.submit("e1").await;
    drop(first);
    let mut second = slack.peer().await;
    second.hello().await;
    assert_eq!(second.submit("e2").await["envelope_id"], "e2");
    let counts = running.intake.counters().snapshot();
    assert_eq!((counts.sockets_opened, counts.sockets_lost), (2, 1));
}

#[tokio::test]
async fn a_connection_that_falls_silent_is_lost() {
    let mut slack = Slack::working().await;
    let running = run(&slack, 1);
    let mut silent = slack.peer().await;
    silent.hello().await;
    // Not read from any more, so it answers no ping, and not closed.
    let mut second = slack.peer().await;
    second.hello().await;
    assert_eq!(second.submit("e2").await["envelope_id"], "e2");
    assert_eq!(running.intake.counters().snapshot().sockets_lost, 1);
    drop(silent);
}

#[tokio::test]
async fn several_connections_share_one_memory() {
    let mut slack = Slack::working().await;
    let running = run(&slack, 2);
    let (mut one, mut two) = (slack.peer().await, slack.peer().await);
    one.hello().await;
    two.hello().await;
    one.submit("e1").await;
    assert_eq!(two.submit("e1").await, json!({"envelope_id": "e1"}));
    let counts = running.intake.counters().snapshot();
    assert_eq!((counts.submissions, counts.repeats), (1, 1));
}

#[tokio::test]
async fn a_token_that_is_not_accepted_ends_it() {
    let slack = Slack::start(json!({"ok": false, "error": "invalid_auth"})).await;
    let running = run(&slack, 2);
    let end = timeout(SOON, running.ended).await.unwrap().unwrap().unwrap_err();
    assert!(
        matches!(&end, SocketEnd::TokenRejected(error) if error.code() == Some("invalid_auth"))
    );
    assert!(!format!("{end:?}").contains("canary"));
}

#[tokio::test]
async fn an_app_without_socket_mode_ends_it() {
    let mut slack = Slack::working().await;
    let running = run(&slack, 1);
    let mut peer = slack.peer().await;
    peer.hello().await;
    peer.send(&json!({"type": "disconnect", "reason": "link_disabled"})).await;
    let end = timeout(SOON, running.ended).await.unwrap().unwrap();
    assert_eq!(end, Err(SocketEnd::Disabled));
}

#[tokio::test]
async fn an_address_that_is_not_encrypted_is_not_used() {
    let slack = Slack::start(json!({"ok": true, "url": "ws://slack.example/?ticket=1"})).await;
    let running = run(&slack, 1);
    sleep(Duration::from_millis(300)).await;
    let counts = running.intake.counters().snapshot();
    assert_eq!((counts.sockets_opened, counts.sockets_lost > 0), (0, true));
    assert!(*slack.asked.lock().unwrap() > 0);
}
