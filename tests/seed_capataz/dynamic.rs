//! Services that come and go while their supervisor runs.

use std::time::Duration;

use actix::prelude::*;
use resurgam::{
    AddError, EventKind, Readiness, RemoveError, RestartLimit, RestartType, ServiceContext,
    ServiceSpec, StartError, Strategy, SupervisorActor, SupervisorRef, SupervisorSpec,
};
use tokio::time;

use super::support::{
    Act, Generation, Log, Recorder, Start, Stop, patiently, planned, probe, root, settle,
};

#[actix::test]
async fn supervisor_without_services_starts_at_once() {
    time::pause();
    let began = time::Instant::now();
    let root = root(SupervisorSpec::default()).await;
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert!(root.services().await.unwrap().is_empty());
    assert_eq!(root.path(), "root");
}

#[actix::test]
async fn failed_start_of_an_awaited_service_is_not_retried_and_keeps_nothing() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let sibling = root.add_and_wait(probe("sibling", &log)).await.unwrap();
    log.take();
    let refusing = planned("a", &log, |_| (Start::Refuse, Stop::Obey));
    let error = root.add_and_wait(refusing).await.unwrap_err();
    assert!(matches!(error, StartError::Failed { .. }), "{error}");
    time::sleep(Duration::from_secs(60)).await;
    assert_eq!(log.take(), ["!a"]);
    assert_eq!(sibling.send(Generation).await, Ok(0));
    assert_eq!(root.services().await.unwrap().len(), 1);
    let count = root.report().await.unwrap().failure_count();
    assert!(count.abs() < 1e-9, "{count}");
}

#[actix::test]
async fn added_services_stop_in_reverse_order_of_adding() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    for name in ["a", "b", "c"] {
        root.add_and_wait(probe(name, &log)).await.unwrap();
    }
    log.take();
    root.shutdown().await.unwrap();
    assert_eq!(log.take(), ["-c", "-b", "-a"]);
}

#[actix::test]
async fn removal_tells_how_the_service_ended_even_if_it_failed_to_stop() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let unwilling = planned("a", &log, |_| (Start::Go, Stop::Fail));
    let unwilling = root.add_and_wait(unwilling).await.unwrap();
    let reason = root.remove(unwilling.token()).await.unwrap();
    assert_eq!(reason.to_string(), "failed: failed to stop");
}

#[actix::test]
async fn removal_of_a_service_that_completed_by_itself_says_that_it_is_unknown() {
    time::pause();
    let root = root(SupervisorSpec::default()).await;
    let spec = probe("a", &Log::default()).restart(RestartType::Temporary);
    let service = root.add_and_wait(spec).await.unwrap();
    service.do_send(Act::Complete);
    settle().await;
    let token = service.token();
    assert_eq!(
        root.remove(token).await,
        Err(RemoveError::unknown_token(token))
    );
}

#[actix::test]
async fn removal_after_the_end_of_the_supervisor_says_so() {
    time::pause();
    let root = root(SupervisorSpec::default()).await;
    let service = root.add_and_wait(probe("a", &Log::default())).await;
    root.shutdown().await.unwrap();
    let answer = patiently(root.remove(service.unwrap().token())).await;
    assert_eq!(answer, Err(RemoveError::SupervisorGone));
}

#[actix::test]
async fn adding_after_a_shutdown_says_so() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    root.shutdown().await.unwrap();
    let answer = patiently(root.add(probe("a", &log))).await;
    assert_eq!(answer.unwrap_err(), AddError::SupervisorGone);
    assert!(log.take().is_empty());
}

#[actix::test]
async fn adding_after_the_supervisor_gave_up_says_so() {
    time::pause();
    let log = Log::default();
    let spec =
        SupervisorSpec::default().limit(RestartLimit::window(0, Duration::from_secs(5)).escalate());
    let root = root(spec).await;
    let failing = root.add_and_wait(probe("a", &log)).await.unwrap();
    failing.do_send(Act::Fail);
    assert!(patiently(root.join()).await.is_err());
    let answer = patiently(root.add(probe("b", &log))).await;
    assert_eq!(answer.unwrap_err(), AddError::SupervisorGone);
}

#[actix::test]
async fn slow_start_is_waited_for() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let slow = planned("a", &log, |_| {
        (Start::ReadyAfter(Duration::from_secs(30)), Stop::Obey)
    });
    let slow = slow.readiness(Readiness::Explicit);
    let slow = root.add_and_wait(slow).await.unwrap();
    assert_eq!(slow.send(Generation).await, Ok(0));
    assert!(root.remove(slow.token()).await.is_ok());
}

#[actix::test]
async fn service_whose_start_timed_out_does_not_start_later() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let slow = planned("a", &log, |_| {
        (Start::ReadyAfter(Duration::from_secs(3)), Stop::Obey)
    });
    let slow = slow
        .readiness(Readiness::Explicit)
        .start_timeout(Duration::from_secs(1));
    root.add_and_wait(slow).await.unwrap_err();
    // Told that it failed, and it has: it is gone, and its name is free.
    assert_eq!(log.alive("a"), 0);
    time::sleep(Duration::from_secs(10)).await;
    assert_eq!(log.take(), ["+a", "-a"]);
    assert!(root.services().await.unwrap().is_empty());
    root.add_and_wait(probe("a", &log)).await.unwrap();
}

#[actix::test]
async fn second_service_of_a_name_is_refused_and_the_first_can_be_removed() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let first = root.add_and_wait(probe("a", &log)).await.unwrap();
    let refused = root.add(probe("a", &log)).await.unwrap_err();
    assert!(
        matches!(refused, AddError::DuplicateName { token, .. } if token == first.token()),
        "{refused}"
    );
    assert!(root.remove(first.token()).await.is_ok());
    assert!(root.shutdown().await.unwrap().is_clean());
    assert_eq!(log.take(), ["+a", "-a"]);
}

