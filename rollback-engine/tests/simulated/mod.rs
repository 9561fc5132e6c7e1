//! One world from one seed: engines on one store, people who act on what they see, and weather.
//! First everything may go wrong; then it heals, and all that was begun must come to its end.

pub mod dropped;
pub mod people;
pub mod world;

use rollback_core::{Event, Label, StateName};
use rollback_testkit::invariants::{Evidence, Rest, Seen, violations};
use rollback_testkit::sim::{Canary, Class, Swarm};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;
use world::World;

/// How long trouble lasts at most. People who still have something to do then leave it.
const TROUBLE_MAX: Duration = Duration::from_secs(600);

/// What became of a world.
pub struct Outcome {
    pub seed: u64,
    pub evidence: Evidence,
    /// What does not hold.
    pub found: Vec<String>,
    /// What came up, counted.
    pub counts: BTreeMap<String, u64>,
    pub struck: BTreeMap<Class, u64>,
    /// How long it took in the world, in seconds.
    pub lasted: u64,
}

/// Plays a world to its end.
pub fn play(swarm: &Swarm, canary: Option<Canary>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(played(swarm, canary))
}

async fn played(swarm: &Swarm, canary: Option<Canary>) -> Outcome {
    let world = World::new(swarm, canary);
    world.boot();
    people::trouble(&world, TROUBLE_MAX).await;
    let mut found = judged(&world, &world.evidence(Rest::NotYet).await);
    world.heal();
    let came_to_rest = people::drain(&world, world.rest_within()).await;
    let evidence = world.evidence(Rest::Reached).await;
    found.extend(judged(&world, &evidence));
    if !came_to_rest {
        found.push(format!("INV-35 it does not come to rest\n{}", world.unrest().await));
    }
    found.dedup();
    let counts = counted(&world, &evidence);
    let (struck, lasted) = (world.weather.counts(), world.elapsed().as_secs());
    Outcome { seed: swarm.seed, evidence, found, counts, struck, lasted }
}

/// The invariants that do not hold.
fn judged(world: &World, evidence: &Evidence) -> Vec<String> {
    // Nobody can call back a request that is on its way when its sender stands still or dies: of the
    // messages that it is about, and of no other, it is not promised that they go forward.
    let late = world.weather.late();
    let excused = |found: &str| {
        let is_about = |key: &Label| subjects(key).iter().any(|it| found.contains(it.as_str()));
        found.starts_with("INV-33") && late.iter().any(is_about)
    };
    let found = violations(evidence).into_iter().map(|violation| violation.to_string());
    found.filter(|found| !excused(found)).collect()
}

/// How a violation names what a message is about: by its key, a line by its thread as well.
fn subjects(key: &Label) -> Vec<String> {
    let mut subjects = vec![format!("`{key}`")];
    let mut parts = key.as_str().split(':');
    if let (Some("line"), Some(rollback)) = (parts.next(), parts.next()) {
        subjects.push(format!("the thread of `{rollback}`"));
    }
    subjects
}

/// What must come up in some seeds, or the simulation shows nothing.
fn counted(world: &World, evidence: &Evidence) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    let mut count = |what: String, times: usize| {
        if times > 0 {
            *counts.entry(what).or_default() += u64::try_from(times).unwrap();
        }
    };
    for view in &evidence.views {
        count(format!("end: {}", view.state), 1);
        for guard in view.guards.iter().filter(|guard| guard.verdict.as_str() != "pass") {
            count(format!("guard: {} {}", guard.verdict.as_str(), guard.name), 1);
        }
        count("approved by two".into(), usize::from(view.approved_by.len() >= 2));
    }
    let log = &evidence.log;
    let sent = |seen: &&Seen| matches!(seen, Seen::Sent { .. });
    count("sent".into(), log.iter().filter(sent).count());
    count("seeds that sent".into(), usize::from(log.iter().any(|seen| sent(&seen))));
    count("effects".into(), log.iter().filter(|s| matches!(s, Seen::TookEffect { .. })).count());
    count("fences".into(), log.iter().filter(|s| matches!(s, Seen::Fenced { .. })).count());
    let takeovers = takeovers(log);
    count("takeovers".into(), takeovers.0);
    count("takeovers after the order".into(), takeovers.1);
    for journal in &evidence.journals {
        for entry in &journal.entries {
            let what = match &entry.event {
                Event::OrderFound(_) => "in doubt, then found",
                Event::OrderAbsent => "in doubt, then proved absent",
                Event::DoubtRemained(_) => "in doubt, and it remained",
                Event::SlotTaken(_) => "the service was held",
                Event::IntentNotRecorded(_) => "the intent was not recorded",
                Event::RejectionGiven(_) => "rejected",
                Event::Settled(_) => "settled",
                Event::PutAside(_) => "put aside",
                Event::Released(_) => "released",
                Event::TriggerConflicted(_) => "conflict",
                Event::ExecutionUnseen(_) => "the CD system fell silent",
                Event::CancellationAccepted => "the CD system cancels",
                Event::CancellationRefused => "the CD system does not cancel",
                _ => continue,
            };
            count(what.into(), 1);
        }
        let place = |wanted: fn(&Event) -> bool| {
            journal.entries.iter().position(|entry| wanted(&entry.event))
        };
        let unknown = evidence
            .views
            .iter()
            .any(|view| view.id == journal.opening.id && view.state == StateName::OutcomeUnknown);
        let found = place(|event| matches!(event, Event::OrderFound(_)));
        let ran = place(|event| matches!(event, Event::ProgressObserved(_)));
        let late = unknown && found.is_some() && ran.is_none();
        count("late effect noticed".into(), usize::from(late));
    }
    count("processes that died".into(), world.deaths());
    counts
}

/// How often a rollback changed hands, and how often after its order.
fn takeovers(log: &[Seen]) -> (usize, usize) {
    let (mut owners, mut ordered) = (BTreeMap::new(), BTreeMap::new());
    let (mut all, mut after) = (0, 0);
    for seen in log {
        match seen {
            Seen::Sent { rollback, .. } => {
                ordered.insert(rollback.clone(), ());
            }
            Seen::Claimed { rollback, owner, .. } => {
                let before = owners.insert(rollback.clone(), owner.clone());
                if before.is_some_and(|before| before != *owner) {
                    all += 1;
                    after += usize::from(ordered.contains_key(rollback));
                }
            }
            _ => {}
        }
    }
    (all, after)
}

/// Everything that was seen, as one number.
pub fn trace(outcome: &Outcome) -> u64 {
    let mut hasher = DefaultHasher::new();
    for seen in &outcome.evidence.log {
        seen.to_string().hash(&mut hasher);
    }
    for message in &outcome.evidence.messages {
        (message.key.as_str(), message.shown.len()).hash(&mut hasher);
    }
    outcome.evidence.records.last().map(|record| record.hash.to_string()).hash(&mut hasher);
    (outcome.lasted, &outcome.found).hash(&mut hasher);
    hasher.finish()
}
