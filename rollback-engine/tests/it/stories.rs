//! Whole stories on fakes and paused time: what people do, what they see, and what is on record.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::common;
use crate::common::{Setup, Site, limits, paused};
use rollback_core::access::Account;
use rollback_core::notice::{MessageRef, Notice};
use rollback_core::observed::Preflight;
use rollback_core::ports::{
    Button, ClickedOn, CommandError, Commands, CompareAndSet, Fence, Freshness, Retention,
    SavedDeploy,
};
use rollback_core::{
    Migrations, Outcome, Phase, Progress, Proposer, Purpose, Reason, StateName, WaitsFor,
};
use rollback_engine::Proposal;
use rollback_testkit::Fate;
use rollback_testkit::fakes::{Fault, Method, NotifierFault, SinkFault};
use rollback_testkit::fixtures::{self, ana, bo, cleo, eve, finn, parsed};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// A site with its deploy reported, and an engine.
async fn open(setup: Setup) -> (Site, common::Host) {
    let site = Site::new(setup);
    let host = site.boot(Fate::Spared);
    let report = host.engine.deployed(site.deploy()).await.unwrap();
    assert_eq!(report.saved, SavedDeploy::New);
    (site, host)
}

#[test]
fn ana_rolls_back_and_everybody_hears_of_it_once() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        let id = host.click_and_confirm(&site, &ana()).await;
        let view = site.ended(&id).await;
        assert_eq!(view.state, StateName::Succeeded, "{}", view.explanation);
        let _evidence = site.holds("happy").await;
        assert_eq!((site.cd.sends(), site.cd.effects()), (1, 1));
        let kinds = [
            "requested",
            "confirmed",
            "triggered",
            "phase",
            "phase",
            "phase",
            "phase",
            "succeeded",
        ];
        assert_eq!(site.kinds(&id).await, kinds);
        let thread = site.thread();
        assert_eq!(thread.len(), 6, "{thread:?}");
        assert_eq!((thread[0].as_str(), thread[1].as_str()), ("Confirmed", "Triggered"));
        assert_eq!(thread[5], "Ended");
        // What the last line tells is the end of the audit log as it was then, and no other does.
        let witnesses: Vec<rollback_core::audit::Head> =
            site.chat.messages().into_iter().filter_map(|message| message.witness).collect();
        let head = host.engine.head().await.unwrap();
        assert_eq!(witnesses, [head]);
        let cards = site.cards("ci-42");
        assert!(cards.first().unwrap().choice.target.is_some(), "the button is there at first");
        let last = cards.last().unwrap().rollback.as_ref().unwrap();
        assert_eq!((last.state, &last.reason), (StateName::Succeeded, &Some(fixtures::reason())));
        let keys: Vec<String> =
            site.chat.messages().iter().map(|message| message.key.to_string()).collect();
        assert!(keys.contains(&format!("deployer:{id}")), "the deployer is told: {keys:?}");
    });
}

#[test]
fn a_stranger_is_turned_away_with_the_names_of_those_who_may() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        let view = site.ended(&host.click(&eve()).await.id).await;
        assert_eq!(view.state, StateName::Denied);
        let _evidence = site.holds("denied").await;
        let told = site.whispers(&eve());
        assert_eq!(told.len(), 1);
        assert!(
            told[0].contains("no rule names you") && told[0].contains("S0PAYMENTS"),
            "{told:?}"
        );
        assert!(site.thread().is_empty(), "nobody else is bothered");
        assert_eq!(site.cd.sends(), 0);
    });
}

#[test]
fn a_directory_that_is_down_lets_nobody_in_and_says_so() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        site.directory.break_down("the chat service does not answer");
        let view = site.ended(&host.click(&ana()).await.id).await;
        assert_eq!(view.state, StateName::Denied);
        assert!(view.explanation.contains("could not be found out"), "{}", view.explanation);
        assert!(view.explanation.contains("nothing was changed"), "{}", view.explanation);

        site.directory.heal();
        let id = host.click(&ana()).await.id;
        site.shown(&id).await;
        site.directory.break_down("the chat service does not answer");
        let view = host.confirm(&id, &ana()).await;
        assert_eq!(view.state, StateName::Denied, "the submit is checked afresh");
        let _evidence = site.holds("directory down").await;
        assert_eq!(site.cd.sends(), 0);
    });
}

#[test]
fn a_newer_deploy_stops_it_whenever_it_lands() {
    let newer = |site: &Site| site.cd.deploy(fixtures::revision("43", "2.15.0", site.now()));
    paused(async {
        let (site, host) = open(Setup::default()).await;
        newer(&site);
        let view = site.ended(&host.click(&ana()).await.id).await;
        assert_eq!(view.state, StateName::Refused, "before the click");
        assert!(view.explanation.contains("2.15.0"), "{}", view.explanation);
        let _evidence = site.holds("before the click").await;
    });
    paused(async {
        let (site, host) = open(Setup::default()).await;
        let id = host.click(&ana()).await.id;
        site.shown(&id).await;
        newer(&site);
        host.confirm(&id, &ana()).await;
        let view = site.ended(&id).await;
        assert_eq!(view.state, StateName::Refused, "while the modal is open");
        let _evidence = site.holds("while the modal is open").await;
        assert_eq!(site.cd.sends(), 0);
        assert!(site.thread().contains(&"Refused".to_owned()));
    });
    paused(async {
        let (site, host) = open(Setup::default()).await;
        site.cd.fail(Method::Start, Fault::Conflict);
        let id = host.click_and_confirm(&site, &ana()).await;
        let view = site.ended(&id).await;
        assert_eq!(view.state, StateName::Refused, "between the look and the order");
        let _evidence = site.holds("between the look and the order").await;
        assert_eq!(site.cd.effects(), 0);
    });
    paused(async {
        let (site, host) = open(Setup::default()).await;
        let id = host.click_and_confirm(&site, &ana()).await;
        site.until(&id, StateName::Verifying).await;
        newer(&site);
        let view = site.ended(&id).await;
        assert_eq!(view.state, StateName::NotVerified, "while the result is looked at");
        assert!(view.explanation.contains("somebody deployed meanwhile"), "{}", view.explanation);
        let _evidence = site.holds("while the result is looked at").await;
    });
}

#[test]
fn an_unknown_migration_leaves_no_button_and_says_why() {
    paused(async {
        let site = Site::new(Setup::default());
        let mut history = fixtures::history();
        history[0].migrations = Migrations::Unknown;
        site.cd.set_history(history, Some(parsed("42")));
        let host = site.boot(Fate::Spared);
        let mut deploy = site.deploy();
        deploy.migrations = Migrations::Unknown;
        let card = host.engine.deployed(deploy).await.unwrap().card;
        assert!(card.choice.target.is_none());
        assert!(card.choice.why.contains("migration"), "{}", card.choice.why);
        let refused = host.try_click(&ana()).await.unwrap_err();
        assert!(matches!(refused, CommandError::NoTarget(_)), "{refused}");
        let _evidence = site.holds("unknown migration").await;
    });
}

#[test]
fn a_cd_system_that_does_not_answer_is_a_refusal_in_words() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        site.cd.cut();
        let view = site.ended(&host.click(&ana()).await.id).await;
        assert_eq!(view.state, StateName::Refused);
        assert!(view.explanation.contains("could not be evaluated"), "{}", view.explanation);
        site.cd.heal();
        for _method in 0..4 {
            site.cd.fail(Method::Live, Fault::Hang);
        }
        let view = site.ended(&host.click(&ana()).await.id).await;
        assert_eq!(view.state, StateName::Refused, "hanging is not answering");
        assert!(view.explanation.contains("did not answer within"), "{}", view.explanation);
        let _evidence = site.holds("cd down").await;
        assert_eq!(site.cd.sends(), 0);
    });
}

#[test]
fn a_way_back_that_was_not_known_is_looked_up_again_by_itself() {
    paused(async {
        let site = Site::new(Setup::default());
        site.cd.cut();
        let host = site.boot(Fate::Spared);
        let card = host.engine.deployed(site.deploy()).await.unwrap().card;
        assert!(card.choice.target.is_none());
        site.cd.heal();
        tokio::time::sleep(MINUTE).await;
        site.settle().await;
        let cards = site.cards("ci-42");
        assert!(cards.last().unwrap().choice.target.is_some(), "the button comes by itself");
        let id = host.click_and_confirm(&site, &ana()).await;
        assert_eq!(site.ended(&id).await.state, StateName::Succeeded);
    });
}

#[test]
fn of_two_who_confirm_at_once_one_rolls_back_and_the_other_is_told_who() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        let (first, second) = (host.click(&ana()).await.id, host.click(&bo()).await.id);
        site.shown(&first).await;
        site.shown(&second).await;
        let (people, ids) = ((ana(), bo()), (first, second));
        tokio::join!(host.confirm(&ids.0, &people.0), host.confirm(&ids.1, &people.1));
        let (one, other) = (site.ended(&ids.0).await, site.ended(&ids.1).await);
        let states = [one.state, other.state];
        assert!(states.contains(&StateName::Succeeded), "{states:?}");
        assert!(states.contains(&StateName::Refused), "{states:?}");
        let loser = if one.state == StateName::Refused { &one } else { &other };
        let winner = if one.state == StateName::Refused { &other } else { &one };
        assert!(loser.explanation.contains(winner.id.as_str()), "{}", loser.explanation);
        let _evidence = site.holds("two at once").await;
        assert_eq!(site.cd.sends(), 1);
    });
}

