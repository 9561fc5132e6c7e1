//! Who gets in.

use crate::stage::{NEXT_TOKEN, Setup, Stage, TOKEN, answer, deploy, proposal};

const PROTECTED: [(&str, &str); 8] = [
    ("POST", "/v1/deploys"),
    ("GET", "/v1/services/checkout/production"),
    ("POST", "/v1/rollbacks"),
    ("GET", "/v1/rollbacks"),
    ("GET", "/v1/rollbacks/rb-1"),
    ("GET", "/v1/rollbacks/rb-1/events"),
    ("GET", "/v1/audit"),
    ("GET", "/v1/audit/verify"),
];

#[tokio::test]
async fn without_a_good_token_nothing_is_told_and_nothing_is_done() {
    let stage = Stage::new().await;
    let wrong: [&[&str]; 9] = [
        &[],
        &["Bearer "],
        &["Bearer wrong"],
        &["Bearer good-toke"],
        &["Bearer good-token1"],
        &["Bearer GOOD-TOKEN"],
        &["good-token"],
        &["Basic Z29vZC10b2tlbg=="],
        &["Bearer good-token", "Bearer good-token"],
    ];
    for (method, path) in PROTECTED {
        for headers in wrong {
            let body = if path == "/v1/deploys" { deploy() } else { proposal() };
            let mut request = stage.request(method, path);
            for value in headers {
                request = request.header("authorization", *value);
            }
            let request = if method == "POST" { request.json(&body) } else { request };
            let refused = answer(request).await;
            let problem = refused.problem(401);
            let challenge = refused.header("www-authenticate");
            assert!(challenge.starts_with("Bearer realm="), "{challenge}");
            assert_eq!(challenge.contains("invalid_token"), !headers.is_empty(), "{headers:?}");
            assert!(!problem.to_string().contains("good-toke"), "{problem}");
        }
    }
    assert!(stage.store.deploy(&"ci-42".parse().unwrap()).await.unwrap().is_none());
    assert!(stage.engine.rollbacks(&rollback_core::ports::Query::all(9)).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_address_or_a_method_that_does_not_exist_is_not_told_to_strangers_either() {
    let stage = Stage::new().await;
    for (method, path) in
        [("GET", "/v1"), ("GET", "/v1/"), ("GET", "/v1/nothing"), ("DELETE", "/v1/deploys")]
    {
        answer(stage.request(method, path)).await.problem(401);
    }
}

#[tokio::test]
async fn either_of_two_tokens_opens_however_the_scheme_is_spelled() {
    let stage = Stage::new().await;
    for token in [TOKEN, NEXT_TOKEN] {
        for scheme in ["Bearer", "bearer", "BEARER"] {
            let request = stage.request("GET", "/v1/rollbacks");
            let told = answer(request.header("authorization", format!("{scheme} {token}"))).await;
            assert_eq!(told.status, 200, "{scheme} {told:?}");
            assert_eq!(told.header("cache-control"), "no-store");
        }
    }
}

#[tokio::test]
async fn health_readiness_and_metrics_want_no_token() {
    let stage = Stage::new().await;
    for path in ["/healthz", "/metrics"] {
        assert_eq!(answer(stage.request("GET", path)).await.status, 200, "{path}");
    }
    crate::stage::until("ready", async || {
        (answer(stage.request("GET", "/readyz")).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn whoever_asks_too_often_is_told_when_to_come_back_and_the_other_token_is_not() {
    let mut setup = Setup::default();
    (setup.api.burst, setup.api.per_second) = (5, 1);
    let stage = Stage::with(setup).await;
    for _request in 0..5 {
        assert_eq!(stage.get("/v1/rollbacks").await.status, 200);
    }
    let refused = stage.post("/v1/deploys", &deploy()).await;
    refused.problem(429);
    assert_eq!(refused.header("retry-after"), "1");
    assert!(stage.store.deploy(&"ci-42".parse().unwrap()).await.unwrap().is_none());
    let other = stage.request("GET", "/v1/rollbacks").bearer_auth(NEXT_TOKEN);
    assert_eq!(answer(other).await.status, 200);
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    assert_eq!(stage.get("/v1/rollbacks").await.status, 200);
}

#[tokio::test]
async fn somebody_who_guesses_tokens_is_slowed_down_and_slows_down_nobody_else() {
    let mut setup = Setup::default();
    setup.api.strangers_burst = 40;
    let stage = Stage::with(setup).await;
    let mut statuses = std::collections::BTreeMap::<u16, usize>::new();
    for guess in 0..200 {
        let request = stage.request("GET", "/v1/rollbacks").bearer_auth(format!("guess-{guess}"));
        *statuses.entry(answer(request).await.status).or_default() += 1;
    }
    assert!(statuses.contains_key(&401) && statuses.contains_key(&429), "{statuses:?}");
    assert_eq!(stage.get("/v1/rollbacks").await.status, 200);
}
