//! Socket Mode: callbacks over connections that the app opens.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use futures_util::{SinkExt as _, StreamExt as _};
use http::{StatusCode, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::answer::{Answer, object};
use crate::args::Args;
use crate::world::World;
use crate::{LocalSlack, Shared};

/// Connections of one app.
const CONNECTIONS_MAX: usize = 10;
/// Slack pings, and an app that hears nothing for long takes the connection for dead.
const PING_EVERY: Duration = Duration::from_secs(5);

/// The app's connections, and the callbacks that wait for their acknowledgement.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    open: Vec<Socket>,
    waiting: BTreeMap<String, Waiting>,
    tickets: BTreeSet<String>,
    turn: usize,
}

#[derive(Debug)]
struct Socket {
    id: String,
    /// It was told to go; it gets callbacks only when no other is there.
    leaving: bool,
    commands: mpsc::UnboundedSender<Command>,
}

#[derive(Debug)]
struct Waiting {
    socket: String,
    answer: oneshot::Sender<Option<Value>>,
}

#[derive(Debug)]
enum Command {
    Say(Value),
    Close,
    Cut,
}

impl Sockets {
    pub(crate) fn any(&self) -> bool {
        !self.open.is_empty()
    }

    /// Sends `payload` over one of the connections; what comes back is the acknowledgement's
    /// payload, or nothing when the connection ends first.
    pub(crate) fn send(
        &mut self,
        envelope_id: &str,
        payload: &Value,
    ) -> Option<oneshot::Receiver<Option<Value>>> {
        let staying: Vec<&Socket> = self.open.iter().filter(|socket| !socket.leaving).collect();
        let able = if staying.is_empty() { self.open.iter().collect() } else { staying };
        self.turn = self.turn.wrapping_add(1);
        let socket = able.get(self.turn.checked_rem(able.len())?)?;
        let (answer, receiver) = oneshot::channel();
        let waiting = Waiting { socket: socket.id.clone(), answer };
        let envelope = json!({
            "envelope_id": envelope_id, "type": "interactive", "accepts_response_payload": true,
            "payload": payload,
        });
        // A connection that ends at this moment drops what waits for it.
        let _ended = socket.commands.send(Command::Say(envelope));
        self.waiting.insert(envelope_id.to_owned(), waiting);
        Some(receiver)
    }

    fn tell(&self, command: impl Fn() -> Command) {
        for socket in &self.open {
            let _ended = socket.commands.send(command());
        }
    }

    fn acknowledge(&mut self, frame: &Value) {
        let envelope = frame.get("envelope_id").and_then(Value::as_str).unwrap_or_default();
        if let Some(waiting) = self.waiting.remove(envelope) {
            // Whoever waited may have given up: a late acknowledgement is none.
            let _late = waiting.answer.send(frame.get("payload").cloned());
        }
    }

    fn close(&mut self, id: &str) {
        self.open.retain(|socket| socket.id != id);
        self.waiting.retain(|_envelope, waiting| waiting.socket != id);
    }
}

impl LocalSlack {
    /// Returns how many Socket Mode connections the app has. While it has one, callbacks go
    /// there and not to the interactivity url.
    #[must_use]
    pub fn sockets(&self) -> usize {
        self.shared().look(|world| world.sockets.open.len())
    }

    /// Tells every Socket Mode connection to go, as Slack does every hour or so, and closes those
    /// that are still there after `grace`.
    pub fn refresh_sockets(&self, grace: Duration) {
        refresh(self.shared(), grace);
    }

    /// Cuts every Socket Mode connection without a word.
    pub fn cut_sockets(&self) {
        self.shared().change(|world| world.sockets.tell(|| Command::Cut));
    }
}

