//! A rollback whose journal does not replay to what is stored was judged by other rules than those of
//! this release: nothing more is done for it, it is paged once, and a person decides.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::common::{Host, Setup, Site, paused};
use rollback_core::notice::Notice;
use rollback_core::ports::{CommandError, Commands as _, Commit, Query};
use rollback_core::{Cause, Outcome, Reason, RollbackId, RollbackView, StateName};
use rollback_testkit::fixtures::{self, ana, eve, finn};
use rollback_testkit::{Fate, Message};
use std::time::Duration;

/// A rollback that is being verified, and whose process has died; and how it stands.
async fn begun(site: &Site) -> (RollbackId, RollbackView) {
    let first = site.boot(Fate::Spared);
    first.engine.deployed(site.deploy()).await.unwrap();
    let id = first.click_and_confirm(site, &ana()).await;
    let view = site.until(&id, StateName::Verifying).await;
    first.crash();
    (id.clone(), view)
}

/// Puts another row beside the journal: as what this release makes of a journal would be another row
/// than the release before it wrote.
async fn rewritten(site: &Site, view: RollbackView) {
    let mut query = Query::all(1);
    query.rollback = Some(view.id.clone());
    let listed = site.store.list(&query).await.unwrap().pop().unwrap();
    let mut commit = Commit::new(view, listed.entries, site.now());
    (commit.holds_service, commit.was_ordered) = (listed.holds_service, listed.was_ordered);
    site.store.commit(commit).await.unwrap();
}

fn pages(site: &Site) -> usize {
    let needs = |notice: &Notice| matches!(notice, Notice::OnCall(view) if view.needs_somebody());
    let is_page =
        |message: &Message| message.shown.iter().filter(|(_, notice)| needs(notice)).count();
    site.chat.messages().iter().map(is_page).sum()
}

async fn a_while() {
    tokio::time::sleep(Duration::from_secs(60)).await;
}

/// Boots a process on a rollback that differs, and waits until it is stopped.
async fn stopped(site: &Site) -> (Host, RollbackId, RollbackView) {
    let (id, before) = begun(site).await;
    let mut other = before.clone();
    other.state = StateName::Running;
    rewritten(site, other).await;
    let host = site.boot(Fate::Spared);
    a_while().await;
    (host, id, before)
}

#[test]
fn a_rollback_that_replays_to_something_else_is_stopped_and_paged_once() {
    paused(async {
        let site = Site::new(Setup::default());
        let (host, id, _) = stopped(&site).await;
        let view = site.view(&id).await;
        assert_eq!(view.put_aside.unwrap().cause, Cause::Replay);
        let said = "its state is stored as `running`, and its journal replays to `verifying`";
        assert!(view.explanation.contains(said), "{}", view.explanation);
        assert_eq!(host.engine.stopped().await.unwrap(), [view]);
        assert_eq!(pages(&site), 1);
        // It holds its service, and nothing is done for it by whoever comes next.
        let record = site.store.record(&fixtures::key()).await.unwrap();
        assert_eq!(record.in_flight, Some(id.clone()));
        host.crash();
        let next = site.boot(Fate::Spared);
        a_while().await;
        assert_eq!(pages(&site), 1, "on-call knows");
        assert_eq!(site.cd.sends(), 1);
        assert_eq!(site.view(&id).await.state, StateName::Running);
        let refused = next.engine.withdraw(&id, ana().actor()).await.unwrap_err();
        assert!(matches!(refused, CommandError::Stopped(_)), "{refused}");
        let refused = next.engine.release(&id, ana().actor()).await.unwrap_err();
        assert!(matches!(refused, CommandError::Stopped(_)), "it would differ again: {refused}");
        assert_eq!(site.kinds(&id).await.last(), Some(&"put_aside"));
        next.crash();
    });
}

