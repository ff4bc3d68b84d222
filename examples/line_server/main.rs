//! A TCP server of which every part is a service, and which goes on through the panics of one of them.
//!
//! ```text
//! root ── statistics                     folds each line into running figures, and has a bug
//!      ├─ listener                       spawns a service for each client
//!      └─ listener.127.0.0.1:54321 …     one client: reads lines, asks the statistics, answers
//! ```
//!
//! The statistics are an actor, since they handle messages. The others only run, so they are async functions.
//!
//! Without arguments it drives itself: eight clients send 4000 lines over real sockets, 112 of them malformed. It prints
//! the events as they happen. Look for the twelve panics and the two pauses among them, and for the table:
//!
//! ```text
//! lines sent              4000
//!   answered              3888
//!   refused, not JSON      100
//!   lost to a panic         12
//! restarts                  12
//! pauses                     2
//! every well-formed line was answered exactly once
//! ```
//!
//! With `--listen ADDR` it serves until Ctrl-C. Then try `nc 127.0.0.1 7878`, and these lines:
//! `{"id": 1, "station": "Bergen", "readings": [3.5, 4.25]}`, `hello`, `{"id": 2, "station": "Oslo", "readings": []}`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example shows what it does"
)]

mod connection;
mod drive;
mod listener;
mod server;
mod statistics;
mod tally;

use std::{error::Error, process::ExitCode};

use resurgam::{EventKind, Events, SupervisorActor};

#[actix::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let address = match args[..] {
        [] => "127.0.0.1:0",
        ["--listen", address] => address,
        _ => {
            eprintln!("usage: line_server [--listen ADDR]");
            return Ok(ExitCode::from(2));
        }
    };
    let root = SupervisorActor::new("root", server::spec()).start().await?;
    let events = actix::spawn(print(root.events()));
    let address = server::start(&root, address.parse()?).await?;
    if args.is_empty() {
        let tally = drive::drive(address).await?;
        let report = root.shutdown().await?;
        let (restarts, pauses) = events.await?;
        println!("{report}\n\n{tally}");
        println!("restarts              {restarts:>6}");
        println!("pauses                {pauses:>6}");
        return Ok(tally.verdict());
    }
    println!("listening on {address}, until Ctrl-C");
    tokio::signal::ctrl_c().await?;
    let report = root.shutdown().await?;
    events.await?;
    println!("{report}");
    Ok(ExitCode::SUCCESS)
}

/// Prints events until the tree ends; returns how many restarts and pauses there were.
async fn print(mut events: Events) -> (u32, u32) {
    let (mut restarts, mut pauses) = (0, 0);
    while let Some(event) = events.next().await {
        println!("{event}");
        match event.kind() {
            EventKind::ServiceStarted if event.generation() > 0 => restarts += 1,
            EventKind::PauseStarted { .. } => pauses += 1,
            _ => {}
        }
    }
    (restarts, pauses)
}
