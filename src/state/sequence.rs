//! In which order services are asked to stop that stop together.
//!
//! Those that are to stop are asked in reverse start order. One is asked when all that require it have ended, and when
//! all that come after it have ended or said that they need time. So prompt services end in exact reverse order, and slow
//! ones that are independent of each other overlap. Because a service whose thread is stuck can say nothing, the second
//! condition is dropped when it has cost [`PATIENCE`] in all. Under rest for one it is never dropped and only an end
//! fulfils it, because there each service may build on all before it.

use std::{
    cmp::Reverse,
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{
    phase::{Phase, Stage},
    service::Member,
    table::{Leaving, Table},
};
use crate::policy::Strategy;

/// The services that are being stopped together.
#[derive(Debug)]
pub(super) struct Sequence {
    /// Those that were not asked yet, by their place in start order.
    pending: BTreeSet<(u64, u32)>,
    /// Once the gate is dropped: who may have become free to be asked since [`take_freed`](Self::take_freed) was called last.
    freed: Vec<u32>,
    /// How many hold up those before them.
    holding: usize,
    /// How many have not ended.
    members: usize,
    gate: Gate,
}

/// Whether a service is asked to stop only after all later ones have ended or acknowledged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Gate {
    /// Yes.
    Kept {
        /// How much patience is left.
        patience: Duration,
        /// Since when those before it wait for the one that was asked last.
        waiting: Option<Instant>,
    },
    /// No: the patience is used up.
    Dropped,
}

impl Sequence {
    /// Reports whether nobody is being stopped.
    pub(super) fn is_empty(&self) -> bool {
        self.members == 0
    }

    /// Makes a service part of the sequence, if it is not yet.
    pub(super) fn join(&mut self, services: &mut Table, slot: u32, strategy: Strategy) {
        let service = &mut services[slot];
        if service.member != Member::Outside {
            return;
        }
        service.member = match service.phase() {
            Phase::Starting { .. } | Phase::Ready => Member::Pending,
            Phase::Stopping {
                stage: Stage::Acknowledged,
                ..
            } if !is_strict(strategy) => Member::Yielding,
            // It was asked before, for itself, and is waited for like the others.
            _ => Member::Holding,
        };
        match service.member {
            Member::Pending => {
                self.pending.insert((service.order, slot));
                if self.gate == Gate::Dropped {
                    self.freed.push(slot);
                }
            }
            Member::Holding => self.holding += 1,
            Member::Outside | Member::Yielding => {}
        }
        self.members += 1;
        services.set_leaving(slot, Leaving::Joins);
    }

    /// Notes that a service was asked, or is being dropped.
    pub(super) fn hold(&mut self, services: &mut Table, slot: u32) {
        let service = &mut services[slot];
        if service.member == Member::Pending {
            service.member = Member::Holding;
            self.pending.remove(&(service.order, slot));
            self.holding += 1;
        }
    }

    /// Notes that a service said that it needs time.
    pub(super) fn yield_to_others(&mut self, services: &mut Table, slot: u32, strategy: Strategy) {
        let service = &mut services[slot];
        if service.member == Member::Holding && !is_strict(strategy) {
            service.member = Member::Yielding;
            self.holding -= 1;
        }
    }

    /// Notes that the incarnation of a service has ended.
    pub(super) fn leave(&mut self, services: &mut Table, slot: u32) {
        let service = &mut services[slot];
        match std::mem::replace(&mut service.member, Member::Outside) {
            Member::Outside => return,
            Member::Pending => {
                self.pending.remove(&(service.order, slot));
            }
            Member::Holding => self.holding -= 1,
            Member::Yielding => {}
        }
        self.members -= 1;
        // Those that this one required may be asked now, if nobody else in the sequence requires them.
        let free = services.set_leaving(slot, Leaving::Left);
        if self.gate == Gate::Dropped {
            self.freed.extend(free);
        }
        if self.members == 0 {
            // The next sequence has all its patience.
            *self = Self::default();
        }
    }

    /// The service that may be asked now, because all that come after it have ended or acknowledged.
    pub(super) fn next(&mut self, services: &Table, now: Instant) -> Option<u32> {
        if self.gate == Gate::Dropped {
            return None;
        }
        let next = self.pending.last().map(|(_, slot)| *slot);
        if next.is_some_and(|slot| self.holding > 0 || services.is_held(slot)) {
            self.wait(now);
            return None;
        }
        self.go_on(now);
        next
    }

    /// Those that may be asked now, because nobody waits any more for those that come after them; in reverse start order.
    pub(super) fn take_freed(&mut self, services: &Table) -> Vec<u32> {
        let mut freed = std::mem::take(&mut self.freed);
        freed.retain(|slot| is_free(services, *slot));
        freed.sort_unstable_by_key(|slot| Reverse(services[*slot].order));
        freed.dedup();
        freed
    }

    /// The patience is used up: from now on, whoever is required by nobody in the sequence may be asked.
    pub(super) fn drop_gate(&mut self) {
        self.gate = Gate::Dropped;
        self.freed = self.pending.iter().map(|(_, slot)| *slot).collect();
    }

    /// When the gate is dropped, if nothing happens before.
    pub(super) fn deadline(&self, strategy: Strategy) -> Option<Instant> {
        match self.gate {
            Gate::Kept {
                patience,
                waiting: Some(since),
            } if !is_strict(strategy) => since.checked_add(patience),
            _ => None,
        }
    }

    /// Follows a service to its new place in start order.
    pub(super) fn moved(&mut self, slot: u32, from: u64, to: u64) {
        if self.pending.remove(&(from, slot)) {
            self.pending.insert((to, slot));
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
            // Charged per wait and not per service, so that a few slow ones among many prompt ones are what uses it up.
            if waited > ROUND_TRIP {
                *patience = patience.saturating_sub(waited);
            }
        }
    }

    /// For tests: whether a service is pending, how many hold and how many there are.
    #[cfg(test)]
    pub(super) fn accounts(&self, order: u64, slot: u32) -> (bool, usize, usize) {
        let pending = self.pending.contains(&(order, slot));
        (pending, self.holding, self.members)
    }
}

impl Default for Sequence {
    fn default() -> Self {
        Self {
            pending: BTreeSet::new(),
            freed: Vec::new(),
            holding: 0,
            members: 0,
            gate: Gate::Kept {
                patience: PATIENCE,
                waiting: None,
            },
        }
    }
}

/// Reports whether a service was not asked yet, and nobody that requires it is left.
fn is_free(services: &Table, slot: u32) -> bool {
    let pending = services
        .get(slot)
        .is_some_and(|service| service.member == Member::Pending);
    pending && !services.is_held(slot)
}

/// Reports whether each service waits for the end of all later ones, however long that takes.
fn is_strict(strategy: Strategy) -> bool {
    strategy == Strategy::RestForOne
}

/// How long one stop sequence waits in all for services that neither end nor say that they need time.
const PATIENCE: Duration = Duration::from_millis(100);

/// Waits of up to this are not charged: 100 000 prompt services would otherwise use up the patience.
const ROUND_TRIP: Duration = Duration::from_millis(1);
