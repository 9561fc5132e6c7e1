//! Forgets what nobody asks for any more: of each kind the oldest, by an index, and a step of it.

use super::value::{Answer, all, execute, limit, millis};
use crate::notices::settled;
use crate::rules::{PRUNE_MAX, forgotten_until};
use rollback_core::Timestamp;
use rollback_core::ports::{Pruned, Retention};
use rusqlite::{Connection, params};

/// Digests whose time is over. Each of these is asked with a moment and the number of rows.
pub(super) const DIGESTS: &str = "DELETE FROM seen WHERE digest IN (
    SELECT digest FROM seen WHERE kept_until <= ?1 ORDER BY kept_until LIMIT ?2)";

/// Claims that have expired.
pub(super) const CLAIMS: &str = "DELETE FROM claim WHERE rollback IN (
    SELECT rollback FROM claim WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)";

/// Freezes that ended long ago.
pub(super) const FREEZES: &str = "DELETE FROM freeze WHERE (service, environment, name) IN (
    SELECT service, environment, name FROM freeze WHERE ends_at <= ?1 ORDER BY ends_at LIMIT ?2)";

/// Messages that appear once and are settled, as far as that is not known yet.
pub(super) const SETTLED: &str = concat!(
    "UPDATE outbox SET settled_at = ?1 WHERE number IN (
        SELECT number FROM outbox WHERE settled_at IS NULL AND ",
    settled!(),
    " ORDER BY number LIMIT ?2)"
);

/// Those that were settled long ago, and whether they are a thread's first.
pub(super) const OLD: &str = concat!(
    "SELECT number, EXISTS (SELECT 1 FROM outbox AS line
         WHERE line.notifier = outbox.notifier AND line.thread_key = outbox.key)
     FROM outbox WHERE settled_at <= ?1 AND ",
    settled!(),
    " ORDER BY settled_at, number LIMIT ?2"
);

/// Rollbacks that ended long ago without a confirmation: `rules::ended_unconfirmed`.
pub(super) const UNCONFIRMED: &str = "SELECT number, id FROM rollback
    WHERE ended_at <= ?1 AND is_end = 1 AND holds_service = 0 AND was_ordered = 0 AND put_aside = 0
        AND prominence < 2
    ORDER BY ended_at, number LIMIT ?2";

/// One step.
pub(super) fn step(db: &Connection, now: Timestamp, keep: Retention) -> Answer<Pruned> {
    let mut pruned = Pruned::default();
    let forget = |sql: &str, until: Option<Timestamp>| match until {
        Some(until) => execute(db, sql, params![millis(until), limit(PRUNE_MAX)]).map(count),
        None => Ok(0),
    };
    pruned.digests = forget(DIGESTS, Some(now))?;
    pruned.claims = forget(CLAIMS, Some(now))?;
    pruned.freezes = forget(FREEZES, forgotten_until(now, keep.freezes))?;
    let marked = forget(SETTLED, Some(now))?;
    let (messages, looked_at) = messages(db, now, forgotten_until(now, keep.told))?;
    pruned.messages = messages;
    pruned.unconfirmed = unconfirmed(db, forgotten_until(now, keep.unconfirmed))?;
    let full = count(PRUNE_MAX);
    let filled = pruned.by_kind().into_iter().any(|(_, count)| count >= full);
    pruned.more = filled || marked >= full || looked_at >= full;
    Ok(pruned)
}

/// Forgets old messages, and says how many were looked at. One with lines in its thread stays, and is
/// looked at again as if it had been settled now: the next step must not meet it first.
fn messages(db: &Connection, now: Timestamp, until: Option<Timestamp>) -> Answer<(u64, u64)> {
    let Some(until) = until else { return Ok((0, 0)) };
    let old: Vec<(i64, bool)> = all(db, OLD, params![millis(until), limit(PRUNE_MAX)], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    let mut forgotten = 0_u64;
    for (number, has_lines) in &old {
        if *has_lines {
            let again = "UPDATE outbox SET settled_at = ?2 WHERE number = ?1";
            execute(db, again, params![number, millis(now)])?;
        } else {
            execute(db, "DELETE FROM outbox WHERE number = ?1", [number])?;
            forgotten = forgotten.saturating_add(1);
        }
    }
    Ok((forgotten, count(old.len())))
}

fn unconfirmed(db: &Connection, until: Option<Timestamp>) -> Answer<u64> {
    let Some(until) = until else { return Ok(0) };
    let old: Vec<(i64, String)> =
        all(db, UNCONFIRMED, params![millis(until), limit(PRUNE_MAX)], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    for (number, id) in &old {
        execute(db, "DELETE FROM entry WHERE rollback = ?1", [number])?;
        execute(db, "DELETE FROM opening WHERE rollback = ?1", [number])?;
        execute(db, "DELETE FROM rollback WHERE number = ?1", [number])?;
        execute(db, "DELETE FROM attempt WHERE rollback = ?1", [id])?;
    }
    Ok(count(old.len()))
}

fn count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}
