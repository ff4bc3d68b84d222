//! Says what happened, in a form to print, store and match.
//!
//! # Invariants
//!
//! 1. A failure comes before what follows from it: first the failure, then limit and pause, then the restart.
//! 2. Services come before their supervisor, when it starts and when it stops.

mod kind;
mod service_state;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc, time::Instant};

pub(crate) use self::kind::Severity;
pub use self::{
    kind::{Blocked, EventKind, Operation, Restarting},
    service_state::ServiceState,
};
use crate::token::ServiceToken;

/// Something that has happened to a service or to a supervisor. Those who listen get it as an [`Event`](crate::Event).
///
/// Prints as one line.
#[derive(Clone, Debug)]
pub(crate) struct Occurrence {
    path: Arc<str>,
    token: Option<ServiceToken>,
    generation: u64,
    at: Instant,
    kind: EventKind,
}

impl Occurrence {
    /// What happened to the service `token`, or to a supervisor itself if there is none.
    pub(crate) const fn new(
        path: Arc<str>,
        token: Option<ServiceToken>,
        generation: u64,
        at: Instant,
        kind: EventKind,
    ) -> Self {
        Self {
            path,
            token,
            generation,
            at,
            kind,
        }
    }

    /// The names from the root to whom it happened, joined by `/`.
    pub(crate) const fn path(&self) -> &Arc<str> {
        &self.path
    }

    /// To which service it happened, or `None` if a supervisor speaks about itself.
    pub(crate) const fn token(&self) -> Option<ServiceToken> {
        self.token
    }

    /// In which incarnation it happened: 0 for the first.
    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }

    /// When it happened.
    pub(crate) const fn at(&self) -> Instant {
        self.at
    }

    /// What happened.
    pub(crate) const fn kind(&self) -> &EventKind {
        &self.kind
    }
}

impl fmt::Display for Occurrence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path)?;
        if self.token.is_some() {
            write!(f, "#{}", self.generation)?;
        }
        write!(f, ": {}", self.kind)
    }
}
