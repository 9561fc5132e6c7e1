//! Everything that the workspace knows, behind one lock.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::answer::ApiError;
use crate::deliver::Delivery;
use crate::faults::Faults;
use crate::limits::Limits;
use crate::options::{Channel, ChannelKind, Options, User};
use crate::socket::Sockets;

/// A message of a channel or of a direct conversation.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Message {
    /// Channel that it is in.
    pub channel: String,
    /// Its id, and the time of its posting.
    pub ts: String,
    /// Parent's `ts`, when it is a reply.
    pub thread_ts: Option<String>,
    /// Who posted it.
    pub user: String,
    /// The app posted it.
    pub from_app: bool,
    /// Fallback text.
    pub text: String,
    /// Blocks as received, with the ids that were missing.
    pub blocks: Vec<Value>,
    /// Metadata as received.
    pub metadata: Option<Value>,
    /// It was edited in a way that people see.
    pub edited: bool,
    /// How often it was updated.
    pub revision: u32,
    /// Names of its reactions.
    pub reactions: Vec<String>,
    /// A reply that is shown in the channel as well.
    pub broadcast: bool,
}

impl Message {
    /// Returns the interactive element with this `action_id`.
    #[must_use]
    pub fn element(&self, action_id: &str) -> Option<&Value> {
        find_element(&self.blocks, action_id).map(|(_block_id, element)| element)
    }

    /// Returns all text of the message that a reader sees, piece by piece, a line each.
    #[must_use]
    pub fn all_text(&self) -> String {
        all_text(&self.text, &self.blocks)
    }
}

/// A message that only one person sees.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Ephemeral {
    /// Channel in which it is shown.
    pub channel: String,
    /// Its id; it cannot be updated or fetched.
    pub ts: String,
    /// Thread in which it is shown.
    pub thread_ts: Option<String>,
    /// Who sees it.
    pub user: String,
    /// Fallback text.
    pub text: String,
    /// Blocks as received.
    pub blocks: Vec<Value>,
}

impl Ephemeral {
    /// Returns all text of the message that a reader sees, piece by piece, a line each.
    #[must_use]
    pub fn all_text(&self) -> String {
        all_text(&self.text, &self.blocks)
    }
}

/// A modal that is open on somebody's screen.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct View {
    /// Its id.
    pub id: String,
    /// Changes with every update.
    pub hash: String,
    /// Whose screen it is on.
    pub user: String,
    /// First view of its stack.
    pub root_id: String,
    /// View below it.
    pub previous_id: Option<String>,
    /// The view as received, with the ids that were missing.
    pub view: Map<String, Value>,
}

impl View {
    /// Returns the blocks.
    #[must_use]
    pub fn blocks(&self) -> &[Value] {
        self.view.get("blocks").and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// Returns a text field of the view, such as `callback_id` or `private_metadata`.
    #[must_use]
    pub fn text(&self, field: &str) -> &str {
        self.view.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns all text that a reader sees, piece by piece, a line each.
    #[must_use]
    pub fn all_text(&self) -> String {
        let title = self.view.get("title").and_then(|title| title.get("text"));
        all_text(title.and_then(Value::as_str).unwrap_or_default(), self.blocks())
    }
}

/// A call of the Web API.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Call {
    /// Method, such as `chat.postMessage`.
    pub method: String,
    /// When it arrived, since the start.
    pub at: Duration,
    /// Its arguments; no token.
    pub args: Value,
    /// `ok`, the error's code, or the fault that struck; `pending` until it is answered.
    pub outcome: String,
}

/// A trigger id that was sent out.
#[derive(Debug)]
pub(crate) struct Trigger {
    pub(crate) user: String,
    pub(crate) issued: Instant,
    pub(crate) used: bool,
}

/// Where a `response_url` leads.
#[derive(Debug)]
pub(crate) struct ResponseUrl {
    pub(crate) user: String,
    pub(crate) channel: String,
    pub(crate) ts: String,
    pub(crate) uses: u32,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) options: Options,
    pub(crate) base_url: String,
    pub(crate) started: Instant,
    pub(crate) messages: BTreeMap<String, BTreeMap<String, Message>>,
    pub(crate) ephemerals: Vec<Ephemeral>,
    /// Open views of each person, the root first.
    pub(crate) views: BTreeMap<String, Vec<View>>,
    pub(crate) triggers: BTreeMap<String, Trigger>,
    pub(crate) response_urls: BTreeMap<String, ResponseUrl>,
    pub(crate) calls: Vec<Call>,
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) faults: Faults,
    pub(crate) limits: Limits,
    pub(crate) sockets: Sockets,
    last_ts: u128,
    next_id: u64,
}

