//! What a restart costs.
//!
//! A round is: a message that ends the incarnation, and a question that the next one answers. A round of which nothing ends is
//! what the two messages cost by themselves.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook},
    pin::Pin,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use actix::{
    dev::{ContextFut, ToEnvelope, channel::channel},
    prelude::*,
};
use resurgam::{ServiceContext, ServiceRef, ServiceSpec, SupervisorRef};

use super::{Stopwatch, tireless_root};

/// A plain actor, of which nothing ends.
pub(crate) fn plain() -> Addr<Plain> {
    Plain.start()
}

/// A plain actor that is caught when it panics: the least that could be called a restart.
pub(crate) fn caught() -> Addr<Plain> {
    let (sender, receiver) = channel(16);
    let context = Context::with_receiver(receiver);
    actix_rt::spawn(Caught(context.into_future(Plain)));
    Addr::new(sender)
}

/// A service, with the supervisor that must be held.
pub(crate) async fn supervised() -> (SupervisorRef, ServiceRef<Supervised>) {
    let root = tireless_root().await;
    let service = root.add_and_wait(ServiceSpec::new("service", || Supervised));
    let service = service.await.expect("its factory does not fail");
    (root, service)
}

/// Plays rounds.
pub(crate) async fn rounds<A>(addr: &Addr<A>, end: End, count: u64) -> Duration
where
    A: Actor + Handler<End> + Handler<Ask>,
    A::Context: ToEnvelope<A, End> + ToEnvelope<A, Ask>,
{
    let mut watch = Stopwatch::start();
    for _ in 0..count {
        addr.do_send(end);
        addr.send(Ask).await.expect("somebody answers");
    }
    watch.lap()
}

/// Throws and catches panics, with nothing around it: no actor, and no hook but the silent one.
pub(crate) fn bare_panics(count: u64) -> Duration {
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    let mut watch = Stopwatch::start();
    for _ in 0..count {
        let caught = catch_unwind(panic_now);
        assert!(caught.is_err());
    }
    let time = watch.lap();
    set_hook(hook);
    time
}

#[expect(clippy::panic, reason = "this is what is measured")]
fn panic_now() {
    panic!("at the disco");
}

/// How an incarnation is to end.
#[derive(Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) enum End {
    Fail,
    Not,
    Panic,
    Stop,
}

#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Ask;

/// A plain actor that knows how to panic.
pub(crate) struct Plain;

impl Actor for Plain {
    type Context = Context<Self>;
}

impl actix::Supervised for Plain {}

impl Handler<End> for Plain {
    type Result = ();

    fn handle(&mut self, end: End, ctx: &mut Self::Context) {
        match end {
            End::Not => {}
            End::Panic => panic_now(),
            End::Fail | End::Stop => ctx.stop(),
        }
    }
}

impl Handler<Ask> for Plain {
    type Result = ();

    fn handle(&mut self, _: Ask, _: &mut Self::Context) {}
}

/// actix's own context, restarted in place after a panic.
struct Caught(ContextFut<Plain, Context<Plain>>);

impl Future for Caught {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        loop {
            let context = &mut self.0;
            match catch_unwind(AssertUnwindSafe(|| Pin::new(context).poll(cx))) {
                Ok(polled) => return polled,
                Err(_panic) => {
                    if !self.0.restart() {
                        return Poll::Ready(());
                    }
                }
            }
        }
    }
}

pub(crate) struct Supervised;

impl Actor for Supervised {
    type Context = ServiceContext<Self>;
}

impl Handler<End> for Supervised {
    type Result = ();

    fn handle(&mut self, end: End, ctx: &mut Self::Context) {
        match end {
            End::Fail => ctx.fail("no luck"),
            End::Not => {}
            End::Panic => panic_now(),
            End::Stop => ctx.stop(),
        }
    }
}

impl Handler<Ask> for Supervised {
    type Result = ();

    fn handle(&mut self, _: Ask, _: &mut Self::Context) {}
}
