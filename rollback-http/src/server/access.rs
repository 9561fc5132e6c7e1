//! Who may speak to the server: whoever has one of its tokens.

use axum::http::{HeaderMap, header};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use std::fmt;
use subtle::{Choice, ConstantTimeEq as _};

/// The accepted tokens, as digests: comparing them takes the same time whatever is sent.
#[derive(Clone, Default)]
pub(super) struct Tokens(Vec<[u8; 32]>);

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tokens", self.0.len())
    }
}

impl Tokens {
    /// Accepts one more. `false` when it could not be sent in a header.
    #[must_use]
    pub(super) fn accept(&mut self, token: &SecretString) -> bool {
        let text = token.expose_secret();
        let good = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if good {
            self.0.push(digest(text));
        }
        good
    }

    /// Whether a request has one of the tokens, once.
    pub(super) fn admit(&self, headers: &HeaderMap) -> bool {
        let mut sent = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(only), None) = (sent.next(), sent.next()) else { return false };
        let Some(token) = only.to_str().ok().and_then(bearer) else { return false };
        let shown = digest(token);
        // All are compared, so that the time does not tell which one it was.
        let known = self.0.iter().fold(Choice::from(0), |known, one| known | one.ct_eq(&shown));
        known.into()
    }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn tokens() -> Tokens {
        let mut tokens = Tokens::default();
        assert!(tokens.accept(&"old-one".into()));
        assert!(tokens.accept(&"new-one".into()));
        tokens
    }

    #[test]
    fn one_of_the_tokens_once_is_admitted_and_nothing_else() {
        for (sent, admitted) in [
            (vec!["Bearer old-one"], true),
            (vec!["bearer new-one"], true),
            (vec![], false),
            (vec!["Bearer other"], false),
            (vec!["Bearer old-on"], false),
            (vec!["Bearer old-one2"], false),
            (vec!["Bearer "], false),
            (vec!["Bearer"], false),
            (vec!["Basic old-one"], false),
            (vec!["old-one"], false),
            (vec!["Bearer old-one", "Bearer old-one"], false),
            (vec!["Bearer old-one", "Bearer x"], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in &sent {
                headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            }
            assert_eq!(tokens().admit(&headers), admitted, "{sent:?}");
        }
    }

    #[test]
    fn a_token_that_cannot_be_sent_is_not_accepted_and_none_is_shown() {
        for bad in ["", "two words", "new\nline", "tökén"] {
            assert!(!Tokens::default().accept(&bad.into()), "{bad:?}");
        }
        assert_eq!(format!("{:?}", tokens()), "2 tokens");
    }
}
