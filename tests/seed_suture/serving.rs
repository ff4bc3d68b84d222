//! The life of a supervisor as a whole: start, wait, stop, and stopping at the wrong time.

use std::time::Duration;

use actix::prelude::*;
use resurgam::{
    AddError, JoinError, Readiness, RemoveError, RestartError, RestartLimit, ServiceContext,
    ServiceSpec, StopError, SupervisorActor, SupervisorSpec, Verdict,
};
use tokio::time;

use super::support::{Act, Generation, Log, Start, Stop, patiently, planned, probe, root, settle};

#[actix::test]
async fn started_supervisor_takes_services_without_further_waiting() {
    time::pause();
    let root = root(SupervisorSpec::default()).await;
    let service = root.add(probe("a", &Log::default())).await.unwrap();
    assert_eq!(service.send(Generation).await, Ok(0));
}

/// Shuts its supervisor down when it is told to.
struct Closer;

impl Actor for Closer {
    type Context = ServiceContext<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
struct Close;

impl Handler<Close> for Closer {
    type Result = ();

    fn handle(&mut self, _: Close, ctx: &mut Self::Context) {
        let supervisor = ctx.supervisor();
        actix::spawn(async move { supervisor.shutdown().await });
    }
}

#[actix::test]
async fn serve_returns_without_error_when_the_tree_was_shut_down() {
    time::pause();
    let mut root = SupervisorActor::with_defaults("root");
    let closer = root.add(ServiceSpec::new("closer", || Closer)).unwrap();
    let serving = actix::spawn(root.serve());
    settle().await;
    assert!(!serving.is_finished());
    closer.do_send(Close);
    assert!(patiently(serving).await.unwrap().is_ok());
}

#[actix::test]
async fn serve_returns_why_a_service_ended_the_tree() {
    time::pause();
    let mut root = SupervisorActor::with_defaults("root");
    let service = root.add(probe("a", &Log::default())).unwrap();
    let serving = actix::spawn(root.serve());
    settle().await;
    service.do_send(Act::Exit(Verdict::TerminateTree { propagate: true }));
    let error = patiently(serving).await.unwrap().unwrap_err();
    assert!(matches!(error, JoinError::Terminated { .. }), "{error}");
}

#[actix::test]
async fn serve_returns_why_the_tree_did_not_start() {
    time::pause();
    let mut root = SupervisorActor::with_defaults("root");
    let refusing = planned("a", &Log::default(), |_| (Start::Refuse, Stop::Obey));
    root.add(refusing).unwrap();
    let error = patiently(root.serve()).await.unwrap_err();
    assert!(matches!(error, JoinError::NotStarted { .. }), "{error}");
}

#[actix::test]
async fn every_operation_on_a_supervisor_that_has_stopped_is_a_typed_error() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let service = root.add_and_wait(probe("a", &log)).await.unwrap();
    root.shutdown().await.unwrap();
    let token = service.token();
    assert_eq!(
        patiently(root.add(probe("b", &log))).await.unwrap_err(),
        AddError::SupervisorGone
    );
    assert_eq!(
        patiently(root.remove(token)).await,
        Err(RemoveError::SupervisorGone)
    );
    assert_eq!(
        patiently(root.stop(token)).await,
        Err(StopError::SupervisorGone)
    );
    assert_eq!(
        patiently(root.restart(token)).await,
        Err(RestartError::SupervisorGone)
    );
    assert!(patiently(root.report()).await.is_err());
    assert!(patiently(root.counts()).await.is_err());
    assert!(
        patiently(root.reconfigure(SupervisorSpec::default()))
            .await
            .is_err()
    );
}

#[actix::test]
async fn supervisor_that_has_stopped_cannot_be_half_started_again() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    root.add_and_wait(probe("a", &log)).await.unwrap();
    root.shutdown().await.unwrap();
    log.take();
    // Neither a second end nor a second life.
    assert!(patiently(root.shutdown()).await.unwrap().is_clean());
    assert!(patiently(root.join()).await.is_ok());
    settle().await;
    assert!(log.take().is_empty());
}

#[actix::test]
async fn supervisor_below_is_restarted_as_a_whole_after_it_was_stopped() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let mut tier = SupervisorActor::with_defaults("tier");
    let below = tier.add(probe("a", &log)).unwrap();
    let tier = root.add_and_wait(ServiceSpec::supervisor(tier)).await;
    let tier = tier.unwrap();
    root.stop(tier.token()).await.unwrap();
    assert_eq!(log.take(), ["+a", "-a"]);
    root.restart(tier.token()).await.unwrap();
    assert_eq!(below.send(Generation).await, Ok(1));
    root.stop(tier.token()).await.unwrap();
    assert_eq!(log.take(), ["+a", "-a"]);
}

#[actix::test]
async fn stop_during_the_start_is_remembered_and_answered() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let mut tier = SupervisorActor::with_defaults("tier");
    tier.add(probe("a", &log)).unwrap();
    let silent = tier.add(probe("b", &log).readiness(Readiness::Explicit));
    let silent = silent.unwrap();
    tier.add(probe("c", &log)).unwrap();
    let tier = root.add(ServiceSpec::supervisor(tier)).await.unwrap();
    settle().await;
    let began = time::Instant::now();
    assert!(patiently(root.remove(tier.token())).await.is_ok());
    // Too late to be of any effect.
    silent.do_send(Act::Ready);
    settle().await;
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(log.take(), ["+a", "+b", "-b", "-a"]);
}

#[actix::test]
async fn start_that_nobody_waits_for_any_more_is_undone() {
    time::pause();
    let log = Log::default();
    let mut root = SupervisorActor::with_defaults("root");
    root.add(probe("a", &log)).unwrap();
    root.add(probe("b", &log).readiness(Readiness::Explicit))
        .unwrap();
    let given_up = time::timeout(Duration::from_secs(5), root.start()).await;
    assert!(given_up.is_err());
    settle().await;
    assert_eq!(log.take(), ["+a", "+b", "-b", "-a"]);
}

#[actix::test]
async fn second_stop_of_a_service_is_answered_at_once() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let service = root.add_and_wait(probe("a", &log)).await.unwrap();
    root.stop(service.token()).await.unwrap();
    let began = time::Instant::now();
    root.stop(service.token()).await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(log.take(), ["+a", "-a"]);
}

#[actix::test]
async fn supervisor_that_is_restarted_takes_its_services_along_and_counts_nothing_for_them() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default().limit(RestartLimit::unlimited())).await;
    let mut tier = SupervisorActor::with_defaults("tier");
    let services = ["a", "b"].map(|name| tier.add(probe(name, &log)).unwrap());
    let tier = root.add_and_wait(ServiceSpec::supervisor(tier)).await;
    let tier = tier.unwrap();
    root.restart(tier.token()).await.unwrap();
    assert_eq!(log.take(), ["+a", "+b", "-b", "-a", "+a", "+b"]);
    for service in services {
        assert_eq!(service.send(Generation).await, Ok(1));
    }
    let tier = resurgam::SupervisorRef::try_from(tier).unwrap();
    let count = tier.report().await.unwrap().failure_count();
    assert!(count.abs() < 1e-9, "{count}");
    assert_eq!(log.most_alive(), 1);
}
