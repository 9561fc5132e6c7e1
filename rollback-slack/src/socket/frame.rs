//! What comes through the socket, and what goes back.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::UnixSeconds;
use crate::delivery::By;
use crate::intake::{Ack, Intake, Interactions};
use crate::interactivity::Response;

/// What a frame asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// This is to be sent back.
    Acknowledge(String),
    /// The connection will end soon; another one is to be opened before.
    Replace,
    /// Socket Mode was switched off for the app.
    Disabled,
    /// Nothing.
    Nothing,
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type")]
    kind: Option<&'a str>,
    envelope_id: Option<&'a str>,
    accepts_response_payload: Option<bool>,
    reason: Option<&'a str>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Acknowledgement<'a> {
    envelope_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a Response>,
}

/// Whether the frame says that the connection is ready.
pub(crate) fn is_hello(text: &str) -> bool {
    serde_json::from_str::<Frame<'_>>(text)
        .is_ok_and(|frame| frame.kind == Some("hello") && frame.envelope_id.is_none())
}

/// Reads a frame and does what it says. Every envelope is acknowledged, understood or not, since
/// Slack would only send it again.
pub(crate) fn take<H: Interactions>(intake: &Intake<H>, text: &str, now: UnixSeconds) -> Asked {
    let Ok(frame) = serde_json::from_str::<Frame<'_>>(text) else {
        intake.counters().bad_payloads();
        tracing::warn!("a frame of the socket cannot be read");
        return Asked::Nothing;
    };
    let Some(envelope_id) = frame.envelope_id else {
        return match (frame.kind, frame.reason) {
            (Some("disconnect"), Some("link_disabled")) => Asked::Disabled,
            (Some("disconnect"), _) => Asked::Replace,
            _ => Asked::Nothing,
        };
    };
    let ack = match (frame.kind, frame.payload) {
        (Some("interactive"), Some(payload)) => {
            let by = By::Envelope(envelope_id.to_owned());
            intake.take(payload.get(), by, now).unwrap_or(Ack::Empty)
        }
        _ => {
            intake.counters().unknown_kinds();
            Ack::Empty
        }
    };
    let payload = match &ack {
        // Slack shows the person that it did not work, as after any other silence.
        Ack::Busy => return Asked::Nothing,
        Ack::Respond(response) if frame.accepts_response_payload == Some(true) => Some(response),
        Ack::Respond(_) | Ack::Empty => None,
    };
    match serde_json::to_string(&Acknowledgement { envelope_id, payload }) {
        Ok(text) => Asked::Acknowledge(text),
        Err(error) => {
            tracing::error!(%error, "an acknowledgement could not be written");
            Asked::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Accepted, Click, ClickAck, Closing, ClosingAck, FieldErrors, Submission, SubmissionAck,
    };
    use proptest::prelude::*;
    use serde_json::{Value, json};

    struct Refuser;

    impl Interactions for Refuser {
        fn clicked(&self, _: Click) -> ClickAck {
            ClickAck::Taken
        }
        fn submitted(&self, _: Submission) -> SubmissionAck {
            SubmissionAck::Errors(FieldErrors::at("reason", "too short"))
        }
        fn closed(&self, _: Closing) -> ClosingAck {
            ClosingAck::Taken
        }
    }

    fn intake() -> Intake<Refuser> {
        Intake::new(Accepted::app("A1"), Refuser)
    }

    fn envelope(id: &str, accepts: bool, app: &str) -> String {
        json!({"envelope_id": id, "type": "interactive", "accepts_response_payload": accepts,
            "payload": {"type": "view_submission", "user": {"id": "U1"}, "api_app_id": app,
                "view": {"id": "V1"}}})
        .to_string()
    }

    fn acknowledged(intake: &Intake<Refuser>, text: &str) -> Value {
        match take(intake, text, UnixSeconds(0)) {
            Asked::Acknowledge(text) => serde_json::from_str(&text).unwrap(),
            other @ (Asked::Replace | Asked::Disabled | Asked::Nothing) => {
                panic!("{other:?}")
            }
        }
    }

    #[test]
    fn a_response_goes_back_only_where_it_is_accepted() {
        let errors = json!({"response_action": "errors", "errors": {"reason": "too short"}});
        assert_eq!(
            acknowledged(&intake(), &envelope("e1", true, "A1")),
            json!({"envelope_id": "e1", "payload": errors})
        );
        let bare = json!({"envelope_id": "e1"});
        assert_eq!(acknowledged(&intake(), &envelope("e1", false, "A1")), bare);
    }

    #[test]
    fn an_envelope_delivered_twice_is_acknowledged_twice_and_handed_on_once() {
        let intake = intake();
        acknowledged(&intake, &envelope("e1", true, "A1"));
        let again = acknowledged(&intake, &envelope("e1", true, "A1"));
        assert_eq!(again, json!({"envelope_id": "e1"}));
        let counts = intake.counters().snapshot();
        assert_eq!((counts.submissions, counts.repeats), (1, 1));
    }

    #[test]
    fn what_is_not_understood_or_not_for_us_is_acknowledged_and_counted() {
        let intake = intake();
        let bare = json!({"envelope_id": "e1"});
        for text in [
            envelope("e1", true, "A2"),
            json!({"envelope_id": "e1", "type": "events_api", "payload": {}}).to_string(),
            json!({"envelope_id": "e1", "type": "interactive"}).to_string(),
            json!({"envelope_id": "e1"}).to_string(),
            json!({"envelope_id": "e1", "type": "interactive", "payload": []}).to_string(),
        ] {
            assert_eq!(acknowledged(&intake, &text), bare, "{text}");
        }
        let counts = intake.counters().snapshot();
        assert_eq!((counts.foreign, counts.unknown_kinds, counts.bad_payloads), (1, 3, 1));
    }

    const HELLO: &str = r#"{"type":"hello","num_connections":1}"#;

    #[test]
    fn a_greeting_is_known_from_anything_else() {
        assert!(is_hello(HELLO));
        for text in ["", "{}", r#"{"type":"disconnect"}"#, r#"{"type":"hello","envelope_id":"e"}"#]
        {
            assert!(!is_hello(text), "{text}");
        }
    }

    #[test]
    fn the_sockets_own_frames_are_known() {
        for (text, asked) in [
            (HELLO, Asked::Nothing),
            (r#"{"type":"disconnect","reason":"warning"}"#, Asked::Replace),
            (r#"{"type":"disconnect","reason":"refresh_requested"}"#, Asked::Replace),
            (r#"{"type":"disconnect"}"#, Asked::Replace),
            (r#"{"type":"disconnect","reason":"link_disabled"}"#, Asked::Disabled),
            (r#"{"type":"of next year"}"#, Asked::Nothing),
            ("{}", Asked::Nothing),
            ("nonsense", Asked::Nothing),
            ("", Asked::Nothing),
        ] {
            assert_eq!(take(&intake(), text, UnixSeconds(0)), asked, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_frame_makes_it_panic(
            text in "\\PC{0,60}|\\{\"(type|envelope_id|payload)\":[\\[\\]{}\"a-z0-9,:]{0,30}\\}",
        ) {
            take(&intake(), &text, UnixSeconds(0));
        }
    }
}
