//! Hands events to those who have subscribed, and never waits for them.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use futures::Stream;
use tokio::sync::mpsc::{Receiver, Sender, channel, error::TrySendError};

use crate::event::{Event, EventKind};

/// The one stream of events of a supervision tree.
///
/// Supervisors on several threads report to it, hence the lock. It is held to copy an event into bounded queues that
/// never block, never across an await, and no user code runs under it: whoever has it gives it back at once.
#[derive(Default)]
pub(crate) struct EventHub {
    /// How many subscribers there are, to be read without the lock: most trees have none, and their events cost nothing.
    listening: AtomicUsize,
    subscribers: Mutex<Vec<Subscriber>>,
    /// Read and written under the lock: whoever subscribes after the close gets a stream that is at its end.
    closed: AtomicBool,
}

impl EventHub {
    /// Reports whether anybody wants events, so that nobody makes them in vain.
    pub(crate) fn is_observed(&self) -> bool {
        // Relaxed: a concurrent subscription may miss this event; nothing orders the two.
        self.listening.load(Ordering::Relaxed) > 0 || super::tracing::is_enabled()
    }

    /// Tells tracing and every subscriber.
    pub(crate) fn report(&self, event: &Event) {
        super::tracing::record(event);
        if self.listening.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut subscribers = self.lock();
        // A reader that has dropped its subscription is found out here, with the next event.
        subscribers.retain_mut(|subscriber| subscriber.offer(event) == Offered::Alive);
        self.listening.store(subscribers.len(), Ordering::Relaxed);
    }

    /// Begins a subscription that holds up to `capacity` events.
    pub(crate) fn subscribe(&self, capacity: usize) -> Events {
        let (sender, receiver) = channel(capacity.max(1));
        let lost = Arc::new(AtomicU64::new(0));
        let mut subscribers = self.lock();
        if !self.closed.load(Ordering::Relaxed) {
            subscribers.push(Subscriber {
                sender,
                missed: 0,
                lost: Arc::clone(&lost),
            });
        }
        self.listening.store(subscribers.len(), Ordering::Relaxed);
        drop(subscribers);
        Events { receiver, lost }
    }

    /// Ends every subscription, behind what is queued in it.
    pub(crate) fn close(&self) {
        let mut subscribers = self.lock();
        let ended = std::mem::take(&mut *subscribers);
        self.closed.store(true, Ordering::Relaxed);
        self.listening.store(0, Ordering::Relaxed);
        drop(subscribers);
        // Without the lock: dropping a sender wakes its reader, who may subscribe again at once on another thread.
        drop(ended);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Subscriber>> {
        // Nothing panics while the lock is held. If something did, the list would still be whole.
        self.subscribers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for EventHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventHub")
            .field("listening", &self.listening)
            .finish_non_exhaustive()
    }
}

/// Where the events of one subscription go.
struct Subscriber {
    sender: Sender<Event>,
    /// Events that did not fit since the last one that did.
    missed: u64,
    lost: Arc<AtomicU64>,
}

impl Subscriber {
    /// Queues the event if it fits, behind a note of what did not fit before it.
    fn offer(&mut self, event: &Event) -> Offered {
        // The note takes a place of its own, in front of the first event that fits again, so that it stands where the gap is.
        if self.missed > 0 {
            let note = event.about(EventKind::EventsLost { count: self.missed });
            match self.sender.try_send(note) {
                Ok(()) => self.missed = 0,
                Err(TrySendError::Full(_)) => return self.miss(),
                Err(TrySendError::Closed(_)) => return Offered::Gone,
            }
        }
        match self.sender.try_send(event.clone()) {
            Ok(()) => Offered::Alive,
            Err(TrySendError::Full(_)) => self.miss(),
            Err(TrySendError::Closed(_)) => Offered::Gone,
        }
    }

    fn miss(&mut self) -> Offered {
        self.missed += 1;
        self.lost.fetch_add(1, Ordering::Relaxed);
        Offered::Alive
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Offered {
    Alive,
    Gone,
}

/// A bounded subscription to the events of a tree, in the order in which they happened.
///
/// Supervision never waits for it. Events that do not fit are counted ([`lost`](Self::lost)), and the next one that fits comes
/// behind an [`EventKind::EventsLost`]. The stream ends with the tree. Dropping it ends the subscription.
pub struct Events {
    receiver: Receiver<Event>,
    lost: Arc<AtomicU64>,
}

impl Events {
    /// Waits for the next event; `None` once the tree is gone and all its events have been read.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no event is lost with the future.
    pub async fn next(&mut self) -> Option<Event> {
        self.receiver.recv().await
    }

    /// The next event, if one is there.
    pub fn try_next(&mut self) -> Option<Event> {
        self.receiver.try_recv().ok()
    }

    /// How many events did not fit into this subscription so far.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.get_mut().receiver.poll_recv(cx)
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("lost", &self.lost())
            .finish_non_exhaustive()
    }
}
