//! Each way to tamper with a log, and what shows it: that it is found, and *where*.
#![expect(clippy::expect_used, clippy::string_slice, reason = "a test fails by panicking")]

use crate::common::{Log, anchored, audit, audit_at, checkpoint, key, later, signer};
use rollback_audit::{
    Anchors, Auditor, Finding, Keys, NOTE_BYTES_MAX, OpenError, Scope, Signer, Verdict,
};
use rollback_core::audit::{ChainError, Hash, Head, Kind, Record};
use rollback_core::ports::CheckpointSigner;
use rollback_testkit::script::Ending;
use std::time::Duration;

fn first(lines: &[String], anchors: Anchors) -> Finding {
    let report = audit(lines, anchors);
    report.findings.into_iter().next().expect("something is wrong")
}

fn none() -> Anchors {
    Anchors::new(Keys::default())
}

#[test]
fn a_log_that_nobody_touched_is_whole_and_agrees_with_every_anchor() {
    let log = Log::new(4);
    let end = log.records.len();
    let report = audit(&log.lines(), anchored(&log, &[1, 9, end]));
    assert_eq!(report.verdict(), Verdict::Whole, "{report:?}");
    assert_eq!((report.records, report.first), (u64::try_from(end).unwrap(), Some(1)));
    assert_eq!((report.anchors, report.signed, report.agreeing), (3, 3, 3));
    assert_eq!((report.head.unwrap(), report.out_of_reach), (log.head(), 0));
}

#[test]
fn an_edited_record_is_found_where_it_is_with_both_hashes() {
    let log = Log::new(3);
    for place in 0..log.records.len() {
        let mut lines = log.lines();
        lines[place] = lines[place].replace("\"drill\":false", "\"drill\":true");
        let sequence = log.records[place].sequence.get();
        let Finding::Chain { place: line, error } = first(&lines, none()) else { panic!() };
        assert_eq!(line, format!("line {sequence}"));
        let ChainError::Edited { sequence: at, expected, found } = error else { panic!("{error}") };
        assert_eq!((at, expected), (sequence, log.records[place].hash));
        assert_ne!(found, expected);
        let head = place.checked_sub(1).map(|before| Head::after(&log.records[before]));
        assert_eq!(audit(&lines, none()).head, head, "what is before it is good");
    }
}

#[test]
fn a_dropped_record_is_found_with_what_was_expected_and_what_came() {
    let log = Log::new(3);
    for dropped in 1..log.records.len() - 1 {
        let mut lines = log.lines();
        lines.remove(dropped);
        let expected = log.records[dropped].sequence.get();
        let error = ChainError::Gap { expected, found: expected + 1 };
        let place = format!("line {expected}");
        assert_eq!(first(&lines, none()), Finding::Chain { place, error });
    }
}

#[test]
fn the_first_record_cannot_be_dropped_either() {
    let log = Log::new(2);
    let finding = first(&log.lines()[2..], none());
    let place = "line 1".to_owned();
    assert_eq!(finding, Finding::BeginsLate { place, expected: 1, found: 3 });
    assert_eq!((finding.verdict(), finding.sequence()), (Verdict::Broken, Some(1)));
    // On purpose it may be left out, and everything from there on is judged.
    let mut scope = Scope::default();
    scope.from = 3;
    let report = audit_at(&log.lines(), anchored(&log, &[1, 2, 5]), scope.clone(), later());
    assert_eq!(report.verdict(), Verdict::Whole, "{report:?}");
    assert_eq!((report.first, report.agreeing, report.out_of_reach), (Some(3), 2, 1));
    // What record 3 names as the one before it was anchored, too.
    let mut anchors = anchored(&Log::rewritten(&log, 1), &[2]);
    anchors.read("none", "");
    let report = audit_at(&log.lines()[2..], anchors, scope, later());
    assert_eq!(report.findings[0].sequence(), Some(2), "{report:?}");
    assert_eq!(report.verdict(), Verdict::Anchor);
}

#[test]
fn records_that_changed_places_are_found_at_the_first_of_them() {
    let log = Log::new(2);
    for place in 1..log.records.len() - 1 {
        let mut lines = log.lines();
        lines.swap(place, place + 1);
        let expected = log.records[place].sequence.get();
        let error = ChainError::Gap { expected, found: expected + 1 };
        let place = format!("line {expected}");
        assert_eq!(first(&lines, none()), Finding::Chain { place, error });
    }
}

