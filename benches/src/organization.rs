//! 1,000 services, 200 groups, and somebody who may.

use rollback_core::access::{Access, AccessPolicy, Duty, Moment, Principal, Rule, Standing};
use rollback_core::{Actor, DeployId, ServiceKey};
use rollback_testkit::fixtures::{self, parsed};
use std::collections::HashMap;
use std::time::Duration;

/// How many services there are.
pub const SERVICES: usize = 1_000;
/// How many groups own them.
const GROUPS: usize = 200;

/// The rules as a host holds them: resolved for each service once, at the start.
#[derive(Debug)]
pub struct Organization {
    rules: HashMap<ServiceKey, Access>,
    deploys: HashMap<DeployId, ServiceKey>,
    standing: Standing,
}

impl Organization {
    /// Resolves the rules of every service.
    #[must_use]
    pub fn resolved() -> Self {
        let mut policy = AccessPolicy::default();
        policy.workspaces.insert(fixtures::home());
        for number in 0..SERVICES {
            let group = Principal::Group(parsed(&format!("S{}", number % GROUPS)));
            let service = parsed(&format!("service-{number}"));
            policy.owners.push(Rule::for_service(
                format!("owners {number}"),
                &service,
                vec![group],
            ));
        }
        let keys = || (0..SERVICES).map(Self::key);
        let deploys = (0..SERVICES).map(|number| parsed(&format!("d-{number}"))).zip(keys());
        // In five of the groups, as the directory's cache has it.
        let known: Vec<_> = (0..GROUPS).map(|number| parsed(&format!("S{number}"))).collect();
        let member = fixtures::bo().in_groups(known.iter().take(5).cloned());
        Self {
            rules: keys().map(|key| (key.clone(), policy.for_service(&key))).collect(),
            deploys: deploys.collect(),
            standing: member.standing_in(&known, fixtures::at(0)),
        }
    }

    /// One of the services.
    #[must_use]
    pub fn key(number: usize) -> ServiceKey {
        ServiceKey::new(parsed(&format!("service-{number}")), parsed("production"))
    }

    /// The person that every click is by.
    #[must_use]
    pub fn actor() -> Actor {
        fixtures::bo().actor()
    }

    /// Whether the rules of this service let the actor ask for a rollback.
    #[must_use]
    pub fn permits(&self, key: &ServiceKey, actor: &Actor) -> bool {
        let moment = Moment::new(fixtures::at(0), Duration::from_secs(30));
        self.rules.get(key).is_some_and(|rules| {
            rules.decide(Duty::Request, actor, &self.standing, moment).verdict.is_ok()
        })
    }

    /// The same for the service that was deployed.
    #[must_use]
    pub fn permits_rollback_of(&self, deploy: &DeployId, actor: &Actor) -> bool {
        self.deploys.get(deploy).is_some_and(|key| self.permits(key, actor))
    }
}
