//! Services that are bound to others, and bounced with them.

use std::{cell::Cell, future::pending, io::Error, rc::Rc, time::Duration};

use resurgam::{
    Backoff, ExitReason, Readiness, RestartLimit, RestartType, ServiceRef, ServiceSpec,
    ServiceState, ServiceSummary, SupervisorActor, SupervisorRef, SupervisorSpec, Verdict,
};
use tokio::time;

use crate::support::{
    Habit, Log, Probe, What, act, add, ask, crash, fail, joined, lines, quiet, ready, root,
    root_with, spec, spec_with, state, stop, unlimited,
};

const SECOND: Duration = Duration::from_secs(1);

/// The generations of some services, when nothing is left to do.
async fn generations(services: &[&ServiceRef<Probe>]) -> Vec<u64> {
    quiet().await;
    let mut generations = Vec::new();
    for service in services {
        generations.push(service.send(ask()).await.expect("the service is there"));
    }
    generations
}

/// `db`, `api` bound to it, and `web` bound to that.
async fn chain(root: &SupervisorRef, log: &Log) -> [ServiceRef<Probe>; 3] {
    [
        add(root, spec("db", log)).await,
        add(root, spec("api", log).binds_to("db")).await,
        add(root, spec("web", log).binds_to("api")).await,
    ]
}

