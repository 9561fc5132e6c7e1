//! TRAPS.md names a test for each trap, and SECURITY-TESTS.md for each promise: every one of them
//! exists, and is a test.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn traps() -> String {
    fs::read_to_string(root().join("rollback-slack/TRAPS.md")).unwrap()
}

/// Whether the source has a test of this name: a function under `#[test]`, a case of a conformance
/// suite, which gets the store under test, or a story played in each host.
fn is_a_test(source: &str, name: &str) -> bool {
    let signature = format!("fn {name}(");
    let Some((before, after)) = source.split_once(&signature) else { return false };
    let above = before.rsplit_once('\n').map_or("", |(above, _)| above);
    let mut attributes =
        above.lines().rev().map(str::trim_start).take_while(|line| line.starts_with('#'));
    let is_marked =
        attributes.any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"));
    let is_a_case = after.trim_start().starts_with("store: &dyn Store")
        || (after.starts_with("kind: Kind)") && before.contains("in_both!("));
    is_marked || is_a_case
}

/// Whether `test` names what there is: a test by its file and name, or a fuzz target by its file.
fn exists(test: &str) -> bool {
    let name = test.trim_matches('`');
    let read = |file: &str| fs::read_to_string(root().join(file)).unwrap_or_default();
    match name.split_once("::") {
        Some((file, name)) => is_a_test(&read(file), name),
        None => name.starts_with("fuzz/") && read(name).contains("fuzz_target!("),
    }
}

/// What the last column of a page's tables names and is not there.
fn missing(page: &str, rows_min: usize) -> Vec<&str> {
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| ")).collect();
    assert!(rows.len() > rows_min, "the page lost its rows");
    let columns = rows.iter().map(|row| row.trim_matches(['|', ' ']).rsplit_once(" | ").unwrap().1);
    let tests = columns.filter(|column| *column != "held by").flat_map(|tests| tests.split(" · "));
    tests.filter(|test| !exists(test)).collect()
}

#[test]
fn every_trap_is_held_by_tests_that_exist() {
    let page = traps();
    let missing = missing(&page, 50);
    assert!(missing.is_empty(), "TRAPS.md names what is no test: {missing:#?}");
}

#[test]
fn every_promise_of_security_is_held_by_tests_that_exist() {
    let page = fs::read_to_string(root().join("SECURITY-TESTS.md")).unwrap();
    let missing = missing(&page, 50);
    assert!(missing.is_empty(), "SECURITY-TESTS.md names what is no test: {missing:#?}");
}

#[test]
fn a_name_that_is_no_test_is_noticed() {
    let source =
        "#[test]\nfn one() {}\n\nfn two() {}\n\n    #[tokio::test(a)]\n    async fn three() {}\n";
    let found = ["one", "two", "three", "four"].map(|name| is_a_test(source, name));
    assert_eq!(found, [true, false, true, false]);
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
    sources(&root().join("rollback-slack/src"), &mut found);
    assert!(found.len() > 20, "the sources were not found");
    for (path, code) in &found {
        for word in ["response_url", "markdown", "chat.startStream", "url_verification"] {
            assert!(!code.contains(word), "{word} in {}", path.display());
        }
    }
}
