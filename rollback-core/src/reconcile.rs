//! What became of an order in doubt, found out by reading: the protocol, without the waiting.
//!
//! Find; not found, fence, and find once more. Still not found is proof that the order was not and
//! will not be carried out. Whoever performs it asks each question until there is an answer, and
//! never sends anything: there is no step that could.
//!
//! ```
//! use rollback_core::Event;
//! use rollback_core::ports::Fenced;
//! use rollback_core::reconcile::{Next, begin};
//! let Next::Find(looking) = begin() else { return };
//! let Next::Fence(fencing) = looking.found(None) else { return };
//! let Next::Find(again) = fencing.fenced(Fenced::Done) else { return };
//! assert_eq!(again.found(None), Next::Known(Event::OrderAbsent));
//! ```

use crate::event::{Event, Receipt};
use crate::ports::Fenced;

/// What to ask the CD system next.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use = "the doubt is settled by asking on"]
#[expect(clippy::exhaustive_enums, reason = "whoever performs it must know each question")]
pub enum Next {
    /// [`crate::ports::CdBackend::find`].
    Find(Looking),
    /// [`crate::ports::CdBackend::fence`].
    Fence(Fencing),
    /// Nothing: this is what became of the order, as far as reading can tell.
    Known(Event),
}

/// Waits for the answer to `find`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Looking {
    fenced: bool,
}

/// Waits for the answer to `fence`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Fencing(());

/// Begins to find out.
pub const fn begin() -> Next {
    Next::Find(Looking { fenced: false })
}

impl Looking {
    /// Goes on from what `find` answered.
    pub fn found(self, receipt: Option<Receipt>) -> Next {
        match receipt {
            Some(receipt) => Next::Known(Event::OrderFound(receipt)),
            None if self.fenced => Next::Known(Event::OrderAbsent),
            None => Next::Fence(Fencing(())),
        }
    }
}

impl Fencing {
    /// Goes on from what `fence` answered.
    pub fn fenced(self, fenced: Fenced) -> Next {
        match fenced {
            Fenced::Done => Next::Find(Looking { fenced: true }),
            Fenced::Unsupported => Next::Known(Event::DoubtRemained(
                "the order was not found, and this CD system cannot prove that it will not come yet"
                    .into(),
            )),
        }
    }
}
