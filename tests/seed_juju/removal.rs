//! Stopping and removing services, in every state that they may be in.

use std::{future::pending, io::Error, time::Duration};

use resurgam::{
    Backoff, ExitReason, RemoveError, ServiceSpec, ServiceState, StopError, SupervisorRef,
};
use tokio::time::{self, Instant};

use crate::support::{
    Habit, Log, Probe, What, add, ask, fail, quiet, root, rounded, spec, spec_with, state,
};

const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);

#[actix::test]
async fn removal_waits_for_the_end_and_frees_the_name() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let a = add(&root, spec_with("a", &log, Habit::Slow(SECOND))).await;
    let begun = Instant::now();
    assert_eq!(root.remove(a.token()).await, Ok(ExitReason::Shutdown));
    assert_eq!(rounded(begun.elapsed()), 1_000);
    assert_eq!(log.count(What::Dropped, "a"), 1);
    let again = root.add(spec("a", &log)).await.unwrap();
    assert_eq!(again.send(ask()).await, Ok(0));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn service_that_fails_when_it_is_removed_is_not_restarted_and_its_error_is_returned() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let a = add(&root, spec_with("a", &log, Habit::Sore("not saved"))).await;
    let begun = Instant::now();
    let removed = root.remove(a.token()).await.unwrap();
    assert_eq!(removed.to_string(), "failed: not saved");
    assert_eq!(rounded(begun.elapsed()), 0);
    time::sleep(HOUR).await;
    assert_eq!(log.count(What::Made, "a"), 1);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn service_that_fails_when_it_is_stopped_is_not_restarted() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let a = add(&root, spec_with("a", &log, Habit::Sore("not saved"))).await;
    root.stop(a.token()).await.unwrap();
    time::sleep(HOUR).await;
    assert_eq!(log.count(What::Made, "a"), 1);
    assert_eq!(state(&root, a.token()).await, Some(ServiceState::Stopped));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn all_who_remove_the_same_service_are_told_the_same() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let a = add(&root, spec_with("a", &log, Habit::Sore("not saved"))).await;
    let token = a.token();
    let (first, second, third) =
        tokio::join!(root.remove(token), root.remove(token), root.remove(token));
    let first = first.unwrap();
    assert_eq!(second, Ok(first.clone()));
    assert_eq!(third, Ok(first));
    assert_eq!(
        root.remove(token).await,
        Err(RemoveError::unknown_token(token))
    );
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn caller_that_stops_waiting_for_a_removal_does_not_hold_it_up() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let a = add(&root, spec_with("a", &log, Habit::Slow(2 * SECOND))).await;
    let token = a.token();
    let given_up = time::timeout(SECOND, root.remove(token)).await;
    assert!(given_up.is_err());
    assert_eq!(root.remove(token).await, Ok(ExitReason::Shutdown));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn operations_on_a_supervisor_that_has_ended_say_so() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let token = add(&root, spec("a", &log)).await.token();
    root.shutdown().await.unwrap();
    assert_eq!(root.remove(token).await, Err(RemoveError::SupervisorGone));
    assert_eq!(root.stop(token).await, Err(StopError::SupervisorGone));
}

#[actix::test]
async fn operations_on_a_supervisor_that_ends_say_so() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let a = add(&root, spec_with("a", &log, Habit::Slow(SECOND))).await;
    let token = a.token();
    let (report, removed, stopped) = tokio::join!(
        root.shutdown(),
        late(|| root.remove(token)),
        late(|| root.stop(token))
    );
    report.unwrap();
    assert_eq!(removed, Err(RemoveError::ShuttingDown));
    assert_eq!(stopped, Err(StopError::ShuttingDown));
}

async fn late<F: Future>(begin: impl FnOnce() -> F) -> F::Output {
    quiet().await;
    begin().await
}

/// A service that waits an hour for its restart.
async fn delayed(root: &SupervisorRef, log: &Log) -> resurgam::ServiceRef<Probe> {
    let a = add(root, spec("a", log).backoff(Backoff::constant(HOUR))).await;
    a.do_send(fail("boom"));
    quiet().await;
    assert_eq!(state(root, a.token()).await, Some(ServiceState::BackingOff));
    a
}

#[actix::test]
async fn removal_during_a_delay_is_done_at_once_and_the_factory_is_not_called_again() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let a = delayed(&root, &log).await;
    let begun = Instant::now();
    let removed = root.remove(a.token()).await.unwrap();
    assert_eq!(removed.to_string(), "failed: boom");
    let again = root.add_and_wait(spec("a", &log)).await.unwrap();
    assert_eq!(rounded(begun.elapsed()), 0);
    time::sleep(2 * HOUR).await;
    assert_eq!(again.send(ask()).await, Ok(0));
    assert_eq!(log.count(What::Made, "a"), 2);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn stop_during_a_delay_is_done_at_once_and_the_factory_is_not_called_again() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let a = delayed(&root, &log).await;
    let begun = Instant::now();
    root.stop(a.token()).await.unwrap();
    assert_eq!(rounded(begun.elapsed()), 0);
    time::sleep(2 * HOUR).await;
    assert_eq!(log.count(What::Made, "a"), 1);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn shutdown_during_a_delay_is_done_at_once_and_the_factory_is_not_called_again() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    delayed(&root, &log).await;
    let begun = Instant::now();
    assert!(root.shutdown().await.unwrap().is_clean());
    assert_eq!(rounded(begun.elapsed()), 0);
    time::sleep(2 * HOUR).await;
    assert_eq!(log.count(What::Made, "a"), 1);
}

#[actix::test]
async fn restart_during_a_delay_cuts_it_short() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let a = delayed(&root, &log).await;
    let begun = Instant::now();
    root.restart(a.token()).await.unwrap();
    assert_eq!(rounded(begun.elapsed()), 0);
    time::sleep(2 * HOUR).await;
    assert_eq!(a.send(ask()).await, Ok(1));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn service_that_is_still_being_made_is_stopped_and_removed_at_once() {
    time::pause();
    let root = root().await;
    let never = |name: &str| {
        ServiceSpec::<Probe>::new_async(name.to_owned(), |_| pending::<Result<Probe, Error>>())
    };
    let a = add(&root, never("a")).await;
    let b = add(&root, never("b")).await;
    let begun = Instant::now();
    root.stop(a.token()).await.unwrap();
    assert_eq!(root.remove(b.token()).await, Ok(ExitReason::Shutdown));
    assert_eq!(rounded(begun.elapsed()), 0);
    root.shutdown().await.unwrap();
}
