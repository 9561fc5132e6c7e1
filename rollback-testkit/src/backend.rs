//! The conformance suite of [`CdBackend`]: what every adapter must do, whatever its CD system.
//!
//! An adapter's `tests/it/conformance.rs` implements [`Harness`] on the real CD system, or on a
//! faithful copy, and calls [`run_all`]. Declared capabilities are tested both ways: what is
//! declared `yes` is proved with a race, what is declared `no` must answer so.
//!
//! ```
//! use async_trait::async_trait;
//! use rollback_core::ports::{Capabilities, CdBackend, CompareAndSet, Fence};
//! use rollback_core::{RevisionId, ServiceKey};
//! use rollback_testkit::backend::{self, Harness};
//! use rollback_testkit::{Simulated, fakes, fixtures};
//!
//! struct InMemory(fakes::FakeBackend);
//!
//! #[async_trait]
//! impl Harness for InMemory {
//!     fn backend(&self) -> &dyn CdBackend {
//!         &self.0
//!     }
//!     fn key(&self) -> ServiceKey {
//!         fixtures::key()
//!     }
//!     fn knows_expiry(&self) -> Simulated {
//!         Simulated::Cannot("it has no clock")
//!     }
//!     async fn truth(&self) -> Option<RevisionId> {
//!         self.0.truth()
//!     }
//!     async fn effects(&self) -> usize {
//!         self.0.effects()
//!     }
//!     async fn deploy(&self) -> RevisionId {
//!         let newer = fixtures::revision("43", "2.15.0", fixtures::at(0));
//!         self.0.deploy(newer.clone());
//!         newer.id
//!     }
//!     async fn cut(&self) {
//!         self.0.cut();
//!     }
//!     async fn heal(&self) {
//!         self.0.heal();
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let capabilities = Capabilities::new(CompareAndSet::Yes, Fence::Yes);
//! let summary = backend::run_all(async || InMemory(fakes::FakeBackend::new(capabilities))).await;
//! println!("{summary}");
//! # });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cases;

use crate::suite::{Simulated, Summary, caught};
use async_trait::async_trait;
use core::time::Duration;
use rollback_core::ports::CdBackend;
use rollback_core::{RevisionId, ServiceKey};
use tokio::sync::Semaphore;

/// What the suite needs of a CD system besides the port.
///
/// A fresh harness has one service whose history holds at least three good, restorable revisions
/// without migrations, the newest of which is live; nothing is in progress. What cannot be brought
/// about answers [`Simulated::Cannot`], and the case is skipped by name.
#[async_trait]
pub trait Harness: Send + Sync {
    /// The adapter under test.
    fn backend(&self) -> &dyn CdBackend;

    /// The service.
    fn key(&self) -> ServiceKey;

    /// What is live in truth, seen past the adapter.
    async fn truth(&self) -> Option<RevisionId>;

    /// How many rollbacks changed what is live in truth, seen past the adapter.
    async fn effects(&self) -> usize;

    /// Deploys a newer good revision past the adapter, until it is live.
    async fn deploy(&self) -> RevisionId;

    /// Cuts the adapter off: nothing that it sends from now on arrives.
    async fn cut(&self);

    /// Ends what [`Self::cut`] began.
    async fn heal(&self);

    /// The answer to the next order is lost; the order is carried out.
    async fn lose_next_answer(&self) -> Simulated {
        Simulated::Cannot("this harness cannot lose an answer")
    }

    /// The next order is held up on its way until [`Self::release`]; the adapter gives up on it.
    async fn hold_next_order(&self) -> Simulated {
        Simulated::Cannot("this harness cannot hold up an order")
    }

    /// The next order is taken, and the job that it starts waits until [`Self::release`]: only where an
    /// order starts a job that redeems a ticket.
    async fn hold_next_job(&self) -> Simulated {
        Simulated::Cannot("its orders start no job that redeems a ticket")
    }

    /// The next order is taken, and arrives once more with [`Self::release`], past the adapter.
    async fn repeat_next_order(&self) -> Simulated {
        Simulated::Cannot("this harness cannot make an order arrive twice")
    }

    /// What was held up arrives, and is dealt with when this returns.
    async fn release(&self) {}

    /// What is needed to restore `revision` is gone, past the adapter.
    async fn prune(&self, revision: &RevisionId) -> Simulated {
        let _kept = revision;
        Simulated::Cannot("this harness cannot remove what restores a revision")
    }

    /// The next rollback is accepted and then fails at the CD system.
    async fn fail_next_execution(&self) -> Simulated {
        Simulated::Cannot("this harness cannot make a rollback fail")
    }

