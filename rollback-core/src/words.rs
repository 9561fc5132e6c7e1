//! Words for people. The only file with sentences about how a rollback stands.

use crate::access::{Access, Account, Denial, Duty, RULE_DEFAULT};
use crate::guard::Report;
use crate::id::Label;
use crate::model::{Plan, RevisionRef, ServiceKey};
use crate::observed::Live;
use crate::policy::Policy;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

/// Most principals named in one denial; more would be a wall of ids.
const NAMED_MAX: usize = 10;

/// Everybody who may, as ids for a view to turn into mentions.
pub(crate) fn who_may(access: &Access, duty: Duty) -> Vec<Label> {
    access
        .who_may(duty)
        .take(NAMED_MAX)
        .map(|principal| Label::new(principal.to_string()))
        .collect()
}

/// Why somebody was turned away, and who may instead.
pub(crate) fn denied(key: &ServiceKey, duty: Duty, denial: &Denial, access: &Access) -> String {
    let what = match duty {
        Duty::Request => format!("roll back {key}"),
        Duty::Approve => format!("approve a rollback of {key}"),
        Duty::Withdraw => format!("stop a rollback of {key}"),
        Duty::Settle => format!("settle a rollback of {key}"),
        Duty::Release => format!("release a rollback of {key}"),
    };
    let why = match denial {
        Denial::ForeignWorkspace => "your account is not of this workspace".to_string(),
        Denial::Account(Account::Guest) => "your account is a guest's".to_string(),
        Denial::Account(Account::Stranger) => "your account is another organization's".to_string(),
        Denial::Account(Account::Bot) => "a bot may not".to_string(),
        Denial::Account(Account::Deactivated) => "your account is switched off".to_string(),
        Denial::Account(Account::Member) | Denial::NotNamed => "no rule names you".to_string(),
        Denial::DeniedByRule => "a rule denies it to you".to_string(),
        Denial::NobodyMay => "nobody is named as its owner; name one in the policy".to_string(),
        Denial::Unknown(missing) => {
            return format!(
                "whether you may {what} could not be found out: {missing}; nothing was changed; try again in a minute"
            );
        }
    };
    let mut text = format!("you may not {what}: {why}; nothing was changed");
    let who = who_may(access, duty);
    if !who.is_empty() {
        let names: Vec<&str> = who.iter().map(Label::as_str).collect();
        text.push_str("; ask ");
        text.push_str(&names.join(", "));
    }
    text
}

/// Under which policy an order is about to be given.
pub(crate) fn under_policy(policy: &Policy) -> Label {
    Label::new(format!("policy {}", policy.digest()))
}

/// What the audit record says about a decision.
pub(crate) fn decision(rule: &str, denial: Option<&Denial>) -> Label {
    match denial {
        None => format!("allowed by `{rule}`"),
        Some(Denial::Unknown(missing)) => format!("denied by `{rule}`: not known: {missing}"),
        Some(Denial::NobodyMay) => format!("denied by `{RULE_DEFAULT}`: nobody is named"),
        Some(
            Denial::ForeignWorkspace | Denial::Account(_) | Denial::DeniedByRule | Denial::NotNamed,
        ) => format!("denied by `{rule}`"),
    }
    .into()
}

pub(crate) fn own_approval() -> String {
    "nobody approves their own rollback; ask somebody else".into()
}

pub(crate) fn not_yours() -> String {
    "somebody else asked for this rollback; only they can confirm it; click the button yourself"
        .into()
}

pub(crate) fn too_late_to_withdraw() -> String {
    "the order is on its way and cannot be called back; follow the thread".into()
}

/// Every obstacle, one line each.
pub(crate) fn refused(plan: &Plan, report: &Report) -> String {
    let mut text = format!("{} was not rolled back; nothing was changed", plan.key());
    for finding in report.obstacles() {
        text.push('\n');
        text.push_str(&finding.explanation());
    }
    text
}

pub(crate) fn refused_because(plan: &Plan, why: &str, next: &str) -> String {
    format!("{} was not rolled back: {why}; nothing was changed; {next}", plan.key())
}

