//! What an answer means: pure, and decided for every answer there can be.
//!
//! | the answer to an order | what it proves |
//! |---|---|
//! | 202 with an `execution_id` | it was taken |
//! | 409 | it was not: something else is live |
//! | 404, 422; 401, 403 | it was not |
//! | any other 4xx that is a problem of RFC 9457, but 408, 425 and 429 | it was not |
//! | no connection | it was not sent |
//! | everything else | nothing |
//!
//! A page of HTML is nobody's word: it comes from whatever stands between.

use crate::backend::ADAPTER;
use crate::wire::{Accepted, Execution, Revision, Service, Voided, address};
use rollback_core::ports::{Cancelled, ErrorKind, Fenced, PortError, StartError};
use rollback_core::{LABEL_LENGTH_MAX, Label, Progress, Receipt, RevisionRef, WaitsFor};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;

/// What became of a request.
#[derive(Clone, Debug)]
pub(crate) enum Seen {
    /// Proved: not a byte of it was sent.
    Unsent(String),
    /// It was sent, or it may have been, and no answer came.
    Lost(String),
    /// An answer came.
    Answered(Answer),
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Body,
}

/// The body of an answer.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Empty,
    Json(Value),
    /// A page for people, from whatever stands between.
    Page,
    Unreadable(String),
}

impl Answer {
    /// Its body as what the contract says. In words, why not.
    fn read<T: DeserializeOwned>(&self) -> Result<T, String> {
        match &self.body {
            Body::Json(value) => T::deserialize(value).map_err(|error| error.to_string()),
            Body::Empty => Err("it has no body".to_owned()),
            Body::Page => Err("it is a page of HTML".to_owned()),
            Body::Unreadable(why) => Err(why.clone()),
        }
    }

    /// The words of its problem details, cut to what a chat shows.
    fn words(&self) -> String {
        let Body::Json(value) = &self.body else {
            return format!("it answered {}", self.status);
        };
        let said = |name: &str| value.get(name).and_then(Value::as_str).filter(|it| !it.is_empty());
        let Some(what) = said("detail").or_else(|| said("title")) else {
            return format!("it answered {}", self.status);
        };
        let fields = value.get("errors").and_then(Value::as_array).map(Vec::as_slice);
        let fields = fields.unwrap_or_default().iter().filter_map(|field| {
            let text = |name: &str| field.get(name).and_then(Value::as_str);
            Some(format!("; {}: {}", text("pointer")?, text("detail")?))
        });
        let all = fields.fold(what.to_owned(), |all, field| all + &field);
        Label::new(all).as_str().to_owned()
    }

    /// Whether the CD system itself says that it turned an order away before it did anything.
    fn proves_that_nothing_happened(&self) -> bool {
        let page = matches!(self.body, Body::Page);
        let problem = match &self.body {
            Body::Json(value) => value.get("title").or_else(|| value.get("detail")).is_some(),
            Body::Empty | Body::Page | Body::Unreadable(_) => false,
        };
        match self.status {
            // By the contract, and by what HTTP itself says these two mean.
            404 | 409 | 422 | 401 | 403 => !page,
            // Something between may say so of a request that it has passed on.
            408 | 425 | 429 => false,
            400..=499 => problem,
            _ => false,
        }
    }
}

/// An execution's name must be one that we can compare later.
fn receipt(execution_id: &str, url: Option<String>) -> Result<Receipt, String> {
    if execution_id.is_empty() {
        return Err("its `execution_id` is empty".to_owned());
    }
    if execution_id.chars().nth(LABEL_LENGTH_MAX).is_some() {
        return Err(format!("its `execution_id` has more than {LABEL_LENGTH_MAX} characters"));
    }
    let mut receipt = Receipt::new(execution_id);
    receipt.url = address(url);
    Ok(receipt)
}

