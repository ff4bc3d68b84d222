//! Who is restarted after which end.

use resurgam::{RestartType, ServiceState, Strategy, SupervisorActor, Verdict};
use tokio::time;

use crate::support::{
    Begin, End, Generation, Script, generations, idle, journal, probe, root, state_of, states,
    unlimited,
};

#[actix::test]
async fn permanent_service_is_restarted_after_every_end() {
    time::pause();
    let (journal, _log) = journal();
    let root = root().await;
    let child = root.add_and_wait(probe("child", &journal)).await.unwrap();
    for (generation, end) in [End::Normally, End::Failing, End::Panicking]
        .into_iter()
        .enumerate()
    {
        assert_eq!(child.send(Generation).await, Ok(generation as u64));
        child.do_send(end);
        assert_eq!(
            child.send(Generation).await,
            Ok(generation as u64 + 1),
            "{end:?}"
        );
    }
}

#[actix::test]
async fn transient_service_of_the_start_that_ends_normally_is_kept_and_restarted_by_hand() {
    time::pause();
    let (journal, _log) = journal();
    let mut root = SupervisorActor::new("root", unlimited());
    let spec = probe("child", &journal).restart(RestartType::Transient);
    let child = root.add(spec).unwrap();
    let root = root.start().await.unwrap();
    child.do_send(End::Normally);
    idle().await;
    let counts = root.counts().await.unwrap();
    assert_eq!((counts.services, counts.active), (1, 0));
    assert_eq!(state_of(&root, "child").await, Some(ServiceState::Stopped));
    root.restart(child.token()).await.unwrap();
    assert_eq!(child.send(Generation).await, Ok(1));
}

#[actix::test]
async fn transient_service_that_fails_is_restarted() {
    time::pause();
    let (journal, _log) = journal();
    let root = root().await;
    let spec = probe("child", &journal).restart(RestartType::Transient);
    let child = root.add_and_wait(spec).await.unwrap();
    for (generation, end) in [(1, End::Failing), (2, End::Panicking)] {
        child.do_send(end);
        assert_eq!(child.send(Generation).await, Ok(generation), "{end:?}");
    }
}

#[actix::test]
async fn temporary_service_is_never_restarted() {
    time::pause();
    let (journal, mut log) = journal();
    let root = root().await;
    for end in [
        End::Normally,
        End::Failing,
        End::Panicking,
        End::With(Verdict::DoNotRestart),
    ] {
        let spec = probe("child", &journal).restart(RestartType::Temporary);
        let child = root.add_and_wait(spec).await.unwrap();
        child.do_send(end);
        idle().await;
        assert_eq!(log.take_only("make").len(), 1, "{end:?}");
        assert_eq!(states(&root).await, [], "{end:?}");
    }
}

#[actix::test]
async fn temporary_service_that_a_group_restart_stops_is_not_started_again() {
    time::pause();
    let (journal, mut log) = journal();
    for strategy in [Strategy::OneForAll, Strategy::RestForOne] {
        for added in ["at the start", "later"] {
            let mut actor = SupervisorActor::new("root", unlimited().strategy(strategy));
            let child = actor.add(probe("child", &journal)).unwrap();
            let bystander = || probe("bystander", &journal).restart(RestartType::Temporary);
            let root = if added == "later" {
                let root = actor.start().await.unwrap();
                root.add_and_wait(bystander()).await.unwrap();
                root
            } else {
                actor.add(bystander()).unwrap();
                actor.start().await.unwrap()
            };
            log.take();
            child.do_send(End::Panicking);
            assert_eq!(generations([&child]).await, [1]);
            idle().await;
            let lines = log.take();
            assert!(
                lines.contains(&"drop bystander".to_owned()),
                "{strategy} {added}"
            );
            assert!(
                !lines.contains(&"make bystander".to_owned()),
                "{strategy} {added}"
            );
            assert_eq!(root.counts().await.unwrap().active, 1);
            root.shutdown().await.unwrap();
        }
    }
}

#[actix::test]
async fn added_transient_service_is_forgotten_after_a_normal_end_alone() {
    time::pause();
    let (journal, _log) = journal();
    let root = root().await;
    let spec = probe("child", &journal).restart(RestartType::Transient);
    let child = root.add_and_wait(spec).await.unwrap();
    child.do_send(End::Failing);
    assert_eq!(child.send(Generation).await, Ok(1));
    child.do_send(End::Normally);
    idle().await;
    assert_eq!(states(&root).await, []);
    assert_eq!(root.counts().await.unwrap().services, 0);
}

#[actix::test]
async fn added_service_that_declines_its_restart_is_dropped_and_its_supervisor_lives() {
    time::pause();
    let (journal, mut log) = journal();
    let root = root().await;
    let begins = |generation| match generation {
        0 => Begin::Works,
        _ => Begin::Declines,
    };
    let spec = Script::new("child", &journal).begins(begins).spec();
    let child = root.add_and_wait(spec).await.unwrap();
    child.do_send(End::Panicking);
    idle().await;
    assert_eq!(states(&root).await, []);
    assert_eq!(log.take_only("make").len(), 2);
    assert!(root.add_and_wait(probe("child", &journal)).await.is_ok());
}

#[actix::test]
async fn restart_may_work_decline_fail_or_panic_and_each_has_its_own_consequence() {
    time::pause();
    let (journal, mut log) = journal();
    let root = root().await;
    for (restart, expected) in [
        (Begin::Works, Some(ServiceState::Ready)),
        (Begin::Declines, None),
        (Begin::Fails, Some(ServiceState::Ready)),
        (Begin::Panics, Some(ServiceState::Ready)),
    ] {
        let begins = move |generation| {
            if generation == 1 {
                restart
            } else {
                Begin::Works
            }
        };
        let spec = Script::new("child", &journal).begins(begins).spec();
        let child = root.add_and_wait(spec).await.unwrap();
        child.do_send(End::Panicking);
        idle().await;
        assert_eq!(state_of(&root, "child").await, expected, "{restart:?}");
        // A start that failed is tried once more.
        let tried = if matches!(restart, Begin::Fails | Begin::Panics) {
            3
        } else {
            2
        };
        assert_eq!(log.take_only("make").len(), tried, "{restart:?}");
        if expected.is_some() {
            root.remove(child.token()).await.unwrap();
        }
    }
}
