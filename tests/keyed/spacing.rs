//! Rows that must not be started at the same time: whatever has them started.

use resurgam::{EventKind, RestartLimit, SupervisorSpec, keyed::KeyedSpec};
use tokio::time::{Instant, sleep, timeout};

use crate::support::{
    Broken, End, Fleet, LONG, Row, SECOND, Scripted, device, key, memory, row, settle, spec,
};

/// What was started when, in seconds.
async fn starts(fleet: &mut Fleet, began: Instant, seconds: u32) -> Vec<(u64, String)> {
    let mut starts = Vec::new();
    let until = began + SECOND * seconds;
    while let Ok(Some(event)) = tokio::time::timeout_at(until, fleet.events.next()).await {
        if matches!(event.kind(), EventKind::ServiceStarted)
            && let Some(key) = event.path().strip_prefix("root/devices/")
        {
            let after = event.monotonic().duration_since(began.into_std());
            starts.push((after.as_secs(), key.to_owned()));
        }
    }
    starts
}

fn at(starts: &[(u64, String)]) -> Vec<u64> {
    starts.iter().map(|(second, _)| *second).collect()
}

#[actix::test]
async fn rows_that_a_table_shows_after_an_outage_start_one_after_the_other() {
    tokio::time::pause();
    let table = Scripted::new([("a", row("1")), ("b", row("1"))]);
    let spaced = spec(table.clone())
        .start_spacing(SECOND * 2)
        .ready_within(SECOND * 10);
    let mut fleet = Fleet::ready(spaced).await;
    table.set(|script| script.broken = Some(Broken::Fails));
    fleet
        .until("root/devices", |kind| {
            matches!(kind, EventKind::TableUnreachable { .. })
        })
        .await;
    for number in 0..5 {
        table.put(&format!("new {number}"), row("1"));
    }
    table.put("a", row("2"));
    sleep(SECOND * 100).await;
    table.set(|script| script.broken = None);
    fleet
        .until("root/devices", |kind| {
            matches!(kind, EventKind::TableRecovered { .. })
        })
        .await;
    let starts = starts(&mut fleet, Instant::now(), 40).await;
    // The changed one among them: it connects anew, too.
    assert_eq!(at(&starts), [0, 2, 4, 6, 8, 10], "{starts:?}");
    let mut keys: Vec<_> = starts.iter().map(|(_, key)| key.as_str()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["a", "new 0", "new 1", "new 2", "new 3", "new 4"]);
    assert_eq!(fleet.ask("a").await.0, "2");
}

#[actix::test]
async fn rows_that_are_added_one_by_one_start_at_once_unless_one_has_just_started() {
    tokio::time::pause();
    let table = memory([("a", row("1"))]);
    let spaced = spec(table.clone()).start_spacing(SECOND * 10);
    let mut fleet = Fleet::ready(spaced).await;
    sleep(SECOND * 30).await;
    let began = Instant::now();
    let adds = async {
        for (second, added) in [(0, "b"), (5, "c"), (9, "d"), (60, "e")] {
            tokio::time::sleep_until(began + SECOND * second).await;
            table.insert(&key(added), &row("1")).await;
        }
        settle().await;
        // Nobody waits for those that somebody starts by hand.
        table.insert(&key("f"), &row("1")).await;
        fleet.devices.start("f").await.unwrap();
    };
    adds.await;
    let mut told = Vec::new();
    while let Some(Some(event)) = futures::FutureExt::now_or_never(fleet.events.next()) {
        if matches!(event.kind(), EventKind::ServiceStarted) {
            let after = event.monotonic().duration_since(began.into_std());
            told.push((event.path().to_owned(), after.as_secs()));
        }
    }
    told.retain(|(path, _)| path != "root/devices/a");
    let expected = [("b", 0), ("c", 10), ("d", 20), ("e", 60), ("f", 60)];
    let expected = expected.map(|(key, after)| (format!("root/devices/{key}"), after));
    assert_eq!(told, expected);
}

