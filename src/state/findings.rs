//! What was found out about the requirements of services, kept until it changes.
//!
//! A service waits for whatever is in the way of those that it requires, too. Looked up anew for each service of a chain, that would take
//! quadratic time; so what was found for one is kept for those that require it.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use hashbrown::HashMap;

use super::{obstacle::Obstacle, phase::Phase};

/// What was found out about the requirements of services, by slot.
///
/// What is kept for a service was made of what is kept for those that it requires and that wait themselves. So nothing is kept that depends
/// on something that is not.
#[derive(Debug, Default)]
pub(super) struct Findings {
    known: HashMap<u32, Finding>,
    /// Those whose finding depends on this service. One that was forgotten since may still be among them.
    followers: HashMap<u32, BTreeSet<u32>>,
    /// For whom those that are held wait, by place in start order, and until when: all depends on that.
    holder: Option<(u64, Option<Instant>)>,
}

/// What was found out about all that one service requires, directly or not.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Finding {
    /// What keeps it from being started.
    pub(super) blocker: Option<(Arc<str>, Obstacle)>,
    /// Which of them has ended, so that this is still to be judged, and how.
    pub(super) ended: Option<(Arc<str>, Obstacle)>,
    told: Told,
}

/// Whether a service, and those that wait for it, were told that waiting is in vain, since that was found out.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Told {
    #[default]
    Not,
    Before,
}

impl Finding {
    /// Takes notice of one more thing that is in the way. Of those that weigh the same, the first is told.
    pub(super) fn meet(&mut self, name: &Arc<str>, why: Obstacle) {
        let present = self.blocker.as_ref().map(|(_, why)| weight(*why));
        if present.is_none_or(|present| weight(why) > present) {
            self.blocker = Some((Arc::clone(name), why));
        }
    }
}

/// How much an obstacle matters, beside others.
const fn weight(why: Obstacle) -> u8 {
    match why {
        Obstacle::NotReady | Obstacle::NotCompleted => 0,
        // Each delay is told by whoever waits for it.
        Obstacle::Delayed(_) => 1,
        Obstacle::Missing
        | Obstacle::Recurring
        | Obstacle::Parked
        | Obstacle::Stopped
        | Obstacle::Failed => 2,
    }
}

impl Findings {
    /// What is known of a service.
    pub(super) fn get(&self, slot: u32) -> Option<&Finding> {
        self.known.get(&slot)
    }

    /// Keeps what was found for a service.
    pub(super) fn keep(&mut self, slot: u32, finding: Finding) {
        self.known.insert(slot, finding);
    }

    /// Notes that what is kept for `slot` depends on one that it requires.
    pub(super) fn follow(&mut self, required: u32, slot: u32) {
        self.followers.entry(required).or_default().insert(slot);
    }

    /// Notes that a service is told now that it waits in vain. Returns whether it was before.
    pub(super) fn note_told(&mut self, slot: u32) -> Told {
        let known = self.known.get_mut(&slot);
        known.map_or(Told::Not, |known| {
            std::mem::replace(&mut known.told, Told::Before)
        })
    }

    /// Forgets everything if those that are held wait for another one than before.
    pub(super) fn set_holder(&mut self, holder: Option<(u64, Option<Instant>)>) {
        if self.holder != holder {
            *self = Self {
                holder,
                ..Self::default()
            };
        }
    }

    /// A service is something else to those that require it.
    pub(super) fn changed(&mut self, slot: u32) {
        // The usual case, and on the way of every change of a phase.
        if self.known.is_empty() {
            return;
        }
        let mut work = vec![slot];
        while let Some(slot) = work.pop() {
            for follower in self.followers.remove(&slot).into_iter().flatten() {
                #[cfg(test)]
                note_look();
                // What was forgotten before has taken along all that depends on it.
                if self.known.remove(&follower).is_some() {
                    work.push(follower);
                }
            }
        }
    }

    /// What a service requires is there now, or the service itself is gone.
    pub(super) fn forget(&mut self, slot: u32) {
        if self.known.remove(&slot).is_some() {
            self.changed(slot);
        }
    }
}

/// Reports whether a service is the same in both phases to those that require it.
pub(super) fn look_alike(one: Phase, other: Phase) -> bool {
    seen_as(one) == seen_as(other)
}

/// One of the phases that are the same to those that require a service.
const fn seen_as(phase: Phase) -> Phase {
    match phase {
        Phase::Gated(_) | Phase::InLine | Phase::Queued => Phase::InLine,
        Phase::BackingOff { until } | Phase::Delayed { until } | Phase::Resting { until } => {
            Phase::BackingOff { until }
        }
        Phase::Registered(_)
        | Phase::Starting { .. }
        | Phase::Overdue { .. }
        | Phase::Stopping { .. } => Phase::Starting { until: None },
        Phase::Parked
        | Phase::Held
        | Phase::Undecided
        | Phase::Ready
        | Phase::Stopped
        | Phase::Finished(_)
        | Phase::Failed
        | Phase::Lost => phase,
    }
}

#[cfg(test)]
thread_local! {
    /// How often one was looked at that requires another one, or is required.
    pub(super) static LOOKED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

#[cfg(test)]
pub(super) fn note_look() {
    LOOKED.with(|looked| looked.set(looked.get() + 1));
}
