//! The service behind the server.

use actix::prelude::*;
use resurgam::ServiceContext;

/// Divides, and has not thought of zero.
pub(crate) struct Divider;

impl Actor for Divider {
    type Context = ServiceContext<Self>;
}

/// Asks what `dividend` by `divisor` is, and which incarnation has found out.
#[derive(Message)]
#[rtype(result = "(u64, u64)")]
pub(crate) struct Divide {
    pub(crate) dividend: u64,
    pub(crate) divisor: u64,
}

impl Handler<Divide> for Divider {
    type Result = MessageResult<Divide>;

    fn handle(&mut self, question: Divide, ctx: &mut Self::Context) -> Self::Result {
        let Divide { dividend, divisor } = question;
        MessageResult((dividend / divisor, ctx.generation()))
    }
}