#[test]
fn a_cut_end_is_found_by_any_anchor_of_what_was_cut_off_and_by_none_before() {
    let log = Log::new(4);
    let end = log.records.len();
    for kept in 1..end {
        let lines = &log.lines()[..kept];
        assert_eq!(audit(lines, none()).verdict(), Verdict::Whole, "a chain alone cannot know");
        assert_eq!(audit(lines, anchored(&log, &[1, kept])).verdict(), Verdict::Whole);
        let finding = first(lines, anchored(&log, &[1, end]));
        let ends_with = u64::try_from(kept).unwrap();
        let Finding::Truncated { sequence, ends_with: ends, .. } = &finding else { panic!() };
        assert_eq!((*sequence, *ends), (u64::try_from(end).unwrap(), ends_with));
        assert_eq!((finding.verdict(), finding.sequence()), (Verdict::Anchor, Some(ends_with + 1)));
    }
}

#[test]
fn a_log_with_nothing_left_in_it_is_a_cut_one() {
    let log = Log::new(1);
    let finding = first(&[], anchored(&log, &[3]));
    assert!(matches!(finding, Finding::Truncated { sequence: 3, ends_with: 0, .. }), "{finding}");
    // And an empty log that was anchored as one is whole.
    let mut empty = Anchors::new(Keys::new([key(1).public().clone()]));
    empty.read("anchors", &checkpoint(&signer(1), &Head::genesis("default"), 0).note);
    let report = audit(&[], empty.clone());
    assert_eq!((report.verdict(), report.agreeing), (Verdict::Whole, 1));
    // So is what has been written since, and nothing can be said of what cannot be read.
    let report = audit(&log.lines(), empty.clone());
    assert_eq!((report.verdict(), report.agreeing), (Verdict::Whole, 1));
    assert_eq!(audit(&["no record".to_owned()], empty).agreeing, 0);
}

#[test]
fn a_log_rewritten_with_good_hashes_is_found_between_two_anchors() {
    let log = Log::new(4);
    let end = log.records.len();
    for edited in 1..=end {
        let forged = Log::rewritten(&log, edited);
        assert_eq!(audit(&forged.lines(), none()).verdict(), Verdict::Whole, "a chain cannot know");
        let anchors = [2, 7, end];
        let finding = first(&forged.lines(), anchored(&log, &anchors));
        let before = anchors.iter().filter(|place| **place < edited).max().copied().unwrap_or(0);
        let after = *anchors.iter().find(|place| **place >= edited).unwrap();
        let Finding::Rewritten { sequence, good_until, expected, found, .. } = finding else {
            panic!("{finding}")
        };
        assert_eq!(sequence, u64::try_from(after).unwrap(), "edited at {edited}");
        assert_eq!(good_until, u64::try_from(before).unwrap(), "edited at {edited}");
        assert_eq!(expected, log.records[after - 1].hash.to_string());
        assert_eq!(found, forged.records[after - 1].hash);
    }
    let all = audit(&Log::rewritten(&log, 1).lines(), anchored(&log, &[2, 7, end])).findings;
    assert_eq!(all.len(), 1, "every anchor after the first says the same once more");
}

#[test]
fn without_a_key_a_checkpoint_is_an_anchor_that_nobody_signed() {
    let log = Log::new(1);
    let mut anchors = none();
    anchors.read("anchors", &checkpoint(&signer(1), &log.head(), 0).note);
    let report = audit(&log.lines(), anchors);
    assert_eq!((report.verdict(), report.signed, report.agreeing), (Verdict::Whole, 0, 1));
}

/// Two people were shown two logs, each of which verifies, and each with a good checkpoint.
#[test]
fn a_fork_is_found_by_two_heads_that_were_signed_for_one_record() {
    let log = Log::new(3);
    let forged = Log::rewritten(&log, 5);
    let mut anchors = anchored(&log, &[4, 8]);
    let theirs = checkpoint(&signer(1), &Head::after(&forged.records[7]), 1);
    anchors.read("bobs.anchors", &theirs.note);
    for lines in [log.lines(), forged.lines()] {
        let report = audit(&lines, anchors.clone());
        let fork = report.findings.iter().find(|f| matches!(f, Finding::Fork { .. })).unwrap();
        let Finding::Fork { sequence, place, one, other_place, other } = fork else { panic!() };
        assert_eq!(*sequence, 8);
        assert_eq!(
            (place.as_str(), other_place.as_str()),
            ("`anchors`, line 10", "`bobs.anchors`, line 1")
        );
        assert_eq!(*one, log.records[7].hash.to_string());
        assert_eq!(*other, forged.records[7].hash.to_string());
        assert_eq!(report.verdict(), Verdict::Anchor);
    }
}

