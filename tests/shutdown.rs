//! The end of a tree, asked for in every state and by everybody. In paused time.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::Duration;

use actix::prelude::*;
use futures::{FutureExt, future::join_all};
use resurgam::{
    AddError, EventKind, ExitReason, KillCause, Readiness, ServiceContext, ServiceSpec, Shutdown,
    StartError, SupervisorActor, SupervisorRef, SupervisorSpec, message,
};
use tokio::time;

#[derive(Default)]
struct Quiet;

impl Actor for Quiet {
    type Context = ServiceContext<Self>;
}

/// Stays when it is asked to stop.
struct Stubborn;

impl Actor for Stubborn {
    type Context = ServiceContext<Self>;
    fn stopping(&mut self, _: &mut Self::Context) -> Running {
        Running::Continue
    }
}

/// Shuts its tree down as soon as it is there.
struct Ends;

impl Actor for Ends {
    type Context = ServiceContext<Self>;
    fn started(&mut self, ctx: &mut Self::Context) {
        let supervisor = ctx.supervisor();
        let end = async move { supervisor.shutdown().await };
        ctx.spawn(end.into_actor(self).map(|_, _, _| ()));
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Fail;

impl Handler<Fail> for Quiet {
    type Result = ();
    fn handle(&mut self, _: Fail, ctx: &mut Self::Context) {
        ctx.fail("on purpose");
    }
}

async fn root() -> SupervisorRef {
    SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap()
}

#[actix::test]
async fn all_callers_get_the_same_report_whenever_they_ask() {
    time::pause();
    let root = root().await;
    let stubborn = ServiceSpec::new("stubborn", || Stubborn);
    root.add_and_wait(stubborn).await.unwrap();
    let reports = join_all((0..10).map(|_| root.shutdown())).await;
    let late = root.shutdown().await.unwrap();
    let killed = ExitReason::Killed(KillCause::StopTimeout);
    assert_eq!(late.failures(), [("root/stubborn".into(), killed)]);
    for report in reports {
        assert_eq!(report.unwrap(), late);
    }
    assert!(root.join().await.is_ok());
}

#[actix::test]
async fn service_shuts_its_own_tree_down_while_that_is_starting() {
    time::pause();
    let mut root = SupervisorActor::with_defaults("root");
    root.add(ServiceSpec::new("ends", || Ends)).unwrap();
    let never = ServiceSpec::new("never", Quiet::default).readiness(Readiness::Explicit);
    root.add(never).unwrap();
    let ended = root.start().await.unwrap_err();
    assert!(matches!(ended, StartError::Stopped { .. }), "{ended}");
}

#[actix::test]
async fn pause_of_restarts_does_not_delay_the_end() {
    time::pause();
    let root = root().await;
    let mut events = root.events();
    let quiet = root
        .add_and_wait(ServiceSpec::new("quiet", Quiet::default))
        .await
        .unwrap();
    for _ in 0..6 {
        quiet.do_send(Fail);
    }
    while !matches!(
        events.next().await.unwrap().kind(),
        EventKind::PauseStarted { .. }
    ) {}
    let before = time::Instant::now();
    assert!(root.shutdown().await.unwrap().is_clean());
    assert_eq!(before.elapsed(), Duration::ZERO);
    let rest: Vec<_> = std::iter::from_fn(|| events.try_next()).collect();
    assert!(
        !rest
            .iter()
            .any(|event| event.kind() == &EventKind::ServiceStarted)
    );
}

#[actix::test]
async fn many_slow_services_cost_one_timeout() {
    time::pause();
    let root = root().await;
    for number in 0..20 {
        let slow = ServiceSpec::new(format!("slow{number}"), || Stubborn)
            .shutdown(Shutdown::Timeout(Duration::from_secs(5)));
        root.add_and_wait(slow).await.unwrap();
    }
    let before = time::Instant::now();
    assert_eq!(root.shutdown().await.unwrap().failures().len(), 20);
    assert_eq!(before.elapsed().as_secs(), 5);
}

#[actix::test]
async fn limit_for_the_whole_end_overrules_the_times_of_services_and_subtrees() {
    time::pause();
    let root = root().await;
    let patient = SupervisorSpec::default().shutdown_timeout(Duration::from_secs(3600));
    let mut tier = SupervisorActor::new("tier", patient);
    tier.add(ServiceSpec::new("slow", || Stubborn)).unwrap();
    root.add_and_wait(ServiceSpec::supervisor(tier))
        .await
        .unwrap();
    let endless = ServiceSpec::new("endless", || Stubborn).shutdown(Shutdown::Infinity);
    root.add_and_wait(endless).await.unwrap();
    let before = time::Instant::now();
    let report = root.shutdown_within(Duration::from_secs(2)).await.unwrap();
    let took = before.elapsed().as_millis();
    assert!((1_900..=2_000).contains(&took), "{took} ms");
    // The one that is late, and not its supervisor.
    let mut paths: Vec<_> = report.failures().iter().map(|(path, _)| &**path).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["root/endless", "root/tier/slow"], "{report}");
}

#[actix::test]
async fn end_goes_on_when_the_caller_goes_away() {
    time::pause();
    let root = root().await;
    let stubborn = ServiceSpec::new("stubborn", || Stubborn);
    let stubborn = root.add_and_wait(stubborn).await.unwrap();
    assert!(root.shutdown().now_or_never().is_none());
    assert!(root.join().await.is_ok());
    assert!(!stubborn.connected());
}

#[actix::test]
async fn last_reference_that_goes_ends_the_tree_in_order() {
    time::pause();
    let root = root().await;
    let quiet = root
        .add_and_wait(ServiceSpec::new("quiet", Quiet::default))
        .await
        .unwrap();
    let events = root.events();
    let second = root.clone();
    drop(root);
    assert!(quiet.connected());
    drop(second);
    let all: Vec<_> = futures::StreamExt::collect(events).await;
    assert!(matches!(
        all.last().map(resurgam::Event::kind),
        Some(EventKind::SupervisorStopped { .. })
    ));
    assert!(!quiet.connected());
}

#[actix::test]
async fn time_of_a_subtree_is_enough_to_say_which_of_its_services_was_late() {
    time::pause();
    let root = root().await;
    let patient = SupervisorSpec::default().shutdown_timeout(Duration::from_secs(3600));
    let mut tier = SupervisorActor::new("tier", patient);
    tier.add(ServiceSpec::new("slow", || Stubborn)).unwrap();
    let tier = ServiceSpec::supervisor(tier).shutdown(Shutdown::Timeout(Duration::from_secs(3)));
    root.add_and_wait(tier).await.unwrap();
    let before = time::Instant::now();
    let report = root.shutdown().await.unwrap();
    assert!(before.elapsed() < Duration::from_secs(3));
    let paths: Vec<_> = report.failures().iter().map(|(path, _)| &**path).collect();
    assert_eq!(paths, ["root/tier/slow"], "{report}");
}

#[actix::test]
async fn end_with_a_limit_overtakes_what_is_queued_for_the_supervisor() {
    time::pause();
    let root = root().await;
    let adds: Vec<_> = (0..100)
        .map(|number| {
            let spec = ServiceSpec::new(format!("late{number}"), Quiet::default);
            root.addr().send(message::Add::new(spec))
        })
        .collect();

    let report = root.shutdown_within(Duration::from_secs(2)).await.unwrap();

    assert!(report.is_clean(), "{report}");
    for add in join_all(adds).await {
        let refused = add.map_or(Some(AddError::SupervisorGone), Result::err);
        assert!(refused.is_some(), "added by a supervisor that was to end");
    }
}
