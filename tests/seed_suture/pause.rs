//! What happens while restarts pause, and when they go on.

use std::time::Duration;

use resurgam::{EventKind, RestartLimit, ServiceRef, ServiceState, SupervisorRef, SupervisorSpec};
use tokio::time;

use super::support::{Act, Generation, Log, Probe, Recorder, probe, root, settle, state_of};

const PAUSE: Duration = Duration::from_secs(15);

/// A root that pauses on each failure, with services of these names.
async fn fixture(names: &[&str], log: &Log) -> (SupervisorRef, Vec<ServiceRef<Probe>>) {
    fixture_with(SupervisorSpec::default().limit(touchy()), names, log).await
}

fn touchy() -> RestartLimit {
    RestartLimit::decay(Duration::from_secs(30), 0.5, PAUSE)
}

async fn fixture_with(
    spec: SupervisorSpec,
    names: &[&str],
    log: &Log,
) -> (SupervisorRef, Vec<ServiceRef<Probe>>) {
    let root = root(spec).await;
    let mut services = Vec::new();
    for name in names {
        services.push(root.add_and_wait(probe(name, log)).await.unwrap());
    }
    log.take();
    (root, services)
}

#[actix::test]
async fn failure_comes_before_the_pause_and_the_end_of_the_pause_before_the_restart() {
    time::pause();
    let (root, services) = fixture(&["a"], &Log::default()).await;
    let mut events = Recorder::new(&root);
    services[0].do_send(Act::Fail);
    assert_eq!(services[0].send(Generation).await, Ok(1));
    assert_eq!(
        events.take(),
        [
            "root/a ServiceFailed",
            "root PauseStarted",
            "root PauseEnded",
            "root/a ServiceStarted",
            "root/a ServiceReady",
        ]
    );
}

