//! The file as types. The JSON Schema is made of these, and the file is judged by that schema, so
//! that editor and service can never disagree.

use super::text::{self, names};
use crate::kinds;
use rollback_core::access::Pattern;
use rollback_core::{
    BackendName, ChannelId, EnvironmentName, GroupId, Label, ServiceName, UserId, WorkspaceId,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// The configuration of platform-service.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Configuration")]
pub(crate) struct File {
    /// Slack. The tokens come from the environment: `SLACK_BOT_TOKEN`, `SLACK_SIGNING_SECRET` and,
    /// for Socket Mode, `SLACK_APP_TOKEN`.
    pub(crate) slack: Slack,
    /// Where everything is kept; `DATABASE_URL` wins over it.
    #[serde(default = "store_default")]
    #[schemars(with = "text::StoreAddress")]
    #[expect(dead_code, reason = "the environment may win over it: see `Config::store`")]
    store: String,
    /// The CD systems, each under a name of your own.
    #[schemars(with = "BTreeMap<String, kinds::AnyKind>", extend("propertyNames" = names(), "minProperties" = 1))]
    pub(crate) backends: BTreeMap<BackendName, Map<String, Value>>,
    /// The services, each under its name.
    #[schemars(with = "BTreeMap<String, Service>", extend("propertyNames" = names(), "minProperties" = 1))]
    pub(crate) services: BTreeMap<ServiceName, Service>,
    /// Rules over many services at once.
    #[serde(default)]
    pub(crate) access: Access,
    /// Who may roll back any service in an emergency; each use pages.
    #[serde(default)]
    #[schemars(with = "People")]
    pub(crate) break_glass: Option<People>,
    /// Where the audit log is kept.
    #[serde(default)]
    pub(crate) audit: Audit,
    /// The bounds on time, and on how much is open.
    #[serde(default)]
    pub(crate) limits: Limits,
    /// The file with conditions over metrics; not in this build yet.
    #[serde(default)]
    #[schemars(with = "text::FilePath")]
    #[expect(dead_code, reason = "refused by the rules until its crate is in the build")]
    conditions: Option<String>,
    /// Others who hear of rollbacks; not in this build yet.
    #[serde(default)]
    #[schemars(with = "Notify")]
    #[expect(dead_code, reason = "refused by the rules until its crates are in the build")]
    notify: Option<serde::de::IgnoredAny>,
}

fn store_default() -> String {
    "sqlite://rollback.db".into()
}

/// Slack.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Slack {
    /// Where deploy messages are posted unless an environment says otherwise.
    #[schemars(with = "text::Channel")]
    pub(crate) channel: ChannelId,
    /// The workspace whose members may act. Without it Slack is asked at the start, so that the
    /// service starts only when Slack answers.
    #[serde(default)]
    #[schemars(with = "text::Workspace")]
    pub(crate) workspace: Option<WorkspaceId>,
    /// The app whose callbacks are taken. Without it whatever the signing secret or the app's token
    /// proves is taken, which is that of one app.
    #[serde(default)]
    #[schemars(with = "text::App")]
    pub(crate) app: Option<String>,
    /// Where whoever is on call is told of break-glass and of unknown outcomes.
    #[serde(default)]
    #[schemars(with = "text::Channel")]
    pub(crate) on_call: Option<ChannelId>,
}

/// A service.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Service {
    /// Who may roll it back, in every environment that does not name its own.
    #[serde(default)]
    #[schemars(with = "People")]
    pub(crate) owners: Option<People>,
    /// Who may approve; without it the owners do.
    #[serde(default)]
    #[schemars(with = "People")]
    pub(crate) approvers: Option<People>,
    /// Who may do nothing, whatever else names them.
    #[serde(default)]
    #[schemars(with = "People")]
    pub(crate) denied: Option<People>,
    /// Where it runs.
    #[schemars(with = "BTreeMap<String, Environment>", extend("propertyNames" = names(), "minProperties" = 1))]
    pub(crate) environments: BTreeMap<EnvironmentName, Environment>,
}

/// A service in one environment.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Environment {
    /// The CD system: a name under `backends`.
    #[schemars(with = "text::Name")]
    pub(crate) backend: BackendName,
    /// What the CD system calls it; which keys there are depends on the backend's kind.
    #[serde(default)]
    pub(crate) with: Map<String, Value>,
    /// Where its deploy messages are posted.
    #[serde(default)]
    #[schemars(with = "text::Channel")]
    pub(crate) channel: Option<ChannelId>,
    /// How many other people must approve.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10))]
    pub(crate) approvals: u8,
    /// What tells the requester and the approvers apart: their accounts, or the persons that the
    /// directory knows behind them. Slack knows persons only in an Enterprise organization; elsewhere
    /// `person` lets nobody roll back where approvals are asked for.
    #[serde(default)]
    #[schemars(extend("default" = "account"))]
    pub(crate) four_eyes: FourEyes,
    /// How long a revision must have been live to count as known-good.
    #[serde(default, deserialize_with = "text::read_duration")]
    #[schemars(with = "text::Time")]
    pub(crate) soak: Duration,
    /// How it is seen that the service works; without one the CD system's own word counts.
    #[serde(default)]
    #[schemars(with = "HealthCheck")]
    pub(crate) health_check: Option<HealthCheck>,
    /// Who may roll it back here, in place of the service's owners.
    #[serde(default)]
    #[schemars(with = "People")]
    pub(crate) owners: Option<People>,
    /// Who may approve here, in place of the service's approvers.
    #[serde(default)]
    #[schemars(with = "People")]
    pub(crate) approvers: Option<People>,
    /// Who may do nothing here, besides those of the service.
    #[serde(default)]
    #[schemars(with = "People")]
    pub(crate) denied: Option<People>,
}

