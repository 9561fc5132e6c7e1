//! The store of several processes: one PostgreSQL database, a few connections, one transaction for
//! each question.

mod address;
mod audit;
mod clock;
mod fault;
mod link;
mod listen;
mod mark;
mod outbox;
#[cfg(test)]
mod plans;
mod prune;
mod schema;
mod service;
mod step;
mod tls;

use crate::hints::Herald;
use crate::notices::written;
use crate::rows::Card;
use crate::rules::{CHAIN_DEFAULT, FENCES_LOST_MAX};
use crate::value::{int, millis};
use address::Address;
use async_trait::async_trait;
use clock::ClockWatch;
use link::{Link, Links};
use outbox::Taker;
use rollback_core::audit::{Draft, Head, Record};
use rollback_core::notice::{Attempt, DeployCard, MessageRef};
use rollback_core::observed::{Freeze, ServiceRecord};
use rollback_core::ports::{
    AuditLog, Claim, Claims, ClockSteps, Commit, Committed, Hints, Instance, Journal, Journals,
    Listed, Outbox, Pruned, Query, Queued, Receipts, Retention, SavedDeploy, Services, Store,
    StoreError, StoreLeft, Unreadable,
};
use rollback_core::{
    Deploy, DeployId, Label, RollbackId, RollbackView, ServiceChange, ServiceKey, Timestamp,
};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use step::{Claimant, Step};
use tokio::task::AbortHandle;

/// By whose clock it is judged whether a claim has expired.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "one clock or the other")]
pub enum Judge {
    /// By the database's, which all processes share.
    Database,
    /// By the times that callers pass: for tests, which move time.
    Callers,
}

/// How a database is used.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct PostgresOptions {
    /// The name of the audit chain. The first start writes it into the database for good.
    pub chain: Label,
    /// By whose clock it is judged whether a claim has expired.
    pub judge: Judge,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self { chain: CHAIN_DEFAULT.into(), judge: Judge::Database }
    }
}

impl PostgresOptions {
    /// Names the audit chain.
    #[must_use]
    pub fn chain(mut self, name: impl Into<Label>) -> Self {
        self.chain = name.into();
        self
    }

    /// Names the clock that judges claims.
    #[must_use]
    pub const fn judge(mut self, judge: Judge) -> Self {
        self.judge = judge;
        self
    }
}

/// Why a database is not used. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL cannot be read. It is not repeated here: a password may be in it.
    #[error(
        "the address of the database cannot be read: {0}; write \
         `postgres://user:password@host:5432/database`"
    )]
    Address(String),
    /// The server does not let us in, or is not there.
    #[error("`{database}` cannot be used as a store: {problem}")]
    Unusable {
        /// Where it is, without user and password.
        database: String,
        /// What is wrong.
        problem: String,
    },
    /// A newer release has written it.
    #[error(
        "`{database}` has schema {found} and this release knows schemas up to {known}; nothing \
         was changed; start the newer release again"
    )]
    Newer {
        /// Where it is.
        database: String,
        /// Its schema.
        found: i64,
        /// The newest known schema.
        known: i64,
    },
    /// Something else has its tables there.
    #[error(
        "`{database}` has tables of something else; nothing was changed; give the store a \
         database, or a schema, of its own"
    )]
    NotAStore {
        /// Where it is.
        database: String,
    },
    /// Its audit chain has another name.
    #[error(
        "`{database}` has the audit chain `{stored}`, not `{wanted}`; nothing was changed; name \
         the chain that it has"
    )]
    OtherChain {
        /// Where it is.
        database: String,
        /// The name it has.
        stored: Label,
        /// The name that was asked for.
        wanted: Label,
    },
}

/// What a start would meet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "every other standing is an error")]
pub enum Rehearsed {
    /// Nothing: it would make the tables.
    Empty,
    /// The tables of an older release: it would bring them up to date.
    Older,
    /// The tables that it knows.
    Current,
}

