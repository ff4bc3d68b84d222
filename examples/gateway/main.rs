//! A telemetry gateway: sites as subtrees, a poller for each device, a store that all of them need, and a process.
//!
//! ```text
//! root ── north ── thermometer, barometer, …    devices come and go, by name
//!      ├─ south ── …                            each has a limit of its own: a bad one disturbs nobody
//!      ├─ store                                 required by every device as `root/store`
//!      └─ exporter                              a process of the operating system
//! ```
//!
//! The sites come before the store. Their start waits for nobody, and that of a device for the store, wherever that is.
//!
//! It drives itself, without a network: devices are connected, one of them is bad, the store crashes once, a device is disconnected and a
//! whole site is restarted. It prints what went wrong as it happens, and in the end what each device has delivered:
//!
//! ```text
//! root/south/flaky#3: failed: cable is loose; not restarting (count 3.00)
//! root/south/flaky#3: gave up: failed: cable is loose
//! root/store#0: panicked at ..: the disk is full for a moment; restarting (count 1.00)
//! north/thermometer    ready     100 readings
//! south/flaky          failed      0 readings
//! …
//! stopped within two seconds: all services stopped
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod device;
mod drive;
mod site;
mod store;

use std::{error::Error, process::ExitCode, time::Duration};

use resurgam::{Events, ServiceSpec, SupervisorActor, SupervisorRef, process::Command};

#[actix::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let root = start().await?;
    let printed = actix::spawn(print_failures(root.events()));
    let verdict = drive::drive(&root).await?;
    println!("{}", root.report().await?);

    let report = root.shutdown_within(Duration::from_secs(2)).await?;
    printed.await?;
    println!("stopped within two seconds: {report}");
    Ok(match verdict {
        Ok(()) if report.is_clean() => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(what) => {
            println!("this should not be: {what}");
            ExitCode::FAILURE
        }
    })
}

/// Starts what is always there. Devices are connected later.
async fn start() -> Result<SupervisorRef, Box<dyn Error>> {
    let mut root = SupervisorActor::with_defaults("root");
    for name in ["north", "south"] {
        root.add(ServiceSpec::supervisor(site::new(name)?))?;
    }
    root.add(ServiceSpec::new("store", store::Store::default).mailbox_capacity(1024))?;
    let exporter = Command::new("sh")
        .arg("-c")
        .arg("echo listening; exec sleep 3600");
    root.add(exporter.ready_on_line("listening").service("exporter"))?;
    Ok(root.start().await?)
}

/// Prints what goes wrong, until the tree ends.
async fn print_failures(mut events: Events) {
    while let Some(event) = events.next().await {
        if event.kind().is_failure() {
            println!("{event}");
        }
    }
}
