//! What is gone leaves nothing behind, and what goes on is bounded.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures::future::join_all;
use resurgam::{EventKind, keyed::KeyedSpec};
use tokio::time::{sleep, timeout};

use crate::support::*;

#[actix::test]
async fn table_and_what_makes_services_are_dropped_with_the_tree() {
    tokio::time::pause();
    let alive = Arc::new(());
    let made = Arc::clone(&alive);
    let table = memory([("a", row("1"))]);
    let make = move |key: &String, row: &Row| {
        drop(Arc::clone(&made));
        device(key, row)
    };
    let Fleet {
        root,
        devices,
        events,
    } = Fleet::ready(KeyedSpec::new("devices", table, make)).await;
    // A reference that was asked for its supervisor, and one that was not.
    let _supervisor = devices.clone().supervisor().path().to_owned();
    assert!(root.shutdown().await.unwrap().is_clean());
    drop((root, events));
    settle().await;
    assert_eq!(Arc::strong_count(&alive), 1);
    assert!(devices.keys().is_empty());
    assert!(devices.start("a").await.is_err());
    assert!(devices.rescan().await.is_err());
    assert!(devices.stop("a").await.is_err());
}

#[actix::test]
async fn many_callers_of_many_keys_are_all_answered_and_each_service_ends_once() {
    tokio::time::pause();
    let table = Scripted::new([]);
    for number in 0..20 {
        table.put(&number.to_string(), row("1"));
    }
    let mut fleet = Fleet::ready(spec(table.clone())).await;
    let answered = AtomicUsize::new(0);
    let asked = (0..10_000_usize).map(|number| {
        let (devices, answered) = (&fleet.devices, &answered);
        async move {
            let key = (number % 37 % 20).to_string();
            match number % 5 {
                0 => drop(devices.start(&*key).await),
                1 => drop(devices.stop(&*key).await),
                2 => drop(devices.get(&*key)),
                3 => drop(devices.start_within(&*key, SECOND / 100).await),
                _ => drop(devices.rescan().await),
            }
            answered.fetch_add(1, Ordering::Relaxed);
        }
    });
    timeout(LONG, join_all(asked)).await.expect("all answered");
    // And those who go away after one poll.
    for number in 0..1_000_usize {
        let key = (number % 20).to_string();
        let (start, stop) = (fleet.devices.start(&*key), fleet.devices.stop(&*key));
        let (within, rescan) = (
            fleet.devices.start_within(&*key, SECOND),
            fleet.devices.rescan(),
        );
        let both = async { tokio::join!(start, stop, within, rescan) };
        let _gone = futures::FutureExt::now_or_never(both);
    }
    sleep(SECOND * 130).await;
    assert_eq!(fleet.keys().len(), 20, "as the table says");
    let every = fleet.keys();
    for key in &every {
        assert_eq!(timeout(LONG, fleet.ask(key)).await.unwrap().0, "1");
    }
    assert!(fleet.root.shutdown().await.unwrap().is_clean());
    let (mut added, mut removed) = (0_usize, 0_usize);
    while let Some(event) = fleet.events.next().await {
        if event.path().starts_with("root/devices/") {
            added += usize::from(matches!(event.kind(), EventKind::ServiceAdded));
            removed += usize::from(matches!(event.kind(), EventKind::ServiceRemoved { .. }));
        }
    }
    assert_eq!(added, removed);
    assert_eq!(fleet.events.lost(), 0);
}
