//! What a request proves who we are with.

use crate::encode::encoded;
use crate::error::SetupError;
use crate::redact::Redactor;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use std::fmt;

/// A credential. `Debug` shows its kind and nothing of it.
#[derive(Clone)]
pub struct Credential(Kind);

#[derive(Clone)]
enum Kind {
    None,
    Bearer(SecretString),
    Basic { user: SecretString, password: SecretString },
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Kind::None => "Credential::none()",
            Kind::Bearer(_) => "Credential::bearer([redacted])",
            Kind::Basic { .. } => "Credential::basic([redacted])",
        })
    }
}

impl Credential {
    /// No credential: for an API that asks for none.
    #[must_use]
    pub const fn none() -> Self {
        Self(Kind::None)
    }

    /// `Authorization: Bearer …`. Not empty, and without spaces or control characters.
    #[must_use]
    pub fn bearer(token: impl Into<SecretString>) -> Self {
        Self(Kind::Bearer(token.into()))
    }

    /// `Authorization: Basic …` (RFC 7617, in UTF-8). Neither part is empty or has control
    /// characters; the user name has no colon.
    #[must_use]
    pub fn basic(user: impl Into<SecretString>, password: impl Into<SecretString>) -> Self {
        Self(Kind::Basic { user: user.into(), password: password.into() })
    }

    /// Whether a request can carry it.
    ///
    /// # Errors
    ///
    /// [`SetupError::TokenMalformed`] or [`SetupError::LoginMalformed`].
    pub fn check(&self) -> Result<(), SetupError> {
        match &self.0 {
            Kind::None => Ok(()),
            Kind::Bearer(token) => {
                let text = token.expose_secret();
                let good = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
                if good { Ok(()) } else { Err(SetupError::TokenMalformed) }
            }
            Kind::Basic { user, password } => {
                let good = |part: &SecretString| {
                    let part = part.expose_secret();
                    !part.is_empty() && !part.chars().any(char::is_control)
                };
                let is_good = good(user) && good(password) && !user.expose_secret().contains(':');
                if is_good { Ok(()) } else { Err(SetupError::LoginMalformed) }
            }
        }
    }

    /// The header, marked so that no client shows it.
    pub(crate) fn header(&self) -> Result<Option<HeaderValue>, SetupError> {
        self.check()?;
        let (text, error) = match &self.0 {
            Kind::None => return Ok(None),
            Kind::Bearer(token) => {
                (format!("Bearer {}", token.expose_secret()), SetupError::TokenMalformed)
            }
            Kind::Basic { user, password } => {
                (format!("Basic {}", basic(user, password)), SetupError::LoginMalformed)
            }
        };
        let mut value = HeaderValue::from_str(&text).map_err(|_would_show_it| error)?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// Takes every form of it out of what is read.
    pub(crate) fn redactor(&self) -> Redactor {
        let secret = match &self.0 {
            Kind::None => return Redactor::default(),
            Kind::Bearer(token) => token,
            Kind::Basic { password, .. } => password,
        };
        let mut forms = vec![secret.clone(), encoded(secret.expose_secret()).into()];
        if let Kind::Basic { user, password } = &self.0 {
            forms.push(basic(user, password).into());
        }
        Redactor::new(forms)
    }
}

fn basic(user: &SecretString, password: &SecretString) -> String {
    STANDARD.encode(format!("{}:{}", user.expose_secret(), password.expose_secret()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_that_cannot_be_sent_is_refused_and_never_shown() {
        use SetupError::{LoginMalformed, TokenMalformed};
        for (credential, expected) in [
            (Credential::none(), None),
            (Credential::bearer("canary"), None),
            (Credential::bearer(""), Some(TokenMalformed)),
            (Credential::bearer("can ary"), Some(TokenMalformed)),
            (Credential::bearer("canary\n"), Some(TokenMalformed)),
            (Credential::bearer("canäry"), Some(TokenMalformed)),
            (Credential::basic("ana", "canary: ä"), None),
            (Credential::basic("ana", ""), Some(LoginMalformed)),
            (Credential::basic("", "canary"), Some(LoginMalformed)),
            (Credential::basic("canary:x", "y"), Some(LoginMalformed)),
            (Credential::basic("ana", "canary\r\nX: y"), Some(LoginMalformed)),
        ] {
            let shown = format!("{credential:?} {:?}", credential.header());
            assert!(!shown.contains("can"), "{shown}");
            assert_eq!(credential.header().err(), expected, "{shown}");
        }
    }

    #[test]
    fn every_form_of_a_credential_is_taken_out_of_what_is_read() {
        let login = Credential::basic("ana", "canary/ of the test");
        let said =
            "YW5hOmNhbmFyeS8gb2YgdGhlIHRlc3Q= canary/ of the test canary%2F%20of%20the%20test";
        let clean = login.redactor().text(said);
        assert_eq!(clean, "[redacted] [redacted] [redacted]");
    }
}
