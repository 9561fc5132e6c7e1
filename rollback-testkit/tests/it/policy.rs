//! Properties over a policy find what is wrong with it, and do not pass where they prove nothing.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use rollback_core::access::{Access, AccessPolicy, Account, Moment, Pattern, Principal, Rule};
use rollback_core::guard::GuardSet;
use rollback_core::journal::replay;
use rollback_core::{FourEyes, Policy, StateName};
use rollback_testkit::fixtures;
use rollback_testkit::policy::{self, Answer, Case, Failure, Role, Setup};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// Two teams with a service each, one of their people by name; a group that is kept out; emergencies.
fn ours() -> AccessPolicy {
    let group = |id: &str| Principal::Group(id.parse().unwrap());
    let one = |service: &str| service.parse().unwrap();
    let mut access = AccessPolicy::default();
    access.workspaces.insert("T0OURS".parse().unwrap());
    let payments = vec![group("S0PAY"), Principal::User("U77ZOE".parse().unwrap())];
    access.owners.push(Rule::for_service("payments", &one("billing"), payments));
    access.owners.push(Rule::for_service("search", &one("finder"), vec![group("S0FIND")]));
    let contractors = vec![group("S0CONTRACTORS")];
    access.denied.push(Rule::new("contractors", Pattern::any(), Pattern::any(), contractors));
    access.break_glass.push(group("S0FIRE"));
    access
}

/// Whoever may do anything owns the service, or is in the emergency group.
fn owners_only(case: &Case) -> bool {
    case.allowed().all(|person| {
        let owns = match case.key.service.as_str() {
            "billing" => person.is_in("S0PAY") || person.is("U77ZOE"),
            "finder" => person.is_in("S0FIND"),
            _ => false,
        };
        (owns || person.is_in("S0FIRE")) && !person.is_in("S0CONTRACTORS")
    })
}

/// Held to an approval by another person, and to a guard of the host's own.
fn with_approvals(approvals_min: u8) -> Setup {
    let mut held_to = Policy::new(Access::default());
    held_to.approvals_min = approvals_min;
    held_to.guards = GuardSet::with(["error-budget".parse().unwrap()].into()).unwrap();
    Setup::new(ours()).held_to(held_to)
}

fn violated(access: &AccessPolicy) -> Box<Case> {
    match policy::try_check(access, 512, owners_only) {
        Err(Failure::Violated { case, .. }) => case,
        other => panic!("the mistake was not found: {other:?}"),
    }
}

#[test]
fn a_good_policy_passes_with_people_allowed_and_denied_and_orders_given() {
    let coverage = policy::check(ours(), 512, owners_only);
    assert!(coverage.gaps().is_empty(), "{coverage}");
}

#[test]
fn a_rule_that_lets_everybody_in_is_found() {
    let everybody = || vec![Principal::Group("S0ALLSTAFF".parse().unwrap())];
    let rule = || Rule::new("everybody", Pattern::any(), Pattern::any(), everybody());
    let (mut owners, mut approvers, mut emergencies) = (ours(), ours(), ours());
    owners.owners.push(rule());
    approvers.approvers.push(rule());
    emergencies.break_glass.extend(everybody());
    for planted in [owners, approvers, emergencies] {
        let case = violated(&planted);
        assert!(case.allowed().any(|person| person.is_in("S0ALLSTAFF")), "{case}");
    }
}

#[test]
fn a_pattern_that_is_too_wide_is_found() {
    let mut planted = ours();
    planted.owners.first_mut().unwrap().services = Pattern::any();
    let case = violated(&planted);
    assert_ne!(case.key.service.as_str(), "billing", "{case}");
    // A pattern that reaches beyond the name that was meant.
    planted.owners.first_mut().unwrap().services = Pattern::parse("billin*").unwrap();
    let case = violated(&planted);
    assert_ne!(case.key.service.as_str(), "billing", "{case}");
}

