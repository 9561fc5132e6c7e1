//! What can go wrong at an API server. Each says what was tried, and whether trying again can help.

use crate::ask::Tried;
use crate::text::clip;
use core::time::Duration;
use rollback_core::ports::{ErrorKind, PortError};

/// How much of the API server's own words is passed on.
const WORDS_MAX: usize = 240;

/// Why an API server could not be reached, or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// The connection cannot be set up.
    #[error(
        "the cluster's connection cannot be set up: {what}; nothing was changed; correct the kubeconfig, or run as a service account"
    )]
    Connection {
        /// What is wrong with it, without its secrets.
        what: &'static str,
        /// What the client said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The credentials are not accepted.
    #[error(
        "the cluster does not accept the credentials; nothing was changed; renew the token or the certificate"
    )]
    Unauthorized,
    /// The credentials are good, and may not do this.
    #[error("may not {tried}; nothing was changed; allow the verb in the Role (see rbac.yaml)")]
    Forbidden {
        /// What was tried: verb, resource and namespace.
        tried: Tried,
    },
    /// What was asked for is not there.
    #[error("there is nothing to {tried}; nothing was changed; correct namespace, kind and name")]
    Missing {
        /// What was tried.
        tried: Tried,
    },
    /// The API server, or a webhook of the cluster, said no.
    #[error("the cluster refused to {tried}: {why}; nothing was changed")]
    Refused {
        /// What was tried.
        tried: Tried,
        /// The HTTP status; zero when it was not even sent.
        code: u16,
        /// Its words.
        why: String,
    },
    /// A precondition did not hold.
    #[error("could not {tried}: it has changed meanwhile; nothing was changed")]
    Moved {
        /// What was tried.
        tried: Tried,
    },
    /// The API server is overloaded, and did not even begin.
    #[error(
        "the API server is overloaded and did not {tried}; nothing was changed; try again soon"
    )]
    Overloaded {
        /// What was tried.
        tried: Tried,
        /// How long to wait, if it said so.
        after: Option<Duration>,
    },
    /// The API server did not answer, or not readably. A write may have been carried out.
    #[error("the API server did not answer when it was asked to {tried}: {why}")]
    Silent {
        /// What was tried.
        tried: Tried,
        /// What happened to the request, without an address.
        why: String,
    },
    /// There is more than anybody would want to read.
    #[error("more than {max} objects answered the request to {tried}; nothing was changed; {next}")]
    TooMany {
        /// What was tried.
        tried: Tried,
        /// How many were read.
        max: usize,
        /// What to do.
        next: &'static str,
    },
}

impl ClusterError {
    /// It was not sent, and why.
    #[must_use]
    pub fn refused(tried: Tried, why: impl Into<String>) -> Self {
        Self::Refused { tried, code: 0, why: why.into() }
    }

    pub(crate) fn late(tried: &Tried, timeout: Duration) -> Self {
        let why = format!("no answer within {}", rollback_core::in_words(timeout));
        Self::Silent { tried: tried.clone(), why }
    }

    /// Whether asking once more may bring an answer.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::Silent { .. } | Self::Overloaded { .. } | Self::Moved { .. } => true,
            Self::Connection { .. }
            | Self::Unauthorized
            | Self::Forbidden { .. }
            | Self::Missing { .. }
            | Self::Refused { .. }
            | Self::TooMany { .. } => false,
        }
    }

    /// What whoever asked should do first.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Connection { .. }
            | Self::Unauthorized
            | Self::Forbidden { .. }
            | Self::Missing { .. }
            | Self::TooMany { .. } => ErrorKind::Misconfigured,
            Self::Refused { .. } => ErrorKind::Rejected,
            Self::Moved { .. } | Self::Silent { .. } => ErrorKind::Retry(None),
            Self::Overloaded { after, .. } => ErrorKind::Retry(*after),
        }
    }

    /// As the engine wants it: what to do first, then what happened.
    #[must_use]
    pub fn into_port(self, adapter: &'static str, operation: &'static str) -> PortError {
        PortError::new(self.kind(), adapter, operation, self.to_string()).caused_by(self)
    }
}

