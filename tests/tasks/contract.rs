//! The part of the contract's `kinds` that is about tasks, as its users write it. It is compiled; each sentence has a test of its own elsewhere.
//!
//! One difference: a task's error must be `Send + Sync`, since it travels to the supervisor, which may be on another thread. A plain
//! `Box<dyn Error>` cannot be told from text by the compiler, and would lose its sources.
#![expect(dead_code, reason = "compiled and not run")]

use std::{error::Error, process::ExitCode, time::Duration};

use resurgam::{ServiceSpec, SupervisorRef, TaskContext};

async fn kinds(root: &SupervisorRef) -> Result<(), Box<dyn Error>> {
    let _poller = root
        .add(ServiceSpec::task("poller", |cx: TaskContext| async move {
            cx.ready();
            let _child = cx
                .spawn(|_cx| async move { Ok::<_, std::io::Error>(()) })
                .await; // "poller[1]"
            let _named = cx
                .spawn_named("helper", |_cx| async move { Ok::<_, std::io::Error>(()) })
                .await; // "poller.helper"
            let _answer: u64 = cx.run_blocking(|| 42).await?;
            cx.shutdown().await; // resolves on a graceful stop
            Ok::<_, Box<dyn Error + Send + Sync>>(())
        }))
        .await?;

    // A thread of its own, told to stop through its context.
    root.add(ServiceSpec::blocking("crunch", |cx| {
        while !cx.is_stopping() {
            std::thread::park_timeout(Duration::from_millis(10));
        }
        Ok::<_, std::io::Error>(())
    }))
    .await?;
    // A program: until SIGINT or SIGTERM; the first stops in order.
    let _code: ExitCode = root.run_until_signal().await;
    Ok(())
}
