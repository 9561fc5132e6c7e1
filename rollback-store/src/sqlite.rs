//! The durable store: one SQLite file, one thread that writes, two that read.

mod audit;
mod fault;
mod log;
mod outbox;
mod owner;
mod prune;
mod schema;
mod service;
mod step;
mod value;
mod writer;

use crate::hints::Herald;
use crate::notices::written;
use crate::rows::Card;
use crate::rules::{CHAIN_DEFAULT, FENCES_LOST_MAX, lost};
use async_trait::async_trait;
use owner::Owner;
use rollback_core::audit::{Draft, Head, Record};
use rollback_core::notice::{Attempt, DeployCard, MessageRef};
use rollback_core::observed::{Freeze, ServiceRecord};
use rollback_core::ports::{
    AuditLog, Claim, Claims, Commit, Committed, Hint, Hints, Instance, Journal, Journals, Listed,
    Outbox, Pruned, Query, Queued, Receipts, Retention, SavedDeploy, Services, Store, StoreError,
    StoreLeft, Unreadable,
};
use rollback_core::{
    Deploy, DeployId, Label, RollbackId, RollbackView, ServiceChange, ServiceKey, Timestamp,
};
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use writer::{Job, QUEUE_MAX, Work};

/// How many threads read. Answers are short; a second one keeps a long list from holding up the
/// rest.
const READERS: usize = 2;

/// How many prepared statements a connection keeps: more than there are.
const STATEMENTS_MAX: usize = 96;

/// How many pages the log may have before it is carried over: 16 MB. Each time costs two flushes,
/// which a thousand pages, SQLite's own choice, would cost every 25 transactions under load.
const LOG_PAGES: i64 = 4_000;

/// Where a database is.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Location {
    /// In a file, which is made when it is not there. Its directory must exist.
    File(PathBuf),
    /// In memory, until the store is dropped.
    Memory,
}

impl From<&Path> for Location {
    fn from(path: &Path) -> Self {
        Self::File(path.to_path_buf())
    }
}

impl From<PathBuf> for Location {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

/// How a database is opened.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Options {
    /// The name of the audit chain. The first start writes it into the file for good.
    pub chain: Label,
}

impl Default for Options {
    fn default() -> Self {
        Self { chain: CHAIN_DEFAULT.into() }
    }
}

impl Options {
    /// Names the audit chain.
    #[must_use]
    pub fn chain(mut self, name: impl Into<Label>) -> Self {
        self.chain = name.into();
        self
    }
}

/// Why a database was not opened. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process owns it.
    #[error(
        "`{path}` is in use by another process; nothing was changed; stop that one first, \
         or give this one a file of its own"
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A newer release has written it.
    #[error(
        "`{path}` has schema {found} and this release knows schemas up to {known}; nothing was \
         changed; start the newer release again"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest known schema.
        known: i64,
    },
    /// It is a database of something else.
    #[error("`{path}` is not a rollback store; nothing was changed; name another file")]
    NotAStore {
        /// The file.
        path: PathBuf,
    },
    /// Its audit chain has another name.
    #[error(
        "`{path}` has the audit chain `{stored}`, not `{wanted}`; nothing was changed; name the \
         chain that it has"
    )]
    OtherChain {
        /// The file.
        path: PathBuf,
        /// The name it has.
        stored: Label,
        /// The name that was asked for.
        wanted: Label,
    },
    /// The log beside it is not one of SQLite's, which would take it for an empty one.
    #[error(
        "the log `{log}` of the database is damaged, and what was committed to it would be lost \
         without a word; nothing was changed; restore both files from a backup, or move the log away \
         and compare what is left with the audit log"
    )]
    DamagedLog {
        /// The log.
        log: PathBuf,
    },
    /// The file or its directory cannot be used.
    #[error("`{path}` cannot be opened as a store: {problem}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl OpenError {
    fn unusable(path: &Path, error: &dyn std::fmt::Display) -> Self {
        Self::Unusable { path: path.to_path_buf(), problem: error.to_string() }
    }
}

