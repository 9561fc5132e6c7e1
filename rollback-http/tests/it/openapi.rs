//! The OpenAPI document: committed, and what the types of the wire say.

use std::path::Path;

/// `BLESS=1` writes it anew.
#[test]
fn the_committed_document_is_what_the_types_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let mut generated = serde_json::to_string_pretty(&rollback_http::openapi()).unwrap();
    generated.push('\n');
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == generated,
        "rollback-http/openapi.json is not what the types say; look at the change, then BLESS=1 \
         cargo test -p rollback-http --test it openapi"
    );
}
