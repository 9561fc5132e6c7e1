//! The effects, performed. Each asks one question of the world and answers with one event.

use crate::attempt::Pulse;
use crate::catalog::ServiceConfig;
use crate::clock::{within, within_or_panic};
use crate::engine::Inner;
use crate::entitled::Wish;
use crate::facts::{self, Asking, silent};
use crate::operation::Given;
use rollback_core::access::{Duty, Standing};
use rollback_core::audit::BackendEntry;
use rollback_core::observed::{Acceptance, Facts};
use rollback_core::ports::{
    Cancelled, CdBackend, Changes, Claim, CommandError, CompareAndSet, ErrorKind, Fenced,
    Freshness, HealthInquiry, NoChanges, ObserveOptions, StartError,
};
use rollback_core::proof::{Order, OrderRef};
use rollback_core::reconcile::{self, Next};
use rollback_core::{
    Actor, CLOCK_SKEW_MAX, Conflict, Effect, Event, Fact, Health, Observation, Phase, Policy,
    Presence, Progress, Receipt, RollbackView, ServiceKey, Sighting, StateName, Timestamp, UserId,
};
use std::sync::Arc;
use std::time::Duration;

/// The longest pause between two attempts to read a CD system that does not answer.
const RETRY_MAX: Duration = Duration::from_secs(10);

/// The shortest pause before a hint is followed, and the longest, as shares of the pause between
/// two looks without one: a CD system that hints all the time is not asked more than ten times as
/// often for long.
const HINTS: (u32, u32) = (50, 10);

/// Whether a state has been looked at before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Look {
    First,
    Again,
}

/// The longest pause between two looks at what has ended with an unknown outcome.
const WATCH_EVERY_MAX: Duration = Duration::from_secs(60);

/// The share of the time since the opening that lies between two steps of words.
const WORDS_SHARE: u32 = 50;

/// How long a CD system must not have answered about an execution to be called silent: a restart
/// of it is shorter.
const SILENT_FOR: Duration = Duration::from_secs(60);

/// What must be left of a claim when the longest request is over.
const SEND_MARGIN: Duration = Duration::from_secs(3);

/// Performs an effect. None when it has nothing to say: look again.
pub(crate) async fn perform(
    inner: &Inner,
    effect: &Effect,
    view: &RollbackView,
    look: Look,
    pulse: &Pulse,
) -> Option<Event> {
    match effect {
        Effect::ObserveStanding(user) => {
            if !inner.admits() {
                pause(inner, inner.look_every).await;
                return None;
            }
            Some(Event::StandingObserved(Box::new(at_the_click(inner, view, user).await)))
        }
        Effect::GatherFacts => Some(observe_facts(inner, view).await),
        Effect::RecordIntent => Some(record_intent(inner, pulse).await),
        Effect::Rehearse(order) => Some(rehearse(inner, view, order).await),
        Effect::Reconcile(order) => reconcile(inner, view, order, look, pulse).await,
        Effect::Observe(order, receipt) => Some(observe(inner, view, order, receipt, pulse).await),
        Effect::Cancel(order, receipt) => cancel(inner, view, order, receipt, pulse).await,
        Effect::Verify(order, receipt, since) => {
            Some(verify(inner, view, order, receipt, *since, look).await)
        }
        Effect::WatchForLateEffect(order) => watch(inner, view, order, pulse).await,
        // The driver sends orders itself, and the outbox tells people.
        Effect::Trigger(_) | Effect::Tell(_) => None,
    }
}

fn limits(inner: &Inner, view: &RollbackView) -> rollback_core::Limits {
    inner.catalog.services.get(&view.key).map(|service| service.limits).unwrap_or_default()
}

/// Whether whoever clicked may, by what the directory said lately.
async fn at_the_click(inner: &Inner, view: &RollbackView, user: &UserId) -> Standing {
    let actor = view.requested_by.clone().filter(|actor| actor.id == *user);
    let actor = actor.unwrap_or_else(|| Actor::new(user.clone()));
    let access = inner.access().for_service(&view.key);
    let limits = limits(inner, view);
    let wish = Wish { access: &access, limits, duty: Duty::Request, actor: &actor };
    let standing = wish.standing(inner, Freshness::AtMost(limits.directory_age_max)).await;
    if wish.is_turned_away(inner, &standing) {
        inner.turned_away.was_turned_away(user, inner.clock.now());
    }
    standing
}

