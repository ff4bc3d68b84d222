//! What only a service's own context keeps to: how it treats futures, and hooks.
//!
//! An existing actor in an `actix::Context` keeps the ways of that context here, which the comments name.

use actix::prelude::*;
use futures::future;
use tokio::time;

use crate::{
    kind::SubjectContext,
    support::{Note, Probe, Script, Subject, idle, ms},
};

#[actix::test]
async fn notifications_are_handled_in_the_order_in_which_they_were_given() {
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|_, ctx| ["a", "b", "c", "d"].map(|note| ctx.notify(Note(note))))
        .await;

    // A plain actor handles the last one second.
    assert_eq!(subject.entries.until("d").await, ["a", "b", "c", "d"]);
}

#[actix::test]
async fn service_that_terminates_itself_cannot_refuse_to_stop() {
    let script = Script::new().stopping(|_, ctx| {
        ctx.terminate();
        Running::Continue
    });
    let mut subject = script.run().await;

    subject.act(|_, ctx| ctx.stop()).await;

    // A plain actor is asked twice, and ends when it is woken the next time.
    assert_eq!(
        subject.entries.until("dropped").await,
        ["stopping", "stopped", "dropped"]
    );
}

#[actix::test]
async fn future_cancelled_in_a_wait_is_never_polled() {
    time::pause();
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            let handle = ctx.run_later(ms(1), |probe, _| probe.note("ran"));
            let wait = time::sleep(ms(10)).into_actor(probe);
            ctx.wait(wait.map(move |(), _, ctx: &mut SubjectContext<Probe>| {
                ctx.cancel_future(handle);
            }));
        })
        .await;
    time::sleep(ms(100)).await;

    // A plain actor polls it once more, and this one is due by then.
    assert_eq!(subject.entries.so_far(), [""; 0]);
}

#[actix::test]
async fn message_has_no_handle() {
    let subject = Subject::with_defaults().await;
    subject
        .act(|probe, ctx| {
            ctx.spawn(future::pending().into_actor(probe));
        })
        .await;

    let handle = subject.act(|_, ctx| ctx.handle()).await;

    assert_eq!(handle, SpawnHandle::default());
}

#[actix::test]
async fn interval_makes_up_for_the_ticks_of_a_wait() {
    time::pause();
    let subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            ctx.run_interval(ms(100), |probe, _| probe.count += 1);
            ctx.wait(time::sleep(ms(1050)).into_actor(probe).map(|(), _, _| ()));
        })
        .await;
    let during = subject.act(|probe, _| probe.count); // behind the wait, and before the interval
    assert_eq!(during.await, 0);
    idle().await;

    assert_eq!(subject.act(|probe, _| probe.count).await, 10);
}
