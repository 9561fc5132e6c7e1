//! Deploys, what is known of services, freezes.

use super::{Failure, Outcome, ensure, same, take};
use crate::fixtures::{
    at, change, changed, freeze, key, mark_bad, parsed, reference, revision, unfreeze,
};
use crate::script::{Ending, Script};
use rollback_core::known_good::Choice;
use rollback_core::notice::{DeployCard, Notice};
use rollback_core::observed::{Freeze, LastRollback, LatestDeploy, ServiceRecord};
use rollback_core::ports::{Query, Queued, SavedDeploy, Store};
use rollback_core::{
    Changer, Deploy, Proposer, RevisionId, ServiceChange, ServiceChanged, ServiceKey, Timestamp,
};
use std::collections::BTreeSet;

fn card(id: &str, key: ServiceKey, deployed_at: Timestamp) -> DeployCard {
    let mut deploy = Deploy::new(parsed(id), key, "2.14.0", deployed_at);
    deploy.revision = Some(parsed(id));
    let mut choice = Choice::none("nobody looked");
    choice.target = Some(revision("41", "2.13.4", at(0)));
    DeployCard::new(deploy, Some(reference("41")), choice)
}

fn told(card: &DeployCard) -> Vec<Queued> {
    let notice = Notice::Deploy(Box::new(card.clone()));
    vec![Queued::new("chat", card.deploy.id.as_str(), notice, parsed("C1"))]
}

fn staging() -> ServiceKey {
    ServiceKey::new(parsed("checkout"), parsed("staging"))
}

fn revisions(ids: &[&str]) -> BTreeSet<RevisionId> {
    ids.iter().map(|id| parsed(id)).collect()
}

async fn deployed(store: &dyn Store, card: &DeployCard) -> Outcome {
    let saved = store.save_deploy(card, told(card)).await?;
    same("a first report", &saved, &SavedDeploy::New)
}

pub(super) async fn a_deploy_is_kept_with_its_target(store: &dyn Store) -> Outcome {
    let mut kept = card("d1", key(), at(0));
    let view = Script::new("rb-1").commits(Ending::Succeeded).pop().map(|commit| *commit.view);
    kept.rollback = view;
    deployed(store, &kept).await?;
    same("what is told", &store.due(at(0), 9).await?.len(), &1)?;
    // The rollback is asked for when the card is shown.
    kept.rollback = None;
    same("the deploy", &store.deploy(&parsed("d1")).await?, &Some(kept))?;
    same("another", &store.deploy(&parsed("d2")).await?, &None)
}

pub(super) async fn a_deploy_reported_twice_is_kept_as_it_was_first(store: &dyn Store) -> Outcome {
    let first = card("d1", key(), at(0));
    deployed(store, &first).await?;
    let queued = store.due(at(0), 9).await?;
    let again = card("d1", staging(), at(9));
    let saved = store.save_deploy(&again, told(&again)).await?;
    same("a second report", &saved, &SavedDeploy::Known)?;
    same("the deploy", &store.deploy(&parsed("d1")).await?, &Some(first))?;
    same("what is told", &store.due(at(0), 9).await?, &queued)
}

pub(super) async fn a_late_report_is_not_the_latest_deploy(store: &dyn Store) -> Outcome {
    deployed(store, &card("new", key(), at(20))).await?;
    deployed(store, &card("old", key(), at(10))).await?;
    deployed(store, &card("elsewhere", staging(), at(30))).await?;
    let latest = LatestDeploy::new(parsed("new"), Some(parsed("new")), at(20));
    same("the latest", &store.record(&key()).await?.latest_deploy, &Some(latest))?;
    deployed(store, &card("same-time", key(), at(20))).await?;
    let latest = LatestDeploy::new(parsed("same-time"), Some(parsed("same-time")), at(20));
    same("of two at once", &store.record(&key()).await?.latest_deploy, &Some(latest))
}

pub(super) async fn a_known_deploy_is_updated_and_an_unknown_one_left_alone(
    store: &dyn Store,
) -> Outcome {
    let mut kept = card("d1", key(), at(0));
    deployed(store, &kept).await?;
    kept.superseded_by = Some("d2".into());
    kept.deploy.revision = Some(parsed("43"));
    store.update_deploy(&kept, told(&kept)).await?;
    same("the deploy", &store.deploy(&parsed("d1")).await?, &Some(kept))?;
    let latest = LatestDeploy::new(parsed("d1"), Some(parsed("43")), at(0));
    same("the latest", &store.record(&key()).await?.latest_deploy, &Some(latest))?;
    let versions = |due: Vec<Queued>| due.iter().map(|one| one.version).collect::<Vec<_>>();
    same("what is told", &versions(store.due(at(0), 9).await?), &vec![2])?;
    let unknown = card("d9", key(), at(9));
    store.update_deploy(&unknown, told(&unknown)).await?;
    same("the unknown", &store.deploy(&parsed("d9")).await?, &None)?;
    same("what is told", &versions(store.due(at(0), 9).await?), &vec![2])
}

