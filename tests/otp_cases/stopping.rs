//! How services are stopped, with all that they may do meanwhile.

use actix::Arbiter;
use resurgam::{
    EventKind, ExitReason, KillCause, Placement, RestartType, ServiceRef, ServiceSpec, Shutdown,
    Strategy, SupervisorActor, SupervisorRef, Verdict,
};
use tokio::time;

use crate::support::{
    Begin, End, Generation, Journal, Probe, Script, WhenAsked, ended, idle, journal, lines, ms,
    probe, root, secs, shut_down, stops, unlimited, until, with_probes,
};

const KILLED: ExitReason = ExitReason::Killed(KillCause::StopTimeout);
const BRUTALLY: ExitReason = ExitReason::Killed(KillCause::Requested);

fn asked(
    name: &str,
    journal: &Journal,
    when_asked: WhenAsked,
    shutdown: Shutdown,
) -> ServiceSpec<Probe> {
    let script = Script::new(name, journal).when_asked(when_asked);
    script.spec().shutdown(shutdown)
}

#[actix::test]
async fn worker_and_supervisor_with_unlimited_time_end_as_asked_when_the_root_stops() {
    time::pause();
    let (journal, _log) = journal();
    let root = root().await;
    let slow = WhenAsked::Takes(secs(7200));
    root.add_and_wait(asked("worker", &journal, slow, Shutdown::Infinity))
        .await
        .unwrap();
    let mut tier = SupervisorActor::new("tier", unlimited());
    tier.add(asked("inner", &journal, slow, Shutdown::Infinity))
        .unwrap();
    root.add_and_wait(ServiceSpec::supervisor(tier))
        .await
        .unwrap();
    let start = time::Instant::now();
    let events = shut_down(&root).await;
    assert_eq!(start.elapsed().as_secs(), 7200);
    let mut ends = stops(&events);
    ends.sort_by_key(|(path, _)| *path);
    assert_eq!(
        ends,
        [
            ("root/tier", &ExitReason::Shutdown),
            ("root/tier/inner", &ExitReason::Shutdown),
            ("root/worker", &ExitReason::Shutdown),
        ],
        "{}",
        lines(&events)
    );
}

/// Shuts a root down with one service that goes on working and one that obeys.
async fn busy_and_cooperative(root: SupervisorRef) {
    let mut events = root.events();
    let start = time::Instant::now();
    let report = root.shutdown().await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 1);
    assert_eq!(report.failures(), [("root/busy".into(), KILLED)]);
    assert!(report.unstopped().is_empty(), "it is gone");
    let seen = until(&mut events, |event| {
        matches!(event.kind(), EventKind::SupervisorStopped { .. })
    })
    .await;
    let mut ends = stops(&seen);
    ends.sort_by_key(|(path, _)| *path);
    assert_eq!(
        ends,
        [
            ("root/busy", &KILLED),
            ("root/cooperative", &ExitReason::Shutdown)
        ]
    );
    assert!(seen.iter().any(
        |event| matches!(event.kind(), EventKind::StopTimedOut { after, .. } if *after == secs(1))
    ));
}

#[actix::test]
async fn busy_service_is_killed_after_its_second_and_its_sibling_ends_as_asked() {
    time::pause();
    let (journal, mut log) = journal();
    let mut root = SupervisorActor::new("root", unlimited());
    let one = Shutdown::Timeout(secs(1));
    root.add(asked("cooperative", &journal, WhenAsked::Obeys, one))
        .unwrap();
    root.add(asked("busy", &journal, WhenAsked::Ignores, one))
        .unwrap();
    busy_and_cooperative(root.start().await.unwrap()).await;
    let lines = log.take();
    assert!(lines.contains(&"drop busy".to_owned()), "{lines:?}");
    assert!(!lines.contains(&"stop busy".to_owned()), "{lines:?}");
}

#[actix::test]
async fn busy_service_that_was_added_later_is_killed_likewise() {
    time::pause();
    let (journal, _log) = journal();
    let root = root().await;
    let one = Shutdown::Timeout(secs(1));
    for (name, when_asked) in [
        ("cooperative", WhenAsked::Obeys),
        ("busy", WhenAsked::Ignores),
    ] {
        root.add_and_wait(asked(name, &journal, when_asked, one))
            .await
            .unwrap();
    }
    busy_and_cooperative(root).await;
}

