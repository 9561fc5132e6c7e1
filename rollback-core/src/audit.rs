//! The audit record and its hash chain: who did what to which service, why, and how it ended.
//!
//! One JSON object a record. Each names the hash of the one before it, and its own hash is the
//! SHA-256 of its RFC 8785 canonical JSON without `hash`. The schema has no floats and no integers
//! above 2^53-1, so that canonical JSON is the same bytes to every reader.

mod canonical;
mod checkpoint;

use self::canonical::Strict;
pub use self::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::access::RULE_BREAK_GLASS;
use crate::event::Receipt;
use crate::id::{
    BackendName, ChannelId, Label, Reason, RevisionId, RollbackId, UserId, WorkspaceId,
};
use crate::model::{Actor, Deployer, RevisionRef, ServiceKey};
use crate::ports::{Cancel, Fence};
use crate::time::Timestamp;
use crate::view::{Execution, GuardView, Proposer};
use crate::words;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The schema every record names.
pub const SCHEMA: &str = "rollback-audit/v1";

/// The largest integer that JSON readers agree on.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

/// Longest record in bytes: several times the largest that the core's own bounds allow. A longer
/// line is refused unread.
pub const RECORD_BYTES_MAX: usize = 1 << 20;

/// What a record is about.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "the contract lists them")]
pub enum Kind {
    /// A rollback was asked for, or proposed.
    Requested,
    /// Somebody was turned away.
    Denied,
    /// It was confirmed, with a reason.
    Confirmed,
    /// Somebody approved it.
    Approved,
    /// Somebody rejected it.
    Rejected,
    /// A guard said no or could not say.
    Refused,
    /// The order is about to be sent. Written before it is.
    Triggered,
    /// The CD system told a phase.
    Phase,
    /// The target is live and healthy.
    Succeeded,
    /// It is known not to have worked.
    Failed,
    /// It was carried out and not seen to be good.
    NotVerified,
    /// Nobody knows what became of the order.
    OutcomeUnknown,
    /// Somebody stopped it, or asked to.
    Cancelled,
    /// Nobody answered in time.
    Expired,
    /// Somebody settled an unknown outcome.
    Settled,
    /// Its work ended whoever began it, so that nobody begins it any more.
    PutAside,
    /// Somebody let it go on.
    Released,
    /// Somebody froze a service: no rollback of it while that holds.
    Frozen,
    /// Somebody lifted a freeze.
    Unfrozen,
    /// Somebody marked a revision bad: it is no target.
    MarkedBad,
    /// Somebody took such a mark back.
    UnmarkedBad,
}

impl Kind {
    /// The kind as the contract spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Denied => "denied",
            Self::Confirmed => "confirmed",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Refused => "refused",
            Self::Triggered => "triggered",
            Self::Phase => "phase",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::NotVerified => "not_verified",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Settled => "settled",
            Self::PutAside => "put_aside",
            Self::Released => "released",
            Self::Frozen => "frozen",
            Self::Unfrozen => "unfrozen",
            Self::MarkedBad => "marked_bad",
            Self::UnmarkedBad => "unmarked_bad",
        }
    }
}

/// Who acted, as the record keeps it.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ActorEntry {
    /// Their identity.
    pub id: Label,
    /// Their name, for people.
    pub name: Option<Label>,
    /// The workspace their request came from.
    pub workspace: Option<WorkspaceId>,
    /// The channel through which they acted.
    pub channel: Option<ChannelId>,
}

impl From<&Actor> for ActorEntry {
    fn from(actor: &Actor) -> Self {
        Self {
            id: Label::new(actor.id.as_str()),
            name: actor.name.clone(),
            workspace: actor.workspace.clone(),
            channel: actor.channel.clone(),
        }
    }
}

impl From<&Proposer> for ActorEntry {
    fn from(proposer: &Proposer) -> Self {
        let Proposer { id, name, .. } = proposer;
        Self { id: id.clone(), name: name.clone(), workspace: None, channel: None }
    }
}

impl From<&UserId> for ActorEntry {
    fn from(id: &UserId) -> Self {
        Self { id: Label::new(id.as_str()), name: None, workspace: None, channel: None }
    }
}

/// What somebody changed about a service.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ChangeEntry {
    /// The freeze, by its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freeze: Option<Label>,
    /// Until when the freeze holds; without an end until it is lifted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The revision that is no target, or is one again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<RevisionId>,
}