pub(super) async fn deploys_are_newest_first_and_of_one_service(store: &dyn Store) -> Outcome {
    for (id, seconds) in [("b", 20), ("c", 20), ("a", 30), ("d", 10)] {
        deployed(store, &card(id, key(), at(seconds))).await?;
    }
    deployed(store, &card("elsewhere", staging(), at(40))).await?;
    let ids = |deploys: Vec<Deploy>| {
        deploys.into_iter().map(|deploy| deploy.id.to_string()).collect::<Vec<_>>()
    };
    let all = ["a", "c", "b", "d"].map(String::from).to_vec();
    same("the deploys", &ids(store.deploys(&key(), 9).await?), &all)?;
    let newest = ["a", "c"].map(String::from).to_vec();
    same("the newest", &ids(store.deploys(&key(), 2).await?), &newest)?;
    same("none", &ids(store.deploys(&key(), 0).await?), &Vec::new())
}

pub(super) async fn of_a_service_without_a_past_nothing_is_known(store: &dyn Store) -> Outcome {
    same("the record", &store.record(&key()).await?, &ServiceRecord::default())?;
    same("the freezes", &store.freezes(&key()).await?, &Vec::new())?;
    same("the deploys", &store.deploys(&key(), 9).await?, &Vec::new())
}

pub(super) async fn the_holder_of_a_service_is_in_flight(store: &dyn Store) -> Outcome {
    let commits = Script::new("rb-1").commits(Ending::Succeeded);
    for commit in commits {
        let holds = commit.holds_service.then(|| commit.rollback.clone());
        take(store, [commit]).await?;
        same("what is in flight", &store.record(&key()).await?.in_flight, &holds)?;
        same("elsewhere", &store.record(&staging()).await?, &ServiceRecord::default())?;
    }
    take(store, Script::new("rb-2").commits(Ending::Unknown)).await?;
    let held = store.record(&key()).await?.in_flight;
    same("an unknown outcome", &held, &Some(parsed("rb-2")))
}

pub(super) async fn what_was_ordered_and_ended_is_the_last_rollback(store: &dyn Store) -> Outcome {
    // The one that ended last is reported first.
    for (id, from, opened, ending) in [
        ("rb-3", "53", 3_000, Ending::NotVerified),
        ("rb-1", "51", 100, Ending::Succeeded),
        ("rb-2", "52", 200, Ending::Settled),
    ] {
        let script = Script::new(id).away_from(from).opened_at(at(opened));
        take(store, script.commits(ending)).await?;
    }
    let record = store.record(&key()).await?;
    let ended = Script::new("rb-3").opened_at(at(3_000)).commits(Ending::NotVerified).pop();
    let ended = ended.and_then(|commit| commit.view.ended_at);
    let ended = ended.ok_or_else(|| Failure("the script has no end".into()))?;
    let last = LastRollback::new(parsed("rb-3"), ended);
    same("the last rollback", &record.last_rollback, &Some(last))?;
    same("left", &record.rolled_back_from, &revisions(&["51", "52", "53"]))
}

pub(super) async fn a_rollback_without_an_order_leaves_no_trace(store: &dyn Store) -> Outcome {
    for (id, ending) in [("rb-1", Ending::Refused), ("rb-2", Ending::Absent)] {
        take(store, Script::new(id).commits(ending)).await?;
    }
    // Ordered and not ended: only in flight.
    let running = Script::new("rb-3").commits(Ending::Succeeded);
    ensure(running.get(5).is_some_and(|commit| commit.was_ordered), "nothing was ordered")?;
    take(store, running.into_iter().take(6)).await?;
    let mut expected = ServiceRecord::default();
    expected.in_flight = Some(parsed("rb-3"));
    same("the record", &store.record(&key()).await?, &expected)
}

pub(super) async fn a_failed_rollback_led_away_from_nothing(store: &dyn Store) -> Outcome {
    take(store, Script::new("rb-1").commits(Ending::Failed)).await?;
    take(store, Script::new("rb-2").opened_at(at(99)).commits(Ending::Cancelled)).await?;
    let record = store.record(&key()).await?;
    same("left", &record.rolled_back_from, &BTreeSet::new())?;
    let last = record.last_rollback.map(|last| last.id);
    same("the last rollback", &last, &Some(parsed("rb-2")))
}

pub(super) async fn a_drill_leaves_no_trace(store: &dyn Store) -> Outcome {
    for commit in Script::new("rb-1").as_drill().commits(Ending::Succeeded) {
        // Even one that claims to have been ordered.
        let mut commit = commit;
        commit.was_ordered = true;
        take(store, [commit]).await?;
        same("the record", &store.record(&key()).await?, &ServiceRecord::default())?;
    }
    Ok(())
}

