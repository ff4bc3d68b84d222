//! What is told: events, errors with their causes, and what is wrong at this moment.

use std::{error::Error, time::Duration};

use resurgam::{
    Event, EventKind, JoinError, RestartLimit, RestartType, ServiceSpec, SupervisorActor,
    SupervisorSpec,
};
use tokio::time;

use super::support::{
    Act, Generation, Log, Recorder, Start, Stop, patiently, planned, probe, root, settle,
};

#[actix::test]
async fn event_tells_who_which_run_when_and_what() {
    time::pause();
    let root = root(SupervisorSpec::default()).await;
    let service = root.add_and_wait(probe("a", &Log::default())).await;
    let service = service.unwrap();
    let mut events = Recorder::new(&root);
    time::advance(Duration::from_secs(7)).await;
    service.do_send(Act::Fail);
    let event = events
        .until(|kind| matches!(kind, EventKind::ServiceFailed { .. }))
        .await;
    assert_eq!(event.path(), "root/a");
    assert_eq!(event.token(), Some(service.token()));
    assert_eq!(event.generation(), 0);
    assert_eq!(event.monotonic(), time::Instant::now().into_std());
    assert!(event.kind().is_failure());
    assert_eq!(
        event.to_string(),
        "root/a#0: failed: failed on purpose; restarting (count 1.00)"
    );
}

#[actix::test]
async fn failed_start_has_a_time_too() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let mut events = Recorder::new(&root);
    time::advance(Duration::from_secs(7)).await;
    let mut tier = SupervisorActor::with_defaults("tier");
    tier.add(planned("a", &log, |_| (Start::Refuse, Stop::Obey)))
        .unwrap();
    root.add_and_wait(ServiceSpec::supervisor(tier))
        .await
        .unwrap_err();
    let now = time::Instant::now().into_std();
    let failed: Vec<_> = events.take_whole();
    let failed = failed.iter().filter(|event| event.kind().is_failure());
    let times: Vec<_> = failed.map(Event::monotonic).collect();
    assert_eq!(times, [now; 3]);
}

#[actix::test]
async fn subscriber_that_never_reads_holds_up_nobody_and_learns_what_it_missed() {
    time::pause();
    let spec = SupervisorSpec::default().limit(RestartLimit::unlimited());
    let root = root(spec).await;
    let service = root.add_and_wait(probe("a", &Log::default())).await;
    let service = service.unwrap();
    let mut slow = root.events_with_capacity(2);
    let mut prompt = root.events_with_capacity(1_000);
    for _ in 0..100 {
        service.do_send(Act::Fail);
    }
    assert_eq!(patiently(service.send(Generation)).await, Ok(100));
    // Failed, started, ready: each of the hundred runs.
    assert_eq!(slow.lost(), 298);
    assert_eq!(prompt.lost(), 0);
    let read = std::iter::from_fn(|| prompt.try_next()).count();
    assert_eq!(read, 300);
    assert!(slow.try_next().is_some());
}

#[actix::test]
async fn subscriber_that_goes_away_leaves_the_others_alone() {
    time::pause();
    let root = root(SupervisorSpec::default()).await;
    let service = root.add_and_wait(probe("a", &Log::default())).await;
    let service = service.unwrap();
    let gone = root.events();
    let mut events = Recorder::new(&root);
    // Even one that panics while it has a subscription.
    let panicking = actix::spawn({
        let own = root.events();
        async move {
            let _own = own;
            panic!("subscriber panicked on purpose");
        }
    });
    assert!(panicking.await.is_err());
    drop(gone);
    service.do_send(Act::Fail);
    events
        .until(|kind| matches!(kind, EventKind::ServiceFailed { .. }))
        .await;
    assert_eq!(service.send(Generation).await, Ok(1));
}

/// A tree of two levels that gives up on the first failure below.
async fn end_of_a_fragile_tree() -> JoinError {
    let fragile = || {
        SupervisorSpec::default().limit(RestartLimit::window(0, Duration::from_secs(5)).escalate())
    };
    let mut tier = SupervisorActor::new("tier", fragile());
    let service = tier.add(probe("a", &Log::default())).unwrap();
    let mut root = SupervisorActor::new("root", fragile());
    root.add(ServiceSpec::supervisor(tier)).unwrap();
    let root = root.start().await.unwrap();
    service.do_send(Act::Fail);
    patiently(root.join()).await.unwrap_err()
}

