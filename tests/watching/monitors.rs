//! OTP's monitor: a service that watches another one.

use std::time::Duration;

use actix::prelude::*;
use resurgam::{ServiceContext, ServiceEnded, ServiceRef, ServiceSpec};
use tokio::{sync::mpsc, time};

use crate::support::{
    Do, End, Note, all, gives_up, one_shot, quiet, root, root_with, soon, subject, watcher,
};

const FINISHED: &str = "root/a has ended: normal";

fn told(generation: u64, what: &str) -> (u64, String) {
    (generation, what.to_owned())
}

#[actix::test]
async fn end_is_told_once_however_often_the_service_is_watched() {
    time::pause();
    let (root, services) = root_with([one_shot("a")]).await;
    let (spec, mut received) = watcher(&services);
    let watcher = root.add_and_wait(spec).await.unwrap();
    watcher.send(Do::Watch).await.unwrap();
    services[0].do_send(End::Crash);
    quiet().await;
    assert_eq!(all(&mut received), [], "a restart is no end");
    services[0].do_send(End::Normal);
    quiet().await;
    assert_eq!(all(&mut received), [told(0, FINISHED)]);
    // Watched once more, and removed: that is the same end.
    watcher.send(Do::Watch).await.unwrap();
    root.remove(&services[0]).await.unwrap();
    watcher.send(Do::Watch).await.unwrap();
    quiet().await;
    assert_eq!(all(&mut received), []);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn end_of_one_that_has_ended_already_comes_at_once() {
    time::pause();
    let (root, services) = root_with([one_shot("a"), subject("b")]).await;
    services[0].do_send(End::Normal);
    root.remove(&services[1]).await.unwrap();
    quiet().await;
    let (spec, mut received) = watcher(&services);
    let watcher = root.add_and_wait(spec).await.unwrap();
    quiet().await;
    let removed = "root/b has ended: shutdown";
    assert_eq!(all(&mut received), [told(0, FINISHED), told(0, removed)]);
    watcher.send(Do::Watch).await.unwrap();
    quiet().await;
    assert_eq!(all(&mut received), []);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn each_end_is_told_of_a_service_that_somebody_starts_again() {
    time::pause();
    let (root, services) = root_with([gives_up("a")]).await;
    let (spec, mut received) = watcher(&services);
    root.add_and_wait(spec).await.unwrap();
    for _ in 0..3 {
        services[0].do_send(End::Fail);
        quiet().await;
        let ends = all(&mut received);
        assert_eq!(
            ends,
            [told(0, "root/a has ended: failed: failed on purpose")]
        );
        root.reset(&services[0]).await.unwrap();
    }
    root.stop(&services[0]).await.unwrap();
    quiet().await;
    assert_eq!(all(&mut received), []);
    root.remove(&services[0]).await.unwrap();
    quiet().await;
    assert_eq!(all(&mut received), [told(0, "root/a has ended: shutdown")]);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn watch_belongs_to_the_incarnation() {
    time::pause();
    let (root, services) = root_with([one_shot("a")]).await;
    // Watches in its first life only.
    let (tell, mut received) = mpsc::unbounded_channel();
    let mut watched = services.clone();
    let watcher = ServiceSpec::new("watcher", move || crate::support::Watcher {
        watched: std::mem::take(&mut watched),
        tell: tell.clone(),
    });
    let watcher = root.add_and_wait(watcher).await.unwrap();
    watcher.do_send(Do::Crash);
    quiet().await;
    services[0].do_send(End::Normal);
    quiet().await;
    assert_eq!(all(&mut received), []);

    // Told to the first, and still queued when that ends.
    let (root, services) = root_with([one_shot("a")]).await;
    let (spec, mut received) = watcher_on_its_own_thread(&services);
    let watcher = root.add_and_wait(spec).await.unwrap();
    let (release, blocked) = std::sync::mpsc::channel();
    watcher.do_send(Do::Block(blocked));
    watcher.do_send(Do::Crash);
    let ended = services[0].ended();
    services[0].do_send(End::Normal);
    soon(ended).await;
    drop(release);
    // The second watches anew, and is told what it has asked for: once.
    assert_eq!(soon(received.recv()).await, Some(told(1, FINISHED)));
    watcher.send(Note).await.unwrap();
    assert_eq!(all(&mut received), [told(1, "note")]);
    root.shutdown().await.unwrap();
}

fn watcher_on_its_own_thread(
    services: &[ServiceRef<crate::support::Subject>],
) -> (ServiceSpec<crate::support::Watcher>, crate::support::Told) {
    time::resume();
    let (spec, told) = watcher(services);
    (spec.placement(resurgam::Placement::Dedicated), told)
}

#[actix::test]
async fn watch_that_has_ended_tells_nothing_not_even_what_is_queued() {
    time::pause();
    let (root, services) = root_with([one_shot("a"), subject("b")]).await;
    let (spec, mut received) = watcher(&services);
    let watcher = root.add_and_wait(spec).await.unwrap();
    watcher.send(Do::Unwatch).await.unwrap();
    watcher.send(Do::Unwatch).await.unwrap();
    services[0].do_send(End::Normal);
    quiet().await;
    assert_eq!(all(&mut received), []);
    // Both at once in the mailbox: the end, and behind it nothing that would be handled.
    watcher.do_send(Do::Watch);
    watcher.do_send(Do::Unwatch);
    watcher.do_send(Do::Watch);
    quiet().await;
    assert_eq!(all(&mut received), [told(0, FINISHED)]);
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn end_is_not_lost_because_a_mailbox_is_full() {
    time::pause();
    let (root, services) = root_with([one_shot("a")]).await;
    let (spec, mut received) = watcher(&services);
    let watcher = root.add_and_wait(spec.mailbox_capacity(1)).await.unwrap();
    // Nobody reads until the test waits: the mailbox is full.
    let mut full = 0;
    while watcher.try_send(Note).is_ok() {
        full += 1;
    }
    services[0].do_send(End::Normal);
    quiet().await;
    let received = all(&mut received);
    assert_eq!(received.len(), full + 1);
    assert_eq!(received.last(), Some(&told(0, FINISHED)));
    root.shutdown().await.unwrap();
}

#[actix::test]
async fn end_comes_behind_what_the_service_has_sent_before_it() {
    time::pause();
    let (root, services) = root_with([one_shot("a")]).await;
    let (spec, mut received) = watcher(&services);
    let watcher = root.add_and_wait(spec).await.unwrap();
    let to = watcher.addr().clone().recipient();
    services[0].do_send(End::After(to));
    quiet().await;
    assert_eq!(all(&mut received), [told(0, "note"), told(0, FINISHED)]);
    root.shutdown().await.unwrap();
}

/// Watches itself, and whoever it is told to.
struct Selfish(mpsc::UnboundedSender<String>);

impl Actor for Selfish {
    type Context = ServiceContext<Self>;
}

impl Handler<ServiceEnded> for Selfish {
    type Result = ();
    fn handle(&mut self, ended: ServiceEnded, _: &mut Self::Context) {
        let _test_gone = self.0.send(ended.to_string());
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct WatchThis(ServiceRef<Selfish>);

impl Handler<WatchThis> for Selfish {
    type Result = ();
    fn handle(&mut self, WatchThis(service): WatchThis, ctx: &mut Self::Context) {
        ctx.watch(&service);
    }
}

#[actix::test]
async fn service_that_watches_itself_is_told_nothing_and_two_that_watch_each_other_are() {
    time::pause();
    let root = root().await;
    let (tell, mut received) = mpsc::unbounded_channel();
    let make = |name: &str| {
        let tell = tell.clone();
        ServiceSpec::new(name, move || Selfish(tell.clone()))
    };
    let a = root.add_and_wait(make("a")).await.unwrap();
    let b = root.add_and_wait(make("b")).await.unwrap();
    for (watcher, watched) in [(&a, &a), (&a, &b), (&b, &a)] {
        watcher.send(WatchThis(watched.clone())).await.unwrap();
    }
    root.remove(&a).await.unwrap();
    time::sleep(Duration::from_secs(1)).await;
    assert_eq!(received.try_recv().unwrap(), "root/a has ended: shutdown");
    assert!(received.try_recv().is_err());
    root.remove(&b).await.unwrap();
    root.shutdown().await.unwrap();
}
