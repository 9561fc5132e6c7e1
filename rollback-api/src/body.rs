//! Takes a body off the wire: bounded in size and in time, and of a kind that is understood.

use crate::limits::ApiLimits;
use crate::problem::{Fault, Problem};
use axum::body::{Body, to_bytes};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use http::{StatusCode, header};
use http_body_util::LengthLimitError;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Map, Value};
use std::error::Error;
use std::fmt;

/// The whole body as JSON.
pub(crate) async fn json(
    headers: &HeaderMap,
    body: Body,
    limits: &ApiLimits,
) -> Result<Value, Problem> {
    let told = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if told.and_then(|told| told.parse().ok()).is_some_and(|told: usize| told > limits.body_max) {
        return Err(too_large(limits));
    }
    let bytes = match tokio::time::timeout(limits.body_wait, to_bytes(body, limits.body_max)).await
    {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error)) if is_too_large(&error) => return Err(too_large(limits)),
        Ok(Err(_broken_off)) => {
            return Err(Problem::not_json(
                "the body broke off; nothing was changed; send it again",
            ));
        }
        Err(_elapsed) => {
            let detail = "the body did not arrive in time; nothing was changed; send it again";
            return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, detail));
        }
    };
    parsed(&bytes)
}

/// JSON of these bytes.
pub(crate) fn parsed(bytes: &[u8]) -> Result<Value, Problem> {
    serde_json::from_slice(bytes).map(|Once(value)| value).map_err(|error| {
        // The category and the place, never the content.
        let what = match error.classify() {
            Category::Data => "a field is in one object twice, and two readers could take either",
            Category::Io | Category::Syntax | Category::Eof => "the body is not JSON",
        };
        let (line, column) = (error.line(), error.column());
        let detail =
            format!("{what}: the fault is at line {line}, column {column}; nothing was changed");
        Problem::not_json(detail)
    })
}

/// JSON in which each field of an object is there once.
#[derive(Debug)]
struct Once(Value);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(Once(item)) = items.next_element()? {
            all.push(item);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some((name, Once(value))) = fields.next_entry()? {
            if all.insert(name, value).is_some() {
                return Err(de::Error::custom("a field is there twice"));
            }
        }
        Ok(Value::Object(all))
    }
}

/// What kind of body the headers announce: the type without its parameters, in lower case.
pub(crate) fn media_type(headers: &HeaderMap) -> Result<String, Problem> {
    if headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        let fault = Fault::in_header("content-encoding", "it is not taken; send the body as it is");
        return Err(unsupported("a compressed body is not taken").with(vec![fault]));
    }
    let mut all = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (all.next(), all.next()) else {
        return Err(unsupported("the body's type is not told, or twice; send `content-type` once"));
    };
    let text = value.to_str().map_err(|_not_ascii| unsupported("`content-type` is not text"))?;
    let kind = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    Ok(kind)
}

/// A body that must be plain JSON.
pub(crate) fn must_be_json(headers: &HeaderMap) -> Result<(), Problem> {
    match media_type(headers)?.as_str() {
        "application/json" => Ok(()),
        other => Err(other_type(other, "`application/json`")),
    }
}

pub(crate) fn other_type(found: &str, taken: &str) -> Problem {
    let found: String = found.chars().take(80).collect();
    unsupported(format!("a body of type {found:?} is not taken here; send {taken}"))
}

fn unsupported(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
}

fn too_large(limits: &ApiLimits) -> Problem {
    let detail = format!("the body has more than {} bytes; nothing was changed", limits.body_max);
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
}

fn is_too_large(error: &axum::Error) -> bool {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if inner.is::<LengthLimitError>() {
            return true;
        }
        cause = inner.source();
    }
    false
}
