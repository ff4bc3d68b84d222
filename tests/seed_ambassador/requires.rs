//! Requirements: what a service waits for before it starts, and what it does not wait for in vain.

use std::time::Duration;

use resurgam::{
    AddError, Backoff, ExitReason, Readiness, RestartType, ServiceSpec, ServiceState, StartError,
    SupervisorActor, Verdict,
};
use tokio::time::{self, Instant};

use crate::support::{
    Log, Probe, What, act, add, ask, crash, fail, lines, quiet, ready, root, rounded, spec, state,
    stop, unlimited,
};

/// A service that says itself when it is ready.
fn explicit(name: &str, log: &Log) -> ServiceSpec<Probe> {
    spec(name, log).readiness(Readiness::Explicit)
}

/// What went wrong, with all causes.
fn causes(error: &StartError) -> (String, String) {
    match error {
        StartError::Failed { path, reason, .. } => (path.to_string(), format!("{reason:#}")),
        other => unreachable!("{other:?}"),
    }
}

#[actix::test]
async fn service_is_started_when_all_that_it_requires_exist_and_are_ready() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    add(&root, spec("api", &log).requires("db").requires("cache")).await;
    let db = add(&root, explicit("db", &log)).await;
    let cache = add(&root, explicit("cache", &log)).await;
    db.do_send(ready());
    quiet().await;
    assert_eq!(log.count(What::Made, "api"), 0);
    cache.do_send(ready());
    quiet().await;
    assert_eq!(log.count(What::Started, "api"), 1);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn service_that_never_becomes_ready_never_unblocks_its_dependents() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let db = add(&root, explicit("db", &log)).await;
    let api = add(&root, spec("api", &log).requires("db")).await;
    time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(db.send(ask()).await, Ok(0));
    assert_eq!(state(&root, api.token()).await, Some(ServiceState::Waiting));
    assert_eq!(log.count(What::Made, "api"), 0);
    assert!(root.shutdown().await.unwrap().is_clean());
}

#[actix::test]
async fn requirement_that_fails_before_it_is_ready_fails_the_start_and_dependents_never_run() {
    time::pause();
    let log = Log::default();
    let mut root = SupervisorActor::new("root", unlimited());
    root.add(spec("first", &log)).unwrap();
    root.add(ServiceSpec::<Probe>::new("db", || panic!("no disk")))
        .unwrap();
    root.add(spec("api", &log).requires("db")).unwrap();
    let (path, reason) = causes(&root.start().await.unwrap_err());
    assert_eq!(path, "root/db");
    assert!(reason.contains("no disk"), "{reason}");
    assert_eq!(log.names(What::Made), ["first"]);
    assert_eq!(log.names(What::Dropped), ["first"]);
}

