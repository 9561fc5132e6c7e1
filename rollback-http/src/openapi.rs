//! The OpenAPI document: schemas from the types of the wire, routes and statuses written here. It
//! is committed as `openapi.json`; a test keeps it, and another holds the server to it.

use crate::wire::{Accepted, Execution, OrderBody, Service, Voided};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Names that are safe in a path: see `rollback_core::ServiceName`.
pub(crate) const NAME: &str = "^[A-Za-z0-9][A-Za-z0-9._-]*$";
/// Identities of other systems: printable, without quotes, never like an option.
pub(crate) const TOKEN: &str =
    r"^[!#$%&()*+,./0-9:;=?@A-Z\[\]^_a-z{|}~][!#$%&()*+,./0-9:;=?@A-Z\[\]^_a-z{|}~-]*$";
/// RFC 3339.
pub(crate) const TIME: &str = "date-time";

/// A field that is not as it should be.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
struct BadField {
    /// Which one, as a JSON pointer in the fragment of a URI.
    pointer: String,
    /// What is wrong with it.
    detail: String,
}

/// What went wrong, for machines and for people: RFC 9457. A server may say no more than the
/// status.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
struct Problem {
    /// What kind of problem; `about:blank` when the status tells all.
    #[serde(rename = "type", default)]
    kind: String,
    /// The status in words.
    title: String,
    /// The status.
    status: u16,
    /// What happened, whether anything was changed, and what to do next.
    detail: String,
    /// Each bad field.
    #[serde(default)]
    errors: Vec<BadField>,
    /// What is live instead of what was expected, where that is known.
    #[serde(default)]
    live: Option<crate::wire::Revision>,
}

/// The document of the CD API contract.
#[must_use]
pub fn openapi() -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();
    let order = generator.subschema_for::<OrderBody>();
    let bodies = Bodies {
        service: content("application/json", &generator.subschema_for::<Service>()),
        accepted: content("application/json", &generator.subschema_for::<Accepted>()),
        execution: content("application/json", &generator.subschema_for::<Execution>()),
        voided: content("application/json", &generator.subschema_for::<Voided>()),
        problem: content("application/problem+json", &generator.subschema_for::<Problem>()),
    };
    let schemas: Map<String, Value> = generator.take_definitions(true).into_iter().collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "CD API contract",
            "version": "1.1.0",
            "summary": "What a CD system speaks so that its deployments can be rolled back safely.",
            "description": DESCRIPTION,
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "tags": [
            {"name": "services", "description": "What runs and what ran."},
            {"name": "rollbacks", "description": "Orders and what became of them."},
        ],
        "paths": paths(&order, &bodies),
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    })
}

const DESCRIPTION: &str = "An order is carried out at most once. Its `operation_id` is its \
    identity: the same order again gives the same answer and nothing more. The status of the answer \
    to an order says what is certain: 202 it was taken; 400, 401, 404, 405, 408, 409, 413, 415 and \
    422 nothing was changed and nothing will be; any other answer, or none, proves nothing, and the \
    caller finds out by reading. Version 1.1 adds `capabilities` and the fence; a server without \
    them stays valid. Fields that are not named here are passed over by both sides.";

struct Bodies {
    service: Value,
    accepted: Value,
    execution: Value,
    voided: Value,
    problem: Value,
}

impl Bodies {
    /// An answer with problem details.
    fn problem(&self, description: &str) -> Value {
        json!({"description": description, "content": self.problem})
    }

    /// The answers that every operation can give.
    fn with_common(&self, own: Value) -> Value {
        let mut all = match own {
            Value::Object(own) => own,
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => Map::new(),
        };
        all.insert(
            "401".to_owned(),
            json!({
                "description": "No token, or none that is accepted here. Nothing was changed.",
                "headers": {"WWW-Authenticate": {"required": true, "schema": {"type": "string"}}},
                "content": self.problem,
            }),
        );
        all.insert("503".to_owned(), json!({
            "description": "It is not known, and with an order not whether it was taken either.",
            "headers": {"Retry-After": {"schema": {"type": "integer", "minimum": 1}}},
            "content": self.problem,
        }));
        Value::Object(all)
    }
}

fn content(media: &str, schema: &schemars::Schema) -> Value {
    json!({media: {"schema": schema}})
}

fn named(name: &str, description: &str, example: &str) -> Value {
    json!({
        "name": name, "in": "path", "required": true, "description": description,
        "schema": {"type": "string", "pattern": NAME, "maxLength": 255}, "example": example,
    })
}

