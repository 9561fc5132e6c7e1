//! The trait: what the engine asks of a CD system, answered from one folder.

use super::ADAPTER;
use super::classify::{Asked, Decision, Integrity, Ledger};
use super::config::Config;
use super::error::ReleasesError;
use super::folder::{Folder, Turn};
use super::journal::{Accepted, Entry, Released};
use super::run;
use super::supervise::Supervisor;
use super::wire::{Mishap, Wire};
use async_trait::async_trait;
use rollback_core::observed::{ExpectedDuration, Live, Preflight};
use rollback_core::ports::{
    Cancelled, Capabilities, CdBackend, Changes, ErrorKind, Fenced, HistoryOptions, LiveOptions,
    NoChanges, ObserveOptions, PortError, StartError,
};
use rollback_core::proof::{Order, OrderRef};
use rollback_core::{
    Label, Migrations, Plan, Presence, Progress, Receipt, Revision, RevisionId, ServiceKey,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// A release to deploy.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Release {
    /// Its version, for people.
    pub version: Label,
    /// The commit it was built from.
    pub commit: Option<Label>,
    /// The migrations it brings.
    pub migrations: Migrations,
    /// What stays behind when it is rolled back, one line each.
    pub leaves_behind: Vec<String>,
    /// Its files, by plain name.
    pub files: BTreeMap<String, String>,
}

impl Release {
    /// A release of these files, of which nothing else is known.
    #[must_use]
    pub fn new(version: impl Into<Label>, files: BTreeMap<String, String>) -> Self {
        Self {
            version: version.into(),
            commit: None,
            migrations: Migrations::Unknown,
            leaves_behind: Vec::new(),
            files,
        }
    }
}

/// A CD system in a folder. Clones share it; when the last is dropped, it lets go of the folder, and
/// what was begun goes on when the folder is opened again.
#[derive(Clone, Debug)]
pub struct Releases {
    inner: Arc<Inner>,
    _runner: Arc<Runner>,
}

/// What the trait and the loop share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) folder: Arc<Folder>,
    pub(crate) supervisor: Supervisor,
    wire: Wire,
    grace: Mutex<Duration>,
}

#[derive(Debug)]
struct Runner(AbortHandle);

impl Drop for Runner {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Inner {
    /// How long an accepted operation waits for somebody to cancel it.
    pub(crate) fn grace(&self) -> Duration {
        *self.grace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does file work where it holds nobody up. What was begun is finished even when nobody waits.
    pub(crate) async fn with_folder<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Folder) -> Result<T, ReleasesError> + Send + 'static,
    ) -> Result<T, ReleasesError> {
        let folder = Arc::clone(&self.folder);
        let worked = tokio::task::spawn_blocking(move || work(&folder)).await;
        worked.unwrap_or(Err(ReleasesError::Stopped))
    }
}

impl Releases {
    /// Opens a folder, takes up what was left undone in it, and keeps its service running.
    ///
    /// # Errors
    ///
    /// [`ReleasesError::Taken`] when another process manages the folder; nothing was changed.
    /// Others as they come.
    pub async fn open(config: Config) -> Result<Self, ReleasesError> {
        let root = config.root.clone();
        let opened = tokio::task::spawn_blocking(move || {
            let folder = Folder::open(&root)?;
            // What cannot be read now would not be read later either.
            folder.ledger().map(|_readable| folder)
        });
        let folder = opened.await.unwrap_or(Err(ReleasesError::Stopped))?;
        let supervisor = Supervisor::new(&config);
        let inner = Arc::new(Inner {
            supervisor,
            folder: Arc::new(folder),
            wire: Wire::default(),
            grace: Mutex::new(config.grace),
            config,
        });
        let runner = tokio::spawn(run::run(Arc::clone(&inner))).abort_handle();
        Ok(Self { inner, _runner: Arc::new(Runner(runner)) })
    }

    /// Where the service answers.
    #[must_use]
    pub fn service_url(&self) -> String {
        self.inner.supervisor.url("/")
    }

    /// Where the service says how it is.
    #[must_use]
    pub fn health_url(&self) -> String {
        self.inner.supervisor.url("/health")
    }

