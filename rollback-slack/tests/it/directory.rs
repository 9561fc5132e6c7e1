//! Who is who and who is in which group, against a Slack of our own with faults on demand.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use local_slack::{Fault, LocalSlack, Options, User, UserGroup};
use rollback_core::access::Account;
use rollback_core::ports::{Clock, Directory, Expected, Freshness, Inquiry, SourceState};
use rollback_core::{Fact, GroupId, Timestamp, UserId};
use rollback_slack::{SlackDirectory, WebApi, WebApiOptions};

const MINUTE: Freshness = Freshness::AtMost(Duration::from_secs(60));

#[derive(Debug)]
struct Stopped;

#[async_trait]
impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_000_000)
    }

    async fn sleep_until(&self, _: Timestamp) {}

    async fn sleep(&self, _: Duration) {}
}

async fn slack() -> (LocalSlack, SlackDirectory) {
    let options = Options::default()
        .user(User::new("U02ANA", "Ana"))
        .user(User::new("U03GUEST", "Guest").guest())
        .user(User::new("U04AWAY", "Away").deactivated())
        .user(User::new("U05BOT", "Bot").bot())
        .user(User::new("U06OTHER", "Other").foreign("T0OTHER"))
        .group(UserGroup::new("S0PAYMENTS", "payments", ["U02ANA"]))
        .group(UserGroup::new("S0CLOSED", "closed", ["U02ANA"]).disabled());
    let slack = LocalSlack::start(options).await.unwrap();
    let directory = directory(&slack);
    (slack, directory)
}

fn directory(slack: &LocalSlack) -> SlackDirectory {
    let mut options = WebApiOptions::default();
    options.base_url = slack.api_url();
    options.attempts_max = 1;
    options.wait_max = Duration::ZERO;
    let api = WebApi::new("xoxb-local-slack".into(), options).unwrap();
    SlackDirectory::new(api, "T0LOCAL".parse().unwrap(), Arc::new(Stopped))
}

fn user(id: &str) -> UserId {
    id.parse().unwrap()
}

fn group(id: &str) -> GroupId {
    id.parse().unwrap()
}

async fn is_in(directory: &SlackDirectory, id: &str, freshness: Freshness) -> Fact<bool> {
    let standing = directory.standing(&user("U02ANA"), &[group(id)], freshness).await;
    standing.groups.get(id).unwrap().clone()
}

#[tokio::test]
async fn every_kind_of_account_is_told_apart() {
    let (_slack, directory) = slack().await;
    for (id, account) in [
        ("U02ANA", Account::Member),
        ("U03GUEST", Account::Guest),
        ("U04AWAY", Account::Deactivated),
        ("U05BOT", Account::Bot),
        ("U06OTHER", Account::Stranger),
    ] {
        let standing = directory.standing(&user(id), &[], MINUTE).await;
        assert_eq!(standing.profile.value().unwrap().account, account, "{id}");
    }
}

#[tokio::test]
async fn a_disabled_group_is_nobody_and_a_group_that_never_was_is_unknown() {
    let (_slack, directory) = slack().await;
    assert_eq!(is_in(&directory, "S0PAYMENTS", MINUTE).await.value(), Some(&true));
    assert_eq!(is_in(&directory, "S0CLOSED", MINUTE).await.value(), Some(&false));
    let Fact::Unknown { why } = is_in(&directory, "S0NEVER", MINUTE).await else {
        panic!("a group that never was is known")
    };
    assert!(why.contains("correct the configuration"), "{why}");
}

#[tokio::test]
async fn somebody_whom_slack_does_not_know_is_unknown() {
    let (_slack, directory) = slack().await;
    let standing = directory.standing(&user("U0NOBODY"), &[], MINUTE).await;
    assert_eq!(standing.profile, Fact::unknown("Slack does not know the account"));
}

