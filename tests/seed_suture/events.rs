//! What is told of failures, pauses and stops, and how it prints.

use std::time::Duration;

use resurgam::{EventKind, Restarting, SupervisorSpec};
use tokio::time;

use super::support::{
    Act, Generation, Log, Recorder, Start, Stop, oops, patiently, planned, probe, root,
};

#[actix::test]
async fn failure_tells_count_error_and_whether_a_restart_follows() {
    time::pause();
    let root = root(SupervisorSpec::default()).await;
    let service = root.add_and_wait(probe("a", &Log::default())).await;
    let mut events = Recorder::new(&root);
    service
        .unwrap()
        .do_send(Act::FailWith(Box::new(oops("no disk"))));
    let event = events
        .until(|kind| matches!(kind, EventKind::ServiceFailed { .. }))
        .await;
    let EventKind::ServiceFailed {
        reason,
        count,
        restarting,
        ..
    } = event.kind()
    else {
        unreachable!();
    };
    assert_eq!(reason.to_string(), "failed: no disk");
    assert!((count - 1.0).abs() < 1e-9, "{count}");
    assert_eq!(*restarting, Restarting::Now);
}

#[actix::test]
async fn panic_tells_count_text_and_place() {
    time::pause();
    let root = root(SupervisorSpec::default()).await;
    let service = root.add_and_wait(probe("a", &Log::default())).await;
    let mut events = Recorder::new(&root);
    service.unwrap().do_send(Act::Panic);
    let event = events
        .until(|kind| matches!(kind, EventKind::ServicePanicked { .. }))
        .await;
    let line = event.to_string();
    assert!(line.starts_with("root/a#0: panicked at "), "{line}");
    assert!(
        line.ends_with(": panicked on purpose; restarting (count 1.00)"),
        "{line}"
    );
}

#[actix::test]
async fn pause_and_its_end_print_as_lines() {
    time::pause();
    let root = root(SupervisorSpec::default()).await;
    let service = root.add_and_wait(probe("a", &Log::default())).await;
    let service = service.unwrap();
    let mut events = Recorder::new(&root);
    for _ in 0..6 {
        service.do_send(Act::Fail);
    }
    assert_eq!(service.send(Generation).await, Ok(6));
    let lines: Vec<String> = events
        .take_whole()
        .iter()
        .map(ToString::to_string)
        .filter(|line| line.contains("restarts"))
        .collect();
    assert_eq!(
        lines,
        [
            "root: restarts pause for 15s (count 6.00)",
            "root: restarts go on, 1 waiting"
        ]
    );
}

#[actix::test]
async fn overrun_of_a_stop_timeout_prints_as_a_line() {
    time::pause();
    let root = root(SupervisorSpec::default()).await;
    let deaf = planned("deaf", &Log::default(), |_| (Start::Go, Stop::Never));
    root.add_and_wait(deaf).await.unwrap();
    let mut events = Recorder::new(&root);
    root.shutdown().await.unwrap();
    let event = events
        .until(|kind| matches!(kind, EventKind::StopTimedOut { .. }))
        .await;
    assert_eq!(event.to_string(), "root/deaf#0: did not stop within 10s");
}

#[actix::test]
async fn subscriber_that_does_not_read_holds_up_no_restart() {
    time::pause();
    let root = root(SupervisorSpec::default()).await;
    let service = root.add_and_wait(probe("a", &Log::default())).await;
    let service = service.unwrap();
    let stuck = root.events_with_capacity(1);
    let began = time::Instant::now();
    for _ in 0..5 {
        service.do_send(Act::Panic);
    }
    assert_eq!(patiently(service.send(Generation)).await, Ok(5));
    assert!(began.elapsed() < Duration::from_secs(1));
    assert!(stuck.lost() > 0);
}

#[actix::test]
async fn panic_holds_nobody_up_who_waits_for_an_answer_of_the_service() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let service = root.add_and_wait(probe("a", &log)).await.unwrap();
    let (lost, served) = tokio::join!(
        patiently(service.send(Act::Panic)),
        patiently(service.send(Generation))
    );
    assert!(lost.is_err());
    assert_eq!(served, Ok(1));
}

#[actix::test]
async fn each_of_the_five_events_of_suture_carries_whom_it_is_about_and_how_it_stands() {
    time::pause();
    let root = root(SupervisorSpec::default()).await;
    let log = Log::default();
    let service = root
        .add_and_wait(planned("a", &log, |_| (Start::Go, Stop::Never)))
        .await
        .unwrap();
    let mut events = Recorder::new(&root);
    service.do_send(Act::Panic);
    for _ in 0..5 {
        service.do_send(Act::Fail);
    }
    assert_eq!(service.send(Generation).await, Ok(6));
    root.shutdown().await.unwrap();
    let mut told = Vec::new();
    for event in events.take_whole() {
        // Of services it is known which run it was, and a supervisor speaks about itself without a token.
        let run = event.token().map(|token| {
            assert_eq!(token, service.token());
            event.generation()
        });
        let line = match event.kind() {
            EventKind::ServicePanicked {
                message,
                location,
                count,
                restarting,
                ..
            } => {
                assert!(location.contains("seed_support/mod.rs:"), "{location}");
                format!("panic: {message}, {count:.0}, {restarting:?}")
            }
            EventKind::ServiceFailed {
                reason,
                count,
                restarting,
                ..
            } => format!("failure: {reason}, {count:.0}, {restarting:?}"),
            EventKind::PauseStarted { lasting, count, .. } => {
                format!("pause: {lasting:?}, {count:.0}")
            }
            EventKind::PauseEnded { queued, .. } => format!("resumed: {queued}"),
            EventKind::StopTimedOut { after, .. } => format!("stop timeout: {after:?}"),
            _ => continue,
        };
        told.push((event.path().to_owned(), run, line));
    }
    let service = |run, line: &str| ("root/a".to_owned(), Some(run), line.to_owned());
    let supervisor = |line: &str| ("root".to_owned(), None, line.to_owned());
    assert_eq!(
        told,
        [
            service(0, "panic: panicked on purpose, 1, Now"),
            service(1, "failure: failed: failed on purpose, 2, Now"),
            service(2, "failure: failed: failed on purpose, 3, Now"),
            service(3, "failure: failed: failed on purpose, 4, Now"),
            service(4, "failure: failed: failed on purpose, 5, Now"),
            service(5, "failure: failed: failed on purpose, 6, AfterPause"),
            supervisor("pause: 15s, 6"),
            supervisor("resumed: 1"),
            service(6, "stop timeout: 10s"),
        ]
    );
}
