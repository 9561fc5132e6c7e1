//! Pages that promise: a table whose rows each name, in their last column, the tests that hold them.
//! A row that names a test which was renamed or left out is a promise that nobody keeps, so each page
//! is looked up by a test.
//!
//! ```
//! assert!(pages::is_a_test("#[test]\nfn it_holds() {}\n", "it_holds"));
//! assert!(pages::missing("docs/SECURITY-TESTS.md", 50).is_empty());
//! ```

use std::fs;
use std::path::{Path, PathBuf};

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Whether the source has a test of this name: a function under `#[test]` that is not left out, a
/// case of a conformance suite, which gets what is under test, or a story that is played in each host.
#[must_use]
pub fn is_a_test(source: &str, name: &str) -> bool {
    let signature = format!("fn {name}");
    source.match_indices(&signature).any(|(place, found)| {
        let before = source.get(..place).unwrap_or_default();
        let after = source.get(place + found.len()..).unwrap_or_default();
        let above = before.rsplit_once('\n').map_or("", |(above, _)| above);
        let attributes =
            || above.lines().rev().map(str::trim_start).take_while(|line| line.starts_with('#'));
        let marked = |mark: &str| attributes().any(|line| line.starts_with(mark));
        let is_marked = (marked("#[test]") || marked("#[tokio::test")) && !marked("#[ignore");
        let is_a_case = after.trim_start_matches('(').trim_start().starts_with("store: &dyn Store")
            || after.starts_with("<H: Harness>(")
            || (after.starts_with("(kind: Kind)") && before.contains("in_both!("));
        (is_marked && after.starts_with('(')) || is_a_case
    })
}

/// Whether `named` is there, as a page writes it: a test by its file and name
/// (`` `folder/file.rs::name` ``), or a fuzz target by its file.
#[must_use]
pub fn exists(named: &str) -> bool {
    let named = named.trim_matches('`');
    let read = |file: &str| fs::read_to_string(root().join(file)).unwrap_or_default();
    match named.split_once("::") {
        Some((file, name)) => is_a_test(&read(file), name),
        None => named.starts_with("fuzz/") && read(named).contains("fuzz_target!("),
    }
}

/// What the tables of a page name in their last column, ` · ` between two, and is not there. A page
/// that has lost its rows is missing them.
#[must_use]
pub fn missing(page: &str, rows_min: usize) -> Vec<String> {
    let text = fs::read_to_string(root().join(page)).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let is_rule = |line: &str| line.starts_with("|--");
    // A heading is the line above a rule.
    let rows: Vec<&str> = (lines.iter().zip(lines.iter().skip(1).chain([&""])))
        .filter(|(line, next)| line.starts_with("| ") && !is_rule(next))
        .map(|(line, _)| *line)
        .collect();
    if rows.len() < rows_min {
        return vec![format!("{page} has {} rows, and had {rows_min}", rows.len())];
    }
    rows.iter()
        .map(|row| row.trim_matches(['|', ' ']))
        .map(|row| row.rsplit_once(" | ").map_or(row, |(_, tests)| tests))
        .flat_map(|tests| tests.split(" · "))
        .filter(|test| !exists(test))
        .map(Into::into)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_no_test_is_noticed() {
        let source = "#[test]\nfn one() {}\n\nfn two() {}\n\n    #[tokio::test(a)]\n    async fn three() {}\n#[test]\n#[ignore]\nfn four() {}\nasync fn five(store: &dyn Store) {}\n";
        let found = ["one", "two", "three", "four", "five", "on", "six"]
            .map(|name| is_a_test(source, name));
        assert_eq!(found, [true, false, true, false, true, false, false]);
    }

    #[test]
    fn a_file_that_is_not_there_holds_nothing() {
        let held = [
            "`tools/pages/src/lib.rs::a_file_that_is_not_there_holds_nothing`",
            "`tools/pages/src/nowhere.rs::a_file_that_is_not_there_holds_nothing`",
            "`fuzz/nowhere.rs`",
            "",
        ]
        .map(exists);
        assert_eq!(held, [true, false, false, false]);
    }

    #[test]
    fn a_page_without_rows_is_missing_them() {
        assert_eq!(
            missing("README-of-nobody.md", 1),
            ["README-of-nobody.md has 0 rows, and had 1"]
        );
    }
}