/// A record before it has its place in the chain.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Draft {
    /// Its identity: the same rollback, step and place always give the same one.
    pub id: Label,
    /// When it happened.
    pub at: Timestamp,
    /// The rollback; none where somebody changed what holds for a service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation_id: Option<RollbackId>,
    /// What happened.
    pub kind: Kind,
    /// Who made it happen; nobody where time or the CD system did.
    pub actor: Option<ActorEntry>,
    /// The service.
    pub service: Label,
    /// The environment.
    pub environment: Label,
    /// The revision to leave; none without a rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<RevisionRef>,
    /// The revision to return to; none without a rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<RevisionRef>,
    /// What was changed about the service, where it is no rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<ChangeEntry>,
    /// Why, in the requester's own words.
    pub reason: Option<Reason>,
    /// The rule that decided, and what was decided, in words.
    pub decision: Option<Label>,
    /// What the guards said, where they were evaluated.
    pub guards: Vec<GuardView>,
    /// The warnings that whoever confirmed acknowledged: guards, and ids of fixes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acknowledged: Vec<Label>,
    /// Who had deployed what is rolled back.
    pub deployer: Option<Deployer>,
    /// The configured backend, and what it can do; none without a rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<BackendEntry>,
    /// The execution at the CD system.
    pub execution: Option<Execution>,
    /// What became of it, in words.
    pub explanation: Option<String>,
    /// Whether it was a drill.
    pub drill: bool,
}

/// The backend, with the capabilities it declared.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct BackendEntry {
    /// Its configured name.
    pub name: BackendName,
    /// Whether it compares the live revision itself: `yes`, `ticket` or `no`.
    pub compare_and_set: Label,
    /// Whether older requests can be fenced off: `yes` or `no`.
    pub fence: Label,
    /// Whether an execution can be cancelled: `yes` or `no`. Absent in older records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<Label>,
    /// Whether it shows what is in progress: `yes` or `no`. Absent in older records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_progress: Option<Label>,
    /// Whether it shows who would undo a rollback: `yes` or `no`. Absent in older records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoing: Option<Label>,
}

impl BackendEntry {
    /// Records a backend and what it declared.
    #[must_use]
    pub fn new(name: BackendName, capabilities: crate::ports::Capabilities) -> Self {
        Self {
            name,
            compare_and_set: capabilities.compare_and_set.as_str().into(),
            fence: capabilities.fence.as_str().into(),
            cancel: Some(capabilities.cancel.as_str().into()),
            in_progress: Some(capabilities.in_progress.as_str().into()),
            undoing: Some(capabilities.undoing.as_str().into()),
        }
    }

    /// Whether both are the same backend with the same capabilities, as far as both say.
    #[must_use]
    pub fn agrees_with(&self, other: &Self) -> bool {
        let same = |one: &Option<Label>, other: &Option<Label>| {
            one.is_none() || other.is_none() || one == other
        };
        self.name == other.name
            && self.compare_and_set == other.compare_and_set
            && self.fence == other.fence
            && same(&self.cancel, &other.cancel)
            && same(&self.in_progress, &other.in_progress)
            && same(&self.undoing, &other.undoing)
    }

    /// Whether an execution can be cancelled, as far as is known: an older record does not say.
    pub(crate) fn may_cancel(&self) -> bool {
        self.cancel.as_ref().is_none_or(|cancel| cancel.as_str() == Cancel::Yes.as_str())
    }

    /// Whether older requests can be fenced off.
    pub(crate) fn can_fence(&self) -> bool {
        self.fence.as_str() == Fence::Yes.as_str()
    }
}

/// A record in its place in the chain.
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend(
        "additionalProperties" = false,
        "anyOf" = [
            {
                "required": ["operation_id", "from", "to", "backend"],
                "properties": {
                    "change": false,
                    "kind": {"not": {"enum": ["frozen", "unfrozen", "marked_bad", "unmarked_bad"]}},
                },
            },
            {
                "required": ["change"],
                "properties": {
                    "operation_id": false, "from": false, "to": false, "backend": false,
                    "kind": {"enum": ["frozen", "unfrozen", "marked_bad", "unmarked_bad", "denied"]},
                },
            },
        ],
    ))
)]
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Record {
    /// [`SCHEMA`].
    pub schema: Label,
    /// The chain it is part of: one for each installation.
    pub chain: Label,
    /// Its place, from 1, without gaps.
    pub sequence: Sequence,
    /// The hash of the record before it; [`Hash::GENESIS`] for the first.
    pub previous_hash: Hash,
    /// The hash of everything else in it.
    pub hash: Hash,
    /// What happened.
    #[serde(flatten)]
    pub draft: Draft,
}

