//! Which service is meant: by its token, a reference, its name or its path; and what a reference of a supervisor below the root means.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "services that panic, and helpers of tests"
)]

mod leaf;

use std::{convert::Infallible, time::Duration};

use actix::prelude::*;
use resurgam::{
    AddError, EventKind, ExitReason, JoinError, LookupError, Readiness, RemoveError, RestartError,
    RestartLimit, RestartType, ServiceContext, ServiceRef, ServiceSpec, ServiceState, Shutdown,
    StopError, SupervisorActor, SupervisorRef, SupervisorSpec, TaskContext, message,
};
use tokio::time;

use self::leaf::{Crash, Generation, Leaf};

/// A service that does not stop by itself, so that a report names it.
struct Stubborn;

impl Actor for Stubborn {
    type Context = ServiceContext<Self>;
    fn stopping(&mut self, _: &mut Self::Context) -> Running {
        Running::Continue
    }
}

fn leaf(name: &str) -> ServiceSpec<Leaf> {
    ServiceSpec::new(name, Leaf::default)
}

/// `root`, with the supervisors `east` and `west`, `west/deep`, and a leaf `store` in each of them.
struct Tree {
    root: SupervisorRef,
    east: SupervisorRef,
    west: SupervisorRef,
    deep: SupervisorRef,
}

impl Tree {
    async fn start() -> Self {
        let root = SupervisorActor::with_defaults("root")
            .start()
            .await
            .unwrap();
        let below = SupervisorActor::with_defaults;
        let east = root.add_supervisor(below("east")).await.unwrap();
        let west = root.add_supervisor(below("west")).await.unwrap();
        let deep = west.add_supervisor(below("deep")).await.unwrap();
        for supervisor in [&root, &east, &west, &deep] {
            supervisor.add_and_wait(leaf("store")).await.unwrap();
        }
        Self {
            root,
            east,
            west,
            deep,
        }
    }

    async fn generation(&self, path: &str) -> u64 {
        let store: ServiceRef<Leaf> = self.root.when_ready(path).await.unwrap();
        store.send(Generation).await.unwrap()
    }
}

#[actix::test]
async fn name_is_one_among_the_services_of_the_supervisor_that_is_asked() {
    time::pause();
    let tree = Tree::start().await;
    assert_eq!(tree.west.path(), "root/west");
    tree.west.restart("store").await.unwrap();
    for (path, generation) in [
        ("root/store", 0),
        ("root/east/store", 0),
        ("root/west/store", 1),
        ("root/west/deep/store", 0),
    ] {
        assert_eq!(tree.generation(path).await, generation, "{path}");
    }
    let found: ServiceRef<Leaf> = tree.deep.lookup("store").await.unwrap();
    assert_eq!(found.path(), "root/west/deep/store");
    assert_eq!(
        tree.east.lookup::<Leaf>("shop").await,
        Err(LookupError::unknown_path("root/east/shop"))
    );
    // Its path is a name as well.
    let root: ServiceRef<SupervisorActor> = tree.east.lookup("root").await.unwrap();
    assert_eq!(root.token(), tree.root.token());
    assert_eq!(
        tree.east.remove("deep").await,
        Err(RemoveError::unknown_name("deep"))
    );
    tree.root.shutdown().await.unwrap();
}

#[actix::test]
async fn reference_is_as_good_as_its_token_and_one_of_another_supervisor_is_refused() {
    time::pause();
    let tree = Tree::start().await;
    let store: ServiceRef<Leaf> = tree.east.lookup("store").await.unwrap();
    tree.east.stop(&store).await.unwrap();
    tree.east.restart(store.clone()).await.unwrap();
    tree.east.reset(store.token()).await.unwrap();
    assert_eq!(
        tree.west.stop(&store).await,
        Err(StopError::wrong_supervisor(store.token()))
    );
    // Also of a supervisor.
    assert_eq!(
        tree.root.remove(&tree.deep).await,
        Err(RemoveError::wrong_supervisor(tree.deep.token()))
    );
    assert_eq!(tree.west.remove(&tree.deep).await, Ok(ExitReason::Shutdown));
    tree.root.shutdown().await.unwrap();
}

