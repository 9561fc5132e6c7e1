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

/// Bytes looked at together.
const BLOCK: usize = 240;
/// How far around a block is looked. Two would do, as the digits of an escape follow its `%`; with
/// eight, a window is a whole number of vectors.
const REACH: usize = 8;
const WINDOW: usize = REACH + BLOCK + REACH;
/// Bytes gathered together.
const WORD: usize = 8;

/// Undoes the percent encoding, a block at a time and without a branch on the data: each position
/// is decoded as if an escape began there, and then only those are kept that are no escape's
/// digit. In Slack's JSON one byte in six begins an escape, at no predictable place, so that a
/// branch for each costs more than all of this, which the compiler vectorizes.
fn decode(encoded: &[u8]) -> Result<Vec<u8>, FormError> {
    let blocks = encoded.len().div_ceil(BLOCK);
    let padding = blocks * BLOCK - encoded.len();
    let mut padded = Vec::with_capacity(REACH + blocks * BLOCK + REACH);
    padded.extend_from_slice(&[0; REACH]);
    padded.extend_from_slice(encoded);
    padded.resize(padded.len() + padding + REACH, 0);

    // Whole words are written, the last one perhaps beyond what is kept.
    let mut decoded = vec![0; blocks * BLOCK + WORD];
    let mut kept = 0_usize;
    let mut broken = 0;
    for window in (0..blocks).filter_map(|block| padded.get(block * BLOCK..)?.first_chunk()) {
        let (values, keep, breaks) = decode_block(window);
        broken |= breaks;
        for (values, keep) in values.as_chunks::<WORD>().0.iter().zip(keep.as_chunks().0) {
            let (word, count) = gather(*values, *keep);
            if let Some(slot) = decoded.get_mut(kept..).and_then(<[u8]>::first_chunk_mut) {
                *slot = word;
            }
            kept += count;
        }
    }
    if broken != 0 {
        return Err(FormError::EscapeMalformed);
    }
    decoded.truncate(kept.saturating_sub(padding));
    Ok(decoded)
}

/// What each byte of a block stands for, whether it is to be kept (0 or 1), and whether an escape
/// is broken (not 0).
#[expect(clippy::indexing_slicing, reason = "all lengths are constants and checked as such")]
fn decode_block(window: &[u8; WINDOW]) -> ([u8; BLOCK], [u8; BLOCK], u8) {
    // 255 stands for yes.
    let mut is_percent = [0_u8; WINDOW];
    let mut not_digit = [0_u8; WINDOW];
    let mut digits = [0_u8; WINDOW];
    for at in 0..WINDOW {
        let byte = window[at];
        let number = byte.wrapping_sub(b'0');
        let letter = (byte | 0x20).wrapping_sub(b'a');
        is_percent[at] = yes(byte == b'%');
        not_digit[at] = yes(number > 9) & yes(letter > 5);
        digits[at] = (number & yes(number <= 9)) | (letter.wrapping_add(10) & yes(letter <= 5));
    }
    let (mut values, mut keep, mut broken) = ([0; BLOCK], [0; BLOCK], 0);
    for at in 0..BLOCK {
        let here = at + REACH;
        let byte = window[here];
        let plain = byte ^ ((b'+' ^ b' ') & yes(byte == b'+'));
        let escaped = digits[here + 1] << 4 | digits[here + 2];
        values[at] = (escaped & is_percent[here]) | (plain & !is_percent[here]);
        keep[at] = 1 & !(is_percent[here - 1] | is_percent[here - 2]);
        broken |= is_percent[here] & (not_digit[here + 1] | not_digit[here + 2]);
    }
    (values, keep, broken)
}

/// Moves the bytes that are to be kept to the front, and counts them.
#[expect(clippy::indexing_slicing, reason = "a byte cannot be outside of 256 entries")]
fn gather(values: [u8; WORD], keep: [u8; WORD]) -> ([u8; WORD], usize) {
    // Brings the lowest bit of each byte into the highest byte, the first byte's lowest.
    const COLLECT: u64 = 0x0102_0408_1020_4080;
    let which = u64::from_le_bytes(keep).wrapping_mul(COLLECT) >> 56;
    let moves = &MOVES[usize::try_from(which & 0xff).unwrap_or_default()];
    let word = u64::from_le_bytes(values);
    let moved = ((word & moves.masks[0]) >> moves.shifts[0])
        | ((word & moves.masks[1]) >> moves.shifts[1])
        | ((word & moves.masks[2]) >> moves.shifts[2]);
    (moved.to_le_bytes(), moves.count)
}

/// How the runs of kept bytes in a word move. Two bytes or more lie between two runs, so there are
/// three at most.
#[derive(Clone, Copy)]
struct Moves {
    masks: [u64; 3],
    shifts: [u32; 3],
    count: usize,
}

#[expect(clippy::indexing_slicing, reason = "runs while compiling")]
static MOVES: [Moves; 256] = {
    let mut all = [Moves { masks: [0; 3], shifts: [0; 3], count: 0 }; 256];
    let mut which = 0;
    while which < all.len() {
        all[which] = moves_of(which);
        which += 1;
    }
    all
};

/// The moves for the bytes whose bits are set in `which`.
#[expect(clippy::indexing_slicing, reason = "runs while compiling, and stays below three")]
const fn moves_of(which: usize) -> Moves {
    let mut moves = Moves { masks: [0; 3], shifts: [0; 3], count: 0 };
    let (mut runs, mut in_run) = (0, false);
    let (mut bit, mut shift) = (0, 0_u32);
    while bit < WORD {
        let is_kept = which >> bit & 1 == 1;
        if is_kept {
            if !in_run {
                runs += 1;
            }
            // More runs do not occur.
            if runs <= 3 {
                moves.masks[runs - 1] |= 0xff << (8 * bit);
                moves.shifts[runs - 1] = shift;
            }
            moves.count += 1;
        } else {
            shift += 8;
        }
        in_run = is_kept;
        bit += 1;
    }
    moves
}

/// All bits or none: a choice that the processor makes without a jump.
const fn yes(truth: bool) -> u8 {
    if truth { 255 } else { 0 }
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
