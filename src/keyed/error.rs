//! Why an operation on a key is refused.

use std::{error::Error, fmt, sync::Arc};

use actix::Actor;

use crate::{
    policy::{ServiceError, SpecError},
    service::{ServiceRef, StartError},
    state::ServiceState,
};

/// Why there is no service that could be spoken to under a key.
#[non_exhaustive]
pub enum GetError<A: Actor> {
    /// Nothing is known of the key, or its row is still being read.
    #[non_exhaustive]
    NotFound {
        /// The name of the key.
        key: Arc<str>,
    },
    /// The service is starting, or is down. Messages to it wait as [`WhileDown`](crate::WhileDown) says.
    #[non_exhaustive]
    NotReady {
        /// The service.
        service: ServiceRef<A>,
        /// In which state it is.
        state: ServiceState,
    },
}

impl<A: Actor> fmt::Display for GetError<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { key } => write!(f, "no service has the key `{key}`"),
            Self::NotReady { service, state } => write!(f, "service `{service}` is {state}"),
        }
    }
}

impl<A: Actor> fmt::Debug for GetError<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<A: Actor> Error for GetError<A> {}

/// Why a key was not started.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartKeyError {
    /// The supervisor was not started yet, is down, or has ended.
    #[error("the supervisor is not running")]
    NotRunning,
    /// The key has a service already, or is being started or stopped: of many that start it at the same time, one wins. A service that is down
    /// has its key as well: it is [restarted](crate::SupervisorRef::restart), or [stopped](crate::keyed::KeyedRef::stop) and started anew.
    #[error("the key `{key}` is taken")]
    #[non_exhaustive]
    Exists {
        /// The name of the key.
        key: Arc<str>,
    },
    /// The table has no such row.
    #[error("there is no row of the key `{key}`")]
    #[non_exhaustive]
    NoRow {
        /// The name of the key.
        key: Arc<str>,
    },
    /// The row could not be read.
    #[error("the row of the key `{key}` could not be read: {error}")]
    #[non_exhaustive]
    Table {
        /// The name of the key.
        key: Arc<str>,
        /// Why not.
        error: ServiceError,
    },
    /// The service failed to start. The key is free again, and the next scan tries once more.
    #[error(transparent)]
    Start(StartError),
    /// The key was stopped meanwhile, or its supervisor was.
    #[error("the key `{key}` was stopped meanwhile")]
    #[non_exhaustive]
    Stopped {
        /// The name of the key.
        key: Arc<str>,
    },
    /// There are as many services as [`max_services`](crate::keyed::KeyedSpec::max_services) allows.
    #[error("supervisor is full: `max_services` is {max}")]
    #[non_exhaustive]
    Full {
        /// How many there may be.
        max: usize,
    },
    /// The key makes no name.
    #[error("the key makes no name: {0}")]
    BadKey(SpecError),
    /// The service was not ready in time, and is gone again.
    #[error("the key `{key}` was not ready in time")]
    #[non_exhaustive]
    TimedOut {
        /// The name of the key.
        key: Arc<str>,
    },
}

/// Why a key was not stopped.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StopKeyError {
    /// Nothing is known of the key.
    #[error("no service has the key `{key}`")]
    #[non_exhaustive]
    NotFound {
        /// The name of the key.
        key: Arc<str>,
    },
}

/// Why the table was not followed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RescanError {
    /// The supervisor was not started yet, is down, or has ended.
    #[error("the supervisor is not running")]
    NotRunning,
    /// The rows could not be read.
    #[error("the table could not be read: {error}")]
    #[non_exhaustive]
    Table {
        /// Why not.
        error: ServiceError,
    },
}
