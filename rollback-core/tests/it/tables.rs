//! Tables: each guard on each kind of fact, each way to be skipped, each way to be turned away,
//! and every sentence that a person can see.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use core::time::Duration;
use rollback_core::access::{
    Access, AccessPolicy, Account, Denial, Duty, Moment, Pattern, Principal, Route, Rule,
};
use rollback_core::guard::{
    CUSTOM_GUARDS_MAX, Guard, GuardSet, GuardSetError, Question, Verdict, evaluate,
};
use rollback_core::journal::Rules;
use rollback_core::known_good::{Candidates, Skip, migrations_between};
use rollback_core::observed::{
    Facts, Freeze, InProgress, LastRollback, LatestDeploy, Live, OperationKind, Preflight, Reading,
    ServiceRecord,
};
use rollback_core::ports::Fenced;
use rollback_core::reconcile::{self, Next};
use rollback_core::{
    CLOCK_SKEW_MAX, Event, Fact, GroupId, GuardName, Migration, Migrations, Missing, Pair, Policy,
    Presence, Receipt, Restorable, Reversible, Revision, RevisionStatus, ServiceKey, Timestamp,
};
use rollback_testkit::fixtures::{self, parsed};
use std::collections::BTreeSet;

fn now() -> Timestamp {
    fixtures::at(0)
}

fn before(seconds: u64) -> Timestamp {
    Timestamp::from_millis(now().as_millis() - seconds * 1_000)
}

/// The verdict on one guard, by name.
fn verdict(guard: &Guard, facts: &Facts, shown: Option<&Pair>, policy: &Policy) -> &'static str {
    let plan = fixtures::plan();
    let id = parsed("rb-1");
    let mut question = Question::new(&plan, policy, now());
    question.shown = shown;
    question.asking = Some(&id);
    let report = evaluate(&question, facts);
    report.findings().iter().find(|f| f.guard == *guard).unwrap().verdict_name()
}

fn with(change: impl FnOnce(&mut Facts)) -> Facts {
    let mut facts = fixtures::facts(now());
    change(&mut facts);
    facts
}

fn with_record(change: impl FnOnce(&mut ServiceRecord)) -> Facts {
    let mut record = ServiceRecord::default();
    change(&mut record);
    with(|facts| facts.record = Fact::known(record, now()))
}

fn with_history(change: impl FnOnce(&mut Vec<Revision>)) -> Facts {
    let mut history = fixtures::history();
    change(&mut history);
    with(|facts| facts.history = Fact::known(history, now()))
}

fn with_live(change: impl FnOnce(&mut Live)) -> Facts {
    let mut live = Live::running(fixtures::reference("42"));
    change(&mut live);
    with(|facts| facts.live = Fact::known(live, now()))
}

fn latest(id: &str, at: Timestamp) -> LatestDeploy {
    LatestDeploy::new(parsed("ci-9"), Some(parsed(id)), at)
}

fn nameless(at: Timestamp) -> LatestDeploy {
    LatestDeploy::new(parsed("ci-9"), None, at)
}

