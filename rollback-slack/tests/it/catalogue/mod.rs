//! Every view in every state, by name.

use rollback_core::access::Duty;
use rollback_core::audit::{Hash, Head};
use rollback_core::notice::{Blocked, DeployCard};
use rollback_core::{
    Actor, Changer, Line, Proposer, Purpose, Reason, RollbackView, ServiceChange, ServiceChanged,
    ServiceKey,
};
use rollback_slack::views::{
    Backdrop, Message, ThreadLine, approval_message, blocked_message, break_glass_message,
    changed_message, checking_modal, confirm_modal, deploy_message, deployer_message,
    lines_message, loading_modal, on_call_message, private_message, settle_modal, settling_modal,
    thread_message, witnessed_thread_message,
};
use serde_json::{Value, json};

use crate::fixtures::{card, now, view};

/// A message as it is posted.
pub(crate) fn posted(message: &Message) -> Value {
    let blocks: Value = serde_json::from_str(message.blocks.as_str()).unwrap();
    json!({"channel": "C0DEPLOYS", "text": message.text, "blocks": blocks})
}

fn modal(json: &rollback_slack::Json) -> Value {
    serde_json::from_str(json.as_str()).unwrap()
}

fn ended(state: &str, explanation: &str) -> Value {
    serde_json::to_value(view(
        state,
        &json!({"ended_at": "2026-11-22T09:44:00Z", "explanation": explanation}),
    ))
    .unwrap()
}

const REFUSED: &str = "checkout in production was not rolled back; nothing was changed\n\
     migration `20261121_drop_col` of `42` cannot be reversed; roll forward with a fix";

