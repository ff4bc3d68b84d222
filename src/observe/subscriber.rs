//! What one subscription wants, and what it was told and has not read.

use std::{collections::VecDeque, sync::Arc, task::Waker, time::Instant};

use super::event::{Event, Stamp};
use crate::{
    event::{EventKind, Occurrence},
    policy::names_below,
    token::ServiceToken,
};

/// Whether the tree, or what a subscription is about, has ended.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Closed {
    #[default]
    No,
    Yes,
}

/// A supervisor and everything below it.
#[derive(Debug)]
pub(crate) struct Subtree {
    pub(crate) supervisor: ServiceToken,
    pub(crate) path: Arc<str>,
}

/// Which events are wanted: those that are all of this.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    /// About this path, or one below it: of all of these.
    below: Vec<Arc<str>>,
    /// Whether something went wrong.
    failures: bool,
}

impl Filter {
    pub(super) fn add_below(&mut self, path: Arc<str>) {
        self.below.push(path);
    }

    pub(super) fn only_failures(&mut self) {
        self.failures = true;
    }

    pub(super) fn wants(&self, event: &Event) -> bool {
        if matches!(event.kind(), EventKind::EventsLost { .. }) {
            return true;
        }
        let mut below = self.below.iter();
        (!self.failures || event.kind().is_failure())
            && below.all(|path| contains(path, event.path()))
    }
}

/// Reports whether `path` is `top`, or below it.
pub(super) fn contains(top: &str, path: &str) -> bool {
    path == top || names_below(path, top).is_some()
}

/// The events of one subscription that were not read yet.
// A queue of our own: tokio's takes four kilobytes before the first event.
pub(super) struct Subscriber {
    queue: VecDeque<Event>,
    capacity: usize,
    /// Whose events it wants, if not all.
    pub(super) of: Option<Subtree>,
    filter: Filter,
    /// Whether what it is about is over.
    pub(super) closed: Closed,
    missed: Option<Missed>,
    /// Events that did not fit at all.
    lost: u64,
    /// Who waits for the next event.
    pub(super) waker: Option<Waker>,
}

/// Events that did not fit since the last one that did.
struct Missed {
    count: u64,
    /// Of the last of them.
    root: Arc<str>,
    monotonic: Instant,
    stamp: Stamp,
}

impl Missed {
    /// A note of them. It is about the tree, and not about whoever the last of them was about.
    fn note(self) -> Event {
        let Self {
            count,
            root,
            monotonic,
            stamp,
        } = self;
        let kind = EventKind::EventsLost { count };
        Event::new(Occurrence::new(root, None, 0, monotonic, kind), stamp)
    }
}

impl Subscriber {
    pub(super) fn new(capacity: usize, of: Option<Subtree>) -> Self {
        Self {
            queue: VecDeque::new(),
            capacity: capacity.max(1),
            of,
            filter: Filter::default(),
            closed: Closed::No,
            missed: None,
            lost: 0,
            waker: None,
        }
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// Has only those events told from now on that `narrow` lets through, and returns what is queued and is not wanted any more.
    pub(super) fn narrow(&mut self, narrow: impl FnOnce(&mut Filter)) -> VecDeque<Event> {
        narrow(&mut self.filter);
        let queue = std::mem::take(&mut self.queue);
        let (wanted, unwanted) = queue
            .into_iter()
            .partition(|event| self.filter.wants(event));
        self.queue = wanted;
        unwanted
    }

    pub(super) fn wants(&self, event: &Event) -> bool {
        let of = self.of.as_ref();
        self.closed == Closed::No
            && of.is_none_or(|of| contains(&of.path, event.path()))
            && self.filter.wants(event)
    }

    /// Queues the event if it fits, behind a note of what did not fit before it.
    pub(super) fn offer(&mut self, event: &Event) {
        // The note takes a place of its own, in front of the first event that fits again, so that it stands where the gap is.
        if self.has_room()
            && let Some(missed) = self.missed.take()
        {
            self.queue.push_back(missed.note());
        }
        if self.has_room() {
            self.queue.push_back(event.clone());
            return;
        }
        self.lost += 1;
        let before = self.missed.take();
        let (count, root) = before.map_or_else(
            || (0, event.root_path()),
            |missed| (missed.count, missed.root),
        );
        self.missed = Some(Missed {
            count: count + 1,
            root,
            monotonic: event.monotonic(),
            stamp: event.stamp(),
        });
    }

    fn has_room(&self) -> bool {
        self.queue.len() < self.capacity
    }

    pub(super) fn take(&mut self) -> Option<Event> {
        let event = self.queue.pop_front();
        // The room for a burst of events is not kept for ever.
        if self.queue.is_empty() && self.queue.capacity() > MOST_KEPT {
            self.queue = VecDeque::new();
        }
        // All that came before the gap was read, and what comes behind it may never come.
        event.or_else(|| self.missed.take().map(Missed::note))
    }

    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.queue.capacity()
    }
}

/// For how many events an empty queue keeps its room.
pub(super) const MOST_KEPT: usize = 32;
