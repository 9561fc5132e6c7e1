//! The configuration: everything that is wrong is told at once, and where; the schema that editors
//! use is the one that judges.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::unreachable,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking"
)]

use platform_service::{Config, Environment, StorePlace, schema};
use std::path::Path;

const SAMPLE: &str = include_str!("../../rollback.yaml");
const DOCUMENTED: &str = include_str!("documented.yaml");

fn environment() -> Environment {
    Environment::of([
        ("CD_TOKEN", "a-cd-token"),
        ("PD_KEY", "a-routing-key"),
        ("TEAMS_URL", "a-webhook"),
        ("ARGOCD_TOKEN", "an-argocd-token"),
    ])
}

fn problems(text: &str) -> String {
    Config::parse("rollback.yaml", text, &environment()).expect_err("it is wrong").to_string()
}

/// The sample with one piece replaced, and what is said of that.
fn said(from: &str, to: &str) -> String {
    assert!(SAMPLE.contains(from), "{from}");
    problems(&SAMPLE.replacen(from, to, 1))
}

fn as_json(yaml: &str) -> serde_json::Value {
    let parsed: Vec<saphyr_json::Value> = saphyr_json::load(yaml);
    parsed.into_iter().next().unwrap()
}

/// YAML as JSON for the outside validator, by a reader that is not ours under test: the parser's
/// own events.
mod saphyr_json {
    use saphyr_parser::{Event, Parser, ScalarStyle};
    pub(crate) use serde_json::Value;

    pub(crate) fn load(yaml: &str) -> Vec<Value> {
        let mut events = Parser::new_from_str(yaml).map(|event| event.unwrap().0);
        let mut documents = Vec::new();
        while let Some(event) = events.next() {
            if matches!(event, Event::DocumentStart(_)) {
                let first = events.next().unwrap();
                documents.push(value(first, &mut events));
            }
        }
        documents
    }

    fn value<'a>(event: Event<'a>, events: &mut impl Iterator<Item = Event<'a>>) -> Value {
        match event {
            Event::Scalar(text, ScalarStyle::Plain, ..) => {
                serde_json::from_str(&text).unwrap_or_else(|_| text.into_owned().into())
            }
            Event::Scalar(text, ..) => text.into_owned().into(),
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    match events.next().unwrap() {
                        Event::SequenceEnd => return items.into(),
                        item => items.push(value(item, events)),
                    }
                }
            }
            Event::MappingStart(..) => {
                let mut map = serde_json::Map::new();
                loop {
                    match events.next().unwrap() {
                        Event::MappingEnd => return map.into(),
                        Event::Scalar(key, ..) => {
                            let next = events.next().unwrap();
                            map.insert(key.into_owned(), value(next, events));
                        }
                        other => unreachable!("{other:?}"),
                    }
                }
            }
            other => unreachable!("{other:?}"),
        }
    }
}

#[test]
fn the_sample_is_good() {
    let read = Config::parse("rollback.yaml", SAMPLE, &environment());
    assert!(read.is_ok(), "{}", read.unwrap_err());
}

#[test]
fn everything_that_is_wrong_is_told_in_one_run() {
    let wrong = r##"slack: {chanel: "C0DEPLOYS", on_call: "#incidents"}
store: postgres://rollback:hunter2@db/rollback
backends:
  inhouse: {kind: http, url: "http://cd.example.com", token: "xoxb-1-canary"}
  other: {kind: spinnaker}
  prod: {kind: argocd, url: "https://argocd.example.com"}
services:
  checkout:
    owner: {users: [U02ANA]}
    environments:
      production:
        backend: inhosue
        approvals: many
        soak: 10
        health_check: {url: "checkout/health"}
  "pay ments":
    owners: {users: ["@ana"], groups: []}
    environments: {}
audit: {require: [store, file, cdevents]}
limits: {settle: 5, cd_timeuot: 10s}
limits: {}
notify: {pagerduty: {routing_key_env: PD_KEY}}
"##;
    let told = problems(wrong);
    assert!(!told.contains("canary") && !told.contains("hunter2"), "{told}");
    insta::assert_snapshot!("everything_wrong", told);
}