#[test]
fn a_denial_that_is_forgotten_is_found() {
    let mut planted = ours();
    planted.denied.clear();
    // Nothing of the policy names them any more, but one of them owns a service.
    planted.owners.push(Rule::for_service(
        "contractors",
        &"billing".parse().unwrap(),
        vec![Principal::Group("S0CONTRACTORS".parse().unwrap())],
    ));
    let case = violated(&planted);
    assert!(case.allowed().any(|person| person.is_in("S0CONTRACTORS")), "{case}");
}

#[test]
fn a_policy_that_lets_nobody_in_proves_nothing() {
    let mut nobody = ours();
    nobody.workspaces.clear();
    for access in [AccessPolicy::default(), nobody] {
        let failure = policy::try_check(&access, 256, owners_only).unwrap_err();
        let Failure::Vacuous { coverage, .. } = &failure else { panic!("{failure}") };
        assert_eq!((coverage.allowed, coverage.orders), (0, 0));
        let text = failure.to_string();
        for part in [
            "nobody was ever allowed, nothing was ever ordered",
            "hint: the policy names no workspace",
            "0 allowed",
            "states never reached: confirming, approving, checking",
            "PROPTEST_RNG_SEED=",
        ] {
            assert!(text.contains(part), "no {part:?} in:\n{text}");
        }
    }
}

#[test]
#[should_panic(expected = "nobody was ever allowed")]
fn the_runner_itself_fails_where_nobody_is_ever_allowed() {
    policy::check(AccessPolicy::default(), 256, |_| true);
}

#[test]
fn approvals_that_nobody_can_give_leave_nothing_ordered() {
    let mut alone = ours();
    alone.owners.truncate(1);
    alone.owners.first_mut().unwrap().principals.retain(|by| matches!(by, Principal::User(_)));
    alone.break_glass.clear();
    let mut held_to = Policy::new(Access::default());
    held_to.approvals_min = 1;
    let setup = Setup::new(alone).held_to(held_to);
    let failure = policy::try_check(&setup, 512, |_| true).unwrap_err();
    let Failure::Vacuous { coverage, hints, .. } = &failure else { panic!("{failure}") };
    assert_eq!(coverage.gaps(), ["nothing was ever ordered"], "{failure}");
    assert!(hints.contains(&"an order needs approvals by somebody else"));
}

#[test]
fn words_of_a_property_that_panics_are_told_with_the_smallest_case() {
    let failure = policy::try_check(ours(), 512, |case| {
        assert!(!case.is_allowed(), "somebody was let in");
        true
    });
    let failure = failure.unwrap_err();
    let Failure::Violated { case, why, .. } = &failure else { panic!("{failure}") };
    assert!(why.contains("somebody was let in"), "{why}");
    assert!(case.journey.steps.is_empty(), "it could be smaller: {failure}");
    assert_eq!(case.answer, Answer::Fresh);
}

/// The order of the smallest case is given in as few steps as there can be.
#[test]
fn a_journey_shrinks_to_the_shortest_that_reaches_an_order() {
    let failure = policy::try_check(ours(), 256, |case| case.journey.orders == 0).unwrap_err();
    let Failure::Violated { case, .. } = &failure else { panic!("{failure}") };
    assert!(case.journey.steps.len() <= 6, "{failure}");
    assert_eq!(case.journey.ordered_by.len(), 1);
}

