//! What comes while something else goes on.

use resurgam::{
    EventKind, ServiceSpec,
    keyed::{GetError, KeyedSpec, StartKeyError},
    table::Change,
};
use tokio::time::{Instant, sleep, timeout};

use crate::support::*;

#[actix::test]
async fn start_that_comes_too_late_stops_nobody_else_s_service() {
    tokio::time::pause();
    let table = Scripted::new([("a", row("1"))]);
    let fleet = Fleet::ready(spec(table.clone())).await;
    let started = fleet
        .devices
        .start_within("a", std::time::Duration::ZERO)
        .await;
    assert!(
        matches!(started, Err(StartKeyError::Exists { .. })),
        "{started:?}"
    );
    settle().await;
    assert_eq!(fleet.ask("a").await, ("1", 0), "runs on");
}

#[actix::test]
async fn start_after_a_stop_reads_the_row_itself() {
    tokio::time::pause();
    let table = Slow::default();
    let fleet = Fleet::ready(spec(table.clone())).await;
    let devices = fleet.devices.clone();
    let first = actix::spawn(async move { devices.start("a").await.map(drop) });
    sleep(SECOND).await;
    fleet.devices.stop("a").await.unwrap();
    assert!(matches!(
        first.await.unwrap(),
        Err(StartKeyError::Stopped { .. })
    ));
    table.0.put("a", row("1"));
    fleet.devices.start("a").await.unwrap();
}

#[actix::test]
async fn row_that_comes_again_while_its_service_winds_down_is_started_at_once_after_that() {
    tokio::time::pause();
    let slow = Row {
        winds_down: SECOND * 3,
        ..row("1")
    };
    let table = memory([("a", slow)]);
    let mut fleet = Fleet::ready(spec(table.clone())).await;
    let began = Instant::now();
    table.remove(&key("a")).await;
    sleep(SECOND).await;
    assert!(fleet.devices.get("a").is_err(), "winds down");
    table.insert(&key("a"), &row("2")).await;
    fleet
        .until("root/devices/a", |kind| {
            matches!(kind, EventKind::ServiceReady)
        })
        .await;
    assert_eq!(began.elapsed().as_secs(), 3);
    assert_eq!(fleet.ask("a").await, ("2", 0));
}

#[actix::test]
async fn supervisor_that_is_ready_because_its_time_is_over_reads_the_table_on() {
    tokio::time::pause();
    let slow = Row {
        warms_up: SECOND * 500,
        ..row("slow")
    };
    let table = Scripted::new([("a", slow)]);
    let fleet = Fleet::ready(spec(table.clone())).await;
    table.put("b", row("1"));
    sleep(SECOND * 70).await;
    assert_eq!(fleet.keys(), ["a", "b"]);
}

#[actix::test]
async fn rescan_is_not_put_off_by_a_scan_that_fails_meanwhile() {
    tokio::time::pause();
    let table = Scripted::new([("a", row("1"))]);
    let fleet = Fleet::ready(spec(table.clone())).await;
    table.set(|script| script.broken = Some(Broken::Hangs));
    // Backoff grows to its most.
    sleep(SECOND * 600).await;
    let scans = table.set(|script| script.scans);
    while table.set(|script| script.scans) == scans {
        sleep(SECOND).await;
    }
    table.set(|script| script.broken = None);
    let began = Instant::now();
    fleet.devices.rescan().await.unwrap();
    assert!(began.elapsed() <= SECOND * 10, "{:?}", began.elapsed());
}

#[actix::test]
async fn service_that_could_not_be_made_of_a_changed_row_is_made_of_it_later() {
    tokio::time::pause();
    let works = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let make = {
        let works = works.clone();
        move |key: &String, row: &Row| {
            let works = works.load(std::sync::atomic::Ordering::Relaxed);
            assert!(works || row.text == "1", "not now");
            device(key, row)
        }
    };
    let table = Scripted::new([("a", row("1"))]);
    let mut fleet = Fleet::ready(KeyedSpec::new("devices", table.clone(), make)).await;
    fleet.story().await;
    table.put("a", row("2"));
    sleep(SECOND * 200).await;
    assert_eq!(fleet.ask("a").await, ("1", 0));
    let story = fleet.story().await;
    assert_eq!(story.len(), 1, "told once: {story:?}");
    works.store(true, std::sync::atomic::Ordering::Relaxed);
    sleep(SECOND * 61).await;
    assert_eq!(fleet.ask("a").await, ("2", 1));
}

#[actix::test]
async fn settings_of_a_changed_row_that_make_no_sense_are_told() {
    tokio::time::pause();
    let make = |key: &String, row: &Row| -> ServiceSpec<Device> {
        let device = device(key, row);
        if row.text == "1" {
            return device;
        }
        device.backoff(resurgam::Backoff::constant(SECOND).factor(2.0))
    };
    let table = Scripted::new([("a", row("1")), ("b", row("2"))]);
    let mut fleet = Fleet::ready(KeyedSpec::new("devices", table.clone(), make)).await;
    assert_eq!(fleet.keys(), ["a"], "refused");
    fleet.story().await;
    table.put("a", row("2"));
    sleep(SECOND * 61).await;
    let story = fleet.story().await;
    assert!(
        story.iter().any(|line| line.contains("row `a` rejected")),
        "{story:?}"
    );
    assert_eq!(fleet.ask("a").await, ("1", 0));
}

