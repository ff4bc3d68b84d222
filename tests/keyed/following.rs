//! What follows from rows that come, change and go.

use resurgam::{
    EventKind, RestartLimit, Restarting,
    keyed::{OnChanged, OnVanished, RescanError, Revival},
    table::Change,
};
use tokio::time::{Instant, sleep};

use crate::support::*;

#[actix::test]
async fn each_row_has_a_service_of_its_key_and_follows_the_table_at_once() {
    tokio::time::pause();
    let table = memory([("a", row("1")), ("b", row("1"))]);
    let fleet = Fleet::ready(spec(table.clone())).await;
    assert_eq!(fleet.keys(), ["a", "b"]);
    assert_eq!(fleet.ask("a").await, ("1", 0));
    assert_eq!(fleet.devices.path(), "root/devices");

    table.insert(&key("c"), &row("1")).await;
    settle().await;
    assert_eq!(fleet.ask("c").await, ("1", 0));

    table.insert(&key("a"), &row("2")).await;
    settle().await;
    assert_eq!(fleet.ask("a").await, ("2", 1));
    assert_eq!(fleet.ask("b").await, ("1", 0));

    table.remove(&key("b")).await;
    settle().await;
    assert_eq!(fleet.keys(), ["a", "c"]);
}

#[actix::test]
async fn changed_row_keeps_the_address_and_counts_nothing() {
    tokio::time::pause();
    let table = memory([("a", row("1"))]);
    let limited = spec(table.clone()).supervisor(
        resurgam::SupervisorSpec::default()
            .each_service(|each| each.limit(RestartLimit::window(1, SECOND * 60).give_up())),
    );
    let fleet = Fleet::ready(limited).await;
    let before = fleet.devices.get("a").unwrap();
    for text in ["2", "3", "4", "5"] {
        table.insert(&key("a"), &row(text)).await;
        settle().await;
        assert_eq!(before.send(Ask).await.unwrap().0, text);
    }
    // An equal value restarts nothing.
    table.insert(&key("a"), &row("5")).await;
    fleet.devices.rescan().await.unwrap();
    assert_eq!(before.send(Ask).await.unwrap(), ("5", 4));
}

#[actix::test]
async fn changed_row_has_its_service_run_on_where_that_is_wanted() {
    tokio::time::pause();
    let table = memory([("a", row("1"))]);
    let fleet = Fleet::ready(spec(table.clone()).on_changed(OnChanged::Keep)).await;
    table.insert(&key("a"), &row("2")).await;
    settle().await;
    assert_eq!(fleet.ask("a").await, ("1", 0));
    fleet.end("a", End::Panic).await;
    settle().await;
    assert_eq!(fleet.ask("a").await, ("2", 1));
}

#[actix::test]
async fn vanished_row_has_its_service_run_on_where_that_is_wanted() {
    tokio::time::pause();
    let table = memory([("a", row("1"))]);
    let fleet = Fleet::ready(spec(table.clone()).on_vanished(OnVanished::Keep)).await;
    table.remove(&key("a")).await;
    fleet.devices.rescan().await.unwrap();
    assert_eq!(fleet.ask("a").await, ("1", 0));
}

#[actix::test]
async fn table_that_says_nothing_is_read_at_intervals_from_the_end_of_the_last_scan() {
    tokio::time::pause();
    let table = Scripted::new([("a", row("1"))]);
    let fleet = Fleet::ready(spec(table.clone())).await;
    assert_eq!(table.set(|script| script.scans), 1);
    table.put("b", row("1"));
    let began = Instant::now();
    fleet_has(&fleet, &["a", "b"]).await;
    let waited = began.elapsed();
    assert!(waited > SECOND * 59 && waited <= SECOND * 61, "{waited:?}");
    assert_eq!(table.set(|script| script.scans), 2);
}

/// Waits until there are just these keys.
async fn fleet_has(fleet: &Fleet, keys: &[&str]) {
    let began = Instant::now();
    while fleet.keys() != keys {
        assert!(began.elapsed() < LONG, "{:?}", fleet.keys());
        sleep(SECOND / 10).await;
    }
}

#[actix::test]
async fn table_that_says_that_anything_has_changed_is_read_at_once() {
    tokio::time::pause();
    let table = Scripted::new([]);
    let fleet = Fleet::ready(spec(table.clone())).await;
    table.put("a", row("1"));
    table.tell(Change::Any);
    settle().await;
    assert_eq!(fleet.ask("a").await, ("1", 0));
    // A row that is said to have changed is read alone; one that is not there has all rows read before anything is stopped.
    let scans = table.set(|script| script.scans);
    table.put("a", row("2"));
    table.tell(Change::Row(key("a")));
    settle().await;
    assert_eq!(fleet.ask("a").await, ("2", 1));
    assert_eq!(table.set(|script| script.scans), scans);
    table.delete("a");
    table.tell(Change::Row(key("a")));
    settle().await;
    assert_eq!(fleet.keys(), [""; 0]);
    assert_eq!(table.set(|script| script.scans), scans + 1);
}

#[actix::test]
async fn stream_of_changes_that_ends_is_asked_for_again_and_all_rows_are_read() {
    tokio::time::pause();
    let table = Scripted::new([]);
    let fleet = Fleet::ready(spec(table.clone())).await;
    table.hang_up();
    settle().await;
    table.put("a", row("1"));
    sleep(SECOND * 2).await;
    assert_eq!(table.set(|script| script.subscriptions), 2);
    assert_eq!(fleet.ask("a").await, ("1", 0));
}

