//! Names and identities, parsed at the door: what is held is well formed and bounded.

use crate::unseen::is_visible;
use alloc::string::{String, ToString};
use core::fmt;
use serde::{Deserialize, Serialize};

/// Longest accepted identity, in bytes. The longest real one is an AWS ARN, at most 2,048 by its
/// own definition but under 200 for every resource a rollback names.
pub const ID_LENGTH_MAX: usize = 255;

/// How the ids of deploys begin that nobody reported and that were found live. No report may give one.
pub const DEPLOYS_FOUND: &str = "found:";

/// How the ids of deploys begin that an event reported, whose own id is unique only beside its source.
/// No other report may give one.
pub const DEPLOYS_OF_EVENTS: &str = "cloudevent:";

/// How much of a UID tells two revisions of one name apart.
const UID_DIGITS: usize = 8;

/// Longest accepted label, in characters. More would not be read, and Slack shows less.
pub const LABEL_LENGTH_MAX: usize = 300;

/// Longest accepted reason, in characters: what one Slack text input holds.
pub const REASON_LENGTH_MAX: usize = 3000;

/// Why a name or an identity was not accepted.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// Nothing was given.
    #[error("the {what} is empty; give one")]
    Empty {
        /// Which kind of identity.
        what: &'static str,
    },
    /// It is longer than [`ID_LENGTH_MAX`].
    #[error("the {what} has {length} bytes; at most {ID_LENGTH_MAX} are accepted")]
    TooLong {
        /// Which kind of identity.
        what: &'static str,
        /// How long it is, in bytes.
        length: usize,
    },
    /// A character is not allowed, or not in its place.
    #[error("the {what} {shown} has a character that is not allowed; {allowed}")]
    Character {
        /// Which kind of identity.
        what: &'static str,
        /// The input, quoted and with every special character escaped.
        shown: String,
        /// What would be accepted.
        allowed: &'static str,
    },
}

/// Letters, digits, `.`, `_`, `-`; a letter or a digit first. Safe in a path, an argument, a URL.
fn is_name(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
}

/// Printable ASCII without spaces, and no `-` first, so that it can never be read as an option.
fn is_token(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic() && !b"`<>\"'\\".contains(&b))
        && !text.starts_with('-')
}

