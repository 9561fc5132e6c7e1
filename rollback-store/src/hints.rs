//! Hints to whoever waits for something to be written.

use async_trait::async_trait;
use rollback_core::ports::{Hint, Hints};
use rollback_core::{Label, RollbackId};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender, channel};

/// How many hints wait for one listener; whoever is slower hears that it missed some, and looks.
const HINTS_MAX: usize = 256;

/// Tells every listener of one store.
#[derive(Clone, Debug)]
pub(crate) struct Herald {
    hints: Sender<Hint>,
}

impl Default for Herald {
    fn default() -> Self {
        Self { hints: channel(HINTS_MAX).0 }
    }
}

impl Herald {
    pub(crate) fn tell(&self, hint: Hint) {
        // An error says that nobody listens.
        drop(self.hints.send(hint));
    }

    /// A step was stored after `before` entries.
    pub(crate) fn stepped(&self, rollback: RollbackId, before: u64, has_entry: bool) {
        let entries = before.saturating_add(u64::from(has_entry));
        self.tell(Hint::Step { rollback, entries });
    }

    pub(crate) fn listen(&self) -> Box<dyn Hints> {
        Box::new(Listener { hints: self.hints.subscribe() })
    }
}

#[derive(Debug)]
struct Listener {
    hints: Receiver<Hint>,
}

#[async_trait]
impl Hints for Listener {
    async fn next(&mut self) -> Hint {
        match self.hints.recv().await {
            Ok(hint) => hint,
            Err(RecvError::Lagged(_)) => Hint::Missed,
            // The store is gone; there will be none.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// The notifier and the channel of a message: what one process has to itself while it delivers.
pub(crate) type Lane<'a> = (&'a Label, &'a rollback_core::ChannelId);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_listens_hears_how_many_entries_a_step_left_and_that_it_missed_some() {
        let herald = Herald::default();
        let rollback: RollbackId = "rb-1".parse().unwrap();
        let mut listener = herald.listen();
        for (has_entry, entries) in [(false, 3), (true, 4)] {
            herald.stepped(rollback.clone(), 3, has_entry);
            let told = Hint::Step { rollback: rollback.clone(), entries };
            assert_eq!(listener.next().await, told);
        }
        for _hint in 0..=HINTS_MAX {
            herald.tell(Hint::Queued);
        }
        assert_eq!(listener.next().await, Hint::Missed);
    }
}
