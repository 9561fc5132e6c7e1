//! Orders for tests, without a back door: a real rollback is driven to its order.

use crate::fixtures;
use rollback_core::access::{AccessPolicy, Principal, Rule};
use rollback_core::audit::BackendEntry;
use rollback_core::journal::{Opening, Origin};
use rollback_core::observed::{Facts, Live};
use rollback_core::ports::{Capabilities, CompareAndSet, Fence};
use rollback_core::proof::{Confirmation, Order};
use rollback_core::{
    Effect, Event, Fact, Migrations, Observation, Plan, Policy, Reason, Restorable, Revision,
    RevisionStatus, Rollback, RollbackId, Timestamp,
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

/// The same with this id and at this time.
#[must_use]
pub fn order_at(plan: Plan, id: &RollbackId, now: Timestamp) -> Order {
    let ana = fixtures::ana();
    let facts = passing(&plan, now);
    let confirmation = Confirmation::new(
        ana.actor(),
        ana.standing(now),
        Reason::parse("an order for a test").expect("a reason"),
        plan.pair(),
    );
    let mut rollback = Rollback::open(opening(plan, id, now)).rollback;
    let observed = || {
        let observation = Observation::new(facts.clone(), ana.standing(now));
        Event::FactsObserved(Box::new(observation))
    };
    let events = [
        Event::StandingObserved(Box::new(ana.standing(now))),
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

fn opening(plan: Plan, id: &RollbackId, now: Timestamp) -> Opening {
    let ana = fixtures::ana();
    let owner = vec![Principal::User(ana.id())];
    let mut access = AccessPolicy::default();
    access.workspaces.insert(fixtures::home());
    access.owners.push(Rule::for_service("test owners", &plan.key().service, owner));
    let mut policy = Policy::new(access.for_service(plan.key()));
    policy.limits.fact_age_max = Duration::from_secs(3600);
    let capabilities = Capabilities::new(CompareAndSet::Yes, Fence::Yes);
    let backend = BackendEntry::new(fixtures::parsed("under-test"), capabilities);
    Opening::new(id.clone(), plan, policy, Origin::Click(ana.actor()), backend, now)
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
