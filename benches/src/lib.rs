//! What the benches measure: one click, one step, one decision, one message.
//!
//! Everything is made from the same organization: 1,000 services, each owned by one of 200 groups.
#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a bench that cannot be set up ends"
)]

mod click;
mod organization;

pub use crate::click::{Decider, Sender, VARIANTS, signing_secrets};
pub use crate::organization::{Organization, SERVICES};

use rollback_core::journal::{Entry, replay};
use rollback_core::notice::DeployCard;
use rollback_core::{Event, Phase, Progress, Receipt, Rollback};
use rollback_testkit::fixtures;
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use std::time::Duration;

/// The CPU time that this thread has used so far.
#[must_use]
pub fn thread_cpu() -> Duration {
    cpu(ClockId::ThreadCPUTime)
}

/// The CPU time that all threads of this process have used so far.
#[must_use]
pub fn process_cpu() -> Duration {
    cpu(ClockId::ProcessCPUTime)
}

fn cpu(clock: ClockId) -> Duration {
    clock_gettime(clock).try_into().unwrap()
}

/// The middle one; the upper one of two.
#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    *values.get(values.len() / 2).unwrap()
}

/// A rollback that runs.
#[must_use]
pub fn running() -> Rollback {
    let (ana, at) = (fixtures::ana(), fixtures::at(0));
    let events = [
        Event::StandingObserved(Box::new(ana.standing(at))),
        fixtures::observed(at),
        ana.confirmed(at),
        fixtures::observed(at),
        Event::IntentRecorded,
        Event::TriggerAccepted(Receipt::new("execution-1")),
        Event::ProgressObserved(Box::new(Progress::new(Phase::Started))),
    ];
    let entries = events.into_iter().map(|event| Entry::new(at, event));
    replay(fixtures::clicked_by(&ana, fixtures::policy()), entries)
}

/// What the CD system tells, over and over.
#[must_use]
pub fn told(number: usize) -> Event {
    let mut progress = Progress::new(Phase::HealthChecking);
    progress.message = Some(format!("{} of 40 pods are ready", number % 40).into());
    Event::ProgressObserved(Box::new(progress))
}

/// What a deploy message is drawn from.
#[must_use]
pub fn card() -> DeployCard {
    serde_json::from_value(json!({
        "deploy": {
            "id": "ci-4711", "service": "checkout", "environment": "production",
            "version": "2.14.0", "commit": "9f3c2ab4d5e6f708192a3b4c5d6e7f8091a2b3c4",
            "revision": "42", "deployer": {"name": "Bob", "slack_user_id": "U03BOB"},
            "changelog_url": "https://git.example.com/shop/compare/2.13.4...2.14.0",
            "deployed_at": "2026-11-22T09:30:00Z", "migrations": [],
        },
        "previous": {"revision": "41", "version": "2.13.4"},
        "choice": {
            "target": {"id": "41", "version": "2.13.4", "commit": "1a2b3c4"},
            "why": "`41` (2.13.4) is the newest earlier revision that is known to be good",
            "skipped": [],
        },
        "rollback": null, "superseded_by": null,
    }))
    .unwrap()
}
