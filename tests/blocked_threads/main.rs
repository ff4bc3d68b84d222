//! Services that block the thread they run on: they are written off with it, and nobody waits for them.
//!
//! In real time, since other threads are involved. What blocks is released by the test, at its end at the latest.
#![expect(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod keyed;
mod late;
mod report;
mod support;

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use actix::prelude::*;
use resurgam::{
    BlockingContext, EventKind, Placement, RestartError, RestartType, ServiceSpec, Shutdown,
    Strategy, SupervisorActor, SupervisorRef, SupervisorSpec,
};

use crate::support::{
    Block, Blocker, LONG, UNRESPONSIVE, Which, block, blocker, paths, root, soon, tree_elsewhere,
    until,
};

#[actix::test]
async fn dedicated_service_gets_a_new_thread_with_its_mailbox() {
    let root = root().await;
    let stuck = blocker("stuck", &Placement::Dedicated);
    let stuck = root.add_and_wait(stuck).await.unwrap();
    let (_, before) = stuck.send(Which).await.unwrap();
    let hold = block(&stuck);
    let queued = stuck.send(Which);
    assert_eq!(root.tree_abandoned_threads(), 0);

    // It returns, and while the old thread is still blocked.
    soon(root.restart(stuck.token())).await.unwrap();
    let (generation, thread) = soon(queued).await.unwrap();
    assert_eq!(generation, 1);
    assert_ne!(thread, before);
    assert_eq!(root.tree_abandoned_threads(), 1);

    // The late one disturbs nobody.
    let mut events = root.events();
    drop(hold);
    until(|| root.tree_abandoned_threads() == 0).await;
    assert_eq!(soon(stuck.send(Which)).await.unwrap(), (1, thread));
    assert_eq!(root.counts().await.unwrap().ready, 1);
    assert!(events.try_next().is_none());
    assert!(soon(root.shutdown()).await.unwrap().is_clean());
}

#[actix::test]
async fn blocking_function_is_called_again_beside_the_call_that_was_abandoned() {
    let root = root().await;
    let calls = Arc::new(AtomicU32::new(0));
    let (returned, late) = mpsc::channel();
    let (hold, release) = mpsc::channel::<()>();
    let release = Mutex::new(release);
    let function = {
        let calls = Arc::clone(&calls);
        move |cx: BlockingContext| {
            if calls.fetch_add(1, Ordering::SeqCst) == 0 {
                let _dropped = release
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .recv();
                let _test_gone = returned.send(cx.is_stopping());
            } else {
                while !cx.is_stopping() {
                    thread::park_timeout(Duration::from_millis(1));
                }
            }
            Ok::<_, Infallible>(())
        }
    };
    let stuck = ServiceSpec::blocking("stuck", function)
        .shutdown(Shutdown::Timeout(Duration::from_millis(10)));
    let stuck = root.add_and_wait(stuck).await.unwrap();
    until(|| calls.load(Ordering::SeqCst) == 1).await;

    soon(root.restart(stuck.token())).await.unwrap();
    until(|| calls.load(Ordering::SeqCst) == 2).await;
    assert_eq!(root.tree_abandoned_threads(), 1);
    drop(hold);
    assert!(late.recv_timeout(LONG).unwrap(), "it is told to return");
    until(|| root.tree_abandoned_threads() == 0).await;
    assert_eq!(root.counts().await.unwrap().ready, 1);
    assert!(soon(root.shutdown()).await.unwrap().is_clean());
}

#[actix::test]
async fn group_and_what_is_bound_do_not_wait_for_one_that_was_abandoned() {
    for placement in [Placement::Dedicated, Placement::Pool] {
        let spec = SupervisorSpec::default().strategy(Strategy::OneForAll);
        let mut root = SupervisorActor::new("root", spec);
        let stuck = root.add(blocker("stuck", &placement)).unwrap();
        let failing = blocker("failing", &Placement::Inherit);
        let failing = root.add(failing).unwrap();
        let sibling = blocker("sibling", &Placement::Inherit).binds_to("failing");
        let sibling = root.add(sibling).unwrap();
        let root = root.start().await.unwrap();
        let hold = block(&stuck);

        root.restart(failing.token()).await.unwrap();
        let (blocked, _) = mpsc::channel();
        let (_, release) = mpsc::channel();
        // Returns at once, and panics.
        failing.do_send(Block { blocked, release });
        assert_eq!(soon(failing.send(Which)).await.unwrap().0, 2);
        assert_eq!(soon(sibling.send(Which)).await.unwrap().0, 2);

        drop(hold);
        soon(async { while root.counts().await.unwrap().ready < 3 {} }).await;
        assert_eq!(soon(stuck.send(Which)).await.unwrap().0, 1);
        until(|| root.tree_abandoned_threads() == 0).await;
        assert!(soon(root.shutdown()).await.unwrap().is_clean());
    }
}

