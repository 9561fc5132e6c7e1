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
use tokio_postgres::{AsyncMessage, Client, Connection, NoTls, Row, Statement};

/// How many connections a process has at most, and one besides to listen with.
const LINKS_MAX: usize = 8;

/// How often a transaction is tried while others are in its way, or its connection is lost before
/// its end.
const TRIES_MAX: usize = 5;

/// How long a transaction, and then its commit, may take. Less than a click has.
const ANSWER_MAX: Duration = Duration::from_millis(2_500);

/// What a session is like: the server gives up before we do, and what it answers is on its disk.
const SESSION: &str = "SET statement_timeout = 2000; SET lock_timeout = 2000; \
     SET idle_in_transaction_session_timeout = 5000; \
     SELECT set_config('synchronous_commit', 'on', false) \
     WHERE current_setting('synchronous_commit') = 'off'";

/// How a transaction of our own begins, in which rows are locked where it matters.
const WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

/// The same, for the one thing that may be written to a database that has gone back in time.
const ACKNOWLEDGE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE";

/// How one begins that sees one picture of the database.
const READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

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
        Ok(link)
    }

    /// Says something that answers nothing.
    pub(super) async fn say(&self, sql: &str) -> Result<(), tokio_postgres::Error> {
        self.client.batch_execute(sql).await
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
        Self {
            address,
            idle: Mutex::default(),
            turns: Semaphore::new(LINKS_MAX),
            watermark: Watermark::default(),
        }
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

    /// A connection that is not in a transaction. A new one is of a database that may have gone
    /// back in time.
    async fn link(&self) -> Answer<Link> {
        if let Some(link) = self.next_idle() {
            return Ok(link);
        }
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
        self.until_done(WRITE, input, work).await
    }

    /// The same, whatever the database has lost.
    pub(super) async fn acknowledge<I: Sync, T: Send>(
        &self,
        input: &I,
        work: Work<I, T>,
    ) -> Answer<T> {
        let _turn = self.turn().await?;
        self.until_done(ACKNOWLEDGE, input, work).await
    }

    /// One picture of the database.
    pub(super) async fn read<I: Sync, T: Send>(&self, input: &I, work: Work<I, T>) -> Answer<T> {
        let _turn = self.turn().await?;
        self.until_done(READ, input, work).await
    }

    /// Compares the database with the end of a copy of its log, now and at each new connection.
    pub(super) async fn compare(&self, kept: &Head) -> Answer<()> {
        let _turn = self.turn().await?;
        // A connection first: it says in which epoch the database is.
        let mut link = self.link().await?;
        self.watermark.keep_in_mind(kept);
        match timeout(ANSWER_MAX, self.watermark.compare(&mut link)).await {
            Ok(Ok(())) => self.idle().push(link),
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
        begin: &'static str,
        input: &I,
        work: Work<I, T>,
    ) -> Answer<T> {
        let mut why = String::new();
        for _try in 0..TRIES_MAX {
            match self.once(begin, input, work).await {
                Ok(done) => return Ok(done),
                Err(Fault::Told(error)) => return Err(error),
                Err(Fault::Again(because)) => why = because,
                Err(Fault::Gone(because)) => {
                    // The server was restarted, or another one took over: none of them is good.
                    self.idle().clear();
                    why = because;
                }
            }
        }
        Err(unavailable(&why))
    }

    async fn once<I: Sync, T: Send>(
        &self,
        begin: &'static str,
        input: &I,
        work: Work<I, T>,
    ) -> Done<T> {
        let mut link = self.link().await?;
        if begin == WRITE && self.watermark.is_above().is_some() {
            self.watermark.compare(&mut link).await?;
            if let Some(why) = self.watermark.is_above() {
                self.idle().push(link);
                return Err(Fault::Told(StoreError::WentBack(why)));
            }
        }
        let worked = timeout(ANSWER_MAX, async {
            link.say(begin).await?;
            work(&mut link, input).await
        });
        match worked.await {
            Ok(Ok(done)) => {
                match timeout(ANSWER_MAX, link.say("COMMIT")).await {
                    Ok(Ok(())) => self.idle().push(link),
                    // A picture that was read whole is good whatever becomes of its end.
                    _ if begin == READ => {}
                    Ok(Err(error)) => return Err(uncommitted(&error)),
                    Err(_elapsed) => return Err(Fault::Told(in_doubt("no answer came in time"))),
                }
                Ok(done)
            }
            Ok(Err(Fault::Gone(why))) => Err(Fault::Gone(why)),
            Ok(Err(fault)) => {
                if let Ok(Ok(())) = timeout(ANSWER_MAX, link.say("ROLLBACK")).await {
                    self.idle().push(link);
                }
                Err(fault)
            }
            Err(_elapsed) => Err(Fault::Told(silent())),
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
