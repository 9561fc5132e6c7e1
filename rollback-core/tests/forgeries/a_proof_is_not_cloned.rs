use rollback_core::proof::{Approved, Authorized, Confirmed, GuardsPassed, Recorded, Vote};

fn twice<T: Clone>() {}

fn main() {
    twice::<Authorized>();
    twice::<Confirmed>();
    twice::<Vote>();
    twice::<Approved>();
    twice::<GuardsPassed>();
    twice::<Recorded>();
}
