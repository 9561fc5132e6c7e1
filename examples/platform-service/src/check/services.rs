//! Whether each service could be rolled back: its CD system, its target, its health check.

use super::Row;
use crate::catalog::Backends;
use rollback_core::Health;
use rollback_core::known_good::Candidates;
use rollback_core::observed::{Acceptance, Live, Preflight, ServiceRecord};
use rollback_core::ports::{
    CdBackend, Clock, ErrorKind, HealthInquiry, HistoryOptions, LiveOptions, PortError,
};
use rollback_core::{Plan, Presence, ServiceKey};
use rollback_engine::{Catalog, ServiceConfig};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// How many services are looked at at once: a CD system is not to be flooded by a check.
const AT_ONCE: usize = 8;

/// How much of a history is read.
const HISTORY_MAX: usize = 50;

pub(super) async fn rows(
    catalog: &Catalog,
    backends: &Backends,
    clock: &Arc<dyn Clock>,
) -> Vec<Row> {
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut looks = JoinSet::new();
    for (number, (key, service)) in catalog.services.iter().enumerate() {
        let Some(backend) = backends.get(&service.backend).map(Arc::clone) else { continue };
        let (key, service, turns) = (key.clone(), service.clone(), Arc::clone(&turns));
        let clock = Arc::clone(clock);
        looks.spawn(async move {
            let _turn = turns.acquire_owned().await;
            (number, look(&key, &service, backend.as_ref(), clock.as_ref()).await)
        });
    }
    let mut found = looks.join_all().await;
    found.sort_by_key(|(number, _)| *number);
    found.into_iter().flat_map(|(_, rows)| rows).collect()
}

async fn look(
    key: &ServiceKey,
    service: &ServiceConfig,
    backend: &dyn CdBackend,
    clock: &dyn Clock,
) -> Vec<Row> {
    // A CD system that hangs is one that does not answer.
    let bound = service.limits.cd_timeout.saturating_mul(3).saturating_add(Duration::from_secs(1));
    let mut rows = match tokio::time::timeout(bound, cd(key, service, backend, clock)).await {
        Ok(rows) => rows,
        Err(_elapsed) => vec![Row::fail(
            named(key, "CD"),
            format!("`{}` did not answer in time", service.backend),
            "look whether it is up, and reachable from here",
        )],
    };
    if let Some(source) = &service.health {
        let subject = named(key, "health");
        let health = source.health(&HealthInquiry::new(key.clone(), clock.now())).await;
        rows.push(match health.value() {
            Some(Health::Healthy) => Row::ok(subject, "healthy"),
            Some(Health::Unhealthy(what)) => Row::fail(
                subject,
                what.as_str(),
                "fix the service, or the address of its health check",
            ),
            None => {
                Row::fail(subject, why(&health), "look whether the address is reachable from here")
            }
        });
    }
    rows
}

fn named(key: &ServiceKey, what: &str) -> String {
    format!("{}/{} {what}", key.service, key.environment)
}

fn why<T>(fact: &rollback_core::Fact<T>) -> String {
    match fact {
        rollback_core::Fact::Known { .. } => String::new(),
        rollback_core::Fact::Unknown { why } => why.clone(),
    }
}

async fn cd(
    key: &ServiceKey,
    service: &ServiceConfig,
    backend: &dyn CdBackend,
    clock: &dyn Clock,
) -> Vec<Row> {
    let subject = named(key, "CD");
    let live = match backend.live(key, LiveOptions::default()).await {
        Ok(live) => live,
        Err(error) => return vec![unreadable(subject, &error)],
    };
    if let Some(row) = progress_unknown(&subject, &live) {
        return vec![row];
    }
    let Some(live) = live.revision else {
        let remedy = "deploy it once, or correct what the CD system calls it";
        return vec![Row::unknown(subject, "nothing runs", remedy)];
    };
    let runs = Row::ok(subject, format!("`{}` runs `{}`", service.backend, live.revision));
    let subject = named(key, "target");
    let history = match backend.history(key, HistoryOptions::newest(HISTORY_MAX)).await {
        Ok(history) => history,
        Err(error) => return vec![runs, unreadable(subject, &error)],
    };
    let record = ServiceRecord::default();
    let choice =
        Candidates::new(&history, &live.revision, &record, service.soak, clock.now()).choose();
    let Some(target) = choice.target else {
        // A service that was deployed once has nothing to go back to, and nothing is wrong.
        let is_new = history.iter().all(|revision| revision.id == live.revision);
        let target = if is_new {
            Row::unknown(subject, choice.why, "the button appears with the second deploy")
        } else {
            let remedy = "let the CD system keep what it needs to restore, or deploy a good one";
            Row::fail(subject, choice.why, remedy)
        };
        return vec![runs, target];
    };
    let plan = match Plan::new(key.clone(), live, target.reference()) {
        Ok(plan) => plan,
        Err(error) => return vec![runs, Row::unknown(subject, error.to_string(), "check again")],
    };
    let target = match backend.preflight(&plan).await {
        Ok(preflight) => judged(subject, &plan, preflight),
        Err(error) => unreadable(subject, &error),
    };
    vec![runs, target]
}

/// The row of a CD system that does not say whether something is in progress.
fn progress_unknown(subject: &str, live: &Live) -> Option<Row> {
    let Presence::CannotTell(why) = &live.in_progress else { return None };
    Some(Row::fail(
        subject.to_owned(),
        format!("whether a deploy or rollback is in progress is not known: {why}"),
        "until then each rollback of the service is refused",
    ))
}

/// What the CD system says about the way back.
fn judged(subject: String, plan: &Plan, preflight: Preflight) -> Row {
    match (preflight.acceptance, preflight.undone_by) {
        (Acceptance::Accepted, Presence::Nothing) => {
            let what = format!("`{}` would be accepted", plan.to().revision);
            Row::ok(
                subject,
                match preflight.vouched_by {
                    None => what,
                    Some(by) => {
                        format!("{what}; nothing would undo it (not checked: {by} says so)")
                    }
                },
            )
        }
        (Acceptance::Accepted, Presence::CannotTell(why)) => Row::fail(
            subject,
            format!("whether a rollback would be undone is not known: {why}"),
            "until then each rollback of the service is refused",
        ),
        (Acceptance::Accepted, Presence::Something(by)) => Row::fail(
            subject,
            format!("a rollback would be undone: {by}"),
            "switch that off for the service",
        ),
        (Acceptance::Rejected(why), _) => Row::fail(
            subject,
            format!("the CD system would not accept `{}`: {why}", plan.to().revision),
            "fix that there, or choose another way back",
        ),
    }
}

fn unreadable(subject: String, error: &PortError) -> Row {
    let remedy = match error.kind {
        ErrorKind::Retry(_) => "look whether it is up, and reachable from here",
        ErrorKind::Misconfigured => "correct its address and its token",
        ErrorKind::Rejected => {
            "look whether the token may read this service, and whether it exists"
        }
        ErrorKind::Unsupported | _ => "look at the backend's page",
    };
    Row::fail(subject, error.to_string(), remedy)
}
