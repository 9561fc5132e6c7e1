//! The states after the order: triggering and running.

use super::asking::may_withdraw;
use super::checking::refuse_with;
use super::turn::{Next, Turn, ignore};
use super::{
    Cancelling, Declined, Ignored, Running, Sending, State, Unsuccessful, doubt, ended, verifying,
};
use crate::access::{Duty, RULE_REQUESTER, Route};
use crate::audit::Kind;
use crate::event::{Audience, Effect, Event, Line, Phase, Progress, Receipt, Said};
use crate::fact::Fact;
use crate::journal::Rules;
use crate::observed::Acceptance;
use crate::proof::{OrderRef, Recorded};
use crate::time::Timestamp;
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
            refuse_with(words::refused_because(plan, &why, "fix that, then click again"), turn)
        }
        (Event::TriggerConflicted(conflict), Sending::Once) => {
            turn.notes.ordered = false;
            let text = words::conflict(&turn.opening.plan, conflict.live.as_ref(), &conflict.why);
            refuse_with(text, turn)
        }
        (Event::TriggerInDoubt(why), Sending::Once) => doubt::begin(recorded, why, turn),
        (Event::DeadlineReached, Sending::Once) => {
            doubt::begin(recorded, "the CD system did not answer in time".into(), turn)
        }
        (Event::OrderAbsent, Sending::InDoubt(doubt)) => {
            turn.notes.ordered = false;
            let text = words::not_executed(&turn.opening.plan, &doubt.why);
            end(State::Failed, Kind::Failed, text, turn)
        }
        (Event::DoubtRemained(why), Sending::InDoubt(doubt)) => {
            doubt::remained(recorded, doubt, why, turn)
        }
        (Event::DeadlineReached, Sending::InDoubt(doubt)) => doubt::lasted(recorded, doubt, turn),
        (Event::Settled(settlement), Sending::InDoubt(doubt)) if doubt.overdue => {
            ended::settle(State::Triggering(recorded, Sending::InDoubt(doubt)), *settlement, turn)
        }
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
            | Event::ExecutionUnseen(_)
            | Event::CancellationAccepted
            | Event::CancellationRefused
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
        | Event::ExecutionUnseen(_)
        | Event::CancellationAccepted
        | Event::CancellationRefused
        | Event::OutcomeObserved(_)
        | Event::Settled(_)
        | Event::PutAside(_)
        | Event::Released(_) => ignore(State::Triggering(recorded, sending), Ignored::OutOfPlace),
    }
}

fn accepted(recorded: Recorded, receipt: Receipt, turn: &mut Turn<'_>) -> Next {
    turn.notes.receipt = Some(receipt.clone());
    turn.notes.explanation = words::carried_out();
    let mut draft = turn.draft(Kind::Phase);
    draft.explanation = Some("the CD system accepted the order".into());
    turn.audit(draft);
    turn.line(Line::Triggered);
    turn.tell(Audience::Channel);
    turn.tell(Audience::Deployer);
    turn.effect(Effect::Observe(OrderRef::of(&recorded), receipt.clone()));
    let within = turn.opening.policy.limits.run_within;
    let running = Running {
        receipt,
        cancelling: Cancelling::No,
        due: turn.now.after(within),
        overdue: false,
        silent_since: None,
    };
    turn.wait(State::Running(recorded, running), within)
}

