//! By when a stop has to be over, and how that time is divided among those who take part in it.
//!
//! A stop that was given a time is over at that time, whatever its services do:
//!
//! ```text
//!   asked                                 drop        abandon          end
//!   ├──────────────────────────────────────┼─────────────┼──────────────┤
//!    services stop as they like             are dropped   if they block  what has to be told reaches
//!                                                         their thread   the top of the tree
//! ```
//!
//! `drop` is the same for a whole tree, so that deep services have as much time as others. Only `end` is a little earlier for each level
//! below: a supervisor tells who would not stop before the one above gives up on it.

use std::time::{Duration, Instant};

use crate::policy::KillCause;

/// By when a supervisor has to have stopped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct StopBy {
    /// When everything that still runs is dropped.
    pub(crate) drop: Instant,
    /// When the stop is over: whatever still runs is no longer waited for.
    pub(crate) end: Instant,
    /// With which cause those end that are dropped.
    pub(crate) cause: KillCause,
}

impl StopBy {
    /// Everything is over within this time, but for times that are too short to drop anything. `None` if that lies beyond what can be
    /// expressed.
    pub(crate) fn within(limit: Duration, now: Instant) -> Option<Self> {
        let limit = limit.max(SHORTEST);
        let allowed = allowance(limit).min(limit);
        let drop = now.checked_add(limit.saturating_sub(allowed))?;
        Some(Self {
            drop,
            // Whoever waits with a clock of his own is told before that strikes.
            end: drop.checked_add(allowed.saturating_sub(allowed / 8))?,
            cause: KillCause::StopTimeout,
        })
    }

    /// The stop timeout of one supervisor, at whose end it is dropped itself, and so has dropped everything below a little earlier.
    pub(super) fn timeout(timeout: Duration, now: Instant) -> Option<Self> {
        let by = Self::within(timeout, now)?;
        let end = now.checked_add(timeout.max(SHORTEST))?;
        Some(Self { end, ..by })
    }

    /// Everything is dropped at once, with this cause.
    pub(super) fn at_once(cause: KillCause, now: Instant) -> Self {
        Self {
            drop: now,
            end: now + LONGEST,
            cause,
        }
    }

    /// Both bounds hold.
    #[must_use]
    pub(crate) fn and(self, other: Self) -> Self {
        let first = if other.drop < self.drop { other } else { self };
        Self {
            end: self.end.min(other.end),
            ..first
        }
    }

    /// For a supervisor below, which has to tell who would not stop before the one above gives up on it.
    pub(super) fn below(self) -> Self {
        Self {
            end: self.before_the_end(64),
            ..self
        }
    }

    /// When a supervisor gives up on one below that has this bound less what is taken off [below](Self::below).
    pub(super) fn given_up(self) -> Instant {
        self.before_the_end(128)
    }

    /// When those are abandoned that were dropped and are still there. What is left then is for those who have to be told.
    pub(super) fn abandoned(self) -> Instant {
        self.before_the_end(2)
    }

    /// This part of what lies between the two times before the end.
    fn before_the_end(self, part: u32) -> Instant {
        let allowed = self.end.saturating_duration_since(self.drop);
        self.drop + allowed.saturating_sub(allowed / part)
    }
}

/// How long those may take to be gone that are dropped after they had this much time to stop.
pub(super) fn allowance(given: Duration) -> Duration {
    (given / 10).clamp(SHORTEST, LONGEST)
}

/// How long whatever is dropped may take to be gone, at most, and if nobody has said how long it may take to stop.
pub(super) const LONGEST: Duration = Duration::from_millis(100);

/// A shorter time would abandon those that are being dropped on another thread at this moment.
const SHORTEST: Duration = Duration::from_millis(10);
