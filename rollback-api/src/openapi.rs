//! The OpenAPI document and the JSON Schema of the audit record, generated from the types and kept
//! by tests: `BLESS=1 cargo test -p rollback-api` writes them anew.

use crate::wire;
use rollback_core::CHANGES_MAX;
use rollback_core::audit::Record;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::path::Path;

/// A deploy that went live.
#[derive(JsonSchema, Serialize)]
struct DeployReport {
    /// The reporter's identity of this deploy; makes a repeat harmless. Those that begin with `found:`
    /// or `cloudevent:` are reserved.
    id: Token,
    service: Name,
    environment: Name,
    /// The version that went live.
    version: Text,
    /// The commit it was built from.
    commit: Option<Text>,
    /// What the CD system calls the revision that went live: its identity, or a name that is told
    /// with it, such as Helm's revision number. It is looked up once, as of `deployed_at`. Absent, the
    /// CD system is asked what runs.
    revision: Option<Token>,
    deployer: Option<DeployerReport>,
    /// Where the changes can be read: an http or https address.
    #[schemars(extend("maxLength" = 3000, "format" = "uri", "pattern" = "^https?://"))]
    changelog_url: Option<String>,
    /// When it went live.
    #[schemars(extend("format" = "date-time"))]
    deployed_at: String,
    /// The migrations it brought: absent or `null` when that is not known, empty when there are
    /// none.
    migrations: Option<Vec<MigrationReport>>,
    /// The commits it brought, newest first: absent or `null` when that is not known, empty when there
    /// are none. A rollback that takes back a fix of an incident or of a security hole must be
    /// acknowledged.
    #[schemars(extend("maxItems" = CHANGES_MAX))]
    changes: Option<Vec<ChangeReport>>,
}

/// A commit.
#[derive(JsonSchema, Serialize)]
struct ChangeReport {
    commit: Option<Text>,
    title: Text,
    author: Option<DeployerReport>,
    /// Where it can be read: an http or https address.
    #[schemars(extend("maxLength" = 3000, "format" = "uri", "pattern" = "^https?://"))]
    url: Option<String>,
    /// What it repaired.
    fixes: Option<Vec<FixReport>>,
}

/// Something that was repaired.
#[derive(JsonSchema, Serialize)]
struct FixReport {
    /// Its name where it is tracked: `INC-204`.
    id: Text,
    kind: FixKindReport,
}

#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
#[expect(dead_code, reason = "only its schema is wanted")]
enum FixKindReport {
    Incident,
    Security,
    Bug,
}

/// Who deployed.
#[derive(JsonSchema, Serialize)]
struct DeployerReport {
    name: Option<Text>,
    slack_user_id: Option<SlackUser>,
    email: Option<Text>,
}

/// A change of data or schema.
#[derive(JsonSchema, Serialize)]
struct MigrationReport {
    id: Text,
    /// Whether the earlier code still works after it; `unknown` when absent.
    reversible: Option<Reversible>,
}

#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
#[expect(dead_code, reason = "only its schema is wanted")]
enum Reversible {
    Yes,
    No,
    Unknown,
}

/// A proposal to roll back.
#[derive(JsonSchema, Serialize)]
#[schemars(extend("additionalProperties" = false))]
struct Proposal {
    service: Name,
    environment: Name,
    /// The revision to return to: its identity, or a name that is told with it, as it stands now.
    /// Absent, the policy chooses.
    target: Option<Token>,
    /// Why, in words for whoever decides.
    #[schemars(extend("minLength" = 1, "maxLength" = 3000, "pattern" = "\\S"))]
    reason: String,
    proposed_by: ProposedBy,
}

/// A freeze to set.
#[derive(JsonSchema, Serialize)]
#[schemars(extend("additionalProperties" = false))]
struct FreezeOrder {
    /// Why, as refusals will say.
    #[schemars(extend("minLength" = 1, "maxLength" = 3000, "pattern" = "\\S"))]
    reason: String,
    /// Until when; absent until it is lifted.
    #[schemars(extend("format" = "date-time"))]
    until: Option<String>,
}

