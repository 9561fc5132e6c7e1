//! A request from its bytes to its acknowledgement, and everything that must not get that far.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};

use http::HeaderMap;
use rollback_slack::{
    Accepted, BODY_BYTES_MAX, Click, ClickAck, Closing, ClosingAck, CountersSnapshot, FieldErrors,
    Intake, Interactions, Interactivity, Json, Reply, SIGNATURE_HEADER, SigningSecrets, Submission,
    SubmissionAck, TIMESTAMP_HEADER, UnixSeconds, router,
};
use serde_json::{Value, json};

const NOW: UnixSeconds = UnixSeconds(1_700_000_000);

/// Writes down what reaches it, and answers as it is told.
#[derive(Debug)]
struct Recorder {
    seen: Mutex<Vec<String>>,
    submission: SubmissionAck,
}

impl Interactions for Recorder {
    fn clicked(&self, click: Click) -> ClickAck {
        self.seen.lock().unwrap().push(format!("click {}", click.action.action_id));
        match click.action.action_id.as_str() {
            "rollback_open" => ClickAck::Taken,
            "too_much" => ClickAck::Busy,
            _ => ClickAck::NotOurs,
        }
    }

    fn submitted(&self, submission: Submission) -> SubmissionAck {
        self.seen.lock().unwrap().push(format!("submission {}", submission.view.id));
        self.submission.clone()
    }

    fn closed(&self, closing: Closing) -> ClosingAck {
        self.seen.lock().unwrap().push(format!("closing {}", closing.view.id));
        ClosingAck::Taken
    }
}

fn secrets() -> SigningSecrets {
    SigningSecrets::new(&"secret".into()).unwrap()
}

fn app(accepted: Accepted, submission: SubmissionAck) -> Interactivity<Recorder> {
    let recorder = Recorder { seen: Mutex::default(), submission };
    Interactivity::new(secrets(), Arc::new(Intake::new(accepted, recorder)))
}

fn plain() -> Interactivity<Recorder> {
    app(Accepted::app("A1").team("T1").enterprise("E1"), SubmissionAck::Close)
}

fn seen(app: &Interactivity<Recorder>) -> Vec<String> {
    app.intake().handler().seen.lock().unwrap().clone()
}

fn counted(app: &Interactivity<Recorder>) -> CountersSnapshot {
    app.intake().counters().snapshot()
}

fn form(payload: &Value) -> Vec<u8> {
    let mut form = b"payload=".to_vec();
    for byte in payload.to_string().bytes() {
        if byte.is_ascii_alphanumeric() {
            form.push(byte);
        } else {
            form.extend(format!("%{byte:02X}").bytes());
        }
    }
    form
}

fn signed(body: &[u8], at: UnixSeconds) -> HeaderMap {
    let (timestamp, signature) = secrets().sign(body, at);
    HeaderMap::from_iter([
        (TIMESTAMP_HEADER.parse().unwrap(), timestamp.parse().unwrap()),
        (SIGNATURE_HEADER.parse().unwrap(), signature.parse().unwrap()),
    ])
}

fn send(app: &Interactivity<Recorder>, body: &[u8]) -> Reply {
    app.handle(&signed(body, NOW), body, NOW)
}

fn click(action_id: &str, trigger_id: &str) -> Value {
    json!({"type": "block_actions", "user": {"id": "U1", "team_id": "T1"}, "api_app_id": "A1",
        "team": {"id": "T1"}, "trigger_id": trigger_id,
        "container": {"type": "message", "channel_id": "C1", "message_ts": "17.01"},
        "actions": [{"type": "button", "action_id": action_id, "value": "41"}]})
}

fn submission() -> Value {
    json!({"type": "view_submission", "user": {"id": "U1", "team_id": "T1"}, "api_app_id": "A1",
        "team": {"id": "T1"}, "trigger_id": "1.3.s", "view": {"id": "V1"}})
}

#[test]
fn a_signed_click_reaches_the_handler_and_is_acknowledged_empty() {
    let app = plain();
    let reply = send(&app, &form(&click("rollback_open", "1.2.a")));
    assert_eq!((reply.status, reply.body.is_empty()), (200, true));
    assert_eq!(seen(&app), ["click rollback_open"]);
    assert_eq!(counted(&app).clicks, 1);
}

#[test]
fn an_unknown_action_is_answered_200_and_counted() {
    let app = plain();
    assert_eq!(send(&app, &form(&click("logs_open", "1.2.a"))).status, 200);
    assert_eq!(counted(&app).not_ours, 1);
}

/// Slack shows the person that it did not work.
#[test]
fn a_click_for_which_too_much_waits_is_told_503_and_counted() {
    let app = plain();
    assert_eq!(send(&app, &form(&click("too_much", "1.2.a"))).status, 503);
    assert_eq!(counted(&app).busy, 1);
}

#[test]
fn an_unknown_kind_is_answered_200_and_reaches_nobody() {
    let app = plain();
    let shortcut = json!({"type": "shortcut", "api_app_id": "A1", "team": {"id": "T1"}});
    assert_eq!(send(&app, &form(&shortcut)).status, 200);
    assert_eq!(counted(&app).unknown_kinds, 1);
    assert!(seen(&app).is_empty());
}

