//! Bugs that are planted on purpose, to see that the tests find them: only in a build with
//! `--cfg planted_bugs`, which no feature and no dependency can turn on, and never in a release.
//! `tools/planted` makes that build, and asks for one bug at a time by its name in
//! `ROLLBACK_PLANTED_BUG`.

use std::string::String;
use std::sync::OnceLock;

#[cfg(not(debug_assertions))]
compile_error!("planted bugs are for tests: this is a release build");

/// Whether this bug is planted.
#[expect(clippy::disallowed_methods, reason = "one build has every bug; the run says which")]
pub fn is(name: &str) -> bool {
    static PLANTED: OnceLock<Option<String>> = OnceLock::new();
    let planted = PLANTED.get_or_init(|| std::env::var("ROLLBACK_PLANTED_BUG").ok());
    planted.as_deref() == Some(name)
}
