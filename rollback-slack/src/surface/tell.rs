//! What somebody who clicked is told in private, beside what the engine tells.

use rollback_core::ports::CommandError;

use super::{Asks, Shared};
use crate::client::{CallError, Certainty, Ephemeral, Post, Retry};
use crate::escape;

/// The longest text told in private.
const WHISPER_UNITS_MAX: usize = 1_000;

impl Shared {
    pub(super) async fn tell(&self, asks: &Asks, error: &CommandError) {
        self.whisper(asks, &error.to_string()).await;
    }

    /// Tells somebody in private: where they clicked, or else directly.
    pub(super) async fn whisper(&self, asks: &Asks, text: &str) {
        let user = asks.actor.id.as_str();
        let text = escape::mrkdwn_line(text, WHISPER_UNITS_MAX);
        let told = match &asks.channel {
            Some(channel) => {
                let message = Ephemeral::new(channel.as_str(), user, text.clone());
                match self.api.post_ephemeral(&message).await {
                    // They left, or we are not there ourselves.
                    Err(error) if is_a_clear_no(&error) => self.write_to(user, text).await,
                    told => told,
                }
            }
            None => self.write_to(user, text).await,
        };
        if let Err(error) = told {
            tracing::warn!(%error, "somebody could not be told");
        }
    }

    async fn write_to(&self, user: &str, text: String) -> Result<(), CallError> {
        let channel = self.api.direct_channel(user).await?;
        self.api.post(&Post::new(channel, text)).await.map(|_posted| ())
    }
}

/// Whether Slack itself refused, so that asking in another way makes sense and tells nobody twice.
fn is_a_clear_no(error: &CallError) -> bool {
    error.certainty == Certainty::NothingHappened && error.retry() == Retry::Never
}
