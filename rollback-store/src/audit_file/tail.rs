//! Reading the files: their end, their beginning, one record, and the names of those put aside.

use rollback_core::audit::{Head, Record, Verifier};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Longest line: several times the largest record that the core's own bounds allow.
pub(super) const LINE_BYTES_MAX: u64 = 1 << 20;

/// How many digits a sequence has in a name, so that names sort like sequences.
const DIGITS: usize = 12;

/// What a file cannot be read for.
#[derive(Debug, thiserror::Error)]
pub(super) enum TailError {
    #[error("`{}`, line {line}: {problem}", path.display())]
    Line { path: PathBuf, line: u64, problem: String },
    #[error("`{}` cannot be read: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
}

pub(super) fn io_at(path: &Path) -> impl Fn(io::Error) -> TailError {
    move |error| TailError::Io { path: path.to_path_buf(), error }
}

/// How a file ends.
#[derive(Debug, Default)]
pub(super) struct Tail {
    /// How many bytes whole lines have; what is after them is torn.
    pub(super) whole_bytes: u64,
    /// The last whole record.
    pub(super) last: Option<Record>,
}

/// The lines of a file, bounded, each with whether it is whole.
pub(super) struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    number: u64,
}

/// A line.
pub(super) struct Line {
    pub(super) number: u64,
    pub(super) text: String,
    /// Whether its end was written.
    pub(super) is_whole: bool,
    /// With its end.
    pub(super) bytes: u64,
}

impl Lines {
    /// None when there is no file.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, TailError> {
        match File::open(path) {
            Ok(file) => {
                Ok(Some(Self { path: path.to_path_buf(), reader: BufReader::new(file), number: 0 }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_at(path)(error)),
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<Line>, TailError> {
        let mut bytes = Vec::new();
        let mut bounded = (&mut self.reader).take(LINE_BYTES_MAX.saturating_add(1));
        bounded.read_until(b'\n', &mut bytes).map_err(io_at(&self.path))?;
        if bytes.is_empty() {
            return Ok(None);
        }
        self.number = self.number.saturating_add(1);
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if length > LINE_BYTES_MAX {
            return Err(self.wrong("it is longer than any record"));
        }
        let is_whole = bytes.last() == Some(&b'\n');
        if is_whole {
            bytes.pop();
        }
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            // Half a letter, perhaps: what is torn is not read.
            Err(_half) if !is_whole => String::new(),
            Err(_other) => return Err(self.wrong("it is not UTF-8")),
        };
        Ok(Some(Line { number: self.number, text, is_whole, bytes: length }))
    }

    fn wrong(&self, problem: &str) -> TailError {
        let problem = problem.to_owned();
        TailError::Line { path: self.path.clone(), line: self.number, problem }
    }
}

/// The lines of an audit log that is kept in files: of the one at a path and of those that were put
/// aside beside it, in the order of their records, one line at a time.
pub struct AuditLines {
    files: std::vec::IntoIter<PathBuf>,
    path: PathBuf,
    lines: Option<Lines>,
    is_torn: bool,
}

/// A line of an audit log.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct AuditLine {
    /// Its file and number, from 1, in words.
    pub place: String,
    /// The line, or why it cannot be read.
    pub text: Result<String, String>,
}

impl std::fmt::Debug for AuditLines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditLines").field("path", &self.path).finish_non_exhaustive()
    }
}

impl AuditLines {
    /// Opens the log at `path`.
    ///
    /// # Errors
    ///
    /// When there is no such file or its folder cannot be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        drop(File::open(path)?);
        let mut files = put_aside(path).map_err(io::Error::other)?;
        files.push(path.to_path_buf());
        let path = path.to_path_buf();
        Ok(Self { files: files.into_iter(), path, lines: None, is_torn: false })
    }

    /// Whether the last line was torn: its process died, nobody relied on it, and it is left out.
    #[must_use]
    pub const fn is_torn(&self) -> bool {
        self.is_torn
    }

    fn end_with(&mut self, error: &TailError) -> AuditLine {
        self.lines = None;
        self.files = Vec::new().into_iter();
        match error {
            TailError::Line { path, line, problem } => {
                AuditLine { place: place(path, *line), text: Err(problem.clone()) }
            }
            TailError::Io { path, error } => {
                let place = format!("`{}`", path.display());
                AuditLine { place, text: Err(error.to_string()) }
            }
        }
    }
}

fn place(path: &Path, line: u64) -> String {
    format!("`{}`, line {line}", path.display())
}

/// After a line that cannot be read there is none.
impl Iterator for AuditLines {
    type Item = AuditLine;

    fn next(&mut self) -> Option<AuditLine> {
        loop {
            if let Some(lines) = &mut self.lines {
                match lines.next() {
                    Ok(Some(line)) if !line.is_whole && lines.path == self.path => {
                        self.is_torn = true;
                        self.lines = None;
                    }
                    Ok(Some(line)) => {
                        let place = place(&lines.path, line.number);
                        return Some(AuditLine { place, text: Ok(line.text) });
                    }
                    Ok(None) => self.lines = None,
                    Err(error) => return Some(self.end_with(&error)),
                }
                continue;
            }
            let next = self.files.next()?;
            match Lines::open(&next) {
                Ok(lines) => self.lines = lines,
                Err(error) => return Some(self.end_with(&error)),
            }
        }
    }
}