/// A mark to set on a revision.
#[derive(JsonSchema, Serialize)]
#[schemars(extend("additionalProperties" = false))]
struct MarkOrder {
    /// Why, as refusals will say.
    #[schemars(extend("minLength" = 1, "maxLength" = 3000, "pattern" = "\\S"))]
    reason: String,
}

/// Who proposes: a person, a rule or an agent. It gives no right.
#[derive(JsonSchema, Serialize)]
#[schemars(extend("additionalProperties" = false))]
struct ProposedBy {
    id: Text,
    name: Option<Text>,
}

/// A CDEvent that says that a service was deployed or upgraded, in a CloudEvent.
#[derive(JsonSchema, Serialize)]
struct CloudEvent {
    #[schemars(extend("const" = "1.0"))]
    specversion: String,
    /// As in the event's `context`.
    #[schemars(extend("minLength" = 1, "maxLength" = 255))]
    id: String,
    /// As in the event's `context`.
    #[schemars(extend("minLength" = 1, "maxLength" = 2048))]
    source: String,
    /// As in the event's `context`.
    r#type: EventType,
    #[schemars(extend("const" = "application/json"))]
    datacontenttype: Option<String>,
    data: CdEvent,
}

/// A CDEvent that says that a service was deployed or upgraded.
#[derive(JsonSchema, Serialize)]
#[schemars(rename = "CDEvent")]
struct CdEvent {
    context: Context,
    subject: Subject,
    /// Of these, what a native report says besides: `version`, `commit`, `revision`, `deployer`,
    /// `changelog_url`, `migrations`, `changes`.
    #[serde(rename = "customData")]
    custom_data: Option<Custom>,
}

#[derive(JsonSchema, Serialize)]
#[serde(untagged)]
#[schemars(inline)]
#[expect(dead_code, reason = "only its schema is wanted")]
enum Custom {
    /// Ours.
    Ours(CustomData),
    /// Somebody else's, in whatever form they agreed on. Not read.
    Theirs(String),
}

#[derive(JsonSchema, Serialize)]
struct CustomData {
    version: Option<Text>,
    commit: Option<Text>,
    revision: Option<Token>,
    deployer: Option<DeployerReport>,
    migrations: Option<Vec<MigrationReport>>,
    #[schemars(extend("maxItems" = CHANGES_MAX))]
    changes: Option<Vec<ChangeReport>>,
}

#[derive(JsonSchema, Serialize)]
struct Context {
    /// The version of CDEvents.
    #[schemars(extend("pattern" = "^0\\."))]
    specversion: String,
    #[schemars(extend("minLength" = 1, "maxLength" = 255))]
    id: String,
    #[schemars(extend("minLength" = 1, "maxLength" = 2048))]
    source: String,
    r#type: EventType,
    #[schemars(extend("format" = "date-time"))]
    timestamp: String,
}

#[derive(JsonSchema, Serialize)]
#[schemars(inline)]
struct EventType(
    #[schemars(extend("pattern" = "^dev\\.cdevents\\.service\\.(deployed|upgraded)\\.0\\."))]
    String,
);

#[derive(JsonSchema, Serialize)]
struct Subject {
    /// The service.
    id: Name,
    content: Content,
}

#[derive(JsonSchema, Serialize)]
struct Content {
    environment: EventEnvironment,
    /// What was deployed, as a package URL: its tag, else its version, is the deploy's version.
    #[serde(rename = "artifactId")]
    artifact_id: Text,
}

#[derive(JsonSchema, Serialize)]
struct EventEnvironment {
    id: Name,
}

/// A service or an environment.
#[derive(JsonSchema, Serialize)]
#[schemars(inline)]
struct Name(
    #[schemars(extend(
        "minLength" = 1, "maxLength" = 255, "pattern" = "^[A-Za-z0-9][A-Za-z0-9._-]*$"
    ))]
    String,
);

