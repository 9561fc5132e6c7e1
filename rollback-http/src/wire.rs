//! The bodies of the contract, as they travel. Both sides and the OpenAPI document use these types.
//!
//! Fields that are not known are passed over: the contract is extended compatibly. What it does
//! name must be there and readable, or the whole answer is not believed.

use rollback_core::named::Named;
use rollback_core::observed::{InProgress, Live, OperationKind};
use rollback_core::proof::OrderRef;
use rollback_core::{
    EnvironmentName, Label, Phase, Presence, Reason, Receipt, Reversible, RevisionId, RevisionName,
    RevisionRef, RevisionStatus, RollbackId, ServiceName, Timestamp, UserId, WaitsFor,
};
use serde::{Deserialize, Deserializer, Serialize};

#[cfg(feature = "openapi")]
use crate::openapi::{NAME, TIME, TOKEN};

/// Told where an answer about a service leaves out what is in progress.
const NO_IN_PROGRESS: &str = "the CD system's answer about the service has no `in_progress`; it \
    must send `\"in_progress\": null` beside `live` while nothing is, and else what is";

/// Told where an answer about a service leaves out what would undo a rollback.
const NO_UNDONE_BY: &str = "the CD system's answer about the service has no `undone_by`; it must \
    send `\"undone_by\": null` beside `live` where nothing would, and else the name of what would; \
    where it cannot, and you vouch that nothing does, set `undone_by: nothing` for this backend";

/// One entry of a service's deploy history.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub(crate) struct Revision {
    /// The CD system's own identity of it: one that cannot move.
    #[cfg_attr(feature = "openapi", schemars(with = "String", regex(pattern = TOKEN), length(max = 255)))]
    pub(crate) id: RevisionId,
    /// Its version, for people.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<String>"))]
    pub(crate) version: Option<Label>,
    /// The commit it was built from.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<String>"))]
    pub(crate) commit: Option<Label>,
    /// When it went live.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<String>", extend("format" = TIME)))]
    pub(crate) deployed_at: Option<Timestamp>,
    /// How its deploy ended.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schemars(with = "Status"))]
    pub(crate) status: RevisionStatus,
    /// Whether it could be restored now; `null` when that is not known.
    #[serde(default)]
    pub(crate) restorable: Option<bool>,
    /// The migrations it brought; `null` when they are not known, `[]` when there are none.
    #[serde(default)]
    pub(crate) migrations: Option<Vec<Migration>>,
    /// The earlier revision whose content this one restored, where a rollback makes a new entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<String>", regex(pattern = TOKEN)))]
    pub(crate) restores: Option<RevisionId>,
    /// What people call it besides, the usual name first; more than 16 are passed over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) names: Vec<Name>,
}

/// A name of a revision, besides its identity. It may move to another one.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub(crate) struct Name {
    /// The name.
    #[cfg_attr(feature = "openapi", schemars(with = "String", regex(pattern = TOKEN), length(max = 255)))]
    pub(crate) name: RevisionName,
    /// Since when it can have meant this revision; `null` when that is not known: then a deploy that
    /// is reported by it must be live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<String>", extend("format" = TIME)))]
    pub(crate) since: Option<Timestamp>,
}

/// A change of data or schema that a deploy brought with it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub(crate) struct Migration {
    /// Its name.
    #[cfg_attr(feature = "openapi", schemars(with = "String"))]
    pub(crate) id: Label,
    /// Whether the code before it still works after it.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schemars(with = "Answer"))]
    pub(crate) reversible: Reversible,
}

/// How a deploy ended.
#[cfg(feature = "openapi")]
#[derive(Default, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "the shape of the core's own type, for the document")]
pub(crate) enum Status {
    Succeeded,
    Failed,
    Superseded,
    #[default]
    Unknown,
}

/// Yes, no, or nobody said.
#[cfg(feature = "openapi")]
#[derive(Default, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "the shape of the core's own type, for the document")]
pub(crate) enum Answer {
    Yes,
    No,
    #[default]
    Unknown,
}

/// What kind of operation is in progress.
#[cfg(feature = "openapi")]
#[derive(Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "the shape of the core's own type, for the document")]
pub(crate) enum Kind {
    Deploy,
    Rollback,
}

