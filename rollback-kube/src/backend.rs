//! The trait: what the engine asks of a CD system, answered by one workload of a cluster.

use crate::ADAPTER;
use crate::classify::{Bounds, Seen};
use crate::client::{Client, Dry};
use crate::config::Config;
use crate::marks;
use crate::objects::{Object, Pod, canonical};
use crate::obstacle::undone_by;
use crate::order::{Asked, Decision, fence};
use crate::progress::{Execution, Found, Look};
use crate::rollout;
use async_trait::async_trait;
use core::time::Duration;
use rollback_cluster::{Cluster, ClusterError, KeptWatch};
use rollback_core::observed::{Acceptance, Live, Preflight};
use rollback_core::ports::{
    Cancel, Capabilities, CdBackend, Changes, Clock, ErrorKind, Fenced, HistoryOptions,
    LiveOptions, NoChanges, ObserveOptions, PortError, StartError,
};
use rollback_core::proof::{Order, OrderRef};
use rollback_core::{Phase, Plan, Progress, Receipt, Revision, RollbackId, ServiceKey};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// How often an order is built anew on a look that was outdated when it arrived. Each time it was
/// proved that nothing had happened.
const TRIES: usize = 5;
/// How many ended executions are remembered: more than a service has in its engine's memory.
const ENDED_KEPT: usize = 64;
/// How long to wait for the next look where watching is not allowed.
const POLL_EVERY: Duration = Duration::from_secs(2);

/// One workload of a cluster, as a CD system.
#[derive(Debug)]
pub struct KubeBackend {
    config: Config,
    client: Client,
    /// The version of the workload that was read last: a watch tells what came after it.
    seen: Arc<Mutex<Option<String>>>,
    /// Executions that were seen complete. Kubernetes forgets that once something else is live.
    ended: Mutex<VecDeque<Receipt>>,
}

impl KubeBackend {
    /// A backend for one workload. Nothing is sent yet.
    #[must_use]
    pub fn new(cluster: Cluster, config: Config) -> Self {
        let client = Client::new(cluster, config.workload.clone(), config.request_timeout);
        Self { config, client, seen: Arc::default(), ended: Mutex::default() }
    }

    /// A backend has one workload. A question about another service is a mistake of the
    /// configuration.
    fn check_key(&self, key: &ServiceKey, operation: &'static str) -> Result<(), PortError> {
        if *key == self.config.key {
            return Ok(());
        }
        let ours = &self.config.key;
        let what = format!(
            "{key} is not {}, only {ours} is; correct the configuration",
            self.config.workload
        );
        Err(PortError::new(ErrorKind::Misconfigured, ADAPTER, operation, what))
    }

    const fn bounds(&self) -> Bounds {
        let Config { deadline, grace, stuck_after, .. } = self.config;
        Bounds { deadline, grace, stuck_after }
    }

    async fn read(&self) -> Result<Object, ClusterError> {
        let object = self.client.read().await?;
        let version = object.metadata.resource_version.clone();
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(version);
        Ok(object)
    }

    async fn look(&self) -> Result<Seen, ClusterError> {
        let object = self.read().await?;
        let kept = self.client.kept(&object).await?;
        Ok(Seen { kind: self.config.workload.kind, object, kept })
    }

    /// The pods, where they can say more than the rollout does.
    async fn pods(&self, seen: &Seen) -> Result<Vec<Pod>, ClusterError> {
        match rollout::status(seen.kind, &seen.object) {
            rollout::Rollout::Done(_) => Ok(Vec::new()),
            rollout::Rollout::Waiting(_) | rollout::Rollout::Failed(_) => {
                self.client.pods(&seen.object).await
            }
        }
    }

    async fn send(&self, order: &OrderRef) -> Result<Receipt, StartError> {
        let plan = order.plan();
        let refused = |error: ClusterError| StartError::Refused { why: error.to_string() };
        let mut seen = self.look().await.map_err(refused)?;
        let first = seen.object.metadata.clone();
        for _try in 0..TRIES {
            let asked = Asked {
                order: order.rollback(),
                from: &plan.from().revision,
                to: &plan.to().revision,
                now: self.config.clock.now(),
            };
            let (patch, receipt) = match seen.decide(asked, &first) {
                Decision::Taken(receipt) => return Ok(receipt),
                Decision::Refuse(error) => return Err(error),
                Decision::Send { patch, receipt } => (patch, receipt),
            };
            if asked.now > order.valid_until() {
                let why = "what the guards saw is too old by now; nothing was changed".into();
                return Err(StartError::Refused { why });
            }
            match self.client.patch(&patch, Dry::No).await {
                Ok(_changed) => return Ok(receipt),
                Err(ClusterError::Moved { .. }) => seen = self.look().await.map_err(refused)?,
                Err(error @ ClusterError::Silent { .. }) => {
                    return Err(StartError::InDoubt { why: error.to_string() });
                }
                Err(error) => return Err(refused(error)),
            }
        }
        let why =
            format!("{} changes too fast; nothing was changed; try again", self.config.workload);
        Err(StartError::Refused { why })
    }

