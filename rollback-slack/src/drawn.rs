//! A view that panics, or breaks a limit of Slack's, must not leave people without a word: the
//! essentials are told in plain text instead, by code that shares nothing with the views.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rollback_core::notice::{Blocked, DeployCard, Notice};
use rollback_core::{Actor, Deployer, Label, Purpose, RollbackView, ServiceChange, ServiceChanged};
use serde_json::json;

use crate::Json;
use crate::escape::{mrkdwn_line, plain_line};
use crate::views::{Breach, CONFIRM, Message};

/// Longest plain text, well below what a block holds.
const PLAIN_UNITS_MAX: usize = 1_500;

/// What a view makes, unless it makes nothing: then the log has why, and `plain` is what is left.
fn drawn<T>(
    what: &str,
    draw: impl FnOnce() -> Result<T, Breach>,
    plain: impl FnOnce() -> Option<T>,
) -> Option<T> {
    let drawing = || {
        #[cfg(test)]
        tests::panic_if_told_to();
        draw()
    };
    match catch_unwind(AssertUnwindSafe(drawing)) {
        Ok(Ok(done)) => return Some(done),
        Ok(Err(breach)) => {
            tracing::error!(what, %breach, "a view would break Slack's limits; the essentials are told in plain text");
        }
        Err(_panic) => {
            tracing::error!(what, "a view panicked; the essentials are told in plain text");
        }
    }
    plain()
}

/// What a view makes, or nothing, where something smaller is tried next.
pub(crate) fn if_it_can_be<T>(draw: impl FnOnce() -> Result<T, Breach>) -> Option<T> {
    catch_unwind(AssertUnwindSafe(draw)).ok()?.ok()
}

/// The message of a notice.
pub(crate) fn message(
    notice: &Notice,
    draw: impl FnOnce() -> Result<Message, Breach>,
) -> Option<Message> {
    drawn("message", draw, || {
        let words = essentials(notice);
        let block = json!([{"type": "section", "text": plain_text(&words)}]);
        let text = mrkdwn_line(&words, PLAIN_UNITS_MAX);
        Some(Message { text, blocks: Json::of(&block).ok()? })
    })
}

/// The essentials of a notice as text alone, for a Slack that does not take the blocks.
pub(crate) fn in_text(notice: &Notice) -> Option<Message> {
    let text = mrkdwn_line(&essentials(notice), PLAIN_UNITS_MAX);
    Some(Message { text, blocks: Json::of(&json!([])).ok()? })
}

/// The modal of a rollback. In plain text it can only be closed.
pub(crate) fn modal(
    view: &RollbackView,
    draw: impl FnOnce() -> Result<Json, Breach>,
) -> Option<Json> {
    drawn("modal", draw, || {
        let modal = json!({
            "type": "modal",
            "callback_id": CONFIRM,
            "title": plain_text("Rollback"),
            "close": plain_text("Close"),
            "blocks": [{"type": "section", "text": plain_text(&of_rollback(view))}],
        });
        Json::of(&modal).ok()
    })
}

fn plain_text(words: &str) -> serde_json::Value {
    let text = plain_line(words, PLAIN_UNITS_MAX);
    json!({"type": "plain_text", "emoji": false, "text": text})
}

/// Which service, how it stands, who, and which rollback.
fn essentials(notice: &Notice) -> String {
    match notice {
        Notice::Deploy(card) => of_deploy(card),
        Notice::Private { text, view, .. } => format!("{text}. {}", of_rollback(view)),
        Notice::Line { view, .. }
        | Notice::Approval(view)
        | Notice::Deployer { view, .. }
        | Notice::OnCall(view) => of_rollback(view),
        Notice::BreakGlass { by, view, .. } => {
            format!("{} acted through break-glass. {}", asked_by(by), of_rollback(view))
        }
        Notice::Blocked(blocked) => of_blocked(blocked),
        Notice::Changed(changed) => changed_words(changed),
    }
}

fn of_deploy(card: &DeployCard) -> String {
    let deploy = &card.deploy;
    let who = deploy.deployer.as_ref().and_then(named).unwrap_or("somebody");
    let deployed =
        format!("{}: {} was deployed by {who} ({})", deploy.key(), deploy.version, deploy.id);
    match &card.rollback {
        Some(view) => format!("{deployed}. {}", of_rollback(view)),
        None => deployed,
    }
}

