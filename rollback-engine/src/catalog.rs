//! What the host configures: its services, and who may do what to them.

use rollback_core::access::{Access, AccessPolicy};
use rollback_core::guard::GuardSet;
use rollback_core::ports::HealthSource;
use rollback_core::{BackendName, ChannelId, FourEyes, Limits, Policy, Purpose, ServiceKey};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How one service in one environment is rolled back.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServiceConfig {
    /// The backend that carries it out.
    pub backend: BackendName,
    /// Where its deploy messages are posted.
    pub channel: ChannelId,
    /// How many other people must approve.
    pub approvals_min: u8,
    /// What tells the requester and the approvers apart.
    pub four_eyes: FourEyes,
    /// How long a revision must have been live to count as known-good.
    pub soak: Duration,
    /// The guards.
    pub guards: GuardSet,
    /// The bounds on time.
    pub limits: Limits,
    /// What says whether the service works; without one the CD system's own word counts.
    pub health: Option<Arc<dyn HealthSource>>,
    /// Whether clicks are drills.
    pub purpose: Purpose,
}

impl ServiceConfig {
    /// The built-in guards, no approvals, no soak, default limits.
    #[must_use]
    pub fn new(backend: BackendName, channel: ChannelId) -> Self {
        Self {
            backend,
            channel,
            approvals_min: 0,
            four_eyes: FourEyes::Account,
            soak: Duration::ZERO,
            guards: GuardSet::built_in(),
            limits: Limits::default(),
            health: None,
            purpose: Purpose::Real,
        }
    }
}

/// Every service, and the organization's rules.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Catalog {
    /// Who may do what. Empty, nobody may do anything.
    pub access: AccessPolicy,
    /// The services.
    pub services: BTreeMap<ServiceKey, ServiceConfig>,
    /// Those that were added twice: [`crate::EngineBuilder::build`] refuses them.
    twice: BTreeSet<ServiceKey>,
}

impl Catalog {
    /// No service yet, under these rules.
    #[must_use]
    pub const fn new(access: AccessPolicy) -> Self {
        Self { access, services: BTreeMap::new(), twice: BTreeSet::new() }
    }

    /// Adds a service. One that is there already is replaced, and the engine is not built
    /// ([`WiringFault::ServiceTwice`](crate::WiringFault::ServiceTwice)).
    #[must_use]
    pub fn with(mut self, key: ServiceKey, service: ServiceConfig) -> Self {
        if self.services.insert(key.clone(), service).is_some() {
            self.twice.insert(key);
        }
        self
    }

    /// The services that were added twice.
    pub(crate) fn twice(&self) -> impl Iterator<Item = &ServiceKey> {
        self.twice.iter()
    }

    /// The policy that a rollback of this service is held to.
    pub(crate) fn policy(access: Access, service: &ServiceConfig) -> Policy {
        let mut policy = Policy::new(access);
        policy.approvals_min = service.approvals_min;
        policy.four_eyes = service.four_eyes;
        policy.soak = service.soak;
        policy.guards = service.guards.clone();
        policy.limits = service.limits;
        policy
    }
}
