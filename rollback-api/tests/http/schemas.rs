//! What is promised in schemas is what is told: judged by validators that we did not write.

use crate::stage::{Setup, Stage, TOKEN, answer, deploy, proposal};
use rollback_api::{AUDIT_RECORD_SCHEMA, OPENAPI};
use rollback_core::audit::{Head, Record};
use rollback_core::{Event, Rollback, ServiceChange};
use rollback_testkit::fixtures::{self, at};
use rollback_testkit::script::{Ending, Script};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Where a program of a peer is installed, if it is.
pub(crate) fn program(name: &str, program: &str) -> Option<PathBuf> {
    Some(peer::wanted(name, "a judgement of the API")?.join(program))
}

/// A rollback with one approval, as far as the events bring it.
fn with_approval(events: impl IntoIterator<Item = Event>) -> Vec<rollback_core::audit::Draft> {
    let opening = fixtures::clicked_by(&fixtures::ana(), fixtures::policy_with_approvals(1));
    let mut step = Rollback::open(opening);
    let mut drafts = step.drafts.clone();
    let looked = Event::StandingObserved(Box::new(fixtures::ana().standing(at(1))));
    let first = [looked, fixtures::observed(at(2)), fixtures::ana().confirmed(at(3))];
    for (second, event) in (1..).zip(first.into_iter().chain(events)) {
        step = step.rollback.step(at(second), event);
        drafts.extend(step.drafts.clone());
    }
    drafts
}

/// Real records: of every ending, of every word that a person can say.
fn records() -> Vec<Record> {
    let mut drafts = Vec::new();
    for ending in Ending::ALL {
        let script = Script::new(&format!("rb-{ending:?}"));
        drafts.extend(script.commits(ending).into_iter().flat_map(|commit| commit.drafts));
    }
    drafts.extend(with_approval([Event::ApprovalGiven(fixtures::bo().said(at(4)))]));
    drafts.extend(with_approval([Event::RejectionGiven(fixtures::bo().said(at(4)))]));
    drafts.extend(with_approval([Event::ApprovalGiven(fixtures::eve().said(at(4)))]));
    let proposed = Rollback::open(fixtures::proposed(fixtures::policy()));
    drafts.extend(proposed.drafts.clone());
    drafts.extend(proposed.rollback.step(at(200_000), Event::DeadlineReached).drafts);
    let lifted = ServiceChange::UnmarkBad { revision: "41".parse().unwrap(), reason: None };
    for change in [
        fixtures::freeze("sale", Some(at(9))),
        fixtures::unfreeze("sale"),
        fixtures::mark_bad("41", "leaks"),
        lifted,
    ] {
        drafts.push(fixtures::changed("change/1", &fixtures::key(), &change, at(1)));
    }
    let mut head = Head::genesis("default");
    let mut records = Vec::new();
    for draft in drafts {
        let record = head.append(draft).unwrap();
        head = Head::after(&record);
        records.push(record);
    }
    records
}

#[test]
fn a_real_record_of_every_kind_keeps_the_schema() {
    let schema: Value = serde_json::from_str(AUDIT_RECORD_SCHEMA).unwrap();
    let validator =
        jsonschema::draft202012::options().should_validate_formats(true).build(&schema).unwrap();
    let mut kinds = BTreeSet::new();
    for record in records() {
        let value: Value = serde_json::from_str(&record.canonical().unwrap()).unwrap();
        let errors: Vec<String> =
            validator.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(errors.is_empty(), "{errors:?} in {value}");
        kinds.insert(value["kind"].as_str().unwrap().to_owned());
    }
    let all = [
        "requested",
        "denied",
        "confirmed",
        "approved",
        "rejected",
        "refused",
        "triggered",
        "phase",
        "succeeded",
        "failed",
        "not_verified",
        "outcome_unknown",
        "cancelled",
        "expired",
        "settled",
        "frozen",
        "unfrozen",
        "marked_bad",
        "unmarked_bad",
    ];
    assert_eq!(kinds, all.map(str::to_owned).into());
}

#[test]
fn the_schema_refuses_what_is_no_record() {
    let schema: Value = serde_json::from_str(AUDIT_RECORD_SCHEMA).unwrap();
    let validator =
        jsonschema::draft202012::options().should_validate_formats(true).build(&schema).unwrap();
    let record = serde_json::to_value(&records()[0]).unwrap();
    assert!(validator.is_valid(&record));
    for (field, value) in [
        ("kind", json!("invented")),
        ("sequence", json!("1")),
        ("sequence", json!(-1)),
        ("hash", json!("ABC")),
        ("at", json!("yesterday")),
        ("drill", json!("no")),
        ("added", json!(true)),
    ] {
        let mut other = record.clone();
        other[field] = value.clone();
        assert!(!validator.is_valid(&other), "{field}: {value}");
    }
    for field in record.as_object().unwrap().keys() {
        let mut other = record.clone();
        other.as_object_mut().unwrap().remove(field);
        assert!(!validator.is_valid(&other), "without {field}");
    }
}

/// The schema of an answer of the document, with everything that it refers to.
fn schema_of(document: &Value, method: &str, path: &str, status: u16) -> Value {
    let responses = &document["paths"][path][method]["responses"];
    let mut response = &responses[status.to_string()];
    if let Some(reference) = response["$ref"].as_str() {
        response = document.pointer(reference.trim_start_matches('#')).unwrap();
    }
    let content =
        response["content"].as_object().unwrap_or_else(|| panic!("{method} {path} {status}"));
    let mut schema = content.values().next().unwrap()["schema"].clone();
    schema["components"] = document["components"].clone();
    schema
}

