//! What a handler may promise to answer, and when the sender gets it.

use actix::prelude::*;
use futures::future;
use resurgam::{ServiceRef, SupervisorRef};
use tokio::{
    sync::oneshot,
    time::{self, Instant},
};

use crate::{
    kind::SubjectContext,
    support::{ms, supervised, supervised_once},
};

/// Adds up, sooner or later.
#[derive(Debug, Default)]
struct Desk {
    sum: usize,
}

impl Actor for Desk {
    type Context = SubjectContext<Self>;
}

async fn desk() -> (SupervisorRef, ServiceRef<Desk>) {
    supervised(Desk::default).await
}

/// Adds at once, and is answered with the sum.
#[derive(Message)]
#[rtype(usize)]
struct Add(usize);

impl Handler<Add> for Desk {
    type Result = usize;

    fn handle(&mut self, msg: Add, _: &mut Self::Context) -> usize {
        self.sum += msg.0;
        self.sum
    }
}

/// Ends a service.
#[derive(Message)]
#[rtype(result = "()")]
struct Stop;

impl Handler<Stop> for Desk {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

/// Is answered with what arrives, by a future that does not know the actor.
#[derive(Message)]
#[rtype(result = "Option<usize>")]
struct Forward(oneshot::Receiver<usize>);

impl Handler<Forward> for Desk {
    type Result = ResponseFuture<Option<usize>>;

    fn handle(&mut self, msg: Forward, _: &mut Self::Context) -> Self::Result {
        Box::pin(async move { msg.0.await.ok() })
    }
}

#[actix::test]
async fn response_future_answers_when_it_is_done() {
    let (_root, desk) = desk().await;
    let (tx, rx) = oneshot::channel();

    let answer = desk.send(Forward(rx));
    tx.send(7).unwrap();

    assert_eq!(answer.await, Ok(Some(7)));
}

#[actix::test]
async fn response_future_does_not_hold_back_other_messages() {
    let (_root, desk) = desk().await;
    let (tx, rx) = oneshot::channel();

    let answer = desk.send(Forward(rx));
    assert_eq!(desk.send(Add(1)).await, Ok(1));
    tx.send(7).unwrap();

    assert_eq!(answer.await, Ok(Some(7)));
}

#[actix::test]
async fn response_future_outlives_the_actor() {
    let (_root, desk) = supervised_once(Desk::default).await;
    let (tx, rx) = oneshot::channel();

    let answer = desk.send(Forward(rx));
    desk.send(Stop).await.unwrap();
    assert_eq!(desk.send(Add(1)).await, Err(MailboxError::Closed));
    tx.send(7).unwrap();

    assert_eq!(answer.await, Ok(Some(7)));
}

/// Adds what arrives to the sum, by a future that knows the actor, and is answered with the sum.
#[derive(Message)]
#[rtype(usize)]
struct AddLater(oneshot::Receiver<usize>);

impl Handler<AddLater> for Desk {
    type Result = ResponseActFuture<Self, usize>;

    fn handle(&mut self, msg: AddLater, _: &mut Self::Context) -> Self::Result {
        Box::pin(msg.0.into_actor(self).map(|arrived, desk, _| {
            desk.sum += arrived.unwrap();
            desk.sum
        }))
    }
}

#[actix::test]
async fn response_act_future_answers_from_the_actor() {
    let (_root, desk) = supervised(|| Desk { sum: 1 }).await;
    let (tx, rx) = oneshot::channel();

    let answer = desk.send(AddLater(rx));
    tx.send(7).unwrap();

    assert_eq!(answer.await, Ok(8));
}

#[actix::test]
async fn response_act_future_lets_other_messages_in() {
    let (_root, desk) = desk().await;
    let (tx, rx) = oneshot::channel();

    let answer = desk.send(AddLater(rx));
    assert_eq!(desk.send(Add(1)).await, Ok(1));
    tx.send(7).unwrap();

    assert_eq!(answer.await, Ok(8));
}

#[actix::test]
async fn response_act_future_ends_with_the_actor() {
    let (_root, desk) = supervised_once(Desk::default).await;
    let (_tx, rx) = oneshot::channel();

    let answer = desk.send(AddLater(rx));
    desk.send(Stop).await.unwrap();

    assert_eq!(answer.await, Err(MailboxError::Closed));
}

#[actix::test]
async fn asynchronous_answer_is_computed_even_if_nobody_waits_for_it() {
    let (_root, desk) = desk().await;
    let (tx, rx) = oneshot::channel();

    desk.do_send(AddLater(rx));
    tx.send(7).unwrap();

    // What the service does while it answers this often is enough for one future.
    for _ in 0..10 {
        if desk.send(Add(0)).await == Ok(7) {
            return;
        }
    }
    panic!("nothing was computed");
}

/// Adds a number after so many milliseconds, and lets nothing in before.
#[derive(Message)]
#[rtype(usize)]
struct AddAlone(usize);

impl Handler<AddAlone> for Desk {
    type Result = AtomicResponse<Self, usize>;