#[actix::test]
async fn service_on_a_shared_thread_has_failed_until_that_is_back() {
    let arbiter = Arbiter::new();
    for placement in [Placement::Arbiter(arbiter.handle()), Placement::Pool] {
        let root = root().await;
        let stuck = root
            .add_and_wait(blocker("stuck", &placement))
            .await
            .unwrap();
        let (_, thread) = stuck.send(Which).await.unwrap();
        let hold = block(&stuck);
        let refused = Err(RestartError::failed(UNRESPONSIVE));
        assert_eq!(soon(root.restart(stuck.token())).await, refused);
        assert_eq!(soon(root.restart(stuck.token())).await, refused);
        assert!(soon(root.reset(stuck.token())).await.is_err());
        assert_eq!(root.counts().await.unwrap().failed, 1);
        assert_eq!(root.tree_abandoned_threads(), 1);
        // Refused meanwhile, and not left to wait for the thread.
        assert_eq!(soon(stuck.send(Which)).await, Err(MailboxError::Closed));

        let mut events = root.events();
        drop(hold);
        soon(async {
            while let Some(event) = events.next().await {
                if matches!(event.kind(), EventKind::ServiceReady) {
                    break;
                }
            }
        })
        .await;
        assert_eq!(root.tree_abandoned_threads(), 0);
        let (generation, back) = soon(stuck.send(Which)).await.unwrap();
        assert_eq!(generation, 1);
        if matches!(placement, Placement::Arbiter(_)) {
            assert_eq!(back, thread);
        } else {
            assert_ne!(back, thread::current().id());
        }
        assert!(soon(root.shutdown()).await.unwrap().is_clean());
    }
    arbiter.stop();
}

#[actix::test]
async fn address_of_one_that_is_stuck_is_closed_once_it_is_removed() {
    let arbiter = Arbiter::new();
    let placements = [
        Placement::Dedicated,
        Placement::Pool,
        Placement::Arbiter(arbiter.handle()),
    ];
    for placement in placements {
        let root = root().await;
        let stuck = root
            .add_and_wait(blocker("stuck", &placement))
            .await
            .unwrap();
        let hold = block(&stuck);
        let queued = stuck.send(Which);
        assert_eq!(soon(root.remove(stuck.token())).await, Ok(UNRESPONSIVE));
        assert!(!stuck.connected(), "{placement:?}");
        assert_eq!(soon(queued).await, Err(MailboxError::Closed));
        assert_eq!(soon(stuck.send(Which)).await, Err(MailboxError::Closed));
        // The name is free.
        let next = root.add_and_wait(blocker("stuck", &Placement::Inherit));
        let next = next.await.unwrap();
        drop(hold);
        until(|| root.tree_abandoned_threads() == 0).await;
        assert_eq!(next.send(Which).await.unwrap().0, 0);
        assert!(soon(root.shutdown()).await.unwrap().is_clean());
    }
    arbiter.stop();
}

#[actix::test]
async fn factory_that_hangs_is_lost_and_its_service_has_failed() {
    let arbiter = Arbiter::new();
    for placement in [Placement::Dedicated, Placement::Arbiter(arbiter.handle())] {
        let root = root().await;
        let (hold, release) = mpsc::channel::<()>();
        let factory = move || {
            let _dropped = release.recv();
            Blocker
        };
        let stuck = ServiceSpec::new("stuck", factory)
            .placement(placement)
            .start_timeout(Duration::from_millis(10));
        let mut events = root.events();
        let stuck = root.add(stuck).await.unwrap();
        soon(async {
            while let Some(event) = events.next().await {
                if matches!(event.kind(), EventKind::ServiceAbandoned) {
                    break;
                }
            }
        })
        .await;
        // Behind what follows from that.
        until_failed(&root).await;
        let refused = Err(RestartError::failed(UNRESPONSIVE));
        assert_eq!(soon(root.restart(stuck.token())).await, refused);
        drop(hold);
        until(|| root.tree_abandoned_threads() == 0).await;
        assert_eq!(soon(root.restart(stuck.token())).await, refused);
        soon(root.remove(stuck.token())).await.unwrap();
        until(|| !stuck.connected()).await;
        soon(root.shutdown()).await.unwrap();
    }
    arbiter.stop();
}

async fn until_failed(root: &SupervisorRef) {
    soon(async { while root.counts().await.unwrap().failed == 0 {} }).await;
}

#[actix::test]
async fn supervisor_whose_thread_hangs_is_lost_with_its_services() {
    let root = root().await;
    let mut tier = SupervisorActor::with_defaults("tier");
    let inside = tier.add(blocker("inside", &Placement::Inherit)).unwrap();
    let tier = ServiceSpec::supervisor(tier)
        .placement(Placement::Dedicated)
        .shutdown(Shutdown::Timeout(Duration::from_millis(10)));
    let tier = root.add_and_wait(tier).await.unwrap();
    let hold = block(&inside);
    let refused = Err(RestartError::failed(UNRESPONSIVE));
    assert_eq!(soon(root.restart(tier.token())).await, refused);
    assert_eq!(root.counts().await.unwrap().failed, 1);
    soon(root.remove(tier.token())).await.unwrap();
    assert!(!tier.connected());
    drop(hold);
    // What it kept goes with it.
    until(|| !inside.connected()).await;
    until(|| root.tree_abandoned_threads() == 0).await;
    assert!(soon(root.shutdown()).await.unwrap().is_clean());
}

