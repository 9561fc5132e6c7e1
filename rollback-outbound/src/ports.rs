//! The table in the words of the engine's ports, so that each adapter says the same in the same case.

use crate::answer::{Answer, Body};
use crate::certainty::{Proved, judge};
use crate::exchange::{Exchange, Unsent};
use rollback_core::ports::{ErrorKind, PortError, StartError};
use rollback_core::{Label, Receipt, RevisionRef};

/// How an API turned an order down. Nothing happened.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "`StartError` has these two")]
pub enum TurnedDown {
    /// It does not do that.
    Refused {
        /// Its words, fit for a chat.
        why: String,
    },
    /// Something else is live than the order expects.
    Conflict {
        /// What is live, if it said so.
        live: Option<RevisionRef>,
        /// Its words, fit for a chat.
        why: String,
    },
}

/// What became of an order, in the words of the engine.
///
/// `turned_down` is the rule of the API, as in [`judge`]. `receipt` reads an answer of 2xx: `None`
/// where this API does not take an order with this status, and why in words where what it says
/// cannot be read. Both are in doubt.
///
/// # Errors
///
/// [`StartError`], with certainty first.
pub fn started(
    exchange: Exchange,
    turned_down: impl FnOnce(&Answer) -> Option<TurnedDown>,
    receipt: impl FnOnce(&Answer) -> Option<Result<Receipt, String>>,
) -> Result<Receipt, StartError> {
    let why = match judge(exchange, turned_down) {
        Proved::Unsent(why) => {
            return Err(StartError::Refused { why: format!("{}; nothing was sent", unsent(why)) });
        }
        Proved::TurnedDown(TurnedDown::Refused { why }) => {
            return Err(StartError::Refused { why });
        }
        Proved::TurnedDown(TurnedDown::Conflict { live, why }) => {
            return Err(StartError::Conflict { live, why });
        }
        Proved::InDoubt(doubt) => doubt.to_string(),
        Proved::Success(answer) => match (receipt(&answer), answer.status) {
            (Some(Ok(receipt)), _) => return Ok(receipt),
            (Some(Err(why)), status) => {
                format!("it answered {status}, and the answer cannot be read: {why}")
            }
            (None, status) => format!("it answered {status}, which proves nothing"),
        },
    };
    Err(StartError::InDoubt { why: Label::new(why).as_str().to_owned() })
}

/// The answer to a question, whatever it says.
///
/// # Errors
///
/// [`ErrorKind::Retry`] when no answer came. A question changes nothing.
pub fn answered(
    exchange: Exchange,
    adapter: &'static str,
    operation: &'static str,
) -> Result<Answer, PortError> {
    let why = match exchange {
        Exchange::Answered(answer) => return Ok(answer),
        Exchange::Unsent(why @ Unsent::BadSegment) => {
            return Err(PortError::new(ErrorKind::Rejected, adapter, operation, unsent(why)));
        }
        Exchange::Unsent(why) => unsent(why),
        Exchange::Lost(why) => why.to_string(),
    };
    Err(PortError::new(ErrorKind::Retry(None), adapter, operation, why))
}

/// An answer to a question that does not say what the API promises. Asking again may help.
#[must_use]
pub fn unreadable(why: &str, adapter: &'static str, operation: &'static str) -> PortError {
    let what = format!("the CD system's answer cannot be read: {why}");
    let what = Label::new(what).as_str().to_owned();
    PortError::new(ErrorKind::Retry(None), adapter, operation, what)
}

/// An answer to a question with a status that the API does not give there. `words` is what the
/// answer itself says, fit for a chat: see [`Answer::words`].
#[must_use]
pub fn unexpected(
    answer: &Answer,
    words: String,
    adapter: &'static str,
    operation: &'static str,
) -> PortError {
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
        status => match answer.body {
            // What it says is not known: the next one may come whole.
            Body::Cut(why) => (
                ErrorKind::Retry(answer.retry_after),
                format!("it answered {status}, and the answer cannot be read: {why}"),
            ),
            Body::Empty | Body::Json(_) | Body::Page | Body::Unreadable(_) => {
                (ErrorKind::Rejected, words)
            }
        },
    };
    PortError::new(kind, adapter, operation, what)
}

