//! Keyed services and tables: the public API as its users write it. It must compile.
//!
//! The design's `contract-keyed.rs`, word for word.
#![expect(
    dead_code,
    unused_variables,
    clippy::match_same_arms,
    reason = "only the types matter here"
)]

use std::time::Duration;

use actix::prelude::*;
use futures::Stream;
use resurgam::{
    Backoff, RestartLimit, ServiceContext, ServiceRef, ServiceSpec, StartContext, SupervisorRef,
    SupervisorSpec,
    keyed::{
        Fence, GetError, KeyedRef, KeyedSpec, OnChanged, OnVanished, Revival, StartKeyError,
        StopKeyError,
    },
    table::{Change, MemoryTable, RowError, Table},
};

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Device {
    url: String,
    every_ms: u64,
}

struct Poller {
    device: Device,
    fence: Fence,
}

impl Actor for Poller {
    type Context = ServiceContext<Self>;
}

async fn fleet(root: &SupervisorRef) -> Result<(), Box<dyn std::error::Error>> {
    let table: MemoryTable<String, Device> = MemoryTable::new();
    let device = Device {
        url: "http://127.0.0.1:9".into(),
        every_ms: 500,
    };
    table.insert(&"pump-7".to_owned(), &device).await;

    let spec = KeyedSpec::new("devices", table.clone(), |key: &String, device: &Device| {
        let device = device.clone();
        // The name of the service is its key; what stands here is how to make it and how to treat it.
        ServiceSpec::try_new("poller", move |cx: &StartContext| {
            Ok::<_, std::io::Error>(Poller {
                device: device.clone(),
                fence: cx.fence(),
            })
        })
        .backoff(Backoff::exponential(
            Duration::from_secs(1),
            Duration::from_secs(60),
        ))
        .limit(RestartLimit::window(5, Duration::from_secs(60)).pause(Duration::from_secs(30)))
    })
    .supervisor(SupervisorSpec::default())
    .ready_within(Duration::from_secs(1)) // pact's numbers are the defaults
    .rescan_every(Duration::from_secs(60))
    .on_vanished(OnVanished::Stop) // Keep is pact's; Stop is the default
    .on_changed(OnChanged::Restart) // Keep is pact's; Restart is the default
    .revival(Revival::ByPolicy) // AtNextScan is pact's
    .max_services(10_000)
    .start_spacing(Duration::from_millis(1)) // none by default
    .table_timeout(Duration::from_secs(10));

    let devices: KeyedRef<String, Poller> = root.add_keyed(spec).await?; // or spec.into_service() -> (ServiceSpec<SupervisorActor>, KeyedRef) wherever a ServiceSpec goes
    assert_eq!(devices.path(), "root/devices"); // services are root/devices/pump-7 …

    let pump: ServiceRef<Poller> = devices.when_ready("pump-7").await?;
    match devices.get("pump-8") {
        Ok(ready) => drop(ready),
        Err(GetError::NotReady { service, .. }) => drop(service), // known, starting or down
        Err(GetError::NotFound { .. }) => {}
        Err(_) => {}
    }
    let started: Result<ServiceRef<Poller>, StartKeyError> = devices.start("pump-9").await; // reads the row; ready, or why not: NotRunning, Exists, NoRow, Table, Start
    let stopped: Result<resurgam::ExitReason, StopKeyError> = devices.stop("pump-9").await; // NotFound
    let keys: Vec<String> = devices.keys();
    devices.rescan().await?; // now; resolves when it has been acted on
    let supervisor: &SupervisorRef = devices.supervisor();
    Ok(())
}

/// A table of one's own.
struct Csv(std::path::PathBuf);

impl Table for Csv {
    type Key = String;
    type Value = Device;
    type Error = std::io::Error;

    async fn get(&self, key: &String) -> Result<Option<Device>, std::io::Error> {
        Ok(None)
    }

    fn rows(
        &self,
    ) -> impl Stream<Item = Result<(String, Device), RowError<String, std::io::Error>>> + Send {
        futures::stream::empty()
    }

    /// Says that something may have changed; by default never.
    fn changes(&self) -> impl Stream<Item = Change<String>> + Send {
        futures::stream::pending()
    }
}
