//! The outbox: one row a message, of which only the newest content is kept.

use super::link::{Done, Link};
use super::{listen, schema};
use crate::notices::{New, Raw, message_of, taker, waiting};
use crate::value::{int, limit, millis, moment, uint};
use rollback_core::notice::{Attempt, MessageRef};
use rollback_core::ports::{Instance, Queued, Unreadable};
use rollback_core::{Label, Timestamp};
use std::time::Duration;
use tokio_postgres::Row;

/// Queues notices. What appears once and was delivered or given up stays as it is.
pub(super) async fn queue(db: &mut Link, notices: &[New]) -> Done<()> {
    for new in notices {
        db.execute(
            "INSERT INTO outbox (notifier, key, version, once, notice, channel, thread_key)
             VALUES ($1, $2, 1, $3, $4, $5, $6)
             ON CONFLICT (notifier, key) DO UPDATE SET
                 version = outbox.version + 1,
                 once = excluded.once,
                 notice = excluded.notice,
                 channel = excluded.channel,
                 thread_key = excluded.thread_key,
                 attempts = CASE WHEN outbox.version > outbox.delivered
                     AND outbox.abandoned IS NULL THEN outbox.attempts ELSE 0 END,
                 not_before = CASE WHEN outbox.version > outbox.delivered
                     AND outbox.abandoned IS NULL THEN outbox.not_before ELSE 0 END,
                 abandoned = NULL,
                 settled_at = NULL
             WHERE NOT (excluded.once
                 AND (outbox.delivered > 0 OR outbox.abandoned IS NOT NULL))",
            &[
                &new.notifier.as_str(),
                &new.key.as_str(),
                &new.once,
                &new.notice,
                &new.channel,
                &new.thread_key.as_ref().map(Label::as_str),
            ],
        )
        .await?;
    }
    Ok(())
}

/// Says that notices were queued outside a step.
pub(super) async fn tell(db: &mut Link) -> Done<()> {
    db.execute(listen::TELL, &[&listen::QUEUED]).await?;
    Ok(())
}

/// Whether somebody but `$1` has something of a lane, at `$2` or else by the database's clock.
macro_rules! kept {
    ($row:literal) => {
        concat!(
            "EXISTS (
                 SELECT 1 FROM outbox AS kept
                 WHERE kept.notifier = ",
            $row,
            ".notifier AND kept.channel = ",
            $row,
            ".channel AND kept.taken_by IS NOT NULL AND kept.taken_by IS DISTINCT FROM $1
                     AND kept.taken_until
                         > coalesce($2, (extract(epoch FROM clock_timestamp()) * 1000)::bigint))"
        )
    };
}

macro_rules! due {
    ($locking:literal) => {
        waiting!(
            "one.notifier, one.key, one.version, one.notice, one.channel, one.thread_key,
             one.message_channel, one.message_id, parent.message_channel, parent.message_id,
             one.in_doubt OR (one.taken_by IS NOT NULL AND one.message_id IS NULL),
             one.attempts + (one.taken_by IS NOT NULL)::integer",
            concat!("AND (earlier.not_before > $3 OR ", kept!("earlier"), ")"),
            concat!(
                "AND one.not_before <= $3 AND NOT ",
                kept!("one"),
                " ORDER BY one.number LIMIT $4 ",
                $locking
            )
        )
    };
}

fn raw(row: &Row) -> Done<Raw> {
    Ok(Raw {
        notifier: row.try_get(0)?,
        key: row.try_get(1)?,
        version: row.try_get(2)?,
        notice: row.try_get(3)?,
        channel: row.try_get(4)?,
        thread_key: row.try_get(5)?,
        previous: (row.try_get(6)?, row.try_get(7)?),
        thread: (row.try_get(8)?, row.try_get(9)?),
        in_doubt: row.try_get(10)?,
        attempts: row.try_get(11)?,
    })
}

fn read(row: &Row) -> Done<Queued> {
    Ok(raw(row)?.read()?)
}

