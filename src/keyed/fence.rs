//! What keeps an owner that is one no longer from writing.

use std::fmt;

/// A number that grows whenever a key changes hands between machines.
///
/// A service hands it to whatever it writes to, which refuses a smaller one than it has seen: so one that has lost its key, and does not know
/// it yet, does no harm. Without several machines there is [none](Self::NONE).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Fence(u64);

impl Fence {
    /// The fence of a service whose key nobody claims: smaller than any other.
    pub const NONE: Self = Self(0);

    /// The number: 0 for [`NONE`](Self::NONE).
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
