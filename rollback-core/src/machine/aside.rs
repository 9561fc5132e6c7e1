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

pub(super) fn put(state: State, attempts: u32, turn: &mut Turn<'_>) -> Next {
    if is_over(&state) {
        return ignore(state, Ignored::Ended);
    }
    if turn.notes.put_aside.is_some() {
        return ignore(state, Ignored::Again);
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

pub(super) fn release(state: State, said: Said, turn: &mut Turn<'_>) -> Next {
    let Said { actor, standing } = said;
    let Some(aside) = turn.notes.put_aside else { return ignore(state, Ignored::OutOfPlace) };
    let policy = &turn.opening.policy;
    let moment = Moment::new(turn.now, policy.limits.fact_age_max);
    let decision = policy.access.decide(Duty::Release, &actor, &standing, moment);
    let rule = Label::new(decision.rule);
    if let Err(denial) = decision.verdict {
        let why = Declined::NotEntitled { duty: Duty::Release, denial, rule };
        return turn.decline(state, &actor, why);
    }
    let text = words::released();
    let mut draft = turn.draft(Kind::Released).by(&actor);
    draft.decision = Some(words::decision(rule.as_str(), None));
    draft.explanation = Some(text.clone());
    turn.audit(draft);
    turn.notes.explanation = text;
    turn.notes.put_aside = None;
    // Nobody could do anything meanwhile, so that time does not count.
    *turn.deadline = turn.deadline.map(|deadline| deadline.after(turn.now.since(aside.since)));
    turn.line(Line::Released(actor));
    turn.tell(Audience::Channel);
    turn.stay(state)
}

/// Whether there is no work that could end anybody.
fn is_over(state: &State) -> bool {
    match state {
        State::OutcomeUnknown(_, unsettled) => unsettled.late.is_some() || unsettled.settled,
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
