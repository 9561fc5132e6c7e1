//! What the directory is asked about whoever acts: as little as the decision needs, and afresh before
//! anybody is told no.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use async_trait::async_trait;
use rollback_core::access::Standing;
use rollback_core::ports::{
    Capabilities, CdBackend, ClickedOn, Clock, CommandError, Commands, CompareAndSet, Consent,
    Directory, Expected, Fence, Freshness, Heard, Inquiry, SourceState,
};
use rollback_core::{Deploy, GroupId, Migrations, RollbackId, RollbackView, StateName, UserId};
use rollback_engine::{Catalog, Engine, EngineBuilder, ServiceConfig};
use rollback_store::MemoryStore;
use rollback_testkit::fakes::FakeBackend;
use rollback_testkit::fixtures::{
    self, Person, ana, bo, eve, incident, parsed, payments, suspended,
};
use rollback_testkit::{Chat, ManualClock};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A directory with a memory, as Slack's is: what it heard it says again for as long as it may.
#[derive(Debug)]
struct Remembering {
    clock: Arc<dyn Clock>,
    people: Mutex<BTreeMap<UserId, Person>>,
    heard: Mutex<BTreeMap<UserId, Standing>>,
    asked: Mutex<Vec<Vec<GroupId>>>,
    /// It holds each question back for so long.
    pace: Mutex<Duration>,
    /// Nothing new is heard of whom it expects to be turned away.
    is_busy: Mutex<bool>,
}

impl Remembering {
    fn put(&self, person: Person) {
        self.people.lock().unwrap().insert(person.id(), person);
    }

    /// The groups of each question to its source since the last look.
    fn asked(&self) -> Vec<Vec<GroupId>> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

#[async_trait]
impl Directory for Remembering {
    async fn standing(&self, user: &UserId, groups: &[GroupId], freshness: Freshness) -> Standing {
        let now = self.clock.now();
        let mut known = self.heard.lock().unwrap().get(user).cloned();
        if let (Freshness::AtMost(age), Some(known)) = (freshness, &mut known) {
            let young = |at| now.since(at) <= age;
            let is_young = known.profile.observed_at().is_some_and(young)
                && groups.iter().all(|group| {
                    known.groups.get(group).and_then(|fact| fact.observed_at()).is_some_and(young)
                });
            if is_young {
                known.groups.retain(|group, _| groups.contains(group));
                return known.clone();
            }
        }
        let pace = *self.pace.lock().unwrap();
        tokio::time::sleep(pace).await;
        self.asked.lock().unwrap().push(groups.to_vec());
        let person = self.people.lock().unwrap().get(user).cloned();
        let Some(person) = person else { return Standing::unknown("nobody") };
        let told = person.standing_in(groups, self.clock.now());
        let mut heard = self.heard.lock().unwrap();
        let known = heard.entry(user.clone()).or_insert_with(|| told.clone());
        known.profile = told.profile.clone();
        known.groups.extend(told.groups.clone());
        told
    }

    fn last_seen_in(&self, user: &UserId, groups: &[GroupId]) -> Vec<GroupId> {
        let heard = self.heard.lock().unwrap();
        let Some(known) = heard.get(user) else { return Vec::new() };
        let is_in =
            |group: &&GroupId| known.groups.get(*group).and_then(|it| it.value()) == Some(&true);
        groups.iter().filter(is_in).cloned().collect()
    }

    fn last_seen_outside(&self, user: &UserId, groups: &[GroupId]) -> Vec<GroupId> {
        let heard = self.heard.lock().unwrap();
        let Some(known) = heard.get(user) else { return Vec::new() };
        let is_outside =
            |group: &&GroupId| known.groups.get(*group).and_then(|it| it.value()) == Some(&false);
        groups.iter().filter(is_outside).cloned().collect()
    }

    async fn hear(&self, inquiry: &Inquiry) -> Heard {
        if *self.is_busy.lock().unwrap() && inquiry.expected == Expected::Denial {
            self.asked.lock().unwrap().push(inquiry.groups.clone());
            return Heard::new(Standing::unknown("too many ask at once"), SourceState::NotAsked);
        }
        let standing = self.standing(&inquiry.user, &inquiry.groups, inquiry.freshness).await;
        Heard::new(standing, SourceState::Answers)
    }

