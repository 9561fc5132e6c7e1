//! Whether everything ends.

use crate::case::Case;
use crate::evidence::Rest;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

pub(crate) fn everything_ends(case: &Case<'_>) -> Vec<String> {
    if case.evidence.rest == Rest::NotYet {
        return Vec::new();
    }
    let mut found: Vec<String> = case
        .walks
        .values()
        .filter(|walk| !walk.last.state.is_end())
        .map(|walk| format!("`{}` is still {}", walk.id(), walk.last.state))
        .collect();
    if case.evidence.waiting > 0 {
        found.push(format!("{} notices still wait", case.evidence.waiting));
    }
    found
}
