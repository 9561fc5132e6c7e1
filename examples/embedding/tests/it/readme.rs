//! README says what the code does.

/// The part of `text` between two markers.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = text.split_once(from).unwrap_or_default();
    let (part, _) = rest.split_once(to).unwrap_or_default();
    assert!(!part.is_empty(), "nothing between {from:?} and {to:?}");
    part.trim()
}

#[test]
fn readme_shows_the_host_that_the_end_to_end_tests_run_against() {
    let host = include_str!("../../src/lib.rs");
    let host = between(host, "// README: from here", "// README: to here");
    let readme = include_str!("../../../../README.md");
    let shown = between(readme, "<!-- embedding: from here -->", "<!-- embedding: to here -->");
    assert_eq!(shown, format!("```rust\n{host}\n```"), "copy the host into README again");
}

#[test]
fn readme_shows_the_main_that_is_compiled_here() {
    let main =
        between(include_str!("../../src/main.rs"), "// README: from here", "// README: to here");
    let readme = include_str!("../../../../README.md");
    let shown = between(readme, "<!-- main: from here -->", "<!-- main: to here -->");
    assert_eq!(shown, format!("```rust\n{main}\n```"), "copy the main into README again");
}

/// What `cargo add` gets in README: each package, and the features that are named for it.
fn added() -> Vec<(&'static str, Vec<&'static str>)> {
    let readme = include_str!("../../../../README.md");
    let shown = between(readme, "<!-- cargo add: from here -->", "<!-- cargo add: to here -->");
    let mut added = Vec::new();
    for line in shown.lines().filter_map(|line| line.strip_prefix("cargo add ")) {
        let (names, features) = line.split_once(" --features ").unwrap_or((line, ""));
        let features: Vec<_> = features.split(',').filter(|name| !name.is_empty()).collect();
        added.extend(names.split(' ').map(|name| (name, features.clone())));
    }
    added
}

#[test]
fn readme_adds_exactly_the_packages_that_the_host_is_built_of() {
    let manifest = include_str!("../../Cargo.toml");
    let needed = between(manifest, "[dependencies]", "[dev-dependencies]");
    let mut needed: Vec<(&str, Vec<&str>)> = needed
        .lines()
        .map(|line| {
            let name = line.split(['.', ' ']).next().unwrap_or_default();
            // What the workspace says about axum is our own diet; a host takes its defaults.
            let features = line.split_once("features = [").filter(|_| name != "axum");
            let features = features.map_or("", |(_, rest)| rest.trim_end_matches([' ', '}', ']']));
            let features = features.split(", ").map(|name| name.trim_matches('"'));
            (name, features.filter(|name| !name.is_empty()).collect())
        })
        .collect();
    let mut added = added();
    needed.sort_unstable();
    added.sort_unstable();
    assert_eq!(added, needed, "the `cargo add` lines of README and the manifest of the host");
}

#[test]
fn readme_shows_a_property_over_a_policy_that_is_tested_here_in_at_most_20_lines() {
    let property = between(include_str!("policy.rs"), "// README: from here", "// README: to here");
    let readme = include_str!("../../../../README.md");
    let shown = between(readme, "<!-- property: from here -->", "<!-- property: to here -->");
    assert_eq!(shown, format!("```rust\n{property}\n```"), "copy the property into README again");
    assert!(property.lines().count() <= 20, "{} lines", property.lines().count());
}

#[test]
fn readme_and_the_manifest_name_the_same_rust() {
    let manifest = include_str!("../../../../Cargo.toml");
    let version = between(manifest, "rust-version = \"", "\"");
    // Words, not lines: where README breaks a line says nothing about Rust.
    let words: Vec<&str> = include_str!("../../../../README.md").split_whitespace().collect();
    let promise = format!("Rust {version} or newer");
    assert!(words.join(" ").contains(&promise), "README does not say {promise:?}");
}

#[test]
fn every_page_that_a_page_links_to_is_there() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for page in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"] {
        let text = std::fs::read_to_string(root.join(page)).expect("the page");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("http") || link.starts_with('#') {
                continue;
            }
            assert!(root.join(link).exists(), "{page} links to {link}, which is not there");
        }
    }
}
