//! What is the matter with a service that another one waits for.

use std::time::{Duration, Instant};

use crate::event::Blocked;

/// What is the matter with a service that another one waits for.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Obstacle {
    /// It is not ready yet.
    NotReady,
    /// It has not ended yet, which is what is waited for.
    NotCompleted,
    /// It waits for the end of a delay or pause of its own, which is then; never if that cannot be expressed.
    Delayed(Option<Instant>),
    /// It does not exist.
    Missing,
    /// It is started again whenever it has ended without an error, and its end is what is waited for.
    Recurring,
    /// It has said that something is missing, and all that it requires is ready: nothing wakes it by itself.
    Parked,
    /// It has ended for good, or was stopped on request.
    Stopped,
    /// It failed, and nothing starts it again.
    Failed,
}

impl Obstacle {
    /// Reports whether the supervisor itself will get the other service ready, so that nobody has to do anything.
    pub(super) const fn resolves_itself(self) -> bool {
        matches!(self, Self::NotReady | Self::NotCompleted | Self::Delayed(_))
    }

    /// What users are told of it.
    pub(crate) fn told(self, now: Instant) -> Blocked {
        match self {
            Self::NotReady => Blocked::NotReady,
            Self::NotCompleted => Blocked::NotCompleted,
            Self::Delayed(until) => Blocked::Delayed {
                after: until.map_or(Duration::MAX, |at| at.saturating_duration_since(now)),
            },
            Self::Missing => Blocked::Missing,
            Self::Recurring => Blocked::Recurring,
            Self::Parked => Blocked::Parked,
            Self::Stopped => Blocked::Stopped,
            Self::Failed => Blocked::Failed,
        }
    }

    /// What users are told of it who will not wait for it.
    pub(super) const fn in_vain(self) -> Blocked {
        // Without a time in it, which would be of no use to them.
        match self {
            Self::Missing => Blocked::Missing,
            Self::Recurring => Blocked::Recurring,
            Self::Parked => Blocked::Parked,
            Self::Stopped => Blocked::Stopped,
            Self::Failed => Blocked::Failed,
            Self::NotReady | Self::NotCompleted | Self::Delayed(_) => Blocked::NotReady,
        }
    }
}
