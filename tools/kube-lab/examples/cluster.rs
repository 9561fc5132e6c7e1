//! A cluster to look at: prints where its kubeconfig is, and ends when standard input does.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a tool for a terminal")]

use kube_lab::Lab;
use std::io::Read as _;

fn main() {
    let Some(lab) = Lab::shared("a cluster to look at") else { return };
    println!("export ROLLBACK_TEST_KUBECONFIG={}", lab.kubeconfig().display());
    println!("It ends with the end of standard input (Ctrl-D).");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    lab.end();
}