#[expect(clippy::too_many_lines, reason = "a table")]
fn deploys() -> Vec<(&'static str, Value)> {
    let running = json!({"cancellable": true,
        "progress": {"phase": "health_checking", "message": "2 of 5 pods are ready"}});
    let shown = |name, fields: &Value| (name, posted(&deploy_message(&card(fields), 3).unwrap()));
    let with = |name, rollback: Value| shown(name, &json!({"rollback": rollback}));
    let in_state = |name, state: &str, fields: &Value| {
        with(name, serde_json::to_value(view(state, fields)).unwrap())
    };
    vec![
        shown("with_button", &json!({})),
        shown(
            "with_button_past_skipped",
            &json!({"choice": {"skipped": [
                {"revision": {"id": "40", "version": "2.13.3"}, "skip": {"not_succeeded": "failed"}},
                {"revision": {"id": "39"}, "skip": "rolled_back_from"},
                {"revision": {"id": "38"}, "skip": {"marked_bad": "leaks `memory`"}},
                {"revision": {"id": "37"}, "skip": "soak_unknown"},
            ]}}),
        ),
        shown(
            "without_target",
            &json!({"previous": null, "deploy": {"deployer": null, "commit": null, "revision": null},
            "choice": {"target": null, "why": "this is the first revision of the history; there is nothing to go back to"}}),
        ),
        shown(
            "of_an_unknown_revision",
            &json!({"previous": null, "undecided": true,
            "deploy": {"revision": null, "reported": "43"},
            "choice": {"target": null, "why": "the way back is not known yet: `43` is not in the deploy history; there are `42`, `41`; it is looked up again by itself"}}),
        ),
        shown(
            "behind_irreversible_migration",
            &json!({"choice": {"target": null,
            "why": "no earlier revision is known to be good: `41` is not, because migration `20261121_drop_col` of `42` cannot be reversed",
            "skipped": [{"revision": {"id": "41", "version": "2.13.4"},
                "skip": {"migration_irreversible": {"revision": "42", "migration": "20261121_drop_col"}}}]}}),
        ),
        shown("superseded", &json!({"superseded_by": "2.15.0"})),
        shown("drill", &json!({"purpose": "drill"})),
        in_state(
            "proposed",
            "proposed",
            &json!({"requested_by": null, "proposed_by": {"id": "rule:high-error-rate", "name": "high-error-rate"}}),
        ),
        in_state(
            "proposed_drill",
            "proposed",
            &json!({"requested_by": null, "purpose": "drill", "proposed_by": {"id": "nightly"}}),
        ),
        in_state("somebody_looks", "confirming", &json!({"reason": null})),
        in_state("approving", "approving", &json!({"approvals_min": 1, "cancellable": true})),
        in_state("checking", "checking", &json!({"cancellable": true})),
        in_state("triggering", "triggering", &json!({})),
        in_state(
            "in_doubt",
            "triggering",
            &json!({"in_doubt": true, "explanation": "the CD system did not answer within 10 s; checking whether the CD system accepted the order; it is not sent again"}),
        ),
        in_state(
            "in_doubt_for_long",
            "triggering",
            &json!({"in_doubt": true, "overdue": true, "explanation": "the CD system has not answered for 15 min; get it to answer, and this ends by itself"}),
        ),
        in_state("running", "running", &running),
        in_state(
            "running_late",
            "running",
            &json!({"cancellable": true, "overdue": true, "progress": {"phase": "started"},
                "explanation": "the rollback of checkout in production has been running for more than 30 min; the rollback service keeps following it; check the CD system, or stop the rollback"}),
        ),
        in_state(
            "running_unseen",
            "running",
            &json!({"cancellable": true, "silent_since": "2026-11-22T09:40:00Z",
                "explanation": "the CD system accepted the order but does not answer now"}),
        ),
        in_state(
            "quarantined_after_crashes",
            "running",
            &json!({"put_aside": {"attempts": 3, "since": "2026-11-22T09:40:00Z"},
                "explanation": "the rollback service crashed 3 times while processing the rollback of checkout in production; it is quarantined; its order may have run, and nobody is checking; fix the cause (see the rollback service's log), then press Release"}),
        ),
        in_state(
            "quarantined_by_its_journal",
            "running",
            &json!({"put_aside": {"attempts": 0, "since": "2026-11-22T09:40:00Z", "cause": "replay"},
                "explanation": "this version cannot continue the rollback of checkout in production: entry 4 came to another state; no order was sent; start the version that opened it and press Release there, or settle it; until then no other rollback of this service can start"}),
        ),
        in_state("cancelling", "running", &json!({"cancellation": "asked"})),
        in_state("cancelling_accepted", "running", &json!({"cancellation": "accepted"})),
        in_state("not_cancelled", "running", &json!({"cancellation": "refused"})),
        in_state(
            "cancelled",
            "withdrawn",
            &json!({"execution": {"backend": "prod", "id": "job-77"}, "ended_at": "2026-11-22T09:44:00Z",
                "explanation": "the CD system cancelled the rollback of checkout in production while it ran; nothing changed: `42` (2.14.0) is still live; see in the CD system why, then click again"}),
        ),
        in_state("verifying_failed", "verifying", &json!({"progress": {"phase": "failed"}})),
        in_state("running_drill", "triggering", &json!({"purpose": "drill"})),
        in_state("verifying", "verifying", &json!({"break_glass": true})),
        with(
            "succeeded",
            ended("succeeded", "checkout in production runs `41` (2.13.4) again and is healthy"),
        ),
        with(
            "failed",
            ended(
                "failed",
                "the CD system says the rollback of checkout in production failed: no node left; look at the service now, it may be half-way",
            ),
        ),
        with(
            "not_verified",
            ended(
                "not_verified",
                "the CD system says checkout in production was rolled back to `41` (2.13.4), and within 5 min it was not seen live and healthy: `42` (2.14.0) is still live; look at the service now",
            ),
        ),
        with("refused", ended("refused", REFUSED)),
        with(
            "denied",
            ended("denied", "you may not roll back checkout in production: no rule names you"),
        ),
        with(
            "withdrawn",
            ended("withdrawn", "it was stopped before anything was ordered; nothing was changed"),
        ),
        with(
            "expired",
            ended(
                "expired",
                "nobody approved within 30 min; nothing was changed; click the button again",
            ),
        ),
        with(
            "outcome_unknown",
            ended(
                "outcome_unknown",
                "the outcome of the rollback of checkout in production is unknown: the connection broke; check the CD system, then settle this rollback; until then no other rollback of this service can start",
            ),
        ),
    ]
}

/// A rollback of which nobody knows what became.
fn unknown() -> RollbackView {
    view(
        "outcome_unknown",
        &json!({"ended_at": "2026-11-22T09:44:00Z", "reason": "error rate is up 4x",
            "explanation": "the outcome of the rollback of checkout in production is unknown: the connection broke"}),
    )
}

