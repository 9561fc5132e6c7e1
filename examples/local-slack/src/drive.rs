//! What people do: click, submit, close, and what comes of it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::deliver::{Ack, Delivery, deliver, send};
use crate::options::{User, UserKind};
use crate::payload::{self, Place};
use crate::world::{Message, View, World, find_element};
use crate::{LocalSlack, Shared, blocks, methods};

/// What came of a click, a submission or the closing of a modal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome", content = "detail")]
#[non_exhaustive]
pub enum Outcome {
    /// The app acknowledged; nothing else happened on the screen because of it.
    Acknowledged,
    /// The view is gone; the one below it shows, if there is one.
    Closed,
    /// The whole stack of views is gone.
    Cleared,
    /// The app replaced the view.
    Updated,
    /// The app put another view on top.
    Pushed,
    /// The app marked these input blocks; the view stays.
    Errors(BTreeMap<String, String>),
    /// Slack itself marked these input blocks and sent nothing.
    Incomplete(BTreeMap<String, String>),
    /// The acknowledgement was late, absent or wrong: the person sees a warning, and the view
    /// stays. The text says why.
    Trouble(String),
}

/// There was nothing to click, submit or close; nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DriveError {
    /// The workspace does not have this person.
    #[error("there is no person `{0}`; nothing was sent")]
    NoUser(String),
    /// The person is deactivated, a bot, or not in the channel.
    #[error("`{user}` cannot act in `{channel}`; nothing was sent")]
    NotThere {
        /// Who.
        user: String,
        /// Where.
        channel: String,
    },
    /// No such message, or this person cannot see it.
    #[error("there is no message `{ts}` in `{channel}`; nothing was sent")]
    NoMessage {
        /// Where.
        channel: String,
        /// Which.
        ts: String,
    },
    /// Nothing on the message or view has this `action_id`.
    #[error("nothing here has the action id `{0}`; nothing was sent")]
    NoAction(String),
    /// The view is not on top of the person's screen.
    #[error("the view `{0}` is not on top of the screen; nothing was sent")]
    NoView(String),
    /// The view has no submit button.
    #[error("the view `{0}` cannot be submitted; nothing was sent")]
    NoSubmit(String),
    /// The view has no input block of that name, or it does not take this value.
    #[error("the input `{0}` does not exist or does not take this value; nothing was sent")]
    NoInput(String),
}

/// What was typed or chosen in a modal, by `block_id`; several values for checkboxes.
pub(crate) type Values = BTreeMap<String, Vec<String>>;

impl LocalSlack {
    /// Clicks the element `action_id` of a message as it is now; a confirm dialog is confirmed.
    ///
    /// # Errors
    ///
    /// [`DriveError`] when there is nothing to click; nothing was sent.
    pub async fn click(
        &self,
        user: &str,
        channel: &str,
        ts: &str,
        action_id: &str,
    ) -> Result<Outcome, DriveError> {
        self.choose(user, channel, ts, action_id, None).await
    }

    /// Clicks, or chooses the option with the value `chosen` of a menu on a message.
    ///
    /// # Errors
    ///
    /// [`DriveError`] when there is nothing to click; nothing was sent.
    pub async fn choose(
        &self,
        user: &str,
        channel: &str,
        ts: &str,
        action_id: &str,
        chosen: Option<&str>,
    ) -> Result<Outcome, DriveError> {
        let payload = self.shared().change(|world| {
            let user = actor(world, user, Some(channel))?;
            if let Some(message) = world.message(channel, ts).cloned() {
                return click_payload(world, &user, &message, action_id, chosen);
            }
            ephemeral_payload(world, &user, ts, action_id, chosen).ok_or_else(|| {
                DriveError::NoMessage { channel: channel.to_owned(), ts: ts.to_owned() }
            })
        })?;
        Ok(clicked(deliver(self.shared(), &payload).await))
    }

    /// Clicks a message as it was when `seen` was taken: a button that has gone since, on a
    /// screen that is behind.
    ///
    /// # Errors
    ///
    /// [`DriveError`] when there was nothing to click; nothing was sent.
    pub async fn click_seen(
        &self,
        user: &str,
        seen: &Message,
        action_id: &str,
    ) -> Result<Outcome, DriveError> {
        let payload = self.shared().change(|world| {
            let user = actor(world, user, Some(&seen.channel))?;
            click_payload(world, &user, seen, action_id, None)
        })?;
        Ok(clicked(deliver(self.shared(), &payload).await))
    }

