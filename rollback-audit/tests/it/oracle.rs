//! Go's `note` package, which we did not write, reads our notes and keys, and we read its.
//! `tools/peers signed-note` installs it.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use crate::common;
use crate::common::{Log, checkpoint, key, signer};
use rollback_audit::{Keys, Note, PublicKey, Signer, SigningKey, Statement};
use rollback_core::ports::CheckpointSigner;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn note_program() -> Option<PathBuf> {
    Some(peer::wanted("signed-note", "a judgement by Go's note package")?.join("note"))
}

fn go(note: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(note)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the peer");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn said(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn go_opens_our_checkpoints_with_our_public_key_and_refuses_what_was_changed() {
    let Some(note) = note_program() else { return };
    let public = key(1).public().to_string();
    for rollbacks in [0, 1, 3] {
        let log = Log::new(rollbacks);
        let signed = checkpoint(&signer(1), &log.head(), 0).note;
        let opened = said(&go(&note, &["open", &public], &signed));
        let (who, text) = opened.split_once("\n\n").unwrap();
        assert!(public.starts_with(who), "{who} is not {public}");
        assert_eq!(text, Note::parse(&signed).unwrap().text());
        let changed = signed.replacen("chain default", "chain defauld", 1);
        assert!(!go(&note, &["open", &public], &changed).status.success());
        let stranger = key(2).public().to_string();
        assert!(!go(&note, &["open", &stranger], &signed).status.success());
    }
}

#[test]
fn go_finds_both_signatures_of_a_handover() {
    let Some(note) = note_program() else { return };
    let handover = Signer::new(key(2)).replacing(key(1)).unwrap();
    let signed = checkpoint(&handover, &Log::new(1).head(), 0).note;
    let (old, new) = (key(1).public().to_string(), key(2).public().to_string());
    let opened = said(&go(&note, &["open", &old, &new], &signed));
    let who: Vec<&str> = opened.split_once("\n\n").unwrap().0.lines().collect();
    assert_eq!(who.len(), 2);
    assert!(new.starts_with(who[0]) && old.starts_with(who[1]), "{who:?}");
}

#[test]
fn we_open_what_go_signs_with_our_key_byte_for_byte_as_we_sign_it() {
    let Some(note) = note_program() else { return };
    let signed = checkpoint(&signer(1), &Log::new(2).head(), 0).note;
    let text = Note::parse(&signed).unwrap().text().to_owned();
    let theirs = said(&go(&note, &["sign", key(1).reveal().as_str()], &text));
    assert_eq!(theirs, signed, "Ed25519 signs the same text with the same key in one way");
    assert_eq!(signer(1).open(&theirs).unwrap().note, signed);
}

#[test]
fn we_read_the_keys_that_go_makes() {
    let Some(note) = note_program() else { return };
    for _once in 0..20 {
        let keys = said(&go(&note, &["generate", common::NAME], ""));
        let (private, public) = keys.trim().split_once('\n').unwrap();
        let key = SigningKey::parse(private).unwrap();
        assert_eq!(key.public().to_string(), public);
        assert_eq!(key.reveal().as_str(), private);
        let public = PublicKey::parse(public).unwrap();
        let signed = checkpoint(&Signer::new(key), &Log::new(1).head(), 0);
        let note = Note::parse(&signed.note).unwrap();
        let opened: Statement = Keys::new([public]).open(&note).unwrap();
        assert_eq!(opened.checkpoint, signed.checkpoint);
    }
}
