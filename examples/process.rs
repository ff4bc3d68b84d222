//! An OS process as a service: its lines, a crash and the restart, a graceful stop, and one that has to be killed with what it started.
//!
//! ```text
//! root/server#0: up
//! root/server#0: a request
//! root/server#1: up
//! root/server#1: stopping
//! root/server: shutdown
//! root/stubborn#0: up
//! root/stubborn: killed: stop timeout
//! captured: HELLO
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

#[cfg(unix)]
use std::{error::Error, time::Duration};

#[cfg(unix)]
use resurgam::{
    EventKind, Shutdown, SupervisorActor,
    process::{Command, Lines, Output, SendSignal, Signal},
};

/// Crashes at SIGUSR1, and cleans up at SIGTERM.
#[cfg(unix)]
const SERVER: &str = r#"
trap 'echo "a request"; exit 3' USR1
trap 'echo "stopping"; exit 0' TERM
echo up
while :; do sleep 0.01; done
"#;

/// Ignores SIGTERM, and so does its descendant.
#[cfg(unix)]
const STUBBORN: &str = "trap '' TERM; sleep 60 & echo up; wait";

#[cfg(unix)]
#[actix::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let root = SupervisorActor::with_defaults("root").start().await?;
    let mut events = root.events();

    let command = Command::new("sh").arg("-c").arg(SERVER);
    let mut lines = command.lines();
    let spec = command.ready_on_line("up").service("server");
    let server = root.add_and_wait(spec).await?;
    server.send(SendSignal(Signal::Usr1)).await??;
    while let Some(event) = events.next().await {
        if matches!(event.kind(), EventKind::ServiceReady) && event.generation() == 1 {
            break;
        }
    }
    let reason = root.remove(&server).await?;
    print(&mut lines, 4).await;
    println!("root/server: {reason}");

    let command = Command::new("sh").arg("-c").arg(STUBBORN);
    let mut lines = command.lines();
    let spec = command.ready_on_line("up").service("stubborn");
    let spec = spec.shutdown(Shutdown::Timeout(Duration::from_millis(50)));
    let stubborn = root.add_and_wait(spec).await?;
    let reason = root.remove(&stubborn).await?; // its `sleep` is gone too
    print(&mut lines, 1).await;
    println!("root/stubborn: {reason}");

    let command = Command::new("tr").args(["a-z", "A-Z"]).stdin("hello\n");
    print!("captured: {}", command.capture().await?);
    root.shutdown().await?;
    Ok(())
}

#[cfg(unix)]
/// Prints what was written to standard output; on the other one shells complain about what was killed.
async fn print(lines: &mut Lines, mut count: usize) {
    while count > 0
        && let Some(line) = lines.next().await
    {
        if line.output() == Output::Stdout {
            println!("{}#{}: {}", line.path(), line.generation(), line.text());
            count -= 1;
        }
    }
}

#[cfg(not(unix))]
fn main() {
    println!("services that are OS processes need Unix");
}
