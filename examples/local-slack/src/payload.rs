//! The payloads of callbacks, with every field that Slack sends.

use serde_json::{Map, Value, json};

use crate::answer::object;
use crate::methods::people::team_of;
use crate::options::{ChannelKind, User};
use crate::world::{ResponseUrl, View, World};

/// What every payload has.
fn common(world: &mut World, kind: &str, user: &User) -> Map<String, Value> {
    let options = &world.options;
    let name = user.name.to_lowercase().replace(' ', ".");
    let team = match &options.enterprise_id {
        // An app that is installed for the organisation is told no workspace.
        Some(_organisation) => Value::Null,
        None => json!({"id": options.team_id, "domain": "local"}),
    };
    let enterprise = options.enterprise_id.as_ref().map(|id| json!({"id": id, "name": "Local"}));
    object(json!({
        "type": kind,
        "user": {"id": user.id, "username": name, "name": name, "team_id": team_of(world, user)},
        "api_app_id": options.app_id, "token": "verification-tokens-are-deprecated",
        "team": team, "enterprise": enterprise,
        "is_enterprise_install": options.enterprise_id.is_some(),
    }))
}

/// Where a click happened.
pub(crate) enum Place<'a> {
    /// On a message, as the person who clicks sees it.
    Message { channel: &'a str, ts: &'a str, thread_ts: Option<&'a str>, shown: Value },
    /// On a message that only this person sees.
    Ephemeral { channel: &'a str, ts: &'a str, thread_ts: Option<&'a str> },
    /// In a modal.
    View(&'a View),
}

/// `block_actions`.
pub(crate) fn click(world: &mut World, user: &User, action: &Value, place: Place<'_>) -> Value {
    let mut payload = common(world, "block_actions", user);
    payload.insert("trigger_id".to_owned(), world.issue_trigger(&user.id).into());
    payload.insert("actions".to_owned(), json!([action]));
    payload.insert("state".to_owned(), json!({"values": {}}));
    match place {
        Place::Message { channel, ts, thread_ts, shown } => {
            payload.insert("message".to_owned(), shown);
            in_channel(world, &mut payload, user, (channel, ts, thread_ts), false);
        }
        Place::Ephemeral { channel, ts, thread_ts } => {
            in_channel(world, &mut payload, user, (channel, ts, thread_ts), true);
        }
        Place::View(view) => {
            let container = json!({"type": "view", "view_id": view.id});
            payload.insert("container".to_owned(), container);
            payload.insert("view".to_owned(), world.view_json(view, &json!({})));
        }
    }
    Value::Object(payload)
}

fn in_channel(
    world: &mut World,
    payload: &mut Map<String, Value>,
    user: &User,
    (channel, ts, thread_ts): (&str, &str, Option<&str>),
    is_ephemeral: bool,
) {
    let mut container = object(json!({
        "type": "message", "message_ts": ts, "channel_id": channel, "is_ephemeral": is_ephemeral,
    }));
    if let Some(thread) = thread_ts {
        container.insert("thread_ts".to_owned(), thread.into());
    }
    payload.insert("container".to_owned(), Value::Object(container));
    let name = world.channel(channel).map_or("", |known| match known.kind {
        ChannelKind::Public => known.name.as_str(),
        ChannelKind::Private => "privategroup",
        ChannelKind::Direct => "directmessage",
    });
    payload.insert("channel".to_owned(), json!({"id": channel, "name": name}));
    let id = world.next_id("R");
    let url = format!("{}response/{id}", world.base_url);
    payload.insert("response_url".to_owned(), url.into());
    let (user, channel, ts) = (user.id.clone(), channel.to_owned(), ts.to_owned());
    world.response_urls.insert(id, ResponseUrl { user, channel, ts, uses: 0 });
}

/// The entry of `actions` for a click on `element`.
pub(crate) fn action(
    element: &Value,
    block_id: &str,
    action_ts: &str,
    chosen: Option<&str>,
) -> Value {
    let mut action = object(json!({"block_id": block_id, "action_ts": action_ts}));
    for name in ["type", "action_id", "text", "value", "style"] {
        if let Some(value) = element.get(name) {
            action.insert(name.to_owned(), value.clone());
        }
    }
    if let Some(chosen) = chosen {
        action.insert("selected_option".to_owned(), option(element, chosen));
    }
    Value::Object(action)
}

/// The option of `element` with this value, as payloads show it; null when there is none.
pub(crate) fn option(element: &Value, value: &str) -> Value {
    let grouped = element
        .get("option_groups")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|group| group.get("options"));
    element
        .get("options")
        .into_iter()
        .chain(grouped)
        .filter_map(Value::as_array)
        .flatten()
        .find(|option| option.get("value").and_then(Value::as_str) == Some(value))
        .cloned()
        .unwrap_or_default()
}

/// `view_submission`.
pub(crate) fn submission(world: &mut World, user: &User, view: &View, values: &Value) -> Value {
    let mut payload = common(world, "view_submission", user);
    payload.insert("trigger_id".to_owned(), world.issue_trigger(&user.id).into());
    payload.insert("view".to_owned(), world.view_json(view, values));
    payload.insert("response_urls".to_owned(), json!([]));
    Value::Object(payload)
}

/// `view_closed`.
pub(crate) fn closed(world: &mut World, user: &User, view: &View, is_cleared: bool) -> Value {
    let mut payload = common(world, "view_closed", user);
    payload.insert("view".to_owned(), world.view_json(view, &json!({})));
    payload.insert("is_cleared".to_owned(), is_cleared.into());
    Value::Object(payload)
}
