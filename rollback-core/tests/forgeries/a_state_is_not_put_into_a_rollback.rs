use rollback_core::{Rollback, State};

fn cheat(mut rollback: Rollback) -> Rollback {
    rollback.state = State::Succeeded;
    rollback
}

fn main() {}
