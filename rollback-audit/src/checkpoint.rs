//! A checkpoint as the text of a note, and its signing and opening.
//!
//! ```text
//! rollback.example.com/audit                      the origin: the name of the key
//! 4711                                            how many records the log has
//! CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=    the hash of the last one
//! chain default
//! time 2026-11-26T13:49:01.123Z
//! epoch 2026-11-26T08:00:00Z
//! next-key rollback.example.com/audit+0a1b2c3d+…  while a key is being replaced
//!
//! — rollback.example.com/audit Az3grlgtzPICa5OS8npV…
//! ```

use crate::key::{KeyError, PublicKey, Signed, SigningKey};
use crate::note::{Note, NoteError, Signature};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rollback_core::Timestamp;
use rollback_core::audit::{Checkpoint, Hash, Head, INTEGER_MAX, SignedCheckpoint};
use rollback_core::ports::{CheckpointSigner, ErrorKind, PortError};

/// Most keys that are trusted at once, those learned from rotations included.
pub const KEYS_MAX: usize = 64;

/// What a text that is read as a checkpoint says.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Statement {
    /// Whose log it is: the name of the key.
    pub origin: String,
    /// What it says.
    pub checkpoint: Checkpoint,
    /// The key that replaces the one before it.
    pub next_key: Option<PublicKey>,
}

/// Why a note is not taken for a checkpoint.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It is no note.
    #[error("{0}")]
    Note(#[from] NoteError),
    /// Its text is no checkpoint.
    #[error("line {0} of the checkpoint cannot be read")]
    Line(usize),
    /// None of the known keys signed it.
    #[error("none of the known keys signed the checkpoint of record {0}")]
    NotSigned(u64),
    /// A signature under the name of a known key is wrong.
    #[error(
        "the signature of the checkpoint of record {0} is forged, or the checkpoint was changed"
    )]
    Forged(u64),
    /// It is of another log than the key that signed it.
    #[error("the checkpoint of record {0} names another log than the key that signed it")]
    OtherOrigin(u64),
}

impl OpenError {
    /// Whether the text can be read, and only its signatures are not good.
    #[must_use]
    pub const fn is_about_signatures(&self) -> bool {
        match self {
            Self::Note(_) | Self::Line(_) => false,
            Self::NotSigned(_) | Self::Forged(_) | Self::OtherOrigin(_) => true,
        }
    }
}

impl Statement {
    /// Reads the text of a note.
    ///
    /// # Errors
    ///
    /// [`OpenError::Line`] with the first line that cannot be read.
    pub fn parse(text: &str) -> Result<Self, OpenError> {
        let text = text.strip_suffix('\n').ok_or(OpenError::Line(1))?;
        let mut lines = text.split('\n').zip(1_usize..);
        let mut next = |number: usize| lines.next().ok_or(OpenError::Line(number));
        let (origin, _) = next(1)?;
        let (size, _) = next(2)?;
        let (hash, _) = next(3)?;
        if origin.is_empty() {
            return Err(OpenError::Line(1));
        }
        let sequence = number(size).ok_or(OpenError::Line(2))?;
        let hash = STANDARD.decode(hash).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let hash = Hash::from_bytes(hash.ok_or(OpenError::Line(3))?);
        let (mut chain, mut at, mut epoch, mut next_key) = (None, None, None, None);
        let mut last = 3;
        for (line, number) in lines {
            last = number;
            let wrong = || OpenError::Line(number);
            match line.split_once(' ') {
                Some(("chain", name)) => set(&mut chain, Some(name), number)?,
                Some(("time", time)) => set(&mut at, Timestamp::parse(time).ok(), number)?,
                Some(("epoch", time)) => set(&mut epoch, Timestamp::parse(time).ok(), number)?,
                Some(("next-key", key)) => {
                    set(&mut next_key, PublicKey::parse(key).ok(), number)?;
                }
                // What a later version adds.
                Some(_) | None if !line.is_empty() => {}
                Some(_) | None => return Err(wrong()),
            }
        }
        let missing = || OpenError::Line(last.saturating_add(1));
        let mut head = Head::genesis(chain.ok_or_else(missing)?);
        head.sequence = sequence;
        head.hash = hash;
        let at = at.ok_or_else(missing)?;
        let checkpoint = Checkpoint::new(head, at, epoch.ok_or_else(missing)?);
        Ok(Self { origin: origin.into(), checkpoint, next_key })
    }