    /// Changes [`Config::grace`], from the next operation on.
    pub fn set_grace(&self, grace: Duration) {
        *self.inner.grace.lock().unwrap_or_else(PoisonError::into_inner) = grace;
    }

    /// Lets something go wrong with the next order, for tests and for practice.
    pub fn befall_next_order(&self, mishap: Mishap) {
        self.inner.wire.befall_next(mishap);
    }

    /// Lets every order that was held up arrive, and waits until it is dealt with.
    pub async fn let_held_orders_arrive(&self) {
        self.inner.wire.release().await;
    }

    /// Deploys a release and waits until it is live. Dropping the future leaves the deploy to be
    /// carried out.
    ///
    /// # Errors
    ///
    /// [`ReleasesError::Busy`] and [`ReleasesError::BadRelease`] before anything was changed;
    /// [`ReleasesError::NotLive`] when it did not come up, after what was live before is live again.
    pub async fn deploy(&self, release: Release) -> Result<Revision, ReleasesError> {
        let (first, at) = (self.inner.config.first, self.inner.config.clock.now());
        let name = self
            .inner
            .with_folder(move |folder| {
                let live = folder.live()?;
                let turn = folder.turn()?;
                if let Some(busy) = turn.ledger.unfinished() {
                    return Err(ReleasesError::Busy(busy.accepted.execution.clone()));
                }
                let number = turn.ledger.next_number(first).to_string();
                let id = RevisionId::parse(number)
                    .map_err(|error| ReleasesError::BadRelease(error.to_string()))?;
                let files = folder.put(&id, &release.files)?;
                let Release { version, commit, migrations, leaves_behind, .. } = release;
                let to = id.clone();
                let released =
                    Released { at, id, version, commit, migrations, leaves_behind, files };
                let execution = turn.ledger.next_execution();
                let name = execution.clone();
                let accepted = Accepted { at, execution, operation: None, from: live, to };
                turn.write(&[Entry::Released(released), Entry::Accepted(accepted)])?;
                Ok(name)
            })
            .await?;
        let deployed = self.wait_for(&name).await?;
        self.make_room().await?;
        Ok(deployed)
    }

    async fn wait_for(&self, execution: &Label) -> Result<Revision, ReleasesError> {
        let mut changes = self.inner.folder.watch();
        loop {
            let (ledger, live) =
                self.inner.with_folder(|folder| Ok((folder.ledger()?, folder.live()?))).await?;
            let ended = ledger.execution(execution).filter(|known| known.step.is_end());
            if let Some(ended) = ended {
                let to = &ended.accepted.to;
                if let Some(released) = ledger.release(to).filter(|_| live.as_ref() == Some(to)) {
                    return Ok(ledger.revision(released, live.as_ref(), &Integrity::Intact));
                }
                let why = ended.message.as_ref().map(ToString::to_string).unwrap_or_default();
                return Err(ReleasesError::NotLive { release: to.clone(), why });
            }
            if changes.changed().await.is_err() {
                return Err(ReleasesError::Stopped);
            }
        }
    }

    /// Removes the oldest release folders, never the live one.
    async fn make_room(&self) -> Result<(), ReleasesError> {
        let (keep, at) = (self.inner.config.keep, self.inner.config.clock.now());
        self.inner
            .with_folder(move |folder| {
                let turn = folder.turn()?;
                let live = folder.live()?;
                let old: Vec<_> = turn
                    .ledger
                    .releases
                    .iter()
                    .rev()
                    .skip(keep)
                    .map(|released| released.id.clone())
                    .filter(|id| live.as_ref() != Some(id) && !turn.ledger.is_pruned(id))
                    .collect();
                // Written first: a folder that is half removed must not count as restorable.
                let entries: Vec<_> = old
                    .iter()
                    .map(|release| Entry::Pruned { at, release: release.clone() })
                    .collect();
                if !entries.is_empty() {
                    turn.write(&entries)?;
                }
                old.iter().try_for_each(|id| folder.prune(id))
            })
            .await
    }

    /// A folder has one service. A question about another one is a mistake of the configuration.
    fn check_key(&self, key: &ServiceKey, operation: &'static str) -> Result<(), PortError> {
        if *key == self.inner.config.key {
            return Ok(());
        }
        let ours = &self.inner.config.key;
        let what =
            format!("{key} is not in this folder, only {ours} is; correct the configuration");
        Err(PortError::new(ErrorKind::Misconfigured, ADAPTER, operation, what))
    }

