//! Supervisors that end by themselves, because significant services have.

use resurgam::{
    AutoShutdown, RestartType, ServiceRef, ServiceSpec, Strategy, SupervisorActor, SupervisorRef,
};
use tokio::time;

use crate::support::{
    End, Generation, Journal, Probe, ended, generations, idle, journal, probe, unlimited,
};

const MODES: [AutoShutdown; 3] = [
    AutoShutdown::Never,
    AutoShutdown::AnySignificant,
    AutoShutdown::AllSignificant,
];

const ENDS: [End; 3] = [End::Normally, End::Failing, End::Panicking];

/// Two significant services of a type, and one that only watches.
async fn significant(
    mode: AutoShutdown,
    restart: RestartType,
    journal: &Journal,
) -> (SupervisorRef, [ServiceRef<Probe>; 3]) {
    let mut root = SupervisorActor::new("root", unlimited().auto_shutdown(mode));
    let one = probe("one", journal).restart(restart).significant();
    let one = root.add(one).unwrap();
    let two = probe("two", journal).restart(restart).significant();
    let two = root.add(two).unwrap();
    let watcher = root.add(probe("watcher", journal)).unwrap();
    (root.start().await.unwrap(), [one, two, watcher])
}

async fn runs(watcher: &ServiceRef<Probe>) -> bool {
    idle().await;
    watcher.send(Generation).await.is_ok()
}

#[actix::test]
async fn end_of_an_ordinary_temporary_service_never_ends_its_supervisor() {
    time::pause();
    let (journal, _log) = journal();
    for mode in MODES {
        let mut root = SupervisorActor::new("root", unlimited().auto_shutdown(mode));
        let watcher = root.add(probe("watcher", &journal)).unwrap();
        let root = root.start().await.unwrap();
        let spec = || probe("child", &journal).restart(RestartType::Temporary);
        let child = root.add_and_wait(spec()).await.unwrap();
        root.remove(child.token()).await.unwrap();
        for end in ENDS {
            root.add_and_wait(spec()).await.unwrap().do_send(end);
            assert!(runs(&watcher).await, "{mode:?} {end:?}");
        }
    }
}

#[actix::test]
async fn end_of_an_ordinary_transient_service_never_ends_its_supervisor() {
    time::pause();
    let (journal, _log) = journal();
    for mode in MODES {
        let mut root = SupervisorActor::new("root", unlimited().auto_shutdown(mode));
        let watcher = root.add(probe("watcher", &journal)).unwrap();
        let spec = probe("child", &journal).restart(RestartType::Transient);
        let child = root.add(spec).unwrap();
        let root = root.start().await.unwrap();
        for (generation, end) in [(1, End::Failing), (2, End::Panicking)] {
            child.do_send(end);
            assert_eq!(child.send(Generation).await, Ok(generation), "{mode:?}");
        }
        root.stop(child.token()).await.unwrap();
        root.restart(child.token()).await.unwrap();
        child.do_send(End::Normally);
        assert!(runs(&watcher).await, "{mode:?}");
        assert!(root.shutdown().await.unwrap().is_clean());
    }
}

#[actix::test]
async fn stop_of_a_significant_service_on_request_does_not_count() {
    time::pause();
    let (journal, _log) = journal();
    for mode in [AutoShutdown::AnySignificant, AutoShutdown::AllSignificant] {
        for restart in [RestartType::Temporary, RestartType::Transient] {
            let (root, [one, two, watcher]) = significant(mode, restart, &journal).await;
            root.stop(one.token()).await.unwrap();
            root.remove(two.token()).await.unwrap();
            assert!(runs(&watcher).await, "{mode:?} {restart}");
            root.shutdown().await.unwrap();
        }
    }
}

#[actix::test]
async fn any_end_of_a_significant_temporary_service_ends_the_supervisor_if_one_suffices() {
    time::pause();
    let (journal, mut log) = journal();
    for end in ENDS {
        let (root, [one, two, watcher]) = significant(
            AutoShutdown::AnySignificant,
            RestartType::Temporary,
            &journal,
        )
        .await;
        one.do_send(end);
        assert!(ended(&root).await.is_ok(), "{end:?}");
        for service in [&one, &two, &watcher] {
            assert!(service.send(Generation).await.is_err(), "{end:?}");
        }
        assert_eq!(log.take_only("drop").len(), 3, "{end:?}");
    }
}

#[actix::test]
async fn last_of_the_significant_temporary_services_ends_the_supervisor_if_all_must_end() {
    time::pause();
    let (journal, _log) = journal();
    for (first, second) in [
        (End::Normally, End::Failing),
        (End::Panicking, End::Normally),
        (End::Failing, End::Panicking),
    ] {
        let (root, [one, two, watcher]) = significant(
            AutoShutdown::AllSignificant,
            RestartType::Temporary,
            &journal,
        )
        .await;
        two.do_send(first);
        assert!(runs(&watcher).await, "{first:?}");
        one.do_send(second);
        assert!(ended(&root).await.is_ok(), "{second:?}");
        assert!(watcher.send(Generation).await.is_err());
    }
}

