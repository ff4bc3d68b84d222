//! How a service is stopped.

use std::time::Duration;

/// How a service is stopped, and how long it may take.
///
/// A service that names none is given its supervisor's `shutdown_timeout`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Shutdown {
    /// It is asked, and dropped if it is still there after this long. Zero drops it as soon as it was asked.
    Timeout(Duration),
    /// It is asked, and may take as long as it likes. Right for supervisors, whose services have their own timeouts.
    Infinity,
    /// It is dropped without being asked.
    BrutalKill,
}
