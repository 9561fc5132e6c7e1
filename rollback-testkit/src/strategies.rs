//! Proptest strategies for policies, standings, facts, histories and events, small enough that
//! their parts meet: few names, few groups, few revisions. All names are those of
//! [`fixtures`]: they test this library. A host tests its own policy with
//! [`policy::check`](crate::policy::check).

use crate::fixtures::{self, Person, parsed};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use rollback_core::access::{AccessPolicy, Account, Pattern, Principal, Rule, Standing};
use rollback_core::observed::{
    Acceptance, Facts, Freeze, InProgress, LastRollback, LatestDeploy, Live, OperationKind,
    Preflight, ServiceRecord,
};
use rollback_core::proof::Confirmation;
use rollback_core::{
    Conflict, Event, Fact, GroupId, Health, Migration, Migrations, Observation, Pair, Phase,
    Presence, Progress, Receipt, Restorable, Reversible, Revision, RevisionStatus, Said,
    ServiceKey, Settlement, Sighting, Timestamp,
};
use std::boxed::Box;

/// A moment within an hour of [`fixtures::at`]`(0)`, before or after.
pub fn moment() -> impl Strategy<Value = Timestamp> {
    (0_u64..7_200).prop_map(|seconds| {
        let hour_before = fixtures::at(0).as_millis() - 3_600_000;
        Timestamp::from_millis(hour_before + seconds * 1_000)
    })
}

/// A fact: known now, known at another moment, or unknown.
pub fn fact<T: core::fmt::Debug + Clone>(
    value: impl Strategy<Value = T>,
    now: Timestamp,
) -> impl Strategy<Value = Fact<T>> {
    (value, moment(), 0_u8..8).prop_map(move |(value, other, how)| match how {
        0 => Fact::unknown("the source did not answer"),
        1 => Fact::known(value, other),
        _ => Fact::known(value, now),
    })
}

/// One of the three groups of the fixtures.
pub fn group() -> impl Strategy<Value = GroupId> {
    prop_oneof![Just(fixtures::payments()), Just(fixtures::incident()), Just(fixtures::suspended())]
}

/// Somebody of the fixtures, or a stranger made up of the same parts.
pub fn person() -> impl Strategy<Value = Person> {
    let made_up = (0_u8..6, btree_set(group(), 0..3), account(), any::<bool>()).prop_map(
        |(number, groups, account, ours)| {
            let mut person = Person::new(&format!("U9{number}"), "Somebody")
                .in_groups(groups)
                .as_account(account);
            if !ours {
                person.workspace = parsed("T0OTHER");
            }
            person
        },
    );
    prop_oneof![prop::sample::select(fixtures::everybody()), made_up]
}

/// A kind of account.
pub fn account() -> impl Strategy<Value = Account> {
    prop_oneof![
        4 => Just(Account::Member),
        1 => Just(Account::Guest),
        1 => Just(Account::Stranger),
        1 => Just(Account::Bot),
        1 => Just(Account::Deactivated),
    ]
}

/// What a directory may say about somebody, the truth or not.
pub fn standing(person: &Person, now: Timestamp) -> BoxedStrategy<Standing> {
    let (truth, user) = (person.standing(now), person.id());
    let profile = truth.profile.value().cloned();
    let profile = fact(Just(profile), now).prop_map(|fact| match fact {
        Fact::Known { value: Some(profile), observed_at } => Fact::known(profile, observed_at),
        Fact::Known { value: None, .. } => Fact::unknown("nobody of that name"),
        Fact::Unknown { why } => Fact::Unknown { why },
    });
    let groups = btree_map(group(), fact(any::<bool>(), now), 0..=3);
    prop_oneof![
        2 => Just(truth),
        1 => (profile, groups)
            .prop_map(move |(profile, groups)| Standing::new(profile, groups).about(user.clone())),
    ]
    .boxed()
}

/// A user or a group that a rule may name.
pub fn principal() -> impl Strategy<Value = Principal> {
    prop_oneof![
        person().prop_map(|person| Principal::User(person.id())),
        group().prop_map(Principal::Group),
    ]
}

