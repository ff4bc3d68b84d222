//! What is different for a supervisor that is a scope: its services live and end together.
//!
//! 1. Every service is temporary, and forgotten as soon as it has ended, also one that was there at the start; but not one that was
//!    stopped on request, which is kept until the end.
//! 2. Every failure ends the supervisor, before any verdict in it; a service that was dropped on request has not failed, nor has one
//!    whose error is a bare [`Verdict`] or says that this scope ends.
//! 3. The first error is how the supervisor ends, unless a later one outweighs it. A clean end is replaced by any error until
//!    all services have ended.
//! 4. At the end all services are forgotten, in reverse start order.

use std::{sync::Arc, time::Instant};

use super::{ServiceRules, Stage, SupervisorState, ending::Cause};
use crate::policy::{
    ExitReason, KillCause, RestartType, ScopeEnding, ServiceError, Verdict, find_source,
};

/// Whether the services of a supervisor live and end together.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Binding {
    /// They do, as in a scope.
    Bound,
    /// They do not.
    #[default]
    Loose,
}

impl SupervisorState {
    /// What is said of the next start when it ends.
    pub(crate) fn next_ending(&self) -> ScopeEnding {
        ScopeEnding::new(Arc::clone(&self.path), self.id, self.starts)
    }

    /// Ends a scope with an error that is not a service's.
    pub(crate) fn fail_scope(&mut self, error: ServiceError, now: Instant) {
        if self.stage != Stage::Ended {
            match self.bound_error(&ExitReason::Failed(error)) {
                Some(error) => self.end_with_error(Arc::clone(&self.path), error, now),
                None => self.begin_ending(Cause::AutoShutdown, now),
            }
            self.settle(now);
        }
    }

    /// Ends a scope without an error.
    pub(crate) fn finish_scope(&mut self, now: Instant) {
        if self.stage != Stage::Ended {
            self.begin_ending(Cause::AutoShutdown, now);
            self.settle(now);
        }
    }

    pub(super) fn is_bound(&self) -> bool {
        self.rules.binding == Binding::Bound
    }

    /// Makes a service one of a scope, if this is one.
    pub(super) fn bind(&self, rules: &mut ServiceRules) {
        if self.is_bound() {
            rules.restart = RestartType::Temporary;
        }
    }

    /// The error of an exit, if it ends the scope.
    pub(super) fn bound_error(&self, reason: &ExitReason) -> Option<ServiceError> {
        let error = match reason {
            ExitReason::Normal
            | ExitReason::Shutdown
            | ExitReason::Killed(KillCause::Requested) => return None,
            ExitReason::Failed(error) => error.clone(),
            other => ServiceError::new(other.clone()),
        };
        let neutral = error.downcast_ref::<Verdict>().is_some()
            || find_source::<ScopeEnding>(error.as_error(), |ending| self.is_ours(ending));
        (!neutral).then_some(error)
    }

    fn is_ours(&self, ending: &ScopeEnding) -> bool {
        self.starts
            .checked_sub(1)
            .is_some_and(|start| ending.is_of(self.id, start))
    }

    /// Forgets all services of a scope that has ended.
    pub(super) fn release_bound(&mut self, now: Instant) {
        if !self.is_bound() {
            return;
        }
        let all: Vec<u32> = self.services.in_order().rev().collect();
        for slot in all {
            let reason = self.services[slot].last_exit();
            self.release(slot, &reason, now);
        }
    }
}
