//! The states that wait for people: proposed, authorizing, confirming, approving.

use super::turn::{Next, Turn, ignore};
use super::{Declined, Ignored, Preview, State};
use crate::access::{Denial, Duty, Moment, RULE_REQUESTER, Route, Standing};
use crate::audit::Kind;
use crate::event::{Audience, Effect, Event, Line, Observation, Said};
use crate::fact::Missing;
use crate::guard::{self, Explanation, Guard, Question, Report};
use crate::id::{Label, Reason, RollbackId};
use crate::journal::Origin;
use crate::model::Actor;
use crate::proof::{
    Approved, Authorized, Confirmation, Confirmed, NoVote, NotConfirmed, Vote, Votes,
};
use crate::view::Proposer;
use crate::words;
use alloc::collections::BTreeSet;

/// A rollback is opened by a click.
pub(super) fn clicked(actor: Actor, turn: &mut Turn<'_>) -> Next {
    turn.effect(Effect::ObserveStanding(actor.id.clone()));
    turn.notes.requested_by = Some(actor.clone());
    turn.wait(State::Authorizing(actor), turn.opening.policy.limits.check_within)
}

/// A rollback is opened by a proposal.
pub(super) fn proposed_by(by: &Proposer, reason: &Reason, turn: &mut Turn<'_>) -> Next {
    let mut draft = turn.draft(Kind::Requested);
    draft.decision = Some(Label::new(alloc::format!("proposed by {}", by.id)));
    draft.explanation = Some(reason.as_str().into());
    turn.audit(draft);
    turn.line(Line::Proposed);
    turn.tell(Audience::Channel);
    turn.notes.explanation = words::proposed();
    turn.wait(State::Proposed, turn.opening.policy.limits.click_within)
}

pub(super) fn proposed(event: Event, turn: &mut Turn<'_>) -> Next {
    match event {
        Event::Clicked(actor) => clicked(actor, turn),
        Event::WithdrawalGiven(said) => withdraw(*said, turn)
            .unwrap_or_else(|(actor, why)| turn.decline(State::Proposed, &actor, why)),
        Event::DeadlineReached => expire("clicked", turn.opening.policy.limits.click_within, turn),
        Event::StandingObserved(_)
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
        | Event::OutcomeObserved(_)
        | Event::Settled(_)
        | Event::PutAside(_)
        | Event::Released(_) => ignore(State::Proposed, Ignored::OutOfPlace),
    }
}

pub(super) fn authorizing(actor: Actor, event: Event, turn: &mut Turn<'_>) -> Next {
    match event {
        Event::StandingObserved(standing) if !standing.is_about_another(&actor.id) => {
            authorize(actor, &standing, turn)
        }
        Event::DeadlineReached => {
            let standing = Standing::unknown("the directory did not answer in time");
            authorize(actor, &standing, turn)
        }
        Event::WithdrawalGiven(said) if said.actor.is(&actor) => step_back(&actor, turn),
        Event::StandingObserved(_)
        | Event::WithdrawalGiven(_)
        | Event::Clicked(_)
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
        | Event::OutcomeObserved(_)
        | Event::Settled(_)
        | Event::PutAside(_)
        | Event::Released(_) => ignore(State::Authorizing(actor), Ignored::OutOfPlace),
    }
}

fn authorize(actor: Actor, standing: &Standing, turn: &mut Turn<'_>) -> Next {
    let opening = turn.opening;
    let checked =
        Authorized::check(&opening.policy, &opening.id, &opening.plan, actor, standing, turn.now);
    match checked {
        Ok(authorized) => {
            let mut draft = turn.draft(Kind::Requested).by(authorized.actor());
            draft.decision = Some(words::decision(authorized.rule().as_str(), None));
            turn.audit(draft);
            turn.notes.requested_by = Some(authorized.actor().clone());
            turn.notes.rule = Some(authorized.rule().clone());
            turn.notes.break_glass = authorized.route() == Route::BreakGlass;
            turn.notes.explanation = "the guards are being read".into();
            turn.effect(Effect::GatherFacts);
            let within = opening.policy.limits.confirm_within;
            turn.wait(State::Confirming(authorized, Preview::Reading), within)
        }
        Err((actor, denial, rule)) => turn_away(&actor, &denial, rule, turn),
    }
}

