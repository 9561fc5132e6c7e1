//! What people were told.

use crate::case::Case;
use crate::evidence::Rest;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use rollback_core::notice::Notice;
use rollback_core::{Line, RollbackId, StateName, stopped};

pub(crate) fn messages_go_forward(case: &Case<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let mut keys = BTreeSet::new();
    for message in &case.evidence.messages {
        if !keys.insert(&message.key) {
            found.push(format!("`{}` was posted twice", message.key));
        }
        let back = message.shown.windows(2).any(|pair| match pair {
            [(before, _), (after, _)] => after < before,
            _ => false,
        });
        if back {
            found.push(format!("`{}` went backwards", message.key));
        }
        if case.evidence.rest == Rest::NotYet {
            continue;
        }
        let shown = match message.now() {
            Some(Notice::Deploy(card)) => card.rollback.as_ref(),
            Some(Notice::Deployer { view, .. }) => Some(view.as_ref()),
            Some(Notice::Approval(view)) if view.state == StateName::Approving => {
                Some(view.as_ref())
            }
            // Once approved, the request says so and rests; a page is not brought up to date.
            Some(
                Notice::Approval(_)
                | Notice::OnCall(_)
                | Notice::BreakGlass { .. }
                | Notice::Blocked(_)
                | Notice::Changed(_)
                | Notice::Line { .. }
                | Notice::Private { .. },
            )
            | None => None,
        };
        let Some(shown) = shown else { continue };
        let now = case.walks.get(&shown.id).map(|walk| walk.last.state);
        if now != Some(shown.state) {
            found.push(format!(
                "`{}` shows `{}` as {}, and it is {now:?}",
                message.key, shown.id, shown.state
            ));
        }
    }
    found
}

pub(crate) fn lines_once_in_order(case: &Case<'_>) -> Vec<String> {
    let mut told: BTreeMap<&RollbackId, Vec<&Line>> = BTreeMap::new();
    for message in &case.evidence.messages {
        if let Some((_, Notice::Line { view, line })) = message.shown.first() {
            told.entry(&view.id).or_default().push(line);
        }
    }
    let mut found = Vec::new();
    for walk in case.walks.values() {
        let mut lines = told.remove(walk.id()).unwrap_or_default();
        let mut due: Vec<&Line> = walk.lines.iter().collect();
        // What is told of a rollback whose journal does not replay is beside its journal.
        if case.records_of(walk.id()).any(|record| stopped::is_beside_the_journal(&record.draft)) {
            let of_the_journal =
                |line: &&Line| !matches!(line, Line::PutAside | Line::Settled(_) | Line::Ended);
            lines.retain(of_the_journal);
            due.retain(of_the_journal);
        }
        let ok = match case.evidence.rest {
            Rest::Reached => lines == due,
            Rest::NotYet => due.starts_with(&lines),
        };
        if !ok {
            found.push(format!("the thread of `{}` says {lines:?}, not {due:?}", walk.id()));
        }
    }
    found
}
