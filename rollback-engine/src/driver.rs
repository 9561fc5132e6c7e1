//! Drives one rollback: performs what its state waits for, feeds back what came of it, and keeps
//! its deadline. Everything it does is read from the state, so a driver that starts after a crash
//! does what the one before would have done next. Only an order is never sent again.

use crate::attempt::{ATTEMPTS_MAX, Attempt, Suspect};
use crate::engine::Inner;
use crate::operation::{By, Operation, Standing, is_done};
use crate::work;
use futures_util::FutureExt as _;
use rollback_core::ports::{Claim, StoreError};
use rollback_core::{Effect, Event, StateName, Timestamp};
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::{AbortHandle, Id, JoinSet};
use tracing::field::{Empty, display};
use tracing::{Instrument as _, Span};

/// How long a driver waits after the store did not answer.
const STORE_RETRY: Duration = Duration::from_millis(500);

/// How long a driver waits before it asks an adapter again that panicked.
const PANIC_RETRY: Duration = Duration::from_secs(1);

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

impl Kind {
    /// As logs and traces spell it.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Standing => "standing",
            Self::Facts => "facts",
            Self::Intent => "intent",
            Self::Trigger => "trigger",
            Self::Rehearse => "rehearse",
            Self::Reconcile => "reconcile",
            Self::Observe => "observe",
            Self::Cancel => "cancel",
            Self::Verify => "verify",
            Self::Watch => "watch",
        }
    }

    /// Whether it asks the CD system about the order.
    const fn is_of_the_order(self) -> bool {
        match self {
            Self::Reconcile | Self::Observe | Self::Cancel | Self::Verify | Self::Watch => true,
            Self::Standing | Self::Facts | Self::Intent | Self::Trigger | Self::Rehearse => false,
        }
    }
}

/// Work for one job. What a task answers counts only while it is the task that is listed here.
#[derive(Debug)]
enum Work {
    Running(AbortHandle),
    /// Done once and not to be repeated while the state lasts.
    Done,
}

impl Work {
    fn is(&self, task: Id) -> bool {
        matches!(self, Self::Running(handle) if handle.id() == task)
    }
}

/// What a task answers: what it was asked for, and what came of it. An order is asked for by
/// nobody but the step that gave it.
type Answer = (Job, Option<Arc<Effect>>, Option<Event>);

/// Starts a driver unless one is running.
pub(crate) fn ensure(inner: &Arc<Inner>, operation: &Arc<Operation>) {
    if operation.driven.swap(true, Ordering::AcqRel) {
        operation.wake.notify_one();
        return;
    }
    let (inner, operation) = (Arc::clone(inner), Arc::clone(operation));
    let (tasks, place) = (inner.tasks.clone(), inner.places.take());
    tasks.spawn(async move {
        // Which service it is about is known once it was read.
        let span = tracing::info_span!("rollback", rollback = %operation.id, service = Empty, environment = Empty);
        let driver = Driver::new(Arc::clone(&inner), Arc::clone(&operation), span.clone()).run();
        if AssertUnwindSafe(driver).catch_unwind().instrument(span).await.is_err() {
            tracing::error!(rollback = %operation.id, "whoever drove it panicked; it is taken up again");
            operation.forget().await;
        }
        operation.driven.store(false, Ordering::Release);
        let id = operation.id.clone();
        drop((operation, place));
        inner.forget(&id);
    });
}

struct Driver {
    inner: Arc<Inner>,
    operation: Arc<Operation>,
    span: Span,
    claim: Option<Claim>,
    jobs: JoinSet<Answer>,
    work: BTreeMap<Job, Work>,
    entered: Option<(StateName, Timestamp)>,
    /// Whether the state that was entered has been looked at.
    look: work::Look,
    /// The attempt that is being made.
    attempt: Attempt,
    suspicion: Suspicion,
    /// When the claim was asked for last: a clock that is before it was set back.
    claimed_at: Timestamp,
    /// When this was awake last.
    awake_at: Timestamp,
    /// How many events the rollback had taken when it was looked at last.
    steps: u64,
}

/// Whether the work on the rollback may have ended a process.
enum Suspicion {
    NotAsked,
    None,
    /// It may, and waits for its turn or has it.
    Of(Box<Suspect>),
}

/// What ended one wait of the loop.
enum Woken {
    Again,
    Done(Id, Answer),
    Panicked(Id),
    Deadline,
    Renew,
    Stopping,
}