/// What the directory says now about somebody who wants to do this.
pub(crate) async fn standing(
    inner: &Inner,
    view: &RollbackView,
    actor: &Actor,
    duty: Duty,
) -> Standing {
    let access = inner.access().for_service(&view.key);
    let wish = Wish { access: &access, limits: limits(inner, view), duty, actor };
    wish.standing(inner, Freshness::Now).await
}

/// The same for somebody who has just acted, unless they were turned away too often lately.
pub(crate) async fn standing_of_a_caller(
    inner: &Inner,
    view: &RollbackView,
    actor: &Actor,
    duty: Duty,
) -> Result<Standing, CommandError> {
    if !inner.admits() {
        return Err(CommandError::NotAdmitting);
    }
    inner.turned_away.knocks(&actor.id, inner.clock.now())?;
    let access = inner.access().for_service(&view.key);
    let wish = Wish { access: &access, limits: limits(inner, view), duty, actor };
    let standing = wish.standing(inner, Freshness::Now).await;
    if wish.is_turned_away(inner, &standing) {
        inner.turned_away.was_turned_away(&actor.id, inner.clock.now());
    }
    Ok(standing)
}

async fn observe_facts(inner: &Inner, view: &RollbackView) -> Event {
    let Some(service) = inner.catalog.services.get(&view.key) else {
        let facts = Facts::unknown("the service is not configured here any more");
        let unknown = Standing::unknown("the service is not configured here any more");
        return Event::FactsObserved(Box::new(Observation::new(facts, unknown)));
    };
    let plan = match rollback_core::Plan::new(view.key.clone(), view.from.clone(), view.to.clone())
    {
        Ok(plan) => plan,
        Err(error) => {
            let facts = Facts::unknown(&error.to_string());
            let unknown = Standing::unknown(error.to_string());
            return Event::FactsObserved(Box::new(Observation::new(facts, unknown)));
        }
    };
    let deciding = view.state == StateName::Checking;
    let requester = async {
        match &view.requested_by {
            Some(actor) if deciding => standing(inner, view, actor, Duty::Request).await,
            Some(_) | None => Standing::unknown("not asked before the confirmation"),
        }
    };
    let voters = view.approved_by.iter().filter(|_| deciding);
    let approvers =
        futures_util::future::join_all(voters.map(async |actor| {
            (actor.id.clone(), standing(inner, view, actor, Duty::Approve).await)
        }));
    let asking = Asking { actor: view.requested_by.as_ref(), reason: view.reason.as_ref() };
    let gathered = facts::gather(inner, service, &plan, asking);
    let (facts, requester, approvers) = tokio::join!(gathered, requester, approvers);
    Event::FactsObserved(Box::new(Observation::new(facts, requester).and_of(approvers)))
}

/// Waits until this process's clock shows the moment of the last event, which may have been taken by
/// a process whose clock is ahead: what is read from then on is seen after it. A clock that is
/// further behind is waited for no longer, and the guards then say that the facts are too old.
pub(crate) async fn caught_up(inner: &Inner, last: Timestamp) {
    let now = inner.clock.now();
    if now < last {
        let ahead = last.since(now).min(CLOCK_SKEW_MAX);
        tracing::warn!(?ahead, "the clock of this process is behind another one's");
        inner.clock.sleep(ahead).await;
    }
}

/// Every required sink has every record up to the intent before the order is given.
async fn record_intent(inner: &Inner, pulse: &Pulse) -> Event {
    for sink in inner.sinks.iter().filter(|sink| sink.required) {
        let mut wait = inner.look_every;
        while let Err(error) = sink.catch_up(inner).await {
            match error.kind {
                ErrorKind::Rejected | ErrorKind::Misconfigured | ErrorKind::Unsupported => {
                    return Event::IntentNotRecorded(error.what);
                }
                ErrorKind::Retry(_) | _ => {
                    tracing::warn!(sink = sink.name(), %error, "the record of intent is not acknowledged");
                    pulse.beat();
                    pause(inner, wait).await;
                    wait = wait.saturating_mul(2).min(RETRY_MAX);
                }
            }
        }
    }
    Event::IntentRecorded
}

