//! The one thread that writes: it takes whatever waits into one transaction, and answers nobody
//! before the transaction is on the disk.

use super::fault::{Failure, uncommitted};
use rollback_core::ports::StoreError;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

/// How many writes may wait; whoever comes later waits for a place. At 15,000 a second this is
/// less than a tenth of a second of work.
pub(super) const QUEUE_MAX: usize = 1_024;

/// Most writes in one transaction, so that the first of them does not wait for all others.
const BATCH_MAX: usize = 256;

/// Something to do on a connection.
pub(super) type Work<T> = Box<dyn FnOnce(&Connection) -> Result<T, StoreError> + Send>;

/// Work whose answer is of a type that the thread need not know.
pub(super) trait Job: Send {
    /// Does it, and keeps the answer. False when it was refused and must leave no trace.
    fn run(&mut self, connection: &Connection) -> bool;
    /// Sends the answer, or what became of the transaction.
    fn answer(self: Box<Self>, failure: Option<&Failure>);
}

#[derive(Debug)]
struct Pending<W, T> {
    work: Option<W>,
    result: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send> Job for Pending<Work<T>, T> {
    fn run(&mut self, connection: &Connection) -> bool {
        let Some(work) = self.work.take() else { return false };
        let result = work(connection);
        let kept = result.is_ok();
        self.result = Some(result);
        kept
    }

    fn answer(self: Box<Self>, failure: Option<&Failure>) {
        let answer = match (self.result, failure) {
            // A refusal stands, whatever became of the others' work.
            (Some(Err(refused)), _) => Err(refused),
            (_, Some(failure)) => Err(failure.error()),
            (Some(Ok(done)), None) => Ok(done),
            (None, None) => Err(stopped()),
        };
        // Nobody listens any more: the caller was dropped, which it may be.
        drop(self.reply.send(answer));
    }
}

/// Packs work into a job, and where its answer will come.
pub(super) fn job<T: Send + 'static>(
    work: Work<T>,
) -> (Box<dyn Job>, oneshot::Receiver<Result<T, StoreError>>) {
    let (reply, answer) = oneshot::channel();
    (Box::new(Pending { work: Some(work), result: None, reply }), answer)
}

/// The thread is gone.
pub(super) fn stopped() -> StoreError {
    StoreError::Unavailable("the store has stopped; restart the service".into())
}

/// Serves jobs until nobody can send any. Before each transaction `still` says whether the file is
/// still the one that was opened; to another one nothing is written.
pub(super) fn serve(
    connection: &Connection,
    mut jobs: mpsc::Receiver<Box<dyn Job>>,
    mut still: impl FnMut() -> Result<(), String>,
) {
    let mut unsettled = false;
    while let Some(first) = jobs.blocking_recv() {
        let mut batch = vec![first];
        let failure = still()
            .map_err(Failure::Undone)
            .and_then(|()| settle(connection, &mut unsettled))
            .and_then(|()| transact(connection, &mut batch, &mut jobs))
            .err();
        let failure = failure.map(|failure| undo(connection, failure, &mut unsettled));
        for job in batch {
            job.answer(failure.as_ref());
        }
    }
}

/// One transaction of everything that waits. Each job is in a savepoint of its own, so that one
/// that is refused takes nothing with it.
fn transact(
    connection: &Connection,
    batch: &mut Vec<Box<dyn Job>>,
    jobs: &mut mpsc::Receiver<Box<dyn Job>>,
) -> Result<(), Failure> {
    let undone = |error: rusqlite::Error| Failure::Undone(error.to_string());
    say(connection, "BEGIN IMMEDIATE").map_err(undone)?;
    let mut next = 0;
    while let Some(job) = batch.get_mut(next) {
        say(connection, "SAVEPOINT step").map_err(undone)?;
        let kept = job.run(connection);
        if connection.is_autocommit() {
            // SQLite gives a whole transaction up when the disk is full or does not answer.
            return Err(Failure::Undone("the disk is full or does not answer".into()));
        }
        if !kept {
            say(connection, "ROLLBACK TO step").map_err(undone)?;
        }
        say(connection, "RELEASE step").map_err(undone)?;
        next = next.saturating_add(1);
        if batch.len() < BATCH_MAX
            && let Ok(job) = jobs.try_recv()
        {
            batch.push(job);
        }
    }
    say(connection, "COMMIT").map_err(|error| uncommitted(&error))
}

