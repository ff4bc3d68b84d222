//! Keyed supervisors among others, and in each phase of theirs.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use actix::Arbiter;
use futures::future::LocalBoxFuture;
use resurgam::{
    EventKind, Events, Placement, RestartLimit, ServiceSpec, ServiceState, Strategy,
    SupervisorActor, SupervisorSpec,
    keyed::{GetError, KeyedRef, KeyedSpec, RescanError, StartKeyError, StopKeyError},
};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::support::*;

/// What goes on in a keyed supervisor when something befalls it.
#[derive(Clone, Copy, Debug)]
enum Phase {
    FirstScan,
    Starting,
    Reading,
    Stopping,
    Vanishing,
    Restarting,
    Spacing,
}

const PHASES: [Phase; 7] = [
    Phase::FirstScan,
    Phase::Starting,
    Phase::Reading,
    Phase::Stopping,
    Phase::Vanishing,
    Phase::Restarting,
    Phase::Spacing,
];

/// What befalls it.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Restarted,
    ParentRestarted,
    StoppedAndStarted,
    Removed,
    ShutDown,
}

const FATES: [Fate; 5] = [
    Fate::Restarted,
    Fate::ParentRestarted,
    Fate::StoppedAndStarted,
    Fate::Removed,
    Fate::ShutDown,
];

/// Leads a supervisor into a phase. Returns what waits there.
async fn lead_to(
    phase: Phase,
    devices: &KeyedRef<String, Device>,
    table: &Slow,
) -> Vec<JoinHandle<()>> {
    let mut waits = Vec::new();
    let mut wait = |future: LocalBoxFuture<'static, ()>| waits.push(actix::spawn(future));
    let asked = devices.clone();
    match phase {
        Phase::FirstScan => wait(Box::pin(async move { drop(asked.rescan().await) })),
        Phase::Spacing => sleep(SECOND * 2).await,
        Phase::Starting | Phase::Reading => {
            let slow = Row {
                warms_up: SECOND * 3,
                ..row("1")
            };
            table.0.put("new", slow);
            table.0.set(|script| script.hidden.push(key("new")));
            wait(Box::pin(async move { drop(asked.start("new").await) }));
            let asked = devices.clone();
            wait(Box::pin(async move {
                drop(asked.start_within("new", SECOND * 60).await);
            }));
            let reads = matches!(phase, Phase::Reading);
            sleep(SECOND * if reads { 1 } else { 5 }).await;
        }
        Phase::Stopping => {
            for _ in 0..2 {
                let asked = asked.clone();
                wait(Box::pin(async move { drop(asked.stop("1").await) }));
            }
            sleep(SECOND).await;
        }
        Phase::Vanishing => {
            table.0.delete("1");
            wait(Box::pin(async move { drop(asked.rescan().await) }));
            sleep(SECOND).await;
        }
        Phase::Restarting => {
            asked.get("1").unwrap().do_send(End::Fail);
            sleep(SECOND / 2).await;
        }
    }
    waits
}

