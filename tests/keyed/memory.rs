//! What is gone leaves nothing behind, and what goes on is bounded.

use std::{
    cell::Cell,
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

use futures::future::join_all;
use resurgam::{
    EventKind, ServiceSpec, SupervisorActor, TaskActor, TaskContext, keyed::KeyedSpec,
    table::MemoryTable,
};
use tokio::time::{sleep, timeout};

use crate::support::*;

/// A service that does nothing until it is asked to stop.
fn idle() -> ServiceSpec<TaskActor> {
    ServiceSpec::task("idle", |cx: TaskContext| async move {
        cx.shutdown().await;
    })
}

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

#[actix::test]
async fn rows_that_are_gone_leave_nothing_behind() {
    tokio::time::pause();
    let every: Vec<Arc<u32>> = (0..3_000).map(Arc::new).collect();
    let table = MemoryTable::new();
    let make = |_: &Arc<u32>, value: &Arc<u32>| {
        // One in three makes no sense.
        assert!(!value.is_multiple_of(3), "no");
        idle()
    };
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let spec = KeyedSpec::new("many", table.clone(), make).max_services(1_500);
    let many = root.add_keyed(spec).await.unwrap();
    for _ in 0..3 {
        for key in &every {
            table.insert(key, key).await;
        }
        many.rescan().await.unwrap();
        settle().await;
        assert_eq!(many.keys().len(), 1_500);
        for key in &every {
            table.remove(key).await;
        }
        many.rescan().await.unwrap();
        many.rescan().await.unwrap();
        sleep(SECOND * 5).await;
        assert_eq!(many.keys().len(), 0);
    }
    many.rescan().await.unwrap();
    // The stream of changes keeps the latest few for those who have not read them yet.
    let counts = every.iter().map(Arc::strong_count);
    let kept = counts.filter(|count| *count > 1).count();
    assert!(kept <= 1_024, "{kept}");
    let oldest = every.iter().take(1_000).map(Arc::strong_count);
    assert_eq!(oldest.max(), Some(1));
    assert!(root.shutdown().await.unwrap().is_clean());
}

thread_local! {
    static COMPARED: Cell<usize> = const { Cell::new(0) };
}

#[derive(Clone)]
struct Counted;

impl PartialEq for Counted {
    fn eq(&self, _: &Self) -> bool {
        COMPARED.set(COMPARED.get() + 1);
        true
    }
}

#[actix::test]
async fn scan_of_many_rows_gives_way_to_others_and_touches_nothing() {
    tokio::time::pause();
    let table: MemoryTable<u32, Counted> = (0..10_000).map(|key| (key, Counted)).collect();
    let make = |_: &u32, _: &Counted| idle();
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let many = root
        .add_keyed(KeyedSpec::new("many", table, make))
        .await
        .unwrap();
    sleep(SECOND * 2).await;
    assert_eq!(many.keys().len(), 10_000);
    let mut events = root.events_with_capacity(1 << 12);
    COMPARED.set(0);
    // A task like any other, which gets its turn after each of the others.
    let (mut before, mut most) = (0, 0);
    let turns = actix::spawn(poll_fn(move |cx| {
        most = most.max(COMPARED.get() - before);
        before = COMPARED.get();
        if before >= 10_000 {
            return Poll::Ready(most);
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }));
    many.rescan().await.unwrap();
    let most = turns.await.unwrap();
    assert!(COMPARED.get() <= 20_000, "{}", COMPARED.get());
    assert!(most <= 256, "{most} in one turn");
    assert!(events.try_next().is_none(), "nothing to tell");
    assert!(root.shutdown().await.unwrap().is_clean());
}
