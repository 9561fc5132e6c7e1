//! All input and output. One decision is taken here: nothing is sent twice.

use crate::ask::{Ask, Tried};
use crate::config::Connection;
use crate::error::{ClusterError, refusal, unanswered, unwatched};
use crate::watch::Watch;
use bytes::Bytes;
use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Limited};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The most that is read of one answer. The largest asked for is a history of Helm's, whose records
/// have at most a megabyte each.
const ANSWER_MAX: usize = 64 << 20;

/// A connection to a cluster. Clones share it; whatever is on one cluster needs only one.
#[derive(Clone)]
pub struct Cluster {
    client: kube::Client,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither address nor credentials.
        f.debug_struct("Cluster").finish_non_exhaustive()
    }
}

/// A request that was passed on was not answered. It may have been carried out.
#[derive(Debug, thiserror::Error)]
#[error("the API server did not answer, or not to the end")]
pub struct Unanswered(#[source] kube::Error);

/// What a request that was passed on was answered, as it comes.
#[derive(Debug)]
pub struct Answer(kube::client::Body);

impl Body for Answer {
    type Data = Bytes;
    type Error = Unanswered;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Unanswered>>> {
        Pin::new(&mut self.0).poll_frame(context).map_err(Unanswered)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl Cluster {
    /// Sets the connection up. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`ClusterError::Connection`] when the kubeconfig or the service account cannot be read.
    pub async fn connect(connection: &Connection) -> Result<Self, ClusterError> {
        let mut config = match connection {
            Connection::Inferred => match Kubeconfig::read() {
                Ok(kubeconfig) => of(kubeconfig, None).await?,
                Err(_absent) => kube::Config::incluster()
                    .map_err(bad("there is neither a usable kubeconfig nor a service account"))?,
            },
            Connection::InCluster => kube::Config::incluster()
                .map_err(bad("this does not run in a pod with a service account"))?,
            Connection::Kubeconfig { path, context } => {
                let read = match path {
                    Some(path) => Kubeconfig::read_from(path),
                    None => Kubeconfig::read(),
                };
                of(read.map_err(bad("the kubeconfig cannot be read"))?, context.clone()).await?
            }
        };
        // It would send a write again after a 504: whether to do that is not the client's to say.
        config.default_retry = false;
        let client = kube::Client::try_from(config)
            .map_err(bad("its certificates or its proxy cannot be used"))?;
        Ok(Self { client })
    }

    /// Sends a request, once, and reads its answer.
    ///
    /// # Errors
    ///
    /// [`ClusterError`]; only [`ClusterError::Silent`] leaves a write in doubt. Dropped while it is
    /// awaited, a write is in doubt, too.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        ask: Ask,
        within: Duration,
    ) -> Result<T, ClusterError> {
        let (request, tried) = sendable(ask)?;
        let exchange = self.exchange(request, &tried);
        let answer = tokio::time::timeout(within, exchange).await;
        let (code, body) = answer.map_err(|_elapsed| ClusterError::late(&tried, within))??;
        if !code.is_success() {
            return Err(refusal(code.as_u16(), &body, &tried));
        }
        serde_json::from_slice(&body).map_err(|error| {
            // Where it is wrong, not what it says: it can hold secrets.
            let why = format!("its answer makes no sense (line {})", error.line());
            ClusterError::Silent { tried, why }
        })
    }

    /// The answer as it comes: who wrote it is judged by [`refusal`], on its very bytes.
    async fn exchange(
        &self,
        request: Request<Vec<u8>>,
        tried: &Tried,
    ) -> Result<(StatusCode, Bytes), ClusterError> {
        let sent = self.client.send(request.map(kube::client::Body::from)).await;
        let (parts, body) = sent.map_err(|error| unanswered(&error, tried))?.into_parts();
        let body = Limited::new(body, ANSWER_MAX).collect().await.map_err(|error| {
            tracing::debug!(error, "an answer of the API server broke off");
            let why = "its answer broke off, or is too long".to_owned();
            ClusterError::Silent { tried: tried.clone(), why }
        })?;
        Ok((parts.status, body.to_bytes()))
    }

    /// Begins a watch, within the bound.
    ///
    /// # Errors
    ///
    /// [`ClusterError`] when watching is not possible. Nothing was changed.
    pub async fn watch(&self, watch: Ask, within: Duration) -> Result<Watch, ClusterError> {
        let (request, tried) = sendable(watch)?;
        let events = self.client.request_events::<Value>(request);
        let events = tokio::time::timeout(within, events).await;
        let events = events.map_err(|_elapsed| ClusterError::late(&tried, within))?;
        let events = events.map_err(|error| unwatched(&error, &tried))?;
        Ok(Watch::new(Box::pin(events), tried))
    }

    /// Passes on what somebody else wrote, with our credentials, and its answer as it comes: that
    /// may go on for as long as a watch does.
    ///
    /// # Errors
    ///
    /// [`Unanswered`]. It may have been carried out.
    pub async fn forward(&self, request: Request<Bytes>) -> Result<Response<Answer>, Unanswered> {
        let request = request.map(kube::client::Body::from);
        Ok(self.client.send(request).await.map_err(Unanswered)?.map(Answer))
    }
}

fn bad<E>(what: &'static str) -> impl FnOnce(E) -> ClusterError
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    move |error| ClusterError::Connection { what, source: error.into() }
}

/// What a kubeconfig says of the context. A proxy only if it names one itself: `HTTPS_PROXY` of the
/// environment is for other hosts, and the cluster's credentials would pass through it.
async fn of(kubeconfig: Kubeconfig, context: Option<String>) -> Result<kube::Config, ClusterError> {
    let names_a_proxy = names_a_proxy(&kubeconfig, context.as_deref());
    let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(bad("the kubeconfig's context cannot be used"))?;
    if !names_a_proxy {
        config.proxy_url = None;
    }
    Ok(config)
}

fn names_a_proxy(kubeconfig: &Kubeconfig, context: Option<&str>) -> bool {
    let name = context.or(kubeconfig.current_context.as_deref());
    let context = kubeconfig.contexts.iter().find(|context| Some(context.name.as_str()) == name);
    let cluster = context.and_then(|context| context.context.as_ref()).map(|it| &it.cluster);
    let cluster = kubeconfig.clusters.iter().find(|known| Some(&known.name) == cluster);
    cluster
        .and_then(|it| it.cluster.as_ref()?.proxy_url.as_ref())
        .is_some_and(|url| !url.is_empty())
}

fn sendable(ask: Ask) -> Result<(Request<Vec<u8>>, Tried), ClusterError> {
    let unsendable = |tried| ClusterError::refused(tried, "its name cannot be part of a URL");
    ask.into_request().map_err(unsendable)
}

/// What was asked for; none when it is not there.
///
/// # Errors
///
/// Every error but [`ClusterError::Missing`], as it comes.
pub fn found<T>(asked: Result<T, ClusterError>) -> Result<Option<T>, ClusterError> {
    match asked {
        Ok(object) => Ok(Some(object)),
        Err(ClusterError::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_the_kubeconfigs_own_or_none() {
        let kubeconfig = |proxy: &str| {
            Kubeconfig::from_yaml(&format!(
                "clusters: [{{name: k, cluster: {{server: 'http://k'{proxy}}}}}, {{name: l, cluster: \
                 {{server: 'http://l'}}}}]\n\
                 contexts: [{{name: a, context: {{cluster: k}}}}, {{name: b, context: {{cluster: l}}}}]\n\
                 current-context: a\n"
            ))
            .unwrap()
        };
        let with = kubeconfig(", proxy-url: 'http://p'");
        for (context, named) in
            [(None, true), (Some("a"), true), (Some("b"), false), (Some("c"), false)]
        {
            assert_eq!(names_a_proxy(&with, context), named, "{context:?}");
        }
        assert!(!names_a_proxy(&kubeconfig(""), None));
        assert!(!names_a_proxy(&kubeconfig(", proxy-url: ''"), None), "an empty one is none");
        assert!(!names_a_proxy(&Kubeconfig::default(), None));
    }
}
