//! Gives every audit sink every record, in order, each until it is acknowledged.

use crate::checkpoint;
use crate::engine::Inner;
use crate::health::{Part, Required};
use rollback_core::audit::{Head, SignedCheckpoint};
use rollback_core::ports::{AuditSink, ErrorKind, Kept, PortError, Query, StoreError};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex;

/// How many records are read at a time.
const BATCH_MAX: usize = 100;

/// How long a sink that did not take a record is left alone.
pub(crate) const RETRY: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Sink {
    sink: Arc<dyn AuditSink>,
    pub(crate) required: bool,
    /// One export at a time, so that records arrive in their order.
    turn: Mutex<()>,
    /// What the last look found wrong. A record that was kept all the same does not clear it.
    looked: std::sync::Mutex<Option<String>>,
}

impl Sink {
    pub(crate) fn new(sink: Arc<dyn AuditSink>, required: bool) -> Self {
        Self { sink, required, turn: Mutex::new(()), looked: std::sync::Mutex::default() }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.sink.name()
    }

    /// Has the sink keep a checkpoint.
    pub(crate) async fn checkpoint(
        &self,
        inner: &Inner,
        checkpoint: &SignedCheckpoint,
    ) -> Result<(), PortError> {
        let _turn = self.turn.lock().await;
        self.within(inner, "keep a checkpoint", self.sink.checkpoint(checkpoint)).await
    }

    /// The newest checkpoint that the sink keeps.
    pub(crate) async fn last_checkpoint(&self, inner: &Inner) -> Result<Option<String>, PortError> {
        self.within(inner, "find its last checkpoint", self.sink.last_checkpoint()).await
    }

    /// What the sink answers, in bounded time.
    async fn within<T>(
        &self,
        inner: &Inner,
        operation: &'static str,
        answer: impl Future<Output = Result<T, PortError>>,
    ) -> Result<T, PortError> {
        let bound = inner.source_timeout;
        let answer = crate::clock::within(inner.clock.as_ref(), bound, answer).await;
        answer.unwrap_or_else(|| {
            let what = crate::facts::silent("the audit sink", bound);
            Err(PortError::new(ErrorKind::Retry(None), "audit", operation, what))
        })
    }

    /// Exports everything that the sink does not have.
    pub(crate) async fn catch_up(&self, inner: &Inner) -> Result<(), PortError> {
        let _turn = self.turn.lock().await;
        let caught_up = match self.kept(inner).await {
            Ok(Kept::ByStore) => self.acknowledged(inner).await,
            Ok(Kept::BySink(end)) => self.copied(inner, end).await,
            Err(error) => Err(error),
        };
        // What our own store did not answer is no fault of the sink.
        match &caught_up {
            Err(error) if error.adapter == "store" => {}
            Err(error) => inner.health.report(self.part(), Err(error.what.clone())),
            Ok(()) => inner.health.report(self.part(), self.found().clone().map_or(Ok(()), Err)),
        }
        caught_up
    }

    /// Looks whether the sink could take a record, between two records, and notes it if it could not.
    pub(crate) async fn look(&self, inner: &Inner) {
        let seen = self.within(inner, "look at it", self.sink.look()).await;
        let seen = seen.err().map(|error| error.what);
        let before = std::mem::replace(&mut *self.found(), seen.clone());
        match (before, seen) {
            (_, Some(why)) => inner.health.report(self.part(), Err(why)),
            // Only what a look had found: what a record failed with is cleared by a record.
            (Some(before), None) if !inner.health.is_news(&self.part(), &before) => {
                inner.health.report(self.part(), Ok(()));
            }
            (Some(_) | None, None) => {}
        }
    }

    fn found(&self) -> MutexGuard<'_, Option<String>> {
        self.looked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn part(&self) -> Part {
        let required = if self.required { Required::Yes } else { Required::No };
        Part::Sink { name: self.name().into(), required }
    }

    async fn kept(&self, inner: &Inner) -> Result<Kept, PortError> {
        self.within(inner, "find its last record", self.sink.kept()).await
    }

