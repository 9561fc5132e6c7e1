//! The phrase book: every sentence of the core that a person can read, on one page, so that a
//! change of words is seen and read. What the guards say has a page of its own.
//!
//! The sentences come out of rollbacks that are told what a person or a system would tell them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use core::fmt::Write as _;
use rollback_core::access::{AccessPolicy, Account, Pattern, Standing};
use rollback_core::audit::{ChainError, Hash};
use rollback_core::guard::{CUSTOM_GUARDS_MAX, GuardSet};
use rollback_core::journal::Opening;
use rollback_core::known_good::{Candidates, Skip};
use rollback_core::named::resolve;
use rollback_core::observed::{Acceptance, Facts, InProgress, Live, OperationKind, ServiceRecord};
use rollback_core::ports::{
    CommandError, ErrorKind, NotifyError, PortError, StartError, StoreError,
};
use rollback_core::proof::Confirmation;
use rollback_core::{
    Audience, Conflict, Effect, Event, Fact, GuardName, Health, Observation, Pair, Phase, Plan,
    Presence, Progress, Purpose, Reason, Receipt, RevisionStatus, Rollback, ServiceName,
    Settlement, Sighting, Timestamp,
};
use rollback_testkit::fixtures::{self, Person, at, parsed};
use std::collections::BTreeSet;
use std::time::Duration;

type Told = (u64, Event);

/// A page of sentences under headings, each with what it was said about.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn heading(&mut self, heading: &str) {
        writeln!(self.text, "\n== {heading}").unwrap();
    }

    fn say(&mut self, about: &str, sentence: impl core::fmt::Display) {
        let sentence = sentence.to_string();
        assert!(!sentence.is_empty(), "no words for: {about}");
        assert!(!sentence.ends_with('.'), "a full stop: {sentence}");
        writeln!(self.text, "{about}\n    {}", sentence.replace('\n', "\n    ")).unwrap();
    }

    fn page(self) -> String {
        self.text
    }
}

/// What came of the last event: where it stands in words, what somebody was told, and what the
/// record says.
struct Said {
    explanation: String,
    privately: Vec<String>,
    recorded: Vec<String>,
    decisions: Vec<String>,
}

fn tell(opening: Opening, events: impl IntoIterator<Item = Told>) -> Said {
    let mut last = Rollback::open(opening);
    for (seconds, event) in events {
        last = last.rollback.step(at(seconds), event);
    }
    let privately = last.effects.iter().filter_map(|effect| {
        let Effect::Tell(Audience::Privately { text, .. }) = effect else { return None };
        Some(text.clone())
    });
    Said {
        explanation: last.rollback.view().explanation,
        privately: privately.collect(),
        recorded: last.drafts.iter().filter_map(|draft| draft.explanation.clone()).collect(),
        decisions: last
            .drafts
            .iter()
            .filter_map(|d| Some(d.decision.as_ref()?.to_string()))
            .collect(),
    }
}

fn clicked() -> Opening {
    fixtures::clicked_by(&fixtures::ana(), fixtures::policy())
}

fn four_eyes() -> Opening {
    fixtures::clicked_by(&fixtures::ana(), fixtures::policy_with_approvals(1))
}

fn drill() -> Opening {
    let mut opening = clicked();
    opening.purpose = Purpose::Drill;
    opening
}

fn directory(standing: Standing) -> Told {
    (1, Event::StandingObserved(Box::new(standing)))
}

fn phase(phase: Phase, message: Option<&str>) -> Event {
    let mut progress = Progress::new(phase);
    progress.message = message.map(Into::into);
    Event::ProgressObserved(Box::new(progress))
}

/// A good rollback by Ana, event by event.
fn good() -> Vec<Told> {
    let ana = fixtures::ana();
    vec![
        directory(ana.standing(at(1))),
        (2, fixtures::observed(at(2))),
        (9, ana.confirmed(at(9))),
        (10, fixtures::observed(at(10))),
        (11, Event::IntentRecorded),
        (12, Event::TriggerAccepted(Receipt::new("execution-1"))),
        (15, phase(Phase::Complete, None)),
    ]
}