#[actix::test]
async fn requirement_that_ends_for_good_before_it_is_ready_is_an_error_to_who_waits() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let db = add(&root, explicit("db", &log).restart(RestartType::Temporary)).await;
    let begun = Instant::now();
    let waiting = root.add_and_wait(spec("api", &log).requires("db"));
    let (refused, ()) = tokio::join!(waiting, async {
        quiet().await;
        db.do_send(stop());
    });
    let (path, reason) = causes(&refused.unwrap_err());
    assert_eq!(path, "root/api");
    assert!(reason.contains("`db`"), "{reason}");
    assert_eq!(rounded(begun.elapsed()), 0);
    assert!(log.names(What::Made).iter().all(|name| name == "db"));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn requirement_that_ended_normally_before_is_met_and_one_that_failed_is_an_error_at_once() {
    time::pause();
    let log = Log::default();
    let mut root = SupervisorActor::new("root", unlimited());
    let db = root
        .add(spec("db", &log).restart(RestartType::Transient))
        .unwrap();
    let root = root.start().await.unwrap();
    db.do_send(stop());
    quiet().await;
    let api = spec("api", &log).requires("db");
    root.add_and_wait(api).await.unwrap();
    let once = spec("once", &log).restart(RestartType::Temporary);
    let once = root.add_and_wait(once).await.unwrap();
    let again = spec("again", &log).requires("once");
    once.do_send(fail("lost"));
    quiet().await;
    let begun = Instant::now();
    let refused = root.add_and_wait(again).await;
    let (_, reason) = causes(&refused.unwrap_err());
    assert_eq!(reason, "failed: required service `once` does not exist");
    assert_eq!(rounded(begun.elapsed()), 0);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn requirement_that_ends_while_the_tree_starts_is_met_if_it_has_completed_and_fails_the_start_otherwise()
 {
    time::pause();
    for completes in [true, false] {
        requirement_ends_while_the_tree_starts(completes).await;
    }
}

#[expect(clippy::unwrap_used, reason = "a helper of a test")]
async fn requirement_ends_while_the_tree_starts(completes: bool) {
    let log = Log::default();
    let mut root = SupervisorActor::new("root", unlimited());
    let db = root
        .add(spec("db", &log).restart(RestartType::Transient))
        .unwrap();
    let slow = root.add(explicit("slow", &log)).unwrap();
    root.add(spec("api", &log).requires("db")).unwrap();
    let (started, ()) = tokio::join!(root.start(), async {
        quiet().await;
        db.do_send(if completes { stop() } else { fail("lost") });
        quiet().await;
        slow.do_send(ready());
    });
    if completes {
        let root = started.unwrap();
        assert_eq!(log.names(What::Started), ["db", "slow", "api"]);
        root.shutdown().await.unwrap();
        return;
    }
    let (path, reason) = causes(&started.unwrap_err());
    assert_eq!(path, "root/api");
    assert!(reason.contains("`db`"), "{reason}");
    assert_eq!(log.names(What::Dropped), ["db", "slow"]);
}

#[actix::test]
async fn service_added_after_its_requirement_failed_for_good_reports_so_and_waits_for_a_successor()
{
    time::pause();
    let log = Log::default();
    let mut root = SupervisorActor::new("root", unlimited());
    let db = root
        .add(spec("db", &log).restart(RestartType::Temporary))
        .unwrap();
    let root = root.start().await.unwrap();
    db.do_send(fail("lost"));
    quiet().await;
    let mut events = root.events();
    let api = root.add(spec("api", &log).requires("db")).await.unwrap();
    assert_eq!(
        lines(&mut events).await,
        [
            "root/api#0: added",
            "root/api#0: blocked on `db`, which is stopped"
        ]
    );
    root.remove(db.token()).await.unwrap();
    add(&root, spec("db", &log)).await;
    assert_eq!(log.names(What::Started), ["db", "db", "api"]);
    assert_eq!(api.send(ask()).await, Ok(0));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn tree_is_not_started_before_all_its_services_are_ready() {
    time::pause();
    let log = Log::default();
    let mut root = SupervisorActor::new("root", unlimited());
    let second = Backoff::constant(Duration::from_secs(1));
    let db = root.add(spec("db", &log).backoff(second)).unwrap();
    let slow = root.add(explicit("slow", &log)).unwrap();
    root.add(spec("api", &log).requires("db")).unwrap();
    let (started, ()) = tokio::join!(root.start(), async {
        quiet().await;
        db.do_send(fail("lost"));
        quiet().await;
        slow.do_send(ready());
    });
    // Either it fails, or everybody runs.
    if started.is_ok() {
        assert_eq!(log.names(What::Started).last().unwrap(), "api");
    } else {
        assert_eq!(log.count(What::Dropped, "slow"), 1);
    }
}

#[actix::test]
async fn requirement_that_nobody_fulfils_fails_the_start_before_anything_runs() {
    time::pause();
    let log = Log::default();
    let mut root = SupervisorActor::new("root", unlimited());
    root.add(spec("first", &log)).unwrap();
    root.add(spec("api", &log).requires("db")).unwrap();
    let (path, reason) = causes(&root.start().await.unwrap_err());
    assert_eq!(path, "root/api");
    assert_eq!(reason, "failed: required service `db` does not exist");
    assert!(log.names(What::Made).is_empty());
}

#[actix::test]
async fn service_that_is_waited_for_and_requires_nobody_known_is_refused_at_once() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let begun = Instant::now();
    let refused = root.add_and_wait(spec("api", &log).requires("db")).await;
    let (_, reason) = causes(&refused.unwrap_err());
    assert_eq!(reason, "failed: required service `db` does not exist");
    assert_eq!(rounded(begun.elapsed()), 0);
    assert_eq!(root.counts().await.unwrap().services, 0);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn services_that_require_each_other_are_refused() {
    time::pause();
    let log = Log::default();
    let mut root = SupervisorActor::with_defaults("root");
    root.add(spec("a", &log).requires("b")).unwrap();
    root.add(spec("b", &log).requires("c")).unwrap();
    let refused = root.add(spec("c", &log).requires("a")).unwrap_err();
    let AddError::Cycle { mut members, .. } = refused else {
        panic!("{refused:?}");
    };
    members.sort();
    assert_eq!(members, ["a".into(), "b".into(), "c".into()]);
    let own = root.add(spec("d", &log).requires("d")).unwrap_err();
    assert_eq!(own, AddError::cycle(vec!["d".into()]));
}

#[actix::test]
async fn blocked_service_says_on_whom_and_why() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let mut events = root.events();
    add(&root, spec("api", &log).requires("db")).await;
    let db = add(&root, explicit("db", &log)).await;
    add(&root, spec("web", &log).requires("db")).await;
    root.stop(db.token()).await.unwrap();
    let told: Vec<_> = lines(&mut events).await;
    let blocked: Vec<_> = told
        .iter()
        .filter(|line| line.contains("blocked"))
        .collect();
    assert_eq!(
        blocked,
        [
            "root/api#0: blocked on `db`, which does not exist",
            "root/web#0: blocked on `db`, which is not ready",
            "root/api#0: blocked on `db`, which is stopped",
            "root/web#0: blocked on `db`, which is stopped",
        ]
    );
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn later_failure_of_a_requirement_leaves_those_that_run_alone() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let db = add(&root, spec("db", &log)).await;
    let api = add(&root, spec("api", &log).requires("db")).await;
    for crashes in 1..=3 {
        db.do_send(crash());
        assert_eq!(db.send(ask()).await, Ok(crashes));
    }
    root.remove(db.token()).await.unwrap();
    assert_eq!(api.send(ask()).await, Ok(0));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn readiness_belongs_to_a_run_and_not_to_the_service() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let db = add(&root, explicit("db", &log)).await;
    db.do_send(ready());
    db.do_send(fail("lost"));
    assert_eq!(db.send(ask()).await, Ok(1));
    add(&root, spec("api", &log).requires("db")).await;
    assert_eq!(log.count(What::Made, "api"), 0);
    db.do_send(ready());
    quiet().await;
    assert_eq!(log.count(What::Started, "api"), 1);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn requirement_of_the_same_name_that_is_added_later_starts_who_waits() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let db = add(&root, spec("db", &log)).await;
    root.remove(db.token()).await.unwrap();
    let api = add(&root, spec("api", &log).requires("db")).await;
    assert_eq!(state(&root, api.token()).await, Some(ServiceState::Waiting));
    add(&root, spec("db", &log)).await;
    assert_eq!(api.send(ask()).await, Ok(0));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn verdict_of_a_requirement_not_to_come_back_is_an_error_to_who_waits() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let db = add(&root, explicit("db", &log)).await;
    let waiting = root.add_and_wait(spec("api", &log).requires("db"));
    let (refused, ()) = tokio::join!(waiting, async {
        quiet().await;
        db.do_send(act(|ctx| ctx.exit(Verdict::DoNotRestart)));
    });
    let error = refused.unwrap_err();
    assert!(
        matches!(
            &error,
            StartError::Failed {
                reason: ExitReason::Failed(_),
                ..
            }
        ),
        "{error:?}"
    );
    root.shutdown().await.unwrap();
}
