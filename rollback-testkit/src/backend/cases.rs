use super::{Case, Harness};
use crate::drive::{again, expired_order_for, order_for};
use crate::suite::Simulated;
use core::fmt::Debug;
use core::pin::pin;
use core::time::Duration;
use rollback_core::named::resolve;
use rollback_core::observed::{Acceptance, OperationKind};
use rollback_core::ports::{
    Cancel, Cancelled, CompareAndSet, Fence, Fenced, HistoryOptions, LiveOptions, ObserveOptions,
    Sees, StartError,
};
use rollback_core::proof::{Order, OrderRef};
use rollback_core::{
    Phase, Plan, Presence, Receipt, Restorable, RevisionId, RevisionRef, ServiceKey,
};
use std::future::poll_fn;
use std::task::Poll;

/// How many revisions the suite asks for; enough for every history of a test.
const LIMIT: usize = 50;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

impl<H: Harness> Case<'_, H> {
    fn fail(&self, what: &str) -> ! {
        panic!("backend conformance, {}: {what}", self.name)
    }

    fn check(&self, holds: bool, what: &str) {
        if !holds {
            self.fail(what);
        }
    }

    fn same<T: PartialEq + Debug>(&self, found: &T, expected: &T, what: &str) {
        if found != expected {
            self.fail(&format!("{what}: found {found:?}, expected {expected:?}"));
        }
    }

    fn ok<T, E: Debug>(&self, result: Result<T, E>, what: &str) -> T {
        result.unwrap_or_else(|error| self.fail(&format!("{what}: {error:?}")))
    }

    /// The live revision and the ones before it.
    async fn revisions(&self) -> Vec<RevisionRef> {
        let history = self
            .harness
            .backend()
            .history(&self.harness.key(), HistoryOptions::newest(LIMIT))
            .await;
        let history = self.ok(history, "the history cannot be read");
        let truth = self.harness.truth().await;
        let references: Vec<RevisionRef> = history
            .iter()
            .skip_while(|revision| Some(&revision.id) != truth.as_ref())
            .map(rollback_core::Revision::reference)
            .collect();
        self.check(references.len() >= 3, "a fresh harness has three revisions, the newest live");
        references
    }

    fn plan(&self, from: &RevisionRef, to: &RevisionRef) -> Plan {
        let plan = Plan::new(self.harness.key(), from.clone(), to.clone());
        self.ok(plan, "a fresh harness has different revisions")
    }

    /// From what is live to the one before it.
    async fn back_by_one(&self) -> Plan {
        match self.revisions().await.as_slice() {
            [live, earlier, ..] => self.plan(live, earlier),
            _ => self.fail("a fresh harness has three revisions"),
        }
    }

    async fn start(&self, order: &OrderRef) -> Receipt {
        let receipt = self.harness.backend().start(again(order)).await;
        self.ok(receipt, "a good order was not accepted")
    }

    /// Looks until the execution has ended.
    async fn end(&self, order: &OrderRef, receipt: &Receipt) -> Phase {
        let patience = self.harness.patience();
        let looks = async {
            loop {
                let progress =
                    self.harness.backend().observe(order, receipt, ObserveOptions::default()).await;
                let progress = self.ok(progress, "a running execution cannot be looked at");
                match progress.phase {
                    Phase::Started | Phase::HealthChecking => tokio::time::sleep(PAUSE).await,
                    ended @ (Phase::Complete | Phase::Failed | Phase::Cancelled) => return ended,
                }
            }
        };
        let ended = tokio::time::timeout(patience, looks).await;
        ended.unwrap_or_else(|_late| self.fail("the execution did not end within the patience"))
    }

    async fn truth_is(&self, expected: &RevisionId, what: &str) {
        self.same(&self.harness.truth().await, &Some(expected.clone()), what);
    }

    async fn nothing_changed(&self, plan: &Plan) {
        self.truth_is(&plan.from().revision, "something else is live than before").await;
        self.same(&self.harness.effects().await, &0, "a rollback took effect");
    }

    fn nowhere(&self) -> ServiceKey {
        ServiceKey::new(
            self.ok("conformance-no-such-service".parse(), "a service name"),
            self.harness.key().environment,
        )
    }

    fn no_such_revision(&self) -> RevisionRef {
        RevisionRef::new(self.ok("999999999".parse(), "a revision id"))
    }
}

macro_rules! needs {
    ($simulated:expr) => {
        if let Simulated::Cannot(why) = $simulated.await {
            return Simulated::Cannot(why);
        }
    };
}