#[test]
fn the_documented_example_is_understood_and_what_is_not_in_this_build_is_said() {
    insta::assert_snapshot!("documented", problems(DOCUMENTED));
}

#[test]
fn each_problem_names_its_line_its_key_and_a_remedy() {
    for (from, to, line, parts) in [
        ("kind: http ", "kind: htpp ", 10, ["backends.inhouse.kind", "did you mean `http`?"]),
        (
            "token_env: CD_TOKEN",
            "token_env: NOT_SET",
            12,
            ["backends.inhouse.token_env", "`NOT_SET` is not set"],
        ),
        (
            "token_env: CD_TOKEN",
            "token_file: /nowhere",
            12,
            ["backends.inhouse.token_file", "`/nowhere` holds no secret"],
        ),
        ("    token_env: CD_TOKEN", "    # none", 9, ["backends.inhouse", "no token is named"]),
        (
            "backend: inhouse\n        approvals",
            "backend: prod\n        approvals",
            19,
            ["services.checkout.environments.production.backend", "there are `inhouse`"],
        ),
        (
            "backend: inhouse\n        approvals",
            "with: {cluster: a}\n        backend: inhouse\n        approvals",
            19,
            ["production.with.cluster", "not known"],
        ),
        ("soak: 10m ", "soak: 10 ", 21, ["production.soak", "`500ms`, `30s`, `10m`"]),
        ("approvals: 1 ", "approvals: 11 ", 20, ["production.approvals", "from 0 to 10"]),
        ("[U02ANA]", "[ana]", 16, ["services.checkout.owners.users[0]", "never changes"]),
        ("  denied:", "  denies:", 27, ["access.denies", "did you mean `denied`?"]),
        ("groups: [S0INTERNS]", "teams: [S0INTERNS]", 28, ["access.denied[0]", "names nobody"]),
        (
            "break_glass: {groups: [S0INCIDENT]}",
            "break_glass: {}",
            30,
            ["break_glass", "nothing in it"],
        ),
        ("require: [store]", "require: [file]", 32, ["audit.require", "`file` is required"]),
        ("sqlite://rollback.db", "mysql://x", 6, ["store", "not a store"]),
        ("slack:\n", "slacks:\n", 4, ["slacks", "did you mean `slack`?"]),
    ] {
        let told = said(from, to);
        let here = format!("rollback.yaml:{line}:");
        let hit = told
            .lines()
            .any(|one| one.starts_with(&here) && parts.iter().all(|part| one.contains(part)));
        assert!(hit, "{from:?} -> {to:?}, line {line}, {parts:?}:\n{told}");
    }
}

#[test]
fn a_limit_of_zero_is_refused_where_nothing_could_be_in_time() {
    for written in [
        "cd_timeout: 10s",
        "fact_age_max: 30s",
        "confirm_within: 10m",
        "approve_within: 30m",
        "check_within: 60s",
        "run_within: 30m",
        "lease: 15s",
    ] {
        let limit = written.split(':').next().unwrap();
        for zero in ["0s", "0ms", "0h0m"] {
            let told = said(written, &format!("{limit}: {zero}"));
            assert!(told.contains(&format!("limits.{limit}: a time of zero")), "{told}");
            assert!(told.starts_with("rollback.yaml:"), "{told}");
        }
    }
    let told = said("timeout: 60s", "timeout: 0s");
    assert!(told.contains("production.health_check.timeout: a time of zero"), "{told}");
    for (written, zero) in [
        ("settle: 5s", "settle: 0s"),
        ("cool_down: 5m", "cool_down: 0s"),
        ("directory_age_max: 60s", "directory_age_max: 0s"),
    ] {
        let text = SAMPLE.replacen(written, zero, 1);
        assert!(text != SAMPLE && Config::parse("f", &text, &environment()).is_ok(), "{zero}");
    }
}

