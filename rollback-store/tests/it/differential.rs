//! The durable stores answer as the model in memory does, whatever is asked in whatever order.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use proptest::prelude::*;
use rollback_core::known_good::Choice;
use rollback_core::notice::{Attempt, DeployCard, MessageRef, Notice};
use rollback_core::ports::{
    Claim, Claims as _, Commit, Instance, Outbox as _, Query, Queued, Retention, Store,
};
use rollback_core::{Deploy, Line, ServiceKey, Timestamp};
use rollback_store::{
    Judge, Location, MemoryStore, Options, PostgresOptions, PostgresStore, SqliteStore,
};
use rollback_testkit::fixtures::{self, ana, at, key, parsed};
use rollback_testkit::script::{Ending, Script};
use std::fmt::Debug;
use std::time::Duration;

/// Something to ask of both stores. Numbers choose among what there is.
#[derive(Clone, Debug)]
enum Op {
    Step { script: usize, ahead: bool, claim: Option<usize>, begins: bool, notices: Vec<Told> },
    Claim { script: usize, owner: u8, seconds: u64 },
    Attempt { claim: usize, name: u8 },
    Release { claim: usize },
    Deploy { id: u8, service: u8, seconds: u64, update: bool },
    MarkBad { revision: u8, why: u8 },
    Freeze { name: u8, set: bool },
    Queue(Vec<Told>),
    Deliver { place: usize, message: Option<u8> },
    Postpone { place: usize, seconds: u64, in_doubt: bool },
    Abandon { place: usize },
    Take { owner: u8, seconds: u64, hold: u64, limit: usize },
    GiveBack { place: usize },
    See { digests: Vec<u8>, seconds: u64 },
    Prune { seconds: u64, keep: u64 },
    Acknowledge { sink: u8, sequence: u64 },
}

#[derive(Clone, Debug)]
struct Told {
    notifier: u8,
    key: u8,
    kind: u8,
    words: u8,
    thread: Option<u8>,
}

fn told() -> impl Strategy<Value = Told> {
    let thread = prop::option::of(0..6_u8);
    (0..2_u8, 0..6_u8, 0..4_u8, any::<u8>(), thread).prop_map(
        |(notifier, key, kind, words, thread)| Told { notifier, key, kind, words, thread },
    )
}

fn op() -> impl Strategy<Value = Op> {
    let notices = || prop::collection::vec(told(), 0..3);
    prop_oneof![
        12 => (0..7_usize, prop::bool::weighted(0.1), prop::option::weighted(0.3, 0..9_usize), any::<bool>(), notices())
            .prop_map(|(script, ahead, claim, begins, notices)| Op::Step { script, ahead, claim, begins, notices }),
        2 => (0..7_usize, 0..3_u8, 0..60_u64)
            .prop_map(|(script, owner, seconds)| Op::Claim { script, owner, seconds }),
        3 => (0..9_usize, 0..3_u8).prop_map(|(claim, name)| Op::Attempt { claim, name }),
        1 => (0..9_usize).prop_map(|claim| Op::Release { claim }),
        1 => (0..5_u8, 0..2_u8, 0..9_u64, any::<bool>())
            .prop_map(|(id, service, seconds, update)| Op::Deploy { id, service, seconds, update }),
        1 => (0..3_u8, 0..3_u8).prop_map(|(revision, why)| Op::MarkBad { revision, why }),
        1 => (0..3_u8, any::<bool>()).prop_map(|(name, set)| Op::Freeze { name, set }),
        3 => notices().prop_map(Op::Queue),
        4 => (0..9_usize, prop::option::of(0..9_u8))
            .prop_map(|(place, message)| Op::Deliver { place, message }),
        2 => (0..9_usize, 0..40_u64, any::<bool>())
            .prop_map(|(place, seconds, in_doubt)| Op::Postpone { place, seconds, in_doubt }),
        1 => (0..9_usize).prop_map(|place| Op::Abandon { place }),
        4 => (0..3_u8, 0..60_u64, 0..30_u64, 0..4_usize)
            .prop_map(|(owner, seconds, hold, limit)| Op::Take { owner, seconds, hold, limit }),
        1 => (0..9_usize).prop_map(|place| Op::GiveBack { place }),
        1 => (prop::collection::vec(0..4_u8, 0..3), 0..60_u64)
            .prop_map(|(digests, seconds)| Op::See { digests, seconds }),
        1 => (0..60_u64, 0..30_u64).prop_map(|(seconds, keep)| Op::Prune { seconds, keep }),
        1 => (0..2_u8, 0..30_u64).prop_map(|(sink, sequence)| Op::Acknowledge { sink, sequence }),
    ]
}

