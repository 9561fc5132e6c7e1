//! Slack's request signature, version 0.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Computes `X-Slack-Signature` for a raw body sent at `timestamp` (seconds since 1970).
///
/// ```
/// let signature = local_slack::sign(
///     "8f742231b10e8888abcd99yyyzzz85a5",
///     1_531_420_618,
///     b"payload=%7B%22type%22%3A%22block_actions%22%7D",
/// );
/// assert_eq!(signature, "v0=9dffc25b49a4a7fc2e15c9c9450bf8af09eb501fcef9039eaea3deb58af0c82c");
/// ```
#[must_use]
pub fn sign(secret: &str, timestamp: u64, body: &[u8]) -> String {
    let mut signature = "v0=".to_owned();
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        // HMAC takes a key of any length; this arm exists because the type cannot say so.
        return signature;
    };
    mac.update(format!("v0:{timestamp}:").as_bytes());
    mac.update(body);
    for byte in mac.finalize().into_bytes() {
        // Writing to a string cannot fail.
        let _written = write!(signature, "{byte:02x}");
    }
    signature
}
