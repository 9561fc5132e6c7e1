//! What the core costs: a step, a replay, the guards, a decision.
#![expect(clippy::unwrap_used, reason = "a bench of fixtures")]

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use rollback_core::access::{AccessIndex, AccessPolicy, Duty, Moment, Principal, Rule};
use rollback_core::guard::{GuardSet, Question, evaluate};
use rollback_core::journal::{Entry, replay};
use rollback_core::observed::Reading;
use rollback_core::{Event, Fact, Phase, Progress, Receipt, Rollback, ServiceKey};
use rollback_testkit::fixtures::{self, parsed};
use std::hint::black_box;
use std::time::Duration;

/// A rollback that runs, after eight events.
fn running() -> Vec<Entry> {
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
    events.into_iter().map(|event| Entry::new(at, event)).collect()
}

fn opened() -> Rollback {
    Rollback::open(fixtures::clicked_by(&fixtures::ana(), fixtures::policy())).rollback
}

fn told(number: usize) -> Event {
    let mut progress = Progress::new(Phase::HealthChecking);
    progress.message = Some(format!("{number} of 40 pods are ready").into());
    Event::ProgressObserved(Box::new(progress))
}

fn step(criterion: &mut Criterion) {
    let at = fixtures::at(0);
    let opening = fixtures::clicked_by(&fixtures::ana(), fixtures::policy());
    let rollback = || replay(opening.clone(), running());
    criterion.bench_function("step: progress", |bencher| {
        bencher.iter_batched(
            || (rollback().step(at, told(1)).rollback, told(2)),
            |(rollback, event)| rollback.step(at, event),
            BatchSize::SmallInput,
        );
    });
    criterion.bench_function("step: an event out of place", |bencher| {
        bencher.iter_batched(
            rollback,
            |rollback| rollback.step(at, Event::IntentRecorded),
            BatchSize::SmallInput,
        );
    });
    criterion.bench_function("step: facts, every guard", |bencher| {
        let standing = fixtures::ana().standing(at);
        bencher.iter_batched(
            || {
                let asked = Event::StandingObserved(Box::new(standing.clone()));
                (opened().step(at, asked).rollback, fixtures::observed(at))
            },
            |(rollback, event)| rollback.step(at, event),
            BatchSize::SmallInput,
        );
    });
}

fn replay_of_10_000(criterion: &mut Criterion) {
    let at = fixtures::at(0);
    let opening = fixtures::clicked_by(&fixtures::ana(), fixtures::policy());
    let mut entries = running();
    entries.extend((0..10_000 - entries.len()).map(|number| Entry::new(at, told(number))));
    criterion.bench_function("replay: 10,000 entries", |bencher| {
        bencher.iter_batched(
            || (opening.clone(), entries.clone()),
            |(opening, entries)| replay(opening, entries),
            BatchSize::LargeInput,
        );
    });
}

fn guards(criterion: &mut Criterion) {
    let at = fixtures::at(0);
    let names: Vec<_> = (0..39).map(|number| parsed(&format!("budget-{number}"))).collect();
    let mut policy = fixtures::policy();
    policy.guards = GuardSet::with(names.iter().cloned().collect()).unwrap();
    let mut facts = fixtures::facts(at);
    facts.custom =
        names.into_iter().map(|name| (name, Fact::known(Reading::holds(), at))).collect();
    let plan = fixtures::plan();
    criterion.bench_function("guards: 50", |bencher| {
        bencher.iter(|| evaluate(black_box(&Question::new(&plan, &policy, at)), black_box(&facts)));
    });
}

/// 1,000 services, each owned by a group of 200.
fn organization() -> AccessPolicy {
    let mut access = AccessPolicy::default();
    access.workspaces.insert(fixtures::home());
    for number in 0..1_000 {
        let group = Principal::Group(parsed(&format!("S{}", number % 200)));
        let service = parsed(&format!("service-{number}"));
        access.owners.push(Rule::for_service(format!("owners {number}"), &service, vec![group]));
    }
    access
}

fn decisions(criterion: &mut Criterion) {
    let at = fixtures::at(0);
    let policy = organization();
    let key = ServiceKey::new(parsed("service-777"), parsed("production"));
    let group = parsed("S177");
    let bo = fixtures::bo().in_groups([group]);
    let (actor, standing) = (bo.actor(), bo.standing_in(&[parsed("S177")], at));
    let moment = Moment::new(at, Duration::from_secs(30));
    let access = policy.for_service(&key);
    criterion.bench_function("decision: rules of the service", |bencher| {
        bencher.iter(|| {
            let decision = access.decide(Duty::Request, black_box(&actor), &standing, moment);
            assert!(decision.verdict.is_ok());
        });
    });
    criterion.bench_function("decision: 1,000 services, 200 groups, rules looked up", |bencher| {
        bencher.iter(|| {
            let access = policy.for_service(black_box(&key));
            access.decide(Duty::Request, &actor, &standing, moment).verdict.is_ok()
        });
    });
    let keys = (0..1_000)
        .map(|number| ServiceKey::new(parsed(&format!("service-{number}")), parsed("production")));
    let index = AccessIndex::new(policy, keys);
    criterion.bench_function("decision: 1,000 services, 200 groups, indexed", |bencher| {
        bencher.iter(|| {
            let access = index.for_service(black_box(&key));
            access.decide(Duty::Request, &actor, &standing, moment).verdict.is_ok()
        });
    });
}

criterion_group!(benches, step, replay_of_10_000, guards, decisions);
criterion_main!(benches);
