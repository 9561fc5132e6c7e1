//! Authorization: who may ask for, approve, stop and settle a rollback. One function decides for
//! every surface, and whatever it cannot evaluate is a denial.

use crate::fact::{Fact, Missing};
use crate::id::{EnvironmentName, GroupId, IdError, Label, ServiceName, UserId, WorkspaceId};
use crate::model::{Actor, ServiceKey};
use crate::time::Timestamp;
use alloc::borrow::Cow;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// Somebody a rule names: a user or everybody in a user group. Always by identity, never by handle.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "a new kind of principal must be decided everywhere")]
pub enum Principal {
    /// One user.
    User(UserId),
    /// Every member of a group.
    Group(GroupId),
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user {id}"),
            Self::Group(id) => write!(f, "group {id}"),
        }
    }
}

/// Which names a rule covers: one name, or a name with a single `*` in it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(Shape);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Shape {
    Exact(String),
    Around { prefix: String, suffix: String },
}

/// Why a pattern was not accepted.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// More than one `*`.
    #[error("the pattern `{0}` has more than one `*`; use at most one")]
    Stars(String),
    /// What is not `*` is not a name.
    #[error("the pattern is not a name with at most one `*`")]
    Name(#[source] IdError),
}

impl Pattern {
    /// Parses a pattern: `checkout`, `pay-*`, `*-eu`, `*`.
    ///
    /// # Errors
    ///
    /// [`PatternError`] when it has several `*`, or something that no name has.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let letters = text.replacen('*', "x", 1);
        if letters.contains('*') {
            return Err(PatternError::Stars(text.chars().take(80).collect()));
        }
        ServiceName::parse(letters).map_err(PatternError::Name)?;
        Ok(Self(match text.split_once('*') {
            None => Shape::Exact(text.into()),
            Some((prefix, suffix)) => {
                Shape::Around { prefix: prefix.into(), suffix: suffix.into() }
            }
        }))
    }

    /// Covers exactly this service.
    #[must_use]
    pub fn service(name: &ServiceName) -> Self {
        Self(Shape::Exact(name.as_str().into()))
    }

    /// Covers exactly this environment.
    #[must_use]
    pub fn environment(name: &EnvironmentName) -> Self {
        Self(Shape::Exact(name.as_str().into()))
    }

    /// Covers every name.
    #[must_use]
    pub const fn any() -> Self {
        Self(Shape::Around { prefix: String::new(), suffix: String::new() })
    }

    /// Whether it covers `name`.
    #[must_use]
    pub fn covers(&self, name: &str) -> bool {
        match &self.0 {
            Shape::Exact(exact) => exact == name,
            Shape::Around { prefix, suffix } => name
                .strip_prefix(prefix.as_str())
                .is_some_and(|rest| rest.ends_with(suffix.as_str())),
        }
    }
}

impl TryFrom<String> for Pattern {
    type Error = PatternError;
    fn try_from(text: String) -> Result<Self, PatternError> {
        Self::parse(&text)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        match pattern.0 {
            Shape::Exact(name) => name,
            Shape::Around { prefix, suffix } => alloc::format!("{prefix}*{suffix}"),
        }
    }
}

/// A named rule: these principals, for the services and environments it covers.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Rule {
    /// Its name, as decisions and the audit record cite it: `checkout owners`.
    pub name: Label,
    /// The services it covers.
    pub services: Pattern,
    /// The environments it covers.
    pub environments: Pattern,
    /// Whom it names.
    pub principals: Vec<Principal>,
}

impl Rule {
    /// A rule for one service in every environment.
    #[must_use]
    pub fn for_service(
        name: impl Into<Label>,
        service: &ServiceName,
        principals: Vec<Principal>,
    ) -> Self {
        Self {
            name: name.into(),
            services: Pattern::service(service),
            environments: Pattern::any(),
            principals,
        }
    }

    /// A rule for whatever two patterns cover.
    #[must_use]
    pub fn new(
        name: impl Into<Label>,
        services: Pattern,
        environments: Pattern,
        principals: Vec<Principal>,
    ) -> Self {
        Self { name: name.into(), services, environments, principals }
    }

    fn covers(&self, key: &ServiceKey) -> bool {
        self.services.covers(key.service.as_str())
            && self.environments.covers(key.environment.as_str())
    }
}