/// A place in a chain: from 1 to [`INTEGER_MAX`].
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("minimum" = 1, "maximum" = INTEGER_MAX))
)]
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Sequence(u64);

/// The number is no place in a chain.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a place in a chain is a number from 1 to 2^53-1")]
#[non_exhaustive]
pub struct SequenceError;

impl Sequence {
    /// A place, if there is one of this number.
    ///
    /// ```
    /// use rollback_core::audit::{INTEGER_MAX, Sequence};
    /// assert_eq!(Sequence::new(1).map(Sequence::get), Some(1));
    /// assert!(Sequence::new(0).is_none() && Sequence::new(INTEGER_MAX + 1).is_none());
    /// ```
    #[must_use]
    pub const fn new(number: u64) -> Option<Self> {
        match number {
            1..=INTEGER_MAX => Some(Self(number)),
            _ => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl TryFrom<u64> for Sequence {
    type Error = SequenceError;
    fn try_from(number: u64) -> Result<Self, SequenceError> {
        Self::new(number).ok_or(SequenceError)
    }
}

impl From<Sequence> for u64 {
    fn from(sequence: Sequence) -> Self {
        sequence.0
    }
}

impl PartialEq<u64> for Sequence {
    fn eq(&self, other: &u64) -> bool {
        self.0 == *other
    }
}

impl PartialOrd<u64> for Sequence {
    fn partial_cmp(&self, other: &u64) -> Option<core::cmp::Ordering> {
        self.0.partial_cmp(other)
    }
}

/// A SHA-256 hash, written as 64 lower-case hexadecimal digits.
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("pattern" = "^[0-9a-f]{64}$"))
)]
#[derive(Clone, Copy, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash([u8; 32]);

/// The text is not a SHA-256 hash.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a hash is 64 lower-case hexadecimal digits")]
#[non_exhaustive]
pub struct HashError;

impl Hash {
    /// What the first record of a chain names as the one before it.
    pub const GENESIS: Self = Self([0; 32]);

    /// The hash of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The hash with these 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Parses 64 lower-case hexadecimal digits.
    ///
    /// # Errors
    ///
    /// [`HashError`] on anything else.
    pub fn parse(text: &str) -> Result<Self, HashError> {
        fn digit(byte: u8) -> Option<u8> {
            match byte {
                b'0'..=b'9' => Some(byte.wrapping_sub(b'0')),
                b'a'..=b'f' => Some(byte.wrapping_sub(b'a').wrapping_add(10)),
                _ => None,
            }
        }
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if !rest.is_empty() || pairs.len() != 32 {
            return Err(HashError);
        }
        let mut bytes = [0; 32];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            let (high, low) = (digit(*high).ok_or(HashError)?, digit(*low).ok_or(HashError)?);
            *byte = high.wrapping_mul(16).wrapping_add(low);
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for Hash {
    type Error = HashError;
    fn try_from(text: String) -> Result<Self, HashError> {
        Self::parse(&text)
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hash.to_string()
    }
}

/// The end of a chain: what the next record continues.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Head {
    /// The chain.
    pub chain: Label,
    /// How many records it has.
    pub sequence: u64,
    /// The hash of the last.
    pub hash: Hash,
}

impl Head {
    /// The start of a chain.
    #[must_use]
    pub fn genesis(chain: impl Into<Label>) -> Self {
        Self { chain: chain.into(), sequence: 0, hash: Hash::GENESIS }
    }

    /// The end of the chain after `record`.
    #[must_use]
    pub fn after(record: &Record) -> Self {
        Self { chain: record.chain.clone(), sequence: record.sequence.get(), hash: record.hash }
    }

