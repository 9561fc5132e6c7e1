//! Secrets and settings from outside the file: the environment, and files it names.

use secrecy::SecretString;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// Largest file that holds one secret.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// The process's environment, or a test's. Its `Debug` shows names and no values.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
}

impl Environment {
    /// The environment of this process, as it is now.
    #[must_use]
    pub fn of_this_process() -> Self {
        let readable = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self { variables: std::env::vars_os().filter_map(readable).collect() }
    }

    /// These variables and no others.
    #[must_use]
    pub fn of<N: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let owned = |(name, value): (N, V)| (name.into(), value.into());
        Self { variables: pairs.into_iter().map(owned).collect() }
    }

    /// A variable that is no secret. Empty is the same as absent.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.trim().is_empty())
    }

    /// A secret: of the variable `name`, or else in the file that `name_FILE` names.
    ///
    /// # Errors
    ///
    /// [`NoSecret`] when there is none, with what was looked for.
    pub fn secret(&self, name: &str) -> Result<SecretString, NoSecret> {
        // Blanks are a secret that anybody knows: the same as none.
        if let Some(value) = self.text(name).map(str::trim).filter(|value| !value.is_empty()) {
            let place = format!("the environment variable `{name}`");
            return one_line(value).map_err(|problem| NoSecret::Implausible { place, problem });
        }
        match self.text(&format!("{name}_FILE")) {
            Some(path) => secret_in(Path::new(path)),
            None => Err(NoSecret::Variable(name.to_owned())),
        }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

/// A secret that is needed is not there.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NoSecret {
    /// Neither the variable nor the one that names a file.
    #[error("the environment variable `{0}` is not set; set it, or name a file with `{0}_FILE`")]
    Variable(String),
    /// It is there and cannot be right. Its value is not shown.
    #[error("{place} holds no secret that can be right: {problem}; give the right one")]
    Implausible {
        /// Where it is.
        place: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The file.
    #[error("the file `{path}` holds no secret that can be read ({problem}); fix it")]
    File {
        /// Which.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// The secret in a file, without the line's end.
///
/// # Errors
///
/// [`NoSecret::File`] when it cannot be read, is too large, or is empty.
pub fn secret_in(path: &Path) -> Result<SecretString, NoSecret> {
    use std::io::Read;
    let wrong = |problem: String| NoSecret::File { path: path.display().to_string(), problem };
    let file = std::fs::File::open(path).map_err(|error| wrong(error.to_string()))?;
    let mut text = String::new();
    let mut bounded = file.take(SECRET_BYTES_MAX.saturating_add(1));
    let read = bounded.read_to_string(&mut text).map_err(|error| wrong(error.to_string()))?;
    if u64::try_from(read).is_ok_and(|read| read > SECRET_BYTES_MAX) {
        return Err(wrong("it is too large for a secret".into()));
    }
    match text.trim() {
        "" => Err(wrong("it is empty".into())),
        secret => one_line(secret).map_err(wrong),
    }
}

/// Fewest characters of a secret: fewer are guessed in an afternoon, or are a mistake.
const SECRET_CHARS_MIN: usize = 8;

/// A secret is one line that could be one. It is not shown, whatever is wrong with it.
fn one_line(secret: &str) -> Result<SecretString, String> {
    if secret.chars().any(char::is_control) {
        return Err("it has a line break or another control character in it".into());
    }
    if secret.chars().count() < SECRET_CHARS_MIN {
        return Err(format!("it has fewer than {SECRET_CHARS_MIN} characters"));
    }
    Ok(secret.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn a_secret_is_in_the_environment_or_in_the_file_that_it_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "from-the-file\n").unwrap();
        let both =
            Environment::of([("A", "plain-text"), ("B_FILE", path.to_str().unwrap()), ("C", "")]);
        assert_eq!(both.secret("A").unwrap().expose_secret(), "plain-text");
        assert_eq!(both.secret("B").unwrap().expose_secret(), "from-the-file");
        assert_eq!(both.secret("C").unwrap_err(), NoSecret::Variable("C".into()));
        std::fs::write(&path, "\n").unwrap();
        assert!(both.secret("B").unwrap_err().to_string().contains("it is empty"));
    }

    #[test]
    fn a_secret_that_is_a_letter_or_two_lines_is_refused_and_not_shown() {
        for (wrong, told) in [("q", "fewer than 8"), ("canary-1\ncanary-2", "line break")] {
            let error = Environment::of([("A", wrong)]).secret("A").unwrap_err().to_string();
            assert!(error.contains(told) && error.contains("`A`"), "{error}");
            assert!(!error.contains(wrong) && !error.contains("canary"), "{error}");
        }
        let ends = Environment::of([("A", "canary-canary\r\n")]);
        assert_eq!(ends.secret("A").unwrap().expose_secret(), "canary-canary");
    }

    #[test]
    fn debug_shows_names_and_no_values() {
        let shown = format!("{:?}", Environment::of([("TOKEN", "canary")]));
        assert!(shown.contains("TOKEN") && !shown.contains("canary"), "{shown}");
    }
}
