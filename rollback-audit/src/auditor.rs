//! The verifier: record by record through the chain, beside everything that was kept elsewhere.

use crate::anchor::Anchors;
use crate::finding::{Finding, Verdict};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use rollback_core::audit::{ChainError, Hash, Head, Kind, Record, Verifier};
use rollback_core::{Label, RollbackId, Timestamp};

/// How long an order may be without an outcome before it is told, unless whoever asks says
/// otherwise: twice what a rollback has by default.
pub const OPEN_AFTER: Duration = Duration::from_secs(3_600);

/// Most open orders that are told.
const OPEN_MAX: usize = 1_000;

/// What is to be verified, and how.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Scope {
    /// The first record; what is before it is taken for good. Default 1.
    pub from: u64,
    /// An order without an outcome is open when it is older than this. Default [`OPEN_AFTER`].
    pub open_after: Duration,
    /// The chain; without it the first record's.
    pub chain: Option<Label>,
}

impl Default for Scope {
    fn default() -> Self {
        Self { from: 1, open_after: OPEN_AFTER, chain: None }
    }
}

/// An order that was about to be sent, and nobody recorded what became of it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct OpenOrder {
    /// The record of the intent.
    pub sequence: u64,
    /// When that was.
    pub at: Timestamp,
    /// The rollback.
    pub rollback: RollbackId,
    /// The service.
    pub service: Label,
    /// The environment.
    pub environment: Label,
}

/// What came of it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// How many records were verified.
    pub records: u64,
    /// The first of them.
    pub first: Option<u64>,
    /// The end of the chain as far as it was verified; none without records.
    pub head: Option<Head>,
    /// How many anchors were given.
    pub anchors: usize,
    /// How many of them are checkpoints signed by a key that is trusted.
    pub signed: usize,
    /// How many of them agree with the record that they are of.
    pub agreeing: usize,
    /// How many records before the first one have anchors, which nothing can be compared with.
    pub out_of_reach: usize,
    /// What is wrong, the most telling first.
    pub findings: Vec<Finding>,
    /// Orders whose outcome was never recorded. That is no fault of the chain.
    pub open: Vec<OpenOrder>,
}

impl Report {
    /// What it comes to: the first finding's, or else whether an order is open.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self.findings.first() {
            Some(first) => first.verdict(),
            None if self.open.is_empty() => Verdict::Whole,
            None => Verdict::Open,
        }
    }
}

/// Verifies a log, line by line, so that it never needs to be held as a whole. What it holds grows
/// by some fifty bytes with each record: of a record that is there twice both are looked for.
///
/// ```
/// use rollback_audit::{Anchors, Auditor, Keys, Scope, Verdict};
/// use rollback_core::Timestamp;
///
/// let export = "";
/// let mut auditor = Auditor::new(Scope::default(), Anchors::new(Keys::default()));
/// for (line, number) in export.lines().zip(1..) {
///     auditor.line(&format!("line {number}"), line);
/// }
/// let report = auditor.finish(Timestamp::from_millis(0));
/// assert_eq!(report.verdict(), Verdict::Whole);
/// ```
#[derive(Clone, Debug)]
pub struct Auditor {
    scope: Scope,
    anchors: Anchors,
    verifier: Option<Verifier>,
    /// Where each record's id is, by half of its hash.
    ids: BTreeMap<[u8; 16], u64>,
    open: BTreeMap<RollbackId, OpenOrder>,
    records: u64,
    first: Option<u64>,
    good_until: u64,
    agreeing: usize,
    /// What broke the chain: nothing after it can be judged.
    broken: Option<Finding>,
    /// What is wrong besides.
    findings: Vec<Finding>,
}

impl Auditor {
    /// Begins.
    #[must_use]
    pub const fn new(scope: Scope, anchors: Anchors) -> Self {
        Self {
            scope,
            anchors,
            verifier: None,
            ids: BTreeMap::new(),
            open: BTreeMap::new(),
            records: 0,
            first: None,
            good_until: 0,
            agreeing: 0,
            broken: None,
            findings: Vec::new(),
        }
    }

    /// Whether the chain is broken, so that further lines say nothing.
    #[must_use]
    pub const fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// Takes the next line of the log, which was read at `place`.
    pub fn line(&mut self, place: &str, line: &str) {
        if self.is_broken() {
            return;
        }
        match Record::parse(line, self.expected()) {
            Ok(record) => self.record(place, &record),
            Err(error) => self.unreadable(place, &error),
        }
    }

    /// Says that there is a line that cannot be read at all.
    pub fn garbled(&mut self, place: &str, problem: &str) {
        if !self.is_broken() {
            self.broken = Some(Finding::Unreadable {
                place: place.into(),
                sequence: Some(self.expected()),
                problem: problem.into(),
            });
        }
    }

    fn unreadable(&mut self, place: &str, error: &ChainError) {
        self.broken = Some(Finding::Chain { place: place.into(), error: error.clone() });
    }

    /// Takes the next record of the log, which was read at `place`.
    pub fn record(&mut self, place: &str, record: &Record) {
        if self.is_broken() || (self.verifier.is_none() && record.sequence < self.scope.from) {
            return;
        }
        if let Err(finding) = self.check(place, record) {
            self.broken = Some(finding);
        }
    }

    fn expected(&self) -> u64 {
        match &self.verifier {
            Some(verifier) => verifier.head().sequence.saturating_add(1),
            None => self.scope.from,
        }
    }

