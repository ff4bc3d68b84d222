//! Plain actors that watch a service.

use actix::prelude::*;
use resurgam::{ServiceEnded, ServiceRef};
use tokio::{sync::mpsc, time};

use crate::support::{End, Subject, gives_up, quiet, root, root_with, subject};

/// Tells what it is told, and that it is gone.
struct Monitor(mpsc::UnboundedSender<String>);

impl Actor for Monitor {
    type Context = Context<Self>;

    fn stopped(&mut self, _: &mut Self::Context) {
        let _test_gone = self.0.send(String::from("gone"));
    }
}

impl Handler<ServiceEnded> for Monitor {
    type Result = ();
    fn handle(&mut self, ended: ServiceEnded, _: &mut Self::Context) {
        let _test_gone = self.0.send(ended.reason().to_string());
    }
}

fn monitor() -> (Addr<Monitor>, mpsc::UnboundedReceiver<String>) {
    let (tell, told) = mpsc::unbounded_channel();
    (Monitor(tell).start(), told)
}

fn all(told: &mut mpsc::UnboundedReceiver<String>) -> Vec<String> {
    std::iter::from_fn(|| told.try_recv().ok()).collect()
}

#[actix::test]
async fn plain_actor_is_told_of_each_end_as_often_as_it_watches() {
    time::pause();
    let (root, services) = root_with([gives_up("a")]).await;
    let service = &services[0];
    let (monitor, mut told) = monitor();
    let first = service.watch(monitor.clone().recipient());
    let second = service.watch(monitor.downgrade());
    service.do_send(End::Fail);
    quiet().await;
    assert_eq!(all(&mut told).len(), 2);
    // Another one that comes later is told at once, and nobody else.
    let third = service.watch(monitor.clone());
    quiet().await;
    assert_eq!(all(&mut told).len(), 1);
    service.unwatch(second);
    service.unwatch(third);
    root.reset(service).await.unwrap();
    root.remove(service).await.unwrap();
    quiet().await;
    assert_eq!(all(&mut told), ["shutdown"]);
    // Of no effect any more.
    service.unwatch(first);
    service.watch(monitor.clone());
    quiet().await;
    assert_eq!(all(&mut told), ["shutdown"]);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn id_of_another_service_ends_nothing() {
    time::pause();
    let root = root().await;
    let a = root.add_and_wait(subject("a")).await.unwrap();
    let b = root.add_and_wait(subject("b")).await.unwrap();
    let (monitor, mut told) = monitor();
    let watch = a.watch(monitor.clone());
    b.unwatch(watch);
    root.remove(&a).await.unwrap();
    quiet().await;
    assert_eq!(all(&mut told), ["shutdown"]);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn what_is_given_says_whether_the_actor_is_kept_running() {
    time::pause();
    let root = root().await;
    for keeps in [true, false] {
        let service: ServiceRef<Subject> = root.add_and_wait(subject("a")).await.unwrap();
        let (monitor, mut told) = monitor();
        if keeps {
            service.watch(monitor);
        } else {
            service.watch(monitor.downgrade());
            drop(monitor);
        }
        quiet().await;
        root.remove(&service).await.unwrap();
        quiet().await;
        let all = all(&mut told);
        // Kept until the service is removed, and no longer.
        let expected: &[&str] = if keeps {
            &["shutdown", "gone"]
        } else {
            &["gone"]
        };
        assert_eq!(all, expected);
    }
    root.shutdown().await.unwrap();
}