/// Somebody who asks for notices.
#[derive(Debug)]
pub(super) struct Taker {
    pub(super) owner: Option<Instance>,
    pub(super) now: Timestamp,
    pub(super) hold: Duration,
    pub(super) wanted: usize,
    pub(super) judged_at: Option<i64>,
}

impl Taker {
    fn owner(&self) -> Option<&str> {
        self.owner.as_ref().map(Instance::as_str)
    }

    /// What could be taken.
    pub(super) async fn due(&self, db: &mut Link) -> Done<Vec<Queued>> {
        let rows = db
            .all(
                due!(""),
                &[&self.owner(), &self.judged_at, &millis(self.now), &limit(self.wanted)],
            )
            .await?;
        rows.iter().map(read).collect()
    }

    /// Takes what is due. A row that a step is just writing is waited for, which is short: passed
    /// over, it would be overtaken by those behind it.
    pub(super) async fn take(&self, db: &mut Link) -> Done<Vec<Queued>> {
        schema::lock_lanes(db).await?;
        let rows = db
            .all(
                due!("FOR UPDATE OF one"),
                &[&self.owner(), &self.judged_at, &millis(self.now), &limit(self.wanted)],
            )
            .await?;
        let mut due = rows.iter().map(read).collect::<Done<Vec<Queued>>>()?;
        let hold = i64::try_from(self.hold.as_millis()).unwrap_or(i64::MAX);
        for queued in &mut due {
            db.execute(
                "UPDATE outbox SET taken_by = $3, in_doubt = $4, attempts = $5,
                     taken_until = $7
                         + coalesce($6, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)
                 WHERE notifier = $1 AND key = $2",
                &[
                    &queued.notifier.as_str(),
                    &queued.key.as_str(),
                    &self.owner(),
                    &(queued.attempt == Attempt::InDoubt),
                    &i64::from(queued.attempts),
                    &self.judged_at,
                    &hold,
                ],
            )
            .await?;
            queued.taken_by.clone_from(&self.owner);
        }
        Ok(due)
    }

    /// Puts off what is due and cannot be read, or gives it up.
    pub(super) async fn put_off_unreadable(
        &self,
        db: &mut Link,
        not_before: Timestamp,
        attempts_max: u32,
    ) -> Done<Vec<Unreadable>> {
        schema::lock_lanes(db).await?;
        let rows = db
            .all(
                due!("FOR UPDATE OF one"),
                &[&self.owner(), &self.judged_at, &millis(self.now), &limit(self.wanted)],
            )
            .await?;
        let rows = rows.iter().map(raw).collect::<Done<Vec<Raw>>>()?;
        let mut unread = Vec::new();
        for row in rows.into_iter().filter_map(|row| row.put_off(not_before, attempts_max)) {
            db.execute(
                "UPDATE outbox SET attempts = $4, not_before = $5, abandoned = $6,
                     taken_by = NULL, taken_until = NULL
                 WHERE notifier = $1 AND key = $2 AND version = $3",
                &[
                    &row.unreadable.notifier.as_str(),
                    &row.unreadable.key.as_str(),
                    &row.version,
                    &row.attempts,
                    &millis(not_before),
                    &row.abandoned().as_ref().map(Label::as_str),
                ],
            )
            .await?;
            unread.push(row.unreadable);
        }
        Ok(unread)
    }

    /// When the next one could be taken, by the asker's clock.
    pub(super) async fn next_due(&self, db: &mut Link) -> Done<Option<Timestamp>> {
        let row = db
            .first(
                waiting!(
                    "min(greatest(one.not_before, coalesce((
                         SELECT max(kept.taken_until) FROM outbox AS kept
                         WHERE kept.notifier = one.notifier AND kept.channel = one.channel
                             AND kept.taken_by IS NOT NULL AND kept.taken_by <> $1)
                         - coalesce($2, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)
                         + $3, 0)))",
                    "",
                    ""
                ),
                &[&self.owner(), &self.judged_at, &millis(self.now)],
            )
            .await?;
        let next: Option<i64> = row.map_or(Ok(None), |row| row.try_get(0))?;
        Ok(next.map(|at| moment(at.max(0), || "the time of a notice".into())).transpose()?)
    }
}

