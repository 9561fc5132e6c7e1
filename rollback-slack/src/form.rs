//! The one form that Slack posts: `payload=<urlencoded JSON>`.
//!
//! A general form decoder costs more than the signature check, so this one does a single pass
//! without a branch that depends on the data, with the widest vectors that the processor has.

use fearless_simd::prelude::*;
use fearless_simd::{Level, Simd, dispatch, mask8x32, u8x32};
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

/// The name of the field.
const PAYLOAD: &[u8] = b"payload";

/// The decoded value of the form's only `payload` field.
///
/// # Errors
/// [`FormError`]; fields with other names are passed over.
pub fn payload_of(body: &[u8]) -> Result<String, FormError> {
    let mut values = fields(body).filter(|(name, _)| is_payload(name)).map(|(_, value)| value);
    let value = values.next().ok_or(FormError::PayloadMissing)?;
    if values.next().is_some() {
        return Err(FormError::PayloadRepeated);
    }
    String::from_utf8(decode(value)?).map_err(|_bytes_stay_out_of_errors| FormError::NotUtf8)
}

/// Whether a name reads `payload` to anybody: some readers decode names.
fn is_payload(name: &[u8]) -> bool {
    name == PAYLOAD
        || (memchr(b'%', name).is_some() && decode(name).is_ok_and(|name| name == PAYLOAD))
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

/// Bytes looked at together: a vector of AVX2, half of one of AVX-512, two of what is older.
const BLOCK: usize = 32;

/// Undoes the percent encoding.
fn decode(encoded: &[u8]) -> Result<Vec<u8>, FormError> {
    dispatch!(Level::new(), simd => decode_with(simd, encoded))
}

/// Decodes a block at a time and without a branch on the data: an escape's byte takes the place of
/// its second digit, and then the `%` and the first digit are left out. In Slack's JSON one byte in
/// five begins an escape, at no predictable place, so that a branch for each costs more than all of
/// this.
#[inline(always)]
fn decode_with<S: Simd>(simd: S, encoded: &[u8]) -> Result<Vec<u8>, FormError> {
    let (blocks, rest) = encoded.as_chunks::<BLOCK>();
    // One zero at least stands behind the text, so that an escape which the end cuts off has
    // something in it that is no digit.
    let padding = BLOCK - rest.len();
    let mut last = [0; BLOCK];
    for (slot, byte) in last.iter_mut().zip(rest) {
        *slot = *byte;
    }

    let mut decoded = Vec::with_capacity(encoded.len() + BLOCK);
    let mut before = u8x32::splat(simd, 0);
    let mut whole = mask8x32::splat(simd, true);
    for block in blocks.iter().chain([&last]) {
        let bytes = u8x32::simd_from(simd, *block);
        let one_back = before.slide::<{ BLOCK - 1 }>(bytes);
        let two_back = before.slide::<{ BLOCK - 2 }>(bytes);
        before = bytes;

        let is_percent = bytes.simd_eq(b'%');
        let is_first = one_back.simd_eq(b'%');
        let is_second = two_back.simd_eq(b'%');
        let (digit, is_other) = hexadecimal(bytes);
        let (digit_before, _) = hexadecimal(one_back);
        whole &= !is_other | (!is_first & !is_second);

        let plain = bytes.simd_eq(b'+').select(u8x32::splat(simd, b' '), bytes);
        let values = is_second.select((digit_before << 4) + digit, plain);
        let kept = !is_percent & !is_first;
        decoded.extend_from_slice(values.compress(kept).as_slice());
        decoded.truncate(decoded.len().saturating_sub(BLOCK - count(kept)));
    }
    if !whole.all_true() {
        return Err(FormError::EscapeMalformed);
    }
    decoded.truncate(decoded.len().saturating_sub(padding));
    Ok(decoded)
}

/// What each byte stands for as a hexadecimal digit, and whether it is none.
#[inline(always)]
fn hexadecimal<S: Simd>(bytes: u8x32<S>) -> (u8x32<S>, mask8x32<S>) {
    let number = bytes - b'0';
    let letter = (bytes | 0x20) - b'a';
    let is_number = number.simd_le(9);
    let is_letter = letter.simd_le(5);
    (is_number.select(number, letter + 10), !is_number & !is_letter)
}

/// How many are set.
#[inline(always)]
fn count<S: Simd>(mask: mask8x32<S>) -> usize {
    usize::try_from(mask.to_bitmask().count_ones()).unwrap_or_default()
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

    #[cfg(target_arch = "x86_64")]
    proptest! {
        #[test]
        fn every_generation_of_processors_decodes_like_the_plain_one(
            parts in proptest::collection::vec(prop_oneof![
                4 => Just(&b"%7B"[..]), 4 => Just(&b"%c3%A9"[..]), 4 => Just(&b"+plain"[..]),
                1 => Just(&b"%4"[..]), 1 => Just(&b"g"[..]), 1 => Just(&b"\x00"[..]),
            ], 0..60)
        ) {
            let bytes = parts.concat();
            let expected = plainly_decoded(&bytes);
            let level = Level::new();
            for decoded in [
                level.as_sse2().map(|simd| decode_with(simd, &bytes)),
                level.as_sse4_2().map(|simd| decode_with(simd, &bytes)),
                level.as_avx2().map(|simd| decode_with(simd, &bytes)),
                level.as_avx512().map(|simd| decode_with(simd, &bytes)),
            ].into_iter().flatten() {
                prop_assert_eq!(decoded.ok(), expected.clone());
            }
        }
    }

    #[test]
    fn an_escape_counts_wherever_a_block_ends() {
        for before in 0..=2 * BLOCK {
            for behind in 0..=BLOCK {
                let whole = ["a".repeat(before), "%41".to_owned(), "b".repeat(behind)].concat();
                let expected = ["a".repeat(before), "A".to_owned(), "b".repeat(behind)].concat();
                assert_eq!(decode(whole.as_bytes()), Ok(expected.into_bytes()));
            }
            for cut_off in ["%", "%4", "%4g", "%%41"] {
                let broken = ["a".repeat(before), cut_off.to_owned()].concat();
                assert_eq!(decode(broken.as_bytes()), Err(FormError::EscapeMalformed), "{broken}");
            }
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
            (b"p%61yload=a&payload=b", FormError::PayloadRepeated),
            (b"payload=a&p%61ylo%61d=b", FormError::PayloadRepeated),
            (b"payload=a&%70%61%79%6C%6f%61%64", FormError::PayloadRepeated),
            (b"p%61yload=a&p%61yload=b", FormError::PayloadRepeated),
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
        assert_eq!(payload_of(b"payload=a&p%6=b&%70ayloads=c&+payload=d"), Ok("a".to_owned()));
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
