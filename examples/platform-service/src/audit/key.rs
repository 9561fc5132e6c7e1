//! The key that signs checkpoints: made once, read from where the configuration says.

use crate::config::CheckpointsConfig;
use crate::secrets::{Environment, NoSecret, secret_in};
use rollback_audit::{KeyError, PublicKey, Signer, SigningKey};
use secrecy::ExposeSecret;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use zeroize::Zeroizing;

/// There is no signer of checkpoints. The key itself is never told.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NoSigner {
    /// The secret is not there.
    #[error("{0}")]
    Secret(#[from] NoSecret),
    /// It is no key, or one of another log.
    #[error("{0}")]
    Key(#[from] KeyError),
    /// None is named.
    #[error("no key is named; add `key_env` or `key_file`")]
    NotNamed,
}

/// The signer that the configuration names.
pub(crate) fn signer(
    config: &CheckpointsConfig,
    environment: &Environment,
) -> Result<Signer, NoSigner> {
    let current = key(config.key_env.as_deref(), config.key_file.as_deref(), environment)?;
    let signer = Signer::new(current.ok_or(NoSigner::NotNamed)?);
    let (variable, file) = (&config.retiring_key_env, &config.retiring_key_file);
    match key(variable.as_deref(), file.as_deref(), environment)? {
        Some(retiring) => Ok(signer.replacing(retiring)?),
        None => Ok(signer),
    }
}

fn key(
    variable: Option<&str>,
    file: Option<&Path>,
    environment: &Environment,
) -> Result<Option<SigningKey>, NoSigner> {
    let secret = match (variable, file) {
        (Some(variable), _) => environment.secret(variable)?,
        (None, Some(file)) => secret_in(file)?,
        (None, None) => return Ok(None),
    };
    Ok(Some(SigningKey::parse(secret.expose_secret())?))
}

/// No key was made. Nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoKey {
    /// It cannot have this name.
    #[error("{0}")]
    Name(#[from] KeyError),
    /// The system gives no randomness.
    #[error("the system gives no random bytes: {0}")]
    Random(getrandom::Error),
    /// The file is there already, or cannot be written.
    #[error("the key cannot be written to a new file `{path}`: {error}")]
    File {
        /// Which.
        path: String,
        /// What is wrong.
        error: std::io::Error,
    },
}

/// Makes a key, writes it to a new file that nobody else can read, and gives its public half.
///
/// # Errors
///
/// [`NoKey`]; a file that is there already is left as it is.
pub fn make_key(name: &str, path: &Path) -> Result<PublicKey, NoKey> {
    let mut random = Zeroizing::new([0; 32]);
    getrandom::fill(random.as_mut_slice()).map_err(NoKey::Random)?;
    let key = SigningKey::new(name, &random)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let text = Zeroizing::new(format!("{}\n", key.reveal().as_str()));
    let written = options.open(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    let path = path.display().to_string();
    written.map_err(|error| NoKey::File { path, error })?;
    Ok(key.public().clone())
}
