//! One process owns a file: the lock on the file itself, the lock beside it, who may read it, and
//! whether it is still the one that was opened.

use super::OpenError;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How often the lock is tried: the owner before may still be closing the file.
const ATTEMPTS_MAX: u32 = 20;

/// How long between two attempts; one second for all of them.
const PAUSE: Duration = Duration::from_millis(50);

/// What a SQLite file begins with.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Where a SQLite file has the mark of the application that it belongs to, in its first hundred bytes.
const MARK_AT: std::ops::Range<usize> = 68..72;

/// The files that this process owns. SQLite's own locks belong to the process, and closing any handle
/// of a file drops them: a file that is open here is not opened a second time, not even to be refused.
static OWNED: Mutex<BTreeSet<Identity>> = Mutex::new(BTreeSet::new());

/// Which file it is, whatever it is called.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Identity {
    device: u64,
    number: u64,
}

/// Holds the locks until it is dropped; a killed process drops them, too. Dropped after SQLite has
/// closed the file.
#[derive(Debug)]
pub(super) struct Owner {
    path: PathBuf,
    /// Locked, and open for as long as SQLite has the file open.
    _file: File,
    _beside: File,
    /// None where files have no identity.
    identity: Option<Identity>,
    /// Of SQLite's log, from the first time that it was seen.
    log: Option<Identity>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        if let Some(identity) = &self.identity {
            owned().remove(identity);
        }
    }
}

fn owned() -> MutexGuard<'static, BTreeSet<Identity>> {
    OWNED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Owner {
    /// Locks the database at `path`, and makes it if it is not there. Whatever is refused is left as
    /// it was.
    ///
    /// The database itself is locked, so that another name of it is the same lock, and beside it a file
    /// of its own, which earlier releases look at.
    pub(super) fn take(path: &Path, mark: i64) -> Result<(Self, PathBuf), OpenError> {
        let unusable = |error: io::Error| OpenError::unusable(path, &error);
        let refused = |why: &str| OpenError::unusable(path, &why);
        if path.file_name().is_some_and(|name| name == ":memory:") {
            let why = "`:memory:` would be a file of this name, not a store in memory; nothing was \
                       changed; name a file";
            return Err(refused(why));
        }
        match fs::metadata(path) {
            Ok(found) if !found.is_file() => {
                let why = "it is no regular file; nothing was changed; name a file";
                return Err(refused(why));
            }
            Ok(found) => not_owned_here(identity(&found), path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unusable(error)),
        }
        let file = private().open(path).map_err(unusable)?;
        is_ours(&file, path, mark)?;
        let path = fs::canonicalize(path).map_err(unusable)?;
        lock_itself(&file, &path)?;
        let found = file.metadata().map_err(unusable)?;
        if links(&found) > 1 {
            let why = format!(
                "the file has {} names (hard links), and SQLite keeps its log beside one of them; \
                 nothing was changed; remove the other names, or copy the file",
                links(&found)
            );
            return Err(OpenError::unusable(&path, &why));
        }
        let mut beside = path.clone().into_os_string();
        beside.push(".lock");
        let beside = private().open(PathBuf::from(beside)).map_err(unusable)?;
        lock(&beside, &path)?;
        keep_private(&file).map_err(unusable)?;
        let identity = identity(&found);
        owned().extend(identity);
        let owner = Self { path: path.clone(), _file: file, _beside: beside, identity, log: None };
        Ok((owner, path))
    }

    /// Whether the name still leads to the file that was opened, and to its log: what is written to a
    /// file that was replaced or removed is lost.
    ///
    /// # Errors
    ///
    /// What became of it, in words.
    pub(super) fn is_still_there(&mut self) -> Result<(), String> {
        let Some(opened) = self.identity else { return Ok(()) };
        same(&self.path, opened, "the database file")?;
        let log = super::log_of(&self.path);
        match self.log {
            Some(seen) => same(&log, seen, "the database's log"),
            None => {
                self.log = fs::metadata(&log).ok().as_ref().and_then(identity);
                Ok(())
            }
        }
    }
}

/// Whether this process has the file open already; it may be closing it.
fn not_owned_here(found: Option<Identity>, path: &Path) -> Result<(), OpenError> {
    let Some(found) = found else { return Ok(()) };
    for _attempt in 0..ATTEMPTS_MAX {
        if !owned().contains(&found) {
            return Ok(());
        }
        thread::sleep(PAUSE);
    }
    Err(OpenError::InUse { path: path.to_path_buf() })
}

fn same(path: &Path, opened: Identity, what: &str) -> Result<(), String> {
    let became = match fs::metadata(path) {
        Ok(found) if identity(&found) == Some(opened) => return Ok(()),
        Ok(_another) => "was replaced",
        Err(error) if error.kind() == io::ErrorKind::NotFound => "was removed",
        // A disk that does not answer tells so when it is written.
        Err(_unknown) => return Ok(()),
    };
    Err(format!(
        "{what} `{}` {became} while the service was running, and what was written to it would be \
         lost; put the file back, or stop the service and compare both with the audit log",
        path.display()
    ))
}

/// Whether the file may become a store, or is one: told from its first bytes.
fn is_ours(file: &File, path: &Path, mark: i64) -> Result<(), OpenError> {
    let unusable = |error: io::Error| OpenError::unusable(path, &error);
    let found = file.metadata().map_err(unusable)?;
    if !found.is_file() {
        let why = "it is no regular file; nothing was changed; name a file";
        return Err(OpenError::unusable(path, &why));
    }
    let mut head = Vec::with_capacity(100);
    file.take(100).read_to_end(&mut head).map_err(unusable)?;
    if head.is_empty() {
        return Ok(());
    }
    if !head.starts_with(MAGIC) {
        let why = "it is no database; nothing was changed; name another file";
        return Err(OpenError::unusable(path, &why));
    }
    let bytes = head.get(MARK_AT).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
    if bytes.map(|bytes| i64::from(u32::from_be_bytes(bytes))) == Some(mark) {
        return Ok(());
    }
    Err(OpenError::NotAStore { path: path.to_path_buf() })
}

fn lock(file: &File, path: &Path) -> Result<(), OpenError> {
    for _attempt in 0..ATTEMPTS_MAX {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
            Err(TryLockError::Error(error)) => return Err(OpenError::unusable(path, &error)),
        }
    }
    Err(OpenError::InUse { path: path.to_path_buf() })
}

/// Where the two kinds of locks know nothing of each other, the database itself is locked with the one
/// that SQLite does not use.
#[cfg(target_os = "linux")]
fn lock_itself(file: &File, path: &Path) -> Result<(), OpenError> {
    lock(file, path)
}

/// Elsewhere such a lock would keep SQLite out, too; the file beside it is locked.
#[cfg(not(target_os = "linux"))]
fn lock_itself(_file: &File, _path: &Path) -> Result<(), OpenError> {
    Ok(())
}

#[cfg(unix)]
fn identity(found: &fs::Metadata) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    Some(Identity { device: found.dev(), number: found.ino() })
}

#[cfg(not(unix))]
fn identity(_found: &fs::Metadata) -> Option<Identity> {
    None
}

#[cfg(unix)]
fn links(found: &fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt;
    found.nlink()
}

#[cfg(not(unix))]
fn links(_found: &fs::Metadata) -> u64 {
    1
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