/// A pattern, as a configuration writes it.
pub fn pattern() -> impl Strategy<Value = Pattern> {
    prop_oneof![
        3 => Just("checkout"),
        1 => Just("production"),
        1 => Just("*"),
        1 => Just("check*"),
        1 => Just("*tion"),
        1 => Just("pay*"),
        1 => Just("c*t"),
        1 => Just("*-eu"),
    ]
    .prop_map(parse_pattern)
}

fn parse_pattern(text: &str) -> Pattern {
    Pattern::parse(text).expect("a fixture's pattern is well formed")
}

/// A rule.
pub fn rule() -> impl Strategy<Value = Rule> {
    (0_u8..100, pattern(), pattern(), vec(principal(), 0..4)).prop_map(
        |(number, services, environments, principals)| {
            Rule::new(format!("rule {number}"), services, environments, principals)
        },
    )
}

/// An organization's rules.
pub fn access_policy() -> impl Strategy<Value = AccessPolicy> {
    let workspaces = btree_set(prop_oneof![Just("T0HOME"), Just("T0OTHER")], 0..=2);
    let rules = || vec(rule(), 0..4);
    (workspaces, rules(), rules(), rules(), vec(principal(), 0..3)).prop_map(
        |(workspaces, owners, approvers, denied, break_glass)| {
            let mut access = AccessPolicy::default();
            access.workspaces = workspaces.into_iter().map(parsed).collect();
            access.owners = owners;
            access.approvers = approvers;
            access.denied = denied;
            access.break_glass = break_glass;
            access
        },
    )
}

/// A service in an environment, of few.
pub fn key() -> impl Strategy<Value = ServiceKey> {
    let service = prop::sample::select(vec!["checkout", "pay-eu", "cart", "c"]);
    let environment = prop::sample::select(vec!["production", "staging"]);
    (service, environment)
        .prop_map(|(service, environment)| ServiceKey::new(parsed(service), parsed(environment)))
}

fn migrations() -> impl Strategy<Value = Migrations> {
    let reversible = prop_oneof![4 => Just(Reversible::Yes), 1 => Just(Reversible::No), 1 => Just(Reversible::Unknown)];
    let migration = reversible.prop_map(|reversible| Migration::new("20261121_add", reversible));
    prop_oneof![
        4 => Just(Migrations::Known(Vec::new())),
        2 => vec(migration, 1..3).prop_map(Migrations::Known),
        1 => Just(Migrations::Unknown),
    ]
}

fn status() -> impl Strategy<Value = RevisionStatus> {
    prop_oneof![
        5 => Just(RevisionStatus::Succeeded),
        2 => Just(RevisionStatus::Superseded),
        1 => Just(RevisionStatus::Failed),
        1 => Just(RevisionStatus::Unknown),
    ]
}

fn restorable() -> impl Strategy<Value = Restorable> {
    prop_oneof![6 => Just(Restorable::Yes), 1 => Just(Restorable::No), 1 => Just(Restorable::Unknown)]
}

/// A deploy history, newest first, of at most eight revisions with the ids `42` and down.
pub fn history() -> impl Strategy<Value = Vec<Revision>> {
    let one = (
        status(),
        restorable(),
        migrations(),
        option::weighted(0.9, 1_u64..1_200),
        option::weighted(0.1, 35_u8..42),
    );
    vec(one, 0..8).prop_map(|rows| {
        let mut at = fixtures::at(0).as_millis();
        let rows = rows.into_iter().enumerate().map(|(place, row)| {
            let (status, restorable, migrations, live_for, restores) = row;
            let id = format!("{}", 42_usize.saturating_sub(place));
            let mut revision = Revision::new(parsed(&id));
            at = at.saturating_sub(live_for.unwrap_or(60) * 1_000);
            revision.deployed_at = live_for.map(|_| Timestamp::from_millis(at));
            revision.version = Some(format!("2.{id}.0").into());
            revision.status = status;
            revision.restorable = restorable;
            revision.migrations = migrations;
            revision.restores = restores.map(|id| parsed(&id.to_string()));
            revision
        });
        rows.collect()
    })
}

fn revision_id() -> impl Strategy<Value = rollback_core::RevisionId> {
    (35_u8..44).prop_map(|id| parsed(&id.to_string()))
}

/// Nothing most of the time, something, or nobody can tell.
pub fn presence<T: core::fmt::Debug + Clone>(
    something: impl Strategy<Value = T>,
) -> impl Strategy<Value = Presence<T>> {
    (something, 0_u8..16).prop_map(|(something, how)| match how {
        0 => Presence::Something(something),
        1 => Presence::cannot_tell("it does not say"),
        _ => Presence::Nothing,
    })
}

