//! Socket Mode against a Slack that greets, warns, breaks and falls silent.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{FutureExt, SinkExt, StreamExt};
use http::HeaderMap;
use rollback_slack::{
    Accepted, Click, ClickAck, Closing, ClosingAck, FieldErrors, Intake, Interactions,
    Interactivity, SIGNATURE_HEADER, SigningSecrets, SocketEnd, SocketMode, SocketOptions,
    Submission, SubmissionAck, TIMESTAMP_HEADER, UnixSeconds, WebApi, WebApiOptions,
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
        let payload = json!({"type": "view_submission", "user": {"id": "U1"}, "view": {"id": "V1"},
            "trigger_id": envelope_id});
        self.deliver(envelope_id, &payload).await
    }

    /// Sends an interaction and returns its acknowledgement.
    async fn deliver(&mut self, envelope_id: &str, payload: &Value) -> Value {
        self.send(&json!({"envelope_id": envelope_id, "type": "interactive",
            "accepts_response_payload": true, "payload": payload}))
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
    run_for(slack, connections, Accepted::any())
}

fn run_for(slack: &Slack, connections: usize, accepted: Accepted) -> Running {
    let mut options = SocketOptions::default();
    options.connections = connections;
    options.ping_every = Duration::from_millis(50);
    options.silence_max = Duration::from_millis(400);
    let mut api = WebApiOptions::default();
    api.base_url = slack.api_url.clone();
    let api = WebApi::new("xapp-canary".into(), api).unwrap();
    let intake = Arc::new(Intake::new(accepted, Refuser));
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

/// An interaction of any kind, with these fields in place of its own.
fn interaction(kind: &str, trigger_id: &str, fields: &Value) -> Value {
    let mut payload = json!({"type": kind, "trigger_id": trigger_id, "api_app_id": "A1",
        "user": {"id": "U1", "team_id": "T1"}, "team": {"id": "T1"}, "view": {"id": "V1"},
        "container": {"type": "message", "channel_id": "C1", "message_ts": "17.01"},
        "actions": [{"type": "button", "action_id": "rollback_open", "value": "41"}]});
    payload.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    payload
}

/// Nothing is signed on a socket: this is all that tells another installation's interactions.
#[tokio::test]
async fn another_app_team_or_organization_is_not_heard_through_a_socket_whatever_it_sends() {
    let mut slack = Slack::working().await;
    let running = run_for(&slack, 1, Accepted::app("A1").team("T1").enterprise("E1"));
    let mut peer = slack.peer().await;
    peer.hello().await;
    let mut sent = 0;
    for kind in ["block_actions", "view_submission", "view_closed", "shortcut", "of next year"] {
        for foreign in [
            json!({"api_app_id": "A2"}),
            json!({"api_app_id": null}),
            json!({"team": {"id": "T2"}}),
            json!({"team": null}),
            json!({"team": null, "enterprise": {"id": "E2"}, "is_enterprise_install": true}),
        ] {
            sent += 1;
            let id = format!("e{sent}");
            let acknowledged = peer.deliver(&id, &interaction(kind, &id, &foreign)).await;
            assert_eq!(acknowledged, json!({"envelope_id": id}), "{kind} {foreign}");
        }
    }
    let counts = running.intake.counters().snapshot();
    assert_eq!(counts.foreign, sent);
    assert_eq!((counts.clicks, counts.submissions, counts.closings), (0, 0, 0));
    assert_eq!(counts.unknown_kinds, 0);
    let organization = json!({"team": null, "enterprise": {"id": "E1"}});
    peer.deliver("mine", &interaction("block_actions", "1.2.mine", &json!({}))).await;
    peer.deliver("ours", &interaction("block_actions", "1.2.ours", &organization)).await;
    assert_eq!(running.intake.counters().snapshot().clicks, 2);
}

#[tokio::test]
async fn what_one_way_brought_is_not_taken_again_from_the_other() {
    let mut slack = Slack::working().await;
    let running = run(&slack, 1);
    let mut peer = slack.peer().await;
    peer.hello().await;
    let secrets = SigningSecrets::new(&"secret".into()).unwrap();
    let over_http = Interactivity::new(secrets.clone(), Arc::clone(&running.intake));
    let post = |payload: &Value| {
        let text = payload.to_string();
        let escaped: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let (body, now) = (format!("payload={escaped}").into_bytes(), UnixSeconds::now());
        let (at, by) = secrets.sign(&body, now);
        let headers = HeaderMap::from_iter([
            (TIMESTAMP_HEADER.parse().unwrap(), at.parse().unwrap()),
            (SIGNATURE_HEADER.parse().unwrap(), by.parse().unwrap()),
        ]);
        over_http.handle(&headers, &body, now).status
    };
    let (first, second) = (
        interaction("block_actions", "1.2.first", &json!({})),
        interaction("block_actions", "1.2.second", &json!({})),
    );
    assert_eq!(post(&first), 200);
    assert_eq!(peer.deliver("e1", &first).await, json!({"envelope_id": "e1"}));
    peer.deliver("e2", &second).await;
    assert_eq!(post(&second), 200);
    let counts = running.intake.counters().snapshot();
    assert_eq!((counts.clicks, counts.repeats), (2, 2));
}

/// The address holds a ticket that is good for one connection; the token stays behind.
#[tokio::test]
async fn a_socket_is_opened_without_the_token_and_not_where_it_is_redirected_to() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("ws://{}/?ticket=one", door.local_addr().unwrap());
    let slack = Slack::start(json!({"ok": true, "url": address})).await;
    let _running = run(&slack, 1);
    // The second visit comes when the first is over.
    for _visit in 0..2 {
        let (mut stream, _) = timeout(SOON, door.accept()).await.unwrap().unwrap();
        let mut head = vec![0; 4_096];
        let read = stream.read(&mut head).await.unwrap();
        let head = String::from_utf8_lossy(head.get(..read).unwrap()).to_lowercase();
        assert!(head.starts_with("get /?ticket=one "), "{head}");
        assert!(!head.contains("authorization") && !head.contains("canary"), "{head}");
        let to = elsewhere.local_addr().unwrap();
        let moved =
            format!("HTTP/1.1 307 Moved\r\nlocation: ws://{to}/\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(moved.as_bytes()).await.unwrap();
    }
    assert!(elsewhere.accept().now_or_never().is_none(), "the redirect was followed");
}
