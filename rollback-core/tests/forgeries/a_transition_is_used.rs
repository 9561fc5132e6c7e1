#![deny(unused_must_use)]

use rollback_core::{Event, Rollback, Timestamp};

fn forget(rollback: Rollback, now: Timestamp, event: Event) {
    rollback.step(now, event);
}

fn main() {}
