//! Which phase of a service may follow which, and by what input.

use super::service::Phase;

/// A [`Phase`] without its data, or that a service is there no more.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Kind {
    Registered,
    Gated,
    Parked,
    InLine,
    Delayed,
    Undecided,
    BackingOff,
    Resting,
    Queued,
    Starting,
    Overdue,
    Ready,
    Stopping,
    Stopped,
    Finished,
    Failed,
    Lost,
    /// Its supervisor keeps nothing of it any more.
    Forgotten,
}

/// What a supervisor is told: a method of [`SupervisorState`](super::SupervisorState).
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Input {
    Add,
    AwaitReady,
    EndScope,
    Exited,
    Lost,
    Ready,
    Reconfigure,
    Remove,
    Reopen,
    Reset,
    Restart,
    Shutdown,
    Start,
    Started,
    Stop,
    StopAcknowledged,
    Timeout,
}

impl From<Phase> for Kind {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Registered => Self::Registered,
            Phase::Gated => Self::Gated,
            Phase::Parked => Self::Parked,
            Phase::InLine => Self::InLine,
            Phase::Delayed => Self::Delayed,
            Phase::Undecided => Self::Undecided,
            Phase::BackingOff { .. } => Self::BackingOff,
            Phase::Resting { .. } => Self::Resting,
            Phase::Queued => Self::Queued,
            Phase::Starting { .. } => Self::Starting,
            Phase::Overdue { .. } => Self::Overdue,
            Phase::Ready => Self::Ready,
            Phase::Stopping { .. } => Self::Stopping,
            Phase::Stopped => Self::Stopped,
            Phase::Finished => Self::Finished,
            Phase::Failed => Self::Failed,
            Phase::Lost => Self::Lost,
        }
    }
}

/// Checks in debug builds that the table has this transition.
pub(super) fn check(from: Kind, input: Input, to: Kind) {
    #[cfg(test)]
    taken::note(from, input, to);
    debug_assert!(
        from == to || ALL || follow(from, input).contains(&to),
        "a service that is {from:?} becomes {to:?} by {input:?}, which the table does not know"
    );
}
const ALL: bool = true;

/// The phases that may follow a phase by an input.
fn follow(_from: Kind, _input: Input) -> &'static [Kind] {
    &[]
}

/// For tests: the transitions that were taken on this thread, while somebody wants to know.
#[cfg(test)]
pub(super) mod taken {
    use std::{cell::RefCell, collections::BTreeSet};

    use super::{Input, Kind};

    /// From a phase, by an input, to a phase.
    pub(in crate::state) type Transition = (Kind, Input, Kind);

    thread_local! {
        static TAKEN: RefCell<BTreeSet<Transition>> = const { RefCell::new(BTreeSet::new()) };
    }

    pub(super) fn note(from: Kind, input: Input, to: Kind) {
        if from != to {
            TAKEN.with_borrow_mut(|taken| taken.insert((from, input, to)));
        }
    }

    /// Those that were taken since the last call.
    pub(in crate::state) fn take() -> BTreeSet<Transition> {
        TAKEN.take()
    }
}