#[test]
fn a_click_while_another_one_runs_is_refused_and_the_message_keeps_the_one_that_runs() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        site.cd.set_phases([Phase::Started; 100]);
        let id = host.click_and_confirm(&site, &ana()).await;
        site.until(&id, StateName::Running).await;
        let view = site.ended(&host.click(&bo()).await.id).await;
        assert_eq!(view.state, StateName::Refused);
        site.settle().await;
        let shown = site.cards("ci-42").last().unwrap().rollback.clone().unwrap();
        assert_eq!(shown.id, id);
        host.engine.withdraw(&id, ana().actor()).await.unwrap();
        assert_eq!(site.ended(&id).await.state, StateName::Withdrawn);
        let _evidence = site.holds("click while running").await;
    });
}

#[test]
fn four_eyes_are_four_eyes() {
    paused(async {
        let (site, host) = open(Setup { approvals: 1, ..Setup::default() }).await;
        let id = host.click_and_confirm(&site, &ana()).await;
        assert_eq!(site.view(&id).await.state, StateName::Approving);
        for person in [ana(), fixtures::ana_again(), eve(), fixtures::guest(), fixtures::dan()] {
            let view = host.engine.approve(&id, person.actor()).await.unwrap();
            assert_eq!(view.state, StateName::Approving, "{} approved", person.name);
        }
        host.engine.approve(&id, bo().actor()).await.unwrap();
        assert_eq!(site.ended(&id).await.state, StateName::Succeeded);
        let _evidence = site.holds("four eyes").await;
        assert!(site.kinds(&id).await.contains(&"approved"));
        assert_eq!(site.whispers(&ana()).len(), 1, "nobody approves their own");
    });
}

/// Whoever approved is asked about again, together with the requester, on what the directory says now.
#[test]
fn whoever_approved_and_left_before_the_order_refuses_it_by_name() {
    paused(async {
        let (site, host) = open(Setup { approvals: 2, ..Setup::default() }).await;
        let id = host.click_and_confirm(&site, &ana()).await;
        host.engine.approve(&id, bo().actor()).await.unwrap();
        site.directory.put(bo().as_account(Account::Deactivated));
        host.engine.approve(&id, cleo().actor()).await.unwrap();
        let view = site.ended(&id).await;
        assert_eq!(view.state, StateName::Refused, "{}", view.explanation);
        assert!(view.explanation.contains("Bo (U03BO)"), "{}", view.explanation);
        assert_eq!(site.cd.sends(), 0);
        let asked = site.directory.asked();
        let again = (cleo().id(), Freshness::Now);
        assert_eq!(asked.iter().filter(|it| **it == again).count(), 2, "{asked:?}");
        let _evidence = site.holds("an approver left").await;
    });
}

#[test]
fn a_cd_system_that_cannot_say_what_would_undo_a_rollback_gets_no_order() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        site.cd.set_preflight(Preflight::accepted());
        let view = host.click(&ana()).await;
        let view = site.ended(&view.id).await;
        assert_eq!(view.state, StateName::Refused, "{}", view.explanation);
        assert!(view.explanation.contains("is not known"), "{}", view.explanation);
        let _evidence = site.holds("nobody can tell").await;
    });
}

#[test]
fn one_rejection_is_enough() {
    paused(async {
        let (site, host) = open(Setup { approvals: 2, ..Setup::default() }).await;
        let id = host.click_and_confirm(&site, &ana()).await;
        host.engine.approve(&id, bo().actor()).await.unwrap();
        let view = host.engine.reject(&id, cleo().actor()).await.unwrap();
        assert_eq!(view.state, StateName::Withdrawn);
        let _evidence = site.holds("rejected").await;
        assert_eq!(site.cd.sends(), 0);
    });
}

#[test]
fn who_breaks_the_glass_is_let_in_and_pages() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        let id = host.click_and_confirm(&site, &finn()).await;
        assert!(site.ended(&id).await.break_glass);
        let _evidence = site.holds("break-glass").await;
        let keys: Vec<String> =
            site.chat.messages().iter().map(|message| message.key.to_string()).collect();
        let page = format!("breakglass:{id}:");
        assert_eq!(keys.iter().filter(|key| key.starts_with(&page)).count(), 1, "{keys:?}");
    });
}

#[test]
fn without_the_audit_log_nothing_is_ordered() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        site.sink.break_down();
        let id = host.click_and_confirm(&site, &ana()).await;
        let view = site.ended(&id).await;
        assert_eq!(view.state, StateName::Refused);
        assert!(view.explanation.contains("audit log"), "{}", view.explanation);
        assert_eq!(site.cd.sends(), 0);
        site.sink.heal();
        let _evidence = site.holds("audit down").await;
        assert!(!site.sink.records().is_empty(), "what happened is recorded once it can be");
    });
    paused(async {
        let (site, host) = open(Setup::default()).await;
        site.sink.fail(SinkFault::LoseAnswer);
        site.sink.fail(SinkFault::Fail);
        site.sink.fail(SinkFault::Hang);
        let id = host.click_and_confirm(&site, &ana()).await;
        assert_eq!(site.ended(&id).await.state, StateName::Succeeded, "a hiccup is waited out");
        let _evidence = site.holds("audit hiccup").await;
    });
}

#[test]
fn a_chat_that_is_down_for_the_whole_rollback_changes_nothing_and_catches_up() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        let id = host.click(&ana()).await.id;
        site.shown(&id).await;
        site.chat.break_down();
        host.confirm(&id, &ana()).await;
        assert_eq!(site.ended(&id).await.state, StateName::Succeeded);
        assert!(site.thread().is_empty());
        tokio::time::sleep(MINUTE * 3).await;
        site.chat.heal();
        let began = site.now();
        let _evidence = site.holds("chat down").await;
        assert!(site.now().since(began) <= MINUTE, "people are told within a minute");
    });
}

/// A step is stored while its rollback is locked: what a deploy message shows is looked up when it is
/// delivered, and not there.
#[test]
fn a_step_queues_a_deploy_message_without_looking_up_what_it_shows() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        let id = host.click(&ana()).await.id;
        site.shown(&id).await;
        site.chat.break_down();
        host.confirm(&id, &ana()).await;
        assert_eq!(site.ended(&id).await.state, StateName::Succeeded);
        let far = rollback_core::Timestamp::from_millis(u64::MAX);
        let waiting = site.store.due(far, 99).await.unwrap();
        let mut cards = waiting.iter().filter_map(|queued| {
            if let Notice::Deploy(card) = &queued.notice { Some(card) } else { None }
        });
        assert!(cards.next().unwrap().rollback.is_none(), "a step projected the message");
        site.chat.heal();
        let _evidence = site.holds("what is shown is looked up in the end").await;
    });
}

#[test]
fn a_line_that_is_held_up_is_not_overtaken() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        let id = host.click(&ana()).await.id;
        site.shown(&id).await;
        site.settle().await;
        for fault in [
            NotifierFault::Retry(Some(Duration::from_secs(20))),
            NotifierFault::LostInDoubt,
            NotifierFault::PostedInDoubt,
            NotifierFault::Hang,
        ] {
            site.chat.fail(fault);
        }
        host.confirm(&id, &ana()).await;
        site.ended(&id).await;
        let _evidence = site.holds("held-up lines").await;
        assert_eq!(site.thread().first().map(String::as_str), Some("Confirmed"));
    });
}

#[test]
fn how_it_stands_is_told_at_once_and_the_story_as_soon_as_the_chat_takes_it() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        let id = host.click(&ana()).await.id;
        site.shown(&id).await;
        site.settle().await;
        // The first line takes the turn, and the next one comes long after everything is over.
        site.chat.pace_lines(MINUTE * 5);
        host.confirm(&id, &ana()).await;
        let ended = site.ended(&id).await;
        assert_eq!(ended.state, StateName::Succeeded);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let shown = site.cards("ci-42").pop().unwrap().rollback.unwrap();
        assert_eq!(shown.state, StateName::Succeeded, "the message waits behind the thread");
        assert_eq!(site.thread(), ["Confirmed"]);
        tokio::time::sleep(MINUTE * 5).await;
        let _evidence = site.holds("a paced thread").await;
        let thread = site.thread();
        assert_eq!(
            (thread.len(), thread[1].as_str(), thread[5].as_str()),
            (6, "Triggered", "Ended")
        );
        let lines = site.chat.messages().into_iter().filter(|it| it.key.as_str().contains("line:"));
        let messages: std::collections::BTreeSet<_> =
            lines.map(|line| line.message.id.to_string()).collect();
        assert_eq!(messages.len(), 2, "what was due at once is one message: {messages:?}");
    });
}