/// How many events of [`good`] lead to these states.
const CONFIRMING: usize = 2;
const APPROVING: usize = 3;
const CHECKING: usize = 3;
const RECORDING: usize = 4;
const TRIGGERING: usize = 5;
const RUNNING: usize = 6;
const VERIFYING: usize = 7;

/// The first events of a good rollback, then these.
fn after(opening: Opening, count: usize, more: impl IntoIterator<Item = Told>) -> Said {
    tell(opening, good().into_iter().take(count).chain(more))
}

fn observed(seconds: u64, requester: Standing) -> Told {
    let observation = Observation::new(fixtures::facts(at(seconds)), requester);
    (seconds, Event::FactsObserved(Box::new(observation)))
}

fn blind(seconds: u64) -> Told {
    let facts = Facts::unknown("the CD did not answer within 10 s");
    let requester = fixtures::ana().standing(at(seconds));
    (seconds, Event::FactsObserved(Box::new(Observation::new(facts, requester))))
}

fn in_doubt() -> Told {
    (12, Event::TriggerInDoubt("no answer within 10 s".into()))
}

fn doubt_remained() -> Told {
    (13, Event::DoubtRemained("the CD cannot fence".into()))
}

fn settled_by(person: &Person) -> Told {
    let finding = Reason::parse("it runs 41, seen in the dashboard").unwrap();
    let settlement = Settlement::new(person.actor(), person.standing(at(960)), finding);
    (960, Event::Settled(Box::new(settlement)))
}

fn look(seconds: u64, live: Fact<Live>, health: Fact<Health>) -> Told {
    (seconds, Event::OutcomeObserved(Box::new(Sighting::new(live, health))))
}

/// What each state says while it waits.
fn waits(page: &mut Page) {
    page.heading("where it stands");
    page.say("proposed", tell(fixtures::proposed(fixtures::policy()), []).explanation);
    for (about, count) in [
        ("the guards are read", 1),
        ("to be confirmed", CONFIRMING),
        ("checking", CHECKING),
        ("recording", RECORDING),
        ("triggering", TRIGGERING),
        ("running", RUNNING),
        ("verifying", VERIFYING),
    ] {
        page.say(about, after(clicked(), count, []).explanation);
    }
    page.say("approving", after(four_eyes(), APPROVING, []).explanation);
    page.say("in doubt", after(clicked(), TRIGGERING, [in_doubt()]).explanation);
    let remains = [in_doubt(), doubt_remained()];
    page.say("in doubt without a fence", after(clicked(), TRIGGERING, remains).explanation);
    let for_long = [in_doubt(), (912, Event::DeadlineReached)];
    page.say("in doubt for long", after(clicked(), TRIGGERING, for_long).explanation);
    let unseen = || (100, Event::ExecutionUnseen("no answer within 10 s".into()));
    page.say("silent", after(clicked(), RUNNING, [unseen()]).explanation);
    let again = [unseen(), (200, phase(Phase::Started, None))];
    page.say("it answers again", after(clicked(), RUNNING, again).explanation);
    let late = [(1_812, Event::DeadlineReached)];
    page.say("running late", after(clicked(), RUNNING, late).explanation);
    for (about, told) in [("failed", Phase::Failed), ("cancelled", Phase::Cancelled)] {
        page.say(about, after(clicked(), RUNNING, [(15, phase(told, None))]).explanation);
    }
    page.say("a drill asks", after(drill(), TRIGGERING, []).explanation);
}

