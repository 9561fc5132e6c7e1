//! `views.*`.

use serde_json::{Map, Value, json};

use crate::answer::{Answer, ApiError, object};
use crate::args::Args;
use crate::blocks;
use crate::world::{View, World};

/// Views on top of each other.
const STACK_MAX: usize = 3;

pub(super) fn open(world: &mut World, args: &Args) -> Answer {
    let view = checked(world, args, None)?;
    let user = world.use_trigger(args.needed("trigger_id", "invalid_arguments")?)?;
    // A person sees one modal: opening another takes the place of the one before.
    world.views.insert(user.clone(), Vec::new());
    push_view(world, &user, view)
}

pub(super) fn push(world: &mut World, args: &Args) -> Answer {
    let view = checked(world, args, None)?;
    let user = world.use_trigger(args.needed("trigger_id", "invalid_arguments")?)?;
    push_view(world, &user, view)
}

pub(super) fn update(world: &mut World, args: &Args) -> Answer {
    let id = match (args.text("view_id"), args.text("external_id")) {
        (Some(id), None) => Some(id.to_owned()),
        (None, Some(external)) => world
            .views
            .values()
            .flatten()
            .find(|view| view.text("external_id") == external)
            .map(|view| view.id.clone()),
        (None, None) | (Some(_), Some(_)) => return Err(ApiError::new("invalid_arguments")),
    };
    let id = id.ok_or_else(|| ApiError::new("not_found"))?;
    let view = checked(world, args, Some(&id))?;
    let known = world.view(&id).ok_or_else(|| ApiError::new("not_found"))?;
    if args.text("hash").is_some_and(|hash| hash != known.hash) {
        return Err(ApiError::new("hash_conflict"));
    }
    replace_view(world, &id, view)
}

/// Puts a view on top of a person's stack.
pub(crate) fn push_view(world: &mut World, user: &str, view: Map<String, Value>) -> Answer {
    let id = world.next_id("V");
    let hash = world.next_hash();
    let stack = world.views.entry(user.to_owned()).or_default();
    if stack.len() >= STACK_MAX {
        return Err(ApiError::new("push_limit_reached"));
    }
    let root_id = stack.first().map_or_else(|| id.clone(), |root| root.id.clone());
    let previous_id = stack.last().map(|view| view.id.clone());
    let view = View { id, hash, user: user.to_owned(), root_id, previous_id, view };
    stack.push(view.clone());
    Ok(object(json!({"view": world.view_json(&view, &json!({}))})))
}

/// Replaces the content of an open view.
pub(crate) fn replace_view(world: &mut World, id: &str, view: Map<String, Value>) -> Answer {
    let hash = world.next_hash();
    let open = world.views.values_mut().flatten().find(|view| view.id == id);
    let open = open.ok_or_else(|| ApiError::new("not_found"))?;
    open.view = view;
    open.hash = hash;
    let open = open.clone();
    Ok(object(json!({"view": world.view_json(&open, &json!({}))})))
}

fn checked(
    world: &mut World,
    args: &Args,
    replacing: Option<&str>,
) -> Result<Map<String, Value>, ApiError> {
    let view = args.structured("view", "invalid_arguments")?;
    let view = view.ok_or_else(|| ApiError::new("invalid_arguments"))?;
    let view = blocks::view(&view, &mut || world.next_id("b"))?;
    let external = view.get("external_id").and_then(Value::as_str).unwrap_or_default();
    let taken = !external.is_empty()
        && world
            .views
            .values()
            .flatten()
            .any(|open| open.text("external_id") == external && replacing != Some(&open.id));
    if taken {
        return Err(ApiError::new("duplicate_external_id"));
    }
    Ok(view)
}
