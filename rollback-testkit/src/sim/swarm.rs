use super::Draw;
use crate::fixtures;
use core::fmt;
use rollback_core::ports::{CompareAndSet, Fence};
use rollback_core::{Purpose, ServiceKey};
use std::collections::BTreeMap;

/// A class of trouble.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "whoever strikes must know them all")]
pub enum Class {
    /// The store does not answer for a while.
    StoreDown,
    /// One call of the store fails, and nothing happened.
    StoreFails,
    /// One call of the store is slow.
    StoreSlow,
    /// Whether the store took a step is not known; half of the time it did.
    StoreDoubt,
    /// Somebody else is always faster: the store says that the journal has moved on.
    StoreRaces,
    /// The order is carried out, and its answer does not come in time, or an error comes instead.
    CdTimeout,
    /// The order never arrives, and the caller cannot know.
    CdLost,
    /// The order is late: by seconds, or by longer than any lease, deadline and fence.
    CdDelayed,
    /// The CD system refuses the order.
    CdRefuses,
    /// The CD system says that live has moved.
    CdConflicts,
    /// The CD system says that it rolls back, and does nothing.
    CdLies,
    /// One look at the CD system fails, or is not answered.
    CdFails,
    /// The CD system is not reachable for a while.
    CdDown,
    /// The CD system deploys something else for a while.
    CdBusy,
    /// A fence or a cancellation is made, and its answer is lost.
    CdFenceDoubt,
    /// An execution fails, or takes long.
    CdFalters,
    /// Somebody ships a newer revision past us.
    Overtaken,
    /// Somebody changes what is live by hand, in the CD system's own page.
    ByHand,
    /// The chat says to come back later.
    ChatLimits,
    /// The chat does not answer for a while.
    ChatDown,
    /// A message is posted or not, and the caller cannot know.
    ChatDoubt,
    /// The chat is slow, so that messages arrive out of order.
    ChatSlow,
    /// The directory does not answer for a while.
    DirectoryDown,
    /// One question to the directory fails, or is slow.
    DirectoryFails,
    /// The requester loses their rights, and gets them back.
    Revoked,
    /// The audit log does not answer for a while.
    SinkDown,
    /// One record is not kept, or is kept without an answer.
    SinkFails,
    /// The audit log refuses records for a while.
    SinkRejects,
    /// The service is not healthy, or nobody knows.
    HealthFlaps,
    /// The process is killed before or after any call.
    Crash,
    /// The process stands still before or after any call, often for longer than its lease.
    Pause,
    /// An adapter panics.
    Panic,
    /// A process starts with a wall clock that is wrong.
    Clock,
    /// People click and say everything twice.
    Impatient,
    /// Two people do the same in one instant, through two processes.
    Crowd,
    /// A confirmation or an approval races with a withdrawal or a rejection.
    Race,
    /// People act after the time for it is up.
    Late,
    /// Those who may not try to.
    Unentitled,
    /// The requester approves, from either account.
    SelfApproval,
    /// The requester stops it in any state.
    Withdraw,
    /// Whoever asked is gone before the engine has answered.
    Dropped,
    /// Somebody ships a newer revision while the order is on its way.
    Outrun,
    /// The process stands still right before it stores something under its claim, often until
    /// somebody else has just taken it over.
    Lapse,
}

impl Class {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::StoreDown,
        Self::StoreFails,
        Self::StoreSlow,
        Self::StoreDoubt,
        Self::StoreRaces,
        Self::CdTimeout,
        Self::CdLost,
        Self::CdDelayed,
        Self::CdRefuses,
        Self::CdConflicts,
        Self::CdLies,
        Self::CdFails,
        Self::CdDown,
        Self::CdBusy,
        Self::CdFenceDoubt,
        Self::CdFalters,
        Self::Overtaken,
        Self::ByHand,
        Self::ChatLimits,
        Self::ChatDown,
        Self::ChatDoubt,
        Self::ChatSlow,
        Self::DirectoryDown,
        Self::DirectoryFails,
        Self::Revoked,
        Self::SinkDown,
        Self::SinkFails,
        Self::SinkRejects,
        Self::HealthFlaps,
        Self::Crash,
        Self::Pause,
        Self::Panic,
        Self::Clock,
        Self::Impatient,
        Self::Crowd,
        Self::Race,
        Self::Late,
        Self::Unentitled,
        Self::SelfApproval,
        Self::Withdraw,
        Self::Dropped,
        Self::Outrun,
        Self::Lapse,
    ];

    /// How often it may strike, in 10 000 occasions: seldom, at times, often.
    const fn rates(self) -> [u32; 3] {
        match self {
            // There is an occasion before and after each of several hundred calls.
            Self::Crash | Self::Pause => [10, 40, 120],
            // An outage lasts.
            Self::StoreDown
            | Self::CdDown
            | Self::ChatDown
            | Self::DirectoryDown
            | Self::SinkDown
            | Self::SinkRejects => [30, 100, 300],
            Self::Panic => [20, 100, 300],
            Self::StoreFails | Self::StoreSlow | Self::StoreDoubt | Self::StoreRaces => {
                [100, 500, 1_500]
            }
            Self::CdFails
            | Self::CdFenceDoubt
            | Self::ChatLimits
            | Self::ChatDoubt
            | Self::ChatSlow
            | Self::DirectoryFails
            | Self::SinkFails
            | Self::HealthFlaps => [500, 2_000, 4_000],
            // There is one order, and one occasion.
            Self::CdTimeout
            | Self::CdLost
            | Self::CdDelayed
            | Self::CdRefuses
            | Self::CdConflicts
            | Self::CdLies
            | Self::CdFalters
            | Self::Outrun
            | Self::Clock => [2_500, 5_000, 9_000],
            // Once for each look of the people.
            Self::Overtaken | Self::ByHand | Self::CdBusy | Self::Revoked | Self::Withdraw => {
                [50, 150, 400]
            }
            Self::Impatient
            | Self::Crowd
            | Self::Race
            | Self::Late
            | Self::Unentitled
            | Self::SelfApproval
            | Self::Dropped
            | Self::Lapse => [500, 2_000, 5_000],
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, letter) in format!("{self:?}").char_indices() {
            if letter.is_uppercase() && at > 0 {
                f.write_str("-")?;
            }
            write!(f, "{}", letter.to_lowercase())?;
        }
        Ok(())
    }
}

