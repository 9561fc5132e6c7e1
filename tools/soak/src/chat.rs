//! The chat of all replicas: it keeps what every message ever showed, and says "too fast" when a
//! channel gets more than it takes. Beside it a Web API as small as callbacks need.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, body::Bytes};
use rollback_core::notice::{Attempt, MessageRef, Notice};
use rollback_core::{ChannelId, Label};
use rollback_verify::Message;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// For how long it tells others to wait while it refuses everything.
const REFUSED_FOR: Duration = Duration::from_secs(5);

/// What a replica asks to be shown.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Told {
    pub(crate) key: Label,
    pub(crate) version: u64,
    pub(crate) notice: Notice,
    pub(crate) channel: ChannelId,
    pub(crate) thread: Option<MessageRef>,
    pub(crate) previous: Option<MessageRef>,
    pub(crate) attempt: Attempt,
}

/// What came of it.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) enum Shown {
    As(MessageRef),
    TooFast(Duration),
}

#[derive(Debug)]
pub(crate) struct Chat {
    world: Mutex<World>,
    every: Duration,
    refuses: AtomicBool,
}

#[derive(Debug, Default)]
struct World {
    messages: Vec<Message>,
    /// Where each is in `messages`.
    by_id: BTreeMap<(ChannelId, Label), usize>,
    by_key: BTreeMap<Label, usize>,
    /// When each channel takes the next post.
    free_at: BTreeMap<ChannelId, Instant>,
    too_fast: usize,
    whispers: Vec<String>,
    calls: BTreeMap<String, usize>,
}

impl Chat {
    /// A chat whose channels take so many posts a second.
    pub(crate) fn new(posts_per_second: u32) -> Arc<Self> {
        let every = Duration::from_secs(1) / posts_per_second.max(1);
        Arc::new(Self { world: Mutex::default(), every, refuses: AtomicBool::new(false) })
    }

    pub(crate) fn routes(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/told", post(told))
            .route("/slack/{method}", post(method))
            .with_state(Arc::clone(self))
    }

    pub(crate) fn messages(&self) -> Vec<Message> {
        self.world().messages.clone()
    }

    /// How often somebody was asked to wait.
    pub(crate) fn too_fast(&self) -> usize {
        self.world().too_fast
    }

    /// What was whispered to people over the Web API.
    pub(crate) fn whispers(&self) -> Vec<String> {
        self.world().whispers.clone()
    }

    /// From now on it says to everything that it is asked too much, or takes it again.
    pub(crate) fn refuse(&self, everything: bool) {
        self.refuses.store(everything, Ordering::Relaxed);
    }

    /// Which message a key was posted as.
    pub(crate) fn posted(&self, key: &str) -> Option<MessageRef> {
        let world = self.world();
        let index = world.by_key.get(&Label::new(key))?;
        world.messages.get(*index).map(|message| message.message.clone())
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    fn show(&mut self, told: Told, every: Duration) -> Shown {
        let now = Instant::now();
        let free_at = self.free_at.entry(told.channel.clone()).or_insert(now);
        if *free_at > now {
            self.too_fast += 1;
            return Shown::TooFast(free_at.duration_since(now));
        }
        *free_at = now + every;
        let known = match &told.previous {
            Some(message) => self.by_id.get(&(message.channel.clone(), message.id.clone())),
            None if told.attempt == Attempt::InDoubt => self.by_key.get(&told.key),
            None => None,
        };
        if let Some(message) = known.and_then(|index| self.messages.get_mut(*index)) {
            message.shown.push((told.version, told.notice));
            return Shown::As(message.message.clone());
        }
        let index = self.messages.len();
        let id = format!("1763804000.{index:06}");
        let message = MessageRef::new(told.channel.clone(), id);
        let mut posted = Message::new(told.key.clone(), told.channel, message.clone());
        posted.thread = told.thread;
        posted.shown.push((told.version, told.notice));
        self.messages.push(posted);
        self.by_id.insert((message.channel.clone(), message.id.clone()), index);
        self.by_key.insert(told.key, index);
        Shown::As(message)
    }
}

async fn told(State(chat): State<Arc<Chat>>, Json(told): Json<Told>) -> Response {
    let mut world = chat.world();
    if chat.refuses.load(Ordering::Relaxed) {
        world.too_fast += 1;
        return Json(Shown::TooFast(REFUSED_FOR)).into_response();
    }
    Json(world.show(told, chat.every)).into_response()
}

/// Every method of the Web API that a callback leads to.
async fn method(
    State(chat): State<Arc<Chat>>,
    Path(method): Path<String>,
    body: Bytes,
) -> (StatusCode, Json<Value>) {
    let mut world = chat.world();
    let count = world.calls.entry(method.clone()).or_default();
    *count += 1;
    let number = *count;
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let answer = match method.as_str() {
        "views.open" | "views.update" => {
            let view = json!({"id": format!("V{number}"), "hash": format!("{number}")});
            json!({"ok": true, "view": view})
        }
        "chat.postEphemeral" => {
            let text = asked.get("text").and_then(Value::as_str).unwrap_or_default();
            world.whispers.push(text.to_owned());
            json!({"ok": true, "message_ts": format!("1763804000.{number:06}")})
        }
        _ => json!({"ok": false, "error": "unknown_method"}),
    };
    (StatusCode::OK, Json(answer))
}