/// What the answer to an order means.
pub(crate) fn started(seen: Seen) -> Result<Receipt, StartError> {
    let answer = match seen {
        Seen::Unsent(why) => {
            let why = format!("the CD system could not be reached ({why}); nothing was sent");
            return Err(StartError::Refused { why });
        }
        Seen::Lost(why) => return Err(StartError::InDoubt { why }),
        Seen::Answered(answer) => answer,
    };
    if answer.proves_that_nothing_happened() {
        let why = answer.words();
        return Err(match answer.status {
            409 => StartError::Conflict { live: live_of(&answer.body), why },
            _ => StartError::Refused { why },
        });
    }
    let why = match answer.status {
        202 => match answer
            .read::<Accepted>()
            .and_then(|it| receipt(&it.execution_id, it.execution_url))
        {
            Ok(receipt) => return Ok(receipt),
            Err(why) => format!("it answered 202, and the answer cannot be read: {why}"),
        },
        status => format!("it answered {status}, which proves nothing"),
    };
    Err(StartError::InDoubt { why: Label::new(why).as_str().to_owned() })
}

/// What a conflict says is live.
fn live_of(body: &Body) -> Option<RevisionRef> {
    let Body::Json(value) = body else { return None };
    let live = Revision::deserialize_from(value.get("live")?)?;
    Some(live.reference())
}

impl Revision {
    fn deserialize_from(value: &Value) -> Option<Self> {
        serde::Deserialize::deserialize(value).ok()
    }
}

/// What the answer to a question about an order means: the order, or that it was never accepted.
pub(crate) fn execution(
    seen: Seen,
    operation: &'static str,
) -> Result<Option<(Receipt, Progress)>, PortError> {
    let answer = answered(seen, operation)?;
    match answer.status {
        404 if !matches!(answer.body, Body::Page) => Ok(None),
        200 => {
            let read = answer.read::<Execution>().and_then(|execution| {
                let receipt = receipt(&execution.execution_id, execution.execution_url)?;
                let mut progress = Progress::new(execution.phase);
                progress.message = execution.message;
                progress.live = execution.live.as_ref().map(Revision::reference);
                progress.waits_for = execution.waits.map(WaitsFor::from);
                Ok((receipt, progress))
            });
            read.map(Some).map_err(|why| unreadable(&why, operation))
        }
        _ => Err(unexpected(&answer, operation)),
    }
}

/// What the answer to a question about a service means.
pub(crate) fn service(seen: Seen, operation: &'static str) -> Result<Service, PortError> {
    let answer = answered(seen, operation)?;
    match answer.status {
        200 => answer.read().map_err(|why| unreadable(&why, operation)),
        _ => Err(unexpected(&answer, operation)),
    }
}

/// What the answer to a cancellation means.
pub(crate) fn cancelled(seen: Seen, operation: &'static str) -> Result<Cancelled, PortError> {
    let answer = answered(seen, operation)?;
    match answer.status {
        // The status is the whole answer.
        202 => Ok(Cancelled::Requested),
        409 if !matches!(answer.body, Body::Page) => Ok(Cancelled::TooLate),
        _ => Err(unexpected(&answer, operation)),
    }
}

/// What the answer to a fence means. `None`: the order was accepted before the fence came, and
/// has to be there when it is looked for.
pub(crate) fn fenced(seen: Seen, operation: &'static str) -> Result<Option<Fenced>, PortError> {
    let answer = answered(seen, operation)?;
    match answer.status {
        200 => match answer.read::<Voided>() {
            Ok(Voided { voided: true, .. }) => Ok(Some(Fenced::Done)),
            Ok(_) => Err(unreadable("its `voided` is not `true`", operation)),
            Err(why) => Err(unreadable(&why, operation)),
        },
        409 if !matches!(answer.body, Body::Page) => Ok(None),
        404 | 405 | 501 => {
            let what = "the configuration says that this CD system can fence, and it answers that \
                        it cannot; correct `fence`";
            Err(PortError::new(ErrorKind::Misconfigured, ADAPTER, operation, what))
        }
        _ => Err(unexpected(&answer, operation)),
    }
}

