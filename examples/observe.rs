//! What is seen of a tree: its start, what goes wrong in a part of it, how one service fares, who has asked for what, and all of it at a glance.
//!
//! ```text
//! start: root/site/store#0: ready
//! start: root/site/poller#0: ready
//! start: root: supervisor started
//! wrong: root/site/poller#0: failed: no route; restarting in 10ms (count 1.00)
//! wrong: root/site/poller#1: failed: no route; restarting in 10ms (count 2.00)
//! wrong: root/site/poller#2: failed: no route; not restarting (count 2.00)
//! the poller has ended: failed: no route
//! root/site/poller#2: reset requested by ada
//! ```
//!
//! And then the report, as the documentation of `Report` shows one.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, time::Duration};

use actix::prelude::*;
use resurgam::{
    Backoff, EventKind, RestartLimit, ServiceContext, ServiceSpec, ServiceState, SupervisorActor,
};

struct Store;

impl Actor for Store {
    type Context = ServiceContext<Self>;
}

/// Has no route in its first three lives.
struct Poller;

impl Actor for Poller {
    type Context = ServiceContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if ctx.generation() < 3 {
            ctx.run_later(Duration::from_millis(5), |_, ctx| ctx.fail("no route"));
        }
    }
}

#[actix::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut site = SupervisorActor::with_defaults("site");
    site.add(ServiceSpec::new("store", || Store))?;
    let limit = RestartLimit::window(2, Duration::from_secs(10)).give_up();
    let poller = ServiceSpec::new("poller", || Poller)
        .backoff(Backoff::constant(Duration::from_millis(10)))
        .limit(limit);
    let poller = site.add(poller)?;
    let mut root = SupervisorActor::with_defaults("root");
    root.add(ServiceSpec::supervisor(site))?;

    // From before the start, so that nothing of it is missed.
    let mut events = root.events();
    let mut wrong = root.events().below("root/site").failures();
    let root = root.start().await?;
    while let Some(event) = events.next().await {
        let started = matches!(event.kind(), EventKind::SupervisorStarted);
        if started && event.path() == "root" {
            println!("start: {event}");
            break;
        }
        if matches!(event.kind(), EventKind::ServiceReady) && event.path() != "root/site" {
            println!("start: {event}");
        }
    }

    for _ in 0..3 {
        if let Some(event) = wrong.next().await {
            println!("wrong: {event}");
        }
    }
    println!("the poller has ended: {}", poller.ended().await);

    let mut asked = root.events();
    root.by("ada").reset("root/site/poller").await?;
    if let Some(event) = asked.next().await {
        println!("{event}");
    }
    let mut states = poller.states();
    while states.next().await != Some(ServiceState::Ready) {}
    println!("{}", root.report().await?);
    root.shutdown().await?;
    Ok(())
}
