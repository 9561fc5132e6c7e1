//! Properties over generated policies, facts and events. The numbers are those of the invariants
//! in `ARCHITECTURE.md`.
#![expect(clippy::unwrap_used, clippy::string_slice, reason = "a test fails by panicking")]

use core::time::Duration;
use proptest::prelude::*;
use rollback_core::access::{
    Access, AccessIndex, AccessPolicy, Account, Denial, Duty, Moment, Pattern, Principal, Route,
    Rule, Standing,
};
use rollback_core::guard::{self, Guard, Question, Verdict};
use rollback_core::journal::{Entry, replay, replay_whole};
use rollback_core::known_good::Candidates;
use rollback_core::{
    CLOCK_SKEW_MAX, Disposition, Effect, Event, Fact, GroupId, Plan, Purpose, Rollback, ServiceKey,
    Timestamp, Transition,
};
use rollback_testkit::fixtures::{self, Person};
use rollback_testkit::strategies;

const BOUND: Duration = Duration::from_secs(30);
const DUTIES: [Duty; 5] =
    [Duty::Request, Duty::Approve, Duty::Withdraw, Duty::Settle, Duty::Release];

fn now() -> Timestamp {
    fixtures::at(0)
}

fn moment() -> Moment {
    Moment::new(now(), BOUND)
}

/// Somebody, and what the directory says about them.
fn person_and_standing() -> impl Strategy<Value = (Person, Standing)> {
    strategies::person().prop_flat_map(|person| {
        let standing = strategies::standing(&person, now());
        standing.prop_map(move |standing| (person.clone(), standing))
    })
}

/// A pattern, matched by trying every place of the star.
fn naively_covers(pattern: &Pattern, name: &str) -> bool {
    let pattern = String::from(pattern.clone());
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => (0..=name.len()).any(|start| {
            (start..=name.len()).any(|end| &name[..start] == before && &name[end..] == after)
        }),
    }
}

fn named(rules: &[Rule], key: &ServiceKey) -> Vec<Principal> {
    let covering = rules.iter().filter(|rule| {
        naively_covers(&rule.services, key.service.as_str())
            && naively_covers(&rule.environments, key.environment.as_str())
    });
    covering.flat_map(|rule| rule.principals.clone()).collect()
}

/// Neither older than the bound nor further in the future than clocks differ.
fn is_good(observed_at: Timestamp) -> bool {
    now().since(observed_at) <= BOUND && observed_at.since(now()) <= CLOCK_SKEW_MAX
}

/// What is known of whether one of the principals is this person: yes, no or unknown.
fn among(principals: &[Principal], person: &Person, standing: &Standing) -> Option<bool> {
    let answers: Vec<Option<bool>> = principals
        .iter()
        .map(|principal| match principal {
            Principal::User(id) => Some(*id == person.user),
            Principal::Group(id) => match standing.groups.get(id) {
                Some(Fact::Known { value, observed_at }) if is_good(*observed_at) => Some(*value),
                _ => None,
            },
        })
        .collect();
    if answers.contains(&Some(true)) {
        Some(true)
    } else if answers.contains(&None) {
        None
    } else {
        Some(false)
    }
}

