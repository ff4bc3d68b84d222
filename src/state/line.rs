//! The services that are started one after the other: those that are there at the start, and those of a group restart.

use std::collections::BTreeSet;

use super::{phase::Waits, service::Wanted};
use crate::policy::StartOrder;

/// Services that are started one after the other, in start order, each when the one before is ready.
///
/// Who is in it, and what it waits for there, says its phase ([`Phase::waits_in_line`](super::phase::Phase::waits_in_line)); nobody else
/// is.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Those whose turn will come, by place in start order.
    queue: BTreeSet<(u64, u32)>,
    /// Those whose delay is not over: passed over until then.
    delayed: BTreeSet<(u64, u32)>,
    /// Those that wait for one with a delay that comes before them in start order.
    held: BTreeSet<(u64, u32)>,
    /// For whom those that are held wait, as they were told.
    pub(super) holder: Option<u32>,
    /// The one whose turn it is, and that is not ready yet: those behind it wait.
    current: Option<u32>,
    /// Those that had their turn and are not ready yet, and for which nobody else of the line waits.
    pending: BTreeSet<u32>,
    /// Those of them that wait themselves for nothing but for what is elsewhere in the tree.
    elsewhere: BTreeSet<u32>,
    /// Those of them that wait for siblings which do so, directly or not, and for nothing else.
    behind: BTreeSet<u32>,
    /// Those of whom it is new that they wait for what is elsewhere: those that require them are to be looked at.
    fresh: Vec<u32>,
    /// Whether it was told that nobody is waited for but for what is elsewhere.
    told: bool,
    /// How many are still being stopped for a group restart, for which the line waits.
    grouping: usize,
}

impl Line {
    fn places(&mut self, waits: Waits) -> &mut BTreeSet<(u64, u32)> {
        match waits {
            Waits::Turn => &mut self.queue,
            Waits::Delay => &mut self.delayed,
            Waits::Held => &mut self.held,
        }
    }

    /// Takes a service in that waits for this.
    pub(super) fn enter(&mut self, waits: Waits, order: u64, slot: u32) {
        self.places(waits).insert((order, slot));
    }

    /// Takes services in that are in start order, and wait for their turn.
    pub(super) fn enter_all(&mut self, places: impl Iterator<Item = (u64, u32)>) {
        // All at once: a set that is built from a sorted list costs a fraction of one that is filled piece by piece.
        self.queue.append(&mut places.collect());
    }

    /// Whose turn it is. Leaves the line by getting into another phase.
    pub(super) fn first(&self) -> Option<u32> {
        self.queue.first().map(|(_, slot)| *slot)
    }

    /// The first of those whose delay is not over.
    pub(super) fn first_delayed(&self) -> Option<u32> {
        self.delayed.first().map(|(_, slot)| *slot)
    }

    /// The first of those whose delay is not over, if it comes before this place in start order.
    pub(super) fn delayed_before(&self, order: u64) -> Option<u32> {
        let first = self.delayed.first().filter(|(before, _)| *before < order);
        first.map(|(_, slot)| *slot)
    }

    /// Those that wait for one with a delay, in start order.
    pub(super) fn held(&self) -> impl Iterator<Item = u32> {
        self.held.iter().map(|(_, slot)| *slot)
    }

    /// Takes a service out that no longer waits for this.
    pub(super) fn leave(&mut self, waits: Waits, order: u64, slot: u32) {
        self.places(waits).remove(&(order, slot));
    }

    /// It is the turn of a service, until it is ready or has ended.
    pub(super) fn take_turn(&mut self, slot: u32, order: StartOrder) {
        match order {
            StartOrder::Sequential => self.current = Some(slot),
            StartOrder::Parallel => {
                self.pending.insert(slot);
            }
        }
    }

    /// A service that had its turn is ready, or will not be.
    pub(super) fn let_go(&mut self, slot: u32) {
        if self.current == Some(slot) {
            self.current = None;
        }
        self.pending.remove(&slot);
        self.elsewhere.remove(&slot);
        self.behind.remove(&slot);
    }

    /// One that has its turn waits for nothing but for what is elsewhere: nobody behind it waits for it.
    pub(super) fn await_elsewhere(&mut self, slot: u32) {
        self.hold_up_nobody(slot);
        if self.pending.contains(&slot) && self.elsewhere.insert(slot) {
            self.fresh.push(slot);
        }
    }

