//! The fakes pass the suites that the adapters must pass.

use async_trait::async_trait;
use rollback_core::ports::{Capabilities, CdBackend, CompareAndSet, Fence};
use rollback_core::{Phase, RevisionId, ServiceKey};
use rollback_testkit::backend::{self, Harness};
use rollback_testkit::fakes::{FakeBackend, Fault, Method};
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
    let skips = ["a_fence_that_is_not_declared_is_unsupported"];
    conforms(CompareAndSet::Yes, Fence::Yes, &skips).await;
    conforms(CompareAndSet::Ticket, Fence::Yes, &skips).await;
}

#[tokio::test]
async fn the_fake_that_compares_and_cannot_fence_conforms() {
    let skips = [
        "a_fence_stops_a_late_order_and_changes_nothing",
        "an_order_that_comes_after_its_own_fence_is_turned_away",
        "an_order_after_a_fence_is_taken",
    ];
    conforms(CompareAndSet::Yes, Fence::No, &skips).await;
}

#[tokio::test]
async fn the_fake_that_neither_compares_nor_fences_conforms() {
    let skips = [
        "of_two_orders_at_once_one_takes_effect",
        "a_late_order_does_not_overwrite_a_newer_deploy",
        "a_fence_stops_a_late_order_and_changes_nothing",
        "an_order_that_comes_after_its_own_fence_is_turned_away",
        "an_order_after_a_fence_is_taken",
    ];
    conforms(CompareAndSet::No, Fence::No, &skips).await;
}

/// A suite that nothing can fail proves nothing.
#[test]
fn a_cd_system_that_declares_what_it_cannot_do_is_found_out() {
    let lies = [
        (Capabilities::new(CompareAndSet::No, Fence::Yes), CompareAndSet::Yes, Fence::Yes),
        (Capabilities::new(CompareAndSet::Yes, Fence::No), CompareAndSet::Yes, Fence::Yes),
        (Capabilities::new(CompareAndSet::Yes, Fence::Yes), CompareAndSet::Yes, Fence::No),
    ];
    for (truth, compare_and_set, fence) in lies {
        let declared = Capabilities::new(compare_and_set, fence);
        let run = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            let make = async || InMemory(FakeBackend::new(truth).declaring(declared));
            runtime.unwrap().block_on(backend::run_all(make))
        });
        assert!(run.join().is_err(), "{truth:?} passed as {declared:?}");
    }
}

#[test]
fn every_case_that_fails_is_named_and_not_only_the_first() {
    let truth = Capabilities::new(CompareAndSet::No, Fence::Yes);
    let declared = Capabilities::new(CompareAndSet::Yes, Fence::No);
    let run = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let make = async || InMemory(FakeBackend::new(truth).declaring(declared));
        runtime.unwrap().block_on(backend::run_all(make))
    });
    let said = *run.join().unwrap_err().downcast::<String>().unwrap();
    for case in [
        "a_late_order_does_not_overwrite_a_newer_deploy",
        "a_fence_that_is_not_declared_is_unsupported",
    ] {
        assert!(said.contains(&format!("failed   {case}: ")), "{said}");
    }
}
