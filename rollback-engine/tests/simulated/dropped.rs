//! Somebody asks for something and is gone before it is answered, at each place where that can be.

use super::people::{drain, polled};
use super::world::World;
use rollback_core::ports::{
    ClickedOn, CommandError, Commands, Consent, Journals as _, Query, Services as _,
};
use rollback_core::{Event, Plan, Proposer, Reason, RollbackView, StateName};
use rollback_engine::{Engine, Proposal};
use rollback_testkit::fixtures::{self, parsed};
use rollback_testkit::invariants::{Rest, violations};
use rollback_testkit::sim::{Draw, Swarm};
use std::sync::Arc;
use std::time::Duration;

/// Every command that changes something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Command {
    Deployed,
    Propose,
    Click,
    Confirm,
    Approve,
    Reject,
    Withdraw,
}

impl Command {
    pub const ALL: [Self; 7] = [
        Self::Deployed,
        Self::Propose,
        Self::Click,
        Self::Confirm,
        Self::Approve,
        Self::Reject,
        Self::Withdraw,
    ];
}

/// Nothing goes wrong; wherever a call waits, whoever made it can be gone.
const CALM: &str = "seed=1 replicas=1 services=1 rounds=1 approvals=1 compares=yes fence=yes \
                    drill=0 dropped=1";

/// What was seen of one caller.
pub struct Seen {
    /// Whether it was answered before it was gone.
    pub answered: bool,
    /// What does not hold.
    pub found: Vec<String>,
    /// Whether what it asked for is stored.
    pub stored: bool,
}

/// Lets somebody ask for this, gone after so many polls.
pub fn play(command: Command, polls: u64) -> Seen {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(played(command, polls))
}

async fn played(command: Command, polls: u64) -> Seen {
    let world = World::new(&Swarm::parse(CALM).unwrap(), None);
    world.boot();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let engine = world.engine(&mut Draw::new(1)).unwrap();
    let before = prepared(&world, &engine, command).await;
    let answered = polled(polls, said(&world, &engine, command, before.as_ref())).await.is_some();
    // Long enough for whatever was begun behind it, and for nothing else.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let stored = is_stored(&world, command, before.as_ref()).await;
    let mut found: Vec<String> =
        violations(&world.evidence(Rest::NotYet).await).iter().map(ToString::to_string).collect();
    // Whoever asks again is not hindered by the one who is gone.
    let again = said(&world, &engine, command, before.as_ref()).await;
    if let Err(error) = again {
        found.push(format!("it cannot be asked for again: {error}"));
    }
    world.heal();
    if !drain(&world, world.rest_within()).await {
        found.push(format!("it does not come to rest\n{}", world.unrest().await));
    }
    let evidence = world.evidence(Rest::Reached).await;
    found.extend(violations(&evidence).iter().map(ToString::to_string));
    Seen { answered, found, stored }
}

/// Everything that comes before the command.
async fn prepared(world: &Arc<World>, engine: &Engine, command: Command) -> Option<RollbackView> {
    if command == Command::Deployed {
        return None;
    }
    said(world, engine, Command::Deployed, None).await.unwrap();
    if matches!(command, Command::Propose | Command::Click) {
        return None;
    }
    said(world, engine, Command::Click, None).await.unwrap();
    let shown = |view: &RollbackView| !view.guards.is_empty();
    let view = until(world, shown).await;
    if matches!(command, Command::Confirm | Command::Withdraw) {
        return Some(view);
    }
    said(world, engine, Command::Confirm, Some(&view)).await.unwrap();
    Some(until(world, |view| view.state == StateName::Approving).await)
}

async fn until(world: &World, holds: impl Fn(&RollbackView) -> bool) -> RollbackView {
    loop {
        if let Some(view) = world.views().await.into_iter().find(&holds) {
            return view;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn said(
    world: &World,
    engine: &Engine,
    command: Command,
    on: Option<&RollbackView>,
) -> Result<(), CommandError> {
    let (key, ana) = (fixtures::key(), fixtures::ana().actor());
    let id = on.map(|view| view.id.clone());
    match command {
        Command::Deployed => {
            let deploy = world.deploy(&key, "42", "2.14.0");
            engine.deployed(deploy).await.map(drop)
        }
        Command::Propose => {
            let by = Proposer::new("agent-7", Some("Watcher".into()));
            engine.propose(Proposal::new(key, fixtures::reason(), by)).await.map(drop)
        }
        Command::Click => {
            let on = ClickedOn::Deploy(parsed(&format!("ci-{}-42", key.environment)));
            engine.click(&on, ana).await.map(drop)
        }
        Command::Confirm => {
            let view = on.unwrap().clone();
            let pair = Plan::new(view.key, view.from, view.to).unwrap().pair();
            let reason = Reason::parse("errors up").unwrap();
            engine.confirm(&view.id, ana, Consent::new(reason, pair)).await.map(drop)
        }
        Command::Approve => engine.approve(&id.unwrap(), fixtures::bo().actor()).await.map(drop),
        Command::Reject => engine.reject(&id.unwrap(), fixtures::bo().actor()).await.map(drop),
        Command::Withdraw => engine.withdraw(&id.unwrap(), ana).await.map(drop),
    }
}

async fn is_stored(world: &World, command: Command, on: Option<&RollbackView>) -> bool {
    let said = |event: &Event| match command {
        Command::Confirm => matches!(event, Event::ConfirmationGiven(_)),
        Command::Approve => matches!(event, Event::ApprovalGiven(_)),
        Command::Reject => matches!(event, Event::RejectionGiven(_)),
        Command::Withdraw => matches!(event, Event::WithdrawalGiven(_)),
        Command::Deployed | Command::Propose | Command::Click => false,
    };
    match on {
        Some(view) => {
            let journal = world.store.load(&view.id).await.unwrap().unwrap();
            journal.entries.iter().any(|entry| said(&entry.event))
        }
        None if command == Command::Deployed => {
            !world.store.deploys(&fixtures::key(), 1).await.unwrap().is_empty()
        }
        None => !world.store.list(&Query::all(9)).await.unwrap().is_empty(),
    }
}