/// An identity: printable ASCII without spaces or quotes, no `-` first.
#[derive(JsonSchema, Serialize)]
#[schemars(inline)]
struct Token(
    #[schemars(extend(
        "minLength" = 1,
        "maxLength" = 255,
        "pattern" = "^[!#-&(-,.-;=?-\\[\\]-_a-~][!#-&(-;=?-\\[\\]-_a-~]*$"
    ))]
    String,
);

/// One person's Slack user id.
#[derive(JsonSchema, Serialize)]
#[schemars(inline)]
struct SlackUser(#[schemars(extend("pattern" = "^[UW][A-Z0-9]{1,31}$"))] String);

/// A short text, for people, with something to see in it.
#[derive(JsonSchema, Serialize)]
#[schemars(inline)]
struct Text(#[schemars(extend("minLength" = 1, "maxLength" = 300, "pattern" = "\\S"))] String);

/// The schema of an answer's type, as a component.
fn told<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}

fn json_body(schema: &Value) -> Value {
    json!({"application/json": {"schema": schema}})
}

fn answer(description: &str, content: &Value) -> Value {
    json!({"description": description, "content": content})
}

/// The problems that an operation may answer with, besides those that every one may.
fn problems(statuses: &[u16]) -> Map<String, Value> {
    let reference = |status: &u16| {
        (status.to_string(), json!({"$ref": format!("#/components/responses/{status}")}))
    };
    statuses.iter().chain(&[401, 405, 429, 431, 503]).map(reference).collect()
}

fn operation(summary: &str, told: &[(u16, Value)], statuses: &[u16]) -> Value {
    let mut responses = problems(statuses);
    responses.extend(told.iter().map(|(status, answer)| (status.to_string(), answer.clone())));
    json!({"summary": summary, "responses": responses})
}

fn with(mut operation: Value, name: &str, value: Value) -> Value {
    operation[name] = value;
    operation
}

fn parameter(place: &str, name: &str, description: &str, schema: &Value) -> Value {
    json!({
        "in": place, "name": name, "description": description, "schema": schema,
        "required": place == "path",
    })
}

fn name_schema() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$"})
}

fn filters() -> Vec<Value> {
    let name = || json!({"type": "string", "maxLength": 255, "pattern": "^([A-Za-z0-9][A-Za-z0-9._-]*)?$"});
    vec![
        parameter("query", "service", "Only of this service; of all when empty.", &name()),
        parameter("query", "environment", "Only of this environment; of all when empty.", &name()),
    ]
}

fn deploys(answers: &mut SchemaGenerator, bodies: &mut SchemaGenerator) -> Value {
    let (native, event) = (told::<DeployReport>(bodies), told::<CloudEvent>(bodies));
    let either = json!({"anyOf": [native, told::<CdEvent>(bodies)]});
    let taken = json_body(&told::<wire::DeployTaken>(answers));
    let operation = operation(
        "Report that a deploy went live. The same report again changes nothing; the same id with other content is a conflict.",
        &[
            (201, answer("It is new, and kept.", &taken)),
            (200, answer("It was reported before; this is what is kept.", &taken)),
        ],
        &[400, 408, 409, 413, 415, 422, 500],
    );
    let body = json!({
        "required": true,
        "description": "Native JSON; a CDEvent as a structured CloudEvent; or a CDEvent alone, \
                        with the CloudEvent's attributes as `ce-` headers.",
        "content": {
            "application/json": {"schema": either},
            "application/cloudevents+json": {"schema": event},
        },
    });
    json!({"post": with(operation, "requestBody", body)})
}

fn services(generator: &mut SchemaGenerator) -> Value {
    let service = json_body(&told::<wire::Service>(generator));
    let stands = answer("How it stands now.", &service);
    let operation = operation(
        "How a service stands: live, target and why, the guards as they stand now.",
        &[(200, stands)],
        &[404, 500],
    );
    let parameters = json!([
        parameter("path", "service", "The service.", &name_schema()),
        parameter("path", "environment", "The environment.", &name_schema()),
    ]);
    json!({"get": with(operation, "parameters", parameters)})
}

