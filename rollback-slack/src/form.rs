//! The one form that Slack posts: `payload=<urlencoded JSON>`.
//!
//! A general form decoder costs more than the signature check (`reference` figures are in
//! `benches/click.rs`), so this one does a single pass without a branch that depends on the data.

use memchr::memchr;
use thiserror::Error;

/// Why a body is not the form that Slack posts. Nothing was dispatched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FormError {
    /// No `payload=`.
    #[error("the form has no field `payload`")]
    PayloadMissing,
    /// Two of them, so that two readers could see two different payloads.
    #[error("the form has the field `payload` more than once")]
    PayloadRepeated,
    /// A `%` without two hexadecimal digits behind it.
    #[error("the form's `payload` has a `%` without two hexadecimal digits")]
    EscapeMalformed,
    /// The decoded bytes are not text.
    #[error("the form's `payload` is not UTF-8")]
    NotUtf8,
}

/// The decoded value of the form's only `payload` field.
///
/// # Errors
/// [`FormError`]; fields with other names are passed over.
pub fn payload_of(body: &[u8]) -> Result<String, FormError> {
    let mut values = fields(body).filter(|(name, _)| *name == b"payload").map(|(_, value)| value);
    let value = values.next().ok_or(FormError::PayloadMissing)?;
    if values.next().is_some() {
        return Err(FormError::PayloadRepeated);
    }
    String::from_utf8(decode(value)?).map_err(|_bytes_stay_out_of_errors| FormError::NotUtf8)
}

/// Whether the form says `ssl_check=1`: Slack's unsigned probe, wherever in the form it stands.
#[must_use]
pub fn is_ssl_check(body: &[u8]) -> bool {
    fields(body).any(|field| field == (b"ssl_check", b"1"))
}

/// The still encoded fields. In a value, `&` and `=` are always escaped, so none hides inside.
fn fields(body: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = Some(body);
    std::iter::from_fn(move || {
        let (field, behind) = cut(rest?, b'&');
        rest = behind;
        let (name, value) = cut(field, b'=');
        Some((name, value.unwrap_or_default()))
    })
}

/// What stands before the first `at`, and what stands behind it.
fn cut(bytes: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    memchr(at, bytes)
        .and_then(|index| bytes.split_at_checked(index))
        .map_or((bytes, None), |(before, behind)| (before, behind.get(1..)))
}

/// Marks a byte that is no hexadecimal digit; the low four bits are the digit's value otherwise.
const NO_DIGIT: u8 = 0x80;

#[expect(
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "runs while compiling: an index or number out of range would not compile"
)]
const HEX: [u8; 256] = {
    let mut table = [NO_DIGIT; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            digit @ b'0'..=b'9' => digit - b'0',
            digit @ b'a'..=b'f' => digit - b'a' + 10,
            digit @ b'A'..=b'F' => digit - b'A' + 10,
            _ => NO_DIGIT,
        };
        byte += 1;
    }
    table
};

/// Undoes the percent encoding.
///
/// Every step stores the byte that would end an escape here and then moves on only if it is to be
/// kept. Where the escapes stand is unpredictable (one byte in six in Slack's JSON), and a
/// mispredicted branch costs more than the whole step.
fn decode(encoded: &[u8]) -> Result<Vec<u8>, FormError> {
    let mut decoded = vec![0; encoded.len()];
    let mut kept = 0_usize;
    let mut broken = false;
    // The digits still to come in the escape that is being read: 0, 1 or 2.
    let mut pending = 0_u8;
    let mut high = 0_u8;
    for &byte in encoded {
        let digit = hex(byte);
        let opens = byte == b'%';
        let plain = if byte == b'+' { b' ' } else { byte };
        let value = if pending == 0 { plain } else { high << 4 | digit };
        if let Some(slot) = decoded.get_mut(kept) {
            *slot = value;
        }
        broken |= (pending != 0) & (digit == NO_DIGIT);
        kept += usize::from((!opens & (pending == 0)) | (pending == 1));
        high = digit;
        pending = if opens { 2 } else { pending.saturating_sub(1) };
    }
    if broken || pending != 0 {
        return Err(FormError::EscapeMalformed);
    }
    decoded.truncate(kept);
    Ok(decoded)
}