fn scripts() -> Vec<Vec<Commit>> {
    vec![
        Script::new("rb-0").from_message_of("d0").commits(Ending::Succeeded),
        Script::new("rb-1")
            .away_from("43")
            .from_message_of("d0")
            .opened_at(at(5))
            .commits(Ending::Settled),
        Script::new("rb-2").from_message_of("d0").opened_at(at(3)).commits(Ending::NotVerified),
        Script::new("rb-3")
            .of("billing", "production")
            .from_message_of("d1")
            .commits(Ending::Unknown),
        Script::new("rb-4")
            .of("billing", "production")
            .from_message_of("d1")
            .commits(Ending::Failed),
        Script::new("rb-5").as_drill().commits(Ending::Succeeded),
        Script::new("rb-6").of("billing", "production").commits(Ending::Refused),
    ]
}

fn service(number: u8) -> ServiceKey {
    let name = if number == 0 { "checkout" } else { "billing" };
    ServiceKey::new(parsed(name), parsed("production"))
}

/// The run of one case: what has happened so far chooses what can happen next.
struct Run {
    scripts: Vec<Vec<Commit>>,
    next: Vec<usize>,
    claims: Vec<Claim>,
    /// What was due at some time: later words about it are stale, early or right.
    seen: Vec<Queued>,
    /// What the last operation took.
    taken: Vec<Queued>,
    accepted: usize,
    refused: usize,
}

impl Run {
    fn new() -> Self {
        let scripts = scripts();
        let next = vec![0; scripts.len()];
        Self {
            scripts,
            next,
            claims: Vec::new(),
            seen: Vec::new(),
            taken: Vec::new(),
            accepted: 0,
            refused: 0,
        }
    }

    fn notice(&self, told: &Told) -> Queued {
        let mut view = self.scripts[0][0].view.clone();
        view.explanation = told.words.to_string();
        let notice = match told.kind {
            0 => Notice::Line { view, line: Line::Confirmed },
            1 => Notice::Private { to: ana().id(), text: told.words.to_string(), view },
            2 => Notice::Approval(view),
            _ => Notice::OnCall(view),
        };
        let channel = parsed(&format!("C{}", told.words % 2));
        let notifier = format!("n{}", told.notifier);
        let queued = Queued::new(notifier, format!("k{}", told.key), notice, channel);
        match told.thread {
            Some(thread) if thread != told.key => queued.in_thread_of(format!("k{thread}")),
            _ => queued,
        }
    }

    fn notices(&self, told: &[Told]) -> Vec<Queued> {
        told.iter().map(|told| self.notice(told)).collect()
    }

    fn step(&self, op: &Op) -> Option<Commit> {
        let Op::Step { script, ahead, claim, begins, notices } = op else { return None };
        let place = self.next[*script] + usize::from(*ahead);
        let mut commit = self.scripts[*script].get(place)?.clone();
        commit.notices = self.notices(notices);
        commit.begins_work = *begins;
        let claim = claim.and_then(|place| self.claims.get(place));
        commit.claim = claim.filter(|claim| claim.rollback == commit.rollback).cloned();
        Some(commit)
    }

