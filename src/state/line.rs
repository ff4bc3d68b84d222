//! The services that are started one after the other: those that are there at the start, and those of a group restart.

use std::{collections::BTreeSet, time::Instant};

use super::service::Wanted;

/// Services that are started one after the other, in start order, each when the one before is ready.
///
/// Who is in it is in a phase that says so ([`InLine`](super::service::Phase::InLine) or
/// [`Delayed`](super::service::Phase::Delayed)), and nobody else is.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// By place in start order.
    queue: BTreeSet<(u64, u32)>,
    /// The one that was started and is not ready yet.
    pub(super) current: Option<u32>,
    /// When the first may be started.
    pub(super) not_before: Option<Instant>,
    /// How many are still being stopped for a group restart, for which the line waits.
    grouping: usize,
}

impl Line {
    /// Takes a service in.
    pub(super) fn enter(&mut self, order: u64, slot: u32) {
        self.queue.insert((order, slot));
    }

    /// Takes services in that are in start order.
    pub(super) fn enter_all(&mut self, places: impl Iterator<Item = (u64, u32)>) {
        // All at once: a set that is built from a sorted list costs a fraction of one that is filled piece by piece.
        self.queue.append(&mut places.collect());
    }

    /// Whose turn it is. Leaves the line by getting into another phase.
    pub(super) fn first(&self) -> Option<u32> {
        self.queue.first().map(|(_, slot)| *slot)
    }

    /// Takes a service out that no longer waits here.
    pub(super) fn leave(&mut self, order: u64, slot: u32) {
        self.queue.remove(&(order, slot));
    }

    /// Forgets everybody.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
        self.current = None;
        self.not_before = None;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Reports whether a group restart may start its services: all have ended, and no delay is left.
    pub(super) fn is_open(&self, now: Instant) -> bool {
        self.grouping == 0 && self.not_before.is_none_or(|at| at <= now)
    }

    /// Follows a service to its new place in start order.
    pub(super) fn moved(&mut self, slot: u32, from: u64, to: u64) {
        if self.queue.remove(&(from, slot)) {
            self.queue.insert((to, slot));
        }
    }

    /// Counts those that are to be stopped for the group.
    pub(super) fn count(&mut self, before: Wanted, wanted: Wanted) {
        self.grouping -= usize::from(before == Wanted::GroupRestart);
        self.grouping += usize::from(wanted == Wanted::GroupRestart);
    }

    /// When something is to be done, if nobody is waited for.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let waits = self.current.is_none() && self.grouping == 0 && !self.queue.is_empty();
        self.not_before.filter(|_| waits)
    }

    /// For tests: whether a service is in the line, and how many are being stopped for the group.
    #[cfg(test)]
    pub(super) fn accounts(&self, order: u64, slot: u32) -> (bool, usize) {
        (self.queue.contains(&(order, slot)), self.grouping)
    }
}
