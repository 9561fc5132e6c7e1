//! The audit chain and what its sinks have of it.

use super::{Failure, Outcome, ensure, nth, same, take};
use crate::fixtures::parsed;
use crate::script::{Ending, Script};
use rollback_core::audit::{Head, Record, Verifier};
use rollback_core::ports::{Query, Store};

async fn all(store: &dyn Store) -> Result<Vec<Record>, Failure> {
    Ok(store.audit(&Query::all(1_000)).await?)
}

fn places(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.sequence.get()).collect()
}

pub(super) async fn records_of_several_rollbacks_make_one_chain(store: &dyn Store) -> Outcome {
    same("the start", &store.head().await?, &Head::genesis("default"))?;
    let one = Script::new("rb-1").commits(Ending::Succeeded);
    let two = Script::new("rb-2").of("billing", "production").commits(Ending::Unknown);
    let drafts: usize = one.iter().chain(&two).map(|commit| commit.drafts.len()).sum();
    for place in 0..one.len().max(two.len()) {
        let commits = [one.get(place), two.get(place)];
        take(store, commits.into_iter().flatten().cloned()).await?;
    }
    let records = all(store).await?;
    same("the number of records", &records.len(), &drafts)?;
    let mut verifier = Verifier::new("default");
    for record in &records {
        verifier.check(record).map_err(|error| Failure(error.to_string()))?;
    }
    same("the end of the chain", &store.head().await?, verifier.head())
}

pub(super) async fn a_step_answers_with_its_records_in_their_places(store: &dyn Store) -> Outcome {
    let mut answered = Vec::new();
    for commit in Script::new("rb-1").commits(Ending::Succeeded) {
        let drafts = commit.drafts.clone();
        let records = store.commit(commit).await?.records;
        let told: Vec<_> = records.iter().map(|record| record.draft.clone()).collect();
        same("what was recorded", &told, &drafts)?;
        answered.extend(records);
    }
    ensure(answered.len() > 4, "the script records too little")?;
    same("the chain", &all(store).await?, &answered)
}

pub(super) async fn a_draft_that_is_in_the_chain_is_not_appended_again(
    store: &dyn Store,
) -> Outcome {
    let commits = Script::new("rb-1").commits(Ending::Succeeded);
    let mut first = nth(&commits, 0)?;
    let mut second = nth(&commits, 1)?;
    let third = nth(&commits, 3)?;
    // The same draft twice in one step, and again in the next.
    first.drafts = [second.drafts.clone(), second.drafts.clone()].concat();
    second.drafts.extend(third.drafts.clone());
    let records = store.commit(first).await?.records;
    same("the places", &places(&records), &vec![1, 1])?;
    let records = store.commit(second).await?.records;
    same("the places", &places(&records), &vec![1, 2])?;
    same("the chain", &places(&all(store).await?), &vec![1, 2])
}

pub(super) async fn records_are_found_by_service_rollback_and_place(store: &dyn Store) -> Outcome {
    take(store, Script::new("rb-1").commits(Ending::Succeeded)).await?;
    take(store, Script::new("rb-2").commits(Ending::Failed)).await?;
    let elsewhere = Script::new("rb-3").of("checkout", "staging");
    take(store, elsewhere.commits(Ending::Succeeded)).await?;
    let everything = all(store).await?;
    let expect = |keep: &dyn Fn(&Record) -> bool| -> Vec<Record> {
        everything.iter().filter(|record| keep(record)).cloned().collect()
    };
    let mut query = Query::all(1_000);
    query.environment = Some("staging".into());
    let staging = expect(&|record| record.draft.environment.as_str() == "staging");
    same("in staging", &store.audit(&query).await?, &staging)?;
    query.service = Some("billing".into());
    same("of billing", &store.audit(&query).await?, &Vec::new())?;
    let mut query = Query::all(1_000);
    query.rollback = Some(parsed("rb-2"));
    let second = expect(&|record| record.draft.operation_id == Some(parsed("rb-2")));
    same("of rb-2", &store.audit(&query).await?, &second)?;
    let mut query = Query::all(2);
    query.after = 3;
    same("after 3", &places(&store.audit(&query).await?), &vec![4, 5])?;
    query.after = u64::MAX;
    same("after the end", &store.audit(&query).await?, &Vec::new())?;
    same("none", &store.audit(&Query::all(0)).await?, &Vec::new())
}

pub(super) async fn a_sink_is_shown_what_it_has_not_acknowledged(store: &dyn Store) -> Outcome {
    take(store, Script::new("rb-1").commits(Ending::Succeeded)).await?;
    let records = all(store).await?;
    same("for a new sink", &store.unacknowledged("file", 1_000).await?, &records)?;
    store.acknowledge("file", 2).await?;
    same("after two", &places(&store.unacknowledged("file", 2).await?), &vec![3, 4])?;
    same("for another", &store.unacknowledged("events", 1_000).await?, &records)?;
    store.acknowledge("file", store.head().await?.sequence).await?;
    same("after all", &store.unacknowledged("file", 1_000).await?, &Vec::new())
}

pub(super) async fn an_acknowledgement_never_goes_back_nor_beyond_the_end(
    store: &dyn Store,
) -> Outcome {
    let commits = Script::new("rb-1").commits(Ending::Succeeded);
    take(store, commits.iter().take(2).cloned()).await?;
    let end = store.head().await?.sequence;
    store.acknowledge("file", end + 5).await?;
    store.acknowledge("file", 0).await?;
    same("after the end", &store.unacknowledged("file", 10).await?, &Vec::new())?;
    take(store, commits.into_iter().skip(2)).await?;
    let next = store.unacknowledged("file", 1).await?;
    same("the next record", &places(&next), &vec![end + 1])
}
