//! The log of orders as a file: one line of JSON for each thing that happened.

use super::log::{Index, LogError, LogRecord, Logged, OrderLog};
use async_trait::async_trait;
use rollback_core::RollbackId;
use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The longest log that is kept: some 50,000 rollbacks, and it is held in memory whole.
const LOG_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A log in a file of JSON lines that one process holds. Each record is on the disk before
/// [`OrderLog::append`] answers; a line that a crash cut short never counted.
#[derive(Clone, Debug)]
pub struct FileLog(Arc<Mutex<Open>>);

#[derive(Debug)]
struct Open {
    path: PathBuf,
    file: File,
    length: u64,
    index: Index,
    /// Set when a failed write could not be taken back: no line may follow it.
    broken: bool,
}

impl FileLog {
    /// Opens a log, or makes one, and keeps other processes from it.
    ///
    /// # Errors
    ///
    /// [`LogError`] when another process has it, when it cannot be read or written, or when a line
    /// makes no sense. Nothing was changed, but for a last line that a crash had cut short.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, LogError> {
        let path = path.into();
        let opened = tokio::task::spawn_blocking(move || Open::at(path)).await;
        let opened = opened.unwrap_or_else(|_stopped| Err(stopped()))?;
        Ok(Self(Arc::new(Mutex::new(opened))))
    }
}

fn stopped() -> LogError {
    LogError::new("the process is being stopped")
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LogError {
    let what = format!("could not {doing} `{}`", path.display());
    move |source| LogError::new(what).caused_by(source)
}

impl Open {
    fn at(path: PathBuf) -> Result<Self, LogError> {
        let is_new = !path.exists();
        let opened = File::options().read(true).append(true).create(true).open(&path);
        let mut file = opened.map_err(failed("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let what = format!(
                    "another process has `{}`; nothing was changed; stop it, or choose another file",
                    path.display()
                );
                return Err(LogError::new(what));
            }
            Err(TryLockError::Error(error)) => return Err(failed("lock", &path)(error)),
        }
        if is_new {
            keep_the_name(&path).map_err(failed("create", &path))?;
        }
        let (index, length) = load(&mut file, &path)?;
        Ok(Self { path, file, length, index, broken: false })
    }

    fn append(&mut self, record: &LogRecord) -> Result<(), LogError> {
        if self.broken {
            let what = format!("a write to `{}` failed; restart this server", self.path.display());
            return Err(LogError::new(what));
        }
        let mut line = serde_json::to_vec(record)
            .map_err(|error| LogError::new("a record cannot be written").caused_by(error))?;
        line.push(b'\n');
        let length = self.length.saturating_add(u64::try_from(line.len()).unwrap_or(u64::MAX));
        if length > LOG_BYTES_MAX {
            let path = self.path.display();
            let what = format!(
                "`{path}` has reached {LOG_BYTES_MAX} bytes; stop this server when no rollback \
                 runs, and archive the file"
            );
            return Err(LogError::new(what));
        }
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Half a line must not become the beginning of the next one.
            self.broken = self.file.set_len(self.length).is_err();
            return Err(failed("write", &self.path)(error));
        }
        self.length = length;
        self.index.take(record);
        Ok(())
    }
}

/// A new file's name has to survive a crash as well as its content.
fn keep_the_name(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

fn load(file: &mut File, path: &Path) -> Result<(Index, u64), LogError> {
    let read = failed("read", path);
    let length = file.metadata().map(|metadata| metadata.len());
    let mut bytes = Vec::new();
    let whole = length.and_then(|length| {
        if length > LOG_BYTES_MAX {
            return Err(io::Error::other(format!("it is longer than {LOG_BYTES_MAX} bytes")));
        }
        file.seek(SeekFrom::Start(0))?;
        file.read_to_end(&mut bytes)
    });
    whole.map_err(read)?;
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at.saturating_add(1));
    let lines = bytes.get(..end).unwrap_or_default();
    let mut index = Index::default();
    for (number, line) in lines.split(|byte| *byte == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        let record: LogRecord = serde_json::from_slice(line).map_err(|error| {
            let what = format!(
                "line {} of `{}` makes no sense; nothing was changed; restore the file",
                number.saturating_add(1),
                path.display()
            );
            LogError::new(what).caused_by(error)
        })?;
        index.take(&record);
    }
    let kept = u64::try_from(end).unwrap_or(u64::MAX);
    if end != bytes.len() {
        // What a crash cut short was never acted on.
        let cut = file.set_len(kept).and_then(|()| file.sync_data());
        cut.map_err(failed("cut the last line of", path))?;
    }
    Ok((index, kept))
}

#[async_trait]
impl OrderLog for FileLog {
    async fn append(&self, record: &LogRecord) -> Result<(), LogError> {
        let (open, record) = (Arc::clone(&self.0), record.clone());
        let append = move || open.lock().unwrap_or_else(PoisonError::into_inner).append(&record);
        // What was begun is finished even when nobody waits.
        tokio::task::spawn_blocking(append).await.unwrap_or_else(|_stopped| Err(stopped()))
    }

    async fn read(&self, operation: &RollbackId) -> Result<Option<Logged>, LogError> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).index.read(operation))
    }
}
