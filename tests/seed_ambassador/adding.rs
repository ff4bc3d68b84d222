//! Adding services, finding them, and naming ones that do not exist.

use std::time::Duration;

use resurgam::{
    AddError, LookupError, RemoveError, ResetError, RestartError, RestartType, ServiceState,
    SpecError, StopError, SupervisorActor,
};
use tokio::time;

use crate::support::{
    Habit, Log, Probe, What, add, ask, quiet, root, spec, spec_with, state, stop,
};

#[actix::test]
async fn nothing_runs_before_the_supervisor_is_started() {
    time::pause();
    let log = Log::default();
    let mut root = SupervisorActor::with_defaults("root");
    root.add(spec("a", &log)).unwrap();
    quiet().await;
    assert!(log.names(What::Made).is_empty());
    let root = root.start().await.unwrap();
    assert_eq!(log.names(What::Started), ["a"]);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn service_that_is_added_to_a_running_supervisor_is_started_at_once() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let a = root.add(spec("a", &log)).await.unwrap();
    assert_eq!(a.send(ask()).await, Ok(0));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn taken_name_is_refused_and_nothing_has_changed() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let a = add(&root, spec("a", &log)).await;
    let refused = root.add(spec("a", &log)).await.unwrap_err();
    assert_eq!(refused, AddError::duplicate_name("a", a.token()));
    assert_eq!(a.send(ask()).await, Ok(0));
    assert_eq!(log.names(What::Made), ["a"]);
    let b = root.add_and_wait(spec("b", &log)).await.unwrap();
    assert_eq!(b.send(ask()).await, Ok(0));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn taken_name_is_refused_before_the_start_too() {
    time::pause();
    let log = Log::default();
    let mut root = SupervisorActor::with_defaults("root");
    root.add(spec("a", &log)).unwrap();
    let refused = root.add(spec("a", &log)).unwrap_err();
    assert!(matches!(refused, AddError::DuplicateName { .. }));
}

#[actix::test]
async fn name_of_a_service_that_has_finished_is_free_again() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let first = add(&root, spec("a", &log).restart(RestartType::Transient)).await;
    first.do_send(stop());
    quiet().await;
    let second = root.add_and_wait(spec("a", &log)).await.unwrap();
    assert_ne!(first.token(), second.token());
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn name_of_a_service_that_is_being_removed_is_free_only_when_it_has_ended() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let slow = Habit::Slow(Duration::from_secs(1));
    let old = add(&root, spec_with("a", &log, slow)).await;
    let removing = root.remove(old.token());
    let adding = async {
        quiet().await;
        let refused = root.add(spec("a", &log)).await.unwrap_err();
        assert!(matches!(refused, AddError::DuplicateName { .. }));
        assert_eq!(log.count(What::Made, "a"), 1);
    };
    let (removed, ()) = tokio::join!(removing, adding);
    removed.unwrap();
    root.add_and_wait(spec("a", &log)).await.unwrap();
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn service_is_found_by_its_path_until_it_has_finished() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let a = add(&root, spec("a", &log).restart(RestartType::Temporary)).await;
    let found = root.lookup::<Probe>("root/a").await.unwrap();
    assert_eq!(found, a);
    a.do_send(stop());
    quiet().await;
    assert_eq!(
        root.lookup::<Probe>("root/a").await.unwrap_err(),
        LookupError::unknown_path("root/a")
    );
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn service_that_was_there_at_the_start_is_kept_as_stopped_when_it_has_finished() {
    time::pause();
    let log = Log::default();
    let mut root = SupervisorActor::with_defaults("root");
    let a = root
        .add(spec("a", &log).restart(RestartType::Temporary))
        .unwrap();
    let root = root.start().await.unwrap();
    a.do_send(stop());
    quiet().await;
    assert_eq!(state(&root, a.token()).await, Some(ServiceState::Stopped));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn operation_on_a_service_of_another_supervisor_is_an_error() {
    time::pause();
    let log = Log::default();
    let mut elsewhere = SupervisorActor::with_defaults("elsewhere");
    let token = elsewhere.add(spec("a", &log)).unwrap().token();
    let root = root().await;
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
    assert_eq!(
        root.remove(token).await,
        Err(RemoveError::wrong_supervisor(token))
    );
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn operation_on_a_service_that_is_gone_is_an_error() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    let token = add(&root, spec("a", &log)).await.token();
    root.remove(token).await.unwrap();
    assert_eq!(root.stop(token).await, Err(StopError::unknown_token(token)));
    assert_eq!(
        root.restart(token).await,
        Err(RestartError::unknown_token(token))
    );
    assert_eq!(
        root.reset(token).await,
        Err(ResetError::unknown_token(token))
    );
    assert_eq!(
        root.remove(token).await,
        Err(RemoveError::unknown_token(token))
    );
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn name_that_would_make_a_path_ambiguous_is_refused() {
    time::pause();
    let log = Log::default();
    let root = root().await;
    for name in ["", "a/b", "/"] {
        let refused = root.add(spec(name, &log)).await.unwrap_err();
        assert!(
            matches!(&refused, AddError::Spec(SpecError::InvalidName { name: given, .. }) if given == name),
            "{refused}"
        );
    }
    root.shutdown().await.unwrap();
}
