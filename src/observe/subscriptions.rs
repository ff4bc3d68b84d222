//! The subscriptions of a tree, behind their lock.
//!
//! # Invariants
//!
//! 1. Under the lock no code of the user's runs: wakers are woken and dropped, and what is queued is dropped, without it. Any of these may
//!    drop a subscription, which takes the lock.
//! 2. A subscription is in the list until it is dropped, and takes itself out then: a tree that has nothing to tell keeps nothing of it.
//! 3. Whoever holds a lock and takes another one holds that of a tree and takes that of an early subscription of it, never the other way.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    task::Waker,
    time::SystemTime,
};

use super::{
    event::{Event, Stamp},
    subscriber::{Closed, Subscriber, Subtree, contains},
};
use crate::{event::Occurrence, token::ServiceToken, user_value::quietly};

/// What a hub shares with its subscriptions.
///
/// Supervisors on several threads report to it, hence the lock. It is held to copy an event into bounded queues, or to take one out, and
/// never across an await: whoever has it gives it back at once.
#[derive(Default)]
pub(super) struct Subscriptions {
    /// How many want to be told of events, to be read without the lock: most trees have none, and their events cost nothing.
    pub(super) listening: AtomicUsize,
    /// How many of them want the events of one supervisor.
    pub(super) narrow: AtomicUsize,
    list: Mutex<List>,
}

#[derive(Default)]
pub(super) struct List {
    pub(super) subscribers: BTreeMap<u64, Subscriber>,
    /// Those of supervisors below the root who have subscribed before the start.
    pub(super) relays: BTreeMap<u64, Relay>,
    /// Where these subscriptions are one relay, if they are of a supervisor below a root.
    home: Option<(Weak<Subscriptions>, u64)>,
    next: u64,
    /// The number of the last event.
    sequence: u64,
    /// Whoever subscribes after the close gets a stream that is at its end.
    pub(super) closed: Closed,
}

/// Subscriptions that began before their supervisor belonged to a tree, and are told of its events by the hub of that.
pub(super) struct Relay {
    to: Arc<Subscriptions>,
    of: Subtree,
}

impl Subscriptions {
    pub(super) fn lock(&self) -> MutexGuard<'_, List> {
        // Nothing panics while the lock is held. If something did, the list would still be whole.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in one more that is told of events, of everything or of one supervisor.
    pub(super) fn add(&self, subscriber: Subscriber) -> u64 {
        let mut list = self.lock();
        let id = list.number();
        if list.closed == Closed::No {
            let narrow = usize::from(subscriber.of.is_some());
            self.narrow.fetch_add(narrow, Ordering::SeqCst);
            list.subscribers.insert(id, subscriber);
            self.note(&list);
        }
        id
    }

    /// Forgets one, and everything that was kept for it.
    pub(super) fn remove(&self, id: u64) {
        let mut list = self.lock();
        let gone = list.subscribers.remove(&id);
        let narrow = gone.as_ref().is_some_and(|gone| gone.of.is_some());
        self.narrow.fetch_sub(usize::from(narrow), Ordering::SeqCst);
        self.note(&list);
        let home = if list.subscribers.is_empty() {
            list.home.take()
        } else {
            None
        };
        drop(list);
        drop(gone);
        // Without the own lock, see the invariants.
        if let Some((home, id)) = home
            && let Some(home) = home.upgrade()
        {
            home.remove_relay(id);
        }
    }

    /// Has the subscriptions `to` told of what happens to a supervisor of this tree, and below it.
    pub(super) fn relay(self: &Arc<Self>, to: &Arc<Self>, of: Subtree) {
        let mut list = self.lock();
        if list.closed == Closed::Yes {
            drop(list);
            to.close();
            return;
        }
        let id = list.number();
        let mut early = to.lock();
        // Dropped meanwhile.
        if early.subscribers.is_empty() {
            return;
        }
        early.home = Some((Arc::downgrade(self), id));
        drop(early);
        self.narrow.fetch_add(1, Ordering::SeqCst);
        let to = Arc::clone(to);
        list.relays.insert(id, Relay { to, of });
        self.note(&list);
    }

