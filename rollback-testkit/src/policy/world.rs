//! A host's setup as a world to draw from: its people, its services, and names that it nearly has.

use super::Setup;
use super::cast::{Answer, Candidate, Draw, NAMED, Role, nth};
use crate::fixtures::{self, Person};
use rollback_core::access::{Access, Account, Duty, Pattern, Principal, Rule};
use rollback_core::ports::Capabilities;
use rollback_core::{GroupId, Policy, ServiceKey, UserId};
use std::collections::BTreeSet;

/// How many members are made up for each group. The last one is a second account of the first.
const MEMBERS: usize = 4;

/// A host's setup, and the names in it.
#[derive(Clone, Debug)]
pub(super) struct World {
    setup: Setup,
    users: BTreeSet<UserId>,
    groups: Vec<GroupId>,
    principals: Vec<Principal>,
    covered: Vec<ServiceKey>,
    nearly_covered: Vec<ServiceKey>,
}

impl World {
    pub(super) fn new(setup: Setup) -> Self {
        let access = &setup.access;
        let rules = || access.owners.iter().chain(&access.approvers).chain(&access.denied);
        let named = rules().flat_map(|rule| &rule.principals).chain(&access.break_glass);
        let principals: BTreeSet<Principal> = named.cloned().collect();
        let users = principals.iter().filter_map(user_of).cloned().collect();
        let groups = principals.iter().filter_map(group_of).cloned().collect();
        let mut covered = setup.services.clone();
        covered.extend(rules().flat_map(keys_of));
        let nearly_covered: BTreeSet<ServiceKey> = covered
            .iter()
            .flat_map(near_keys)
            .chain([elsewhere()])
            .filter(|key| !covered.contains(key))
            .collect();
        Self {
            users,
            groups,
            principals: principals.into_iter().collect(),
            covered: covered.into_iter().collect(),
            nearly_covered: nearly_covered.into_iter().collect(),
            setup,
        }
    }

    /// A service: three times in four one that a rule covers, else one that differs from such a one in a
    /// character or is of another environment.
    pub(super) fn key(&self, number: u16) -> ServiceKey {
        let near = number % 4 == 3;
        let (first, second) = (&self.covered, &self.nearly_covered);
        let (first, second) = if near { (second, first) } else { (first, second) };
        let key = nth(first, number / 4).or_else(|| nth(second, number / 4));
        key.cloned().unwrap_or_else(fixtures::key)
    }

    /// What rollbacks of a service are held to.
    pub(super) fn policy(&self, key: &ServiceKey) -> Policy {
        let mut policy = self.setup.held_to.clone();
        policy.access = self.setup.access.for_service(key);
        policy
    }

    /// What the CD system can do.
    pub(super) const fn capabilities(&self) -> Capabilities {
        self.setup.capabilities
    }

    /// What is known to keep everybody out.
    pub(super) fn hints(&self) -> Vec<&'static str> {
        let access = &self.setup.access;
        let nobody = access.owners.iter().all(|rule| rule.principals.is_empty());
        let hints = [
            (access.workspaces.is_empty(), "the policy names no workspace, so nobody may act"),
            (nobody && access.break_glass.is_empty(), "the policy names no owner"),
            (self.setup.held_to.approvals_min > 0, "an order needs approvals by somebody else"),
        ];
        hints.into_iter().filter(|(applies, _)| *applies).map(|(_, hint)| hint).collect()
    }

    /// The somebody whom a draw means for a service and a duty. Where the policy has nobody of that
    /// kind, a member whom no rule names.
    pub(super) fn resolve(
        &self,
        key: &ServiceKey,
        access: &Access,
        duty: Duty,
        draw: Draw,
    ) -> Candidate {
        let (which, letter) = (draw.which, draw.letter);
        let entitled: Vec<&Principal> = access.who_may(duty).collect();
        let named = || nth(&entitled, which).map(|by| (*by).clone());
        let drawn = match draw.role {
            0..NAMED => named().map(|by| (self.person(&by, letter), Role::Named(by))),
            NAMED..54 => self.elsewhere(&entitled, which, letter),
            54..58 => nth(&self.setup.access.break_glass, which)
                .map(|by| (self.person(by, letter), Role::BreakGlass(by.clone()))),
            58..66 => self.almost_user(which, letter),
            66..74 => self.almost_group(which, letter),
            74..80 => named().and_then(|by| self.denied(key, &by, letter)),
            80..87 => named().map(|by| {
                let account =
                    [Account::Guest, Account::Stranger, Account::Bot, Account::Deactivated];
                let account = nth(&account, letter / 4).copied().unwrap_or(Account::Guest);
                let person = self.person(&by, letter).as_account(account);
                (person, Role::WrongAccount(by, account))
            }),
            87..91 => named().and_then(|by| {
                let mut person = self.person(&by, letter);
                let ours = &self.setup.access.workspaces;
                person.workspace =
                    almost(person.workspace.as_str(), letter, |id| !ours.contains(id))?;
                let workspace = person.workspace.clone();
                Some((person, Role::WrongWorkspace(by, workspace)))
            }),
            91..95 => Some((self.member("U0DEPLOYER", 0), Role::Deployer)),
            _ => None,
        };
        let (person, role) = drawn.unwrap_or_else(|| (self.member("U0NOBODY", 0), Role::Nobody));
        Candidate { person, role, answer: Answer::drawn(draw.answer) }
    }

    fn elsewhere(&self, here: &[&Principal], which: u16, letter: u16) -> Option<(Person, Role)> {
        let others: Vec<&Principal> =
            self.principals.iter().filter(|principal| !here.contains(principal)).collect();
        let by = *nth(&others, which)?;
        Some((self.person(by, letter), Role::Elsewhere(by.clone())))
    }

    fn almost_user(&self, which: u16, letter: u16) -> Option<(Person, Role)> {
        let users: Vec<&UserId> = self.users.iter().collect();
        let id = *nth(&users, which)?;
        let near: UserId = almost(id.as_str(), letter, |near| !self.users.contains(near))?;
        let mut person = self.member("U0NOBODY", 0);
        person.user = near;
        Some((person, Role::AlmostUser(id.clone())))
    }

    fn almost_group(&self, which: u16, letter: u16) -> Option<(Person, Role)> {
        let id = nth(&self.groups, which)?;
        let near: GroupId = almost(id.as_str(), letter, |near| !self.groups.contains(near))?;
        let person = self.member("U0NOBODY", 1).in_groups([near]);
        Some((person, Role::AlmostGroup(id.clone())))
    }

    /// Somebody whom one rule for the service names and another one denies.
    fn denied(&self, key: &ServiceKey, by: &Principal, letter: u16) -> Option<(Person, Role)> {
        let rules = self.setup.access.denied.iter().filter(|rule| covers(rule, key));
        let barred: Vec<&Principal> = rules.flat_map(|rule| &rule.principals).collect();
        let mut person = self.person(by, letter);
        match *nth(&barred, letter / 4)? {
            Principal::Group(id) => person.groups.push(id.clone()),
            Principal::User(id) => person.user = id.clone(),
        }
        Some((person, Role::Denied(by.clone())))
    }

    /// Somebody whom a rule means: the user, or one of the members of the group.
    fn person(&self, by: &Principal, number: u16) -> Person {
        match by {
            Principal::User(id) => {
                let mut person = self.member("U0NOBODY", 0);
                person.person = Some(format!("{id}@example.com").into());
                person.user = id.clone();
                person
            }
            Principal::Group(id) => {
                let place = self.groups.iter().position(|group| group == id).unwrap_or_default();
                let member = usize::from(number) % MEMBERS;
                let mut person = self.member("U0MEMBER", place * MEMBERS + member);
                if member + 1 == MEMBERS {
                    person.person = self.member("U0MEMBER", place * MEMBERS).person;
                }
                person.in_groups([id.clone()])
            }
        }
    }

    /// A member of our own workspace whom the policy does not name.
    fn member(&self, prefix: &str, number: usize) -> Person {
        let mut id = format!("{prefix}{number}");
        while self.users.iter().any(|user| user.as_str() == id) {
            id.push('X');
        }
        let mut person = Person::new(&id, &id);
        person.person = Some(format!("{id}@example.com").into());
        if let Some(home) = self.setup.access.workspaces.first() {
            person.workspace = home.clone();
        }
        person
    }
}

