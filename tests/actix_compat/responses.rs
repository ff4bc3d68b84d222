//! What a handler may answer, and when the sender gets it.

use std::sync::Arc;

use actix::{
    dev::{MessageResponse, OneshotSender, ToEnvelope},
    prelude::*,
};
use resurgam::{ServiceRef, SupervisorRef};

use crate::{kind::SubjectContext, support::supervised};

/// Adds up, and answers in every manner there is.
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

/// Is answered with what it holds.
struct Echo<T>(T);

impl<T: 'static> Message for Echo<T> {
    type Result = T;
}

impl<T> Handler<Echo<T>> for Desk
where
    T: MessageResponse<Self, Echo<T>> + 'static,
{
    type Result = T;

    fn handle(&mut self, msg: Echo<T>, _: &mut Self::Context) -> T {
        msg.0
    }
}

#[actix::test]
async fn message_without_a_result_is_answered() {
    let (_root, desk) = desk().await;

    assert_eq!(desk.send(Echo(())).await, Ok(()));
}

#[actix::test]
async fn plain_values_arrive_unchanged() {
    let (_root, desk) = desk().await;

    assert_eq!(desk.send(Echo(u8::MAX)).await, Ok(u8::MAX));
    assert_eq!(desk.send(Echo(u16::MAX)).await, Ok(u16::MAX));
    assert_eq!(desk.send(Echo(u32::MAX)).await, Ok(u32::MAX));
    assert_eq!(desk.send(Echo(u64::MAX)).await, Ok(u64::MAX));
    assert_eq!(desk.send(Echo(usize::MAX)).await, Ok(usize::MAX));
    assert_eq!(desk.send(Echo(i8::MIN)).await, Ok(i8::MIN));
    assert_eq!(desk.send(Echo(i16::MIN)).await, Ok(i16::MIN));
    assert_eq!(desk.send(Echo(i32::MIN)).await, Ok(i32::MIN));
    assert_eq!(desk.send(Echo(i64::MIN)).await, Ok(i64::MIN));
    assert_eq!(desk.send(Echo(isize::MIN)).await, Ok(isize::MIN));
    assert_eq!(desk.send(Echo(0.5_f32)).await, Ok(0.5));
    assert_eq!(desk.send(Echo(0.25_f64)).await, Ok(0.25));
    assert_eq!(desk.send(Echo(true)).await, Ok(true));
    assert_eq!(
        desk.send(Echo(String::from("word"))).await,
        Ok(String::from("word"))
    );
}

#[actix::test]
async fn handler_answers_with_an_option() {
    let (_root, desk) = desk().await;

    assert_eq!(desk.send(Echo(Some(3))).await, Ok(Some(3)));
    assert_eq!(desk.send(Echo(None::<u8>)).await, Ok(None));
}

#[actix::test]
async fn handler_answers_with_a_vector() {
    let (_root, desk) = desk().await;

    assert_eq!(desk.send(Echo(vec![1, 2, 3])).await, Ok(vec![1, 2, 3]));
}

#[actix::test]
async fn handler_answers_with_a_shared_value() {
    let (_root, desk) = desk().await;
    let shared = Arc::new(String::from("shared"));

    let answer = desk.send(Echo(Arc::clone(&shared))).await.unwrap();

    assert!(Arc::ptr_eq(&answer, &shared));
}

#[actix::test]
async fn handler_answers_with_an_address() {
    let (_root, desk) = desk().await;

    let answer = desk.send(Echo(desk.addr().clone())).await.unwrap();

    assert_eq!(answer, *desk.addr());
}

#[derive(Message)]
#[rtype(result = "Result<usize, Overdrawn>")]
struct Take(usize);

#[derive(Debug, PartialEq)]
struct Overdrawn {
    by: usize,
}

impl Handler<Take> for Desk {
    type Result = Result<usize, Overdrawn>;

    fn handle(&mut self, msg: Take, _: &mut Self::Context) -> Self::Result {
        self.sum = self.sum.checked_sub(msg.0).ok_or_else(|| Overdrawn {
            by: msg.0 - self.sum,
        })?;
        Ok(self.sum)
    }
}

#[actix::test]
async fn handler_answers_with_a_result() {
    let (_root, desk) = supervised(|| Desk { sum: 5 }).await;

    assert_eq!(desk.send(Take(2)).await, Ok(Ok(3)));
    assert_eq!(desk.send(Take(4)).await, Ok(Err(Overdrawn { by: 1 })));
}

#[actix::test]
async fn error_given_as_an_answer_is_no_failure_of_the_service() {
    let (_root, desk) = supervised(|| Desk { sum: 5 }).await;

    assert_eq!(desk.send(Take(2)).await, Ok(Ok(3)));
    assert!(desk.send(Take(4)).await.unwrap().is_err());

    // A new incarnation would begin with 5.
    assert_eq!(desk.send(Take(0)).await, Ok(Ok(3)));
}

#[derive(Debug, MessageResponse, PartialEq)]
struct Product(usize);

#[derive(Message)]
#[rtype(Product)]
struct Multiply(usize, usize);

impl Handler<Multiply> for Desk {
    type Result = Product;

    fn handle(&mut self, msg: Multiply, _: &mut Self::Context) -> Product {
        Product(msg.0 * msg.1)
    }
}

#[actix::test]
async fn derived_response_is_an_answer() {
    let (_root, desk) = desk().await;

    assert_eq!(desk.send(Multiply(10, 5)).await, Ok(Product(50)));
}

#[derive(Debug, MessageResponse, PartialEq)]
struct Labelled<T: 'static + Send>(T);

