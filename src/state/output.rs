//! What comes back from the state: effects to carry out, answers to give, and pictures to look at.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use super::{
    bounds::StopBy,
    end::Ended,
    error::{RemoveError, ResetError, RestartError, StopError},
    mirror::Mirrored,
    obstacle::Obstacle,
};
use crate::{
    event::{EventKind, Occurrence, ServiceState},
    policy::{ExitReason, KillCause, RestartType},
    token::ServiceToken,
};

/// What the shell must do next, in the order in which it is told.
#[derive(Debug)]
#[must_use = "a decision that is not carried out leaves the state and the cells apart"]
pub(crate) enum Effect {
    /// Make incarnation `generation` of the service.
    Start {
        /// Which service.
        token: ServiceToken,
        /// 0 for the first.
        generation: u64,
    },
    /// Find out whether services elsewhere in the tree are ready, and say so once all are.
    Await {
        /// Which service requires them.
        token: ServiceToken,
        /// The number of the question.
        ticket: u64,
        /// Which are required.
        paths: Box<[Arc<str>]>,
        /// Whether the supervisor does not start without this service.
        needed: bool,
        /// Whether it is to be found out first if the service is to go on.
        consults: bool,
    },
    /// Find out whether a service is to go on whose incarnation has ended, and say so.
    Consult {
        /// Which service.
        token: ServiceToken,
        /// The number of the question.
        ticket: u64,
    },
    /// Nobody waits for the answer to that any more.
    Withdraw {
        /// Which service has required others.
        token: ServiceToken,
    },
    /// Tell whoever is above that the start waits for nothing but for what is elsewhere.
    AwaitsElsewhere,
    /// Ask the present incarnation to stop.
    Stop {
        /// Which service.
        token: ServiceToken,
        /// By when, if it is a supervisor, which passes that on.
        by: Option<StopBy>,
    },
    /// Tell a supervisor that was asked to stop that it has less time.
    Hurry {
        /// Which service.
        token: ServiceToken,
        /// By when it is to have stopped.
        by: StopBy,
    },
    /// Drop the present incarnation.
    Kill {
        /// Which service.
        token: ServiceToken,
        /// With which cause it is to end.
        cause: KillCause,
    },
    /// The service has another place in start order, behind what it requires.
    Moved {
        /// Which service.
        token: ServiceToken,
        /// Its place.
        place: u64,
    },
    /// Write off the present incarnation, with its cell and its thread, which it blocks.
    Abandon {
        /// Which service.
        token: ServiceToken,
    },
    /// Close the address and drop everything that is kept: the service is forgotten. Those who watch it are told that it has ended, if they
    /// were not told of the end of its latest life before.
    Release {
        /// Which service.
        token: ServiceToken,
        /// Why it ended.
        reason: ExitReason,
    },
    /// Mirror the state for look-ups.
    Mirror {
        /// Which service.
        token: ServiceToken,
        /// What it is from now on.
        state: Mirrored,
        /// Why it has ended for good, if it does with this change: those who watch it are told.
        end: Option<Box<ExitReason>>,
    },
    /// Tell the subscribers.
    Event(Occurrence),
    /// Tell somebody who waits for an operation.
    Answer {
        /// Who waits.
        waiter: Waiter,
        /// With what the operation ended.
        answer: Answer,
    },
    /// All services that were there at the start are ready.
    Started,
    /// The supervisor has ended; all its services have. Tell the subscribers with the last event of this incarnation, if there is one,
    /// once whatever belongs to the end is done.
    End {
        /// How it has ended.
        ended: Box<Ended>,
        /// The last event, if somebody listens.
        event: Option<Occurrence>,
    },
}

/// Somebody who waits for the end of an operation. The shell chooses the number and knows what it means.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Waiter(pub(crate) u64);

