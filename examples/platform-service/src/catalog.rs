//! From the configuration to what the engine is built of.

use crate::config::{Config, EnvironmentConfig, File, FourEyes, HealthCheck, People};
use crate::kinds::{self, Context, NotSetUp, Target};
use crate::secrets::Environment;
use rollback_api::{HealthSetupError, HttpHealth};
use rollback_core::access::{AccessPolicy, Pattern, Principal, Rule};
use rollback_core::ports::{CdBackend, Clock, HealthSource};
use rollback_core::{BackendName, EnvironmentName, ServiceKey, ServiceName, WorkspaceId};
use rollback_engine::{Catalog, ServiceConfig};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Every backend under its name.
pub(crate) type Backends = BTreeMap<BackendName, Arc<dyn CdBackend>>;

/// The services and the rules, for the members of this workspace; for nobody's while it is not known.
pub(crate) fn catalog(
    config: &Config,
    workspace: Option<WorkspaceId>,
    clock: &Arc<dyn Clock>,
) -> Result<Catalog, HealthSetupError> {
    let file = &config.file;
    let mut catalog = Catalog::new(access(file, workspace));
    for (name, service) in &file.services {
        for (environment, settings) in &service.environments {
            let key = ServiceKey::new(name.clone(), environment.clone());
            catalog.services.insert(key, service_config(file, settings, clock)?);
        }
    }
    Ok(catalog)
}

fn service_config(
    file: &File,
    settings: &EnvironmentConfig,
    clock: &Arc<dyn Clock>,
) -> Result<ServiceConfig, HealthSetupError> {
    let channel = settings.channel.clone().unwrap_or_else(|| file.slack.channel.clone());
    let mut service = ServiceConfig::new(settings.backend.clone(), channel);
    service.approvals_min = settings.approvals;
    service.four_eyes = match settings.four_eyes {
        FourEyes::Account => rollback_core::FourEyes::Account,
        FourEyes::Person => rollback_core::FourEyes::Person,
    };
    service.soak = settings.soak;
    service.limits = file.limits.to_core();
    if let Some(HealthCheck { url, timeout }) = &settings.health_check {
        let health: Arc<dyn HealthSource> = Arc::new(HttpHealth::new(url, Arc::clone(clock))?);
        service.health = Some(health);
        // Healthy at the last moment, it must still stay so for a while.
        service.limits.verify_within = timeout.saturating_add(service.limits.settle);
    }
    Ok(service)
}

/// The rules. Those of an environment take the place of its service's, but for denials, which add.
fn access(file: &File, workspace: Option<WorkspaceId>) -> AccessPolicy {
    let mut access = AccessPolicy::default();
    access.workspaces.extend(workspace);
    if let Some(people) = &file.break_glass {
        access.break_glass = principals(people);
    }
    for (name, service) in &file.services {
        for (environment, settings) in &service.environments {
            let at = (name, environment);
            if let Some(people) = settings.owners.as_ref().or(service.owners.as_ref()) {
                access.owners.push(rule(at, "owners", settings.owners.is_some(), people));
            }
            if let Some(people) = settings.approvers.as_ref().or(service.approvers.as_ref()) {
                access.approvers.push(rule(at, "approvers", settings.approvers.is_some(), people));
            }
            if let Some(people) = &settings.denied {
                access.denied.push(rule(at, "denied", true, people));
            }
            if let Some(people) = &service.denied {
                access.denied.push(rule(at, "denied", false, people));
            }
        }
    }
    for (rules, list) in [
        (&file.access.owners, &mut access.owners),
        (&file.access.approvers, &mut access.approvers),
        (&file.access.denied, &mut access.denied),
    ] {
        list.extend(rules.iter().map(|written| {
            let people = People { users: written.users.clone(), groups: written.groups.clone() };
            Rule::new(
                written.name.clone(),
                written.services.clone(),
                written.environments.clone(),
                principals(&people),
            )
        }));
    }
    access
}

fn rule(
    (service, environment): (&ServiceName, &EnvironmentName),
    what: &str,
    is_of_the_environment: bool,
    people: &People,
) -> Rule {
    let name = if is_of_the_environment {
        format!("{service} {environment} {what}")
    } else {
        format!("{service} {what}")
    };
    Rule::new(
        name,
        Pattern::service(service),
        Pattern::environment(environment),
        principals(people),
    )
}

pub(crate) fn principals(people: &People) -> Vec<Principal> {
    let users = people.users.iter().cloned().map(Principal::User);
    users.chain(people.groups.iter().cloned().map(Principal::Group)).collect()
}

/// Sets up every backend that the configuration names.
pub(crate) async fn backends(
    config: &Config,
    environment: &Environment,
    clock: &Arc<dyn Clock>,
) -> Result<Backends, NotSetUp> {
    let file = &config.file;
    let context = Context { cd_timeout: file.limits.cd_timeout, environment, clock };
    let mut backends = Backends::new();
    for (name, settings) in &file.backends {
        let mut settings = settings.clone();
        let written = settings.remove("kind");
        let kind = written.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default();
        let failed = |why: String| NotSetUp(format!("backend `{name}`: {why}"));
        let kind = kinds::built(kind)
            .ok_or_else(|| failed(format!("the kind `{kind}` is not in this build")))?;
        let backend = kind
            .build(settings, targets(file, name), &context)
            .await
            .map_err(|NotSetUp(why)| failed(why))?;
        backends.insert(name.clone(), backend);
    }
    Ok(backends)
}

fn targets(file: &File, backend: &BackendName) -> Vec<Target> {
    let all = file.services.iter().flat_map(|(name, service)| {
        service.environments.iter().map(move |(environment, settings)| {
            (ServiceKey::new(name.clone(), environment.clone()), settings)
        })
    });
    all.filter(|(_, settings)| settings.backend == *backend)
        .map(|(key, settings)| Target { key, with: settings.with.clone() })
        .collect()
}
