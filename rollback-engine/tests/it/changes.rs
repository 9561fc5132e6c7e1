//! Freezes, marks on revisions and repeated proposals: who may, what is told, and what is on record.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use crate::common::{Host, Setup, Site, paused};
use rollback_core::ports::{CommandError, Commands};
use rollback_core::{
    Proposer, Reason, RevisionId, ServiceChange, ServiceChanged, StateName, notice::Notice,
};
use rollback_engine::Proposal;
use rollback_testkit::Fate;
use rollback_testkit::fixtures::{self, Person, ana, eve, finn, parsed};
use std::time::Duration;

async fn open() -> (Site, Host) {
    let site = Site::new(Setup::default());
    let host = site.boot(Fate::Spared);
    host.engine.deployed(site.deploy()).await.unwrap();
    (site, host)
}

async fn changes(
    host: &Host,
    person: &Person,
    change: &ServiceChange,
) -> Result<bool, CommandError> {
    host.engine.change_service(&fixtures::key(), change.clone(), person.actor()).await
}

/// What was told of changes, in the order in which it was told.
async fn told(site: &Site) -> Vec<ServiceChanged> {
    site.settle().await;
    let changed = |message: &rollback_testkit::Message| match message.now() {
        Some(Notice::Changed(changed)) => Some((**changed).clone()),
        _ => None,
    };
    site.chat.messages().iter().filter_map(changed).collect()
}

/// The kinds of the records that are no rollback's, with what was decided.
async fn recorded(site: &Site) -> Vec<(&'static str, String)> {
    let all = rollback_core::ports::Query::all(10_000);
    let records = site.store.audit(&all).await.unwrap();
    let of_none = records.iter().filter(|record| record.draft.operation_id.is_none());
    of_none
        .map(|record| {
            let decision = record.draft.decision.as_ref().map(ToString::to_string);
            (record.draft.kind.as_str(), decision.unwrap_or_default())
        })
        .collect()
}

#[test]
fn an_owner_freezes_a_service_and_whoever_clicks_reads_why_and_whom_to_ask() {
    paused(async {
        let (site, host) = open().await;
        assert_eq!(changes(&host, &ana(), &fixtures::freeze("sale", None)).await, Ok(true));
        let id = host.click(&finn()).await.id;
        let view = site.ended(&id).await;
        assert_eq!(view.state, StateName::Refused);
        let frozen = view.guards.iter().find(|guard| guard.name.as_str() == "freeze").unwrap();
        assert_eq!(frozen.verdict.as_str(), "block");
        for word in ["`sale`", "until it is lifted", "error rate is up 4x", "ask Ana"] {
            assert!(frozen.explanation.contains(word), "{word}: {}", frozen.explanation);
        }

        assert_eq!(changes(&host, &ana(), &fixtures::unfreeze("sale")).await, Ok(true));
        assert_eq!(changes(&host, &ana(), &fixtures::unfreeze("sale")).await, Ok(false));
        let id = host.click_and_confirm(&site, &ana()).await;
        assert_eq!(site.ended(&id).await.state, StateName::Succeeded);

        let told = told(&site).await;
        let kinds: Vec<&str> = told.iter().map(|one| one.change.kind().as_str()).collect();
        assert_eq!(kinds, ["frozen", "unfrozen"]);
        assert!(told.iter().all(|one| one.by.name().as_str() == "Ana"), "{told:?}");
        let allowed = String::from("allowed by `checkout owners`");
        assert_eq!(recorded(&site).await, [("frozen", allowed.clone()), ("unfrozen", allowed)]);
        let _evidence = site.holds("frozen").await;
    });
}

