//! Actors that others find by their type, under supervision.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "services that panic, and helpers of tests"
)]

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
    time::Duration,
};

use actix::{
    prelude::*,
    registry::{Registry, SystemRegistry},
};
use actix_broker::{Broker, BrokerIssue, BrokerSubscribe, SystemBroker};
use resurgam::{
    ServiceContext, ServiceSpec, Strategy, SupervisorActor, SupervisorRef, SupervisorSpec,
};
use tokio::time;

/// Says how often it was asked; `service_started` makes it begin with 10.
#[derive(Default)]
struct Counter(u64);

#[derive(Clone, Copy, Message)]
#[rtype(result = "u64")]
enum Ask {
    Next,
    Panic,
}

impl Actor for Counter {
    type Context = Context<Self>;
}

impl Supervised for Counter {}

impl SystemService for Counter {
    fn service_started(&mut self, _: &mut Context<Self>) {
        self.0 = 10;
    }
}

impl ArbiterService for Counter {}

impl Handler<Ask> for Counter {
    type Result = u64;

    fn handle(&mut self, ask: Ask, _: &mut Context<Self>) -> u64 {
        match ask {
            Ask::Next => self.0 += 1,
            Ask::Panic => panic!("asked to"),
        }
        self.0
    }
}

/// Asks a system service in its `started`, as whoever uses one does.
struct Client;

impl Actor for Client {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        <Counter as SystemService>::from_registry().do_send(Ask::Next);
    }
}

/// A system service that cannot be started but by its supervisor.
#[derive(Default)]
struct Guarded;

impl Actor for Guarded {
    type Context = Context<Self>;
}

impl Supervised for Guarded {}

impl SystemService for Guarded {
    fn start_service(_: &ArbiterHandle) -> Addr<Self> {
        panic!("started by its supervisor")
    }
}

fn counter() -> ServiceSpec<Counter> {
    ServiceSpec::create("counter", |ctx| {
        let mut counter = Counter::default();
        SystemService::service_started(&mut counter, ctx);
        counter
    })
}

/// A tree whose counter is the one of the system; a client that was added before it, and is started before it, has asked it.
async fn tree() -> SupervisorRef {
    let mut root = SupervisorActor::with_defaults("root");
    root.add(ServiceSpec::actor("client", || Client)).unwrap();
    let counter = root.add(counter()).unwrap();
    SystemRegistry::set(counter.addr().clone());
    root.start().await.unwrap()
}

fn panics<T>(code: impl FnOnce() -> T) -> bool {
    catch_unwind(AssertUnwindSafe(code)).is_err()
}

#[actix::test]
async fn system_service_that_was_set_before_the_start_is_the_one_that_everybody_finds_also_after_a_panic()
 {
    let root = tree().await;
    let found = <Counter as SystemService>::from_registry();
    assert_eq!(
        &found,
        root.lookup::<Counter>("counter").await.unwrap().addr()
    );
    assert_eq!(found.send(Ask::Next).await, Ok(12)); // the client's was the first
    assert_eq!(found.send(Ask::Panic).await, Err(MailboxError::Closed));
    assert_eq!(
        <Counter as SystemService>::from_registry()
            .send(Ask::Next)
            .await,
        Ok(11)
    );
    root.restart("counter").await.unwrap();
    assert_eq!(
        <Counter as SystemService>::from_registry()
            .send(Ask::Next)
            .await,
        Ok(11)
    );

    root.shutdown().await.unwrap();
    assert!(!<Counter as SystemService>::from_registry().connected());
}

