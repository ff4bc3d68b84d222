//! Runs that outlive their time because they block their thread: nothing of them reaches those who come after.
//!
//! In real time, since other threads are involved.

use std::{sync::mpsc, time::Duration};

use actix::prelude::*;
use resurgam::{
    EventKind, ExitReason, KillCause, Placement, ServiceContext, ServiceRef, ServiceSpec, Strategy,
    SupervisorActor, SupervisorRef, SupervisorSpec,
};
use tokio::sync::oneshot;

use super::support::{Act, Generation, Log, Probe, Recorder, probe, root};

/// A service that blocks its thread when it is told to.
struct Blocker;

impl Actor for Blocker {
    type Context = ServiceContext<Self>;
}

/// What a blocked handler does when it is released.
#[derive(Clone, Copy, Debug)]
enum Then {
    Return,
    Fail,
    Panic,
    Complete,
}

#[derive(Message)]
#[rtype(result = "()")]
struct Block {
    blocked: oneshot::Sender<()>,
    release: mpsc::Receiver<Then>,
}

impl Handler<Block> for Blocker {
    type Result = ();

    fn handle(&mut self, msg: Block, ctx: &mut Self::Context) {
        let _test_gone = msg.blocked.send(());
        match msg.release.recv() {
            Ok(Then::Fail) => ctx.fail(super::support::oops("failed late")),
            Ok(Then::Panic) => panic!("panicked late"),
            Ok(Then::Complete) => ctx.stop(),
            Ok(Then::Return) | Err(_) => {}
        }
    }
}

#[derive(Message)]
#[rtype(result = "u64")]
struct Which;

impl Handler<Which> for Blocker {
    type Result = u64;

    fn handle(&mut self, _: Which, ctx: &mut Self::Context) -> u64 {
        ctx.generation()
    }
}

fn blocker(name: &str) -> ServiceSpec<Blocker> {
    ServiceSpec::new(name, || Blocker).placement(Placement::Dedicated)
}

/// Blocks it; it goes on when what comes back is told to.
async fn block(blocker: &ServiceRef<Blocker>) -> mpsc::Sender<Then> {
    let (held, reached) = oneshot::channel();
    let (release, released) = mpsc::channel();
    blocker.do_send(Block {
        blocked: held,
        release: released,
    });
    reached.await.unwrap();
    release
}

/// A group of a blocked service, which is abandoned and to be restarted, and of the one whose failure was the cause.
struct Abandoned {
    root: SupervisorRef,
    blocker: ServiceRef<Blocker>,
    failing: ServiceRef<Probe>,
    release: mpsc::Sender<Then>,
    events: Recorder,
}

async fn abandoned() -> Abandoned {
    let spec = SupervisorSpec::default()
        .strategy(Strategy::OneForAll)
        .shutdown_timeout(Duration::from_millis(10));
    let mut root = SupervisorActor::new("root", spec);
    let blocker = root.add(blocker("blocker")).unwrap();
    let failing = root.add(probe("b", &Log::default())).unwrap();
    let root = root.start().await.unwrap();
    let mut events = Recorder::new(&root);
    let release = block(&blocker).await;
    failing.do_send(Act::Fail);
    events
        .until(|kind| matches!(kind, EventKind::ServiceAbandoned))
        .await;
    Abandoned {
        root,
        blocker,
        failing,
        release,
        events,
    }
}

/// Waits for the thread of the old run: as long as that is blocked, a report names who is there.
async fn until_back(root: &SupervisorRef) {
    while root.tree_abandoned_threads() > 0 {
        tokio::task::yield_now().await;
    }
}

/// Lets the old run end like this when its replacement was ordered, and checks that only its supervisor's order counts.
async fn check_late_end(then: Then) {
    let Abandoned {
        root,
        blocker,
        failing,
        release,
        mut events,
    } = abandoned().await;
    release.send(then).unwrap();
    assert_eq!(blocker.send(Which).await, Ok(1), "{then:?}");
    assert_eq!(failing.send(Generation).await, Ok(1), "{then:?}");
    // The old run is over by now: the new one has answered on its thread.
    let count = root.report().await.unwrap().failure_count();
    assert!(count < 1.01, "{then:?}: {count}");
    let more = events.take();
    assert!(
        !more
            .iter()
            .any(|line| line.contains("Fail") || line.contains("Panicked")),
        "{then:?}: {more:?}"
    );
    until_back(&root).await;
    let report = root.shutdown().await.unwrap();
    assert!(report.is_clean(), "{then:?}: {report}");
}

#[actix::test]
async fn late_return_of_an_abandoned_run_is_not_blamed_on_its_replacement() {
    check_late_end(Then::Return).await;
}

#[actix::test]
async fn late_failure_of_an_abandoned_run_is_not_blamed_on_its_replacement() {
    check_late_end(Then::Fail).await;
}

#[actix::test]
async fn late_panic_of_an_abandoned_run_is_not_blamed_on_its_replacement() {
    check_late_end(Then::Panic).await;
}

#[actix::test]
async fn late_stop_of_an_abandoned_run_is_not_blamed_on_its_replacement() {
    check_late_end(Then::Complete).await;
}

#[actix::test]
async fn late_end_of_a_removed_run_harms_nobody() {
    let log = Log::default();
    let spec = SupervisorSpec::default().shutdown_timeout(Duration::from_millis(10));
    let root = root(spec).await;
    let blocker = root.add_and_wait(blocker("a")).await.unwrap();
    let release = block(&blocker).await;
    assert_eq!(
        root.remove(blocker.token()).await,
        Ok(ExitReason::Killed(KillCause::Unresponsive))
    );
    // The name is free, and the next one that has it does not hear of the old run.
    let next = root.add_and_wait(probe("a", &log)).await.unwrap();
    release.send(Then::Panic).unwrap();
    assert_eq!(blocker.send(Which).await, Err(MailboxError::Closed));
    assert_eq!(next.send(Generation).await, Ok(0));
    until_back(&root).await;
    assert!(root.shutdown().await.unwrap().is_clean());
}

#[actix::test]
async fn abandoned_run_handles_no_further_message() {
    let spec = SupervisorSpec::default().shutdown_timeout(Duration::from_millis(10));
    let root = root(spec).await;
    let blocker = root.add_and_wait(blocker("a")).await.unwrap();
    let release = block(&blocker).await;
    root.remove(blocker.token()).await.unwrap();
    // Queued behind the handler that blocks.
    let queued = blocker.send(Which);
    release.send(Then::Return).unwrap();
    assert_eq!(queued.await, Err(MailboxError::Closed));
}
