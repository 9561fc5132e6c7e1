//! What is on record.

use crate::case::Case;
use crate::evidence::Seen;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use rollback_core::audit::{Kind, Record, Verifier};
use rollback_core::{Event, Label, StateName, UserId};

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
        | Kind::Released => false,
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
        let kept: Vec<&Label> = case.records_of(walk.id()).map(|r| &r.draft.id).collect();
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
