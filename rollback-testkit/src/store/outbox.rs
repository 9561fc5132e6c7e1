//! The outbox: the latest of each message, in order, and a line once.

use super::{Failure, Outcome, ensure, nth, same, take};
use crate::fixtures::{ana, at, parsed};
use crate::script::{Ending, Script};
use rollback_core::notice::{Attempt, MessageRef, Notice};
use rollback_core::ports::{Instance, Queued, Store};
use rollback_core::{Label, Line, RollbackView, Timestamp};

pub(super) fn view(words: &str) -> Result<Box<RollbackView>, Failure> {
    let mut view = nth(&Script::new("rb-1").commits(Ending::Succeeded), 0)?.view;
    view.explanation = words.into();
    Ok(view)
}

/// A message of which the latest wins.
pub(super) fn latest(key: &str, words: &str) -> Result<Queued, Failure> {
    Ok(Queued::new("chat", key, Notice::Approval(view(words)?), parsed("C1")))
}

/// A line, which appears once.
pub(super) fn line(key: &str, words: &str) -> Result<Queued, Failure> {
    let notice = Notice::Line { view: view(words)?, line: Line::Confirmed };
    Ok(Queued::new("chat", key, notice, parsed("C1")))
}

pub(super) fn message(id: &str) -> MessageRef {
    MessageRef::new(parsed("C1"), id)
}

/// What is due: key, version and words of each.
async fn due(store: &dyn Store, now: Timestamp) -> Result<Vec<String>, Failure> {
    let due = store.due(now, 99).await?;
    Ok(due.iter().map(shown).collect())
}

pub(super) fn shown(queued: &Queued) -> String {
    let words = match &queued.notice {
        Notice::Approval(view)
        | Notice::OnCall(view)
        | Notice::Line { view, .. }
        | Notice::Private { view, .. }
        | Notice::BreakGlass { view, .. }
        | Notice::Deployer { view, .. } => view.explanation.as_str(),
        Notice::Deploy(_) => "a deploy",
        Notice::Blocked(blocked) => blocked.why.as_str(),
        Notice::Changed(_) => "a change of a service",
    };
    format!("{} v{} {words}", queued.key, queued.version)
}

/// When somebody who has taken nothing could take the next one.
async fn next(store: &dyn Store) -> Result<Option<Timestamp>, Failure> {
    Ok(store.next_due(&Instance::new("newcomer"), at(0)).await?)
}

pub(super) async fn are_due(store: &dyn Store, now: Timestamp, expected: &[&str]) -> Outcome {
    let expected: Vec<String> = expected.iter().map(|text| (*text).to_string()).collect();
    same("what is due", &due(store, now).await?, &expected)
}

async fn only(store: &dyn Store) -> Result<Queued, Failure> {
    let mut due = store.due(at(99), 99).await?;
    match (due.pop(), due.pop()) {
        (Some(one), None) => Ok(one),
        other => Err(Failure(format!("not exactly one notice is due: {other:?}"))),
    }
}

pub(super) async fn notices_are_due_in_the_order_of_first_queueing(store: &dyn Store) -> Outcome {
    are_due(store, at(0), &[]).await?;
    store.queue(vec![latest("b", "1")?, latest("a", "2")?]).await?;
    store.queue(vec![latest("c", "3")?, latest("b", "4")?]).await?;
    are_due(store, at(0), &["b v2 4", "a v1 2", "c v1 3"]).await
}

pub(super) async fn a_step_queues_its_notices(store: &dyn Store) -> Outcome {
    let commits = Script::new("rb-1").commits(Ending::Succeeded);
    let mut first = nth(&commits, 0)?;
    let mut private = latest("p", "")?;
    private.notice = Notice::Private { to: ana().id(), text: "hi".into(), view: view("ssh")? };
    first.notices = vec![latest("a", "1")?, line("l", "2")?.in_thread_of("a"), private.clone()];
    take(store, [first]).await?;
    are_due(store, at(0), &["a v1 1", "p v1 ssh"]).await?;
    let queued = store.due(at(0), 99).await?.pop();
    let queued = queued.ok_or_else(|| Failure("nothing is due".into()))?;
    same("the notice", &queued.notice, &private.notice)?;
    same("the channel", &queued.channel, &parsed("C1"))?;
    same("the attempt", &(queued.attempt, queued.attempts), &(Attempt::Clean, 0))
}

