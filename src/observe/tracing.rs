//! Events as `tracing` records, with target `resurgam`.
//!
//! Failures are warnings, giving up is an error, the rest is `info` and `debug`. Nothing is computed while no subscriber
//! is installed.

use tracing::{Level, event, level_filters::LevelFilter};

use crate::{
    event::{Occurrence, Severity},
    user_value::say,
};

/// Reports whether anybody may listen.
pub(super) fn is_enabled() -> bool {
    LevelFilter::current() != LevelFilter::OFF
}

/// Writes one event.
///
/// A subscriber that panics, or an error that does when it is printed, costs the record and nothing else: it must not be
/// the end of the supervisor whose turn this is.
pub(super) fn record(occurrence: &Occurrence) {
    if is_enabled() {
        say(|| write(occurrence));
    }
}

fn write(occurrence: &Occurrence) {
    macro_rules! write {
        ($level:expr) => {
            event!(
                target: "resurgam",
                $level,
                path = %occurrence.path(),
                generation = occurrence.generation(),
                "{}",
                occurrence.kind()
            )
        };
    }
    match occurrence.kind().severity() {
        Severity::Debug => write!(Level::DEBUG),
        Severity::Error => write!(Level::ERROR),
        Severity::Info => write!(Level::INFO),
        Severity::Warn => write!(Level::WARN),
    }
}
