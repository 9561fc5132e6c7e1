//! What other processes have written: this one looks again at what it knows of it.

use crate::engine::Inner;
use rollback_core::RollbackId;
use rollback_core::ports::Hint;
use std::sync::Arc;

/// Follows the store's hints. They only save time: the sweep, and whoever waits, looks without them.
pub(crate) async fn run(inner: Arc<Inner>) {
    let mut hints = inner.store.hints();
    loop {
        let hint = tokio::select! {
            biased;
            () = inner.stopping.cancelled() => return,
            hint = hints.next() => hint,
        };
        tokio::select! {
            biased;
            () = inner.stopping.cancelled() => return,
            () = take(&inner, hint) => {}
        }
    }
}

async fn take(inner: &Inner, hint: Hint) {
    match hint {
        Hint::Step { rollback, entries } => stepped(inner, &rollback, entries).await,
        Hint::Queued => inner.outbox_wake.notify_one(),
        Hint::Missed | _ => {
            for operation in inner.known_operations() {
                operation.catch_up(inner, u64::MAX).await;
            }
            inner.written();
        }
    }
}

/// Somebody stored a step. Of this process's own it knows already.
async fn stepped(inner: &Inner, rollback: &RollbackId, entries: u64) {
    match inner.known_operation(rollback) {
        Some(operation) => operation.catch_up(inner, entries).await,
        None => inner.written(),
    }
}
