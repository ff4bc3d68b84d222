//! A service that waits handles nothing else until it is done.

use actix::prelude::*;
use futures::future;
use tokio::{sync::oneshot, time};

use crate::{
    kind::SubjectContext,
    support::{Act, Note, Probe, Script, Subject, idle, ms},
};

/// Waits for so many milliseconds and then writes `entry`.
fn pause(
    probe: &Probe,
    millis: u64,
    entry: &'static str,
) -> impl ActorFuture<Probe, Output = ()> + use<> {
    time::sleep(ms(millis))
        .into_actor(probe)
        .map(move |(), probe: &mut Probe, _| probe.note(entry))
}

#[actix::test]
async fn wait_holds_back_messages() {
    time::pause();
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| ctx.wait(pause(probe, 1000, "waited")))
        .await;
    subject.do_send(Note("first"));
    subject.do_send(Note("second"));
    time::sleep(ms(990)).await;

    assert_eq!(subject.entries.so_far(), [""; 0]);
    assert_eq!(
        subject.entries.until("second").await,
        ["waited", "first", "second"]
    );
}

#[actix::test]
async fn without_a_wait_messages_are_handled_at_once() {
    time::pause();
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            ctx.spawn(pause(probe, 1000, "slept"));
        })
        .await;
    subject.do_send(Note("first"));
    subject.do_send(Note("second"));

    assert_eq!(
        subject.entries.until("slept").await,
        ["first", "second", "slept"]
    );
}

#[actix::test]
async fn wait_begun_by_each_message_holds_back_the_next_one() {
    time::pause();
    let mut subject = Subject::with_defaults().await;
    for (begun, done) in [("a", "a done"), ("b", "b done"), ("c", "c done")] {
        subject.do_send(Act::new(move |probe, ctx| {
            probe.note(begun);
            ctx.wait(pause(probe, 1000, done));
        }));
    }

    time::sleep(ms(1500)).await;

    assert_eq!(subject.entries.so_far(), ["a", "a done", "b"]);
    assert_eq!(
        subject.entries.until("c done").await,
        ["b done", "c", "c done"]
    );
}

#[actix::test]
async fn wait_holds_back_notifications() {
    time::pause();
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            ctx.notify(Note("notified"));
            ctx.wait(pause(probe, 10, "waited"));
        })
        .await;

    assert_eq!(
        subject.entries.until("notified").await,
        ["waited", "notified"]
    );
}

#[actix::test]
async fn wait_holds_back_futures_that_are_ready() {
    time::pause();
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            let ready = future::ready(()).into_actor(probe);
            ctx.spawn(ready.map(|(), probe, _| probe.note("polled")));
            ctx.wait(pause(probe, 10, "waited"));
        })
        .await;

    assert_eq!(subject.entries.until("polled").await, ["waited", "polled"]);
}

#[actix::test]
async fn wait_holds_back_timers() {
    time::pause();
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            ctx.run_later(ms(10), |probe, _| probe.note("ran"));
            ctx.notify_later(Note("notified"), ms(20));
            ctx.wait(pause(probe, 1000, "waited"));
        })
        .await;
    let mut entries = subject.entries.until("waited").await;
    idle().await;
    entries.extend(subject.entries.so_far());

    assert_eq!(entries[0], "waited");
    entries.sort();
    assert_eq!(entries, ["notified", "ran", "waited"]);
}

#[actix::test]
async fn wait_in_started_holds_back_the_first_message() {
    time::pause();
    let mut subject = Script::new()
        .started(|probe, ctx| ctx.wait(pause(probe, 1000, "waited")))
        .run()
        .await;

    subject.send(Note("first")).await.unwrap();

    assert_eq!(subject.entries.so_far(), ["waited", "first"]);
}

#[actix::test]
async fn wait_that_is_ready_holds_nothing_back() {
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            let ready = future::ready(()).into_actor(probe);
            ctx.wait(ready.map(|(), probe, _| probe.note("waited")));
        })
        .await;
    subject.send(Note("next")).await.unwrap();

    assert_eq!(subject.entries.so_far(), ["waited", "next"]);
}

#[actix::test]
async fn wait_works_on_the_actor_and_its_context() {
    let subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            ctx.wait(future::ready(3).into_actor(probe).map(|n, probe, ctx| {
                probe.count += n;
                ctx.set_mailbox_capacity(5);
                assert_eq!(ctx.state(), ActorState::Running);
            }));
        })
        .await;

    assert_eq!(subject.act(|probe, _| probe.count).await, 3);
}

#[actix::test]
async fn latest_of_two_waits_is_done_first() {
    time::pause();
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            ctx.wait(pause(probe, 10, "begun first"));
            ctx.wait(pause(probe, 1000, "begun last"));
        })
        .await;
    subject.send(Note("next")).await.unwrap();

    assert_eq!(
        subject.entries.so_far(),
        ["begun last", "begun first", "next"]
    );
}

#[actix::test]
async fn wait_begun_in_a_wait_is_done_before_the_next_message() {
    time::pause();
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            let outer = time::sleep(ms(10)).into_actor(probe);
            ctx.wait(outer.map(|(), probe, ctx| {
                probe.note("outer");
                ctx.wait(pause(probe, 1000, "inner"));
            }));
        })
        .await;
    subject.send(Note("next")).await.unwrap();

    assert_eq!(subject.entries.so_far(), ["outer", "inner", "next"]);
}

