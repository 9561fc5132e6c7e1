//! How many rollbacks a process has open at a time, and how many it takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// How many rollbacks a process takes unless it is told otherwise: some hundred megabytes, and more
/// than an organization deploys in an hour.
pub(crate) const OPEN_MAX: usize = 5_000;

/// How many rollbacks this process has open: those that it drives.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct OpenStanding {
    /// How many are open.
    pub open: usize,
    /// How many there may be for another one to be opened here.
    pub open_max: usize,
    /// How many were refused because there were too many.
    pub refused: u64,
}

/// Places for open rollbacks.
#[derive(Debug)]
pub(crate) struct Places {
    taken: Arc<AtomicUsize>,
    max: usize,
    refused: AtomicU64,
}

/// A place that is taken for as long as this lives.
#[derive(Debug)]
pub(crate) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Places {
    pub(crate) fn new(max: usize) -> Self {
        Self { taken: Arc::default(), max, refused: AtomicU64::new(0) }
    }

    /// A place for a rollback that somebody wants to open; none when all are taken.
    pub(crate) fn find(&self) -> Option<Place> {
        let (place, before) = self.count_one();
        if before < self.max {
            return Some(place);
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// A place for a rollback that is open already. What was begun is ended, however many there are.
    pub(crate) fn take(&self) -> Place {
        self.count_one().0
    }

    /// One more, and how many there were before: of two at once only one is the last.
    fn count_one(&self) -> (Place, usize) {
        let before = self.taken.fetch_add(1, Ordering::AcqRel);
        (Place(Arc::clone(&self.taken)), before)
    }

    pub(crate) fn standing(&self) -> OpenStanding {
        OpenStanding {
            open: self.taken.load(Ordering::Acquire),
            open_max: self.max,
            refused: self.refused.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_after_the_last_is_refused_until_another_has_ended() {
        let places = Places::new(2);
        let (first, second) = (places.find(), places.find());
        assert!(first.is_some() && second.is_some());
        assert!(places.find().is_none() && places.find().is_none());
        assert_eq!(places.standing(), OpenStanding { open: 2, open_max: 2, refused: 2 });
        drop(first);
        assert!(places.find().is_some());
    }

    #[test]
    fn what_is_open_already_is_taken_however_many_there_are() {
        let places = Places::new(1);
        let open: Vec<Place> = (0..3).map(|_| places.take()).collect();
        assert!(places.find().is_none());
        assert_eq!(places.standing().open, 3);
        drop(open);
        assert_eq!(places.standing().open, 0);
    }
}
