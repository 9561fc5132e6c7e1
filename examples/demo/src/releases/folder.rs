//! The folder on disk: the only code here that reads and writes files.
//!
//! ```text
//! <root>/lock                held as long as a process manages the folder
//! <root>/journal.jsonl       what happened; see the `journal` module
//! <root>/releases/42/…       one folder for each release, never written again
//! <root>/current             symlink to releases/42, replaced in one step
//! <root>/instance            the number of the process that may serve
//! ```

use super::classify::{Integrity, Ledger};
use super::config::LOCK_WITHIN;
use super::error::ReleasesError;
use super::journal::{Entry, Released};
use rollback_core::RevisionId;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Longest journal that is read: some 50,000 operations. One folder sees a few a day.
const JOURNAL_BYTES_MAX: u64 = 16 << 20;
/// Most files of a release, and longest file: enough for a small web service.
const FILES_MAX: usize = 100;
const FILE_BYTES_MAX: usize = 1 << 20;

/// One deployment folder, managed by this process.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    /// Nobody reads it. The system releases the lock when the process ends, however it ends.
    _lock: File,
    gate: Mutex<()>,
    changes: watch::Sender<u64>,
}

/// What was written down, and the moment's ledger before that.
pub(crate) struct Turn<'a> {
    folder: &'a Folder,
    _held: MutexGuard<'a, ()>,
    pub(crate) ledger: Ledger,
}

impl Turn<'_> {
    /// Appends to the journal and flushes it to the disk. All of it or nothing.
    pub(crate) fn write(self, entries: &[Entry]) -> Result<(), ReleasesError> {
        self.folder.append(entries)?;
        self.folder.changes.send_modify(|count| *count = count.wrapping_add(1));
        Ok(())
    }
}

impl Folder {
    /// Takes the folder. Waits a little for a process that is just ending.
    pub(crate) fn open(root: &Path) -> Result<Self, ReleasesError> {
        let releases = root.join("releases");
        fs::create_dir_all(&releases).map_err(ReleasesError::io("create", &releases))?;
        let path = root.join("lock");
        let lock = File::options().create(true).append(true).open(&path);
        let lock = lock.map_err(ReleasesError::io("open", &path))?;
        take(&lock, root)?;
        let path = root.join("journal.jsonl");
        let journal = File::options().create(true).append(true).open(&path);
        journal.map_err(ReleasesError::io("create", &path))?;
        let (changes, _nobody_yet) = watch::channel(0);
        Ok(Self { root: root.to_owned(), _lock: lock, gate: Mutex::new(()), changes })
    }

    /// Sees every change of the journal.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Everything the journal says.
    pub(crate) fn ledger(&self) -> Result<Ledger, ReleasesError> {
        self.turn().map(|turn| turn.ledger)
    }