#[actix::test]
async fn service_that_was_given_up_gets_another_chance_by_a_row_that_changed_or_came_again() {
    tokio::time::pause();
    let table = memory([("a", row("1"))]);
    let supervisor = resurgam::SupervisorSpec::default()
        .each_service(|each| each.limit(RestartLimit::window(0, SECOND * 60).give_up()));
    let mut fleet = Fleet::ready(spec(table.clone()).supervisor(supervisor)).await;
    fleet.end("a", End::Panic).await;
    fleet
        .until("root/devices/a", |kind| {
            matches!(kind, EventKind::ServiceGaveUp { .. })
        })
        .await;
    fleet.devices.rescan().await.unwrap();
    assert!(fleet.devices.get("a").is_err());
    table.insert(&key("a"), &row("2")).await;
    settle().await;
    assert_eq!(fleet.ask("a").await.0, "2");
}

#[actix::test]
async fn service_that_was_stopped_on_request_is_left_down() {
    tokio::time::pause();
    let table = memory([("a", row("1"))]);
    let fleet = Fleet::ready(spec(table.clone())).await;
    fleet.devices.supervisor().stop("a").await.unwrap();
    fleet.devices.rescan().await.unwrap();
    table.insert(&key("a"), &row("2")).await;
    fleet.devices.rescan().await.unwrap();
    assert!(fleet.devices.get("a").is_err());
    fleet.devices.supervisor().restart("a").await.unwrap();
    assert_eq!(fleet.ask("a").await.0, "2");
}

#[actix::test]
async fn service_is_revived_by_policy_or_by_the_next_scan() {
    tokio::time::pause();
    for (revival, restarted) in [(Revival::ByPolicy, true), (Revival::AtNextScan, false)] {
        let table = memory([("a", row("1"))]);
        let mut fleet = Fleet::ready(spec(table.clone()).revival(revival)).await;
        fleet.end("a", End::Fail).await;
        let failed = fleet
            .until("root/devices/a", |kind| {
                matches!(kind, EventKind::ServiceFailed { .. })
            })
            .await;
        let EventKind::ServiceFailed { restarting, .. } = failed.kind() else {
            unreachable!("it was looked for");
        };
        assert_eq!(*restarting != Restarting::No, restarted);
        settle().await;
        assert_eq!(fleet.devices.get("a").is_ok(), restarted);
        sleep(SECOND * 61).await;
        assert!(fleet.devices.get("a").is_ok());
    }
}

#[actix::test]
async fn rows_are_started_one_after_the_other_where_that_is_wanted() {
    tokio::time::pause();
    let table = memory([("a", row("1")), ("b", row("1")), ("c", row("1"))]);
    let spaced = spec(table.clone())
        .start_spacing(SECOND)
        .ready_within(SECOND * 10);
    let mut fleet = Fleet::start(spaced).await;
    let began = Instant::now();
    for (device, after) in [("a", 0), ("b", 1), ("c", 2)] {
        fleet
            .until(&format!("root/devices/{device}"), |kind| {
                matches!(kind, EventKind::ServiceAdded)
            })
            .await;
        assert_eq!(began.elapsed().as_secs(), after);
    }
    fleet
        .until("root/devices", |kind| {
            matches!(kind, EventKind::ServiceReady)
        })
        .await;
    assert_eq!(began.elapsed().as_secs(), 2);
}

#[actix::test]
async fn supervisor_that_is_restarted_keeps_its_services_and_follows_on() {
    tokio::time::pause();
    let table = memory([("a", row("1")), ("b", row("1"))]);
    let fleet = Fleet::ready(spec(table.clone())).await;
    let before = fleet.devices.get("a").unwrap();
    table.insert(&key("a"), &row("2")).await;
    table.remove(&key("b")).await;
    fleet.root.restart("devices").await.unwrap();
    settle().await;
    assert_eq!(before.send(Ask).await.unwrap().0, "2");
    assert_eq!(fleet.keys(), ["a"]);
    assert!(fleet.devices.rescan().await.is_ok());
}

#[actix::test]
async fn key_may_be_started_while_the_first_scan_goes_on() {
    tokio::time::pause();
    let table = Scripted::new([("a", row("1"))]);
    table.set(|script| script.broken = Some(Broken::Hangs));
    let fleet = Fleet::start(spec(table.clone()).ready_within(SECOND * 60)).await;
    settle().await;
    assert_eq!(table.set(|script| script.scans), 1);
    table.set(|script| script.broken = None);
    fleet.devices.start("a").await.unwrap();
    assert_eq!(fleet.ask("a").await, ("1", 0));
    assert_eq!(table.set(|script| script.scans), 1, "it hangs");
}

#[actix::test]
async fn scan_is_over_when_it_has_ended_or_failed_and_when_its_supervisor_has() {
    tokio::time::pause();
    let table = Scripted::new([("a", row("1"))]);
    let fleet = Fleet::ready(spec(table.clone())).await;
    assert_eq!(table.set(|script| script.open), 0);
    for broken in [Broken::Fails, Broken::After(0)] {
        table.set(|script| script.broken = Some(broken));
        let rescanned = fleet.devices.rescan().await;
        assert!(matches!(rescanned, Err(RescanError::Table { .. })));
        assert_eq!(table.set(|script| script.open), 0);
    }
    table.set(|script| script.broken = Some(Broken::Hangs));
    let hangs = fleet.devices.rescan();
    let end = async {
        settle().await;
        assert_eq!(table.set(|script| script.open), 1);
        fleet.root.shutdown().await
    };
    let (rescanned, report) = futures::join!(hangs, end);
    assert_eq!(rescanned, Err(RescanError::NotRunning));
    assert!(report.unwrap().is_clean());
    settle().await;
    assert_eq!(table.set(|script| script.open), 0);
}
