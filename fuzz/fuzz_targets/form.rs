//! The form decoder: for every body it gives the text that a plain decoder gives, or the very fault
//! that is there, and a probe is a probe wherever it stands.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rollback_slack::form::{FormError, is_ssl_check, payload_of};

fn fields(body: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    body.split(|byte| *byte == b'&').map(|field| {
        let mut halves = field.splitn(2, |byte| *byte == b'=');
        (halves.next().unwrap_or_default(), halves.next().unwrap_or_default())
    })
}

/// One byte after the other. `None`: an escape is broken.
fn plain(value: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::new();
    let mut rest = value.iter();
    while let Some(byte) = rest.next() {
        let mut digit = || char::from(*rest.next()?).to_digit(16);
        decoded.push(match byte {
            b'%' => u8::try_from(digit()? * 16 + digit()?).ok()?,
            b'+' => b' ',
            other => *other,
        });
    }
    Some(decoded)
}

fuzz_target!(|data: &[u8]| {
    assert_eq!(is_ssl_check(data), fields(data).any(|field| field == (b"ssl_check", b"1")));
    let ours: Vec<&[u8]> =
        fields(data).filter(|(name, _)| *name == b"payload").map(|(_, value)| value).collect();
    let expected = match ours.as_slice() {
        [] => Err(FormError::PayloadMissing),
        [one] => match plain(one) {
            None => Err(FormError::EscapeMalformed),
            Some(bytes) => String::from_utf8(bytes).map_err(|_bytes| FormError::NotUtf8),
        },
        [_, _, ..] => Err(FormError::PayloadRepeated),
    };
    assert_eq!(payload_of(data), expected);

    // Whatever it is, it comes back out of a form, and its neighbours change nothing.
    let escaped: String = data.iter().map(|byte| format!("%{byte:02x}")).collect();
    let form = format!("a=%zz&payload={escaped}&token=x");
    let expected = String::from_utf8(data.to_vec()).map_err(|_bytes| FormError::NotUtf8);
    assert_eq!(payload_of(form.as_bytes()), expected);
});