/// How a rollback ends before an order is given.
fn ends_before_the_order(page: &mut Page) {
    page.heading("how it ends before the order");
    let deadline = |seconds| (seconds, Event::DeadlineReached);
    let ana = fixtures::ana();
    let gone = fixtures::ana().as_account(Account::Deactivated);
    let withdrawn = |seconds| (seconds, Event::WithdrawalGiven(ana.said(at(seconds))));
    let proposed = || fixtures::proposed(fixtures::policy());
    let conflict = |live| {
        let conflict = Conflict::new(live, "the live revision is not the expected one");
        (12, Event::TriggerConflicted(Box::new(conflict)))
    };
    for (about, said) in [
        ("nobody clicked", tell(proposed(), [deadline(86_400)])),
        ("nobody confirmed", after(clicked(), CONFIRMING, [deadline(700)])),
        ("nobody approved", after(four_eyes(), APPROVING, [deadline(2_000)])),
        ("stopped by the requester", after(clicked(), CHECKING, [withdrawn(10)])),
        (
            "rejected",
            after(
                four_eyes(),
                APPROVING,
                [(10, Event::RejectionGiven(fixtures::bo().said(at(10))))],
            ),
        ),
        ("the facts are not known at the click", after(clicked(), 1, [blind(2)])),
        (
            "another one was first",
            after(clicked(), CONFIRMING, [(3, Event::SlotTaken(parsed("rb-0")))]),
        ),
        ("the facts did not come", after(clicked(), CHECKING, [deadline(100)])),
        ("may no longer", after(clicked(), CHECKING, [observed(10, gone.standing(at(10)))])),
        (
            "the record was not taken",
            after(
                clicked(),
                RECORDING,
                [(11, Event::IntentNotRecorded("the disk is full".into()))],
            ),
        ),
        ("the record took too long", after(clicked(), RECORDING, [(42, Event::IntentRecorded)])),
        ("the record did not come", after(clicked(), RECORDING, [deadline(100)])),
        (
            "the CD system refused",
            after(clicked(), TRIGGERING, [(12, Event::TriggerRefused("maintenance".into()))]),
        ),
        (
            "live has moved",
            after(clicked(), TRIGGERING, [conflict(Some(fixtures::reference("43")))]),
        ),
        (
            "live has moved, and it is not said where",
            after(clicked(), TRIGGERING, [conflict(None)]),
        ),
    ] {
        page.say(about, said.explanation);
    }
    let pair = Pair::new(parsed("42"), parsed("40"));
    let stale = Confirmation::new(ana.actor(), ana.standing(at(9)), fixtures::reason(), pair);
    let stale = (9, Event::ConfirmationGiven(Box::new(stale)));
    page.say("another pair was shown", after(clicked(), CONFIRMING, [stale]).explanation);
}

/// How a rollback ends after an order was given.
fn ends_after_the_order(page: &mut Page) {
    page.heading("how it ends after the order");
    let deadline = |seconds| (seconds, Event::DeadlineReached);
    let told = |told, message| (15, phase(told, message));
    let absent = (13, Event::OrderAbsent);
    let found = (940, Event::OrderFound(Receipt::new("execution-1")));
    let rehearsed = |answer| after(drill(), TRIGGERING, [(12, Event::Rehearsed(answer))]);
    let rejected = Acceptance::Rejected("no quota".into());
    let seen = |live: Option<&str>| {
        let live = live.map(|id| Live::running(fixtures::reference(id)));
        let seen_at = |seconds| match &live {
            Some(live) => Fact::known(live.clone(), at(seconds)),
            None => Fact::unknown("the CD did not answer"),
        };
        [16, 22].map(|seconds| look(seconds, seen_at(seconds), Fact::unknown("nobody looked")))
    };
    let failed = |message, live| {
        let told = [told(Phase::Failed, message)].into_iter().chain(seen(live));
        after(clicked(), RUNNING, told.chain([deadline(80)]))
    };
    let cancelled = |live| {
        let told = [told(Phase::Cancelled, None)].into_iter().chain(seen(live));
        after(clicked(), RUNNING, told.chain([deadline(80)]))
    };
    let mut busy = Live::running(fixtures::reference("41"));
    busy.in_progress = Presence::Something(InProgress::new(OperationKind::Rollback));
    let half_way = look(16, Fact::known(busy, at(16)), Fact::unknown("nobody looked"));
    let remained = || [in_doubt(), doubt_remained(), deadline(912)].into_iter();
    let unseen = (100, Event::ExecutionUnseen("no answer within 10 s".into()));
    let silent = || [unseen.clone(), deadline(1_812)].into_iter();
    for (about, said) in [
        ("failed, and live after all", failed(Some("2 of 3 pods crashed"), Some("41"))),
        ("failed, and nothing changed", failed(None, Some("42"))),
        ("failed, and another one is live", failed(None, Some("43"))),
        ("failed, and nothing can be read", failed(None, None)),
        (
            "failed half-way",
            after(clicked(), RUNNING, [told(Phase::Failed, None), half_way, deadline(80)]),
        ),
        ("cancelled, and live after all", cancelled(Some("41"))),
        ("cancelled, and nothing changed", cancelled(Some("42"))),
        ("cancelled, and nothing can be read", cancelled(None)),
        ("not executed", after(clicked(), TRIGGERING, [in_doubt(), absent])),
        ("doubt remained", after(clicked(), TRIGGERING, remained())),
        ("silent for ever", after(clicked(), RUNNING, silent())),
        (
            "silent, then complete",
            after(clicked(), RUNNING, silent().chain([(4_000, phase(Phase::Complete, None))])),
        ),
        (
            "silent, then at it",
            after(clicked(), RUNNING, silent().chain([(4_000, phase(Phase::Started, None))])),
        ),
        ("a late effect", after(clicked(), TRIGGERING, remained().chain([found]))),
        ("settled", after(clicked(), TRIGGERING, remained().chain([settled_by(&fixtures::bo())]))),
        ("a drill that would have worked", rehearsed(Fact::known(Acceptance::Accepted, at(12)))),
        ("a drill that would not", rehearsed(Fact::known(rejected, at(12)))),
        ("a drill without an answer", rehearsed(Fact::unknown("no answer within 10 s"))),
        ("a drill that waits in vain", after(drill(), TRIGGERING, [deadline(2_000)])),
    ] {
        page.say(about, said.explanation);
    }
}