/// A store in one SQLite file, owned by this process.
///
/// Writes are durable when they are answered: they are on the disk, flushed. What waits together
/// is flushed together. Dropping the store ends its threads after they have answered what waits.
#[derive(Debug)]
pub struct SqliteStore {
    /// None once it was closed.
    lanes: RwLock<Option<Lanes>>,
    turn: AtomicUsize,
    closing: Mutex<Option<Closing>>,
    /// What the file has lost, until somebody has acknowledged it: nothing is written meanwhile.
    behind: Mutex<Option<String>>,
    herald: Herald,
}

type Lane = mpsc::Sender<Box<dyn Job>>;

/// The ways to the threads.
#[derive(Debug)]
struct Lanes {
    writer: Lane,
    /// Empty for a database in memory, which has the one connection.
    readers: Vec<Lane>,
}

/// What tells that the threads have closed the file.
#[derive(Debug)]
struct Closing {
    /// Where the database has a file: its log.
    log: Option<PathBuf>,
    /// Completes when every reader has closed the file.
    unread: oneshot::Receiver<()>,
    /// Completes when the writer has closed the file.
    closed: oneshot::Receiver<()>,
}

/// What a store leaves when it is closed.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "one file or two")]
pub enum Closed {
    /// Everything is in the one file.
    Whole,
    /// What was committed last is in this log, which belongs to the database file: somebody else has
    /// the file open, or it was replaced.
    WithLog(PathBuf),
}

impl SqliteStore {
    /// Opens a database, and makes or upgrades it where that is needed.
    ///
    /// # Errors
    ///
    /// [`OpenError`]. Nothing was changed, but that an empty file may have been made.
    pub async fn open(location: impl Into<Location>, options: Options) -> Result<Self, OpenError> {
        let location = location.into();
        let path = match &location {
            Location::File(path) => path.clone(),
            Location::Memory => PathBuf::from(":memory:"),
        };
        let (tell, opened) = oneshot::channel();
        let start = move || tell.send(start(&location, &options));
        let unusable = |error: &dyn std::fmt::Display| OpenError::unusable(&path, error);
        thread::Builder::new()
            .name("store-open".into())
            .spawn(move || drop(start()))
            .map_err(|error| unusable(&error))?;
        opened.await.map_err(|_gone| unusable(&"the thread that opened it ended early"))?
    }

    /// Closes the file, after what waits is answered, and waits until another store could own it, or
    /// somebody copy it. What is asked later is refused, whoever holds the store.
    pub async fn close(&self) -> Closed {
        let lanes = self.lanes.write().unwrap_or_else(PoisonError::into_inner).take();
        let closing = self.closing.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (Some(Lanes { writer, readers }), Some(closing)) = (lanes, closing) else {
            return Closed::Whole;
        };
        // Whether a thread told it or was gone before: its connection is closed. The last one is the
        // writer's, which brings everything into the one file.
        drop(readers);
        drop(closing.unread.await);
        drop(writer);
        drop(closing.closed.await);
        match closing.log {
            Some(log) if log.exists() => Closed::WithLog(log),
            Some(_) | None => Closed::Whole,
        }
    }

    /// Whether a service has ever run with this store: something was written that opening does not
    /// write.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it cannot be read.
    pub async fn has_been_used(&self) -> Result<bool, StoreError> {
        self.read(service::has_been_used).await
    }

    /// Does work that writes, and answers when it is on the disk.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.may_write()?;
        ask(self.writer()?, Box::new(work)).await
    }

    fn lane(&self, choose: impl FnOnce(&Lanes) -> &Lane) -> Result<Lane, StoreError> {
        let lanes = self.lanes.read().unwrap_or_else(PoisonError::into_inner);
        let closed = || StoreError::Unavailable("the store was closed; restart the service".into());
        lanes.as_ref().map(choose).cloned().ok_or_else(closed)
    }

    fn writer(&self) -> Result<Lane, StoreError> {
        self.lane(|lanes| &lanes.writer)
    }

    fn behind(&self) -> MutexGuard<'_, Option<String>> {
        self.behind.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn may_write(&self) -> Result<(), StoreError> {
        self.behind().clone().map_or(Ok(()), |why| Err(StoreError::WentBack(why)))
    }

    /// Does work that only reads, on one consistent picture of the database.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let lane = self.lane(|Lanes { writer, readers }| {
            let lane = turn.checked_rem(readers.len()).and_then(|lane| readers.get(lane));
            lane.unwrap_or(writer)
        });
        ask(lane?, Box::new(work)).await
    }
}

