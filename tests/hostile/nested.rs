//! Supervisors below the root are killed, stopped, shut down and started while others wait for them.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix::prelude::*;
use resurgam::{
    AddError, Backoff, EventKind, Placement, Readiness, ReconfigureError, RemoveError, ResetError,
    RestartError, RestartLimit, RestartType, ServiceContext, ServiceRef, ServiceSpec, Shutdown,
    StartError, StopError, SupervisorActor, SupervisorGone, SupervisorRef, SupervisorSpec,
};
use tokio::{join, time};

use crate::support::{FailWith, Generation, Plain, SOON, happened, patiently, quiet};

/// Never stops when it is asked to.
#[derive(Default)]
struct Stubborn;

impl Actor for Stubborn {
    type Context = ServiceContext<Self>;

    fn stopping(&mut self, _: &mut Self::Context) -> Running {
        Running::Continue
    }
}

/// Gets ready from its fourth start on.
struct Late(Arc<AtomicUsize>);

impl Actor for Late {
    type Context = ServiceContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if self.0.fetch_add(1, Ordering::SeqCst) >= 3 {
            ctx.ready();
        }
    }
}

impl Handler<Generation> for Late {
    type Result = u64;

    fn handle(&mut self, _: Generation, ctx: &mut Self::Context) -> u64 {
        ctx.generation()
    }
}

/// A root, and a supervisor below it, as its service and as a supervisor.
struct Tree {
    root: SupervisorRef,
    service: ServiceRef<SupervisorActor>,
    nested: SupervisorRef,
}

impl Tree {
    async fn new(spec: ServiceSpec<SupervisorActor>) -> Self {
        let mut root = SupervisorActor::with_defaults("root");
        let service = root.add(spec).unwrap();
        let root = root.start().await.unwrap();
        let nested = SupervisorRef::try_from(&service).unwrap();
        Self {
            root,
            service,
            nested,
        }
    }

    /// Stops the nested supervisor once it has seen what it was sent before.
    async fn stop_nested_once_it_has_read(&self) {
        self.nested.counts().await.unwrap();
        self.root.stop(self.service.token()).await.unwrap();
    }
}

fn nested() -> ServiceSpec<SupervisorActor> {
    ServiceSpec::supervisor(SupervisorActor::with_defaults("sub"))
}

fn unlimited() -> SupervisorSpec {
    SupervisorSpec::default().limit(RestartLimit::unlimited())
}

