//! What is wrong with how an engine was put together, found before it runs.

use crate::catalog::{Catalog, ServiceConfig};
use rollback_core::guard::{Guard, GuardSet};
use rollback_core::{BackendName, GuardName, ServiceKey};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// How many services, backends or guards one line names. The rest is counted.
const NAMED_MAX: usize = 5;

/// Why an engine was not built: every fault in how it was put together. Nothing was started, and
/// nothing was written.
///
/// ```
/// use rollback_core::ports::{Directory, Store};
/// use rollback_engine::{Catalog, EngineBuilder, WiringFault};
/// use std::sync::Arc;
///
/// fn explain(store: Arc<dyn Store>, directory: Arc<dyn Directory>) {
///     if let Err(error) = EngineBuilder::new(store, directory, Catalog::default()).build() {
///         assert!(error.faults().contains(&WiringFault::NoServices));
///     }
/// }
/// ```
#[derive(Clone, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub struct WiringError {
    faults: Vec<WiringFault>,
}

impl WiringError {
    /// Each fault once. Never empty.
    #[must_use]
    pub fn faults(&self) -> &[WiringFault] {
        &self.faults
    }
}

/// As for people: a `main` that returns this error prints it so.
impl fmt::Debug for WiringError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for WiringError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the engine cannot start with this wiring")?;
        match self.faults.as_slice() {
            [one] => write!(f, ": {one}"),
            several => several.iter().try_for_each(|fault| write!(f, "\n- {fault}")),
        }
    }
}

/// One fault in how an engine was put together. Its text names the remedy.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WiringFault {
    /// The catalog is empty: no deploy would be taken.
    #[error("no service is configured; add one with `Catalog::with`")]
    NoServices,
    /// One service was added twice. Only the last one would count.
    #[error("`{0}` is configured twice, and only the last one would count; remove one")]
    ServiceTwice(ServiceKey),
    /// The access policy admits no workspace, so that everybody is denied.
    #[error(
        "the access policy names no workspace, so that everybody is denied; add yours to \
         `AccessPolicy::workspaces`, or name it later with `EngineBuilder::admitting_later`"
    )]
    NoWorkspace,
    /// No rule lets anybody roll this service back.
    #[error(
        "nobody may roll back `{0}`: no owner rule covers it, and there is no break-glass group; \
         add a rule to `AccessPolicy::owners`"
    )]
    NoOwner(ServiceKey),
    /// A service is rolled back by a backend that was not added.
    #[error(
        "`{service}` names the backend `{backend}`, which was not added; {}",
        remedy_of_backend(.added)
    )]
    BackendMissing {
        /// The service.
        service: ServiceKey,
        /// The backend that it names.
        backend: BackendName,
        /// The backends that were added.
        added: Vec<BackendName>,
    },
    /// Two backends were added under one name. Only the last one would get orders.
    #[error(
        "two backends were added as `{0}`, and only the last one would get orders; give each a name \
         of its own"
    )]
    BackendTwice(BackendName),
    /// A guard of the host's own has no source: its fact stays unknown, so every rollback is refused.
    #[error(
        "the guard `{guard}` of {} has no source, so that every rollback there would be refused; add \
         one with `EngineBuilder::fact_source`, or remove the guard",
        listed(.services)
    )]
    SourceMissing {
        /// The guard.
        guard: GuardName,
        /// The services that have it.
        services: Vec<ServiceKey>,
    },
    /// A source answers a guard that no service has: it would never be asked.
    #[error(
        "the source of the guard `{0}` would never be asked: no service has this guard; add the guard \
         to `ServiceConfig::guards`, or remove the source"
    )]
    SourceUnused(GuardName),
    /// A source was added for a guard that is built in, which looks at other facts.
    #[error(
        "the source of the guard `{0}` would never be asked: this guard is built in; give your own \
         guard another name, and add it to `ServiceConfig::guards`"
    )]
    SourceOfBuiltIn(GuardName),
    /// Two sources were added for one guard. Only the last one would be asked.
    #[error(
        "two sources were added for the guard `{0}`, and only the last one would be asked; remove one"
    )]
    SourceTwice(GuardName),
    /// Two notifiers have one name, by which the outbox keeps what each has told.
    #[error(
        "two notifiers are called `{0}`: each message would reach only one of them; give each a name \
         of its own"
    )]
    NotifierTwice(&'static str),
    /// Two audit sinks have one name, by which the store keeps what each has acknowledged.
    #[error(
        "two audit sinks are called `{0}`: each record would reach only one of them; give each a name \
         of its own"
    )]
    SinkTwice(&'static str),
    /// A setting is zero with which nothing would ever be done.
    #[error(
        "`EngineBuilder::{0}` is zero, with which no rollback would get anywhere; leave the default"
    )]
    Zero(&'static str),
}

