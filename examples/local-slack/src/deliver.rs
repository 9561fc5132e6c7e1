//! Callbacks: signing, sending, and the acknowledgement within its time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::Shared;
use crate::sign::sign;

/// An acknowledgement may be this long.
const ACK_MAX: usize = 1 << 20;

/// A callback that was sent, with the bytes that travelled.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Delivery {
    /// The payload.
    pub payload: Value,
    /// The signed body.
    pub body: Vec<u8>,
    /// `X-Slack-Request-Timestamp`.
    pub timestamp: u64,
    /// `X-Slack-Signature`.
    pub signature: String,
    /// Id of the envelope, when it went over a Socket Mode connection; nothing is signed then.
    pub envelope_id: Option<String>,
}

/// What the app answered to a callback.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Ack {
    /// HTTP status.
    pub status: u16,
    /// Body.
    pub body: Vec<u8>,
    /// How long it took.
    pub took: Duration,
    /// The body is declared as JSON.
    pub(crate) is_json: bool,
}

/// Signs `payload`, sends it, and waits for the acknowledgement; the error says what a person
/// is told went wrong.
pub(crate) async fn deliver(shared: &Shared, payload: &Value) -> Result<Ack, String> {
    let envelope_id =
        shared.change(|world| world.sockets.any().then(|| world.next_id("envelope-")));
    let body = form_urlencoded::Serializer::new(String::new())
        .append_pair("payload", &payload.to_string())
        .finish()
        .into_bytes();
    let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let secret = shared.look(|world| world.options.signing_secret.clone());
    let signature = sign(&secret, timestamp, &body);
    let delivery = Delivery { payload: payload.clone(), body, timestamp, signature, envelope_id };
    shared.change(|world| world.deliveries.push(delivery.clone()));
    let acked = send(shared, &delivery).await?;
    if shared.change(|world| world.faults.loses_ack()) {
        return Err("the acknowledgement was lost on its way".to_owned());
    }
    Ok(acked)
}

/// Sends the very bytes of a delivery.
pub(crate) async fn send(shared: &Shared, delivery: &Delivery) -> Result<Ack, String> {
    if let Some(envelope_id) = &delivery.envelope_id {
        return send_envelope(shared, envelope_id, &delivery.payload).await;
    }
    let (url, limit) =
        shared.look(|world| (world.options.interactivity_url.clone(), world.options.ack_within));
    let url = url.ok_or("the app has no interactivity url")?;
    let started = Instant::now();
    let answered = tokio::time::timeout(limit, post(&url, delivery)).await;
    let (status, is_json, body) = match answered {
        Ok(Ok(answered)) => answered,
        Ok(Err(failed)) => return Err(format!("the app cannot be reached: {failed}")),
        Err(_elapsed) => return Err(format!("the app did not answer within {limit:?}")),
    };
    Ok(Ack { status, body, took: started.elapsed(), is_json })
}

async fn send_envelope(shared: &Shared, id: &str, payload: &Value) -> Result<Ack, String> {
    let limit = shared.look(|world| world.options.ack_within);
    let started = Instant::now();
    let answer = shared.change(|world| world.sockets.send(id, payload));
    let answer = answer.ok_or("the app has no connection")?;
    let body = match tokio::time::timeout(limit, answer).await {
        // An SDK sends an empty object where it has nothing to say.
        Ok(Ok(None)) => Vec::new(),
        Ok(Ok(Some(Value::Object(empty)))) if empty.is_empty() => Vec::new(),
        Ok(Ok(Some(answered))) => answered.to_string().into_bytes(),
        Ok(Err(_ended)) => return Err("the connection ended before the app answered".to_owned()),
        Err(_elapsed) => return Err(format!("the app did not answer within {limit:?}")),
    };
    Ok(Ack { status: 200, body, took: started.elapsed(), is_json: true })
}

type PostError = Box<dyn std::error::Error + Send + Sync>;

async fn post(url: &str, delivery: &Delivery) -> Result<(u16, bool, Vec<u8>), PostError> {
    let uri: Uri = url.parse()?;
    let authority = uri.authority().ok_or("the interactivity url names no host")?;
    let port = authority.port_u16().unwrap_or(80);
    let stream = TcpStream::connect((authority.host(), port)).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::post(uri.path_and_query().map_or("/", |path| path.as_str()))
        .header(header::HOST, authority.as_str())
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::ACCEPT, "application/json,*/*")
        .header(header::USER_AGENT, "local-slack")
        .header("X-Slack-Request-Timestamp", delivery.timestamp)
        .header("X-Slack-Signature", &delivery.signature)
        .body(Full::new(Bytes::from(delivery.body.clone())))?;
    let exchange = async move {
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let kind = response.headers().get(header::CONTENT_TYPE);
        let is_json = kind
            .and_then(|kind| kind.to_str().ok())
            .is_some_and(|kind| kind.starts_with("application/json"));
        let body = Limited::new(response.into_body(), ACK_MAX).collect().await?.to_bytes();
        Ok((status, is_json, body.to_vec()))
    };
    tokio::pin!(exchange);
    tokio::select! {
        answered = &mut exchange => answered,
        // The connection may end just before the answer is read out of it.
        _ended = connection => exchange.await,
    }
}
