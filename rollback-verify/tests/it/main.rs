//! The checker: forged evidence, and the page that names its invariants.

mod forged;
mod reliability;
