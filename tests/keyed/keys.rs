//! What is asked about a key.

use futures::future::join_all;
use resurgam::{
    ExitReason, LookupError, ServiceState, SupervisorActor,
    keyed::{GetError, KeyedRef, RescanError, StartKeyError, StopKeyError},
};
use tokio::time::{Instant, sleep, timeout};

use crate::support::*;

fn slow(warms_up: u32, winds_down: u32) -> Row {
    Row {
        warms_up: SECOND * warms_up,
        winds_down: SECOND * winds_down,
        ..row("slow")
    }
}

/// A supervisor without rows, whose table tells nothing: the rows that are put there are seen by nobody who does not ask.
async fn quiet() -> (Scripted, Fleet) {
    let table = Scripted::new([]);
    let fleet = Fleet::ready(spec(table.clone())).await;
    (table, fleet)
}

#[actix::test]
async fn key_is_started_with_its_row_and_ready_when_that_returns() {
    tokio::time::pause();
    let (table, fleet) = quiet().await;
    table.put("a", slow(2, 0));
    let began = Instant::now();
    let started = fleet.devices.start("a").await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 2);
    assert_eq!(started.path(), "root/devices/a");
    assert_eq!(fleet.devices.get("a").unwrap(), started);
    assert_eq!(fleet.keys(), ["a"]);
    // The next scan finds it there.
    fleet.devices.rescan().await.unwrap();
    assert_eq!(fleet.ask("a").await, ("slow", 0));
}

#[actix::test]
async fn of_many_who_start_a_key_one_wins() {
    tokio::time::pause();
    let (table, fleet) = quiet().await;
    table.put("a", slow(1, 0));
    let all = join_all((0..20).map(|_| fleet.devices.start("a"))).await;
    assert_eq!(all.iter().filter(|started| started.is_ok()).count(), 1);
    let exists = |started: &&Result<_, _>| matches!(started, Err(StartKeyError::Exists { .. }));
    assert_eq!(all.iter().filter(exists).count(), 19);
    assert!(matches!(
        fleet.devices.start("a").await,
        Err(StartKeyError::Exists { .. })
    ));
}

#[actix::test]
async fn start_that_fails_frees_the_key() {
    tokio::time::pause();
    let (table, fleet) = quiet().await;
    assert!(matches!(
        fleet.devices.start("a").await,
        Err(StartKeyError::NoRow { .. })
    ));
    table.put(
        "a",
        Row {
            fails: true,
            ..row("")
        },
    );
    let error = fleet.devices.start("a").await.unwrap_err();
    assert!(error.to_string().contains("a does not work"), "{error}");
    assert!(matches!(error, StartKeyError::Start(_)));
    assert_eq!(fleet.keys(), [""; 0]);
    table.set(|script| script.bad.push(key("a")));
    let error = fleet.devices.start("a").await.unwrap_err();
    assert!(matches!(error, StartKeyError::Table { .. }), "{error}");
    assert!(error.to_string().contains("disk on fire"), "{error}");
    assert!(matches!(
        fleet.devices.start("").await,
        Err(StartKeyError::BadKey(_))
    ));
    table.set(|script| script.bad.clear());
    table.put("a", row("1"));
    fleet.devices.start("a").await.unwrap();
}

#[actix::test]
async fn start_that_fails_is_tried_once_more_by_the_next_scan() {
    tokio::time::pause();
    let (table, fleet) = quiet().await;
    table.put(
        "a",
        Row {
            fails: true,
            ..row("")
        },
    );
    fleet.devices.start("a").await.unwrap_err();
    table.put("a", row("1"));
    sleep(SECOND * 61).await;
    assert_eq!(fleet.ask("a").await, ("1", 0));
}

