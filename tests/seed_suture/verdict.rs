//! What a service says about itself, also deep in an error, and errors that only look like a stop.

use std::{error::Error, fmt};

use resurgam::{
    EventKind, JoinError, Restarting, ServiceSpec, ServiceState, ServiceSummary, StopError,
    SupervisorActor, SupervisorRef, SupervisorSpec, Verdict,
};
use tokio::time;

use super::support::{
    Act, Generation, Log, Recorder, Start, Stop, oops, patiently, planned, probe, root, settle,
};

/// An error around another one.
#[derive(Debug)]
struct Wrapped(Box<dyn Error + Send + Sync>);

impl fmt::Display for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("wrapped")
    }
}

impl Error for Wrapped {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

/// The verdict behind three errors.
fn wrapped(verdict: Verdict) -> Act {
    let once = Wrapped(Box::new(verdict));
    let twice = Wrapped(Box::new(once));
    Act::FailWith(Box::new(Wrapped(Box::new(twice))))
}

const TERMINATE: Verdict = Verdict::TerminateTree { propagate: true };
const TERMINATE_HERE: Verdict = Verdict::TerminateTree { propagate: false };

#[actix::test]
async fn service_that_is_done_leaves_and_is_not_counted_and_the_others_run_on() {
    time::pause();
    for act in [
        Act::Exit(Verdict::DoNotRestart),
        wrapped(Verdict::DoNotRestart),
    ] {
        let log = Log::default();
        let root = root(SupervisorSpec::default()).await;
        let done = root.add_and_wait(probe("done", &log)).await.unwrap();
        let other = root.add_and_wait(probe("other", &log)).await.unwrap();
        done.do_send(act);
        settle().await;
        assert!(done.send(Generation).await.is_err());
        assert_eq!(other.send(Generation).await, Ok(0));
        assert_eq!(root.services().await.unwrap().len(), 1);
        let count = root.report().await.unwrap().failure_count();
        assert!(count.abs() < 1e-9, "{count}");
    }
}

/// `root/tier/a`, and `root/sibling`.
async fn two_levels(log: &Log) -> (SupervisorRef, resurgam::ServiceRef<super::support::Probe>) {
    let mut tier = SupervisorActor::with_defaults("tier");
    let service = tier.add(probe("a", log)).unwrap();
    let mut root = SupervisorActor::with_defaults("root");
    root.add(probe("sibling", log)).unwrap();
    root.add(ServiceSpec::supervisor(tier)).unwrap();
    (root.start().await.unwrap(), service)
}

#[actix::test]
async fn service_ends_the_whole_tree_and_the_root_tells_who_it_was() {
    time::pause();
    for act in [Act::Exit(TERMINATE), wrapped(TERMINATE)] {
        let log = Log::default();
        let (root, service) = two_levels(&log).await;
        log.take();
        service.do_send(act);
        let error = patiently(root.join()).await.unwrap_err();
        let JoinError::Terminated { path, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(&*path, service.path());
        assert_eq!(log.take(), ["-a", "-sibling"]);
    }
}

#[actix::test]
async fn service_ends_its_own_supervisor_and_those_above_run_on() {
    time::pause();
    for act in [Act::Exit(TERMINATE_HERE), wrapped(TERMINATE_HERE)] {
        let log = Log::default();
        let (root, service) = two_levels(&log).await;
        log.take();
        service.do_send(act);
        settle().await;
        assert_eq!(log.take(), ["-a"]);
        assert_eq!(log.alive("sibling"), 1);
        let services = root.services().await.unwrap();
        let states: Vec<_> = services.iter().map(ServiceSummary::state).collect();
        assert_eq!(states, [ServiceState::Ready, ServiceState::Stopped]);
    }
}

#[actix::test]
async fn error_that_looks_like_a_cancelled_operation_is_a_failure_like_any_other() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let service = root.add_and_wait(probe("a", &log)).await.unwrap();
    let mut events = Recorder::new(&root);
    let elapsed = time::timeout(std::time::Duration::ZERO, std::future::pending::<()>()).await;
    let errors: [Box<dyn Error + Send + Sync>; 3] = [
        Box::new(elapsed.unwrap_err()),
        Box::new(oops("operation was cancelled")),
        // What a service gets that asks a tree which is shutting down, and passes on.
        Box::new(StopError::SupervisorGone),
    ];
    for (error, count) in errors.into_iter().zip([1.0, 2.0, 3.0]) {
        service.do_send(Act::FailWith(error));
        let failed = |kind: &EventKind| matches!(kind, EventKind::ServiceFailed { .. });
        let event = events.until(failed).await;
        let EventKind::ServiceFailed {
            count: told,
            restarting,
            ..
        } = event.kind()
        else {
            unreachable!();
        };
        assert!((told - count).abs() < 1e-3, "{event}");
        assert_eq!(*restarting, Restarting::Now);
    }
    assert_eq!(service.send(Generation).await, Ok(3));
}

#[actix::test]
async fn end_without_an_error_is_restarted_and_counted_like_a_failure() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let service = root.add_and_wait(probe("a", &log)).await.unwrap();
    let mut events = Recorder::new(&root);
    service.do_send(Act::Complete);
    assert_eq!(service.send(Generation).await, Ok(1));
    let event = events
        .until(|kind| matches!(kind, EventKind::ServiceCompleted { .. }))
        .await;
    assert!(
        matches!(event.kind(), EventKind::ServiceCompleted { count, .. } if (count - 1.0).abs() < 1e-9),
        "{event}"
    );
}

#[actix::test]
async fn end_in_the_start_hook_is_restarted_and_counted_like_a_failure() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let service = planned("a", &log, |generation| match generation {
        0 => (Start::Complete, Stop::Obey),
        1 => (Start::Fail, Stop::Obey),
        2 => (Start::Panic, Stop::Obey),
        _ => (Start::Go, Stop::Obey),
    });
    let service = root.add(service).await.unwrap();
    assert_eq!(service.send(Generation).await, Ok(3));
    let count = root.report().await.unwrap().failure_count();
    assert!((count - 3.0).abs() < 1e-9, "{count}");
}

#[actix::test]
async fn error_while_stopping_is_not_taken_for_a_failure() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let unwilling = planned("a", &log, |_| (Start::Go, Stop::Fail));
    let unwilling = root.add_and_wait(unwilling).await.unwrap();
    let sibling = root.add_and_wait(probe("b", &log)).await.unwrap();
    let mut events = Recorder::new(&root);
    root.stop(unwilling.token()).await.unwrap();
    time::sleep(std::time::Duration::from_secs(3600)).await;
    // It is told with its error, is not counted, and nothing follows.
    let told: Vec<_> = events
        .take_whole()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        told,
        ["root/a#0: failed: failed to stop; not restarting (count 0.00)"]
    );
    assert_eq!(log.alive("a"), 0);
    assert_eq!(sibling.send(Generation).await, Ok(0));
    sibling.do_send(Act::Fail);
    let event = events
        .until(|kind| matches!(kind, EventKind::ServiceFailed { .. }))
        .await;
    // The first that is counted.
    assert!(event.to_string().ends_with("(count 1.00)"), "{event}");
}
