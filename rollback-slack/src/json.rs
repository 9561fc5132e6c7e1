//! JSON that is already written: blocks, views, metadata.

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use thiserror::Error;

/// A value that cannot be written as JSON.
#[derive(Debug, Error)]
#[error("the value cannot be written as JSON; nothing was sent")]
#[non_exhaustive]
pub struct NotJson(#[source] serde_json::Error);

/// A piece of JSON, written once and sent as it is.
///
/// ```
/// use rollback_slack::Json;
/// let blocks = Json::of(&["a", "b"])?;
/// assert_eq!(blocks.as_str(), r#"["a","b"]"#);
/// # Ok::<(), rollback_slack::NotJson>(())
/// ```
#[derive(Clone, Debug)]
pub struct Json(Box<RawValue>);

impl Json {
    /// Writes `value`.
    ///
    /// # Errors
    /// [`NotJson`], for instance for a map whose keys are not text.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, NotJson> {
        serde_json::value::to_raw_value(value).map(Self).map_err(NotJson)
    }

    /// Takes text that was written before, such as a row of an outbox.
    ///
    /// # Errors
    /// [`NotJson`] if it is not one JSON value.
    pub fn parse(text: String) -> Result<Self, NotJson> {
        RawValue::from_string(text).map(Self).map_err(NotJson)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Json {}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}
