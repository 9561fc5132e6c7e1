//! What becomes of a request when the other side does what it should not. Each is sent once.

use crate::peer::{Does, LONG, Peer, SHORT, TOKEN, answer, at_most, client, config, order};
use rollback_outbound::{
    Body, Client, ClientConfig, Credential, Cut, Exchange, InDoubt, Lost, Proved, Request, Unsent,
};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

const REFUSAL: &str = r#"{"code":"NoSuchApp","message":"no"}"#;

#[tokio::test]
async fn a_request_carries_what_it_was_given_and_nothing_leaves_its_place() {
    let peer = Peer::that(Does::Say(answer("200 OK", "application/json", "{}")));
    let mut config = config(&peer);
    config.url += "/api/";
    config.user_agent = "rollback-test/1".to_owned();
    config.headers = vec![("x-api-version", "2022-11-28".to_owned())];
    let client = Client::new(&config).unwrap();
    let request = Request::post(["apps", "../x?y", "rollback"])
        .query("project", "a&b=c")
        .header("idempotency-key", "rb-1")
        .json(&serde_json::json!({"id": 41}));
    assert!(matches!(at_most(client.send(request).await), Proved::Success(_)));
    let sent = peer.was_sent();
    let first = "POST /api/apps/..%2Fx%3Fy/rollback?project=a%26b%3Dc HTTP/1.1\r\n";
    assert!(sent.starts_with(first), "{sent}");
    for line in [
        "authorization: Bearer canary-token-of-the-test\r\n",
        "user-agent: rollback-test/1\r\n",
        "accept: application/json, application/problem+json\r\n",
        "x-api-version: 2022-11-28\r\n",
        "idempotency-key: rb-1\r\n",
        "content-type: application/json\r\n",
        "\r\n\r\n{\"id\":41}",
    ] {
        assert!(sent.contains(line), "{line:?} is not in {sent}");
    }
    assert!(!sent.to_lowercase().contains("referer"), "{sent}");
}

#[tokio::test]
async fn a_login_is_sent_as_basic_and_can_be_exchanged() {
    let peer = Peer::that(Does::Say(answer("200 OK", "application/json", "{}")));
    let client =
        client(&peer, LONG).with_credential(&Credential::basic("ana", "pass:wörd")).unwrap();
    drop(client.send(Request::get(["apps"])).await);
    let client = client.with_credential(&Credential::none()).unwrap();
    drop(client.send(Request::get(["none"])).await);
    let sent = peer.was_sent();
    assert!(sent.contains("authorization: Basic YW5hOnBhc3M6d8O2cmQ=\r\n"), "{sent}");
    let (_, second) = sent.split_once("GET /none").unwrap();
    assert!(!second.contains("authorization") && !sent.contains(TOKEN), "{sent}");
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_proves_nothing() {
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"] {
        let elsewhere = Peer::that(Does::Say(answer("200 OK", "application/json", "{}")));
        let location = format!("http://{}/apps", elsewhere.address());
        let bytes = format!(
            "HTTP/1.1 {status}\r\nlocation: {location}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{REFUSAL}",
            REFUSAL.len()
        );
        let peer = Peer::that(Does::Say(bytes.into_bytes()));
        let client = client(&peer, LONG);
        for request in [order(), Request::get(["apps"])] {
            let proved = at_most(client.send(request).await);
            assert!(matches!(proved, Proved::InDoubt(InDoubt::Status { .. })), "{proved:?}");
        }
        assert_eq!((peer.connections(), elsewhere.connections()), (2, 0), "{status}");
    }
}

#[tokio::test]
async fn an_answer_that_does_not_come_leaves_a_doubt_and_one_request_was_sent() {
    let head = b"HTTP/1.1 422 Unpro".to_vec();
    for (name, does, wait, expected) in [
        ("hung up at once", Does::HangUpAtOnce, LONG, Lost::Connection),
        ("hung up after reading", Does::HangUpAfterReading, LONG, Lost::Connection),
        ("said nothing", Does::Nothing, SHORT, Lost::Timeout(SHORT)),
        ("half a head", Does::Say(head.clone()), LONG, Lost::Connection),
        ("half a head and silence", Does::SayAndWait(head), SHORT, Lost::Timeout(SHORT)),
        ("no HTTP", Does::Say(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()), LONG, Lost::Connection),
    ] {
        let peer = Peer::that(does);
        let proved = at_most(client(&peer, wait).send(order()).await);
        assert_eq!(proved, Proved::InDoubt(InDoubt::Lost(expected)), "{name}");
        assert_eq!(peer.connections(), 1, "{name}");
    }
}

