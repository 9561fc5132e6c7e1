//! Who is drawn: the people whom a policy names, and those whom it nearly names.

use crate::fixtures::{self, Person};
use proptest::prelude::*;
use rollback_core::access::{Account, Duty, Principal, Standing};
use rollback_core::{CLOCK_SKEW_MAX, Fact, GroupId, Policy, Timestamp, UserId, WorkspaceId};
use std::fmt;
use std::time::Duration;

/// Why somebody was drawn. The principals are those that the policy names.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Role {
    /// A rule for the service names them for their duty, the emergency group included.
    Named(Principal),
    /// A rule of the policy names them, and none for this service and duty does by this principal.
    Elsewhere(Principal),
    /// Their id differs in one character from one that the policy names.
    AlmostUser(UserId),
    /// They are in a group whose id differs in one character from one that the policy names.
    AlmostGroup(GroupId),
    /// A rule for the service names them, and another one denies them.
    Denied(Principal),
    /// They are in the emergency group, or named for emergencies.
    BreakGlass(Principal),
    /// A rule for the service names them, and theirs is an account that may never act.
    WrongAccount(Principal, Account),
    /// A rule for the service names them, and they belong to a workspace that is not named.
    WrongWorkspace(Principal, WorkspaceId),
    /// They deployed the revision that is to be left. No rule names them.
    Deployer,
    /// A member in no group. No rule names them.
    Nobody,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(by) => write!(f, "named for it as {by}"),
            Self::Elsewhere(by) => write!(f, "named elsewhere as {by}"),
            Self::AlmostUser(id) => write!(f, "one character away from user {id}"),
            Self::AlmostGroup(id) => write!(f, "in a group one character away from {id}"),
            Self::Denied(by) => write!(f, "named for it as {by}, and denied by a rule"),
            Self::BreakGlass(by) => write!(f, "named for emergencies as {by}"),
            Self::WrongAccount(by, account) => write!(f, "named for it as {by}, a {account:?}"),
            Self::WrongWorkspace(by, id) => write!(f, "named for it as {by}, of workspace {id}"),
            Self::Deployer => f.write_str("the deployer, whom no rule names"),
            Self::Nobody => f.write_str("a member whom no rule names"),
        }
    }
}

/// How the directory answers about somebody.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Answer {
    /// With the truth, now.
    Fresh,
    /// With groups that it saw too long ago.
    StaleGroups,
    /// Not about their groups.
    UnknownGroups,
    /// As if nobody had asked about their groups.
    GroupsNotAsked,
    /// With an account that it saw too long ago.
    StaleProfile,
    /// Not about their account.
    UnknownProfile,
    /// With a time in the future.
    FromTheFuture,
    /// About somebody else.
    AboutAnother,
    /// Without the person behind the account.
    PersonUnknown,
}

impl Answer {
    const WRONG: [Self; 8] = [
        Self::StaleGroups,
        Self::UnknownGroups,
        Self::GroupsNotAsked,
        Self::StaleProfile,
        Self::UnknownProfile,
        Self::FromTheFuture,
        Self::AboutAnother,
        Self::PersonUnknown,
    ];

    /// Fresh up to `fresh`, then one of the others.
    pub(super) fn drawn(number: u8) -> Self {
        let Some(wrong) = number.checked_sub(FRESH) else { return Self::Fresh };
        nth(&Self::WRONG, wrong.into()).copied().unwrap_or(Self::Fresh)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fresh => "fresh",
            Self::StaleGroups => "stale about groups",
            Self::UnknownGroups => "unknown about groups",
            Self::GroupsNotAsked => "nothing about groups",
            Self::StaleProfile => "stale about the account",
            Self::UnknownProfile => "unknown about the account",
            Self::FromTheFuture => "from the future",
            Self::AboutAnother => "about somebody else",
            Self::PersonUnknown => "fresh, without the person",
        })
    }
}

