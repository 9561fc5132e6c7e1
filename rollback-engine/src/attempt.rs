//! Attempts to work on a rollback, each counted in the store before it is made: what ends whoever works
//! is otherwise begun anew by the next process, for ever.

use crate::engine::Inner;
use rollback_core::Label;
use rollback_core::ports::{Claim, StoreError};

/// How often work that ends whoever does it is begun. Once may be chance, and twice a machine that
/// is going down; whoever would be next is spared.
pub(crate) const ATTEMPTS_MAX: u32 = 3;

/// One attempt. A step that is stored begins the next one in the same transaction.
#[derive(Debug)]
pub(crate) struct Attempt {
    name: Label,
    counted: Counted,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Counted {
    Yes,
    No,
}

impl Attempt {
    pub(crate) fn new(inner: &Inner) -> Self {
        Self { name: inner.new_attempt(), counted: Counted::No }
    }

    /// Whatever is begun from now on is another attempt.
    pub(crate) fn anew(&mut self, inner: &Inner) {
        if self.counted == Counted::Yes {
            *self = Self::new(inner);
        }
    }

    /// Counts it, unless it is counted. True when it is one too many: then it must not be made.
    pub(crate) async fn is_one_too_many(
        &mut self,
        inner: &Inner,
        claim: &Claim,
    ) -> Result<bool, StoreError> {
        if self.counted == Counted::Yes {
            return Ok(false);
        }
        let attempts = inner.store.attempt(claim, &self.name).await?;
        if attempts <= ATTEMPTS_MAX {
            self.counted = Counted::Yes;
        }
        Ok(attempts > ATTEMPTS_MAX)
    }
}
