//! Operations on services, in every state that they may be in.

use std::sync::Arc;

use actix::prelude::*;
use resurgam::{
    AddError, Backoff, ExitReason, LookupError, ReconfigureError, RemoveError, ResetError,
    RestartError, RestartType, ServiceRef, ServiceSpec, ServiceState, StartError, StopError,
    Strategy, SupervisorActor, SupervisorGone, SupervisorRef, SupervisorSpec,
};
use tokio::time;

use crate::support::{
    Begin, End, Fault, Generation, Journal, Probe, Script, generations, idle, journal, probe, root,
    secs, state_of, states, unlimited, with_probes,
};

#[actix::test]
async fn stop_keeps_the_service_and_may_be_repeated() {
    time::pause();
    let (journal, mut log) = journal();
    let root = root().await;
    let child = root.add_and_wait(probe("child", &journal)).await.unwrap();
    for _ in 0..2 {
        assert_eq!(root.stop(child.token()).await, Ok(()));
        let counts = root.counts().await.unwrap();
        assert_eq!((counts.services, counts.active, counts.stopped), (1, 0, 1));
    }
    let report = root.report().await.unwrap();
    assert_eq!(
        report.services()[0].last_exit(),
        Some(&ExitReason::Shutdown)
    );
    assert_eq!(log.take_only("drop").len(), 1);

    root.remove(child.token()).await.unwrap();
    let token = child.token();
    assert_eq!(root.stop(token).await, Err(StopError::unknown_token(token)));
}

#[actix::test]
async fn restart_starts_a_stopped_service_and_starts_a_running_one_anew() {
    time::pause();
    let (journal, mut log) = journal();
    let root = root().await;
    let child = root.add_and_wait(probe("child", &journal)).await.unwrap();
    root.stop(child.token()).await.unwrap();
    assert_eq!(root.restart(child.token()).await, Ok(()));
    assert_eq!(child.send(Generation).await, Ok(1));
    log.take();
    assert_eq!(root.restart(child.token()).await, Ok(()));
    assert_eq!(child.send(Generation).await, Ok(2));
    assert_eq!(
        log.take(),
        [
            "stopping child",
            "stop child",
            "drop child",
            "make child",
            "start child"
        ]
    );
    let token = child.token();
    root.remove(token).await.unwrap();
    assert_eq!(
        root.restart(token).await,
        Err(RestartError::unknown_token(token))
    );
}

#[actix::test]
async fn remove_stops_a_running_service_first_and_forgets_a_stopped_one_at_once() {
    time::pause();
    let (journal, mut log) = journal();
    let root = root().await;
    let child = root.add_and_wait(probe("child", &journal)).await.unwrap();
    log.take();
    assert_eq!(root.remove(child.token()).await, Ok(ExitReason::Shutdown));
    assert_eq!(log.take(), ["stopping child", "stop child", "drop child"]);
    assert_eq!(child.send(Generation).await, Err(MailboxError::Closed));

    let child = root.add_and_wait(probe("child", &journal)).await.unwrap();
    let token = child.token();
    root.stop(token).await.unwrap();
    assert_eq!(root.remove(token).await, Ok(ExitReason::Shutdown));
    assert_eq!(states(&root).await, []);
    assert_eq!(
        root.remove(token).await,
        Err(RemoveError::unknown_token(token))
    );
    assert_eq!(
        root.restart(token).await,
        Err(RestartError::unknown_token(token))
    );
}

#[actix::test]
async fn every_operation_on_a_supervisor_that_has_ended_says_so_and_none_hangs() {
    time::pause();
    let (journal, _log) = journal();
    let root = root().await;
    let child = root.add_and_wait(probe("child", &journal)).await.unwrap();
    let token = child.token();
    let report = root.shutdown().await.unwrap();

    let added = root.add(probe("next", &journal)).await;
    assert_eq!(added.unwrap_err(), AddError::SupervisorGone);
    let waited = root.add_and_wait(probe("next", &journal)).await;
    assert!(matches!(waited, Err(StartError::SupervisorGone)));
    assert_eq!(root.remove(token).await, Err(RemoveError::SupervisorGone));
    assert_eq!(root.stop(token).await, Err(StopError::SupervisorGone));
    assert_eq!(root.restart(token).await, Err(RestartError::SupervisorGone));
    assert_eq!(root.reset(token).await, Err(ResetError::SupervisorGone));
    assert_eq!(root.counts().await, Err(SupervisorGone));
    assert_eq!(root.report().await, Err(SupervisorGone));
    let reconfigured = root.reconfigure(SupervisorSpec::default()).await;
    assert_eq!(reconfigured, Err(ReconfigureError::SupervisorGone));
    assert!(root.lookup::<Probe>(token).await.is_err());
    assert!(root.when_ready::<Probe>(token).await.is_err());
    assert_eq!(child.send(Generation).await, Err(MailboxError::Closed));
    assert!(root.join().await.is_ok());
    assert_eq!(root.shutdown().await, Ok(report));
}

