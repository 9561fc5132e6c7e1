//! A deploy message built, checked against Slack's limits and written as JSON. Aim: 5 µs.
#![expect(clippy::unwrap_used, reason = "a bench has no readers but its author")]

use criterion::{Criterion, criterion_group, criterion_main};
use rollback_core::notice::DeployCard;
use rollback_slack::views::deploy_message;
use serde_json::json;

fn card() -> DeployCard {
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

fn message(criterion: &mut Criterion) {
    let card = card();
    criterion.bench_function("deploy message: build, check, write", |bencher| {
        bencher.iter(|| deploy_message(std::hint::black_box(&card), 3).unwrap());
    });
}

criterion_group!(benches, message);
criterion_main!(benches);
