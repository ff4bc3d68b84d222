//! Which errors end the supervisor: those that its spec calls fatal, and in a scope every one.

use std::sync::Arc;

use super::{
    end::Cause,
    machine::{Status, SupervisorState},
    next::Next,
    rules::Binding,
};
use crate::policy::{ExitReason, KillCause, ScopeEnding, ServiceError, Verdict, find_source};

/// The error of an exit, if it ends the supervisor.
pub(super) fn fatal_error(state: &SupervisorState, reason: &ExitReason) -> Option<ServiceError> {
    if is_bound(state) {
        return bound_error(state, reason);
    }
    let fatal = state.rules.fatal.as_ref()?;
    // A panic or a kill is asked about as well, as the error that an exit reason is.
    let error = match reason {
        ExitReason::Normal | ExitReason::Shutdown => return None,
        ExitReason::Failed(error) => error.clone(),
        other => ServiceError::new(other.clone()),
    };
    fatal(&error).then_some(error)
}

/// The error of an exit, if it ends the scope.
pub(super) fn bound_error(state: &SupervisorState, reason: &ExitReason) -> Option<ServiceError> {
    let error = match reason {
        ExitReason::Normal | ExitReason::Shutdown | ExitReason::Killed(KillCause::Requested) => {
            return None;
        }
        ExitReason::Failed(error) => error.clone(),
        other => ServiceError::new(other.clone()),
    };
    let neutral = error.downcast_ref::<Verdict>().is_some()
        || find_source::<ScopeEnding>(error.as_error(), |ending| is_of(state, ending));
    (!neutral).then_some(error)
}

/// Ends with a fatal error, or compares it with the one with which the supervisor ends already.
pub(super) fn end_fatally(
    state: &mut SupervisorState,
    path: Arc<str>,
    error: ServiceError,
) -> Next {
    let bound = is_bound(state);
    let Some(ending) = &mut state.ending else {
        return Next::end(Cause::Fatal { path, error });
    };
    let outweighs = match &ending.cause {
        Cause::Fatal { error: kept, .. } => {
            let compare = state.rules.more_important.as_ref();
            compare.is_some_and(|more_important| more_important(&error, kept))
        }
        // What is different for a scope, rule 3: see `Binding`.
        Cause::Stopped | Cause::AutoShutdown => bound,
        Cause::StartFailed { .. } | Cause::Escalated { .. } | Cause::Terminated { .. } => false,
    };
    if outweighs {
        ending.cause = Cause::Fatal { path, error };
    }
    Next::Settle
}

/// A service that was there at the start of its supervisor could not be started: the start has failed.
pub(super) fn start_failed(state: &SupervisorState, slot: u32, cause: ExitReason) -> Next {
    // The service is gone if somebody awaited its first start, who has the answer already.
    let path = state
        .services
        .get(slot)
        .map_or(&state.path, |service| &service.path);
    Next::end(Cause::StartFailed {
        path: Arc::clone(path),
        cause,
    })
}

/// Ends a scope: with an error that is not a service's, or without one.
pub(super) fn end_scope(state: &mut SupervisorState, error: Option<ServiceError>) -> Next {
    if state.status == Status::Ended {
        return Next::Settle;
    }
    let error = error.and_then(|error| bound_error(state, &ExitReason::Failed(error)));
    match error {
        Some(error) => end_fatally(state, Arc::clone(&state.path), error),
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
