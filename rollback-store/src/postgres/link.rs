//! Connections: a few of them, each of one transaction at a time.

use super::address::Address;
use super::fault::{Fault, in_doubt, unavailable, uncommitted, words};
use super::mark::Watermark;
use crate::value::Answer;
use rollback_core::audit::Head;
use rollback_core::ports::StoreError;
use std::collections::HashMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Connection, NoTls, Row, SimpleQueryMessage, Statement};

/// How often a transaction is tried while others are in its way, or its connection is lost before
/// its end.
const TRIES_MAX: usize = 5;

/// How long a transaction, and then its commit, may take. Less than a click has.
const ANSWER_MAX: Duration = Duration::from_millis(2_500);

/// How long a connection that was idle may take to begin a transaction. One whose network has died
/// says nothing, and the call that finds it should still have the time for a new one.
const WAKE_MAX: Duration = Duration::from_secs(1);

/// What a session is like: the server gives up before we do, and what it answers is on its disk.
const SESSION: &str = "SET statement_timeout = 2000; SET lock_timeout = 2000; \
     SET idle_in_transaction_session_timeout = 5000; \
     SELECT set_config('synchronous_commit', 'on', false) \
     WHERE current_setting('synchronous_commit') = 'off'";

/// What a transaction is for. It decides how the transaction begins, and what refuses it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Purpose {
    /// To read one picture of the database.
    Read,
    /// To write. Rows are locked where it matters.
    Write,
    /// To acknowledge what the database has lost.
    Acknowledge,
}

impl Purpose {
    /// How it begins. What writes reads in the same message which releases may write: no round trip
    /// more, and nobody changes that before the transaction has ended (see `schema`).
    const fn begin(self) -> &'static str {
        match self {
            Self::Read => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            Self::Write | Self::Acknowledge => {
                "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
                 SELECT schema, writers_from FROM rollback_store"
            }
        }
    }

    /// Whether its end changes the database, so that a lost answer leaves a doubt.
    const fn writes(self) -> bool {
        match self {
            Self::Read => false,
            Self::Write | Self::Acknowledge => true,
        }
    }

    /// Whether a database that has lost what was seen of it refuses this. It can still be read, so
    /// that somebody finds out what is missing, and the loss can be acknowledged.
    const fn is_refused_after_a_loss(self) -> bool {
        match self {
            Self::Write => true,
            Self::Read | Self::Acknowledge => false,
        }
    }
}

/// What is done in a transaction, given what it is done with.
pub(super) type Work<I, T> =
    for<'c> fn(&'c mut Link, &'c I) -> Pin<Box<dyn Future<Output = Done<T>> + Send + 'c>>;

/// What came of a statement or of work.
pub(super) type Done<T> = Result<T, Fault>;

/// One connection. Dropped, it is closed at once, and what it had begun is undone.
pub(super) struct Link {
    client: Client,
    statements: HashMap<&'static str, Statement>,
    connection: AbortHandle,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Link")
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Link {
    /// Connects; what the server notifies of goes to `heard`.
    pub(super) async fn open(
        address: &Address,
        heard: Option<mpsc::UnboundedSender<String>>,
    ) -> Result<Self, tokio_postgres::Error> {
        let (client, connection) = match &address.tls {
            Some(tls) => {
                let (client, connection) = address.config.connect(tls.clone()).await?;
                (client, tokio::spawn(drive(connection, heard)).abort_handle())
            }
            None => {
                let (client, connection) = address.config.connect(NoTls).await?;
                (client, tokio::spawn(drive(connection, heard)).abort_handle())
            }
        };
        let link = Self { client, statements: HashMap::new(), connection };
        link.client.batch_execute(SESSION).await?;
        link.client.batch_execute(&super::schema::introduction()).await?;
        Ok(link)
    }

    /// Says something that answers nothing.
    pub(super) async fn say(&self, sql: &str) -> Result<(), tokio_postgres::Error> {
        self.client.batch_execute(sql).await
    }

    /// Asks for what is told in the channel of this schema.
    pub(super) async fn listen(&self) -> Result<(), tokio_postgres::Error> {
        let row = self.client.query_one(super::listen::CHANNEL, &[]).await?;
        let channel: String = row.try_get(0)?;
        self.client.batch_execute(&format!("LISTEN \"{channel}\"")).await
    }

    /// Begins a transaction, or says why this process must not write the database any more.
    async fn begin(&self, purpose: Purpose) -> Done<()> {
        let answer = self.client.simple_query(purpose.begin()).await?;
        if !purpose.writes() {
            return Ok(());
        }
        let row = answer.iter().find_map(|message| {
            if let SimpleQueryMessage::Row(row) = message { Some(row) } else { None }
        });
        let (schema, writers_from) =
            (row.and_then(|row| row.get(0)), row.and_then(|row| row.get(1)));
        super::schema::may_write(schema, writers_from)?;
        Ok(())
    }

    async fn statement(&mut self, sql: &'static str) -> Done<Statement> {
        if let Some(known) = self.statements.get(sql) {
            return Ok(known.clone());
        }
        let statement = self.client.prepare(sql).await?;
        self.statements.insert(sql, statement.clone());
        Ok(statement)
    }

    /// Executes a statement and says how many rows it changed.
    pub(super) async fn execute(
        &mut self,
        sql: &'static str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Done<u64> {
        let statement = self.statement(sql).await?;
        Ok(self.client.execute(&statement, params).await?)
    }

    /// Every row.
    pub(super) async fn all(
        &mut self,
        sql: &'static str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Done<Vec<Row>> {
        let statement = self.statement(sql).await?;
        Ok(self.client.query(&statement, params).await?)
    }

    /// The first row, if there is one.
    pub(super) async fn first(
        &mut self,
        sql: &'static str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Done<Option<Row>> {
        Ok(self.all(sql, params).await?.into_iter().next())
    }
}

/// Drives a connection until its client is gone, or it is.
async fn drive<S, T>(mut connection: Connection<S, T>, heard: Option<mpsc::UnboundedSender<String>>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
        if let (AsyncMessage::Notification(note), Some(heard)) = (message, &heard) {
            // Nobody listens any more: the store is being dropped.
            drop(heard.send(note.payload().to_owned()));
        }
    }
}