async fn ask<T: Send + 'static>(lane: Lane, work: Work<T>) -> Result<T, StoreError> {
    let (job, answer) = writer::job(work);
    lane.send(job).await.map_err(|_closed| writer::stopped())?;
    drop(lane);
    // The thread took the work and is gone: whether it committed cannot be known.
    answer.await.map_err(|_gone| {
        StoreError::InDoubt("the store stopped before it answered; restart the service".into())
    })?
}

/// Opens everything, and starts the threads.
fn start(location: &Location, options: &Options) -> Result<SqliteStore, OpenError> {
    let (mut owner, path, writing) = match location {
        Location::Memory => {
            let path = PathBuf::from(":memory:");
            let connection = Connection::open_in_memory();
            (None, path.clone(), connection.map_err(|e| OpenError::unusable(&path, &e))?)
        }
        Location::File(path) => {
            let (owner, path) = Owner::take(path, schema::APPLICATION_ID)?;
            not_damaged(&path)?;
            let connection = Connection::open_with_flags(&path, OpenFlags::default());
            let connection = connection.map_err(|e| OpenError::unusable(&path, &e))?;
            (Some(owner), path, connection)
        }
    };
    let unusable = |error: rusqlite::Error| OpenError::unusable(&path, &error);
    configure(&writing).map_err(unusable)?;
    schema::prepare(&writing, &path, &options.chain)?;
    let (mut readers, (tell, unread)) = (Vec::new(), oneshot::channel());
    let tell: Arc<oneshot::Sender<()>> = Arc::new(tell);
    if owner.is_some() {
        write_ahead(&writing).map_err(unusable)?;
        for _reader in 0..READERS {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let reading = Connection::open_with_flags(&path, flags).map_err(unusable)?;
            reading.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
            let tell = Arc::clone(&tell);
            readers.push(spawn("store-read", &path, move |jobs| {
                read(&reading, jobs);
                drop(reading);
                drop(tell);
            })?);
        }
    }
    let log = owner.is_some().then(|| log_of(&path));
    if let Some(owner) = &mut owner {
        // From here on the log is there, and belongs to the file.
        owner.is_still_there().map_err(|what| OpenError::unusable(&path, &what))?;
    }
    let (tell, closed) = oneshot::channel();
    let writer = spawn("store-write", &path, move |jobs| {
        writer::serve(&writing, jobs, || owner.as_mut().map_or(Ok(()), Owner::is_still_there));
        drop(writing);
        drop(owner);
        drop(tell);
    })?;
    let (turn, herald) = (AtomicUsize::new(0), Herald::default());
    let (lanes, behind) = (RwLock::new(Some(Lanes { writer, readers })), Mutex::default());
    let closing = Mutex::new(Some(Closing { log, unread, closed }));
    Ok(SqliteStore { lanes, turn, closing, behind, herald })
}

/// SQLite's log of a database.
fn log_of(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    PathBuf::from(log)
}

fn not_damaged(path: &Path) -> Result<(), OpenError> {
    let log = log_of(path);
    match log::is_damaged(&log) {
        Ok(false) => Ok(()),
        Ok(true) => Err(OpenError::DamagedLog { log }),
        Err(error) => Err(OpenError::unusable(&log, &error)),
    }
}

/// Durable at every commit, and distrustful of the schema.
fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.busy_timeout(Duration::from_secs(2))?;
    connection.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;",
    )
}

/// Lets readers read while the writer writes. Only after the file is known to be ours: the mode is
/// kept in it.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0))?;
    connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)
}

fn spawn(
    name: &str,
    path: &Path,
    serve: impl FnOnce(mpsc::Receiver<Box<dyn Job>>) + Send + 'static,
) -> Result<mpsc::Sender<Box<dyn Job>>, OpenError> {
    let (sender, jobs) = mpsc::channel(QUEUE_MAX);
    thread::Builder::new()
        .name(name.into())
        .spawn(move || serve(jobs))
        .map_err(|error| OpenError::unusable(path, &error))?;
    Ok(sender)
}

