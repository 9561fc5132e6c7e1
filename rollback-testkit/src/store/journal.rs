//! Journals, the service's slot, and lists.

use super::{Failure, Outcome, ensure, nth, refusal, same, take};
use crate::fixtures::{at, key, parsed};
use crate::script::{Ending, Script};
use rollback_core::notice::Notice;
use rollback_core::ports::{Commit, Journal, Query, Queued, Store, StoreError};
use rollback_core::{RollbackId, StateName};

/// How many commits of a script bring it to where it holds the service.
const HOLDING: usize = 4;

fn moved_on(error: &StoreError, id: &str) -> Outcome {
    let told = matches!(error, StoreError::MovedOn(found) if found.as_str() == id);
    ensure(told, &format!("`{id}` moved on, and the store answered: {error}"))
}

fn held_by(error: &StoreError, id: &str) -> Outcome {
    let told = matches!(error, StoreError::ServiceHeld(holder) if holder.as_str() == id);
    ensure(told, &format!("`{id}` holds the service, and the store answered: {error}"))
}

fn journal_of(commits: &[Commit]) -> Result<Journal, Failure> {
    let opening = nth(commits, 0)?.opening.ok_or_else(|| Failure("no opening".into()))?;
    let entries = commits.iter().filter_map(|commit| commit.entry.clone()).collect();
    Ok(Journal::new(*opening, entries))
}

/// Takes a script up to the step after which it holds its service.
async fn hold(store: &dyn Store, commits: &[Commit]) -> Outcome {
    take(store, commits.iter().take(HOLDING).cloned()).await?;
    ensure(nth(commits, HOLDING - 1)?.holds_service, "the script does not hold its service")
}

pub(super) async fn a_journal_is_loaded_as_it_was_stored(store: &dyn Store) -> Outcome {
    for ending in Ending::ALL {
        let id = format!("rb-{ending:?}");
        let script = Script::new(&id).of(&format!("service-{ending:?}"), "production");
        let commits = script.commits(ending);
        take(store, commits.clone()).await?;
        let loaded = store.load(&parsed(&id)).await?;
        same("the journal", &loaded, &Some(journal_of(&commits)?))?;
    }
    Ok(())
}

pub(super) async fn a_rollback_that_was_never_opened_has_no_journal(store: &dyn Store) -> Outcome {
    same("the journal", &store.load(&parsed("rb-1")).await?, &None)
}

pub(super) async fn an_id_opens_one_journal(store: &dyn Store) -> Outcome {
    let first = Script::new("rb-1").commits(Ending::Succeeded);
    let second = Script::new("rb-1").of("billing", "production").commits(Ending::Succeeded);
    take(store, [nth(&first, 0)?]).await?;
    moved_on(&refusal(store, nth(&first, 0)?).await?, "rb-1")?;
    moved_on(&refusal(store, nth(&second, 0)?).await?, "rb-1")?;
    let loaded = store.load(&parsed("rb-1")).await?;
    same("the journal", &loaded, &Some(journal_of(first.get(..1).unwrap_or_default())?))
}

pub(super) async fn a_step_after_another_number_of_entries_has_moved_on(
    store: &dyn Store,
) -> Outcome {
    let commits = Script::new("rb-1").commits(Ending::Succeeded);
    take(store, commits.iter().take(3).cloned()).await?;
    for place in [1, 2, 4, 5] {
        moved_on(&refusal(store, nth(&commits, place)?).await?, "rb-1")?;
    }
    take(store, [nth(&commits, 3)?]).await
}

pub(super) async fn a_step_of_a_rollback_that_was_never_opened_has_moved_on(
    store: &dyn Store,
) -> Outcome {
    let commits = Script::new("rb-1").commits(Ending::Succeeded);
    moved_on(&refusal(store, nth(&commits, 1)?).await?, "rb-1")
}

pub(super) async fn a_step_whose_parts_are_of_two_rollbacks_is_refused(
    store: &dyn Store,
) -> Outcome {
    let ours = Script::new("rb-1").commits(Ending::Succeeded);
    let theirs = Script::new("rb-2").of("billing", "production").commits(Ending::Succeeded);
    let mut other_view = nth(&ours, 0)?;
    other_view.view = nth(&theirs, 0)?.view;
    let mut other_opening = nth(&ours, 0)?;
    other_opening.opening = nth(&theirs, 0)?.opening;
    let mut not_first = nth(&ours, 0)?;
    not_first.expected = 1;
    for mixed in [other_view, other_opening, not_first] {
        let error = refusal(store, mixed).await?;
        ensure(matches!(error, StoreError::Corrupt { .. }), "it was refused for another reason")?;
    }
    same("what is listed", &store.list(&Query::all(10)).await?.len(), &0)?;
    take(store, [nth(&ours, 0)?]).await?;
    let mut other_service = nth(&ours, 1)?;
    other_service.view.key = nth(&theirs, 0)?.view.key.clone();
    let error = refusal(store, other_service).await?;
    ensure(matches!(error, StoreError::Corrupt { .. }), "a step for another service was taken")
}

