//! What lies between an order and the folder. Nothing can get lost on the way within one process,
//! so the mishaps that every real CD system knows are made here, on demand. There are no bytes here that the
//! testkit's TCP wire could carry.

use rollback_core::Receipt;
use rollback_core::ports::StartError;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// What can happen to an order on its way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Mishap {
    /// It is carried out, and the answer is lost.
    AnswerLost,
    /// It is held up until [`let_held_orders_arrive`](super::Releases::let_held_orders_arrive), and
    /// whoever sent it gives up before.
    HeldUp,
}

#[derive(Debug, Default)]
pub(crate) struct Wire {
    next: Mutex<Option<Mishap>>,
    held: Mutex<Vec<JoinHandle<()>>>,
    gate: Arc<Notify>,
}

impl Wire {
    pub(crate) fn befall_next(&self, mishap: Mishap) {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(mishap);
    }

    pub(crate) async fn carry(
        &self,
        arrive: impl Future<Output = Result<Receipt, StartError>> + Send + 'static,
    ) -> Result<Receipt, StartError> {
        let mishap = self.next.lock().unwrap_or_else(PoisonError::into_inner).take();
        match mishap {
            None => arrive.await,
            Some(Mishap::AnswerLost) => {
                let _lost = arrive.await;
                Err(StartError::InDoubt { why: "the answer was lost".to_owned() })
            }
            Some(Mishap::HeldUp) => {
                let gate = Arc::clone(&self.gate).notified_owned();
                let held = tokio::spawn(async move {
                    gate.await;
                    let _nobody_waits = arrive.await;
                });
                self.held.lock().unwrap_or_else(PoisonError::into_inner).push(held);
                Err(StartError::InDoubt { why: "no answer came in time".to_owned() })
            }
        }
    }

    pub(crate) async fn release(&self) {
        let held = std::mem::take(&mut *self.held.lock().unwrap_or_else(PoisonError::into_inner));
        self.gate.notify_waiters();
        for order in held {
            let _stopped_with_the_process = order.await;
        }
    }
}
