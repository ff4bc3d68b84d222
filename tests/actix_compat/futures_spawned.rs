//! Futures and notifications that a service spawns into its context, and how they are called off.

use actix::prelude::*;
use futures::future;
use tokio::{sync::oneshot, task, time};

use crate::{
    kind::SubjectContext,
    support::{Note, Probe, Script, Subject, Tombstone, idle, ms},
};

/// A future that is never done, and says when it is dropped.
fn endless(probe: &Probe, entry: &'static str) -> impl ActorFuture<Probe, Output = ()> + use<> {
    held(probe.tombstone(entry)).into_actor(probe)
}

async fn held(_tombstone: Tombstone) {
    future::pending::<()>().await;
}

#[actix::test]
async fn future_runs_inside_the_actor() {
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            let sum = async { 1 + 2 }.into_actor(probe);
            ctx.spawn(sum.map(|sum, probe, _| {
                probe.count = sum;
                probe.note("done");
            }));
        })
        .await;

    assert_eq!(subject.entries.next().await, "done");
    assert_eq!(subject.act(|probe, _| probe.count).await, 3);
}

#[actix::test]
async fn futures_run_side_by_side() {
    time::pause();
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            for (millis, entry) in [(30, "c"), (10, "a"), (20, "b")] {
                time::sleep(ms(millis))
                    .into_actor(probe)
                    .map(move |(), probe: &mut Probe, _| probe.note(entry))
                    .spawn(ctx);
            }
        })
        .await;

    assert_eq!(subject.entries.until("c").await, ["a", "b", "c"]);
}

#[actix::test]
async fn future_is_woken_from_outside() {
    let mut subject = Subject::with_defaults().await;
    let (tx, rx) = oneshot::channel();

    subject
        .act(|probe, ctx| {
            rx.into_actor(probe)
                .map(|arrived: Result<&str, _>, probe, _| probe.note(arrived.unwrap()))
                .spawn(ctx);
        })
        .await;
    subject.act(|_, _| ()).await;
    tx.send("arrived").unwrap();

    assert_eq!(subject.entries.next().await, "arrived");
}

#[actix::test]
async fn future_spawns_futures_and_notifications() {
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            let outer = task::yield_now().into_actor(probe);
            ctx.spawn(outer.map(|(), probe, ctx| {
                let inner = task::yield_now().into_actor(probe);
                ctx.spawn(inner.map(|(), _, ctx| ctx.notify(Note("notified"))));
            }));
        })
        .await;

    assert_eq!(subject.entries.next().await, "notified");
}

#[actix::test]
async fn future_sends_to_its_own_service() {
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            let yielded = task::yield_now().into_actor(probe);
            ctx.spawn(yielded.map(|(), _, ctx| ctx.address().do_send(Note("sent"))));
        })
        .await;

    assert_eq!(subject.entries.next().await, "sent");
}

#[actix::test]
async fn future_spawned_in_started_runs() {
    let mut subject = Script::new()
        .started(|probe, ctx| {
            let ready = future::ready(()).into_actor(probe);
            ctx.spawn(ready.map(|(), probe, _| probe.note("ran")));
        })
        .run()
        .await;

    assert_eq!(subject.entries.next().await, "ran");
}

#[actix::test]
async fn future_is_dropped_with_the_service() {
    let mut subject = Subject::with_defaults().await;
    subject
        .act(|probe, ctx| {
            ctx.spawn(endless(probe, "future dropped"));
        })
        .await;
    subject.act(|_, _| ()).await;
    assert_eq!(subject.entries.so_far(), [""; 0]);

    subject.act(|_, ctx| ctx.stop()).await;

    subject.entries.until("future dropped").await;
}

#[actix::test]
async fn notification_is_handled_as_a_message() {
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|_, ctx| {
            ctx.notify(Note("a"));
            ctx.notify(Note("b"));
        })
        .await;

    assert_eq!(subject.entries.until("b").await, ["a", "b"]);
}

#[actix::test]
async fn notification_from_started_is_handled() {
    let mut subject = Script::new()
        .started(|_, ctx| ctx.notify(Note("notified")))
        .run()
        .await;

    assert_eq!(subject.entries.next().await, "notified");
}

#[actix::test]
async fn notifications_are_not_bounded_by_the_mailbox() {
    time::pause();
    let mut subject = Script::new()
        .started(|_, ctx| ctx.set_mailbox_capacity(1))
        .run()
        .await;

    subject
        .act(|_, ctx| {
            for _ in 0..1000 {
                ctx.notify(Note("notified"));
            }
        })
        .await;
    idle().await;

    assert_eq!(subject.entries.so_far().len(), 1000);
}

#[actix::test]
async fn notification_may_be_answered_asynchronously() {
    let mut subject = Subject::with_defaults().await;

    subject.act(|_, ctx| ctx.notify(NoteLater("later"))).await;

    assert_eq!(subject.entries.next().await, "later");
}

/// Is written down by a future.
#[derive(Message)]
#[rtype(result = "()")]
struct NoteLater(&'static str);

impl Handler<NoteLater> for Probe {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, msg: NoteLater, _: &mut Self::Context) -> Self::Result {
        task::yield_now()
            .into_actor(self)
            .map(move |(), probe, _| probe.note(msg.0))
            .boxed_local()
    }
}

#[actix::test]
async fn future_that_is_cancelled_is_dropped() {
    let mut subject = Subject::with_defaults().await;
    let handle = subject
        .act(|probe, ctx| ctx.spawn(endless(probe, "future dropped")))
        .await;
    subject.act(|_, _| ()).await;
    assert_eq!(subject.entries.so_far(), [""; 0]);

    subject
        .act(move |_, ctx| assert!(ctx.cancel_future(handle)))
        .await;

    assert_eq!(subject.entries.next().await, "future dropped");
    assert!(subject.connected());
}

