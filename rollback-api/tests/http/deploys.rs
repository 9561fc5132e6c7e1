//! Deploys come in, in every form, once.

use crate::stage::{Answer, Stage, TOKEN, answer, deploy};
use proptest::prelude::*;
use serde_json::{Value, json};

fn taken() -> Value {
    json!({
        "id": "ci-42", "service": "checkout", "environment": "production",
        "target": {
            "id": "41", "version": "2.13.4", "commit": null,
            "deployed_at": "2026-11-21T09:30:00Z", "status": "succeeded",
            "restorable": true, "migrations": [], "names": [],
        },
        "why": "`41` is the newest revision before `42` that is known to be good",
        "skipped": [],
    })
}

#[tokio::test]
async fn a_deploy_is_taken_once_and_its_answer_says_the_way_back() {
    let stage = Stage::new().await;
    let first = stage.post("/v1/deploys", &deploy()).await;
    assert_eq!(first.status, 201, "{first:?}");
    assert_eq!(first.header("content-type"), "application/json");
    let mut told = first.json();
    let why = told["why"].as_str().unwrap().to_owned();
    assert!(why.contains("41"), "{why}");
    let mut expected = taken();
    (told["why"], expected["why"]) = (Value::Null, Value::Null);
    assert_eq!(told, expected);

    let again = stage.post("/v1/deploys", &deploy()).await;
    assert_eq!((again.status, again.json()), (200, first.json()), "a repeat changes nothing");
}

#[tokio::test]
async fn a_known_id_with_other_content_is_a_conflict_that_names_the_fields_and_changes_nothing() {
    let stage = Stage::new().await;
    let first = stage.post("/v1/deploys", &deploy()).await.json();
    let kept = stage.store.deploy(&"ci-42".parse().unwrap()).await.unwrap();
    for (field, value) in [
        ("version", json!("9.9.9")),
        ("commit", Value::Null),
        ("revision", json!("41")),
        ("revision", Value::Null),
        ("deployer", json!({"name": "Bo", "slack_user_id": "U09EVE"})),
        ("changelog_url", json!("https://git.example.com/other")),
        ("deployed_at", json!("2026-11-22T09:30:01Z")),
        ("migrations", json!([{"id": "m1", "reversible": "no"}])),
    ] {
        let mut other = deploy();
        other[field] = value;
        let answer = stage.post("/v1/deploys", &other).await;
        let detail = answer.problem(409)["detail"].as_str().unwrap().to_owned();
        for words in [format!("`{field}`").as_str(), "`ci-42`", "nothing was changed"] {
            assert!(detail.contains(words), "{words} is not in: {detail}");
        }
    }
    assert_eq!(stage.store.deploy(&"ci-42".parse().unwrap()).await.unwrap(), kept);
    let again = stage.post("/v1/deploys", &deploy()).await;
    assert_eq!((again.status, again.json()), (200, first));
    // What the engine filled in itself is no other content.
    let mut nameless = deploy();
    (nameless["id"], nameless["revision"]) = ("ci-nameless".into(), Value::Null);
    assert_eq!(stage.post("/v1/deploys", &nameless).await.status, 201);
    assert_eq!(stage.post("/v1/deploys", &nameless).await.status, 200);
}

