//! Notes, keys and checkpoints as texts: one way to write each, and a bound on everything read.

use crate::common::{Log, NAME, checkpoint, key, signer};
use proptest::prelude::*;
use rollback_audit::{
    Explanation, KeyError, Keys, NOTE_BYTES_MAX, Note, NoteError, OpenError, PublicKey,
    SIGNATURES_MAX, Signer, SigningKey, Statement,
};
use rollback_testkit::script::Ending;

/// A note that Go's `note` package signed, and the key that it made.
const FROM_GO: &str = "a text that Go signed\n\nwith an empty line in it\n\n\
    — rollback.example.com/vector XUCrCsbttTiNtYe09kuLkegWg9O34Fo4YhSqe0J7y1WSWpuVF2DEyE2PTWg5gDxEaqQ5L/ZVoz1lCCDVQ/SuDDlAOwE=\n";
const KEY_FROM_GO: &str =
    "rollback.example.com/vector+5d40ab0a+Adc/p/VNjsEAPEp5vLzuJJRlDCcp6olHv0Mzxlf5GZLG";

#[test]
fn a_note_of_another_implementation_is_read_and_its_signature_is_good() {
    let note = Note::parse(FROM_GO).unwrap();
    assert_eq!(note.to_string(), FROM_GO);
    let key = PublicKey::parse(KEY_FROM_GO).unwrap();
    assert_eq!(key.to_string(), KEY_FROM_GO);
    assert_eq!(key.signed(&note), rollback_audit::Signed::Yes);
    assert_eq!(Keys::new([key]).open(&note), Err(OpenError::Line(2)), "and it is no checkpoint");
}

#[test]
fn a_text_that_is_no_note_is_refused_by_name() {
    let good = checkpoint(&signer(1), &Log::new(1).head(), 0).note;
    let line = good.lines().last().unwrap().to_owned();
    let many = good.replacen(&line, &vec![line.clone(); SIGNATURES_MAX + 1].join("\n"), 1);
    for (bad, error) in [
        (String::new(), NoteError::NoSignatures),
        (good.trim_end().to_owned(), NoteError::NoSignatures),
        (good.replace("\n\n", "\n"), NoteError::NoSignatures),
        (good.replacen("chain", "cha\tin", 1), NoteError::Control),
        (good.replacen('—', "-", 1), NoteError::Signature(1)),
        (good.replacen(&line, "— name AAAA", 1), NoteError::Signature(1)),
        (good.replacen(&line, "— name !", 1), NoteError::Signature(1)),
        (good.replacen(&line, "— a+b AAAAAAA=", 1), NoteError::Signature(1)),
        (good.replacen(&line, "—  AAAAAAA=", 1), NoteError::Signature(1)),
        (format!("{good}x\n"), NoteError::Signature(2)),
        (many, NoteError::TooMany),
        (format!("{}{good}", "x\n".repeat(NOTE_BYTES_MAX / 2)), NoteError::TooLong),
    ] {
        assert_eq!(Note::parse(&bad), Err(error), "{bad:.80}");
    }
    let most = good.replacen(&line, &vec![line.clone(); SIGNATURES_MAX].join("\n"), 1);
    assert_eq!(Note::parse(&most).unwrap().signatures().len(), SIGNATURES_MAX);
    let longest = format!("{}\n{good}", "x".repeat(NOTE_BYTES_MAX - good.len() - 1));
    assert_eq!(longest.len(), NOTE_BYTES_MAX);
    assert!(Note::parse(&longest).is_ok());
}

#[test]
fn a_text_that_is_no_checkpoint_says_which_line() {
    let signed = checkpoint(&signer(1), &Log::new(1).head(), 0);
    let text = Note::parse(&signed.note).unwrap().text().to_owned();
    let good = Statement::parse(&text).unwrap();
    assert_eq!(good.checkpoint, signed.checkpoint);
    let lines: Vec<&str> = text.lines().collect();
    let with = |place: usize, line: &str| {
        let mut lines = lines.clone();
        lines[place - 1] = line;
        lines.join("\n") + "\n"
    };
    for (bad, line) in [
        (with(1, ""), 1),
        (with(2, "07"), 2),
        (with(2, "+7"), 2),
        (with(2, "-7"), 2),
        (with(2, "9007199254740992"), 2),
        (with(3, "AAAA"), 3),
        (with(3, &"A".repeat(44)), 3),
        (with(4, "chains default"), 7),
        (with(5, "time yesterday"), 5),
        (with(5, ""), 5),
        (with(6, "time 2026-11-26T08:00:00Z"), 6),
        (format!("{text}next-key PeterNeumann\n"), 7),
        (lines[..2].join("\n") + "\n", 3),
        (text.trim_end().to_owned(), 1),
        (String::new(), 1),
    ] {
        assert_eq!(Statement::parse(&bad), Err(OpenError::Line(line)), "{bad}");
    }
    // A later version may add lines.
    assert_eq!(Statement::parse(&format!("{text}witnessed by many\n")).unwrap(), good);
}

