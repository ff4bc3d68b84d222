//! Hooks, states and ends of one life of a service.

use actix::prelude::*;
use futures::future;
use tokio::{
    sync::{mpsc, oneshot},
    time,
};

use crate::{
    kind::SubjectContext,
    support::{Act, Note, Script, Subject, idle, ms, supervised_once},
};

#[actix::test]
async fn started_is_called_once_before_the_first_message() {
    let subject = Script::new()
        .started(|probe, _| probe.count += 1)
        .run()
        .await;

    assert_eq!(subject.act(|probe, _| probe.count).await, 1);
    assert_eq!(subject.act(|probe, _| probe.count).await, 1);
}

#[actix::test]
async fn idle_service_goes_on() {
    time::pause();
    let mut subject = Subject::with_defaults().await;

    time::sleep(ms(50_000)).await;

    assert_eq!(subject.entries.so_far(), [""; 0]);
    assert!(subject.connected());
}

#[actix::test]
async fn stop_calls_the_hooks_in_order() {
    let mut subject = Subject::with_defaults().await;

    subject.act(|_, ctx| ctx.stop()).await;

    assert_eq!(
        subject.entries.until("dropped").await,
        ["stopping", "stopped", "dropped"]
    );
}

#[actix::test]
async fn message_that_stops_the_service_is_answered() {
    let subject = Subject::with_defaults().await;

    let answer = subject
        .try_act(|_, ctx| {
            ctx.stop();
            "answered"
        })
        .await;

    assert_eq!(answer, Ok("answered"));
    subject.ended().await;
}

#[actix::test]
async fn messages_behind_a_stop_are_not_handled() {
    let mut subject = Subject::with_defaults().await;

    subject.do_send(Act::new(|_, ctx| ctx.stop()));
    let behind = subject.send(Note("behind")).await;

    assert_eq!(behind, Err(MailboxError::Closed));
    assert_eq!(subject.entries.so_far(), ["stopping", "stopped", "dropped"]);
}

#[actix::test]
async fn messages_behind_a_stop_are_dropped() {
    let mut subject = Subject::with_defaults().await;
    let (tx, rx) = oneshot::channel::<()>();

    subject.do_send(Act::new(|_, ctx| ctx.stop()));
    subject.do_send(Act::new(move |_, _| drop(tx)));

    assert!(rx.await.is_err());
    subject.ended().await;
    assert_eq!(subject.entries.so_far(), ["stopping", "stopped", "dropped"]);
}

#[actix::test]
async fn stop_in_started_comes_before_the_first_message() {
    let mut subject = Script::new().started(|_, ctx| ctx.stop()).run().await;

    let answer = subject.send(Note("never")).await;

    assert_eq!(answer, Err(MailboxError::Closed));
    assert_eq!(
        subject.entries.until("dropped").await,
        ["stopping", "stopped", "dropped"]
    );
}

#[actix::test]
async fn second_stop_changes_nothing() {
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|_, ctx| {
            ctx.stop();
            ctx.stop();
        })
        .await;

    assert_eq!(
        subject.entries.until("dropped").await,
        ["stopping", "stopped", "dropped"]
    );
}

#[actix::test]
async fn stopped_is_called_before_anything_of_the_actor_is_dropped() {
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            let held = probe.tombstone("future dropped");
            ctx.spawn(future::pending().into_actor(probe).map(move |(), _, _| {
                let _held = held;
            }));
            ctx.stop();
        })
        .await;

    assert_eq!(subject.entries.next().await, "stopping");
    assert_eq!(subject.entries.next().await, "stopped");
    let mut dropped = [subject.entries.next().await, subject.entries.next().await];
    dropped.sort();
    assert_eq!(dropped, ["dropped", "future dropped"]);
}

#[actix::test]
async fn terminate_calls_stopped_but_not_stopping() {
    let mut subject = Subject::with_defaults().await;

    subject.act(|_, ctx| ctx.terminate()).await;

    assert_eq!(
        subject.entries.until("dropped").await,
        ["stopped", "dropped"]
    );
    subject.ended().await;
}

#[actix::test]
async fn terminate_in_started_ends_the_service() {
    let mut subject = Script::new().started(|_, ctx| ctx.terminate()).run().await;

    subject.ended().await;

    assert_eq!(subject.entries.so_far(), ["stopped", "dropped"]);
}

#[actix::test]
async fn terminate_overrides_a_stop() {
    let mut subject = Script::new().stopping(|_, _| Running::Continue).run().await;

    subject
        .act(|_, ctx| {
            ctx.stop();
            ctx.terminate();
        })
        .await;

    assert_eq!(
        subject.entries.until("dropped").await,
        ["stopped", "dropped"]
    );
}

#[actix::test]
async fn stop_does_not_undo_a_terminate() {
    let subject = Subject::with_defaults().await;

    let state = subject
        .act(|_, ctx| {
            ctx.terminate();
            ctx.stop();
            ctx.state()
        })
        .await;

    assert_eq!(state, ActorState::Stopped);
}

#[actix::test]
async fn service_terminates_itself_while_it_is_stopping() {
    let script = Script::new().stopping(|_, ctx| {
        ctx.terminate();
        Running::Stop
    });
    let mut subject = script.run().await;

    subject.act(|_, ctx| ctx.stop()).await;

    assert_eq!(
        subject.entries.until("dropped").await,
        ["stopping", "stopped", "dropped"]
    );
}

