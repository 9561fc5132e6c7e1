//! The audit log as files of JSON lines: flushed before it is acknowledged, rotated by size.

mod checkpoints;
mod tail;
mod verify;

pub use self::tail::{AuditLine, AuditLines};
pub use self::verify::{AuditFileProblem, Verified, verify_audit_files};

use async_trait::async_trait;
use checkpoints::CheckpointFile;
use rollback_core::audit::{Head, Record, SignedCheckpoint};
use rollback_core::ports::{AuditSink, ErrorKind, Kept, PortError};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tail::{Tail, TailError};

/// How large a file grows unless its owner says otherwise.
const ROTATE_BYTES: u64 = 64 << 20;

/// Less free space than this is a full disk: a rollback writes some twenty records of a few KiB, and the
/// last of them must fit, too.
const FREE_BYTES_MIN: u64 = 1 << 20;

/// What an audit file is called that has no name of its own.
const NAME: &str = "file";

/// How the files are kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct AuditFileOptions {
    /// What the sink is called, where an engine has several. The store keeps what each has acknowledged
    /// by its name, so a name stays. Default `file`.
    pub name: &'static str,
    /// A file that a record would make larger than this is put aside first. Default 64 MiB.
    pub rotate_bytes: u64,
    /// With less free space than this a look at the sink says that its disk is full; records are kept
    /// for as long as they fit. Default 1 MiB.
    pub free_bytes_min: u64,
}

impl Default for AuditFileOptions {
    fn default() -> Self {
        Self { name: NAME, rotate_bytes: ROTATE_BYTES, free_bytes_min: FREE_BYTES_MIN }
    }
}

/// An audit sink that keeps every record as a line of JSON in a file.
///
/// ```text
///   audit.jsonl                   the newest records, the last line being the newest
///   audit.000000000001.jsonl      put aside, named by the first record in it
///   audit.000000004711.jsonl
/// ```
///
/// - **Flushed before it is acknowledged**, and a new file's folder with it.
/// - **One chain over all files**: a record that does not continue the one before it is refused,
///   loudly, whatever the reason. The very first may be in the middle of a chain.
/// - **Its own**: it is a copy of the whole log, whichever process wrote what, so that each process has
///   a file of its own that verifies by itself.
/// - **Once**: a record that comes again is acknowledged and not written again.
/// - **A torn last line** of a process that died is taken away; it was never acknowledged.
/// - **One writer**: another process that writes the same file at the same moment is refused.
/// - **Private**: on Unix nobody but the owner of the process can read it.
/// - **Anchored**: [`AuditFile::anchored_in`] names a file for the checkpoints of the log, flushed
///   like the records. Put it where whoever can change the database and this log cannot write.
///
/// The file is opened for each record, so that a folder that was moved away is noticed at once.
///
/// ```
/// use rollback_core::ports::AuditSink;
/// use rollback_store::{AuditFile, AuditFileOptions, verify_audit_files};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("audit.jsonl");
/// let sink = AuditFile::new(&path, AuditFileOptions::default());
/// assert_eq!(sink.name(), "file");
/// assert_eq!(verify_audit_files(&path)?.records, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct AuditFile {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    options: AuditFileOptions,
    checkpoints: Option<CheckpointFile>,
    /// What this process knows the file to end with; none until it has looked.
    end: Mutex<Option<End>>,
}

/// Where the file ends, as it was when this process last touched it.
#[derive(Clone, Debug)]
struct End {
    bytes: u64,
    head: Option<Head>,
}