impl World {
    pub(crate) fn new(options: Options, base_url: String) -> Self {
        let limits = Limits::new(options.post_rate, options.calls_per_minute.clone());
        Self {
            options,
            base_url,
            started: Instant::now(),
            messages: BTreeMap::new(),
            ephemerals: Vec::new(),
            views: BTreeMap::new(),
            triggers: BTreeMap::new(),
            response_urls: BTreeMap::new(),
            calls: Vec::new(),
            deliveries: Vec::new(),
            faults: Faults::default(),
            limits,
            sockets: Sockets::default(),
            last_ts: 0,
            next_id: 0,
        }
    }

    /// A new `ts`: the wall clock in microseconds, never the same twice, never backwards.
    pub(crate) fn next_ts(&mut self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        self.last_ts = now.max(self.last_ts.saturating_add(1));
        format!("{}.{:06}", self.last_ts / 1_000_000, self.last_ts % 1_000_000)
    }

    /// A new id with this prefix.
    pub(crate) fn next_id(&mut self, prefix: &str) -> String {
        self.next_id = self.next_id.saturating_add(1);
        format!("{prefix}{:06X}", self.next_id)
    }

    /// A new hash of a view.
    pub(crate) fn next_hash(&mut self) -> String {
        let id = self.next_id("h");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        format!("{now}.{id}")
    }

    /// Sends out a trigger id for `user`; its life starts now.
    pub(crate) fn issue_trigger(&mut self, user: &str) -> String {
        let id = self.next_id("");
        let trigger = format!("{}.{}.{id}", self.last_ts / 1_000_000, self.options.team_id);
        let issued = Instant::now();
        let known = Trigger { user: user.to_owned(), issued, used: false };
        self.triggers.insert(trigger.clone(), known);
        trigger
    }

    /// Uses up a trigger id and returns whose it was.
    pub(crate) fn use_trigger(&mut self, trigger: &str) -> Result<String, ApiError> {
        let life = self.options.trigger_ttl;
        let known =
            self.triggers.get_mut(trigger).ok_or_else(|| ApiError::new("invalid_trigger_id"))?;
        if known.used {
            return Err(ApiError::new("exchanged_trigger_id"));
        }
        if known.issued.elapsed() > life {
            return Err(ApiError::new("expired_trigger_id"));
        }
        known.used = true;
        Ok(known.user.clone())
    }

    pub(crate) fn user(&self, id: &str) -> Option<&User> {
        self.options.users.iter().find(|user| user.id == id)
    }

    pub(crate) fn channel(&self, id: &str) -> Option<&Channel> {
        self.options.channels.iter().find(|channel| channel.id == id)
    }

    /// The direct conversation between the app and `user`, opened if need be.
    pub(crate) fn direct(&mut self, user: &str) -> String {
        let id = direct_id(user);
        if self.channel(&id).is_none() {
            let mut channel = Channel::new(id.clone(), "directmessage").members([user]);
            channel.kind = ChannelKind::Direct;
            self.options.channels.push(channel);
        }
        id
    }

    pub(crate) fn message(&self, channel: &str, ts: &str) -> Option<&Message> {
        self.messages.get(channel)?.get(ts)
    }

    pub(crate) fn message_mut(&mut self, channel: &str, ts: &str) -> Option<&mut Message> {
        self.messages.get_mut(channel)?.get_mut(ts)
    }

    pub(crate) fn put(&mut self, message: Message) {
        self.messages
            .entry(message.channel.clone())
            .or_default()
            .insert(message.ts.clone(), message);
    }

