//! Shutdown: before, during and after the start, from everywhere, and of services that do not obey.

use std::{collections::BTreeSet, time::Duration};

use actix::prelude::*;
use resurgam::{AddError, ExitReason, KillCause, Readiness, Shutdown, SupervisorActor};
use tokio::time::{self, Instant};

use crate::support::{
    Habit, Log, What, act, add, ask, joined, quiet, root, rounded, spec, spec_with, unlimited,
};

const SECOND: Duration = Duration::from_secs(1);

#[actix::test]
async fn shutdown_may_be_asked_for_by_a_service_and_again_by_anybody() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let a = add(&root, spec("a", &log)).await;
    a.do_send(act(|ctx| {
        let root = ctx.supervisor();
        let shutdown = fut::wrap_future(async move {
            root.shutdown().await.unwrap();
        });
        ctx.spawn(shutdown);
    }));
    joined(&root).await.unwrap();
    assert!(root.shutdown().await.unwrap().is_clean());
    assert_eq!(log.names(What::Asked), ["a"]);
}

#[actix::test]
async fn callers_of_a_shutdown_at_the_same_time_all_get_its_report() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    add(&root, spec_with("a", &log, Habit::Sore("not saved"))).await;
    let (first, second, third) = tokio::join!(root.shutdown(), root.shutdown(), root.shutdown());
    let first = first.unwrap();
    assert_eq!(first.failures().len(), 1);
    assert_eq!(second.unwrap(), first);
    assert_eq!(third.unwrap(), first);
    assert_eq!(log.names(What::Asked), ["a"]);
}

#[actix::test]
async fn tree_that_nobody_holds_is_shut_down_gracefully() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    add(&root, spec("a", &log)).await;
    add(&root, spec("b", &log)).await;
    let mut events = root.events();
    drop(root);
    while events.next().await.is_some() {}
    assert_eq!(log.names(What::Asked), ["b", "a"]);
    assert_eq!(log.names(What::Dropped), ["b", "a"]);
}

#[actix::test]
async fn start_that_nobody_waits_for_any_more_is_undone() {
    time::pause();
    let log = Log::default();
    let mut root = SupervisorActor::new("root", unlimited());
    root.add(spec("a", &log)).unwrap();
    root.add(spec("b", &log).readiness(Readiness::Explicit))
        .unwrap();
    root.add(spec("c", &log)).unwrap();
    let started = time::timeout(SECOND, root.start()).await;
    assert!(started.is_err());
    quiet().await;
    assert_eq!(log.names(What::Made), ["a", "b"]);
    assert_eq!(log.names(What::Dropped), ["b", "a"]);
}

#[actix::test]
async fn services_of_a_supervisor_that_is_never_started_never_run() {
    time::pause();
    let log = Log::default();
    let mut root = SupervisorActor::with_defaults("root");
    let a = root.add(spec("a", &log)).unwrap();
    let asking = a.send(ask());
    drop(root);
    assert_eq!(asking.await, Err(MailboxError::Closed));
    assert_eq!(a.send(ask()).await, Err(MailboxError::Closed));
    assert!(log.names(What::Made).is_empty());
}

#[actix::test]
async fn service_that_is_added_during_shutdown_is_refused_and_never_runs() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    add(&root, spec_with("a", &log, Habit::Slow(SECOND))).await;
    let adding = async {
        quiet().await;
        assert_eq!(
            root.add(spec("late", &log)).await.unwrap_err(),
            AddError::ShuttingDown
        );
        assert!(root.add_and_wait(spec("later", &log)).await.is_err());
    };
    let (report, ()) = tokio::join!(root.shutdown(), adding);
    assert!(report.unwrap().is_clean());
    assert_eq!(
        root.add(spec("too late", &log)).await.unwrap_err(),
        AddError::SupervisorGone
    );
    assert_eq!(log.names(What::Made), ["a"]);
}

#[actix::test]
async fn service_that_ignores_a_stop_is_dropped_after_its_timeout_and_reported() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    add(&root, spec_with("a", &log, Habit::Stubborn)).await;
    let asked = Instant::now();
    let report = root.shutdown().await.unwrap();
    assert_eq!(rounded(asked.elapsed()), 10_000);
    let killed = ExitReason::Killed(KillCause::StopTimeout);
    assert_eq!(report.failures(), [("root/a".into(), killed)]);
    assert!(report.unstopped().is_empty());
}

#[actix::test]
async fn service_without_a_stop_timeout_may_take_as_long_as_it_likes() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let slow = spec_with("a", &log, Habit::Slow(3600 * SECOND));
    add(&root, slow.shutdown(Shutdown::Infinity)).await;
    let asked = Instant::now();
    assert!(root.shutdown().await.unwrap().is_clean());
    assert_eq!(rounded(asked.elapsed()), 3_600_000);
}

#[actix::test]
async fn shutdown_that_is_bounded_drops_what_is_left_before_the_end() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let tier = SupervisorActor::new("tier", unlimited());
    let tier = root.add_supervisor(tier).await.unwrap();
    // Both would be waited for without end, each by its own supervisor.
    for (supervisor, name) in [(&root, "a"), (&tier, "b")] {
        let deaf = spec_with(name, &log, Habit::Stubborn);
        add(supervisor, deaf.shutdown(Shutdown::Infinity)).await;
    }
    let asked = Instant::now();
    let report = root.shutdown_within(SECOND).await.unwrap();
    assert!(asked.elapsed() <= SECOND, "{:?}", asked.elapsed());
    for name in ["a", "b"] {
        assert_eq!(log.count(What::Asked, name), 1);
        assert_eq!(log.count(What::Dropped, name), 1);
    }
    let failed: BTreeSet<_> = report.failures().iter().map(|(path, _)| &**path).collect();
    assert_eq!(failed, ["root/a", "root/tier/b"].into());
}

#[actix::test]
async fn service_does_its_work_between_the_request_and_the_end() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let a = add(&root, spec_with("a", &log, Habit::Slow(SECOND))).await;
    let (report, answer) = tokio::join!(root.shutdown(), async {
        quiet().await;
        a.send(ask()).await
    });
    assert_eq!(answer, Ok(0));
    assert!(report.unwrap().is_clean());
}

#[actix::test]
async fn nothing_is_left_of_a_tree_that_has_ended() {
    time::pause();
    let log = Log::default();
    for _ in 0..5 {
        let held = log.clone();
        let rules = unlimited().fatal(move |_| held.holders() == 0);
        let mut root = SupervisorActor::new("root", rules);
        root.add(spec("a", &log)).unwrap();
        let root = root.start().await.unwrap();
        root.shutdown().await.unwrap();
        drop(root);
        quiet().await;
        assert_eq!(log.holders(), 1);
    }
}
