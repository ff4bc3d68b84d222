//! How a service is stopped.

use std::time::Duration;

/// How a service is stopped, and how long it may take.
///
/// A service that names none is given its supervisor's `shutdown_timeout`.
///
/// What is dropped and is still there after a tenth of the time that it was given blocks its thread, and is abandoned; at most after 100 ms,
/// at least after 10 ms, and after 100 ms if it was not asked, as by a kill or at the end of its start timeout. A supervisor has everything
/// below gone or abandoned within its own time, and says who would not go; one that is killed drops all that, and ends with it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Shutdown {
    /// It is asked, and dropped if it is still there after this long. Zero drops it as soon as it was asked.
    Timeout(Duration),
    /// It is asked, and may take as long as it likes, unless there is a [bound](crate::SupervisorRef::shutdown_within) for the whole tree. Right for supervisors, whose services have their own timeouts.
    Infinity,
    /// It is dropped without being asked.
    BrutalKill,
}
