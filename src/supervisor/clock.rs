//! The one place that reads the clocks.

use std::time::{Instant, SystemTime};

/// The present, by tokio's clock, which tests can pause.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The present by both clocks: what is decided goes by the one, what users read by the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Present {
    pub(super) now: Instant,
    pub(super) wall: SystemTime,
}

impl Present {
    pub(super) fn read() -> Self {
        Self {
            now: now(),
            wall: SystemTime::now(),
        }
    }

    /// The time on the wall at another time, if that can be expressed.
    pub(super) fn on_the_wall(self, at: Instant) -> Option<SystemTime> {
        if at > self.now {
            self.wall.checked_add(at - self.now)
        } else {
            self.wall.checked_sub(self.now - at)
        }
    }
}