    /// Gives a draft its place.
    ///
    /// # Errors
    ///
    /// [`ChainError::Unwritable`] when the draft cannot be written as JSON, [`ChainError::Full`]
    /// after the last place. The chain is unchanged.
    pub fn append(&self, draft: Draft) -> Result<Record, ChainError> {
        let next = self.sequence.checked_add(1).and_then(Sequence::new);
        let mut record = Record {
            schema: SCHEMA.into(),
            chain: self.chain.clone(),
            sequence: next.ok_or(ChainError::Full)?,
            previous_hash: self.hash,
            hash: Hash::GENESIS,
            draft,
        };
        record.hash = record.computed_hash()?;
        Ok(record)
    }
}

/// What is wrong with a chain.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// A record cannot be written as JSON.
    #[error("the audit record cannot be written: {0}")]
    Unwritable(String),
    /// The chain has a record at every place.
    #[error("the audit chain is full; begin another one")]
    Full,
    /// A record is not one of this schema, or is not in canonical form.
    #[error("record {sequence} is not canonical: {problem}")]
    NotCanonical {
        /// Where.
        sequence: u64,
        /// What is wrong.
        problem: String,
    },
    /// A record is missing, or is there twice.
    #[error("record {expected} was expected and {found} was found")]
    Gap {
        /// Which was expected.
        expected: u64,
        /// Which was found.
        found: u64,
    },
    /// A record does not continue the one before it.
    #[error(
        "record {sequence} does not continue the record before it: it names {found}, which is not \
         {expected}"
    )]
    Broken {
        /// Where.
        sequence: u64,
        /// The hash of the record before it.
        expected: Hash,
        /// What it names as that.
        found: Hash,
    },
    /// A record's content is not what its hash says.
    #[error(
        "record {sequence} was changed after it was written: its hash is {expected} and what it \
         says has {found}"
    )]
    Edited {
        /// Where.
        sequence: u64,
        /// The hash in it.
        expected: Hash,
        /// The hash of what it says.
        found: Hash,
    },
    /// A record belongs to another chain.
    #[error("record {sequence} belongs to the chain `{found}`, and this is `{expected}`")]
    Foreign {
        /// Where.
        sequence: u64,
        /// This chain.
        expected: Label,
        /// Its chain.
        found: Label,
    },
}

impl ChainError {
    /// The place in the chain where it was found.
    #[must_use]
    pub const fn sequence(&self) -> Option<u64> {
        match self {
            Self::Unwritable(_) | Self::Full => None,
            Self::Gap { expected, .. } => Some(*expected),
            Self::NotCanonical { sequence, .. }
            | Self::Broken { sequence, .. }
            | Self::Edited { sequence, .. }
            | Self::Foreign { sequence, .. } => Some(*sequence),
        }
    }
}

impl Record {
    /// The record as RFC 8785 canonical JSON: what is stored, exported and hashed.
    ///
    /// # Errors
    ///
    /// [`ChainError::Unwritable`] when it cannot be written as JSON.
    pub fn canonical(&self) -> Result<String, ChainError> {
        Ok(self.strict()?.write())
    }

    /// Reads a stored record and insists that it is in canonical form: no other bytes say the same.
    /// A float, an integer above 2^53-1 and a key that is there twice are refused by name.
    ///
    /// # Errors
    ///
    /// [`ChainError::NotCanonical`] when it is not, or is not a record.
    pub fn parse(line: &str, sequence: u64) -> Result<Self, ChainError> {
        let refused = |problem: String| ChainError::NotCanonical { sequence, problem };
        if line.len() > RECORD_BYTES_MAX {
            return Err(refused(format!("it is longer than {RECORD_BYTES_MAX} bytes")));
        }
        let strict = Strict::parse(line).map_err(refused)?;
        if strict.write() != line {
            return Err(refused("its bytes are not the canonical ones of what it says".into()));
        }
        let record: Self = serde_json::from_str(line).map_err(|e| refused(e.to_string()))?;
        if record.schema.as_str() != SCHEMA {
            return Err(refused(format!("its schema is not `{SCHEMA}`")));
        }
        if record.strict()? != strict {
            return Err(refused("its bytes are not the ones that were hashed".into()));
        }
        record.draft.has_its_fields().map_err(|problem| refused(problem.into()))?;
        Ok(record)
    }

    fn computed_hash(&self) -> Result<Hash, ChainError> {
        Ok(Hash::of(self.strict()?.without("hash").write().as_bytes()))
    }

    fn strict(&self) -> Result<Strict, ChainError> {
        Strict::of(self).map_err(ChainError::Unwritable)
    }
}

/// Verifies a chain, record by record, so that it never needs to be held as a whole.
///
/// ```
/// use rollback_core::audit::Verifier;
/// let verifier = Verifier::new("default");
/// assert_eq!(verifier.head().sequence, 0);
/// ```
#[derive(Clone, Debug)]
pub struct Verifier {
    head: Head,
}

impl Verifier {
    /// Starts at the beginning of a chain.
    #[must_use]
    pub fn new(chain: impl Into<Label>) -> Self {
        Self { head: Head::genesis(chain) }
    }

