//! What was seen, in a file that outlives whoever saw it: one line is one fact, appended by one
//! write, so that a process that dies has written it or not.

use rollback_core::ports::{Instance, Journal};
use rollback_core::{ServiceKey, StateName, Timestamp};
use rollback_testkit::fixtures::parsed;
use rollback_testkit::invariants::Seen;
use std::fs;
use std::io::Write as _;
use std::path::Path;

pub(crate) fn append(file: &Path, line: &str) {
    let mut open = fs::OpenOptions::new().create(true).append(true).open(file).unwrap();
    open.write_all(format!("{line}\n").as_bytes()).unwrap();
}

pub(crate) fn lines(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// What was seen, as a line.
pub(crate) fn written(seen: &Seen) -> String {
    match seen {
        Seen::Stored { rollback, key, entries, state, holds, fence } => {
            let fence = fence.map_or_else(|| "-".to_owned(), |fence| fence.to_string());
            let (service, environment) = (&key.service, &key.environment);
            format!("stored {rollback} {service} {environment} {entries} {state} {holds} {fence}")
        }
        Seen::Claimed { rollback, owner, fence, at, until } => {
            let (owner, at, until) = (owner.as_str(), at.as_millis(), until.as_millis());
            format!("claimed {rollback} {owner} {fence} {at} {until}")
        }
        Seen::GaveBack { rollback, fence } => format!("gave-back {rollback} {fence}"),
        Seen::Sent { rollback, at, .. } => format!("sent {rollback} {}", at.as_millis()),
        Seen::TookEffect { rollback, live } => {
            format!("effect {rollback} {}", live.as_ref().map_or("-", |live| live.as_str()))
        }
        Seen::Fenced { rollback } => format!("fenced {rollback}"),
        Seen::Kept { record } => format!("kept {record}"),
    }
}

/// Everything that was seen, over all processes, as far as the checker judges it.
pub(crate) fn seen(file: &Path, journals: &[Journal]) -> Vec<Seen> {
    lines(file).iter().filter_map(|line| read(line, journals)).collect()
}

fn read(line: &str, journals: &[Journal]) -> Option<Seen> {
    let parts: Vec<&str> = line.split(' ').collect();
    Some(match parts.as_slice() {
        ["stored", id, service, environment, entries, state, holds, fence] => Seen::Stored {
            rollback: parsed(id),
            key: ServiceKey::new(parsed(service), parsed(environment)),
            entries: entries.parse().unwrap(),
            state: StateName::ALL.into_iter().find(|known| known.as_str() == *state).unwrap(),
            holds: holds.parse().unwrap(),
            fence: fence.parse().ok(),
        },
        ["claimed", id, owner, fence, at, until] => {
            let at = Timestamp::from_millis(at.parse().unwrap());
            let until = Timestamp::from_millis(until.parse().unwrap());
            // An answer that was on its way while its process stood still: it was given before whoever
            // took over asked, and nobody can count on a claim that is over when they hear of it.
            if until <= at {
                return None;
            }
            let (rollback, owner) = (parsed(id), Instance::new(*owner));
            Seen::Claimed { rollback, owner, fence: fence.parse().unwrap(), at, until }
        }
        ["gave-back", id, fence] => {
            Seen::GaveBack { rollback: parsed(id), fence: fence.parse().unwrap() }
        }
        ["sent", id, at] => {
            let journal = journals.iter().find(|journal| journal.opening.id.as_str() == *id);
            Seen::Sent {
                rollback: parsed(id),
                plan: Box::new(journal.expect("what was sent was stored").opening.plan.clone()),
                at: Timestamp::from_millis(at.parse().unwrap()),
            }
        }
        ["effect", id, live] => {
            Seen::TookEffect { rollback: parsed(id), live: (*live != "-").then(|| parsed(live)) }
        }
        ["fenced", id] => Seen::Fenced { rollback: parsed(id) },
        ["kept", record] => Seen::Kept { record: (*record).into() },
        // What the CD system turned away is for its own tests.
        ["turned-away", ..] => return None,
        other => unreachable!("no line of ours: {other:?}"),
    })
}
