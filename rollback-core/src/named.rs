//! Which revision somebody means by a name. An identity cannot move; what people call a revision
//! can: a Deployment's number goes to another place in the row when it comes back, a Helm number is
//! given again when its Secret was deleted. So a name is looked up once, when it comes in, and what
//! is kept is an identity.

use crate::id::{RevisionId, RevisionName};
use crate::model::{Revision, RevisionRef};
use crate::time::{Timestamp, in_words};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// How many names of one revision are kept. More are told by nobody but a Deployment that was undone
/// over and over, whose newest ones count.
pub const NAMES_MAX: usize = 16;

/// How much earlier than its revision came to be a deploy may be reported to have gone live: the two
/// moments are told by two clocks, and a pipeline may note the one before it begins.
pub const EARLY_MAX: Duration = Duration::from_secs(60);

/// How many revisions an answer names.
const SHOWN_MAX: usize = 10;

/// A name of a revision, besides its identity.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Named {
    /// The name.
    pub name: RevisionName,
    /// Since when it can have meant this revision, if that is known. What was named before that was
    /// another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

impl Named {
    /// A name that can have meant this revision from a moment on.
    #[must_use]
    pub const fn new(name: RevisionName, since: Option<Timestamp>) -> Self {
        Self { name, since }
    }
}

/// Why a name does not say which revision is meant.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Unresolved {
    /// No revision is called so.
    Nothing {
        /// The name.
        name: RevisionName,
        /// What the newest ones are called.
        there: Vec<String>,
    },
    /// More than one is.
    Several {
        /// The name.
        name: RevisionName,
        /// Their identities.
        are: Vec<RevisionId>,
    },
    /// One is called so now, and came to be only after the deploy.
    Later {
        /// The name.
        name: RevisionName,
        /// How much later.
        by: Duration,
    },
    /// One is called so now; whether it was at the time of the deploy is not known.
    Undated {
        /// The name.
        name: RevisionName,
    },
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing { name, there } if there.is_empty() => {
                write!(f, "`{name}` is not in the deploy history, which is empty")
            }
            Self::Nothing { name, there } => {
                write!(f, "`{name}` is not in the deploy history; there are {}", there.join(", "))
            }
            Self::Several { name, are } => {
                let are: Vec<String> = are.iter().map(|id| alloc::format!("`{id}`")).collect();
                write!(f, "`{name}` can mean {}; name one of these", are.join(" or "))
            }
            Self::Later { name, by } => write!(
                f,
                "what is called `{name}` now came to be {} after the deploy, so that another revision was meant",
                in_words(*by)
            ),
            Self::Undated { name } => write!(
                f,
                "what is called `{name}` now may not be what was called so at the time of the deploy"
            ),
        }
    }
}

impl core::error::Error for Unresolved {}

/// The one revision that is meant by a name: by whoever says it now, or by whoever said that it went
/// live `at` a moment. An identity is its own name.
///
/// # Errors
///
/// [`Unresolved`] when the name fits none or several, or fitted another one at that moment, as far as
/// anybody can tell.
///
/// ```
/// use rollback_core::named::{Named, resolve};
/// use rollback_core::Revision;
/// let mut revision = Revision::new("42@1a2b3c4d".parse()?);
/// revision.names.push(Named::new("42".parse()?, None));
/// let history = [revision];
/// assert_eq!(resolve(&"42".parse()?, None, &history, None)?.as_str(), "42@1a2b3c4d");
/// assert!(resolve(&"41".parse()?, None, &history, None).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn resolve(
    name: &RevisionName,
    at: Option<Timestamp>,
    history: &[Revision],
    live: Option<&RevisionRef>,
) -> Result<RevisionId, Unresolved> {
    let live = live.map(|live| &live.revision);
    let identities = history.iter().map(|revision| &revision.id).chain(live);
    if let Some(id) = identities.into_iter().find(|id| id.as_str() == name.as_str()) {
        return Ok(id.clone());
    }
    let mut fits: Vec<&RevisionId> = Vec::new();
    let mut misfit = None;
    for (id, named) in history.iter().flat_map(|it| it.names.iter().map(move |n| (&it.id, n))) {
        if named.name != *name {
            continue;
        }
        match fitted(named, at, live == Some(id)) {
            Ok(()) if fits.contains(&id) => {}
            Ok(()) => fits.push(id),
            Err(why) => misfit = Some(why),
        }
    }
    match (fits.as_slice(), misfit) {
        ([id], _) => Ok((*id).clone()),
        ([], Some(why)) => Err(why),
        ([], None) => Err(Unresolved::Nothing { name: name.clone(), there: called(history) }),
        (several, _) => {
            let are = several.iter().map(|id| (*id).clone()).collect();
            Err(Unresolved::Several { name: name.clone(), are })
        }
    }
}