/// How far an execution is.
#[cfg(feature = "openapi")]
#[derive(Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "the shape of the core's own type, for the document")]
pub(crate) enum Step {
    Started,
    HealthChecking,
    Complete,
    Failed,
    Cancelled,
}

/// An operation that the CD system is carrying out.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub(crate) struct Operation {
    /// What kind.
    #[cfg_attr(feature = "openapi", schemars(with = "Kind"))]
    pub(crate) kind: OperationKind,
    /// The `operation_id` of the order that it carries out, if it is one.
    #[serde(default)]
    pub(crate) operation_id: Option<String>,
    /// Since when; `null` when that is not known.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<String>", extend("format" = TIME)))]
    pub(crate) since: Option<Timestamp>,
}

/// What this server can promise for a service.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(default)]
pub(crate) struct Promises {
    /// Whether an order for something that is no longer live is turned away in the same step in
    /// which it would be carried out. The contract asks for it: absent means `true`.
    pub(crate) compare_and_set: bool,
    /// Whether `POST /v1/rollbacks/{operation_id}/fence` voids an order that has not arrived.
    pub(crate) fence: bool,
}

impl Default for Promises {
    fn default() -> Self {
        Self { compare_and_set: true, fence: false }
    }
}

/// A service in one environment.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(
    feature = "openapi",
    schemars(extend("required" = ["live", "revisions"]))
)]
pub(crate) struct Service {
    /// What runs now; `null` when nothing does.
    #[serde(deserialize_with = "there")]
    pub(crate) live: Option<Revision>,
    /// What is being done to it; `null` when nothing is. Absent where that cannot be told: then no
    /// rollback is sent.
    #[serde(default, deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<Operation>"))]
    pub(crate) in_progress: Option<Option<Operation>>,
    /// What would undo a rollback by itself, in words for people; `null` when nothing would. Absent
    /// where that cannot be told: then no rollback is sent, unless the caller's site vouches for it.
    #[serde(default, deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<String>"))]
    pub(crate) undone_by: Option<Option<String>>,
    /// The deploy history, newest first.
    pub(crate) revisions: Vec<Revision>,
    /// What this server can promise.
    #[serde(default)]
    pub(crate) capabilities: Promises,
}

/// `null` is an answer; nothing at all is none.
fn there<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer)
}

/// `null` is an answer, and told from none at all.
fn said<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

/// An order to roll a service back.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub(crate) struct OrderBody {
    /// The caller's identity of this rollback. The same again is the same rollback.
    #[cfg_attr(feature = "openapi", schemars(with = "String", regex(pattern = NAME), length(max = 255)))]
    pub(crate) operation_id: RollbackId,
    /// The service.
    #[cfg_attr(feature = "openapi", schemars(with = "String", regex(pattern = NAME), length(max = 255)))]
    pub(crate) service: ServiceName,
    /// The environment.
    #[cfg_attr(feature = "openapi", schemars(with = "String", regex(pattern = NAME), length(max = 255)))]
    pub(crate) environment: EnvironmentName,
    /// The revision that must still be live when it is carried out.
    #[cfg_attr(feature = "openapi", schemars(with = "String", regex(pattern = TOKEN), length(max = 255)))]
    pub(crate) expected_live: RevisionId,
    /// The revision to return to; not the one that is live.
    #[cfg_attr(feature = "openapi", schemars(with = "String", regex(pattern = TOKEN), length(max = 255)))]
    pub(crate) target: RevisionId,
    /// Why, in somebody's own words; not only white space.
    #[cfg_attr(
        feature = "openapi",
        schemars(with = "String", regex(pattern = r"\S"), length(max = 3000))
    )]
    pub(crate) reason: Reason,
    /// Who confirmed it.
    pub(crate) requested_by: Person,
}

/// Somebody, as the caller's directory knows them.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub(crate) struct Person {
    /// Their identity.
    #[cfg_attr(feature = "openapi", schemars(with = "String", regex(pattern = TOKEN), length(max = 255)))]
    pub(crate) id: UserId,
    /// Their name, for people; more than 300 characters are cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<String>"))]
    pub(crate) name: Option<Label>,
}