pub(super) async fn history_is_newest_first_and_names_what_is_live<H: Harness>(
    case: &Case<'_, H>,
) -> Simulated {
    let (backend, key) = (case.harness.backend(), case.harness.key());
    let history = case.ok(
        backend.history(&key, HistoryOptions::newest(LIMIT)).await,
        "the history cannot be read",
    );
    let times: Vec<_> = history.iter().filter_map(|revision| revision.deployed_at).collect();
    case.check(times.is_sorted_by(|newer, older| newer >= older), "the newest is not first");
    let truth = case.harness.truth().await;
    let live = history.first().map(|revision| revision.id.clone());
    case.same(&live, &truth, "the first is not the one that is live");
    let good = history.iter().filter(|revision| revision.restorable == Restorable::Yes).count();
    case.check(good >= 2, "two earlier revisions can be restored, and it does not say so");
    Simulated::Done
}

pub(super) async fn each_name_means_one_revision<H: Harness>(case: &Case<'_, H>) -> Simulated {
    let (backend, key) = (case.harness.backend(), case.harness.key());
    let history = case.ok(
        backend.history(&key, HistoryOptions::newest(LIMIT)).await,
        "the history cannot be read",
    );
    for revision in &history {
        for named in &revision.names {
            let meant = resolve(&named.name, named.since, &history, None);
            case.same(&meant, &Ok(revision.id.clone()), "a name does not mean the one that has it");
        }
    }
    Simulated::Done
}

pub(super) async fn history_keeps_its_limit<H: Harness>(case: &Case<'_, H>) -> Simulated {
    let (backend, key) = (case.harness.backend(), case.harness.key());
    let whole = case.ok(
        backend.history(&key, HistoryOptions::newest(LIMIT)).await,
        "the history cannot be read",
    );
    for limit in [0, 1, 2] {
        let part = case.ok(
            backend.history(&key, HistoryOptions::newest(limit)).await,
            "the history cannot be read",
        );
        let ids = |list: &[rollback_core::Revision]| -> Vec<RevisionId> {
            list.iter().take(limit).map(|revision| revision.id.clone()).collect()
        };
        case.check(part.len() <= limit, "more revisions came than were asked for");
        case.same(&ids(&part), &ids(&whole), "a limit gave other revisions than the newest");
    }
    Simulated::Done
}

pub(super) async fn live_is_what_the_cd_system_runs<H: Harness>(case: &Case<'_, H>) -> Simulated {
    let (backend, key) = (case.harness.backend(), case.harness.key());
    let live =
        case.ok(backend.live(&key, LiveOptions::default()).await, "what is live cannot be read");
    let id = live.revision.map(|revision| revision.revision);
    case.same(&id, &case.harness.truth().await, "it is not what is live in truth");
    case.check(live.in_progress.is_nothing(), "nothing is in progress, and it says so");
    let newer = case.harness.deploy().await;
    let live =
        case.ok(backend.live(&key, LiveOptions::default()).await, "what is live cannot be read");
    let id = live.revision.map(|revision| revision.revision);
    case.same(&id, &Some(newer), "a newer deploy is not seen");
    Simulated::Done
}

pub(super) async fn an_unknown_service_is_never_taken_for_a_known_one<H: Harness>(
    case: &Case<'_, H>,
) -> Simulated {
    let backend = case.harness.backend();
    let nowhere = case.nowhere();
    let known = case.back_by_one().await;
    if let Ok(history) = backend.history(&nowhere, HistoryOptions::newest(LIMIT)).await {
        case.check(history.is_empty(), "a service that does not exist has a history");
    }
    if let Ok(live) = backend.live(&nowhere, LiveOptions::default()).await {
        case.check(live.revision.is_none(), "a service that does not exist runs something");
    }
    let plan = Plan::new(nowhere, known.from().clone(), known.to().clone());
    let plan = case.ok(plan, "two revisions");
    if let Ok(preflight) = backend.preflight(&plan).await {
        let accepted = preflight.acceptance == Acceptance::Accepted;
        case.check(!accepted, "a rollback of a service that does not exist would be accepted");
    }
    let started = backend.start(order_for(plan)).await;
    case.check(started.is_err(), "an order for a service that does not exist was accepted");
    case.nothing_changed(&known).await;
    Simulated::Done
}

pub(super) async fn preflight_accepts_a_good_target_and_changes_nothing<H: Harness>(
    case: &Case<'_, H>,
) -> Simulated {
    let plan = case.back_by_one().await;
    for _twice in 0..2 {
        let preflight = case.harness.backend().preflight(&plan).await;
        let preflight = case.ok(preflight, "a good target cannot be asked about");
        case.same(&preflight.acceptance, &Acceptance::Accepted, "a good target");
        case.check(
            preflight.undone_by.is_nothing(),
            "nothing would undo it, and it says so; where it cannot see that, no rollback passes",
        );
    }
    case.nothing_changed(&plan).await;
    Simulated::Done
}

pub(super) async fn preflight_rejects_a_target_that_does_not_exist<H: Harness>(
    case: &Case<'_, H>,
) -> Simulated {
    let good = case.back_by_one().await;
    let plan = case.plan(good.from(), &case.no_such_revision());
    if let Ok(preflight) = case.harness.backend().preflight(&plan).await {
        let accepted = preflight.acceptance == Acceptance::Accepted;
        case.check(!accepted, "a target that does not exist would be accepted");
    }
    Simulated::Done
}