fn settlement_modals() -> Vec<(&'static str, Value)> {
    let settled = json!({"ended_at": "2026-11-22T09:44:00Z", "settled": true,
        "settlement": {"actor": {"id": "U02ANA", "name": "Ana"}, "outcome": "took_effect",
            "finding": "41 serves", "at": "2026-11-22T09:44:00Z"},
        "explanation": "settled: the rollback took effect: 41 serves"});
    let settled = view("outcome_unknown", &settled);
    vec![
        ("settle", modal(&settle_modal(&unknown()).unwrap())),
        ("settling", modal(&settling_modal(&unknown().id).unwrap())),
        ("settled", modal(&settle_modal(&settled).unwrap())),
    ]
}

fn modals() -> Vec<(&'static str, Value)> {
    let card = card(&json!({}));
    let with_card = Backdrop::new(Some(&card), now());
    let bare = Backdrop::new(None, now());
    let shown = |name, state: &str, fields: &Value, backdrop| {
        (name, modal(&confirm_modal(&view(state, fields), backdrop).unwrap()))
    };
    let key = ServiceKey::new("checkout".parse().unwrap(), "production".parse().unwrap());
    let id = "rb-1".parse().unwrap();
    let confirming = json!({"reason": null, "deadline": "2026-11-22T09:55:00Z"});
    vec![
        ("loading", modal(&loading_modal(&key, &id, Purpose::Real).unwrap())),
        shown("loading_from_view", "authorizing", &json!({"reason": null, "guards": []}), bare),
        shown("ready", "confirming", &confirming, with_card),
        shown("ready_without_card", "confirming", &confirming, bare),
        shown(
            "ready_break_glass",
            "confirming",
            &json!({"reason": null, "break_glass": true,
            "rule": "break-glass", "approvals_min": 2, "expected_ms": null}),
            with_card,
        ),
        shown(
            "ready_with_warnings",
            "confirming",
            &json!({"reason": null, "guards": [
            {"name": "newer_deploy", "verdict": "pass", "explanation": "nothing newer has gone live"},
            {"name": "fixes_undone", "verdict": "warn",
             "explanation": "the rollback takes away 2 fixes of incidents or security holes; acknowledge each, or fix forward",
             "acknowledge": [{"id": "INC-204", "what": "the fix of incident `INC-204`"},
                             {"id": "CVE-2026-1", "what": "the security fix `CVE-2026-1`"}]}]}),
            with_card,
        ),
        shown("ready_drill", "confirming", &json!({"reason": null, "purpose": "drill"}), with_card),
        shown(
            "blocked",
            "refused",
            &json!({"explanation": REFUSED, "guards": [
            {"name": "newer_deploy", "verdict": "pass", "explanation": "nothing newer has gone live"},
            {"name": "migrations", "verdict": "block", "explanation": "migration `20261121_drop_col` of `42` cannot be reversed; roll forward with a fix"},
            {"name": "freeze", "verdict": "unknown", "explanation": "the freeze calendar did not answer within 10 s; try again in a minute"}]}),
            with_card,
        ),
        shown(
            "blocked_without_guard",
            "refused",
            &json!({"guards": [],
            "explanation": "checkout in production was not rolled back: the audit sink did not acknowledge; nothing was changed; fix that, then click again"}),
            bare,
        ),
        shown(
            "denied",
            "denied",
            &json!({"reason": null,
            "explanation": "you may not roll back checkout in production: no rule names you; nothing was changed; ask user U02ANA, group S0PAYMENTS"}),
            bare,
        ),
        (
            "checking_at_submit",
            modal(&checking_modal(&view("confirming", &json!({"reason": null}))).unwrap()),
        ),
        shown("approving", "approving", &json!({"approvals_min": 1}), bare),
        shown("running", "running", &json!({}), bare),
        shown(
            "done",
            "succeeded",
            &json!({"explanation": "checkout in production runs `41` (2.13.4) again and is healthy"}),
            bare,
        ),
    ]
}

fn approvals() -> Vec<(&'static str, Value)> {
    let shown = |name, state: &str, fields: &Value| {
        (name, posted(&approval_message(&view(state, fields), 2).unwrap()))
    };
    let bob = json!([{"id": "U03BOB"}]);
    vec![
        shown(
            "waiting",
            "approving",
            &json!({"approvals_min": 2, "approved_by": bob, "deadline": "2026-11-22T10:10:00Z"}),
        ),
        shown(
            "approved",
            "checking",
            &json!({"approvals_min": 1, "approved_by": bob, "explanation": "the guards are read once more"}),
        ),
        shown(
            "rejected",
            "withdrawn",
            &json!({"approvals_min": 1, "ended_at": "2026-11-22T09:44:00Z", "explanation": "`U03BOB` rejected it; nothing was changed"}),
        ),
        shown(
            "expired",
            "expired",
            &json!({"approvals_min": 1, "ended_at": "2026-11-22T10:10:00Z", "explanation": "nobody approved within 30 min; nothing was changed; click the button again"}),
        ),
    ]
}