#[test]
fn lines_that_were_told_together_are_found_one_by_one_when_the_answer_is_lost() {
    for fault in [NotifierFault::PostedInDoubt, NotifierFault::LostInDoubt] {
        paused(async {
            let (site, host) = open(Setup::default()).await;
            let id = host.click(&ana()).await.id;
            site.shown(&id).await;
            site.settle().await;
            site.chat.pace_lines(MINUTE * 5);
            host.confirm(&id, &ana()).await;
            site.ended(&id).await;
            tokio::time::sleep(MINUTE).await;
            // The next delivery is that of the five lines that wait.
            site.chat.fail(fault);
            tokio::time::sleep(MINUTE * 60).await;
            let _evidence = site.holds("lines in doubt").await;
            let thread = site.thread();
            let different: std::collections::BTreeSet<_> = thread.iter().collect();
            assert_eq!((thread.len(), different.len()), (6, 6), "{thread:?}");
            assert_eq!(thread[5], "Ended");
        });
    }
}

#[test]
fn a_drill_does_everything_but_send() {
    paused(async {
        let (site, host) = open(Setup { purpose: Purpose::Drill, ..Setup::default() }).await;
        let id = host.click_and_confirm(&site, &ana()).await;
        let view = site.ended(&id).await;
        assert_eq!(view.state, StateName::Succeeded);
        assert!(view.explanation.starts_with("drill"), "{}", view.explanation);
        let evidence = site.holds("drill").await;
        assert_eq!((site.cd.sends(), site.cd.effects()), (0, 0));
        assert!(evidence.records.iter().all(|record| record.draft.drill));
    });
}

#[test]
fn a_proposal_waits_for_somebody_who_may() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        let id = host.propose().await.id;
        tokio::time::sleep(MINUTE * 60).await;
        assert_eq!(site.view(&id).await.state, StateName::Proposed);
        assert_eq!(site.cd.sends(), 0, "a proposal executes nothing");
        let on = ClickedOn::Proposal(id.clone());
        host.engine.click(&on, eve().actor()).await.unwrap();
        site.until(&id, StateName::Proposed).await;
        host.engine.click(&on, ana().actor()).await.unwrap();
        site.shown(&id).await;
        host.confirm(&id, &ana()).await;
        assert_eq!(site.ended(&id).await.state, StateName::Succeeded);
        let _evidence = site.holds("proposal").await;
    });
    paused(async {
        let (site, host) = open(Setup::default()).await;
        let id = host.propose().await.id;
        tokio::time::sleep(limits().click_within + MINUTE).await;
        assert_eq!(site.view(&id).await.state, StateName::Expired);
        let _evidence = site.holds("proposal expired").await;
    });
}

/// Ana steps back from a proposal and Eve clicks in the same breath: what the directory said about
/// Ana must never let Eve in.
#[test]
fn the_word_about_one_person_is_never_taken_for_the_next() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        let id = host.propose().await.id;
        let on = ClickedOn::Proposal(id.clone());
        for _try in 0..50 {
            host.engine.click(&on, ana().actor()).await.unwrap();
            // The driver has asked about Ana, and has not been told yet.
            tokio::task::yield_now().await;
            host.engine.withdraw(&id, ana().actor()).await.unwrap();
            host.engine.click(&on, eve().actor()).await.unwrap();
            let view = site.until_that(&id, |v| v.state != StateName::Authorizing, "decided").await;
            assert_eq!(view.state, StateName::Proposed, "Eve was let in");
            // Slower than anybody is told to wait.
            tokio::time::sleep(MINUTE / 4).await;
        }
        host.engine.withdraw(&id, ana().actor()).await.unwrap();
        let _evidence = site.holds("one after the other").await;
    });
}

#[test]
fn reports_of_deploys_may_come_twice_late_and_at_once() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        let again = host.engine.deployed(site.deploy()).await.unwrap();
        assert_eq!(again.saved, SavedDeploy::Known);

        tokio::time::sleep(MINUTE).await;
        site.cd.deploy(fixtures::revision("43", "2.15.0", site.now()));
        let newer = site.deploy_of("43", "2.15.0");
        let mut late = site.deploy_of("41", "2.13.4");
        late.deployed_at = fixtures::at(0);
        late.id = parsed("ci-late");
        let (one, two) = tokio::join!(host.engine.deployed(newer), host.engine.deployed(late));
        assert!(one.unwrap().card.superseded_by.is_none());
        assert_eq!(two.unwrap().card.superseded_by, Some("2.15.0".into()), "late is not newest");
        let _evidence = site.holds("deploys").await;
        let older = site.cards("ci-42");
        assert_eq!(
            older.last().unwrap().superseded_by,
            Some("2.15.0".into()),
            "no button any more"
        );
        let messages = site.chat.messages();
        let of = |key: &str| messages.iter().filter(|message| message.key.as_str() == key).count();
        assert_eq!((of("deploy:ci-42"), of("deploy:ci-43"), of("deploy:ci-late")), (1, 1, 1));
    });
}

#[test]
fn a_modal_that_somebody_left_open_hides_nothing_that_happened() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        let bystander = host.click(&bo()).await.id;
        site.shown(&bystander).await;
        let id = host.click_and_confirm(&site, &ana()).await;
        assert_eq!(site.ended(&id).await.state, StateName::Succeeded);
        tokio::time::sleep(limits().confirm_within + MINUTE).await;
        assert_eq!(site.view(&bystander).await.state, StateName::Expired);
        let later = host.click(&cleo()).await.id;
        assert_eq!(site.ended(&later).await.state, StateName::Refused);
        let _evidence = site.holds("late modals").await;
        let shown = site.cards("ci-42").last().unwrap().rollback.clone().unwrap();
        assert_eq!((shown.id, shown.state), (id, StateName::Succeeded));
    });
}

#[test]
fn doubt_ends_in_knowledge_where_older_orders_can_be_fenced_off() {
    for (fault, end) in [
        (Fault::LoseAnswer, StateName::Succeeded),
        (Fault::LoseRequest, StateName::Failed),
        (Fault::HoldUp, StateName::Failed),
        (Fault::Hang, StateName::Failed),
    ] {
        paused(async {
            let (site, host) = open(Setup::default()).await;
            site.cd.fail(Method::Start, fault);
            let id = host.click_and_confirm(&site, &ana()).await;
            let view = site.ended(&id).await;
            assert_eq!(view.state, end, "{fault:?}: {}", view.explanation);
            site.release();
            let _evidence = site.holds("doubt").await;
            assert_eq!(site.cd.sends(), 1, "what is in doubt is never sent again");
            if end == StateName::Failed {
                assert_eq!(site.cd.truth(), Some(parsed("42")), "{fault:?} landed late");
            }
        });
    }
}

/// An order starts a job, and the job is late. The fence redeems its ticket first.
#[test]
fn an_order_in_doubt_ends_in_knowledge_by_voiding_its_ticket() {
    for (fault, end, fences) in
        [(Fault::LoseAnswer, StateName::Succeeded, 0), (Fault::HoldUp, StateName::Failed, 1)]
    {
        paused(async {
            let setup = Setup { compares: CompareAndSet::Ticket, ..Setup::default() };
            let (site, host) = open(setup).await;
            site.cd.fail(Method::Start, fault);
            let id = host.click_and_confirm(&site, &ana()).await;
            let view = site.ended(&id).await;
            assert_eq!(view.state, end, "{fault:?}: {}", view.explanation);
            let calls = site.cd.calls();
            let fenced = calls.iter().filter(|call| **call == Method::Fence).count();
            assert_eq!(fenced, fences, "{fault:?}: {calls:?}");
            site.release();
            let _evidence = site.holds("tickets").await;
            assert_eq!(site.cd.sends(), 1, "what is in doubt is never sent again");
            assert_eq!(site.cd.effects(), usize::from(end == StateName::Succeeded), "{fault:?}");
        });
    }
}

/// A rollback whose ticket was taken, and whose job has not begun.
async fn waiting_for_a_runner() -> (Site, common::Host, rollback_core::RollbackId) {
    let setup = Setup { compares: CompareAndSet::Ticket, ..Setup::default() };
    let (site, host) = open(setup).await;
    site.cd.fail(Method::Start, Fault::HoldJob);
    let id = host.click_and_confirm(&site, &ana()).await;
    site.until(&id, StateName::Running).await;
    (site, host, id)
}

#[test]
fn a_job_that_waits_for_a_runner_does_not_overwrite_a_newer_deploy() {
    paused(async {
        let (site, _host, id) = waiting_for_a_runner().await;
        site.cd.deploy(fixtures::revision("43", "2.15.0", site.now()));
        site.release();
        let view = site.ended(&id).await;
        assert_eq!(view.state, StateName::Failed, "{}", view.explanation);
        assert!(view.explanation.contains("something else is live"), "{}", view.explanation);
        let _evidence = site.holds("a late job").await;
        assert_eq!((site.cd.truth(), site.cd.effects()), (Some(parsed("43")), 0));
    });
}

#[test]
fn stopping_a_rollback_whose_job_waits_for_a_runner_voids_its_ticket() {
    paused(async {
        let (site, host, id) = waiting_for_a_runner().await;
        host.engine.withdraw(&id, ana().actor()).await.unwrap();
        let view = site.ended(&id).await;
        assert_eq!(view.state, StateName::Withdrawn, "{}", view.explanation);
        site.release();
        let _evidence = site.holds("a stopped job").await;
        assert_eq!((site.cd.truth(), site.cd.effects()), (Some(parsed("42")), 0));
    });
}

