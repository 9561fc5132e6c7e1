//! Which of several reported deploys is the current one, whose message has the button. What is live
//! decides. The times of reports come from as many clocks as there are reporters, so they order only
//! what cannot be told otherwise.

use crate::id::RevisionId;
use crate::model::{Deploy, Revision};

/// How sure it is that what runs now is what was deployed last.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the CD system has caught up, or it may not have")]
pub enum Settled {
    /// The CD system has had its time: what it says is live is what was deployed last.
    Yes,
    /// A deploy may be on its way that the CD system does not call live yet.
    NotYet,
}

/// The current one of these deploys, which are given newest first by the times of their reports.
///
/// It is the newest deploy of the live revision. While it is not settled, a deploy that was reported
/// for a later time comes first, unless the history says that its revision is older than the live
/// one. Where nobody knows what is live, or the live revision was never reported, it is the newest by
/// time.
#[must_use]
pub fn current<'a>(
    deploys: &'a [Deploy],
    live: Option<&RevisionId>,
    history: &[Revision],
    settled: Settled,
) -> Option<&'a Deploy> {
    let is_live = |deploy: &Deploy| live.is_some() && deploy.revision.as_ref() == live;
    let Some(place) = deploys.iter().position(is_live) else { return deploys.first() };
    let (later, from_live) = deploys.split_at(place);
    let ahead = match settled {
        Settled::Yes => None,
        Settled::NotYet => later.iter().find(|deploy| !is_older(deploy, live, history)),
    };
    ahead.or_else(|| from_live.first())
}

/// Whether the history, newest first, says that a deploy made an older revision than the live one.
fn is_older(deploy: &Deploy, live: Option<&RevisionId>, history: &[Revision]) -> bool {
    let place = |id: Option<&RevisionId>| history.iter().position(|entry| Some(&entry.id) == id);
    match (place(deploy.revision.as_ref()), place(live)) {
        (Some(theirs), Some(live)) => theirs > live,
        (Some(_) | None, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{DeployId, Label};
    use crate::model::ServiceKey;
    use crate::time::Timestamp;
    use Settled::{NotYet, Yes};
    use alloc::vec::Vec;

    /// Deploys as `name of the revision @ minute`, newest first by time; `?` is a revision that is not
    /// known.
    fn deploys(told: &[(&str, u64)]) -> Vec<Deploy> {
        told.iter()
            .map(|(revision, minute)| {
                let key = ServiceKey::new("shop".parse().unwrap(), "production".parse().unwrap());
                let id = DeployId::parse(alloc::format!("ci-{revision}-{minute}")).unwrap();
                let at = Timestamp::from_millis(1_795_339_800_000 + minute * 60_000);
                let mut deploy = Deploy::new(id, key, Label::new(*revision), at);
                deploy.revision = RevisionId::parse(*revision).ok().filter(|_| *revision != "?");
                deploy
            })
            .collect()
    }

    fn history(ids: &[&str]) -> Vec<Revision> {
        ids.iter().map(|id| Revision::new(id.parse().unwrap())).collect()
    }

    #[test]
    fn what_is_live_decides_whatever_the_clocks_of_the_reporters_say() {
        let known = history(&["43", "42", "41"]);
        for (told, live, settled, expected) in [
            // The clock of whoever deployed 42 is two minutes ahead, or that of 43 as much behind.
            (&[("42", 2), ("43", 1)][..], Some("43"), NotYet, "ci-43-1"),
            (&[("42", 2), ("43", 1)], Some("43"), Yes, "ci-43-1"),
            (&[("42", 0), ("43", 0)], Some("43"), NotYet, "ci-43-0"),
            (&[("43", 0), ("42", 0)], Some("43"), NotYet, "ci-43-0"),
            (&[("43", 2), ("42", 1)], Some("43"), NotYet, "ci-43-2"),
            // 43 is on its way, until the CD system has had its time.
            (&[("43", 2), ("42", 1)], Some("42"), NotYet, "ci-43-2"),
            (&[("43", 2), ("42", 1)], Some("42"), Yes, "ci-42-1"),
            (&[("43", 0), ("42", 0)], Some("42"), NotYet, "ci-43-0"),
            // A revision that is not found yet may be on its way, too.
            (&[("?", 2), ("42", 1)], Some("42"), NotYet, "ci-?-2"),
            (&[("?", 2), ("42", 1)], Some("42"), Yes, "ci-42-1"),
            (&[("44", 2), ("42", 1)], Some("42"), NotYet, "ci-44-2"),
            // Nobody knows what is live, or nobody reported it: time orders.
            (&[("42", 2), ("43", 1)], None, NotYet, "ci-42-2"),
            (&[("42", 2), ("43", 1)], None, Yes, "ci-42-2"),
            (&[("42", 2), ("43", 1)], Some("41"), Yes, "ci-42-2"),
            (&[("?", 2), ("43", 1)], None, Yes, "ci-?-2"),
            // One revision that was deployed twice.
            (&[("43", 3), ("42", 2), ("43", 1)], Some("43"), Yes, "ci-43-3"),
            (&[("42", 2), ("43", 1), ("43", 0)], Some("43"), NotYet, "ci-43-1"),
        ] {
            let told = deploys(told);
            let live: Option<RevisionId> = live.map(|id| id.parse().unwrap());
            let found = current(&told, live.as_ref(), &known, settled).unwrap();
            let named: Vec<&str> = told.iter().map(|deploy| deploy.id.as_str()).collect();
            assert_eq!(found.id.as_str(), expected, "{named:?}, live {live:?}, {settled:?}");
        }
        assert_eq!(current(&[], None, &known, Yes), None);
    }
}
