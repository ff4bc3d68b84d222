//! Services that require others elsewhere in the tree, by path, in paused time.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "services that panic, and helpers of tests"
)]

mod leaf;

use std::time::Duration;

use resurgam::{
    Blocked, EventKind, ServiceRef, ServiceSpec, ServiceState, StartContext, StartError,
    StartOrder, SupervisorActor, SupervisorRef, SupervisorSpec,
};
use tokio::time::{self, Instant};

use self::leaf::{Crash, Generation, Leaf};

fn store(name: &str) -> ServiceSpec<Leaf> {
    ServiceSpec::new(name, Leaf::default)
}

/// A service that asks for the store when it starts, by its path.
fn poller(name: &str) -> ServiceSpec<Leaf> {
    ServiceSpec::try_new(name, |cx: &StartContext| {
        let store: ServiceRef<Leaf> = cx.get("root/store")?;
        assert_eq!(store.path(), "root/store");
        Ok::<_, StartError>(Leaf)
    })
    .requires("root/store")
}

/// A site with two pollers, which require the store at the root.
fn site(name: &str) -> SupervisorActor {
    let mut site = SupervisorActor::with_defaults(name);
    site.add(poller("first")).unwrap();
    site.add(poller("second")).unwrap();
    site
}

/// A site without a poller.
async fn empty_site(root: &SupervisorRef) -> SupervisorRef {
    let site = SupervisorActor::with_defaults("site");
    root.add_supervisor(site).await.unwrap()
}

async fn all_are(supervisor: &SupervisorRef, state: ServiceState) -> bool {
    let services = supervisor.services().await.unwrap();
    services.iter().all(|one| one.state() == state)
}

#[actix::test]
async fn store_comes_before_pollers_in_subtrees_whatever_is_added_first() {
    time::pause();
    for store_first in [true, false] {
        let mut root = SupervisorActor::with_defaults("root");
        if store_first {
            root.add(store("store")).unwrap();
        }
        for name in ["east", "west"] {
            root.add(ServiceSpec::supervisor(site(name))).unwrap();
        }
        if !store_first {
            root.add(store("store")).unwrap();
        }
        root.add(store("last")).unwrap();
        let begun = Instant::now();
        let root = root.start().await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(1));
        assert!(all_are(&root, ServiceState::Ready).await);
        for name in ["root/east/first", "root/west/second"] {
            let poller: ServiceRef<Leaf> = root.lookup(name).await.unwrap();
            assert_eq!(poller.send(Generation).await, Ok(0));
        }
        root.shutdown().await.unwrap();
    }
}