/// The rules of authorization once more, as plainly as they can be said.
fn reference(
    policy: &AccessPolicy,
    key: &ServiceKey,
    duty: Duty,
    person: &Person,
    standing: &Standing,
) -> bool {
    let Fact::Known { value: profile, observed_at } = &standing.profile else { return false };
    if !is_good(*observed_at)
        || standing.user.as_ref() != Some(&person.user)
        || profile.account != Account::Member
        || !policy.workspaces.contains(&profile.workspace)
        || !policy.workspaces.contains(&person.workspace)
    {
        return false;
    }
    if among(&named(&policy.denied, key), person, standing) != Some(false) {
        return false;
    }
    let approvers_named = policy.approvers.iter().any(|rule| {
        naively_covers(&rule.services, key.service.as_str())
            && naively_covers(&rule.environments, key.environment.as_str())
    });
    let rules =
        if duty == Duty::Approve && approvers_named { &policy.approvers } else { &policy.owners };
    among(&named(rules, key), person, standing) == Some(true)
        || among(&policy.break_glass, person, standing) == Some(true)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// INV-02: the decision is that of a plain reference model, for every duty.
    #[test]
    fn a_decision_is_that_of_the_plain_model(
        policy in strategies::access_policy(),
        key in strategies::key(),
        (person, standing) in person_and_standing(),
    ) {
        let access = policy.for_service(&key);
        for duty in DUTIES {
            let decision = access.decide(duty, &person.actor(), &standing, moment());
            let expected = reference(&policy, &key, duty, &person, &standing);
            prop_assert_eq!(decision.verdict.is_ok(), expected, "{:?}: {:?}", duty, decision);
        }
    }

    /// The groups that are asked about are all that a decision needs.
    #[test]
    fn a_decision_needs_no_group_but_those_that_are_asked_about(
        policy in strategies::access_policy(),
        key in strategies::key(),
        (person, standing) in person_and_standing(),
    ) {
        let access = policy.for_service(&key);
        let actor = person.actor();
        for duty in DUTIES {
            let whole = access.decide(duty, &actor, &standing, moment()).verdict.is_ok();
            let asked = access.groups_for(duty, &actor.id);
            let mut some = standing.clone();
            some.groups.retain(|group, _| asked.contains(group));
            let decision = access.decide(duty, &actor, &some, moment());
            prop_assert_eq!(decision.verdict.is_ok(), whole, "{:?}: {:?}", duty, decision);
            // Fewer still never let in whom all of them would not.
            let is_in = |group: &_| standing.groups.get(group).and_then(Fact::value) == Some(&true);
            if let Some(enough) = access.groups_enough(duty, &actor.id, is_in) {
                prop_assert!(enough.is_subset(&asked));
                some.groups.retain(|group, _| enough.contains(group));
                let decision = access.decide(duty, &actor, &some, moment());
                prop_assert!(whole || decision.verdict.is_err(), "{:?}: {:?}", duty, decision);
            }
        }
    }

    /// Otherwise an owner's questions would wait in the strangers' line.
    #[test]
    fn nobody_who_may_is_expected_to_be_turned_away(
        policy in strategies::access_policy(),
        key in strategies::key(),
        (person, standing) in person_and_standing(),
    ) {
        let access = policy.for_service(&key);
        let seen = |is_in| -> Vec<GroupId> {
            let said = standing.groups.iter().filter(|(_, fact)| fact.value() == Some(&is_in));
            said.map(|(group, _)| group.clone()).collect()
        };
        for duty in DUTIES {
            let decision = access.decide(duty, &person.actor(), &standing, moment());
            let expected =
                access.expects_a_denial(duty, &person.id(), &seen(true), &seen(false));
            prop_assert!(!(expected && decision.verdict.is_ok()), "{:?}: {:?}", duty, decision);
        }
    }

    /// INV-02: without rules nobody may, whatever the directory says.
    #[test]
    fn an_empty_policy_denies_everybody((person, standing) in person_and_standing()) {
        let mut only_ours = AccessPolicy::default();
        only_ours.workspaces.insert(fixtures::home());
        for access in [Access::default(), only_ours.for_service(&fixtures::key())] {
            for duty in DUTIES {
                let decision = access.decide(duty, &person.actor(), &standing, moment());
                prop_assert!(decision.verdict.is_err());
            }
        }
    }

    /// INV-02: what cannot be found out never lets anybody in.
    #[test]
    fn nobody_of_whom_nothing_is_known_may(
        policy in strategies::access_policy(),
        person in strategies::person(),
    ) {
        let access = policy.for_service(&fixtures::key());
        let long_ago = Timestamp::from_millis(now().as_millis() - 30_001);
        for standing in [Standing::unknown("no answer"), person.standing(long_ago)] {
            for duty in DUTIES {
                let decision = access.decide(duty, &person.actor(), &standing, moment());
                prop_assert!(decision.verdict.is_err());
            }
        }
    }

    /// An explicit denial beats everything else that names somebody.
    #[test]
    fn an_explicit_denial_beats_everything(
        mut policy in strategies::access_policy(),
        key in strategies::key(),
        (person, standing) in person_and_standing(),
    ) {
        let them = vec![Principal::User(person.id())];
        policy.denied.push(Rule::new("barred", Pattern::any(), Pattern::any(), them));
        let access = policy.for_service(&key);
        for duty in DUTIES {
            let decision = access.decide(duty, &person.actor(), &standing, moment());
            prop_assert!(decision.verdict.is_err());
        }
    }

    /// An index gives the rules that a search gives, for services that it knows and others.
    #[test]
    fn an_index_answers_like_a_search(
        policy in strategies::access_policy(),
        known in strategies::key(),
        asked in strategies::key(),
    ) {
        let index = AccessIndex::new(policy.clone(), [known]);
        prop_assert_eq!(index.for_service(&asked).into_owned(), policy.for_service(&asked));
    }

    /// Taking away a right never gives one: a further denial turns no denial into a permission.
    #[test]
    fn a_further_denial_never_permits(
        policy in strategies::access_policy(),
        denial in strategies::rule(),
        key in strategies::key(),
        (person, standing) in person_and_standing(),
    ) {
        let mut stricter = policy.clone();
        stricter.denied.push(denial);
        for duty in DUTIES {
            let before = policy.for_service(&key);
            let before = before.decide(duty, &person.actor(), &standing, moment()).verdict;
            let after = stricter.for_service(&key);
            let after = after.decide(duty, &person.actor(), &standing, moment()).verdict;
            prop_assert!(before.is_ok() || after.is_err());
        }
    }

    /// A denial says who may, and a permission by what way.
    #[test]
    fn whoever_comes_in_by_the_emergency_group_alone_is_said_to(
        mut policy in strategies::access_policy(),
        (person, standing) in person_and_standing(),
    ) {
        policy.owners.clear();
        policy.approvers.clear();
        let access = policy.for_service(&fixtures::key());
        let decision = access.decide(Duty::Request, &person.actor(), &standing, moment());
        if let Ok(route) = &decision.verdict {
            prop_assert_eq!(*route, Route::BreakGlass);
        }
        if decision.verdict == Err(Denial::NobodyMay) {
            prop_assert!(access.who_may(Duty::Request).next().is_none());
        }
    }

    #[test]
    fn a_wildcard_covers_what_the_naive_match_covers(
        text in "[a-c]{0,2}\\*?[a-c]{0,2}",
        name in "[a-c]{1,5}",
    ) {
        if let Ok(pattern) = Pattern::parse(&text) {
            prop_assert_eq!(pattern.covers(&name), naively_covers(&pattern, &name));
            prop_assert_eq!(String::from(pattern), text);
        }
    }

    /// INV-08, INV-09: every guard is judged, once, in the policy's order, whatever the facts; and
    /// an unknown fact is never a pass for a guard that needs it.
    #[test]
    fn every_guard_is_judged_whatever_the_facts(facts in strategies::facts(now())) {
        let (plan, policy) = (fixtures::plan(), fixtures::policy());
        let report = guard::evaluate(&Question::new(&plan, &policy, now()), &facts);
        let judged: Vec<Guard> = report.findings().iter().map(|f| f.guard.clone()).collect();
        prop_assert_eq!(judged, Guard::BUILT_IN.to_vec());
        let good = |fact: Option<Timestamp>| fact.is_some_and(is_good);
        let live = good(facts.live.observed_at());
        let idle = facts.live.value().is_some_and(|it| it.in_progress.is_nothing());
        let stays = facts.preflight.value().is_some_and(|it| it.undone_by.is_nothing());
        let record = good(facts.record.observed_at());
        let history = good(facts.history.observed_at());
        let preflight = good(facts.preflight.observed_at());
        let freezes = good(facts.freezes.observed_at());
        for finding in report.findings() {
            let known = match finding.guard {
                Guard::NewerDeploy => live && record && history,
                Guard::TargetRestorable | Guard::Migrations | Guard::KnownGood => history && record,
                Guard::AlreadyAtTarget => live,
                Guard::InFlight => record && live && idle,
                Guard::ConfirmationCurrent => true,
                Guard::Freeze => freezes,
                Guard::CoolDown => record,
                Guard::UndoneByBackend => preflight && stays,
                Guard::BackendAccepts => preflight,
                Guard::Custom(_) => false,
            };
            prop_assert!(known || finding.verdict != Verdict::Pass, "{:?}", finding);
        }
        prop_assert_eq!(report.passes(), report.obstacles().next().is_none());
    }

    /// INV-11: whatever the policy chooses as a target, the three guards on the target let through,
    /// on the same facts; and what they do not let through, it does not choose.
    #[test]
    fn the_guards_agree_with_the_choice_that_put_the_button_there(
        history in strategies::history(),
        record in strategies::record(),
        soak in prop_oneof![Just(0_u64), Just(300), Just(900)],
    ) {
        let mut policy = fixtures::policy();
        policy.soak = Duration::from_secs(soak);
        let Some(live) = history.first().cloned() else { return Ok(()) };
        let candidates = Candidates::new(&history, &live.id, &record, policy.soak, now());
        let choice = candidates.choose();
        let skipped = choice.skipped.iter().map(|skipped| (&skipped.revision, false));
        let judged = skipped.chain(choice.target.iter().map(|target| (target, true)));
        for (target, chosen) in judged {
            let to = target.reference();
            let Ok(plan) = Plan::new(fixtures::key(), live.reference(), to) else { continue };
            let mut facts = fixtures::facts(now());
            facts.history = Fact::known(history.clone(), now());
            facts.record = Fact::known(record.clone(), now());
            let report = guard::evaluate(&Question::new(&plan, &policy, now()), &facts);
            let lets_through = report
                .findings()
                .iter()
                .filter(|f| {
                    [Guard::TargetRestorable, Guard::Migrations, Guard::KnownGood].contains(&f.guard)
                })
                .all(guard::Finding::passes);
            prop_assert_eq!(lets_through, chosen, "{:?}", target.id);
        }
    }

    /// The newest candidate wins, and each that was passed over is older than the live one, newer
    /// than the target, and named once.
    #[test]
    fn every_candidate_before_the_target_was_passed_over_for_a_reason(
        history in strategies::history(),
        record in strategies::record(),
    ) {
        let Some(live) = history.first() else { return Ok(()) };
        let candidates = Candidates::new(&history, &live.id, &record, Duration::ZERO, now());
        let choice = candidates.choose();
        let mut walked: Vec<_> = choice.skipped.iter().map(|s| s.revision.id.clone()).collect();
        walked.extend(choice.target.iter().map(|target| target.id.clone()));
        let expected: Vec<_> = history.iter().skip(1).map(|r| r.id.clone()).collect();
        prop_assert!(expected.starts_with(&walked));
        prop_assert!(choice.target.is_some() || walked.len() == expected.len());
        prop_assert!(!choice.why.is_empty());
        if let Some(target) = &choice.target {
            prop_assert!(candidates.judge(&target.id).is_ok());
            prop_assert!(!record.marked_bad.contains_key(&target.id));
            prop_assert!(!record.rolled_back_from.contains(&target.id));
        }
    }
}

