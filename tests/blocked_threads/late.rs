//! Threads that are still blocked when nobody waits for them any more: who blocks them is named, and nobody else.

use std::{
    sync::{Mutex, PoisonError, mpsc},
    thread::available_parallelism,
    time::Duration,
};

use actix::prelude::*;
use resurgam::{
    EventKind, Placement, ServiceContext, ServiceSpec, Shutdown, ShutdownReport, SupervisorActor,
    SupervisorRef,
};

use crate::support::{Blocker, Which, block, blocker, paths, root, soon, tree_elsewhere, until};

const LIMIT: Duration = Duration::from_millis(100);

/// A supervisor below this one, with a service on a thread of its own.
async fn sub_with_stuck(root: &SupervisorRef) -> (SupervisorRef, resurgam::ServiceRef<Blocker>) {
    let mut sub = SupervisorActor::with_defaults("sub");
    let stuck = sub.add(blocker("stuck", &Placement::Dedicated)).unwrap();
    let sub = root.add_and_wait(ServiceSpec::supervisor(sub)).await;
    (SupervisorRef::try_from(sub.unwrap()).unwrap(), stuck)
}

#[actix::test]
async fn who_was_left_behind_by_a_removal_is_named_at_the_end_as_long_as_it_is_there() {
    for back in [false, true] {
        let root = root().await;
        let (sub, stuck) = sub_with_stuck(&root).await;
        let hold = block(&stuck);
        let mut events = root.events();
        soon(root.remove(sub.token())).await.unwrap();
        let mut abandoned = Vec::new();
        while let Some(event) = events.try_next() {
            if matches!(event.kind(), EventKind::ServiceAbandoned) {
                abandoned.push(event.path().to_owned());
            }
        }
        assert_eq!(abandoned, ["root/sub/stuck"]);
        if back {
            drop(hold);
            until(|| root.tree_abandoned_threads() == 0).await;
            let report = soon(root.shutdown()).await.unwrap();
            assert!(report.is_clean(), "{report}");
        } else {
            let report = soon(root.shutdown()).await.unwrap();
            drop(hold);
            assert_eq!(paths(&report), ["root/sub/stuck"]);
            assert_eq!(report.unstopped()[0].token(), stuck.token());
        }
    }
}

#[actix::test]
async fn who_was_left_behind_in_an_earlier_life_is_named_once_with_that_life() {
    let root = root().await;
    let (sub, stuck) = sub_with_stuck(&root).await;
    let hold = block(&stuck);
    soon(root.restart(sub.token())).await.unwrap();
    assert_eq!(soon(stuck.send(Which)).await.unwrap().0, 1);
    let report = soon(sub.shutdown()).await.unwrap();
    assert_eq!(paths(&report), ["root/sub/stuck"]);
    assert_eq!(report.unstopped()[0].generation(), 0);
    let report = soon(root.shutdown()).await.unwrap();
    drop(hold);
    assert_eq!(paths(&report), ["root/sub/stuck"]);
}

#[actix::test]
async fn late_thread_of_one_that_was_restarted_is_not_taken_for_what_blocks_the_root() {
    let tree = tree_elsewhere().await;
    let other = blocker("late", &Placement::Dedicated);
    let other = tree.root.add_and_wait(other).await.unwrap();
    let first = blocker("first", &Placement::Inherit);
    let first = tree.root.add_and_wait(first).await.unwrap();
    let late = block(&other);
    soon(tree.root.restart(other.token())).await.unwrap();
    let hold = block(&first);
    let report = soon(tree.root.shutdown_within(LIMIT)).await.unwrap();
    drop((hold, late));
    assert_eq!(paths(&report)[0], "root/first");
    let of_late = report
        .unstopped()
        .iter()
        .filter(|who| who.path() == "root/late");
    let generations: Vec<_> = of_late
        .map(resurgam::UnstoppedService::generation)
        .collect();
    assert_eq!(
        generations,
        [1, 0],
        "the one that runs, and the one that is late"
    );
    soon(tree.root.join()).await.unwrap();
    tree.end();
}

