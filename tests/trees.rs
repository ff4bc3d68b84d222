//! Supervisors as services of supervisors, in paused time.
#![expect(clippy::panic, reason = "services that panic")]

mod leaf;

use std::time::Duration;

use actix::prelude::*;
use resurgam::{
    JoinError, LookupError, RestartLimit, ServiceContext, ServiceRef, ServiceSpec, StartError,
    Strategy, SupervisorActor, SupervisorRef, SupervisorSpec,
};
use tokio::time;

use self::leaf::{Crash, Generation, Leaf};

#[actix::test]
async fn restarted_supervisor_keeps_the_addresses_of_its_services() {
    time::pause();
    let spec =
        SupervisorSpec::default().limit(RestartLimit::window(0, Duration::from_secs(1)).escalate());
    let mut tier = SupervisorActor::new("tier", spec);
    let fixed = tier.add(ServiceSpec::new("fixed", Leaf::default)).unwrap();
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let tier: ServiceRef<SupervisorActor> = root
        .add_and_wait(ServiceSpec::supervisor(tier))
        .await
        .unwrap();
    let tier = SupervisorRef::try_from(&tier).unwrap();
    let added = tier
        .add_and_wait(ServiceSpec::new("added", Leaf::default))
        .await
        .unwrap();
    assert_eq!(fixed.path(), "root/tier/fixed");
    assert_eq!(added.path(), "root/tier/added");

    let mut events = root.events();
    fixed.do_send(Crash);
    assert_eq!(fixed.send(Generation).await, Ok(1));
    assert_eq!(added.send(Generation).await, Ok(1));
    let mut kinds = Vec::new();
    while let Some(event) = events.try_next() {
        kinds.push(event.to_string());
    }
    assert!(
        kinds.iter().any(|line| line.contains("gave up")),
        "{kinds:#?}"
    );
    assert!(root.shutdown().await.unwrap().is_clean());
}

#[actix::test]
async fn one_for_all_restarts_everybody() {
    time::pause();
    let spec = SupervisorSpec::default().strategy(Strategy::OneForAll);
    let mut root = SupervisorActor::new("root", spec);
    let a = root.add(ServiceSpec::new("a", Leaf::default)).unwrap();
    let b = root.add(ServiceSpec::new("b", Leaf::default)).unwrap();
    let root = root.start().await.unwrap();
    b.do_send(Crash);
    assert_eq!(b.send(Generation).await, Ok(1));
    assert_eq!(a.send(Generation).await, Ok(1));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn supervisor_of_a_tree_that_was_never_started_has_no_handle() {
    let mut root = SupervisorActor::with_defaults("root");
    let tier = SupervisorActor::with_defaults("tier");
    let tier = root.add(ServiceSpec::supervisor(tier)).unwrap();
    assert!(SupervisorRef::try_from(&tier).is_err());
    let root = root.start().await.unwrap();
    assert_eq!(SupervisorRef::try_from(&tier).unwrap().path(), "root/tier");
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn supervisor_that_is_shut_down_leaves_its_own_supervisor() {
    time::pause();
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let mut tier = SupervisorActor::with_defaults("tier");
    let leaf = tier.add(ServiceSpec::new("leaf", Leaf::default)).unwrap();
    let tier = root
        .add_and_wait(ServiceSpec::supervisor(tier))
        .await
        .unwrap();
    let tier = SupervisorRef::try_from(&tier).unwrap();
    assert!(tier.shutdown().await.unwrap().is_clean());
    assert_eq!(leaf.send(Generation).await, Err(MailboxError::Closed));
    // Behind what its own supervisor is still told.
    while root.counts().await.unwrap().services > 0 {}
    assert_eq!(root.services().await.unwrap(), []);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn service_that_is_stuck_below_is_listed_with_its_path_and_its_supervisor_is_not() {
    time::pause();
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let mut tier = SupervisorActor::with_defaults("tier");
    tier.add(ServiceSpec::new("stubborn", || Stubborn)).unwrap();
    root.add_and_wait(ServiceSpec::supervisor(tier))
        .await
        .unwrap();
    let report = root.shutdown().await.unwrap();
    let paths: Vec<_> = report.failures().iter().map(|(path, _)| &**path).collect();
    assert_eq!(paths, ["root/tier/stubborn"]);
}

/// Stays when it is asked to stop.
struct Stubborn;

impl Actor for Stubborn {
    type Context = ServiceContext<Self>;
    fn stopping(&mut self, _: &mut Self::Context) -> Running {
        Running::Continue
    }
}

#[test]
fn events_end_with_the_actix_system_while_a_reference_is_held() {
    let system = System::new();
    let (root, mut events) = system.block_on(async {
        let root = SupervisorActor::with_defaults("root")
            .start()
            .await
            .unwrap();
        let events = root.events();
        System::current().stop();
        (root, events)
    });
    system.run().unwrap();
    let soon = std::thread::spawn(move || {
        futures::executor::block_on(async {
            while events.next().await.is_some() {}
            let waited = root.when_ready::<SupervisorActor>("root").await;
            assert_eq!(waited.unwrap_err(), LookupError::SupervisorGone);
            root.join().await
        })
    });
    let joined = soon.join().unwrap();
    assert!(
        matches!(joined, Err(JoinError::SystemStopped)),
        "{joined:?}"
    );
}

#[test]
fn start_where_no_arbiter_runs_is_an_error() {
    let start = || SupervisorActor::with_defaults("root").start();
    let runtime = || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().unwrap()
    };
    let nowhere = futures::executor::block_on(start());
    assert!(matches!(nowhere, Err(StartError::NoSystem)), "{nowhere:?}");
    // The thread knows a system, and runs something else than its arbiter.
    let system = System::new();
    let beside = futures::executor::block_on(start());
    assert!(matches!(beside, Err(StartError::NoSystem)), "{beside:?}");
    let beside = runtime().block_on(start());
    assert!(matches!(beside, Err(StartError::NoSystem)), "{beside:?}");
    // Its arbiter runs.
    let root = system.block_on(start()).unwrap();
    assert!(system.block_on(root.shutdown()).unwrap().is_clean());
}

#[test]
fn tree_that_was_never_started_may_be_as_deep_as_anybody_likes() {
    let mut below = SupervisorActor::with_defaults("sub");
    let leaf = below.add(ServiceSpec::new("leaf", Leaf::default)).unwrap();
    for _ in 0..10_000 {
        let mut above = SupervisorActor::with_defaults("sub");
        above.add(ServiceSpec::supervisor(below)).unwrap();
        below = above;
    }
    assert!(leaf.connected());
    drop(below);
    assert!(!leaf.connected(), "it was forgotten and not dropped");
}
