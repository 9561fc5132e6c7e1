//! What is published has its licences in it, and its documentation shows every feature.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The folder of each package of the workspace that others can depend on.
fn published() -> Vec<PathBuf> {
    let folders = fs::read_dir(root()).expect("the workspace");
    let folders = folders.map(|folder| folder.expect("a folder").path());
    let is_ours = |folder: &PathBuf| {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with("rollback-") && folder.join("Cargo.toml").exists()
    };
    let found: Vec<PathBuf> = folders.filter(is_ours).collect();
    assert!(found.len() >= 12, "{found:?}");
    found
}

#[test]
fn each_package_has_the_texts_of_both_licences() {
    for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
        let text = fs::read_to_string(root().join(licence)).expect("the licence");
        for package in published() {
            let own = package.join(licence);
            let found = fs::read_to_string(&own).unwrap_or_default();
            assert!(found == text, "{} is missing or differs: link it", own.display());
        }
    }
}

#[test]
fn the_documentation_of_each_package_is_built_with_all_features() {
    for package in published() {
        let manifest = fs::read_to_string(package.join("Cargo.toml")).expect("a manifest");
        let (_, docs) = manifest.split_once("[package.metadata.docs.rs]").unwrap_or_default();
        let (_, told) = docs.split_once('\n').unwrap_or_default();
        assert!(told.starts_with("all-features = true"), "{}", package.display());
    }
}

/// The features of a manifest, but `default`.
fn features(manifest: &str) -> Vec<&str> {
    let (_, section) = manifest.split_once("\n[features]\n").unwrap_or_default();
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    let named = lines.filter_map(|line| line.split_once(" = ").map(|(name, _)| name));
    named.filter(|name| *name != "default" && !name.starts_with('#')).collect()
}

#[test]
fn the_documentation_of_each_package_lists_its_features_in_a_table() {
    let mut listed = 0;
    for package in published() {
        let manifest = fs::read_to_string(package.join("Cargo.toml")).expect("a manifest");
        let mut pages = vec![fs::read_to_string(package.join("src/lib.rs")).expect("a crate")];
        // crates.io shows this page; where it is the crate's documentation, docs.rs does, too.
        let readme = fs::read_to_string(package.join("README.md"));
        if pages.iter().any(|page| page.starts_with("#![doc = include_str!(\"../README.md\")]")) {
            pages.clear();
        }
        pages.extend(readme);
        for feature in features(&manifest) {
            let row = format!("| `{feature}` | ");
            for page in &pages {
                let (_, table) =
                    page.split_once("| feature | default | what |").unwrap_or_default();
                assert!(table.contains(&row), "{} does not list `{feature}`", package.display());
            }
            listed += 1;
        }
    }
    assert!(listed >= 11, "only {listed} features were found");
}

#[test]
fn each_package_names_the_rust_that_the_workspace_promises() {
    for package in published() {
        let manifest = fs::read_to_string(package.join("Cargo.toml")).expect("a manifest");
        assert!(manifest.contains("\nrust-version.workspace = true\n"), "{}", package.display());
    }
}