pub(crate) fn conflict(plan: &Plan, live: Option<&RevisionRef>, why: &str) -> String {
    let from = plan.from();
    let now = live.map_or_else(String::new, |live| {
        format!("{} now runs {}; ", plan.key(), live.beside(from))
    });
    let from = live.map_or_else(|| from.to_string(), |live| from.beside(live));
    format!(
        "{now}the CD system refused because {from} is no longer live ({why}); nothing was changed; use the button of the newest deploy"
    )
}

pub(crate) fn expired(what: &str, within: Duration) -> String {
    format!(
        "nobody {what} within {}; nothing was changed; click the button again",
        crate::time::in_words(within)
    )
}

pub(crate) fn succeeded(plan: &Plan) -> String {
    format!("{} runs {} again and is healthy", plan.key(), plan.to())
}

pub(crate) fn rehearsed(plan: &Plan) -> String {
    format!(
        "drill: the CD system would have taken {} from {} to {}; no order was sent",
        plan.key(),
        plan.from(),
        plan.to()
    )
}

pub(crate) fn rehearsal_failed(why: &str) -> String {
    format!(
        "drill: the CD system would not have taken the order: {why}; no order was sent; mend that before it is needed"
    )
}

pub(crate) fn rehearsal_unknown(why: &str) -> String {
    format!(
        "drill: it is not known whether the CD system would have taken the order: {why}; no order was sent; find out before it is needed"
    )
}

pub(crate) fn not_executed(plan: &Plan, why: &str) -> String {
    format!(
        "the order was sent ({why}) and the CD system proves that it was not and will not be carried out; {} is unchanged; click again to open a new rollback",
        plan.key()
    )
}

pub(crate) fn failed(plan: &Plan, message: Option<&Label>) -> String {
    let said = message.map_or_else(|| "it gave no reason".to_string(), |m| format!("{m}"));
    format!(
        "the CD system says the rollback of {} failed: {said}; look at the service now, it may be half-way",
        plan.key()
    )
}

pub(crate) fn outcome_unknown(plan: &Plan, why: &str) -> String {
    format!(
        "nobody knows whether {} was rolled back: {why}; look at the CD system, then settle this rollback; until then no other one of this service can start",
        plan.key()
    )
}

/// What was put aside, and what is left to do about it.
pub(crate) fn put_aside(plan: &Plan, attempts: u32, ordered: bool) -> String {
    let order = if ordered {
        "its order may have been carried out, and nobody looks"
    } else {
        "no order was sent"
    };
    format!(
        "whoever worked on the rollback of {} was ended by it {attempts} times in a row, so nobody does any more: {order}; read the log, mend what ends it, then release it",
        plan.key()
    )
}

/// What was put aside goes on.
pub(crate) fn released() -> String {
    "it had been put aside and was released; it goes on from where it stood".to_string()
}

pub(crate) fn late_effect(plan: &Plan) -> String {
    format!(
        "the order to bring {} to {} had an effect after all; look at the service, then settle this rollback",
        plan.key(),
        plan.to()
    )
}

pub(crate) fn overtaken(plan: &Plan, live: &RevisionRef) -> String {
    format!(
        "{} was rolled back to {}, and now runs {}: somebody deployed meanwhile; nothing more is done here",
        plan.key(),
        plan.to().beside(live),
        live.beside(plan.to())
    )
}

pub(crate) fn not_verified(plan: &Plan, seen: &str, within: Duration) -> String {
    format!(
        "the CD system says {} was rolled back to {}, and within {} it was not seen live and healthy: {seen}; look at the service now",
        plan.key(),
        plan.to(),
        crate::time::in_words(within)
    )
}

/// What was seen instead of the target being live and healthy: another revision than the two of the
/// plan has ended it before this is asked.
pub(crate) fn seen_live(live: &Live) -> String {
    match (&live.revision, &live.in_progress) {
        (Some(revision), Some(_)) => format!("{revision} is live and an operation is in progress"),
        (Some(revision), None) => format!(
            "{revision} is still live, or live again; if a GitOps controller put it back, switch auto-sync off"
        ),
        (None, _) => "nothing is live".to_string(),
    }
}

pub(crate) fn withdrawn_before() -> String {
    "it was stopped before anything was ordered; nothing was changed".into()
}

pub(crate) fn withdrawn_running(plan: &Plan) -> String {
    format!("the CD system cancelled it while it ran; see which revision {} runs now", plan.key())
}