/// The organization's rules, for all services. An empty policy denies everybody.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
#[non_exhaustive]
pub struct AccessPolicy {
    /// The workspaces whose full members may act at all.
    pub workspaces: BTreeSet<WorkspaceId>,
    /// Who owns what. Owners may ask for a rollback and approve somebody else's.
    pub owners: Vec<Rule>,
    /// Who may approve, where owners should not; empty for a service means its owners do.
    pub approvers: Vec<Rule>,
    /// Who may do nothing, whatever else names them.
    pub denied: Vec<Rule>,
    /// Who may act for any service in an emergency; each use pages.
    pub break_glass: Vec<Principal>,
}

impl AccessPolicy {
    /// Whether an owner rule that covers this service names anybody.
    #[must_use]
    pub fn has_owners(&self, key: &ServiceKey) -> bool {
        self.owners.iter().any(|rule| rule.covers(key) && !rule.principals.is_empty())
    }

    /// The rules that concern one service, to be pinned in a rollback of it.
    #[must_use]
    pub fn for_service(&self, key: &ServiceKey) -> Access {
        let concerning = |rules: &[Rule]| -> Vec<NamedPrincipals> {
            rules
                .iter()
                .filter(|rule| rule.covers(key))
                .map(|rule| NamedPrincipals {
                    rule: rule.name.clone(),
                    principals: rule.principals.clone(),
                })
                .collect()
        };
        Access {
            workspaces: self.workspaces.clone(),
            owners: concerning(&self.owners),
            approvers: concerning(&self.approvers),
            denied: concerning(&self.denied),
            break_glass: self.break_glass.clone(),
        }
    }
}

/// The rules of an organization, looked up once for each service that is configured, so that a
/// decision does not search them.
#[derive(Clone, Debug)]
pub struct AccessIndex {
    policy: AccessPolicy,
    services: BTreeMap<ServiceKey, Access>,
}

impl AccessIndex {
    /// Looks up the rules for each of these services.
    #[must_use]
    pub fn new(policy: AccessPolicy, services: impl IntoIterator<Item = ServiceKey>) -> Self {
        let services =
            services.into_iter().map(|key| (key.clone(), policy.for_service(&key))).collect();
        Self { policy, services }
    }

    /// The rules that concern one service; those of a service that was not named are searched.
    #[must_use]
    pub fn for_service(&self, key: &ServiceKey) -> Cow<'_, Access> {
        match self.services.get(key) {
            Some(access) => Cow::Borrowed(access),
            None => Cow::Owned(self.policy.for_service(key)),
        }
    }
}

/// A rule's name and whom it names.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NamedPrincipals {
    /// The rule.
    pub rule: Label,
    /// Whom it names.
    pub principals: Vec<Principal>,
}

/// The rules that concern one service in one environment.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Access {
    workspaces: BTreeSet<WorkspaceId>,
    owners: Vec<NamedPrincipals>,
    approvers: Vec<NamedPrincipals>,
    denied: Vec<NamedPrincipals>,
    break_glass: Vec<Principal>,
}

/// What somebody wants to do to a rollback, or to a service.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "a new duty must be decided in `Access::decide`")]
pub enum Duty {
    /// Ask for it and confirm it.
    Request,
    /// Approve or reject somebody else's.
    Approve,
    /// Stop it.
    Withdraw,
    /// Say what became of one whose outcome is unknown.
    Settle,
    /// Release one from quarantine.
    Release,
    /// Freeze a service or mark a revision bad, and take that back.
    Operate,
}

/// What the directory says about an account.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "a new kind of account must be decided")]
pub enum Account {
    /// A person who is a full member.
    Member,
    /// A guest, single- or multi-channel.
    Guest,
    /// Somebody of another organization, in a shared channel.
    Stranger,
    /// A bot, an app or a workflow.
    Bot,
    /// An account that has been switched off.
    Deactivated,
}

/// A person's entry in the directory.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Profile {
    /// What kind of account it is.
    pub account: Account,
    /// The workspace it belongs to.
    pub workspace: WorkspaceId,
    /// One identity for all accounts of one human, where the directory has it.
    #[serde(default)]
    pub person: Option<Label>,
}

impl Profile {
    /// An entry.
    #[must_use]
    pub const fn new(account: Account, workspace: WorkspaceId) -> Self {
        Self { account, workspace, person: None }
    }
}

/// What the directory knows about somebody at one moment.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Standing {
    /// Their entry.
    pub profile: Fact<Profile>,
    /// Whether they are in each group that was asked about.
    #[serde(default)]
    pub groups: BTreeMap<GroupId, Fact<bool>>,
    /// Whom it is about, so that an answer about somebody is never taken for somebody else's. Without
    /// it nothing can be decided about anybody: see [`Self::about`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
}

