//! One rollback in this process: takes events one at a time, stores each step, then lets others
//! see it.

use crate::engine::Inner;
use crate::lifecycle;
use crate::stopped::{Loaded, Read};
use crate::telling;
use rollback_core::audit::BackendEntry;
use rollback_core::journal::{self, Opening};
use rollback_core::ports::{Claim, Commit, StoreError};
use rollback_core::proof::Order;
use rollback_core::{
    BackendName, Disposition, Effect, Event, Policy, Rollback, RollbackId, RollbackView, StateName,
    Transition,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{Mutex, Notify, watch};

/// How often a step is decided anew because somebody else appended first. Contention on one
/// rollback is a few people's clicks; more is a fault.
const RETRIES_MAX: usize = 16;

/// How many entries a journal may have for one more refusal to be written into it. The rest is kept
/// for what the CD system says, for what people may do, and for the end.
const DECLINED_MAX: u64 = 15_000;

#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) id: RollbackId,
    /// Empty while the store must be asked first: at the start, and after a step whose fate in the
    /// store is not known.
    pub(crate) loaded: Mutex<Option<Read>>,
    view: watch::Sender<Option<RollbackView>>,
    /// The order of a step that this process stored and nobody has sent yet, and the fencing number
    /// of the claim it was stored under. Never filled by a replay: an order found in a journal may
    /// have been sent already.
    order: std::sync::Mutex<Option<(Given, u64)>>,
    /// Tells the driver that there may be something to do.
    pub(crate) wake: Notify,
    pub(crate) driven: AtomicBool,
}

/// An order, with what the rollback was opened under.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) order: Order,
    pub(crate) policy: Policy,
    pub(crate) backend: BackendEntry,
}

/// Who brings an event.
#[derive(Clone, Copy, Debug)]
pub(crate) enum By<'a> {
    /// A person, through a surface.
    Person,
    /// Whoever opened it, to close what they have not confirmed: once that is confirmed, here or by
    /// another process, it counts no more.
    Opener,
    /// Whoever owns the rollback.
    Owner(&'a Claim),
    /// Whoever owns the rollback, with what came of an effect. It counts only while the rollback,
    /// in that state, still waits for that very effect: an answer about one person must never be
    /// taken for an answer about the next.
    Answer(&'a Claim, StateName, &'a Effect),
}

impl<'a> By<'a> {
    const fn claim(self) -> Option<&'a Claim> {
        match self {
            Self::Person | Self::Opener => None,
            Self::Owner(claim) | Self::Answer(claim, ..) => Some(claim),
        }
    }

    fn counts(self, rollback: &Rollback) -> bool {
        match self {
            Self::Person | Self::Owner(_) => true,
            Self::Opener => {
                matches!(rollback.state_name(), StateName::Authorizing | StateName::Confirming)
            }
            Self::Answer(_, state, effect) => {
                rollback.state_name() == state && rollback.pending().contains(effect)
            }
        }
    }
}

/// What the driver needs to know of a rollback.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) view: RollbackView,
    pub(crate) pending: Vec<Effect>,
    pub(crate) deadline: Option<rollback_core::Timestamp>,
    /// When the last event was taken, by the clock of whoever took it.
    pub(crate) last: rollback_core::Timestamp,
    /// The backend that it was opened for.
    pub(crate) backend: BackendName,
    /// Why the rollback must be stopped: its journal does not replay to what is stored. None once it
    /// is, and for one that is over anyway.
    pub(crate) differs: Option<String>,
}

impl Standing {
    fn of(rollback: &Rollback) -> Self {
        Self {
            view: rollback.view(),
            pending: rollback.pending(),
            deadline: rollback.deadline(),
            last: rollback.now(),
            backend: rollback.opening().backend.name.clone(),
            differs: None,
        }
    }
}

impl Operation {
    pub(crate) fn new(id: RollbackId) -> Self {
        Self {
            id,
            loaded: Mutex::new(None),
            view: watch::Sender::new(None),
            order: std::sync::Mutex::new(None),
            wake: Notify::new(),
            driven: AtomicBool::new(false),
        }
    }