pub(super) async fn newer_content_replaces_what_was_not_delivered(store: &dyn Store) -> Outcome {
    for words in ["1", "2", "3"] {
        store.queue(vec![latest("a", words)?, line("l", words)?]).await?;
    }
    are_due(store, at(0), &["a v3 3", "l v3 3"]).await?;
    let mut moved = latest("a", "4")?.in_thread_of("l");
    moved.channel = parsed("C2");
    store.queue(vec![moved]).await?;
    are_due(store, at(0), &["l v3 3"]).await?;
    let parent = only(store).await?;
    store.delivered(&parent, Some(message("1.0"))).await?;
    let moved = only(store).await?;
    same("the channel", &moved.channel, &parsed("C2"))?;
    same("the thread", &moved.thread, &Some(message("1.0")))
}

pub(super) async fn what_was_delivered_is_brought_up_to_date(store: &dyn Store) -> Outcome {
    store.queue(vec![latest("a", "1")?]).await?;
    let first = only(store).await?;
    same("the message", &first.previous, &None)?;
    store.delivered(&first, Some(message("1.0"))).await?;
    are_due(store, at(99), &[]).await?;
    same("next", &next(store).await?, &None)?;
    let posted = store.message("chat", &"a".into()).await?;
    same("the message", &posted, &Some(message("1.0")))?;
    store.queue(vec![latest("a", "2")?]).await?;
    let second = only(store).await?;
    same("the version", &second.version, &2)?;
    same("the message to update", &second.previous, &Some(message("1.0")))?;
    // An update that answers with no message is of the message that is known.
    store.delivered(&second, None).await?;
    let posted = store.message("chat", &"a".into()).await?;
    same("the message", &posted, &Some(message("1.0")))?;
    same("another key", &store.message("chat", &"b".into()).await?, &None)?;
    same("another notifier", &store.message("mail", &"a".into()).await?, &None)
}

pub(super) async fn a_delivery_is_of_one_version(store: &dyn Store) -> Outcome {
    store.queue(vec![latest("a", "1")?]).await?;
    let first = only(store).await?;
    store.queue(vec![latest("a", "2")?]).await?;
    store.delivered(&first, Some(message("1.0"))).await?;
    are_due(store, at(0), &["a v2 2"]).await?;
    let second = only(store).await?;
    same("the message to update", &second.previous, &Some(message("1.0")))
}

pub(super) async fn a_line_that_was_delivered_is_never_queued_again(store: &dyn Store) -> Outcome {
    let mut private = latest("p", "1")?;
    private.notice = Notice::Private { to: ana().id(), text: "no".into(), view: view("1")? };
    for once in [line("l", "1")?, private] {
        store.queue(vec![once.clone()]).await?;
        let queued = only(store).await?;
        store.delivered(&queued, None).await?;
        store.queue(vec![once]).await?;
        are_due(store, at(99), &[]).await?;
    }
    Ok(())
}

pub(super) async fn a_line_queued_again_while_it_is_delivered_appears_once(
    store: &dyn Store,
) -> Outcome {
    store.queue(vec![line("l", "1")?]).await?;
    let first = only(store).await?;
    store.queue(vec![line("l", "2")?]).await?;
    store.delivered(&first, Some(message("1.0"))).await?;
    are_due(store, at(99), &[]).await?;
    same("the message", &store.message("chat", &"l".into()).await?, &Some(message("1.0")))
}

pub(super) async fn what_belongs_in_a_thread_waits_for_its_message(store: &dyn Store) -> Outcome {
    store.queue(vec![line("l1", "1")?.in_thread_of("a"), line("l2", "2")?]).await?;
    are_due(store, at(99), &["l2 v1 2"]).await?;
    store.queue(vec![latest("a", "3")?, line("l3", "4")?.in_thread_of("a")]).await?;
    are_due(store, at(99), &["l2 v1 2", "a v1 3"]).await?;
    let parent = store.due(at(99), 99).await?.pop();
    let parent = parent.ok_or_else(|| Failure("the message is not due".into()))?;
    store.delivered(&parent, Some(message("1.0"))).await?;
    are_due(store, at(99), &["l1 v1 1", "l2 v1 2", "l3 v1 4"]).await?;
    let threads: Vec<_> = store.due(at(99), 99).await?.into_iter().map(|q| q.thread).collect();
    same("the threads", &threads, &vec![Some(message("1.0")), None, Some(message("1.0"))])?;
    // What is told anew about the message does not hold its thread up.
    store.queue(vec![latest("a", "5")?]).await?;
    are_due(store, at(99), &["l1 v1 1", "l2 v1 2", "a v2 5", "l3 v1 4"]).await
}

