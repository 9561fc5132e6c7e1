//! The one end that is not quite one: an unknown outcome, until a person settles it.

use super::turn::{Next, Turn, ignore};
use super::{Declined, Ignored, State, Unsettled};
use crate::access::{Duty, Moment};
use crate::audit::Kind;
use crate::event::{Audience, Event, Line, Settlement};
use crate::id::Label;
use crate::proof::Recorded;
use crate::words;

pub(super) fn outcome_unknown(
    recorded: Recorded,
    unsettled: Unsettled,
    event: Event,
    turn: &mut Turn<'_>,
) -> Next {
    match event {
        Event::OrderFound(receipt) if unsettled.late.is_none() => {
            turn.notes.receipt = Some(receipt.clone());
            let text = words::late_effect(&turn.opening.plan);
            turn.audit_report(Kind::OutcomeUnknown, &text);
            turn.notes.explanation = text;
            turn.line(Line::LateEffect);
            turn.tell(Audience::Channel);
            turn.tell(Audience::OnCall);
            let unsettled = Unsettled { late: Some(receipt), ..unsettled };
            turn.stay(State::OutcomeUnknown(recorded, unsettled))
        }
        Event::Settled(settlement) if !unsettled.settled => {
            settle(recorded, unsettled, *settlement, turn)
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
        | Event::ProgressObserved(_)
        | Event::OutcomeObserved(_)
        | Event::DeadlineReached => {
            ignore(State::OutcomeUnknown(recorded, unsettled), Ignored::Ended)
        }
    }
}

fn settle(
    recorded: Recorded,
    unsettled: Unsettled,
    settlement: Settlement,
    turn: &mut Turn<'_>,
) -> Next {
    let Settlement { actor, standing, finding } = settlement;
    let policy = &turn.opening.policy;
    let moment = Moment::new(turn.now, policy.limits.fact_age_max);
    let decision = policy.access.decide(Duty::Settle, &actor, &standing, moment);
    let rule = Label::new(decision.rule);
    if let Err(denial) = decision.verdict {
        let why = Declined::NotEntitled { duty: Duty::Settle, denial, rule };
        return turn.decline(State::OutcomeUnknown(recorded, unsettled), &actor, why);
    }
    let mut draft = turn.draft(Kind::Settled).by(&actor);
    draft.decision = Some(words::decision(rule.as_str(), None));
    draft.explanation = Some(finding.as_str().into());
    turn.audit(draft);
    turn.notes.explanation = alloc::format!("settled: {finding}");
    turn.notes.put_aside = None;
    turn.line(Line::Settled(actor));
    turn.tell(Audience::Channel);
    let unsettled = Unsettled { settled: true, ..unsettled };
    turn.stay(State::OutcomeUnknown(recorded, unsettled))
}
