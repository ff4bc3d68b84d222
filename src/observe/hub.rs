//! Hands events to those who have subscribed, and never waits for them.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, atomic::Ordering},
};

use super::{
    digest::Digest,
    events::Events,
    subscriber::{Subscriber, Subtree},
    subscriptions::Subscriptions,
};
use crate::{event::Occurrence, token::ServiceToken};

/// The one stream of events of a supervision tree.
#[derive(Default)]
pub(crate) struct EventHub {
    subscriptions: Arc<Subscriptions>,
    /// What is recorded by `tracing`. Behind a lock, since supervisors on several threads report; records are written without it.
    digest: Mutex<Digest>,
}

impl EventHub {
    /// Reports whether anybody wants events, so that nobody makes them in vain.
    pub(crate) fn is_observed(&self) -> bool {
        // Relaxed: a concurrent subscription may miss this event; nothing orders the two.
        self.subscriptions.listening.load(Ordering::Relaxed) > 0 || super::tracing::is_enabled()
    }

    /// Tells tracing and every subscriber.
    pub(crate) fn report(&self, what: Occurrence) {
        if super::tracing::is_enabled() {
            let mut digest = self.digest();
            let records = digest.take(what.clone());
            let gone = digest.take_gone();
            drop(digest);
            drop(gone);
            records.iter().for_each(super::tracing::write);
        }
        if self.subscriptions.listening.load(Ordering::Relaxed) > 0 {
            self.subscriptions.tell(what);
        }
    }

    /// Begins a subscription that holds up to `capacity` events, of everything or of one supervisor.
    pub(crate) fn subscribe(&self, capacity: usize, of: Option<Subtree>) -> Events {
        let id = self.subscriptions.add(Subscriber::new(capacity, of));
        Events::new(Arc::clone(&self.subscriptions), id)
    }

    /// Ends the subscriptions to the events of a supervisor that is removed, behind what is queued in them.
    pub(crate) fn close_of(&self, supervisor: ServiceToken) {
        self.subscriptions.close_of(supervisor);
    }

    fn digest(&self) -> MutexGuard<'_, Digest> {
        // Nothing panics while the lock is held. If something did, a record would be missing.
        self.digest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends every subscription, behind what is queued in it.
    pub(crate) fn close(&self) {
        let records = self.digest().finish();
        records.iter().for_each(super::tracing::write);
        self.subscriptions.close();
    }
}

impl fmt::Debug for EventHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventHub")
            .field("listening", &self.subscriptions.listening)
            .finish_non_exhaustive()
    }
}

/// The subscriptions to a supervisor that was not started yet. They end if it never is.
#[derive(Debug, Default)]
pub(crate) struct EarlyEvents(OnceLock<EventHub>);

impl EarlyEvents {
    pub(crate) fn subscribe(&self, capacity: usize) -> Events {
        let hub = self.0.get_or_init(EventHub::default);
        hub.subscribe(capacity, None)
    }

    /// The hub of a tree whose root the supervisor becomes.
    pub(crate) fn take_hub(&mut self) -> EventHub {
        self.0.take().unwrap_or_default()
    }

    /// Has them told of the events of a supervisor that has become part of a tree.
    pub(crate) fn join(&mut self, tree: &EventHub, of: Subtree) {
        if let Some(early) = self.0.take() {
            tree.subscriptions.relay(&early.subscriptions, of);
        }
    }
}

impl Drop for EarlyEvents {
    fn drop(&mut self) {
        if let Some(hub) = self.0.get() {
            hub.close();
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