fn unsent(why: Unsent) -> String {
    match why {
        Unsent::NoConnection | Unsent::ConnectTimeout => {
            format!("the CD system could not be reached ({why})")
        }
        Unsent::Unwritable | Unsent::BadSegment => {
            format!("the CD system was not asked ({why})")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Cut;
    use crate::exchange::Lost;
    use serde_json::json;
    use std::time::Duration;

    fn refused(answer: &Answer) -> Option<TurnedDown> {
        let why = answer.text("message")?.to_owned();
        Some(match answer.status {
            409 => TurnedDown::Conflict { live: None, why },
            _ => TurnedDown::Refused { why },
        })
    }

    /// This API takes an order with 200 and `{"run": "…"}`.
    fn receipt(answer: &Answer) -> Option<Result<Receipt, String>> {
        let run = answer.text("run").map(Receipt::new);
        (answer.status == 200).then(|| run.ok_or_else(|| "it names no run".to_owned()))
    }

    fn start(exchange: Exchange) -> Result<Receipt, StartError> {
        started(exchange, refused, receipt)
    }

    fn json(status: u16, body: serde_json::Value) -> Exchange {
        Exchange::Answered(Answer::new(status, Body::Json(body)))
    }

    #[test]
    fn an_order_ends_in_one_of_four_ways() {
        let why = |why: &str| why.to_owned();
        let doubt = |it: &str| Err(StartError::InDoubt { why: why(it) });
        let table = [
            (json(200, json!({"run": "7"})), Ok(Receipt::new("7"))),
            (
                json(200, json!({})),
                doubt("it answered 200, and the answer cannot be read: it names no run"),
            ),
            (json(201, json!({"run": "7"})), doubt("it answered 201, which proves nothing")),
            (
                json(409, json!({"message": "moved"})),
                Err(StartError::Conflict { live: None, why: why("moved") }),
            ),
            (json(422, json!({"message": "no"})), Err(StartError::Refused { why: why("no") })),
            (json(422, json!({})), doubt("it answered 422, which proves nothing")),
            (Exchange::Lost(Lost::Connection), doubt("the connection was lost")),
            (
                Exchange::Unsent(Unsent::NoConnection),
                Err(StartError::Refused {
                    why: why(
                        "the CD system could not be reached (no connection); nothing was sent",
                    ),
                }),
            ),
        ];
        for (exchange, expected) in table {
            let shown = format!("{exchange:?}");
            assert_eq!(start(exchange), expected, "{shown}");
        }
    }

    #[test]
    fn a_question_without_an_answer_is_asked_again_unless_it_cannot_be_written() {
        let kind = |exchange| answered(exchange, "a", "read").unwrap_err().kind;
        assert_eq!(kind(Exchange::Lost(Lost::Connection)), ErrorKind::Retry(None));
        assert_eq!(kind(Exchange::Unsent(Unsent::NoConnection)), ErrorKind::Retry(None));
        assert_eq!(kind(Exchange::Unsent(Unsent::BadSegment)), ErrorKind::Rejected);
        assert!(answered(json(500, json!({})), "a", "read").is_ok());
    }

    #[test]
    fn an_unexpected_answer_says_what_to_do_first() {
        let after = Some(Duration::from_secs(7));
        for (status, body, kind) in [
            (302, Body::Empty, ErrorKind::Misconfigured),
            (401, Body::Empty, ErrorKind::Misconfigured),
            (403, Body::Page, ErrorKind::Misconfigured),
            (404, Body::Page, ErrorKind::Misconfigured),
            (404, Body::Empty, ErrorKind::Rejected),
            (404, Body::Cut(Cut::TooLong(9)), ErrorKind::Retry(after)),
            (408, Body::Empty, ErrorKind::Retry(after)),
            (429, Body::Empty, ErrorKind::Retry(after)),
            (503, Body::Page, ErrorKind::Retry(after)),
            (201, Body::Empty, ErrorKind::Rejected),
        ] {
            let answer = Answer::new(status, body).with_retry_after(after);
            let words = answer.words(None);
            assert_eq!(unexpected(&answer, words, "a", "read").kind, kind, "{status}");
        }
    }
}
