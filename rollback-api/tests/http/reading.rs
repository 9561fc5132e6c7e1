//! How services and rollbacks are told, and how a rollback is proposed.

use crate::stage::{Setup, Stage, answer, deploy, proposal, until};
use rollback_core::RevisionId;
use rollback_core::ports::Query;
use rollback_testkit::fixtures;
use serde_json::{Value, json};

fn revision(id: &str, version: &str, deployed_at: &str) -> Value {
    json!({
        "id": id, "version": version, "commit": null, "deployed_at": deployed_at,
        "status": "succeeded", "restorable": true, "migrations": [], "names": [],
    })
}

/// A revision as a rollback has it: what identifies it.
fn reference(id: &str, version: &str) -> Value {
    json!({
        "id": id, "version": version, "commit": null, "deployed_at": null,
        "status": "unknown", "restorable": null, "migrations": null, "names": [],
    })
}

#[tokio::test]
async fn a_service_is_told_with_its_live_revision_its_target_and_its_guards() {
    let stage = Stage::new().await;
    let mut told = stage.get("/v1/services/checkout/production").await.json();
    let guards = told["guards"].take();
    let why = told["why"].take();
    assert!(why.as_str().unwrap().contains("41"), "{why}");
    assert_eq!(
        told,
        json!({
            "service": "checkout", "environment": "production",
            "live": revision("42", "2.14.0", "2026-11-22T09:20:00Z"),
            "target": revision("41", "2.13.4", "2026-11-21T09:30:00Z"),
            "why": null, "skipped": [], "guards": null, "freezes": [], "rollback": null,
        })
    );
    let guards = guards.as_array().unwrap();
    assert_eq!(guards.len(), 12);
    for guard in guards {
        assert_eq!(guard["verdict"], "pass", "{guard}");
        assert!(guard["name"].is_string() && guard["explanation"].is_string(), "{guard}");
    }
}

#[tokio::test]
async fn guards_are_told_as_they_stand_now() {
    let stage = Stage::new().await;
    let freeze = fixtures::freeze("holidays", Some(fixtures::at(9_999)));
    let (store, key) = (stage.store.as_ref(), fixtures::key());
    fixtures::change(store, &key, &freeze, fixtures::at(0)).await.unwrap();
    let told = stage.get("/v1/services/checkout/production").await.json();
    let guards = told["guards"].as_array().unwrap();
    let frozen = guards.iter().find(|guard| guard["name"] == "freeze").unwrap();
    assert_eq!(frozen["verdict"], "block");
    assert!(frozen["explanation"].as_str().unwrap().contains("holidays"), "{frozen}");
}