/// A denied click, or confirmation, ends its own rollback; a proposal waits on for somebody who may.
fn turn_away(actor: &Actor, denial: &Denial, rule: Label, turn: &mut Turn<'_>) -> Next {
    let text = turn.deny(actor, Duty::Request, denial, rule.as_str());
    match turn.opening.origin {
        Origin::Proposal { .. } => back_to_proposed(turn),
        Origin::Click(_) => {
            turn.notes.rule = Some(rule);
            turn.end(State::Denied, text)
        }
    }
}

fn back_to_proposed(turn: &mut Turn<'_>) -> Next {
    turn.notes.requested_by = None;
    turn.notes.rule = None;
    turn.notes.break_glass = false;
    turn.notes.report = None;
    turn.notes.explanation = words::proposed();
    let opened = turn.opening.at;
    let (state, disposition) = turn.wait(State::Proposed, turn.opening.policy.limits.click_within);
    *turn.deadline = Some(opened.after(turn.opening.policy.limits.click_within));
    (state, disposition)
}

pub(super) fn confirming(
    authorized: Authorized,
    preview: Preview,
    event: Event,
    turn: &mut Turn<'_>,
) -> Next {
    match (event, preview) {
        (Event::FactsObserved(observation), Preview::Reading) => {
            show(authorized, &observation, turn)
        }
        (Event::ConfirmationGiven(given), Preview::Shown) => confirm(authorized, *given, turn),
        (Event::SlotTaken(holder), Preview::Shown) => taken(&authorized, &holder, turn),
        (Event::WithdrawalGiven(said), _) if said.actor.is(authorized.actor()) => {
            step_back(authorized.actor(), turn)
        }
        (Event::DeadlineReached, _) => match turn.opening.origin {
            Origin::Proposal { .. } => back_to_proposed(turn),
            Origin::Click(_) => {
                expire("confirmed", turn.opening.policy.limits.confirm_within, turn)
            }
        },
        (
            Event::FactsObserved(_)
            | Event::ConfirmationGiven(_)
            | Event::SlotTaken(_)
            | Event::WithdrawalGiven(_)
            | Event::Clicked(_)
            | Event::StandingObserved(_)
            | Event::ApprovalGiven(_)
            | Event::RejectionGiven(_)
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
            | Event::Released(_),
            Preview::Reading | Preview::Shown,
        ) => ignore(State::Confirming(authorized, preview), Ignored::OutOfPlace),
    }
}

fn show(authorized: Authorized, observation: &Observation, turn: &mut Turn<'_>) -> Next {
    let opening = turn.opening;
    let mut question = Question::new(&opening.plan, &opening.policy, turn.now);
    question.asking = Some(&opening.id);
    question.rules = opening.rules;
    let report = guard::evaluate(&question, &observation.facts);
    turn.note_preview(&observation.facts);
    if !report.can_be_confirmed() {
        return refuse(report, authorized.actor(), turn);
    }
    turn.notes.report = Some(report);
    turn.notes.explanation = "waiting for the confirmation".into();
    turn.stay(State::Confirming(authorized, Preview::Shown))
}

fn confirm(authorized: Authorized, given: Confirmation, turn: &mut Turn<'_>) -> Next {
    let actor = given.actor.clone();
    if authorized.actor().is(&actor)
        && let Some(open) = not_acknowledged(turn.notes.report.as_ref(), &given)
    {
        let state = State::Confirming(authorized, Preview::Shown);
        return turn.decline(state, &actor, Declined::NotAcknowledged(open));
    }
    match Confirmed::check(&turn.opening.policy, authorized, given, turn.now) {
        Ok(confirmed) => {
            turn.notes.reason = Some(confirmed.reason().clone());
            turn.notes.acknowledged = confirmed.acknowledged().iter().cloned().collect();
            let (route, rule) = confirmed.by();
            turn.notes.break_glass = route == Route::BreakGlass;
            turn.notes.rule = Some(rule.clone());
            let mut draft = turn.draft(Kind::Confirmed);
            draft.guards = turn.notes.report.as_ref().map(Report::views).unwrap_or_default();
            draft.acknowledged.clone_from(&turn.notes.acknowledged);
            turn.acted(draft, &actor, Duty::Request, (route, rule.as_str()));
            turn.line(Line::Confirmed);
            approve(confirmed, Votes::new(), turn)
        }
        Err(NotConfirmed::Somebody(authorized)) => {
            let state = State::Confirming(authorized, Preview::Shown);
            turn.decline(state, &actor, Declined::NotTheRequester)
        }
        Err(NotConfirmed::Denied(denial, rule)) => turn_away(&actor, &denial, rule, turn),
        Err(NotConfirmed::Stale(report)) => refuse(report, &actor, turn),
    }
}

