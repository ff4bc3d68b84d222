//! X

use super::{ScopeError, SupervisorActor, Upward};
use crate::{
    policy::{ExitReason, ServiceError, Verdict},
    service::{AnyLink, NoticeKind, ServiceContext},
    state::{Ended, ShutdownReport},
    tree::Outcome,
};
use std::sync::Arc;

/// Says how the supervisor has ended: to its own supervisor, and to those who wait for the tree.
pub(super) fn conclude(
    ctx: &mut ServiceContext<SupervisorActor>,
    ended: Ended,
    below: ShutdownReport,
    scope: Option<&ScopeError>,
) -> ShutdownReport {
    let link = Arc::clone(ctx.link());
    let on_request = matches!(ended, Ended::Stopped { .. });
    let (mut outcome, mut exit) = Outcome::of(link.core().path(), ended);
    if on_request && !ctx.was_asked_to_stop() {
        // Somebody has shut this supervisor down, and not through its own supervisor.
        exit.verdict = Some(Verdict::Uninstall);
    }
    if let Some(error) = scope {
        exit.reason = ExitReason::Failed(ServiceError::new(error.clone()));
    }
    outcome.report.append(below);
    let report = outcome.report.clone();
    if let Some(Upward::Root { tree }) = Upward::of(link.core().parent()) {
        tree.tell_outcome(outcome);
    } else if !report.is_clean() {
        ctx.notify_supervisor(NoticeKind::ReportedBelow(Box::new(report.clone())));
    }
    ctx.end_with(exit);
    report
}
