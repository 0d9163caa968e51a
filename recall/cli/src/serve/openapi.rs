//! The OpenAPI 3.1 document, made from the types of the routes.

use axum::http::Method;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::problem::Problem;
use super::query::properties;

/// What is said of a route.
pub(crate) struct Operation {
    pub(crate) id: &'static str,
    pub(crate) tag: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) description: &'static str,
    /// The status of success, beside 200: of a thing that was made.
    pub(crate) creates: bool,
    /// Whether it is open to those without a token.
    pub(crate) open: bool,
    /// Whether it heeds an `Idempotency-Key`.
    pub(crate) idempotency_key: bool,
}

impl Operation {
    pub(crate) fn new(id: &'static str, tag: &'static str, summary: &'static str) -> Operation {
        Operation { id, tag, summary, description: "", creates: false, open: false, idempotency_key: false }
    }

    pub(crate) fn more(self, description: &'static str) -> Operation {
        Operation { description, ..self }
    }

    pub(crate) fn creates(self) -> Operation {
        Operation { creates: true, idempotency_key: true, ..self }
    }

    pub(crate) fn idempotent(self) -> Operation {
        Operation { idempotency_key: true, ..self }
    }

    pub(crate) fn open(self) -> Operation {
        Operation { open: true, ..self }
    }
}

/// The document while it grows.
pub(crate) struct Document {
    paths: Map<String, Value>,
    schemas: SchemaGenerator,
}

impl Document {
    pub(crate) fn new() -> Document {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        Document { paths: Map::new(), schemas: settings.into_generator() }
    }

    pub(crate) fn add_body<I: JsonSchema, O: JsonSchema>(&mut self, method: &Method, path: &str, operation: Operation) {
        let input = self.schemas.subschema_for::<I>().to_value();
        let output = self.schemas.subschema_for::<O>().to_value();
        let takes_nothing =
            properties::<I>().is_empty() && input.get("anyOf").is_none() && I::schema_name() == "Nothing";
        let mut entry = self.entry(path, &operation, Vec::new(), success(&operation, &output));
        if !takes_nothing {
            entry["requestBody"] = json!({ "required": true, "content": { "application/json": { "schema": input } } });
        }
        self.insert(method, path, entry);
    }

    pub(crate) fn add_query<I: JsonSchema, O: JsonSchema>(
        &mut self,
        method: &Method,
        path: &str,
        operation: Operation,
    ) {
        let output = self.schemas.subschema_for::<O>().to_value();
        let parameters = query_parameters::<I>();
        let entry = self.entry(path, &operation, parameters, success(&operation, &output));
        self.insert(method, path, entry);
    }

    pub(crate) fn add_other(&mut self, method: &Method, path: &str, operation: Operation, responses: Value) {
        let mut entry = self.entry(path, &operation, Vec::new(), responses);
        // What a route of its own kind says beside its responses.
        for part in ["parameters", "requestBody"] {
            if let Some(said) = entry["responses"].as_object_mut().and_then(|responses| responses.remove(part)) {
                match (entry.get_mut(part), said) {
                    (Some(Value::Array(known)), Value::Array(said)) => known.extend(said),
                    (_, said) => entry[part] = said,
                }
            }
        }
        self.insert(method, path, entry);
    }

    /// The schema of a type, for a route of another kind.
    pub(crate) fn schema<T: JsonSchema>(&mut self) -> Value {
        self.schemas.subschema_for::<T>().to_value()
    }

    fn entry(&mut self, path: &str, operation: &Operation, query: Vec<Value>, mut responses: Value) -> Value {
        let problem = self.schemas.subschema_for::<Problem>().to_value();
        responses["default"] = json!({
            "description": "What went wrong, with a stable `code`.",
            "content": { "application/problem+json": { "schema": problem } },
        });
        let mut parameters = path_parameters(path);
        parameters.extend(query);
        if operation.idempotency_key {
            parameters.push(json!({
                "name": "Idempotency-Key", "in": "header", "required": false,
                "description": "A name for this request: sending it again under the same name within thirty days adds nothing. Another \
                    request under the same name is refused (`idempotency-key-reused`).",
                "schema": { "type": "string", "pattern": "^[!-~]{1,200}$" },
            }));
        }
        let mut entry = json!({
            "operationId": operation.id, "tags": [operation.tag], "summary": operation.summary, "responses": responses,
        });
        if !operation.description.is_empty() {
            entry["description"] = json!(operation.description);
        }
        if !parameters.is_empty() {
            entry["parameters"] = Value::Array(parameters);
        }
        if operation.open {
            entry["security"] = json!([]);
        }
        entry
    }

    fn insert(&mut self, method: &Method, path: &str, entry: Value) {
        let path = self.paths.entry(path.to_owned()).or_insert_with(|| json!({}));
        path[method.as_str().to_ascii_lowercase()] = entry;
    }

    /// The whole document.
    pub(crate) fn finish(mut self) -> Value {
        let schemas = self.schemas.take_definitions(true);
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "harness",
                "version": "1",
                "summary": "A learning memory for agents: keeps what happened, finds what helps, says where it knows it from.",
                "description": "Served by `harness serve`. Every request but `/healthz` carries `Authorization: Bearer TOKEN`, \
        with the token in the file that `serve.json` names, or one made with `harness token new`. Errors are RFC 9457 problems with a \
        stable `code`. Lists are paged with opaque cursors, which end with the server that gave them. Writes heed an `Idempotency-Key`.",
                "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
            },
            "servers": [{ "url": "http://127.0.0.1:7477" }],
            "security": [{ "token": [] }],
            "paths": self.paths,
            "components": {
                "schemas": schemas,
                "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            },
        })
    }
}

fn success(operation: &Operation, output: &Value) -> Value {
    let content = json!({ "application/json": { "schema": output } });
    let mut responses = json!({ "200": { "description": "Done.", "content": content } });
    if operation.creates {
        responses["200"]["description"] = json!("It was there already, under the same key.");
        responses["201"] = json!({
            "description": "It is stored, durably.",
            "headers": { "Location": { "description": "Where it is.", "schema": { "type": "string" } } },
            "content": content,
        });
    }
    responses
}

fn query_parameters<I: JsonSchema>() -> Vec<Value> {
    let parameter = |(name, mut schema, required): (String, Value, bool)| {
        let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        let mut parameter = json!({ "name": name, "in": "query", "required": required, "schema": schema });
        if let Some(description) = description {
            parameter["description"] = description;
        }
        parameter
    };
    properties::<I>().into_iter().map(parameter).collect()
}

fn path_parameters(path: &str) -> Vec<Value> {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let parameter = |name: &str| {
        let schema = if path.starts_with("/v1/records/") {
            json!({
                "type": "string", "pattern": "^[0-9a-fA-F]{8}(-?[0-9a-fA-F]){0,24}$", "examples": ["01a2283d-d441-7000-8000-000000000000"],
                "description": "The record's id, or the beginning of it, of eight hex digits or more, where one record \
                    that the token may read begins so.",
            })
        } else {
            json!({ "type": "string", "pattern": "^(?=[^/]*[^/\\s])[^/]{1,512}$" })
        };
        json!({ "name": name, "in": "path", "required": true, "schema": schema })
    };
    names.map(parameter).collect()
}
