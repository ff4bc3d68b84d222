//! What users see of where a service is in its life.

use std::fmt;

/// Where a service is in its life.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum ServiceState {
    /// It waits for its turn, or for one that it requires.
    Waiting,
    /// An incarnation was begun and is not ready yet.
    Starting,
    /// It runs.
    Ready,
    /// It was asked to stop.
    Stopping,
    /// It has ended, and is started again after a delay of its own.
    BackingOff,
    /// It has ended, and is started again when a pause is over: that of all restarts of its supervisor, or its own.
    Paused,
    /// It was stopped on request or with its supervisor, or has ended for good.
    Stopped,
    /// It gave up, or its arbiter is gone.
    Failed,
}

impl ServiceState {
    // In the order of the variants, by which `index` and `to_bits` number them.
    pub(crate) const ALL: [Self; 8] = [
        Self::Waiting,
        Self::Starting,
        Self::Ready,
        Self::Stopping,
        Self::BackingOff,
        Self::Paused,
        Self::Stopped,
        Self::Failed,
    ];

    /// Reports whether the service has an incarnation.
    pub(crate) const fn is_live(self) -> bool {
        matches!(self, Self::Starting | Self::Ready | Self::Stopping)
    }

    /// Reports whether the service is down until somebody starts it.
    pub(crate) const fn is_down(self) -> bool {
        matches!(self, Self::Stopped | Self::Failed)
    }

    /// Its place in [`ALL`](Self::ALL).
    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// A number for this state, to keep it in an atomic.
    pub(crate) const fn to_bits(self) -> u8 {
        self as u8
    }

    /// The state of a number that [`to_bits`](Self::to_bits) has returned.
    pub(crate) fn from_bits(bits: u8) -> Self {
        let known = Self::ALL.get(usize::from(bits));
        known.copied().unwrap_or(Self::Failed)
    }
}

impl fmt::Display for ServiceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Stopping => "stopping",
            Self::BackingOff => "backing off",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        })
    }
}
