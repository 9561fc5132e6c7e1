//! Deploys, what is known of services, freezes.

use super::{Failure, Outcome, ensure, same, take};
use crate::fixtures::{at, key, parsed, reference, revision};
use crate::script::{Ending, Script};
use rollback_core::known_good::Choice;
use rollback_core::notice::{DeployCard, Notice};
use rollback_core::observed::{Freeze, LastRollback, LatestDeploy, ServiceRecord};
use rollback_core::ports::{Queued, SavedDeploy, Store};
use rollback_core::{Deploy, RevisionId, ServiceKey, Timestamp};
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
        store.mark_bad(&key(), &parsed(revision), &why.into()).await?;
    }
    store.mark_bad(&staging(), &parsed("39"), &"elsewhere".into()).await?;
    let bad = store.record(&key()).await?.marked_bad;
    let expected = [("40", "slow"), ("41", "leaks memory")]
        .map(|(revision, why)| (parsed(revision), why.into()))
        .into_iter()
        .collect();
    same("what is bad", &bad, &expected)
}

pub(super) async fn a_freeze_is_set_replaced_and_lifted(store: &dyn Store) -> Outcome {
    let sale = Freeze::new("sale", at(0), Some(at(9)));
    let longer = Freeze::new("sale", at(0), None);
    let audit = Freeze::new("audit", at(5), None);
    store.set_freeze(&key(), &"sale".into(), Some(sale)).await?;
    store.set_freeze(&key(), &"audit".into(), Some(audit.clone())).await?;
    store.set_freeze(&key(), &"sale".into(), Some(longer.clone())).await?;
    same("the freezes", &store.freezes(&key()).await?, &vec![audit, longer.clone()])?;
    same("elsewhere", &store.freezes(&staging()).await?, &Vec::new())?;
    store.set_freeze(&key(), &"audit".into(), None).await?;
    store.set_freeze(&key(), &"never set".into(), None).await?;
    store.set_freeze(&staging(), &"sale".into(), None).await?;
    same("the freezes", &store.freezes(&key()).await?, &vec![longer])
}
