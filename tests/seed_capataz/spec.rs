//! What a service is called, what its spec refuses, and what a spec means that says nothing.

use std::time::Duration;

use resurgam::{
    AddError, EventKind, ExitReason, ServiceSpec, ServiceState, SpecError, StartError,
    SupervisorActor, SupervisorRef, SupervisorSpec,
};
use tokio::time;

use super::support::{
    Act, Generation, Log, Recorder, Start, Stop, oops, planned, probe, root, settle, state_of,
};

#[actix::test]
async fn service_is_restarted_after_everything_unless_its_spec_says_otherwise() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let service = root.add(probe("a", &log)).await.unwrap();
    service.do_send(Act::Complete);
    service.do_send(Act::Fail);
    service.do_send(Act::Panic);
    assert_eq!(service.send(Generation).await, Ok(3));
}

#[actix::test]
async fn service_has_ten_seconds_to_stop_unless_its_spec_says_otherwise() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let deaf = planned("deaf", &log, |_| (Start::Go, Stop::Never));
    let deaf = root.add_and_wait(deaf).await.unwrap();
    let began = time::Instant::now();
    root.remove(deaf.token()).await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[actix::test]
async fn service_without_a_name_is_refused() {
    time::pause();
    let root = root(SupervisorSpec::default()).await;
    let refused = root.add(probe("", &Log::default())).await.unwrap_err();
    assert!(
        matches!(refused, AddError::Spec(SpecError::InvalidName { .. })),
        "{refused}"
    );
}

#[actix::test]
async fn supervisor_without_a_name_is_refused() {
    time::pause();
    let refused = SupervisorActor::with_defaults("").start().await;
    let refused = refused.unwrap_err();
    assert!(matches!(refused, StartError::Refused(_)), "{refused}");
}

#[actix::test]
async fn name_with_a_slash_is_refused() {
    time::pause();
    let root = root(SupervisorSpec::default()).await;
    let refused = root.add(probe("a/b", &Log::default())).await.unwrap_err();
    assert!(
        matches!(&refused, AddError::Spec(SpecError::InvalidName { name, .. }) if name == "a/b"),
        "{refused}"
    );
    let refused = SupervisorActor::with_defaults("a/b").start().await;
    assert!(matches!(refused, Err(StartError::Refused(_))));
    let tier = ServiceSpec::supervisor(SupervisorActor::with_defaults("a/b"));
    assert!(matches!(root.add(tier).await, Err(AddError::Spec(_))));
}

#[actix::test]
async fn second_sibling_of_a_name_is_refused_before_the_start() {
    time::pause();
    let log = Log::default();
    let mut root = SupervisorActor::with_defaults("root");
    let first = root.add(probe("a", &log)).unwrap();
    let refused = root.add(probe("a", &log)).unwrap_err();
    assert!(
        matches!(refused, AddError::DuplicateName { token, .. } if token == first.token()),
        "{refused}"
    );
    let root = root.start().await.unwrap();
    assert!(root.shutdown().await.unwrap().is_clean());
    assert_eq!(log.take(), ["+a", "-a"]);
}

#[actix::test]
async fn same_name_under_another_supervisor_is_another_path() {
    time::pause();
    let log = Log::default();
    let mut tier = SupervisorActor::with_defaults("tier");
    let below = tier.add(probe("a", &log)).unwrap();
    let mut root = SupervisorActor::with_defaults("root");
    let beside = root.add(probe("a", &log)).unwrap();
    root.add(ServiceSpec::supervisor(tier)).unwrap();
    let _root = root.start().await.unwrap();
    assert_eq!(beside.path(), "root/a");
    assert_eq!(below.path(), "root/tier/a");
}

#[actix::test]
async fn path_has_all_names_at_any_depth() {
    time::pause();
    let log = Log::default();
    let depth = 25;
    let mut supervisor = SupervisorActor::with_defaults(format!("s{depth}"));
    let leaf = supervisor.add(probe("leaf", &log)).unwrap();
    for level in (0..depth).rev() {
        let mut above = SupervisorActor::with_defaults(format!("s{level}"));
        above.add(ServiceSpec::supervisor(supervisor)).unwrap();
        supervisor = above;
    }
    let root = supervisor.start().await.unwrap();
    let names: Vec<String> = (0..=depth).map(|level| format!("s{level}")).collect();
    assert_eq!(leaf.path(), format!("{}/leaf", names.join("/")));
    let found = root
        .lookup::<super::support::Probe>(leaf.path())
        .await
        .unwrap();
    assert_eq!(found.token(), leaf.token());
    assert!(root.shutdown().await.unwrap().is_clean());
}

