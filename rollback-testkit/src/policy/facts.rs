//! What the guards' sources and the CD system say in a journey.

use super::cast::millis;
use crate::fixtures;
use rollback_core::observed::{
    Acceptance, Facts, Freeze, InProgress, LastRollback, LatestDeploy, Live, OperationKind,
    Preflight, Reading, ServiceRecord,
};
use rollback_core::{
    Fact, Fix, FixKind, Fixes, Health, Migration, Migrations, Policy, Presence, Restorable,
    Reversible, Revision, Sighting, Timestamp,
};
use std::time::Duration;

/// How many kinds of trouble there are.
const TROUBLES: u16 = 16;

/// Facts under which every guard of the policy passes, its own guards included. With a warning, for
/// whoever acknowledges it.
pub(super) fn good(policy: &Policy, warns: bool, now: Timestamp) -> Facts {
    let mut facts = fixtures::facts(now);
    facts.history = Fact::known(history(policy, warns), now);
    for guard in policy.guards.custom() {
        facts.custom.insert(guard.clone(), Fact::known(Reading::holds(), now));
    }
    facts
}

/// Facts that keep one guard from passing, or that warn of something.
pub(super) fn bad(policy: &Policy, warns: bool, trouble: u16, now: Timestamp) -> Facts {
    let mut facts = good(policy, warns, now);
    let elsewhere = Live::running(fixtures::reference("43"));
    let mut history = history(policy, warns);
    match trouble % TROUBLES {
        0 => facts.live = Fact::known(elsewhere, now),
        1 => facts.live = Fact::unknown("the CD system did not answer"),
        2 => facts.history = Fact::known(history.into_iter().take(1).collect(), now),
        3 => {
            target(&mut history, |revision| revision.restorable = Restorable::No);
            facts.history = Fact::known(history, now);
        }
        4 => {
            let migration = Migration::new("20261121_drop", Reversible::No);
            left(&mut history, |revision| revision.migrations = Migrations::Known(vec![migration]));
            facts.history = Fact::known(history, now);
        }
        5 => {
            left(&mut history, |revision| revision.migrations = Migrations::Unknown);
            facts.history = Fact::known(history, now);
        }
        6 => {
            let mut live = Live::running(fixtures::reference("42"));
            live.in_progress = Presence::Something(InProgress::new(OperationKind::Deploy));
            facts.live = Fact::known(live, now);
        }
        7 => facts.freezes = Fact::known(vec![Freeze::new("black friday", now, None)], now),
        8 => record(&mut facts, now, |record| {
            record.last_rollback = Some(LastRollback::new(fixtures::parsed("rb-0"), now));
        }),
        9 => record(&mut facts, now, |record| record.in_flight = Some(fixtures::parsed("rb-0"))),
        10 => record(&mut facts, now, |record| {
            record.marked_bad.insert(fixtures::parsed("41"), "lost orders".into());
        }),
        11 => record(&mut facts, now, |record| {
            let newer = Some(fixtures::parsed("43"));
            record.latest_deploy = Some(LatestDeploy::new(fixtures::parsed("ci-2"), newer, now));
        }),
        12 => preflight(&mut facts, now, |it| {
            it.undone_by = Presence::Something("auto-sync".into());
        }),
        13 => preflight(&mut facts, now, |preflight| {
            preflight.acceptance = Acceptance::Rejected("no quota".into());
        }),
        14 => return Facts::unknown("no source answered"),
        _ => custom(&mut facts, trouble, now),
    }
    facts
}

fn record(facts: &mut Facts, now: Timestamp, change: impl FnOnce(&mut ServiceRecord)) {
    let mut record = ServiceRecord::default();
    change(&mut record);
    facts.record = Fact::known(record, now);
}

fn preflight(facts: &mut Facts, now: Timestamp, change: impl FnOnce(&mut Preflight)) {
    let mut preflight = fixtures::accepted();
    change(&mut preflight);
    facts.preflight = Fact::known(preflight, now);
}

/// Trouble with a guard of the host's own. Without one, facts that are too old.
fn custom(facts: &mut Facts, trouble: u16, now: Timestamp) {
    let reading = match (trouble / TROUBLES) % 3 {
        0 => Fact::known(Reading::blocks("the error budget is spent", "wait for it"), now),
        1 => Fact::known(Reading::warns("the error budget is low", "look at it"), now),
        _ => Fact::unknown("the source of the guard did not answer"),
    };
    match facts.custom.values_mut().next() {
        Some(fact) => *fact = reading,
        None => facts.record = Fact::known(Default::default(), Timestamp::from_millis(0)),
    }
}

/// The revision to return to.
fn target(history: &mut [Revision], change: impl FnOnce(&mut Revision)) {
    if let Some(revision) = history.get_mut(1) {
        change(revision);
    }
}

/// The revision to leave.
fn left(history: &mut [Revision], change: impl FnOnce(&mut Revision)) {
    if let Some(revision) = history.get_mut(0) {
        change(revision);
    }
}

/// Two good revisions, of which the older one has soaked. The newer one repairs an incident, if it
/// warns.
fn history(policy: &Policy, warns: bool) -> Vec<Revision> {
    let now = fixtures::at(0).as_millis();
    let left = now.saturating_sub(millis(Duration::from_secs(600)));
    let day = Duration::from_secs(86_400);
    let target = left.saturating_sub(millis(policy.soak.saturating_add(day)));
    let mut newer = fixtures::revision("42", "2.14.0", Timestamp::from_millis(left));
    if warns {
        newer.fixes = Fixes::Known(vec![Fix::new("INC-204", FixKind::Incident)]);
    }
    vec![newer, fixtures::revision("41", "2.13.4", Timestamp::from_millis(target))]
}

/// The target is live and healthy.
pub(super) fn seen_good(now: Timestamp) -> Sighting {
    let live = Live::running(fixtures::reference("41"));
    Sighting::new(Fact::known(live, now), Fact::known(Health::Healthy, now))
}

/// Something else is live, it does not work, or nobody can tell.
pub(super) fn seen_otherwise(detail: u16, now: Timestamp) -> Sighting {
    let mut sighting = seen_good(now);
    let running = |id| Fact::known(Live::running(fixtures::reference(id)), now);
    match detail % 5 {
        0 => sighting.live = running("42"),
        1 => sighting.live = running("43"),
        2 => sighting.live = Fact::unknown("the CD system did not answer"),
        3 => sighting.health = Fact::known(Health::Unhealthy("HTTP 500".into()), now),
        _ => sighting.health = Fact::unknown("the health check did not answer"),
    }
    sighting
}
