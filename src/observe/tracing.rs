//! Events as `tracing` records, with target `resurgam`.
//!
//! Failures are warnings, giving up is an error, the rest is `info` and `debug`. Nothing is computed while no subscriber
//! is installed.

use tracing::{Level, event, level_filters::LevelFilter};

use crate::event::{Event, Severity};

/// Reports whether anybody may listen.
pub(super) fn is_enabled() -> bool {
    LevelFilter::current() != LevelFilter::OFF
}

/// Writes one event.
pub(super) fn record(occurrence: &Event) {
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
    if !is_enabled() {
        return;
    }
    match occurrence.kind().severity() {
        Severity::Debug => write!(Level::DEBUG),
        Severity::Error => write!(Level::ERROR),
        Severity::Info => write!(Level::INFO),
        Severity::Warn => write!(Level::WARN),
    }
}