pub(super) async fn an_order_takes_effect_once_and_completes<H: Harness>(
    case: &Case<'_, H>,
) -> Simulated {
    let plan = case.back_by_one().await;
    let order = order_for(plan.clone());
    let receipt = case.start(&order).await;
    let found = case.harness.backend().find(&order).await;
    let found = case.ok(found, "an accepted order cannot be looked for");
    case.same(&found, &Some(receipt.clone()), "an accepted order is found by its receipt");
    case.same(&case.end(&order, &receipt).await, &Phase::Complete, "a good rollback ends");
    case.truth_is(&plan.to().revision, "the target is not live").await;
    case.same(&case.harness.effects().await, &1, "effects");
    let live = case.harness.backend().live(&case.harness.key(), LiveOptions::default()).await;
    let live = case.ok(live, "what is live cannot be read");
    let id = live.revision.map(|revision| revision.revision);
    case.same(&id, &Some(plan.to().revision.clone()), "the target is not seen live");
    Simulated::Done
}

pub(super) async fn an_order_that_is_sent_twice_takes_effect_once<H: Harness>(
    case: &Case<'_, H>,
) -> Simulated {
    let plan = case.back_by_one().await;
    let order = order_for(plan.clone());
    let receipt = case.start(&order).await;
    for _again in 0..2 {
        match case.harness.backend().start(again(&order)).await {
            Ok(again) => case.same(&again, &receipt, "the same order has another receipt"),
            Err(StartError::Refused { .. } | StartError::Conflict { .. }) => {
                case.fail("an order that took effect is said to have been refused");
            }
            Err(StartError::InDoubt { .. }) => {}
        }
        case.end(&order, &receipt).await;
    }
    case.same(&case.harness.effects().await, &1, "effects");
    case.truth_is(&plan.to().revision, "the target is not live").await;
    Simulated::Done
}

pub(super) async fn an_order_that_was_never_sent_is_not_found<H: Harness>(
    case: &Case<'_, H>,
) -> Simulated {
    let plan = case.back_by_one().await;
    for _twice in 0..2 {
        let found = case.harness.backend().find(&order_for(plan.clone())).await;
        let found = case.ok(found, "an order cannot be looked for");
        case.same(&found, &None, "an order that was never sent was found");
    }
    case.nothing_changed(&plan).await;
    Simulated::Done
}

pub(super) async fn one_order_is_not_taken_for_another<H: Harness>(
    case: &Case<'_, H>,
) -> Simulated {
    let plan = case.back_by_one().await;
    let (sent, never) = (order_for(plan.clone()), order_for(plan));
    let receipt = case.start(&sent).await;
    let found = case.harness.backend().find(&never).await;
    let found = case.ok(found, "an order cannot be looked for");
    case.same(&found, &None, "another rollback's order was found");
    case.end(&sent, &receipt).await;
    Simulated::Done
}

pub(super) async fn a_target_that_does_not_exist_is_refused<H: Harness>(
    case: &Case<'_, H>,
) -> Simulated {
    let good = case.back_by_one().await;
    let order = order_for(case.plan(good.from(), &case.no_such_revision()));
    match case.harness.backend().start(again(&order)).await {
        Ok(receipt) => {
            let ended = case.end(&order, &receipt).await;
            case.check(ended != Phase::Complete, "a target that does not exist was restored");
        }
        Err(StartError::Refused { .. }) => {}
        Err(other @ (StartError::Conflict { .. } | StartError::InDoubt { .. })) => {
            case.fail(&format!("a target that does not exist is refused, not {other:?}"));
        }
    }
    case.truth_is(&good.from().revision, "something else is live than before").await;
    Simulated::Done
}

pub(super) async fn a_target_that_was_pruned_is_neither_restorable_nor_restored<H: Harness>(
    case: &Case<'_, H>,
) -> Simulated {
    let plan = case.back_by_one().await;
    needs!(case.harness.prune(&plan.to().revision));
    let backend = case.harness.backend();
    let history = backend.history(&case.harness.key(), HistoryOptions::newest(LIMIT)).await;
    let history = case.ok(history, "the history cannot be read");
    let target = history.iter().find(|revision| revision.id == plan.to().revision);
    let restorable = target.is_some_and(|target| target.restorable == Restorable::Yes);
    case.check(!restorable, "what was pruned is said to be restorable");
    if let Ok(preflight) = backend.preflight(&plan).await {
        let accepted = preflight.acceptance == Acceptance::Accepted;
        case.check(!accepted, "what was pruned would be accepted as a target");
    }
    let order = order_for(plan.clone());
    if let Ok(receipt) = backend.start(again(&order)).await {
        let ended = case.end(&order, &receipt).await;
        case.check(ended != Phase::Complete, "what was pruned was restored");
    }
    case.truth_is(&plan.from().revision, "something else is live than before").await;
    Simulated::Done
}