#[actix::test]
async fn brutally_killed_service_is_not_asked_and_its_siblings_are() {
    time::pause();
    let (journal, mut log) = journal();
    let mut root = SupervisorActor::new("root", unlimited());
    let brutal = probe("brutal", &journal).shutdown(Shutdown::BrutalKill);
    root.add(probe("first", &journal)).unwrap();
    root.add(brutal).unwrap();
    root.add(probe("last", &journal)).unwrap();
    let root = root.start().await.unwrap();
    log.take();
    let events = shut_down(&root).await;
    assert_eq!(
        stops(&events),
        [
            ("root/last", &ExitReason::Shutdown),
            ("root/brutal", &BRUTALLY),
            ("root/first", &ExitReason::Shutdown),
        ]
    );
    assert_eq!(
        log.take(),
        [
            "stopping last",
            "stop last",
            "drop last",
            "drop brutal",
            "stopping first",
            "stop first",
            "drop first",
        ]
    );
}

#[actix::test]
async fn ten_brutally_killed_services_that_were_added_later_all_end_killed() {
    time::pause();
    let (journal, mut log) = journal();
    let root = root().await;
    for name in 0..10 {
        let spec = probe(&name.to_string(), &journal).shutdown(Shutdown::BrutalKill);
        root.add_and_wait(spec).await.unwrap();
    }
    log.take();
    let events = shut_down(&root).await;
    let ends = stops(&events);
    assert_eq!(ends.len(), 10);
    assert!(ends.iter().all(|(_, reason)| **reason == BRUTALLY));
    assert_eq!(log.take_only("drop").len(), 10);
    assert!(log.take_only("stop").is_empty());
    assert!(ended(&root).await.is_ok());
}

const TYPES: [RestartType; 3] = [
    RestartType::Permanent,
    RestartType::Transient,
    RestartType::Temporary,
];

#[actix::test]
async fn services_that_end_by_themselves_while_the_root_stops_keep_their_reasons() {
    time::pause();
    let (journal, mut log) = journal();
    // Under rest for one nobody is asked before those that were started later have ended.
    let mut root = SupervisorActor::new("root", unlimited().strategy(Strategy::RestForOne));
    root.add(probe("first", &journal)).unwrap();
    let ends = [
        End::Normally,
        End::Failing,
        End::Panicking,
        End::With(Verdict::DoNotRestart),
    ];
    let mut racers = Vec::new();
    for restart in TYPES {
        for end in ends {
            let spec = probe(&format!("{restart}-{}", racers.len()), &journal);
            racers.push((root.add(spec.restart(restart)).unwrap(), end));
        }
    }
    let slow = WhenAsked::Takes(secs(5));
    root.add(asked("last", &journal, slow, Shutdown::Infinity))
        .unwrap();
    let root = root.start().await.unwrap();
    log.take();
    let mut events = root.events();
    let stopping = actix::spawn({
        let root = root.clone();
        async move { root.shutdown().await.unwrap() }
    });
    idle().await;
    for (racer, end) in &racers {
        racer.do_send(*end);
    }
    let report = stopping.await.unwrap();
    assert_eq!(report.failures().len(), 6, "{report}");

    let seen = until(&mut events, |event| {
        matches!(event.kind(), EventKind::SupervisorStopped { .. })
    })
    .await;
    for (racer, end) in &racers {
        let fits = |kind: &EventKind| match end {
            End::Normally | End::With(_) => {
                matches!(kind, EventKind::ServiceStopped { reason, .. } if *reason == ExitReason::Normal)
            }
            End::Failing => matches!(kind, EventKind::ServiceFailed { .. }),
            End::Panicking => matches!(kind, EventKind::ServicePanicked { .. }),
        };
        let told = |event: &&resurgam::Event| event.path() == racer.path() && fits(event.kind());
        assert_eq!(seen.iter().filter(told).count(), 1, "{}", lines(&seen));
    }
    let written = log.take();
    assert!(!written.iter().any(|line| line.starts_with("make")));
    assert_eq!(written.last().unwrap(), "drop first");
    let last_end = stops(&seen).pop().unwrap();
    assert_eq!(last_end, ("root/first", &ExitReason::Shutdown));
}

