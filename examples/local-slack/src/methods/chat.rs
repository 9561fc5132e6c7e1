//! `chat.*` and `reactions.*`.

use serde_json::{Value, json};

use crate::answer::{Answer, ApiError, object};
use crate::args::Args;
use crate::blocks;
use crate::options::{ChannelKind, UserKind};
use crate::world::{Ephemeral, Message, World};

/// `chat.postMessage` cuts a text here.
const TEXT_MAX: usize = 40_000;
/// `chat.update` refuses a longer text.
const UPDATE_TEXT_MAX: usize = 4_000;
const MARKDOWN_TEXT_MAX: usize = 12_000;
const REACTIONS_MAX: usize = 23;

/// Text and blocks of a message, checked.
struct Content {
    text: String,
    /// `None`: the argument is absent.
    blocks: Option<Vec<Value>>,
}

pub(super) fn post_message(world: &mut World, args: &Args) -> Answer {
    let channel = postable(world, args)?;
    let mut content = content(world, args)?;
    content.text = content.text.chars().take(TEXT_MAX).collect();
    let metadata = metadata(args)?;
    let thread_ts = args.text("thread_ts").map(str::to_owned);
    if let Some(thread) = &thread_ts {
        check_thread(world, &channel, thread)?;
    }
    limit_post(world, &channel)?;
    let mut message = app_message(world, &channel, content);
    message.thread_ts = thread_ts;
    message.metadata = metadata;
    message.broadcast = args.flag("reply_broadcast");
    let shown = world.message_json(&message, true);
    let ts = message.ts.clone();
    world.put(message);
    Ok(object(json!({"channel": channel, "ts": ts, "message": shown})))
}

fn app_message(world: &mut World, channel: &str, content: Content) -> Message {
    Message {
        channel: channel.to_owned(),
        ts: world.next_ts(),
        thread_ts: None,
        user: world.options.bot_user_id.clone(),
        from_app: true,
        text: content.text,
        blocks: content.blocks.unwrap_or_default(),
        metadata: None,
        edited: false,
        revision: 0,
        reactions: Vec::new(),
        broadcast: false,
    }
}

pub(super) fn update(world: &mut World, args: &Args) -> Answer {
    let channel = args.needed("channel", "channel_not_found")?.to_owned();
    let ts = args.needed("ts", "message_not_found")?.to_owned();
    known_channel(world, &channel)?;
    let known = world.message(&channel, &ts).ok_or_else(|| ApiError::new("message_not_found"))?;
    if !known.from_app {
        return Err(ApiError::new("cant_update_message"));
    }
    let content = content(world, args)?;
    if content.text.chars().count() > UPDATE_TEXT_MAX {
        return Err(ApiError::new("msg_too_long"));
    }
    let metadata_given = args.has("metadata");
    let metadata = metadata(args)?;
    let keeps_text = !args.has("text") && content.blocks.as_ref().is_some_and(|b| !b.is_empty());
    let Some(message) = world.message_mut(&channel, &ts) else {
        return Err(ApiError::new("message_not_found"));
    };
    if !keeps_text {
        message.text = content.text;
    }
    message.edited = content.blocks.is_none();
    // A text without blocks removes them.
    message.blocks = content.blocks.unwrap_or_default();
    if metadata_given {
        message.metadata = metadata;
    }
    message.revision = message.revision.saturating_add(1);
    let message = message.clone();
    let shown = world.message_json(&message, true);
    Ok(object(json!({"channel": channel, "ts": ts, "text": message.text, "message": shown})))
}

pub(super) fn delete(world: &mut World, args: &Args) -> Answer {
    let channel = args.needed("channel", "channel_not_found")?.to_owned();
    let ts = args.needed("ts", "message_not_found")?.to_owned();
    known_channel(world, &channel)?;
    let known = world.message(&channel, &ts).ok_or_else(|| ApiError::new("message_not_found"))?;
    if !known.from_app {
        return Err(ApiError::new("cant_delete_message"));
    }
    world.messages.entry(channel.clone()).or_default().remove(&ts);
    Ok(object(json!({"channel": channel, "ts": ts})))
}

