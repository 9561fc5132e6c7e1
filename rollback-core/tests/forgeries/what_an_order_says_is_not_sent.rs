use rollback_core::ports::CdBackend;
use rollback_core::proof::OrderRef;

async fn send(backend: &dyn CdBackend, order: &OrderRef) {
    let _ = backend.start(order.clone()).await;
}

fn main() {
    let _ = send;
}
