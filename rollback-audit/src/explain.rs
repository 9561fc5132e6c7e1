//! One rollback as the log tells it: who, when, why, and the evidence.

use crate::shown::Shown;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use rollback_core::RevisionRef;
use rollback_core::audit::{ActorEntry, Kind, Record};

/// Most records of one rollback that are told; its journal has a bound, too.
const RECORDS_MAX: usize = 20_000;

/// What the log has of one rollback. Displayed, it is a page for a person; what others wrote in it
/// is harmless on a terminal.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Explanation {
    records: Vec<Record>,
}

impl Explanation {
    /// Of the rollback's own records, in their order; none without any.
    #[must_use]
    pub fn of(records: impl IntoIterator<Item = Record>) -> Option<Self> {
        let records: Vec<Record> = records.into_iter().take(RECORDS_MAX).collect();
        (!records.is_empty()).then_some(Self { records })
    }

    fn last_of(&self, kind: Kind) -> Option<&Record> {
        self.records.iter().rev().find(|record| record.draft.kind == kind)
    }
}

fn person(actor: &ActorEntry) -> String {
    let mut text = String::from(actor.id.as_str());
    if let Some(name) = &actor.name {
        text.push_str(&alloc::format!(" ({name})"));
    }
    if let Some(workspace) = &actor.workspace {
        text.push_str(&alloc::format!(", workspace {workspace}"));
    }
    if let Some(channel) = &actor.channel {
        text.push_str(&alloc::format!(", channel {channel}"));
    }
    text
}

fn revision(revision: &RevisionRef) -> String {
    let mut text = alloc::format!("{}", revision.revision);
    if let Some(version) = &revision.version {
        text.push_str(&alloc::format!(", version {version}"));
    }
    if let Some(commit) = &revision.commit {
        text.push_str(&alloc::format!(", commit {commit}"));
    }
    text
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, text: &str) -> fmt::Result {
    writeln!(f, "{name:<9} {}", Shown(text))
}

impl Explanation {
    fn head(&self, f: &mut fmt::Formatter<'_>, first: &Record) -> fmt::Result {
        let draft = &first.draft;
        let drill = if draft.drill { " (a drill)" } else { "" };
        if let Some(id) = &draft.operation_id {
            row(f, "rollback", &alloc::format!("{id}{drill}"))?;
        }
        row(f, "service", &alloc::format!("{} in {}", draft.service, draft.environment))?;
        for (name, end) in [("from", &draft.from), ("to", &draft.to)] {
            if let Some(end) = end {
                row(f, name, &revision(end))?;
            }
        }
        let asked = self.last_of(Kind::Confirmed).or_else(|| self.last_of(Kind::Requested));
        let who = asked.and_then(|record| record.draft.actor.as_ref());
        row(f, "who", &who.map_or_else(|| "nobody is recorded".into(), person))?;
        let reason = self.records.iter().rev().find_map(|record| record.draft.reason.as_ref());
        row(f, "why", reason.map_or("no reason is recorded", |reason| reason.as_str()))?;
        let deployer = draft.deployer.as_ref().and_then(|deployer| deployer.name.as_ref());
        if let Some(name) = deployer {
            row(f, "deployer", name.as_str())?;
        }
        if let Some(backend) = &draft.backend {
            let able = alloc::format!(
                "{}, compares before it sets: {}, can fence: {}",
                backend.name,
                backend.compare_and_set,
                backend.fence
            );
            row(f, "backend", &able)?;
        }
        let execution = self.records.iter().rev().find_map(|r| r.draft.execution.as_ref());
        match execution {
            Some(execution) => row(f, "execution", execution.id.as_str()),
            None => Ok(()),
        }
    }

    fn story(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        for record in &self.records {
            let draft = &record.draft;
            let (at, kind) = (draft.at, draft.kind.as_str());
            write!(f, "{at}  record {}  {kind}", record.sequence)?;
            if let Some(actor) = &draft.actor {
                write!(f, " by {}", Shown(&person(actor)))?;
            }
            if let Some(decision) = &draft.decision {
                write!(f, "; rule: {}", Shown(decision.as_str()))?;
            }
            if let Some(explanation) = &draft.explanation {
                write!(f, "; {}", Shown(explanation))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(first), Some(last)) = (self.records.first(), self.records.last()) else {
            return Ok(());
        };
        self.head(f, first)?;
        self.story(f)?;
        if let Some(judged) = self.records.iter().rev().find(|r| !r.draft.guards.is_empty()) {
            writeln!(f, "\nguards as record {} has them", judged.sequence)?;
            for guard in &judged.draft.guards {
                let verdict = Shown(guard.verdict.as_str());
                let (name, words) = (Shown(guard.name.as_str()), Shown(&guard.explanation));
                writeln!(f, "  {verdict:<7} {name}: {words}")?;
            }
        }
        writeln!(f, "\nevidence: {} records of the chain `{}`", self.records.len(), first.chain)?;
        writeln!(f, "  first  {}  {}", first.sequence, first.hash)?;
        write!(f, "  last   {}  {}", last.sequence, last.hash)
    }
}
