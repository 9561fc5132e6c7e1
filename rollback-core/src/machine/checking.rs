//! The states before the order: checking and recording.

use super::asking::{not_in_time, withdraw_confirmed};
use super::turn::{Next, Turn, ignore};
use super::{Ignored, Sending, State};
use crate::access::{Duty, Route};
use crate::audit::Kind;
use crate::event::{Audience, Effect, Event, Line, Observation};
use crate::guard::{Explanation, Report};
use crate::model::Actor;
use crate::observed::Facts;
use crate::proof::{Approved, GuardsPassed, NoVote, NotPassed, Order, OrderRef, Recorded};
use crate::view::Purpose;
use crate::words;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

pub(super) fn checking(approved: Approved, event: Event, turn: &mut Turn<'_>) -> Next {
    match event {
        Event::FactsObserved(observation) => check(approved, &observation, turn),
        Event::DeadlineReached => {
            let facts = Facts::unknown(&not_in_time().to_string());
            let question =
                crate::guard::Question::new(&turn.opening.plan, &turn.opening.policy, turn.now);
            refuse(Some(crate::guard::evaluate(&question, &facts)), None, turn)
        }
        Event::WithdrawalGiven(said) => {
            withdraw_confirmed(*said, approved.confirmed().actor(), turn)
                .unwrap_or_else(|(actor, why)| turn.decline(State::Checking(approved), &actor, why))
        }
        Event::Clicked(_)
        | Event::StandingObserved(_)
        | Event::ConfirmationGiven(_)
        | Event::ApprovalGiven(_)
        | Event::RejectionGiven(_)
        | Event::SlotTaken(_)
        | Event::IntentRecorded
        | Event::IntentNotRecorded(_)
        | Event::TriggerAccepted(_)
        | Event::TriggerRefused(_)
        | Event::TriggerConflicted(_)
        | Event::TriggerInDoubt(_)
        | Event::OrderFound(_)
        | Event::OrderAbsent
        | Event::DoubtRemained(_)
        | Event::Rehearsed(_)
        | Event::ProgressObserved(_)
        | Event::ExecutionUnseen(_)
        | Event::CancellationAccepted
        | Event::CancellationRefused
        | Event::OutcomeObserved(_)
        | Event::Settled(_)
        | Event::PutAside(_)
        | Event::Released(_) => ignore(State::Checking(approved), Ignored::OutOfPlace),
    }
}

fn check(approved: Approved, observation: &Observation, turn: &mut Turn<'_>) -> Next {
    turn.note_preview(&observation.facts);
    let paged: Vec<Actor> = approved.through_break_glass().cloned().collect();
    match GuardsPassed::check(turn.opening, approved, observation, turn.now) {
        Ok(passed) => {
            turn.notes.report = Some(passed.report().clone());
            let confirmed = passed.approved().confirmed();
            let (route, rule) = confirmed.by();
            turn.notes.rule = Some(rule.clone());
            if route == Route::BreakGlass && !turn.notes.break_glass {
                turn.notes.break_glass = true;
                turn.page(confirmed.actor(), Duty::Request, route);
            }
            // Somebody who owned the service when they approved it, and does not any more.
            for actor in passed.approved().through_break_glass() {
                if !paged.contains(actor) {
                    turn.page(actor, Duty::Approve, Route::BreakGlass);
                }
            }
            turn.notes.explanation = "the intent is being recorded".into();
            turn.audit_intent("every guard passed; the order is about to be sent");
            turn.effect(Effect::RecordIntent);
            turn.wait(State::Recording(passed), turn.opening.policy.limits.check_within)
        }
        Err(NotPassed::Guards(report)) => refuse(Some(report), None, turn),
        Err(NotPassed::Vote(approver, why)) => {
            let why = match &why {
                NoVote::Own => words::vote_lost(&approver, None),
                NoVote::Again => words::vote_again(&approver),
                NoVote::Denied(denial, _) => words::vote_lost(&approver, Some(denial)),
            };
            let plan = &turn.opening.plan;
            let next = "click again and ask somebody else to approve it";
            refuse_with(words::refused_because(plan, &why, next), turn)
        }
        Err(NotPassed::Denied(denial, rule)) => {
            let Some(actor) = turn.notes.requested_by.clone() else {
                return refuse(None, Some("the requester is no longer known"), turn);
            };
            let text = turn.deny(&actor, Duty::Request, &denial, rule.as_str());
            let next = turn.end(State::Denied, text);
            turn.line(Line::Ended);
            turn.tell_approvers();
            turn.tell(Audience::Channel);
            next
        }
    }
}