pub(super) fn post_ephemeral(world: &mut World, args: &Args) -> Answer {
    let channel = postable(world, args)?;
    let user = args.needed("user", "user_not_in_channel")?.to_owned();
    let member = world.channel(&channel).is_some_and(|known| known.has(&user));
    let active = world.user(&user).is_some_and(|user| user.kind != UserKind::Deactivated);
    if !member || !active {
        return Err(ApiError::new("user_not_in_channel"));
    }
    let content = content(world, args)?;
    limit_post(world, &channel)?;
    let ts = world.next_ts();
    let thread_ts = args.text("thread_ts").map(str::to_owned);
    let (text, blocks) = (content.text, content.blocks.unwrap_or_default());
    world.ephemerals.push(Ephemeral { channel, ts: ts.clone(), thread_ts, user, text, blocks });
    Ok(object(json!({"message_ts": ts})))
}

pub(super) fn permalink(world: &mut World, args: &Args) -> Answer {
    let channel = args.needed("channel", "channel_not_found")?;
    let ts = args.needed("message_ts", "message_not_found")?;
    known_channel(world, channel)?;
    if world.message(channel, ts).is_none() {
        return Err(ApiError::new("message_not_found"));
    }
    let permalink = format!("{}#/{channel}/{ts}", world.base_url);
    Ok(object(json!({"channel": channel, "permalink": permalink})))
}

pub(super) fn add_reaction(world: &mut World, args: &Args) -> Answer {
    let (message, name) = reaction(world, args)?;
    if message.reactions.contains(&name) {
        return Err(ApiError::new("already_reacted"));
    }
    if message.reactions.len() >= REACTIONS_MAX {
        return Err(ApiError::new("too_many_reactions"));
    }
    message.reactions.push(name);
    Ok(object(json!({})))
}

pub(super) fn remove_reaction(world: &mut World, args: &Args) -> Answer {
    let (message, name) = reaction(world, args)?;
    if !message.reactions.contains(&name) {
        return Err(ApiError::new("no_reaction"));
    }
    message.reactions.retain(|known| *known != name);
    Ok(object(json!({})))
}

fn reaction<'w>(world: &'w mut World, args: &Args) -> Result<(&'w mut Message, String), ApiError> {
    let name = args.needed("name", "invalid_name")?.trim_matches(':').to_owned();
    let channel = args.needed("channel", "channel_not_found")?;
    let ts = args.needed("timestamp", "message_not_found")?;
    known_channel(world, channel)?;
    let message =
        world.message_mut(channel, ts).ok_or_else(|| ApiError::new("message_not_found"))?;
    Ok((message, name))
}

/// Shows `body`, sent to a response URL, to one person.
pub(crate) fn ephemeral_reply(
    world: &mut World,
    body: &Args,
    to: (String, String),
) -> Result<(), ApiError> {
    let content = content(world, body)?;
    let (channel, user) = to;
    let ts = world.next_ts();
    let thread_ts = body.text("thread_ts").map(str::to_owned);
    let (text, blocks) = (content.text, content.blocks.unwrap_or_default());
    world.ephemerals.push(Ephemeral { channel, ts, thread_ts, user, text, blocks });
    Ok(())
}

/// Posts `body`, sent to a response URL, for everybody in the channel.
pub(crate) fn channel_reply(world: &mut World, body: &Args, channel: &str) -> Result<(), ApiError> {
    let content = content(world, body)?;
    let mut message = app_message(world, channel, content);
    message.thread_ts = body.text("thread_ts").map(str::to_owned);
    world.put(message);
    Ok(())
}

/// Replaces the message that a response URL belongs to, ephemeral or not.
pub(crate) fn replace_original(
    world: &mut World,
    body: &Args,
    (channel, ts): (&str, &str),
) -> Result<(), ApiError> {
    let content = content(world, body)?;
    let (text, blocks) = (content.text, content.blocks.unwrap_or_default());
    if let Some(message) = world.message_mut(channel, ts) {
        message.text = text;
        message.blocks = blocks;
        message.revision = message.revision.saturating_add(1);
        return Ok(());
    }
    let ephemeral = world.ephemerals.iter_mut().find(|known| known.ts == ts);
    let ephemeral = ephemeral.ok_or_else(|| ApiError::new("message_not_found"))?;
    ephemeral.text = text;
    ephemeral.blocks = blocks;
    Ok(())
}