#[actix::test]
async fn snapshot_tells_name_and_path_of_a_service() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    root.add_and_wait(probe("a", &log)).await.unwrap();
    let services = root.services().await.unwrap();
    assert_eq!(services[0].name(), "a");
    assert_eq!(services[0].path(), "root/a");
    assert_eq!(services[0].state(), ServiceState::Ready);
    assert!(services[0].type_name().ends_with("Probe"));
    // And whether it is a supervisor.
    let sub = ServiceSpec::supervisor(SupervisorActor::with_defaults("sub"));
    root.add_and_wait(sub).await.unwrap();
    let services = root.services().await.unwrap();
    assert_eq!(services[1].path(), "root/sub");
    assert!(services[1].type_name().ends_with("SupervisorActor"));
}

#[actix::test]
async fn error_of_a_service_keeps_its_type() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let service = root.add_and_wait(probe("a", &log)).await.unwrap();
    let mut events = Recorder::new(&root);
    service.do_send(Act::FailWith(Box::new(SpecificError(7))));
    let event = events
        .until(|kind| matches!(kind, EventKind::ServiceFailed { .. }))
        .await;
    let EventKind::ServiceFailed { reason, .. } = event.kind() else {
        unreachable!();
    };
    let error = reason.error().unwrap().downcast_ref::<SpecificError>();
    assert_eq!(error, Some(&SpecificError(7)));
}

#[derive(Debug, PartialEq)]
struct SpecificError(u32);

impl std::fmt::Display for SpecificError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "error {}", self.0)
    }
}

impl std::error::Error for SpecificError {}

#[actix::test]
async fn panic_message_stands_alone_and_its_place_beside_it() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let service = root.add_and_wait(probe("a", &log)).await.unwrap();
    let mut events = Recorder::new(&root);
    service.do_send(Act::Panic);
    let event = events
        .until(|kind| matches!(kind, EventKind::ServicePanicked { .. }))
        .await;
    let EventKind::ServicePanicked {
        message, location, ..
    } = event.kind()
    else {
        unreachable!();
    };
    assert_eq!(message, "panicked on purpose");
    assert!(location.contains("seed_support"), "{location}");
}

#[actix::test]
async fn each_run_ends_with_exactly_one_event() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let service = root.add_and_wait(probe("a", &log)).await.unwrap();
    let mut events = Recorder::new(&root);
    // The second command falls on the second run, and so on: one end each.
    service.do_send(Act::Fail);
    service.do_send(Act::Complete);
    service.do_send(Act::Panic);
    assert_eq!(service.send(Generation).await, Ok(3));
    let ends: Vec<(u64, String)> = events
        .take_whole()
        .iter()
        .filter(|event| {
            !matches!(
                event.kind(),
                EventKind::ServiceStarted | EventKind::ServiceReady
            )
        })
        .map(|event| (event.generation(), kind_of(event.kind()).to_owned()))
        .collect();
    let expected = [(0, "failed"), (1, "completed"), (2, "panicked")];
    assert_eq!(ends, expected.map(|(g, kind)| (g, kind.to_owned())));
}

fn kind_of(kind: &EventKind) -> &'static str {
    match kind {
        EventKind::ServiceFailed { .. } => "failed",
        EventKind::ServiceCompleted { .. } => "completed",
        EventKind::ServicePanicked { .. } => "panicked",
        _ => "other",
    }
}

#[actix::test]
async fn tree_whose_last_reference_is_dropped_stops_in_reverse_order() {
    time::pause();
    let log = Log::default();
    let mut root = SupervisorActor::with_defaults("root");
    for name in ["a", "b", "c"] {
        root.add(probe(name, &log)).unwrap();
    }
    let root = root.start().await.unwrap();
    log.take();
    drop(root);
    settle().await;
    assert_eq!(log.take(), ["-c", "-b", "-a"]);
}

#[actix::test]
async fn service_reaches_its_own_supervisor() {
    time::pause();
    let log = Log::default();
    let mut tier = SupervisorActor::with_defaults("tier");
    tier.add(probe("a", &log)).unwrap();
    let root = root(SupervisorSpec::default()).await;
    let tier = ServiceSpec::supervisor(tier);
    let tier = SupervisorRef::try_from(root.add_and_wait(tier).await.unwrap()).unwrap();
    assert_eq!(tier.path(), "root/tier");
    assert_eq!(tier.services().await.unwrap()[0].path(), "root/tier/a");
    assert_eq!(root.services().await.unwrap()[0].path(), "root/tier");
}

#[actix::test]
async fn refused_spec_leaves_nothing_behind() {
    time::pause();
    let log = Log::default();
    let root = root(SupervisorSpec::default()).await;
    let spec = probe("a", &log).start_timeout(Duration::ZERO);
    assert!(matches!(root.add(spec).await, Err(AddError::Spec(_))));
    assert!(root.services().await.unwrap().is_empty());
    let service = root.add_and_wait(probe("a", &log)).await.unwrap();
    assert_eq!(
        state_of(&root, service.token()).await,
        Some(ServiceState::Ready)
    );
}

#[actix::test]
async fn error_given_as_text_is_told_as_it_is() {
    time::pause();
    let reason = ExitReason::Failed(resurgam::ServiceError::new(oops("disk is full")));
    assert_eq!(reason.to_string(), "failed: disk is full");
}
