//! Keyed services on a file.

use std::time::Duration;

use actix::prelude::*;
use resurgam::{
    EventKind, Events, ServiceContext, ServiceSpec, SupervisorActor, SupervisorRef,
    keyed::{KeyedRef, KeyedSpec},
};
use resurgam_sqlite::{SqliteOptions, SqliteTable};
use tokio::time::timeout;

use crate::support::*;

struct Poller(Device);

impl Actor for Poller {
    type Context = ServiceContext<Self>;
}

#[derive(Message)]
#[rtype(result = "u64")]
struct Every;

impl Handler<Every> for Poller {
    type Result = u64;

    fn handle(&mut self, _: Every, _: &mut Self::Context) -> u64 {
        self.0.every_ms
    }
}

/// A keyed supervisor that follows a file with one row, of `a`, whose service is ready.
struct Fleet {
    file: File,
    table: SqliteTable<String, Device>,
    root: SupervisorRef,
    events: Events,
    devices: KeyedRef<String, Poller>,
}

impl Fleet {
    async fn start() -> Self {
        let file = File::new();
        let table = quick(&file).await;
        table.insert(&key("a"), &device(1)).await.unwrap();
        let root = SupervisorActor::with_defaults("root")
            .start()
            .await
            .unwrap();
        let mut events = root.events();
        let devices = root.add_keyed(spec(table.clone())).await.unwrap();
        until(&mut events, "root/devices/a", ready).await;
        Self {
            file,
            table,
            root,
            events,
            devices,
        }
    }
}

async fn quick(file: &File) -> SqliteTable<String, Device> {
    let quick = SqliteOptions::default().poll_every(Duration::from_millis(5));
    let table = SqliteTable::open_with(file.path(), "devices", quick);
    table.await.unwrap()
}

fn spec(table: SqliteTable<String, Device>) -> KeyedSpec<SqliteTable<String, Device>, Poller> {
    KeyedSpec::new("devices", table, |_, device: &Device| {
        let device = device.clone();
        ServiceSpec::new("poller", move || Poller(device.clone()))
    })
}

async fn until(events: &mut Events, path: &str, is_it: impl Fn(&EventKind) -> bool) {
    let found = async {
        loop {
            let event = events.next().await.expect("the tree runs");
            if event.path() == path && is_it(event.kind()) {
                return;
            }
        }
    };
    timeout(LONG, found).await.expect("it happens");
}

async fn every(devices: &KeyedRef<String, Poller>, key: &str) -> u64 {
    let poller = devices.when_ready(key).await.unwrap();
    poller.send(Every).await.unwrap()
}

fn ready(kind: &EventKind) -> bool {
    matches!(kind, EventKind::ServiceReady)
}

fn removed(kind: &EventKind) -> bool {
    matches!(kind, EventKind::ServiceRemoved { .. })
}

#[actix::test]
async fn services_follow_rows_whoever_changes_them() {
    let Fleet {
        file,
        table,
        root,
        mut events,
        devices,
    } = Fleet::start().await;

    // By the program itself.
    table.insert(&key("b"), &device(2)).await.unwrap();
    until(&mut events, "root/devices/b", ready).await;
    table.insert(&key("b"), &device(3)).await.unwrap();
    until(&mut events, "root/devices/b", ready).await;
    assert_eq!(every(&devices, "b").await, 3);
    table.remove(&key("b")).await.unwrap();
    until(&mut events, "root/devices/b", removed).await;

    // By somebody else.
    file.execute("INSERT INTO devices SELECT 'c', value FROM devices");
    until(&mut events, "root/devices/c", ready).await;
    assert_eq!(every(&devices, "c").await, 1);
    file.execute("UPDATE devices SET value = json_set(value, '$.every_ms', 9) WHERE key = 'c'");
    until(&mut events, "root/devices/c", ready).await;
    assert_eq!(every(&devices, "c").await, 9);
    file.execute("DELETE FROM devices WHERE key = 'c'");
    until(&mut events, "root/devices/c", removed).await;
    assert_eq!(devices.keys(), ["a"]);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn row_that_cannot_be_read_is_told_and_what_runs_for_it_runs_on() {
    let Fleet {
        file,
        root,
        mut events,
        devices,
        ..
    } = Fleet::start().await;

    file.execute("UPDATE devices SET value = '{}'; INSERT INTO devices VALUES ('b', '[')");
    let rejected = |kind: &EventKind| {
        matches!(kind, EventKind::RowRejected { .. }) && kind.to_string().contains("`value`")
    };
    until(&mut events, "root/devices", rejected).await;
    until(&mut events, "root/devices", rejected).await;
    assert_eq!(every(&devices, "a").await, 1);

    file.execute("UPDATE devices SET value = '{\"url\": \"u\", \"every_ms\": 4}'");
    until(&mut events, "root/devices/b", ready).await;
    assert_eq!(every(&devices, "b").await, 4);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn table_that_cannot_be_read_is_told_and_stops_nothing() {
    let Fleet {
        file,
        root,
        mut events,
        devices,
        ..
    } = Fleet::start().await;

    file.execute("ALTER TABLE devices RENAME TO away");
    let unreachable = |kind: &EventKind| {
        matches!(kind, EventKind::TableUnreachable { .. }) && kind.to_string().contains("fleet.db")
    };
    until(&mut events, "root/devices", unreachable).await;
    assert_eq!(every(&devices, "a").await, 1);
    file.execute("ALTER TABLE away RENAME TO devices");
    let recovered = |kind: &EventKind| matches!(kind, EventKind::TableRecovered { .. });
    until(&mut events, "root/devices", recovered).await;
    assert_eq!(every(&devices, "a").await, 1);
    root.shutdown().await.unwrap();
}