/// A line as a record.
pub(super) fn record(path: &Path, line: &Line) -> Result<Record, TailError> {
    Record::parse(&line.text, line.number).map_err(|error| {
        let problem = error.to_string();
        TailError::Line { path: path.to_path_buf(), line: line.number, problem }
    })
}

/// A line as a record whose content is what its hash says.
fn intact(path: &Path, line: &Line) -> Result<Record, TailError> {
    let record = record(path, line)?;
    let mut before = Head::genesis(record.chain.clone());
    before.sequence = record.sequence.get().saturating_sub(1);
    before.hash = record.previous_hash;
    match Verifier::from_head(before).check(&record) {
        Ok(()) => Ok(record),
        Err(error) => {
            let problem = error.to_string();
            Err(TailError::Line { path: path.to_path_buf(), line: line.number, problem })
        }
    }
}

/// How a file ends. Reads only its last lines.
pub(super) fn read(path: &Path) -> Result<Tail, TailError> {
    let Some(mut lines) = Lines::open(path)? else { return Ok(Tail::default()) };
    let length = lines.reader.get_ref().metadata().map_err(io_at(path))?.len();
    // From the middle of a line on, unless the file is short: the half line is left out.
    let from = length.saturating_sub(2 * LINE_BYTES_MAX);
    lines.reader.seek(SeekFrom::Start(from)).map_err(io_at(path))?;
    let mut whole_bytes = from;
    if from > 0 {
        let mut half = Vec::new();
        let skipped = lines.reader.read_until(b'\n', &mut half).map_err(io_at(path))?;
        whole_bytes = whole_bytes.saturating_add(u64::try_from(skipped).unwrap_or(u64::MAX));
    }
    let mut last = None;
    while let Some(line) = lines.next()?.filter(|line| line.is_whole) {
        whole_bytes = whole_bytes.saturating_add(line.bytes);
        last = Some(line);
    }
    let last = last.map(|line| intact(path, &line)).transpose()?;
    Ok(Tail { whole_bytes, last })
}

/// The first record of a file.
pub(super) fn first(path: &Path) -> Result<Option<Record>, TailError> {
    let Some(mut lines) = Lines::open(path)? else { return Ok(None) };
    match lines.next()? {
        Some(line) if line.is_whole => intact(path, &line).map(Some),
        Some(_) | None => Ok(None),
    }
}

/// A record by its sequence, in the file or in one that was put aside.
pub(super) fn find(path: &Path, sequence: u64) -> Result<Option<Record>, TailError> {
    let mut files = put_aside(path)?;
    files.push(path.to_path_buf());
    for file in files.into_iter().rev() {
        let Some(begin) = first(&file)? else { continue };
        if begin.sequence > sequence {
            continue;
        }
        let Some(mut lines) = Lines::open(&file)? else { continue };
        while let Some(line) = lines.next()? {
            if !line.is_whole {
                break;
            }
            let record = record(&file, &line)?;
            if record.sequence == sequence {
                return Ok(Some(record));
            }
        }
        return Ok(None);
    }
    Ok(None)
}

/// The name of a file that is put aside: by the first record in it.
pub(super) fn name_aside(path: &Path, first: u64) -> PathBuf {
    let (stem, extension) = parts(path);
    path.with_file_name(format!("{stem}.{first:0DIGITS$}{extension}"))
}

/// Puts the log at `path` away, every file of it and `besides`, into a new folder beside it, and says
/// where that is; nothing when there is nothing.
pub(super) fn put_away(path: &Path, besides: Option<&Path>) -> io::Result<Option<PathBuf>> {
    let mut files = put_aside(path).map_err(io::Error::other)?;
    files.push(path.to_path_buf());
    files.extend(besides.map(Path::to_path_buf));
    files.retain(|file| file.exists());
    if files.is_empty() {
        return Ok(None);
    }
    let folder = new_folder(path)?;
    for file in files {
        if let Some(name) = file.file_name() {
            std::fs::rename(&file, folder.join(name))?;
        }
    }
    Ok(Some(folder))
}

/// A folder that was not there, named like the log.
fn new_folder(path: &Path) -> io::Result<PathBuf> {
    let (stem, _) = parts(path);
    let mut number = 1_u32;
    loop {
        let folder = path.with_file_name(format!("{stem}.lost-{number}"));
        match std::fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                number = number.saturating_add(1);
            }
            Err(error) => return Err(error),
        }
    }
}

/// The files that were put aside, in the order of their records.
pub(super) fn put_aside(path: &Path) -> Result<Vec<PathBuf>, TailError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    };
    let (stem, extension) = parts(path);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io_at(folder))? {
        let entry = entry.map_err(io_at(folder))?;
        let name = entry.file_name();
        let digits = name
            .to_str()
            .and_then(|name| name.strip_prefix(&format!("{stem}.")))
            .and_then(|rest| rest.strip_suffix(extension.as_str()));
        let is_ours = digits
            .is_some_and(|text| text.len() >= DIGITS && text.bytes().all(|b| b.is_ascii_digit()));
        if is_ours {
            found.push(path.with_file_name(name));
        }
    }
    found.sort();
    Ok(found)
}

fn parts(path: &Path) -> (String, String) {
    let text =
        |part: Option<&std::ffi::OsStr>| part.map(|part| part.to_string_lossy().into_owned());
    let extension = text(path.extension()).map(|extension| format!(".{extension}"));
    (text(path.file_stem()).unwrap_or_default(), extension.unwrap_or_default())
}
