//! Whether there is something: yes, no, or nobody can tell. The third is never read as the second.

use alloc::string::String;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Something that may be there. An `Option` would mix up "there is nothing" and "it cannot be told".
///
/// On the wire: `null`, the thing itself, or `{"cannot_tell": "why"}`. A journal that was written
/// before there was a third case reads as it was judged: `null` is nothing.
///
/// ```
/// use rollback_core::Presence;
/// let seen = Presence::Something("auto-sync");
/// assert_eq!(seen.something(), Some(&"auto-sync"));
/// assert!(!Presence::<u8>::cannot_tell("the API does not say").is_nothing());
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a fourth case must be judged by every guard")]
pub enum Presence<T> {
    /// Somebody looked, and there is nothing.
    Nothing,
    /// There is this.
    Something(T),
    /// It could not be told, and why, in words for people: what would have to change.
    CannotTell(String),
}

impl<T> Presence<T> {
    /// It cannot be told, and why.
    #[must_use]
    pub fn cannot_tell(why: impl Into<String>) -> Self {
        Self::CannotTell(why.into())
    }

    /// What is there, or nothing, for somebody who looked and could see both.
    #[must_use]
    pub fn seen(seen: Option<T>) -> Self {
        match seen {
            Some(something) => Self::Something(something),
            None => Self::Nothing,
        }
    }

    /// Whether it is known that there is nothing.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Something(_) | Self::CannotTell(_) => false,
        }
    }

    /// What is there, for showing it. None is not "nothing": see [`Self::is_nothing`].
    #[must_use]
    pub const fn something(&self) -> Option<&T> {
        match self {
            Self::Something(something) => Some(something),
            Self::Nothing | Self::CannotTell(_) => None,
        }
    }

    /// What a journal without the field says: it is of a time when nothing else could be said.
    pub(crate) const fn nothing() -> Self {
        Self::Nothing
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Written<'a, T> {
    Nothing,
    Something(&'a T),
    CannotTell { cannot_tell: &'a str },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Read<T> {
    CannotTell { cannot_tell: String },
    Something(T),
}

impl<T: Serialize> Serialize for Presence<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nothing => Written::Nothing,
            Self::Something(something) => Written::Something(something),
            Self::CannotTell(cannot_tell) => Written::CannotTell { cannot_tell },
        }
        .serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Presence<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Option::deserialize(deserializer)? {
            None => Self::Nothing,
            Some(Read::Something(something)) => Self::Something(something),
            Some(Read::CannotTell { cannot_tell }) => Self::CannotTell(cannot_tell),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_the_three_is_written_and_read_back_and_null_is_what_it_was() {
        for (presence, written) in [
            (Presence::Nothing, "null"),
            (Presence::Something(String::from("auto-sync")), "\"auto-sync\""),
            (Presence::cannot_tell("it is not said"), "{\"cannot_tell\":\"it is not said\"}"),
        ] {
            assert_eq!(serde_json::to_string(&presence).unwrap(), written);
            assert_eq!(serde_json::from_str::<Presence<String>>(written).unwrap(), presence);
        }
    }

    #[test]
    fn what_is_none_of_the_three_is_not_read_as_one() {
        for text in ["1", "{}", "[]", "{\"cannot_tell\":1}", "{\"cannot_tel\":\"x\"}"] {
            assert!(serde_json::from_str::<Presence<String>>(text).is_err(), "{text}");
        }
    }
}
