//! Slack's request signature: HMAC-SHA256 over the raw bytes, before anything is decoded.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use thiserror::Error;

use crate::UnixSeconds;

/// The header with the second at which Slack signed.
pub const TIMESTAMP_HEADER: &str = "x-slack-request-timestamp";
/// The header with the signature.
pub const SIGNATURE_HEADER: &str = "x-slack-signature";
/// How far a request's timestamp may lie from our clock, in either direction: Slack's own advice.
pub const SKEW_MAX_SECONDS: u64 = 300;

/// Digits of the longest timestamp read: enough until the year 33658.
const TIMESTAMP_DIGITS_MAX: usize = 12;
const VERSION: &str = "v0";
const MAC_BYTES: usize = 32;

/// Why a request is not taken for Slack's. Told to the log, never to the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// No such header.
    #[error("the header `{0}` is missing")]
    Missing(&'static str),
    /// The header is there more than once, so that two readers could see two values.
    #[error("the header `{0}` is there more than once")]
    Repeated(&'static str),
    /// Not plain digits.
    #[error("the request's timestamp is not a number of seconds")]
    TimestampMalformed,
    /// Too old, or from the future: a replay, or one of the two clocks is wrong.
    #[error(
        "the request's timestamp is {distance} s away from this clock, more than \
         {SKEW_MAX_SECONDS} s; check the clock of this machine"
    )]
    Stale {
        /// Seconds between the two clocks.
        distance: u64,
    },
    /// Not `v0=` and 64 lower-case hexadecimal digits.
    #[error("the request's signature is not `v0=` and 64 lower-case hexadecimal digits")]
    SignatureMalformed,
    /// Made with another secret, or over other bytes.
    #[error(
        "the request's signature does not fit its bytes; check the signing secret \
         if this is really Slack"
    )]
    Mismatch,
}

/// A signing secret without a single character, with which anybody could sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the signing secret is empty; copy it from the app's page at Slack")]
#[non_exhaustive]
pub struct EmptySecret;

/// Proof that a body is Slack's own. Only [`SigningSecrets::verify`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Genuine<'a> {
    body: &'a [u8],
    mac: [u8; MAC_BYTES],
}

impl<'a> Genuine<'a> {
    /// The bytes that were signed.
    #[must_use]
    pub const fn body(&self) -> &'a [u8] {
        self.body
    }

    /// The signature: equal for two requests only if body and timestamp are equal.
    #[must_use]
    pub const fn digest(&self) -> [u8; MAC_BYTES] {
        self.mac
    }
}

/// The app's signing secret, and during a rotation also the one before it.
///
/// ```
/// use http::HeaderMap;
/// use rollback_slack::{SignatureError, SigningSecrets, UnixSeconds};
///
/// let secrets = SigningSecrets::new(&"8f742231b10e8888abcd99yyyzzz85a5".into())?;
/// let unsigned = secrets.verify(&HeaderMap::new(), b"payload=%7B%7D", UnixSeconds(1_531_420_618));
/// assert!(matches!(unsigned, Err(SignatureError::Missing(_))));
/// # Ok::<(), rollback_slack::EmptySecret>(())
/// ```
#[derive(Clone)]
pub struct SigningSecrets {
    current: Hmac<Sha256>,
    previous: Option<Previous>,
}

#[derive(Clone)]
struct Previous {
    key: Hmac<Sha256>,
    until: UnixSeconds,
}

impl fmt::Debug for SigningSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningSecrets")
            .field("current", &"[redacted]")
            .field("previous_until", &self.previous.as_ref().map(|previous| previous.until))
            .finish()
    }
}

impl SigningSecrets {
    /// Takes the app's signing secret.
    ///
    /// # Errors
    /// [`EmptySecret`], so that a forgotten variable cannot turn the check off.
    pub fn new(current: &SecretString) -> Result<Self, EmptySecret> {
        Ok(Self { current: keyed(current)?, previous: None })
    }

