//! RELIABILITY.md names a test for each invariant and each fault: every one of them exists. What is
//! open is counted, and the number can only fall.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use rollback_verify::INVARIANTS;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// How many rows are open. Lower it with every row that is held; never raise it.
const OPEN: usize = 6;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn page() -> String {
    fs::read_to_string(root().join("RELIABILITY.md")).unwrap()
}

/// The rows of invariants and faults: the first cell, which is a number, and the last.
fn rows(page: &str) -> Vec<(&str, &str)> {
    let cells = |line| {
        let line: &str = line;
        let mut cells = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ");
        let first = cells.next()?;
        let is_row = first.starts_with("INV-") || first.parse::<u32>().is_ok();
        is_row.then_some((first, cells.last()?))
    };
    page.lines().filter_map(cells).collect()
}

/// Whether the source has a test of this name: a function under `#[test]`, a case of a conformance
/// suite, which gets what is under test, or a story that is played in each host.
fn is_a_test(source: &str, name: &str) -> bool {
    let signature = format!("fn {name}");
    source.match_indices(&signature).any(|(place, _)| {
        let (before, after) = source.split_at(place);
        let Some(after) = after.strip_prefix(&signature) else { return false };
        let above = before.rsplit_once('\n').map_or("", |(above, _)| above);
        let mut attributes =
            above.lines().rev().map(str::trim_start).take_while(|line| line.starts_with('#'));
        let is_marked =
            attributes.any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"));
        let is_a_case = after.trim_start_matches('(').trim_start().starts_with("store: &dyn Store")
            || after.starts_with("<H: Harness>(")
            || (after.starts_with("(kind: Kind)") && before.contains("in_both!("));
        (is_marked && after.starts_with('(')) || is_a_case
    })
}

#[test]
fn every_row_is_held_by_tests_that_exist_or_is_open_by_name() {
    let page = page();
    let (mut missing, mut open) = (Vec::new(), Vec::new());
    for (first, held) in rows(&page) {
        if let Some(why) = held.strip_prefix("open: ") {
            assert!(why.len() > 5, "{first} is open and does not say why");
            open.push(first);
            continue;
        }
        for test in held.split(" · ") {
            let named = test.trim_matches('`').split_once("::");
            let exists = named.is_some_and(|(file, name)| {
                fs::read_to_string(root().join(file)).is_ok_and(|text| is_a_test(&text, name))
            });
            if !exists {
                missing.push(format!("{first}: {test}"));
            }
        }
    }
    assert!(missing.is_empty(), "RELIABILITY.md names what is no test: {missing:#?}");
    assert_eq!(open.len(), OPEN, "open: {open:?}; lower the number, never raise it");
}

#[test]
fn every_invariant_and_every_fault_has_its_row() {
    let page = page();
    let rows: Vec<&str> = rows(&page).into_iter().map(|(first, _)| first).collect();
    for invariant in INVARIANTS {
        let number = format!("INV-{:02}", invariant.number);
        assert_eq!(rows.iter().filter(|row| **row == number).count(), 1, "{number}");
    }
    let faults: BTreeSet<u32> = rows.iter().filter_map(|row| row.parse().ok()).collect();
    assert_eq!(faults, (1..=75).collect::<BTreeSet<u32>>());
}

#[test]
fn planted_bugs_are_only_in_the_build_that_asks_for_them() {
    let asked = std::env::var_os("ROLLBACK_PLANTED_BUG").is_some();
    assert!(asked || !cfg!(planted_bugs), "this build has planted bugs");
    for file in ["Cargo.toml", ".cargo/config.toml", "check"] {
        let text = fs::read_to_string(root().join(file)).unwrap_or_default();
        assert!(!text.contains("--cfg planted_bugs"), "{file} turns planted bugs on");
    }
}

#[test]
fn a_name_that_is_no_test_is_noticed() {
    let source =
        "#[test]\nfn one() {}\n\nfn two() {}\n\n    #[tokio::test(a)]\n    async fn three() {}\n";
    let found = ["one", "two", "three", "four", "on"].map(|name| is_a_test(source, name));
    assert_eq!(found, [true, false, true, false, false]);
}