pub(super) async fn a_revision_marked_bad_stays_bad_for_the_latest_reason(
    store: &dyn Store,
) -> Outcome {
    for (revision, why) in [("41", "leaks"), ("40", "slow"), ("41", "leaks memory")] {
        ensure(change(store, &key(), &mark_bad(revision, why), at(0)).await?, "it was not marked")?;
    }
    change(store, &staging(), &mark_bad("39", "elsewhere"), at(0)).await?;
    let bad = store.record(&key()).await?.marked_bad;
    let expected = [("40", "slow (Watcher)"), ("41", "leaks memory (Watcher)")]
        .map(|(revision, why)| (parsed(revision), why.into()))
        .into_iter()
        .collect();
    same("what is bad", &bad, &expected)
}

pub(super) async fn a_revision_is_marked_bad_no_longer_where_it_was(store: &dyn Store) -> Outcome {
    let lifted = ServiceChange::UnmarkBad { revision: parsed("41"), reason: None };
    change(store, &key(), &mark_bad("41", "leaks"), at(0)).await?;
    change(store, &staging(), &mark_bad("41", "leaks"), at(0)).await?;
    ensure(change(store, &key(), &lifted, at(1)).await?, "the mark was not lifted")?;
    ensure(!change(store, &key(), &lifted, at(2)).await?, "a mark was lifted twice")?;
    same("what is bad", &store.record(&key()).await?.marked_bad.len(), &0)?;
    same("elsewhere", &store.record(&staging()).await?.marked_bad.len(), &1)
}

/// The freeze as it is kept.
fn kept(name: &str, until: Option<Timestamp>, from: Timestamp) -> Freeze {
    let record = changed("kept", &key(), &freeze(name, until), from);
    rollback_core::change::freeze(&name.into(), until, &record)
}

pub(super) async fn a_freeze_is_set_replaced_and_lifted(store: &dyn Store) -> Outcome {
    let set = |name: &'static str, until, from| {
        let wanted = freeze(name, until);
        async move { change(store, &key(), &wanted, from).await }
    };
    set("sale", Some(at(9)), at(0)).await?;
    set("audit", None, at(5)).await?;
    set("sale", None, at(1)).await?;
    let (audit, longer) = (kept("audit", None, at(5)), kept("sale", None, at(1)));
    same("the freezes", &store.freezes(&key()).await?, &vec![audit, longer.clone()])?;
    same("elsewhere", &store.freezes(&staging()).await?, &Vec::new())?;
    ensure(change(store, &key(), &unfreeze("audit"), at(6)).await?, "it was not lifted")?;
    ensure(!change(store, &key(), &unfreeze("never set"), at(6)).await?, "nothing was lifted")?;
    ensure(!change(store, &staging(), &unfreeze("sale"), at(6)).await?, "another's was lifted")?;
    same("the freezes", &store.freezes(&key()).await?, &vec![longer])
}

pub(super) async fn a_change_is_recorded_and_told_with_it_or_not_at_all(
    store: &dyn Store,
) -> Outcome {
    let told = |name: &str| {
        let by = Changer::Machine(Proposer::new("agent-7", None));
        let changed = ServiceChanged::new(key(), unfreeze(name), by, at(1));
        let notice = Notice::Changed(Box::new(changed));
        vec![Queued::new("chat", format!("changed:{name}"), notice, parsed("C1"))]
    };
    let wanted = freeze("sale", None);
    let record = changed("change/1", &key(), &wanted, at(1));
    ensure(store.change(&key(), &wanted, record.clone(), told("one")).await?, "it is new")?;
    let lifted = unfreeze("never set");
    let nothing = changed("change/2", &key(), &lifted, at(2));
    ensure(!store.change(&key(), &lifted, nothing, told("two")).await?, "nothing was lifted")?;
    let log = store.audit(&Query::all(9)).await?;
    same("the records", &log.iter().map(|one| &one.draft).collect::<Vec<_>>(), &vec![&record])?;
    let due = store.due(at(9), 9).await?;
    same(
        "what is told",
        &due.iter().map(|one| one.key.as_str()).collect::<Vec<_>>(),
        &vec!["changed:one"],
    )?;
    // The same again, after an answer that was lost, is no second record.
    store.change(&key(), &wanted, record, told("one")).await?;
    same("the records", &store.head().await?.sequence, &1)
}

pub(super) async fn a_record_of_no_rollback_has_its_place_and_is_no_rollbacks(
    store: &dyn Store,
) -> Outcome {
    take(store, Script::new("rb-1").commits(Ending::Refused)).await?;
    let before = store.head().await?.sequence;
    let denied = changed("change/1", &key(), &freeze("sale", None), at(1));
    store.append(denied.clone()).await?;
    store.append(denied.clone()).await?;
    same("the end of the log", &store.head().await?.sequence, &before.saturating_add(1))?;
    let mut of_the_service = Query::all(99);
    of_the_service.service = Some(key().service.as_str().into());
    let log = store.audit(&of_the_service).await?;
    same("the last record", &log.last().map(|one| &one.draft), &Some(&denied))?;
    let mut of_the_rollback = Query::all(99);
    of_the_rollback.rollback = Some(parsed("rb-1"));
    let log = store.audit(&of_the_rollback).await?;
    ensure(log.iter().all(|one| one.draft != denied), "it is a rollback's")
}
