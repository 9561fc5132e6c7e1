//! The invariants, as the tests insist on them. The checker is [`rollback_verify`]: the same that
//! production runs on its store, with the ground truth besides.
//!
//! ```
//! use rollback_testkit::invariants::{Evidence, violations};
//! assert!(violations(&Evidence::default()).is_empty());
//! ```

pub use rollback_verify::{
    Evidence, Held, INVARIANTS, Invariant, Rest, Scope, Seen, Verdict, Violation, judge, names,
    violations,
};

/// Insists that every invariant holds.
///
/// # Panics
///
/// When one does not, with everything that was found.
pub fn assert_hold(evidence: &Evidence, context: &str) {
    let found = violations(evidence);
    if found.is_empty() {
        return;
    }
    let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
    let log: Vec<String> = evidence.log.iter().map(ToString::to_string).collect();
    panic!("{context}\n{}\nseen:\n{}", lines.join("\n"), log.join("\n"));
}
