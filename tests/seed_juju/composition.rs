//! What pact's processes and their combinators promise.

use std::time::Duration;

use resurgam::{
    AddError, Readiness, RestartLimit, RestartType, ServiceRef, ServiceSpec, ServiceState,
    StartError, SupervisorActor, SupervisorRef, SupervisorSpec,
};
use tokio::time::{self, Instant};

use crate::support::{
    Habit, Log, Probe, What, act, add, ask, crash, fail, failing, joined, lines, quiet, ready,
    root, root_with, rounded, spec, spec_with, state, stop, unlimited,
};

const SECOND: Duration = Duration::from_secs(1);

#[actix::test]
async fn service_goes_from_waiting_over_starting_and_ready_to_stopped() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let slow = spec_with("a", &log, Habit::Slow(SECOND));
    let explicit = slow.readiness(Readiness::Explicit).requires("db");
    let a = add(&root, explicit).await;
    let now = async || state(&root, a.token()).await.unwrap();
    assert_eq!(now().await, ServiceState::Waiting);
    add(&root, spec("db", &log)).await;
    assert_eq!(now().await, ServiceState::Starting);
    a.do_send(ready());
    quiet().await;
    assert_eq!(now().await, ServiceState::Ready);
    let (stopped, ()) = tokio::join!(root.stop(a.token()), async {
        quiet().await;
        assert_eq!(now().await, ServiceState::Stopping);
    });
    stopped.unwrap();
    assert_eq!(now().await, ServiceState::Stopped);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn only_the_first_call_of_ready_counts() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let a = add(&root, spec("a", &log).readiness(Readiness::Explicit)).await;
    let mut events = root.events();
    for _ in 0..3 {
        a.do_send(ready());
    }
    assert_eq!(lines(&mut events).await, ["root/a#0: ready"]);
    root.shutdown().await.unwrap();
}

#[test]
fn references_are_shared_between_threads() {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    shared::<SupervisorRef>();
    shared::<ServiceRef<Probe>>();
}

#[actix::test]
async fn stop_of_a_stopped_service_is_answered_and_changes_nothing() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let a = add(&root, spec("a", &log)).await;
    for _ in 0..3 {
        root.stop(a.token()).await.unwrap();
    }
    assert_eq!(log.count(What::Asked, "a"), 1);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn stop_of_a_service_that_is_starting_ends_its_start_and_who_waits_learns_it() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let explicit = spec("a", &log).readiness(Readiness::Explicit);
    let begun = Instant::now();
    let (started, ()) = tokio::join!(root.add_and_wait(explicit), async {
        quiet().await;
        let token = root.services().await.unwrap()[0].token();
        root.stop(token).await.unwrap();
    });
    assert!(started.is_err());
    assert_eq!(rounded(begun.elapsed()), 0);
    assert_eq!(log.names(What::Dropped), ["a"]);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn shutdown_does_not_wait_for_a_start_that_hangs() {
    time::pause();
    let log = Log::default();
    let mut root = SupervisorActor::new("root", unlimited());
    root.add(spec("first", &log)).unwrap();
    let hanging = spec("hanging", &log).readiness(Readiness::Explicit);
    let hanging = root.add(hanging).unwrap();
    let begun = Instant::now();
    let (started, ()) = tokio::join!(root.start(), async {
        quiet().await;
        hanging.do_send(act(|ctx| {
            let shutdown = resurgam::message::Shutdown::new();
            ctx.supervisor().addr().do_send(shutdown);
        }));
    });
    assert!(started.is_err());
    assert_eq!(rounded(begun.elapsed()), 0);
    assert_eq!(log.names(What::Dropped), ["hanging", "first"]);
}

#[actix::test]
async fn return_before_ready_without_an_error_declines_the_start() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let explicit = spec("a", &log).readiness(Readiness::Explicit);
    let (started, ()) = tokio::join!(root.add_and_wait(explicit), async {
        quiet().await;
        let a = root.lookup::<Probe>("root/a").await;
        a.unwrap().do_send(stop());
    });
    let failed = started.unwrap_err();
    assert!(
        matches!(&failed, StartError::Declined { path, .. } if &**path == "root/a"),
        "{failed:?}"
    );
    root.add_and_wait(spec("a", &log)).await.unwrap();
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn start_error_leads_to_its_cause_and_frees_the_name() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let failed = root.add_and_wait(failing("a", &log, 1)).await.unwrap_err();
    let StartError::Failed { reason, .. } = &failed else {
        panic!("{failed:?}");
    };
    let cause = reason.error().unwrap();
    assert!(cause.downcast_ref::<std::io::Error>().is_some());
    root.add_and_wait(spec("a", &log)).await.unwrap();
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn start_that_fails_late_frees_nobody_elses_name() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let explicit = spec("a", &log).readiness(Readiness::Explicit);
    let old = add(&root, explicit).await;
    root.remove(old.token()).await.unwrap();
    let new = add(&root, spec("a", &log)).await;
    old.do_send(fail("late"));
    quiet().await;
    assert_eq!(new.send(ask()).await, Ok(0));
    let taken = root.add(spec("a", &log)).await;
    assert!(matches!(taken, Err(AddError::DuplicateName { token, .. }) if token == new.token()));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn of_many_who_add_the_same_name_exactly_one_wins() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let all = futures::future::join_all((0..20).map(|_| root.add_and_wait(spec("a", &log))));
    let won = all.await.iter().filter(|added| added.is_ok()).count();
    assert_eq!(won, 1);
    assert_eq!(log.count(What::Made, "a"), 1);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn context_of_the_caller_does_not_bound_the_life_of_the_service() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let (other, held) = (root.clone(), log.clone());
    let caller = actix_rt::spawn(async move { other.add_and_wait(spec("a", &held)).await });
    let a = caller.await.unwrap().unwrap();
    time::sleep(3600 * SECOND).await;
    assert_eq!(a.send(ask()).await, Ok(0));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn error_names_the_service_with_all_its_supervisors() {
    time::pause();
    let log = Log::default();
    let mut tier = SupervisorActor::new("tier", unlimited());
    tier.add(failing("db", &log, 1)).unwrap();
    let mut root = SupervisorActor::new("root", unlimited());
    root.add(ServiceSpec::supervisor(tier)).unwrap();
    let failed = root.start().await.unwrap_err();
    let StartError::Failed { path, reason, .. } = &failed else {
        panic!("{failed:?}");
    };
    assert_eq!(&**path, "root/tier");
    let chain = format!("{reason:#}");
    assert!(chain.contains("`root/tier/db`"), "{chain}");
    assert!(chain.ends_with("not made"), "{chain}");
}

