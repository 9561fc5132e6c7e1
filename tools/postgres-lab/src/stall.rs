//! A server that stands still: its processes are stopped by signals, as a machine that is suspended
//! stops them.

use std::process::Command;

/// A server that answers nothing, until this is dropped.
#[derive(Debug)]
pub struct Stalled {
    processes: Vec<String>,
}

impl Stalled {
    /// Stops the server's first process, which then starts no other, and then all that it has
    /// started.
    pub(crate) fn from(first: &str) -> Self {
        let first = first.to_owned();
        signal("-STOP", std::slice::from_ref(&first));
        let mut processes = children(&first);
        signal("-STOP", &processes);
        processes.push(first);
        Self { processes }
    }
}

impl Drop for Stalled {
    fn drop(&mut self) {
        signal("-CONT", &self.processes);
    }
}

fn children(parent: &str) -> Vec<String> {
    let all = Command::new("ps").args(["-A", "-o", "pid=,ppid="]).output().unwrap();
    let all = String::from_utf8(all.stdout).unwrap();
    let pairs = all.lines().filter_map(|line| line.trim().split_once(char::is_whitespace));
    pairs.filter(|(_, of)| of.trim() == parent).map(|(pid, _)| pid.to_owned()).collect()
}

/// One that has ended meanwhile needs no signal.
fn signal(which: &str, processes: &[String]) {
    if !processes.is_empty() {
        drop(Command::new("kill").arg(which).args(processes).output().unwrap());
    }
}
