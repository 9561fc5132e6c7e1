//! Who may call: the holders of a bearer token.

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use std::fmt::{self, Write as _};
use std::sync::Arc;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// How many tokens are held at once: one in use and one to come, for a few callers.
const TOKENS_MAX: usize = 32;

/// The bearer tokens that the API takes. Several, so that one can be replaced without a gap.
///
/// Held as hashes and compared in constant time: neither the time of an answer nor a dump of the
/// memory tells a token.
#[derive(Clone)]
pub struct Tokens {
    digests: Arc<[[u8; 32]]>,
}

/// Which of the tokens a caller has, by its place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Caller(pub(crate) u32);

/// Why tokens were not accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// There is none, or one of them is empty.
    #[error("a token of the HTTP API is empty; give one that nobody can guess")]
    Empty,
    /// One cannot be sent in a header.
    #[error(
        "a token of the HTTP API has a character that a header cannot carry; use printable ASCII \
         without spaces"
    )]
    Character,
    /// There are more than are held.
    #[error("there are more than {TOKENS_MAX} tokens of the HTTP API; remove those not in use")]
    TooMany,
}

impl Tokens {
    /// Takes the tokens.
    ///
    /// # Errors
    ///
    /// [`TokenError`] when there is none, or one could never be sent.
    ///
    /// ```
    /// use rollback_api::Tokens;
    /// assert!(Tokens::new([&"from the environment".into()]).is_err(), "it has spaces");
    /// assert!(Tokens::new([&"c2VjcmV0".into()]).is_ok());
    /// ```
    pub fn new<'a>(tokens: impl IntoIterator<Item = &'a SecretString>) -> Result<Self, TokenError> {
        let digests: Vec<[u8; 32]> = tokens
            .into_iter()
            .map(|token| {
                let token = token.expose_secret().as_bytes();
                match token {
                    [] => Err(TokenError::Empty),
                    _ if !token.iter().all(u8::is_ascii_graphic) => Err(TokenError::Character),
                    _ => Ok(digest(token)),
                }
            })
            .collect::<Result<_, _>>()?;
        match digests.len() {
            0 => Err(TokenError::Empty),
            1..=TOKENS_MAX => Ok(Self { digests: digests.into() }),
            _ => Err(TokenError::TooMany),
        }
    }

    /// A name for what is this token's own: the same after a restart, another one for each token, and
    /// nothing that the token could be told from.
    pub(crate) fn space_of(&self, caller: Caller) -> String {
        let held = usize::try_from(caller.0).ok().and_then(|place| self.digests.get(place));
        let named = held.map(|held| digest(held)).unwrap_or_default();
        named.iter().take(16).fold(String::new(), |mut text, byte| {
            let _infallible = write!(text, "{byte:02x}");
            text
        })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.digests.len()
    }

    /// Which of them this is. Looks at all of them whichever it is.
    pub(crate) fn find(&self, presented: &[u8]) -> Option<Caller> {
        let presented = digest(presented);
        let mut place = 0_u32;
        let mut found = Choice::from(0);
        for (number, held) in (0_u32..).zip(self.digests.iter()) {
            let same = held.ct_eq(&presented);
            place.conditional_assign(&number, same);
            found |= same;
        }
        bool::from(found).then_some(Caller(place))
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({})", self.digests.len())
    }
}

fn digest(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(texts: &[&str]) -> Result<Tokens, TokenError> {
        let secrets: Vec<SecretString> = texts.iter().map(|text| (*text).into()).collect();
        Tokens::new(&secrets)
    }

    #[test]
    fn each_of_several_tokens_is_known_and_nothing_else_is() {
        let held = tokens(&["old", "new"]).unwrap();
        assert_eq!(held.find(b"old"), Some(Caller(0)));
        assert_eq!(held.find(b"new"), Some(Caller(1)));
        for other in ["", "ol", "oldd", "OLD", "oldnew", "old\0"] {
            assert_eq!(held.find(other.as_bytes()), None, "{other:?}");
        }
    }

    #[test]
    fn no_token_an_empty_one_and_one_that_no_header_carries_are_refused() {
        assert_eq!(tokens(&[]).unwrap_err(), TokenError::Empty);
        assert_eq!(tokens(&["good", ""]).unwrap_err(), TokenError::Empty);
        for bad in ["a b", "a\n", "ä", "\u{7f}"] {
            assert_eq!(tokens(&[bad]).unwrap_err(), TokenError::Character, "{bad:?}");
        }
        assert_eq!(tokens(&["x"; TOKENS_MAX + 1]).unwrap_err(), TokenError::TooMany);
    }

    #[test]
    fn each_token_has_a_space_of_its_own_that_does_not_depend_on_its_place() {
        let (one, turned) = (tokens(&["old", "new"]).unwrap(), tokens(&["new", "old"]).unwrap());
        assert_eq!(one.space_of(Caller(0)), turned.space_of(Caller(1)));
        assert_ne!(one.space_of(Caller(0)), one.space_of(Caller(1)));
    }

    #[test]
    fn debug_shows_how_many_and_nothing_of_them() {
        let shown = format!("{:?}", tokens(&["hunter2"]).unwrap());
        assert_eq!(shown, "Tokens(1)");
    }
}
