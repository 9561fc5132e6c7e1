//! Claims and their fencing numbers.

use super::{Failure, Outcome, ensure, nth, refusal, same, take};
use crate::fixtures::{at, parsed};
use crate::script::{Ending, Script};
use rollback_core::ports::{Claim, Instance, Store, StoreError};
use rollback_core::{PutAside, Timestamp};
use std::time::Duration;

const LEASE: Duration = Duration::from_secs(15);

fn a() -> Instance {
    Instance::new("a")
}

fn b() -> Instance {
    Instance::new("b")
}

async fn claimed(store: &dyn Store, owner: &Instance, now: Timestamp) -> Result<Claim, Failure> {
    let claim = store.claim(&parsed("rb-1"), owner, now, LEASE).await?;
    claim.ok_or_else(|| Failure(format!("{} was not given the claim", owner.as_str())))
}

fn lost(error: &StoreError) -> Outcome {
    let told = matches!(error, StoreError::ClaimLost(id) if id.as_str() == "rb-1");
    ensure(told, &format!("the claim was lost, and the store answered: {error}"))
}

pub(super) async fn one_process_at_a_time_has_a_claim(store: &dyn Store) -> Outcome {
    let claim = claimed(store, &a(), at(0)).await?;
    same("the claim", &claim, &Claim::new(parsed("rb-1"), a(), claim.fence, at(15)))?;
    ensure(claim.fence > 0, "a fencing number is at least one")?;
    let refused = store.claim(&parsed("rb-1"), &b(), at(14), LEASE).await?;
    same("the other's claim", &refused, &None)?;
    let other = store.claim(&parsed("rb-2"), &b(), at(14), LEASE).await?;
    ensure(other.is_some(), "a claim on one rollback is none on another")
}

pub(super) async fn a_renewed_claim_keeps_its_number_and_lasts_longer(
    store: &dyn Store,
) -> Outcome {
    let first = claimed(store, &a(), at(0)).await?;
    let renewed = claimed(store, &a(), at(10)).await?;
    same("the fence", &renewed.fence, &first.fence)?;
    same("the expiry", &renewed.expires_at, &at(25))?;
    let late = claimed(store, &a(), at(5)).await?;
    same("the expiry after a late renewal", &late.expires_at, &at(25))?;
    let refused = store.claim(&parsed("rb-1"), &b(), at(20), LEASE).await?;
    same("the other's claim", &refused, &None)
}

pub(super) async fn an_expired_claim_is_taken_over_with_a_greater_number(
    store: &dyn Store,
) -> Outcome {
    let first = claimed(store, &a(), at(0)).await?;
    let second = claimed(store, &b(), at(15)).await?;
    ensure(second.fence > first.fence, "the fencing number did not grow")?;
    let refused = store.claim(&parsed("rb-1"), &a(), at(16), LEASE).await?;
    same("the first one's claim", &refused, &None)?;
    let third = claimed(store, &a(), at(60)).await?;
    ensure(third.fence > second.fence, "the fencing number did not grow again")
}

pub(super) async fn whoever_lost_a_claim_can_write_nothing(store: &dyn Store) -> Outcome {
    let commits = Script::new("rb-1").commits(Ending::Succeeded);
    take(store, [nth(&commits, 0)?]).await?;
    let old = claimed(store, &a(), at(0)).await?;
    let new = claimed(store, &b(), at(15)).await?;
    let mut step = nth(&commits, 1)?;
    step.claim = Some(old);
    lost(&refusal(store, step.clone()).await?)?;
    // Even at a time at which the old claim would still have been good.
    step.at = at(1);
    lost(&refusal(store, step.clone()).await?)?;
    step.claim = Some(new);
    take(store, [step]).await
}

pub(super) async fn a_lost_claim_is_told_before_anything_else(store: &dyn Store) -> Outcome {
    let commits = Script::new("rb-1").commits(Ending::Succeeded);
    let mut step = nth(&commits, 3)?;
    step.claim = Some(Claim::new(parsed("rb-1"), a(), 1, at(99)));
    lost(&refusal(store, step).await?)
}

