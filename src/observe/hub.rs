//! Hands events to those who have subscribed, and never waits for them.
//!
//! # Invariants
//!
//! 1. Under the lock no code of the user's runs: wakers are woken and dropped, and what is queued is dropped, without it. Any of these may
//!    drop a subscription, which takes the lock.
//! 2. A subscription is in the list until it is dropped, and takes itself out then: a tree that has nothing to tell keeps nothing of it.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use futures::Stream;

use crate::{
    event::{Event, EventKind},
    policy::names_below,
    token::ServiceToken,
    user_value::quietly,
};

/// The one stream of events of a supervision tree.
#[derive(Default)]
pub(crate) struct EventHub(Arc<Subscriptions>);

/// What the hub shares with its subscriptions.
///
/// Supervisors on several threads report to it, hence the lock. It is held to copy an event into bounded queues, or to take one out, and
/// never across an await: whoever has it gives it back at once.
#[derive(Default)]
struct Subscriptions {
    /// How many subscribers wait for more, to be read without the lock: most trees have none, and their events cost nothing.
    listening: AtomicUsize,
    /// How many of them want the events of one supervisor.
    narrow: AtomicUsize,
    list: Mutex<List>,
}

#[derive(Default)]
struct List {
    subscribers: BTreeMap<u64, Subscriber>,
    next: u64,
    /// Whoever subscribes after the close gets a stream that is at its end.
    closed: Closed,
}

/// Whether the tree, or what a subscription is about, has ended.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Closed {
    #[default]
    No,
    Yes,
}

impl EventHub {
    /// Reports whether anybody wants events, so that nobody makes them in vain.
    pub(crate) fn is_observed(&self) -> bool {
        // Relaxed: a concurrent subscription may miss this event; nothing orders the two.
        self.0.listening.load(Ordering::Relaxed) > 0 || super::tracing::is_enabled()
    }

    /// Tells tracing and every subscriber.
    pub(crate) fn report(&self, event: &Event) {
        super::tracing::record(event);
        if self.0.listening.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut list = self.0.lock();
        if list.closed == Closed::Yes {
            return;
        }
        let mut waiting = Vec::new();
        for subscriber in list.subscribers.values_mut() {
            if subscriber.wants(event) {
                subscriber.offer(event);
                waiting.extend(subscriber.waker.take());
            }
        }
        drop(list);
        wake(waiting);
    }

    /// Begins a subscription that holds up to `capacity` events, of everything or of one supervisor.
    pub(crate) fn subscribe(&self, capacity: usize, of: Option<Subtree>) -> Events {
        let mut list = self.0.lock();
        let id = list.next;
        list.next += 1;
        if list.closed == Closed::No {
            let narrow = usize::from(of.is_some());
            self.0.narrow.fetch_add(narrow, Ordering::SeqCst);
            list.subscribers.insert(id, Subscriber::new(capacity, of));
            self.0.note(&list);
        }
        drop(list);
        Events {
            subscriptions: Arc::clone(&self.0),
            id,
            in_a_row: 0,
        }
    }

    /// Ends the subscriptions to the events of a supervisor that is removed, behind what is queued in them.
    pub(crate) fn close_of(&self, supervisor: ServiceToken) {
        // The supervisor was marked as removed before this, and whoever subscribes looks for that mark after it was counted here: one of
        // the two ends the subscription.
        if self.0.narrow.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut list = self.0.lock();
        let mut waiting = Vec::new();
        for subscriber in list.subscribers.values_mut() {
            let of = subscriber.of.as_ref();
            if of.is_some_and(|of| of.supervisor == supervisor) {
                subscriber.closed = Closed::Yes;
                waiting.extend(subscriber.waker.take());
            }
        }
        drop(list);
        wake(waiting);
    }

    /// Ends every subscription, behind what is queued in it.
    pub(crate) fn close(&self) {
        let mut list = self.0.lock();
        list.closed = Closed::Yes;
        self.0.note(&list);
        let subscribers = list.subscribers.values_mut();
        let waiting = subscribers.filter_map(|subscriber| subscriber.waker.take());
        let waiting = waiting.collect();
        drop(list);
        wake(waiting);
    }
}

impl Subscriptions {
    /// Notes how many subscribers are to be told of events.
    fn note(&self, list: &List) {
        let listening = match list.closed {
            Closed::No => list.subscribers.len(),
            Closed::Yes => 0,
        };
        self.listening.store(listening, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        // Nothing panics while the lock is held. If something did, the list would still be whole.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(waiting: Vec<Waker>) {
    for waker in waiting {
        // Another executor's code, which must not be the end of the supervisor whose turn this is.
        let _nobody_to_tell = quietly(|| waker.wake());
    }
}

impl fmt::Debug for EventHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventHub")
            .field("listening", &self.0.listening)
            .finish_non_exhaustive()
    }
}

/// A supervisor and everything below it.
#[derive(Debug)]
pub(crate) struct Subtree {
    pub(crate) supervisor: ServiceToken,
    pub(crate) path: Arc<str>,
}