pub(super) fn recording(passed: GuardsPassed, event: Event, turn: &mut Turn<'_>) -> Next {
    match event {
        Event::IntentRecorded => match Recorded::check(passed, turn.now) {
            Ok(recorded) => order(recorded, turn),
            Err(Explanation { what, next }) => {
                refuse_with(words::refused_because(&turn.opening.plan, &what, &next), turn)
            }
        },
        Event::IntentNotRecorded(why) => refuse(
            None,
            Some(&alloc::format!("the audit log did not take the record: {why}")),
            turn,
        ),
        Event::DeadlineReached => {
            refuse(None, Some("the audit log did not take the record in time"), turn)
        }
        Event::WithdrawalGiven(said) => {
            let Some(requester) = turn.notes.requested_by.clone() else {
                return ignore(State::Recording(passed), Ignored::OutOfPlace);
            };
            withdraw_confirmed(*said, &requester, turn)
                .unwrap_or_else(|(actor, why)| turn.decline(State::Recording(passed), &actor, why))
        }
        Event::Clicked(_)
        | Event::StandingObserved(_)
        | Event::FactsObserved(_)
        | Event::ConfirmationGiven(_)
        | Event::ApprovalGiven(_)
        | Event::RejectionGiven(_)
        | Event::SlotTaken(_)
        | Event::TriggerAccepted(_)
        | Event::TriggerRefused(_)
        | Event::TriggerConflicted(_)
        | Event::TriggerInDoubt(_)
        | Event::OrderFound(_)
        | Event::OrderAbsent
        | Event::DoubtRemained(_)
        | Event::Rehearsed(_)
        | Event::ProgressObserved(_)
        | Event::ExecutionUnseen(_)
        | Event::CancellationAccepted
        | Event::CancellationRefused
        | Event::OutcomeObserved(_)
        | Event::Settled(_)
        | Event::PutAside(_)
        | Event::Released(_) => ignore(State::Recording(passed), Ignored::OutOfPlace),
    }
}

/// The one place where an order is given.
fn order(recorded: Recorded, turn: &mut Turn<'_>) -> Next {
    match turn.opening.purpose {
        Purpose::Real => {
            turn.notes.ordered = true;
            turn.notes.explanation = "the order is on its way to the CD system".into();
            turn.effect(Effect::Trigger(Order::issue(&recorded)));
        }
        Purpose::Drill => {
            turn.notes.explanation = "drill: the CD system is asked, not ordered".into();
            turn.effect(Effect::Rehearse(OrderRef::of(&recorded)));
        }
    }
    turn.tell(Audience::Channel);
    let within = turn.opening.policy.limits.run_within;
    turn.wait(State::Triggering(recorded, Sending::Once), within)
}

/// Refuses after the confirmation: in the thread, to whoever asked, and in the audit record.
fn refuse(report: Option<Report>, why: Option<&str>, turn: &mut Turn<'_>) -> Next {
    let plan = &turn.opening.plan;
    let text: String = match (&report, why) {
        (_, Some(why)) => words::refused_because(plan, why, "fix that, then click again"),
        (Some(report), None) => {
            let acknowledged = turn.notes.acknowledged.iter().cloned().collect();
            words::refused(plan, report, &acknowledged)
        }
        (None, None) => words::refused_because(plan, "a check failed", "click again"),
    };
    if report.is_some() {
        turn.notes.report = report;
    }
    refuse_with(text, turn)
}

/// Refuses with words of one's own.
pub(super) fn refuse_with(text: String, turn: &mut Turn<'_>) -> Next {
    turn.audit_report(Kind::Refused, &text);
    if let Some(actor) = turn.notes.requested_by.clone() {
        turn.privately(&actor.id, text.clone());
    }
    let next = turn.end(State::Refused, text);
    turn.line(Line::Refused);
    turn.tell_approvers();
    turn.tell(Audience::Channel);
    next
}
