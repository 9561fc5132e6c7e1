//! What people do, and what is done past us. Everything follows from what they see.

use super::world::World;
use rollback_core::ports::{ClickedOn, Commands, Consent};
use rollback_core::{Outcome, Plan, Proposer, Reason, RollbackView, ServiceKey, StateName};
use rollback_engine::{Engine, Proposal};
use rollback_testkit::fakes::InDeploy;
use rollback_testkit::fixtures::{self, Person, parsed};
use rollback_testkit::sim::{Class, Draw};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// How long somebody waits for an answer before they take it that there is none.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often the engine is asked at most by somebody who is gone before it answers.
const POLLS_MAX: u64 = 24;

/// How long people look at what is unknown before they settle it.
const LOOKS_FOR: u64 = 120;

/// One deploy that people want to undo.
struct Round {
    number: u64,
    revision: String,
    reported: bool,
    clicks: u64,
}

struct Crowd<'a> {
    world: &'a Arc<World>,
    draw: Draw,
    rounds: BTreeMap<ServiceKey, Round>,
}

/// Asks a future so often at most, and then drops it.
pub async fn polled<F: Future>(most: u64, future: F) -> Option<F::Output> {
    let (mut future, mut polls) = (Box::pin(future), 0);
    std::future::poll_fn(move |context| {
        if polls == most {
            return Poll::Ready(None);
        }
        polls += 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

/// Lets people act while everything may go wrong.
pub async fn trouble(world: &Arc<World>, most: Duration) {
    let mut crowd = Crowd::new(world);
    while world.elapsed() < most {
        let pause = crowd.draw.within(Duration::from_secs(3));
        tokio::time::sleep(Duration::from_millis(200) + pause).await;
        crowd.world_moves();
        if crowd.act().await {
            return;
        }
    }
}

/// Waits until everything has ended; people only settle what is unknown or takes too long. False when it does not.
pub async fn drain(world: &Arc<World>, most: Duration) -> bool {
    let mut crowd = Crowd::new(world);
    let until = tokio::time::Instant::now() + most;
    while tokio::time::Instant::now() < until {
        tokio::time::sleep(Duration::from_secs(3)).await;
        if world.at_rest().await {
            return true;
        }
        for view in world.views().await {
            crowd.settle(&view);
            crowd.release(&view);
        }
    }
    false
}

impl Round {
    const fn new(number: u64, revision: String) -> Self {
        Self { number, revision, reported: false, clicks: 0 }
    }
}

impl<'a> Crowd<'a> {
    fn new(world: &'a Arc<World>) -> Self {
        let round = |key: ServiceKey| (key, Round::new(1, "42".into()));
        let rounds = world.swarm().keys().into_iter().map(round).collect();
        Self { world, draw: Draw::stream(world.swarm().seed, 2_000), rounds }
    }

    /// Somebody does this with one of the processes, as long as their patience lasts.
    fn does<F>(&mut self, what: impl FnOnce(Engine) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Some(engine) = self.world.engine(&mut self.draw) else { return };
        let done = what(engine);
        let weather = &self.world.weather;
        let polls = weather
            .strikes(Class::Dropped)
            .then(|| weather.draw(Class::Dropped, |draw| draw.below(POLLS_MAX)));
        drop(tokio::spawn(async move {
            match polls {
                Some(polls) => drop(polled(polls, done).await),
                None => drop(tokio::time::timeout(PATIENCE, done).await),
            }
        }));
    }

    /// Once, or as often as impatient people do it.
    fn times(&mut self) -> u64 {
        if self.world.weather.strikes(Class::Impatient) { 2 + self.draw.below(4) } else { 1 }
    }

    /// What happens past us.
    fn world_moves(&mut self) {
        let weather = Arc::clone(&self.world.weather);
        for (key, round) in &self.rounds {
            let cd = Arc::clone(&self.world.cds[key]);
            if weather.strikes(Class::Overtaken) {
                let id = format!("9{}{}", round.number, self.world.elapsed().as_secs());
                cd.deploy(fixtures::revision(&id, "3.0.0", self.world.now()));
            }
            if weather.strikes(Class::ByHand) {
                let to = weather.draw(Class::ByHand, |draw| draw.one_of(&["40", "42"]));
                cd.put_live(&parsed(to));
            }
            if weather.strikes(Class::CdBusy) {
                cd.deploying(InDeploy::Yes);
                let lasts = weather.wait(Class::CdBusy, Duration::from_secs(60));
                drop(tokio::spawn(async move {
                    tokio::time::sleep(lasts).await;
                    cd.deploying(InDeploy::No);
                }));
            }
        }
        if weather.strikes(Class::Revoked) {
            let mut ana = fixtures::ana();
            ana.groups.clear();
            ana.account = rollback_core::access::Account::Deactivated;
            self.world.directory.put(ana);
            let lasts = weather.wait(Class::Revoked, Duration::from_secs(60));
            let directory = Arc::clone(&self.world.directory);
            drop(tokio::spawn(async move {
                tokio::time::sleep(lasts).await;
                directory.put(fixtures::ana());
            }));
        }
    }

    /// Everybody does something. True when nobody has anything left to do.
    async fn act(&mut self) -> bool {
        let views = self.world.views().await;
        let mut content = true;
        let keys: Vec<ServiceKey> = self.rounds.keys().cloned().collect();
        for key in keys {
            let open = views.iter().any(|view| view.key == key && !view.state.is_end());
            content &= !self.undo(&key, open, &views) && !open;
        }
        for view in &views {
            if !view.state.is_end() || view.state == StateName::OutcomeUnknown {
                self.answer(view);
            }
        }
        content
    }

    /// Goes on with the round of a service. False when all rounds are over.
    fn undo(&mut self, key: &ServiceKey, open: bool, views: &[RollbackView]) -> bool {
        let rounds = self.world.swarm().rounds;
        let (number, revision) = {
            let round = &self.rounds[key];
            (round.number, round.revision.clone())
        };
        let id = format!("ci-{}-{revision}", key.environment);
        let of = |view: &&RollbackView| {
            view.key == *key && view.deploy.as_ref().is_some_and(|of| of.as_str() == id)
        };
        let clicked = views.iter().filter(of).count();
        let round = self.rounds.get_mut(key).unwrap();
        if !round.reported || (clicked == 0 && round.clicks.is_multiple_of(4)) {
            // It is reported until it is known; again changes nothing.
            round.reported = true;
            round.clicks += 1;
            let (world, key) = (Arc::clone(self.world), key.clone());
            let version = format!("2.{}.0", 13 + number);
            self.does(|engine| async move {
                drop(engine.deployed(world.deploy(&key, &revision, &version)).await);
            });
            return true;
        }
        if clicked == 0 && round.clicks < 40 {
            round.clicks += 1;
            self.click(key, &id);
            return true;
        }
        if open {
            return true;
        }
        let again = clicked < 3 && self.world.weather.strikes(Class::Impatient);
        if again {
            self.click(key, &id);
            return true;
        }
        if number >= rounds {
            return false;
        }
        // The next deploy goes out, and is not good either.
        let next = (50 + number).to_string();
        let revision = fixtures::revision(&next, &format!("2.{}.0", 14 + number), self.world.now());
        self.world.cds[key].deploy(revision);
        self.rounds.insert(key.clone(), Round::new(number + 1, next));
        true
    }

    fn click(&mut self, key: &ServiceKey, deploy: &str) {
        let weather = Arc::clone(&self.world.weather);
        let mut who = vec![fixtures::ana()];
        if weather.strikes(Class::Unentitled) {
            let others = [fixtures::eve(), fixtures::guest(), fixtures::dan(), fixtures::bot()];
            let at = weather.draw(Class::Unentitled, |draw| draw.below(4));
            who.push(others[usize::try_from(at).unwrap()].clone());
        }
        if weather.strikes(Class::Crowd) {
            who.push(fixtures::bo());
        }
        if self.draw.one_in(10) {
            who = vec![fixtures::finn()];
        }
        if self.draw.one_in(12) {
            let key = key.clone();
            self.does(|engine| async move {
                let by = Proposer::new("agent-7", Some("Watcher".into()));
                drop(engine.propose(Proposal::new(key, fixtures::reason(), by)).await);
            });
        }
        for _again in 0..self.times() {
            for person in &who {
                let (on, actor) = (ClickedOn::Deploy(parsed(deploy)), person.actor());
                self.does(|engine| async move { drop(engine.click(&on, actor).await) });
            }
        }
    }

    /// What people say to a rollback that is open.
    fn answer(&mut self, view: &RollbackView) {
        let weather = Arc::clone(&self.world.weather);
        if weather.strikes(Class::Withdraw) {
            self.withdraw(view, &fixtures::ana());
        }
        self.release(view);
        match view.state {
            StateName::Proposed if self.draw.one_in(2) => {
                let (on, actor) = (ClickedOn::Proposal(view.id.clone()), fixtures::ana().actor());
                self.does(|engine| async move { drop(engine.click(&on, actor).await) });
            }
            StateName::Confirming if !view.guards.is_empty() => self.confirm(view),
            StateName::Approving => self.approve(view),
            StateName::OutcomeUnknown => self.settle(view),
            _ => {}
        }
    }

    fn withdraw(&mut self, view: &RollbackView, by: &Person) {
        let (id, actor) = (view.id.clone(), by.actor());
        self.does(|engine| async move { drop(engine.withdraw(&id, actor).await) });
    }

    fn confirm(&mut self, view: &RollbackView) {
        let weather = Arc::clone(&self.world.weather);
        if weather.strikes(Class::Late) {
            // Goes for a coffee; the next look may be after the deadline.
            return;
        }
        let mut who: Vec<Person> = Vec::new();
        let asked = view.requested_by.as_ref();
        who.extend(
            fixtures::everybody()
                .into_iter()
                .filter(|p| asked.is_some_and(|asked| asked.is(&p.actor()))),
        );
        if weather.strikes(Class::Crowd) {
            who.push(fixtures::bo());
        }
        let races = weather.strikes(Class::Race);
        if races && self.draw.one_in(2) {
            self.withdraw(view, &fixtures::ana());
        }
        let plan = Plan::new(view.key.clone(), view.from.clone(), view.to.clone()).unwrap();
        for _again in 0..self.times() {
            for person in &who {
                let (id, pair, actor) = (view.id.clone(), plan.pair(), person.actor());
                self.does(|engine| async move {
                    drop(engine.confirm(&id, actor, Consent::new(fixtures::reason(), pair)).await);
                });
            }
        }
        if races {
            self.withdraw(view, &fixtures::ana());
        }
    }

    fn approve(&mut self, view: &RollbackView) {
        let weather = Arc::clone(&self.world.weather);
        if weather.strikes(Class::Late) {
            return;
        }
        let mut who = vec![fixtures::bo(), fixtures::cleo()];
        if weather.strikes(Class::SelfApproval) {
            who = vec![fixtures::ana(), fixtures::ana_again(), fixtures::bo()];
        }
        if weather.strikes(Class::Unentitled) {
            who.push(fixtures::guest());
        }
        let races = weather.strikes(Class::Race);
        for _again in 0..self.times() {
            for person in &who {
                let (id, actor) = (view.id.clone(), person.actor());
                self.does(|engine| async move { drop(engine.approve(&id, actor).await) });
            }
        }
        if races {
            let (id, actor) = (view.id.clone(), fixtures::cleo().actor());
            self.does(|engine| async move { drop(engine.reject(&id, actor).await) });
        }
    }

    /// Lets go on what was put aside.
    fn release(&mut self, view: &RollbackView) {
        if view.put_aside.is_some() {
            let (id, ana) = (view.id.clone(), fixtures::ana().actor());
            self.does(|engine| async move { drop(engine.release(&id, ana).await) });
        }
    }

    /// Looks for a while at what is unknown, and says what came of it. What takes longer than its
    /// limit has been looked at for long.
    fn settle(&mut self, view: &RollbackView) {
        let now = self.world.now();
        let looked = view.ended_at.is_some_and(|at| now.since(at).as_secs() > LOOKS_FOR);
        let open = (view.state == StateName::OutcomeUnknown && looked) || view.overdue;
        if open && !view.explanation.starts_with("settled") {
            let (id, finding) = (view.id.clone(), Reason::parse("looked at it myself").unwrap());
            self.does(|engine| async move {
                drop(
                    engine.settle(&id, fixtures::ana().actor(), Outcome::TookEffect, finding).await,
                );
            });
        }
    }
}
