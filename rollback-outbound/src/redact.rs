//! What a CD system says may hold a credential, our own or somebody's. A chat and an audit log keep
//! what they are told for years, so it is taken out before anybody reads it.

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use std::cmp::Reverse;
use std::fmt;

/// What a text shows in place of a credential.
const REDACTED: &str = "[redacted]";
/// A shorter secret is part of ordinary words, which must stay readable.
const SECRET_BYTES_MIN: usize = 8;
/// A user in a URL that is shorter is a name, such as `git`.
const USERINFO_BYTES_MIN: usize = 8;
/// How the credentials of well-known services begin: Slack, GitHub, GitLab, AWS.
const MARKS: [&str; 17] = [
    "xoxa-",
    "xoxb-",
    "xoxe-",
    "xoxe.",
    "xoxp-",
    "xoxr-",
    "xoxs-",
    "xapp-",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "AKIA",
    "ASIA",
];
/// What follows such a beginning is at least this long in a real one.
const MARKED_BYTES_MIN: usize = 4;
/// What follows `Bearer` and is shorter is a word of a sentence.
const BEARER_BYTES_MIN: usize = 8;

/// Takes credentials out of text that came from elsewhere: the secrets that it was given, and
/// whatever has the shape of a credential, such as `ghp_…`, a JWT, what follows `Bearer`, or a URL
/// with a password. `Debug` shows none of its secrets.
///
/// ```
/// use rollback_outbound::Redactor;
///
/// let redactor = Redactor::new(["a-token-of-ours".into()]);
/// let said = "a-token-of-ours is not good at https://ana:hunter2@cd.example.com/";
/// assert_eq!(redactor.text(said), "[redacted] is not good at [redacted]");
/// ```
#[derive(Clone, Default)]
pub struct Redactor {
    /// Longest first: one may be a part of another.
    secrets: Vec<SecretString>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").field("secrets", &self.secrets.len()).finish()
    }
}

impl Redactor {
    /// Takes out these secrets besides whatever has the shape of one. A secret of fewer than 8 bytes
    /// is left: it is part of ordinary words, which must stay readable.
    #[must_use]
    pub fn new(secrets: impl IntoIterator<Item = SecretString>) -> Self {
        let long = |secret: &SecretString| secret.expose_secret().len() >= SECRET_BYTES_MIN;
        let mut secrets: Vec<_> = secrets.into_iter().filter(long).collect();
        secrets.sort_by_key(|secret| Reverse(secret.expose_secret().len()));
        Self { secrets }
    }

    /// The value without credentials, its keys included.
    #[must_use]
    pub fn json(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Array(list) => {
                Value::Array(list.into_iter().map(|each| self.json(each)).collect())
            }
            Value::Object(map) => {
                let each = map.into_iter().map(|(key, value)| (self.text(&key), self.json(value)));
                Value::Object(each.collect())
            }
            plain @ (Value::Null | Value::Bool(_) | Value::Number(_)) => plain,
        }
    }

    /// The text without credentials. What stands between them stays as it is.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        let text = self
            .secrets
            .iter()
            .fold(text.to_owned(), |text, secret| text.replace(secret.expose_secret(), REDACTED));
        without_shapes(&text)
    }
}

fn without_shapes(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut before = "";
    for piece in text.split_inclusive(ends_a_word) {
        let word = piece.trim_end_matches(ends_a_word);
        if is_credential(word, before) {
            clean.push_str(REDACTED);
            clean.push_str(piece.get(word.len()..).unwrap_or_default());
        } else {
            clean.push_str(piece);
        }
        if !word.is_empty() {
            before = word;
        }
    }
    clean
}

fn ends_a_word(character: char) -> bool {
    character.is_whitespace() || "\"'`<>(){}[],;".contains(character)
}

