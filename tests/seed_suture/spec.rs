//! What a supervisor means that says nothing, and what can be said.

use std::time::Duration;

use resurgam::{
    AddError, EventKind, RestartLimit, Shutdown, SpecError, StartError, SupervisorActor,
    SupervisorSpec,
};
use tokio::time;

use super::support::{
    Act, Generation, Log, Recorder, Start, Stop, patiently, planned, probe, root,
};

#[test]
fn default_limit_has_sutures_numbers() {
    let suture = RestartLimit::decay(Duration::from_secs(30), 5.0, Duration::from_secs(15));
    assert_eq!(RestartLimit::default(), suture);
}

#[actix::test]
async fn simple_supervisor_has_the_default_spec() {
    time::pause();
    let simple = SupervisorActor::with_defaults("simple");
    assert_eq!(simple.name(), "simple");
    let simple = simple.start().await.unwrap();
    let mut events = Recorder::new(&simple);
    let service = simple.add(probe("a", &Log::default())).await.unwrap();
    for _ in 0..6 {
        service.do_send(Act::Fail);
    }
    let event = events
        .until(|kind| matches!(kind, EventKind::PauseStarted { .. }))
        .await;
    let EventKind::PauseStarted { lasting, count, .. } = event.kind() else {
        panic!("{event}");
    };
    assert_eq!((*lasting, *count), (Duration::from_secs(15), 6.0));
}

#[actix::test]
async fn threshold_of_zero_pauses_on_the_first_failure() {
    time::pause();
    let limit = RestartLimit::decay(Duration::from_secs(30), 0.0, Duration::from_secs(15));
    let root = root(SupervisorSpec::default().limit(limit)).await;
    let service = root.add(probe("a", &Log::default())).await.unwrap();
    let began = time::Instant::now();
    service.do_send(Act::Fail);
    assert_eq!(service.send(Generation).await, Ok(1));
    assert_eq!(began.elapsed().as_secs(), 15);
}

#[actix::test]
async fn pause_of_zero_restarts_at_once_even_over_the_threshold() {
    time::pause();
    let limit = RestartLimit::decay(Duration::from_secs(30), 0.0, Duration::ZERO);
    let root = root(SupervisorSpec::default().limit(limit)).await;
    let service = root.add(probe("a", &Log::default())).await.unwrap();
    let began = time::Instant::now();
    for _ in 0..10 {
        service.do_send(Act::Fail);
    }
    assert_eq!(patiently(service.send(Generation)).await, Ok(10));
    assert!(began.elapsed() < Duration::from_millis(50));
}

#[actix::test]
async fn stop_without_a_timeout_can_be_asked_for() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let day = Duration::from_secs(12 * 3_600);
    let slow = planned("a", &log, move |_| (Start::Go, Stop::Late(day)));
    let slow = root.add_and_wait(slow.shutdown(Shutdown::Infinity)).await;
    let reason = patiently(root.remove(slow.unwrap().token())).await.unwrap();
    assert!(!reason.is_abnormal(), "{reason}");
}

#[actix::test]
async fn timeout_of_zero_means_zero_and_not_the_default() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default().shutdown_timeout(Duration::ZERO)).await;
    let deaf = planned("a", &log, |_| (Start::Go, Stop::Never));
    let deaf = root.add_and_wait(deaf).await.unwrap();
    let began = time::Instant::now();
    root.remove(deaf.token()).await.unwrap();
    // Timers are exact to a millisecond.
    assert!(began.elapsed() < Duration::from_millis(5));
}

#[actix::test]
async fn limit_that_makes_no_sense_is_refused_with_its_field() {
    time::pause();
    let second = Duration::from_secs(1);
    let limits = [
        (
            RestartLimit::decay(Duration::ZERO, 5.0, second),
            "limit.half_life",
        ),
        (RestartLimit::decay(second, -1.0, second), "limit.threshold"),
        (
            RestartLimit::decay(second, f64::NAN, second),
            "limit.threshold",
        ),
        (RestartLimit::default().jitter(-0.5), "limit.jitter"),
    ];
    for (limit, expected) in limits {
        let spec = SupervisorSpec::default().limit(limit);
        let refused = SupervisorActor::new("root", spec).start().await;
        let Err(StartError::Refused(AddError::Spec(SpecError::InvalidValue { field, .. }))) =
            refused
        else {
            panic!("{expected} was not refused");
        };
        assert_eq!(field, expected);
    }
}

#[actix::test]
async fn jitter_is_added_on_top_and_never_more_than_its_fraction() {
    time::pause();
    let limit = RestartLimit::decay(Duration::from_secs(30), 0.0, Duration::from_secs(10));
    let root = root(SupervisorSpec::default().limit(limit.jitter(0.5))).await;
    let service = root.add(probe("a", &Log::default())).await.unwrap();
    let mut pauses = Vec::new();
    for _ in 0..50 {
        let began = time::Instant::now();
        service.do_send(Act::Fail);
        service.send(Generation).await.unwrap();
        pauses.push(began.elapsed());
    }
    let (least, most) = (Duration::from_secs(10), Duration::from_millis(15_010));
    assert!(
        pauses.iter().all(|pause| (least..most).contains(pause)),
        "{pauses:?}"
    );
    pauses.dedup();
    assert!(pauses.len() > 10, "{pauses:?}");
}

#[actix::test]
async fn supervisors_of_one_name_in_two_trees_are_told_apart() {
    time::pause();
    let one = root(SupervisorSpec::default()).await;
    let two = root(SupervisorSpec::default()).await;
    assert_eq!(one.path(), two.path());
    assert_ne!(one.token(), two.token());
}

#[test]
fn start_outside_of_an_actix_system_is_an_error() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let error = runtime.block_on(SupervisorActor::with_defaults("root").start());
    assert!(matches!(error, Err(StartError::NoSystem)));
}

#[actix::test]
async fn each_run_is_a_fresh_value() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    // Each run is told to stop in its own way: state of the one before would show.
    let service = planned("a", &log, |generation| {
        let stop = if generation == 0 {
            Stop::Panic
        } else {
            Stop::Obey
        };
        (Start::Go, stop)
    });
    let service = root.add_and_wait(service).await.unwrap();
    service.do_send(Act::Panic);
    assert_eq!(service.send(Generation).await, Ok(1));
    assert!(root.shutdown().await.unwrap().is_clean());
    assert_eq!(log.take(), ["+a", "-a", "+a", "-a"]);
}
