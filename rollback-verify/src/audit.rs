//! What is on record.

use crate::case::Case;
use crate::evidence::Seen;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use rollback_core::audit::{Kind, Record, Verifier};
use rollback_core::journal::Rules;
use rollback_core::{Event, Label, StateName, UserId, stopped};

/// Whether a record says how a rollback ended.
const fn says_end(kind: Kind) -> bool {
    match kind {
        Kind::Refused
        | Kind::Succeeded
        | Kind::Failed
        | Kind::NotVerified
        | Kind::OutcomeUnknown
        | Kind::Cancelled
        | Kind::Expired => true,
        Kind::Requested
        | Kind::Denied
        | Kind::Confirmed
        | Kind::Approved
        | Kind::Rejected
        | Kind::Triggered
        | Kind::Phase
        | Kind::Settled
        | Kind::PutAside
        | Kind::Released
        | Kind::Frozen
        | Kind::Unfrozen
        | Kind::MarkedBad
        | Kind::UnmarkedBad => false,
    }
}

pub(crate) fn audited_around(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (walk, _, _) in case.ordered() {
        let kinds: Vec<Kind> = case.records_of(walk.id()).map(|r| r.draft.kind).collect();
        let intents = kinds.iter().filter(|kind| **kind == Kind::Triggered).count();
        let after = kinds.iter().skip_while(|kind| **kind != Kind::Triggered);
        let ended = after.filter(|kind| says_end(**kind)).count() > 0;
        if intents != 1 || (walk.last.state.is_end() && !ended) {
            found.push(format!("the records of `{}` are {kinds:?}", walk.id()));
        }
    }
    found
}

pub(crate) fn chain_is_whole(case: &Case<'_>) -> Vec<String> {
    let mut verifier = Verifier::new(case.evidence.chain.clone());
    let mut found = Vec::new();
    for record in &case.evidence.records {
        if let Err(error) = verifier.check(record) {
            found.push(error.to_string());
            break;
        }
    }
    for walk in case.walks.values() {
        let due: Vec<&Label> = walk.due.iter().collect();
        let kept = case.records_of(walk.id()).map(|record| &record.draft);
        let kept = kept.filter(|draft| !stopped::is_beside_the_journal(draft));
        let kept: Vec<&Label> = kept.map(|draft| &draft.id).collect();
        if due != kept {
            found.push(format!("`{}` should have the records {due:?}, not {kept:?}", walk.id()));
        }
    }
    found
}

pub(crate) fn audited_before(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (place, id, _, _) in case.sent() {
        let intent = case.records_of(id).find(|record| record.draft.kind == Kind::Triggered);
        let kept = intent.is_some_and(|intent| {
            case.before(place)
                .any(|seen| matches!(seen, Seen::Kept { record } if *record == intent.draft.id))
        });
        if !kept {
            found.push(format!("the order of `{id}` was sent before its intent was kept"));
        }
    }
    found
}

/// The first rules left the rule out where the requester or an approver acted.
pub(crate) fn rules_on_record(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for walk in case.walks.values().filter(|walk| walk.journal.opening.rules >= Rules::V2) {
        let unruled = case
            .records_of(walk.id())
            .filter(|record| record.draft.actor.is_some() && record.draft.decision.is_none());
        found.extend(unruled.map(|record| {
            let kind = record.draft.kind.as_str();
            format!("record {} of `{}` ({kind}) names no rule", record.sequence, walk.id())
        }));
    }
    found
}

/// Whether a record is of something that a person did to a rollback.
const fn is_an_act(kind: Kind) -> bool {
    match kind {
        Kind::Confirmed
        | Kind::Approved
        | Kind::Rejected
        | Kind::Cancelled
        | Kind::Settled
        | Kind::Released => true,
        Kind::Requested
        | Kind::Denied
        | Kind::Refused
        | Kind::Triggered
        | Kind::Phase
        | Kind::Succeeded
        | Kind::Failed
        | Kind::NotVerified
        | Kind::OutcomeUnknown
        | Kind::Expired
        | Kind::PutAside
        | Kind::Frozen
        | Kind::Unfrozen
        | Kind::MarkedBad
        | Kind::UnmarkedBad => false,
    }
}

pub(crate) fn break_glass_pages(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for walk in case.walks.values().filter(|walk| walk.journal.opening.rules >= Rules::V2) {
        for step in walk.steps.iter().filter(|step| is_said(&step.event)) {
            let acts = case.records_of(walk.id()).filter(|record| {
                step.records.contains(&record.draft.id)
                    && is_an_act(record.draft.kind)
                    && record.draft.is_through_break_glass()
            });
            let acts = acts.count();
            if acts != step.pages {
                let id = walk.id();
                found
                    .push(format!("`{id}`: {acts} acts through break-glass, {} pages", step.pages));
            }
        }
    }
    found
}

/// Whether somebody said something.
const fn is_said(event: &Event) -> bool {
    matches!(
        event,
        Event::ConfirmationGiven(_)
            | Event::ApprovalGiven(_)
            | Event::RejectionGiven(_)
            | Event::WithdrawalGiven(_)
            | Event::Settled(_)
            | Event::Released(_)
    )
}

pub(crate) fn actors_on_record(case: &Case<'_>) -> Vec<String> {
    let named = |record: &Record| {
        matches!(record.draft.kind, Kind::Confirmed | Kind::Approved | Kind::Rejected)
    };
    let nobody = |record: &&Record| named(record) && record.draft.actor.is_none();
    let mut found: Vec<String> = case
        .evidence
        .records
        .iter()
        .filter(nobody)
        .map(|record| format!("record {} names nobody", record.sequence))
        .collect();
    for walk in case.walks.values() {
        let who: Vec<&UserId> = walk
            .applied()
            .filter_map(|step| match &step.event {
                // A confirmation that was refused or denied is on record as that.
                Event::ConfirmationGiven(given) => {
                    let counted = matches!(step.after, StateName::Approving | StateName::Checking);
                    counted.then_some(&given.actor.id)
                }
                // Nor did a vote count that came too late.
                Event::ApprovalGiven(said) | Event::RejectionGiven(said) => {
                    (step.after != StateName::Expired).then_some(&said.actor.id)
                }
                _ => None,
            })
            .collect();
        let recorded: Vec<&str> = case
            .records_of(walk.id())
            .filter(|record| named(record))
            .map(|record| record.draft.actor.as_ref().map_or("nobody", |actor| actor.id.as_str()))
            .collect();
        if !who.iter().map(|who| who.as_str()).eq(recorded.iter().copied()) {
            found.push(format!("the records of `{}` name {recorded:?}, not {who:?}", walk.id()));
        }
    }
    found
}
