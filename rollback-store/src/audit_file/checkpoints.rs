//! Checkpoints of the log in a file of their own: signed notes, one after the other, each followed
//! by an empty line.

use super::{NotKept, append, open};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// How far back the last note is looked for. A note has some hundred bytes, and at most 64 KiB.
const LOOK_BACK: u64 = 2 * 64 * 1024;

/// What the line of a signature begins with.
const SIGNATURE: &str = "\u{2014} ";

#[derive(Debug)]
pub(super) struct CheckpointFile {
    path: PathBuf,
}

/// How the file ends.
struct End {
    /// How many bytes whole notes have; what is after them is torn.
    whole_bytes: u64,
    last: Option<String>,
    /// The first line of what may be the first note, torn; empty where a note is whole.
    torn: String,
}

impl CheckpointFile {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a note and flushes it, unless it is the last one already.
    pub(super) fn keep(&self, note: &str) -> Result<(), NotKept> {
        let mut file = open(&self.path)?;
        let bytes = file.metadata()?.len();
        let end = self.end(&mut file)?;
        // Only what can have been a note of ours is taken away.
        if !note.starts_with(&end.torn) {
            return Err(NotKept::NoCheckpoints(self.path.clone()));
        }
        if end.whole_bytes < bytes {
            file.set_len(end.whole_bytes)?;
        }
        if end.last.as_deref() == Some(note) {
            // Found, and perhaps written by a process that died before it could flush.
            return Ok(file.sync_all()?);
        }
        append(file, end.whole_bytes, note)
    }

    /// The last note; what is torn was relied on by nobody.
    pub(super) fn last(&self) -> Result<Option<String>, NotKept> {
        match File::open(&self.path) {
            Ok(mut file) => Ok(self.end(&mut file)?.last),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn end(&self, file: &mut File) -> Result<End, NotKept> {
        let length = file.metadata()?.len();
        let from = length.saturating_sub(LOOK_BACK);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(LOOK_BACK).read_to_end(&mut bytes)?;
        // Where the reading began, half a letter is possible; what is looked for is at the end.
        let text = String::from_utf8_lossy(&bytes);
        let blocks = ends(&text);
        let Some(last) = blocks.last().copied() else {
            if from > 0 {
                return Err(NotKept::NoCheckpoints(self.path.clone()));
            }
            let torn = text.split('\n').next().unwrap_or_default().to_owned();
            return Ok(End { whole_bytes: 0, last: None, torn });
        };
        let begin = match blocks.iter().rev().nth(1) {
            Some(before) => *before,
            None if from == 0 => 0,
            None => return Err(NotKept::NoCheckpoints(self.path.clone())),
        };
        // Without the empty line after it.
        let note = text.get(begin..last.saturating_sub(1)).map(str::to_owned);
        let torn = u64::try_from(text.len().saturating_sub(last)).unwrap_or(0);
        Ok(End { whole_bytes: length.saturating_sub(torn), last: note, torn: String::new() })
    }
}

/// Where notes end: after each empty line that follows a signature.
fn ends(text: &str) -> Vec<usize> {
    let (mut at, mut is_signed, mut ends) = (0_usize, false, Vec::new());
    for line in text.split_inclusive('\n') {
        at = at.saturating_add(line.len());
        if line == "\n" && is_signed {
            ends.push(at);
        }
        is_signed = line.starts_with(SIGNATURE) && line.ends_with('\n');
    }
    ends
}
