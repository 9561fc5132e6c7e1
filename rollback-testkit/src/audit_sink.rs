//! The conformance suite of [`AuditSink`].

use crate::drive::order_for;
use crate::fixtures;
use crate::suite::{Simulated, Summary};
use async_trait::async_trait;
use rollback_core::Event;
use rollback_core::audit::{Checkpoint, Head, Record, SignedCheckpoint};
use rollback_core::journal::{Entry, replay_whole};
use rollback_core::ports::{AuditSink, Kept};

/// What the suite needs of an audit sink besides the port. A fresh harness keeps nothing.
#[async_trait]
pub trait Harness: Send + Sync {
    /// The adapter under test.
    fn sink(&self) -> &dyn AuditSink;

    /// What is kept in truth, in the order of the chain, seen past the adapter.
    async fn kept(&self) -> Vec<Record>;

    /// The sink keeps nothing from now on.
    async fn break_down(&self) -> Simulated;

    /// Ends what [`Self::break_down`] began.
    async fn heal(&self);
}

/// Runs every case, each on a fresh harness.
///
/// # Panics
///
/// When a case fails, with its name and what was wrong.
pub async fn run_all<H: Harness>(make: impl AsyncFn() -> H) -> Summary {
    let mut summary = Summary::default();
    let harness = make().await;
    summary.ran("its_name_does_not_change", its_name_does_not_change(&harness));
    let harness = make().await;
    summary.ran("what_is_acknowledged_is_kept", what_is_acknowledged_is_kept(&harness).await);
    let harness = make().await;
    summary.ran("a_record_twice_is_kept_once", a_record_twice_is_kept_once(&harness).await);
    let harness = make().await;
    summary.ran("what_is_not_kept_is_an_error", what_is_not_kept_is_an_error(&harness).await);
    let harness = make().await;
    summary.ran("the_last_checkpoint_is_the_newest", the_last_checkpoint(&harness).await);
    let harness = make().await;
    summary.ran("a_copy_of_the_log_ends_with_what_it_keeps", the_end_of_a_copy(&harness).await);
    summary
}

/// The records of a denied click and of one that was refused.
fn records() -> Vec<Record> {
    let at = fixtures::at(0);
    let (ana, order) = (fixtures::ana(), order_for(fixtures::plan()));
    let mut opening = fixtures::clicked_by(&ana, fixtures::policy());
    opening.id = order.rollback().clone();
    let events = [
        Event::StandingObserved(Box::new(ana.standing(at))),
        fixtures::observed(at),
        ana.confirmed(at),
        fixtures::observed(at),
        Event::IntentNotRecorded("the disk is full".into()),
    ];
    let drafts = replay_whole(opening, events.map(|event| Entry::new(at, event))).drafts;
    let mut head = Head::genesis("conformance");
    let mut records = Vec::new();
    for draft in drafts {
        let record = head.append(draft).expect("a draft of ours can be written");
        head = Head::after(&record);
        records.push(record);
    }
    records
}

fn its_name_does_not_change<H: Harness>(harness: &H) -> Simulated {
    let name = harness.sink().name();
    assert!(!name.is_empty(), "an audit sink has a name");
    assert_eq!(harness.sink().name(), name, "the name of an audit sink changed");
    Simulated::Done
}

async fn what_is_acknowledged_is_kept<H: Harness>(harness: &H) -> Simulated {
    assert!(harness.kept().await.is_empty(), "a fresh harness keeps nothing");
    let records = records();
    for (place, record) in records.iter().enumerate() {
        harness.sink().record(record).await.expect("a good record was not kept");
        let kept = harness.kept().await;
        let so_far = records.iter().take(place + 1).cloned().collect::<Vec<_>>();
        assert_eq!(kept, so_far, "what is acknowledged is kept, whole and in order");
    }
    Simulated::Done
}

async fn a_record_twice_is_kept_once<H: Harness>(harness: &H) -> Simulated {
    let records = records();
    for record in records.iter().chain(&records) {
        harness.sink().record(record).await.expect("a record that comes again is no error");
    }
    assert_eq!(harness.kept().await, records, "a record twice is kept once");
    Simulated::Done
}

/// A sink that remembers how far it has come tells it truly, before it keeps anything and after.
async fn the_end_of_a_copy<H: Harness>(harness: &H) -> Simulated {
    let sink = harness.sink();
    match sink.kept().await.expect("a fresh sink has an answer") {
        Kept::ByStore => return Simulated::Done,
        Kept::BySink(end) => assert_eq!(end, None, "a fresh sink keeps nothing"),
    }
    for record in &records() {
        sink.record(record).await.expect("a good record was not kept");
        let kept = sink.kept().await.expect("its last record is not found");
        assert_eq!(kept, Kept::BySink(Some(Head::after(record))), "the end of the copy");
    }
    Simulated::Done
}

/// A sink that keeps checkpoints tells the newest of them; one that keeps none tells none.
async fn the_last_checkpoint<H: Harness>(harness: &H) -> Simulated {
    let sink = harness.sink();
    assert_eq!(sink.last_checkpoint().await.expect("a fresh sink has an answer"), None);
    let at = fixtures::at(0);
    let mut keeps = None;
    for number in 1..=3_u8 {
        let mut head = Head::genesis("conformance");
        head.sequence = number.into();
        let line = format!("\u{2014} log.example.com c2lnbmF0dXJl{number}");
        let note = format!("log.example.com\n{number}\n\n{line}\n");
        let checkpoint = SignedCheckpoint::new(Checkpoint::new(head, at, at), note);
        sink.checkpoint(&checkpoint).await.expect("a good checkpoint was not kept");
        let last = sink.last_checkpoint().await.expect("its last checkpoint is not found");
        let is_kept = last.is_some();
        assert_eq!(*keeps.get_or_insert(is_kept), is_kept, "it keeps all or none");
        assert!(last.is_none_or(|last| last == checkpoint.note), "the newest is the last");
    }
    Simulated::Done
}

async fn what_is_not_kept_is_an_error<H: Harness>(harness: &H) -> Simulated {
    if let Simulated::Cannot(why) = harness.break_down().await {
        return Simulated::Cannot(why);
    }
    let records = records();
    let first = records.first().expect("a rollback leaves records");
    let answer = harness.sink().record(first).await;
    assert!(answer.is_err(), "a sink that keeps nothing acknowledged a record");
    harness.heal().await;
    harness.sink().record(first).await.expect("a sink does not recover");
    assert_eq!(harness.kept().await, core::slice::from_ref(first), "after recovery");
    Simulated::Done
}