    /// One that has its turn waits for siblings that wait for nothing but for what is elsewhere: nobody behind it waits for it, either.
    pub(super) fn await_behind(&mut self, slot: u32) {
        self.hold_up_nobody(slot);
        self.behind.insert(slot);
    }

    fn hold_up_nobody(&mut self, slot: u32) {
        if self.current == Some(slot) {
            self.current = None;
            self.pending.insert(slot);
        }
    }

    /// One that had waited for siblings does so no more.
    pub(super) fn has_siblings(&mut self, slot: u32) {
        self.behind.remove(&slot);
    }

    /// Reports whether one that had its turn waits for nothing but for what is elsewhere, itself or through its siblings.
    pub(super) fn waits_elsewhere(&self, slot: u32) -> bool {
        self.elsewhere.contains(&slot) || self.behind.contains(&slot)
    }

    /// Those of whom it is new that they wait for what is elsewhere.
    pub(super) fn take_fresh(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.fresh)
    }

    /// One that had waited for what is elsewhere does so no more.
    pub(super) fn has_found(&mut self, slot: u32) {
        self.elsewhere.remove(&slot);
    }

    /// Reports whether nobody is waited for but for what is elsewhere. Asked after every turn: counted, not looked for.
    pub(super) fn is_only_elsewhere(&self) -> bool {
        // One whose siblings have found what they wait for is behind them still: they are no longer `elsewhere`.
        let waiting = self.elsewhere.len() + self.behind.len();
        let awaited = !self.elsewhere.is_empty() && waiting == self.pending.len();
        awaited && self.queue.is_empty() && self.current.is_none()
    }

    /// Reports whether it was told in this start that nobody is waited for but for what is elsewhere.
    pub(super) const fn is_told(&self) -> bool {
        self.told
    }

    pub(super) const fn note_told(&mut self) {
        self.told = true;
    }

    /// Reports whether a service had its turn and is not ready yet.
    pub(super) fn awaits(&self, slot: u32) -> bool {
        self.current == Some(slot) || self.pending.contains(&slot)
    }

    /// Those that had their turn and are not ready yet.
    pub(super) fn awaited(&self) -> impl Iterator<Item = u32> {
        self.current.iter().chain(&self.pending).copied()
    }

    /// Reports whether those in the line wait for one that has its turn.
    pub(super) fn is_held_up(&self) -> bool {
        self.current.is_some()
    }

    /// Reports whether all that were in the line are ready, or will not be.
    pub(super) fn is_done(&self) -> bool {
        self.queue.is_empty() && self.current.is_none() && self.pending.is_empty()
    }

    /// Nobody is waited for any more.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
        self.delayed.clear();
        self.held.clear();
        self.holder = None;
        self.current = None;
        self.pending.clear();
        self.elsewhere.clear();
        self.behind.clear();
        self.fresh.clear();
        self.told = false;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Reports whether services are still being stopped for a group restart.
    pub(super) fn is_stopping(&self) -> bool {
        self.grouping > 0
    }

    /// Follows a service to its new place in start order.
    pub(super) fn moved(&mut self, slot: u32, from: u64, to: u64) {
        for waits in [Waits::Turn, Waits::Delay, Waits::Held] {
            let places = self.places(waits);
            if places.remove(&(from, slot)) {
                places.insert((to, slot));
            }
        }
    }

    /// Counts those that are to be stopped for the group.
    pub(super) fn count(&mut self, before: Wanted, wanted: Wanted) {
        self.grouping -= usize::from(before == Wanted::GroupRestart);
        self.grouping += usize::from(wanted == Wanted::GroupRestart);
    }

    /// For tests: whether one waits for nothing but for what is elsewhere.
    #[cfg(test)]
    pub(super) fn is_elsewhere(&self, slot: u32) -> bool {
        self.elsewhere.contains(&slot)
    }

    /// For tests: for what a service waits in the line, and how many are being stopped for the group.
    #[cfg(test)]
    pub(super) fn accounts(&self, order: u64, slot: u32) -> (Vec<Waits>, usize) {
        let place = (order, slot);
        let all = [
            (&self.queue, Waits::Turn),
            (&self.delayed, Waits::Delay),
            (&self.held, Waits::Held),
        ];
        let found = all
            .into_iter()
            .filter(|(places, _)| places.contains(&place));
        (found.map(|(_, waits)| waits).collect(), self.grouping)
    }
}