    /// Opens the rollback: stores its opening.
    pub(crate) async fn open(
        &self,
        inner: &Inner,
        opening: Opening,
    ) -> Result<RollbackView, StoreError> {
        let mut loaded = self.loaded.lock().await;
        let transition = Rollback::open(opening.clone());
        let mut commit = self.commit(inner, &transition, 0).await?;
        commit.opening = Some(Box::new(opening));
        inner.store.commit(commit).await?;
        let view = self.publish(inner, &transition.rollback);
        lifecycle::opened(&view);
        *loaded = Some(Read::Sound(Loaded { rollback: transition.rollback, entries: 0 }));
        Ok(view)
    }

    /// Takes an event: decides, stores, and only then lets anybody see it.
    pub(crate) async fn apply(
        &self,
        inner: &Inner,
        event: Event,
        by: By<'_>,
    ) -> Result<RollbackView, StoreError> {
        let mut loaded = self.loaded.lock().await;
        let mut event = event;
        // The state before a step that may be stored although the store did not say so, and what it made.
        let mut doubted: Option<(StateName, RollbackView)> = None;
        for _retry in 0..RETRIES_MAX {
            let current = match self.take(inner, &mut loaded).await? {
                Read::Sound(current) => current,
                Read::Stopped(stopped) => {
                    let error = stopped.error(&self.id);
                    *loaded = Some(Read::Stopped(stopped));
                    return Err(error);
                }
            };
            if let Some((before, made)) = doubted.take()
                && made == current.rollback.view()
            {
                lifecycle::stepped(before, &made);
            }
            if !by.counts(&current.rollback) {
                let view = current.rollback.view();
                *loaded = Some(Read::Sound(current));
                return Ok(view);
            }
            let Loaded { rollback, entries } = current;
            let before = rollback.state_name();
            let now = inner.clock.now();
            let transition = rollback.step(now, event.clone());
            if let Disposition::Ignored(_) = transition.disposition {
                let view = transition.rollback.view();
                *loaded = Some(Read::Sound(Loaded { rollback: transition.rollback, entries }));
                return Ok(view);
            }
            if matches!(transition.disposition, Disposition::Declined(_)) && entries >= DECLINED_MAX
            {
                return Err(StoreError::Unavailable(format!(
                    "too much has been said about rollback `{}` for one more refusal to be written down",
                    self.id
                )));
            }
            let mut commit = self.commit(inner, &transition, entries).await?;
            commit.entry = Some(journal::Entry::decided(now, event.clone(), &transition));
            commit.claim = by.claim().cloned();
            match inner.store.commit(commit).await {
                Ok(_records) => {
                    let view = self.stored(inner, &mut loaded, transition, entries, by);
                    lifecycle::stepped(before, &view);
                    return Ok(view);
                }
                // Somebody else was faster; what they did is decided on again. Or it was this step, sent
                // to the database twice.
                Err(StoreError::MovedOn(_)) => doubted = Some((before, transition.rollback.view())),
                Err(StoreError::ServiceHeld(holder)) => event = Event::SlotTaken(holder),
                // It may be stored: the journal says so, and a repeat is then ignored.
                Err(StoreError::InDoubt(why)) => {
                    tracing::warn!(rollback = %self.id, %why, "a step is in doubt; reading it back");
                    doubted = Some((before, transition.rollback.view()));
                }
                Err(other) => return Err(other),
            }
        }
        Err(StoreError::Unavailable("too many others write to this rollback".into()))
    }

    fn stored(
        &self,
        inner: &Inner,
        loaded: &mut Option<Read>,
        transition: Transition,
        entries: u64,
        by: By<'_>,
    ) -> RollbackView {
        let Transition { rollback, effects, .. } = transition;
        let view = self.publish(inner, &rollback);
        let order = effects.into_iter().find_map(|effect| match effect {
            Effect::Trigger(order) => Some(order),
            Effect::ObserveStanding(_)
            | Effect::GatherFacts
            | Effect::RecordIntent
            | Effect::Rehearse(_)
            | Effect::Reconcile(_)
            | Effect::Observe(..)
            | Effect::Cancel(..)
            | Effect::Verify(..)
            | Effect::WatchForLateEffect(_)
            | Effect::Tell(_) => None,
        });
        if let (Some(order), Some(claim)) = (order, by.claim()) {
            let Opening { policy, backend, .. } = rollback.opening();
            let given = Given { order, policy: policy.clone(), backend: backend.clone() };
            *self.order() = Some((given, claim.fence));
        }
        let entries = entries.saturating_add(1);
        *loaded = Some(Read::Sound(Loaded { rollback, entries }));
        self.wake.notify_one();
        view
    }

