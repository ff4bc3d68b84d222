//! What the services of a supervisor know of it.

use std::sync::Arc;

use actix::{Actor, Addr, AsyncContext, dev::channel::channel};

use super::{SupervisorActor, SupervisorRef, tree::Tree};
use crate::service::{AnyLink, Link, ServiceContext};

/// The supervisor of some services, and the tree that it belongs to.
pub(crate) struct Upward {
    pub(crate) link: Arc<Link<SupervisorActor>>,
    pub(crate) tree: Arc<Tree>,
}

impl Upward {
    /// A reference to the supervisor, which may have ended meanwhile.
    pub(crate) fn supervisor(&self) -> SupervisorRef {
        let address = self.link.address().unwrap_or_else(closed);
        SupervisorRef::new(address, Arc::clone(&self.link), Arc::clone(&self.tree))
    }
}

/// An address whose every message fails with `Closed`.
fn closed<A: Actor>() -> Addr<A>
where
    A::Context: AsyncContext<A>,
{
    let (sender, _receiver) = channel(0);
    Addr::new(sender)
}

impl<A: Actor<Context = Self>> ServiceContext<A> {
    /// The supervisor of this service.
    ///
    /// Holding what this returns keeps the tree running, see [`SupervisorRef`]; a service that keeps it for good makes its
    /// tree run until it is shut down.
    ///
    /// # Panics
    ///
    /// In [`SupervisorActor`]'s own context of a root, which nobody supervises. Users are never given that one.
    pub fn supervisor(&self) -> SupervisorRef {
        self.link()
            .core()
            .parent()
            .upward::<Upward>()
            .expect("a service is launched by a supervisor that is part of a tree")
            .supervisor()
    }
}
