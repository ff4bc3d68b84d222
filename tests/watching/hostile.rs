//! Those who watch are the code of others: what panics there harms nobody else.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use resurgam::{ExitReason, ServiceRef, ServiceState};
use tokio::time;

use crate::support::{Subject, quiet, root, soon, subject};

/// Panics when it is woken, and when it is dropped.
struct Hostile(Arc<AtomicUsize>);

impl Wake for Hostile {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        panic!("woken on purpose");
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        // Two panics at once would abort the process, as everywhere in Rust.
        assert!(std::thread::panicking(), "dropped on purpose");
    }
}

/// Polls with a hostile waker that nobody else holds, and returns how often it was woken.
fn poll_with_hostile<F: Future<Output: std::fmt::Debug>>(future: Pin<&mut F>) -> Arc<AtomicUsize> {
    let woken = Arc::new(AtomicUsize::new(0));
    let waker = Waker::from(Arc::new(Hostile(Arc::clone(&woken))));
    let polled = future.poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending(), "{polled:?}");
    drop(waker);
    woken
}

fn drop_caught<T>(value: T) {
    let _dropped = catch_unwind(AssertUnwindSafe(|| drop(value)));
}

async fn service_is_well(service: &ServiceRef<Subject>) {
    let mut states = service.states();
    assert_eq!(soon(states.next()).await, Some(ServiceState::Ready));
}

#[actix::test]
async fn waker_that_panics_keeps_nobody_from_being_told_and_no_service_from_running() {
    time::pause();
    let root = root().await;
    let service = root.add_and_wait(subject("a")).await.unwrap();
    let other = root.add_and_wait(subject("b")).await.unwrap();
    let mut hostile_end = Box::pin(service.ended());
    let mut hostile_states = service.states();
    assert_eq!(hostile_states.next().await, Some(ServiceState::Ready));
    let mut hostile_next = Box::pin(async move {
        let next = hostile_states.next().await;
        (next, hostile_states)
    });
    let of_end = poll_with_hostile(hostile_end.as_mut());
    let of_states = poll_with_hostile(Pin::new(&mut AssertDebug(&mut hostile_next)));
    let behind = service.ended();
    root.restart(&service).await.unwrap();
    assert_eq!(of_states.load(Ordering::SeqCst), 1);
    assert_eq!(of_end.load(Ordering::SeqCst), 0);
    root.remove(&service).await.unwrap();
    assert_eq!(of_end.load(Ordering::SeqCst), 1);
    assert_eq!(soon(behind).await, ExitReason::Shutdown);
    // They find what they have waited for.
    assert_eq!(soon(hostile_end).await, ExitReason::Shutdown);
    drop(hostile_next);
    service_is_well(&other).await;
    assert!(root.shutdown().await.unwrap().is_clean());
}

/// A future whose output is of no interest.
struct AssertDebug<'a, F>(&'a mut Pin<Box<F>>);

impl<F: Future> Future for AssertDebug<'_, F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx).map(drop)
    }
}

#[actix::test]
async fn waker_that_panics_when_it_is_dropped_is_the_business_of_whoever_has_waited() {
    time::pause();
    let root = root().await;
    let service = root.add_and_wait(subject("a")).await.unwrap();
    let mut leaves = Box::pin(service.ended());
    let woken = poll_with_hostile(leaves.as_mut());
    drop_caught(leaves);
    root.remove(&service).await.unwrap();
    quiet().await;
    assert_eq!(woken.load(Ordering::SeqCst), 0, "it was taken out");
    // One waker takes the place of another.
    let service = root.add_and_wait(subject("a")).await.unwrap();
    let mut ended = Box::pin(service.ended());
    poll_with_hostile(ended.as_mut());
    let polled = catch_unwind(AssertUnwindSafe(|| {
        ended.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }));
    drop(polled);
    root.remove(&service).await.unwrap();
    assert_eq!(soon(ended).await, ExitReason::Shutdown);
    assert!(root.shutdown().await.unwrap().is_clean());
}
