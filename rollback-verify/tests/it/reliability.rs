//! docs/RELIABILITY.md names a test for each invariant and each fault: every one of them exists.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use rollback_verify::INVARIANTS;
use std::collections::BTreeSet;
use std::fs;

fn page() -> String {
    fs::read_to_string(pages::root().join("docs/RELIABILITY.md")).unwrap()
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

#[test]
fn every_row_is_held_by_tests_that_exist() {
    let page = page();
    let mut missing = Vec::new();
    for (first, held) in rows(&page) {
        for test in held.split(" · ") {
            if !pages::exists(test) {
                missing.push(format!("{first}: {test}"));
            }
        }
    }
    assert!(missing.is_empty(), "docs/RELIABILITY.md names what is no test: {missing:#?}");
}

/// The rows of the holes: what was found, and the last cell.
fn holes(page: &str) -> impl Iterator<Item = (&str, &str)> {
    let section = page.split("\n## Holes that were found from outside\n").nth(1).unwrap();
    section.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ");
        let hole = cells.next().filter(|first| *first != "hole")?;
        Some((hole, cells.last().unwrap_or_default()))
    })
}

#[test]
fn every_hole_that_was_found_is_seen_by_tests_that_exist() {
    let page = page();
    let mut missing = Vec::new();
    for (hole, seen) in holes(&page) {
        for test in seen.split(" · ") {
            if !pages::exists(test) {
                missing.push(format!("{hole}: {test}"));
            }
        }
    }
    assert!(missing.is_empty(), "docs/RELIABILITY.md names what is no test: {missing:#?}");
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