/// Sends the order, once, unless this process is configured otherwise than the one that opened the
/// rollback: what was approved under one policy is not carried out under another.
pub(crate) async fn trigger_given(inner: &Arc<Inner>, given: Given, claim: &Claim) -> Event {
    let Given { order, policy, backend } = given;
    match differs(inner, order.plan().key(), &policy, &backend) {
        Some(what) => Event::TriggerRefused(format!(
            "it was not sent: the {what} of this service is not the one that the rollback was opened under"
        )),
        None => trigger(inner, order, claim).await,
    }
}

/// What is configured here otherwise than a rollback was opened under.
fn differs(
    inner: &Inner,
    key: &ServiceKey,
    policy: &Policy,
    entry: &BackendEntry,
) -> Option<&'static str> {
    let service = inner.catalog.services.get(key)?;
    let backend = inner.backends.get(&service.backend)?;
    if !inner.admits() {
        return Some("workspace");
    }
    let ours = BackendEntry::new(service.backend.clone(), backend.capabilities(key));
    if !ours.agrees_with(entry) {
        return Some("backend");
    }
    (inner.policy(key, service).digest() != policy.digest()).then_some("policy")
}

/// Sends the order, once, if there is certainly time to hear the answer.
pub(crate) async fn trigger(inner: &Arc<Inner>, order: Order, claim: &Claim) -> Event {
    let key = order.plan().key();
    let Some(service) = inner.catalog.services.get(key) else {
        return Event::TriggerRefused("it was not sent: the service is not configured here".into());
    };
    let Some(backend) = inner.backends.get(&service.backend).map(Arc::clone) else {
        return Event::TriggerRefused("it was not sent: the backend is not configured here".into());
    };
    let bound = service.limits.cd_timeout;
    let looks_itself = match backend.capabilities(key).compare_and_set {
        CompareAndSet::Yes | CompareAndSet::Ticket => true,
        CompareAndSet::No => false,
    };
    let needed = if looks_itself { bound } else { bound.saturating_mul(2) };
    if let Err(why) = renewed(inner, claim, needed).await {
        return Event::TriggerRefused(why);
    }
    if !looks_itself && let Err(moved) = still_live(inner, service, &order).await {
        return moved;
    }
    if inner.clock.now() > order.valid_until() {
        return Event::TriggerRefused(
            "it was not sent: what the guards saw is too old by now".into(),
        );
    }
    // Sent from a task of its own: dropping whoever waits for the answer must not cut the request.
    let clock = Arc::clone(&inner.clock);
    let sent =
        tokio::spawn(
            async move { within_or_panic(clock.as_ref(), bound, backend.start(order)).await },
        );
    match sent.await {
        Ok(Some(Ok(receipt))) => Event::TriggerAccepted(receipt),
        Ok(Some(Err(StartError::Refused { why }))) => Event::TriggerRefused(why),
        Ok(Some(Err(StartError::Conflict { live, why }))) => {
            Event::TriggerConflicted(Box::new(Conflict::new(live, why)))
        }
        Ok(Some(Err(StartError::InDoubt { why }))) => Event::TriggerInDoubt(why),
        Ok(None) => Event::TriggerInDoubt(silent("the CD system", bound)),
        Err(_panic) => {
            Event::TriggerInDoubt("the adapter failed while it was sending the order".into())
        }
    }
}

/// The last look at what is live, right before the order, where the CD system does not compare.
async fn still_live(inner: &Inner, service: &ServiceConfig, order: &OrderRef) -> Result<(), Event> {
    let plan = order.plan();
    let live = match facts::live(inner, service, plan.key()).await {
        Fact::Known { value, .. } => value,
        Fact::Unknown { why } => {
            return Err(Event::TriggerRefused(format!(
                "it was not sent: what is live could not be read right before: {why}"
            )));
        }
    };
    match live.in_progress {
        Presence::Nothing => {}
        Presence::Something(_) => {
            let why = "it was not sent: something else is in progress";
            return Err(Event::TriggerRefused(why.into()));
        }
        Presence::CannotTell(why) => {
            return Err(Event::TriggerRefused(format!(
                "it was not sent: whether something else is in progress cannot be told: {why}"
            )));
        }
    }
    match live.revision {
        Some(revision) if revision.revision == plan.from().revision => Ok(()),
        moved => {
            let why = "seen right before the order, which was not sent";
            Err(Event::TriggerConflicted(Box::new(Conflict::new(moved, why))))
        }
    }
}

