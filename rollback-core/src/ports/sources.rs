//! What is read besides the CD system: a host's own facts, health, metrics.

use crate::event::Health;
use crate::fact::Fact;
use crate::id::{GuardName, Reason};
use crate::model::{Actor, Plan, ServiceKey};
use crate::observed::Reading;
use crate::time::Timestamp;
use alloc::boxed::Box;
use alloc::vec::Vec;
use async_trait::async_trait;
use core::fmt;
use core::time::Duration;

/// What a guard of the host's own is asked.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GuardInquiry {
    /// Which guard.
    pub guard: GuardName,
    /// What would be done.
    pub plan: Plan,
    /// Who asks for it; none for a preview that nobody has clicked for.
    pub requested_by: Option<Actor>,
    /// Their reason; none before the confirmation.
    pub reason: Option<Reason>,
    /// Now, by the engine's clock: for the age of what is answered.
    pub now: Timestamp,
}

impl GuardInquiry {
    /// A preview that nobody has clicked for.
    #[must_use]
    pub const fn new(guard: GuardName, plan: Plan, now: Timestamp) -> Self {
        Self { guard, plan, requested_by: None, reason: None, now }
    }
}

/// Answers a guard of the host's own.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait FactSource: fmt::Debug + Send + Sync {
    /// Looks. Cannot fail: a source that does not answer is an unknown fact.
    async fn observe(&self, inquiry: &GuardInquiry) -> Fact<Reading>;
}

/// What a health check is asked.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HealthInquiry {
    /// Which service.
    pub key: ServiceKey,
    /// The rollback after which it is asked; none where somebody only looks.
    pub plan: Option<Plan>,
    /// Since when it should work: what was measured before says nothing of it.
    pub since: Timestamp,
}

impl HealthInquiry {
    /// Whether the service works now.
    #[must_use]
    pub const fn new(key: ServiceKey, now: Timestamp) -> Self {
        Self { key, plan: None, since: now }
    }

    /// Whether it works after this rollback, which has been carried out since then.
    #[must_use]
    pub fn after(plan: &Plan, since: Timestamp) -> Self {
        Self { key: plan.key().clone(), plan: Some(plan.clone()), since }
    }
}

/// Says whether a service works.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait HealthSource: fmt::Debug + Send + Sync {
    /// Looks. Cannot fail: a source that does not answer is an unknown fact.
    async fn health(&self, inquiry: &HealthInquiry) -> Fact<Health>;
}

/// A value of a metric at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sample {
    /// When.
    pub at: Timestamp,
    /// How much; never NaN.
    pub value: f64,
}

impl Sample {
    /// A sample, unless the value is not a number.
    #[must_use]
    pub const fn new(at: Timestamp, value: f64) -> Option<Self> {
        if value.is_nan() { None } else { Some(Self { at, value }) }
    }
}

/// Reads metrics.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait MetricSource: fmt::Debug + Send + Sync {
    /// The samples of a query over a time, oldest first. The query is in the source's own language,
    /// and as long as that needs. Cannot fail: a source that does not answer is an unknown fact.
    async fn range(
        &self,
        query: &str,
        from: Timestamp,
        to: Timestamp,
        step: Duration,
    ) -> Fact<Vec<Sample>>;
}