fn image(rollback: &Rollback) -> serde_json::Value {
    serde_json::to_value(rollback).unwrap()
}

fn orders(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::Trigger(_))).count()
}

fn opening(approvals: u8, proposed: bool, drill: bool) -> rollback_core::journal::Opening {
    let policy = fixtures::policy_with_approvals(approvals);
    let mut opening = if proposed {
        fixtures::proposed(policy)
    } else {
        fixtures::clicked_by(&fixtures::ana(), policy)
    };
    if drill {
        opening.purpose = Purpose::Drill;
    }
    opening
}

/// Events that begin as a good rollback does and go on at random, so that what follows an order is
/// tried as often as what precedes one.
fn journals() -> impl Strategy<Value = Vec<(Timestamp, Event)>> {
    let (ana, at) = (fixtures::ana(), now());
    let good = [
        (at, Event::StandingObserved(Box::new(ana.standing(at)))),
        (at, fixtures::observed(at)),
        (at, ana.confirmed(at)),
        (at, fixtures::observed(at)),
        (at, Event::IntentRecorded),
    ];
    (0..=good.len(), strategies::events(30))
        .prop_map(move |(length, events)| good.iter().take(length).cloned().chain(events).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// INV-25: a replay through JSON is the rollback that was stepped, with the same effects and
    /// the same records; ignored events need not be stored.
    #[test]
    fn a_replay_is_what_happened(
        events in journals(),
        approvals in 0_u8..3,
        proposed in any::<bool>(),
        drill in prop::bool::weighted(0.2),
    ) {
        let opening = opening(approvals, proposed, drill);
        let Transition { mut rollback, effects: mut all, mut drafts, .. } =
            Rollback::open(opening.clone());
        let mut stored = Vec::new();
        for (at, event) in events {
            let entry = Entry::new(at, event.clone());
            let step = rollback.step(at, event);
            rollback = step.rollback;
            all.extend(step.effects);
            drafts.extend(step.drafts);
            if !matches!(step.disposition, Disposition::Ignored(_)) {
                stored.push(entry);
            }
        }
        let json = serde_json::to_string(&(&opening, &stored)).unwrap();
        let (opening, stored): (_, Vec<Entry>) = serde_json::from_str(&json).unwrap();
        let again = replay_whole(opening, stored);
        let effects: Vec<Effect> = again.effects.into_iter().map(|(_, effect)| effect).collect();
        prop_assert_eq!(effects, all);
        let kinds = |list: &[rollback_core::audit::Draft]| -> Vec<_> {
            list.iter().map(|d| (d.kind, d.at, d.explanation.clone())).collect()
        };
        prop_assert_eq!(kinds(&again.drafts), kinds(&drafts));
        let (mut left, mut right) = (again.rollback.view(), rollback.view());
        left.steps = 0;
        right.steps = 0;
        prop_assert_eq!(left, right);
    }

    /// INV-14, INV-16, INV-18: at most one order on any path, none in a drill, and none after an
    /// end that says that nothing was changed.
    #[test]
    fn at_most_one_order_is_ever_given(
        events in journals(),
        approvals in 0_u8..2,
        drill in any::<bool>(),
    ) {
        let Transition { mut rollback, .. } = Rollback::open(opening(approvals, false, drill));
        let mut given = 0;
        for (at, event) in events {
            let was_end = rollback.state_name().is_end();
            let step = rollback.step(at, event);
            rollback = step.rollback;
            let orders = orders(&step.effects);
            prop_assert!(!was_end || orders == 0);
            given += orders;
        }
        prop_assert!(given <= usize::from(!drill));
        prop_assert!(!rollback.was_ordered() || given == 1);
    }

    /// INV-06: the same event told twice in a row gives nothing a second time: no order, no look,
    /// no second record of the same thing.
    #[test]
    fn what_is_told_twice_happens_once(events in journals(), approvals in 0_u8..2) {
        let Transition { mut rollback, .. } = Rollback::open(opening(approvals, false, false));
        for (at, event) in events {
            let once = rollback.step(at, event.clone());
            let (before, disposition) = (once.rollback.state_name(), once.disposition);
            let twice = once.rollback.step(at, event.clone());
            prop_assert_eq!(orders(&twice.effects), 0, "{:?}", event);
            let is_facts = matches!(event, Event::FactsObserved(_));
            let is_deadline = matches!(event, Event::DeadlineReached);
            let is_click = matches!(event, Event::Clicked(_) | Event::WithdrawalGiven(_));
            if disposition == Disposition::Applied && !is_facts && !is_deadline && !is_click {
                prop_assert_eq!(twice.rollback.state_name(), before, "{:?}", event);
            }
            rollback = twice.rollback;
        }
    }

    /// Time never runs backwards in it, and what it asks for later is in the future.
    #[test]
    fn time_never_runs_backwards(events in journals(), jumps in prop::collection::vec(0_u64..4_000, 40)) {
        let Transition { mut rollback, .. } = Rollback::open(opening(1, true, false));
        let mut last = now();
        for ((at, event), jump) in events.into_iter().zip(jumps) {
            // The clock of this replica is behind by up to more than an hour.
            let behind = Timestamp::from_millis(at.as_millis().saturating_sub(jump * 1_000));
            let step = rollback.step(behind, event);
            for draft in &step.drafts {
                prop_assert!(draft.at >= last, "a record is older than the one before it");
                last = draft.at;
            }
            rollback = step.rollback;
        }
    }

    /// A journal is data: events survive JSON, and what a view shows does, too.
    #[test]
    fn events_and_views_survive_json(events in journals()) {
        let Transition { mut rollback, .. } = Rollback::open(opening(0, false, false));
        for (at, event) in events {
            let json = serde_json::to_string(&event).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Event>(&json).unwrap(), &event);
            rollback = rollback.step(at, event).rollback;
        }
        let view = rollback.view();
        let json = serde_json::to_string(&view).unwrap();
        prop_assert_eq!(serde_json::from_str::<rollback_core::RollbackView>(&json).unwrap(), view);
    }

    /// INV-25: the same journal gives the same bytes.
    #[test]
    fn a_replay_is_deterministic(events in journals()) {
        let entries: Vec<Entry> =
            events.into_iter().map(|(at, event)| Entry::new(at, event)).collect();
        let one = replay(opening(1, false, false), entries.clone());
        let other = replay(opening(1, false, false), entries);
        prop_assert_eq!(image(&one).to_string(), image(&other).to_string());
    }
}