pub(super) async fn an_order_for_what_is_no_longer_live_changes_nothing<H: Harness>(
    case: &Case<'_, H>,
) -> Simulated {
    let plan = case.back_by_one().await;
    let newer = case.harness.deploy().await;
    let order = order_for(plan);
    match case.harness.backend().start(again(&order)).await {
        Err(StartError::Conflict { live: Some(live), .. }) => {
            case.same(&live.revision, &newer, "the conflict names another revision");
        }
        Err(StartError::Conflict { live: None, .. } | StartError::Refused { .. }) => {}
        other @ (Ok(_) | Err(StartError::InDoubt { .. })) => {
            case.fail(&format!("a stale order is a conflict, not {other:?}"));
        }
    }
    case.truth_is(&newer, "a newer deploy was overwritten").await;
    case.same(&case.harness.effects().await, &0, "effects");
    Simulated::Done
}

pub(super) async fn of_two_orders_at_once_one_takes_effect<H: Harness>(
    case: &Case<'_, H>,
) -> Simulated {
    let backend = case.harness.backend();
    if backend.capabilities(&case.harness.key()).compare_and_set == CompareAndSet::No {
        return Simulated::Cannot("the CD system does not compare and set, and declares it");
    }
    let revisions = case.revisions().await;
    let [live, one, other, ..] = revisions.as_slice() else {
        case.fail("a fresh harness has three revisions");
    };
    let orders = [order_for(case.plan(live, one)), order_for(case.plan(live, other))];
    let [first, second] = &orders;
    let answers = tokio::join!(backend.start(again(first)), backend.start(again(second)));
    let accepted: Vec<(&Order, Receipt)> = orders
        .iter()
        .zip([answers.0, answers.1])
        .filter_map(|(order, answer)| answer.ok().map(|receipt| (order, receipt)))
        .collect();
    let mut completed = Vec::new();
    for (order, receipt) in &accepted {
        if case.end(order, receipt).await == Phase::Complete {
            completed.push(order.plan().to().revision.clone());
        }
    }
    case.same(&completed.len(), &1, "of two orders from one revision exactly one completes");
    case.same(&case.harness.effects().await, &1, "effects");
    if let Some(target) = completed.first() {
        case.truth_is(target, "the order that completed is not what is live").await;
    }
    Simulated::Done
}

/// Sends an order that is held up, and insists that it is in doubt.
async fn hold_up<H: Harness>(case: &Case<'_, H>, order: &OrderRef) {
    match case.harness.backend().start(again(order)).await {
        Err(StartError::InDoubt { .. }) => {}
        other @ (Ok(_) | Err(StartError::Refused { .. } | StartError::Conflict { .. })) => {
            case.fail(&format!("an order that is not answered is in doubt, not {other:?}"));
        }
    }
}

pub(super) async fn a_late_order_does_not_overwrite_a_newer_deploy<H: Harness>(
    case: &Case<'_, H>,
) -> Simulated {
    if case.harness.backend().capabilities(&case.harness.key()).compare_and_set == CompareAndSet::No
    {
        return Simulated::Cannot("the CD system does not compare and set, and declares it");
    }
    let order = order_for(case.back_by_one().await);
    needs!(case.harness.hold_next_order());
    hold_up(case, &order).await;
    let newer = case.harness.deploy().await;
    case.harness.release().await;
    case.truth_is(&newer, "a late order overwrote a newer deploy").await;
    case.same(&case.harness.effects().await, &0, "effects");
    Simulated::Done
}

pub(super) async fn a_fence_stops_a_late_order_and_changes_nothing<H: Harness>(
    case: &Case<'_, H>,
) -> Simulated {
    let backend = case.harness.backend();
    if backend.capabilities(&case.harness.key()).fence == Fence::No {
        return Simulated::Cannot("the CD system cannot fence, and declares it");
    }
    let plan = case.back_by_one().await;
    let order = order_for(plan.clone());
    needs!(case.harness.hold_next_order());
    hold_up(case, &order).await;
    let found = case.ok(backend.find(&order).await, "an order cannot be looked for");
    case.same(&found, &None, "an order that has not arrived was found");
    for _twice in 0..2 {
        let fenced = case.ok(backend.fence(&order).await, "a declared fence failed");
        case.same(&fenced, &Fenced::Done, "a declared fence");
    }
    case.nothing_changed(&plan).await;
    case.harness.release().await;
    case.nothing_changed(&plan).await;
    let found = case.ok(backend.find(&order).await, "an order cannot be looked for");
    case.same(&found, &None, "an order that was fenced off was found");
    Simulated::Done
}

