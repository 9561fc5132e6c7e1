//! Checks that Slack accepts our token, also while no message is sent.

use rollback_engine::{Engine, Part};
use rollback_slack::WebApi;
use std::time::Duration;

/// How long Slack may take.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Asks Slack who we are, now and then, and tells the engine when it does not answer or refuses us.
pub(crate) struct SlackProbe {
    api: WebApi,
    engine: Engine,
    every: Duration,
}

impl SlackProbe {
    pub(crate) const fn new(api: WebApi, engine: Engine, every: Duration) -> Self {
        Self { api, engine, every }
    }

    /// Runs until `stop` completes.
    pub(crate) async fn run(self, stop: impl Future<Output = ()> + Send) {
        let looks = async {
            let mut failed_before = true;
            loop {
                let answer = self.look().await;
                // A delivery says more than this probe, so a success is reported only after a failure.
                if answer.is_err() || failed_before {
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

    async fn look(&self) -> Result<(), String> {
        match tokio::time::timeout(ANSWER_MAX, self.api.identity()).await {
            Ok(Ok(_identity)) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_elapsed) => Err("Slack did not answer within 5 seconds".into()),
        }
    }
}
