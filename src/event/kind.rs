//! What can happen, kind by kind.

use std::{fmt, sync::Arc, time::Duration};

use super::service_state::ServiceState;
use crate::policy::{ExitReason, ServiceError, Strategy, printable, with_causes};

/// What has happened.
///
/// New kinds may come with any release: match with a wildcard.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "snake_case", tag = "kind", content = "details")
)]
#[non_exhaustive]
pub enum EventKind {
    /// A service was added.
    ServiceAdded,
    /// A service was made, and its `started` has run.
    ServiceStarted,
    /// A service is ready: those that require it may start.
    ServiceReady,
    /// A service ended before it was ready, for whatever reason.
    #[non_exhaustive]
    ServiceStartFailed {
        /// Why it ended.
        reason: ExitReason,
        /// What is counted against its own limit, or without one against that of its supervisor.
        count: f64,
        /// Whether it is started again.
        restarting: Restarting,
    },
    /// A service said instead of starting that it is not to run: it ended normally before it was ready, or with
    /// [`Verdict::DoNotRestart`](crate::Verdict::DoNotRestart). It is not started again.
    #[non_exhaustive]
    ServiceDeclined {
        /// With what it ended.
        reason: ExitReason,
    },
    /// A service failed, was killed without being asked to stop, or gave up as a supervisor.
    #[non_exhaustive]
    ServiceFailed {
        /// Why it ended.
        reason: ExitReason,
        /// What is counted against its own limit, or without one against that of its supervisor.
        count: f64,
        /// Whether it is started again.
        restarting: Restarting,
    },
    /// A service panicked.
    #[non_exhaustive]
    ServicePanicked {
        /// What the panic carried, if it was text.
        message: String,
        /// File, line and column of the panic.
        location: String,
        /// Who has called whom, if that was not printed, because of [`quiet_panics`](crate::quiet_panics), and `RUST_BACKTRACE` asks for it.
        #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
        backtrace: Option<Arc<str>>,
        /// What is counted against its own limit, or without one against that of its supervisor.
        count: f64,
        /// Whether it is started again.
        restarting: Restarting,
    },
    /// A service ended by itself without an error.
    #[non_exhaustive]
    ServiceCompleted {
        /// What is counted against its own limit, or without one against that of its supervisor.
        count: f64,
        /// Whether it is started again.
        restarting: Restarting,
    },
    /// A service will be started after a delay.
    #[non_exhaustive]
    RestartScheduled {
        /// The delay.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::seconds"))]
        after: Duration,
    },
    /// A service that was asked to stop has ended.
    #[non_exhaustive]
    ServiceStopped {
        /// Why it ended.
        reason: ExitReason,
    },
    /// A service did not stop in time, and is dropped.
    #[non_exhaustive]
    StopTimedOut {
        /// How long it was given.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::seconds"))]
        after: Duration,
    },
    /// A service was not ready in time, and is dropped.
    #[non_exhaustive]
    StartTimedOut {
        /// How long it was given.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::seconds"))]
        after: Duration,
    },
    /// A service could not even be dropped, because it blocks its thread; it is no longer waited for.
    ServiceAbandoned,
    /// A service failed more often than its own limit allows, and is kept as failed until it is reset.
    #[non_exhaustive]
    ServiceGaveUp {
        /// Why it ended the last time.
        reason: ExitReason,
    },
    /// A service failed more often than its own limit allows, and is not restarted until its pause is over.
    #[non_exhaustive]
    ServicePaused {
        /// How long from now.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::seconds"))]
        lasting: Duration,
        /// What is counted against the limit of the service.
        count: f64,
    },
    /// The pause of a service is over: it is restarted, unless something else is in the way.
    ServiceResumed,
    /// A service waits for another one.
    #[non_exhaustive]
    ServiceBlocked {
        /// The name that it requires.
        on: Arc<str>,
        /// What is the matter with that one.
        why: Blocked,
    },
    /// The first message was refused since a service is down, see [`WhileDown`](crate::WhileDown). Others may follow, and are not told.
    MessagesRefused,
    /// A service was forgotten, and its name is free. If it was a supervisor, its services follow, each with an event of its own.
    #[non_exhaustive]
    ServiceRemoved {
        /// Why it ended.
        reason: ExitReason,
    },
    /// The count of a service's failures was reset on request.
    ServiceReset,
    /// Somebody who has said who it is asks for an operation, see [`SupervisorRef::by`](crate::SupervisorRef::by). What follows from it is told as ever, behind
    /// this. An operation that is refused, because it names no service, is not told.
    #[non_exhaustive]
    Requested {
        /// Which operation.
        operation: Operation,
        /// Who.
        by: Arc<str>,
    },
    /// Nothing has happened: how a service is at present, for one who [asked for that](crate::SupervisorRef::events_with_present) when the subscription
    /// began. It comes before everything else.
    #[non_exhaustive]
    PresentState {
        /// Where it is in its life.
        state: ServiceState,
    },
    /// Restarts pause, because there were too many. Again if failures during the pause prolong it.
    #[non_exhaustive]
    PauseStarted {
        /// How long from now.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::seconds"))]
        lasting: Duration,
        /// What is counted against the limit.
        count: f64,
    },
    /// Restarts go on.
    #[non_exhaustive]
    PauseEnded {
        /// How many services waited.
        queued: usize,
    },
    /// There were too many restarts, and the supervisor gives up.
    #[non_exhaustive]
    LimitExceeded {
        /// What is counted against the limit: its own, or that of a service which escalates.
        count: f64,
    },
    /// Because of the failure of one service, others are stopped and all are started again.
    #[non_exhaustive]
    GroupRestarted {
        /// Which others.
        strategy: Strategy,
        /// How many there are in all.
        members: usize,
    },
    /// A supervisor and all services that it was given before are ready.
    SupervisorStarted,
    /// A service of a supervisor could not be started, and so the supervisor could not.
    #[non_exhaustive]
    SupervisorStartFailed {
        /// Which service.
        path: Arc<str>,
        /// Why it ended.
        cause: ExitReason,
    },
    /// A supervisor and all its services have stopped.
    #[non_exhaustive]
    SupervisorStopped {
        /// Why it stopped.
        reason: ExitReason,
    },
    /// A supervisor gave up, and all its services have stopped.
    #[non_exhaustive]
    SupervisorEscalated {
        /// With what it ended.
        reason: ExitReason,
    },
    /// A supervisor follows other rules from now on.
    Reconfigured,
    /// The table of a [keyed](crate::keyed) supervisor cannot be read. What runs runs on. Told once, until it can be again.
    #[non_exhaustive]
    TableUnreachable {
        /// Why not.
        error: ServiceError,
    },
    /// The table of a keyed supervisor can be read again.
    #[non_exhaustive]
    TableRecovered {
        /// How long it could not be.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::seconds"))]
        after: Duration,
    },
    /// A row of the table of a keyed supervisor is passed over. Told once, until something else is wrong with it.
    #[non_exhaustive]
    RowRejected {
        /// Of which key, if that is known.
        key: Option<Arc<str>>,
        /// What is wrong.
        error: ServiceError,
    },
    /// A row of the table of a keyed supervisor is gone, and its service is removed for that.
    #[non_exhaustive]
    RowVanished {
        /// The name of the service.
        key: Arc<str>,
    },
    /// So many rows were gone from the table of a keyed supervisor that nothing is stopped for that, unless the next look at the table says the
    /// same.
    #[non_exhaustive]
    ScanRefused {
        /// How many services would have been removed.
        missing: usize,
        /// Of how many.
        of: usize,
    },
    /// A subscriber was too slow: events are missing here.
    #[non_exhaustive]
    EventsLost {
        /// How many.
        count: u64,
    },
}