async fn befalls(phase: Phase, fate: Fate) {
    let case = format!("{phase:?} {fate:?}");
    let table = Slow::default();
    for number in 0..5 {
        let slow = Row {
            winds_down: SECOND * 2,
            ..row("1")
        };
        table.0.put(&number.to_string(), slow);
    }
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let events = root.events_with_capacity(1 << 16);
    let mut middle = SupervisorActor::with_defaults("middle");
    let mut spec = spec(table.clone());
    if matches!(phase, Phase::Spacing) {
        spec = spec.start_spacing(SECOND);
    }
    if matches!(phase, Phase::FirstScan) {
        table.0.set(|script| script.broken = Some(Broken::Hangs));
    }
    let devices = middle.add_keyed(spec).unwrap();
    assert!(matches!(
        devices.start("0").await,
        Err(StartKeyError::NotRunning)
    ));
    let middle = root.add(ServiceSpec::supervisor(middle)).await.unwrap();
    let middle: resurgam::SupervisorRef = middle.try_into().unwrap();
    settle().await;
    let waits = lead_to(phase, &devices, &table).await;
    let befallen = async {
        match fate {
            Fate::Restarted => middle.restart("devices").await.unwrap(),
            Fate::ParentRestarted => root.restart("middle").await.unwrap(),
            Fate::StoppedAndStarted => {
                middle.stop("devices").await.unwrap();
                assert!(matches!(
                    devices.start("0").await,
                    Err(StartKeyError::NotRunning)
                ));
                assert_eq!(devices.rescan().await, Err(RescanError::NotRunning));
                middle.restart("devices").await.unwrap();
            }
            Fate::Removed => drop(middle.remove("devices").await.unwrap()),
            Fate::ShutDown => assert!(root.shutdown().await.unwrap().is_clean(), "{case}"),
        }
    };
    timeout(SECOND * 60, befallen).await.expect(&case);
    for wait in waits {
        timeout(SECOND * 120, wait).await.expect(&case).unwrap();
    }
    table.0.set(|script| {
        script.broken = None;
        script.hidden.clear();
    });
    sleep(SECOND * 150).await;
    let ended = matches!(fate, Fate::Removed | Fate::ShutDown);
    let mut keys = devices.keys();
    keys.sort();
    if ended {
        assert_eq!(keys, [""; 0], "{case}");
        assert!(matches!(
            devices.start("0").await,
            Err(StartKeyError::NotRunning)
        ));
        assert!(matches!(
            devices.stop("0").await,
            Err(StopKeyError::NotFound { .. })
        ));
        assert!(matches!(devices.get("0"), Err(GetError::NotFound { .. })));
    } else {
        let there: Vec<String> = table.0.set(|script| script.rows.keys().cloned().collect());
        assert_eq!(keys, there, "{case}");
        for key in &keys {
            assert!(devices.get(key).is_ok(), "{case}: {key}");
        }
    }
    if !matches!(fate, Fate::ShutDown) {
        assert!(root.shutdown().await.unwrap().is_clean(), "{case}");
    }
    let there = told(events, &case).await;
    if !ended {
        assert_eq!(Vec::from_iter(there), keys, "{case}");
    }
}

/// The keys that have services, says what was told: each is added once before it is removed once.
async fn told(mut events: Events, case: &str) -> BTreeSet<String> {
    let mut there = BTreeSet::new();
    while let Some(event) = events.next().await {
        if let Some(name) = event.path().strip_prefix("root/middle/devices/") {
            let as_expected = match event.kind() {
                EventKind::ServiceAdded => there.insert(name.to_owned()),
                EventKind::ServiceRemoved { .. } => there.remove(name),
                _ => true,
            };
            assert!(as_expected, "{case}: {} {}", event.path(), event.kind());
        }
    }
    there
}

#[actix::test]
async fn whatever_befalls_a_supervisor_in_whichever_phase_all_are_answered_and_it_follows_on() {
    tokio::time::pause();
    for phase in PHASES {
        for fate in FATES {
            befalls(phase, fate).await;
        }
    }
}

#[actix::test]
async fn group_restart_reads_each_row_and_passes_over_those_that_are_gone() {
    tokio::time::pause();
    for strategy in [Strategy::OneForAll, Strategy::RestForOne] {
        let table = Scripted::new(["a", "b", "c"].map(|key| (key, row("1"))));
        let spec = spec(table.clone()).supervisor(SupervisorSpec::default().strategy(strategy));
        let fleet = Fleet::ready(spec).await;
        // One that ends for good because its row is gone is no failure.
        table.delete("a");
        fleet.end("a", End::Fail).await;
        sleep(SECOND).await;
        assert_eq!(fleet.ask("b").await, ("1", 0), "{strategy:?}");
        table.put("b", row("2"));
        table.delete("c");
        table.put("d", row("1"));
        fleet.end("b", End::Fail).await;
        sleep(SECOND).await;
        assert_eq!(fleet.keys(), ["b"], "{strategy:?}");
        assert_eq!(fleet.ask("b").await, ("2", 1), "{strategy:?}");
        sleep(SECOND * 61).await;
        assert_eq!(fleet.keys(), ["b", "d"], "{strategy:?}");
        assert!(fleet.root.shutdown().await.unwrap().is_clean());
    }
}