#[actix::test]
async fn token_of_another_supervisor_is_refused_and_its_service_lives() {
    time::pause();
    let (journal, _log) = journal();
    let (root, other) = (root().await, root().await);
    let stranger = other.add_and_wait(probe("child", &journal)).await.unwrap();
    root.add_and_wait(probe("child", &journal)).await.unwrap();
    let token = stranger.token();
    assert_eq!(
        root.remove(token).await,
        Err(RemoveError::wrong_supervisor(token))
    );
    assert_eq!(
        root.stop(token).await,
        Err(StopError::wrong_supervisor(token))
    );
    assert_eq!(
        root.restart(token).await,
        Err(RestartError::wrong_supervisor(token))
    );
    assert_eq!(
        root.reset(token).await,
        Err(ResetError::wrong_supervisor(token))
    );
    assert_eq!(stranger.send(Generation).await, Ok(0));
    assert_eq!(state_of(&root, "child").await, Some(ServiceState::Ready));
}

#[actix::test]
async fn counts_tell_all_services_from_those_that_run() {
    time::pause();
    let (journal, _log) = journal();
    let root = root().await;
    let child = root.add_and_wait(probe("child", &journal)).await.unwrap();
    let tier = SupervisorActor::new("tier", unlimited());
    root.add_and_wait(ServiceSpec::supervisor(tier))
        .await
        .unwrap();
    let counts = root.counts().await.unwrap();
    assert_eq!((counts.services, counts.active, counts.ready), (2, 2, 2));
    root.stop(child.token()).await.unwrap();
    let counts = root.counts().await.unwrap();
    assert_eq!((counts.services, counts.active, counts.stopped), (2, 1, 1));
}

#[actix::test]
async fn thousands_of_services_are_counted_exactly_until_all_have_died() {
    time::pause();
    let (journal, _log) = journal();
    let root = root().await;
    let mut all = Vec::new();
    for thousand in [1_000, 2_000] {
        while all.len() < thousand {
            let spec = probe(&all.len().to_string(), &journal);
            let temporary = spec.restart(RestartType::Temporary);
            all.push(root.add(temporary).await.unwrap());
        }
        idle().await;
        let counts = root.counts().await.unwrap();
        assert_eq!((counts.services, counts.ready), (thousand, thousand));
    }
    for service in &all {
        service.do_send(End::Panicking);
    }
    idle().await;
    let counts = root.counts().await.unwrap();
    assert_eq!((counts.services, counts.active), (0, 0));
}

/// Three services that work once, and whose next starts fail until the fault is repaired.
async fn three_in_retry(
    journal: &Journal,
    fault: &Fault,
    restart: RestartType,
) -> (SupervisorRef, Vec<ServiceRef<Probe>>) {
    let root = root().await;
    let mut all = Vec::new();
    for name in ["a", "b", "c"] {
        let fault = fault.clone();
        let script = Script::new(name, journal).begins(move |_| fault.begin());
        let spec = script.spec().restart(restart);
        let spec = spec.backoff(Backoff::constant(secs(10)));
        all.push(root.add_and_wait(spec).await.unwrap());
    }
    fault.set();
    for service in &all {
        service.do_send(End::Panicking);
    }
    time::sleep(secs(25)).await;
    (root, all)
}

#[actix::test]
async fn services_that_wait_for_a_retry_are_counted_and_are_not_active() {
    time::pause();
    let (journal, _log) = journal();
    let fault = Fault::default();
    let (root, all) = three_in_retry(&journal, &fault, RestartType::Transient).await;
    let counts = root.counts().await.unwrap();
    assert_eq!((counts.services, counts.active, counts.waiting), (3, 0, 3));
    fault.repair();
    time::sleep(secs(10)).await;
    let counts = root.counts().await.unwrap();
    assert_eq!((counts.services, counts.active, counts.ready), (3, 3, 3));
    for (left, service) in [2, 1, 0].into_iter().zip(&all) {
        root.stop(service.token()).await.unwrap();
        assert_eq!(root.counts().await.unwrap().active, left);
    }
    for (left, service) in [2, 1, 0].into_iter().zip(&all) {
        root.remove(service.token()).await.unwrap();
        assert_eq!(root.counts().await.unwrap().services, left);
    }
}