/// What was seen instead of the target being live and healthy.
fn looks_at_the_result(page: &mut Page) {
    page.heading("what is seen of the result");
    let healthy = |seconds| Fact::known(Health::Healthy, at(seconds));
    let live = |id| Fact::known(Live::running(fixtures::reference(id)), at(16));
    let mut busy = Live::running(fixtures::reference("41"));
    busy.in_progress = Presence::Something(InProgress::new(OperationKind::Deploy));
    let sick = Fact::known(Health::Unhealthy("HTTP 500".into()), at(16));
    let stale = Fact::known(Live::running(fixtures::reference("41")), at(0));
    for (about, seconds, live, health) in [
        ("nothing was seen", 0, live("41"), healthy(16)),
        ("not long enough", 16, live("41"), healthy(16)),
        ("still the old one", 16, live("42"), healthy(16)),
        ("nothing at all", 16, Fact::known(Live::default(), at(16)), healthy(16)),
        ("an operation runs", 16, Fact::known(busy, at(16)), healthy(16)),
        ("not healthy", 16, live("41"), sick),
        ("health is not known", 16, live("41"), Fact::unknown("the check did not answer")),
        ("live is not known", 16, Fact::unknown("the CD did not answer"), healthy(16)),
        ("seen too long ago", 60, stale, healthy(60)),
    ] {
        let seen = (seconds > 0).then(|| look(seconds, live, health));
        let events = seen.into_iter().chain([(400, Event::DeadlineReached)]);
        page.say(about, after(clicked(), VERIFYING, events).explanation);
    }
    let other = look(16, live("43"), healthy(16));
    page.say("another one", after(clicked(), VERIFYING, [other]).explanation);
    let twice = [16, 22].map(|seconds| {
        let live = Fact::known(Live::running(fixtures::reference("41")), at(seconds));
        look(seconds, live, healthy(seconds))
    });
    page.say("good", after(clicked(), VERIFYING, twice).explanation);
}

