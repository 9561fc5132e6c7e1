//! Words for people: the explanations in messages and audit records that take values or stand in more
//! than one place. A chat has a headline and a line of progress of its own.

use crate::access::{Access, Account, Denial, Duty, RULE_DEFAULT};
use crate::event::{Outcome, Phase, Progress};
use crate::guard::Report;
use crate::id::{Label, Reason};
use crate::journal::Opening;
use crate::machine::{Found, Unsuccessful};
use crate::model::{Actor, Plan, RevisionRef, ServiceKey};
use crate::observed::Live;
use crate::policy::{FourEyes, Policy};
use crate::presence::Presence;
use crate::time::{Timestamp, in_words};
use alloc::collections::BTreeSet;
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
        Duty::Operate => format!("change what holds for {key}"),
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
        Denial::PersonUnknown => {
            return format!(
                "you may not {what}: this service needs a second person's approval, and the directory cannot identify you as a person; nothing was changed; ask somebody it can identify, or set `four_eyes: account` for this service"
            );
        }
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
            Denial::ForeignWorkspace
            | Denial::Account(_)
            | Denial::DeniedByRule
            | Denial::NotNamed
            | Denial::PersonUnknown,
        ) => format!("denied by `{rule}`"),
    }
    .into()
}

/// What the audit record says about an approval: the rule, and how the people are distinguished.
pub(crate) fn approval(rule: &str, apart: FourEyes) -> Label {
    let by = apart.as_str();
    format!("allowed by `{rule}`; distinguished from the requester and the other approvers by {by}")
        .into()
}

/// What the audit record says where nobody asked the rules of the organization.
pub(crate) fn denied_by(rule: &str) -> Label {
    format!("denied by `{rule}`").into()
}

/// Why an approval does not count when the order is due: it is the second of one human.
pub(crate) fn vote_again(approver: &Actor) -> String {
    format!("{} approved twice, with two accounts", called(approver))
}

fn called(actor: &Actor) -> String {
    match &actor.name {
        Some(name) => format!("{name} ({})", actor.id),
        None => actor.id.to_string(),
    }
}

