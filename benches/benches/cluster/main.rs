//! What a rollback takes through us on a real cluster, beside the tool that a person would call, in
//! one run: `kubectl rollout undo && kubectl rollout status`, and `helm rollback --wait`.
//!
//! Ours begins when the confirmation is submitted in the chat and ends when the thread says that the
//! target is healthy; theirs is the command, from its start to its end. One watch on the Deployment
//! says of both when the order took effect and when its last pod was ready. The two take turns.
//! Needs `tools/peers kube-cluster` and `helm`; without them it is skipped by name. `-- --timeline`
//! tells of each of our rollbacks which call Slack had when.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a bench stops at the first surprise, and prints"
)]

mod ours;
mod stage;

use kube_lab::{Behaviour, Lab};
use ours::Product;
use stage::{Adapter, Release, Seen};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Four replicas, two of them replaced at a time.
const REPLICAS: u32 = 4;
/// How long a pod takes to become ready.
const READY_AFTER: Duration = Duration::from_secs(3);
const ROUNDS: usize = 5;

/// Ours may add less than this share.
const SHARE_MAX: f64 = 0.1;

/// One rollback, in seconds from the word given.
#[derive(Clone, Copy, Debug)]
struct Timed {
    ordered: f64,
    ready: f64,
    told: f64,
}

impl Timed {
    fn of(began: Instant, seen: Seen, told: Instant) -> Self {
        let since = |at: Instant| at.saturating_duration_since(began).as_secs_f64();
        Self { ordered: since(seen.ordered), ready: since(seen.ready), told: since(told) }
    }

    /// From ready to told.
    fn late(&self) -> f64 {
        (self.told - self.ready).max(0.0)
    }
}

struct Case {
    name: &'static str,
    behaviour: Behaviour,
    settle: Duration,
}

async fn ours(release: &Release, settle: Duration) -> Timed {
    let product = Product::open(release, settle).await;
    let modal = product.click().await;
    let watch = release.watch().await;
    let began = Instant::now();
    let told = async {
        product.confirm(&modal).await;
        product.healthy().await;
        Instant::now()
    };
    let (seen, told) = tokio::join!(watch.until_ready(), told);
    let timed = Timed::of(began, seen, told);
    if std::env::args().any(|argument| argument == "--timeline") {
        println!("  {timed:.3?}");
        product.timeline(began);
    }
    timed
}

async fn theirs(release: &Release) -> Timed {
    let watch = release.watch().await;
    let began = Instant::now();
    let told = async {
        release.roll_back_by_hand().await;
        Instant::now()
    };
    let (seen, told) = tokio::join!(watch.until_ready(), told);
    Timed::of(began, seen, told)
}

fn median(all: &[Timed], part: impl Fn(&Timed) -> f64) -> f64 {
    benches::median(all.iter().map(part).collect())
}

async fn compare(lab: &'static Lab, tools: &Path, adapter: Adapter, case: &Case, rounds: usize) {
    let (mut us, mut them) = (Vec::new(), Vec::new());
    for _round in 0..rounds {
        let release = Release::make(lab, tools, adapter, case.behaviour).await;
        us.push(ours(&release, case.settle).await);
        let release = Release::make(lab, tools, adapter, case.behaviour).await;
        them.push(theirs(&release).await);
    }
    println!("{} · {}", adapter.command(), case.name);
    for (who, all) in [("ours", &us), ("by hand", &them)] {
        println!(
            "  {who:8} order after {:6.3} s   told {:6.3} s after ready   {:6.3} s in all",
            median(all, |it| it.ordered),
            median(all, Timed::late),
            median(all, |it| it.told),
        );
    }
    let share = median(&us, |it| it.told) / median(&them, |it| it.told) - 1.0;
    let verdict = if share < SHARE_MAX { "met" } else { "missed" };
    println!(
        "  ours adds {:.1} % (goal: less than {:.0} %): {verdict}",
        share * 100.0,
        SHARE_MAX * 100.0
    );
}

fn peers() -> Option<(&'static Lab, PathBuf)> {
    let what = "the bench on a cluster";
    Some((Lab::shared(what)?, peer::wanted("helm", what)?))
}

fn main() {
    let quick = std::env::args().any(|argument| argument == "--test" || argument == "--quick");
    let Some((lab, tools)) = peers() else { return };
    let none = Duration::ZERO;
    let cases = [
        Case { name: "pods ready at once, settle 0", behaviour: Behaviour::Ready, settle: none },
        Case {
            name: "four pods, each ready after 3 s, two at a time, settle 0",
            behaviour: Behaviour::ReadyAfter(READY_AFTER),
            settle: none,
        },
        Case {
            name: "the same with the default, settle 5 s",
            behaviour: Behaviour::ReadyAfter(READY_AFTER),
            settle: Duration::from_secs(5),
        },
    ];
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        for adapter in [Adapter::Kubernetes, Adapter::Helm] {
            for case in &cases {
                compare(lab, &tools, adapter, case, if quick { 1 } else { ROUNDS }).await;
            }
        }
    });
    lab.end();
}
