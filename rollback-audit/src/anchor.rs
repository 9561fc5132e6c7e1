//! Anchors: what was kept of the log's end elsewhere, and whether it agrees with itself.

use crate::checkpoint::{Keys, OpenError, Statement};
use crate::finding::Finding;
use crate::note::{DASH, NOTE_BYTES_MAX, Note};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;
use rollback_core::audit::{Hash, Head, INTEGER_MAX};
use rollback_core::{Label, Timestamp};

/// Most anchors that are held: a checkpoint every ten minutes for nineteen years.
pub const ANCHORS_MAX: usize = 1_000_000;

/// Most findings about anchors that are told; a key that was forgotten spoils every one of them.
const FINDINGS_MAX: usize = 20;

/// What is said of a text that is no anchor.
const NEITHER: &str = "what begins here is neither a checkpoint nor a line with the number of a \
                       record and at least 16 digits of its hash";

/// Fewest digits of a hash that identify it: 64 bits, as the last line of a thread has them.
pub const FINGERPRINT_DIGITS_MIN: usize = 16;

/// A hash, or the beginning of one.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Fingerprint(String);

impl Fingerprint {
    fn parse(text: &str) -> Option<Self> {
        let digits = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let fits = (FINGERPRINT_DIGITS_MIN..=64).contains(&text.len());
        (digits && fits).then(|| Self(text.into()))
    }

    fn is_of(&self, hash: &Hash) -> bool {
        hash.to_string().starts_with(&self.0)
    }

    fn agrees_with(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0) || other.0.starts_with(&self.0)
    }
}

#[derive(Clone, Debug)]
struct Anchor {
    place: String,
    fingerprint: Fingerprint,
    chain: Option<Label>,
}

/// A checkpoint that none of the keys known so far signed.
#[derive(Clone, Debug)]
struct Waiting {
    place: String,
    note: Note,
    error: OpenError,
}

/// Everything that was kept of the log elsewhere.
///
/// A file of anchors has checkpoints, as the audit file's sink appends them, and lines of a
/// sequence and at least 16 digits of the hash, as the last line of a thread tells them:
///
/// ```
/// use rollback_audit::{Anchors, Keys};
/// let mut anchors = Anchors::new(Keys::default());
/// anchors.read("from-slack.txt", "4711 0123456789abcdef\n");
/// assert_eq!(anchors.given(), 1);
/// ```
#[derive(Clone, Debug)]
pub struct Anchors {
    keys: Keys,
    /// How many are held, and how many notes wait for a key: [`ANCHORS_MAX`], less in a test.
    max: usize,
    silence_max: Option<Duration>,
    by_sequence: BTreeMap<u64, Vec<Anchor>>,
    /// For each process that made checkpoints, when it made the last one that was read.
    epochs: BTreeMap<Timestamp, Timestamp>,
    waiting: Vec<Waiting>,
    findings: Vec<Finding>,
    given: usize,
    signed: usize,
}

impl Anchors {
    /// None yet. Without keys, checkpoints are taken as they are, unsigned.
    #[must_use]
    pub const fn new(keys: Keys) -> Self {
        Self {
            keys,
            max: ANCHORS_MAX,
            silence_max: None,
            by_sequence: BTreeMap::new(),
            epochs: BTreeMap::new(),
            waiting: Vec::new(),
            findings: Vec::new(),
            given: 0,
            signed: 0,
        }
    }

    /// Finds fault with two checkpoints of one process, one after the other in a file, that were
    /// made further apart than this.
    #[must_use]
    pub const fn silent_at_most(mut self, silence: Duration) -> Self {
        self.silence_max = Some(silence);
        self
    }

    /// How many were given.
    #[must_use]
    pub const fn given(&self) -> usize {
        self.given
    }

    /// How many of them are checkpoints signed by a key that is trusted.
    #[must_use]
    pub const fn signed(&self) -> usize {
        self.signed
    }

    /// Takes the end of a log as somebody else remembers it.
    pub fn remember(&mut self, place: &str, head: &Head) {
        let fingerprint = Fingerprint(head.hash.to_string());
        let chain = Some(head.chain.clone());
        self.add(head.sequence, Anchor { place: place.into(), fingerprint, chain });
    }

