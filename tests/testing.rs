//! What helps users to test, tested as they use it.

#![expect(
    clippy::unwrap_used,
    reason = "clippy takes only functions with #[test] for tests, and not what they call"
)]

use std::{io, panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt;
use resurgam::{
    Backoff, EventKind, ExitReason, KillCause, Placement, RestartLimit, RestartType, Shutdown,
    SupervisorActor, SupervisorRef,
    testing::{Kind, Recorder, Script},
};
use tokio::time;

const SECOND: Duration = Duration::from_secs(1);

/// A root whose one service follows the script, and what happens from the start.
async fn root(script: &Script) -> (SupervisorRef, Recorder) {
    let mut root = SupervisorActor::with_defaults("root");
    let events = Recorder::of(&root);
    let victim = script.service("victim");
    let victim = victim.restart(RestartType::Transient);
    root.add(victim.shutdown(Shutdown::Timeout(SECOND)))
        .unwrap();
    (root.start().await.unwrap(), events)
}

/// With what message it panics.
async fn failure(test: impl Future<Output = ()>) -> String {
    let panic = AssertUnwindSafe(test).catch_unwind().await.unwrap_err();
    *panic.downcast::<String>().unwrap()
}

#[actix::test]
async fn service_does_what_the_script_says_and_that_was_told_when_a_command_returns() {
    time::pause();
    let script = Script::new();
    let (root, mut events) = root(&script).await;
    let started = [
        Kind::ServiceStarted,
        Kind::ServiceReady,
        Kind::SupervisorStarted,
    ];
    events.expect_exactly(started).await;
    script.crash().await;
    let told = events.settle().await;
    assert_eq!(Kind::from(told[0].kind()), Kind::ServicePanicked);
    script.fail(io::Error::other("disk full")).await;
    let failed = events.next(Kind::ServiceFailed).await;
    assert!(failed.to_string().contains("disk full"), "{failed}");
    assert_eq!(failed.generation(), 1);

    script.hang().await;
    script.refuse_to_stop();
    root.restart("victim").await.unwrap();
    events
        .expect([Kind::StopTimedOut, Kind::ServiceStopped, Kind::ServiceReady])
        .await;
    script.end().await;
    events.next(Kind::ServiceCompleted).await;
    assert_eq!(script.starts(), 4);

    script.agree_to_stop();
    script.refuse_to_start(1);
    root.restart("victim").await.unwrap_err();
    events.next(Kind::ServiceStartFailed).await;
    root.restart("victim").await.unwrap();
    events.next(Kind::ServiceReady).await;
    assert_eq!(script.starts(), 6);
    let removed = root.remove("victim").await.unwrap();
    assert_eq!(removed, ExitReason::Shutdown);
    root.shutdown().await.unwrap();
    let last = events.seen().last().unwrap();
    assert_ne!(
        Kind::from(last.kind()),
        Kind::SupervisorStopped,
        "not read yet"
    );
    events
        .expect([Kind::ServiceRemoved, Kind::SupervisorStopped])
        .await;
}

#[actix::test]
async fn what_is_missing_fails_the_test_with_what_came_instead() {
    time::pause();
    let script = Script::new();
    let (root, mut events) = root(&script).await;
    script.crash().await;
    events = events.deadline(Duration::from_millis(50));
    let text = failure(async {
        events.next(Kind::PauseStarted).await;
    });
    let text = text.await;
    let place = format!("{}:", file!());
    assert!(text.starts_with(&place), "{text}");
    for part in [
        "expected pause_started; instead came:\n",
        "service_started  root/victim#0: started\n",
        "service_panicked  root/victim#0: panicked at",
    ] {
        assert!(text.contains(part), "{text}");
    }
    // A paused clock does not bring it, and what is told later is not too late.
    let text = failure(async {
        events.expect([Kind::PauseStarted]).await;
    });
    let text = text.await;
    assert!(
        text.ends_with("expected pause_started, number 1 of [PauseStarted]; nothing came"),
        "{text}"
    );
    script.crash().await;
    let text = failure(async {
        let kinds = [Kind::ServicePanicked, Kind::ServiceReady];
        events.expect_exactly(kinds).await;
    });
    let text = text.await;
    assert!(
        text.contains("expected exactly service_ready, number 2 of"),
        "{text}"
    );
    // The end of the tree is no reason to wait.
    root.shutdown().await.unwrap();
    let mut events = events.deadline(Duration::from_secs(1000));
    let text = failure(async {
        events.next(Kind::PauseEnded).await;
    });
    assert!(text.await.contains("supervisor_stopped"));
}

#[actix::test]
async fn recorder_takes_subscriptions_that_are_narrowed_and_supervisors_that_run() {
    time::pause();
    let script = Script::new();
    let (root, _) = root(&script).await;
    let mut failures = Recorder::from(root.events().below("root/victim").failures());
    let mut late = Recorder::of(&root);
    script.crash().await;
    failures.expect_exactly([Kind::ServicePanicked]).await;
    late.expect([Kind::ServicePanicked, Kind::ServiceReady])
        .await;
    assert!(failures.settle().await.is_empty());
    drop(root);
    // A script keeps no tree running.
    late.next(Kind::SupervisorStopped).await;
}

#[actix::test]
async fn policy_with_a_backoff_and_a_limit_of_its_own_is_tested_in_no_time() {
    time::pause();
    let script = Script::new();
    let mut root = SupervisorActor::with_defaults("root");
    let mut events = Recorder::of(&root);
    let limit = RestartLimit::window(2, 60 * SECOND).give_up();
    let backoff = Backoff::constant(3 * SECOND);
    root.add(script.service("victim").backoff(backoff).limit(limit))
        .unwrap();
    let root = root.start().await.unwrap();
    let began = time::Instant::now();
    for _ in 0..3 {
        script.crash().await;
    }
    let gave_up = events.next(Kind::ServiceGaveUp).await;
    assert!(matches!(gave_up.kind(), EventKind::ServiceGaveUp { .. }));
    assert_eq!(began.elapsed().as_secs(), 6);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn service_on_a_thread_of_its_own_follows_the_script() {
    let script = Script::new();
    let mut root = SupervisorActor::with_defaults("root");
    let mut events = Recorder::of(&root);
    let victim = script.service("victim").placement(Placement::Dedicated);
    let victim = victim.shutdown(Shutdown::Timeout(Duration::from_millis(20)));
    root.add(victim).unwrap();
    let root = root.start().await.unwrap();
    script.crash().await;
    let again = [Kind::ServicePanicked, Kind::ServiceReady];
    events.expect(again).await;
    script.refuse_to_stop();
    root.restart("victim").await.unwrap();
    let stopped = events.next(Kind::ServiceStopped).await;
    let EventKind::ServiceStopped { reason, .. } = stopped.kind() else {
        unreachable!("that was waited for");
    };
    assert_eq!(*reason, ExitReason::Killed(KillCause::StopTimeout));
    root.shutdown().await.unwrap();
}