/// A process that stood still sends its order after somebody else has put up the fence against it
/// and called it absent.
pub(super) async fn an_order_that_comes_after_its_own_fence_is_turned_away<H: Harness>(
    case: &Case<'_, H>,
) -> Simulated {
    let backend = case.harness.backend();
    if backend.capabilities(&case.harness.key()).fence == Fence::No {
        return Simulated::Cannot("the CD system cannot fence, and declares it");
    }
    let plan = case.back_by_one().await;
    let order = order_for(plan.clone());
    let fenced = case.ok(backend.fence(&order).await, "a declared fence failed");
    case.same(&fenced, &Fenced::Done, "a declared fence");
    match backend.start(again(&order)).await {
        Err(StartError::Refused { .. } | StartError::Conflict { .. }) => {}
        other @ (Ok(_) | Err(StartError::InDoubt { .. })) => {
            case.fail(&format!("an order that was fenced off is refused, not {other:?}"));
        }
    }
    case.nothing_changed(&plan).await;
    let found = case.ok(backend.find(&order).await, "an order cannot be looked for");
    case.same(&found, &None, "an order that was fenced off was found");
    Simulated::Done
}

pub(super) async fn a_fence_that_is_not_declared_is_unsupported<H: Harness>(
    case: &Case<'_, H>,
) -> Simulated {
    let backend = case.harness.backend();
    if backend.capabilities(&case.harness.key()).fence == Fence::Yes {
        return Simulated::Cannot("the CD system declares that it can fence");
    }
    let plan = case.back_by_one().await;
    let fenced = case.ok(backend.fence(&order_for(plan.clone())).await, "a fence");
    case.same(&fenced, &Fenced::Unsupported, "a fence that is not declared");
    case.nothing_changed(&plan).await;
    Simulated::Done
}

pub(super) async fn an_order_after_a_fence_is_taken<H: Harness>(case: &Case<'_, H>) -> Simulated {
    let backend = case.harness.backend();
    if backend.capabilities(&case.harness.key()).fence == Fence::No {
        return Simulated::Cannot("the CD system cannot fence, and declares it");
    }
    let plan = case.back_by_one().await;
    let fenced = case.ok(backend.fence(&order_for(plan.clone())).await, "a declared fence failed");
    case.same(&fenced, &Fenced::Done, "a declared fence");
    let order = order_for(plan.clone());
    let receipt = case.start(&order).await;
    case.same(&case.end(&order, &receipt).await, &Phase::Complete, "a rollback after a fence");
    case.truth_is(&plan.to().revision, "the target is not live").await;
    Simulated::Done
}

pub(super) async fn a_lost_answer_is_in_doubt_and_found_by_reading<H: Harness>(
    case: &Case<'_, H>,
) -> Simulated {
    let backend = case.harness.backend();
    let plan = case.back_by_one().await;
    let order = order_for(plan.clone());
    needs!(case.harness.lose_next_answer());
    hold_up(case, &order).await;
    let found = case.ok(backend.find(&order).await, "an order cannot be looked for");
    let Some(receipt) = found else {
        case.fail("an order that was accepted is not found");
    };
    case.same(&case.end(&order, &receipt).await, &Phase::Complete, "the rollback ends");
    case.truth_is(&plan.to().revision, "the target is not live").await;
    case.same(&case.harness.effects().await, &1, "effects");
    Simulated::Done
}

pub(super) async fn a_cut_connection_is_never_a_success_and_never_a_conflict<H: Harness>(
    case: &Case<'_, H>,
) -> Simulated {
    let plan = case.back_by_one().await;
    let order = order_for(plan.clone());
    case.harness.cut().await;
    match case.harness.backend().start(again(&order)).await {
        // Refused is true where the connection was never made.
        Err(StartError::InDoubt { .. } | StartError::Refused { .. }) => {}
        other @ (Ok(_) | Err(StartError::Conflict { .. })) => {
            case.fail(&format!("an order over a cut connection is not {other:?}"));
        }
    }
    case.harness.heal().await;
    let found = case.ok(case.harness.backend().find(&order).await, "cannot be looked for");
    case.same(&found, &None, "an order that never arrived was found");
    case.nothing_changed(&plan).await;
    Simulated::Done
}

pub(super) async fn every_read_over_a_cut_connection_is_an_error<H: Harness>(
    case: &Case<'_, H>,
) -> Simulated {
    let (backend, key) = (case.harness.backend(), case.harness.key());
    let plan = case.back_by_one().await;
    let order = order_for(plan.clone());
    let receipt = case.start(&order).await;
    case.end(&order, &receipt).await;
    case.harness.cut().await;
    case.check(
        backend.history(&key, HistoryOptions::newest(LIMIT)).await.is_err(),
        "a history came",
    );
    case.check(backend.live(&key, LiveOptions::default()).await.is_err(), "what is live came");
    case.check(backend.preflight(&plan).await.is_err(), "a preflight came");
    case.check(backend.find(&order).await.is_err(), "an order was looked for");
    case.check(
        backend.observe(&order, &receipt, ObserveOptions::default()).await.is_err(),
        "an execution was looked at",
    );
    case.check(
        !matches!(backend.fence(&order).await, Ok(Fenced::Done)),
        "a fence is said to stand",
    );
    case.check(
        !matches!(backend.cancel(&order, &receipt).await, Ok(Cancelled::Requested)),
        "a cancellation is said to be on its way",
    );
    case.harness.heal().await;
    let live = case.ok(backend.live(&key, LiveOptions::default()).await, "it does not recover");
    let id = live.revision.map(|revision| revision.revision);
    case.same(&id, &Some(plan.to().revision.clone()), "what is live after recovery");
    Simulated::Done
}

