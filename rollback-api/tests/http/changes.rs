//! Freezes, marks on revisions, drills and repeated proposals, over the wire.

use crate::stage::{NEXT_TOKEN, Stage, answer, deploy, proposal};
use rollback_core::ports::Query;
use serde_json::{Value, json};

const FREEZE: &str = "/v1/services/checkout/production/freezes/black%20friday";
const MARK: &str = "/v1/services/checkout/production/bad-revisions/41";

async fn delete(stage: &Stage, path: &str) -> crate::stage::Answer {
    answer(stage.call("DELETE", path)).await
}

async fn service(stage: &Stage) -> Value {
    stage.get("/v1/services/checkout/production").await.json()
}

fn guard<'a>(told: &'a Value, name: &str) -> &'a Value {
    let guards = told["guards"].as_array().unwrap();
    guards.iter().find(|guard| guard["name"] == name).unwrap()
}

#[tokio::test]
async fn a_freeze_is_set_told_and_lifted() {
    let stage = Stage::new().await;
    let body = json!({"reason": "no change before Monday", "until": "2027-01-01T00:00:00Z"});
    let set = stage.post(FREEZE, &body).await;
    assert_eq!(set.status, 201, "{set:?}");
    assert_eq!(set.json(), json!({"service": "checkout", "environment": "production"}));
    let mut told = service(&stage).await;
    let frozen = guard(&told, "freeze");
    assert_eq!(frozen["verdict"], "block");
    assert!(frozen["explanation"].as_str().unwrap().contains("no change before Monday"));
    let from = told["freezes"][0]["from"].take();
    assert!(from.as_str().unwrap().starts_with("2026-11-22T09:29:5"), "{from}");
    assert_eq!(
        told["freezes"],
        json!([{
            "name": "black friday", "from": null, "until": "2027-01-01T00:00:00Z",
            "reason": "no change before Monday", "by": "the HTTP API",
        }])
    );
    assert_eq!(delete(&stage, FREEZE).await.status, 204);
    assert_eq!(service(&stage).await["freezes"], json!([]));
    delete(&stage, FREEZE).await.problem(404);
}

#[tokio::test]
async fn what_is_wrong_with_a_freeze_is_named_and_nothing_is_frozen() {
    let stage = Stage::new().await;
    for (body, pointers) in [
        (json!({}), vec!["#/reason"]),
        (json!({"reason": " \u{200b}", "until": "tomorrow"}), vec!["#/reason", "#/until"]),
        (json!({"reason": "late", "until": "2020-01-01T00:00:00Z"}), vec!["#/until"]),
    ] {
        assert_eq!(stage.post(FREEZE, &body).await.pointers(), pointers, "{body}");
    }
    let good = json!({"reason": "sale"});
    stage.post("/v1/services/billing/production/freezes/sale", &good).await.problem(404);
    stage.post("/v1/services/checkout/production/freezes/%20", &good).await.problem(404);
    let anonymous = stage.request("POST", FREEZE).json(&good);
    answer(anonymous).await.problem(401);
    assert_eq!(service(&stage).await["freezes"], json!([]));
}

#[tokio::test]
async fn a_revision_that_is_marked_bad_is_no_target_until_that_is_taken_back() {
    let stage = Stage::new().await;
    let marked = stage.post(MARK, &json!({"reason": "leaks memory"})).await;
    assert_eq!(marked.status, 201, "{marked:?}");
    let told = service(&stage).await;
    assert_eq!(told["target"]["id"], "40");
    assert!(told["skipped"][0]["why"].as_str().unwrap().contains("leaks memory"), "{told}");
    assert_eq!(delete(&stage, MARK).await.status, 204);
    assert_eq!(service(&stage).await["target"]["id"], "41");
    delete(&stage, MARK).await.problem(404);
    let nobody = "/v1/services/checkout/production/bad-revisions/999";
    stage.post(nobody, &json!({"reason": "leaks"})).await.problem(409);
}

