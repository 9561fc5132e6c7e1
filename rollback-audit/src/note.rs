//! The signed note, as C2SP lays it out: a text, an empty line, and signatures of the text.

use alloc::string::String;
use alloc::vec::Vec;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use core::fmt;

/// Longest note: fifty times what one of ours has. Witnesses add a signature each.
pub const NOTE_BYTES_MAX: usize = 64 * 1024;

/// Most signatures that are read. The specification asks for room for 16.
pub const SIGNATURES_MAX: usize = 32;

/// What a signature line begins with.
pub(crate) const DASH: &str = "\u{2014} ";

/// A text with signatures, none of which is verified by reading it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

/// A signature as its line tells it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Signature {
    /// The name of the key.
    pub name: String,
    /// The short identity of the key.
    pub key_id: u32,
    /// The signature itself.
    pub bytes: Vec<u8>,
}

impl Signature {
    /// A signature by the key with this name and identity.
    #[must_use]
    pub const fn new(name: String, key_id: u32, bytes: Vec<u8>) -> Self {
        Self { name, key_id, bytes }
    }
}

/// The text is no signed note.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// It is too long.
    #[error("a note has at most {NOTE_BYTES_MAX} bytes")]
    TooLong,
    /// It has a character that is not allowed.
    #[error("a note has no control characters but the ends of its lines")]
    Control,
    /// It has no empty line, or its last line is torn.
    #[error("a note is a text, an empty line and signatures, each line with its end")]
    NoSignatures,
    /// A signature line cannot be read.
    #[error("signature {0} of the note cannot be read")]
    Signature(usize),
    /// It has too many signatures.
    #[error("a note has at most {SIGNATURES_MAX} signatures")]
    TooMany,
}

/// Whether a key may have this name.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

/// Longest name of a key: a host and a path.
pub(crate) const NAME_BYTES_MAX: usize = 255;

impl Note {
    /// A note of a text that ends with the end of a line.
    ///
    /// # Errors
    ///
    /// [`NoteError`] when nobody could read it.
    pub fn new(text: String, signatures: Vec<Signature>) -> Result<Self, NoteError> {
        let note = Self { text, signatures };
        // What is written must be what is read.
        if Self::parse(&alloc::format!("{note}"))? == note {
            Ok(note)
        } else {
            Err(NoteError::NoSignatures)
        }
    }

    /// Reads a note. Its signatures are not verified.
    ///
    /// # Errors
    ///
    /// [`NoteError`] with what is wrong.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        if note.len() > NOTE_BYTES_MAX {
            return Err(NoteError::TooLong);
        }
        if note.chars().any(|c| c < ' ' && c != '\n') {
            return Err(NoteError::Control);
        }
        let (text, lines) = note.rsplit_once("\n\n").ok_or(NoteError::NoSignatures)?;
        let lines = lines.strip_suffix('\n').ok_or(NoteError::NoSignatures)?;
        let mut signatures = Vec::new();
        for (line, number) in lines.split('\n').zip(1..) {
            if number > SIGNATURES_MAX {
                return Err(NoteError::TooMany);
            }
            signatures.push(signature(line).ok_or(NoteError::Signature(number))?);
        }
        Ok(Self { text: alloc::format!("{text}\n"), signatures })
    }

    /// The text, with the end of its last line: what the signatures are of.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures.
    #[must_use]
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }
}

fn signature(line: &str) -> Option<Signature> {
    let (name, encoded) = line.strip_prefix(DASH)?.split_once(' ')?;
    let bytes = STANDARD.decode(encoded).ok()?;
    let (id, bytes) = bytes.split_first_chunk::<4>()?;
    if !is_name(name) || bytes.is_empty() {
        return None;
    }
    Some(Signature::new(name.into(), u32::from_be_bytes(*id), bytes.to_vec()))
}

/// The note as it is kept.
impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        for Signature { name, key_id, bytes } in &self.signatures {
            let encoded = STANDARD.encode([&key_id.to_be_bytes(), bytes.as_slice()].concat());
            writeln!(f, "{DASH}{name} {encoded}")?;
        }
        Ok(())
    }
}