/// With what an operation ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// Of `remove`: why the service ended the last time; `Normal` if it never ran.
    Removed(Result<ExitReason, RemoveError>),
    /// Of `stop`.
    Stopped(Result<(), StopError>),
    /// Of `restart`: the service is ready, or why not.
    Restarted(Result<(), RestartError>),
    /// Of `reset`: the service is ready, or why not.
    Reset(Result<(), ResetError>),
    /// Of `await_ready`: the service is ready, or why its first start failed, and it is forgotten.
    Ready(Result<(), Unready>),
}

/// Why a service did not become ready.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Unready {
    /// It has said instead of starting that it is not to run.
    Declined,
    /// It has failed.
    Failed {
        /// Why it ended.
        reason: ExitReason,
        /// What failed while the start of a supervisor was undone, in that order.
        unwinding: Vec<(Arc<str>, ExitReason)>,
    },
}

impl From<ExitReason> for Unready {
    fn from(reason: ExitReason) -> Self {
        Self::Failed {
            reason,
            unwinding: Vec::new(),
        }
    }
}

/// The effects that were not taken yet.
#[derive(Debug)]
pub(super) struct Output {
    effects: VecDeque<Effect>,
    reporting: Reporting,
}

/// Whether events are made at all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reporting {
    /// Nobody listens.
    Off,
    /// Somebody listens.
    On,
}

impl Output {
    pub(super) const fn new() -> Self {
        Self {
            effects: VecDeque::new(),
            reporting: Reporting::On,
        }
    }

    pub(super) fn push(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    /// The effect that comes first of those that were not taken.
    pub(super) fn pop(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.effects.is_empty()
    }

    pub(super) const fn set_reporting(&mut self, reporting: Reporting) {
        self.reporting = reporting;
    }

    /// Reports whether anybody listens, for those who would have to copy much for an event.
    pub(super) fn is_reporting(&self) -> bool {
        self.reporting == Reporting::On
    }

    /// Reports an event, if anybody listens. Nothing is made of the arguments otherwise.
    pub(super) fn report(
        &mut self,
        subject: (&Arc<str>, Option<ServiceToken>, u64),
        kind: EventKind,
        now: Instant,
    ) {
        if let Some(event) = self.event(subject, kind, now) {
            self.effects.push_back(Effect::Event(event));
        }
    }

    /// An event, if anybody listens.
    pub(super) fn event(
        &self,
        subject: (&Arc<str>, Option<ServiceToken>, u64),
        kind: EventKind,
        now: Instant,
    ) -> Option<Occurrence> {
        let (path, token, generation) = subject;
        self.is_reporting()
            .then(|| Occurrence::new(Arc::clone(path), token, generation, now, kind))
    }

    /// Gives one caller an answer.
    pub(super) fn answer(&mut self, waiter: Waiter, answer: Answer) {
        self.effects.push_back(Effect::Answer { waiter, answer });
    }
}

/// What can be seen of one service.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ServiceView {
    /// Its token.
    pub(crate) token: ServiceToken,
    /// Its names from the root.
    pub(crate) path: Arc<str>,
    /// Where it is in its life.
    pub(crate) state: ServiceState,
    /// Its present or latest incarnation, 0 for the first.
    pub(crate) generation: u64,
    /// How often it was started again, for whatever reason.
    pub(crate) restarts: u64,
    /// When it is started again.
    pub(crate) restart: RestartType,
    /// Why it ended the last time, if it has.
    pub(crate) last_exit: Option<ExitReason>,
    /// Since when it is starting or ready, or else since when its latest incarnation is over.
    pub(crate) since: Option<Instant>,
    /// When it is started again, if it waits for a time.
    pub(crate) next_start: Option<Instant>,
    /// For whom it waits, and what is the matter with that one.
    pub(crate) waits_for: Option<(Arc<str>, Obstacle)>,
}

/// How many services there are.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Counts {
    /// In all.
    pub services: usize,
    /// Of those, how many are supervisors.
    pub supervisors: usize,
    /// With an incarnation.
    pub active: usize,
    /// Ready.
    pub ready: usize,
    /// Waiting for a delay, a pause or a requirement.
    pub waiting: usize,
    /// Stopped on request, or ended for good.
    pub stopped: usize,
    /// Failed.
    pub failed: usize,
}
