//! A request is taken once, by whichever replica it reaches and however often.

use rollback_core::ports::CommandError;
use tokio::time::{Instant, timeout_at};

use super::{Asks, Shared};
use crate::delivery::{Delivery, REMEMBERED_BY_ALL};

/// When a request was taken first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// Now, and it is ours to do.
    Now,
    /// Before, by another replica or by a process before this one. Nothing is done.
    Before,
    /// That could not be found out in time. Nothing is done, and whoever asked was told: the request
    /// may count as taken, and another click is another request.
    Unknown,
}

impl Shared {
    /// Takes a request, unless it was taken before.
    pub(super) async fn receives(
        &self,
        delivery: &Delivery,
        tell: Option<&Asks>,
        until: Instant,
    ) -> Received {
        let digests = delivery.digests();
        let asked = self.commands.receive(&digests, delivery.at(), REMEMBERED_BY_ALL);
        let error = match timeout_at(until, asked).await {
            Ok(Ok(())) => return Received::Now,
            Ok(Err(CommandError::ReceivedBefore)) => {
                delivery.was_taken_elsewhere();
                tracing::info!("a request that was taken before came again; nothing was done");
                return Received::Before;
            }
            Ok(Err(error)) => error,
            Err(_elapsed) => too_late(),
        };
        match tell {
            Some(asks) => self.tell(asks, &error).await,
            None => {
                tracing::warn!(%error, "a closed modal was not taken; what it was about expires");
            }
        }
        Received::Unknown
    }
}

pub(super) fn too_late() -> CommandError {
    CommandError::NotRecorded("our own store did not answer in time".into())
}

/// Only what an intake has taken is known to be Slack's.
pub(super) fn not_taken_in<T>(not_ours: T) -> T {
    tracing::error!("an interaction came past the intake; nothing was done");
    not_ours
}
