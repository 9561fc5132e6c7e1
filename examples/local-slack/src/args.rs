//! The arguments of a call, from JSON, a form or the query string.

use serde_json::{Map, Value};

use crate::answer::ApiError;

/// Arguments by name. Those from a form are strings, structured ones too.
#[derive(Clone, Debug, Default)]
pub(crate) struct Args(Map<String, Value>);

impl Args {
    /// Reads the query string and the body.
    ///
    /// A read method takes no JSON: Slack ignores the body, and so the arguments are missing.
    pub(crate) fn parse(
        content_type: Option<&str>,
        query: Option<&str>,
        body: &[u8],
        json_allowed: bool,
    ) -> Result<Self, ApiError> {
        let mut args = Map::new();
        let mut form = |bytes: &[u8]| {
            for (name, value) in form_urlencoded::parse(bytes) {
                args.insert(name.into_owned(), Value::String(value.into_owned()));
            }
        };
        form(query.unwrap_or_default().as_bytes());
        let kind = content_type.unwrap_or_default();
        if kind.starts_with("application/x-www-form-urlencoded") {
            form(body);
        } else if kind.starts_with("application/json") && json_allowed && !body.is_empty() {
            match serde_json::from_slice(body) {
                Ok(Value::Object(object)) => args.extend(object),
                Ok(_other) => return Err(ApiError::new("json_not_object")),
                Err(_unreadable) => return Err(ApiError::new("invalid_json")),
            }
        } else if !body.is_empty() && !kind.starts_with("application/json") {
            return Err(ApiError::new("invalid_post_type"));
        }
        args.retain(|_name, value| !value.is_null());
        Ok(Self(args))
    }

    /// Returns the bearer token that came as a form field, and forgets it.
    pub(crate) fn take_token(&mut self) -> Option<String> {
        match self.0.remove("token") {
            Some(Value::String(token)) => Some(token),
            Some(_) | None => None,
        }
    }

    /// Everything, for the call log.
    pub(crate) fn to_value(&self) -> Value {
        let mut shown = self.0.clone();
        for (_name, value) in &mut shown {
            if let Value::String(text) = value
                && text.starts_with(['{', '['])
                && let Ok(parsed) = serde_json::from_str(text)
            {
                *value = parsed;
            }
        }
        Value::Object(shown)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A text argument; an empty one counts as absent.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// A text argument that may not be absent.
    pub(crate) fn needed(&self, name: &str, error: &'static str) -> Result<&str, ApiError> {
        self.text(name).ok_or_else(|| ApiError::new(error))
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        match self.0.get(name) {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::String(text)) => text == "true" || text == "1",
            Some(Value::Number(number)) => number.as_u64() == Some(1),
            Some(Value::Null | Value::Array(_) | Value::Object(_)) | None => false,
        }
    }

    pub(crate) fn number(&self, name: &str) -> Option<usize> {
        match self.0.get(name)? {
            Value::Number(number) => usize::try_from(number.as_u64()?).ok(),
            Value::String(text) => text.parse().ok(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// A structured argument: JSON itself, or a string that holds JSON.
    pub(crate) fn structured(
        &self,
        name: &str,
        error: &'static str,
    ) -> Result<Option<Value>, ApiError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => {
                serde_json::from_str(text).map(Some).map_err(|unreadable| {
                    ApiError::new(error).message(format!("[ERROR] {unreadable}"))
                })
            }
            Some(value) => Ok(Some(value.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_form_give_the_same_arguments() {
        let json = Args::parse(
            Some("application/json; charset=utf-8"),
            None,
            br#"{"channel":"C1","unfurl_links":true,"limit":3,"blocks":[{"type":"divider"}]}"#,
            true,
        )
        .unwrap();
        let body =
            b"channel=C1&unfurl_links=true&limit=3&blocks=%5B%7B%22type%22%3A%22divider%22%7D%5D";
        let form =
            Args::parse(Some("application/x-www-form-urlencoded"), None, body, true).unwrap();
        for args in [json, form] {
            assert_eq!(args.text("channel"), Some("C1"));
            assert!(args.flag("unfurl_links"));
            assert_eq!(args.number("limit"), Some(3));
            let blocks = args.structured("blocks", "invalid_blocks_format").unwrap().unwrap();
            assert_eq!(blocks, serde_json::json!([{"type": "divider"}]));
        }
    }

    #[test]
    fn a_read_method_does_not_see_json() {
        let args =
            Args::parse(Some("application/json"), Some("a=1"), br#"{"b":"2"}"#, false).unwrap();
        assert_eq!((args.text("a"), args.text("b")), (Some("1"), None));
    }

    #[test]
    fn an_empty_body_is_no_argument_whatever_its_type() {
        for kind in ["application/json", "application/x-www-form-urlencoded", "text/plain"] {
            assert!(Args::parse(Some(kind), None, b"", true).unwrap().0.is_empty(), "{kind}");
        }
    }

    #[test]
    fn unreadable_bodies_have_their_own_errors() {
        for (kind, body, error) in [
            ("application/json", "{", "invalid_json"),
            ("application/json", "[]", "json_not_object"),
            ("text/plain", "x", "invalid_post_type"),
        ] {
            let refused = Args::parse(Some(kind), None, body.as_bytes(), true).unwrap_err();
            assert_eq!(refused.code(), error);
        }
    }
}