    /// Goes on from a head that is trusted.
    #[must_use]
    pub const fn from_head(head: Head) -> Self {
        Self { head }
    }

    /// Checks the next record.
    ///
    /// # Errors
    ///
    /// [`ChainError`] with what is wrong and where. The verifier then stays where it was.
    pub fn check(&mut self, record: &Record) -> Result<(), ChainError> {
        let expected = self.head.sequence.saturating_add(1);
        let sequence = record.sequence.get();
        if record.chain != self.head.chain {
            let (expected, found) = (self.head.chain.clone(), record.chain.clone());
            return Err(ChainError::Foreign { sequence, expected, found });
        }
        if sequence != expected {
            return Err(ChainError::Gap { expected, found: sequence });
        }
        if record.previous_hash != self.head.hash {
            let (expected, found) = (self.head.hash, record.previous_hash);
            return Err(ChainError::Broken { sequence, expected, found });
        }
        let found = record.computed_hash()?;
        if found != record.hash {
            return Err(ChainError::Edited { sequence, expected: record.hash, found });
        }
        self.head = Head::after(record);
        Ok(())
    }

    /// The end of what was verified.
    #[must_use]
    pub const fn head(&self) -> &Head {
        &self.head
    }
}

/// What every draft of one rollback has in common.
#[derive(Clone, Debug)]
pub(crate) struct Template<'a> {
    pub(crate) operation_id: &'a RollbackId,
    pub(crate) key: &'a ServiceKey,
    pub(crate) from: &'a RevisionRef,
    pub(crate) to: &'a RevisionRef,
    pub(crate) deployer: Option<&'a Deployer>,
    pub(crate) backend: &'a BackendEntry,
    pub(crate) drill: bool,
}

impl Template<'_> {
    pub(crate) fn draft(&self, kind: Kind, at: Timestamp, id: Label) -> Draft {
        Draft {
            operation_id: Some(self.operation_id.clone()),
            from: Some(self.from.clone()),
            to: Some(self.to.clone()),
            deployer: self.deployer.cloned(),
            backend: Some(self.backend.clone()),
            drill: self.drill,
            ..Draft::of_service(id, at, kind, self.key)
        }
    }
}

impl Draft {
    /// Whether it names a rollback with all that belongs to one, or else a change of a service.
    fn has_its_fields(&self) -> Result<(), &'static str> {
        let Self { operation_id, from, to, backend, .. } = self;
        let of_a_rollback =
            [operation_id.is_some(), from.is_some(), to.is_some(), backend.is_some()];
        let is_a_change = matches!(
            self.kind,
            Kind::Frozen | Kind::Unfrozen | Kind::MarkedBad | Kind::UnmarkedBad
        ) || (self.kind == Kind::Denied && self.change.is_some());
        match (is_a_change, self.change.is_some(), of_a_rollback) {
            (true, true, [false, false, false, false])
            | (false, false, [true, true, true, true]) => Ok(()),
            (true, ..) => Err(
                "a change of a service is recorded with what was changed, and names no rollback",
            ),
            (false, ..) => Err(
                "it is no change of a service, and does not name its rollback with both revisions and the backend",
            ),
        }
    }

    /// A record of something that is no rollback's.
    pub(crate) fn of_service(id: Label, at: Timestamp, kind: Kind, key: &ServiceKey) -> Self {
        Self {
            id,
            at,
            operation_id: None,
            kind,
            actor: None,
            service: key.service.as_str().into(),
            environment: key.environment.as_str().into(),
            from: None,
            to: None,
            change: None,
            reason: None,
            decision: None,
            guards: Vec::new(),
            acknowledged: Vec::new(),
            deployer: None,
            backend: None,
            execution: None,
            explanation: None,
            drill: false,
        }
    }

    /// Whether only the emergency group's rule allowed it.
    #[must_use]
    pub fn is_through_break_glass(&self) -> bool {
        let allowed = words::decision(RULE_BREAK_GLASS, None);
        self.decision.as_ref().is_some_and(|rule| rule.as_str().starts_with(allowed.as_str()))
    }

    pub(crate) fn by(mut self, actor: &Actor) -> Self {
        self.actor = Some(actor.into());
        self
    }

    pub(crate) fn executed(mut self, backend: &BackendName, receipt: Option<&Receipt>) -> Self {
        self.execution = receipt.map(|receipt| Execution::new(backend.clone(), receipt));
        self
    }
}