fn of_rollback(view: &RollbackView) -> String {
    let what = match view.purpose {
        Purpose::Real => "rollback",
        Purpose::Drill => "drill",
    };
    let who = view.requested_by.as_ref().map_or("nobody yet", asked_by);
    format!(
        "{}: {what} {} from {} to {} is {}, asked for by {who}: {}. This could not be shown as usual; \
         the log has why",
        view.key, view.id, view.from, view.to, view.state, view.explanation
    )
}

fn changed_words(changed: &ServiceChanged) -> String {
    let (key, who) = (&changed.key, changed.by.name());
    match &changed.change {
        ServiceChange::Freeze { name, .. } => format!("{key} is frozen by `{name}`, set by {who}"),
        ServiceChange::Unfreeze { name, .. } => {
            format!("{who} lifted the freeze `{name}` of {key}")
        }
        ServiceChange::MarkBad { revision, .. } => {
            format!("{who} marked revision `{revision}` of {key} bad")
        }
        ServiceChange::UnmarkBad { revision, .. } => {
            format!("revision `{revision}` of {key} is no longer marked bad, says {who}")
        }
    }
}

fn of_blocked(blocked: &Blocked) -> String {
    match blocked.over {
        None => format!("Not working: {}: {}. {}", blocked.what, blocked.why, blocked.consequence),
        Some(_) => format!("Working again: {}", blocked.what),
    }
}

fn asked_by(actor: &Actor) -> &str {
    actor.name.as_ref().map_or(actor.id.as_str(), Label::as_str)
}

fn named(deployer: &Deployer) -> Option<&str> {
    deployer.name.as_ref().map(Label::as_str).or_else(|| deployer.email.as_ref().map(Label::as_str))
}

#[cfg(test)]
#[path = "../tests/it/fixtures/mod.rs"]
mod fixtures;

#[cfg(test)]
mod tests {
    use super::fixtures::{card, now, view};
    use super::*;
    use crate::views::confirm_modal;
    use crate::{SlackNotifier, WebApi, WebApiOptions};
    use local_slack::{Channel, LocalSlack, Options, User};
    use rollback_core::Line;
    use rollback_core::access::Duty;
    use rollback_core::notice::{Attempt, Delivered, Delivery};
    use rollback_core::ports::Notifier as _;
    use rollback_testkit::ManualClock;
    use std::cell::Cell;
    use std::sync::Arc;

    thread_local! {
        static PANICS: Cell<bool> = const { Cell::new(false) };
    }

    pub(super) fn panic_if_told_to() {
        assert!(!PANICS.get(), "a view panicked, as it was told to");
    }

    fn every_notice() -> Vec<Notice> {
        let view = || Box::new(view("running", &json!({"explanation": "the CD carries it out"})));
        let to: rollback_core::UserId = "U03BOB".parse().unwrap();
        vec![
            Notice::Deploy(Box::new(card(&json!({})))),
            Notice::Line { view: view(), line: Line::Confirmed },
            Notice::Approval(view()),
            Notice::Private { to: to.clone(), text: "you may not".into(), view: view() },
            Notice::Deployer { to, view: view() },
            Notice::OnCall(view()),
            Notice::BreakGlass {
                by: Actor::new("U06FINN".parse().unwrap()),
                duty: Duty::Approve,
                view: view(),
            },
            Notice::Blocked(Box::new(Blocked::new("the CD system \"prod\"", now(), "it hangs"))),
            Notice::Changed(Box::new(changed())),
        ]
    }

    fn changed() -> ServiceChanged {
        let key = rollback_core::ServiceKey::new(
            "checkout".parse().unwrap(),
            "production".parse().unwrap(),
        );
        let change = ServiceChange::Unfreeze { name: "holidays".into(), reason: None };
        let mut ana = Actor::new("U02ANA".parse().unwrap());
        ana.name = Some("Ana".into());
        ServiceChanged::new(key, change, rollback_core::Changer::Person(ana), now())
    }