#[test]
fn a_secret_that_cannot_be_one_is_told_by_its_name_and_not_shown() {
    for (wrong, why) in [("q", "fewer than 8"), ("canary-1\ncanary-2", "line break")] {
        let environment = Environment::of([("CD_TOKEN", wrong)]);
        let told = Config::parse("rollback.yaml", SAMPLE, &environment).unwrap_err().to_string();
        assert!(told.contains("rollback.yaml:12:") && told.contains(why), "{told}");
        assert!(told.contains("`CD_TOKEN`") && !told.contains("canary"), "{told}");
    }
}

#[test]
fn two_people_in_one_entry_are_not_one_person() {
    for two in ["[\"U02ANA,U03BO\"]", "[U02ANA U03BO]", "[\"U02ANA\\u200b\"]"] {
        let told = said("[U02ANA]", two);
        assert!(told.contains("services.checkout.owners.users[0]"), "{told}");
    }
}

#[test]
fn a_name_with_markup_or_with_what_nobody_sees_is_refused() {
    for name in ["<!channel>", "a & b", "*all*", "`x`", "a\\u200bb", "a\\u202eb", "a\\u2060"] {
        let told = said("\"interns\"", &format!("\"{name}\""));
        assert!(told.contains("access.denied[0].name: this name has markup"), "{name}: {told}");
    }
}

#[test]
fn a_store_in_memory_is_no_file() {
    for address in ["\"sqlite://:memory:\"", "\"sqlite:///var/lib/:memory:\""] {
        let told = said("sqlite://rollback.db", address);
        assert!(told.contains("forgets everything"), "{told}");
    }
}

#[test]
fn a_service_without_owners_is_not_for_nobody() {
    let text = "slack: {channel: C0D}\nbackends: {a: {kind: http, url: \"https://cd.example.com\", token_env: CD_TOKEN}}\n\
                services: {x: {environments: {p: {backend: a}}}}\n";
    assert!(problems(text).contains("nobody may roll this back"));
    let ruled =
        format!("{text}access: {{owners: [{{name: all, services: \"x*\", users: [U02ANA]}}]}}\n");
    assert!(Config::parse("f", &ruled, &environment()).is_ok());
    let not_ruled = ruled.replace("x*", "y*");
    assert!(problems(&not_ruled).contains("nobody may roll this back"));
}

#[test]
fn more_approvals_than_people_can_never_be_given() {
    let text = "slack: {channel: C0D}\nbackends: {a: {kind: http, url: \"https://cd.example.com\", token_env: CD_TOKEN}}\n\
                services: {x: {owners: {users: [U02ANA, U03BO]}, environments: {p: {backend: a, approvals: MANY}}}}\n";
    assert!(Config::parse("f", &text.replace("MANY", "1"), &environment()).is_ok());
    assert!(problems(&text.replace("MANY", "2")).contains("only 2 are named"));
}

#[test]
fn the_environment_wins_over_the_store_of_the_file() {
    let other = Environment::of([
        ("CD_TOKEN", "a-cd-token"),
        ("DATABASE_URL", "sqlite:///var/lib/other.db"),
    ]);
    let config = Config::parse("f", SAMPLE, &other).unwrap();
    let StorePlace::File(path) = config.store() else { panic!("{config:?}") };
    assert_eq!(path, Path::new("/var/lib/other.db"));
    let postgres =
        Environment::of([("CD_TOKEN", "a-cd-token"), ("DATABASE_URL", "postgres://u:canary@db/r")]);
    let config = Config::parse("f", SAMPLE, &postgres).unwrap();
    assert!(matches!(config.store(), StorePlace::Server(_)));
    assert!(!format!("{config:?}").contains("canary"));
    let wrong =
        Environment::of([("CD_TOKEN", "a-cd-token"), ("DATABASE_URL", "canary://u:canary@db/r")]);
    let told = Config::parse("f", SAMPLE, &wrong).unwrap_err().to_string();
    assert!(told.contains("`DATABASE_URL`: "), "{told}");
}