#[test]
fn whoever_may_not_or_cannot_be_looked_up_changes_nothing_and_is_on_record() {
    paused(async {
        let (site, host) = open().await;
        let freeze = fixtures::freeze("sale", None);
        let Err(CommandError::Denied(text)) = changes(&host, &eve(), &freeze).await else {
            panic!("eve froze it")
        };
        assert!(text.contains("no rule names you") && text.contains("ask"), "{text}");
        site.directory.break_down("the directory is down");
        let Err(CommandError::Denied(text)) = changes(&host, &finn(), &freeze).await else {
            panic!("somebody unknown froze it")
        };
        assert!(text.contains("could not be found out"), "{text}");
        assert_eq!(site.store.freezes(&fixtures::key()).await.unwrap(), []);
        assert_eq!(told(&site).await, []);
        let kinds: Vec<&str> = recorded(&site).await.into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(kinds, ["denied", "denied"]);
        let _evidence = site.holds("denied").await;
    });
}

#[test]
fn a_change_through_break_glass_is_told_to_on_call_besides() {
    paused(async {
        let (site, host) = open().await;
        assert_eq!(changes(&host, &finn(), &fixtures::freeze("sale", None)).await, Ok(true));
        let paged: Vec<bool> =
            told(&site).await.iter().map(|one| one.through_break_glass).collect();
        assert_eq!(paged, [false, true]);
        let records = recorded(&site).await;
        assert_eq!(records, [("frozen", "allowed by `break-glass`".into())]);
        // It needs a reason, also to lift a freeze.
        let silent = fixtures::unfreeze("sale");
        assert_eq!(changes(&host, &finn(), &silent).await, Err(CommandError::ReasonMissing));
        let reason = Some(fixtures::reason());
        let said = ServiceChange::Unfreeze { name: "sale".into(), reason };
        assert_eq!(changes(&host, &finn(), &said).await, Ok(true));
    });
}

#[test]
fn a_freeze_that_would_be_over_already_is_no_freeze() {
    paused(async {
        let (site, host) = open().await;
        let over = fixtures::freeze("sale", Some(site.now()));
        let refused = changes(&host, &ana(), &over).await;
        assert!(matches!(refused, Err(CommandError::Pointless(_))), "{refused:?}");
        let mine = fixtures::freeze("sale", Some(site.now().after(Duration::from_secs(60))));
        assert_eq!(changes(&host, &ana(), &mine).await, Ok(true));
        tokio::time::sleep(Duration::from_secs(61)).await;
        let id = host.click_and_confirm(&site, &ana()).await;
        assert_eq!(site.ended(&id).await.state, StateName::Succeeded, "it is over");
    });
}

#[test]
fn a_revision_is_marked_bad_by_any_of_its_names_and_only_if_it_is_one() {
    paused(async {
        let (site, host) = open().await;
        let target = async || {
            let status = host.engine.status(&fixtures::key()).await.unwrap();
            (status.target.map(|target| target.id.to_string()), status.skipped)
        };
        assert_eq!(target().await.0.as_deref(), Some("41"));
        let refused = changes(&host, &ana(), &fixtures::mark_bad("999", "leaks")).await;
        assert!(matches!(refused, Err(CommandError::NoTarget(_))), "{refused:?}");
        assert_eq!(changes(&host, &ana(), &fixtures::mark_bad("41", "leaks")).await, Ok(true));
        let (chosen, skipped) = target().await;
        assert_eq!(chosen.as_deref(), Some("40"));
        let why = skipped.first().unwrap().skip.to_string();
        assert!(why.contains("leaks (Ana)"), "{why}");
        // The button leads there, too; a repeat is neither recorded nor told again.
        button_leads_to(&site, "40").await;
        assert_eq!(changes(&host, &ana(), &fixtures::mark_bad("41", "leaks")).await, Ok(false));
        let lifted =
            ServiceChange::UnmarkBad { revision: RevisionId::parse("41").unwrap(), reason: None };
        assert_eq!(changes(&host, &ana(), &lifted).await, Ok(true));
        assert_eq!(target().await.0.as_deref(), Some("41"));
        let _evidence = site.holds("marked").await;
    });
}

