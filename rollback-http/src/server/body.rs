//! An order, read from a body that anybody with a token may have written: every bad field is named.

use crate::wire::{OrderBody, Person};
use rollback_core::{Label, REASON_LENGTH_MAX, Reason, UserId};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt::Display;

/// A field that is not as it should be.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct BadField {
    /// Which one, as a JSON pointer in the fragment of a URI.
    pub(super) pointer: String,
    /// What is wrong with it.
    pub(super) detail: String,
}

/// Why a body is no order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum NoOrder {
    /// It is not JSON, or one field is there twice.
    Malformed(String),
    /// It is JSON, and these fields are not as they should be.
    Fields(Vec<BadField>),
}

/// Each field as it came. Two of the same name are an error: which one counts would depend on who
/// reads it.
#[derive(Deserialize)]
struct Raw {
    operation_id: Option<Value>,
    service: Option<Value>,
    environment: Option<Value>,
    expected_live: Option<Value>,
    target: Option<Value>,
    reason: Option<Value>,
    requested_by: Option<Value>,
}

#[derive(Deserialize)]
struct RawPerson {
    id: Option<Value>,
    name: Option<Value>,
}

#[derive(Default)]
struct Bad(Vec<BadField>);

impl Bad {
    fn add(&mut self, pointer: &str, detail: impl Display) {
        self.0.push(BadField { pointer: format!("#/{pointer}"), detail: detail.to_string() });
    }

    fn text(&mut self, value: Option<Value>, pointer: &str) -> Option<String> {
        match value {
            Some(Value::String(text)) => return Some(text),
            None | Some(Value::Null) => self.add(pointer, "it is missing"),
            Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                self.add(pointer, "it is not a string");
            }
        }
        None
    }

    fn parsed<T>(&mut self, value: Option<Value>, pointer: &str) -> Option<T>
    where
        T: TryFrom<String, Error: Display>,
    {
        let text = self.text(value, pointer)?;
        T::try_from(text).map_err(|error| self.add(pointer, error)).ok()
    }

    fn reason(&mut self, value: Option<Value>) -> Option<Reason> {
        let text = self.text(value, "reason")?;
        let length = text.chars().count();
        if length > REASON_LENGTH_MAX {
            let detail = format!(
                "the reason has {length} characters; at most {REASON_LENGTH_MAX} are accepted"
            );
            self.add("reason", detail);
            return None;
        }
        Reason::parse(text).map_err(|error| self.add("reason", error)).ok()
    }

    fn person(&mut self, value: Option<Value>) -> Option<Person> {
        let Some(value) = value else {
            self.add("requested_by", "it is missing");
            return None;
        };
        let raw = if value.is_object() { RawPerson::deserialize(value).ok() } else { None };
        let Some(raw) = raw else {
            self.add("requested_by", "it is not an object");
            return None;
        };
        let id = self.parsed::<UserId>(raw.id, "requested_by/id");
        let name = match raw.name {
            None | Some(Value::Null) => None,
            Some(Value::String(name)) => Some(Label::new(name)),
            Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                self.add("requested_by/name", "it is not a string");
                None
            }
        };
        Some(Person { id: id?, name })
    }
}