pub(crate) fn refresh(shared: &Shared, grace: Duration) {
    let told = json!({
        "type": "disconnect", "reason": "refresh_requested", "debug_info": {"host": "local"},
    });
    let leaving = shared.change(|world| {
        world.sockets.tell(|| Command::Say(told.clone()));
        let open = world.sockets.open.iter_mut();
        open.map(|socket| {
            socket.leaving = true;
            socket.commands.clone()
        })
        .collect::<Vec<_>>()
    });
    tokio::spawn(async move {
        tokio::time::sleep(grace).await;
        for socket in leaving {
            let _gone_already = socket.send(Command::Close);
        }
    });
}

/// `apps.connections.open`.
pub(crate) fn open(world: &mut World, _args: &Args) -> Answer {
    let ticket = world.next_id("ticket-");
    let base = world.base_url.replacen("http", "ws", 1);
    let url = format!("{base}link/?ticket={ticket}&app_id={}", world.options.app_id);
    world.sockets.tickets.insert(ticket);
    Ok(object(json!({"url": url})))
}

/// The other end of the url that `apps.connections.open` hands out; it works once.
pub(crate) async fn link(State(shared): State<Arc<Shared>>, mut request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let ticket = form_urlencoded::parse(query.as_bytes()).find(|(name, _value)| name == "ticket");
    let known =
        ticket.is_some_and(|(_name, it)| shared.change(|w| w.sockets.tickets.remove(it.as_ref())));
    if !known {
        return (StatusCode::FORBIDDEN, "the ticket is unknown or used").into_response();
    }
    let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY) else {
        return StatusCode::UPGRADE_REQUIRED.into_response();
    };
    let accept = derive_accept_key(key.as_bytes());
    tokio::spawn(serve(shared, hyper::upgrade::on(&mut request)));
    let headers = [
        (header::CONNECTION, "upgrade".to_owned()),
        (header::UPGRADE, "websocket".to_owned()),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

async fn serve(shared: Arc<Shared>, upgrade: OnUpgrade) {
    let Ok(upgraded) = upgrade.await else { return };
    let mut stream =
        WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
    let (commands, mut queue) = mpsc::unbounded_channel();
    let (id, hello) = shared.change(|world| admit(world, commands));
    if stream.send(Message::text(hello.to_string())).await.is_ok() {
        let mut pings = tokio::time::interval(PING_EVERY);
        loop {
            let goes_on = tokio::select! {
                command = queue.recv() => match command {
                    Some(Command::Say(frame)) => stream.send(Message::text(frame.to_string())).await.is_ok(),
                    Some(Command::Close) => {
                        let _already_gone = stream.close(None).await;
                        false
                    }
                    Some(Command::Cut) | None => false,
                },
                frame = stream.next() => match frame {
                    Some(Ok(Message::Text(text))) => {
                        if let Ok(frame) = serde_json::from_str(text.as_str()) {
                            shared.change(|world| world.sockets.acknowledge(&frame));
                        }
                        true
                    }
                    Some(Ok(
                        Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_)
                    )) => true,
                    Some(Ok(Message::Close(_)) | Err(_)) | None => false,
                },
                _tick = pings.tick() => stream.send(Message::Ping(Bytes::new())).await.is_ok(),
            };
            if !goes_on {
                break;
            }
        }
    }
    shared.change(|world| world.sockets.close(&id));
}

/// Takes a connection in, and says what it is greeted with.
fn admit(world: &mut World, commands: mpsc::UnboundedSender<Command>) -> (String, Value) {
    let id = world.next_id("socket-");
    if world.sockets.open.len() >= CONNECTIONS_MAX {
        // Without its sender, the loop ends right after the greeting.
        return (id, json!({"type": "disconnect", "reason": "too_many_websockets"}));
    }
    world.sockets.open.push(Socket { id: id.clone(), leaving: false, commands });
    let hello = json!({
        "type": "hello", "num_connections": world.sockets.open.len(),
        "connection_info": {"app_id": world.options.app_id},
        "debug_info": {"host": "local", "approximate_connection_time": 3600},
    });
    (id, hello)
}
