//! What several processes that share a store need: notices that one of them has to itself, hints,
//! digests that all of them know, and an end to what is kept.

use super::outbox::{are_due, latest, line, message, shown};
use super::{Outcome, ensure, nth, same, take};
use crate::fixtures::{at, change, freeze, key, parsed};
use crate::script::{Ending, Script};
use core::time::Duration;
use rollback_core::Timestamp;
use rollback_core::notice::Attempt;
use rollback_core::ports::{Hint, Instance, Queued, Retention, Store};

const HOLD: Duration = Duration::from_secs(20);

fn a() -> Instance {
    Instance::new("a")
}

fn b() -> Instance {
    Instance::new("b")
}

async fn taken(
    store: &dyn Store,
    owner: &Instance,
    now: Timestamp,
    expected: &[&str],
) -> Result<Vec<Queued>, super::Failure> {
    let taken = store.take(owner, now, HOLD, 99).await?;
    let words: Vec<String> = taken.iter().map(shown).collect();
    let expected: Vec<String> = expected.iter().map(|text| (*text).to_string()).collect();
    same(&format!("what {} took", owner.as_str()), &words, &expected)?;
    for queued in &taken {
        same("who took it", &queued.taken_by.as_ref(), &Some(owner))?;
    }
    Ok(taken)
}

/// A notice of another lane.
fn elsewhere(mut queued: Queued) -> Queued {
    queued.channel = parsed("C2");
    queued
}

pub(super) async fn a_lane_is_delivered_by_one_process_at_a_time(store: &dyn Store) -> Outcome {
    store.queue(vec![latest("a", "1")?, elsewhere(latest("b", "2")?)]).await?;
    let mine = store.take(&a(), at(0), HOLD, 1).await?;
    same("what a took", &mine.iter().map(shown).collect(), &vec!["a v1 1".to_string()])?;
    // Whatever comes into the lane, and new content of what was taken, waits for it, too.
    store.queue(vec![latest("c", "3")?, latest("a", "4")?]).await?;
    let theirs = taken(store, &b(), at(1), &["b v1 2"]).await?;
    are_due(store, at(1), &[]).await?;
    taken(store, &b(), at(19), &["b v1 2"]).await?;
    for queued in &mine {
        store.delivered(queued, Some(message("1.0"))).await?;
    }
    taken(store, &b(), at(2), &["a v2 4", "b v1 2", "c v1 3"]).await?;
    store.delivered(theirs.first().unwrap_or(&latest("b", "")?), None).await?;
    taken(store, &a(), at(3), &[]).await.map(|_none| ())
}

pub(super) async fn what_was_taken_and_not_settled_is_due_again_in_doubt(
    store: &dyn Store,
) -> Outcome {
    store.queue(vec![latest("a", "1")?]).await?;
    let first = taken(store, &a(), at(0), &["a v1 1"]).await?;
    let told = first.first().map(|queued| (queued.attempt, queued.attempts));
    same("the first attempt", &told, &Some((Attempt::Clean, 0)))?;
    taken(store, &b(), at(19), &[]).await?;
    are_due(store, at(20), &["a v1 1"]).await?;
    let second = taken(store, &b(), at(20), &["a v1 1"]).await?;
    let told = second.first().map(|queued| (queued.attempt, queued.attempts));
    same("the second attempt", &told, &Some((Attempt::InDoubt, 1)))?;
    // Its own earlier attempt is in doubt for the same process as well.
    let third = taken(store, &b(), at(21), &["a v1 1"]).await?;
    let told = third.first().map(|queued| (queued.attempt, queued.attempts));
    same("the third attempt", &told, &Some((Attempt::InDoubt, 2)))
}

pub(super) async fn an_update_that_was_taken_is_in_no_doubt(store: &dyn Store) -> Outcome {
    store.queue(vec![latest("a", "1")?]).await?;
    for queued in taken(store, &a(), at(0), &["a v1 1"]).await? {
        store.delivered(&queued, Some(message("1.0"))).await?;
    }
    store.queue(vec![latest("a", "2")?]).await?;
    taken(store, &a(), at(0), &["a v2 2"]).await?;
    let again = taken(store, &b(), at(20), &["a v2 2"]).await?;
    // It says again what the message says by then: nobody has to look first.
    let told = again.first().map(|queued| (queued.attempt, queued.previous.clone()));
    same("the attempt", &told, &Some((Attempt::Clean, Some(message("1.0")))))
}