/// Whoever is on call, as it was told to them while they were needed.
fn paged(site: &Site) -> Vec<rollback_core::RollbackView> {
    let page = |notice: &Notice| {
        let Notice::OnCall(view) = notice else { return None };
        view.needs_somebody().then(|| (**view).clone())
    };
    let messages = site.chat.messages();
    messages.iter().flat_map(|it| it.shown.iter().filter_map(|(_, told)| page(told))).collect()
}

/// A ticket that two executions carry, say: the CD system answers, and it is no answer.
#[test]
fn an_order_that_cannot_be_told_from_another_is_in_doubt_until_a_person_settles_it() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        site.cd.fail(Method::Start, Fault::LoseAnswer);
        for _ in 0..10_000 {
            site.cd.fail(Method::Find, Fault::Refuse);
        }
        let id = host.click_and_confirm(&site, &ana()).await;
        let view = site.until_that(&id, |view| view.overdue, "overdue").await;
        assert_eq!((view.state, view.in_doubt), (StateName::Triggering, true));
        let finding = Reason::parse("two executions carry its ticket; 41 is live").unwrap();
        let view =
            host.engine.settle(&id, ana().actor(), Outcome::TookEffect, finding).await.unwrap();
        assert_eq!(view.state, StateName::OutcomeUnknown, "{}", view.explanation);
        assert!(view.settled);
        let _evidence = site.holds("ambiguous").await;
        assert_eq!((site.cd.sends(), site.cd.effects()), (1, 1));
        assert_eq!(host.engine.status(&fixtures::key()).await.unwrap().rollback, None);
    });
}

#[test]
fn an_order_in_doubt_that_a_person_settled_is_fenced_and_cannot_come_later() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        site.cd.fail(Method::Start, Fault::HoldUp);
        for _ in 0..100 {
            site.cd.fail(Method::Find, Fault::Hang);
        }
        let id = host.click_and_confirm(&site, &ana()).await;
        site.until_that(&id, |view| view.overdue, "overdue").await;
        let finding = Reason::parse("the CD system is down, and 42 is live").unwrap();
        let view =
            host.engine.settle(&id, ana().actor(), Outcome::TookEffect, finding).await.unwrap();
        assert!(view.settled, "{}", view.explanation);
        assert_eq!(host.engine.status(&fixtures::key()).await.unwrap().rollback, None);
        tokio::time::sleep(MINUTE * 60).await;
        site.release();
        tokio::time::sleep(MINUTE).await;
        assert_eq!(site.cd.effects(), 0, "the order that was held up took effect after all");
        let _evidence = site.holds("settled in doubt").await;
        assert_eq!(site.cd.sends(), 1);
    });
}

#[test]
fn a_cd_system_that_is_silent_for_long_after_the_order_ends_in_knowledge_where_it_can_fence() {
    for (fault, end) in
        [(Fault::LoseAnswer, StateName::Succeeded), (Fault::LoseRequest, StateName::Failed)]
    {
        paused(async {
            let (site, host) = open(Setup::default()).await;
            site.cd.fail(Method::Start, fault);
            for _ in 0..100 {
                site.cd.fail(Method::Find, Fault::Hang);
            }
            let id = host.click_and_confirm(&site, &ana()).await;
            let view = site.until_that(&id, |view| view.in_doubt, "in doubt").await;
            assert!(view.explanation.contains("it is not sent again"), "{}", view.explanation);
            tokio::time::sleep(MINUTE * 10).await;
            let view = site.view(&id).await;
            assert_eq!(view.state, StateName::Triggering, "{}", view.explanation);
            assert!(paged(&site).is_empty(), "ten minutes wake nobody");
            tokio::time::sleep(MINUTE * 6).await;
            let view = site.view(&id).await;
            assert_eq!((view.state, view.overdue), (StateName::Triggering, true));
            assert_eq!(paged(&site).len(), 1, "on-call is paged once");
            let blocked = site.ended(&host.click(&bo()).await.id).await;
            assert_eq!(blocked.state, StateName::Refused, "the service stays held");
            let view = site.ended(&id).await;
            assert_eq!(view.state, end, "{fault:?}: {}", view.explanation);
            let _evidence = site.holds("silent for long").await;
            assert_eq!(site.cd.sends(), 1, "what is in doubt is never sent again");
            assert!(site.thread().contains(&"Overdue".to_owned()), "{:?}", site.thread());
        });
    }
}

#[test]
fn without_a_fence_an_order_that_comes_within_the_limit_of_doubt_is_found_and_followed() {
    paused(async {
        let (site, host) = open(Setup { fence: Fence::No, ..Setup::default() }).await;
        site.cd.fail(Method::Start, Fault::HoldUp);
        let id = host.click_and_confirm(&site, &ana()).await;
        site.until_that(&id, |view| view.in_doubt, "in doubt").await;
        tokio::time::sleep(MINUTE * 8).await;
        let calls = site.cd.calls().into_iter().filter(|call| *call == Method::Find).count();
        assert!((10..200).contains(&calls), "it is looked for, and not all the time: {calls}");
        site.release();
        assert_eq!(site.ended(&id).await.state, StateName::Succeeded);
        let _evidence = site.holds("late, and found").await;
    });
}

#[test]
fn a_paused_canary_is_told_and_so_is_that_it_goes_on() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        let started = || Progress::new(Phase::Started);
        let canary = started().waiting(WaitsFor::new("a person to promote the canary"));
        site.cd.set_looks([started(), canary, started(), Progress::new(Phase::Complete)]);
        let id = host.click_and_confirm(&site, &ana()).await;
        assert_eq!(site.ended(&id).await.state, StateName::Succeeded);
        let phases = site.kinds(&id).await.into_iter().filter(|kind| *kind == "phase").count();
        assert_eq!(phases, 5, "accepted, started, waits, goes on, complete");
        let thread = site.thread();
        assert!(thread.iter().any(|line| line.contains("promote the canary")), "{thread:?}");
        let _evidence = site.holds("a paused canary").await;
    });
}

#[test]
fn a_rollback_that_completes_after_its_time_is_seen_completing() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        site.cd.set_phases(std::iter::repeat_n(Phase::Started, 1_900).chain([Phase::Complete]));
        let id = host.click_and_confirm(&site, &ana()).await;
        let view = site.until_that(&id, |view| view.overdue, "overdue").await;
        assert_eq!(view.state, StateName::Running);
        assert!(view.explanation.contains("running for more than 30 min"), "{}", view.explanation);
        assert_eq!(site.ended(&id).await.state, StateName::Succeeded);
        let _evidence = site.holds("late").await;
        assert_eq!(paged(&site).len(), 1, "on-call is told once");
        assert!(!site.thread().contains(&"LateEffect".to_owned()), "{:?}", site.thread());
    });
}

#[test]
fn a_cd_system_that_is_silent_while_it_runs_ends_unknown_and_is_heard_when_it_answers_again() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        for _ in 0..200 {
            site.cd.fail(Method::Observe, Fault::Hang);
        }
        let id = host.click_and_confirm(&site, &ana()).await;
        let view = site.until_that(&id, |view| view.silent_since.is_some(), "silent").await;
        assert_eq!(view.state, StateName::Running);
        let view = site.ended(&id).await;
        assert_eq!(view.state, StateName::OutcomeUnknown, "{}", view.explanation);
        assert_eq!(paged(&site).len(), 1, "on-call is paged");
        tokio::time::sleep(MINUTE * 180).await;
        let view = site.view(&id).await;
        assert!(view.explanation.contains("is complete"), "{}", view.explanation);
        let thread = site.thread().join(" ");
        assert!(thread.contains("Heard") && !thread.contains("LateEffect"), "{thread}");
        let finding = Reason::parse("it runs 41 and is well").unwrap();
        host.engine.settle(&id, ana().actor(), Outcome::TookEffect, finding).await.unwrap();
        let _evidence = site.holds("silent while it ran").await;
    });
}

/// Each change of its words is an entry of the journal, which must have room for the end.
#[test]
fn a_cd_system_that_says_something_else_at_each_look_fills_no_journal() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        site.cd.chatter();
        site.cd.set_phases(std::iter::repeat_n(Phase::Started, 1_000_000));
        let id = host.click_and_confirm(&site, &ana()).await;
        let view = site.until_that(&id, |view| view.progress.is_some(), "looked at").await;
        let first = view.progress.unwrap().message;
        tokio::time::sleep(Duration::from_secs(10)).await;
        let view = site.view(&id).await;
        assert_ne!(view.progress.unwrap().message, first, "what it says is shown within seconds");
        tokio::time::sleep(MINUTE * 120).await;
        let view = site.view(&id).await;
        assert_eq!(view.state, StateName::Running, "{}", view.explanation);
        assert!(view.steps < 330, "{} entries within two hours", view.steps);
    });
}