#[actix::test]
async fn normal_end_of_a_significant_transient_service_counts_and_a_failure_does_not() {
    time::pause();
    let (journal, _log) = journal();
    let (root, [one, _two, watcher]) = significant(
        AutoShutdown::AnySignificant,
        RestartType::Transient,
        &journal,
    )
    .await;
    for (generation, end) in [(1, End::Failing), (2, End::Panicking)] {
        one.do_send(end);
        assert_eq!(generations([&one, &watcher]).await, [generation, 0]);
    }
    one.do_send(End::Normally);
    assert!(ended(&root).await.is_ok());
    assert!(watcher.send(Generation).await.is_err());
}

#[actix::test]
async fn last_normal_end_of_the_significant_transient_services_counts_if_all_must_end() {
    time::pause();
    let (journal, _log) = journal();
    let (root, [one, two, watcher]) = significant(
        AutoShutdown::AllSignificant,
        RestartType::Transient,
        &journal,
    )
    .await;
    one.do_send(End::Normally);
    assert!(runs(&watcher).await);
    two.do_send(End::Panicking);
    assert_eq!(generations([&two, &watcher]).await, [1, 0]);
    two.do_send(End::Normally);
    assert!(ended(&root).await.is_ok());
}

#[actix::test]
async fn service_that_was_stopped_by_hand_is_not_waited_for_by_all_significant() {
    time::pause();
    let (journal, _log) = journal();
    let (root, [one, two, _watcher]) = significant(
        AutoShutdown::AllSignificant,
        RestartType::Transient,
        &journal,
    )
    .await;
    root.stop(one.token()).await.unwrap();
    two.do_send(End::Normally);
    assert!(ended(&root).await.is_ok());
}

#[actix::test]
async fn significant_service_that_a_group_restart_stops_does_not_end_the_supervisor() {
    time::pause();
    let (journal, _log) = journal();
    for mode in [AutoShutdown::AnySignificant, AutoShutdown::AllSignificant] {
        for restart in [RestartType::Temporary, RestartType::Transient] {
            for strategy in [Strategy::OneForAll, Strategy::RestForOne] {
                let spec = unlimited().auto_shutdown(mode).strategy(strategy);
                let mut root = SupervisorActor::new("root", spec);
                let child = root.add(probe("child", &journal)).unwrap();
                let bystander = probe("bystander", &journal).restart(restart);
                root.add(bystander.significant()).unwrap();
                let root = root.start().await.unwrap();
                child.do_send(End::Panicking);
                idle().await;
                assert_eq!(
                    child.send(Generation).await,
                    Ok(1),
                    "{mode:?} {restart} {strategy}"
                );
                let back = usize::from(restart == RestartType::Transient);
                assert_eq!(root.counts().await.unwrap().active, 1 + back);
                root.shutdown().await.unwrap();
            }
        }
    }
}

/// Whether the outer supervisor has ended after the normal end of a significant worker of the inner one.
async fn outer_ends(
    mark: impl Fn(ServiceSpec<SupervisorActor>) -> ServiceSpec<SupervisorActor>,
) -> bool {
    let (journal, _log) = journal();
    let any = unlimited().auto_shutdown(AutoShutdown::AnySignificant);
    let mut inner = SupervisorActor::new("inner", any.clone());
    let worker = probe("worker", &journal).restart(RestartType::Transient);
    let worker = inner.add(worker.significant()).unwrap();
    let sibling = inner.add(probe("sibling", &journal)).unwrap();
    let mut outer = SupervisorActor::new("outer", any);
    let inner = ServiceSpec::supervisor(inner).restart(RestartType::Transient);
    outer.add(mark(inner)).unwrap();
    let watcher = outer.add(probe("watcher", &journal)).unwrap();
    let outer = outer.start().await.unwrap();
    worker.do_send(End::Normally);
    idle().await;
    // The inner one has ended in any case, and is not restarted.
    let told = time::timeout(time::Duration::from_secs(1), sibling.send(Generation)).await;
    assert!(!matches!(told, Ok(Ok(_))), "{told:?}");
    let gone = watcher.send(Generation).await.is_err();
    if gone {
        assert!(ended(&outer).await.is_ok());
    }
    gone
}

#[actix::test]
async fn automatic_end_goes_up_only_if_the_supervisor_is_itself_significant() {
    time::pause();
    assert!(!outer_ends(|spec| spec).await);
    assert!(outer_ends(ServiceSpec::significant).await);
}