#[test]
fn an_old_record_that_is_appended_again_is_found_with_its_old_hash_or_with_a_new_one() {
    let log = Log::new(2);
    let next = log.records.len() + 1;
    let mut lines = log.lines();
    lines.push(lines[2].clone());
    let place = format!("line {next}");
    let error = ChainError::Gap { expected: u64::try_from(next).unwrap(), found: 3 };
    assert_eq!(first(&lines, none()), Finding::Chain { place: place.clone(), error });
    // With a place and a hash of its own, as the service itself would have written it.
    let again = log.head().append(log.records[2].draft.clone()).unwrap();
    *lines.last_mut().unwrap() = again.canonical().unwrap();
    let sequence = u64::try_from(next).unwrap();
    let finding = first(&lines, none());
    assert_eq!(finding, Finding::Replayed { place, sequence, first: 3 });
    assert_eq!((finding.verdict(), finding.sequence()), (Verdict::Broken, Some(sequence)));
}

#[test]
fn a_record_of_another_chain_is_found_by_the_name_of_its_chain() {
    let log = Log::new(1);
    let mut elsewhere = log.head();
    elsewhere.chain = "staging".into();
    let foreign = elsewhere.append(Log::of("rb-x", Ending::Failed).remove(0)).unwrap();
    let mut lines = log.lines();
    lines.push(foreign.canonical().unwrap());
    let sequence = foreign.sequence.get();
    let error =
        ChainError::Foreign { sequence, expected: "default".into(), found: "staging".into() };
    let place = format!("line {sequence}");
    assert_eq!(first(&lines, none()), Finding::Chain { place, error });
}

#[test]
fn an_anchor_of_another_chain_is_no_anchor_of_this_one() {
    let log = Log::new(1);
    let mut head = Head::after(&log.records[1]);
    head.chain = "staging".into();
    let mut anchors = Anchors::new(Keys::new([key(1).public().clone()]));
    anchors.read("anchors", &checkpoint(&signer(1), &head, 0).note);
    let finding = first(&log.lines(), anchors);
    assert!(matches!(finding, Finding::ForeignAnchor { sequence: 2, .. }), "{finding}");
}

#[test]
fn a_line_that_is_not_canonical_is_unreadable_and_says_where_and_why() {
    let log = Log::new(1);
    for (bad, why) in [
        (log.lines()[2].replace("\":", "\": "), "not the canonical ones"),
        (log.lines()[2].replacen('{', "{\"actor\":null,", 1), "the key `actor` is there twice"),
        (log.lines()[2].replace("\"sequence\":3", "\"sequence\":3.0"), "not written as an integer"),
        (String::new(), "EOF"),
    ] {
        let mut lines = log.lines();
        lines[2] = bad;
        let finding = first(&lines, none());
        assert_eq!((finding.verdict(), finding.sequence()), (Verdict::Unreadable, Some(3)));
        let told = finding.to_string();
        assert!(
            told.starts_with("line 3: record 3 is not canonical") && told.contains(why),
            "{told}"
        );
    }
}

/// Bytes that are no text, or a disk that does not give them.
#[test]
fn a_line_that_cannot_be_read_ends_the_look_and_hides_nothing_that_was_found_before() {
    let log = Log::new(1);
    let lines = log.lines();
    let read = |first: usize, lines: &[String]| {
        let mut auditor = Auditor::new(Scope::default(), none());
        for (line, number) in lines.iter().zip(first..) {
            auditor.line(&format!("line {number}"), line);
        }
        auditor
    };
    let mut auditor = read(1, &lines[..2]);
    auditor.garbled("line 3", "it is no text");
    auditor.line("line 4", &lines[3]);
    assert!(auditor.is_broken());
    let report = auditor.finish(later());
    let (place, problem) = ("line 3".to_owned(), "it is no text".to_owned());
    assert_eq!(report.findings, [Finding::Unreadable { place, sequence: Some(3), problem }]);
    assert_eq!((report.records, report.verdict()), (2, Verdict::Unreadable));
    let mut broken = read(2, &lines[1..2]);
    let found = broken.clone().finish(later()).findings;
    broken.garbled("line 3", "it is no text");
    assert_eq!((broken.finish(later()).findings, found.len()), (found, 1));
}