fn remedy_of_backend(added: &[BackendName]) -> String {
    if added.is_empty() {
        return "no backend was added; add it with `EngineBuilder::backend`".to_owned();
    }
    format!("those that were added: {}; correct the name, or add it", listed(added))
}

/// Names, as a sentence lists them.
fn listed<T: fmt::Display>(names: &[T]) -> String {
    let mut text = String::new();
    for (place, name) in names.iter().take(NAMED_MAX).enumerate() {
        let separator = if place == 0 { "" } else { ", " };
        text.push_str(&format!("{separator}`{name}`"));
    }
    match names.len().saturating_sub(NAMED_MAX) {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

/// What a builder was given, as far as it can be wrong.
#[derive(Debug)]
pub(crate) struct Wiring<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) admits_later: bool,
    pub(crate) backends: BTreeSet<&'a BackendName>,
    pub(crate) sources: BTreeSet<&'a GuardName>,
    pub(crate) notifiers: Vec<&'static str>,
    pub(crate) sinks: Vec<&'static str>,
    /// Settings by name, and whether each is zero.
    pub(crate) zeros: Vec<(&'static str, bool)>,
    /// What was added a second time.
    pub(crate) twice: &'a [WiringFault],
}

impl Wiring<'_> {
    /// Finds every fault.
    ///
    /// # Errors
    ///
    /// [`WiringError`] when there is any.
    pub(crate) fn check(&self) -> Result<(), WiringError> {
        let mut faults = self.of_services();
        faults.extend(self.of_sources());
        faults.extend(self.twice.iter().cloned());
        faults.extend(repeated(&self.notifiers).map(WiringFault::NotifierTwice));
        faults.extend(repeated(&self.sinks).map(WiringFault::SinkTwice));
        let zeros = self.zeros.iter().filter(|(_, is_zero)| *is_zero);
        faults.extend(zeros.map(|(setting, _)| WiringFault::Zero(setting)));
        if faults.is_empty() { Ok(()) } else { Err(WiringError { faults }) }
    }

    fn of_services(&self) -> Vec<WiringFault> {
        let mut faults = Vec::new();
        let access = &self.catalog.access;
        if self.catalog.services.is_empty() {
            faults.push(WiringFault::NoServices);
        }
        if access.workspaces.is_empty() && !self.admits_later {
            faults.push(WiringFault::NoWorkspace);
        }
        faults.extend(self.catalog.twice().cloned().map(WiringFault::ServiceTwice));
        for (key, ServiceConfig { backend, .. }) in &self.catalog.services {
            if !self.backends.contains(backend) {
                faults.push(WiringFault::BackendMissing {
                    service: key.clone(),
                    backend: backend.clone(),
                    added: self.backends.iter().copied().cloned().collect(),
                });
            }
            if access.break_glass.is_empty() && !access.has_owners(key) {
                faults.push(WiringFault::NoOwner(key.clone()));
            }
        }
        faults
    }

    fn of_sources(&self) -> Vec<WiringFault> {
        let mut asked: BTreeMap<&GuardName, Vec<ServiceKey>> = BTreeMap::new();
        for (key, service) in &self.catalog.services {
            for guard in service.guards.custom() {
                asked.entry(guard).or_default().push(key.clone());
            }
        }
        let missing = asked.iter().filter(|(guard, _)| !self.sources.contains(**guard)).map(
            |(guard, services)| WiringFault::SourceMissing {
                guard: (*guard).clone(),
                services: services.clone(),
            },
        );
        let unused =
            self.sources.iter().filter(|guard| !asked.contains_key(**guard)).map(|guard| {
                if is_built_in(guard) {
                    WiringFault::SourceOfBuiltIn((*guard).clone())
                } else {
                    WiringFault::SourceUnused((*guard).clone())
                }
            });
        missing.chain(unused).collect()
    }
}

fn is_built_in(guard: &GuardName) -> bool {
    GuardSet::built_in().as_slice().iter().map(Guard::name).any(|name| name == guard.as_str())
}

/// The names that are there more than once, each once.
fn repeated<'a>(names: &'a [&'static str]) -> impl Iterator<Item = &'static str> + 'a {
    let mut seen: BTreeMap<&'static str, usize> = BTreeMap::new();
    for name in names {
        *seen.entry(name).or_default() += 1;
    }
    seen.into_iter().filter(|(_, times)| *times > 1).map(|(name, _)| name)
}
