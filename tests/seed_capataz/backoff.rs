//! The delay before a restart: how long it is, and that nobody else waits for it.

use std::time::Duration;

use resurgam::{
    Backoff, Blocked, EventKind, ExitReason, RestartLimit, ServiceState, Strategy, SupervisorRef,
    SupervisorSpec,
};
use tokio::time;

use super::support::{
    Act, Generation, Log, Recorder, Start, Stop, patiently, planned, probe, root, settle, state_of,
};

async fn unlimited() -> SupervisorRef {
    root(SupervisorSpec::default().limit(RestartLimit::unlimited())).await
}

/// The delays, in milliseconds, before the restarts of a service whose restart fails this often.
async fn delays(backoff: Backoff, failures: u64) -> Vec<u128> {
    let log = Log::default();
    let root = unlimited().await;
    let spec = planned("a", &log, move |generation| {
        let works = generation == 0 || generation >= failures;
        let start = if works { Start::Go } else { Start::Refuse };
        (start, Stop::Obey)
    });
    let service = root.add_and_wait(spec.backoff(backoff)).await.unwrap();
    let mut events = Recorder::new(&root);
    service.do_send(Act::Fail);
    assert_eq!(patiently(service.send(Generation)).await, Ok(failures));
    let events = events.take_whole();
    let scheduled = events.iter().filter_map(|event| match event.kind() {
        EventKind::RestartScheduled { after, .. } => Some(after.as_millis()),
        _ => None,
    });
    scheduled.collect()
}

#[actix::test]
async fn delay_doubles_with_each_failure() {
    time::pause();
    let backoff = Backoff::exponential(Duration::from_millis(10), Duration::from_secs(60));
    assert_eq!(delays(backoff, 5).await, [10, 20, 40, 80, 160]);
}

#[actix::test]
async fn delay_stays_at_its_maximum() {
    time::pause();
    let backoff = Backoff::exponential(Duration::from_millis(2), Duration::from_millis(10));
    assert_eq!(delays(backoff, 5).await, [2, 4, 8, 10, 10]);
}

