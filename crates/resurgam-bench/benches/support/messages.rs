//! What a message costs.

use std::time::Duration;

use actix::{dev::ToEnvelope, prelude::*};
use resurgam::{ServiceContext, ServiceRef, ServiceSpec, SupervisorRef};

use super::{Stopwatch, tireless_root};

/// A plain actor.
pub(crate) fn plain() -> Addr<Plain> {
    Plain(0).start()
}

/// A service, with the supervisor that must be held.
pub(crate) async fn supervised() -> (SupervisorRef, ServiceRef<Supervised>) {
    let root = tireless_root().await;
    let service = root.add_and_wait(ServiceSpec::new("service", || Supervised(0)));
    let service = service.await.expect("its factory does not fail");
    (root, service)
}

/// The plain actor as a service, with the supervisor that must be held.
pub(crate) async fn adopted() -> (SupervisorRef, ServiceRef<Plain>) {
    let root = tireless_root().await;
    let service = root.add_and_wait(ServiceSpec::actor("existing", || Plain(0)));
    let service = service.await.expect("its factory does not fail");
    (root, service)
}

/// Sends `count` messages with `do_send`, and waits until all are handled.
pub(crate) async fn tell<A>(addr: &Addr<A>, count: u64) -> Duration
where
    A: Actor + Handler<Add> + Handler<Sum>,
    A::Context: ToEnvelope<A, Add> + ToEnvelope<A, Sum>,
{
    let before = sum(addr).await;
    let mut watch = Stopwatch::start();
    for _ in 0..count {
        addr.do_send(Add(1));
    }
    let after = sum(addr).await;
    let time = watch.lap();
    assert_eq!(after - before, count);
    time
}

/// Sends `count` messages with `send`, each when the one before is answered.
pub(crate) async fn ask<A>(addr: &Addr<A>, count: u64) -> Duration
where
    A: Actor + Handler<Add> + Handler<Sum>,
    A::Context: ToEnvelope<A, Add> + ToEnvelope<A, Sum>,
{
    let before = sum(addr).await;
    let mut watch = Stopwatch::start();
    for _ in 0..count {
        addr.send(Add(1)).await.expect("it runs");
    }
    let time = watch.lap();
    assert_eq!(sum(addr).await - before, count);
    time
}

async fn sum<A>(addr: &Addr<A>) -> u64
where
    A: Actor + Handler<Sum>,
    A::Context: ToEnvelope<A, Sum>,
{
    addr.send(Sum).await.expect("it runs")
}

#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Add(u64);

#[derive(Message)]
#[rtype(result = "u64")]
pub(crate) struct Sum;

pub(crate) struct Plain(u64);

impl Actor for Plain {
    type Context = Context<Self>;
}

pub(crate) struct Supervised(u64);

impl Actor for Supervised {
    type Context = ServiceContext<Self>;
}

impl Handler<Add> for Plain {
    type Result = ();

    fn handle(&mut self, msg: Add, _: &mut Self::Context) {
        self.0 += msg.0;
    }
}

impl Handler<Add> for Supervised {
    type Result = ();

    fn handle(&mut self, msg: Add, _: &mut Self::Context) {
        self.0 += msg.0;
    }
}

impl Handler<Sum> for Plain {
    type Result = u64;

    fn handle(&mut self, _: Sum, _: &mut Self::Context) -> u64 {
        self.0
    }
}

impl Handler<Sum> for Supervised {
    type Result = u64;

    fn handle(&mut self, _: Sum, _: &mut Self::Context) -> u64 {
        self.0
    }
}
