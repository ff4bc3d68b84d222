//! Restarts that take siblings along.

use resurgam::{
    EventKind, RestartType, ServiceRef, ServiceState, Strategy, SupervisorActor, SupervisorRef,
    SupervisorSpec,
};
use tokio::time;

use super::support::{
    Act, Generation, Log, Probe, Recorder, Start, Stop, planned, probe, settle, state_of,
};

/// A root with `a`, `b` and `c`, started, its log empty.
async fn trio(strategy: Strategy, log: &Log) -> (SupervisorRef, Vec<ServiceRef<Probe>>) {
    let specs = ["a", "b", "c"].map(|name| probe(name, log));
    let spec = SupervisorSpec::default().strategy(strategy);
    let mut root = SupervisorActor::new("root", spec);
    let services = specs.into_iter().map(|spec| root.add(spec).unwrap());
    let services = services.collect();
    let root = root.start().await.unwrap();
    log.take();
    (root, services)
}

#[actix::test]
async fn one_for_all_stops_the_others_in_reverse_and_starts_everybody_in_order() {
    time::pause();
    let log = Log::default();
    let (_root, services) = trio(Strategy::OneForAll, &log).await;
    services[1].do_send(Act::Fail);
    settle().await;
    assert_eq!(services[2].send(Generation).await, Ok(1));
    assert_eq!(log.take(), ["-b", "-c", "-a", "+a", "+b", "+c"]);
}

#[actix::test]
async fn one_for_all_restarts_everybody_when_a_permanent_service_completes() {
    time::pause();
    let log = Log::default();
    let (_root, services) = trio(Strategy::OneForAll, &log).await;
    services[0].do_send(Act::Complete);
    settle().await;
    assert_eq!(services[2].send(Generation).await, Ok(1));
    assert_eq!(log.take(), ["-a", "-c", "-b", "+a", "+b", "+c"]);
}

#[actix::test]
async fn one_for_all_does_nothing_when_a_transient_service_completes() {
    time::pause();
    let log = Log::default();
    let spec = SupervisorSpec::default().strategy(Strategy::OneForAll);
    let mut root = SupervisorActor::new("root", spec);
    let other = root.add(probe("a", &log)).unwrap();
    let spec = probe("b", &log).restart(RestartType::Transient);
    let transient = root.add(spec).unwrap();
    let _root = root.start().await.unwrap();
    transient.do_send(Act::Complete);
    settle().await;
    assert_eq!(other.send(Generation).await, Ok(0));
}

#[actix::test]
async fn group_restart_counts_once() {
    time::pause();
    let log = Log::default();
    let (root, services) = trio(Strategy::OneForAll, &log).await;
    services[1].do_send(Act::Fail);
    settle().await;
    assert_eq!(services[2].send(Generation).await, Ok(1));
    let count = root.report().await.unwrap().failure_count();
    assert!((0.99..=1.0).contains(&count), "{count}");
}

#[actix::test]
async fn sibling_that_fails_while_it_is_stopped_for_the_group_is_reported_and_not_counted() {
    time::pause();
    let log = Log::default();
    let spec = SupervisorSpec::default().strategy(Strategy::OneForAll);
    let mut root = SupervisorActor::new("root", spec);
    let unwilling = planned("a", &log, |_| (Start::Go, Stop::Fail));
    let unwilling = root.add(unwilling).unwrap();
    let failing = root.add(probe("b", &log)).unwrap();
    let root = root.start().await.unwrap();
    let mut events = Recorder::new(&root);
    failing.do_send(Act::Fail);
    assert_eq!(failing.send(Generation).await, Ok(1));
    assert_eq!(unwilling.send(Generation).await, Ok(1));
    let failed: Vec<String> = events
        .take_whole()
        .iter()
        .filter(|event| matches!(event.kind(), EventKind::ServiceFailed { .. }))
        .map(|event| event.path().to_owned())
        .collect();
    assert_eq!(failed, ["root/b", "root/a"]);
    let count = root.report().await.unwrap().failure_count();
    assert!((0.99..=1.0).contains(&count), "{count}");
}