#[actix::test]
async fn rows_may_be_supervisors_and_have_threads_of_their_own() {
    let table = memory([("a", row("1")), ("b", row("1"))]);
    let make = |key: &String, row: &Row| {
        let mut supervisor = SupervisorActor::with_defaults("pair");
        let _pump = supervisor.add(device(key, row).placement(Placement::Dedicated));
        ServiceSpec::supervisor(supervisor)
    };
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let mut events = root.events_with_capacity(1 << 12);
    let pairs = root
        .add_keyed(KeyedSpec::new("pairs", table.clone(), make))
        .await
        .unwrap();
    for (text, key) in [("1", "a"), ("2", "a"), ("3", "a")] {
        table.insert(&crate::support::key(key), &row(text)).await;
        pairs.rescan().await.unwrap();
        let asked = async {
            loop {
                let Ok(pair) = pairs.when_ready(key).await else {
                    tokio::task::yield_now().await;
                    continue;
                };
                let pair: resurgam::SupervisorRef = pair.try_into().unwrap();
                let Ok(device) = pair.when_ready::<Device>("device").await else {
                    tokio::task::yield_now().await;
                    continue;
                };
                if let Ok((found, _)) = device.send(Ask).await
                    && found == text
                {
                    assert_eq!(device.path(), format!("root/pairs/{key}/device"));
                    let found = root.lookup::<Device>(device.path()).await.unwrap();
                    assert_eq!(found, device, "{text}");
                    break;
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(SECOND * 10, asked).await.expect(text);
    }
    pairs.stop("b").await.unwrap();
    assert!(root.shutdown().await.unwrap().is_clean());
    // What is below one that was replaced is gone with it.
    let (mut started, mut removed) = (0, 0);
    while let Some(event) = events.next().await {
        if event.path() == "root/pairs/a/device" {
            started += usize::from(matches!(event.kind(), EventKind::ServiceStarted));
            removed += usize::from(matches!(event.kind(), EventKind::ServiceRemoved { .. }));
        }
    }
    assert_eq!((started, removed), (3, 2));
}

#[actix::test]
async fn service_of_a_row_obeys_its_supervisor_by_name() {
    tokio::time::pause();
    let table = Scripted::new([("a", row("1")), ("b", row("1"))]);
    let fleet = Fleet::ready(spec(table.clone())).await;
    let supervisor = fleet.devices.supervisor().clone();
    supervisor.stop("a").await.unwrap();
    table.put("a", row("2"));
    sleep(SECOND * 130).await;
    assert!(matches!(
        fleet.devices.get("a"),
        Err(GetError::NotReady { .. })
    ));
    assert!(matches!(
        fleet.devices.start("a").await,
        Err(StartKeyError::Exists { .. })
    ));
    supervisor.restart("a").await.unwrap();
    assert_eq!(fleet.ask("a").await.0, "2");
    supervisor.remove("a").await.unwrap();
    assert_eq!(fleet.keys(), ["b"]);
    sleep(SECOND * 61).await;
    assert_eq!(fleet.ask("a").await, ("2", 0));
    supervisor.stop("a").await.unwrap();
    table.delete("a");
    fleet.devices.rescan().await.unwrap();
    settle().await;
    assert_eq!(fleet.keys(), ["b"]);
}

#[actix::test]
async fn room_that_is_made_is_filled_by_the_next_scan() {
    tokio::time::pause();
    let table = Scripted::new([("a", row("1")), ("b", row("1")), ("c", row("1"))]);
    let mut fleet = Fleet::start(spec(table.clone()).max_services(1)).await;
    sleep(SECOND * 200).await;
    assert_eq!(fleet.keys(), ["a"]);
    let story = fleet.story().await;
    let told = story.iter().filter(|line| line.contains("rejected"));
    assert_eq!(told.count(), 2, "once each: {story:#?}");
    assert!(matches!(
        fleet.devices.start("b").await,
        Err(StartKeyError::Full { .. })
    ));
    table.delete("a");
    sleep(SECOND * 130).await;
    assert_eq!(fleet.keys(), ["b"]);
    assert_eq!(fleet.ask("b").await, ("1", 0));
    let story = fleet.story().await;
    let told = story.iter().filter(|line| line.contains("rejected"));
    assert_eq!(told.count(), 0, "{story:#?}");
}

#[actix::test]
async fn reference_of_a_service_is_good_before_during_and_after() {
    tokio::time::pause();
    let table = memory([("a", row("1"))]);
    let (service, devices) = spec(table).into_service();
    let before = devices.clone();
    assert_eq!(before.path(), "devices");
    assert!(before.keys().is_empty());
    assert!(matches!(
        before.start("a").await,
        Err(StartKeyError::NotRunning)
    ));
    assert!(before.when_ready("a").await.is_err());
    assert!(before.supervisor().shutdown().await.is_err());
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    root.add(service).await.unwrap();
    settle().await;
    assert_eq!(before.path(), "root/devices");
    assert!(before.get("a").is_ok());
    assert!(before.when_ready("a").await.is_ok());
    root.remove("devices").await.unwrap();
    assert!(matches!(before.get("a"), Err(GetError::NotFound { .. })));
    assert!(
        timeout(LONG, before.when_ready("a"))
            .await
            .unwrap()
            .is_err()
    );
    root.shutdown().await.unwrap();
    // One that was never added, and is dropped.
    let (service, devices) = spec(memory([])).into_service();
    drop(service);
    assert!(matches!(
        devices.start("a").await,
        Err(StartKeyError::NotRunning)
    ));
}

#[actix::test]
async fn service_that_was_lost_with_its_arbiter_is_made_anew_once_its_row_has_changed() {
    let arbiter = Arbiter::new();
    let place = Arc::new(Mutex::new(arbiter.handle()));
    let table = memory([("a", row("1")), ("b", row("1"))]);
    let places = Arc::clone(&place);
    let make = move |key: &String, row: &Row| {
        let place = places.lock().unwrap().clone();
        device(key, row).placement(Placement::Arbiter(place))
    };
    let mut fleet = Fleet::ready(KeyedSpec::new("devices", table.clone(), make)).await;
    let before = [fleet.ask("a").await, fleet.ask("b").await];
    assert_eq!(before, [("1", 0), ("1", 0)]);
    let another = Arbiter::new();
    *place.lock().unwrap() = another.handle();
    arbiter.stop();
    arbiter.join().unwrap();
    let devices = fleet.devices.clone();
    let lost = |key| match devices.get(key) {
        Err(GetError::NotReady { state, .. }) => state == ServiceState::Failed,
        _ => false,
    };
    while !(lost("a") && lost("b")) {
        sleep(SECOND / 100).await;
    }
    // Its row says nothing else than before.
    timeout(LONG, devices.rescan()).await.unwrap().unwrap();
    assert!(lost("a"));
    table.insert(&key("a"), &row("2")).await;
    let anew = fleet.until("root/devices/a", |kind| {
        matches!(kind, EventKind::ServiceAdded)
    });
    timeout(SECOND * 30, anew).await.expect("it is made anew");
    assert_eq!(fleet.ask("a").await, ("2", 0));
    assert!(lost("b"));
    assert!(fleet.root.shutdown().await.unwrap().is_clean());
    another.stop();
    another.join().unwrap();
}

#[actix::test]
async fn service_of_a_row_that_has_given_up_gets_another_chance_by_name() {
    tokio::time::pause();
    let broken = Row {
        fails: true,
        ..row("1")
    };
    let table = Scripted::new([("a", broken)]);
    let rules = SupervisorSpec::default()
        .each_service(|each| each.limit(RestartLimit::window(1, SECOND * 60).give_up()));
    let fleet = Fleet::start(spec(table.clone()).supervisor(rules)).await;
    sleep(SECOND * 200).await;
    let gave_up = fleet.devices.get("a");
    assert!(matches!(
        gave_up,
        Err(GetError::NotReady {
            state: ServiceState::Failed,
            ..
        })
    ));
    // Its row is read before it starts again, and says something else by now.
    table.put("a", row("2"));
    let supervisor = fleet.devices.supervisor().clone();
    let reset = timeout(LONG, supervisor.reset("a")).await.unwrap();
    reset.unwrap();
    assert_eq!(fleet.ask("a").await.0, "2");
    // From the root by its path, of one that runs; and of a row that is gone.
    let by_path = timeout(LONG, fleet.root.reset("root/devices/a")).await;
    by_path.unwrap().unwrap();
    assert_eq!(fleet.ask("a").await.0, "2");
    table.delete("a");
    fleet.devices.rescan().await.unwrap();
    settle().await;
    let gone = timeout(LONG, supervisor.reset("a")).await.unwrap();
    gone.unwrap_err();
}
