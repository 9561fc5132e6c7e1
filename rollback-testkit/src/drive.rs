//! Orders for tests, without a back door: a real rollback is driven to its order.

use crate::fixtures;
use rollback_core::access::{AccessPolicy, Principal, Rule};
use rollback_core::audit::BackendEntry;
use rollback_core::journal::{Opening, Origin};
use rollback_core::observed::{Facts, Live};
use rollback_core::ports::Capabilities;
use rollback_core::proof::{Confirmation, Order, OrderRef};
use rollback_core::{
    Actor, Effect, Event, Fact, Migrations, Observation, Plan, Policy, Reason, Restorable,
    Revision, RevisionStatus, Rollback, RollbackId, Timestamp,
};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Drives a real rollback of `plan` under a permissive policy and gives its order: issued now,
/// valid for an hour, with an id of its own.
#[must_use]
pub fn order_for(plan: Plan) -> Order {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = Timestamp::from_millis(0).after(since);
    let id = format!("order-{}-{number}", now.as_millis());
    order_at(plan, &fixtures::parsed(&id), now)
}

/// The same, except that what the guards saw was good until an hour ago.
#[must_use]
pub fn expired_order_for(plan: Plan) -> Order {
    let order = order_for(plan);
    let earlier = order.issued_at().as_millis().saturating_sub(7_200_000);
    let reason = order.reason().clone();
    let hour = Duration::from_secs(3_600);
    let at = Timestamp::from_millis(earlier);
    drive(order.plan().clone(), order.rollback(), at, hour, order.requested_by(), reason)
}

/// The same with this id and at this time.
#[must_use]
pub fn order_at(plan: Plan, id: &RollbackId, now: Timestamp) -> Order {
    let reason = Reason::parse("an order for a test").expect("a reason");
    drive(plan, id, now, Duration::from_secs(3_600), &fixtures::ana().actor(), reason)
}

/// An order that says the same once more, as a process sends it that stood still in the middle, or a
/// network that carries it twice.
#[must_use]
pub fn again(order: &OrderRef) -> Order {
    let good_for = order.valid_until().since(order.issued_at());
    drive(
        order.plan().clone(),
        order.rollback(),
        order.issued_at(),
        good_for,
        order.requested_by(),
        order.reason().clone(),
    )
}

fn drive(
    plan: Plan,
    id: &RollbackId,
    now: Timestamp,
    good_for: Duration,
    actor: &Actor,
    reason: Reason,
) -> Order {
    let mut actor = actor.clone();
    actor.workspace = Some(fixtures::home());
    let person = fixtures::Person::new(actor.id.as_str(), "");
    let facts = passing(&plan, now);
    let confirmation = Confirmation::new(actor.clone(), person.standing(now), reason, plan.pair());
    let mut rollback = Rollback::open(opening(plan, id, now, good_for, &actor)).rollback;
    let observed = || {
        let observation = Observation::new(facts.clone(), person.standing(now));
        Event::FactsObserved(Box::new(observation))
    };
    let events = [
        Event::StandingObserved(Box::new(person.standing(now))),
        observed(),
        Event::ConfirmationGiven(Box::new(confirmation)),
        observed(),
        Event::IntentRecorded,
    ];
    let mut effects = Vec::new();
    for event in events {
        let step = rollback.step(now, event);
        rollback = step.rollback;
        effects = step.effects;
    }
    let order = effects
        .into_iter()
        .find_map(|effect| if let Effect::Trigger(order) = effect { Some(order) } else { None });
    order.unwrap_or_else(|| panic!("no order was given: {}", rollback.view().explanation))
}

fn opening(
    plan: Plan,
    id: &RollbackId,
    now: Timestamp,
    good_for: Duration,
    actor: &Actor,
) -> Opening {
    let owner = vec![Principal::User(actor.id.clone())];
    let mut access = AccessPolicy::default();
    access.workspaces.insert(fixtures::home());
    access.owners.push(Rule::for_service("test owners", &plan.key().service, owner));
    let mut policy = Policy::new(access.for_service(plan.key()));
    policy.limits.fact_age_max = good_for;
    let capabilities = Capabilities::full();
    let backend = BackendEntry::new(fixtures::parsed("under-test"), capabilities);
    Opening::new(id.clone(), plan, policy, Origin::Click(actor.clone()), backend, now)
}

/// Facts under which every built-in guard passes for `plan`.
fn passing(plan: &Plan, now: Timestamp) -> Facts {
    let revision = |reference: &rollback_core::RevisionRef| {
        let mut revision = Revision::new(reference.revision.clone());
        revision.status = RevisionStatus::Succeeded;
        revision.restorable = Restorable::Yes;
        revision.migrations = Migrations::Known(Vec::new());
        revision
    };
    let mut facts = Facts::unknown("nobody looked");
    facts.live = Fact::known(Live::running(plan.from().clone()), now);
    facts.history = Fact::known(vec![revision(plan.from()), revision(plan.to())], now);
    facts.preflight = Fact::known(fixtures::accepted(), now);
    facts.record = Fact::known(Default::default(), now);
    facts.freezes = Fact::known(Vec::new(), now);
    facts
}