/// Why somebody is turned away: what they are told, and what the record says.
fn denials(page: &mut Page) {
    page.heading("why somebody may not ask for it");
    let strange = fixtures::eve().as_account(Account::Stranger);
    let click = |person: &Person, standing: Standing| {
        tell(fixtures::clicked_by(person, fixtures::policy()), [directory(standing)])
    };
    let mut unowned = AccessPolicy::default();
    unowned.workspaces.insert(fixtures::home());
    let mut policy = fixtures::policy();
    policy.access = unowned.for_service(&fixtures::key());
    let nobody = fixtures::clicked_by(&fixtures::ana(), policy);
    let ana = fixtures::ana();
    let silent = Standing::unknown("the directory did not answer within 10 s");
    let old = Timestamp::from_millis(at(0).as_millis() - 3_600_000);
    let no_groups = ana.standing_in(&[], at(1));
    for (about, said) in [
        ("a guest", click(&fixtures::guest(), fixtures::guest().standing(at(1)))),
        ("a bot", click(&fixtures::bot(), fixtures::bot().standing(at(1)))),
        ("switched off", click(&fixtures::gone(), fixtures::gone().standing(at(1)))),
        ("another organization's", click(&strange, strange.standing(at(1)))),
        ("another workspace", click(&fixtures::stranger(), fixtures::stranger().standing(at(1)))),
        ("named by no rule", click(&fixtures::eve(), fixtures::eve().standing(at(1)))),
        ("denied by a rule", click(&fixtures::dan(), fixtures::dan().standing(at(1)))),
        ("nobody may", tell(nobody, [directory(ana.standing(at(1)))])),
        ("the directory is silent", click(&ana, silent)),
        ("the directory's answer is old", click(&ana, ana.standing(old))),
        ("nobody asked about the groups", click(&ana, no_groups)),
        ("no answer came", tell(clicked(), [(100, Event::DeadlineReached)])),
    ] {
        assert_eq!(said.privately, said.recorded, "{about}");
        page.say(about, said.privately.concat());
        page.say("  in the record", said.decisions.concat());
    }
    let allowed = click(&ana, ana.standing(at(1)));
    page.say("  in the record, of somebody who may", allowed.decisions.concat());

    page.heading("why somebody may not do something else to it");
    let (eve, at_ten) = (fixtures::eve(), || fixtures::eve().said(at(10)));
    let unknown = rollback_core::Said::new(
        fixtures::bo().actor(),
        Standing::unknown("the directory did not answer within 10 s"),
    );
    let somebody_else = fixtures::bo().confirmed(at(9));
    for (about, said) in [
        ("confirm somebody else's", after(clicked(), CONFIRMING, [(9, somebody_else)])),
        (
            "approve one's own",
            after(four_eyes(), APPROVING, [(10, Event::ApprovalGiven(ana.said(at(10))))]),
        ),
        ("approve", after(four_eyes(), APPROVING, [(10, Event::ApprovalGiven(at_ten()))])),
        (
            "approve, perhaps",
            after(four_eyes(), APPROVING, [(10, Event::ApprovalGiven(Box::new(unknown)))]),
        ),
        ("stop", after(clicked(), CHECKING, [(10, Event::WithdrawalGiven(at_ten()))])),
        (
            "stop too late",
            after(clicked(), TRIGGERING, [(12, Event::WithdrawalGiven(ana.said(at(12))))]),
        ),
        (
            "settle",
            after(
                clicked(),
                TRIGGERING,
                [in_doubt(), doubt_remained(), (912, Event::DeadlineReached), settled_by(&eve)],
            ),
        ),
    ] {
        page.say(about, said.privately.concat());
    }
}

/// What else the audit record says in words.
fn records(page: &mut Page) {
    page.heading("in the record");
    let ana = fixtures::ana();
    let cancel = (14, Event::WithdrawalGiven(ana.said(at(14))));
    let started = (13, phase(Phase::Started, None));
    let answered = |answer| after(clicked(), RUNNING, [cancel.clone(), (15, answer)]);
    let checked = (13, phase(Phase::HealthChecking, Some("2 of 3 pods")));
    for (about, said) in [
        ("a proposal", tell(fixtures::proposed(fixtures::policy()), [])),
        ("every guard passed", after(clicked(), RECORDING, [])),
        ("accepted", after(clicked(), RUNNING, [])),
        ("started", after(clicked(), RUNNING, [started])),
        ("a phase with words", after(clicked(), RUNNING, [checked])),
        ("will cancel", answered(Event::CancellationAccepted)),
        ("will not cancel", answered(Event::CancellationRefused)),
        ("asked to cancel", after(clicked(), RUNNING, [cancel.clone()])),
        ("complete", after(clicked(), VERIFYING, [])),
    ] {
        page.say(about, said.recorded.concat());
    }
    let proposed = tell(fixtures::proposed(fixtures::policy()), []);
    page.say("who proposed it", proposed.decisions.concat());
}

