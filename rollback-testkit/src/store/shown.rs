//! What the message of a deploy shows, and the last record of a rollback.

use super::{Failure, Outcome, same, take};
use crate::fixtures::{at, parsed};
use crate::script::{Ending, Script};
use rollback_core::ports::{Query, Store};
use rollback_core::{Prominence, RollbackId};

/// How many rollbacks are opened after the one that stands: more than any list that a person reads.
const OPENED_SINCE: u64 = 120;

const DEPLOY: &str = "ci-42";

fn script(id: &str, seconds: u64) -> Script {
    Script::new(id).from_message_of(DEPLOY).opened_at(at(seconds))
}

async fn shown(store: &dyn Store, deploy: &str) -> Result<Option<RollbackId>, Failure> {
    Ok(store.shown(&parsed(deploy)).await?.map(|view| view.id))
}

pub(super) async fn what_stands_is_shown_however_many_were_opened_since(
    store: &dyn Store,
) -> Outcome {
    same("what nobody opened", &shown(store, DEPLOY).await?, &None)?;
    let commits = script("rb-stands", 0).commits(Ending::Unknown);
    for number in 1..=OPENED_SINCE {
        let opened = script(&format!("rb-refused-{number}"), 1_000 + number);
        take(store, opened.commits(Ending::Refused)).await?;
    }
    let newest: RollbackId = parsed(&format!("rb-refused-{OPENED_SINCE}"));
    same("what is shown", &shown(store, DEPLOY).await?, &Some(newest.clone()))?;
    for commit in commits {
        let view = (*commit.view).clone();
        take(store, [commit]).await?;
        let stands = view.prominence() > Prominence::Refused;
        let expected = if stands { view.id.clone() } else { newest.clone() };
        same(view.state.as_str(), &shown(store, DEPLOY).await?, &Some(expected))?;
        if stands {
            same("its view", &store.shown(&parsed(DEPLOY)).await?, &Some(view))?;
        }
    }
    Ok(())
}

pub(super) async fn of_equal_ones_the_newest_is_shown_and_only_that_of_its_deploy(
    store: &dyn Store,
) -> Outcome {
    for (id, seconds) in [("rb-1", 0), ("rb-3", 200), ("rb-2", 100)] {
        take(store, script(id, seconds).commits(Ending::Succeeded)).await?;
    }
    same("the newest", &shown(store, DEPLOY).await?, &Some(parsed("rb-3")))?;
    take(store, script("rb-4", 200).commits(Ending::Failed)).await?;
    same("of two at once the later", &shown(store, DEPLOY).await?, &Some(parsed("rb-4")))?;
    take(store, script("rb-5", 300).commits(Ending::Refused)).await?;
    same("not one that was refused", &shown(store, DEPLOY).await?, &Some(parsed("rb-4")))?;
    let looked: Vec<_> =
        script("rb-6", 400).commits(Ending::Succeeded).into_iter().take(2).collect();
    take(store, looked).await?;
    same("nor one that is looked at", &shown(store, DEPLOY).await?, &Some(parsed("rb-4")))?;
    let elsewhere = Script::new("rb-7").opened_at(at(500)).of("mail", "production");
    take(store, elsewhere.from_message_of("ci-7").commits(Ending::Unknown)).await?;
    same("of another deploy", &shown(store, "ci-7").await?, &Some(parsed("rb-7")))?;
    same("of this one", &shown(store, DEPLOY).await?, &Some(parsed("rb-4")))
}

pub(super) async fn the_last_record_of_a_rollback_is_read_by_itself(store: &dyn Store) -> Outcome {
    let id: RollbackId = parsed("rb-1");
    same("of none", &store.last_record(&id).await?, &None)?;
    let first = script("rb-1", 0).commits(Ending::Succeeded);
    let other = Script::new("rb-2").of("mail", "production").commits(Ending::Failed);
    let longest = first.len().max(other.len());
    for place in 0..longest {
        take(store, first.get(place).cloned()).await?;
        take(store, other.get(place).cloned()).await?;
        for id in [&id, &parsed("rb-2")] {
            let mut query = Query::all(1_000);
            query.rollback = Some(id.clone());
            let last = store.audit(&query).await?.pop();
            same("the last record", &store.last_record(id).await?, &last)?;
        }
    }
    Ok(())
}
