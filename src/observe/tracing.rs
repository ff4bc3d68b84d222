//! Events as `tracing` records, with target `resurgam`.
//!
//! Failures are warnings, giving up is an error, the rest is `info` and `debug`. Nothing is computed while no subscriber
//! is installed.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tracing::{Level, event, level_filters::LevelFilter};

use crate::event::{Event, Severity};

/// Reports whether anybody may listen.
pub(super) fn is_enabled() -> bool {
    LevelFilter::current() != LevelFilter::OFF
}

/// Writes one event. A panic of the subscriber, or of an error that it prints, is nobody's: the hook has printed it.
pub(super) fn record(occurrence: &Event) {
    if !is_enabled() {
        return;
    }
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| write(occurrence))) {
        let _nobody_to_tell = catch_unwind(AssertUnwindSafe(move || drop(payload)));
    }
}

fn write(occurrence: &Event) {
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
