//! What both stores hold to, decided in one place and without any storage.

use crate::value::{Answer, int, parsed};
use rollback_core::audit::{Head, Record};
use rollback_core::journal::ENTRIES_MAX;
use rollback_core::notice::Notice;
use rollback_core::ports::{Commit, StoreError};
use rollback_core::{Prominence, RollbackView, ServiceKey, StateName, Timestamp};
use std::time::Duration;

/// Most rows that one question is answered with. Whoever wants more asks again after the last.
pub const PAGE_MAX: usize = 10_000;

/// How many rows of each kind one step of pruning looks at: some tens of milliseconds, far from the two
/// seconds after which a statement is given up, and once every five seconds still 700,000 an hour.
pub(crate) const PRUNE_MAX: usize = 1_000;

/// What stands in place of the rollback in the row of a record that is of none: no rollback has it.
pub(crate) const NO_ROLLBACK: &str = "";

/// The audit chain of an installation that did not name its own.
pub const CHAIN_DEFAULT: &str = "default";

/// How many rows a question is answered with.
pub(crate) fn page(limit: usize) -> usize {
    limit.min(PAGE_MAX)
}

/// Whether a notice appears once: what was delivered cannot be brought up to date.
pub(crate) const fn appears_once(notice: &Notice) -> bool {
    match notice {
        Notice::Line { .. }
        | Notice::Private { .. }
        | Notice::BreakGlass { .. }
        | Notice::Changed(_) => true,
        Notice::Deploy(_)
        | Notice::Approval(_)
        | Notice::Deployer { .. }
        | Notice::OnCall(_)
        | Notice::Blocked(_) => false,
    }
}

/// Whether an ordered rollback that ended like this led, or may have led, away from its revision.
pub(crate) const fn led_away(state: StateName) -> bool {
    match state {
        StateName::Succeeded | StateName::NotVerified | StateName::OutcomeUnknown => true,
        StateName::Proposed
        | StateName::Authorizing
        | StateName::Confirming
        | StateName::Approving
        | StateName::Checking
        | StateName::Recording
        | StateName::Triggering
        | StateName::Running
        | StateName::Verifying
        | StateName::Failed
        | StateName::Refused
        | StateName::Denied
        | StateName::Withdrawn
        | StateName::Expired => false,
    }
}

/// What was settled at this moment or before it is forgotten; none while there is no such moment.
pub(crate) fn forgotten_until(now: Timestamp, keep: Duration) -> Option<Timestamp> {
    let keep = u64::try_from(keep.as_millis()).ok()?;
    now.as_millis().checked_sub(keep).map(Timestamp::from_millis)
}

/// Whether a rollback ended and nobody confirmed it: nothing was held, ordered or approved, and nobody
/// has to look at it. Such a one is forgotten after a while; the durable stores have an index of them.
pub(crate) fn ended_unconfirmed(
    view: &RollbackView,
    holds_service: bool,
    was_ordered: bool,
) -> bool {
    view.state.is_end()
        && !holds_service
        && !was_ordered
        && view.put_aside.is_none()
        && view.prominence() <= Prominence::Refused
}

/// By how much fencing numbers jump when a loss is acknowledged: more than any number of claims that
/// could have been lost.
pub(crate) const FENCES_LOST_MAX: u64 = 1 << 32;

/// What a log has lost, given the end of a copy of it and the record in that place.
pub(crate) fn lost(kept: &Head, there: Option<&Record>) -> Option<String> {
    let last = kept.sequence;
    match there {
        _ if last == 0 => None,
        Some(there) if Head::after(there) == *kept => None,
        Some(_other) => {
            Some(format!("audit record {last} is not the one that a copy of the log ends with"))
        }
        None => Some(format!("a copy of its audit log ends with record {last}, which it has not")),
    }
}

/// Refuses a commit whose parts are not about one rollback.
pub(crate) fn check_shape(commit: &Commit) -> Result<(), StoreError> {
    let refused = |problem: &str| {
        Err(StoreError::Corrupt {
            what: format!("the step of rollback `{}`", commit.rollback),
            problem: format!("{problem}; nothing was stored"),
        })
    };
    if commit.view.id != commit.rollback {
        return refused("its view is of another rollback");
    }
    if commit.claim.as_ref().is_some_and(|claim| claim.rollback != commit.rollback) {
        return refused("its claim is on another rollback");
    }
    if commit.stood.as_ref().is_some_and(|stood| stood.id != commit.rollback) {
        return refused("what it was decided on is another rollback");
    }
    let Some(opening) = &commit.opening else { return Ok(()) };
    if opening.id != commit.rollback {
        return refused("its opening is of another rollback");
    }
    if *opening.plan.key() != commit.view.key {
        return refused("its opening and its view name two services");
    }
    if commit.expected != 0 {
        return refused("a new journal has no entries before its opening");
    }
    Ok(())
}

