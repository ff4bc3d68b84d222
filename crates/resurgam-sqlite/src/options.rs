//! What may be set when a table is opened.

use std::time::Duration;

/// How a table is opened.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use]
pub struct SqliteOptions {
    pub(crate) busy_timeout: Duration,
    pub(crate) poll_every: Duration,
}

impl Default for SqliteOptions {
    /// 5 s for others that are writing, and a look for their changes every 250 ms.
    fn default() -> Self {
        Self {
            busy_timeout: Duration::from_secs(5),
            poll_every: Duration::from_millis(250),
        }
    }
}

impl SqliteOptions {
    /// Sets how long to wait for others that are writing to the file. 5 s by default; what takes longer is
    /// [`Locked`](crate::SqliteError::Locked).
    pub const fn busy_timeout(mut self, limit: Duration) -> Self {
        self.busy_timeout = limit;
        self
    }

    /// Sets how often to look whether others have changed the file, as long as somebody listens for changes. Every 250 ms by default, and at
    /// most every millisecond. It costs a few microseconds on a thread of its own.
    pub const fn poll_every(mut self, interval: Duration) -> Self {
        self.poll_every = interval;
        self
    }
}