    /// Keeps everybody else from writing until the turn is over.
    pub(crate) fn turn(&self) -> Result<Turn<'_>, ReleasesError> {
        // Nothing is kept in memory that a panic could have left half done.
        let held = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = self.read()?;
        Ok(Turn { folder: self, _held: held, ledger: Ledger::of(entries) })
    }

    fn read(&self) -> Result<Vec<Entry>, ReleasesError> {
        let path = self.root.join("journal.jsonl");
        let io = |source| ReleasesError::io("read", &path)(source);
        let mut file = File::open(&path).map_err(io)?;
        let bytes = file.metadata().map_err(io)?.len();
        if bytes > JOURNAL_BYTES_MAX {
            return Err(ReleasesError::JournalTooLong { bytes });
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(io)?;
        whole_lines(&text)
            .split(|byte| *byte == b'\n')
            .enumerate()
            .filter(|(_, line)| !line.is_empty())
            .map(|(index, line)| {
                let line_number = index.saturating_add(1);
                serde_json::from_slice(line)
                    .map_err(|source| ReleasesError::Journal { line: line_number, source })
            })
            .collect()
    }

    /// What was torn off by a crash in the middle of a write never happened: it is cut off first.
    fn append(&self, entries: &[Entry]) -> Result<(), ReleasesError> {
        let path = self.root.join("journal.jsonl");
        let io = |source| ReleasesError::io("write", &path)(source);
        let mut lines = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut lines, entry).map_err(|error| io(error.into()))?;
            lines.push(b'\n');
        }
        let mut file = File::options().read(true).write(true).open(&path).map_err(io)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(io)?;
        let end = u64::try_from(whole_lines(&text).len()).unwrap_or(u64::MAX);
        file.set_len(end).map_err(io)?;
        file.seek(SeekFrom::Start(end)).map_err(io)?;
        file.write_all(&lines).and_then(|()| file.sync_data()).map_err(io)
    }

    /// What the symlink points to.
    pub(crate) fn live(&self) -> Result<Option<RevisionId>, ReleasesError> {
        let path = self.root.join("current");
        let target = match fs::read_link(&path) {
            Ok(target) => target,
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.root.is_dir() => {
                return Ok(None);
            }
            Err(error) => return Err(ReleasesError::io("read", path)(error)),
        };
        let name = target.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match RevisionId::parse(name) {
            Ok(id) => Ok(Some(id)),
            Err(error) => Err(ReleasesError::io("understand", path)(io::Error::other(error))),
        }
    }

    /// Points the symlink elsewhere in one step: whoever looks sees the old or the new, never none.
    pub(crate) fn switch(&self, to: &RevisionId) -> Result<(), ReleasesError> {
        let (current, next) = (self.root.join("current"), self.root.join("current.next"));
        match fs::remove_file(&next) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(ReleasesError::io("remove", next)(error)),
        }
        let target = Path::new("releases").join(to.as_str());
        std::os::unix::fs::symlink(target, &next).map_err(ReleasesError::io("create", &next))?;
        fs::rename(&next, &current).map_err(ReleasesError::io("switch", &current))?;
        self.flush()
    }

    /// Makes renames durable.
    fn flush(&self) -> Result<(), ReleasesError> {
        let io = |source| ReleasesError::io("flush", &self.root)(source);
        File::open(&self.root).and_then(|folder| folder.sync_all()).map_err(io)
    }

    fn release_path(&self, id: &RevisionId) -> PathBuf {
        self.root.join("releases").join(id.as_str())
    }

    /// Puts files into the folder of a release; gives their checksums. The folder has its name only
    /// when everything is in it.
    pub(crate) fn put(
        &self,
        id: &RevisionId,
        files: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, ReleasesError> {
        check_files(files)?;
        let building = self.root.join("releases").join(".building");
        if building.exists() {
            fs::remove_dir_all(&building).map_err(ReleasesError::io("remove", &building))?;
        }
        fs::create_dir(&building).map_err(ReleasesError::io("create", &building))?;
        let mut sums = BTreeMap::new();
        for (name, text) in files {
            let path = building.join(name);
            let mut file = File::create(&path).map_err(ReleasesError::io("create", &path))?;
            file.write_all(text.as_bytes())
                .and_then(|()| file.sync_all())
                .map_err(ReleasesError::io("write", &path))?;
            sums.insert(name.clone(), sum(text.as_bytes()));
        }
        let path = self.release_path(id);
        if path.exists() {
            // Left by a crash before the journal knew of it.
            fs::remove_dir_all(&path).map_err(ReleasesError::io("remove", &path))?;
        }
        fs::rename(&building, &path).map_err(ReleasesError::io("create", &path))?;
        self.flush()?;
        Ok(sums)
    }

    /// Compares a release folder with what was put there.
    pub(crate) fn integrity(&self, released: &Released) -> Result<Integrity, ReleasesError> {
        let path = self.release_path(&released.id);
        if !path.is_dir() {
            // A folder that is gone is an answer; a disk that is gone is not.
            let releases = self.root.join("releases");
            fs::read_dir(&releases).map_err(ReleasesError::io("read", &releases))?;
            return Ok(Integrity::Missing);
        }
        for (name, expected) in &released.files {
            let path = path.join(name);
            let same = match fs::read(&path) {
                Ok(bytes) => sum(&bytes) == *expected,
                Err(error) if error.kind() == io::ErrorKind::NotFound => false,
                Err(error) => return Err(ReleasesError::io("read", path)(error)),
            };
            if !same {
                return Ok(Integrity::Changed { file: name.clone() });
            }
        }
        Ok(Integrity::Intact)
    }

    /// Removes a release folder. Once removed is removed.
    pub(crate) fn prune(&self, id: &RevisionId) -> Result<(), ReleasesError> {
        let path = self.release_path(id);
        match fs::remove_dir_all(&path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(ReleasesError::io("remove", path)(error)),
        }
    }

    /// Allows one more process to serve, and no earlier one any longer.
    pub(crate) fn next_instance(&self) -> Result<u64, ReleasesError> {
        let next = instance(&self.root)?.saturating_add(1);
        let (path, new) = (self.root.join("instance"), self.root.join("instance.next"));
        fs::write(&new, next.to_string()).map_err(ReleasesError::io("write", &new))?;
        fs::rename(&new, &path).map_err(ReleasesError::io("write", path))?;
        Ok(next)
    }
}