/// What tells the requester and the approvers apart.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FourEyes {
    // Accounts of one human that are not known to be one count as two.
    #[default]
    Account,
    // Whoever's person is not known can neither ask nor approve.
    Person,
}

/// A page that answers with a 2xx status when the service works.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HealthCheck {
    /// Its address. No redirect is followed.
    #[schemars(with = "text::Url")]
    pub(crate) url: String,
    /// How long the service may take to answer so after a rollback.
    #[serde(default = "health_timeout", deserialize_with = "text::read_duration")]
    #[schemars(with = "text::Time")]
    pub(crate) timeout: Duration,
}

const fn health_timeout() -> Duration {
    Duration::from_secs(60)
}

/// People: by member id, by user-group id, or both.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub(crate) struct People {
    /// Members.
    #[serde(default)]
    #[schemars(with = "Vec<text::User>", length(min = 1))]
    pub(crate) users: Vec<UserId>,
    /// Everybody in these user groups.
    #[serde(default)]
    #[schemars(with = "Vec<text::Group>", length(min = 1))]
    pub(crate) groups: Vec<GroupId>,
}

/// Rules over many services at once.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Access {
    /// Who may roll back.
    #[serde(default)]
    pub(crate) owners: Vec<Rule>,
    /// Who may approve.
    #[serde(default)]
    pub(crate) approvers: Vec<Rule>,
    /// Who may do nothing, whatever else names them.
    #[serde(default)]
    pub(crate) denied: Vec<Rule>,
}

/// A rule over the services and environments that two patterns cover.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// Its name, as the audit log cites it.
    #[schemars(with = "text::Label")]
    pub(crate) name: Label,
    /// The services, with at most one `*`.
    #[serde(default = "Pattern::any")]
    #[schemars(with = "text::Names")]
    pub(crate) services: Pattern,
    /// The environments, with at most one `*`.
    #[serde(default = "Pattern::any")]
    #[schemars(with = "text::Names")]
    pub(crate) environments: Pattern,
    /// Members.
    #[serde(default)]
    #[schemars(with = "Vec<text::User>", length(min = 1))]
    pub(crate) users: Vec<UserId>,
    /// Everybody in these user groups.
    #[serde(default)]
    #[schemars(with = "Vec<text::Group>", length(min = 1))]
    pub(crate) groups: Vec<GroupId>,
}

/// Where the audit log is kept.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Audit {
    /// Who must have acknowledged the record of intent before an order is given.
    #[schemars(length(min = 1))]
    pub(crate) require: Vec<SinkName>,
    /// A file of JSON lines.
    #[schemars(with = "AuditFile")]
    pub(crate) file: Option<AuditFile>,
    /// Signed checkpoints, with which it can be shown that the log was cut or rewritten.
    #[schemars(with = "Checkpoints")]
    pub(crate) checkpoints: Option<Checkpoints>,
}

impl Default for Audit {
    fn default() -> Self {
        Self { require: vec![SinkName::Store], file: None, checkpoints: None }
    }
}

/// One that keeps audit records.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SinkName {
    // The store keeps every record in any case.
    Store,
    File,
    // Not in this build yet.
    CdEvents,
}

/// A file of JSON lines, one for each audit record, flushed to the disk before it counts.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditFile {
    /// Where it is. Its folder must exist.
    #[schemars(with = "text::FilePath")]
    pub(crate) path: PathBuf,
    /// How large it may become before the next one is begun.
    #[serde(default = "rotate_default", deserialize_with = "text::read_size")]
    #[schemars(with = "text::Size")]
    pub(crate) rotate: u64,
}

/// Signed checkpoints of the audit log. The key is made by `platform-service audit key`; whoever
/// administers the database must not have it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Checkpoints {
    /// The environment variable that holds the private key.
    #[serde(default)]
    #[schemars(with = "text::Variable")]
    pub(crate) key_env: Option<String>,
    /// The file that holds the private key.
    #[serde(default)]
    #[schemars(with = "text::FilePath")]
    pub(crate) key_file: Option<PathBuf>,
    /// The environment variable that holds the key that is being replaced; both sign meanwhile.
    #[serde(default)]
    #[schemars(with = "text::Variable")]
    pub(crate) retiring_key_env: Option<String>,
    /// The file that holds the key that is being replaced.
    #[serde(default)]
    #[schemars(with = "text::FilePath")]
    pub(crate) retiring_key_file: Option<PathBuf>,
    /// Where they are kept, one after the other: best where whoever can change the store and the
    /// audit file cannot write.
    #[schemars(with = "text::FilePath")]
    pub(crate) file: PathBuf,
    /// One is made after this many records.
    #[serde(default = "records_default")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) records: u64,
    /// One is made when the last is this old, also when nothing happened.
    #[serde(default = "heartbeat_default", deserialize_with = "text::read_duration")]
    #[schemars(with = "text::Time")]
    pub(crate) heartbeat: Duration,
}

