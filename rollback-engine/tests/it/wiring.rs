//! Each mistake in how an engine is put together is told when it is built, all of them at once, and
//! each with its remedy.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use async_trait::async_trait;
use rollback_core::access::AccessPolicy;
use rollback_core::guard::GuardSet;
use rollback_core::observed::Reading;
use rollback_core::ports::{Capabilities, Clock, CompareAndSet, FactSource, Fence, GuardInquiry};
use rollback_core::{Fact, ServiceKey};
use rollback_engine::{Catalog, EngineBuilder, ServiceConfig, WiringFault};
use rollback_store::{AuditFile, AuditFileOptions, MemoryStore};
use rollback_testkit::fakes::{FakeBackend, FakeDirectory, FakeSink};
use rollback_testkit::fixtures::{self, parsed};
use rollback_testkit::{Chat, ManualClock};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug)]
struct Silent;

#[async_trait]
impl FactSource for Silent {
    async fn observe(&self, _inquiry: &GuardInquiry) -> Fact<Reading> {
        Fact::unknown("nobody looked")
    }
}

fn service(guards: &[&str]) -> ServiceConfig {
    let mut service = ServiceConfig::new(parsed("prod"), parsed("C0PAYMENTS"));
    let guards: BTreeSet<_> = guards.iter().map(|name| parsed(name)).collect();
    service.guards = GuardSet::with(guards).unwrap();
    service
}

fn catalog() -> Catalog {
    Catalog::new(fixtures::access_policy())
}

fn cd() -> Arc<FakeBackend> {
    Arc::new(FakeBackend::new(Capabilities::new(CompareAndSet::Yes, Fence::Yes)))
}

fn builder(catalog: Catalog) -> EngineBuilder {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::starting_at(fixtures::at(0)));
    let people = FakeDirectory::new(clock, fixtures::everybody());
    EngineBuilder::new(Arc::new(MemoryStore::default()), Arc::new(people), catalog)
}

/// Whole: a service, its backend, a guard of its own and the guard's source.
fn whole() -> EngineBuilder {
    builder(catalog().with(fixtures::key(), service(&["burn_rate"])))
        .backend(parsed("prod"), cd())
        .fact_source(parsed("burn_rate"), Arc::new(Silent))
}

fn nobodys() -> ServiceKey {
    ServiceKey::new(parsed("search"), parsed("production"))
}

type Case = (&'static str, EngineBuilder, WiringFault, &'static str);

fn of_services() -> Vec<Case> {
    let mut without_break_glass = fixtures::access_policy();
    without_break_glass.break_glass.clear();
    let mut of_no_workspace = fixtures::access_policy();
    of_no_workspace.workspaces.clear();
    let with = |access: AccessPolicy, key: ServiceKey| {
        builder(Catalog::new(access).with(key, service(&[]))).backend(parsed("prod"), cd())
    };
    let twice = catalog().with(fixtures::key(), service(&[])).with(fixtures::key(), service(&[]));
    vec![
        (
            "no service",
            builder(catalog()),
            WiringFault::NoServices,
            "no service is configured; add one with `Catalog::with`",
        ),
        (
            "one service twice",
            builder(twice).backend(parsed("prod"), cd()),
            WiringFault::ServiceTwice(fixtures::key()),
            "`checkout in production` is configured twice, and only the last one would count; remove one",
        ),
        (
            "no workspace",
            with(of_no_workspace, fixtures::key()),
            WiringFault::NoWorkspace,
            "the access policy names no workspace, so that everybody is denied; add yours to \
             `AccessPolicy::workspaces`, or name it later with `EngineBuilder::admitting_later`",
        ),
        (
            "nobody owns it",
            with(without_break_glass, nobodys()),
            WiringFault::NoOwner(nobodys()),
            "nobody may roll back `search in production`: no owner rule covers it, and there is no \
             break-glass group; add a rule to `AccessPolicy::owners`",
        ),
        (
            "no backend",
            builder(catalog().with(fixtures::key(), service(&[]))),
            WiringFault::BackendMissing {
                service: fixtures::key(),
                backend: parsed("prod"),
                added: Vec::new(),
            },
            "`checkout in production` names the backend `prod`, which was not added; no backend was \
             added; add it with `EngineBuilder::backend`",
        ),
        (
            "a backend of another name",
            builder(catalog().with(fixtures::key(), service(&[]))).backend(parsed("prd"), cd()),
            WiringFault::BackendMissing {
                service: fixtures::key(),
                backend: parsed("prod"),
                added: vec![parsed("prd")],
            },
            "`checkout in production` names the backend `prod`, which was not added; those that were \
             added: `prd`; correct the name, or add it",
        ),
    ]
}

