//! What a simulated world is made of: faults and people drawn from a seed, processes that die and
//! stand still, and every port behind them.
//!
//! One seed draws a [`Swarm`]: which classes of trouble there are, and how much of each. A
//! [`Weather`] strikes with them, each class from a stream of numbers of its own, so that a class
//! that is taken away leaves the others as they were. A [`Process`] stands between an engine and
//! everything that it touches ([`Faulty`]). Time is tokio's, paused.
//!
//! ```
//! use rollback_testkit::sim::{Class, Swarm};
//! let swarm = Swarm::drawn(7);
//! assert_eq!(swarm.to_string(), Swarm::drawn(7).to_string());
//! assert!(!swarm.without(Class::Crash).has(Class::Crash));
//! ```

mod draw;
mod faulty;
mod process;
mod stored;
mod swarm;
mod weather;

pub use draw::Draw;
pub use faulty::Faulty;
pub use process::{Process, ProcessClock};
pub use swarm::{Class, Swarm};
pub use weather::{Canary, Weather};