/// What one seed is about: the site, and every class of trouble with how often it strikes.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Swarm {
    /// The seed.
    pub seed: u64,
    /// How many processes share the store.
    pub replicas: u64,
    /// How many services there are.
    pub services: u64,
    /// How many deploys of each service people want to undo, one after the other.
    pub rounds: u64,
    /// How many other people must approve.
    pub approvals: u8,
    /// Whether the CD system compares what is live.
    pub compares: CompareAndSet,
    /// Whether the CD system can fence off older orders.
    pub fence: Fence,
    /// What the services are configured for.
    pub purpose: Purpose,
    rates: BTreeMap<Class, u32>,
}

impl Swarm {
    /// What this seed is about. One in five is calm: nothing goes wrong.
    #[must_use]
    pub fn drawn(seed: u64) -> Self {
        let mut draw = Draw::stream(seed, 0);
        let mut swarm = Self {
            seed,
            replicas: draw.one_of(&[1, 1, 1, 2, 3]),
            services: draw.one_of(&[1, 1, 1, 2]),
            rounds: draw.one_of(&[1, 1, 1, 2, 3]),
            approvals: draw.one_of(&[0, 0, 0, 1, 2]),
            compares: draw.one_of(&[
                CompareAndSet::Yes,
                CompareAndSet::Yes,
                CompareAndSet::Ticket,
                CompareAndSet::No,
            ]),
            fence: draw.one_of(&[Fence::Yes, Fence::Yes, Fence::No]),
            purpose: draw.one_of(&[Purpose::Real; 12]),
            rates: BTreeMap::new(),
        };
        if draw.one_in(16) {
            swarm.purpose = Purpose::Drill;
        }
        if draw.one_in(5) {
            return swarm;
        }
        // Few classes, or most of them: the first shows each alone, the second finds what only
        // several together break.
        let one_in = draw.one_of(&[2, 5, 5, 12, 12]);
        for class in Class::ALL {
            let [seldom, at_times, often] = class.rates();
            let rate = draw.one_of(&[seldom, seldom, at_times, at_times, often]);
            if draw.one_in(one_in) {
                swarm.rates.insert(*class, rate);
            }
        }
        // Where the CD system lies, nobody may make its lie true: the checker counts effects.
        if swarm.has(Class::CdLies) {
            swarm.rates.remove(&Class::ByHand);
        }
        swarm
    }

    /// Whether there is this class of trouble.
    #[must_use]
    pub fn has(&self, class: Class) -> bool {
        self.rates.contains_key(&class)
    }

    /// The classes of trouble that there are.
    pub fn classes(&self) -> impl Iterator<Item = Class> {
        self.rates.keys().copied()
    }

    pub(super) fn rate(&self, class: Class) -> u32 {
        self.rates.get(&class).copied().unwrap_or(0)
    }

    /// The same without this class of trouble.
    #[must_use]
    pub fn without(&self, class: Class) -> Self {
        let mut calmer = self.clone();
        calmer.rates.remove(&class);
        calmer
    }

    /// The services.
    #[must_use]
    pub fn keys(&self) -> Vec<ServiceKey> {
        // Every service is a place of the one that the fixtures' rules are about.
        let environments = ["production", "staging"];
        let count = usize::try_from(self.services).unwrap_or(1);
        let service = fixtures::key().service;
        let key =
            |environment: &&str| ServiceKey::new(service.clone(), fixtures::parsed(environment));
        environments.iter().take(count).map(key).collect()
    }

