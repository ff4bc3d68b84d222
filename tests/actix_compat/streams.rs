//! Streams of items and streams of messages.

use actix::prelude::*;
use futures::{StreamExt, stream};
use tokio::{
    sync::{mpsc, oneshot},
    task, time,
};

use crate::{
    kind::SubjectContext,
    support::{Note, Probe, Script, Subject, Tombstone, idle, ms, received, supervised_once},
};

impl StreamHandler<&'static str> for Probe {
    fn handle(&mut self, item: &'static str, _: &mut Self::Context) {
        self.note(item);
    }

    fn started(&mut self, _: &mut Self::Context) {
        self.note("stream started");
    }

    fn finished(&mut self, _: &mut Self::Context) {
        self.note("stream finished");
    }
}

#[actix::test]
async fn items_are_handled_in_order() {
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|_, ctx| {
            ctx.add_stream(stream::iter(["a", "b", "c"]));
        })
        .await;

    assert_eq!(
        subject.entries.until("stream finished").await,
        ["stream started", "a", "b", "c", "stream finished"]
    );
}

#[actix::test]
async fn empty_stream_starts_and_finishes() {
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|_, ctx| {
            ctx.add_stream(stream::empty::<&str>());
        })
        .await;

    assert_eq!(
        subject.entries.until("stream finished").await,
        ["stream started", "stream finished"]
    );
}

#[actix::test]
async fn stream_added_in_started_is_handled() {
    let mut subject = Script::new()
        .started(|_, ctx| {
            <Probe as StreamHandler<&str>>::add_stream(stream::iter(["item"]), ctx);
        })
        .run()
        .await;

    assert_eq!(
        subject.entries.until("stream finished").await,
        ["stream started", "item", "stream finished"]
    );
}

#[actix::test]
async fn items_arrive_when_they_are_there() {
    let mut subject = Subject::with_defaults().await;
    let (tx, rx) = mpsc::unbounded_channel();
    subject
        .act(|_, ctx| {
            ctx.add_stream(received(rx));
        })
        .await;
    assert_eq!(subject.entries.next().await, "stream started");

    for item in ["a", "b"] {
        tx.send(item).unwrap();
        assert_eq!(subject.entries.next().await, item);
    }
    drop(tx);

    assert_eq!(subject.entries.next().await, "stream finished");
}

#[actix::test]
async fn streams_of_different_items_stand_side_by_side() {
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|_, ctx| {
            ctx.add_stream(stream::iter(["item"]));
            ctx.add_stream(stream::iter([Ok("fine"), Err("broken")]));
        })
        .await;
    let mut entries = subject.entries.until("results finished").await;
    entries.sort();

    assert_eq!(
        entries,
        [
            "broken",
            "fine",
            "item",
            "results finished",
            "stream finished",
            "stream started"
        ]
    );
}

impl StreamHandler<Result<&'static str, &'static str>> for Probe {
    fn handle(&mut self, item: Result<&'static str, &'static str>, _: &mut Self::Context) {
        let (Ok(word) | Err(word)) = item;
        self.note(word);
    }

    fn finished(&mut self, _: &mut Self::Context) {
        self.note("results finished");
    }
}

#[actix::test]
async fn stream_that_never_ends_lets_messages_in() {
    let subject = Subject::with_defaults().await;
    subject
        .act(|_, ctx| {
            ctx.add_stream(stream::repeat(1_u64));
        })
        .await;

    while subject.act(|probe, _| probe.count).await == 0 {}
    subject.act(|_, ctx| ctx.stop()).await;

    subject.ended().await;
}

#[actix::test]
async fn stream_that_never_ends_does_not_finish_when_the_service_does() {
    let mut subject = Subject::with_defaults().await;
    subject
        .act(|_, ctx| {
            ctx.add_stream(stream::repeat(1_u64));
        })
        .await;

    subject.act(|_, ctx| ctx.stop()).await;

    assert_eq!(
        subject.entries.until("dropped").await,
        ["stopping", "stopped", "dropped"]
    );
}

