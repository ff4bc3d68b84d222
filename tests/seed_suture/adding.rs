//! Adding services: before the start, while it runs, and when it is too late.

use std::time::Duration;

use resurgam::{
    AddError, EventKind, Readiness, ServiceSpec, SupervisorActor, SupervisorRef, SupervisorSpec,
};
use tokio::time;

use super::support::{
    Act, Generation, Log, Recorder, Start, Stop, patiently, planned, probe, root, settle,
};

#[actix::test]
async fn services_added_before_the_start_are_started_with_it_in_order() {
    time::pause();
    let log = Log::default();
    let mut root = SupervisorActor::with_defaults("root");
    for name in ["a", "b", "c"] {
        root.add(probe(name, &log)).unwrap();
    }
    settle().await;
    assert!(log.take().is_empty());
    let _root = root.start().await.unwrap();
    assert_eq!(log.take(), ["+a", "+b", "+c"]);
}

#[actix::test]
async fn service_added_to_a_running_supervisor_is_started_at_once() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let began = time::Instant::now();
    let service = root.add(probe("a", &log)).await.unwrap();
    assert_eq!(service.send(Generation).await, Ok(0));
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[actix::test]
async fn add_returns_before_a_slow_start_is_over() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let slow = planned("a", &log, |_| {
        (Start::ReadyAfter(Duration::from_secs(60)), Stop::Obey)
    });
    let began = time::Instant::now();
    let slow = root.add(slow.readiness(Readiness::Explicit)).await.unwrap();
    assert_eq!(root.services().await.unwrap()[0].token(), slow.token());
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[actix::test]
async fn one_kind_of_service_can_be_added_many_times() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let one = root.add_and_wait(probe("one", &log)).await.unwrap();
    let two = root.add_and_wait(probe("two", &log)).await.unwrap();
    assert_ne!(one.token(), two.token());
    root.remove(one.token()).await.unwrap();
    assert_eq!(two.send(Generation).await, Ok(0));
}

#[actix::test]
async fn adding_to_a_supervisor_that_has_stopped_is_an_error_at_once() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    root.shutdown().await.unwrap();
    let refused = patiently(root.add(probe("a", &log))).await.unwrap_err();
    assert_eq!(refused, AddError::SupervisorGone);
    settle().await;
    assert!(log.take().is_empty());
}

#[actix::test]
async fn adding_to_a_supervisor_that_is_stopping_is_an_error_at_once() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let slow = planned("slow", &log, |_| {
        (Start::Go, Stop::Late(Duration::from_secs(5)))
    });
    root.add_and_wait(slow).await.unwrap();
    let stopping = actix::spawn({
        let root = root.clone();
        async move { root.shutdown().await }
    });
    settle().await;
    let began = time::Instant::now();
    let refused = patiently(root.add(probe("a", &log))).await.unwrap_err();
    assert_eq!(refused, AddError::ShuttingDown);
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert!(stopping.await.unwrap().unwrap().is_clean());
    assert_eq!(log.take(), ["+slow", "-slow"]);
}

#[actix::test]
async fn adding_races_with_shutdown_without_a_hang_or_a_leftover() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let adding: Vec<_> = (0..50)
        .map(|number| {
            let (root, spec) = (root.clone(), probe(&format!("s{number}"), &log));
            actix::spawn(async move { root.add(spec).await.is_ok() })
        })
        .collect();
    assert!(patiently(root.shutdown()).await.unwrap().is_clean());
    for adding in adding {
        let _added_or_refused = patiently(adding).await.unwrap();
    }
    settle().await;
    let lines = log.take();
    let started = lines.iter().filter(|line| line.starts_with('+')).count();
    let ended = lines.iter().filter(|line| line.starts_with('-')).count();
    assert_eq!(started, ended);
}

#[actix::test]
async fn many_may_add_while_a_supervisor_is_being_started() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let mut tier = SupervisorActor::with_defaults("tier");
    let slow = planned("slow", &log, |_| {
        (Start::ReadyAfter(Duration::from_secs(1)), Stop::Obey)
    });
    tier.add(slow.readiness(Readiness::Explicit)).unwrap();
    let tier = root.add(ServiceSpec::supervisor(tier)).await.unwrap();
    let tier = SupervisorRef::try_from(tier).unwrap();
    let adding: Vec<_> = (0..50)
        .map(|number| {
            let (tier, spec) = (tier.clone(), probe(&format!("s{number}"), &log));
            actix::spawn(async move { tier.add_and_wait(spec).await.unwrap().token() })
        })
        .collect();
    let mut tokens = Vec::new();
    for adding in adding {
        tokens.push(patiently(adding).await.unwrap());
    }
    tokens.sort_unstable();
    tokens.dedup();
    assert_eq!(tokens.len(), 50);
    assert_eq!(tier.services().await.unwrap().len(), 51);
}

#[actix::test]
async fn subscription_hears_of_a_grandchild_whenever_it_was_added() {
    time::pause();
    let log = Log::default();
    let mut inner = SupervisorActor::with_defaults("inner");
    // Added before anybody above exists.
    let early = inner.add(probe("early", &log)).unwrap();
    let mut tier = SupervisorActor::with_defaults("tier");
    let inner = tier.add(ServiceSpec::supervisor(inner)).unwrap();
    let mut root = SupervisorActor::with_defaults("root");
    root.add(ServiceSpec::supervisor(tier)).unwrap();
    let root = root.start().await.unwrap();
    let mut events = Recorder::new(&root);
    let late = SupervisorRef::try_from(inner)
        .unwrap()
        .add_and_wait(probe("late", &log))
        .await
        .unwrap();
    for service in [early, late] {
        service.do_send(Act::Fail);
        let event = events
            .until(|kind| matches!(kind, EventKind::ServiceFailed { .. }))
            .await;
        assert_eq!(event.path(), service.path());
    }
}