/// Takes back what a failed transaction left, and makes sure of it where it is in doubt.
fn undo(connection: &Connection, failure: Failure, unsettled: &mut bool) -> Failure {
    let rolled_back = connection.is_autocommit() || say(connection, "ROLLBACK").is_ok();
    match failure {
        Failure::Undone(why) if rolled_back => Failure::Undone(why),
        Failure::Undone(why) | Failure::InDoubt(why) => {
            *unsettled = true;
            match settle(connection, unsettled) {
                Ok(()) => Failure::Undone(why),
                Err(_still_unsettled) => Failure::InDoubt(why),
            }
        }
    }
}

/// Settles what became of a commit in doubt: a commit that succeeds after it takes its place in
/// the log, so that it cannot come back when the log is read after a crash.
fn settle(connection: &Connection, unsettled: &mut bool) -> Result<(), Failure> {
    if *unsettled {
        if !connection.is_autocommit() {
            say(connection, "ROLLBACK").map_err(|error| uncommitted(&error))?;
        }
        say(connection, "UPDATE counter SET value = value + 1 WHERE name = 'ping'").map_err(
            |error| Failure::Undone(format!("an earlier commit is still in doubt: {error}")),
        )?;
        *unsettled = false;
    }
    Ok(())
}

fn say(connection: &Connection, sql: &str) -> Result<(), rusqlite::Error> {
    connection.prepare_cached(sql)?.execute([]).map(|_rows| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::fault::failed;

    fn connection() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(
                "CREATE TABLE counter (name TEXT, value INTEGER);
                 INSERT INTO counter VALUES ('ping', 0);
                 CREATE TABLE t (x INTEGER UNIQUE)",
            )
            .unwrap();
        connection
    }

    fn insert(x: i64) -> Work<i64> {
        Box::new(move |connection| {
            connection.execute("INSERT INTO t VALUES (?1)", [x]).map_err(|e| failed(&e))?;
            Ok(x)
        })
    }

    fn count(connection: &Connection) -> i64 {
        connection.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_refused_job_takes_nothing_of_its_neighbours_with_it() {
        let (send, jobs) = mpsc::channel(8);
        let (mut answers, mut works) = (Vec::new(), vec![insert(1), insert(1), insert(2)]);
        works.insert(
            2,
            Box::new(|connection| {
                connection.execute("INSERT INTO t VALUES (9)", []).map_err(|e| failed(&e))?;
                Err(stopped())
            }),
        );
        for work in works {
            let (job, answer) = job(work);
            assert!(send.try_send(job).is_ok());
            answers.push(answer);
        }
        drop(send);
        let connection = connection();
        serve(&connection, jobs, || Ok(()));
        let kept: Vec<bool> =
            answers.into_iter().map(|mut answer| answer.try_recv().unwrap().is_ok()).collect();
        assert_eq!(kept, [true, false, false, true]);
        assert_eq!(count(&connection), 2);
    }

    #[test]
    fn a_commit_in_doubt_that_is_settled_is_told_as_undone() {
        let connection = connection();
        let mut unsettled = false;
        say(&connection, "BEGIN IMMEDIATE").unwrap();
        connection.execute("INSERT INTO t VALUES (1)", []).unwrap();
        let failure = undo(&connection, Failure::InDoubt("flush".into()), &mut unsettled);
        assert_eq!(failure, Failure::Undone("flush".into()));
        assert!(!unsettled);
        assert_eq!(count(&connection), 0);
    }

    #[test]
    fn a_commit_in_doubt_stays_so_until_a_later_write_succeeds() {
        let connection = connection();
        let mut unsettled = false;
        connection.execute_batch("PRAGMA query_only = 1").unwrap();
        let failure = undo(&connection, Failure::InDoubt("flush".into()), &mut unsettled);
        assert_eq!(failure, Failure::InDoubt("flush".into()));
        assert!(settle(&connection, &mut unsettled).is_err());
        connection.execute_batch("PRAGMA query_only = 0").unwrap();
        assert!(settle(&connection, &mut unsettled).is_ok());
        assert!(!unsettled);
    }
}