impl EventKind {
    /// The name of the kind, as in `service_failed`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ServiceAdded => "service_added",
            Self::ServiceStarted => "service_started",
            Self::ServiceReady => "service_ready",
            Self::ServiceStartFailed { .. } => "service_start_failed",
            Self::ServiceDeclined { .. } => "service_declined",
            Self::ServiceFailed { .. } => "service_failed",
            Self::ServicePanicked { .. } => "service_panicked",
            Self::ServiceCompleted { .. } => "service_completed",
            Self::RestartScheduled { .. } => "restart_scheduled",
            Self::ServiceStopped { .. } => "service_stopped",
            Self::StopTimedOut { .. } => "stop_timed_out",
            Self::StartTimedOut { .. } => "start_timed_out",
            Self::ServiceAbandoned => "service_abandoned",
            Self::ServiceGaveUp { .. } => "service_gave_up",
            Self::ServicePaused { .. } => "service_paused",
            Self::ServiceResumed => "service_resumed",
            Self::ServiceBlocked { .. } => "service_blocked",
            Self::MessagesRefused => "messages_refused",
            Self::ServiceRemoved { .. } => "service_removed",
            Self::ServiceReset => "service_reset",
            Self::PresentState { .. } => "present_state",
            Self::Requested { .. } => "requested",
            Self::PauseStarted { .. } => "pause_started",
            Self::PauseEnded { .. } => "pause_ended",
            Self::LimitExceeded { .. } => "limit_exceeded",
            Self::GroupRestarted { .. } => "group_restarted",
            Self::SupervisorStarted => "supervisor_started",
            Self::SupervisorStartFailed { .. } => "supervisor_start_failed",
            Self::SupervisorStopped { .. } => "supervisor_stopped",
            Self::SupervisorEscalated { .. } => "supervisor_escalated",
            Self::Reconfigured => "reconfigured",
            Self::TableUnreachable { .. } => "table_unreachable",
            Self::TableRecovered { .. } => "table_recovered",
            Self::RowRejected { .. } => "row_rejected",
            Self::RowVanished { .. } => "row_vanished",
            Self::ScanRefused { .. } => "scan_refused",
            Self::EventsLost { .. } => "events_lost",
        }
    }

    /// Reports whether something went wrong: a failure, a failed start, an overrun timeout, or giving up.
    pub const fn is_failure(&self) -> bool {
        matches!(
            self,
            Self::ServiceStartFailed { .. }
                | Self::ServiceFailed { .. }
                | Self::ServicePanicked { .. }
                | Self::StopTimedOut { .. }
                | Self::StartTimedOut { .. }
                | Self::ServiceAbandoned
                | Self::ServiceGaveUp { .. }
                | Self::LimitExceeded { .. }
                | Self::SupervisorStartFailed { .. }
                | Self::SupervisorEscalated { .. }
                | Self::TableUnreachable { .. }
                | Self::RowRejected { .. }
                | Self::ScanRefused { .. }
                | Self::PresentState {
                    state: ServiceState::Failed
                }
        )
    }

    /// Why it happened, with all causes, where the kind says so.
    pub(crate) fn reason(&self) -> Option<String> {
        match self {
            Self::ServiceStartFailed { reason, .. }
            | Self::ServiceDeclined { reason }
            | Self::ServiceFailed { reason, .. }
            | Self::ServiceStopped { reason }
            | Self::ServiceGaveUp { reason }
            | Self::ServiceRemoved { reason }
            | Self::SupervisorStartFailed { cause: reason, .. }
            | Self::SupervisorStopped { reason }
            | Self::SupervisorEscalated { reason } => Some(format!("{reason:#}")),
            Self::ServicePanicked {
                message, location, ..
            } => Some(format!("panicked at {location}: {message}")),
            Self::TableUnreachable { error } | Self::RowRejected { error, .. } => {
                Some(with_causes(error))
            }
            _ => None,
        }
    }

    /// The backtrace of the panic that it tells of, if there is one.
    pub(crate) fn backtrace(&self) -> Option<&str> {
        match self {
            Self::ServicePanicked { backtrace, .. } => backtrace.as_deref(),
            Self::ServiceStartFailed { reason, .. }
            | Self::ServiceFailed { reason, .. }
            | Self::ServiceStopped { reason }
            | Self::SupervisorStartFailed { cause: reason, .. } => match reason {
                ExitReason::Panicked { backtrace, .. } => backtrace.as_deref(),
                _ => None,
            },
            _ => None,
        }
    }

    /// What is counted against the limit, where the kind says so.
    pub(crate) const fn count(&self) -> Option<f64> {
        match self {
            Self::ServiceStartFailed { count, .. }
            | Self::ServiceFailed { count, .. }
            | Self::ServicePanicked { count, .. }
            | Self::ServiceCompleted { count, .. }
            | Self::ServicePaused { count, .. }
            | Self::PauseStarted { count, .. }
            | Self::LimitExceeded { count } => Some(*count),
            _ => None,
        }
    }

    /// The log level of an event of this kind.
    pub(crate) const fn severity(&self) -> Severity {
        match self {
            Self::ServiceAbandoned
            | Self::ServiceGaveUp { .. }
            | Self::LimitExceeded { .. }
            | Self::SupervisorStartFailed { .. }
            | Self::SupervisorEscalated { .. } => Severity::Error,
            Self::ServiceBlocked {
                why: Blocked::Delayed { .. },
                ..
            } => Severity::Info,
            Self::PauseStarted { .. }
            | Self::MessagesRefused
            | Self::ServicePaused { .. }
            | Self::ServiceBlocked { .. }
            | Self::EventsLost { .. } => Severity::Warn,
            kind if kind.is_failure() => Severity::Warn,
            Self::ServiceAdded | Self::ServiceStarted | Self::ServiceRemoved { .. } => {
                Severity::Debug
            }
            _ => Severity::Info,
        }
    }

    /// The kind for an incarnation that was ready and has ended without being asked to stop.
    pub(crate) fn ended(reason: ExitReason, count: f64, restarting: Restarting) -> Self {
        match reason {
            ExitReason::Normal | ExitReason::Shutdown => {
                Self::ServiceCompleted { count, restarting }
            }
            ExitReason::Panicked {
                message,
                location,
                backtrace,
            } => Self::ServicePanicked {
                message,
                location,
                backtrace,
                count,
                restarting,
            },
            reason => Self::ServiceFailed {
                reason,
                count,
                restarting,
            },
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServiceAdded => f.write_str("added"),
            Self::ServiceStarted => f.write_str("started"),
            Self::ServiceReady => f.write_str("ready"),
            Self::ServiceStartFailed {
                reason,
                count,
                restarting,
            } => write!(
                f,
                "failed to start: {reason:#}; {restarting} (count {count:.2})"
            ),
            Self::ServiceDeclined { reason } => write!(f, "declined to start: {reason:#}"),
            Self::ServiceFailed {
                reason,
                count,
                restarting,
            } => write!(f, "{reason:#}; {restarting} (count {count:.2})"),
            Self::ServicePanicked {
                message,
                location,
                count,
                restarting,
                ..
            } => write!(
                f,
                "panicked at {location}: {message}; {restarting} (count {count:.2})"
            ),
            Self::ServiceCompleted { count, restarting } => {
                write!(f, "completed; {restarting} (count {count:.2})")
            }
            Self::RestartScheduled { after } => write!(f, "starts again in {after:?}"),
            Self::ServiceStopped { reason } => write!(f, "stopped: {reason:#}"),
            Self::StopTimedOut { after } => write!(f, "did not stop within {after:?}"),
            Self::StartTimedOut { after } => write!(f, "was not ready within {after:?}"),
            Self::MessagesRefused => f.write_str("refused messages, because it is down"),
            Self::ServiceAbandoned => f.write_str("abandoned: it blocks its thread"),
            Self::ServiceGaveUp { reason } => write!(f, "gave up: {reason:#}"),
            Self::ServicePaused { lasting, count } => {
                write!(f, "restart pauses for {lasting:?} (own count {count:.2})")
            }
            Self::ServiceResumed => f.write_str("pause is over"),
            Self::ServiceBlocked { on, why } => write!(f, "blocked on `{on}`, which {why}"),
            Self::ServiceRemoved { reason } => write!(f, "removed: {reason:#}"),
            Self::ServiceReset => f.write_str("reset"),
            Self::PresentState { state } => write!(f, "is {state}"),
            Self::Requested { operation, by } => {
                write!(f, "{operation} requested by {}", printable(by))
            }
            other => other.fmt_supervisor(f),
        }
    }
}

