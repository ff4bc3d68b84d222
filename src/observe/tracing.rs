//! Events as `tracing` records, with target `resurgam`.
//!
//! Failures are warnings, giving up is an error, the rest is `info` and `debug`. Nothing is computed while no subscriber
//! is installed. What the fields are is said in [`docs::observing`](crate::docs::observing).

use std::time::Duration;

use tracing::{Level, event, level_filters::LevelFilter};

use super::digest::{Record, delay};
use crate::{event::Severity, user_value::say};

/// Reports whether anybody may listen.
pub(super) fn is_enabled() -> bool {
    LevelFilter::current() != LevelFilter::OFF
}

/// Writes one record.
///
/// A subscriber that panics, or an error that does when it is printed, costs the record and nothing else: it must not be
/// the end of the supervisor whose turn this is.
pub(super) fn write(record: &Record) {
    say(|| write_unguarded(record));
}

fn write_unguarded(record: &Record) {
    let Record {
        what,
        repeats,
        over,
    } = record;
    let kind = what.kind();
    let token = what.token().map(tracing::field::display);
    let reason = kind.reason().map(tracing::field::display);
    let delay = delay(kind).as_ref().map(Duration::as_secs_f64);
    let count = kind.count();
    let (repeated, over) = match repeats {
        0 => (None, None),
        repeats => (Some(*repeats), Some(over.as_secs_f64())),
    };
    let more = match over {
        Some(over) => format!(" ({repeats} more in {over:.1} s)"),
        None => String::new(),
    };
    macro_rules! write {
        ($level:expr) => {
            event!(
                target: "resurgam",
                $level,
                path = %what.path(),
                token,
                generation = what.generation(),
                kind = kind.name(),
                reason,
                backtrace = kind.backtrace(),
                delay,
                count,
                repeats = repeated,
                over,
                "{kind}{more}",
            )
        };
    }
    match kind.severity() {
        Severity::Debug => write!(Level::DEBUG),
        Severity::Error => write!(Level::ERROR),
        Severity::Info => write!(Level::INFO),
        Severity::Warn => write!(Level::WARN),
    }
}