#[actix::test]
async fn sequence_stops_in_reverse_also_when_a_later_start_fails() {
    time::pause();
    let log = Log::default();
    let mut root = SupervisorActor::new("root", unlimited());
    root.add(spec("a", &log)).unwrap();
    root.add(spec("b", &log)).unwrap();
    root.add(failing("c", &log, 1)).unwrap();
    root.add(spec("d", &log)).unwrap();
    root.start().await.unwrap_err();
    assert_eq!(log.names(What::Made), ["a", "b", "c"]);
    assert_eq!(log.names(What::Dropped), ["b", "a"]);
}

#[actix::test]
async fn sequence_that_ends_stops_in_reverse() {
    time::pause();
    let log = Log::default();
    let mut root = SupervisorActor::new("root", unlimited());
    for name in ["a", "b", "c"] {
        root.add(spec(name, &log)).unwrap();
    }
    let root = root.start().await.unwrap();
    assert_eq!(log.names(What::Started), ["a", "b", "c"]);
    root.shutdown().await.unwrap();
    assert_eq!(log.names(What::Asked), ["c", "b", "a"]);
}

#[actix::test]
async fn death_of_one_stops_all_and_its_error_outweighs_those_of_the_others() {
    time::pause();
    let log = Log::default();
    let strict = SupervisorSpec::default().limit(RestartLimit::window(0, SECOND).escalate());
    let root = root_with(strict).await;
    add(&root, spec_with("a", &log, Habit::Sore("not saved"))).await;
    let b = add(&root, spec("b", &log)).await;
    b.do_send(crash());
    let ended = joined(&root).await.unwrap_err();
    let reason = std::error::Error::source(&ended).unwrap().to_string();
    assert_eq!(reason, "escalated by `root/b`");
    let report = root.shutdown().await.unwrap();
    assert_eq!(report.failures().len(), 1);
    assert_eq!(&*report.failures()[0].0, "root/a");
}

#[actix::test]
async fn all_are_asked_at_the_same_time_and_the_end_comes_after_all_of_theirs() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    for (name, work) in [("a", SECOND), ("b", 3 * SECOND), ("c", 2 * SECOND)] {
        add(&root, spec_with(name, &log, Habit::Slow(work))).await;
    }
    root.shutdown().await.unwrap();
    let asked = |name| log.first(What::Asked, name);
    assert_eq!((asked("a"), asked("b")), (asked("c"), asked("c")));
    assert_eq!(log.names(What::Dropped), ["a", "c", "b"]);
    drop(root);
    quiet().await;
    assert_eq!(log.holders(), 1);
}

#[actix::test]
async fn value_is_made_anew_for_each_run() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let a = add(&root, spec("a", &log)).await;
    a.do_send(fail("boom"));
    assert_eq!(a.send(ask()).await, Ok(1));
    assert_eq!(log.names(What::Made).len(), 2);
    assert_eq!(log.names(What::Dropped).len(), 1);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn service_that_ends_by_itself_leaves_its_error_behind() {
    time::pause();
    let log = Log::default();
    let mut root = SupervisorActor::new("root", unlimited());
    let a = root
        .add(spec("a", &log).restart(RestartType::Temporary))
        .unwrap();
    let root = root.start().await.unwrap();
    let report = root.report().await.unwrap();
    assert_eq!(report.services()[0].last_exit(), None);
    a.do_send(fail("boom"));
    quiet().await;
    let report = root.report().await.unwrap();
    assert_eq!(report.services()[0].state(), ServiceState::Stopped);
    let last = report.services()[0].last_exit().unwrap().to_string();
    assert_eq!(last, "failed: boom");
    root.shutdown().await.unwrap();
}
