//! What the adapter's parts share: the settings, the connection, and what was read already.

use crate::client::Client;
use crate::command::LastSaid;
use crate::config::Config;
use crate::error::HelmError;
use crate::history::Seen;
use crate::journal::{Journal, State};
use crate::record::{Content, Record, secret_name};
use crate::run::Run;
use rollback_cluster::ClusterError;
use rollback_core::RollbackId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::Notify;

/// How many revisions are unpacked: of a longer history the newest.
const RECORDS_MAX: usize = 60;

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
    pub(crate) news: Notify,
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
            news: Notify::new(),
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
        self.news.notify_waiters();
    }

    pub(crate) fn version(&self) -> Option<String> {
        lock(&self.version).clone()
    }

    /// Everything that is kept of the release.
    pub(crate) async fn look(&self) -> Result<Seen, HelmError> {
        let listed = self.client.list().await?;
        let mut metas = listed.metas;
        let number = |name: &str| crate::record::number_of(&self.config.release.name, name);
        metas.sort_by_key(|meta| std::cmp::Reverse(number(&meta.name)));
        metas.truncate(RECORDS_MAX);
        let mut records = Vec::with_capacity(metas.len());
        for meta in &metas {
            let known = lock(&self.known)
                .get(&meta.uid)
                .filter(|(version, _)| *version == meta.resource_version)
                .map(|(_, record)| record.clone());
            let record = match known {
                Some(record) => record,
                None => match self.client.secret(&meta.name).await {
                    Ok(secret) => {
                        let version = secret.metadata.resource_version.clone();
                        let (record, _content) = secret.read()?;
                        let kept = (version, record.clone());
                        lock(&self.known).insert(record.uid.clone(), kept);
                        record
                    }
                    // Pruned since it was listed.
                    Err(ClusterError::Missing { .. }) => continue,
                    Err(error) => return Err(error.into()),
                },
            };
            records.push(record);
        }
        lock(&self.known).retain(|uid, _| metas.iter().any(|meta| meta.uid == *uid));
        *lock(&self.version) = Some(listed.version);
        let journal = self.client.journal().await?;
        let runner_lives = self.runner_lives(&journal);
        Ok(Seen { records, journal, runner_lives })
    }

    /// What a revision consists of.
    pub(crate) async fn content(&self, number: u32) -> Result<(Record, Content), HelmError> {
        self.client.secret(&secret_name(&self.config.release.name, number)).await?.read()
    }

    /// Whether whoever carries the running order out is alive: this process, or another one that
    /// goes on saying so. Its clock does not matter, only that what it says changes.
    pub(crate) fn runner_lives(&self, journal: &Journal) -> bool {
        let Some(entry) = journal.entries.iter().find(|entry| entry.state == State::Running) else {
            return false;
        };
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