    /// Clicks the element `action_id` of an open view.
    ///
    /// # Errors
    ///
    /// [`DriveError`] when there is nothing to click; nothing was sent.
    pub async fn click_in_view(
        &self,
        user: &str,
        view_id: &str,
        action_id: &str,
        chosen: Option<&str>,
    ) -> Result<Outcome, DriveError> {
        let payload = self.shared().change(|world| {
            let user = actor(world, user, None)?;
            let view = top_view(world, &user.id, view_id)?;
            let (block_id, element) = find_element(view.blocks(), action_id)
                .ok_or_else(|| DriveError::NoAction(action_id.to_owned()))?;
            let action = payload::action(element, block_id, &world.next_ts(), chosen);
            Ok(payload::click(world, &user, &action, Place::View(&view)))
        })?;
        Ok(clicked(deliver(self.shared(), &payload).await))
    }

    /// Submits the view on top with `values`: text, or an option's value, by `block_id`.
    ///
    /// # Errors
    ///
    /// [`DriveError`] when there is nothing to submit; nothing was sent.
    pub async fn submit(
        &self,
        user: &str,
        view_id: &str,
        values: &[(&str, &str)],
    ) -> Result<Outcome, DriveError> {
        let mut typed = Values::new();
        for (block_id, value) in values {
            typed.entry((*block_id).to_owned()).or_default().push((*value).to_owned());
        }
        submit(self.shared(), user, view_id, &typed).await
    }

    /// Closes the view on top with its close button.
    ///
    /// # Errors
    ///
    /// [`DriveError`] when it is not open; nothing was sent.
    pub async fn close(&self, user: &str, view_id: &str) -> Result<Outcome, DriveError> {
        close(self.shared(), user, view_id, false).await
    }

    /// Closes the whole stack of views with the cross in the corner.
    ///
    /// # Errors
    ///
    /// [`DriveError`] when `view_id` is not on top; nothing was sent.
    pub async fn close_all(&self, user: &str, view_id: &str) -> Result<Outcome, DriveError> {
        close(self.shared(), user, view_id, true).await
    }

    /// Returns every callback sent so far, the oldest first.
    #[must_use]
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.shared().look(|world| world.deliveries.clone())
    }

    /// Sends the very bytes of `delivery` once more, as a replay would.
    ///
    /// # Errors
    ///
    /// What the person would be told: the app cannot be reached, or was too slow.
    pub async fn resend(&self, delivery: &Delivery) -> Result<Ack, String> {
        send(self.shared(), delivery).await
    }
}

fn actor(world: &World, user: &str, channel: Option<&str>) -> Result<User, DriveError> {
    let known = world.user(user).ok_or_else(|| DriveError::NoUser(user.to_owned()))?;
    let able = !matches!(known.kind, UserKind::Deactivated | UserKind::Bot);
    let Some(channel) = channel else { return Ok(known.clone()) };
    let there = world.channel(channel).is_some_and(|channel| channel.has(user));
    if able && there {
        return Ok(known.clone());
    }
    Err(DriveError::NotThere { user: user.to_owned(), channel: channel.to_owned() })
}

fn click_payload(
    world: &mut World,
    user: &User,
    message: &Message,
    action_id: &str,
    chosen: Option<&str>,
) -> Result<Value, DriveError> {
    let (block_id, element) = find_element(&message.blocks, action_id)
        .ok_or_else(|| DriveError::NoAction(action_id.to_owned()))?;
    let action = payload::action(element, block_id, &world.next_ts(), chosen);
    let shown = world.message_json(message, false);
    let (channel, ts) = (message.channel.as_str(), message.ts.as_str());
    let thread_ts = message.thread_ts.as_deref();
    let place = Place::Message { channel, ts, thread_ts, shown };
    Ok(payload::click(world, user, &action, place))
}

fn ephemeral_payload(
    world: &mut World,
    user: &User,
    ts: &str,
    action_id: &str,
    chosen: Option<&str>,
) -> Option<Value> {
    let seen = world.ephemerals.iter().find(|known| known.ts == ts && known.user == user.id)?;
    let seen = seen.clone();
    let (block_id, element) = find_element(&seen.blocks, action_id)?;
    let action = payload::action(element, block_id, &world.next_ts(), chosen);
    let thread_ts = seen.thread_ts.as_deref();
    let place = Place::Ephemeral { channel: &seen.channel, ts, thread_ts };
    Some(payload::click(world, user, &action, place))
}

/// A click takes any 200; a body, if there is one, is ignored.
fn clicked(acked: Result<Ack, String>) -> Outcome {
    match acked {
        Ok(ack) if ack.status == 200 => Outcome::Acknowledged,
        Ok(ack) => Outcome::Trouble(format!("the app answered {}", ack.status)),
        Err(trouble) => Outcome::Trouble(trouble),
    }
}

fn top_view(world: &World, user: &str, view_id: &str) -> Result<View, DriveError> {
    let top = world.views.get(user).and_then(|stack| stack.last());
    top.filter(|view| view.id == view_id)
        .cloned()
        .ok_or_else(|| DriveError::NoView(view_id.to_owned()))
}

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
