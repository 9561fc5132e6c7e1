//! The states after the order: triggering, running, verifying.

use super::asking::may_withdraw;
use super::checking::refuse_with;
use super::turn::{Next, Turn, ignore};
use super::{Declined, Ignored, Running, Sending, State, Unsettled, Verifying};
use crate::audit::Kind;
use crate::event::{
    Audience, Effect, Event, Health, Line, Phase, Progress, Receipt, Said, Sighting,
};
use crate::fact::Fact;
use crate::observed::Acceptance;
use crate::proof::{Order, Recorded};
use crate::view::Purpose;
use crate::words;
use alloc::string::{String, ToString};

pub(super) fn triggering(
    recorded: Recorded,
    sending: Sending,
    event: Event,
    turn: &mut Turn<'_>,
) -> Next {
    if turn.opening.purpose == Purpose::Drill {
        return rehearsing(recorded, sending, event, turn);
    }
    match (event, sending) {
        (Event::TriggerAccepted(receipt) | Event::OrderFound(receipt), _) => {
            accepted(recorded, receipt, turn)
        }
        (Event::TriggerRefused(why), Sending::Once) => {
            turn.notes.ordered = false;
            let plan = &turn.opening.plan;
            let why = alloc::format!("the CD system refused: {why}");
            refuse_with(words::refused_because(plan, &why, "mend that, then click again"), turn)
        }
        (Event::TriggerConflicted(conflict), Sending::Once) => {
            turn.notes.ordered = false;
            let text = words::conflict(&turn.opening.plan, conflict.live.as_ref(), &conflict.why);
            refuse_with(text, turn)
        }
        (Event::TriggerInDoubt(why), Sending::Once) => in_doubt(recorded, why, turn),
        (Event::DeadlineReached, Sending::Once) => {
            in_doubt(recorded, "the CD system did not answer in time".into(), turn)
        }
        (Event::OrderAbsent, Sending::InDoubt(why)) => {
            turn.notes.ordered = false;
            let text = words::not_executed(&turn.opening.plan, &why);
            end(State::Failed, Kind::Failed, text, turn)
        }
        (Event::DoubtRemained(why), Sending::InDoubt(doubt)) => {
            unknown(recorded, &alloc::format!("{doubt}; {why}"), turn)
        }
        (Event::DeadlineReached, Sending::InDoubt(doubt)) => unknown(
            recorded,
            &alloc::format!("{doubt}; reading it did not settle it in time"),
            turn,
        ),
        (Event::WithdrawalGiven(said), sending) => {
            turn.decline(State::Triggering(recorded, sending), &said.actor, Declined::TooLate)
        }
        (
            Event::TriggerRefused(_)
            | Event::TriggerConflicted(_)
            | Event::TriggerInDoubt(_)
            | Event::OrderAbsent
            | Event::DoubtRemained(_)
            | Event::Clicked(_)
            | Event::StandingObserved(_)
            | Event::FactsObserved(_)
            | Event::ConfirmationGiven(_)
            | Event::ApprovalGiven(_)
            | Event::RejectionGiven(_)
            | Event::SlotTaken(_)
            | Event::IntentRecorded
            | Event::IntentNotRecorded(_)
            | Event::Rehearsed(_)
            | Event::ProgressObserved(_)
            | Event::OutcomeObserved(_)
            | Event::Settled(_)
            | Event::PutAside(_)
            | Event::Released(_),
            sending,
        ) => ignore(State::Triggering(recorded, sending), Ignored::OutOfPlace),
    }
}

/// In a drill the CD system is asked, and nothing it says can lead to an order.
fn rehearsing(recorded: Recorded, sending: Sending, event: Event, turn: &mut Turn<'_>) -> Next {
    match event {
        Event::Rehearsed(Fact::Known { value: Acceptance::Accepted, .. }) => {
            end(State::Succeeded, Kind::Succeeded, words::rehearsed(&turn.opening.plan), turn)
        }
        Event::Rehearsed(Fact::Known { value: Acceptance::Rejected(why), .. }) => {
            end(State::Failed, Kind::Failed, words::rehearsal_failed(&why), turn)
        }
        Event::Rehearsed(Fact::Unknown { why }) => {
            end(State::Failed, Kind::Failed, words::rehearsal_unknown(&why), turn)
        }
        Event::DeadlineReached => {
            let text = words::rehearsal_unknown("it did not answer in time");
            end(State::Failed, Kind::Failed, text, turn)
        }
        Event::Clicked(_)
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
        | Event::OrderFound(_)
        | Event::OrderAbsent
        | Event::DoubtRemained(_)
        | Event::ProgressObserved(_)
        | Event::OutcomeObserved(_)
        | Event::Settled(_)
        | Event::PutAside(_)
        | Event::Released(_) => ignore(State::Triggering(recorded, sending), Ignored::OutOfPlace),
    }
}

fn accepted(recorded: Recorded, receipt: Receipt, turn: &mut Turn<'_>) -> Next {
    turn.notes.receipt = Some(receipt.clone());
    turn.notes.explanation = "the CD system carries it out".into();
    let mut draft = turn.draft(Kind::Phase);
    draft.explanation = Some("the CD system accepted the order".into());
    turn.audit(draft);
    turn.line(Line::Triggered);
    turn.tell(Audience::Channel);
    turn.tell(Audience::Deployer);
    turn.effect(Effect::Observe(Order::issue(&recorded), receipt.clone()));
    let running = Running { receipt, cancelling: false };
    turn.wait(State::Running(recorded, running), turn.opening.policy.limits.run_within)
}

