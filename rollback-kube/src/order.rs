//! The writes: an order, and a fence. Each is one JSON patch that the API server carries out as a
//! whole or not at all.

use crate::classify::{Seen, id, reference};
use crate::config::Kind;
use crate::marks::{self, Mark};
use crate::objects::Kept;
use rollback_cluster::Meta;
use rollback_core::ports::StartError;
use rollback_core::{Receipt, RevisionId, RevisionRef, RollbackId, Timestamp};
use serde_json::{Value, json};

/// Why a revision was made, in a person's words; `kubectl rollout history` shows it.
const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";

/// What to do about an order, from one look.
#[derive(Debug)]
pub(crate) enum Decision {
    /// It was taken before.
    Taken(Receipt),
    /// It is refused.
    Refuse(StartError),
    /// This is to be sent.
    Send {
        /// What is to be sent.
        patch: Value,
        /// What it is known by once it was carried out.
        receipt: Receipt,
    },
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) order: &'a RollbackId,
    pub(crate) from: &'a RevisionId,
    pub(crate) to: &'a RevisionId,
    pub(crate) now: Timestamp,
}

impl Seen {
    /// Decides about an order. `first` is how the workload looked when the order arrived: what came
    /// since is a reason to stop.
    pub(crate) fn decide(&self, asked: Asked<'_>, first: &Meta) -> Decision {
        let refuse = |why: String| Decision::Refuse(StartError::Refused { why });
        let meta = &self.object.metadata;
        if let Some(mark) = self.mark_of(asked.order) {
            return Decision::Taken(self.receipt(&mark));
        }
        if marks::is_fenced(meta, asked.order) {
            return refuse("it was given up, and a fence was put up against it".into());
        }
        if meta.uid != first.uid || marks::moved(first, meta) {
            return refuse("another order or a fence came in between; nothing was changed".into());
        }
        let live = self.live();
        if live.and_then(id).as_ref() != Some(asked.from) {
            let live = live.and_then(reference);
            let from = RevisionRef::new(asked.from.clone());
            let (name, from) = match &live {
                Some(live) => (live.beside(&from), from.beside(live)),
                None => ("a newer version that is being taken up".to_owned(), from.to_string()),
            };
            let why = format!("{name} is live, not {from}; nothing was changed");
            return Decision::Refuse(StartError::Conflict { live, why });
        }
        if let Some(obstacle) = self.obstacle(asked.to) {
            return refuse(obstacle);
        }
        match self.find(asked.to) {
            Some(target) => {
                let (patch, receipt) = self.order(asked, target);
                Decision::Send { patch, receipt }
            }
            None => refuse(format!("`{}` is gone", asked.to.short())),
        }
    }

    /// The patch that carries an order out, if nothing has changed since this look.
    pub(crate) fn order(&self, asked: Asked<'_>, target: &Kept) -> (Value, Receipt) {
        let meta = &self.object.metadata;
        let mark = Mark {
            id: asked.order.clone(),
            to: target.meta.name.clone(),
            at: asked.now,
            // The template changes, so the patch makes the next one.
            generation: meta.generation.saturating_add(1),
        };
        let receipt = self.receipt(&mark);
        let mut patch = vec![test("/metadata/uid", &json!(meta.uid))];
        patch.extend(unchanged(meta));
        patch.push(json!({"op": "replace", "path": "/spec/template", "value": target.template}));
        patch.extend(note(meta, marks::ORDERS, &marks::with_order(meta, mark)));
        patch.extend(self.change_cause(target));
        (Value::Array(patch), receipt)
    }

    /// Gives a Deployment the change cause of the revision that comes back, as `kubectl rollout undo`
    /// does: its controller writes what stands on the Deployment onto the ReplicaSet, over what stood
    /// there. The other kinds leave their revisions' annotations alone.
    fn change_cause(&self, target: &Kept) -> Vec<Value> {
        let path = annotation(CHANGE_CAUSE);
        let here = self.object.metadata.annotation(CHANGE_CAUSE);
        let there = target.meta.annotation(CHANGE_CAUSE);
        if self.kind != Kind::Deployment || here == there {
            return Vec::new();
        }
        let unchanged = here.map(|here| test(&path, &json!(here)));
        let change = match there {
            Some(there) => json!({"op": "add", "path": path, "value": there}),
            None => json!({"op": "remove", "path": path}),
        };
        unchanged.into_iter().chain([change]).collect()
    }
}