#[actix::test]
async fn system_service_is_set_once_and_before_anybody_asks() {
    let root = tree().await;
    let found = <Counter as SystemService>::from_registry();
    assert!(panics(|| SystemRegistry::set(found)));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn instance_of_somebody_who_asked_first_stands_in_the_way() {
    let unsupervised = <Counter as SystemService>::from_registry();
    let mut root = SupervisorActor::with_defaults("root");
    let counter = root.add(counter()).unwrap();
    assert!(panics(|| SystemRegistry::set(counter.addr().clone())));
    assert_eq!(<Counter as SystemService>::from_registry(), unsupervised);
}

#[actix::test]
async fn start_service_of_its_own_keeps_an_unsupervised_instance_from_being_made() {
    assert!(panics(Guarded::from_registry));
    let mut root = SupervisorActor::with_defaults("root");
    let guarded = root
        .add(ServiceSpec::actor("guarded", Guarded::default))
        .unwrap();
    // Nothing is registered, and the registry can be used after the panic.
    SystemRegistry::set(guarded.addr().clone());
    assert_eq!(&Guarded::from_registry(), guarded.addr());
}

#[actix::test]
async fn arbiter_service_is_set_on_the_thread_whose_callers_are_meant() {
    let mut root = SupervisorActor::with_defaults("root");
    let counter = root
        .add(ServiceSpec::actor("counter", Counter::default))
        .unwrap();
    Registry::set(counter.addr().clone());
    let root = root.start().await.unwrap();
    let found = <Counter as ArbiterService>::from_registry();
    assert_eq!(found.send(Ask::Panic).await, Err(MailboxError::Closed));
    assert_eq!(
        <Counter as ArbiterService>::from_registry()
            .send(Ask::Next)
            .await,
        Ok(1)
    );
    root.shutdown().await.unwrap();
}

#[derive(Clone, Message)]
#[rtype(result = "()")]
struct News(&'static str);

/// What each listener has heard.
type Heard = Arc<Mutex<Vec<(&'static str, &'static str)>>>;

/// Listens to news, in a context of actix's own or in one of ours; panics at bad ones.
struct Plain(Heard);
struct Ours(Heard);

macro_rules! listens {
    ($actor:ident, $context:ident, $name:literal) => {
        impl Actor for $actor {
            type Context = $context<Self>;
            fn started(&mut self, ctx: &mut Self::Context) {
                self.subscribe_system_async::<News>(ctx);
            }
        }

        impl Handler<News> for $actor {
            type Result = ();
            fn handle(&mut self, News(text): News, _: &mut Self::Context) {
                self.0.lock().unwrap().push(($name, text));
                assert!(text != $name, "news about itself");
            }
        }
    };
}

listens!(Plain, Context, "plain");
listens!(Ours, ServiceContext, "ours");

/// Issues news in its `started`.
struct Writer;

impl Actor for Writer {
    type Context = ServiceContext<Self>;
    fn started(&mut self, _: &mut Self::Context) {
        self.issue_system_async(News("first"));
    }
}

/// The broker with its listeners, as the page on system services has it.
#[actix::test]
async fn broker_is_restarted_with_its_listeners_and_everybody_hears_everything_once() {
    time::pause();
    let heard = Heard::default();
    let spec = SupervisorSpec::default().strategy(Strategy::OneForAll);
    let mut news = SupervisorActor::new("news", spec);
    let broker = ServiceSpec::actor("broker", Broker::<SystemBroker>::default);
    let broker = news.add(broker).unwrap();
    SystemRegistry::set(broker.addr().clone());
    let to = Arc::clone(&heard);
    let plain = ServiceSpec::actor("plain", move || Plain(Arc::clone(&to)));
    news.add(plain).unwrap();
    let to = Arc::clone(&heard);
    let ours = ServiceSpec::new("ours", move || Ours(Arc::clone(&to)));
    news.add(ours).unwrap();
    let mut root = SupervisorActor::with_defaults("root");
    root.add(ServiceSpec::supervisor(news)).unwrap();
    root.add(ServiceSpec::new("writer", || Writer)).unwrap();
    let root = root.start().await.unwrap();

    let settle = async || {
        // In paused time: over when nobody has anything left to do.
        time::sleep(Duration::from_secs(1)).await;
        std::mem::take(&mut *heard.lock().unwrap())
    };
    let mut first = settle().await;
    first.sort_unstable();
    assert_eq!(first, [("ours", "first"), ("plain", "first")]);
    for bad in ["plain", "ours"] {
        Broker::<SystemBroker>::issue_async(News(bad));
        let told = settle().await;
        assert!(told.contains(&(bad, bad)), "{told:?}");
        // The same broker by its type, the same addresses, and one subscription for each.
        Broker::<SystemBroker>::issue_async(News("again"));
        let mut again = settle().await;
        again.sort_unstable();
        assert_eq!(again, [("ours", "again"), ("plain", "again")]);
    }
    let found = Broker::<SystemBroker>::from_registry();
    assert_eq!(&found, broker.addr());
    root.shutdown().await.unwrap();
}