/// What may be set and lifted about a service.
fn held(
    answers: &mut SchemaGenerator,
    body: &Value,
    (name, what, schema): (&str, &str, &Value),
    (set, lift): (&str, &str),
) -> Value {
    let parameters = json!([
        parameter("path", "service", "The service.", &name_schema()),
        parameter("path", "environment", "The environment.", &name_schema()),
        parameter("path", name, what, schema),
    ]);
    let changed = json_body(&told::<wire::Changed>(answers));
    let set = operation(
        set,
        &[(201, answer("It holds.", &changed))],
        &[400, 404, 408, 409, 413, 415, 422, 500],
    );
    let set = with(set, "requestBody", json!({"required": true, "content": json_body(body)}));
    let lifted = json!({"description": "It holds no more."});
    let lift = operation(lift, &[(204, lifted)], &[404, 409, 500]);
    json!({
        "post": with(set, "parameters", parameters.clone()),
        "delete": with(lift, "parameters", parameters),
    })
}

fn held_paths(answers: &mut SchemaGenerator, bodies: &mut SchemaGenerator) -> (Value, Value) {
    let (freeze, mark) = (told::<FreezeOrder>(bodies), told::<MarkOrder>(bodies));
    let label = json!({"type": "string", "minLength": 1, "maxLength": 300, "pattern": "^[A-Za-z0-9][A-Za-z0-9 ._-]*$"});
    let token = json!({"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$"});
    (
        held(
            answers,
            &freeze,
            ("name", "The freeze. The same name again takes its place.", &label),
            ("Freeze a service: no rollback of it while that holds.", "Lift a freeze."),
        ),
        held(
            answers,
            &mark,
            ("revision", "The revision: its identity, or a name that is told with it.", &token),
            (
                "Mark a revision bad: it is no target while that stands.",
                "Take back that a revision is bad.",
            ),
        ),
    )
}

/// The key that makes a repeat the same proposal.
fn once() -> Value {
    let schema = json!({"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"});
    let description = "A repeat with the same key and body gets the first proposal, as long as that is \
                       kept; another body under the same key is a conflict.";
    parameter("header", "Idempotency-Key", description, &schema)
}

fn drills(answers: &mut SchemaGenerator, bodies: &mut SchemaGenerator) -> Value {
    let opened = answer("It is open.", &json_body(&told::<wire::Proposed>(answers)));
    let open = operation(
        "Open a drill: it goes the way of a rollback, and its order is never sent.",
        &[(201, opened)],
        &[400, 408, 409, 413, 415, 422, 500],
    );
    let body = json!({"required": true, "content": json_body(&told::<Proposal>(bodies))});
    let open = with(open, "parameters", json!([once()]));
    json!({"post": with(open, "requestBody", body)})
}

fn rollbacks(answers: &mut SchemaGenerator, bodies: &mut SchemaGenerator) -> Value {
    let mut proposed = answer("It is proposed.", &json_body(&told::<wire::Proposed>(answers)));
    proposed["headers"] = json!({
        "Location": {"description": "Where it can be read.", "schema": {"type": "string"}},
    });
    let propose = operation(
        "Propose a rollback: posts the prompt with the reason, and executes nothing.",
        &[(201, proposed)],
        &[400, 408, 409, 413, 415, 422, 500],
    );
    let body = json!({"required": true, "content": json_body(&told::<Proposal>(bodies))});
    let listed = json_body(&told::<wire::Rollbacks>(answers));
    let list = operation(
        "Rollbacks, newest first.",
        &[(200, answer("The rollbacks.", &listed))],
        &[400, 422, 500],
    );
    let mut states: Vec<&str> = wire::State::ALL.iter().map(|state| state.as_str()).collect();
    states.push("");
    let mut parameters = filters();
    let schema = json!({"type": "string", "enum": states});
    parameters.push(parameter("query", "state", "Only in this state; in all when empty.", &schema));
    let schema = json!({"type": "integer", "minimum": 1, "maximum": 1000, "default": 100});
    parameters.push(parameter("query", "limit", "At most this many.", &schema));
    json!({
        "post": with(with(propose, "parameters", json!([once()])), "requestBody", body),
        "get": with(list, "parameters", parameters.into()),
    })
}

