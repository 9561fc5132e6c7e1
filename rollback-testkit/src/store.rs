//! The conformance suite of stores.
//!
//! ```
//! # use rollback_core::ports::Store;
//! # async fn shown<S: Store>(make: impl AsyncFn() -> S) {
//! let cases = rollback_testkit::store::run_all(make).await;
//! assert!(cases.passed().len() > 40);
//! # }
//! ```

mod audit;
mod claims;
mod journal;
mod loss;
mod outbox;
mod pruning;
mod services;
mod sharing;
mod shown;

use crate::suite::{Simulated, Summary};
use core::fmt::Debug;
use rollback_core::ports::{Commit, Store, StoreError};
use std::future::Future;
use std::pin::Pin;

/// What a case found.
type Outcome = Result<(), Failure>;

/// What is wrong with a store.
#[derive(Debug)]
struct Failure(String);

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self(format!("the store answered: {error}"))
    }
}

type Case = for<'a> fn(&'a dyn Store) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// One type for all cases.
const fn case(case: Case) -> Case {
    case
}

/// Lists cases under the names of their functions.
macro_rules! cases {
    ($($module:ident :: $name:ident),* $(,)?) => {
        [$((stringify!($name), case(|store| Box::pin($module::$name(store))))),*]
    };
}

/// Runs every case, each on a store of its own that `make` makes empty, with the audit chain
/// `default`.
///
/// # Panics
///
/// When a case fails, with its name and what is wrong, after all others have run.
#[expect(clippy::too_many_lines, reason = "one line a case")]
pub async fn run_all<S: Store>(make: impl AsyncFn() -> S) -> Summary {
    let cases = cases![
        journal::a_journal_is_loaded_as_it_was_stored,
        journal::a_rollback_that_was_never_opened_has_no_journal,
        journal::an_id_opens_one_journal,
        journal::a_step_after_another_number_of_entries_has_moved_on,
        journal::a_step_of_a_rollback_that_was_never_opened_has_moved_on,
        journal::a_step_whose_parts_are_of_two_rollbacks_is_refused,
        journal::a_refused_step_leaves_nothing_behind,
        journal::one_rollback_holds_a_service,
        journal::the_same_service_elsewhere_is_another_service,
        journal::an_end_gives_the_service_back,
        journal::an_unknown_outcome_holds_the_service_until_it_is_settled,
        journal::of_two_confirmations_at_once_one_is_taken,
        journal::of_two_steps_at_once_one_is_taken,
        journal::of_two_decisions_without_an_entry_one_is_taken,
        journal::rollbacks_are_listed_newest_first,
        journal::a_list_is_of_one_service_and_state,
        journal::a_list_or_a_log_by_any_names_is_that_part_of_the_whole,
        journal::one_rollback_is_listed_by_its_id,
        journal::a_list_has_no_more_than_was_asked_for,
        journal::what_has_not_ended_is_unattended,
        shown::what_stands_is_shown_however_many_were_opened_since,
        shown::of_equal_ones_the_newest_is_shown_and_only_that_of_its_deploy,
        shown::the_last_record_of_a_rollback_is_read_by_itself,
        claims::one_process_at_a_time_has_a_claim,
        claims::a_renewed_claim_keeps_its_number_and_lasts_longer,
        claims::an_expired_claim_is_taken_over_with_a_greater_number,
        claims::whoever_lost_a_claim_can_write_nothing,
        claims::a_lost_claim_is_told_before_anything_else,
        claims::a_claim_is_good_until_it_expires,
        claims::a_released_claim_is_free_and_its_number_is_not_used_again,
        claims::a_claim_that_was_lost_is_released_without_effect,
        claims::attempts_are_counted_over_all_owners_and_one_told_twice_counts_once,
        claims::whoever_lost_a_claim_counts_no_attempt,
        claims::a_step_under_a_claim_forgets_the_attempts_and_a_persons_does_not,
        claims::a_claim_that_is_given_back_forgets_the_attempts,
        claims::an_attempt_that_is_over_counts_no_more,
        claims::what_is_put_aside_is_listed_apart_until_it_goes_on,
        claims::what_somebody_has_a_claim_on_is_unattended_when_that_is_over,
        audit::records_of_several_rollbacks_make_one_chain,
        audit::a_step_answers_with_its_records_in_their_places,
        audit::a_draft_that_is_in_the_chain_is_not_appended_again,
        audit::records_are_found_by_service_rollback_and_place,
        audit::a_sink_is_shown_what_it_has_not_acknowledged,
        audit::an_acknowledgement_never_goes_back_nor_beyond_the_end,
        services::a_deploy_is_kept_with_its_target,
        services::a_deploy_reported_twice_is_kept_as_it_was_first,
        services::a_late_report_is_not_the_latest_deploy,
        services::a_known_deploy_is_updated_and_an_unknown_one_left_alone,
        services::deploys_are_newest_first_and_of_one_service,
        services::of_a_service_without_a_past_nothing_is_known,
        services::the_holder_of_a_service_is_in_flight,
        services::what_was_ordered_and_ended_is_the_last_rollback,
        services::a_rollback_without_an_order_leaves_no_trace,
        services::a_failed_rollback_led_away_from_nothing,
        services::a_drill_leaves_no_trace,
        services::a_revision_marked_bad_stays_bad_for_the_latest_reason,
        services::a_revision_is_marked_bad_no_longer_where_it_was,
        services::a_freeze_is_set_replaced_and_lifted,
        services::a_change_is_recorded_and_told_with_it_or_not_at_all,
        services::a_record_of_no_rollback_has_its_place_and_is_no_rollbacks,
        outbox::notices_are_due_in_the_order_of_first_queueing,
        outbox::a_step_queues_its_notices,
        outbox::newer_content_replaces_what_was_not_delivered,
        outbox::what_was_delivered_is_brought_up_to_date,
        outbox::a_delivery_is_of_one_version,
        outbox::a_line_that_was_delivered_is_never_queued_again,
        outbox::a_line_queued_again_while_it_is_delivered_appears_once,
        outbox::what_belongs_in_a_thread_waits_for_its_message,
        outbox::a_line_does_not_overtake_one_that_waits,
        outbox::a_thread_without_a_message_is_waited_for_by_nobody,
        outbox::a_thread_of_another_notifier_is_another_thread,
        outbox::a_postponed_notice_waits_with_whatever_is_newest,
        outbox::an_abandoned_notice_is_due_again_only_with_new_content,
        outbox::an_abandoned_line_stays_abandoned,
        outbox::abandoning_an_old_version_leaves_the_newer_one_due,
        outbox::stale_words_about_a_notice_change_nothing,
        outbox::the_next_notice_is_the_first_that_nothing_holds_up,
        outbox::what_is_neither_delivered_nor_given_up_waits,
        outbox::no_more_notices_are_due_than_were_asked_for,
        sharing::a_lane_is_delivered_by_one_process_at_a_time,
        sharing::what_was_taken_and_not_settled_is_due_again_in_doubt,
        sharing::an_update_that_was_taken_is_in_no_doubt,
        sharing::what_is_settled_or_given_back_is_free,
        sharing::whoever_lost_a_notice_gives_back_nothing,
        sharing::whoever_lost_a_notice_puts_nothing_off_and_gives_nothing_up,
        sharing::a_line_does_not_overtake_one_that_another_process_has,
        sharing::the_next_notice_waits_for_whoever_has_its_lane,
        sharing::a_step_is_hinted_at,
        sharing::a_digest_is_seen_once,
        sharing::what_nobody_asks_for_is_forgotten,
        sharing::where_messages_are_is_never_forgotten,
        pruning::what_nobody_confirmed_is_forgotten_long_after_its_end_and_its_records_stay,
        pruning::what_somebody_confirmed_or_has_to_look_at_is_never_forgotten,
        pruning::a_step_is_bounded_and_says_that_there_is_more,
        pruning::a_message_with_lines_in_its_thread_is_in_the_way_of_no_other,
        loss::a_log_that_goes_on_from_a_copy_has_lost_nothing,
        loss::a_log_that_ends_before_a_copy_is_not_written_until_that_is_acknowledged,
        loss::a_record_that_is_another_in_a_copy_is_a_loss,
        ping::a_store_that_works_says_so,
    ];
    let mut summary = Summary::default();
    let mut failures = Vec::new();
    for (name, case) in cases {
        let store = make().await;
        match case(&store).await {
            Ok(()) => summary.ran(name, Simulated::Done),
            Err(Failure(what)) => failures.push(format!("{name}: {what}")),
        }
    }
    assert!(
        failures.is_empty(),
        "{} cases of the store's conformance suite failed:\n{}",
        failures.len(),
        failures.join("\n")
    );
    summary
}