#[actix::test]
async fn services_that_answer_the_stop_with_a_failure_do_not_disturb_it() {
    time::pause();
    let (journal, mut log) = journal();
    let root = root().await;
    for restart in TYPES {
        for (name, when_asked) in [
            ("obeys", WhenAsked::Obeys),
            ("fails", WhenAsked::Fails),
            ("panics", WhenAsked::Panics),
        ] {
            let script = Script::new(&format!("{restart}-{name}"), &journal);
            let spec = script.when_asked(when_asked).spec().restart(restart);
            root.add_and_wait(spec).await.unwrap();
        }
    }
    log.take();
    let report = root.shutdown().await.unwrap();
    assert_eq!(report.failures().len(), 6, "{report}");
    assert!(ended(&root).await.is_ok());
    assert!(log.take_only("make").is_empty());
}

#[actix::test]
async fn stop_by_hand_treats_brutal_cooperative_and_hung_services_each_in_its_way() {
    time::pause();
    let (journal, _log) = journal();
    let root = root().await;
    let grace = Shutdown::Timeout(ms(500));
    let specs = [
        asked("brutal", &journal, WhenAsked::Obeys, Shutdown::BrutalKill),
        asked("cooperative", &journal, WhenAsked::Obeys, grace),
        asked("hung", &journal, WhenAsked::Ignores, grace),
    ];
    for spec in specs {
        root.add_and_wait(spec).await.unwrap();
    }
    let events = shut_down(&root).await;
    let mut ends = stops(&events);
    ends.sort_by_key(|(path, _)| *path);
    assert_eq!(
        ends,
        [
            ("root/brutal", &BRUTALLY),
            ("root/cooperative", &ExitReason::Shutdown),
            ("root/hung", &KILLED),
        ]
    );
    assert!(ended(&root).await.is_ok());
}

#[actix::test]
async fn stop_goes_on_when_its_caller_has_given_up_waiting() {
    time::pause();
    let (journal, _log) = journal();
    let root = root().await;
    let slow = WhenAsked::Takes(secs(1));
    root.add_and_wait(asked("slow", &journal, slow, Shutdown::Timeout(secs(5))))
        .await
        .unwrap();
    let mut events = root.events();
    let start = time::Instant::now();
    assert!(time::timeout(ms(100), root.shutdown()).await.is_err());
    assert!(ended(&root).await.is_ok());
    assert_eq!(start.elapsed().as_secs(), 1);
    let seen = until(&mut events, |event| {
        matches!(event.kind(), EventKind::SupervisorStopped { .. })
    })
    .await;
    assert_eq!(stops(&seen), [("root/slow", &ExitReason::Shutdown)]);
    assert!(root.shutdown().await.unwrap().is_clean());
}

#[actix::test]
async fn services_end_in_the_exact_reverse_of_their_start_order() {
    time::pause();
    let (journal, mut log) = journal();
    for strategy in [
        Strategy::OneForOne,
        Strategy::OneForAll,
        Strategy::RestForOne,
    ] {
        let names = ["m", "z", "a"];
        let (root, _probes) = with_probes(unlimited().strategy(strategy), &names, &journal).await;
        root.add_and_wait(probe("k", &journal)).await.unwrap();
        log.take();
        root.shutdown().await.unwrap();
        assert_eq!(
            log.take_only("drop"),
            ["drop k", "drop a", "drop z", "drop m"],
            "{strategy}"
        );
    }
}

#[actix::test]
async fn services_that_do_not_depend_on_each_other_stop_at_the_same_time() {
    time::pause();
    let (journal, _log) = journal();
    let root = root().await;
    for (name, seconds) in [("a", 1), ("b", 1), ("c", 5)] {
        let slow = WhenAsked::Takes(secs(seconds));
        root.add_and_wait(asked(name, &journal, slow, Shutdown::Timeout(secs(2))))
            .await
            .unwrap();
    }
    let start = time::Instant::now();
    let report = root.shutdown().await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 2);
    assert_eq!(report.failures(), [("root/c".into(), KILLED)]);
}