/// Gives back what `queued` was taken as, unless somebody else has it.
pub(super) async fn give_back(db: &mut Link, queued: &Queued) -> Done<()> {
    let Some(owner) = &queued.taken_by else { return Ok(()) };
    db.execute(
        "UPDATE outbox SET taken_by = NULL, taken_until = NULL
         WHERE notifier = $1 AND key = $2 AND taken_by = $3",
        &[&queued.notifier.as_str(), &queued.key.as_str(), &owner.as_str()],
    )
    .await?;
    Ok(())
}

/// How many messages wait.
pub(super) async fn pending(db: &mut Link) -> Done<u64> {
    let row = db
        .first("SELECT count(*) FROM outbox WHERE version > delivered AND abandoned IS NULL", &[])
        .await?;
    let count: i64 = row.map_or(Ok(0), |row| row.try_get(0))?;
    Ok(uint(count, || "the number of notices that wait".into())?)
}

/// A version was delivered. What appears once is done with, whatever was queued meanwhile.
pub(super) async fn delivered(
    db: &mut Link,
    queued: &Queued,
    message: Option<&MessageRef>,
) -> Done<()> {
    give_back(db, queued).await?;
    db.execute(
        "UPDATE outbox SET
             delivered = CASE WHEN once THEN version ELSE $3 END,
             message_channel = coalesce($4, message_channel),
             message_id = coalesce($5, message_id),
             in_doubt = false, attempts = 0, not_before = 0, abandoned = NULL
         WHERE notifier = $1 AND key = $2 AND delivered < $3 AND $3 <= version",
        &[
            &queued.notifier.as_str(),
            &queued.key.as_str(),
            &int(queued.version),
            &message.map(|message| message.channel.as_str()),
            &message.map(|message| message.id.as_str()),
        ],
    )
    .await?;
    Ok(())
}

/// An attempt failed; the message waits, with whatever content is newest by then.
pub(super) async fn postpone(
    db: &mut Link,
    queued: &Queued,
    not_before: Timestamp,
    attempt: Attempt,
) -> Done<()> {
    db.execute(
        "UPDATE outbox SET not_before = $4, in_doubt = $5, attempts = attempts + 1
         WHERE notifier = $1 AND key = $2 AND delivered < $3 AND $3 <= version
             AND abandoned IS NULL AND ($6::text IS NULL OR taken_by = $6)",
        &[
            &queued.notifier.as_str(),
            &queued.key.as_str(),
            &int(queued.version),
            &millis(not_before),
            &(attempt == Attempt::InDoubt),
            &taker(queued),
        ],
    )
    .await?;
    give_back(db, queued).await
}

/// A version is given up. A newer one starts afresh.
pub(super) async fn abandon(db: &mut Link, queued: &Queued, why: &Label) -> Done<()> {
    db.execute(
        "UPDATE outbox SET
             abandoned = CASE WHEN version = $3 THEN $4 ELSE NULL END,
             attempts = CASE WHEN version = $3 THEN attempts ELSE 0 END,
             not_before = CASE WHEN version = $3 THEN not_before ELSE 0 END
         WHERE notifier = $1 AND key = $2 AND delivered < $3 AND $3 <= version
             AND abandoned IS NULL AND ($5::text IS NULL OR taken_by = $5)",
        &[
            &queued.notifier.as_str(),
            &queued.key.as_str(),
            &int(queued.version),
            &why.as_str(),
            &taker(queued),
        ],
    )
    .await?;
    give_back(db, queued).await
}

/// The message a key was posted as.
pub(super) async fn message(
    db: &mut Link,
    notifier: &str,
    key: &Label,
) -> Done<Option<MessageRef>> {
    let row = db
        .first(
            "SELECT message_channel, message_id FROM outbox WHERE notifier = $1 AND key = $2",
            &[&notifier, &key.as_str()],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    let columns = (row.try_get(0)?, row.try_get(1)?);
    Ok(message_of(columns, || format!("the message `{key}`"))?)
}
