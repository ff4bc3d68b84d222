//! What is decided about a failure on the supervisor's side.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use super::{ExitReason, verdict::sources};
use crate::user_value::quietly;

/// A failure of a service, as the function sees it that [decides](crate::ServiceSpec::decide) what follows.
///
/// Prints as its [`ExitReason`].
#[derive(Clone, Debug)]
pub struct Failure {
    path: Arc<str>,
    reason: ExitReason,
}

impl Failure {
    pub(crate) const fn new(path: Arc<str>, reason: ExitReason) -> Self {
        Self { path, reason }
    }

    /// The names of the service from the root, joined by `/`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Why it ended: never [`Normal`](ExitReason::Normal) or [`Shutdown`](ExitReason::Shutdown).
    pub const fn reason(&self) -> &ExitReason {
        &self.reason
    }

    /// Looks for an error of this type: the service's own error and its sources, and for a supervisor also those of the service below with
    /// which it gave up.
    ///
    /// The first one found counts; a chain is followed for 64 sources. A panic and a kill are no errors but
    /// [reasons](Self::reason).
    pub fn find<E: Error + 'static>(&self) -> Option<&E> {
        quietly(|| sources(&self.reason).find_map(|error| error.downcast_ref())).flatten()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

/// What is to follow a failure, in place of what the service's [`RestartType`](crate::RestartType) says.
///
/// | | counted | what follows |
/// |-|-|-|
/// | [`Restart`](Self::Restart) | yes | a restart, after the service's own [`Backoff`](crate::Backoff) |
/// | [`RestartAfter`](Self::RestartAfter) | yes | a restart, after this delay |
/// | [`Stop`](Self::Stop) | no | nothing |
/// | [`Escalate`](Self::Escalate) | by the supervisor above | the supervisor ends |
/// | [`Fatal`](Self::Fatal) | no | the tree ends |
///
/// What is counted may be one too many, and lead into what the limit says.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Directive {
    /// It is restarted, also if it is [`Temporary`](crate::RestartType::Temporary).
    #[default]
    Restart,
    /// It is restarted after this delay, in place of that of its backoff.
    RestartAfter(Duration),
    /// It is not restarted, as after [`Verdict::DoNotRestart`](crate::Verdict::DoNotRestart). A supervisor starts without a service whose
    /// start has failed so.
    Stop,
    /// Its supervisor stops all services and ends, which its own supervisor counts as a failure.
    Escalate,
    /// The whole tree ends, as with an error that is [fatal](crate::SupervisorSpec::fatal).
    Fatal,
}
