//! The page and what it talks to.
use crate::Shared;
use std::sync::Arc;

pub(crate) fn router(_shared: Arc<Shared>) -> axum::Router {
    axum::Router::new()
}