/// Serves questions until nobody can ask any.
fn read(connection: &Connection, mut jobs: mpsc::Receiver<Box<dyn Job>>) {
    while let Some(mut job) = jobs.blocking_recv() {
        let failure = look(connection, &mut *job)
            .err()
            .map(|error| fault::Failure::Undone(error.to_string()));
        job.answer(failure.as_ref());
    }
}

/// One question on one consistent picture.
fn look(connection: &Connection, job: &mut dyn Job) -> rusqlite::Result<()> {
    let picture = connection.unchecked_transaction()?;
    let _answered = job.run(connection);
    picture.finish()
}

#[async_trait]
impl Journals for SqliteStore {
    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        let (id, before, has_entry) =
            (commit.rollback.clone(), commit.expected, commit.entry.is_some());
        let step = step::Step::prepare(commit)?;
        let committed = self.write(move |db| step.take(db)).await?;
        self.herald.stepped(id, before, has_entry);
        Ok(committed)
    }

    async fn load(&self, id: &RollbackId) -> Result<Option<Journal>, StoreError> {
        let id = id.clone();
        self.read(move |db| step::load(db, &id)).await
    }

    async fn list(&self, query: &Query) -> Result<Vec<Listed>, StoreError> {
        let query = query.clone();
        self.read(move |db| service::list(db, &query)).await
    }

    async fn shown(&self, deploy: &DeployId) -> Result<Option<RollbackView>, StoreError> {
        let deploy = deploy.clone();
        self.read(move |db| service::shown(db, &deploy)).await
    }

    async fn unattended(&self, now: Timestamp) -> Result<Vec<RollbackId>, StoreError> {
        self.read(move |db| service::unattended(db, now)).await
    }

    async fn put_aside(&self) -> Result<Vec<RollbackId>, StoreError> {
        self.read(service::put_aside).await
    }
}

#[async_trait]
impl Claims for SqliteStore {
    async fn claim(
        &self,
        id: &RollbackId,
        owner: &Instance,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Option<Claim>, StoreError> {
        let (id, owner) = (id.clone(), owner.clone());
        self.write(move |db| step::claim(db, &id, &owner, now, lease)).await
    }

    async fn attempt(&self, claim: &Claim, name: &Label) -> Result<u32, StoreError> {
        let (claim, name) = (claim.clone(), name.clone());
        self.write(move |db| step::attempt(db, &claim, &name)).await
    }

    async fn attempts(&self, id: &RollbackId) -> Result<u32, StoreError> {
        let id = id.clone();
        self.read(move |db| step::attempts(db, &id)).await
    }

    async fn survived(&self, claim: &Claim) -> Result<(), StoreError> {
        let claim = claim.clone();
        self.write(move |db| step::survived(db, &claim)).await
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        let claim = claim.clone();
        self.write(move |db| step::release(db, &claim)).await
    }
}

#[async_trait]
impl Services for SqliteStore {
    async fn save_deploy(
        &self,
        card: &DeployCard,
        notices: Vec<Queued>,
    ) -> Result<SavedDeploy, StoreError> {
        let tells = !notices.is_empty();
        let card = Card::prepare(card, written(notices)?)?;
        let saved = self.write(move |db| service::save(db, &card)).await?;
        if tells && saved == SavedDeploy::New {
            self.herald.tell(Hint::Queued);
        }
        Ok(saved)
    }

    async fn update_deploy(
        &self,
        card: &DeployCard,
        notices: Vec<Queued>,
    ) -> Result<(), StoreError> {
        let card = Card::prepare(card, written(notices)?)?;
        self.write(move |db| service::update(db, &card)).await?;
        self.herald.tell(Hint::Queued);
        Ok(())
    }

    async fn deploy(&self, id: &DeployId) -> Result<Option<DeployCard>, StoreError> {
        let id = id.clone();
        self.read(move |db| service::deploy(db, &id)).await
    }

    async fn deploys(&self, key: &ServiceKey, limit: usize) -> Result<Vec<Deploy>, StoreError> {
        let key = key.clone();
        self.read(move |db| service::deploys(db, &key, limit)).await
    }

    async fn record(&self, key: &ServiceKey) -> Result<ServiceRecord, StoreError> {
        let key = key.clone();
        self.read(move |db| service::record(db, &key)).await
    }