/// It was accepted: the order, or that its execution is to be stopped.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub(crate) struct Accepted {
    /// The CD system's own name for the execution.
    #[cfg_attr(feature = "openapi", schemars(length(min = 1, max = 300)))]
    pub(crate) execution_id: String,
    /// Where a person looks at it: an `https` or `http` address of at most 2,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(length(max = 2000)))]
    pub(crate) execution_url: Option<String>,
}

impl From<&Receipt> for Accepted {
    fn from(receipt: &Receipt) -> Self {
        Self { execution_id: receipt.execution.to_string(), execution_url: receipt.url.clone() }
    }
}

/// What an execution waits for before it goes on.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub(crate) struct Waits {
    /// What, for people: `an approval of the environment production`.
    #[serde(rename = "for")]
    #[cfg_attr(feature = "openapi", schemars(with = "String"))]
    pub(crate) what: Label,
    /// Who can let it go on; empty or absent where it is a timer, or nobody knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schemars(with = "Vec<String>"))]
    pub(crate) who: Vec<Label>,
    /// When it goes on by itself, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<String>", extend("format" = "date-time")))]
    pub(crate) until: Option<Timestamp>,
    /// Where to let it go on: an `https` or `http` address of at most 2,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(length(max = 2000)))]
    pub(crate) url: Option<String>,
}

/// An address that a person can be sent to; anything else is left out.
pub(crate) fn address(url: Option<String>) -> Option<String> {
    let is_web = |url: &String| url.starts_with("https://") || url.starts_with("http://");
    url.filter(|url| is_web(url) && url.len() <= URL_LENGTH_MAX)
}

/// The longest address that is passed on, in bytes.
const URL_LENGTH_MAX: usize = 2_000;

impl From<Waits> for WaitsFor {
    fn from(waits: Waits) -> Self {
        let mut known = Self::new(waits.what);
        (known.who, known.until) = (waits.who, waits.until);
        known.who.truncate(WHO_MAX);
        known.url = address(waits.url);
        known
    }
}

/// How many of those who can let it go on are named.
const WHO_MAX: usize = 10;

impl From<WaitsFor> for Waits {
    fn from(known: WaitsFor) -> Self {
        Self { what: known.what, who: known.who, until: known.until, url: known.url }
    }
}

/// How far the execution of an order is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub(crate) struct Execution {
    /// The CD system's own name for it.
    #[cfg_attr(feature = "openapi", schemars(length(min = 1, max = 300)))]
    pub(crate) execution_id: String,
    /// Where a person looks at it: an `https` or `http` address of at most 2,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(length(max = 2000)))]
    pub(crate) execution_url: Option<String>,
    /// How far it is.
    #[cfg_attr(feature = "openapi", schemars(with = "Step"))]
    pub(crate) phase: Phase,
    /// The CD system's words.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<String>"))]
    pub(crate) message: Option<Label>,
    /// What runs now; `null` when that is not known.
    #[serde(default)]
    pub(crate) live: Option<Revision>,
    /// What it waits for before it goes on: a person or a timer; `null` or absent while it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) waits: Option<Waits>,
}

/// The order is void: it was never accepted and never will be.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub(crate) struct Voided {
    /// Which order.
    #[cfg_attr(feature = "openapi", schemars(with = "String", regex(pattern = NAME), length(max = 255)))]
    pub(crate) operation_id: RollbackId,
    /// Always `true`.
    pub(crate) voided: bool,
}

impl Revision {
    pub(crate) fn reference(&self) -> RevisionRef {
        let mut reference = RevisionRef::new(self.id.clone());
        reference.version.clone_from(&self.version);
        reference.commit.clone_from(&self.commit);
        reference
    }
}

impl From<Revision> for rollback_core::Revision {
    fn from(wire: Revision) -> Self {
        let mut revision = Self::new(wire.id);
        revision.version = wire.version;
        revision.commit = wire.commit;
        revision.deployed_at = wire.deployed_at;
        revision.status = wire.status;
        revision.restorable = wire.restorable.into();
        let migrations = wire.migrations.map(|list| {
            let core = |it: Migration| rollback_core::Migration::new(it.id, it.reversible);
            list.into_iter().map(core).collect()
        });
        revision.migrations = Option::into(migrations);
        revision.restores = wire.restores;
        for Name { name, since } in wire.names {
            revision.call(name, since);
        }
        revision
    }
}