#[actix::test]
async fn build_that_fails_once_in_the_middle_finds_its_services_again() {
    time::pause();
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let spec = SupervisorSpec::default()
        .limit(RestartLimit::window(0, Duration::from_secs(60)).escalate())
        .on_start(move |services| {
            let call = counter.fetch_add(1, Ordering::SeqCst);
            services.add(ServiceSpec::new("a", Plain::default))?;
            if call == 1 {
                return Err(Box::<dyn Error + Send + Sync>::from("not now"));
            }
            services.add(ServiceSpec::new("b", Plain::default))?;
            Ok(())
        });
    let root = SupervisorActor::new("root", unlimited());
    let root = root.start().await.unwrap();
    let sub = ServiceSpec::supervisor(SupervisorActor::new("sub", spec))
        .backoff(Backoff::constant(Duration::from_millis(20)));
    root.add_and_wait(sub).await.unwrap();
    let b = root.lookup::<Plain>("root/sub/b").await.unwrap();
    let mut events = root.events();
    b.do_send(FailWith("escalates".into()));
    happened(&mut events, "root/sub/b", |kind| {
        *kind == EventKind::ServiceReady
    })
    .await;
    let answer = time::timeout(SOON, b.send(Generation)).await;
    let calls = calls.load(Ordering::SeqCst);
    assert!(matches!(answer, Ok(Ok(_))), "{answer:?}, {calls} starts");
    assert_eq!(calls, 3);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn removal_from_a_nested_supervisor_that_is_killed_and_kept_is_answered() {
    time::pause();
    let tree = Tree::new(nested().shutdown(Shutdown::BrutalKill)).await;
    let spec = ServiceSpec::new("stubborn", Stubborn::default).shutdown(Shutdown::Infinity);
    let stubborn = tree.nested.add_and_wait(spec).await.unwrap();
    let both = async {
        join!(
            tree.nested.remove(stubborn.token()),
            tree.stop_nested_once_it_has_read()
        )
    };
    let answer = time::timeout(SOON, both).await;
    assert!(answer.is_ok(), "remove is never answered");
    tree.root.shutdown().await.unwrap();
}

#[actix::test]
async fn add_and_wait_on_a_nested_supervisor_that_is_killed_and_kept_is_answered() {
    time::pause();
    let tree = Tree::new(nested().shutdown(Shutdown::BrutalKill)).await;
    let never = ServiceSpec::new("never", Plain::default).readiness(Readiness::Explicit);
    let both = async {
        join!(
            tree.nested.add_and_wait(never),
            tree.stop_nested_once_it_has_read()
        )
    };
    let answer = time::timeout(SOON, both).await;
    assert!(answer.is_ok(), "add_and_wait is never answered");
    tree.root.shutdown().await.unwrap();
}

#[actix::test]
async fn shutdown_of_a_nested_supervisor_that_is_stopped_is_answered() {
    time::pause();
    let tree = Tree::new(nested()).await;
    tree.root.stop(tree.service.token()).await.unwrap();
    let answer = time::timeout(SOON, tree.nested.shutdown()).await;
    assert!(answer.is_ok(), "shutdown hangs");
    tree.root.shutdown().await.unwrap();
}

#[actix::test]
async fn nested_supervisor_that_is_stopped_refuses_every_operation_until_it_is_restarted() {
    time::pause();
    let tree = Tree::new(nested()).await;
    let plain = ServiceSpec::new("plain", Plain::default);
    let token = tree.nested.add_and_wait(plain).await.unwrap().token();
    tree.root.stop(tree.service.token()).await.unwrap();

    let nested = &tree.nested;
    let refused = time::timeout(SOON, async {
        let spec = || ServiceSpec::new("late", Plain::default);
        let added = nested.add(spec()).await;
        assert!(matches!(added, Err(AddError::SupervisorGone)), "{added:?}");
        let added = nested.add_and_wait(spec()).await;
        assert!(
            matches!(added, Err(StartError::SupervisorGone)),
            "{added:?}"
        );
        assert_eq!(nested.remove(token).await, Err(RemoveError::SupervisorGone));
        assert_eq!(nested.stop(token).await, Err(StopError::SupervisorGone));
        assert_eq!(
            nested.restart(token).await,
            Err(RestartError::SupervisorGone)
        );
        assert_eq!(nested.reset(token).await, Err(ResetError::SupervisorGone));
        assert_eq!(nested.counts().await, Err(SupervisorGone));
        assert!(nested.report().await.is_err());
        let spec = SupervisorSpec::default();
        let refused = nested.reconfigure(spec).await;
        assert_eq!(refused, Err(ReconfigureError::SupervisorGone));
    });
    refused.await.expect("an operation hangs");

    tree.root.restart(tree.service.token()).await.unwrap();
    assert_eq!(nested.stop(token).await, Ok(()));
    tree.root.shutdown().await.unwrap();
}

/// A nested supervisor that fails with its first service that does, and such a service.
async fn fragile(
    rules: impl FnOnce(ServiceSpec<SupervisorActor>) -> ServiceSpec<SupervisorActor>,
) -> (Tree, ServiceRef<Plain>) {
    let escalates = SupervisorSpec::default()
        .limit(RestartLimit::window(0, Duration::from_secs(60)).escalate());
    let sub = ServiceSpec::supervisor(SupervisorActor::new("sub", escalates));
    let tree = Tree::new(rules(sub)).await;
    let plain = ServiceSpec::new("plain", Plain::default);
    let plain = tree.nested.add_and_wait(plain).await.unwrap();
    (tree, plain)
}

#[actix::test]
async fn nested_supervisor_that_is_being_restarted_answers_when_it_is_back() {
    time::pause();
    let delay = Duration::from_secs(3);
    let (tree, plain) = fragile(|sub| sub.backoff(Backoff::constant(delay))).await;
    let mut events = tree.root.events();
    plain.do_send(FailWith("escalates".into()));
    happened(&mut events, "root/sub", |kind| {
        matches!(kind, EventKind::RestartScheduled { .. })
    })
    .await;
    let before = time::Instant::now();

    let late = ServiceSpec::new("late", Plain::default);
    let added = tree.nested.add_and_wait(late).await;

    assert!(added.is_ok(), "{added:?}");
    assert!(before.elapsed() >= delay, "{:?}", before.elapsed());
    tree.root.shutdown().await.unwrap();
}

#[actix::test]
async fn nested_supervisor_that_has_given_up_refuses_operations_until_it_is_reset() {
    time::pause();
    let never = RestartLimit::window(0, Duration::from_secs(60));
    let (tree, plain) = fragile(|sub| sub.limit(never.give_up())).await;
    let mut events = tree.root.events();
    plain.do_send(FailWith("escalates".into()));
    happened(&mut events, "root/sub", |kind| {
        matches!(kind, EventKind::ServiceGaveUp { .. })
    })
    .await;

    let refused = time::timeout(SOON, tree.nested.counts()).await;
    assert_eq!(refused, Ok(Err(SupervisorGone)));
    let report = tree.root.report().await.unwrap().to_string();
    assert!(report.contains("failed: escalates"), "no cause: {report}");

    tree.root.reset(tree.service.token()).await.unwrap();
    assert!(tree.nested.counts().await.is_ok());
    tree.root.shutdown().await.unwrap();
}

#[actix::test]
async fn shutdown_of_a_nested_supervisor_while_it_is_stopped_is_answered() {
    time::pause();
    let tree = Tree::new(nested()).await;
    let both = async { join!(tree.root.stop(tree.service.token()), tree.nested.shutdown()) };
    let answer = time::timeout(SOON, both).await;
    assert!(answer.is_ok(), "shutdown hangs");
    tree.root.shutdown().await.unwrap();
}

#[actix::test]
async fn every_shutdown_of_a_temporary_nested_supervisor_while_it_is_removed_is_answered() {
    time::pause();
    let tree = Tree::new(nested().restart(RestartType::Temporary)).await;
    let all = async {
        join!(
            tree.nested.shutdown(),
            tree.nested.shutdown(),
            tree.root.remove(tree.service.token())
        )
    };
    let answer = time::timeout(SOON, all).await;
    assert!(answer.is_ok(), "shutdown hangs");
    tree.root.shutdown().await.unwrap();
}

#[actix::test]
async fn services_of_a_killed_nested_supervisor_are_not_ready() {
    time::pause();
    let tree = Tree::new(nested().shutdown(Shutdown::BrutalKill)).await;
    let spec = ServiceSpec::new("plain", Plain::default);
    tree.nested.add_and_wait(spec).await.unwrap();
    tree.root.stop(tree.service.token()).await.unwrap();
    quiet().await;
    let ready = tree.root.when_ready::<Plain>("root/sub/plain");
    let found = time::timeout(SOON, ready).await;
    let services = tree.nested.services().await.unwrap();
    assert!(
        found.is_err(),
        "when_ready: {found:?} though it is dead: {services:?}"
    );
    tree.root.shutdown().await.unwrap();
}

#[actix::test]
async fn nested_supervisor_killed_by_its_start_timeout_starts_its_services_elsewhere_again() {
    let root = SupervisorActor::new("root", unlimited());
    let root = root.start().await.unwrap();
    let tries = Arc::new(AtomicUsize::new(0));
    let mut sub = SupervisorActor::with_defaults("sub");
    let early = ServiceSpec::new("early", Plain::default).placement(Placement::Pool);
    let early = sub.add(early).unwrap();
    let late = ServiceSpec::new("late", move || Late(Arc::clone(&tries)))
        .readiness(Readiness::Explicit)
        .placement(Placement::Dedicated);
    let late = sub.add(late).unwrap();
    let sub = ServiceSpec::supervisor(sub)
        .start_timeout(Duration::from_millis(100))
        .placement(Placement::Pool);
    let sub = root.add(sub).await.unwrap();
    let ready = root.when_ready::<SupervisorActor>(sub.token());
    let ready = patiently(ready, "when_ready").await;
    assert!(ready.is_ok(), "{ready:?}");
    let generation = patiently(late.send(Generation), "send").await;
    assert_eq!(generation.unwrap(), 3);
    let generation = patiently(early.send(Generation), "send").await;
    assert_eq!(generation.unwrap(), 3);
    patiently(root.shutdown(), "shutdown").await.unwrap();
}