#[test]
fn sixteen_digits_from_a_chat_are_an_anchor() {
    let log = Log::new(2);
    let digits = |place: usize| log.records[place].hash.to_string()[..16].to_owned();
    let mut anchors = none();
    anchors.read("slack.txt", &format!("3 {}\n\n5 {}\n", digits(2), digits(4)));
    assert_eq!(audit(&log.lines(), anchors.clone()).agreeing, 2);
    let forged = Log::rewritten(&log, 4);
    let Finding::Rewritten { place, sequence: 5, good_until: 3, .. } =
        first(&forged.lines(), anchors)
    else {
        panic!()
    };
    assert_eq!(place, "`slack.txt`, line 3");
}

#[test]
fn a_hash_and_its_first_digits_are_no_fork_whichever_was_kept_first() {
    let log = Log::new(1);
    let hash = log.records[0].hash.to_string();
    for [one, other] in [[&hash[..16], &hash[..]], [&hash[..], &hash[..16]]] {
        let mut anchors = none();
        anchors.read("a", &format!("1 {one}\n"));
        anchors.read("b", &format!("1 {other}\n"));
        let report = audit(&log.lines(), anchors);
        assert_eq!((report.verdict(), report.agreeing), (Verdict::Whole, 2), "{report:?}");
    }
}

#[test]
fn an_anchor_that_is_given_twice_says_it_once() {
    let log = Log::new(1);
    let note = checkpoint(&signer(1), &log.head(), 0).note;
    let bare = format!("{} {}\n", log.head().sequence, log.head().hash);
    for (first, second, agreeing) in
        [(&note, &note, 1), (&note, &bare, 1), (&bare, &bare, 1), (&bare, &note, 2)]
    {
        let mut anchors = Anchors::new(Keys::new([key(1).public().clone()]));
        anchors.read("one", first);
        anchors.read("other", second);
        let report = audit(&log.lines(), anchors);
        // A checkpoint names its chain, which a line does not.
        assert_eq!((report.anchors, report.agreeing), (2, agreeing), "{first}{second}");
    }
}

#[test]
fn a_checkpoint_that_was_changed_or_made_up_is_found_by_its_signature() {
    let log = Log::new(1);
    let good = checkpoint(&signer(1), &log.head(), 0).note;
    let keys = Keys::new([key(1).public().clone()]);
    let sequence = log.head().sequence;
    let changed = good.replacen(&format!("\n{sequence}\n"), "\n2\n", 1);
    let stranger = checkpoint(&signer(2), &log.head(), 0).note;
    for (name, note, error) in [
        ("changed", changed, OpenError::Forged(2)),
        ("another key's", stranger, OpenError::NotSigned(sequence)),
    ] {
        let mut anchors = Anchors::new(keys.clone());
        anchors.read("anchors", &note);
        let report = audit(&log.lines(), anchors);
        assert_eq!(report.verdict(), Verdict::Signature, "{name}: {report:?}");
        let place = "`anchors`, line 1".to_owned();
        assert_eq!(report.findings, [Finding::Signature { place, error }], "{name}");
        assert_eq!(report.agreeing, 0, "{name}");
    }
}

#[test]
fn whoever_trusts_the_old_key_comes_to_trust_the_new_one_by_a_note_that_both_signed() {
    let log = Log::new(2);
    let handover = Signer::new(key(2)).replacing(key(1)).unwrap();
    let notes = [
        checkpoint(&signer(1), &Head::after(&log.records[1]), 0).note,
        checkpoint(&handover, &Head::after(&log.records[4]), 1).note,
        checkpoint(&signer(2), &log.head(), 2).note,
    ];
    let trusting = |keys: &[u8]| Keys::new(keys.iter().map(|k| key(*k).public().clone()));
    // In any order, and in several files.
    for order in [[0, 1, 2], [2, 1, 0], [2, 0, 1]] {
        let mut anchors = Anchors::new(trusting(&[1]));
        for place in order {
            anchors.read(&format!("file {place}"), &notes[place]);
        }
        let report = audit(&log.lines(), anchors);
        assert_eq!((report.verdict(), report.signed), (Verdict::Whole, 3), "{report:?}");
    }
    // Nor is one handover too many, whichever is read first.
    let again = Signer::new(key(3)).replacing(key(2)).unwrap();
    let mut anchors = Anchors::new(trusting(&[1]));
    anchors.read("the newest", &checkpoint(&signer(3), &log.head(), 4).note);
    anchors.read("the second handover", &checkpoint(&again, &log.head(), 3).note);
    anchors.read("the first handover", &notes[1]);
    let report = audit(&log.lines(), anchors);
    assert_eq!((report.verdict(), report.signed), (Verdict::Whole, 3), "{report:?}");
    // Without the handover the new key is a stranger's.
    let mut anchors = Anchors::new(trusting(&[1]));
    anchors.read("file", &notes[2]);
    assert_eq!(audit(&log.lines(), anchors).verdict(), Verdict::Signature);
    // A stranger cannot hand over to themselves.
    let stolen = Signer::new(key(3)).replacing(key(2)).unwrap();
    let mut anchors = Anchors::new(trusting(&[1]));
    anchors.read("file", &checkpoint(&stolen, &log.head(), 3).note);
    anchors.read("file", &checkpoint(&signer(3), &log.head(), 4).note);
    let report = audit(&log.lines(), anchors);
    assert_eq!((report.verdict(), report.signed), (Verdict::Signature, 0), "{report:?}");
}

