//! Retries: their delays, and what cuts them short.

use std::time::Duration;

use resurgam::{Backoff, ExitReason, ServiceState};
use tokio::time::{self, Instant};

use crate::support::{
    Habit, Log, What, add, ask, fail, failing, quiet, root, rounded, spec, spec_with, state,
};

const MINUTE: Duration = Duration::from_secs(60);

/// Ambassador's delays.
fn doubling() -> Backoff {
    Backoff::exponential(Duration::from_millis(100), Duration::from_secs(3))
}

#[actix::test]
async fn delay_doubles_and_never_exceeds_its_maximum() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    add(&root, failing("a", &log, 8).backoff(doubling())).await;
    time::sleep(MINUTE).await;
    assert_eq!(
        log.delays("a"),
        [100, 200, 400, 800, 1600, 3000, 3000, 3000]
    );
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn delay_begins_anew_when_the_service_was_healthy_for_long_enough() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let healthy = doubling().reset_after(MINUTE);
    let a = add(&root, spec("a", &log).backoff(healthy)).await;
    for run in [Duration::ZERO, Duration::ZERO, MINUTE / 2, 2 * MINUTE] {
        a.send(ask()).await.unwrap();
        time::sleep(run).await;
        a.do_send(fail("boom"));
    }
    a.send(ask()).await.unwrap();
    assert_eq!(log.delays("a"), [100, 200, 400, 100]);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn reset_lets_the_delay_begin_anew() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let a = add(&root, spec("a", &log).backoff(doubling())).await;
    for _ in 0..2 {
        a.do_send(fail("boom"));
        a.send(ask()).await.unwrap();
    }
    root.reset(a.token()).await.unwrap();
    a.do_send(fail("boom"));
    a.send(ask()).await.unwrap();
    assert_eq!(log.delays("a"), [100, 200, 100]);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn shutdown_cuts_a_delay_short_and_the_factory_is_not_called_again() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let hour = Backoff::constant(60 * MINUTE);
    let a = add(&root, spec("a", &log).backoff(hour)).await;
    a.do_send(fail("boom"));
    quiet().await;
    assert_eq!(
        state(&root, a.token()).await,
        Some(ServiceState::BackingOff)
    );
    let asked = Instant::now();
    assert!(root.shutdown().await.unwrap().is_clean());
    assert_eq!(rounded(asked.elapsed()), 0);
    time::sleep(120 * MINUTE).await;
    assert_eq!(log.count(What::Made, "a"), 1);
}

#[actix::test]
async fn stop_cuts_a_delay_short_and_the_factory_is_not_called_again() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let a = add(&root, spec("a", &log).backoff(Backoff::constant(MINUTE))).await;
    a.do_send(fail("boom"));
    quiet().await;
    let asked = Instant::now();
    root.stop(a.token()).await.unwrap();
    assert_eq!(rounded(asked.elapsed()), 0);
    time::sleep(2 * MINUTE).await;
    assert_eq!(log.count(What::Made, "a"), 1);
    assert_eq!(state(&root, a.token()).await, Some(ServiceState::Stopped));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn error_of_a_restartable_service_while_it_is_shut_down_is_kept() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let sore = spec_with("a", &log, Habit::Sore("not saved")).backoff(doubling());
    add(&root, sore).await;
    let report = root.shutdown().await.unwrap();
    let [(path, ExitReason::Failed(error))] = report.failures() else {
        panic!("{report}");
    };
    assert_eq!(&**path, "root/a");
    assert_eq!(error.to_string(), "not saved");
    assert_eq!(log.count(What::Made, "a"), 1);
}

#[actix::test]
async fn delayed_start_holds_up_neither_siblings_nor_commands() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let a = add(&root, spec("a", &log).backoff(Backoff::constant(MINUTE))).await;
    let b = add(&root, spec("b", &log)).await;
    let begun = Instant::now();
    a.do_send(fail("boom"));
    assert_eq!(b.send(fail("boom")).await, Ok(0));
    assert_eq!(b.send(ask()).await, Ok(1));
    root.add_and_wait(spec("c", &log)).await.unwrap();
    assert_eq!(root.counts().await.unwrap().waiting, 1);
    assert_eq!(rounded(begun.elapsed()), 0);
    root.shutdown().await.unwrap();
}
