//! What is forgotten, what never is, and that a step of it has an end.

use super::{Failure, Outcome, ensure, same, take};
use crate::fixtures::{at, parsed};
use crate::script::{Ending, Script};
use rollback_core::notice::Notice;
use rollback_core::ports::{Instance, Pruned, Query, Queued, Retention, Store};
use rollback_core::{Line, RollbackId};
use std::time::Duration;

const KEEP: Duration = Duration::from_secs(1_000);

/// Long after everything that is scripted here.
const LATER: u64 = 1_000_000;

/// More than one step forgets.
const MANY: u32 = 1_100;

fn keep() -> Retention {
    let mut keep = Retention::default().unconfirmed(KEEP);
    (keep.told, keep.freezes) = (KEEP, KEEP);
    keep
}

async fn is_there(store: &dyn Store, id: &str) -> Result<bool, Failure> {
    let id: RollbackId = parsed(id);
    let mut query = Query::all(9);
    query.rollback = Some(id.clone());
    let (loaded, listed) = (store.load(&id).await?.is_some(), store.list(&query).await?.len());
    same("what is listed of what is loaded", &listed, &usize::from(loaded))?;
    Ok(loaded)
}

async fn records(store: &dyn Store, id: &str) -> Result<usize, Failure> {
    let mut query = Query::all(99);
    query.rollback = Some(parsed(id));
    Ok(store.audit(&query).await?.len())
}

pub(super) async fn what_nobody_confirmed_is_forgotten_long_after_its_end_and_its_records_stay(
    store: &dyn Store,
) -> Outcome {
    // A click that a guard stopped before anybody confirmed anything, and one that runs.
    let refused = Script::new("rb-refused").of("mail", "production").commits(Ending::Refused);
    let looked: Vec<_> =
        Script::new("rb-looked").commits(Ending::Succeeded).into_iter().take(2).collect();
    let ended = refused.last().and_then(|commit| commit.view.ended_at);
    let ended = ended.ok_or_else(|| Failure("the script has no end".into()))?;
    take(store, refused).await?;
    take(store, looked).await?;
    let written = records(store, "rb-refused").await?;
    ensure(written > 0, "nothing was recorded")?;
    let early = store.prune(ended.after(KEEP - Duration::from_secs(1)), keep()).await?;
    same("before its time", &early, &Pruned::default())?;
    ensure(is_there(store, "rb-refused").await?, "it was forgotten before its time")?;
    let step = store.prune(ended.after(KEEP), keep()).await?;
    same("after its time", &(step.unconfirmed, step.total(), step.more), &(1, 1, false))?;
    ensure(!is_there(store, "rb-refused").await?, "it is still there")?;
    same("its records", &records(store, "rb-refused").await?, &written)?;
    // It has not ended, however old it is.
    let step = store.prune(at(LATER), keep()).await?;
    same("what is open", &step.unconfirmed, &0)?;
    ensure(is_there(store, "rb-looked").await?, "what is open was forgotten")
}

pub(super) async fn what_somebody_confirmed_or_has_to_look_at_is_never_forgotten(
    store: &dyn Store,
) -> Outcome {
    let mut kept = Vec::new();
    for ending in Ending::ALL {
        let name = format!("{ending:?}").to_lowercase();
        let commits = Script::new(&name).of(&name, "production").commits(ending);
        let confirmed = commits.iter().any(|commit| commit.view.reason.is_some());
        take(store, commits).await?;
        kept.push((name, confirmed));
    }
    store.prune(at(LATER), keep()).await?;
    ensure(kept.iter().any(|(_, confirmed)| !confirmed), "every script is confirmed")?;
    for (name, confirmed) in kept {
        same(&name, &is_there(store, &name).await?, &confirmed)?;
    }
    Ok(())
}

pub(super) async fn a_step_is_bounded_and_says_that_there_is_more(store: &dyn Store) -> Outcome {
    let digests: Vec<[u8; 32]> = (0..MANY)
        .map(|number| {
            let mut digest = [0; 32];
            digest.iter_mut().zip(number.to_be_bytes()).for_each(|(to, from)| *to = from);
            digest
        })
        .collect();
    for some in digests.chunks(100) {
        store.see(some, at(0), Duration::from_secs(60)).await?;
    }
    let first = store.prune(at(LATER), keep()).await?;
    ensure(first.more, "the first step does not say that there is more")?;
    ensure(first.digests > 0 && first.digests < u64::from(MANY), "a step has no bound")?;
    let (mut all, mut steps) = (first, 1);
    while all.more {
        ensure(steps < 99, "it never comes to its end")?;
        all = all.and(store.prune(at(LATER), keep()).await?);
        steps += 1;
    }
    same("all steps", &all.digests, &u64::from(MANY))?;
    same("at last", &store.prune(at(LATER), keep()).await?, &Pruned::default())
}

pub(super) async fn a_message_with_lines_in_its_thread_is_in_the_way_of_no_other(
    store: &dyn Store,
) -> Outcome {
    let view = Script::new("rb-1").commits(Ending::Succeeded).into_iter().next();
    let view = view.ok_or_else(|| Failure("the script is empty".into()))?.view;
    let line = |key: &str| {
        let notice = Notice::Line { view: view.clone(), line: Line::Confirmed };
        Queued::new("chat", key, notice, parsed("C1"))
    };
    let (first, alone) = (line("first"), line("alone"));
    store.queue(vec![first, line("second").in_thread_of("first"), alone]).await?;
    let owner = Instance::new("a");
    for _round in 0..2 {
        let taken = store.take(&owner, at(0), Duration::from_secs(9), 99).await?;
        for queued in taken.iter().filter(|queued| queued.key.as_str() != "second") {
            store.delivered(queued, None).await?;
        }
        store.give_back(&taken).await?;
    }
    same("marked", &store.prune(at(10), keep()).await?.messages, &0)?;
    same("the lone one", &store.prune(at(1_010), keep()).await?.messages, &1)?;
    // The other one counts as settled now, so that it is not met again at once.
    same("nothing", &store.prune(at(1_011), keep()).await?.messages, &0)?;
    for queued in store.take(&owner, at(1_012), Duration::from_secs(9), 99).await? {
        store.delivered(&queued, None).await?;
    }
    same("seen", &store.prune(at(1_012), keep()).await?.messages, &0)?;
    let last = store.prune(at(2_012), keep()).await?.messages;
    let after = store.prune(at(9_999), keep()).await?.messages;
    same("the line, and then what it followed", &(last, after), &(1, 1))
}