/// What was given up is looked at now and then, also where the CD system says the same in other words.
#[test]
fn an_unknown_outcome_is_looked_at_at_its_pace_whatever_the_cd_system_says() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        site.cd.chatter();
        site.cd.set_phases(std::iter::repeat_n(Phase::Started, 1_000_000));
        let id = host.click_and_confirm(&site, &ana()).await;
        site.until_that(&id, |view| view.progress.is_some(), "looked at").await;
        for _ in 0..200 {
            site.cd.fail(Method::Observe, Fault::Hang);
        }
        assert_eq!(site.ended(&id).await.state, StateName::OutcomeUnknown);
        site.cd.clear_faults();
        let looks = || site.cd.calls().into_iter().filter(|call| *call == Method::Observe).count();
        let before = looks();
        tokio::time::sleep(MINUTE * 60).await;
        let asked = looks() - before;
        assert!((30..100).contains(&asked), "{asked} looks within an hour");
    });
}

#[test]
fn a_short_silence_while_it_runs_concerns_nobody() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        for _ in 0..20 {
            site.cd.fail(Method::Observe, Fault::Hang);
        }
        let id = host.click_and_confirm(&site, &ana()).await;
        site.until_that(&id, |view| view.silent_since.is_some(), "silent").await;
        assert_eq!(site.ended(&id).await.state, StateName::Succeeded);
        let _evidence = site.holds("a short silence").await;
        assert!(paged(&site).is_empty());
    });
}

#[test]
fn whoever_stops_it_too_late_is_told_so_and_nobody_is_offered_it_again() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        site.cd.cancel_nothing();
        site.cd.set_phases(std::iter::repeat_n(Phase::Started, 60).chain([Phase::Complete]));
        let id = host.click_and_confirm(&site, &ana()).await;
        site.until(&id, StateName::Running).await;
        host.engine.withdraw(&id, ana().actor()).await.unwrap();
        let refused = |view: &rollback_core::RollbackView| {
            view.cancellation == Some(rollback_core::Cancellation::Refused)
        };
        let view = site.until_that(&id, refused, "told that it is too late").await;
        assert!(!view.cancellable);
        assert_eq!(site.ended(&id).await.state, StateName::Succeeded);
        let _evidence = site.holds("too late to cancel").await;
        let told = site.whispers(&ana());
        assert!(told.iter().any(|text| text.contains("will not cancel")), "{told:?}");
        assert!(site.thread().contains(&"NotCancelled".to_owned()), "{:?}", site.thread());
        let asked = site.cd.calls().into_iter().filter(|call| *call == Method::Cancel).count();
        assert_eq!(asked, 1);
    });
}

/// The CD system would overwrite whatever is live: nobody but us looks.
#[test]
fn where_the_cd_system_does_not_compare_what_is_live_is_looked_at_right_before_the_order() {
    for (moves, expected) in
        [(true, "is no longer live"), (false, "what is live could not be read")]
    {
        paused(async {
            let setup = Setup { compares: CompareAndSet::No, ..Setup::default() };
            let (site, host) = open(setup).await;
            let id = host.click(&ana()).await.id;
            site.shown(&id).await;
            site.sink.break_down();
            host.confirm(&id, &ana()).await;
            site.until(&id, StateName::Recording).await;
            if moves {
                site.cd.deploy(fixtures::revision("43", "2.15.0", site.now()));
            } else {
                site.cd.cut();
            }
            site.sink.heal();
            let view = site.ended(&id).await;
            assert_eq!(view.state, StateName::Refused, "{}", view.explanation);
            assert!(view.explanation.contains(expected), "{}", view.explanation);
            assert_eq!(site.cd.sends(), 0);
            site.cd.heal();
            let _evidence = site.holds("moved right before the order").await;
        });
    }
}

#[test]
fn what_failed_says_what_is_live() {
    for (back, expected) in [(false, "is live after all"), (true, "is still live")] {
        paused(async {
            let (site, host) = open(Setup::default()).await;
            site.cd.set_phases(std::iter::repeat_n(Phase::Started, 20).chain([Phase::Failed]));
            let id = host.click_and_confirm(&site, &ana()).await;
            site.until(&id, StateName::Running).await;
            if back {
                site.cd.put_live(&parsed("42"));
            }
            let view = site.ended(&id).await;
            assert_eq!(view.state, StateName::Failed);
            assert!(view.explanation.contains(expected), "{}", view.explanation);
            let evidence = site.holds("failed").await;
            let record = evidence.records.last().unwrap().draft.explanation.clone().unwrap();
            assert_eq!(record, view.explanation, "the record says what was seen");
        });
    }
}

#[test]
fn doubt_without_a_fence_is_visible_blocks_and_is_settled_by_a_person() {
    paused(async {
        let (site, host) = open(Setup { fence: Fence::No, ..Setup::default() }).await;
        site.cd.fail(Method::Start, Fault::HoldUp);
        let id = host.click_and_confirm(&site, &ana()).await;
        let view = site.ended(&id).await;
        assert_eq!(view.state, StateName::OutcomeUnknown);
        assert!(view.explanation.contains("is unknown"), "{}", view.explanation);
        let blocked = site.ended(&host.click(&bo()).await.id).await;
        assert_eq!(blocked.state, StateName::Refused, "the service waits for a person");

        tokio::time::sleep(MINUTE * 5).await;
        site.release();
        tokio::time::sleep(MINUTE * 3).await;
        let late = site.view(&id).await;
        assert!(
            late.explanation.contains("late effect: the abandoned order"),
            "{}",
            late.explanation
        );
        assert!(late.execution.is_some());

        let finding = Reason::parse("it is on 2.13.4 and well").unwrap();
        let denied = host
            .engine
            .settle(&id, eve().actor(), Outcome::TookEffect, finding.clone())
            .await
            .unwrap();
        assert!(!denied.explanation.contains("settled"), "{}", denied.explanation);
        let settled =
            host.engine.settle(&id, ana().actor(), Outcome::TookEffect, finding).await.unwrap();
        assert!(settled.explanation.starts_with("settled"), "{}", settled.explanation);
        let evidence = site.holds("late effect").await;
        assert_eq!(evidence.records.last().unwrap().draft.kind.as_str(), "settled");
        assert_eq!(site.thread().last().unwrap(), &format!("Settled({:?})", ana().actor()));
        let status = host.engine.status(&fixtures::key()).await.unwrap();
        assert_eq!(status.rollback, None, "the service is free again");
    });
}

#[test]
fn nobody_confirms_and_nobody_approves_for_ever() {
    paused(async {
        let (site, host) = open(Setup { approvals: 1, ..Setup::default() }).await;
        let id = host.click(&ana()).await.id;
        site.shown(&id).await;
        tokio::time::sleep(limits().confirm_within + MINUTE).await;
        assert_eq!(site.view(&id).await.state, StateName::Expired);
        let id = host.click_and_confirm(&site, &ana()).await;
        tokio::time::sleep(limits().approve_within + MINUTE).await;
        let view = host.engine.approve(&id, bo().actor()).await.unwrap();
        assert_eq!(view.state, StateName::Expired, "late is late");
        let _evidence = site.holds("expired").await;
        assert_eq!(site.cd.sends(), 0);
    });
}

#[test]
fn what_was_cancelled_while_it_ran_says_so() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        site.cd.set_phases([Phase::Started; 100]);
        let id = host.click_and_confirm(&site, &ana()).await;
        site.until(&id, StateName::Running).await;
        host.engine.withdraw(&id, eve().actor()).await.unwrap();
        assert_eq!(site.view(&id).await.state, StateName::Running, "a stranger stops nothing");
        host.engine.withdraw(&id, ana().actor()).await.unwrap();
        let view = site.ended(&id).await;
        assert_eq!(view.state, StateName::Withdrawn);
        assert!(view.explanation.contains("is still live"), "{}", view.explanation);
        assert_eq!(site.cd.truth(), Some(parsed("42")));
        let _evidence = site.holds("cancelled").await;
    });
}

#[test]
fn a_rollback_that_is_not_healthy_is_not_called_a_success() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        site.health.break_down("the health check does not answer");
        let id = host.click_and_confirm(&site, &ana()).await;
        let view = site.ended(&id).await;
        assert_eq!(view.state, StateName::NotVerified);
        assert!(view.explanation.contains("does not answer"), "{}", view.explanation);
        let _evidence = site.holds("health unknown").await;
    });
    paused(async {
        let (site, host) = open(Setup::default()).await;
        site.cd.set_phases([Phase::Started, Phase::Failed]);
        let id = host.click_and_confirm(&site, &ana()).await;
        assert_eq!(site.ended(&id).await.state, StateName::Failed);
        let _evidence = site.holds("the CD system says it failed").await;
    });
}