    fn remove_relay(&self, id: u64) {
        let mut list = self.lock();
        let gone = list.relays.remove(&id);
        let narrow = usize::from(gone.is_some());
        self.narrow.fetch_sub(narrow, Ordering::SeqCst);
        self.note(&list);
        drop(list);
        drop(gone);
    }

    /// Gives the event its time and number, and tells all who want it.
    pub(super) fn tell(&self, what: Occurrence) {
        let mut waiting = Vec::new();
        let mut list = self.lock();
        if list.closed == Closed::No {
            list.sequence += 1;
            let event = Event::new(what, list.stamp());
            list.offer(&event, &mut waiting);
            for relay in list.relays.values() {
                if contains(&relay.of.path, event.path()) {
                    relay.to.lock().offer(&event, &mut waiting);
                }
            }
        }
        drop(list);
        wake(waiting);
    }

    /// Ends the subscriptions to the events of a supervisor that is removed, behind what is queued in them.
    pub(super) fn close_of(&self, supervisor: ServiceToken) {
        // The supervisor was marked as removed before this, and whoever subscribes looks for that mark after it was counted here: one of
        // the two ends the subscription.
        if self.narrow.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut list = self.lock();
        let mut waiting = Vec::new();
        for subscriber in list.subscribers.values_mut() {
            let of = subscriber.of.as_ref();
            if of.is_some_and(|of| of.supervisor == supervisor) {
                subscriber.closed = Closed::Yes;
                waiting.extend(subscriber.waker.take());
            }
        }
        let relays = list.relays.values();
        let relays = relays.filter(|relay| relay.of.supervisor == supervisor);
        let relays: Vec<_> = relays.map(|relay| Arc::clone(&relay.to)).collect();
        drop(list);
        wake(waiting);
        for relay in relays {
            relay.close();
        }
    }

    /// Ends every subscription, behind what is queued in it.
    pub(super) fn close(&self) {
        let mut list = self.lock();
        list.closed = Closed::Yes;
        self.note(&list);
        let subscribers = list.subscribers.values_mut();
        let waiting = subscribers.filter_map(|subscriber| subscriber.waker.take());
        let waiting = waiting.collect();
        let relays = std::mem::take(&mut list.relays);
        drop(list);
        wake(waiting);
        for relay in relays.into_values() {
            relay.to.close();
        }
    }

    /// Notes how many are to be told of events.
    fn note(&self, list: &List) {
        let listening = match list.closed {
            Closed::No => list.subscribers.len() + list.relays.len(),
            Closed::Yes => 0,
        };
        self.listening.store(listening, Ordering::Relaxed);
    }
}

impl List {
    fn number(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
    }

    /// The present, and the number of the last event.
    pub(super) fn stamp(&self) -> Stamp {
        Stamp {
            at: SystemTime::now(),
            sequence: self.sequence,
        }
    }

    fn offer(&mut self, event: &Event, waiting: &mut Vec<Waker>) {
        for subscriber in self.subscribers.values_mut() {
            if subscriber.wants(event) {
                subscriber.offer(event);
                waiting.extend(subscriber.waker.take());
            }
        }
    }

    /// The next event, or the end; `None` if there is nothing to tell.
    #[expect(
        clippy::option_option,
        reason = "the inner one is what a stream answers"
    )]
    pub(super) fn answer(&mut self, id: u64) -> Option<Option<Event>> {
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

    pub(super) fn is_awaited_by(&self, id: u64, waker: &Waker) -> bool {
        let subscriber = self.subscribers.get(&id);
        let known = subscriber.and_then(|subscriber| subscriber.waker.as_ref());
        known.is_some_and(|known| known.will_wake(waker))
    }
}

fn wake(waiting: Vec<Waker>) {
    for waker in waiting {
        // Another executor's code, which must not be the end of the supervisor whose turn this is.
        let _nobody_to_tell = quietly(|| waker.wake());
    }
}