    /// Reads a file of anchors; `name` is what its lines are told under. A last note that is torn
    /// is left out: whoever wrote it died before anybody relied on it.
    pub fn read(&mut self, name: &str, text: &str) {
        let mut block = String::new();
        let (mut began, mut first) = (0, "");
        let mut is_signed = false;
        // The first line of the note before, which a torn one begins with, too.
        let mut origin = "";
        for (line, number) in text.split_inclusive('\n').zip(1_usize..) {
            let is_signature = line.starts_with(DASH);
            if is_signed && !is_signature {
                self.note(&at(name, began), &core::mem::take(&mut block));
                (is_signed, origin) = (false, first);
            }
            if block.is_empty() {
                let bare = line.trim();
                if bare.is_empty() || self.bare(&at(name, number), bare) {
                    continue;
                }
                began = number;
                first = line.trim_end();
            }
            if block.len().saturating_add(line.len()) > NOTE_BYTES_MAX {
                return self.found(unreadable(at(name, began), NEITHER));
            }
            block.push_str(line);
            is_signed |= is_signature;
        }
        if is_signed && block.ends_with('\n') {
            self.note(&at(name, began), &block);
        } else if !block.is_empty() && !origin.starts_with(first) {
            self.found(unreadable(at(name, began), NEITHER));
        }
    }

    /// A line of a sequence and a hash. Says whether it is one.
    fn bare(&mut self, place: &str, line: &str) -> bool {
        let Some((sequence, hash)) = line.split_once(' ') else { return false };
        let sequence = sequence.parse().ok().filter(|n| *n <= INTEGER_MAX);
        let (Some(sequence), Some(fingerprint)) = (sequence, Fingerprint::parse(hash)) else {
            return false;
        };
        self.add(sequence, Anchor { place: place.into(), fingerprint, chain: None });
        true
    }

    fn note(&mut self, place: &str, text: &str) {
        let note = match Note::parse(text) {
            Ok(note) => note,
            Err(error) => return self.found(unreadable(place.into(), &error.to_string())),
        };
        if self.keys.is_empty() {
            return match Statement::parse(note.text()) {
                Ok(statement) => self.stated(place, &statement),
                Err(error) => self.found(Finding::Signature { place: place.into(), error }),
            };
        }
        let mut learned =
            self.open(Waiting { place: place.into(), note, error: OpenError::NotSigned(0) });
        // Each round but the last knows one more key, and there is a bound on those.
        while learned {
            learned = false;
            for waiting in core::mem::take(&mut self.waiting) {
                learned |= self.open(waiting);
            }
        }
    }

    /// Takes a note if a key that is known signed it. Says whether a key was learned from it.
    fn open(&mut self, waiting: Waiting) -> bool {
        match self.keys.open(&waiting.note) {
            Ok(statement) => {
                self.signed = self.signed.saturating_add(1);
                self.stated(&waiting.place, &statement);
                self.keys.learn(&statement, &waiting.note)
            }
            // Perhaps by a key that another file hands over to.
            Err(error @ OpenError::NotSigned(_)) if self.waiting.len() < self.max => {
                self.waiting.push(Waiting { error, ..waiting });
                false
            }
            Err(error) => {
                self.found(Finding::Signature { place: waiting.place, error });
                false
            }
        }
    }

    fn stated(&mut self, place: &str, statement: &Statement) {
        let checkpoint = &statement.checkpoint;
        let before = self.epochs.get(&checkpoint.epoch).copied();
        let newest = before.map_or(checkpoint.at, |before| before.max(checkpoint.at));
        self.epochs.insert(checkpoint.epoch, newest);
        if let (Some(from), Some(most)) = (before, self.silence_max) {
            let lasted = checkpoint.at.since(from);
            if lasted > most {
                self.found(Finding::Silence { place: place.into(), from, lasted });
            }
        }
        self.remember(place, &checkpoint.head);
    }

    fn add(&mut self, sequence: u64, anchor: Anchor) {
        if self.given >= self.max {
            let problem = format!("more than {} anchors; give them in several runs", self.max);
            return self.found(unreadable(anchor.place, &problem));
        }
        self.given = self.given.saturating_add(1);
        let known = self.by_sequence.entry(sequence).or_default();
        // The same again says nothing new.
        let is_new = !known.iter().any(|k| {
            k.fingerprint == anchor.fingerprint
                && (k.chain == anchor.chain || anchor.chain.is_none())
        });
        let disagrees = known.iter().find(|k| !k.fingerprint.agrees_with(&anchor.fingerprint));
        let fork = disagrees.map(|known| Finding::Fork {
            sequence,
            place: known.place.clone(),
            one: known.fingerprint.0.clone(),
            other_place: anchor.place.clone(),
            other: anchor.fingerprint.0.clone(),
        });
        if is_new {
            known.push(anchor);
        }
        if let Some(fork) = fork {
            self.found(fork);
        }
    }

