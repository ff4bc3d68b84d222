//! When a service is started again: each restart type, after a normal end and after a failure.
//!
//! ```text
//! permanent after a normal end: ready, generation 1
//! permanent after a failure: ready, generation 1
//! transient after a normal end: stopped, generation 0
//! transient after a failure: ready, generation 1
//! temporary after a normal end: stopped, generation 0
//! temporary after a failure: stopped, generation 0
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use actix::prelude::*;
use resurgam::{
    EventKind, Events, RestartType, ServiceContext, ServiceSpec, SupervisorActor, SupervisorRef,
};

struct Task;

impl Actor for Task {
    type Context = ServiceContext<Self>;
}

#[derive(Clone, Copy, Message)]
#[rtype(result = "()")]
enum End {
    Normally,
    Failing,
}

impl Handler<End> for Task {
    type Result = ();
    fn handle(&mut self, end: End, ctx: &mut Self::Context) {
        match end {
            End::Normally => ctx.stop(),
            End::Failing => ctx.fail("out of luck"),
        }
    }
}

/// Waits until a service has ended and what follows from it has happened.
async fn settled(events: &mut Events, restarts: bool) {
    while let Some(event) = events.next().await {
        let done = match event.kind() {
            EventKind::ServiceReady => restarts,
            EventKind::ServiceCompleted { .. } | EventKind::ServiceFailed { .. } => !restarts,
            _ => false,
        };
        if done {
            return;
        }
    }
}

async fn show(root: &SupervisorRef, name: &str) -> Result<String, Box<dyn Error>> {
    let services = root.services().await?;
    Ok(
        match services.iter().find(|service| service.name() == name) {
            Some(service) => format!("{}, generation {}", service.state(), service.generation()),
            None => String::from("forgotten"),
        },
    )
}

#[actix::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let types = [
        ("permanent", RestartType::Permanent),
        ("transient", RestartType::Transient),
        ("temporary", RestartType::Temporary),
    ];
    for (name, restart) in types {
        for (how, end) in [("a normal end", End::Normally), ("a failure", End::Failing)] {
            let mut root = SupervisorActor::with_defaults("root");
            let task = root.add(ServiceSpec::new(name, || Task).restart(restart))?;
            let root = root.start().await?;
            let mut events = root.events();
            task.send(end).await?;
            let restarts = match restart {
                RestartType::Permanent => true,
                RestartType::Transient => matches!(end, End::Failing),
                _ => false,
            };
            settled(&mut events, restarts).await;
            println!("{name} after {how}: {}", show(&root, name).await?);
            root.shutdown().await?;
        }
    }
    Ok(())
}
