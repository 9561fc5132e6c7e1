//! A deploy message built, checked against Slack's limits and written as JSON. Aim: 5 µs.
#![expect(clippy::unwrap_used, reason = "a bench has no readers but its author")]

use benches::card;
use criterion::{Criterion, criterion_group, criterion_main};
use rollback_slack::views::deploy_message;
use std::hint::black_box;

fn message(criterion: &mut Criterion) {
    let card = card();
    criterion.bench_function("deploy message: build, check, write", |bencher| {
        bencher.iter(|| deploy_message(black_box(&card), 3).unwrap());
    });
}

criterion_group!(benches, message);
criterion_main!(benches);