impl EventKind {
    /// Prints the kinds that are about a supervisor.
    fn fmt_supervisor(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PauseStarted { lasting, count } => {
                write!(f, "restarts pause for {lasting:?} (count {count:.2})")
            }
            Self::PauseEnded { queued } => write!(f, "restarts go on, {queued} waiting"),
            Self::LimitExceeded { count } => write!(f, "too many restarts (count {count:.2})"),
            Self::GroupRestarted { strategy, members } => {
                write!(f, "restarts {members} services, {strategy}")
            }
            Self::SupervisorStarted => f.write_str("supervisor started"),
            Self::SupervisorStartFailed { path, cause } => {
                write!(f, "supervisor failed to start: `{path}` {cause:#}")
            }
            Self::SupervisorStopped { reason } => write!(f, "supervisor stopped: {reason:#}"),
            Self::SupervisorEscalated { reason } => write!(f, "supervisor gave up: {reason:#}"),
            Self::Reconfigured => f.write_str("reconfigured"),
            Self::EventsLost { count } => write!(f, "{count} events lost"),
            other => other.fmt_table(f),
        }
    }
}

impl EventKind {
    /// Prints the kinds that are about a table.
    fn fmt_table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TableUnreachable { error } => write!(f, "table unreachable: {error:#}"),
            Self::TableRecovered { after } => write!(f, "table reachable again after {after:?}"),
            Self::RowRejected {
                key: Some(key),
                error,
            } => write!(f, "row `{key}` rejected: {error:#}"),
            Self::RowRejected { key: None, error } => write!(f, "row rejected: {error:#}"),
            Self::RowVanished { key } => write!(f, "row `{key}` vanished"),
            Self::ScanRefused { missing, of } => write!(
                f,
                "{missing} of {of} rows are missing from the table: nothing is stopped, unless the next scan says the same"
            ),
            _ => Ok(()),
        }
    }
}