#[actix::test]
async fn service_that_waits_behind_a_blocked_one_is_started_when_the_thread_is_back() {
    let arbiter = Arbiter::new();
    let placement = Placement::Arbiter(arbiter.handle());
    let root = root().await;
    let stuck = root
        .add_and_wait(blocker("stuck", &placement))
        .await
        .unwrap();
    let hold = block(&stuck);
    let behind = blocker("behind", &placement).start_timeout(Duration::from_millis(10));
    let behind = root.add(behind).await.unwrap();
    until_failed(&root).await;
    let mut events = root.events();
    drop(hold);
    soon(async {
        while let Some(event) = events.next().await {
            let ready = matches!(event.kind(), EventKind::ServiceReady);
            if ready && event.path() == "root/behind" {
                break;
            }
        }
    })
    .await;
    assert_eq!(soon(behind.send(Which)).await.unwrap().0, 1);
    soon(root.shutdown()).await.unwrap();
    arbiter.stop();
}

#[actix::test]
async fn temporary_service_that_was_stuck_is_not_started_again() {
    let root = root().await;
    let stuck = blocker("stuck", &Placement::Pool).restart(RestartType::Temporary);
    let stuck = root.add_and_wait(stuck).await.unwrap();
    let hold = block(&stuck);
    assert!(soon(root.restart(stuck.token())).await.is_err());
    drop(hold);
    // Forgotten, as one that was added later and has ended for good.
    soon(async { while root.counts().await.unwrap().services > 0 {} }).await;
    until(|| !stuck.connected()).await;
    assert!(soon(root.shutdown()).await.unwrap().is_clean());
}

#[actix::test]
async fn caller_on_another_thread_does_not_wait_for_the_blocked_thread_of_the_root() {
    let tree = tree_elsewhere().await;
    let hold = block(&tree.deep);
    let limit = Duration::from_millis(100);
    let report = soon(tree.root.shutdown_within(limit)).await.unwrap();
    // Only now may it go on.
    drop(hold);
    let who = &report.unstopped()[0];
    assert_eq!(
        (who.path(), who.token(), who.generation()),
        ("root/sub/deep", tree.deep.token(), 0)
    );
    assert_eq!(
        paths(&report)[1..],
        ["root/idle", "root/sub", "root/sub/idle"]
    );
    // The stop goes on, and is that of the first order.
    soon(tree.root.join()).await.unwrap();
    tree.end();
}

#[actix::test]
async fn end_of_a_subtree_does_not_wait_for_its_blocked_thread_either() {
    let tree = tree_elsewhere().await;
    let hold = block(&tree.deep);
    let limit = Duration::from_millis(100);
    let report = soon(tree.sub.shutdown_within(limit)).await.unwrap();
    drop(hold);
    assert_eq!(paths(&report), ["root/sub/deep", "root/sub/idle"]);
    soon(tree.root.shutdown()).await.unwrap();
    tree.end();
}

#[actix::test]
async fn prompt_end_on_another_thread_is_told_by_the_supervisors() {
    let tree = tree_elsewhere().await;
    let report = soon(tree.root.shutdown_within(LONG)).await.unwrap();
    assert!(report.is_clean(), "{report}");
    // Also of the one that has ended already, within any time.
    let again = tree.root.shutdown_within(Duration::ZERO).await.unwrap();
    assert!(again.is_clean(), "{again}");
    tree.end();
}

#[actix::test]
async fn caller_on_the_thread_of_the_root_does_not_wait_for_that_of_a_subtree() {
    let root = root().await;
    let sub = ServiceSpec::supervisor(SupervisorActor::with_defaults("sub"));
    let sub = sub.placement(Placement::Dedicated);
    let sub = root.add_and_wait(sub).await.unwrap();
    let sub = SupervisorRef::try_from(sub).unwrap();
    let deep = blocker("deep", &Placement::Inherit);
    let deep = sub.add_and_wait(deep).await.unwrap();
    let hold = block(&deep);
    let limit = Duration::from_millis(100);
    let report = soon(sub.shutdown_within(limit)).await.unwrap();
    drop(hold);
    assert_eq!(paths(&report), ["root/sub/deep"]);
    soon(root.shutdown()).await.unwrap();
}

#[actix::test]
async fn thread_that_no_service_blocks_makes_no_culprit() {
    let tree = tree_elsewhere().await;
    let (hold, release) = mpsc::channel::<()>();
    let (blocked, reached) = mpsc::channel();
    tree.arbiter.spawn_fn(move || {
        let _test_gone = blocked.send(());
        let _released_or_test_gone = release.recv();
    });
    // Else the stop may be over before the thread comes to it.
    reached.recv_timeout(LONG).unwrap();
    let limit = Duration::from_millis(100);
    let report = soon(tree.root.shutdown_within(limit)).await.unwrap();
    drop(hold);
    let all = ["root/idle", "root/sub", "root/sub/idle", "root/sub/deep"];
    assert_eq!(paths(&report), all);
    soon(tree.root.join()).await.unwrap();
    tree.end();
}
