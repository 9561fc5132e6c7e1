//! Turns what a step wants told into messages for the outbox. A message is a projection of state:
//! it says how things stand, so that the latest one replaces every earlier one.

use crate::engine::Inner;
use rollback_core::audit::Head;
use rollback_core::notice::{DeployCard, Notice};
use rollback_core::ports::{Query, Queued, StoreError};
use rollback_core::{
    Audience, ChannelId, DeployId, Effect, Label, Line, Rollback, RollbackId, RollbackView,
    ServiceKey,
};

/// How many rollbacks of a service are looked through for the one that a deploy message shows.
const LOOK_BACK_MAX: usize = 50;

/// How many records of a rollback are looked through for its last: more than its journal has room
/// for at one record a step.
const RECORDS_MAX: usize = 10_000;

/// The key of a deploy message.
pub(crate) fn deploy_key(id: &DeployId) -> Label {
    Label::new(format!("deploy:{id}"))
}

/// The key of an approval request.
pub(crate) fn approval_key(id: &RollbackId) -> Label {
    Label::new(format!("approval:{id}"))
}

/// The messages that a step's effects ask for, for every notifier.
pub(crate) async fn notices(
    inner: &Inner,
    rollback: &Rollback,
    effects: &[Effect],
) -> Result<Vec<Queued>, StoreError> {
    let view = rollback.view();
    let Some(service) = inner.catalog.services.get(&view.key) else {
        tracing::warn!(rollback = %view.id, key = %view.key, "not configured any more: nobody is told");
        return Ok(Vec::new());
    };
    let mut told = Vec::new();
    for (place, effect) in effects.iter().enumerate() {
        let Effect::Tell(audience) = effect else { continue };
        if let Some((key, notice)) = message(inner, &view, audience, place).await? {
            told.push((key, notice));
        }
    }
    let in_thread = view.deploy.as_ref().map(deploy_key);
    Ok(told
        .into_iter()
        .flat_map(|(key, notice)| {
            address(inner, &key, &notice, &service.channel, in_thread.as_ref())
        })
        .collect())
}

/// One notice for each notifier, in the thread of the deploy message where it belongs there.
pub(crate) fn address(
    inner: &Inner,
    key: &Label,
    notice: &Notice,
    channel: &ChannelId,
    in_thread: Option<&Label>,
) -> Vec<Queued> {
    let threaded = match notice {
        Notice::Line { .. } | Notice::Approval(_) => in_thread,
        Notice::Deploy(_)
        | Notice::Private { .. }
        | Notice::Deployer { .. }
        | Notice::OnCall(_) => None,
    };
    let queued = |name: &'static str| {
        let queued = Queued::new(name, key.clone(), notice.clone(), channel.clone());
        match threaded {
            Some(thread) => queued.in_thread_of(thread.clone()),
            None => queued,
        }
    };
    inner.notifiers.iter().map(|notifier| queued(notifier.name())).collect()
}

async fn message(
    inner: &Inner,
    view: &RollbackView,
    audience: &Audience,
    place: usize,
) -> Result<Option<(Label, Notice)>, StoreError> {
    let (id, steps) = (&view.id, view.steps);
    let boxed = || Box::new(view.clone());
    Ok(Some(match audience {
        Audience::Channel => {
            let Some(deploy) = &view.deploy else { return Ok(None) };
            let Some(card) = inner.store.deploy(deploy).await? else { return Ok(None) };
            let shown = prominent(inner, &view.key, deploy, Some(view)).await?;
            (deploy_key(deploy), Notice::Deploy(Box::new(with_rollback(card, shown))))
        }
        Audience::Thread(line) => (
            Label::new(format!("line:{id}:{steps}:{place}")),
            Notice::Line { view: boxed(), line: line.clone() },
        ),
        Audience::Approvers => (approval_key(id), Notice::Approval(boxed())),
        Audience::Privately { to, text } => (
            Label::new(format!("private:{id}:{steps}:{place}")),
            Notice::Private { to: to.clone(), text: text.clone(), view: boxed() },
        ),
        Audience::Deployer => {
            let deployer = view.deployer.as_ref().and_then(|d| d.slack_user_id.clone());
            let Some(to) = deployer else { return Ok(None) };
            (Label::new(format!("deployer:{id}")), Notice::Deployer { to, view: boxed() })
        }
        Audience::OnCall => (Label::new(format!("oncall:{id}")), Notice::OnCall(boxed())),
    }))
}

