//! The one end that is not quite one: an unknown outcome, until a person settles it.

use super::turn::{Next, Turn, ignore};
use super::{Declined, Ignored, State, Unsettled};
use crate::access::{Duty, Moment};
use crate::audit::Kind;
use crate::event::{Audience, Effect, Event, Line, Phase, Progress, Settlement};
use crate::id::Label;
use crate::journal::Rules;
use crate::proof::{OrderRef, Recorded};
use crate::view::SettledBy;
use crate::words;

pub(super) fn outcome_unknown(
    recorded: Recorded,
    unsettled: Unsettled,
    event: Event,
    turn: &mut Turn<'_>,
) -> Next {
    match event {
        Event::ProgressObserved(progress) => heard(recorded, unsettled, *progress, turn),
        Event::OrderFound(receipt) if unsettled.late.is_none() && unsettled.known.is_none() => {
            turn.notes.receipt = Some(receipt.clone());
            let text = words::late_effect(&turn.opening.plan, unsettled.settled);
            turn.audit_report(Kind::OutcomeUnknown, &text);
            turn.notes.explanation = text;
            turn.line(Line::LateEffect);
            turn.tell(Audience::Channel);
            turn.tell(Audience::OnCall);
            let unsettled = Unsettled { late: Some(receipt), in_doubt: false, ..unsettled };
            turn.stay(State::OutcomeUnknown(recorded, unsettled))
        }
        Event::OrderAbsent if unsettled.in_doubt => {
            let mut draft = turn.draft(Kind::Phase);
            draft.explanation = Some(words::never_carried_out(&turn.opening.plan));
            turn.audit(draft);
            let unsettled = Unsettled { in_doubt: false, ..unsettled };
            turn.stay(State::OutcomeUnknown(recorded, unsettled))
        }
        Event::Settled(settlement) if !unsettled.settled => {
            settle(State::OutcomeUnknown(recorded, unsettled), *settlement, turn)
        }
        // It answers, and will never prove more. A person has said what became of it.
        Event::DoubtRemained(_) if unsettled.in_doubt => {
            let unsettled = Unsettled { in_doubt: false, ..unsettled };
            turn.stay(State::OutcomeUnknown(recorded, unsettled))
        }
        Event::OrderFound(_)
        | Event::Settled(_)
        | Event::PutAside(_)
        | Event::Released(_)
        | Event::Clicked(_)
        | Event::StandingObserved(_)
        | Event::FactsObserved(_)
        | Event::ConfirmationGiven(_)
        | Event::ApprovalGiven(_)
        | Event::RejectionGiven(_)
        | Event::WithdrawalGiven(_)
        | Event::SlotTaken(_)
        | Event::IntentRecorded
        | Event::IntentNotRecorded(_)
        | Event::TriggerAccepted(_)
        | Event::TriggerRefused(_)
        | Event::TriggerConflicted(_)
        | Event::TriggerInDoubt(_)
        | Event::OrderAbsent
        | Event::DoubtRemained(_)
        | Event::Rehearsed(_)
        | Event::ExecutionUnseen(_)
        | Event::CancellationAccepted
        | Event::CancellationRefused
        | Event::OutcomeObserved(_)
        | Event::DeadlineReached => {
            ignore(State::OutcomeUnknown(recorded, unsettled), Ignored::Ended)
        }
    }
}

/// The CD system answers again about an execution that it is known to have taken.
fn heard(
    recorded: Recorded,
    mut unsettled: Unsettled,
    progress: Progress,
    turn: &mut Turn<'_>,
) -> Next {
    let Some(receipt) = unsettled.known.clone() else {
        return ignore(State::OutcomeUnknown(recorded, unsettled), Ignored::Ended);
    };
    let over = unsettled.late.is_some() || unsettled.settled;
    let known = turn.notes.progress.as_ref().is_some_and(|last| progress.phase <= last.phase);
    if over || known {
        return ignore(State::OutcomeUnknown(recorded, unsettled), Ignored::Ended);
    }
    let text = words::heard_again(&turn.opening.plan, &progress);
    match progress.phase {
        Phase::Started | Phase::HealthChecking => {
            let mut draft = turn.draft(Kind::Phase);
            draft.explanation = Some(text.clone());
            turn.audit(draft);
        }
        Phase::Complete | Phase::Failed | Phase::Cancelled => {
            turn.audit_report(Kind::OutcomeUnknown, &text);
            turn.tell(Audience::OnCall);
            unsettled.late = Some(receipt);
        }
    }
    turn.notes.progress = Some(progress.clone());
    turn.notes.explanation = text;
    turn.line(Line::Heard(progress));
    turn.tell(Audience::Channel);
    turn.stay(State::OutcomeUnknown(recorded, unsettled))
}

/// A person says what became of it: after the end, or in a state that takes longer than its limit,
/// which ends with that.
pub(super) fn settle(state: State, settlement: Settlement, turn: &mut Turn<'_>) -> Next {
    let by = SettledBy::new(&settlement, turn.now);
    let Settlement { actor, standing, outcome, finding } = settlement;
    let policy = &turn.opening.policy;
    let moment = Moment::new(turn.now, policy.limits.fact_age_max);
    let decision = policy.access.decide(Duty::Settle, &actor, &standing, moment);
    let rule = Label::new(decision.rule);
    let route = match decision.verdict {
        Ok(route) => route,
        Err(denial) => {
            let why = Declined::NotEntitled { duty: Duty::Settle, denial, rule };
            return turn.decline(state, &actor, why);
        }
    };
    let state = end_by_settlement(state, turn);
    let mut draft = turn.draft(Kind::Settled);
    draft.explanation = Some(words::found(outcome, &finding));
    turn.acted(draft, &actor, Duty::Settle, (route, rule.as_str()));
    turn.notes.explanation = words::settled(outcome, &finding);
    turn.notes.settlement = Some(by);
    turn.notes.put_aside = None;
    turn.line(Line::Settled(actor));
    turn.tell(Audience::Channel);
    turn.stay(state)
}

/// The same rollback, settled. One that had not ended ends here: by a person's word, and not by what
/// was seen. An order in doubt may still be on its way: where the CD system can fence, it is asked on.
fn end_by_settlement(state: State, turn: &mut Turn<'_>) -> State {
    let mut in_doubt = false;
    let (recorded, known) = match state {
        State::OutcomeUnknown(recorded, unsettled) => {
            return State::OutcomeUnknown(recorded, Unsettled { settled: true, ..unsettled });
        }
        State::Triggering(recorded, _) => {
            in_doubt = turn.opening.rules >= Rules::V3 && turn.opening.backend.can_fence();
            (recorded, None)
        }
        State::Running(recorded, running) => (recorded, Some(running.receipt)),
        State::Verifying(recorded, verifying) => (recorded, Some(verifying.receipt)),
        State::Proposed
        | State::Authorizing(_)
        | State::Confirming(..)
        | State::Approving(..)
        | State::Checking(_)
        | State::Recording(_)
        | State::Succeeded
        | State::Failed
        | State::NotVerified
        | State::Refused
        | State::Denied
        | State::Withdrawn
        | State::Expired => return state,
    };
    let text = words::given_up(&turn.opening.plan);
    turn.audit_report(Kind::OutcomeUnknown, &text);
    let unsettled = Unsettled { known, late: None, settled: true, in_doubt };
    let pending = in_doubt.then(|| Effect::Reconcile(OrderRef::of(&recorded)));
    let (state, _) = turn.end(State::OutcomeUnknown(recorded, unsettled), text);
    if let Some(effect) = pending {
        turn.effect(effect);
    }
    turn.tell(Audience::Deployer);
    state
}