#[expect(clippy::indexing_slicing, reason = "a byte cannot be outside of 256 entries")]
fn hex(byte: u8) -> u8 {
    HEX[usize::from(byte)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Percent-encodes what `keep` does not keep, as a browser or Slack may.
    fn encoded(text: &str, keep: impl Fn(u8) -> bool) -> Vec<u8> {
        let mut form = b"payload=".to_vec();
        for byte in text.bytes() {
            match byte {
                b' ' => form.push(b'+'),
                byte if keep(byte) => form.push(byte),
                byte => form.extend(format!("%{byte:02X}").bytes()),
            }
        }
        form
    }

    proptest! {
        #[test]
        fn what_was_encoded_comes_back(text in any::<String>()) {
            let tight = encoded(&text, |byte| byte.is_ascii_alphanumeric());
            prop_assert_eq!(payload_of(&tight), Ok(text.clone()));
            let loose = encoded(&text, |byte| !b"%&+".contains(&byte));
            prop_assert_eq!(payload_of(&loose), Ok(text));
        }

        #[test]
        fn no_bytes_make_it_panic(
            bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'%'), Just(b'&'),
                Just(b'='), Just(b'+')], 0..200)
        ) {
            let mut form = b"payload=".to_vec();
            form.extend(&bytes);
            drop((payload_of(&form), payload_of(&bytes), is_ssl_check(&bytes)));
        }

        #[test]
        fn the_step_without_branches_decodes_like_the_plain_one(
            bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'%'), Just(b'4')], 0..60)
        ) {
            prop_assert_eq!(decode(&bytes).ok(), plainly_decoded(&bytes));
        }
    }

    fn plainly_decoded(bytes: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = bytes.iter();
        let mut decoded = Vec::new();
        while let Some(&byte) = bytes.next() {
            decoded.push(match byte {
                b'+' => b' ',
                b'%' => {
                    let pair = [*bytes.next()?, *bytes.next()?];
                    if !pair.iter().all(u8::is_ascii_hexdigit) {
                        return None;
                    }
                    u8::from_str_radix(std::str::from_utf8(&pair).unwrap(), 16).unwrap()
                }
                byte => byte,
            });
        }
        Some(decoded)
    }

    #[test]
    fn each_malformed_form_has_its_own_error() {
        for (body, error) in [
            (&b""[..], FormError::PayloadMissing),
            (b"payloads=x", FormError::PayloadMissing),
            (b"x=payload", FormError::PayloadMissing),
            (b"payload=a&payload=b", FormError::PayloadRepeated),
            (b"payload=a&x=1&payload=", FormError::PayloadRepeated),
            (b"payload=%", FormError::EscapeMalformed),
            (b"payload=%4", FormError::EscapeMalformed),
            (b"payload=%4&x=1", FormError::EscapeMalformed),
            (b"payload=%4g", FormError::EscapeMalformed),
            (b"payload=%g4", FormError::EscapeMalformed),
            (b"payload=%%41", FormError::EscapeMalformed),
            (b"payload=%+1", FormError::EscapeMalformed),
            (b"payload=%ff", FormError::NotUtf8),
            (b"payload=\xff", FormError::NotUtf8),
            (b"payload=%c3%28", FormError::NotUtf8),
        ] {
            assert_eq!(payload_of(body), Err(error), "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn other_fields_are_passed_over() {
        for body in ["payload=a+b%2Bc", "x=1&payload=a+b%2Bc", "payload=a+b%2Bc&&y=%zz&z"] {
            assert_eq!(payload_of(body.as_bytes()), Ok("a b+c".to_owned()), "{body}");
        }
        assert_eq!(payload_of(b"payload"), Ok(String::new()));
    }

    #[test]
    fn an_ssl_check_is_found_wherever_it_stands_and_nowhere_else() {
        for body in ["ssl_check=1", "token=x&ssl_check=1", "payload=%7B%7D&ssl_check=1&x=2"] {
            assert!(is_ssl_check(body.as_bytes()), "{body}");
        }
        for body in ["", "ssl_check=0", "ssl_check", "payload=ssl_check%3D1", "xssl_check=1"] {
            assert!(!is_ssl_check(body.as_bytes()), "{body}");
        }
    }
}