impl Driver {
    fn new(inner: Arc<Inner>, operation: Arc<Operation>, span: Span) -> Self {
        let (attempt, awake_at) = (Attempt::new(&inner), inner.clock.now());
        Self {
            awake_at,
            inner,
            operation,
            span,
            claim: None,
            jobs: JoinSet::new(),
            work: BTreeMap::new(),
            entered: None,
            look: work::Look::First,
            attempt,
            suspicion: Suspicion::NotAsked,
            claimed_at: Timestamp::default(),
            steps: 0,
        }
    }

    async fn run(mut self) {
        loop {
            match self.turn().await {
                Ok(true) => {}
                Ok(false) => break,
                Err(StoreError::ClaimLost(id)) => {
                    tracing::warn!(rollback = %id, "another process has taken this rollback over");
                    self.lost_claim().await;
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

    /// One look at the rollback and one thing that happens. False when nothing is left to do, or
    /// another process does it: should that one die, whoever looks for what is unattended goes on.
    async fn turn(&mut self) -> Result<bool, StoreError> {
        if !self.claimed().await? {
            return Ok(false);
        }
        let standing = self.operation.standing(&self.inner).await?;
        if self.entered.is_none() {
            let key = &standing.view.key;
            self.span.record("service", display(&key.service));
            self.span.record("environment", display(&key.environment));
        }
        if let (Some(why), Some(claim)) = (&standing.differs, &self.claim) {
            self.operation.stop(&self.inner, claim, why).await?;
            return Ok(false);
        }
        if is_done(&standing) {
            return Ok(false);
        }
        self.note_state(standing.view.state);
        self.note_gap();
        self.steps = standing.view.steps;
        let deadline = self.deadline(&standing);
        self.note_survival().await?;
        if !self.has_work(&standing) {
            self.attempt.anew(&self.inner);
            self.suspicion = Suspicion::None;
            self.start_work(standing).await?;
        } else if self.may_begin().await? {
            if self.is_deadly().await? {
                return Ok(true);
            }
            self.start_work(standing).await?;
        }
        let woken = self.wait(deadline).await;
        let has_slept = self.note_gap();
        match woken {
            // A claim that is due is renewed by the next look.
            Woken::Again | Woken::Stopping | Woken::Renew => {}
            // Nobody has looked meanwhile.
            Woken::Deadline if has_slept => {}
            Woken::Deadline => self.feed(Event::DeadlineReached, None).await?,
            Woken::Done(task, (job, effect, event)) => {
                if self.work.get(&job).is_some_and(|work| work.is(task)) {
                    self.work.remove(&job);
                    self.answered(job, effect.as_deref(), event).await?;
                }
            }
            Woken::Panicked(task) => self.panicked(task).await?,
        }
        Ok(true)
    }

    /// Whether there is anything to do but to wait.
    fn has_work(&self, standing: &Standing) -> bool {
        let Standing { view, pending, backend, .. } = standing;
        pending
            .iter()
            .filter_map(kind)
            .any(|kind| !kind.is_of_the_order() || self.inner.goes_to(&view.key, backend))
    }

    /// Stores that the work has come round without ending anybody.
    async fn note_survival(&mut self) -> Result<(), StoreError> {
        if let (true, Some(claim)) = (self.attempt.is_over(), &self.claim) {
            self.attempt.survived(&self.inner, claim).await?;
            self.suspicion = Suspicion::None;
        }
        Ok(())
    }

    /// Whether the work may be begun, or goes on. What was being worked on when a process died waits
    /// for its turn: one such rollback at a time.
    async fn may_begin(&mut self) -> Result<bool, StoreError> {
        if matches!(self.suspicion, Suspicion::NotAsked) {
            let id = &self.operation.id;
            let attempts = self.inner.store.attempts(id).await?;
            self.suspicion = if attempts == 0 {
                Suspicion::None
            } else {
                tracing::warn!(rollback = %id, attempts, "a process was ended while it worked on this rollback; it is taken up by itself");
                Suspicion::Of(Box::new(Suspect::new(&self.inner, id, attempts)))
            };
        }
        let Suspicion::Of(suspect) = &mut self.suspicion else { return Ok(true) };
        if suspect.has_had_its_time() {
            self.suspicion = Suspicion::None;
            return Ok(true);
        }
        let waited = suspect.waits();
        let goes = suspect.may_go();
        if let (true, true, Some((_, entered))) = (waited, goes, &mut self.entered) {
            *entered = self.inner.clock.now();
        }
        Ok(goes)
    }

    /// Whether the attempt to work is one too many: then the rollback is quarantined instead.
    async fn is_deadly(&mut self) -> Result<bool, StoreError> {
        let Some(claim) = &self.claim else { return Ok(false) };
        let deadly = self.attempt.is_one_too_many(&self.inner, claim).await?;
        if deadly {
            tracing::error!(rollback = %self.operation.id, attempts = ATTEMPTS_MAX, "the service crashed again and again while it worked on this rollback; it is quarantined until somebody releases it");
            self.feed(Event::PutAside(ATTEMPTS_MAX), None).await?;
        }
        Ok(deadly)
    }

    /// Feeds what came of a job. A job that failed to be stored is not done: it is started again,
    /// or, for an order, found out about.
    async fn answered(
        &mut self,
        job: Job,
        effect: Option<&Effect>,
        event: Option<Event>,
    ) -> Result<(), StoreError> {
        if let Some(event) = event {
            self.feed_until_stored(event, effect.map(|effect| (job.state, effect))).await?;
        }
        if job.kind == Kind::Cancel || job.kind == Kind::Trigger {
            self.work.insert(job, Work::Done);
        }
        Ok(())
    }

    /// Holds the claim. Not while another process has it.
    async fn claimed(&mut self) -> Result<bool, StoreError> {
        let now = self.inner.clock.now();
        if let Some(claim) = &self.claim
            && now < renew_at(claim, self.inner.lease)
            && now >= self.claimed_at
        {
            return Ok(true);
        }
        let inner = &self.inner;
        self.claim =
            inner.store.claim(&self.operation.id, &inner.instance, now, inner.lease).await?;
        self.claimed_at = now;
        if self.claim.is_none() {
            self.lost_claim().await;
        }
        Ok(self.claim.is_some())
    }

    /// Another process has the rollback: nothing that this one knows of it counts.
    async fn lost_claim(&mut self) {
        self.claim = None;
        self.attempt.anew(&self.inner);
        self.suspicion = Suspicion::NotAsked;
        self.abandon_work();
        self.operation.forget().await;
    }

    fn note_state(&mut self, state: StateName) {
        if self.entered.is_none_or(|(before, _)| before != state) {
            self.entered = Some((state, self.inner.clock.now()));
            self.look = work::Look::First;
            self.work.retain(|job, work| {
                let keep = job.state == state;
                if !keep && let Work::Running(handle) = work {
                    handle.abort();
                }
                keep
            });
        }
    }

    /// Whether nobody has looked for longer than a claim lasts, within which this is awake several
    /// times: the machine was suspended, the process stood still, or the clock was set forward.
    /// Whatever waits for a system then gets the look that a restart would give it.
    fn note_gap(&mut self) -> bool {
        let now = self.inner.clock.now();
        let has_slept = now.since(self.awake_at) > self.inner.lease;
        self.awake_at = now;
        if let Some((_, entered)) = &mut self.entered
            && (has_slept || now < *entered)
        {
            *entered = now;
        }
        has_slept
    }

    /// The moment to say that time is up. A state that waits for a system gets one good look after a
    /// restart before its time is called up: what happened meanwhile counts. While a suspect waits
    /// for its turn nobody asks any system, and no time is up.
    fn deadline(&self, standing: &Standing) -> Option<Timestamp> {
        let deadline = standing.deadline?;
        let grace =
            self.inner.look_every.saturating_mul(2).saturating_add(self.inner.source_timeout);
        let waits_for_a_system = match standing.view.state {
            StateName::Authorizing
            | StateName::Checking
            | StateName::Recording
            | StateName::Triggering
            | StateName::Running
            | StateName::Verifying => true,
            StateName::Proposed
            | StateName::Confirming
            | StateName::Approving
            | StateName::Succeeded
            | StateName::Failed
            | StateName::NotVerified
            | StateName::Refused
            | StateName::Denied
            | StateName::Withdrawn
            | StateName::Expired
            | StateName::OutcomeUnknown => false,
        };
        match (&self.suspicion, self.entered) {
            (Suspicion::Of(suspect), _) if waits_for_a_system && suspect.waits() => None,
            (_, Some((_, entered))) if waits_for_a_system => {
                Some(deadline.max(entered.after(grace)))
            }
            (_, Some(_) | None) => Some(deadline),
        }
    }

    async fn start_work(&mut self, standing: Standing) -> Result<(), StoreError> {
        let Standing { view, pending, backend, last, .. } = standing;
        let state = view.state;
        let trigger = Job { state, kind: Kind::Trigger };
        let Some(claim) = self.claim.clone() else { return Ok(()) };
        if self.inner.stopping.is_cancelled() {
            return Ok(());
        }
        if let Some(given) = self.operation.take_order(&claim) {
            let inner = Arc::clone(&self.inner);
            let send = async move { Some(work::trigger_given(&inner, given, &claim).await) };
            self.spawn(trigger, None, send);
            return Ok(());
        }
        for effect in pending {
            let Some(kind) = kind(&effect) else { continue };
            if kind == Kind::Reconcile && state == StateName::Triggering && !view.in_doubt {
                if self.work.contains_key(&trigger) {
                    continue;
                }
                // This process did not send the order, and one before it may have.
                let why = "the rollback service stopped while it was sending the order";
                return self.feed(Event::TriggerInDoubt(why.into()), None).await;
            }
            let job = Job { state, kind };
            if self.work.contains_key(&job) {
                continue;
            }
            if kind.is_of_the_order() && !self.inner.goes_to(&view.key, &backend) {
                // What another CD system says about an order that it never got is no answer; whoever
                // is configured as it was opened may take it over, or its time is up.
                if kind == Kind::Observe && !state.is_end() && view.silent_since.is_none() {
                    let (inner, effect) = (Arc::clone(&self.inner), Arc::new(effect));
                    let unseen = async move { Some(work::cannot_look(&inner).await) };
                    self.spawn(job, Some(effect), unseen);
                }
                tracing::warn!(rollback = %self.operation.id, %backend, "it was opened for another backend than is configured here; its order is not looked at");
                continue;
            }
            let (inner, view, effect) = (Arc::clone(&self.inner), view.clone(), Arc::new(effect));
            let (asked, look) = (Arc::clone(&effect), self.look);
            let pulse = Arc::clone(self.attempt.pulse());
            self.look = work::Look::Again;
            let perform = async move {
                if kind == Kind::Facts {
                    work::caught_up(&inner, last).await;
                }
                work::perform(&inner, &asked, &view, look, &pulse).await
            };
            self.spawn(job, Some(effect), perform);
        }
        Ok(())
    }

    /// A panic in an adapter ends its task, not the service; what it left behind is found out by
    /// looking, or by the deadline.
    fn spawn(
        &mut self,
        job: Job,
        effect: Option<Arc<Effect>>,
        task: impl Future<Output = Option<Event>> + Send + 'static,
    ) {
        let span = tracing::info_span!("work", rollback = %self.operation.id, state = %job.state, kind = job.kind.as_str());
        let task = async move { (job, effect, task.await) };
        let handle = self.jobs.spawn(task.instrument(span));
        self.work.insert(job, Work::Running(handle));
    }

    async fn wait(&mut self, deadline: Option<Timestamp>) -> Woken {
        let clock = self.inner.clock.as_ref();
        // A claim is counted: whatever is done to the clock, it is renewed in time.
        let renew = self.claim.as_ref().map(|claim| {
            renew_at(claim, self.inner.lease).since(clock.now()).min(self.inner.lease)
        });
        let renew = async {
            match renew {
                Some(wait) => clock.sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        let time_is_up = async {
            match deadline {
                Some(at) => clock.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.inner.stopping.cancelled() => Woken::Stopping,
            Some(done) = self.jobs.join_next_with_id(), if !self.jobs.is_empty() => match done {
                Ok((task, answer)) => Woken::Done(task, answer),
                Err(error) if error.is_panic() => Woken::Panicked(error.id()),
                Err(_aborted) => Woken::Again,
            },
            () = self.operation.wake.notified() => Woken::Again,
            () = self.attempt.pulse().over() => Woken::Again,
            () = news(&mut self.suspicion) => Woken::Again,
            () = time_is_up => Woken::Deadline,
            () = renew => Woken::Renew,
        }
    }

    /// An adapter panicked. Whatever it was doing is done again after a pause, except sending an
    /// order.
    async fn panicked(&mut self, task: Id) -> Result<(), StoreError> {
        tracing::error!(rollback = %self.operation.id, "an adapter panicked");
        let job = self.work.iter().find(|(_, work)| work.is(task)).map(|(job, _)| *job);
        let Some(job) = job else { return Ok(()) };
        self.work.remove(&job);
        if job.kind == Kind::Trigger {
            let why = "the adapter failed while it was sending the order";
            return self.answered(job, None, Some(Event::TriggerInDoubt(why.into()))).await;
        }
        self.attempt.anew(&self.inner);
        self.pause(PANIC_RETRY).await;
        Ok(())
    }

    /// Feeds what came of an effect. What the CD system answered to an order must not be lost, so
    /// it is offered until the store takes it or somebody else owns the rollback.
    async fn feed_until_stored(
        &mut self,
        event: Event,
        asked: Option<(StateName, &Effect)>,
    ) -> Result<(), StoreError> {
        loop {
            let error = match self.feed(event.clone(), asked).await {
                Ok(()) => return Ok(()),
                Err(StoreError::ClaimLost(id)) => return Err(StoreError::ClaimLost(id)),
                Err(error) => error,
            };
            tracing::warn!(rollback = %self.operation.id, %error, "what came of an effect is not stored yet");
            if self.inner.stopping.is_cancelled() {
                return Err(error);
            }
            self.pause(STORE_RETRY).await;
            if let Err(error) = self.claimed().await {
                tracing::warn!(rollback = %self.operation.id, %error, "the claim is not renewed yet");
            }
        }
    }

    async fn feed(
        &mut self,
        event: Event,
        asked: Option<(StateName, &Effect)>,
    ) -> Result<(), StoreError> {
        let Some(claim) = &self.claim else {
            return Err(StoreError::ClaimLost(self.operation.id.clone()));
        };
        let by = match asked {
            Some((state, effect)) => By::Answer(claim, state, effect),
            None => By::Owner(claim),
        };
        let view = self.operation.apply(&self.inner, event, by).await?;
        if view.steps > self.steps {
            self.steps = view.steps;
            self.attempt.goes_on();
        } else {
            // It was looked at, and nothing is different.
            self.attempt.pulse().beat();
        }
        Ok(())
    }

    async fn pause(&self, wait: Duration) {
        tokio::select! {
            biased;
            () = self.inner.clock.sleep(wait) => {}
            () = self.inner.stopping.cancelled() => {}
        }
    }

    fn abandon_work(&mut self) {
        self.work.clear();
        self.jobs.abort_all();
    }

    /// Lets an order that is being sent be answered, stores the answer, and gives the claim back.
    async fn finish(&mut self) {
        if let Some(claim) = &self.claim
            && self.operation.take_order(claim).is_some()
        {
            let why = "it was not sent: the rollback service is restarting";
            if let Err(error) = self.feed(Event::TriggerRefused(why.into()), None).await {
                self.warn(
                    &error,
                    "that the order was not sent is not stored; the next start finds it out",
                );
            }
        }
        let sending = |work: &BTreeMap<Job, Work>| {
            work.iter()
                .any(|(job, work)| job.kind == Kind::Trigger && matches!(work, Work::Running(_)))
        };
        while sending(&self.work) {
            match self.jobs.join_next().await {
                Some(Ok((job, _, event))) => {
                    self.work.remove(&job);
                    let trigger = job.kind == Kind::Trigger;
                    if trigger
                        && let Some(event) = event
                        && let Err(error) = self.feed(event, None).await
                    {
                        self.warn(
                            &error,
                            "the answer to an order was not stored; the next start finds it out",
                        );
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
            self.warn(&error, "the claim was not given back; it expires");
        }
    }

    fn warn(&self, error: &dyn std::fmt::Display, what: &str) {
        tracing::warn!(rollback = %self.operation.id, %error, "{what}");
    }
}

/// Completes when a suspect should ask again whether it is its turn.
async fn news(suspicion: &mut Suspicion) {
    match suspicion {
        Suspicion::Of(suspect) => suspect.news().await,
        Suspicion::NotAsked | Suspicion::None => std::future::pending().await,
    }
}

/// A claim is renewed after a third of its time, so that two renewals may fail.
fn renew_at(claim: &Claim, lease: Duration) -> Timestamp {
    let two_thirds = lease.saturating_mul(2) / 3;
    let millis = u64::try_from(two_thirds.as_millis()).unwrap_or(u64::MAX);
    Timestamp::from_millis(claim.expires_at.as_millis().saturating_sub(millis))
}

/// The kind of work an effect is, when it is performed from a look at the state. An order is not:
/// see [`Operation::take_order`].
const fn kind(effect: &Effect) -> Option<Kind> {
    Some(match effect {
        Effect::ObserveStanding(_) => Kind::Standing,
        Effect::GatherFacts => Kind::Facts,
        Effect::RecordIntent => Kind::Intent,
        Effect::Rehearse(_) => Kind::Rehearse,
        Effect::Reconcile(_) => Kind::Reconcile,
        Effect::Observe(..) => Kind::Observe,
        Effect::Cancel(..) => Kind::Cancel,
        Effect::Verify(..) => Kind::Verify,
        Effect::WatchForLateEffect(_) => Kind::Watch,
        Effect::Trigger(_) | Effect::Tell(_) => return None,
    })
}