const fn records_default() -> u64 {
    100
}

const fn heartbeat_default() -> Duration {
    Duration::from_secs(600)
}

const fn rotate_default() -> u64 {
    64 << 20
}

/// The bounds on time.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Limits {
    /// One request to the CD system.
    #[serde(deserialize_with = "text::read_duration")]
    #[schemars(with = "text::Time", extend("default" = "10s"))]
    pub(crate) cd_timeout: Duration,
    /// An older fact is unknown.
    #[serde(deserialize_with = "text::read_duration")]
    #[schemars(with = "text::Time", extend("default" = "30s"))]
    pub(crate) fact_age_max: Duration,
    /// From the click to the confirmation.
    #[serde(deserialize_with = "text::read_duration")]
    #[schemars(with = "text::Time", extend("default" = "10m"))]
    pub(crate) confirm_within: Duration,
    /// From the confirmation to the last approval.
    #[serde(deserialize_with = "text::read_duration")]
    #[schemars(with = "text::Time", extend("default" = "30m"))]
    pub(crate) approve_within: Duration,
    /// For reading the facts, and for acknowledging the record of intent.
    #[serde(deserialize_with = "text::read_duration")]
    #[schemars(with = "text::Time", extend("default" = "60s"))]
    pub(crate) check_within: Duration,
    /// From the order to the CD system's word that it is complete. A rollback that takes longer is
    /// reported, and still followed.
    #[serde(deserialize_with = "text::read_duration")]
    #[schemars(with = "text::Time", extend("default" = "30m"))]
    pub(crate) run_within: Duration,
    /// How long an order may be in doubt, or the CD system silent, before on-call is paged. The outcome
    /// is then unknown, unless a fence can still prove what became of the order.
    #[serde(deserialize_with = "text::read_duration")]
    #[schemars(with = "text::Time", extend("default" = "15m"))]
    pub(crate) doubt_within: Duration,
    /// Live must equal the target for this long.
    #[serde(deserialize_with = "text::read_duration")]
    #[schemars(with = "text::Time", extend("default" = "5s"))]
    pub(crate) settle: Duration,
    /// No other rollback of the service for this long after one.
    #[serde(deserialize_with = "text::read_duration")]
    #[schemars(with = "text::Time", extend("default" = "5m"))]
    pub(crate) cool_down: Duration,
    /// How long a process owns a rollback without renewing.
    #[serde(deserialize_with = "text::read_duration")]
    #[schemars(with = "text::Time", extend("default" = "15s"))]
    pub(crate) lease: Duration,
    /// How old a user group may be at the click; everything later reads it afresh.
    #[serde(deserialize_with = "text::read_duration")]
    #[schemars(with = "text::Time", extend("default" = "60s"))]
    pub(crate) directory_age_max: Duration,
    /// How many rollbacks this process has open at a time; another one is refused.
    #[schemars(range(min = 1, max = 100_000), extend("default" = 5_000))]
    pub(crate) open_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let core = rollback_core::Limits::default();
        Self {
            cd_timeout: core.cd_timeout,
            fact_age_max: core.fact_age_max,
            confirm_within: core.confirm_within,
            approve_within: core.approve_within,
            check_within: core.check_within,
            run_within: core.run_within,
            doubt_within: core.doubt_within,
            settle: core.settle,
            cool_down: core.cool_down,
            lease: core.lease,
            directory_age_max: core.directory_age_max,
            open_max: 5_000,
        }
    }
}

impl Limits {
    /// As the core has them.
    pub(crate) fn to_core(&self) -> rollback_core::Limits {
        let mut limits = rollback_core::Limits::default();
        limits.cd_timeout = self.cd_timeout;
        limits.fact_age_max = self.fact_age_max;
        limits.confirm_within = self.confirm_within;
        limits.approve_within = self.approve_within;
        limits.check_within = self.check_within;
        limits.run_within = self.run_within;
        limits.doubt_within = self.doubt_within;
        limits.settle = self.settle;
        limits.cool_down = self.cool_down;
        limits.lease = self.lease;
        limits.directory_age_max = self.directory_age_max;
        limits
    }
}

/// Others who hear of rollbacks: for editors only, until their crates are in the build.
struct Notify;

impl JsonSchema for Notify {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Notify".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let variable = text::Variable::json_schema(generator);
        let one = |key: &str| {
            serde_json::json!({
                "type": "object",
                "properties": {key: variable},
                "required": [key],
                "additionalProperties": false,
            })
        };
        schemars::json_schema!({
            "type": "object",
            "properties": {"pagerduty": one("routing_key_env"), "teams": one("webhook_env")},
            "additionalProperties": false,
        })
    }
}