    /// Replies to `ts`, the oldest first, without the parent.
    pub(crate) fn replies<'a>(
        &'a self,
        channel: &str,
        ts: &'a str,
    ) -> impl Iterator<Item = &'a Message> {
        self.messages
            .get(channel)
            .into_iter()
            .flat_map(BTreeMap::values)
            .filter(move |message| message.thread_ts.as_deref() == Some(ts))
    }

    pub(crate) fn view(&self, id: &str) -> Option<&View> {
        self.views.values().flatten().find(|view| view.id == id)
    }

    /// The message as the Web API shows it.
    pub(crate) fn message_json(&self, message: &Message, all_metadata: bool) -> Value {
        let mut shown = json!({
            "type": "message", "user": message.user, "team": self.options.team_id,
            "ts": message.ts, "text": message.text, "blocks": message.blocks,
        });
        let Some(map) = shown.as_object_mut() else { return shown };
        if message.from_app {
            map.insert("bot_id".to_owned(), self.bot_id().into());
            map.insert("app_id".to_owned(), self.options.app_id.clone().into());
        }
        if message.edited {
            let edited = json!({"user": message.user, "ts": message.ts});
            map.insert("edited".to_owned(), edited);
        }
        if let Some(thread) = &message.thread_ts {
            map.insert("thread_ts".to_owned(), thread.clone().into());
        }
        let replies: Vec<&Message> = self.replies(&message.channel, &message.ts).collect();
        if let Some(last) = replies.last() {
            map.insert("thread_ts".to_owned(), message.ts.clone().into());
            map.insert("reply_count".to_owned(), replies.len().into());
            map.insert("latest_reply".to_owned(), last.ts.clone().into());
        }
        if let Some(metadata) = &message.metadata {
            let shown = if all_metadata {
                metadata.clone()
            } else {
                json!({"event_type": metadata.get("event_type")})
            };
            map.insert("metadata".to_owned(), shown);
        }
        if !message.reactions.is_empty() {
            let by = [&self.options.bot_user_id];
            let reactions = message.reactions.iter();
            let reactions: Vec<Value> =
                reactions.map(|name| json!({"name": name, "users": by, "count": 1})).collect();
            map.insert("reactions".to_owned(), reactions.into());
        }
        shown
    }

    /// The view as the Web API and the callbacks show it.
    pub(crate) fn view_json(&self, view: &View, values: &Value) -> Value {
        let mut shown = view.view.clone();
        for (name, value) in [
            ("id", json!(view.id)),
            ("team_id", json!(self.options.team_id)),
            ("hash", json!(view.hash)),
            ("root_view_id", json!(view.root_id)),
            ("previous_view_id", json!(view.previous_id)),
            ("app_id", json!(self.options.app_id)),
            ("app_installed_team_id", json!(self.options.team_id)),
            ("bot_id", json!(self.bot_id())),
            ("state", json!({"values": values})),
        ] {
            shown.insert(name.to_owned(), value);
        }
        for name in ["callback_id", "external_id", "private_metadata"] {
            shown.entry(name).or_insert_with(|| json!(""));
        }
        for name in ["close", "submit"] {
            shown.entry(name).or_insert(Value::Null);
        }
        for name in ["clear_on_close", "notify_on_close"] {
            shown.entry(name).or_insert(Value::Bool(false));
        }
        Value::Object(shown)
    }

    pub(crate) fn bot_id(&self) -> String {
        format!("B{}", self.options.app_id.trim_start_matches('A'))
    }
}

/// Id of the direct conversation between the app and `user`.
pub(crate) fn direct_id(user: &str) -> String {
    format!("D{}", user.trim_start_matches(['U', 'W']))
}

/// The interactive element with this `action_id`, and the id of its block.
pub(crate) fn find_element<'a>(
    blocks: &'a [Value],
    action_id: &str,
) -> Option<(&'a str, &'a Value)> {
    blocks.iter().find_map(|block| {
        let id = block.get("block_id").and_then(Value::as_str)?;
        let listed = block.get("elements").and_then(Value::as_array).into_iter().flatten();
        let single = [block.get("accessory"), block.get("element")].into_iter().flatten();
        listed
            .chain(single)
            .find(|element| element.get("action_id").and_then(Value::as_str) == Some(action_id))
            .map(|element| (id, element))
    })
}

fn all_text(first: &str, blocks: &[Value]) -> String {
    let mut lines = vec![first.to_owned()];
    for block in blocks {
        collect_text(block, &mut lines);
    }
    lines.join("\n")
}

/// Collects what people read: strings named `text` and `title`, however deep.
pub(crate) fn collect_text(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (name, inner) in map {
                match inner {
                    Value::String(text) if name == "text" || name == "title" => {
                        into.push(text.clone());
                    }
                    Value::Null
                    | Value::Bool(_)
                    | Value::Number(_)
                    | Value::String(_)
                    | Value::Array(_)
                    | Value::Object(_) => collect_text(inner, into),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|inner| collect_text(inner, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