    async fn apply(&mut self, op: &Op, store: &dyn Store) -> String {
        match op {
            Op::Step { .. } => match self.step(op) {
                Some(commit) => said(store.commit(commit).await),
                None => "the script is at its end".into(),
            },
            Op::Claim { script, owner, seconds } => {
                let id = parsed(&format!("rb-{script}"));
                let owner = Instance::new(format!("p{owner}"));
                said(store.claim(&id, &owner, at(*seconds), Duration::from_secs(15)).await)
            }
            Op::Attempt { claim, name } => match self.claims.get(*claim) {
                Some(claim) => said(store.attempt(claim, &name.to_string().into()).await),
                None => "no such claim".into(),
            },
            Op::Release { claim } => match self.claims.get(*claim) {
                Some(claim) => said(store.release(claim).await),
                None => "no such claim".into(),
            },
            Op::Deploy { id, service: number, seconds, update } => {
                let id = parsed(&format!("d{id}"));
                let mut deploy = Deploy::new(id, service(*number), "1.0.0", at(*seconds));
                deploy.revision = Some(parsed(&format!("r{seconds}")));
                let card = DeployCard::new(deploy, None, Choice::none("nobody looked"));
                let told = Told { notifier: 0, key: 5, kind: 2, words: 7, thread: None };
                let notices = vec![self.notice(&told)];
                if *update {
                    said(store.update_deploy(&card, notices).await)
                } else {
                    said(store.save_deploy(&card, notices).await)
                }
            }
            Op::MarkBad { revision, why } => {
                let revision = format!("r{revision}");
                let change = fixtures::mark_bad(&revision, &why.to_string());
                said(fixtures::change(store, &key(), &change, at(0)).await)
            }
            Op::Freeze { name, set } => {
                let name = format!("f{name}");
                let until = (name == "f0").then(|| at(20));
                let change = match set {
                    true => fixtures::freeze(&name, until),
                    false => fixtures::unfreeze(&name),
                };
                said(fixtures::change(store, &key(), &change, at(0)).await)
            }
            Op::Queue(_)
            | Op::Deliver { .. }
            | Op::Postpone { .. }
            | Op::Abandon { .. }
            | Op::Take { .. }
            | Op::GiveBack { .. } => self.apply_to_outbox(op, store).await,
            Op::See { digests, seconds } => {
                let digests: Vec<[u8; 32]> = digests.iter().map(|digest| [*digest; 32]).collect();
                said(store.see(&digests, at(*seconds), Duration::from_secs(20)).await)
            }
            Op::Prune { seconds, keep } => {
                let mut retention = Retention::default();
                retention.told = Duration::from_secs(*keep);
                retention.freezes = Duration::from_secs(*keep);
                retention.unconfirmed = Duration::from_secs(*keep);
                said(store.prune(at(*seconds), retention).await)
            }
            Op::Acknowledge { sink, sequence } => {
                said(store.acknowledge(&format!("s{sink}"), *sequence).await)
            }
        }
    }

    async fn apply_to_outbox(&mut self, op: &Op, store: &dyn Store) -> String {
        let queued = |place: &usize| self.seen.get(*place).cloned();
        match op {
            Op::Queue(notices) => said(store.queue(self.notices(notices)).await),
            Op::Deliver { place, message } => {
                let message = message.map(|id| MessageRef::new(parsed("C1"), id.to_string()));
                match queued(place) {
                    Some(queued) => said(store.delivered(&queued, message).await),
                    None => "never seen".into(),
                }
            }
            Op::Postpone { place, seconds, in_doubt } => {
                let attempt = if *in_doubt { Attempt::InDoubt } else { Attempt::Clean };
                match queued(place) {
                    Some(queued) => said(store.postpone(&queued, at(*seconds), attempt).await),
                    None => "never seen".into(),
                }
            }
            Op::Abandon { place } => match queued(place) {
                Some(queued) => said(store.abandon(&queued, "given up").await),
                None => "never seen".into(),
            },
            Op::Take { owner, seconds, hold, limit } => {
                let owner = Instance::new(format!("p{owner}"));
                let hold = Duration::from_secs(*hold);
                let taken = store.take(&owner, at(*seconds), hold, *limit).await;
                self.taken = taken.as_ref().cloned().unwrap_or_default();
                said(taken)
            }
            Op::GiveBack { place } => match queued(place) {
                Some(queued) => said(store.give_back(&[queued]).await),
                None => "never seen".into(),
            },
            Op::Step { .. }
            | Op::Claim { .. }
            | Op::Attempt { .. }
            | Op::Release { .. }
            | Op::Deploy { .. }
            | Op::MarkBad { .. }
            | Op::Freeze { .. }
            | Op::See { .. }
            | Op::Prune { .. }
            | Op::Acknowledge { .. } => "nothing about the outbox".into(),
        }
    }

    /// Remembers what the model answered, for the operations to come.
    async fn learn(&mut self, op: &Op, answer: &str, model: &MemoryStore) {
        if let Op::Step { script, .. } = op
            && self.step(op).is_some()
        {
            if answer.starts_with("Ok") {
                self.accepted += 1;
                self.next[*script] += 1;
            } else {
                self.refused += 1;
            }
        }
        if let Op::Claim { script, owner, seconds } = op {
            let id = parsed(&format!("rb-{script}"));
            let owner = Instance::new(format!("p{owner}"));
            // The same question again renews the claim and changes nothing else.
            let lease = Duration::from_secs(15);
            if let Some(claim) = model.claim(&id, &owner, at(*seconds), lease).await.unwrap() {
                self.claims.insert(0, claim);
                self.claims.truncate(9);
            }
        }
        for queued in model.due(Timestamp::from_millis(u64::MAX), 9).await.unwrap() {
            if !self.seen.contains(&queued) {
                self.seen.insert(0, queued);
            }
        }
        self.seen.splice(0..0, self.taken.drain(..));
        self.seen.truncate(9);
    }
}