#[test]
fn a_secret_in_the_file_is_refused_and_not_repeated() {
    for (from, to) in [
        ("token_env: CD_TOKEN", "token: xoxb-canary"),
        ("token_env: CD_TOKEN", "token_env: xoxb-canary"),
        ("https://cd.example.com", "https://u:canary@cd.example.com"),
        ("slack:\n", "slack:\n  bot_token: xoxb-canary\n"),
        ("slack:\n", "slack:\n  signing_secret: canary\n"),
        ("slack:\n", "slack:\n  xoxb-1-canary: x\n"),
        ("slack:\n", "slack:\n  \"Bearer canary\": x\n"),
        ("C0DEPLOYS ", "xoxb-canary "),
    ] {
        let told = said(from, to);
        assert!(!told.contains("canary"), "{from} -> {to}: {told}");
    }
}

/// How long things may take on a cluster: each is a key of the file, read, refused where it is no
/// time, and explained on the page that people read.
#[test]
fn the_bounds_of_a_cluster_are_keys_of_its_backend() {
    let page = include_str!("../../README.md");
    let of_helm = ["timeout", "deadline", "pending_max", "lease"];
    let of_kubernetes = ["deadline", "grace", "stuck_after"];
    let keys = of_helm.map(|key| ("helm", "release: shop", key));
    let keys = keys.into_iter().chain(of_kubernetes.map(|key| ("kubernetes", "name: web", key)));
    for (kind, with, key) in keys {
        let file = |bound: &str| {
            format!(
                "slack: {{channel: C0DEPLOYS}}\nstore: sqlite://rollback.db\n\
                 backends: {{c: {{kind: {kind}, {key}: {bound}}}}}\n\
                 services: {{checkout: {{owners: {{users: [U02ANA]}}, environments: {{production: \
                 {{backend: c, with: {{namespace: shop, {with}}}}}}}}}}}\n"
            )
        };
        let read = Config::parse("rollback.yaml", &file("45m"), &environment());
        assert!(read.is_ok(), "{kind} {key}: {}", read.unwrap_err());
        let told = problems(&file("soon"));
        assert!(told.contains(&format!("backends.c.{key}")), "{kind} {key}: {told}");
        assert!(page.contains(&format!("`{key}`")), "{key} is not explained");
    }
}

#[test]
fn the_schema_in_the_repository_is_the_schema_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("rollback.schema.json");
    let made = format!("{}\n", serde_json::to_string_pretty(&schema()).unwrap());
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == made, "the schema has changed; look at it, and renew it with BLESS=1");
}

