//! Stories: what happens, and what people then read, as scripts that need no Rust.
//!
//! Each file in `tests/stories` has commands, a line `----`, and the narration. `BLESS=1 cargo test
//! -p rollback-core --test it stories::` writes the narrations anew; read the difference before you
//! keep it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use rollback_core::access::{Account, Standing};
use rollback_core::guard::Verdict;
use rollback_core::journal::Opening;
use rollback_core::observed::{
    Acceptance, Facts, Freeze, InProgress, LastRollback, LatestDeploy, Live, OperationKind,
    Preflight,
};
use rollback_core::ports::Fence;
use rollback_core::proof::Confirmation;
use rollback_core::{
    Audience, Conflict, Disposition, Effect, Event, Fact, Health, Migration, Migrations,
    Observation, Pair, Phase, Presence, Progress, Purpose, Reason, Receipt, Restorable, Reversible,
    Rollback, Settlement, Sighting, Timestamp, Transition,
};
use rollback_testkit::fixtures::{self, Person, parsed};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

#[test]
fn every_story_reads_as_it_is_told() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stories");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 15, "stories are missing: {}", paths.len());
    let mut wrong = String::new();
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        let (script, expected) = text.split_once("----\n").unwrap_or((text.as_str(), ""));
        let told = tell(script);
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, format!("{script}----\n{told}")).unwrap();
        } else if told != expected {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            writeln!(wrong, "== {name}, expected:\n{expected}== told:\n{told}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn tell(script: &str) -> String {
    let mut story = Story { now: fixtures::at(0), rollback: None, text: String::new() };
    for line in script.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        writeln!(story.text, "> {line}").unwrap();
        story.command(line);
    }
    story.text
}

struct Story {
    now: Timestamp,
    rollback: Option<Rollback>,
    text: String,
}

impl Story {
    fn command(&mut self, line: &str) {
        let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
        if command == "open" {
            let transition = Rollback::open(self.opening(rest));
            self.narrate(transition);
            return;
        }
        if command == "wait" {
            let seconds: u64 = rest.trim_end_matches('s').parse().unwrap();
            self.now = self.now.after(Duration::from_secs(seconds));
            return;
        }
        let event = self.event(command, rest);
        let rollback = self.rollback.take().unwrap();
        self.narrate(rollback.step(self.now, event));
    }

    fn opening(&self, rest: &str) -> Opening {
        let mut words = rest.split(' ');
        let (how, mut policy) = (words.next().unwrap(), fixtures::policy());
        let (mut purpose, mut fence) = (Purpose::Real, Fence::Yes);
        for word in words {
            match word {
                "drill" => purpose = Purpose::Drill,
                "no-fence" => fence = Fence::No,
                "approvals=1" => policy.approvals_min = 1,
                "approvals=2" => policy.approvals_min = 2,
                "soak=10m" => policy.soak = Duration::from_secs(600),
                other => panic!("no such option: {other}"),
            }
        }
        let mut opening = match how {
            "proposal" => fixtures::proposed(policy),
            who => fixtures::clicked_by(&person(who), policy),
        };
        opening.purpose = purpose;
        opening.backend.fence = fence.as_str().into();
        opening.at = self.now;
        opening
    }

    fn event(&self, command: &str, rest: &str) -> Event {
        let now = self.now;
        let (first, more) = rest.split_once(' ').unwrap_or((rest, ""));
        let receipt = || Receipt::new("execution-1");
        match command {
            "click" => Event::Clicked(person(first).actor()),
            "directory" => Event::StandingObserved(Box::new(standing(first, more, now))),
            "facts" => {
                let requester = if more.is_empty() { "ana" } else { more };
                // What the directory says about whoever asked, should they be like that person now.
                let asked = self.rollback.as_ref().unwrap().requested_by().unwrap().id.clone();
                let standing = person(requester).standing(now).about(asked);
                let of = fixtures::approvers(now);
                let observed = Observation::new(facts(first, now), standing).and_of(of);
                Event::FactsObserved(Box::new(observed))
            }
            "confirm" => Event::ConfirmationGiven(Box::new(confirmation(first, more, now))),
            "approve" => Event::ApprovalGiven(person(first).said(now)),
            "reject" => Event::RejectionGiven(person(first).said(now)),
            "withdraw" => Event::WithdrawalGiven(person(first).said(now)),
            "taken" => Event::SlotTaken(parsed(first)),
            "recorded" => Event::IntentRecorded,
            "not-recorded" => Event::IntentNotRecorded(rest.into()),
            "accepted" => Event::TriggerAccepted(receipt()),
            "refused" => Event::TriggerRefused(rest.into()),
            "conflict" => Event::TriggerConflicted(Box::new(Conflict::new(
                Some(fixtures::reference(first)),
                more,
            ))),
            "doubt" => Event::TriggerInDoubt(rest.into()),
            "found" => Event::OrderFound(receipt()),
            "absent" => Event::OrderAbsent,
            "remains" => Event::DoubtRemained(rest.into()),
            "rehearsed" => Event::Rehearsed(match first {
                "yes" => Fact::known(Acceptance::Accepted, now),
                "no" => Fact::known(Acceptance::Rejected(more.into()), now),
                _ => Fact::unknown(rest),
            }),
            "progress" => Event::ProgressObserved(Box::new(progress(first, more))),
            "live" => Event::OutcomeObserved(Box::new(sighting(first, more, now))),
            "unseen" => Event::ExecutionUnseen(rest.into()),
            "will-cancel" => Event::CancellationAccepted,
            "will-not-cancel" => Event::CancellationRefused,
            "deadline" => Event::DeadlineReached,
            "settle" => {
                let person = person(first);
                let finding = Reason::parse(more).unwrap();
                let settlement = Settlement::new(person.actor(), person.standing(now), finding);
                Event::Settled(Box::new(settlement))
            }
            other => panic!("no such command: {other}"),
        }
    }