/// The card with the rollback that it should show.
pub(crate) fn with_rollback(mut card: DeployCard, rollback: Option<RollbackView>) -> DeployCard {
    card.rollback = rollback;
    card
}

/// A notice as it should be shown now. A deploy message is projected when it is delivered: between
/// the steps of two rollbacks of one deploy, each of which brings it up to date, what was queued
/// last need not be what was known last.
///
/// # Errors
///
/// [`StoreError`] when that cannot be found out. What was queued is not shown instead: it could be
/// the last that the message ever shows.
pub(crate) async fn as_it_stands(inner: &Inner, notice: &Notice) -> Result<Notice, StoreError> {
    let Notice::Deploy(queued) = notice else { return Ok(notice.clone()) };
    let deploy = &queued.deploy;
    let Some(card) = inner.store.deploy(&deploy.id).await? else { return Ok(notice.clone()) };
    let shown = prominent(inner, &deploy.key(), &deploy.id, None).await?;
    Ok(Notice::Deploy(Box::new(with_rollback(card, shown))))
}

/// The end of the audit chain after the last record of a rollback, for the line that tells how it
/// ended: kept in a chat, it is out of reach of whoever can change the database.
pub(crate) async fn witness(inner: &Inner, notice: &Notice) -> Option<Head> {
    let Notice::Line { view, line: Line::Ended } = notice else { return None };
    let mut query = Query::all(RECORDS_MAX);
    query.rollback = Some(view.id.clone());
    match inner.store.audit(&query).await {
        Ok(records) => records.last().map(Head::after),
        Err(error) => {
            tracing::warn!(%error, rollback = %view.id, "an end is told without its audit record");
            None
        }
    }
}

/// The rollback that a deploy message shows.
pub(crate) async fn prominent(
    inner: &Inner,
    key: &ServiceKey,
    deploy: &DeployId,
    changed: Option<&RollbackView>,
) -> Result<Option<RollbackView>, StoreError> {
    let mut query = Query::all(LOOK_BACK_MAX);
    query.service = Some(key.service.as_str().into());
    query.environment = Some(key.environment.as_str().into());
    let listed = inner.store.list(&query).await?;
    let mut views: Vec<RollbackView> = listed
        .into_iter()
        .map(|listed| listed.view)
        .filter(|view| view.deploy.as_ref() == Some(deploy))
        .filter(|view| changed.is_none_or(|changed| changed.id != view.id))
        .collect();
    if let Some(changed) = changed {
        let newer = |view: &RollbackView| view.opened_at > changed.opened_at;
        let place = views.iter().take_while(|view| newer(view)).count();
        views.insert(place, changed.clone());
    }
    Ok(choose(&views).cloned())
}

/// Of several rollbacks of one deploy, newest first: the one under way, else the newest that was
/// confirmed, else an open proposal, else the newest that was refused. A modal that somebody else
/// opened and left must not hide what really happened.
fn choose(views: &[RollbackView]) -> Option<&RollbackView> {
    use rollback_core::StateName::{OutcomeUnknown, Proposed, Refused};
    let first = |matches: fn(&RollbackView) -> bool| views.iter().find(|view| matches(view));
    first(|view| view.state.is_in_flight() || view.put_aside.is_some())
        .or_else(|| first(|view| view.state == OutcomeUnknown))
        .or_else(|| first(|view| view.reason.is_some() && view.ended_at.is_some()))
        .or_else(|| first(|view| view.proposed_by.is_some() && view.ended_at.is_none()))
        .or_else(|| first(|view| view.state == Proposed))
        .or_else(|| first(|view| view.state == Refused))
}