/// The tests that fail once anything counts as changed: a newer specification, or a fence.
///
/// `generation` grows with the specification and, unlike `resourceVersion`, not with every status:
/// a rollout that is under way would fail an order for nothing. A fence that does not stand is
/// tested as well, as null.
fn unchanged(meta: &Meta) -> Vec<Value> {
    let mut tests = vec![test("/metadata/generation", &json!(meta.generation))];
    tests.push(match meta.annotations {
        Some(_) => test(&annotation(marks::FENCE), &json!(meta.annotation(marks::FENCE))),
        // There is nothing to look into.
        None => test("/metadata/annotations", &Value::Null),
    });
    tests
}

/// The patch that makes every order fail that was built on an earlier look.
pub(crate) fn fence(meta: &Meta, order: &RollbackId) -> Value {
    let mut patch = vec![test("/metadata/uid", &json!(meta.uid))];
    if meta.annotations.is_none() {
        patch.push(test("/metadata/annotations", &Value::Null));
    }
    patch.extend(note(meta, marks::FENCE, &marks::fence(meta, order)));
    Value::Array(patch)
}

fn test(path: &str, value: &Value) -> Value {
    json!({"op": "test", "path": path, "value": value})
}

fn annotation(key: &str) -> String {
    format!("/metadata/annotations/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// Writes one annotation, and makes room for it where there is none yet.
fn note(meta: &Meta, key: &str, value: &str) -> Vec<Value> {
    let path = annotation(key);
    let mut note = Vec::new();
    if meta.annotations.is_none() {
        note.push(json!({"op": "add", "path": "/metadata/annotations", "value": {}}));
    }
    note.push(json!({"op": "add", "path": path, "value": value}));
    note
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::tests::{at, seen, template};

    fn asked<'a>(order: &'a RollbackId, from: &'a RevisionId, to: &'a RevisionId) -> Asked<'a> {
        Asked { order, from, to, now: at(9) }
    }

    fn ids() -> (RollbackId, RevisionId, RevisionId) {
        let parsed = |text: &str| text.parse().unwrap();
        ("r1".parse().unwrap(), parsed("web-c@web-c-ui"), parsed("web-b@web-b-ui"))
    }

    fn decide(seen: &Seen, first: &Meta) -> Decision {
        let (order, from, to) = ids();
        seen.decide(asked(&order, &from, &to), first)
    }

    #[test]
    fn an_order_is_one_patch_that_tests_before_it_replaces() {
        let seen = seen();
        let Decision::Send { patch, receipt } = decide(&seen, &seen.object.metadata) else {
            panic!("not sent");
        };
        assert_eq!(receipt.execution.as_str(), "web@01234567#4");
        let mark = r#"[{"id":"r1","to":"web-b","at":"2026-11-22T09:00:09Z","generation":4}]"#;
        assert_eq!(
            patch,
            json!([
                {"op": "test", "path": "/metadata/uid", "value": "0123456789"},
                {"op": "test", "path": "/metadata/generation", "value": 3},
                {"op": "test", "path": "/metadata/annotations/rollback-rs.github.io~1fence", "value": null},
                {"op": "replace", "path": "/spec/template", "value": template("shop:2")},
                {"op": "add", "path": "/metadata/annotations/rollback-rs.github.io~1orders", "value": mark},
            ])
        );
    }

    #[test]
    fn where_there_are_no_annotations_yet_none_may_have_come() {
        let mut seen = seen();
        seen.object.metadata.annotations = None;
        let Decision::Send { patch, .. } = decide(&seen, &seen.object.metadata) else {
            panic!("not sent");
        };
        let none = json!({"op": "test", "path": "/metadata/annotations", "value": null});
        assert_eq!(patch[2], none);
        assert_eq!(patch[4], json!({"op": "add", "path": "/metadata/annotations", "value": {}}));
    }

    #[test]
    fn the_change_cause_of_the_restored_revision_comes_back_with_it() {
        let cause = |text: &str| [(CHANGE_CAUSE.to_owned(), text.to_owned())].into();
        let path = "/metadata/annotations/kubernetes.io~1change-cause";
        let tested = json!({"op": "test", "path": path, "value": "ship 3"});
        let add = json!({"op": "add", "path": path, "value": "ship 2"});
        let remove = json!({"op": "remove", "path": path});
        let table: [(Option<&str>, Option<&str>, Vec<Value>); 5] = [
            (Some("ship 3"), Some("ship 2"), vec![tested.clone(), add.clone()]),
            (Some("ship 3"), None, vec![tested, remove]),
            (None, Some("ship 2"), vec![add]),
            (Some("ship 2"), Some("ship 2"), Vec::new()),
            (None, None, Vec::new()),
        ];
        for (here, there, expected) in table {
            let mut seen = seen();
            seen.object.metadata.annotations = here.map(cause);
            seen.kept[1].meta.annotations = there.map(cause);
            assert_eq!(seen.change_cause(&seen.kept[1]), expected, "{here:?} {there:?}");
            let Decision::Send { patch, .. } = decide(&seen, &seen.object.metadata) else {
                panic!("not sent");
            };
            let patch = patch.as_array().unwrap();
            assert!(patch.ends_with(&expected), "what makes room for annotations comes first");
            seen.kind = Kind::StatefulSet;
            assert_eq!(seen.change_cause(&seen.kept[1]), Vec::<Value>::new());
        }
    }

    #[test]
    fn a_fence_that_stands_already_is_tested_by_its_value() {
        let mut seen = seen();
        let fence = marks::fence(&seen.object.metadata, &"r0".parse().unwrap());
        seen.object.metadata.annotations = Some([(marks::FENCE.to_owned(), fence.clone())].into());
        let Decision::Send { patch, .. } = decide(&seen, &seen.object.metadata) else {
            panic!("not sent");
        };
        assert_eq!(patch[2]["value"], fence);
    }

    #[test]
    fn an_order_that_was_taken_is_not_sent_again_whatever_runs_by_now() {
        let (order, from, to) = ids();
        let mut taken = seen();
        let (_, receipt) = taken.order(asked(&order, &from, &to), &taken.kept[1]);
        let mark = Mark { id: order, to: "web-b".into(), at: at(9), generation: 4 };
        let orders = marks::with_order(&taken.object.metadata, mark);
        taken.object.metadata.annotations = Some([(marks::ORDERS.to_owned(), orders)].into());
        for image in ["shop:2", "shop:3", "shop:9"] {
            taken.object.spec.template = template(image);
            let decision = decide(&taken, &Meta::default());
            let Decision::Taken(found) = decision else { panic!("{decision:?}") };
            assert_eq!(found, receipt);
        }
    }

    #[test]
    fn a_newer_deploy_is_a_conflict_that_names_it() {
        let mut moved = seen();
        moved.object.spec.template = template("shop:1");
        let Decision::Refuse(StartError::Conflict { live: Some(live), why }) =
            decide(&moved, &moved.object.metadata)
        else {
            panic!("no conflict");
        };
        assert_eq!(live.revision.as_str(), "web-a@web-a-ui");
        assert!(why.contains("nothing was changed"), "{why}");
        moved.object.spec.template = template("shop:unknown-yet");
        let decision = decide(&moved, &moved.object.metadata);
        let conflict =
            matches!(decision, Decision::Refuse(StartError::Conflict { live: None, .. }));
        assert!(conflict, "{decision:?}");
    }

    #[test]
    fn an_order_stops_at_its_fence_and_at_whatever_came_since_its_first_look() {
        let (order, ..) = ids();
        let first = seen().object.metadata;
        let mut fenced = seen();
        let fence = marks::fence(&fenced.object.metadata, &order);
        fenced.object.metadata.annotations = Some([(marks::FENCE.to_owned(), fence)].into());
        let fence_of_another = {
            let mut other = seen();
            let fence = marks::fence(&other.object.metadata, &"r2".parse().unwrap());
            other.object.metadata.annotations = Some([(marks::FENCE.to_owned(), fence)].into());
            other
        };
        for (seen, first) in
            [(&fenced, &fenced.object.metadata), (&fenced, &first), (&fence_of_another, &first)]
        {
            let decision = decide(seen, first);
            let refused = matches!(decision, Decision::Refuse(StartError::Refused { .. }));
            assert!(refused, "{decision:?}");
        }
        // An order of its own look is not hindered by somebody else's fence.
        let decision = decide(&fence_of_another, &fence_of_another.object.metadata);
        assert!(matches!(decision, Decision::Send { .. }), "{decision:?}");
    }

    #[test]
    fn a_fence_writes_a_value_that_was_never_there() {
        let (order, ..) = ids();
        let mut seen = seen();
        seen.object.metadata.resource_version = "5".into();
        let one = fence(&seen.object.metadata, &order);
        assert_eq!(one[1]["value"], "r1 5");
        seen.object.metadata.annotations = None;
        let bare = fence(&seen.object.metadata, &order);
        assert_eq!(bare[1]["path"], "/metadata/annotations");
        assert_eq!(bare[2]["value"], json!({}));
    }
}