fn rollback(generator: &mut SchemaGenerator) -> (Value, Value) {
    let id = parameter("path", "id", "The rollback.", &name_schema());
    let shown = json_body(&told::<wire::Rollback>(generator));
    let show = operation("A rollback.", &[(200, answer("How it stands.", &shown))], &[404, 500]);
    let event = json!({
        "type": "object",
        "description": "One event.",
        "properties": {
            "id": {"type": "string", "description": "The sequence number."},
            "event": {"type": "string", "description": "The kind."},
            "data": {"type": "string", "description": "The audit record, as one line of JSON."},
        },
        "required": ["id", "event", "data"],
    });
    let stream = json!({"text/event-stream": {"schema": event}});
    let follow = operation(
        "Every audit record of a rollback as server-sent events, from the first, and live. `id` is \
         the sequence number, `event` the kind, `data` the record. Ends after the last.",
        &[
            (200, answer("The events.", &stream)),
            (204, json!({"description": "There is nothing after the last event that you have."})),
        ],
        &[400, 404, 500],
    );
    let schema = json!({"type": "integer", "minimum": 0, "maximum": 9_007_199_254_740_991_u64});
    let after = parameter("header", "Last-Event-ID", "The last event that you have.", &schema);
    (
        json!({"get": with(show, "parameters", json!([id]))}),
        json!({"get": with(follow, "parameters", json!([id, after]))}),
    )
}

fn audit(generator: &mut SchemaGenerator) -> (Value, Value) {
    let lines = json!({"application/x-ndjson": {"schema": {"type": "string"}}});
    let list = operation(
        "The audit log as JSON lines, oldest first: each line is a record, and the very bytes \
         that were hashed. Ask again with `after` the last one's `sequence`.",
        &[(200, answer("The records.", &lines))],
        &[400, 500],
    );
    let mut parameters = filters();
    let whole = |least: u64| json!({"type": "integer", "minimum": least, "maximum": 9_007_199_254_740_991_u64});
    parameters.push(parameter("query", "after", "Only after this sequence number.", &whole(0)));
    parameters.push(parameter("query", "limit", "At most this many; all when absent.", &whole(1)));
    let verified = json_body(&told::<wire::Verification>(generator));
    let verify = operation(
        "Whether the audit log is whole: reads all of it.",
        &[(200, answer("What was found.", &verified))],
        &[400, 500],
    );
    (json!({"get": with(list, "parameters", parameters.into())}), json!({"get": verify}))
}

fn status(generator: &mut SchemaGenerator) -> Value {
    let status = json_body(&told::<wire::HealthReport>(generator));
    let operation = operation(
        "What blocks a rollback now, each by its name: the store, the chat, each CD system, the \
         directory, the audit sinks; and what is quarantined or unsettled.",
        &[(200, answer("How things stand, whatever that is.", &status))],
        &[],
    );
    json!({"get": operation})
}

fn open(generator: &mut SchemaGenerator, summary: &str, statuses: &[u16]) -> Value {
    let health = json_body(&told::<wire::Health>(generator));
    let mut operation = operation(summary, &[(200, answer("Yes.", &health))], statuses);
    operation["security"] = json!([]);
    if let Some(responses) = operation["responses"].as_object_mut() {
        for behind_a_token in ["401", "429"] {
            responses.remove(behind_a_token);
        }
    }
    json!({"get": operation})
}

