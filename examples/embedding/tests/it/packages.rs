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