#[actix::test]
async fn failure_bounces_each_of_a_chain_once() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let [db, api, web] = chain(&root, &log).await;
    for round in 1..=3 {
        db.do_send(crash());
        assert_eq!(generations(&[&db, &api, &web]).await, [round; 3]);
    }
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn change_bounces_each_of_a_diamond_once() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let db = add(&root, spec("db", &log)).await;
    let left = add(&root, spec("left", &log).binds_to("db")).await;
    let right = add(&root, spec("right", &log).binds_to("db")).await;
    let top = spec("top", &log).binds_to("left").binds_to("right");
    let top = add(&root, top).await;
    db.do_send(crash());
    assert_eq!(generations(&[&db, &left, &right, &top]).await, [1; 4]);
    root.restart(db.token()).await.unwrap();
    assert_eq!(generations(&[&db, &left, &right, &top]).await, [2; 4]);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn restart_on_request_bounces_dependents_before_and_after() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let [db, api, web] = chain(&root, &log).await;
    root.restart(db.token()).await.unwrap();
    assert_eq!(generations(&[&db, &api, &web]).await, [1; 3]);
    assert_eq!(log.names(What::Dropped), ["web", "api", "db"]);
    assert_eq!(log.names(What::Started)[3..], ["db", "api", "web"]);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn failure_of_a_dependent_leaves_what_it_is_bound_to_alone() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let [db, api, web] = chain(&root, &log).await;
    web.do_send(crash());
    api.do_send(crash());
    assert_eq!(generations(&[&db, &api]).await, [0, 1]);
    web.send(ask()).await.unwrap();
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn failed_attempts_to_restart_bounce_nobody() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let (held, mut calls) = (log.clone(), 0);
    let flaky = ServiceSpec::try_new("db", move |_| {
        calls += 1;
        if (2..5).contains(&calls) {
            return Err(Error::other("not yet"));
        }
        Ok(crate::support::probe("db", &held, Habit::Prompt))
    });
    let db = add(&root, flaky.backoff(Backoff::constant(SECOND))).await;
    let api = add(&root, spec("api", &log).binds_to("db")).await;
    db.do_send(fail("lost"));
    root.when_ready::<Probe>("root/api").await.unwrap();
    assert_eq!(db.send(ask()).await, Ok(4));
    assert_eq!(api.send(ask()).await, Ok(1));
    assert_eq!(log.count(What::Made, "api"), 2);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn bounce_is_not_counted_as_a_failure() {
    time::pause();
    let log = Log::default();
    let rules = SupervisorSpec::default().limit(RestartLimit::window(1, SECOND));
    let root = root_with(rules).await;
    let db = add(&root, spec("db", &log)).await;
    let mut bound = Vec::new();
    for name in ["a", "b", "c"] {
        let sore = spec_with(name, &log, Habit::Sore("not saved"));
        bound.push(add(&root, sore.binds_to("db")).await);
    }
    db.do_send(fail("lost"));
    assert_eq!(
        generations(&[&db, &bound[0], &bound[1], &bound[2]]).await,
        [1; 4]
    );
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn service_that_was_asked_to_bounce_is_restarted_whatever_it_returns() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let db = add(&root, spec("db", &log)).await;
    let sore = spec_with("api", &log, Habit::Sore("not saved"));
    let sore = sore
        .binds_to("db")
        .backoff(Backoff::constant(3600 * SECOND));
    let transient = spec("web", &log).binds_to("db");
    let api = add(&root, sore).await;
    let web = add(&root, transient.restart(RestartType::Transient)).await;
    db.do_send(fail("lost"));
    assert_eq!(generations(&[&api, &web]).await, [1, 1]);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn fatal_error_of_a_service_that_bounces_ends_the_tree() {
    time::pause();
    let log = Log::default();
    let root = root_with(unlimited().fatal(|error| error.to_string() == "fatal")).await;
    let db = add(&root, spec("db", &log)).await;
    add(
        &root,
        spec_with("api", &log, Habit::Sore("fatal")).binds_to("db"),
    )
    .await;
    db.do_send(fail("lost"));
    let ended = joined(&root).await.unwrap_err();
    assert_eq!(
        ended.to_string(),
        "service `root/api` ended the tree: fatal"
    );
}

#[actix::test]
async fn service_that_has_completed_runs_again_when_an_input_changes() {
    time::pause();
    let log = Log::default();
    let mut root = SupervisorActor::new("root", unlimited());
    let db = root.add(spec("db", &log)).unwrap();
    let once = spec("once", &log)
        .binds_to("db")
        .restart(RestartType::Transient);
    let once = root.add(once).unwrap();
    let root = root.start().await.unwrap();
    once.do_send(stop());
    time::sleep(SECOND).await;
    assert_eq!(
        state(&root, once.token()).await,
        Some(ServiceState::Stopped)
    );
    db.do_send(fail("lost"));
    assert_eq!(generations(&[&db]).await, [1]);
    root.when_ready::<Probe>("once").await.unwrap();
    assert_eq!(once.send(ask()).await, Ok(1));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn verdict_to_bounce_restarts_after_a_short_delay_uncounted_with_those_that_are_bound() {
    time::pause();
    let log = Log::default();
    let root = root_with(SupervisorSpec::default()).await;
    let hour = Backoff::constant(3600 * SECOND);
    let db = add(&root, spec("db", &log).backoff(hour)).await;
    let api = add(&root, spec("api", &log).binds_to("db")).await;
    for round in 1..=10 {
        let asked = time::Instant::now();
        db.do_send(act(|ctx| ctx.exit(Verdict::Bounce)));
        assert_eq!(generations(&[&db, &api]).await, [round; 2]);
        let took = asked.elapsed();
        assert!(took >= Duration::from_millis(10), "{took:?}");
        assert!(took < SECOND, "{took:?}");
    }
    let count = root.report().await.unwrap().failure_count();
    assert!(count.abs() < f64::EPSILON, "{count}");
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn verdict_to_bounce_waits_for_the_end_of_a_pause_and_does_not_prolong_it() {
    time::pause();
    let log = Log::default();
    let limit = RestartLimit::decay(30 * SECOND, 0.5, 15 * SECOND);
    let root = root_with(SupervisorSpec::default().limit(limit)).await;
    let a = add(&root, spec("a", &log)).await;
    let b = add(&root, spec("b", &log)).await;
    a.do_send(fail("boom"));
    time::sleep(5 * SECOND).await;
    b.do_send(act(|ctx| ctx.exit(Verdict::Bounce)));
    quiet().await;
    assert_eq!(state(&root, b.token()).await, Some(ServiceState::Paused));
    assert_eq!(log.count(What::Made, "b"), 1);
    time::sleep(11 * SECOND).await;
    assert_eq!(generations(&[&a, &b]).await, [1, 1]);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn service_that_misses_something_waits_until_what_it_requires_changes() {
    time::pause();
    let log = Log::default();
    let root = root_with(SupervisorSpec::default()).await;
    let db = add(&root, spec("db", &log)).await;
    let (held, mut calls) = (log.clone(), 0);
    let picky = ServiceSpec::try_new("api", move |_| {
        calls += 1;
        if calls < 3 {
            held.write(What::Made, "api");
            return Err(Error::other(Error::other(Verdict::Missing)));
        }
        Ok(crate::support::probe("api", &held, Habit::Prompt))
    });
    let hour = Backoff::constant(3600 * SECOND);
    let api = add(&root, picky.requires("db").backoff(hour)).await;
    time::sleep(24 * 3600 * SECOND).await;
    assert_eq!(log.count(What::Made, "api"), 1);
    assert_eq!(state(&root, api.token()).await, Some(ServiceState::Waiting));
    for _ in 0..2 {
        root.restart(db.token()).await.unwrap();
        quiet().await;
    }
    assert_eq!(api.send(ask()).await, Ok(2));
    assert!(root.report().await.unwrap().failure_count() < 0.5);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn service_that_uninstalls_itself_is_gone_and_its_successor_wakes_who_is_bound() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let [db, api, web] = chain(&root, &log).await;
    let mut events = root.events();
    db.do_send(act(|ctx| ctx.exit(Verdict::Uninstall)));
    let told = lines(&mut events).await;
    // Those that are bound to it are bounced, and then miss it.
    assert_eq!(
        told,
        [
            "root/db#0: completed; not restarting (count 0.00)",
            "root/db#0: removed: normal",
            "root/web#0: stopped: shutdown",
            "root/api#0: stopped: shutdown",
            "root/api#0: blocked on `db`, which does not exist",
            "root/web#0: blocked on `db`, which does not exist",
        ]
    );
    let left = root.services().await.unwrap();
    let left: Vec<_> = left.iter().map(ServiceSummary::name).collect();
    assert_eq!(left, ["api", "web"]);
    assert!(db.send(ask()).await.is_err());
    assert_eq!(state(&root, api.token()).await, Some(ServiceState::Waiting));
    assert_eq!(state(&root, web.token()).await, Some(ServiceState::Waiting));
    let successor = add(&root, spec("db", &log)).await;
    assert_ne!(successor.token(), db.token());
    assert_eq!(generations(&[&api, &web]).await, [1, 1]);
    assert!(db.send(ask()).await.is_err());
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn start_in_progress_is_aborted_when_what_it_is_bound_to_changes() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let db = add(&root, spec("db", &log)).await;
    let held = log.clone();
    let slow = ServiceSpec::<Probe>::new_async("api", move |_| {
        held.write(What::Made, "api");
        let guard = OnDrop(held.clone());
        async move {
            let _kept = Rc::new(Cell::new(&guard));
            pending::<Result<Probe, Error>>().await
        }
    });
    add(&root, slow.binds_to("db")).await;
    db.do_send(fail("lost"));
    quiet().await;
    assert_eq!(log.count(What::Made, "api"), 2);
    assert_eq!(log.count(What::Dropped, "api"), 1);
    root.shutdown().await.unwrap();
    assert_eq!(log.count(What::Dropped, "api"), 2);
}

/// Says when it is dropped.
struct OnDrop(Log);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.write(What::Dropped, "api");
    }
}

#[actix::test]
async fn delayed_restart_waits_out_its_delay_though_what_it_is_bound_to_changes() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let db = add(&root, spec("db", &log).readiness(Readiness::Explicit)).await;
    db.do_send(ready());
    let delayed = spec("api", &log).binds_to("db");
    let delayed = delayed.backoff(Backoff::constant(10 * SECOND));
    let api = add(&root, delayed).await;
    api.do_send(fail("boom"));
    quiet().await;
    db.do_send(fail("lost"));
    time::sleep(20 * SECOND).await;
    assert_eq!(log.count(What::Made, "api"), 1);
    assert_eq!(state(&root, api.token()).await, Some(ServiceState::Waiting));
    db.do_send(ready());
    assert_eq!(generations(&[&db, &api]).await, [1, 1]);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn service_that_is_stopped_on_request_stops_those_that_are_bound_until_it_is_back() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let [db, api, web] = chain(&root, &log).await;
    root.stop(db.token()).await.unwrap();
    time::sleep(3600 * SECOND).await;
    assert_eq!(state(&root, api.token()).await, Some(ServiceState::Waiting));
    assert_eq!(state(&root, web.token()).await, Some(ServiceState::Waiting));
    root.restart(db.token()).await.unwrap();
    assert_eq!(generations(&[&db, &api, &web]).await, [1; 3]);
    assert_eq!(root.remove(web.token()).await, Ok(ExitReason::Shutdown));
    root.shutdown().await.unwrap();
}