/// A warning that was shown and that the confirmation does not name.
fn not_acknowledged(shown: Option<&Report>, given: &Confirmation) -> Option<Label> {
    let mut ids = shown?.warnings().map(|warning| &warning.id);
    ids.find(|id| !given.acknowledged.contains(*id)).cloned()
}

fn taken(authorized: &Authorized, holder: &RollbackId, turn: &mut Turn<'_>) -> Next {
    let explanation = Explanation::new(
        alloc::format!("rollback `{holder}` of {} was confirmed first", turn.opening.plan.key()),
        "follow that one in its thread",
    );
    refuse(Report::blocked(Guard::InFlight, explanation), authorized.actor(), turn)
}

/// A guard said no before the confirmation: only whoever clicked needs to know.
fn refuse(report: Report, actor: &Actor, turn: &mut Turn<'_>) -> Next {
    let text = words::refused(&turn.opening.plan, &report, &BTreeSet::new());
    turn.notes.report = Some(report);
    turn.audit_report(Kind::Refused, &text);
    turn.privately(&actor.id, text.clone());
    turn.tell(Audience::Channel);
    turn.end(State::Refused, text)
}

/// Counts the votes and goes on when there are enough.
fn approve(confirmed: Confirmed, votes: Votes, turn: &mut Turn<'_>) -> Next {
    turn.tell_approvers();
    turn.tell(Audience::Channel);
    match Approved::check(&turn.opening.policy, confirmed, votes) {
        Ok(approved) => {
            turn.notes.explanation = "the guards are read once more".into();
            turn.effect(Effect::GatherFacts);
            turn.wait(State::Checking(approved), turn.opening.policy.limits.check_within)
        }
        Err((confirmed, votes)) => {
            turn.notes.explanation = "waiting for approval".into();
            let first = votes.is_empty();
            let state = State::Approving(confirmed, votes);
            if first {
                turn.wait(state, turn.opening.policy.limits.approve_within)
            } else {
                turn.stay(state)
            }
        }
    }
}

pub(super) fn approving(
    confirmed: Confirmed,
    votes: Votes,
    event: Event,
    turn: &mut Turn<'_>,
) -> Next {
    match event {
        Event::ApprovalGiven(said) => vote(confirmed, votes, *said, turn),
        Event::RejectionGiven(said) => reject(confirmed, votes, *said, turn),
        Event::WithdrawalGiven(said) => withdraw_confirmed(*said, confirmed.actor(), turn)
            .unwrap_or_else(|(actor, why)| {
                turn.decline(State::Approving(confirmed, votes), &actor, why)
            }),
        Event::DeadlineReached => {
            expire("approved", turn.opening.policy.limits.approve_within, turn)
        }
        Event::Clicked(_)
        | Event::StandingObserved(_)
        | Event::FactsObserved(_)
        | Event::ConfirmationGiven(_)
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
        | Event::Released(_) => ignore(State::Approving(confirmed, votes), Ignored::OutOfPlace),
    }
}

fn vote(confirmed: Confirmed, mut votes: Votes, said: Said, turn: &mut Turn<'_>) -> Next {
    let Said { actor, standing } = said;
    let policy = &turn.opening.policy;
    match Vote::check(policy, &confirmed, actor, &standing, turn.now) {
        Ok(vote) => {
            let (actor, apart) = (vote.actor().clone(), vote.apart());
            let (route, rule) = vote.by();
            let rule = rule.clone();
            if !vote.count(&mut votes) {
                return ignore(State::Approving(confirmed, votes), Ignored::Again);
            }
            let mut draft = turn.draft(Kind::Approved);
            draft.decision = Some(words::approval(rule.as_str(), apart));
            turn.acted(draft, &actor, Duty::Approve, (route, rule.as_str()));
            turn.notes.approved_by.push(actor.clone());
            turn.line(Line::Approved(actor));
            approve(confirmed, votes, turn)
        }
        Err((actor, why)) => turn.decline(State::Approving(confirmed, votes), &actor, no_vote(why)),
    }
}