pub(super) async fn what_is_settled_or_given_back_is_free(store: &dyn Store) -> Outcome {
    let all = ["a", "b", "c", "d"];
    for key in all {
        let mut queued = latest(key, "1")?;
        queued.channel = parsed(&format!("C{key}"));
        store.queue(vec![queued]).await?;
    }
    let mine = taken(store, &a(), at(0), &["a v1 1", "b v1 1", "c v1 1", "d v1 1"]).await?;
    let [one, two, three, four] = mine.as_slice() else {
        return ensure(false, "not four notices were taken");
    };
    store.delivered(one, Some(message("1.0"))).await?;
    store.postpone(two, at(5), Attempt::Clean).await?;
    store.abandon(three, "the channel is gone").await?;
    store.give_back(std::slice::from_ref(four)).await?;
    let theirs = taken(store, &b(), at(5), &["b v1 1", "d v1 1"]).await?;
    let told: Vec<_> = theirs.iter().map(|queued| (queued.attempt, queued.attempts)).collect();
    same("what is in doubt", &told, &vec![(Attempt::Clean, 1), (Attempt::Clean, 0)])
}

pub(super) async fn whoever_lost_a_notice_gives_back_nothing(store: &dyn Store) -> Outcome {
    store.queue(vec![latest("a", "1")?]).await?;
    let lost = taken(store, &a(), at(0), &["a v1 1"]).await?;
    taken(store, &b(), at(20), &["a v1 1"]).await?;
    store.give_back(&lost).await?;
    are_due(store, at(21), &[]).await?;
    for queued in &lost {
        store.delivered(queued, Some(message("1.0"))).await?;
    }
    // What it says of the message counts; the lane stays with whoever has it.
    store.queue(vec![latest("a", "2")?]).await?;
    taken(store, &a(), at(22), &[]).await?;
    taken(store, &a(), at(40), &["a v2 2"]).await.map(|_taken| ())
}

/// A process that stood still says of its own attempt what was true before somebody else's.
pub(super) async fn whoever_lost_a_notice_puts_nothing_off_and_gives_nothing_up(
    store: &dyn Store,
) -> Outcome {
    store.queue(vec![latest("a", "1")?]).await?;
    let lost = taken(store, &a(), at(0), &["a v1 1"]).await?;
    let theirs = taken(store, &b(), at(20), &["a v1 1"]).await?;
    let late = async || -> Outcome {
        for queued in &lost {
            store.postpone(queued, at(500), Attempt::Clean).await?;
            store.abandon(queued, "the channel is gone").await?;
        }
        Ok(())
    };
    late().await?;
    are_due(store, at(21), &[]).await?;
    for queued in &theirs {
        store.postpone(queued, at(30), Attempt::InDoubt).await?;
    }
    late().await?;
    let again = taken(store, &b(), at(30), &["a v1 1"]).await?;
    let told = again.first().map(|queued| (queued.attempt, queued.attempts));
    same("the attempt", &told, &Some((Attempt::InDoubt, 2)))
}

pub(super) async fn a_line_does_not_overtake_one_that_another_process_has(
    store: &dyn Store,
) -> Outcome {
    store.queue(vec![latest("a", "1")?]).await?;
    for queued in taken(store, &a(), at(0), &["a v1 1"]).await? {
        store.delivered(&queued, Some(message("1.0"))).await?;
    }
    store.queue(vec![line("l1", "2")?.in_thread_of("a")]).await?;
    let mine = taken(store, &a(), at(0), &["l1 v1 2"]).await?;
    store.queue(vec![elsewhere(line("l2", "3")?).in_thread_of("a")]).await?;
    taken(store, &b(), at(1), &[]).await?;
    for queued in &mine {
        store.delivered(queued, Some(message("2.0"))).await?;
    }
    taken(store, &b(), at(1), &["l2 v1 3"]).await.map(|_taken| ())
}

pub(super) async fn the_next_notice_waits_for_whoever_has_its_lane(store: &dyn Store) -> Outcome {
    store.queue(vec![latest("a", "1")?, elsewhere(latest("b", "2")?)]).await?;
    store.take(&a(), at(0), HOLD, 1).await?;
    store.queue(vec![latest("c", "3")?]).await?;
    let next = store.next_due(&b(), at(1)).await?;
    ensure(next.is_some_and(|next| next <= at(1)), "another lane is not free")?;
    taken(store, &b(), at(1), &["b v1 2"]).await?;
    let next = store.next_due(&a(), at(1)).await?;
    ensure(next.is_some_and(|next| next <= at(1)), "what a has taken is not free for a")?;
    let mut free = taken(store, &b(), at(1), &["b v1 2"]).await?;
    if let Some(queued) = free.pop() {
        store.delivered(&queued, None).await?;
    }
    same("for b", &store.next_due(&b(), at(1)).await?, &Some(at(20)))
}