    /// The next rollback, once accepted, stays in progress until it is cancelled.
    async fn stall_next_execution(&self) -> Simulated {
        Simulated::Cannot("this harness cannot keep a rollback in progress")
    }

    /// Whether an order is refused that has expired by the adapter's own clock. An adapter that sends
    /// at once need not look: whoever called it has looked right before.
    fn knows_expiry(&self) -> Simulated {
        Simulated::Done
    }

    /// How long one rollback may take here.
    fn patience(&self) -> Duration {
        Duration::from_secs(30)
    }
}

/// How many cases run at a time: on a real CD system each waits most of the time.
const AT_A_TIME: usize = 4;

/// Runs every case: those that only read share a harness, and each other one has a fresh one. Several
/// run at a time, within the calling task.
///
/// # Panics
///
/// When a case fails, once all have run, with the name of each that did and what was wrong.
#[expect(clippy::future_not_send, reason = "it is Send where `make` and what it makes are")]
#[expect(clippy::too_many_lines, reason = "a list of cases")]
pub async fn run_all<H: Harness>(make: impl AsyncFn() -> H) -> Summary {
    let places = Semaphore::new(AT_A_TIME);
    let mut summary = Summary::default();
    macro_rules! run {
        (reading: [$($reads:ident),* $(,)?], others: [$($case:ident),* $(,)?] $(,)?) => {
            let reading = Box::pin(async {
                let _place = places.acquire().await;
                let harness = make().await;
                let mut outcomes = Vec::new();
                $(
                    let case = Case { name: stringify!($reads), harness: &harness };
                    outcomes.push((case.name, caught(cases::$reads(&case)).await));
                )*
                outcomes
            });
            let (outcomes, $($case),*) = tokio::join!(reading, $(Box::pin(async {
                let _place = places.acquire().await;
                let on_a_fresh_harness = async {
                    let harness = make().await;
                    cases::$case(&Case { name: stringify!($case), harness: &harness }).await
                };
                caught(on_a_fresh_harness).await
            })),*);
            for (case, outcome) in outcomes {
                summary.ended(case, outcome);
            }
            $(summary.ended(stringify!($case), $case);)*
        };
    }
    run!(
        reading: [
            history_is_newest_first_and_names_what_is_live,
            each_name_means_one_revision,
            history_keeps_its_limit,
            an_unknown_service_is_never_taken_for_a_known_one,
            preflight_accepts_a_good_target_and_changes_nothing,
            preflight_rejects_a_target_that_does_not_exist,
            an_order_that_was_never_sent_is_not_found,
            an_execution_that_does_not_exist_is_never_complete,
            what_is_declared_to_be_seen_is_seen_and_nothing_else,
            an_id_that_leads_elsewhere_is_no_target,
            a_refused_order_is_not_found,
            an_order_that_has_expired_is_refused_and_changes_nothing,
        ],
        others: [
            live_is_what_the_cd_system_runs,
            an_order_takes_effect_once_and_completes,
            an_order_that_is_sent_twice_takes_effect_once,
            one_order_is_not_taken_for_another,
            a_target_that_does_not_exist_is_refused,
            a_target_that_was_pruned_is_neither_restorable_nor_restored,
            an_order_for_what_is_no_longer_live_changes_nothing,
            of_two_orders_at_once_one_takes_effect,
            a_late_order_does_not_overwrite_a_newer_deploy,
            a_fence_stops_a_late_order_and_changes_nothing,
            an_order_that_comes_after_its_own_fence_is_turned_away,
            a_fence_that_is_not_declared_is_unsupported,
            an_order_after_a_fence_is_taken,
            a_fence_does_not_void_another_order_that_comes_later,
            a_job_that_starts_late_does_not_overwrite_a_newer_deploy,
            a_job_whose_ticket_was_voided_changes_nothing,
            an_order_that_arrives_again_after_all_is_as_before_changes_nothing,
            a_lost_answer_is_in_doubt_and_found_by_reading,
            a_cut_connection_is_never_a_success_and_never_a_conflict,
            every_read_over_a_cut_connection_is_an_error,
            an_ended_execution_is_complete_from_one_look_however_late,
            an_execution_that_fails_is_failed_and_never_complete,
            a_running_execution_shows_as_in_progress_and_can_be_cancelled,
            cancelling_what_has_ended_is_too_late,
            what_is_declared_as_not_cancellable_is_not_cancelled,
            a_hint_that_nobody_waits_for_is_harmless,
        ],
    );
    summary.nothing_failed();
    summary
}

/// One case on a harness.
struct Case<'a, H> {
    name: &'static str,
    harness: &'a H,
}
