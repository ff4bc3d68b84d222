//! Waiting for the end of a service, and starting one again.

use std::time::Duration;

use resurgam::{ExitReason, RestartType, ServiceState, SupervisorActor};
use tokio::time::{self, Instant};

use crate::support::{
    Habit, Log, What, add, ask, fail, quiet, root, rounded, spec, spec_with, state, stop, unlimited,
};

const SECOND: Duration = Duration::from_secs(1);

#[actix::test]
async fn everybody_who_waits_for_an_end_learns_the_same() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let a = add(&root, spec_with("a", &log, Habit::Slow(SECOND))).await;
    let begun = Instant::now();
    let (first, second, stopped) = tokio::join!(
        root.remove(a.token()),
        root.remove(a.token()),
        root.stop(a.token())
    );
    assert_eq!(rounded(begun.elapsed()), 1_000);
    assert_eq!(first, Ok(ExitReason::Shutdown));
    assert_eq!(second, Ok(ExitReason::Shutdown));
    assert_eq!(stopped, Ok(()));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn end_of_a_service_that_waits_for_its_first_start_is_answered() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let a = add(&root, spec("a", &log).requires("nobody")).await;
    assert_eq!(root.stop(a.token()).await, Ok(()));
    assert_eq!(root.remove(a.token()).await, Ok(ExitReason::Normal));
    assert!(log.names(What::Made).is_empty());
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn service_that_was_stopped_is_started_again_by_restart() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let a = add(&root, spec("a", &log)).await;
    root.stop(a.token()).await.unwrap();
    time::sleep(3600 * SECOND).await;
    assert_eq!(state(&root, a.token()).await, Some(ServiceState::Stopped));
    root.restart(a.token()).await.unwrap();
    assert_eq!(a.send(ask()).await, Ok(1));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn service_that_has_finished_with_an_error_is_started_again_by_restart() {
    time::pause();
    let log = Log::default();
    let mut root = SupervisorActor::new("root", unlimited());
    let a = root
        .add(spec("a", &log).restart(RestartType::Temporary))
        .unwrap();
    let root = root.start().await.unwrap();
    a.do_send(fail("boom"));
    quiet().await;
    assert_eq!(state(&root, a.token()).await, Some(ServiceState::Stopped));
    root.restart(a.token()).await.unwrap();
    assert_eq!(a.send(ask()).await, Ok(1));
    a.do_send(stop());
    quiet().await;
    let report = root.report().await.unwrap();
    assert_eq!(report.services()[0].last_exit(), Some(&ExitReason::Normal));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn restart_of_a_running_service_stops_and_starts_it() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let a = add(&root, spec("a", &log)).await;
    root.restart(a.token()).await.unwrap();
    assert_eq!(a.send(ask()).await, Ok(1));
    assert_eq!(log.names(What::Asked), ["a"]);
    root.shutdown().await.unwrap();
}