    /// Also accepts the previous secret, up to and including `until`.
    ///
    /// # Errors
    /// [`EmptySecret`].
    pub fn with_previous(
        self,
        previous: &SecretString,
        until: UnixSeconds,
    ) -> Result<Self, EmptySecret> {
        Ok(Self { previous: Some(Previous { key: keyed(previous)?, until }), ..self })
    }

    /// Proves that `body` was signed by Slack within [`SKEW_MAX_SECONDS`] of `now`.
    ///
    /// # Errors
    /// [`SignatureError`] names the first thing that is wrong. The sender must learn none of it.
    pub fn verify<'a>(
        &self,
        headers: &HeaderMap,
        body: &'a [u8],
        now: UnixSeconds,
    ) -> Result<Genuine<'a>, SignatureError> {
        let timestamp = only(headers, TIMESTAMP_HEADER)?.as_bytes();
        let signature = only(headers, SIGNATURE_HEADER)?.as_bytes();
        let distance = parse_timestamp(timestamp)?.distance(now);
        if distance > SKEW_MAX_SECONDS {
            return Err(SignatureError::Stale { distance });
        }
        let mac = parse_signature(signature)?;
        if fits(&self.current, timestamp, body, &mac) {
            return Ok(Genuine { body, mac });
        }
        match &self.previous {
            Some(previous)
                if now <= previous.until && fits(&previous.key, timestamp, body, &mac) =>
            {
                Ok(Genuine { body, mac })
            }
            Some(_) | None => Err(SignatureError::Mismatch),
        }
    }

    /// Signs `body` as Slack would with the current secret: the values of [`TIMESTAMP_HEADER`]
    /// and [`SIGNATURE_HEADER`]. For tests and for tools that play Slack.
    #[must_use]
    pub fn sign(&self, body: &[u8], at: UnixSeconds) -> (String, String) {
        let timestamp = at.0.to_string();
        let mac = over(&self.current, timestamp.as_bytes(), body).finalize().into_bytes();
        let mut signature = String::with_capacity(VERSION.len() + 1 + 2 * MAC_BYTES);
        signature.push_str(VERSION);
        signature.push('=');
        for byte in mac {
            for nibble in [byte >> 4, byte & 0xf] {
                signature.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
            }
        }
        (timestamp, signature)
    }
}

fn keyed(secret: &SecretString) -> Result<Hmac<Sha256>, EmptySecret> {
    let secret = secret.expose_secret().as_bytes();
    if secret.is_empty() {
        return Err(EmptySecret);
    }
    Hmac::new_from_slice(secret).map_err(|_any_length_is_fine| EmptySecret)
}

/// `v0:<timestamp>:<body>` under the key.
fn over(key: &Hmac<Sha256>, timestamp: &[u8], body: &[u8]) -> Hmac<Sha256> {
    key.clone()
        .chain_update(VERSION)
        .chain_update(b":")
        .chain_update(timestamp)
        .chain_update(b":")
        .chain_update(body)
}

/// Compares in constant time.
fn fits(key: &Hmac<Sha256>, timestamp: &[u8], body: &[u8], mac: &[u8; MAC_BYTES]) -> bool {
    over(key, timestamp, body).verify_slice(mac).is_ok()
}

fn only<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<&'h HeaderValue, SignatureError> {
    let mut values = headers.get_all(name).into_iter();
    let first = values.next().ok_or(SignatureError::Missing(name))?;
    match values.next() {
        None => Ok(first),
        Some(_) => Err(SignatureError::Repeated(name)),
    }
}

/// Digits alone: no sign, no blank, no underscore that a laxer reader would take.
fn parse_timestamp(text: &[u8]) -> Result<UnixSeconds, SignatureError> {
    if text.is_empty() || text.len() > TIMESTAMP_DIGITS_MAX {
        return Err(SignatureError::TimestampMalformed);
    }
    text.iter()
        .try_fold(0_i64, |seconds, byte| match byte {
            b'0'..=b'9' => seconds.checked_mul(10)?.checked_add(i64::from(byte - b'0')),
            _ => None,
        })
        .map(UnixSeconds)
        .ok_or(SignatureError::TimestampMalformed)
}