/// An end after the order: in the audit record, the thread, the channel, and to the deployer.
pub(super) fn end(state: State, kind: Kind, text: String, turn: &mut Turn<'_>) -> Next {
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
        Event::ExecutionUnseen(why) => fell_silent(recorded, running, &why, turn),
        Event::WithdrawalGiven(said) => cancel(recorded, running, *said, turn),
        Event::CancellationAccepted => cancel_accepted(recorded, running, turn),
        Event::CancellationRefused => cancel_refused(recorded, running, turn),
        Event::DeadlineReached => ran_out(recorded, running, turn),
        Event::Settled(settlement) if running.overdue => {
            ended::settle(State::Running(recorded, running), *settlement, turn)
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
    mut running: Running,
    progress: &Progress,
    turn: &mut Turn<'_>,
) -> Next {
    let last = turn.notes.progress.as_ref();
    let again = last == Some(progress);
    let waited = last.and_then(|last| last.waits_for.as_ref());
    // Whether it waits for somebody is told in any phase.
    let same_wait = progress.waits_for.as_ref() == waited;
    // A look that was overtaken by a later one.
    let overtaken = same_wait && last.is_some_and(|last| progress.phase < last.phase);
    let was_silent = running.silent_since.take().is_some();
    if was_silent {
        *turn.deadline = running.deadline(turn);
        turn.notes.explanation = words::running(turn.opening, running.overdue);
    }
    if (again || overtaken) && was_silent {
        turn.tell(Audience::Channel);
        return turn.stay(State::Running(recorded, running));
    }
    if again {
        return ignore(State::Running(recorded, running), Ignored::Again);
    }
    if overtaken {
        return ignore(State::Running(recorded, running), Ignored::OutOfPlace);
    }
    let same_phase = last.is_some_and(|last| last.phase == progress.phase);
    let news = !same_phase || !same_wait;
    turn.notes.progress = Some(progress.clone());
    if news {
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
        Phase::Complete => verifying::begin(recorded, running.receipt, turn),
        Phase::Failed if turn.opening.rules >= Rules::V2 => {
            let said = Unsuccessful::Failed(progress.message.clone());
            verifying::after_failure(recorded, running.receipt, said, turn)
        }
        Phase::Cancelled if turn.opening.rules >= Rules::V2 => {
            verifying::after_failure(recorded, running.receipt, Unsuccessful::Cancelled, turn)
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

impl Running {
    /// When its time is up. What the CD system is silent about has its own limit, and never less
    /// time than it would have had; what is known to run late has none.
    fn deadline(&self, turn: &Turn<'_>) -> Option<Timestamp> {
        let due = (!self.overdue).then_some(self.due);
        let within = turn.opening.policy.limits.doubt_within;
        match self.silent_since {
            Some(since) => Some(since.after(within)).max(due),
            None => due,
        }
    }
}

/// The CD system does not answer any more about what it carries out.
fn fell_silent(recorded: Recorded, mut running: Running, why: &str, turn: &mut Turn<'_>) -> Next {
    if turn.opening.rules < Rules::V2 {
        return ignore(State::Running(recorded, running), Ignored::OutOfPlace);
    }
    if running.silent_since.is_some() {
        return ignore(State::Running(recorded, running), Ignored::Again);
    }
    running.silent_since = Some(turn.now);
    *turn.deadline = running.deadline(turn);
    turn.notes.explanation = words::silent(turn.opening, why);
    turn.tell(Audience::Channel);
    turn.stay(State::Running(recorded, running))
}

/// The time is up. While the CD system answers that it still carries it out, that is told, and it is
/// still followed; the outcome is unknown only where the CD system is silent.
fn ran_out(recorded: Recorded, mut running: Running, turn: &mut Turn<'_>) -> Next {
    let limits = turn.opening.policy.limits;
    if turn.opening.rules < Rules::V2 {
        let within = crate::time::in_words(limits.run_within);
        let why = alloc::format!("the CD system has not said it is complete within {within}");
        return doubt::unknown(recorded, None, &why, turn);
    }
    if let Some(since) = running.silent_since {
        let why = words::silent_since(since, turn.now);
        return doubt::unknown(recorded, Some(running.receipt), &why, turn);
    }
    if running.overdue {
        return ignore(State::Running(recorded, running), Ignored::Again);
    }
    running.overdue = true;
    doubt::overdue(words::running(turn.opening, true), turn);
    turn.stay(State::Running(recorded, running))
}

fn phase_words(progress: &Progress) -> String {
    let phase = match progress.phase {
        Phase::Started => "started",
        Phase::HealthChecking => "health checking",
        Phase::Complete => "complete",
        Phase::Failed => "failed",
        Phase::Cancelled => "cancelled",
    };
    let waits = progress.waits_for.as_ref().map(|waits| alloc::format!("waits for {}", waits.what));
    match (waits, &progress.message) {
        (Some(waits), Some(message)) => alloc::format!("{phase}: {waits}: {message}"),
        (Some(waits), None) => alloc::format!("{phase}: {waits}"),
        (None, Some(message)) => alloc::format!("{phase}: {message}"),
        (None, None) => phase.to_string(),
    }
}

fn cancel(recorded: Recorded, running: Running, said: Said, turn: &mut Turn<'_>) -> Next {
    let Said { actor, standing } = said;
    match running.cancelling {
        Cancelling::No if !turn.opening.backend.may_cancel() => {
            return turn.decline(State::Running(recorded, running), &actor, Declined::TooLate);
        }
        Cancelling::No => {}
        Cancelling::Asked(_) | Cancelling::Accepted => {
            return ignore(State::Running(recorded, running), Ignored::Again);
        }
        Cancelling::Refused => {
            return turn.decline(State::Running(recorded, running), &actor, Declined::TooLate);
        }
    }
    let requester = turn.notes.requested_by.as_ref().is_some_and(|asked| asked.is(&actor));
    let may = if requester {
        Ok((Route::Ownership, RULE_REQUESTER.into()))
    } else {
        may_withdraw(&actor, &standing, turn)
    };
    let (route, rule) = match may {
        Ok(by) => by,
        Err(why) => return turn.decline(State::Running(recorded, running), &actor, why),
    };
    let mut draft = turn.draft(Kind::Cancelled);
    draft.explanation = Some("asked the CD system to cancel".into());
    turn.acted(draft, &actor, Duty::Withdraw, (route, rule.as_str()));
    turn.line(Line::Cancelling(actor.clone()));
    turn.tell(Audience::Channel);
    turn.effect(Effect::Cancel(OrderRef::of(&recorded), running.receipt.clone()));
    turn.stay(State::Running(recorded, Running { cancelling: Cancelling::Asked(actor), ..running }))
}

fn cancel_accepted(recorded: Recorded, mut running: Running, turn: &mut Turn<'_>) -> Next {
    let Cancelling::Asked(_) = running.cancelling else {
        return ignore(State::Running(recorded, running), Ignored::OutOfPlace);
    };
    let mut draft = turn.draft(Kind::Phase);
    draft.explanation = Some(words::cancel_accepted());
    turn.audit(draft);
    turn.tell(Audience::Channel);
    running.cancelling = Cancelling::Accepted;
    turn.stay(State::Running(recorded, running))
}

/// Whoever pressed is told, and nobody is offered it again.
fn cancel_refused(recorded: Recorded, mut running: Running, turn: &mut Turn<'_>) -> Next {
    let Cancelling::Asked(actor) = running.cancelling.clone() else {
        return ignore(State::Running(recorded, running), Ignored::OutOfPlace);
    };
    let text = words::cancel_refused(&turn.opening.plan);
    let mut draft = turn.draft(Kind::Phase);
    draft.explanation = Some(text.clone());
    turn.audit(draft);
    turn.line(Line::NotCancelled);
    turn.tell(Audience::Channel);
    turn.privately(&actor.id, text);
    running.cancelling = Cancelling::Refused;
    turn.stay(State::Running(recorded, running))
}