#[actix::test]
async fn services_are_listed_with_name_token_state_and_type_in_start_order() {
    time::pause();
    let (journal, _log) = journal();
    let (root, probes) = with_probes(unlimited(), &["b", "a"], &journal).await;
    root.stop(probes[0].token()).await.unwrap();
    let listed = root.services().await.unwrap();
    let seen: Vec<_> = listed
        .iter()
        .map(|service| (service.name(), service.token(), service.state()))
        .collect();
    assert_eq!(
        seen,
        [
            ("b", probes[0].token(), ServiceState::Stopped),
            ("a", probes[1].token(), ServiceState::Ready),
        ]
    );
    assert!(listed[0].type_name().ends_with("Probe"));
    // One that is stopped is found, one that is removed is not.
    assert_eq!(
        root.lookup::<Probe>("root/b").await.as_ref(),
        Ok(&probes[0])
    );
    root.remove(probes[0].token()).await.unwrap();
    assert_eq!(
        root.lookup::<Probe>("root/b").await,
        Err(LookupError::unknown_path("root/b"))
    );
}

#[actix::test]
async fn supervisor_without_services_lists_none() {
    time::pause();
    let root = root().await;
    assert_eq!(states(&root).await, []);
}

#[actix::test]
async fn operations_on_a_service_in_a_loop_of_failing_restarts_all_answer() {
    time::pause();
    let (journal, mut log) = journal();
    let fault = Fault::default();
    let (root, all) = three_in_retry(&journal, &fault, RestartType::Permanent).await;
    let [a, b, c] = [&all[0], &all[1], &all[2]];
    assert_eq!(state_of(&root, "a").await, Some(ServiceState::BackingOff));
    assert!(matches!(
        root.add(probe("a", &journal)).await,
        Err(AddError::DuplicateName { .. })
    ));
    let restarted = root.restart(a.token()).await;
    assert!(matches!(restarted, Err(RestartError::Failed { .. })));
    let reset = root.reset(a.token()).await;
    assert!(matches!(reset, Err(ResetError::Failed { .. })));
    // A stop and a removal end the loop.
    root.stop(a.token()).await.unwrap();
    root.stop(b.token()).await.unwrap();
    let reason = root.remove(c.token()).await.unwrap();
    assert!(matches!(reason, ExitReason::Failed(_)), "{reason}");
    log.take();
    time::sleep(secs(10)).await;
    assert!(log.take().is_empty());
    assert_eq!(
        states(&root).await,
        [
            ("a".to_owned(), ServiceState::Stopped),
            ("b".to_owned(), ServiceState::Stopped)
        ]
    );
    fault.repair();
    root.restart(a.token()).await.unwrap();
    assert_eq!(a.send(Generation).await.unwrap(), generations([a]).await[0]);
    assert_eq!(state_of(&root, "b").await, Some(ServiceState::Stopped));
}

#[actix::test]
async fn under_rest_for_one_those_behind_a_failing_restart_wait_and_those_before_run_on() {
    time::pause();
    let (journal, _log) = journal();
    let fault = Fault::default();
    let spec = unlimited().strategy(Strategy::RestForOne);
    let mut root = SupervisorActor::new("root", spec);
    let before = root.add(probe("before", &journal)).unwrap();
    let faulty = fault.clone();
    let script = Script::new("bad", &journal).begins(move |_| faulty.begin());
    let backoff = Backoff::constant(secs(10));
    let bad = root.add(script.spec().backoff(backoff)).unwrap();
    let behind = root.add(probe("behind", &journal)).unwrap();
    let root = root.start().await.unwrap();
    fault.set();
    bad.do_send(End::Panicking);
    time::sleep(secs(25)).await;
    assert_eq!(generations([&before]).await, [0]);
    assert_eq!(state_of(&root, "bad").await, Some(ServiceState::BackingOff));
    assert_eq!(state_of(&root, "behind").await, Some(ServiceState::Waiting));
    root.stop(bad.token()).await.unwrap();
    assert_eq!(state_of(&root, "bad").await, Some(ServiceState::Stopped));
    fault.repair();
    root.restart(bad.token()).await.unwrap();
    assert_eq!(generations([&before, &behind]).await, [0, 1]);
    root.shutdown().await.unwrap();
}