pub(super) async fn a_line_does_not_overtake_one_that_waits(store: &dyn Store) -> Outcome {
    store.queue(vec![latest("a", "1")?]).await?;
    store.delivered(&only(store).await?, Some(message("1.0"))).await?;
    store.queue(vec![line("l1", "2")?.in_thread_of("a")]).await?;
    store.postpone(&only(store).await?, at(10), Attempt::InDoubt).await?;
    let elsewhere = line("l3", "4")?;
    store.queue(vec![line("l2", "3")?.in_thread_of("a"), elsewhere]).await?;
    are_due(store, at(9), &["l3 v1 4"]).await?;
    store.delivered(&only_of(store, "l3").await?, Some(message("3.0"))).await?;
    same("next", &next(store).await?, &Some(at(10)))?;
    are_due(store, at(10), &["l1 v1 2", "l2 v1 3"]).await?;
    store.delivered(&only_of(store, "l1").await?, Some(message("2.0"))).await?;
    are_due(store, at(0), &["l2 v1 3"]).await
}

async fn only_of(store: &dyn Store, key: &str) -> Result<Queued, Failure> {
    let due = store.due(at(99), 99).await?;
    let found = due.into_iter().find(|queued| queued.key.as_str() == key);
    found.ok_or_else(|| Failure(format!("`{key}` is not due")))
}

pub(super) async fn a_thread_without_a_message_is_waited_for_by_nobody(
    store: &dyn Store,
) -> Outcome {
    for parent in ["told", "given-up"] {
        store.queue(vec![latest(parent, "1")?]).await?;
        let queued = only(store).await?;
        store.queue(vec![line(&format!("l-{parent}"), "2")?.in_thread_of(parent)]).await?;
        if parent == "told" {
            store.delivered(&queued, None).await?;
        } else {
            store.abandon(&queued, "the channel is gone").await?;
        }
        let line = only(store).await?;
        same("the thread", &line.thread, &None)?;
        same("what it belongs to", &line.thread_key, &Some(Label::new(parent)))?;
        store.delivered(&line, Some(message("2.0"))).await?;
    }
    // A message that is to be posted after all is waited for again.
    store.queue(vec![latest("given-up", "3")?, line("l", "4")?.in_thread_of("given-up")]).await?;
    are_due(store, at(99), &["given-up v2 3"]).await
}

pub(super) async fn a_thread_of_another_notifier_is_another_thread(store: &dyn Store) -> Outcome {
    store.queue(vec![latest("a", "1")?]).await?;
    let parent = only(store).await?;
    store.delivered(&parent, Some(message("1.0"))).await?;
    let mut elsewhere = line("l", "2")?.in_thread_of("a");
    elsewhere.notifier = "mail".into();
    let mut same_key = latest("a", "3")?;
    same_key.notifier = "mail".into();
    store.queue(vec![elsewhere]).await?;
    are_due(store, at(99), &[]).await?;
    store.queue(vec![same_key]).await?;
    are_due(store, at(99), &["a v1 3"]).await?;
    same("the message to update", &only(store).await?.previous, &None)
}

pub(super) async fn a_postponed_notice_waits_with_whatever_is_newest(store: &dyn Store) -> Outcome {
    store.queue(vec![latest("a", "1")?]).await?;
    let first = only(store).await?;
    store.postpone(&first, at(10), Attempt::InDoubt).await?;
    are_due(store, at(9), &[]).await?;
    same("next", &next(store).await?, &Some(at(10)))?;
    store.queue(vec![latest("a", "2")?]).await?;
    are_due(store, at(9), &[]).await?;
    are_due(store, at(10), &["a v2 2"]).await?;
    let second = only(store).await?;
    same("the attempt", &(second.attempt, second.attempts), &(Attempt::InDoubt, 1))?;
    // The word about the first attempt is late; it holds for the message all the same.
    store.postpone(&first, at(20), Attempt::Clean).await?;
    let second = only(store).await?;
    same("the attempt", &(second.attempt, second.attempts), &(Attempt::Clean, 2))?;
    are_due(store, at(19), &[]).await?;
    store.delivered(&second, Some(message("1.0"))).await?;
    store.queue(vec![latest("a", "3")?]).await?;
    are_due(store, at(0), &["a v3 3"]).await?;
    let third = only(store).await?;
    same("the attempt", &(third.attempt, third.attempts), &(Attempt::Clean, 0))
}

pub(super) async fn an_abandoned_notice_is_due_again_only_with_new_content(
    store: &dyn Store,
) -> Outcome {
    store.queue(vec![latest("a", "1")?]).await?;
    let first = only(store).await?;
    store.postpone(&first, at(10), Attempt::InDoubt).await?;
    let first = only(store).await?;
    store.abandon(&first, "too many blocks").await?;
    are_due(store, at(99), &[]).await?;
    same("next", &next(store).await?, &None)?;
    store.queue(vec![latest("a", "2")?]).await?;
    are_due(store, at(0), &["a v2 2"]).await?;
    let second = only(store).await?;
    // Whether the first was posted is still not known.
    same("the attempt", &(second.attempt, second.attempts), &(Attempt::InDoubt, 0))
}

