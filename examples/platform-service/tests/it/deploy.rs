//! What the service is deployed with, judged by validators that we did not write.
//!
//! A validator that is not installed is skipped by name, and missing it fails where `CI=true`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

/// What is skipped without a validator.
const WHAT: &str = "a judgement of what the service is deployed with";

fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(file)
}

fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

/// A folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn hadolint_finds_nothing_in_the_dockerfile_and_something_in_a_bad_one() {
    let Some(peer) = peer::wanted("hadolint", WHAT) else { return };
    let judge = |path: &Path| {
        let mut command = Command::new(peer.join("bin/hadolint"));
        command.args(["--no-color", "--failure-threshold", "style"]).arg(path).output().unwrap()
    };
    let judged = judge(&deploy("Dockerfile"));
    assert!(judged.status.success(), "{}", said(&judged));
    let bad = folder("dockerfile").join("Dockerfile");
    fs::write(&bad, "FROM debian\nRUN apt-get install curl\n").unwrap();
    assert!(!judge(&bad).status.success(), "it judges nothing");
}

#[test]
fn the_image_is_built_of_what_the_repository_has_and_runs_without_rights() {
    let text = fs::read_to_string(deploy("Dockerfile")).unwrap();
    let stages: Vec<&str> = text.split("\nFROM ").collect();
    for last in [stages.last().unwrap(), stages.iter().rev().nth(1).unwrap()] {
        assert!(last.starts_with("plain") && last.contains("\nUSER 65532:65532\n"), "not root");
    }
    let with_helm = stages.iter().find(|stage| stage.starts_with("plain AS with-helm\n")).unwrap();
    assert!(with_helm.contains(" /usr/local/bin/helm\n"), "where the search path finds it");
    assert!(text.contains("--package platform-service"), "a package of this workspace");
    let root = fs::read_to_string(deploy("../../../Cargo.toml")).unwrap();
    let rust = root.split("rust-version = \"").nth(1).unwrap().split('"').next().unwrap();
    assert!(text.contains(&format!("FROM rust:{rust}-")), "the Rust of the workspace");
}

#[test]
fn systemd_finds_nothing_in_the_unit_and_something_in_a_bad_one() {
    if peer::wanted("systemd-analyze", WHAT).is_none() {
        return;
    }
    let folder = folder("unit");
    let text = fs::read_to_string(deploy("rollback.service")).unwrap();
    let built =
        text.replace("/usr/local/bin/platform-service", env!("CARGO_BIN_EXE_platform-service"));
    assert_ne!(built, text);
    let judge = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output().unwrap()
    };
    let judged = judge("rollback.service", &built);
    assert!(judged.status.success() && said(&judged).is_empty(), "{}", said(&judged));
    let bad = built.replace("ProtectSystem=strict", "ProtectSistem=strict");
    assert!(said(&judge("bad.service", &bad)).contains("ProtectSistem"), "it judges nothing");
}

#[test]
fn the_unit_is_hardened_by_systemds_own_measure() {
    if peer::wanted("systemd-analyze", WHAT).is_none() {
        return;
    }
    let mut command = Command::new("systemd-analyze");
    command.args(["security", "--offline=yes", "--threshold=20", "--no-pager"]);
    let judged = command.arg(deploy("rollback.service")).output().unwrap();
    assert!(judged.status.success(), "{}", said(&judged));
}

#[test]
fn the_kubernetes_manifest_is_what_the_api_takes_and_a_bad_one_is_not() {
    let Some(peer) = peer::wanted("kubernetes-validate", WHAT) else { return };
    let judge = |path: &Path| {
        let mut command = Command::new(peer.join("bin/kubernetes-validate"));
        command.arg("--strict").arg(path).output().unwrap()
    };
    for (file, resources) in [("kubernetes.yaml", 6), ("kubernetes-helm.yaml", 8)] {
        let judged = judge(&deploy(file));
        assert!(judged.status.success(), "{}", said(&judged));
        let passed = said(&judged).matches(" passed for resource ").count();
        assert_eq!(passed, resources, "{}", said(&judged));
    }
    let text = fs::read_to_string(deploy("kubernetes.yaml")).unwrap();
    let bad = folder("kubernetes").join("kubernetes.yaml");
    fs::write(&bad, text.replace("readinessProbe:", "readynessProbe:")).unwrap();
    assert!(!judge(&bad).status.success(), "it judges nothing");
}