    fn check(&mut self, place: &str, record: &Record) -> Result<(), Finding> {
        let place = || String::from(place);
        let sequence = record.sequence.get();
        if self.verifier.is_none() {
            self.begin(&place(), record)?;
        }
        let Some(verifier) = &mut self.verifier else { return Ok(()) };
        verifier.check(record).map_err(|error| Finding::Chain { place: place(), error })?;
        let [id, _] = halves(&Hash::of(record.draft.id.as_str().as_bytes()));
        if let Some(first) = self.ids.insert(id, sequence) {
            return Err(Finding::Replayed { place: place(), sequence, first });
        }
        self.records = self.records.saturating_add(1);
        self.compare(&Head::after(record));
        self.follow(record);
        Ok(())
    }

    /// The first record: where the chain is taken up.
    fn begin(&mut self, place: &str, record: &Record) -> Result<(), Finding> {
        let (place, sequence) = (String::from(place), record.sequence.get());
        let chain = self.scope.chain.clone().unwrap_or_else(|| record.chain.clone());
        let mut before = Head::genesis(chain);
        if sequence == 1 {
            if record.previous_hash != Hash::GENESIS {
                return Err(Finding::BeginsOtherwise { place, found: record.previous_hash });
            }
        } else if sequence == self.scope.from {
            before.sequence = sequence.saturating_sub(1);
            before.hash = record.previous_hash;
        } else {
            let expected = self.scope.from;
            return Err(Finding::BeginsLate { place, expected, found: sequence });
        }
        self.first = Some(sequence);
        self.verifier = Some(Verifier::from_head(before.clone()));
        self.compare(&before);
        Ok(())
    }

    fn compare(&mut self, head: &Head) {
        match self.anchors.compare(head, self.good_until) {
            Ok(0) => {}
            Ok(agreeing) => {
                self.agreeing = self.agreeing.saturating_add(agreeing);
                self.good_until = head.sequence;
            }
            // Every anchor after the first that does not agree says the same once more.
            Err(_) if self.findings.iter().any(|f| f.verdict() == Verdict::Anchor) => {}
            Err(finding) => self.findings.push(finding),
        }
    }

    /// Remembers what was ordered until its outcome is recorded.
    fn follow(&mut self, record: &Record) {
        let draft = &record.draft;
        // What is no rollback's leaves no order open.
        let Some(id) = &draft.operation_id else { return };
        match draft.kind {
            Kind::Triggered => {
                let order = OpenOrder {
                    sequence: record.sequence.get(),
                    at: draft.at,
                    rollback: id.clone(),
                    service: draft.service.clone(),
                    environment: draft.environment.clone(),
                };
                self.open.insert(id.clone(), order);
            }
            // Somebody asked the CD system to stop what it carries out. That it did is recorded as
            // every end is: with what the guards had said.
            Kind::Cancelled if draft.execution.is_some() && draft.guards.is_empty() => {}
            Kind::Requested
            | Kind::Denied
            | Kind::Confirmed
            | Kind::Approved
            | Kind::Rejected
            | Kind::Phase
            | Kind::PutAside
            | Kind::Released
            | Kind::Frozen
            | Kind::Unfrozen
            | Kind::MarkedBad
            | Kind::UnmarkedBad => {}
            Kind::Refused
            | Kind::Succeeded
            | Kind::Failed
            | Kind::NotVerified
            | Kind::OutcomeUnknown
            | Kind::Cancelled
            | Kind::Expired
            | Kind::Settled => {
                self.open.remove(id);
            }
        }
    }

    /// Says what came of it. `now` is what open orders are measured against.
    #[must_use]
    pub fn finish(mut self, now: Timestamp) -> Report {
        let head = self.verifier.as_ref().map(|verifier| verifier.head().clone());
        let ends_with = head.as_ref().map_or(0, |head| head.sequence);
        if self.verifier.is_none() && !self.is_broken() && self.scope.from == 1 {
            let chain = self.scope.chain.clone().unwrap_or_else(|| Label::new(""));
            if self.scope.chain.is_some() {
                self.compare(&Head::genesis(chain));
            }
        }
        if !self.is_broken()
            && let Some((sequence, place)) = self.anchors.beyond(ends_with)
        {
            self.findings.push(Finding::Truncated { place, sequence, ends_with });
        }
        let first = self.first.unwrap_or(self.scope.from);
        let mut findings: Vec<Finding> = self.broken.take().into_iter().collect();
        findings.append(&mut self.findings);
        findings.extend(self.anchors.take_findings());
        // A stable order of weight: what is unreadable hides all else, and so on.
        findings.sort_by_key(|finding| weight(finding.verdict()));
        let mut open: Vec<OpenOrder> = self.open.into_values().collect();
        open.retain(|order| now.since(order.at) > self.scope.open_after);
        open.sort_by_key(|order| order.sequence);
        open.truncate(OPEN_MAX);
        Report {
            records: self.records,
            first: self.first,
            head: head.filter(|head| head.sequence > 0),
            anchors: self.anchors.given(),
            signed: self.anchors.signed(),
            agreeing: self.agreeing,
            out_of_reach: self.anchors.before(first.saturating_sub(1)),
            findings,
            open,
        }
    }
}

const fn weight(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Unreadable => 0,
        Verdict::Broken => 1,
        Verdict::Anchor => 2,
        Verdict::Signature => 3,
        Verdict::Open => 4,
        Verdict::Whole => 5,
    }
}

fn halves(hash: &Hash) -> [[u8; 16]; 2] {
    let (mut one, mut other) = ([0; 16], [0; 16]);
    let (a, b) = hash.as_bytes().split_at(16);
    one.copy_from_slice(a);
    other.copy_from_slice(b);
    [one, other]
}
