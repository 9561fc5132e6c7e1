//! A host's own access policy under test: people drawn from its names, near misses, and whole
//! rollbacks that they drive.
//!
//! A property says who should be let in. [`check`] draws people, services and what the directory
//! says about them, asks the policy, drives a real [`Rollback`](rollback_core::Rollback), and shows
//! the smallest case for which the property does not hold. It fails as well when the draws prove
//! nothing: nobody was allowed, nobody was denied, or no order was given.
//!
//! ```
//! use rollback_testkit::{fixtures, policy};
//!
//! // A host reads its own policy here.
//! let ours = fixtures::access_policy();
//! policy::check(&ours, 256, |case| {
//!     case.allowed().all(|person| match case.key.service.as_str() {
//!         "checkout" => {
//!             person.is_in("S0PAYMENTS")
//!                 || person.is_in("S0INCIDENT")
//!                 || ["U02ANA", "U05DAN"].iter().any(|user| person.is(user))
//!         }
//!         _ => person.is_in("S0INCIDENT"),
//!     })
//! });
//! ```
//!
//! Drawn are, for a service that a rule covers or nearly covers:
//!
//! | who | why |
//! |---|---|
//! | named users, members of named groups, the emergency group | they may, most of the time |
//! | those of another service | a pattern that is too wide lets them in |
//! | ids of users and groups that differ in one character | identity, never likeness |
//! | owners whom a rule denies | a denial beats everything |
//! | guests, strangers, bots, deactivated accounts, other workspaces | in the right group, and never allowed |
//! | the deployer, and members whom no rule names | to deploy gives no right |
//!
//! The directory mostly tells the truth. Else its answer is stale, unknown, incomplete, from the
//! future, about somebody else, or without the person behind the account.

mod cast;
mod choose;
mod coverage;
mod facts;
mod journey;
mod world;

pub use self::cast::{Answer, Role};
pub use self::coverage::Coverage;
pub use self::journey::{Journey, Step};

use self::cast::Draw;
use self::journey::Script;
use self::world::World;
use crate::fixtures::Person;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngSeed, TestError, TestRunner};
use rollback_core::access::{Access, AccessPolicy, Denial, Duty, Moment, Route, Standing};
use rollback_core::ports::Capabilities;
use rollback_core::{Label, Policy, ServiceKey};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// Most attempts at a smaller case. One takes well below a millisecond.
const SHRINKS_MAX: u32 = 10_000;

/// What a host configures, as far as its policy is tested with it.
///
/// ```
/// use rollback_core::Policy;
/// use rollback_core::access::Access;
/// use rollback_testkit::{fixtures, policy};
///
/// // Rollbacks of this host need an approval. Their access rules come from the access policy.
/// let mut held_to = Policy::new(Access::default());
/// held_to.approvals_min = 1;
/// let setup = policy::Setup::new(fixtures::access_policy()).held_to(held_to);
/// policy::check(setup, 256, |case| case.journey.orders == 0 || case.journey.ordered_by.len() > 1);
/// ```
#[derive(Clone, Debug)]
pub struct Setup {
    access: AccessPolicy,
    held_to: Policy,
    services: BTreeSet<ServiceKey>,
    capabilities: Capabilities,
}

impl Setup {
    /// This access policy, the built-in guards, no approvals, default limits, a CD system that can do
    /// everything.
    #[must_use]
    pub fn new(access: AccessPolicy) -> Self {
        Self {
            access,
            held_to: Policy::new(Access::default()),
            services: BTreeSet::new(),
            capabilities: Capabilities::full(),
        }
    }

    /// The same, with rollbacks held to the approvals, guards, soak and limits of this policy. Its
    /// `access` is not used: each rollback has the rules of its own service.
    #[must_use]
    pub fn held_to(mut self, policy: Policy) -> Self {
        self.held_to = policy;
        self
    }

    /// The same, with services that no rule names in full. Services that rules name are drawn anyway,
    /// and one for each pattern.
    #[must_use]
    pub fn services(mut self, keys: impl IntoIterator<Item = ServiceKey>) -> Self {
        self.services.extend(keys);
        self
    }

    /// The same with a CD system that can do this.
    #[must_use]
    pub const fn backend(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = capabilities;
        self
    }
}