pub(super) async fn a_refused_step_leaves_nothing_behind(store: &dyn Store) -> Outcome {
    let winner = Script::new("rb-1").commits(Ending::Succeeded);
    let loser = Script::new("rb-2").commits(Ending::Succeeded);
    hold(store, &winner).await?;
    take(store, loser.iter().take(HOLDING - 1).cloned()).await?;
    let (head, due) = (store.head().await?, store.due(at(99), 99).await?);
    let mut refused = nth(&loser, HOLDING - 1)?;
    ensure(!refused.drafts.is_empty(), "the refused step records nothing")?;
    let notice = Notice::Approval(refused.view.clone());
    refused.notices.push(Queued::new("chat", "k", notice, parsed("C1")));
    held_by(&refusal(store, refused.clone()).await?, "rb-1")?;
    refused.holds_service = false;
    refused.expected = 9;
    moved_on(&refusal(store, refused).await?, "rb-2")?;
    same("the end of the chain", &store.head().await?, &head)?;
    same("what is due", &store.due(at(99), 99).await?, &due)?;
    let journal = journal_of(loser.get(..HOLDING - 1).unwrap_or_default())?;
    same("the journal", &store.load(&parsed("rb-2")).await?, &Some(journal))
}

pub(super) async fn one_rollback_holds_a_service(store: &dyn Store) -> Outcome {
    let first = Script::new("rb-1").commits(Ending::Succeeded);
    let second = Script::new("rb-2").commits(Ending::Succeeded);
    take(store, second.iter().take(HOLDING - 1).cloned()).await?;
    hold(store, &first).await?;
    held_by(&refusal(store, nth(&second, HOLDING - 1)?).await?, "rb-1")?;
    take(store, first.into_iter().skip(HOLDING)).await?;
    take(store, second.into_iter().skip(HOLDING - 1)).await
}

pub(super) async fn the_same_service_elsewhere_is_another_service(store: &dyn Store) -> Outcome {
    for (id, service, environment) in [
        ("rb-1", "checkout", "production"),
        ("rb-2", "checkout", "staging"),
        ("rb-3", "billing", "production"),
    ] {
        let commits = Script::new(id).of(service, environment).commits(Ending::Succeeded);
        hold(store, &commits).await?;
    }
    Ok(())
}

pub(super) async fn an_end_gives_the_service_back(store: &dyn Store) -> Outcome {
    let given_back = Ending::ALL.into_iter().filter(|ending| *ending != Ending::Unknown);
    for (number, ending) in given_back.enumerate() {
        take(store, Script::new(&format!("rb-{number}")).commits(ending)).await?;
    }
    let record = store.record(&key()).await?;
    same("what is in flight", &record.in_flight, &None)
}

pub(super) async fn an_unknown_outcome_holds_the_service_until_it_is_settled(
    store: &dyn Store,
) -> Outcome {
    let commits = Script::new("rb-1").commits(Ending::Settled);
    let (settled, unsettled) = commits.split_last().ok_or_else(|| Failure("no steps".into()))?;
    take(store, unsettled.to_vec()).await?;
    let next = Script::new("rb-2").commits(Ending::Succeeded);
    take(store, next.iter().take(HOLDING - 1).cloned()).await?;
    held_by(&refusal(store, nth(&next, HOLDING - 1)?).await?, "rb-1")?;
    same("unattended", &store.unattended(at(0)).await?, &vec![parsed("rb-1"), parsed("rb-2")])?;
    take(store, [settled.clone()]).await?;
    take(store, next.into_iter().skip(HOLDING - 1)).await?;
    same("unattended", &store.unattended(at(0)).await?, &Vec::new())
}

pub(super) async fn of_two_confirmations_at_once_one_is_taken(store: &dyn Store) -> Outcome {
    let scripts = ["rb-1", "rb-2"].map(|id| Script::new(id).commits(Ending::Succeeded));
    let [first, second] = &scripts;
    for commits in &scripts {
        take(store, commits.iter().take(HOLDING - 1).cloned()).await?;
    }
    let (one, two) = (nth(first, HOLDING - 1)?, nth(second, HOLDING - 1)?);
    match tokio::join!(store.commit(one), store.commit(two)) {
        (Ok(_), Err(error)) => held_by(&error, "rb-1"),
        (Err(error), Ok(_)) => held_by(&error, "rb-2"),
        other => Err(Failure(format!("not exactly one was taken: {other:?}"))),
    }
}

