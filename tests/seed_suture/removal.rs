//! Removing services: hung ones, foreign ones, ones that are gone, and callers who do not wait for the answer.

use std::time::Duration;

use resurgam::{
    EventKind, ExitReason, KillCause, RemoveError, ServiceRef, SupervisorRef, SupervisorSpec,
};
use tokio::time;

use super::support::{
    Act, Generation, Log, Probe, Recorder, Start, Stop, patiently, planned, probe, root, settle,
};

/// A root with a service that never stops by itself.
async fn with_deaf(log: &Log) -> (SupervisorRef, ServiceRef<Probe>) {
    let root = root(SupervisorSpec::default()).await;
    let deaf = planned("deaf", log, |_| (Start::Go, Stop::Never));
    let deaf = root.add_and_wait(deaf).await.unwrap();
    (root, deaf)
}

#[actix::test]
async fn token_of_another_supervisor_is_refused_and_nothing_is_removed() {
    time::pause();
    let log = Log::default();
    let one = root(SupervisorSpec::default()).await;
    let two = root(SupervisorSpec::default()).await;
    let service = one.add_and_wait(probe("a", &log)).await.unwrap();
    two.add_and_wait(probe("a", &log)).await.unwrap();
    let token = service.token();
    assert_eq!(
        two.remove(token).await,
        Err(RemoveError::wrong_supervisor(token))
    );
    assert_eq!(service.send(Generation).await, Ok(0));
    assert_eq!(two.services().await.unwrap().len(), 1);
}

#[actix::test]
async fn removal_is_answered_when_the_service_has_ended() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let slow = planned("a", &log, |_| {
        (Start::Go, Stop::Late(Duration::from_secs(3)))
    });
    let slow = root.add_and_wait(slow).await.unwrap();
    let began = time::Instant::now();
    assert_eq!(root.remove(slow.token()).await, Ok(ExitReason::Shutdown));
    assert_eq!(began.elapsed().as_secs(), 3);
    assert_eq!(log.alive("a"), 0);
}

#[actix::test]
async fn removing_a_hung_service_holds_up_nobody_and_ends_with_its_timeout() {
    time::pause();
    let log = Log::default();
    let (root, deaf) = with_deaf(&log).await;
    let mut events = Recorder::new(&root);
    let removing = actix::spawn({
        let (root, token) = (root.clone(), deaf.token());
        async move { root.remove(token).await }
    });
    settle().await;
    let began = time::Instant::now();
    let other = root.add_and_wait(probe("other", &log)).await.unwrap();
    root.remove(other.token()).await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
    let event = events
        .until(|kind| matches!(kind, EventKind::StopTimedOut { .. }))
        .await;
    assert_eq!(event.path(), "root/deaf");
    assert_eq!(
        patiently(removing).await.unwrap(),
        Ok(ExitReason::Killed(KillCause::StopTimeout))
    );
}

#[actix::test]
async fn caller_may_stop_waiting_and_the_removal_goes_on() {
    time::pause();
    let log = Log::default();
    let (root, deaf) = with_deaf(&log).await;
    let short = Duration::from_secs(1);
    let answer = time::timeout(short, root.remove(deaf.token())).await;
    assert!(answer.is_err());
    assert_eq!(log.alive("deaf"), 1);
    // Whoever asks later waits for the same end.
    assert_eq!(
        root.remove(deaf.token()).await,
        Ok(ExitReason::Killed(KillCause::StopTimeout))
    );
    assert_eq!(log.alive("deaf"), 0);
}