/// A claim that outlasts the request: nobody takes the rollback over while it is on its way. What is
/// left of it is counted by this process's own clock, from before the store was asked.
async fn renewed(inner: &Inner, claim: &Claim, bound: Duration) -> Result<(), String> {
    let needed = bound.saturating_add(SEND_MARGIN);
    let lease = inner.lease.max(bound.saturating_add(needed));
    let asked_at = inner.clock.now();
    let renewed = inner.store.claim(&claim.rollback, &inner.instance, asked_at, lease).await;
    match renewed {
        Ok(Some(held)) if held.fence == claim.fence => {
            if inner.clock.now().after(needed) <= held.expires_at {
                return Ok(());
            }
            Err("it was not sent: our own store answered too late to be sure of its claim".into())
        }
        Ok(_) => Err("it was not sent: another process has taken the rollback over".into()),
        Err(error) => Err(format!("it was not sent: {}", facts::store_words(&error))),
    }
}

async fn rehearse(inner: &Inner, view: &RollbackView, order: &OrderRef) -> Event {
    let Some((backend, bound)) = backend(inner, view) else {
        return Event::Rehearsed(Fact::unknown("the backend is not configured here"));
    };
    let asked_at = inner.clock.now();
    let asked = within(inner.clock.as_ref(), bound, backend.preflight(order.plan())).await;
    Event::Rehearsed(match asked {
        Some(Ok(preflight)) => match (preflight.acceptance, preflight.undone_by) {
            (Acceptance::Accepted, Presence::Something(by)) => {
                Fact::known(Acceptance::Rejected(format!("{by} would undo it")), asked_at)
            }
            (Acceptance::Accepted, Presence::CannotTell(why)) => {
                Fact::unknown(format!("whether anything would undo it is not known: {why}"))
            }
            (acceptance, _) => Fact::known(acceptance, asked_at),
        },
        Some(Err(error)) => Fact::unknown(error.what),
        None => Fact::unknown(silent("the CD system", bound)),
    })
}

fn backend<'a>(inner: &'a Inner, view: &RollbackView) -> Option<(&'a dyn CdBackend, Duration)> {
    let service = inner.catalog.services.get(&view.key)?;
    let backend = inner.backends.get(&service.backend)?;
    Some((backend.as_ref(), service.limits.cd_timeout))
}

/// Finds out by reading what became of an order, by the protocol of the core. What was answered
/// before and proves nothing is asked again after a pause.
async fn reconcile(
    inner: &Inner,
    view: &RollbackView,
    order: &OrderRef,
    which: Look,
    pulse: &Pulse,
) -> Option<Event> {
    if which == Look::Again {
        pause(inner, RETRY_MAX).await;
    }
    let Some((backend, bound)) = backend(inner, view) else {
        return Some(Event::DoubtRemained("the backend is not configured here any more".into()));
    };
    let mut next = reconcile::begin();
    loop {
        next = match next {
            Next::Find(looking) => looking.found(find(inner, backend, bound, order, pulse).await),
            Next::Fence(fencing) => {
                fencing.fenced(fence(inner, backend, bound, order, pulse).await)
            }
            Next::Known(event) => return Some(event),
        };
    }
}

/// Tries until it is certain: doubt lasts as long as the CD system does not answer.
async fn fence(
    inner: &Inner,
    backend: &dyn CdBackend,
    bound: Duration,
    order: &OrderRef,
    pulse: &Pulse,
) -> Fenced {
    let mut wait = inner.look_every;
    loop {
        match within(inner.clock.as_ref(), bound, backend.fence(order)).await {
            Some(Ok(fenced)) => return fenced,
            Some(Err(error)) => {
                tracing::warn!(rollback = %order.rollback(), %error, "the fence does not stand yet");
            }
            None => {
                tracing::warn!(rollback = %order.rollback(), "the CD system did not answer the fence");
            }
        }
        pulse.beat();
        pause(inner, wait).await;
        wait = wait.saturating_mul(2).min(RETRY_MAX);
    }
}

