//! How a rollback stands, in a few words: the same ones wherever it is shown.

use rollback_core::{
    Cancellation, Cause, Outcome, Phase, Purpose, PutAside, RollbackView, StateName,
};

/// A sign and a headline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Headline {
    /// The name of an emoji.
    pub(super) emoji: &'static str,
    pub(super) words: &'static str,
}

const fn headline(emoji: &'static str, words: &'static str) -> Headline {
    Headline { emoji, words }
}

/// The headline for a rollback that stands like this.
pub(super) const fn of(view: &RollbackView) -> Headline {
    match view.put_aside {
        Some(PutAside { cause: Cause::Crashes, .. }) => {
            return headline("rotating_light", "Rollback quarantined: it crashed the service");
        }
        Some(PutAside { cause: Cause::Replay, .. }) => {
            return headline(
                "rotating_light",
                "Rollback quarantined: this version cannot replay it",
            );
        }
        None => {}
    }
    match (view.purpose, view.state) {
        (_, StateName::Triggering) if view.overdue => {
            headline("rotating_light", "Rollback in doubt: the CD system does not answer")
        }
        (_, StateName::Running) if view.overdue => {
            headline("warning", "Rollback takes longer than it should")
        }
        (Purpose::Real, StateName::Succeeded) => headline("white_check_mark", "Rolled back"),
        (Purpose::Drill, StateName::Succeeded) => headline("white_check_mark", "Drill passed"),
        (Purpose::Real, StateName::Failed) => headline("x", "Rollback failed"),
        (Purpose::Drill, StateName::Failed) => headline("x", "Drill failed"),
        (_, StateName::NotVerified) => headline("warning", "Rolled back, not seen to be good"),
        (_, StateName::OutcomeUnknown) if view.late => {
            headline("rotating_light", "Late effect: the rollback was carried out after all")
        }
        (_, StateName::OutcomeUnknown) if view.settled => settled(view),
        (_, StateName::OutcomeUnknown) => {
            headline("rotating_light", "Rollback outcome unknown: somebody must check")
        }
        (Purpose::Real, StateName::Refused) => headline("no_entry", "Rollback refused"),
        (Purpose::Drill, StateName::Refused) => headline("no_entry", "Drill refused"),
        (_, StateName::Denied) => headline("no_entry", "Rollback denied"),
        (_, StateName::Withdrawn) if view.execution.is_some() => {
            headline("octagonal_sign", "Rollback cancelled while it ran")
        }
        (_, StateName::Withdrawn) => headline("octagonal_sign", "Rollback withdrawn"),
        (_, StateName::Expired) => headline("alarm_clock", "Rollback expired"),
        (Purpose::Real, StateName::Proposed) => headline("bulb", "Rollback proposed"),
        (Purpose::Drill, StateName::Proposed) => headline("test_tube", "Drill proposed"),
        (Purpose::Real, StateName::Approving) => {
            headline("raised_hand", "Rollback waits for approval")
        }
        (Purpose::Drill, StateName::Approving) => {
            headline("raised_hand", "Drill waits for approval")
        }
        (
            Purpose::Real,
            StateName::Authorizing
            | StateName::Confirming
            | StateName::Checking
            | StateName::Recording
            | StateName::Triggering
            | StateName::Running
            | StateName::Verifying,
        ) => headline("hourglass_flowing_sand", "Rolling back"),
        (
            Purpose::Drill,
            StateName::Authorizing
            | StateName::Confirming
            | StateName::Checking
            | StateName::Recording
            | StateName::Triggering
            | StateName::Running
            | StateName::Verifying,
        ) => headline("hourglass_flowing_sand", "Drill under way"),
    }
}

const fn settled(view: &RollbackView) -> Headline {
    let outcome = match &view.settlement {
        Some(settlement) => settlement.outcome,
        None => None,
    };
    headline(
        "memo",
        match outcome {
            Some(Outcome::TookEffect) => "Rollback settled: it took effect",
            Some(Outcome::NoEffect) => "Rollback settled: it had no effect",
            Some(Outcome::Partly) => "Rollback settled: it took effect in part",
            None => "Rollback settled",
        },
    )
}

/// After the CD system's word that it is complete.
const LOOKING: &str = "the CD system says it is done, checking the result";

/// Whether more has to be said than what is being done.
pub(super) const fn is_told_in_full(view: &RollbackView) -> bool {
    view.state.is_end()
        || view.put_aside.is_some()
        || view.in_doubt
        || view.overdue
        || view.silent_since.is_some()
}

/// What is being done right now.
pub(super) const fn doing(view: &RollbackView) -> &'static str {
    if view.put_aside.is_some() {
        return "nothing is done until a person decides";
    }
    match view.state {
        StateName::Proposed => "waiting for an owner to confirm",
        StateName::Authorizing => "checking who may",
        StateName::Confirming => "waiting for the confirmation",
        StateName::Approving => "waiting for approval",
        StateName::Checking => "reading the guards once more",
        StateName::Recording => "recording the intent",
        StateName::Triggering if view.in_doubt => {
            "checking whether the CD system accepted the order"
        }
        StateName::Triggering => "the order is on its way",
        StateName::Running if view.silent_since.is_some() => {
            "the CD system does not answer, it is asked again"
        }
        StateName::Running if matches!(view.cancellation, Some(Cancellation::Asked)) => {
            "the CD system is asked to cancel it"
        }
        StateName::Running if matches!(view.cancellation, Some(Cancellation::Accepted)) => {
            "the CD system is cancelling it"
        }
        StateName::Running if matches!(view.cancellation, Some(Cancellation::Refused)) => {
            "the CD system will not cancel it, the rollback continues"
        }
        StateName::Running => match &view.progress {
            Some(progress) if progress.waits_for.is_some() => {
                "the CD system waits for somebody, see the thread"
            }
            Some(progress) => phase(progress.phase),
            None => "the CD system carries it out",
        },
        StateName::Verifying => match &view.progress {
            Some(progress) => match progress.phase {
                Phase::Failed => "the CD system says it failed, checking what is live",
                Phase::Cancelled => "the CD system cancelled it, checking what is live",
                Phase::Started | Phase::HealthChecking | Phase::Complete => LOOKING,
            },
            None => LOOKING,
        },
        StateName::Succeeded
        | StateName::Failed
        | StateName::NotVerified
        | StateName::Refused
        | StateName::Denied
        | StateName::Withdrawn
        | StateName::Expired
        | StateName::OutcomeUnknown => "ended",
    }
}

/// What the CD system says.
pub(super) const fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Started => "the CD system has started",
        Phase::HealthChecking => "the CD system checks the target's health",
        Phase::Complete => "the CD system says it is complete",
        Phase::Failed => "the CD system says it failed",
        Phase::Cancelled => "the CD system cancelled it",
    }
}