    async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        read: impl FnOnce(&Folder) -> Result<T, ReleasesError> + Send + 'static,
    ) -> Result<T, PortError> {
        self.inner.with_folder(read).await.map_err(|error| error.into_port(operation))
    }
}

#[async_trait]
impl CdBackend for Releases {
    /// Every order is decided and written down under one lock, and carries the generation that was
    /// read with it. Both are proved by the conformance suite.
    fn capabilities(&self, _key: &ServiceKey) -> Capabilities {
        Capabilities::full()
    }

    async fn history(
        &self,
        key: &ServiceKey,
        options: HistoryOptions,
    ) -> Result<Vec<Revision>, PortError> {
        self.check_key(key, "read the history")?;
        self.read("read the history", move |folder| {
            let (ledger, live) = (folder.ledger()?, folder.live()?);
            let newest_first = ledger.releases.iter().rev().take(options.limit);
            newest_first
                .map(|released| {
                    let integrity = seen(folder, &ledger, &released.id)?;
                    Ok(ledger.revision(released, live.as_ref(), &integrity))
                })
                .collect()
        })
        .await
    }

    async fn live(&self, key: &ServiceKey, _options: LiveOptions) -> Result<Live, PortError> {
        self.check_key(key, "read what is live")?;
        self.read("read what is live", |folder| Ok(folder.ledger()?.live(folder.live()?.as_ref())))
            .await
    }

    async fn preflight(&self, plan: &Plan) -> Result<Preflight, PortError> {
        self.check_key(plan.key(), "check the rollback")?;
        let (from, to) = (plan.from().revision.clone(), plan.to().revision.clone());
        let grace = self.inner.grace();
        self.read("check the rollback", move |folder| {
            let ledger = folder.ledger()?;
            let integrity = seen(folder, &ledger, &to)?;
            let mut preflight = match ledger.obstacle(&to, &integrity) {
                None => Preflight::accepted(),
                Some(why) => Preflight::rejected(why),
            };
            // The ledger has one writer, and it puts nothing back by itself.
            preflight.undone_by = Presence::Nothing;
            preflight.not_undone = ledger.left_behind(&from, &to);
            let expected = ledger.expected().map(|took| took.saturating_add(grace));
            preflight.expected = expected.map(ExpectedDuration::about);
            Ok(preflight)
        })
        .await
    }

    async fn start(&self, order: Order) -> Result<Receipt, StartError> {
        let refused = |why: String| StartError::Refused { why };
        let plan = order.plan();
        self.check_key(plan.key(), "take the order").map_err(|error| refused(error.what))?;
        if self.inner.config.clock.now() > order.valid_until() {
            return Err(refused("what the guards saw is too old by now".to_owned()));
        }
        let (operation, from, to) =
            (order.rollback().clone(), plan.from().revision.clone(), plan.to().revision.clone());
        // What the order expects is read before anything is asked: a fence in between voids it.
        let ledger = self.inner.with_folder(|folder| folder.ledger()).await;
        let generation = ledger.map_err(|error| refused(error.to_string()))?.generation;
        let inner = Arc::clone(&self.inner);
        let arrive = async move {
            let at = inner.config.clock.now();
            let accept = move |folder: &Folder| {
                let asked =
                    Asked { operation: &operation, expected_live: &from, target: &to, generation };
                Ok(accept(folder, &asked, at))
            };
            // The work may have been done before the process began to stop.
            let in_doubt =
                |error: ReleasesError| Err(StartError::InDoubt { why: error.to_string() });
            inner.with_folder(accept).await.unwrap_or_else(in_doubt)
        };
        self.inner.wire.carry(arrive).await
    }

    async fn find(&self, order: &OrderRef) -> Result<Option<Receipt>, PortError> {
        self.check_key(order.plan().key(), "find the order")?;
        let operation = order.rollback().clone();
        self.read("find the order", move |folder| {
            let ledger = folder.ledger()?;
            let known = ledger.execution_of(&operation);
            Ok(known.map(|known| Receipt::new(known.accepted.execution.clone())))
        })
        .await
    }

