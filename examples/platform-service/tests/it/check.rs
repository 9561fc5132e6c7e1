//! `check` against a Slack and a CD system that are whole, and against ones that are not.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use crate::stage::cd;
use crate::stage::service::{API_TOKEN, CD_TOKEN, serve_cd};
use local_slack::{Channel, Fault, LocalSlack, Options, User, UserGroup};
use platform_service::check::{Report, SCOPES, check};
use platform_service::{Config, Environment};
use rollback_testkit::fakes::{FakeBackend, Fault as CdFault, Method};
use std::net::SocketAddr;
use std::sync::Arc;
use team::{SECRET, TOKEN, people};

/// The sample, pointed at this machine; its services are fewer, as the CD system has one.
fn sample(cd: SocketAddr, folder: &std::path::Path) -> String {
    let text = include_str!("../../rollback.yaml");
    let without_staging = text.replace("      staging:\n        backend: inhouse\n", "");
    assert_ne!(without_staging, text);
    without_staging
        .replace("https://cd.example.com", &format!("http://{cd}"))
        .replace("https://checkout.example.com/health", &format!("http://{cd}/healthz"))
        .replace("sqlite://rollback.db", &format!("sqlite://{}/rollback.db", folder.display()))
}

fn whole() -> Options {
    people()
        .group(UserGroup::new("S0INTERNS", "interns", Vec::<String>::new()))
        .group(UserGroup::new("S0INCIDENT", "incident", [team::OWNER]))
}

struct World {
    slack: LocalSlack,
    cd: Arc<FakeBackend>,
    address: SocketAddr,
    server: tokio::task::JoinHandle<()>,
    folder: tempfile::TempDir,
}

impl World {
    async fn of(options: Options) -> Self {
        let (slack, cd) = (LocalSlack::start(options).await.unwrap(), cd());
        let (address, server) = serve_cd(&cd).await;
        Self { slack, cd, address, server, folder: tempfile::tempdir().unwrap() }
    }

    async fn check(&self, change: impl FnOnce(String) -> String) -> Report {
        let environment = Environment::of([
            ("SLACK_BOT_TOKEN", TOKEN),
            ("SLACK_SIGNING_SECRET", SECRET),
            ("SLACK_API_URL", self.slack.api_url().as_str()),
            ("ROLLBACK_API_TOKEN", API_TOKEN),
            ("CD_TOKEN", CD_TOKEN),
        ]);
        let text = change(sample(self.address, self.folder.path()));
        let config = Config::parse("rollback.yaml", &text, &environment);
        let config = config.unwrap_or_else(|problems| panic!("{problems}"));
        check(&config, &environment).await
    }

    /// The table, without what differs from run to run.
    fn table(&self, report: &Report) -> String {
        report
            .to_string()
            .replace(&self.address.to_string(), "[cd]")
            .replace(&self.folder.path().display().to_string(), "[folder]")
            .lines()
            .map(|line| format!("{}\n", line.trim_end()))
            .collect()
    }
}

#[tokio::test]
async fn the_sample_is_checked_and_everything_works() {
    let world = World::of(whole()).await;
    let report = world.check(|text| {
        text.replace(&format!("http://{}/healthz", world.address), &health_page(&world))
    });
    let report = report.await;
    insta::assert_snapshot!("all_good", world.table(&report));
    assert!(report.is_good());
    let left: Vec<_> = std::fs::read_dir(world.folder.path()).unwrap().collect();
    assert!(left.is_empty(), "the check leaves nothing behind");
    assert_eq!(world.cd.sends(), 0);
    assert!(world.slack.messages(team::CHANNEL).is_empty(), "nobody is told of a check");
}

/// A page that answers 2xx without a token: Slack's own page of methods will not do, so the local
/// Slack's root, which is there when its page is served.
fn health_page(world: &World) -> String {
    format!("{}_state?as=U02ANA", world.slack.url())
}

