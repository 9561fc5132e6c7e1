//! Every record of a rollback as an event: from the first, live, resumable, and then the end.

use crate::stage::{NEXT_TOKEN, Setup, Stage, TOKEN, answer, deploy, proposal, until};
use futures_util::StreamExt;
use rollback_core::audit::Record;
use rollback_core::ports::Query;
use rollback_testkit::fixtures::{self, parsed};
use rollback_testkit::script::{Ending, Script};
use std::time::Duration;

/// One event, and what was read of it.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Event {
    id: String,
    kind: String,
    data: String,
}

/// Reads a stream as a browser does: lines, fields, a blank line after each event.
fn parse(text: &str) -> Vec<Event> {
    let blocks = text.split("\n\n").filter(|block| !block.is_empty() && !block.starts_with(':'));
    let field = |block: &str, name: &str| {
        let prefix = format!("{name}: ");
        let lines: Vec<&str> =
            block.lines().filter_map(|line| line.strip_prefix(&prefix)).collect();
        assert_eq!(lines.len(), 1, "{name} in {block:?}");
        lines[0].to_owned()
    };
    let event = |block: &str| Event {
        id: field(block, "id"),
        kind: field(block, "event"),
        data: field(block, "data"),
    };
    blocks.map(event).collect()
}

async fn records(stage: &Stage, id: &str) -> Vec<Record> {
    let mut query = Query::all(1_000);
    query.rollback = Some(parsed(id));
    stage.store.audit(&query).await.unwrap()
}

async fn expected(stage: &Stage, id: &str) -> Vec<Event> {
    let event = |record: &Record| Event {
        id: record.sequence.to_string(),
        kind: record.draft.kind.as_str().to_owned(),
        data: record.canonical().unwrap(),
    };
    records(stage, id).await.iter().map(event).collect()
}

#[tokio::test]
async fn a_stream_that_is_opened_early_tells_every_record_as_it_comes_and_ends_after_the_last() {
    let stage = Stage::new().await;
    stage.post("/v1/deploys", &deploy()).await;
    let id = stage.post("/v1/rollbacks", &proposal()).await.json()["id"].clone();
    let id = id.as_str().unwrap().to_owned();
    let path = format!("/v1/rollbacks/{id}/events");
    let response = stage.call("GET", &path).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut stream = response.bytes_stream();
    let mut text = String::new();
    while !text.contains("event: requested") {
        text.push_str(str::from_utf8(&stream.next().await.unwrap().unwrap()).unwrap());
    }
    let view = stage.roll_back("ci-42", &fixtures::ana()).await;
    assert_eq!(view.id.as_str(), id, "the button stands for the proposal");
    while let Some(chunk) = stream.next().await {
        text.push_str(str::from_utf8(&chunk.unwrap()).unwrap());
    }
    let told = parse(&text);
    assert_eq!(told, expected(&stage, &id).await);
    let kinds: Vec<&str> = told.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds.first(), Some(&"requested"), "{kinds:?}");
    assert_eq!(kinds.last(), Some(&"succeeded"));
    assert!(kinds.contains(&"confirmed") && kinds.contains(&"triggered"), "{kinds:?}");
}

#[tokio::test]
async fn a_stream_that_is_opened_after_the_end_tells_everything_and_ends() {
    let stage = Stage::new().await;
    let view = stage.rolled_back().await;
    let told = stage.get(&format!("/v1/rollbacks/{}/events", view.id)).await;
    assert_eq!(parse(&told.text), expected(&stage, view.id.as_str()).await);
}

#[tokio::test]
async fn a_reader_that_was_cut_off_goes_on_after_the_last_event_it_has() {
    let stage = Stage::new().await;
    let view = stage.rolled_back().await;
    let path = format!("/v1/rollbacks/{}/events", view.id);
    let all = expected(&stage, view.id.as_str()).await;
    for (place, event) in all.iter().enumerate() {
        let request = stage.call("GET", &path).header("last-event-id", &event.id);
        let told = answer(request).await;
        let rest = &all[place + 1..];
        assert_eq!(parse(&told.text), rest);
        let status = if rest.is_empty() { 204 } else { 200 };
        assert_eq!(told.status, status, "204 tells a browser not to come back");
    }
    let beyond = stage.call("GET", &path).header("last-event-id", "9007199254740991");
    assert_eq!(answer(beyond).await.status, 204);
    for bad in ["-1", "x", "1.5", "9007199254740993"] {
        let request = stage.call("GET", &path).header("last-event-id", bad);
        let problem = answer(request).await.problem(400);
        assert_eq!(problem["errors"][0]["header"], "last-event-id");
    }
}