pub(super) async fn an_ended_execution_is_complete_from_one_look_however_late<H: Harness>(
    case: &Case<'_, H>,
) -> Simulated {
    let backend = case.harness.backend();
    let order = order_for(case.back_by_one().await);
    let receipt = case.start(&order).await;
    case.end(&order, &receipt).await;
    let newer = case.harness.deploy().await;
    for _twice in 0..2 {
        let progress = backend.observe(&order, &receipt, ObserveOptions::default()).await;
        let progress = case.ok(progress, "an ended execution cannot be looked at");
        case.same(&progress.phase, &Phase::Complete, "a look after the end");
    }
    case.truth_is(&newer, "a look changed what is live").await;
    Simulated::Done
}

pub(super) async fn an_execution_that_does_not_exist_is_never_complete<H: Harness>(
    case: &Case<'_, H>,
) -> Simulated {
    let plan = case.back_by_one().await;
    let order = order_for(plan.clone());
    let foreign = Receipt::new("999999999");
    if let Ok(progress) =
        case.harness.backend().observe(&order, &foreign, ObserveOptions::default()).await
    {
        let complete = progress.phase == Phase::Complete;
        case.check(!complete, "an execution that does not exist is complete");
    }
    case.nothing_changed(&plan).await;
    Simulated::Done
}

pub(super) async fn an_execution_that_fails_is_failed_and_never_complete<H: Harness>(
    case: &Case<'_, H>,
) -> Simulated {
    let order = order_for(case.back_by_one().await);
    needs!(case.harness.fail_next_execution());
    let receipt = case.start(&order).await;
    case.same(&case.end(&order, &receipt).await, &Phase::Failed, "an execution that fails");
    let progress =
        case.harness.backend().observe(&order, &receipt, ObserveOptions::default()).await;
    let progress = case.ok(progress, "a failed execution cannot be looked at");
    case.same(&progress.phase, &Phase::Failed, "a second look");
    Simulated::Done
}

pub(super) async fn a_running_execution_shows_as_in_progress_and_can_be_cancelled<H: Harness>(
    case: &Case<'_, H>,
) -> Simulated {
    let (backend, key) = (case.harness.backend(), case.harness.key());
    if backend.capabilities(&key).cancel == Cancel::No {
        return Simulated::Cannot("the CD system does not cancel, and declares it");
    }
    let order = order_for(case.back_by_one().await);
    needs!(case.harness.stall_next_execution());
    let receipt = case.start(&order).await;
    let live =
        case.ok(backend.live(&key, LiveOptions::default()).await, "what is live cannot be read");
    let Presence::Something(operation) = live.in_progress else {
        case.fail("a running rollback does not show as in progress");
    };
    case.same(&operation.kind, &OperationKind::Rollback, "what is in progress");
    if let Some(id) = &operation.operation_id {
        case.same(id, order.rollback(), "whose rollback is in progress");
    }
    let cancelled = case.ok(backend.cancel(&order, &receipt).await, "it cannot be cancelled");
    case.same(&cancelled, &Cancelled::Requested, "what is declared as cancellable");
    if backend.cancel(&order, &receipt).await.is_err() {
        case.fail("cancelling twice is an error");
    }
    case.same(&case.end(&order, &receipt).await, &Phase::Cancelled, "a cancelled rollback");
    Simulated::Done
}

pub(super) async fn cancelling_what_has_ended_is_too_late<H: Harness>(
    case: &Case<'_, H>,
) -> Simulated {
    let backend = case.harness.backend();
    let plan = case.back_by_one().await;
    let order = order_for(plan.clone());
    let receipt = case.start(&order).await;
    case.end(&order, &receipt).await;
    for _twice in 0..2 {
        let cancelled = case.ok(backend.cancel(&order, &receipt).await, "cancelling");
        case.same(&cancelled, &Cancelled::TooLate, "cancelling what has ended");
    }
    case.truth_is(&plan.to().revision, "cancelling what has ended undid it").await;
    Simulated::Done
}

