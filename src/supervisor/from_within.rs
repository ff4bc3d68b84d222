//! How a service, and what makes it, gets a reference of its supervisor.

use actix::Actor;

use super::{reference::SupervisorRef, upward::Upward};
use crate::service::{AnyLink, ServiceContext, StartContext};

impl<A: Actor<Context = Self>> ServiceContext<A> {
    /// The supervisor of this service.
    ///
    /// Holding what this returns keeps the tree running, see [`SupervisorRef`]; a service that keeps it for good makes its
    /// tree run until it is shut down.
    ///
    /// # Panics
    ///
    /// In [`SupervisorActor`](crate::SupervisorActor)'s own context of a root, which nobody supervises. Users are never given that one.
    pub fn supervisor(&self) -> SupervisorRef {
        Upward::of(self.link().core().parent())
            .and_then(Upward::supervisor)
            .expect("a service is launched by a supervisor that is part of a tree")
    }
}

impl StartContext {
    /// The supervisor of the service, so that an [existing actor](crate::ServiceSpec::actor) can add services: its factory gives it to the actor.
    ///
    /// Holding what this returns keeps the tree running, see [`SupervisorRef`]. An async factory may add services as well, and must not wait
    /// for one that is started after its own.
    ///
    /// # Examples
    ///
    /// ```
    /// use actix::prelude::*;
    /// use resurgam::{ServiceSpec, StartError, SupervisorActor, SupervisorRef};
    ///
    /// struct Listener(SupervisorRef);
    ///
    /// impl Actor for Listener {
    ///     type Context = Context<Self>;
    ///
    ///     fn started(&mut self, ctx: &mut Self::Context) {
    ///         let supervisor = self.0.clone();
    ///         let session = async move {
    ///             let _session = supervisor.add(ServiceSpec::actor("session", || Session)).await;
    ///         };
    ///         ctx.spawn(session.into_actor(self));
    ///     }
    /// }
    ///
    /// struct Session;
    ///
    /// impl Actor for Session {
    ///     type Context = Context<Self>;
    /// }
    ///
    /// # #[actix::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let root = SupervisorActor::with_defaults("root").start().await?;
    /// root.add(ServiceSpec::try_actor("listener", |cx| {
    ///     Ok::<_, StartError>(Listener(cx.supervisor()))
    /// }))
    /// .await?;
    /// root.when_ready::<Session>("session").await?;
    /// # root.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Never: a factory is called by a supervisor that is part of a tree.
    pub fn supervisor(&self) -> SupervisorRef {
        Upward::of(self.link().core().parent())
            .and_then(Upward::supervisor)
            .expect("a factory is called by a supervisor that is part of a tree")
    }
}