impl AuditFile {
    /// Keeps records in the file at `path`, which is made with the first; its folder must exist.
    /// Nothing is opened yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, options: AuditFileOptions) -> Self {
        Self::with(path.into(), options, None)
    }

    /// Keeps checkpoints, too: in the file at `path`, one signed note after the other, never
    /// rotated. Nothing is opened yet.
    #[must_use]
    pub fn anchored_in(self, path: impl Into<PathBuf>) -> Self {
        let Shared { path: records, options, .. } = &*self.shared;
        Self::with(records.clone(), *options, Some(CheckpointFile::new(path.into())))
    }

    /// Puts everything that is kept here away, the checkpoints too, into a new folder beside the file,
    /// and says where that is; nothing when nothing is kept. What follows begins anew. For a log whose
    /// store has lost what is kept here, once somebody has acknowledged that.
    ///
    /// # Errors
    ///
    /// When a file cannot be moved; those before it were.
    pub fn put_away(&self) -> io::Result<Option<PathBuf>> {
        let checkpoints = self.shared.checkpoints.as_ref().map(CheckpointFile::path);
        tail::put_away(&self.shared.path, checkpoints)
    }

    fn with(path: PathBuf, options: AuditFileOptions, checkpoints: Option<CheckpointFile>) -> Self {
        let end = Mutex::new(None);
        Self { shared: Arc::new(Shared { path, options, checkpoints, end }) }
    }
}

#[async_trait]
impl AuditSink for AuditFile {
    fn name(&self) -> &'static str {
        self.shared.options.name
    }

    /// A future that is dropped leaves the record written or not; it may be given again.
    async fn record(&self, record: &Record) -> Result<(), PortError> {
        let (shared, record) = (Arc::clone(&self.shared), record.clone());
        aside(move || shared.keep(&record)).await
    }

    /// The file itself: every process keeps the whole log in its own. An empty one, or one whose file
    /// was taken away, is given all of it.
    async fn kept(&self) -> Result<Kept, PortError> {
        let shared = Arc::clone(&self.shared);
        aside(move || shared.end().map(Kept::BySink)).await
    }

    /// Also looks whether the file's disk is full.
    async fn look(&self) -> Result<(), PortError> {
        let shared = Arc::clone(&self.shared);
        aside(move || shared.end().and_then(|_end| shared.has_room())).await
    }

    async fn checkpoint(&self, checkpoint: &SignedCheckpoint) -> Result<(), PortError> {
        let (shared, note) = (Arc::clone(&self.shared), checkpoint.note.clone());
        let keep = move || shared.checkpoints.as_ref().map_or(Ok(()), |file| file.keep(&note));
        aside(keep).await
    }

    async fn last_checkpoint(&self) -> Result<Option<String>, PortError> {
        let shared = Arc::clone(&self.shared);
        aside(move || shared.checkpoints.as_ref().map_or(Ok(None), CheckpointFile::last)).await
    }
}

/// Does what waits for the disk where nobody else waits for it.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, NotKept> + Send + 'static,
) -> Result<T, PortError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(PortError::from),
        Err(error) => Err(failed(ErrorKind::Retry(None), "the writer stopped").caused_by(error)),
    }
}

/// Why a record was not kept.
#[derive(Debug)]
enum NotKept {
    Io(io::Error),
    Tail(TailError),
    Locked,
    Gap { after: u64, came: u64 },
    Different { sequence: u64 },
    InTheWay(PathBuf),
    NoCheckpoints(PathBuf),
    Unwritable(String),
    DiskFull { free: u64 },
}

