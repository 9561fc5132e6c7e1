//! The Web API methods, each a function of the world and the arguments.

mod chat;
mod conversations;
pub(crate) mod people;
mod views;

pub(crate) use chat::{channel_reply, ephemeral_reply, replace_original};
pub(crate) use views::{push_view, replace_view};

use serde_json::json;

use crate::answer::{Answer, ApiError, object};
use crate::args::Args;
use crate::world::World;

/// A method of the Web API.
pub(crate) struct Method {
    name: &'static str,
    /// Any of these scopes will do; none means none is needed.
    scopes: &'static [&'static str],
    /// It writes, and therefore takes JSON.
    pub(crate) json: bool,
    /// It takes the app-level token, and not the bot's.
    pub(crate) app_level: bool,
    run: fn(&mut World, &Args) -> Answer,
}

const fn read(
    name: &'static str,
    scopes: &'static [&'static str],
    run: fn(&mut World, &Args) -> Answer,
) -> Method {
    Method { name, scopes, json: false, app_level: false, run }
}

const fn write(
    name: &'static str,
    scopes: &'static [&'static str],
    run: fn(&mut World, &Args) -> Answer,
) -> Method {
    Method { name, scopes, json: true, app_level: false, run }
}

const CHANNELS_READ: &[&str] = &["channels:read", "groups:read"];
const HISTORY: &[&str] = &["channels:history", "groups:history", "im:history"];

const METHODS: [Method; 22] = [
    Method { app_level: true, ..write("apps.connections.open", &[], crate::socket::open) },
    write("auth.test", &[], auth_test),
    write("chat.postMessage", &["chat:write"], chat::post_message),
    write("chat.update", &["chat:write"], chat::update),
    write("chat.delete", &["chat:write"], chat::delete),
    write("chat.postEphemeral", &["chat:write"], chat::post_ephemeral),
    read("chat.getPermalink", &[], chat::permalink),
    write("views.open", &[], views::open),
    write("views.push", &[], views::push),
    write("views.update", &[], views::update),
    read("usergroups.list", &["usergroups:read"], people::groups),
    read("usergroups.users.list", &["usergroups:read"], people::group_users),
    read("users.info", &["users:read"], people::user_info),
    read("users.lookupByEmail", &["users:read.email"], people::user_by_email),
    write("conversations.open", &["im:write"], conversations::open),
    read("conversations.info", CHANNELS_READ, conversations::info),
    read("conversations.members", CHANNELS_READ, conversations::members),
    read("conversations.history", HISTORY, conversations::history),
    read("conversations.replies", HISTORY, conversations::replies),
    write("reactions.add", &["reactions:write"], chat::add_reaction),
    write("reactions.remove", &["reactions:write"], chat::remove_reaction),
    write("api.test", &[], api_test),
];

/// Finds a method by its name.
pub(crate) fn find(name: &str) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.name == name)
}

/// Carries out a call: scope, then rate limit, then the method itself.
pub(crate) fn call(world: &mut World, method: &Method, args: &Args) -> Answer {
    let granted = &world.options.scopes;
    let allowed = method.scopes.is_empty()
        || method.scopes.iter().any(|scope| granted.iter().any(|granted| granted == scope));
    if !allowed {
        let needed = method.scopes.first().copied().unwrap_or_default();
        return Err(ApiError::missing_scope(needed, granted.join(",")));
    }
    let now = std::time::Instant::now();
    world.limits.call(method.name, now).map_err(ApiError::rate_limited)?;
    (method.run)(world, args)
}

fn auth_test(world: &mut World, _args: &Args) -> Answer {
    let options = &world.options;
    Ok(object(json!({
        "url": "https://local.slack.example/", "team": "Local", "user": options.app_name,
        "team_id": options.team_id, "user_id": options.bot_user_id, "bot_id": world.bot_id(),
        "enterprise_id": options.enterprise_id, "is_enterprise_install": options.enterprise_id.is_some(),
    })))
}

fn api_test(_world: &mut World, args: &Args) -> Answer {
    Ok(object(json!({"args": args.to_value()})))
}
