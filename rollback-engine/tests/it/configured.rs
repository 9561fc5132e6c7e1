//! Replicas that are configured differently: nothing is sent under another policy, or to another CD
//! system, than the rollback was opened for.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::common::{Setup, Site, paused};
use rollback_core::ports::Query;
use rollback_core::{RollbackId, StateName};
use rollback_testkit::Fate;
use rollback_testkit::fakes::{Fault, Method};
use rollback_testkit::fixtures::{self, ana};
use std::time::Duration;

/// A rollback that waits for its confirmation, and whose process has stopped.
async fn opened(site: &Site) -> RollbackId {
    let opener = site.boot(Fate::Spared);
    opener.engine.deployed(site.deploy()).await.unwrap();
    let id = opener.click(&ana()).await.id;
    site.shown(&id).await;
    opener.stop().await;
    id
}

#[test]
fn an_order_is_refused_by_a_replica_with_another_policy_and_nothing_is_sent() {
    paused(async {
        let mut site = Site::new(Setup::default());
        let id = opened(&site).await;
        // Not even stricter rules are good enough: nobody has looked at this one under them.
        site.setup.settle = Duration::from_secs(17);
        let other = site.boot(Fate::Spared);
        let _confirmed = other.confirm(&id, &ana()).await;
        let view = site.ended(&id).await;
        assert_eq!(view.state, StateName::Refused, "{}", view.explanation);
        assert!(view.explanation.contains("the policy of this service"), "{}", view.explanation);
        assert_eq!(site.cd.sends(), 0);
        let again = other.click_and_confirm(&site, &ana()).await;
        let view = site.ended(&again).await;
        assert_eq!(view.state, StateName::Succeeded, "{}", view.explanation);
        let _evidence = site.holds("another policy").await;
    });
}

#[test]
fn the_intent_is_on_record_with_the_policy_that_it_is_held_to() {
    paused(async {
        let site = Site::new(Setup::default());
        let host = site.boot(Fate::Spared);
        host.engine.deployed(site.deploy()).await.unwrap();
        let id = host.click_and_confirm(&site, &ana()).await;
        site.ended(&id).await;
        let journal = site.store.load(&id).await.unwrap().unwrap();
        let records = site.store.audit(&Query::all(99)).await.unwrap();
        let intent = records.iter().find(|record| record.draft.kind.as_str() == "triggered");
        let decision = intent.unwrap().draft.decision.clone().unwrap();
        assert_eq!(decision.as_str(), format!("policy {}", journal.opening.policy.digest()));
        let mut stricter = journal.opening.policy.clone();
        stricter.approvals_min = 1;
        assert_ne!(stricter.digest(), journal.opening.policy.digest());
    });
}

#[test]
fn an_order_goes_to_no_other_cd_system_than_it_was_opened_for() {
    paused(async {
        let mut site = Site::new(Setup::default());
        let id = opened(&site).await;
        site.setup.backend = "elsewhere";
        let other = site.boot(Fate::Spared);
        let _confirmed = other.confirm(&id, &ana()).await;
        let view = site.ended(&id).await;
        assert_eq!(view.state, StateName::Refused, "{}", view.explanation);
        assert!(view.explanation.contains("the backend of this service"), "{}", view.explanation);
        assert_eq!(site.cd.sends(), 0);
    });
}

/// What another CD system says of an order that it never got would be taken for a proof.
#[test]
fn an_order_in_doubt_is_left_to_whoever_reaches_its_cd_system() {
    paused(async {
        let mut site = Site::new(Setup::default());
        let opener = site.boot(Fate::Spared);
        opener.engine.deployed(site.deploy()).await.unwrap();
        site.cd.fail(Method::Start, Fault::LoseAnswer);
        site.cd.fail(Method::Find, Fault::Hang);
        let id = opener.click_and_confirm(&site, &ana()).await;
        site.until_that(&id, |view| view.in_doubt, "in doubt").await;
        opener.crash();
        let looks = |site: &Site| {
            let calls = site.cd.calls();
            calls.iter().filter(|call| matches!(call, Method::Find | Method::Fence)).count()
        };
        let before = looks(&site);
        site.setup.backend = "elsewhere";
        let other = site.boot(Fate::Spared);
        tokio::time::sleep(Duration::from_secs(25)).await;
        assert_eq!(looks(&site), before, "the wrong CD system was asked");
        assert_eq!(site.view(&id).await.state, StateName::Triggering);
        other.stop().await;
        site.setup.backend = "prod";
        let _right = site.boot(Fate::Spared);
        let view = site.ended(&id).await;
        assert_eq!(view.state, StateName::Succeeded, "{}", view.explanation);
        assert_eq!(site.cd.effects(), 1);
        let _evidence = site.holds(fixtures::key().service.as_str()).await;
    });
}
