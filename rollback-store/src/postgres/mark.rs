//! How far this process has seen the database come: a database that is not there any more, but was,
//! has gone back in time.

use super::link::{Done, Link};
use crate::rules::lost;
use crate::value::{corrupt, int, uint};
use rollback_core::audit::{Hash, Head, Record};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The highest that was seen, and what is wrong with the database of now.
#[derive(Debug, Default)]
pub(super) struct Watermark {
    seen: Mutex<Seen>,
    above: Mutex<Option<String>>,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    epoch: i64,
    sequence: u64,
    hash: Option<Hash>,
    fence: u64,
    /// The end of a copy of the log that was kept elsewhere.
    kept: Option<Head>,
}

impl Watermark {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn above(&self) -> MutexGuard<'_, Option<String>> {
        self.above.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why nothing may be written, in words.
    pub(super) fn is_above(&self) -> Option<String> {
        self.above().clone()
    }

    /// Records were appended.
    pub(super) fn appended(&self, records: &[Record]) {
        let Some(last) = records.last() else { return };
        let mut seen = self.seen();
        if last.sequence.get() > seen.sequence {
            (seen.sequence, seen.hash) = (last.sequence.get(), Some(last.hash));
        }
    }

    /// A copy of the log ends like this.
    pub(super) fn keep_in_mind(&self, kept: &Head) {
        let mut seen = self.seen();
        if seen.kept.as_ref().is_none_or(|known| known.sequence <= kept.sequence) {
            seen.kept = Some(kept.clone());
        }
    }

    /// A fencing number was given out.
    pub(super) fn fenced(&self, fence: u64) {
        let mut seen = self.seen();
        seen.fence = seen.fence.max(fence);
    }

    /// Compares the database that a connection leads to with what was seen, and remembers how far
    /// it is. A new epoch says that somebody has acknowledged whatever was lost.
    pub(super) async fn compare(&self, link: &mut Link) -> Done<()> {
        let before = self.seen().clone();
        let kept_at = before.kept.as_ref().map_or(0, |kept| kept.sequence);
        let row = link
            .first(
                "SELECT head.epoch, head.sequence, head.hash, counter.value,
                     (SELECT record FROM audit WHERE sequence = $1),
                     (SELECT record FROM audit WHERE sequence = $2)
                 FROM head, counter WHERE counter.name = 'fence'",
                &[&int(before.sequence), &int(kept_at)],
            )
            .await?;
        // A database that is only being made has no head.
        let Some(row) = row else { return Ok(()) };
        let what = || "the end of the audit chain".to_string();
        let hash: String = row.try_get(2)?;
        let now = Seen {
            epoch: row.try_get(0)?,
            sequence: uint(row.try_get(1)?, what)?,
            hash: Some(Hash::parse(&hash).map_err(|error| corrupt(what(), &error))?),
            fence: uint(row.try_get(3)?, || "the fencing counter".into())?,
            kept: None,
        };
        let (there, kept): (Option<String>, Option<String>) = (row.try_get(4)?, row.try_get(5)?);
        let problem = (now.epoch == before.epoch)
            .then(|| {
                before.problem(&now, there.as_deref()).or_else(|| before.lost(kept.as_deref()))
            })
            .flatten();
        if problem.is_none() {
            let mut seen = self.seen();
            if now.epoch != seen.epoch {
                *seen = now;
            } else if now.sequence >= seen.sequence {
                *seen = Seen { kept: seen.kept.take(), ..now };
            }
        }
        *self.above() = problem;
        Ok(())
    }
}

impl Seen {
    /// What is wrong with the record that a copy of the log ends with.
    fn lost(&self, there: Option<&str>) -> Option<String> {
        let kept = self.kept.as_ref()?;
        let there = there.and_then(|line| Record::parse(line, kept.sequence).ok());
        lost(kept, there.as_ref())
    }

    fn problem(&self, now: &Self, there: Option<&str>) -> Option<String> {
        if now.sequence < self.sequence {
            return Some(format!(
                "its audit log has {} records, and this process has seen {} of them",
                now.sequence, self.sequence
            ));
        }
        if now.fence < self.fence {
            return Some(format!(
                "its fencing counter is at {}, and this process has seen it at {}",
                now.fence, self.fence
            ));
        }
        let hash = self.hash.as_ref().filter(|_| self.sequence > 0)?;
        let is_ours = there
            .and_then(|line| Record::parse(line, self.sequence).ok())
            .is_some_and(|record| record.hash == *hash);
        (!is_ours).then(|| {
            format!("audit record {} is not the one that this process has seen", self.sequence)
        })
    }
}
