//! What a restart keeps of a service, and what it leaves behind.
//!
//! Instead of actix's tests of its own `Supervisor`, which goes on with the same value and calls `restarting`.

use actix::prelude::*;
use futures::{StreamExt, future, stream};
use tokio::{sync::mpsc, time};

use crate::{
    kind::SubjectContext,
    support::{Act, Note, Probe, Script, ms, received, supervised},
};

#[actix::test]
async fn permanent_service_that_stops_is_started_again() {
    let mut subject = Script::new().permanent().run().await;

    subject.do_send(Act::new(|_, ctx| ctx.stop()));
    subject.do_send(Act::new(|_, ctx| ctx.stop()));
    subject.send(Note("handled by the third")).await.unwrap();

    assert_eq!(
        subject.entries.so_far(),
        [
            "stopping",
            "stopped",
            "dropped",
            "started",
            "stopping",
            "stopped",
            "dropped",
            "started",
            "handled by the third"
        ]
    );
}

#[actix::test]
async fn service_is_made_anew_and_not_started_again_as_it_was() {
    let subject = Script::new().permanent().run().await;
    subject.act(|probe, _| probe.count = 7).await;

    subject.act(|_, ctx| ctx.stop()).await;

    // actix's supervisor goes on with the same value.
    assert_eq!(subject.act(|probe, _| probe.count).await, 0);
}

#[actix::test]
async fn addresses_stay_valid_through_a_restart() {
    let subject = Script::new().permanent().run().await;
    let addr = subject.service.addr().clone();
    let weak = addr.downgrade();
    let recipient = addr.clone().recipient();

    subject.act(|_, ctx| ctx.stop()).await;

    assert_eq!(addr.send(Note("strong")).await, Ok(()));
    assert_eq!(weak.upgrade().unwrap(), addr);
    assert_eq!(recipient.send(Note("recipient")).await, Ok(()));
    assert_eq!(subject.act(|_, ctx| ctx.address()).await, addr);
}

#[actix::test]
async fn panic_is_the_end_of_one_incarnation_only() {
    let mut subject = Script::new().permanent().run().await;

    let lost = subject.try_act(|_, _| panic!("on purpose")).await;
    let next = subject.send(Note("next")).await;

    assert_eq!(lost, Err::<(), _>(MailboxError::Closed));
    assert_eq!(next, Ok(()));
    // After a panic no hook is called: the actor may be half changed.
    assert_eq!(subject.entries.so_far(), ["dropped", "started", "next"]);
}

#[actix::test]
async fn restart_drops_futures() {
    let mut subject = Script::new().permanent().run().await;

    subject
        .act(|probe, ctx| {
            let held = probe.tombstone("future dropped");
            ctx.spawn(future::pending().into_actor(probe).map(move |(), _, _| {
                let _held = held;
            }));
            ctx.stop();
        })
        .await;
    let entries = subject.entries.until("started").await;

    assert!(entries.iter().any(|entry| entry == "future dropped"));
}

#[actix::test]
async fn restart_drops_waits() {
    let subject = Script::new()
        .started(|probe, ctx| probe.note(format!("waits: {}", ctx.waiting())))
        .permanent()
        .run()
        .await;
    let mut subject = subject;
    assert_eq!(subject.entries.next().await, "waits: false");

    subject
        .act(|probe, ctx| {
            ctx.wait(future::pending().into_actor(probe));
            ctx.stop();
        })
        .await;
    subject.send(Note("next")).await.unwrap();

    assert_eq!(
        subject.entries.until("next").await,
        [
            "stopping",
            "stopped",
            "dropped",
            "started",
            "waits: false",
            "next"
        ]
    );
}

#[actix::test]
async fn restart_calls_timers_off() {
    time::pause();
    let mut subject = Script::new().permanent().run().await;

    subject
        .act(|_, ctx| {
            ctx.run_later(ms(100), |probe, _| probe.note("later"));
            ctx.run_interval(ms(100), |probe, _| probe.note("tick"));
            ctx.notify_later(Note("notified"), ms(100));
            ctx.stop();
        })
        .await;
    time::sleep(ms(1000)).await;

    assert_eq!(
        subject.entries.so_far(),
        ["stopping", "stopped", "dropped", "started"]
    );
}

#[actix::test]
async fn restart_drops_streams() {
    let subject = Script::new().permanent().run().await;
    let (tx, rx) = mpsc::unbounded_channel::<&str>();

    subject
        .act(|_, ctx| {
            ctx.add_stream(received(rx));
            ctx.stop();
        })
        .await;

    tx.closed().await;
}

#[actix::test]
async fn restart_drops_answers_that_are_not_given_yet() {
    let subject = Script::new().permanent().run().await;

    let answer = subject.send(Never);
    subject.act(|_, ctx| ctx.stop()).await;

    assert_eq!(answer.await, Err(MailboxError::Closed));
    subject.send(Note("next")).await.unwrap();
}

/// Is never answered.
#[derive(Message)]
#[rtype(result = "()")]
struct Never;

