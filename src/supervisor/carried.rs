//! Requests about a service of another supervisor of the tree, which are carried to that one step by step.
//!
//! Each supervisor knows the way to its own supervisor and to those below it, and nobody has to know more. What is carried has its reply
//! channel with it: whoever stands on the way is not needed any more, and may be what the request is about.

use std::fmt;

use actix::{
    Actor, Addr, Handler, Message,
    dev::{MessageResponse, OneshotSender},
};

use super::{
    actor::{Core, SupervisorActor},
    answers::Deferred,
    upward::Upward,
};
use crate::{
    service::downcast,
    state::{Route, Unaddressed},
    token::{ServiceKey, ServiceToken},
};

/// The way to whom a request concerns.
pub(super) enum Way {
    /// It is about a service of this supervisor.
    Here(ServiceToken),
    /// It is for a supervisor that is reached through this one.
    Through(Addr<SupervisorActor>),
}

impl Core {
    /// The way of a request about the service that this names.
    pub(super) fn way(&self, key: &ServiceKey) -> Result<Way, Unaddressed> {
        let next = match self.state.route(key)? {
            Route::Here(token) => return Ok(Way::Here(token)),
            Route::Below(token) => {
                let link = self.cells.link(token).cloned();
                let supervisor = link.and_then(|link| downcast::<SupervisorActor>(link).ok());
                supervisor.and_then(|link| link.address())
            }
            Route::Above => {
                let above = self.cells.owner();
                let above = above.and_then(|owner| Upward::of(owner.core().parent()));
                above.and_then(Upward::address)
            }
        };
        // There is no supervisor where the path leads: the one below is another actor, or above is nobody.
        next.map(Way::Through)
            .ok_or_else(|| Unaddressed::UnknownPath {
                path: key.to_string().into(),
            })
    }
}

/// Sends a request on. Its sender gets the answer from whoever it is for, or `Closed` if it does not get there.
pub(super) fn carried<M>(message: M, next: Addr<SupervisorActor>) -> Deferred<M::Result>
where
    SupervisorActor: Handler<M> + Handler<Carried<M>>,
    M: Message<Result: Send> + Send + 'static,
{
    Deferred::elsewhere(move |reply| next.do_send(Carried { message, reply }))
}

/// A request on its way.
pub(super) struct Carried<M: Message> {
    message: M,
    reply: Option<OneshotSender<M::Result>>,
}

impl<M: Message> Message for Carried<M> {
    type Result = ();
}

impl<M> Handler<Carried<M>> for SupervisorActor
where
    Self: Handler<M>,
    M: Message<Result: Send>,
{
    type Result = ();

    fn handle(&mut self, carried: Carried<M>, ctx: &mut <Self as Actor>::Context) {
        let answer = Handler::<M>::handle(self, carried.message, ctx);
        answer.handle(ctx, carried.reply);
    }
}

impl<M: Message> fmt::Debug for Carried<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Carried").finish_non_exhaustive()
    }
}
