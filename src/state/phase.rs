//! Where a service is in its life.

use std::time::Instant;

use super::transitions::Kind;
use crate::event::ServiceState;

/// Where a service is in its life, as finely as decisions need it, with what only that phase knows.
///
/// Which phase may follow which, and by what input, is in [`transitions`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    // Without an incarnation, to be started without a request:
    /// Added before its supervisor was started.
    Registered(Registered),
    /// It waits until what it requires is ready.
    Gated(Gate),
    /// It said that something is missing, and waits until one that it requires becomes ready.
    Parked,
    /// It waits for its turn in the line.
    InLine,
    /// It is passed over in the line until the end of its backoff, after which it waits for its turn.
    Delayed { until: Option<Instant> },
    /// It waits in the line behind one whose backoff is not over.
    Held,
    /// Its incarnation has ended, and what follows is not decided yet: for the rest of the turn, or until its supervisor has started.
    Undecided,
    /// It waits for the end of its backoff.
    BackingOff { until: Option<Instant> },
    /// It rests: it waits because it was over its own limit.
    Resting { until: Option<Instant> },
    /// It waits for the end of its supervisor's pause.
    Queued,

    // With an incarnation:
    /// An incarnation was begun and is not ready yet. It is dropped if it is not ready in time.
    Starting { until: Option<Instant> },
    /// It was not ready in time and is being dropped. It is abandoned if that takes too long.
    Overdue { until: Option<Instant> },
    /// It runs.
    Ready,
    /// It was asked to stop or is being dropped. If that takes too long, the next stage follows.
    Stopping {
        stage: Stage,
        until: Option<Instant>,
    },

    // Without an incarnation, until somebody asks for a start:
    /// It was stopped on request.
    Stopped,
    /// It has ended for good.
    Finished(Finish),
    /// It gave up.
    Failed,
    /// Its cell is gone, or out of reach on a blocked thread: it cannot be started, for ever or until that thread is back.
    Lost,
}

/// What a service waits for that it requires.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Gate {
    /// Its siblings.
    Sibling,
    /// Services elsewhere in the tree; until then, if the start of its supervisor waits for it.
    Elsewhere { until: Option<Instant> },
}

/// In which way a service has ended for good that did not give up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Finish {
    /// Who has decided that it is over.
    pub(super) by: FinishedBy,
    /// Whether it was ready before.
    pub(super) ran: Ran,
}

/// Whether a service that has ended for good runs again with its group, or with one that it is bound to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum FinishedBy {
    /// It had ended for good before, and a start by hand has failed: it runs again as one that was stopped does.
    FailedStart,
    /// Its restart type: a one-shot service runs again then.
    Rule,
    /// The service itself has said that it is not to be restarted.
    Service,
}

/// Whether a service that has ended for good was ready before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ran {
    /// It has declined its start.
    No,
    Yes,
}

/// For what a service waits in the line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Waits {
    /// For its turn.
    Turn,
    /// For the end of its delay.
    Delay,
    /// For one that comes before it and waits for the end of its delay.
    Held,
}

/// Since when a service waits for the start of its supervisor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Registered {
    /// Since it was added, or since somebody has asked for it.
    New,
    /// Since its supervisor has ended, with which it was stopped.
    Before,
    /// Likewise, and that has ended for good: nothing but a request, or what is above, starts it.
    ForGood,
}

/// How far the stopping of an incarnation has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    /// It was asked.
    Asked,
    /// It was asked, and said that it has work to finish.
    Acknowledged,
    /// It is being dropped.
    Killed,
}

impl Phase {
    /// The phase without its data.
    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::Registered(_) => Kind::Registered,
            Self::Gated(_) => Kind::Gated,
            Self::Parked => Kind::Parked,
            Self::InLine => Kind::InLine,
            Self::Delayed { .. } => Kind::Delayed,
            Self::Held => Kind::Held,
            Self::Undecided => Kind::Undecided,
            Self::BackingOff { .. } => Kind::BackingOff,
            Self::Resting { .. } => Kind::Resting,
            Self::Queued => Kind::Queued,
            Self::Starting { .. } => Kind::Starting,
            Self::Overdue { .. } => Kind::Overdue,
            Self::Ready => Kind::Ready,
            Self::Stopping { .. } => Kind::Stopping,
            Self::Stopped => Kind::Stopped,
            Self::Finished(_) => Kind::Finished,
            Self::Failed => Kind::Failed,
            Self::Lost => Kind::Lost,
        }
    }

    /// Reports whether there is an incarnation.
    pub(super) const fn is_live(self) -> bool {
        matches!(
            self,
            Self::Starting { .. } | Self::Overdue { .. } | Self::Ready | Self::Stopping { .. }
        )
    }

    /// Reports whether the incarnation is being dropped.
    pub(super) const fn is_killed(self) -> bool {
        matches!(
            self,
            Self::Overdue { .. }
                | Self::Stopping {
                    stage: Stage::Killed,
                    ..
                }
        )
    }

    /// Reports whether nothing but a request starts it again.
    pub(super) const fn is_over(self) -> bool {
        matches!(
            self,
            Self::Stopped | Self::Finished(_) | Self::Failed | Self::Lost
        )
    }

    /// Reports whether it waits to be started without a request, whatever for.
    pub(super) const fn waits(self) -> bool {
        matches!(
            self,
            Self::Gated(_)
                | Self::Parked
                | Self::InLine
                | Self::Delayed { .. }
                | Self::Held
                | Self::BackingOff { .. }
                | Self::Resting { .. }
                | Self::Queued
        )
    }

    /// For what it waits in the line, if it has a place there.
    pub(super) const fn waits_in_line(self) -> Option<Waits> {
        match self {
            Self::InLine => Some(Waits::Turn),
            Self::Delayed { .. } => Some(Waits::Delay),
            Self::Held => Some(Waits::Held),
            _ => None,
        }
    }

    /// When something must happen to it; what, says the phase.
    pub(super) const fn deadline(self) -> Option<Instant> {
        match self {
            Self::Gated(Gate::Elsewhere { until })
            | Self::BackingOff { until }
            | Self::Delayed { until }
            | Self::Resting { until }
            | Self::Starting { until }
            | Self::Overdue { until }
            | Self::Stopping { until, .. } => until,
            _ => None,
        }
    }

    /// What users see of it.
    pub(super) const fn public(self) -> ServiceState {
        match self {
            Self::Registered(Registered::New)
            | Self::Gated(_)
            | Self::Parked
            | Self::InLine
            | Self::Held
            | Self::Undecided => ServiceState::Waiting,
            Self::Starting { .. } | Self::Overdue { .. } => ServiceState::Starting,
            Self::Ready => ServiceState::Ready,
            Self::Stopping { .. } => ServiceState::Stopping,
            Self::BackingOff { .. } | Self::Delayed { .. } => ServiceState::BackingOff,
            Self::Queued | Self::Resting { .. } => ServiceState::Paused,
            Self::Stopped
            | Self::Finished(_)
            | Self::Registered(Registered::Before | Registered::ForGood) => ServiceState::Stopped,
            Self::Failed | Self::Lost => ServiceState::Failed,
        }
    }
}
