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
            self.seen().go_on_from(now);
        }
        *self.above() = problem;
        Ok(())
    }
}

impl Seen {
    /// Takes over what was read of a database that has lost nothing. A new epoch begins anew; within
    /// one, a slower connection may tell less than is known.
    fn go_on_from(&mut self, now: Self) {
        if now.epoch != self.epoch {
            *self = now;
        } else if now.sequence >= self.sequence {
            *self = Self { kept: self.kept.take(), ..now };
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use rollback_testkit::script::{Ending, Script};

    /// The audit records of one rollback, as one chain.
    fn records(rollback: &str) -> Vec<Record> {
        let mut head = Head::genesis("test");
        let drafts = Script::new(rollback).commits(Ending::Succeeded);
        let place = |draft| {
            let record = head.append(draft).unwrap();
            head = Head::after(&record);
            record
        };
        drafts.into_iter().flat_map(|commit| commit.drafts).map(place).collect()
    }

    /// What a process saw of a database with these records.
    fn seen(records: &[Record], fence: u64) -> Seen {
        let last = records.last().map_or_else(|| Head::genesis("test"), Head::after);
        Seen { sequence: last.sequence, hash: Some(last.hash), fence, ..Seen::default() }
    }

    #[test]
    fn a_database_that_has_less_or_other_than_was_seen_has_gone_back() {
        let (ours, others) = (records("rb-1"), records("rb-2"));
        let line = |record: &Record| record.canonical().unwrap();
        let (before, second) = (seen(&ours[..2], 5), line(&ours[1]));
        for (now, there, problem) in [
            (seen(&ours[..2], 5), Some(&second), None),
            (seen(&ours[..3], 6), Some(&second), None),
            (seen(&ours[..1], 5), None, Some("has 1 records, and this process has seen 2 of them")),
            (
                seen(&ours[..2], 4),
                Some(&second),
                Some("is at 4, and this process has seen it at 5"),
            ),
            (seen(&ours[..2], 5), Some(&line(&others[1])), Some("record 2 is not the one")),
            (seen(&ours[..2], 5), None, Some("record 2 is not the one")),
        ] {
            let told = before.problem(&now, there.map(String::as_str));
            assert_eq!(told.is_some(), problem.is_some(), "{told:?}");
            assert!(told.unwrap_or_default().contains(problem.unwrap_or_default()), "{problem:?}");
        }
        assert_eq!(seen(&[], 0).problem(&seen(&ours, 9), None), None, "nothing was seen yet");
    }

    #[test]
    fn a_log_that_has_not_the_end_of_a_copy_of_it_has_lost_it() {
        let (ours, others) = (records("rb-1"), records("rb-2"));
        let line = |record: &Record| record.canonical().unwrap();
        let copied = Seen { kept: Some(Head::after(&ours[1])), ..Seen::default() };
        assert_eq!(copied.lost(Some(&line(&ours[1]))), None);
        assert!(copied.lost(Some(&line(&others[1]))).unwrap().contains("not the one"));
        assert!(copied.lost(None).unwrap().contains("which it has not"));
        assert_eq!(Seen::default().lost(None), None, "there is no copy");
    }

    #[test]
    fn what_was_seen_goes_on_within_an_epoch_and_begins_anew_in_the_next() {
        let ours = records("rb-1");
        let kept = Some(Head::after(&ours[0]));
        let known = Seen { epoch: 1, kept: kept.clone(), ..seen(&ours[..2], 5) };
        for (epoch, records, fence, expected) in [
            (1, &ours[..3], 6, (3, 6, kept.clone())),
            (1, &ours[..2], 6, (2, 6, kept.clone())),
            (1, &ours[..1], 5, (2, 5, kept)),
            (2, &ours[..1], 0, (1, 0, None)),
        ] {
            let mut seen_before = known.clone();
            seen_before.go_on_from(Seen { epoch, ..seen(records, fence) });
            let Seen { sequence, fence, kept, .. } = seen_before;
            assert_eq!((sequence, fence, kept), expected, "epoch {epoch}");
        }
    }

    #[test]
    fn what_was_seen_only_grows() {
        let (ours, others) = (records("rb-1"), records("rb-2"));
        let mark = Watermark::default();
        for (records, sequence, last) in [
            (&ours[..2], 2, &ours[1]),
            (&ours[..1], 2, &ours[1]),
            (&others[..2], 2, &ours[1]),
            (&ours[..0], 2, &ours[1]),
            (&ours[..3], 3, &ours[2]),
        ] {
            mark.appended(records);
            let seen = mark.seen().clone();
            assert_eq!((seen.sequence, seen.hash), (sequence, Some(last.hash)));
        }
        for (fence, highest) in [(5, 5), (3, 5), (6, 6)] {
            mark.fenced(fence);
            assert_eq!(mark.seen().fence, highest);
        }
        for (kept, furthest) in [(&ours[1], 2), (&ours[0], 2), (&ours[2], 3)] {
            mark.keep_in_mind(&Head::after(kept));
            assert_eq!(mark.seen().kept.as_ref().map(|kept| kept.sequence), Some(furthest));
        }
        assert_eq!(mark.is_above(), None);
        *mark.above() = Some("it went back".to_owned());
        assert_eq!(mark.is_above().as_deref(), Some("it went back"));
    }
}
