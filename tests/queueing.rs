//! What becomes of messages while a service is down, in paused time.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::Duration;

use actix::{dev::SendError, prelude::*};
use futures::FutureExt;
use resurgam::{Backoff, ServiceContext, ServiceRef, ServiceSpec, SupervisorActor, SupervisorRef};
use tokio::time;

#[derive(Default)]
struct Sink(Vec<u32>);

impl Actor for Sink {
    type Context = ServiceContext<Self>;
}

#[derive(Message, Debug)]
#[rtype(result = "u32")]
struct Put(u32);

impl Handler<Put> for Sink {
    type Result = u32;
    fn handle(&mut self, Put(number): Put, _: &mut Self::Context) -> u32 {
        self.0.push(number);
        number
    }
}

#[derive(Message)]
#[rtype(result = "Vec<u32>")]
struct Seen;

impl Handler<Seen> for Sink {
    type Result = Vec<u32>;
    fn handle(&mut self, _: Seen, _: &mut Self::Context) -> Vec<u32> {
        self.0.clone()
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Fail;

impl Handler<Fail> for Sink {
    type Result = ();
    fn handle(&mut self, _: Fail, ctx: &mut Self::Context) {
        ctx.fail("on purpose");
    }
}

/// A service that is down for an hour after a failure, with room for two messages.
async fn sink() -> (SupervisorRef, ServiceRef<Sink>) {
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let spec = ServiceSpec::new("sink", Sink::default)
        .backoff(Backoff::constant(Duration::from_secs(3600)))
        .mailbox_capacity(2);
    let sink = root.add_and_wait(spec).await.unwrap();
    (root, sink)
}

#[actix::test]
async fn messages_that_are_sent_while_a_service_is_down_are_handled_in_order() {
    time::pause();
    let (root, sink) = sink().await;
    sink.send(Fail).await.unwrap();
    for number in 0..100 {
        sink.do_send(Put(number));
    }
    assert_eq!(sink.send(Seen).await.unwrap(), (0..100).collect::<Vec<_>>());
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn messages_that_are_queued_behind_a_failure_go_to_the_next_incarnation() {
    time::pause();
    let (root, sink) = sink().await;
    sink.do_send(Put(1));
    sink.do_send(Fail);
    sink.do_send(Put(2));
    sink.do_send(Put(3));
    assert_eq!(sink.send(Seen).await.unwrap(), [2, 3]);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn try_send_is_refused_when_the_mailbox_of_a_service_that_is_down_is_full() {
    time::pause();
    let (root, sink) = sink().await;
    sink.send(Fail).await.unwrap();
    let mut accepted = 0;
    let refused = loop {
        match sink.try_send(Put(accepted)) {
            Ok(()) => accepted += 1,
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused, SendError::Full(Put(number)) if number == accepted));
    assert_eq!(accepted, 2);
    // The next incarnation makes room.
    assert_eq!(sink.send(Seen).await.unwrap(), [0, 1]);
    assert!(sink.try_send(Put(9)).is_ok());
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn removal_fails_pending_and_later_messages_at_once() {
    time::pause();
    let (root, sink) = sink().await;
    sink.send(Fail).await.unwrap();
    let before = time::Instant::now();
    let pending: Vec<_> = (0..10).map(|number| sink.send(Put(number))).collect();
    root.remove(sink.token()).await.unwrap();
    for pending in pending {
        assert_eq!(pending.await, Err(MailboxError::Closed));
    }
    let later = sink.send(Put(0)).now_or_never();
    assert_eq!(later, Some(Err(MailboxError::Closed)));
    assert!(matches!(sink.try_send(Put(0)), Err(SendError::Closed(_))));
    assert!(sink.downgrade().upgrade().is_none());
    assert_eq!(before.elapsed(), Duration::ZERO);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn shutdown_fails_pending_messages_at_once() {
    time::pause();
    let (root, sink) = sink().await;
    sink.send(Fail).await.unwrap();
    let pending = sink.send(Put(1));
    root.shutdown().await.unwrap();
    assert_eq!(pending.await, Err(MailboxError::Closed));
    assert!(!sink.connected());
}

/// Asks another service for something before it stops.
struct Asks(ServiceRef<Sink>);

impl Actor for Asks {
    type Context = ServiceContext<Self>;
    fn stopping(&mut self, ctx: &mut Self::Context) -> Running {
        let answer = self.0.send(Put(1)).into_actor(self);
        ctx.spawn(answer.map(|_, _, ctx| ctx.terminate()));
        Running::Continue
    }
}

#[actix::test]
async fn service_that_stops_does_not_wait_for_one_that_is_down_for_good() {
    time::pause();
    let (root, sink) = sink().await;
    sink.send(Fail).await.unwrap();
    let sink = sink.clone();
    let asks = ServiceSpec::new("asks", move || Asks(sink.clone()));
    root.add_and_wait(asks).await.unwrap();
    let before = time::Instant::now();
    assert!(root.shutdown().await.unwrap().is_clean());
    assert_eq!(before.elapsed(), Duration::ZERO);
}
