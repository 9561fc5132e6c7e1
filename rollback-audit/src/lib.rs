#![doc = include_str!("../README.md")]
#![no_std]
extern crate alloc;

mod anchor;
mod auditor;
mod checkpoint;
mod explain;
mod finding;
mod key;
mod note;
mod shown;

pub use crate::anchor::{ANCHORS_MAX, Anchors, FINGERPRINT_DIGITS_MIN};
pub use crate::auditor::{Auditor, OPEN_AFTER, OpenOrder, Report, Scope};
pub use crate::checkpoint::{KEYS_MAX, Keys, OpenError, Signer, Statement};
pub use crate::explain::Explanation;
pub use crate::finding::{Finding, Verdict};
pub use crate::key::{KeyError, PublicKey, Signed, SigningKey};
pub use crate::note::{NOTE_BYTES_MAX, Note, NoteError, SIGNATURES_MAX, Signature};
