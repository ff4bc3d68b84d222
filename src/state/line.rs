//! Starts services one after the other: those that are there at the start, and those of a group restart.

use std::{collections::BTreeSet, time::Instant};

use super::{
    Stage, SupervisorState,
    service::{After, Phase},
    start::Begun,
};

/// Services that are started one after the other, in start order, each when the one before is ready.
#[derive(Debug, Default)]
pub(super) struct Line {
    pub(super) queue: BTreeSet<(u64, u32)>,
    /// The one that was started and is not ready yet.
    pub(super) current: Option<u32>,
    /// When the first may be started.
    pub(super) not_before: Option<Instant>,
    /// How many are still being stopped for a group restart.
    pub(super) grouping: usize,
}

impl Line {
    /// Forgets everybody.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
        self.current = None;
        self.not_before = None;
    }

    /// Follows a service to its new place in start order.
    pub(super) fn moved(&mut self, slot: u32, from: u64, to: u64) {
        if self.queue.remove(&(from, slot)) {
            self.queue.insert((to, slot));
        }
    }

    /// Counts a service that is to be stopped for the group.
    pub(super) fn enter_group(&mut self, after: After) {
        self.grouping += usize::from(after == After::Group);
    }

    /// No longer counts a service that was to be stopped for the group.
    pub(super) fn leave_group(&mut self, before: After) {
        self.grouping -= usize::from(before == After::Group);
    }

    /// When something is to be done, if nobody is waited for.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let waits = self.current.is_none() && self.grouping == 0 && !self.queue.is_empty();
        self.not_before.filter(|_| waits)
    }
}

impl SupervisorState {
    /// Puts a service into the line.
    pub(super) fn enqueue(&mut self, slot: u32, phase: Phase) {
        self.line.queue.insert((self.services[slot].order, slot));
        self.set_phase(slot, phase);
    }

    /// Puts services into the line that are in start order.
    pub(super) fn enqueue_all(&mut self, slots: &[u32]) {
        // Made of a sorted list, a set costs a fraction of what it costs piece by piece.
        let places = slots.iter().map(|slot| (self.services[*slot].order, *slot));
        self.line.queue.append(&mut places.collect());
        for slot in slots {
            self.set_phase(*slot, Phase::InLine);
        }
    }

    /// Takes a service out of whatever it waits in without an incarnation.
    pub(super) fn cancel_waiting(&mut self, slot: u32) {
        self.line.queue.remove(&(self.services[slot].order, slot));
        self.services.set_deadline(slot, None);
    }

    /// Starts the next of the line, if it is its turn.
    pub(super) fn advance_line(&mut self, now: Instant) {
        while self.line_is_free(now) {
            let Some((_, slot)) = self.line.queue.pop_first() else {
                self.line.not_before = None;
                self.start_completed(now);
                continue;
            };
            let begun = match self.begin(slot, now) {
                // Who has ended is started again only when everybody has been started.
                Begun::Waits if self.stage == Stage::Starting => self
                    .ended_requirement(slot)
                    .map_or(Begun::Waits, Begun::Blocked),
                begun => begun,
            };
            match begun {
                Begun::Started => self.line.current = Some(slot),
                Begun::Blocked(reason) if self.stage == Stage::Starting => {
                    self.start_failed(slot, reason, now);
                }
                Begun::Blocked(_) | Begun::Waits => {}
            }
        }
    }

    fn line_is_free(&self, now: Instant) -> bool {
        let turn = match self.stage {
            Stage::Starting => true,
            Stage::Running => {
                self.line.grouping == 0
                    && self.pause.is_none()
                    && self.line.not_before.is_none_or(|at| at <= now)
            }
            Stage::Idle | Stage::Ending | Stage::Ended => false,
        };
        turn && self.line.current.is_none() && !self.line_is_done()
    }

    /// Reports whether there is nothing left to do for the line.
    fn line_is_done(&self) -> bool {
        self.line.queue.is_empty() && self.stage != Stage::Starting
    }
}
