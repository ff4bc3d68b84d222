//! A table that is wrong stops nothing.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures::{Stream, stream};
use resurgam::{
    EventKind, ServiceSpec, SupervisorRef, TaskContext,
    table::{RowResult, Table},
};
use tokio::time::{Instant, sleep};

use crate::support::*;

fn is_ready(kind: &EventKind) -> bool {
    matches!(kind, EventKind::ServiceReady)
}

async fn running(supervisor: &SupervisorRef) -> usize {
    supervisor.counts().await.unwrap().ready
}

#[actix::test]
async fn table_that_cannot_be_read_is_told_once_and_what_runs_runs_on() {
    tokio::time::pause();
    for broken in [
        Broken::Fails,
        Broken::Hangs,
        Broken::Panics,
        Broken::After(1),
    ] {
        let table = Scripted::new([("a", row("1")), ("b", row("1"))]);
        let mut fleet = Fleet::ready(spec(table.clone())).await;
        table.set(|script| script.broken = Some(broken));
        sleep(SECOND * 300).await;
        assert!(table.set(|script| script.scans) > 4, "{broken:?}");
        assert_eq!(running(fleet.devices.supervisor()).await, 2, "{broken:?}");
        let report = fleet.devices.supervisor().report().await.unwrap();
        let unreachable = report.table_unreachable().unwrap();
        assert!(unreachable > SECOND * 200, "{broken:?}: {unreachable:?}");
        assert!(report.to_string().contains("table unreachable for "));
        table.put("c", row("1"));
        table.set(|script| script.broken = None);
        sleep(SECOND * 70).await;
        assert_eq!(fleet.keys(), ["a", "b", "c"], "{broken:?}");
        let report = fleet.devices.supervisor().report().await.unwrap();
        assert_eq!(report.table_unreachable(), None);
        let story = fleet.story().await;
        let told: Vec<_> = story.iter().filter(|line| line.contains("table")).collect();
        assert_eq!(told.len(), 2, "{broken:?}: {story:#?}");
        assert!(told[0].starts_with(" table unreachable: "), "{told:?}");
        assert!(
            told[1].starts_with(" table reachable again after "),
            "{told:?}"
        );
    }
}

#[actix::test]
async fn supervisor_is_ready_within_its_time_whatever_the_table_does() {
    tokio::time::pause();
    for (broken, seconds) in [(Broken::Fails, 0), (Broken::Panics, 0), (Broken::Hangs, 1)] {
        let table = Scripted::new([("a", row("1"))]);
        table.set(|script| script.broken = Some(broken));
        let mut fleet = Fleet::start(spec(table)).await;
        let began = Instant::now();
        fleet.until("root/devices", is_ready).await;
        assert_eq!(began.elapsed().as_secs(), seconds, "{broken:?}");
    }
    // An empty table is nothing to wait for, and of slow rows the slowest is waited for, or a second.
    for (rows, millis) in [(vec![], 0), (vec![200, 700], 700), (vec![200, 5000], 1000)] {
        let table = Scripted::new([]);
        for (number, warms_up) in rows.iter().enumerate() {
            let warms_up = SECOND / 1000 * *warms_up;
            table.put(
                &number.to_string(),
                Row {
                    warms_up,
                    ..row("")
                },
            );
        }
        let mut fleet = Fleet::start(spec(table)).await;
        let began = Instant::now();
        fleet.until("root/devices", is_ready).await;
        let waited = began.elapsed().as_millis();
        assert!(waited.abs_diff(millis) < 10, "{rows:?}: {waited}");
    }
}

#[actix::test]
async fn row_that_cannot_be_read_is_told_and_stops_nothing() {
    tokio::time::pause();
    let table = Scripted::new([("a", row("1")), ("b", row("1")), ("c", row("1"))]);
    let mut fleet = Fleet::ready(spec(table.clone())).await;
    fleet.story().await;
    table.set(|script| script.bad.push(key("a")));
    sleep(SECOND * 200).await;
    assert_eq!(fleet.keys(), ["a", "b", "c"]);
    let story = fleet.story().await;
    assert_eq!(story, [" row `a` rejected: disk on fire"], "once");
    // One without a key may be any: no row has vanished.
    table.set(|script| script.unknown = 1);
    table.delete("b");
    sleep(SECOND * 200).await;
    assert_eq!(fleet.keys(), ["a", "b", "c"]);
    table.set(|script| script.unknown = 0);
    sleep(SECOND * 61).await;
    assert_eq!(fleet.keys(), ["a", "c"]);
    assert!(
        fleet
            .story()
            .await
            .contains(&" row `b` vanished".to_owned())
    );
}

#[actix::test]
async fn row_that_a_scan_does_not_show_and_that_is_there_has_not_vanished() {
    tokio::time::pause();
    let table = Scripted::new([("a", row("1")), ("b", row("1"))]);
    let fleet = Fleet::ready(spec(table.clone())).await;
    table.set(|script| script.hidden.push(key("b")));
    let gets = table.set(|script| script.gets);
    sleep(SECOND * 61).await;
    assert_eq!(fleet.keys(), ["a", "b"]);
    assert_eq!(table.set(|script| script.gets), gets + 1);
}

#[actix::test]
async fn empty_table_stops_the_fleet_only_if_it_says_so_twice_or_somebody_asks() {
    tokio::time::pause();
    for asked in [false, true] {
        let table = Scripted::new([]);
        for number in 0..30 {
            table.put(&format!("{number:02}"), row("1"));
        }
        let mut fleet = Fleet::ready(spec(table.clone())).await;
        fleet.story().await;
        table.set(|script| script.rows.clear());
        if asked {
            fleet.devices.rescan().await.unwrap();
        } else {
            sleep(SECOND * 61).await;
            assert_eq!(running(fleet.devices.supervisor()).await, 30);
            let story = fleet.story().await;
            assert_eq!(story.len(), 1, "{story:?}");
            let told = " 30 of 30 rows are missing";
            assert!(story[0].starts_with(told), "{story:?}");
            sleep(SECOND * 61).await;
        }
        assert_eq!(running(fleet.devices.supervisor()).await, 0, "{asked}");
    }
}

