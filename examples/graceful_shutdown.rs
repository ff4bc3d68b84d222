//! A stop in reverse order: one service finishes its work first, one is asked in vain and dropped at its timeout, and one
//! blocks its thread and is abandoned.
//!
//! ```text
//! root/blocked#0: did not stop within 50ms
//! root/careful#0: stopped: shutdown
//! root/stubborn#0: did not stop within 50ms
//! root/stubborn#0: stopped: killed: stop timeout
//! root/blocked#0: abandoned: it blocks its thread
//! root/blocked#0: stopped: killed: unresponsive
//! root: supervisor stopped: shutdown
//! ---
//! root/blocked would not stop
//! root/stubborn: killed: stop timeout
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, time::Duration};

use actix::prelude::*;
use resurgam::{
    EventKind, Placement, ServiceContext, ServiceSpec, SupervisorActor, SupervisorSpec,
};

/// Has work to finish when it is asked to stop.
struct Careful;

impl Actor for Careful {
    type Context = ServiceContext<Self>;
    fn stopping(&mut self, ctx: &mut Self::Context) -> Running {
        ctx.run_later(Duration::from_millis(20), |_, ctx| ctx.terminate());
        Running::Continue
    }
}

/// Does not stop when it is asked to.
struct Stubborn;

impl Actor for Stubborn {
    type Context = ServiceContext<Self>;
    fn stopping(&mut self, _: &mut Self::Context) -> Running {
        Running::Continue
    }
}

/// Blocks the thread that it runs on, which nothing can stop.
struct Blocked;

impl Actor for Blocked {
    type Context = ServiceContext<Self>;
    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_later(Duration::from_millis(1), |_, _| {
            let nobody_sends = std::sync::mpsc::channel::<()>();
            let _times_out = nobody_sends.1.recv_timeout(Duration::from_millis(1500));
        });
    }
}

#[actix::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let spec = SupervisorSpec::default().shutdown_timeout(Duration::from_millis(50));
    let mut root = SupervisorActor::new("root", spec);
    root.add(ServiceSpec::new("careful", || Careful))?;
    root.add(ServiceSpec::new("stubborn", || Stubborn))?;
    root.add(ServiceSpec::new("blocked", || Blocked).placement(Placement::Dedicated))?;
    let root = root.start().await?;
    actix_rt::time::sleep(Duration::from_millis(10)).await;

    let mut events = root.events();
    let report = root.shutdown().await?;
    while let Some(event) = events.next().await {
        if !matches!(event.kind(), EventKind::ServiceRemoved { .. }) {
            println!("{event}");
        }
    }
    println!("---\n{report}");
    Ok(())
}