    fn found(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }

    /// What is wrong with the anchors themselves.
    pub(crate) fn take_findings(&mut self) -> Vec<Finding> {
        for Waiting { place, error, .. } in core::mem::take(&mut self.waiting) {
            self.found(Finding::Signature { place, error });
        }
        core::mem::take(&mut self.findings)
    }

    /// How many anchors of this record agree with it, or the first that does not.
    pub(crate) fn compare(&self, head: &Head, good_until: u64) -> Result<usize, Finding> {
        let Some(anchors) = self.by_sequence.get(&head.sequence) else { return Ok(0) };
        for Anchor { place, fingerprint, chain } in anchors {
            let (place, sequence) = (place.clone(), head.sequence);
            if let Some(found) = chain.as_ref().filter(|chain| **chain != head.chain) {
                let (expected, found) = (head.chain.clone(), found.clone());
                return Err(Finding::ForeignAnchor { place, sequence, expected, found });
            }
            if !fingerprint.is_of(&head.hash) {
                let expected = fingerprint.0.clone();
                let found = head.hash;
                return Err(Finding::Rewritten { place, sequence, good_until, expected, found });
            }
        }
        Ok(anchors.len())
    }

    /// The newest anchor of a record after this one.
    pub(crate) fn beyond(&self, sequence: u64) -> Option<(u64, String)> {
        let (last, anchors) = self.by_sequence.last_key_value()?;
        let place = anchors.first().map(|anchor| anchor.place.clone())?;
        (*last > sequence).then_some((*last, place))
    }

    /// How many records before this one have anchors.
    pub(crate) fn before(&self, sequence: u64) -> usize {
        self.by_sequence.range(..sequence).count()
    }
}

fn at(name: &str, line: usize) -> String {
    format!("`{name}`, line {line}")
}

fn unreadable(place: String, problem: &str) -> Finding {
    Finding::Unreadable { place, sequence: None, problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Signer, SigningKey};
    use rollback_core::audit::Checkpoint;
    use rollback_core::ports::CheckpointSigner;

    fn key(number: u8) -> SigningKey {
        SigningKey::new("rollback.example.com/audit", &[number; 32].into()).unwrap()
    }

    fn note(signer: &Signer, sequence: u64) -> String {
        let mut head = Head::genesis("default");
        head.sequence = sequence;
        let at = Timestamp::from_millis(0);
        signer.sign(Checkpoint::new(head, at, at)).unwrap().note
    }

    fn holding(max: usize) -> Anchors {
        Anchors { max, ..Anchors::new(Keys::new([key(1).public().clone()])) }
    }

    #[test]
    fn no_more_anchors_are_held_than_the_bound_and_the_next_one_is_told() {
        let mut anchors = holding(2);
        for sequence in 1..=3 {
            anchors.read("anchors", &note(&Signer::new(key(1)), sequence));
        }
        assert_eq!((anchors.given(), anchors.by_sequence.len()), (2, 2));
        let problem = "more than 2 anchors; give them in several runs";
        let expected = unreadable("`anchors`, line 1".into(), problem);
        assert_eq!(anchors.take_findings(), [expected]);
    }

    #[test]
    fn no_more_notes_wait_for_their_key_than_the_bound_and_the_next_one_is_told() {
        let mut anchors = holding(2);
        for sequence in 1..=3 {
            anchors.read("anchors", &note(&Signer::new(key(2)), sequence));
        }
        assert_eq!((anchors.waiting.len(), anchors.findings.len()), (2, 1));
        let handover = Signer::new(key(2)).replacing(key(1)).unwrap();
        anchors.read("more", &note(&handover, 4));
        assert_eq!(anchors.signed(), 3, "the handover, and what had waited for it");
        let place = "`anchors`, line 1".into();
        let turned_away = Finding::Signature { place, error: OpenError::NotSigned(3) };
        assert_eq!(anchors.take_findings()[0], turned_away);
    }

    #[test]
    fn of_many_things_that_are_wrong_the_first_twenty_are_told() {
        let mut anchors = holding(2);
        for number in 0..25 {
            anchors.read(&format!("file {number}"), "no anchor\n");
        }
        let found = anchors.take_findings();
        assert_eq!(found.len(), 20);
        assert_eq!(found[19], unreadable("`file 19`, line 1".into(), NEITHER));
    }
}