/// Every near miss of each kind, and every wrong answer of the directory, is really drawn.
#[test]
fn every_kind_of_person_and_of_answer_is_drawn_and_judged() {
    let kinds = RefCell::new(BTreeMap::<String, [u64; 2]>::new());
    let coverage = policy::check(ours(), 2_000, |case| {
        let allowed = usize::from(case.is_allowed());
        let role = match &case.role {
            Role::Named(_) => "named",
            Role::Elsewhere(_) => "elsewhere",
            Role::AlmostUser(_) => "almost user",
            Role::AlmostGroup(_) => "almost group",
            Role::Denied(_) => "denied",
            Role::BreakGlass(_) => "break-glass",
            Role::WrongAccount(_, account) => match account {
                Account::Guest => "guest",
                Account::Stranger => "stranger",
                Account::Bot => "bot",
                Account::Deactivated => "deactivated",
                Account::Member => panic!("a member's account is a good one"),
            },
            Role::WrongWorkspace(..) => "wrong workspace",
            Role::Deployer => "deployer",
            Role::Nobody => "nobody",
            other => panic!("{other:?}"),
        };
        let answer = format!("answer {}", case.answer);
        for kind in [role.to_owned(), answer, format!("duty {:?}", case.duty)] {
            if let Some(count) = kinds.borrow_mut().entry(kind).or_default().get_mut(allowed) {
                *count += 1;
            }
        }
        owners_only(case)
    });
    let kinds = kinds.into_inner();
    println!("{coverage}{kinds:#?}");
    assert_eq!(kinds.len(), 13 + 9 + 6);
    for never in ["almost user", "almost group", "denied", "guest", "bot", "deployer", "nobody"] {
        assert_eq!(kinds.get(never).map(|counts| counts[1]), Some(0), "{never}");
    }
    for sometimes in ["named", "break-glass", "answer fresh", "duty Settle", "duty Operate"] {
        assert!(kinds.get(sometimes).is_some_and(|counts| counts[1] > 0), "{sometimes}");
    }
    assert!(coverage.unknown > 0);
}

/// A large share of the journeys reaches the order, and together they reach every state.
#[test]
fn journeys_reach_the_order_and_every_end() {
    for (approvals, quota) in [(0, 37), (1, 28), (2, 20)] {
        let mut checked = policy::check(with_approvals(approvals), 1_200, owners_only);
        println!("{approvals} approvals: {checked}");
        assert!(checked.orders * 100 > checked.cases * quota, "{approvals} approvals: {checked}");
        if approvals == 0 {
            checked.states.insert(StateName::Approving, 0);
        }
        assert_eq!(checked.never_reached(), [], "{approvals} approvals: {checked}");
    }
}

#[test]
fn an_order_needs_as_many_people_as_the_host_asks_for() {
    let mut held_to = Policy::new(Access::default());
    held_to.approvals_min = 1;
    held_to.four_eyes = FourEyes::Person;
    policy::check(Setup::new(ours()).held_to(held_to), 1_000, |case| {
        let humans: BTreeSet<_> =
            case.journey.ordered_by.iter().map(|person| person.person.clone()).collect();
        case.journey.orders == 0 || (case.journey.orders == 1 && humans.len() == 2)
    });
}

/// What a journey shows is what its journal comes to.
#[test]
fn a_journey_can_be_replayed() {
    policy::check(with_approvals(1), 300, |case| {
        let journey = &case.journey;
        let again = replay(journey.opening.clone(), journey.entries());
        again.view() == journey.view
    });
}

/// The decision of a case is the one that the policy makes of what the case shows.
#[test]
fn a_case_shows_what_was_decided() {
    let access = ours();
    policy::check(&access, 1_000, |case| {
        let policy = Policy::new(access.for_service(&case.key));
        let moment = Moment::new(fixtures::at(0), policy.limits.fact_age_max);
        let actor = case.person.actor();
        let decision = policy.access.decide(case.duty, &actor, &case.standing, moment);
        let lies = case.standing.groups.iter().any(|(group, fact)| {
            fact.value().is_some_and(|is_in| *is_in != case.person.groups.contains(group))
        });
        decision.verdict == case.verdict && !lies
    });
}

#[test]
fn services_that_no_rule_names_in_full_can_be_named() {
    let mut access = ours();
    access.owners.first_mut().unwrap().services = Pattern::parse("bill*").unwrap();
    let key = rollback_core::ServiceKey::new("billing".parse().unwrap(), "eu".parse().unwrap());
    let seen = RefCell::new(0);
    policy::check(Setup::new(access).services([key.clone()]), 256, |case| {
        *seen.borrow_mut() += u32::from(case.key == key && case.is_allowed());
        true
    });
    assert!(seen.into_inner() > 0);
}