    async fn freezes(&self, key: &ServiceKey) -> Result<Vec<Freeze>, StoreError> {
        let key = key.clone();
        self.read(move |db| service::freezes(db, &key)).await
    }

    async fn change(
        &self,
        key: &ServiceKey,
        change: &ServiceChange,
        record: Draft,
        notices: Vec<Queued>,
    ) -> Result<bool, StoreError> {
        let (key, change, notices) = (key.clone(), change.clone(), written(notices)?);
        let changed =
            self.write(move |db| service::change(db, &key, &change, &record, &notices)).await?;
        if changed {
            self.herald.tell(Hint::Queued);
        }
        Ok(changed)
    }
}

#[async_trait]
impl Outbox for SqliteStore {
    async fn queue(&self, notices: Vec<Queued>) -> Result<(), StoreError> {
        let notices = written(notices)?;
        self.write(move |db| outbox::queue(db, &notices)).await?;
        self.herald.tell(Hint::Queued);
        Ok(())
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Queued>, StoreError> {
        self.read(move |db| outbox::due(db, None, now, limit)).await
    }

    async fn take(
        &self,
        owner: &Instance,
        now: Timestamp,
        hold: Duration,
        limit: usize,
    ) -> Result<Vec<Queued>, StoreError> {
        let owner = owner.clone();
        self.write(move |db| outbox::take(db, &owner, now, hold, limit)).await
    }

    async fn put_off_unreadable(
        &self,
        owner: &Instance,
        now: Timestamp,
        not_before: Timestamp,
        attempts_max: u32,
        limit: usize,
    ) -> Result<Vec<Unreadable>, StoreError> {
        let owner = owner.clone();
        self.write(move |db| {
            outbox::put_off_unreadable(db, &owner, (now, not_before), attempts_max, limit)
        })
        .await
    }

    async fn give_back(&self, queued: &[Queued]) -> Result<(), StoreError> {
        let queued = queued.to_vec();
        self.write(move |db| queued.iter().try_for_each(|one| outbox::give_back(db, one))).await
    }

    async fn next_due(
        &self,
        owner: &Instance,
        _now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let owner = owner.clone();
        self.read(move |db| outbox::next_due(db, &owner)).await
    }

    async fn waiting(&self) -> Result<u64, StoreError> {
        self.read(outbox::pending).await
    }

    async fn delivered(
        &self,
        queued: &Queued,
        message: Option<MessageRef>,
    ) -> Result<(), StoreError> {
        let queued = queued.clone();
        self.write(move |db| outbox::delivered(db, &queued, message.as_ref())).await
    }

    async fn postpone(
        &self,
        queued: &Queued,
        not_before: Timestamp,
        attempt: Attempt,
    ) -> Result<(), StoreError> {
        let queued = queued.clone();
        self.write(move |db| outbox::postpone(db, &queued, not_before, attempt)).await
    }

    async fn abandon(&self, queued: &Queued, why: &str) -> Result<(), StoreError> {
        let (queued, why) = (queued.clone(), Label::new(why));
        self.write(move |db| outbox::abandon(db, &queued, &why)).await
    }

    async fn message(&self, notifier: &str, key: &Label) -> Result<Option<MessageRef>, StoreError> {
        let (notifier, key) = (notifier.to_owned(), key.clone());
        self.read(move |db| outbox::message(db, &notifier, &key)).await
    }
}

#[async_trait]
impl AuditLog for SqliteStore {
    async fn append(&self, record: Draft) -> Result<(), StoreError> {
        self.write(move |db| audit::append(db, vec![record]).map(drop)).await
    }

    async fn audit(&self, query: &Query) -> Result<Vec<Record>, StoreError> {
        let query = query.clone();
        self.read(move |db| audit::list(db, &query)).await
    }

    async fn last_record(&self, rollback: &RollbackId) -> Result<Option<Record>, StoreError> {
        let rollback = rollback.clone();
        self.read(move |db| audit::last(db, &rollback)).await
    }

    async fn head(&self) -> Result<Head, StoreError> {
        self.read(audit::head).await
    }

    async fn unacknowledged(&self, sink: &str, limit: usize) -> Result<Vec<Record>, StoreError> {
        let sink = sink.to_owned();
        self.read(move |db| audit::unacknowledged(db, &sink, limit)).await
    }

