//! A log that has lost what a copy of it has.

use super::{Failure, Outcome, ensure, nth, same, take};
use crate::fixtures::{at, change, key, mark_bad, parsed};
use crate::script::{Ending, Script};
use rollback_core::audit::{Hash, Head};
use rollback_core::ports::{Instance, Query, Store, StoreError};
use std::time::Duration;

const LEASE: Duration = Duration::from_secs(15);

fn went_back<T>(what: &str, answer: Result<T, StoreError>) -> Outcome {
    match answer {
        Err(StoreError::WentBack(_)) => Ok(()),
        Err(other) => Err(Failure(format!("{what} was answered: {other}"))),
        Ok(_) => Err(Failure(format!("{what} was done"))),
    }
}

pub(super) async fn a_log_that_goes_on_from_a_copy_has_lost_nothing(store: &dyn Store) -> Outcome {
    store.compare(&store.head().await?).await?;
    let commits = Script::new("rb-1").commits(Ending::Succeeded);
    take(store, commits.iter().take(3).cloned()).await?;
    let copy = store.head().await?;
    store.compare(&copy).await?;
    take(store, commits.into_iter().skip(3)).await?;
    store.compare(&copy).await?;
    store.compare(&store.head().await?).await?;
    Ok(store.ping().await?)
}

pub(super) async fn a_log_that_ends_before_a_copy_is_not_written_until_that_is_acknowledged(
    store: &dyn Store,
) -> Outcome {
    let commits = Script::new("rb-1").commits(Ending::Succeeded);
    take(store, commits.iter().take(3).cloned()).await?;
    let (a, id) = (Instance::new("a"), parsed("rb-1"));
    let before = store.claim(&id, &a, at(0), LEASE).await?;
    let before = before.ok_or_else(|| Failure("a free rollback was not claimed".into()))?;
    let mut copy = store.head().await?;
    copy.sequence += 2;
    copy.hash = Hash::of(b"lost");
    went_back("the comparison", store.compare(&copy).await)?;
    went_back("a step", store.commit(nth(&commits, 3)?).await)?;
    went_back("a claim", store.claim(&id, &a, at(1), LEASE).await)?;
    went_back("an attempt", store.attempt(&before, &"first".into()).await)?;
    went_back("a release", store.release(&before).await)?;
    went_back("an acknowledgement", store.acknowledge("file", 1).await)?;
    went_back("a mark", change(store, &key(), &mark_bad("41", "leaks"), at(0)).await)?;
    went_back("a digest", store.see(&[[7; 32]], at(0), LEASE).await)?;
    went_back("the question whether it can be written", store.ping().await)?;
    // Somebody has to find out what is missing.
    ensure(store.load(&id).await?.is_some(), "a journal cannot be read any more")?;
    ensure(!store.audit(&Query::all(9)).await?.is_empty(), "the log cannot be read any more")?;
    store.acknowledge_loss().await?;
    store.ping().await?;
    let after = store.claim(&parsed("rb-2"), &a, at(0), LEASE).await?;
    let fence = after.map_or(0, |claim| claim.fence);
    ensure(fence > before.fence + 1_000_000, "a lost fencing number may be given out again")?;
    take(store, commits.into_iter().skip(3)).await
}

pub(super) async fn a_record_that_is_another_in_a_copy_is_a_loss(store: &dyn Store) -> Outcome {
    take(store, Script::new("rb-1").commits(Ending::Succeeded)).await?;
    let mut copy = Head::genesis("default");
    copy.sequence = 2;
    copy.hash = Hash::of(b"another");
    went_back("the comparison", store.compare(&copy).await)?;
    went_back("the question whether it can be written", store.ping().await)?;
    store.acknowledge_loss().await?;
    same("the answer", &store.ping().await.is_ok(), &true)
}
