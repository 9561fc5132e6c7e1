//! Socket Mode, from the app's end.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::time::Duration;

use crate::common::{DEPLOYS, call, modal, post, raw, start};
use futures_util::{SinkExt as _, StreamExt as _};
use local_slack::{LocalSlack, Outcome};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const APP_TOKEN: &str = "xapp-local-slack";
const PATIENCE: Duration = Duration::from_secs(5);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn url(slack: &LocalSlack) -> String {
    let kind = "application/x-www-form-urlencoded";
    let answer =
        raw(slack, "apps.connections.open", kind, Some(APP_TOKEN), String::new()).await.unwrap();
    answer.body["url"].as_str().unwrap().to_owned()
}

async fn connect(slack: &LocalSlack) -> Socket {
    let (mut socket, _response) = connect_async(url(slack).await).await.unwrap();
    assert_eq!(frame(&mut socket).await.unwrap()["type"], "hello");
    socket
}

/// The next frame that is JSON; nothing when the connection ends.
async fn frame(socket: &mut Socket) -> Option<Value> {
    loop {
        let frame = tokio::time::timeout(PATIENCE, socket.next()).await.unwrap();
        match frame {
            Some(Ok(Message::Text(text))) => return serde_json::from_str(text.as_str()).ok(),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            _end => return None,
        }
    }
}

/// Acknowledges the next envelope, and gives its payload.
async fn acknowledge(socket: &mut Socket, payload: Option<Value>) -> Value {
    let envelope = frame(socket).await.unwrap();
    assert_eq!(envelope["type"], "interactive");
    assert_eq!(envelope["accepts_response_payload"], true);
    let mut ack = json!({"envelope_id": envelope["envelope_id"]});
    if let Some(payload) = payload {
        ack["payload"] = payload;
    }
    socket.send(Message::text(ack.to_string())).await.unwrap();
    envelope["payload"].clone()
}

fn click(slack: &LocalSlack, ts: &str) -> tokio::task::JoinHandle<Outcome> {
    let (slack, ts) = (slack.clone(), ts.to_owned());
    tokio::spawn(async move { slack.click("U02ANA", DEPLOYS, &ts, "rollback_open").await.unwrap() })
}

#[tokio::test]
async fn only_the_app_level_token_opens_a_connection() {
    let slack = start().await;
    let refused = call(&slack, "apps.connections.open", json!({})).await;
    assert_eq!(refused.error(), "not_allowed_token_type");
    let kind = "application/json";
    let refused = raw(&slack, "auth.test", kind, Some(APP_TOKEN), String::new()).await.unwrap();
    assert_eq!(refused.error(), "not_allowed_token_type");
}

#[tokio::test]
async fn a_ticket_works_once() {
    let slack = start().await;
    let url = url(&slack).await;
    let (_socket, _response) = connect_async(&url).await.unwrap();
    assert!(connect_async(&url).await.is_err());
}

#[tokio::test]
async fn callbacks_travel_over_the_connection_and_back() {
    let slack = start().await;
    let mut socket = connect(&slack).await;
    let ts = post(&slack).await;
    let clicking = click(&slack, &ts);
    let payload = acknowledge(&mut socket, None).await;
    assert_eq!(clicking.await.unwrap(), Outcome::Acknowledged);

    let open = json!({"trigger_id": payload["trigger_id"], "view": modal()});
    let view = call(&slack, "views.open", open).await.body["view"]["id"].clone();
    let id = view.as_str().unwrap().to_owned();
    for (answer, marked) in [
        (Some(json!({"response_action": "errors", "errors": {"reason": "more"}})), true),
        (Some(json!({})), false),
    ] {
        let (slack, id) = (slack.clone(), id.clone());
        let submitting =
            tokio::spawn(
                async move { slack.submit("U02ANA", &id, &[("reason", "errors up")]).await },
            );
        acknowledge(&mut socket, answer).await;
        let outcome = submitting.await.unwrap().unwrap();
        assert_eq!(matches!(outcome, Outcome::Errors(_)), marked, "{outcome:?}");
    }
    assert!(slack.views("U02ANA").is_empty());
}

#[tokio::test]
async fn a_refresh_asks_the_app_to_come_again() {
    let slack = start().await;
    let mut old = connect(&slack).await;
    slack.refresh_sockets(Duration::from_millis(50));
    let asked = frame(&mut old).await.unwrap();
    assert_eq!(
        (&asked["type"], &asked["reason"]),
        (&json!("disconnect"), &json!("refresh_requested"))
    );
    let mut new = connect(&slack).await;
    let ts = post(&slack).await;
    let clicking = click(&slack, &ts);
    acknowledge(&mut new, None).await;
    assert_eq!(clicking.await.unwrap(), Outcome::Acknowledged, "the new one gets the callback");
    assert!(frame(&mut old).await.is_none(), "the old one is closed");
    slack.wait_until(PATIENCE, |slack| (slack.sockets() == 1).then_some(())).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_is_cut_takes_its_callbacks_with_it() {
    let slack = start().await;
    let mut socket = connect(&slack).await;
    let ts = post(&slack).await;
    let clicking = click(&slack, &ts);
    frame(&mut socket).await.unwrap();
    slack.cut_sockets();
    let outcome = clicking.await.unwrap();
    assert!(matches!(&outcome, Outcome::Trouble(why) if why.contains("ended")), "{outcome:?}");
    assert_eq!(slack.sockets(), 0);
}

#[tokio::test]
async fn the_same_envelope_can_come_twice() {
    let slack = start().await;
    let mut socket = connect(&slack).await;
    let ts = post(&slack).await;
    let clicking = click(&slack, &ts);
    let first = acknowledge(&mut socket, None).await;
    clicking.await.unwrap();
    let delivery = slack.deliveries().pop().unwrap();
    let resending = {
        let slack = slack.clone();
        tokio::spawn(async move { slack.resend(&delivery).await })
    };
    assert_eq!(acknowledge(&mut socket, None).await, first);
    resending.await.unwrap().unwrap();
}

#[tokio::test]
async fn ten_connections_are_enough() {
    let slack = start().await;
    let mut sockets = Vec::new();
    for _ in 0..10 {
        sockets.push(connect(&slack).await);
    }
    let (mut eleventh, _response) = connect_async(url(&slack).await).await.unwrap();
    assert_eq!(frame(&mut eleventh).await.unwrap()["reason"], "too_many_websockets");
    assert_eq!(slack.sockets(), 10);
}
