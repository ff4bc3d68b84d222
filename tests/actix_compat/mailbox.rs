//! Capacity, backpressure and order of a service's mailbox.

use actix::prelude::*;
use futures::future;
use tokio::{sync::oneshot, time};

use crate::{
    kind::{SubjectContext, subject},
    support::{Act, Note, Script, Subject, idle, supervise},
};

#[actix::test]
async fn mailbox_holds_sixteen_messages_by_default() {
    let subject = Subject::with_defaults().await;
    let _held = subject.hold().await;

    for _ in 0..16 {
        subject.try_send(Note("queued")).unwrap();
    }

    assert!(matches!(
        subject.try_send(Note("refused")),
        Err(SendError::Full(_))
    ));
}

#[actix::test]
async fn full_mailbox_gives_the_message_back() {
    let subject = Script::new()
        .started(|_, ctx| ctx.set_mailbox_capacity(1))
        .run()
        .await;
    let _held = subject.hold().await;

    subject.try_send(Note("queued")).unwrap();
    let refused = subject.try_send(Note("refused")).unwrap_err();

    assert!(matches!(refused, SendError::Full(_)));
    assert_eq!(refused.into_inner(), Note("refused"));
}

#[actix::test]
async fn full_mailbox_refuses_a_recipient() {
    let subject = Script::new()
        .started(|_, ctx| ctx.set_mailbox_capacity(1))
        .run()
        .await;
    let _held = subject.hold().await;
    let recipient = subject.service.addr().clone().recipient();

    recipient.try_send(Note("queued")).unwrap();

    assert!(matches!(
        recipient.try_send(Note("refused")),
        Err(SendError::Full(_))
    ));
}

#[actix::test]
async fn message_taken_from_a_full_mailbox_makes_room() {
    let mut subject = Script::new()
        .started(|_, ctx| ctx.set_mailbox_capacity(1))
        .run()
        .await;
    let held = subject.hold().await;
    subject.try_send(Note("queued")).unwrap();
    subject.try_send(Note("refused")).unwrap_err();

    drop(held);
    assert_eq!(subject.entries.next().await, "queued");

    subject.try_send(Note("welcome")).unwrap();
    assert_eq!(subject.entries.next().await, "welcome");
}

#[actix::test]
async fn do_send_is_not_refused_by_a_full_mailbox() {
    let mut subject = Script::new()
        .started(|_, ctx| ctx.set_mailbox_capacity(1))
        .run()
        .await;
    let held = subject.hold().await;
    subject.try_send(Note("queued")).unwrap();

    subject.do_send(Note("pushed in"));
    drop(held);

    assert_eq!(
        subject.entries.until("pushed in").await,
        ["queued", "pushed in"]
    );
}

#[actix::test]
async fn each_address_has_a_place_of_its_own_in_a_full_mailbox() {
    let subject = Script::new()
        .started(|_, ctx| ctx.set_mailbox_capacity(1))
        .run()
        .await;
    let _held = subject.hold().await;
    let clone = subject.service.addr().clone();
    subject.try_send(Note("queued")).unwrap();
    subject.try_send(Note("refused")).unwrap_err();

    clone.try_send(Note("in its own place")).unwrap();
    clone.try_send(Note("refused")).unwrap_err();
}

#[actix::test]
async fn larger_capacity_lets_in_who_was_refused() {
    time::pause();
    let subject = Script::new()
        .started(|_, ctx| ctx.set_mailbox_capacity(1))
        .run()
        .await;
    let (enlarge, enlarged) = oneshot::channel::<()>();
    subject
        .act(move |probe, ctx| {
            enlarged
                .into_actor(probe)
                .map(|_, _, ctx: &mut SubjectContext<_>| ctx.set_mailbox_capacity(4))
                .then(|(), probe, _| future::pending().into_actor(probe))
                .wait(ctx);
        })
        .await;
    subject.try_send(Note("queued")).unwrap();
    subject.try_send(Note("refused")).unwrap_err();

    drop(enlarge);
    idle().await;

    subject.try_send(Note("welcome")).unwrap();
}

#[actix::test]
async fn mailbox_of_capacity_zero_is_unbounded() {
    let subject = Script::new()
        .started(|_, ctx| ctx.set_mailbox_capacity(0))
        .run()
        .await;
    let _held = subject.hold().await;

    for _ in 0..10_000 {
        subject.try_send(Note("queued")).unwrap();
    }
}

#[actix::test]
async fn capacity_is_set_by_the_spec() {
    let (_root, waiting) = supervise(subject("waiting", || Waiting).mailbox_capacity(2)).await;

    waiting.try_send(Add).unwrap();
    waiting.try_send(Add).unwrap();

    assert!(matches!(waiting.try_send(Add), Err(SendError::Full(Add))));
}

/// Never gets to its messages.
#[derive(Debug)]
struct Waiting;

impl Actor for Waiting {
    type Context = SubjectContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.wait(future::pending().into_actor(self));
    }
}

impl Handler<Add> for Waiting {
    type Result = ();

    fn handle(&mut self, _: Add, _: &mut Self::Context) {}
}

#[actix::test]
async fn requests_beyond_the_capacity_wait_and_are_answered() {
    let subject = Script::new()
        .started(|_, ctx| ctx.set_mailbox_capacity(1))
        .run()
        .await;

    let answers = future::join_all((0..100).map(|n| subject.send(Act::new(move |_, _| n)))).await;

    let answers: Vec<u64> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers, (0..100).collect::<Vec<_>>());
}

#[actix::test]
async fn messages_of_one_address_are_handled_in_order() {
    let subject = Subject::with_defaults().await;

    for n in 0..1000 {
        subject.do_send(Act::new(move |probe, _| {
            assert_eq!(probe.count, n);
            probe.count += 1;
        }));
    }

    assert_eq!(subject.act(|probe, _| probe.count).await, 1000);
}

#[actix::test]
async fn message_to_itself_queues_behind_those_that_wait() {
    let mut subject = Subject::with_defaults().await;

    subject.do_send(Act::new(|_, ctx| ctx.address().do_send(Note("third"))));
    subject.do_send(Note("first"));
    subject.do_send(Note("second"));

    assert_eq!(
        subject.entries.until("third").await,
        ["first", "second", "third"]
    );
}

#[actix::test]
async fn messages_sent_before_the_service_is_up_are_handled_after_it_started() {
    let (_root, early) = supervise(subject("early", Early::default)).await;

    early.do_send(Add);

    assert_eq!(early.send(Total).await, Ok(11));
}

/// Counts from ten.
#[derive(Debug, Default)]
struct Early {
    total: usize,
}

impl Actor for Early {
    type Context = SubjectContext<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        self.total = 10;
    }
}

#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Add;

impl Handler<Add> for Early {
    type Result = ();

    fn handle(&mut self, _: Add, _: &mut Self::Context) {
        self.total += 1;
    }
}

#[derive(Message)]
#[rtype(usize)]
struct Total;

impl Handler<Total> for Early {
    type Result = usize;

    fn handle(&mut self, _: Total, _: &mut Self::Context) -> usize {
        self.total
    }
}
