//! Device pollers that are kept in a SQLite file. Without arguments it changes the rows itself, as a person with the shell of SQLite would,
//! and ends. With the name of a file it runs until it is interrupted, and follows whoever changes that file:
//!
//! ```text
//! cargo run -p resurgam-sqlite --example fleet -- fleet.db
//! sqlite3 fleet.db "INSERT INTO devices VALUES ('pump-7', '{\"url\": \"http://10.0.0.7\", \"every_ms\": 500}')"
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, fs, path::Path, process::ExitCode, time::Duration};

use actix::prelude::*;
use resurgam::{
    EventKind, Events, ServiceContext, ServiceSpec, SupervisorActor, SupervisorRef,
    keyed::KeyedSpec,
};
use resurgam_sqlite::SqliteTable;

#[derive(Clone, PartialEq, serde::Serialize, serde::Deserialize)]
struct Device {
    url: String,
    every_ms: u64,
}

struct Poller {
    name: String,
    device: Device,
}

impl Actor for Poller {
    type Context = ServiceContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let Device { url, every_ms } = &self.device;
        println!("{}: started, polls {url} every {every_ms} ms", self.name);
        // A real one asks its device here.
        ctx.run_interval(Duration::from_millis(*every_ms), |_poller, _| {});
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        println!("{}: stopped", self.name);
    }
}

/// A tree with a poller for each row.
async fn start(file: &Path) -> Result<SupervisorRef, Box<dyn Error>> {
    let table = SqliteTable::<String, Device>::open(file, "devices").await?;
    let spec = KeyedSpec::new("devices", table, |name: &String, device: &Device| {
        let (name, device) = (name.clone(), device.clone());
        ServiceSpec::new("poller", move || Poller {
            name: name.clone(),
            device: device.clone(),
        })
    });
    let root = SupervisorActor::with_defaults("root").start().await?;
    root.add_keyed(spec).await?;
    Ok(root)
}

/// Waits until that has happened to a poller.
async fn until(events: &mut Events, poller: &str, happened: fn(&EventKind) -> bool) {
    while let Some(event) = events.next().await {
        if event.path() == poller && happened(event.kind()) {
            return;
        }
    }
}

/// What a person would do with the shell of SQLite.
async fn change(root: &SupervisorRef, file: &Path) -> Result<(), Box<dyn Error>> {
    let mut events = root.events();
    let ready: fn(&EventKind) -> bool = |kind| matches!(kind, EventKind::ServiceReady);
    let removed: fn(&EventKind) -> bool = |kind| matches!(kind, EventKind::ServiceRemoved { .. });
    let connection = rusqlite::Connection::open(file)?;
    let insert =
        r#"INSERT INTO devices VALUES ('pump-7', '{"url": "http://10.0.0.7", "every_ms": 500}')"#;
    let update = "UPDATE devices SET value = json_set(value, '$.every_ms', 250)";
    let delete = "DELETE FROM devices WHERE key = 'pump-7'";
    for (sql, happened) in [(insert, ready), (update, ready), (delete, removed)] {
        println!("sqlite> {sql};");
        connection.execute_batch(sql)?;
        until(&mut events, "root/devices/pump-7", happened).await;
    }
    Ok(())
}

#[actix::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    if let Some(file) = std::env::args_os().nth(1) {
        return Ok(start(Path::new(&file)).await?.run_until_signal().await);
    }
    let directory = std::env::temp_dir().join(format!("fleet-{}", std::process::id()));
    fs::create_dir_all(&directory)?;
    let file = directory.join("fleet.db");
    let root = start(&file).await?;
    change(&root, &file).await?;
    println!("{}", root.shutdown().await?);
    fs::remove_dir_all(directory)?;
    Ok(ExitCode::SUCCESS)
}
