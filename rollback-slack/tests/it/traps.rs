//! TRAPS.md names a test for each trap, and docs/SECURITY-TESTS.md for each promise: every one of them
//! exists, and is a test.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_trap_is_held_by_tests_that_exist() {
    let missing = pages::missing("rollback-slack/TRAPS.md", 50);
    assert!(missing.is_empty(), "TRAPS.md names what is no test: {missing:#?}");
}

#[test]
fn every_promise_of_security_is_held_by_tests_that_exist() {
    let missing = pages::missing("docs/SECURITY-TESTS.md", 50);
    assert!(missing.is_empty(), "docs/SECURITY-TESTS.md names what is no test: {missing:#?}");
}

/// Every source of this crate up to its own tests.
fn sources(folder: &Path, into: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.file_name().is_some_and(|name| name != "tests.rs") {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split_once("#[cfg(test)]").map_or(&*text, |(code, _)| code).to_owned();
            into.push((path, code));
        }
    }
}

#[test]
fn what_is_said_not_to_be_used_is_not_used() {
    let mut found = Vec::new();
    sources(&pages::root().join("rollback-slack/src"), &mut found);
    assert!(found.len() > 20, "the sources were not found");
    for (path, code) in &found {
        // Slack's names for its refusals are known, whatever they are about.
        let code = code.replace("\"markdown_text_conflict\"", "");
        for word in ["response_url", "markdown", "chat.startStream", "url_verification"] {
            assert!(!code.contains(word), "{word} in {}", path.display());
        }
    }
}
