//! Tests of subscriptions.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Instant,
};

use futures::{FutureExt, StreamExt};

use super::{super::subscriber::MOST_KEPT, *};
use crate::{
    event::{EventKind, Occurrence},
    observe::Event,
    policy::{ExitReason, ServiceError},
    token::SupervisorId,
};

fn event() -> Occurrence {
    event_of("root")
}

fn event_of(path: &str) -> Occurrence {
    #[expect(clippy::disallowed_methods, reason = "an event has a time")]
    let now = Instant::now();
    Occurrence::new(Arc::from(path), None, 0, now, EventKind::ServiceAdded)
}

#[test]
fn subscription_that_is_dropped_leaves_nothing_behind_without_an_event() {
    let hub = EventHub::default();
    for _ in 0..10_000 {
        drop(hub.subscribe(1024, None));
    }
    let kept: Vec<_> = (0..10).map(|_| hub.subscribe(1024, None)).collect();
    assert_eq!(hub.subscriptions.lock().subscribers.len(), 10);
    assert_eq!(hub.subscriptions.listening.load(Ordering::Relaxed), 10);
    drop(kept);
    assert_eq!(hub.subscriptions.lock().subscribers.len(), 0);
    assert_eq!(hub.subscriptions.listening.load(Ordering::Relaxed), 0);
    assert_eq!(Arc::strong_count(&hub.subscriptions), 1);
}

#[test]
fn subscription_takes_no_room_before_there_is_an_event_and_gives_it_back() {
    let hub = EventHub::default();
    let mut events = hub.subscribe(1024, None);
    let room = |hub: &EventHub| {
        let list = hub.subscriptions.lock();
        list.subscribers[&0].room()
    };
    assert_eq!(room(&hub), 0);
    for _ in 0..1000 {
        hub.report(event());
    }
    assert!(room(&hub) >= 1000);
    while events.try_next().is_some() {}
    assert!(room(&hub) <= MOST_KEPT);
}

fn told(events: &mut Events) -> Vec<Event> {
    std::iter::from_fn(|| events.try_next()).collect()
}

fn numbers(events: &[Event]) -> Vec<u64> {
    events.iter().map(Event::sequence).collect()
}

#[test]
fn loss_is_told_once_where_the_gap_is_and_about_the_tree() {
    let hub = EventHub::default();
    let mut events = hub.subscribe(2, None);
    for path in ["root/a", "root/b", "root/c", "root/d", "root/e"] {
        hub.report(event_of(path));
    }
    let first = told(&mut events);
    assert_eq!(numbers(&first), [1, 2, 5]);
    let note = &first[2];
    assert!(matches!(note.kind(), EventKind::EventsLost { count: 3 }));
    assert_eq!((note.path(), note.token()), ("root", None));
    for _ in 0..4 {
        hub.report(event());
    }
    // Read in the middle: the note stands between what was there before the gap and what came behind it.
    let mut second: Vec<_> = events.try_next().into_iter().collect();
    hub.report(event());
    second.extend(told(&mut events));
    assert_eq!(numbers(&second), [6, 7, 9, 10]);
    let notes = second.iter().map(|event| event.kind().name());
    assert_eq!(notes.filter(|name| *name == "events_lost").count(), 2);
    assert_eq!(events.lost(), 6);
}

#[test]
fn filter_keeps_names_below_a_path_and_what_went_wrong() {
    let hub = EventHub::default();
    let failure = |path: &str| {
        let reason = ExitReason::Failed(ServiceError::new("disk full"));
        let kind = EventKind::ServiceGaveUp { reason };
        let event = event_of(path);
        Occurrence::new(Arc::from(path), None, 0, event.at(), kind)
    };
    let mut all = hub.subscribe(64, None);
    let below = hub.subscribe(64, None).below("root/site/");
    let mut failures = hub.subscribe(64, None).below("root/site").failures();
    let mut narrow = hub.subscribe(64, None).below("root").below("root/site/a");
    let paths = ["root", "root/site", "root/sites", "root/site/a", "root/si"];
    for path in paths {
        hub.report(event_of(path));
        hub.report(failure(path));
    }
    assert_eq!(told(&mut all).len(), 10);
    // What is queued is filtered, too.
    let mut below = below.below("root/site");
    assert_eq!(numbers(&told(&mut below)), [3, 4, 7, 8]);
    assert_eq!(numbers(&told(&mut failures)), [4, 8]);
    assert_eq!(numbers(&told(&mut narrow)), [7, 8]);

    let mut late = hub.subscribe(64, None);
    hub.report(event_of("root"));
    hub.report(failure("root"));
    late = late.failures();
    assert_eq!(numbers(&told(&mut late)), [12]);
}

#[test]
fn what_is_not_wanted_is_never_lost() {
    let hub = EventHub::default();
    let mut events = hub.subscribe(1, None).failures();
    for _ in 0..10 {
        hub.report(event());
    }
    assert!(told(&mut events).is_empty());
    assert_eq!(events.lost(), 0);
}

