//! An actix-web server as a service, and the service that its handlers ask.
//!
//! ```text
//! root ── divider   divides, and panics for zero
//!      └─ web       an HTTP server on threads of its own, which requires the divider
//! ```
//!
//! The server starts when the divider is ready, outlives its panic with the same address in hand, and stops before it: the slow request
//! is under way when the shutdown begins, and is answered all the same.
//!
//! ```text
//! GET /100/5: 200 OK, 20 by divider 0
//! GET /100/0: 503 Service Unavailable, the divider has lost the question
//! GET /100/4: 200 OK, 25 by divider 1
//! GET /100/10: 200 OK, 10 by divider 1
//! the server stops
//! GET /slow/100/2: 200 OK, 50 by divider 1
//! GET /100/5: Err(ConnectionRefused)
//! restarts of the server: 0, of the divider: 1
//! all services stopped
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod client;
mod divider;
mod server;

use std::{error::Error, sync::Arc};

use resurgam::{EventKind, ServiceSpec, SupervisorActor};

use crate::{client::get, divider::Divider, server::Shared};

#[actix::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut root = SupervisorActor::with_defaults("root");
    let shared = Arc::new(Shared::default());
    root.add(server::spec(&shared))?;
    root.add(ServiceSpec::new("divider", || Divider))?; // added later, and started before: the server requires it
    let root = root.start().await?;
    let mut events = root.events();
    let address = *shared.address.get().ok_or("the server is ready")?;

    std::panic::set_hook(Box::new(|_| {})); // the answer says it all
    for path in ["/100/5", "/100/0", "/100/4"] {
        println!("GET {path}: {}", get(address, path).await?);
    }

    let slow = actix::spawn(get(address, "/slow/100/2"));
    shared.slow_arrived.notified().await;
    println!("GET /100/10: {}", get(address, "/100/10").await?); // meanwhile
    let stopping = actix::spawn({
        let root = root.clone();
        async move { root.shutdown().await }
    });
    shared.stopping.notified().await;
    println!("the server stops");
    shared.go_on.notify_one();
    println!("GET /slow/100/2: {}", slow.await??);

    let report = stopping.await??;
    let refused = get(address, "/100/5").await.map_err(|error| error.kind());
    println!("GET /100/5: {refused:?}");
    let (mut servers, mut dividers) = (0, 0);
    while let Some(event) = events.next().await {
        match (event.path(), event.kind()) {
            ("root/web", EventKind::ServiceStarted) => servers += 1,
            ("root/divider", EventKind::ServiceStarted) => dividers += 1,
            _ => {}
        }
    }
    println!("restarts of the server: {servers}, of the divider: {dividers}");
    println!("{report}");
    Ok(())
}