#[tokio::test]
async fn ids_that_only_we_give_are_nobodys_to_report() {
    let stage = Stage::new().await;
    for id in ["found:checkout:production:42", "found:x", "cloudevent:/ci/acme#1"] {
        let mut squatter = deploy();
        squatter["id"] = id.into();
        let answer = stage.post("/v1/deploys", &squatter).await;
        assert_eq!(answer.pointers(), ["#/id"], "{id}");
        assert!(answer.text.contains("reserved"), "{answer:?}");
        assert_eq!(stage.store.deploy(&id.parse().unwrap()).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_proposal_goes_to_its_own_team_whoever_took_the_id_of_the_deploy_that_was_found() {
    let stage = Stage::new().await;
    // As an earlier release kept it: reported by whoever wants the proposals of `checkout`.
    let mail =
        rollback_core::ServiceKey::new("mail".parse().unwrap(), "production".parse().unwrap());
    let id = "found:checkout:production:42";
    let taken = rollback_core::Deploy::new(id.parse().unwrap(), mail, "1", stage.engine.now());
    let choice = rollback_core::known_good::Choice::none("nobody looked");
    let card = rollback_core::notice::DeployCard::new(taken, None, choice);
    stage.store.save_deploy(&card, Vec::new()).await.unwrap();
    let mut deploys = Vec::new();
    for _proposal in 0..2 {
        let answer = stage.post("/v1/rollbacks", &crate::stage::proposal()).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let id = answer.json()["id"].as_str().unwrap().parse().unwrap();
        let deploy = stage.engine.rollback(&id).await.unwrap().unwrap().deploy.unwrap();
        let found = stage.store.deploy(&deploy).await.unwrap().unwrap().deploy;
        assert_eq!(found.service.as_str(), "checkout");
        deploys.push(deploy);
    }
    assert_eq!(deploys[0], deploys[1], "it is found again");
}

#[tokio::test]
async fn identities_as_long_as_they_may_be_are_taken_the_whole_way_and_longer_ones_named() {
    let stage = Stage::new().await;
    let long = |letter: &str| letter.repeat(rollback_core::ID_LENGTH_MAX);
    let (from, to) = (long("f"), long("t"));
    let history = [&from, &to].map(|id| {
        rollback_testkit::fixtures::revision(id, "1.0.0", rollback_testkit::fixtures::at(0))
    });
    stage.cd.set_history(history.to_vec(), Some(from.parse().unwrap()));
    // Nobody reported the deploy: its id is made of the service and the revision.
    let answer = stage.post("/v1/rollbacks", &crate::stage::proposal()).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let mut named = crate::stage::proposal();
    named["target"] = to.as_str().into();
    assert_eq!(stage.post("/v1/rollbacks", &named).await.status, 201);
    let mut body = deploy();
    (body["id"], body["revision"]) = (long("i").into(), from.as_str().into());
    body["deployed_at"] = stage.engine.now().to_string().into();
    let answer = stage.post("/v1/deploys", &body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let view = stage.roll_back(&long("i"), &rollback_testkit::fixtures::ana()).await;
    assert_eq!(stage.ended(&view.id).await.state, rollback_core::StateName::Succeeded);
    for field in ["id", "revision", "service", "environment"] {
        let mut body = deploy();
        body[field] = format!("{}x", long("i")).into();
        let answer = stage.post("/v1/deploys", &body).await;
        assert_eq!(answer.pointers(), [format!("#/{field}")]);
        assert!(answer.text.contains("has 256 bytes; at most 255 are accepted"), "{answer:?}");
    }
}

#[tokio::test]
async fn a_deployer_is_one_person_and_a_text_has_something_to_see() {
    let stage = Stage::new().await;
    for id in
        ["U1,U2", "U02ANA|U03BO", "S0PAYMENTS", "C0DEPLOYS", "channel", "U", "u02ana", "U02ANA "]
    {
        let mut body = deploy();
        body["deployer"]["slack_user_id"] = id.into();
        let answer = stage.post("/v1/deploys", &body).await;
        assert_eq!(answer.pointers(), ["#/deployer/slack_user_id"], "{id}");
    }
    for unseen in ["\u{200b}", " \u{2060}\t", "\u{1d173}\u{e0041}", "\u{2800}", "\u{3164}"] {
        let mut body = deploy();
        body["version"] = unseen.into();
        body["deployer"]["name"] = unseen.into();
        let answer = stage.post("/v1/deploys", &body).await;
        let mut pointers = answer.pointers();
        pointers.sort();
        assert_eq!(pointers, ["#/deployer/name", "#/version"], "{unseen:?}");
        let mut proposal = crate::stage::proposal();
        proposal["reason"] = unseen.into();
        proposal["proposed_by"]["name"] = unseen.into();
        let mut pointers = stage.post("/v1/rollbacks", &proposal).await.pointers();
        pointers.sort();
        assert_eq!(pointers, ["#/proposed_by/name", "#/reason"], "{unseen:?}");
    }
}

#[tokio::test]
async fn an_id_of_another_services_deploy_is_a_conflict_and_changes_nothing() {
    let stage = Stage::new().await;
    stage.post("/v1/deploys", &deploy()).await;
    let kept = stage.store.deploy(&"ci-42".parse().unwrap()).await.unwrap();
    let mut other = deploy();
    other["environment"] = "staging".into();
    let answer = stage.post("/v1/deploys", &other).await;
    assert_eq!(answer.pointers(), ["#/service"], "it is not configured");
    assert_eq!(stage.store.deploy(&"ci-42".parse().unwrap()).await.unwrap(), kept);
}

#[tokio::test]
async fn an_older_deploy_that_is_reported_late_neither_becomes_current_nor_gets_a_button() {
    let stage = Stage::new().await;
    let current = stage.post("/v1/deploys", &deploy()).await.json();
    for revision in [json!("41"), Value::Null] {
        let mut late = deploy();
        late["id"] = format!("ci-late-{revision}").replace('"', "").into();
        late["version"] = "2.13.4".into();
        late["revision"] = revision;
        late["deployed_at"] = "2026-11-21T09:30:00Z".into();
        let answer = stage.post("/v1/deploys", &late).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(answer.json()["target"], Value::Null);
        let why = answer.json()["why"].as_str().unwrap().to_owned();
        assert!(why.contains("newer") && why.contains("2.14.0"), "{why}");
    }
    let service = stage.get("/v1/services/checkout/production").await.json();
    assert_eq!(service["live"]["id"], "42");
    assert_eq!(
        service["target"]["id"], current["target"]["id"],
        "the newer deploy keeps its way back"
    );
    let card = stage.store.deploy(&"ci-42".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(card.superseded_by, None);
}

#[tokio::test]
async fn a_deploy_from_the_future_is_refused_for_it_would_be_the_newest_for_ever() {
    let stage = Stage::new().await;
    let mut ahead = deploy();
    ahead["deployed_at"] = "2099-01-01T00:00:00Z".into();
    let answer = stage.post("/v1/deploys", &ahead).await;
    assert_eq!(answer.status, 422, "{answer:?}");
    assert_eq!(answer.json()["errors"][0]["pointer"], "#/deployed_at");
    assert_eq!(stage.post("/v1/deploys", &deploy()).await.status, 201, "nothing was kept");
}

/// Two people in one id would be a deployer who is nobody, and who is told nothing.
#[tokio::test]
async fn two_people_in_one_id_are_not_one_deployer() {
    let stage = Stage::new().await;
    for two in ["U02ANA,U03BO", "U02ANA;U03BO", "S0PAYMENTS", "u02ana", "U"] {
        let mut report = deploy();
        report["deployer"]["slack_user_id"] = two.into();
        let answer = stage.post("/v1/deploys", &report).await;
        assert_eq!(
            (answer.status, answer.pointers()),
            (422, vec!["#/deployer/slack_user_id".into()]),
            "{two}"
        );
    }
}

#[tokio::test]
async fn every_bad_field_is_named_at_once() {
    let stage = Stage::new().await;
    let bad = json!({
        "id": "has spaces", "service": "../etc", "environment": 7, "version": "",
        "commit": "x".repeat(301), "revision": "-rf", "deployed_at": "yesterday",
        "deployer": {"slack_user_id": "<@U1>", "name": ["x"]},
        "changelog_url": "javascript:alert(1)",
        "migrations": [{"id": "a", "reversible": "maybe"}, 7, {"reversible": "no"}],
    });
    let answer = stage.post("/v1/deploys", &bad).await;
    let mut pointers = answer.pointers();
    pointers.sort();
    assert_eq!(
        pointers,
        [
            "#/changelog_url",
            "#/commit",
            "#/deployed_at",
            "#/deployer/name",
            "#/deployer/slack_user_id",
            "#/environment",
            "#/id",
            "#/migrations/0/reversible",
            "#/migrations/1",
            "#/migrations/2/id",
            "#/revision",
            "#/service",
            "#/version",
        ]
    );
    let missing = stage.post("/v1/deploys", &json!({})).await.pointers();
    assert_eq!(missing, ["#/id", "#/service", "#/environment", "#/version", "#/deployed_at"]);
    for (body, place) in [(json!([]), "#"), (json!("x"), "#"), (json!(null), "#")] {
        assert_eq!(stage.post("/v1/deploys", &body).await.pointers(), [place], "{body}");
    }
}

#[tokio::test]
async fn what_is_optional_may_be_absent_or_null() {
    let stage = Stage::new().await;
    for (number, absent) in
        ["commit", "revision", "deployer", "changelog_url", "migrations"].into_iter().enumerate()
    {
        let mut body = deploy();
        body["id"] = format!("ci-null-{number}").into();
        body[absent] = Value::Null;
        assert_eq!(stage.post("/v1/deploys", &body).await.status, 201, "{absent} null");
        body["id"] = format!("ci-absent-{number}").into();
        body.as_object_mut().unwrap().remove(absent);
        assert_eq!(stage.post("/v1/deploys", &body).await.status, 201, "{absent} absent");
    }
    let mut unknown = deploy();
    unknown["id"] = "ci-extra".into();
    unknown["added_later"] = json!({"by": "a newer client"});
    assert_eq!(stage.post("/v1/deploys", &unknown).await.status, 201);
}

#[tokio::test]
async fn migrations_that_nobody_told_leave_no_way_back_and_say_so() {
    let stage = Stage::new().await;
    // The fake's history knows that `42` brought none; here it knows nothing.
    let mut history = rollback_testkit::fixtures::history();
    history[0].migrations = rollback_core::Migrations::Unknown;
    stage.cd.set_history(history, Some("42".parse().unwrap()));
    let mut body = deploy();
    body.as_object_mut().unwrap().remove("migrations");
    let told = stage.post("/v1/deploys", &body).await.json();
    assert_eq!(told["target"], Value::Null, "{told}");
    let skipped = told["skipped"][0]["why"].as_str().unwrap();
    assert!(skipped.contains("migrations"), "{told}");
}

fn cdevent() -> Value {
    json!({
        "context": {
            "specversion": "0.5.1", "id": "271069a8-fc18", "source": "/ci/acme",
            "type": "dev.cdevents.service.deployed.0.3.0",
            "timestamp": "2026-11-22T09:30:00Z",
        },
        "subject": {
            "id": "checkout", "source": "/cluster/eu",
            "content": {
                "environment": {"id": "production", "source": "/cluster/eu"},
                "artifactId": "pkg:oci/checkout@sha256%3A0b31b1c02f?tag=2.14.0",
            },
        },
        "customData": {"revision": "42", "migrations": []},
        "customDataContentType": "application/json",
    })
}

fn envelope(event: &Value) -> Value {
    json!({
        "specversion": "1.0", "id": event["context"]["id"], "source": event["context"]["source"],
        "type": event["context"]["type"], "subject": "checkout",
        "time": "2026-11-22T09:30:00Z", "datacontenttype": "application/json", "data": event,
    })
}

async fn structured(stage: &Stage, body: &Value) -> Answer {
    let request = stage.request("POST", "/v1/deploys").bearer_auth(TOKEN);
    let kind = "application/cloudevents+json; charset=UTF-8";
    answer(request.header("content-type", kind).body(body.to_string())).await
}

async fn binary(stage: &Stage, event: &Value, headers: &[(&str, &str)]) -> Answer {
    let mut request = stage.call("POST", "/v1/deploys").json(event);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    answer(request).await
}

const ATTRIBUTES: [(&str, &str); 4] = [
    ("ce-specversion", "1.0"),
    ("ce-id", "271069a8-fc18"),
    ("ce-source", "/ci/acme"),
    ("ce-type", "dev.cdevents.service.deployed.0.3.0"),
];

#[tokio::test]
async fn a_cdevent_is_taken_in_either_mode_and_is_the_same_deploy_in_both() {
    let stage = Stage::new().await;
    let first = structured(&stage, &envelope(&cdevent())).await;
    assert_eq!(first.status, 201, "{first:?}");
    assert_eq!(first.json()["id"], "271069a8-fc18");
    assert_eq!(first.json()["service"], "checkout");
    assert_eq!(first.json()["environment"], "production");
    assert_eq!(first.json()["target"]["id"], "41");
    let again = binary(&stage, &cdevent(), &ATTRIBUTES).await;
    assert_eq!((again.status, again.json()), (200, first.json()));
    let kept =
        stage.store.deploy(&"cloudevent:/ci/acme#271069a8-fc18".parse().unwrap()).await.unwrap();
    let deploy = kept.unwrap().deploy;
    assert_eq!(deploy.version.as_str(), "2.14.0", "the tag, for people");
    assert_eq!(deploy.deployed_at.to_string(), "2026-11-22T09:30:00Z");
    assert_eq!(deploy.revision.unwrap().as_str(), "42");
}

#[tokio::test]
async fn an_upgrade_is_a_deploy_and_the_same_id_of_another_source_is_another_one() {
    let stage = Stage::new().await;
    let mut upgraded = cdevent();
    upgraded["context"]["type"] = "dev.cdevents.service.upgraded.0.3.0".into();
    assert_eq!(structured(&stage, &envelope(&upgraded)).await.status, 201);
    for odd in ["/ci/other", "urn:a b<c>", &"x".repeat(600)] {
        upgraded["context"]["source"] = odd.into();
        assert_eq!(structured(&stage, &envelope(&upgraded)).await.status, 201, "{odd}");
        assert_eq!(structured(&stage, &envelope(&upgraded)).await.status, 200, "{odd}");
    }
    upgraded["context"]["version"] = upgraded["context"]["specversion"].take();
    upgraded["context"]["version"] = "0.4.1".into();
    upgraded["context"]["id"] = "an older release of the specification".into();
    assert_eq!(structured(&stage, &envelope(&upgraded)).await.status, 201);
}

#[tokio::test]
async fn two_sources_whose_ids_look_alike_when_they_are_joined_are_two_deploys() {
    let stage = Stage::new().await;
    for (source, id) in [("/ci/a#b", "c"), ("/ci/a", "b#c")] {
        let mut event = cdevent();
        event["context"]["source"] = source.into();
        event["context"]["id"] = id.into();
        event["customData"]["version"] = format!("{source} {id}").into();
        let first = structured(&stage, &envelope(&event)).await;
        assert_eq!(first.status, 201, "{source} {id}: {first:?}");
        assert_eq!(structured(&stage, &envelope(&event)).await.status, 200);
    }
}

#[tokio::test]
async fn an_event_that_an_earlier_release_kept_is_known_by_its_former_id() {
    let stage = Stage::new().await;
    let first = structured(&stage, &envelope(&cdevent())).await;
    let kept = stage.store.deploy(&"cloudevent:/ci/acme#271069a8-fc18".parse().unwrap()).await;
    let mut card = kept.unwrap().unwrap();
    let earlier = Stage::new().await;
    card.deploy.id = "/ci/acme#271069a8-fc18".parse().unwrap();
    earlier.store.save_deploy(&card, Vec::new()).await.unwrap();
    let again = structured(&earlier, &envelope(&cdevent())).await;
    assert_eq!((again.status, again.json()), (200, first.json()));
    // What two pairs made once is the same event only if it says the same.
    let mut other = cdevent();
    other["customData"]["version"] = "9.9.9".into();
    assert_eq!(structured(&earlier, &envelope(&other)).await.status, 201);
    assert_eq!(structured(&earlier, &envelope(&other)).await.status, 200);
    other["customData"]["version"] = "9.9.8".into();
    assert_eq!(structured(&earlier, &envelope(&other)).await.status, 409);
}

#[tokio::test]
async fn every_bad_field_of_a_cdevent_is_named_where_it_is() {
    let stage = Stage::new().await;
    let change = |pointer: &str, value: Value| {
        let mut event = cdevent();
        *event.pointer_mut(pointer).unwrap() = value;
        event
    };
    for (pointer, value) in [
        ("/context/specversion", json!("1.0.0")),
        ("/context/timestamp", json!("now")),
        ("/context/type", json!("dev.cdevents.service.rolledback.0.3.0")),
        ("/context/type", json!("dev.cdevents.service.deployed.1.0.0")),
        ("/context/id", json!("")),
        ("/subject/id", json!("a/b")),
        ("/subject/content/environment/id", Value::Null),
        ("/subject/content/artifactId", json!(7)),
        ("/customData", json!([])),
        ("/customData/revision", json!(42)),
        ("/customData/migrations", json!("none")),
    ] {
        let event = change(pointer, value);
        let answer = structured(&stage, &envelope(&event)).await;
        assert!(answer.pointers().contains(&format!("#/data{pointer}")), "{pointer}: {answer:?}");
    }
    let both = structured(&stage, &json!({"specversion": "2.0", "data": {}})).await.pointers();
    for pointer in
        ["#/specversion", "#/id", "#/source", "#/type", "#/data/context", "#/data/subject"]
    {
        assert!(both.contains(&pointer.to_owned()), "{pointer} is not in {both:?}");
    }
    let mut encoded = envelope(&cdevent());
    encoded["data_base64"] = "e30=".into();
    assert!(structured(&stage, &encoded).await.pointers().contains(&"#/data_base64".into()));
    let mut xml = envelope(&cdevent());
    xml["datacontenttype"] = "text/xml".into();
    assert_eq!(structured(&stage, &xml).await.pointers(), ["#/datacontenttype"]);
}

#[tokio::test]
async fn an_envelope_that_says_something_else_than_its_event_is_refused() {
    let stage = Stage::new().await;
    let mut lying = envelope(&cdevent());
    lying["source"] = "/ci/somebody-else".into();
    assert_eq!(structured(&stage, &lying).await.pointers(), ["#/data/context/source"]);
    let mut attributes = ATTRIBUTES;
    attributes[1] = ("ce-id", "another");
    assert_eq!(binary(&stage, &cdevent(), &attributes).await.pointers(), ["#/context/id"]);
}

#[tokio::test]
async fn a_missing_or_odd_attribute_of_the_binary_mode_is_named_as_a_header() {
    let stage = Stage::new().await;
    for (headers, named) in [
        (vec![("ce-specversion", "1.0")], vec!["ce-id", "ce-source", "ce-type"]),
        (
            vec![("ce-specversion", "0.3"), ATTRIBUTES[1], ATTRIBUTES[2], ATTRIBUTES[3]],
            vec!["ce-specversion"],
        ),
        (vec![ATTRIBUTES[0], ("ce-id", "%ff"), ATTRIBUTES[2], ATTRIBUTES[3]], vec!["ce-id"]),
        (
            vec![ATTRIBUTES[0], ("ce-id", "a"), ("ce-id", "b"), ATTRIBUTES[2], ATTRIBUTES[3]],
            vec!["ce-id"],
        ),
    ] {
        let problem = binary(&stage, &cdevent(), &headers).await.problem(422);
        let errors = problem["errors"].as_array().unwrap().clone();
        let found: Vec<&str> = errors.iter().map(|e| e["header"].as_str().unwrap()).collect();
        assert_eq!(found, named, "{problem}");
    }
}

/// Any JSON at all, with the names of the contract in it more often than not.
fn json_value() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec![
        "id",
        "service",
        "environment",
        "version",
        "commit",
        "revision",
        "deployer",
        "name",
        "slack_user_id",
        "changelog_url",
        "deployed_at",
        "migrations",
        "reversible",
        "context",
        "subject",
        "content",
        "data",
        "specversion",
        "customData",
        "~/",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(json!("2026-11-22T09:30:00Z")),
        Just(json!("checkout")),
    ];
    leaf.prop_recursive(4, 48, 8, move |inner| {
        let names = names.clone().prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(names, inner, 0..9)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

#[test]
fn whatever_is_sent_is_answered_and_a_refusal_points_at_the_place() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let stage = runtime.block_on(Stage::new());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(300));
    let strategy = (json_value(), any::<bool>());
    runner
        .run(&strategy, |(body, enveloped)| {
            let sent = if enveloped { envelope(&body) } else { body };
            let answer = runtime.block_on(async {
                if enveloped {
                    structured(&stage, &sent).await
                } else {
                    stage.post("/v1/deploys", &sent).await
                }
            });
            match answer.status {
                200 | 201 => {}
                _ => {
                    let problem = answer.problem(422);
                    let errors = problem["errors"].as_array().unwrap();
                    prop_assert!(!errors.is_empty());
                    for error in errors {
                        let pointer = error["pointer"].as_str().unwrap();
                        prop_assert!(pointer.starts_with('#'));
                    }
                }
            }
            Ok(())
        })
        .unwrap();
}