/// A journal as far as a step needs it: its row, its entries, and the service it was opened for.
pub(crate) struct Found {
    pub(crate) number: i64,
    pub(crate) entries: i64,
    pub(crate) service: String,
    pub(crate) environment: String,
}

/// Refuses a step that does not follow on what is stored.
pub(crate) fn check_place(commit: &Commit, found: Option<&Found>) -> Answer<()> {
    let id = &commit.rollback;
    match (found, &commit.opening) {
        (None, Some(_)) => Ok(()),
        (Some(found), None) if found.entries == int(commit.expected) => {
            let what = || format!("the service of rollback `{id}`");
            let service = parsed(found.service.clone(), what)?;
            let key = ServiceKey::new(service, parsed(found.environment.clone(), what)?);
            check_service(commit, &key)?;
            check_room(commit, commit.expected)
        }
        (Some(_) | None, _) => Err(StoreError::MovedOn(id.clone())),
    }
}

/// Refuses what was decided on another row than is stored.
pub(crate) fn check_stood(commit: &Commit, stands: &RollbackView) -> Result<(), StoreError> {
    match &commit.stood {
        Some(stood) if **stood != *stands => Err(StoreError::MovedOn(commit.rollback.clone())),
        Some(_) | None => Ok(()),
    }
}

/// What somebody who wants a claim is given, with when that expires.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Granted {
    /// The one they have, for longer.
    Again(i64),
    /// One with the next fencing number.
    Anew(i64),
    /// Nothing: somebody else has it.
    Nothing,
}

/// Grants, renews or takes over a claim, by who has it and until when, in milliseconds by one clock.
pub(crate) fn granted(held: Option<(&str, i64)>, asker: &str, now: i64, lease: i64) -> Granted {
    let expires_at = now.saturating_add(lease);
    match held {
        Some((owner, until)) if owner == asker => Granted::Again(until.max(expires_at)),
        Some((_, until)) if now < until => Granted::Nothing,
        Some(_) | None => Granted::Anew(expires_at),
    }
}

/// Refuses a step of a rollback that was opened for another service.
pub(crate) fn check_service(commit: &Commit, opened_for: &ServiceKey) -> Result<(), StoreError> {
    if commit.view.key == *opened_for {
        return Ok(());
    }
    Err(StoreError::Corrupt {
        what: format!("the step of rollback `{}`", commit.rollback),
        problem: format!(
            "it is for {} and the rollback was opened for {opened_for}; nothing was stored",
            commit.view.key
        ),
    })
}

/// Refuses the entry after the last one a journal may have.
pub(crate) fn check_room(commit: &Commit, entries: u64) -> Result<(), StoreError> {
    let full = usize::try_from(entries).unwrap_or(usize::MAX) >= ENTRIES_MAX;
    if commit.entry.is_some() && full {
        return Err(StoreError::Unavailable(format!(
            "the journal of rollback `{}` has {ENTRIES_MAX} entries, the most it may have; nothing was stored",
            commit.rollback
        )));
    }
    Ok(())
}

