//! The invariants of a rollback, as pure predicates over what was stored and seen.
//!
//! ```text
//! journals, audit records ──┐                      production: what the store tells
//! what the CD system did ───┼──► violations ──►    tests: the ground truth besides
//! what the chat showed ─────┘
//! ```
//!
//! One checker judges every tier: the model, the simulations, the tests that kill real processes,
//! and `platform-service verify` on a store of production. It sees the core as everybody else
//! does, through its public interface; it has no I/O, no clock and no dependency besides.
//!
//! | part | what it is |
//! |---|---|
//! | [`Evidence`] | everything that was seen, field by field |
//! | [`INVARIANTS`] | all of them by number: the predicates that hold each, or what holds it instead |
//! | [`violations`] | every violation that the evidence shows |
//! | [`judge`] | the same for a part of the evidence: what was checked, and what was found |
//!
//! The numbers are those of docs/RELIABILITY.md. A checker that nothing was seen of finds nothing:
//! insist on what was seen, too.
//!
//! ```
//! use rollback_verify::{Evidence, Scope, judge, violations};
//! assert!(violations(&Evidence::default()).is_empty());
//! let verdict = judge(&Evidence::default(), Scope::Store);
//! assert!(verdict.found.is_empty() && verdict.checked.len() > 15);
//! ```
#![no_std]
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a predicate looks for one thing among everything that was seen"
)]
extern crate alloc;

mod audit;
mod case;
mod consent;
mod evidence;
mod execution;
mod guards;
mod list;
mod liveness;
mod store;
mod telling;
#[cfg(test)]
mod wrong_core;

pub use crate::evidence::{Evidence, Message, Rest, Seen};
pub use crate::list::{Check, Held, INVARIANTS, Invariant, Scope, names};

use crate::case::Case;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// An invariant that does not hold.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a name and the words for it")]
pub struct Violation {
    /// Which: `INV-01 …`.
    pub invariant: &'static str,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

/// What was checked, and what was found.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the two halves of an answer")]
pub struct Verdict {
    /// The name of every predicate that ran.
    pub checked: Vec<&'static str>,
    /// Every violation.
    pub found: Vec<Violation>,
}

/// Every violation of every invariant that can be a predicate.
#[must_use]
pub fn violations(evidence: &Evidence) -> Vec<Violation> {
    judge(evidence, Scope::Everything).found
}

/// Runs every predicate that needs no more than `scope`.
#[must_use]
pub fn judge(evidence: &Evidence, scope: Scope) -> Verdict {
    weigh(&Case::new(evidence), scope)
}

fn weigh(case: &Case<'_>, scope: Scope) -> Verdict {
    let mut verdict = Verdict::default();
    for check in list::checks().filter(|check| check.needs <= scope) {
        verdict.checked.push(check.name);
        let found = (check.find)(case).into_iter();
        verdict.found.extend(found.map(|what| Violation { invariant: check.name, what }));
    }
    verdict
}