/// Every kind of line with a state in which it is told.
#[expect(clippy::too_many_lines, reason = "a table")]
pub(crate) fn lines() -> Vec<(&'static str, &'static str, Value, Value)> {
    let bob = json!({"id": "U03BOB", "name": "Bob"});
    vec![
        ("proposed", "proposed", json!("proposed"), json!({"proposed_by": {"id": "agent-7"}})),
        ("confirmed", "checking", json!("confirmed"), json!({"break_glass": true})),
        (
            "approved",
            "checking",
            json!({"approved": bob}),
            json!({"approvals_min": 1, "approved_by": [bob]}),
        ),
        (
            "rejected",
            "withdrawn",
            json!({"rejected": bob}),
            json!({"explanation": "it was stopped before anything was ordered; nothing was changed"}),
        ),
        ("refused", "refused", json!("refused"), json!({"explanation": REFUSED})),
        (
            "triggered",
            "running",
            json!("triggered"),
            json!({"execution": {"backend": "prod", "id": "job-77"}}),
        ),
        (
            "phase",
            "running",
            json!({"phase": {"phase": "started", "message": "draining `web-1`"}}),
            json!({}),
        ),
        (
            "phase_waiting",
            "running",
            json!({"phase": {"phase": "started", "waits_for": {
                "what": "an approval of the environment `production`",
                "who": ["ana", "the group <!here>"], "until": "2026-11-22T10:30:00Z"}}}),
            json!({}),
        ),
        ("cancelling", "running", json!({"cancelling": bob}), json!({})),
        (
            "not_cancelled",
            "running",
            json!("not_cancelled"),
            json!({"cancellation": "refused", "explanation": "the CD system carries it out"}),
        ),
        (
            "overdue",
            "running",
            json!("overdue"),
            json!({"overdue": true, "explanation": "the rollback of checkout in production has been running for more than 30 min; the rollback service keeps following it; check the CD system, or stop the rollback"}),
        ),
        (
            "doubt_overdue",
            "triggering",
            json!("overdue"),
            json!({"in_doubt": true, "overdue": true, "explanation": "the CD system has not answered for 15 min"}),
        ),
        (
            "heard",
            "outcome_unknown",
            json!({"heard": {"phase": "complete"}}),
            json!({"explanation": "the CD system answers again: the rollback is complete; look at the service, then settle this rollback"}),
        ),
        (
            "ended",
            "succeeded",
            json!("ended"),
            json!({"explanation": "checkout in production runs `41` (2.13.4) again and is healthy"}),
        ),
        (
            "late_effect",
            "outcome_unknown",
            json!("late_effect"),
            json!({"explanation": "late effect: the abandoned order brought checkout in production to `41` (2.13.4) after all; check the service, then settle this rollback"}),
        ),
        (
            "settled",
            "outcome_unknown",
            json!({"settled": bob}),
            json!({"explanation": "settled: the order never arrived"}),
        ),
    ]
}