#[actix::test]
async fn key_is_known_while_it_starts_and_while_it_is_down() {
    tokio::time::pause();
    let (table, fleet) = quiet().await;
    assert!(matches!(
        fleet.devices.get("a"),
        Err(GetError::NotFound { .. })
    ));
    table.put("a", slow(5, 0));
    let devices = fleet.devices.clone();
    let start = actix::spawn(async move { devices.start("a").await.map(drop) });
    settle().await;
    let Err(GetError::NotReady { service, state, .. }) = fleet.devices.get("a") else {
        panic!("it is starting");
    };
    assert_eq!(
        (service.path(), state),
        ("root/devices/a", ServiceState::Starting)
    );
    assert_eq!(fleet.keys(), ["a"]);
    start.await.unwrap().unwrap();
    fleet.devices.supervisor().stop("a").await.unwrap();
    assert!(matches!(
        fleet.devices.get("a"),
        Err(GetError::NotReady {
            state: ServiceState::Stopped,
            ..
        })
    ));
}

#[actix::test]
async fn all_who_stop_a_key_get_the_same_answer_and_it_is_taken_until_then() {
    tokio::time::pause();
    let (table, fleet) = quiet().await;
    table.put("a", slow(0, 3));
    fleet.devices.start("a").await.unwrap();
    let began = Instant::now();
    let stops = join_all((0..3).map(|_| fleet.devices.stop("a")));
    let start = async {
        settle().await;
        fleet.devices.start("a").await
    };
    let (stopped, started) = futures::join!(stops, start);
    assert_eq!(began.elapsed().as_secs(), 3);
    for stopped in stopped {
        assert_eq!(stopped, Ok(ExitReason::Shutdown));
    }
    assert!(matches!(started, Err(StartKeyError::Exists { .. })));
    assert!(matches!(
        fleet.devices.stop("a").await,
        Err(StopKeyError::NotFound { .. })
    ));
    // Its row is still there.
    fleet.devices.rescan().await.unwrap();
    assert_eq!(fleet.ask("a").await, ("slow", 0));
}

#[actix::test]
async fn key_that_is_stopped_while_it_starts_is_not_started() {
    tokio::time::pause();
    let (table, fleet) = quiet().await;
    table.put("a", slow(60, 0));
    let stop = async {
        settle().await;
        fleet.devices.stop("a").await
    };
    let (started, stopped) = futures::join!(fleet.devices.start("a"), stop);
    assert!(
        matches!(started, Err(StartKeyError::Stopped { .. })),
        "{started:?}"
    );
    assert!(stopped.is_ok());
    // Also while its row is being read.
    table.set(|script| script.broken = Some(Broken::Hangs));
    let stop = async {
        settle().await;
        assert_eq!(fleet.keys(), ["b"]);
        fleet.devices.stop("b").await
    };
    let (started, stopped) = futures::join!(fleet.devices.start("b"), stop);
    assert!(
        matches!(started, Err(StartKeyError::Stopped { .. })),
        "{started:?}"
    );
    assert_eq!(stopped, Ok(ExitReason::Shutdown));
    assert_eq!(fleet.keys(), [""; 0]);
}

#[actix::test]
async fn start_with_a_limit_stops_what_was_not_ready_in_time_and_one_that_is_dropped_does_not() {
    tokio::time::pause();
    let (table, fleet) = quiet().await;
    table.put("a", slow(60, 2));
    let began = Instant::now();
    let started = fleet.devices.start_within("a", SECOND * 5).await;
    assert!(
        matches!(started, Err(StartKeyError::TimedOut { .. })),
        "{started:?}"
    );
    assert_eq!(began.elapsed().as_secs(), 7, "it was waited for");
    assert_eq!(fleet.keys(), [""; 0]);

    let dropped = timeout(SECOND * 5, fleet.devices.start("a")).await;
    assert!(dropped.is_err());
    assert_eq!(fleet.keys(), ["a"]);
    sleep(SECOND * 60).await;
    assert!(fleet.devices.get("a").is_ok());
}

async fn assert_refuses(devices: &KeyedRef<String, Device>) {
    assert!(matches!(
        devices.start("a").await,
        Err(StartKeyError::NotRunning)
    ));
    assert!(matches!(
        devices.stop("a").await,
        Err(StopKeyError::NotFound { .. })
    ));
    assert_eq!(devices.rescan().await, Err(RescanError::NotRunning));
    assert!(devices.keys().is_empty());
    assert!(devices.get("a").is_err());
    assert!(matches!(
        devices.when_ready("a").await,
        Err(LookupError::SupervisorGone)
    ));
}

