//! The little of Kubernetes' protobuf that is needed to see which Secret helm is about to create,
//! and to write on it for which order.
//!
//! Helm sends Secrets so; nothing else is ever read here. Fields that are not known are kept.

/// What comes before every object that is sent so.
const MAGIC: &[u8] = b"k8s\0";

/// A Secret that helm is about to create.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Created {
    pub(crate) name: String,
    /// What `data.release` holds; it can hold passwords, so it is not shown.
    pub(crate) release: Hidden,
}

/// Bytes that are not shown.
#[derive(Clone, Default, Eq, PartialEq)]
pub(crate) struct Hidden(pub(crate) Vec<u8>);

impl core::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// One field of a message, and where it ends.
struct Field<'a> {
    number: u64,
    bytes: &'a [u8],
}

/// Reads the fields that have a length, which is what is wanted; numbers are passed over.
fn fields(mut message: &[u8]) -> Option<Vec<Field<'_>>> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let (key, rest) = varint(message)?;
        let (number, rest) = (key >> 3, rest);
        message = match key & 7 {
            0 => varint(rest)?.1,
            1 => rest.get(8..)?,
            2 => {
                let (length, rest) = varint(rest)?;
                let length = usize::try_from(length).ok()?;
                found.push(Field { number, bytes: rest.get(..length)? });
                rest.get(length..)?
            }
            5 => rest.get(4..)?,
            _ => return None,
        };
    }
    Some(found)
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        let shift = u32::try_from(index).ok()?.checked_mul(7)?;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(index.checked_add(1)?..)?));
        }
    }
    None
}

fn text(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}

fn put(into: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    into.push((number << 3) | 2);
    let mut length = bytes.len();
    while length >= 0x80 {
        into.push(u8::try_from(length & 0x7f).unwrap_or_default() | 0x80);
        length >>= 7;
    }
    into.push(u8::try_from(length).unwrap_or_default());
    into.extend_from_slice(bytes);
}

/// Reads a Secret, and writes an annotation on it. None when it is no such thing.
pub(crate) fn annotate(body: &[u8], key: &str, value: &str) -> Option<(Created, Vec<u8>)> {
    let envelope = body.strip_prefix(MAGIC)?;
    let mut created = Created::default();
    let mut wrapped = MAGIC.to_vec();
    let mut is_secret = false;
    for field in fields(envelope)? {
        match field.number {
            // Its type: apiVersion and kind.
            1 => {
                let kind = fields(field.bytes)?.into_iter().find(|it| it.number == 2);
                is_secret = kind.is_some_and(|kind| kind.bytes == b"Secret");
                put(&mut wrapped, 1, field.bytes);
            }
            // The object.
            2 => {
                created = secret(field.bytes)?;
                let mut raw = field.bytes.to_vec();
                let mut entry = Vec::new();
                put(&mut entry, 1, key.as_bytes());
                put(&mut entry, 2, value.as_bytes());
                let mut meta = Vec::new();
                put(&mut meta, 12, &entry);
                // A message that comes twice is merged.
                put(&mut raw, 1, &meta);
                put(&mut wrapped, 2, &raw);
            }
            3 | 4 => put(&mut wrapped, u8::try_from(field.number).ok()?, field.bytes),
            _ => return None,
        }
    }
    (is_secret && !created.name.is_empty()).then_some((created, wrapped))
}

fn secret(raw: &[u8]) -> Option<Created> {
    let mut created = Created::default();
    for field in fields(raw)? {
        match field.number {
            1 => {
                if let Some(name) = fields(field.bytes)?.into_iter().find(|it| it.number == 1) {
                    created.name = text(name.bytes)?;
                }
            }
            2 => {
                let entry = fields(field.bytes)?;
                let part = |number| entry.iter().find(|it| it.number == number).map(|it| it.bytes);
                if part(1) == Some(b"release") {
                    created.release = Hidden(part(2)?.to_vec());
                }
            }
            _ => {}
        }
    }
    Some(created)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A Secret as client-go writes it.
    fn written(name: &str, release: &[u8]) -> Vec<u8> {
        let message = |parts: &[(u8, &[u8])]| {
            let mut made = Vec::new();
            parts.iter().for_each(|(number, bytes)| put(&mut made, *number, bytes));
            made
        };
        let label = message(&[(1, b"owner"), (2, b"helm")]);
        let meta = message(&[(1, name.as_bytes()), (3, b"shop"), (11, &label)]);
        let data = message(&[(1, b"release"), (2, release)]);
        let secret = message(&[(1, &meta), (2, &data), (3, b"helm.sh/release.v1")]);
        let kind = message(&[(1, b"v1"), (2, b"Secret")]);
        [MAGIC.to_vec(), message(&[(1, &kind), (2, &secret), (3, b""), (4, b"")])].concat()
    }

    #[test]
    fn what_is_created_is_read_and_nothing_of_it_is_shown() {
        let long = vec![b'x'; 70_000];
        let body = written("sh.helm.release.v1.web.v3", &long);
        let (created, annotated) = annotate(&body, "example.com/order", "r1").unwrap();
        assert_eq!(created.name, "sh.helm.release.v1.web.v3");
        assert_eq!(created.release.0, long);
        assert!(!format!("{created:?}").contains("xxx"));
        let (again, _) = annotate(&annotated, "example.com/other", "r2").unwrap();
        assert_eq!(again, created, "everything else is kept");
        let found = annotated.windows(2).any(|two| two == b"r1");
        assert!(found && annotated.len() < body.len() + 64);
    }

    #[test]
    fn what_a_secret_holds_is_shown_as_its_length() {
        assert_eq!(format!("{:?}", Hidden(b"hunter2".to_vec())), "7 bytes");
    }

    #[test]
    fn numbers_are_passed_over_and_a_field_of_an_unknown_kind_is_not_read() {
        let mut message = vec![1 << 3, 0xac, 0x02];
        message.extend([2 << 3 | 1, 1, 2, 3, 4, 5, 6, 7, 8]);
        message.extend([3 << 3 | 5, 1, 2, 3, 4]);
        // The sixteenth field has a key of two bytes.
        message.extend([0x82, 0x01, 1, b'x']);
        put(&mut message, 4, b"yz");
        let found = fields(&message).unwrap();
        let found: Vec<_> = found.iter().map(|it| (it.number, it.bytes)).collect();
        assert_eq!(found, [(16, &b"x"[..]), (4, b"yz")]);
        assert!(fields(&[1 << 3 | 3]).is_none(), "a group");
        assert!(fields(&[2 << 3 | 1, 1, 2]).is_none(), "cut short");
    }

    #[test]
    fn what_is_not_a_secret_is_none() {
        let body = written("a", b"b");
        for broken in [&b""[..], b"k8s\0", b"{}", &body[4..], &body[..body.len() - 1]] {
            assert!(annotate(broken, "k", "v").is_none());
        }
        let mut other = body;
        let at = other.windows(6).position(|six| six == b"Secret").unwrap();
        other[at] = b's';
        assert!(annotate(&other, "k", "v").is_none());
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _read_or_not = annotate(&bytes, "k", "v");
            let whole = [MAGIC, bytes.as_slice()].concat();
            let _read_or_not = annotate(&whole, "k", "v");
        }
    }
}
