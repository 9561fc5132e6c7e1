//! Whoever tells people.

use crate::id::ChannelId;
use crate::notice::{Delivered, Delivery, NoticeKind};
use alloc::boxed::Box;
use alloc::string::String;
use async_trait::async_trait;
use core::fmt;
use core::time::Duration;

/// Tells people.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Notifier: fmt::Debug + Send + Sync {
    /// Its name, as the outbox keeps it. Must not change between releases.
    fn name(&self) -> &'static str;

    /// Where it tells a notice of this kind that belongs in `channel`; none where it does not tell such
    /// things. Notices for one place are delivered one after the other, each in its turn, and a place
    /// that refuses holds up no other one. The default tells everything, in that channel.
    fn place(&self, kind: NoticeKind, channel: &ChannelId) -> Option<ChannelId> {
        let _everything = kind;
        Some(channel.clone())
    }

    /// Delivers a notice. With `previous` it brings that message up to date; the same key never
    /// makes a second message.
    ///
    /// # Errors
    ///
    /// [`NotifyError`], with certainty first.
    async fn deliver(&self, delivery: &Delivery) -> Result<Delivered, NotifyError>;

    /// Delivers a line of a thread, and in the same message as many of the lines that follow it as
    /// find room there; says how many those were. Each is found again by its own key. All belong in
    /// one thread, come in their order, and were never tried, or never in vain. The default delivers
    /// the first one alone.
    ///
    /// # Errors
    ///
    /// [`NotifyError`], about every line that was handed over.
    async fn deliver_lines(
        &self,
        first: &Delivery,
        following: &[Delivery],
    ) -> Result<(usize, Delivered), NotifyError> {
        let _wait_for_the_next_message = following;
        Ok((0, self.deliver(first).await?))
    }
}

/// Why a notice was not delivered.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[expect(clippy::exhaustive_enums, reason = "a sixth outcome must be decided by the outbox")]
pub enum NotifyError {
    /// Nothing was posted and nothing is wrong: its turn comes later, and until then it waits where
    /// it is durable and in nobody's way.
    #[error("its turn has not come")]
    NotYet {
        /// When it comes.
        after: Duration,
    },
    /// Nothing was posted; try again, after this long if the service said so.
    #[error("nothing was posted: {why}")]
    Retry {
        /// How long to wait.
        after: Option<Duration>,
        /// What happened.
        why: String,
    },
    /// It may have been posted. The next attempt looks for it first.
    #[error("it is not known whether it was posted: {why}")]
    InDoubt {
        /// What happened.
        why: String,
    },
    /// Nothing was posted, and nothing will be until somebody fixes what is wrong: the token, a
    /// scope, the channel. The notice is kept and tried again until then.
    #[error("it cannot be posted until this is fixed: {why}")]
    Blocked {
        /// What happened, and what to fix.
        why: String,
    },
    /// Nothing was posted, and trying again will not help: the notice itself is not taken.
    #[error("it cannot be posted: {why}")]
    Rejected {
        /// What happened.
        why: String,
    },
}
