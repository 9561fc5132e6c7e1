use rollback_core::ports::CdBackend;
use rollback_core::proof::Order;

async fn twice(backend: &dyn CdBackend, order: Order) {
    let _ = backend.start(order).await;
    let _ = backend.start(order).await;
}

fn main() {
    let _ = twice;
}