impl From<rollback_core::Revision> for Revision {
    fn from(revision: rollback_core::Revision) -> Self {
        let migrations: Option<Vec<rollback_core::Migration>> = revision.migrations.into();
        let wire =
            |it: rollback_core::Migration| Migration { id: it.id, reversible: it.reversible };
        Self {
            id: revision.id,
            version: revision.version,
            commit: revision.commit,
            deployed_at: revision.deployed_at,
            status: revision.status,
            restorable: revision.restorable.into(),
            migrations: migrations.map(|list| list.into_iter().map(wire).collect()),
            restores: revision.restores,
            names: revision.names.into_iter().map(Name::from).collect(),
        }
    }
}

impl From<Named> for Name {
    fn from(named: Named) -> Self {
        Self { name: named.name, since: named.since }
    }
}

/// Of a revision that the history does not hold, no more is known than what identifies it.
impl From<RevisionRef> for Revision {
    fn from(reference: RevisionRef) -> Self {
        let mut revision = rollback_core::Revision::new(reference.revision);
        revision.version = reference.version;
        revision.commit = reference.commit;
        revision.into()
    }
}

impl Service {
    /// What runs and what is being done, as the core has it.
    pub(crate) fn live(&self) -> Live {
        let mut live = Live::default();
        live.revision = self.live.as_ref().map(Revision::reference);
        let Some(in_progress) = &self.in_progress else {
            live.in_progress = Presence::cannot_tell(NO_IN_PROGRESS);
            return live;
        };
        live.in_progress = Presence::seen(in_progress.as_ref().map(|operation| {
            let mut known = InProgress::new(operation.kind);
            // Another caller's order may have a name that none of ours could have.
            let id = operation.operation_id.as_deref();
            known.operation_id = id.and_then(|id| RollbackId::parse(id).ok());
            known.since = operation.since;
            known
        }));
        live
    }

    /// What would undo a rollback, as the CD system says.
    pub(crate) fn undone_by(&self) -> Presence<String> {
        match &self.undone_by {
            Some(by) => Presence::seen(by.clone()),
            None => Presence::cannot_tell(NO_UNDONE_BY),
        }
    }
}

impl From<InProgress> for Operation {
    fn from(known: InProgress) -> Self {
        let operation_id = known.operation_id.map(String::from);
        Self { kind: known.kind, operation_id, since: known.since }
    }
}