#[actix::test]
async fn error_of_a_tree_has_every_cause_down_to_the_service() {
    time::pause();
    let error = end_of_a_fragile_tree().await;
    let mut chain = vec![error.to_string()];
    let mut next = error.source();
    while let Some(source) = next {
        chain.push(source.to_string());
        next = source.source();
    }
    assert_eq!(
        chain,
        [
            "supervisor `root` gave up: escalated by `root/tier`",
            "escalated by `root/tier`",
            "escalated by `root/tier/a`",
            "failed: failed on purpose",
        ]
    );
}

#[actix::test]
async fn error_of_a_tree_explains_itself_in_one_line() {
    time::pause();
    let error = end_of_a_fragile_tree().await;
    let JoinError::Escalated { reason, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(
        format!("{reason:#}"),
        "escalated by `root/tier`: escalated by `root/tier/a`: failed: failed on purpose"
    );
}

#[actix::test]
async fn service_that_failed_for_good_does_not_stay_failing() {
    time::pause();
    let root = root(SupervisorSpec::default()).await;
    let spec = probe("a", &Log::default()).restart(RestartType::Temporary);
    let service = root.add_and_wait(spec).await.unwrap();
    service.do_send(Act::Fail);
    settle().await;
    let counts = root.counts().await.unwrap();
    assert_eq!((counts.services, counts.failed), (0, 0));
}

#[actix::test]
async fn failing_service_is_counted_as_such_until_it_is_reset() {
    time::pause();
    let root = root(SupervisorSpec::default()).await;
    let once = RestartLimit::window(1, Duration::from_secs(5));
    let spec = probe("a", &Log::default()).limit(once.give_up());
    let service = root.add_and_wait(spec).await.unwrap();
    service.do_send(Act::Fail);
    assert_eq!(service.send(Generation).await, Ok(1));
    assert_eq!(root.counts().await.unwrap().failed, 0);
    service.do_send(Act::Fail);
    settle().await;
    assert_eq!(root.counts().await.unwrap().failed, 1);
    root.reset(service.token()).await.unwrap();
    assert_eq!(root.counts().await.unwrap().failed, 0);
}

#[actix::test]
async fn events_of_a_subtree_are_told_apart_from_those_of_a_longer_name() {
    time::pause();
    let log = Log::default();
    let mut root = SupervisorActor::with_defaults("root");
    let mut services = Vec::new();
    for name in ["branch0", "branch00"] {
        let mut branch = SupervisorActor::with_defaults(name);
        services.push(branch.add(probe("a", &log)).unwrap());
        root.add(ServiceSpec::supervisor(branch)).unwrap();
    }
    let root = root.start().await.unwrap();
    let mut events = Recorder::new(&root);
    services[1].do_send(Act::Fail);
    let event = events
        .until(|kind| matches!(kind, EventKind::ServiceFailed { .. }))
        .await;
    // Names have no `/`, so a path that is a prefix is a parent only if a `/` follows.
    assert!(!event.path().starts_with("root/branch0/"));
    assert!(event.path().starts_with("root/branch00/"));
}

#[actix::test]
async fn closure_picks_out_the_failures_of_one_subtree_or_those_of_supervisors() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let once = SupervisorSpec::default()
        .limit(RestartLimit::window(1, Duration::from_secs(3600)).escalate());
    let tier = SupervisorActor::new("tier", once);
    let tier = root.add_supervisor(tier).await.unwrap();
    let inside = tier.add_and_wait(probe("a", &log)).await.unwrap();
    // Its name begins like that of the subtree, and it is not in it.
    let outside = root.add_and_wait(probe("tier-2", &log)).await.unwrap();
    let mut events = Recorder::new(&root);
    outside.do_send(Act::Fail);
    inside.do_send(Act::Complete);
    inside.do_send(Act::Panic);
    settle().await;
    let events = events.take_whole();
    let picked = |wanted: &dyn Fn(&Event) -> bool| -> Vec<String> {
        let found = events.iter().filter(|event| wanted(event));
        found.map(|event| event.path().to_owned()).collect()
    };
    let is_failure = |event: &Event| event.kind().is_failure();
    let is_inside = |event: &Event| event.path().starts_with("root/tier/");
    let of_supervisor =
        |event: &Event| matches!(event.kind(), EventKind::SupervisorEscalated { .. });
    assert_eq!(
        picked(&is_failure),
        [
            "root/tier-2",
            "root/tier/a",
            "root/tier",
            "root/tier",
            "root/tier"
        ]
    );
    assert_eq!(
        picked(&|event| is_failure(event) && is_inside(event)),
        ["root/tier/a"]
    );
    assert_eq!(picked(&of_supervisor), ["root/tier"]);
    assert!(picked(&|event| !is_failure(event) && is_inside(event)).len() > 1);
}