#[tokio::test]
async fn each_change_is_on_record_with_the_token_that_made_it() {
    let stage = Stage::new().await;
    stage.post(FREEZE, &json!({"reason": "sale"})).await;
    delete(&stage, FREEZE).await;
    stage.post(MARK, &json!({"reason": "leaks"})).await;
    delete(&stage, MARK).await;
    let log = stage.get("/v1/audit").await.text;
    let records: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = records.iter().map(|one| one["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["frozen", "unfrozen", "marked_bad", "unmarked_bad"]);
    for record in &records {
        assert_eq!(record["actor"]["id"], "api:default");
        assert_eq!(record["decision"], "allowed by `token default: operate`");
        assert!(record.get("operation_id").is_none() && record["change"].is_object(), "{record}");
    }
    assert_eq!(records[0]["change"], json!({"freeze": "black friday"}));
    assert_eq!(records[2]["change"], json!({"revision": "41"}));
    assert_eq!(stage.get("/v1/audit/verify").await.json()["ok"], true);
}

#[tokio::test]
async fn a_drill_is_opened_and_never_ordered() {
    let stage = Stage::new().await;
    stage.post("/v1/deploys", &deploy()).await;
    let opened = stage.post("/v1/drills", &proposal()).await;
    assert_eq!(opened.status, 201, "{opened:?}");
    let place = opened.header("location").to_owned();
    assert_eq!(stage.get(&place).await.json()["drill"], true);
    let id = opened.json()["id"].as_str().unwrap().parse().unwrap();
    let on = rollback_core::ports::ClickedOn::Proposal(id);
    let ana = rollback_testkit::fixtures::ana();
    use rollback_core::ports::Commands as _;
    let view = stage.engine.click(&on, ana.actor()).await.unwrap();
    let view = stage.confirm(view, &ana).await;
    assert_eq!(stage.ended(&view.id).await.state, rollback_core::StateName::Succeeded);
    assert_eq!((stage.cd.sends(), stage.cd.effects()), (0, 0));
    stage.post("/v1/drills", &json!({})).await.problem(422);
}

#[tokio::test]
async fn a_freeze_whose_end_is_misspelt_is_refused_and_holds_for_nobody() {
    let stage = Stage::new().await;
    let misspelt = json!({"reason": "sale", "untill": "2026-12-24T00:00:00Z"});
    let path = "/v1/services/checkout/production/freezes/sale";
    assert_eq!(stage.post(path, &misspelt).await.pointers(), ["#/untill"]);
    let told = stage.get("/v1/services/checkout/production").await.json();
    assert_eq!(told["freezes"], json!([]));
}

#[tokio::test]
async fn a_repeat_under_an_idempotency_key_is_the_same_proposal() {
    let stage = Stage::new().await;
    let propose = |token: &'static str, key: &'static str, body: Value| {
        let request = stage.request("POST", "/v1/rollbacks").bearer_auth(token).json(&body);
        answer(request.header("idempotency-key", key))
    };
    let first = propose(crate::stage::TOKEN, "alert-4711", proposal()).await;
    assert_eq!(first.status, 201, "{first:?}");
    let again = propose(crate::stage::TOKEN, "alert-4711", proposal()).await;
    assert_eq!((again.status, again.text), (201, first.text.clone()));
    let mut other = proposal();
    other["reason"] = "something else".into();
    let refused = propose(crate::stage::TOKEN, "alert-4711", other).await;
    let detail = refused.problem(409)["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains(first.json()["id"].as_str().unwrap()), "{detail}");
    // What another caller calls so is something else.
    let theirs = propose(NEXT_TOKEN, "alert-4711", proposal()).await;
    assert_ne!(theirs.text, first.text);
    let all = stage.engine.rollbacks(&Query::all(9)).await.unwrap();
    assert_eq!(all.len(), 2);
}

#[tokio::test]
async fn an_odd_idempotency_key_is_refused_by_the_name_of_its_header() {
    let stage = Stage::new().await;
    for keys in [vec![""], vec!["a", "b"], vec!["a".repeat(256).leak()], vec!["\u{e9}"]] {
        let mut request = stage.call("POST", "/v1/rollbacks").json(&proposal());
        for key in &keys {
            request = request.header("idempotency-key", *key);
        }
        let problem = answer(request).await.problem(400);
        assert_eq!(problem["errors"][0]["header"], "idempotency-key", "{keys:?}");
    }
}