/// What requires one that waits does not wait for anybody else.
#[actix::test]
async fn one_behind_a_sibling_that_waits_elsewhere_holds_up_nobody() {
    time::pause();
    let mut site = SupervisorActor::with_defaults("site");
    site.add(poller("first")).unwrap();
    site.add(store("reader").requires("first")).unwrap();
    let mut root = SupervisorActor::with_defaults("root");
    root.add(ServiceSpec::supervisor(site)).unwrap();
    let after = store("after").requires("site");
    root.add(after).unwrap();
    root.add(store("store")).unwrap();
    let begun = Instant::now();
    let root = root.start().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert!(all_are(&root, ServiceState::Ready).await);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn start_waits_until_the_store_is_there_and_says_so() {
    time::pause();
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let mut events = root.events();
    let site = empty_site(&root).await;
    let first = site.add(poller("first")).await.unwrap();
    loop {
        let event = events.next().await.unwrap();
        if let EventKind::ServiceBlocked { on, why, .. } = event.kind() {
            assert_eq!((event.path(), &**on), ("root/site/first", "root/store"));
            assert_eq!(*why, Blocked::Missing);
            break;
        }
    }
    // However long that takes.
    time::sleep(Duration::from_secs(100_000)).await;
    let report = site.report().await.unwrap();
    assert!(report.to_string().contains("root/store"), "{report}");
    root.add(store("store")).await.unwrap();
    assert_eq!(first.send(Generation).await, Ok(0));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn each_start_waits_again_for_the_one_that_has_the_path_then() {
    time::pause();
    let mut root = SupervisorActor::with_defaults("root");
    let old = root.add(store("store")).unwrap();
    let root = root.start().await.unwrap();
    let site = root.add_supervisor(site("site")).await.unwrap();
    root.when_ready::<SupervisorActor>("site").await.unwrap();
    let first: ServiceRef<Leaf> = site.lookup("first").await.unwrap();
    // A restart of the store alone disturbs nobody.
    root.restart("store").await.unwrap();
    assert_eq!(first.send(Generation).await, Ok(0));
    // Without it a new life waits.
    root.remove(&old).await.unwrap();
    first.do_send(Crash);
    time::sleep(Duration::from_secs(60)).await;
    let summaries = site.services().await.unwrap();
    assert_eq!(summaries[0].state(), ServiceState::Waiting);
    root.add(store("store")).await.unwrap();
    assert_eq!(first.send(Generation).await, Ok(1));

    // So does that of the whole site, which is ready meanwhile.
    root.remove("store").await.unwrap();
    root.restart("site").await.unwrap();
    assert!(all_are(&site, ServiceState::Waiting).await);
    root.add(store("store")).await.unwrap();
    assert_eq!(first.send(Generation).await, Ok(2));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn first_start_fails_if_nobody_comes() {
    time::pause();
    let mut root = SupervisorActor::with_defaults("root");
    root.add(ServiceSpec::supervisor(site("site"))).unwrap();
    let begun = Instant::now();
    let error = root.start().await.unwrap_err();
    assert_eq!(begun.elapsed().as_secs(), 30);
    let text = causes(&error);
    assert!(text.contains("root/site/first"), "{text}");
    assert!(
        text.contains("`root/store` was not ready in time"),
        "{text}"
    );
}

#[actix::test]
async fn path_of_another_root_is_refused_at_once() {
    time::pause();
    let begun = Instant::now();
    let mut root = SupervisorActor::with_defaults("gateway");
    root.add(ServiceSpec::supervisor(site("site"))).unwrap();
    let text = causes(&root.start().await.unwrap_err());
    assert!(text.contains("gateway/site/first"), "{text}");
    let refused = "name `root/store` is refused: a path begins with the name of the root";
    assert!(text.contains(refused), "{text}");
    // Also below one that was made before it was part of a tree, and later.
    let root = SupervisorActor::with_defaults("gateway");
    let root = root.start().await.unwrap();
    let site = root.add_supervisor(SupervisorActor::with_defaults("site"));
    let site = site.await.unwrap();
    let error = site.add_and_wait(poller("late")).await.unwrap_err();
    assert!(error.to_string().contains(refused), "{error}");
    root.shutdown().await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

/// Whoever awaits a start is answered, as of a sibling that does not exist.
#[actix::test]
async fn awaited_start_fails_if_nobody_comes_and_one_that_is_added_waits_on() {
    time::pause();
    let root = SupervisorActor::with_defaults("root");
    let root = root.start().await.unwrap();
    let site = empty_site(&root).await;
    for (timeout, after) in [(None, 30), (Some(Duration::from_secs(5)), 5)] {
        let begun = Instant::now();
        let late = poller("late").start_timeout(timeout);
        let error = site.add_and_wait(late).await.unwrap_err();
        assert_eq!(begun.elapsed().as_secs(), after);
        let text = "service `root/site/late` failed to start: failed: required service `root/store` was not ready in time: it does not exist";
        assert_eq!(error.to_string(), text);
        // Its name is free, and nobody looks for what it required.
        assert!(site.services().await.unwrap().is_empty());
    }
    // A ring of two that no start of a supervisor depends on.
    let one = store("one").requires("root/two");
    site.add(one).await.unwrap();
    let begun = Instant::now();
    let two = root.add_and_wait(store("two").requires("root/site/one"));
    let text = two.await.unwrap_err().to_string();
    assert!(
        text.contains("root/two -> root/site/one -> root/two"),
        "{text}"
    );
    assert_eq!(begun.elapsed(), Duration::ZERO);

    // One whose caller leaves is kept.
    let gone = time::timeout(Duration::from_secs(1), site.add_and_wait(poller("kept"))).await;
    assert!(gone.is_err());
    time::sleep(Duration::from_secs(100_000)).await;
    root.add(store("store")).await.unwrap();
    let kept: ServiceRef<Leaf> = site.when_ready("kept").await.unwrap();
    assert_eq!(kept.send(Generation).await, Ok(0));
    root.shutdown().await.unwrap();
}

/// An error with its sources.
fn causes(error: &StartError) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text
}

/// A tree of two subtrees, each with one service that requires a path.
fn pair(east: &str, west: &str) -> SupervisorActor {
    let mut root = SupervisorActor::with_defaults("root");
    for (name, required) in [("east", east), ("west", west)] {
        let mut side = SupervisorActor::with_defaults(name);
        side.add(store("one").requires(required)).unwrap();
        root.add(ServiceSpec::supervisor(side)).unwrap();
    }
    root
}

#[actix::test]
async fn ring_through_the_tree_is_named_at_once() {
    time::pause();
    for (east, west) in [
        // Each other; each other's supervisors; and the supervisor above.
        ("root/west/one", "root/east/one"),
        ("root/west", "root/east"),
        ("root/east", "root/x"),
        ("root/west", "root/east/one"),
    ] {
        let begun = Instant::now();
        let error = pair(east, west).start().await.unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(1), "{east} {west}");
        let text = causes(&error);
        assert!(text.contains("require each other"), "{text}");
        assert!(text.contains("root/east/one"), "{text}");
    }
    // A chain is none.
    let mut root = pair("root/west/one", "root/store");
    root.add(store("store")).unwrap();
    root.start().await.unwrap().shutdown().await.unwrap();
}

#[actix::test]
async fn ring_through_siblings_is_named_at_once() {
    time::pause();
    for order in [StartOrder::Sequential, StartOrder::Parallel] {
        let root = || SupervisorActor::new("root", SupervisorSpec::default().start_order(order));
        // A service before which a sibling is, which waits for it elsewhere.
        let mut through_services = root();
        let mut east = SupervisorActor::with_defaults("east");
        east.add(store("first").requires("root/west/one")).unwrap();
        east.add(store("second").requires("first")).unwrap();
        through_services.add(ServiceSpec::supervisor(east)).unwrap();
        let mut west = SupervisorActor::with_defaults("west");
        west.add(store("one").requires("root/east/second")).unwrap();
        through_services.add(ServiceSpec::supervisor(west)).unwrap();
        // A supervisor that is not even begun to start.
        let mut through_supervisors = root();
        let mut east = SupervisorActor::with_defaults("east");
        east.add(store("one").requires("root/west/one")).unwrap();
        through_supervisors
            .add(ServiceSpec::supervisor(east))
            .unwrap();
        let mut west = SupervisorActor::with_defaults("west");
        west.add(store("one")).unwrap();
        let west = ServiceSpec::supervisor(west).requires("east");
        through_supervisors.add(west).unwrap();
        // One sibling by its name, and one by its path.
        let mut through_one = root();
        through_one.add(store("a").requires("root/b")).unwrap();
        through_one.add(store("b").requires("a")).unwrap();

        let wanted = [
            (through_services, "root/east/second -> root/east/first"),
            (through_supervisors, "root/east/one -> root/west/one"),
            (through_one, "root/a -> root/b -> root/a"),
        ];
        for (root, ring) in wanted {
            let begun = Instant::now();
            let error = root.start().await.unwrap_err();
            let text = causes(&error);
            assert!(text.contains(ring), "{order:?} {text}");
            assert!(begun.elapsed() < Duration::from_secs(1), "{text}");
        }
    }
}

#[actix::test]
async fn one_that_has_completed_is_there() {
    time::pause();
    let mut root = SupervisorActor::with_defaults("root");
    let migrate = ServiceSpec::task("migrate", |_| async {
        time::sleep(Duration::from_secs(1)).await;
    });
    root.add(migrate.restart(resurgam::RestartType::Transient))
        .unwrap();
    let root = root.start().await.unwrap();
    time::sleep(Duration::from_secs(5)).await;
    let site = empty_site(&root).await;
    let late = store("late").requires("root/migrate");
    site.add_and_wait(late).await.unwrap();
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn one_that_waited_for_a_sibling_first_holds_up_nobody_when_it_waits_elsewhere() {
    time::pause();
    let mut root = SupervisorActor::with_defaults("root");
    let migrate = ServiceSpec::task("migrate", |_| async {
        time::sleep(Duration::from_secs(1)).await;
    });
    root.add(migrate.restart(resurgam::RestartType::Transient))
        .unwrap();
    let first = store("first").requires_completed("migrate");
    root.add(first.requires("root/site/store")).unwrap();
    let mut site = SupervisorActor::with_defaults("site");
    site.add(store("store")).unwrap();
    root.add(ServiceSpec::supervisor(site)).unwrap();
    let root = root.start().await.unwrap();
    let first: ServiceRef<Leaf> = root.lookup("root/first").await.unwrap();
    assert_eq!(first.send(Generation).await, Ok(0));
    root.shutdown().await.unwrap();
}