#[test]
fn checkpoints_that_were_taken_away_leave_a_silence() {
    let log = Log::new(1);
    let every_ten_minutes: Vec<String> =
        (0..6).map(|n| checkpoint(&signer(1), &log.head(), n * 600).note).collect();
    let read = |notes: &[&String]| {
        let mut anchors = Anchors::new(Keys::new([key(1).public().clone()]))
            .silent_at_most(Duration::from_secs(600));
        let text: Vec<String> = notes.iter().map(|note| format!("{note}\n")).collect();
        anchors.read("anchors", &text.concat());
        audit(&log.lines(), anchors)
    };
    let all: Vec<&String> = every_ten_minutes.iter().collect();
    assert_eq!(read(&all).verdict(), Verdict::Whole);
    let report = read(&[all[0], all[1], all[4], all[5]]);
    let [Finding::Silence { place, lasted, .. }] = report.findings.as_slice() else {
        panic!("{report:?}")
    };
    assert_eq!((place.as_str(), lasted.as_secs()), ("`anchors`, line 19", 1_800));
    assert_eq!(report.verdict(), Verdict::Anchor);
}

#[test]
fn an_order_without_an_outcome_is_told_as_open_and_breaks_nothing() {
    let mut log = Log::new(2);
    for ending in Ending::ALL {
        log.append(Log::of(&format!("rb-{ending:?}"), ending));
    }
    let years_later = later().after(Duration::from_secs(100_000_000));
    let report = audit_at(&log.lines(), none(), Scope::default(), years_later);
    assert_eq!(report.verdict(), Verdict::Whole, "every end closes its order: {:?}", report.open);
    // Everything of a rollback up to its order, and nothing after it.
    let mut drafts = Log::of("rb-lost", Ending::Succeeded);
    let ordered = drafts.iter().position(|draft| draft.kind.as_str() == "triggered").unwrap();
    let at = drafts[ordered].at;
    drafts.truncate(ordered + 1);
    log.append(drafts);
    let look = |after: u64| {
        audit_at(&log.lines(), none(), Scope::default(), at.after(Duration::from_secs(after)))
    };
    assert_eq!(look(3_600).verdict(), Verdict::Whole, "an hour is not too long");
    let report = look(3_601);
    assert_eq!((report.verdict(), report.findings.len()), (Verdict::Open, 0));
    assert_eq!(report.open[0].sequence, log.head().sequence);
    assert_eq!(report.open[0].rollback.as_str(), "rb-lost");
    // That somebody asked for it to be stopped is not that it was.
    let mut asked = log.records.last().unwrap().draft.clone();
    let execution = |record: &Record| record.draft.execution.clone();
    asked.execution = log.records.iter().find_map(execution);
    (asked.kind, asked.id) = (Kind::Cancelled, "rb-lost/asked".into());
    asked.guards.clear();
    log.append(vec![asked.clone()]);
    let much_later = at.after(Duration::from_secs(3_601));
    let look = |log: &Log| audit_at(&log.lines(), none(), Scope::default(), much_later);
    assert_eq!(look(&log).open.len(), 1);
    (asked.execution, asked.id) = (None, "rb-lost/withdrawn".into());
    log.append(vec![asked]);
    assert_eq!(look(&log).open, []);
}

