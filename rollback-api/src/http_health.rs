//! Whether a service works, by asking a page of its own.

use async_trait::async_trait;
use reqwest::{Client, redirect};
use rollback_core::Fact;
use rollback_core::Health;
use rollback_core::ports::{Clock, HealthInquiry, HealthSource};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How long one look may take. The engine looks again until its own time is over.
const LOOK_MAX: Duration = Duration::from_secs(4);

/// A service's health by a page that answers with a 2xx status when it works: one GET, no redirect followed, no
/// proxy, no body read, no credentials sent.
///
/// | answer | means |
/// |---|---|
/// | 2xx | healthy |
/// | any other status, a redirect among them | unhealthy, with the status |
/// | none in time, or no connection | unknown, with the reason |
///
/// ```
/// use rollback_api::HttpHealth;
/// use rollback_engine::{ServiceConfig, SystemClock};
/// use std::sync::Arc;
///
/// fn watched(mut service: ServiceConfig) -> Result<ServiceConfig, rollback_api::HealthSetupError> {
///     let page = "https://checkout.example.com/health";
///     service.health = Some(Arc::new(HttpHealth::new(page, Arc::new(SystemClock::new()))?));
///     Ok(service)
/// }
/// # drop(watched);
/// ```
#[derive(Clone)]
pub struct HttpHealth {
    client: Client,
    url: reqwest::Url,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for HttpHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpHealth").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}

/// The health check cannot be set up. Nothing was sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HealthSetupError {
    /// The address.
    #[error("the address of the health check is not a web address; correct it")]
    Url,
    /// The HTTP client.
    #[error("the HTTP client of the health check cannot be set up on this machine")]
    Client,
}

impl HttpHealth {
    /// Asks the page at `url`.
    ///
    /// # Errors
    ///
    /// [`HealthSetupError`]; nothing was sent.
    pub fn new(url: &str, clock: Arc<dyn Clock>) -> Result<Self, HealthSetupError> {
        let url = reqwest::Url::parse(url).map_err(|_told| HealthSetupError::Url)?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(HealthSetupError::Url);
        }
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .timeout(LOOK_MAX)
            .pool_max_idle_per_host(1)
            .build()
            .map_err(|_told| HealthSetupError::Client)?;
        Ok(Self { client, url, clock })
    }
}

#[async_trait]
impl HealthSource for HttpHealth {
    async fn health(&self, _: &HealthInquiry) -> Fact<Health> {
        match self.client.get(self.url.clone()).send().await {
            Ok(answer) if answer.status().is_success() => {
                Fact::known(Health::Healthy, self.clock.now())
            }
            Ok(answer) => {
                let what = format!("its health check answers {}", answer.status().as_u16());
                Fact::known(Health::Unhealthy(what), self.clock.now())
            }
            Err(error) if error.is_timeout() => Fact::unknown(format!(
                "its health check did not answer within {} s",
                LOOK_MAX.as_secs()
            )),
            Err(error) if error.is_connect() => Fact::unknown("its health check cannot be reached"),
            Err(_broken) => Fact::unknown("the connection to its health check broke"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::http::StatusCode;
    use axum::response::Redirect;
    use axum::routing::get;
    use rollback_engine::SystemClock;
    use rollback_testkit::fixtures;

    async fn look(url: &str) -> Fact<Health> {
        let health = HttpHealth::new(url, Arc::new(SystemClock::new())).unwrap();
        health.health(&HealthInquiry::new(fixtures::key(), fixtures::at(0))).await
    }

    #[tokio::test]
    async fn only_a_2xx_is_healthy_and_no_answer_is_unknown() {
        let routes = Router::new()
            .route("/ok", get(|| async { StatusCode::NO_CONTENT }))
            .route("/moved", get(|| async { Redirect::temporary("/ok") }))
            .route("/broken", get(|| async { StatusCode::SERVICE_UNAVAILABLE }))
            .route("/hangs", get(|| async { std::future::pending::<()>().await }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, routes).await });
        let value = async |path: &str| look(&format!("http://{at}{path}")).await.value().cloned();
        assert_eq!(value("/ok").await, Some(Health::Healthy));
        for (path, status) in [("/moved", 307), ("/broken", 503), ("/absent", 404)] {
            let said = format!("its health check answers {status}");
            assert_eq!(value(path).await, Some(Health::Unhealthy(said)), "{path}");
        }
        assert_eq!(value("/hangs").await, None);
        server.abort();
        assert!(server.await.unwrap_err().is_cancelled());
        assert_eq!(value("/ok").await, None, "nobody listens");
    }

    #[test]
    fn an_address_that_is_none_is_refused_at_once() {
        for url in ["", "checkout", "ftp://checkout", "file:///etc/passwd"] {
            let refused = HttpHealth::new(url, Arc::new(SystemClock::new()));
            assert_eq!(refused.map(drop), Err(HealthSetupError::Url), "{url}");
        }
    }
}