impl ConnectError {
    fn unusable(address: &Address, problem: &str) -> Self {
        Self::Unusable { database: address.name.clone(), problem: problem.to_owned() }
    }
}

/// A store in one PostgreSQL database, which several processes share.
///
/// Writes are durable when they are answered, by what the database itself is set to: with
/// synchronous standbys also there. A connection that is lost is made again; what it had begun is
/// undone, and where that cannot be known, the error says so.
///
/// A database that has lost what this process has seen of it, because a backup was restored or a
/// server that lagged behind took over, is not written any more
/// ([`StoreError::WentBack`]) until somebody has looked and called [`Store::acknowledge_loss`].
#[derive(Debug)]
pub struct PostgresStore {
    links: Links,
    herald: Herald,
    judge: Judge,
    clock: ClockWatch,
    listener: AbortHandle,
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl PostgresStore {
    /// Connects to a database, and makes or upgrades its tables where that is needed.
    ///
    /// The URL is of the form `postgres://user:password@host:5432/database`. TLS with a verified
    /// certificate is asked for unless the host is this machine; `sslmode=disable` in the URL does
    /// without, `sslrootcert=/path/to/authorities.pem` names whom to trust, and `sslcert=` and `sslkey=`
    /// name the certificate and the key that this client shows to a server that asks for one.
    /// `connections_max=` is how many connections a process has at most, from 1 to 64: 8 where it is
    /// not said, and one besides to hear what others write.
    ///
    /// The first process of a newer release brings the tables up to date; the others that start wait
    /// for it, up to half an hour. From then on processes of releases that must not write these tables
    /// are refused ([`StoreError::Newer`]).
    ///
    /// # Errors
    ///
    /// [`ConnectError`]. Nothing was changed.
    pub async fn connect(url: &str, options: PostgresOptions) -> Result<Self, ConnectError> {
        let address = Address::parse(url)?;
        let failed =
            |error: &tokio_postgres::Error| ConnectError::unusable(&address, &fault::words(error));
        let mut link = Link::open(&address, None).await.map_err(|error| failed(&error))?;
        schema::prepare(&mut link, &address, &options.chain).await?;
        let listening = listen::begin(&address).await.map_err(|error| failed(&error))?;
        let herald = Herald::default();
        let listener = tokio::spawn(listen::run(address.clone(), herald.clone(), Some(listening)));
        let links = Links::new(address);
        let (judge, clock) = (options.judge, ClockWatch::default());
        Ok(Self { links, herald, judge, clock, listener: listener.abort_handle() })
    }

    /// Whether a start would succeed. Nothing is changed: tables are made and taken back where there are
    /// none; those of an older release are only looked at, for whatever runs beside this would stand
    /// still while they were changed.
    ///
    /// # Errors
    ///
    /// [`ConnectError`], as the start would answer.
    pub async fn rehearse(url: &str, options: PostgresOptions) -> Result<Rehearsed, ConnectError> {
        let address = Address::parse(url)?;
        let link = Link::open(&address, None).await;
        let mut link =
            link.map_err(|error| ConnectError::unusable(&address, &fault::words(&error)))?;
        schema::rehearse(&mut link, &address, &options.chain).await
    }

    /// Closes every connection that is not in use. What is asked later is refused, whoever holds the
    /// store.
    pub fn close(&self) {
        self.links.close();
    }

    /// Whether a service has ever run with this store.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it cannot be read.
    pub async fn has_been_used(&self) -> Result<bool, StoreError> {
        self.links.read(&(), |db, ()| Box::pin(service::has_been_used(db))).await
    }

    /// The time by which claims are judged; none for the database's own.
    fn judged_at(&self, now: Timestamp) -> Option<i64> {
        match self.judge {
            Judge::Database => None,
            Judge::Callers => Some(millis(now)),
        }
    }
}

#[async_trait]
impl Journals for PostgresStore {
    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        let judged_at = self.judged_at(commit.at);
        let step = Step::prepare(commit, judged_at)?;
        let committed = self.links.write(&step, |db, step| Box::pin(step.take(db))).await?;
        self.links.watermark.appended(&committed.records);
        Ok(committed)
    }