#[actix::test]
async fn stream_that_never_ends_lets_other_futures_in() {
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|probe, ctx| {
            ctx.add_stream(stream::repeat(1_u64));
            let other = task::yield_now().into_actor(probe);
            ctx.spawn(other.map(|(), probe, _| probe.note("other")));
        })
        .await;

    assert_eq!(subject.entries.next().await, "other");
}

#[actix::test]
async fn stream_that_never_ends_lets_other_tasks_in() {
    let subject = Subject::with_defaults().await;
    subject
        .act(|_, ctx| {
            ctx.add_stream(stream::repeat(1_u64));
        })
        .await;

    actix::spawn(task::yield_now()).await.unwrap();
}

impl StreamHandler<u64> for Probe {
    fn handle(&mut self, item: u64, _: &mut Self::Context) {
        self.count += item;
    }

    fn finished(&mut self, _: &mut Self::Context) {
        self.note("numbers finished");
    }
}

/// Does with the end of a stream what actix does by default.
struct Reader {
    seen: mpsc::UnboundedSender<char>,
    text: &'static str,
}

impl Actor for Reader {
    type Context = SubjectContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.add_stream(stream::iter(self.text.chars()));
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.seen.send('.').unwrap();
    }
}

impl StreamHandler<char> for Reader {
    fn handle(&mut self, item: char, ctx: &mut Self::Context) {
        self.seen.send(item).unwrap();
        if item == '!' {
            ctx.stop();
        }
    }
}

#[actix::test]
async fn end_of_a_stream_stops_the_service_by_default() {
    let (tx, rx) = mpsc::unbounded_channel();
    let (_root, _reader) = supervised_once(move || Reader {
        seen: tx.clone(),
        text: "abc",
    })
    .await;

    let seen: String = received(rx).take(4).collect().await;

    assert_eq!(seen, "abc.");
}

#[actix::test]
async fn stop_in_the_middle_of_a_stream_is_the_end_of_it() {
    let (tx, rx) = mpsc::unbounded_channel();
    let (_root, reader) = supervised_once(move || Reader {
        seen: tx.clone(),
        text: "ab!c",
    })
    .await;

    let seen: String = received(rx).take(4).collect().await;

    // The rest of a poll may still be handled in actix; none of it is there after the stop.
    assert_eq!(seen, "ab!.");
    drop(reader);
}

/// Cancels the stream that it gets its items from.
struct Cancelled(Tombstone);

impl StreamHandler<Cancelled> for Probe {
    fn handle(&mut self, item: Cancelled, ctx: &mut Self::Context) {
        self.note("item");
        let handle = ctx.handle();
        ctx.cancel_future(handle);
        drop(item.0);
    }

    fn finished(&mut self, _: &mut Self::Context) {
        self.note("finished");
    }
}

#[actix::test]
async fn stream_is_cancelled_by_one_of_its_items() {
    time::pause();
    let mut subject = Subject::with_defaults().await;
    let (tx, rx) = mpsc::unbounded_channel();
    subject
        .act(|_, ctx| {
            ctx.add_stream(received(rx));
        })
        .await;

    let (item, next) = subject
        .act(|probe, _| {
            (
                Cancelled(probe.tombstone("item dropped")),
                Cancelled(probe.tombstone("next dropped")),
            )
        })
        .await;
    tx.send(item).ok().unwrap();
    idle().await;

    // The stream is gone, and nobody receives the next item.
    assert!(tx.send(next).is_err());
    assert_eq!(
        subject.entries.so_far(),
        ["item", "item dropped", "next dropped"]
    );
}

#[actix::test]
async fn stream_is_cancelled_by_a_message() {
    let mut subject = Subject::with_defaults().await;
    let (tx, rx) = mpsc::unbounded_channel::<&str>();
    let handle = subject.act(|_, ctx| ctx.add_stream(received(rx))).await;
    assert_eq!(subject.entries.next().await, "stream started");

    subject
        .act(move |_, ctx| assert!(ctx.cancel_future(handle)))
        .await;
    tx.closed().await;

    assert_eq!(subject.entries.so_far(), [""; 0]);
}

