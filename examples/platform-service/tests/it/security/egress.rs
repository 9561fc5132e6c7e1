//! Where the service goes, and where it does not: to what is configured, by no way that somebody
//! else named, and never on to where an answer points.

use super::recorder::Recorder;
use super::{Target, form, seconds};
use crate::stage::service::{API_TOKEN, CD_TOKEN, Service, serve_cd, yaml};
use crate::stage::{Host, Stage, cd, deploy};
use local_slack::{LocalSlack, sign};
use rollback_core::StateName;
use serde_json::json;
use std::path::Path;
use std::process::{Command, Output};
use team::{CHANNEL, OWNER, PATIENCE, SECRET, STRANGER, TOKEN, people};

const MOVED: [u16; 5] = [301, 302, 303, 307, 308];
const COLLECTOR_KEY: &str = "canary-of-the-collector";

/// Every spelling of a proxy that some client or other reads from the environment.
const PROXIES: [&str; 8] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "WS_PROXY",
    "WSS_PROXY",
];

/// `platform-service check` in a folder with this configuration.
async fn check(yaml: &str, more: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rollback.yaml"), yaml).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_platform-service"));
    command
        .args(["check", "--config", "rollback.yaml"])
        .current_dir(folder.path())
        .env_clear()
        .envs([
            ("SLACK_BOT_TOKEN", TOKEN),
            ("SLACK_SIGNING_SECRET", SECRET),
            ("ROLLBACK_API_TOKEN", API_TOKEN),
            ("CD_TOKEN", CD_TOKEN),
        ])
        .envs(more.iter().copied());
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn with_health_check(yaml: &str, url: &str) -> String {
    yaml.replace(
        "backend: inhouse,",
        &format!("backend: inhouse, health_check: {{url: \"{url}\"}},"),
    )
}

#[tokio::test]
async fn no_proxy_of_the_environment_is_used_by_anything() {
    let (slack, cd) = (LocalSlack::start(people()).await.unwrap(), cd());
    let (address, server) = serve_cd(&cd).await;
    let (proxy, health, collector) =
        (Recorder::new().await, Recorder::new().await, Recorder::new().await);
    let yaml = with_health_check(&yaml(address, 0), &health.url());
    let (proxy_url, collector_url) = (proxy.url(), collector.url());
    let mut more: Vec<(&str, &str)> = PROXIES.map(|name| (name, proxy_url.as_str())).to_vec();
    more.push(("OTEL_EXPORTER_OTLP_ENDPOINT", &collector_url));
    more.push(("SLACK_APP_TOKEN", "xapp-local-slack"));
    let service = Service::start_with(&slack, &yaml, server, &more).await;
    service.report(deploy("ci-4711", "42", "2.14.0")).await;
    let stage = Stage { slack: slack.into(), cd, host: Box::new(service) };
    stage.deploy_message().await;
    let modal = stage.open(OWNER).await;
    stage.confirm(OWNER, &modal, "errors up 4x").await;
    stage.reaches(StateName::Succeeded).await;
    stage.host.stop().await;
    assert!(!health.seen().is_empty() && !collector.seen().is_empty(), "they were to be asked");
    assert_eq!(proxy.seen(), [""; 0], "something went by the environment's proxy");
}

#[tokio::test]
async fn a_redirect_takes_neither_a_token_nor_a_question_elsewhere() {
    for status in MOVED {
        let elsewhere = Recorder::new().await;
        let target = format!("{}/elsewhere", elsewhere.url());
        let slack = Recorder::redirecting(status, &target).await;
        let cd = Recorder::redirecting(status, &target).await;
        let health = Recorder::redirecting(status, &target).await;
        let yaml = with_health_check(&yaml(cd.address.parse().unwrap(), 0), &health.url());
        let checked = check(&yaml, &[("SLACK_API_URL", &format!("{}/api/", slack.url()))]).await;
        let told = String::from_utf8_lossy(&checked.stdout).into_owned();
        assert_eq!(checked.status.code(), Some(1), "{status}: {told}");
        assert!(slack.seen().iter().any(|said| said.contains(TOKEN)), "{status}: {told}");
        assert!(cd.seen().iter().any(|said| said.contains(CD_TOKEN)), "{status}: {told}");
        assert_eq!(elsewhere.seen(), [""; 0], "{status}: somebody followed");
    }
}

