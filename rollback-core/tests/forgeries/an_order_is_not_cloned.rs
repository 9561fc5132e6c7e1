use rollback_core::proof::Order;

fn again(order: &Order) -> Order {
    order.clone()
}

fn twice<T: Clone>() {}

fn main() {
    twice::<Order>();
    let _ = again;
}