/// Why an approval does not count any more when the order is due.
pub(crate) fn vote_lost(approver: &Actor, denial: Option<&Denial>) -> String {
    let who = called(approver);
    match denial {
        None => format!("the approval of {who} does not count: it is the requester's own"),
        Some(Denial::Unknown(missing)) => {
            format!("{who} approved it, but whether they still may is unknown: {missing}")
        }
        Some(Denial::PersonUnknown) => format!(
            "the approval of {who} no longer counts: the directory cannot identify them as a person"
        ),
        Some(
            Denial::ForeignWorkspace
            | Denial::Account(_)
            | Denial::DeniedByRule
            | Denial::NotNamed
            | Denial::NobodyMay,
        ) => format!("{who}, who approved it, may not approve it any more"),
    }
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

pub(crate) fn not_acknowledged(warning: &Label) -> String {
    format!("the warning `{warning}` is not acknowledged; nothing was changed; tick it, or cancel")
}

/// Every obstacle, one line each. A warning is one where nobody acknowledged it: it came after the
/// confirmation.
pub(crate) fn refused(plan: &Plan, report: &Report, acknowledged: &BTreeSet<Label>) -> String {
    let mut text = format!("{} was not rolled back; nothing was changed", plan.key());
    for finding in report.obstacles(acknowledged) {
        text.push('\n');
        if !finding.warnings().is_empty() {
            text.push_str("this came up after the confirmation: ");
        }
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
        "{now}{from} is no longer live, so the rollback was refused ({why}); nothing was changed; use the button of the newest deploy"
    )
}

pub(crate) fn expired(what: &str, within: Duration) -> String {
    format!(
        "nobody {what} within {}; nothing was changed; click the button again",
        in_words(within)
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
        "drill: the CD system would not have taken the order: {why}; no order was sent; fix that before it is needed"
    )
}

pub(crate) fn rehearsal_unknown(why: &str) -> String {
    format!(
        "drill: it is not known whether the CD system would have taken the order: {why}; no order was sent; find out before it is needed"
    )
}

pub(crate) fn not_executed(plan: &Plan, why: &str) -> String {
    format!(
        "the order was in doubt ({why}); the CD system has proved that it did not run and never will; {} is unchanged; click again to open a new rollback",
        plan.key()
    )
}

/// An order may have been taken.
pub(crate) fn in_doubt(why: &str) -> String {
    format!("{why}; checking whether the CD system accepted the order; it is not sent again")
}

/// An order may have been taken, and may still come.
pub(crate) fn doubt_remains(why: &str, remains: &str, within: Duration) -> String {
    format!(
        "{why}; {remains}; still checking whether the order was accepted, for at most {} in all; it is not sent again",
        in_words(within)
    )
}

/// An order may have been taken, and the CD system has not answered for long.
pub(crate) fn doubt_lasts(plan: &Plan, why: &str, within: Duration) -> String {
    format!(
        "{why}; the CD system has not answered for {}, so it is still not known whether it accepted the order; it is not sent again, and no other rollback of {} can start; get the CD system to answer, and this ends by itself",
        in_words(within),
        plan.key()
    )
}

/// The CD system took the order.
pub(crate) fn carried_out() -> String {
    "the CD system carries it out".into()
}

/// How an execution that the CD system carries out stands.
pub(crate) fn running(opening: &Opening, overdue: bool) -> String {
    if !overdue {
        return carried_out();
    }
    format!(
        "the rollback of {} has been running for more than {}; the rollback service keeps following it; check the CD system, or stop the rollback",
        opening.plan.key(),
        in_words(opening.policy.limits.run_within)
    )
}

/// The CD system does not answer about what it carries out.
pub(crate) fn silent(opening: &Opening, why: &str) -> String {
    format!(
        "the CD system accepted the order for {} but does not answer now: {why}; it is asked again; the order is not sent again",
        opening.plan.key()
    )
}

/// Why an execution that the CD system took has an unknown outcome.
pub(crate) fn silent_since(since: Timestamp, now: Timestamp) -> String {
    format!(
        "the CD system accepted the order and has not answered about it for {}",
        in_words(now.since(since))
    )
}

/// The CD system answers again, after the outcome was called unknown.
pub(crate) fn heard_again(plan: &Plan, progress: &Progress) -> String {
    let (key, to) = (plan.key(), plan.to());
    let said = match progress.phase {
        Phase::Started | Phase::HealthChecking => {
            return format!(
                "the CD system answers again: the rollback of {key} to {to} is still running; the rollback service keeps following it"
            );
        }
        Phase::Complete => "is complete".to_string(),
        Phase::Failed => match &progress.message {
            Some(message) => format!("failed: {message}"),
            None => "failed".to_string(),
        },
        Phase::Cancelled => "was cancelled".to_string(),
    };
    format!(
        "the CD system answers again: the rollback of {key} to {to} {said}; look at the service, then settle this rollback"
    )
}

/// Nobody has clicked on a proposal yet.
pub(crate) fn proposed() -> String {
    "proposed; nothing happens until an owner clicks".into()
}

/// A person has recorded the real outcome.
pub(crate) fn settled(outcome: Option<Outcome>, finding: &Reason) -> String {
    format!("settled: {}", found(outcome, finding))
}

/// What a person found out, for the record.
pub(crate) fn found(outcome: Option<Outcome>, finding: &Reason) -> String {
    match outcome {
        Some(Outcome::TookEffect) => format!("the rollback took effect: {finding}"),
        Some(Outcome::NoEffect) => format!("nothing was changed: {finding}"),
        Some(Outcome::Partly) => format!("the rollback took effect in part: {finding}"),
        None => finding.to_string(),
    }
}

/// A person settles what had not ended.
pub(crate) fn given_up(plan: &Plan) -> String {
    format!("a person settled the rollback of {} before its outcome was known", plan.key())
}

pub(crate) fn cancel_accepted() -> String {
    "the CD system is cancelling it".into()
}

pub(crate) fn cancel_refused(plan: &Plan) -> String {
    format!(
        "the CD system will not cancel the rollback of {}: it is too late, or it does not support cancelling; the outcome follows in the thread",
        plan.key()
    )
}

/// What is done after the CD system said that it is complete.
pub(crate) fn looked_at_after_success() -> String {
    "the CD system says it is done; checking the result".into()
}

/// What was seen of the result before the first look.
pub(crate) fn not_looked_at() -> String {
    "it has not been looked at yet".into()
}

/// What is done after the CD system said that it was no success.
pub(crate) fn looked_at_after(said: &Unsuccessful) -> String {
    match said {
        Unsuccessful::Failed(_) => "the CD system says it failed; checking what is live".into(),
        Unsuccessful::Cancelled => "the CD system cancelled it; checking what is live".into(),
    }
}

pub(crate) fn live_and_busy(revision: &RevisionRef) -> String {
    format!("{revision} is live and an operation is still in progress")
}

/// How an execution ended that was no success: the CD system's word, and what was seen.
pub(crate) fn unsuccessful(plan: &Plan, said: &Unsuccessful, found: &Found) -> String {
    let (key, from, to) = (plan.key(), plan.from(), plan.to());
    let said = match said {
        Unsuccessful::Failed(Some(message)) => {
            format!("the CD system says the rollback of {key} failed: {message}")
        }
        Unsuccessful::Failed(None) => {
            format!("the CD system says the rollback of {key} failed and gave no reason")
        }
        Unsuccessful::Cancelled => {
            format!("the CD system cancelled the rollback of {key} while it ran")
        }
    };
    let seen = match found {
        Found::Target => format!("{to} is live after all; check whether it works"),
        Found::Origin => format!(
            "nothing changed: {from} is still live; see in the CD system why, then click again"
        ),
        Found::Other(live) => format!(
            "{} is live, which is neither {from} nor {to}; look at the service now",
            live.beside(to)
        ),
        Found::HalfWay(seen) => format!("it stopped half-way: {seen}; look at the service now"),
        Found::Unreadable(why) => {
            format!("what is live could not be read: {why}; look at the service now")
        }
    };
    format!("{said}; {seen}")
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
        "the outcome of the rollback of {} is unknown: {why}; check the CD system, then settle this rollback; until then no other rollback of this service can start",
        plan.key()
    )
}