#[test]
fn keys_are_written_and_read_in_one_way_and_a_wrong_letter_is_found() {
    let (private, public) = (key(1).reveal(), key(1).public().to_string());
    assert_eq!(SigningKey::parse(&private).unwrap().reveal(), private);
    assert_eq!(PublicKey::parse(&format!(" {public}\n")).unwrap().to_string(), public);
    let renamed = public.replacen("rollback", "r0llback", 1);
    assert_eq!(PublicKey::parse(&renamed), Err(KeyError::Hash));
    let renamed = private.replacen("rollback", "r0llback", 1);
    assert_eq!(SigningKey::parse(&renamed).unwrap_err(), KeyError::Hash);
    for bad in ["", "x", "a+b+c", "a b+00000000+AQ==", private.as_str()] {
        assert_eq!(PublicKey::parse(bad), Err(KeyError::Public), "{bad}");
    }
    let otherwise = [
        KEY_FROM_GO.replacen("5d40ab0a", "5D40AB0A", 1),
        KEY_FROM_GO.replacen("5d40ab0a", "d40ab0a", 1),
        KEY_FROM_GO.replacen("5d40ab0a", "05d40ab0a", 1),
        KEY_FROM_GO.replacen("/vector", " vector", 1),
    ];
    for bad in otherwise {
        assert_eq!(PublicKey::parse(&bad), Err(KeyError::Public), "{bad}");
    }
    for bad in ["", "PRIVATE+KEY+", public.as_str()] {
        assert_eq!(SigningKey::parse(bad).unwrap_err(), KeyError::Private, "{bad}");
    }
    for name in ["", "a b", "a+b", "a\nb", &"x".repeat(256)] {
        assert_eq!(SigningKey::new(name, &[1; 32].into()).unwrap_err(), KeyError::Name);
    }
    let other = SigningKey::new("elsewhere.example.com", &[1; 32].into()).unwrap();
    assert_eq!(Signer::new(key(1)).replacing(other).unwrap_err(), KeyError::OtherName);
}

#[test]
fn a_private_key_is_never_shown() {
    let private = key(7).reveal();
    let secret = private.rsplit('+').next().unwrap();
    let handover = Signer::new(key(1)).replacing(key(7)).unwrap();
    let shown = format!("{:?} {handover:?} {:?}", key(7), SigningKey::parse("PRIVATE+KEY+x"));
    assert!(shown.contains(NAME) && !shown.contains(secret), "{shown}");
    // Base64 of the bytes without their kind before them, and the bytes as numbers.
    assert!(!shown.contains("BwcHBwcH") && !shown.contains("7, 7, 7"), "{shown}");
}

#[test]
fn an_explanation_tells_who_when_why_and_the_evidence() {
    let mut log = Log::new(0);
    log.append(Log::of("rb-7", Ending::Cancelled));
    assert!(Explanation::of([]).is_none());
    let page = Explanation::of(log.records.clone()).unwrap().to_string();
    let record = &log.records[1].draft;
    for part in [
        "rollback  rb-7",
        "service   checkout in production",
        "from      42",
        "to        41",
        "who       U",
        record.reason.as_ref().unwrap().as_str(),
        "triggered",
        "cancelled",
        "guards as record",
        &format!("{} records of the chain `default`", log.records.len()),
        &log.head().hash.to_string(),
    ] {
        assert!(page.contains(part), "`{part}` is not in\n{page}");
    }
}

#[test]
fn what_others_wrote_cannot_move_the_cursor_of_whoever_reads() {
    let mut log = Log::new(1);
    let mut draft = log.records[0].draft.clone();
    draft.explanation = Some("all \u{1b}[2J\r\u{202e}good\u{200b}".into());
    log.append(vec![draft]);
    let page = Explanation::of(log.records).unwrap().to_string();
    assert!(page.contains("all \\u{1b}[2J\\u{d}\\u{202e}good\\u{200b}"), "{page}");
    assert!(!page.contains(['\u{1b}', '\r', '\u{202e}', '\u{200b}']), "{page}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// What is read as a note is written as what was read.
    #[test]
    fn a_note_is_written_as_it_was_read(
        text in "[a-z\n —]{0,60}",
        signatures in "(— [a-z+ ]{1,4} [A-Za-z0-9+/=]{0,16}\n){0,3}",
    ) {
        let given = format!("{text}\n\n{signatures}");
        if let Ok(note) = Note::parse(&given) {
            prop_assert_eq!(note.to_string(), given);
        }
    }

    /// A signature is of every byte of the text.
    #[test]
    fn no_byte_of_a_checkpoint_can_be_changed(place in 0_usize..400, to in "[ -~]") {
        let good = checkpoint(&signer(1), &Log::new(1).head(), 0).note;
        let keys = Keys::new([key(1).public().clone()]);
        let text_ends = good.find("\n\n").unwrap();
        let place = place % text_ends;
        prop_assume!(good.as_bytes()[place] != to.as_bytes()[0] && good.as_bytes()[place] != b'\n');
        let mut changed = good;
        changed.replace_range(place..=place, &to);
        let opened = Note::parse(&changed).map_err(OpenError::from).and_then(|n| keys.open(&n));
        prop_assert!(opened.is_err(), "{changed}");
    }
}
