//! Who else is restarted, and when a supervisor ends by itself.

use std::fmt;

/// Who else is stopped and started when a service is restarted.
///
/// The others are stopped in reverse start order, and all are then started in start order. However many are involved, the restart counts
/// once. As in OTP, those that were stopped on request or have ended normally run again, unless they are
/// [temporary](crate::RestartType::Temporary) or have said [`DoNotRestart`](crate::Verdict::DoNotRestart); those that gave up do not.
///
/// The others are stopped without waiting for anybody's [`Backoff`](crate::Backoff), and each keeps its own: one whose delay is not over is
/// passed over, and started when it is. Meanwhile only those wait that require it, directly or not, and under
/// [`RestForOne`](Self::RestForOne) all that were stopped behind it, too; a [`ServiceBlocked`](crate::EventKind::ServiceBlocked) event says for
/// whom and how long. What is added meanwhile and requires none of them is started at once, and a
/// [`restart`](crate::SupervisorRef::restart) on request cuts every such wait short.
///
/// One without a delay that fails whenever it is started has its turn again at once, as start order demands, and those behind it never have
/// theirs: also one whose first start somebody awaits. In OTP the supervisor gives up over that. Give what may fail while it starts a `Backoff`,
/// or the supervisor a limit that [escalates](crate::RestartLimit::escalate).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum Strategy {
    /// Nobody else. The default, as in OTP.
    #[default]
    OneForOne,
    /// Everybody.
    OneForAll,
    /// Those that come after it in start order.
    RestForOne,
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OneForOne => "one for one",
            Self::OneForAll => "one for all",
            Self::RestForOne => "rest for one",
        })
    }
}

/// Whether a supervisor starts its services one after the other: at its start, and after a group restart.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum StartOrder {
    /// Each when the one before is ready. The default, as in OTP.
    #[default]
    Sequential,
    /// All at once, each as soon as what it requires is ready. The supervisor is ready when all are. If one fails to start, the others are
    /// stopped in the reverse of the order in which they were added.
    Parallel,
}

impl fmt::Display for StartOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sequential => "sequential",
            Self::Parallel => "parallel",
        })
    }
}

/// When a supervisor stops because significant services have ended by themselves.
///
/// The end counts if the service has ended for good, in whatever way: it finished or declined its start, gave up, is lost, or a
/// [`Verdict`](crate::Verdict) of its own says so. A service that was stopped or removed on request, or that a group restart stopped, does not
/// count, and neither does a restart on request that fails.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum AutoShutdown {
    /// Never; significant services are refused. The default, as in OTP.
    #[default]
    Never,
    /// When any significant service has ended.
    AnySignificant,
    /// When the last significant service has ended.
    AllSignificant,
}
