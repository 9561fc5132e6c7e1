//! The trait: what the engine asks of a CD system, answered by one release of a cluster.

use crate::ADAPTER;
use crate::client::Client;
use crate::command;
use crate::config::Config;
use crate::error::HelmError;
use crate::history::{Newest, Seen, current};
use crate::journal::{Entry, State, Written};
use crate::manifest;
use crate::proxy::{Job, Proxy, Stage, ended_words};
use crate::record::{Content, Record};
use crate::run::Run;
use crate::site::Site;
use async_trait::async_trait;
use core::time::Duration;
use rollback_cluster::{Cluster, KeptWatch};
use rollback_core::observed::{Live, Preflight};
use rollback_core::ports::{
    Cancel, Capabilities, CdBackend, Changes, ErrorKind, Fenced, HistoryOptions, LiveOptions,
    NoChanges, ObserveOptions, PortError, StartError,
};
use rollback_core::proof::{Order, OrderRef};
use rollback_core::{Plan, Presence, Progress, Receipt, Revision, RollbackId, ServiceKey};
use std::sync::Arc;
use tokio::sync::Mutex;

/// How long to wait for the next look where watching is not allowed.
const POLL_EVERY: Duration = Duration::from_secs(2);
/// How old the record of an order must be that nobody has decided, before it counts as abandoned.
const UNDECIDED_MAX: Duration = Duration::from_secs(300);

/// One release of a cluster, as a CD system.
#[derive(Debug)]
pub struct HelmBackend {
    site: Arc<Site>,
    /// Orders are prepared one after the other.
    starting: Mutex<()>,
}

impl HelmBackend {
    /// A backend for one release. Nothing is sent yet, and helm is not called.
    #[must_use]
    pub fn new(cluster: Cluster, config: Config) -> Self {
        let client = Client::new(cluster, config.release.clone(), config.request_timeout);
        Self { site: Arc::new(Site::new(config, client)), starting: Mutex::default() }
    }

    /// A backend has one release. A question about another service is a mistake of the
    /// configuration.
    fn check_key(&self, key: &ServiceKey, operation: &'static str) -> Result<(), PortError> {
        let config = &self.site.config;
        if *key == config.key {
            return Ok(());
        }
        let ours = &config.key;
        let what =
            format!("{key} is not {}, only {ours} is; correct the configuration", config.release);
        Err(PortError::new(ErrorKind::Misconfigured, ADAPTER, operation, what))
    }

