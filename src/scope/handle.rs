//! What the work and the members of a scope hold of it.

use std::{fmt, future::Future, pin::pin, sync::Arc};

use actix::Actor;
use futures::future::{Either, select};

use super::error::AddMemberError;
use crate::{
    policy::ServiceError,
    service::{ServiceRef, ServiceSpec, side_by_side},
    state::AddError,
    supervisor::{AddMember, ScopeError, ScopeRun, ScopeState, SupervisorRef, Upward},
};

/// A scope, see the [module](crate::scope).
///
/// Cheap to clone, and may be given away to any thread. It keeps nothing running. One that outlives its scope adds nothing to the
/// next start of that scope, and ends nothing of it.
#[derive(Clone)]
pub struct Scope {
    run: Arc<ScopeRun>,
}

impl Scope {
    pub(super) fn new(run: Arc<ScopeRun>) -> Self {
        Self { run }
    }

    /// Makes a service a member, and starts it.
    ///
    /// Returns when it is registered. Whatever the spec says, it is [`Temporary`](crate::RestartType::Temporary) here. If it is
    /// [significant](ServiceSpec::significant) its end ends the scope, as that of the work does. Names are unique in a scope;
    /// that of a member that is over is free.
    ///
    /// The spec is taken over whether or not this succeeds: if not, its factory is never called, and is dropped, at the latest when the
    /// scope's own service is started again or removed. A scope cannot be added to itself, since its spec is consumed where it is added.
    ///
    /// # Errors
    ///
    /// [`AddMemberError::Ending`] if the scope is ending or over, otherwise what is wrong with the spec. The scope goes on after
    /// that, if it is not ending.
    ///
    /// # Cancel safety
    ///
    /// The service is added all the same once this was polled.
    pub async fn add<A>(&self, member: ServiceSpec<A>) -> Result<ServiceRef<A>, AddMemberError>
    where
        A: Actor,
    {
        let ending = || AddMemberError::Ending(self.run.ending().clone());
        if self.is_ending() {
            return Err(ending());
        }
        let supervisor = self.upward().and_then(Upward::address).ok_or_else(ending)?;
        let add = AddMember {
            spec: member,
            run: Arc::clone(&self.run),
        };
        let mut states = self.run.states();
        let over = pin!(side_by_side(states.wait_for(ScopeState::is_over)));
        // A scope that is a service and is not started again keeps its mailbox open, and nobody reads it: then the message has no answer.
        // The end of the run is one, and also comes if the supervisor of the scope is killed.
        let answer = match select(pin!(supervisor.send(add)), over).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => return Err(ending()),
        };
        match answer {
            Ok(Ok(member)) => Ok(member),
            // That the supervisor ends is said of the scope, so that a member can return the error without changing how the scope ends.
            Ok(Err(AddError::ShuttingDown | AddError::SupervisorGone)) | Err(_) => Err(ending()),
            Ok(Err(refused)) => Err(AddMemberError::Refused(refused)),
        }
    }

    /// Ends the scope with an error, which counts if it is the first one.
    ///
    /// Returns at once. From then on the scope [is ending](Self::is_ending); without effect after its end.
    pub fn fail(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) {
        self.run.request_end(Some(ServiceError::new(error)));
    }

    /// Ends the scope without an error: all members are asked to stop, and so is the work.
    ///
    /// Returns at once. From then on the scope [is ending](Self::is_ending); without effect if it already is. As part of a tree
    /// such a scope has completed, and is treated as its restart type says.
    pub fn stop(&self) {
        // A request that comes too late would change nothing. An error is another matter: it may replace a clean end.
        if !self.is_ending() {
            self.run.request_end(None);
        }
    }

    /// Resolves when the scope begins to end, for whatever reason, and at once if it already has.
    ///
    /// That is before most members are asked to stop, which happens in order. The future is independent of this handle.
    pub fn ending(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut states = self.run.states();
        async move {
            // An error means that the run was dropped: no handle of the scope is left, and its supervisor has taken the run off.
            let _over = side_by_side(states.wait_for(ScopeState::is_ending)).await;
        }
    }

    /// Reports whether the scope is ending, or over.
    pub fn is_ending(&self) -> bool {
        self.run.is_ending()
    }

    /// Runs `work` until it is done, or until the scope begins to end: then `work` is dropped, and this gives `None`.
    ///
    /// If both happen at the same time the result is given.
    ///
    /// # Cancel safety
    ///
    /// As cancel safe as `work`.
    pub async fn run_until_ending<F: Future>(&self, work: F) -> Option<F::Output> {
        // `select` polls its first future first: work that is done at the same time has a result.
        match select(pin!(work), pin!(self.ending())).await {
            Either::Left((done, _)) => Some(done),
            Either::Right(((), _)) => None,
        }
    }

    /// Waits until the scope is over: every member has ended and is dropped.
    ///
    /// The factory of one on another thread, and what it holds, is dropped as soon as that thread comes to it: that may be later. So may
    /// the member itself with [`ScopeError::Dropped`], since nobody has waited for it then.
    ///
    /// A member that waits for this waits for itself: it is dropped at its stop timeout.
    ///
    /// # Errors
    ///
    /// The error of the scope, see [which one counts](crate::scope#which-error-counts).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the scope goes on, and may be joined again, at any time and by any number.
    pub async fn join(&self) -> Result<(), ScopeError> {
        let mut states = self.run.states();
        // Never an error, since this handle holds the sender.
        let _over = side_by_side(states.wait_for(ScopeState::is_over)).await;
        // Not reached, for the same reason.
        let dropped = || {
            let path = Arc::clone(self.run.path());
            Err(ScopeError::Dropped { path })
        };
        self.run.result().unwrap_or_else(dropped)
    }

    /// The names from the root to the scope, as in `root/import`; its name, if it was [run](Self::run).
    pub fn path(&self) -> &str {
        self.run.path()
    }

    /// The supervisor that the scope is, for look-ups, events and reports, and to remove or stop single members.
    ///
    /// One that is [stopped](SupervisorRef::stop) is kept, and its name with it, until it is removed or the scope is over. One that was
    /// spawned runs once: if it is [restarted](SupervisorRef::restart) it is gone.
    ///
    /// Holding what this returns keeps the tree running, see [`SupervisorRef`], but not the scope.
    ///
    /// # Panics
    ///
    /// Never: a scope is part of a tree before anybody has a handle of it.
    pub fn supervisor(&self) -> SupervisorRef {
        self.upward()
            .and_then(Upward::supervisor)
            .expect("a scope is part of a tree before anybody has a handle of it")
    }

    fn upward(&self) -> Option<&Upward> {
        Upward::of(self.run.parent())
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("path", &self.path())
            .field("is_ending", &self.is_ending())
            .finish_non_exhaustive()
    }
}