/// Is answered with the handle of the stream that it came from.
struct WhichStream(oneshot::Sender<SpawnHandle>);

impl StreamHandler<WhichStream> for Probe {
    fn handle(&mut self, item: WhichStream, ctx: &mut Self::Context) {
        item.0.send(ctx.handle()).unwrap();
    }

    fn finished(&mut self, _: &mut Self::Context) {}
}

#[actix::test]
async fn item_knows_the_handle_of_its_stream() {
    let subject = Subject::with_defaults().await;
    let (tx, rx) = oneshot::channel();

    let handle = subject
        .act(|_, ctx| ctx.add_stream(stream::iter([WhichStream(tx)])))
        .await;

    assert_eq!(rx.await, Ok(handle));
}

#[actix::test]
async fn stream_ends_with_the_service() {
    let mut subject = Subject::with_defaults().await;
    let (tx, rx) = mpsc::unbounded_channel::<&str>();
    subject
        .act(|_, ctx| {
            ctx.add_stream(received(rx));
        })
        .await;

    subject.act(|_, ctx| ctx.stop()).await;
    tx.closed().await;

    assert_eq!(
        subject.entries.until("dropped").await,
        ["stream started", "stopping", "stopped", "dropped"]
    );
}

#[actix::test]
async fn stream_of_messages_is_handled_in_order() {
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|_, ctx| ctx.add_message_stream(stream::iter(["a", "b", "c"].map(Note))))
        .await;

    assert_eq!(subject.entries.until("c").await, ["a", "b", "c"]);
}

#[actix::test]
async fn messages_of_a_stream_arrive_when_they_are_there() {
    let mut subject = Script::new().run().await;
    let (tx, rx) = mpsc::unbounded_channel();
    subject
        .act(|_, ctx| ctx.add_message_stream(received(rx)))
        .await;

    for note in ["a", "b"] {
        tx.send(Note(note)).unwrap();
        assert_eq!(subject.entries.next().await, note);
    }
}

#[actix::test]
async fn end_of_a_stream_of_messages_stops_nothing() {
    time::pause();
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|_, ctx| ctx.add_message_stream(stream::iter([Note("only")])))
        .await;
    idle().await;

    assert_eq!(subject.entries.so_far(), ["only"]);
    assert!(subject.connected());
}

#[actix::test]
async fn messages_of_a_stream_may_be_answered_asynchronously() {
    time::pause();
    let mut subject = Subject::with_defaults().await;

    subject
        .act(|_, ctx| ctx.add_message_stream(stream::iter([Delayed(20), Delayed(10)])))
        .await;

    assert_eq!(subject.entries.until("20").await, ["10", "20"]);
}

/// Is written down after so many milliseconds, while others go on.
#[derive(Message)]
#[rtype(result = "()")]
struct Delayed(u64);

impl Handler<Delayed> for Probe {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, msg: Delayed, _: &mut Self::Context) -> Self::Result {
        time::sleep(ms(msg.0))
            .into_actor(self)
            .map(move |(), probe, _| probe.note(msg.0.to_string()))
            .boxed_local()
    }
}

#[actix::test]
async fn message_and_stream_take_turns() {
    let mut subject = Subject::with_defaults().await;
    let (tx, rx) = mpsc::unbounded_channel();
    subject
        .act(|_, ctx| {
            ctx.add_stream(received(rx));
        })
        .await;
    assert_eq!(subject.entries.next().await, "stream started");

    tx.send("item").unwrap();
    assert_eq!(subject.entries.next().await, "item");
    subject.send(Note("message")).await.unwrap();
    tx.send("another item").unwrap();

    assert_eq!(
        subject.entries.until("another item").await,
        ["message", "another item"]
    );
}