    fn held_back_max(&self) -> Duration {
        Duration::from_secs(40)
    }
}

struct Stage {
    engine: Engine,
    people: Arc<Remembering>,
}

impl Stage {
    async fn set(admits_later: bool) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::starting_at(fixtures::at(0)));
        let people = Arc::new(Remembering {
            clock: Arc::clone(&clock),
            people: Mutex::default(),
            heard: Mutex::default(),
            asked: Mutex::default(),
            pace: Mutex::default(),
            is_busy: Mutex::default(),
        });
        fixtures::everybody().into_iter().for_each(|person| people.put(person));
        let cd = FakeBackend::new(Capabilities::new(CompareAndSet::Yes, Fence::Yes));
        let cd: Arc<dyn CdBackend> = Arc::new(cd);
        let mut service = ServiceConfig::new(parsed("prod"), parsed("C0PAYMENTS"));
        service.approvals_min = 1;
        let catalog = Catalog::new(fixtures::access_policy()).with(fixtures::key(), service);
        let directory: Arc<dyn Directory> = Arc::<Remembering>::clone(&people);
        let store = Arc::new(MemoryStore::default());
        let builder = EngineBuilder::new(store, directory, catalog)
            .backend(parsed("prod"), cd)
            .notifier(Arc::new(Chat::new()))
            .clock(clock);
        let builder = if admits_later { builder.admitting_later() } else { builder };
        let engine = builder.build().unwrap();
        let running = engine.clone();
        tokio::spawn(async move { running.run(std::future::pending()).await });
        let mut deploy = Deploy::new(parsed("ci-42"), fixtures::key(), "2.14.0", fixtures::at(0));
        deploy.revision = Some(parsed("42"));
        deploy.migrations = Migrations::Known(Vec::new());
        engine.deployed(deploy).await.unwrap();
        Self { engine, people }
    }

    async fn click(&self, person: &Person) -> Result<RollbackView, CommandError> {
        self.engine.click(&ClickedOn::Deploy(parsed("ci-42")), person.actor()).await
    }

    /// How the rollback of a click stands once that was decided.
    async fn clicked(&self, person: &Person) -> RollbackView {
        let view = self.click(person).await.unwrap();
        self.until(&view.id, |view| view.state != StateName::Authorizing).await
    }

    async fn until(&self, id: &RollbackId, holds: impl Fn(&RollbackView) -> bool) -> RollbackView {
        for _look in 0..10_000 {
            let view = self.engine.view(id).await.unwrap();
            if holds(&view) {
                return view;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never: {:?}", self.engine.view(id).await)
    }

    async fn confirm(&self, view: RollbackView, person: &Person) -> RollbackView {
        let view = self.until(&view.id, |view| !view.guards.is_empty()).await;
        let shown = rollback_core::Plan::new(view.key, view.from, view.to).unwrap().pair();
        self.engine
            .confirm(&view.id, person.actor(), Consent::new(fixtures::reason(), shown))
            .await
            .unwrap()
    }
}

fn sorted(groups: impl IntoIterator<Item = GroupId>) -> Vec<GroupId> {
    let mut groups: Vec<GroupId> = groups.into_iter().collect();
    groups.sort();
    groups
}

#[tokio::test(start_paused = true)]
async fn whom_a_rule_names_is_asked_about_no_group_but_those_that_could_deny() {
    let stage = Stage::set(false).await;
    let view = stage.clicked(&ana()).await;
    assert_eq!(view.state, StateName::Confirming, "{}", view.explanation);
    assert_eq!(stage.people.asked(), [[suspended()]]);
    let view = stage.confirm(view, &ana()).await;
    assert_eq!(view.state, StateName::Approving, "{}", view.explanation);
    assert_eq!(stage.people.asked(), [[suspended()]]);
}

#[tokio::test(start_paused = true)]
async fn a_yes_after_the_click_asks_again_about_the_group_that_made_it_and_no_other() {
    let stage = Stage::set(false).await;
    let view = stage.clicked(&bo()).await;
    assert_eq!(view.state, StateName::Confirming, "{}", view.explanation);
    let all = sorted([incident(), payments(), suspended()]);
    assert_eq!(stage.people.asked(), [all]);
    let view = stage.confirm(view, &bo()).await;
    assert_eq!(view.state, StateName::Approving, "{}", view.explanation);
    assert_eq!(stage.people.asked(), [sorted([payments(), suspended()])], "afresh");
}

#[tokio::test(start_paused = true)]
async fn a_no_at_the_click_is_never_given_from_memory() {
    let stage = Stage::set(false).await;
    assert_eq!(stage.clicked(&eve()).await.state, StateName::Denied);
    let _first = stage.people.asked();
    // She is taken into the group a second later, and clicks again.
    let mut owner = eve();
    owner.groups = bo().groups;
    stage.people.put(owner);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let view = stage.clicked(&eve()).await;
    assert_eq!(view.state, StateName::Confirming, "{}", view.explanation);
}

#[tokio::test(start_paused = true)]
async fn who_has_left_the_group_is_turned_away_at_the_confirmation() {
    let stage = Stage::set(false).await;
    let view = stage.clicked(&bo()).await;
    let mut gone = bo();
    gone.groups.clear();
    stage.people.put(gone);
    assert_eq!(stage.confirm(view, &bo()).await.state, StateName::Denied);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_the_directorys_pace_is_no_denial() {
    let stage = Stage::set(false).await;
    *stage.people.pace.lock().unwrap() = Duration::from_secs(25);
    let view = stage.clicked(&bo()).await;
    assert_eq!(view.state, StateName::Confirming, "{}", view.explanation);
    assert_eq!(stage.confirm(view, &bo()).await.state, StateName::Approving);
}

#[tokio::test(start_paused = true)]
async fn who_is_turned_away_again_and_again_costs_the_directory_nothing_more() {
    let stage = Stage::set(false).await;
    let view = stage.clicked(&ana()).await;
    let view = stage.confirm(view, &ana()).await;
    let _before = stage.people.asked();
    let mut told = Vec::new();
    for _press in 0..12 {
        told.push(stage.engine.withdraw(&view.id, eve().actor()).await.err());
    }
    assert_eq!(told.iter().filter(|told| told.is_none()).count(), 5, "{told:?}");
    assert!(matches!(told.last(), Some(Some(CommandError::TooOften(_)))), "{told:?}");
    assert_eq!(stage.people.asked().len(), 5);
    let view = stage.engine.withdraw(&view.id, bo().actor()).await.unwrap();
    assert_eq!(view.state, StateName::Withdrawn, "and nobody else waits");
}

/// Otherwise each of their presses takes the next turn that comes, for as long as they like.
#[tokio::test(start_paused = true)]
async fn who_is_turned_away_by_all_that_was_heard_waits_although_nothing_new_is() {
    let stage = Stage::set(false).await;
    let view = stage.clicked(&ana()).await;
    let view = stage.confirm(view, &ana()).await;
    assert_eq!(stage.clicked(&eve()).await.state, StateName::Denied);
    let _before = stage.people.asked();
    *stage.people.is_busy.lock().unwrap() = true;
    let mut told = Vec::new();
    for _press in 0..12 {
        told.push(stage.engine.withdraw(&view.id, eve().actor()).await.err());
    }
    assert!(matches!(told.last(), Some(Some(CommandError::TooOften(_)))), "{told:?}");
    assert!(stage.people.asked().len() <= 5, "{told:?}");
    let view = stage.engine.withdraw(&view.id, bo().actor()).await.unwrap();
    assert_eq!(view.state, StateName::Withdrawn, "an owner is heard");
}

/// The clock was ahead for a while, and was put back.
#[tokio::test(start_paused = true)]
async fn whoever_was_heard_of_in_the_future_is_asked_about_afresh() {
    let stage = Stage::set(false).await;
    let groups = [incident(), payments(), suspended()];
    let ahead = bo().standing_in(&groups, fixtures::at(3_600));
    stage.people.heard.lock().unwrap().insert(bo().id(), ahead);
    let view = stage.clicked(&bo()).await;
    assert_eq!(view.state, StateName::Confirming, "{}", view.explanation);
}

/// The directory takes its time, and whoever waits for it presses the button again.
#[tokio::test(start_paused = true)]
async fn a_confirmation_that_is_being_checked_makes_no_room_for_another_opening() {
    let stage = Stage::set(false).await;
    let view = stage.clicked(&ana()).await;
    let view = stage.until(&view.id, |view| !view.guards.is_empty()).await;
    *stage.people.pace.lock().unwrap() = Duration::from_secs(25);
    let shown = rollback_core::Plan::new(view.key, view.from, view.to).unwrap().pair();
    let (engine, id) = (stage.engine.clone(), view.id.clone());
    let confirming = tokio::spawn(async move {
        engine.confirm(&id, ana().actor(), Consent::new(fixtures::reason(), shown)).await
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    for _press in 0..4 {
        stage.click(&ana()).await.unwrap();
    }
    let view = confirming.await.unwrap().unwrap();
    assert_eq!(view.state, StateName::Approving, "{}", view.explanation);
}

#[tokio::test(start_paused = true)]
async fn whoever_confirms_what_was_closed_meanwhile_is_told_so() {
    let stage = Stage::set(false).await;
    let view = stage.clicked(&ana()).await;
    let shown = rollback_core::Plan::new(view.key, view.from, view.to).unwrap().pair();
    let closed = stage.engine.withdraw(&view.id, ana().actor()).await.unwrap();
    assert_eq!(closed.state, StateName::Withdrawn);
    let told = stage
        .engine
        .confirm(&view.id, ana().actor(), Consent::new(fixtures::reason(), shown))
        .await;
    assert_eq!(told.unwrap_err(), CommandError::Closed);
}

#[tokio::test(start_paused = true)]
async fn before_the_workspace_is_known_nothing_is_opened_and_deploys_are_taken() {
    let stage = Stage::set(true).await;
    assert_eq!(stage.click(&ana()).await, Err(CommandError::NotAdmitting));
    assert!(stage.engine.admit(fixtures::home()));
    assert!(!stage.engine.admit(parsed("T0OTHER")), "only the first one counts");
    assert_eq!(stage.clicked(&ana()).await.state, StateName::Confirming);
}
