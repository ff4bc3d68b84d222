//! Futures as members of a scope.

use std::{
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
    sync::Arc,
};

use super::{error::AddMemberError, handle::Scope};
use crate::{
    policy::TaskOutput,
    service::{ServiceRef, ServiceSpec},
    task::{TaskActor, TaskContext, run_once},
};

/// A member to be started by [`Scope::spawn`] or [`Scope::spawn_named`], once this is awaited.
///
/// Resolves with the reference of the member, as soon as it is registered.
///
/// # Errors
///
/// Those of [`Scope::add`].
///
/// # Cancel safety
///
/// The member is added all the same once this was polled.
#[must_use = "nothing is started before it is awaited"]
pub struct SpawnMember {
    scope: Scope,
    spec: ServiceSpec<TaskActor>,
}

impl Scope {
    /// Makes a member of an async function, with a name that nobody else has: `task[1]`, `task[2]` and so on.
    ///
    /// Nothing happens before the returned [`SpawnMember`] is awaited. The function travels to the arbiter of the member, which
    /// is the scope's unless its spec says otherwise, so it must be `Send`; its future need not be. It is told of a stop through
    /// its [`TaskContext`], and has until its stop timeout then.
    pub fn spawn<F, T, B>(&self, function: F) -> SpawnMember
    where
        F: FnOnce(TaskContext) -> T + Send + 'static,
        T: Future<Output: TaskOutput<B>> + 'static,
    {
        let mut member = SpawnMember::new(self, Arc::from("task"), function);
        member.spec = member.spec.numbered();
        member
    }

    /// Makes a member of an async function, as [`spawn`](Self::spawn) does, with this name.
    pub fn spawn_named<F, T, B>(&self, name: impl Into<Arc<str>>, function: F) -> SpawnMember
    where
        F: FnOnce(TaskContext) -> T + Send + 'static,
        T: Future<Output: TaskOutput<B>> + 'static,
    {
        SpawnMember::new(self, name.into(), function)
    }
}

impl SpawnMember {
    fn new<F, T, B>(scope: &Scope, name: Arc<str>, function: F) -> Self
    where
        F: FnOnce(TaskContext) -> T + Send + 'static,
        T: Future<Output: TaskOutput<B>> + 'static,
    {
        Self {
            scope: scope.clone(),
            spec: run_once(name, function),
        }
    }

    /// Changes the spec of the member: its placement, stop timeout, requirements and whatever else a spec says.
    ///
    /// With [`Shutdown::BrutalKill`](crate::Shutdown::BrutalKill) the future is dropped as soon as it is its turn to stop, and
    /// that is no error: for futures that hold nothing that needs an orderly end.
    pub fn spec(
        mut self,
        change: impl FnOnce(ServiceSpec<TaskActor>) -> ServiceSpec<TaskActor>,
    ) -> Self {
        self.spec = change(self.spec);
        self
    }
}

impl IntoFuture for SpawnMember {
    type Output = Result<ServiceRef<TaskActor>, AddMemberError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.scope.add(self.spec).await })
    }
}

impl fmt::Debug for SpawnMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpawnMember")
            .field("scope", &self.scope.path())
            .field("name", &self.spec.name())
            .finish_non_exhaustive()
    }
}
