//! What the directory is asked for a decision about somebody, and the limit on denials. As little as
//! the decision needs is asked, and afresh before anybody is told no.

use crate::clock::within;
use crate::engine::Inner;
use crate::facts::silent;
use rollback_core::access::{Access, Denial, Duty, Moment, Standing};
use rollback_core::ports::{CommandError, Expected, Freshness, Inquiry};
use rollback_core::{Actor, Fact, GroupId, Limits, Timestamp, UserId};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often somebody may be denied within [`TURNED_AWAY_FOR`] before they are told to wait. Each
/// denial costs questions to the directory, whose rate limit everybody shares.
const TURNED_AWAY_MAX: usize = 5;

/// How long a denial is remembered.
const TURNED_AWAY_FOR: Duration = Duration::from_secs(60);

/// How many people are remembered. A chat signs who they are, so nobody can invent them.
const PEOPLE_MAX: usize = 1_000;

/// An access check: who wants to do what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish<'a> {
    pub(crate) access: &'a Access,
    pub(crate) limits: Limits,
    pub(crate) duty: Duty,
    pub(crate) actor: &'a Actor,
}

impl Wish<'_> {
    fn denial(&self, standing: &Standing, moment: Moment) -> Option<Denial> {
        self.access.decide(self.duty, self.actor, standing, moment).verdict.err()
    }

    /// Reads what the decision needs from the directory. At the click a yes may use cached answers up to
    /// the limit; later, and always before a no, the directory is asked again.
    pub(crate) async fn standing(&self, inner: &Inner, freshness: Freshness) -> Standing {
        let user = &self.actor.id;
        if !inner.admits() {
            return Standing::unknown("Slack has not said yet which workspace this is")
                .about(user.clone());
        }
        if !self.access.is_home_of(self.actor) {
            return Standing::unknown("not asked: the account is of another workspace")
                .about(user.clone());
        }
        let groups: Vec<GroupId> =
            self.access.groups_for(self.duty, user).into_iter().cloned().collect();
        match freshness {
            Freshness::AtMost(age) => {
                let began = inner.clock.now();
                let known = self.ask(inner, &groups, freshness).await;
                let now = inner.clock.now();
                let moment = Moment::new(now, age);
                if self.denial(&known, moment).is_none() {
                    return known;
                }
                let old = |group: &&GroupId| {
                    known.groups.get(*group).is_some_and(|fact| is_not_of(fact, began, now))
                };
                let old: Vec<GroupId> = groups.iter().filter(old).cloned().collect();
                if old.is_empty() && !is_not_of(&known.profile, began, now) {
                    return known;
                }
                let afresh = self.ask(inner, &old, Freshness::Now).await;
                merged(known, afresh)
            }
            Freshness::Now => {
                let likely = inner.directory.last_seen_in(user, &groups);
                let enough = self.access.groups_enough(self.duty, user, |id| likely.contains(id));
                let Some(enough) = enough.filter(|enough| enough.len() < groups.len()) else {
                    return self.ask(inner, &groups, Freshness::Now).await;
                };
                let rest: Vec<GroupId> =
                    groups.iter().filter(|group| !enough.contains(group)).cloned().collect();
                let first: Vec<GroupId> = enough.into_iter().cloned().collect();
                let some = self.ask(inner, &first, Freshness::Now).await;
                let moment = Moment::new(inner.clock.now(), self.limits.fact_age_max);
                // Without a profile nothing else decides, and the directory does not answer.
                if self.denial(&some, moment).is_none() || some.profile.value().is_none() {
                    return some;
                }
                merged(some, self.ask(inner, &rest, Freshness::Now).await)
            }
        }
    }

    /// Whether somebody with this standing is denied: certainly, or by all that was heard of them so far.
    /// Whoever was never let in must not go on and on because nothing new was heard.
    pub(crate) fn is_turned_away(&self, inner: &Inner, standing: &Standing) -> bool {
        let moment = Moment::new(inner.clock.now(), self.limits.directory_age_max);
        match self.denial(standing, moment) {
            None => false,
            Some(Denial::Unknown(_)) => self.expected(inner) == Expected::Denial,
            Some(_) => true,
        }
    }

    /// What they are likely told, by what was heard of them before.
    fn expected(&self, inner: &Inner) -> Expected {
        let user = &self.actor.id;
        let groups: Vec<GroupId> =
            self.access.groups_for(self.duty, user).into_iter().cloned().collect();
        let inside = inner.directory.last_seen_in(user, &groups);
        let outside = inner.directory.last_seen_outside(user, &groups);
        if self.access.expects_a_denial(self.duty, user, &inside, &outside) {
            Expected::Denial
        } else {
            Expected::Permission
        }
    }

    /// One question. What waits for the directory's own pace is waited for: it is no silence.
    async fn ask(&self, inner: &Inner, groups: &[GroupId], freshness: Freshness) -> Standing {
        let user = &self.actor.id;
        let bound = inner.source_timeout.saturating_add(inner.directory.held_back_max());
        let expected = self.expected(inner);
        let inquiry = Inquiry::new(user.clone(), groups.to_vec(), freshness, expected);
        let heard = within(inner.clock.as_ref(), bound, inner.directory.hear(&inquiry)).await;
        let standing = heard.map(|heard| heard.standing);
        let standing =
            standing.unwrap_or_else(|| Standing::unknown(silent("the directory", bound)));
        // An answer that names somebody else stays theirs, and decides nothing here.
        if standing.user.is_some() { standing } else { standing.about(user.clone()) }
    }
}

