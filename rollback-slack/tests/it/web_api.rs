//! The client against a server that says and breaks what it is told to.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use rollback_slack::{
    CallError, Certainty, Ephemeral, Found, Json, Lookup, MessageRef, Metadata, Post, Retry,
    Standing, Timer, Update, WebApi, WebApiOptions, Why,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the server does with one request.
#[derive(Clone, Debug)]
enum Act {
    Answer(Value),
    Status(u16, &'static str),
    /// Sends on to that address.
    Moved(u16, String),
    /// Says so many bytes of JSON.
    Flood(usize),
    Hang,
    Reset,
}

#[derive(Clone, Debug, Default)]
struct Server {
    url: String,
    acts: Arc<Mutex<Vec<Act>>>,
    seen: Arc<Mutex<Vec<Request>>>,
}

#[derive(Clone, Debug)]
struct Request {
    method: String,
    head: String,
    body: String,
}

impl Request {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Server {
    async fn start(acts: &[Act]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/api/", listener.local_addr().unwrap());
        let mut acts = acts.to_vec();
        acts.reverse();
        let server = Self { url, acts: Arc::new(Mutex::new(acts)), seen: Arc::default() };
        let serving = server.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        server
    }

    async fn serve(self, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        let request = loop {
            let read = stream.read_buf(&mut bytes).await.unwrap();
            if let Some(request) = request_in(&bytes) {
                break request;
            }
            assert_ne!(read, 0, "the request was cut");
        };
        self.seen.lock().unwrap().push(request);
        let act = self.acts.lock().unwrap().pop().unwrap();
        let (status, header, body) = match act {
            Act::Answer(answer) => {
                (200, "x-oauth-scopes: chat:write,users:read".to_owned(), answer.to_string())
            }
            Act::Status(status, header) => {
                (status, header.to_owned(), r#"{"ok":false,"error":"ratelimited"}"#.into())
            }
            Act::Moved(status, to) => (status, format!("location: {to}"), String::new()),
            Act::Flood(length) => (200, "x: y".to_owned(), format!("\"{}\"", "x".repeat(length))),
            Act::Hang => return std::future::pending().await,
            Act::Reset => {
                stream.set_zero_linger().unwrap();
                return;
            }
        };
        let answer = format!(
            "HTTP/1.1 {status} X\r\n{header}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len(),
        );
        // A client that reads no further than its bound closes first.
        drop(stream.write_all(answer.as_bytes()).await);
    }

    fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    fn methods(&self) -> Vec<String> {
        self.seen().into_iter().map(|request| request.method).collect()
    }
}

fn request_in(bytes: &[u8]) -> Option<Request> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let head = head.to_lowercase();
    let length: usize =
        head.split("content-length: ").nth(1)?.split("\r\n").next()?.parse().ok()?;
    let path = text.split(' ').nth(1)?.trim_start_matches("/api/");
    (body.len() == length).then(|| Request {
        method: path.to_owned(),
        head: head.clone(),
        body: body.to_owned(),
    })
}

/// Time that passes only by sleeping.
#[derive(Debug, Default)]
struct Sleeps(Mutex<Vec<Duration>>);

#[async_trait]
impl Timer for Sleeps {
    fn elapsed(&self) -> Duration {
        self.0.lock().unwrap().iter().sum()
    }

