//! Signs the end of the audit chain now and then, and has it kept outside the database.
//!
//! Before it signs, it makes sure that the chain goes on from what it signed last: whoever rewrote
//! the database gets no signature on that.

use crate::engine::Inner;
use crate::export::{RETRY, Sink};
use rollback_core::Timestamp;
use rollback_core::audit::{Checkpoint, Head, SignedCheckpoint, Verifier};
use rollback_core::ports::{CheckpointSigner, PortError, Query, StoreError};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How many records are read at a time.
const PAGE: usize = 200;

/// Who signs the end of the audit chain, and how often.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Checkpoints {
    /// Signs.
    pub signer: Arc<dyn CheckpointSigner>,
    /// A checkpoint is made when this many records were written since the last. Default 100.
    pub every_records: u64,
    /// A checkpoint is made when the last is this old, also when nothing was written: whoever has
    /// them can tell silence from checkpoints that were taken away. Default 10 minutes.
    pub heartbeat: Duration,
}

impl Checkpoints {
    /// Signed by this signer, every 100 records, at each end of a rollback, and every 10 minutes.
    #[must_use]
    pub const fn new(signer: Arc<dyn CheckpointSigner>) -> Self {
        Self { signer, every_records: 100, heartbeat: Duration::from_secs(600) }
    }
}

/// What this process knows of the checkpoints.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct CheckpointStanding {
    /// The last one that it signed, or found where checkpoints are kept.
    pub last: Option<SignedCheckpoint>,
    /// Why none is signed; none while all is well.
    pub problem: Option<String>,
}

/// The checkpoints of an engine that makes some.
#[derive(Debug)]
pub(crate) struct Making {
    config: Checkpoints,
    standing: Mutex<CheckpointStanding>,
}

impl Making {
    pub(crate) fn new(config: Checkpoints) -> Self {
        Self { config, standing: Mutex::default() }
    }