#[actix::test]
async fn callers_who_left_neither_block_the_supervisor_nor_stay_behind() {
    time::pause();
    let log = Log::default();
    let (root, deaf) = with_deaf(&log).await;
    let gone = root.add_and_wait(probe("gone", &log)).await.unwrap();
    root.remove(gone.token()).await.unwrap();
    for _ in 0..100 {
        for token in [gone.token(), deaf.token()] {
            let _answered_or_not = time::timeout(Duration::ZERO, root.remove(token)).await;
        }
    }
    let began = time::Instant::now();
    let other = patiently(root.add_and_wait(probe("other", &log))).await;
    assert_eq!(other.unwrap().send(Generation).await, Ok(0));
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert!(patiently(root.remove(deaf.token())).await.is_ok());
    let report = patiently(root.shutdown()).await.unwrap();
    assert!(report.is_clean(), "{report}");
}

#[actix::test]
async fn everybody_who_removes_one_service_gets_the_same_answer() {
    time::pause();
    let log = Log::default();
    let (root, deaf) = with_deaf(&log).await;
    let token = deaf.token();
    let (one, two, three) =
        tokio::join!(root.remove(token), root.remove(token), root.remove(token));
    assert_eq!(one, Ok(ExitReason::Killed(KillCause::StopTimeout)));
    assert_eq!((&one, &one), (&two, &three));
}

#[actix::test]
async fn panic_of_a_service_that_is_being_removed_is_not_counted() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let mut events = Recorder::new(&root);
    for _ in 0..10 {
        let panicking = planned("a", &log, |_| (Start::Go, Stop::Panic));
        let panicking = root.add_and_wait(panicking).await.unwrap();
        let reason = root.remove(panicking.token()).await.unwrap();
        assert!(matches!(reason, ExitReason::Panicked { .. }), "{reason}");
    }
    let count = root.report().await.unwrap().failure_count();
    assert!(count.abs() < 1e-9, "{count}");
    let lines = events.take();
    assert!(!lines.contains(&"root PauseStarted".to_owned()));
    // Told, all the same.
    assert!(lines.contains(&"root/a ServicePanicked".to_owned()));
}

#[actix::test]
async fn failure_that_was_under_way_when_the_service_was_removed_restarts_nothing() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let service = root.add_and_wait(probe("a", &log)).await.unwrap();
    service.do_send(Act::Panic);
    let _whichever_came_first = root.remove(service.token()).await.unwrap();
    settle().await;
    assert_eq!(log.alive("a"), 0);
    assert!(service.send(Generation).await.is_err());
    assert!(log.most_alive() == 1);
}

#[actix::test]
async fn shutdown_waits_for_a_service_that_is_being_removed_without_a_false_report() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let slow = planned("slow", &log, |_| {
        (Start::Go, Stop::Late(Duration::from_secs(5)))
    });
    let slow = root.add_and_wait(slow).await.unwrap();
    let short = Duration::from_secs(1);
    let _gave_up = time::timeout(short, root.remove(slow.token())).await;
    let began = time::Instant::now();
    let report = root.shutdown().await.unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!(began.elapsed().as_secs(), 4);
    assert_eq!(log.alive("slow"), 0);
}

#[actix::test]
async fn removal_that_is_overtaken_by_a_shutdown_is_answered() {
    time::pause();
    let log = Log::default();
    let (root, deaf) = with_deaf(&log).await;
    let removing = actix::spawn({
        let (root, token) = (root.clone(), deaf.token());
        async move { root.remove(token).await }
    });
    settle().await;
    root.shutdown().await.unwrap();
    assert_eq!(
        patiently(removing).await.unwrap(),
        Ok(ExitReason::Killed(KillCause::StopTimeout))
    );
}

#[actix::test]
async fn snapshot_has_services_that_wait_for_a_restart() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let service = root.add_and_wait(probe("a", &log)).await.unwrap();
    root.add_and_wait(probe("b", &log)).await.unwrap();
    for _ in 0..6 {
        service.do_send(Act::Fail);
    }
    settle().await;
    let services = root.services().await.unwrap();
    let seen: Vec<_> = services
        .iter()
        .map(|service| (service.name(), service.state().to_string()))
        .collect();
    assert_eq!(
        seen,
        [("a", "paused".to_owned()), ("b", "ready".to_owned())]
    );
}