#[test]
fn a_person_settles_what_is_stopped_and_the_service_is_free() {
    paused(async {
        let site = Site::new(Setup::default());
        let (host, id, _) = stopped(&site).await;
        let finding = || Reason::parse("looked at it myself: it took effect").unwrap();
        let denied = host
            .engine
            .settle(&id, eve().actor(), Outcome::TookEffect, finding())
            .await
            .unwrap_err();
        assert!(denied.to_string().contains("settle a rollback"), "{denied}");
        assert!(matches!(denied, CommandError::Denied(_)), "{denied:?}");
        assert!(site.view(&id).await.put_aside.is_some(), "somebody who may not has settled it");
        assert_eq!(site.kinds(&id).await.last(), Some(&"denied"));
        let settled =
            host.engine.settle(&id, ana().actor(), Outcome::TookEffect, finding()).await.unwrap();
        assert_eq!((settled.state, settled.settled), (StateName::OutcomeUnknown, true));
        assert_eq!(site.view(&id).await, settled);
        assert_eq!(host.engine.stopped().await.unwrap(), []);
        let record = site.store.record(&fixtures::key()).await.unwrap();
        assert_eq!(record.in_flight, None);
        assert_eq!(site.kinds(&id).await.last(), Some(&"settled"));
        // Whoever reads it again finds the same difference, and leaves it at that.
        host.crash();
        let next = site.boot(Fate::Spared);
        a_while().await;
        assert_eq!(next.engine.view(&id).await.unwrap(), settled);
        assert_eq!((pages(&site), site.store.put_aside().await.unwrap()), (1, Vec::new()));
        next.crash();
    });
}

/// Neither adds an entry by which the other would notice it.
#[test]
fn of_two_replicas_that_settle_what_is_stopped_one_is_taken_and_the_other_is_told() {
    paused(async {
        let site = Site::new(Setup::default());
        let (host, id, _) = stopped(&site).await;
        let other = site.boot(Fate::Spared);
        let finding = |text: &str| Reason::parse(text).unwrap();
        let (yes, no) = (finding("it took effect: I looked"), finding("it did not: I looked"));
        let answers = tokio::join!(
            host.engine.settle(&id, ana().actor(), Outcome::TookEffect, yes),
            other.engine.settle(&id, ana().actor(), Outcome::NoEffect, no),
        );
        let (settled, refused) = match answers {
            (Ok(settled), Err(refused)) | (Err(refused), Ok(settled)) => (settled, refused),
            other => panic!("not exactly one was taken: {other:?}"),
        };
        assert!(matches!(refused, CommandError::Stopped(_)), "{refused:?}");
        assert_eq!(site.view(&id).await, settled);
        let kinds = site.kinds(&id).await;
        assert_eq!(kinds.iter().filter(|kind| **kind == "settled").count(), 1, "{kinds:?}");
        host.crash();
        other.crash();
    });
}

#[test]
fn on_call_is_paged_when_only_break_glass_lets_somebody_settle_what_is_stopped() {
    paused(async {
        let site = Site::new(Setup::default());
        let (host, id, _) = stopped(&site).await;
        let finding = Reason::parse("nobody else is there: it took effect").unwrap();
        let settled =
            host.engine.settle(&id, finn().actor(), Outcome::TookEffect, finding).await.unwrap();
        assert!(settled.settled);
        a_while().await;
        let is_told = |message: &Message| {
            message.shown.iter().any(|(_, notice)| matches!(notice, Notice::BreakGlass { .. }))
        };
        assert_eq!(site.chat.messages().iter().filter(|message| is_told(message)).count(), 1);
        host.crash();
    });
}

/// The release that opened it was started again.
#[test]
fn what_replays_again_goes_on_once_a_person_releases_it() {
    paused(async {
        let site = Site::new(Setup::default());
        let (host, id, before) = stopped(&site).await;
        host.crash();
        let mut right = before;
        right.put_aside = site.view(&id).await.put_aside;
        rewritten(&site, right).await;
        let next = site.boot(Fate::Spared);
        a_while().await;
        assert_eq!(site.view(&id).await.state, StateName::Verifying, "nobody released it");
        // Whatever else is said in between, it can still be released.
        let finding = Reason::parse("I only think so").unwrap();
        drop(
            next.engine.settle(&id, eve().actor(), Outcome::TookEffect, finding).await.unwrap_err(),
        );
        let denied = next.engine.release(&id, eve().actor()).await.unwrap_err();
        assert!(matches!(denied, CommandError::Denied(_)), "{denied:?}");
        assert_eq!(site.kinds(&id).await.last(), Some(&"denied"));
        assert_eq!(
            site.view(&id).await.put_aside.unwrap().cause,
            Cause::Replay,
            "it did not crash"
        );
        let _released = next.engine.release(&id, ana().actor()).await.unwrap();
        let ended = site.ended(&id).await;
        assert_eq!(ended.state, StateName::Succeeded, "{}", ended.explanation);
        assert_eq!((pages(&site), site.cd.sends(), site.cd.effects()), (1, 1, 1));
        let _evidence = site.holds("a rollback that was stopped and released").await;
        next.crash();
    });
}
