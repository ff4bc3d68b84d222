//! A tree: a pool of connections that fails too often takes its own supervisor down, and nothing else. The supervisor comes
//! back with its services, and their addresses are the same.
//!
//! ```text
//! root (count 0.00)
//!   clock [..] ready, generation 0, ..
//!   pool [..] ready, generation 0, ..
//! root/pool/one#0: failed: reset by peer; restarting (count 1.00)
//! root/pool/one#1: failed: reset by peer; not restarting (count 1.00)
//! root/pool: too many restarts (count 1.00)
//! root/pool: supervisor gave up: escalated by `root/pool/one`: failed: reset by peer
//! root/pool#0: escalated by `root/pool/one`: failed: reset by peer; restarting (count 1.00)
//! root/pool: supervisor started
//! connection one: incarnation 2
//! connection two: incarnation 1
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, time::Duration};

use actix::prelude::*;
use resurgam::{
    EventKind, RestartLimit, ServiceContext, ServiceSpec, SupervisorActor, SupervisorSpec,
};

struct Connection;

impl Actor for Connection {
    type Context = ServiceContext<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
struct Reset;

impl Handler<Reset> for Connection {
    type Result = ();
    fn handle(&mut self, _: Reset, ctx: &mut Self::Context) {
        ctx.fail("reset by peer");
    }
}

#[derive(Message)]
#[rtype(result = "u64")]
struct Incarnation;

impl Handler<Incarnation> for Connection {
    type Result = u64;
    fn handle(&mut self, _: Incarnation, ctx: &mut Self::Context) -> u64 {
        ctx.generation()
    }
}

#[actix::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let spec = SupervisorSpec::default()
        .limit(RestartLimit::window(1, Duration::from_secs(10)).escalate());
    let mut pool = SupervisorActor::new("pool", spec);
    let one = pool.add(ServiceSpec::new("one", || Connection))?;
    let two = pool.add(ServiceSpec::new("two", || Connection))?;

    let mut root = SupervisorActor::with_defaults("root");
    root.add(ServiceSpec::new("clock", || Connection))?;
    root.add(ServiceSpec::supervisor(pool))?;
    let root = root.start().await?;
    println!("{}", root.report().await?);

    let mut events = root.events();
    one.do_send(Reset);
    one.do_send(Reset); // handled by the next incarnation
    while let Some(event) = events.next().await {
        let told = event.kind().is_failure() || event.kind() == &EventKind::SupervisorStarted;
        if told {
            println!("{event}");
        }
        if event.kind() == &EventKind::SupervisorStarted {
            break;
        }
    }
    println!(
        "connection one: incarnation {}",
        one.send(Incarnation).await?
    );
    println!(
        "connection two: incarnation {}",
        two.send(Incarnation).await?
    );
    root.shutdown().await?;
    Ok(())
}