#[test]
fn an_unsigned_ssl_check_is_answered_and_never_dispatched_whatever_it_smuggles() {
    let app = plain();
    let smuggled = form(&click("rollback_open", "1.2.a"));
    for body in [
        b"ssl_check=1&token=x".to_vec(),
        [&smuggled[..], b"&ssl_check=1"].concat(),
        [b"ssl_check=1&", &smuggled[..]].concat(),
    ] {
        let reply = app.handle(&HeaderMap::new(), &body, NOW);
        assert_eq!((reply.status, reply.body.is_empty()), (200, true));
        assert_eq!(send(&app, &body).status, 200);
    }
    assert!(seen(&app).is_empty());
    assert_eq!(counted(&app).ssl_checks, 6);
}

#[test]
fn what_is_not_slacks_is_told_401_and_not_why() {
    let app = plain();
    let body = form(&click("rollback_open", "1.2.a"));
    let tampered = form(&click("rollback_open", "1.2.b"));
    let mut doubled = signed(&body, NOW);
    doubled.append(SIGNATURE_HEADER, "v0=00".parse().unwrap());
    for headers in [
        HeaderMap::new(),
        signed(&tampered, NOW),
        signed(&body, NOW.plus(301)),
        signed(&body, NOW.plus(-301)),
        doubled,
    ] {
        let reply = app.handle(&headers, &body, NOW);
        assert_eq!((reply.status, reply.body.is_empty()), (401, true));
    }
    assert!(seen(&app).is_empty());
    assert_eq!((counted(&app).bad_signatures, counted(&app).stale), (3, 2));
}

#[test]
fn a_body_over_the_bound_is_not_even_hashed() {
    let app = plain();
    assert_eq!(BODY_BYTES_MAX, 262_144, "a quarter of a mebibyte");
    assert_eq!(send(&app, &vec![b'x'; BODY_BYTES_MAX + 1]).status, 413);
    assert_eq!(send(&app, &vec![b'x'; BODY_BYTES_MAX]).status, 400);
    assert_eq!((counted(&app).too_large, counted(&app).bad_forms), (1, 1));
}

#[test]
fn a_signed_body_that_cannot_be_read_is_told_400() {
    let app = plain();
    let twice = b"payload=a&p%61yload=b";
    for body in [&b""[..], b"{}", b"payload=%", b"payload=a&payload=b", twice, b"payload=%FF"] {
        assert_eq!(send(&app, body).status, 400, "{}", String::from_utf8_lossy(body));
    }
    for payload in ["", "%5B%5D", "%7B%7D", "null", "%7B%22type%22%3A%22block_actions%22%7D"] {
        assert_eq!(send(&app, format!("payload={payload}").as_bytes()).status, 400, "{payload}");
    }
    assert_eq!((counted(&app).bad_forms, counted(&app).bad_payloads), (6, 5));
    assert!(seen(&app).is_empty());
}

/// A proxy or a logger that decodes it would see another body than the one that was signed.
#[test]
fn a_body_that_says_it_is_encoded_is_refused_and_not_guessed() {
    let app = plain();
    let body = form(&click("rollback_open", "1.2.a"));
    for (encodings, status) in [
        (&["gzip"][..], 415),
        (&["br"], 415),
        (&["identity, gzip"], 415),
        (&["identity", "gzip"], 415),
        (&[""], 415),
        (&["Identity"], 200),
    ] {
        let mut headers = signed(&body, NOW);
        for encoding in encodings {
            headers.append("content-encoding", encoding.parse().unwrap());
        }
        assert_eq!(app.handle(&headers, &body, NOW).status, status, "{encodings:?}");
    }
    assert_eq!(seen(&app).len(), 1);
}

#[test]
fn a_replayed_request_is_acknowledged_and_not_dispatched_again() {
    let app = plain();
    let body = form(&click("rollback_open", "1.2.a"));
    let headers = signed(&body, NOW);
    assert_eq!(app.handle(&headers, &body, NOW).status, 200);
    assert_eq!(app.handle(&headers, &body, NOW.plus(300)).status, 200);
    // The same interaction, signed anew.
    let again = signed(&body, NOW.plus(1));
    assert_eq!(app.handle(&again, &body, NOW.plus(1)).status, 200);
    assert_eq!(seen(&app).len(), 1);
    assert_eq!(counted(&app).repeats, 2);
}

#[test]
fn two_clicks_of_one_person_are_two_interactions() {
    let app = plain();
    send(&app, &form(&click("rollback_open", "1.2.a")));
    send(&app, &form(&click("rollback_open", "1.2.b")));
    assert_eq!(seen(&app).len(), 2);
}