fn in_doubt(recorded: Recorded, why: String, turn: &mut Turn<'_>) -> Next {
    turn.notes.explanation =
        alloc::format!("{why}; whether the CD system took the order is being found out");
    turn.tell(Audience::Channel);
    turn.effect(Effect::Reconcile(Order::issue(&recorded)));
    let within = turn.opening.policy.limits.check_within;
    turn.wait(State::Triggering(recorded, Sending::InDoubt(why)), within)
}

fn unknown(recorded: Recorded, why: &str, turn: &mut Turn<'_>) -> Next {
    let text = words::outcome_unknown(&turn.opening.plan, why);
    turn.effect(Effect::WatchForLateEffect(Order::issue(&recorded)));
    turn.tell(Audience::OnCall);
    let unsettled = Unsettled { late: None, settled: false };
    end(State::OutcomeUnknown(recorded, unsettled), Kind::OutcomeUnknown, text, turn)
}

/// An end after the order: in the audit record, the thread, the channel, and to the deployer.
fn end(state: State, kind: Kind, text: String, turn: &mut Turn<'_>) -> Next {
    turn.audit_report(kind, &text);
    let next = turn.end(state, text);
    turn.line(Line::Ended);
    turn.tell(Audience::Channel);
    turn.tell(Audience::Deployer);
    next
}

pub(super) fn running(
    recorded: Recorded,
    running: Running,
    event: Event,
    turn: &mut Turn<'_>,
) -> Next {
    match event {
        Event::ProgressObserved(progress) => progressed(recorded, running, &progress, turn),
        Event::WithdrawalGiven(said) => cancel(recorded, running, *said, turn),
        Event::DeadlineReached => {
            let within = turn.opening.policy.limits.run_within;
            let why = alloc::format!(
                "the CD system has not said it is complete within {}",
                crate::time::in_words(within)
            );
            unknown(recorded, &why, turn)
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
        | Event::OutcomeObserved(_)
        | Event::Settled(_)
        | Event::PutAside(_)
        | Event::Released(_) => ignore(State::Running(recorded, running), Ignored::OutOfPlace),
    }
}

fn progressed(
    recorded: Recorded,
    running: Running,
    progress: &Progress,
    turn: &mut Turn<'_>,
) -> Next {
    if turn.notes.progress.as_ref() == Some(progress) {
        return ignore(State::Running(recorded, running), Ignored::Again);
    }
    if turn.notes.progress.as_ref().is_some_and(|last| progress.phase < last.phase) {
        // A look that was overtaken by a later one.
        return ignore(State::Running(recorded, running), Ignored::OutOfPlace);
    }
    let same_phase = turn.notes.progress.as_ref().is_some_and(|last| last.phase == progress.phase);
    turn.notes.progress = Some(progress.clone());
    if !same_phase {
        let mut draft = turn.draft(Kind::Phase);
        draft.explanation = Some(phase_words(progress));
        turn.audit(draft);
        turn.line(Line::Phase(progress.clone()));
    }
    match progress.phase {
        Phase::Started | Phase::HealthChecking => {
            turn.tell(Audience::Channel);
            turn.stay(State::Running(recorded, running))
        }
        Phase::Complete => {
            turn.notes.explanation =
                "the CD system says it is done; the result is looked at".into();
            turn.tell(Audience::Channel);
            let receipt = running.receipt;
            turn.effect(Effect::Verify(Order::issue(&recorded), receipt.clone()));
            let seen = "it has not been looked at yet".into();
            let verifying = Verifying { receipt, good_since: None, seen };
            turn.wait(
                State::Verifying(recorded, verifying),
                turn.opening.policy.limits.verify_within,
            )
        }
        Phase::Failed => {
            let text = words::failed(&turn.opening.plan, progress.message.as_ref());
            end(State::Failed, Kind::Failed, text, turn)
        }
        Phase::Cancelled => {
            let text = words::withdrawn_running(&turn.opening.plan);
            end(State::Withdrawn, Kind::Cancelled, text, turn)
        }
    }
}

fn phase_words(progress: &Progress) -> String {
    let phase = match progress.phase {
        Phase::Started => "started",
        Phase::HealthChecking => "health checking",
        Phase::Complete => "complete",
        Phase::Failed => "failed",
        Phase::Cancelled => "cancelled",
    };
    match &progress.message {
        Some(message) => alloc::format!("{phase}: {message}"),
        None => phase.to_string(),
    }
}

fn cancel(recorded: Recorded, running: Running, said: Said, turn: &mut Turn<'_>) -> Next {
    let Said { actor, standing } = said;
    if running.cancelling {
        return ignore(State::Running(recorded, running), Ignored::Again);
    }
    let requester = turn.notes.requested_by.as_ref().is_some_and(|asked| asked.is(&actor));
    if !requester && let Err(why) = may_withdraw(&actor, &standing, turn) {
        return turn.decline(State::Running(recorded, running), &actor, why);
    }
    let mut draft = turn.draft(Kind::Cancelled).by(&actor);
    draft.explanation = Some("asked the CD system to cancel".into());
    turn.audit(draft);
    turn.line(Line::Cancelling(actor));
    turn.tell(Audience::Channel);
    turn.effect(Effect::Cancel(Order::issue(&recorded), running.receipt.clone()));
    turn.stay(State::Running(recorded, Running { cancelling: true, ..running }))
}

pub(super) fn verifying(
    recorded: Recorded,
    verifying: Verifying,
    event: Event,
    turn: &mut Turn<'_>,
) -> Next {
    match event {
        Event::OutcomeObserved(sighting) => look(recorded, verifying, &sighting, turn),
        Event::DeadlineReached => {
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
                if revision.revision == plan.to().revision && live.in_progress.is_none() =>
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
