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
//! A page of HTML proves nothing: it comes from something in between. Nor does an answer that did not
//! come whole. [`rollback_outbound`] has the table that holds for every API.

use crate::backend::ADAPTER;
use crate::wire::{Accepted, Execution, Revision, Service, Voided, address};
use rollback_core::ports::{Cancelled, ErrorKind, Fenced, PortError, StartError};
use rollback_core::{LABEL_LENGTH_MAX, Progress, Receipt, RevisionRef, WaitsFor};
use rollback_outbound::{Answer, Body, Exchange, TurnedDown};
use serde_json::Value;

/// The words of an answer's problem details, cut to what a chat shows.
fn words(answer: &Answer) -> String {
    let Some(what) = answer.text("detail").or_else(|| answer.text("title")) else {
        return answer.words(None);
    };
    let fields = match &answer.body {
        Body::Json(value) => value.get("errors").and_then(Value::as_array).map(Vec::as_slice),
        Body::Empty | Body::Page | Body::Unreadable(_) | Body::Cut(_) => None,
    };
    let fields = fields.unwrap_or_default().iter().filter_map(|field| {
        let text = |name: &str| field.get(name).and_then(Value::as_str);
        Some(format!("; {}: {}", text("pointer")?, text("detail")?))
    });
    answer.words(Some(fields.fold(what.to_owned(), |all, field| all + &field)))
}

/// The rule of this contract: whether the CD system itself says that it turned an order away before
/// it did anything. [`rollback_outbound::judge`] says which answers it is asked about.
fn turned_down(answer: &Answer) -> Option<TurnedDown> {
    let is_problem = || match &answer.body {
        Body::Json(value) => value.get("title").or_else(|| value.get("detail")).is_some(),
        Body::Empty | Body::Page | Body::Unreadable(_) | Body::Cut(_) => false,
    };
    let why = words(answer);
    match answer.status {
        409 => Some(TurnedDown::Conflict { live: live_of(&answer.body), why }),
        // By the contract, and by what HTTP itself says 401 and 403 mean.
        404 | 422 | 401 | 403 => Some(TurnedDown::Refused { why }),
        400..=499 if is_problem() => Some(TurnedDown::Refused { why }),
        _ => None,
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
pub(crate) fn started(exchange: Exchange) -> Result<Receipt, StartError> {
    rollback_outbound::started(exchange, turned_down, |answer| {
        let accepted = (answer.status == 202).then(|| answer.json::<Accepted>());
        accepted.map(|read| read.and_then(|it| receipt(&it.execution_id, it.execution_url)))
    })
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
    exchange: Exchange,
    operation: &'static str,
) -> Result<Option<(Receipt, Progress)>, PortError> {
    let answer = answered(exchange, operation)?;
    match answer.status {
        404 if is_whole(&answer) => Ok(None),
        200 => {
            let read = answer.json::<Execution>().and_then(|execution| {
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
pub(crate) fn service(exchange: Exchange, operation: &'static str) -> Result<Service, PortError> {
    let answer = answered(exchange, operation)?;
    match answer.status {
        200 => answer.json().map_err(|why| unreadable(&why, operation)),
        _ => Err(unexpected(&answer, operation)),
    }
}

/// What the answer to a cancellation means.
pub(crate) fn cancelled(
    exchange: Exchange,
    operation: &'static str,
) -> Result<Cancelled, PortError> {
    let answer = answered(exchange, operation)?;
    match answer.status {
        // The status is the whole answer.
        202 => Ok(Cancelled::Requested),
        409 if is_whole(&answer) => Ok(Cancelled::TooLate),
        _ => Err(unexpected(&answer, operation)),
    }
}

/// What the answer to a fence means. `None`: the order was accepted before the fence came, and
/// has to be there when it is looked for.
pub(crate) fn fenced(
    exchange: Exchange,
    operation: &'static str,
) -> Result<Option<Fenced>, PortError> {
    let answer = answered(exchange, operation)?;
    match answer.status {
        200 => match answer.json::<Voided>() {
            Ok(Voided { voided: true, .. }) => Ok(Some(Fenced::Done)),
            Ok(_) => Err(unreadable("its `voided` is not `true`", operation)),
            Err(why) => Err(unreadable(&why, operation)),
        },
        409 if is_whole(&answer) => Ok(None),
        404 | 405 | 501 => {
            let what = "the configuration says that this CD system can fence, and it answers that \
                        it cannot; correct `fence`";
            Err(PortError::new(ErrorKind::Misconfigured, ADAPTER, operation, what))
        }
        _ => Err(unexpected(&answer, operation)),
    }
}

/// Whether the CD system may have given this answer, and gave all of it.
const fn is_whole(answer: &Answer) -> bool {
    match answer.body {
        Body::Empty | Body::Json(_) | Body::Unreadable(_) => true,
        Body::Page | Body::Cut(_) => false,
    }
}

fn answered(exchange: Exchange, operation: &'static str) -> Result<Answer, PortError> {
    rollback_outbound::answered(exchange, ADAPTER, operation)
}

fn unreadable(why: &str, operation: &'static str) -> PortError {
    rollback_outbound::unreadable(why, ADAPTER, operation)
}

/// An answer that the contract does not give here.
fn unexpected(answer: &Answer, operation: &'static str) -> PortError {
    rollback_outbound::unexpected(answer, words(answer), ADAPTER, operation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rollback_outbound::{Cut, Unreadable};
    use serde_json::json;

    fn bodies() -> impl Strategy<Value = Body> {
        prop_oneof![
            Just(Body::Empty),
            Just(Body::Page),
            Just(Body::Unreadable(Unreadable::Malformed)),
            Just(Body::Cut(Cut::TooLong(9))),
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
            let whole = !matches!(body, Body::Page | Body::Cut(_));
            let seen = Exchange::Answered(Answer::new(status, body));
            match started(seen) {
                Ok(_receipt) => prop_assert_eq!(status, 202),
                Err(StartError::Conflict { .. }) => prop_assert!(status == 409 && whole),
                Err(StartError::Refused { .. }) => {
                    prop_assert!((400..500).contains(&status) && whole);
                    prop_assert!(![408, 409, 425, 429].contains(&status));
                }
                Err(StartError::InDoubt { .. }) => {}
            }
        }

        #[test]
        fn an_answer_to_anything_else_is_good_only_under_the_status_of_the_contract(
            status in 100_u16..1000, body in bodies(),
        ) {
            let seen = || Exchange::Answered(Answer::new(status, body.clone()));
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
