//! What is decided about failures on the supervisor's side. In paused time.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "services that panic, and helpers of tests"
)]

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use actix::prelude::*;
use resurgam::{
    Directive, Event, EventKind, Events, ExitReason, Failure, JoinError, RestartLimit, RestartType,
    ServiceReport, ServiceSpec, ServiceState, StartError, SupervisorActor, SupervisorRef,
    SupervisorSpec, TaskActor, TaskContext,
};
use tokio::time;

/// An existing actor, which cannot say anything about itself.
struct Plain;

impl Actor for Plain {
    type Context = Context<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
struct Crash;

impl Handler<Crash> for Plain {
    type Result = ();
    fn handle(&mut self, _: Crash, _: &mut Self::Context) {
        panic!("crashed on purpose");
    }
}

/// What was asked, as text.
type Asked = Arc<Mutex<Vec<String>>>;

async fn root() -> (SupervisorRef, Events) {
    time::pause();
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let events = root.events();
    (root, events)
}

async fn next(events: &mut Events, path: &str, wanted: impl Fn(&EventKind) -> bool) {
    let found = |event: &Event| event.path() == path && wanted(event.kind());
    while !found(&events.next().await.unwrap()) {}
}

/// A task that fails with an error around an [`io::Error`].
fn failing(name: &str, kind: io::ErrorKind) -> ServiceSpec<TaskActor> {
    ServiceSpec::task(name, move |_: TaskContext| async move {
        let inner = io::Error::from(kind);
        Err::<(), _>(io::Error::other(inner))
    })
}

/// By the kind of the innermost [`io::Error`], as a user would.
fn by_kind(failure: &Failure) -> Directive {
    let error: Option<&io::Error> = failure.find();
    let inner = error.and_then(|error| error.get_ref()?.downcast_ref::<io::Error>());
    match inner.or(error).map(io::Error::kind) {
        Some(io::ErrorKind::PermissionDenied) => Directive::Stop,
        Some(io::ErrorKind::ConnectionRefused) => Directive::RestartAfter(Duration::from_secs(3)),
        Some(io::ErrorKind::InvalidData) => Directive::Fatal,
        Some(io::ErrorKind::OutOfMemory) => Directive::Escalate,
        _ => Directive::Restart,
    }
}

#[actix::test]
async fn type_of_the_error_says_what_follows() {
    let (root, mut events) = root().await;
    let spec = failing("retried", io::ErrorKind::ConnectionRefused).decide(by_kind);
    root.add(spec).await.unwrap();
    next(&mut events, "root/retried", |kind| {
        matches!(kind, EventKind::RestartScheduled { after, .. } if *after == Duration::from_secs(3))
    })
    .await;
    let spec = failing("stopped", io::ErrorKind::PermissionDenied).decide(by_kind);
    root.add(spec).await.unwrap();
    next(&mut events, "root/stopped", |kind| {
        matches!(kind, EventKind::ServiceRemoved { .. })
    })
    .await;
    let spec = failing("fatal", io::ErrorKind::InvalidData).decide(by_kind);
    root.add(spec).await.unwrap();
    let Err(JoinError::Fatal { path, error, .. }) = root.join().await else {
        panic!("the tree did not end");
    };
    assert_eq!(&*path, "root/fatal");
    assert!(error.downcast_ref::<io::Error>().is_some());
}

#[actix::test]
async fn supervisor_that_gave_up_is_judged_by_the_error_below() {
    let (root, mut events) = root().await;
    let spec = SupervisorSpec::default().limit(RestartLimit::unlimited());
    let mut below = SupervisorActor::new("below", spec);
    below
        .add(failing("leaf", io::ErrorKind::OutOfMemory).decide(by_kind))
        .unwrap();
    let asked = Asked::default();
    let noted = Arc::clone(&asked);
    let spec = ServiceSpec::supervisor(below).decide(move |failure| {
        let text = format!("{}: {failure}", failure.path());
        noted.lock().unwrap().push(text);
        let found = failure.find::<io::Error>().is_some();
        if found {
            Directive::Stop
        } else {
            Directive::Fatal
        }
    });
    root.add(spec).await.unwrap();
    next(&mut events, "root/below", |kind| {
        matches!(kind, EventKind::ServiceRemoved { .. })
    })
    .await;
    let asked = asked.lock().unwrap().clone();
    assert_eq!(asked, ["root/below: escalated by `root/below/leaf`"]);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn panic_of_an_existing_actor_is_asked_about_with_its_message() {
    let (root, mut events) = root().await;
    let spec = ServiceSpec::actor("plain", || Plain).decide(|failure| match failure.reason() {
        ExitReason::Panicked { message, .. } if message == "crashed on purpose" => Directive::Stop,
        _ => Directive::Restart,
    });
    let plain = root
        .add(spec.restart(RestartType::Permanent))
        .await
        .unwrap();
    assert_eq!(plain.send(Crash).await, Err(MailboxError::Closed));
    next(&mut events, "root/plain", |kind| {
        matches!(kind, EventKind::ServiceRemoved { .. })
    })
    .await;
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn decision_that_panics_is_a_restart() {
    let (root, mut events) = root().await;
    let spec = ServiceSpec::actor("plain", || Plain)
        .restart(RestartType::Temporary)
        .decide(|_| panic!("cannot decide"));
    let plain = root.add(spec).await.unwrap();
    assert_eq!(plain.send(Crash).await, Err(MailboxError::Closed));
    next(&mut events, "root/plain", |kind| {
        matches!(kind, EventKind::ServiceReady)
    })
    .await;
    next(&mut events, "root/plain", |kind| {
        matches!(kind, EventKind::ServicePanicked { message, .. } if message == "crashed on purpose")
    })
    .await;
    next(&mut events, "root/plain", |kind| {
        matches!(kind, EventKind::ServiceReady)
    })
    .await;
    root.shutdown().await.unwrap();
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("broken in Drop");
    }
}

#[actix::test]
async fn decision_whose_drop_panics_harms_nobody() {
    let (root, _) = root().await;
    let armed = || {
        let bomb = Bomb;
        ServiceSpec::actor("plain", || Plain).decide(move |_| {
            let _held = &bomb;
            Directive::Restart
        })
    };
    drop(armed());
    drop(armed().decide(|_| Directive::Stop));
    let plain = root.add(armed()).await.unwrap();
    assert!(root.add(armed()).await.is_err(), "the name is taken");
    root.remove(&plain).await.unwrap();
    let other = root.add_and_wait(ServiceSpec::actor("other", || Plain));
    assert!(other.await.unwrap().connected());
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn tree_starts_without_a_service_whose_failed_start_is_left_at_that() {
    time::pause();
    let broken = |directive| {
        ServiceSpec::try_actor("broken", |_| Err::<Plain, _>(io::Error::other("no device")))
            .decide(move |_| directive)
    };
    let mut tree = SupervisorActor::with_defaults("root");
    tree.add(broken(Directive::Stop)).unwrap();
    tree.add(ServiceSpec::actor("plain", || Plain)).unwrap();
    let root = tree.start().await.unwrap();
    let report = root.report().await.unwrap();
    let states: Vec<_> = report.services().iter().map(ServiceReport::state).collect();
    assert_eq!(states, [ServiceState::Stopped, ServiceState::Ready]);
    // Who awaits it is told why, and nothing is kept.
    root.remove("broken").await.unwrap();
    let refused = root.add_and_wait(broken(Directive::Stop)).await;
    let Err(StartError::Failed { reason, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(reason.to_string(), "failed: no device");
    root.shutdown().await.unwrap();
    for directive in [Directive::Restart, Directive::Fatal] {
        let mut tree = SupervisorActor::with_defaults("root");
        tree.add(broken(directive)).unwrap();
        assert!(tree.start().await.is_err());
    }
}
