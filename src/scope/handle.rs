//! What the work and the members of a scope hold of it.

use std::{fmt, future::Future, pin::pin, sync::Arc};

use actix::Actor;
use futures::future::{Either, select};

use super::{AddMemberError, ScopeError, ScopeSpec, SpawnMember};
use crate::{
    policy::{IntoServiceError, ServiceError},
    service::{ServiceRef, ServiceSpec},
    state::AddError,
    supervisor::{AddMember, Life, LifeStage, SupervisorRef, Upward},
    task::TaskContext,
};

/// A scope, see the [module](crate::scope).
///
/// Cheap to clone, and may be given away to any thread. It keeps nothing running. One that outlives its scope adds nothing to the
/// next start of that scope, and ends nothing of it.
#[derive(Clone)]
pub struct Scope {
    life: Arc<Life>,
}

impl Scope {
    pub(super) fn new(life: Arc<Life>) -> Self {
        Self { life }
    }

    /// Runs a scope on this thread's arbiter, until its work has returned and every member is over, and gives what the work has
    /// returned.
    ///
    /// Needs a running actix system, and nothing else. The work is called on this arbiter, so its future need not be `Send`. It has
    /// the path `name/work`. With initial members, or rules of its own, a scope is run by [`ScopeSpec::run`].
    ///
    /// # Errors
    ///
    /// The error of the scope, see [which one counts](crate::scope#which-error-counts); the value of the work is dropped then.
    /// [`ScopeError::Stopped`] if the scope was ended without an error, and the work had no value to give.
    ///
    /// # Cancel safety
    ///
    /// If the call is dropped before it returns the scope is told to end, as by [`stop`](Self::stop), and its result is lost.
    /// That takes its time: nobody waits for it, but nothing is left running after the stop timeouts of the members, as long as
    /// the arbiter runs. A scope that must be over first is not dropped: keep a [`Scope`], and [`join`](Self::join) it.
    pub async fn run<F, T, V, E, B>(name: impl Into<Arc<str>>, work: F) -> Result<V, ScopeError>
    where
        F: FnOnce(Self) -> T + Send + 'static,
        T: Future<Output = Result<V, E>> + 'static,
        V: Send + 'static,
        E: IntoServiceError<B>,
    {
        ScopeSpec::new(name).run(work).await
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
    /// If the call is dropped before it returns the service may have been added.
    pub async fn add<A>(&self, member: ServiceSpec<A>) -> Result<ServiceRef<A>, AddMemberError>
    where
        A: Actor,
    {
        let ending = || AddMemberError::Ending(self.life.ending().clone());
        if self.is_ending() {
            return Err(ending());
        }
        let supervisor = self.life.address().ok_or_else(ending)?;
        let add = AddMember {
            spec: member,
            life: Arc::clone(&self.life),
        };
        let mut stages = self.life.stages();
        let over = pin!(stages.wait_for(LifeStage::is_over));
        // One that was over before it came to the message may keep its mailbox, and nobody to read it.
        let answer = match select(pin!(supervisor.send(add)), over).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => return Err(ending()),
        };
        match answer {
            Ok(Ok(member)) => Ok(member),
            Ok(Err(AddError::ShuttingDown | AddError::SupervisorGone)) | Err(_) => Err(ending()),
            Ok(Err(refused)) => Err(AddMemberError::Refused(refused)),
        }
    }

    /// Makes a member of an async function, with a name that nobody else has: `task[1]`, `task[2]` and so on.
    ///
    /// Nothing happens before the returned [`SpawnMember`] is awaited. The function travels to the arbiter of the member, which
    /// is the scope's unless its spec says otherwise, so it must be `Send`; its future need not be. It is told of a stop through
    /// its [`TaskContext`], and has until its stop timeout then.
    pub fn spawn<F, T, E, B>(&self, function: F) -> SpawnMember
    where
        F: FnOnce(TaskContext) -> T + Send + 'static,
        T: Future<Output = Result<(), E>> + 'static,
        E: IntoServiceError<B>,
    {
        let name = format!("task[{}]", self.life.next_number());
        SpawnMember::new(self, Arc::from(name), function)
    }

    /// Makes a member of an async function, as [`spawn`](Self::spawn) does, with this name.
    pub fn spawn_named<F, T, E, B>(&self, name: impl Into<Arc<str>>, function: F) -> SpawnMember
    where
        F: FnOnce(TaskContext) -> T + Send + 'static,
        T: Future<Output = Result<(), E>> + 'static,
        E: IntoServiceError<B>,
    {
        SpawnMember::new(self, name.into(), function)
    }

    /// Ends the scope with an error, which counts if it is the first one.
    ///
    /// Returns at once. From then on the scope [is ending](Self::is_ending); without effect after its end.
    pub fn fail(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) {
        self.life.request_end(Some(ServiceError::new(error)));
    }

    /// Ends the scope without an error: all members are asked to stop, and so is the work.
    ///
    /// Returns at once. From then on the scope [is ending](Self::is_ending); without effect if it already is. As part of a tree
    /// such a scope has completed, and is treated as its restart type says.
    pub fn stop(&self) {
        if !self.is_ending() {
            self.life.request_end(None);
        }
    }

    /// Resolves when the scope begins to end, for whatever reason, and at once if it already has.
    ///
    /// That is before most members are asked to stop, which happens in order. The future is independent of this handle.
    pub fn ending(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut stages = self.life.stages();
        async move {
            // An error means that nobody holds the scope any more, and it is over.
            let _over = stages.wait_for(LifeStage::is_ending).await;
        }
    }

    /// Reports whether the scope is ending, or over.
    pub fn is_ending(&self) -> bool {
        self.life.is_ending()
    }

    /// Runs `work` until it is done, or until the scope begins to end: then `work` is dropped, and this gives `None`.
    ///
    /// If both happen at the same time the result is given.
    ///
    /// # Cancel safety
    ///
    /// As cancel safe as `work`.
    pub async fn run_until_ending<F: Future>(&self, work: F) -> Option<F::Output> {
        // `select` asks its first future first.
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
        let mut stages = self.life.stages();
        // This handle holds the sender, so there is no error.
        let _over = stages.wait_for(LifeStage::is_over).await;
        let dropped = || {
            let path = Arc::clone(self.life.path());
            Err(ScopeError::Dropped { path })
        };
        self.life.result().unwrap_or_else(dropped)
    }

    /// The names from the root to the scope, as in `root/import`; its name, if it was [run](Self::run).
    pub fn path(&self) -> &str {
        self.life.path()
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
        self.life
            .upward()
            .and_then(Upward::supervisor)
            .expect("a scope is part of a tree before anybody has a handle of it")
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