fn is_credential(word: &str, before: &str) -> bool {
    let is_marked = MARKS
        .iter()
        .any(|mark| word.split_once(mark).is_some_and(|(_, rest)| rest.len() >= MARKED_BYTES_MIN));
    // `header.claims.signature`, each in base64.
    let is_jwt = word.split_once("eyJ").is_some_and(|(_, rest)| rest.split('.').count() >= 3);
    // `scheme://user:password@host`, or `https://token@host`
    // Image ids look alike (`docker-pullable://name@sha256:…`), and are identities.
    let has_password = word.split_once("://").is_some_and(|(scheme, rest)| {
        let is_web = ["http", "https"].iter().any(|web| scheme.ends_with(web));
        let authority = rest.split(['/', '?', '#']).next().and_then(|it| it.rsplit_once('@'));
        authority.is_some_and(|(user, _host)| {
            user.contains(':') || (is_web && user.len() >= USERINFO_BYTES_MIN)
        })
    });
    let is_scheme = before.eq_ignore_ascii_case("bearer") || before.eq_ignore_ascii_case("basic");
    let follows = is_scheme
        && word.len() >= BEARER_BYTES_MIN
        && word.bytes().any(|byte| byte.is_ascii_digit() || b"-_=+/".contains(&byte));
    is_marked || is_jwt || has_password || follows
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn redactor(secret: &str) -> Redactor {
        Redactor::new([secret.into()])
    }

    fn text_of(said: &str, secret: &str) -> String {
        redactor(secret).text(said)
    }

    #[test]
    fn the_token_is_taken_out_of_what_the_cd_system_says() {
        let said = json!({"detail": "bad Bearer canary-token!", "deep": [{"canary-token": "canary-token"}]});
        let clean = redactor("canary-token").json(said);
        let expected =
            json!({"detail": "bad Bearer [redacted]!", "deep": [{"[redacted]": "[redacted]"}]});
        assert_eq!(clean, expected);
    }

    #[test]
    fn debug_tells_how_many_secrets_there_are_and_none_of_them() {
        assert_eq!(format!("{:?}", redactor("canary-token")), "Redactor { secrets: 1 }");
    }

    #[test]
    fn what_has_the_shape_of_a_credential_is_taken_out_with_the_words_around_it_left() {
        for (said, clean) in [
            ("no, xoxb-1-2-abc!", "no, [redacted]"),
            ("key=ghp_0123456789", "[redacted]"),
            ("(glpat-abcdef) is old", "([redacted]) is old"),
            ("AKIAIOSFODNN7EXAMPLE", "[redacted]"),
            ("Authorization: Bearer a1b2c3d4e5", "Authorization: Bearer [redacted]"),
            ("basic dXNlcjpwYXNz=", "basic [redacted]"),
            ("at postgres://app:hunter2@db/shop", "at [redacted]"),
            ("at https://0123456789abcdef@cd.example.com/x", "at [redacted]"),
            ("eyJhbGci.eyJzdWIi.c2ln", "[redacted]"),
        ] {
            assert_eq!(text_of(said, "a-token-of-ours"), clean);
        }
    }

    #[test]
    fn what_people_say_of_credentials_stays_readable() {
        for said in [
            "the bearer token is not good",
            "Basic authentication is off",
            "a token begins with xoxb- or ghp_",
            "see https://cd.example.com/runs/4711?x=1",
            "mail ana@example.com",
            "ssh://git@git.example.com/shop",
            "https://ana@cd.example.com/runs",
            "docker-pullable://postgresql@sha256:9f3c2ab4d5e6f708192a3b4c5d6e7f80",
            "https://cd.example.com?for=ana.maria@example.com",
            "at 9f3c2ab4d5e6f708192a3b4c5d6e7f8091a2b3c4",
            "registry.example.com/shop@sha256:9f3c2ab4d5e6f708192a3b4c5d6e7f80",
            "arn:aws:ecs:eu-central-1:123456789012:task-definition/shop:42",
            "",
            " \t two  spaces ",
        ] {
            assert_eq!(text_of(said, "short"), said);
        }
    }

    proptest! {
        #[test]
        fn a_token_of_ours_is_nowhere_in_what_is_left(
            token in "[a-zA-Z0-9._-]{8,24}",
            around in "\\PC{0,20}",
        ) {
            let clean = text_of(&format!("{around}{token}{around} {token}"), &token);
            prop_assert!(REDACTED.contains(&token) || !clean.contains(&token), "{clean}");
        }

        #[test]
        fn what_is_clean_stays_as_it_is(said in "\\PC{0,60}") {
            let once = text_of(&said, "a-token-of-ours");
            prop_assert_eq!(text_of(&once, "a-token-of-ours"), once);
        }
    }
}
