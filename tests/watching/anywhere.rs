//! Ends on other threads, and ends of threads: in real time.

use std::sync::mpsc;

use actix::prelude::*;
use futures::{StreamExt, executor::block_on, future::join_all};
use resurgam::{
    ExitReason, KillCause, Placement, ServiceContext, ServiceRef, ServiceSpec, ServiceState,
    Shutdown, StartError, SupervisorActor, SupervisorSpec,
};
use tokio::time::Duration;

use crate::support::{root, root_with, soon, subject, watcher};

/// Blocks its thread until this channel closes.
struct Blocker;

impl Actor for Blocker {
    type Context = ServiceContext<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
struct Block {
    entered: mpsc::Sender<()>,
    until: mpsc::Receiver<()>,
}

impl Handler<Block> for Blocker {
    type Result = ();
    fn handle(&mut self, block: Block, _: &mut Self::Context) {
        block.entered.send(()).unwrap();
        let _released = block.until.recv();
    }
}

/// Returns once the service blocks its thread, which it does until what is returned is dropped.
async fn block(service: &ServiceRef<Blocker>) -> mpsc::Sender<()> {
    let (entered, is_entered) = mpsc::channel();
    let (release, until) = mpsc::channel();
    service.do_send(Block { entered, until });
    let waits = tokio::task::spawn_blocking(move || is_entered.recv().unwrap());
    soon(waits).await.unwrap();
    release
}

fn blocker(placement: Placement) -> ServiceSpec<Blocker> {
    ServiceSpec::new("stuck", || Blocker)
        .placement(placement)
        .shutdown(Shutdown::Timeout(Duration::from_millis(20)))
}

#[actix::test]
async fn service_that_is_lost_with_its_arbiter_has_ended() {
    let arbiter = Arbiter::new();
    let (root, services) =
        root_with([subject("a").placement(Placement::Arbiter(arbiter.handle()))]).await;
    let (spec, mut told) = watcher(&services);
    root.add_and_wait(spec).await.unwrap();
    let mut states = services[0].states();
    assert_eq!(soon(states.next()).await, Some(ServiceState::Ready));
    let ended = services[0].ended();
    arbiter.stop();
    let lost = ExitReason::Killed(KillCause::ArbiterStopped);
    assert_eq!(soon(ended).await, lost);
    let (_, what) = soon(told.recv()).await.unwrap();
    assert_eq!(what, format!("root/a has ended: {lost}"));
    assert_eq!(soon(states.next()).await, Some(ServiceState::Failed));
    root.shutdown().await.unwrap();
    assert_eq!(soon(states.next()).await, None);
}

#[actix::test]
async fn service_that_is_abandoned_with_its_thread_has_ended_if_it_gets_no_other() {
    for placement in [Placement::Pool, Placement::Dedicated] {
        let root = root().await;
        let gets_another = matches!(placement, Placement::Dedicated);
        let stuck = root.add_and_wait(blocker(placement)).await.unwrap();
        let release = block(&stuck).await;
        let ended = stuck.ended();
        let restarted = soon(root.restart(&stuck)).await;
        assert_eq!(restarted.is_ok(), gets_another);
        if gets_another {
            soon(root.remove(&stuck)).await.unwrap();
            assert_eq!(soon(ended).await, ExitReason::Shutdown);
        } else {
            let reason = ExitReason::Killed(KillCause::Unresponsive);
            assert_eq!(soon(ended).await, reason);
            // And not any more when its thread is back.
            drop(release);
            let mut states = stuck.states();
            while soon(states.next()).await != Some(ServiceState::Ready) {}
            let ended = stuck.ended();
            soon(root.remove(&stuck)).await.unwrap();
            assert_eq!(soon(ended).await, ExitReason::Shutdown);
        }
        soon(root.shutdown()).await.unwrap();
    }
}

#[actix::test]
async fn services_of_a_supervisor_that_is_lost_with_its_blocked_thread_have_ended() {
    let root = root().await;
    let spec = SupervisorSpec::default().shutdown_timeout(Duration::from_millis(20));
    let mut site = SupervisorActor::new("site", spec);
    let stuck = site.add(blocker(Placement::Inherit)).unwrap();
    let free = site
        .add(subject("free").placement(Placement::Dedicated))
        .unwrap();
    let site = ServiceSpec::supervisor(site)
        .placement(Placement::Dedicated)
        .shutdown(Shutdown::Timeout(Duration::from_millis(50)));
    let site = root.add_and_wait(site).await.unwrap();
    let release = block(&stuck).await;
    let (of_stuck, of_free, of_site) = (stuck.ended(), free.ended(), site.ended());
    let mut states = free.states();
    let _removed = soon(root.remove(&site)).await;
    // While the thread is still blocked.
    soon(of_site).await;
    soon(of_free).await;
    soon(of_stuck).await;
    while soon(states.next()).await.is_some() {}
    drop(release);
    soon(root.shutdown()).await.unwrap();
}

#[actix::test]
async fn start_that_fails_ends_those_that_were_started_and_those_that_never_were() {
    let mut root = SupervisorActor::with_defaults("root");
    let before = root.add(subject("before")).unwrap();
    root.add(ServiceSpec::try_new("fails", |_| {
        Err::<crate::support::Subject, _>("not today")
    }))
    .unwrap();
    let behind = root.add(subject("behind")).unwrap();
    let (ended, never) = (before.ended(), behind.ended());
    let failed = root.start().await.map(drop);
    assert!(
        matches!(failed, Err(StartError::Failed { .. })),
        "{failed:?}"
    );
    assert_eq!(soon(ended).await, ExitReason::Shutdown);
    assert_eq!(soon(never).await, ExitReason::Normal);
}

#[actix::test]
async fn services_of_a_supervisor_that_is_never_started_have_ended_when_it_is_dropped() {
    let mut root = SupervisorActor::with_defaults("root");
    let service = root.add(subject("a")).unwrap();
    let ended = service.ended();
    drop(root);
    assert_eq!(soon(ended).await, ExitReason::Normal);
}

#[actix::test]
async fn services_of_a_root_that_panics_have_ended() {
    let (root, services) = root_with([subject("a"), subject("down")]).await;
    root.stop(&services[1]).await.unwrap();
    let top = root.lookup::<SupervisorActor>("root").await.unwrap();
    let (ended, of_top) = (services[0].ended(), top.ended());
    let down = services[1].ended();
    root.addr().do_send(Panic);
    let dropped = ExitReason::Killed(KillCause::Requested);
    assert_eq!(soon(ended).await, dropped);
    // It had stopped before.
    assert_eq!(soon(down).await, ExitReason::Shutdown);
    let reason = soon(of_top).await;
    assert!(matches!(reason, ExitReason::Panicked { .. }), "{reason}");
}

#[derive(Message)]
#[rtype(result = "()")]
struct Panic;

impl Handler<Panic> for SupervisorActor {
    type Result = ();
    fn handle(&mut self, _: Panic, _: &mut Self::Context) {
        panic!("crashed on purpose");
    }
}

#[test]
fn everything_has_ended_when_the_system_has_stopped() {
    let system = System::new();
    let (root, ends, states) = system.block_on(async {
        let (root, services) = root_with([subject("a")]).await;
        let mut site = SupervisorActor::with_defaults("site");
        let inner = site
            .add(subject("inner").placement(Placement::Dedicated))
            .unwrap();
        root.add_and_wait(ServiceSpec::supervisor(site))
            .await
            .unwrap();
        let top = root.lookup::<SupervisorActor>("root").await.unwrap();
        let ends = [services[0].ended(), inner.ended(), top.ended()];
        let states = services[0].states();
        System::current().stop();
        (root, ends, states)
    });
    system.run().unwrap();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        block_on(async move {
            join_all(ends).await;
            states.count().await;
        });
        tell.send(()).unwrap();
    });
    let told = told.recv_timeout(Duration::from_secs(20));
    assert_eq!(told, Ok(()), "somebody waits for ever");
    drop(root);
}
