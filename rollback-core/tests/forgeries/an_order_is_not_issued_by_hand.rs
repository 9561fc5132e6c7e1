use rollback_core::proof::{Order, Recorded};

fn forge(recorded: &Recorded) -> Order {
    Order::issue(recorded)
}

fn main() {}