#[actix::test]
async fn healthy_services_run_on_during_a_pause() {
    time::pause();
    let (_root, services) = fixture(&["a", "b"], &Log::default()).await;
    services[0].do_send(Act::Fail);
    settle().await;
    let began = time::Instant::now();
    assert_eq!(services[1].send(Generation).await, Ok(0));
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[actix::test]
async fn restart_is_withheld_for_all_of_the_pause_and_no_longer() {
    time::pause();
    let log = Log::default();
    let (root, services) = fixture(&["a"], &log).await;
    let began = time::Instant::now();
    services[0].do_send(Act::Fail);
    time::sleep(Duration::from_millis(14_990)).await;
    assert_eq!(log.take(), ["-a"]);
    assert_eq!(
        state_of(&root, services[0].token()).await,
        Some(ServiceState::Paused)
    );
    assert_eq!(services[0].send(Generation).await, Ok(1));
    assert_eq!(began.elapsed().as_secs(), PAUSE.as_secs());
}

#[actix::test]
async fn services_that_fail_during_a_pause_are_restarted_with_the_first_in_order_of_failure() {
    time::pause();
    let log = Log::default();
    let (root, services) = fixture(&["a", "b", "c"], &log).await;
    let mut events = Recorder::new(&root);
    for index in [2, 0, 1] {
        services[index].do_send(Act::Fail);
        settle().await;
    }
    log.take();
    let ended = events
        .until(|kind| matches!(kind, EventKind::PauseEnded { .. }))
        .await;
    assert!(matches!(
        ended.kind(),
        EventKind::PauseEnded { queued: 3, .. }
    ));
    settle().await;
    assert_eq!(log.take(), ["+c", "+a", "+b"]);
}

#[actix::test]
async fn failure_during_a_pause_begins_it_anew() {
    time::pause();
    let (root, services) = fixture(&["a", "b"], &Log::default()).await;
    let mut events = Recorder::new(&root);
    let began = time::Instant::now();
    services[0].do_send(Act::Fail);
    time::sleep(Duration::from_secs(10)).await;
    services[1].do_send(Act::Fail);
    assert_eq!(services[0].send(Generation).await, Ok(1));
    assert_eq!(began.elapsed().as_secs(), 25);
    let pauses = events.take();
    let pauses = pauses.iter().filter(|line| line.ends_with("PauseStarted"));
    assert_eq!(pauses.count(), 2);
}

#[actix::test]
async fn failure_during_a_pause_that_leaves_the_count_below_the_threshold_does_not_prolong_it() {
    time::pause();
    // Forgotten by half each second: during the pause the count falls below the threshold.
    let limit = RestartLimit::decay(Duration::from_secs(1), 1.5, PAUSE);
    let spec = SupervisorSpec::default().limit(limit);
    let (_root, services) = fixture_with(spec, &["a", "b"], &Log::default()).await;
    let began = time::Instant::now();
    services[0].do_send(Act::Fail);
    services[0].do_send(Act::Fail);
    time::sleep(Duration::from_secs(10)).await;
    services[1].do_send(Act::Fail);
    assert_eq!(services[1].send(Generation).await, Ok(1));
    assert_eq!(began.elapsed().as_secs(), 15);
}

#[actix::test]
async fn flapping_services_cannot_prolong_a_pause_beyond_its_bound() {
    time::pause();
    let limit = touchy().max_pause(Duration::from_secs(20));
    let spec = SupervisorSpec::default().limit(limit);
    let names = ["a", "b", "c", "d"];
    let (_root, services) = fixture_with(spec, &names, &Log::default()).await;
    let began = time::Instant::now();
    for service in &services {
        service.do_send(Act::Fail);
        time::sleep(Duration::from_secs(6)).await;
    }
    // The fourth failed at 18 s: without the bound the pause would last until 33 s.
    assert_eq!(services[0].send(Generation).await, Ok(1));
    let waited = began.elapsed().as_secs();
    assert_eq!(
        waited, 24,
        "the last sleep ended at 24 s, the pause before it"
    );
    assert_eq!(services[3].send(Generation).await, Ok(1));
}

#[actix::test]
async fn count_is_zero_after_a_pause() {
    time::pause();
    let (root, services) = fixture(&["a"], &Log::default()).await;
    services[0].do_send(Act::Fail);
    assert_eq!(services[0].send(Generation).await, Ok(1));
    let count = root.report().await.unwrap().failure_count();
    assert!(count.abs() < 1e-9, "{count}");
}

#[actix::test]
async fn services_are_restarted_all_at_once_after_a_pause() {
    time::pause();
    let (_root, services) = fixture(&["a", "b", "c"], &Log::default()).await;
    for service in &services {
        service.do_send(Act::Fail);
    }
    let began = time::Instant::now();
    for service in &services {
        assert_eq!(service.send(Generation).await, Ok(1));
    }
    assert_eq!(began.elapsed().as_secs(), PAUSE.as_secs());
}

#[actix::test]
async fn restarts_after_a_pause_can_be_spaced() {
    time::pause();
    let log = Log::default();
    let spec = SupervisorSpec::default()
        .limit(touchy())
        .resume_spacing(Duration::from_secs(2));
    let (_root, services) = fixture_with(spec, &["a", "b", "c"], &log).await;
    for service in &services {
        service.do_send(Act::Fail);
    }
    let began = time::Instant::now();
    let mut seconds = Vec::new();
    for service in &services {
        assert_eq!(service.send(Generation).await, Ok(1));
        seconds.push(began.elapsed().as_secs());
    }
    assert_eq!(seconds, [15, 17, 19]);
}

#[actix::test]
async fn service_removed_during_a_pause_is_not_restarted_after_it() {
    time::pause();
    let log = Log::default();
    let (root, services) = fixture(&["a", "b"], &log).await;
    services[0].do_send(Act::Fail);
    services[1].do_send(Act::Fail);
    settle().await;
    log.take();
    root.remove(services[0].token()).await.unwrap();
    assert_eq!(services[1].send(Generation).await, Ok(1));
    time::sleep(Duration::from_secs(60)).await;
    assert_eq!(log.take(), ["+b"]);
}

#[actix::test]
async fn service_added_during_a_pause_is_started_at_once() {
    time::pause();
    let (root, services) = fixture(&["a"], &Log::default()).await;
    services[0].do_send(Act::Fail);
    settle().await;
    let began = time::Instant::now();
    root.add_and_wait(probe("b", &Log::default()))
        .await
        .unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(
        state_of(&root, services[0].token()).await,
        Some(ServiceState::Paused)
    );
}

#[actix::test]
async fn shutdown_during_a_pause_is_immediate_and_nobody_is_asked_to_stop_who_does_not_run() {
    time::pause();
    let log = Log::default();
    let (root, services) = fixture(&["a", "b"], &log).await;
    services[0].do_send(Act::Fail);
    settle().await;
    log.take();
    let mut events = Recorder::new(&root);
    let began = time::Instant::now();
    let report = root.shutdown().await.unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!(began.elapsed(), Duration::ZERO);
    time::sleep(Duration::from_secs(60)).await;
    assert_eq!(log.take(), ["-b"]);
    assert_eq!(
        events.take(),
        ["root/b ServiceStopped", "root SupervisorStopped"]
    );
}

#[actix::test]
async fn pause_of_one_supervisor_is_no_matter_to_another() {
    time::pause();
    let (_one, first) = fixture(&["a"], &Log::default()).await;
    let (_two, second) = fixture_with(SupervisorSpec::default(), &["a"], &Log::default()).await;
    first[0].do_send(Act::Fail);
    settle().await;
    let began = time::Instant::now();
    second[0].do_send(Act::Fail);
    assert_eq!(second[0].send(Generation).await, Ok(1));
    assert_eq!(began.elapsed(), Duration::ZERO);
}