#[actix::test]
async fn threads_of_the_pool_that_are_blocked_get_no_more_services() {
    let cores = available_parallelism().unwrap().get();
    let root = root().await;
    let mut holds = Vec::new();
    // With a single core all are blocked, and there is nothing to pass over.
    for number in 1..cores {
        let stuck = blocker(&format!("stuck {number}"), &Placement::Pool);
        let stuck = root.add_and_wait(stuck).await.unwrap();
        holds.push(block(&stuck));
        soon(root.remove(stuck.token())).await.unwrap();
    }
    for number in 0..2 * cores {
        let prompt = blocker(&format!("prompt {number}"), &Placement::Pool);
        soon(root.add_and_wait(prompt)).await.unwrap();
    }
    drop(holds);
    until(|| root.tree_abandoned_threads() == 0).await;
    assert!(soon(root.shutdown()).await.unwrap().is_clean());
}

/// Where a service blocks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Where {
    Factory,
    Started,
    Stopping,
    Drop,
    FactoryDrop,
}

/// Tells that it is there, and returns when it is released.
struct Gate(mpsc::Sender<()>, Mutex<mpsc::Receiver<()>>);

impl Gate {
    fn pass(&self) {
        let _test_gone = self.0.send(());
        let release = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        let _released = release.recv();
    }
}

struct Somewhere {
    place: Where,
    gate: std::sync::Arc<Gate>,
}

impl Actor for Somewhere {
    type Context = ServiceContext<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        if self.place == Where::Started {
            self.gate.pass();
        }
    }

    fn stopping(&mut self, _: &mut Self::Context) -> Running {
        if self.place == Where::Stopping {
            self.gate.pass();
        }
        Running::Stop
    }
}

impl Drop for Somewhere {
    fn drop(&mut self) {
        if self.place == Where::Drop {
            self.gate.pass();
        }
    }
}

struct InFactory(Where, std::sync::Arc<Gate>);

impl Drop for InFactory {
    fn drop(&mut self) {
        if self.0 == Where::FactoryDrop {
            self.1.pass();
        }
    }
}

#[actix::test]
async fn bound_holds_for_callers_on_other_threads_wherever_the_service_blocks() {
    use Where::{Drop, Factory, FactoryDrop, Started, Stopping};
    for place in [Factory, Started, Stopping, Drop, FactoryDrop] {
        let tree = tree_elsewhere().await;
        let (tell, told) = mpsc::channel();
        let (hold, release) = mpsc::channel::<()>();
        let gate = std::sync::Arc::new(Gate(tell, Mutex::new(release)));
        let kept = InFactory(place, std::sync::Arc::clone(&gate));
        let factory = move || {
            if kept.0 == Factory {
                kept.1.pass();
            }
            Somewhere {
                place: kept.0,
                gate: std::sync::Arc::clone(&kept.1),
            }
        };
        let spec = ServiceSpec::new("somewhere", factory);
        tree.sub.add(spec).await.unwrap();
        if matches!(place, Factory | Started) {
            told.recv().unwrap();
        }
        let report = soon(tree.root.shutdown_within(LIMIT)).await.unwrap();
        drop(hold);
        assert!(!report.is_clean(), "{place:?}");
        if place != FactoryDrop {
            assert_eq!(paths(&report)[0], "root/sub/somewhere", "{place:?}");
        }
        soon(tree.root.join()).await.unwrap();
        tree.end();
    }
}

#[actix::test]
async fn stop_of_another_tree_on_the_blocked_thread_is_not_told_as_a_clean_one() {
    let tree = tree_elsewhere().await;
    let (tell, told) = tokio::sync::oneshot::channel();
    tree.arbiter.spawn(async move {
        let _test_gone = tell.send(root().await);
    });
    let empty = soon(told).await.unwrap();
    let hold = block(&tree.deep);
    let report: ShutdownReport = soon(empty.shutdown_within(LIMIT)).await.unwrap();
    drop(hold);
    assert_eq!(paths(&report), ["root"]);
    soon(empty.join()).await.unwrap();
    soon(tree.root.shutdown()).await.unwrap();
    tree.end();
}

#[derive(Message)]
#[rtype(result = "()")]
struct Panic;

impl Handler<Panic> for SupervisorActor {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Self::Context) {
        panic!("on purpose");
    }
}

