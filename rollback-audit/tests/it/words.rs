//! Everything that this crate says to a person, on one page: read it as a whole.
#![expect(clippy::panic, reason = "a test fails by panicking")]

use crate::common::{Log, key, start};
use rollback_audit::{Explanation, Finding, KeyError, NoteError, OpenError, Verdict};
use rollback_core::audit::{ChainError, Draft, Hash, Kind};
use rollback_core::{Deployer, RevisionRef};
use rollback_testkit::fixtures::{self, parsed};
use rollback_testkit::script::Ending;
use std::fmt::Write as _;
use std::time::Duration;

fn findings() -> Vec<Finding> {
    let place = || "`audit.jsonl`, line 7".to_owned();
    let of = |error| Finding::Signature { place: place(), error };
    let (one, other) = (Hash::of(b"one"), Hash::of(b"other"));
    vec![
        Finding::Unreadable { place: place(), sequence: Some(7), problem: "it is cut off".into() },
        Finding::Unreadable { place: place(), sequence: None, problem: "no such file".into() },
        Finding::Chain { place: place(), error: ChainError::Gap { expected: 7, found: 8 } },
        Finding::BeginsLate { place: place(), expected: 1, found: 7 },
        Finding::BeginsOtherwise { place: place(), found: one },
        Finding::Replayed { place: place(), sequence: 7, first: 3 },
        of(OpenError::NotSigned(7)),
        of(OpenError::Forged(7)),
        of(OpenError::OtherOrigin(7)),
        of(OpenError::Line(2)),
        of(OpenError::Note(NoteError::TooLong)),
        of(OpenError::Note(NoteError::Control)),
        of(OpenError::Note(NoteError::NoSignatures)),
        of(OpenError::Note(NoteError::Signature(2))),
        of(OpenError::Note(NoteError::TooMany)),
        Finding::Fork {
            sequence: 7,
            place: place(),
            one: one.to_string(),
            other_place: "`bobs.anchors`, line 1".into(),
            other: other.to_string(),
        },
        Finding::Rewritten {
            place: place(),
            sequence: 7,
            good_until: 3,
            expected: one.to_string(),
            found: other,
        },
        Finding::Truncated { place: place(), sequence: 9, ends_with: 6 },
        Finding::ForeignAnchor {
            place: place(),
            sequence: 7,
            expected: "default".into(),
            found: "stag\u{1b}ing".into(),
        },
        Finding::Silence { place: place(), from: start(), lasted: Duration::from_secs(1_800) },
    ]
}

#[test]
fn what_can_be_wrong_is_told_with_its_verdict_and_its_record() {
    let mut page = String::new();
    for finding in findings() {
        let (code, verdict) = (finding.verdict().code(), finding.verdict());
        let at = finding.sequence().map_or_else(|| "no record".into(), |at| format!("record {at}"));
        writeln!(page, "{code} {verdict:?}, {at}\n    {finding}").unwrap();
    }
    let keys =
        [KeyError::Public, KeyError::Private, KeyError::Hash, KeyError::Name, KeyError::OtherName];
    for error in keys {
        writeln!(page, "{error:?}\n    {error}").unwrap();
    }
    insta::assert_snapshot!("findings", page);
}

#[test]
fn each_verdict_has_the_number_that_the_command_ends_with() {
    let all = [
        Verdict::Whole,
        Verdict::Broken,
        Verdict::Signature,
        Verdict::Anchor,
        Verdict::Open,
        Verdict::Unreadable,
    ];
    assert_eq!(all.map(Verdict::code), [0, 1, 2, 3, 4, 5]);
}

fn page(change: impl Fn(&mut Draft)) -> String {
    let mut drafts = Log::of("rb-7", Ending::Succeeded);
    drafts.iter_mut().for_each(change);
    let mut log = Log::new(0);
    log.append(drafts);
    Explanation::of(log.records).unwrap_or_else(|| panic!("it has records")).to_string()
}

#[test]
fn an_explanation_is_a_page_for_whoever_asks_what_happened() {
    let full = page(|draft| {
        let mut from = RevisionRef::new(parsed("42"));
        (from.version, from.commit) = (Some("2.14.0".into()), Some("9f3ab1c".into()));
        draft.from = Some(from);
        let mut deployer = Deployer::default();
        deployer.name = Some("Cleo".into());
        draft.deployer = Some(deployer);
        if let Some(actor) = &mut draft.actor {
            actor.channel = Some(parsed("C0PAYMENTS"));
        }
    });
    insta::assert_snapshot!("explanation", full);
    let bare = page(|draft| {
        (draft.actor, draft.reason, draft.execution, draft.drill) = (None, None, None, true);
        draft.guards.clear();
        draft.explanation = None;
        draft.decision = None;
    });
    insta::assert_snapshot!("explanation_of_a_bare_drill", bare);
}

#[test]
fn whoever_confirmed_asked_whoever_clicked() {
    let asked = page(|draft| {
        if draft.kind == Kind::Confirmed {
            draft.actor = Some((&fixtures::bo().id()).into());
        }
    });
    assert!(asked.contains("\nwho       U03BO"), "{asked}");
    let only_clicked = page(|draft| {
        if draft.kind == Kind::Confirmed {
            draft.kind = Kind::Approved;
        }
    });
    assert!(only_clicked.contains("\nwho       U02ANA"), "{only_clicked}");
}

#[test]
fn a_key_is_shown_by_its_public_half() {
    let shown = format!("{:?}", key(1));
    assert!(shown.starts_with("SigningKey { public: \"rollback.example.com/audit+"), "{shown}");
}
