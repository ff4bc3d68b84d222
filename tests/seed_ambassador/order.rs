//! In which order services start and stop.

use std::time::Duration;

use resurgam::{ServiceState, StartError, SupervisorActor};
use tokio::time::{self, Instant};

use crate::support::{
    Habit, Log, What, add, ask, failing, quiet, root, rounded, spec, spec_with, state, unlimited,
};

const SECOND: Duration = Duration::from_secs(1);

#[actix::test]
async fn services_start_in_the_order_of_their_requirements_and_stop_in_reverse() {
    time::pause();
    let log = Log::default();
    let mut root = SupervisorActor::new("root", unlimited());
    root.add(spec("api", &log).requires("cache")).unwrap();
    root.add(spec("cache", &log).requires("db")).unwrap();
    root.add(spec("db", &log)).unwrap();
    let root = root.start().await.unwrap();
    assert_eq!(log.names(What::Started), ["db", "cache", "api"]);
    root.shutdown().await.unwrap();
    assert_eq!(log.names(What::Asked), ["api", "cache", "db"]);
    assert_eq!(log.names(What::Dropped), ["api", "cache", "db"]);
}

#[actix::test]
async fn service_is_asked_to_stop_only_when_all_that_require_it_have_ended() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    add(&root, spec("db", &log)).await;
    let slow = Habit::Slow(SECOND);
    let slower = Habit::Slow(2 * SECOND);
    add(&root, spec_with("api", &log, slow).requires("db")).await;
    add(&root, spec_with("web", &log, slower).requires("db")).await;
    let begun = Instant::now();
    root.shutdown().await.unwrap();
    let asked = |name| rounded(log.first(What::Asked, name) - begun);
    assert_eq!((asked("web"), asked("api"), asked("db")), (0, 0, 2_000));
    assert_eq!(log.names(What::Dropped), ["api", "web", "db"]);
}

#[actix::test]
async fn independent_services_stop_at_the_same_time() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    for name in ["a", "b", "c", "d"] {
        add(&root, spec_with(name, &log, Habit::Slow(SECOND))).await;
    }
    let begun = Instant::now();
    root.shutdown().await.unwrap();
    assert_eq!(rounded(begun.elapsed()), 1_000);
}

#[actix::test]
async fn service_is_asked_to_stop_once_in_each_run() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let a = add(&root, spec_with("a", &log, Habit::Slow(SECOND))).await;
    root.restart(a.token()).await.unwrap();
    assert_eq!(log.count(What::Asked, "a"), 1);
    let token = a.token();
    let (stopped, removed, again) =
        tokio::join!(root.stop(token), root.remove(token), root.remove(token));
    stopped.unwrap();
    assert_eq!(removed, again);
    assert_eq!(log.count(What::Dropped, "a"), 2);
    assert_eq!(log.count(What::Asked, "a"), 2);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn service_that_is_stopped_leaves_those_that_require_it_running() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let db = add(&root, spec("db", &log)).await;
    let api = add(&root, spec("api", &log).requires("db")).await;
    let begun = Instant::now();
    root.stop(db.token()).await.unwrap();
    assert_eq!(rounded(begun.elapsed()), 0);
    assert_eq!(api.send(ask()).await, Ok(0));
    assert!(log.names(What::Asked).iter().all(|name| name == "db"));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn service_that_is_stopped_waits_for_the_end_of_those_that_are_bound_to_it() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let db = add(&root, spec("db", &log)).await;
    let slow = spec_with("api", &log, Habit::Slow(SECOND));
    let api = add(&root, slow.binds_to("db")).await;
    let begun = Instant::now();
    root.stop(db.token()).await.unwrap();
    assert_eq!(rounded(begun.elapsed()), 1_000);
    assert_eq!(log.names(What::Dropped), ["api", "db"]);
    quiet().await;
    assert_eq!(state(&root, api.token()).await, Some(ServiceState::Waiting));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn start_that_fails_starts_nothing_more_and_undoes_the_rest_in_reverse() {
    time::pause();
    let log = Log::default();
    let mut root = SupervisorActor::new("root", unlimited());
    root.add(spec("a", &log)).unwrap();
    root.add(spec("b", &log)).unwrap();
    root.add(failing("c", &log, 1)).unwrap();
    root.add(spec("d", &log)).unwrap();
    let failed = root.start().await.unwrap_err();
    assert!(matches!(failed, StartError::Failed { path, .. } if &*path == "root/c"));
    assert_eq!(log.names(What::Made), ["a", "b", "c"]);
    assert_eq!(log.names(What::Asked), ["b", "a"]);
}

#[actix::test]
async fn failure_while_a_start_is_undone_is_part_of_the_error() {
    time::pause();
    let log = Log::default();
    let mut root = SupervisorActor::new("root", unlimited());
    root.add(spec_with("a", &log, Habit::Sore("not saved")))
        .unwrap();
    root.add(failing("b", &log, 1)).unwrap();
    let failed = root.start().await.unwrap_err();
    let StartError::Failed { unwinding, .. } = failed else {
        panic!("{failed:?}");
    };
    assert_eq!(unwinding.len(), 1);
    assert_eq!(&*unwinding[0].0, "root/a");
    assert_eq!(unwinding[0].1.to_string(), "failed: not saved");
}