#[tokio::test]
async fn a_redirect_takes_no_trace_and_no_key_of_the_collector_elsewhere() {
    for status in MOVED {
        let (slack, cd) = (LocalSlack::start(people()).await.unwrap(), cd());
        let (address, server) = serve_cd(&cd).await;
        let elsewhere = Recorder::new().await;
        let target = format!("{}/v1/traces", elsewhere.url());
        let collector = Recorder::redirecting(status, &target).await;
        let (url, key) = (collector.url(), format!("x-api-key={COLLECTOR_KEY}"));
        let more = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
            ("OTEL_EXPORTER_OTLP_HEADERS", key.as_str()),
        ];
        let mut service = Service::start_with(&slack, &yaml(address, 0), server, &more).await;
        service.report(deploy("ci-4711", "42", "2.14.0")).await;
        assert_eq!(service.terminate().await, Some(0));
        assert!(collector.seen().iter().any(|said| said.contains(COLLECTOR_KEY)), "{status}");
        assert_eq!(elsewhere.seen(), [""; 0], "{status}: the exporter followed");
        let logs = service.logs.lock().unwrap().clone();
        assert!(!logs.contains(COLLECTOR_KEY), "{logs}");
    }
}

fn kubeconfig(folder: &Path, server: &str) -> std::path::PathBuf {
    let path = folder.join("kubeconfig");
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "k", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": "canary-kube-token"}}],
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
    });
    std::fs::write(&path, text.to_string()).unwrap();
    path
}

/// A cluster's credentials go to the server that the kubeconfig names, straight.
#[tokio::test]
async fn a_clusters_token_goes_to_its_server_and_by_no_proxy_of_the_environment() {
    let slack = LocalSlack::start(people()).await.unwrap();
    for (kind, with) in [
        ("kubernetes", "{namespace: shop, name: web}"),
        ("helm", "{namespace: shop, release: web}"),
    ] {
        let (proxy, elsewhere) = (Recorder::new().await, Recorder::new().await);
        let cluster = Recorder::redirecting(307, &format!("{}/api", elsewhere.url())).await;
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = kubeconfig(folder.path(), &cluster.url());
        let yaml = format!(
            "slack: {{channel: {CHANNEL}}}\nstore: sqlite://rollback.db\n\
             backends:\n  k: {{kind: {kind}, kubeconfig: \"{}\"}}\n\
             services:\n  checkout:\n    owners: {{users: [{OWNER}]}}\n    \
             environments: {{production: {{backend: k, with: {with}}}}}\n",
            kubeconfig.display()
        );
        let (api, proxy_url) = (slack.api_url(), proxy.url());
        let mut more: Vec<(&str, &str)> = PROXIES.map(|name| (name, proxy_url.as_str())).to_vec();
        more.push(("SLACK_API_URL", &api));
        let path = std::env::var("PATH").unwrap_or_default();
        more.push(("PATH", &path));
        let checked = check(&yaml, &more).await;
        let told = format!("{kind}: {checked:?}");
        let asked = cluster.seen();
        assert!(asked.iter().any(|said| said.contains("canary-kube-token")), "{told}");
        assert_eq!(proxy.seen(), [""; 0], "{told}");
        assert_eq!(elsewhere.seen(), [""; 0], "{told}");
        assert!(!told.contains("canary-kube-token"), "{told}");
    }
}

/// `KubeStellar` 6416, beever-atlas 108, slack-github-action 621: addresses from callbacks were asked,
/// or checked by how they begin. Ours are not asked at all.
#[tokio::test]
async fn a_response_url_is_never_asked_whatever_it_looks_like() {
    let target = Target::new().await;
    let recorder = Recorder::new().await;
    let (port, plain) = (recorder.address.rsplit_once(':').unwrap().1.to_owned(), recorder.url());
    let addresses = [
        plain.clone(),
        format!("https://{}", recorder.address),
        format!("https://hooks.slack.com@{}/actions/T1/1/x", recorder.address),
        format!("http://hooks.slack.com.localhost:{port}/actions/T1/1/x"),
        format!("http://localhost:{port}/hooks.slack.com/actions"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        "file:///etc/passwd".to_owned(),
    ];
    let payload = target.click_of_nothing().await.payload;
    let mut sent = 0;
    // One is denied and one is told to click again: the two moments for an answer in private.
    for person in [STRANGER, OWNER] {
        for address in &addresses {
            let mut payload = payload.clone();
            payload["actions"][0]["action_id"] = json!("rollback_open");
            payload["user"]["id"] = json!(person);
            payload["trigger_id"] = json!(format!("1.2.{sent}"));
            payload["response_url"] = json!(address);
            payload["response_urls"] = json!([{"response_url": address, "channel_id": CHANNEL}]);
            payload["callback_url"] = json!(address);
            let mut forged = target.slack.deliveries().pop().unwrap();
            forged.body = form(&payload);
            forged.timestamp = seconds();
            forged.signature = sign(SECRET, forged.timestamp, &forged.body);
            assert_eq!(target.slack.resend(&forged).await.unwrap().status, 200);
            sent += 1;
        }
        let answered = target.slack.wait_until(PATIENCE, |slack| {
            (slack.ephemerals(person).len() >= addresses.len()).then_some(())
        });
        answered.await.unwrap_or_else(|late| panic!("{person} was not told by Slack: {late}"));
    }
    assert_eq!(recorder.seen(), [""; 0], "an address of a callback was asked");
}
