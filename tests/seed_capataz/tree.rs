//! Subtrees: what they keep, what they count for their parent, and what happens when they give up.

use std::time::Duration;

use resurgam::{
    EventKind, ExitReason, JoinError, RestartLimit, RestartType, ServiceRef, ServiceSpec, Shutdown,
    SupervisorActor, SupervisorRef, SupervisorSpec,
};
use tokio::time;

use super::support::{
    Act, Generation, Log, Probe, Recorder, Start, Stop, patiently, planned, probe, root, settle,
};

/// Gives up when there is more than one failure in five seconds, as capataz does unless told otherwise.
fn tolerant_of_one() -> SupervisorSpec {
    SupervisorSpec::default().limit(RestartLimit::window(1, Duration::from_secs(5)).escalate())
}

/// A root, and a `tier` with `a`, `b` and `c` that tolerates one failure.
async fn fixture(root_spec: SupervisorSpec, log: &Log) -> (SupervisorRef, Vec<ServiceRef<Probe>>) {
    let root = root(root_spec).await;
    let mut tier = SupervisorActor::new("tier", tolerant_of_one());
    let names = ["a", "b", "c"];
    let services = names.map(|name| tier.add(probe(name, log)).unwrap());
    let tier = ServiceSpec::supervisor(tier);
    root.add_and_wait(tier).await.unwrap();
    log.take();
    (root, services.into())
}

#[actix::test]
async fn supervisor_that_gives_up_stops_its_services_in_reverse_and_then_fails() {
    time::pause();
    let log = Log::default();
    let root_spec = SupervisorSpec::default();
    let (root, services) = fixture(root_spec, &log).await;
    let mut events = Recorder::new(&root);
    services[1].do_send(Act::Fail);
    services[1].do_send(Act::Fail);
    events
        .until(|kind| matches!(kind, EventKind::LimitExceeded { .. }))
        .await;
    settle().await;
    let mut lines = events.take();
    lines.truncate(4);
    assert_eq!(
        lines,
        [
            "root/tier/c ServiceStopped",
            "root/tier/a ServiceStopped",
            "root/tier SupervisorEscalated",
            "root/tier ServiceFailed",
        ]
    );
    assert_eq!(log.take(), ["-b", "+b", "-b", "-c", "-a", "+a", "+b", "+c"]);
}

#[actix::test]
async fn supervisor_that_gave_up_counts_once_and_comes_back_with_a_fresh_limit() {
    time::pause();
    let log = Log::default();
    let (root, services) = fixture(SupervisorSpec::default(), &log).await;
    for round in 1..=3 {
        services[0].do_send(Act::Fail);
        services[0].do_send(Act::Fail);
        assert_eq!(services[0].send(Generation).await, Ok(2 * round));
        let count = root.report().await.unwrap().failure_count();
        assert_eq!(count.round().to_string(), round.to_string());
    }
}

#[actix::test]
async fn restarted_subtree_reports_its_services_before_itself() {
    time::pause();
    let log = Log::default();
    let (root, services) = fixture(SupervisorSpec::default(), &log).await;
    let mut events = Recorder::new(&root);
    services[0].do_send(Act::Fail);
    services[0].do_send(Act::Fail);
    events
        .until(|kind| matches!(kind, EventKind::SupervisorEscalated { .. }))
        .await;
    settle().await;
    let mut lines = events.take();
    lines.retain(|line| line.ends_with("ServiceReady") || line.ends_with("SupervisorStarted"));
    assert_eq!(
        lines,
        [
            "root/tier/a ServiceReady",
            "root/tier/b ServiceReady",
            "root/tier/c ServiceReady",
            "root/tier SupervisorStarted",
            "root/tier ServiceReady",
        ]
    );
}

