//! What follows from what was just decided.

use std::{time::Duration, vec::IntoIter};

use super::{
    end::{Cause, End, Ended, Exit, Loss, Lost},
    service::Wanted,
};

/// What follows from what was just decided, returned by whoever decided it.
///
/// Deciding modules never call each other. Each returns the next step, and the loop in [`super`] carries on with whoever takes
/// that step, until there is none.
#[derive(Debug)]
#[must_use = "what follows from a decision is part of it"]
pub(super) enum Next {
    /// The incarnation of a service has ended that was to be stopped: its end is told. By [`stop`](super::stop).
    Stopped { slot: u32, wanted: Wanted, end: End },
    /// A service whose end was told becomes what was wanted of it. By [`stop`](super::stop).
    Become { slot: u32, wanted: Wanted, end: End },
    /// A service is started if what it requires is ready. By [`start`](super::start).
    Begin(u32),
    /// Likewise several, in this order.
    BeginAll(Vec<u32>),
    /// A service is started that has found what it requires elsewhere. By [`start`](super::start).
    BeginFound(u32),
    /// The supervisor ends like this, as far as is known. By [`stop`](super::stop).
    End(Box<Ended>),
    /// The supervisor no longer reckons with an incarnation, whose cell may be stuck. By [`judge`](super::judge).
    Ended { slot: u32, exit: Exit },
    /// Likewise all of these, because the supervisor was dropped and they with it, in this order.
    DroppedAll(IntoIter<u32>),
    /// An incarnation has ended that was not to be stopped: it is judged what follows. By [`judge`](super::judge).
    Judge { slot: u32, end: End },
    /// Likewise those that ended while the supervisor was starting, in the order of their ends.
    JudgeAll,
    /// A service is started again after a delay, with those that go with it. By [`group`](super::group).
    Revive { slot: u32, delay: Duration },
    /// Likewise several that waited for the end of a pause, in this order.
    ReviveAll(IntoIter<u32>),
    /// A service is out of reach. By [`judge`](super::judge).
    Lose { slot: u32, what: Lost },
    /// An incarnation is to be stopped, for this. By [`stop`](super::stop).
    Stop { slot: u32, wanted: Wanted },
    /// The cell of a service is lost, and that is told to those who wait. By [`judge`](super::judge).
    TellLoss { slot: u32, loss: Loss },
    /// First the one, with everything that follows from it, then the other.
    Then(Box<(Self, Self)>),
    /// Nothing, but that others may have become free to go on.
    Settle,
}

impl Next {
    /// The supervisor ends.
    pub(super) fn end(cause: Cause) -> Self {
        Self::End(Box::new(Ended::from(cause)))
    }

    /// This, or the other if nothing follows: of a supervisor that ends, nobody is started any more.
    pub(super) fn or(self, other: Self) -> Self {
        match self {
            Self::Settle => other,
            next => next,
        }
    }
}
