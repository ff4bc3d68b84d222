//! Services that are functions: one polls and spawns helpers, one computes on tokio's pool and panics there once, and one blocks a thread of
//! its own. Each is supervised as an actor is.
//!
//! ```text
//! root/sums#0: panicked: overflow
//! sums: 5050
//! poller: round 3 of 3, helped by root/poller[1]
//! helper: stopped with its parent
//! crunch: stopped on its thread
//! all services stopped
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, thread, time::Duration};

use resurgam::{
    Backoff, BlockingContext, EventKind, RestartType, ServiceSpec, SupervisorActor, TaskContext,
};
use tokio::time::sleep;

type AnyError = Box<dyn Error + Send + Sync>;

/// Polls three times, then does nothing until it is asked to stop.
async fn poll(cx: TaskContext) -> Result<(), AnyError> {
    // Ends with this function, and is asked first.
    let helper = cx
        .spawn(|cx: TaskContext| async move {
            cx.shutdown().await;
            println!("helper: stopped with its parent");
        })
        .await?;
    let mut round = 0;
    while round < 3
        && cx
            .run_until_shutdown(sleep(Duration::from_millis(10)))
            .await
            .is_some()
    {
        round += 1;
    }
    println!("poller: round {round} of 3, helped by {}", helper.path());
    cx.shutdown().await;
    Ok(())
}

/// Computes without holding up its arbiter. The first time it panics, which ends this service as any panic does.
async fn sum(cx: TaskContext) -> Result<(), AnyError> {
    let generation = cx.generation();
    let sum: u64 = cx
        .run_blocking(move || {
            assert!(generation > 0, "overflow");
            (1..=100).sum()
        })
        .await?;
    println!("sums: {sum}");
    Ok(())
}

/// Blocks its thread, and looks now and then whether it is to stop.
fn crunch(cx: &BlockingContext) {
    while !cx.is_stopping() {
        thread::park_timeout(Duration::from_millis(1));
    }
    println!("crunch: stopped on its thread");
}

#[actix::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut root = SupervisorActor::with_defaults("root");
    root.add(ServiceSpec::blocking("crunch", |cx| {
        crunch(&cx);
    }))?;
    root.add(ServiceSpec::task("poller", poll))?;
    let root = root.start().await?;

    std::panic::set_hook(Box::new(|_| {})); // events say it all
    let mut events = root.events();
    // Time to print the panic before the next try prints its result.
    let pause = Backoff::constant(Duration::from_millis(5));
    let sums = ServiceSpec::task("sums", sum).restart(RestartType::Transient);
    root.add(sums.backoff(pause)).await?;
    while let Some(event) = events.next().await {
        match event.kind() {
            EventKind::ServicePanicked { message, .. } => {
                println!("{}#0: panicked: {message}", event.path());
            }
            EventKind::ServiceRemoved { .. } => break,
            _ => {}
        }
    }
    sleep(Duration::from_millis(100)).await;

    // A program that runs on calls `root.run().await` instead of `start`, and returns what that says.
    println!("{}", root.shutdown().await?);
    Ok(())
}
