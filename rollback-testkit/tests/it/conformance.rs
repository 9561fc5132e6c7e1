//! The fakes pass the suites that the adapters must pass.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use async_trait::async_trait;
use rollback_core::ports::{Cancel, Capabilities, CdBackend, CompareAndSet, Fence, Sees};
use rollback_core::{Phase, RevisionId, ServiceKey};
use rollback_testkit::backend::{self, Harness};
use rollback_testkit::fakes::{FakeBackend, Fault, Method, TicketFlaw};
use rollback_testkit::{Simulated, fixtures};

struct InMemory(FakeBackend);

#[async_trait]
impl Harness for InMemory {
    fn backend(&self) -> &dyn CdBackend {
        &self.0
    }
    fn key(&self) -> ServiceKey {
        fixtures::key()
    }
    fn knows_expiry(&self) -> Simulated {
        Simulated::Cannot("it has no clock")
    }
    async fn truth(&self) -> Option<RevisionId> {
        self.0.truth()
    }
    async fn effects(&self) -> usize {
        self.0.effects()
    }
    async fn deploy(&self) -> RevisionId {
        let newer = fixtures::revision("43", "2.15.0", fixtures::at(60));
        self.0.deploy(newer.clone());
        newer.id
    }
    async fn cut(&self) {
        self.0.cut();
    }
    async fn heal(&self) {
        self.0.heal();
    }
    async fn lose_next_answer(&self) -> Simulated {
        self.0.fail(Method::Start, Fault::LoseAnswer);
        Simulated::Done
    }
    async fn hold_next_order(&self) -> Simulated {
        self.0.fail(Method::Start, Fault::HoldUp);
        Simulated::Done
    }
    async fn hold_next_job(&self) -> Simulated {
        if !self.0.takes_tickets() {
            return Simulated::Cannot("its orders start no job that redeems a ticket");
        }
        self.0.fail(Method::Start, Fault::HoldJob);
        Simulated::Done
    }
    async fn repeat_next_order(&self) -> Simulated {
        self.0.fail(Method::Start, Fault::Repeat);
        Simulated::Done
    }
    async fn release(&self) {
        self.0.release();
    }
    async fn prune(&self, revision: &RevisionId) -> Simulated {
        self.0.prune(revision);
        Simulated::Done
    }
    async fn fail_next_execution(&self) -> Simulated {
        self.0.set_phases([Phase::Started, Phase::Failed]);
        Simulated::Done
    }
    async fn stall_next_execution(&self) -> Simulated {
        self.0.set_phases([Phase::Started]);
        Simulated::Done
    }
}

async fn conforms(compare_and_set: CompareAndSet, fence: Fence, skips: &[&str]) {
    let capabilities = Capabilities::new(compare_and_set, fence);
    let summary = backend::run_all(async || InMemory(FakeBackend::new(capabilities))).await;
    summary.skips_only(skips);
}

#[tokio::test]
async fn the_fake_that_compares_and_fences_conforms() {
    let skips = [
        "an_order_that_has_expired_is_refused_and_changes_nothing",
        "a_fence_that_is_not_declared_is_unsupported",
        "a_job_that_starts_late_does_not_overwrite_a_newer_deploy",
        "a_job_whose_ticket_was_voided_changes_nothing",
        "what_is_declared_as_not_cancellable_is_not_cancelled",
    ];
    conforms(CompareAndSet::Yes, Fence::Yes, &skips).await;
}

#[tokio::test]
async fn the_fake_whose_jobs_redeem_tickets_conforms() {
    let skips = [
        "an_order_that_has_expired_is_refused_and_changes_nothing",
        "a_fence_that_is_not_declared_is_unsupported",
        "what_is_declared_as_not_cancellable_is_not_cancelled",
    ];
    conforms(CompareAndSet::Ticket, Fence::Yes, &skips).await;
}

#[tokio::test]
async fn the_fake_that_compares_and_cannot_fence_conforms() {
    let skips = [
        "an_order_that_has_expired_is_refused_and_changes_nothing",
        "a_fence_stops_a_late_order_and_changes_nothing",
        "an_order_that_comes_after_its_own_fence_is_turned_away",
        "an_order_after_a_fence_is_taken",
        "a_fence_does_not_void_another_order_that_comes_later",
        "a_job_that_starts_late_does_not_overwrite_a_newer_deploy",
        "a_job_whose_ticket_was_voided_changes_nothing",
        "what_is_declared_as_not_cancellable_is_not_cancelled",
    ];
    conforms(CompareAndSet::Yes, Fence::No, &skips).await;
}

