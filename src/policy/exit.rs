//! Why an incarnation ended.

use std::{error::Error, fmt, sync::Arc};

use super::told::{Form, causes, debugged, displayed, source_of};
use crate::user_value::UserValue;

/// Why an incarnation of a service ended.
///
/// | reason | ends like this | abnormal |
/// |-|-|-|
/// | [`Normal`](Self::Normal) | it stopped itself, or its task returned `Ok` | no |
/// | [`Shutdown`](Self::Shutdown) | it was asked to stop | no |
/// | [`Failed`](Self::Failed) | it failed, its task or its factory returned `Err` | yes |
/// | [`Panicked`](Self::Panicked) | it panicked | yes |
/// | [`Killed`](Self::Killed) | it was dropped without being asked | yes |
/// | [`Escalated`](Self::Escalated) | it is a supervisor that gave up | yes |
///
/// Prints as one line; the alternate form (`{:#}`) adds the whole chain of causes, each once: one that an error names at its own end is not
/// repeated.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ExitReason {
    /// It ended by itself, without an error.
    Normal,
    /// It was asked to stop and did.
    Shutdown,
    /// It ended with an error.
    Failed(ServiceError),
    /// It panicked, and the panic was caught.
    #[non_exhaustive]
    Panicked {
        /// What the panic carried, if it was text.
        message: String,
        /// File, line and column of the panic.
        location: String,
        /// Who has called whom, if that was not printed, because of [`quiet_panics`](crate::quiet_panics), and `RUST_BACKTRACE` asks for it.
        backtrace: Option<Arc<str>>,
    },
    /// It was dropped.
    Killed(KillCause),
    /// It is a supervisor, and one of its services failed too often.
    #[non_exhaustive]
    Escalated {
        /// The service that failed last.
        path: Arc<str>,
        /// Why that one ended, which may itself be an escalation.
        cause: Box<Self>,
    },
}

impl ExitReason {
    /// A panic at `location`.
    #[cfg(test)]
    pub(crate) fn panicked(message: impl Into<String>, location: impl Into<String>) -> Self {
        Self::Panicked {
            message: message.into(),
            location: location.into(),
            backtrace: None,
        }
    }

    /// The end of a supervisor whose service `path` ended too often, the last time with `cause`.
    pub(crate) fn escalated(path: Arc<str>, cause: Self) -> Self {
        Self::Escalated {
            path,
            cause: Box::new(cause),
        }
    }

    /// Reports whether the end counts as a failure: every reason but `Normal` and `Shutdown`.
    pub const fn is_abnormal(&self) -> bool {
        !matches!(self, Self::Normal | Self::Shutdown)
    }

    /// The name of the kind, for machines.
    #[cfg_attr(
        not(feature = "serde"),
        expect(dead_code, reason = "for what is serialised")
    )]
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Shutdown => "shutdown",
            Self::Failed(_) => "failed",
            Self::Panicked { .. } => "panicked",
            Self::Killed(_) => "killed",
            Self::Escalated { .. } => "escalated",
        }
    }

    /// The service's own error, if it ended with one.
    pub const fn error(&self) -> Option<&ServiceError> {
        match self {
            Self::Failed(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal => f.write_str("normal"),
            Self::Shutdown => f.write_str("shutdown"),
            Self::Failed(error) => write!(f, "failed: {error}"),
            Self::Panicked {
                message, location, ..
            } => write!(f, "panicked at {location}: {message}"),
            Self::Killed(cause) => write!(f, "killed: {cause}"),
            Self::Escalated { path, .. } => write!(f, "escalated by `{path}`"),
        }?;
        if f.alternate() {
            let said = match self {
                Self::Failed(error) => displayed(error.as_error(), Form::Plain),
                _ => String::new(),
            };
            f.write_str(&causes(said, self.source()))?;
        }
        Ok(())
    }
}

impl Error for ExitReason {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(error) => source_of(error.as_error()),
            Self::Escalated { cause, .. } => Some(&**cause),
            _ => None,
        }
    }
}

/// Why an incarnation was dropped instead of being asked to stop.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum KillCause {
    /// It did not stop within its stop timeout.
    StopTimeout,
    /// It was not ready within its start timeout.
    StartTimeout,
    /// It could not even be dropped, because it blocks its thread.
    Unresponsive,
    /// It is to be stopped without being asked.
    Requested,
    /// The arbiter that it ran on has stopped.
    ArbiterStopped,
}

impl fmt::Display for KillCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StopTimeout => "stop timeout",
            Self::StartTimeout => "start timeout",
            Self::Unresponsive => "unresponsive",
            Self::Requested => "requested",
            Self::ArbiterStopped => "arbiter stopped",
        })
    }
}

/// The error that a service ended with: any error, shared.
///
/// Cheap to clone. Two of them are equal if they are the same occurrence, whatever they say. Prints as the error that
/// it holds, and has the same source; one that panics when it is printed says that it cannot be.
#[derive(Clone)]
pub struct ServiceError(Arc<UserValue<Box<dyn Error + Send + Sync>>>);

impl ServiceError {
    /// Takes any error, boxed error or text. A `ServiceError` stays as it is.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        match error.into().downcast::<Self>() {
            Ok(same) => *same,
            Err(error) => Self(Arc::new(UserValue::new(error))),
        }
    }

    /// The error itself.
    pub fn as_error(&self) -> &(dyn Error + Send + Sync + 'static) {
        &***self.0
    }

    /// The error itself, if it is an `E`.
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        self.0.downcast_ref()
    }
}

impl fmt::Debug for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&debugged(self.as_error(), Form::from(&*f)))
    }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&displayed(self.as_error(), Form::from(&*f)))
    }
}

impl PartialEq for ServiceError {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Error for ServiceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        source_of(self.as_error())
    }
}
