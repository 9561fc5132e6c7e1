//! The certainty table: what became of a request, and what that proves about its effect. Pure.
//!
//! | what became of the request | what it proves |
//! |---|---|
//! | not a byte was sent | nothing happened |
//! | no answer: time-out, reset, something that is not HTTP | nothing |
//! | an answer that did not come whole | nothing |
//! | 1xx, 3xx, 5xx, a status outside 100 to 599 | nothing |
//! | 408, 425, 429 | nothing: something in between may say so of a request that it passed on |
//! | a page of HTML, whatever its status | nothing: it comes from something in between |
//! | another 4xx that the rule of the API recognizes as the API's own | nothing happened |
//! | another 4xx that it does not | nothing |
//! | 2xx | the API says that it did something; the adapter reads what |

use crate::answer::{Answer, Body, Cut};
use crate::exchange::{Exchange, Lost, Unsent};

/// What is proved about the effect of a request. `R` is what the rule of the API makes of an answer
/// that turned it down.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "each must be decided on, and there is no fifth")]
pub enum Proved<R> {
    /// Nothing happened: it was not sent.
    Unsent(Unsent),
    /// Nothing happened: the API turned it down before it did anything.
    TurnedDown(R),
    /// A complete answer of 2xx that is no HTML page. Whether the API took the request is in what it says;
    /// if that cannot be read, the request is in doubt.
    Success(Answer),
    /// Nothing is known. It may have happened, or may happen yet.
    InDoubt(InDoubt),
}

/// Why it is not known whether a request had an effect. In words for a chat.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InDoubt {
    /// No answer came.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// An answer came, and not all of it.
    #[error("it answered {status}, and the answer cannot be read: {why}")]
    Cut {
        /// Its status.
        status: u16,
        /// Why it is not whole.
        why: Cut,
    },
    /// A page came, where the API answers with data.
    #[error("it answered {status}, and the answer cannot be read: it is a page of HTML")]
    Page {
        /// Its status.
        status: u16,
    },
    /// An answer came that says nothing about the effect.
    #[error("it answered {status}, which proves nothing")]
    Status {
        /// Its status.
        status: u16,
    },
}