#[tokio::test]
async fn the_fake_that_neither_compares_nor_fences_conforms() {
    let skips = [
        "an_order_that_has_expired_is_refused_and_changes_nothing",
        "of_two_orders_at_once_one_takes_effect",
        "a_late_order_does_not_overwrite_a_newer_deploy",
        "a_fence_stops_a_late_order_and_changes_nothing",
        "an_order_that_comes_after_its_own_fence_is_turned_away",
        "an_order_after_a_fence_is_taken",
        "a_fence_does_not_void_another_order_that_comes_later",
        "a_job_that_starts_late_does_not_overwrite_a_newer_deploy",
        "a_job_whose_ticket_was_voided_changes_nothing",
        "what_is_declared_as_not_cancellable_is_not_cancelled",
    ];
    conforms(CompareAndSet::No, Fence::No, &skips).await;
}

/// A suite that nothing can fail proves nothing.
#[test]
fn a_cd_system_that_declares_what_it_cannot_do_is_found_out() {
    let with = |compare_and_set, fence| {
        let mut capabilities = Capabilities::full();
        (capabilities.compare_and_set, capabilities.fence) = (compare_and_set, fence);
        capabilities
    };
    let (compares, fences) = (CompareAndSet::Yes, Fence::Yes);
    let honest = Capabilities::full();
    for (truth, declared, cancels) in [
        (with(CompareAndSet::No, fences), honest, Cancel::Yes),
        (with(CompareAndSet::No, fences), with(CompareAndSet::Ticket, fences), Cancel::Yes),
        (with(CompareAndSet::Ticket, fences), honest, Cancel::Yes),
        (with(CompareAndSet::Ticket, fences), with(CompareAndSet::No, fences), Cancel::Yes),
        (with(compares, Fence::No), honest, Cancel::Yes),
        (honest, with(compares, Fence::No), Cancel::Yes),
        (honest, honest, Cancel::No),
        (honest, honest.cancels(Cancel::No), Cancel::Yes),
        (honest, honest.sees_in_progress(Sees::No), Cancel::Yes),
        (honest, honest.sees_undoing(Sees::No), Cancel::Yes),
    ] {
        let run = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            let make = async || {
                let cd = FakeBackend::new(truth).declaring(declared);
                if cancels == Cancel::No {
                    cd.cancel_nothing();
                }
                InMemory(cd)
            };
            runtime.unwrap().block_on(backend::run_all(make))
        });
        assert!(run.join().is_err(), "{truth:?}, {cancels:?} passed as {declared:?}");
    }
}

/// What a run of the suite says that fails.
fn failing(make: impl Fn() -> FakeBackend + Send + 'static) -> String {
    let run = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.unwrap().block_on(backend::run_all(async || InMemory(make())))
    });
    *run.join().unwrap_err().downcast::<String>().unwrap()
}

#[test]
fn a_cd_system_that_declares_tickets_and_does_not_hold_them_is_found_out() {
    for (flaw, case) in [
        (TicketFlaw::VoidsNothing, "a_job_whose_ticket_was_voided_changes_nothing"),
        (
            TicketFlaw::RedeemsTwice,
            "an_order_that_arrives_again_after_all_is_as_before_changes_nothing",
        ),
        (TicketFlaw::DoesNotCompare, "a_job_that_starts_late_does_not_overwrite_a_newer_deploy"),
    ] {
        let said = failing(move || {
            let cd = FakeBackend::new(Capabilities::new(CompareAndSet::Ticket, Fence::Yes));
            cd.break_tickets(flaw);
            cd
        });
        assert!(said.contains(&format!("failed   {case}: ")), "{flaw:?}: {said}");
    }
}

#[test]
fn every_case_that_fails_is_named_and_not_only_the_first() {
    let truth = Capabilities::new(CompareAndSet::No, Fence::Yes);
    let mut declared = Capabilities::full();
    (declared.compare_and_set, declared.fence) = (CompareAndSet::Yes, Fence::No);
    let said = failing(move || FakeBackend::new(truth).declaring(declared));
    for case in [
        "a_late_order_does_not_overwrite_a_newer_deploy",
        "a_fence_that_is_not_declared_is_unsupported",
    ] {
        assert!(said.contains(&format!("failed   {case}: ")), "{said}");
    }
}
