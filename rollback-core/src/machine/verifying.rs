//! The state after the CD system's last word: checks what is live.

use super::executing::end;
use super::turn::{Next, Turn, ignore};
use super::{Declined, Found, Ignored, State, Unsuccessful, Verifying};
use crate::audit::Kind;
use crate::event::{Audience, Effect, Event, Health, Receipt, Sighting};
use crate::fact::Missing;
use crate::model::Plan;
use crate::observed::Live;
use crate::presence::Presence;
use crate::proof::{OrderRef, Recorded};
use crate::words;
use alloc::string::{String, ToString};

/// The CD system says that it is done: checks the result.
pub(super) fn begin(recorded: Recorded, receipt: Receipt, turn: &mut Turn<'_>) -> Next {
    turn.notes.explanation = words::looked_at_after_success();
    turn.tell(Audience::Channel);
    turn.effect(Effect::Verify(OrderRef::of(&recorded), receipt.clone(), turn.now));
    let seen = words::not_looked_at();
    let verifying =
        Verifying { receipt, since: turn.now, good_since: None, seen, unsuccessful: None };
    turn.wait(State::Verifying(recorded, verifying), turn.opening.policy.limits.verify_within)
}

/// The CD system says that it failed or was cancelled: before that is the end, checks what is live, for
/// a short time.
pub(super) fn after_failure(
    recorded: Recorded,
    receipt: Receipt,
    said: Unsuccessful,
    turn: &mut Turn<'_>,
) -> Next {
    turn.notes.explanation = words::looked_at_after(&said);
    turn.tell(Audience::Channel);
    turn.effect(Effect::Verify(OrderRef::of(&recorded), receipt.clone(), turn.now));
    let seen = words::not_looked_at();
    let unsuccessful = Some((said, Found::Unreadable(seen.clone())));
    let verifying = Verifying { receipt, since: turn.now, good_since: None, seen, unsuccessful };
    let limits = turn.opening.policy.limits;
    turn.wait(State::Verifying(recorded, verifying), limits.verify_within.min(limits.check_within))
}

pub(super) fn verifying(
    recorded: Recorded,
    verifying: Verifying,
    event: Event,
    turn: &mut Turn<'_>,
) -> Next {
    match event {
        Event::OutcomeObserved(sighting) => match verifying.unsuccessful.clone() {
            None => look(recorded, verifying, &sighting, turn),
            Some((said, _)) => look_at_what_is_left(recorded, verifying, said, &sighting, turn),
        },
        Event::DeadlineReached => {
            if let Some((said, found)) = &verifying.unsuccessful {
                return unsuccessful(said, found, turn);
            }
            let within = turn.opening.policy.limits.verify_within;
            let text = words::not_verified(&turn.opening.plan, &verifying.seen, within);
            end(State::NotVerified, Kind::NotVerified, text, turn)
        }
        Event::WithdrawalGiven(said) => {
            turn.decline(State::Verifying(recorded, verifying), &said.actor, Declined::TooLate)
        }
        Event::Clicked(_)
        | Event::StandingObserved(_)
        | Event::FactsObserved(_)
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
        | Event::Settled(_)
        | Event::PutAside(_)
        | Event::Released(_) => ignore(State::Verifying(recorded, verifying), Ignored::OutOfPlace),
    }
}