fn said(answer: impl Debug) -> String {
    format!("{answer:?}")
}

/// Everything that can be asked without changing anything.
async fn everything(store: &dyn Store) -> Vec<String> {
    let mut seen = vec![
        said(store.list(&Query::all(99)).await),
        said(store.unattended(at(20)).await),
        said(store.unattended(at(99)).await),
        said(store.put_aside().await),
        said(store.freezes(&key()).await),
        said(store.due(at(20), 99).await),
        said(store.due(at(99), 2).await),
        said(store.next_due(&Instance::new("p0"), at(20)).await),
        said(store.next_due(&Instance::new("newcomer"), at(20)).await),
        said(store.waiting().await),
        said(store.head().await),
        said(store.audit(&Query::all(99)).await),
        said(store.unacknowledged("s0", 3).await),
        said(store.unacknowledged("s1", 99).await),
    ];
    for number in 0..2 {
        seen.push(said(store.record(&service(number)).await));
        seen.push(said(store.deploys(&service(number), 99).await));
    }
    for number in 0..6 {
        seen.push(said(store.load(&parsed(&format!("rb-{number}"))).await));
        seen.push(said(store.last_record(&parsed(&format!("rb-{number}"))).await));
        seen.push(said(store.shown(&parsed(&format!("d{number}"))).await));
        seen.push(said(store.message("n0", &format!("k{number}").into()).await));
        seen.push(said(store.deploy(&parsed(&format!("d{number}"))).await));
    }
    seen
}

async fn compare(ops: &[Op]) -> Result<(usize, usize), TestCaseError> {
    let durable = SqliteStore::open(Location::Memory, Options::default()).await.unwrap();
    compare_with(&durable, ops).await
}

async fn compare_with(durable: &dyn Store, ops: &[Op]) -> Result<(usize, usize), TestCaseError> {
    let model = MemoryStore::default();
    let mut run = Run::new();
    for (number, op) in ops.iter().enumerate() {
        let expected = run.apply(op, &model).await;
        let found = run.apply(op, durable).await;
        prop_assert_eq!(&found, &expected, "operation {} was {:?}", number, op);
        run.learn(op, &expected, &model).await;
    }
    for (found, expected) in everything(durable).await.iter().zip(everything(&model).await) {
        prop_assert_eq!(found, &expected);
    }
    Ok((run.accepted, run.refused))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_store_in_a_file_gives_the_same_answers(ops in prop::collection::vec(op(), 1..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(compare(&ops))?;
    }
}

/// A server's answers take longer, so that fewer cases are asked of it.
const CASES_ON_A_SERVER: usize = 24;

#[test]
fn the_store_on_a_server_gives_the_same_answers() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let Some(server) = postgres_lab::Server::shared("the comparison with PostgreSQL") else {
        return;
    };
    let mut runner = TestRunner::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for _case in 0..CASES_ON_A_SERVER {
        let ops = prop::collection::vec(op(), 1..120).new_tree(&mut runner).unwrap().current();
        runtime.block_on(async {
            let options = PostgresOptions::default().judge(Judge::Callers);
            let url = server.space().url();
            let store = PostgresStore::connect(&url, options).await.unwrap();
            if let Err(difference) = compare_with(&store, &ops).await {
                panic!("{difference}\n--- after\n{ops:#?}");
            }
        });
    }
}

/// The comparison is worth something only where much is taken and much is refused.
#[test]
fn the_operations_reach_deep_and_are_refused_often() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (mut accepted, mut refused) = (0, 0);
    for _case in 0..20 {
        let ops = prop::collection::vec(op(), 120).new_tree(&mut runner).unwrap().current();
        let (took, left) = runtime.block_on(compare(&ops)).unwrap();
        accepted += took;
        refused += left;
    }
    assert!(accepted > 400 && refused > 100, "{accepted} steps taken, {refused} refused");
}
