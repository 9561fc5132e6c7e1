//! The one other way to an [`Order`]: it was made by the checks of another service, and came from
//! there over an authenticated wire. Only behind the feature `relay`, which no default turns on.
//!
//! ```text
//!  this workspace at the caller's            the CD system's side
//!  checks ─► Order ─► HttpBackend ──wire──► server: token ─► Relayed ─► Order ─► CdBackend
//! ```
//!
//! A CD system has always had to trust whoever holds its token: what is relayed here is what such a
//! caller could have asked of the CD system itself. Nothing that decides about rollbacks may name
//! this module; a lint of the workspace sees to that.

use super::{Order, OrderRef};
use crate::id::{Reason, RollbackId};
use crate::model::{Actor, Plan};
use crate::time::Timestamp;

/// What an authenticated caller asks of us, parsed.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "whoever relays must say all of it")]
pub struct Relayed {
    /// The caller's rollback: the idempotency key.
    pub rollback: RollbackId,
    /// What to do.
    pub plan: Plan,
    /// Who confirmed it there.
    pub requested_by: Actor,
    /// Why.
    pub reason: Reason,
    /// When the request came in, by our clock.
    pub received_at: Timestamp,
    /// The moment after which it must not be carried out any more.
    pub valid_until: Timestamp,
}

impl Relayed {
    /// Takes the caller's word that every check was made. Call it only after the caller has proved
    /// who they are.
    #[must_use]
    pub fn into_order(self) -> Order {
        Order(self.into_order_ref())
    }

    /// What the order says, for reading about it.
    #[must_use]
    pub fn into_order_ref(self) -> OrderRef {
        let Self { rollback, plan, requested_by, reason, received_at, valid_until } = self;
        OrderRef { rollback, plan, requested_by, reason, issued_at: received_at, valid_until }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{RevisionRef, ServiceKey};

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test of the method")]
    fn a_relayed_order_says_what_was_asked_and_nothing_else() {
        let key = ServiceKey::new("checkout".parse().unwrap(), "production".parse().unwrap());
        let of = |id: &str| RevisionRef::new(id.parse().unwrap());
        let relayed = Relayed {
            rollback: "rb-1".parse().unwrap(),
            plan: Plan::new(key, of("42"), of("41")).unwrap(),
            requested_by: Actor::new("U02ANA".parse().unwrap()),
            reason: Reason::parse("errors up 4x").unwrap(),
            received_at: Timestamp::from_millis(1_000),
            valid_until: Timestamp::from_millis(2_000),
        };
        let order = relayed.clone().into_order();
        let said = Relayed {
            rollback: order.rollback().clone(),
            plan: order.plan().clone(),
            requested_by: order.requested_by().clone(),
            reason: order.reason().clone(),
            received_at: order.issued_at(),
            valid_until: order.valid_until(),
        };
        assert_eq!(said, relayed);
    }
}
