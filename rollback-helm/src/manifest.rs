//! The manifests of a revision: which objects there are, and what is wanted of them.

use crate::record::{Content, clip};
use serde_json::Value;

/// How many objects of one release are looked at.
const OBJECTS_MAX: usize = 200;

/// What of Kubernetes' own is there once it is made: nobody waits for it.
const THERE_AT_ONCE: [&str; 16] = [
    "ClusterRole",
    "ClusterRoleBinding",
    "ConfigMap",
    "CronJob",
    "HorizontalPodAutoscaler",
    "Ingress",
    "LimitRange",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "PriorityClass",
    "ResourceQuota",
    "Role",
    "RoleBinding",
    "Secret",
    "Service",
    "ServiceAccount",
];

/// One object of a manifest. It may be a Secret: no `Debug`, and its values are never shown.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) namespace: Option<String>,
    pub(crate) object: Value,
}

impl Wanted {
    fn read(object: Value) -> Option<Self> {
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            api_version: text("/apiVersion")?,
            kind: text("/kind")?,
            name: text("/metadata/name")?,
            namespace: text("/metadata/namespace"),
            object,
        })
    }

    /// `deployment web`
    pub(crate) fn title(&self) -> String {
        clip(&format!("{} {}", self.kind.to_ascii_lowercase(), self.name))
    }

    /// `kind Widget (shop.example.com/v1)`
    pub(crate) fn kind_in_words(&self) -> String {
        clip(&format!("kind {} ({})", self.kind, self.api_version))
    }

    /// Whether it only holds others.
    pub(crate) fn is_list(&self) -> bool {
        self.api_version == "v1" && self.kind == "List"
    }

    /// Whether it has pods of its own.
    pub(crate) fn is_workload(&self) -> bool {
        self.api_version == "apps/v1"
            && matches!(self.kind.as_str(), "Deployment" | "StatefulSet" | "DaemonSet")
    }

    /// Whether it is there once it is made.
    fn is_there_at_once(&self) -> bool {
        let group = self.api_version.split_once('/').map_or("", |(group, _)| group);
        let is_kubernetes_own = !group.contains('.') || group.ends_with(".k8s.io");
        // One that waits for an address from outside.
        let balances = self.object.pointer("/spec/type").and_then(Value::as_str);
        is_kubernetes_own
            && THERE_AT_ONCE.contains(&self.kind.as_str())
            && balances != Some("LoadBalancer")
    }

    pub(crate) fn replicas(&self) -> Option<i64> {
        self.object.pointer("/spec/replicas").and_then(Value::as_i64)
    }

    /// A label or an annotation.
    pub(crate) fn mark(&self, key: &str) -> Option<&str> {
        mark(&self.object, key)
    }
}

/// A label or an annotation of an object.
pub(crate) fn mark<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    let metadata = object.get("metadata")?;
    let of = |kind: &str| metadata.get(kind).and_then(|all| all.get(key)).and_then(Value::as_str);
    of("labels").or_else(|| of("annotations"))
}

/// Reads the objects of a revision; none when its manifest is no YAML that is understood here.
pub(crate) fn read(content: &Content) -> Option<Vec<Wanted>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(&content.manifest).ok()?;
    let objects = documents.into_iter().flat_map(|document| match document.get("items") {
        Some(Value::Array(items))
            if document.get("metadata").is_none_or(|it| it.get("name").is_none()) =>
        {
            items.clone()
        }
        _ => vec![document],
    });
    Some(objects.filter_map(Wanted::read).take(OBJECTS_MAX).collect())
}

/// Whether helm itself must wait until everything of this revision is ready: a hook comes after that,
/// or something is in it whose readiness is not known here.
pub(crate) fn must_wait(content: &Content) -> bool {
    let comes_after = |event: &String| event == "post-rollback";
    if content.hooks.iter().any(|hook| hook.events.iter().any(comes_after)) {
        return true;
    }
    let Some(objects) = read(content) else { return true };
    objects.len() >= OBJECTS_MAX
        || objects.iter().any(|it| !it.is_workload() && !it.is_there_at_once())
}

/// The hooks that a rollback to this revision runs: `job migrate (pre-rollback)`.
pub(crate) fn hooks_that_run(content: &Content) -> Vec<String> {
    let events = ["pre-rollback", "post-rollback"];
    let run = content.hooks.iter().filter_map(|hook| {
        let when: Vec<&str> = events
            .into_iter()
            .filter(|event| hook.events.iter().any(|known| known == event))
            .collect();
        let title = format!("{} {}", hook.kind.to_ascii_lowercase(), hook.name);
        (!when.is_empty()).then(|| clip(&format!("{title} ({})", when.join(", "))))
    });
    run.collect()
}