#[tokio::test]
async fn a_cd_system_that_does_not_answer_is_told_and_is_no_error() {
    let stage = Stage::new().await;
    stage.cd.cut();
    let told = stage.get("/v1/services/checkout/production").await;
    assert_eq!(told.status, 200, "{told:?}");
    let told = told.json();
    assert_eq!((&told["live"], &told["target"]), (&Value::Null, &Value::Null));
    assert!(!told["why"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn a_service_that_is_not_configured_or_cannot_exist_is_not_found() {
    let stage = Stage::new().await;
    for path in [
        "/v1/services/billing/production",
        "/v1/services/checkout/staging",
        "/v1/services/a%2Fb/production",
        "/v1/services/..%2f..%2fetc/passwd",
        "/v1/services/a%00/production",
        "/v1/services/%ff/production",
        "/v1/services/%20/production",
        "/v1/services/checkout",
        "/v1/services/checkout/production/more",
        "/v1/services//production",
    ] {
        stage.get(path).await.problem(404);
    }
}

#[tokio::test]
async fn a_proposal_posts_a_prompt_and_executes_nothing() {
    let stage = Stage::new().await;
    stage.post("/v1/deploys", &deploy()).await;
    let proposed = stage.post("/v1/rollbacks", &proposal()).await;
    assert_eq!(proposed.status, 201, "{proposed:?}");
    assert_eq!(proposed.json(), json!({"id": "rb-2", "state": "proposed"}));
    assert_eq!(proposed.header("location"), "/v1/rollbacks/rb-2");
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    let mut told = stage.get("/v1/rollbacks/rb-2").await.json();
    let explanation = told["explanation"].take();
    assert!(!explanation.as_str().unwrap().is_empty());
    assert_eq!(told["from"]["commit"].take(), "9f3c2ab", "as it was reported");
    let opened_at = told["opened_at"].take();
    assert!(opened_at.as_str().unwrap().starts_with("2026-11-22T09:3"), "{opened_at}");
    assert_eq!(
        told,
        json!({
            "id": "rb-2", "service": "checkout", "environment": "production",
            "state": "proposed", "from": reference("42", "2.14.0"),
            "to": reference("41", "2.13.4"), "requested_by": null, "approved_by": [],
            "proposed_by": {"id": "agent-7", "name": "Watcher"},
            "reason": "error rate is up 4x", "guards": [], "execution": null,
            "opened_at": null, "ended_at": null, "explanation": null, "drill": false,
            "deploy": "ci-42", "rule": null, "break_glass": false, "acknowledged": [],
            "put_aside": false, "settled": null,
        })
    );
    assert_eq!((stage.cd.sends(), stage.cd.effects()), (0, 0));
}

#[tokio::test]
async fn a_proposal_may_name_its_target_which_must_be_in_the_history() {
    let stage = Stage::new().await;
    let mut named = proposal();
    named["target"] = "40".into();
    let id = stage.post("/v1/rollbacks", &named).await.json()["id"].as_str().unwrap().to_owned();
    let told = stage.get(&format!("/v1/rollbacks/{id}")).await.json();
    assert_eq!(told["to"], reference("40", "2.13.3"));
    for absent in ["39", "42"] {
        named["target"] = absent.into();
        let refused = stage.post("/v1/rollbacks", &named).await;
        assert_eq!(refused.pointers(), ["#/target"], "{refused:?}");
    }
    let rollbacks = stage.engine.rollbacks(&Query::all(9)).await.unwrap();
    assert_eq!(rollbacks.len(), 1);
}

#[tokio::test]
async fn a_revision_is_named_as_the_team_knows_it_and_told_by_its_identity() {
    let stage = Stage::new().await;
    let mut live = fixtures::revision("43@1a2b", "2.15.0", stage.engine.now());
    live.call("43".parse().unwrap(), live.deployed_at);
    live.call("45".parse().unwrap(), live.deployed_at);
    stage.cd.deploy(live);
    let mut report = deploy();
    report["id"] = "ci-43".into();
    report["revision"] = "43".into();
    report["deployed_at"] = stage.engine.now().to_string().into();
    assert_eq!(stage.post("/v1/deploys", &report).await.json()["target"]["id"], "42");
    let kept = stage.store.deploy(&"ci-43".parse().unwrap()).await.unwrap().unwrap().deploy;
    assert_eq!(kept.revision.unwrap().as_str(), "43@1a2b");
    let told = stage.get("/v1/services/checkout/production").await.json();
    assert_eq!(
        (&told["live"]["id"], &told["live"]["names"]),
        (&json!("43@1a2b"), &json!(["43", "45"]))
    );

    let mut named = proposal();
    named["target"] = "44".into();
    let refused = stage.post("/v1/rollbacks", &named).await;
    assert_eq!(refused.pointers(), ["#/target"], "{refused:?}");
    assert!(refused.text.contains("`43` (`43@1a2b`), `42`, `41`"), "{}", refused.text);
}

#[tokio::test]
async fn every_bad_field_of_a_proposal_is_named_at_once() {
    let stage = Stage::new().await;
    let bad = json!({
        "service": "", "environment": "a b", "target": 41, "reason": "  ",
        "proposed_by": {"id": "", "name": 7},
    });
    assert_eq!(
        stage.post("/v1/rollbacks", &bad).await.pointers(),
        [
            "#/service",
            "#/environment",
            "#/target",
            "#/reason",
            "#/proposed_by/id",
            "#/proposed_by/name"
        ]
    );
    let missing = stage.post("/v1/rollbacks", &json!({})).await.pointers();
    let expected = ["#/service", "#/environment", "#/reason", "#/proposed_by", "#/proposed_by/id"];
    assert_eq!(missing, expected);
    let mut misspelt = proposal();
    (misspelt["targett"], misspelt["drill"]) = ("40".into(), true.into());
    misspelt["proposed_by"]["nmae"] = "Watcher".into();
    let unknown = stage.post("/v1/rollbacks", &misspelt).await.pointers();
    assert_eq!(unknown, ["#/drill", "#/targett", "#/proposed_by/nmae"]);
    let mut elsewhere = proposal();
    elsewhere["service"] = "billing".into();
    assert_eq!(stage.post("/v1/rollbacks", &elsewhere).await.pointers(), ["#/service"]);
}

#[tokio::test]
async fn without_anything_to_go_back_to_a_proposal_is_a_conflict() {
    let stage = Stage::new().await;
    let only = fixtures::history().into_iter().take(1).collect();
    stage.cd.set_history(only, Some(RevisionId::parse("42").unwrap()));
    stage.post("/v1/rollbacks", &proposal()).await.problem(409);
}

#[tokio::test]
async fn a_rollback_is_told_from_its_click_to_its_end() {
    let stage = Stage::new().await;
    let view = stage.rolled_back().await;
    let mut told = stage.get(&format!("/v1/rollbacks/{}", view.id)).await.json();
    assert!(told["explanation"].take().is_string());
    for time in ["opened_at", "ended_at"] {
        let at = told[time].take();
        assert!(rollback_core::Timestamp::parse(at.as_str().unwrap()).is_ok(), "{time}: {at}");
    }
    let guards = told["guards"].take();
    assert_eq!(guards.as_array().unwrap().len(), 12);
    let mut from = reference("42", "2.14.0");
    from["commit"] = "9f3c2ab".into();
    let execution = told["execution"].take();
    assert_eq!(execution["backend"], "prod");
    assert!(execution["id"].is_string());
    assert_eq!(
        told,
        json!({
            "id": view.id.as_str(), "service": "checkout", "environment": "production",
            "state": "succeeded", "from": from,
            "to": reference("41", "2.13.4"),
            "requested_by": {"id": "U02ANA", "name": "Ana"}, "approved_by": [],
            "proposed_by": null, "reason": "error rate is up 4x", "guards": null,
            "execution": null, "opened_at": null, "ended_at": null, "explanation": null,
            "drill": false, "deploy": "ci-42",
            "rule": "checkout owners", "break_glass": false, "acknowledged": [], "put_aside": false, "settled": null,
        })
    );
}

#[tokio::test]
async fn a_rollback_that_another_process_drives_is_told_as_the_store_has_it() {
    use rollback_testkit::script::{Ending, Script};
    let stage = Stage::with(Setup { runs: false, ..Setup::default() }).await;
    let commits = Script::new("rb-far").commits(Ending::Succeeded);
    let mut states = Vec::new();
    for commit in commits {
        stage.store.commit(commit).await.unwrap();
        let told = stage.get("/v1/rollbacks/rb-far").await.json();
        states.push(told["state"].as_str().unwrap().to_owned());
    }
    states.dedup();
    assert_eq!(states.first().map(String::as_str), Some("confirming"), "{states:?}");
    assert_eq!(states.last().map(String::as_str), Some("succeeded"));
    let known = [
        "proposed",
        "confirming",
        "approving",
        "checking",
        "triggering",
        "running",
        "verifying",
        "succeeded",
    ];
    assert!(states.iter().all(|state| known.contains(&state.as_str())), "{states:?}");
}

async fn ids(stage: &Stage, query: &str) -> Vec<String> {
    let told = stage.get(&format!("/v1/rollbacks{query}")).await.json();
    let rollbacks = told["rollbacks"].as_array().unwrap().clone();
    rollbacks.iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn rollbacks_are_listed_newest_first_by_service_environment_and_state() {
    use rollback_testkit::script::{Ending, Script};
    let stage = Stage::with(Setup { runs: false, ..Setup::default() }).await;
    for (number, (id, environment, ending)) in [
        ("rb-old", "production", Ending::Succeeded),
        ("rb-staging", "staging", Ending::Failed),
        ("rb-new", "production", Ending::Failed),
    ]
    .into_iter()
    .enumerate()
    {
        let opened = fixtures::at(60 * u64::try_from(number).unwrap());
        let script = Script::new(id).of("checkout", environment).opened_at(opened);
        for commit in script.commits(ending) {
            stage.store.commit(commit).await.unwrap();
        }
    }
    let checking = Script::new("rb-open").of("billing", "production").commits(Ending::Succeeded);
    stage.store.commit(checking.into_iter().next().unwrap()).await.unwrap();
    for (query, expected) in [
        ("", vec!["rb-new", "rb-staging", "rb-open", "rb-old"]),
        ("?service=&environment=&state=", vec!["rb-new", "rb-staging", "rb-open", "rb-old"]),
        ("?service=checkout", vec!["rb-new", "rb-staging", "rb-old"]),
        ("?service=checkout&environment=production", vec!["rb-new", "rb-old"]),
        ("?state=failed", vec!["rb-new", "rb-staging"]),
        ("?state=confirming", vec!["rb-open"]),
        ("?state=not_verified", vec![]),
        ("?limit=1", vec!["rb-new"]),
    ] {
        let mut found = ids(&stage, query).await;
        let mut expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
        if !query.starts_with("?s") || !query.contains("service=checkout") {
            // Two were opened at the same moment.
            found.sort();
            expected.sort();
        }
        assert_eq!(found, expected, "{query}");
    }
}

/// An empty list would say that it was never rolled back.
#[tokio::test]
async fn a_list_of_a_service_that_nobody_knows_is_refused_by_its_name() {
    let stage = Stage::new().await;
    for (query, parameter, named) in [
        ("service=nosuch", "service", "nosuch"),
        ("service=nosuch&state=failed", "service", "nosuch"),
        ("environment=nowhere", "environment", "nowhere"),
        ("service=nosuch&environment=production", "service", "nosuch"),
        ("service=checkout&environment=nowhere", "environment", "nowhere"),
    ] {
        let problem = stage.get(&format!("/v1/rollbacks?{query}")).await.problem(422);
        assert_eq!(problem["errors"][0]["parameter"], parameter, "{query}: {problem}");
        let detail = problem["errors"][0]["detail"].as_str().unwrap();
        assert!(detail.contains(named), "{query}: {detail}");
    }
    // One that is configured has not been rolled back yet.
    let told = stage.get("/v1/rollbacks?service=checkout&environment=production").await;
    assert_eq!((told.status, told.json()), (200, json!({"rollbacks": []})));
}

/// What became of its rollbacks stays readable.
#[tokio::test]
async fn a_service_that_is_no_longer_configured_is_listed_as_long_as_it_has_rollbacks() {
    use rollback_testkit::script::{Ending, Script};
    let stage = Stage::new().await;
    for commit in Script::new("rb-gone").of("gone", "production").commits(Ending::Failed) {
        stage.store.commit(commit).await.unwrap();
    }
    assert_eq!(ids(&stage, "?service=gone").await, ["rb-gone"]);
    assert!(ids(&stage, "?service=gone&state=succeeded").await.is_empty());
}

#[tokio::test]
async fn an_odd_query_is_refused_by_the_name_of_its_parameter() {
    let stage = Stage::new().await;
    for (path, named) in [
        ("/v1/rollbacks?service=a&service=b", "service"),
        ("/v1/rollbacks?servce=a", "servce"),
        ("/v1/rollbacks?service=../x", "service"),
        ("/v1/rollbacks?environment=%00", "environment"),
        ("/v1/rollbacks?state=done", "state"),
        ("/v1/rollbacks?state=authorizing", "state"),
        ("/v1/rollbacks?limit=0", "limit"),
        ("/v1/rollbacks?limit=1001", "limit"),
        ("/v1/audit?after=-1", "after"),
        ("/v1/audit?limit=ten", "limit"),
        ("/v1/audit?after=9007199254740992", "after"),
        ("/v1/audit/verify?deep=1", "deep"),
    ] {
        let problem = stage.get(path).await.problem(400);
        assert_eq!(problem["errors"][0]["parameter"], named, "{path}");
    }
}

#[tokio::test]
async fn a_rollback_that_is_not_known_is_not_found() {
    let stage = Stage::new().await;
    for path in ["rb-9", "..", "%2e%2e", "a%2fb", "rb-9/events", "%00", "%ff"] {
        stage.get(&format!("/v1/rollbacks/{path}")).await.problem(404);
    }
}

#[tokio::test]
async fn a_stopped_engine_takes_nothing_and_says_when_to_try_again() {
    let stage = Stage::with(Setup { runs: false, ..Setup::default() }).await;
    let ready = answer(stage.request("GET", "/readyz")).await;
    ready.problem(503);
    assert!(!ready.header("retry-after").is_empty());
    assert_eq!(answer(stage.request("GET", "/healthz")).await.status, 200);
    let stage = Stage::new().await;
    until("ready", async || {
        (answer(stage.request("GET", "/readyz")).await.status == 200).then_some(())
    })
    .await;
    let body = answer(stage.request("GET", "/readyz")).await.json();
    assert_eq!(body, json!({"status": "ready"}));
}

#[tokio::test]
async fn a_settled_rollback_says_who_settled_it_and_how_they_know() {
    use rollback_testkit::script::{Ending, Script};
    let stage = Stage::with(Setup { runs: false, ..Setup::default() }).await;
    for (environment, ending) in [("staging", Ending::Unknown), ("production", Ending::Settled)] {
        let script = Script::new(environment).of("checkout", environment);
        for mut commit in script.commits(ending) {
            if let Some(settlement) = &mut commit.view.settlement {
                settlement.outcome = Some(rollback_core::Outcome::Partly);
            }
            stage.store.commit(commit).await.unwrap();
        }
    }
    let told = stage.get("/v1/rollbacks/staging").await.json();
    assert!(told["settled"].is_null(), "{told}");
    let told = stage.get("/v1/rollbacks/production").await.json();
    let settled = &told["settled"];
    assert_eq!((&settled["outcome"], &settled["by"]["id"]), (&json!("partly"), &json!("U02ANA")));
    assert_eq!(settled["reason"], "error rate is up 4x");
    assert!(settled["at"].as_str().is_some(), "{told}");
}