impl Standing {
    /// Collects what the directory said, about nobody yet: [`Self::about`] names whom.
    #[must_use]
    pub const fn new(profile: Fact<Profile>, groups: BTreeMap<GroupId, Fact<bool>>) -> Self {
        Self { profile, groups, user: None }
    }

    /// The same, bound to the account it is about.
    #[must_use]
    pub fn about(mut self, user: UserId) -> Self {
        self.user = Some(user);
        self
    }

    /// Whether it can be used to decide about this account: it names it.
    #[must_use]
    pub fn is_about(&self, user: &UserId) -> bool {
        self.user.as_ref() == Some(user)
    }

    /// Whether it names somebody else.
    #[must_use]
    pub(crate) fn is_about_another(&self, user: &UserId) -> bool {
        self.user.as_ref().is_some_and(|about| about != user)
    }

    /// Nothing is known, and why.
    #[must_use]
    pub fn unknown(why: impl Into<String>) -> Self {
        Self { profile: Fact::unknown(why), groups: BTreeMap::new(), user: None }
    }

    /// The one identity of the human behind the account, if the directory has it.
    #[must_use]
    pub fn person(&self) -> Option<&Label> {
        self.profile.value().and_then(|profile| profile.person.as_ref())
    }
}

/// Why somebody may.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "a new way in must be announced by somebody")]
pub enum Route {
    /// They own the service, or were named to approve for it.
    Ownership,
    /// They are in the emergency group; this pages.
    BreakGlass,
}

/// Why somebody may not.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Denial {
    /// Their workspace is not one of ours, or was not named.
    ForeignWorkspace,
    /// Their kind of account may never act.
    Account(Account),
    /// A rule denies them.
    DeniedByRule,
    /// No rule names them.
    NotNamed,
    /// The service has no owner at all.
    NobodyMay,
    /// The directory does not know which person they are, and the policy tells people apart by that.
    PersonUnknown,
    /// It could not be found out.
    Unknown(Missing),
}

/// What was decided about somebody, and by which rule.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Decision<'a> {
    /// The verdict.
    pub verdict: Result<Route, Denial>,
    /// The rule that made it.
    pub rule: &'a str,
    /// For a permission: when the oldest of the facts was observed on which it rests. These are the
    /// account, the groups of denials that the person is not in, and the group that lets them in.
    pub observed_at: Option<Timestamp>,
}

impl<'a> Decision<'a> {
    const fn denied(denial: Denial, rule: &'a str) -> Self {
        Self { verdict: Err(denial), rule, observed_at: None }
    }

    const fn allowed(route: Route, rule: &'a str, observed_at: Option<Timestamp>) -> Self {
        Self { verdict: Ok(route), rule, observed_at }
    }
}

/// The earlier of two moments, of which each may be missing.
pub(crate) fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    [one, other].into_iter().flatten().min()
}

/// How old what the directory says may be at this decision.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Moment {
    /// Now.
    pub now: Timestamp,
    /// The bound on the age of a fact.
    pub age_max: Duration,
}

impl Moment {
    /// Decides at `now` on facts at most `age_max` old.
    #[must_use]
    pub const fn new(now: Timestamp, age_max: Duration) -> Self {
        Self { now, age_max }
    }
}

/// The rule cited when nothing that a host configured decided.
pub const RULE_DEFAULT: &str = "default: deny";
/// The rule cited when the account itself decided.
pub const RULE_ACCOUNT: &str = "only active full members of our own workspaces";
/// The rule cited when the emergency group decided.
pub const RULE_BREAK_GLASS: &str = "break-glass";
/// The rule cited when whoever asked for a rollback stops it.
pub const RULE_REQUESTER: &str = "whoever asked for it may stop it";
/// The rule cited when somebody would confirm what somebody else asked for.
pub const RULE_OWN_CONFIRMATION: &str = "only whoever asked for it confirms it";
/// The rule cited when somebody would approve their own rollback, or their person is not known.
pub const RULE_FOUR_EYES: &str = "four eyes";
/// The rule cited when somebody would confirm without acknowledging a warning.
pub const RULE_ACKNOWLEDGED: &str = "each warning is acknowledged";
/// The rule cited when somebody would stop what cannot be stopped any more.
pub const RULE_ORDERED: &str = "an order is not called back";

