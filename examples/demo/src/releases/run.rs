//! Carries out what the journal says was taken on. One loop, one step at a time, from what is on
//! disk and nothing else: a restart in the middle is no special case.

use super::backend::Inner;
use super::classify::Execution;
use super::error::ReleasesError;
use super::journal::{Entry, Step};
use rollback_core::{Label, RevisionId};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often an idle supervisor looks whether the service still answers.
const SUPERVISED_EVERY: Duration = Duration::from_millis(500);
/// How long a step that went wrong waits before it is made again.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// Runs as long as the process does.
pub(crate) async fn run(inner: Arc<Inner>) {
    let mut changes = inner.folder.watch();
    loop {
        changes.mark_unchanged();
        match advance(&inner, &mut changes).await {
            Ok(Advanced::Stepped) => {}
            Ok(Advanced::Idle) => {
                // Either is a reason to look again.
                let _woken = tokio::time::timeout(SUPERVISED_EVERY, changes.changed()).await;
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(%error, cause, "a step was not made; it is made again");
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        }
    }
}

enum Advanced {
    Stepped,
    Idle,
}

async fn advance(
    inner: &Arc<Inner>,
    changes: &mut watch::Receiver<u64>,
) -> Result<Advanced, ReleasesError> {
    let ledger = inner.with_folder(|folder| folder.ledger()).await?;
    let Some(execution) = ledger.unfinished() else {
        keep_up(inner).await?;
        return Ok(Advanced::Idle);
    };
    match execution.step {
        Step::Accepted => begin(inner, execution, changes).await?,
        Step::Switching => {
            switch(inner, &execution.accepted.to).await?;
            reach(inner, execution, Step::HealthChecking, None).await?;
        }
        Step::HealthChecking => check(inner, execution).await?,
        Step::SwitchingBack => switch_back(inner, execution).await?,
        Step::Complete | Step::Failed | Step::Cancelled => {}
    }
    Ok(Advanced::Stepped)
}

/// Waits as long as somebody may cancel, then passes the point of no return. The two cannot both
/// happen: each is decided under the lock under which it is written down.
async fn begin(
    inner: &Arc<Inner>,
    execution: &Execution,
    changes: &mut watch::Receiver<u64>,
) -> Result<(), ReleasesError> {
    let waited = inner.config.clock.now().since(execution.accepted.at);
    let wait = inner.grace().saturating_sub(waited);
    if !execution.cancel_asked && !wait.is_zero() {
        let _time_is_up_or_news = tokio::time::timeout(wait, changes.changed()).await;
        return Ok(());
    }
    let name = execution.accepted.execution.clone();
    let at = inner.config.clock.now();
    inner
        .with_folder(move |folder| {
            let turn = folder.turn()?;
            let Some(known) = turn.ledger.execution(&name).filter(|known| known.is_cancellable())
            else {
                return Ok(());
            };
            let (step, message) = if known.cancel_asked {
                (Step::Cancelled, Some("stopped before anything was changed".into()))
            } else {
                (Step::Switching, None)
            };
            turn.write(&[Entry::Reached { at, execution: name, step, message }])
        })
        .await
}

async fn switch(inner: &Arc<Inner>, to: &RevisionId) -> Result<(), ReleasesError> {
    let to = to.clone();
    let instance = inner
        .with_folder(move |folder| {
            folder.switch(&to)?;
            folder.next_instance()
        })
        .await?;
    inner.supervisor.start(instance)
}

async fn check(inner: &Arc<Inner>, execution: &Execution) -> Result<(), ReleasesError> {
    let to = &execution.accepted.to;
    match inner.supervisor.await_up(to).await {
        Ok(()) => {
            let message = format!("release `{to}` is live and answers");
            reach(inner, execution, Step::Complete, Some(message)).await
        }
        Err(why) => {
            let message = format!("release `{to}` did not come up: {why}");
            reach(inner, execution, Step::SwitchingBack, Some(message)).await
        }
    }
}

/// Restores what was live before. When nothing was, the broken release stays, for want of better.
async fn switch_back(inner: &Arc<Inner>, execution: &Execution) -> Result<(), ReleasesError> {
    let before = match &execution.accepted.from {
        Some(from) => {
            switch(inner, from).await?;
            format!("`{from}` is live again")
        }
        None => "nothing was live before".to_owned(),
    };
    let why = execution.message.as_ref().map(Label::as_str).unwrap_or_default();
    reach(inner, execution, Step::Failed, Some(format!("{why}; {before}"))).await
}

async fn reach(
    inner: &Arc<Inner>,
    execution: &Execution,
    step: Step,
    message: Option<String>,
) -> Result<(), ReleasesError> {
    let entry = Entry::Reached {
        at: inner.config.clock.now(),
        execution: execution.accepted.execution.clone(),
        step,
        message: message.map(Label::new),
    };
    inner.with_folder(move |folder| folder.turn()?.write(&[entry])).await
}

/// Starts the service when nobody answers: after a crash of it, or of the machine.
async fn keep_up(inner: &Arc<Inner>) -> Result<(), ReleasesError> {
    if inner.supervisor.up().await.is_some() {
        return Ok(());
    }
    let start = inner
        .with_folder(|folder| match folder.live()? {
            Some(_) => folder.next_instance().map(Some),
            None => Ok(None),
        })
        .await?;
    let Some(instance) = start else {
        return Ok(());
    };
    inner.supervisor.start(instance)?;
    // A release that cannot start at all is tried again at this pace.
    tokio::time::sleep(SUPERVISED_EVERY).await;
    Ok(())
}