/// Of 100 answers about the person under test, how many are fresh.
const FRESH: u8 = 84;
/// Of 100 people under test, how many are named for what they want to do.
pub(super) const NAMED: u8 = 48;
/// Numbers for those who play beside the person under test: few near misses, so that journeys get far.
const BESIDE: u8 = NAMED + 4;
/// Numbers for the answers about them.
const ANSWERS_BESIDE: u8 = FRESH + 4;

/// Somebody who was drawn, in numbers that mean somebody only with a policy and a service. Smaller
/// numbers are plainer people, so that a failure shrinks towards them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draw {
    pub(super) role: u8,
    pub(super) which: u16,
    pub(super) letter: u16,
    pub(super) answer: u8,
}

/// Anybody: owners and near misses.
pub(super) fn anybody() -> impl Strategy<Value = Draw> {
    draw(100, 100)
}

/// Somebody who is named most of the time.
pub(super) fn beside() -> impl Strategy<Value = Draw> {
    draw(BESIDE, ANSWERS_BESIDE)
}

fn draw(roles: u8, answers: u8) -> impl Strategy<Value = Draw> {
    (0..roles, any::<u16>(), any::<u16>(), 0..answers)
        .prop_map(|(role, which, letter, answer)| Draw { role, which, letter, answer })
}

/// Somebody, and how the directory answers about them.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) person: Person,
    pub(super) role: Role,
    pub(super) answer: Answer,
}

impl Candidate {
    /// The same, with a directory that tells the truth.
    pub(super) fn known(&self) -> Self {
        Self { answer: Answer::Fresh, ..self.clone() }
    }

    /// The same, or somebody else of the same id: in one journey an id means one person.
    pub(super) fn or_is(self, other: &Self) -> Self {
        if self.person.id() == other.person.id() {
            Self { answer: self.answer, ..other.clone() }
        } else {
            self
        }
    }

    /// What the directory says at `now`, about the groups that the duty is decided by, and about
    /// those that they are in.
    pub(super) fn standing(&self, policy: &Policy, duty: Duty, now: Timestamp) -> Standing {
        let user = self.person.id();
        let mut groups = policy.access.groups_for(duty, &user);
        groups.extend(&self.person.groups);
        let groups: Vec<GroupId> = groups.into_iter().cloned().collect();
        let mut standing = self.person.standing_in(&groups, now);
        let limits = policy.limits;
        let old = limits.fact_age_max.max(limits.directory_age_max);
        let old = old.saturating_add(Duration::from_secs(1));
        let old = Timestamp::from_millis(now.as_millis().saturating_sub(millis(old)));
        let ahead = now.after(CLOCK_SKEW_MAX + Duration::from_secs(1));
        match self.answer {
            Answer::Fresh => {}
            Answer::StaleGroups => seen_at(standing.groups.values_mut(), old),
            Answer::UnknownGroups => {
                for fact in standing.groups.values_mut() {
                    *fact = Fact::unknown("the directory did not answer about the group");
                }
            }
            Answer::GroupsNotAsked => standing.groups.clear(),
            Answer::StaleProfile => seen_at([&mut standing.profile], old),
            Answer::UnknownProfile => {
                standing.profile = Fact::unknown("the directory did not answer");
            }
            Answer::FromTheFuture => {
                seen_at([&mut standing.profile], ahead);
                seen_at(standing.groups.values_mut(), ahead);
            }
            Answer::AboutAnother => standing.user = Some(fixtures::parsed("U0SOMEBODYELSE")),
            Answer::PersonUnknown => {
                standing.profile = standing.profile.map(|mut profile| {
                    profile.person = None;
                    profile
                });
            }
        }
        standing
    }
}

fn seen_at<'a, T: 'a>(facts: impl IntoIterator<Item = &'a mut Fact<T>>, at: Timestamp) {
    for fact in facts {
        if let Fact::Known { observed_at, .. } = fact {
            *observed_at = at;
        }
    }
}

/// Whole milliseconds; the most that there are, where it is longer.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// One of a list, whatever the number; none of an empty one.
pub(super) fn nth<T>(list: &[T], number: u16) -> Option<&T> {
    list.get(usize::from(number).checked_rem(list.len())?)
}