#[actix::test]
async fn group_restart_revives_who_has_ended_normally_and_is_not_temporary() {
    time::pause();
    let log = Log::default();
    let spec = SupervisorSpec::default().strategy(Strategy::OneForAll);
    let mut root = SupervisorActor::new("root", spec);
    let transient = probe("done", &log).restart(RestartType::Transient);
    let transient = root.add(transient).unwrap();
    let temporary = probe("failed", &log).restart(RestartType::Temporary);
    let temporary = root.add(temporary).unwrap();
    let failing = root.add(probe("c", &log)).unwrap();
    let root = root.start().await.unwrap();
    transient.do_send(Act::Complete);
    temporary.do_send(Act::Fail);
    settle().await;
    log.take();
    failing.do_send(Act::Fail);
    assert_eq!(failing.send(Generation).await, Ok(1));
    settle().await;
    assert_eq!(log.take(), ["-c", "+done", "+c"]);
    for (token, state) in [
        (transient.token(), ServiceState::Ready),
        (temporary.token(), ServiceState::Stopped),
    ] {
        assert_eq!(state_of(&root, token).await, Some(state));
    }
}

#[actix::test]
async fn temporary_sibling_that_runs_is_stopped_with_the_group_and_not_started_again() {
    time::pause();
    let log = Log::default();
    let spec = SupervisorSpec::default().strategy(Strategy::OneForAll);
    let mut root = SupervisorActor::new("root", spec);
    let temporary = probe("a", &log).restart(RestartType::Temporary);
    root.add(temporary).unwrap();
    let failing = root.add(probe("b", &log)).unwrap();
    let _root = root.start().await.unwrap();
    failing.do_send(Act::Fail);
    assert_eq!(failing.send(Generation).await, Ok(1));
    assert_eq!(log.take(), ["+a", "+b", "-b", "-a", "+b"]);
}

#[actix::test]
async fn group_start_that_fails_is_counted_and_tried_again_as_a_whole() {
    time::pause();
    let log = Log::default();
    let spec = SupervisorSpec::default().strategy(Strategy::OneForAll);
    let mut root = SupervisorActor::new("root", spec);
    let first = root.add(probe("a", &log)).unwrap();
    let second = planned("b", &log, |generation| match generation {
        1 => (Start::Refuse, Stop::Obey),
        _ => (Start::Go, Stop::Obey),
    });
    let second = root.add(second).unwrap();
    let third = root.add(probe("c", &log)).unwrap();
    let root = root.start().await.unwrap();
    log.take();
    first.do_send(Act::Fail);
    settle().await;
    assert_eq!(third.send(Generation).await, Ok(1));
    assert_eq!(second.send(Generation).await, Ok(2));
    assert_eq!(first.send(Generation).await, Ok(2));
    assert_eq!(
        log.take(),
        ["-a", "-c", "-b", "+a", "!b", "-a", "+a", "+b", "+c"]
    );
    let count = root.report().await.unwrap().failure_count();
    assert!((1.99..=2.0).contains(&count), "{count}");
}

#[actix::test]
async fn rest_for_one_restarts_those_that_come_after() {
    time::pause();
    let log = Log::default();
    let (_root, services) = trio(Strategy::RestForOne, &log).await;
    services[1].do_send(Act::Fail);
    settle().await;
    assert_eq!(services[2].send(Generation).await, Ok(1));
    assert_eq!(log.take(), ["-b", "-c", "+b", "+c"]);
    assert_eq!(services[0].send(Generation).await, Ok(0));
}

#[actix::test]
async fn group_restart_never_has_two_runs_of_one_service() {
    time::pause();
    let log = Log::default();
    let (root, services) = trio(Strategy::OneForAll, &log).await;
    for service in &services {
        service.do_send(Act::Panic);
    }
    settle().await;
    for service in &services {
        service.send(Generation).await.unwrap();
    }
    assert_eq!(log.most_alive(), 1);
    root.shutdown().await.unwrap();
    assert_eq!(log.alive("a") + log.alive("b") + log.alive("c"), 0);
}
