//! TRAPS.md names a test for each trap: every one of them exists, and is a test.

use std::fs;
use std::path::Path;

/// Whether the source has a function of this name under `#[test]`, and it is not left out.
fn is_a_test(source: &str, name: &str) -> bool {
    let Some((before, _)) = source.split_once(&format!("fn {name}(")) else { return false };
    let above = before.rsplit_once('\n').map_or("", |(above, _)| above);
    let attributes: Vec<&str> =
        above.lines().rev().map(str::trim_start).take_while(|line| line.starts_with('#')).collect();
    let is = |prefix: &str| attributes.iter().any(|line| line.starts_with(prefix));
    (is("#[test]") || is("#[tokio::test")) && !is("#[ignore")
}

#[test]
fn every_trap_is_held_by_tests_that_exist() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(own.join("TRAPS.md")).unwrap();
    let rows: Vec<&str> =
        page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| trap")).collect();
    assert!(rows.len() > 30, "the page lost its rows");
    let mut missing = Vec::new();
    for row in rows {
        let (_, tests) = row.trim_matches(['|', ' ']).rsplit_once(" | ").unwrap();
        for test in tests.split(" · ") {
            let named = test.trim_matches('`').split_once("::");
            let exists = named.is_some_and(|(file, name)| {
                fs::read_to_string(own.join("..").join(file))
                    .is_ok_and(|text| is_a_test(&text, name))
            });
            if !exists {
                missing.push(test);
            }
        }
    }
    assert!(missing.is_empty(), "TRAPS.md names what is no test: {missing:#?}");
}

#[test]
fn a_name_that_is_no_test_is_noticed() {
    let source = "#[test]\nfn one() {}\n\nfn two() {}\n\n    #[tokio::test(a)]\n    async fn three() {}\n#[test]\n#[ignore]\nfn four() {}\n";
    let found = ["one", "two", "three", "four", "five"].map(|name| is_a_test(source, name));
    assert_eq!(found, [true, false, true, false, false]);
}
