//! `users.*` and `usergroups.*`.

use serde_json::{Value, json};

use crate::answer::{Answer, ApiError, object};
use crate::args::Args;
use crate::options::{User, UserGroup, UserKind};
use crate::world::World;

pub(super) fn groups(world: &mut World, args: &Args) -> Answer {
    let with_users = args.flag("include_users");
    let with_disabled = args.flag("include_disabled");
    let groups = world.options.groups.iter();
    let groups: Vec<Value> = groups
        .filter(|group| with_disabled || !group.disabled)
        .map(|group| group_json(world, group, with_users))
        .collect();
    Ok(object(json!({"usergroups": groups})))
}

fn group_json(world: &World, group: &UserGroup, with_users: bool) -> Value {
    let mut shown = json!({
        "id": group.id, "team_id": world.options.team_id, "is_usergroup": true,
        "is_subteam": true, "name": group.handle, "handle": group.handle, "description": "",
        "is_external": false, "date_delete": u32::from(group.disabled),
        "user_count": group.users.len(),
    });
    if with_users && let Some(map) = shown.as_object_mut() {
        map.insert("users".to_owned(), json!(group.users));
    }
    shown
}

pub(super) fn group_users(world: &mut World, args: &Args) -> Answer {
    let id = args.needed("usergroup", "no_such_subteam")?;
    let group = world.options.groups.iter().find(|group| group.id == id);
    let group = group
        .filter(|group| !group.disabled || args.flag("include_disabled"))
        .ok_or_else(|| ApiError::new("no_such_subteam"))?;
    Ok(object(json!({"users": group.users})))
}

pub(super) fn user_info(world: &mut World, args: &Args) -> Answer {
    let id = args.needed("user", "user_not_found")?;
    let user = world.user(id).ok_or_else(|| ApiError::new("user_not_found"))?;
    Ok(object(json!({"user": user_json(world, user)})))
}

pub(super) fn user_by_email(world: &mut World, args: &Args) -> Answer {
    let email = args.needed("email", "users_not_found")?;
    let user = world
        .options
        .users
        .iter()
        .find(|user| user.email.eq_ignore_ascii_case(email) && user.kind != UserKind::Deactivated)
        .ok_or_else(|| ApiError::new("users_not_found"))?;
    Ok(object(json!({"user": user_json(world, user)})))
}

fn user_json(world: &World, user: &User) -> Value {
    let stranger = matches!(user.kind, UserKind::Foreign(_));
    json!({
        "id": user.id, "team_id": team_of(world, user), "name": user.name.to_lowercase(),
        "real_name": user.name, "deleted": user.kind == UserKind::Deactivated,
        "is_bot": user.kind == UserKind::Bot, "is_restricted": user.kind == UserKind::Guest,
        "is_ultra_restricted": false, "is_stranger": stranger, "is_app_user": false,
        "tz": "Etc/UTC", "tz_offset": 0,
        "profile": {
            "real_name": user.name, "display_name": user.name, "title": user.title,
            "email": user.email,
        },
    })
}

/// The workspace that a person belongs to.
pub(crate) fn team_of<'a>(world: &'a World, user: &'a User) -> &'a str {
    match &user.kind {
        UserKind::Foreign(team) => team,
        UserKind::Member | UserKind::Guest | UserKind::Bot | UserKind::Deactivated => {
            &world.options.team_id
        }
    }
}
