//! The audit chain: what a bare chain can detect it detects, and its bytes are those of RFC 8785
//! (`INV-28`).
#![expect(clippy::unwrap_used, clippy::string_slice, reason = "a test fails by panicking")]

use proptest::prelude::*;
use rollback_core::audit::{
    ChainError, Draft, Hash, Head, INTEGER_MAX, RECORD_BYTES_MAX, Record, Sequence, Verifier,
};
use rollback_core::journal::{Entry, replay_whole};
use rollback_core::{Actor, Event, Label, Reason, Said};
use rollback_testkit::{fixtures, policy};

/// The records of a rollback with hostile words in every field that takes any.
fn drafts(words: &str) -> Vec<Draft> {
    let (ana, at) = (fixtures::ana(), fixtures::at(0));
    let mut opening = fixtures::clicked_by(&ana, fixtures::policy());
    let mut deployer = rollback_core::Deployer::default();
    deployer.name = Some(Label::new(words));
    opening.deployer = Some(deployer);
    let mut actor: Actor = ana.actor();
    actor.name = Some(Label::new(words));
    let reason = Reason::parse(format!("x{words}")).unwrap_or_else(|_long| fixtures::reason());
    let pair = fixtures::plan().pair();
    let confirmation =
        rollback_core::proof::Confirmation::new(actor.clone(), ana.standing(at), reason, pair);
    let events = [
        Event::StandingObserved(Box::new(ana.standing(at))),
        fixtures::observed(at),
        Event::ConfirmationGiven(Box::new(confirmation)),
        fixtures::observed(at),
        Event::IntentNotRecorded(words.into()),
        Event::WithdrawalGiven(Box::new(Said::new(actor, ana.standing(at)))),
    ];
    replay_whole(opening, events.map(|event| Entry::new(at, event))).drafts
}

fn chain(words: &str) -> Vec<Record> {
    let mut head = Head::genesis("default");
    let mut records = Vec::new();
    for draft in drafts(words) {
        let record = head.append(draft).unwrap();
        head = Head::after(&record);
        records.push(record);
    }
    assert!(records.len() >= 4, "a chain of {}", records.len());
    records
}

fn verify(records: &[Record]) -> Result<Head, ChainError> {
    let mut verifier = Verifier::new("default");
    for record in records {
        verifier.check(record)?;
    }
    Ok(verifier.head().clone())
}

#[test]
fn a_chain_that_nobody_touched_verifies_and_survives_its_bytes() {
    let records = chain("plain");
    assert_eq!(verify(&records).unwrap(), Head::after(records.last().unwrap()));
    for record in &records {
        let line = record.canonical().unwrap();
        assert_eq!(&Record::parse(&line, record.sequence.get()).unwrap(), record);
    }
}

#[test]
fn a_dropped_record_is_a_gap_wherever_it_was_but_at_the_end() {
    let records = chain("plain");
    for dropped in 0..records.len() - 1 {
        let mut rest = records.clone();
        rest.remove(dropped);
        let place = records[dropped].sequence.get();
        let expected = ChainError::Gap { expected: place, found: place + 1 };
        assert_eq!(verify(&rest).unwrap_err(), expected);
    }
}

/// A bare chain cannot know what came after; a head that was kept elsewhere can.
#[test]
fn a_truncated_chain_verifies_and_its_head_is_another() {
    let records = chain("plain");
    let anchored = verify(&records).unwrap();
    let truncated = verify(&records[..records.len() - 1]).unwrap();
    assert_ne!(truncated, anchored);
    let mut from_anchor = Verifier::from_head(anchored);
    let late = &records[records.len() - 1];
    assert!(matches!(from_anchor.check(late), Err(ChainError::Gap { .. })));
}

#[test]
fn swapped_records_are_found() {
    let records = chain("plain");
    for first in 0..records.len() - 1 {
        let mut swapped = records.clone();
        swapped.swap(first, first + 1);
        assert!(verify(&swapped).is_err());
        // Renumbering hides the gap and breaks the hash.
        let (one, two) = (swapped[first].sequence, swapped[first + 1].sequence);
        swapped[first].sequence = two;
        swapped[first + 1].sequence = one;
        let found = verify(&swapped).unwrap_err();
        assert_eq!(found.sequence(), Some(records[first].sequence.get()), "{found}");
    }
}