    /// Whether the API server would take the order's patch, with every webhook's consent.
    async fn rehearse(&self, seen: &Seen, plan: &Plan) -> Result<Acceptance, ClusterError> {
        let to = &plan.to().revision;
        let (Some(target), Ok(id)) = (seen.find(to), RollbackId::parse("rehearsal")) else {
            return Ok(Acceptance::Rejected(format!("`{}` is gone", to.short())));
        };
        let asked =
            Asked { order: &id, from: &plan.from().revision, to, now: self.config.clock.now() };
        let (patch, _never) = seen.order(asked, target);
        match self.client.patch(&patch, Dry::Run).await {
            Ok(would) if canonical(&would.spec.template) == canonical(&target.template) => {
                Ok(Acceptance::Accepted)
            }
            Ok(_changed) => Ok(Acceptance::Rejected(
                "an admission webhook of the cluster changes the pod template, so that something else than the target would run; see what it adds, or deploy that version anew"
                    .into(),
            )),
            Err(error @ ClusterError::Refused { .. }) => Ok(Acceptance::Rejected(error.to_string())),
            Err(error) => Err(error),
        }
    }

    fn remember(&self, receipt: &Receipt) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if !ended.contains(receipt) {
            ended.push_back(receipt.clone());
            if ended.len() > ENDED_KEPT {
                ended.pop_front();
            }
        }
    }

    fn was_complete(&self, receipt: &Receipt) -> bool {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).contains(receipt)
    }

    async fn put_up_fence(&self, order: &RollbackId) -> Result<Fenced, ClusterError> {
        let mut tries = 0;
        loop {
            let meta = match self.read().await {
                Ok(object) => object.metadata,
                // An order is bound to the object that it was built on, and that one is gone.
                Err(ClusterError::Missing { .. }) => return Ok(Fenced::Done),
                Err(error) => return Err(error),
            };
            tries += 1;
            match self.client.patch(&fence(&meta, order), Dry::No).await {
                Ok(after) if marks::moved(&meta, &after.metadata) => return Ok(Fenced::Done),
                Err(error) if tries >= TRIES => return Err(error),
                // Another object of that name by now, or a webhook that took the annotation away.
                Ok(_) | Err(ClusterError::Moved { .. }) if tries < TRIES => {}
                Ok(_) => return Ok(Fenced::Unsupported),
                Err(error) => return Err(error),
            }
        }
    }
}

