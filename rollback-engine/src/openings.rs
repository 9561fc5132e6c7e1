//! Rollbacks that one person has opened and not confirmed: bounded, so that nobody who opens one
//! after the other takes everybody else's place.

use crate::engine::{Engine, Inner};
use crate::operation::By;
use rollback_core::access::Standing;
use rollback_core::ports::CommandError;
use rollback_core::{
    Actor, Event, RollbackId, RollbackView, Said, ServiceKey, StateName, Timestamp,
};
use std::collections::BTreeMap;
use std::sync::PoisonError;
use tokio::sync::{Mutex, MutexGuard};

/// How many openings of one service one person has at a time: one on each of their devices.
const OF_ONE_SERVICE_MAX: usize = 3;

/// How many openings one person has at a time, of all services: more than anybody looks at.
const OF_ONE_PERSON_MAX: usize = 20;

/// How many people open at a time without waiting for one another.
const TURNS: usize = 64;

/// One opening of a person at a time, so that each finds those before it.
#[derive(Debug)]
pub(crate) struct Openings {
    turns: Vec<Mutex<()>>,
    /// What somebody is just confirming, and how many requests do: the directory may take its time.
    confirming: std::sync::Mutex<BTreeMap<RollbackId, usize>>,
}

impl Default for Openings {
    fn default() -> Self {
        let turns = (0..TURNS).map(|_| Mutex::default()).collect();
        Self { turns, confirming: std::sync::Mutex::default() }
    }
}

/// A confirmation is on its way, until this is dropped.
#[derive(Debug)]
pub(crate) struct Confirms<'a> {
    openings: &'a Openings,
    id: RollbackId,
}

impl Drop for Confirms<'_> {
    fn drop(&mut self) {
        let mut confirming = self.openings.confirming();
        let left = confirming.get(&self.id).map_or(0, |count| count.saturating_sub(1));
        if left == 0 {
            confirming.remove(&self.id);
        } else {
            confirming.insert(self.id.clone(), left);
        }
    }
}

impl Openings {
    /// Somebody confirms this one: it makes room for no other one meanwhile.
    pub(crate) fn confirms(&self, id: &RollbackId) -> Confirms<'_> {
        let mut confirming = self.confirming();
        let count = confirming.entry(id.clone()).or_default();
        *count = count.saturating_add(1);
        drop(confirming);
        Confirms { openings: self, id: id.clone() }
    }

    fn is_being_confirmed(&self, id: &RollbackId) -> bool {
        self.confirming().contains_key(id)
    }

    fn confirming(&self) -> std::sync::MutexGuard<'_, BTreeMap<RollbackId, usize>> {
        self.confirming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn turn(&self, person: &Actor) -> Option<MutexGuard<'_, ()>> {
        let bytes = person.id.as_str().bytes().map(usize::from);
        let place = bytes.fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
        let turn = self.turns.get(place.checked_rem(self.turns.len())?)?;
        Some(turn.lock().await)
    }
}

impl Engine {
    /// Makes room for one more opening of a person: the oldest ones that they have not confirmed, and
    /// are not just confirming, are withdrawn. Whoever opens does so before they give the answer back.
    ///
    /// # Errors
    ///
    /// [`CommandError`] when one could not be withdrawn; then nothing may be opened.
    pub(crate) async fn make_room(
        &self,
        person: &Actor,
        key: &ServiceKey,
    ) -> Result<Option<MutexGuard<'_, ()>>, CommandError> {
        let turn = self.inner.openings.turn(person).await;
        let mut open = unconfirmed(&self.inner, person);
        open.sort_by_key(|(opened_at, view)| (*opened_at, view.id.clone()));
        let mut of_service = open.iter().filter(|(_, view)| view.key == *key).count();
        let mut of_person = open.len();
        for (_, view) in open {
            let is_of_service = view.key == *key;
            let crowded = is_of_service && of_service >= OF_ONE_SERVICE_MAX;
            if !crowded && of_person < OF_ONE_PERSON_MAX {
                continue;
            }
            self.close(&view.id, person).await?;
            of_person = of_person.saturating_sub(1);
            of_service = of_service.saturating_sub(usize::from(is_of_service));
        }
        Ok(turn)
    }

    /// Withdraws what a person opened. That is theirs to do, whatever the directory says of them.
    async fn close(&self, id: &RollbackId, person: &Actor) -> Result<(), CommandError> {
        let standing = Standing::unknown("nobody asked: they opened it themselves");
        let said = Said::new(person.clone(), standing);
        self.say_as(id, Event::WithdrawalGiven(Box::new(said)), By::Opener).await.map(drop)
    }
}

/// What a person has opened by a click and not confirmed, as far as this process drives it.
fn unconfirmed(inner: &Inner, person: &Actor) -> Vec<(Timestamp, RollbackView)> {
    let is_theirs = |view: &RollbackView| {
        view.requested_by.as_ref().is_some_and(|by| by.is(person))
            && view.proposed_by.is_none()
            && matches!(view.state, StateName::Authorizing | StateName::Confirming)
    };
    let operations = inner.known_operations();
    let views = operations.iter().filter_map(|operation| operation.last_seen());
    let views = views.filter(|view| !inner.openings.is_being_confirmed(&view.id));
    views.filter(is_theirs).map(|view| (view.opened_at, view)).collect()
}
