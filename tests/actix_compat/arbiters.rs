//! Services on threads of their own, and senders on threads of theirs.
//!
//! Real time: the clock of another arbiter cannot be paused, and nothing here waits for it.

use std::{
    cell::Cell,
    rc::Rc,
    thread::{self, ThreadId},
};

use actix::prelude::*;
use resurgam::{Placement, ServiceRef, SupervisorRef};
use tokio::sync::oneshot;

use crate::{
    kind::{SubjectContext, subject},
    support::{Act, Subject, supervise, supervised},
};

/// Counts in a cell that cannot leave its thread.
#[derive(Debug, Default)]
struct Local {
    count: Rc<Cell<usize>>,
}

impl Actor for Local {
    type Context = SubjectContext<Self>;
}

#[derive(Message)]
#[rtype(usize)]
struct Count;

impl Handler<Count> for Local {
    type Result = usize;

    fn handle(&mut self, _: Count, _: &mut Self::Context) -> usize {
        self.count.set(self.count.get() + 1);
        self.count.get()
    }
}

/// Is answered with the thread that handles it.
struct Where;

impl Message for Where {
    type Result = ThreadId;
}

impl Handler<Where> for Local {
    type Result = MessageResult<Where>;

    fn handle(&mut self, _: Where, _: &mut Self::Context) -> Self::Result {
        MessageResult(thread::current().id())
    }
}

/// Is answered with the thread that its future runs on.
struct WhereLater;

impl Message for WhereLater {
    type Result = ThreadId;
}

impl Handler<WhereLater> for Local {
    type Result = ResponseFuture<ThreadId>;

    fn handle(&mut self, _: WhereLater, _: &mut Self::Context) -> Self::Result {
        Box::pin(async { thread::current().id() })
    }
}

async fn on_its_own_arbiter() -> (SupervisorRef, ServiceRef<Local>) {
    supervise(subject("local", Local::default).placement(Placement::Dedicated)).await
}

#[actix::test]
async fn actor_need_not_be_send() {
    let (_root, local) = supervised(Local::default).await;

    assert_eq!(local.send(Count).await, Ok(1));
    assert_eq!(local.send(Count).await, Ok(2));
}

#[actix::test]
async fn service_stays_on_the_arbiter_that_started_it() {
    let (_root, local) = supervised(Local::default).await;

    assert_eq!(local.send(Where).await, Ok(thread::current().id()));
}

#[actix::test]
async fn service_on_its_own_arbiter_answers() {
    let (_root, local) = on_its_own_arbiter().await;

    assert_eq!(local.send(Count).await, Ok(1));
    assert_ne!(local.send(Where).await, Ok(thread::current().id()));
}

#[actix::test]
async fn future_of_a_response_runs_on_the_arbiter_of_its_service() {
    let (_root, local) = on_its_own_arbiter().await;

    let thread = local.send(Where).await;

    assert_eq!(local.send(WhereLater).await, thread);
}

#[actix::test]
async fn address_is_used_on_another_arbiter() {
    let (_root, local) = supervised(Local::default).await;
    let addr = local.addr().clone();
    let (tx, rx) = oneshot::channel();
    let arbiter = Arbiter::new();

    arbiter.spawn(async move {
        addr.do_send(Count);
        tx.send(addr.send(Count).await).unwrap();
    });

    assert_eq!(rx.await, Ok(Ok(2)));
    assert_eq!(local.send(Count).await, Ok(3));
    arbiter.stop();
}

#[actix::test]
async fn address_is_used_on_a_thread_without_a_runtime() {
    let subject = Subject::with_defaults().await;
    let addr = subject.service.addr().clone();
    let (tx, rx) = oneshot::channel();

    thread::spawn(move || {
        addr.do_send(Act::new(move |_, _| tx.send("arrived").unwrap()));
    });

    assert_eq!(rx.await, Ok("arrived"));
}

#[actix::test]
async fn recipient_is_used_on_another_arbiter() {
    let (_root, local) = supervised(Local::default).await;
    let recipient = local.addr().clone().recipient();
    let (tx, rx) = oneshot::channel();
    let arbiter = Arbiter::new();

    arbiter.spawn(async move {
        tx.send(recipient.send(Count).await).unwrap();
    });

    assert_eq!(rx.await, Ok(Ok(1)));
    arbiter.stop();
}

#[actix::test]
async fn senders_on_many_threads_are_all_served() {
    let (_root, local) = supervised(Local::default).await;
    let arbiters: Vec<_> = (0..4).map(|_| Arbiter::new()).collect();
    let mut done = Vec::new();

    for arbiter in &arbiters {
        let addr = local.addr().clone();
        let (tx, rx) = oneshot::channel();
        arbiter.spawn(async move {
            for _ in 0..250 {
                addr.send(Count).await.unwrap();
            }
            tx.send(()).unwrap();
        });
        done.push(rx);
    }
    for rx in done {
        rx.await.unwrap();
    }

    assert_eq!(local.send(Count).await, Ok(1001));
    for arbiter in arbiters {
        arbiter.stop();
    }
}

#[actix::test]
async fn service_talks_to_an_actor_of_plain_actix() {
    let subject = Subject::with_defaults().await;
    let plain = Plain.start();

    let question = subject.act(move |_, _| plain.send(Ask)).await;

    assert_eq!(question.await, Ok(42));
}

/// An actor of plain actix.
struct Plain;

impl Actor for Plain {
    type Context = Context<Self>;
}

#[derive(Message)]
#[rtype(usize)]
struct Ask;

impl Handler<Ask> for Plain {
    type Result = usize;

    fn handle(&mut self, _: Ask, _: &mut Self::Context) -> usize {
        42
    }
}
