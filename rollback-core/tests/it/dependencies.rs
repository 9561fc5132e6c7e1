//! What the core may depend on, and that it can name no clock, socket or thread.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A new dependency of the core is a decision: it is added to `deps.txt` by hand.
#[test]
fn the_core_depends_on_what_deps_txt_allows_and_nothing_else() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--package", "rollback-core", "--edges", "normal,no-proc-macro"])
        .args(["--target", "x86_64-unknown-linux-gnu"])
        .args(["--prefix", "none", "--format", "{lib}", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo tree failed: {errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    let found: BTreeSet<&str> =
        text.lines().map(|line| line.trim_end_matches(" (*)")).filter(|l| !l.is_empty()).collect();
    let allowed = std::fs::read_to_string(root().join("deps.txt")).unwrap();
    let allowed: BTreeSet<&str> =
        allowed.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert_eq!(found, allowed, "rollback-core/deps.txt says what the core may depend on");
}

/// Without `std` there is no clock, no socket, no thread and no hash order to name: using one does
/// not compile. What is left to check is that nobody links `std` in.
#[test]
fn the_core_is_no_std_but_for_its_tests_and_mocks() {
    let lib = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    assert!(lib.contains("\n#![no_std]\n"), "the core is no longer `no_std`");
    let all = sources(&root().join("src"));
    let linked = all.iter().filter(|(_, text)| text.contains("extern crate std")).count();
    assert_eq!(linked, 1, "std is linked in more than one place");
    let condition = "#[cfg(any(test, feature = \"mock\"))]\nextern crate std;";
    assert!(lib.contains(condition), "std is linked without a condition");
    for (path, text) in all {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
        for banned in ["std::", "unsafe ", "cfg(target", "static mut", "thread_local"] {
            let named = code.lines().any(|line| {
                let line = line.trim_start();
                !line.starts_with("//") && line.contains(banned)
            });
            assert!(!named, "{path} names `{banned}`");
        }
    }
}

fn sources(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else {
            found.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
        }
    }
    found
}
