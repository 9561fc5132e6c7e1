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

    fn seen(status: u16, body: Body) -> Exchange {
        Exchange::Answered(Answer::new(status, body))
    }

    fn kind<T>(read: Result<T, PortError>) -> Result<T, ErrorKind> {
        read.map_err(|error| error.kind)
    }

    /// The words of a problem, as any CD system may give them.
    fn problem() -> Body {
        Body::Json(json!({"title": "No", "detail": "not today"}))
    }

    #[test]
    fn an_answer_to_an_order_proves_what_the_table_says() {
        let refused = |why: &str| Err(StartError::Refused { why: why.to_owned() });
        let conflict = |live, why: &str| Err(StartError::Conflict { live, why: why.to_owned() });
        let doubt = |why: &str| Err(StartError::InDoubt { why: why.to_owned() });
        let mut linked = Receipt::new("run-7");
        linked.url = Some("https://cd.example.com/runs/7".to_owned());
        let run = json!({"execution_id": "run-7", "execution_url": linked.url});
        let live = json!({"detail": "live has moved", "live": {"id": "43"}});
        let moved = "43".parse().map(RevisionRef::new).ok();
        let nobody = json!({"detail": "nothing is live", "live": null});
        let errors = json!({"title": "Unprocessable", "errors": [
            {"pointer": "#/target", "detail": "too old"}, {"detail": "of nothing"},
        ]});
        for (status, body, expected) in [
            (202, Body::Json(run.clone()), Ok(linked)),
            (
                202,
                Body::Json(json!({"execution_id": ""})),
                doubt(
                    "it answered 202, and the answer cannot be read: its `execution_id` is empty",
                ),
            ),
            (200, Body::Json(run), doubt("it answered 200, which proves nothing")),
            (409, Body::Json(live), conflict(moved, "live has moved")),
            (409, Body::Json(nobody), conflict(None, "nothing is live")),
            (409, Body::Empty, conflict(None, "it answered 409")),
            (401, Body::Empty, refused("it answered 401")),
            (403, problem(), refused("not today")),
            (404, Body::Unreadable(Unreadable::NotJson), refused("it answered 404")),
            (422, Body::Json(errors), refused("Unprocessable; #/target: too old")),
            (413, problem(), refused("not today")),
            (413, Body::Json(json!({"title": "Too large"})), refused("Too large")),
            (413, Body::Json(json!({})), doubt("it answered 413, which proves nothing")),
            (413, Body::Empty, doubt("it answered 413, which proves nothing")),
            (429, problem(), doubt("it answered 429, which proves nothing")),
            (503, problem(), doubt("it answered 503, which proves nothing")),
        ] {
            let shown = format!("{status} {body:?}");
            assert_eq!(started(seen(status, body)), expected, "{shown}");
        }
    }

    #[test]
    fn an_execution_is_there_or_a_whole_404_says_that_it_is_not() {
        let run = json!({"execution_id": "run-7", "phase": "complete", "live": {"id": "41"}});
        let mut complete = Progress::new(rollback_core::Phase::Complete);
        complete.live = "41".parse().map(RevisionRef::new).ok();
        let unread = Err(ErrorKind::Retry(None));
        for (status, body, expected) in [
            (200, Body::Json(run), Ok(Some((Receipt::new("run-7"), complete)))),
            (200, Body::Json(json!({"phase": "complete"})), unread.clone()),
            (404, Body::Empty, Ok(None)),
            (404, problem(), Ok(None)),
            (404, Body::Unreadable(Unreadable::NotJson), Ok(None)),
            (404, Body::Page, Err(ErrorKind::Misconfigured)),
            (404, Body::Cut(Cut::TooLong(9)), unread),
            (410, Body::Empty, Err(ErrorKind::Rejected)),
        ] {
            let shown = format!("{status} {body:?}");
            assert_eq!(kind(execution(seen(status, body), "find")), expected, "{shown}");
        }
    }

    #[test]
    fn a_service_is_read_from_a_200_alone() {
        let body = || Body::Json(json!({"live": {"id": "42"}, "revisions": []}));
        let read = service(seen(200, body()), "live").unwrap();
        assert_eq!(read.live.map(|it| it.id.to_string()).as_deref(), Some("42"));
        assert_eq!(kind(service(seen(201, body()), "live")), Err(ErrorKind::Rejected));
        let null = Body::Json(json!(null));
        assert_eq!(kind(service(seen(200, null), "live")), Err(ErrorKind::Retry(None)));
    }

    #[test]
    fn a_cancellation_is_taken_or_too_late_or_the_answer_is_an_error() {
        for (status, body, expected) in [
            (202, Body::Empty, Ok(Cancelled::Requested)),
            (409, Body::Empty, Ok(Cancelled::TooLate)),
            (409, problem(), Ok(Cancelled::TooLate)),
            (409, Body::Page, Err(ErrorKind::Rejected)),
            (409, Body::Cut(Cut::TooLong(9)), Err(ErrorKind::Retry(None))),
            (404, Body::Empty, Err(ErrorKind::Rejected)),
        ] {
            let shown = format!("{status} {body:?}");
            assert_eq!(kind(cancelled(seen(status, body), "cancel")), expected, "{shown}");
        }
    }

    #[test]
    fn a_fence_is_done_or_came_too_late_or_the_answer_is_an_error() {
        let voided = |voided| Body::Json(json!({"operation_id": "rb-1", "voided": voided}));
        for (status, body, expected) in [
            (200, voided(true), Ok(Some(Fenced::Done))),
            (200, voided(false), Err(ErrorKind::Retry(None))),
            (200, Body::Empty, Err(ErrorKind::Retry(None))),
            (409, Body::Empty, Ok(None)),
            (409, Body::Page, Err(ErrorKind::Rejected)),
            (404, Body::Empty, Err(ErrorKind::Misconfigured)),
            (405, Body::Empty, Err(ErrorKind::Misconfigured)),
            (501, Body::Empty, Err(ErrorKind::Misconfigured)),
            (500, Body::Empty, Err(ErrorKind::Retry(None))),
        ] {
            let shown = format!("{status} {body:?}");
            assert_eq!(kind(fenced(seen(status, body), "fence")), expected, "{shown}");
        }
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
