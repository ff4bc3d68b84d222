//! What follows when a service fails or completes: restart types, counting, and failed restarts.

use resurgam::{
    EventKind, ExitReason, RestartLimit, RestartType, ServiceState, SupervisorActor, SupervisorRef,
    SupervisorSpec,
};
use tokio::time;

use super::support::{
    Act, Generation, Log, Recorder, Start, Stop, planned, probe, root, settle, state_of,
};

async fn unlimited() -> SupervisorRef {
    root(SupervisorSpec::default().limit(RestartLimit::unlimited())).await
}

#[actix::test]
async fn failure_is_reported_before_the_restart_and_siblings_run_on() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let sibling = root.add_and_wait(probe("sibling", &log)).await.unwrap();
    let service = root.add_and_wait(probe("a", &log)).await.unwrap();
    let mut events = Recorder::new(&root);
    service.do_send(Act::Fail);
    assert_eq!(service.send(Generation).await, Ok(1));
    assert_eq!(
        events.take(),
        [
            "root/a ServiceFailed",
            "root/a ServiceStarted",
            "root/a ServiceReady"
        ]
    );
    assert_eq!(sibling.send(Generation).await, Ok(0));
}

/// Makes a service of a type end, and tells what was reported, which incarnation answers, and what is counted.
async fn end(restart: RestartType, act: Act) -> (Vec<String>, Option<u64>, f64) {
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let spec = probe("a", &log).restart(restart);
    let service = root.add_and_wait(spec).await.unwrap();
    let mut events = Recorder::new(&root);
    service.do_send(act);
    settle().await;
    let answer = service.send(Generation).await.ok();
    let count = root.report().await.unwrap().failure_count();
    (events.take(), answer, count.round())
}

#[actix::test]
async fn permanent_service_that_completes_is_restarted() {
    time::pause();
    let (events, answer, _) = end(RestartType::Permanent, Act::Complete).await;
    assert_eq!(
        events,
        [
            "root/a ServiceCompleted",
            "root/a ServiceStarted",
            "root/a ServiceReady"
        ]
    );
    assert_eq!(answer, Some(1));
}

#[actix::test]
async fn transient_service_that_fails_is_restarted() {
    time::pause();
    let (events, answer, count) = end(RestartType::Transient, Act::Fail).await;
    assert_eq!(events[0], "root/a ServiceFailed");
    assert_eq!((answer, count), (Some(1), 1.0));
}

#[actix::test]
async fn transient_service_that_completes_is_forgotten_and_not_counted() {
    time::pause();
    let (events, answer, count) = end(RestartType::Transient, Act::Complete).await;
    assert_eq!(events, ["root/a ServiceCompleted", "root/a ServiceRemoved"]);
    assert_eq!((answer, count), (None, 0.0));
}

#[actix::test]
async fn temporary_service_that_completes_is_forgotten_and_not_counted() {
    time::pause();
    let (events, answer, count) = end(RestartType::Temporary, Act::Complete).await;
    assert_eq!(events, ["root/a ServiceCompleted", "root/a ServiceRemoved"]);
    assert_eq!((answer, count), (None, 0.0));
}

#[actix::test]
async fn temporary_service_that_fails_is_forgotten_and_not_counted() {
    time::pause();
    let (events, answer, count) = end(RestartType::Temporary, Act::Fail).await;
    assert_eq!(events, ["root/a ServiceFailed", "root/a ServiceRemoved"]);
    assert_eq!((answer, count), (None, 0.0));
}

#[actix::test]
async fn temporary_service_that_panics_is_forgotten_and_not_counted() {
    time::pause();
    let (events, answer, count) = end(RestartType::Temporary, Act::Panic).await;
    assert_eq!(events, ["root/a ServicePanicked", "root/a ServiceRemoved"]);
    assert_eq!((answer, count), (None, 0.0));
}

#[actix::test]
async fn panic_is_a_failure_like_any_other() {
    time::pause();
    let (events, answer, count) = end(RestartType::Transient, Act::Panic).await;
    assert_eq!(events[0], "root/a ServicePanicked");
    assert_eq!((answer, count), (Some(1), 1.0));
}

