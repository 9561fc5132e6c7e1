//! `audit`: whether the log is what was written, what it says of one rollback, and the key that
//! its checkpoints are signed with.

mod key;
mod log;

pub(crate) use self::key::signer;
pub use self::key::{NoKey, NoSigner, make_key};
pub use self::log::{Log, explain};

use crate::config::Config;
use crate::loss::{KeptHere, NotCompared, kept_here};
use crate::secrets::Environment;
use rollback_audit::{Anchors, Auditor, Finding, Keys, PublicKey, Report, Scope, Verdict};
use rollback_core::Timestamp;
use serde::Serialize;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Largest file of anchors: a checkpoint every ten minutes for ten years.
const ANCHOR_BYTES_MAX: u64 = 256 << 20;

/// What `audit verify` ends with when the store has no record.
const EMPTY: u8 = 6;

/// What `audit verify` ends with when the log is whole as far as it was compared, and something was not.
const NOT_COMPARED: u8 = 7;

/// What was found, as `GET /v1/audit/verify` says it, with what only somebody outside can know.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AuditVerdict {
    /// Whether every record is what was written, as far as it can be known.
    pub ok: bool,
    /// 0 whole; 1 the chain is broken; 2 a signature or key is not good; 3 the log is not the one
    /// that was anchored; 4 whole, with orders whose outcome was never recorded; 5 unreadable; 6 there
    /// is no record in the store, so that nothing was verified; 7 whole, and a copy that is configured
    /// was not there to be compared.
    pub code: u8,
    /// How many records were verified.
    pub records: u64,
    /// The first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<u64>,
    /// The hash of the last that was verified; none without records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// The first record that is not what was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What is wrong besides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub further: Vec<String>,
    /// What is configured and could not be compared, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_compared: Vec<String>,
    /// What the log was compared with.
    pub anchors: AnchorCounts,
    /// Orders whose outcome was never recorded: no fault of the log.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<OpenRollback>,
}

/// What a log was compared with.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AnchorCounts {
    /// How many anchors there were.
    pub given: usize,
    /// How many of them are checkpoints signed by a key that is trusted.
    pub signed: usize,
    /// How many of them agree with the log.
    pub agreeing: usize,
}

/// A rollback that was ordered, and nobody recorded what became of it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct OpenRollback {
    /// Which.
    pub rollback: String,
    /// The record of the intent.
    pub sequence: u64,
    /// When that was.
    pub since: String,
    /// The service and environment.
    pub service: String,
}

impl AuditVerdict {
    /// There is nothing to verify.
    fn empty(why: &str) -> Self {
        Self { code: EMPTY, ..Self::unreadable(why) }
    }

    /// Nothing could be read.
    pub(crate) fn unreadable(problem: impl Into<String>) -> Self {
        Self {
            ok: false,
            code: Verdict::Unreadable.code(),
            records: 0,
            first: None,
            head: None,
            sequence: None,
            problem: Some(problem.into()),
            further: Vec::new(),
            not_compared: Vec::new(),
            anchors: AnchorCounts::default(),
            open: Vec::new(),
        }
    }

    /// The same, where this could not be compared.
    fn lacking(mut self, not_compared: Vec<String>) -> Self {
        if self.code == Verdict::Whole.code() && !not_compared.is_empty() {
            self.code = NOT_COMPARED;
        }
        self.not_compared = not_compared;
        self
    }

    /// Whether every record is what was written.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.ok
    }
}

impl From<Report> for AuditVerdict {
    fn from(report: Report) -> Self {
        let first = report.findings.first();
        let open = report.open.iter().map(|order| OpenRollback {
            rollback: order.rollback.to_string(),
            sequence: order.sequence,
            since: order.at.to_string(),
            service: format!("{} in {}", order.service, order.environment),
        });
        Self {
            ok: first.is_none(),
            code: report.verdict().code(),
            records: report.records,
            first: report.first,
            head: report.head.as_ref().map(|head| head.hash.to_string()),
            sequence: first.and_then(Finding::sequence),
            problem: first.map(ToString::to_string),
            further: report.findings.iter().skip(1).map(ToString::to_string).collect(),
            not_compared: Vec::new(),
            anchors: AnchorCounts {
                given: report.anchors,
                signed: report.signed,
                agreeing: report.agreeing,
            },
            open: open.collect(),
        }
    }
}

