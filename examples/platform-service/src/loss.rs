//! `acknowledge-loss`: the service goes on with a store that has lost what was seen of it.

use crate::audit::signer;
use crate::config::Config;
use crate::platform::audit_file;
use crate::secrets::Environment;
use crate::store::OpenStore;
use rollback_core::audit::Head;
use rollback_core::ports::{AuditSink as _, CheckpointSigner as _, Kept, Store, StoreError};
use rollback_store::AuditFile;
use std::fmt;
use std::path::PathBuf;

/// What was done about a loss.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Acknowledged {
    /// Where the copy of the log was put that has what the store has lost.
    pub put_away: Option<PathBuf>,
}

impl fmt::Display for Acknowledged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("acknowledged; the service goes on within seconds")?;
        match &self.put_away {
            Some(folder) => write!(
                f,
                "; what the store has lost is in `{}`: keep it, and restart the service here",
                folder.display()
            ),
            None => Ok(()),
        }
    }
}

/// Lets the service go on with a store that has lost what was seen of it, and puts this host's copy of
/// the audit log away if it has what was lost. What happened is to be found out first: an order may
/// have been sent of which the store knows nothing any more.
///
/// # Errors
///
/// In words: the store did not take it, and then nothing was changed; or the copy could not be put
/// away, and it may be called again.
pub async fn acknowledge_loss(
    config: &Config,
    environment: &Environment,
) -> Result<Acknowledged, String> {
    let store = OpenStore::open(&config.store).await.map_err(|error| error.to_string())?;
    let acknowledged = acknowledged(store.port().as_ref(), config, environment).await;
    store.close().await;
    acknowledged
}

async fn acknowledged(
    store: &dyn Store,
    config: &Config,
    environment: &Environment,
) -> Result<Acknowledged, String> {
    // First: while the copy is in its place, a process that starts writes nothing.
    store.acknowledge_loss().await.map_err(|error| error.to_string())?;
    let mut done = Acknowledged::default();
    let Some(file) = audit_file(config) else { return Ok(done) };
    for kept in kept_by(&file, config, environment).await?.ends {
        match store.compare(&kept.end).await {
            Ok(()) => {}
            Err(StoreError::WentBack(_)) => {
                let put_away = file.put_away();
                done.put_away = put_away.map_err(|error| {
                    format!("the loss is acknowledged, and the audit file cannot be moved: {error}")
                })?;
                break;
            }
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(done)
}

/// The end of the log as it is kept outside the store.
#[derive(Clone, Debug)]
pub(crate) struct KeptEnd {
    /// Where, for people.
    pub(crate) place: String,
    /// The end.
    pub(crate) end: Head,
}

/// Something that the configuration keeps on this host, and that could not be compared with the store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum NotCompared {
    /// The copy of the log is not there.
    Copy {
        /// Where it should be.
        path: String,
    },
    /// What was signed cannot be checked, or is not there.
    Checkpoints {
        /// Where they are.
        path: String,
        /// Why not.
        why: String,
    },
}

impl fmt::Display for NotCompared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Copy { path } => write!(
                f,
                "the audit file `{path}` is not there; where a service has run with it, find out \
                 who removed it"
            ),
            Self::Checkpoints { path, why } => write!(f, "the checkpoints in `{path}`: {why}"),
        }
    }
}

/// What is kept of the log on this host.
#[derive(Clone, Debug)]
pub(crate) struct KeptHere {
    /// Where it ends.
    pub(crate) ends: Vec<KeptEnd>,
    /// What should be there and could not be read.
    pub(crate) not_compared: Vec<NotCompared>,
    /// Notes that none of our keys signed.
    forged: Vec<String>,
}

impl KeptHere {
    /// Nothing is configured to be kept.
    pub(crate) const fn nothing() -> Self {
        Self { ends: Vec::new(), not_compared: Vec::new(), forged: Vec::new() }
    }
}

/// What is kept on this host: the copy, and what was signed.
///
/// # Errors
///
/// In words: it cannot be read, or somebody else signed it.
pub(crate) async fn kept_here(
    config: &Config,
    environment: &Environment,
) -> Result<KeptHere, String> {
    let Some(file) = audit_file(config) else { return Ok(KeptHere::nothing()) };
    let mut kept = kept_by(&file, config, environment).await?;
    kept.forged.pop().map_or(Ok(kept), Err)
}

async fn kept_by(
    file: &AuditFile,
    config: &Config,
    environment: &Environment,
) -> Result<KeptHere, String> {
    let path = config.file.audit.file.as_ref().map(|file| file.path.display().to_string());
    let path = path.unwrap_or_default();
    let kept = file.kept().await;
    let kept = kept.map_err(|error| format!("the audit file `{path}` cannot be read: {error}"))?;
    let mut here = KeptHere::nothing();
    match kept {
        Kept::BySink(Some(end)) => {
            here.ends.push(KeptEnd { place: format!("the audit file `{path}`"), end });
        }
        Kept::BySink(None) => here.not_compared.push(NotCompared::Copy { path }),
        Kept::ByStore => {}
    }
    let Some(checkpoints) = &config.file.audit.checkpoints else { return Ok(here) };
    let path = checkpoints.file.display().to_string();
    let signer = match signer(checkpoints, environment) {
        Ok(signer) => signer,
        Err(error) => {
            let why = format!("their key is not here: {error}");
            here.not_compared.push(NotCompared::Checkpoints { path, why });
            return Ok(here);
        }
    };
    match file.last_checkpoint().await.map_err(|error| error.to_string())? {
        Some(note) => match signer.open(&note) {
            Ok(signed) => {
                let place = format!("the checkpoints in `{path}`");
                here.ends.push(KeptEnd { place, end: signed.checkpoint.head });
            }
            Err(error) => {
                let forged =
                    format!("the last of the checkpoints in `{path}` is not ours: {error}");
                here.forged.push(forged);
            }
        },
        None => {
            let why = "there is none".to_owned();
            here.not_compared.push(NotCompared::Checkpoints { path, why });
        }
    }
    Ok(here)
}
