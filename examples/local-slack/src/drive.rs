//! What people do: click, submit, close, and what comes of it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::deliver::{Ack, Delivery, deliver, send};
use crate::options::{User, UserKind};
use crate::payload::{self, Place};
use crate::submit::{close, submit};
use crate::world::{Message, View, World, find_element};
use crate::{LocalSlack, Shared};

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
        click(self.shared(), user, (channel, ts), action_id, chosen).await
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
        click_in_view(self.shared(), user, view_id, action_id, chosen).await
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

pub(crate) async fn click(
    shared: &Shared,
    user: &str,
    (channel, ts): (&str, &str),
    action_id: &str,
    chosen: Option<&str>,
) -> Result<Outcome, DriveError> {
    let payload = shared.change(|world| {
        let user = actor(world, user, Some(channel))?;
        if let Some(message) = world.message(channel, ts).cloned() {
            return click_payload(world, &user, &message, action_id, chosen);
        }
        ephemeral_payload(world, &user, ts, action_id, chosen)
            .ok_or_else(|| DriveError::NoMessage { channel: channel.to_owned(), ts: ts.to_owned() })
    })?;
    Ok(clicked(deliver(shared, &payload).await))
}

pub(crate) async fn click_in_view(
    shared: &Shared,
    user: &str,
    view_id: &str,
    action_id: &str,
    chosen: Option<&str>,
) -> Result<Outcome, DriveError> {
    let payload = shared.change(|world| {
        let user = actor(world, user, None)?;
        let view = top_view(world, &user.id, view_id)?;
        let (block_id, element) = find_element(view.blocks(), action_id)
            .ok_or_else(|| DriveError::NoAction(action_id.to_owned()))?;
        let action = payload::action(element, block_id, &world.next_ts(), chosen);
        Ok(payload::click(world, &user, &action, Place::View(&view)))
    })?;
    Ok(clicked(deliver(shared, &payload).await))
}

pub(crate) fn actor(world: &World, user: &str, channel: Option<&str>) -> Result<User, DriveError> {
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

pub(crate) fn top_view(world: &World, user: &str, view_id: &str) -> Result<View, DriveError> {
    let top = world.views.get(user).and_then(|stack| stack.last());
    top.filter(|view| view.id == view_id)
        .cloned()
        .ok_or_else(|| DriveError::NoView(view_id.to_owned()))
}
