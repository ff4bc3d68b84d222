//! Tests of what events say.

use std::{sync::Arc, time::Duration};

use super::*;
use crate::policy::{ExitReason, ServiceError, Strategy};

#[test]
fn every_kind_prints_as_one_line_that_says_something() {
    let reason = || ExitReason::Failed(ServiceError::new("disk full"));
    let restarting = Restarting::After(Duration::from_secs(2));
    let second = Duration::from_secs(1);
    let db = || Arc::from("db");
    let table = [
        (EventKind::ServiceAdded, "added"),
        (EventKind::ServiceStarted, "started"),
        (EventKind::ServiceReady, "ready"),
        (
            EventKind::ended(reason(), 1.5, restarting),
            "failed: disk full; restarting in 2s (count 1.50)",
        ),
        (
            EventKind::ended(ExitReason::Normal, 0.0, Restarting::No),
            "completed; not restarting (count 0.00)",
        ),
        (
            EventKind::ServiceDeclined {
                reason: ExitReason::Normal,
            },
            "declined to start: normal",
        ),
        (
            EventKind::RestartScheduled { after: second },
            "starts again in 1s",
        ),
        (
            EventKind::ServicePaused {
                lasting: second,
                count: 2.0,
            },
            "restart pauses for 1s (own count 2.00)",
        ),
        (EventKind::ServiceResumed, "pause is over"),
        (
            EventKind::MessagesRefused,
            "refused messages, because it is down",
        ),
        (
            EventKind::StopTimedOut { after: second },
            "did not stop within 1s",
        ),
        (
            EventKind::StartTimedOut { after: second },
            "was not ready within 1s",
        ),
        (
            EventKind::ServiceBlocked {
                on: db(),
                why: Blocked::Missing,
            },
            "blocked on `db`, which does not exist",
        ),
        (
            EventKind::ServiceBlocked {
                on: db(),
                why: Blocked::Delayed { after: second },
            },
            "blocked on `db`, which starts again in 1s",
        ),
        (
            EventKind::PauseStarted {
                lasting: second,
                count: 5.668,
            },
            "restarts pause for 1s (count 5.67)",
        ),
        (
            EventKind::PauseEnded { queued: 2 },
            "restarts go on, 2 waiting",
        ),
        (
            EventKind::GroupRestarted {
                strategy: Strategy::OneForAll,
                members: 3,
            },
            "restarts 3 services, one for all",
        ),
        (
            EventKind::SupervisorStartFailed {
                path: db(),
                cause: reason(),
            },
            "supervisor failed to start: `db` failed: disk full",
        ),
        (EventKind::EventsLost { count: 7 }, "7 events lost"),
    ];
    for (kind, text) in table {
        assert_eq!(kind.to_string(), text);
    }
}

#[test]
fn what_went_wrong_is_a_failure_and_what_follows_is_not() {
    let reason = ExitReason::Normal;
    let failure = EventKind::ServiceStartFailed {
        reason,
        count: 1.0,
        restarting: Restarting::Now,
    };
    assert!(failure.is_failure());
    assert!(EventKind::ServiceAbandoned.is_failure());
    assert!(!EventKind::PauseEnded { queued: 0 }.is_failure());
    assert!(!EventKind::ended(ExitReason::Normal, 0.0, Restarting::Now).is_failure());
}