    async fn acknowledge(&self, sink: &str, sequence: u64) -> Result<(), StoreError> {
        let sink = sink.to_owned();
        self.write(move |db| audit::acknowledge(db, &sink, sequence)).await
    }
}

#[async_trait]
impl Receipts for SqliteStore {
    async fn see(
        &self,
        digests: &[[u8; 32]],
        now: Timestamp,
        keep: Duration,
    ) -> Result<bool, StoreError> {
        let digests = digests.to_vec();
        self.write(move |db| service::see(db, &digests, now, keep)).await
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn prune(&self, now: Timestamp, keep: Retention) -> Result<Pruned, StoreError> {
        self.write(move |db| prune::step(db, now, keep)).await
    }

    async fn compare(&self, kept: &Head) -> Result<(), StoreError> {
        let mut query = Query::all(1);
        query.after = kept.sequence.saturating_sub(1);
        if let Some(why) = lost(kept, self.audit(&query).await?.first()) {
            *self.behind() = Some(why);
        }
        self.may_write()
    }

    async fn acknowledge_loss(&self) -> Result<(), StoreError> {
        let far = |db: &Connection| {
            let sql = "UPDATE counter SET value = value + ?1 WHERE name = 'fence'";
            value::execute(db, sql, [value::int(FENCES_LOST_MAX)]).map(|_one| ())
        };
        ask(self.writer()?, Box::new(far)).await?;
        *self.behind() = None;
        Ok(())
    }

    fn hints(&self) -> Box<dyn Hints> {
        self.herald.listen()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.write(|db| {
            value::execute(db, "UPDATE counter SET value = value + 1 WHERE name = 'ping'", [])
                .map(|_one| ())
        })
        .await
    }

    async fn close(&self) -> Result<(), StoreLeft> {
        match Self::close(self).await {
            Closed::Whole => Ok(()),
            Closed::WithLog(log) => Err(StoreLeft::new(log.display().to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollback_core::audit::Verifier;
    use rollback_testkit::fixtures::parsed;
    use rollback_testkit::script::{Ending, Script};
    use rusqlite::types::Value;

    /// A store whose connection can be made to fail as a disk does.
    async fn store(folder: &tempfile::TempDir) -> SqliteStore {
        let path = folder.path().join("rollback.db");
        SqliteStore::open(path, Options::default()).await.unwrap()
    }

    async fn pragma(store: &SqliteStore, name: &'static str, value: i64) {
        let set = move |db: &Connection| {
            db.pragma_update(None, name, value).map_err(|error| fault::failed(&error))
        };
        // Some of these answer with a row, which says what is set now.
        let _answer = store.write(set).await;
    }

    async fn pages(store: &SqliteStore) -> i64 {
        let count = |db: &Connection| {
            db.query_row("PRAGMA page_count", [], |row| row.get(0))
                .map_err(|error| fault::failed(&error))
        };
        store.write(count).await.unwrap()
    }

    #[tokio::test]
    async fn a_full_disk_is_told_as_unavailable_and_leaves_whole_steps() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        let full = pages(&store).await + 12;
        pragma(&store, "max_page_count", full).await;
        let mut refused = None;
        for number in 0..100 {
            let script = Script::new(&format!("rb-{number}")).of("checkout", "production");
            for commit in script.commits(Ending::Succeeded) {
                match store.commit(commit.clone()).await {
                    Ok(_records) => {}
                    Err(StoreError::Unavailable(_)) => {
                        refused = Some(commit);
                        break;
                    }
                    Err(other) => panic!("a full disk was told as: {other}"),
                }
            }
            if refused.is_some() {
                break;
            }
        }
        let refused = refused.expect("the disk never became full");
        let journal = store.load(&refused.rollback).await.unwrap();
        let entries = journal.map_or(0, |journal| journal.entries.len());
        assert_eq!(u64::try_from(entries).unwrap(), refused.expected);
        pragma(&store, "max_page_count", full * 10).await;
        store.commit(refused).await.unwrap();
        let mut verifier = Verifier::new("default");
        for record in store.audit(&Query::all(9_999)).await.unwrap() {
            verifier.check(&record).unwrap();
        }
        assert_eq!(*verifier.head(), store.head().await.unwrap());
    }

    #[tokio::test]
    async fn a_disk_that_cannot_be_written_is_told_as_unavailable_by_readiness_too() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        pragma(&store, "query_only", 1).await;
        let commits = Script::new("rb-1").commits(Ending::Succeeded);
        let error = store.commit(commits.into_iter().next().unwrap()).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
        let error = store.ping().await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
        assert_eq!(store.load(&parsed("rb-1")).await.unwrap(), None);
    }

    #[tokio::test]
    async fn every_commit_is_flushed() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        let read = |name: &'static str| {
            store.write(move |db| {
                db.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, Value>(0))
                    .map_err(|error| fault::failed(&error))
            })
        };
        assert_eq!(read("synchronous").await.unwrap(), Value::Integer(2));
        assert_eq!(read("journal_mode").await.unwrap(), Value::Text("wal".into()));
    }