/// Whether a fact was observed outside of these two moments: before the question, or in the future, by
/// a clock that was put back.
fn is_not_of<T>(fact: &Fact<T>, began: Timestamp, now: Timestamp) -> bool {
    matches!(fact, Fact::Known { observed_at, .. } if *observed_at < began || *observed_at > now)
}

/// What was heard first, with what was heard later in its place.
fn merged(first: Standing, later: Standing) -> Standing {
    if later.user != first.user {
        return later;
    }
    let Standing { profile, groups, .. } = later;
    let mut both = first;
    both.profile = profile;
    both.groups.extend(groups);
    both
}

fn is_recent(at: Timestamp, now: Timestamp) -> bool {
    now.since(at) < TURNED_AWAY_FOR && at <= now
}

/// Limits denials: who was denied lately, and how often.
#[derive(Debug, Default)]
pub(crate) struct TurnedAway {
    people: Mutex<BTreeMap<UserId, VecDeque<Timestamp>>>,
}

impl TurnedAway {
    /// Checks that somebody was not denied too often lately.
    ///
    /// # Errors
    ///
    /// [`CommandError::TooOften`].
    pub(crate) fn knocks(&self, user: &UserId, now: Timestamp) -> Result<(), CommandError> {
        let mut people = self.people();
        let Some(times) = people.get_mut(user) else { return Ok(()) };
        times.retain(|at| is_recent(*at, now));
        match times.front() {
            Some(first) if times.len() >= TURNED_AWAY_MAX => {
                let left = TURNED_AWAY_FOR.saturating_sub(now.since(*first));
                Err(CommandError::TooOften(left.as_secs().max(1)))
            }
            Some(_) => Ok(()),
            None => {
                people.remove(user);
                Ok(())
            }
        }
    }

    /// Records a denial.
    pub(crate) fn was_turned_away(&self, user: &UserId, now: Timestamp) {
        let mut people = self.people();
        if people.len() >= PEOPLE_MAX && !people.contains_key(user) {
            people.retain(|_, times| times.back().is_some_and(|at| is_recent(*at, now)));
            if people.len() >= PEOPLE_MAX {
                people.pop_first();
            }
        }
        people.entry(user.clone()).or_default().push_back(now);
    }

    fn people(&self) -> MutexGuard<'_, BTreeMap<UserId, VecDeque<Timestamp>>> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollback_testkit::fixtures::{at, parsed};

    #[test]
    fn who_was_turned_away_five_times_waits_and_nobody_else_does() {
        let (turned_away, eve, ana) = (TurnedAway::default(), parsed("U09EVE"), parsed("U02ANA"));
        for press in 0..5 {
            assert_eq!(turned_away.knocks(&eve, at(press)), Ok(()), "{press}");
            turned_away.was_turned_away(&eve, at(press));
        }
        assert_eq!(turned_away.knocks(&eve, at(10)), Err(CommandError::TooOften(50)));
        assert_eq!(turned_away.knocks(&ana, at(10)), Ok(()));
        assert_eq!(turned_away.knocks(&eve, at(59)), Err(CommandError::TooOften(1)));
        assert_eq!(turned_away.knocks(&eve, at(60)), Ok(()), "the first was a minute ago");
    }

    #[test]
    fn who_is_let_in_or_not_yet_judged_never_waits() {
        let (turned_away, ana) = (TurnedAway::default(), parsed("U02ANA"));
        for press in 0..50 {
            assert_eq!(turned_away.knocks(&ana, at(press)), Ok(()), "{press}");
        }
        assert!(turned_away.people().is_empty());
    }

    #[test]
    fn a_clock_that_went_back_locks_nobody_out() {
        let (turned_away, eve) = (TurnedAway::default(), parsed("U09EVE"));
        for _press in 0..5 {
            turned_away.was_turned_away(&eve, at(3_600));
        }
        assert_eq!(turned_away.knocks(&eve, at(0)), Ok(()));
    }

    #[test]
    fn the_memory_is_bounded() {
        let turned_away = TurnedAway::default();
        for number in 0..3 * PEOPLE_MAX {
            turned_away.was_turned_away(&parsed(&format!("U{number:08}")), at(0));
        }
        assert!(turned_away.people().len() <= PEOPLE_MAX);
    }
}
