//! Says what happened, in a form to print, store and match.
//!
//! # Invariants
//!
//! 1. A failure comes before what follows from it: first the failure, then limit and pause, then the restart.
//! 2. Services come before their supervisor, when it starts and when it stops.

mod kind;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc, time::Instant};

pub(crate) use self::kind::Severity;
pub use self::kind::{Blocked, EventKind, Restarting};
use crate::token::ServiceToken;

/// Something that has happened to a service or to a supervisor.
///
/// Prints as one line.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    path: Arc<str>,
    token: Option<ServiceToken>,
    generation: u64,
    at: Instant,
    kind: EventKind,
}

impl Event {
    /// An event about the service `token`, or about a supervisor itself if there is none.
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

    /// Another event about the same subject, at the same time.
    pub(crate) fn about(&self, kind: EventKind) -> Self {
        Self {
            kind,
            ..self.clone()
        }
    }

    /// The names from the root to whom it happened, joined by `/`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// To which service it happened, or `None` if a supervisor speaks about itself.
    pub const fn token(&self) -> Option<ServiceToken> {
        self.token
    }

    /// In which incarnation it happened: 0 for the first.
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// When it happened.
    pub const fn at(&self) -> Instant {
        self.at
    }

    /// What happened.
    pub const fn kind(&self) -> &EventKind {
        &self.kind
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path)?;
        if self.token.is_some() {
            write!(f, "#{}", self.generation)?;
        }
        write!(f, ": {}", self.kind)
    }
}