fn paths(order: &schemars::Schema, bodies: &Bodies) -> Value {
    let id = named("operation_id", "The caller's identity of the rollback.", "rb-1");
    json!({
        "/v1/services/{service}/environments/{environment}": {
            "parameters": [
                named("service", "The service.", "checkout"),
                named("environment", "The environment.", "production"),
            ],
            "get": read_service(bodies),
        },
        "/v1/rollbacks": {"post": place(order, bodies)},
        "/v1/rollbacks/{operation_id}": {
            "parameters": [&id],
            "get": look(bodies),
            "delete": cancel(bodies),
        },
        "/v1/rollbacks/{operation_id}/fence": {"parameters": [&id], "post": fence(bodies)},
    })
}

fn read_service(bodies: &Bodies) -> Value {
    json!({
        "operationId": "service", "tags": ["services"],
        "summary": "What is live, what is in progress, and what there was.",
        "responses": bodies.with_common(json!({
            "200": {"description": "The service.", "content": bodies.service},
            "404": bodies.problem("No such service in such an environment is known here."),
        })),
    })
}

fn place(order: &schemars::Schema, bodies: &Bodies) -> Value {
    let links = |operation: &str| json!({"operationId": operation, "parameters": {"operation_id": "$request.body#/operation_id"}});
    json!({
        "operationId": "place", "tags": ["rollbacks"],
        "summary": "Orders a rollback, once.",
        "description": "`expected_live` must still be live, and the header must be the `operation_id`.",
        "parameters": [{
            "name": "Idempotency-Key", "in": "header", "required": true,
            "description": "The `operation_id` of the order.",
            "schema": {"type": "string", "pattern": NAME, "maxLength": 255}, "example": "rb-1",
        }],
        "requestBody": {"required": true, "content": {"application/json": {
            "schema": order,
            "example": {
                "operation_id": "rb-1", "service": "checkout", "environment": "production",
                "expected_live": "42", "target": "41", "reason": "errors up 4x",
                "requested_by": {"id": "U02ANA", "name": "Ana"},
            },
        }}},
        "responses": bodies.with_common(json!({
            "202": {
                "description": "It was taken, now or when it came first.",
                "content": bodies.accepted,
                "links": {"look": links("look"), "cancel": links("cancel"), "fence": links("fence")},
            },
            "400": bodies.problem("The body is not JSON, or the idempotency key is missing. Nothing was changed."),
            "404": bodies.problem("The target or the service is missing. Nothing was changed."),
            "408": bodies.problem("The body took too long. Nothing was changed."),
            "409": bodies.problem("Something else is live. Nothing was changed."),
            "413": bodies.problem("The body is too long. Nothing was changed."),
            "415": bodies.problem("The body is not `application/json`. Nothing was changed."),
            "422": bodies.problem("It was refused: a field is bad, the CD system would not do it, it was voided, or another order has its `operation_id`. Nothing was changed."),
        })),
    })
}

fn look(bodies: &Bodies) -> Value {
    json!({
        "operationId": "look", "tags": ["rollbacks"],
        "summary": "How far an order is: complete from one look, whatever was missed before.",
        "responses": bodies.with_common(json!({
            "200": {"description": "The execution of the order.", "content": bodies.execution},
            "404": bodies.problem("No such order was accepted."),
        })),
    })
}

fn cancel(bodies: &Bodies) -> Value {
    json!({
        "operationId": "cancel", "tags": ["rollbacks"],
        "summary": "Asks for the execution of an order to be stopped.",
        "responses": bodies.with_common(json!({
            "202": {"description": "It will be stopped; looking tells when.", "content": bodies.accepted},
            "404": bodies.problem("No such order was accepted."),
            "409": bodies.problem("It is too late."),
        })),
    })
}

fn fence(bodies: &Bodies) -> Value {
    json!({
        "operationId": "fence", "tags": ["rollbacks"],
        "summary": "Makes an order void that was never accepted: should it still come, it is turned away.",
        "description": "Optional: `capabilities.fence` of a service says whether it may be relied on.",
        "responses": bodies.with_common(json!({
            "200": {"description": "The order is void for good.", "content": bodies.voided},
            "404": bodies.problem("No order can have such an id."),
            "409": bodies.problem("It was accepted. Nothing was changed."),
            "501": bodies.problem("It was sent on, and whoever carries it out cannot prove that it will not come."),
        })),
    })
}
