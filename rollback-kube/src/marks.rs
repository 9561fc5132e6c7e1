//! What this adapter writes on a workload, all of it: which orders it took, and where a fence
//! stands.

use rollback_cluster::Meta;
use rollback_core::{RollbackId, Timestamp};
use serde::{Deserialize, Serialize};

/// The orders that a workload took, newest first, as JSON.
pub(crate) const ORDERS: &str = "rollback-rs.github.io/orders";
/// The newest fence: a rollback's id and what it was read with.
pub(crate) const FENCE: &str = "rollback-rs.github.io/fence";
/// The migrations that a revision brought, on its pod template, as JSON (see the crate's page).
pub(crate) const MIGRATIONS: &str = "rollback-rs.github.io/migrations";

/// How many orders are kept: more than can be in doubt at once, few enough to be read by people.
const ORDERS_KEPT: usize = 10;

/// An order that a workload took.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Mark {
    pub(crate) id: RollbackId,
    /// The ReplicaSet or ControllerRevision.
    pub(crate) to: String,
    pub(crate) at: Timestamp,
    /// The generation that it made.
    pub(crate) generation: i64,
}

/// The orders that are written on an object, newest first. What cannot be read is none of ours.
pub(crate) fn orders(meta: &Meta) -> Vec<Mark> {
    let text = meta.annotation(ORDERS).unwrap_or_default();
    serde_json::from_str(text).unwrap_or_default()
}

/// What the orders are with one more.
pub(crate) fn with_order(meta: &Meta, mark: Mark) -> String {
    let mut all = orders(meta);
    all.insert(0, mark);
    all.truncate(ORDERS_KEPT);
    serde_json::to_string(&all).unwrap_or_default()
}

/// A fence that differs from every one that stood here before.
pub(crate) fn fence(meta: &Meta, id: &RollbackId) -> String {
    format!("{id} {}", meta.resource_version)
}

/// Whether the fence that stands was made for this order.
pub(crate) fn is_fenced(meta: &Meta, id: &RollbackId) -> bool {
    let fence = meta.annotation(FENCE).unwrap_or_default();
    fence.split(' ').next() == Some(id.as_str())
}

/// Whether an order or a fence came between two looks.
pub(crate) fn moved(before: &Meta, after: &Meta) -> bool {
    [ORDERS, FENCE].iter().any(|key| before.annotation(key) != after.annotation(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(key: &str, value: &str) -> Meta {
        let annotations = [(key.to_owned(), value.to_owned())].into();
        Meta { annotations: Some(annotations), resource_version: "7".into(), ..Meta::default() }
    }

    fn mark(id: &str) -> Mark {
        let at = Timestamp::from_millis(1_000);
        Mark { id: id.parse().unwrap(), to: "web-1".into(), at, generation: 4 }
    }

    #[test]
    fn the_newest_orders_are_kept_and_read_back() {
        let mut object = Meta::default();
        for number in 0..ORDERS_KEPT + 3 {
            object = meta(ORDERS, &with_order(&object, mark(&format!("r{number}"))));
        }
        let kept = orders(&object);
        assert_eq!(kept.len(), ORDERS_KEPT);
        assert_eq!(kept.first(), Some(&mark("r12")));
    }

    #[test]
    fn what_somebody_else_wrote_into_our_annotation_is_no_order() {
        for foreign in ["", "null", "{}", "[1]", r#"[{"id":"../x"}]"#] {
            assert_eq!(orders(&meta(ORDERS, foreign)), [], "{foreign}");
        }
        assert_eq!(orders(&Meta::default()), []);
    }

    #[test]
    fn a_fence_names_its_order_exactly_and_never_repeats() {
        let id: RollbackId = "r1".parse().unwrap();
        let standing = meta(FENCE, &fence(&meta("x", ""), &id));
        assert!(is_fenced(&standing, &id));
        assert!(!is_fenced(&standing, &"r".parse().unwrap()));
        assert!(!is_fenced(&Meta::default(), &id));
        let later = Meta { resource_version: "8".into(), ..standing.clone() };
        assert_ne!(fence(&standing, &id), fence(&later, &id));
        assert!(moved(&Meta::default(), &standing) && !moved(&standing, &later));
    }
}
