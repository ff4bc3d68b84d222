//! The end of a tree reaches everyone who waits for it, who asks too late, or who stands in its way.

use std::time::Duration;

use actix::prelude::*;
use resurgam::{
    EventKind, Placement, Readiness, ServiceContext, ServiceSpec, SupervisorActor, SupervisorRef,
};
use tokio::{sync::oneshot, time};

use crate::support::{Generation, Plain, SOON, happened, patiently, root};

/// A service that is stopped.
struct Down;

impl Actor for Down {
    type Context = ServiceContext<Self>;
}

impl Handler<Generation> for Down {
    type Result = u64;

    fn handle(&mut self, _: Generation, ctx: &mut Self::Context) -> u64 {
        ctx.generation()
    }
}

/// Asks a sibling before it stops.
struct Finisher {
    sibling: Addr<Down>,
    finished: bool,
}

impl Actor for Finisher {
    type Context = ServiceContext<Self>;

    fn stopping(&mut self, ctx: &mut Self::Context) -> Running {
        if self.finished {
            return Running::Stop;
        }
        let asking = self.sibling.send(Generation).into_actor(self).map(
            |_, finisher: &mut Self, ctx: &mut ServiceContext<Self>| {
                finisher.finished = true;
                ctx.stop();
            },
        );
        ctx.spawn(asking);
        Running::Continue
    }
}

/// Hands out a reference from inside when it is asked to stop.
struct Keeps(Option<oneshot::Sender<SupervisorRef>>);

impl Actor for Keeps {
    type Context = ServiceContext<Self>;

    fn stopping(&mut self, ctx: &mut Self::Context) -> Running {
        if let Some(sender) = self.0.take() {
            sender.send(ctx.supervisor()).unwrap();
        }
        Running::Stop
    }
}

fn never_ready() -> ServiceSpec<Plain> {
    ServiceSpec::new("never", Plain::default).readiness(Readiness::Explicit)
}

#[actix::test]
async fn everyone_who_waits_is_answered_when_the_arbiter_of_the_root_stops() {
    let main = Arbiter::current();
    let arbiter = Arbiter::new();
    let (sender, receiver) = oneshot::channel();
    arbiter.spawn(async move {
        let root = root().await;
        let here = ServiceSpec::new("there", Plain::default).placement(Placement::Arbiter(main));
        let here = root.add_and_wait(here).await.unwrap();
        let pool = ServiceSpec::new("pool", Plain::default).placement(Placement::Pool);
        let pool = root.add_and_wait(pool).await.unwrap();
        let gated = ServiceSpec::new("gated", Plain::default).requires("missing");
        let gated = root.add(gated).await.unwrap();
        let _ = sender.send((root, here, pool, gated));
    });
    let (root, here, pool, gated) = receiver.await.unwrap();
    let mut events = root.events();
    let (asked, token) = (root.clone(), gated.token());
    let when_ready = actix::spawn(async move { asked.when_ready::<Plain>(token).await.is_ok() });
    let send = actix::spawn(async move { gated.send(Generation).await.is_ok() });
    let asked = root.clone();
    let add_and_wait = actix::spawn(async move { asked.add_and_wait(never_ready()).await.is_ok() });
    // The last of the three was sent after the others.
    happened(&mut events, "root/never", |kind| {
        *kind == EventKind::ServiceStarted
    })
    .await;
    arbiter.stop();
    // What the answers are is of no matter here, as long as they come.
    let _ = patiently(when_ready, "when_ready").await;
    let _ = patiently(add_and_wait, "add_and_wait").await;
    let _ = patiently(send, "send to a service that never ran").await;
    let _ = patiently(root.join(), "join").await;
    let _ = patiently(root.shutdown(), "shutdown").await;
    let within = root.shutdown_within(Duration::from_secs(1));
    let _ = patiently(within, "shutdown_within").await;
    let _ = patiently(here.send(Generation), "send").await;
    let _ = patiently(pool.send(Generation), "send to the pool").await;
    let _ = patiently(root.report(), "report").await;
}

#[actix::test]
async fn last_reference_dropped_in_the_middle_of_an_operation_ends_the_tree() {
    let root = root().await;
    let plain = ServiceSpec::new("plain", Plain::default).placement(Placement::Pool);
    let plain = root.add_and_wait(plain).await.unwrap();
    let mut events = root.events();
    let adding = actix::spawn(async move { root.add_and_wait(never_ready()).await.is_ok() });
    happened(&mut events, "root/never", |kind| {
        *kind == EventKind::ServiceStarted
    })
    .await;
    adding.abort();
    let rest = async { while events.next().await.is_some() {} };
    patiently(rest, "the tree").await;
    let answer = patiently(plain.send(Generation), "send").await;
    assert!(answer.is_err(), "{answer:?}");
}

#[actix::test]
async fn service_below_a_nested_supervisor_that_asks_a_sibling_that_is_down_stops_at_once() {
    time::pause();
    let root = root().await;
    let sub = ServiceSpec::supervisor(SupervisorActor::with_defaults("sub"));
    let sub = root.add_and_wait(sub).await.unwrap();
    let sub = SupervisorRef::try_from(&sub).unwrap();
    let down = ServiceSpec::new("down", || Down);
    let down = sub.add_and_wait(down).await.unwrap();
    sub.stop(down.token()).await.unwrap();
    let sibling = down.addr().clone();
    let finisher = ServiceSpec::new("finisher", move || Finisher {
        sibling: sibling.clone(),
        finished: false,
    });
    sub.add_and_wait(finisher).await.unwrap();
    let report = time::timeout(SOON, root.shutdown()).await;
    assert!(report.is_ok(), "waits for the whole stop timeout");
}

#[actix::test]
async fn subscription_made_after_the_end_of_the_tree_ends() {
    time::pause();
    let root = root().await;
    root.shutdown().await.unwrap();
    let mut events = root.events();
    let next = time::timeout(SOON, events.next()).await;
    assert!(matches!(next, Ok(None)), "never ends");
}

#[actix::test]
async fn late_reference_of_the_root_has_the_report() {
    time::pause();
    let (sender, receiver) = oneshot::channel();
    let root = root().await;
    let mut sender = Some(sender);
    let keeps = ServiceSpec::new("keeps", move || Keeps(sender.take()));
    root.add_and_wait(keeps).await.unwrap();
    drop(root);
    let late = receiver.await.unwrap();
    let end = time::timeout(SOON, late.join()).await;
    end.unwrap().unwrap();
    let report = time::timeout(SOON, late.shutdown()).await;
    assert!(matches!(report, Ok(Ok(_))), "{report:?}");
}