/// The hooks that ran when this revision was deployed, and that no rollback undoes.
pub(crate) fn hooks_that_ran(content: &Content) -> Vec<String> {
    let ran = content.hooks.iter().filter(|hook| {
        hook.events.iter().any(|event| matches!(event.as_str(), "pre-upgrade" | "post-upgrade"))
    });
    ran.map(|hook| clip(&format!("{} {}", hook.kind.to_ascii_lowercase(), hook.name))).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::record::Hook;

    pub(crate) fn content(manifest: &str) -> Content {
        Content { manifest: manifest.to_owned(), hooks: Vec::new() }
    }

    #[test]
    fn objects_are_read_one_by_one_and_out_of_lists() {
        let text = "---\n# Source: a\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 2}\n---\n\n---\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Service, metadata: {name: web, namespace: other}}\n---\njust: text\n";
        let objects = read(&content(text)).unwrap();
        let titles: Vec<_> = objects.iter().map(Wanted::title).collect();
        assert_eq!(titles, ["deployment web", "service web"]);
        assert_eq!(objects[0].replicas(), Some(2));
        assert!(objects[0].is_workload() && !objects[1].is_workload());
        assert_eq!(objects[1].namespace.as_deref(), Some("other"));
        let of_its_own = "apiVersion: shop.example.com/v1\nkind: Basket\nmetadata: {name: web}\nitems:\n- {apiVersion: v1, kind: Service, metadata: {name: inner}}\n";
        let objects = read(&content(of_its_own)).unwrap();
        let titles: Vec<_> = objects.iter().map(Wanted::title).collect();
        assert_eq!(titles, ["basket web"], "it has a name, so that its items are its own matter");
        assert!(read(&content("")).unwrap().is_empty());
        assert!(read(&content("a: [")).is_none());
    }

    #[test]
    fn an_object_is_known_by_its_kind_and_by_the_api_that_serves_it() {
        let object = |api_version: &str, kind: &str| {
            let text = format!("apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: web}}");
            read(&content(&text)).unwrap().remove(0)
        };
        for (api_version, kind, is_list, is_workload) in [
            ("v1", "List", true, false),
            ("v1", "ConfigMap", false, false),
            ("shop.example.com/v1", "List", false, false),
            ("apps/v1", "Deployment", false, true),
            ("apps/v1", "StatefulSet", false, true),
            ("apps/v1", "DaemonSet", false, true),
            ("apps/v1", "ReplicaSet", false, false),
            ("shop.example.com/v1", "Deployment", false, false),
        ] {
            let object = object(api_version, kind);
            let words = object.kind_in_words();
            assert_eq!(words, format!("kind {kind} ({api_version})"));
            assert_eq!((object.is_list(), object.is_workload()), (is_list, is_workload), "{words}");
        }
    }

    #[test]
    fn hooks_are_told_by_when_they_run() {
        let hook = |name: &str, events: &[&str]| Hook {
            name: name.to_owned(),
            kind: "Job".to_owned(),
            manifest: "secret".to_owned(),
            events: events.iter().map(ToString::to_string).collect(),
        };
        let content = Content {
            manifest: String::new(),
            hooks: vec![
                hook("migrate", &["pre-upgrade", "pre-install"]),
                hook("undo", &["pre-rollback", "post-rollback"]),
                hook("test", &["test"]),
            ],
        };
        assert!(must_wait(&content));
        assert_eq!(hooks_that_run(&content), ["job undo (pre-rollback, post-rollback)"]);
        assert_eq!(hooks_that_ran(&content), ["job migrate"]);
    }

    #[test]
    fn helm_waits_by_itself_for_nothing_but_what_is_not_understood_here() {
        let hook = |event: &str| Hook { events: vec![event.to_owned()], ..Hook::default() };
        let before = Content { hooks: vec![hook("pre-rollback")], ..Content::default() };
        assert!(!must_wait(&before), "a hook before it is waited for anyhow");
        let after = Content { hooks: vec![hook("post-rollback")], ..Content::default() };
        assert!(must_wait(&after));
        let known = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: web}\n";
        assert!(!must_wait(&content(known)));
        for other in [
            "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {type: LoadBalancer}",
            "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: web}",
            "apiVersion: batch/v1\nkind: Job\nmetadata: {name: web}",
            "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: web}",
            "a: [",
        ] {
            assert!(must_wait(&content(other)), "{other}");
        }
        let many =
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\n".repeat(OBJECTS_MAX);
        assert!(must_wait(&content(&many)), "not all of it was looked at");
    }
}
