//! Services that are started by a service. In paused time.

use std::{io, rc::Rc, sync::Arc, time::Duration};

use resurgam::{
    AddError, ExitReason, JoinError, Lifetime, Placement, RestartLimit, RestartType, ServiceRef,
    ServiceSpec, ServiceSummary, Shutdown, Spawn, SupervisorActor, SupervisorRef, SupervisorSpec,
    TaskActor, TaskContext,
};
use tokio::{sync::mpsc, time};

use crate::support::{AnyError, Log, Tracer, names, removed, root, soon, wait_for_stop};

/// A parent that does as it is told.
async fn parent(root: &SupervisorRef) -> (ServiceRef<TaskActor>, Orders) {
    let (give, take) = mpsc::unbounded_channel::<Order>();
    let take = Arc::new(tokio::sync::Mutex::new(take));
    let parent = ServiceSpec::task("parent", move |cx: TaskContext| {
        let take = Arc::clone(&take);
        async move {
            let mut take = take.lock().await;
            while let Some(Some(order)) = cx.run_until_shutdown(take.recv()).await {
                match order {
                    Order::Run(order) => order(cx.clone()).await,
                    Order::Fail => return Err(AnyError::from("as ordered")),
                }
            }
            Ok(())
        }
    });
    (root.add_and_wait(parent).await.unwrap(), Orders(give))
}

enum Order {
    Run(Box<dyn FnOnce(TaskContext) -> futures::future::LocalBoxFuture<'static, ()> + Send>),
    Fail,
}

#[derive(Clone)]
struct Orders(mpsc::UnboundedSender<Order>);

type Spawned = Result<ServiceRef<TaskActor>, AddError>;

impl Orders {
    /// Lets the parent spawn something, and says what came of it.
    async fn spawn(&self, spawn: impl FnOnce(TaskContext) -> Spawn + Send + 'static) -> Spawned {
        let (tell, told) = tokio::sync::oneshot::channel();
        let order = Order::Run(Box::new(|cx| {
            Box::pin(async move {
                let _test_is_over = tell.send(spawn(cx).await);
            })
        }));
        self.0.send(order).ok().unwrap();
        soon(told).await.unwrap()
    }

