//! Submitting and closing a modal, and doing what the app answers.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::deliver::{Ack, deliver};
use crate::drive::{DriveError, Outcome, Values, actor, top_view};
use crate::world::{View, World};
use crate::{Shared, blocks, methods, payload};

pub(crate) async fn submit(
    shared: &Shared,
    user: &str,
    view_id: &str,
    values: &Values,
) -> Result<Outcome, DriveError> {
    let (view, payload) = {
        let prepared = shared.change(|world| {
            let user = actor(world, user, None)?;
            let view = top_view(world, &user.id, view_id)?;
            if !view.view.contains_key("submit") {
                return Err(DriveError::NoSubmit(view_id.to_owned()));
            }
            let state = match state_values(&view, values)? {
                Ok(state) => state,
                Err(incomplete) => return Ok(Err(incomplete)),
            };
            let payload = payload::submission(world, &user, &view, &state);
            Ok(Ok((view, payload)))
        })?;
        match prepared {
            Ok(prepared) => prepared,
            Err(incomplete) => return Ok(Outcome::Incomplete(incomplete)),
        }
    };
    Ok(match deliver(shared, &payload).await {
        Ok(ack) => shared
            .change(|world| apply(world, &view, &ack))
            .unwrap_or_else(|trouble| Outcome::Trouble(trouble.to_owned())),
        Err(trouble) => Outcome::Trouble(trouble),
    })
}

type Incomplete = BTreeMap<String, String>;

/// `state.values` of a submission, or what Slack's own screen would refuse to submit.
fn state_values(view: &View, values: &Values) -> Result<Result<Value, Incomplete>, DriveError> {
    let inputs: Vec<&Value> = view.blocks().iter().filter(|block| is_input(block)).collect();
    for block_id in values.keys() {
        if !inputs.iter().any(|input| text(input, "block_id") == block_id) {
            return Err(DriveError::NoInput(block_id.clone()));
        }
    }
    let mut state = Map::new();
    let mut incomplete = Incomplete::new();
    for input in inputs {
        let block_id = text(input, "block_id");
        let element = input.get("element").unwrap_or(&Value::Null);
        let given = values.get(block_id).map(Vec::as_slice);
        let (value, wrong) = element_state(element, given)
            .ok_or_else(|| DriveError::NoInput(block_id.to_owned()))?;
        let optional = input.get("optional") == Some(&Value::Bool(true));
        let empty = is_empty(&value);
        if empty && !optional {
            incomplete.insert(block_id.to_owned(), "Please complete this required field.".into());
        } else if let Some(wrong) = wrong.filter(|_wrong| !empty) {
            incomplete.insert(block_id.to_owned(), wrong);
        }
        state.insert(block_id.to_owned(), json!({text(element, "action_id"): value}));
    }
    Ok(if incomplete.is_empty() { Ok(Value::Object(state)) } else { Err(incomplete) })
}

/// The state of one element, and what is wrong with its length; `None` when it takes no such
/// value.
fn element_state(element: &Value, given: Option<&[String]>) -> Option<(Value, Option<String>)> {
    let kind = text(element, "type");
    let first = given.and_then(|values| values.first()).map(String::as_str);
    let state = match kind {
        "plain_text_input" => {
            let typed = first.unwrap_or_else(|| text(element, "initial_value"));
            let value = if typed.is_empty() { Value::Null } else { typed.into() };
            let length = u64::try_from(typed.chars().count()).unwrap_or(u64::MAX);
            let bound = |name| element.get(name).and_then(Value::as_u64);
            let wrong = match (bound("min_length"), bound("max_length")) {
                (Some(min), _) if length < min => Some(format!("Enter at least {min} characters.")),
                (_, Some(max)) if length > max => Some(format!("Enter at most {max} characters.")),
                (_, _) => None,
            };
            return Some((json!({"type": kind, "value": value}), wrong));
        }
        "checkboxes" => {
            let chosen: Vec<Value> = match given {
                Some(values) => {
                    values.iter().map(|value| payload::option(element, value)).collect()
                }
                None => element.get("initial_options").and_then(Value::as_array)?.clone(),
            };
            json!({"type": kind, "selected_options": chosen})
        }
        "static_select" | "radio_buttons" => {
            let chosen = match first {
                Some("") => Value::Null,
                Some(value) => Some(payload::option(element, value)).filter(Value::is_object)?,
                None => element.get("initial_option").cloned().unwrap_or_default(),
            };
            json!({"type": kind, "selected_option": chosen})
        }
        "users_select" => json!({"type": kind, "selected_user": first}),
        "conversations_select" => json!({"type": kind, "selected_conversation": first}),
        _unknown => return None,
    };
    Some((state, None))
}