#[actix::test]
async fn future_that_is_cancelled_in_started_is_never_polled() {
    time::pause();
    let mut subject = Script::new()
        .started(|probe, ctx| {
            let ready = future::ready(()).into_actor(probe);
            let handle = ctx.spawn(ready.map(|(), probe, _| probe.note("polled")));
            ctx.cancel_future(handle);
        })
        .run()
        .await;

    idle().await;

    assert_eq!(subject.entries.so_far(), [""; 0]);
}

#[actix::test]
async fn future_cancels_itself() {
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            let held = probe.tombstone("future dropped");
            future::ready(())
                .into_actor(probe)
                .map(|(), _, ctx: &mut SubjectContext<Probe>| {
                    let handle = ctx.handle();
                    assert!(ctx.cancel_future(handle));
                })
                .then(move |(), probe, _| held_after(held).into_actor(probe))
                .map(|(), probe, _| probe.note("went on"))
                .spawn(ctx);
        })
        .await;

    assert_eq!(subject.entries.next().await, "future dropped");
    assert!(subject.connected());
}

async fn held_after(_tombstone: Tombstone) {
    task::yield_now().await;
}

#[actix::test]
async fn future_cancels_another_one() {
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            let other = ctx.spawn(endless(probe, "other dropped"));
            let cancel = task::yield_now().into_actor(probe);
            ctx.spawn(cancel.map(move |(), _, ctx: &mut SubjectContext<Probe>| {
                ctx.cancel_future(other);
            }));
        })
        .await;

    assert_eq!(subject.entries.next().await, "other dropped");
    assert!(subject.connected());
}

#[actix::test]
async fn future_cancelled_by_the_one_before_it_is_not_polled() {
    time::pause();
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            future::ready(())
                .into_actor(probe)
                .map(|(), probe: &mut Probe, ctx: &mut SubjectContext<Probe>| {
                    ctx.cancel_future(probe.handles[0]);
                })
                .then(|(), probe, _| future::pending().into_actor(probe))
                .spawn(ctx);
            let other = future::ready(()).into_actor(probe);
            let handle = ctx.spawn(other.map(|(), probe, _| probe.note("polled")));
            probe.handles.push(handle);
        })
        .await;
    idle().await;

    assert_eq!(subject.entries.so_far(), [""; 0]);
}

#[actix::test]
async fn future_is_cancelled_while_others_go_on() {
    time::pause();
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            ctx.run_later(ms(10), |probe, _| probe.note("before"));
            let handle = ctx.spawn(endless(probe, "dropped in the middle"));
            ctx.run_later(ms(20), |probe, _| probe.note("behind"));
            ctx.cancel_future(handle);
        })
        .await;

    assert_eq!(
        subject.entries.until("behind").await,
        ["dropped in the middle", "before", "behind"]
    );
}

#[actix::test]
async fn future_that_is_done_can_be_cancelled() {
    time::pause();
    let mut subject = Script::new()
        .started(|probe, ctx| {
            let done = future::ready(()).into_actor(probe);
            let handle = ctx.spawn(done);
            probe.handles.push(handle);
        })
        .run()
        .await;
    idle().await;

    // Nothing else is spawned: actix 0.11 went round in circles here, and never got to the next message.
    subject
        .act(|probe, ctx| assert!(ctx.cancel_future(probe.handles[0])))
        .await;
    subject.send(Note("next")).await.unwrap();

    assert_eq!(subject.entries.so_far(), ["next"]);
}

#[actix::test]
async fn handle_that_was_never_given_can_be_cancelled() {
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            ctx.spawn(endless(probe, "future dropped"));
            ctx.cancel_future(SpawnHandle::default());
        })
        .await;
    subject.act(|_, _| ()).await;

    assert_eq!(subject.entries.so_far(), [""; 0]);
}

#[actix::test]
async fn handle_is_cancelled_twice() {
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            let handle = ctx.spawn(endless(probe, "future dropped"));
            ctx.spawn(endless(probe, "other dropped"));
            assert!(ctx.cancel_future(handle));
            assert!(ctx.cancel_future(handle));
        })
        .await;
    subject.act(|_, _| ()).await;

    assert_eq!(subject.entries.so_far(), ["future dropped"]);
}

#[actix::test]
async fn handles_differ() {
    let subject = Subject::with_defaults().await;

    let mut handles = subject
        .act(|probe, ctx| {
            [
                ctx.spawn(future::ready(()).into_actor(probe)),
                ctx.spawn(future::pending().into_actor(probe)),
                ctx.notify_later(Note("later"), ms(60_000)),
                ctx.run_later(ms(60_000), |_, _| ()),
                ctx.run_interval(ms(60_000), |_, _| ()),
            ]
            .map(SpawnHandle::into_usize)
        })
        .await
        .to_vec();
    handles.push(SpawnHandle::default().into_usize());

    handles.sort_unstable();
    handles.dedup();
    assert_eq!(handles.len(), 6);
}

#[actix::test]
async fn future_knows_its_own_handle() {
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            for _ in 0..2 {
                let ready = task::yield_now().into_actor(probe);
                let handle = ctx.spawn(ready.map(|(), probe: &mut Probe, ctx| {
                    assert!(probe.handles.contains(&ctx.handle()));
                    probe.handles.retain(|handle| *handle != ctx.handle());
                    if probe.handles.is_empty() {
                        probe.note("both seen");
                    }
                }));
                probe.handles.push(handle);
            }
        })
        .await;

    assert_eq!(subject.entries.next().await, "both seen");
}