pub(super) async fn a_claim_is_good_until_it_expires(store: &dyn Store) -> Outcome {
    let commits = Script::new("rb-1").commits(Ending::Succeeded);
    take(store, [nth(&commits, 0)?]).await?;
    let claim = claimed(store, &a(), at(0)).await?;
    let mut step = nth(&commits, 1)?;
    step.claim = Some(claim);
    step.at = at(15);
    lost(&refusal(store, step.clone()).await?)?;
    step.at = at(14);
    take(store, [step]).await?;
    // What a person brings is under no claim, whoever has it.
    take(store, [nth(&commits, 2)?]).await
}

pub(super) async fn a_released_claim_is_free_and_its_number_is_not_used_again(
    store: &dyn Store,
) -> Outcome {
    let commits = Script::new("rb-1").commits(Ending::Succeeded);
    take(store, [nth(&commits, 0)?]).await?;
    let first = claimed(store, &a(), at(0)).await?;
    store.release(&first).await?;
    let mut step = nth(&commits, 1)?;
    step.claim = Some(first.clone());
    lost(&refusal(store, step).await?)?;
    let second = claimed(store, &b(), at(1)).await?;
    ensure(second.fence > first.fence, "the fencing number did not grow")
}

pub(super) async fn a_claim_that_was_lost_is_released_without_effect(store: &dyn Store) -> Outcome {
    let old = claimed(store, &a(), at(0)).await?;
    claimed(store, &b(), at(15)).await?;
    store.release(&old).await?;
    let refused = store.claim(&parsed("rb-1"), &a(), at(16), LEASE).await?;
    same("the first one's claim", &refused, &None)?;
    store.release(&Claim::new(parsed("rb-9"), a(), 7, at(0))).await?;
    Ok(())
}

async fn attempted(store: &dyn Store, claim: &Claim, name: &str) -> Result<u32, Failure> {
    Ok(store.attempt(claim, &name.into()).await?)
}

pub(super) async fn attempts_are_counted_over_all_owners_and_one_told_twice_counts_once(
    store: &dyn Store,
) -> Outcome {
    let first = claimed(store, &a(), at(0)).await?;
    same("the first attempt", &attempted(store, &first, "a/1").await?, &1)?;
    same("the same one again", &attempted(store, &first, "a/1").await?, &1)?;
    same("one more", &attempted(store, &first, "a/2").await?, &2)?;
    let second = claimed(store, &b(), at(15)).await?;
    same("another's", &attempted(store, &second, "b/1").await?, &3)?;
    let other = store.claim(&parsed("rb-2"), &b(), at(15), LEASE).await?;
    let other = other.ok_or_else(|| Failure("a free claim was not given".into()))?;
    same("another rollback's", &attempted(store, &other, "b/2").await?, &1)
}

pub(super) async fn whoever_lost_a_claim_counts_no_attempt(store: &dyn Store) -> Outcome {
    let old = claimed(store, &a(), at(0)).await?;
    let new = claimed(store, &b(), at(15)).await?;
    match store.attempt(&old, &"a/1".into()).await {
        Err(error) => lost(&error)?,
        Ok(count) => return Err(Failure(format!("a stranger's attempt was counted as {count}"))),
    }
    same("the owner's attempt", &attempted(store, &new, "b/1").await?, &1)
}

