//! Checks that Slack accepts our token, also while no message is sent.

use rollback_core::ports::Clock;
use rollback_engine::{Engine, Part};
use rollback_slack::WebApi;
use std::sync::Arc;
use std::time::Duration;

/// How long Slack may take.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// How long after the last delivery what came of it says nothing any more: longer than the pause
/// between two attempts, and shorter than what is paged.
const QUIET_AFTER: Duration = Duration::from_secs(75);

/// Asks Slack who we are, now and then, and tells the engine when it does not answer or refuses us.
pub(crate) struct SlackProbe {
    api: WebApi,
    engine: Engine,
    clock: Arc<dyn Clock>,
    every: Duration,
}

impl SlackProbe {
    pub(crate) const fn new(
        api: WebApi,
        engine: Engine,
        clock: Arc<dyn Clock>,
        every: Duration,
    ) -> Self {
        Self { api, engine, clock, every }
    }

    /// Runs until `stop` completes.
    pub(crate) async fn run(self, stop: impl Future<Output = ()> + Send) {
        let looks = async {
            let mut failed_before = true;
            loop {
                let answer = self.look().await;
                // A delivery says more than this probe, so a success is reported only after a failure, or
                // where nothing is being delivered.
                if answer.is_err() || failed_before || self.is_quiet() {
                    failed_before = answer.is_err();
                    self.engine.report(Part::Chat("slack".into()), answer);
                }
                tokio::time::sleep(self.every).await;
            }
        };
        tokio::select! {
            biased;
            () = stop => {}
            () = looks => {}
        }
    }

    /// Whether nothing has been delivered for so long that what failed then is not tried any more.
    fn is_quiet(&self) -> bool {
        let chat = Part::Chat("slack".into());
        let parts = self.engine.parts();
        let seen = parts.iter().find(|standing| standing.part == chat);
        seen.is_none_or(|seen| self.clock.now().since(seen.seen_at) > QUIET_AFTER)
    }

    async fn look(&self) -> Result<(), String> {
        match tokio::time::timeout(ANSWER_MAX, self.api.identity()).await {
            Ok(Ok(_identity)) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_elapsed) => Err("Slack did not answer within 5 seconds".into()),
        }
    }
}