mod ping {
    use super::{Outcome, Store};

    pub(super) async fn a_store_that_works_says_so(store: &dyn Store) -> Outcome {
        Ok(store.ping().await?)
    }
}

/// Insists that two things are the same.
fn same<T: Debug + PartialEq>(what: &str, found: &T, expected: &T) -> Outcome {
    if found == expected {
        Ok(())
    } else {
        Err(Failure(format!("{what} is {found:?}, not {expected:?}")))
    }
}

/// Insists on something.
fn ensure(holds: bool, what: &str) -> Outcome {
    if holds { Ok(()) } else { Err(Failure(what.into())) }
}

/// Stores commits and wants each of them taken.
async fn take(store: &dyn Store, commits: impl IntoIterator<Item = Commit>) -> Outcome {
    for commit in commits {
        let (id, place) = (commit.rollback.clone(), commit.expected);
        store
            .commit(commit)
            .await
            .map_err(|error| Failure(format!("step {place} of `{id}` was refused: {error}")))?;
    }
    Ok(())
}

/// Stores a commit and wants it refused; the refusal, in words.
async fn refusal(store: &dyn Store, commit: Commit) -> Result<StoreError, Failure> {
    match store.commit(commit).await {
        Ok(_) => Err(Failure("a step was taken that must be refused".into())),
        Err(error) => Ok(error),
    }
}

/// The commit at a place of a script.
fn nth(commits: &[Commit], place: usize) -> Result<Commit, Failure> {
    commits.get(place).cloned().ok_or_else(|| Failure(format!("the script has no step {place}")))
}