/// A rollback that is quarantined after crashes, and what a person can do about it.
pub(crate) fn put_aside(plan: &Plan, attempts: u32, ordered: bool) -> String {
    let order = if ordered {
        "its order may have run, and nobody is checking"
    } else {
        "no order was sent"
    };
    format!(
        "the rollback service crashed {attempts} times while processing the rollback of {}; it is quarantined; {order}; fix the cause (see the rollback service's log), then press Release",
        plan.key()
    )
}

/// A rollback whose journal does not replay to what is stored.
pub(crate) fn stopped(key: &ServiceKey, why: &str, ordered: bool) -> String {
    let order = if ordered {
        "its order may have run, so check the CD system"
    } else {
        "no order was sent"
    };
    format!(
        "this version cannot continue the rollback of {key}: {why}; {order}; start the version that opened it and press Release there, or settle it; until then no other rollback of this service can start"
    )
}

/// A quarantined rollback continues.
pub(crate) fn released() -> String {
    "it was quarantined and has been released; it continues where it was".to_string()
}

pub(crate) fn never_carried_out(plan: &Plan) -> String {
    format!(
        "the order for {} was never carried out, and the CD system turns it away from now on",
        plan.key()
    )
}

pub(crate) fn late_effect(plan: &Plan, settled: bool) -> String {
    let next = if settled {
        "a person had settled it before; check the service"
    } else {
        "check the service, then settle this rollback"
    };
    format!(
        "late effect: the abandoned order brought {} to {} after all; {next}",
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
        in_words(within)
    )
}

/// What was seen instead of the target being live and healthy: another revision than the two of the
/// plan has ended it before this is asked.
pub(crate) fn seen_live(live: &Live) -> String {
    match (&live.revision, &live.in_progress) {
        (Some(revision), Presence::Something(_)) => {
            format!("{revision} is live and an operation is in progress")
        }
        (Some(revision), Presence::CannotTell(why)) => format!(
            "{revision} is live, and whether an operation is in progress is not known: {why}"
        ),
        (Some(revision), Presence::Nothing) => format!(
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
