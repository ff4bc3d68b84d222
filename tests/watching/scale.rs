//! Many who watch one, and one who watches many: no machine takes as long as `soon` waits, unless each watch costs more the more there are.

use actix::prelude::*;
use resurgam::{ServiceContext, ServiceEnded, ServiceRef, ServiceSpec, SupervisorActor};
use tokio::sync::oneshot;

use crate::support::{Subject, root, soon, subject};

const MANY: usize = 100_000;

/// Fewer, since it takes longer to add as many than to watch them.
const MANY_SERVICES: usize = 20_000;

/// Counts ends, up to as many as there are.
struct Count {
    left: usize,
    done: Option<oneshot::Sender<()>>,
}

impl Count {
    fn new(left: usize) -> (Self, oneshot::Receiver<()>) {
        let (done, all) = oneshot::channel();
        let done = Some(done);
        (Self { left, done }, all)
    }

    fn one(&mut self) {
        self.left -= 1;
        if self.left == 0 {
            self.done.take().unwrap().send(()).unwrap();
        }
    }
}

struct Plain(Count);

impl Actor for Plain {
    type Context = Context<Self>;
}

impl Handler<ServiceEnded> for Plain {
    type Result = ();
    fn handle(&mut self, _: ServiceEnded, _: &mut Self::Context) {
        self.0.one();
    }
}

#[actix::test]
async fn one_is_watched_by_many() {
    soon(one_by_many()).await;
}

async fn one_by_many() {
    let root = root().await;
    let service = root.add_and_wait(subject("a")).await.unwrap();
    let (count, all) = Count::new(MANY);
    let plain = Plain(count).start();
    let ends: Vec<_> = (0..MANY).map(|_| service.ended()).collect();
    let states: Vec<_> = (0..MANY).map(|_| service.states()).collect();
    for _ in 0..MANY {
        service.watch(plain.clone());
    }
    root.restart(&service).await.unwrap();
    root.remove(&service).await.unwrap();
    all.await.unwrap();
    for ended in ends {
        ended.await;
    }
    drop(states);
    root.shutdown().await.unwrap();
}

struct Watcher {
    watched: Vec<ServiceRef<Subject>>,
    count: Count,
}

impl Actor for Watcher {
    type Context = ServiceContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        for service in &self.watched {
            ctx.watch(service);
        }
    }
}

impl Handler<ServiceEnded> for Watcher {
    type Result = ();
    fn handle(&mut self, _: ServiceEnded, _: &mut Self::Context) {
        self.count.one();
    }
}

#[actix::test]
async fn many_are_watched_by_one() {
    soon(many_by_one()).await;
}

async fn many_by_one() {
    let root = root().await;
    let mut site = SupervisorActor::with_defaults("site");
    let subjects = (0..MANY_SERVICES).map(|_| ServiceSpec::unnamed("a", || Subject));
    let watched = subjects.map(|subject| site.add(subject).unwrap()).collect();
    let site = ServiceSpec::supervisor(site);
    let site = root.add_and_wait(site).await.unwrap();
    let (count, all) = Count::new(MANY_SERVICES);
    let mut actor = Some(Watcher { watched, count });
    let spec = ServiceSpec::new("watcher", move || actor.take().unwrap());
    root.add_and_wait(spec).await.unwrap();
    root.remove(&site).await.unwrap();
    all.await.unwrap();
    root.shutdown().await.unwrap();
}