#[test]
fn a_fork_is_found_where_it_begins() {
    let (ours, theirs) = (chain("plain"), chain("other words"));
    let mut forked = ours[..2].to_vec();
    forked.extend_from_slice(&theirs[2..]);
    let broken = ChainError::Broken { sequence: 3, expected: ours[1].hash, found: theirs[1].hash };
    assert_eq!(verify(&forked).unwrap_err(), broken);
}

#[test]
fn a_record_of_another_chain_is_foreign() {
    let mut other = Head::genesis("other");
    let record = other.append(drafts("plain").remove(0)).unwrap();
    assert_eq!(
        verify(core::slice::from_ref(&record)).unwrap_err(),
        ChainError::Foreign { sequence: 1, expected: "default".into(), found: "other".into() }
    );
    other = Head::after(&record);
    assert_eq!(other.sequence, 1);
}

/// Every leaf of every record, changed by itself.
#[test]
fn no_field_can_be_edited_unseen() {
    let records = chain("plain");
    for (place, record) in records.iter().enumerate() {
        let value = serde_json::to_value(record).unwrap();
        for (field, original) in value.as_object().unwrap() {
            for other in ["\"edited\"", "7", "null", "true", "[]"] {
                let mut edited = value.clone();
                edited[field] = serde_json::from_str(other).unwrap();
                if edited[field] == *original {
                    continue;
                }
                let Ok(forged) = serde_json::from_value::<Record>(edited) else { continue };
                if forged == *record {
                    continue;
                }
                let mut chain = records.clone();
                chain[place] = forged;
                assert!(verify(&chain).is_err(), "`{field}` was edited to {other}, unseen");
            }
        }
    }
}

#[test]
fn stored_bytes_that_were_not_hashed_are_refused() {
    let record = &chain("plain")[0];
    let line = record.canonical().unwrap();
    let spaced = line.replace("\":", "\": ");
    let unknown = line.replacen('{', "{\"aa\":1,", 1);
    let other_schema = line.replace("rollback-audit/v1", "rollback-audit/v9");
    for bad in [spaced.as_str(), &unknown, &other_schema, "", "{}", "null", &line[1..]] {
        let refused = Record::parse(bad, 1).unwrap_err();
        assert!(matches!(refused, ChainError::NotCanonical { sequence: 1, .. }), "{bad}");
    }
}

/// Each refusal says which of the rules was broken, and where in the line.
#[test]
fn what_readers_of_json_disagree_about_is_refused_by_name() {
    let line = chain("plain")[0].canonical().unwrap();
    let number = |text: &str| line.replace("\"sequence\":1", &format!("\"sequence\":{text}"));
    let twice = line.replacen('{', "{\"actor\":null,", 1);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let reordered = {
        let drill = "\"drill\":false,";
        assert!(line.contains(drill));
        line.replace(drill, "").replacen('{', &format!("{{{drill}"), 1)
    };
    let escaped = line.replacen("checkout", "\\u0063heckout", 1);
    for (bad, why) in [
        (number("1.0"), "the number 1 is not written as an integer"),
        (number("1e0"), "the number 1 is not written as an integer"),
        (number("-0"), "the number -0 is not written as an integer"),
        (number("9007199254740992"), "the number 9007199254740992 is above 2^53-1"),
        (number("18446744073709551615"), "is above 2^53-1"),
        (number("-9007199254740992"), "is above 2^53-1"),
        (number("99999999999999999999"), "is not written as an integer up to 2^53-1"),
        (number("0"), "a place in a chain is a number from 1 to 2^53-1"),
        (twice, "the key `actor` is there twice"),
        (deep, "recursion limit"),
        (reordered, "not the canonical ones"),
        (escaped, "not the canonical ones"),
        (" ".repeat(RECORD_BYTES_MAX + 1), "longer than 1048576 bytes"),
    ] {
        let refused = Record::parse(&bad, 7).unwrap_err().to_string();
        assert!(refused.contains("record 7 is not canonical"), "{refused}");
        assert!(refused.contains(why), "`{why}` is not in: {refused}");
    }
    let longest = Record::parse(&" ".repeat(RECORD_BYTES_MAX), 7).unwrap_err().to_string();
    assert!(!longest.contains("longer"), "the longest one is read: {longest}");
    let later = Record::parse(&line.replace("rollback-audit/v1", "rollback-audit/v2"), 7);
    assert!(later.unwrap_err().to_string().contains("its schema is not `rollback-audit/v1`"));
    let most = number("9007199254740991");
    assert_eq!(Record::parse(&most, 7).unwrap().sequence.get(), INTEGER_MAX);
}