/// The number of the process that may serve; 0 before the first.
pub(crate) fn instance(root: &Path) -> Result<u64, ReleasesError> {
    let path = root.join("instance");
    match fs::read_to_string(&path) {
        Ok(text) => {
            let number = text.trim().parse().map_err(io::Error::other);
            number.map_err(ReleasesError::io("understand", path))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(ReleasesError::io("read", path)(error)),
    }
}

fn take(lock: &File, root: &Path) -> Result<(), ReleasesError> {
    let started = Instant::now();
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if started.elapsed() < LOCK_WITHIN => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(TryLockError::WouldBlock) => return Err(ReleasesError::Taken(root.to_owned())),
            Err(TryLockError::Error(error)) => {
                return Err(ReleasesError::io("lock", root.join("lock"))(error));
            }
        }
    }
}

/// Everything up to the last line end.
fn whole_lines(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last.saturating_add(1));
    text.get(..end).unwrap_or_default()
}

fn check_files(files: &BTreeMap<String, String>) -> Result<(), ReleasesError> {
    if files.len() > FILES_MAX {
        return Err(ReleasesError::BadRelease(format!("it has more than {FILES_MAX} files")));
    }
    for (name, text) in files {
        // A name that is no path and not hidden: the same rule as for a service's name.
        if rollback_core::ServiceName::parse(name.clone()).is_err() {
            return Err(ReleasesError::BadRelease(format!("{name:?} is not a plain file name")));
        }
        if text.len() > FILE_BYTES_MAX {
            let why = format!("`{name}` is longer than {FILE_BYTES_MAX} bytes");
            return Err(ReleasesError::BadRelease(why));
        }
    }
    Ok(())
}

