//! `conversations.*`.

use serde_json::{Value, json};

use super::chat::known_channel;
use crate::answer::{Answer, ApiError, object};
use crate::args::Args;
use crate::options::{ChannelKind, UserKind};
use crate::world::{Message, World};

const PAGE: usize = 100;
const PAGE_MAX: usize = 999;

pub(super) fn open(world: &mut World, args: &Args) -> Answer {
    let users = args.needed("users", "users_list_not_supplied")?.to_owned();
    if users.contains(',') {
        // A conversation of several people is a thing that no rollback needs.
        return Err(ApiError::new("not_enough_users"));
    }
    let user = world.user(&users).ok_or_else(|| ApiError::new("user_not_found"))?;
    if user.kind == UserKind::Deactivated {
        return Err(ApiError::new("user_disabled"));
    }
    let already = world.channel(&crate::world::direct_id(&users)).is_some();
    let id = world.direct(&users);
    Ok(object(json!({"channel": {"id": id}, "already_open": already, "no_op": already})))
}

pub(super) fn info(world: &mut World, args: &Args) -> Answer {
    let id = args.needed("channel", "channel_not_found")?;
    let channel = world.channel(id).ok_or_else(|| ApiError::new("channel_not_found"))?;
    Ok(object(json!({"channel": {
        "id": channel.id, "name": channel.name,
        "is_channel": channel.kind != ChannelKind::Direct,
        "is_im": channel.kind == ChannelKind::Direct,
        "is_private": channel.kind != ChannelKind::Public,
        "is_archived": channel.archived, "is_member": channel.app_is_member,
        "is_shared": channel.shared, "is_ext_shared": channel.shared,
    }})))
}

pub(super) fn members(world: &mut World, args: &Args) -> Answer {
    let id = args.needed("channel", "channel_not_found")?;
    let channel = world.channel(id).ok_or_else(|| ApiError::new("channel_not_found"))?;
    let users = world.options.users.iter().map(|user| &user.id);
    let members: Vec<&String> = users.filter(|user| channel.has(user)).collect();
    Ok(object(json!({"members": members, "response_metadata": {"next_cursor": ""}})))
}

pub(super) fn history(world: &mut World, args: &Args) -> Answer {
    let channel = args.needed("channel", "channel_not_found")?;
    readable(world, channel)?;
    let messages = world.messages.get(channel);
    let all = messages.into_iter().flat_map(|messages| messages.values().rev());
    // A reply is part of its thread, not of the channel, unless it was sent to both.
    let found: Vec<&Message> = all
        .filter(|message| message.thread_ts.is_none() || message.broadcast)
        .filter(|message| in_range(args, &message.ts))
        .collect();
    Ok(page(world, args, &found, |cursor, ts| ts < cursor))
}

pub(super) fn replies(world: &mut World, args: &Args) -> Answer {
    let channel = args.needed("channel", "channel_not_found")?;
    readable(world, channel)?;
    let ts = args.needed("ts", "thread_not_found")?;
    let asked = world.message(channel, ts);
    let root = asked.and_then(|message| message.thread_ts.as_deref()).unwrap_or(ts);
    let parent = world.message(channel, root);
    let found: Vec<&Message> = parent
        .into_iter()
        .chain(world.replies(channel, root).filter(|message| in_range(args, &message.ts)))
        .collect();
    if found.is_empty() {
        return Err(ApiError::new("thread_not_found"));
    }
    Ok(page(world, args, &found, |cursor, ts| ts > cursor))
}

fn readable(world: &World, channel: &str) -> Result<(), ApiError> {
    known_channel(world, channel)?;
    if world.channel(channel).is_some_and(|channel| channel.app_is_member) {
        return Ok(());
    }
    Err(ApiError::new("not_in_channel"))
}

fn in_range(args: &Args, ts: &str) -> bool {
    let inclusive = args.flag("inclusive");
    let after = args.text("oldest").is_none_or(|oldest| ts > oldest || (inclusive && ts == oldest));
    let before =
        args.text("latest").is_none_or(|latest| ts < latest || (inclusive && ts == latest));
    after && before
}

/// One page: what comes after the cursor, which is the `ts` of the last message before it.
fn page(
    world: &World,
    args: &Args,
    found: &[&Message],
    after: fn(&str, &str) -> bool,
) -> serde_json::Map<String, Value> {
    let limit = args.number("limit").filter(|limit| *limit > 0).unwrap_or(PAGE).min(PAGE_MAX);
    let cursor = args.text("cursor").unwrap_or_default();
    let mut rest = found.iter().filter(|message| cursor.is_empty() || after(cursor, &message.ts));
    let shown: Vec<&&Message> = rest.by_ref().take(limit).collect();
    let more = rest.next().is_some();
    let next = shown.last().filter(|_last| more).map_or("", |last| last.ts.as_str());
    let all_metadata = args.flag("include_all_metadata");
    let messages: Vec<Value> =
        shown.iter().map(|message| world.message_json(message, all_metadata)).collect();
    object(json!({
        "messages": messages, "has_more": more, "response_metadata": {"next_cursor": next},
    }))
}
