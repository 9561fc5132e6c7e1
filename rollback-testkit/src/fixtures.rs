//! Named people with overlapping roles, a service with a history, and facts that pass.
//!
//! The roles overlap on purpose: a check that looks at the wrong person passes unseen where the
//! requester, the approvers and the emergency group have nobody in common.

use rollback_core::access::{Access, AccessPolicy, Account, Principal, Profile, Rule, Standing};
use rollback_core::audit::{BackendEntry, Draft};
use rollback_core::change::by_a_machine;
use rollback_core::journal::{Opening, Origin};
use rollback_core::observed::{Facts, Live, Preflight, ServiceRecord};
use rollback_core::ports::{Capabilities, Store, StoreError};
use rollback_core::proof::Confirmation;
use rollback_core::{
    Actor, Event, Fact, GroupId, Label, Migrations, Observation, Plan, Policy, Presence, Proposer,
    Reason, Restorable, Revision, RevisionRef, RevisionStatus, Said, ServiceChange, ServiceKey,
    Timestamp, UserId, WorkspaceId,
};
use std::collections::BTreeMap;

/// Parses a name that is known to be good.
///
/// # Panics
///
/// When it is not.
#[must_use]
pub fn parsed<T>(text: &str) -> T
where
    T: core::str::FromStr,
    T::Err: core::fmt::Debug,
{
    text.parse().expect("a fixture's name is well formed")
}

/// A moment, in seconds after 2026-11-22T09:30:00Z.
#[must_use]
pub fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_795_339_800_000 + seconds * 1_000)
}

/// Our own workspace.
#[must_use]
pub fn home() -> WorkspaceId {
    parsed("T0HOME")
}

/// The group that owns the service.
#[must_use]
pub fn payments() -> GroupId {
    parsed("S0PAYMENTS")
}

/// The group for emergencies.
#[must_use]
pub fn incident() -> GroupId {
    parsed("S0INCIDENT")
}

/// The group that may do nothing.
#[must_use]
pub fn suspended() -> GroupId {
    parsed("S0SUSPENDED")
}

/// Somebody, and everything the directory knows about them.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Person {
    /// Their account.
    pub user: UserId,
    /// Their name.
    pub name: Label,
    /// What kind of account it is.
    pub account: Account,
    /// The workspace it belongs to, and acts from.
    pub workspace: WorkspaceId,
    /// One identity for all accounts of one human.
    pub person: Option<Label>,
    /// The groups it is in.
    pub groups: Vec<GroupId>,
}

impl Person {
    /// A full member of our workspace, in no group.
    #[must_use]
    pub fn new(user: &str, name: &str) -> Self {
        Self {
            user: parsed(user),
            name: name.into(),
            account: Account::Member,
            workspace: home(),
            person: None,
            groups: Vec::new(),
        }
    }

    /// The same, in these groups.
    #[must_use]
    pub fn in_groups(mut self, groups: impl IntoIterator<Item = GroupId>) -> Self {
        self.groups.extend(groups);
        self
    }

    /// The same with another kind of account.
    #[must_use]
    pub const fn as_account(mut self, account: Account) -> Self {
        self.account = account;
        self
    }

    /// Whether they are in this group.
    #[must_use]
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|id| id.as_str() == group)
    }

    /// Whether this is their account.
    #[must_use]
    pub fn is(&self, user: &str) -> bool {
        self.user.as_str() == user
    }

    /// Their account.
    #[must_use]
    pub fn id(&self) -> UserId {
        self.user.clone()
    }

    /// They, acting from their own workspace.
    #[must_use]
    pub fn actor(&self) -> Actor {
        let mut actor = Actor::new(self.id());
        actor.name = Some(self.name.clone());
        actor.workspace = Some(self.workspace.clone());
        actor
    }

    /// What the directory says about them and the three groups.
    #[must_use]
    pub fn standing(&self, at: Timestamp) -> Standing {
        self.standing_in(&[payments(), incident(), suspended()], at)
    }

    /// What the directory says about them and these groups.
    #[must_use]
    pub fn standing_in(&self, groups: &[GroupId], at: Timestamp) -> Standing {
        let mut profile = Profile::new(self.account, self.workspace.clone());
        profile.person.clone_from(&self.person);
        let groups: BTreeMap<GroupId, Fact<bool>> = groups
            .iter()
            .map(|group| (group.clone(), Fact::known(self.groups.contains(group), at)))
            .collect();
        Standing::new(Fact::known(profile, at), groups).about(self.id())
    }

    /// They said something.
    #[must_use]
    pub fn said(&self, at: Timestamp) -> Box<Said> {
        Box::new(Said::new(self.actor(), self.standing(at)))
    }

    /// They confirmed [`plan`] with [`reason`].
    #[must_use]
    pub fn confirmed(&self, at: Timestamp) -> Event {
        let confirmation =
            Confirmation::new(self.actor(), self.standing(at), reason(), plan().pair());
        Event::ConfirmationGiven(Box::new(confirmation))
    }
}