/// What may be asked of a supervisor.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum Operation {
    /// To take in a service.
    Add,
    /// To go by other rules.
    Reconfigure,
    /// To stop a service and forget it.
    Remove,
    /// To clear the failures of a service, and to start it if it is down for them.
    Reset,
    /// To start a service, or to stop and start it.
    Restart,
    /// To end, with all services.
    Shutdown,
    /// To stop a service and keep it.
    Stop,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Add => "add",
            Self::Reconfigure => "reconfigure",
            Self::Remove => "remove",
            Self::Reset => "reset",
            Self::Restart => "restart",
            Self::Shutdown => "shutdown",
            Self::Stop => "stop",
        })
    }
}

/// The log level of an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Severity {
    Debug,
    Error,
    Info,
    Warn,
}

/// Whether a service that has ended is started again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum Restarting {
    /// No.
    No,
    /// At once.
    Now,
    /// After this delay, if nothing is in the way then: if something is, a [`ServiceBlocked`](EventKind::ServiceBlocked) event says so when the
    /// delay is over.
    After(
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::seconds"))]
        Duration,
    ),
    /// When the pause is over: that of all restarts of its supervisor, or its own.
    AfterPause,
    /// When another service is ready: one that it requires, or under [`Strategy::RestForOne`] one before it that waits for its delay. If that
    /// does not happen by itself, or not soon, a [`ServiceBlocked`](EventKind::ServiceBlocked) event follows, which says on whom it waits.
    WhenUnblocked,
}