    fn narrate(&mut self, transition: Transition) {
        let Transition { rollback, effects, drafts, disposition, .. } = transition;
        let text = &mut self.text;
        match &disposition {
            Disposition::Applied => {}
            Disposition::Declined(why) => writeln!(text, "  declined: {why:?}").unwrap(),
            Disposition::Ignored(why) => writeln!(text, "  ignored: {why:?}").unwrap(),
        }
        let view = rollback.view();
        let held = if rollback.holds_service() { ", holding the service" } else { "" };
        writeln!(text, "  is {}{held}", view.state).unwrap();
        if !view.explanation.is_empty() {
            writeln!(text, "  \"{}\"", view.explanation.replace('\n', "\n   ")).unwrap();
        }
        if let (Some(report), false) = (rollback.report(), drafts.is_empty()) {
            for finding in report.obstacles() {
                let verdict = match finding.verdict {
                    Verdict::Pass => "passes",
                    Verdict::Block(_) => "blocks",
                    Verdict::Unknown(_) => "is unknown",
                };
                writeln!(text, "  guard {} {verdict}", finding.guard.name()).unwrap();
            }
        }
        for draft in drafts {
            let by = draft.actor.map_or_else(String::new, |actor| format!(" by {}", actor.id));
            let rule = draft.decision.map_or_else(String::new, |rule| format!(", {rule}"));
            writeln!(text, "  record {}{by}{rule}", draft.kind.as_str()).unwrap();
        }
        for effect in effects {
            writeln!(text, "  {}", effect_in_words(&effect)).unwrap();
        }
        self.rollback = Some(rollback);
    }
}

fn effect_in_words(effect: &Effect) -> String {
    match effect {
        Effect::ObserveStanding(user) => format!("ask the directory about {user}"),
        Effect::GatherFacts => "gather the facts".into(),
        Effect::RecordIntent => "record the intent".into(),
        Effect::Trigger(order) => {
            let pair = order.plan().pair();
            format!("ORDER {} from {} to {}", order.plan().key(), pair.from, pair.to)
        }
        Effect::Rehearse(_) => "ask the CD whether it would take the order".into(),
        Effect::Reconcile(_) => "find out what became of the order".into(),
        Effect::Observe(_, receipt) => format!("look at {}", receipt.execution),
        Effect::Cancel(_, receipt) => format!("cancel {}", receipt.execution),
        Effect::Verify(..) => "look at the result".into(),
        Effect::WatchForLateEffect(_) => "watch for a late effect".into(),
        Effect::Tell(Audience::Privately { to, text }) => {
            format!("tell {to}: \"{}\"", text.replace('\n', "\n   "))
        }
        Effect::Tell(Audience::Thread(line)) => {
            let line = serde_json::to_value(line).unwrap();
            let name = line.as_str().map_or_else(
                || line.as_object().unwrap().keys().next().unwrap().clone(),
                str::to_owned,
            );
            format!("tell the thread: {name}")
        }
        Effect::Tell(Audience::Channel) => "tell the channel".into(),
        Effect::Tell(Audience::Approvers) => "tell the approvers".into(),
        Effect::Tell(Audience::Deployer) => "tell the deployer".into(),
        Effect::Tell(Audience::OnCall) => "tell whoever is on call".into(),
        Effect::Tell(Audience::BreakGlass { by, duty }) => {
            format!("tell whoever is on call: {duty:?} of {} through break-glass", by.id)
        }
    }
}