pub(super) async fn an_abandoned_line_stays_abandoned(store: &dyn Store) -> Outcome {
    store.queue(vec![line("l", "1")?]).await?;
    let queued = only(store).await?;
    store.abandon(&queued, "the channel is gone").await?;
    store.queue(vec![line("l", "1")?]).await?;
    are_due(store, at(99), &[]).await
}

pub(super) async fn abandoning_an_old_version_leaves_the_newer_one_due(
    store: &dyn Store,
) -> Outcome {
    store.queue(vec![latest("a", "1")?]).await?;
    let first = only(store).await?;
    store.postpone(&first, at(10), Attempt::Clean).await?;
    store.queue(vec![latest("a", "2")?]).await?;
    store.abandon(&first, "too many blocks").await?;
    are_due(store, at(0), &["a v2 2"]).await?;
    same("the attempts", &only(store).await?.attempts, &0)
}

pub(super) async fn stale_words_about_a_notice_change_nothing(store: &dyn Store) -> Outcome {
    store.queue(vec![latest("a", "1")?]).await?;
    let first = only(store).await?;
    store.delivered(&first, Some(message("1.0"))).await?;
    store.queue(vec![latest("a", "2")?]).await?;
    let second = only(store).await?;
    store.delivered(&first, Some(message("9.9"))).await?;
    store.postpone(&first, at(50), Attempt::InDoubt).await?;
    store.abandon(&first, "late").await?;
    let mut early = second.clone();
    early.version = 7;
    store.delivered(&early, Some(message("9.9"))).await?;
    store.postpone(&early, at(50), Attempt::InDoubt).await?;
    store.abandon(&early, "early").await?;
    let mut unknown = second.clone();
    unknown.key = "never queued".into();
    store.delivered(&unknown, Some(message("9.9"))).await?;
    store.postpone(&unknown, at(50), Attempt::InDoubt).await?;
    store.abandon(&unknown, "never queued").await?;
    are_due(store, at(0), &["a v2 2"]).await?;
    same("the notice", &only(store).await?, &second)?;
    store.abandon(&second, "given up").await?;
    store.postpone(&second, at(50), Attempt::Clean).await?;
    are_due(store, at(99), &[]).await
}

pub(super) async fn the_next_notice_is_the_first_that_nothing_holds_up(
    store: &dyn Store,
) -> Outcome {
    same("next", &next(store).await?, &None)?;
    store.queue(vec![line("l", "1")?.in_thread_of("a")]).await?;
    same("next", &next(store).await?, &None)?;
    store.queue(vec![latest("a", "2")?, latest("b", "3")?]).await?;
    let now = next(store).await?;
    ensure(now.is_some_and(|next| next <= at(0)), "what is due is not next")?;
    for (queued, until) in store.due(at(0), 99).await?.iter().zip([30, 20]) {
        store.postpone(queued, at(until), Attempt::Clean).await?;
    }
    same("next", &next(store).await?, &Some(at(20)))?;
    are_due(store, at(20), &["b v1 3"]).await
}

pub(super) async fn what_is_neither_delivered_nor_given_up_waits(store: &dyn Store) -> Outcome {
    same("at the start", &store.waiting().await?, &0)?;
    let in_thread = line("l", "1")?.in_thread_of("a");
    store.queue(vec![latest("a", "2")?, latest("b", "3")?, in_thread]).await?;
    same("what waits", &store.waiting().await?, &3)?;
    let due = store.due(at(0), 99).await?;
    let [a, b] = due.as_slice() else { return Err(Failure(format!("{due:?} is due"))) };
    store.postpone(a, at(50), Attempt::Clean).await?;
    same("what is postponed waits, too", &store.waiting().await?, &3)?;
    store.delivered(a, Some(message("1.1"))).await?;
    store.abandon(b, "given up").await?;
    same("what waits", &store.waiting().await?, &1)?;
    store.queue(vec![latest("a", "4")?]).await?;
    same("what waits with new content", &store.waiting().await?, &2)
}

pub(super) async fn no_more_notices_are_due_than_were_asked_for(store: &dyn Store) -> Outcome {
    store.queue(vec![latest("a", "1")?, latest("b", "2")?, latest("c", "3")?]).await?;
    for limit in [0, 1, 2] {
        same("how many are due", &store.due(at(0), limit).await?.len(), &limit)?;
    }
    same("how many are due", &store.due(at(0), usize::MAX).await?.len(), &3)
}