fn parse(
    text: String,
    what: &'static str,
    accepted: fn(&str) -> bool,
    allowed: &'static str,
) -> Result<String, IdError> {
    if text.is_empty() {
        return Err(IdError::Empty { what });
    }
    if text.len() > ID_LENGTH_MAX {
        return Err(IdError::TooLong { what, length: text.len() });
    }
    if accepted(&text) {
        Ok(text)
    } else {
        Err(IdError::Character { what, shown: alloc::format!("{text:?}"), allowed })
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $accepted:ident, $allowed:literal) => {
        $(#[$doc])*
        #[cfg_attr(
            feature = "schema",
            derive(schemars::JsonSchema),
            schemars(extend("minLength" = 1, "maxLength" = 255))
        )]
        #[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Parses it.
            ///
            /// # Errors
            ///
            /// [`IdError`] when it is empty, too long, or has a character that is not allowed.
            pub fn parse(text: impl Into<String>) -> Result<Self, IdError> {
                parse(text.into(), $what, $accepted, $allowed).map(Self)
            }

            /// The identity as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl core::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl core::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

id!(
    /// A service, as the team calls it: `checkout`.
    ServiceName, "service", is_name, "use letters, digits, `.`, `_` and `-`, a letter or digit first"
);
id!(
    /// An environment: `production`.
    EnvironmentName, "environment", is_name,
    "use letters, digits, `.`, `_` and `-`, a letter or digit first"
);
id!(
    /// A revision, in the words of the CD system: a history id, a Helm revision, a digest, an ARN.
    /// Always an identity that cannot move; never a tag, never "one back".
    RevisionId, "revision", is_token, "use printable ASCII without spaces or quotes, no `-` first"
);
id!(
    /// What people call a revision: a Helm revision number, the number of a Deployment's rollout, or
    /// its identity. It may move: see [`named::resolve`](crate::named::resolve).
    RevisionName, "revision", is_token, "use printable ASCII without spaces or quotes, no `-` first"
);
id!(
    /// One rollback. Also its idempotency key at the CD system.
    RollbackId, "rollback id", is_name,
    "use letters, digits, `.`, `_` and `-`, a letter or digit first"
);
id!(
    /// One deploy, as its reporter names it. Makes a repeated report harmless.
    DeployId, "deploy id", is_token, "use printable ASCII without spaces or quotes, no `-` first"
);
id!(
    /// A person (or bot) in the directory: a Slack user id.
    UserId, "user id", is_token, "use printable ASCII without spaces or quotes, no `-` first"
);
id!(
    /// A group of people in the directory: a Slack user-group id.
    GroupId, "group id", is_token, "use printable ASCII without spaces or quotes, no `-` first"
);
id!(
    /// A workspace of the directory: a Slack team id.
    WorkspaceId, "workspace id", is_token,
    "use printable ASCII without spaces or quotes, no `-` first"
);
id!(
    /// A room in which messages are posted: a Slack channel id.
    ChannelId, "channel id", is_token, "use printable ASCII without spaces or quotes, no `-` first"
);
id!(
    /// A guard of the host's own: `error-budget`.
    GuardName, "guard name", is_name,
    "use letters, digits, `.`, `_` and `-`, a letter or digit first"
);
id!(
    /// A configured CD backend: `prod`.
    BackendName, "backend", is_name,
    "use letters, digits, `.`, `_` and `-`, a letter or digit first"
);

impl RevisionId {
    /// What people call it: without what only tells it apart from another one that had the same name
    /// before or after. Where names are given again, as Helm's numbers are, an identity is a name, an
    /// `@` and the first eight digits of a UID.
    ///
    /// ```
    /// use rollback_core::RevisionId;
    /// assert_eq!("42@1a2b3c4d".parse::<RevisionId>()?.short(), "42");
    /// assert_eq!("v1.2+build@3".parse::<RevisionId>()?.short(), "v1.2+build@3");
    /// # Ok::<(), rollback_core::IdError>(())
    /// ```
    #[must_use]
    pub fn short(&self) -> &str {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        match self.0.rsplit_once('@') {
            Some((name, uid))
                if !name.is_empty() && uid.len() == UID_DIGITS && uid.bytes().all(is_digit) =>
            {
                name
            }
            Some(_) | None => &self.0,
        }
    }

    /// What people call it where another one is named as well: in full if both have the same name.
    #[must_use]
    pub fn beside(&self, other: &Self) -> &str {
        self.among([other])
    }

    /// The same among several.
    pub fn among<'a>(&self, others: impl IntoIterator<Item = &'a Self>) -> &str {
        let mut others = others.into_iter();
        let is_shared = others.any(|other| self != other && self.short() == other.short());
        if is_shared { &self.0 } else { self.short() }
    }
}

impl From<RevisionId> for RevisionName {
    /// An identity is a name that cannot move.
    fn from(id: RevisionId) -> Self {
        Self(id.0)
    }
}

/// A short text from outside: a version, a commit, a person's name. Bounded, otherwise as it came:
/// hostile until a view has escaped it.
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("maxLength" = 300))
)]
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(from = "String", into = "String")]
pub struct Label(String);

impl Label {
    /// Takes the text and cuts it to [`LABEL_LENGTH_MAX`] characters.
    ///
    /// ```
    /// assert_eq!(rollback_core::Label::new("2.14.0").as_str(), "2.14.0");
    /// ```
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        match text.char_indices().nth(LABEL_LENGTH_MAX) {
            None => Self(text),
            Some(_) => Self(text.chars().take(LABEL_LENGTH_MAX).collect()),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for Label {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&str> for Label {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<Label> for String {
    fn from(label: Label) -> Self {
        label.0
    }
}

/// Why somebody rolls back, in their own words. Never empty; kept raw in the audit record.
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("minLength" = 1, "maxLength" = 3000))
)]
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reason(String);

/// Why a reason was not accepted.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReasonError {
    /// Nothing that can be seen was given.
    #[error("a reason is required: say in a few words why this is rolled back")]
    Empty,
    /// It is longer than [`REASON_LENGTH_MAX`].
    #[error("the reason has {length} characters; at most {REASON_LENGTH_MAX} are accepted")]
    TooLong {
        /// How long it is, in characters.
        length: usize,
    },
}

impl Reason {
    /// Parses a reason; surrounding white space is dropped.
    ///
    /// # Errors
    ///
    /// [`ReasonError`] when nothing is left that can be seen, or when it is too long.
    ///
    /// ```
    /// use rollback_core::Reason;
    /// assert!(Reason::parse("  ").is_err());
    /// assert!(Reason::parse("\u{200b}\u{2060}").is_err());
    /// assert_eq!(Reason::parse(" errors up 4x ")?.as_str(), "errors up 4x");
    /// # Ok::<(), rollback_core::ReasonError>(())
    /// ```
    pub fn parse(text: impl AsRef<str>) -> Result<Self, ReasonError> {
        let text = text.as_ref().trim();
        if !is_visible(text) {
            return Err(ReasonError::Empty);
        }
        let length = text.chars().count();
        if length > REASON_LENGTH_MAX {
            return Err(ReasonError::TooLong { length });
        }
        Ok(Self(text.to_string()))
    }