#[tokio::test]
async fn a_rollback_that_another_process_drives_is_followed_through_the_store() {
    let mut setup = Setup { runs: false, ..Setup::default() };
    setup.api.look_every = Duration::from_millis(20);
    let stage = Stage::with(setup).await;
    let mut commits = Script::new("rb-far").commits(Ending::Succeeded).into_iter();
    stage.store.commit(commits.next().unwrap()).await.unwrap();
    let reading = tokio::spawn(answer(stage.call("GET", "/v1/rollbacks/rb-far/events")));
    for commit in commits {
        assert!(!reading.is_finished(), "it ended before the end");
        stage.store.commit(commit).await.unwrap();
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    let told = reading.await.unwrap();
    assert_eq!(parse(&told.text), expected(&stage, "rb-far").await);
}

#[tokio::test]
async fn an_unknown_outcome_is_followed_until_somebody_settles_it() {
    let mut setup = Setup { runs: false, ..Setup::default() };
    setup.api.look_every = Duration::from_millis(20);
    let stage = Stage::with(setup).await;
    let mut commits = Script::new("rb-1").commits(Ending::Settled);
    let settling = commits.pop().unwrap();
    for commit in commits {
        stage.store.commit(commit).await.unwrap();
    }
    let reading = tokio::spawn(answer(stage.call("GET", "/v1/rollbacks/rb-1/events")));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!reading.is_finished(), "it may still be settled");
    stage.store.commit(settling).await.unwrap();
    let told = parse(&reading.await.unwrap().text);
    assert_eq!(told.last().unwrap().kind, "settled");
    assert_eq!(told, expected(&stage, "rb-1").await);
}

/// A stage with one rollback that stays open.
async fn waiting(mut setup: Setup) -> Stage {
    setup.runs = false;
    let stage = Stage::with(setup).await;
    let first = Script::new("rb-1").commits(Ending::Succeeded).into_iter().next().unwrap();
    stage.store.commit(first).await.unwrap();
    stage
}

#[tokio::test]
async fn a_stream_with_nothing_to_tell_says_so_and_lasts_only_so_long() {
    let mut setup = Setup::default();
    setup.api.look_every = Duration::from_millis(10);
    setup.api.keep_alive = Duration::from_millis(50);
    setup.api.stream_for = Duration::from_millis(400);
    let stage = waiting(setup).await;
    let told = stage.get("/v1/rollbacks/rb-1/events").await;
    let comments = told.text.split("\n\n").filter(|block| block.starts_with(':')).count();
    assert!((2..=9).contains(&comments), "{told:?}");
}

#[tokio::test]
async fn streams_are_few_for_each_token_and_for_all_and_a_closed_one_makes_room() {
    let mut setup = Setup::default();
    (setup.api.streams_per_token, setup.api.streams_max) = (2, 3);
    setup.api.keep_alive = Duration::from_millis(20);
    setup.api.look_every = Duration::from_millis(20);
    let stage = waiting(setup).await;
    let open = |token: &str| {
        let request = stage.request("GET", "/v1/rollbacks/rb-1/events").bearer_auth(token);
        async move { request.send().await.unwrap() }
    };
    let (first, second) = (open(TOKEN).await, open(TOKEN).await);
    assert!(first.status().is_success() && second.status().is_success());
    let refused = answer(stage.call("GET", "/v1/rollbacks/rb-1/events")).await;
    refused.problem(429);
    assert!(!refused.header("retry-after").is_empty());
    let third = open(NEXT_TOKEN).await;
    assert_eq!(third.status(), 200);
    let fourth = open(NEXT_TOKEN).await;
    assert_eq!(fourth.status(), 429, "three is the most for all");
    drop(first);
    until("room for another", async || (open(NEXT_TOKEN).await.status() == 200).then_some(()))
        .await;
    assert_eq!(stage.get("/v1/rollbacks").await.status, 200, "only streams are few");
    drop((second, third));
}

#[tokio::test]
async fn a_stop_ends_every_stream_and_the_server() {
    let stage = Stage::new().await;
    stage.post("/v1/deploys", &deploy()).await;
    stage.post("/v1/rollbacks", &proposal()).await;
    let reading = tokio::spawn(answer(stage.call("GET", "/v1/rollbacks/rb-2/events")));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!reading.is_finished());
    let began = std::time::Instant::now();
    stage.stop.cancel();
    assert_eq!(reading.await.unwrap().status, 200, "it is ended, not broken off");
    stage.served.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