/// Owner by name, in the owners' group, and in the emergency group.
#[must_use]
pub fn ana() -> Person {
    let mut ana = Person::new("U02ANA", "Ana").in_groups([payments(), incident()]);
    ana.person = Some("ana@example.com".into());
    ana
}

/// Ana's other account: an owner, too.
#[must_use]
pub fn ana_again() -> Person {
    let mut ana = Person::new("U12ANA", "Ana (on call)").in_groups([payments()]);
    ana.person = Some("ana@example.com".into());
    ana
}

/// Owner through the group.
#[must_use]
pub fn bo() -> Person {
    let mut bo = Person::new("U03BO", "Bo").in_groups([payments()]);
    bo.person = Some("bo@example.com".into());
    bo
}

/// Owner through the group, and of no known person.
#[must_use]
pub fn cleo() -> Person {
    Person::new("U04CLEO", "Cleo").in_groups([payments()])
}

/// Owner by name, and suspended.
#[must_use]
pub fn dan() -> Person {
    Person::new("U05DAN", "Dan").in_groups([payments(), suspended()])
}

/// In the emergency group alone.
#[must_use]
pub fn finn() -> Person {
    Person::new("U06FINN", "Finn").in_groups([incident()])
}

/// A member whom no rule names.
#[must_use]
pub fn eve() -> Person {
    Person::new("U07EVE", "Eve")
}

/// A guest in the owners' group.
#[must_use]
pub fn guest() -> Person {
    Person::new("U08GUEST", "Gus").in_groups([payments()]).as_account(Account::Guest)
}

/// Somebody of another organization, in the owners' group.
#[must_use]
pub fn stranger() -> Person {
    let mut stranger = Person::new("U09FAR", "Sam").in_groups([payments()]);
    stranger.workspace = parsed("T0OTHER");
    stranger.as_account(Account::Stranger)
}

/// A bot in the owners' group.
#[must_use]
pub fn bot() -> Person {
    Person::new("U10BOT", "Deploy bot").in_groups([payments()]).as_account(Account::Bot)
}

/// A former owner, still in the group.
#[must_use]
pub fn gone() -> Person {
    Person::new("U11GONE", "Gil").in_groups([payments()]).as_account(Account::Deactivated)
}

/// Everybody.
#[must_use]
pub fn everybody() -> Vec<Person> {
    vec![ana(), ana_again(), bo(), cleo(), dan(), finn(), eve(), guest(), stranger(), bot(), gone()]
}

/// The rules of the organization.
#[must_use]
pub fn access_policy() -> AccessPolicy {
    let service = parsed("checkout");
    let owners = vec![
        Principal::User(ana().id()),
        Principal::User(dan().id()),
        Principal::Group(payments()),
    ];
    let mut access = AccessPolicy::default();
    access.workspaces.insert(home());
    access.owners.push(Rule::for_service("checkout owners", &service, owners));
    let denied = vec![Principal::Group(suspended())];
    access.denied.push(Rule::for_service("suspended", &service, denied));
    access.break_glass.push(Principal::Group(incident()));
    access
}

/// The rules that concern the service.
#[must_use]
pub fn access() -> Access {
    access_policy().for_service(&key())
}

/// The policy: these rules, no approvals, no soak, default limits.
#[must_use]
pub fn policy() -> Policy {
    Policy::new(access())
}

/// The same with this many approvals.
#[must_use]
pub fn policy_with_approvals(approvals_min: u8) -> Policy {
    let mut policy = policy();
    policy.approvals_min = approvals_min;
    policy
}

/// The service and environment.
#[must_use]
pub fn key() -> ServiceKey {
    ServiceKey::new(parsed("checkout"), parsed("production"))
}

/// A good, restorable revision without migrations.
#[must_use]
pub fn revision(id: &str, version: &str, deployed_at: Timestamp) -> Revision {
    let mut revision = Revision::new(parsed(id));
    revision.version = Some(version.into());
    revision.deployed_at = Some(deployed_at);
    revision.status = RevisionStatus::Succeeded;
    revision.restorable = Restorable::Yes;
    revision.migrations = Migrations::Known(Vec::new());
    revision
}

/// Three good revisions, newest first; the first is live.
#[must_use]
pub fn history() -> Vec<Revision> {
    let ago = |minutes: u64| Timestamp::from_millis(at(0).as_millis() - minutes * 60_000);
    vec![
        revision("42", "2.14.0", ago(10)),
        revision("41", "2.13.4", ago(24 * 60)),
        revision("40", "2.13.3", ago(48 * 60)),
    ]
}

