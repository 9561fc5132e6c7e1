//! Drives one rollback: performs what its state waits for, feeds back what came of it, and keeps
//! its deadline. Everything it does is read from the state, so a driver that starts after a crash
//! does what the one before would have done next. Only an order is never sent again.

use crate::engine::Inner;
use crate::operation::{Operation, Standing, is_done};
use crate::work;
use rollback_core::ports::{Claim, StoreError};
use rollback_core::{Effect, Event, StateName, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::{AbortHandle, JoinSet};

/// How long a driver waits after the store did not answer.
const STORE_RETRY: Duration = Duration::from_millis(500);

/// What kind of work is under way, and for which state: a state that is entered again starts its
/// work again.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Job {
    state: StateName,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Kind {
    Standing,
    Facts,
    Intent,
    Trigger,
    Rehearse,
    Reconcile,
    Observe,
    Cancel,
    Verify,
    Watch,
}

#[derive(Debug)]
enum Work {
    Running(AbortHandle),
    /// Done once and not to be repeated while the state lasts.
    Done,
}

/// Starts a driver unless one is running.
pub(crate) fn ensure(inner: &Arc<Inner>, operation: &Arc<Operation>) {
    if operation.driven.swap(true, Ordering::AcqRel) {
        operation.wake.notify_one();
        return;
    }
    let (inner, operation) = (Arc::clone(inner), Arc::clone(operation));
    let tasks = inner.tasks.clone();
    tasks.spawn(async move {
        let id = operation.id.clone();
        let mut driver = Driver::new(Arc::clone(&inner), Arc::clone(&operation));
        driver.run().await;
        operation.driven.store(false, Ordering::Release);
        inner.retire(&id);
    });
}

struct Driver {
    inner: Arc<Inner>,
    operation: Arc<Operation>,
    claim: Option<Claim>,
    jobs: JoinSet<(Job, Option<Event>)>,
    work: BTreeMap<Job, Work>,
    entered: Option<(StateName, Timestamp)>,
}

/// What ended one wait of the loop.
enum Woken {
    Again,
    Done(Job, Option<Event>),
    Deadline,
    Renew,
    Stopping,
}

impl Driver {
    fn new(inner: Arc<Inner>, operation: Arc<Operation>) -> Self {
        Self {
            inner,
            operation,
            claim: None,
            jobs: JoinSet::new(),
            work: BTreeMap::new(),
            entered: None,
        }
    }

    async fn run(&mut self) {
        loop {
            match self.turn().await {
                Ok(true) => {}
                Ok(false) => break,
                Err(StoreError::ClaimLost(id)) => {
                    tracing::warn!(rollback = %id, "another process has taken this rollback over");
                    self.claim = None;
                    self.abandon_work();
                    self.operation.forget().await;
                }
                Err(error) => {
                    tracing::warn!(rollback = %self.operation.id, %error, "the store did not take a step");
                    self.pause(STORE_RETRY).await;
                }
            }
            if self.inner.stopping.is_cancelled() {
                break;
            }
        }
        self.finish().await;
    }

    /// One look at the rollback and one thing that happens. False when nothing is left to do.
    async fn turn(&mut self) -> Result<bool, StoreError> {
        if !self.claimed().await? {
            return Ok(true);
        }
        let standing = self.operation.standing(&self.inner).await?;
        if is_done(&standing) {
            return Ok(false);
        }
        self.note_state(standing.view.state);
        self.start_work(&standing).await?;
        let deadline = self.deadline(&standing);
        match self.wait(deadline).await {
            Woken::Again | Woken::Stopping => {}
            Woken::Renew => {
                self.claim = None;
            }
            Woken::Deadline => self.feed(Event::DeadlineReached).await?,
            Woken::Done(job, event) => {
                self.work.remove(&job);
                if job.kind == Kind::Cancel || job.kind == Kind::Trigger {
                    self.work.insert(job, Work::Done);
                }
                if let Some(event) = event {
                    self.feed_until_stored(event).await?;
                }
            }
        }
        Ok(true)
    }

    /// Holds the claim, or waits a while for it.
    async fn claimed(&mut self) -> Result<bool, StoreError> {
        let now = self.inner.clock.now();
        if let Some(claim) = &self.claim
            && now < renew_at(claim, self.inner.lease)
        {
            return Ok(true);
        }
        let inner = &self.inner;
        self.claim =
            inner.store.claim(&self.operation.id, &inner.instance, now, inner.lease).await?;
        if self.claim.is_none() {
            self.abandon_work();
            self.operation.forget().await;
            self.pause(self.inner.lease / 3).await;
        }
        Ok(self.claim.is_some())
    }

    fn note_state(&mut self, state: StateName) {
        if self.entered.is_none_or(|(before, _)| before != state) {
            self.entered = Some((state, self.inner.clock.now()));
            self.work.retain(|job, work| {
                let keep = job.state == state;
                if !keep && let Work::Running(handle) = work {
                    handle.abort();
                }
                keep
            });
        }
    }

    /// The moment to say that time is up. A state that waits for the CD system gets one good look
    /// after a restart before its time is called up: what happened meanwhile counts.
    fn deadline(&self, standing: &Standing) -> Option<Timestamp> {
        let deadline = standing.deadline?;
        let grace =
            self.inner.look_every.saturating_mul(2).saturating_add(self.inner.source_timeout);
        let ordered = match standing.view.state {
            StateName::Triggering | StateName::Running | StateName::Verifying => true,
            StateName::Proposed
            | StateName::Authorizing
            | StateName::Confirming
            | StateName::Approving
            | StateName::Checking
            | StateName::Recording
            | StateName::Succeeded
            | StateName::Failed
            | StateName::NotVerified
            | StateName::Refused
            | StateName::Denied
            | StateName::Withdrawn
            | StateName::Expired
            | StateName::OutcomeUnknown => false,
        };
        match self.entered {
            Some((_, entered)) if ordered => Some(deadline.max(entered.after(grace))),
            Some(_) | None => Some(deadline),
        }
    }

    async fn start_work(&mut self, standing: &Standing) -> Result<(), StoreError> {
        let state = standing.view.state;
        let trigger = Job { state, kind: Kind::Trigger };
        if let Some(order) = self.operation.take_order() {
            let (inner, claim) = (Arc::clone(&self.inner), self.claim.clone());
            self.spawn(trigger, async move { Some(work::trigger(&inner, order, claim).await) });
            return Ok(());
        }
        for effect in self.operation.standing(&self.inner).await?.pending {
            let Some((kind, sends)) = kind(&effect) else { continue };
            if kind == Kind::Reconcile && !standing.in_doubt {
                if self.work.contains_key(&trigger) {
                    continue;
                }
                // This process did not send the order, and one before it may have.
                let why = "the rollback service stopped while it was sending the order";
                return self.feed(Event::TriggerInDoubt(why.into())).await;
            }
            let job = Job { state, kind };
            if self.work.contains_key(&job) || !sends {
                continue;
            }
            let (inner, view) = (Arc::clone(&self.inner), standing.view.clone());
            self.spawn(job, async move { work::perform(&inner, effect, &view).await });
        }
        Ok(())
    }

    fn spawn(&mut self, job: Job, task: impl Future<Output = Option<Event>> + Send + 'static) {
        let supervised = async move {
            // A panic in an adapter ends its task, not the service; what it left behind is found
            // out by looking, or by the deadline.
            (job, task.await)
        };
        let handle = self.jobs.spawn(supervised);
        self.work.insert(job, Work::Running(handle));
    }

    async fn wait(&mut self, deadline: Option<Timestamp>) -> Woken {
        let renew = self.claim.as_ref().map(|claim| renew_at(claim, self.inner.lease));
        let clock = Arc::clone(&self.inner.clock);
        let sleep = |at: Option<Timestamp>| {
            let clock = Arc::clone(&clock);
            async move {
                match at {
                    Some(at) => clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            }
        };
        tokio::select! {
            biased;
            () = self.inner.stopping.cancelled() => Woken::Stopping,
            Some(done) = self.jobs.join_next(), if !self.jobs.is_empty() => match done {
                Ok((job, event)) => Woken::Done(job, event),
                Err(error) if error.is_panic() => self.panicked(),
                Err(_aborted) => Woken::Again,
            },
            () = self.operation.wake.notified() => Woken::Again,
            () = sleep(deadline) => Woken::Deadline,
            () = sleep(renew) => Woken::Renew,
        }
    }

    /// An adapter panicked. Whatever it was doing is done again, except sending an order.
    fn panicked(&mut self) -> Woken {
        tracing::error!(rollback = %self.operation.id, "an adapter panicked");
        let finished: Vec<Job> = self
            .work
            .iter()
            .filter(|(_, work)| matches!(work, Work::Running(handle) if handle.is_finished()))
            .map(|(job, _)| *job)
            .collect();
        let mut woken = Woken::Again;
        for job in finished {
            self.work.remove(&job);
            if job.kind == Kind::Trigger {
                let why = "the adapter failed while it was sending the order";
                woken = Woken::Done(job, Some(Event::TriggerInDoubt(why.into())));
            }
        }
        woken
    }

    /// Feeds what came of an effect. What the CD system answered to an order must not be lost, so
    /// it is offered until the store takes it or somebody else owns the rollback.
    async fn feed_until_stored(&mut self, event: Event) -> Result<(), StoreError> {
        loop {
            match self.feed(event.clone()).await {
                Ok(()) => return Ok(()),
                Err(StoreError::ClaimLost(id)) => return Err(StoreError::ClaimLost(id)),
                Err(error) => {
                    tracing::warn!(rollback = %self.operation.id, %error, "what came of an effect is not stored yet");
                    if self.inner.stopping.is_cancelled() {
                        return Err(error);
                    }
                    self.pause(STORE_RETRY).await;
                    self.claimed().await?;
                }
            }
        }
    }

    async fn feed(&self, event: Event) -> Result<(), StoreError> {
        self.operation.apply(&self.inner, event, self.claim.as_ref()).await.map(|_applied| ())
    }

    async fn pause(&self, wait: Duration) {
        let until = self.inner.clock.now().after(wait);
        tokio::select! {
            () = self.inner.clock.sleep_until(until) => {}
            () = self.inner.stopping.cancelled() => {}
        }
    }

    fn abandon_work(&mut self) {
        self.work.clear();
        self.jobs.abort_all();
    }

    /// Lets an order that is being sent be answered, stores the answer, and gives the claim back.
    async fn finish(&mut self) {
        let sending = |work: &BTreeMap<Job, Work>| {
            work.iter()
                .any(|(job, work)| job.kind == Kind::Trigger && matches!(work, Work::Running(_)))
        };
        while sending(&self.work) {
            match self.jobs.join_next().await {
                Some(Ok((job, event))) => {
                    self.work.remove(&job);
                    let trigger = job.kind == Kind::Trigger;
                    if trigger
                        && let Some(event) = event
                        && let Err(error) = self.feed(event).await
                    {
                        tracing::warn!(rollback = %self.operation.id, %error, "the answer to an order was not stored; the next start finds it out");
                    }
                }
                Some(Err(_)) => {}
                None => break,
            }
        }
        self.jobs.abort_all();
        if let Some(claim) = self.claim.take()
            && let Err(error) = self.inner.store.release(&claim).await
        {
            tracing::warn!(rollback = %self.operation.id, %error, "the claim was not given back; it expires");
        }
    }
}

/// A claim is renewed after a third of its time, so that two renewals may fail.
fn renew_at(claim: &Claim, lease: Duration) -> Timestamp {
    let two_thirds = lease.saturating_mul(2) / 3;
    let millis = u64::try_from(two_thirds.as_millis()).unwrap_or(u64::MAX);
    Timestamp::from_millis(claim.expires_at.as_millis().saturating_sub(millis))
}

/// The kind of work an effect is, and whether it is performed from a look at the state. An order is
/// not: see [`Operation::take_order`].
const fn kind(effect: &Effect) -> Option<(Kind, bool)> {
    Some(match effect {
        Effect::ObserveStanding(_) => (Kind::Standing, true),
        Effect::GatherFacts => (Kind::Facts, true),
        Effect::RecordIntent => (Kind::Intent, true),
        Effect::Trigger(_) => (Kind::Trigger, false),
        Effect::Rehearse(_) => (Kind::Rehearse, true),
        Effect::Reconcile(_) => (Kind::Reconcile, true),
        Effect::Observe(..) => (Kind::Observe, true),
        Effect::Cancel(..) => (Kind::Cancel, true),
        Effect::Verify(..) => (Kind::Verify, true),
        Effect::WatchForLateEffect(_) => (Kind::Watch, true),
        Effect::Tell(_) => return None,
    })
}
