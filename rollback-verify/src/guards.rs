//! What must hold, and what is gone back to.

use crate::case::Case;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use rollback_core::{Event, Fact, StateName};

pub(crate) fn guards_pass(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (walk, plan, at) in case.ordered() {
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
        let passed = !walk.last.guards.is_empty()
            && walk.last.guards.iter().all(|guard| guard.verdict.as_str() == "pass");
        if !passed || !current || !known || age.is_none_or(|age| age > fresh) {
            found.push(format!(
                "`{}`: guards pass {passed}, live is the one to leave {current}, all is known {known}, facts are {age:?} old",
                walk.id()
            ));
        }
    }
    found
}

pub(crate) fn ends_explained(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for walk in case.walks.values().filter(|walk| walk.last.state.is_end()) {
        if walk.last.explanation.is_empty() {
            found.push(format!("`{}` ended without a word", walk.id()));
        }
        // What was refused on what the guards saw has a guard that did not pass.
        let by_guards = walk.applied().last().is_some_and(|step| {
            step.after == StateName::Refused && matches!(step.event, Event::FactsObserved(_))
        });
        let all_pass = walk.last.guards.iter().all(|guard| guard.verdict.as_str() == "pass");
        if by_guards && all_pass {
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