#[actix::test]
async fn supervisor_that_panics_does_not_wait_for_what_is_stuck_below_it() {
    let root = root().await;
    for placement in [Placement::Dedicated, Placement::Pool] {
        let mut sub = SupervisorActor::with_defaults("sub");
        let stuck = sub.add(blocker("stuck", &placement)).unwrap();
        let prompt = sub.add(blocker("prompt", &Placement::Dedicated)).unwrap();
        let sub = ServiceSpec::supervisor(sub).shutdown(Shutdown::Timeout(Duration::from_secs(1)));
        let sub = root.add_and_wait(sub).await.unwrap();
        let hold = block(&stuck);
        let mut events = root.events();
        sub.do_send(Panic);
        soon(async {
            while let Some(event) = events.next().await {
                if matches!(event.kind(), EventKind::ServiceReady) && event.path() == "root/sub" {
                    break;
                }
            }
        })
        .await;
        assert_eq!(soon(prompt.send(Which)).await.unwrap().0, 1);
        assert_eq!(root.tree_abandoned_threads(), 1);
        if matches!(placement, Placement::Dedicated) {
            assert_eq!(soon(stuck.send(Which)).await.unwrap().0, 1);
        }
        drop(hold);
        until(|| root.tree_abandoned_threads() == 0).await;
        let tier = SupervisorRef::try_from(&sub).unwrap();
        soon(async { while tier.counts().await.unwrap().ready < 2 {} }).await;
        soon(stuck.send(Which)).await.unwrap();
        soon(root.remove(sub.token())).await.unwrap();
    }
    assert!(soon(root.shutdown()).await.unwrap().is_clean());
}

#[actix::test]
async fn who_blocks_the_thread_of_a_supervisor_is_named_with_that() {
    for remove in [false, true] {
        let root = root().await;
        let mut low = SupervisorActor::with_defaults("low");
        let deep = low.add(blocker("deep", &Placement::Inherit)).unwrap();
        let busy = low.add(blocker("busy", &Placement::Dedicated)).unwrap();
        let mut sub = SupervisorActor::with_defaults("sub");
        sub.add(ServiceSpec::supervisor(low)).unwrap();
        let sub = ServiceSpec::supervisor(sub)
            .placement(Placement::Dedicated)
            .shutdown(Shutdown::Timeout(LIMIT));
        let sub = root.add_and_wait(sub).await.unwrap();
        // On another thread, and asked by nobody: it blocks nobody.
        let busy = block(&busy);
        let hold = block(&deep);
        let report = if remove {
            soon(root.remove(sub.token())).await.unwrap();
            soon(root.shutdown()).await.unwrap()
        } else {
            soon(root.shutdown_within(LIMIT)).await.unwrap()
        };
        drop((hold, busy));
        let mut named = paths(&report);
        named.sort_unstable();
        assert_eq!(named, ["root/sub", "root/sub/low/deep"]);
        let tokens = report
            .unstopped()
            .iter()
            .map(resurgam::UnstoppedService::token);
        assert!(tokens.collect::<Vec<_>>().contains(&deep.token()));
    }
}

#[actix::test]
async fn services_below_a_supervisor_that_is_lost_do_not_run_on_until_its_thread_is_back() {
    let root = root().await;
    let mut low = SupervisorActor::with_defaults("low");
    let deep = low.add(blocker("deep", &Placement::Pool)).unwrap();
    let mut sub = SupervisorActor::with_defaults("sub");
    let inside = sub.add(blocker("inside", &Placement::Inherit)).unwrap();
    let outside = sub.add(blocker("outside", &Placement::Dedicated)).unwrap();
    sub.add(ServiceSpec::supervisor(low)).unwrap();
    let sub = ServiceSpec::supervisor(sub)
        .placement(Placement::Dedicated)
        .shutdown(Shutdown::Timeout(LIMIT));
    let sub = root.add_and_wait(sub).await.unwrap();
    let hold = block(&inside);
    let queued = outside.send(Which);
    soon(queued).await.unwrap();
    let mut events = root.events();
    soon(root.remove(sub.token())).await.unwrap();
    until(|| !outside.connected() && !deep.connected()).await;
    assert_eq!(soon(outside.send(Which)).await, Err(MailboxError::Closed));
    assert!(inside.connected(), "its thread is still blocked");

    drop(hold);
    until(|| !inside.connected()).await;
    let mut removed = Vec::new();
    soon(async {
        while removed.len() < 5 {
            let event = events.next().await.unwrap();
            if matches!(event.kind(), EventKind::ServiceRemoved { .. }) {
                removed.push(event.path().to_owned());
            }
        }
    })
    .await;
    removed.sort_unstable();
    let below = ["inside", "low", "low/deep", "outside"].map(|name| format!("root/sub/{name}"));
    assert_eq!(removed[0], "root/sub");
    assert_eq!(removed[1..], below);
    until(|| root.tree_abandoned_threads() == 0).await;
    assert!(soon(root.shutdown()).await.unwrap().is_clean());
}