/// What is unreadable hides the rest; a broken chain is told before anchors that only follow.
#[test]
fn of_several_things_that_are_wrong_the_most_telling_is_told_first() {
    let log = Log::new(3);
    let mut lines = log.lines();
    lines[4] = lines[4].replace("\"drill\":false", "\"drill\":true");
    let forged = Log::rewritten(&log, 2);
    let mut anchors = anchored(&forged, &[3, 12]);
    anchors.read("more", &checkpoint(&signer(2), &log.head(), 0).note);
    let report = audit(&lines, anchors.clone());
    let verdicts: Vec<Verdict> = report.findings.iter().map(Finding::verdict).collect();
    assert_eq!(verdicts, [Verdict::Broken, Verdict::Anchor, Verdict::Signature], "{report:?}");
    assert_eq!((report.verdict(), report.records), (Verdict::Broken, 4));
    anchors.read("garbage", "no anchor\n");
    let report = audit(&lines, anchors);
    assert_eq!((report.verdict(), report.findings.len()), (Verdict::Unreadable, 4));
}

#[test]
fn a_file_of_anchors_that_is_none_is_unreadable_and_is_not_read_for_ever() {
    let log = Log::new(1);
    let note = checkpoint(&signer(1), &log.head(), 0).note;
    let keys = || Anchors::new(Keys::new([key(1).public().clone()]));
    let garbage = "x\n".repeat(100_000);
    let control = note.replacen("chain ", "chain \u{7}", 1);
    let too_few = format!("1 {}\n", &log.records[0].hash.to_string()[..15]);
    for text in [garbage.as_str(), control.as_str(), too_few.as_str(), &note[..9]] {
        let mut anchors = keys();
        anchors.read("anchors", text);
        let finding = first(&log.lines(), anchors);
        assert_eq!(finding.verdict(), Verdict::Unreadable, "{finding}");
        assert!(finding.to_string().starts_with("`anchors`, line 1: "), "{finding}");
    }
    // Nor is it read on for a note that comes after more than any note can have.
    let mut anchors = keys();
    anchors.read("anchors", &format!("{}{note}", "xy\n".repeat(30_000)));
    let finding = first(&log.lines(), anchors).to_string();
    assert!(finding.contains("neither a checkpoint nor a line"), "{finding}");
    // The longest that a note can be is read as one.
    let signatures = note.split_once("\n\n").unwrap().1;
    let text = "x".repeat(NOTE_BYTES_MAX - signatures.len() - 2);
    let mut anchors = keys();
    anchors.read("anchors", &format!("{text}\n\n{signatures}"));
    let finding = first(&log.lines(), anchors).to_string();
    assert!(finding.contains("line 2 of the checkpoint cannot be read"), "{finding}");
    // A note that its writer did not finish was relied on by nobody.
    for torn in 1..note.len() - 1 {
        if !note.is_char_boundary(torn) {
            continue;
        }
        let mut anchors = keys();
        anchors.read("anchors", &format!("{note}\n{}", &note[..torn]));
        let report = audit(&log.lines(), anchors);
        assert_eq!((report.verdict(), report.agreeing), (Verdict::Whole, 1), "torn at {torn}");
    }
}

#[test]
fn a_hash_that_begins_alike_is_not_enough_to_be_the_same() {
    let log = Log::new(1);
    let hash = log.records[0].hash.to_string();
    let mut other = hash.clone();
    let last = if hash.ends_with('0') { "1" } else { "0" };
    other.replace_range(63.., last);
    assert!(Hash::parse(&other).is_ok());
    let mut anchors = none();
    anchors.read("a", &format!("1 {hash}\n"));
    anchors.read("b", &format!("1 {other}\n"));
    anchors.read("c", &format!("1 {}\n", &hash[..16]));
    let report = audit(&log.lines(), anchors);
    assert!(report.findings.iter().any(|f| matches!(f, Finding::Fork { sequence: 1, .. })));
}

#[test]
fn the_signer_opens_what_it_signed_and_nothing_else() {
    let log = Log::new(1);
    let (ours, theirs) = (signer(1), signer(2));
    let signed = checkpoint(&ours, &log.head(), 0);
    assert_eq!(ours.open(&signed.note).unwrap(), signed);
    assert!(theirs.open(&signed.note).is_err());
    assert!(ours.open("").is_err());
    let mut head = log.head();
    head.chain = "two\nlines".into();
    assert!(ours.sign(rollback_core::audit::Checkpoint::new(head, later(), later())).is_err());
}
