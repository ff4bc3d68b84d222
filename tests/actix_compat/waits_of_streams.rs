//! A service that waits in the middle of a stream.

use actix::prelude::*;
use futures::stream;
use tokio::{sync::mpsc, time};

use crate::support::{Note, Probe, Subject, idle, ms, received};

/// Waits for a second and then says so.
fn pause(probe: &Probe) -> impl ActorFuture<Probe, Output = ()> + use<> {
    time::sleep(ms(1000))
        .into_actor(probe)
        .map(|(), probe: &mut Probe, _| probe.note("waited"))
}

/// Writes each item and then waits for a second.
struct Slow(&'static str);

impl StreamHandler<Slow> for Probe {
    fn handle(&mut self, item: Slow, ctx: &mut Self::Context) {
        self.note(item.0);
        ctx.wait(pause(self));
    }

    fn finished(&mut self, _: &mut Self::Context) {
        self.note("finished");
    }
}

#[actix::test]
async fn wait_begun_by_an_item_holds_back_the_rest_of_its_stream() {
    time::pause();
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|_, ctx| {
            ctx.add_stream(stream::iter([Slow("a"), Slow("b")]));
        })
        .await;
    assert_eq!(subject.entries.next().await, "a");
    time::sleep(ms(990)).await;

    assert_eq!(subject.entries.so_far(), [""; 0]);
    assert_eq!(
        subject.entries.until("finished").await,
        ["waited", "b", "waited", "finished"]
    );
}

#[actix::test]
async fn message_waits_while_an_item_of_a_stream_does() {
    time::pause();
    let mut subject = Subject::with_defaults().await;
    let (tx, rx) = mpsc::unbounded_channel();
    subject
        .act(|_, ctx| {
            ctx.add_stream(received(rx));
        })
        .await;

    tx.send(Slow("item")).ok().unwrap();
    assert_eq!(subject.entries.next().await, "item");
    subject.send(Note("message")).await.unwrap();

    assert_eq!(subject.entries.so_far(), ["waited", "message"]);
}

#[actix::test]
async fn stream_waits_while_a_message_does() {
    time::pause();
    let mut subject = Subject::with_defaults().await;
    let (tx, rx) = mpsc::unbounded_channel();
    subject
        .act(|_, ctx| {
            ctx.add_stream(received(rx));
        })
        .await;

    let held = subject.hold().await;
    tx.send(Slow("item")).ok().unwrap();
    idle().await;
    assert_eq!(subject.entries.so_far(), [""; 0]);
    drop(held);

    assert_eq!(subject.entries.next().await, "item");
}

/// Is written down, and then waited on for a second.
#[derive(Message)]
#[rtype(result = "()")]
struct Patient(&'static str);

impl Handler<Patient> for Probe {
    type Result = ();

    fn handle(&mut self, msg: Patient, ctx: &mut Self::Context) {
        self.note(msg.0);
        pause(self).wait(ctx);
    }
}

#[actix::test]
async fn wait_begun_by_a_message_of_a_stream_holds_back_the_rest() {
    time::pause();
    let mut subject = Subject::with_defaults().await;
    let (tx, rx) = mpsc::unbounded_channel();
    for item in ["a", "b"] {
        tx.send(Patient(item)).ok().unwrap();
    }

    subject
        .act(|_, ctx| ctx.add_message_stream(received(rx)))
        .await;
    assert_eq!(subject.entries.next().await, "a");
    time::sleep(ms(990)).await;

    assert_eq!(subject.entries.so_far(), [""; 0]);
    assert_eq!(subject.entries.next().await, "waited");
    assert_eq!(subject.entries.next().await, "b");
}
