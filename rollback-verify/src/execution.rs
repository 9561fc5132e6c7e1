//! The order, and what became of it.

use crate::case::{Asked, Case, Step};
use crate::evidence::{Rest, Seen};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use rollback_core::journal::Rules;
use rollback_core::ports::Fence;
use rollback_core::{Event, Health, Phase, Purpose, RollbackId, StateName};

pub(crate) fn effect_on_shown(case: &Case<'_>) -> Vec<String> {
    if !case.evidence.compares {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (_, id, live) in case.effects() {
        let from = case.walks.get(id).map(|walk| &walk.last.from.revision);
        if from.is_none() || from != live {
            found.push(format!("`{id}` took effect on {live:?}, not on {from:?}"));
        }
    }
    found
}

pub(crate) fn stored_before_sent(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (place, id, _, _) in case.sent() {
        let last = case.before(place).filter_map(|seen| match seen {
            Seen::Stored { rollback, state, .. } if rollback == id => Some(*state),
            _ => None,
        });
        let last = last.last();
        if last != Some(StateName::Triggering) {
            found.push(format!("the order of `{id}` was sent in state {last:?}"));
        }
    }
    found
}

pub(crate) fn sent_once(case: &Case<'_>) -> Vec<String> {
    let mut sent: BTreeMap<&RollbackId, usize> = BTreeMap::new();
    for (_, id, _, _) in case.sent() {
        *sent.entry(id).or_default() += 1;
    }
    let often = sent.into_iter().filter(|(_, times)| *times > 1);
    often.map(|(id, times)| format!("the order of `{id}` was sent {times} times")).collect()
}

pub(crate) fn doubt_is_read(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for walk in case.walks.values() {
        let moves = |step: &&Step| !matches!(step.event, Event::PutAside(_) | Event::Released(_));
        let mut steps = walk.applied().filter(moves).skip_while(|step| {
            !(step.before == StateName::Triggering && step.after == StateName::Triggering)
        });
        let Some(doubt) = steps.next() else { continue };
        let again = steps.any(|step| step.asked == Asked::Trigger);
        if doubt.asked != Asked::Reconcile || again {
            found.push(format!("`{}` was in doubt and was not settled by reading", walk.id()));
        }
    }
    found
}

/// Where the CD system can be fenced, doubt ends in knowledge, or by a person's word. By the first
/// rules it ended in an unknown outcome when nothing answered for a minute.
pub(crate) fn doubt_is_no_outcome(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for walk in case.walks.values() {
        let opening = &walk.journal.opening;
        if opening.rules < Rules::V2 || opening.backend.fence.as_str() != Fence::Yes.as_str() {
            continue;
        }
        // An answer that the fence is not there after all.
        let cannot = |step: &Step| matches!(step.event, Event::DoubtRemained(_));
        let given_up = walk.applied().any(|step| {
            step.before == StateName::Triggering
                && step.after == StateName::OutcomeUnknown
                && !matches!(step.event, Event::Settled(_))
        });
        if given_up && !walk.applied().any(cannot) {
            found.push(format!("`{}` was given up, and its order could be fenced off", walk.id()));
        }
    }
    found
}

/// What the CD system says has failed or was cancelled ends with a look at what is live, or when
/// that could not be had in time.
pub(crate) fn end_is_looked_at(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for walk in case.walks.values().filter(|walk| walk.journal.opening.rules >= Rules::V2) {
        let mut said = None;
        for step in walk.applied() {
            if let Event::ProgressObserved(progress) = &step.event {
                said = Some(progress.phase);
            }
            let ended = step.before == StateName::Verifying && step.after.is_end();
            let by_its_word = match step.after {
                StateName::Failed => said == Some(Phase::Failed),
                StateName::Withdrawn => said == Some(Phase::Cancelled),
                _ => said == Some(Phase::Complete),
            };
            let looked = matches!(step.event, Event::OutcomeObserved(_) | Event::DeadlineReached);
            if ended && !(by_its_word && looked) {
                found.push(format!("`{}` ended {} on {said:?}", walk.id(), step.after));
            }
        }
    }
    found
}

pub(crate) fn effect_once(case: &Case<'_>) -> Vec<String> {
    let often = case.walks.keys().map(|id| (id, case.effects_of(id))).filter(|(_, n)| *n > 1);
    often.map(|(id, times)| format!("`{id}` took effect {times} times")).collect()
}

pub(crate) fn success_is_seen(case: &Case<'_>) -> Vec<String> {
    let succeeded = case.walks.values().filter(|walk| {
        walk.last.state == StateName::Succeeded && walk.last.purpose == Purpose::Real
    });
    let mut found = Vec::new();
    for walk in succeeded {
        let good = walk.applied().last().is_some_and(|step| match &step.event {
            Event::OutcomeObserved(sighting) => {
                let live = sighting.live.value().and_then(|live| live.revision.as_ref());
                live.is_some_and(|live| live.revision == walk.last.to.revision)
                    && sighting.health.value() == Some(&Health::Healthy)
            }
            _ => false,
        });
        if !good {
            found.push(format!("`{}` succeeded without being seen live and healthy", walk.id()));
        }
    }
    found
}

pub(crate) fn success_is_one_effect(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for walk in case.walks.values().filter(|walk| walk.last.state == StateName::Succeeded) {
        let effects = case.effects_of(walk.id());
        let due = usize::from(walk.last.purpose == Purpose::Real);
        if effects != due {
            found.push(format!("`{}` succeeded after {effects} effects", walk.id()));
        }
    }
    found
}

pub(crate) fn stopped_without_effect(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for walk in case.walks.values() {
        let stopped = match walk.last.state {
            StateName::Refused | StateName::Denied | StateName::Expired => true,
            StateName::Withdrawn => !walk.was_ordered,
            _ => false,
        };
        let effects = case.effects_of(walk.id());
        if effects > 0 && (stopped || walk.last.purpose == Purpose::Drill) {
            found.push(format!("`{}` is {} and took effect", walk.id(), walk.last.state));
        }
    }
    found
}

pub(crate) fn fenced_before_absent(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for walk in case.walks.values() {
        let absent = walk.applied().find(|step| matches!(step.event, Event::OrderAbsent));
        let Some(absent) = absent else { continue };
        let mut log = case.evidence.log.iter();
        let is_end = |seen: &Seen| match seen {
            Seen::Stored { rollback, state, .. } => rollback == walk.id() && state.is_end(),
            _ => false,
        };
        // What a person settled in doubt had ended before, by their word.
        let place =
            if absent.before.is_end() { log.rposition(is_end) } else { log.position(is_end) };
        let before = case.before(place.unwrap_or(usize::MAX));
        let mut fenced = before
            .filter(|seen| matches!(seen, Seen::Fenced { rollback } if rollback == walk.id()));
        if fenced.next().is_none() || case.effects_of(walk.id()) > 0 {
            found.push(format!("`{}` was declared not executed without a fence", walk.id()));
        }
    }
    found
}

pub(crate) fn absent_only_with_fence(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for walk in case.walks.values() {
        let absent = walk.applied().any(|step| matches!(step.event, Event::OrderAbsent));
        if absent && walk.journal.opening.backend.fence.as_str() != "yes" {
            found.push(format!("`{}` was declared not executed without a fence", walk.id()));
        }
    }
    found
}

pub(crate) fn no_late_effect(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (place, id, _) in case.effects() {
        let ended = case.before(place).filter_map(|seen| match seen {
            Seen::Stored { rollback, state, .. } if rollback == id && state.is_end() => Some(state),
            _ => None,
        });
        match ended.last() {
            None => {}
            Some(StateName::OutcomeUnknown) => {
                let told = case.walks.get(id).is_some_and(|walk| {
                    let settled =
                        walk.applied().any(|step| matches!(step.event, Event::Settled(_)));
                    settled || walk.last.execution.is_some()
                });
                if case.evidence.rest == Rest::Reached && !told {
                    found.push(format!("`{id}` took effect late and nobody noticed"));
                }
            }
            Some(state) => found.push(format!("`{id}` took effect after it was {state}")),
        }
    }
    found
}
