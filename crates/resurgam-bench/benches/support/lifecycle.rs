//! Start and stop of many.

use std::{cell::RefCell, sync::Arc, time::Duration};

use actix::prelude::*;
use resurgam::{ServiceContext, ServiceRef, ServiceSpec, SupervisorActor, message};

use super::{Countdown, Stopwatch};

/// How long the start and the stop of all took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StartStop {
    pub(crate) start: Duration,
    pub(crate) stop: Duration,
}

/// How many requests fit into the mailbox of a supervisor, so that none waits for its turn.
const PIPELINE: usize = 15;

/// The names of many services, made before they are needed: they are the user's own.
pub(crate) fn names(count: usize) -> Vec<Arc<str>> {
    (0..count)
        .map(|number| Arc::from(format!("service-{number}")))
        .collect()
}

/// Plain actors: started one after the other, and stopped by dropping their addresses.
pub(crate) async fn plain(count: usize) -> StartStop {
    let life = Life::of(count);
    let mut watch = Stopwatch::start();
    let addresses: Vec<_> = (0..count).map(|_| Plain(life.clone()).start()).collect();
    life.started.over().await;
    let start = watch.lap();
    drop(addresses);
    life.dropped.over().await;
    StartStop {
        start,
        stop: watch.lap(),
    }
}

/// Services that their supervisor starts with, and a shutdown.
pub(crate) async fn fixed(names: &[Arc<str>]) -> StartStop {
    let life = Life::of(names.len());
    let mut watch = Stopwatch::start();
    let mut root = SupervisorActor::with_defaults("root");
    let services: Vec<_> = names
        .iter()
        .map(|name| root.add(service(name)).expect("names are unique"))
        .collect();
    let root = root.start().await.expect("no service fails to start");
    life.started.over().await;
    let start = watch.lap();
    root.shutdown().await.expect("the system runs on");
    life.dropped.over().await;
    let stop = watch.lap();
    drop(services);
    StartStop { start, stop }
}

/// Services that are added to a supervisor that runs, and removed from it, many at once.
pub(crate) async fn dynamic(names: &[Arc<str>]) -> StartStop {
    let root = SupervisorActor::with_defaults("root").start().await;
    let root = root.expect("it has no services that could fail");
    let life = Life::of(names.len());
    let mut services: Vec<ServiceRef<Supervised>> = Vec::with_capacity(names.len());
    let mut watch = Stopwatch::start();
    for names in names.chunks(PIPELINE) {
        let adds: Vec<_> = names
            .iter()
            .map(|name| root.addr().send(message::Add::new(service(name))))
            .collect();
        for add in adds {
            let added = add.await.expect("the supervisor runs");
            services.push(added.expect("names are unique"));
        }
    }
    life.started.over().await;
    let start = watch.lap();
    for services in services.chunks(PIPELINE) {
        let answers: Vec<_> = services
            .iter()
            .map(|service| root.addr().send(message::Remove::new(service.token())))
            .collect();
        for answer in answers {
            let removed = answer.await.expect("the supervisor runs");
            removed.expect("it was added before");
        }
    }
    life.dropped.over().await;
    let stop = watch.lap();
    root.shutdown().await.expect("the system runs on");
    StartStop { start, stop }
}

fn service(name: &Arc<str>) -> ServiceSpec<Supervised> {
    ServiceSpec::new(Arc::clone(name), || Supervised(Life::current()))
}

/// What is counted of the actors of one measurement.
#[derive(Clone)]
struct Life {
    started: Countdown,
    dropped: Countdown,
}

thread_local! {
    /// Factories are `Send` and what they count with is not.
    static CURRENT: RefCell<Option<Life>> = const { RefCell::new(None) };
}

impl Life {
    fn of(count: usize) -> Self {
        let life = Self {
            started: Countdown::from(count),
            dropped: Countdown::from(count),
        };
        CURRENT.set(Some(life.clone()));
        life
    }

    fn current() -> Self {
        CURRENT.with_borrow(|life| life.clone().expect("set before the first service"))
    }
}

struct Plain(Life);

impl Actor for Plain {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        self.0.started.tick();
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        self.0.dropped.tick();
    }
}

struct Supervised(Life);

impl Actor for Supervised {
    type Context = ServiceContext<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        self.0.started.tick();
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.0.dropped.tick();
    }
}