    /// Gives the sink what follows the copy of the log that it is, until both end alike.
    async fn copied(&self, inner: &Inner, end: Option<Head>) -> Result<(), PortError> {
        let mut end = end;
        loop {
            let last = end.as_ref().map_or(0, |end| end.sequence);
            // Before the records are read: what is appended meanwhile is for the next look.
            let head = inner.store.head().await;
            let head = head.map_err(|error| store_error("read the audit log", &error))?;
            if last >= head.sequence {
                return agree(end.as_ref(), &head);
            }
            let mut query = Query::all(BATCH_MAX);
            query.after = last;
            let records = inner.store.audit(&query).await;
            let records = records.map_err(|error| store_error("read the audit log", &error))?;
            if records.is_empty() {
                let what = format!("record {} is missing", last.saturating_add(1));
                return Err(misfit(what));
            }
            for record in records {
                self.within(inner, "keep a record", self.sink.record(&record)).await?;
                end = Some(Head::after(&record));
            }
        }
    }

    async fn acknowledged(&self, inner: &Inner) -> Result<(), PortError> {
        loop {
            let records = inner.store.unacknowledged(self.name(), BATCH_MAX).await;
            let records = records.map_err(|error| store_error("read the audit log", &error))?;
            if records.is_empty() {
                return Ok(());
            }
            for record in records {
                self.within(inner, "keep a record", self.sink.record(&record)).await?;
                let acknowledged =
                    inner.store.acknowledge(self.name(), record.sequence.get()).await;
                acknowledged.map_err(|error| store_error("note the acknowledgement", &error))?;
            }
        }
    }
}

/// A copy that ends where the log ends, ends with the same record.
fn agree(copy: Option<&Head>, log: &Head) -> Result<(), PortError> {
    match copy {
        None => Ok(()),
        Some(copy) if copy == log => Ok(()),
        Some(copy) => Err(misfit(format!(
            "the copy of the log ends with record {}, which is not in the store; find out what was \
             lost, and put the copy aside",
            copy.sequence
        ))),
    }
}

fn misfit(what: String) -> PortError {
    PortError::new(ErrorKind::Misconfigured, "audit", "compare the log with its copy", what)
}

/// Compares the store with what is kept of its log elsewhere: in copies, and in what was signed. One
/// that has lost something of it is read from now on, and not written.
///
/// # Errors
///
/// When the store does not answer.
pub(crate) async fn compare(inner: &Inner) -> Result<(), StoreError> {
    for sink in &inner.sinks {
        let copy = match sink.kept(inner).await {
            Ok(Kept::BySink(copy)) => copy,
            Ok(Kept::ByStore) => None,
            Err(error) => {
                tracing::warn!(sink = sink.name(), %error, "what it keeps was not compared with the store");
                None
            }
        };
        let signed = checkpoint::kept_by(inner, sink).await;
        for kept in copy.into_iter().chain(signed) {
            match inner.store.compare(&kept).await {
                Ok(()) => {}
                Err(error @ StoreError::WentBack(_)) => {
                    tracing::error!(sink = sink.name(), %error, "nothing is written until the loss is acknowledged");
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

fn store_error(operation: &'static str, error: &StoreError) -> PortError {
    let what = crate::facts::store_words(error);
    PortError::new(ErrorKind::Retry(None), "store", operation, what)
}

pub(crate) async fn run(inner: Arc<Inner>) {
    loop {
        let woken = inner.export_wake.notified();
        tokio::pin!(woken);
        woken.as_mut().enable();
        let mut behind = false;
        for sink in &inner.sinks {
            let caught_up = tokio::select! {
                biased;
                () = inner.stopping.cancelled() => return,
                caught_up = sink.catch_up(&inner) => caught_up,
            };
            if let Err(error) = caught_up {
                tracing::warn!(sink = sink.name(), %error, "an audit sink is behind");
                behind = true;
            }
        }
        let wait = if behind { RETRY } else { RETRY.saturating_mul(12) };
        tokio::select! {
            biased;
            () = inner.stopping.cancelled() => return,
            () = woken => {}
            () = inner.clock.sleep(wait) => {}
        }
    }
}