#[actix::test]
async fn operation_on_a_path_is_carried_to_its_owner_from_everywhere() {
    time::pause();
    let tree = Tree::start().await;
    // Down two steps, up and down, up two and down, and to itself.
    tree.root.restart("root/west/deep/store").await.unwrap();
    tree.east.restart("root/west/deep/store").await.unwrap();
    tree.deep.restart("root/west/deep/store").await.unwrap();
    tree.deep.restart("root/east/store").await.unwrap();
    tree.deep.restart("root/store").await.unwrap();
    assert_eq!(tree.generation("root/west/deep/store").await, 3);
    assert_eq!(tree.generation("root/east/store").await, 1);
    assert_eq!(tree.generation("root/store").await, 1);

    // As a message, through a recipient, and without waiting.
    let remove: Recipient<message::Remove> = tree.deep.addr().clone().recipient();
    let removed = remove.send(message::Remove::new("root/east/store")).await;
    assert_eq!(removed, Ok(Ok(ExitReason::Shutdown)));
    remove.do_send(message::Remove::new("root/west/store"));
    while tree.root.lookup::<Leaf>("root/west/store").await.is_ok() {
        tokio::task::yield_now().await;
    }
    tree.root.shutdown().await.unwrap();
}

#[actix::test]
async fn supervisor_that_carries_a_request_about_itself_is_not_needed_for_the_answer() {
    time::pause();
    let tree = Tree::start().await;
    tree.deep.restart("root/west").await.unwrap();
    assert_eq!(tree.generation("root/west/deep/store").await, 1);
    assert_eq!(
        tree.deep.remove("root/west").await,
        Ok(ExitReason::Shutdown)
    );
    assert_eq!(
        tree.deep.remove("root/east").await,
        Err(RemoveError::SupervisorGone)
    );
    tree.root.shutdown().await.unwrap();
}

#[actix::test]
async fn path_that_leads_nowhere_is_named() {
    time::pause();
    let tree = Tree::start().await;
    for path in [
        "root/",
        "root/west/shop",
        "root/west/store/x",
        "root/north/store",
        "root/west/",
        "other/store",
        "/store",
        "/",
        "root2/store",
    ] {
        for asked in [&tree.root, &tree.west, &tree.deep] {
            assert_eq!(
                asked.restart(path).await,
                Err(RestartError::unknown_path(path)),
                "{asked}"
            );
        }
    }
    // There is nobody above the root who could remove it.
    assert_eq!(
        tree.deep.remove("root").await,
        Err(RemoveError::unknown_name("root"))
    );
    tree.root.shutdown().await.unwrap();
}

#[actix::test]
async fn request_whose_caller_has_left_is_carried_all_the_same() {
    time::pause();
    let tree = Tree::start().await;
    let mut events = tree.east.events();
    let asked = tree.deep.remove("root/east/store");
    let _left = futures::poll!(Box::pin(asked));
    while let Some(event) = events.next().await {
        if matches!(event.kind(), EventKind::ServiceRemoved { .. }) {
            assert_eq!(event.path(), "root/east/store");
            break;
        }
    }
    tree.root.shutdown().await.unwrap();
}

#[actix::test]
async fn supervisor_is_added_as_any_other_service() {
    time::pause();
    let tree = Tree::start().await;
    let again = tree
        .root
        .add_supervisor(SupervisorActor::with_defaults("east"))
        .await;
    assert!(matches!(again, Err(AddError::DuplicateName { .. })));
    let refused = SupervisorSpec::default().limit(RestartLimit::window(1, Duration::ZERO));
    let refused = tree
        .root
        .add_supervisor(SupervisorActor::new("bad", refused))
        .await;
    assert!(matches!(refused, Err(AddError::Spec(_))));
    tree.root.shutdown().await.unwrap();
    assert_eq!(
        tree.root
            .add_supervisor(SupervisorActor::with_defaults("late"))
            .await,
        Err(AddError::SupervisorGone)
    );
}

#[actix::test]
async fn events_of_a_supervisor_are_its_own_and_end_when_it_is_removed() {
    time::pause();
    let tree = Tree::start().await;
    let mut events = tree.west.events();
    let mut all = tree.root.events();
    for path in ["root/store", "root/east/store", "root/west/deep/store"] {
        tree.root.restart(path).await.unwrap();
    }
    tree.root.remove("west").await.unwrap();
    tree.root.restart("store").await.unwrap();
    let mut told = Vec::new();
    // The clock runs away from a stream that has nothing to tell and does not end.
    let within = Duration::from_secs(60);
    while let Some(event) = time::timeout(within, events.next()).await.unwrap() {
        told.push((event.path().to_owned(), event.kind().clone()));
    }
    assert!(told.len() > 5);
    assert!(
        told.iter().all(|(path, _)| path.starts_with("root/west")),
        "{told:#?}"
    );
    let (path, kind) = told.last().unwrap();
    assert_eq!(path, "root/west");
    assert!(matches!(kind, EventKind::ServiceRemoved { .. }), "{kind:?}");
    let elsewhere = std::iter::from_fn(|| all.try_next())
        .filter(|event| !event.path().starts_with("root/west"));
    assert!(elsewhere.count() > 4);

    // Who comes later finds the end at once.
    assert!(tree.west.events().next().await.is_none());
    assert!(tree.deep.events().next().await.is_none());
    tree.root.shutdown().await.unwrap();
}

