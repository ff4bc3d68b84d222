//! How what users see is serialised, where it is not as serde does it by itself.

use std::time::{Duration, SystemTime};

use serde::Serializer;

/// A duration as a number of seconds.
pub(crate) fn seconds<S: Serializer>(
    duration: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

/// A wall-clock time as text: `2026-11-26T15:33:16.000250Z`.
pub(crate) fn wall_clock<S: Serializer>(
    time: &SystemTime,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    // Before 1970 it has no such text. A clock that is so far off is at least seen to be.
    let time = (*time).max(SystemTime::UNIX_EPOCH);
    serializer.collect_str(&humantime::format_rfc3339_micros(time))
}
