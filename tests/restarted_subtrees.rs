//! Supervisors below others that are given a time to stop, and restarted: what was said to one life must not reach the next.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "services that panic; helpers of tests"
)]

mod leaf;

use std::time::Duration;

use actix::prelude::*;
use resurgam::{
    EventKind, Placement, ServiceContext, ServiceRef, ServiceSpec, Shutdown, Strategy,
    SupervisorActor, SupervisorRef, SupervisorSpec,
};
use tokio::time;

use self::leaf::{Crash, Generation, Leaf};

/// What a supervisor below is made of, and how it is stopped.
fn tier(name: &str, leaves: usize, placement: &Placement) -> ServiceSpec<SupervisorActor> {
    let mut tier = SupervisorActor::with_defaults(name);
    for number in 0..leaves {
        let leaf = ServiceSpec::new(format!("leaf{number}"), Leaf::default);
        tier.add(leaf.placement(placement.clone())).unwrap();
    }
    ServiceSpec::supervisor(tier).shutdown(Shutdown::Timeout(Duration::from_secs(5)))
}

/// That a supervisor is there, with these services below it, each in this incarnation.
async fn assert_whole(root: &SupervisorRef, path: &str, leaves: usize, generation: u64) {
    let tier: ServiceRef<SupervisorActor> = root.when_ready(path).await.unwrap();
    let tier = SupervisorRef::try_from(&tier).unwrap();
    // Answered behind everything that the supervisor was sent before.
    assert_eq!(tier.counts().await.unwrap().ready, leaves, "{path}");
    for number in 0..leaves {
        let leaf: ServiceRef<Leaf> = root
            .lookup(format!("{path}/leaf{number}").as_str())
            .await
            .unwrap();
        assert_eq!(leaf.send(Generation).await, Ok(generation), "{leaf:?}");
    }
}

#[actix::test]
async fn idle_subtree_with_a_stop_timeout_survives_restarts_by_hand() {
    time::pause();
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    for leaves in [0, 3] {
        let name = format!("tier{leaves}");
        let tier = tier(&name, leaves, &Placement::Inherit);
        let tier = root.add_and_wait(tier).await.unwrap();
        for generation in 1..=20 {
            root.restart(tier.token()).await.unwrap();
            assert_whole(&root, tier.path(), leaves, generation).await;
        }
    }
    assert!(root.shutdown().await.unwrap().is_clean());
}

#[actix::test]
async fn subtree_with_services_on_other_threads_survives_restarts_by_hand() {
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let prompt = root
        .add_and_wait(tier("prompt", 4, &Placement::Dedicated))
        .await
        .unwrap();
    let apart = tier("apart", 2, &Placement::Pool).placement(Placement::Dedicated);
    let apart = root.add_and_wait(apart).await.unwrap();
    for generation in 1..=40 {
        root.restart(prompt.token()).await.unwrap();
        root.restart(apart.token()).await.unwrap();
        assert_whole(&root, "root/prompt", 4, generation).await;
        assert_whole(&root, "root/apart", 2, generation).await;
    }
    assert!(root.shutdown().await.unwrap().is_clean());
}

#[actix::test]
async fn subtree_with_a_stop_timeout_survives_group_restarts() {
    time::pause();
    for strategy in [Strategy::OneForAll, Strategy::RestForOne] {
        let spec = SupervisorSpec::default()
            .strategy(strategy)
            .limit(resurgam::RestartLimit::unlimited());
        let mut root = SupervisorActor::new("root", spec);
        let first = root.add(ServiceSpec::new("first", Leaf::default)).unwrap();
        root.add(tier("idle", 0, &Placement::Inherit)).unwrap();
        root.add(tier("busy", 2, &Placement::Inherit)).unwrap();
        let root = root.start().await.unwrap();
        for generation in 1..=20 {
            first.do_send(Crash);
            assert_eq!(first.send(Generation).await, Ok(generation));
            assert_whole(&root, "root/idle", 0, generation).await;
            assert_whole(&root, "root/busy", 2, generation).await;
        }
        assert!(root.shutdown().await.unwrap().is_clean());
    }
}