    async fn sleep(&self, how_long: Duration) {
        self.0.lock().unwrap().push(how_long);
    }
}

fn client_of(url: &str) -> (WebApi, Arc<Sleeps>) {
    let sleeps = Arc::new(Sleeps::default());
    let mut options = WebApiOptions::default();
    options.base_url = url.to_owned();
    options.attempt_timeout = Duration::from_millis(300);
    let timer: Arc<dyn Timer> = Arc::<Sleeps>::clone(&sleeps);
    options.timer = Some(timer);
    (WebApi::new("xoxb-canary".into(), options).unwrap(), sleeps)
}

async fn start(acts: &[Act]) -> (Server, WebApi, Arc<Sleeps>) {
    let server = Server::start(acts).await;
    let (client, sleeps) = client_of(&server.url);
    (server, client, sleeps)
}

fn posted() -> Act {
    Act::Answer(json!({"ok": true, "channel": "C1", "ts": "17.01", "message": {}}))
}

fn rejected(code: &str) -> Act {
    Act::Answer(json!({"ok": false, "error": code}))
}

fn post() -> Post {
    Post::new("C1", "deployed")
}

fn update() -> Update {
    Update::new(MessageRef { channel: "C1".into(), ts: "17.01".into() }, "rolled back")
}

const LIMITED: Act = Act::Status(429, "retry-after: 7");

#[tokio::test]
async fn a_post_says_all_that_makes_it_safe() {
    let (server, client, _) = start(&[posted()]).await;
    let blocks = Json::of(&json!([{"type": "divider"}])).unwrap();
    let metadata = Metadata::new("deploy", "ci-1").with("key", "ignored").with("gen", "2");
    let post = post().blocks(blocks).in_thread("16.01").metadata(metadata);
    let message = client.post(&post).await.unwrap();
    assert_eq!((message.channel.as_str(), message.ts.as_str()), ("C1", "17.01"));
    let request = &server.seen()[0];
    assert!(request.head.contains("authorization: bearer xoxb-canary"));
    assert!(request.head.contains("content-type: application/json"));
    assert_eq!(
        request.json(),
        json!({"channel": "C1", "text": "deployed", "blocks": [{"type": "divider"}],
            "thread_ts": "16.01", "unfurl_links": false, "unfurl_media": false, "parse": "none",
            "metadata": {"event_type": "deploy", "event_payload": {"key": "ci-1", "gen": "2"}}})
    );
}

#[tokio::test]
async fn an_update_and_an_ephemeral_message_stop_automatic_mentions_too() {
    let ok = Act::Answer(json!({"ok": true}));
    let (server, client, _) = start(&[ok.clone(), ok]).await;
    client.update(&update()).await.unwrap();
    client.post_ephemeral(&Ephemeral::new("C1", "U1", "no").in_thread("17.01")).await.unwrap();
    let update = json!({"channel": "C1", "ts": "17.01", "text": "rolled back", "parse": "none"});
    assert_eq!(server.seen()[0].json(), update);
    let ephemeral = json!({"channel": "C1", "user": "U1", "text": "no", "thread_ts": "17.01",
        "parse": "none"});
    assert_eq!(server.seen()[1].json(), ephemeral);
}

#[tokio::test]
async fn what_breaks_a_post_leaves_it_in_doubt_and_is_not_sent_again() {
    for (act, why) in [
        (Act::Reset, Why::ConnectionLost),
        (Act::Hang, Why::TimedOut),
        (Act::Status(500, "x: y"), Why::UnexpectedStatus { status: 500 }),
        (Act::Status(302, "location: http://127.0.0.1:9/"), Why::UnexpectedStatus { status: 302 }),
        (rejected("internal_error"), Why::SlackTrouble { code: "internal_error".into() }),
        (Act::Answer(json!({"ok": true})), Why::UnreadableAnswer),
        (Act::Answer(json!("hello")), Why::UnreadableAnswer),
        (Act::Answer(json!({"ok": false})), Why::UnreadableAnswer),
        (Act::Flood(5_000_000), Why::AnswerTooLarge),
    ] {
        let (server, client, _) = start(&[act]).await;
        let error = client.post(&post()).await.unwrap_err();
        assert_eq!(error.why, why);
        assert_eq!(error.certainty, Certainty::InDoubt, "{error}");
        assert_eq!(error.retry(), Retry::LookFirst, "{error}");
        assert_eq!(server.seen().len(), 1, "{error}");
    }
}

#[tokio::test]
async fn no_redirect_takes_the_token_or_a_message_elsewhere() {
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let moved = Act::Moved(status, format!("http://{}/", elsewhere.local_addr().unwrap()));
        let (server, client, _) = start(&vec![moved; 8]).await;
        let why = Why::UnexpectedStatus { status };
        assert_eq!(client.post(&post()).await.unwrap_err().why, why);
        assert_eq!(client.user("U1").await.unwrap_err().why, why);
        assert!(server.seen().iter().all(|request| request.head.contains("xoxb-canary")));
        assert!(elsewhere.accept().now_or_never().is_none(), "{status} was followed");
    }
}

#[tokio::test]
async fn nobody_there_is_proof_that_nothing_happened() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api/", listener.local_addr().unwrap());
    drop(listener);
    let (client, _) = client_of(&url);
    let error = client.post(&post()).await.unwrap_err();
    assert_eq!(
        (error.why.clone(), error.certainty),
        (Why::Unreachable, Certainty::NothingHappened)
    );
    assert_eq!(error.retry(), Retry::After(Duration::ZERO));
}

