use rollback_core::proof::{Approved, Authorized, Confirmed, GuardsPassed, Order, Recorded, Vote};
use rollback_core::{Effect, Rollback, State};

fn read<T: serde::de::DeserializeOwned>() {}

fn main() {
    read::<Authorized>();
    read::<Confirmed>();
    read::<Vote>();
    read::<Approved>();
    read::<GuardsPassed>();
    read::<Recorded>();
    read::<Order>();
    read::<Effect>();
    read::<State>();
    read::<Rollback>();
}
