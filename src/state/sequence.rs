//! In which order services are asked to stop that stop together.
//!
//! Those that are to stop are asked in reverse start order. One is asked when all that require it have ended, and when
//! all that come after it have ended or said that they need time. So prompt services end in exact reverse order, and slow
//! ones that are independent of each other overlap. Because a service whose thread is stuck can say nothing, the second
//! condition is dropped when it has cost [`PATIENCE`] in all. Under rest for one it is never dropped and only an end
//! fulfils it, because there each service may build on all before it.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{
    SupervisorState,
    service::{Member, Stage},
    services::Leaving,
};
use crate::policy::Strategy;

/// How long one stop sequence waits in all for services that neither end nor say that they need time.
const PATIENCE: Duration = Duration::from_millis(100);

/// A wait up to this long is a round trip to a healthy service, and costs no patience: a hundred thousand of them would
/// use it up.
const ROUND_TRIP: Duration = Duration::from_millis(1);

/// The services that are being stopped together.
#[derive(Debug)]
pub(super) struct Sequence {
    /// Those that were not asked yet, by their place in start order.
    pub(super) pending: BTreeSet<(u64, u32)>,
    /// Those that joined since the last look, if the gate is gone.
    joined: Vec<u32>,
    /// How many hold up those before them.
    pub(super) holding: usize,
    /// How many have not ended.
    pub(super) members: usize,
    gate: Gate,
}

/// Whether those before a service wait until it says something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Gate {
    /// They do.
    Kept {
        /// How much patience is left.
        patience: Duration,
        /// Since when they wait for the present one.
        waiting: Option<Instant>,
    },
    /// They no longer do.
    Dropped,
}

impl Default for Sequence {
    fn default() -> Self {
        Self {
            pending: BTreeSet::new(),
            joined: Vec::new(),
            holding: 0,
            members: 0,
            gate: Gate::Kept {
                patience: PATIENCE,
                waiting: None,
            },
        }
    }
}

impl Sequence {
    /// When the gate is dropped, if nothing happens before.
    fn deadline(&self) -> Option<Instant> {
        match self.gate {
            Gate::Kept {
                patience,
                waiting: Some(since),
            } => since.checked_add(patience),
            _ => None,
        }
    }

    fn wait(&mut self, now: Instant) {
        if let Gate::Kept {
            waiting: waiting @ None,
            ..
        } = &mut self.gate
        {
            *waiting = Some(now);
        }
    }

    fn go_on(&mut self, now: Instant) {
        if let Gate::Kept { patience, waiting } = &mut self.gate
            && let Some(since) = waiting.take()
        {
            let waited = now.saturating_duration_since(since);
            if waited > ROUND_TRIP {
                *patience = patience.saturating_sub(waited);
            }
        }
    }

    /// Follows a service to its new place in start order.
    pub(super) fn moved(&mut self, slot: u32, from: u64, to: u64) {
        if self.pending.remove(&(from, slot)) {
            self.pending.insert((to, slot));
        }
    }
}

impl SupervisorState {
    /// Makes a service part of the present stop sequence.
    pub(super) fn join(&mut self, slot: u32) {
        let strict = self.is_strict();
        let service = &mut self.services[slot];
        if service.member != Member::Outside {
            return;
        }
        let order = service.order;
        service.member = match service.stage {
            Stage::Running => Member::Pending,
            Stage::Acknowledged if !strict => Member::Yielding,
            _ => Member::Holding,
        };
        match service.member {
            Member::Pending => {
                self.sequence.pending.insert((order, slot));
                if self.sequence.gate == Gate::Dropped {
                    self.sequence.joined.push(slot);
                }
            }
            Member::Holding => self.sequence.holding += 1,
            _ => {}
        }
        self.sequence.members += 1;
        self.services.set_leaving(slot, Leaving::Joins);
    }

    /// Notes that a service was asked, or is being dropped.
    pub(super) fn hold(&mut self, slot: u32) {
        let service = &mut self.services[slot];
        if service.member == Member::Pending {
            service.member = Member::Holding;
            self.sequence.pending.remove(&(service.order, slot));
            self.sequence.holding += 1;
        }
    }

    /// Notes that a service said that it needs time.
    pub(super) fn yield_to_others(&mut self, slot: u32) {
        if self.is_strict() {
            return;
        }
        let service = &mut self.services[slot];
        if service.member == Member::Holding {
            service.member = Member::Yielding;
            self.sequence.holding -= 1;
        }
    }

    /// Notes that the incarnation of a service has ended.
    pub(super) fn leave(&mut self, slot: u32, now: Instant) {
        let service = &mut self.services[slot];
        match std::mem::replace(&mut service.member, Member::Outside) {
            Member::Outside => return,
            Member::Pending => {
                self.sequence.pending.remove(&(service.order, slot));
            }
            Member::Holding => self.sequence.holding -= 1,
            Member::Yielding => {}
        }
        self.sequence.members -= 1;
        let free = self.services.set_leaving(slot, Leaving::Left);
        if self.sequence.gate == Gate::Dropped {
            for slot in free {
                self.ask_pending(slot, now);
            }
        }
        if self.sequence.members == 0 {
            self.sequence = Sequence::default();
        }
    }

    /// Asks whoever may be asked.
    pub(super) fn advance_sequence(&mut self, now: Instant) {
        if self.sequence.gate == Gate::Dropped {
            let mut joined = std::mem::take(&mut self.sequence.joined);
            joined.retain(|slot| self.services.get(*slot).is_some());
            joined.sort_unstable_by_key(|slot| std::cmp::Reverse(self.services[*slot].order));
            for slot in joined {
                self.ask_pending(slot, now);
            }
            return;
        }
        while let Some((_, slot)) = self.sequence.pending.last().copied() {
            if self.sequence.holding > 0 || self.services.is_held(slot) {
                self.sequence.wait(now);
                return;
            }
            self.sequence.go_on(now);
            self.ask(slot, now);
        }
        self.sequence.go_on(now);
    }

    /// No longer waits for services that say nothing.
    pub(super) fn drop_gate(&mut self, now: Instant) {
        self.sequence.gate = Gate::Dropped;
        let pending: Vec<u32> = self
            .sequence
            .pending
            .iter()
            .rev()
            .map(|(_, slot)| *slot)
            .collect();
        for slot in pending {
            self.ask_pending(slot, now);
        }
    }

    /// When services are no longer waited for that say nothing.
    pub(super) fn gate_deadline(&self) -> Option<Instant> {
        if self.is_strict() {
            return None;
        }
        self.sequence.deadline()
    }

    fn ask_pending(&mut self, slot: u32, now: Instant) {
        let pending = |service: &super::Service| service.member == Member::Pending;
        if self.services.get(slot).is_some_and(pending) && !self.services.is_held(slot) {
            self.ask(slot, now);
        }
    }

    fn is_strict(&self) -> bool {
        self.rules.strategy == Strategy::RestForOne
    }
}