pub(super) async fn a_hint_that_nobody_waits_for_is_harmless<H: Harness>(
    case: &Case<'_, H>,
) -> Simulated {
    let (backend, key) = (case.harness.backend(), case.harness.key());
    {
        let mut changes = backend.changes(&key);
        let mut hint = pin!(changes.next());
        // One look, then the wait is dropped: a hint may be there already or may never come.
        poll_fn(|context| {
            let _early_or_pending = hint.as_mut().poll(context);
            Poll::Ready(())
        })
        .await;
    }
    let newer = case.harness.deploy().await;
    let live =
        case.ok(backend.live(&key, LiveOptions::default()).await, "what is live cannot be read");
    let id = live.revision.map(|revision| revision.revision);
    case.same(&id, &Some(newer), "what is live after a dropped wait");
    Simulated::Done
}

/// What a capability says is what is answered, both ways: what is not shown is unknown, never "none".
pub(super) async fn what_is_declared_to_be_seen_is_seen_and_nothing_else<H: Harness>(
    case: &Case<'_, H>,
) -> Simulated {
    let (backend, key) = (case.harness.backend(), case.harness.key());
    let declared = backend.capabilities(&key);
    let live =
        case.ok(backend.live(&key, LiveOptions::default()).await, "what is live cannot be read");
    let plan = case.back_by_one().await;
    let preflight = case.ok(backend.preflight(&plan).await, "a rollback cannot be asked about");
    for (what, declared, is_seen) in [
        ("what is in progress", declared.in_progress, !is_unknown(&live.in_progress)),
        ("who would undo it", declared.undoing, !is_unknown(&preflight.undone_by)),
    ] {
        match (declared, is_seen) {
            (Sees::Yes, true) | (Sees::No, false) => {}
            (Sees::Yes, false) => case.fail(&format!("{what} is declared as seen, and is not")),
            (Sees::No, true) => {
                case.fail(&format!("{what} is told, and declared as something that is not seen"));
            }
        }
    }
    Simulated::Done
}

const fn is_unknown<T>(presence: &Presence<T>) -> bool {
    match presence {
        Presence::CannotTell(_) => true,
        Presence::Nothing | Presence::Something(_) => false,
    }
}

pub(super) async fn what_is_declared_as_not_cancellable_is_not_cancelled<H: Harness>(
    case: &Case<'_, H>,
) -> Simulated {
    let backend = case.harness.backend();
    if backend.capabilities(&case.harness.key()).cancel == Cancel::Yes {
        return Simulated::Cannot("the CD system declares that it cancels");
    }
    let plan = case.back_by_one().await;
    let order = order_for(plan.clone());
    let receipt = case.start(&order).await;
    let cancelled = case.ok(backend.cancel(&order, &receipt).await, "cancelling");
    case.same(&cancelled, &Cancelled::TooLate, "cancelling what cannot be cancelled");
    case.same(&case.end(&order, &receipt).await, &Phase::Complete, "the rollback goes on");
    case.truth_is(&plan.to().revision, "the target is not live").await;
    Simulated::Done
}

/// An order waits in a queue of ours for longer than what the guards saw is good for.
pub(super) async fn an_order_that_has_expired_is_refused_and_changes_nothing<H: Harness>(
    case: &Case<'_, H>,
) -> Simulated {
    if let Simulated::Cannot(why) = case.harness.knows_expiry() {
        return Simulated::Cannot(why);
    }
    let plan = case.back_by_one().await;
    let order = expired_order_for(plan.clone());
    match case.harness.backend().start(again(&order)).await {
        Err(StartError::Refused { .. }) => {}
        other @ (Ok(_) | Err(StartError::Conflict { .. } | StartError::InDoubt { .. })) => {
            case.fail(&format!("an order that has expired is refused, not {other:?}"));
        }
    }
    case.nothing_changed(&plan).await;
    let found = case.harness.backend().find(&order).await;
    case.same(&case.ok(found, "an order cannot be looked for"), &None, "what was refused is found");
    Simulated::Done
}

/// An id of a revision comes from outside: from a report, from a person, from another system.
pub(super) async fn an_id_that_leads_elsewhere_is_no_target<H: Harness>(
    case: &Case<'_, H>,
) -> Simulated {
    let good = case.back_by_one().await;
    let target = good.to().revision.as_str();
    for id in [
        "..",
        ".",
        "/",
        "/etc",
        &format!("../{target}"),
        &format!("./{target}"),
        &format!("{target}/"),
        &format!("{target}/.."),
        "%2e%2e%2f",
        "*",
        "?",
        "$(reboot)",
        "a;reboot",
        "..\\..",
    ] {
        let Ok(id) = RevisionId::parse(id) else { continue };
        let hostile = case.plan(good.from(), &RevisionRef::new(id.clone()));
        if let Ok(preflight) = case.harness.backend().preflight(&hostile).await {
            let accepted = preflight.acceptance == Acceptance::Accepted;
            case.check(!accepted, &format!("a rollback to `{id}` would be accepted"));
        }
        let started = case.harness.backend().start(order_for(hostile)).await;
        case.check(started.is_err(), &format!("an order that leads to `{id}` was accepted"));
        case.nothing_changed(&good).await;
    }
    Simulated::Done
}