#[actix::test]
async fn rows_that_change_together_restart_one_after_the_other_and_not_those_that_did_meanwhile() {
    tokio::time::pause();
    let rows = [("a", row("1")), ("b", row("1")), ("c", row("1"))];
    let table = Scripted::new(rows);
    let spaced = spec(table.clone())
        .start_spacing(SECOND)
        .ready_within(SECOND * 10);
    let mut fleet = Fleet::ready(spaced).await;
    sleep(SECOND * 10).await;
    for key in ["a", "b", "c"] {
        table.put(key, row("2"));
    }
    fleet.story().await;
    fleet.devices.rescan().await.unwrap();
    let began = Instant::now();
    // It fails before its turn, and has the new value from then on.
    fleet.end("c", End::Fail).await;
    let starts = starts(&mut fleet, began, 10).await;
    assert_eq!(starts.len(), 3, "{starts:?}");
    for key in ["a", "b", "c"] {
        assert_eq!(fleet.ask(key).await, ("2", 1), "{key}");
    }
    let turns: Vec<_> = starts.iter().filter(|(_, key)| key != "c").collect();
    assert_eq!(turns[1].0 - turns[0].0, 1, "{starts:?}");
}

#[actix::test]
async fn rows_of_which_no_service_can_be_made_hold_nobody_up() {
    tokio::time::pause();
    let mut table = Vec::new();
    for number in 0..20 {
        table.push((format!("bad {number:02}"), row("1")));
    }
    table.push((key("good 1"), row("1")));
    table.push((key("good 2"), row("1")));
    let table: resurgam::table::MemoryTable<String, Row> = table.into_iter().collect();
    let make = |key: &String, row: &Row| {
        assert!(!key.starts_with("bad"), "nothing is made of this");
        device(key, row)
    };
    let spaced = KeyedSpec::new("devices", table, make)
        .start_spacing(SECOND * 10)
        .ready_within(LONG);
    let mut fleet = Fleet::start(spaced).await;
    let starts = starts(&mut fleet, Instant::now(), 100).await;
    assert_eq!(at(&starts), [0, 10], "{starts:?}");
}

#[actix::test]
async fn service_that_gets_another_chance_because_its_row_has_changed_starts_at_once() {
    tokio::time::pause();
    let broken = Row {
        fails: true,
        ..row("1")
    };
    let table = memory([("a", broken)]);
    let rules = SupervisorSpec::default()
        .each_service(|each| each.limit(RestartLimit::window(1, SECOND * 60).give_up()));
    let fleet = Fleet::start(spec(table.clone()).supervisor(rules)).await;
    sleep(SECOND * 30).await;
    table.insert(&key("a"), &row("2")).await;
    settle().await;
    assert!(fleet.devices.get("a").is_ok());
}

#[actix::test]
async fn services_that_get_another_chance_get_it_one_after_the_other_over_a_restart_of_all_too() {
    tokio::time::pause();
    let broken = Row {
        fails: true,
        ..row("1")
    };
    let keys = ["a", "b", "c"];
    for restarted in [false, true] {
        let table = Scripted::new(keys.map(|key| (key, broken.clone())));
        let rules = SupervisorSpec::default()
            .each_service(|each| each.limit(RestartLimit::window(1, SECOND * 60).give_up()));
        let spaced = spec(table.clone())
            .supervisor(rules)
            .start_spacing(SECOND * 5);
        let mut fleet = Fleet::start(spaced).await;
        sleep(SECOND * 100).await;
        for key in keys {
            table.put(key, row("2"));
        }
        fleet.story().await;
        fleet.devices.rescan().await.unwrap();
        let began = Instant::now();
        if restarted {
            settle().await;
            timeout(LONG, fleet.root.restart("devices"))
                .await
                .unwrap()
                .unwrap();
        }
        let starts = starts(&mut fleet, began, 100).await;
        // With the supervisor those are started again that run.
        let expected: &[u64] = if restarted {
            &[0, 0, 0, 5]
        } else {
            &[0, 5, 10]
        };
        assert_eq!(at(&starts), expected, "{starts:?}");
        for key in keys {
            assert_eq!(fleet.ask(key).await.0, "2");
        }
    }
}
