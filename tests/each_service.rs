//! What is said for each service of a supervisor, for those that say nothing else.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "services that panic, and helpers of tests"
)]

use std::{
    thread::{self, ThreadId},
    time::Duration,
};

use actix::prelude::*;
use resurgam::{
    AddError, EventKind, Events, Placement, ReconfigureError, RestartLimit, ServiceContext,
    ServiceRef, ServiceSpec, ServiceState, SpecError, SupervisorActor, SupervisorSpec,
};
use tokio::time;

#[derive(Default)]
struct Device;

impl Actor for Device {
    type Context = ServiceContext<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
struct Crash;

impl Handler<Crash> for Device {
    type Result = ();
    fn handle(&mut self, _: Crash, _: &mut Self::Context) {
        panic!("crashed on purpose");
    }
}

#[derive(Message)]
#[rtype(result = "ThreadId")]
struct WhichThread;

impl Handler<WhichThread> for Device {
    type Result = MessageResult<WhichThread>;
    fn handle(&mut self, _: WhichThread, _: &mut Self::Context) -> Self::Result {
        MessageResult(thread::current().id())
    }
}

fn device(name: &str) -> ServiceSpec<Device> {
    ServiceSpec::new(name, Device::default)
}

async fn thread_of(device: &ServiceRef<Device>) -> ThreadId {
    device.send(WhichThread).await.unwrap()
}

async fn next(events: &mut Events, path: &str, wanted: impl Fn(&EventKind) -> bool) {
    let found = |event: &resurgam::Event| event.path() == path && wanted(event.kind());
    while !found(&events.next().await.unwrap()) {}
}

fn minute() -> Duration {
    Duration::from_secs(60)
}

/// With the default limit for all together, the sibling's first crash would wait for 15 s.
#[actix::test]
async fn device_that_crashes_again_and_again_disturbs_no_other() {
    time::pause();
    let spec = SupervisorSpec::default()
        .each_service(|each| each.limit(RestartLimit::window(5, minute()).give_up()));
    let root = SupervisorActor::new("root", spec).start().await.unwrap();
    let mut events = root.events();
    let bad = root.add_and_wait(device("bad")).await.unwrap();
    let good = root.add_and_wait(device("good")).await.unwrap();
    for _ in 0..6 {
        assert!(bad.send(Crash).await.is_err());
    }
    next(&mut events, "root/bad", |kind| {
        matches!(kind, EventKind::ServiceGaveUp { .. })
    })
    .await;
    let crashed = time::Instant::now();
    assert!(good.send(Crash).await.is_err());
    next(&mut events, "root/good", |kind| {
        matches!(kind, EventKind::ServiceReady)
    })
    .await;
    assert_eq!(time::Instant::now(), crashed);
    let report = root.report().await.unwrap();
    let states: Vec<_> = report
        .services()
        .iter()
        .map(resurgam::ServiceReport::state)
        .collect();
    assert_eq!(states, [ServiceState::Failed, ServiceState::Ready]);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn placement_of_each_holds_for_those_that_say_nothing_and_not_for_supervisors() {
    let spec = SupervisorSpec::default().each_service(|each| each.placement(Placement::Dedicated));
    let root = SupervisorActor::new("root", spec).start().await.unwrap();
    let here = thread::current().id();
    let silent = root.add(device("silent")).await.unwrap();
    let own = root
        .add(device("own").placement(Placement::Inherit))
        .await
        .unwrap();
    let mut below = SupervisorActor::with_defaults("below");
    let leaf = below.add(device("leaf")).unwrap();
    root.add(ServiceSpec::supervisor(below)).await.unwrap();
    assert_ne!(thread_of(&silent).await, here);
    assert_eq!(thread_of(&own).await, here);
    assert_eq!(thread_of(&leaf).await, here);
    // From now on, and not for those that are there.
    root.reconfigure(SupervisorSpec::default()).await.unwrap();
    let later = root.add(device("later")).await.unwrap();
    assert_eq!(thread_of(&later).await, here);
    assert!(silent.send(Crash).await.is_err());
    assert_ne!(thread_of(&silent).await, here);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn nonsense_that_is_said_for_each_service_is_refused_and_changes_nothing() {
    let bad = || {
        SupervisorSpec::default().each_service(|each| {
            each.limit(RestartLimit::window(0, minute()))
                .placement(Placement::Dedicated)
        })
    };
    let names = |refused: &SpecError| {
        assert_eq!(
            refused.to_string().split(',').next(),
            Some("`each_service` is `limit.max = 0`")
        );
    };
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let below = ServiceSpec::supervisor(SupervisorActor::new("below", bad()));
    let Err(AddError::Spec(refused)) = root.add(below).await else {
        panic!("taken");
    };
    names(&refused);
    let Err(ReconfigureError::Spec(refused)) = root.reconfigure(bad()).await else {
        panic!("taken");
    };
    names(&refused);
    let here = root.add(device("here")).await.unwrap();
    assert_eq!(thread_of(&here).await, thread::current().id());
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn what_is_said_for_each_service_goes_on_from_what_was_said_before() {
    time::pause();
    let spec = SupervisorSpec::default()
        .each_service(|each| each.limit(RestartLimit::window(0, minute()).escalate()))
        .each_service(|each| each.placement(Placement::Inherit))
        .each_service(|each| each.limit(RestartLimit::window(0, minute()).give_up()));
    let root = SupervisorActor::new("root", spec).start().await.unwrap();
    let mut events = root.events();
    let bad = root.add_and_wait(device("bad")).await.unwrap();
    assert!(bad.send(Crash).await.is_err());
    next(&mut events, "root/bad", |kind| {
        matches!(kind, EventKind::ServiceGaveUp { .. })
    })
    .await;
    root.shutdown().await.unwrap();
}

/// One that is slow to start, and one that is counted together with its siblings.
#[actix::test]
async fn service_says_that_it_has_none_of_what_is_said_for_each() {
    time::pause();
    let spec = SupervisorSpec::default()
        .limit(RestartLimit::window(0, minute()).pause(minute()))
        .each_service(|each| {
            each.limit(RestartLimit::unlimited())
                .start_timeout(Duration::from_secs(1))
        });
    let root = SupervisorActor::new("root", spec).start().await.unwrap();
    let slow = || {
        ServiceSpec::new_async("slow", |_| async {
            time::sleep(Duration::from_secs(100_000)).await;
            Ok::<_, std::io::Error>(Device)
        })
    };
    // The last call counts, here too.
    assert!(
        root.add_and_wait(slow().start_timeout(None).start_timeout(minute()))
            .await
            .is_err()
    );
    root.add_and_wait(slow().start_timeout(minute()).start_timeout(None))
        .await
        .unwrap();
    let mut events = root.events();
    let own = root.add_and_wait(device("own")).await.unwrap();
    let shared = device("shared")
        .limit(RestartLimit::unlimited())
        .limit(None);
    let shared = root.add_and_wait(shared).await.unwrap();
    assert!(own.send(Crash).await.is_err());
    root.when_ready::<Device>("own").await.unwrap();
    assert!(shared.send(Crash).await.is_err());
    next(&mut events, "root", |kind| {
        matches!(kind, EventKind::PauseStarted { .. })
    })
    .await;
    // Taken back for all.
    let spec = SupervisorSpec::default().each_service(|each| {
        each.limit(RestartLimit::window(0, minute()).give_up())
            .start_timeout(minute())
            .limit(None)
            .start_timeout(None)
    });
    let site = root
        .add_supervisor(SupervisorActor::new("site", spec))
        .await
        .unwrap();
    site.add_and_wait(slow()).await.unwrap();
    let device = site.add_and_wait(device("device")).await.unwrap();
    assert!(device.send(Crash).await.is_err());
    let ready = site.when_ready::<Device>("device").await.unwrap();
    assert_eq!(ready, device);
    root.shutdown().await.unwrap();
}
