//! Counts rollbacks by their audit records.

use super::{Labels, Metrics, lock};
use async_trait::async_trait;
use rollback_core::audit::{Kind, Record};
use rollback_core::ports::{AuditSink, PortError};
use rollback_core::{RollbackId, Timestamp};
use std::collections::BTreeMap;

/// How many rollbacks are followed at once. Each is one line of memory; more than run at a time
/// anywhere.
const FOLLOWED_MAX: usize = 4_096;

/// The audit sink that counts. It keeps nothing, and so never fails.
#[derive(Debug)]
pub(super) struct Counting(pub(super) Metrics);

/// How far each rollback was when it was last heard of.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The last record that was counted: one that is given again is not counted again.
    counted: u64,
    began: BTreeMap<RollbackId, (Stage, Timestamp)>,
}

/// A stretch of a rollback whose length tells something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    /// From the request to the confirmation.
    Confirming,
    /// From the confirmation to the order: approvals, guards, the record of intent.
    Checking,
    /// From the order to the end.
    Executing,
}

impl Stage {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Confirming => "confirming",
            Self::Checking => "checking",
            Self::Executing => "executing",
        }
    }

    /// The stage that begins with a record.
    const fn after(kind: Kind) -> Option<Self> {
        match kind {
            Kind::Requested => Some(Self::Confirming),
            Kind::Confirmed => Some(Self::Checking),
            Kind::Triggered => Some(Self::Executing),
            Kind::Denied
            | Kind::Approved
            | Kind::Rejected
            | Kind::Refused
            | Kind::Phase
            | Kind::Succeeded
            | Kind::Failed
            | Kind::NotVerified
            | Kind::OutcomeUnknown
            | Kind::Cancelled
            | Kind::Expired
            | Kind::Settled
            | Kind::PutAside
            | Kind::Released
            | Kind::Frozen
            | Kind::Unfrozen
            | Kind::MarkedBad
            | Kind::UnmarkedBad => None,
        }
    }
}

/// How a rollback ended, if the record says that it did.
fn outcome(record: &Record) -> Option<&'static str> {
    let kind = record.draft.kind;
    match kind {
        Kind::Succeeded
        | Kind::Failed
        | Kind::NotVerified
        | Kind::OutcomeUnknown
        | Kind::Refused
        | Kind::Rejected
        | Kind::Expired => Some(kind.as_str()),
        // Asking an execution to stop is no end yet; its end names nobody.
        Kind::Cancelled if record.draft.execution.is_some() && record.draft.actor.is_some() => None,
        Kind::Cancelled => Some(kind.as_str()),
        Kind::Requested
        | Kind::Denied
        | Kind::Confirmed
        | Kind::Approved
        | Kind::Triggered
        | Kind::Phase
        | Kind::Settled
        | Kind::PutAside
        | Kind::Released
        | Kind::Frozen
        | Kind::Unfrozen
        | Kind::MarkedBad
        | Kind::UnmarkedBad => None,
    }
}

#[async_trait]
impl AuditSink for Counting {
    fn name(&self) -> &'static str {
        "metrics"
    }

    async fn record(&self, record: &Record) -> Result<(), PortError> {
        self.0.recorded(record);
        Ok(())
    }
}

impl Metrics {
    fn recorded(&self, record: &Record) {
        let mut progress = lock(&self.inner.progress);
        if record.sequence <= progress.counted {
            return;
        }
        progress.counted = record.sequence.get();
        let draft = &record.draft;
        let labels = || -> Labels {
            vec![
                ("service", draft.service.to_string()),
                ("environment", draft.environment.to_string()),
                ("drill", draft.drill.to_string()),
            ]
        };
        if draft.kind == Kind::Denied {
            self.inner.denials.get_or_create(&labels()).inc();
        }
        if draft.kind == Kind::Refused {
            for guard in draft.guards.iter().filter(|guard| guard.verdict.as_str() != "pass") {
                let mut labels = labels();
                labels.push(("guard", guard.name.to_string()));
                labels.push(("verdict", guard.verdict.to_string()));
                self.inner.guards.get_or_create(&labels).inc();
            }
        }
        let ended = outcome(record);
        let next = Stage::after(draft.kind);
        if ended.is_none() && next.is_none() {
            return;
        }
        let Some(id) = &draft.operation_id else { return };
        let began = progress.began.remove(id);
        if let Some((stage, since)) = began {
            let mut labels = labels();
            labels.push(("stage", stage.as_str().to_owned()));
            let took = draft.at.since(since).as_secs_f64();
            self.inner.stages.get_or_create(&labels).observe(took);
        }
        if let Some(stage) = next
            && progress.began.len() < FOLLOWED_MAX
        {
            progress.began.insert(id.clone(), (stage, draft.at));
        }
        // A late effect is told as an unknown outcome again, of a rollback that has ended.
        let again = draft.kind == Kind::OutcomeUnknown && began.is_none();
        if let Some(outcome) = ended.filter(|_| !again) {
            let mut labels = labels();
            labels.push(("outcome", outcome.to_owned()));
            self.inner.rollbacks.get_or_create(&labels).inc();
        }
    }
}