    async fn load(&self, id: &RollbackId) -> Result<Option<Journal>, StoreError> {
        self.links.read(id, |db, id| Box::pin(step::load(db, id))).await
    }

    async fn list(&self, query: &Query) -> Result<Vec<Listed>, StoreError> {
        self.links.read(query, |db, query| Box::pin(service::list(db, query))).await
    }

    async fn shown(&self, deploy: &DeployId) -> Result<Option<RollbackView>, StoreError> {
        self.links.read(deploy, |db, deploy| Box::pin(service::shown(db, deploy))).await
    }

    async fn unattended(&self, now: Timestamp) -> Result<Vec<RollbackId>, StoreError> {
        let judged_at = self.judged_at(now);
        self.links.read(&judged_at, |db, at| Box::pin(service::unattended(db, *at))).await
    }

    async fn put_aside(&self) -> Result<Vec<RollbackId>, StoreError> {
        self.links.read(&(), |db, ()| Box::pin(service::put_aside(db))).await
    }
}

#[async_trait]
impl Claims for PostgresStore {
    async fn claim(
        &self,
        id: &RollbackId,
        owner: &Instance,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Option<Claim>, StoreError> {
        let (id, owner, judged_at) = (id.clone(), owner.clone(), self.judged_at(now));
        let claimant = Claimant { id, owner, now, lease, judged_at };
        let asked = Instant::now();
        let (claim, judged) =
            self.links.write(&claimant, |db, one| Box::pin(one.claim(db))).await?;
        if let (Some(judged), Judge::Database) = (judged, self.judge) {
            self.clock.read(judged, asked, Instant::now());
        }
        if let Some(claim) = &claim {
            self.links.watermark.fenced(claim.fence);
        }
        Ok(claim)
    }

    async fn attempt(&self, claim: &Claim, name: &Label) -> Result<u32, StoreError> {
        let asked = (claim.clone(), name.clone());
        self.links
            .write(&asked, |db, (claim, name)| Box::pin(step::attempt(db, claim, name.as_str())))
            .await
    }

    async fn attempts(&self, id: &RollbackId) -> Result<u32, StoreError> {
        self.links.read(id, |db, id| Box::pin(step::attempts(db, id))).await
    }

    async fn survived(&self, claim: &Claim) -> Result<(), StoreError> {
        self.links.write(claim, |db, claim| Box::pin(step::survived(db, claim))).await
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        self.links.write(claim, |db, claim| Box::pin(step::release(db, claim))).await
    }
}

#[async_trait]
impl Services for PostgresStore {
    async fn save_deploy(
        &self,
        card: &DeployCard,
        notices: Vec<Queued>,
    ) -> Result<SavedDeploy, StoreError> {
        let card = Card::prepare(card, written(notices)?)?;
        self.links.write(&card, |db, card| Box::pin(service::save(db, card))).await
    }

    async fn update_deploy(
        &self,
        card: &DeployCard,
        notices: Vec<Queued>,
    ) -> Result<(), StoreError> {
        let card = Card::prepare(card, written(notices)?)?;
        self.links.write(&card, |db, card| Box::pin(service::update(db, card))).await
    }

    async fn deploy(&self, id: &DeployId) -> Result<Option<DeployCard>, StoreError> {
        self.links.read(id, |db, id| Box::pin(service::deploy(db, id))).await
    }

    async fn deploys(&self, key: &ServiceKey, limit: usize) -> Result<Vec<Deploy>, StoreError> {
        self.links
            .read(&(key, limit), |db, (key, limit)| Box::pin(service::deploys(db, key, *limit)))
            .await
    }