fn person(name: &str) -> Person {
    match name {
        "ana" => fixtures::ana(),
        "ana-again" => fixtures::ana_again(),
        "bo" => fixtures::bo(),
        "cleo" => fixtures::cleo(),
        "dan" => fixtures::dan(),
        "eve" => fixtures::eve(),
        "finn" => fixtures::finn(),
        "guest" => fixtures::guest(),
        "stranger" => fixtures::stranger(),
        "bot" => fixtures::bot(),
        other => panic!("nobody is called {other}"),
    }
}

fn standing(name: &str, how: &str, now: Timestamp) -> Standing {
    let person = person(name);
    match how {
        "" => person.standing(now),
        "silent" => Standing::unknown("the directory did not answer within 10 s"),
        "deactivated" => person.as_account(Account::Deactivated).standing(now),
        other => panic!("no such standing: {other}"),
    }
}

fn confirmation(name: &str, pair: &str, now: Timestamp) -> Confirmation {
    let person = person(name);
    let shown = match pair.split_once(' ') {
        Some((from, to)) => Pair::new(parsed(from), parsed(to)),
        None => fixtures::plan().pair(),
    };
    Confirmation::new(person.actor(), person.standing(now), fixtures::reason(), shown)
}

fn facts(what: &str, now: Timestamp) -> Facts {
    let mut facts = fixtures::facts(now);
    let mut history = fixtures::history();
    let mut record = rollback_core::observed::ServiceRecord::default();
    match what {
        "good" => {}
        "newer-deploy" => {
            let newer = fixtures::revision("43", "2.15.0", now);
            facts.live = Fact::known(Live::running(newer.reference()), now);
            history.insert(0, newer);
        }
        "reported" => {
            let newer = Some(parsed("43"));
            record.latest_deploy = Some(LatestDeploy::new(parsed("ci-43"), newer, now));
        }
        "migration-unknown" => history[0].migrations = Migrations::Unknown,
        "irreversible" => {
            let drop = Migration::new("20261121_drop_col", Reversible::No);
            history[0].migrations = Migrations::Known(vec![drop]);
        }
        "pruned" => history[1].restorable = Restorable::No,
        "silent" => facts = Facts::unknown("the CD did not answer within 10 s"),
        "stale" => {
            return fixtures::facts(Timestamp::from_millis(now.as_millis() - 31_000));
        }
        "frozen" => {
            let freeze = Freeze::new("black friday", fixtures::at(0), None);
            facts.freezes = Fact::known(vec![freeze], now);
        }
        "auto-sync" => {
            let mut preflight = fixtures::accepted();
            preflight.undone_by = Presence::Something("Argo CD auto-sync".into());
            facts.preflight = Fact::known(preflight, now);
        }
        "undone-unsaid" => facts.preflight = Fact::known(Preflight::accepted(), now),
        "busy-unsaid" => {
            let mut live = Live::default();
            live.revision = Some(fixtures::reference("42"));
            facts.live = Fact::known(live, now);
        }
        "in-flight" => record.in_flight = Some(parsed("rb-0")),
        "cooling" => record.last_rollback = Some(LastRollback::new(parsed("rb-0"), now)),
        "bad" => {
            record.marked_bad.insert(parsed("41"), "lost orders".into());
        }
        other => panic!("no such facts: {other}"),
    }
    if what != "silent" {
        facts.history = Fact::known(history, now);
        facts.record = Fact::known(record, now);
    }
    facts
}

fn progress(phase: &str, message: &str) -> Progress {
    let mut progress = Progress::new(match phase {
        "started" => Phase::Started,
        "health-checking" => Phase::HealthChecking,
        "complete" => Phase::Complete,
        "failed" => Phase::Failed,
        "cancelled" => Phase::Cancelled,
        other => panic!("no such phase: {other}"),
    });
    progress.message = (!message.is_empty()).then(|| message.into());
    progress
}

fn sighting(live: &str, health: &str, now: Timestamp) -> Sighting {
    let health = match health {
        "healthy" => Fact::known(Health::Healthy, now),
        "unknown" => Fact::unknown("the health check did not answer within 10 s"),
        sick => Fact::known(Health::Unhealthy(sick.into()), now),
    };
    let live = match live {
        "unreadable" => Fact::unknown("the CD system did not answer within 10 s"),
        "busy" => {
            let mut busy = Live::running(fixtures::reference("41"));
            busy.in_progress = Presence::Something(InProgress::new(OperationKind::Rollback));
            Fact::known(busy, now)
        }
        live => Fact::known(Live::running(fixtures::reference(live)), now),
    };
    Sighting::new(live, health)
}