    fn newest<'a>(&self, seen: &'a Seen) -> Newest<'a> {
        seen.newest(self.site.config.clock.now(), self.site.config.pending_max)
    }

    /// Removes the record of an order that never took effect and never will.
    async fn sweep(&self, seen: &Seen) -> Result<(), HelmError> {
        let Some(record) = seen.leftover() else { return Ok(()) };
        let Some(order) = &record.order else { return Ok(()) };
        let now = self.site.config.clock.now();
        if seen.journal.of(order).is_none() {
            // Somebody may be about to decide it.
            let since = record.created.unwrap_or(now);
            if now.since(since) < UNDECIDED_MAX {
                return Ok(());
            }
        }
        let entry = Entry::void(order.clone(), now);
        match self.site.client.note(&entry, |_known| false, now).await? {
            Written::Done => {}
            Written::Ended(known) if known.state == State::Void => {}
            Written::Ended(_) => return Ok(()),
        }
        let name = crate::record::secret_name(&self.site.config.release.name, record.number);
        match self.site.client.secret_meta(&name).await? {
            // As it was left: helm has not written it again.
            Some(meta)
                if meta.uid == record.uid && meta.annotation(crate::record::ORDER).is_some() =>
            {
                Ok(self.site.client.delete_secret(&meta).await?)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Decides an order and lets helm begin.
    async fn begin(&self, order: &OrderRef) -> Result<Arc<Run>, Begun> {
        let refused = |error: HelmError| Begun::Not(StartError::Refused { why: error.to_string() });
        let _turn = self.starting.lock().await;
        if let Some(run) = self.site.run(order.rollback()) {
            return Ok(run);
        }
        let mut seen = self.site.look().await.map_err(refused)?;
        if let Some(entry) = seen.journal.of(order.rollback()) {
            return Err(known(entry));
        }
        if let Some(silent) = seen.journal.running().filter(|_| !seen.runner_lives).cloned() {
            // Nothing begins beside an order that its process might come back to.
            self.site.progress(&seen, &silent).await.map_err(refused)?;
            seen = self.site.look().await.map_err(refused)?;
        }
        if seen.leftover().is_some() {
            self.sweep(&seen).await.map_err(refused)?;
            seen = self.site.look().await.map_err(refused)?;
        }
        let job = self.job(order, &seen).await?;
        let version = self.site.helm.version(&self.site.config.helm).await.map_err(refused)?;
        let how = (job.target.number, job.must_wait);
        let opened = Proxy::open(Arc::clone(&self.site), job).await;
        let (proxy, door) = opened.map_err(|error| {
            let what = format!("its way to the cluster cannot be opened ({})", error.kind());
            refused(HelmError::Command { what })
        })?;
        let helm = command::start(&self.site.config, version, how, &proxy.server());
        Ok(Run::begin(&self.site, proxy, door, helm.map_err(refused)?))
    }

    async fn job(&self, order: &OrderRef, seen: &Seen) -> Result<Job, Begun> {
        let refuse = |why: String| Begun::Not(StartError::Refused { why });
        let refused = |error: HelmError| refuse(error.to_string());
        let plan = order.plan();
        let (newest, now) = (self.newest(seen), self.site.config.clock.now());
        let live = seen.live(now, self.site.config.pending_max);
        if seen.leftover().is_some() {
            return Err(refuse(
                "another rollback is about to begin; nothing was changed; try again".into(),
            ));
        }
        if let Newest::Settled(record) | Newest::Stuck(record) = newest
            && seen.identity(record).as_ref() != Some(&plan.from().revision)
        {
            let from = plan.from();
            let (now, from) = match &live.revision {
                Some(live) => (live.beside(from), from.beside(live)),
                None => ("nothing".to_owned(), from.to_string()),
            };
            let why = format!("{now} is live and not {from}; nothing was changed");
            return Err(Begun::Not(StartError::Conflict { live: live.revision, why }));
        }
        if let Some(why) = seen.obstacle(&newest, &plan.to().revision, now) {
            return Err(refuse(format!("{why}; nothing was changed")));
        }
        let (Some(from), Some(target)) = (current(&newest), seen.find(&plan.to().revision)) else {
            return Err(refuse("there is no such revision; nothing was changed".into()));
        };
        if now > order.valid_until() {
            return Err(refuse(
                "what the guards saw is too old by now; nothing was changed".into(),
            ));
        }
        let (_record, running) = self.site.content(from.number).await.map_err(refused)?;
        let wanted = manifest::read(&running);
        let keeper = self.site.keeper(from, wanted.as_deref()).await;
        match keeper.map_err(|error| refused(error.into()))? {
            Presence::Nothing => {}
            Presence::Something(keeper) => {
                return Err(refuse(format!("{}; nothing was changed", keeper.words())));
            }
            Presence::CannotTell(why) => {
                return Err(refuse(format!(
                    "whether anybody would undo it cannot be told: {why}; nothing was changed"
                )));
            }
        }
        let (record, content): (Record, Content) =
            self.site.content(target.number).await.map_err(refused)?;
        if record.uid != target.uid {
            return Err(refuse("the target was replaced meanwhile; nothing was changed".into()));
        }
        Ok(Job {
            order: order.rollback().clone(),
            from: from.clone(),
            target: record,
            to: plan.to().revision.clone(),
            must_wait: manifest::must_wait(&content),
            content,
            valid_until: order.valid_until(),
        })
    }

    async fn put_up_fence(&self, order: &RollbackId) -> Result<(), HelmError> {
        let now = self.site.config.clock.now();
        let entry = Entry::void(order.clone(), now);
        // An order that took effect is not fenced off any more; it is found.
        let (Written::Done | Written::Ended(_)) =
            self.site.client.note(&entry, |_known| false, now).await?;
        let seen = self.site.look().await?;
        self.sweep(&seen).await
    }
}

/// Why helm was not called.
enum Begun {
    /// The order took effect before.
    Already(Receipt),
    Not(StartError),
}

fn known(entry: &Entry) -> Begun {
    match entry.execution() {
        Some(execution) if entry.state != State::Void => Begun::Already(Receipt::new(execution)),
        Some(_) | None => Begun::Not(StartError::Refused { why: ended_words(State::Void) }),
    }
}

#[async_trait]
impl CdBackend for HelmBackend {
    /// Helm creates its record through us, and only as the successor of the revision that the order
    /// expects; it takes effect with a conditional write, which a fence makes fail. Both are proved
    /// by the conformance suite on a real API server, with Helm 3 and with Helm 4.
    ///
    /// Helm has no handler for cancelling: a rollback that is cut off stays pending for ever. The way out
    /// is another rollback.
    fn capabilities(&self, _key: &ServiceKey) -> Capabilities {
        Capabilities::full().cancels(Cancel::No)
    }

    async fn history(
        &self,
        key: &ServiceKey,
        options: HistoryOptions,
    ) -> Result<Vec<Revision>, PortError> {
        const OPERATION: &str = "read the history";
        self.check_key(key, OPERATION)?;
        let seen = self.site.look().await.map_err(|error| error.into_port(OPERATION))?;
        let config = &self.site.config;
        let mut history = seen.history(config.clock.now(), config.pending_max);
        history.truncate(options.limit);
        Ok(history)
    }

    async fn live(&self, key: &ServiceKey, _options: LiveOptions) -> Result<Live, PortError> {
        const OPERATION: &str = "read what is live";
        self.check_key(key, OPERATION)?;
        let seen = self.site.look().await.map_err(|error| error.into_port(OPERATION))?;
        Ok(seen.live(self.site.config.clock.now(), self.site.config.pending_max))
    }

    async fn preflight(&self, plan: &Plan) -> Result<Preflight, PortError> {
        const OPERATION: &str = "check the rollback";
        self.check_key(plan.key(), OPERATION)?;
        self.site.preflight(plan).await.map_err(|error| error.into_port(OPERATION))
    }

    async fn start(&self, order: Order) -> Result<Receipt, StartError> {
        self.check_key(order.plan().key(), "take the order")
            .map_err(|error| StartError::Refused { why: error.what })?;
        let run = match self.begin(&order).await {
            Ok(run) => run,
            Err(Begun::Already(receipt)) => return Ok(receipt),
            Err(Begun::Not(error)) => return Err(error),
        };
        match run.decided(self.site.config.start_within).await {
            Stage::Committed(receipt) => Ok(receipt),
            Stage::Refused(why) => Err(StartError::Refused { why }),
            Stage::Conflict(why) => {
                let live = self
                    .live(order.plan().key(), LiveOptions::default())
                    .await
                    .ok()
                    .and_then(|live| live.revision);
                Err(StartError::Conflict { live, why: format!("{why}; nothing was changed") })
            }
            Stage::Waiting | Stage::Sent => Err(StartError::InDoubt {
                why: "the API server has not said whether helm's rollback is on record".into(),
            }),
        }
    }

    async fn find(&self, order: &OrderRef) -> Result<Option<Receipt>, PortError> {
        const OPERATION: &str = "find the order";
        self.check_key(order.plan().key(), OPERATION)?;
        let entry = self.site.client.order(order.rollback()).await;
        let entry = entry.map_err(|error| error.into_port(OPERATION))?;
        let entry = entry.filter(|entry| entry.state != State::Void);
        Ok(entry.as_ref().and_then(Entry::execution).map(Receipt::new))
    }

    async fn fence(&self, order: &OrderRef) -> Result<Fenced, PortError> {
        const OPERATION: &str = "fence off older orders";
        self.check_key(order.plan().key(), OPERATION)?;
        let fenced = self.put_up_fence(order.rollback()).await;
        fenced.map_err(|error| error.into_port(OPERATION))?;
        Ok(Fenced::Done)
    }

    async fn observe(
        &self,
        order: &OrderRef,
        receipt: &Receipt,
        _options: ObserveOptions,
    ) -> Result<Progress, PortError> {
        const OPERATION: &str = "look at the execution";
        self.check_key(order.plan().key(), OPERATION)?;
        let seen = self.site.look().await.map_err(|error| error.into_port(OPERATION))?;
        let Some(entry) = seen.journal.execution(receipt.execution.as_str()) else {
            let what = format!("there is no execution `{}` of this release", receipt.execution);
            return Err(PortError::new(ErrorKind::Rejected, ADAPTER, OPERATION, what));
        };
        self.site.progress(&seen, entry).await.map_err(|error| error.into_port(OPERATION))
    }

    /// While helm applies a revision its way to the cluster leads through this process.
    async fn drain(&self) {
        self.site.idle().await;
    }

    fn changes(&self, key: &ServiceKey) -> Box<dyn Changes> {
        if self.check_key(key, "wait for changes").is_err() {
            return Box::new(NoChanges::default());
        }
        Box::new(ReleaseChanges { site: Arc::clone(&self.site), watch: KeptWatch::default() })
    }
}

/// A watch on the release, from what was read last on, and what this process knows of its own runs.
#[derive(Debug)]
struct ReleaseChanges {
    site: Arc<Site>,
    watch: KeptWatch,
}

#[async_trait]
impl Changes for ReleaseChanges {
    async fn next(&mut self) {
        let Self { site, watch } = self;
        let watched = async {
            // Nobody has looked yet.
            let Some(version) = site.version() else { return };
            if let Err(error) = watch.changed(|| site.client.watch(&version)).await {
                tracing::debug!(%error, "watching failed; looking now and then instead");
                site.config.clock.sleep(POLL_EVERY).await;
            }
        };
        tokio::select! {
            () = watched => {}
            () = site.news.more() => {}
        }
    }
}
