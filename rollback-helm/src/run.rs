//! One rollback, from the order to its end: helm, its way to the cluster, and what became of it.

use crate::classify::{Cause, cause};
use crate::command::{Ended, Running};
use crate::error::HelmError;
use crate::journal::{Entry, State, Written};
use crate::progress::is_live;
use crate::proxy::{Door, Proxy, Stage};
use crate::record::Status;
use crate::site::Site;
use core::time::Duration;
use rollback_core::Label;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// How long the end of a rollback is tried to be written down. Afterwards helm's own record tells.
const NOTED_WITHIN: Duration = Duration::from_secs(120);
/// How long an answer that will not change by itself is asked for again.
const BACK_WITHIN: Duration = Duration::from_secs(10);
/// Between two tries.
const AGAIN_EVERY: Duration = Duration::from_millis(500);

/// A rollback that this process carries out.
pub(crate) struct Run {
    proxy: Arc<Proxy>,
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("order", &self.proxy.job.order).finish_non_exhaustive()
    }
}

/// How a rollback that took effect ended.
struct Outcome {
    state: State,
    message: String,
}

impl Run {
    /// Lets helm run. It goes on when nobody waits for it.
    pub(crate) fn begin(
        site: &Arc<Site>,
        proxy: Arc<Proxy>,
        door: Door,
        helm: Running,
    ) -> Arc<Self> {
        let run = Arc::new(Self { proxy });
        site.begin(run.proxy.job.order.clone(), Arc::clone(&run));
        let (site, running) = (Arc::clone(site), Arc::clone(&run));
        tokio::spawn(async move {
            let order = running.proxy.job.order.clone();
            running.carry_out(&site, helm).await;
            drop(door);
            site.end(&order);
        });
        run
    }

    /// Waits until it is known whether the order took effect. None when it is not, in time.
    pub(crate) async fn decided(&self, within: Duration) -> Stage {
        let mut stage = self.proxy.stage.subscribe();
        let known = |stage: &Stage| !matches!(stage, Stage::Waiting | Stage::Sent);
        let waited = tokio::time::timeout(within, stage.wait_for(known)).await;
        match waited {
            Ok(Ok(stage)) => stage.clone(),
            Ok(Err(_)) | Err(_) if self.proxy.close_if_unused() => {
                let late = format!(
                    "helm did not begin within {}, and was told to stop; nothing was changed",
                    rollback_core::in_words(within)
                );
                self.proxy.stage.send_if_modified(|stage| {
                    let waits = *stage == Stage::Waiting;
                    if waits {
                        *stage = Stage::Refused(late.clone());
                    }
                    waits
                });
                self.proxy.stage.borrow().clone()
            }
            Ok(Err(_)) | Err(_) => self.proxy.stage.borrow().clone(),
        }
    }