#[test]
fn a_graceful_stop_in_any_state_is_quick_and_loses_nothing() {
    let states = [
        StateName::Confirming,
        StateName::Approving,
        StateName::Triggering,
        StateName::Running,
        StateName::Verifying,
    ];
    for state in states {
        paused(async {
            let (site, host) = open(Setup { approvals: 1, ..Setup::default() }).await;
            if state == StateName::Triggering {
                site.cd.fail(Method::Start, Fault::Hang);
            }
            site.cd.set_phases([Phase::Started, Phase::Started, Phase::Started, Phase::Complete]);
            let id = host.click(&ana()).await.id;
            site.shown(&id).await;
            if state != StateName::Confirming {
                host.confirm(&id, &ana()).await;
            }
            if !matches!(state, StateName::Confirming | StateName::Approving) {
                host.engine.approve(&id, bo().actor()).await.unwrap();
            }
            site.until(&id, state).await;
            let took = host.stop().await;
            // An order that was sent is waited for as long as one request may take.
            assert!(took <= limits().cd_timeout + Duration::from_secs(1), "{state}: {took:?}");
            if state != StateName::Triggering {
                assert!(took <= Duration::from_secs(1), "{state}: {took:?}");
            }
            let host = site.boot(Fate::Spared);
            let began = site.now();
            if state == StateName::Confirming {
                host.confirm(&id, &ana()).await;
            }
            if matches!(state, StateName::Confirming | StateName::Approving) {
                host.engine.approve(&id, bo().actor()).await.unwrap();
            }
            let view = site.ended(&id).await;
            let end = if state == StateName::Triggering {
                StateName::Failed
            } else {
                StateName::Succeeded
            };
            assert_eq!(view.state, end, "{state}: {}", view.explanation);
            let waited = site.now().since(began);
            assert!(waited <= MINUTE, "{state}: given back, so taken up at once: {waited:?}");
            let _evidence = site.holds("graceful stop").await;
        });
    }
}

#[test]
fn a_graceful_stop_waits_for_what_the_adapter_carries_out_itself_but_not_for_ever() {
    let seconds = Duration::from_secs;
    for (needed, drained, stop_max) in [(seconds(10), 1, seconds(11)), (MINUTE, 0, seconds(31))] {
        paused(async {
            let (site, host) = open(Setup::default()).await;
            site.cd.set_phases([Phase::Started, Phase::Started, Phase::Started, Phase::Complete]);
            let id = host.click(&ana()).await.id;
            site.shown(&id).await;
            host.confirm(&id, &ana()).await;
            site.until(&id, StateName::Running).await;
            site.cd.need_the_process_for(needed);
            let took = host.stop().await;
            assert!(took >= needed.min(seconds(30)) && took <= stop_max, "{took:?}");
            assert_eq!(site.cd.drained(), drained);
        });
    }
}

#[test]
fn an_engine_that_stops_takes_no_more_commands() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        let engine = host.engine.clone();
        let id = host.click(&ana()).await.id;
        site.shown(&id).await;
        let _took = host.stop().await;
        let on = ClickedOn::Deploy(parsed("ci-42"));
        assert_eq!(engine.click(&on, ana().actor()).await.unwrap_err(), CommandError::Stopping);
        let by = Proposer::new("agent-7", None);
        let proposed = engine.propose(Proposal::new(fixtures::key(), fixtures::reason(), by)).await;
        assert_eq!(proposed.unwrap_err(), CommandError::Stopping);
    });
}

/// A button's value can be copied; the message that it was posted in cannot.
#[test]
fn a_button_is_known_only_in_the_message_that_it_was_posted_in() {
    paused(async {
        let (site, host) = open(Setup { approvals: 1, ..Setup::default() }).await;
        let id = host.click_and_confirm(&site, &ana()).await;
        site.until(&id, StateName::Approving).await;
        site.settle().await;
        let messages = site.chat.messages();
        let posted = |key: &str| {
            messages.iter().find(|message| message.key.as_str() == key).unwrap().message.clone()
        };
        let (card, request) = (posted("deploy:ci-42"), posted(&format!("approval:{id}")));
        let open = Button::Open(parsed("ci-42"));
        let (decide, stop) = (Button::Decide(id.clone()), Button::Stop(id.clone()));
        let elsewhere = MessageRef::new(parsed("C0OTHER"), card.id.clone());
        let earlier = MessageRef::new(card.channel.clone(), "1700000000.000001");
        for (button, message, chat, expected) in [
            (&open, &card, "chat", Ok(())),
            (&stop, &card, "chat", Ok(())),
            (&decide, &request, "chat", Ok(())),
            (&open, &request, "chat", Err(CommandError::Elsewhere)),
            (&stop, &request, "chat", Err(CommandError::Elsewhere)),
            (&decide, &card, "chat", Err(CommandError::Elsewhere)),
            (&open, &elsewhere, "chat", Err(CommandError::Elsewhere)),
            (&open, &earlier, "chat", Err(CommandError::Elsewhere)),
            (&open, &card, "another chat", Err(CommandError::NotPostedYet)),
        ] {
            let pressed = host.engine.pressed_in(button, chat, message).await;
            assert_eq!(pressed, expected, "{button:?} {message:?} {chat}");
        }
        for unknown in [Button::Open(parsed("ci-0")), Button::Stop(parsed("rb-0"))] {
            let pressed = host.engine.pressed_in(&unknown, "chat", &card).await;
            assert!(matches!(pressed, Err(CommandError::NotFound(_))), "{unknown:?} {pressed:?}");
        }
    });
}

/// People may press a button before the chat has answered the post.
#[test]
fn a_post_that_is_not_recorded_yet_is_waited_for_and_never_assumed() {
    for chat_comes_back in [true, false] {
        paused(async {
            let site = Site::new(Setup::default());
            let host = site.boot(Fate::Spared);
            site.chat.fail(NotifierFault::PostedInDoubt);
            host.engine.deployed(site.deploy()).await.unwrap();
            while site.chat.messages().is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let message = site.chat.messages().first().unwrap().message.clone();
            let open = Button::Open(parsed("ci-42"));
            if !chat_comes_back {
                site.chat.break_down();
                let pressed = host.engine.pressed_in(&open, "chat", &message).await;
                assert_eq!(pressed, Err(CommandError::NotPostedYet));
                site.chat.heal();
                site.settle().await;
            }
            assert_eq!(host.engine.pressed_in(&open, "chat", &message).await, Ok(()));
            assert_eq!(site.chat.messages().len(), 1, "found, and not posted again");
        });
    }
}

#[test]
fn unknown_names_are_answered_and_kept_nowhere() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        let nothing = host.engine.view(&parsed("rb-never")).await.unwrap_err();
        assert!(matches!(nothing, CommandError::NotFound(_)), "{nothing}");
        let on = ClickedOn::Deploy(parsed("ci-never"));
        let nothing = host.engine.click(&on, ana().actor()).await.unwrap_err();
        assert!(matches!(nothing, CommandError::NotFound(_)), "{nothing}");
        assert!(site.views().await.is_empty());
    });
}

#[test]
fn a_deploy_that_is_reported_late_takes_neither_the_live_revision_nor_a_way_back() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        let mut late = site.deploy_of("41", "2.13.4");
        late.deployed_at = rollback_core::Timestamp::from_millis(site.now().as_millis() - 60_000);
        late.revision = None;
        let card = host.engine.deployed(late).await.unwrap().card;
        assert_eq!((card.deploy.revision, card.choice.target), (None, None));
        assert!(card.choice.why.contains("2.14.0"), "{}", card.choice.why);
        let _evidence = site.holds("a late report").await;
    });
}

#[test]
fn a_proposal_names_a_revision_of_the_history_or_is_not_made() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        let propose = |id: &str| {
            let target = parsed(id);
            let by = Proposer::new("agent-7", None);
            let engine = host.engine.clone();
            let proposal = Proposal::new(fixtures::key(), fixtures::reason(), by).to(target);
            async move { engine.propose(proposal).await }
        };
        let view = propose("40").await.unwrap();
        assert_eq!(view.to, fixtures::reference("40"), "with its version, as the history has it");
        for absent in ["39", "42"] {
            assert!(matches!(propose(absent).await, Err(CommandError::NoTarget(_))), "{absent}");
        }
        assert_eq!(site.views().await.len(), 1);
    });
}

/// A revision that people call by a number, as a Helm release or a Deployment has it.
fn numbered(id: &str, number: &str, since: rollback_core::Timestamp) -> rollback_core::Revision {
    let mut revision = fixtures::revision(id, "2.15.0", since);
    revision.call(parsed(number), Some(since));
    // What it brought, only its reporter can say.
    revision.migrations = Migrations::Unknown;
    revision
}

#[test]
fn a_deploy_is_reported_by_the_number_that_the_team_knows_and_kept_by_its_identity() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        tokio::time::sleep(MINUTE).await;
        site.cd.deploy(numbered("43@c", "43", site.now()));
        let mut deploy = site.deploy_of("43", "2.15.0");
        deploy.id = parsed("ci-43");
        let card = host.engine.deployed(deploy).await.unwrap().card;
        assert_eq!(card.deploy.revision, Some(parsed("43@c")));
        assert_eq!(card.deploy.reported, Some(parsed("43")));
        assert_eq!(card.choice.target.unwrap().id, parsed("42"));
        assert_eq!(card.previous, Some(fixtures::reference("42")));
        let on = ClickedOn::Deploy(parsed("ci-43"));
        let id = host.engine.click(&on, ana().actor()).await.unwrap().id;
        site.shown(&id).await;
        let view = host.confirm(&id, &ana()).await;
        assert_eq!(view.from.revision, parsed("43@c"));
        assert_eq!(site.ended(&id).await.state, StateName::Succeeded);
        let _evidence = site.holds("by number").await;
    });
}

