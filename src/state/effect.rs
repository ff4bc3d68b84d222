//! What the shell is told to do, and what it tells the state.

use std::sync::Arc;

use super::{
    error::{RemoveError, ResetError, RestartError, StopError},
    report::ShutdownReport,
    service::ServiceState,
};
use crate::{
    event::Event,
    policy::{ExitReason, KillCause, ServiceError, Verdict},
    token::ServiceToken,
};

/// How an incarnation ended, as its cell tells it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Exit {
    /// Why it ended.
    pub(crate) reason: ExitReason,
    /// What it decided about itself; a verdict among the sources of its error counts as well.
    pub(crate) verdict: Option<Verdict>,
}

impl Exit {
    /// What the service decided about itself, if anything.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        // Walks the sources of a user's error, on the supervisor's turn.
        let in_error = || Verdict::find_quietly(self.reason.error()?.as_error());
        self.verdict.or_else(in_error)
    }
}

impl From<ExitReason> for Exit {
    fn from(reason: ExitReason) -> Self {
        Self {
            reason,
            verdict: None,
        }
    }
}

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
    /// Ask the present incarnation to stop.
    Stop {
        /// Which service.
        token: ServiceToken,
    },
    /// Drop the present incarnation.
    Kill {
        /// Which service.
        token: ServiceToken,
        /// With which cause it is to end.
        cause: KillCause,
    },
    /// Close the address and drop everything that is kept: the service is forgotten.
    Release {
        /// Which service.
        token: ServiceToken,
    },
    /// Mirror the state for look-ups.
    Status {
        /// Which service.
        token: ServiceToken,
        /// Its state from now on.
        state: ServiceState,
    },
    /// Tell the subscribers.
    Report(Event),
    /// Tell somebody who waits for an operation.
    Answer {
        /// Who waits.
        waiter: Waiter,
        /// With what the operation ended.
        answer: Answer,
    },
    /// All services that were there at the start are ready.
    Started,
    /// The supervisor has ended; all its services have.
    End(Ended),
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
    Ready(Result<(), ExitReason>),
}

/// How a supervisor ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ended {
    /// It was asked to.
    Stopped {
        /// What went wrong while it stopped.
        report: ShutdownReport,
    },
    /// A service that was there at the start could not be started. Those that were ready have stopped again.
    StartFailed {
        /// Which service.
        path: Arc<str>,
        /// Why it ended.
        cause: ExitReason,
        /// What failed while the others stopped, in that order.
        unwinding: Vec<(Arc<str>, ExitReason)>,
        /// What went wrong while they stopped.
        report: ShutdownReport,
    },
    /// A limit was exceeded.
    Escalated {
        /// With what the supervisor ended: always an escalation.
        reason: ExitReason,
        /// What went wrong while it stopped.
        report: ShutdownReport,
    },
    /// A service ended with a fatal error.
    Fatal {
        /// Which service.
        path: Arc<str>,
        /// The most important fatal error; the first of those that nobody compares.
        error: ServiceError,
        /// What went wrong while the supervisor stopped.
        report: ShutdownReport,
    },
    /// A service ended with the verdict to terminate the tree.
    Terminated {
        /// Whether the supervisors above end likewise.
        propagate: bool,
        /// With what the service ended.
        reason: ExitReason,
        /// What went wrong while the supervisor stopped.
        report: ShutdownReport,
    },
    /// Significant services have ended by themselves.
    AutoShutdown {
        /// What went wrong while the supervisor stopped.
        report: ShutdownReport,
    },
}
