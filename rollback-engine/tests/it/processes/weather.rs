//! Wires between processes, their store and their CD system, and the weather on them, by a seed.

use super::child::people_go_to;
use rollback_testkit::wire::{Flow, Mishap, Wire};
use std::path::Path;
use std::time::Duration;

/// What a request for a rollback begins with.
pub(crate) const ORDER: &[u8] = b"POST /v1/rollbacks HTTP";

/// Numbers from a seed.
pub(crate) struct Draw(pub(crate) u64);

impl Draw {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    pub(crate) fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }

    pub(crate) fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let count = u64::try_from(all.len()).unwrap();
        &all[usize::try_from(self.below(count)).unwrap()]
    }
}

/// The wires of one process.
pub(crate) struct Wires {
    /// Where there is weather.
    pub(crate) store: Option<Wire>,
    pub(crate) cd: Wire,
}

/// Lets it blow for a while, and then clears up. People wander meanwhile.
pub(crate) async fn blow(wires: &[Wires], seed: u64, folder: &Path) {
    let mut draw = Draw(seed);
    for _gust in 0..6 + draw.below(10) {
        let process = draw.of(wires);
        let (wire, sign): (&Wire, &'static [u8]) = match &process.store {
            Some(store) if draw.below(3) > 0 => (store, b"COMMIT\0"),
            Some(_) | None => (&process.cd, ORDER),
        };
        match draw.below(8) {
            0 | 1 => wire.flows(Flow::Down),
            2 => wire.flows(Flow::Silent),
            3 => wire.flows(Flow::Slow(draw.millis(5, 200))),
            4 => wire.befall_next(sign, Mishap::RequestLost),
            5 | 6 => wire.befall_next(sign, Mishap::AnswerLost),
            _ => wire.flows(Flow::Clear),
        }
        people_go_to(folder, 1 + draw.below(3));
        tokio::time::sleep(draw.millis(50, 500)).await;
    }
    for process in wires {
        for wire in process.store.iter().chain([&process.cd]) {
            wire.flows(Flow::Clear);
        }
    }
}