    async fn record(&self, key: &ServiceKey) -> Result<ServiceRecord, StoreError> {
        self.links.read(key, |db, key| Box::pin(service::record(db, key))).await
    }

    async fn freezes(&self, key: &ServiceKey) -> Result<Vec<Freeze>, StoreError> {
        self.links.read(key, |db, key| Box::pin(service::freezes(db, key))).await
    }

    async fn change(
        &self,
        key: &ServiceKey,
        change: &ServiceChange,
        record: Draft,
        notices: Vec<Queued>,
    ) -> Result<bool, StoreError> {
        let input = (key, change, record, written(notices)?);
        let records = self
            .links
            .write(&input, |db, (key, change, record, notices)| {
                Box::pin(service::change(db, key, change, record, notices))
            })
            .await?;
        self.links.watermark.appended(&records);
        Ok(!records.is_empty())
    }
}

#[async_trait]
impl Outbox for PostgresStore {
    async fn queue(&self, notices: Vec<Queued>) -> Result<(), StoreError> {
        let notices = written(notices)?;
        self.links
            .write(&notices, |db, notices| {
                Box::pin(async move {
                    outbox::queue(db, notices).await?;
                    outbox::tell(db).await
                })
            })
            .await
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Queued>, StoreError> {
        let (hold, judged_at) = (Duration::ZERO, self.judged_at(now));
        let taker = Taker { owner: None, now, hold, wanted: limit, judged_at };
        self.links.read(&taker, |db, taker| Box::pin(taker.due(db))).await
    }

    async fn take(
        &self,
        owner: &Instance,
        now: Timestamp,
        hold: Duration,
        limit: usize,
    ) -> Result<Vec<Queued>, StoreError> {
        let (owner, judged_at) = (Some(owner.clone()), self.judged_at(now));
        let taker = Taker { owner, now, hold, wanted: limit, judged_at };
        self.links.write(&taker, |db, taker| Box::pin(taker.take(db))).await
    }

    async fn put_off_unreadable(
        &self,
        owner: &Instance,
        now: Timestamp,
        not_before: Timestamp,
        attempts_max: u32,
        limit: usize,
    ) -> Result<Vec<Unreadable>, StoreError> {
        let (owner, judged_at) = (Some(owner.clone()), self.judged_at(now));
        let taker = Taker { owner, now, hold: Duration::ZERO, wanted: limit, judged_at };
        self.links
            .write(&(taker, not_before, attempts_max), |db, (taker, not_before, attempts_max)| {
                Box::pin(taker.put_off_unreadable(db, *not_before, *attempts_max))
            })
            .await
    }

    async fn give_back(&self, queued: &[Queued]) -> Result<(), StoreError> {
        self.links
            .write(&queued, |db, queued| {
                Box::pin(async move {
                    for one in *queued {
                        outbox::give_back(db, one).await?;
                    }
                    Ok(())
                })
            })
            .await
    }

    async fn next_due(
        &self,
        owner: &Instance,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let (owner, judged_at) = (Some(owner.clone()), self.judged_at(now));
        let taker = Taker { owner, now, hold: Duration::ZERO, wanted: 0, judged_at };
        self.links.read(&taker, |db, taker| Box::pin(taker.next_due(db))).await
    }

    async fn waiting(&self) -> Result<u64, StoreError> {
        self.links.read(&(), |db, ()| Box::pin(outbox::pending(db))).await
    }

    async fn delivered(
        &self,
        queued: &Queued,
        message: Option<MessageRef>,
    ) -> Result<(), StoreError> {
        self.links
            .write(&(queued, message), |db, (queued, message)| {
                Box::pin(outbox::delivered(db, queued, message.as_ref()))
            })
            .await
    }

    async fn postpone(
        &self,
        queued: &Queued,
        not_before: Timestamp,
        attempt: Attempt,
    ) -> Result<(), StoreError> {
        self.links
            .write(&(queued, not_before, attempt), |db, (queued, not_before, attempt)| {
                Box::pin(outbox::postpone(db, queued, *not_before, *attempt))
            })
            .await
    }

    async fn abandon(&self, queued: &Queued, why: &str) -> Result<(), StoreError> {
        let input = (queued, Label::new(why));
        self.links
            .write(&input, |db, (queued, why)| Box::pin(outbox::abandon(db, queued, why)))
            .await
    }

    async fn message(&self, notifier: &str, key: &Label) -> Result<Option<MessageRef>, StoreError> {
        self.links
            .read(&(notifier, key), |db, (notifier, key)| {
                Box::pin(outbox::message(db, notifier, key))
            })
            .await
    }
}

#[async_trait]
impl AuditLog for PostgresStore {
    async fn append(&self, record: Draft) -> Result<(), StoreError> {
        let drafts = [record];
        let records =
            self.links.write(&drafts, |db, drafts| Box::pin(audit::append(db, drafts))).await?;
        self.links.watermark.appended(&records);
        Ok(())
    }

