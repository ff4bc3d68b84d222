//! Keyed supervisors whose thread is blocked by one of their services.

use std::time::Duration;

use resurgam::{
    Placement, RestartError, ServiceSpec, Shutdown, SupervisorRef,
    keyed::{GetError, KeyedRef, KeyedSpec, RescanError, StartKeyError, StopKeyError},
    table::{MemoryTable, Table},
};

use crate::support::{Blocker, UNRESPONSIVE, block, blocker, paths, root, soon, until};

type Rows = MemoryTable<String, u32>;

/// `root/devices/a` and `root/devices/b`, on one thread that is not that of the test.
async fn devices(root: &SupervisorRef) -> (Rows, KeyedRef<String, Blocker>) {
    let table: Rows = [("a", 1), ("b", 2)]
        .map(|(key, value)| (key.to_owned(), value))
        .into_iter()
        .collect();
    let spec = KeyedSpec::new("devices", table.clone(), |_: &String, _: &u32| {
        blocker("device", &Placement::Inherit)
    });
    let (service, devices) = spec.into_service();
    let service: ServiceSpec<_> = service
        .placement(Placement::Dedicated)
        .shutdown(Shutdown::Timeout(Duration::from_millis(10)));
    root.add_and_wait(service).await.unwrap();
    soon(devices.when_ready("a")).await.unwrap();
    (table, devices)
}

#[actix::test]
async fn keyed_supervisor_whose_thread_hangs_is_lost_and_refuses_and_its_table_is_left_alone() {
    let root = root().await;
    let (table, devices) = devices(&root).await;
    let stuck = devices.get("a").unwrap();
    let hold = block(&stuck);
    // Read by any thread.
    assert_eq!(devices.get("a").unwrap(), stuck);
    assert_eq!(devices.keys().len(), 2);
    // Nobody answers these while the thread is blocked; they are answered when the supervisor is lost.
    let (start, rescan) = (devices.clone(), devices.clone());
    table.insert(&"c".to_owned(), &3).await;
    let start = actix::spawn(async move { start.start("c").await });
    let rescan = actix::spawn(async move { rescan.rescan().await });
    tokio::task::yield_now().await;

    let refused = Err(RestartError::failed(UNRESPONSIVE));
    assert_eq!(soon(root.restart("devices")).await, refused);
    assert_eq!(root.counts().await.unwrap().failed, 1);
    assert_eq!(root.tree_abandoned_threads(), 1);
    soon(root.remove("devices")).await.unwrap();
    assert!(matches!(devices.get("b"), Err(GetError::NotFound { .. })));
    drop(hold);
    // The thread is back, finds itself written off, and drops all that it kept.
    let start = soon(start).await.unwrap();
    assert!(matches!(start, Err(StartKeyError::NotRunning)), "{start:?}");
    assert_eq!(soon(rescan).await.unwrap(), Err(RescanError::NotRunning));
    let stopped = soon(devices.stop("a")).await;
    assert!(
        matches!(stopped, Err(StopKeyError::NotFound { .. })),
        "{stopped:?}"
    );
    until(|| !stuck.connected()).await;
    until(|| root.tree_abandoned_threads() == 0).await;
    // The table is as it was, for whoever follows it next.
    assert_eq!(table.get(&"c".to_owned()).await, Ok(Some(3)));
    let (again, _) = KeyedSpec::new("devices", table, |_: &String, _: &u32| {
        blocker("device", &Placement::Inherit)
    })
    .into_service();
    soon(root.add_and_wait(again)).await.unwrap();
    assert!(soon(root.shutdown()).await.unwrap().is_clean());
}

#[actix::test]
async fn bound_of_a_stop_names_the_row_that_blocks_the_thread() {
    let root = root().await;
    let (_table, devices) = devices(&root).await;
    let hold = block(&devices.get("b").unwrap());
    let limit = Duration::from_millis(200);
    let report = soon(root.shutdown_within(limit)).await.unwrap();
    assert_eq!(
        paths(&report),
        ["root/devices", "root/devices/b"],
        "{report}"
    );
    drop(hold);
}
