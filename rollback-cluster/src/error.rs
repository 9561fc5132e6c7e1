//! What can go wrong at an API server. Each says what was tried, and whether trying again can help.
//!
//! This is not the certainty table of `rollback-outbound`: a 429 with a `Status` proves here that nothing
//! happened, which that table allows no API, and the same 429 as a gateway's page proves nothing. Requests
//! also go through kube's client, which knows kubeconfigs, their plugins and watches, so that there is no
//! exchange of the outbound client to judge.

use crate::ask::Tried;
use crate::text::clip;
use core::time::Duration;
use rollback_core::ports::{ErrorKind, PortError};
use serde::Deserialize;

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
        "the cluster does not accept the credentials; the request changed nothing; renew the token or the certificate"
    )]
    Unauthorized,
    /// The credentials are good, and may not do this.
    #[error("may not {tried}{}; allow the verb in the Role (see rbac.yaml)", .tried.consequence())]
    Forbidden {
        /// What was tried: verb, resource and namespace.
        tried: Tried,
    },
    /// What was asked for is not there.
    #[error("there is nothing to {tried}{}; correct namespace, kind and name", .tried.consequence())]
    Missing {
        /// What was tried.
        tried: Tried,
    },
    /// The API server, or a webhook of the cluster, said no.
    #[error("the cluster refused to {tried}: {why}{}", .tried.consequence())]
    Refused {
        /// What was tried.
        tried: Tried,
        /// The HTTP status; zero when it was not even sent.
        code: u16,
        /// Its words.
        why: String,
    },
    /// A precondition did not hold.
    #[error("could not {tried}: it has changed meanwhile{}", .tried.consequence())]
    Moved {
        /// What was tried.
        tried: Tried,
    },
    /// The API server is overloaded, and did not even begin.
    #[error(
        "the API server is overloaded and did not {tried}{}; try again soon", .tried.consequence()
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
    #[error("more than {max} objects answered the request to {tried}{}; {next}", .tried.consequence())]
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

/// The API server's own word that it did not do what it was asked to: the object `Status` of its API.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    kind: String,
    api_version: String,
    status: String,
    code: u16,
    reason: String,
    message: String,
    details: Option<Details>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Details {
    retry_after_seconds: u64,
}

impl Status {
    /// None when the API server did not write this answer. A gateway in front of it answers with a
    /// page, or with JSON of its own, and may have passed the request on before it did.
    fn read(code: u16, body: &[u8]) -> Option<Self> {
        let status: Self = serde_json::from_slice(body).ok()?;
        let is_genuine = status.kind == "Status"
            && status.api_version == "v1"
            && status.status == "Failure"
            && status.code == code;
        is_genuine.then_some(status)
    }
}

/// What an answer that is no success means for whoever asked. Only a `Status` of 4xx is the API
/// server's decision not to do it; every other answer leaves a write in doubt.
pub(crate) fn refusal(code: u16, body: &[u8], tried: &Tried) -> ClusterError {
    let tried = tried.clone();
    // What an API server answers for a group or a version that it does not serve. It is read, and what
    // follows from it is a refusal, so that a gateway that says the same does no harm.
    if code == 404 && tried.is_about_kinds() && body.trim_ascii_end() == b"404 page not found" {
        return ClusterError::Missing { tried };
    }
    let Some(status) = Status::read(code, body) else {
        let why =
            format!("something answered {code} that is not the API server, or not in its words");
        return ClusterError::Silent { tried, why };
    };
    let why = clip(&status.message, WORDS_MAX);
    match code {
        401 => ClusterError::Unauthorized,
        // A webhook or a quota forbids in other words than RBAC does.
        403 if status.message.contains(&format!("cannot {} resource", tried.verb)) => {
            ClusterError::Forbidden { tried }
        }
        404 => ClusterError::Missing { tried },
        // The time for the request ran out while it was being carried out.
        408 => ClusterError::Silent { tried, why: format!("it answered {code}") },
        // Somebody else owns a field that was to be applied.
        409 if status.message.contains("Apply failed with") => {
            ClusterError::Refused { tried, code, why }
        }
        409 => ClusterError::Moved { tried },
        422 if is_failed_test(&status.message) => ClusterError::Moved { tried },
        429 if status.reason == "TooManyRequests" => {
            let seconds = status.details.map_or(0, |it| it.retry_after_seconds);
            let after = (seconds > 0).then(|| Duration::from_secs(seconds));
            ClusterError::Overloaded { tried, after }
        }
        429 => ClusterError::Silent { tried, why: format!("it answered {code}") },
        code @ 400..=499 => ClusterError::Refused { tried, code, why },
        code => ClusterError::Silent { tried, why: format!("it answered {code}") },
    }
}

