//! What anybody may ask the registry of a tree.

use std::{fmt, marker::PhantomData, pin::pin};

use actix::{
    Actor, Message,
    dev::{MessageResponse, OneshotSender},
};
use futures::future::{Either, select};
use tokio::sync::oneshot;

use super::message::{Located, LookupError, ServiceSummary, Sought};
use crate::{
    service::{Reply, ServiceRef},
    token::ServiceKey,
};

macro_rules! look_up {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub struct $name<A: Actor> {
            pub(super) sought: Sought,
            actor: PhantomData<fn() -> A>,
        }

        impl<A: Actor> $name<A> {
            /// A request about the service that this names; a name is one among the services of the root.
            pub fn new(service: impl Into<ServiceKey>) -> Self {
                Self::of(Sought::in_tree(service.into()))
            }

            pub(crate) const fn of(sought: Sought) -> Self {
                Self {
                    sought,
                    actor: PhantomData,
                }
            }
        }

        impl<A: Actor> Message for $name<A> {
            type Result = Result<ServiceRef<A>, LookupError>;
        }

        impl<A: Actor> Clone for $name<A> {
            fn clone(&self) -> Self {
                Self::of(self.sought.clone())
            }
        }

        impl<A: Actor> fmt::Debug for $name<A> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.sought.key).finish()
            }
        }
    };
}

look_up! {
    /// Finds a service of the tree, also one that is down. For the [registry](crate::SupervisorRef::registry).
    Lookup
}
look_up! {
    /// Waits until a service of the tree is ready. For the [registry](crate::SupervisorRef::registry).
    WhenReady
}

/// Lists the services in start order: of a supervisor that is asked, or of the root, if it is the
/// [registry](crate::SupervisorRef::registry).
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a message without fields")]
pub struct Services;

impl Services {
    /// A request.
    pub const fn new() -> Self {
        Self
    }
}

impl Message for Services {
    type Result = Vec<ServiceSummary>;
}

/// Lists the services of any supervisor of the tree, in start order. For the [registry](crate::SupervisorRef::registry).
#[derive(Clone, Debug)]
pub struct ServicesOf(pub(super) Sought);

impl ServicesOf {
    /// A request about the supervisor that this names; a name is one among the services of the root, or its own.
    pub fn new(supervisor: impl Into<ServiceKey>) -> Self {
        Self(Sought::in_tree(supervisor.into()))
    }
}

impl Message for ServicesOf {
    type Result = Result<Vec<ServiceSummary>, LookupError>;
}

/// The answer to [`WhenReady`], which is given when the service is.
#[expect(
    unnameable_types,
    reason = "the result of a handler, with which users can do nothing"
)]
#[derive(Debug)]
pub struct Awaited(pub(super) oneshot::Receiver<Result<Located, LookupError>>);

impl<R, A> MessageResponse<R, WhenReady<A>> for Awaited
where
    R: Actor,
    A: Actor,
{
    fn handle(
        self,
        _: &mut R::Context,
        tx: Option<OneshotSender<Result<ServiceRef<A>, LookupError>>>,
    ) {
        let Some(mut reply) = tx.map(Reply::new) else {
            return;
        };
        actix_rt::spawn(async move {
            // A caller that leaves takes its place in the registry with it: whoever asks for ever must not fill it.
            let ready = match select(self.0, pin!(reply.unwanted())).await {
                Either::Left((ready, _)) => ready,
                Either::Right(_) => return,
            };
            let answer = ready.unwrap_or(Err(LookupError::SupervisorGone));
            reply.give(answer.and_then(Located::typed));
        });
    }
}

/// An answer that is known at once.
#[expect(
    unnameable_types,
    reason = "the result of handlers, with which users can do nothing"
)]
#[derive(Debug)]
pub struct Known<T>(pub(super) T);

impl<R, M> MessageResponse<R, M> for Known<M::Result>
where
    R: Actor,
    M: Message,
{
    fn handle(self, _: &mut R::Context, tx: Option<OneshotSender<M::Result>>) {
        // Not by actix, whose answer would let the waker of a caller panic on the registry's turn.
        if let Some(reply) = tx.map(Reply::new) {
            reply.give(self.0);
        }
    }
}