    async fn audit(&self, query: &Query) -> Result<Vec<Record>, StoreError> {
        self.links.read(query, |db, query| Box::pin(audit::list(db, query))).await
    }

    async fn last_record(&self, rollback: &RollbackId) -> Result<Option<Record>, StoreError> {
        self.links.read(rollback, |db, rollback| Box::pin(audit::last(db, rollback))).await
    }

    async fn head(&self) -> Result<Head, StoreError> {
        self.links.read(&(), |db, ()| Box::pin(audit::head(db))).await
    }

    async fn unacknowledged(&self, sink: &str, limit: usize) -> Result<Vec<Record>, StoreError> {
        self.links
            .read(&(sink, limit), |db, (sink, limit)| {
                Box::pin(audit::unacknowledged(db, sink, *limit))
            })
            .await
    }

    async fn acknowledge(&self, sink: &str, sequence: u64) -> Result<(), StoreError> {
        self.links
            .write(&(sink, sequence), |db, (sink, sequence)| {
                Box::pin(audit::acknowledge(db, sink, *sequence))
            })
            .await
    }
}

#[async_trait]
impl Receipts for PostgresStore {
    async fn see(
        &self,
        digests: &[[u8; 32]],
        now: Timestamp,
        keep: Duration,
    ) -> Result<bool, StoreError> {
        let digests: BTreeSet<[u8; 32]> = digests.iter().copied().collect();
        self.links
            .write(&(digests, now, keep), |db, (digests, now, keep)| {
                Box::pin(service::see(db, digests, *now, *keep))
            })
            .await
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn prune(&self, now: Timestamp, keep: Retention) -> Result<Pruned, StoreError> {
        let step = prune::Step { now, keep, judged_at: self.judged_at(now) };
        self.links.write(&step, |db, step| Box::pin(step.take(db))).await
    }

    async fn compare(&self, kept: &Head) -> Result<(), StoreError> {
        self.links.compare(kept).await
    }

    async fn acknowledge_loss(&self) -> Result<(), StoreError> {
        self.links
            .acknowledge(&(), |db, ()| {
                Box::pin(async move {
                    db.execute("UPDATE head SET epoch = epoch + 1", &[]).await?;
                    let far = "UPDATE counter SET value = value + $1 WHERE name = 'fence'";
                    db.execute(far, &[&int(FENCES_LOST_MAX)]).await?;
                    Ok(())
                })
            })
            .await
    }

    fn hints(&self) -> Box<dyn Hints> {
        self.herald.listen()
    }

    fn clock_steps(&self) -> ClockSteps {
        self.clock.steps()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let asked = Instant::now();
        let now = self.links.write(&(), |db, ()| Box::pin(step::ping(db))).await?;
        if let Some(now) = now {
            self.clock.read(now, asked, Instant::now());
        }
        Ok(())
    }

    async fn close(&self) -> Result<(), StoreLeft> {
        Self::close(self);
        Ok(())
    }
}
