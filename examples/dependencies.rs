//! Services that require each other: started when what they require is ready, bounced with what they are bound to, and
//! stopped before it.
//!
//! ```text
//! root/database#0: ready
//! root/cache#0: ready
//! root/api#0: ready
//! --- the database fails
//! root/cache#0: stopped: shutdown
//! root/database#1: ready
//! root/cache#1: ready
//! --- shutdown
//! root/api#0: stopped: shutdown
//! root/cache#1: stopped: shutdown
//! root/database#1: stopped: shutdown
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, time::Duration};

use actix::prelude::*;
use resurgam::{
    EventKind, Events, Readiness, ServiceContext, ServiceRef, ServiceSpec, StartContext,
    StartError, SupervisorActor,
};

/// Needs some time until it is ready.
struct Database;

impl Actor for Database {
    type Context = ServiceContext<Self>;
    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_later(Duration::from_millis(20), |_, ctx| ctx.ready());
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Fail;

impl Handler<Fail> for Database {
    type Result = ();
    fn handle(&mut self, _: Fail, ctx: &mut Self::Context) {
        ctx.fail("disk full");
    }
}

struct Client(#[expect(dead_code, reason = "to show how it gets here")] ServiceRef<Database>);

impl Client {
    fn new(cx: &StartContext) -> Result<Self, StartError> {
        cx.get("database").map(Self)
    }
}

impl Actor for Client {
    type Context = ServiceContext<Self>;
}

/// Prints who is ready and who has stopped, up to and with `last`.
async fn print_until(events: &mut Events, last: &str) {
    while let Some(event) = events.next().await {
        let shown = matches!(
            event.kind(),
            EventKind::ServiceReady | EventKind::ServiceStopped { .. }
        );
        if shown {
            println!("{event}");
        }
        if event.to_string() == last {
            break;
        }
    }
}

#[actix::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let root = SupervisorActor::with_defaults("root").start().await?;
    let mut events = root.events();
    // The cache is restarted with the database; the API only waits for it at its own start.
    let cache = ServiceSpec::try_new("cache", Client::new).binds_to("database");
    let api = ServiceSpec::try_new("api", Client::new)
        .requires("cache")
        .requires("database");
    root.add(api).await?;
    root.add(cache).await?;
    let database = ServiceSpec::new("database", || Database).readiness(Readiness::Explicit);
    let database = root.add(database).await?;
    print_until(&mut events, "root/api#0: ready").await;

    println!("--- the database fails");
    database.do_send(Fail);
    print_until(&mut events, "root/cache#1: ready").await;

    println!("--- shutdown");
    root.shutdown().await?;
    print_until(&mut events, "").await;
    Ok(())
}