#[async_trait]
impl CdBackend for KubeBackend {
    /// The API server itself compares, in the patch that sets; and an annotation moves what it
    /// compares. Both are proved by the conformance suite on a real API server.
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
        let read = async {
            let seen = self.look().await?;
            let pods = self.pods(&seen).await?;
            let mut history = seen.history(&pods, self.config.clock.now(), self.bounds());
            history.truncate(options.limit);
            Ok(history)
        };
        read.await.map_err(|error: ClusterError| error.into_port(ADAPTER, OPERATION))
    }

    async fn live(&self, key: &ServiceKey, _options: LiveOptions) -> Result<Live, PortError> {
        const OPERATION: &str = "read what is live";
        self.check_key(key, OPERATION)?;
        let read = async {
            let seen = self.look().await?;
            let pods = self.pods(&seen).await?;
            Ok(seen.state(&pods, self.config.clock.now(), self.bounds()))
        };
        read.await.map_err(|error: ClusterError| error.into_port(ADAPTER, OPERATION))
    }

    async fn preflight(&self, plan: &Plan) -> Result<Preflight, PortError> {
        const OPERATION: &str = "check the rollback";
        self.check_key(plan.key(), OPERATION)?;
        let check = async {
            let seen = self.look().await?;
            let to = &plan.to().revision;
            let mut preflight = match seen.obstacle(to) {
                Some(why) => Preflight::rejected(why),
                None => {
                    let mut preflight = Preflight::accepted();
                    preflight.acceptance = self.rehearse(&seen, plan).await?;
                    preflight
                }
            };
            preflight.undone_by = undone_by(&seen.object);
            preflight.not_undone = seen.not_undone(to, &self.pods(&seen).await?);
            Ok(preflight)
        };
        check.await.map_err(|error: ClusterError| error.into_port(ADAPTER, OPERATION))
    }

    async fn start(&self, order: Order) -> Result<Receipt, StartError> {
        self.check_key(order.plan().key(), "take the order")
            .map_err(|error| StartError::Refused { why: error.what })?;
        self.send(&order).await
    }

    async fn find(&self, order: &OrderRef) -> Result<Option<Receipt>, PortError> {
        const OPERATION: &str = "find the order";
        let plan = order.plan();
        self.check_key(plan.key(), OPERATION)?;
        let seen = self.look().await.map_err(|error| error.into_port(ADAPTER, OPERATION))?;
        if let Some(mark) = seen.mark_of(order.rollback()) {
            return Ok(Some(seen.receipt(&mark)));
        }
        if seen.find(&plan.from().revision).is_none() && seen.find(&plan.to().revision).is_none() {
            // Made anew, or its whole history pruned: what was written on it is gone too.
            let what = format!(
                "{} is not the one that the order was for; whether that one took it cannot be read any more; look at what runs",
                self.config.workload
            );
            return Err(PortError::new(ErrorKind::Rejected, ADAPTER, OPERATION, what));
        }
        Ok(None)
    }

    async fn fence(&self, order: &OrderRef) -> Result<Fenced, PortError> {
        const OPERATION: &str = "fence off older orders";
        self.check_key(order.plan().key(), OPERATION)?;
        self.put_up_fence(order.rollback())
            .await
            .map_err(|error| error.into_port(ADAPTER, OPERATION))
    }

    async fn observe(
        &self,
        order: &OrderRef,
        receipt: &Receipt,
        _options: ObserveOptions,
    ) -> Result<Progress, PortError> {
        const OPERATION: &str = "look at the execution";
        let plan = order.plan();
        self.check_key(plan.key(), OPERATION)?;
        let unknown = || {
            let what = format!("there is no execution `{}` of this workload", receipt.execution);
            PortError::new(ErrorKind::Rejected, ADAPTER, OPERATION, what)
        };
        let execution = Execution::read(receipt).ok_or_else(unknown)?;
        let read = async {
            let seen = self.look().await?;
            let pods = self.pods(&seen).await?;
            Ok((seen, pods))
        };
        let (seen, pods) = match read.await {
            Ok(read) => read,
            Err(ClusterError::Missing { .. }) => {
                let mut gone = Progress::new(Phase::Failed);
                gone.message = Some("the workload was deleted".into());
                return Ok(gone);
            }
            Err(error) => return Err(error.into_port(ADAPTER, OPERATION)),
        };
        let look = Look {
            seen: &seen,
            pods: &pods,
            to: &plan.to().revision,
            ordered_at: order.issued_at(),
            now: self.config.clock.now(),
            bounds: self.bounds(),
        };
        match look.at(&execution) {
            Found::Nothing => Err(unknown()),
            Found::Overtaken(mut progress) => {
                if self.was_complete(receipt) {
                    progress.phase = Phase::Complete;
                    progress.message =
                        Some("it was complete before something else took its place".into());
                }
                Ok(progress)
            }
            Found::At(progress) => {
                if progress.phase == Phase::Complete {
                    self.remember(receipt);
                }
                Ok(progress)
            }
        }
    }

    fn changes(&self, key: &ServiceKey) -> Box<dyn Changes> {
        if self.check_key(key, "wait for changes").is_err() {
            return Box::new(NoChanges::default());
        }
        Box::new(WorkloadChanges {
            client: self.client.clone(),
            clock: Arc::clone(&self.config.clock),
            seen: Arc::clone(&self.seen),
            watch: KeptWatch::default(),
        })
    }
}

/// A watch on the workload, from what was read last on.
#[derive(Debug)]
struct WorkloadChanges {
    client: Client,
    clock: Arc<dyn Clock>,
    seen: Arc<Mutex<Option<String>>>,
    watch: KeptWatch,
}

#[async_trait]
impl Changes for WorkloadChanges {
    async fn next(&mut self) {
        let version = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Nobody has looked yet.
        let Some(version) = version else { return };
        if let Err(error) = self.watch.changed(|| self.client.watch(&version)).await {
            tracing::debug!(%error, "watching failed; looking now and then instead");
            self.clock.sleep(POLL_EVERY).await;
        }
    }
}