#[tokio::test]
async fn somebody_taken_out_of_a_group_is_out_at_the_next_question_that_wants_it_now() {
    let (slack, directory) = slack().await;
    assert_eq!(is_in(&directory, "S0PAYMENTS", MINUTE).await.value(), Some(&true));
    assert!(slack.set_group_users("S0PAYMENTS", &[]));
    assert_eq!(is_in(&directory, "S0PAYMENTS", MINUTE).await.value(), Some(&true), "remembered");
    assert_eq!(is_in(&directory, "S0PAYMENTS", Freshness::Now).await.value(), Some(&false));
    assert_eq!(is_in(&directory, "S0PAYMENTS", MINUTE).await.value(), Some(&false));
}

#[tokio::test]
async fn a_slack_that_fails_makes_every_fact_unknown_and_never_an_old_one() {
    for fault in [Fault::server_error(), Fault::reset(), Fault::rate_limited(30)] {
        let (slack, directory) = slack().await;
        assert_eq!(is_in(&directory, "S0PAYMENTS", MINUTE).await.value(), Some(&true));
        slack.fail_next(fault.times(2));
        let asked = [group("S0PAYMENTS")];
        let standing = directory.standing(&user("U02ANA"), &asked, Freshness::Now).await;
        assert!(standing.profile.value().is_none());
        assert!(standing.groups.values().all(|fact| fact.value().is_none()));
    }
}

/// Slack takes twenty such questions a minute: ten go out at once, and one every six seconds from then on.
#[tokio::test]
async fn what_waits_for_our_own_pacing_is_answered_and_not_unknown() {
    let mut options = Options::default().user(User::new("U02ANA", "Ana"));
    options = options.limit_method("usergroups.users.list", 20);
    let ids: Vec<String> = (0..11).map(|number| format!("S0TEAM{number}")).collect();
    for id in &ids {
        options = options.group(UserGroup::new(id, id.to_lowercase(), ["U02ANA"]));
    }
    let slack = LocalSlack::start(options).await.unwrap();
    let directory = directory(&slack);
    let groups: Vec<GroupId> = ids.iter().map(|id| group(id)).collect();
    let began = std::time::Instant::now();
    let standing = directory.standing(&user("U02ANA"), &groups, Freshness::Now).await;
    for (group, fact) in &standing.groups {
        assert_eq!(fact.value(), Some(&true), "{group}: {fact:?}");
    }
    assert_eq!(standing.groups.len(), 11);
    assert!(began.elapsed() >= Duration::from_millis(5_900), "{:?}", began.elapsed());
    assert!(directory.held_back_max() > Duration::from_secs(20));
}

