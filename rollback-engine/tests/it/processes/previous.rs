//! The release before this one: its own replicas, built from the git history and kept between runs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The last commit of the release before this one.
const COMMIT: &str = "1fccb07";

/// The program of its replicas: this very test, as it was then.
const TEST: &str = "processes";

/// The test in it that is one replica.
pub(crate) const REPLICA: &str = "a_replica";

/// Where the program is, once it is built; none where the history does not go back so far, once that was
/// told. The first time takes a minute or two, and nothing afterwards.
pub(crate) fn program(what: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let known = Command::new("git").arg("-C").arg(root).args(["cat-file", "-e", COMMIT]).output();
    if !known.is_ok_and(|known| known.status.success()) {
        let why = format!("commit {COMMIT} is not in the git history here; fetch all of it");
        peer::skipped(what, &why);
        return None;
    }
    let kept = cache().join(format!("rollback/releases/{COMMIT}"));
    fs::create_dir_all(&kept).unwrap();
    // Two runs at a time build it once.
    let lock = File::create(kept.join("lock")).unwrap();
    lock.lock().unwrap();
    let program = kept.join(TEST);
    if !program.exists() {
        build(root, &kept.join("source"), &program);
    }
    Some(program)
}

fn cache() -> PathBuf {
    let home = || std::env::home_dir().expect("a home folder").join(".cache");
    std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from)
}

fn build(root: &Path, source: &Path, program: &Path) {
    drop(fs::remove_dir_all(source));
    fs::create_dir_all(source).unwrap();
    let tar = source.with_extension("tar");
    let mut archive = Command::new("git");
    archive.arg("-C").arg(root).args(["archive", "--format=tar", "-o"]).arg(&tar).arg(COMMIT);
    ran(&mut archive);
    ran(Command::new("tar").arg("xf").arg(&tar).arg("-C").arg(source));
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(source).args(["test", "--no-run", "--locked", "--message-format=json"]);
    // What other people wrote is there already: it is the same for both releases.
    cargo.args(["-p", "rollback-engine", "--test", TEST]).env("CARGO_TARGET_DIR", target());
    let built = String::from_utf8(ran(&mut cargo).stdout).unwrap();
    let executable = built
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == TEST)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from));
    // Renamed at the end: half a program is none.
    let half = program.with_extension("half");
    fs::copy(executable.expect("cargo says where it is"), &half).unwrap();
    fs::rename(half, program).unwrap();
    drop((fs::remove_dir_all(source), fs::remove_file(tar)));
}

/// The folder that this test was built in: `target/debug/deps` is where it is.
fn target() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    program.ancestors().nth(3).expect("a target folder").to_owned()
}

fn ran(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
    output
}
