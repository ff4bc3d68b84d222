//! How many restarts are too many, and what counts as one.

use resurgam::{
    EventKind, ExitReason, JoinError, RestartLimit, RestartType, ServiceRef, Strategy,
    SupervisorActor, SupervisorRef, SupervisorSpec,
};
use tokio::time;

use crate::support::{
    Begin, End, Fault, Generation, Journal, Log, Probe, Script, at_most, ended, generations, idle,
    journal, probe, root_with, secs, until, with_probes,
};

const STRATEGIES: [Strategy; 3] = [
    Strategy::OneForOne,
    Strategy::OneForAll,
    Strategy::RestForOne,
];

const HOUR: time::Duration = secs(3600);

#[actix::test]
async fn crashes_that_are_further_apart_than_the_window_go_on_for_ever() {
    time::pause();
    let (journal, _log) = journal();
    let root = root_with(at_most(1, secs(1))).await;
    let child = root.add_and_wait(probe("child", &journal)).await.unwrap();
    for generation in 1..=50 {
        time::sleep(time::Duration::from_millis(2_100)).await;
        child.do_send(End::Panicking);
        assert_eq!(child.send(Generation).await, Ok(generation));
    }
    assert!(root.shutdown().await.unwrap().is_clean());
}

#[actix::test]
async fn third_crash_within_a_window_of_two_ends_the_supervisor_under_every_strategy() {
    time::pause();
    let (journal, mut log) = journal();
    for strategy in STRATEGIES {
        let spec = at_most(2, HOUR).strategy(strategy);
        let (root, probes) = with_probes(spec, &["a", "b", "c"], &journal).await;
        for crashed in [&probes[0], &probes[2]] {
            crashed.do_send(End::Panicking);
            crashed.send(Generation).await.unwrap();
            generations([&probes[0], &probes[1], &probes[2]]).await;
        }
        probes[1].do_send(End::Panicking);
        let error = ended(&root).await.unwrap_err();
        assert!(matches!(error, JoinError::Escalated { .. }), "{error:?}");
        for probe in &probes {
            assert!(probe.send(Generation).await.is_err(), "{strategy}");
        }
        let lines = log.take();
        let count = |word: &str| lines.iter().filter(|line| line.starts_with(word)).count();
        assert_eq!(count("make"), count("drop"), "{strategy}: nothing is left");
    }
}

/// A sibling before, one that works once and never again, and a sibling behind.
async fn works_once(
    spec: SupervisorSpec,
    journal: &Journal,
) -> (SupervisorRef, [ServiceRef<Probe>; 3]) {
    let mut root = SupervisorActor::new("root", spec);
    let before = root.add(probe("before", journal)).unwrap();
    let begins = |generation| match generation {
        0 => Begin::Works,
        _ => Begin::Panics,
    };
    let bad = Script::new("bad", journal).begins(begins);
    let bad = root.add(bad.spec()).unwrap();
    let behind = root.add(probe("behind", journal)).unwrap();
    (root.start().await.unwrap(), [before, bad, behind])
}

fn made(log: &mut Log, name: &str) -> usize {
    let lines = log.take();
    let line = format!("make {name}");
    lines.iter().filter(|made| **made == line).count()
}

#[actix::test]
async fn service_that_never_starts_again_takes_its_supervisor_and_siblings_down() {
    time::pause();
    let (journal, mut log) = journal();
    for strategy in STRATEGIES {
        let spec = at_most(4, HOUR).strategy(strategy);
        let (root, [before, bad, behind]) = works_once(spec, &journal).await;
        bad.do_send(End::Panicking);
        let error = ended(&root).await.unwrap_err();
        assert!(matches!(error, JoinError::Escalated { .. }), "{error:?}");
        assert_eq!(made(&mut log, "bad"), 1 + 4, "{strategy}");
        assert!(before.send(Generation).await.is_err());
        assert!(behind.send(Generation).await.is_err());
    }
}

#[actix::test]
async fn group_restart_counts_once_however_many_are_restarted() {
    time::pause();
    let (journal, _log) = journal();
    for strategy in STRATEGIES {
        let names = ["a", "b", "c", "d", "e"];
        let spec = at_most(10, HOUR).strategy(strategy);
        let (root, probes) = with_probes(spec, &names, &journal).await;
        for count in [1.0, 2.0] {
            probes[0].do_send(End::Panicking);
            probes[0].send(Generation).await.unwrap();
            idle().await;
            assert_eq!(root.counts().await.unwrap().ready, 5);
            let counted = root.report().await.unwrap().failure_count();
            assert!((counted - count).abs() < f64::EPSILON, "{strategy}");
        }
        root.shutdown().await.unwrap();
    }
}

