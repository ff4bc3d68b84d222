//! A stop that was given a time is over at that time, and whoever would not stop is named, at any depth. In real time where threads block.

use std::{
    sync::mpsc::{Receiver, Sender, channel},
    time::Duration,
};

use actix::prelude::*;
use resurgam::{
    ExitReason, KillCause, Placement, ServiceContext, ServiceRef, ServiceSpec, Shutdown,
    ShutdownReport, SupervisorActor, SupervisorRef, UnstoppedService,
};
use tokio::time::{self, Instant};

use crate::support::{patiently, plain, supervisor};

/// Blocks its thread when it is told to.
#[derive(Default)]
struct Blocker;

impl Actor for Blocker {
    type Context = ServiceContext<Self>;
}

/// Until the sender of the second is dropped. The first tells that it has begun.
#[derive(Message)]
#[rtype(result = "()")]
struct Block(Sender<()>, Receiver<()>);

impl Handler<Block> for Blocker {
    type Result = ();

    fn handle(&mut self, Block(begun, end): Block, _: &mut Self::Context) {
        let _test_gone = begun.send(());
        let _released = end.recv();
    }
}

fn blocker(name: &str) -> ServiceSpec<Blocker> {
    ServiceSpec::new(name, Blocker::default).placement(Placement::Dedicated)
}