#[actix::test]
async fn static_service_that_has_completed_is_kept_as_stopped() {
    time::pause();
    let log = Log::default();
    let mut root = SupervisorActor::with_defaults("root");
    let spec = probe("a", &log).restart(RestartType::Transient);
    let service = root.add(spec).unwrap();
    let root = root.start().await.unwrap();
    service.do_send(Act::Complete);
    settle().await;
    assert_eq!(
        state_of(&root, service.token()).await,
        Some(ServiceState::Stopped)
    );
}

#[actix::test]
async fn permanent_service_that_completes_over_and_over_is_held_back_by_the_limit() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let service = root.add_and_wait(probe("a", &log)).await.unwrap();
    let mut events = Recorder::new(&root);
    for _ in 0..1_000 {
        service.do_send(Act::Complete);
    }
    events
        .until(|kind| matches!(kind, EventKind::PauseStarted { .. }))
        .await;
    settle().await;
    let starts = log.take().iter().filter(|line| *line == "+a").count();
    assert_eq!(starts, 6);
    assert_eq!(
        state_of(&root, service.token()).await,
        Some(ServiceState::Paused)
    );
}

#[actix::test]
async fn failed_restart_is_counted_and_tried_again() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let spec = planned("a", &log, |generation| match generation {
        1 => (Start::Refuse, Stop::Obey),
        2 => (Start::Panic, Stop::Obey),
        _ => (Start::Go, Stop::Obey),
    });
    let service = root.add_and_wait(spec).await.unwrap();
    service.do_send(Act::Fail);
    assert_eq!(service.send(Generation).await, Ok(3));
    let count = root.report().await.unwrap().failure_count();
    assert!((count - 3.0).abs() < 1e-9, "{count}");
}

#[actix::test]
async fn each_failed_restart_has_an_event() {
    time::pause();
    let log = Log::default();
    let root = unlimited().await;
    let spec = planned("a", &log, |generation| match generation {
        1..=3 => (Start::Refuse, Stop::Obey),
        _ => (Start::Go, Stop::Obey),
    });
    let service = root.add_and_wait(spec).await.unwrap();
    let mut events = Recorder::new(&root);
    service.do_send(Act::Fail);
    assert_eq!(service.send(Generation).await, Ok(4));
    assert_eq!(
        events.take(),
        [
            "root/a ServiceFailed",
            "root/a ServiceStartFailed",
            "root/a ServiceStartFailed",
            "root/a ServiceStartFailed",
            "root/a ServiceStarted",
            "root/a ServiceReady",
        ]
    );
}

#[actix::test]
async fn failed_restart_is_never_blamed_on_the_run_after_it() {
    time::pause();
    let log = Log::default();
    let root = unlimited().await;
    let spec = planned("a", &log, |generation| match generation {
        1 => (Start::Fail, Stop::Obey),
        2 => (Start::Panic, Stop::Obey),
        _ => (Start::Go, Stop::Obey),
    });
    let service = root.add_and_wait(spec).await.unwrap();
    service.do_send(Act::Fail);
    assert_eq!(service.send(Generation).await, Ok(3));
    time::sleep(std::time::Duration::from_secs(60)).await;
    assert_eq!(service.send(Generation).await, Ok(3));
    assert_eq!((log.alive("a"), log.most_alive()), (1, 1));
    root.shutdown().await.unwrap();
    assert_eq!(log.alive("a"), 0);
}

#[actix::test]
async fn failure_says_why_the_run_ended() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let service = root.add_and_wait(probe("a", &log)).await.unwrap();
    service.do_send(Act::Fail);
    assert_eq!(service.send(Generation).await, Ok(1));
    let report = root.report().await.unwrap();
    let last = report.services()[0].last_exit().unwrap();
    assert!(matches!(last, ExitReason::Failed(error) if error.to_string() == "failed on purpose"));
}

#[actix::test]
async fn service_may_say_itself_that_it_is_done() {
    time::pause();
    let done = Act::Exit(resurgam::Verdict::DoNotRestart);
    let (events, answer, count) = end(RestartType::Permanent, done).await;
    assert_eq!(events, ["root/a ServiceCompleted", "root/a ServiceRemoved"]);
    assert_eq!((answer, count), (None, 0.0));
}
