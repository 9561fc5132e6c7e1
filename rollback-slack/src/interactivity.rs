//! From a request's bytes to the acknowledgement, without a web framework and without waiting.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use serde::Serialize;

use crate::delivery::By;
use crate::form::{is_ssl_check, payload_of};
use crate::intake::{Ack, Intake, Interactions, Rejected};
use crate::noise::Noise;
use crate::{SignatureError, SigningSecrets, UnixSeconds};

/// The largest body that is looked at. Slack's own payloads for our views stay under 30 kB.
pub const BODY_BYTES_MAX: usize = 256 * 1024;

/// The answer to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// JSON (then `content-type: application/json` belongs to it), or empty.
    pub body: Bytes,
}

impl Reply {
    pub(crate) const fn empty(status: u16) -> Self {
        Self { status, body: Bytes::new() }
    }
}

/// Slack's callbacks over HTTP.
///
/// ```
/// use std::sync::Arc;
/// use http::HeaderMap;
/// use rollback_slack::{Accepted, Click, ClickAck, Closing, ClosingAck, Intake, Interactions};
/// use rollback_slack::{Interactivity, SigningSecrets, Submission, SubmissionAck, UnixSeconds};
///
/// struct Deploys;
/// impl Interactions for Deploys {
///     fn clicked(&self, click: Click) -> ClickAck {
///         match click.action.action_id.as_str() {
///             "rollback_open" => ClickAck::Taken, // and spawn what is slow
///             _ => ClickAck::NotOurs,
///         }
///     }
///     fn submitted(&self, _: Submission) -> SubmissionAck { SubmissionAck::NotOurs }
///     fn closed(&self, _: Closing) -> ClosingAck { ClosingAck::NotOurs }
/// }
///
/// let intake = Arc::new(Intake::new(Accepted::app("A1"), Deploys));
/// let interactivity = Interactivity::new(SigningSecrets::new(&"secret".into())?, intake);
/// let reply = interactivity.handle(&HeaderMap::new(), b"payload=%7B%7D", UnixSeconds::now());
/// assert_eq!(reply.status, 401);
/// # Ok::<(), rollback_slack::EmptySecret>(())
/// ```
#[derive(Debug)]
pub struct Interactivity<H> {
    secrets: SigningSecrets,
    intake: Arc<Intake<H>>,
    noise: Noise,
}

impl<H: Interactions> Interactivity<H> {
    /// Takes what proves Slack's requests, and what becomes of them.
    #[must_use]
    pub fn new(secrets: SigningSecrets, intake: Arc<Intake<H>>) -> Self {
        Self { secrets, intake, noise: Noise::default() }
    }

    /// The intake that this is a way into.
    #[must_use]
    pub const fn intake(&self) -> &Arc<Intake<H>> {
        &self.intake
    }

    /// Answers one request. Never waits and never calls out; what is wrong is counted, logged
    /// without its content, and told to the sender as a status alone.
    #[must_use]
    pub fn handle(&self, headers: &HeaderMap, body: &[u8], now: UnixSeconds) -> Reply {
        let counters = self.intake.counters();
        if body.len() > BODY_BYTES_MAX {
            counters.too_large();
            return Reply::empty(413);
        }
        // The signature is over these bytes; who decoded them would read others.
        if is_encoded(headers) {
            counters.encoded();
            return Reply::empty(415);
        }
        // Unsigned, and therefore the end of it, whatever else the form carries.
        if is_ssl_check(body) {
            counters.ssl_checks();
            return Reply::empty(200);
        }
        let genuine = match self.secrets.verify(headers, body, now) {
            Ok(genuine) => genuine,
            Err(error) => {
                match error {
                    SignatureError::Stale { .. } => counters.stale(),
                    SignatureError::Missing(_)
                    | SignatureError::Repeated(_)
                    | SignatureError::TimestampMalformed
                    | SignatureError::SignatureMalformed
                    | SignatureError::Mismatch => counters.bad_signatures(),
                }
                if let Some(requests) = self.noise.hear(Instant::now()) {
                    tracing::warn!(%error, requests, "what nobody signed was not accepted");
                }
                return Reply::empty(401);
            }
        };
        let payload = match payload_of(genuine.body()) {
            Ok(payload) => payload,
            Err(error) => {
                counters.bad_forms();
                tracing::warn!(%error, "an interaction was not accepted");
                return Reply::empty(400);
            }
        };
        match self.intake.take(&payload, By::Signature(genuine.digest()), now) {
            Ok(ack) => acknowledged(&ack),
            Err(Rejected::Unreadable) => Reply::empty(400),
            Err(Rejected::Foreign) => Reply::empty(403),
        }
    }
}

/// Whether a request says that its body is encoded.
fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .any(|encoding| !encoding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity"))
}

fn acknowledged(ack: &Ack) -> Reply {
    let response = match ack {
        Ack::Empty => return Reply::empty(200),
        Ack::Busy => return Reply::empty(503),
        Ack::Respond(response) => response,
    };
    response.to_json().map_or_else(
        |error| {
            tracing::error!(%error, "an acknowledgement could not be written");
            Reply::empty(500)
        },
        |json| Reply { status: 200, body: Bytes::from(json) },
    )
}

/// What stands in the body of an acknowledgement.
#[derive(Debug, Serialize)]
pub(crate) struct Response {
    response_action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<std::collections::BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    view: Option<crate::Json>,
}

impl Response {
    pub(crate) const fn clear() -> Self {
        Self { response_action: "clear", errors: None, view: None }
    }

    pub(crate) const fn errors(errors: std::collections::BTreeMap<String, String>) -> Self {
        Self { response_action: "errors", errors: Some(errors), view: None }
    }

    pub(crate) const fn update(view: crate::Json) -> Self {
        Self { response_action: "update", errors: None, view: Some(view) }
    }

    pub(crate) const fn push(view: crate::Json) -> Self {
        Self { response_action: "push", errors: None, view: Some(view) }
    }

    pub(crate) fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}