#[actix::test]
async fn without_a_backoff_nobody_waits() {
    time::pause();
    let began = time::Instant::now();
    assert_eq!(delays(Backoff::none(), 5).await, [0_u128; 0]);
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[actix::test]
async fn delay_never_wraps_around() {
    time::pause();
    let max = Duration::from_secs(60);
    let delays = delays(Backoff::exponential(Duration::from_secs(1), max), 200).await;
    assert_eq!(delays.len(), 200);
    assert!(delays.is_sorted(), "{delays:?}");
    assert_eq!(delays.last(), Some(&max.as_millis()));
}

#[actix::test]
async fn shutdown_does_not_wait_for_a_delay_and_the_factory_is_not_called_again() {
    time::pause();
    let log = Log::default();
    let root = unlimited().await;
    let hour = Backoff::constant(Duration::from_secs(3_600));
    root.add_and_wait(probe("sibling", &log)).await.unwrap();
    let service = root.add_and_wait(probe("a", &log).backoff(hour)).await;
    let service = service.unwrap();
    service.do_send(Act::Fail);
    settle().await;
    assert_eq!(
        state_of(&root, service.token()).await,
        Some(ServiceState::BackingOff)
    );
    log.take();
    let began = time::Instant::now();
    let report = root.shutdown().await.unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!(began.elapsed(), Duration::ZERO);
    time::sleep(Duration::from_secs(2 * 3_600)).await;
    assert_eq!(log.take(), ["-sibling"]);
}

#[actix::test]
async fn removing_a_service_that_waits_is_answered_at_once_and_cancels_its_restart() {
    time::pause();
    let log = Log::default();
    let root = unlimited().await;
    let hour = Backoff::constant(Duration::from_secs(3_600));
    let service = root.add_and_wait(probe("a", &log).backoff(hour)).await;
    let service = service.unwrap();
    service.do_send(Act::Fail);
    settle().await;
    let began = time::Instant::now();
    let reason = root.remove(service.token()).await.unwrap();
    assert!(matches!(reason, ExitReason::Failed(_)), "{reason}");
    assert_eq!(began.elapsed(), Duration::ZERO);
    time::sleep(Duration::from_secs(2 * 3_600)).await;
    assert_eq!(log.take(), ["+a", "-a"]);
}

#[actix::test]
async fn siblings_fail_and_restart_while_one_waits_for_its_delay() {
    time::pause();
    let log = Log::default();
    let root = unlimited().await;
    let hour = Backoff::constant(Duration::from_secs(3_600));
    let service = root.add_and_wait(probe("a", &log).backoff(hour)).await;
    let service = service.unwrap();
    let sibling = root.add_and_wait(probe("b", &log)).await.unwrap();
    service.do_send(Act::Fail);
    settle().await;
    let began = time::Instant::now();
    sibling.do_send(Act::Fail);
    assert_eq!(sibling.send(Generation).await, Ok(1));
    sibling.do_send(Act::Complete);
    assert_eq!(sibling.send(Generation).await, Ok(2));
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[actix::test]
async fn services_are_added_and_removed_while_one_waits_for_its_delay() {
    time::pause();
    let log = Log::default();
    let root = unlimited().await;
    let hour = Backoff::constant(Duration::from_secs(3_600));
    let service = root.add_and_wait(probe("a", &log).backoff(hour)).await;
    service.unwrap().do_send(Act::Fail);
    settle().await;
    let began = time::Instant::now();
    let added = root.add_and_wait(probe("b", &log)).await.unwrap();
    root.remove(added.token()).await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[actix::test]
async fn member_of_a_group_whose_delay_is_not_over_is_passed_over_and_only_what_requires_it_waits()
{
    time::pause();
    let log = Log::default();
    let unlimited = SupervisorSpec::default().limit(RestartLimit::unlimited());
    let root = root(unlimited.strategy(Strategy::OneForAll)).await;
    let hour = Duration::from_secs(3600);
    let slow = probe("slow", &log).backoff(Backoff::constant(hour));
    let slow = root.add_and_wait(slow).await.unwrap();
    let needs = probe("needs", &log).requires("slow");
    let needs = root.add_and_wait(needs).await.unwrap();
    let brisk = probe("brisk", &log).backoff(Backoff::constant(Duration::from_secs(1)));
    let brisk = root.add_and_wait(brisk).await.unwrap();
    let healthy = root.add_and_wait(probe("healthy", &log)).await.unwrap();
    let began = time::Instant::now();
    slow.do_send(Act::Fail);
    settle().await;
    // All are stopped without waiting for anybody's delay, and those that depend on nobody run again.
    for service in [&brisk, &healthy] {
        assert_eq!(service.send(Generation).await, Ok(1), "{service:?}");
    }
    let report = root.report().await.unwrap();
    let waits = report.services()[1]
        .waits_for()
        .zip(report.services()[1].blocked());
    let Some(("slow", Blocked::Delayed { after, .. })) = waits else {
        panic!("{report}");
    };
    let due = began + hour;
    assert!(due.duration_since(time::Instant::now()).abs_diff(after) < Duration::from_millis(5));
    // The delay of another one cuts it no shorter, and is itself kept.
    brisk.do_send(Act::Fail);
    settle().await;
    assert_eq!(healthy.send(Generation).await, Ok(2));
    assert_eq!(brisk.send(Generation).await, Ok(2));
    assert!((1_000..1_050).contains(&began.elapsed().as_millis()));
    // So does one that is added meanwhile; and nobody has waited for an hour.
    let added = root.add_and_wait(probe("added", &log)).await.unwrap();
    assert_eq!(added.send(Generation).await, Ok(0));
    assert_eq!(needs.send(Generation).await, Ok(1));
    assert!(began.elapsed() >= hour);
    assert_eq!(slow.send(Generation).await, Ok(1));
    // By hand it is there at once.
    slow.do_send(Act::Fail);
    settle().await;
    root.restart(slow.token()).await.unwrap();
    assert_eq!(needs.send(Generation).await, Ok(2));
    assert!(began.elapsed() < hour + Duration::from_secs(1));
}
