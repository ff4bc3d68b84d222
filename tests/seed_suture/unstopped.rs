//! Services that block their thread, so that they can be neither asked nor dropped.
//!
//! In real time, since other threads are involved.

use std::{sync::mpsc, time::Duration};

use actix::prelude::*;
use resurgam::{
    EventKind, Placement, ServiceContext, ServiceRef, ServiceSpec, SupervisorActor, SupervisorSpec,
    UnstoppedService,
};
use tokio::sync::oneshot;

use super::support::{Log, Recorder, Start, Stop, planned, probe};

/// A service that blocks its thread when it is told to.
struct Blocker;

impl Actor for Blocker {
    type Context = ServiceContext<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
struct Block {
    blocked: oneshot::Sender<()>,
    release: mpsc::Receiver<()>,
}

impl Handler<Block> for Blocker {
    type Result = ();

    fn handle(&mut self, msg: Block, _: &mut Self::Context) {
        let _test_gone = msg.blocked.send(());
        let _released = msg.release.recv();
    }
}

fn blocker(name: &str) -> ServiceSpec<Blocker> {
    ServiceSpec::new(name, || Blocker).placement(Placement::Dedicated)
}

/// Blocks it until what comes back is dropped.
async fn block(blocker: &ServiceRef<Blocker>) -> mpsc::Sender<()> {
    let (held, reached) = oneshot::channel();
    let (release, released) = mpsc::channel();
    blocker.do_send(Block {
        blocked: held,
        release: released,
    });
    reached.await.unwrap();
    release
}

fn impatient() -> SupervisorSpec {
    SupervisorSpec::default().shutdown_timeout(Duration::from_millis(20))
}

#[actix::test]
async fn stuck_service_is_listed_with_its_path_token_and_generation() {
    let log = Log::default();
    let mut root = SupervisorActor::new("root", impatient());
    root.add(probe("fine", &log)).unwrap();
    let stuck = root.add(blocker("stuck")).unwrap();
    let root = root.start().await.unwrap();
    let _release = block(&stuck).await;
    let report = root.shutdown().await.unwrap();
    let [unstopped] = report.unstopped() else {
        panic!("{report}");
    };
    assert_eq!(unstopped.path(), "root/stuck");
    assert_eq!(unstopped.token(), stuck.token());
    assert_eq!(unstopped.generation(), 0);
    assert_eq!(log.alive("fine"), 0);
}

#[actix::test]
async fn stuck_grandchild_is_listed_and_the_supervisors_above_it_are_not() {
    let mut inner = SupervisorActor::new("inner", impatient());
    let stuck = inner.add(blocker("stuck")).unwrap();
    let mut tier = SupervisorActor::new("tier", impatient());
    tier.add(ServiceSpec::supervisor(inner)).unwrap();
    let mut root = SupervisorActor::new("root", impatient());
    root.add(ServiceSpec::supervisor(tier)).unwrap();
    let root = root.start().await.unwrap();
    let mut events = Recorder::new(&root);
    let _release = block(&stuck).await;
    let report = root.shutdown().await.unwrap();
    let paths: Vec<&str> = report
        .unstopped()
        .iter()
        .map(UnstoppedService::path)
        .collect();
    assert_eq!(paths, ["root/tier/inner/stuck"]);
    let event = events
        .until(|kind| matches!(kind, EventKind::ServiceAbandoned))
        .await;
    assert_eq!(event.path(), "root/tier/inner/stuck");
}

#[actix::test]
async fn report_is_empty_when_everybody_stopped() {
    let mut root = SupervisorActor::new("root", impatient());
    root.add(blocker("idle")).unwrap();
    let root = root.start().await.unwrap();
    let report = root.shutdown().await.unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.to_string(), "all services stopped");
}

#[actix::test]
async fn stop_is_asked_for_then_enforced_and_who_is_left_then_is_named() {
    let log = Log::default();
    let mut root = SupervisorActor::new("root", impatient());
    root.add(probe("soft", &log)).unwrap();
    root.add(planned("deaf", &log, |_| (Start::Go, Stop::Never)))
        .unwrap();
    let stuck = root.add(blocker("stuck")).unwrap();
    let root = root.start().await.unwrap();
    let mut events = Recorder::new(&root);
    let _release = block(&stuck).await;
    let report = root.shutdown().await.unwrap();
    let told = events.take_whole();
    let about = |path: &str| -> Vec<String> {
        let own = told.iter().filter(|event| event.path() == path);
        own.map(|event| event.kind().to_string()).collect()
    };
    // Who obeys, who is dropped since it does not, and who cannot even be dropped.
    assert_eq!(about("root/soft"), ["stopped: shutdown"]);
    assert_eq!(
        about("root/deaf"),
        ["did not stop within 20ms", "stopped: killed: stop timeout"]
    );
    assert_eq!(
        about("root/stuck"),
        [
            "did not stop within 20ms",
            "abandoned: it blocks its thread",
            "stopped: killed: unresponsive"
        ]
    );
    let left: Vec<_> = report
        .unstopped()
        .iter()
        .map(UnstoppedService::path)
        .collect();
    assert_eq!(left, ["root/stuck"]);
    let printed = report.to_string();
    assert!(printed.contains("root/stuck"), "{printed}");
    assert!(printed.contains("root/deaf"), "{printed}");
    assert!(!printed.contains("root/soft"), "{printed}");
}
