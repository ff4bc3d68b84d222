//! When a service that has ended is started again.

use std::fmt;

use super::ExitReason;

/// When a service that has ended by itself is started again.
///
/// | | `Normal`, `Shutdown` | every other [`ExitReason`] |
/// |-|-|-|
/// | [`Permanent`](Self::Permanent) | restarted | restarted |
/// | [`Transient`](Self::Transient) | not restarted | restarted |
/// | [`Temporary`](Self::Temporary) | not restarted | not restarted |
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum RestartType {
    /// Always restarted. The default, as in OTP.
    #[default]
    Permanent,
    /// Restarted only if it failed.
    Transient,
    /// Never restarted.
    Temporary,
}

impl RestartType {
    /// Reports whether a service of this type is started again after `reason`.
    pub const fn restarts_after(self, reason: &ExitReason) -> bool {
        match self {
            Self::Permanent => true,
            Self::Transient => reason.is_abnormal(),
            Self::Temporary => false,
        }
    }
}

impl fmt::Display for RestartType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Permanent => "permanent",
            Self::Transient => "transient",
            Self::Temporary => "temporary",
        })
    }
}