/// How a log is to be verified.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct How {
    /// The keys that are trusted; without any, checkpoints are compared and not believed.
    pub public_keys: Vec<PublicKey>,
    /// Files of anchors.
    pub anchors: Vec<PathBuf>,
    /// The first record; what is before it is taken for good.
    pub from: u64,
    /// An order without an outcome is told when it is older than this.
    pub open_after: Duration,
    /// How far apart two checkpoints of one process may be.
    pub silence_max: Option<Duration>,
    /// Where the log ended as it is kept outside the store.
    pub(crate) kept: Result<KeptHere, String>,
    /// Now.
    pub now: Timestamp,
}

impl How {
    /// The whole log by itself, as of now.
    #[must_use]
    pub const fn at(now: Timestamp) -> Self {
        Self {
            public_keys: Vec::new(),
            anchors: Vec::new(),
            from: 1,
            open_after: rollback_audit::OPEN_AFTER,
            silence_max: None,
            kept: Ok(KeptHere::nothing()),
            now,
        }
    }

    /// The same, with what the configuration knows of: the audit file, where checkpoints are, and whose
    /// key signs them, if the key is there.
    pub async fn with(mut self, config: &Config, environment: &Environment) -> Self {
        self.kept = kept_here(config, environment).await;
        let Some(checkpoints) = &config.file.audit.checkpoints else { return self };
        if checkpoints.file.exists() {
            self.anchors.push(checkpoints.file.clone());
        }
        if self.public_keys.is_empty()
            && let Ok(signer) = signer(checkpoints, environment)
        {
            self.public_keys.extend(signer.publics().cloned());
        }
        self
    }

    fn read_anchors(&self) -> Result<Anchors, String> {
        let mut anchors = Anchors::new(Keys::new(self.public_keys.iter().cloned()));
        if let Some(most) = self.silence_max {
            anchors = anchors.silent_at_most(most);
        }
        for path in &self.anchors {
            let text = bounded(path).map_err(|problem| {
                format!("the anchors in `{}` cannot be read: {problem}", path.display())
            })?;
            anchors.read(&path.display().to_string(), &text);
        }
        for kept in self.kept.clone()?.ends {
            anchors.remember(&kept.place, &kept.end);
        }
        Ok(anchors)
    }
}

impl How {
    /// What is configured and could not be compared. Checkpoints are compared with or without their
    /// key.
    fn not_compared(&self) -> Vec<String> {
        let here = self.kept.iter().flat_map(|kept| &kept.not_compared);
        let copies = here.filter(|lacking| matches!(lacking, NotCompared::Copy { .. }));
        copies.map(ToString::to_string).collect()
    }
}

fn bounded(path: &Path) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut text = String::new();
    let mut file = file.take(ANCHOR_BYTES_MAX.saturating_add(1));
    let read = file.read_to_string(&mut text).map_err(|error| error.to_string())?;
    if u64::try_from(read).is_ok_and(|read| read <= ANCHOR_BYTES_MAX) {
        Ok(text)
    } else {
        Err("the file is too large; give it in parts".into())
    }
}

/// Verifies a log against everything that is known of it elsewhere. Changes nothing.
pub async fn verify(log: Log<'_>, how: &How) -> AuditVerdict {
    let anchors = match how.read_anchors() {
        Ok(anchors) => anchors,
        Err(problem) => return AuditVerdict::unreadable(problem),
    };
    let mut scope = Scope::default();
    scope.from = how.from.max(1);
    scope.open_after = how.open_after;
    let audited = match log {
        Log::File(path) => log::file(path, Auditor::new(scope, anchors)).map(|it| (it, None)),
        Log::Store(place) => log::store(place, scope, anchors).await,
    };
    let (auditor, empty) = match audited {
        Ok(audited) => audited,
        Err(problem) => return AuditVerdict::unreadable(problem),
    };
    let verdict = AuditVerdict::from(auditor.finish(how.now)).lacking(how.not_compared());
    match empty {
        // What was anchored and is not there says more.
        Some(why) if verdict.ok => AuditVerdict::empty(why),
        Some(_) | None => verdict,
    }
}