fn answered(seen: Seen, operation: &'static str) -> Result<Answer, PortError> {
    let why = match seen {
        Seen::Answered(answer) => return Ok(answer),
        Seen::Unsent(why) => format!("the CD system could not be reached ({why})"),
        Seen::Lost(why) => why,
    };
    Err(PortError::new(ErrorKind::Retry(None), ADAPTER, operation, why))
}

fn unreadable(why: &str, operation: &'static str) -> PortError {
    let what = format!("the CD system's answer cannot be read: {why}");
    let what = Label::new(what).as_str().to_owned();
    PortError::new(ErrorKind::Retry(None), ADAPTER, operation, what)
}

/// An answer that the contract does not give here.
fn unexpected(answer: &Answer, operation: &'static str) -> PortError {
    let words = answer.words();
    let (kind, what) = match answer.status {
        401 | 403 => (
            ErrorKind::Misconfigured,
            format!("the CD system does not accept the token for this ({words}); correct it"),
        ),
        300..=399 => (
            ErrorKind::Misconfigured,
            "the CD system sends us elsewhere, where the token must not go; correct `url`"
                .to_owned(),
        ),
        408 | 425 | 429 | 500..=599 => (ErrorKind::Retry(answer.retry_after), words),
        404 if matches!(answer.body, Body::Page) => (
            ErrorKind::Misconfigured,
            "a page of HTML says that there is nothing here; correct `url`".to_owned(),
        ),
        _ => (ErrorKind::Rejected, words),
    };
    PortError::new(kind, ADAPTER, operation, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn bodies() -> impl Strategy<Value = Body> {
        prop_oneof![
            Just(Body::Empty),
            Just(Body::Page),
            Just(Body::Unreadable("garbage".to_owned())),
            Just(Body::Json(json!({"execution_id": "run-7", "voided": true, "phase": "complete"}))),
            Just(Body::Json(json!({"title": "No", "detail": "not today", "live": {"id": "43"}}))),
            Just(Body::Json(json!([null, "x", {"detail": 7}]))),
        ]
    }

    proptest! {
        #[test]
        fn only_202_is_a_receipt_and_only_a_4xx_proves_that_nothing_happened(
            status in 100_u16..1000, body in bodies(),
        ) {
            let page = matches!(body, Body::Page);
            let seen = Seen::Answered(Answer { status, retry_after: None, body });
            match started(seen) {
                Ok(_receipt) => prop_assert_eq!(status, 202),
                Err(StartError::Conflict { .. }) => prop_assert!(status == 409 && !page),
                Err(StartError::Refused { .. }) => {
                    prop_assert!((400..500).contains(&status) && !page);
                    prop_assert!(![408, 409, 425, 429].contains(&status));
                }
                Err(StartError::InDoubt { .. }) => {}
            }
        }

        #[test]
        fn an_answer_to_anything_else_is_good_only_under_the_status_of_the_contract(
            status in 100_u16..1000, body in bodies(),
        ) {
            let seen = || Seen::Answered(Answer { status, retry_after: None, body: body.clone() });
            match execution(seen(), "test") {
                Ok(Some(_found)) => prop_assert_eq!(status, 200),
                Ok(None) => prop_assert_eq!(status, 404),
                Err(_) => {}
            }
            if let Ok(fenced) = fenced(seen(), "test") {
                prop_assert_eq!(status, if fenced.is_some() { 200 } else { 409 });
            }
            if let Ok(cancelled) = cancelled(seen(), "test") {
                prop_assert_eq!(status, if cancelled == Cancelled::Requested { 202 } else { 409 });
            }
            if service(seen(), "test").is_ok() {
                prop_assert_eq!(status, 200);
            }
        }
    }
}