/// Nothing was typed or chosen.
fn is_empty(state: &Value) -> bool {
    let Some(map) = state.as_object() else { return true };
    map.iter().filter(|(name, _value)| *name != "type").all(|(_name, value)| match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => false,
    })
}

fn is_input(block: &Value) -> bool {
    text(block, "type") == "input"
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Does what the acknowledgement of a submission says; the error says why it is none.
fn apply(world: &mut World, view: &View, ack: &Ack) -> Result<Outcome, &'static str> {
    if ack.status != 200 {
        return Err("the app did not answer 200");
    }
    let stack = world.views.entry(view.user.clone()).or_default();
    if ack.body.is_empty() {
        stack.retain(|open| open.id != view.id);
        return Ok(Outcome::Closed);
    }
    if !ack.is_json {
        return Err("the app's answer is not declared as application/json");
    }
    let answer: Value =
        serde_json::from_slice(&ack.body).map_err(|_unreadable| "the app's answer is not JSON")?;
    match text(&answer, "response_action") {
        "clear" => {
            stack.clear();
            Ok(Outcome::Cleared)
        }
        "errors" => marked(view, &answer).map(Outcome::Errors),
        "update" => {
            let new = answered_view(world, &answer)?;
            methods::replace_view(world, &view.id, new).map_err(|_gone| "the view is gone")?;
            Ok(Outcome::Updated)
        }
        "push" => {
            let new = answered_view(world, &answer)?;
            methods::push_view(world, &view.user, new).map_err(|_full| "three views are open")?;
            Ok(Outcome::Pushed)
        }
        _unknown => Err("the app's answer names no response_action that exists"),
    }
}

fn answered_view(world: &mut World, answer: &Value) -> Result<Map<String, Value>, &'static str> {
    let view = answer.get("view").ok_or("the app's answer has no view")?;
    blocks::view(view, &mut || world.next_id("b")).map_err(|_invalid| "the app's view is invalid")
}

fn marked(view: &View, answer: &Value) -> Result<Incomplete, &'static str> {
    let errors = answer.get("errors").and_then(Value::as_object);
    let errors = errors.filter(|errors| !errors.is_empty()).ok_or("the app marked no block")?;
    let mut marked = Incomplete::new();
    for (block_id, error) in errors {
        let mut blocks = view.blocks().iter();
        if !blocks.any(|block| is_input(block) && text(block, "block_id") == block_id) {
            return Err("the app marked a block that is not an input of this view");
        }
        let error = error.as_str().ok_or("the app marked a block without a text")?;
        marked.insert(block_id.clone(), error.to_owned());
    }
    Ok(marked)
}

pub(crate) async fn close(
    shared: &Shared,
    user: &str,
    view_id: &str,
    all: bool,
) -> Result<Outcome, DriveError> {
    let payload = shared.change(|world| {
        let user = actor(world, user, None)?;
        let top = top_view(world, &user.id, view_id)?;
        let all = all || top.view.get("clear_on_close") == Some(&Value::Bool(true));
        let stack = world.views.entry(user.id.clone()).or_default();
        // The cross closes the root, and is reported for it; the close button, the view on top.
        let told = if all { stack.first().cloned().unwrap_or(top) } else { top };
        if all {
            stack.clear();
        } else {
            stack.pop();
        }
        let notify = told.view.get("notify_on_close") == Some(&Value::Bool(true));
        Ok(notify.then(|| payload::closed(world, &user, &told, all)))
    })?;
    let Some(payload) = payload else { return Ok(Outcome::Closed) };
    // The view is closed whether or not the app hears of it.
    Ok(match deliver(shared, &payload).await {
        Ok(ack) if ack.status == 200 => Outcome::Closed,
        Ok(ack) => Outcome::Trouble(format!("the app answered {}", ack.status)),
        Err(trouble) => Outcome::Trouble(trouble),
    })
}