fn directs() -> Vec<(&'static str, Value)> {
    let denied = view("denied", &json!({}));
    let text = "you may not roll back checkout in production: no rule names you; nothing was changed; ask user U02ANA, group S0PAYMENTS";
    let ended = view(
        "succeeded",
        &json!({"ended_at": "2026-11-22T09:44:00Z",
        "explanation": "checkout in production runs `41` (2.13.4) again and is healthy"}),
    );
    let unknown = view(
        "outcome_unknown",
        &json!({"ended_at": "2026-11-22T09:44:00Z", "break_glass": true,
        "explanation": "the outcome of the rollback of checkout in production is unknown"}),
    );
    let in_doubt = view(
        "triggering",
        &json!({"in_doubt": true, "overdue": true,
        "explanation": "the CD system has not answered for 15 min; get it to answer, and this ends by itself"}),
    );
    let hangs = Blocked::new("CD system \"prod\"", now(), "it did not answer within 10 s")
        .meaning("Rollbacks of its services are refused.", None);
    let works = {
        let mut works = hangs.clone();
        works.over = Some(now());
        works
    };
    let what = "channel messages in C0PAYMENTS through slack";
    let archived = Blocked::new(what, now(), "the channel is archived")
        .meaning("These messages are missing.", Some("C0PAYMENTS".parse().unwrap()));
    let acted = |state: &str| {
        let finn = Actor::new("U06FINN".parse().unwrap());
        break_glass_message(&finn, Duty::Approve, &view(state, &json!({})), 1).unwrap()
    };
    let changed = |by: Changer, change: ServiceChange, glass: bool| {
        let key = ServiceKey::new("checkout".parse().unwrap(), "production".parse().unwrap());
        let mut changed = ServiceChanged::new(key, change, by, now());
        changed.through_break_glass = glass;
        posted(&changed_message(&changed, 1).unwrap())
    };
    let ana = || Changer::Person(Actor::new("U02ANA".parse().unwrap()));
    let ci = || Changer::Machine(Proposer::new("api:default", Some("the HTTP API".into())));
    let reason = || Reason::parse("no change before Monday\n<!channel> *please*").unwrap();
    let freeze =
        |until| ServiceChange::Freeze { name: "black friday".into(), until, reason: reason() };
    let marked = ServiceChange::MarkBad { revision: "41".parse().unwrap(), reason: reason() };
    let unmarked = ServiceChange::UnmarkBad { revision: "41".parse().unwrap(), reason: None };
    let unfrozen = ServiceChange::Unfreeze { name: "black friday".into(), reason: None };
    vec![
        ("frozen_until", changed(ana(), freeze(Some(now())), false)),
        ("frozen_by_a_machine", changed(ci(), freeze(None), false)),
        ("unfrozen_through_break_glass", changed(ana(), unfrozen, true)),
        ("marked_bad", changed(ana(), marked, false)),
        ("unmarked_bad", changed(ci(), unmarked, false)),
        ("not_working", posted(&blocked_message(&hangs, 1).unwrap())),
        ("working_again", posted(&blocked_message(&works, 2).unwrap())),
        ("channel_not_working", posted(&blocked_message(&archived, 1).unwrap())),
        ("break_glass_approved", posted(&acted("checking"))),
        ("break_glass_rejected", posted(&acted("withdrawn"))),
        ("private_denial", posted(&private_message(text, &denied).unwrap())),
        ("private_refusal", posted(&private_message(REFUSED, &denied).unwrap())),
        ("deployer_in_flight", posted(&deployer_message(&view("running", &json!({})), 1).unwrap())),
        ("deployer_ended", posted(&deployer_message(&ended, 2).unwrap())),
        ("on_call", posted(&on_call_message(&unknown, 1).unwrap())),
        ("on_call_in_doubt", posted(&on_call_message(&in_doubt, 1).unwrap())),
    ]
}

pub(crate) fn long(text: &str, chars: usize) -> String {
    text.chars().cycle().take(if text.is_empty() { 0 } else { chars }).collect()
}

/// A rollback into which somebody wrote this wherever words are taken.
pub(crate) fn hostile_view(state: &str, text: &str) -> RollbackView {
    let actor = json!({"id": "U02ANA", "name": text, "workspace": "T1"});
    let guard = json!({"name": text, "verdict": "block", "explanation": text});
    let reason: String = text.trim().chars().take(3_000).collect();
    view(
        state,
        &json!({
            "from": {"revision": "42", "version": text, "commit": text},
            "to": {"revision": "41", "version": text, "commit": text},
            "requested_by": actor, "approved_by": vec![&actor; 40], "approvals_min": 3,
            "reason": if reason.trim().is_empty() { Value::Null } else { json!(reason) },
            "guards": vec![guard; 61], "not_undone": vec![text; 40],
            "execution": {"backend": "prod", "id": text},
            "progress": {"phase": "started", "message": text},
            "explanation": text, "who_may": vec![text; 40], "rule": text, "break_glass": true,
            "proposed_by": {"id": text, "name": text}, "deployer": {"name": text, "email": text},
            "cancellable": true, "deadline": "2026-11-22T10:10:00Z",
        }),
    )
}

pub(crate) fn hostile_card(
    text: &str,
    rollback: Option<&RollbackView>,
    deployer_id: &str,
) -> DeployCard {
    let revision = json!({"id": "40", "version": text, "commit": text,
        "migrations": vec![json!({"id": text, "reversible": "unknown"}); 40]});
    let skipped = json!({"revision": revision, "skip": {"marked_bad": text}});
    card(&json!({
        "deploy": {"version": text, "commit": text, "changelog_url": text,
            "deployer": {"name": text, "slack_user_id": deployer_id},
            "migrations": vec![json!({"id": text, "reversible": "yes"}); 40]},
        "previous": {"revision": "41", "version": text},
        "choice": {"target": {"id": "41", "version": text, "commit": text}, "why": text,
            "skipped": vec![skipped; 40]},
        "rollback": rollback.map(|view| serde_json::to_value(view).unwrap()),
    }))
}