/// The channel to post to; the id of a person means the direct conversation with them.
fn postable(world: &mut World, args: &Args) -> Result<String, ApiError> {
    let id = args.needed("channel", "channel_not_found")?;
    if world.user(id).is_some() {
        return Ok(world.direct(id));
    }
    let known = world
        .options
        .channels
        .iter()
        .find(|channel| channel.id == id || channel.name == id.trim_start_matches('#'))
        .ok_or_else(|| ApiError::new("channel_not_found"))?;
    if known.archived {
        return Err(ApiError::new("is_archived"));
    }
    let uninvited = known.kind == ChannelKind::Public
        && world.options.scopes.iter().any(|scope| scope == "chat:write.public");
    if !known.app_is_member && !uninvited {
        // A private channel that the app is not in does not exist for it.
        let private = known.kind == ChannelKind::Private;
        return Err(ApiError::new(if private { "channel_not_found" } else { "not_in_channel" }));
    }
    Ok(known.id.clone())
}

pub(super) fn known_channel(world: &World, id: &str) -> Result<(), ApiError> {
    world.channel(id).map(|_channel| ()).ok_or_else(|| ApiError::new("channel_not_found"))
}

fn check_thread(world: &World, channel: &str, thread: &str) -> Result<(), ApiError> {
    match world.message(channel, thread) {
        Some(parent) if parent.thread_ts.is_some() => Err(ApiError::new("cannot_reply_to_message")),
        Some(_parent) => Ok(()),
        // A deleted parent keeps its replies, and takes new ones while it has some.
        None if world.replies(channel, thread).next().is_some() => Ok(()),
        None => Err(ApiError::new("thread_not_found")),
    }
}

fn limit_post(world: &mut World, channel: &str) -> Result<(), ApiError> {
    world.limits.post(channel, std::time::Instant::now()).map_err(ApiError::rate_limited)
}

fn content(world: &mut World, args: &Args) -> Result<Content, ApiError> {
    let markdown = args.text("markdown_text");
    if markdown.is_some() && (args.has("text") || args.has("blocks")) {
        return Err(ApiError::new("markdown_text_conflict"));
    }
    if markdown.is_some_and(|text| text.chars().count() > MARKDOWN_TEXT_MAX) {
        return Err(ApiError::new("msg_too_long"));
    }
    let blocks = match args.structured("blocks", "invalid_blocks_format")? {
        Some(blocks) => Some(blocks::message(&blocks, &mut || world.next_id("b"))?),
        None => None,
    };
    let text = markdown.or_else(|| args.text("text")).unwrap_or_default().to_owned();
    if text.is_empty() && blocks.as_ref().is_none_or(Vec::is_empty) {
        return Err(ApiError::new("no_text"));
    }
    Ok(Content { text, blocks })
}

/// Metadata; `{}` clears.
fn metadata(args: &Args) -> Result<Option<Value>, ApiError> {
    let Some(metadata) = args.structured("metadata", "invalid_metadata_format")? else {
        return Ok(None);
    };
    let wrong = || ApiError::new("invalid_metadata_format");
    let map = metadata.as_object().ok_or_else(wrong)?;
    if map.is_empty() {
        return Ok(None);
    }
    let named = map.get("event_type").and_then(Value::as_str).is_some_and(|kind| !kind.is_empty());
    let payload = map.get("event_payload").and_then(Value::as_object).ok_or_else(wrong)?;
    if !named {
        return Err(wrong());
    }
    let flat = |value: &Value| match value {
        Value::Object(inner) => inner.values().all(is_scalar),
        Value::Array(list) => list.iter().all(|item| match item {
            Value::Object(inner) => inner.values().all(is_scalar),
            Value::Array(_) => false,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => is_scalar(item),
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => is_scalar(value),
    };
    if !payload.values().all(flat) {
        return Err(ApiError::new("invalid_metadata_schema"));
    }
    Ok(Some(metadata))
}

fn is_scalar(value: &Value) -> bool {
    value.is_string() || value.is_number() || value.is_boolean()
}
