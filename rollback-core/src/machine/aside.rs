//! What is put aside because its work ended whoever did it, until a person lets it go on. It holds
//! what it held: nothing else may start where its order may still be on its way.

use super::turn::{Next, Turn, ignore};
use super::{Declined, Ignored, State};
use crate::access::{Duty, Moment};
use crate::audit::Kind;
use crate::event::{Audience, Line, Said};
use crate::id::Label;
use crate::view::PutAside;
use crate::words;
use core::time::Duration;

pub(super) fn put(state: State, attempts: u32, turn: &mut Turn<'_>) -> Next {
    if is_over(&state) {
        return ignore(state, Ignored::Ended);
    }
    if turn.notes.put_aside.is_some() {
        return ignore(state, Ignored::Again);
    }
    if attempts == 0 {
        // No crash is why: its journal did not replay to what was stored, and does so again. That was
        // told when it was stopped.
        turn.notes.put_aside = Some(PutAside::not_replayed(turn.now));
        return turn.stay(state);
    }
    let text = words::put_aside(&turn.opening.plan, attempts, turn.notes.ordered);
    let mut draft = turn.draft(Kind::PutAside);
    draft.explanation = Some(text.clone());
    turn.audit(draft);
    turn.notes.explanation = text;
    turn.notes.put_aside = Some(PutAside::new(attempts, turn.now));
    turn.line(Line::PutAside);
    turn.tell(Audience::Channel);
    turn.tell(Audience::OnCall);
    turn.stay(state)
}

/// Whether a person may say what became of its order, although it has not ended: nobody looks any
/// more, and whoever looked was ended by it.
pub(super) const fn can_be_settled(state: &State, turn: &Turn<'_>) -> bool {
    turn.notes.put_aside.is_some()
        && turn.notes.ordered
        && matches!(state, State::Triggering(..) | State::Running(..) | State::Verifying(..))
}

pub(super) fn release(state: State, said: Said, turn: &mut Turn<'_>) -> Next {
    let Said { actor, standing } = said;
    let Some(aside) = turn.notes.put_aside else { return ignore(state, Ignored::OutOfPlace) };
    let policy = &turn.opening.policy;
    let moment = Moment::new(turn.now, policy.limits.fact_age_max);
    let decision = policy.access.decide(Duty::Release, &actor, &standing, moment);
    let rule = Label::new(decision.rule);
    let route = match decision.verdict {
        Ok(route) => route,
        Err(denial) => {
            let why = Declined::NotEntitled { duty: Duty::Release, denial, rule };
            return turn.decline(state, &actor, why);
        }
    };
    let text = words::released();
    let mut draft = turn.draft(Kind::Released);
    draft.explanation = Some(text.clone());
    turn.acted(draft, &actor, Duty::Release, (route, rule.as_str()));
    turn.notes.explanation = text;
    turn.notes.put_aside = None;
    // Nobody could do anything meanwhile, so that time does not count.
    let meanwhile = turn.now.since(aside.since);
    *turn.deadline = turn.deadline.map(|deadline| deadline.after(meanwhile));
    let state = put_off(state, meanwhile);
    turn.line(Line::Released(actor));
    turn.tell(Audience::Channel);
    turn.stay(state)
}

/// What runs should be complete later, by the time in which nobody looked.
fn put_off(state: State, meanwhile: Duration) -> State {
    if let State::Running(recorded, mut running) = state {
        running.due = running.due.after(meanwhile);
        running.silent_since = running.silent_since.map(|since| since.after(meanwhile));
        return State::Running(recorded, running);
    }
    state
}

/// Whether there is no work that could end anybody.
fn is_over(state: &State) -> bool {
    match state {
        State::OutcomeUnknown(_, unsettled) => {
            unsettled.late.is_some() || (unsettled.settled && !unsettled.in_doubt)
        }
        State::Proposed
        | State::Authorizing(_)
        | State::Confirming(..)
        | State::Approving(..)
        | State::Checking(_)
        | State::Recording(_)
        | State::Triggering(..)
        | State::Running(..)
        | State::Verifying(..) => false,
        State::Succeeded
        | State::Failed
        | State::NotVerified
        | State::Refused
        | State::Denied
        | State::Withdrawn
        | State::Expired => true,
    }
}