/// An audit record, or a stored value, that cannot be written.
pub(crate) fn unwritable(what: impl Into<String>, problem: &impl ToString) -> StoreError {
    StoreError::Corrupt { what: what.into(), problem: problem.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollback_testkit::script::{Ending, Script};

    #[test]
    fn the_entry_after_the_last_is_refused_and_nothing_else() {
        let commits = Script::new("rb-1").commits(Ending::Succeeded);
        let most = u64::try_from(ENTRIES_MAX).unwrap();
        let step = &commits[1];
        assert!(check_room(step, most - 1).is_ok());
        let error = check_room(step, most).unwrap_err().to_string();
        assert!(error.contains("20000 entries") && error.contains("nothing was stored"), "{error}");
        assert!(check_room(&commits[0], most).is_ok(), "what adds no entry needs no room");
    }

    #[test]
    fn a_claim_is_renewed_for_its_owner_and_taken_over_when_it_has_expired() {
        assert_eq!(granted(None, "a", 100, 15), Granted::Anew(115));
        assert_eq!(granted(Some(("a", 110)), "a", 100, 15), Granted::Again(115));
        assert_eq!(granted(Some(("a", 120)), "a", 100, 15), Granted::Again(120), "never shorter");
        assert_eq!(granted(Some(("b", 101)), "a", 100, 15), Granted::Nothing);
        assert_eq!(granted(Some(("b", 100)), "a", 100, 15), Granted::Anew(115));
    }

    #[test]
    fn a_step_whose_parts_are_not_about_one_rollback_is_refused() {
        let commits = Script::new("rb-1").commits(Ending::Succeeded);
        let other: rollback_core::RollbackId = "rb-2".parse().unwrap();
        let claim = |rollback| {
            let owner = rollback_core::ports::Instance::new("one");
            Some(rollback_core::ports::Claim::new(rollback, owner, 1, Timestamp::from_millis(9)))
        };
        let refused = |change: &dyn Fn(&mut Commit)| {
            let mut commit = commits[0].clone();
            change(&mut commit);
            check_shape(&commit).err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert_eq!(refused(&|_same| {}), "");
        assert_eq!(refused(&|it| it.claim = claim(it.rollback.clone())), "");
        let elsewhere = || ServiceKey::new("search".parse().unwrap(), "test".parse().unwrap());
        let said = [
            (refused(&|it| it.view.id = other.clone()), "its view is of another rollback"),
            (refused(&|it| it.claim = claim(other.clone())), "its claim is on another rollback"),
            (
                refused(&|it| it.opening.as_mut().unwrap().id = other.clone()),
                "its opening is of another rollback",
            ),
            (refused(&|it| it.view.key = elsewhere()), "name two services"),
            (refused(&|it| it.expected = 1), "no entries before its opening"),
        ];
        for (said, words) in said {
            assert!(said.contains(words) && said.contains("nothing was stored"), "{said}");
        }
        assert!(check_service(&commits[1], &commits[1].view.key).is_ok());
        assert!(check_service(&commits[1], &elsewhere()).is_err());
    }

    #[test]
    fn a_step_follows_on_what_is_stored_or_is_late() {
        let commits = Script::new("rb-1").commits(Ending::Succeeded);
        let found = |entries: u64| Found {
            number: 1,
            entries: int(entries),
            service: commits[2].view.key.service.to_string(),
            environment: commits[2].view.key.environment.to_string(),
        };
        let step = &commits[2];
        assert!(check_place(step, Some(&found(step.expected))).is_ok());
        for late in [Some(found(step.expected + 1)), Some(found(step.expected - 1)), None] {
            assert!(matches!(check_place(step, late.as_ref()), Err(StoreError::MovedOn(_))));
        }
        assert!(check_place(&commits[0], None).is_ok(), "an opening");
        assert!(check_place(&commits[0], Some(&found(0))).is_err(), "it is there already");
    }

    #[test]
    fn an_empty_copy_of_a_log_has_nothing_that_could_be_lost() {
        assert_eq!(lost(&Head::genesis("test"), None), None);
    }

    #[test]
    fn what_was_settled_long_enough_ago_is_forgotten() {
        let until = |now, keep| forgotten_until(Timestamp::from_millis(now), keep);
        assert_eq!(until(9_000, Duration::from_secs(2)), Some(Timestamp::from_millis(7_000)));
        assert_eq!(until(9_000, Duration::from_secs(10)), None);
    }

    #[test]
    fn a_rollback_that_ended_unconfirmed_held_nothing_and_needs_nobody() {
        let last = |ending| Script::new("rb-1").commits(ending).pop().unwrap().view;
        let refused = last(Ending::Refused);
        assert!(ended_unconfirmed(&refused, false, false));
        assert!(!ended_unconfirmed(&refused, true, false));
        assert!(!ended_unconfirmed(&refused, false, true));
        assert!(!ended_unconfirmed(&last(Ending::Succeeded), false, false), "it was confirmed");
        let open = Script::new("rb-1").commits(Ending::Refused).remove(0).view;
        assert!(!ended_unconfirmed(&open, false, false), "it has not ended");
    }

    #[test]
    fn what_people_may_miss_appears_once_and_what_stands_is_brought_up_to_date() {
        let view = Script::new("rb-1").commits(Ending::Refused).remove(0).view;
        let to = "U1".parse().unwrap();
        assert!(appears_once(&Notice::Private { to, text: "no".into(), view: view.clone() }));
        assert!(!appears_once(&Notice::Approval(view)));
    }

    #[test]
    fn a_page_has_an_end() {
        assert_eq!([0, 7, usize::MAX].map(page), [0, 7, PAGE_MAX]);
    }

    /// The durable store asks for these states by name.
    #[test]
    fn the_states_that_led_away_are_the_ones_that_the_query_names() {
        let named: Vec<&str> = StateName::ALL
            .into_iter()
            .filter(|state| led_away(*state))
            .map(StateName::as_str)
            .collect();
        assert_eq!(named, ["succeeded", "not_verified", "outcome_unknown"]);
    }
}
