//! How a supervisor stops its services, in paused time.

use std::time::Duration;

use resurgam::{
    EventKind, ExitReason, KillCause, ServiceSpec, Shutdown, SupervisorActor, SupervisorSpec,
};
use tokio::time;

use super::support::{Log, Recorder, Start, Stop, patiently, planned, probe, root};

#[actix::test]
async fn each_service_is_stopped_exactly_once_and_in_reverse_order() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    for name in ["a", "b", "c"] {
        root.add_and_wait(probe(name, &log)).await.unwrap();
    }
    let mut events = Recorder::new(&root);
    root.shutdown().await.unwrap();
    assert_eq!(
        events.take(),
        [
            "root/c ServiceStopped",
            "root/b ServiceStopped",
            "root/a ServiceStopped",
            "root SupervisorStopped",
        ]
    );
}

#[actix::test]
async fn stop_of_many_hung_services_takes_one_timeout() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    for number in 0..10 {
        let deaf = planned(&format!("s{number}"), &log, |_| (Start::Go, Stop::Never));
        root.add_and_wait(deaf).await.unwrap();
    }
    let mut events = Recorder::new(&root);
    let began = time::Instant::now();
    let report = patiently(root.shutdown()).await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 10);
    assert_eq!(report.failures().len(), 10);
    for (_, reason) in report.failures() {
        assert_eq!(*reason, ExitReason::Killed(KillCause::StopTimeout));
    }
    let timeouts = events.take();
    let timeouts = timeouts
        .iter()
        .filter(|line| line.ends_with("StopTimedOut"));
    assert_eq!(timeouts.count(), 10);
}

#[actix::test]
async fn stop_waits_for_all_services() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    for (name, seconds) in [("a", 2), ("b", 7), ("c", 4)] {
        let late = Duration::from_secs(seconds);
        let slow = planned(name, &log, move |_| (Start::Go, Stop::Late(late)));
        root.add_and_wait(slow).await.unwrap();
    }
    let began = time::Instant::now();
    let report = root.shutdown().await.unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!(began.elapsed().as_secs(), 7);
    let alive = ["a", "b", "c"].map(|name| log.alive(name));
    assert_eq!(alive, [0, 0, 0]);
}

#[actix::test]
async fn stop_of_a_whole_tree_can_be_bounded() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let mut tier = SupervisorActor::with_defaults("tier");
    let deaf = planned("deaf", &log, |_| (Start::Go, Stop::Never));
    tier.add(deaf.shutdown(Shutdown::Infinity)).unwrap();
    root.add_and_wait(ServiceSpec::supervisor(tier))
        .await
        .unwrap();
    let began = time::Instant::now();
    let limit = Duration::from_secs(3);
    let report = patiently(root.shutdown_within(limit)).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(4));
    assert!(!report.is_clean());
    assert_eq!(log.alive("deaf"), 0);
}

#[actix::test]
async fn hung_grandchild_is_reported_with_its_path_and_its_supervisor_is_not() {
    time::pause();
    let timeout = Shutdown::Timeout(Duration::from_secs(10));
    // What they have if nothing is said, and the same timeout for everybody.
    for all_the_same in [false, true] {
        let log = Log::default();
        let mut tier = SupervisorActor::with_defaults("inner");
        tier.add(planned("deaf", &log, |_| (Start::Go, Stop::Never)).shutdown(timeout))
            .unwrap();
        tier.add(probe("fine", &log)).unwrap();
        let mut spec = ServiceSpec::supervisor(tier);
        if all_the_same {
            spec = spec.shutdown(timeout);
        }
        let mut tier = SupervisorActor::with_defaults("tier");
        tier.add(spec).unwrap();
        let mut spec = ServiceSpec::supervisor(tier);
        if all_the_same {
            spec = spec.shutdown(timeout);
        }
        let root = root(SupervisorSpec::default()).await;
        root.add_and_wait(spec).await.unwrap();
        let mut events = Recorder::new(&root);
        let report = root.shutdown().await.unwrap();
        let [(path, reason)] = report.failures() else {
            panic!("{report}");
        };
        assert_eq!(&**path, "root/tier/inner/deaf");
        assert!(matches!(reason, ExitReason::Killed(_)), "{reason}");
        assert!(report.unstopped().is_empty(), "{report}");
        let timeouts: Vec<String> = events
            .take_whole()
            .iter()
            .filter(|event| matches!(event.kind(), EventKind::StopTimedOut { .. }))
            .map(|event| event.path().to_owned())
            .collect();
        assert_eq!(timeouts, ["root/tier/inner/deaf"]);
        assert_eq!(log.alive("deaf") + log.alive("fine"), 0);
    }
}

#[actix::test]
async fn event_says_that_the_stop_was_asked_for() {
    time::pause();
    let root = root(SupervisorSpec::default()).await;
    root.add_and_wait(probe("a", &Log::default()))
        .await
        .unwrap();
    let mut events = Recorder::new(&root);
    root.shutdown().await.unwrap();
    let event = events
        .until(|kind| matches!(kind, EventKind::ServiceStopped { .. }))
        .await;
    assert!(
        matches!(
            event.kind(),
            EventKind::ServiceStopped {
                reason: ExitReason::Shutdown,
                ..
            }
        ),
        "{event}"
    );
}

#[actix::test]
async fn report_of_a_stopped_tree_can_be_read_again() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    root.add_and_wait(planned("deaf", &log, |_| (Start::Go, Stop::Never)))
        .await
        .unwrap();
    let (one, two) = tokio::join!(root.shutdown(), root.shutdown());
    assert_eq!(one, two);
    assert_eq!(root.shutdown().await, one);
    assert_eq!(one.unwrap().failures().len(), 1);
}