#[expect(clippy::too_many_lines, reason = "a table")]
/// Facts that each stand in one guard's way, and facts at the edge that do not.
fn guard_table() -> Vec<(&'static str, Guard, Facts, &'static str)> {
    use Guard::{
        AlreadyAtTarget, BackendAccepts, CoolDown, Freeze as Frozen, InFlight, KnownGood,
        Migrations as Migrated, NewerDeploy, TargetRestorable, UndoneByBackend,
    };
    let row = |what, guard, facts, expected| (what, guard, facts, expected);
    let migrated = |reversible| {
        with_history(|h| {
            h[0].migrations = Migrations::Known(vec![Migration::new("m1", reversible)]);
        })
    };
    let freeze = |from, until| {
        with(|f| f.freezes = Fact::known(vec![Freeze::new("lock", from, until)], now()))
    };
    let last = |at| with_record(|r| r.last_rollback = Some(LastRollback::new(parsed("rb-0"), at)));
    let operation = |kind, ours: Option<&str>| {
        with_live(|live| {
            let mut running = InProgress::new(kind);
            running.operation_id = ours.map(parsed);
            live.in_progress = Presence::Something(running);
        })
    };
    vec![
        row(
            "another is live",
            NewerDeploy,
            with_live(|l| l.revision = Some(fixtures::reference("43"))),
            "block",
        ),
        row("nothing is live", NewerDeploy, with_live(|l| l.revision = None), "block"),
        row(
            "a newer one was reported",
            NewerDeploy,
            with_record(|r| r.latest_deploy = Some(latest("43", now()))),
            "block",
        ),
        row(
            "an older one was reported late",
            NewerDeploy,
            with_record(|r| r.latest_deploy = Some(latest("39", before(900)))),
            "pass",
        ),
        row(
            "the live one was reported",
            NewerDeploy,
            with_record(|r| r.latest_deploy = Some(latest("42", now()))),
            "pass",
        ),
        row(
            "reported, and rolled back from since",
            NewerDeploy,
            with_record(|r| {
                r.latest_deploy = Some(latest("43", now()));
                r.rolled_back_from.insert(parsed("43"));
            }),
            "pass",
        ),
        row(
            "reported at the same moment",
            NewerDeploy,
            with_record(|r| r.latest_deploy = Some(latest("43", before(600)))),
            "pass",
        ),
        row(
            "reported, and the live one's time is not known",
            NewerDeploy,
            {
                let mut facts = with_record(|r| r.latest_deploy = Some(latest("43", before(500))));
                let mut history = fixtures::history();
                history[0].deployed_at = None;
                facts.history = Fact::known(history, now());
                facts
            },
            "block",
        ),
        row(
            "a newer one was reported, and nobody knows which revision it made",
            NewerDeploy,
            with_record(|r| r.latest_deploy = Some(nameless(now()))),
            "unknown",
        ),
        row(
            "an older one was reported late, and nobody knows which revision it made",
            NewerDeploy,
            with_record(|r| r.latest_deploy = Some(nameless(before(900)))),
            "pass",
        ),
        row(
            "pruned",
            TargetRestorable,
            with_history(|h| h[1].restorable = Restorable::No),
            "block",
        ),
        row(
            "perhaps pruned",
            TargetRestorable,
            with_history(|h| h[1].restorable = Restorable::Unknown),
            "unknown",
        ),
        row(
            "gone from the history",
            TargetRestorable,
            with_history(|h| drop(h.remove(1))),
            "block",
        ),
        row("an empty history", TargetRestorable, with_history(Vec::clear), "block"),
        row("no migrations", Migrated, with_history(|_| {}), "pass"),
        row("reversible", Migrated, migrated(Reversible::Yes), "pass"),
        row("irreversible", Migrated, migrated(Reversible::No), "block"),
        row("perhaps reversible", Migrated, migrated(Reversible::Unknown), "unknown"),
        row(
            "migrations unknown",
            Migrated,
            with_history(|h| h[0].migrations = Migrations::Unknown),
            "unknown",
        ),
        row(
            "the target's own migrations do not matter",
            Migrated,
            with_history(|h| h[1].migrations = Migrations::Unknown),
            "pass",
        ),
        row("failed", KnownGood, with_history(|h| h[1].status = RevisionStatus::Failed), "block"),
        row(
            "superseded",
            KnownGood,
            with_history(|h| h[1].status = RevisionStatus::Superseded),
            "pass",
        ),
        row(
            "nobody can say",
            KnownGood,
            with_history(|h| h[1].status = RevisionStatus::Unknown),
            "unknown",
        ),
        row(
            "marked bad",
            KnownGood,
            with_record(|r| drop(r.marked_bad.insert(parsed("41"), "bad".into()))),
            "block",
        ),
        row(
            "rolled back from",
            KnownGood,
            with_record(|r| r.rolled_back_from = BTreeSet::from([parsed("41")])),
            "block",
        ),
        row(
            "the live one is a copy of it",
            KnownGood,
            with_history(|h| h[0].restores = Some(parsed("41"))),
            "block",
        ),
        row(
            "the target is live",
            AlreadyAtTarget,
            with_live(|l| l.revision = Some(fixtures::reference("41"))),
            "block",
        ),
        row(
            "another rollback holds the service",
            InFlight,
            with_record(|r| r.in_flight = Some(parsed("rb-0"))),
            "block",
        ),
        row(
            "this rollback holds the service",
            InFlight,
            with_record(|r| r.in_flight = Some(parsed("rb-1"))),
            "pass",
        ),
        row("a deploy is in progress", InFlight, operation(OperationKind::Deploy, None), "block"),
        row(
            "a rollback is in progress",
            InFlight,
            operation(OperationKind::Rollback, None),
            "block",
        ),
        row(
            "another one's rollback is in progress",
            InFlight,
            operation(OperationKind::Rollback, Some("rb-0")),
            "block",
        ),
        row("frozen without end", Frozen, freeze(before(1), None), "block"),
        row("frozen from now on", Frozen, freeze(now(), None), "block"),
        row("frozen later", Frozen, freeze(fixtures::at(1), None), "pass"),
        row("frozen until now", Frozen, freeze(before(9), Some(now())), "pass"),
        row("frozen until later", Frozen, freeze(before(9), Some(fixtures::at(1))), "block"),
        row("just rolled back", CoolDown, last(before(299)), "block"),
        row("rolled back long enough ago", CoolDown, last(before(300)), "pass"),
        row("rolled back in the future", CoolDown, last(fixtures::at(60)), "block"),
        row(
            "auto-sync is on",
            UndoneByBackend,
            with(|f| {
                let mut preflight = fixtures::accepted();
                preflight.undone_by = Presence::Something("auto-sync".into());
                f.preflight = Fact::known(preflight, now());
            }),
            "block",
        ),
        row(
            "nobody can say what would undo it",
            UndoneByBackend,
            with(|f| f.preflight = Fact::known(Preflight::accepted(), now())),
            "unknown",
        ),
        row(
            "nobody can say whether something is in progress",
            InFlight,
            with_live(|live| live.in_progress = Presence::cannot_tell("it is not said")),
            "unknown",
        ),
        row(
            "the CD would not",
            BackendAccepts,
            with(|f| f.preflight = Fact::known(Preflight::rejected("no quota"), now())),
            "block",
        ),
    ]
}

