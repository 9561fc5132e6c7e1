//! Whether a message is the one that a button was posted in.

use crate::engine::{Inner, not_recorded};
use rollback_core::Label;
use rollback_core::notice::MessageRef;
use rollback_core::ports::CommandError;
use std::time::Duration;

/// How long a post may take to be recorded after people see it: they may press its button before
/// the chat has answered us. Less than a surface has, since Slack's trigger lives three seconds.
const RECORDED_WITHIN: Duration = Duration::from_secs(1);

/// How often the store is asked meanwhile. Another process may be the one that posts.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Passes when `message` is what the notifier posted under one of the keys.
pub(crate) async fn is(
    inner: &Inner,
    notifier: &str,
    keys: &[Label],
    message: &MessageRef,
) -> Result<(), CommandError> {
    let until = inner.clock.now().after(RECORDED_WITHIN);
    loop {
        let mut known = None;
        for key in keys {
            let posted = inner.store.message(notifier, key).await;
            let posted = posted.map_err(|error| not_recorded(&error))?;
            if posted.as_ref() == Some(message) {
                return Ok(());
            }
            known = known.or(posted);
        }
        if keys.is_empty() || inner.clock.now() >= until {
            tracing::warn!(?keys, ?known, pressed_in = ?message, "a button was pressed in a message that is not known as its own; nothing was done");
            return Err(match known {
                Some(_another) => CommandError::Elsewhere,
                None if keys.is_empty() => CommandError::Elsewhere,
                None => CommandError::NotPostedYet,
            });
        }
        inner.clock.sleep(LOOK_EVERY).await;
    }
}
