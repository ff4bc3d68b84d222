//! The delay before a restart: how long it is, and that nobody else waits for it.

use std::time::Duration;

use resurgam::{
    Backoff, EventKind, ExitReason, RestartLimit, ServiceState, SupervisorRef, SupervisorSpec,
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
        EventKind::RestartScheduled { after } => Some(after.as_millis()),
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