fn metrics() -> Value {
    json!({"get": {
        "summary": "Metrics, for Prometheus.", "security": [],
        "responses": {
            "200": answer("The page.", &json!({
                "text/plain": {"schema": {"type": "string"}},
                "application/openmetrics-text": {"schema": {"type": "string"}},
            })),
            "405": {"$ref": "#/components/responses/405"},
            "431": {"$ref": "#/components/responses/431"},
        },
    }})
}

/// The problems, as every operation may refer to them.
fn responses(generator: &mut SchemaGenerator) -> Map<String, Value> {
    let problem = told::<crate::problem::ProblemBody<'_>>(generator);
    let content = json!({"application/problem+json": {"schema": problem}});
    let mut responses = Map::new();
    for (status, description) in [
        (400, "The body, the query or a header cannot be read. Nothing was changed."),
        (401, "A bearer token is needed, or this one is not known."),
        (404, "There is no such thing."),
        (405, "The method is not taken here; `Allow` names what is."),
        (408, "The body did not arrive in time. Nothing was changed."),
        (409, "It cannot be done as things stand. Nothing was changed."),
        (413, "The body is too large. Nothing was changed."),
        (415, "A body of this type is not taken. Nothing was changed."),
        (
            422,
            "Fields are missing or wrong, or name what is not known; each is named. Nothing was changed.",
        ),
        (429, "Too many requests; `Retry-After` says when to come back. Nothing was changed."),
        (500, "What is stored cannot be read."),
        (503, "Not now; `Retry-After` says when to come back. Nothing was changed."),
    ] {
        responses.insert(status.to_string(), answer(description, &content));
    }
    let too_large = json!({"description": "The head of the request is too large."});
    responses.insert("431".into(), too_large);
    responses
}

fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut answers = settings.clone().into_generator();
    // What is sent may leave out what is optional; what is told never does.
    let mut bodies = settings.for_deserialize().into_generator();
    let responses = responses(&mut answers);
    let deploys = deploys(&mut answers, &mut bodies);
    let rollbacks = rollbacks(&mut answers, &mut bodies);
    let (rollback, events) = rollback(&mut answers);
    let (audit, verify) = audit(&mut answers);
    let (freezes, marks) = held_paths(&mut answers, &mut bodies);
    let drills = drills(&mut answers, &mut bodies);
    let paths = json!({
        "/v1/deploys": deploys,
        "/v1/services/{service}/{environment}": services(&mut answers),
        "/v1/services/{service}/{environment}/freezes/{name}": freezes,
        "/v1/services/{service}/{environment}/bad-revisions/{revision}": marks,
        "/v1/drills": drills,
        "/v1/rollbacks": rollbacks,
        "/v1/rollbacks/{id}": rollback,
        "/v1/rollbacks/{id}/events": events,
        "/v1/audit": audit,
        "/v1/audit/verify": verify,
        "/v1/status": status(&mut answers),
        "/healthz": open(&mut answers, "Whether the process lives.", &[]),
        "/readyz": open(&mut answers, "Whether rollbacks would be driven and recorded.", &[]),
        "/metrics": metrics(),
    });
    let mut schemas = answers.take_definitions(true);
    schemas.extend(bodies.take_definitions(true));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Rollback service",
            "description": "Deploys come in, rollbacks are proposed and read, services are frozen, the \
                            audit log is told. Nothing here executes a rollback: a person does, in \
                            the chat.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": responses,
            "schemas": schemas,
        },
    })
}

fn audit_record() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<Record>().to_value();
    schema["title"] = "Audit record of a rollback".into();
    schema
}

/// Compares what is generated with what is kept, or keeps it anew.
fn kept(file: &str, generated: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = format!("{}\n", serde_json::to_string_pretty(generated).unwrap());
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, text, "{file} is not what the types say; BLESS=1 writes it anew");
}

#[test]
fn the_openapi_document_is_what_the_types_say() {
    kept("openapi.json", &document());
}

#[test]
fn the_schema_of_the_audit_record_is_what_the_type_says() {
    kept("audit-record.schema.json", &audit_record());
}
