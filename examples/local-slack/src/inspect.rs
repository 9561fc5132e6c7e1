//! What tests look at, and what they change behind the app's back.

use std::time::Duration;

use crate::options::UserKind;
use crate::world::{Call, Ephemeral, Message, View, World, direct_id};
use crate::{DriveError, LocalSlack};

/// What was waited for did not come.
#[derive(Clone, Debug, thiserror::Error)]
#[error("it did not happen within {waited:?}; this is what people see:\n{seen}")]
#[non_exhaustive]
pub struct TimedOut {
    /// How long was waited.
    pub waited: Duration,
    /// Everything on everybody's screen, a line each.
    pub seen: String,
}

impl LocalSlack {
    /// Returns the messages of a channel, without replies, the oldest first.
    #[must_use]
    pub fn messages(&self, channel: &str) -> Vec<Message> {
        self.shared().look(|world| {
            let messages = world.messages.get(channel).into_iter().flat_map(|all| all.values());
            messages
                .filter(|message| message.thread_ts.is_none() || message.broadcast)
                .cloned()
                .collect()
        })
    }

    /// Returns one message.
    #[must_use]
    pub fn message(&self, channel: &str, ts: &str) -> Option<Message> {
        self.shared().look(|world| world.message(channel, ts).cloned())
    }

    /// Returns the replies to a message, the oldest first.
    #[must_use]
    pub fn thread(&self, channel: &str, ts: &str) -> Vec<Message> {
        self.shared().look(|world| world.replies(channel, ts).cloned().collect())
    }

    /// Returns what only `user` was shown, the oldest first.
    #[must_use]
    pub fn ephemerals(&self, user: &str) -> Vec<Ephemeral> {
        self.shared().look(|world| {
            world.ephemerals.iter().filter(|shown| shown.user == user).cloned().collect()
        })
    }

    /// Returns the direct messages between the app and `user`, the oldest first.
    #[must_use]
    pub fn dms(&self, user: &str) -> Vec<Message> {
        self.messages(&direct_id(user))
    }

    /// Returns the views that `user` has open, the root first.
    #[must_use]
    pub fn views(&self, user: &str) -> Vec<View> {
        self.shared().look(|world| world.views.get(user).cloned().unwrap_or_default())
    }

    /// Returns every call of the Web API, the oldest first.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.shared().look(|world| world.calls.clone())
    }

    /// Returns the calls of one method, the oldest first.
    #[must_use]
    pub fn calls_of(&self, method: &str) -> Vec<Call> {
        self.shared().look(|world| {
            world.calls.iter().filter(|call| call.method == method).cloned().collect()
        })
    }

    /// Waits until `look` finds something; it looks at once, and again after every change.
    ///
    /// Dropping the future stops the waiting and changes nothing.
    ///
    /// # Errors
    ///
    /// [`TimedOut`], with all that people see, when `timeout` has passed.
    pub async fn wait_until<T>(
        &self,
        timeout: Duration,
        mut look: impl FnMut(&Self) -> Option<T>,
    ) -> Result<T, TimedOut> {
        let mut changes = self.shared().watch();
        let found = tokio::time::timeout(timeout, async {
            loop {
                changes.borrow_and_update();
                if let Some(found) = look(self) {
                    return Some(found);
                }
                if changes.changed().await.is_err() {
                    return None;
                }
            }
        });
        match found.await {
            Ok(Some(found)) => Ok(found),
            Ok(None) | Err(_) => {
                Err(TimedOut { waited: timeout, seen: self.shared().look(summary) })
            }
        }
    }

    /// Posts a message as a person.
    ///
    /// # Errors
    ///
    /// [`DriveError`] when there is no such person; nothing was posted.
    pub fn say(&self, user: &str, channel: &str, text: &str) -> Result<String, DriveError> {
        self.shared().change(|world| {
            if world.user(user).is_none() {
                return Err(DriveError::NoUser(user.to_owned()));
            }
            let ts = world.next_ts();
            world.put(Message {
                channel: channel.to_owned(),
                ts: ts.clone(),
                thread_ts: None,
                user: user.to_owned(),
                from_app: false,
                text: text.to_owned(),
                blocks: Vec::new(),
                metadata: None,
                edited: false,
                revision: 0,
                reactions: Vec::new(),
                broadcast: false,
            });
            Ok(ts)
        })
    }

    /// Deletes a message behind the app's back; says whether it was there.
    #[must_use]
    pub fn delete_message(&self, channel: &str, ts: &str) -> bool {
        self.shared().change(|world| {
            world.messages.get_mut(channel).and_then(|all| all.remove(ts)).is_some()
        })
    }

    /// Empties every conversation and closes every modal, as if nothing had been said. People,
    /// channels and the log of calls stay.
    pub fn clear_conversations(&self) {
        self.shared().change(|world| {
            world.messages.clear();
            world.ephemerals.clear();
            world.views.clear();
            world.triggers.clear();
            world.response_urls.clear();
        });
    }

    /// Replaces the members of a user group; says whether it exists.
    #[must_use]
    pub fn set_group_users(&self, group: &str, users: &[&str]) -> bool {
        self.shared().change(|world| set_group_users(world, group, users))
    }

    /// Deactivates a person; says whether they exist.
    #[must_use]
    pub fn deactivate(&self, user: &str) -> bool {
        self.shared().change(|world| deactivate(world, user))
    }
}

pub(crate) fn set_group_users(world: &mut World, group: &str, users: &[&str]) -> bool {
    let known = world.options.groups.iter_mut().find(|known| known.id == group);
    let Some(known) = known else { return false };
    known.users = users.iter().map(|user| (*user).to_owned()).collect();
    true
}

pub(crate) fn deactivate(world: &mut World, user: &str) -> bool {
    let known = world.options.users.iter_mut().find(|known| known.id == user);
    let Some(known) = known else { return false };
    known.kind = UserKind::Deactivated;
    true
}

fn summary(world: &World) -> String {
    let mut lines = Vec::new();
    for message in world.messages.values().flatten().map(|(_ts, message)| message) {
        let place = message.thread_ts.as_deref().unwrap_or("-");
        let text = message.all_text().replace('\n', " | ");
        lines.push(format!("{} thread {place} {}: {text}", message.channel, message.ts));
    }
    for shown in &world.ephemerals {
        let text = shown.all_text().replace('\n', " | ");
        lines.push(format!("{} only for {}: {text}", shown.channel, shown.user));
    }
    for view in world.views.values().flatten() {
        let text = view.all_text().replace('\n', " | ");
        lines.push(format!("view {} of {}: {text}", view.id, view.user));
    }
    for call in world.calls.iter().rev().take(10).rev() {
        lines.push(format!("call {} {:?}: {}", call.method, call.at, call.outcome));
    }
    lines.join("\n")
}