/// Waits until the deploy message offers this revision.
async fn button_leads_to(site: &Site, revision: &str) {
    for _look in 0..1_000 {
        let card = site.store.deploy(&site.deploy().id).await.unwrap().unwrap();
        let target = card.choice.target.map(|target| target.id.to_string());
        if target.as_deref() == Some(revision) && !card.undecided {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("the button never led to {revision}");
}

#[test]
fn while_the_cd_system_is_silent_no_name_is_taken_for_a_revision() {
    paused(async {
        let (site, host) = open().await;
        site.cd.cut();
        let refused = changes(&host, &ana(), &fixtures::mark_bad("41", "leaks")).await;
        let Err(CommandError::NoTarget(text)) = refused else { panic!("{refused:?}") };
        assert!(text.contains("could not be looked up"), "{text}");
        assert!(site.store.record(&fixtures::key()).await.unwrap().marked_bad.is_empty());
    });
}

#[test]
fn a_machine_changes_by_its_token_and_is_named() {
    paused(async {
        let (site, host) = open().await;
        let (key, freeze) = (fixtures::key(), fixtures::freeze("sale", None));
        let by = Proposer::new("api:ci", Some("CI".into()));
        let changed = host.engine.change_service_by_machine(&key, freeze, by, "token ci");
        assert_eq!(changed.await, Ok(true));
        assert_eq!(recorded(&site).await, [("frozen", "allowed by `token ci`".into())]);
        assert_eq!(told(&site).await[0].by.name().as_str(), "CI");
        let elsewhere = rollback_core::ServiceKey::new(parsed("billing"), parsed("production"));
        let by = Proposer::new("api:ci", None);
        let freeze = fixtures::freeze("sale", None);
        let refused = host.engine.change_service_by_machine(&elsewhere, freeze, by, "token ci");
        assert!(matches!(refused.await, Err(CommandError::NotConfigured(_))));
    });
}

fn proposal() -> Proposal {
    let by = Proposer::new("agent-7", Some("Watcher".into()));
    Proposal::new(fixtures::key(), fixtures::reason(), by).once("alert-4711")
}

#[test]
fn a_proposal_under_a_key_is_one_however_often_and_from_wherever_it_comes() {
    paused(async {
        let (site, host) = open().await;
        let (one, other) =
            tokio::join!(host.engine.propose(proposal()), host.engine.propose(proposal()));
        let id = one.unwrap().id;
        assert_eq!(other.unwrap().id, id);
        host.crash();
        let host = site.boot(Fate::Spared);
        assert_eq!(host.engine.propose(proposal()).await.unwrap().id, id);
        assert_eq!(site.views().await.len(), 1);
        // Also when it has ended long since.
        host.engine.withdraw(&id, ana().actor()).await.unwrap();
        let again = host.engine.propose(proposal()).await.unwrap();
        assert_eq!((again.id, site.views().await.len()), (id, 1));
        let _evidence = site.holds("proposed once").await;
    });
}

#[test]
fn a_repeat_that_names_its_target_as_people_do_is_the_same_proposal() {
    paused(async {
        let (site, host) = open().await;
        let mut history = fixtures::history();
        let one = history.iter_mut().find(|revision| revision.id.as_str() == "41").unwrap();
        one.call(parsed("release-7"), None);
        site.cd.set_history(history, Some(parsed("42")));
        let named = || proposal().to(parsed("release-7"));
        let id = host.engine.propose(named()).await.unwrap().id;
        assert_eq!(host.engine.propose(named()).await.unwrap().id, id);
        assert_eq!(site.view(&id).await.to.revision.as_str(), "41");
        assert_eq!(site.views().await.len(), 1);
    });
}

#[test]
fn something_else_under_the_same_key_is_refused_by_name() {
    paused(async {
        let (site, host) = open().await;
        let id = host.engine.propose(proposal()).await.unwrap().id;
        let mut reasoned = proposal();
        reasoned.reason = Reason::parse("something else").unwrap();
        let mut by_another = proposal();
        by_another.by = Proposer::new("agent-8", None);
        let named = ["40", "41"].map(|name| proposal().to(parsed(name)));
        for other in named.into_iter().chain([proposal().drill(), reasoned, by_another]) {
            let refused = host.engine.propose(other).await;
            assert_eq!(refused.map(|view| view.id), Err(CommandError::KeyUsed(id.clone())));
        }
        assert_eq!(site.views().await.len(), 1);
    });
}
