//! Real processes on a real SQLite file: a child runs one rollback after the other and is killed
//! with `SIGKILL` at chosen points and at random ones; the next child goes on where it left off. In
//! the end every invariant that the files can tell holds, and the audit chain is whole.
//!
//! The child is this very program, started with the folder it works in. `ROLLBACK_KILLS=n` kills
//! more often.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it did"
)]

#[cfg(unix)]
mod killed;

#[cfg(unix)]
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [child, folder, fate] if child == "child" => killed::child(folder.as_ref(), fate),
        [list] if list == "--list" => println!("killed: test"),
        _ => killed::parent(),
    }
}

#[cfg(not(unix))]
fn main() {
    println!("skipped: there is no SIGKILL here");
}