    /// How SQLite would answer a question.
    async fn plan(store: &SqliteStore, question: &str) -> Vec<String> {
        let explain = format!("EXPLAIN QUERY PLAN {question}");
        let plan = store.read(move |db| {
            let read = || {
                let mut statement = db.prepare(&explain)?;
                let (mut rows, mut lines) = (statement.raw_query(), Vec::new());
                while let Some(row) = rows.next()? {
                    lines.push(row.get::<_, String>(3)?);
                }
                Ok(lines)
            };
            read().map_err(|error: rusqlite::Error| fault::failed(&error))
        });
        plan.await.unwrap()
    }

    /// A scan goes over an index that has nothing but what is asked for, or is over at the limit.
    fn reads_no_whole_table(plan: &[String]) -> bool {
        plan.iter().all(|line| {
            (!line.starts_with("SCAN") || line.contains("USING"))
                && !line.contains("TEMP B-TREE FOR ORDER BY")
        })
    }

    #[tokio::test]
    async fn every_list_begins_with_an_index_and_sorts_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        for query in crate::questions::every() {
            for question in [service::question(&query), audit::question(&query)] {
                let plan = plan(&store, question).await;
                assert!(reads_no_whole_table(&plan), "{question}: {plan:?}");
                // Only the newest of all are read without a name to begin with.
                let is_named = question.contains(" = ?") || question.contains("sequence >");
                let begins = plan.first().unwrap().starts_with("SEARCH");
                assert!(plan.len() == 1 && begins == is_named, "{question}: {plan:?}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_forgotten_is_found_by_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        for (question, index) in [
            (prune::DIGESTS, "seen_until"),
            (prune::CLAIMS, "claim_until"),
            (prune::FREEZES, "freeze_ended"),
            (prune::SETTLED, "outbox_unsettled"),
            (prune::OLD, "outbox_settled"),
            (prune::UNCONFIRMED, "rollback_unconfirmed"),
        ] {
            let plan = plan(&store, question).await;
            assert!(reads_no_whole_table(&plan), "{question}: {plan:?}");
            assert!(plan.iter().any(|line| line.contains(index)), "{question}: {plan:?}");
        }
    }

    #[tokio::test]
    async fn what_a_message_shows_and_the_last_record_are_found_by_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        for (question, index) in
            [(service::SHOWN, "rollback_shown"), (audit::LAST, "audit_of_rollback")]
        {
            let explain = format!("EXPLAIN QUERY PLAN {question}");
            let plan = store.read(move |db| {
                let mut statement = db.prepare(&explain).map_err(|e| fault::failed(&e))?;
                let rows = statement.query_map(["x"], |row| row.get::<_, String>(3));
                let rows = rows.map_err(|error| fault::failed(&error))?;
                rows.collect::<Result<Vec<_>, _>>().map_err(|error| fault::failed(&error))
            });
            let plan = plan.await.unwrap();
            let by_index =
                plan.len() == 1 && plan[0].starts_with("SEARCH") && plan[0].contains(index);
            assert!(by_index, "{question}: {plan:?}");
        }
    }

    #[tokio::test]
    async fn a_reader_cannot_write() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        let written = store
            .read(|db| value::execute(db, "UPDATE counter SET value = 9", []).map(|_rows| ()))
            .await;
        assert!(matches!(written, Err(StoreError::Unavailable(_))), "{written:?}");
    }
}