#[test]
fn the_configuration_in_the_kubernetes_manifest_is_good() {
    for file in ["kubernetes.yaml", "kubernetes-helm.yaml"] {
        let text = fs::read_to_string(deploy(file)).unwrap();
        let (_, rest) = text.split_once("  rollback.yaml: |\n").unwrap();
        let (inner, _) = rest.split_once("---\n").unwrap();
        let environment = platform_service::Environment::of([("CD_TOKEN", "a-cd-token")]);
        let read = platform_service::Config::parse("rollback.yaml", inner, &environment);
        assert!(read.is_ok(), "{file}: {}", read.unwrap_err());
    }
}

#[test]
fn the_manifest_for_helm_gives_the_rights_that_the_adapter_asks_for() {
    let text = fs::read_to_string(deploy("kubernetes-helm.yaml")).unwrap();
    let objects: Vec<serde_json::Value> = serde_saphyr::from_multiple(&text).unwrap();
    let wanted: Vec<serde_json::Value> = serde_saphyr::from_multiple(rollback_helm::RBAC).unwrap();
    let role = |all: &[serde_json::Value]| {
        let role = all.iter().find(|it| it["kind"] == "Role").unwrap();
        role["rules"].clone()
    };
    assert_eq!(role(&objects), role(&wanted));
}

#[test]
fn slacks_own_types_take_the_app_manifest_and_refuse_a_bad_one() {
    let Some(peer) = peer::wanted("slack-manifest", WHAT) else { return };
    let folder = folder("slack-manifest");
    let judge = |json: &str| {
        let text = format!(
            "import type {{ Manifest }} from \"@slack/web-api/dist/types/request/manifest\";\n\
             export const manifest: Manifest = {json};\n"
        );
        fs::write(folder.join("manifest.ts"), text).unwrap();
        let modules = peer.join("node_modules");
        let link = folder.join("node_modules");
        if !link.exists() {
            std::os::unix::fs::symlink(&modules, &link).unwrap();
        }
        let mut command = Command::new("node");
        command.arg(modules.join("typescript/bin/tsc"));
        command.args(["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext"]);
        command.args(["--moduleResolution", "nodenext", "manifest.ts"]).current_dir(&folder);
        command.output().unwrap()
    };
    let json = fs::read_to_string(deploy("slack-app-manifest.json")).unwrap();
    let judged = judge(&json);
    assert!(judged.status.success(), "{}", said(&judged));
    let bad = json.replace("\"request_url\"", "\"request_uri\"");
    assert!(!judge(&bad).status.success(), "it judges nothing");
}

#[test]
fn both_forms_of_the_app_manifest_say_the_same() {
    let json: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(deploy("slack-app-manifest.json")).unwrap())
            .unwrap();
    let yaml = fs::read_to_string(deploy("slack-app-manifest.yaml")).unwrap();
    let mut leaves = Vec::new();
    collect(&json, &mut leaves);
    for leaf in &leaves {
        assert!(yaml.contains(leaf.as_str()), "the YAML does not have {leaf}");
    }
    let written = yaml.lines().filter(|line| !line.trim_start().starts_with('#'));
    let values = written.filter(|line| !line.trim_end().ends_with(':')).count();
    assert_eq!(values, leaves.len(), "the YAML has more");
}

/// Every value that is no list and no object, as YAML writes it.
fn collect(value: &serde_json::Value, leaves: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(map) => map.values().for_each(|value| collect(value, leaves)),
        serde_json::Value::Array(items) => items.iter().for_each(|value| collect(value, leaves)),
        serde_json::Value::String(text) => leaves.push(text.clone()),
        serde_json::Value::Bool(_) | serde_json::Value::Number(_) | serde_json::Value::Null => {
            leaves.push(value.to_string());
        }
    }
}