    /// Everything simpler by one thing: one class less, or fewer of what there are several of.
    #[must_use]
    pub fn simpler(&self) -> Vec<Self> {
        let mut all: Vec<Self> = self.classes().map(|class| self.without(class)).collect();
        let shapes = [
            (1, self.services, self.rounds),
            (self.replicas, 1, self.rounds),
            (self.replicas, self.services, 1),
        ];
        for (replicas, services, rounds) in shapes {
            let simpler = Self { replicas, services, rounds, ..self.clone() };
            if simpler != *self {
                all.push(simpler);
            }
        }
        if self.approvals > 0 {
            all.push(Self { approvals: 0, ..self.clone() });
        }
        all
    }

    /// The simplest swarm that still `fails`, found by taking one thing away after the other.
    pub fn shrunk(&self, mut fails: impl FnMut(&Self) -> bool) -> Self {
        let mut least = self.clone();
        while let Some(simpler) = least.simpler().into_iter().find(|simpler| fails(simpler)) {
            least = simpler;
        }
        least
    }
}

/// On one line, so that it can be given back: see [`Swarm::parse`].
impl fmt::Display for Swarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "seed={} replicas={} services={} rounds={} approvals={} compares={} fence={} drill={}",
            self.seed,
            self.replicas,
            self.services,
            self.rounds,
            self.approvals,
            self.compares.as_str(),
            self.fence.as_str(),
            u8::from(self.purpose == Purpose::Drill),
        )?;
        for (class, rate) in &self.rates {
            write!(f, " {class}={rate}")?;
        }
        Ok(())
    }
}

impl Swarm {
    /// Reads what [`Display`](fmt::Display) wrote; a word that is not there is as the seed draws it,
    /// except for the classes of trouble: only those that are named are there.
    ///
    /// # Errors
    ///
    /// The word that is not understood.
    pub fn parse(line: &str) -> Result<Self, String> {
        let pair = |word: &str| {
            let (name, value) = word.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        };
        let mut swarm: Option<Self> = None;
        for word in line.split_whitespace() {
            let bad = || format!("`{word}` is not understood");
            let (name, value) = pair(word).ok_or_else(bad)?;
            let number = || value.parse::<u64>().ok().ok_or_else(bad);
            let small = || value.parse::<u8>().ok().ok_or_else(bad);
            if name == "seed" {
                let mut drawn = Self::drawn(number()?);
                drawn.rates.clear();
                swarm = Some(drawn);
                continue;
            }
            let swarm = swarm.as_mut().ok_or("the seed comes first")?;
            match name.as_str() {
                "replicas" => swarm.replicas = number()?,
                "services" => swarm.services = number()?,
                "rounds" => swarm.rounds = number()?,
                "approvals" => swarm.approvals = small()?,
                "compares" => {
                    let all = [CompareAndSet::Yes, CompareAndSet::Ticket, CompareAndSet::No];
                    let found = all.into_iter().find(|one| one.as_str() == value);
                    swarm.compares = found.ok_or_else(bad)?;
                }
                "fence" => {
                    let found = [Fence::Yes, Fence::No].into_iter().find(|f| f.as_str() == value);
                    swarm.fence = found.ok_or_else(bad)?;
                }
                "drill" => {
                    swarm.purpose = if small()? == 0 { Purpose::Real } else { Purpose::Drill };
                }
                class => {
                    let found = Class::ALL.iter().find(|one| one.to_string() == class);
                    let rate = value.parse::<u32>().ok().ok_or_else(bad)?;
                    swarm.rates.insert(*found.ok_or_else(bad)?, rate);
                }
            }
        }
        swarm.ok_or_else(|| "there is no seed".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_can_be_played_again() {
        for seed in 0..200 {
            let swarm = Swarm::drawn(seed);
            assert_eq!(Swarm::parse(&swarm.to_string()), Ok(swarm));
        }
    }

    #[test]
    fn every_class_is_drawn_somewhere_and_some_seeds_are_calm() {
        let swarms: Vec<Swarm> = (0..500).map(Swarm::drawn).collect();
        for class in Class::ALL {
            let with = swarms.iter().filter(|swarm| swarm.has(*class)).count();
            assert!(with > 20, "{class} is in {with} of 500");
        }
        let calm = swarms.iter().filter(|swarm| swarm.classes().next().is_none()).count();
        assert!((75..200).contains(&calm), "{calm} of 500 are calm");
    }

    #[test]
    fn a_failure_is_shrunk_to_what_it_needs() {
        let swarm = (0..).map(Swarm::drawn).find(|s| s.has(Class::Crash) && s.has(Class::CdLost));
        let swarm = swarm.expect("there is one");
        let least = swarm.shrunk(|swarm| swarm.has(Class::Crash) && swarm.has(Class::CdLost));
        assert_eq!(least.classes().collect::<Vec<_>>(), [Class::CdLost, Class::Crash]);
        assert_eq!((least.replicas, least.rounds, least.services), (1, 1, 1));
    }
}