#[test]
fn a_number_that_was_given_again_is_not_taken_for_the_revision_that_a_late_report_means() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        let mut late = site.deploy_of("43", "2.15.0");
        tokio::time::sleep(10 * MINUTE).await;
        // The Secret of the first 43 is gone, and so is what it deployed.
        site.cd.deploy(numbered("43@d", "43", site.now()));
        late.deployed_at = rollback_core::Timestamp::from_millis(site.now().as_millis() - 300_000);
        let card = host.engine.deployed(late).await.unwrap().card;
        assert_eq!((&card.deploy.revision, &card.choice.target), (&None, &None));
        assert!(card.choice.why.contains("another revision was meant"), "{}", card.choice.why);
        assert!(card.undecided, "nothing was decided on it");
        // Whoever reports when it went live is understood.
        let mut again = site.deploy_of("43", "2.15.0");
        again.id = parsed("ci-43-again");
        let card = host.engine.deployed(again).await.unwrap().card;
        assert_eq!(card.deploy.revision, Some(parsed("43@d")));
    });
}

#[test]
fn a_revision_that_the_history_does_not_have_yet_is_found_later_also_behind_a_newer_deploy() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        tokio::time::sleep(MINUTE).await;
        let card = host.engine.deployed(site.deploy_of("43", "2.15.0")).await.unwrap().card;
        assert_eq!(card.deploy.revision, None);
        assert!(card.choice.why.contains("`43` is not in the deploy history"), "{card:?}");
        let view = site.ended(&host.click(&ana()).await.id).await;
        assert_eq!(view.state, StateName::Refused);
        assert!(view.explanation.contains("not known yet"), "{}", view.explanation);

        site.cd.deploy(numbered("43@c", "43", site.now()));
        tokio::time::sleep(Duration::from_secs(1)).await;
        site.cd.deploy(numbered("44@d", "44", site.now()));
        host.engine.deployed(site.deploy_of("44", "2.16.0")).await.unwrap();
        tokio::time::sleep(MINUTE).await;
        site.settle().await;
        let found = site.store.deploy(&parsed("ci-43")).await.unwrap().unwrap();
        assert_eq!(found.deploy.revision, Some(parsed("43@c")));
        assert_eq!(found.previous, Some(fixtures::reference("42")));
        let history = host.engine.status(&fixtures::key()).await.unwrap().history;
        let known: Vec<_> = history.iter().map(|it| it.migrations != Migrations::Unknown).collect();
        assert_eq!(known, [true; 5], "what each brought counts for whoever goes back past it");
    });
}

#[test]
fn a_proposal_takes_a_number_and_names_the_ones_there_are_for_a_bad_one() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        tokio::time::sleep(MINUTE).await;
        site.cd.deploy(numbered("43@c", "43", site.now()));
        tokio::time::sleep(MINUTE).await;
        site.cd.deploy(numbered("44@d", "44", site.now()));
        let propose = |name: &str| {
            let (engine, name) = (host.engine.clone(), parsed(name));
            let by = Proposer::new("agent-7", None);
            let proposal = Proposal::new(fixtures::key(), fixtures::reason(), by).to(name);
            async move { engine.propose(proposal).await }
        };
        assert_eq!(propose("43").await.unwrap().to.revision, parsed("43@c"));
        let Err(CommandError::NoTarget(why)) = propose("7").await else { panic!("proposed") };
        assert!(why.contains("`44` (`44@d`), `43` (`43@c`), `42`"), "{why}");
        let mut twin = numbered("42@x", "43", site.now());
        twin.version = None;
        site.cd.deploy(twin);
        let Err(CommandError::NoTarget(why)) = propose("43").await else { panic!("proposed") };
        assert!(why.contains("`42@x` or `43@c`"), "{why}");
    });
}

#[test]
fn a_request_is_received_once_and_forgotten_when_it_cannot_be_sent_again() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        let another = site.boot(Fate::Spared);
        let (began, keep) = (site.now(), MINUTE * 20);
        for number in 0..100 {
            host.engine.receive(&[[number; 32]], began, keep).await.unwrap();
        }
        // Neither here nor elsewhere a second time, and not with something new beside it.
        for engine in [&host.engine, &another.engine] {
            let again = engine.receive(&[[7; 32]], site.now(), keep).await;
            assert_eq!(again, Err(CommandError::ReceivedBefore));
            let beside = engine.receive(&[[200; 32], [7; 32]], site.now(), keep).await;
            assert_eq!(beside, Err(CommandError::ReceivedBefore));
        }
        // A day more, for a clock that was ahead meanwhile.
        tokio::time::sleep(MINUTE * 60 * 30).await;
        let forgotten = site.store.prune(site.now(), Retention::default()).await.unwrap();
        assert_eq!(forgotten.total(), 0, "the engine has forgotten all of them by itself");
    });
}

#[test]
fn what_nobody_confirmed_is_forgotten_by_the_upkeep_and_its_records_stay() {
    paused(async {
        let keep = Retention::default().unconfirmed(MINUTE * 60);
        let (site, host) = open(Setup { retention: keep, ..Setup::default() }).await;
        let looked = host.click(&ana()).await.id;
        tokio::time::sleep(limits().confirm_within + MINUTE).await;
        assert_eq!(site.view(&looked).await.state, StateName::Expired);
        // A day and two hours for a clock that was ahead, an hour of its own, an hour between looks.
        tokio::time::sleep(MINUTE * 60 * 29).await;
        assert_eq!(site.store.load(&looked).await.unwrap(), None);
        let mut query = rollback_core::ports::Query::all(9);
        query.rollback = Some(looked.clone());
        assert!(!site.store.audit(&query).await.unwrap().is_empty(), "a record was forgotten");
        let pruned = host.engine.pruned();
        assert_eq!((pruned.unconfirmed, pruned.more), (1, false));
        let again = host.click(&ana()).await.id;
        site.shown(&again).await;
    });
}

#[test]
fn beyond_what_a_process_takes_at_a_time_a_click_is_refused_in_words() {
    paused(async {
        let (site, host) = open(Setup { open_max: 2, ..Setup::default() }).await;
        let (first, second) = (host.click(&ana()).await.id, host.click(&bo()).await.id);
        let Err(refused) = host.try_click(&ana()).await else { panic!("it was opened") };
        let told = refused.to_string();
        for word in
            ["2 rollbacks are open", "nothing was changed", "try again when some have ended"]
        {
            assert!(told.contains(word), "{told}");
        }
        assert_eq!(site.views().await.len(), 2, "nothing was opened");
        let standing = host.engine.open_standing();
        assert_eq!((standing.open, standing.open_max, standing.refused), (2, 2, 1));
        // What is open goes on, and leaves its place at its end.
        site.shown(&first).await;
        host.engine.withdraw(&first, ana().actor()).await.unwrap();
        site.ended(&first).await;
        tokio::time::sleep(MINUTE).await;
        assert_eq!(host.engine.open_standing().open, 1);
        let third = host.click(&ana()).await.id;
        for id in [second, third] {
            host.engine.withdraw(&id, ana().actor()).await.unwrap();
            site.ended(&id).await;
        }
        let _evidence = site.holds("as many as it takes").await;
    });
}

#[test]
fn what_one_process_drives_another_one_leaves_alone_until_it_is_unattended() {
    paused(async {
        let (site, first) = open(Setup::default()).await;
        let second = site.boot(Fate::Spared);
        let id = first.click(&ana()).await.id;
        site.shown(&id).await;
        tokio::time::sleep(MINUTE).await;
        assert_eq!((first.engine.open_standing().open, second.engine.open_standing().open), (1, 0));
        // Whoever is told something about it does not drive it for that.
        second.engine.view(&id).await.unwrap();
        first.crash();
        tokio::time::sleep(MINUTE).await;
        assert_eq!(second.engine.open_standing().open, 1);
        second.confirm(&id, &ana()).await;
        assert_eq!(site.ended(&id).await.state, StateName::Succeeded);
        let _evidence = site.holds("taken over").await;
    });
}

/// Whoever fixes the channel a week later finds every message there.
#[test]
fn what_somebody_must_fix_first_is_kept_told_as_blocked_and_delivered_when_it_is_fixed() {
    paused(async {
        let site = Site::new(Setup::default());
        let host = site.boot(Fate::Spared);
        // More often than a notice is tried that is given up.
        for _attempt in 0..3_000 {
            site.chat.fail(NotifierFault::Block);
        }
        host.engine.deployed(site.deploy()).await.unwrap();
        tokio::time::sleep(MINUTE).await;
        let blocked = host.engine.blocked_channels();
        let [channel] = blocked.as_slice() else { panic!("{blocked:?}") };
        assert_eq!((channel.notifier.as_str(), channel.channel.as_str()), ("chat", "C0PAYMENTS"));
        assert!(channel.why.contains("not in the channel"), "{channel:?}");
        let outbox = host.engine.outbox().await.unwrap();
        assert_eq!((outbox.waiting, outbox.abandoned), (1, 0));
        assert!(outbox.blocked > 3 && outbox.blocked < 20, "{outbox:?}");

        tokio::time::sleep(MINUTE * 3_100).await;
        let outbox = host.engine.outbox().await.unwrap();
        assert_eq!((outbox.waiting, outbox.delivered, outbox.abandoned), (0, 1, 0));
        assert!(host.engine.blocked_channels().is_empty());
        host.stop().await;
    });
}