/// Reads until there is an answer: doubt lasts as long as the CD system gives none.
async fn find(
    inner: &Inner,
    backend: &dyn CdBackend,
    bound: Duration,
    order: &OrderRef,
    pulse: &Pulse,
) -> Option<Receipt> {
    let mut wait = inner.look_every;
    loop {
        match within(inner.clock.as_ref(), bound, backend.find(order)).await {
            Some(Ok(found)) => return found,
            Some(Err(error)) => {
                tracing::warn!(rollback = %order.rollback(), %error, "the order could not be looked for");
            }
            None => tracing::warn!(rollback = %order.rollback(), "the CD system did not answer"),
        }
        pulse.beat();
        pause(inner, wait).await;
        wait = wait.saturating_mul(2).min(RETRY_MAX);
    }
}

/// Looks until something is different from what is known: the execution, or that the CD system has
/// stopped answering about it.
async fn observe(
    inner: &Inner,
    view: &RollbackView,
    order: &OrderRef,
    receipt: &Receipt,
    pulse: &Pulse,
) -> Event {
    let mut rest = inner.look_every / HINTS.0;
    let (mut wait, mut silent_since) = (inner.look_every, None);
    let mut changes: Box<dyn Changes> = match backend(inner, view) {
        Some((backend, _)) => backend.changes(&view.key),
        None => Box::new(NoChanges::default()),
    };
    let began = inner.clock.now();
    let words_at = began.after(words_every(inner, view, began));
    loop {
        let asked_at = inner.clock.now();
        match look(inner, view, order, receipt).await {
            Ok(progress) => match News::of(view, &progress) {
                News::Phase => return Event::ProgressObserved(Box::new(progress)),
                News::Words if asked_at >= words_at => {
                    return Event::ProgressObserved(Box::new(progress));
                }
                News::Words | News::None => silent_since = None,
            },
            Err(why) => {
                let since = *silent_since.get_or_insert(asked_at);
                let long = inner.clock.now().since(since) >= SILENT_FOR;
                if long && view.silent_since.is_none() && !view.state.is_end() {
                    return Event::ExecutionUnseen(why);
                }
            }
        }
        pulse.beat();
        if view.state.is_end() {
            pause(inner, wait).await;
            wait = wait.saturating_mul(2).min(WATCH_EVERY_MAX);
        } else {
            hint_or_pause(inner, changes.as_mut(), rest, inner.look_every).await;
            rest = rest.saturating_mul(2).min(inner.look_every / HINTS.1);
        }
    }
}

/// What a look says that is not known.
enum News {
    None,
    /// The CD system says it in other words.
    Words,
    /// Another phase, or an answer after a silence.
    Phase,
}

impl News {
    /// A look that a later one overtook is none. Once the rollback has ended, only another phase is:
    /// nobody follows the words of what was given up.
    fn of(view: &RollbackView, progress: &Progress) -> Self {
        let Some(last) = &view.progress else { return Self::Phase };
        let is_end = view.state.is_end();
        let waits_otherwise = progress.waits_for != last.waits_for && !is_end;
        let heard_again = view.silent_since.is_some() && !is_end;
        if progress.phase > last.phase || heard_again || waits_otherwise {
            Self::Phase
        } else if progress == last || progress.phase < last.phase || is_end {
            Self::None
        } else {
            Self::Words
        }
    }
}

/// How long lies between two steps that only change the CD system's words. Each is an entry of the
/// journal, which has room for some thousands: the longer it takes, the fewer there are, some 250 in
/// an hour and 500 in a week.
fn words_every(inner: &Inner, view: &RollbackView, now: Timestamp) -> Duration {
    (now.since(view.opened_at) / WORDS_SHARE).max(inner.look_every)
}

/// What is said of an execution at which this process cannot look: as a CD system that is silent.
pub(crate) async fn cannot_look(inner: &Inner) -> Event {
    pause(inner, SILENT_FOR).await;
    Event::ExecutionUnseen("the service is configured for another backend here".into())
}

/// One look at an execution, or why there was none, fit for a chat.
async fn look(
    inner: &Inner,
    view: &RollbackView,
    order: &OrderRef,
    receipt: &Receipt,
) -> Result<Progress, String> {
    let Some((backend, bound)) = backend(inner, view) else {
        return Err("the backend is not configured here any more".into());
    };
    match within(
        inner.clock.as_ref(),
        bound,
        backend.observe(order, receipt, ObserveOptions::default()),
    )
    .await
    {
        Some(Ok(progress)) => Ok(progress),
        Some(Err(error)) => {
            tracing::warn!(rollback = %view.id, %error, "the execution could not be looked at");
            Err(error.what)
        }
        None => {
            tracing::warn!(rollback = %view.id, "the CD system did not answer");
            Err(silent("the CD system", bound))
        }
    }
}

