//! Forgets what nobody asks for any more: of each kind the oldest, by an index, and a step of it. Rows
//! that somebody is just writing are left for the next step.

use super::link::{Done, Link};
use crate::notices::settled;
use crate::rules::{PRUNE_MAX, forgotten_until};
use crate::value::{limit, millis};
use rollback_core::Timestamp;
use rollback_core::ports::{Pruned, Retention};

/// Digests whose time is over. Each of these is asked with a moment and the number of rows. What is
/// chosen is an array: only that is looked up by the key, whatever the planner believes of the table.
pub(super) const DIGESTS: &str = "DELETE FROM seen WHERE digest = ANY (ARRAY(
    SELECT digest FROM seen WHERE kept_until <= $1 ORDER BY kept_until LIMIT $2
    FOR UPDATE SKIP LOCKED))";

/// Claims that have expired, at a moment or else by the database's clock. That is read once: the index
/// is of no use for a value that changes from row to row.
pub(super) const CLAIMS: &str = "DELETE FROM claim WHERE rollback = ANY (ARRAY(
    SELECT rollback FROM claim
    WHERE expires_at <= (SELECT coalesce($1, (extract(epoch FROM clock_timestamp()) * 1000)::bigint))
    ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED))";

/// Freezes that ended long ago.
pub(super) const FREEZES: &str = "DELETE FROM frozen WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM frozen WHERE ends_at <= $1 ORDER BY ends_at LIMIT $2 FOR UPDATE SKIP LOCKED))";

/// Messages that appear once and are settled, as far as that is not known yet.
pub(super) const SETTLED: &str = concat!(
    "UPDATE outbox SET settled_at = $1 WHERE number = ANY (ARRAY(
        SELECT number FROM outbox WHERE settled_at IS NULL AND ",
    settled!(),
    " ORDER BY number LIMIT $2 FOR UPDATE SKIP LOCKED))"
);

/// Those that were settled long ago, and whether they are a thread's first.
pub(super) const OLD: &str = concat!(
    "SELECT number, EXISTS (SELECT 1 FROM outbox AS line
         WHERE line.notifier = outbox.notifier AND line.thread_key = outbox.key)
     FROM outbox WHERE settled_at <= $1 AND ",
    settled!(),
    " ORDER BY settled_at LIMIT $2 FOR UPDATE SKIP LOCKED"
);

/// Rollbacks that ended long ago without a confirmation: `rules::ended_unconfirmed`.
pub(super) const UNCONFIRMED: &str = "SELECT number, id FROM rollback
    WHERE ended_at <= $1 AND is_end AND NOT holds_service AND NOT was_ordered AND NOT put_aside
        AND prominence < 2
    ORDER BY ended_at, number LIMIT $2 FOR UPDATE SKIP LOCKED";

/// What is asked of one step.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) now: Timestamp,
    pub(super) keep: Retention,
    /// The time by which claims are judged; none for the database's own.
    pub(super) judged_at: Option<i64>,
}

impl Step {
    pub(super) async fn take(&self, db: &mut Link) -> Done<Pruned> {
        let (now, keep) = (self.now, self.keep);
        let mut pruned = Pruned::default();
        pruned.digests = forget(db, DIGESTS, Some(now)).await?;
        pruned.claims = db.execute(CLAIMS, &[&self.judged_at, &limit(PRUNE_MAX)]).await?;
        pruned.freezes = forget(db, FREEZES, forgotten_until(now, keep.freezes)).await?;
        let marked = forget(db, SETTLED, Some(now)).await?;
        let (messages, looked_at) = messages(db, now, forgotten_until(now, keep.told)).await?;
        pruned.messages = messages;
        pruned.unconfirmed = unconfirmed(db, forgotten_until(now, keep.unconfirmed)).await?;
        let full = count(PRUNE_MAX);
        let filled = pruned.by_kind().into_iter().any(|(_, count)| count >= full);
        pruned.more = filled || marked >= full || looked_at >= full;
        Ok(pruned)
    }
}

async fn forget(db: &mut Link, sql: &'static str, until: Option<Timestamp>) -> Done<u64> {
    match until {
        Some(until) => db.execute(sql, &[&millis(until), &limit(PRUNE_MAX)]).await,
        None => Ok(0),
    }
}

/// Forgets old messages, and says how many were looked at. One with lines in its thread stays, and is
/// looked at again as if it had been settled now: the next step must not meet it first.
async fn messages(db: &mut Link, now: Timestamp, until: Option<Timestamp>) -> Done<(u64, u64)> {
    let Some(until) = until else { return Ok((0, 0)) };
    let rows = db.all(OLD, &[&millis(until), &limit(PRUNE_MAX)]).await?;
    let (mut first, mut over) = (Vec::<i64>::new(), Vec::<i64>::new());
    for row in &rows {
        let has_lines: bool = row.try_get(1)?;
        if has_lines { &mut first } else { &mut over }.push(row.try_get(0)?);
    }
    let again = "UPDATE outbox SET settled_at = $2 WHERE number = ANY ($1)";
    db.execute(again, &[&first, &millis(now)]).await?;
    db.execute("DELETE FROM outbox WHERE number = ANY ($1)", &[&over]).await?;
    Ok((count(over.len()), count(rows.len())))
}

async fn unconfirmed(db: &mut Link, until: Option<Timestamp>) -> Done<u64> {
    let Some(until) = until else { return Ok(0) };
    let rows = db.all(UNCONFIRMED, &[&millis(until), &limit(PRUNE_MAX)]).await?;
    let (mut numbers, mut ids) = (Vec::<i64>::new(), Vec::<String>::new());
    for row in &rows {
        numbers.push(row.try_get(0)?);
        ids.push(row.try_get(1)?);
    }
    db.execute("DELETE FROM entry WHERE rollback = ANY ($1)", &[&numbers]).await?;
    db.execute("DELETE FROM opening WHERE rollback = ANY ($1)", &[&numbers]).await?;
    db.execute("DELETE FROM rollback WHERE number = ANY ($1)", &[&numbers]).await?;
    db.execute("DELETE FROM attempt WHERE rollback = ANY ($1)", &[&ids]).await?;
    Ok(count(rows.len()))
}

fn count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}