    /// The order to send, once, and only under the claim under which it was given: once another
    /// process has owned the rollback, it may have settled that the order was never sent.
    pub(crate) fn take_order(&self, claim: &Claim) -> Option<Given> {
        let (order, fence) = self.order().take()?;
        (fence == claim.fence).then_some(order)
    }

    fn order(&self) -> std::sync::MutexGuard<'_, Option<(Given, u64)>> {
        self.order.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// How the rollback stands, read from the store when this process does not know.
    pub(crate) async fn view(&self, inner: &Inner) -> Result<RollbackView, StoreError> {
        Ok(self.standing(inner).await?.view)
    }

    pub(crate) async fn standing(&self, inner: &Inner) -> Result<Standing, StoreError> {
        let mut loaded = self.loaded.lock().await;
        let current = self.take(inner, &mut loaded).await?;
        let standing = match &current {
            Read::Sound(current) => Standing::of(&current.rollback),
            Read::Stopped(stopped) => stopped.standing(),
        };
        *loaded = Some(current);
        Ok(standing)
    }

    /// Everything that is shown of the rollback from now on.
    pub(crate) fn watch(&self) -> watch::Receiver<Option<RollbackView>> {
        self.view.subscribe()
    }

    /// What was shown of the rollback last, by this process.
    pub(crate) fn last_seen(&self) -> Option<RollbackView> {
        self.view.borrow().clone()
    }

    /// Forgets what this process knows, so that the store is asked again.
    pub(crate) async fn forget(&self) {
        *self.loaded.lock().await = None;
    }

    /// The journal may have this many entries by now: what this process knows of fewer is read anew.
    /// What cannot be read is read by whoever needs it.
    pub(crate) async fn catch_up(&self, inner: &Inner, entries: u64) {
        let mut loaded = self.loaded.lock().await;
        if loaded.as_ref().is_some_and(|known| known.entries() >= entries) {
            return;
        }
        *loaded = None;
        match self.take(inner, &mut loaded).await {
            Ok(current) => *loaded = Some(current),
            Err(error) => tracing::warn!(rollback = %self.id, %error, "it was not read again"),
        }
        self.wake.notify_one();
    }

    pub(crate) async fn take(
        &self,
        inner: &Inner,
        loaded: &mut Option<Read>,
    ) -> Result<Read, StoreError> {
        if let Some(current) = loaded.take() {
            return Ok(current);
        }
        let read = Read::from_store(inner, &self.id).await?;
        match &read {
            Read::Sound(current) => drop(self.publish(inner, &current.rollback)),
            Read::Stopped(stopped) => self.show(inner, stopped.view().clone()),
        }
        Ok(read)
    }

    pub(crate) async fn commit(
        &self,
        inner: &Inner,
        transition: &Transition,
        entries: u64,
    ) -> Result<Commit, StoreError> {
        let rollback = &transition.rollback;
        let mut commit = Commit::new(rollback.view(), entries, inner.clock.now());
        commit.holds_service = rollback.holds_service();
        commit.was_ordered = rollback.was_ordered();
        commit.begins_work = !rollback.pending().is_empty();
        commit.drafts = transition.drafts.clone();
        commit.notices = telling::notices(inner, rollback, &transition.effects).await?;
        Ok(commit)
    }

    fn publish(&self, inner: &Inner, rollback: &Rollback) -> RollbackView {
        let view = rollback.view();
        self.show(inner, view.clone());
        view
    }

    /// Lets whoever watches see it.
    pub(crate) fn show(&self, inner: &Inner, view: RollbackView) {
        if view.state.is_end() {
            inner.ended.store(true, Ordering::Release);
        }
        self.view.send_replace(Some(view));
        inner.written();
    }
}

/// Whether the engine has nothing left to do for it.
pub(crate) fn is_done(standing: &Standing) -> bool {
    if standing.view.put_aside.is_some() {
        return true;
    }
    standing.view.state.is_end()
        && (standing.view.state != StateName::OutcomeUnknown || standing.pending.is_empty())
}

/// The operations this process knows.
pub(crate) type Operations =
    std::sync::Mutex<std::collections::BTreeMap<RollbackId, Arc<Operation>>>;