/// Reads an order.
pub(super) fn order(bytes: &[u8]) -> Result<OrderBody, NoOrder> {
    let malformed = |error: serde_json::Error| NoOrder::Malformed(error.to_string());
    serde_json::from_slice::<IgnoredAny>(bytes).map_err(malformed)?;
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        let detail = "the body is not an object".to_owned();
        return Err(NoOrder::Fields(vec![BadField { pointer: "#".to_owned(), detail }]));
    }
    let raw: Raw = serde_json::from_slice(bytes).map_err(malformed)?;
    let mut bad = Bad::default();
    let operation_id = bad.parsed(raw.operation_id, "operation_id");
    let service = bad.parsed(raw.service, "service");
    let environment = bad.parsed(raw.environment, "environment");
    let expected_live = bad.parsed(raw.expected_live, "expected_live");
    let target = bad.parsed(raw.target, "target");
    let reason = bad.reason(raw.reason);
    let requested_by = bad.person(raw.requested_by);
    if target.is_some() && target == expected_live {
        bad.add("target", "it is `expected_live`; there is nothing to roll back to");
    }
    let whole = || {
        Some(OrderBody {
            operation_id: operation_id?,
            service: service?,
            environment: environment?,
            expected_live: expected_live?,
            target: target?,
            reason: reason?,
            requested_by: requested_by?,
        })
    };
    if !bad.0.is_empty() {
        return Err(NoOrder::Fields(bad.0));
    }
    whole().ok_or_else(|| NoOrder::Malformed("a field is missing".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn good() -> Value {
        json!({
            "operation_id": "rb-1", "service": "checkout", "environment": "production",
            "expected_live": "42", "target": "41", "reason": "errors up 4x",
            "requested_by": {"id": "U02ANA", "name": "Ana"}, "something_new": [1, 2],
        })
    }

    fn pointers(value: &Value) -> Vec<String> {
        match order(value.to_string().as_bytes()) {
            Err(NoOrder::Fields(fields)) => fields.into_iter().map(|it| it.pointer).collect(),
            other => panic!("{value}: {other:?}"),
        }
    }

    #[test]
    fn a_good_order_is_read_and_what_is_new_in_it_is_passed_over() {
        let read = order(good().to_string().as_bytes()).unwrap();
        assert_eq!(read.operation_id.as_str(), "rb-1");
        assert_eq!(read.requested_by.name, Some("Ana".into()));
    }

    #[test]
    fn every_bad_field_is_named_at_once() {
        assert_eq!(
            pointers(&json!({})),
            [
                "#/operation_id",
                "#/service",
                "#/environment",
                "#/expected_live",
                "#/target",
                "#/reason",
                "#/requested_by"
            ]
        );
        let mut bad = good();
        bad["service"] = json!("../x");
        bad["target"] = json!(41);
        bad["reason"] = json!("  ");
        bad["requested_by"] = json!({"id": "<!channel>", "name": 7});
        let named =
            ["#/service", "#/target", "#/reason", "#/requested_by/id", "#/requested_by/name"];
        assert_eq!(pointers(&bad), named);
    }

    #[test]
    fn a_target_that_is_live_is_named() {
        let mut same = good();
        same["target"] = json!("42");
        assert_eq!(pointers(&same), ["#/target"]);
    }

    #[test]
    fn a_field_that_is_there_twice_is_not_read_either_way() {
        let twice = good().to_string().replacen('{', r#"{"target":"40","#, 1);
        assert!(matches!(order(twice.as_bytes()), Err(NoOrder::Malformed(_))));
    }

    #[test]
    fn what_is_not_json_is_malformed_and_what_is_no_object_is_named() {
        for text in ["", "{", "{\"a\":}", "nonsense", "\u{feff}{}", "{} {}"] {
            assert!(matches!(order(text.as_bytes()), Err(NoOrder::Malformed(_))), "{text}");
        }
        for text in ["null", "[]", "7", "\"x\"", "[\"rb-1\",\"a\",\"b\",\"c\",\"d\",\"e\",{}]"] {
            assert!(matches!(order(text.as_bytes()), Err(NoOrder::Fields(_))), "{text}");
        }
        let deep = "[".repeat(100_000);
        assert!(matches!(order(deep.as_bytes()), Err(NoOrder::Malformed(_))));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(order(&bytes));
        }

        #[test]
        fn an_order_that_is_read_is_what_was_written(
            reason in "\\PC{0,40}", field in 0_usize..7, value in "\\PC{0,20}",
        ) {
            let mut body = good();
            body["reason"] = json!(reason);
            let names = ["operation_id", "service", "environment", "expected_live", "target", "reason", "x"];
            body[names[field]] = json!(value);
            if let Ok(read) = order(body.to_string().as_bytes()) {
                let written = serde_json::to_value(&read).unwrap();
                for name in &names[..5] {
                    prop_assert_eq!(&written[name], &body[name]);
                }
                prop_assert_eq!(written["reason"].as_str().unwrap(), body["reason"].as_str().unwrap().trim());
            }
        }
    }
}
