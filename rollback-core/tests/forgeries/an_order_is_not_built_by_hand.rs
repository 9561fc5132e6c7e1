use rollback_core::Plan;
use rollback_core::proof::Order;

fn forge(plan: Plan) -> Order {
    Order { plan }
}

fn main() {}
