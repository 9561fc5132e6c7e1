//! Who holds what, and who may write.

use crate::case::{Case, Walk};
use crate::evidence::Seen;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use rollback_core::journal::Rules;
use rollback_core::ports::Instance;
use rollback_core::{RollbackId, ServiceKey, StateName};
use rollback_core::{journal, stopped};

pub(crate) fn one_at_a_time(case: &Case<'_>) -> Vec<String> {
    let mut holders: BTreeMap<&ServiceKey, &RollbackId> = BTreeMap::new();
    let mut found = Vec::new();
    for seen in &case.evidence.log {
        let Seen::Stored { rollback, key, holds, .. } = seen else { continue };
        match holders.get(key) {
            Some(holder) if *holder == rollback && !holds => {
                holders.remove(key);
            }
            Some(holder) if *holder != rollback && *holds => {
                found.push(format!("`{rollback}` holds {key}, and so does `{holder}`"));
            }
            None if *holds => {
                holders.insert(key, rollback);
            }
            Some(_) | None => {}
        }
    }
    found
}

/// From which audit record to which a rollback held its service.
fn held(case: &Case<'_>, walk: &Walk<'_>) -> Option<(u64, u64)> {
    let place = |from_holding: bool| {
        let mut steps = walk.steps.iter().skip_while(|step| !step.holds);
        let step = if from_holding { steps.next() } else { steps.find(|step| !step.holds) };
        step.map(|step| {
            let own = |id: &str| step.records.iter().any(|record| record.as_str() == id);
            let mut records = case.records_of(walk.id());
            records.find(|record| own(record.draft.id.as_str())).map(|record| record.sequence.get())
        })
    };
    let from = place(true)??;
    match place(false) {
        None => Some((from, u64::MAX)),
        Some(until) => Some((from, until?)),
    }
}

/// Each step that takes or leaves a service is on record, and the chain has one order.
pub(crate) fn one_at_a_time_in_the_chain(case: &Case<'_>) -> Vec<String> {
    let mut spans: BTreeMap<&ServiceKey, Vec<(u64, u64, &RollbackId)>> = BTreeMap::new();
    for walk in case.walks.values() {
        if let Some((from, until)) = held(case, walk) {
            let key = walk.journal.opening.plan.key();
            spans.entry(key).or_default().push((from, until, walk.id()));
        }
    }
    let mut found = Vec::new();
    for (key, mut spans) in spans {
        spans.sort_unstable();
        let mut last = None;
        for (from, until, id) in spans {
            if let Some((held, holder)) = last.replace((from..=until, id))
                && held.contains(&from)
            {
                found.push(format!("`{id}` holds {key}, and so does `{holder}`"));
            }
        }
    }
    found
}

pub(crate) fn fences_grow(case: &Case<'_>) -> Vec<String> {
    let mut last: BTreeMap<&RollbackId, (&Instance, u64)> = BTreeMap::new();
    let mut found = Vec::new();
    for seen in &case.evidence.log {
        let Seen::Claimed { rollback, owner, fence, .. } = seen else { continue };
        if let Some((before, number)) = last.insert(rollback, (owner, *fence))
            && (*fence < number || (before != owner && *fence == number))
        {
            found.push(format!("`{rollback}`: fence {fence} after {number}"));
        }
    }
    found
}

/// Whoever has a claim counts on having it for as long as it was told.
pub(crate) fn claims_last(case: &Case<'_>) -> Vec<String> {
    let mut held = BTreeMap::new();
    let mut found = Vec::new();
    for seen in &case.evidence.log {
        match seen {
            Seen::Claimed { rollback, owner, fence, at, until } => {
                let before = held.insert(rollback, (owner, *fence, *until));
                if let Some((other, _, end)) = before
                    && other != owner
                    && *at < end
                {
                    let (owner, other) = (owner.as_str(), other.as_str());
                    found.push(format!(
                        "`{rollback}` was claimed by {owner} at {at}, and {other} had it until {end}"
                    ));
                }
            }
            Seen::GaveBack { rollback, fence }
                if held.get(rollback).is_some_and(|(_, held, _)| held == fence) =>
            {
                held.remove(rollback);
            }
            _ => {}
        }
    }
    found
}

pub(crate) fn stored_by_owner(case: &Case<'_>) -> Vec<String> {
    let mut owner: BTreeMap<&RollbackId, u64> = BTreeMap::new();
    let mut found = Vec::new();
    for seen in &case.evidence.log {
        match seen {
            Seen::Claimed { rollback, fence, .. } => {
                owner.insert(rollback, *fence);
            }
            Seen::Stored { rollback, fence: Some(fence), .. }
                if owner.get(rollback) != Some(fence) =>
            {
                found.push(format!("`{rollback}` was written under the old claim {fence}"));
            }
            _ => {}
        }
    }
    found
}

/// The transitions that are published: what can follow on each state, itself left out. By the first
/// rules, the CD system's word ended what failed or was cancelled; since then, what is live is looked
/// at before.
fn follows(before: StateName, rules: Rules) -> &'static [StateName] {
    use StateName::{
        Approving, Authorizing, Checking, Confirming, Denied, Expired, Failed, NotVerified,
        OutcomeUnknown, Proposed, Recording, Refused, Running, Succeeded, Triggering, Verifying,
        Withdrawn,
    };
    match before {
        Proposed => &[Authorizing, Withdrawn, Expired],
        Authorizing => &[Confirming, Denied, Withdrawn, Proposed],
        Confirming => &[Approving, Checking, Refused, Denied, Withdrawn, Expired, Proposed],
        Approving => &[Checking, Withdrawn, Expired],
        Checking => &[Recording, Refused, Denied, Withdrawn],
        Recording => &[Triggering, Refused, Withdrawn],
        Triggering => &[Running, Refused, Succeeded, Failed, OutcomeUnknown],
        Running if rules < Rules::V2 => &[Verifying, Failed, Withdrawn, OutcomeUnknown],
        Verifying if rules < Rules::V2 => &[Succeeded, NotVerified, OutcomeUnknown],
        Running => &[Verifying, OutcomeUnknown],
        Verifying => &[Succeeded, NotVerified, Failed, Withdrawn, OutcomeUnknown],
        Succeeded | Failed | NotVerified | Refused | Denied | Withdrawn | Expired
        | OutcomeUnknown => &[],
    }
}

pub(crate) fn published_transitions(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for walk in case.walks.values() {
        for step in &walk.steps {
            let moved = step.after != step.before;
            let published = follows(step.before, walk.journal.opening.rules);
            if moved && !(step.applied && published.contains(&step.after)) {
                found.push(format!("`{}` went from {} to {}", walk.id(), step.before, step.after));
            }
        }
    }
    found
}

pub(crate) fn replays_to_stored(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for view in &case.evidence.views {
        let id = &view.id;
        // A person has said how it ended: what its journal says counts no more.
        if case.records_of(id).any(|record| stopped::settles(&record.draft)) {
            continue;
        }
        let Some(walk) = case.walks.get(id) else {
            found.push(format!("`{id}` has no journal that can be read"));
            continue;
        };
        let mismatch = walk.mismatch.clone().or_else(|| journal::differs(view, &walk.last).err());
        if let Some(mismatch) = mismatch {
            found.push(format!("`{id}` replays to something else: {mismatch}"));
        }
    }
    found
}