pub(super) async fn of_two_steps_at_once_one_is_taken(store: &dyn Store) -> Outcome {
    let commits = Script::new("rb-1").commits(Ending::Succeeded);
    take(store, [nth(&commits, 0)?]).await?;
    let step = nth(&commits, 1)?;
    match tokio::join!(store.commit(step.clone()), store.commit(step)) {
        (Ok(_), Err(error)) | (Err(error), Ok(_)) => moved_on(&error, "rb-1"),
        other => Err(Failure(format!("not exactly one was taken: {other:?}"))),
    }
}

/// Of a rollback that is stopped the row changes and its journal does not: the number of entries is
/// the same for both.
pub(super) async fn of_two_decisions_without_an_entry_one_is_taken(store: &dyn Store) -> Outcome {
    let commits = Script::new("rb-1").commits(Ending::Succeeded);
    hold(store, &commits).await?;
    let listed = store.list(&Query::all(1)).await?;
    let listed = listed.first().ok_or_else(|| Failure("nothing is listed".into()))?;
    let decided = |explanation: &str, by: &str| {
        let mut view = listed.view.clone();
        (view.state, view.explanation) = (StateName::Withdrawn, explanation.into());
        let mut commit = Commit::new(view, listed.entries, at(100));
        commit.stood = Some(Box::new(listed.view.clone()));
        commit.notices = vec![Queued::new(
            "chat",
            by,
            Notice::OnCall(Box::new(listed.view.clone())),
            parsed("C1"),
        )];
        commit
    };
    let (first, second) = (decided("it took effect", "one"), decided("it did not", "two"));
    let taken = match tokio::join!(store.commit(first.clone()), store.commit(second.clone())) {
        (Ok(_), Err(error)) => moved_on(&error, "rb-1").map(|()| first)?,
        (Err(error), Ok(_)) => moved_on(&error, "rb-1").map(|()| second)?,
        other => return Err(Failure(format!("not exactly one was taken: {other:?}"))),
    };
    let now = store.list(&Query::all(1)).await?;
    let now = now.first().ok_or_else(|| Failure("nothing is listed".into()))?;
    same("how it stands", &now.view, taken.view.as_ref())?;
    same("entries", &now.entries, &listed.entries)?;
    same("what waits to be told", &store.waiting().await?, &1)?;
    // A step that was decided on how it stood before comes too late as well.
    let mut step = nth(&commits, HOLDING)?;
    step.stood = Some(Box::new(listed.view.clone()));
    moved_on(&refusal(store, step).await?, "rb-1")?;
    // On how it stands now it is taken.
    let mut again = decided("once more", "three");
    again.stood = Some(Box::new(now.view.clone()));
    take(store, [again]).await
}

/// The ids of a list.
async fn ids(store: &dyn Store, query: &Query) -> Result<Vec<String>, Failure> {
    let listed = store.list(query).await?;
    Ok(listed.into_iter().map(|one| one.view.id.to_string()).collect())
}

pub(super) async fn rollbacks_are_listed_newest_first(store: &dyn Store) -> Outcome {
    for (id, opened) in [("rb-b", 20), ("rb-c", 20), ("rb-a", 10)] {
        let script = Script::new(id).of(id, "production").opened_at(at(opened));
        hold(store, &script.commits(Ending::Succeeded)).await?;
    }
    let found = ids(store, &Query::all(10)).await?;
    same("the list", &found, &["rb-c", "rb-b", "rb-a"].map(String::from).to_vec())?;
    let listed = store.list(&Query::all(1)).await?;
    let first = listed.first().ok_or_else(|| Failure("nothing is listed".into()))?;
    same("entries", &first.entries, &3)?;
    ensure(first.holds_service, "it holds its service")?;
    same("the state", &first.view.state, &StateName::Checking)
}

