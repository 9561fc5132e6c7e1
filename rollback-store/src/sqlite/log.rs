//! SQLite's log beside the database: what only a look at the file itself can tell.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// The head of the log: a magic number, the format, the size of a page, how often the log was begun
/// anew, two salts, and a checksum over all of that.
const HEAD: usize = 32;

/// How much is read at a time to see that a log is empty: what a disk reads at once.
const PIECE: usize = 64 << 10;

/// The magic number; its last bit says in which order the bytes are summed up.
const MAGIC: u32 = 0x377f_0682;

/// Whether the log is damaged. SQLite would take such a log for an empty one, and what was committed to
/// it would be gone without a word.
///
/// # Errors
///
/// When the file cannot be read. One that is not there is not damaged.
pub(super) fn is_damaged(log: &Path) -> io::Result<bool> {
    let mut head = Vec::with_capacity(HEAD);
    let mut file = match File::open(log) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    file.by_ref().take(32).read_to_end(&mut head)?;
    // Empty, or its head never reached the disk: then nothing that was answered is in it, for the head
    // is flushed before the first transaction. With anything after it, it was there and is lost.
    if head.iter().all(|byte| *byte == 0) {
        return Ok(!is_zero_to_the_end(file)?);
    }
    Ok(!is_head(&head))
}

fn is_zero_to_the_end(mut file: File) -> io::Result<bool> {
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(true),
            read if piece.iter().take(read).any(|byte| *byte != 0) => return Ok(false),
            _zeros => {}
        }
    }
}

fn is_head(head: &[u8]) -> bool {
    let words: Vec<[u8; 4]> =
        head.chunks_exact(4).filter_map(|word| word.try_into().ok()).collect();
    let [magic, format, page, sequence, salt, pepper, first, second] = words.as_slice() else {
        return false;
    };
    let magic_number = u32::from_be_bytes(*magic);
    if magic_number & !1 != MAGIC {
        return false;
    }
    let order = if magic_number & 1 == 1 { u32::from_be_bytes } else { u32::from_le_bytes };
    let summed = [magic, format, page, sequence, salt, pepper].map(|word| order(*word));
    let (mut one, mut two) = (0_u32, 0_u32);
    for pair in summed.chunks_exact(2) {
        let [odd, even] = pair else { return false };
        one = one.wrapping_add(*odd).wrapping_add(two);
        two = two.wrapping_add(*even).wrapping_add(one);
    }
    (one, two) == (u32::from_be_bytes(*first), u32::from_be_bytes(*second))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    #[test]
    fn a_log_of_sqlite_is_told_from_garbage_and_from_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.db");
        let log = folder.path().join("some.db-wal");
        assert!(!is_damaged(&log).unwrap(), "there is none");
        let connection = Connection::open(&path).unwrap();
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).unwrap();
        connection.execute_batch("CREATE TABLE t (x)").unwrap();
        assert!(!is_damaged(&log).unwrap(), "SQLite wrote it");
        let good = std::fs::read(&log).unwrap();
        for place in 0..HEAD {
            let mut bad = good.clone();
            bad[place] ^= 0x20;
            std::fs::write(folder.path().join("bad"), bad).unwrap();
            assert!(is_damaged(&folder.path().join("bad")).unwrap(), "byte {place}");
        }
        let (nothing, mut beheaded) = (vec![0; 64 << 10], good);
        beheaded[..HEAD].fill(0);
        for (text, damaged) in [
            (&b"garbage"[..], true),
            (&nothing, false),
            (b"", false),
            // Its transactions are there, and SQLite would not read one of them.
            (&beheaded, true),
        ] {
            std::fs::write(folder.path().join("other"), text).unwrap();
            assert_eq!(is_damaged(&folder.path().join("other")).unwrap(), damaged, "{text:?}");
        }
    }
}