    async fn fence(&self, order: &OrderRef) -> Result<Fenced, PortError> {
        self.check_key(order.plan().key(), "fence off older orders")?;
        let entry = Entry::Fenced {
            at: self.inner.config.clock.now(),
            operation: order.rollback().clone(),
        };
        self.read("fence off older orders", move |folder| folder.turn()?.write(&[entry])).await?;
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
        let name = receipt.execution.clone();
        let progress = self
            .read(OPERATION, move |folder| {
                let (ledger, live) = (folder.ledger()?, folder.live()?);
                let live = live.map(|id| ledger.reference(&id));
                Ok(ledger.execution(&name).map(|known| known.progress(live)))
            })
            .await?;
        progress.ok_or_else(|| unknown_execution(OPERATION, receipt))
    }

    async fn cancel(&self, order: &OrderRef, receipt: &Receipt) -> Result<Cancelled, PortError> {
        const OPERATION: &str = "cancel the execution";
        self.check_key(order.plan().key(), OPERATION)?;
        let (execution, at) = (receipt.execution.clone(), self.inner.config.clock.now());
        let cancelled = self
            .read(OPERATION, move |folder| {
                let turn = folder.turn()?;
                let Some(known) = turn.ledger.execution(&execution) else {
                    return Ok(None);
                };
                if !known.is_cancellable() {
                    return Ok(Some(Cancelled::TooLate));
                }
                turn.write(&[Entry::CancelAsked { at, execution }])?;
                Ok(Some(Cancelled::Requested))
            })
            .await?;
        cancelled.ok_or_else(|| unknown_execution(OPERATION, receipt))
    }

    fn changes(&self, key: &ServiceKey) -> Box<dyn Changes> {
        if self.check_key(key, "wait for changes").is_err() {
            return Box::new(NoChanges::default());
        }
        Box::new(FolderChanges(self.inner.folder.watch()))
    }
}

/// What was written into the folder since the last hint.
#[derive(Debug)]
struct FolderChanges(watch::Receiver<u64>);

#[async_trait]
impl Changes for FolderChanges {
    async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

fn unknown_execution(operation: &'static str, receipt: &Receipt) -> PortError {
    let what = format!("there is no execution `{}` in this folder", receipt.execution);
    PortError::new(ErrorKind::Rejected, ADAPTER, operation, what)
}

fn seen(folder: &Folder, ledger: &Ledger, id: &RevisionId) -> Result<Integrity, ReleasesError> {
    match ledger.release(id) {
        Some(released) if !ledger.is_pruned(id) => folder.integrity(released),
        Some(_) | None => Ok(Integrity::Missing),
    }
}

/// Decides about an order and writes the decision down, under one lock. Until it begins to write,
/// whatever goes wrong is a refusal: nothing has happened. From then on it is doubt.
fn accept(
    folder: &Folder,
    asked: &Asked<'_>,
    at: rollback_core::Timestamp,
) -> Result<Receipt, StartError> {
    let refused = |error: ReleasesError| StartError::Refused { why: error.to_string() };
    let turn = folder.turn().map_err(refused)?;
    let live = folder.live().map_err(refused)?;
    let integrity = seen(folder, &turn.ledger, asked.target).map_err(refused)?;
    match turn.ledger.decide(asked, live.as_ref(), &integrity) {
        Decision::Known(execution) => Ok(Receipt::new(execution)),
        Decision::Refuse(why) => Err(StartError::Refused { why }),
        Decision::Conflict(why) => {
            Err(StartError::Conflict { live: live.map(|id| turn.ledger.reference(&id)), why })
        }
        Decision::Accept => write_order(turn, asked, at, live),
    }
}

fn write_order(
    turn: Turn<'_>,
    asked: &Asked<'_>,
    at: rollback_core::Timestamp,
    from: Option<RevisionId>,
) -> Result<Receipt, StartError> {
    let execution = turn.ledger.next_execution();
    let accepted = Accepted {
        at,
        execution: execution.clone(),
        operation: Some(asked.operation.clone()),
        from,
        to: asked.target.clone(),
    };
    match turn.write(&[Entry::Accepted(accepted)]) {
        Ok(()) => Ok(Receipt::new(execution)),
        Err(error) => Err(StartError::InDoubt { why: error.to_string() }),
    }
}
