//! Stop, kill, restart, remove and shutdown overtake whatever is queued.

use std::{thread, time::Duration};

use actix::prelude::*;
use resurgam::{ExitReason, Placement, ServiceRef, ServiceState, Shutdown, SupervisorRef};
use tokio::sync::oneshot;

use crate::support::{
    Barrier, Block, Book, Clerk, SLICE, Write, among_tasks, patiently, placements, root,
    until_state,
};

/// How many messages are queued.
const FLOOD: usize = 100_000;

/// A service on some thread with a long queue.
struct Flooded {
    root: SupervisorRef,
    service: ServiceRef<Clerk>,
    book: Book,
    _arbiter: Arbiter,
}

impl Flooded {
    /// The flood is queued when this returns. None of it is handled before the test awaits something.
    async fn here(shutdown: Shutdown) -> Self {
        let flooded = Self::start(Placement::Inherit, shutdown).await;
        flooded.flood();
        flooded
    }

    async fn start(placement: Placement, shutdown: Shutdown) -> Self {
        let root = root().await;
        let book = Book::default();
        let spec = Clerk::spec("flooded", &book)
            .placement(placement)
            .shutdown(shutdown);
        let service = root.add_and_wait(spec).await.unwrap();
        Self {
            root,
            service,
            book,
            _arbiter: Arbiter::new(),
        }
    }

    fn flood(&self) {
        for number in 0..FLOOD {
            self.service.do_send(Write(number));
        }
    }

    /// Asserts that the flood is handled to its end by a later generation, with nothing lost or twice, and in order.
    async fn assert_flood_is_kept(&self, generation: u64) {
        patiently(self.service.send(Barrier)).await.unwrap();
        let lines = self.book.lines();
        let numbers: Vec<_> = lines.iter().map(|(number, _)| *number).collect();
        assert!(numbers.into_iter().eq(0..FLOOD));
        let before = lines.iter().filter(|(_, by)| *by < generation).count();
        assert!(before < SLICE, "{before} messages before the end");
        assert!(lines.iter().all(|(_, by)| *by <= generation));
    }
}

#[actix::test]
async fn stop_overtakes_the_queue_and_restart_finds_it_again() {
    let flooded = Flooded::here(Shutdown::Infinity).await;
    let token = flooded.service.token();

    patiently(flooded.root.stop(token)).await.unwrap();

    let handled = flooded.book.len();
    assert!(handled < SLICE, "{handled} messages before the stop");
    assert_eq!(flooded.book.dropped.get(), 1);

    patiently(flooded.root.restart(token)).await.unwrap();
    flooded.assert_flood_is_kept(1).await;
}

#[actix::test]
async fn kill_overtakes_the_queue() {
    let flooded = Flooded::here(Shutdown::BrutalKill).await;
    let token = flooded.service.token();

    patiently(flooded.root.stop(token)).await.unwrap();

    let handled = flooded.book.len();
    assert!(handled < SLICE, "{handled} messages before the kill");

    patiently(flooded.root.restart(token)).await.unwrap();
    flooded.assert_flood_is_kept(1).await;
}

#[actix::test]
async fn restart_overtakes_the_queue() {
    among_tasks(assert_restart_overtakes()).await;
}

async fn assert_restart_overtakes() {
    let flooded = Flooded::here(Shutdown::Infinity).await;

    patiently(flooded.root.restart(flooded.service.token()))
        .await
        .unwrap();

    assert_eq!(flooded.book.made.get(), 2);
    let handled = flooded.book.len();
    assert!(handled < SLICE, "{handled} messages before the restart");
    flooded.assert_flood_is_kept(1).await;
}