pub(super) async fn a_step_under_a_claim_forgets_the_attempts_and_a_persons_does_not(
    store: &dyn Store,
) -> Outcome {
    let commits = Script::new("rb-1").commits(Ending::Succeeded);
    take(store, [nth(&commits, 0)?]).await?;
    let claim = claimed(store, &a(), at(0)).await?;
    for (count, name) in (1..).zip(["a/1", "a/2"]) {
        same("the attempts", &attempted(store, &claim, name).await?, &count)?;
    }
    let by_person = nth(&commits, 1)?;
    take(store, [by_person]).await?;
    same("after a person's word", &attempted(store, &claim, "a/3").await?, &3)?;
    let mut last = nth(&commits, 2)?;
    (last.claim, last.at, last.begins_work) = (Some(claim.clone()), at(3), false);
    take(store, [last]).await?;
    same("after a step", &attempted(store, &claim, "a/4").await?, &1)?;
    let mut goes_on = nth(&commits, 3)?;
    (goes_on.claim, goes_on.at, goes_on.begins_work) = (Some(claim.clone()), at(4), true);
    take(store, [goes_on]).await?;
    same("after a step that went on", &attempted(store, &claim, "a/5").await?, &2)
}

pub(super) async fn a_claim_that_is_given_back_forgets_the_attempts(store: &dyn Store) -> Outcome {
    let old = claimed(store, &a(), at(0)).await?;
    same("the first", &attempted(store, &old, "a/1").await?, &1)?;
    let new = claimed(store, &b(), at(15)).await?;
    store.release(&old).await?;
    same("after a stranger's word", &attempted(store, &new, "b/1").await?, &2)?;
    store.release(&new).await?;
    let next = claimed(store, &a(), at(16)).await?;
    same("after the owner's", &attempted(store, &next, "a/2").await?, &1)
}

pub(super) async fn an_attempt_that_is_over_counts_no_more(store: &dyn Store) -> Outcome {
    let old = claimed(store, &a(), at(0)).await?;
    let new = claimed(store, &b(), at(15)).await?;
    same("before any", &store.attempts(&new.rollback).await?, &0)?;
    same("the first", &attempted(store, &new, "b/1").await?, &1)?;
    same("the second", &attempted(store, &new, "b/2").await?, &2)?;
    same("both", &store.attempts(&new.rollback).await?, &2)?;
    match store.survived(&old).await {
        Err(error) => lost(&error)?,
        Ok(()) => return Err(Failure("a stranger forgot the attempts".into())),
    }
    same("after a stranger's word", &store.attempts(&new.rollback).await?, &2)?;
    store.survived(&new).await?;
    same("after the owner's", &store.attempts(&new.rollback).await?, &0)?;
    same("the next", &attempted(store, &new, "b/3").await?, &1)
}

pub(super) async fn what_is_put_aside_is_listed_apart_until_it_goes_on(
    store: &dyn Store,
) -> Outcome {
    let commits = Script::new("rb-1").commits(Ending::Succeeded);
    take(store, [nth(&commits, 0)?]).await?;
    same("unfinished", &store.unattended(at(1)).await?, &vec![parsed("rb-1")])?;
    same("put aside", &store.put_aside().await?, &Vec::new())?;
    let mut aside = nth(&commits, 1)?;
    aside.view.put_aside = Some(PutAside::new(3, at(1)));
    take(store, [aside]).await?;
    same("unfinished", &store.unattended(at(1)).await?, &Vec::new())?;
    same("put aside", &store.put_aside().await?, &vec![parsed("rb-1")])?;
    take(store, [nth(&commits, 2)?]).await?;
    same("unfinished again", &store.unattended(at(1)).await?, &vec![parsed("rb-1")])?;
    same("put aside still", &store.put_aside().await?, &Vec::new())
}

pub(super) async fn what_somebody_has_a_claim_on_is_unattended_when_that_is_over(
    store: &dyn Store,
) -> Outcome {
    for id in ["rb-1", "rb-2"] {
        let service = format!("service-of-{id}");
        let script = Script::new(id).of(&service, "production");
        take(store, [nth(&script.commits(Ending::Succeeded), 0)?]).await?;
    }
    let claim = claimed(store, &a(), at(0)).await?;
    let both = vec![parsed("rb-1"), parsed("rb-2")];
    same("while it lasts", &store.unattended(at(14)).await?, &vec![parsed("rb-2")])?;
    same("expired", &store.unattended(at(15)).await?, &both)?;
    store.release(&claim).await?;
    same("released", &store.unattended(at(1)).await?, &both)
}
