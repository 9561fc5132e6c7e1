use rollback_core::proof::{Approved, Confirmed, Votes};
use rollback_core::{Policy, State};

fn skip_the_approvals(policy: &Policy, confirmed: Confirmed) -> State {
    match Approved::check(policy, confirmed, Votes::new()) {
        Ok(approved) => State::Checking(approved),
        Err(_) => State::Failed,
    }
}

fn main() {}
