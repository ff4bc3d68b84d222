//! Services that end: by themselves, with an error, in a panic.

use std::{error::Error, time::Duration};

use resurgam::{AutoShutdown, ExitReason, JoinError, RestartLimit, RestartType, SupervisorSpec};
use tokio::time;

use crate::support::{
    Log, What, add, ask, crash, fail, joined, lines, quiet, root, root_with, spec, state, stop,
    unlimited,
};

/// The first failure ends everything.
fn one_strike() -> SupervisorSpec {
    SupervisorSpec::default().limit(RestartLimit::window(0, Duration::from_secs(1)).escalate())
}

#[actix::test]
async fn service_that_ends_normally_disappears_without_effect_on_others() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let a = add(&root, spec("a", &log).restart(RestartType::Transient)).await;
    let b = add(&root, spec("b", &log)).await;
    a.do_send(stop());
    quiet().await;
    assert_eq!(state(&root, a.token()).await, None);
    assert_eq!(b.send(ask()).await, Ok(0));
    assert!(root.shutdown().await.unwrap().is_clean());
}

#[actix::test]
async fn fatal_error_stops_everybody_in_order_and_is_what_join_returns() {
    time::pause();
    let log = Log::default();
    let root = root_with(unlimited().fatal(|_| true)).await;
    add(&root, spec("a", &log)).await;
    let b = add(&root, spec("b", &log)).await;
    add(&root, spec("c", &log)).await;
    b.do_send(fail("boom"));
    let ended = joined(&root).await.unwrap_err();
    assert!(
        matches!(&ended, JoinError::Fatal { path, error, .. } if &**path == "root/b" && error.to_string() == "boom"),
        "{ended:?}"
    );
    assert_eq!(log.names(What::Asked), ["c", "a"]);
    assert_eq!(log.count(What::Made, "b"), 1);
}

#[actix::test]
async fn error_that_is_not_fatal_is_retried_and_never_returned() {
    time::pause();
    let log = Log::default();
    let root = root_with(unlimited().fatal(|error| error.to_string() == "fatal")).await;
    let a = add(&root, spec("a", &log)).await;
    for generation in 0..3 {
        assert_eq!(a.send(fail("again")).await, Ok(generation));
    }
    assert_eq!(a.send(ask()).await, Ok(3));
    assert!(root.shutdown().await.unwrap().is_clean());
    joined(&root).await.unwrap();
}

#[actix::test]
async fn panic_ends_the_tree_where_the_first_failure_does() {
    time::pause();
    let log = Log::default();
    let root = root_with(one_strike()).await;
    add(&root, spec("a", &log)).await;
    let b = add(&root, spec("b", &log)).await;
    b.do_send(crash());
    let ended = joined(&root).await.unwrap_err();
    let JoinError::Escalated { path, reason, .. } = &ended else {
        panic!("{ended:?}");
    };
    assert_eq!(&**path, "root");
    assert!(matches!(reason, ExitReason::Escalated { path, .. } if &**path == "root/b"));
    assert_eq!(log.names(What::Asked), ["a"]);
}

#[actix::test]
async fn panic_is_fatal_where_an_error_is() {
    time::pause();
    let log = Log::default();
    let root = root_with(unlimited().fatal(|_| true)).await;
    let a = add(&root, spec("a", &log)).await;
    a.do_send(crash());
    let ended = joined(&root).await.unwrap_err();
    let JoinError::Fatal { path, .. } = &ended else {
        panic!("{ended:?}");
    };
    assert_eq!(&**path, "root/a");
}

#[actix::test]
async fn panic_is_reported_with_what_it_carried_and_its_place() {
    time::pause();
    let log = Log::default();
    let root = root_with(one_strike()).await;
    let a = add(&root, spec("a", &log)).await;
    a.do_send(crash());
    let ended = joined(&root).await.unwrap_err();
    let mut text = ended.to_string();
    let mut next = ended.source();
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    assert!(text.contains("root/a"), "{text}");
    assert!(text.contains("support.rs:"), "{text}");
    assert!(text.ends_with("crashed on purpose"), "{text}");
}

#[actix::test]
async fn every_service_that_fails_while_the_tree_ends_is_reported_once() {
    time::pause();
    let log = Log::default();
    let root = root_with(unlimited().fatal(|_| true)).await;
    let a = add(&root, spec("a", &log)).await;
    let b = add(&root, spec("b", &log)).await;
    let c = add(&root, spec("c", &log)).await;
    for (service, text) in [(&a, "first"), (&b, "second"), (&c, "third")] {
        service.do_send(fail(text));
    }
    let ended = joined(&root).await.unwrap_err();
    let mut all = vec![match &ended {
        JoinError::Fatal { path, error, .. } => format!("{path}: {error}"),
        other => panic!("{other:?}"),
    }];
    let report = root.shutdown().await.unwrap();
    all.extend(report.failures().iter().map(|(path, reason)| {
        let error = reason.error().expect("the service has failed");
        format!("{path}: {error}")
    }));
    assert_eq!(all, ["root/a: first", "root/b: second", "root/c: third"]);
}

#[actix::test]
async fn tree_ends_by_itself_when_its_last_significant_service_has_ended() {
    time::pause();
    let log = Log::default();
    let root = root_with(unlimited().auto_shutdown(AutoShutdown::AllSignificant)).await;
    let done = |name| {
        spec(name, &log)
            .restart(RestartType::Temporary)
            .significant()
    };
    let a = add(&root, done("a")).await;
    let b = add(&root, done("b")).await;
    a.do_send(stop());
    // Added while the other one has ended already.
    let c = add(&root, done("c")).await;
    b.do_send(stop());
    quiet().await;
    assert_eq!(c.send(ask()).await, Ok(0));
    c.do_send(stop());
    joined(&root).await.unwrap();
}

#[actix::test]
async fn any_significant_end_ends_the_tree_if_asked_to() {
    time::pause();
    let log = Log::default();
    let root = root_with(unlimited().auto_shutdown(AutoShutdown::AnySignificant)).await;
    let significant = spec("a", &log)
        .restart(RestartType::Transient)
        .significant();
    let a = add(&root, significant).await;
    add(&root, spec("b", &log)).await;
    a.do_send(stop());
    joined(&root).await.unwrap();
    assert_eq!(log.names(What::Dropped), ["a", "b"]);
}

#[actix::test]
async fn supervisor_without_services_runs_on() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    time::sleep(Duration::from_secs(3600)).await;
    let a = add(&root, spec("a", &log)).await;
    assert_eq!(a.send(ask()).await, Ok(0));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn life_of_a_service_is_told_line_by_line() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let mut events = root.events();
    let a = add(&root, spec("a", &log).restart(RestartType::Transient)).await;
    a.do_send(fail("boom"));
    a.do_send(stop());
    assert_eq!(
        lines(&mut events).await,
        [
            "root/a#0: added",
            "root/a#0: started",
            "root/a#0: ready",
            "root/a#0: failed: boom; restarting (count 0.00)",
            "root/a#1: started",
            "root/a#1: ready",
            "root/a#1: completed; not restarting (count 0.00)",
            "root/a#1: removed: normal",
        ]
    );
    root.shutdown().await.unwrap();
}