#[actix::test]
async fn limit_of_none_ends_the_supervisor_with_the_first_crash_and_without_an_attempt() {
    time::pause();
    let (journal, mut log) = journal();
    for strategy in STRATEGIES {
        let spec = at_most(0, HOUR).strategy(strategy);
        let (root, probes) = with_probes(spec, &["a", "b"], &journal).await;
        log.take();
        probes[0].do_send(End::Panicking);
        assert!(ended(&root).await.is_err());
        assert!(log.take_only("make").is_empty(), "{strategy}");
    }
}

#[actix::test]
async fn ends_that_need_no_restart_and_restarts_by_hand_do_not_count() {
    time::pause();
    let (journal, _log) = journal();
    let root = root_with(at_most(0, HOUR)).await;
    for end in [End::Normally, End::Failing, End::Panicking] {
        let spec = probe("temporary", &journal).restart(RestartType::Temporary);
        root.add_and_wait(spec).await.unwrap().do_send(end);
        idle().await;
    }
    let spec = probe("transient", &journal).restart(RestartType::Transient);
    let transient = root.add_and_wait(spec).await.unwrap();
    transient.do_send(End::Normally);
    let child = root.add_and_wait(probe("child", &journal)).await.unwrap();
    for _ in 0..3 {
        root.restart(child.token()).await.unwrap();
        root.stop(child.token()).await.unwrap();
        root.restart(child.token()).await.unwrap();
    }
    assert_eq!(child.send(Generation).await, Ok(6));
    let counted = root.report().await.unwrap().failure_count();
    assert!(counted.abs() < f64::EPSILON);
}

#[actix::test]
async fn supervisor_that_gives_up_says_which_service_failed_last_and_why() {
    time::pause();
    let (journal, _log) = journal();
    let root = root_with(at_most(0, HOUR)).await;
    let mut events = root.events();
    let child = root.add_and_wait(probe("child", &journal)).await.unwrap();
    child.do_send(End::Failing);
    let JoinError::Escalated { path, reason, .. } = ended(&root).await.unwrap_err() else {
        panic!("not escalated");
    };
    assert_eq!(&*path, "root");
    let ExitReason::Escalated { path, cause, .. } = &reason else {
        panic!("{reason:?}");
    };
    assert_eq!(&**path, "root/child");
    assert_eq!(cause.to_string(), "failed: failed on purpose");
    let seen = until(&mut events, |event| {
        matches!(event.kind(), EventKind::SupervisorEscalated { .. })
    })
    .await;
    // First the failure, then the limit, then the end.
    let at = |fits: fn(&EventKind) -> bool| seen.iter().position(|event| fits(event.kind()));
    let failed = at(|kind| matches!(kind, EventKind::ServiceFailed { .. })).unwrap();
    let exceeded = at(|kind| matches!(kind, EventKind::LimitExceeded { .. })).unwrap();
    assert!(failed < exceeded);
}

#[actix::test]
async fn added_service_whose_restart_fails_once_is_back_within_a_limit_of_two() {
    time::pause();
    let (journal, _log) = journal();
    let root = root_with(at_most(2, HOUR)).await;
    let begins = |generation| match generation {
        1 => Begin::Fails,
        _ => Begin::Works,
    };
    let spec = Script::new("child", &journal).begins(begins).spec();
    let child = root.add_and_wait(spec).await.unwrap();
    child.do_send(End::Panicking);
    assert_eq!(child.send(Generation).await, Ok(2));
    assert!(root.shutdown().await.unwrap().is_clean());
}

#[actix::test]
async fn added_service_whose_restart_always_fails_uses_up_the_limit_exactly() {
    time::pause();
    let (journal, mut log) = journal();
    for max in [1, 10] {
        let root = root_with(at_most(max, HOUR)).await;
        let fault = Fault::default();
        let faulty = fault.clone();
        let script = Script::new("child", &journal);
        let spec = script.begins(move |_| faulty.begin()).spec();
        let child = root.add_and_wait(spec).await.unwrap();
        fault.set();
        child.do_send(End::Panicking);
        assert!(ended(&root).await.is_err());
        assert_eq!(made(&mut log, "child"), 1 + max as usize);
    }
}

#[actix::test]
async fn window_slides_with_the_time_and_does_not_begin_anew() {
    time::pause();
    let (journal, _log) = journal();
    let spec = SupervisorSpec::default().limit(RestartLimit::window(2, secs(10)).escalate());
    let root = root_with(spec).await;
    let child = root.add_and_wait(probe("child", &journal)).await.unwrap();
    // At 0 and 9, then at 11: the first has left the window, so two are in it. Another at 12 is the third since 9.
    for wait in [0, 9, 2] {
        time::sleep(secs(wait)).await;
        child.do_send(End::Panicking);
        child.send(Generation).await.unwrap();
    }
    time::sleep(secs(1)).await;
    child.do_send(End::Panicking);
    assert!(ended(&root).await.is_err());
}
