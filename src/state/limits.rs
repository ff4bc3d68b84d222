//! Pauses restarts, and goes on with them.

use std::time::{Duration, Instant};

use super::{SupervisorState, later, service::Phase};
use crate::{event::EventKind, policy::RestartLimit};

/// A pause of all restarts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pause {
    since: Instant,
    /// When it ends; never if that cannot be expressed.
    pub(super) until: Option<Instant>,
}

impl SupervisorState {
    /// Begins a pause, or prolongs the present one.
    pub(super) fn start_pause(&mut self, lasting: Duration, now: Instant) {
        let since = self.pause.map_or(now, |pause| pause.since);
        let mut until = later(now, lasting);
        if let RestartLimit::Decay {
            max_pause: Some(longest),
            ..
        } = self.rules.limit
            && let Some(last) = later(since, longest)
        {
            until = Some(until.map_or(last, |until| until.min(last)));
        }
        self.pause = Some(Pause { since, until });
        self.next_resume = None;
        let lasting = until.map_or(lasting, |until| until.saturating_duration_since(now));
        let count = self.counter.count(&self.rules.limit, now);
        self.report_self(EventKind::BackoffStarted { lasting, count }, now);
    }

    /// Lets a service wait for the end of the pause.
    pub(super) fn wait_for_resume(&mut self, slot: u32) {
        self.set_phase(slot, Phase::Queued);
        self.queue.push_back(self.services.token(slot));
        // Entries of those that no longer wait must not pile up during a long pause.
        if self.queue.len() > 2 * self.services.len() + 16 {
            let services = &self.services;
            self.queue.retain(|token| {
                let queued = |slot| services[slot].phase == Phase::Queued;
                services.slot(*token).is_some_and(queued)
            });
        }
    }

    /// Ends a pause: restarts go on.
    pub(super) fn end_pause(&mut self, now: Instant) {
        self.pause = None;
        self.counter.resume();
        let queued = self.services.in_state(Phase::Queued.public());
        self.report_self(EventKind::BackoffEnded { queued }, now);
        self.drain_queue(now);
    }

    /// Starts those that waited for the end of a pause, all at once or spaced.
    pub(super) fn drain_queue(&mut self, now: Instant) {
        self.next_resume = None;
        while let Some(token) = self.queue.pop_front() {
            let Some(slot) = self.services.slot(token) else {
                continue;
            };
            if self.services[slot].phase != Phase::Queued {
                continue;
            }
            self.revive(slot, Duration::ZERO, now);
            if !self.rules.resume_spacing.is_zero() && !self.queue.is_empty() {
                self.next_resume = later(now, self.rules.resume_spacing);
                return;
            }
        }
    }

    /// Lets a service wait because of its own limit.
    pub(super) fn rest(&mut self, slot: u32, pause: Duration, now: Instant) {
        self.report(slot, EventKind::RestartScheduled { after: pause }, now);
        self.services.set_deadline(slot, later(now, pause));
        self.set_phase(slot, Phase::Resting);
    }

    /// A service has waited long enough because of its own limit.
    pub(super) fn rested(&mut self, slot: u32, now: Instant) {
        self.services.set_deadline(slot, None);
        let extras = self.services[slot].extras.as_deref_mut();
        if let Some(own) = extras.and_then(|extras| extras.limit.as_mut()) {
            own.counter.resume();
        }
        if self.pause.is_some() {
            self.wait_for_resume(slot);
        } else {
            self.revive(slot, Duration::ZERO, now);
        }
    }

    /// A service has waited long enough because of its backoff.
    pub(super) fn backed_off(&mut self, slot: u32, now: Instant) {
        self.services.set_deadline(slot, None);
        if self.pause.is_some() {
            self.wait_for_resume(slot);
        } else {
            self.begin(slot, now);
        }
    }
}