impl Subtree {
    fn contains(&self, path: &str) -> bool {
        path == &*self.path || names_below(path, &self.path).is_some()
    }
}

/// The events of one subscription that were not read yet.
// A queue of our own: tokio's takes four kilobytes before the first event.
struct Subscriber {
    queue: VecDeque<Event>,
    capacity: usize,
    /// Whose events it wants, if not all.
    of: Option<Subtree>,
    /// Whether what it is about is over.
    closed: Closed,
    /// Events that did not fit since the last one that did.
    missed: u64,
    /// Events that did not fit at all.
    lost: u64,
    /// Who waits for the next event.
    waker: Option<Waker>,
}

impl Subscriber {
    fn new(capacity: usize, of: Option<Subtree>) -> Self {
        Self {
            queue: VecDeque::new(),
            capacity: capacity.max(1),
            of,
            closed: Closed::No,
            missed: 0,
            lost: 0,
            waker: None,
        }
    }

    fn wants(&self, event: &Event) -> bool {
        let of = self.of.as_ref();
        self.closed == Closed::No && of.is_none_or(|of| of.contains(event.path()))
    }

    /// Queues the event if it fits, behind a note of what did not fit before it.
    fn offer(&mut self, event: &Event) {
        // The note takes a place of its own, in front of the first event that fits again, so that it stands where the gap is.
        if self.missed > 0 && self.has_room() {
            let note = event.about(EventKind::EventsLost { count: self.missed });
            self.queue.push_back(note);
            self.missed = 0;
        }
        if self.has_room() {
            self.queue.push_back(event.clone());
        } else {
            self.missed += 1;
            self.lost += 1;
        }
    }

    fn has_room(&self) -> bool {
        self.queue.len() < self.capacity
    }

    fn take(&mut self) -> Option<Event> {
        let event = self.queue.pop_front();
        // The room for a burst of events is not kept for ever.
        if self.queue.is_empty() && self.queue.capacity() > MOST_KEPT {
            self.queue = VecDeque::new();
        }
        event
    }
}

/// A bounded subscription to the events of a supervisor and everything below it, of a root to all of its tree, in the order in which they
/// happened.
///
/// Supervision never waits for it. Events that do not fit are counted ([`lost`](Self::lost)), and the next one that fits comes
/// behind an [`EventKind::EventsLost`]. The stream ends with the tree, also if that ends because the actix system stops, and when the
/// supervisor is removed. Dropping it ends the subscription.
///
/// A subscription belongs to whoever holds it, not to an incarnation. A service that subscribes in `started` and gives the stream to its
/// context ([`add_stream`](actix::AsyncContext::add_stream)) or to a future that it spawns there drops it with each incarnation; one that
/// hands it to a task of its own (`actix::spawn`) has one subscription more with each life.
pub struct Events {
    subscriptions: Arc<Subscriptions>,
    id: u64,
    /// How many events were read without a wait.
    in_a_row: u32,
}

impl Events {
    /// Waits for the next event; `None` once the tree or the supervisor is gone and all events have been read.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no event is lost with the future.
    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// The next event, if one is there.
    pub fn try_next(&mut self) -> Option<Event> {
        let mut list = self.subscriptions.lock();
        list.subscribers.get_mut(&self.id)?.take()
    }

    /// How many events did not fit into this subscription so far.
    pub fn lost(&self) -> u64 {
        let list = self.subscriptions.lock();
        let subscriber = list.subscribers.get(&self.id);
        subscriber.map_or(0, |subscriber| subscriber.lost)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        // A reader that never has to wait gives way to others all the same.
        if self.in_a_row >= BUDGET {
            self.in_a_row = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let next = self.take_or_wait(cx);
        self.in_a_row = if next.is_ready() {
            self.in_a_row + 1
        } else {
            0
        };
        next
    }

    fn take_or_wait(&self, cx: &Context<'_>) -> Poll<Option<Event>> {
        let mut list = self.subscriptions.lock();
        if let Some(answer) = list.answer(self.id) {
            return Poll::Ready(answer);
        }
        if list.is_awaited_by(self.id, cx.waker()) {
            return Poll::Pending;
        }
        drop(list);
        // Not under the lock, and so there may be an event by now.
        let waker = cx.waker().clone();
        let mut list = self.subscriptions.lock();
        if let Some(answer) = list.answer(self.id) {
            return Poll::Ready(answer);
        }
        let subscriber = list.subscribers.get_mut(&self.id);
        let before = subscriber.and_then(|subscriber| subscriber.waker.replace(waker));
        drop(list);
        drop(before);
        Poll::Pending
    }
}

impl List {
    /// The next event, or the end; `None` if there is nothing to tell.
    #[expect(
        clippy::option_option,
        reason = "the inner one is what a stream answers"
    )]
    fn answer(&mut self, id: u64) -> Option<Option<Event>> {
        // Not in the list: the tree had ended before this subscription began.
        let Some(subscriber) = self.subscribers.get_mut(&id) else {
            return Some(None);
        };
        if let Some(event) = subscriber.take() {
            return Some(Some(event));
        }
        let over = self.closed == Closed::Yes || subscriber.closed == Closed::Yes;
        over.then_some(None)
    }

    fn is_awaited_by(&self, id: u64, waker: &Waker) -> bool {
        let subscriber = self.subscribers.get(&id);
        let known = subscriber.and_then(|subscriber| subscriber.waker.as_ref());
        known.is_some_and(|known| known.will_wake(waker))
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let mut list = self.subscriptions.lock();
        let gone = list.subscribers.remove(&self.id);
        let narrow = gone.as_ref().is_some_and(|gone| gone.of.is_some());
        let narrow = usize::from(narrow);
        self.subscriptions
            .narrow
            .fetch_sub(narrow, Ordering::SeqCst);
        self.subscriptions.note(&list);
        drop(list);
        drop(gone);
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.get_mut().poll(cx)
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("lost", &self.lost())
            .finish_non_exhaustive()
    }
}

