//! Whether customers are served: the look that decides whether a rollback has helped.

use async_trait::async_trait;
use rollback_core::ports::{Clock, HealthInquiry, HealthSource};
use rollback_core::{Fact, Health};
use std::sync::Arc;
use std::time::Duration;

/// How long the service may take to say how it is.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How much of its words is passed on.
const WORDS_MAX: usize = 200;

/// Asks a service's `/health`.
#[derive(Debug)]
pub struct HttpHealth {
    url: String,
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
}

impl HttpHealth {
    /// Asks this address.
    #[must_use]
    pub fn new(url: impl Into<String>, clock: Arc<dyn Clock>) -> Self {
        Self { url: url.into(), http: super::to_this_machine(), clock }
    }
}

#[async_trait]
impl HealthSource for HttpHealth {
    async fn health(&self, _: &HealthInquiry) -> Fact<Health> {
        let answer = match self.http.get(&self.url).timeout(ANSWER_WITHIN).send().await {
            Ok(answer) => answer,
            Err(error) if error.is_timeout() => {
                return Fact::unknown("the service did not answer its health check in time");
            }
            Err(_) => return Fact::unknown("the service does not answer"),
        };
        let status = answer.status();
        let words = answer.text().await.unwrap_or_default();
        let health = if status.is_success() {
            Health::Healthy
        } else {
            let words: String = words.chars().take(WORDS_MAX).collect();
            Health::Unhealthy(format!("{}: {words}", status.as_u16()))
        };
        Fact::known(health, self.clock.now())
    }
}
