//! What blocks its thread, and trees around it.

use std::{
    sync::mpsc,
    thread::{self, ThreadId},
    time::Duration,
};

use actix::prelude::*;
use resurgam::{
    ExitReason, KillCause, Placement, ServiceContext, ServiceRef, ServiceSpec, Shutdown,
    ShutdownReport, SupervisorActor, SupervisorRef, UnstoppedService,
};
use tokio::time::timeout;

/// A service that blocks its thread when it is told to.
#[derive(Default)]
pub(crate) struct Blocker;

impl Actor for Blocker {
    type Context = ServiceContext<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Block {
    pub(crate) blocked: mpsc::Sender<()>,
    pub(crate) release: mpsc::Receiver<()>,
}

impl Handler<Block> for Blocker {
    type Result = ();
    fn handle(&mut self, msg: Block, _: &mut Self::Context) {
        let _test_gone = msg.blocked.send(());
        let _released_or_test_gone = msg.release.recv();
        panic!("too late to be heard");
    }
}

#[derive(Message)]
#[rtype(result = "(u64, ThreadId)")]
pub(crate) struct Which;

impl Handler<Which> for Blocker {
    type Result = MessageResult<Which>;
    fn handle(&mut self, _: Which, ctx: &mut Self::Context) -> Self::Result {
        MessageResult((ctx.generation(), thread::current().id()))
    }
}

pub(crate) fn blocker(name: &str, placement: &Placement) -> ServiceSpec<Blocker> {
    ServiceSpec::new(name, Blocker::default)
        .placement(placement.clone())
        .shutdown(Shutdown::Timeout(Duration::from_millis(10)))
}

/// Blocks it until what comes back is dropped.
pub(crate) fn block(service: &ServiceRef<Blocker>) -> mpsc::Sender<()> {
    let (blocked, reached) = mpsc::channel();
    let (hold, release) = mpsc::channel();
    service.do_send(Block { blocked, release });
    reached
        .recv_timeout(LONG)
        .expect("the message was handled in time");
    hold
}

pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(LONG, what).await.expect("it hangs")
}

/// Lets other threads run until this is so.
pub(crate) async fn until(so: impl Fn() -> bool) {
    soon(async {
        while !so() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// What a tree on an arbiter of its own has for the test.
pub(crate) struct Elsewhere {
    pub(crate) root: SupervisorRef,
    pub(crate) sub: SupervisorRef,
    pub(crate) deep: ServiceRef<Blocker>,
    pub(crate) arbiter: Arbiter,
}

/// A tree of `root/idle`, `root/sub/idle` and `root/sub/deep`, all on one thread, which is not that of the test.
pub(crate) async fn tree_elsewhere() -> Elsewhere {
    let arbiter = Arbiter::new();
    let (tell, told) = tokio::sync::oneshot::channel();
    arbiter.spawn(async move {
        let root = root().await;
        let inherit = Placement::Inherit;
        root.add_and_wait(blocker("idle", &inherit)).await.unwrap();
        let sub = SupervisorActor::with_defaults("sub");
        let sub = ServiceSpec::supervisor(sub);
        let sub = root.add_and_wait(sub).await.unwrap();
        let sub = SupervisorRef::try_from(sub).unwrap();
        sub.add_and_wait(blocker("idle", &inherit)).await.unwrap();
        let deep = sub.add_and_wait(blocker("deep", &inherit)).await.unwrap();
        let _test_gone = tell.send((root, sub, deep));
    });
    let (root, sub, deep) = soon(told).await.unwrap();
    Elsewhere {
        root,
        sub,
        deep,
        arbiter,
    }
}

impl Elsewhere {
    pub(crate) fn end(self) {
        self.arbiter.stop();
        self.arbiter.join().unwrap();
    }
}

pub(crate) fn paths(report: &ShutdownReport) -> Vec<&str> {
    report
        .unstopped()
        .iter()
        .map(UnstoppedService::path)
        .collect()
}

pub(crate) async fn root() -> SupervisorRef {
    let root = SupervisorActor::with_defaults("root");
    root.start().await.unwrap()
}

/// Far more than anything here takes.
pub(crate) const LONG: Duration = Duration::from_secs(20);

pub(crate) const UNRESPONSIVE: ExitReason = ExitReason::Killed(KillCause::Unresponsive);
