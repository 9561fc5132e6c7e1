use rollback_core::{Plan, RevisionRef, ServiceKey};

fn forge(key: ServiceKey, live: RevisionRef) -> Plan {
    Plan { key, from: live.clone(), to: live }
}

fn main() {}