impl Access {
    /// Decides whether `actor` may do `duty`.
    ///
    /// In order: the workspace, the account, explicit denials, ownership (for [`Duty::Approve`] the
    /// approvers, if any are named), break-glass. A group whose membership is unknown never lets
    /// anybody in, and where it could deny somebody it does.
    #[must_use]
    pub fn decide(
        &self,
        duty: Duty,
        actor: &Actor,
        standing: &Standing,
        moment: Moment,
    ) -> Decision<'_> {
        if let Err(denial) = self.admit(actor, standing, moment) {
            return Decision::denied(denial, RULE_ACCOUNT);
        }
        let rests_on = match find(&self.denied, actor, standing, moment) {
            Found::Named(rule, _) => return Decision::denied(Denial::DeniedByRule, rule),
            Found::Unknown(rule, missing) => {
                return Decision::denied(Denial::Unknown(missing), rule);
            }
            Found::Nobody(read_at) => earlier(standing.profile.observed_at(), read_at),
        };
        let mut unknown = None;
        match find(self.entitled(duty), actor, standing, moment) {
            Found::Named(rule, read_at) => {
                return Decision::allowed(Route::Ownership, rule, earlier(rests_on, read_at));
            }
            Found::Unknown(rule, missing) => unknown = Some((rule, missing)),
            Found::Nobody(_) => {}
        }
        match names(&self.break_glass, actor, standing, moment) {
            Ok((true, read_at)) => {
                let rests_on = earlier(rests_on, read_at);
                return Decision::allowed(Route::BreakGlass, RULE_BREAK_GLASS, rests_on);
            }
            Ok((false, _)) => {}
            Err(missing) => unknown = unknown.or(Some((RULE_BREAK_GLASS, missing))),
        }
        match unknown {
            Some((rule, missing)) => Decision::denied(Denial::Unknown(missing), rule),
            None if self.who_may(duty).next().is_none() => {
                Decision::denied(Denial::NobodyMay, RULE_DEFAULT)
            }
            None => Decision::denied(Denial::NotNamed, RULE_DEFAULT),
        }
    }

    /// Everybody whom a rule names for `duty`, the emergency group last.
    pub fn who_may(&self, duty: Duty) -> impl Iterator<Item = &Principal> {
        self.entitled(duty)
            .iter()
            .flat_map(|named| &named.principals)
            .chain(self.break_glass.iter())
    }

    /// The groups whose membership a decision may need.
    #[must_use]
    pub fn groups(&self) -> BTreeSet<&GroupId> {
        let named = [&self.owners, &self.approvers, &self.denied];
        named
            .into_iter()
            .flatten()
            .flat_map(|named| &named.principals)
            .chain(&self.break_glass)
            .filter_map(group_of)
            .collect()
    }

    /// The groups whose membership decides whether this account may do `duty`: where a rule names the
    /// account itself, only those that could deny it.
    #[must_use]
    pub fn groups_for(&self, duty: Duty, user: &UserId) -> BTreeSet<&GroupId> {
        let entitled = || self.entitled(duty).iter().flat_map(|named| &named.principals);
        let mut asked = BTreeSet::new();
        if denied(&self.denied).any(|principal| is_user(principal, user)) {
            return asked;
        }
        asked.extend(denied(&self.denied).filter_map(group_of));
        if entitled().any(|principal| is_user(principal, user)) {
            return asked;
        }
        asked.extend(entitled().filter_map(group_of));
        if !self.break_glass.iter().any(|principal| is_user(principal, user)) {
            asked.extend(self.break_glass.iter().filter_map(group_of));
        }
        asked
    }

    /// The groups that are enough to say yes, if the account is in the first of the owning groups that
    /// `likely` holds of: that one, and those that could deny it. None where there is no such group.
    /// The emergency groups are never enough: who owns the service does not come in through them.
    #[must_use]
    pub fn groups_enough(
        &self,
        duty: Duty,
        user: &UserId,
        likely: impl Fn(&GroupId) -> bool,
    ) -> Option<BTreeSet<&GroupId>> {
        let needed = self.groups_for(duty, user);
        let entitled = self.entitled(duty).iter().flat_map(|named| &named.principals);
        let vouching =
            entitled.filter_map(group_of).find(|group| needed.contains(group) && likely(group))?;
        let mut enough: BTreeSet<&GroupId> =
            denied(&self.denied).filter_map(group_of).filter(|id| needed.contains(id)).collect();
        enough.insert(vouching);
        Some(enough)
    }

    /// Whether this account is likely turned away, by the groups that it was last seen in and those
    /// that it was last seen outside of. A group that nothing was heard of may let it in. Decides
    /// nothing.
    #[must_use]
    pub fn expects_a_denial(
        &self,
        duty: Duty,
        user: &UserId,
        inside: &[GroupId],
        outside: &[GroupId],
    ) -> bool {
        let is_denied = |principal: &Principal| match principal {
            Principal::User(id) => id == user,
            Principal::Group(id) => inside.contains(id),
        };
        let may_be_let_in = |principal: &Principal| match principal {
            Principal::User(id) => id == user,
            Principal::Group(id) => !outside.contains(id),
        };
        denied(&self.denied).any(is_denied) || !self.who_may(duty).any(may_be_let_in)
    }

    /// Whether the actor's workspace is one whose members may act at all.
    #[must_use]
    pub fn is_home_of(&self, actor: &Actor) -> bool {
        actor.workspace.as_ref().is_some_and(|id| self.workspaces.contains(id))
    }

    fn entitled(&self, duty: Duty) -> &[NamedPrincipals] {
        match duty {
            Duty::Approve if !self.approvers.is_empty() => &self.approvers,
            Duty::Approve
            | Duty::Request
            | Duty::Withdraw
            | Duty::Settle
            | Duty::Release
            | Duty::Operate => &self.owners,
        }
    }

    fn admit(&self, actor: &Actor, standing: &Standing, moment: Moment) -> Result<(), Denial> {
        let ours = |id: &WorkspaceId| self.workspaces.contains(id);
        if !actor.workspace.as_ref().is_some_and(ours) {
            return Err(Denial::ForeignWorkspace);
        }
        if standing.is_about_another(&actor.id) {
            return Err(Denial::Unknown(Missing::AboutAnother));
        }
        let profile =
            standing.profile.within(moment.now, moment.age_max).map_err(Denial::Unknown)?;
        if !standing.is_about(&actor.id) {
            return Err(Denial::Unknown(Missing::AboutAnother));
        }
        match profile.account {
            Account::Member if ours(&profile.workspace) => Ok(()),
            Account::Member => Err(Denial::ForeignWorkspace),
            Account::Guest | Account::Stranger | Account::Bot | Account::Deactivated => {
                Err(Denial::Account(profile.account))
            }
        }
    }
}

