//! A whole rollback, from the click to the last record, on a store in memory and fakes that answer
//! at once: what the engine itself costs.
#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

use criterion::{Criterion, criterion_group, criterion_main};
use rollback_core::ports::{
    Capabilities, CdBackend, ClickedOn, Clock, Commands, CompareAndSet, Consent, Fence,
};
use rollback_core::{Deploy, Migrations, Phase, Plan, StateName};
use rollback_engine::{Catalog, Engine, EngineBuilder, ServiceConfig};
use rollback_store::MemoryStore;
use rollback_testkit::fakes::{FakeBackend, FakeDirectory, FakeSink};
use rollback_testkit::fixtures::{self, parsed};
use rollback_testkit::{Chat, ManualClock};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One rollback, in a world of its own. The time that the engine waits is not spent: it is skipped.
async fn rolled_back() -> Duration {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::starting_at(fixtures::at(0)));
    let cd = Arc::new(FakeBackend::new(Capabilities::new(CompareAndSet::Yes, Fence::Yes)));
    cd.set_phases([Phase::Complete]);
    let engine = engine(&clock, cd);
    let running = engine.clone();
    let host = tokio::spawn(async move { running.run(std::future::pending()).await });
    let mut deploy = Deploy::new(parsed("ci-42"), fixtures::key(), "2.14.0", clock.now());
    deploy.revision = Some(parsed("42"));
    deploy.migrations = Migrations::Known(Vec::new());
    engine.deployed(deploy).await.unwrap();

    let began = Instant::now();
    let (on, ana) = (ClickedOn::Deploy(parsed("ci-42")), fixtures::ana());
    let mut view = engine.click(&on, ana.actor()).await.unwrap();
    let id = view.id.clone();
    while view.guards.is_empty() {
        view = engine.changed(&id, view.steps).await.unwrap();
    }
    let pair = Plan::new(view.key, view.from, view.to).unwrap().pair();
    let mut view =
        engine.confirm(&id, ana.actor(), Consent::new(fixtures::reason(), pair)).await.unwrap();
    while !view.state.is_end() {
        view = engine.changed(&id, view.steps).await.unwrap();
    }
    let took = began.elapsed();
    assert_eq!(view.state, StateName::Succeeded);
    host.abort();
    took
}

fn engine(clock: &Arc<dyn Clock>, cd: Arc<dyn CdBackend>) -> Engine {
    let mut service = ServiceConfig::new(parsed("prod"), parsed("C0PAYMENTS"));
    service.limits.settle = Duration::ZERO;
    let catalog = Catalog::new(fixtures::access_policy()).with(fixtures::key(), service);
    let directory = FakeDirectory::new(Arc::clone(clock), fixtures::everybody());
    EngineBuilder::new(Arc::new(MemoryStore::default()), Arc::new(directory), catalog)
        .backend(parsed("prod"), cd)
        .notifier(Arc::new(Chat::new()))
        .required_sink(Arc::new(FakeSink::new()))
        .clock(Arc::clone(clock))
        .build()
        .unwrap()
}

fn whole(criterion: &mut Criterion) {
    criterion.bench_function("a whole rollback in memory", |bencher| {
        bencher.iter_custom(|times| {
            (0..times)
                .map(|_time| {
                    let runtime = tokio::runtime::Builder::new_current_thread()
                        .enable_time()
                        .start_paused(true)
                        .build()
                        .unwrap();
                    runtime.block_on(rolled_back())
                })
                .sum()
        });
    });
}

criterion_group!(benches, whole);
criterion_main!(benches);