    fn text(&self) -> String {
        let Checkpoint { head, at, epoch, .. } = &self.checkpoint;
        let hash = STANDARD.encode(head.hash.as_bytes());
        let next_key = self.next_key.as_ref().map(|key| format!("next-key {key}\n"));
        format!(
            "{}\n{}\n{hash}\nchain {}\ntime {at}\nepoch {epoch}\n{}",
            self.origin,
            head.sequence,
            head.chain,
            next_key.unwrap_or_default()
        )
    }
}

/// Takes a value once.
fn set<T>(place: &mut Option<T>, value: Option<T>, line: usize) -> Result<(), OpenError> {
    match (&place, value) {
        (None, Some(value)) => {
            *place = Some(value);
            Ok(())
        }
        (Some(_), _) | (None, None) => Err(OpenError::Line(line)),
    }
}

/// A number as it is written in one way only.
fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number <= INTEGER_MAX && number.to_string() == text).then_some(number)
}

/// The public keys that are trusted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Keys(Vec<PublicKey>);

impl Keys {
    /// These keys, at most [`KEYS_MAX`].
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = PublicKey>) -> Self {
        Self(keys.into_iter().take(KEYS_MAX).collect())
    }

    /// Whether none is trusted.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads a note that must be a checkpoint signed by one of them.
    ///
    /// # Errors
    ///
    /// [`OpenError`]. A wrong signature under the name of a known key spoils the note, whoever else
    /// signed it.
    pub fn open(&self, note: &Note) -> Result<Statement, OpenError> {
        let statement = Statement::parse(note.text())?;
        let sequence = statement.checkpoint.head.sequence;
        let mut by_known = false;
        for key in &self.0 {
            match key.signed(note) {
                Signed::No => {}
                Signed::Forged => return Err(OpenError::Forged(sequence)),
                Signed::Yes if key.name() != statement.origin => {
                    return Err(OpenError::OtherOrigin(sequence));
                }
                Signed::Yes => by_known = true,
            }
        }
        if by_known { Ok(statement) } else { Err(OpenError::NotSigned(sequence)) }
    }

    /// Trusts the key that a good checkpoint hands over to, if that key signed it, too. Says
    /// whether it was a new one.
    pub(crate) fn learn(&mut self, statement: &Statement, note: &Note) -> bool {
        let Some(next) = &statement.next_key else { return false };
        let is_new = !self.0.contains(next)
            && self.0.len() < KEYS_MAX
            && next.name() == statement.origin
            && next.signed(note) == Signed::Yes;
        if is_new {
            self.0.push(next.clone());
        }
        is_new
    }
}

/// Signs checkpoints; while a key is being replaced, with both.
///
/// ```
/// use rollback_audit::{Signer, SigningKey};
/// use rollback_core::Timestamp;
/// use rollback_core::audit::{Checkpoint, Head};
/// use rollback_core::ports::CheckpointSigner;
///
/// // From the system's generator, not from an array.
/// let key = SigningKey::new("rollback.example.com/audit", &[7; 32].into())?;
/// let signer = Signer::new(key);
/// let now = Timestamp::from_millis(0);
/// let signed = signer.sign(Checkpoint::new(Head::genesis("default"), now, now))?;
/// assert_eq!(signer.open(&signed.note)?, signed);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Signer {
    current: SigningKey,
    retiring: Option<SigningKey>,
    known: Keys,
}

impl Signer {
    /// Signs with this key.
    #[must_use]
    pub fn new(current: SigningKey) -> Self {
        let known = Keys::new([current.public().clone()]);
        Self { current, retiring: None, known }
    }

    /// Signs with the key that is being replaced, too, and names the new one, so that whoever
    /// trusts the old one comes to trust the new one.
    ///
    /// # Errors
    ///
    /// [`KeyError::OtherName`] when they have different names.
    pub fn replacing(self, retiring: SigningKey) -> Result<Self, KeyError> {
        if retiring.public().name() != self.current.public().name() {
            return Err(KeyError::OtherName);
        }
        let known = Keys::new([self.current.public().clone(), retiring.public().clone()]);
        Ok(Self { retiring: Some(retiring), known, ..self })
    }

    /// The public key that is signed with from now on.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        self.current.public()
    }
}

impl Signer {
    /// The public keys of everything that it signs with.
    pub fn publics(&self) -> impl Iterator<Item = &PublicKey> {
        self.known.0.iter()
    }
}

fn cannot(operation: &'static str, problem: &impl ToString) -> PortError {
    PortError::new(ErrorKind::Rejected, "checkpoint", operation, problem.to_string())
}