#[actix::test]
async fn root_that_gives_up_ends_with_the_error() {
    time::pause();
    let root = root(tolerant_of_one()).await;
    let service = root.add_and_wait(probe("a", &Log::default())).await;
    let service = service.unwrap();
    service.do_send(Act::Fail);
    service.do_send(Act::Fail);
    let error = patiently(root.join()).await.unwrap_err();
    let JoinError::Escalated { path, reason, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(&*path, "root");
    assert!(matches!(reason, ExitReason::Escalated { .. }), "{reason}");
    assert!(service.send(Generation).await.is_err());
}

#[actix::test]
async fn failures_climb_from_limit_to_limit_up_to_the_root() {
    time::pause();
    let log = Log::default();
    let (root, services) = fixture(tolerant_of_one(), &log).await;
    for _ in 0..4 {
        services[2].do_send(Act::Fail);
    }
    let error = patiently(root.join()).await.unwrap_err();
    let JoinError::Escalated { reason, .. } = error else {
        panic!("{error}");
    };
    let chain = format!("{reason:#}");
    assert!(chain.contains("root/tier"), "{chain}");
    assert!(chain.contains("root/tier/c"), "{chain}");
    assert!(chain.contains("failed on purpose"), "{chain}");
}

#[actix::test]
async fn sibling_that_fails_to_stop_when_its_supervisor_gives_up_is_reported_and_hinders_nobody() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let mut tier = SupervisorActor::new("tier", tolerant_of_one());
    tier.add(planned("a", &log, |_| (Start::Go, Stop::Fail)))
        .unwrap();
    let failing = tier.add(probe("b", &log)).unwrap();
    let tier = ServiceSpec::supervisor(tier);
    root.add_and_wait(tier).await.unwrap();
    let mut events = Recorder::new(&root);
    failing.do_send(Act::Fail);
    failing.do_send(Act::Fail);
    assert_eq!(failing.send(Generation).await, Ok(2));
    let lines = events.take();
    let failed = lines.iter().filter(|line| line.ends_with("ServiceFailed"));
    assert_eq!(
        failed.collect::<Vec<_>>(),
        [
            "root/tier/b ServiceFailed",
            "root/tier/b ServiceFailed",
            "root/tier/a ServiceFailed",
            "root/tier ServiceFailed",
        ]
    );
}

#[actix::test]
async fn temporary_subtree_that_gives_up_is_dropped_and_its_siblings_run_on() {
    time::pause();
    let log = Log::default();
    let root = root(tolerant_of_one()).await;
    let sibling = root.add_and_wait(probe("sibling", &log)).await.unwrap();
    let mut tier = SupervisorActor::new("tier", tolerant_of_one());
    let failing = tier.add(probe("a", &log)).unwrap();
    let tier = ServiceSpec::supervisor(tier).restart(RestartType::Temporary);
    let tier = root.add_and_wait(tier).await.unwrap();
    failing.do_send(Act::Fail);
    failing.do_send(Act::Fail);
    settle().await;
    assert!(failing.send(Generation).await.is_err());
    let services = root.services().await.unwrap();
    assert!(services.iter().all(|entry| entry.token() != tier.token()));
    assert_eq!(sibling.send(Generation).await, Ok(0));
    assert_eq!(log.alive("a"), 0);
}

#[actix::test]
async fn subtree_is_given_all_the_time_that_its_services_need_to_stop() {
    time::pause();
    let log = Log::default();
    let mut tier = SupervisorActor::with_defaults("tier");
    let slow = planned("slow", &log, |_| {
        (Start::Go, Stop::Late(Duration::from_secs(60)))
    });
    tier.add(slow.shutdown(Shutdown::Timeout(Duration::from_secs(90))))
        .unwrap();
    // A supervisor's own timeout is for those that name none, and a subtree has named one.
    let root = root(SupervisorSpec::default().shutdown_timeout(Duration::from_secs(1))).await;
    root.add_and_wait(ServiceSpec::supervisor(tier))
        .await
        .unwrap();
    let report = root.shutdown().await.unwrap();
    assert!(report.is_clean(), "{report}");
}

#[actix::test]
async fn one_subscription_hears_the_whole_tree() {
    time::pause();
    let log = Log::default();
    let (root, services) = fixture(SupervisorSpec::default(), &log).await;
    let mut events = Recorder::new(&root);
    services[0].do_send(Act::Fail);
    let event = events
        .until(|kind| matches!(kind, EventKind::ServiceFailed { .. }))
        .await;
    assert_eq!(event.path(), "root/tier/a");
}

#[actix::test]
async fn failure_below_is_not_counted_above() {
    time::pause();
    let log = Log::default();
    let (root, services) = fixture(SupervisorSpec::default(), &log).await;
    services[0].do_send(Act::Fail);
    assert_eq!(services[0].send(Generation).await, Ok(1));
    let count = root.report().await.unwrap().failure_count();
    assert!(count.abs() < 1e-9, "{count}");
}