fn denied(rules: &[NamedPrincipals]) -> impl Iterator<Item = &Principal> {
    rules.iter().flat_map(|named| &named.principals)
}

fn is_user(principal: &Principal, user: &UserId) -> bool {
    matches!(principal, Principal::User(id) if id == user)
}

const fn group_of(principal: &Principal) -> Option<&GroupId> {
    match principal {
        Principal::Group(id) => Some(id),
        Principal::User(_) => None,
    }
}

/// What a list of rules says about somebody, and when the oldest of the group memberships was read
/// on which that rests.
enum Found<'a> {
    Named(&'a str, Option<Timestamp>),
    Unknown(&'a str, Missing),
    Nobody(Option<Timestamp>),
}

/// The first rule that certainly names the actor; failing that, the first that might.
fn find<'a>(
    rules: &'a [NamedPrincipals],
    actor: &Actor,
    standing: &Standing,
    moment: Moment,
) -> Found<'a> {
    let (mut unknown, mut oldest) = (None, None);
    for named in rules {
        match names(&named.principals, actor, standing, moment) {
            Ok((true, read_at)) => return Found::Named(named.rule.as_str(), read_at),
            Ok((false, read_at)) => oldest = earlier(oldest, read_at),
            Err(missing) => unknown = unknown.or(Some((named.rule.as_str(), missing))),
        }
    }
    unknown.map_or(Found::Nobody(oldest), |(rule, missing)| Found::Unknown(rule, missing))
}

/// Whether one of the principals is the actor, and when the membership that says so was read, or the
/// oldest of those that say no.
fn names(
    principals: &[Principal],
    actor: &Actor,
    standing: &Standing,
    moment: Moment,
) -> Result<(bool, Option<Timestamp>), Missing> {
    let (mut missing, mut oldest) = (None, None);
    for principal in principals {
        let verdict = match principal {
            Principal::User(id) => Ok((*id == actor.id, None)),
            Principal::Group(id) => match standing.groups.get(id) {
                Some(fact) => fact
                    .within(moment.now, moment.age_max)
                    .map(|is_member| (*is_member, fact.observed_at())),
                None => Err(Missing::NotObserved),
            },
        };
        match verdict {
            Ok((true, read_at)) => return Ok((true, read_at)),
            Ok((false, read_at)) => oldest = earlier(oldest, read_at),
            Err(why) => missing = missing.or(Some(why)),
        }
    }
    missing.map_or(Ok((false, oldest)), Err)
}