fn parse_signature(text: &[u8]) -> Result<[u8; MAC_BYTES], SignatureError> {
    let malformed = SignatureError::SignatureMalformed;
    let hex = text.strip_prefix(b"v0=").ok_or(malformed)?;
    if hex.len() != 2 * MAC_BYTES {
        return Err(malformed);
    }
    let mut mac = [0; MAC_BYTES];
    for (byte, pair) in mac.iter_mut().zip(hex.chunks_exact(2)) {
        let &[high, low] = pair else { return Err(malformed) };
        *byte = nibble(high).ok_or(malformed)? * 16 + nibble(low).ok_or(malformed)?;
    }
    Ok(mac)
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
    const AT: UnixSeconds = UnixSeconds(1_531_420_618);
    const COMMAND: &[u8] = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&\
        team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&\
        user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2F\
        hooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&\
        trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    const COMMAND_SIGNATURE: &str =
        "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
    const CLICK: &[u8] = b"payload=%7B%22type%22%3A%22block_actions%22%7D";
    const CLICK_SIGNATURE: &str =
        "v0=9dffc25b49a4a7fc2e15c9c9450bf8af09eb501fcef9039eaea3deb58af0c82c";

    fn secrets() -> SigningSecrets {
        SigningSecrets::new(&SECRET.into()).unwrap()
    }

    fn signed(timestamp: &str, signature: &str) -> HeaderMap {
        HeaderMap::from_iter([
            (TIMESTAMP_HEADER.parse().unwrap(), timestamp.parse().unwrap()),
            (SIGNATURE_HEADER.parse().unwrap(), signature.parse().unwrap()),
        ])
    }

    fn check(timestamp: &str, signature: &str, now: UnixSeconds) -> Result<(), SignatureError> {
        secrets().verify(&signed(timestamp, signature), CLICK, now).map(|_| ())
    }

    #[test]
    fn slacks_own_vector_is_genuine() {
        let headers = signed("1531420618", COMMAND_SIGNATURE);
        let genuine = secrets().verify(&headers, COMMAND, AT).unwrap();
        assert_eq!(genuine.body(), COMMAND);
    }

    #[test]
    fn the_vector_of_a_click_is_genuine_and_is_what_we_would_sign() {
        assert_eq!(check("1531420618", CLICK_SIGNATURE, AT), Ok(()));
        let ours = secrets().sign(CLICK, AT);
        assert_eq!(ours, ("1531420618".to_owned(), CLICK_SIGNATURE.to_owned()));
    }

    #[test]
    fn the_window_is_five_minutes_in_both_directions() {
        for (offset, outcome) in [
            (0, Ok(())),
            (300, Ok(())),
            (-300, Ok(())),
            (301, Err(SignatureError::Stale { distance: 301 })),
            (-301, Err(SignatureError::Stale { distance: 301 })),
        ] {
            assert_eq!(check("1531420618", CLICK_SIGNATURE, AT.plus(offset)), outcome, "{offset}");
        }
    }

    #[test]
    fn a_timestamp_is_digits_and_nothing_else() {
        for text in [
            "",
            "-1",
            "+1531420618",
            "1531420618.0",
            "0x5b47",
            "1_531",
            " 1",
            "9".repeat(13).as_str(),
            "١",
        ] {
            let mut headers = signed("0", CLICK_SIGNATURE);
            let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) else { continue };
            headers.insert(TIMESTAMP_HEADER, value);
            let outcome = secrets().verify(&headers, CLICK, AT);
            assert_eq!(outcome, Err(SignatureError::TimestampMalformed), "{text:?}");
        }
        let longest = "9".repeat(TIMESTAMP_DIGITS_MAX);
        let outcome = check(&longest, CLICK_SIGNATURE, AT);
        assert!(outcome.is_err_and(|error| error != SignatureError::TimestampMalformed));
    }

    #[test]
    fn a_signature_is_of_version_0_in_64_lower_case_digits() {
        for signature in [
            "",
            "v0=",
            &CLICK_SIGNATURE.replace("v0=", "v1="),
            &CLICK_SIGNATURE.replace("v0=", ""),
            &CLICK_SIGNATURE.to_uppercase(),
            &CLICK_SIGNATURE.replace('d', "D"),
            &format!("{CLICK_SIGNATURE}0"),
            CLICK_SIGNATURE.trim_end_matches('c'),
            &format!("{CLICK_SIGNATURE},{CLICK_SIGNATURE}"),
            &CLICK_SIGNATURE.replace('9', "g"),
        ] {
            let outcome = check("1531420618", signature, AT);
            assert_eq!(outcome, Err(SignatureError::SignatureMalformed), "{signature}");
        }
    }

    #[test]
    fn each_header_is_there_exactly_once() {
        for name in [TIMESTAMP_HEADER, SIGNATURE_HEADER] {
            let mut headers = signed("1531420618", CLICK_SIGNATURE);
            let value = headers[name].clone();
            headers.append(name, value);
            let outcome = secrets().verify(&headers, CLICK, AT);
            assert_eq!(outcome, Err(SignatureError::Repeated(name)));
            headers.remove(name);
            let outcome = secrets().verify(&headers, CLICK, AT);
            assert_eq!(outcome, Err(SignatureError::Missing(name)));
        }
    }

    #[test]
    fn an_empty_secret_is_refused_when_it_is_given() {
        assert_eq!(SigningSecrets::new(&"".into()).unwrap_err(), EmptySecret);
        assert_eq!(secrets().with_previous(&"".into(), AT).unwrap_err(), EmptySecret);
    }

    #[test]
    fn the_previous_secret_is_good_until_its_end() {
        let rotated = SigningSecrets::new(&"new".into())
            .unwrap()
            .with_previous(&SECRET.into(), AT.plus(10))
            .unwrap();
        let old = signed("1531420618", CLICK_SIGNATURE);
        assert!(rotated.verify(&old, CLICK, AT.plus(10)).is_ok());
        assert_eq!(rotated.verify(&old, CLICK, AT.plus(11)), Err(SignatureError::Mismatch));
        let (timestamp, signature) = rotated.sign(CLICK, AT.plus(11));
        assert!(rotated.verify(&signed(&timestamp, &signature), CLICK, AT.plus(11)).is_ok());
    }

    #[test]
    fn a_secret_is_not_seen_in_debug() {
        let rotated = secrets().with_previous(&"canary".into(), AT).unwrap();
        let debug = format!("{rotated:?}");
        assert!(!debug.contains(SECRET) && !debug.contains("canary"), "{debug}");
        assert!(debug.starts_with("SigningSecrets { current: \"[redacted]\""), "{debug}");
    }

    proptest! {
        #[test]
        fn what_is_signed_is_genuine_and_nothing_next_to_it(
            body in proptest::collection::vec(any::<u8>(), 0..300),
            at in 0_i64..4_000_000_000,
            flip in any::<proptest::sample::Index>(),
            bit in 0_u8..8,
        ) {
            let (timestamp, signature) = secrets().sign(&body, UnixSeconds(at));
            let headers = signed(&timestamp, &signature);
            prop_assert!(secrets().verify(&headers, &body, UnixSeconds(at)).is_ok());

            let other = SigningSecrets::new(&"other".into()).unwrap();
            prop_assert!(other.verify(&headers, &body, UnixSeconds(at)).is_err());
            let later = signed(&(at + 1).to_string(), &signature);
            prop_assert!(secrets().verify(&later, &body, UnixSeconds(at)).is_err());
            if !body.is_empty() {
                let mut tampered = body.clone();
                tampered[flip.index(body.len())] ^= 1 << bit;
                prop_assert!(secrets().verify(&headers, &tampered, UnixSeconds(at)).is_err());
            }
        }

        #[test]
        fn no_header_makes_it_panic(
            timestamp in "\\PC{0,20}", signature in "(v0=)?[0-9a-fA-F]{60,68}|\\PC{0,80}",
        ) {
            let mut headers = HeaderMap::new();
            for (name, text) in [(TIMESTAMP_HEADER, timestamp), (SIGNATURE_HEADER, signature)] {
                if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
                    headers.append(name, value);
                }
            }
            prop_assert!(secrets().verify(&headers, CLICK, AT).is_err());
        }
    }
}
