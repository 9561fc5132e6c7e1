//! Which crate of ours may depend on which.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::process::Command;

/// The crates of ours in the normal dependency tree of `package`, itself left out.
fn ours(package: &str) -> BTreeSet<String> {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--package", package, "--edges", "normal", "--prefix", "none"])
        .args(["--format", "{lib}", "--offline", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let errors = String::from_utf8_lossy(&tree.stderr);
    assert!(tree.status.success(), "cargo tree failed: {errors}");
    let text = String::from_utf8_lossy(&tree.stdout);
    let own = package.replace('-', "_");
    let names = text.lines().map(|line| line.trim_end_matches(" (*)"));
    names.filter(|name| name.starts_with("rollback_") && *name != own).map(str::to_owned).collect()
}

#[test]
fn everything_but_a_host_depends_on_the_core_alone() {
    assert_eq!(ours("rollback-core"), BTreeSet::new());
    let adapters = ["rollback-store", "rollback-slack", "rollback-outbound", "rollback-cluster"];
    let pure = ["rollback-audit", "rollback-verify"];
    for package in ["rollback-engine"].into_iter().chain(pure).chain(adapters) {
        assert_eq!(ours(package), BTreeSet::from(["rollback_core".into()]), "{package}");
    }
    let testkit = BTreeSet::from(["rollback_core".into(), "rollback_verify".into()]);
    assert_eq!(ours("rollback-testkit"), testkit);
}

/// One exception: a way to an API server is not written twice.
#[test]
fn the_adapters_of_a_cluster_share_the_way_to_it_and_nothing_else() {
    let expected = BTreeSet::from(["rollback_core".into(), "rollback_cluster".into()]);
    for package in ["rollback-kube", "rollback-helm"] {
        assert_eq!(ours(package), expected, "{package}");
    }
}

/// The other: nor is a way to a REST API, and what its answers prove.
#[test]
fn the_adapters_of_rest_apis_share_the_way_to_them_and_nothing_else() {
    let expected = BTreeSet::from(["rollback_core".into(), "rollback_outbound".into()]);
    assert_eq!(ours("rollback-http"), expected);
}

/// `relay` is the one way around the checks. A host that has not asked for `rollback-http`'s server
/// does not have it.
#[test]
fn only_the_server_of_the_contract_can_relay_orders() {
    let manifests = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .expect("the workspace")
        .filter_map(|entry| entry.ok()?.path().join("Cargo.toml").canonicalize().ok());
    let naming: BTreeSet<String> = manifests
        .filter(|path| std::fs::read_to_string(path).expect("a manifest").contains("/relay\""))
        .filter_map(|path| Some(path.parent()?.file_name()?.to_str()?.to_owned()))
        .collect();
    assert_eq!(naming, BTreeSet::from(["rollback-http".into()]));
}

#[test]
fn the_api_is_a_surface_of_the_engine_and_knows_no_adapter() {
    let expected = BTreeSet::from(["rollback_core".into(), "rollback_engine".into()]);
    assert_eq!(ours("rollback-api"), expected);
}

#[test]
fn nothing_needs_a_library_of_the_systems_for_tls() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--package", "embedding", "--edges", "normal", "--prefix", "none"])
        .args(["--offline", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let text = String::from_utf8_lossy(&tree.stdout);
    assert!(text.contains("rustls"), "the tree was not read: {text}");
    assert!(!text.contains("openssl-sys") && !text.contains("native-tls"), "{text}");
}