pub(super) async fn a_list_is_of_one_service_and_state(store: &dyn Store) -> Outcome {
    take(store, Script::new("rb-1").commits(Ending::Succeeded)).await?;
    take(store, Script::new("rb-2").commits(Ending::Refused)).await?;
    let elsewhere = Script::new("rb-3").of("checkout", "staging");
    take(store, elsewhere.commits(Ending::Succeeded)).await?;
    let mut query = Query::all(10);
    query.state = Some(StateName::Succeeded);
    same("succeeded", &ids(store, &query).await?, &["rb-3", "rb-1"].map(String::from).to_vec())?;
    query.environment = Some("production".into());
    same("in production", &ids(store, &query).await?, &vec!["rb-1".to_string()])?;
    query.service = Some("billing".into());
    same("of billing", &ids(store, &query).await?, &Vec::new())
}

/// Each set of names has a question of its own.
pub(super) async fn a_list_or_a_log_by_any_names_is_that_part_of_the_whole(
    store: &dyn Store,
) -> Outcome {
    let places = [("checkout", "production"), ("checkout", "staging"), ("mail", "production")];
    for (number, (service, environment)) in places.into_iter().enumerate() {
        for (ending, name) in [(Ending::Succeeded, "done"), (Ending::Refused, "refused")] {
            let script = Script::new(&format!("rb-{name}-{number}")).of(service, environment);
            take(store, script.commits(ending)).await?;
        }
    }
    let whole = store.list(&Query::all(99)).await?;
    let log = store.audit(&Query::all(999)).await?;
    ensure(whole.len() == 6 && log.len() > 12, "there is too little to tell apart")?;
    for bits in 0..16_u8 {
        let has = |bit: u8| bits & bit != 0;
        let mut query = Query::all(999);
        query.service = has(1).then(|| "checkout".into());
        query.environment = has(2).then(|| "production".into());
        query.state = has(4).then_some(StateName::Succeeded);
        query.rollback = has(8).then(|| parsed("rb-done-0"));
        let is = |service: &str, environment: &str, id: &str| {
            (!has(1) || service == "checkout")
                && (!has(2) || environment == "production")
                && (!has(8) || id == "rb-done-0")
        };
        let listed: Vec<_> = whole
            .iter()
            .filter(|one| {
                let view = &one.view;
                is(view.key.service.as_str(), view.key.environment.as_str(), view.id.as_str())
                    && (!has(4) || view.state == StateName::Succeeded)
            })
            .cloned()
            .collect();
        same(&format!("the list by {bits:04b}"), &store.list(&query).await?, &listed)?;
        query.state = None;
        query.after = 2;
        let logged: Vec<_> = log
            .iter()
            .filter(|record| {
                let draft = &record.draft;
                let rollback = draft.operation_id.as_ref().map_or("", RollbackId::as_str);
                is(draft.service.as_str(), draft.environment.as_str(), rollback)
                    && record.sequence > 2
            })
            .cloned()
            .collect();
        same(&format!("the log by {bits:04b}"), &store.audit(&query).await?, &logged)?;
    }
    Ok(())
}

pub(super) async fn one_rollback_is_listed_by_its_id(store: &dyn Store) -> Outcome {
    take(store, Script::new("rb-1").commits(Ending::Succeeded)).await?;
    take(store, Script::new("rb-2").commits(Ending::Refused)).await?;
    let mut query = Query::all(10);
    query.rollback = Some(parsed("rb-1"));
    same("rb-1", &ids(store, &query).await?, &vec!["rb-1".to_string()])?;
    query.state = Some(StateName::Refused);
    same("rb-1 if it was refused", &ids(store, &query).await?, &Vec::new())?;
    let mut query = Query::all(10);
    query.rollback = Some(parsed("rb-3"));
    same("one that never was", &ids(store, &query).await?, &Vec::new())
}

pub(super) async fn a_list_has_no_more_than_was_asked_for(store: &dyn Store) -> Outcome {
    for id in ["rb-1", "rb-2", "rb-3"] {
        take(store, Script::new(id).commits(Ending::Succeeded)).await?;
    }
    for limit in [0, 1, 3] {
        same("listed", &store.list(&Query::all(limit)).await?.len(), &limit)?;
    }
    same("listed", &store.list(&Query::all(usize::MAX)).await?.len(), &3)
}

pub(super) async fn what_has_not_ended_is_unattended(store: &dyn Store) -> Outcome {
    for (number, ending) in Ending::ALL.into_iter().enumerate() {
        let service = format!("service-{number}");
        let script = Script::new(&format!("rb-{ending:?}")).of(&service, "production");
        take(store, script.commits(ending)).await?;
    }
    let open = Script::new("rb-open").commits(Ending::Succeeded);
    take(store, open.into_iter().take(2)).await?;
    let expected = vec![parsed("rb-Unknown"), parsed("rb-open")];
    same("unattended", &store.unattended(at(0)).await?, &expected)
}
