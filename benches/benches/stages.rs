//! A signed click from its bytes to its acknowledgement without a server, and the stages of it.
#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up ends")]

use benches::{Decider, Organization, Sender, VARIANTS, signing_secrets};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use rollback_slack::UnixSeconds;
use rollback_slack::form::payload_of;
use rollback_slack::payload::parse;

const NOW: UnixSeconds = UnixSeconds(1_700_000_000);

fn stages(criterion: &mut Criterion) {
    let mut sender = Sender::new();
    let bytes = u64::try_from(sender.body_bytes()).unwrap();
    let clicks: Vec<_> = (0..VARIANTS).map(|_variant| sender.next_read(NOW)).collect();
    let payloads: Vec<_> = clicks.iter().map(|(_, body)| payload_of(body).unwrap()).collect();
    let secrets = signing_secrets();
    let mut turns = (0..VARIANTS).cycle();
    let mut turn = move || turns.next().unwrap_or_default();

    let mut group = criterion.benchmark_group("click");
    group.throughput(Throughput::Bytes(bytes));
    group.bench_function("signature", |bencher| {
        bencher.iter(|| {
            let (headers, body) = clicks.get(turn()).unwrap();
            secrets.verify(headers, body, NOW).is_ok()
        });
    });
    group.bench_function("form", |bencher| {
        bencher.iter(|| payload_of(&clicks.get(turn()).unwrap().1));
    });
    group.bench_function("payload", |bencher| {
        bencher.iter(|| parse(payloads.get(turn()).unwrap()));
    });
    // Each click is a new one: a repeat would be cheaper.
    let entrance = Decider::entrance(Organization::resolved());
    group.bench_function("whole", |bencher| {
        bencher.iter_batched(
            || sender.next_read(NOW),
            |(headers, body)| assert_eq!(entrance.handle(&headers, &body, NOW).status, 200),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, stages);
criterion_main!(benches);