#[tokio::test]
async fn everything_that_does_not_work_is_in_the_table_with_its_remedy() {
    let mut options = Options::default()
        .user(User::new(team::OWNER, "Ana").guest())
        .channel(Channel::new("C0OTHER", "other"));
    options.bot_token = TOKEN.into();
    options.scopes.retain(|scope| scope != "groups:history" && scope != "im:write");
    let world = World::of(options).await;
    for gone in ["41", "40"] {
        world.cd.prune(&gone.parse().unwrap());
    }
    let report = world.check(|text| text).await;
    insta::assert_snapshot!("much_wrong", world.table(&report));
    assert!(!report.is_good());
}

#[tokio::test]
async fn what_does_not_answer_is_a_failure_of_its_own_and_the_rest_is_checked_all_the_same() {
    let world = World::of(whole()).await;
    world.server.abort();
    world.slack.fail_next(Fault::server_error().on("usergroups.list").times(10));
    let report = world.check(|text| text.replace("cd_timeout: 10s", "cd_timeout: 1s")).await;
    let table = world.table(&report);
    for part in [
        "FAIL     user groups",
        "FAIL     checkout/production CD",
        "FAIL     checkout/production health",
        "OK       store",
        "OK       Slack token",
    ] {
        assert!(table.contains(part), "{part}:\n{table}");
    }
}

/// An in-house CD system that predates `undone_by`: refused for ever unless somebody says what it must
/// send, or the configuration says so.
#[tokio::test]
async fn a_cd_system_that_does_not_say_what_would_undo_a_rollback_is_told_what_to_send() {
    let world = World::of(whole()).await;
    world.cd.set_preflight(rollback_core::observed::Preflight::accepted());
    let report = world.check(|text| text).await;
    let table = world.table(&report);
    assert!(!report.is_good());
    for part in
        ["FAIL     checkout/production target", "`\"undone_by\": null`", "`undone_by: nothing`"]
    {
        assert!(table.contains(part), "{part}:\n{table}");
    }
    let vouched = "    undone_by: nothing\n    token_env: CD_TOKEN";
    let report = world.check(|text| text.replace("    token_env: CD_TOKEN", vouched)).await;
    let table = world.table(&report);
    for part in [
        "OK       checkout/production target",
        "not checked: the configuration (`undone_by: nothing`) says so",
    ] {
        assert!(table.contains(part), "{part}:\n{table}");
    }
}

#[tokio::test]
async fn a_cd_system_that_hangs_does_not_hang_the_check() {
    let world = World::of(whole()).await;
    (0..20).for_each(|_| world.cd.fail(Method::Live, CdFault::Hang));
    let began = std::time::Instant::now();
    let report = world.check(|text| text.replace("cd_timeout: 10s", "cd_timeout: 1s")).await;
    assert!(began.elapsed() < std::time::Duration::from_secs(15));
    assert!(world.table(&report).contains("FAIL     checkout/production CD"));
}

#[tokio::test]
async fn a_token_that_slack_does_not_take_and_a_folder_that_is_not_there() {
    let mut options = whole();
    options.bot_token = "xoxb-another".into();
    let world = World::of(options).await;
    let report = world.check(|text| text.replace("/rollback.db", "/not/there/rollback.db")).await;
    let table = world.table(&report);
    assert!(table.contains("FAIL     Slack token"), "{table}");
    assert!(table.contains("FAIL     store"), "{table}");
    assert!(!table.contains(TOKEN), "{table}");
}

#[test]
fn the_app_manifest_asks_for_exactly_the_scopes_that_the_check_wants() {
    let manifest: serde_json::Value =
        serde_json::from_str(include_str!("../../deploy/slack-app-manifest.json")).unwrap();
    let asked = manifest.pointer("/oauth_config/scopes/bot").and_then(|it| it.as_array()).unwrap();
    let mut asked: Vec<&str> = asked.iter().filter_map(serde_json::Value::as_str).collect();
    let mut wanted = SCOPES.to_vec();
    asked.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(asked, wanted);
    let path = manifest.pointer("/settings/interactivity/request_url").and_then(|it| it.as_str());
    assert!(path.unwrap().ends_with(rollback_slack::INTERACTIVITY_PATH), "{path:?}");
}