#[tokio::test]
async fn every_answer_keeps_the_document() {
    let document: Value = serde_json::from_str(OPENAPI).unwrap();
    let stage = Stage::new().await;
    let view = stage.rolled_back().await;
    let one = format!("/v1/rollbacks/{}", view.id);
    let mut second = deploy();
    second["id"] = "ci-43".into();
    stage.cd.set_history(fixtures::history(), Some("42".parse().unwrap()));
    let calls = [
        ("post", "/v1/deploys", "/v1/deploys".to_owned(), Some(second), 201),
        ("post", "/v1/deploys", "/v1/deploys".into(), Some(deploy()), 200),
        ("post", "/v1/deploys", "/v1/deploys".into(), Some(json!({})), 422),
        (
            "get",
            "/v1/services/{service}/{environment}",
            "/v1/services/checkout/production".into(),
            None,
            200,
        ),
        ("get", "/v1/services/{service}/{environment}", "/v1/services/a/b".into(), None, 404),
        ("post", "/v1/rollbacks", "/v1/rollbacks".into(), Some(proposal()), 201),
        ("post", "/v1/drills", "/v1/drills".into(), Some(proposal()), 201),
        (
            "post",
            "/v1/services/{service}/{environment}/freezes/{name}",
            "/v1/services/checkout/production/freezes/sale".into(),
            Some(json!({"reason": "sale"})),
            201,
        ),
        (
            "post",
            "/v1/services/{service}/{environment}/bad-revisions/{revision}",
            "/v1/services/checkout/production/bad-revisions/40".into(),
            Some(json!({"reason": "leaks"})),
            201,
        ),
        ("get", "/v1/rollbacks", "/v1/rollbacks".into(), None, 200),
        ("get", "/v1/rollbacks", "/v1/rollbacks?limit=0".into(), None, 400),
        ("get", "/v1/rollbacks/{id}", one, None, 200),
        ("get", "/v1/audit/verify", "/v1/audit/verify".into(), None, 200),
        ("get", "/v1/status", "/v1/status".into(), None, 200),
        ("get", "/healthz", "/healthz".into(), None, 200),
        ("get", "/readyz", "/readyz".into(), None, 200),
    ];
    for (method, path, address, body, status) in calls {
        let mut request = stage.call(&method.to_uppercase(), &address);
        if let Some(body) = &body {
            request = request.json(body);
        }
        let told = answer(request).await;
        assert_eq!(told.status, status, "{method} {address}: {told:?}");
        let schema = schema_of(&document, method, path, status);
        let errors: Vec<String> = jsonschema::draft202012::new(&schema)
            .unwrap()
            .iter_errors(&told.json())
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{method} {address}: {errors:?}");
    }
}

#[test]
fn the_document_is_openapi() {
    let Some(validator) = program("schemathesis", "bin/openapi-spec-validator") else { return };
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let said = Command::new(validator).arg(document).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
}

/// The document with the one service that is configured here, so that more than refusals is tried.
fn of_this_site(document: &str) -> String {
    let mut document: Value = serde_json::from_str(document).unwrap();
    let (service, environment) = (json!({"const": "checkout"}), json!({"const": "production"}));
    for (schema, field, value) in [
        ("DeployReport", "service", &service),
        ("DeployReport", "environment", &environment),
        ("Proposal", "service", &service),
        ("Proposal", "environment", &environment),
        ("Subject", "id", &service),
        ("EventEnvironment", "id", &environment),
    ] {
        let fields = &mut document["components"]["schemas"][schema]["properties"];
        assert!(fields[field].is_object(), "{schema} has no {field}");
        fields[field] = value.clone();
    }
    document.to_string()
}

/// A tool that reads the document and tries to prove that the server does not keep it.
#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_nothing() {
    let Some(schemathesis) = program("schemathesis", "bin/schemathesis") else { return };
    let mut setup = Setup::default();
    setup.api.stream_for = Duration::from_millis(50);
    let stage = Stage::with(setup).await;
    stage.rolled_back().await;
    let folder = tempfile::tempdir().unwrap();
    let document = folder.path().join("openapi.json");
    std::fs::write(&document, of_this_site(OPENAPI)).unwrap();
    // Which revisions exist is known to no schema.
    let config = "[checks.positive_data_acceptance]\n\
                  expected-statuses = [\"2xx\", 401, 403, 404, 409, 422]\n";
    std::fs::write(folder.path().join("schemathesis.toml"), config).unwrap();
    let address = stage.address;
    let said = tokio::task::spawn_blocking(move || {
        Command::new(schemathesis)
            .current_dir(folder.path())
            .env("NO_COLOR", "1")
            .args(["run", "openapi.json", "--url", &format!("http://{address}")])
            .args(["--header", &format!("Authorization: Bearer {TOKEN}")])
            .args(["--max-examples", "20", "--seed", "20261122", "--workers", "1"])
            .output()
            .unwrap()
    })
    .await
    .unwrap();
    let words = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.status.success(), "{words}\n{}", String::from_utf8_lossy(&said.stderr));
    assert!(words.contains("Tested: 17"), "it did not try everything: {words}");
}