    pub(crate) fn standing(&self) -> CheckpointStanding {
        self.locked().clone()
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, CheckpointStanding> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why no checkpoint was signed.
#[derive(Debug, thiserror::Error)]
enum NotMade {
    #[error("the audit log is not the one that was signed: {0}")]
    Tampered(String),
    #[error("the audit log could not be read: {0}")]
    Store(StoreError),
    #[error("{0}")]
    Port(#[from] PortError),
}

impl From<StoreError> for NotMade {
    fn from(error: StoreError) -> Self {
        if let StoreError::Corrupt { what, problem } = &error {
            return Self::Tampered(format!("{what}: {problem}"));
        }
        Self::Store(error)
    }
}

/// The end of the log as it was signed last, as far as a sink keeps that.
pub(crate) async fn kept_by(inner: &Inner, sink: &Sink) -> Option<Head> {
    let making = inner.checkpoints.as_ref()?;
    let note = match sink.last_checkpoint(inner).await {
        Ok(note) => note?,
        Err(error) => {
            tracing::warn!(sink = sink.name(), %error, "its checkpoints were not compared with the store");
            return None;
        }
    };
    // A note that nobody of ours signed is told by whoever would sign the next.
    Some(making.config.signer.open(&note).ok()?.checkpoint.head)
}

pub(crate) async fn run(inner: Arc<Inner>) {
    let Some(making) = &inner.checkpoints else { return };
    let mut maker = Maker {
        making,
        epoch: inner.clock.now(),
        signed: None,
        made_at: None,
        kept: vec![None; inner.sinks.len()],
    };
    loop {
        let woken = inner.export_wake.notified();
        tokio::pin!(woken);
        woken.as_mut().enable();
        let made = tokio::select! {
            biased;
            () = inner.stopping.cancelled() => return,
            made = maker.turn(&inner) => made,
        };
        let next = match made {
            Ok(next) => next,
            Err(error) => {
                tracing::error!(%error, "no checkpoint of the audit log was signed");
                making.locked().problem = Some(error.to_string());
                inner.clock.now().after(RETRY)
            }
        };
        tokio::select! {
            biased;
            () = inner.stopping.cancelled() => return,
            () = woken => {}
            () = inner.clock.sleep_until(next) => {}
        }
    }
}

struct Maker<'a> {
    making: &'a Making,
    epoch: Timestamp,
    /// The end of the chain that was last known to go on from what was signed.
    signed: Option<Head>,
    /// When this process last signed.
    made_at: Option<Timestamp>,
    /// For each sink, when the newest checkpoint that it keeps was made.
    kept: Vec<Option<Timestamp>>,
}

impl Maker<'_> {
    /// Makes a checkpoint if one is due, and hands it to the sinks. Says when to look again.
    async fn turn(&mut self, inner: &Inner) -> Result<Timestamp, NotMade> {
        let signed = match self.signed.clone() {
            Some(signed) => signed,
            None => self.found(inner).await?,
        };
        // Taken before the chain is read: an end that comes in between is the next turn's.
        let has_ended = inner.ended.swap(false, Ordering::AcqRel);
        let made = self.make_if_due(inner, &signed, has_ended).await;
        if made.is_err() {
            inner.ended.fetch_or(has_ended, Ordering::AcqRel);
        }
        made?;
        let is_kept = self.hand_out(inner).await;
        let now = inner.clock.now();
        let beat = self.made_at.unwrap_or(now).after(self.making.config.heartbeat);
        Ok(if is_kept { beat } else { beat.min(now.after(RETRY)) })
    }

    async fn make_if_due(
        &mut self,
        inner: &Inner,
        signed: &Head,
        has_ended: bool,
    ) -> Result<(), NotMade> {
        let (head, now) = (inner.store.head().await?, inner.clock.now());
        if is_due(&self.making.config, self.made_at, signed, &head, has_ended, now) {
            self.make(inner, signed, &head, now).await
        } else {
            self.signed = Some(signed.clone());
            Ok(())
        }
    }

    async fn make(
        &mut self,
        inner: &Inner,
        signed: &Head,
        head: &Head,
        now: Timestamp,
    ) -> Result<(), NotMade> {
        goes_on(inner, signed, head).await?;
        let checkpoint = Checkpoint::new(head.clone(), now, self.epoch);
        let checkpoint = self.making.config.signer.sign(checkpoint)?;
        self.signed = Some(head.clone());
        self.made_at = Some(now);
        *self.making.locked() = CheckpointStanding { last: Some(checkpoint), problem: None };
        Ok(())
    }

    /// What was signed before this process began, as the sinks keep it: the furthest of it.
    async fn found(&self, inner: &Inner) -> Result<Head, NotMade> {
        let mut furthest: Option<SignedCheckpoint> = None;
        for sink in &inner.sinks {
            let Some(note) = sink.last_checkpoint(inner).await? else { continue };
            let found = self.making.config.signer.open(&note)?;
            let further = furthest.as_ref().is_none_or(|known| {
                found.checkpoint.head.sequence > known.checkpoint.head.sequence
            });
            if further {
                furthest = Some(found);
            }
        }
        let head = inner.store.head().await?;
        let Some(found) = furthest else { return Ok(Head::genesis(head.chain)) };
        let signed = found.checkpoint.head.clone();
        self.making.locked().last = Some(found);
        holds(inner, &signed).await?;
        Ok(signed)
    }

    /// Gives each sink the newest checkpoint, unless it has it. Says whether all have it.
    async fn hand_out(&mut self, inner: &Inner) -> bool {
        let standing = self.making.standing();
        let (Some(newest), Some(made_at)) = (standing.last, self.made_at) else { return true };
        let mut all = true;
        for (sink, kept) in inner.sinks.iter().zip(&mut self.kept) {
            if *kept == Some(made_at) {
                continue;
            }
            match sink.checkpoint(inner, &newest).await {
                Ok(()) => *kept = Some(made_at),
                Err(error) => {
                    tracing::warn!(sink = sink.name(), %error, "a checkpoint is not kept yet");
                    all = false;
                }
            }
        }
        all
    }
}

/// Whether a checkpoint is due: the first of a process, after many records, after an end, or when
/// the last one is old.
fn is_due(
    config: &Checkpoints,
    made_at: Option<Timestamp>,
    signed: &Head,
    head: &Head,
    has_ended: bool,
    now: Timestamp,
) -> bool {
    let Some(made_at) = made_at else { return true };
    let new = head.sequence.saturating_sub(signed.sequence);
    // Fewer records than were signed is for `goes_on` to find.
    let is_shorter = head.sequence < signed.sequence;
    is_shorter
        || new >= config.every_records.max(1)
        || (has_ended && new > 0)
        || now.since(made_at) >= config.heartbeat
}

/// Whether the chain still has what was signed.
async fn holds(inner: &Inner, signed: &Head) -> Result<(), NotMade> {
    if signed.sequence == 0 {
        return Ok(());
    }
    let mut query = Query::all(1);
    query.after = signed.sequence.saturating_sub(1);
    let there = inner.store.audit(&query).await?.first().map(Head::after);
    if there.as_ref() == Some(signed) {
        return Ok(());
    }
    Err(NotMade::Tampered(match there {
        Some(there) if there.chain != signed.chain => {
            format!("it is the chain `{}`, and `{}` was signed", there.chain, signed.chain)
        }
        Some(there) if there.sequence == signed.sequence => format!(
            "record {} had the hash {} and has {}; it was rewritten",
            signed.sequence, signed.hash, there.hash
        ),
        Some(_) | None => {
            format!(
                "there was a record {}, and there is none; its end was cut off",
                signed.sequence
            )
        }
    }))
}

/// Whether the chain goes on from what was signed to its end, record by record.
async fn goes_on(inner: &Inner, signed: &Head, end: &Head) -> Result<(), NotMade> {
    holds(inner, signed).await?;
    let mut verifier = Verifier::from_head(signed.clone());
    while verifier.head().sequence < end.sequence {
        let mut query = Query::all(PAGE);
        query.after = verifier.head().sequence;
        let records = inner.store.audit(&query).await?;
        if records.is_empty() {
            let last = verifier.head().sequence;
            let problem = format!("it ends with record {last} and had {}", end.sequence);
            return Err(NotMade::Tampered(problem));
        }
        for record in records.iter().filter(|record| record.sequence <= end.sequence) {
            verifier.check(record).map_err(|error| NotMade::Tampered(error.to_string()))?;
        }
    }
    if verifier.head() == end {
        Ok(())
    } else {
        Err(NotMade::Tampered(format!("record {} is not the last that was written", end.sequence)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollback_core::audit::Hash;

    #[derive(Debug)]
    struct Nobody;

    impl CheckpointSigner for Nobody {
        fn sign(&self, checkpoint: Checkpoint) -> Result<SignedCheckpoint, PortError> {
            Ok(SignedCheckpoint::new(checkpoint, String::new()))
        }
        fn open(&self, _: &str) -> Result<SignedCheckpoint, PortError> {
            Ok(SignedCheckpoint::new(
                Checkpoint::new(head(0), Timestamp::from_millis(0), Timestamp::from_millis(0)),
                String::new(),
            ))
        }
    }

    fn head(sequence: u64) -> Head {
        let mut head = Head::genesis("default");
        head.sequence = sequence;
        head.hash = Hash::of(&sequence.to_be_bytes());
        head
    }

    #[test]
    fn a_checkpoint_is_due_at_the_start_after_100_records_at_an_end_and_every_ten_minutes() {
        let config = Checkpoints::new(Arc::new(Nobody));
        let at = |seconds: u64| Timestamp::from_millis(seconds * 1_000);
        let due = |made: Option<u64>, signed: u64, end: u64, has_ended: bool, now: u64| {
            is_due(&config, made.map(at), &head(signed), &head(end), has_ended, at(now))
        };
        assert!(due(None, 0, 0, false, 0), "the first of a process, also of an empty log");
        assert!(!due(Some(0), 7, 7, false, 599));
        assert!(due(Some(0), 7, 7, false, 600), "silence");
        assert!(!due(Some(0), 7, 106, false, 1));
        assert!(due(Some(0), 7, 107, false, 1), "100 records");
        assert!(due(Some(0), 7, 8, true, 1), "an end");
        assert!(!due(Some(0), 7, 7, true, 1), "an end that is signed already");
        assert!(due(Some(0), 7, 6, false, 1), "a shorter log is looked at");
    }
}