#[actix::test]
async fn added_subtree_is_supervised_like_a_service() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let spec =
        SupervisorSpec::default().limit(RestartLimit::window(0, Duration::from_secs(5)).escalate());
    let mut tier = SupervisorActor::new("tier", spec);
    let below = tier.add(probe("a", &log)).unwrap();
    let tier = root.add_and_wait(ServiceSpec::supervisor(tier)).await;
    let tier = tier.unwrap();
    below.do_send(Act::Fail);
    assert_eq!(below.send(Generation).await, Ok(1));
    assert!(root.remove(tier.token()).await.is_ok());
    assert_eq!(log.alive("a"), 0);
}

#[actix::test]
async fn name_is_free_after_removal_and_the_new_one_stops_in_its_new_place() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let first = root.add_and_wait(probe("a", &log)).await.unwrap();
    root.add_and_wait(probe("b", &log)).await.unwrap();
    root.remove(first.token()).await.unwrap();
    let again = root.add_and_wait(probe("a", &log)).await.unwrap();
    assert_ne!(again.token(), first.token());
    log.take();
    root.shutdown().await.unwrap();
    assert_eq!(log.take(), ["-a", "-b"]);
}

/// A service that adds two siblings of its own, then says that it is ready.
struct Spawner(Log);

impl Actor for Spawner {
    type Context = ServiceContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let (supervisor, log) = (ctx.supervisor(), self.0.clone());
        let add = async move {
            for name in ["one", "two"] {
                let spec = probe(name, &log).restart(RestartType::Temporary);
                supervisor.add_and_wait(spec).await.unwrap();
            }
        };
        ctx.spawn(add.into_actor(self).map(|(), _, ctx| ctx.ready()));
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Fail;

impl Handler<Fail> for Spawner {
    type Result = ();

    fn handle(&mut self, _: Fail, ctx: &mut Self::Context) {
        ctx.fail(super::support::oops("spawner failed"));
    }
}

/// A tier in which a spawner adds services, and all fail together.
fn spawning(log: &Log) -> (SupervisorActor, resurgam::ServiceRef<Spawner>) {
    let spec = SupervisorSpec::default()
        .strategy(Strategy::OneForAll)
        .limit(RestartLimit::window(1, Duration::from_secs(5)).escalate());
    let mut tier = SupervisorActor::new("tier", spec);
    let log = log.clone();
    let spawner = ServiceSpec::new("spawner", move || Spawner(log.clone()));
    let spawner = tier.add(spawner.readiness(Readiness::Explicit)).unwrap();
    (tier, spawner)
}

#[actix::test]
async fn services_that_a_starting_sibling_adds_are_ready_before_it() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let mut events = Recorder::new(&root);
    let (tier, _) = spawning(&log);
    root.add_and_wait(ServiceSpec::supervisor(tier))
        .await
        .unwrap();
    let mut lines = events.take();
    lines.retain(|line| line.ends_with("ServiceReady"));
    assert_eq!(
        lines,
        [
            "root/tier/one ServiceReady",
            "root/tier/two ServiceReady",
            "root/tier/spawner ServiceReady",
            "root/tier ServiceReady",
        ]
    );
}

#[actix::test]
async fn failing_spawner_takes_along_the_temporary_services_that_it_added() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let (tier, spawner) = spawning(&log);
    let tier = root.add_and_wait(ServiceSpec::supervisor(tier)).await;
    let tier = SupervisorRef::try_from(tier.unwrap()).unwrap();
    log.take();
    spawner.do_send(Fail);
    let ready = tier.when_ready::<Spawner>(spawner.token());
    settle().await;
    assert_eq!(patiently(ready).await.unwrap().token(), spawner.token());
    // They end, are forgotten, and are added anew.
    assert_eq!(log.take(), ["-two", "-one", "+one", "+two"]);
    assert_eq!(log.most_alive(), 1);
    assert_eq!(tier.services().await.unwrap().len(), 3);
}

#[actix::test]
async fn failure_to_stop_of_an_added_service_is_told_up_to_the_root() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let tier = ServiceSpec::supervisor(SupervisorActor::with_defaults("tier"));
    let tier = SupervisorRef::try_from(root.add_and_wait(tier).await.unwrap()).unwrap();
    tier.add_and_wait(planned("a", &log, |_| (Start::Go, Stop::Fail)))
        .await
        .unwrap();
    let report = root.shutdown().await.unwrap();
    let paths: Vec<&str> = report.failures().iter().map(|(path, _)| &**path).collect();
    assert_eq!(paths, ["root/tier/a"]);
}

#[actix::test]
async fn services_added_to_a_subtree_survive_its_restart_unless_they_are_temporary() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let spec =
        SupervisorSpec::default().limit(RestartLimit::window(0, Duration::from_secs(5)).escalate());
    let tier = ServiceSpec::supervisor(SupervisorActor::new("tier", spec));
    let tier = SupervisorRef::try_from(root.add_and_wait(tier).await.unwrap()).unwrap();
    let kept = tier.add_and_wait(probe("kept", &log)).await.unwrap();
    let passing = probe("passing", &log).restart(RestartType::Temporary);
    let passing = tier.add_and_wait(passing).await.unwrap();
    let mut events = Recorder::new(&root);
    kept.do_send(Act::Fail);
    events
        .until(|kind| matches!(kind, EventKind::SupervisorEscalated { .. }))
        .await;
    assert_eq!(kept.send(Generation).await, Ok(1));
    assert!(passing.send(Generation).await.is_err());
}
