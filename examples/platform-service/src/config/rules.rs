//! What no schema can say: names that must exist, people who must be somebody, features that are
//! not in this build. Judged on the tree, so that it is told even when something else is wrong.

use super::StorePlace;
use super::judge::judge;
use super::problem::{Path, Place, Problem, looks_secret, meant, shown};
use super::text;
use super::yaml::{Node, Value};
use crate::kinds;
use crate::secrets::{Environment, NoSecret, secret_in};
use rollback_core::access::Pattern;
use schemars::generate::SchemaSettings;
use secrecy::ExposeSecret;

/// Everything that the rules find.
pub(super) fn rules(root: &Node, environment: &Environment) -> Vec<Problem> {
    let mut rules = Rules { root, environment, problems: Vec::new() };
    rules.absent_features();
    rules.store();
    rules.backends();
    rules.services();
    rules.access();
    rules.limits();
    rules.audit();
    rules.checkpoints();
    rules.secrets(root, &Path::default());
    rules.problems
}

struct Rules<'a> {
    root: &'a Node,
    environment: &'a Environment,
    problems: Vec<Problem>,
}

impl Rules<'_> {
    fn problem(
        &mut self,
        at: Place,
        path: &Path,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.problems.push(Problem::new(at, path, what, remedy));
    }

    fn absent_features(&mut self) {
        for (key, what) in
            [("conditions", "conditions over metrics"), ("notify", "PagerDuty and Teams")]
        {
            let entry = self.root.entries().iter().find(|entry| entry.key == key);
            if let Some(at) = entry.map(|entry| entry.at) {
                let what = format!("{what} are not in this build yet");
                self.problem(at, &Path::default().key(key), what, "remove the key");
            }
        }
    }

    /// The address of a folder is no file.
    fn store(&mut self) {
        let Some(node) = self.root.get("store") else { return };
        let place = node.text().and_then(|address| text::store(address).ok());
        if let Some(StorePlace::File(file)) = place
            && file.file_name().is_none()
        {
            let path = Path::default().key("store");
            self.problem(node.at, &path, "this names no file", "write `sqlite://rollback.db`");
        }
    }

    fn backends(&mut self) {
        let here = Path::default().key("backends");
        for entry in self.root.get("backends").map_or(&[][..], Node::entries) {
            let path = here.key(&entry.key);
            let Some(kind) = entry.node.get("kind") else { continue };
            let name = kind.text().unwrap_or_default();
            if kinds::is_absent(name) {
                let what = format!("the kind {} is not in this build yet", shown(name));
                let remedy = format!("in it are: {}", kinds::built_names());
                self.problem(kind.at, &path.key("kind"), what, remedy);
            }
            let named = ["token_env", "token_file"].iter().any(|key| entry.node.get(key).is_some());
            if kinds::built(name).is_some_and(|kind| kind.needs_token()) && !named {
                let remedy =
                    "add `token_env` with the name of an environment variable, or `token_file`";
                self.problem(entry.at, &path, "no token is named", remedy);
            }
            if let (Some(_), Some(file)) =
                (entry.node.get("token_env"), entry.node.get("token_file"))
            {
                let what = "the token is named twice, by `token_env` and by `token_file`";
                self.problem(file.at, &path.key("token_file"), what, "keep one of the two");
            }
        }
    }

    /// Secrets that are named must be there; secrets themselves must not.
    fn secrets(&mut self, node: &Node, path: &Path) {
        for entry in node.entries() {
            let here = path.key(&entry.key);
            let text = entry.node.text();
            if let Some(name) = text.filter(|_| entry.key.ends_with("_env"))
                && text::check("environment-variable", name).is_ok()
                && let Err(error) = self.environment.secret(name)
            {
                let what = match error {
                    NoSecret::Variable(_) => {
                        format!("the environment variable {} is not set", shown(name))
                    }
                    error @ (NoSecret::File { .. } | NoSecret::Implausible { .. }) => {
                        error.to_string()
                    }
                };
                let remedy = "set it for the service, and wherever `check` is run";
                self.problem(entry.node.at, &here, what, remedy);
            }
            if let Some(file) = text.filter(|_| entry.key.ends_with("_file"))
                && let Err(error) = secret_in(std::path::Path::new(file))
            {
                self.problem(entry.node.at, &here, error.to_string(), "or name another file");
            }
            if text.is_some_and(looks_secret) {
                let what = "this looks like a secret, and a secret does not belong into this file";
                let remedy = "put it into the environment, name it with a key that ends in `_env`, \
                              and replace it where it was issued";
                self.problem(entry.node.at, &here, what, remedy);
            }
            self.secrets(&entry.node, &here);
        }
        if let Value::List(items) = &node.value {
            for (number, item) in items.iter().enumerate() {
                self.secrets(item, &path.item(number));
            }
        }
    }

    fn services(&mut self) {
        let here = Path::default().key("services");
        for service in self.root.get("services").map_or(&[][..], Node::entries) {
            let path = here.key(&service.key).key("environments");
            for environment in service.node.get("environments").map_or(&[][..], Node::entries) {
                let path = path.key(&environment.key);
                self.backend_of(&environment.node, &path);
                let owned = environment.node.get("owners").is_some()
                    || service.node.get("owners").is_some()
                    || self.is_owned_by_rule(&service.key, &environment.key)
                    || self.root.get("break_glass").is_some();
                if !owned {
                    let what = "nobody may roll this back: it has no owners";
                    let remedy = "add `owners:` to the service or to the environment";
                    self.problem(environment.at, &path, what, remedy);
                }
                let approvals = environment.node.get("approvals").map(|node| &node.value);
                if let Some(Value::Int(approvals)) = approvals
                    && let Some(people) = self.approvers_known(&service.node, &environment.node)
                    && usize::try_from(*approvals)
                        .is_ok_and(|needed| needed >= people.max(1) && needed > 0)
                {
                    let what = format!(
                        "{approvals} other people must approve, and only {people} are named, of whom one may be the requester"
                    );
                    let remedy = "name more people, or a user group";
                    self.problem(environment.at, &path.key("approvals"), what, remedy);
                }
            }
        }
    }

    /// How many people may approve at most, where they are all named one by one.
    fn approvers_known(&self, service: &Node, environment: &Node) -> Option<usize> {
        let has_rules = self.root.get("access").is_some() || self.root.get("break_glass").is_some();
        let has_approvers =
            environment.get("approvers").is_some() || service.get("approvers").is_some();
        let owners = environment.get("owners").or_else(|| service.get("owners"))?;
        let users = owners.get("users")?;
        if has_rules || has_approvers || owners.get("groups").is_some() {
            return None;
        }
        match &users.value {
            Value::List(items) => Some(items.len()),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Text(_) | Value::Map(_) => None,
        }
    }

    fn is_owned_by_rule(&self, service: &str, environment: &str) -> bool {
        let rules = self.root.get("access").and_then(|access| access.get("owners"));
        let Some(Value::List(rules)) = rules.map(|node| &node.value) else { return false };
        rules.iter().any(|rule| {
            let covers = |key: &str, name: &str| match rule.get(key).and_then(Node::text) {
                Some(pattern) => Pattern::parse(pattern).is_ok_and(|pattern| pattern.covers(name)),
                None => true,
            };
            covers("services", service) && covers("environments", environment)
        })
    }

    /// The backend that an environment names exists, and `with` has the keys of its kind.
    fn backend_of(&mut self, environment: &Node, path: &Path) {
        let Some(named) = environment.get("backend") else { return };
        let Some(name) = named.text() else { return };
        let backends = self.root.get("backends");
        let Some(backend) = backends.and_then(|backends| backends.get(name)) else {
            let known =
                backends.map_or(&[][..], Node::entries).iter().map(|entry| entry.key.as_str());
            let all = known.clone().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let remedy = match meant(name, known) {
                Some(name) => format!("did you mean `{name}`?"),
                None if all.is_empty() => "add it under `backends`".to_owned(),
                None => format!("add it under `backends`, where there are {all}"),
            };
            let what = format!("there is no backend {}", shown(name));
            return self.problem(named.at, &path.key("backend"), what, remedy);
        };
        let kind = backend.get("kind").and_then(Node::text).and_then(kinds::built);
        let (Some(kind), here) = (kind, path.key("with")) else { return };
        let mut generator = SchemaSettings::draft07().into_generator();
        let schema = kind.with(&mut generator).to_value();
        let nothing = Node { at: named.at, value: Value::Map(Vec::new()) };
        let with = environment.get("with").unwrap_or(&nothing);
        self.problems.extend(judge(&schema, &schema, with, &here));
    }

    /// A time of zero, where nothing could ever be in time. The three that may be zero mean something
    /// then: no waiting, no cool-down, always asked afresh.
    fn limits(&mut self) {
        const MAY_BE_ZERO: [&str; 3] = ["settle", "cool_down", "directory_age_max"];
        let path = Path::default().key("limits");
        for entry in self.root.get("limits").map_or(&[][..], Node::entries) {
            if !MAY_BE_ZERO.contains(&entry.key.as_str()) {
                self.not_zero(&entry.node, &path.key(&entry.key));
            }
        }
        let services = Path::default().key("services");
        for service in self.root.get("services").map_or(&[][..], Node::entries) {
            let path = services.key(&service.key).key("environments");
            for environment in service.node.get("environments").map_or(&[][..], Node::entries) {
                let check = environment.node.get("health_check");
                if let Some(node) = check.and_then(|check| check.get("timeout")) {
                    let path = path.key(&environment.key).key("health_check").key("timeout");
                    self.not_zero(node, &path);
                }
            }
        }
        let checkpoints = self.root.get("audit").and_then(|audit| audit.get("checkpoints"));
        if let Some(node) = checkpoints.and_then(|it| it.get("heartbeat")) {
            let path = Path::default().key("audit").key("checkpoints").key("heartbeat");
            self.not_zero(node, &path);
        }
    }

    fn not_zero(&mut self, node: &Node, path: &Path) {
        if node.text().and_then(text::duration).is_some_and(|time| time.is_zero()) {
            let what = "a time of zero: nothing could ever be done within it";
            self.problem(
                node.at,
                path,
                what,
                "write a longer time, or remove the key for the default",
            );
        }
    }

    /// A rule that names nobody would look as if it did something.
    fn access(&mut self) {
        let here = Path::default().key("access");
        for list in self.root.get("access").map_or(&[][..], Node::entries) {
            let Value::List(rules) = &list.node.value else { continue };
            for (number, rule) in rules.iter().enumerate() {
                if rule.get("users").is_none() && rule.get("groups").is_none() {
                    let path = here.key(&list.key).item(number);
                    self.problem(
                        rule.at,
                        &path,
                        "the rule names nobody",
                        "add `users` or `groups`",
                    );
                }
            }
        }
    }

    /// Whoever signs checkpoints has a key that is one, and something that keeps them.
    fn checkpoints(&mut self) {
        let Some(audit) = self.root.get("audit") else { return };
        let Some(checkpoints) = audit.get("checkpoints") else { return };
        let path = Path::default().key("audit").key("checkpoints");
        if audit.get("file").is_none() {
            let remedy = "add `file: {path: audit.jsonl}` beside `checkpoints`";
            self.problem(
                checkpoints.at,
                &path,
                "the audit file keeps them, and there is none",
                remedy,
            );
        }
        for (variable, file) in [("key_env", "key_file"), ("retiring_key_env", "retiring_key_file")]
        {
            let named = (checkpoints.get(variable), checkpoints.get(file));
            let (node, key) = match named {
                (Some(_), Some(file_node)) => {
                    let what = format!("the key is named twice, by `{variable}` and by `{file}`");
                    self.problem(file_node.at, &path.key(file), what, "keep one of the two");
                    continue;
                }
                (Some(node), None) => (node, variable),
                (None, Some(node)) => (node, file),
                (None, None) if variable == "key_env" => {
                    let remedy = "make one with `platform-service audit key`, and name it with \
                                  `key_env` or `key_file`";
                    self.problem(checkpoints.at, &path, "no key is named", remedy);
                    continue;
                }
                (None, None) => continue,
            };
            let name = node.text().unwrap_or_default();
            let secret = match key == variable {
                true => self.environment.secret(name),
                false => secret_in(std::path::Path::new(name)),
            };
            // That there is none is told by the rule about secrets.
            if let Ok(secret) = secret
                && let Err(error) = rollback_audit::SigningKey::parse(secret.expose_secret())
            {
                let remedy = "make one with `platform-service audit key`";
                self.problem(node.at, &path.key(key), error.to_string(), remedy);
            }
        }
    }

    fn audit(&mut self) {
        let Some(audit) = self.root.get("audit") else { return };
        let path = Path::default().key("audit").key("require");
        let Some(require) = audit.get("require") else { return };
        let Value::List(sinks) = &require.value else { return };
        let names = |name: &str| sinks.iter().find(|sink| sink.text() == Some(name));
        if let Some(sink) = names("cdevents") {
            let remedy = "remove it; `store` and `file` are";
            self.problem(sink.at, &path, "export to CDEvents is not in this build yet", remedy);
        }
        if let Some(sink) = names("file")
            && audit.get("file").is_none()
        {
            let remedy = "add `file: {path: audit.jsonl}` beside `require`";
            self.problem(sink.at, &path, "`file` is required and there is none", remedy);
        }
    }
}
