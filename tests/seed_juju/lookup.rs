//! Finding services, waiting until they are ready, and what is found while they are down.

use std::time::Duration;

use futures::future::join_all;
use resurgam::{Backoff, LookupError, Readiness, ServiceState, ServiceSummary, SupervisorGone};
use tokio::time::{self, Instant};

use crate::support::{
    Habit, Log, Probe, add, ask, fail, failing, quiet, ready, root, rounded, spec, spec_with, state,
};

const SECOND: Duration = Duration::from_secs(1);

#[actix::test]
async fn service_that_is_ready_is_found_at_once() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let a = add(&root, spec("a", &log)).await;
    let begun = Instant::now();
    let found = root.when_ready::<Probe>("root/a").await.unwrap();
    assert_eq!(found, a);
    assert_eq!(rounded(begun.elapsed()), 0);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn who_waits_for_a_service_waits_for_its_start() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let a = add(&root, spec("a", &log).readiness(Readiness::Explicit)).await;
    let begun = Instant::now();
    let (found, ()) = tokio::join!(root.when_ready::<Probe>(a.token()), async {
        time::sleep(SECOND).await;
        a.do_send(ready());
    });
    assert_eq!(found.unwrap(), a);
    assert_eq!(rounded(begun.elapsed()), 1_000);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn unknown_service_is_an_error_at_once() {
    time::pause();
    let root = root().await;
    let path = "root/nobody";
    let unknown = LookupError::unknown_path(path);
    assert_eq!(root.when_ready::<Probe>(path).await.unwrap_err(), unknown);
    assert_eq!(root.lookup::<Probe>(path).await.unwrap_err(), unknown);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn wait_for_a_service_may_be_given_up() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let a = add(&root, spec("a", &log).readiness(Readiness::Explicit)).await;
    let given_up = time::timeout(SECOND, root.when_ready::<Probe>(a.token())).await;
    assert!(given_up.is_err());
    a.do_send(ready());
    assert_eq!(root.when_ready::<Probe>(a.token()).await.unwrap(), a);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn who_waits_for_a_service_that_is_removed_learns_that() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let slow = spec_with("a", &log, Habit::Slow(SECOND));
    let a = add(&root, slow.readiness(Readiness::Explicit)).await;
    let (waited, late, removed) = tokio::join!(
        root.when_ready::<Probe>(a.token()),
        async {
            quiet().await;
            assert_eq!(state(&root, a.token()).await, Some(ServiceState::Stopping));
            root.when_ready::<Probe>(a.token()).await
        },
        root.remove(a.token())
    );
    removed.unwrap();
    let gone = LookupError::removed("root/a");
    assert_eq!(waited.unwrap_err(), gone);
    assert_eq!(late.unwrap_err(), gone);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn who_waits_for_a_service_is_answered_when_the_tree_ends() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let a = add(&root, spec("a", &log).readiness(Readiness::Explicit)).await;
    let (waited, report) = tokio::join!(root.when_ready::<Probe>(a.token()), async {
        quiet().await;
        root.shutdown().await
    });
    report.unwrap();
    assert!(waited.is_err());
    assert!(root.when_ready::<Probe>(a.token()).await.is_err());
}

#[actix::test]
async fn dead_run_is_never_found_during_a_delay() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let a = add(&root, spec("a", &log).backoff(Backoff::constant(SECOND))).await;
    a.do_send(fail("boom"));
    quiet().await;
    let begun = Instant::now();
    let found = root.when_ready::<Probe>("root/a").await.unwrap();
    assert_eq!(rounded(begun.elapsed()), 1_000);
    assert_eq!(found.send(ask()).await, Ok(1));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn message_to_a_service_that_is_down_is_for_its_next_run() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let a = add(&root, spec("a", &log).backoff(Backoff::constant(SECOND))).await;
    a.do_send(fail("boom"));
    quiet().await;
    let found = root.lookup::<Probe>("root/a").await.unwrap();
    let (old, new) = tokio::join!(a.send(ask()), found.send(ask()));
    assert_eq!((old, new), (Ok(1), Ok(1)));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn who_waits_outlasts_starts_that_fail() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let delayed = failing("a", &log, 3).backoff(Backoff::constant(SECOND));
    root.add(delayed).await.unwrap();
    let found = root.when_ready::<Probe>("root/a").await.unwrap();
    assert_eq!(found.send(ask()).await, Ok(3));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn lookups_across_restarts_never_find_another_service() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let names = ["a", "b", "c", "d", "e"];
    let mut services = Vec::new();
    for name in names {
        services.push(add(&root, spec(name, &log)).await);
    }
    for round in 1..=20 {
        for service in &services {
            service.do_send(fail("boom"));
        }
        // Before, while and after all of them are down.
        for _ in 0..3 {
            let looking = names.map(|name| root.lookup::<Probe>(format!("root/{name}")));
            for (found, service) in join_all(looking).await.into_iter().zip(&services) {
                assert_eq!(found.unwrap(), *service);
            }
            tokio::task::yield_now().await;
        }
        quiet().await;
        let waiting = names.map(|name| root.when_ready::<Probe>(format!("root/{name}")));
        for (found, service) in join_all(waiting).await.into_iter().zip(&services) {
            assert_eq!(found.unwrap(), *service);
        }
        let summaries = root.services().await.unwrap();
        assert!(
            summaries
                .iter()
                .all(|service| service.generation() == round)
        );
    }
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn names_are_listed_in_start_order_until_the_tree_has_ended() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    for name in ["c", "a", "b"] {
        add(&root, spec(name, &log)).await;
    }
    let services = root.services().await.unwrap();
    let names: Vec<_> = services.iter().map(ServiceSummary::name).collect();
    assert_eq!(names, ["c", "a", "b"]);
    root.shutdown().await.unwrap();
    assert_eq!(root.services().await, Err(SupervisorGone));
}

#[actix::test]
async fn look_up_in_a_tree_that_has_ended_says_so() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let token = add(&root, spec("a", &log)).await.token();
    root.shutdown().await.unwrap();
    let gone = LookupError::SupervisorGone;
    assert_eq!(root.lookup::<Probe>("root/a").await.unwrap_err(), gone);
    assert_eq!(root.lookup::<Probe>(token).await.unwrap_err(), gone);
    assert_eq!(root.when_ready::<Probe>(token).await.unwrap_err(), gone);
}