/// Why a revision is not a target, and why one was chosen or none.
fn choices(page: &mut Page) {
    page.heading("why a revision is not a target");
    let (revision, migration) = (parsed("42"), "20261121_drop_col".into());
    let soak = Duration::from_secs(600);
    for skip in [
        Skip::Live,
        Skip::SameAsLive,
        Skip::NotSucceeded(RevisionStatus::Failed),
        Skip::NotSucceeded(RevisionStatus::Unknown),
        Skip::NotSoaked { live_for: Duration::from_secs(59), soak },
        Skip::SoakUnknown,
        Skip::MarkedBad("lost orders".into()),
        Skip::RolledBackFrom,
        Skip::NotRestorable,
        Skip::RestorableUnknown,
        Skip::MigrationIrreversible { revision, migration },
        Skip::MigrationUnknown { revision: parsed("42") },
    ] {
        let name = serde_json::to_value(&skip).unwrap();
        let name = name.as_str().map(str::to_owned);
        let name = name.unwrap_or_else(|| {
            serde_json::to_value(&skip).unwrap().as_object().unwrap().keys().next().unwrap().clone()
        });
        page.say(&name, skip);
    }
    page.heading("why this target, or none");
    let record = ServiceRecord::default();
    let mut history = fixtures::history();
    let choose = |history: &[rollback_core::Revision]| {
        Candidates::new(history, &parsed("42"), &record, Duration::ZERO, at(0)).choose().why
    };
    page.say("chosen", choose(&history));
    page.say("not in the history", choose(history.get(1..).unwrap()));
    page.say("the first", choose(history.get(..1).unwrap()));
    history.iter_mut().for_each(|revision| revision.status = RevisionStatus::Failed);
    page.say("none is good", choose(&history));
}

/// Errors that an adapter, a store or a command gives back.
fn names(page: &mut Page) {
    page.heading("why a name does not say which revision");
    let mut again = fixtures::revision("42@b", "2.14.0", at(0));
    again.call(parsed("42"), Some(at(0)));
    again.call(parsed("7"), None);
    let mut twin = fixtures::revision("41@a", "2.13.4", at(0));
    twin.call(parsed("41"), Some(at(0)));
    twin.call(parsed("42"), Some(at(0)));
    let (one, both) = ([again.clone()], [again, twin]);
    let mut say = |about: &str, name: &str, when: Option<u64>, history: &[_]| {
        let when = when.map(|ago| Timestamp::from_millis(at(0).as_millis() - ago * 1_000));
        page.say(about, resolve(&parsed(name), when, history, None).unwrap_err());
    };
    say("there is none", "40", None, &[]);
    say("another one", "40", None, &both);
    say("two", "42", None, &both);
    say("given again", "42", Some(600), &one);
    say("since when is not known", "7", Some(600), &one);
}

