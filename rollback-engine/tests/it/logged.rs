//! What the engine logs of a rollback, and what it never logs.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::common::{Scene, Setup, Site, paused, play};
use rollback_core::ports::{Commands as _, Consent};
use rollback_core::{Plan, Purpose, Reason, StateName};
use rollback_testkit::Fate;
use rollback_testkit::fixtures::ana;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

const TARGET: &str = "rollback_engine::lifecycle";
const OPENED: &str = "a rollback is opened";
const ORDERED: &str = "a rollback is ordered";
const ENDED: &str = "a rollback has ended";

/// The fields of a line or a span, and their values as text.
#[derive(Clone, Debug, Default)]
struct Fields(BTreeMap<String, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        write!(text, "{value:?}").unwrap();
        self.0.insert(field.name().to_owned(), text);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}

impl Fields {
    fn of(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

/// All that was logged.
#[derive(Debug, Default)]
struct Heard {
    /// Level, target, fields.
    lines: Vec<(Level, String, Fields)>,
    /// The name of each span, and its fields.
    spans: BTreeMap<u64, (&'static str, Fields)>,
}

impl Heard {
    /// The lines about how rollbacks go.
    fn lifecycle(&self) -> Vec<&Fields> {
        let ours = self
            .lines
            .iter()
            .filter(|(level, target, _)| *level == Level::INFO && target == TARGET);
        ours.map(|(_, _, fields)| fields).collect()
    }

    fn count(&self, message: &str) -> usize {
        self.lifecycle().into_iter().filter(|fields| fields.of("message") == message).count()
    }
}

#[derive(Clone, Debug, Default)]
struct Ears(Arc<Mutex<Heard>>);

impl<S: Subscriber> Layer<S> for Ears {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let name = attributes.metadata().name();
        self.0.lock().unwrap().spans.insert(id.into_u64(), (name, fields));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut heard = self.0.lock().unwrap();
        let (_, fields) = heard.spans.get_mut(&id.into_u64()).unwrap();
        values.record(fields);
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let (level, target) = (*event.metadata().level(), event.metadata().target().to_owned());
        self.0.lock().unwrap().lines.push((level, target, fields));
    }
}

/// Runs it, and gives what was logged meanwhile by this thread, on which everything here runs.
fn heard<T>(run: impl FnOnce() -> T) -> (T, Heard) {
    let ears = Ears::default();
    // Each span has a number of its own: the registry would give a number away again.
    let subscriber = Counting::default().with(ears.clone());
    let result = tracing::subscriber::with_default(subscriber, run);
    let heard = std::mem::take(&mut *ears.0.lock().unwrap());
    (result, heard)
}

/// Numbers spans, and nothing else.
#[derive(Debug, Default)]
struct Counting(std::sync::atomic::AtomicU64);

impl Subscriber for Counting {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        let before = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Id::from_u64(before + 1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Ana rolls back with this reason.
async fn rolled_back(setup: Setup, reason: &str) -> String {
    let site = Site::new(setup);
    let host = site.boot(Fate::Spared);
    host.engine.deployed(site.deploy()).await.unwrap();
    let id = host.click(&ana()).await.id;
    let view = site.shown(&id).await;
    let shown = Plan::new(view.key, view.from, view.to).unwrap().pair();
    let consent = Consent::new(Reason::parse(reason).unwrap(), shown);
    host.engine.confirm(&id, ana().actor(), consent).await.unwrap();
    let view = site.ended(&id).await;
    assert_eq!(view.state, StateName::Succeeded, "{}", view.explanation);
    id.to_string()
}

#[test]
fn a_rollback_is_logged_when_it_is_opened_ordered_and_ended() {
    let (id, heard) = heard(|| paused(rolled_back(Setup::default(), "errors are up")));
    let expected = |message: &str, state: &str| {
        let fields = [
            ("message", message),
            ("rollback", &id),
            ("service", "checkout"),
            ("environment", "production"),
            ("from", "42"),
            ("to", "41"),
            ("state", state),
            ("drill", "false"),
        ];
        fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    };
    let lines: Vec<BTreeMap<String, String>> =
        heard.lifecycle().into_iter().map(|fields| fields.0.clone()).collect();
    let all = [
        expected(OPENED, "authorizing"),
        expected(ORDERED, "triggering"),
        expected(ENDED, "succeeded"),
    ];
    assert_eq!(lines, all);
}

#[test]
fn a_drill_is_never_logged_as_ordered() {
    let setup = || Setup { purpose: Purpose::Drill, ..Setup::default() };
    let (_id, heard) = heard(|| paused(rolled_back(setup(), "a drill")));
    let lines: Vec<(&str, &str)> =
        heard.lifecycle().into_iter().map(|line| (line.of("message"), line.of("drill"))).collect();
    assert_eq!(lines, [(OPENED, "true"), (ENDED, "true")]);
}

#[test]
fn nothing_that_is_logged_has_the_reason_in_it() {
    let reason = "canary of the reason\nINFO a rollback has ended";
    let (_id, heard) = heard(|| paused(rolled_back(Setup::default(), reason)));
    assert!(heard.lines.len() >= 3 && heard.spans.len() >= 3, "{heard:?}");
    let all = format!("{heard:?}");
    assert!(!all.contains("canary of the reason"), "{all}");
}

/// Where the store's answer to a step is lost, the journal says whether it was stored; so do the lines.
#[test]
fn each_step_is_logged_once_whatever_is_lost_or_repeated() {
    let scene = Scene::happy();
    let (spared, _) = heard(|| paused(play(&scene, Fate::Spared)));
    let mut played = 0;
    for at in 1..=spared.actions {
        for fate in [Fate::LosesAnswer(at), Fate::LosesRequest(at), Fate::Repeats(at)] {
            let (run, heard) = heard(|| paused(play(&scene, fate)));
            let ended = run.evidence.views.iter().filter(|view| view.state.is_end()).count();
            assert_eq!(heard.count(ENDED), ended, "{fate:?}: {:?}", heard.lifecycle());
            let ordered = run.evidence.views.iter().filter(|view| view.execution.is_some());
            assert!(heard.count(ORDERED) >= ordered.count(), "{fate:?}: {:?}", heard.lifecycle());
            assert!(heard.count(ORDERED) <= run.evidence.views.len(), "{fate:?}: logged twice");
            played += 1;
        }
    }
    assert!(played >= 60, "only {played} runs");
}

/// The first column of the table of README that has this head, and the last.
fn table(head: &str) -> Vec<(&'static str, &'static str)> {
    let readme = include_str!("../../README.md");
    let (_, rest) = readme.split_once(head).unwrap();
    let rows = rest.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let row = row.trim_matches('|').trim();
        (row.split(" | ").next().unwrap(), row.rsplit(" | ").next().unwrap())
    })
    .collect()
}

/// What stands between backticks.
fn named(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn the_page_lists_each_line_each_span_and_all_of_their_fields() {
    let (_id, heard) = heard(|| paused(rolled_back(Setup::default(), "errors are up")));
    let lines: Vec<&str> =
        table("| line | when |").into_iter().flat_map(|(line, _)| named(line)).collect();
    let logged: Vec<&str> = heard.lifecycle().iter().map(|line| line.of("message")).collect();
    assert_eq!(lines, logged);

    let fields: BTreeSet<&str> =
        table("| field | what |").into_iter().flat_map(|(names, _)| named(names)).collect();
    for line in heard.lifecycle() {
        let logged: BTreeSet<&str> = line.0.keys().map(String::as_str).collect();
        let logged: BTreeSet<&str> = &logged - &BTreeSet::from(["message"]);
        assert_eq!(logged, fields);
    }

    let spans = table("| span | around | fields |");
    let mut seen = BTreeSet::new();
    for (name, logged) in heard.spans.values() {
        let (_, told) = spans.iter().find(|(row, _)| named(row).eq([*name])).unwrap();
        let (names, kinds) = told.split_once(": ").unwrap_or((told, ""));
        let names: BTreeSet<&str> = named(names).collect();
        let logged_names: BTreeSet<&str> = logged.0.keys().map(String::as_str).collect();
        assert_eq!(logged_names, names, "span {name}");
        let kind = logged.of("kind");
        assert!(kind.is_empty() || named(kinds).any(|told| told == kind), "kind {kind}");
        seen.insert(*name);
    }
    assert_eq!(seen.len(), spans.len(), "a span of the page was not seen: {seen:?}");
}
