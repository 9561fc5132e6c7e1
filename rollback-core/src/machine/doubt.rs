//! An order in doubt: what became of it is found out by reading, and nothing is sent again.
//!
//! Where the CD system can be fenced, doubt lasts as long as it does not answer, and then ends in
//! knowledge. People are called once it has lasted longer than its limit. Where the CD system cannot
//! be fenced, the outcome is unknown from that moment on.

use super::executing::end;
use super::turn::{Next, Turn, ignore};
use super::{Doubt, Ignored, Sending, State, Unsettled};
use crate::audit::Kind;
use crate::event::{Audience, Effect, Line, Receipt};
use crate::journal::Rules;
use crate::proof::{OrderRef, Recorded};
use crate::words;
use alloc::string::String;

/// It is unknown whether the CD system accepted the order.
pub(super) fn begin(recorded: Recorded, why: String, turn: &mut Turn<'_>) -> Next {
    turn.notes.explanation = words::in_doubt(&why);
    turn.tell(Audience::Channel);
    turn.effect(Effect::Reconcile(OrderRef::of(&recorded)));
    let limits = turn.opening.policy.limits;
    let within =
        if turn.opening.rules >= Rules::V2 { limits.doubt_within } else { limits.check_within };
    let doubt = Doubt { why, remains: None, overdue: false };
    turn.wait(State::Triggering(recorded, Sending::InDoubt(doubt)), within)
}

/// The CD system answered, and the answer cannot prove that the order will not come. It is looked
/// for on: it may come yet.
pub(super) fn remained(
    recorded: Recorded,
    mut doubt: Doubt,
    why: String,
    turn: &mut Turn<'_>,
) -> Next {
    if turn.opening.rules < Rules::V2 || doubt.overdue {
        return unknown(recorded, None, &alloc::format!("{}; {why}", doubt.why), turn);
    }
    if doubt.remains.as_ref() == Some(&why) {
        return ignore(State::Triggering(recorded, Sending::InDoubt(doubt)), Ignored::Again);
    }
    let within = turn.opening.policy.limits.doubt_within;
    turn.notes.explanation = words::doubt_remains(&doubt.why, &why, within);
    turn.tell(Audience::Channel);
    doubt.remains = Some(why);
    turn.stay(State::Triggering(recorded, Sending::InDoubt(doubt)))
}

/// The doubt has lasted for as long as it may, or until people are called.
pub(super) fn lasted(recorded: Recorded, mut doubt: Doubt, turn: &mut Turn<'_>) -> Next {
    let Doubt { why, remains, .. } = &doubt;
    if turn.opening.rules < Rules::V2 {
        let why = alloc::format!("{why}; reading it did not settle it in time");
        return unknown(recorded, None, &why, turn);
    }
    if doubt.overdue {
        return ignore(State::Triggering(recorded, Sending::InDoubt(doubt)), Ignored::Again);
    }
    let within = turn.opening.policy.limits.doubt_within;
    if let Some(remains) = remains {
        let why = alloc::format!("{why}; {remains}");
        return unknown(recorded, None, &why, turn);
    }
    if !turn.opening.backend.can_fence() {
        let within = crate::time::in_words(within);
        let why = alloc::format!("{why}; it was not found within {within}");
        return unknown(recorded, None, &why, turn);
    }
    let text = words::doubt_lasts(&turn.opening.plan, why, within);
    overdue(text, turn);
    doubt.overdue = true;
    turn.stay(State::Triggering(recorded, Sending::InDoubt(doubt)))
}

/// Tells that something takes longer than its limit. It is still followed, without a limit.
pub(super) fn overdue(text: String, turn: &mut Turn<'_>) {
    let mut draft = turn.draft(Kind::Phase);
    draft.explanation = Some(text.clone());
    turn.audit(draft);
    turn.notes.explanation = text;
    *turn.deadline = None;
    turn.line(Line::Overdue);
    turn.tell(Audience::Channel);
    turn.tell(Audience::OnCall);
}

/// Nobody knows what became of the order, or of the execution that the CD system took.
pub(super) fn unknown(
    recorded: Recorded,
    known: Option<Receipt>,
    why: &str,
    turn: &mut Turn<'_>,
) -> Next {
    let text = words::outcome_unknown(&turn.opening.plan, why);
    turn.effect(match &known {
        Some(receipt) => Effect::Observe(OrderRef::of(&recorded), receipt.clone()),
        None => Effect::WatchForLateEffect(OrderRef::of(&recorded)),
    });
    turn.tell(Audience::OnCall);
    let unsettled = Unsettled { known, late: None, settled: false, in_doubt: false };
    end(State::OutcomeUnknown(recorded, unsettled), Kind::OutcomeUnknown, text, turn)
}