fn errors_of_ports(page: &mut Page) {
    page.heading("errors of systems, and of commands");
    let why = || "the connection was reset".to_owned();
    page.say(
        "port",
        PortError::new(ErrorKind::Retry(None), "helm", "read the history", "no answer within 10 s"),
    );
    page.say("start refused", StartError::Refused { why: "maintenance".into() });
    page.say("start conflict", StartError::Conflict { live: None, why: "43 is live".into() });
    page.say("start in doubt", StartError::InDoubt { why: why() });
    page.say("notify not yet", NotifyError::NotYet { after: Duration::from_secs(1) });
    page.say("notify failed", NotifyError::Retry { after: None, why: why() });
    page.say("notify in doubt", NotifyError::InDoubt { why: why() });
    page.say("notify blocked", NotifyError::Blocked { why: "the channel is archived".into() });
    page.say("notify rejected", NotifyError::Rejected { why: "Slack does not take it".into() });
    page.say("store moved on", StoreError::MovedOn(parsed("rb-1")));
    page.say("store held", StoreError::ServiceHeld(parsed("rb-0")));
    page.say("store claim lost", StoreError::ClaimLost(parsed("rb-1")));
    page.say("store unavailable", StoreError::Unavailable("the disk is full".into()));
    page.say("store went back", StoreError::WentBack("it has 7 records and had 9".into()));
    page.say("store in doubt", StoreError::InDoubt(why()));
    page.say(
        "store corrupt",
        StoreError::Corrupt { what: "rb-1".into(), problem: "entry 3 is not JSON".into() },
    );
    page.say("command, unknown", CommandError::NotFound("rb-9".into()));
    page.say("command, too often", CommandError::TooOften(40));
    page.say("command, not admitting", CommandError::NotAdmitting);
    page.say("command, no target", CommandError::NoTarget("there is nothing to go back to".into()));
    page.say("command, service", CommandError::NotConfigured(fixtures::key()));
    page.say("command, store", CommandError::NotRecorded("the disk is full".into()));
    page.say("command, stopping", CommandError::Stopping);
}

/// Errors about what somebody wrote, and about a chain of records.
fn errors_of_input(page: &mut Page) {
    page.heading("errors about input");
    page.say("an empty name", ServiceName::parse("").unwrap_err());
    page.say("a long name", ServiceName::parse("x".repeat(256)).unwrap_err());
    page.say("a bad name", ServiceName::parse("a/b").unwrap_err());
    page.say("no reason", Reason::parse(" ").unwrap_err());
    page.say("a long reason", Reason::parse("x".repeat(3_001)).unwrap_err());
    page.say("no time", Timestamp::parse("yesterday").unwrap_err());
    page.say("two stars", Pattern::parse("*-*").unwrap_err());
    page.say("no pattern", Pattern::parse("a/*").unwrap_err());
    let live = fixtures::reference("42");
    page.say("no plan", Plan::new(fixtures::key(), live.clone(), live).unwrap_err());
    let names: BTreeSet<GuardName> =
        (0..=CUSTOM_GUARDS_MAX).map(|number| parsed(&format!("budget-{number}"))).collect();
    page.say("many guards", GuardSet::with(names).unwrap_err());
    page.say("a taken name", GuardSet::with(BTreeSet::from([parsed("freeze")])).unwrap_err());
    page.heading("what is wrong with a chain");
    page.say("no hash", Hash::parse("x").unwrap_err());
    page.say("no place", rollback_core::audit::Sequence::try_from(0).unwrap_err());
    let (expected, found) = (Hash::of(b"expected"), Hash::of(b"found"));
    for (about, error) in [
        ("unwritable", ChainError::Unwritable("a number is not finite".into())),
        ("not canonical", ChainError::NotCanonical { sequence: 3, problem: "spaces".into() }),
        ("gap", ChainError::Gap { expected: 3, found: 4 }),
        ("full", ChainError::Full),
        ("broken", ChainError::Broken { sequence: 3, expected, found }),
        ("edited", ChainError::Edited { sequence: 3, expected, found }),
        (
            "foreign",
            ChainError::Foreign { sequence: 3, expected: "ours".into(), found: "theirs".into() },
        ),
    ] {
        page.say(about, error);
    }
}

#[test]
fn the_phrase_book_reads_well() {
    let mut page = Page::default();
    waits(&mut page);
    denials(&mut page);
    ends_before_the_order(&mut page);
    ends_after_the_order(&mut page);
    looks_at_the_result(&mut page);
    records(&mut page);
    choices(&mut page);
    names(&mut page);
    errors_of_ports(&mut page);
    errors_of_input(&mut page);
    insta::assert_snapshot!("phrase_book", page.page());
}
