//! How a tree stops, what it says of those who do not stop as they should, and who is told of its end.

use std::time::Duration;

use resurgam::{
    EventKind, ExitReason, JoinError, KillCause, RemoveError, RestartLimit, RestartType,
    ServiceSpec, Shutdown, SupervisorActor, SupervisorSpec,
};
use tokio::time;

use super::support::{Act, Log, Recorder, Start, Stop, patiently, planned, probe, root, settle};

#[actix::test]
async fn tree_stops_depth_first_in_reverse_start_order() {
    time::pause();
    let log = Log::default();
    let mut tier = SupervisorActor::with_defaults("tier");
    tier.add(probe("b", &log)).unwrap();
    tier.add(probe("c", &log)).unwrap();
    let mut root = SupervisorActor::with_defaults("root");
    root.add(probe("a", &log)).unwrap();
    root.add(ServiceSpec::supervisor(tier)).unwrap();
    root.add(probe("d", &log)).unwrap();
    let root = root.start().await.unwrap();
    log.take();
    let mut events = Recorder::new(&root);
    root.shutdown().await.unwrap();
    assert_eq!(log.take(), ["-d", "-c", "-b", "-a"]);
    assert_eq!(
        events.take(),
        [
            "root/d ServiceStopped",
            "root/tier/c ServiceStopped",
            "root/tier/b ServiceStopped",
            "root/tier SupervisorStopped",
            "root/tier ServiceStopped",
            "root/a ServiceStopped",
            "root SupervisorStopped",
        ]
    );
}

#[actix::test]
async fn service_may_take_as_long_as_it_likes_to_stop_if_its_spec_says_so() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let slow = planned("a", &log, |_| {
        (Start::Go, Stop::Late(Duration::from_secs(3_600)))
    });
    let slow = slow.shutdown(Shutdown::Infinity);
    root.add_and_wait(slow).await.unwrap();
    let began = time::Instant::now();
    let report = root.shutdown().await.unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!(began.elapsed().as_secs(), 3_600);
}

#[actix::test]
async fn service_that_overruns_its_stop_timeout_is_dropped_and_the_others_are_stopped() {
    time::pause();
    let log = Log::default();
    let mut root = SupervisorActor::with_defaults("root");
    root.add(probe("a", &log)).unwrap();
    let deaf = planned("b", &log, |_| (Start::Go, Stop::Never));
    let timeout = Duration::from_secs(3);
    root.add(deaf.shutdown(Shutdown::Timeout(timeout))).unwrap();
    let root = root.start().await.unwrap();
    let mut events = Recorder::new(&root);
    let began = time::Instant::now();
    let report = root.shutdown().await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 3);
    let [(path, reason)] = report.failures() else {
        panic!("{report}");
    };
    assert_eq!(&**path, "root/b");
    assert_eq!(*reason, ExitReason::Killed(KillCause::StopTimeout));
    assert!(report.unstopped().is_empty());
    assert_eq!((log.alive("a"), log.alive("b")), (0, 0));
    let event = events
        .until(|kind| matches!(kind, EventKind::StopTimedOut { .. }))
        .await;
    assert_eq!(event.path(), "root/b");
}

#[actix::test]
async fn error_after_being_asked_to_stop_is_reported_and_not_restarted() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let unwilling = planned("a", &log, |_| (Start::Go, Stop::Fail));
    let unwilling = root.add_and_wait(unwilling).await.unwrap();
    let mut events = Recorder::new(&root);
    let reason = root.remove(unwilling.token()).await.unwrap();
    assert_eq!(reason.to_string(), "failed: failed to stop");
    settle().await;
    assert_eq!(
        events.take(),
        ["root/a ServiceFailed", "root/a ServiceRemoved"]
    );
    assert_eq!(log.take(), ["+a", "-a"]);
    let count = root.report().await.unwrap().failure_count();
    assert!(count.abs() < 1e-9, "{count}");
}

#[actix::test]
async fn panic_while_stopping_is_reported_and_stops_nobody_elses_stop() {
    time::pause();
    let log = Log::default();
    let mut root = SupervisorActor::with_defaults("root");
    root.add(probe("a", &log)).unwrap();
    root.add(planned("b", &log, |_| (Start::Go, Stop::Panic)))
        .unwrap();
    root.add(probe("c", &log)).unwrap();
    let root = root.start().await.unwrap();
    log.take();
    let report = root.shutdown().await.unwrap();
    assert_eq!(log.take(), ["-c", "-b", "-a"]);
    let [(path, ExitReason::Panicked { message, .. })] = report.failures() else {
        panic!("{report}");
    };
    assert_eq!(&**path, "root/b");
    assert_eq!(message, "panicked at stop");
}

