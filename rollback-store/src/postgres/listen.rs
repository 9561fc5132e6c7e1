//! Hears what other processes have written.

use super::address::Address;
use super::link::Link;
use crate::hints::Herald;
use rollback_core::RollbackId;
use rollback_core::ports::Hint;
use std::time::Duration;
use tokio::sync::mpsc;

/// The pause before a lost connection is made again. Whoever waits looks without hints, too.
const RETRY: Duration = Duration::from_secs(1);

/// What a step is told as; see [`hint`].
pub(super) fn step(rollback: &RollbackId, entries: u64) -> String {
    format!("step {entries} {rollback}")
}

/// What notices outside a step are told as.
pub(super) const QUEUED: &str = "queued";

/// The channel of this schema: channels are the database's, and another store in it has another one.
macro_rules! channel {
    () => {
        "'rollback_' || (SELECT oid FROM pg_namespace WHERE nspname = current_schema())"
    };
}

/// Asks for the name of the channel.
pub(super) const CHANNEL: &str = concat!("SELECT ", channel!());

/// Tells whoever listens.
pub(super) const TELL: &str = concat!("SELECT pg_notify(", channel!(), ", $1)");

/// Asks for notifications; they go to the other end of what is answered.
pub(super) async fn begin(
    address: &Address,
) -> Result<(Link, mpsc::UnboundedReceiver<String>), tokio_postgres::Error> {
    let (heard, words) = mpsc::unbounded_channel();
    let link = Link::open(address, Some(heard)).await?;
    link.listen().await?;
    Ok((link, words))
}

/// Tells hints for as long as the store lives.
pub(super) async fn run(
    address: Address,
    herald: Herald,
    mut open: Option<(Link, mpsc::UnboundedReceiver<String>)>,
) {
    loop {
        if let Some((_link, mut words)) = open.take() {
            while let Some(word) = words.recv().await {
                herald.tell(hint(&word));
            }
        }
        tokio::time::sleep(RETRY).await;
        open = begin(&address).await.ok();
        if open.is_some() {
            herald.tell(Hint::Missed);
        }
    }
}

/// A word that is not understood, of a newer release perhaps, says that something was written.
fn hint(word: &str) -> Hint {
    if word == QUEUED {
        return Hint::Queued;
    }
    let mut parts = word.splitn(3, ' ');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("step"), Some(entries), Some(rollback)) => {
            match (entries.parse(), RollbackId::parse(rollback)) {
                (Ok(entries), Ok(rollback)) => Hint::Step { rollback, entries },
                (_, _) => Hint::Missed,
            }
        }
        (_, _, _) => Hint::Missed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollback_testkit::fixtures::parsed;

    #[test]
    fn what_is_told_is_what_is_heard() {
        let rollback: RollbackId = parsed("rb-1");
        let heard = hint(&step(&rollback, 7));
        assert_eq!(heard, Hint::Step { rollback, entries: 7 });
        assert_eq!(hint(QUEUED), Hint::Queued);
        for strange in ["", "step", "step x rb-1", "step 1", "a newer release's word"] {
            assert_eq!(hint(strange), Hint::Missed, "{strange}");
        }
    }
}