#[actix::test]
async fn wait_begun_in_the_middle_of_a_wait_begins_when_that_is_done() {
    time::pause();
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            let outer = time::sleep(ms(10)).into_actor(probe);
            ctx.wait(
                outer
                    .map(|(), probe, ctx: &mut SubjectContext<Probe>| {
                        ctx.wait(pause(probe, 1, "inner"));
                    })
                    .then(|(), probe, _| pause(probe, 1000, "outer")),
            );
        })
        .await;
    subject.send(Note("next")).await.unwrap();

    assert_eq!(subject.entries.so_far(), ["outer", "inner", "next"]);
}

#[actix::test]
async fn future_begins_a_wait() {
    time::pause();
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            let spawned = future::ready(()).into_actor(probe);
            ctx.spawn(spawned.map(|(), probe, ctx| {
                probe.note("spawned");
                ctx.wait(pause(probe, 1000, "waited"));
            }));
        })
        .await;
    assert_eq!(subject.entries.next().await, "spawned");
    subject.send(Note("next")).await.unwrap();

    assert_eq!(subject.entries.so_far(), ["waited", "next"]);
}

#[actix::test]
async fn wait_begun_by_a_future_holds_back_the_others() {
    time::pause();
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            let first = future::ready(()).into_actor(probe);
            ctx.spawn(first.map(|(), probe, ctx| ctx.wait(pause(probe, 1000, "waited"))));
            let second = future::ready(()).into_actor(probe);
            ctx.spawn(second.map(|(), probe, _| probe.note("polled")));
        })
        .await;

    assert_eq!(subject.entries.until("polled").await, ["waited", "polled"]);
}

#[actix::test]
async fn future_that_keeps_waiting_does_not_starve_the_others() {
    time::pause();
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|_, ctx| {
            ctx.run_interval(ms(10), |probe, ctx| ctx.wait(pause(probe, 20, "waited")));
            ctx.run_later(ms(15), |probe, _| probe.note("ran"));
        })
        .await;
    let before = subject.entries.until("ran").await;

    assert!(before.len() < 5, "{before:?}");
}

#[actix::test]
async fn waiting_tells_whether_the_service_waits_or_stops() {
    let subject = Subject::with_defaults().await;

    let waiting = subject
        .act(|probe, ctx| {
            let before = ctx.waiting();
            ctx.wait(future::ready(()).into_actor(probe));
            [before, ctx.waiting()]
        })
        .await;
    let after = subject
        .act(|_, ctx| {
            let before = ctx.waiting();
            ctx.stop();
            [before, ctx.waiting()]
        })
        .await;

    assert_eq!(waiting, [false, true]);
    assert_eq!(after, [false, true]);
}

#[actix::test]
async fn stop_begun_with_a_wait_does_not_wait() {
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            ctx.wait(future::pending().into_actor(probe));
            ctx.stop();
        })
        .await;

    assert_eq!(
        subject.entries.until("dropped").await,
        ["stopping", "stopped", "dropped"]
    );
}

#[actix::test]
async fn wait_is_not_polled_after_a_stop() {
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            let ready = future::ready(()).into_actor(probe);
            ctx.wait(ready.map(|(), probe, _| probe.note("waited")));
            ctx.stop();
        })
        .await;

    assert_eq!(
        subject.entries.until("dropped").await,
        ["stopping", "stopped", "dropped"]
    );
}

#[actix::test]
async fn wait_that_stops_the_service_is_over() {
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            let stop = future::ready(()).into_actor(probe);
            ctx.wait(
                stop.map(|(), _, ctx: &mut SubjectContext<Probe>| ctx.stop())
                    .then(|(), probe, _| future::pending().into_actor(probe)),
            );
        })
        .await;

    assert_eq!(
        subject.entries.until("dropped").await,
        ["stopping", "stopped", "dropped"]
    );
}

#[actix::test]
async fn wait_that_terminates_the_service_is_over() {
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            let stop = future::ready(()).into_actor(probe);
            ctx.wait(
                stop.map(|(), _, ctx: &mut SubjectContext<Probe>| ctx.terminate())
                    .then(|(), probe, _| future::pending().into_actor(probe)),
            );
        })
        .await;

    assert_eq!(
        subject.entries.until("dropped").await,
        ["stopped", "dropped"]
    );
}

#[actix::test]
async fn wait_is_dropped_with_the_service() {
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            let held = probe.tombstone("wait dropped");
            ctx.wait(future::pending().into_actor(probe).map(move |(), _, _| {
                let _held = held;
            }));
            ctx.stop();
        })
        .await;

    subject.entries.until("wait dropped").await;
}

#[actix::test]
async fn future_cancelled_in_a_wait_goes_no_further() {
    time::pause();
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            let handle = ctx.run_later(ms(20), |probe, _| probe.note("ran"));
            let wait = time::sleep(ms(10)).into_actor(probe);
            ctx.wait(wait.map(move |(), _, ctx: &mut SubjectContext<Probe>| {
                ctx.cancel_future(handle);
            }));
        })
        .await;
    time::sleep(ms(100)).await;

    assert_eq!(subject.entries.so_far(), [""; 0]);
}

#[actix::test]
async fn wait_is_woken_from_another_thread() {
    let mut subject = Subject::with_defaults().await;
    let (tx, rx) = oneshot::channel();

    subject
        .act(|probe, ctx| {
            rx.into_actor(probe)
                .map(|arrived: Result<&str, _>, probe, _| probe.note(arrived.unwrap()))
                .wait(ctx);
        })
        .await;
    std::thread::spawn(|| tx.send("arrived").unwrap());

    assert_eq!(subject.entries.next().await, "arrived");
}
