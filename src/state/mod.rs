//! What a supervisor decides, and nothing else.
//!
//! [`SupervisorState`] is told what happened and when, and says which [`Effect`]s to carry out. It starts no actor, sends
//! no message and reads no clock; the shell does. Every path through supervision can so be tested without a runtime and
//! without waiting.
//!
//! After each input the shell takes effects with [`SupervisorState::next_effect`] until there are none, and asks for
//! [`SupervisorState::next_timeout`]. Notices from cells may be late, repeated or lies: what is not of the present
//! incarnation is dropped.
//!
//! # Invariants
//!
//! 1. A service has at most one incarnation that has not ended or been abandoned.
//! 2. Nothing is started while its supervisor stops, and nothing is restarted during a pause.
//! 3. Whoever waits for an operation is answered once, whatever happens.
//! 4. Every failure is reported before what follows from it.

mod effect;
mod ending;
mod error;
mod failure;
mod group;
mod limits;
mod line;
mod names;
mod operations;
mod order;
mod removal;
mod report;
mod requirement;
mod rules;
mod scope;
mod sequence;
mod service;
mod services;
mod snapshot;
mod start;
mod stop;
#[cfg(test)]
mod tests;
mod timeout;
mod waiters;

use std::{
    collections::VecDeque,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

pub(crate) use self::{
    effect::{Answer, Effect, Ended, Exit, Waiter},
    error::BlockedError,
    rules::{Announces, ServiceRules, Significance, SupervisorRules},
    scope::Binding,
    snapshot::ServiceView,
};
use self::{
    ending::Ending,
    limits::Pause,
    line::Line,
    sequence::Sequence,
    service::{Phase, Service},
    services::Services,
    waiters::Waiters,
};
pub use self::{
    error::{AddError, RemoveError, ResetError, RestartError, StopError},
    report::{ShutdownReport, UnstoppedService},
    service::ServiceState,
    snapshot::Counts,
};
use crate::{
    event::{Event, EventKind},
    policy::LimitCounter,
    token::{ServiceToken, SupervisorId},
};

/// How long a service that is dropped may take to be gone, before it is abandoned.
const ABANDON_AFTER: Duration = Duration::from_secs(1);

/// What a supervisor knows of its services.
pub(crate) struct SupervisorState {
    id: SupervisorId,
    path: Arc<str>,
    /// Where the paths of services are put together.
    path_text: String,
    rules: SupervisorRules,
    random: Box<dyn FnMut() -> f64 + Send>,
    reporting: Reporting,
    effects: VecDeque<Effect>,
    services: Services,
    stage: Stage,
    /// How often the supervisor was started.
    starts: u64,
    counter: LimitCounter,
    pause: Option<Pause>,
    /// Services that wait for the end of the pause, in the order in which they failed. Those that no longer wait are
    /// passed over when it is their turn.
    queue: VecDeque<ServiceToken>,
    /// When the next of the queue is started, after a pause.
    next_resume: Option<Instant>,
    sequence: Sequence,
    line: Line,
    /// What has ended while the supervisor was starting.
    deferred: Vec<(ServiceToken, failure::End)>,
    waiters: Waiters,
    ending: Option<Box<Ending>>,
}

/// Where a supervisor is in its life.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    Idle,
    Starting,
    Running,
    Ending,
    Ended,
}

/// Whether events are made at all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reporting {
    /// Nobody listens.
    Off,
    /// Somebody listens.
    On,
}

impl SupervisorState {
    /// A supervisor at `path` without services, not started. `random` returns numbers in `[0, 1)` for jitter.
    pub(crate) fn new(
        id: SupervisorId,
        path: Arc<str>,
        rules: SupervisorRules,
        random: Box<dyn FnMut() -> f64 + Send>,
    ) -> Self {
        Self {
            id,
            path,
            path_text: String::new(),
            rules,
            random,
            reporting: Reporting::On,
            effects: VecDeque::new(),
            services: Services::new(id),
            stage: Stage::Idle,
            starts: 0,
            counter: LimitCounter::default(),
            pause: None,
            queue: VecDeque::new(),
            next_resume: None,
            sequence: Sequence::default(),
            line: Line::default(),
            deferred: Vec::new(),
            waiters: Waiters::default(),
            ending: None,
        }
    }

    /// The next thing to do, in order, or `None` until the next input.
    pub(crate) fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Says whether events are made at all: they are at first.
    pub(crate) const fn set_reporting(&mut self, reporting: Reporting) {
        self.reporting = reporting;
    }

    /// Moves the supervisor, and its services with it, to another place in the tree.
    pub(crate) fn relocate(&mut self, path: Arc<str>) {
        if path != self.path {
            self.services.relocate(&path);
            self.path = path;
        }
    }

    /// Tells the subscribers about a service.
    fn report(&mut self, slot: u32, kind: EventKind, now: Instant) {
        if self.reporting == Reporting::On {
            let service = &self.services[slot];
            let event = Event::new(
                Arc::clone(&service.path),
                Some(self.services.token(slot)),
                service.generation(),
                now,
                kind,
            );
            self.effects.push_back(Effect::Report(event));
        }
    }

    /// Tells the subscribers about the supervisor itself.
    fn report_self(&mut self, kind: EventKind, now: Instant) {
        if self.reporting == Reporting::On {
            let generation = self.starts.saturating_sub(1);
            let event = Event::new(Arc::clone(&self.path), None, generation, now, kind);
            self.effects.push_back(Effect::Report(event));
        }
    }

    /// Puts a service into a phase, and mirrors what users see of it.
    fn set_phase(&mut self, slot: u32, phase: Phase) {
        let before = self.services[slot].phase;
        self.services.set_phase(slot, phase);
        // Nobody was told that an incarnation has ended, and a new one is told even if the one before was starting too.
        let untold = before == Phase::Ended || phase == Phase::Starting;
        if untold || before.public() != phase.public() {
            self.effects.push_back(Effect::Status {
                token: self.services.token(slot),
                state: phase.public(),
            });
        }
    }

    /// The slot of an incarnation that has not ended, or `None` for a notice that comes too late.
    fn current(&self, token: ServiceToken, generation: u64) -> Option<u32> {
        let slot = self.services.slot(token)?;
        let service = &self.services[slot];
        (service.phase.is_live() && service.generation() == generation).then_some(slot)
    }

    /// Does what has become possible by an input.
    fn settle(&mut self, now: Instant) {
        self.advance_line(now);
        self.advance_sequence(now);
        self.finish_ending(now);
    }

    /// Reports whether the supervisor takes no more operations.
    pub(crate) const fn is_ending(&self) -> bool {
        matches!(self.stage, Stage::Ending | Stage::Ended)
    }
}

impl fmt::Debug for SupervisorState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SupervisorState")
            .field("id", &self.id)
            .field("path", &self.path)
            .field("stage", &self.stage)
            .field("services", &self.services.len())
            .finish_non_exhaustive()
    }
}

/// A point in time, or never if it lies beyond what can be expressed.
fn later(now: Instant, after: Duration) -> Option<Instant> {
    now.checked_add(after)
}