#[actix::test]
async fn each_service_has_its_own_time_to_stop() {
    time::pause();
    let (journal, _log) = journal();
    let root = root().await;
    let patient = WhenAsked::Takes(secs(4));
    let specs = [
        asked(
            "one",
            &journal,
            WhenAsked::Ignores,
            Shutdown::Timeout(secs(1)),
        ),
        asked(
            "two",
            &journal,
            WhenAsked::Ignores,
            Shutdown::Timeout(secs(2)),
        ),
        asked("infinite", &journal, patient, Shutdown::Infinity),
        asked("brutal", &journal, WhenAsked::Ignores, Shutdown::BrutalKill),
    ];
    for spec in specs {
        root.add_and_wait(spec).await.unwrap();
    }
    let start = time::Instant::now();
    let mut events = root.events();
    root.shutdown().await.unwrap();
    let mut seen = Vec::new();
    while let Some(event) = events.next().await {
        if let EventKind::ServiceStopped { reason, .. } = event.kind() {
            let after = event.monotonic().duration_since(start.into_std()).as_secs();
            seen.push((event.path().to_owned(), reason.clone(), after));
        }
    }
    assert_eq!(
        seen,
        [
            ("root/brutal".to_owned(), BRUTALLY, 0),
            ("root/one".to_owned(), KILLED, 1),
            ("root/two".to_owned(), KILLED, 2),
            ("root/infinite".to_owned(), ExitReason::Shutdown, 4),
        ]
    );
}

#[actix::test]
async fn service_with_a_millisecond_to_stop_is_killed_and_its_siblings_end_as_asked() {
    time::pause();
    let (journal, _log) = journal();
    let root = root().await;
    let specs = [
        probe("a", &journal),
        asked(
            "hung",
            &journal,
            WhenAsked::Ignores,
            Shutdown::Timeout(ms(1)),
        ),
        probe("b", &journal),
    ];
    for spec in specs {
        root.add_and_wait(spec).await.unwrap();
    }
    let events = shut_down(&root).await;
    let mut ends = stops(&events);
    ends.sort_by_key(|(path, _)| *path);
    assert_eq!(
        ends,
        [
            ("root/a", &ExitReason::Shutdown),
            ("root/b", &ExitReason::Shutdown),
            ("root/hung", &KILLED),
        ]
    );
}

#[actix::test]
async fn permanent_service_that_ends_by_itself_during_the_stop_is_not_restarted() {
    time::pause();
    let (journal, mut log) = journal();
    let root = root().await;
    let slow = asked(
        "child",
        &journal,
        WhenAsked::Takes(secs(1)),
        Shutdown::Infinity,
    );
    let child = root.add_and_wait(slow).await.unwrap();
    let stopping = root.clone();
    let stopping = actix::spawn(async move { stopping.shutdown().await.unwrap() });
    idle().await;
    child.do_send(End::Normally);
    assert!(stopping.await.unwrap().is_clean());
    assert_eq!(log.take_only("make").len(), 1);
}

#[actix::test]
async fn shutdown_ends_an_endless_loop_of_failing_starts() {
    time::pause();
    let (journal, mut log) = journal();
    let root = root().await;
    let script = Script::new("child", &journal);
    let begins = |generation| match generation {
        0 => Begin::Works,
        _ => Begin::Fails,
    };
    let child = root
        .add_and_wait(script.begins(begins).spec())
        .await
        .unwrap();
    child.do_send(End::Failing);
    let mut events = root.events_with_capacity(100_000);
    until(&mut events, |event| event.generation() == 50).await;
    root.shutdown().await.unwrap();
    log.take();
    idle().await;
    assert!(log.take().is_empty());
}

#[actix::test]
async fn service_whose_arbiter_has_gone_can_be_removed_and_its_supervisor_serves_on() {
    let (journal, _log) = journal();
    let root = root().await;
    let arbiter = Arbiter::new();
    let spec = probe("child", &journal).placement(Placement::Arbiter(arbiter.handle()));
    let child: ServiceRef<Probe> = root.add_and_wait(spec).await.unwrap();
    let mut events = root.events();
    arbiter.stop();
    arbiter.join().unwrap();
    until(&mut events, |event| {
        matches!(event.kind(), EventKind::ServiceFailed { .. })
    })
    .await;
    let reason = root.remove(child.token()).await.unwrap();
    assert_eq!(reason, ExitReason::Killed(KillCause::ArbiterStopped));
    let next = root.add_and_wait(probe("child", &journal)).await.unwrap();
    assert_eq!(next.send(Generation).await, Ok(0));
    assert!(root.shutdown().await.unwrap().is_clean());
}