/// The effect beats the acknowledgement: only the target seen live and healthy, for as long as the
/// policy asks, is a success.
fn look(
    recorded: Recorded,
    mut verifying: Verifying,
    sighting: &Sighting,
    turn: &mut Turn<'_>,
) -> Next {
    let limits = turn.opening.policy.limits;
    let plan = &turn.opening.plan;
    let seen = match sighting.live.within(turn.now, limits.fact_age_max) {
        Err(missing) => Err(missing.to_string()),
        Ok(live) => match &live.revision {
            Some(revision)
                if revision.revision != plan.to().revision
                    && revision.revision != plan.from().revision =>
            {
                let text = words::overtaken(plan, revision);
                return end(State::NotVerified, Kind::NotVerified, text, turn);
            }
            Some(revision)
                if revision.revision == plan.to().revision && live.in_progress.is_nothing() =>
            {
                healthy(sighting, turn)
            }
            Some(_) | None => Err(words::seen_live(live)),
        },
    };
    match seen {
        Ok(()) => {
            // By when it was seen, not by when that was told: one look told twice is one look.
            let seen_at = sighting.live.observed_at().min(sighting.health.observed_at());
            let seen_at = seen_at.unwrap_or(turn.now).min(turn.now);
            let again = verifying.good_since.is_some();
            let since = *verifying.good_since.get_or_insert(seen_at);
            if seen_at.since(since) >= limits.settle {
                return end(State::Succeeded, Kind::Succeeded, words::succeeded(plan), turn);
            }
            verifying.seen = "it was good, for too short a time".into();
            let state = State::Verifying(recorded, verifying);
            if again { ignore(state, Ignored::Again) } else { turn.stay(state) }
        }
        Err(seen) => {
            let again = verifying.good_since.is_none() && verifying.seen == seen;
            verifying.good_since = None;
            verifying.seen = seen;
            let state = State::Verifying(recorded, verifying);
            if again { ignore(state, Ignored::Again) } else { turn.stay(state) }
        }
    }
}

fn healthy(sighting: &Sighting, turn: &Turn<'_>) -> Result<(), String> {
    match sighting.health.within(turn.now, turn.opening.policy.limits.fact_age_max) {
        Ok(Health::Healthy) => Ok(()),
        Ok(Health::Unhealthy(what)) => Err(alloc::format!("it is not healthy: {what}")),
        Err(missing) => Err(alloc::format!("its health is not known: {missing}")),
    }
}

impl Found {
    fn of(plan: &Plan, live: Result<&Live, Missing>) -> Self {
        let live = match live {
            Err(missing) => return Self::Unreadable(missing.to_string()),
            Ok(live) => live,
        };
        if let Presence::CannotTell(why) = &live.in_progress {
            return Self::Unreadable(why.clone());
        }
        match &live.revision {
            Some(revision) if !live.in_progress.is_nothing() => {
                Self::HalfWay(words::live_and_busy(revision))
            }
            Some(revision) if revision.revision == plan.to().revision => Self::Target,
            Some(revision) if revision.revision == plan.from().revision => Self::Origin,
            Some(revision) => Self::Other(revision.clone()),
            None => Self::HalfWay("nothing is live".into()),
        }
    }

    /// Whether there is nothing to wait for.
    const fn is_certain(&self) -> bool {
        match self {
            Self::Target | Self::Origin | Self::Other(_) => true,
            Self::HalfWay(_) | Self::Unreadable(_) => false,
        }
    }
}

/// What is live after a failure counts once it has been so for as long as a success would have to be.
fn look_at_what_is_left(
    recorded: Recorded,
    mut verifying: Verifying,
    said: Unsuccessful,
    sighting: &Sighting,
    turn: &mut Turn<'_>,
) -> Next {
    let limits = turn.opening.policy.limits;
    let found = Found::of(&turn.opening.plan, sighting.live.within(turn.now, limits.fact_age_max));
    let known = verifying.unsuccessful.as_ref().is_some_and(|(_, before)| *before == found);
    let seen_at = sighting.live.observed_at().unwrap_or(turn.now).min(turn.now);
    let since = verifying.good_since.filter(|_| known).unwrap_or(seen_at);
    if found.is_certain() && seen_at.since(since) >= limits.settle {
        return unsuccessful(&said, &found, turn);
    }
    verifying.good_since = found.is_certain().then_some(since);
    verifying.unsuccessful = Some((said, found));
    let state = State::Verifying(recorded, verifying);
    if known { ignore(state, Ignored::Again) } else { turn.stay(state) }
}

/// The end says what the CD system said, and what was seen live.
fn unsuccessful(said: &Unsuccessful, found: &Found, turn: &mut Turn<'_>) -> Next {
    let text = words::unsuccessful(&turn.opening.plan, said, found);
    match said {
        Unsuccessful::Failed(_) => end(State::Failed, Kind::Failed, text, turn),
        Unsuccessful::Cancelled => end(State::Withdrawn, Kind::Cancelled, text, turn),
    }
}