    fn fail(&self) {
        self.0.send(Order::Fail).ok().unwrap();
    }
}

#[actix::test]
async fn nameless_services_are_numbered_from_one_and_no_number_is_given_twice() {
    time::pause();
    let root = root().await;
    let (_, orders) = parent(&root).await;
    let mut events = root.events();
    let first = orders.spawn(|cx| cx.spawn(wait_for_stop)).await.unwrap();
    assert_eq!(first.path(), "root/parent[1]");
    let second = orders.spawn(|cx| cx.spawn(wait_for_stop)).await.unwrap();
    assert_eq!(second.path(), "root/parent[2]");
    root.remove(second.token()).await.unwrap();
    let third = orders.spawn(|cx| cx.spawn(wait_for_stop)).await.unwrap();
    assert_eq!(third.path(), "root/parent[3]");
    orders.fail();
    removed(&mut events, "root/parent[1]").await;
    let fourth = orders.spawn(|cx| cx.spawn(wait_for_stop)).await.unwrap();
    assert_eq!(fourth.path(), "root/parent[4]");
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn named_service_has_the_name_of_its_parent_before_its_own() {
    time::pause();
    let root = root().await;
    let (_, orders) = parent(&root).await;
    let helper = orders.spawn(|cx| cx.spawn_named("helper", wait_for_stop));
    let helper = helper.await.unwrap();
    assert_eq!(helper.path(), "root/parent.helper");
    let again = orders.spawn(|cx| cx.spawn_named("helper", wait_for_stop));
    let again = again.await.unwrap_err();
    assert!(
        matches!(&again, AddError::DuplicateName { name, token, .. } if &**name == "parent.helper" && *token == helper.token()),
        "{again:?}"
    );
    let slash = orders.spawn(|cx| cx.spawn_named("a/b", wait_for_stop));
    assert!(matches!(slash.await, Err(AddError::Spec(_))));
    assert_eq!(names(&root).await, ["parent", "parent.helper"]);
    let found: ServiceRef<TaskActor> = root.lookup("root/parent.helper").await.unwrap();
    assert_eq!(found, helper);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn future_of_a_spawned_service_need_not_be_send() {
    time::pause();
    let root = root().await;
    let (_, orders) = parent(&root).await;
    let mut events = root.events();
    let own = String::from("moved into a function that runs once");
    let spawned = orders.spawn(|cx| {
        cx.spawn(|cx| async move {
            let shared = Rc::new(own);
            tokio::task::yield_now().await;
            assert!(shared.starts_with("moved") && cx.generation() == 0);
            Ok::<_, io::Error>(())
        })
    });
    spawned.await.unwrap();
    assert_eq!(removed(&mut events, "root/parent[1]").await, "normal");
    assert_eq!(names(&root).await, ["parent"]);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn spawned_service_that_fails_is_not_restarted_and_leaves_others_alone() {
    time::pause();
    let root = root().await;
    let (parent, orders) = parent(&root).await;
    let mut events = root.events();
    let fails = orders.spawn(|cx| cx.spawn(|_| async { Err::<(), _>("boo") }));
    fails.await.unwrap();
    assert_eq!(removed(&mut events, "root/parent[1]").await, "failed: boo");
    let services = root.services().await.unwrap();
    assert_eq!(services.len(), 1);
    assert_eq!(services[0].token(), parent.token());
    assert_eq!(services[0].generation(), 0);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn error_of_a_spawned_service_ends_everything_where_errors_are_fatal() {
    time::pause();
    let spec = SupervisorSpec::default()
        .limit(RestartLimit::unlimited())
        .fatal(|_| true);
    let root = SupervisorActor::new("root", spec).start().await.unwrap();
    let (_, orders) = parent(&root).await;
    let fails = orders.spawn(|cx| cx.spawn(|_| async { Err::<(), _>("boo") }));
    fails.await.unwrap();
    let ended = soon(root.join()).await.unwrap_err();
    assert!(
        matches!(&ended, JoinError::Fatal { path, error, .. } if &**path == "root/parent[1]" && error.to_string() == "boo"),
        "{ended:?}"
    );
}

#[actix::test]
async fn spawned_service_ends_with_its_parent_unless_told_otherwise() {
    time::pause();
    let root = root().await;
    let (parent, orders) = parent(&root).await;
    let mut events = root.events();
    orders
        .spawn(|cx| cx.spawn_named("with", wait_for_stop))
        .await
        .unwrap();
    let independent = |cx: TaskContext| {
        let spawn = cx.spawn_named("without", wait_for_stop);
        spawn.lifetime(Lifetime::Independent)
    };
    let without = orders.spawn(independent).await.unwrap();
    assert_eq!(root.remove(parent.token()).await, Ok(ExitReason::Shutdown));
    assert_eq!(removed(&mut events, "root/parent.with").await, "shutdown");
    assert_eq!(names(&root).await, ["parent.without"]);
    assert_eq!(root.remove(without.token()).await, Ok(ExitReason::Shutdown));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn spawned_service_ends_with_the_incarnation_that_spawned_it() {
    time::pause();
    let root = root().await;
    let (_, orders) = parent(&root).await;
    let mut events = root.events();
    orders.spawn(|cx| cx.spawn(wait_for_stop)).await.unwrap();
    orders.fail();
    assert_eq!(removed(&mut events, "root/parent[1]").await, "shutdown");
    orders.spawn(|cx| cx.spawn(wait_for_stop)).await.unwrap();
    assert_eq!(names(&root).await, ["parent", "parent[2]"]);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn name_that_is_still_taken_by_an_earlier_incarnation_is_waited_for() {
    time::pause();
    let (root, log) = (root().await, Log::default());
    let (_, orders) = parent(&root).await;
    let slow = |log: &Log| {
        let held = Tracer(log.clone(), "helper");
        move |cx: TaskContext| {
            cx.spawn_named("helper", |cx| async move {
                cx.shutdown().await;
                time::sleep(Duration::from_secs(3)).await;
                drop(held);
                Ok::<_, io::Error>(())
            })
        }
    };
    let first = orders.spawn(slow(&log)).await.unwrap();
    orders.fail();
    let before = time::Instant::now();
    let second = orders.spawn(slow(&log)).await.unwrap();
    assert_ne!(first, second);
    assert!(before.elapsed() >= Duration::from_secs(3));
    assert_eq!(log.lines(), ["helper dropped"]);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn context_that_outlives_its_incarnation_spawns_nothing_that_stays() {
    time::pause();
    let root = root().await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let parent = ServiceSpec::task("parent", move |cx: TaskContext| {
        tell.send(cx).unwrap();
        async { Ok::<_, io::Error>(()) }
    });
    let mut events = root.events();
    let parent = parent.restart(RestartType::Temporary);
    root.add(parent).await.unwrap();
    assert_eq!(removed(&mut events, "root/parent").await, "normal");
    let cx = told.recv().await.unwrap();
    let log = Log::default();
    let notes = log.clone();
    let held = Tracer(notes.clone(), "function");
    let late = cx.spawn(move |_| {
        notes.write("called");
        async move {
            drop(held);
            Ok::<_, io::Error>(())
        }
    });
    late.await.unwrap();
    removed(&mut events, "root/parent[1]").await;
    assert!(names(&root).await.is_empty());
    assert_eq!(log.lines(), ["function dropped"]);
    let independent = cx.spawn(wait_for_stop).lifetime(Lifetime::Independent);
    assert_eq!(independent.await.unwrap().path(), "root/parent[2]");
    assert_eq!(names(&root).await, ["parent[2]"]);
    root.shutdown().await.unwrap();
    let gone = cx.spawn(wait_for_stop).await.unwrap_err();
    assert!(matches!(gone, AddError::SupervisorGone), "{gone:?}");
}

#[actix::test]
async fn spec_of_a_spawned_service_can_be_changed_but_not_how_often_it_runs() {
    let root = root().await;
    let (_, orders) = parent(&root).await;
    let mut events = root.events();
    let here = std::thread::current().id();
    let (tell, mut told) = mpsc::unbounded_channel();
    let spawned = orders.spawn(move |cx| {
        let spawn = cx.spawn(move |cx| async move {
            tell.send(std::thread::current().id())?;
            cx.shutdown().await;
            std::future::pending::<Result<(), AnyError>>().await
        });
        spawn.spec(|spec| {
            spec.placement(Placement::Dedicated)
                .restart(RestartType::Permanent)
                .shutdown(Shutdown::Timeout(Duration::from_millis(10)))
        })
    });
    let spawned = spawned.await.unwrap();
    assert_ne!(soon(told.recv()).await, Some(here));
    let killed = root.remove(spawned.token()).await.unwrap();
    assert_eq!(killed.to_string(), "killed: stop timeout");
    assert_eq!(
        removed(&mut events, "root/parent[1]").await,
        "killed: stop timeout"
    );
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn restarted_supervisor_starts_the_parent_again_and_forgets_what_it_had_spawned() {
    time::pause();
    let root = root().await;
    let spec =
        SupervisorSpec::default().limit(RestartLimit::window(0, Duration::from_secs(1)).escalate());
    let tier = SupervisorActor::new("tier", spec);
    let tier = root.add_and_wait(ServiceSpec::supervisor(tier)).await;
    let tier = SupervisorRef::try_from(tier.unwrap()).unwrap();
    let (parent, orders) = parent(&tier).await;
    orders.spawn(|cx| cx.spawn(wait_for_stop)).await.unwrap();
    let independent = |cx: TaskContext| {
        let spawn = cx.spawn(wait_for_stop);
        spawn.lifetime(Lifetime::Independent)
    };
    orders.spawn(independent).await.unwrap();
    assert_eq!(tier.services().await.unwrap().len(), 3);
    orders.fail();
    // Answered by the parent's next incarnation.
    let third = orders.spawn(|cx| cx.spawn(wait_for_stop)).await.unwrap();
    assert_eq!(third.path(), "root/tier/parent[3]");
    let services = tier.services().await.unwrap();
    let tokens: Vec<_> = services.iter().map(ServiceSummary::token).collect();
    assert_eq!(tokens, [parent.token(), third.token()]);
    assert_eq!(root.services().await.unwrap()[0].generation(), 1);
    assert!(root.shutdown().await.unwrap().is_clean());
}

#[actix::test]
async fn spawned_service_is_dropped_with_the_tree_of_which_only_a_context_is_left() {
    time::pause();
    let root = root().await;
    let (_, orders) = parent(&root).await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let spawned = orders.spawn(move |cx| {
        cx.spawn(|cx| async move {
            tell.send(cx.clone())?;
            wait_for_stop(cx).await
        })
    });
    spawned.await.unwrap();
    let cx = soon(told.recv()).await.unwrap();
    drop(root);
    soon(cx.killed()).await;
}