fn of_parts() -> Vec<Case> {
    vec![
        (
            "a backend twice",
            whole().backend(parsed("prod"), cd()),
            WiringFault::BackendTwice(parsed("prod")),
            "two backends were added as `prod`, and only the last one would get orders; give each a \
             name of its own",
        ),
        (
            "a guard without a source",
            builder(catalog().with(fixtures::key(), service(&["burn_rate"])))
                .backend(parsed("prod"), cd()),
            WiringFault::SourceMissing {
                guard: parsed("burn_rate"),
                services: vec![fixtures::key()],
            },
            "the guard `burn_rate` of `checkout in production` has no source, so that every rollback \
             there would be refused; add one with `EngineBuilder::fact_source`, or remove the guard",
        ),
        (
            "a source without a guard",
            whole().fact_source(parsed("error_budget"), Arc::new(Silent)),
            WiringFault::SourceUnused(parsed("error_budget")),
            "the source of the guard `error_budget` would never be asked: no service has this guard; \
             add the guard to `ServiceConfig::guards`, or remove the source",
        ),
        (
            "a source of a built-in guard",
            whole().fact_source(parsed("freeze"), Arc::new(Silent)),
            WiringFault::SourceOfBuiltIn(parsed("freeze")),
            "the source of the guard `freeze` would never be asked: this guard is built in; give your \
             own guard another name, and add it to `ServiceConfig::guards`",
        ),
        (
            "a source twice",
            whole().fact_source(parsed("burn_rate"), Arc::new(Silent)),
            WiringFault::SourceTwice(parsed("burn_rate")),
            "two sources were added for the guard `burn_rate`, and only the last one would be asked; \
             remove one",
        ),
        (
            "two notifiers of one name",
            whole().notifier(Arc::new(Chat::new())).notifier(Arc::new(Chat::new())),
            WiringFault::NotifierTwice("chat"),
            "two notifiers are called `chat`: each message would reach only one of them; give each a \
             name of its own",
        ),
        (
            "two sinks of one name",
            whole().sink(Arc::new(FakeSink::new())).required_sink(Arc::new(FakeSink::new())),
            WiringFault::SinkTwice("fake"),
            "two audit sinks are called `fake`: each record would reach only one of them; give each a \
             name of its own",
        ),
        (
            "a lease of nothing",
            whole().lease(Duration::ZERO),
            WiringFault::Zero("lease"),
            "`EngineBuilder::lease` is zero, with which no rollback would get anywhere; leave the \
             default",
        ),
    ]
}

#[test]
fn two_audit_files_have_names_of_their_own_or_are_refused() {
    let file = |name| {
        let mut options = AuditFileOptions::default();
        options.name = name;
        Arc::new(AuditFile::new(format!("{name}.jsonl"), options))
    };
    let one = AuditFileOptions::default().name;
    let twice = whole().sink(file(one)).required_sink(file(one)).build().map(drop).unwrap_err();
    assert_eq!(twice.faults(), [WiringFault::SinkTwice("file")]);
    whole().sink(file("near")).required_sink(file("far")).build().map(drop).unwrap();
}

#[test]
fn each_fault_is_found_alone_and_tells_what_to_do() {
    for (name, builder, fault, words) in of_services().into_iter().chain(of_parts()) {
        let error = builder.build().map(drop).unwrap_err();
        assert_eq!(error.faults(), std::slice::from_ref(&fault), "{name}");
        assert_eq!(fault.to_string(), words, "{name}");
        let told = format!("the engine cannot start with this wiring: {words}");
        assert_eq!(error.to_string(), told, "{name}");
    }
}

#[test]
fn every_fault_is_told_at_once_each_on_a_line_of_its_own() {
    let other = ServiceKey::new(parsed("checkout"), parsed("staging"));
    let mut catalog = catalog();
    catalog.services.insert(fixtures::key(), service(&["burn_rate"]));
    catalog.services.insert(other, service(&["burn_rate"]));
    let builder = builder(catalog)
        .backend(parsed("prd"), cd())
        .backend(parsed("prd"), cd())
        .fact_source(parsed("burnrate"), Arc::new(Silent));
    let error = builder.build().map(drop).unwrap_err();
    let (kinds, lines) = (error.faults(), error.to_string());
    assert!(
        matches!(
            kinds,
            [
                WiringFault::BackendMissing { .. },
                WiringFault::BackendMissing { .. },
                WiringFault::SourceMissing { services, .. },
                WiringFault::SourceUnused(_),
                WiringFault::BackendTwice(_),
            ] if services.len() == 2
        ),
        "{kinds:?}"
    );
    assert_eq!(lines.lines().filter(|line| line.starts_with("- ")).count(), 5, "{lines}");
    assert!(lines.contains("`checkout in production`, `checkout in staging`"), "{lines}");
}

#[test]
fn a_hundred_services_with_one_mistake_make_one_short_line() {
    let catalog = (0..100).fold(catalog(), |catalog, number| {
        let environment = parsed(&format!("eu-{number:03}"));
        catalog.with(ServiceKey::new(parsed("checkout"), environment), service(&["burn_rate"]))
    });
    let error = builder(catalog).backend(parsed("prod"), cd()).build().map(drop).unwrap_err();
    let line = error.to_string();
    assert!(line.contains("`checkout in eu-004` and 95 more has no source"), "{line}");
}

#[test]
fn what_is_whole_is_built_also_where_the_workspace_is_named_later() {
    assert!(whole().build().is_ok());
    let mut access = fixtures::access_policy();
    access.workspaces.clear();
    let later = builder(Catalog::new(access).with(fixtures::key(), service(&[])))
        .backend(parsed("prod"), cd())
        .admitting_later();
    assert!(later.build().is_ok());
}