/// What an error of the connection means: nothing was proved.
pub(crate) fn unanswered(error: &kube::Error, tried: &Tried) -> ClusterError {
    tracing::debug!(%error, "the API server did not answer");
    ClusterError::Silent { tried: tried.clone(), why: "the connection failed".to_owned() }
}

/// What an error of a watch means: it ended, and proves nothing about the object.
pub(crate) fn unwatched(error: &kube::Error, tried: &Tried) -> ClusterError {
    let kube::Error::Api(status) = error else { return unanswered(error, tried) };
    let tried = tried.clone();
    if status.code == 403 && status.reason == "Forbidden" {
        return ClusterError::Forbidden { tried };
    }
    ClusterError::Silent { tried, why: format!("it answered {}", status.code) }
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

    fn answer(code: u16, message: &str) -> Vec<u8> {
        let reason = if code == 429 { "TooManyRequests" } else { "" };
        let status = serde_json::json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
            "code": code, "message": message, "reason": reason, "metadata": {}});
        status.to_string().into_bytes()
    }

    fn classify(code: u16, body: &[u8]) -> ClusterError {
        refusal(code, body, &tried())
    }

    #[test]
    fn only_a_status_of_4xx_says_that_nothing_happened() {
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
            (408, "the request timed out", "did not answer"),
            (500, "etcdserver: request timed out", "did not answer"),
            (503, "apiserver not ready", "did not answer"),
            (504, "request did not complete", "did not answer"),
        ];
        for (code, message, words) in table {
            let error = classify(code, &answer(code, message));
            assert!(error.to_string().contains(words), "{code} {message:?}: {error}");
            let silent = matches!(error, ClusterError::Silent { .. });
            assert_eq!(silent, code == 408 || code >= 500, "{code}");
            let said = error.to_string();
            let is_certain = said.contains("nothing was changed")
                || said.contains("the request changed nothing");
            assert_eq!(silent, !is_certain, "{error}");
        }
        let reset =
            kube::Error::ReadEvents(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        assert!(matches!(unanswered(&reset, &tried()), ClusterError::Silent { .. }));
    }

    /// What gateways in front of an API server answer by themselves.
    #[test]
    fn an_answer_of_something_in_between_proves_nothing() {
        let page = b"<html><head><title>404 Not Found</title></head></html>".to_vec();
        let teleport = br#"{"error":{"message":"access denied"}}"#.to_vec();
        let rancher =
            br#"{"type":"error","status":"404","code":"NotFound","message":"x"}"#.to_vec();
        let of_another_code = answer(404, "not found");
        let bare = br#"{"code":404,"message":"no such route","status":"Failure"}"#.to_vec();
        let success =
            br#"{"kind":"Status","apiVersion":"v1","status":"Success","code":404}"#.to_vec();
        let of_another_kind =
            br#"{"kind":"Error","apiVersion":"v1","status":"Failure","code":404}"#.to_vec();
        let of_another_api =
            br#"{"kind":"Status","apiVersion":"v2","status":"Failure","code":404}"#.to_vec();
        let others = [of_another_kind, of_another_api, Vec::new()];
        for body in [page, teleport, rancher, bare, success].into_iter().chain(others) {
            for code in [400, 401, 403, 404, 408, 409, 410, 422, 429, 499, 500, 502, 503] {
                let error = classify(code, &body);
                assert!(matches!(error, ClusterError::Silent { .. }), "{code}: {error}");
            }
        }
        let error = classify(403, &of_another_code);
        assert!(matches!(error, ClusterError::Silent { .. }), "{error}");
    }

    #[test]
    fn a_group_that_is_not_served_is_answered_in_plain_text_and_only_that_is() {
        let body = b"404 page not found\n";
        let kinds = Ask::kinds("example.com/v1").tried().clone();
        assert!(matches!(refusal(404, body, &kinds), ClusterError::Missing { .. }));
        assert!(matches!(refusal(404, b"<html>", &kinds), ClusterError::Silent { .. }));
        assert!(matches!(refusal(404, body, &tried()), ClusterError::Silent { .. }));
        let all = Ask::list(&Place::of_cluster("example.com/v1", "things"), 9).tried().clone();
        assert!(matches!(refusal(404, body, &all), ClusterError::Silent { .. }));
    }

    #[test]
    fn an_overload_is_the_api_servers_own_and_says_how_long_to_wait() {
        let answer = |reason: &str, seconds: u64| {
            let status = serde_json::json!({"kind": "Status", "apiVersion": "v1",
                "status": "Failure", "code": 429, "reason": reason,
                "details": {"retryAfterSeconds": seconds}});
            classify(429, &status.to_string().into_bytes())
        };
        for (seconds, after) in [(0, None), (1, Some(1)), (30, Some(30))] {
            let kind = answer("TooManyRequests", seconds).kind();
            assert_eq!(kind, ErrorKind::Retry(after.map(Duration::from_secs)), "{seconds}");
        }
        let of_a_webhook = answer("", 30);
        assert!(matches!(of_a_webhook, ClusterError::Silent { .. }), "{of_a_webhook}");
    }

    #[test]
    fn asking_once_more_helps_where_nothing_stands_in_the_way() {
        for (error, passes) in [
            (classify(503, &answer(503, "")), true),
            (classify(429, &answer(429, "")), true),
            (classify(409, &answer(409, "")), true),
            (classify(401, &answer(401, "")), false),
            (classify(404, &answer(404, "")), false),
            (classify(422, &answer(422, "bad")), false),
            (ClusterError::refused(tried(), "no"), false),
        ] {
            assert_eq!(error.is_passing(), passes, "{error}");
        }
    }

    #[test]
    fn a_watch_that_ended_proves_nothing() {
        let api = |code: u16, reason: &str| -> kube::Error {
            let status = serde_json::json!({"status": "Failure", "code": code, "reason": reason});
            kube::Error::Api(serde_json::from_value(status).unwrap())
        };
        for error in [
            api(404, "NotFound"),
            api(404, "Failed to parse error data"),
            api(403, "Failed to parse error data"),
            api(410, "Expired"),
        ] {
            assert!(matches!(unwatched(&error, &tried()), ClusterError::Silent { .. }), "{error}");
        }
        let forbidden = unwatched(&api(403, "Forbidden"), &tried());
        assert!(matches!(forbidden, ClusterError::Forbidden { .. }));
    }

    #[test]
    fn the_engine_is_told_what_to_do_first() {
        let kind = |code, message| classify(code, &answer(code, message)).into_port("a", "o").kind;
        assert_eq!(kind(401, ""), ErrorKind::Misconfigured);
        assert_eq!(kind(404, ""), ErrorKind::Misconfigured);
        assert_eq!(kind(422, "bad"), ErrorKind::Rejected);
        assert_eq!(kind(409, ""), ErrorKind::Retry(None));
        assert_eq!(kind(504, ""), ErrorKind::Retry(None));
    }
}