#[test]
fn early_subscriptions_are_told_by_the_hub_of_their_tree_and_leave_nothing_behind() {
    let supervisor = ServiceToken::issue(SupervisorId::issue(), 0);
    let of = || Subtree {
        supervisor,
        path: Arc::from("root/site"),
    };
    let tree = EventHub::default();
    let mut early = EarlyEvents::default();
    let (mut one, two) = (early.subscribe(8), early.subscribe(8));
    drop(two);
    early.join(&tree, of());
    drop(early);
    for path in ["root", "root/site", "root/sites", "root/site/a"] {
        tree.report(event_of(path));
    }
    assert_eq!(tree.subscriptions.listening.load(Ordering::Relaxed), 1);
    assert_eq!(numbers(&told(&mut one)), [2, 4]);
    drop(one);
    assert_eq!(tree.subscriptions.listening.load(Ordering::Relaxed), 0);
    assert!(tree.subscriptions.lock().relays.is_empty());
    assert_eq!(tree.subscriptions.narrow.load(Ordering::Relaxed), 0);

    let mut gone = EarlyEvents::default();
    drop(gone.subscribe(8));
    gone.join(&tree, of());
    assert!(tree.subscriptions.lock().relays.is_empty());

    let mut removed = EarlyEvents::default();
    let mut events = removed.subscribe(8);
    removed.join(&tree, of());
    tree.close_of(supervisor);
    assert!(matches!(events.next().now_or_never(), Some(None)));

    let mut over = EarlyEvents::default();
    let mut events = over.subscribe(8);
    over.join(&tree, of());
    tree.close();
    assert!(matches!(events.next().now_or_never(), Some(None)));
    let mut late = EarlyEvents::default();
    let mut events = late.subscribe(8);
    late.join(&tree, of());
    assert!(matches!(events.next().now_or_never(), Some(None)));

    let unstarted = EarlyEvents::default();
    let mut events = unstarted.subscribe(8);
    drop(unstarted);
    assert!(matches!(events.next().now_or_never(), Some(None)));
}

#[test]
fn reader_is_woken_by_an_event_and_by_the_end() {
    struct Flag(AtomicUsize);
    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let flag = Arc::new(Flag(AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&flag));
    let mut cx = Context::from_waker(&waker);
    let hub = EventHub::default();
    let mut events = hub.subscribe(8, None);
    assert!(events.poll_next_unpin(&mut cx).is_pending());
    hub.report(event());
    assert_eq!(flag.0.load(Ordering::Relaxed), 1);
    assert!(matches!(
        events.poll_next_unpin(&mut cx),
        Poll::Ready(Some(_))
    ));
    assert!(events.poll_next_unpin(&mut cx).is_pending());
    hub.close();
    assert_eq!(flag.0.load(Ordering::Relaxed), 2);
    assert!(matches!(events.poll_next_unpin(&mut cx), Poll::Ready(None)));
    assert!(
        hub.subscribe(1, None)
            .next()
            .now_or_never()
            .flatten()
            .is_none()
    );
}

#[test]
fn what_is_queued_comes_before_the_end() {
    let hub = EventHub::default();
    let mut events = hub.subscribe(8, None);
    hub.report(event());
    hub.close();
    hub.report(event());
    assert!(events.next().now_or_never().flatten().is_some());
    assert!(matches!(events.next().now_or_never(), Some(None)));
}

#[test]
fn subscription_to_a_supervisor_has_its_events_alone_and_ends_with_it() {
    let hub = EventHub::default();
    let supervisor = ServiceToken::issue(SupervisorId::issue(), 0);
    let of = |supervisor| {
        let path = Arc::from("root/site");
        Some(Subtree { supervisor, path })
    };
    let mut events = hub.subscribe(8, of(supervisor));
    let other = ServiceToken::issue(SupervisorId::issue(), 0);
    let mut of_another = hub.subscribe(8, of(other));
    for path in [
        "root",
        "root/site",
        "root/site2",
        "root/site/a/b",
        "root/si",
    ] {
        hub.report(event_of(path));
    }
    hub.close_of(supervisor);
    hub.report(event_of("root/site"));
    let told = std::iter::from_fn(|| events.next().now_or_never().flatten());
    let told: Vec<_> = told.map(|event| event.path().to_owned()).collect();
    assert_eq!(told, ["root/site", "root/site/a/b"]);
    assert!(matches!(events.next().now_or_never(), Some(None)));
    let told = std::iter::from_fn(|| of_another.try_next()).count();
    assert_eq!(told, 3);
    drop((events, of_another));
    assert_eq!(hub.subscriptions.narrow.load(Ordering::Relaxed), 0);
}

/// An executor may hold a task by nothing but its waker, so that waking it drops the task, and a subscription with it.
#[test]
fn waker_that_drops_a_subscription_does_not_block() {
    struct Holder(Mutex<Option<Events>>);
    impl Wake for Holder {
        fn wake(self: Arc<Self>) {
            drop(self.0.lock().unwrap().take());
        }
    }
    let hub = EventHub::default();
    let mut events = hub.subscribe(8, None);
    let held = hub.subscribe(8, None);
    let waker = Waker::from(Arc::new(Holder(Mutex::new(Some(held)))));
    let mut cx = Context::from_waker(&waker);
    assert!(events.poll_next_unpin(&mut cx).is_pending());
    hub.report(event());
    assert_eq!(hub.subscriptions.lock().subscribers.len(), 1);
}

#[test]
fn reader_that_never_waits_gives_way() {
    let hub = EventHub::default();
    let mut events = hub.subscribe(1024, None);
    for _ in 0..1000 {
        hub.report(event());
    }
    let mut cx = Context::from_waker(Waker::noop());
    let ready = (0..1000).filter(|_| events.poll_next_unpin(&mut cx).is_ready());
    let ready = ready.count();
    assert!((900..1000).contains(&ready), "{ready}");
}
