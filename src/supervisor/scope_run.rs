//! What the handles of a scope share with the supervisor that the scope is.
//!
//! # Invariants
//!
//! 1. Each start of such a supervisor has a [`ScopeRun`] of its own. What is asked through that of an earlier start is without effect.
//! 2. The end of a scope is told after all its services have ended, or been abandoned.

use std::sync::Arc;

use actix::{Actor, Message};
use tokio::sync::watch;

use super::error::ScopeError;
use crate::{
    policy::{ExitReason, ScopeEnding, ServiceError},
    service::{AnyLink, NoticeKind, Parent, Published, ServiceRef, ServiceSpec},
    state::{AddError, Cause, Ended},
    token::ServiceToken,
};

/// One run of a scope, from its start to its end.
pub(crate) struct ScopeRun {
    path: Arc<str>,
    /// What names the supervisor, and its incarnation.
    token: ServiceToken,
    generation: u64,
    /// The way to the supervisor, which overtakes its mailbox.
    parent: Arc<Parent>,
    ending: ScopeEnding,
    state: Published<ScopeState>,
}

impl ScopeRun {
    pub(crate) fn path(&self) -> &Arc<str> {
        &self.path
    }

    /// What the cells of the members share; it leads to the supervisor.
    pub(crate) fn parent(&self) -> &Parent {
        &self.parent
    }

    pub(crate) fn ending(&self) -> &ScopeEnding {
        &self.ending
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.state.read().is_ending()
    }

    pub(crate) fn states(&self) -> watch::Receiver<ScopeState> {
        self.state.subscribe()
    }

    /// How the scope has ended, if it has.
    pub(crate) fn result(&self) -> Option<Result<(), ScopeError>> {
        // The lock of the channel is held meanwhile, and nothing of a user's runs under it: a clone of an error is one of an `Arc`.
        match &*self.state.read() {
            ScopeState::Over(result) => Some(result.clone()),
            ScopeState::Ending | ScopeState::Running => None,
        }
    }

    /// Has the scope end. What one thread asks for is decided in that order, and before what follows from it.
    pub(crate) fn request_end(&self, error: Option<ServiceError>) {
        let kind = NoticeKind::ScopeEnds(error);
        self.parent.notify(self.token, self.generation, kind);
        // After the notice: a member on another thread that sees the scope ending may fail because of it, and its own notice has to
        // come second, since the first error counts.
        self.begin_to_end();
    }

    fn begin_to_end(&self) {
        // Once: who waits is woken by the first of a request, a failure and a stop from above. After the end it changes nothing.
        self.state.modify(|state| {
            let begins = !state.is_ending();
            if begins {
                *state = ScopeState::Ending;
            }
            begins
        });
    }

    /// Says how the scope has ended.
    pub(super) fn end(&self, result: Result<(), ScopeError>) {
        self.state.replace(ScopeState::Over(result));
    }
}

/// How far a scope is.
#[derive(Clone, Debug)]
pub(crate) enum ScopeState {
    Running,
    /// It ends, or the notice that it is to end is on the way.
    Ending,
    Over(Result<(), ScopeError>),
}

impl ScopeState {
    pub(crate) const fn is_ending(&self) -> bool {
        !matches!(self, Self::Running)
    }

    pub(crate) const fn is_over(&self) -> bool {
        matches!(self, Self::Over(_))
    }
}

/// The run of a supervisor that is a scope and runs; of any other, nothing.
#[derive(Default)]
pub(super) struct CurrentRun(Option<Arc<ScopeRun>>);

impl CurrentRun {
    /// Begins a run, for the start of the supervisor that `owner` names.
    pub(super) fn open(
        &mut self,
        owner: &dyn AnyLink,
        parent: &Arc<Parent>,
        ending: ScopeEnding,
    ) -> Arc<ScopeRun> {
        let owner = owner.core();
        let run = Arc::new(ScopeRun {
            path: Arc::clone(owner.path()),
            token: owner.token(),
            generation: owner.generation(),
            parent: Arc::clone(parent),
            ending,
            state: Published::new(ScopeState::Running),
        });
        self.0 = Some(Arc::clone(&run));
        run
    }

    /// Reports whether the run is that of this incarnation.
    pub(super) fn is_of(&self, generation: u64) -> bool {
        let run = self.0.as_ref();
        run.is_some_and(|run| run.generation == generation)
    }

    /// Tells the handles that the scope ends.
    pub(super) fn begin_to_end(&self) {
        if let Some(run) = &self.0 {
            run.begin_to_end();
        }
    }

    /// Takes the run of a scope that has ended, and why it did if that was an error.
    pub(super) fn take(&mut self, ended: &Ended) -> (Option<Arc<ScopeRun>>, Option<ScopeError>) {
        let run = self.0.take();
        let error = run
            .as_ref()
            .and_then(|run| ScopeError::of(&run.path, ended));
        (run, error)
    }

    /// Tells the handles that the supervisor was dropped before the scope was over.
    pub(super) fn drop_run(&mut self) {
        if let Some(run) = self.0.take() {
            let path = Arc::clone(&run.path);
            run.end(Err(ScopeError::Dropped { path }));
        }
    }
}

impl ScopeError {
    /// The error that a scope has ended with.
    fn of(scope: &Arc<str>, ended: &Ended) -> Option<Self> {
        let (from, reason) = match &ended.cause {
            Cause::Stopped | Cause::AutoShutdown | Cause::Dropped | Cause::Terminated { .. } => {
                return None;
            }
            Cause::Fatal { path, error } => {
                // The state makes an error of a panic or a kill, so that it can be ranked. Here it becomes the exit reason again.
                let reason = error.downcast_ref::<ExitReason>().cloned();
                let failed = || ExitReason::Failed(error.clone());
                (path, reason.unwrap_or_else(failed))
            }
            Cause::Escalated { path, reason } | Cause::StartFailed { path, reason } => {
                (path, reason.clone())
            }
        };
        let path = Arc::clone(scope);
        // An error of the scope itself was given by `Scope::fail`, or is of its start function.
        Some(if from == scope {
            let error = match reason {
                ExitReason::Failed(error) => error,
                other => ServiceError::new(other),
            };
            Self::Failed { path, error }
        } else {
            Self::Member {
                path,
                member: Arc::clone(from),
                reason,
            }
        })
    }
}

/// Adds a service to one run of a scope.
pub(crate) struct AddMember<A: Actor> {
    pub(crate) spec: ServiceSpec<A>,
    pub(crate) run: Arc<ScopeRun>,
}

impl<A: Actor> Message for AddMember<A> {
    type Result = Result<ServiceRef<A>, AddError>;
}