#[actix::test]
async fn join_of_a_supervisor_waits_for_that_one() {
    time::pause();
    let tree = Tree::start().await;
    let mut joined = Box::pin(tree.west.join());
    assert!(futures::poll!(&mut joined).is_pending());
    tree.root.restart("west").await.unwrap();
    assert!(futures::poll!(&mut joined).is_pending());
    tree.root.remove("west").await.unwrap();
    joined.await.unwrap();
    // Also later, and that of one below it.
    tree.west.join().await.unwrap();
    tree.deep.join().await.unwrap();
    // The other one ends with the tree.
    let mut joined = Box::pin(tree.east.join());
    assert!(futures::poll!(&mut joined).is_pending());
    tree.root.shutdown().await.unwrap();
    joined.await.unwrap();
}

#[actix::test]
async fn join_of_a_supervisor_says_why_it_ended_for_good() {
    time::pause();
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let spec =
        SupervisorSpec::default().limit(RestartLimit::window(0, Duration::from_secs(1)).escalate());
    let mut tier = SupervisorActor::new("tier", spec);
    let victim = tier.add(leaf("victim")).unwrap();
    let tier = ServiceSpec::supervisor(tier).restart(RestartType::Temporary);
    let tier = root.add(tier).await.unwrap();
    let tier = SupervisorRef::try_from(tier).unwrap();
    let mut joined = Box::pin(tier.join());
    assert!(futures::poll!(&mut joined).is_pending());
    victim.do_send(Crash);
    let Err(JoinError::Escalated { path, reason, .. }) = joined.await else {
        panic!("it has given up");
    };
    assert_eq!(&*path, "root/tier");
    assert!(reason.to_string().contains("victim"), "{reason}");
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn second_shutdown_of_a_supervisor_gives_the_report_of_the_first() {
    time::pause();
    let tree = Tree::start().await;
    let stubborn = ServiceSpec::new("stubborn", || Stubborn);
    let stubborn = stubborn.shutdown(Shutdown::Timeout(Duration::from_secs(1)));
    tree.west.add_and_wait(stubborn).await.unwrap();
    let first = tree.west.shutdown().await.unwrap();
    assert_eq!(first.failures().len(), 1, "{first}");
    // At once, when its own supervisor may not have heard of it; and when it is gone.
    assert_eq!(tree.west.shutdown().await, Ok(first.clone()));
    while tree.root.services().await.unwrap().len() > 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(tree.west.shutdown().await, Ok(first.clone()));
    let limited = tree.west.shutdown_within(Duration::from_secs(1)).await;
    assert_eq!(limited, Ok(first));
    let states = tree.root.services().await.unwrap();
    assert!(states.iter().all(|one| one.state() == ServiceState::Ready));
    tree.root.shutdown().await.unwrap();
}

#[actix::test]
async fn supervisor_makes_names_with_numbers() {
    time::pause();
    let mut root = SupervisorActor::with_defaults("root");
    let first = root
        .add(ServiceSpec::unnamed("leaf", Leaf::default))
        .unwrap();
    let root = root.start().await.unwrap();
    // A task numbers what it spawns with the same count, since it is the same supervisor that gives the names.
    let parent = ServiceSpec::task("leaf", |cx: TaskContext| async move {
        let spawned = cx.spawn(|cx| async move {
            cx.shutdown().await;
            Ok::<_, Infallible>(())
        });
        let spawned = spawned.await?;
        assert_eq!(spawned.path(), "root/leaf[2]");
        cx.ready();
        cx.shutdown().await;
        Ok::<_, AddError>(())
    });
    root.add_and_wait(parent.readiness(Readiness::Explicit))
        .await
        .unwrap();
    let third = root
        .add(ServiceSpec::unnamed("leaf", Leaf::default))
        .await
        .unwrap();
    assert_eq!(
        (first.path(), third.path()),
        ("root/leaf[1]", "root/leaf[3]")
    );
    // Names like any others.
    root.restart("leaf[3]").await.unwrap();
    assert_eq!(third.send(Generation).await.unwrap(), 1);
    assert!(matches!(
        root.add(ServiceSpec::unnamed("a/b", Leaf::default)).await,
        Err(AddError::Spec(_))
    ));
    root.shutdown().await.unwrap();
}