/// The longest that each view becomes: each text is cut where Slack would refuse it.
fn longest() -> Vec<(&'static str, Value)> {
    let text = long("& <b> \u{1f600} ", 10_000);
    let running = hostile_view("running", &text);
    let confirming = hostile_view("confirming", &text);
    let refused = hostile_view("refused", &text);
    let card = hostile_card(&text, Some(&refused), "U03BOB");
    let backdrop = Backdrop::new(Some(&card), now());
    let waits = hostile_view("approving", &text);
    vec![
        ("deploy", posted(&deploy_message(&card, u64::MAX).unwrap())),
        ("approval", posted(&approval_message(&waits, u64::MAX).unwrap())),
        ("modal_ready", modal(&confirm_modal(&confirming, backdrop).unwrap())),
        ("modal_blocked", modal(&confirm_modal(&refused, backdrop).unwrap())),
        ("line", posted(&thread_message(&running, &Line::Confirmed).unwrap())),
        ("direct", posted(&deployer_message(&refused, u64::MAX).unwrap())),
    ]
}

/// Everything, by name.
pub(crate) fn all() -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for (kind, views) in [
        ("deploy", deploys()),
        ("modal", modals()),
        ("modal", settlement_modals()),
        ("approval", approvals()),
        ("direct", directs()),
        ("longest", longest()),
    ] {
        all.extend(views.into_iter().map(|(name, view)| (format!("{kind}_{name}"), view)));
    }
    for (name, state, line, fields) in lines() {
        let line: Line = serde_json::from_value(line).unwrap();
        let message = thread_message(&view(state, &fields), &line).unwrap();
        all.push((format!("line_{name}"), posted(&message)));
    }
    let mut end = Head::genesis("default");
    (end.sequence, end.hash) = (4_711, Hash::of(b"the last record"));
    let ended = view("succeeded", &json!({}));
    let message = witnessed_thread_message(&ended, &Line::Ended, &end).unwrap();
    all.push(("line_ended_witnessed".into(), posted(&message)));
    let running =
        view("running", &json!({"execution": {"backend": "prod", "id": "web@1a2b3c4d#7"}}));
    let progress: Line =
        serde_json::from_value(json!({"phase": {"phase": "started", "message": "1 of 4 pods"}}))
            .unwrap();
    let story = [
        ThreadLine::new(&running, &Line::Triggered),
        ThreadLine::new(&running, &progress),
        ThreadLine::new(&ended, &Line::Ended).witnessed(&end),
    ];
    all.push(("lines_together".into(), posted(&lines_message(&story).unwrap())));
    let card = card(&json!({}));
    all.extend(called(Backdrop::new(Some(&card), now())));
    all
}

/// Revisions as Helm and Kubernetes identify them: people read what they are called.
fn called(backdrop: Backdrop<'_>) -> Vec<(String, Value)> {
    let (helm, again) = ("42@1a2b3c4d", "42@99887766");
    let pair = |from: &str, to: &str| {
        json!({"from": {"revision": from, "version": null, "commit": null},
            "to": {"revision": to, "version": "2.13.4", "commit": null}})
    };
    let helm_pair = pair(helm, "41@00112233");
    let modal_of =
        |fields: &Value| modal(&confirm_modal(&view("confirming", fields), backdrop).unwrap());
    let line = |fields: &Value| {
        posted(&thread_message(&view("running", fields), &Line::Confirmed).unwrap())
    };
    let deploy = card(&json!({
        "deploy": {"revision": helm}, "previous": {"revision": "41@00112233", "version": null},
        "choice": {"target": {"id": "41@00112233", "version": null}},
    }));
    vec![
        ("called_modal_helm".into(), modal_of(&helm_pair)),
        (
            "called_modal_kubernetes".into(),
            modal_of(&pair("web-6d4f9c8b7@1a2b3c4d", "web-5f7d@0a0b0c0d")),
        ),
        ("called_line_helm".into(), line(&helm_pair)),
        ("called_line_of_a_number_given_again".into(), line(&pair(helm, again))),
        ("called_deploy_helm".into(), posted(&deploy_message(&deploy, 1).unwrap())),
    ]
}
