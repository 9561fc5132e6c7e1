//! The bytes of a record: RFC 8785 canonical JSON of values that every reader agrees on.
//!
//! A [`Strict`] value has no floats, no integers above 2^53-1 and no two values under one key, so
//! that two of them have the same bytes only if they are the same.

use super::INTEGER_MAX;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

/// A JSON value that can be written in one way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Strict {
    Null,
    Bool(bool),
    Integer(Whole),
    Text(String),
    List(Vec<Self>),
    Map(BTreeMap<Key, Self>),
}

/// An integer that JSON readers agree on: at most 2^53-1 either way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Whole(i64);

impl Whole {
    fn new(number: i64) -> Option<Self> {
        (number.unsigned_abs() <= INTEGER_MAX).then_some(Self(number))
    }
}

/// A key, in the order that RFC 8785 asks for: by UTF-16 code units.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Key(String);

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.encode_utf16().cmp(other.0.encode_utf16())
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Strict {
    /// Reads JSON text.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// Takes what a type is written as.
    pub(super) fn of(value: &impl Serialize) -> Result<Self, String> {
        let value = serde_json::to_value(value).map_err(|error| error.to_string())?;
        Self::deserialize(value).map_err(|error| error.to_string())
    }

    /// The same without one of its keys.
    pub(super) fn without(mut self, key: &str) -> Self {
        if let Self::Map(fields) = &mut self {
            fields.remove(&Key(key.into()));
        }
        self
    }

    /// The canonical bytes.
    pub(super) fn write(&self) -> String {
        let mut out = String::new();
        self.write_to(&mut out);
        out
    }

    fn write_to(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(true) => out.push_str("true"),
            Self::Bool(false) => out.push_str("false"),
            Self::Integer(number) => out.push_str(&number.0.to_string()),
            Self::Text(text) => quote(text, out),
            Self::List(items) => {
                let mut before = '[';
                for item in items {
                    out.push(before);
                    item.write_to(out);
                    before = ',';
                }
                out.push_str(if items.is_empty() { "[]" } else { "]" });
            }
            Self::Map(fields) => {
                let mut before = '{';
                for (key, value) in fields {
                    out.push(before);
                    quote(&key.0, out);
                    out.push(':');
                    value.write_to(out);
                    before = ',';
                }
                out.push_str(if fields.is_empty() { "{}" } else { "}" });
            }
        }
    }
}

/// The shortest escapes, and none that is not needed.
fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '\0'..' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            plain => out.push(plain),
        }
    }
    out.push('"');
}

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

fn too_large<E: Error>(number: impl fmt::Display) -> E {
    E::custom(format!("the number {number} is above 2^53-1, where readers of JSON disagree"))
}

impl<'de> Visitor<'de> for Reader {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without floats")
    }

    fn visit_unit<E: Error>(self) -> Result<Strict, E> {
        Ok(Strict::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Strict, E> {
        Ok(Strict::Bool(value))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Strict, E> {
        let signed = i64::try_from(number).map_err(|_large| too_large(number))?;
        self.visit_i64(signed)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Strict, E> {
        Whole::new(number).map(Strict::Integer).ok_or_else(|| too_large(number))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Strict, E> {
        Err(E::custom(format!("the number {number} is not written as an integer up to 2^53-1")))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Strict, E> {
        Ok(Strict::Text(text.into()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Strict, E> {
        Ok(Strict::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Strict, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Strict::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Strict, A::Error> {
        let mut map = BTreeMap::new();
        while let Some((key, value)) = fields.next_entry::<String, Strict>()? {
            if map.insert(Key(key.clone()), value).is_some() {
                return Err(A::Error::custom(format!("the key `{key}` is there twice")));
            }
        }
        Ok(Strict::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::value::{BytesDeserializer, Error as ValueError};

    #[test]
    fn what_is_no_json_is_refused_in_words() {
        let bytes = BytesDeserializer::<ValueError>::new(b"raw");
        let refused = Strict::deserialize(bytes).unwrap_err().to_string();
        assert!(refused.contains("expected JSON without floats"), "{refused}");
    }

    /// RFC 8785 sorts by UTF-16 code units: a surrogate pair comes before U+FF5E, by characters it
    /// would come after.
    #[test]
    fn keys_are_in_the_order_of_their_utf_16() {
        let keys = ["a", "b", "\u{10000}", "\u{ff5e}"].map(|key| Key(key.into()));
        for pair in keys.windows(2) {
            let [one, next] = pair else { continue };
            assert_eq!(one.partial_cmp(next), Some(Ordering::Less));
            assert_eq!(next.cmp(one), Ordering::Greater);
        }
    }
}
