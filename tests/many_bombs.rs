//! More messages are queued than are dropped one by one, and each panics when it is dropped. In a file of its own, since the panics are not
//! to be printed.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "clippy takes only functions with #[test] for tests, and not what they call"
)]

use std::{
    panic,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use actix::prelude::*;
use resurgam::{
    Placement, ServiceContext, ServiceRef, ServiceSpec, SupervisorActor, SupervisorRef,
};
use tokio::task::yield_now;

/// More than twice as many as were dropped one by one at first.
const MANY: usize = 140_000;

/// Panics when it is dropped, and counts that.
#[derive(Message)]
#[rtype(result = "()")]
struct Bomb(Arc<AtomicUsize>);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
        panic::panic_any("dropped");
    }
}

/// Sends itself again when it is dropped, for as long as it can.
#[derive(Message)]
#[rtype(result = "()")]
struct Again<A: Takes>(Addr<A>, Arc<AtomicUsize>);

impl<A: Takes> Drop for Again<A> {
    fn drop(&mut self) {
        self.1.fetch_add(1, Ordering::SeqCst);
        A::send_again(&self.0, &self.1);
    }
}

/// An actor that takes both, in whichever context it lives.
trait Takes: Actor + Sized {
    fn spec() -> ServiceSpec<Self>;
    fn send(to: &Addr<Self>, count: &Arc<AtomicUsize>);
    fn send_again(to: &Addr<Self>, count: &Arc<AtomicUsize>);
}

macro_rules! takes {
    ($name:ident, $context:ty, $spec:expr) => {
        struct $name;

        impl Actor for $name {
            type Context = $context;
        }

        impl Handler<Bomb> for $name {
            type Result = ();

            fn handle(&mut self, _: Bomb, _: &mut Self::Context) {}
        }

        impl Handler<Again<Self>> for $name {
            type Result = ();

            fn handle(&mut self, _: Again<Self>, _: &mut Self::Context) {}
        }

        impl Takes for $name {
            fn spec() -> ServiceSpec<Self> {
                $spec
            }

            fn send(to: &Addr<Self>, count: &Arc<AtomicUsize>) {
                to.do_send(Bomb(Arc::clone(count)));
            }

            fn send_again(to: &Addr<Self>, count: &Arc<AtomicUsize>) {
                if to.connected() {
                    to.do_send(Again(to.clone(), Arc::clone(count)));
                }
            }
        }
    };
}

takes!(Own, ServiceContext<Self>, ServiceSpec::new("own", || Self));
takes!(Plain, Context<Self>, ServiceSpec::actor("plain", || Self));

/// A service that is stopped, with as many messages in its mailbox.
async fn stopped<A: Takes>(root: &SupervisorRef, placement: Placement) -> ServiceRef<A> {
    panic::set_hook(Box::new(|_| {}));
    let spec = A::spec().placement(placement);
    let service = root.add_and_wait(spec).await.unwrap();
    root.stop(service.token()).await.unwrap();
    service
}

async fn assert_bombs_harm_nobody<A: Takes>() {
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    for placement in [Placement::Inherit, Placement::Dedicated] {
        count.store(0, Ordering::SeqCst);
        let service = stopped::<A>(&root, placement).await;
        for _ in 0..MANY {
            A::send(service.addr(), &count);
        }
        root.remove(service.token()).await.unwrap();
        while count.load(Ordering::SeqCst) < MANY {
            yield_now().await;
        }
        while service.connected() {
            yield_now().await;
        }
        drop(service);
        assert_eq!(count.load(Ordering::SeqCst), MANY);
        assert_eq!(root.counts().await.unwrap().services, 0);
    }
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn any_number_of_messages_that_panic_when_they_are_dropped_harms_nobody() {
    assert_bombs_harm_nobody::<Own>().await;
}

#[actix::test]
async fn any_number_of_messages_to_an_existing_actor_that_panic_when_they_are_dropped_harms_nobody()
{
    assert_bombs_harm_nobody::<Plain>().await;
}

async fn assert_mailbox_is_closed<A: Takes>() {
    let root = SupervisorActor::with_defaults("root")
        .start()
        .await
        .unwrap();
    let service = stopped::<A>(&root, Placement::Inherit).await;
    let count = Arc::new(AtomicUsize::new(0));
    A::send_again(service.addr(), &count);
    root.remove(service.token()).await.unwrap();
    while service.connected() {
        yield_now().await;
    }
    assert_eq!(root.counts().await.unwrap().services, 0);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn message_that_sends_itself_again_whenever_it_is_dropped_does_not_keep_a_mailbox_open() {
    assert_mailbox_is_closed::<Own>().await;
    assert_mailbox_is_closed::<Plain>().await;
}
