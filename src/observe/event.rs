//! What happened, as those who listen are told of it.

use std::{
    fmt,
    sync::Arc,
    time::{Instant, SystemTime},
};

use crate::{
    event::{EventKind, Occurrence},
    token::ServiceToken,
};

/// Something that has happened to a service or to a supervisor.
///
/// Prints as one line. With the feature `serde` it is serialised as an object of the fields `sequence`, `at` (RFC 3339, in UTC), `path`,
/// `token` (as it prints, or null), `generation`, `kind` ([`EventKind::name`]), `text` (what the kind prints as) and, if the kind has fields,
/// `details`: an object of them, durations as seconds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    what: Occurrence,
    stamp: Stamp,
}

/// What an event gets where those of all supervisors of a tree come together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    pub(super) at: SystemTime,
    pub(super) sequence: u64,
}

impl Event {
    pub(super) const fn new(what: Occurrence, stamp: Stamp) -> Self {
        Self { what, stamp }
    }

    pub(super) const fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// The path of the root of the tree.
    pub(super) fn root_path(&self) -> Arc<str> {
        let path = self.what.path();
        match path.split_once('/') {
            Some((root, _)) => Arc::from(root),
            None => Arc::clone(path),
        }
    }

    /// The names from the root to whom it happened, joined by `/`.
    pub fn path(&self) -> &str {
        self.what.path()
    }

    /// To which service it happened, or `None` if a supervisor speaks about itself.
    pub const fn token(&self) -> Option<ServiceToken> {
        self.what.token()
    }

    /// In which incarnation it happened: 0 for the first.
    pub const fn generation(&self) -> u64 {
        self.what.generation()
    }

    /// When it was told, by the clock on the wall: that of the operating system, which somebody may set back or forth.
    pub const fn at(&self) -> SystemTime {
        self.stamp.at
    }

    /// When it happened, by a clock that only goes forward, and that a test may have paused.
    pub const fn monotonic(&self) -> Instant {
        self.what.at()
    }

    /// Its number among the events that were told of its tree, from 1: greater for each later one.
    ///
    /// Whoever reads all events of a tree sees each number once, but for those that were [lost](EventKind::EventsLost). What nobody listened to
    /// has no number.
    pub const fn sequence(&self) -> u64 {
        self.stamp.sequence
    }

    /// What happened.
    pub const fn kind(&self) -> &EventKind {
        self.what.kind()
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.what, f)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Event {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(serde::Serialize)]
        struct Fields<'a> {
            sequence: u64,
            #[serde(serialize_with = "crate::serialize::wall_clock")]
            at: SystemTime,
            path: &'a str,
            token: Option<ServiceToken>,
            generation: u64,
            text: String,
            #[serde(flatten)]
            kind: &'a EventKind,
        }
        let fields = Fields {
            sequence: self.sequence(),
            at: self.at(),
            path: self.path(),
            token: self.token(),
            generation: self.generation(),
            text: self.kind().to_string(),
            kind: self.kind(),
        };
        fields.serialize(serializer)
    }
}