/// Whoever is in no group and asks again and again takes nothing from those who are in one.
#[tokio::test]
async fn questions_that_are_likely_a_no_hold_up_no_other() {
    let options = Options::default()
        .user(User::new("U02ANA", "Ana"))
        .user(User::new("U09EVE", "Eve"))
        .limit_method("usergroups.users.list", 20)
        .group(UserGroup::new("S0PAYMENTS", "payments", ["U02ANA"]));
    let slack = LocalSlack::start(options).await.unwrap();
    let directory = Arc::new(directory(&slack));
    let asked = [group("S0PAYMENTS")];
    let standing = directory.standing(&user("U02ANA"), &asked, Freshness::Now).await;
    assert_eq!(standing.groups["S0PAYMENTS"].value(), Some(&true));
    assert_eq!(directory.last_seen_in(&user("U02ANA"), &asked), asked);
    assert!(directory.last_seen_in(&user("U09EVE"), &asked).is_empty());
    let mut presses = Vec::new();
    for _press in 0..30 {
        let directory = Arc::clone(&directory);
        presses.push(tokio::spawn(async move {
            directory.hear(&doubtful("U09EVE", "S0PAYMENTS")).await
        }));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let began = std::time::Instant::now();
    let standing = directory.standing(&user("U02ANA"), &asked, Freshness::Now).await;
    assert_eq!(standing.groups["S0PAYMENTS"].value(), Some(&true));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert!(slack.calls_of("usergroups.users.list").len() <= 11);
    for press in presses {
        press.abort();
    }
}

/// An owner is in none of the groups that are denied, and that is how they are let in.
#[tokio::test]
async fn an_owner_who_is_in_no_denied_group_asks_in_no_strangers_share() {
    let options = Options::default()
        .user(User::new("U02ANA", "Ana"))
        .user(User::new("U09EVE", "Eve"))
        .group(UserGroup::new("S0INTERNS", "interns", ["U09EVE"]))
        .group(UserGroup::new("S0SUSPENDED", "suspended", ["U09EVE"]));
    let slack = LocalSlack::start(options).await.unwrap();
    let directory = directory(&slack);
    // A rule names them, so that nothing is asked but who is denied.
    let asked = ["S0INTERNS", "S0SUSPENDED"].map(group);
    let began = std::time::Instant::now();
    // The confirmations, approvals and last checks of rollbacks that people ask for at once.
    for _question in 0..5 {
        let standing = directory.standing(&user("U02ANA"), &asked, Freshness::Now).await;
        let said: Vec<_> = standing.groups.values().map(Fact::value).collect();
        assert_eq!(said, [Some(&false), Some(&false)], "{standing:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

/// The question of somebody who is likely turned away.
fn doubtful(who: &str, of: &str) -> Inquiry {
    Inquiry::new(user(who), vec![group(of)], Freshness::Now, Expected::Denial)
}

/// However many they are: each comes before the question is sent that answers them.
#[tokio::test]
async fn those_who_are_likely_turned_away_share_one_turn_and_one_question() {
    let (slack, directory) = slack().await;
    let inquiry = doubtful("U03GUEST", "S0PAYMENTS");
    let many = (0..20).map(|_| directory.hear(&inquiry));
    for heard in futures_util::future::join_all(many).await {
        let said = heard.standing.groups["S0PAYMENTS"].value().copied();
        assert_eq!((said, heard.source), (Some(false), SourceState::Answers));
    }
    // One before the others came, and one for all of them.
    assert!(slack.calls_of("usergroups.users.list").len() <= 2);
}

/// Otherwise a stranger who presses again and again makes a page of it.
#[tokio::test]
async fn what_we_hold_back_ourselves_is_no_trouble_of_slack() {
    let (slack, directory) = slack().await;
    let directory = Arc::new(directory);
    let mut seen = Vec::new();
    for _question in 0..4 {
        seen.push(directory.hear(&doubtful("U03GUEST", "S0PAYMENTS")).await.source);
    }
    assert_eq!(seen, vec![SourceState::Answers; 4]);
    // The fifth waits for its turn, and the sixth would have to wait for longer than anybody waits.
    let mut waits = Vec::new();
    for of in ["S0PAYMENTS", "S0CLOSED"] {
        let directory = Arc::clone(&directory);
        waits.push(tokio::spawn(async move { directory.hear(&doubtful("U03GUEST", of)).await }));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let held_back = waits.pop().unwrap().await.unwrap();
    assert!(held_back.standing.groups["S0CLOSED"].value().is_none(), "{held_back:?}");
    assert_eq!(held_back.source, SourceState::NotAsked);
    waits.pop().unwrap().abort();
    // What Slack itself does not answer is trouble, of people as well as of groups.
    for method in ["users.info", "usergroups.list"] {
        assert_eq!(directory.look(&[group("S0PAYMENTS")]).await, SourceState::Answers);
        slack.fail_next(Fault::server_error().on(method));
        let state = directory.look(&[group("S0PAYMENTS")]).await;
        assert!(matches!(state, SourceState::Fails(_)), "{method}: {state:?}");
    }
    let state = directory.look(&[group("S0NEVER")]).await;
    assert!(matches!(&state, SourceState::Fails(why) if why.contains("S0NEVER")), "{state:?}");
}

#[tokio::test]
async fn many_who_ask_at_once_make_one_call() {
    let (slack, directory) = slack().await;
    let many = (0..20).map(|_| is_in(&directory, "S0PAYMENTS", MINUTE));
    let answers = futures_util::future::join_all(many).await;
    assert!(answers.iter().all(|answer| answer.value() == Some(&true)));
    assert_eq!(slack.calls_of("usergroups.users.list").len(), 1);
    assert_eq!(slack.calls_of("users.info").len(), 1);
}