impl From<AccessPolicy> for Setup {
    fn from(access: AccessPolicy) -> Self {
        Self::new(access)
    }
}

impl From<&AccessPolicy> for Setup {
    fn from(access: &AccessPolicy) -> Self {
        Self::new(access.clone())
    }
}

impl From<&Self> for Setup {
    fn from(setup: &Self) -> Self {
        setup.clone()
    }
}

/// One draw: somebody, a service, a duty, what the policy decides, and a rollback in which they take
/// part.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Case {
    /// The service.
    pub key: ServiceKey,
    /// What they want to do.
    pub duty: Duty,
    /// Who, with the groups that they are really in.
    pub person: Person,
    /// Why they were drawn.
    pub role: Role,
    /// How the directory answers about them.
    pub answer: Answer,
    /// What the directory says about them.
    pub standing: Standing,
    /// What the policy decides.
    pub verdict: Result<Route, Denial>,
    /// The rule that decided.
    pub rule: Label,
    /// A rollback of the service. With [`Duty::Request`] they ask for it; otherwise somebody else
    /// does, and they do their duty when the rollback is ready for it.
    pub journey: Journey,
}

impl Case {
    /// Whether the policy lets them.
    #[must_use]
    pub const fn is_allowed(&self) -> bool {
        self.verdict.is_ok()
    }

    /// Everybody whom the policy let do something: the person, if the decision is yes, and whoever
    /// asked for and approved the order of the journey, if there is one.
    pub fn allowed(&self) -> impl Iterator<Item = &Person> {
        let person = self.is_allowed().then_some(&self.person);
        person.into_iter().chain(&self.journey.ordered_by)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, duty, person, role, answer, rule, .. } = self;
        writeln!(f, "{duty:?} on {key}, by `{}`: {role}", person.user)?;
        let groups: Vec<&str> = person.groups.iter().map(|group| group.as_str()).collect();
        let groups = if groups.is_empty() { "none".into() } else { groups.join(", ") };
        writeln!(f, "groups: {groups}; the directory's answer: {answer}")?;
        match &self.verdict {
            Ok(route) => writeln!(f, "allowed by `{rule}` ({route:?})")?,
            Err(denial) => writeln!(f, "denied by `{rule}` ({denial:?})")?,
        }
        write!(f, "{}", self.journey)
    }
}

/// Why a property was not shown to hold.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Failure {
    /// It does not hold for this case.
    Violated {
        /// The smallest case that was found.
        case: Box<Case>,
        /// The words of the property's panic, or that it is false.
        why: String,
        /// The seed of the draws.
        seed: u64,
    },
    /// It holds for every case, and the cases prove nothing.
    Vacuous {
        /// What the cases reached.
        coverage: Box<Coverage>,
        /// Likely causes in the setup.
        hints: Vec<&'static str>,
        /// The seed of the draws.
        seed: u64,
    },
    /// The cases could not be drawn.
    Aborted(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Violated { case, why, seed } => {
                write!(f, "{why}; the smallest case:\n{case}")?;
                write!(f, "PROPTEST_RNG_SEED={seed} draws it again")
            }
            Self::Vacuous { coverage, hints, seed } => {
                let gaps = coverage.gaps().join(", ");
                writeln!(f, "the property holds and proves nothing: {gaps}")?;
                for hint in hints {
                    writeln!(f, "hint: {hint}")?;
                }
                write!(f, "{coverage}PROPTEST_RNG_SEED={seed} draws the same cases again")
            }
            Self::Aborted(why) => write!(f, "no cases could be drawn: {why}"),
        }
    }
}

impl std::error::Error for Failure {}

/// Insists that a property holds for whatever is drawn from a policy, and that the draws prove
/// something. Gives what they reached. `PROPTEST_RNG_SEED` draws the cases of an earlier run.
///
/// The property answers whether it holds for a case. It may panic with words of its own instead. A
/// policy with many names wants more cases than names.
///
/// # Panics
///
/// When the property is false or panics, with the smallest such case; and when nobody was ever
/// allowed, nobody was ever denied, or no order was ever given, with what was never reached.
#[track_caller]
pub fn check(setup: impl Into<Setup>, cases: u32, property: impl Fn(&Case) -> bool) -> Coverage {
    match try_check(setup, cases, property) {
        Ok(coverage) => coverage,
        Err(failure) => panic!("{failure}"),
    }
}