impl CheckpointSigner for Signer {
    fn sign(&self, checkpoint: Checkpoint) -> Result<SignedCheckpoint, PortError> {
        let next_key = self.retiring.as_ref().map(|_old| self.current.public().clone());
        let origin = self.current.public().name().into();
        let statement = Statement { origin, checkpoint, next_key };
        let text = statement.text();
        // What is signed must say to every reader what it says here.
        let read = Statement::parse(&text).map_err(|error| cannot("sign", &error))?;
        if read != statement {
            return Err(cannot("sign", &"the name of the chain cannot stand in a line"));
        }
        let mut signatures: Vec<Signature> = vec![self.current.sign(&text)];
        signatures.extend(self.retiring.iter().map(|old| old.sign(&text)));
        let note = Note::new(text, signatures).map_err(|error| cannot("sign", &error))?;
        Ok(SignedCheckpoint::new(statement.checkpoint, note.to_string()))
    }

    fn open(&self, note: &str) -> Result<SignedCheckpoint, PortError> {
        let parsed = Note::parse(note).map_err(|error| cannot("read", &error))?;
        let statement = self.known.open(&parsed).map_err(|error| cannot("read", &error))?;
        Ok(SignedCheckpoint::new(statement.checkpoint, note.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "rollback.example.com/audit";

    fn key(name: &str, number: u8) -> SigningKey {
        SigningKey::new(name, &[number; 32].into()).unwrap()
    }

    /// A checkpoint of the log that hands over to `next`, signed by these.
    fn handed(next: &SigningKey, by: &[&SigningKey]) -> (Statement, Note) {
        let now = Timestamp::from_millis(0);
        let checkpoint = Checkpoint::new(Head::genesis("default"), now, now);
        let next_key = Some(next.public().clone());
        let statement = Statement { origin: LOG.into(), checkpoint, next_key };
        let text = statement.text();
        let signatures = by.iter().map(|key| key.sign(&text)).collect();
        (statement, Note::new(text, signatures).unwrap())
    }

    #[test]
    fn a_key_signs_for_the_log_that_has_its_name_and_for_no_other() {
        let (ours, elsewhere) = (key(LOG, 1), key("elsewhere.example.com", 2));
        let keys = Keys::new([ours.public().clone(), elsewhere.public().clone()]);
        let (statement, note) = handed(&ours, &[&ours]);
        assert_eq!(keys.open(&note), Ok(statement));
        for by in [&[&elsewhere][..], &[&ours, &elsewhere]] {
            let (_, note) = handed(&ours, by);
            assert_eq!(keys.open(&note), Err(OpenError::OtherOrigin(0)));
        }
    }

    #[test]
    fn a_key_is_learned_if_it_signed_for_the_log_and_there_is_room_for_it() {
        let (old, new, elsewhere) = (key(LOG, 1), key(LOG, 2), key("elsewhere.example.com", 3));
        let mut keys = Keys::new([old.public().clone()]);
        let mut learns = |next: &SigningKey, by: &[&SigningKey]| {
            let (statement, note) = handed(next, by);
            keys.learn(&statement, &note)
        };
        assert!(!learns(&new, &[&old]), "it did not sign");
        assert!(!learns(&elsewhere, &[&old, &elsewhere]), "it is another log's");
        assert!(!learns(&old, &[&old]), "it is known");
        assert!(learns(&new, &[&old, &new]));
        assert!(!learns(&new, &[&old, &new]), "it was learned already");
        assert_eq!(keys.0.len(), 2);
        for room in [1, 0] {
            let known = (100..).take(KEYS_MAX - room).map(|n| key(LOG, n).public().clone());
            let mut many = Keys::new(known);
            let (statement, note) = handed(&new, &[&new]);
            assert_eq!(many.learn(&statement, &note), room == 1, "room for {room}");
            assert_eq!(many.0.len(), KEYS_MAX);
        }
    }

    #[test]
    fn while_a_key_is_replaced_what_either_signed_is_opened() {
        let (old, new) = (key(LOG, 1), key(LOG, 2));
        let signer = Signer::new(new.clone()).replacing(old.clone()).unwrap();
        let publics: Vec<&PublicKey> = signer.publics().collect();
        assert_eq!(publics, [new.public(), old.public()]);
        let now = Timestamp::from_millis(0);
        let before = Signer::new(old).sign(Checkpoint::new(Head::genesis("default"), now, now));
        assert!(signer.open(&before.unwrap().note).is_ok());
    }
}
