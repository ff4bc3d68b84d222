//! Restarts a service, and those that its supervisor's strategy restarts with it.

use std::time::{Duration, Instant};

use super::{
    SupervisorState, later,
    service::{After, Phase},
};
use crate::{
    event::EventKind,
    policy::{RestartType, Strategy},
};

impl SupervisorState {
    /// Starts a service again, as the strategy says, after a delay.
    pub(super) fn revive(&mut self, slot: u32, delay: Duration, now: Instant) {
        if !delay.is_zero() {
            self.report(slot, EventKind::RestartScheduled { after: delay }, now);
        }
        match self.rules.strategy {
            Strategy::OneForOne if delay.is_zero() => {
                self.begin(slot, now);
            }
            Strategy::OneForOne => {
                self.services.set_deadline(slot, later(now, delay));
                self.set_phase(slot, Phase::BackingOff);
            }
            Strategy::OneForAll => self.restart_group(slot, 0, delay, now),
            Strategy::RestForOne => {
                let from = self.services[slot].order;
                self.restart_group(slot, from, delay, now);
            }
        }
    }

    /// Stops those that run from a place in start order on; all of them and `root` are started when that is done.
    ///
    /// A group restart that is under way takes the new one in.
    fn restart_group(&mut self, root: u32, from: u64, delay: Duration, now: Instant) {
        // Those that wait for a delay, a pause or a requirement of their own go on waiting for it.
        let others: Vec<u32> = self
            .services
            .starting_at(from)
            .filter(|slot| *slot != root && self.follows_group(*slot))
            .collect();
        for slot in &others {
            self.set_after(*slot, After::Group);
            self.join(*slot);
        }
        if !others.is_empty() {
            let kind = EventKind::GroupRestarted {
                strategy: self.rules.strategy,
                members: others.len() + 1,
            };
            self.report(root, kind, now);
        }
        // As in OTP, one that was stopped on request starts with its group; one that has ended for good does not.
        let by_hand: Vec<u32> = self
            .services
            .starting_at(from)
            .filter(|slot| *slot != root && self.was_stopped_by_hand(*slot))
            .collect();
        for slot in by_hand {
            self.enqueue(slot, Phase::InLine);
        }
        if delay.is_zero() {
            self.line.not_before = None;
            self.enqueue(root, Phase::InLine);
        } else {
            self.line.not_before = later(now, delay);
            self.enqueue(root, Phase::BackingOff);
        }
    }

    /// Reports whether a service is stopped and started with a group that it belongs to.
    fn follows_group(&self, slot: u32) -> bool {
        let service = &self.services[slot];
        let free = matches!(
            service.after,
            After::Unasked | After::Restart | After::Bounce
        );
        free && service.phase.is_live()
    }

    fn was_stopped_by_hand(&self, slot: u32) -> bool {
        let service = &self.services[slot];
        service.phase == Phase::Stopped && service.restart != RestartType::Temporary
    }
}
