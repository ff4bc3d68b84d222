//! What a message lies in while it is queued for an actor whose context is our own.
//!
//! actix's own envelope passes over a message whose caller no longer waits for the answer. For an actor of the user's that stays so. To a
//! supervisor a message is a request, which is carried out whether or not anybody waits for the answer.

use actix::{
    Actor, Handler, Message,
    dev::{Envelope, EnvelopeProxy, MessageResponse, OneshotSender},
};

use super::super::{
    host::{AnswerTo, Host},
    link::{AnyLink, ServiceKind},
};
use crate::user_value::UserValue;

/// Puts a message into an envelope, with where its answer goes.
pub(super) fn pack<A, M>(msg: M, tx: Option<OneshotSender<M::Result>>) -> Envelope<A>
where
    A: Actor<Context: Host<A>> + Handler<M>,
    M: Message<Result: Send> + Send + 'static,
{
    Envelope::with_proxy(Box::new(Queued { msg: Some(msg), tx }))
}

/// A message, and where its answer goes.
struct Queued<M: Message> {
    /// `None` once it is handled.
    msg: Option<M>,
    tx: Option<OneshotSender<M::Result>>,
}

impl<A, M> EnvelopeProxy<A> for Queued<M>
where
    A: Actor<Context: Host<A>> + Handler<M>,
    M: Message<Result: Send> + Send + 'static,
{
    fn handle(&mut self, actor: &mut A, ctx: &mut A::Context) {
        let tx = self.tx.take();
        let answer = match &tx {
            // Known here and not where the message is packed, which knows neither the service nor what the type of a supervisor is.
            Some(tx) if tx.is_closed() && ctx.link().core().kind() != ServiceKind::Supervisor => {
                return;
            }
            Some(tx) if !tx.is_closed() => AnswerTo::Caller,
            _ => AnswerTo::Nobody,
        };
        ctx.note_answer(answer);
        if let Some(msg) = self.msg.take_if(|msg| ctx.wants(msg)) {
            actor.handle(msg, ctx).handle(ctx, tx);
        }
    }
}

impl<M: Message> Drop for Queued<M> {
    /// A message that nobody has handled is dropped wherever its mailbox is: also on the turn of a supervisor, and with any number of others.
    fn drop(&mut self) {
        if let Some(msg) = self.msg.take() {
            drop(UserValue::new(msg));
        }
    }
}