fn sum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> RevisionId {
        text.parse().unwrap()
    }

    fn fence(name: &str) -> Entry {
        Entry::Fenced {
            at: rollback_core::Timestamp::from_millis(1),
            operation: name.parse().unwrap(),
        }
    }

    fn folder() -> (tempfile::TempDir, Folder) {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        (dir, folder)
    }

    #[test]
    fn a_line_torn_by_a_crash_never_happened_and_does_not_spoil_the_next() {
        let (dir, folder) = folder();
        folder.turn().unwrap().write(&[fence("a")]).unwrap();
        let path = dir.path().join("journal.jsonl");
        let whole = fs::read(&path).unwrap();
        for torn in 1..whole.len() {
            let mut text = whole.clone();
            text.extend_from_slice(&whole[..torn]);
            if torn == whole.len() {
                continue;
            }
            fs::write(&path, &text).unwrap();
            assert_eq!(folder.ledger().unwrap().generation, 1, "torn after {torn} bytes");
        }
        folder.turn().unwrap().write(&[fence("b"), fence("c")]).unwrap();
        assert_eq!(folder.ledger().unwrap().generation, 3);
    }

    #[test]
    fn a_line_that_makes_no_sense_is_an_error_that_names_it() {
        let (dir, folder) = folder();
        folder.turn().unwrap().write(&[fence("a")]).unwrap();
        let path = dir.path().join("journal.jsonl");
        let mut text = fs::read(&path).unwrap();
        text.extend_from_slice(b"{\"kind\":\"invented\"}\n");
        fs::write(&path, text).unwrap();
        let error = folder.ledger().unwrap_err();
        assert!(error.to_string().starts_with("line 2 of the journal"), "{error}");
    }

    #[test]
    fn the_symlink_is_there_at_every_moment_of_a_switch() {
        let (dir, folder) = folder();
        for name in ["1", "2"] {
            folder.put(&id(name), &BTreeMap::from([("f".to_owned(), name.to_owned())])).unwrap();
        }
        assert_eq!(folder.live().unwrap(), None);
        folder.switch(&id("1")).unwrap();
        let file = dir.path().join("current/f");
        let reader = std::thread::spawn(move || {
            (0..5_000).map(|_| fs::read_to_string(&file)).filter(Result::is_err).count()
        });
        for turn in 0..500 {
            folder.switch(&id(if turn % 2 == 0 { "2" } else { "1" })).unwrap();
        }
        assert_eq!(reader.join().unwrap(), 0, "a reader found no file");
        assert_eq!(folder.live().unwrap(), Some(id("1")));
    }

    #[test]
    fn a_file_that_was_touched_or_is_gone_is_noticed() {
        let (dir, folder) = folder();
        let files = BTreeMap::from([("f".to_owned(), "text".to_owned())]);
        let released = Released {
            at: rollback_core::Timestamp::from_millis(0),
            id: id("1"),
            version: "1".into(),
            commit: None,
            migrations: rollback_core::Migrations::Unknown,
            leaves_behind: Vec::new(),
            files: folder.put(&id("1"), &files).unwrap(),
        };
        assert_eq!(folder.integrity(&released).unwrap(), Integrity::Intact);
        let changed = Integrity::Changed { file: "f".to_owned() };
        fs::write(dir.path().join("releases/1/f"), "texT").unwrap();
        assert_eq!(folder.integrity(&released).unwrap(), changed);
        fs::remove_file(dir.path().join("releases/1/f")).unwrap();
        assert_eq!(folder.integrity(&released).unwrap(), changed);
        folder.prune(&id("1")).unwrap();
        folder.prune(&id("1")).unwrap();
        assert_eq!(folder.integrity(&released).unwrap(), Integrity::Missing);
        fs::rename(dir.path().join("releases"), dir.path().join("unplugged")).unwrap();
        assert!(folder.integrity(&released).is_err(), "a missing disk is not a missing release");
    }

    #[test]
    fn a_file_name_cannot_lead_out_of_its_folder() {
        let (_dir, folder) = folder();
        for bad in ["../x", "a/b", ".hidden", "", "/etc/passwd"] {
            let files = BTreeMap::from([(bad.to_owned(), String::new())]);
            assert!(folder.put(&id("1"), &files).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_folder_belongs_to_one_at_a_time() {
        let (dir, first) = folder();
        let path = dir.path().to_owned();
        let second = std::thread::spawn(move || Folder::open(&path));
        std::thread::sleep(Duration::from_millis(50));
        assert!(!second.is_finished(), "two hold the folder");
        drop(first);
        assert!(second.join().unwrap().is_ok());
    }
}
