//! What the adapter's parts share: the settings, the connection, and what was read already.

use crate::client::Client;
use crate::command::LastSaid;
use crate::config::Config;
use crate::error::HelmError;
use crate::history::Seen;
use crate::journal::Journal;
use crate::news::News;
use crate::record::{Content, Record, secret_name};
use crate::run::Run;
use core::time::Duration;
use futures_util::stream::{self, Stream, StreamExt as _, TryStreamExt as _};
use rollback_cluster::{ClusterError, Meta};
use rollback_core::RollbackId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::Notify;

/// How many revisions are unpacked: of a longer history the newest.
const RECORDS_MAX: usize = 60;
/// How many requests of one question are under way at once: a large chart has a hundred objects, and
/// somebody waits for the answer.
const AT_ONCE: usize = 8;

/// Asks some of these at once, and answers in their order.
pub(crate) fn side_by_side<F: Future>(
    all: impl IntoIterator<Item = F>,
) -> impl Stream<Item = F::Output> {
    let all: Vec<F> = all.into_iter().collect();
    stream::iter(all).buffered(AT_ONCE)
}

#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) config: Config,
    pub(crate) client: Client,
    pub(crate) helm: LastSaid,
    /// What a Secret holds, by its UID, as of a version of it: unpacked once.
    known: Mutex<BTreeMap<String, (String, Record)>>,
    /// What the journal's heart said last, and since when it says so.
    beat: Mutex<Option<(String, Instant)>>,
    /// From which version on a watch goes on.
    version: Mutex<Option<String>>,
    /// The rollbacks that this process carries out.
    runs: Mutex<BTreeMap<RollbackId, Arc<Run>>>,
    /// Something happened to one of them.
    pub(crate) news: News,
    ended: Notify,
    /// Of an order whose pods come up: how many were ready at most, and since when.
    come_up: Mutex<Option<(RollbackId, i64, Instant)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Site {
    pub(crate) fn new(config: Config, client: Client) -> Self {
        Self {
            config,
            client,
            helm: LastSaid::default(),
            known: Mutex::default(),
            beat: Mutex::default(),
            version: Mutex::default(),
            runs: Mutex::default(),
            news: News::default(),
            ended: Notify::new(),
            come_up: Mutex::default(),
        }
    }

    pub(crate) fn run(&self, order: &RollbackId) -> Option<Arc<Run>> {
        lock(&self.runs).get(order).map(Arc::clone)
    }

    pub(crate) fn begin(&self, order: RollbackId, run: Arc<Run>) {
        lock(&self.runs).insert(order, run);
    }

    pub(crate) fn end(&self, order: &RollbackId) {
        lock(&self.runs).remove(order);
        self.news.tell();
        self.ended.notify_waiters();
    }

    /// Waits until no rollback needs this process any more.
    pub(crate) async fn idle(&self) {
        loop {
            // Looked at before the wait, so that an end in between is not missed.
            let ended = self.ended.notified();
            if lock(&self.runs).is_empty() {
                return;
            }
            ended.await;
        }
    }

    /// For how long no further pod of an order has become ready. One that is lost and comes back is no
    /// further one.
    pub(crate) fn stood_still(&self, order: &RollbackId, ready: i64) -> Duration {
        let mut come_up = lock(&self.come_up);
        match come_up.as_ref().filter(|(whose, most, _)| whose == order && ready <= *most) {
            Some((.., since)) => since.elapsed(),
            None => {
                *come_up = Some((order.clone(), ready, Instant::now()));
                Duration::ZERO
            }
        }
    }

    pub(crate) fn version(&self) -> Option<String> {
        lock(&self.version).clone()
    }

    /// Everything that is kept of the release.
    pub(crate) async fn look(&self) -> Result<Seen, HelmError> {
        let news = self.news.count();
        let listed = self.client.list().await?;
        let mut metas = listed.metas;
        let number = |name: &str| crate::record::number_of(&self.config.release.name, name);
        metas.sort_by_key(|meta| std::cmp::Reverse(number(&meta.name)));
        metas.truncate(RECORDS_MAX);
        let records: Vec<Option<Record>> =
            side_by_side(metas.iter().map(|meta| self.record(meta))).try_collect().await?;
        let records = records.into_iter().flatten().collect();
        lock(&self.known).retain(|uid, _| metas.iter().any(|meta| meta.uid == *uid));
        *lock(&self.version) = Some(listed.version);
        let journal = self.client.journal().await?.and_on_records(&metas);
        let runner_lives = self.runner_lives(&journal);
        self.news.looked_at(news);
        Ok(Seen { records, journal, runner_lives })
    }

    /// What a Secret of the release holds; none when it was pruned since it was listed.
    async fn record(&self, meta: &Meta) -> Result<Option<Record>, HelmError> {
        let known = lock(&self.known)
            .get(&meta.uid)
            .filter(|(version, _)| *version == meta.resource_version)
            .map(|(_, record)| record.clone());
        if known.is_some() {
            return Ok(known);
        }
        let secret = match self.client.secret(&meta.name).await {
            Ok(secret) => secret,
            Err(ClusterError::Missing { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let version = secret.metadata.resource_version.clone();
        let (record, _content) = secret.read()?;
        lock(&self.known).insert(record.uid.clone(), (version, record.clone()));
        Ok(Some(record))
    }

    /// What a revision consists of.
    pub(crate) async fn content(&self, number: u32) -> Result<(Record, Content), HelmError> {
        self.client.secret(&secret_name(&self.config.release.name, number)).await?.read()
    }

    /// Whether whoever carries the running order out is alive: this process, or another one that
    /// goes on saying so. Its clock does not matter, only that what it says changes.
    pub(crate) fn runner_lives(&self, journal: &Journal) -> bool {
        let Some(entry) = journal.running() else { return false };
        if self.run(&entry.order).is_some() {
            return true;
        }
        let mut beat = lock(&self.beat);
        match beat.as_ref().filter(|(said, _)| *said == journal.beat) {
            Some((_, since)) => since.elapsed() <= self.config.lease.saturating_mul(2),
            None => {
                *beat = Some((journal.beat.clone(), Instant::now()));
                true
            }
        }
    }
}