    async fn carry_out(&self, site: &Arc<Site>, helm: Running) {
        let ended = self.watch_over(site, helm).await;
        let Some(committed) = self.after_helm(&ended).await else { return };
        let Outcome { state, message } = self.outcome(site, &committed, &ended).await;
        let now = site.config.clock.now();
        let entry = committed.then(state, now, Some(Label::new(message)));
        let over = |known: &Entry| known.state == State::Running && known.made == entry.made;
        let since = Instant::now();
        while since.elapsed() < NOTED_WITHIN {
            match site.client.note(&entry, over, now).await {
                Ok(Written::Done) => return site.client.mark(&entry).await,
                Ok(Written::Ended(_taken_over)) => {
                    tracing::warn!("another process ended a rollback of ours, as we fell silent");
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "the end of a rollback is not written down yet");
                }
            }
            tokio::time::sleep(AGAIN_EVERY).await;
        }
    }

    /// Waits for helm, and says meanwhile that this process is alive.
    async fn watch_over(&self, site: &Arc<Site>, helm: Running) -> Ended {
        let mut stage = self.proxy.stage.subscribe();
        let committed = async {
            let committed = |stage: &Stage| matches!(stage, Stage::Committed(_));
            // The sender lives as long as this does.
            if stage.wait_for(committed).await.is_err() {
                std::future::pending::<()>().await;
            }
            site.news.tell();
            loop {
                tokio::time::sleep(site.config.lease / 4).await;
                let _may_go_on = self.proxy.renew().await;
            }
        };
        let ended = tokio::select! {
            ended = helm.ended() => ended,
            never = committed => never,
        };
        ended.unwrap_or_else(|error| {
            tracing::warn!(%error, "helm could not be waited for");
            Ended { success: false, stderr: String::new() }
        })
    }

    /// The order as it stands in the journal, if it took effect; else says why it did not.
    async fn after_helm(&self, ended: &Ended) -> Option<Entry> {
        let proxy = &self.proxy;
        if proxy.close_if_unused() {
            let cause = cause(&ended.stderr);
            let why = if cause == Cause::LostRace {
                Stage::Conflict(cause.to_string())
            } else {
                Stage::Refused(format!("{cause}; nothing was changed"))
            };
            proxy.stage.send_if_modified(|stage| {
                let waits = *stage == Stage::Waiting;
                if waits {
                    *stage = why.clone();
                }
                waits
            });
        }
        let mut stage = proxy.stage.subscribe();
        // What became of its request is found out, however long helm was patient.
        let known = stage.wait_for(|stage| !matches!(stage, Stage::Waiting | Stage::Sent)).await;
        match known.as_deref() {
            Ok(Stage::Committed(_receipt)) => proxy.committed(),
            Ok(Stage::Waiting | Stage::Sent | Stage::Refused(_) | Stage::Conflict(_)) | Err(_) => {
                None
            }
        }
    }

    async fn outcome(&self, site: &Arc<Site>, committed: &Entry, ended: &Ended) -> Outcome {
        let job = &self.proxy.job;
        let number = job.next();
        let read = || async move { Ok(site.content(number).await?.0.status) };
        if !ended.success {
            let status = patiently(read).await;
            let cause = cause(&ended.stderr);
            let left = match status {
                // Helm reads its newest record before it changes anything, and that is the target's.
                Some(status) if status.is_pending() && matches!(cause, Cause::KindGone(_)) => {
                    format!(
                        "revision {number} stays {} and keeps helm from deploying; install it again, or roll back to another revision, twice if helm stops there once more",
                        status.as_str()
                    )
                }
                Some(status) if status.is_pending() => format!(
                    "revision {number} stays {} and keeps helm from deploying; roll back once more, that ends it",
                    status.as_str()
                ),
                Some(status) => format!("revision {number} is {}", status.as_str()),
                None => format!("what became of revision {number} could not be read"),
            };
            return Outcome { state: State::Failed, message: format!("{cause}; {left}") };
        }
        if let Some(status) = patiently(read)
            .await
            .filter(|status| !matches!(status, Status::Deployed | Status::Superseded))
        {
            let message = format!(
                "helm says that revision {number} is done, and its record says that it is {}; look at what runs",
                status.as_str()
            );
            return Outcome { state: State::Failed, message };
        }
        if !job.must_wait {
            let message = format!("helm has applied revision {number}, and its pods come up");
            return Outcome { state: State::Applied, message };
        }
        let left_behind = patiently(|| site.compare(&job.content)).await;
        Outcome { state: State::Complete, message: is_live(committed, left_behind) }
    }
}

/// Reads, and once more while the API server does not answer.
async fn patiently<T: Send, F>(read: impl Fn() -> F + Send + Sync) -> Option<T>
where
    F: Future<Output = Result<T, HelmError>> + Send,
{
    let since = Instant::now();
    loop {
        match read().await {
            Ok(read) => return Some(read),
            // An API server that comes back may refuse for a moment what it allows.
            Err(error)
                if since.elapsed()
                    < if error.is_passing() { NOTED_WITHIN } else { BACK_WITHIN } =>
            {
                tokio::time::sleep(AGAIN_EVERY).await;
            }
            Err(error) => {
                tracing::warn!(%error, "the end of a rollback could not be looked at");
                return None;
            }
        }
    }
}