    #[test]
    fn a_view_that_panics_or_breaks_a_limit_leaves_the_essentials_of_every_notice() {
        let limit = || Err(Breach::NotJson);
        let panics = || -> Result<Message, Breach> { panic!("a view panicked") };
        for notice in every_notice() {
            let told = message(&notice, panics).unwrap();
            assert_eq!(message(&notice, limit).unwrap(), told);
            let essential: &[&str] = match &notice {
                Notice::Deploy(_) => &["checkout", "production", "2.14.0", "Bob", "ci-4711"],
                Notice::Line { .. }
                | Notice::Approval(_)
                | Notice::Private { .. }
                | Notice::Deployer { .. }
                | Notice::OnCall(_)
                | Notice::BreakGlass { .. } => {
                    &["checkout", "production", "running", "Ana", "rb-1", "carries it out"]
                }
                Notice::Blocked(_) => &["CD system", "prod", "it hangs"],
                Notice::Changed(_) => &["checkout", "production", "holidays", "Ana"],
            };
            for word in essential {
                assert!(told.text.contains(word), "{word} is not in `{}`", told.text);
                assert!(told.blocks.as_str().contains(word), "{word} is not in {:?}", told.blocks);
            }
        }
    }

    #[test]
    fn what_others_wrote_is_no_markup_in_plain_text_either() {
        let view = Box::new(view("failed", &json!({"explanation": "<!channel> *x*\u{202e}"})));
        let told = message(&Notice::OnCall(view), || Err(Breach::NotJson)).unwrap();
        assert!(told.text.contains("&lt;!channel&gt;"), "{}", told.text);
        assert!(!told.blocks.as_str().contains('\u{202e}'), "{:?}", told.blocks);
        assert!(told.blocks.as_str().contains("plain_text"), "{:?}", told.blocks);
    }

    /// The next version of a message is drawn by its view again, in its place.
    #[tokio::test]
    async fn a_notice_whose_view_panics_is_posted_and_drawn_again_later() {
        let options = Options::default()
            .user(User::new("U02ANA", "Ana"))
            .channel(Channel::new("C0DEPLOYS", "deploys").members(["U02ANA"]));
        let slack = LocalSlack::start(options).await.unwrap();
        let options = WebApiOptions { base_url: slack.api_url(), ..WebApiOptions::default() };
        let api = WebApi::new("xoxb-local-slack".into(), options).unwrap();
        let notifier = SlackNotifier::new(api, Arc::new(ManualClock::starting_at(now())));
        let notice = Notice::Deploy(Box::new(card(&json!({}))));
        let channel: rollback_core::ChannelId = "C0DEPLOYS".parse().unwrap();
        let mut delivery = Delivery::new("deploy:ci-4711", 1, notice, channel);
        assert_eq!(delivery.attempt, Attempt::Clean);

        PANICS.set(true);
        let posted = notifier.deliver(&delivery).await;
        PANICS.set(false);
        let Ok(Delivered::Posted(at)) = posted else { panic!("it was not posted: {posted:?}") };
        let shown = || slack.call("conversations.history", r#"{"channel": "C0DEPLOYS"}"#);
        assert!(shown().contains("2.14.0 was deployed by Bob"), "{}", shown());
        assert!(!shown().contains("rollback_open"), "{}", shown());

        (delivery.version, delivery.previous) = (2, Some(at.clone()));
        assert_eq!(notifier.deliver(&delivery).await.unwrap(), Delivered::Posted(at));
        assert!(shown().contains("rollback_open"), "{}", shown());
    }

    #[test]
    fn a_modal_that_panics_says_how_it_stands_and_can_be_closed() {
        let view = view("confirming", &json!({}));
        PANICS.set(true);
        let plain = modal(&view, || panic!("never drawn"));
        PANICS.set(false);
        let plain = plain.unwrap();
        assert!(plain.as_str().contains("rb-1 from `42`"), "{plain:?}");
        assert!(plain.as_str().contains("Close"), "{plain:?}");
        assert!(!plain.as_str().contains("submit"), "{plain:?}");
        let drawn = modal(&view, || confirm_modal(&view, crate::views::Backdrop::new(None, now())));
        assert!(drawn.unwrap().as_str().contains("submit"));
    }
}