/// Whether a name meant at a moment what it means now. Since when it does is not always known: then
/// only what is live is believed to be what just went live.
fn fitted(named: &Named, at: Option<Timestamp>, is_live: bool) -> Result<(), Unresolved> {
    let Some(at) = at else { return Ok(()) };
    match named.since {
        Some(since) if since <= at.after(EARLY_MAX) => Ok(()),
        Some(since) => Err(Unresolved::Later { name: named.name.clone(), by: since.since(at) }),
        None if is_live => Ok(()),
        None => Err(Unresolved::Undated { name: named.name.clone() }),
    }
}

/// What the newest revisions are called.
fn called(history: &[Revision]) -> Vec<String> {
    let words = |revision: &Revision| match revision.names.first() {
        Some(named) => alloc::format!("`{}` (`{}`)", named.name, revision.id),
        None => alloc::format!("`{}`", revision.id),
    };
    history.iter().take(SHOWN_MAX).map(words).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    fn revision(id: &str, names: &[(&str, Option<u64>)]) -> Revision {
        let mut revision = Revision::new(id.parse().unwrap());
        let named =
            |(name, since): &(&str, Option<u64>)| Named::new(name.parse().unwrap(), since.map(at));
        revision.names = names.iter().map(named).collect();
        revision
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + seconds * 1_000)
    }

    fn found(name: &str, when: Option<u64>, history: &[Revision], live: Option<&str>) -> String {
        let live = live.map(|id| RevisionRef::new(id.parse().unwrap()));
        let name = name.parse().unwrap();
        match resolve(&name, when.map(at), history, live.as_ref()) {
            Ok(id) => id.to_string(),
            Err(why) => why.to_string(),
        }
    }

    #[test]
    fn an_identity_means_itself_in_the_history_or_live_whatever_else_is_called_so() {
        let history = [revision("7", &[]), revision("x@1", &[("7", Some(0))])];
        assert_eq!(found("7", Some(100), &history, None), "7");
        assert_eq!(found("8", Some(100), &history, Some("8")), "8", "it may not be listed yet");
        assert_eq!(found("x@1", None, &history, None), "x@1");
    }

    #[test]
    fn a_name_means_the_one_revision_that_has_it() {
        let history = [
            revision("42@b", &[("44", Some(90)), ("42", Some(20))]),
            revision("41@a", &[("41", Some(10))]),
        ];
        for (name, id) in [("44", "42@b"), ("42", "42@b"), ("41", "41@a")] {
            assert_eq!(found(name, Some(100), &history, None), id);
            assert_eq!(found(name, None, &history, None), id);
        }
        assert_eq!(
            found("43", None, &history, None),
            "`43` is not in the deploy history; there are `44` (`42@b`), `41` (`41@a`)"
        );
        assert_eq!(
            found("43", None, &[], None),
            "`43` is not in the deploy history, which is empty"
        );
    }

    #[test]
    fn a_name_that_two_revisions_have_says_nothing() {
        let history = [revision("a", &[("3", Some(1))]), revision("b", &[("3", Some(2))])];
        assert_eq!(
            found("3", Some(100), &history, Some("a")),
            "`3` can mean `a` or `b`; name one of these"
        );
        let twice = [revision("a", &[("3", Some(1)), ("3", Some(2))])];
        assert_eq!(found("3", Some(100), &twice, None), "a");
    }

    #[test]
    fn a_number_that_was_given_again_does_not_mean_what_it_means_now() {
        let given_again = [revision("42@b", &[("42", Some(500))])];
        assert_eq!(
            found("42", Some(100), &given_again, Some("42@b")),
            "what is called `42` now came to be 6 min after the deploy, so that another revision was meant"
        );
        assert_eq!(found("42", Some(440), &given_again, None), "42@b", "two clocks differ");
        assert!(found("42", Some(439), &given_again, None).contains("another revision"));
        // Of two that had the number in turn, the later one cannot have been meant.
        let both = [revision("42@b", &[("42", Some(500))]), revision("42@a", &[("42", Some(50))])];
        assert_eq!(found("42", Some(100), &both, None), "42@a");
    }

    #[test]
    fn a_name_without_a_time_is_believed_of_what_is_live_only() {
        let history = [revision("b", &[("2", None)]), revision("a", &[("1", None)])];
        assert_eq!(found("2", Some(100), &history, Some("b")), "b");
        assert_eq!(
            found("1", Some(100), &history, Some("b")),
            "what is called `1` now may not be what was called so at the time of the deploy"
        );
        assert_eq!(found("1", None, &history, Some("b")), "a", "whoever says it now means it now");
    }
}