const fn user_of(principal: &Principal) -> Option<&UserId> {
    match principal {
        Principal::User(id) => Some(id),
        Principal::Group(_) => None,
    }
}

const fn group_of(principal: &Principal) -> Option<&GroupId> {
    match principal {
        Principal::Group(id) => Some(id),
        Principal::User(_) => None,
    }
}

fn covers(rule: &Rule, key: &ServiceKey) -> bool {
    rule.services.covers(key.service.as_str()) && rule.environments.covers(key.environment.as_str())
}

/// Services that a rule covers: by name, or one that fits its pattern.
fn keys_of(rule: &Rule) -> Option<ServiceKey> {
    let service = fitting(&rule.services, "anything").parse().ok()?;
    let environment = fitting(&rule.environments, "production").parse().ok()?;
    Some(ServiceKey::new(service, environment))
}

/// A name that fits a pattern.
fn fitting(pattern: &Pattern, star: &str) -> String {
    String::from(pattern.clone()).replacen('*', star, 1)
}

/// A service that no rule names.
fn elsewhere() -> ServiceKey {
    ServiceKey::new(fixtures::parsed("somewhere-else"), fixtures::parsed("production"))
}

/// Services that differ from one in a character of a name, or by its environment.
fn near_keys(key: &ServiceKey) -> Vec<ServiceKey> {
    let service = almost(key.service.as_str(), u16::MAX, |_| true);
    let environment = almost(key.environment.as_str(), u16::MAX, |_| true);
    let service = service.map(|service| ServiceKey::new(service, key.environment.clone()));
    let environment =
        environment.map(|environment| ServiceKey::new(key.service.clone(), environment));
    service.into_iter().chain(environment).collect()
}

/// A well-formed identity that differs from `text` in one character, its case included.
fn almost<T: core::str::FromStr>(
    text: &str,
    letter: u16,
    is_free: impl Fn(&T) -> bool,
) -> Option<T> {
    let letters: Vec<char> = text.chars().collect();
    let start = usize::from(letter) % letters.len().max(1);
    // None is the letter in its other case: identities are compared as they are written.
    let others = if letter.is_multiple_of(2) {
        [None, Some('x'), Some('0')]
    } else {
        [Some('x'), Some('0'), None]
    };
    let places = (0..letters.len()).map(|place| (start + place) % letters.len());
    let changes = places.flat_map(|place| others.iter().map(move |other| (place, *other)));
    let changed = |(place, other): (usize, Option<char>)| -> String {
        let each = letters.iter().enumerate();
        let change = |letter: char| other.unwrap_or_else(|| flipped(letter));
        each.map(|(at, letter)| if at == place { change(*letter) } else { *letter }).collect()
    };
    let mut near = changes.map(changed).filter(|near| near != text);
    near.find_map(|near| near.parse().ok().filter(&is_free))
}

/// The letter in its other case; anything else as it is.
const fn flipped(letter: char) -> char {
    if letter.is_ascii_lowercase() {
        letter.to_ascii_uppercase()
    } else {
        letter.to_ascii_lowercase()
    }
}