#[test]
fn an_outside_validator_takes_the_documented_example_and_the_sample_by_the_schema() {
    let schema = schema();
    assert!(jsonschema::meta::is_valid(&schema), "the schema is a schema");
    let validator = jsonschema::validator_for(&schema).unwrap();
    for text in [DOCUMENTED, SAMPLE] {
        let value = as_json(text);
        let errors: Vec<String> = validator
            .iter_errors(&value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
}

/// What the outside validator refuses is refused here: an editor never says less than the service.
#[test]
fn what_the_schema_refuses_the_service_refuses() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    for (from, to) in [
        ("soak: 10m", "soak: 10"),
        ("soak: 10m", "soak: ten"),
        ("approvals: 1", "approvals: \"1\""),
        ("approvals: 1", "approvals: 99"),
        ("[U02ANA]", "[]"),
        ("[U02ANA]", "[\"@ana\"]"),
        ("[U02ANA]", "U02ANA"),
        ("channel: C0DEPLOYS", "channels: C0DEPLOYS"),
        ("channel: C0DEPLOYS", "channel: \"#deploys\""),
        ("require: [store]", "require: [stores]"),
        ("kind: http", "kind: https"),
        ("url: \"https://cd.example.com\"", "uri: \"https://cd.example.com\""),
        ("checkout:\n", "check out:\n"),
        ("settle: 5s", "settle: -5s"),
    ] {
        let text = SAMPLE.replacen(from, to, 1);
        assert!(!validator.is_valid(&as_json(&text)), "the validator takes {to}");
        assert!(Config::parse("f", &text, &environment()).is_err(), "the service takes {to}");
    }
}

proptest::proptest! {
    /// Whatever is cut out of the sample, every problem has its place, and what the schema and the
    /// rules take can be used.
    #[test]
    fn a_piece_is_cut_out_of_the_sample(from in 0..SAMPLE.len(), length in 0_usize..40) {
        let cut: String = SAMPLE
            .char_indices()
            .filter(|(at, _)| !(from..from + length).contains(at))
            .map(|(_, letter)| letter)
            .collect();
        if let Err(problems) = Config::parse("f", &cut, &environment()) {
            proptest::prop_assert!(!problems.list.is_empty());
            for problem in &problems.list {
                proptest::prop_assert!(!problem.what.contains("cannot be used"), "{cut}\n{problems}");
                proptest::prop_assert!(problem.at.line <= cut.lines().count() + 1, "{problems}");
            }
        }
    }
}

#[test]
fn checkpoints_need_a_key_that_is_one_and_an_audit_file_that_keeps_them() {
    let key = |seed: u8, name: &str| {
        let key = rollback_audit::SigningKey::new(name, &[seed; 32].into()).unwrap();
        key.reveal().as_str().to_owned()
    };
    let (name, file) = ("rollback.example.com/audit", "file: {path: audit.jsonl}");
    let environment = Environment::of([
        ("CD_TOKEN", "a-cd-token".to_owned()),
        ("KEY", key(1, name)),
        ("OLD", key(2, name)),
        ("NONE", "canary-canary".to_owned()),
    ]);
    let said = |audit: &str| {
        let text =
            SAMPLE.replacen("  require: [store]", &format!("  {audit}\n  require: [store]"), 1);
        assert_ne!(text, SAMPLE);
        match Config::parse("rollback.yaml", &text, &environment) {
            Ok(_) => String::new(),
            Err(problems) => problems.to_string(),
        }
    };
    for good in [
        "checkpoints: {key_env: KEY, file: a}",
        "checkpoints: {key_env: KEY, retiring_key_env: OLD, file: a, records: 10, heartbeat: 1m}",
    ] {
        assert_eq!(said(&format!("{file}\n  {good}")), "", "{good}");
    }
    for (bad, why) in [
        ("checkpoints: {file: a}", "no key is named"),
        ("checkpoints: {key_env: KEY}", "file"),
        ("checkpoints: {key_env: GONE, file: a}", "`GONE` is not set"),
        ("checkpoints: {key_env: NONE, file: a}", "a private key is"),
        ("checkpoints: {key_env: KEY, retiring_key_env: NONE, file: a}", "a private key is"),
        ("checkpoints: {key_env: KEY, key_file: b, file: a}", "named twice"),
        ("checkpoints: {key_env: KEY, file: a, records: 0}", "from 1 to 1000000"),
        ("checkpoints: {key_env: KEY, file: a, heartbeat: 10}", "`500ms`, `30s`, `10m`"),
        ("checkpoints: {key_env: KEY, file: a, keyenv: KEY}", "did you mean `key_env`?"),
    ] {
        let told = said(&format!("{file}\n  {bad}"));
        assert!(told.contains(why) && !told.contains("canary"), "{bad}: {told}");
    }
    let told = said("checkpoints: {key_env: KEY, file: a}");
    assert!(told.contains("the audit file keeps them, and there is none"), "{told}");
}
