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
    for kept in kept_by(&file, config, environment).await? {
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

/// Where what is kept on this host ends, if anything is kept here: the copy, and what was signed.
pub(crate) async fn kept_here(
    config: &Config,
    environment: &Environment,
) -> Result<Vec<KeptEnd>, String> {
    match audit_file(config) {
        Some(file) => kept_by(&file, config, environment).await,
        None => Ok(Vec::new()),
    }
}

async fn kept_by(
    file: &AuditFile,
    config: &Config,
    environment: &Environment,
) -> Result<Vec<KeptEnd>, String> {
    let path = config.file.audit.file.as_ref().map(|file| file.path.display().to_string());
    let path = path.unwrap_or_default();
    let kept = file.kept().await;
    let kept = kept.map_err(|error| format!("the audit file `{path}` cannot be read: {error}"))?;
    let copied = |end| KeptEnd { place: format!("the audit file `{path}`"), end };
    let mut ends = match kept {
        Kept::BySink(copy) => Vec::from_iter(copy.map(copied)),
        Kept::ByStore => Vec::new(),
    };
    if let Some(checkpoints) = &config.file.audit.checkpoints
        && let Ok(signer) = signer(checkpoints, environment)
        && let Some(note) = file.last_checkpoint().await.map_err(|error| error.to_string())?
        && let Ok(signed) = signer.open(&note)
    {
        let place = format!("the checkpoints in `{}`", checkpoints.file.display());
        ends.push(KeptEnd { place, end: signed.checkpoint.head });
    }
    Ok(ends)
}
