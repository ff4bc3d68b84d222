//! What a service is, and where it runs, as a report shows it.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

/// What a service is, as a [`Report`](crate::Report) shows it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum ReportedKind {
    /// An actor, in whichever context.
    Actor,
    /// A [function on a thread of its own](crate::ServiceSpec::blocking).
    Blocking,
    /// A supervisor whose services are the [rows of a table](crate::keyed).
    Keyed,
    /// A [process of the operating system](crate::process).
    #[cfg_attr(not(all(unix, feature = "process")), doc(hidden))]
    Process,
    /// A [scope](crate::scope).
    Scope,
    /// A supervisor.
    Supervisor,
    /// An [async function](crate::ServiceSpec::task).
    Task,
}

impl ReportedKind {
    /// The name of the kind, as it prints.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Actor => "actor",
            Self::Blocking => "blocking",
            Self::Keyed => "keyed",
            Self::Process => "process",
            Self::Scope => "scope",
            Self::Supervisor => "supervisor",
            Self::Task => "task",
        }
    }

    /// Reports whether it has services of its own: whether it is a supervisor, a keyed one or a scope.
    pub const fn is_supervisor(self) -> bool {
        matches!(self, Self::Keyed | Self::Scope | Self::Supervisor)
    }
}

impl fmt::Display for ReportedKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Where a service runs, as a [`Report`](crate::Report) shows it: its [`Placement`](crate::Placement), without the arbiter itself.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum ReportedPlacement {
    /// [On an arbiter of the user's](crate::Placement::Arbiter).
    Arbiter,
    /// [On a thread of its own](crate::Placement::Dedicated).
    Dedicated,
    /// [On the arbiter of its supervisor](crate::Placement::Inherit); a root, on the one that it was started on.
    Inherit,
    /// [On the pool of the tree](crate::Placement::Pool).
    Pool,
}

impl ReportedPlacement {
    /// The name of the placement, as it prints.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Arbiter => "arbiter",
            Self::Dedicated => "dedicated",
            Self::Inherit => "inherit",
            Self::Pool => "pool",
        }
    }
}

impl fmt::Display for ReportedPlacement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a service is and where it runs: said when it is added, and the same for as long as it is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Shown {
    pub(crate) kind: ReportedKind,
    pub(crate) placement: ReportedPlacement,
}

/// How many messages a service has handled.
///
/// It is written by whoever has the mailbox, of whom there is one at a time: so a load and a store do, and no message waits for another core.
#[derive(Debug, Default)]
pub(super) struct Handled(AtomicU64);

impl Handled {
    /// Counts a message that was taken out of the mailbox to be handled.
    #[inline]
    pub(super) fn count(&self) {
        let before = self.0.load(Ordering::Relaxed);
        self.0.store(before.wrapping_add(1), Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
