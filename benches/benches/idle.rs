//! README's host as a release binary: how long from its start to its first answer, and what
//! it weighs when nobody does anything.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench stops at the first surprise, and prints"
)]

use benches::median;
use rollback_slack::INTERACTIVITY_PATH;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const STARTS: usize = 11;
const FIRST_ANSWER_MAX: Duration = Duration::from_millis(100);
const RESIDENT_MAX_MB: f64 = 20.0;

/// One start: ms to the first answer, and resident MB after a while.
fn start(database: &std::path::Path, rest: Duration) -> (f64, f64) {
    let began = Instant::now();
    let mut service = Command::new(env!("CARGO_BIN_EXE_idle"))
        .arg(database)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut address = String::new();
    BufReader::new(service.stdout.take().unwrap()).read_line(&mut address).unwrap();
    let mut stream = TcpStream::connect(address.trim()).unwrap();
    // Slack's own probe: answered without a signature.
    let probe = format!(
        "GET {INTERACTIVITY_PATH}?ssl_check=1 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(probe.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let first = began.elapsed().as_secs_f64() * 1e3;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    std::thread::sleep(rest);
    let status = fs::read_to_string(format!("/proc/{}/status", service.id())).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kilobytes: f64 = resident.trim().trim_end_matches(" kB").parse().unwrap();
    drop(service.stdin.take());
    assert!(service.wait().unwrap().success());
    (first, kilobytes * 1024.0 / 1e6)
}

fn main() {
    if !cfg!(target_os = "linux") {
        println!("SKIPPED idle: what a process weighs is read from /proc");
        return;
    }
    let quick = std::env::args().any(|argument| argument == "--test" || argument == "--quick");
    let starts = if quick { 3 } else { STARTS };
    let folder = tempfile::tempdir_in(std::env::current_dir().unwrap()).unwrap();
    let (mut new, mut again, mut resident) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..starts {
        let database = folder.path().join(format!("{number}.db"));
        let rest = Duration::from_millis(200);
        new.push(start(&database, rest).0);
        let (first, megabytes) = start(&database, rest);
        again.push(first);
        resident.push(megabytes);
    }
    let settled = start(&folder.path().join("0.db"), Duration::from_secs(10)).1;
    println!(
        "idle: first answer {:.0} ms after its start (median of {starts}), {:.0} ms with a new \
         database (goal: {FIRST_ANSWER_MAX:?})",
        median(again),
        median(new),
    );
    println!(
        "idle: {:.1} MB resident, {settled:.1} MB after ten seconds (goal: {RESIDENT_MAX_MB} MB)",
        median(resident),
    );
}