#[test]
fn surfaces_see_readiness_steps_and_what_waits_to_be_told() {
    paused(async {
        let site = Site::new(Setup::default());
        let host = site.boot(Fate::Spared);
        assert!(host.engine.ready().await.is_err(), "it has not begun");
        tokio::time::sleep(Duration::from_millis(10)).await;
        host.engine.ready().await.unwrap();

        let mut steps = host.engine.steps();
        site.chat.fail(NotifierFault::Retry(Some(MINUTE)));
        host.engine.deployed(site.deploy()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(20)).await;
        let outbox = host.engine.outbox().await.unwrap();
        assert_eq!((outbox.waiting, outbox.postponed, outbox.delivered), (1, 1, 0));
        let since = outbox.since.unwrap();
        assert!(site.now().since(since) >= Duration::from_secs(19), "{since}");
        tokio::time::sleep(MINUTE).await;
        let outbox = host.engine.outbox().await.unwrap();
        assert_eq!((outbox.waiting, outbox.since, outbox.delivered), (0, None, 1));

        let view = host.click(&ana()).await;
        assert_eq!(steps.next().await, Some(()), "a step was stored");
        let read = host.engine.rollback(&view.id).await.unwrap().unwrap();
        assert_eq!(read.id, view.id);
        assert_eq!(host.engine.rollback(&parsed("rb-none")).await.unwrap(), None);
        let records = host.engine.records(&rollback_core::ports::Query::all(9)).await.unwrap();
        assert_eq!(
            host.engine.head().await.unwrap().sequence,
            u64::try_from(records.len()).unwrap()
        );
        let engine = host.engine.clone();
        host.stop().await;
        while steps.next().await.is_some() {}
        assert!(engine.ready().await.is_err(), "it has ended");
    });
}

#[test]
fn a_message_keeps_the_rollback_that_runs_and_its_stop_whoever_opens_one_afterwards() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        site.cd.set_phases([Phase::Started; 1_000]);
        let id = host.click_and_confirm(&site, &ana()).await;
        site.until(&id, StateName::Running).await;
        for _opening in 0..60 {
            site.ended(&host.click(&bo()).await.id).await;
        }
        site.settle().await;
        let card = site.cards("ci-42").last().cloned().unwrap();
        let shown = card.rollback.unwrap();
        assert_eq!((&shown.id, shown.state), (&id, StateName::Running));
        assert!(shown.cancellable, "it can be stopped from there");
        host.engine.withdraw(&id, ana().actor()).await.unwrap();
        assert_eq!(site.ended(&id).await.state, StateName::Withdrawn);
        let _evidence = site.holds("sixty openings").await;
    });
}

#[test]
fn whoever_opens_one_rollback_after_the_other_keeps_nobody_else_from_opening_one() {
    for stranger in [ana(), eve()] {
        paused(async {
            let (site, host) = open(Setup { open_max: 10, ..Setup::default() }).await;
            // Nobody is turned away at once: the directory is slow.
            if stranger == eve() {
                site.directory.fall_silent();
            }
            for number in 0..1_000 {
                let opened = host.try_click(&stranger).await;
                // Whoever is not let in for that long is told to wait.
                let waits = matches!(opened, Err(CommandError::TooOften(_)));
                assert!(opened.is_ok() || waits, "opening {number}: {opened:?}");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let open = |view: &rollback_core::RollbackView| !view.state.is_end();
            assert_eq!(site.views().await.into_iter().filter(open).count(), 3);
            site.directory.heal();
            let id = host.click_and_confirm(&site, &bo()).await;
            assert_eq!(site.ended(&id).await.state, StateName::Succeeded);
            tokio::time::sleep(MINUTE * 20).await;
            let _evidence = site.holds("a thousand openings").await;
        });
    }
}

#[test]
fn what_is_live_has_the_button_whatever_the_clocks_of_the_reporters_say() {
    let minutes_after = |site: &Site, minutes: i64| {
        let now = i64::try_from(site.now().as_millis()).unwrap();
        rollback_core::Timestamp::from_millis(u64::try_from(now + minutes * 60_000).unwrap())
    };
    // The clock of whoever reports 42, or that of 43, or both are at the same moment; told in order,
    // and the other way round.
    for (of_42, of_43) in [(2, 0), (0, -2), (0, 0), (4, 2), (-1, 0)] {
        for in_order in [true, false] {
            paused(async {
                let site = Site::new(Setup::default());
                let host = site.boot(Fate::Spared);
                let (mut old, mut new) = (site.deploy(), site.deploy_of("43", "2.15.0"));
                old.deployed_at = minutes_after(&site, of_42);
                new.deployed_at = minutes_after(&site, of_43);
                if in_order {
                    host.engine.deployed(old.clone()).await.unwrap();
                    tokio::time::sleep(Duration::from_secs(30)).await;
                }
                site.cd.deploy(fixtures::revision("43", "2.15.0", site.now()));
                host.engine.deployed(new).await.unwrap();
                if !in_order {
                    tokio::time::sleep(Duration::from_secs(30)).await;
                    host.engine.deployed(old).await.unwrap();
                }
                let case = format!("{of_42}, {of_43}, in order {in_order}");
                let card = |id: &str| {
                    let (store, id) = (std::sync::Arc::clone(&site.store), parsed(id));
                    async move { store.deploy(&id).await.unwrap().unwrap() }
                };
                for look in 0..2 {
                    let (old, new) = (card("ci-42").await, card("ci-43").await);
                    assert_eq!(new.superseded_by, None, "{case}, look {look}");
                    assert_eq!(new.choice.target.unwrap().id, parsed("42"), "{case}, look {look}");
                    assert_eq!(old.superseded_by, Some("2.15.0".into()), "{case}, look {look}");
                    tokio::time::sleep(3 * MINUTE).await;
                }
                let on = ClickedOn::Deploy(parsed("ci-43"));
                let id = host.engine.click(&on, ana().actor()).await.unwrap().id;
                site.shown(&id).await;
                host.confirm(&id, &ana()).await;
                assert_eq!(site.ended(&id).await.state, StateName::Succeeded, "{case}");
                let _evidence = site.holds(&case).await;
            });
        }
    }
}

#[test]
fn a_deploy_that_never_went_live_gives_the_button_back_and_one_that_is_slow_keeps_it() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        tokio::time::sleep(MINUTE).await;
        // It is in the history, and what runs is still the one before.
        let mut history = fixtures::history();
        history.insert(0, fixtures::revision("43", "2.15.0", site.now()));
        site.cd.set_history(history.clone(), Some(parsed("42")));
        host.engine.deployed(site.deploy_of("43", "2.15.0")).await.unwrap();
        let current = async || {
            let mut current = Vec::new();
            for id in ["ci-42", "ci-43"] {
                let card = site.store.deploy(&parsed(id)).await.unwrap().unwrap();
                if card.superseded_by.is_none() && card.choice.target.is_some() {
                    current.push(id);
                }
            }
            current
        };
        tokio::time::sleep(Duration::from_secs(40)).await;
        assert_eq!(current().await, ["ci-43"], "it is on its way");
        tokio::time::sleep(2 * MINUTE).await;
        assert_eq!(current().await, ["ci-42"], "what is live has the button");
        // Nobody knows what is live: whoever has the button keeps it.
        site.cd.cut();
        tokio::time::sleep(2 * MINUTE).await;
        assert_eq!(current().await, ["ci-42"]);
        site.cd.heal();
        // Long after it was reported it goes live by itself.
        site.cd.set_history(history.clone(), Some(parsed("43")));
        tokio::time::sleep(MINUTE).await;
        assert_eq!(current().await, ["ci-43"], "it went live late");
        let mut again = site.deploy_of("43", "2.15.0");
        again.id = parsed("ci-43-again");
        host.engine.deployed(again).await.unwrap();
        assert_eq!(current().await, Vec::<&str>::new(), "both have one that took their place");
        let card = site.store.deploy(&parsed("ci-43-again")).await.unwrap().unwrap();
        assert_eq!(card.choice.target.unwrap().id, parsed("42"));
    });
}

#[test]
fn reports_of_a_service_whose_cd_system_hangs_are_all_kept_within_its_time_out() {
    paused(async {
        let (site, host) = open(Setup::default()).await;
        for _call in 0..100 {
            site.cd.fail(Method::Live, Fault::Hang);
            site.cd.fail(Method::History, Fault::Hang);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let began = site.now();
        let reports = (0..50).map(|number| {
            let (engine, mut deploy) = (host.engine.clone(), site.deploy());
            deploy.id = parsed(&format!("ci-hung-{number}"));
            async move { engine.deployed(deploy).await }
        });
        let reports = futures_util::future::join_all(reports).await;
        let took = site.now().since(began);
        assert!(took < Duration::from_secs(13), "it took {took:?}");
        for report in reports {
            let report = report.unwrap();
            assert_eq!(report.saved, SavedDeploy::New);
            let why = &report.card.choice.why;
            assert!(why.contains("not known") || why.contains("newer deploy"), "{why}");
        }
        // Known ones are answered from the store.
        let began = site.now();
        assert_eq!(host.engine.deployed(site.deploy()).await.unwrap().saved, SavedDeploy::Known);
        assert!(site.now().since(began) < Duration::from_secs(1));
    });
}