impl From<&OrderRef> for OrderBody {
    fn from(order: &OrderRef) -> Self {
        let (plan, by) = (order.plan(), order.requested_by());
        Self {
            operation_id: order.rollback().clone(),
            service: plan.key().service.clone(),
            environment: plan.key().environment.clone(),
            expected_live: plan.from().revision.clone(),
            target: plan.to().revision.clone(),
            reason: order.reason().clone(),
            requested_by: Person { id: by.id.clone(), name: by.name.clone() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollback_testkit::{fixtures, order_for};
    use serde_json::json;

    fn revisions() -> Vec<rollback_core::Revision> {
        let mut named = fixtures::revision("43@1a2b", "2.15.0", fixtures::at(0));
        named.call("43".parse().unwrap(), Some(fixtures::at(0)));
        named.call("9".parse().unwrap(), None);
        fixtures::history().into_iter().chain([named]).collect()
    }

    #[test]
    fn a_revision_survives_the_wire_whole() {
        for revision in revisions() {
            let wire = serde_json::to_string(&Revision::from(revision.clone())).unwrap();
            let back: Revision = serde_json::from_str(&wire).unwrap();
            assert_eq!(rollback_core::Revision::from(back), revision);
        }
    }

    #[test]
    fn a_revision_on_the_wire_is_the_cores_own_writing() {
        for revision in revisions() {
            let wire = serde_json::to_value(Revision::from(revision.clone())).unwrap();
            assert_eq!(wire, serde_json::to_value(revision).unwrap());
        }
    }

    #[test]
    fn an_order_is_written_as_the_contract_says() {
        let order = order_for(fixtures::plan());
        let wire = serde_json::to_value(OrderBody::from(&*order)).unwrap();
        let expected = json!({
            "operation_id": order.rollback().as_str(),
            "service": "checkout",
            "environment": "production",
            "expected_live": order.plan().from().revision.as_str(),
            "target": order.plan().to().revision.as_str(),
            "reason": "an order for a test",
            "requested_by": {"id": order.requested_by().id.as_str(), "name": "Ana"},
        });
        assert_eq!(wire, expected);
    }

    #[test]
    fn a_service_that_leaves_out_what_matters_is_not_believed() {
        let whole = json!({"live": null, "in_progress": null, "revisions": [], "new": 1});
        let read = |value| serde_json::from_value::<Service>(value);
        assert_eq!(read(whole.clone()).unwrap().capabilities, Promises::default());
        for field in ["live", "revisions"] {
            let mut part = whole.clone();
            part.as_object_mut().unwrap().remove(field);
            assert!(read(part).is_err(), "without `{field}`");
        }
    }

    #[test]
    fn what_is_not_said_cannot_be_told_and_null_is_nothing() {
        let read = |more: serde_json::Value| {
            let mut value = json!({"live": {"id": "42"}, "revisions": []});
            value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let service: Service = serde_json::from_value(value.clone()).unwrap();
            let again = serde_json::to_value(&service).unwrap();
            for field in ["in_progress", "undone_by"] {
                assert_eq!(again.get(field).is_some(), value.get(field).is_some(), "{field}");
            }
            service
        };
        let silent = read(json!({}));
        let said = silent.undone_by();
        assert!(
            matches!(&said, Presence::CannotTell(why) if why.contains("`\"undone_by\": null`"))
        );
        let said = silent.live().in_progress;
        assert!(
            matches!(&said, Presence::CannotTell(why) if why.contains("`\"in_progress\": null`"))
        );
        let nothing = read(json!({"in_progress": null, "undone_by": null}));
        assert_eq!(nothing.undone_by(), Presence::Nothing);
        assert_eq!(nothing.live().in_progress, Presence::Nothing);
        let sync = read(json!({"in_progress": {"kind": "deploy"}, "undone_by": "auto-sync"}));
        assert_eq!(sync.undone_by(), Presence::Something("auto-sync".into()));
        let known = sync.live().in_progress;
        assert_eq!(known.something().map(|it| it.kind), Some(OperationKind::Deploy));
    }

    #[test]
    fn what_is_live_is_read_and_null_is_nothing() {
        let live = |live: serde_json::Value| {
            let value = json!({"live": live, "revisions": []});
            serde_json::from_value::<Service>(value).unwrap().live().revision
        };
        assert_eq!(live(json!({"id": "42"})), "42".parse().map(RevisionRef::new).ok());
        assert_eq!(live(json!(null)), None);
    }

    #[test]
    fn a_person_is_sent_only_to_a_web_address_that_a_page_can_hold() {
        let longest = format!("https://{}", "x".repeat(URL_LENGTH_MAX - 8));
        for url in ["https://cd.example.com/runs/7", "http://cd/runs/7", &longest] {
            assert_eq!(address(Some(url.to_owned())).as_deref(), Some(url));
        }
        for url in ["", "ftp://cd", "javascript:alert(1)", "cd.example.com", &(longest + "x")] {
            assert_eq!(address(Some(url.to_owned())), None, "{url}");
        }
        assert_eq!(address(None), None);
    }

    #[test]
    fn what_an_execution_waits_for_names_no_more_than_a_few_and_links_only_to_the_web() {
        let who: Vec<String> = (0..=WHO_MAX).map(|each| format!("approver {each}")).collect();
        let told = json!({"for": "an approval", "who": who, "url": "file:///etc/passwd"});
        let known: WaitsFor = serde_json::from_value::<Waits>(told).unwrap().into();
        assert_eq!((known.who.len(), known.url), (WHO_MAX, None));
    }

    #[test]
    fn an_operation_that_cannot_be_ours_is_still_in_progress() {
        let value = json!({
            "live": {"id": "42"}, "revisions": [],
            "in_progress": {"kind": "deploy", "operation_id": "some/other one", "since": null},
        });
        let live = serde_json::from_value::<Service>(value).unwrap().live();
        let operation = live.in_progress.something().unwrap().clone();
        assert_eq!(operation.operation_id, None);
        assert_eq!(operation.kind, OperationKind::Deploy);
    }
}
