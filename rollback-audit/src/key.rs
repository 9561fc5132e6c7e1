//! Keys, in the texts that Go's `note` package and the tools of transparency logs read.

use crate::note::{Note, Signature, is_name};
use alloc::format;
use alloc::string::{String, ToString};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use core::fmt;
use ed25519_dalek::Signer as _;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// The kind of signature, as C2SP numbers them: Ed25519 over the text.
const ED25519: u8 = 1;

/// What the text of a private key begins with.
const PRIVATE: &str = "PRIVATE+KEY+";

/// A text is no key. It does not tell the text, which may be a secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// No public key.
    #[error("a public key is `NAME+HASH+KEY`, as `audit key` prints it")]
    Public,
    /// No private key.
    #[error("a private key is `PRIVATE+KEY+NAME+HASH+KEY`, as `audit key` writes it")]
    Private,
    /// The hash in it is another key's.
    #[error("the hash in the key is not the key's own: a letter of it is wrong")]
    Hash,
    /// No name.
    #[error(
        "the name of a key has 1 to 255 bytes and neither spaces nor `+`; a host with a path is \
         usual: `rollback.example.com/audit`"
    )]
    Name,
    /// The key and the one that it replaces have different names.
    #[error("a key and the one that it replaces have the same name: they sign for one log")]
    OtherName,
}

/// Whoever has it can tell who signed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PublicKey {
    name: String,
    id: u32,
    key: ed25519_dalek::VerifyingKey,
}

/// What a known key says of a note.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "signed, not signed, or forged")]
pub enum Signed {
    /// It signed the text.
    Yes,
    /// It did not.
    No,
    /// There is a signature under its name, and it is wrong.
    Forged,
}

impl PublicKey {
    /// Reads `NAME+HASH+KEY`.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when it is none.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let (name, id, bytes) = parts(text.trim()).ok_or(KeyError::Public)?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(&bytes).ok().filter(|k| !k.is_weak());
        Self::new(name, key.ok_or(KeyError::Public)?).filter_id(id)
    }

    fn new(name: &str, key: ed25519_dalek::VerifyingKey) -> Self {
        Self { name: name.into(), id: key_id(name, key.as_bytes()), key }
    }

    fn filter_id(self, id: u32) -> Result<Self, KeyError> {
        if self.id == id { Ok(self) } else { Err(KeyError::Hash) }
    }

    /// Its name: the log that it signs for.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it signed a note.
    #[must_use]
    pub fn signed(&self, note: &Note) -> Signed {
        let mine = |s: &&Signature| s.name == self.name && s.key_id == self.id;
        let Some(signature) = note.signatures().iter().find(mine) else { return Signed::No };
        let good = <[u8; 64]>::try_from(signature.bytes.as_slice()).is_ok_and(|bytes| {
            let signature = ed25519_dalek::Signature::from_bytes(&bytes);
            self.key.verify_strict(note.text().as_bytes(), &signature).is_ok()
        });
        if good { Signed::Yes } else { Signed::Forged }
    }
}

/// `NAME+HASH+KEY`, for whoever verifies.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = STANDARD.encode([&[ED25519], self.key.as_bytes().as_slice()].concat());
        write!(f, "{}+{:08x}+{bytes}", self.name, self.id)
    }
}

/// Signs. Forgotten byte by byte when it is dropped, and never shown.
#[derive(Clone)]
pub struct SigningKey {
    public: PublicKey,
    key: ed25519_dalek::SigningKey,
}

impl SigningKey {
    /// A key of 32 random bytes. They are the key: take them from the system's generator.
    ///
    /// # Errors
    ///
    /// [`KeyError::Name`] when a key cannot have this name.
    pub fn new(name: &str, random: &Zeroizing<[u8; 32]>) -> Result<Self, KeyError> {
        if !is_name(name) {
            return Err(KeyError::Name);
        }
        let key = ed25519_dalek::SigningKey::from_bytes(random);
        Ok(Self { public: PublicKey::new(name, key.verifying_key()), key })
    }

    /// Reads `PRIVATE+KEY+NAME+HASH+KEY`.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when it is none; the text is not told.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let rest = text.trim().strip_prefix(PRIVATE).ok_or(KeyError::Private)?;
        let (name, id, bytes) = parts(rest).ok_or(KeyError::Private)?;
        let key = Self::new(name, &Zeroizing::new(bytes))?;
        if key.public.id == id { Ok(key) } else { Err(KeyError::Hash) }
    }

    /// The key that verifies what this one signs.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The secret itself, as [`Self::parse`] reads it, for a file that nobody else can read.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        let bytes = Zeroizing::new([&[ED25519], self.key.as_bytes().as_slice()].concat());
        let encoded = Zeroizing::new(STANDARD.encode(bytes.as_slice()));
        Zeroizing::new(format!(
            "{PRIVATE}{}+{:08x}+{}",
            self.public.name,
            self.public.id,
            encoded.as_str()
        ))
    }

    pub(crate) fn sign(&self, text: &str) -> Signature {
        let bytes = self.key.sign(text.as_bytes()).to_bytes().to_vec();
        Signature::new(self.public.name.clone(), self.public.id, bytes)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("public", &self.public.to_string())
            .finish_non_exhaustive()
    }
}

/// `NAME+HASH+KEY` taken apart. The name itself has no `+`, and base64 has some.
fn parts(text: &str) -> Option<(&str, u32, [u8; 32])> {
    let (name, rest) = text.split_once('+')?;
    let (id, encoded) = rest.split_once('+')?;
    let lower = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if !is_name(name) || id.len() != 8 || !id.bytes().all(lower) {
        return None;
    }
    let id = u32::from_str_radix(id, 16).ok()?;
    // One byte for the kind and 32 for the key.
    let bytes = Zeroizing::new(STANDARD.decode(encoded).ok()?);
    match bytes.split_first() {
        Some((&ED25519, key)) => Some((name, id, <[u8; 32]>::try_from(key).ok()?)),
        Some(_) | None => None,
    }
}

fn key_id(name: &str, key: &[u8; 32]) -> u32 {
    let mut hash = Sha256::new();
    hash.update(name.as_bytes());
    hash.update([b'\n', ED25519]);
    hash.update(key);
    let [a, b, c, d, ..] = <[u8; 32]>::from(hash.finalize());
    u32::from_be_bytes([a, b, c, d])
}