/// The connections of a store.
#[derive(Debug)]
pub(super) struct Links {
    pub(super) address: Address,
    idle: Mutex<Vec<Link>>,
    turns: Semaphore,
    pub(super) watermark: Watermark,
}

impl Links {
    pub(super) fn new(address: Address) -> Self {
        let turns = Semaphore::new(address.connections_max);
        Self { address, idle: Mutex::default(), turns, watermark: Watermark::default() }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Link>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_idle(&self) -> Option<Link> {
        let mut idle = self.idle();
        while let Some(link) = idle.pop() {
            if !link.client.is_closed() {
                return Some(link);
            }
        }
        None
    }

    /// A connection is not what it was: the server was restarted, another one took over, or the
    /// network died. None of those that were made before is trusted any more.
    fn distrust_idle(&self) {
        self.idle().clear();
    }

    /// A new connection. Its database may have gone back in time.
    async fn open(&self) -> Answer<Link> {
        let opened = timeout(ANSWER_MAX, Link::open(&self.address, None)).await;
        let mut link = match opened {
            Ok(Ok(link)) => link,
            Ok(Err(error)) => return Err(unavailable(&words(&error))),
            Err(_elapsed) => return Err(unavailable("the database cannot be reached")),
        };
        match timeout(ANSWER_MAX, self.watermark.compare(&mut link)).await {
            Ok(Ok(())) => Ok(link),
            Ok(Err(fault)) => Err(told(fault)),
            Err(_elapsed) => Err(silent()),
        }
    }

    /// One transaction that writes. It is there as a whole when this answers, or not at all; when
    /// that cannot be known, the error says so.
    pub(super) async fn write<I: Sync, T: Send>(&self, input: &I, work: Work<I, T>) -> Answer<T> {
        let _turn = self.turn().await?;
        self.until_done(Purpose::Write, input, work).await
    }

    /// The same, whatever the database has lost.
    pub(super) async fn acknowledge<I: Sync, T: Send>(
        &self,
        input: &I,
        work: Work<I, T>,
    ) -> Answer<T> {
        let _turn = self.turn().await?;
        self.until_done(Purpose::Acknowledge, input, work).await
    }

    /// One picture of the database.
    pub(super) async fn read<I: Sync, T: Send>(&self, input: &I, work: Work<I, T>) -> Answer<T> {
        let _turn = self.turn().await?;
        self.until_done(Purpose::Read, input, work).await
    }

    /// Compares the database with the end of a copy of its log, now and at each new connection.
    pub(super) async fn compare(&self, kept: &Head) -> Answer<()> {
        let _turn = self.turn().await?;
        // A connection first: it says in which epoch the database is.
        let mut link = match self.begun(Purpose::Read).await {
            Ok(link) => link,
            Err(fault) => return Err(told(fault)),
        };
        self.watermark.keep_in_mind(kept);
        match timeout(ANSWER_MAX, self.watermark.compare(&mut link)).await {
            Ok(Ok(())) => self.give_back(link).await,
            Ok(Err(fault)) => return Err(told(fault)),
            Err(_elapsed) => return Err(silent()),
        }
        self.watermark.is_above().map_or(Ok(()), |why| Err(StoreError::WentBack(why)))
    }

    async fn turn(&self) -> Answer<tokio::sync::SemaphorePermit<'_>> {
        match timeout(ANSWER_MAX, self.turns.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_closed)) => Err(unavailable("the store is closed")),
            Err(_elapsed) => Err(unavailable("every connection to the database is in use")),
        }
    }

    async fn until_done<I: Sync, T: Send>(
        &self,
        purpose: Purpose,
        input: &I,
        work: Work<I, T>,
    ) -> Answer<T> {
        let mut why = String::new();
        for _try in 0..TRIES_MAX {
            match self.once(purpose, input, work).await {
                Ok(done) => return Ok(done),
                Err(Fault::Told(error)) => return Err(error),
                Err(Fault::Again(because)) => why = because,
                Err(Fault::Gone(because)) => {
                    self.distrust_idle();
                    why = because;
                }
            }
        }
        Err(unavailable(&why))
    }

    /// A connection in a transaction. One that was idle may have died without a word: then all that
    /// were idle are dropped, and a new one is made. Nothing was asked yet, so nothing is done twice.
    async fn begun(&self, purpose: Purpose) -> Done<Link> {
        if let Some(mut link) = self.next_idle() {
            match timeout(WAKE_MAX, self.begin(&mut link, purpose)).await {
                Ok(Ok(())) => return Ok(link),
                Ok(Err(Fault::Gone(_))) | Err(_) => self.distrust_idle(),
                Ok(Err(fault)) => {
                    self.give_back(link).await;
                    return Err(fault);
                }
            }
        }
        let mut link = self.open().await?;
        match timeout(ANSWER_MAX, self.begin(&mut link, purpose)).await {
            Ok(Ok(())) => Ok(link),
            Ok(Err(fault)) => {
                self.give_back(link).await;
                Err(fault)
            }
            Err(_elapsed) => Err(Fault::Told(silent())),
        }
    }

    async fn begin(&self, link: &mut Link, purpose: Purpose) -> Done<()> {
        if purpose.is_refused_after_a_loss() && self.watermark.is_above().is_some() {
            self.watermark.compare(link).await?;
            if let Some(why) = self.watermark.is_above() {
                return Err(Fault::Told(StoreError::WentBack(why)));
            }
        }
        link.begin(purpose).await
    }

    /// Undoes what a connection has begun, and keeps it for the next one if it is good.
    async fn give_back(&self, link: Link) {
        if let Ok(Ok(())) = timeout(ANSWER_MAX, link.say("ROLLBACK")).await {
            self.idle().push(link);
        }
    }

    async fn once<I: Sync, T: Send>(
        &self,
        purpose: Purpose,
        input: &I,
        work: Work<I, T>,
    ) -> Done<T> {
        let mut link = self.begun(purpose).await?;
        match timeout(ANSWER_MAX, work(&mut link, input)).await {
            Ok(Ok(done)) => self.commit(purpose, link).await.map(|()| done),
            Ok(Err(Fault::Gone(why))) => Err(Fault::Gone(why)),
            Ok(Err(fault)) => {
                self.give_back(link).await;
                Err(fault)
            }
            Err(_elapsed) => {
                // No COMMIT was sent. There is no time left to try again, but the next call has it.
                self.distrust_idle();
                Err(Fault::Told(silent()))
            }
        }
    }

    /// From here on nothing is tried again, unless the server itself has undone it.
    async fn commit(&self, purpose: Purpose, link: Link) -> Done<()> {
        let said = timeout(ANSWER_MAX, link.say("COMMIT")).await;
        if let Ok(Ok(())) = said {
            self.idle().push(link);
            return Ok(());
        }
        self.distrust_idle();
        match said {
            // A picture that was read whole is good whatever becomes of its end.
            _ if !purpose.writes() => Ok(()),
            Ok(Err(error)) => Err(uncommitted(&error)),
            Ok(Ok(())) | Err(_) => Err(Fault::Told(in_doubt("no answer came in time"))),
        }
    }

    /// No transaction begins any more.
    pub(super) fn close(&self) {
        self.turns.close();
        self.idle().clear();
    }
}

fn silent() -> StoreError {
    unavailable("the database did not answer in time")
}

fn told(fault: Fault) -> StoreError {
    match fault {
        Fault::Told(error) => error,
        Fault::Again(why) | Fault::Gone(why) => unavailable(&why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_acknowledges_a_loss_writes_a_database_that_has_lost_something() {
        let purposes = [Purpose::Read, Purpose::Write, Purpose::Acknowledge];
        assert_eq!(purposes.map(Purpose::writes), [false, true, true]);
        assert_eq!(purposes.map(Purpose::is_refused_after_a_loss), [false, true, false]);
        assert_eq!(Purpose::Write.begin(), Purpose::Acknowledge.begin());
        assert!(Purpose::Read.begin().ends_with("READ ONLY"));
    }
}
