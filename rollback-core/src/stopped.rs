//! A rollback whose journal does not replay to the stored state. This version's rules differ from those
//! it was judged by, so nothing more is done: it keeps its service until a person releases it on the
//! version that opened it, or settles it. Nothing of this is written to the journal, which this version
//! might misread.

use crate::access::{Access, Duty, Moment, Route, Standing};
use crate::audit::{BackendEntry, Draft, Kind, Template};
use crate::event::{Audience, Effect, Line, Settlement};
use crate::id::{Label, RollbackId};
use crate::model::Actor;
use crate::store::Listed;
use crate::time::Timestamp;
use crate::view::{Cause, Purpose, PutAside, RollbackView, SettledBy, StateName};
use crate::words;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

/// What to store of a rollback that is stopped, or was and is settled: no event, only how it stands.
#[derive(Debug)]
#[must_use = "store it, or nothing is stopped"]
#[non_exhaustive]
pub struct Standstill {
    /// The rollback as it is shown from now on.
    pub view: RollbackView,
    /// Whether it holds its service.
    pub holds_service: bool,
    /// What to record.
    pub draft: Draft,
    /// Whom to tell.
    pub effects: Vec<Effect>,
}

/// Somebody may not do what they asked for. Nothing changes but the audit record.
#[derive(Debug)]
#[must_use = "store it: a denial is on record"]
#[non_exhaustive]
pub struct Denied {
    /// What to store.
    pub standstill: Standstill,
    /// What whoever asked is told.
    pub text: String,
}

/// Stops a rollback because of this difference. It holds what it held.
pub fn stop(listed: &Listed, why: &str, backend: &BackendEntry, at: Timestamp) -> Standstill {
    let mut view = listed.view.clone();
    view.explanation = words::stopped(&view.key, why, listed.was_ordered);
    view.put_aside = Some(PutAside::not_replayed(at));
    view.cancellable = false;
    let mut draft = draft(&view, Kind::PutAside, backend, at, "stopped");
    draft.explanation = Some(view.explanation.clone());
    let tell = [Audience::Thread(Line::PutAside), Audience::Channel, Audience::OnCall];
    Standstill {
        holds_service: listed.holds_service,
        effects: tell.into_iter().map(Effect::Tell).collect(),
        view,
        draft,
    }
}

/// Whether a rollback was stopped, and nobody has settled it.
#[must_use]
pub fn is_stopped(view: &RollbackView) -> bool {
    view.put_aside.is_some_and(|aside| aside.cause == Cause::Replay)
}

/// Whether the record says that a person has settled a rollback that was stopped.
#[must_use]
pub fn settles(record: &Draft) -> bool {
    record.operation_id.as_ref().is_some_and(|id| record.id == called(id, "settled"))
}

/// Whether the record is about a rollback that was stopped, and no step of its journal asks for it.
#[must_use]
pub fn is_beside_the_journal(record: &Draft) -> bool {
    let Some(id) = &record.operation_id else { return false };
    let denied = alloc::format!("{id}/denied/");
    settles(record) || record.id == called(id, "stopped") || record.id.as_str().starts_with(&denied)
}

/// Whether somebody may do this to a rollback that is stopped, by which way and rule.
///
/// # Errors
///
/// [`Denied`] where they may not, or where it cannot be found out.
pub fn allowed(
    listed: &Listed,
    (actor, standing): (&Actor, &Standing),
    duty: Duty,
    access: &Access,
    moment: Moment,
    backend: &BackendEntry,
) -> Result<(Route, Label), Box<Denied>> {
    let decision = access.decide(duty, actor, standing, moment);
    let denial = match decision.verdict {
        Ok(route) => return Ok((route, Label::new(decision.rule))),
        Err(denial) => denial,
    };
    let view = listed.view.clone();
    let text = words::denied(&view.key, duty, &denial, access);
    let what = alloc::format!("denied/{}/{}", moment.now.as_millis(), actor.id);
    let mut draft = draft(&view, Kind::Denied, backend, moment.now, &what).by(actor);
    draft.decision = Some(words::decision(decision.rule, Some(&denial)));
    draft.explanation = Some(text.clone());
    let holds_service = listed.holds_service;
    let standstill = Standstill { view, holds_service, draft, effects: Vec::new() };
    Err(Box::new(Denied { standstill, text }))
}

/// What a person found out about the order of a rollback that is stopped ends it. Where none was sent,
/// it is withdrawn.
///
/// # Errors
///
/// [`Denied`] where they may not, or where it cannot be found out.
pub fn settle(
    listed: &Listed,
    settlement: &Settlement,
    access: &Access,
    moment: Moment,
    backend: &BackendEntry,
) -> Result<Standstill, Box<Denied>> {
    let Settlement { actor, standing, outcome, finding } = settlement;
    let who = (actor, standing);
    let (route, rule) = allowed(listed, who, Duty::Settle, access, moment, backend)?;
    let mut view = listed.view.clone();
    view.state = match (listed.was_ordered, view.purpose) {
        (true, Purpose::Real) => StateName::OutcomeUnknown,
        (true | false, Purpose::Drill) | (false, Purpose::Real) => StateName::Withdrawn,
    };
    view.settled = view.state == StateName::OutcomeUnknown;
    view.explanation = words::settled(*outcome, finding);
    view.settlement = Some(SettledBy::new(settlement, moment.now));
    (view.put_aside, view.deadline) = (None, None);
    view.ended_at = view.ended_at.or(Some(moment.now));
    let mut draft = draft(&view, Kind::Settled, backend, moment.now, "settled").by(actor);
    draft.decision = Some(words::decision(rule.as_str(), None));
    draft.explanation = Some(words::found(*outcome, finding));
    let mut tell = alloc::vec![Audience::Thread(Line::Settled(actor.clone())), Audience::Channel];
    if route == Route::BreakGlass {
        tell.push(Audience::BreakGlass { by: actor.clone(), duty: Duty::Settle });
    }
    Ok(Standstill {
        view,
        holds_service: false,
        draft,
        effects: tell.into_iter().map(Effect::Tell).collect(),
    })
}

fn called(id: &RollbackId, what: &str) -> Label {
    Label::new(alloc::format!("{id}/{what}"))
}

fn draft(
    view: &RollbackView,
    kind: Kind,
    backend: &BackendEntry,
    at: Timestamp,
    what: &str,
) -> Draft {
    let template = Template {
        operation_id: &view.id,
        key: &view.key,
        from: &view.from,
        to: &view.to,
        deployer: view.deployer.as_ref(),
        backend,
        drill: view.purpose == Purpose::Drill,
    };
    let mut draft = template.draft(kind, at, called(&view.id, what));
    draft.reason.clone_from(&view.reason);
    draft.execution.clone_from(&view.execution);
    draft
}