/// Blocks the thread of a service until what is returned is dropped.
fn block(service: &ServiceRef<Blocker>) -> Sender<()> {
    let (begun, has_begun) = channel();
    let (release, end) = channel();
    service.do_send(Block(begun, end));
    has_begun.recv().unwrap();
    release
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A tree that is as deep as the path says, with a blocker at its end, and each supervisor stopped like this.
async fn deep(
    levels: usize,
    how: impl Fn(ServiceSpec<SupervisorActor>) -> ServiceSpec<SupervisorActor>,
    spec: ServiceSpec<Blocker>,
) -> (SupervisorRef, ServiceRef<Blocker>) {
    let name = |level| match level {
        0 => String::from("root"),
        level => format!("s{level}"),
    };
    let mut lowest = SupervisorActor::with_defaults(name(levels));
    lowest.add(plain("quiet")).unwrap();
    let service = lowest.add(spec).unwrap();
    let mut tree = lowest;
    for level in (0..levels).rev() {
        let mut above = SupervisorActor::with_defaults(name(level));
        above.add(how(ServiceSpec::supervisor(tree))).unwrap();
        tree = above;
    }
    (tree.start().await.unwrap(), service)
}

fn unstopped(report: &ShutdownReport) -> Vec<&str> {
    report
        .unstopped()
        .iter()
        .map(UnstoppedService::path)
        .collect()
}

/// Generous, since other programs may run: the time that was taken before was a second more than the bound.
const SLACK: Duration = Duration::from_millis(600);

#[actix::test]
async fn shutdown_within_is_over_in_that_time_and_names_who_blocks_its_thread_at_any_depth() {
    for levels in [0, 1, 3] {
        let (root, service) = deep(levels, |spec| spec, blocker("stuck")).await;
        let release = block(&service);
        let before = Instant::now();
        let report = patiently(root.shutdown_within(millis(300)), "shutdown").await;
        let took = before.elapsed();
        let report = report.unwrap();
        drop(release);
        assert_eq!(unstopped(&report), [service.path()], "{levels} levels");
        assert!(took < millis(300) + SLACK, "{took:?} at {levels} levels");
    }
}

#[actix::test]
async fn supervisor_that_is_killed_or_overruns_its_time_names_who_blocks_its_thread_below() {
    for how in [Shutdown::BrutalKill, Shutdown::Timeout(millis(200))] {
        let (root, service) = deep(2, |spec| spec.shutdown(how), blocker("stuck")).await;
        let release = block(&service);
        let before = Instant::now();
        let report = patiently(root.shutdown(), "shutdown").await.unwrap();
        let took = before.elapsed();
        drop(release);
        assert_eq!(unstopped(&report), [service.path()], "{how:?}");
        assert!(took < millis(300) + SLACK, "{took:?}: {how:?}");
    }
}

#[actix::test]
async fn killed_supervisor_ends_as_killed_when_all_below_is_gone() {
    let (root, _) = deep(
        1,
        |spec| spec.shutdown(Shutdown::BrutalKill),
        blocker("idle"),
    )
    .await;
    let below = supervisor(&root, "root/s1").await;
    let reason = patiently(root.remove(below.token()), "remove").await;
    assert_eq!(reason, Ok(ExitReason::Killed(KillCause::Requested)));
    let report = root.shutdown().await.unwrap();
    assert!(report.is_clean(), "{report}");
}

#[actix::test]
async fn service_that_blocks_its_thread_is_abandoned_a_tenth_of_its_stop_timeout_later() {
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let timeout = Shutdown::Timeout(millis(300));
    let ways = [(timeout, millis(330)), (Shutdown::BrutalKill, millis(100))];
    for (how, bound) in ways {
        let service = root.add_and_wait(blocker("stuck").shutdown(how)).await;
        let service = service.unwrap();
        let release = block(&service);
        let before = Instant::now();
        let removed = patiently(root.remove(service.token()), "remove").await;
        let took = before.elapsed();
        drop(release);
        assert_eq!(removed, Ok(ExitReason::Killed(KillCause::Unresponsive)));
        assert!(took + millis(5) >= bound, "{took:?}: {how:?}");
        assert!(took < bound + SLACK, "{took:?}: {how:?}");
    }
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn sixty_levels_of_prompt_services_stop_within_two_hundred_milliseconds() {
    let spec = ServiceSpec::new("last", Blocker::default);
    let (root, _) = deep(60, |spec| spec, spec).await;
    let report = root.shutdown_within(millis(200)).await.unwrap();
    // Nobody was dropped: all have stopped by themselves, in time.
    assert!(report.is_clean(), "{report}");
}

/// Stays when it is asked to stop.
#[derive(Default)]
struct Stubborn;

impl Actor for Stubborn {
    type Context = ServiceContext<Self>;

    fn stopping(&mut self, _: &mut Self::Context) -> Running {
        Running::Continue
    }
}

#[actix::test]
async fn deep_services_have_as_much_time_as_others_and_the_bound_holds() {
    time::pause();
    for levels in [0, 1, 60] {
        let (root, _) = deep(
            levels,
            |spec| spec,
            blocker("idle").placement(Placement::Inherit),
        )
        .await;
        let path = (1..=levels).fold(String::from("root"), |path, level| {
            format!("{path}/s{level}")
        });
        let lowest = supervisor(&root, &path).await;
        let spec = ServiceSpec::new("stubborn", Stubborn::default);
        lowest
            .add_and_wait(spec.shutdown(Shutdown::Infinity))
            .await
            .unwrap();
        let before = Instant::now();
        let report = root.shutdown_within(Duration::from_secs(2)).await.unwrap();
        let took = before.elapsed();
        assert!(took >= millis(1900), "{took:?} at {levels} levels");
        assert!(took <= millis(2000), "{took:?} at {levels} levels");
        let failures = report.failures().iter();
        let failures: Vec<_> = failures.map(|(path, why)| (&**path, why.clone())).collect();
        let stubborn = format!("{path}/stubborn");
        let killed = ExitReason::Killed(KillCause::StopTimeout);
        assert_eq!(failures, [(&*stubborn, killed)], "{report}");
        assert!(report.unstopped().is_empty(), "{report}");
    }
}

#[actix::test]
async fn shorter_time_reaches_those_that_were_told_a_longer_one() {
    let (root, service) = deep(3, |spec| spec, blocker("stuck")).await;
    let release = block(&service);
    let patient = root.shutdown_within(Duration::from_secs(3600));
    let patient = async { patient.await.unwrap() };
    let hasty = async {
        // Once the stop has reached the last one below.
        let mut events = root.events();
        while events
            .next()
            .await
            .is_some_and(|event| event.path() != "root/s1/s2/s3/quiet")
        {}
        root.shutdown_within(millis(200)).await.unwrap()
    };
    let before = Instant::now();
    let both = async { futures::join!(patient, hasty) };
    let (first, second) = patiently(both, "shutdown").await;
    let took = before.elapsed();
    drop(release);
    assert_eq!(first, second);
    assert_eq!(unstopped(&first), [service.path()]);
    assert!(took < millis(200) + SLACK, "{took:?}");
}
