//! Supervision, as its users see it: restarts, queues, operations, look-ups and events, in paused time.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "services that panic, and helpers of tests"
)]

use actix::prelude::*;
use resurgam::{
    EventKind, ExitReason, RemoveError, ServiceContext, ServiceRef, ServiceSpec, ServiceState,
    SupervisorActor, SupervisorRef,
};
use tokio::time;

#[derive(Default)]
struct Counter(u64);

impl Actor for Counter {
    type Context = ServiceContext<Self>;
}

#[derive(Message)]
#[rtype(result = "u64")]
struct Increment;

#[derive(Message)]
#[rtype(result = "()")]
struct Crash;

#[derive(Message)]
#[rtype(result = "()")]
struct Fail;

impl Handler<Increment> for Counter {
    type Result = u64;
    fn handle(&mut self, _: Increment, _: &mut Self::Context) -> u64 {
        self.0 += 1;
        self.0
    }
}

impl Handler<Crash> for Counter {
    type Result = ();
    fn handle(&mut self, _: Crash, _: &mut Self::Context) {
        panic!("crashed on purpose");
    }
}

impl Handler<Fail> for Counter {
    type Result = ();
    fn handle(&mut self, _: Fail, ctx: &mut Self::Context) {
        ctx.fail(std::io::Error::other("failed on purpose"));
    }
}

async fn root() -> SupervisorRef {
    SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap()
}

async fn counter(root: &SupervisorRef) -> ServiceRef<Counter> {
    root.add(ServiceSpec::new("counter", Counter::default))
        .await
        .unwrap()
}

#[actix::test]
async fn panic_is_an_error_to_its_sender_alone_and_the_address_answers_again() {
    time::pause();
    let root = root().await;
    let counter = counter(&root).await;
    assert_eq!(counter.send(Increment).await, Ok(1));
    let (before, lost, after) = tokio::join!(
        counter.send(Increment),
        counter.send(Crash),
        counter.send(Increment)
    );
    assert_eq!(before, Ok(2));
    assert_eq!(lost, Err(MailboxError::Closed));
    assert_eq!(after, Ok(1));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn panic_is_reported_with_its_message_and_place() {
    time::pause();
    let root = root().await;
    let counter = counter(&root).await;
    let mut events = root.events();
    counter.do_send(Crash);
    let event = events.next().await.unwrap();
    let EventKind::ServicePanicked {
        message, location, ..
    } = event.kind()
    else {
        panic!("{event}");
    };
    assert_eq!(message, "crashed on purpose");
    assert!(location.contains("supervision.rs"), "{location}");
    assert_eq!(event.path(), "root/counter");
}

#[actix::test]
async fn remove_resolves_with_how_the_service_ended() {
    time::pause();
    let root = root().await;
    let counter = counter(&root).await;
    assert_eq!(counter.send(Increment).await, Ok(1));
    let token = counter.token();
    assert_eq!(root.remove(token).await, Ok(ExitReason::Shutdown));
    assert_eq!(
        root.remove(token).await,
        Err(RemoveError::unknown_token(token))
    );
    assert_eq!(counter.send(Increment).await, Err(MailboxError::Closed));
}

#[actix::test]
async fn the_sixth_failure_at_once_pauses_restarts_for_fifteen_seconds() {
    time::pause();
    let root = root().await;
    let counter = counter(&root).await;
    let start = time::Instant::now();
    let mut events = root.events();
    for _ in 0..6 {
        counter.do_send(Fail);
    }
    while !matches!(
        events.next().await.unwrap().kind(),
        EventKind::PauseStarted { .. }
    ) {}
    let state = root.services().await.unwrap()[0].state();
    assert_eq!(state, ServiceState::Paused);
    assert_eq!(counter.send(Increment).await, Ok(1));
    // Timers are exact to a millisecond.
    assert_eq!(start.elapsed().as_secs(), 15);
    root.shutdown().await.unwrap();
}