#[actix::test]
async fn failure_to_stop_is_told_up_to_the_root_and_leaves_other_subtrees_alone() {
    time::pause();
    let log = Log::default();
    let mut bad = SupervisorActor::with_defaults("bad");
    bad.add(planned("x", &log, |_| (Start::Go, Stop::Fail)))
        .unwrap();
    let mut good = SupervisorActor::with_defaults("good");
    good.add(probe("y", &log)).unwrap();
    let mut root = SupervisorActor::with_defaults("root");
    root.add(ServiceSpec::supervisor(bad)).unwrap();
    root.add(ServiceSpec::supervisor(good)).unwrap();
    let root = root.start().await.unwrap();
    let mut events = Recorder::new(&root);
    let report = root.shutdown().await.unwrap();
    let paths: Vec<&str> = report.failures().iter().map(|(path, _)| &**path).collect();
    assert_eq!(paths, ["root/bad/x"]);
    let events = events.take();
    assert!(events.contains(&"root/bad/x ServiceFailed".to_owned()));
    assert!(events.contains(&"root/good SupervisorStopped".to_owned()));
}

#[actix::test]
async fn service_that_has_already_ended_is_not_stopped_again() {
    time::pause();
    let log = Log::default();
    let mut root = SupervisorActor::with_defaults("root");
    let done = probe("a", &log).restart(RestartType::Transient);
    let done = root.add(done).unwrap();
    let root = root.start().await.unwrap();
    done.do_send(Act::Complete);
    settle().await;
    let mut events = Recorder::new(&root);
    root.shutdown().await.unwrap();
    assert_eq!(events.take(), ["root SupervisorStopped"]);
}

#[actix::test]
async fn shutdown_twice_answers_the_same_and_is_reported_once() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    root.add_and_wait(planned("a", &log, |_| (Start::Go, Stop::Fail)))
        .await
        .unwrap();
    let mut events = Recorder::new(&root);
    let first = root.shutdown().await.unwrap();
    let second = root.shutdown().await.unwrap();
    assert!(!first.is_clean());
    assert_eq!(first, second);
    assert_eq!(
        events.take(),
        ["root/a ServiceFailed", "root SupervisorStopped"]
    );
}

#[actix::test]
async fn join_waits_for_the_end_and_answers_at_once_after_it() {
    time::pause();
    let root = root(SupervisorSpec::default()).await;
    let waiting = actix::spawn({
        let root = root.clone();
        async move { root.join().await }
    });
    settle().await;
    assert!(!waiting.is_finished());
    root.shutdown().await.unwrap();
    assert!(patiently(waiting).await.unwrap().is_ok());
    assert!(patiently(root.join()).await.is_ok());
}

/// A tree that gives up on the first failure.
fn fragile() -> SupervisorSpec {
    SupervisorSpec::default().limit(RestartLimit::window(0, Duration::from_secs(5)).escalate())
}

#[actix::test]
async fn all_who_wait_for_the_end_get_the_same_error() {
    time::pause();
    let root = root(fragile()).await;
    let service = root.add_and_wait(probe("a", &Log::default())).await;
    let mut events = Recorder::new(&root);
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let root = root.clone();
            actix::spawn(async move { root.join().await })
        })
        .collect();
    settle().await;
    service.unwrap().do_send(Act::Fail);
    for waiting in waiting {
        let error = patiently(waiting).await.unwrap().unwrap_err();
        assert!(matches!(error, JoinError::Escalated { .. }), "{error}");
    }
    // Whoever comes late gets it as well, and no end is reported that was none.
    assert!(root.join().await.is_err());
    root.shutdown().await.unwrap();
    assert!(root.join().await.is_err());
    let ends: Vec<String> = events.take();
    assert_eq!(
        ends,
        [
            "root/a ServiceFailed",
            "root LimitExceeded",
            "root SupervisorEscalated"
        ]
    );
}

#[actix::test]
async fn end_of_an_unattended_root_is_reported() {
    time::pause();
    let root = root(fragile()).await;
    let service = root.add_and_wait(probe("a", &Log::default())).await;
    let mut events = Recorder::new(&root);
    service.unwrap().do_send(Act::Fail);
    // Nobody joins and nobody shuts down.
    let event = events
        .until(|kind| matches!(kind, EventKind::SupervisorEscalated { .. }))
        .await;
    assert_eq!(event.path(), "root");
}

#[actix::test]
async fn second_removal_of_a_service_says_that_it_is_unknown() {
    time::pause();
    let root = root(SupervisorSpec::default()).await;
    let service = root.add_and_wait(probe("a", &Log::default())).await;
    let token = service.unwrap().token();
    assert_eq!(root.remove(token).await, Ok(ExitReason::Shutdown));
    assert_eq!(
        root.remove(token).await,
        Err(RemoveError::unknown_token(token))
    );
}
