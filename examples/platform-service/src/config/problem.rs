//! What is wrong with a configuration: where, what, and how to fix it.

use std::fmt;

/// Most problems that are told at once; a file with more is not this kind of file.
pub(super) const PROBLEMS_MAX: usize = 100;

/// A place in the file, both counted from 1.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

impl Place {
    pub(super) const START: Self = Self { line: 1, column: 1 };
}

/// One thing that is wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Problem {
    /// Where.
    pub at: Place,
    /// The key, from the top: `services.checkout.owners`. Empty for the file as a whole.
    pub path: String,
    /// What is wrong. Never the value of what looks like a secret.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl Problem {
    pub(super) fn new(
        at: Place,
        path: &Path,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { at, path: path.0.clone(), what: what.into(), remedy: remedy.into() }
    }
}

/// Everything that is wrong with a file, in the order of its lines. Never empty.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Problems {
    /// The file, as it was named.
    pub file: String,
    /// What is wrong with it.
    pub list: Vec<Problem>,
}

impl Problems {
    pub(super) fn new(file: &str, mut list: Vec<Problem>) -> Self {
        list.sort_by_key(|problem| problem.at);
        list.dedup();
        list.truncate(PROBLEMS_MAX);
        Self { file: file.to_owned(), list }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.list.iter().enumerate() {
            let separator = if number == 0 { "" } else { "\n" };
            let Place { line, column } = problem.at;
            write!(f, "{separator}{}:{line}:{column}: ", self.file)?;
            if !problem.path.is_empty() {
                write!(f, "{}: ", problem.path)?;
            }
            write!(f, "{}; {}", problem.what, problem.remedy)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The way to a key.
#[derive(Clone, Debug, Default)]
pub(super) struct Path(String);

impl Path {
    pub(super) fn key(&self, key: &str) -> Self {
        let key = match key {
            // Somebody may paste a token where its name belongs.
            secret if looks_secret(secret) => "(a key)".to_owned(),
            plain if is_shown_plainly(plain) => plain.to_owned(),
            other => format!("{other:?}"),
        };
        Self(if self.0.is_empty() { key } else { format!("{}.{key}", self.0) })
    }

    pub(super) fn item(&self, number: usize) -> Self {
        Self(format!("{}[{number}]", self.0))
    }
}

fn is_shown_plainly(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "_-/*".contains(c))
}

/// A value as a message may show it: short, escaped, and nothing of what looks like a secret.
pub(super) fn shown(text: &str) -> String {
    if looks_secret(text) {
        return "what is written there".into();
    }
    let mut short: String = text.chars().take(40).flat_map(char::escape_debug).collect();
    if text.chars().count() > 40 {
        short.push('…');
    }
    format!("`{short}`")
}

/// Whether a text has the shape of a credential.
pub(super) fn looks_secret(text: &str) -> bool {
    const MARKS: [&str; 12] = [
        "xoxb-",
        "xoxp-",
        "xoxa-",
        "xapp-",
        "xoxe.",
        "ghp_",
        "ghs_",
        "github_pat_",
        "glpat-",
        "Bearer ",
        "-----BEGIN",
        "AKIA",
    ];
    let is_marked = MARKS.iter().any(|mark| text.contains(mark));
    let is_jwt = text.starts_with("eyJ") && text.len() > 40;
    // `https://user:password@host`
    let has_password = text
        .split_once("://")
        .and_then(|(_, rest)| rest.split('/').next())
        .and_then(|authority| authority.rsplit_once('@'))
        .is_some_and(|(user, _)| user.contains(':'));
    // Long, without a word in it: what a random key looks like.
    let is_random = text.len() >= 32
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=_-".contains(&b))
        && text.bytes().any(|b| b.is_ascii_digit())
        && text.bytes().any(|b| b.is_ascii_alphabetic())
        && !text.contains(['-', '/', '_']);
    is_marked || is_jwt || has_password || is_random
}

/// What was probably meant, of what is known.
pub(super) fn meant<'a>(text: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let text = text.to_lowercase();
    known
        .map(|name| (strsim::damerau_levenshtein(&text, name), name))
        .filter(|(distance, name)| *distance <= 1.max(name.len() / 3))
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_the_shape_of_a_credential_is_never_shown() {
        for secret in [
            "xoxb-1-2-abc",
            "xapp-1-A",
            "ghp_0123",
            "Bearer abc",
            "https://u:p@cd.example.com",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.x",
            "a3f5c9d1e7b24680a3f5c9d1e7b24680",
        ] {
            assert!(looks_secret(secret) && !shown(secret).contains(secret), "{secret}");
        }
        for plain in
            ["https://cd.example.com/v1", "C0DEPLOYS", "checkout-service-in-production-eu-1"]
        {
            assert!(!looks_secret(plain) && shown(plain).contains(plain), "{plain}");
        }
    }

    #[test]
    fn the_nearest_known_name_is_meant_and_a_far_one_is_not() {
        let known = || ["owners", "environments", "users"].into_iter();
        for (text, meant_name) in [
            ("owner", Some("owners")),
            ("Owners", Some("owners")),
            ("envrionments", Some("environments")),
            ("uesrs", Some("users")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(meant(text, known()), meant_name, "{text}");
        }
    }
}