    /// The reason as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Reason {
    type Error = ReasonError;
    fn try_from(text: String) -> Result<Self, ReasonError> {
        Self::parse(text)
    }
}

impl From<Reason> for String {
    fn from(reason: Reason) -> Self {
        reason.0
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl BackendName {
    /// Placeholder in records of a service whose backend is not configured.
    #[must_use]
    pub fn not_configured() -> Self {
        Self("not-configured".to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_name_is_safe_in_a_path_an_argument_and_a_url() {
        for bad in ["", "../x", "a/b", "-rf", "a b", "a;b", "a\nb", "ä", ".hidden", "a\u{202e}b"] {
            assert!(ServiceName::parse(bad).is_err(), "{bad:?} was accepted");
        }
        for good in ["checkout", "pay-eu.1", "A_b", "0"] {
            assert_eq!(ServiceName::parse(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn a_revision_may_be_an_arn_or_a_digest_but_never_an_option_or_markup() {
        let arn = "arn:aws:ecs:eu-west-1:1:task-definition/web:42";
        for good in ["42", "sha256:9f3c", arn, "v1.2+build@3"] {
            assert!(RevisionId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-1", "a b", "<!channel>", "`x`", "é", "a\"b", "it's", "a\\b"] {
            assert!(RevisionId::parse(bad).is_err(), "{bad:?} was accepted");
        }
        assert!(RevisionId::parse("x".repeat(ID_LENGTH_MAX)).is_ok());
        assert!(RevisionId::parse("x".repeat(ID_LENGTH_MAX + 1)).is_err());
    }

    #[test]
    fn people_read_the_name_of_a_revision_and_all_of_it_where_two_have_the_same_name() {
        let id = |text: &str| RevisionId::parse(text).unwrap();
        for (full, short) in [
            ("42@1a2b3c4d", "42"),
            ("web-6d4f9c8b7@00000000", "web-6d4f9c8b7"),
            ("shop@2@1a2b3c4d", "shop@2"),
            ("42", "42"),
            ("42@1a2b3c4", "42@1a2b3c4"),
            ("42@1a2b3c4d5", "42@1a2b3c4d5"),
            ("42@1A2B3C4D", "42@1A2B3C4D"),
            ("@1a2b3c4d", "@1a2b3c4d"),
        ] {
            assert_eq!(id(full).short(), short);
        }
        let (one, again, other) = (id("42@1a2b3c4d"), id("42@99999999"), id("41@1a2b3c4d"));
        assert_eq!((one.beside(&again), again.beside(&one)), ("42@1a2b3c4d", "42@99999999"));
        assert_eq!((one.beside(&other), one.beside(&one)), ("42", "42"));
    }

    #[test]
    fn an_identity_error_says_what_was_wrong_and_shows_the_input_harmlessly() {
        let error = ServiceName::parse("a\u{1b}[2J").unwrap_err().to_string();
        assert!(error.contains("service") && error.contains("\\u{1b}"), "{error}");
        assert!(!error.contains('\u{1b}'));
    }

    #[test]
    fn a_label_is_cut_by_characters_never_inside_one() {
        let long = "é".repeat(LABEL_LENGTH_MAX + 1);
        assert_eq!(Label::new(long).as_str().chars().count(), LABEL_LENGTH_MAX);
        let exact = "é".repeat(LABEL_LENGTH_MAX);
        assert_eq!(Label::new(exact.clone()).as_str(), exact);
    }

    #[test]
    fn a_reason_is_kept_as_it_was_given_but_for_the_space_around_it() {
        let reason = Reason::parse(" errors\n up  4x\t").unwrap();
        assert_eq!(reason.as_str(), "errors\n up  4x");
    }

    #[test]
    fn a_reason_at_the_limit_is_kept_whole_and_past_it_is_refused() {
        assert!(Reason::parse("é".repeat(REASON_LENGTH_MAX)).is_ok());
        let error = Reason::parse("é".repeat(REASON_LENGTH_MAX + 1)).unwrap_err();
        assert_eq!(error, ReasonError::TooLong { length: REASON_LENGTH_MAX + 1 });
    }
}
