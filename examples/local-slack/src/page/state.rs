//! What one person sees, as the page gets it.

use serde_json::{Value, json};

use crate::options::{Channel, User, UserKind};
use crate::world::{Message, World, direct_id};

/// The screen of `person`; of the first person when there is none of that name.
pub(super) fn screen(world: &World, person: Option<&str>) -> Value {
    let people: Vec<&User> =
        world.options.users.iter().filter(|user| user.kind != UserKind::Bot).collect();
    let me = person
        .and_then(|id| people.iter().find(|user| user.id == id))
        .or_else(|| people.first())
        .map_or("", |user| user.id.as_str());
    let channels = world.options.channels.iter();
    let channels: Vec<Value> = channels
        .filter(|channel| channel.has(me))
        .map(|channel| channel_json(world, channel, me))
        .collect();
    let views = world.views.get(me).into_iter().flatten();
    let views: Vec<Value> = views.map(|view| world.view_json(view, &json!({}))).collect();
    json!({
        "me": me,
        "app": {
            "id": world.options.app_id, "user_id": world.options.bot_user_id,
            "name": world.options.app_name,
        },
        "people": people.iter().map(|user| person_json(world, user)).collect::<Vec<Value>>(),
        "groups": world.options.groups,
        "channels": channels,
        "views": views,
        "faults": world.faults,
        "panel": world.options.panel,
    })
}

fn person_json(world: &World, user: &User) -> Value {
    let direct = world.messages.get(&direct_id(&user.id)).map_or(0, |messages| messages.len());
    let ephemeral = world.ephemerals.iter().filter(|shown| shown.user == user.id).count();
    json!({
        "id": user.id, "name": user.name, "title": user.title, "kind": user.kind,
        "news": direct.saturating_add(ephemeral),
    })
}

fn channel_json(world: &World, channel: &Channel, me: &str) -> Value {
    let messages = world.messages.get(&channel.id).into_iter().flat_map(|all| all.values());
    let messages: Vec<Value> = messages.map(|message| message_json(world, message)).collect();
    let ephemerals = world.ephemerals.iter();
    let ephemerals: Vec<Value> = ephemerals
        .filter(|shown| shown.user == me && shown.channel == channel.id)
        .map(|shown| {
            json!({
                "ts": shown.ts, "thread_ts": shown.thread_ts, "text": shown.text,
                "blocks": shown.blocks, "user": world.options.bot_user_id, "from_app": true,
                "ephemeral": true,
            })
        })
        .collect();
    json!({
        "id": channel.id, "name": channel.name, "kind": channel.kind,
        "archived": channel.archived, "shared": channel.shared,
        "messages": messages, "ephemerals": ephemerals,
    })
}

fn message_json(world: &World, message: &Message) -> Value {
    let replies = world.replies(&message.channel, &message.ts);
    let (count, latest) = replies.fold((0_u32, None), |(count, _before), reply| {
        (count.saturating_add(1), Some(reply.ts.as_str()))
    });
    json!({
        "ts": message.ts, "thread_ts": message.thread_ts, "text": message.text,
        "blocks": message.blocks, "user": message.user, "from_app": message.from_app,
        "edited": message.edited, "reactions": message.reactions,
        "broadcast": message.broadcast, "replies": count, "latest_reply": latest,
    })
}
