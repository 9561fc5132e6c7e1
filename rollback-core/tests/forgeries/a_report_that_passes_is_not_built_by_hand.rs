use rollback_core::guard::{GuardSet, Report};

fn main() {
    let _none = Report { findings: Vec::new() };
    let _unguarded = GuardSet { guards: Vec::new() };
}