pub(super) async fn a_refused_order_is_not_found<H: Harness>(case: &Case<'_, H>) -> Simulated {
    let good = case.back_by_one().await;
    let refused = order_for(case.plan(good.from(), &case.no_such_revision()));
    let started = case.harness.backend().start(again(&refused)).await;
    case.check(started.is_err(), "a target that does not exist was accepted");
    let found = case.harness.backend().find(&refused).await;
    case.same(&case.ok(found, "an order cannot be looked for"), &None, "a refused order is found");
    Simulated::Done
}

/// A fence is put up against one order and what was sent before it, not against what comes after.
pub(super) async fn a_fence_does_not_void_another_order_that_comes_later<H: Harness>(
    case: &Case<'_, H>,
) -> Simulated {
    let backend = case.harness.backend();
    if backend.capabilities(&case.harness.key()).fence == Fence::No {
        return Simulated::Cannot("the CD system cannot fence, and declares it");
    }
    let plan = case.back_by_one().await;
    let (void, later) = (order_for(plan.clone()), order_for(plan.clone()));
    for _twice in 0..2 {
        case.ok(backend.fence(&void).await, "a declared fence failed");
    }
    let receipt = case.start(&later).await;
    case.same(&case.end(&later, &receipt).await, &Phase::Complete, "another order");
    case.truth_is(&plan.to().revision, "the target is not live").await;
    case.same(&case.harness.effects().await, &1, "effects");
    Simulated::Done
}

/// Starts an order whose job waits, and insists that nothing has happened yet.
async fn queue<H: Harness>(case: &Case<'_, H>, order: &OrderRef) -> Receipt {
    let backend = case.harness.backend();
    let declared = backend.capabilities(&case.harness.key()).compare_and_set;
    let what =
        format!("its orders start a job that compares later, declared as `{}`", declared.as_str());
    case.check(declared == CompareAndSet::Ticket, &what);
    let receipt = case.start(order).await;
    case.nothing_changed(order.plan()).await;
    let progress = backend.observe(order, &receipt, ObserveOptions::default()).await;
    let progress = case.ok(progress, "a job that waits cannot be looked at");
    case.same(&progress.phase, &Phase::Started, "a job that waits");
    receipt
}

/// A job compares when it begins, and not when it was ordered.
pub(super) async fn a_job_that_starts_late_does_not_overwrite_a_newer_deploy<H: Harness>(
    case: &Case<'_, H>,
) -> Simulated {
    needs!(case.harness.hold_next_job());
    let order = order_for(case.back_by_one().await);
    let receipt = queue(case, &order).await;
    let newer = case.harness.deploy().await;
    case.harness.release().await;
    case.truth_is(&newer, "a job that started late overwrote a newer deploy").await;
    case.same(&case.harness.effects().await, &0, "effects");
    let ended = case.end(&order, &receipt).await;
    case.same(&ended, &Phase::Failed, "a job that did not redeem its ticket");
    Simulated::Done
}

/// A fence redeems the ticket in place of the job, which stops when it comes to it.
pub(super) async fn a_job_whose_ticket_was_voided_changes_nothing<H: Harness>(
    case: &Case<'_, H>,
) -> Simulated {
    let backend = case.harness.backend();
    if backend.capabilities(&case.harness.key()).fence == Fence::No {
        return Simulated::Cannot("the CD system cannot fence, and declares it");
    }
    needs!(case.harness.hold_next_job());
    let plan = case.back_by_one().await;
    let order = order_for(plan.clone());
    let receipt = queue(case, &order).await;
    for _twice in 0..2 {
        let fenced = case.ok(backend.fence(&order).await, "a declared fence failed");
        case.same(&fenced, &Fenced::Done, "a declared fence");
    }
    let found = case.ok(backend.find(&order).await, "an order cannot be looked for");
    case.same(&found, &None, "an order whose ticket was voided was found");
    case.harness.release().await;
    case.nothing_changed(&plan).await;
    let ended = case.end(&order, &receipt).await;
    case.same(&ended, &Phase::Failed, "a job whose ticket was voided");
    Simulated::Done
}

/// The network carries an order twice, and the second time what it expects is live again. Comparing is
/// not enough: an order takes effect once.
pub(super) async fn an_order_that_arrives_again_after_all_is_as_before_changes_nothing<
    H: Harness,
>(
    case: &Case<'_, H>,
) -> Simulated {
    needs!(case.harness.repeat_next_order());
    let plan = case.back_by_one().await;
    let forward = order_for(case.plan(plan.to(), plan.from()));
    for order in [order_for(plan.clone()), forward] {
        let receipt = case.start(&order).await;
        case.same(&case.end(&order, &receipt).await, &Phase::Complete, "a good rollback ends");
    }
    case.truth_is(&plan.from().revision, "the second rollback restored it").await;
    case.harness.release().await;
    case.truth_is(&plan.from().revision, "an order took effect again").await;
    case.same(&case.harness.effects().await, &2, "effects");
    Simulated::Done
}