#[derive(Message)]
#[rtype(result = "Labelled<&'static str>")]
struct Label;

impl Handler<Label> for Desk {
    type Result = Labelled<&'static str>;

    fn handle(&mut self, _: Label, _: &mut Self::Context) -> Self::Result {
        Labelled("desk")
    }
}

#[actix::test]
async fn derived_generic_response_is_an_answer() {
    let (_root, desk) = desk().await;

    assert_eq!(desk.send(Label).await, Ok(Labelled("desk")));
}

#[derive(Message)]
#[rtype(result = "(usize, &'static str)")]
struct Pair;

impl Handler<Pair> for Desk {
    type Result = MessageResult<Pair>;

    fn handle(&mut self, _: Pair, _: &mut Self::Context) -> Self::Result {
        MessageResult((self.sum, "pair"))
    }
}

#[actix::test]
async fn message_result_wraps_any_type() {
    let (_root, desk) = desk().await;

    assert_eq!(desk.send(Pair).await, Ok((0, "pair")));
}

#[derive(Message)]
#[rtype(usize)]
struct Add(usize);

impl Handler<Box<Add>> for Desk {
    type Result = usize;

    fn handle(&mut self, msg: Box<Add>, _: &mut Self::Context) -> usize {
        self.sum += msg.0;
        self.sum
    }
}

impl Handler<Arc<Add>> for Desk {
    type Result = usize;

    fn handle(&mut self, msg: Arc<Add>, _: &mut Self::Context) -> usize {
        self.sum += msg.0;
        self.sum
    }
}

#[actix::test]
async fn message_may_be_boxed() {
    let (_root, desk) = desk().await;

    assert_eq!(desk.send(Box::new(Add(2))).await, Ok(2));
}

#[actix::test]
async fn message_may_be_shared_between_services() {
    let (_root, desk) = desk().await;
    let (_other_root, other) = supervised(|| Desk { sum: 10 }).await;
    let message = Arc::new(Add(2));

    assert_eq!(desk.send(Arc::clone(&message)).await, Ok(2));
    assert_eq!(other.send(message).await, Ok(12));
}

/// A response written by hand: it spawns into the context, if anybody is to be told.
struct Spawned(usize);

impl<A, M> MessageResponse<A, M> for Spawned
where
    A: Actor,
    A::Context: AsyncContext<A>,
    M: Message<Result = usize>,
{
    fn handle(self, ctx: &mut A::Context, tx: Option<OneshotSender<usize>>) {
        if let Some(tx) = tx {
            let told = fut::wrap_future::<_, A>(async move {
                let _ = tx.send(self.0);
            });
            ctx.spawn(told);
        }
    }
}

#[derive(Message)]
#[rtype(usize)]
struct ByHand;

impl Handler<ByHand> for Desk {
    type Result = Spawned;

    fn handle(&mut self, _: ByHand, _: &mut Self::Context) -> Spawned {
        Spawned(9)
    }
}

#[actix::test]
async fn response_written_by_hand_uses_the_context() {
    let (_root, desk) = desk().await;

    assert_eq!(desk.send(ByHand).await, Ok(9));
}

/// A response that forgets its sender.
struct Silence;

impl<A: Actor, M: Message> MessageResponse<A, M> for Silence {
    fn handle(self, _: &mut A::Context, _: Option<OneshotSender<M::Result>>) {}
}

#[derive(Message)]
#[rtype(usize)]
struct Unanswered;

impl Handler<Unanswered> for Desk {
    type Result = Silence;

    fn handle(&mut self, _: Unanswered, _: &mut Self::Context) -> Silence {
        Silence
    }
}

#[actix::test]
async fn message_that_is_never_answered_fails_for_its_sender() {
    let (_root, desk) = desk().await;

    assert_eq!(desk.send(Unanswered).await, Err(MailboxError::Closed));
}

#[actix::test]
async fn request_that_is_dropped_in_the_queue_is_not_handled() {
    let (_root, desk) = desk().await;

    drop(desk.send(Box::new(Add(1))));

    assert_eq!(desk.send(Box::new(Add(0))).await, Ok(0));
}

/// Asks any actor whose context delivers messages.
async fn ask<A, M>(addr: &Addr<A>, msg: M) -> Result<M::Result, MailboxError>
where
    A: Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: Message<Result: Send> + Send + 'static,
{
    addr.send(msg).await
}

#[actix::test]
async fn generic_code_over_actors_takes_a_service() {
    let (_root, desk) = desk().await;

    assert_eq!(ask(&desk, Multiply(2, 3)).await, Ok(Product(6)));
}

/// An actor with a type parameter.
#[derive(Debug)]
struct Cell<T>(T);

impl<T: Unpin + 'static> Actor for Cell<T> {
    type Context = SubjectContext<Self>;
}

/// Puts a value in, and is answered with the one before.
struct Swap<T>(T);

impl<T: 'static> Message for Swap<T> {
    type Result = T;
}

impl<T: Unpin + 'static> Handler<Swap<T>> for Cell<T> {
    type Result = MessageResult<Swap<T>>;

    fn handle(&mut self, msg: Swap<T>, _: &mut Self::Context) -> Self::Result {
        MessageResult(std::mem::replace(&mut self.0, msg.0))
    }
}

#[actix::test]
async fn actors_and_messages_may_be_generic() {
    let (_root, cell) = supervised(|| Cell('a')).await;

    assert_eq!(cell.send(Swap('b')).await, Ok('a'));
    assert_eq!(cell.send(Swap('c')).await, Ok('b'));
}
