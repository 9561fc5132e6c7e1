//! One-time tickets of orders.

use rollback_core::RollbackId;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// What a CD system with tickets does wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TicketFlaw {
    /// A fence says that it voids a ticket, and the job can redeem it still.
    VoidsNothing,
    /// Each job with the ticket redeems it.
    RedeemsTwice,
    /// A job does not look what is live.
    DoesNotCompare,
}

/// What became of a ticket, once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ticket {
    Redeemed,
    Void,
}

/// The tickets that are not good any more, where one writer wins: the first to write decides.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    used: BTreeMap<RollbackId, Ticket>,
    flaw: Option<TicketFlaw>,
}

impl Tickets {
    pub(super) fn break_with(&mut self, flaw: TicketFlaw) {
        self.flaw = Some(flaw);
    }

    /// A job redeems the ticket of its rollback. Whether it may go on.
    pub(super) fn redeem(&mut self, rollback: &RollbackId) -> bool {
        match self.used.entry(rollback.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(Ticket::Redeemed);
                true
            }
            Entry::Occupied(entry) => match entry.get() {
                Ticket::Redeemed => self.flaw == Some(TicketFlaw::RedeemsTwice),
                Ticket::Void => self.flaw == Some(TicketFlaw::VoidsNothing),
            },
        }
    }

    /// Redeems a ticket in place of its job. Of one that a job redeemed before, nothing changes.
    pub(super) fn void(&mut self, rollback: &RollbackId) {
        self.used.entry(rollback.clone()).or_insert(Ticket::Void);
    }

    pub(super) fn is_void(&self, rollback: &RollbackId) -> bool {
        self.used.get(rollback) == Some(&Ticket::Void)
    }

    /// Whether a job compares what is live.
    pub(super) fn compare(&self) -> bool {
        self.flaw != Some(TicketFlaw::DoesNotCompare)
    }
}