impl fmt::Display for Restarting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::No => f.write_str("not restarting"),
            Self::Now => f.write_str("restarting"),
            Self::After(delay) => write!(f, "restarting in {delay:?}"),
            Self::AfterPause => f.write_str("restarting after the pause"),
            Self::WhenUnblocked => f.write_str("waiting for what it requires"),
        }
    }
}

/// What is the matter with a service that another one requires.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum Blocked {
    /// It does not exist.
    Missing,
    /// It is not ready yet.
    NotReady,
    /// It has not ended yet, see [`ServiceSpec::requires_completed`](crate::ServiceSpec::requires_completed).
    NotCompleted,
    /// It has failed, and waits for the end of a delay or pause of its own.
    #[non_exhaustive]
    Delayed {
        /// How long that still takes.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::seconds"))]
        after: Duration,
    },
    /// It is [permanent](crate::RestartType::Permanent), and has been started again after a normal end: it never completes, which is what is
    /// [required](crate::ServiceSpec::requires_completed). Make it transient.
    Recurring,
    /// It has said with [`Verdict::Missing`](crate::Verdict::Missing) that something is missing, and waits until one that it requires becomes
    /// ready anew.
    Parked,
    /// It has ended for good, or was stopped on request.
    Stopped,
    /// It failed, and nothing starts it again.
    Failed,
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("does not exist"),
            Self::NotReady => f.write_str("is not ready"),
            Self::NotCompleted => f.write_str("has not completed"),
            Self::Delayed { after } => write!(f, "starts again in {after:?}"),
            Self::Recurring => f.write_str("is permanent, and starts again instead of completing"),
            Self::Parked => f.write_str("misses something that it requires"),
            Self::Stopped => f.write_str("is stopped"),
            Self::Failed => f.write_str("has failed"),
        }
    }
}