    fn handle(&mut self, msg: AddAlone, _: &mut Self::Context) -> Self::Result {
        let pause = ms(u64::try_from(msg.0).unwrap());
        AtomicResponse::new(Box::pin(time::sleep(pause).into_actor(self).map(
            move |(), desk, _| {
                desk.sum += msg.0;
                desk.sum
            },
        )))
    }
}

#[actix::test]
async fn atomic_responses_are_given_one_after_the_other() {
    time::pause();
    let (_root, desk) = desk().await;
    let begun = Instant::now();

    let sums = future::join_all((1..=7).rev().map(|n| desk.send(AddAlone(n)))).await;

    let sums: Vec<usize> = sums.into_iter().map(Result::unwrap).collect();
    assert_eq!(sums, [7, 13, 18, 22, 25, 27, 28]);
    assert!(begun.elapsed() >= ms(28));
}

#[actix::test]
async fn atomic_response_is_given_before_the_next_message_is_handled() {
    time::pause();
    let (_root, desk) = desk().await;

    let alone = desk.send(AddAlone(5));
    let next = desk.send(Add(1));

    assert_eq!(future::join(alone, next).await, (Ok(5), Ok(6)));
}

#[actix::test]
async fn atomic_response_ends_with_the_actor() {
    let (_root, desk) = supervised_once(Desk::default).await;

    let answer = desk.send(AddAndStop).await;

    assert_eq!(answer, Err(MailboxError::Closed));
}

/// Stops the service from inside its own atomic response.
#[derive(Message)]
#[rtype(usize)]
struct AddAndStop;

impl Handler<AddAndStop> for Desk {
    type Result = AtomicResponse<Self, usize>;

    fn handle(&mut self, _: AddAndStop, _: &mut Self::Context) -> Self::Result {
        AtomicResponse::new(Box::pin(
            future::ready(())
                .into_actor(self)
                .map(|(), _, ctx: &mut SubjectContext<Self>| ctx.stop())
                .then(|(), desk, _| future::pending().into_actor(desk)),
        ))
    }
}

#[derive(Message)]
#[rtype(usize)]
struct Sum(Manner);

/// Whether an answer is there at once.
#[derive(Clone, Copy)]
enum Manner {
    Later,
    Now,
}

impl Handler<Sum> for Desk {
    type Result = ActorResponse<Self, usize>;

    fn handle(&mut self, msg: Sum, _: &mut Self::Context) -> Self::Result {
        match msg.0 {
            Manner::Now => ActorResponse::reply(self.sum),
            Manner::Later => {
                let yielded = tokio::task::yield_now().into_actor(self);
                ActorResponse::r#async(yielded.map(|(), desk, _| desk.sum))
            }
        }
    }
}

#[actix::test]
async fn actor_response_answers_now_or_later() {
    let (_root, desk) = supervised(|| Desk { sum: 4 }).await;

    assert_eq!(desk.send(Sum(Manner::Now)).await, Ok(4));
    assert_eq!(desk.send(Sum(Manner::Later)).await, Ok(4));
}

#[derive(Message)]
#[rtype(usize)]
struct Constant(Manner);

impl Handler<Constant> for Desk {
    type Result = Response<usize>;

    fn handle(&mut self, msg: Constant, _: &mut Self::Context) -> Self::Result {
        match msg.0 {
            Manner::Now => Response::reply(42),
            Manner::Later => Response::fut(async {
                tokio::task::yield_now().await;
                42
            }),
        }
    }
}

#[actix::test]
async fn response_answers_now_or_later() {
    let (_root, desk) = desk().await;

    assert_eq!(desk.send(Constant(Manner::Now)).await, Ok(42));
    assert_eq!(desk.send(Constant(Manner::Later)).await, Ok(42));
}