#[actix::test]
async fn subtree_with_a_stop_timeout_survives_restarts_of_what_it_is_bound_to() {
    time::pause();
    let spec = SupervisorSpec::default().limit(resurgam::RestartLimit::unlimited());
    let mut root = SupervisorActor::new("root", spec);
    let store = root.add(ServiceSpec::new("store", Leaf::default)).unwrap();
    let tier = |name, leaves| tier(name, leaves, &Placement::Inherit).binds_to("store");
    root.add(tier("idle", 0)).unwrap();
    root.add(tier("busy", 2)).unwrap();
    let root = root.start().await.unwrap();
    for generation in 1..=20 {
        store.do_send(Crash);
        assert_eq!(store.send(Generation).await, Ok(generation));
        assert_whole(&root, "root/idle", 0, generation).await;
        assert_whole(&root, "root/busy", 2, generation).await;
    }
    assert!(root.shutdown().await.unwrap().is_clean());
}

#[actix::test]
async fn subtree_with_a_stop_timeout_survives_restarts_of_its_parent() {
    time::pause();
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let mut middle = SupervisorActor::with_defaults("middle");
    middle.add(tier("idle", 0, &Placement::Inherit)).unwrap();
    middle.add(tier("busy", 2, &Placement::Inherit)).unwrap();
    let middle =
        ServiceSpec::supervisor(middle).shutdown(Shutdown::Timeout(Duration::from_secs(9)));
    let middle = root.add_and_wait(middle).await.unwrap();
    for generation in 1..=20 {
        root.restart(middle.token()).await.unwrap();
        assert_whole(&root, "root/middle/idle", 0, generation).await;
        assert_whole(&root, "root/middle/busy", 2, generation).await;
    }
    assert!(root.shutdown().await.unwrap().is_clean());
}

/// Takes its time to stop: for ever.
struct Stubborn;

impl Actor for Stubborn {
    type Context = ServiceContext<Self>;
    fn stopping(&mut self, _: &mut Self::Context) -> Running {
        Running::Continue
    }
}

#[actix::test]
async fn time_that_is_cut_short_during_the_stop_reaches_those_below() {
    time::pause();
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let mut events = root.events();
    let forever = Shutdown::Timeout(Duration::from_secs(3600));
    let mut low = SupervisorActor::with_defaults("low");
    low.add(ServiceSpec::new("slow", || Stubborn).shutdown(forever))
        .unwrap();
    let mut middle = SupervisorActor::with_defaults("middle");
    middle
        .add(ServiceSpec::supervisor(low).shutdown(forever))
        .unwrap();
    root.add_and_wait(ServiceSpec::supervisor(middle).shutdown(forever))
        .await
        .unwrap();

    let before = time::Instant::now();
    let patient = tokio::spawn({
        let root = root.clone();
        async move { root.shutdown_within(Duration::from_secs(1000)).await }
    });
    // The stop has reached the last one below by then.
    time::sleep(Duration::from_secs(1)).await;
    let report = root.shutdown_within(Duration::from_secs(2)).await.unwrap();

    assert!(before.elapsed() <= Duration::from_secs(3));
    let paths: Vec<_> = report.failures().iter().map(|(path, _)| &**path).collect();
    assert_eq!(paths, ["root/middle/low/slow"], "{report}");
    assert_eq!(patient.await.unwrap().unwrap(), report);
    let mut dropped = Vec::new();
    while let Some(event) = events.try_next() {
        if matches!(event.kind(), EventKind::StopTimedOut { .. }) {
            dropped.push(event.path().to_owned());
        }
    }
    assert_eq!(dropped, ["root/middle/low/slow"]);
}

/// Takes a second to stop.
struct Slow;

impl Actor for Slow {
    type Context = ServiceContext<Self>;
    fn stopping(&mut self, ctx: &mut Self::Context) -> Running {
        ctx.run_later(Duration::from_secs(1), |_, ctx| ctx.terminate());
        Running::Continue
    }
}

#[actix::test]
async fn every_life_has_the_whole_time_to_stop() {
    time::pause();
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let mut tier = SupervisorActor::with_defaults("tier");
    tier.add(ServiceSpec::new("slow", || Slow)).unwrap();
    let timeout = Shutdown::Timeout(Duration::from_secs(5));
    let tier = root
        .add_and_wait(ServiceSpec::supervisor(tier).shutdown(timeout))
        .await
        .unwrap();
    let mut events = root.events();
    for _ in 0..3 {
        root.restart(tier.token()).await.unwrap();
        time::sleep(Duration::from_secs(10)).await;
    }
    while let Some(event) = events.try_next() {
        let late = matches!(event.kind(), EventKind::StopTimedOut { .. });
        assert!(!late, "{event}");
    }
    assert!(root.shutdown().await.unwrap().is_clean());
}