#[actix::test]
async fn flood_of_changes_of_one_row_holds_up_no_other() {
    tokio::time::pause();
    let table = Slow::default();
    let fleet = Fleet::ready(spec(table.clone())).await;
    for _ in 0..10_000 {
        table.0.tell(Change::Row(key("a")));
    }
    settle().await;
    table.0.put("b", row("1"));
    let began = Instant::now();
    timeout(LONG, fleet.devices.start("b"))
        .await
        .unwrap()
        .unwrap();
    assert!(began.elapsed() < SECOND * 20, "{:?}", began.elapsed());
    let gets = table.0.set(|script| script.gets);
    assert!(gets < 200, "{gets}");
    assert!(matches!(
        fleet.devices.get("a"),
        Err(GetError::NotFound { .. })
    ));
}

#[actix::test]
async fn start_that_is_given_up_while_its_row_is_read_frees_the_key_at_once() {
    tokio::time::pause();
    let table = Slow::default();
    table.0.put("a", row("1"));
    table.0.set(|script| script.hidden.push(key("a")));
    let fleet = Fleet::ready(spec(table.clone())).await;
    let began = Instant::now();
    let started = fleet.devices.start_within("a", SECOND).await;
    assert!(matches!(started, Err(StartKeyError::TimedOut { .. })));
    assert_eq!(began.elapsed().as_secs(), 1);
    assert_eq!(fleet.keys(), [""; 0]);
    // While it is read for somebody else, that one is left alone.
    let devices = fleet.devices.clone();
    let other = actix::spawn(async move { devices.start("a").await.map(drop) });
    settle().await;
    let exists = fleet.devices.start_within("a", SECOND / 1000).await;
    assert!(matches!(exists, Err(StartKeyError::Exists { .. })));
    other.await.unwrap().unwrap();
    assert_eq!(fleet.ask("a").await, ("1", 0));
}

#[actix::test]
async fn times_beyond_all_clocks_are_never() {
    tokio::time::pause();
    let table = Scripted::new([("a", row("1")), ("b", row("1"))]);
    let spec = spec(table.clone())
        .ready_within(std::time::Duration::MAX)
        .table_timeout(std::time::Duration::MAX)
        .rescan_every(std::time::Duration::MAX)
        .start_spacing(std::time::Duration::MAX);
    let fleet = Fleet::start(spec).await;
    sleep(LONG).await;
    assert_eq!(fleet.keys(), ["a"], "one after the other");
    assert_eq!(table.set(|script| script.scans), 1);
    let started = fleet
        .devices
        .start_within("b", std::time::Duration::MAX)
        .await;
    started.unwrap();
    assert!(fleet.root.shutdown().await.unwrap().is_clean());
}

/// A table whose answers come when they are let out, in the order in which they were asked for.
#[derive(Clone, Default)]
struct Gated {
    table: Scripted,
    gates: std::sync::Arc<std::sync::Mutex<Vec<tokio::sync::oneshot::Sender<Option<Row>>>>>,
    closed: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl resurgam::table::Table for Gated {
    type Key = String;
    type Value = Row;
    type Error = std::io::Error;

    async fn get(&self, key: &String) -> std::io::Result<Option<Row>> {
        if !self.closed.load(std::sync::atomic::Ordering::Relaxed) {
            return self.table.get(key).await;
        }
        let (tx, rx) = tokio::sync::oneshot::channel();
        self.gates.lock().unwrap().push(tx);
        rx.await.map_err(std::io::Error::other)
    }

    fn rows(&self) -> impl futures::Stream<Item = resurgam::table::RowResult<Self>> + Send {
        self.table.rows()
    }
}

#[actix::test]
async fn service_that_is_restarted_on_request_while_its_row_was_found_to_be_gone_is_not_forgotten()
{
    tokio::time::pause();
    let table = Gated::default();
    table.table.put("a", row("1"));
    let fleet = Fleet::ready(spec(table.clone())).await;
    table
        .closed
        .store(true, std::sync::atomic::Ordering::Relaxed);
    fleet.end("a", End::Fail).await;
    settle().await;
    let supervisor = fleet.devices.supervisor().clone();
    let restart = actix::spawn(async move { supervisor.restart("a").await });
    settle().await;
    let mut gates = std::mem::take(&mut *table.gates.lock().unwrap());
    assert_eq!(gates.len(), 2, "the end, and the start on request");
    let last = gates.pop().unwrap();
    // The first look has found nothing; nobody waits for that any longer. The second one fails.
    gates.pop().unwrap().send(None).unwrap();
    settle().await;
    drop(last);
    restart.await.unwrap().unwrap();
    table
        .closed
        .store(false, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(fleet.ask("a").await.0, "1");
    // Still of the table: a row that changes is followed, and one that is gone.
    table.table.put("a", row("2"));
    sleep(SECOND * 61).await;
    assert_eq!(fleet.ask("a").await.0, "2");
    table.table.delete("a");
    sleep(SECOND * 61).await;
    assert_eq!(fleet.keys(), [""; 0]);
}