pub(super) async fn a_step_is_hinted_at(store: &dyn Store) -> Outcome {
    let mut hints = store.hints();
    let commits = Script::new("rb-1").commits(Ending::Succeeded);
    take(store, commits.iter().take(2).cloned()).await?;
    for entries in [0, 1] {
        let expected = Hint::Step { rollback: parsed("rb-1"), entries };
        same("the hint", &hints.next().await, &expected)?;
    }
    // A step that is refused is none.
    super::refusal(store, nth(&commits, 1)?).await?;
    store.queue(vec![latest("a", "1")?]).await?;
    same("the hint", &hints.next().await, &Hint::Queued)
}

pub(super) async fn a_digest_is_seen_once(store: &dyn Store) -> Outcome {
    const KEEP: Duration = Duration::from_secs(600);
    let see = async |digests: &[[u8; 32]], seconds| store.see(digests, at(seconds), KEEP).await;
    ensure(see(&[[1; 32], [2; 32]], 0).await?, "two new digests were known")?;
    ensure(!see(&[[2; 32]], 1).await?, "a digest was seen twice")?;
    ensure(!see(&[[3; 32], [1; 32]], 1).await?, "one of two digests was seen twice")?;
    ensure(see(&[[3; 32]], 1).await?, "a repeat left something behind")?;
    ensure(!see(&[[1; 32]], 599).await?, "a digest was forgotten early")?;
    ensure(see(&[[1; 32]], 600).await?, "a digest was not forgotten")?;
    ensure(!see(&[[1; 32]], 1_199).await?, "a digest was not remembered again")?;
    ensure(see(&[], 0).await?, "nothing was seen before")
}

pub(super) async fn what_nobody_asks_for_is_forgotten(store: &dyn Store) -> Outcome {
    let mut keep = Retention::default();
    (keep.told, keep.freezes) = (Duration::from_secs(100), Duration::from_secs(100));
    store.see(&[[1; 32]], at(0), Duration::from_secs(600)).await?;
    store.claim(&parsed("rb-1"), &a(), at(0), Duration::from_secs(15)).await?;
    for (name, until) in [("over", Some(at(10))), ("lasting", None), ("later", Some(at(500)))] {
        change(store, &key(), &freeze(name, until), at(0)).await?;
    }
    same("at first", &store.prune(at(0), keep).await?.total(), &0)?;
    same("the claim", &store.prune(at(15), keep).await?.total(), &1)?;
    same("the freeze", &store.prune(at(110), keep).await?.total(), &1)?;
    let left: Vec<_> = store.freezes(&key()).await?.into_iter().map(|one| one.name).collect();
    same("the freezes", &left, &vec!["lasting".into(), "later".into()])?;
    same("the digest", &store.prune(at(600), keep).await?.total(), &2)?;
    same("at last", &store.prune(at(600), keep).await?.total(), &0)
}

pub(super) async fn where_messages_are_is_never_forgotten(store: &dyn Store) -> Outcome {
    let mut keep = Retention::default();
    keep.told = Duration::from_secs(100);
    let told = line("l1", "2")?.in_thread_of("a");
    store.queue(vec![latest("a", "1")?, told.clone(), line("l2", "3")?]).await?;
    store.queue(vec![line("l3", "4")?.in_thread_of("l2"), line("l4", "5")?]).await?;
    for _round in 0..2 {
        for queued in store.take(&a(), at(0), HOLD, 99).await? {
            match queued.key.as_str() {
                "l4" => store.postpone(&queued, at(9_000), Attempt::Clean).await?,
                key => store.delivered(&queued, Some(message(key))).await?,
            }
        }
    }
    same("seen first", &store.prune(at(1_000), keep).await?.total(), &0)?;
    same("not yet", &store.prune(at(1_099), keep).await?.total(), &0)?;
    store.queue(vec![told.clone()]).await?;
    are_due(store, at(1_099), &[]).await?;
    // The two lines that nothing follows; not the message, nor the line that has a thread, nor
    // the one that still waits.
    same("long after", &store.prune(at(1_100), keep).await?.total(), &2)?;
    same("the message", &store.message("chat", &"a".into()).await?, &Some(message("a")))?;
    same("the thread", &store.message("chat", &"l2".into()).await?, &Some(message("l2")))?;
    are_due(store, at(9_000), &["l4 v1 5"]).await
}