/// For how many events an empty queue keeps its room.
const MOST_KEPT: usize = 32;
/// How many events are read in a row before the reader yields.
const BUDGET: u32 = 128;

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, Mutex},
        task::{Context, Poll, Wake, Waker},
        time::Instant,
    };

    use futures::{FutureExt, StreamExt};

    use super::*;
    use crate::{
        event::{Event, EventKind},
        token::SupervisorId,
    };

    fn event() -> Event {
        event_of("root")
    }

    fn event_of(path: &str) -> Event {
        #[expect(clippy::disallowed_methods, reason = "an event has a time")]
        let now = Instant::now();
        Event::new(Arc::from(path), None, 0, now, EventKind::ServiceAdded)
    }

    #[test]
    fn subscription_that_is_dropped_leaves_nothing_behind_without_an_event() {
        let hub = EventHub::default();
        for _ in 0..10_000 {
            drop(hub.subscribe(1024, None));
        }
        let kept: Vec<_> = (0..10).map(|_| hub.subscribe(1024, None)).collect();
        assert_eq!(hub.0.lock().subscribers.len(), 10);
        assert_eq!(hub.0.listening.load(Ordering::Relaxed), 10);
        drop(kept);
        assert_eq!(hub.0.lock().subscribers.len(), 0);
        assert_eq!(hub.0.listening.load(Ordering::Relaxed), 0);
        assert_eq!(Arc::strong_count(&hub.0), 1);
    }

    #[test]
    fn subscription_takes_no_room_before_there_is_an_event_and_gives_it_back() {
        let hub = EventHub::default();
        let mut events = hub.subscribe(1024, None);
        let room = |hub: &EventHub| {
            let list = hub.0.lock();
            list.subscribers[&0].queue.capacity()
        };
        assert_eq!(room(&hub), 0);
        for _ in 0..1000 {
            hub.report(&event());
        }
        assert!(room(&hub) >= 1000);
        while events.try_next().is_some() {}
        assert!(room(&hub) <= MOST_KEPT);
    }

    #[test]
    fn loss_is_told_once() {
        let hub = EventHub::default();
        let mut events = hub.subscribe(2, None);
        for _ in 0..5 {
            hub.report(&event());
        }
        while events.try_next().is_some() {}
        let mut told = Vec::new();
        for _ in 0..4 {
            hub.report(&event());
            told.extend(std::iter::from_fn(|| events.try_next()));
        }
        let notes = told.iter().filter_map(|event| match event.kind() {
            EventKind::EventsLost { count } => Some(*count),
            _ => None,
        });
        assert_eq!(notes.collect::<Vec<_>>(), [3]);
        assert_eq!((told.len(), events.lost()), (5, 3));
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
        hub.report(&event());
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
        hub.report(&event());
        hub.close();
        hub.report(&event());
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
            hub.report(&event_of(path));
        }
        hub.close_of(supervisor);
        hub.report(&event_of("root/site"));
        let told = std::iter::from_fn(|| events.next().now_or_never().flatten());
        let told: Vec<_> = told.map(|event| event.path().to_owned()).collect();
        assert_eq!(told, ["root/site", "root/site/a/b"]);
        assert!(matches!(events.next().now_or_never(), Some(None)));
        let told = std::iter::from_fn(|| of_another.try_next()).count();
        assert_eq!(told, 3);
        drop((events, of_another));
        assert_eq!(hub.0.narrow.load(Ordering::Relaxed), 0);
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
        hub.report(&event());
        assert_eq!(hub.0.lock().subscribers.len(), 1);
    }

    #[test]
    fn reader_that_never_waits_gives_way() {
        let hub = EventHub::default();
        let mut events = hub.subscribe(1024, None);
        for _ in 0..1000 {
            hub.report(&event());
        }
        let mut cx = Context::from_waker(Waker::noop());
        let ready = (0..1000).filter(|_| events.poll_next_unpin(&mut cx).is_ready());
        let ready = ready.count();
        assert!((900..1000).contains(&ready), "{ready}");
    }
}