#[actix::test]
async fn remove_overtakes_the_queue_and_everything_in_it_is_refused() {
    let flooded = Flooded::here(Shutdown::Infinity).await;
    let answers: Vec<_> = (0..100).map(|_| flooded.service.send(Barrier)).collect();

    let reason = patiently(flooded.root.remove(flooded.service.token()))
        .await
        .unwrap();

    assert_eq!(reason, ExitReason::Shutdown);
    for answer in answers {
        assert_eq!(patiently(answer).await, Err(MailboxError::Closed));
    }
    assert_eq!(
        flooded.service.send(Barrier).await,
        Err(MailboxError::Closed)
    );
    let handled = flooded.book.len();
    assert!(handled < SLICE, "{handled} messages before the end");
    assert_eq!(flooded.book.dropped.get(), 1);
}

#[actix::test]
async fn shutdown_of_the_tree_overtakes_the_queue() {
    let flooded = Flooded::here(Shutdown::Infinity).await;

    let report = patiently(flooded.root.shutdown()).await.unwrap();

    assert!(report.is_clean(), "{report}");
    let handled = flooded.book.len();
    assert!(handled < SLICE, "{handled} messages before the end");
    assert_eq!(flooded.book.dropped.get(), 1);
}

#[actix::test]
async fn stop_overtakes_the_queue_of_another_thread() {
    let (arbiter, placements) = placements();
    // On this thread a service that blocks would block the test.
    for placement in placements.into_iter().skip(1) {
        let flooded = Flooded::start(placement, Shutdown::Infinity).await;
        let token = flooded.service.token();
        let (blocked, is_blocked) = oneshot::channel();
        let (free, release) = std::sync::mpsc::channel();
        flooded.service.do_send(Block { blocked, release });
        is_blocked.await.unwrap();
        flooded.flood();

        // The supervisor has commanded the stop before the service comes to its first message.
        let root = flooded.root.clone();
        let stop = actix_rt::spawn(async move { root.stop(token).await });
        until_state(&flooded.root, token, ServiceState::Stopping).await;
        assert_eq!(flooded.book.len(), 0);
        free.send(()).unwrap();

        patiently(stop).await.unwrap().unwrap();
        let handled = flooded.book.len();
        assert!(handled < SLICE, "{handled} messages before the stop");

        patiently(flooded.root.restart(token)).await.unwrap();
        flooded.assert_flood_is_kept(1).await;
        patiently(flooded.root.shutdown()).await.unwrap();
    }
    arbiter.stop();
    arbiter.join().unwrap();
}

#[test]
fn remove_ends_though_other_threads_go_on_sending() {
    let (done, is_done) = std::sync::mpsc::channel();
    // A system of its own: were the arbiter kept busy for ever, the test would hang with it instead of failing.
    thread::spawn(move || {
        System::new().block_on(async {
            let (arbiter, placements) = placements();
            for placement in placements {
                assert_remove_ends(placement).await;
            }
            arbiter.stop();
        });
        done.send(())
    });
    is_done
        .recv_timeout(Duration::from_secs(30))
        .expect("the service is still being removed");
}

async fn assert_remove_ends(placement: Placement) {
    let flooded = Flooded::start(placement, Shutdown::Infinity).await;
    let token = flooded.service.token();
    // More than can be dropped meanwhile, until they are refused.
    let flooders: Vec<_> = (0..4)
        .map(|_| {
            let service = flooded.service.clone();
            thread::spawn(move || while service.press() {})
        })
        .collect();
    let begun = async {
        while flooded.book.len() < SLICE {
            tokio::task::yield_now().await;
        }
    };
    patiently(begun).await;

    patiently(flooded.root.remove(token)).await.unwrap();

    for flooder in flooders {
        let refused = tokio::task::spawn_blocking(move || flooder.join());
        patiently(refused).await.unwrap().unwrap();
    }
    patiently(flooded.root.shutdown()).await.unwrap();
}

/// Sends without regard to the capacity.
trait Press {
    /// Reports whether the mailbox is still open.
    fn press(&self) -> bool;
}

impl Press for ServiceRef<Clerk> {
    fn press(&self) -> bool {
        self.do_send(Write(0));
        self.connected()
    }
}
