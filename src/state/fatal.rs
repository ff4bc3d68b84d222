//! Which errors end the supervisor: those that its spec calls fatal, and in a scope every one.

use std::sync::Arc;

use super::{
    end::{Cause, Ended, Exit},
    machine::{Status, SupervisorState},
    next::Next,
    report::ShutdownReport,
    rules::Binding,
};
use crate::policy::{ExitReason, KillCause, ScopeEnding, ServiceError, Verdict, find_source};

/// The error of an exit, if it ends the supervisor.
pub(super) fn fatal_error(state: &SupervisorState, reason: &ExitReason) -> Option<ServiceError> {
    if is_bound(state) {
        return bound_error(state, reason);
    }
    let fatal = state.rules.fatal.as_ref()?;
    let error = failure(reason)?;
    fatal(&error).then_some(error)
}

/// The error of an exit, if that is a failure. A panic or a kill is one as well, as the error that an exit reason is.
pub(super) fn failure(reason: &ExitReason) -> Option<ServiceError> {
    match reason {
        // One that was dropped on request has done what was asked for.
        ExitReason::Normal | ExitReason::Shutdown | ExitReason::Killed(KillCause::Requested) => {
            None
        }
        ExitReason::Failed(error) => Some(error.clone()),
        other => Some(ServiceError::new(other.clone())),
    }
}

/// The error of an exit, if it ends the scope.
pub(super) fn bound_error(state: &SupervisorState, reason: &ExitReason) -> Option<ServiceError> {
    let error = failure(reason)?;
    let neutral = error.downcast_ref::<Verdict>().is_some()
        || find_source::<ScopeEnding>(error.as_error(), |ending| is_of(state, ending));
    (!neutral).then_some(error)
}

/// Ends with a fatal error, or compares it with the one with which the supervisor ends already.
pub(super) fn end_fatally(
    state: &mut SupervisorState,
    path: Arc<str>,
    error: ServiceError,
    report: ShutdownReport,
) -> Next {
    let bound = is_bound(state);
    let cause = Cause::Fatal { path, error };
    let Some(ending) = &mut state.ending else {
        return Next::End(Box::new(Ended { cause, report }));
    };
    ending.ended.report.append(report);
    // To a scope every error is one of these, whoever it belongs to.
    if !bound {
        ending.ended.report.note_fatal();
    }
    let Cause::Fatal { error, .. } = &cause else {
        return Next::Settle;
    };
    let outweighs = match &ending.ended.cause {
        Cause::Fatal { error: kept, .. } => {
            let compare = state.rules.more_important.as_ref();
            compare.is_some_and(|more_important| more_important(error, kept))
        }
        // What is different for a scope, rule 3: see `Binding`.
        Cause::Stopped | Cause::AutoShutdown => bound,
        Cause::StartFailed { .. }
        | Cause::Escalated { .. }
        | Cause::Terminated { .. }
        | Cause::Dropped => false,
    };
    if outweighs {
        ending.ended.cause = cause;
    }
    Next::Settle
}

/// A service that was there at the start of its supervisor could not be started: the start has failed.
pub(super) fn start_failed(state: &SupervisorState, slot: u32, mut exit: Exit) -> Next {
    // The service is gone if somebody awaited its first start, who has the answer already.
    let path = state
        .services
        .get(slot)
        .map_or(&state.path, |service| &service.path);
    // What failed while the start of a supervisor below was undone is the beginning of what fails while this one is.
    let report = exit.take_report();
    let cause = Cause::StartFailed {
        path: Arc::clone(path),
        reason: exit.reason,
    };
    Next::End(Box::new(Ended { cause, report }))
}

/// The path of the service that ends the supervisor, by an end of the service in `slot`.
pub(super) fn path_of(state: &SupervisorState, slot: u32, exit: &Exit) -> Arc<str> {
    let path = &state.services[slot].path;
    // A scope names its member, of which an error that came from below has the rest among its sources.
    let origin = exit.origin().filter(|_| !is_bound(state));
    Arc::clone(origin.unwrap_or(path))
}

/// Ends a scope: with an error that is not a service's, or without one.
pub(super) fn end_scope(state: &mut SupervisorState, error: Option<ServiceError>) -> Next {
    if state.status == Status::Ended {
        return Next::Settle;
    }
    let error = error.and_then(|error| bound_error(state, &ExitReason::Failed(error)));
    match error {
        Some(error) => {
            let path = Arc::clone(&state.path);
            end_fatally(state, path, error, ShutdownReport::default())
        }
        None => Next::end(Cause::AutoShutdown),
    }
}

/// Reports whether the supervisor is a scope.
pub(super) fn is_bound(state: &SupervisorState) -> bool {
    state.rules.binding == Binding::Bound
}

/// Reports whether this is said of the present start of this scope.
fn is_of(state: &SupervisorState, ending: &ScopeEnding) -> bool {
    state
        .starts
        .checked_sub(1)
        .is_some_and(|start| ending.is_of(state.id, start))
}
