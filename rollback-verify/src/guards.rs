//! What must hold, and what is gone back to.

use crate::case::{Case, Step, Walk};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use rollback_core::access::{Duty, Moment};
use rollback_core::journal::{Opening, Rules};
use rollback_core::{Event, Fact, FourEyes, StateName, Timestamp};

pub(crate) fn guards_pass(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (walk, plan, at) in case.ordered() {
        if let Some((seen, since)) = seen_before_approval(walk) {
            found.push(format!(
                "`{}`: facts of {seen} let the order through that was last approved at {since}",
                walk.id()
            ));
        }
        let fresh = walk.journal.opening.policy.limits.fact_age_max;
        let observed = walk.applied().find_map(|step| match &step.event {
            Event::FactsObserved(observation) if step.before == StateName::Checking => {
                Some(observation)
            }
            _ => None,
        });
        let age = observed.and_then(|seen| seen.facts.oldest()).map(|oldest| at.since(oldest));
        // By the facts themselves, and not by what was concluded from them.
        let live = observed.and_then(|seen| seen.facts.live.value()?.revision.as_ref());
        let current = live.is_some_and(|live| live.revision == plan.from().revision);
        let known = observed.is_some_and(|seen| {
            let facts = &seen.facts;
            facts.history.value().is_some()
                && facts.preflight.value().is_some()
                && facts.record.value().is_some()
                && facts.freezes.value().is_some()
        });
        let passed = !walk.last.guards.is_empty() && all_pass(walk);
        if !passed || !current || !known || age.is_none_or(|age| age > fresh) {
            found.push(format!(
                "`{}`: guards pass {passed}, live is the one to leave {current}, all is known {known}, facts are {age:?} old",
                walk.id()
            ));
        }
    }
    found
}

/// Whether every guard passes, for whoever acknowledged what the confirmation names.
fn all_pass(walk: &Walk<'_>) -> bool {
    let confirmed = walk.applied().filter_map(|step| match &step.event {
        Event::ConfirmationGiven(given) => Some(&given.acknowledged),
        _ => None,
    });
    let acknowledged = confirmed.last();
    walk.last.guards.iter().all(|guard| match guard.verdict.as_str() {
        "pass" => true,
        "warn" => {
            let mut ids = guard.acknowledge.iter().map(|warning| &warning.id);
            !guard.acknowledge.is_empty()
                && ids.all(|id| acknowledged.is_some_and(|known| known.contains(id)))
        }
        _ => false,
    })
}

/// The oldest fact that the guards saw before the order, and when it was confirmed or last approved,
/// where the first was before the second. The first rules did not compare them.
fn seen_before_approval(walk: &Walk<'_>) -> Option<(Timestamp, Timestamp)> {
    if walk.journal.opening.rules < Rules::V2 {
        return None;
    }
    let counted = walk.applied().filter(|step| {
        matches!(step.event, Event::ConfirmationGiven(_) | Event::ApprovalGiven(_))
            && matches!(step.after, StateName::Approving | StateName::Checking)
    });
    let since = counted.map(|step| step.at).max()?;
    let seen = walk.applied().find_map(|step| match &step.event {
        Event::FactsObserved(seen) if step.before == StateName::Checking => seen.facts.oldest(),
        _ => None,
    })?;
    (seen < since).then_some((seen, since))
}

/// Whether the directory did not say, when the order was due, that somebody who had approved still
/// may.
fn lost_a_vote(walk: &Walk<'_>, step: &Step) -> bool {
    let Event::FactsObserved(seen) = &step.event else { return false };
    let Opening { policy, rules, .. } = &walk.journal.opening;
    let moment = Moment::new(step.at, policy.limits.fact_age_max);
    let mut people = BTreeSet::new();
    *rules >= Rules::V2
        && walk.last.approved_by.iter().any(|actor| {
            let Some(standing) = seen.approvers.get(&actor.id) else { return true };
            let decision = policy.access.decide(Duty::Approve, actor, standing, moment);
            let person = standing.person();
            decision.verdict.is_err()
                || (person.is_none() && policy.four_eyes == FourEyes::Person)
                || person.is_some_and(|it| Some(it) == seen.requester.person())
                || person.is_some_and(|it| !people.insert(it))
        })
}

pub(crate) fn ends_explained(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for walk in case.walks.values().filter(|walk| walk.last.state.is_end()) {
        if walk.last.explanation.is_empty() {
            found.push(format!("`{}` ended without a word", walk.id()));
        }
        // What was refused on what the guards saw has a guard that did not pass.
        let by_guards = walk.applied().last().is_some_and(|step| {
            step.after == StateName::Refused
                && matches!(step.event, Event::FactsObserved(_))
                && !lost_a_vote(walk, step)
        });
        if by_guards && all_pass(walk) {
            found.push(format!("`{}` was refused by no guard", walk.id()));
        }
    }
    found
}

pub(crate) fn target_known(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (walk, plan, _) in case.ordered() {
        let target = &plan.to().revision;
        let known = walk.applied().any(|step| match &step.event {
            Event::FactsObserved(seen) => match &seen.facts.history {
                Fact::Known { value, .. } => value.iter().any(|revision| revision.id == *target),
                Fact::Unknown { .. } => false,
            },
            _ => false,
        });
        if !known || plan.from().revision == *target {
            found.push(format!("`{}` goes to `{target}`, known: {known}", walk.id()));
        }
    }
    found
}