#[test]
fn a_place_in_a_chain_is_read_and_compared_as_its_number() {
    let five = Sequence::new(5).unwrap();
    assert_eq!((five.get(), u64::from(five), five.to_string()), (5, 5, "5".into()));
    assert!(five == 5 && five != 4 && five != 6);
    assert!(five > 4 && five < 6);
    assert!(Sequence::try_from(0).is_err());
}

#[test]
fn a_fault_says_where_in_the_chain_it_is_if_it_is_in_the_chain() {
    let records = chain("plain");
    let gap = verify(&records[..1]).and_then(|_| verify(&records[2..])).unwrap_err();
    assert_eq!(gap.sequence(), Some(1), "what was expected there: {gap}");
    let unreadable = Record::parse("{}", 9).unwrap_err();
    assert_eq!(unreadable.sequence(), Some(9), "{unreadable}");
    assert_eq!(ChainError::Full.sequence(), None);
}

#[test]
fn a_full_chain_takes_no_record_and_does_not_count_on_from_the_last() {
    let mut head = Head::genesis("default");
    head.sequence = INTEGER_MAX;
    let draft = drafts("plain").remove(0);
    assert_eq!(head.append(draft.clone()).unwrap_err(), ChainError::Full);
    head.sequence = u64::MAX;
    assert_eq!(head.append(draft).unwrap_err(), ChainError::Full);
}

#[test]
fn a_hash_is_64_lower_case_digits_and_nothing_else() {
    let text = "0123456789abcdef".repeat(4);
    assert_eq!(Hash::parse(&text).unwrap().to_string(), text);
    assert_eq!(format!("{:?}", Hash::parse(&text).unwrap()), text, "in a log, too");
    assert_eq!(Hash::GENESIS.to_string(), "0".repeat(64));
    for bad in [&text[1..], &text.to_uppercase(), &text.replace('a', "g"), "", &format!("{text}0")]
    {
        assert!(Hash::parse(bad).is_err(), "{bad}");
    }
}

/// Text that JSON writers are known to disagree about.
fn hostile() -> impl Strategy<Value = String> {
    let nasty = prop::sample::select(vec![
        "\u{2028}",
        "\u{7f}",
        "\u{0}",
        "\u{8}",
        "\u{c}",
        "\"",
        "\\",
        "/",
        "<!channel>",
        "\u{202e}",
        "\u{1f600}",
        "\u{e000}",
        "e\u{301}",
    ]);
    prop::collection::vec(prop_oneof![nasty.prop_map(str::to_owned), ".{0,4}"], 0..8)
        .prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The bytes are those of an implementation of RFC 8785 that we did not write.
    #[test]
    fn canonical_bytes_are_those_of_another_implementation(words in hostile()) {
        for record in chain(&words) {
            let theirs = serde_json_canonicalizer::to_string(&record).unwrap();
            prop_assert_eq!(record.canonical().unwrap(), theirs);
        }
    }

    /// Different records have different bytes: what was hashed can be read in one way only.
    #[test]
    fn different_records_have_different_bytes(one in hostile(), other in hostile()) {
        let (ours, theirs) = (chain(&one), chain(&other));
        for (a, b) in ours.iter().flat_map(|a| theirs.iter().map(move |b| (a, b))) {
            let (bytes, others) = (a.canonical().unwrap(), b.canonical().unwrap());
            prop_assert_eq!(a == b, bytes == others, "{:?} and {:?}", a, b);
            prop_assert_eq!(&Record::parse(&bytes, a.sequence.get()).unwrap(), a);
        }
    }

    #[test]
    fn whatever_a_rollback_records_verifies(
        journey in policy::journeys(fixtures::access_policy()),
        words in hostile(),
    ) {
        let entries: Vec<Entry> = journey.entries().collect();
        let mut head = Head::genesis(words.as_str());
        let mut verifier = Verifier::new(words.as_str());
        let mut ids = std::collections::BTreeSet::new();
        for draft in replay_whole(journey.opening, entries).drafts {
            prop_assert!(ids.insert(draft.id.clone()), "two records are called {}", draft.id);
            let record = head.append(draft).unwrap();
            let line = record.canonical().unwrap();
            let read = Record::parse(&line, record.sequence.get()).unwrap();
            prop_assert!(verifier.check(&read).is_ok());
            head = Head::after(&record);
        }
        prop_assert_eq!(verifier.head(), &head);
    }
}