#[test]
fn each_guard_blocks_what_it_is_for_and_nothing_beside_it() {
    let policy = fixtures::policy();
    for (what, guard, facts, expected) in guard_table() {
        assert_eq!(verdict(&guard, &facts, None, &policy), expected, "{what}: {}", guard.name());
    }
    for guard in Guard::BUILT_IN {
        let facts = fixtures::facts(now());
        assert_eq!(verdict(&guard, &facts, None, &policy), "pass", "{}", guard.name());
    }
}

/// The clock of whoever reports a deploy and the CD system's own are two minutes apart.
#[test]
fn what_is_live_decides_whatever_the_clock_of_the_reporter_says() {
    let (policy, plan) = (fixtures::policy(), fixtures::plan());
    let judged = |facts: &Facts, rules| {
        let mut question = Question::new(&plan, &policy, now());
        question.rules = rules;
        let report = evaluate(&question, facts);
        let finding = report.findings().iter().find(|it| it.guard == Guard::NewerDeploy);
        (finding.unwrap().verdict_name(), finding.unwrap().explanation())
    };
    // `42` went live ten minutes ago by the CD system's clock.
    for (what, told, by_time, expected) in [
        ("older, by a clock that is ahead", latest("41", before(480)), "block", "pass"),
        ("older, at the same moment", latest("41", before(600)), "pass", "pass"),
        ("older, by a clock that is behind", latest("41", before(720)), "pass", "pass"),
        ("the live one, by a clock that is ahead", latest("42", before(480)), "pass", "pass"),
        ("the live one, by a clock that is behind", latest("42", before(720)), "pass", "pass"),
        ("not in the history, just now", latest("43", before(0)), "block", "block"),
        ("not in the history, and time enough", latest("43", before(599)), "block", "block"),
        ("not known, just now", nameless(before(0)), "unknown", "unknown"),
        ("not known, by a clock that is behind", nameless(before(720)), "pass", "pass"),
    ] {
        let facts = with_record(|record| record.latest_deploy = Some(told));
        assert_eq!(judged(&facts, Rules::V1).0, by_time, "{what}, by the rules before");
        assert_eq!(judged(&facts, Rules::V2).0, expected, "{what}");
    }
    // What cannot be told otherwise counts by its time, and not for ever.
    for told in [latest("43", before(601)), nameless(before(601))] {
        let mut facts = with_record(|record| record.latest_deploy = Some(told));
        facts.history = with_history(|history| history[0].deployed_at = None).history;
        assert_ne!(judged(&facts, Rules::V1).0, "pass");
        assert_eq!(judged(&facts, Rules::V2).0, "pass");
    }
    let facts = with_record(|record| record.latest_deploy = Some(latest("43", before(60))));
    let said = judged(&facts, Rules::V2).1;
    for words in ["by its reporter's clock", "in 9 min", "still live then", "nothing was changed"] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn each_guard_is_unknown_on_a_source_that_failed_or_is_stale() {
    let policy = fixtures::policy();
    let stale = fixtures::facts(before(31));
    let edge = fixtures::facts(before(30));
    for guard in Guard::BUILT_IN {
        let expected = if guard == Guard::ConfirmationCurrent { "pass" } else { "unknown" };
        let silent = Facts::unknown("the CD did not answer");
        assert_eq!(verdict(&guard, &silent, None, &policy), expected, "{}", guard.name());
        assert_eq!(verdict(&guard, &stale, None, &policy), expected, "{}", guard.name());
        assert_eq!(verdict(&guard, &edge, None, &policy), "pass", "{}", guard.name());
    }
}

#[test]
fn each_guard_is_unknown_on_a_source_from_the_future() {
    let policy = fixtures::policy();
    let skew = now().after(CLOCK_SKEW_MAX);
    for (at, expected) in [(skew, "pass"), (skew.after(Duration::from_millis(1)), "unknown")] {
        let facts = fixtures::facts(at);
        for guard in Guard::BUILT_IN {
            let expected = if guard == Guard::ConfirmationCurrent { "pass" } else { expected };
            assert_eq!(verdict(&guard, &facts, None, &policy), expected, "{}", guard.name());
        }
    }
}

/// What was seen before the last approval may have changed since.
#[test]
fn each_guard_is_unknown_on_what_was_seen_before_the_last_approval() {
    let (plan, policy) = (fixtures::plan(), fixtures::policy());
    for (seen, expected) in [(before(1), "unknown"), (now(), "pass")] {
        let facts = fixtures::facts(seen);
        let mut question = Question::new(&plan, &policy, now());
        question.since = Some(now());
        for finding in evaluate(&question, &facts).findings() {
            let always = finding.guard == Guard::ConfirmationCurrent;
            let expected = if always { "pass" } else { expected };
            assert_eq!(finding.verdict_name(), expected, "{}", finding.guard.name());
        }
    }
}

#[test]
fn a_guard_that_rests_on_somebodys_word_says_whose() {
    let (plan, policy) = (fixtures::plan(), fixtures::policy());
    let said = |preflight: Preflight| {
        let facts = with(|f| f.preflight = Fact::known(preflight, now()));
        let report = evaluate(&Question::new(&plan, &policy, now()), &facts);
        let finding = report.findings().iter().find(|f| f.guard == Guard::UndoneByBackend);
        finding.unwrap().explanation()
    };
    let mut preflight = fixtures::accepted();
    assert_eq!(said(preflight.clone()), "nothing would undo it by itself");
    preflight.vouched_by = Some("the configuration".into());
    let vouched = "nothing would undo it by itself (not checked: the configuration says so)";
    assert_eq!(said(preflight.clone()), vouched);
    preflight.undone_by = Presence::Something("auto-sync".into());
    assert!(said(preflight).starts_with("auto-sync would undo"), "who was seen beats any word");
}

#[test]
fn a_confirmation_of_another_pair_is_stale() {
    let (policy, facts) = (fixtures::policy(), fixtures::facts(now()));
    let guard = Guard::ConfirmationCurrent;
    for (from, to, expected) in [("42", "41", "pass"), ("42", "40", "block"), ("41", "41", "block")]
    {
        let shown = Pair::new(parsed(from), parsed(to));
        assert_eq!(verdict(&guard, &facts, Some(&shown), &policy), expected);
    }
}

fn guard_names(count: usize) -> BTreeSet<GuardName> {
    (0..count).map(|number| parsed(&format!("budget-{number}"))).collect()
}

#[test]
fn a_guard_of_the_hosts_own_is_judged_like_any_other() {
    let mut policy = fixtures::policy();
    policy.guards = GuardSet::with(guard_names(1)).unwrap();
    let guard = Guard::Custom(parsed("budget-0"));
    let reading = |fact: Fact<Reading>| with(|f| drop(f.custom.insert(parsed("budget-0"), fact)));
    let violated = Reading::Violated("the error budget is spent".into());
    for (facts, expected) in [
        (fixtures::facts(now()), "unknown"),
        (reading(Fact::known(Reading::Holds, now())), "pass"),
        (reading(Fact::known(violated, now())), "block"),
        (reading(Fact::unknown("no answer")), "unknown"),
        (reading(Fact::known(Reading::Holds, before(31))), "unknown"),
    ] {
        assert_eq!(verdict(&guard, &facts, None, &policy), expected);
    }
}

#[test]
fn a_guard_set_has_every_built_in_one_and_a_bounded_number_of_others() {
    assert_eq!(GuardSet::built_in().as_slice(), Guard::BUILT_IN);
    let full = GuardSet::with(guard_names(CUSTOM_GUARDS_MAX)).unwrap();
    assert_eq!(full.as_slice().len(), Guard::BUILT_IN.len() + CUSTOM_GUARDS_MAX);
    assert_eq!(full.custom().count(), CUSTOM_GUARDS_MAX);
    let over = CUSTOM_GUARDS_MAX + 1;
    assert_eq!(GuardSet::with(guard_names(over)), Err(GuardSetError::TooMany(over)));
    for guard in Guard::BUILT_IN {
        let name: GuardName = parsed(guard.name());
        let taken = GuardSet::with(BTreeSet::from([name.clone()]));
        assert_eq!(taken, Err(GuardSetError::Taken(name)));
    }
    let json = serde_json::to_string(&full).unwrap();
    assert_eq!(serde_json::from_str::<GuardSet>(&json).unwrap(), full);
    assert!(serde_json::from_str::<GuardSet>("[\"freeze\"]").is_err());
}

#[test]
fn every_reason_to_skip_a_candidate_is_given() {
    let soak = Duration::from_secs(600);
    let good = fixtures::history;
    let judge = |history: Vec<Revision>, record: ServiceRecord| {
        Candidates::new(&history, &parsed("42"), &record, soak, now()).judge(&parsed("41"))
    };
    let changed = |change: &dyn Fn(&mut Vec<Revision>)| {
        let mut history = good();
        change(&mut history);
        judge(history, ServiceRecord::default())
    };
    let mut marked = ServiceRecord::default();
    marked.marked_bad.insert(parsed("41"), "lost orders".into());
    let mut rolled = ServiceRecord::default();
    rolled.rolled_back_from.insert(parsed("41"));
    let irreversible = Migrations::Known(vec![Migration::new("m1", Reversible::No)]);
    let revision = parsed("42");
    assert_eq!(judge(good(), ServiceRecord::default()), Ok(()));
    assert_eq!(judge(good(), marked), Err(Skip::MarkedBad("lost orders".into())));
    assert_eq!(judge(good(), rolled), Err(Skip::RolledBackFrom));
    assert_eq!(changed(&|h| h[1].restorable = Restorable::No), Err(Skip::NotRestorable));
    assert_eq!(changed(&|h| h[1].restorable = Restorable::Unknown), Err(Skip::RestorableUnknown));
    assert_eq!(changed(&|h| drop(h.remove(1))), Err(Skip::NotRestorable));
    assert_eq!(changed(&|h| h.swap(0, 1)), Err(Skip::NotRestorable));
    assert_eq!(changed(&|h| h[0].restores = Some(parsed("41"))), Err(Skip::SameAsLive));
    for status in [RevisionStatus::Failed, RevisionStatus::Unknown] {
        assert_eq!(changed(&|h| h[1].status = status), Err(Skip::NotSucceeded(status)));
    }
    assert_eq!(changed(&|h| h[1].deployed_at = None), Err(Skip::SoakUnknown));
    assert_eq!(changed(&|h| h[0].deployed_at = None), Err(Skip::SoakUnknown));
    let live_for = Duration::from_secs(599);
    assert_eq!(
        changed(&|h| h[1].deployed_at = Some(before(600 + 599))),
        Err(Skip::NotSoaked { live_for, soak })
    );
    assert_eq!(changed(&|h| h[1].deployed_at = Some(before(600 + 600))), Ok(()));
    assert_eq!(
        changed(&|h| h[0].migrations = irreversible.clone()),
        Err(Skip::MigrationIrreversible { revision, migration: "m1".into() })
    );
    let unknown = Err(Skip::MigrationUnknown { revision: parsed("42") });
    assert_eq!(changed(&|h| h[0].migrations = Migrations::Unknown), unknown);
    let live = Candidates::new(&good(), &parsed("42"), &ServiceRecord::default(), soak, now())
        .judge(&parsed("42"));
    assert_eq!(live, Err(Skip::Live));
}

/// A failed deploy was never live: what ran before it soaks on; and it may have migrated.
#[test]
fn a_failed_deploy_in_between_neither_ends_the_soak_nor_hides_its_migrations() {
    let mut history = fixtures::history();
    let mut failed = fixtures::revision("41b", "2.13.5", before(24 * 3_600 - 60));
    failed.status = RevisionStatus::Failed;
    history.insert(1, failed);
    let record = ServiceRecord::default();
    let soak = Duration::from_secs(3_600);
    let live = parsed("42");
    let judged =
        |h: &[Revision]| Candidates::new(h, &live, &record, soak, now()).judge(&parsed("41"));
    assert_eq!(judged(&history), Ok(()));
    history[1].migrations = Migrations::Unknown;
    assert_eq!(judged(&history), Err(Skip::MigrationUnknown { revision: parsed("41b") }));
    history[1].migrations = Migrations::Known(vec![Migration::new("m2", Reversible::Yes)]);
    history[1].status = RevisionStatus::Succeeded;
    let live_for = Duration::from_secs(60);
    assert_eq!(judged(&history), Err(Skip::NotSoaked { live_for, soak }));
    let names = migrations_between(&history, &history[0].reference(), &history[2].reference());
    assert_eq!(names, [(parsed("41b"), "m2".into())]);
}

/// What a confirmation tells will not be undone: what came after the target, up to what is live.
#[test]
fn the_migrations_between_two_revisions_are_those_of_the_newer_and_not_of_the_older() {
    let mut history = fixtures::history();
    history.insert(0, fixtures::revision("43", "2.15.0", now()));
    history.push(fixtures::revision("39", "2.13.2", before(72 * 3_600)));
    for revision in &mut history {
        let name = format!("of-{}", revision.id);
        revision.migrations = Migrations::Known(vec![Migration::new(name, Reversible::Yes)]);
    }
    history[2].migrations = Migrations::Unknown;
    let between = |from: usize, to: usize| {
        migrations_between(&history, &history[from].reference(), &history[to].reference())
    };
    assert_eq!(between(1, 3), [(parsed("42"), "of-42".into())]);
    assert_eq!(
        between(0, 4),
        [
            (parsed("43"), "of-43".into()),
            (parsed("42"), "of-42".into()),
            (parsed("40"), "of-40".into()),
        ]
    );
    assert_eq!(between(2, 2), []);
}

#[test]
fn without_a_candidate_the_choice_says_why() {
    let record = ServiceRecord::default();
    let choose = |history: &[Revision], live: &str| {
        Candidates::new(history, &parsed(live), &record, Duration::ZERO, now()).choose()
    };
    let only = &fixtures::history()[..1];
    assert!(choose(only, "42").why.contains("first revision"));
    assert!(choose(&[], "42").why.contains("not in the deploy history"));
    let mut bad = fixtures::history();
    bad[1].status = RevisionStatus::Failed;
    bad[2].restorable = Restorable::No;
    let choice = choose(&bad, "42");
    assert_eq!((choice.target, choice.skipped.len()), (None, 2));
    assert!(choice.why.contains("`41`") && choice.why.contains("its deploy failed"));
    let chosen = choose(&fixtures::history(), "42");
    assert_eq!(chosen.target.unwrap().id.as_str(), "41");
}

#[test]
fn each_of_the_fixtures_people_is_let_in_or_turned_away_for_the_right_reason() {
    let access = fixtures::access();
    let decide = |person: &fixtures::Person, duty| {
        let moment = Moment::new(now(), Duration::from_secs(30));
        let standing = person.standing(now());
        let decision = access.decide(duty, &person.actor(), &standing, moment);
        (decision.verdict, decision.rule.to_owned())
    };
    let owner = (Ok(Route::Ownership), "checkout owners".to_owned());
    let account = "only active full members of our own workspaces".to_owned();
    let table = [
        (fixtures::ana(), owner.clone()),
        (fixtures::ana_again(), owner.clone()),
        (fixtures::bo(), owner.clone()),
        (fixtures::cleo(), owner),
        (fixtures::finn(), (Ok(Route::BreakGlass), "break-glass".into())),
        (fixtures::dan(), (Err(Denial::DeniedByRule), "suspended".into())),
        (fixtures::eve(), (Err(Denial::NotNamed), "default: deny".into())),
        (fixtures::guest(), (Err(Denial::Account(Account::Guest)), account.clone())),
        (fixtures::bot(), (Err(Denial::Account(Account::Bot)), account.clone())),
        (fixtures::gone(), (Err(Denial::Account(Account::Deactivated)), account.clone())),
        (fixtures::stranger(), (Err(Denial::ForeignWorkspace), account)),
    ];
    for (person, expected) in table {
        for duty in [Duty::Request, Duty::Approve, Duty::Withdraw, Duty::Settle, Duty::Release] {
            assert_eq!(decide(&person, duty), expected, "{} {duty:?}", person.name);
        }
    }
}

/// What the directory said about nobody in particular, or about somebody else, lets nobody in.
#[test]
fn a_standing_counts_for_the_account_that_it_names_and_for_no_other() {
    let (access, ana) = (fixtures::access(), fixtures::ana());
    let moment = Moment::new(now(), Duration::from_secs(30));
    let mut unnamed = ana.standing(now());
    unnamed.user = None;
    let of_bo = ana.standing(now()).about(fixtures::bo().id());
    for duty in [Duty::Request, Duty::Approve, Duty::Withdraw, Duty::Settle, Duty::Release] {
        for standing in [&unnamed, &of_bo] {
            let decision = access.decide(duty, &ana.actor(), standing, moment);
            let unknown = Err(Denial::Unknown(Missing::AboutAnother));
            assert_eq!(decision.verdict, unknown, "{duty:?}");
        }
    }
}

/// The account, the groups of denials that somebody is not in, and the group that lets them in.
#[test]
fn a_permission_is_as_old_as_the_oldest_fact_that_it_rests_on() {
    let access = fixtures::access();
    let moment = Moment::new(now(), Duration::from_secs(30));
    let (payments, incident) = (fixtures::payments(), fixtures::incident());
    let suspended = fixtures::suspended();
    for (person, old, expected) in [
        (fixtures::bo(), &payments, 9),
        (fixtures::bo(), &suspended, 9),
        (fixtures::bo(), &incident, 0),
        (fixtures::finn(), &incident, 9),
        (fixtures::finn(), &suspended, 9),
        // Named themselves, they need no group.
        (fixtures::ana(), &payments, 0),
        (fixtures::ana(), &suspended, 9),
    ] {
        let mut standing = person.standing(now());
        let was = *standing.groups[old].value().unwrap();
        standing.groups.insert(old.clone(), Fact::known(was, before(9)));
        let decision = access.decide(Duty::Request, &person.actor(), &standing, moment);
        assert!(decision.verdict.is_ok());
        assert_eq!(decision.observed_at, Some(before(expected)), "{} {old}", person.name);
    }
}

#[test]
fn where_approvers_are_named_owners_do_not_approve() {
    let mut policy = fixtures::access_policy();
    policy.break_glass.clear();
    let cleo = vec![Principal::User(fixtures::cleo().id())];
    let rule = Rule::for_service("approvers", &parsed("checkout"), cleo);
    policy.approvers.push(rule);
    let access = policy.for_service(&fixtures::key());
    let may = |person: fixtures::Person, duty| {
        let moment = Moment::new(now(), Duration::from_secs(30));
        access.decide(duty, &person.actor(), &person.standing(now()), moment).verdict.is_ok()
    };
    assert!(may(fixtures::cleo(), Duty::Approve) && !may(fixtures::bo(), Duty::Approve));
    assert!(may(fixtures::bo(), Duty::Request) && may(fixtures::bo(), Duty::Withdraw));
}

#[test]
fn a_pattern_covers_what_it_names_and_nothing_beside_it() {
    let table: [(&str, &[&str], &[&str]); 6] = [
        ("checkout", &["checkout"], &["checkout2", "check", "xcheckout", "Checkout"]),
        ("pay-*", &["pay-", "pay-eu"], &["pay", "xpay-eu"]),
        ("*-eu", &["-eu", "pay-eu"], &["pay-eux", "eu"]),
        ("a*a", &["aa", "aba"], &["a", "ab", "ba"]),
        ("ab*ba", &["abba"], &["aba"]),
        ("*", &["x", "checkout"], &[]),
    ];
    for (text, covered, beside) in table {
        let pattern = Pattern::parse(text).unwrap();
        assert!(covered.iter().all(|name| pattern.covers(name)), "{text}");
        assert!(!beside.iter().any(|name| pattern.covers(name)), "{text}");
        assert_eq!(String::from(pattern), text);
    }
}

#[test]
fn a_rule_concerns_its_services_in_its_environments_alone() {
    let ana = fixtures::ana();
    let mut policy = AccessPolicy::default();
    policy.workspaces.insert(fixtures::home());
    let (services, environments) = (Pattern::parse("check*"), Pattern::parse("prod*"));
    let them = vec![Principal::User(ana.id())];
    policy.owners.push(Rule::new("owners", services.unwrap(), environments.unwrap(), them));
    for (service, environment, expected) in [
        ("checkout", "production", Ok(Route::Ownership)),
        ("checkout", "staging", Err(Denial::NobodyMay)),
        ("payments", "production", Err(Denial::NobodyMay)),
        ("payments", "staging", Err(Denial::NobodyMay)),
    ] {
        let access = policy.for_service(&ServiceKey::new(parsed(service), parsed(environment)));
        let moment = Moment::new(now(), Duration::from_secs(30));
        let decision = access.decide(Duty::Request, &ana.actor(), &ana.standing(now()), moment);
        assert_eq!(decision.verdict, expected, "{service} in {environment}");
    }
}

#[test]
fn the_directory_is_asked_about_every_group_that_a_rule_names() {
    let mut policy = fixtures::access_policy();
    let (service, releases) = (parsed("checkout"), parsed("S0RELEASES"));
    let approvers = vec![Principal::Group(releases), Principal::User(fixtures::bo().id())];
    policy.approvers.push(Rule::for_service("approvers", &service, approvers));
    let elsewhere = vec![Principal::Group(parsed("S0ELSEWHERE"))];
    policy.owners.push(Rule::for_service("others", &parsed("payments"), elsewhere));
    let access = policy.for_service(&fixtures::key());
    let groups: Vec<&str> = access.groups().into_iter().map(GroupId::as_str).collect();
    assert_eq!(groups, ["S0INCIDENT", "S0PAYMENTS", "S0RELEASES", "S0SUSPENDED"]);
}

#[test]
fn a_member_of_another_workspace_is_turned_away_wherever_they_act_from() {
    let mut visitor = fixtures::bo();
    visitor.workspace = parsed("T0OTHER");
    let mut actor = visitor.actor();
    actor.workspace = Some(fixtures::home());
    let moment = Moment::new(now(), Duration::from_secs(30));
    let access = fixtures::access();
    let decision = access.decide(Duty::Request, &actor, &visitor.standing(now()), moment);
    assert_eq!(decision.verdict, Err(Denial::ForeignWorkspace));
}

#[test]
fn an_answer_about_somebody_else_lets_nobody_in() {
    let (ana, bo) = (fixtures::ana(), fixtures::bo());
    let moment = Moment::new(now(), Duration::from_secs(30));
    let borrowed = ana.standing(now()).about(ana.id());
    let decision = fixtures::access();
    let decision = decision.decide(Duty::Request, &bo.actor(), &borrowed, moment);
    assert!(matches!(decision.verdict, Err(Denial::Unknown(_))), "{decision:?}");
    let empty = Access::default();
    assert!(empty.decide(Duty::Request, &ana.actor(), &borrowed, moment).verdict.is_err());
}

/// Every sentence of a guard that a person can read: reviewed as one page.
#[test]
fn what_the_guards_say_reads_well() {
    let policy = fixtures::policy();
    let plan = fixtures::plan();
    let mut page = String::new();
    for (what, guard, facts, _) in guard_table() {
        let question = Question::new(&plan, &policy, now());
        let report = evaluate(&question, &facts);
        let finding = report.findings().iter().find(|f| f.guard == guard).unwrap();
        let said = match &finding.verdict {
            Verdict::Pass => continue,
            Verdict::Block(_) | Verdict::Unknown(_) => finding.explanation(),
        };
        assert!(!said.ends_with('.'), "{said}");
        page.push_str(&format!("{what} [{}]\n    {said}\n", guard.name()));
    }
    for guard in Guard::BUILT_IN {
        page.push_str(&format!("{} passes\n    {}\n", guard.name(), guard.promise()));
    }
    insta::assert_snapshot!("guards", page);
}

/// Asks everything, with these answers to `find` and `fence`, and tells what was asked.
fn found_out(finds: [Option<&str>; 2], fenced: Fenced) -> (Vec<&'static str>, Event) {
    let (mut next, mut asked) = (reconcile::begin(), Vec::new());
    let mut finds = finds.into_iter();
    loop {
        next = match next {
            Next::Find(looking) => {
                asked.push("find");
                looking.found(finds.next().unwrap().map(Receipt::new))
            }
            Next::Fence(fencing) => {
                asked.push("fence");
                fencing.fenced(fenced)
            }
            Next::Known(event) => return (asked, event),
        };
    }
}

#[test]
fn an_order_in_doubt_is_found_at_once_or_behind_the_fence_or_is_absent() {
    let found = || Event::OrderFound(Receipt::new("run-7"));
    let at_once = found_out([Some("run-7"), None], Fenced::Done);
    assert_eq!(at_once, (vec!["find"], found()));
    let behind = found_out([None, Some("run-7")], Fenced::Done);
    assert_eq!(behind, (vec!["find", "fence", "find"], found()));
    let absent = found_out([None, None], Fenced::Done);
    assert_eq!(absent, (vec!["find", "fence", "find"], Event::OrderAbsent));
}

#[test]
fn without_a_fence_an_order_that_is_not_found_is_never_called_absent() {
    let (asked, event) = found_out([None, None], Fenced::Unsupported);
    assert_eq!(asked, ["find", "fence"]);
    let Event::DoubtRemained(why) = event else { panic!("{event:?}") };
    assert!(why.contains("cannot prove that it will not come yet"), "{why}");
}
