//! Who wanted it, and whether they might.

use crate::case::{Case, Step, Walk};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use rollback_core::access::{Account, Duty, Moment, Standing};
use rollback_core::journal::{Opening, Origin, Rules};
use rollback_core::{Event, Label, Plan, StateName};

pub(crate) fn sent_as_confirmed(case: &Case<'_>) -> Vec<String> {
    let confirmed = |walk: &Walk<'_>, plan: &Plan| {
        let asked = walk.last.requested_by.as_ref();
        walk.applied().any(|step| match &step.event {
            Event::ConfirmationGiven(given) => {
                step.before == StateName::Confirming
                    && matches!(step.after, StateName::Approving | StateName::Checking)
                    && asked.is_some_and(|asked| asked.is(&given.actor))
                    && given.shown == plan.pair()
            }
            _ => false,
        })
    };
    let mut found = Vec::new();
    for (id, plan, _) in case.orders() {
        match case.walks.get(id) {
            None => found.push(format!("an order of `{id}` was given, which was never stored")),
            Some(walk) if *plan != walk.journal.opening.plan => {
                found.push(format!("the order of `{id}` says something else than its plan"));
            }
            Some(walk) if !confirmed(walk, plan) => {
                found.push(format!("the order of `{id}` was given without a confirmation"));
            }
            Some(_) => {}
        }
    }
    found
}

/// Whether the directory knew somebody to be a full member when it was asked.
fn is_member(standing: &Standing) -> bool {
    standing.profile.value().is_some_and(|profile| profile.account == Account::Member)
}

pub(crate) fn known_members(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (walk, _, _) in case.ordered() {
        // What was denied, or came too late, is in the journal and did not count.
        let counted = walk
            .applied()
            .filter(|step| matches!(step.after, StateName::Approving | StateName::Checking));
        for step in counted {
            let (actor, standing) = match &step.event {
                Event::ConfirmationGiven(given) => (&given.actor, &given.standing),
                Event::ApprovalGiven(said) => (&said.actor, &said.standing),
                _ => continue,
            };
            if !is_member(standing) {
                found.push(format!(
                    "`{}`: `{}` counted and is no known member",
                    walk.id(),
                    actor.id
                ));
            }
        }
    }
    found
}

/// Every identity that the directory gave for whoever asked.
fn requesters(walk: &Walk<'_>) -> BTreeSet<Label> {
    let person = |standing: &Standing| standing.person().cloned();
    let of = |event: &Event| match event {
        Event::StandingObserved(standing) => person(standing),
        Event::ConfirmationGiven(given) => person(&given.standing),
        Event::FactsObserved(observation) => person(&observation.requester),
        _ => None,
    };
    walk.applied().filter_map(|step| of(&step.event)).collect()
}

pub(crate) fn approved_by_others(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (walk, _, _) in case.ordered() {
        let mut accounts = BTreeSet::new();
        let mut people = BTreeSet::new();
        let mut same = 0;
        for step in walk.applied() {
            let Event::ApprovalGiven(said) = &step.event else { continue };
            accounts.insert(said.actor.id.clone());
            if let Some(person) = said.standing.person()
                && !people.insert(person.clone())
            {
                same += 1;
            }
        }
        let asked = requesters(walk);
        let own = walk.last.requested_by.as_ref().is_some_and(|by| accounts.contains(&by.id))
            || people.iter().any(|person| asked.contains(person));
        let enough = accounts.len() >= usize::from(walk.last.approvals_min);
        if own || same > 0 || !enough {
            found.push(format!(
                "`{}`: approved by {accounts:?}, {} wanted, requester among them: {own}",
                walk.id(),
                walk.last.approvals_min
            ));
        }
    }
    found
}

pub(crate) fn checked_twice(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (walk, _, _) in case.ordered() {
        let click = walk.applied().any(|step| {
            step.before == StateName::Authorizing && step.after == StateName::Confirming
        });
        let again = walk.applied().any(|step| match &step.event {
            Event::FactsObserved(observation) => {
                step.before == StateName::Checking
                    && step.after == StateName::Recording
                    && observation.requester.profile.value().is_some()
            }
            _ => false,
        });
        if !click || !again {
            found.push(format!("`{}`: at the click {click}, before the order {again}", walk.id()));
        }
    }
    found
}

/// Each approval that an order rests on was asked about once more, and its giver still might. The
/// first rules did not ask.
pub(crate) fn approvers_checked_twice(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (walk, _, _) in case.ordered() {
        let Opening { policy, rules, .. } = &walk.journal.opening;
        let check = walk
            .applied()
            .find(|step| step.before == StateName::Checking && step.after == StateName::Recording);
        let Some(Step { at, event: Event::FactsObserved(seen), .. }) = check else { continue };
        if *rules < Rules::V2 {
            continue;
        }
        let moment = Moment::new(*at, policy.limits.fact_age_max);
        for actor in &walk.last.approved_by {
            let may = seen.approvers.get(&actor.id).is_some_and(|standing| {
                policy.access.decide(Duty::Approve, actor, standing, moment).verdict.is_ok()
            });
            if !may {
                found.push(format!(
                    "`{}`: `{}` approved, and was not known to be allowed to before the order",
                    walk.id(),
                    actor.id
                ));
            }
        }
    }
    found
}

pub(crate) fn ends_once(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for walk in case.walks.values() {
        let ends = walk.steps.iter().filter(|s| !s.before.is_end() && s.after.is_end()).count();
        let revived = walk.steps.iter().any(|s| s.before.is_end() && s.after != s.before);
        if ends > 1 || revived {
            found.push(format!("`{}` ended {ends} times, revived: {revived}", walk.id()));
        }
    }
    found
}

pub(crate) fn nothing_counts_late(case: &Case<'_>) -> Vec<String> {
    let late = |step: &&Step| {
        let asked = matches!(
            step.event,
            Event::Clicked(_) | Event::ConfirmationGiven(_) | Event::ApprovalGiven(_)
        );
        let moved = step.after != step.before
            && !matches!(step.after, StateName::Expired | StateName::Proposed);
        asked && moved && step.deadline_before.is_some_and(|deadline| step.at >= deadline)
    };
    let walks = case.walks.values();
    walks
        .flat_map(|walk| walk.applied().filter(late).map(|step| (walk.id(), step.before)))
        .map(|(id, state)| format!("`{id}` went on from {state} after its deadline"))
        .collect()
}

/// By the first rules a deadline counted whenever it was told.
pub(crate) fn no_deadline_counts_early(case: &Case<'_>) -> Vec<String> {
    let early = |step: &&Step| {
        step.event == Event::DeadlineReached
            && step.deadline_before.is_some_and(|deadline| step.at < deadline)
    };
    let walks = case.walks.values().filter(|walk| walk.journal.opening.rules >= Rules::V2);
    walks
        .flat_map(|walk| walk.applied().filter(early).map(|step| (walk.id(), step.before)))
        .map(|(id, state)| format!("`{id}` in {state} was ended before its deadline"))
        .collect()
}

pub(crate) fn clicked_by_somebody(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (walk, _, _) in case.ordered() {
        let clicked = match &walk.journal.opening.origin {
            Origin::Click(_) => true,
            Origin::Proposal { .. } => {
                walk.applied().any(|step| matches!(step.event, Event::Clicked(_)))
            }
        };
        if !clicked {
            found.push(format!("nobody clicked on `{}`", walk.id()));
        }
    }
    found
}