impl From<io::Error> for NotKept {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<TailError> for NotKept {
    fn from(error: TailError) -> Self {
        match error {
            TailError::Io { error, .. } => Self::Io(error),
            wrong @ TailError::Line { .. } => Self::Tail(wrong),
        }
    }
}

fn failed(kind: ErrorKind, what: impl Into<String>) -> PortError {
    PortError::new(kind, "audit file", "keep a record", what)
}

impl From<NotKept> for PortError {
    fn from(not_kept: NotKept) -> Self {
        match not_kept {
            NotKept::Io(error) => {
                let what = format!("the file cannot be written: {error}; fix its folder");
                failed(ErrorKind::Retry(None), what).caused_by(error)
            }
            NotKept::Tail(error) => failed(
                ErrorKind::Misconfigured,
                format!("what is in the file is not what was written: {error}; look into it"),
            ),
            NotKept::Locked => failed(
                ErrorKind::Retry(None),
                "another process writes the same file; give each its own",
            ),
            NotKept::Gap { after, came } => failed(
                ErrorKind::Misconfigured,
                format!(
                    "the file ends with record {after} and record {came} came; put the missing \
                     records back, or the file aside"
                ),
            ),
            NotKept::Different { sequence } => failed(
                ErrorKind::Misconfigured,
                format!("the file has another record {sequence}; one of the two was changed"),
            ),
            NotKept::InTheWay(path) => failed(
                ErrorKind::Misconfigured,
                format!("`{}` is in the way of the next rotation; move it", path.display()),
            ),
            NotKept::NoCheckpoints(path) => failed(
                ErrorKind::Misconfigured,
                format!(
                    "`{}` ends with something that is no checkpoint; look into it, and put it aside",
                    path.display()
                ),
            ),
            NotKept::Unwritable(problem) => failed(ErrorKind::Rejected, problem),
            NotKept::DiskFull { free } => failed(
                ErrorKind::Retry(None),
                format!("the disk of the file is full: {free} bytes are free; make room on it"),
            ),
        }
    }
}

impl Shared {
    fn keep(&self, record: &Record) -> Result<(), NotKept> {
        let line = record.canonical().map_err(|error| NotKept::Unwritable(error.to_string()))?;
        let mut known = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        // Forgotten first: whatever fails from here on, the next attempt looks again.
        let remembered = known.take();
        let file = self.open()?;
        let end = self.look(&file, remembered)?;
        if let Some(head) = &end.head {
            if record.sequence <= head.sequence {
                self.is_the_same(record, head)?;
                // Found, and perhaps written by a process that died before it could flush.
                file.sync_all()?;
                *known = Some(end);
                return Ok(());
            }
            let follows = record.sequence == head.sequence.saturating_add(1)
                && record.previous_hash == head.hash
                && record.chain == head.chain;
            if !follows {
                return Err(NotKept::Gap { after: head.sequence, came: record.sequence.get() });
            }
        }
        let bytes = u64::try_from(line.len()).unwrap_or(u64::MAX).saturating_add(1);
        let is_full = end.bytes.saturating_add(bytes) > self.options.rotate_bytes;
        let (file, begins_at) =
            if is_full && end.bytes > 0 { (self.rotate(file)?, 0) } else { (file, end.bytes) };
        append(file, begins_at, &line)?;
        let head = Some(Head::after(record));
        *known = Some(End { bytes: begins_at.saturating_add(bytes), head });
        Ok(())
    }

    fn open(&self) -> Result<File, NotKept> {
        open(&self.path)
    }