#[tokio::test]
async fn a_clear_no_changed_nothing_and_is_not_asked_again() {
    for code in ["channel_not_found", "not_in_channel", "invalid_blocks", "a_code_of_next_year"] {
        let (server, client, _) = start(&[rejected(code)]).await;
        let error = client.post(&post()).await.unwrap_err();
        assert_eq!(error.code(), Some(code));
        assert_eq!(error.certainty, Certainty::NothingHappened);
        assert_eq!(error.retry(), Retry::Never);
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_rate_limit_is_waited_for_as_long_as_slack_asks_even_for_a_post() {
    let (server, client, sleeps) = start(&[LIMITED, LIMITED, posted()]).await;
    client.post(&post()).await.unwrap();
    assert_eq!(server.seen().len(), 3);
    assert!(sleeps.elapsed() >= Duration::from_secs(14), "{sleeps:?}");
    assert!(sleeps.elapsed() <= Duration::from_secs(16), "{sleeps:?}");
}

#[tokio::test]
async fn a_rate_limit_longer_than_the_patience_is_told_with_its_length() {
    let (server, client, _) = start(&[Act::Status(429, "retry-after: 60")]).await;
    let error = client.post(&post()).await.unwrap_err();
    assert_eq!(error.retry(), Retry::After(Duration::from_secs(60)));
    assert_eq!(error.certainty, Certainty::NothingHappened);
    // The method is held back from then on, without asking Slack again.
    let error = client.post(&post()).await.unwrap_err();
    assert!(matches!(error.retry(), Retry::After(wait) if wait > Duration::from_secs(59)));
    assert_eq!(server.seen().len(), 1);
}

/// A proxy's nonsense, or an attacker's, must not silence us for hours.
#[tokio::test]
async fn a_rate_limit_that_is_nonsense_holds_us_back_for_minutes_at_most() {
    for (header, seconds) in [
        ("retry-after: 300", 300),
        ("retry-after: 301", 300),
        ("retry-after: 86400", 300),
        ("retry-after: 18446744073709551615", 300),
        ("retry-after: 99999999999999999999999", 30),
        ("retry-after: -1", 30),
        ("retry-after: 1.5", 30),
        ("retry-after: soon", 30),
        ("retry-after: Wed, 21 Oct 2099 07:28:00 GMT", 30),
        ("retry-after:", 30),
        ("retry-after: 0", 1),
    ] {
        let (_, client, _) = start(&[Act::Status(429, header)]).await;
        let error = client.post_in_turn(&post()).await.unwrap_err();
        assert_eq!(error.retry(), Retry::After(Duration::from_secs(seconds)), "{header}");
    }
}

#[tokio::test]
async fn a_rate_limit_in_the_body_counts_too_and_one_without_a_length_is_half_a_minute() {
    let (_, client, _) = start(&[rejected("ratelimited")]).await;
    let error = client.user("U1").await.unwrap_err();
    assert_eq!(error.retry(), Retry::After(Duration::from_secs(30)));
}

#[tokio::test]
async fn an_update_is_sent_again_after_a_break_since_twice_is_once() {
    let ok = Act::Answer(json!({"ok": true}));
    let (server, client, sleeps) =
        start(&[Act::Reset, Act::Status(503, "x: y"), rejected("fatal_error"), ok]).await;
    client.update(&update()).await.unwrap();
    assert_eq!(server.seen().len(), 4);
    assert!(sleeps.elapsed() < Duration::from_secs(3), "{sleeps:?}");
}

#[tokio::test]
async fn a_doubt_is_not_lifted_by_a_later_no() {
    let (_, client, _) = start(&[Act::Reset, rejected("message_not_found")]).await;
    let error = client.update(&update()).await.unwrap_err();
    assert!(error.is_message_gone());
    assert_eq!(error.certainty, Certainty::InDoubt);
}

#[tokio::test]
async fn attempts_end() {
    let (server, client, _) = start(&vec![Act::Reset; 9]).await;
    let error = client.update(&update()).await.unwrap_err();
    assert_eq!(error.certainty, Certainty::InDoubt);
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn a_read_that_breaks_changed_nothing() {
    let (server, client, _) = start(&vec![Act::Reset; 9]).await;
    let error = client.user("U1").await.unwrap_err();
    assert_eq!(error.certainty, Certainty::NothingHappened);
    assert_eq!(error.to_string(), "`users.info`: the connection broke before Slack's answer");
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn a_token_that_is_not_accepted_is_fatal_and_names_the_scope() {
    let missing = json!({"ok": false, "error": "missing_scope", "needed": "usergroups:read",
        "provided": "chat:write"});
    let (_, client, _) = start(&[Act::Answer(missing)]).await;
    let error = client.group_members("S1").await.unwrap_err();
    assert!(error.is_fatal_for_the_token());
    assert_eq!(error.retry(), Retry::Never);
    assert_eq!(
        error.to_string(),
        "`usergroups.users.list`: the token is not accepted, `missing_scope`, it lacks the scope \
         `usergroups:read`"
    );
}

#[tokio::test]
async fn an_error_never_shows_the_token_or_the_message() {
    for act in [Act::Reset, rejected("invalid_blocks"), Act::Flood(5_000_000), LIMITED] {
        let (_, client, _) = start(&[act.clone(), act.clone(), act.clone(), act]).await;
        let secret_text = Post::new("C1", "secret-text");
        let error: CallError = client.post(&secret_text).await.unwrap_err();
        let shown = format!("{error} {error:?} {client:?}");
        assert!(!shown.contains("canary") && !shown.contains("secret-text"), "{shown}");
    }
}

#[tokio::test]
async fn an_expired_trigger_is_known_in_every_form_that_slack_gives_it() {
    let view = Json::of(&json!({"type": "modal"})).unwrap();
    let old = json!({"ok": false, "error": "invalid_arguments", "response_metadata":
        {"messages": ["[ERROR] the `trigger_id` expired"]}});
    for act in [
        rejected("expired_trigger_id"),
        rejected("exchanged_trigger_id"),
        rejected("trigger_expired"),
        Act::Answer(old),
    ] {
        let (_, client, _) = start(&[act]).await;
        let error = client.open_view("1.2.a", &view).await.unwrap_err();
        assert!(error.is_expired_trigger(), "{error}");
    }
    let (_, client, _) = start(&[rejected("invalid_arguments")]).await;
    assert!(!client.open_view("1.2.a", &view).await.unwrap_err().is_expired_trigger());
}

#[tokio::test]
async fn a_modal_is_not_waited_for_longer_than_its_trigger_lives() {
    let view = Json::of(&json!({"type": "modal"})).unwrap();
    let (server, client, sleeps) = start(&[LIMITED, LIMITED]).await;
    let error = client.open_view("1.2.a", &view).await.unwrap_err();
    assert_eq!(error.retry(), Retry::After(Duration::from_secs(7)));
    assert_eq!((server.seen().len(), sleeps.elapsed()), (1, Duration::ZERO));
}

#[tokio::test]
async fn a_conditional_update_of_a_view_is_sent_once_and_a_plain_one_again() {
    let view = Json::of(&json!({"type": "modal"})).unwrap();
    let opened = Act::Answer(json!({"ok": true, "view": {"id": "V1", "hash": "17.b"}}));
    let (server, client, _) = start(&[Act::Reset, Act::Reset, opened]).await;
    let error = client.update_view("V1", Some("17.a"), &view).await.unwrap_err();
    assert_eq!(error.certainty, Certainty::InDoubt);
    let open = client.update_view("V1", None, &view).await.unwrap();
    assert_eq!((open.id.as_str(), open.hash.as_deref()), ("V1", Some("17.b")));
    assert_eq!(server.seen()[0].json()["hash"], "17.a");
    assert_eq!(server.seen().len(), 3);

    let (_, client, _) = start(&[rejected("hash_conflict")]).await;
    let error = client.update_view("V1", Some("17.a"), &view).await.unwrap_err();
    assert!(error.is_hash_conflict());
}

#[tokio::test]
async fn posts_to_one_channel_keep_a_pace_under_one_a_second() {
    let (_, client, sleeps) = start(&vec![posted(); 11]).await;
    for _ in 0..11 {
        client.post(&post()).await.unwrap();
    }
    assert_eq!(*sleeps.0.lock().unwrap(), [Duration::from_millis(1_100); 3]);
}

#[tokio::test]
async fn a_post_whose_turn_has_not_come_is_not_sent_and_is_told_when_it_comes() {
    let (server, client, sleeps) = start(&vec![posted(); 9]).await;
    for _ in 0..8 {
        client.post_in_turn(&post()).await.unwrap();
    }
    // Nothing is reserved for whoever asks: each is told the same.
    for _ in 0..3 {
        let error = client.post_in_turn(&post()).await.unwrap_err();
        let after = Duration::from_millis(1_100);
        assert_eq!(error.why, Why::NotItsTurn { after });
        assert_eq!(
            (error.certainty, error.retry()),
            (Certainty::NothingHappened, Retry::After(after))
        );
    }
    assert_eq!((server.seen().len(), sleeps.elapsed()), (8, Duration::ZERO));
}

#[tokio::test]
async fn a_post_in_its_turn_does_not_wait_for_what_slack_asks_for_either() {
    let (server, client, sleeps) = start(&[Act::Status(429, "retry-after: 2")]).await;
    let error = client.post_in_turn(&post()).await.unwrap_err();
    assert_eq!(error.retry(), Retry::After(Duration::from_secs(2)));
    let error = client.post_in_turn(&post()).await.unwrap_err();
    assert!(matches!(error.why, Why::NotItsTurn { .. }), "{error}");
    assert_eq!((server.seen().len(), sleeps.elapsed()), (1, Duration::ZERO));
}

#[tokio::test]
async fn reads_are_forms_and_are_read() {
    let (server, client, _) = start(&[
        Act::Answer(json!({"ok": true, "team_id": "T1", "user_id": "U0", "bot_id": "B0"})),
        Act::Answer(json!({"ok": true, "users": ["U1", "U2"]})),
        Act::Answer(json!({"ok": true, "usergroups": [{"id": "S1", "date_delete": 5}]})),
        Act::Answer(json!({"ok": true, "user": {"id": "U1", "team_id": "T1", "deleted": false,
            "is_bot": false, "is_restricted": false, "is_ultra_restricted": true}})),
        Act::Answer(json!({"ok": true, "channel": {"id": "D1"}})),
        Act::Answer(json!({"ok": true, "permalink": "https://x.example/p1"})),
        Act::Answer(json!({"ok": true, "url": "wss://x.example/?ticket=canary"})),
    ])
    .await;
    let identity = client.identity().await.unwrap();
    assert_eq!(identity.missing_scopes(&["chat:write", "usergroups:read"]), ["usergroups:read"]);
    assert_eq!(client.group_members("S1").await.unwrap(), ["U1", "U2"]);
    assert!(client.user_groups().await.unwrap()[0].is_disabled);
    assert_eq!(client.user("U1").await.unwrap().standing_in("T1"), Standing::Guest);
    assert_eq!(client.direct_channel("U1").await.unwrap(), "D1");
    let message = MessageRef { channel: "C1".into(), ts: "17.01".into() };
    assert_eq!(client.permalink(&message).await.unwrap(), "https://x.example/p1");
    let socket = client.connections_open().await.unwrap();
    assert!(!format!("{socket:?}").contains("canary"));
    let methods = [
        "auth.test",
        "usergroups.users.list",
        "usergroups.list",
        "users.info",
        "conversations.open",
        "chat.getPermalink",
        "apps.connections.open",
    ];
    assert_eq!(server.methods(), methods);
    assert_eq!(server.seen()[1].body, "usergroup=S1&include_disabled=false");
    assert!(server.seen()[1].head.contains("content-type: application/x-www-form-urlencoded"));
}

mod looking_a_message_up {
    use super::*;

    fn page(messages: &Value, next: &str) -> Act {
        Act::Answer(json!({"ok": true, "messages": messages, "has_more": !next.is_empty(),
            "response_metadata": {"next_cursor": next}}))
    }

    fn message(ts: &str, bot: &str, event_type: &str, key: &Value) -> Value {
        json!({"ts": ts, "bot_id": bot,
            "metadata": {"event_type": event_type, "event_payload": {"key": key}}})
    }

    fn lookup() -> Lookup {
        Lookup::new("C1", Metadata::new("deploy", "ci-1"), "1.0").by("B0")
    }

    #[tokio::test]
    async fn only_the_bots_own_message_of_that_type_and_key_is_it() {
        let others = json!([
            {"ts": "1.1"},
            message("1.2", "B9", "deploy", &json!("ci-1")),
            message("1.3", "B0", "thread", &json!("ci-1")),
            message("1.4", "B0", "deploy", &json!("ci-2")),
            message("1.5", "B0", "deploy", &json!(1)),
        ]);
        let ours = json!([message("1.6", "B0", "deploy", &json!("ci-1"))]);
        let (server, client, _) = start(&[page(&others, "next="), page(&ours, "")]).await;
        let found = client.find_message(&lookup()).await.unwrap();
        assert_eq!(found, Found::At(MessageRef { channel: "C1".into(), ts: "1.6".into() }));
        assert_eq!(server.methods(), ["conversations.history"; 2]);
        assert!(server.seen()[1].body.contains("&cursor=next%3D"), "{:?}", server.seen()[1].body);
    }

    #[tokio::test]
    async fn absent_is_said_only_when_everything_was_seen() {
        let (_, client, _) = start(&[page(&json!([]), "")]).await;
        assert_eq!(client.find_message(&lookup()).await.unwrap(), Found::Absent);

        let cut = Act::Answer(json!({"ok": true, "messages": [], "has_more": true}));
        let (_, client, _) = start(&[cut]).await;
        assert_eq!(client.find_message(&lookup()).await.unwrap(), Found::Unsure);

        let (server, client, _) = start(&vec![page(&json!([]), "more"); 11]).await;
        assert_eq!(client.find_message(&lookup()).await.unwrap(), Found::Unsure);
        assert_eq!(server.seen().len(), 10);
    }

    #[tokio::test]
    async fn in_a_thread_the_replies_are_read() {
        let (server, client, _) = start(&[page(&json!([]), "")]).await;
        client.find_message(&lookup().in_thread("0.9")).await.unwrap();
        assert_eq!(server.methods(), ["conversations.replies"]);
        assert!(server.seen()[0].body.contains("ts=0.9"));
    }
}