#[test]
fn another_app_or_workspace_is_told_403() {
    let app = plain();
    let mut sent = 0;
    for kind in ["block_actions", "view_submission", "view_closed", "shortcut", "of next year"] {
        for (fields, value) in [
            (&["api_app_id"][..], json!("A2")),
            (&["api_app_id"], Value::Null),
            (&["team"], json!({"id": "T2"})),
            (&["team"], Value::Null),
            (&["team", "enterprise"], json!({"id": "E2"})),
        ] {
            let mut payload = click("rollback_open", "1.2.a");
            payload["type"] = json!(kind);
            payload["view"] = json!({"id": "V1"});
            fields.iter().for_each(|field| payload[*field] = value.clone());
            assert_eq!(send(&app, &form(&payload)).status, 403, "{kind} {fields:?} {value}");
            sent += 1;
        }
    }
    assert!(seen(&app).is_empty());
    assert_eq!(counted(&app).foreign, sent);
}

#[test]
fn an_organization_install_with_team_null_is_accepted_by_its_enterprise() {
    let app = plain();
    let mut payload = click("rollback_open", "1.2.a");
    payload["team"] = Value::Null;
    payload["enterprise"] = json!({"id": "E1"});
    payload["is_enterprise_install"] = json!(true);
    assert_eq!(send(&app, &form(&payload)).status, 200);
    assert_eq!(seen(&app).len(), 1);
}

#[test]
fn each_acknowledgement_of_a_submission_has_slacks_form() {
    let view = Json::of(&json!({"type": "modal"})).unwrap();
    for (ack, body) in [
        (SubmissionAck::Close, Value::Null),
        (SubmissionAck::NotOurs, Value::Null),
        (SubmissionAck::CloseAll, json!({"response_action": "clear"})),
        (
            SubmissionAck::Errors(FieldErrors::at("reason", "too short").and("ticket", "none")),
            json!({"response_action": "errors",
                "errors": {"reason": "too short", "ticket": "none"}}),
        ),
        (
            SubmissionAck::Update(view.clone()),
            json!({"response_action": "update", "view": {"type": "modal"}}),
        ),
        (SubmissionAck::Push(view), json!({"response_action": "push", "view": {"type": "modal"}})),
    ] {
        let reply = send(&app(Accepted::any(), ack), &form(&submission()));
        assert_eq!(reply.status, 200);
        let sent = match reply.body.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&reply.body).unwrap(),
        };
        assert_eq!(sent, body);
    }
}

#[test]
fn a_closed_modal_reaches_the_handler() {
    let app = plain();
    let closed = json!({"type": "view_closed", "user": {"id": "U1"}, "api_app_id": "A1",
        "team": {"id": "T1"}, "view": {"id": "V1"}, "is_cleared": true});
    assert_eq!(send(&app, &form(&closed)).status, 200);
    assert_eq!(seen(&app), ["closing V1"]);
}

mod over_http {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    async fn serve(app: Interactivity<Recorder>) -> (String, Arc<Interactivity<Recorder>>) {
        let app = Arc::new(app);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let routes = router(Arc::clone(&app));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        (address, app)
    }

    async fn post(address: &str, headers: HeaderMap, body: Vec<u8>) -> reqwest::Response {
        let url = format!("http://{address}/slack/interactivity");
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        client.post(url).headers(headers).body(body).send().await.unwrap()
    }

    #[tokio::test]
    async fn a_signed_submission_is_answered_as_json() {
        let errors = SubmissionAck::Errors(FieldErrors::at("reason", "too short"));
        let (address, _) = serve(app(Accepted::any(), errors)).await;
        let body = form(&submission());
        let answer = post(&address, signed(&body, UnixSeconds::now()), body).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "application/json; charset=utf-8");
        assert!(answer.text().await.unwrap().contains("too short"));
    }

    #[tokio::test]
    async fn an_unsigned_request_learns_nothing() {
        let (address, app) = serve(plain()).await;
        let answer = post(&address, HeaderMap::new(), form(&submission())).await;
        assert_eq!(answer.status(), 401);
        assert_eq!(answer.text().await.unwrap(), "");
        assert_eq!(counted(&app).bad_signatures, 1);
    }

    #[tokio::test]
    async fn a_body_over_the_bound_is_refused_before_it_is_read_whole() {
        let (address, app) = serve(plain()).await;
        let answer = post(&address, HeaderMap::new(), vec![b'x'; BODY_BYTES_MAX + 1]).await;
        assert_eq!(answer.status(), 413);
        assert_eq!(counted(&app).too_large, 1);
    }

    #[tokio::test]
    async fn a_probe_with_get_is_answered_and_any_other_get_is_not() {
        let (address, app) = serve(plain()).await;
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        for (query, status) in [("?ssl_check=1", 200), ("", 405), ("?payload=%7B%7D", 405)] {
            let url = format!("http://{address}/slack/interactivity{query}");
            assert_eq!(client.get(url).send().await.unwrap().status(), status, "{query}");
        }
        assert_eq!(counted(&app).ssl_checks, 1);
    }

    #[tokio::test]
    async fn a_body_that_never_comes_does_not_hold_the_connection() {
        let (address, app) = serve(plain()).await;
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let head =
            "POST /slack/interactivity HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\npay";
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = vec![0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, b"HTTP/1.1 408");
        assert_eq!(counted(&app).too_slow, 1);
    }
}