    /// Where the log ends that is kept here, without touching it: what is torn is taken away by the
    /// next record.
    fn end(&self) -> Result<Option<Head>, NotKept> {
        let known = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = match std::fs::metadata(&self.path) {
            Ok(there) => there.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return self.head_of_the_file_before();
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(end) = known.as_ref().filter(|end| end.bytes == bytes) {
            return Ok(end.head.clone());
        }
        match tail::read(&self.path)?.last {
            Some(record) => Ok(Some(Head::after(&record))),
            None => self.head_of_the_file_before(),
        }
    }

    fn has_room(&self) -> Result<(), NotKept> {
        match free_bytes(&self.path)? {
            Some(free) if free < self.options.free_bytes_min => Err(NotKept::DiskFull { free }),
            Some(_) | None => Ok(()),
        }
    }

    /// Where the file ends: as remembered if nobody touched it since, else by looking.
    fn look(&self, file: &File, remembered: Option<End>) -> Result<End, NotKept> {
        let bytes = file.metadata()?.len();
        if let Some(end) = remembered.filter(|end| end.bytes == bytes) {
            return Ok(end);
        }
        let Tail { whole_bytes, last } = tail::read(&self.path)?;
        if whole_bytes < bytes {
            file.set_len(whole_bytes)?;
            file.sync_all()?;
        }
        let head = match last {
            Some(record) => Some(Head::after(&record)),
            None => self.head_of_the_file_before()?,
        };
        Ok(End { bytes: whole_bytes, head })
    }

    fn head_of_the_file_before(&self) -> Result<Option<Head>, NotKept> {
        let before = tail::put_aside(&self.path)?;
        let Some(newest) = before.last() else { return Ok(None) };
        Ok(tail::read(newest)?.last.map(|record| Head::after(&record)))
    }

    /// Whether a record that comes again is the one that is kept.
    fn is_the_same(&self, record: &Record, head: &Head) -> Result<(), NotKept> {
        let kept = if record.sequence == head.sequence {
            Some(head.hash)
        } else {
            tail::find(&self.path, record.sequence.get())?.map(|kept| kept.hash)
        };
        // Records from before the first one here were never kept here, and are in order elsewhere.
        match kept {
            Some(hash) if hash != record.hash => {
                Err(NotKept::Different { sequence: record.sequence.get() })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Puts the full file aside and begins the next one.
    fn rotate(&self, full: File) -> Result<File, NotKept> {
        let first = tail::first(&self.path)?.map_or(0, |record| record.sequence.get());
        let aside = tail::name_aside(&self.path, first);
        if aside.exists() {
            return Err(NotKept::InTheWay(aside));
        }
        full.sync_all()?;
        std::fs::rename(&self.path, &aside)?;
        flush_folder(&self.path)?;
        drop(full);
        self.open()
    }
}

/// Opens a file for this process alone; made, and its folder flushed, when it is not there.
fn open(path: &Path) -> Result<File, NotKept> {
    let is_new = !path.exists();
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => return Err(NotKept::Locked),
        Err(std::fs::TryLockError::Error(error)) => return Err(error.into()),
    }
    if is_new {
        flush_folder(path)?;
    }
    Ok(file)
}

/// Writes a line at the end and flushes it. What cannot be flushed is taken back, so that nobody
/// finds it and takes it for kept.
fn append(mut file: File, begins_at: u64, line: &str) -> Result<(), NotKept> {
    let written = file.write_all(format!("{line}\n").as_bytes()).and_then(|()| file.sync_all());
    let Err(error) = written else { return Ok(()) };
    // Failing too, it leaves a torn or unflushed line, which the next look finds and flushes.
    drop(file.set_len(begins_at));
    Err(error.into())
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    }
}

/// How much is free on the disk of a file, for this process; none where the system does not say.
fn free_bytes(path: &Path) -> io::Result<Option<u64>> {
    #[cfg(unix)]
    {
        let disk = rustix::fs::statvfs(folder_of(path))?;
        Ok(free_of(disk.f_blocks, disk.f_bavail, disk.f_frsize))
    }
    #[cfg(not(unix))]
    {
        let _not_asked = folder_of(path);
        Ok(None)
    }
}

/// A file system that has no blocks of its own says nothing about room.
#[cfg(unix)]
fn free_of(blocks: u64, available: u64, bytes_each: u64) -> Option<u64> {
    (blocks > 0).then(|| available.saturating_mul(bytes_each))
}

/// A name is durable when its folder is.
fn flush_folder(path: &Path) -> io::Result<()> {
    let folder = folder_of(path);
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _flushed_by_the_system = folder;
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_system_with_blocks_says_how_much_is_free() {
        assert_eq!(free_of(100, 3, 4_096), Some(12_288));
        assert_eq!(free_of(100, 0, 4_096), Some(0), "full");
        assert_eq!(free_of(u64::MAX, u64::MAX, 4_096), Some(u64::MAX));
        assert_eq!(free_of(0, 0, 4_096), None, "it does not say");
    }
}
