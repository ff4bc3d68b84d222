//! How a supervisor ends: with what, whether for the last time, and what went wrong below it.
//!
//! This is the shell's part of an end; who is stopped, and why, the state keeps.
//! The state stops the services and says when all have ended. The steps from there, in this order:
//!
//! 1. what followed from the end of the last service is carried out: look-ups see it, its event is told, who waited is answered;
//! 2. clean-ups are called, the latest first; a panic in one is kept here, for the report;
//! 3. the last event of the incarnation is told;
//! 4. the incarnation stops, and its `stopped` tells the end above, and that of a root to those who wait for it;
//! 5. those who have shut down one below the root are told when the supervisor above has removed it: its name is free then.

use std::sync::Arc;

use crate::{
    policy::ExitReason,
    state::{Ended, ShutdownReport},
    tree::Tree,
};

/// How a supervisor ends.
pub(super) struct Ending {
    /// Set by the state's last effect, taken when the incarnation has stopped.
    ended: Option<Ended>,
    last: LastEnd,
    /// The clean-ups that have panicked, until the end is set.
    panics: ShutdownReport,
    /// Whether somebody has shut this supervisor down, and how far that is.
    removal: Removal,
}

impl Ending {
    pub(super) fn new() -> Self {
        Self {
            ended: None,
            last: LastEnd::Unexpected,
            panics: ShutdownReport::default(),
            removal: Removal::Unwanted,
        }
    }

    /// Says that the supervisor is a root: when it ends, none of its services will ever run again.
    pub(super) fn expect_last(&mut self) {
        self.last = LastEnd::Expected;
    }

    /// Somebody shuts the supervisor down, and not the supervisor above: it is to be removed, whatever else it ends with.
    pub(super) fn request(&mut self) {
        if self.removal == Removal::Unwanted {
            self.removal = Removal::Wanted;
        }
    }

    /// Reports whether somebody has shut the supervisor down.
    pub(super) fn is_requested(&self) -> bool {
        self.removal != Removal::Unwanted
    }

    /// Reports once in each time without an incarnation that the supervisor above is to be asked for the removal.
    pub(super) fn takes_removal(&mut self) -> bool {
        let wanted = self.removal == Removal::Wanted;
        if wanted {
            self.removal = Removal::AskedFor;
        }
        wanted
    }

    /// Reports whether the supervisor is ending for the last time.
    pub(super) fn is_last(&self) -> bool {
        self.last == LastEnd::Begun
    }

    /// Says that the supervisor ends; called on every turn from the first one on.
    pub(super) fn begin(&mut self, tree: &Tree) -> WhatIsDown {
        match self.last {
            // Before the supervisors below are asked to stop: they look for it when they begin to end.
            LastEnd::Expected => tree.begin_closing(),
            // A root above ends. A subtree that is stopped alone finds the tree open, and keeps its services for the next start.
            LastEnd::Unexpected if tree.is_closing() => {}
            LastEnd::Begun | LastEnd::Unexpected => return WhatIsDown::Kept,
        }
        self.last = LastEnd::Begun;
        WhatIsDown::Released
    }

    /// Adds a clean-up that panicked.
    pub(super) fn cleanup_panicked(&mut self, path: &Arc<str>, panic: ExitReason) {
        self.panics.push_failure(Arc::clone(path), panic);
    }

    /// Says how the supervisor has ended.
    pub(super) fn set(&mut self, mut ended: Ended) {
        ended.report.append(std::mem::take(&mut self.panics));
        self.ended = Some(ended);
    }

    /// Reports whether the supervisor has ended, and nobody was told.
    pub(super) fn is_set(&self) -> bool {
        self.ended.is_some()
    }

    /// Takes how the supervisor has ended.
    pub(super) fn take(&mut self) -> Option<Ended> {
        self.ended.take()
    }

    /// Drops an end that nobody was told: the incarnation was killed before it could. One that was to be removed still is.
    pub(super) fn drop_untold(&mut self) {
        self.ended = None;
        if self.removal == Removal::AskedFor {
            self.removal = Removal::Wanted;
        }
    }

    /// Begins anew, with the next incarnation.
    pub(super) fn reopen(&mut self) {
        self.panics = ShutdownReport::default();
    }
}

/// Whether a supervisor below another one is to be removed, because somebody has shut it down.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Removal {
    /// The supervisor above was asked, in this time without an incarnation.
    AskedFor,
    /// Nobody has.
    Unwanted,
    /// Somebody has.
    Wanted,
}

/// Whether the supervisor ends for the last time when it ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum LastEnd {
    /// It is ending for the last time: it is a root, or the root of its tree ends.
    Begun,
    /// It is a root, and has not begun to end.
    Expected,
    /// It is below a root, and may be started again; unless it finds, when it begins to end, that the root ends.
    Unexpected,
}

/// What becomes of services that are down when their supervisor begins to end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub(super) enum WhatIsDown {
    /// They are kept: the supervisor may be started again. Or they were released on an earlier turn.
    Kept,
    /// They are released: no service of the supervisor will run again. The others are released when they have ended.
    Released,
}
