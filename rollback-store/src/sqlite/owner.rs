//! One process owns a file: the lock beside it, and who may read it.

use super::OpenError;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// How often the lock is tried: the owner before may still be closing the file.
const ATTEMPTS_MAX: u32 = 20;

/// How long between two attempts; one second for all of them.
const PAUSE: Duration = Duration::from_millis(50);

/// Holds the lock until it is dropped; a killed process drops it, too.
#[derive(Debug)]
pub(super) struct Owner {
    _lock: File,
}

impl Owner {
    /// Locks the database at `path`, and makes it if it is not there.
    ///
    /// The lock is a file of its own: closing a second handle of the database itself would drop
    /// the locks that SQLite holds on it.
    pub(super) fn take(path: &Path) -> Result<(Self, PathBuf), OpenError> {
        let unusable = |error: io::Error| OpenError::unusable(path, &error);
        let file = private().open(path).map_err(unusable)?;
        keep_private(&file).map_err(unusable)?;
        drop(file);
        let path = fs::canonicalize(path).map_err(unusable)?;
        let mut beside = path.clone().into_os_string();
        beside.push(".lock");
        let lock = private().open(PathBuf::from(beside)).map_err(unusable)?;
        for _attempt in 0..ATTEMPTS_MAX {
            match lock.try_lock() {
                Ok(()) => return Ok((Self { _lock: lock }, path)),
                Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
                Err(TryLockError::Error(error)) => return Err(unusable(error)),
            }
        }
        Err(OpenError::InUse { path })
    }
}

#[cfg(unix)]
fn private() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options
}

#[cfg(not(unix))]
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options
}

/// Names and reasons are in the file: nobody else on the machine needs to read them. SQLite gives
/// its log the permissions of the database.
#[cfg(unix)]
fn keep_private(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    file.set_permissions(fs::Permissions::from_mode(0o600))
}

#[cfg(not(unix))]
fn keep_private(_file: &File) -> io::Result<()> {
    Ok(())
}