/// Refers to a revision of [`history`], or to another one by its id alone.
#[must_use]
pub fn reference(id: &str) -> RevisionRef {
    history()
        .iter()
        .find(|revision| revision.id.as_str() == id)
        .map_or_else(|| RevisionRef::new(parsed(id)), Revision::reference)
}

/// From `42`, which is live, to `41`.
#[must_use]
pub fn plan() -> Plan {
    Plan::new(key(), reference("42"), reference("41")).expect("two revisions")
}

/// Facts under which every built-in guard passes for [`plan`].
#[must_use]
pub fn facts(at: Timestamp) -> Facts {
    let mut facts = Facts::unknown("nobody looked");
    facts.live = Fact::known(Live::running(reference("42")), at);
    facts.history = Fact::known(history(), at);
    facts.preflight = Fact::known(accepted(), at);
    facts.record = Fact::known(ServiceRecord::default(), at);
    facts.freezes = Fact::known(Vec::new(), at);
    facts
}

/// The CD system would accept it, and nothing would undo it.
#[must_use]
pub fn accepted() -> Preflight {
    let mut preflight = Preflight::accepted();
    preflight.undone_by = Presence::Nothing;
    preflight
}

/// What the directory says about everybody who may approve.
#[must_use]
pub fn approvers(at: Timestamp) -> BTreeMap<UserId, Standing> {
    let people = [ana(), ana_again(), bo(), cleo(), finn()];
    people.into_iter().map(|person| (person.id(), person.standing(at))).collect()
}

/// [`facts`], and Ana and the approvers read afresh.
#[must_use]
pub fn observed(at: Timestamp) -> Event {
    observed_of(facts(at), &ana(), at)
}

/// These facts, and somebody who asked and the approvers read afresh.
#[must_use]
pub fn observed_of(facts: Facts, requester: &Person, at: Timestamp) -> Event {
    let observation = Observation::new(facts, requester.standing(at)).and_of(approvers(at));
    Event::FactsObserved(Box::new(observation))
}

/// Why.
#[must_use]
pub fn reason() -> Reason {
    Reason::parse("error rate is up 4x").expect("a reason")
}

/// The backend as the audit record has it.
#[must_use]
pub fn backend() -> BackendEntry {
    BackendEntry::new(parsed("prod"), Capabilities::full())
}

/// A rollback that `person` opens with a click at [`at`]`(0)`.
#[must_use]
pub fn clicked_by(person: &Person, policy: Policy) -> Opening {
    let origin = Origin::Click(person.actor());
    Opening::new(parsed("rb-1"), plan(), policy, origin, backend(), at(0))
}

/// A rollback that an agent proposes at [`at`]`(0)`.
#[must_use]
pub fn proposed(policy: Policy) -> Opening {
    let by = Proposer::new("agent-7", Some("Watcher".into()));
    let origin = Origin::Proposal { by, reason: reason() };
    Opening::new(parsed("rb-1"), plan(), policy, origin, backend(), at(0))
}

/// A freeze to set.
///
/// # Panics
///
/// Never: the reason is a good one.
#[must_use]
pub fn freeze(name: &str, until: Option<Timestamp>) -> ServiceChange {
    ServiceChange::Freeze { name: name.into(), until, reason: reason() }
}

/// A freeze to lift.
#[must_use]
pub fn unfreeze(name: &str) -> ServiceChange {
    ServiceChange::Unfreeze { name: name.into(), reason: None }
}

/// A revision to mark bad.
///
/// # Panics
///
/// When the revision or the reason is not well formed.
#[must_use]
pub fn mark_bad(revision: &str, why: &str) -> ServiceChange {
    let reason = Reason::parse(why).expect("a fixture's reason is well formed");
    ServiceChange::MarkBad { revision: parsed(revision), reason }
}

/// The record of a change that the watcher makes. `id` is the record's.
#[must_use]
pub fn changed(id: &str, key: &ServiceKey, change: &ServiceChange, at: Timestamp) -> Draft {
    let by = Proposer::new("agent-7", Some("Watcher".into()));
    by_a_machine((key, change), &by, "token watcher", at, id.into())
}

/// Has a store keep a change that the watcher makes; says whether it changed anything.
///
/// # Errors
///
/// [`StoreError`] as the store answers.
pub async fn change(
    store: &dyn Store,
    key: &ServiceKey,
    change: &ServiceChange,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let head = store.head().await?.sequence;
    let record = changed(&format!("change/{head}"), key, change, at);
    store.change(key, change, record, Vec::new()).await
}