/// The same as [`check`], for a test that expects a failure.
///
/// # Errors
///
/// [`Failure`] where [`check`] panics.
pub fn try_check(
    setup: impl Into<Setup>,
    cases: u32,
    property: impl Fn(&Case) -> bool,
) -> Result<Coverage, Failure> {
    run(setup.into(), cases, seed(), property)
}

fn run(
    setup: Setup,
    cases: u32,
    seed: u64,
    property: impl Fn(&Case) -> bool,
) -> Result<Coverage, Failure> {
    let world = Arc::new(World::new(setup));
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: SHRINKS_MAX,
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    };
    // Shrinking counts cases, too, but then the coverage is not used.
    let coverage = RefCell::new(Coverage::default());
    let ran = TestRunner::new(config).run(&cases_in(&world), |case| {
        coverage.borrow_mut().count(&case);
        if property(&case) {
            Ok(())
        } else {
            Err(TestCaseError::fail("the property does not hold"))
        }
    });
    match ran {
        Ok(()) => {}
        Err(TestError::Abort(why)) => return Err(Failure::Aborted(why.message().into())),
        Err(TestError::Fail(why, case)) => {
            let (case, why) = (Box::new(case), why.message().into());
            return Err(Failure::Violated { case, why, seed });
        }
    }
    let coverage = coverage.into_inner();
    if coverage.gaps().is_empty() {
        return Ok(coverage);
    }
    Err(Failure::Vacuous { coverage: Box::new(coverage), hints: world.hints(), seed })
}

/// A seed from the environment, or a random one.
fn seed() -> u64 {
    match Config::default().rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => {
            let drawn = any::<u64>().new_tree(&mut TestRunner::default());
            drawn.map(|tree| tree.current()).unwrap_or_default()
        }
    }
}

/// Cases for a property test of one's own. Nothing tells there whether they prove anything: prefer
/// [`check`].
pub fn cases(setup: impl Into<Setup>) -> impl Strategy<Value = Case> {
    cases_in(&Arc::new(World::new(setup.into())))
}

/// Rollbacks under a host's policy and guards. Each event is drawn to fit the state in which the
/// rollback is, most of the time: two in five reach the order, and together they reach every state.
pub fn journeys(setup: impl Into<Setup>) -> impl Strategy<Value = Journey> {
    cases(setup).prop_map(|case| case.journey)
}

fn cases_in(world: &Arc<World>) -> impl Strategy<Value = Case> + use<> {
    let world = Arc::clone(world);
    let duty = prop_oneof![
        3 => Just(Duty::Request),
        2 => Just(Duty::Approve),
        1 => Just(Duty::Withdraw),
        1 => Just(Duty::Settle),
        1 => Just(Duty::Release),
        1 => Just(Duty::Operate),
    ];
    (any::<u16>(), duty, cast::anybody(), journey::script())
        .prop_map(move |(key, duty, who, script)| case(&world, key, duty, who, &script))
}

fn case(world: &World, key: u16, duty: Duty, who: Draw, script: &Script) -> Case {
    let key = world.key(key);
    let policy = world.policy(&key);
    let star = world.resolve(&key, &policy.access, duty, who);
    let now = crate::fixtures::at(0);
    let standing = star.standing(&policy, duty, now);
    let moment = Moment::new(now, policy.limits.fact_age_max);
    let decision = policy.access.decide(duty, &star.person.actor(), &standing, moment);
    let (verdict, rule) = (decision.verdict.clone(), Label::new(decision.rule));
    let journey = journey::play(world, &key, &policy, (duty, &star), script);
    let (person, role, answer) = (star.person, star.role, star.answer);
    Case { key, duty, person, role, answer, standing, verdict, rule, journey }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[test]
    fn a_seed_draws_the_same_cases_again_and_another_one_draws_others() {
        let drawn = |seed| {
            let stories = RefCell::new(Vec::new());
            let setup = Setup::new(fixtures::access_policy());
            let coverage = run(setup, 64, seed, |case| {
                stories.borrow_mut().push(case.to_string());
                true
            });
            (coverage.unwrap(), stories.into_inner())
        };
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7), drawn(8));
    }
}
