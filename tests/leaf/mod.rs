//! A service that says which incarnation it is, and crashes on request.

use actix::prelude::*;
use resurgam::ServiceContext;

#[derive(Default)]
pub(crate) struct Leaf;

impl Actor for Leaf {
    type Context = ServiceContext<Self>;
}

#[derive(Message)]
#[rtype(result = "u64")]
pub(crate) struct Generation;

#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Crash;

impl Handler<Generation> for Leaf {
    type Result = u64;
    fn handle(&mut self, _: Generation, ctx: &mut Self::Context) -> u64 {
        ctx.generation()
    }
}

impl Handler<Crash> for Leaf {
    type Result = ();
    fn handle(&mut self, _: Crash, _: &mut Self::Context) {
        panic!("crashed on purpose");
    }
}