/// What an exchange proves about the effect of its request.
///
/// `turned_down` is the one thing that an adapter adds: it recognizes the answers by which *its* API
/// says that it did nothing, and none that something in between could give. It is asked only about a
/// 4xx that came whole, is no page, and is none of 408, 425 and 429. Whatever it says, no other
/// exchange is a refusal.
///
/// ```
/// use rollback_outbound::{Answer, Exchange, Proved, Redactor, judge};
///
/// // This API gives every error a code.
/// let own = |answer: &Answer| answer.text("code").map(str::to_owned);
/// let answer = |status, body: &[u8]| {
///     let answer = Answer::parse(status, Some("application/json"), body, &Redactor::default());
///     judge(Exchange::Answered(answer), own)
/// };
/// assert_eq!(answer(404, br#"{"code":"NoSuchApp"}"#), Proved::TurnedDown("NoSuchApp".into()));
/// assert!(matches!(answer(404, b"{}"), Proved::InDoubt(_)), "a stray 404 proves nothing");
/// assert!(matches!(answer(503, br#"{"code":"Busy"}"#), Proved::InDoubt(_)));
/// ```
pub fn judge<R>(exchange: Exchange, turned_down: impl FnOnce(&Answer) -> Option<R>) -> Proved<R> {
    let answer = match exchange {
        Exchange::Unsent(why) => return Proved::Unsent(why),
        Exchange::Lost(why) => return Proved::InDoubt(InDoubt::Lost(why)),
        Exchange::Answered(answer) => answer,
    };
    let status = answer.status;
    match &answer.body {
        Body::Cut(why) => return Proved::InDoubt(InDoubt::Cut { status, why: *why }),
        Body::Page => return Proved::InDoubt(InDoubt::Page { status }),
        Body::Empty | Body::Json(_) | Body::Unreadable(_) => {}
    }
    match status {
        200..=299 => Proved::Success(answer),
        408 | 425 | 429 => Proved::InDoubt(InDoubt::Status { status }),
        400..=499 => turned_down(&answer)
            .map_or(Proved::InDoubt(InDoubt::Status { status }), Proved::TurnedDown),
        _ => Proved::InDoubt(InDoubt::Status { status }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Unreadable;
    use proptest::prelude::*;
    use serde_json::json;
    use std::time::Duration;

    const LATE: Lost = Lost::Timeout(Duration::from_secs(10));

    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    enum Row {
        NothingHappened,
        Success,
        InDoubt,
    }

    fn row<R>(proved: &Proved<R>) -> Row {
        match proved {
            Proved::Unsent(_) | Proved::TurnedDown(_) => Row::NothingHappened,
            Proved::Success(_) => Row::Success,
            Proved::InDoubt(_) => Row::InDoubt,
        }
    }

    fn answered(status: u16, body: Body) -> Exchange {
        Exchange::Answered(Answer::new(status, body))
    }

    /// The rule of an API whose errors have a code.
    fn own(answer: &Answer) -> Option<String> {
        answer.text("code").map(str::to_owned)
    }

    #[test]
    fn each_exchange_proves_what_the_table_says() {
        use Row::{InDoubt, NothingHappened, Success};
        let own_word = || Body::Json(json!({"code": "NoSuchApp"}));
        for (exchange, expected) in [
            (Exchange::Unsent(Unsent::NoConnection), NothingHappened),
            (Exchange::Unsent(Unsent::ConnectTimeout), NothingHappened),
            (Exchange::Unsent(Unsent::Unwritable), NothingHappened),
            (Exchange::Unsent(Unsent::BadSegment), NothingHappened),
            (Exchange::Lost(Lost::Connection), InDoubt),
            (Exchange::Lost(LATE), InDoubt),
            (answered(100, own_word()), InDoubt),
            (answered(200, Body::Json(json!({}))), Success),
            (answered(204, Body::Empty), Success),
            (answered(202, Body::Unreadable(Unreadable::Malformed)), Success),
            (answered(202, Body::Page), InDoubt),
            (answered(202, Body::Cut(Cut::TooLong(9))), InDoubt),
            (answered(307, own_word()), InDoubt),
            (answered(400, own_word()), NothingHappened),
            (answered(404, own_word()), NothingHappened),
            (answered(404, Body::Empty), InDoubt),
            (answered(404, Body::Page), InDoubt),
            (answered(404, Body::Json(json!({"message": "no route"}))), InDoubt),
            (answered(404, Body::Unreadable(Unreadable::NotJson)), InDoubt),
            (answered(404, Body::Cut(Cut::Lost(LATE))), InDoubt),
            (answered(408, own_word()), InDoubt),
            (answered(425, own_word()), InDoubt),
            (answered(429, own_word()), InDoubt),
            (answered(499, own_word()), NothingHappened),
            (answered(500, own_word()), InDoubt),
            (answered(503, own_word()), InDoubt),
            (answered(999, own_word()), InDoubt),
        ] {
            let shown = format!("{exchange:?}");
            assert_eq!(row(&judge(exchange, own)), expected, "{shown}");
        }
    }

    #[test]
    fn a_doubt_is_told_in_words() {
        for (doubt, words) in [
            (InDoubt::Lost(LATE), "no answer within 10 s"),
            (InDoubt::Lost(Lost::Connection), "the connection was lost"),
            (InDoubt::Status { status: 503 }, "it answered 503, which proves nothing"),
            (
                InDoubt::Page { status: 404 },
                "it answered 404, and the answer cannot be read: it is a page of HTML",
            ),
            (
                InDoubt::Cut { status: 202, why: Cut::TooLong(9) },
                "it answered 202, and the answer cannot be read: it is longer than 9 bytes",
            ),
        ] {
            assert_eq!(doubt.to_string(), words);
        }
    }

    fn bodies() -> impl Strategy<Value = Body> {
        prop_oneof![
            Just(Body::Empty),
            Just(Body::Page),
            Just(Body::Json(json!({"code": "No"}))),
            Just(Body::Json(json!([null, 7]))),
            Just(Body::Unreadable(Unreadable::Malformed)),
            Just(Body::Unreadable(Unreadable::NotJson)),
            Just(Body::Cut(Cut::TooLong(1))),
            Just(Body::Cut(Cut::Lost(Lost::Connection))),
        ]
    }

    proptest! {
        /// A rule that is wrong about its API cannot make more of an answer than the table allows.
        #[test]
        fn no_rule_turns_doubt_into_a_refusal(status in 0_u16..2000, body in bodies()) {
            let whole = !matches!(body, Body::Page | Body::Cut(_));
            let may = whole && (400..500).contains(&status) && ![408, 425, 429].contains(&status);
            let proved = judge(answered(status, body.clone()), |_| Some(()));
            prop_assert_eq!(proved == Proved::TurnedDown(()), may);
            let proved = judge(answered(status, body), |_| None::<()>);
            prop_assert!(!matches!(proved, Proved::TurnedDown(()) | Proved::Unsent(_)));
        }

        /// Success is said by 2xx alone, and a rule is not asked about it.
        #[test]
        fn success_is_a_whole_2xx(status in 0_u16..2000, body in bodies()) {
            let whole = !matches!(body, Body::Page | Body::Cut(_));
            let proved = judge(answered(status, body), |_| Some(()));
            let success = matches!(proved, Proved::Success(_));
            prop_assert_eq!(success, whole && (200..300).contains(&status));
        }

        /// Without an answer no rule is asked at all.
        #[test]
        fn without_an_answer_there_is_nothing_to_recognize(sent in any::<bool>()) {
            let exchange = if sent {
                Exchange::Lost(Lost::Connection)
            } else {
                Exchange::Unsent(Unsent::NoConnection)
            };
            let expected = if sent { Row::InDoubt } else { Row::NothingHappened };
            let proved = judge(exchange, |_| -> Option<()> { panic!("asked without an answer") });
            prop_assert_eq!(row(&proved), expected);
        }
    }
}
