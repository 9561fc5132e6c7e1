//! What a CD system says may hold a credential, our own or somebody's. A chat and an audit log keep
//! what they are told for years, so it is taken out before anybody reads it.

use serde_json::Value;

/// What a text shows in place of a credential.
const REDACTED: &str = "[redacted]";
/// A shorter token of ours is part of ordinary words, which must stay readable.
const TOKEN_BYTES_TELLING: usize = 8;
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

/// The answer without our own token and without what has the shape of a credential.
pub(crate) fn redacted(value: Value, token: &str) -> Value {
    match value {
        Value::String(text) => Value::String(text_of(&text, token)),
        Value::Array(list) => {
            Value::Array(list.into_iter().map(|each| redacted(each, token)).collect())
        }
        Value::Object(map) => {
            let each = map.into_iter().map(|(key, value)| (key, redacted(value, token)));
            Value::Object(each.collect())
        }
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_)) => plain,
    }
}

fn text_of(text: &str, token: &str) -> String {
    let text = match token.len() {
        0..TOKEN_BYTES_TELLING => text.to_owned(),
        _ => text.replace(token, REDACTED),
    };
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
    // `scheme://user:password@host`
    let has_password = word
        .split_once("://")
        .and_then(|(_, rest)| rest.split('/').next()?.rsplit_once('@'))
        .is_some_and(|(user, _host)| user.contains(':'));
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

    #[test]
    fn the_token_is_taken_out_of_what_the_cd_system_says() {
        let said = json!({"detail": "bad Bearer canary-token!", "deep": [{"x": "canary-token"}]});
        let clean = redacted(said, "canary-token");
        let expected = json!({"detail": "bad Bearer [redacted]!", "deep": [{"x": "[redacted]"}]});
        assert_eq!(clean, expected);
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
