//! One durable step against the disk's own flush, and many at once, in one run: the machine's mood
//! changes both, and only their ratio says something about the store.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench stops at the first surprise"
)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rollback_core::journal::Entry;
use rollback_core::ports::{Commit, Journals as _};
use rollback_core::{Event, Phase, Progress};
use rollback_store::{Options, SqliteStore};
use rollback_testkit::script::{Ending, Script};
use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// What SQLite appends at least for one step: a page of its log.
const PAGE: [u8; 4096] = [7; 4096];

/// How many callers commit at the same time.
const CALLERS: usize = 16;

/// How many steps are measured for the printed figures.
const STEPS: u64 = 2_000;

/// Journals that are written to, one for each caller, each with its next step.
struct Lane {
    step: Commit,
}

impl Lane {
    /// A rollback that runs, and a step of it that can be repeated: one entry, no audit record, as
    /// most steps of a long rollback are.
    async fn new(store: &SqliteStore, service: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = format!("rb-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let commits = Script::new(&id).of(service, "production").commits(Ending::Succeeded);
        let running = commits.len() - 2;
        let mut last = None;
        for commit in commits.into_iter().take(running) {
            last = Some(commit.clone());
            store.commit(commit).await.unwrap();
        }
        let mut step = last.unwrap();
        let progress = Box::new(Progress::new(Phase::Started));
        step.entry = Some(Entry::new(step.at, Event::ProgressObserved(progress)));
        step.drafts.clear();
        step.expected += 1;
        Self { step }
    }

    async fn advance(&mut self, store: &SqliteStore) {
        store.commit(self.step.clone()).await.unwrap();
        self.step.expected += 1;
    }
}

async fn opened(path: &Path) -> SqliteStore {
    SqliteStore::open(path, Options::default()).await.unwrap()
}

/// Median of `STEPS` runs.
fn median(mut run: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..STEPS)
        .map(|_step| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    times.sort();
    times.get(times.len() / 2).copied().unwrap()
}

/// Appends a page and flushes it.
fn flush(file: &mut File) {
    file.write_all(black_box(&PAGE)).unwrap();
    file.sync_data().unwrap();
}

/// Steps a second with every caller waiting for its own answer.
fn grouped(runtime: &Runtime, store: &Arc<SqliteStore>, steps: u64) -> Duration {
    let mut lanes: Vec<Lane> = (0..CALLERS)
        .map(|lane| runtime.block_on(Lane::new(store, &format!("g-{}-{lane}", unique()))))
        .collect();
    let each = steps / u64::try_from(CALLERS).unwrap() + 1;
    let start = Instant::now();
    runtime.block_on(async {
        let tasks: Vec<_> = lanes
            .drain(..)
            .map(|mut lane| {
                let store = Arc::clone(store);
                tokio::spawn(async move {
                    for _step in 0..each {
                        lane.advance(&store).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    start.elapsed()
}

fn unique() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn durable_steps(criterion: &mut Criterion) {
    let folder = tempfile::tempdir_in(std::env::current_dir().unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let store = Arc::new(runtime.block_on(opened(&folder.path().join("bench.db"))));
    let mut file = File::create(folder.path().join("flushed")).unwrap();
    let mut lane = runtime.block_on(Lane::new(&store, "one"));

    // Alternating rounds, so that a slow moment of the disk meets both.
    let mut ratios = Vec::new();
    for _round in 0..5 {
        let disk = median(|| flush(&mut file));
        let step = median(|| runtime.block_on(lane.advance(&store)));
        ratios.push((step.as_secs_f64() / disk.as_secs_f64(), disk, step));
        lane = runtime.block_on(Lane::new(&store, &format!("one-{}", unique())));
    }
    ratios.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (ratio, disk, step) = ratios.get(ratios.len() / 2).copied().unwrap();
    println!("durable step {step:?}, the disk's own flush {disk:?}: ratio {ratio:.2}");
    let took = grouped(&runtime, &store, 40_000).as_secs_f64();
    println!("{CALLERS} callers: {:.0} steps a second", 40_000.0 / took);

    let mut group = criterion.benchmark_group("durable");
    group.sample_size(20);
    group.bench_function("the disk's own flush", |bench| bench.iter(|| flush(&mut file)));
    group.bench_function("one step", |bench| {
        bench.iter_custom(|steps| {
            // A journal has an end; a fresh one for each sample keeps clear of it.
            let mut lane = runtime.block_on(Lane::new(&store, &format!("c-{}", unique())));
            let start = Instant::now();
            for _step in 0..steps {
                runtime.block_on(lane.advance(&store));
            }
            start.elapsed()
        });
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("a step of 16 callers", |bench| {
        bench.iter_custom(|steps| grouped(&runtime, &store, steps));
    });
    group.finish();
}

criterion_group!(benches, durable_steps);
criterion_main!(benches);