#[actix::test]
async fn supervisor_that_does_not_run_refuses() {
    tokio::time::pause();
    let table = memory([("a", row("1"))]);
    let mut root = SupervisorActor::with_defaults("root");
    let devices = root.add_keyed(spec(table)).unwrap();
    assert_refuses(&devices).await;
    assert_eq!(devices.path(), "devices");
    let root = root.start().await.unwrap();
    assert_eq!(devices.path(), "root/devices");
    assert_eq!(devices.keys(), ["a"]);
    root.shutdown().await.unwrap();
    assert_refuses(&devices).await;
}

#[actix::test]
async fn shutdown_does_not_wait_for_a_start_or_for_the_table() {
    tokio::time::pause();
    let (table, fleet) = quiet().await;
    table.put("a", slow(10_000, 0));
    table.put("b", row("1"));
    table.set(|script| script.broken = None);
    let first = fleet.devices.start("a");
    let end = async {
        settle().await;
        table.set(|script| script.broken = Some(Broken::Hangs));
        let second = fleet.devices.start("b");
        let end = async {
            settle().await;
            fleet.root.shutdown().await
        };
        futures::join!(second, end)
    };
    let began = Instant::now();
    let (first, (second, report)) = futures::join!(first, end);
    assert!(began.elapsed() < SECOND, "{:?}", began.elapsed());
    assert!(report.unwrap().is_clean());
    assert!(
        matches!(
            first,
            Err(StartKeyError::Stopped { .. } | StartKeyError::NotRunning)
        ),
        "{first:?}"
    );
    assert!(
        matches!(second, Err(StartKeyError::NotRunning)),
        "{second:?}"
    );
}

#[actix::test]
async fn start_whose_row_does_not_come_in_time_fails_and_frees_the_key() {
    tokio::time::pause();
    let (table, fleet) = quiet().await;
    table.put("a", row("1"));
    table.set(|script| script.broken = Some(Broken::Hangs));
    let began = Instant::now();
    let started = timeout(SECOND * 20, fleet.devices.start("a")).await;
    assert!(
        matches!(started, Ok(Err(StartKeyError::Table { .. }))),
        "{started:?}"
    );
    assert_eq!(began.elapsed().as_secs(), 10);
    assert!(fleet.devices.keys().is_empty());
    table.set(|script| script.broken = None);
    assert!(fleet.devices.start("a").await.is_ok());
}

#[actix::test]
async fn who_asks_while_the_supervisor_shuts_down_is_refused_at_once() {
    tokio::time::pause();
    let (table, fleet) = quiet().await;
    table.put("a", slow(0, 4));
    table.put("b", row("1"));
    fleet.devices.start("a").await.unwrap();
    let began = Instant::now();
    let asks = async {
        sleep(SECOND).await;
        let started = fleet.devices.start("b").await;
        assert!(matches!(started, Err(StartKeyError::NotRunning)));
        assert_eq!(fleet.devices.rescan().await, Err(RescanError::NotRunning));
        assert_eq!(began.elapsed().as_secs(), 1);
    };
    let (report, ()) = futures::join!(fleet.root.shutdown(), asks);
    assert!(report.unwrap().is_clean());
    assert_eq!(began.elapsed().as_secs(), 4);
}

#[actix::test]
async fn service_that_deletes_its_row_and_returns_has_ended_for_good_and_is_not_counted() {
    tokio::time::pause();
    let table = Scripted::new([("a", row("1"))]);
    let mut fleet = Fleet::ready(spec(table.clone())).await;
    fleet.story().await;
    table.delete("a");
    fleet.end("a", End::Finish).await;
    assert_eq!(
        fleet.story().await,
        [
            " row `a` vanished",
            "/a completed; not restarting (count 0.00)",
            "/a removed: normal",
        ]
    );
    assert_eq!(fleet.keys(), [""; 0]);
    sleep(SECOND * 200).await;
    assert_eq!(fleet.story().await, [""; 0]);
}