/// Waits for the next look: until the CD system hints, but not at once, or for a while.
async fn hint_or_pause(inner: &Inner, changes: &mut dyn Changes, rest: Duration, wait: Duration) {
    pause(inner, rest).await;
    tokio::select! {
        biased;
        () = changes.next() => {}
        () = pause(inner, wait) => {}
    }
}

async fn cancel(
    inner: &Inner,
    view: &RollbackView,
    order: &OrderRef,
    receipt: &Receipt,
    pulse: &Pulse,
) -> Option<Event> {
    let (backend, bound) = backend(inner, view)?;
    let mut wait = inner.look_every;
    let mut asked_before = false;
    loop {
        match within(inner.clock.as_ref(), bound, backend.cancel(order, receipt)).await {
            Some(Ok(Cancelled::Requested)) => return Some(Event::CancellationAccepted),
            // Too late for a second request can mean that the first one was taken.
            Some(Ok(Cancelled::TooLate)) if asked_before => return None,
            Some(Ok(Cancelled::TooLate)) => return Some(Event::CancellationRefused),
            Some(Err(error)) if error.kind == ErrorKind::Unsupported => {
                return Some(Event::CancellationRefused);
            }
            Some(Err(error)) => {
                tracing::warn!(rollback = %view.id, %error, "the execution could not be cancelled");
            }
            None => tracing::warn!(rollback = %view.id, "the CD system did not answer"),
        }
        pulse.beat();
        asked_before = true;
        pause(inner, wait).await;
        wait = wait.saturating_mul(2).min(RETRY_MAX);
    }
}

/// One look at the live revision and its health: the first at once, each other one after a pause.
async fn verify(
    inner: &Inner,
    view: &RollbackView,
    order: &OrderRef,
    receipt: &Receipt,
    since: Timestamp,
    which: Look,
) -> Event {
    if which == Look::Again {
        let wait = inner.look_every.min(limits(inner, view).settle).max(Duration::from_millis(20));
        pause(inner, wait).await;
    }
    let Some(service) = inner.catalog.services.get(&view.key) else {
        let why = "the service is not configured here any more";
        return Event::OutcomeObserved(Box::new(Sighting::new(
            Fact::unknown(why),
            Fact::unknown(why),
        )));
    };
    let health = async {
        if let Some(source) = &service.health {
            let (bound, inquiry) =
                (inner.source_timeout, HealthInquiry::after(order.plan(), since));
            let fact = within(inner.clock.as_ref(), bound, source.health(&inquiry)).await;
            return fact.unwrap_or_else(|| Fact::unknown(silent("the health check", bound)));
        }
        let asked_at = inner.clock.now();
        match look(inner, view, order, receipt).await {
            Ok(progress) => Fact::known(own_word(&progress), asked_at),
            Err(_why) => Fact::unknown("the CD system did not say whether it is healthy"),
        }
    };
    let (live, health) = tokio::join!(facts::live(inner, service, &view.key), health);
    Event::OutcomeObserved(Box::new(Sighting::new(live, health)))
}

/// Without a health check of its own, a service is as healthy as its CD system says.
fn own_word(progress: &Progress) -> Health {
    match progress.phase {
        Phase::Complete => Health::Healthy,
        Phase::Started | Phase::HealthChecking => Health::Unhealthy("it is not complete".into()),
        Phase::Failed | Phase::Cancelled => {
            Health::Unhealthy(progress.message.as_ref().map_or_else(
                || "the CD system says it failed".into(),
                |message| message.as_str().into(),
            ))
        }
    }
}

/// Keeps an eye on an order that was given up.
async fn watch(
    inner: &Inner,
    view: &RollbackView,
    order: &OrderRef,
    pulse: &Pulse,
) -> Option<Event> {
    let (backend, bound) = backend(inner, view)?;
    let mut wait = inner.look_every;
    loop {
        if let Some(receipt) = find(inner, backend, bound, order, pulse).await {
            return Some(Event::OrderFound(receipt));
        }
        pulse.beat();
        pause(inner, wait).await;
        wait = wait.saturating_mul(2).min(WATCH_EVERY_MAX);
    }
}

async fn pause(inner: &Inner, wait: Duration) {
    inner.clock.sleep(wait).await;
}