#[actix::test]
async fn each_hook_sees_its_state() {
    let mut subject = Script::new()
        .started(|probe, ctx| probe.note(format!("{:?}", ctx.state())))
        .stopping(|probe, ctx| {
            probe.note(format!("{:?}", ctx.state()));
            Running::Stop
        })
        .stopped(|probe, ctx| probe.note(format!("{:?}", ctx.state())))
        .run()
        .await;

    subject.act(|_, ctx| ctx.stop()).await;

    assert_eq!(
        subject.entries.until("dropped").await,
        [
            "Running", "stopping", "Stopping", "stopped", "Stopped", "dropped"
        ]
    );
}

#[actix::test]
async fn handler_sees_what_it_does_to_the_state() {
    let subject = Subject::with_defaults().await;

    let states = subject
        .act(|_, ctx| {
            let running = ctx.state();
            ctx.stop();
            let stopping = ctx.state();
            ctx.terminate();
            [running, stopping, ctx.state()]
        })
        .await;

    assert_eq!(
        states,
        [
            ActorState::Running,
            ActorState::Stopping,
            ActorState::Stopped
        ]
    );
}

#[actix::test]
async fn futures_are_not_polled_after_a_stop() {
    time::pause();
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            let polled = future::ready(()).into_actor(probe);
            ctx.spawn(polled.map(|(), probe, _| probe.note("polled")));
            ctx.notify(Note("notified"));
            ctx.run_later(ms(1), |probe, _| probe.note("ran"));
            ctx.stop();
        })
        .await;
    idle().await;

    assert_eq!(subject.entries.so_far(), ["stopping", "stopped", "dropped"]);
}

#[actix::test]
async fn future_stops_the_service() {
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            tokio::task::yield_now()
                .into_actor(probe)
                .map(|(), _, ctx: &mut SubjectContext<_>| ctx.stop())
                .spawn(ctx);
        })
        .await;

    assert_eq!(
        subject.entries.until("dropped").await,
        ["stopping", "stopped", "dropped"]
    );
}

#[actix::test]
async fn future_that_stops_the_service_is_the_last_one_polled() {
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            let stop = future::ready(()).into_actor(probe);
            ctx.spawn(stop.map(|(), _, ctx: &mut SubjectContext<_>| ctx.stop()));
            let never = future::ready(()).into_actor(probe);
            ctx.spawn(never.map(|(), probe, _| probe.note("polled")));
        })
        .await;

    assert_eq!(
        subject.entries.until("dropped").await,
        ["stopping", "stopped", "dropped"]
    );
}

#[actix::test]
async fn what_is_spawned_in_stopped_is_never_polled() {
    time::pause();
    let mut subject = Script::new()
        .stopped(|probe, ctx| {
            let polled = future::ready(()).into_actor(probe);
            ctx.spawn(polled.map(|(), probe, _| probe.note("polled")));
        })
        .run()
        .await;

    subject.act(|_, ctx| ctx.stop()).await;
    idle().await;

    assert_eq!(subject.entries.so_far(), ["stopping", "stopped", "dropped"]);
}

#[actix::test]
async fn what_is_scheduled_in_stopped_is_refused() {
    time::pause();
    let mut subject = Script::new()
        .stopped(|probe, ctx| {
            ctx.notify(Note("notified"));
            assert_eq!(
                ctx.notify_later(Note("later"), ms(1)),
                SpawnHandle::default()
            );
            let stream = futures::stream::iter(["item"]);
            assert_eq!(ctx.add_stream(stream), SpawnHandle::default());
            ctx.add_message_stream(futures::stream::iter([Note("streamed")]));
            probe.note("refused");
        })
        .run()
        .await;

    subject.act(|_, ctx| ctx.stop()).await;
    idle().await;

    assert_eq!(
        subject.entries.so_far(),
        ["stopping", "stopped", "refused", "dropped"]
    );
}

#[actix::test]
async fn stopped_may_send_messages() {
    let mut other = Subject::with_defaults().await;
    let addr = other.service.addr().clone();
    let subject = Script::new()
        .stopped(move |_, _| addr.do_send(Note("farewell")))
        .run()
        .await;

    subject.act(|_, ctx| ctx.stop()).await;

    assert_eq!(other.entries.next().await, "farewell");
}

#[actix::test]
async fn stopped_may_start_an_actor() {
    let (tx, mut rx) = mpsc::unbounded_channel();
    let subject = Script::new()
        .stopped(move |_, _| {
            Successor(tx.clone()).start();
        })
        .run()
        .await;

    subject.act(|_, ctx| ctx.stop()).await;

    assert_eq!(rx.recv().await, Some("started"));
}

/// An actor of plain actix.
struct Successor(mpsc::UnboundedSender<&'static str>);

impl Actor for Successor {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        self.0.send("started").unwrap();
    }
}

/// Has no hooks of its own.
#[derive(Debug)]
struct Plain;

impl Actor for Plain {
    type Context = SubjectContext<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
struct Stop;

impl Handler<Stop> for Plain {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

#[actix::test]
async fn hooks_are_optional() {
    let (_root, plain) = supervised_once(|| Plain).await;

    assert_eq!(plain.send(Stop).await, Ok(()));
    assert_eq!(plain.send(Stop).await, Err(MailboxError::Closed));
}
