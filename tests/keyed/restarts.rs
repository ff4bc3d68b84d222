//! The row of a service is read before each of its restarts.

use resurgam::{Backoff, EventKind, ServiceSpec, keyed::KeyedSpec};
use tokio::time::{Instant, sleep};

use crate::support::*;

/// Devices that wait before they are restarted.
fn delayed(key: &str, row: &Row) -> ServiceSpec<Device> {
    device(key, row).backoff(Backoff::constant(SECOND * 10))
}

async fn fleet(table: &Scripted) -> Fleet {
    Fleet::ready(KeyedSpec::new(
        "devices",
        table.clone(),
        |key: &String, row| delayed(key, row),
    ))
    .await
}

#[actix::test]
async fn row_that_has_changed_meanwhile_is_what_a_service_is_restarted_with() {
    tokio::time::pause();
    let table = Scripted::new([("a", row("1"))]);
    let fleet = fleet(&table).await;
    table.put("a", row("2"));
    fleet.end("a", End::Fail).await;
    assert_eq!(fleet.ask("a").await, ("2", 1));
    // Also if it changes during the delay.
    fleet.end("a", End::Fail).await;
    sleep(SECOND * 5).await;
    table.put("a", row("3"));
    assert_eq!(fleet.ask("a").await, ("3", 2));
    assert_eq!(table.set(|script| script.scans), 1);
}

#[actix::test]
async fn row_that_is_gone_meanwhile_is_the_end_of_its_service() {
    tokio::time::pause();
    let table = Scripted::new([("a", row("1")), ("b", row("1"))]);
    let mut fleet = fleet(&table).await;
    fleet.end("a", End::Fail).await;
    sleep(SECOND * 5).await;
    assert_eq!(fleet.keys(), ["a", "b"]);
    table.delete("a");
    let removed = fleet.until("root/devices/a", |kind| {
        matches!(kind, EventKind::ServiceRemoved { .. })
    });
    removed.await;
    assert_eq!(table.set(|script| script.scans), 1);
    assert_eq!(fleet.keys(), ["b"]);
}

#[actix::test]
async fn table_that_cannot_be_read_or_hangs_holds_up_no_restart_for_long() {
    tokio::time::pause();
    for (broken, seconds) in [(Broken::Fails, 0), (Broken::Panics, 0), (Broken::Hangs, 1)] {
        let table = Scripted::new([("a", row("1"))]);
        let fleet = Fleet::ready(spec(table.clone())).await;
        table.put("a", row("2"));
        table.set(|script| script.broken = Some(broken));
        let began = Instant::now();
        fleet.end("a", End::Panic).await;
        assert_eq!(fleet.ask("a").await, ("1", 1), "with the last one");
        assert_eq!(began.elapsed().as_secs(), seconds, "{broken:?}");
        // Once it is known that it cannot be read it is not asked.
        sleep(SECOND * 100).await;
        let began = Instant::now();
        fleet.end("a", End::Panic).await;
        assert_eq!(fleet.ask("a").await, ("1", 2));
        assert_eq!(began.elapsed().as_secs(), 0, "{broken:?}");
    }
}

#[actix::test]
async fn service_whose_row_is_being_read_can_be_stopped_restarted_and_removed() {
    tokio::time::pause();
    let names = ["stop", "remove", "restart", "group"];
    let table = Scripted::new(names.map(|name| (name, row("1"))));
    let mut fleet = Fleet::ready(spec(table.clone())).await;
    table.set(|script| script.broken = Some(Broken::Hangs));
    for name in names {
        fleet.end(name, End::Fail).await;
    }
    settle().await;
    let supervisor = fleet.devices.supervisor().clone();
    let began = Instant::now();
    supervisor.stop("stop").await.unwrap();
    supervisor.remove("remove").await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 0);
    // That one is asked about as before any start.
    supervisor.restart("restart").await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 1);
    sleep(SECOND * 20).await;
    assert_eq!(fleet.keys(), ["group", "restart", "stop"]);
    assert!(fleet.devices.get("stop").is_err());
    let story = fleet.story().await;
    let began = Instant::now();
    fleet.end("restart", End::Fail).await;
    sleep(SECOND / 2).await;
    assert!(fleet.root.shutdown().await.unwrap().is_clean(), "{story:?}");
    assert_eq!(began.elapsed().as_secs(), 0);
}