/// What an error means for whoever asked. Every answer of 4xx is a decision of the API server not
/// to do it; everything else leaves a write in doubt.
pub(crate) fn classify(error: kube::Error, tried: &Tried) -> ClusterError {
    let tried = tried.clone();
    let told = error.to_string();
    let kube::Error::Api(status) = error else {
        tracing::debug!(error = told, "the API server did not answer");
        return ClusterError::Silent { tried, why: "the connection failed".to_owned() };
    };
    let why = clip(&status.message, WORDS_MAX);
    match status.code {
        401 => ClusterError::Unauthorized,
        // A webhook or a quota forbids in other words than RBAC does.
        403 if status.message.contains(&format!("cannot {} resource", tried.verb)) => {
            ClusterError::Forbidden { tried }
        }
        404 => ClusterError::Missing { tried },
        // Somebody else owns a field that was to be applied.
        409 if status.message.contains("Apply failed with") => {
            ClusterError::Refused { tried, code: 409, why }
        }
        409 => ClusterError::Moved { tried },
        422 if is_failed_test(&status.message) => ClusterError::Moved { tried },
        429 => {
            let seconds = status.details.as_ref().map_or(0, |it| it.retry_after_seconds);
            let after = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
            ClusterError::Overloaded { tried, after }
        }
        code @ 400..=499 => ClusterError::Refused { tried, code, why },
        code => ClusterError::Silent { tried, why: format!("it answered {code}") },
    }
}

/// A `test` of a JSON patch that does not hold is told in this one sentence and no detail.
fn is_failed_test(message: &str) -> bool {
    message.is_empty() || message.contains("due to an error in our request")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::{Ask, Place};

    fn tried() -> Tried {
        let place = Place::namespaced("apps/v1", "deployments", "shop");
        Ask::patch(&place, "web", &serde_json::json!([]), "me").tried().clone()
    }

    fn answer(code: u16, message: &str) -> kube::Error {
        let status = serde_json::json!({"status": "Failure", "code": code, "message": message,
            "reason": "", "metadata": {}});
        kube::Error::Api(serde_json::from_value(status).unwrap())
    }

    #[test]
    fn only_an_answer_of_4xx_says_that_nothing_happened() {
        let rbac = "deployments.apps \"web\" is forbidden: User \"u\" cannot patch resource \"deployments\" in API group \"apps\" in the namespace \"shop\"";
        let test = "the server rejected our request due to an error in our request";
        let table = [
            (401, "Unauthorized", "does not accept the credentials"),
            (403, rbac, "may not patch deployments `web` in namespace `shop`"),
            (403, "admission webhook \"policy\" denied the request: no", "refused to patch"),
            (403, "exceeded quota: q", "refused to patch"),
            (404, "not found", "there is nothing to patch"),
            (409, "the object has been modified", "it has changed meanwhile"),
            (409, "Apply failed with 1 conflict: conflict with \"x\"", "conflict with \"x\""),
            (422, test, "it has changed meanwhile"),
            (422, "", "it has changed meanwhile"),
            (422, "Deployment.apps \"web\" is invalid: spec", "refused to patch"),
            (429, "too many requests", "overloaded"),
            (500, "etcdserver: request timed out", "did not answer"),
            (503, "apiserver not ready", "did not answer"),
            (504, "request did not complete", "did not answer"),
            (200, "what", "did not answer"),
        ];
        for (code, message, words) in table {
            let error = classify(answer(code, message), &tried());
            assert!(error.to_string().contains(words), "{code} {message:?}: {error}");
            let silent = matches!(error, ClusterError::Silent { .. });
            assert_eq!(silent, !(400..500).contains(&code), "{code}");
            assert_eq!(silent, !error.to_string().contains("nothing was changed"), "{error}");
        }
        let reset =
            kube::Error::ReadEvents(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        assert!(matches!(classify(reset, &tried()), ClusterError::Silent { .. }));
    }

    #[test]
    fn the_engine_is_told_what_to_do_first() {
        let kind =
            |code, message| classify(answer(code, message), &tried()).into_port("a", "o").kind;
        assert_eq!(kind(401, ""), ErrorKind::Misconfigured);
        assert_eq!(kind(404, ""), ErrorKind::Misconfigured);
        assert_eq!(kind(422, "bad"), ErrorKind::Rejected);
        assert_eq!(kind(409, ""), ErrorKind::Retry(None));
        assert_eq!(kind(504, ""), ErrorKind::Retry(None));
    }
}
