//! The outbox: one row a message, of which only the newest content is kept.

use super::value::{Answer, all, execute, first, int, limit, millis, moment, uint};
use crate::notices::{New, PutOff, Raw, message_of, taker, waiting};
use rollback_core::notice::{Attempt, MessageRef};
use rollback_core::ports::{Instance, Queued, Unreadable};
use rollback_core::{Label, Timestamp};
use rusqlite::{Connection, Row, params};
use std::time::Duration;

/// Queues notices. What appears once and was delivered or given up stays as it is.
pub(super) fn queue(db: &Connection, notices: &[New]) -> Answer<()> {
    for new in notices {
        execute(
            db,
            "INSERT INTO outbox (notifier, key, version, once, notice, channel, thread_key)
             VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6)
             ON CONFLICT (notifier, key) DO UPDATE SET
                 version = version + 1,
                 once = excluded.once,
                 notice = excluded.notice,
                 channel = excluded.channel,
                 thread_key = excluded.thread_key,
                 attempts = iif(version > delivered AND abandoned IS NULL, attempts, 0),
                 not_before = iif(version > delivered AND abandoned IS NULL, not_before, 0),
                 abandoned = NULL,
                 settled_at = NULL
             WHERE NOT (excluded.once AND (delivered > 0 OR abandoned IS NOT NULL))",
            params![
                new.notifier.as_str(),
                new.key.as_str(),
                new.once,
                new.notice,
                new.channel,
                new.thread_key.as_ref().map(Label::as_str),
            ],
        )?;
    }
    Ok(())
}

/// Whether somebody but `?1` has something of a lane at `?2`.
macro_rules! kept {
    ($row:literal) => {
        concat!(
            "EXISTS (
                 SELECT 1 FROM outbox AS kept
                 WHERE kept.notifier = ",
            $row,
            ".notifier AND kept.channel = ",
            $row,
            ".channel AND kept.taken_by IS NOT NULL AND kept.taken_by IS NOT ?1
                     AND kept.taken_until > ?2)"
        )
    };
}

fn columns(row: &Row<'_>) -> rusqlite::Result<Raw> {
    Ok(Raw {
        notifier: row.get(0)?,
        key: row.get(1)?,
        version: row.get(2)?,
        notice: row.get(3)?,
        channel: row.get(4)?,
        thread_key: row.get(5)?,
        previous: (row.get(6)?, row.get(7)?),
        thread: (row.get(8)?, row.get(9)?),
        in_doubt: row.get(10)?,
        attempts: row.get(11)?,
    })
}

/// The notices that `owner` could take. Whoever took one and did not settle it may have delivered
/// it.
pub(super) fn due(
    db: &Connection,
    owner: Option<&Instance>,
    now: Timestamp,
    wanted: usize,
) -> Answer<Vec<Queued>> {
    due_rows(db, owner, now, wanted)?.into_iter().map(Raw::read).collect()
}

fn due_rows(
    db: &Connection,
    owner: Option<&Instance>,
    now: Timestamp,
    wanted: usize,
) -> Answer<Vec<Raw>> {
    all(
        db,
        waiting!(
            "one.notifier, one.key, one.version, one.notice, one.channel, one.thread_key,
             one.message_channel, one.message_id, parent.message_channel, parent.message_id,
             one.in_doubt OR (one.taken_by IS NOT NULL AND one.message_id IS NULL),
             one.attempts + (one.taken_by IS NOT NULL)",
            concat!("AND (earlier.not_before > ?2 OR ", kept!("earlier"), ")"),
            concat!(
                "AND one.not_before <= ?2 AND NOT ",
                kept!("one"),
                " ORDER BY one.number LIMIT ?3"
            )
        ),
        params![owner.map(Instance::as_str), millis(now), limit(wanted)],
        columns,
    )
}

/// Puts off what is due and cannot be read, or gives it up.
pub(super) fn put_off_unreadable(
    db: &Connection,
    owner: &Instance,
    (now, not_before): (Timestamp, Timestamp),
    attempts_max: u32,
    wanted: usize,
) -> Answer<Vec<Unreadable>> {
    let rows = due_rows(db, Some(owner), now, wanted)?;
    let unread = rows.into_iter().filter_map(|row| row.put_off(not_before, attempts_max));
    let unread: Vec<PutOff> = unread.collect();
    for row in &unread {
        execute(
            db,
            "UPDATE outbox SET attempts = ?4, not_before = ?5, abandoned = ?6,
                 taken_by = NULL, taken_until = NULL
             WHERE notifier = ?1 AND key = ?2 AND version = ?3",
            params![
                row.unreadable.notifier.as_str(),
                row.unreadable.key.as_str(),
                row.version,
                row.attempts,
                millis(not_before),
                row.abandoned().as_ref().map(Label::as_str),
            ],
        )?;
    }
    Ok(unread.into_iter().map(|row| row.unreadable).collect())
}