impl Handler<Never> for Probe {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, _: Never, _: &mut Self::Context) -> Self::Result {
        future::pending().into_actor(self).boxed_local()
    }
}

#[actix::test]
async fn restart_keeps_what_is_in_the_mailbox() {
    let mut subject = Script::new().permanent().run().await;

    subject.do_send(Act::new(|_, ctx| ctx.stop()));
    for note in ["a", "b", "c"] {
        subject.do_send(Note(note));
    }

    assert_eq!(subject.entries.next().await, "stopping");
    assert_eq!(
        subject.entries.until("c").await,
        ["stopped", "dropped", "started", "a", "b", "c"]
    );
}

/// Spawns, waits and cancels what the next incarnation must not see.
fn leave_behind(probe: &mut Probe, ctx: &mut SubjectContext<Probe>) {
    let spawned = future::ready(()).into_actor(probe);
    ctx.spawn(spawned.map(|(), probe, _| probe.note("polled")));
    ctx.wait(future::pending().into_actor(probe));
    ctx.cancel_future(SpawnHandle::default().next()); // the first of each incarnation
}

/// Has one timer, whose handle is the first.
fn timed() -> Script {
    let script = Script::new().started(|_, ctx| {
        ctx.run_later(ms(10), |probe, _| probe.note("later"));
    });
    script.permanent()
}

#[actix::test]
async fn nothing_begun_before_a_panic_reaches_the_next_incarnation() {
    time::pause();
    let mut subject = timed().run().await;

    let lost = subject.try_act(|probe, ctx| {
        leave_behind(probe, ctx);
        panic!("on purpose");
    });
    assert_eq!(lost.await, Err::<(), _>(MailboxError::Closed));

    assert_eq!(
        subject.entries.until("later").await,
        ["dropped", "started", "later"]
    );
}

#[actix::test]
async fn nothing_begun_in_stopped_reaches_the_next_incarnation() {
    time::pause();
    let mut subject = timed().stopped(leave_behind).run().await;

    subject.act(|_, ctx| ctx.stop()).await;

    assert_eq!(
        subject.entries.until("later").await,
        ["stopping", "stopped", "dropped", "started", "later"]
    );
}

#[actix::test]
async fn capacity_outlives_the_incarnation_that_set_it() {
    let subject = Script::new().permanent().run().await;

    subject
        .act(|_, ctx| {
            ctx.set_mailbox_capacity(1);
            ctx.stop();
        })
        .await;
    let _held = subject.hold().await;

    subject.try_send(Note("queued")).unwrap();
    subject.try_send(Note("refused")).unwrap_err();
}

#[actix::test]
async fn handles_of_one_incarnation_cancel_nothing_in_the_next() {
    let mut subject = Script::new()
        .started(|probe, ctx| {
            ctx.run_later(ms(10), |probe, _| probe.note("later"));
            let cancelled = ctx.spawn(future::pending().into_actor(probe));
            probe.handles.push(cancelled);
        })
        .permanent()
        .run()
        .await;
    time::pause();

    subject
        .act(|probe, ctx| {
            // The first one, which is given out again.
            ctx.cancel_future(probe.handles[0]);
            ctx.cancel_future(SpawnHandle::default().next());
            ctx.stop();
        })
        .await;

    assert_eq!(
        subject.entries.until("later").await,
        ["stopping", "stopped", "dropped", "started", "later"]
    );
}

#[actix::test]
async fn next_incarnation_is_running() {
    let mut subject = Script::new()
        .started(|probe, ctx| probe.note(format!("{:?}", ctx.state())))
        .permanent()
        .run()
        .await;
    assert_eq!(subject.entries.next().await, "Running");

    subject.act(|_, ctx| ctx.stop()).await;

    assert_eq!(
        subject.entries.until("Running").await,
        ["stopping", "stopped", "dropped", "started", "Running"]
    );
}

#[actix::test]
async fn end_of_a_stream_restarts_a_permanent_service() {
    let (tx, rx) = mpsc::unbounded_channel();
    let (_root, _reader) = supervised(move || Reader { seen: tx.clone() }).await;

    let seen: String = received(rx).take(4).collect().await;

    assert_eq!(seen, "abab");
}

/// Reads the same text in each incarnation.
struct Reader {
    seen: mpsc::UnboundedSender<char>,
}

impl Actor for Reader {
    type Context = SubjectContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.add_stream(stream::iter("ab".chars()));
    }
}

impl StreamHandler<char> for Reader {
    fn handle(&mut self, item: char, _: &mut Self::Context) {
        let _ = self.seen.send(item); // the test may be over
    }
}

#[actix::test]
async fn service_that_refuses_to_stop_is_not_restarted() {
    let mut subject = Script::new()
        .stopping(|_, _| Running::Continue)
        .permanent()
        .run()
        .await;

    subject.act(|_, ctx| ctx.stop()).await;
    subject.send(Note("same")).await.unwrap();

    assert_eq!(subject.entries.so_far(), ["stopping", "same"]);
}