#[tokio::test]
async fn an_answer_that_does_not_come_whole_leaves_a_doubt_whatever_its_status() {
    let whole = answer("422 Unprocessable Content", "application/json", REFUSAL);
    let proved = at_most(client(&Peer::that(Does::Say(whole.clone())), LONG).send(order()).await);
    assert_eq!(proved, Proved::TurnedDown(422), "whole it is a refusal");

    let half = whole.get(..whole.len() - 5).unwrap().to_vec();
    let head = b"HTTP/1.1 422 No\r\ncontent-type: application/json\r\n\r\n".to_vec();
    let (broken, late) = (Cut::Lost(Lost::Connection), Cut::Lost(Lost::Timeout(SHORT)));
    for (name, does, wait, why) in [
        ("half a body", Does::Say(half.clone()), LONG, broken),
        ("half a body and silence", Does::SayAndWait(half), SHORT, late),
        ("a body that comes byte by byte", Does::SayAndDrip(head), SHORT, late),
    ] {
        let peer = Peer::that(does);
        let since = Instant::now();
        let proved = at_most(client(&peer, wait).send(order()).await);
        assert_eq!(proved, Proved::InDoubt(InDoubt::Cut { status: 422, why }), "{name}");
        assert!(since.elapsed() < LONG / 2, "{name}: the time for the whole was not kept");
        assert_eq!(peer.connections(), 1, "{name}");
    }
}

#[tokio::test]
async fn reading_stops_at_the_bound_and_what_was_cut_proves_nothing() {
    const BOUND: usize = 64 * 1024;
    let claimed = "HTTP/1.1 422 No\r\ncontent-length: 99999999999\r\n\r\n";
    for head in ["HTTP/1.1 422 No\r\ncontent-type: application/json\r\n\r\n{", claimed] {
        let peer = Peer::that(Does::SayAndFlood(head.as_bytes().to_vec()));
        let exchange = client(&peer, LONG).send(order()).await;
        let why = Cut::TooLong(BOUND);
        assert_eq!(at_most(exchange), Proved::InDoubt(InDoubt::Cut { status: 422, why }));
        // What was in the buffers of the two sockets is all that was written in vain.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let written = peer.written();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(peer.written(), written, "it still reads");
        assert!(written < 64 * 1024 * 1024, "{written}");
    }
    for (length, is_whole) in [(BOUND, true), (BOUND + 1, false)] {
        let body = format!("{{}}{}", " ".repeat(length - 2));
        let peer = Peer::that(Does::Say(answer("200 OK", "application/json", &body)));
        let proved = at_most(client(&peer, LONG).send(order()).await);
        assert_eq!(matches!(proved, Proved::Success(_)), is_whole, "{length}");
    }
}

#[tokio::test]
async fn a_page_proves_nothing_whatever_it_says_it_is() {
    let page = "<html><body>upstream is sad</body></html>";
    for (status, media) in [
        ("404 Not Found", "text/html"),
        ("403 Forbidden", "application/json"),
        ("401 Unauthorized", "text/plain"),
        ("200 OK", "text/html"),
    ] {
        let peer = Peer::that(Does::Say(answer(status, media, page)));
        let proved = at_most(client(&peer, LONG).send(order()).await);
        assert!(matches!(proved, Proved::InDoubt(InDoubt::Page { .. })), "{status}: {proved:?}");
    }
}

#[tokio::test]
async fn what_never_reached_anybody_was_not_sent() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    // Neither speaks TLS: one says nothing, the other hangs up.
    let silent = Peer::that(Does::Nothing);
    let gone = Peer::that(Does::HangUpAtOnce);
    for (url, why) in [
        (format!("http://{nobody}"), Unsent::NoConnection),
        ("https://no-such-host.invalid".to_owned(), Unsent::NoConnection),
        (format!("https://{}", gone.address()), Unsent::NoConnection),
        (format!("https://{}", silent.address()), Unsent::ConnectTimeout),
    ] {
        let mut config = ClientConfig::new(&url, Credential::bearer(TOKEN));
        if why == Unsent::ConnectTimeout {
            config.connect_max = SHORT;
        }
        let proved = at_most(Client::new(&config).unwrap().send(order()).await);
        assert_eq!(proved, Proved::Unsent(why), "{url}");
    }

    let peer = Peer::that(Does::Nothing);
    let client = client(&peer, SHORT);
    for (request, why) in [
        (Request::get(["apps", "..", "x"]), Unsent::BadSegment),
        (Request::get(["apps", "", "x"]), Unsent::BadSegment),
        (Request::get(["apps", "a\r\nb"]), Unsent::BadSegment),
        (Request::get(["apps"]).header("x", "a\r\nb: c"), Unsent::Unwritable),
        (Request::get(["apps"]).header("a b", "c"), Unsent::Unwritable),
    ] {
        assert_eq!(at_most(client.send(request).await), Proved::Unsent(why));
    }
    assert_eq!(peer.connections(), 0);
}

#[tokio::test]
async fn headers_are_kept_by_name_and_a_wait_is_told() {
    let bytes =
        b"HTTP/1.1 429 Slow\r\nretry-after: 7\r\nx-ratelimit-remaining: 0\r\nx-other: 1\r\n\
                  content-length: 0\r\n\r\n";
    let peer = Peer::that(Does::Say(bytes.to_vec()));
    let mut config = config(&peer);
    config.kept_headers = vec!["x-ratelimit-remaining", "x-ratelimit-reset"];
    let exchange = Client::new(&config).unwrap().send(order()).await;
    let Exchange::Answered(answer) = exchange else { panic!("{exchange:?}") };
    assert_eq!((answer.status, &answer.body), (429, &Body::Empty));
    assert_eq!(answer.retry_after, Some(Duration::from_secs(7)));
    let kept =
        ["x-ratelimit-remaining", "x-ratelimit-reset", "x-other"].map(|it| answer.header(it));
    assert_eq!(kept, [Some("0"), None, None]);
}