/// A factory that holds something until it is dropped.
fn holding(
    name: &str,
    journal: &Journal,
    argument: &Arc<[u8]>,
    restart: RestartType,
) -> ServiceSpec<Probe> {
    let argument = Arc::clone(argument);
    let script = Script::new(name, journal).begins(move |_| {
        let _large = argument.len();
        Begin::Works
    });
    script.spec().restart(restart)
}

#[actix::test]
async fn what_a_temporary_service_was_started_with_is_dropped_when_it_has_ended() {
    time::pause();
    let (journal, _log) = journal();
    let root = root().await;
    let argument: Arc<[u8]> = vec![0; 1 << 20].into();
    let mut all = Vec::new();
    for index in 0..100 {
        let name = index.to_string();
        let spec = holding(&name, &journal, &argument, RestartType::Temporary);
        all.push(root.add_and_wait(spec).await.unwrap());
    }
    for (index, service) in all.iter().enumerate() {
        service.do_send(if index % 2 == 0 {
            End::Panicking
        } else {
            End::Normally
        });
    }
    idle().await;
    assert_eq!(Arc::strong_count(&argument), 1, "also if the refs are held");
    let spec = holding("kept", &journal, &argument, RestartType::Transient);
    let kept = root.add_and_wait(spec).await.unwrap();
    kept.send(End::Panicking).await.unwrap_err();
    assert_eq!(kept.send(Generation).await, Ok(1));
    assert_eq!(Arc::strong_count(&argument), 2);
}

#[actix::test]
async fn service_goes_through_its_whole_life_by_request() {
    time::pause();
    let (journal, _log) = journal();
    let root = root().await;
    let child = root.add_and_wait(probe("child", &journal)).await.unwrap();
    assert_eq!(child.send(Generation).await, Ok(0));
    root.stop(child.token()).await.unwrap();
    root.restart(child.token()).await.unwrap();
    assert_eq!(child.send(Generation).await, Ok(1));
    root.stop(child.token()).await.unwrap();
    root.remove(child.token()).await.unwrap();
    assert!(root.shutdown().await.unwrap().is_clean());
}

#[actix::test]
async fn stop_of_a_service_leaves_its_siblings_alone() {
    time::pause();
    let (journal, mut log) = journal();
    for strategy in [Strategy::OneForAll, Strategy::RestForOne] {
        let spec = unlimited().strategy(strategy);
        let (root, probes) = with_probes(spec, &["a", "b", "c"], &journal).await;
        log.take();
        root.stop(probes[1].token()).await.unwrap();
        idle().await;
        assert_eq!(log.take(), ["stopping b", "stop b", "drop b"], "{strategy}");
        assert_eq!(state_of(&root, "b").await, Some(ServiceState::Stopped));
        root.shutdown().await.unwrap();
        log.take();
    }
}

#[actix::test]
async fn service_above_the_maximum_is_refused_until_one_is_forgotten() {
    time::pause();
    let (journal, _log) = journal();
    let full = AddError::full(2);
    let mut tree = SupervisorActor::new("root", unlimited().max_services(2));
    let mut below = SupervisorActor::with_defaults("below");
    for name in ["x", "y", "z"] {
        below.add(probe(name, &journal)).unwrap();
    }
    // What is below it does not count.
    tree.add(ServiceSpec::supervisor(below)).unwrap();
    tree.add(probe("a", &journal)).unwrap();
    assert_eq!(tree.add(probe("b", &journal)).unwrap_err(), full);
    let root = tree.start().await.unwrap();
    // Kept, though it does not run.
    root.stop("a").await.unwrap();
    assert_eq!(root.add(probe("b", &journal)).await.unwrap_err(), full);
    let refused = root.add_and_wait(probe("b", &journal)).await.unwrap_err();
    let StartError::Refused(refused) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(refused, full);
    root.remove("a").await.unwrap();
    root.add(probe("b", &journal)).await.unwrap();
    // A name that is taken is told as that.
    let refused = root.add(probe("b", &journal)).await.unwrap_err();
    assert!(
        matches!(refused, AddError::DuplicateName { .. }),
        "{refused}"
    );
}