/// What is live: `42` most of the time.
pub fn live() -> impl Strategy<Value = Live> {
    let revision =
        prop_oneof![6 => Just(Some(42_u8)), 3 => (38_u8..44).prop_map(Some), 1 => Just(None)];
    let operation = presence(
        prop_oneof![Just(OperationKind::Deploy), Just(OperationKind::Rollback)]
            .prop_map(InProgress::new),
    );
    (revision, operation).prop_map(|(revision, operation)| {
        let mut live = Live::default();
        live.revision = revision.map(|id| fixtures::reference(&id.to_string()));
        live.in_progress = operation;
        live
    })
}

/// What we know of a service ourselves.
pub fn record() -> impl Strategy<Value = ServiceRecord> {
    let other = || option::weighted(0.1, prop_oneof![Just("rb-0"), Just("rb-1")]);
    (
        other(),
        option::weighted(0.2, moment()),
        btree_set(revision_id(), 0..2),
        btree_map(revision_id(), Just("lost orders".into()), 0..2),
        option::weighted(0.2, (option::of(revision_id()), moment())),
    )
        .prop_map(|(in_flight, last, rolled_back_from, marked_bad, latest)| {
            let mut record = ServiceRecord::default();
            record.in_flight = in_flight.map(parsed);
            record.last_rollback = last.map(|at| LastRollback::new(parsed("rb-0"), at));
            record.rolled_back_from = rolled_back_from;
            record.marked_bad = marked_bad;
            record.latest_deploy =
                latest.map(|(revision, at)| LatestDeploy::new(parsed("ci-1"), revision, at));
            record
        })
}

fn preflight() -> impl Strategy<Value = Preflight> {
    (any::<bool>(), presence(Just("auto-sync".to_owned()))).prop_map(|(accepted, undone_by)| {
        let mut preflight = Preflight::accepted();
        if !accepted {
            preflight.acceptance = Acceptance::Rejected("no quota".into());
        }
        preflight.undone_by = undone_by;
        preflight
    })
}

/// Facts, each known, stale, from the future, or unknown by itself.
pub fn facts(now: Timestamp) -> BoxedStrategy<Facts> {
    let freeze = (moment(), option::of(moment()))
        .prop_map(|(from, until)| Freeze::new("black friday", from, until));
    (
        fact(live(), now),
        fact(history(), now),
        fact(preflight(), now),
        fact(record(), now),
        fact(vec(freeze, 0..2), now),
    )
        .prop_map(|(live, history, preflight, record, freezes)| {
            let mut facts = Facts::unknown("nobody looked");
            facts.live = live;
            facts.history = history;
            facts.preflight = preflight;
            facts.record = record;
            facts.freezes = freezes;
            facts
        })
        .boxed()
}

/// Facts that pass half of the time, so that deep states are reached.
pub fn mostly_good_facts(now: Timestamp) -> impl Strategy<Value = Facts> {
    prop_oneof![Just(fixtures::facts(now)), facts(now)]
}

/// Any event, at `now`, with weights under which a rollback gets somewhere.
pub fn event(now: Timestamp) -> BoxedStrategy<Event> {
    prop_oneof![4 => from_people(now), 3 => from_sources(now), 4 => from_the_cd(now)].boxed()
}

fn from_people(now: Timestamp) -> BoxedStrategy<Event> {
    let said = move |person: Person| {
        standing(&person, now).prop_map(move |standing| Said::new(person.actor(), standing))
    };
    let pair = prop_oneof![
        5 => Just(fixtures::plan().pair()),
        1 => Just(Pair::new(parsed("42"), parsed("40"))),
    ];
    let asker = || prop_oneof![4 => Just(fixtures::ana()), 1 => person()];
    let confirmed = (asker().prop_flat_map(said), pair).prop_map(|(said, shown)| {
        Confirmation::new(said.actor, said.standing, fixtures::reason(), shown)
    });
    let settled = person()
        .prop_flat_map(said)
        .prop_map(|said| Settlement::new(said.actor, said.standing, fixtures::reason()));
    prop_oneof![
        1 => asker().prop_map(|person| Event::Clicked(person.actor())),
        4 => confirmed.prop_map(|given| Event::ConfirmationGiven(Box::new(given))),
        2 => person().prop_flat_map(said).prop_map(|said| Event::ApprovalGiven(Box::new(said))),
        1 => person().prop_flat_map(said).prop_map(|said| Event::RejectionGiven(Box::new(said))),
        1 => person().prop_flat_map(said).prop_map(|said| Event::WithdrawalGiven(Box::new(said))),
        1 => settled.prop_map(|settlement| Event::Settled(Box::new(settlement))),
        1 => asker().prop_flat_map(said).prop_map(|said| Event::Released(Box::new(said))),
    ]
    .boxed()
}