/// Takes what is due.
pub(super) fn take(
    db: &Connection,
    owner: &Instance,
    now: Timestamp,
    hold: Duration,
    wanted: usize,
) -> Answer<Vec<Queued>> {
    let mut due = due(db, Some(owner), now, wanted)?;
    for queued in &mut due {
        execute(
            db,
            "UPDATE outbox SET taken_by = ?3, taken_until = ?4, in_doubt = ?5, attempts = ?6
             WHERE notifier = ?1 AND key = ?2",
            params![
                queued.notifier.as_str(),
                queued.key.as_str(),
                owner.as_str(),
                millis(now.after(hold)),
                queued.attempt == Attempt::InDoubt,
                queued.attempts,
            ],
        )?;
        queued.taken_by = Some(owner.clone());
    }
    Ok(due)
}

/// Gives back what `queued` was taken as, unless somebody else has it.
pub(super) fn give_back(db: &Connection, queued: &Queued) -> Answer<()> {
    let Some(owner) = &queued.taken_by else { return Ok(()) };
    execute(
        db,
        "UPDATE outbox SET taken_by = NULL, taken_until = NULL
         WHERE notifier = ?1 AND key = ?2 AND taken_by = ?3",
        [queued.notifier.as_str(), queued.key.as_str(), owner.as_str()],
    )?;
    Ok(())
}

/// When `owner` could take the next one.
pub(super) fn next_due(db: &Connection, owner: &Instance) -> Answer<Option<Timestamp>> {
    let next: Option<Option<i64>> = first(
        db,
        waiting!(
            "min(max(one.not_before, coalesce((
                 SELECT max(kept.taken_until) FROM outbox AS kept
                 WHERE kept.notifier = one.notifier AND kept.channel = one.channel
                     AND kept.taken_by IS NOT NULL AND kept.taken_by <> ?1), 0)))",
            "",
            ""
        ),
        [owner.as_str()],
        |row| row.get(0),
    )?;
    next.flatten().map(|at| moment(at, || "the time of a notice".into())).transpose()
}

/// How many messages wait.
pub(super) fn pending(db: &Connection) -> Answer<u64> {
    let count: Option<i64> = first(
        db,
        "SELECT count(*) FROM outbox WHERE version > delivered AND abandoned IS NULL",
        [],
        |row| row.get(0),
    )?;
    uint(count.unwrap_or(0), || "the number of notices that wait".into())
}

/// A version was delivered. What appears once is done with, whatever was queued meanwhile.
pub(super) fn delivered(
    db: &Connection,
    queued: &Queued,
    message: Option<&MessageRef>,
) -> Answer<()> {
    give_back(db, queued)?;
    execute(
        db,
        "UPDATE outbox SET
             delivered = iif(once, version, ?3),
             message_channel = coalesce(?4, message_channel),
             message_id = coalesce(?5, message_id),
             in_doubt = 0, attempts = 0, not_before = 0, abandoned = NULL
         WHERE notifier = ?1 AND key = ?2 AND delivered < ?3 AND ?3 <= version",
        params![
            queued.notifier.as_str(),
            queued.key.as_str(),
            int(queued.version),
            message.map(|message| message.channel.as_str()),
            message.map(|message| message.id.as_str()),
        ],
    )?;
    Ok(())
}

/// An attempt failed; the message waits, with whatever content is newest by then.
pub(super) fn postpone(
    db: &Connection,
    queued: &Queued,
    not_before: Timestamp,
    attempt: Attempt,
) -> Answer<()> {
    execute(
        db,
        "UPDATE outbox SET not_before = ?4, in_doubt = ?5, attempts = attempts + 1
         WHERE notifier = ?1 AND key = ?2 AND delivered < ?3 AND ?3 <= version
             AND abandoned IS NULL AND (?6 IS NULL OR taken_by = ?6)",
        params![
            queued.notifier.as_str(),
            queued.key.as_str(),
            int(queued.version),
            millis(not_before),
            attempt == Attempt::InDoubt,
            taker(queued),
        ],
    )?;
    give_back(db, queued)
}

/// A version is given up. A newer one starts afresh.
pub(super) fn abandon(db: &Connection, queued: &Queued, why: &Label) -> Answer<()> {
    execute(
        db,
        "UPDATE outbox SET
             abandoned = iif(version = ?3, ?4, NULL),
             attempts = iif(version = ?3, attempts, 0),
             not_before = iif(version = ?3, not_before, 0)
         WHERE notifier = ?1 AND key = ?2 AND delivered < ?3 AND ?3 <= version
             AND abandoned IS NULL AND (?5 IS NULL OR taken_by = ?5)",
        params![
            queued.notifier.as_str(),
            queued.key.as_str(),
            int(queued.version),
            why.as_str(),
            taker(queued),
        ],
    )?;
    give_back(db, queued)
}

/// The message a key was posted as.
pub(super) fn message(db: &Connection, notifier: &str, key: &Label) -> Answer<Option<MessageRef>> {
    let row = first(
        db,
        "SELECT message_channel, message_id FROM outbox WHERE notifier = ?1 AND key = ?2",
        [notifier, key.as_str()],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    row.map_or(Ok(None), |columns| message_of(columns, || format!("the message `{key}`")))
}