fn reject(confirmed: Confirmed, votes: Votes, said: Said, turn: &mut Turn<'_>) -> Next {
    let Said { actor, standing } = said;
    let policy = &turn.opening.policy;
    match Vote::check(policy, &confirmed, actor, &standing, turn.now) {
        Ok(vote) => {
            let draft = turn.draft(Kind::Rejected);
            let (route, rule) = vote.by();
            turn.acted(draft, vote.actor(), Duty::Approve, (route, rule.as_str()));
            turn.line(Line::Rejected(vote.actor().clone()));
            stopped(words::withdrawn_before(), turn)
        }
        Err((actor, why)) => turn.decline(State::Approving(confirmed, votes), &actor, no_vote(why)),
    }
}

fn no_vote(why: NoVote) -> Declined {
    match why {
        NoVote::Own | NoVote::Again => Declined::OwnApproval,
        NoVote::Denied(denial, rule) => Declined::NotEntitled { duty: Duty::Approve, denial, rule },
    }
}

/// The one who asked closes the modal, or cancels before anything was confirmed.
fn step_back(actor: &Actor, turn: &mut Turn<'_>) -> Next {
    let draft = turn.draft(Kind::Cancelled);
    turn.acted(draft, actor, Duty::Withdraw, (Route::Ownership, RULE_REQUESTER));
    match turn.opening.origin {
        Origin::Proposal { .. } => back_to_proposed(turn),
        Origin::Click(_) => turn.end(State::Withdrawn, words::withdrawn_before()),
    }
}

/// Stops a rollback before its order, if whoever asks may. The requester always may.
pub(super) fn withdraw_confirmed(
    said: Said,
    requester: &Actor,
    turn: &mut Turn<'_>,
) -> Result<Next, (Actor, Declined)> {
    if said.actor.is(requester) {
        return Ok(stop(&said.actor, (Route::Ownership, RULE_REQUESTER), turn));
    }
    withdraw(said, turn)
}

fn withdraw(said: Said, turn: &mut Turn<'_>) -> Result<Next, (Actor, Declined)> {
    let Said { actor, standing } = said;
    match may_withdraw(&actor, &standing, turn) {
        Ok((route, rule)) => Ok(stop(&actor, (route, rule.as_str()), turn)),
        Err(why) => Err((actor, why)),
    }
}

/// Whether somebody may stop the rollback: by which way, and by which rule.
pub(super) fn may_withdraw(
    actor: &Actor,
    standing: &Standing,
    turn: &Turn<'_>,
) -> Result<(Route, Label), Declined> {
    let policy = &turn.opening.policy;
    let moment = Moment::new(turn.now, policy.limits.fact_age_max);
    let decision = policy.access.decide(Duty::Withdraw, actor, standing, moment);
    let rule = Label::new(decision.rule);
    match decision.verdict {
        Ok(route) => Ok((route, rule)),
        Err(denial) => Err(Declined::NotEntitled { duty: Duty::Withdraw, denial, rule }),
    }
}

fn stop(actor: &Actor, by: (Route, &str), turn: &mut Turn<'_>) -> Next {
    let draft = turn.draft(Kind::Cancelled);
    turn.acted(draft, actor, Duty::Withdraw, by);
    stopped(words::withdrawn_before(), turn)
}

fn stopped(text: alloc::string::String, turn: &mut Turn<'_>) -> Next {
    let next = turn.end(State::Withdrawn, text);
    turn.line(Line::Ended);
    turn.tell_approvers();
    turn.tell(Audience::Channel);
    next
}

fn expire(what: &str, within: core::time::Duration, turn: &mut Turn<'_>) -> Next {
    let text = words::expired(what, within);
    let mut draft = turn.draft(Kind::Expired);
    draft.explanation = Some(text.clone());
    turn.audit(draft);
    if let Some(actor) = turn.notes.requested_by.clone() {
        turn.privately(&actor.id, text.clone());
    }
    let confirmed = turn.notes.reason.is_some();
    let next = turn.end(State::Expired, text);
    if confirmed {
        turn.line(Line::Ended);
        turn.tell_approvers();
    }
    turn.tell(Audience::Channel);
    next
}

/// Why a fact that was asked for in time is missing.
pub(super) fn not_in_time() -> Missing {
    Missing::SourceFailed("the sources did not answer in time".into())
}
