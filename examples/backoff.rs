//! A service that keeps failing: its restarts wait longer and longer, and then it gives up and is kept as failed.
//!
//! ```text
//! root/flaky#0: failed: no connection; restarting in 20ms (count 1.00)
//! root/flaky#1: failed: no connection; restarting in 40ms (count 2.00)
//! root/flaky#2: failed: no connection; restarting in 80ms (count 3.00)
//! root/flaky#3: failed: no connection; not restarting (count 2.99)
//! root/flaky#3: gave up: failed: no connection
//! flaky is failed
//! after a reset flaky is ready
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, time::Duration};

use actix::prelude::*;
use resurgam::{Backoff, EventKind, RestartLimit, ServiceContext, ServiceSpec, SupervisorActor};

struct Flaky;

impl Actor for Flaky {
    type Context = ServiceContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if ctx.generation() < 4 {
            ctx.run_later(Duration::from_millis(1), |_, ctx| ctx.fail("no connection"));
        }
    }
}

#[actix::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let root = SupervisorActor::with_defaults("root").start().await?;
    let mut events = root.events();
    let spec = ServiceSpec::new("flaky", || Flaky)
        .backoff(Backoff::exponential(
            Duration::from_millis(20),
            Duration::from_secs(1),
        ))
        .limit(RestartLimit::window(3, Duration::from_secs(10)).give_up());
    let flaky = root.add(spec).await?;

    while let Some(event) = events.next().await {
        let is_end = matches!(event.kind(), EventKind::ServiceGaveUp { .. });
        if is_end || matches!(event.kind(), EventKind::ServiceFailed { .. }) {
            println!("{event}");
        }
        if is_end {
            break;
        }
    }
    println!("flaky is {}", root.services().await?[0].state());
    root.reset(flaky.token()).await?;
    println!(
        "after a reset flaky is {}",
        root.services().await?[0].state()
    );
    root.shutdown().await?;
    Ok(())
}
