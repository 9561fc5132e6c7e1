//! The conformance suite of [`Directory`].

use crate::suite::{Simulated, Summary};
use async_trait::async_trait;
use rollback_core::access::{Account, Standing};
use rollback_core::ports::{Directory, Freshness};
use rollback_core::{Fact, GroupId, UserId, WorkspaceId};
use std::time::Duration;

/// What the suite needs of a directory besides the port.
#[async_trait]
pub trait Harness: Send + Sync {
    /// The adapter under test.
    fn directory(&self) -> &dyn Directory;

    /// Our own workspace.
    fn workspace(&self) -> WorkspaceId;

    /// A full member of the workspace, and a group that they are in and one that they are not in.
    fn member(&self) -> (UserId, GroupId, GroupId);

    /// Accounts of other kinds, with what they are.
    fn others(&self) -> Vec<(UserId, Account)>;

    /// Somebody whom the directory does not know.
    fn nobody(&self) -> UserId;

    /// A group that does not exist.
    fn no_group(&self) -> GroupId;

    /// The member leaves the group that they were in, past the adapter.
    async fn leave(&self);

    /// The directory does not answer from now on.
    async fn break_down(&self);
}

/// Runs every case, each on a fresh harness.
///
/// # Panics
///
/// When a case fails, with what was wrong.
pub async fn run_all<H: Harness>(make: impl AsyncFn() -> H) -> Summary {
    let mut summary = Summary::default();
    let harness = make().await;
    summary.ran("a_member_is_in_their_groups", a_member_is_in_their_groups(&harness).await);
    let harness = make().await;
    summary.ran("every_kind_of_account_is_told_apart", accounts_are_told_apart(&harness).await);
    let harness = make().await;
    summary.ran("who_is_not_known_is_no_member", who_is_not_known_is_no_member(&harness).await);
    let harness = make().await;
    summary.ran("asked_now_it_knows_who_has_left", asked_now_it_knows(&harness).await);
    let harness = make().await;
    summary.ran("a_silent_directory_is_unknown", a_silent_directory_is_unknown(&harness).await);
    summary
}

fn member_of(standing: &Standing, group: &GroupId) -> Option<bool> {
    standing.groups.get(group).and_then(Fact::value).copied()
}

async fn a_member_is_in_their_groups<H: Harness>(harness: &H) -> Simulated {
    let (user, inside, outside) = harness.member();
    let groups = [inside.clone(), outside.clone()];
    let standing = harness.directory().standing(&user, &groups, Freshness::Now).await;
    let profile = standing.profile.value().expect("a member is known");
    assert_eq!(profile.account, Account::Member, "a full member");
    assert_eq!(profile.workspace, harness.workspace(), "the member's workspace");
    assert_eq!(member_of(&standing, &inside), Some(true), "a group they are in");
    assert_eq!(member_of(&standing, &outside), Some(false), "a group they are not in");
    assert!(standing.is_about(&user), "the answer is about somebody else");
    let none = harness.directory().standing(&user, &[], Freshness::Now).await;
    assert!(none.groups.values().all(|fact| fact.value() != Some(&true)), "no group was asked");
    Simulated::Done
}

async fn accounts_are_told_apart<H: Harness>(harness: &H) -> Simulated {
    for (user, account) in harness.others() {
        let standing = harness.directory().standing(&user, &[], Freshness::Now).await;
        let found = standing.profile.value().map(|profile| profile.account);
        assert_eq!(found, Some(account), "the account of {user}");
    }
    Simulated::Done
}

async fn who_is_not_known_is_no_member<H: Harness>(harness: &H) -> Simulated {
    let (user, inside, _outside) = harness.member();
    let nobody = harness.nobody();
    let standing = harness.directory().standing(&nobody, &[inside], Freshness::Now).await;
    let member = standing.profile.value().is_some_and(|p| p.account == Account::Member);
    assert!(!member, "somebody who is not known is a member");
    let gone = harness.no_group();
    let standing =
        harness.directory().standing(&user, core::slice::from_ref(&gone), Freshness::Now).await;
    assert_ne!(member_of(&standing, &gone), Some(true), "a group that does not exist");
    Simulated::Done
}

async fn asked_now_it_knows<H: Harness>(harness: &H) -> Simulated {
    let (user, inside, _outside) = harness.member();
    let groups = [inside.clone()];
    let from_memory = Freshness::AtMost(Duration::from_secs(60));
    let before = harness.directory().standing(&user, &groups, from_memory).await;
    assert_eq!(member_of(&before, &inside), Some(true), "before they leave");
    harness.leave().await;
    let after = harness.directory().standing(&user, &groups, Freshness::Now).await;
    assert_eq!(member_of(&after, &inside), Some(false), "asked now, after they left");
    Simulated::Done
}

async fn a_silent_directory_is_unknown<H: Harness>(harness: &H) -> Simulated {
    let (user, inside, _outside) = harness.member();
    harness.break_down().await;
    let groups = [inside.clone()];
    let standing = harness.directory().standing(&user, &groups, Freshness::Now).await;
    assert_eq!(standing.profile.value(), None, "a silent directory knows somebody");
    assert_eq!(member_of(&standing, &inside), None, "a silent directory knows a group");
    Simulated::Done
}
