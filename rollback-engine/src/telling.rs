//! Turns what a step wants told into messages for the outbox. A message is a projection of state:
//! it says how things stand, so that the latest one replaces every earlier one.

use crate::engine::Inner;
use rollback_core::audit::Head;
use rollback_core::notice::Notice;
use rollback_core::ports::{Notifier, Queued, StoreError};
use rollback_core::{
    Audience, ChannelId, DeployId, Effect, Label, Line, Rollback, RollbackId, RollbackView,
};
use std::sync::Arc;

/// The key of a deploy message.
pub(crate) fn deploy_key(id: &DeployId) -> Label {
    Label::new(format!("deploy:{id}"))
}

/// The key of an approval request.
pub(crate) fn approval_key(id: &RollbackId) -> Label {
    Label::new(format!("approval:{id}"))
}

/// The key of the message to whoever is on call about a rollback.
pub(crate) fn on_call_key(id: &RollbackId) -> Label {
    Label::new(format!("oncall:{id}"))
}

/// The messages that a step's effects ask for, for every notifier.
pub(crate) async fn notices(
    inner: &Inner,
    rollback: &Rollback,
    effects: &[Effect],
) -> Result<Vec<Queued>, StoreError> {
    about(inner, &rollback.view(), effects, 0).await
}

/// The same of a rollback as it is shown. `first` tells what is told apart from what a step told that
/// the rollback had taken by then.
pub(crate) async fn about(
    inner: &Inner,
    view: &RollbackView,
    effects: &[Effect],
    first: usize,
) -> Result<Vec<Queued>, StoreError> {
    let Some(service) = inner.catalog.services.get(&view.key) else {
        tracing::warn!(rollback = %view.id, key = %view.key, "not configured any more: nobody is told");
        return Ok(Vec::new());
    };
    let mut told = Vec::new();
    for (place, effect) in (first..).zip(effects) {
        let Effect::Tell(audience) = effect else { continue };
        if let Some((key, notice)) = message(inner, view, audience, place).await? {
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

/// One notice for each notifier that tells such things, in the thread of the deploy message where it belongs there.
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
        | Notice::OnCall(_)
        | Notice::BreakGlass { .. }
        | Notice::Blocked(_)
        | Notice::Changed(_) => None,
    };
    let queued = |notifier: &Arc<dyn Notifier>| {
        let place = notifier.place(notice.kind(), channel)?;
        let queued = Queued::new(notifier.name(), key.clone(), notice.clone(), place);
        Some(match threaded {
            Some(thread) => queued.in_thread_of(thread.clone()),
            None => queued,
        })
    };
    inner.notifiers.iter().filter_map(queued).collect()
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
            // What it shows is looked up once, when it is delivered.
            (deploy_key(deploy), Notice::Deploy(Box::new(card)))
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
        Audience::BreakGlass { by, duty } => (
            Label::new(format!("breakglass:{id}:{steps}:{place}")),
            Notice::BreakGlass { by: by.clone(), duty: *duty, view: boxed() },
        ),
        Audience::OnCall => (on_call_key(id), Notice::OnCall(boxed())),
    }))
}

/// A notice as it should be shown now. A deploy message is projected when it is delivered, and only
/// then: between the steps of two rollbacks of one deploy, each of which brings it up to date, what was
/// queued last need not be what was known last.
///
/// # Errors
///
/// [`StoreError`] when that cannot be found out. What was queued is not shown instead: it could be
/// the last that the message ever shows.
pub(crate) async fn as_it_stands(inner: &Inner, notice: &Notice) -> Result<Notice, StoreError> {
    let Notice::Deploy(queued) = notice else { return Ok(notice.clone()) };
    let deploy = &queued.deploy.id;
    let Some(mut card) = inner.store.deploy(deploy).await? else { return Ok(notice.clone()) };
    card.rollback = inner.store.shown(deploy).await?;
    Ok(Notice::Deploy(Box::new(card)))
}

/// The end of the audit chain after the last record of a rollback, for the line that tells how it
/// ended: kept in a chat, it is out of reach of whoever can change the database.
pub(crate) async fn witness(inner: &Inner, notice: &Notice) -> Option<Head> {
    let Notice::Line { view, line: Line::Ended } = notice else { return None };
    match inner.store.last_record(&view.id).await {
        Ok(record) => record.as_ref().map(Head::after),
        Err(error) => {
            tracing::warn!(%error, rollback = %view.id, "an end is told without its audit record");
            None
        }
    }
}