#[actix::test]
async fn as_many_other_rows_that_are_missing_are_not_the_same_ones_again() {
    tokio::time::pause();
    let table = Scripted::new([]);
    let put = |numbers: std::ops::Range<u32>| {
        for number in numbers {
            table.put(&format!("{number:02}"), row("1"));
        }
    };
    let delete = |numbers: std::ops::Range<u32>| {
        for number in numbers {
            table.delete(&format!("{number:02}"));
        }
    };
    put(0..40);
    let mut fleet = Fleet::ready(spec(table.clone())).await;
    fleet.story().await;
    // 21 of 40 are more than half; then as many, of which only two are the same.
    delete(0..21);
    sleep(SECOND * 61).await;
    put(0..21);
    delete(19..40);
    sleep(SECOND * 61).await;
    let story = fleet.story().await;
    assert_eq!(story.len(), 2, "{story:?}");
    assert!(
        story
            .iter()
            .all(|told| told.starts_with(" 21 of 40 rows are missing")),
        "{story:?}"
    );
    assert_eq!(running(fleet.devices.supervisor()).await, 40);
    sleep(SECOND * 61).await;
    assert_eq!(running(fleet.devices.supervisor()).await, 19);
}

#[actix::test]
async fn keys_are_percent_encoded_and_those_that_make_no_name_are_told_once() {
    tokio::time::pause();
    let table = Scripted::new([("", row("1")), ("a/b", row("1")), ("100%", row("1"))]);
    let mut fleet = Fleet::start(spec(table.clone())).await;
    let told = fleet.until("root/devices", |kind| {
        matches!(kind, EventKind::RowRejected { .. })
    });
    assert!(told.await.kind().to_string().contains("row rejected: "));
    fleet.until("root/devices", is_ready).await;
    assert_eq!(fleet.keys(), ["100%", "a/b"]);
    for (key, path) in [
        ("a/b", "root/devices/a%2Fb"),
        ("100%", "root/devices/100%25"),
    ] {
        assert_eq!(fleet.devices.get(key).unwrap().path(), path);
    }
    sleep(SECOND * 200).await;
    let story = fleet.story().await;
    let again = story.iter().any(|line| line.contains("rejected"));
    assert!(!again, "{story:?}");
}

#[actix::test]
async fn name_that_a_service_has_which_is_not_of_the_table_is_taken() {
    tokio::time::pause();
    let table = Scripted::new([]);
    let mut fleet = Fleet::ready(spec(table.clone())).await;
    let supervisor = fleet.devices.supervisor().clone();
    let other = ServiceSpec::task("a", |cx: TaskContext| async move { cx.shutdown().await });
    let other = supervisor.add(other).await.unwrap();
    table.put("a", row("1"));
    fleet.devices.rescan().await.unwrap();
    let told = fleet.until("root/devices", |kind| {
        matches!(kind, EventKind::RowRejected { .. })
    });
    assert!(
        told.await
            .kind()
            .to_string()
            .contains("another service has the name `a`")
    );
    assert!(other.connected());
    assert_eq!(fleet.keys(), [""; 0]);
    // Free again.
    supervisor.remove("a").await.unwrap();
    fleet.devices.rescan().await.unwrap();
    assert_eq!(fleet.ask("a").await, ("1", 0));
}

#[actix::test]
async fn one_bad_row_pauses_only_itself() {
    tokio::time::pause();
    let table = Scripted::new([
        (
            "bad",
            Row {
                fails: true,
                ..row("")
            },
        ),
        ("good", row("1")),
    ]);
    let fleet = Fleet::ready(spec(table)).await;
    sleep(SECOND * 5).await;
    let began = Instant::now();
    fleet.end("good", End::Panic).await;
    settle().await;
    assert_eq!(fleet.ask("good").await, ("1", 1));
    assert_eq!(began.elapsed().as_secs(), 0, "at once");
}

/// A table whose scans show one key many times, with other values than it says when it is asked.
#[derive(Clone, Default)]
struct Stuttering(Arc<AtomicUsize>);

impl Table for Stuttering {
    type Key = String;
    type Value = Row;
    type Error = io::Error;

    async fn get(&self, _: &String) -> io::Result<Option<Row>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Some(row("1")))
    }

    fn rows(&self) -> impl Stream<Item = RowResult<Self>> + Send {
        let values = ["1", "2", "3"].into_iter().cycle().take(100_000);
        stream::iter(values.map(|value| Ok((key("a"), row(value)))))
    }
}

#[actix::test]
async fn row_that_scans_show_many_times_has_one_service_that_goes_on() {
    tokio::time::pause();
    let table = Stuttering::default();
    let fleet = Fleet::ready(spec(table.clone())).await;
    fleet.devices.rescan().await.unwrap();
    settle().await;
    let (value, generation) = fleet.ask("a").await;
    assert_eq!(value, "1");
    table.0.store(0, Ordering::Relaxed);
    for _ in 0..3 {
        fleet.devices.rescan().await.unwrap();
        settle().await;
        assert_eq!(fleet.ask("a").await, ("1", generation));
    }
    // Not once for each time that it was shown: at most as often as rows are handed over.
    let looks = table.0.load(Ordering::Relaxed);
    assert!(looks <= 3 * (100_000 / 64 + 2), "{looks}");
    assert!(fleet.root.shutdown().await.unwrap().is_clean());
}