fn from_sources(now: Timestamp) -> BoxedStrategy<Event> {
    let asker = || prop_oneof![4 => Just(fixtures::ana()), 1 => person()];
    let standing = move || asker().prop_flat_map(move |person| standing(&person, now));
    let observed = (mostly_good_facts(now), standing());
    prop_oneof![
        3 => standing().prop_map(|standing| Event::StandingObserved(Box::new(standing))),
        5 => observed.prop_map(move |(facts, requester)| {
            let approvers = fixtures::approvers(now);
            Event::FactsObserved(Box::new(Observation::new(facts, requester).and_of(approvers)))
        }),
        3 => Just(Event::IntentRecorded),
        1 => Just(Event::IntentNotRecorded("the disk is full".into())),
        1 => Just(Event::DeadlineReached),
        1 => Just(Event::SlotTaken(parsed("rb-0"))),
        1 => Just(Event::PutAside(3)),
    ]
    .boxed()
}

fn from_the_cd(now: Timestamp) -> BoxedStrategy<Event> {
    let receipt = || Receipt::new("execution-1");
    let phase = prop::sample::select(vec![
        Phase::Started,
        Phase::HealthChecking,
        Phase::Complete,
        Phase::Failed,
        Phase::Cancelled,
    ]);
    let health =
        prop_oneof![3 => Just(Health::Healthy), 1 => Just(Health::Unhealthy("HTTP 500".into()))];
    let at_target = || Live::running(fixtures::reference("41"));
    let live = prop_oneof![2 => Just(at_target()), 1 => live()];
    let sighting = (fact(live, now), fact(health, now));
    let acceptance =
        prop_oneof![Just(Acceptance::Accepted), Just(Acceptance::Rejected("no quota".into()))];
    prop_oneof![
        2 => Just(Event::TriggerAccepted(receipt())),
        1 => Just(Event::TriggerRefused("maintenance".into())),
        1 => Just(Event::TriggerConflicted(Box::new(Conflict::new(None, "live has moved")))),
        2 => Just(Event::TriggerInDoubt("no answer".into())),
        2 => Just(Event::OrderFound(receipt())),
        1 => Just(Event::OrderAbsent),
        1 => Just(Event::DoubtRemained("the CD cannot fence".into())),
        1 => fact(acceptance, now).prop_map(Event::Rehearsed),
        3 => phase.prop_map(|phase| Event::ProgressObserved(Box::new(Progress::new(phase)))),
        1 => Just(Event::ExecutionUnseen("no answer within 10 s".into())),
        1 => Just(Event::CancellationAccepted),
        1 => Just(Event::CancellationRefused),
        3 => sighting.prop_map(|(live, health)| {
            Event::OutcomeObserved(Box::new(Sighting::new(live, health)))
        }),
    ]
    .boxed()
}

/// A journal's worth of events, each some seconds after the one before it, whatever the state. Next to
/// none reach an order by themselves: [`policy::journeys`](crate::policy::journeys) do.
pub fn events(length_max: usize) -> impl Strategy<Value = Vec<(Timestamp, Event)>> {
    let gaps = vec(prop_oneof![8 => 0_u64..3, 1 => 3_u64..40, 1 => 40_u64..2_000], 0..=length_max);
    gaps.prop_flat_map(|gaps| {
        let mut seconds = 0;
        let moments: Vec<Timestamp> = gaps
            .into_iter()
            .map(|gap| {
                seconds += gap;
                fixtures::at(seconds)
            })
            .collect();
        moments
            .into_iter()
            .map(|at| event(at).prop_map(move |event| (at, event)))
            .collect::<Vec<_>>()
    })
}
