//! Ways in for the fuzz targets, compiled for them alone.

use crate::record::{RawSecret, content};
use crate::{classify, protobuf};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

/// Everything that is told of a release whose payload, still packed or not, is this. `None`: it is
/// unreadable, and the error says so.
pub fn release(payload: &[u8]) -> Option<String> {
    let wire = STANDARD.encode(payload);
    let secret = json!({
        "metadata": {"name": "sh.helm.release.v1.shop.v1"},
        "data": {"release": STANDARD.encode(&wire)},
    });
    let secret: RawSecret = serde_json::from_value(secret).ok()?;
    let read = secret.read().ok();
    let told = content(wire.as_bytes()).is_ok();
    assert_eq!(read.is_some(), told, "both readers take the same");
    read.map(|(record, _content)| format!("{record:?}"))
}

/// Whether these bytes are a Secret on its way to the cluster, as JSON or as protobuf.
pub fn creation(body: &[u8]) -> bool {
    drop(serde_json::from_slice::<RawSecret>(body).map(RawSecret::read));
    protobuf::annotate(body, "rollback-rs.github.io/order", "rb-1").is_some()
}

/// What helm said when it failed, as a person is told it.
pub fn complaint(stderr: &str) -> String {
    format!("{:?}", classify::cause(stderr))
}
