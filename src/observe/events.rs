//! What users hold of a subscription.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::Stream;

use super::{
    event::Event,
    subscriber::{Filter, Subscriber},
    subscriptions::Subscriptions,
};
#[expect(unused_imports, reason = "for the documentation")]
use crate::event::EventKind;
use crate::event::Occurrence;

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
    /// How services were when this began, to be told first.
    present: VecDeque<Event>,
    /// How many events were read without a wait.
    in_a_row: u32,
}

impl Events {
    /// How many events are kept for a reader that is behind, if it does not say.
    pub(crate) const DEFAULT_CAPACITY: usize = 1024;

    pub(super) const fn new(subscriptions: Arc<Subscriptions>, id: u64) -> Self {
        Self {
            subscriptions,
            id,
            present: VecDeque::new(),
            in_a_row: 0,
        }
    }

    /// Has this told first, as of now.
    pub(crate) fn set_present(&mut self, present: Vec<Occurrence>) {
        let stamp = self.subscriptions.lock().stamp();
        let present = present.into_iter().map(|what| Event::new(what, stamp));
        self.present = present.collect();
    }

    /// Keeps only what happens to the supervisor or service with this path, and below it.
    ///
    /// Names are whole: `root/site` is not above `root/sites`. Nothing is told as long as nothing has such a path. Of several filters all have to let
    /// an event through. Filters work where events are queued: what is not wanted takes no room, is never [lost](Self::lost), and leaves a gap in
    /// the [numbers](Event::sequence). What was queued before and is not wanted is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// # use resurgam::SupervisorActor;
    /// # #[actix::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let root = SupervisorActor::with_defaults("root").start().await?;
    /// let site = root.add_supervisor(SupervisorActor::with_defaults("site")).await?;
    /// let failures_of_site = root.events().below("root/site").failures();
    /// # root.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn below(self, path: impl AsRef<str>) -> Self {
        let path = Arc::from(path.as_ref().trim_end_matches('/'));
        self.narrow(|filter| filter.add_below(path))
    }

    /// Keeps only what went wrong, see [`EventKind::is_failure`], and what is told of [lost](EventKind::EventsLost) events.
    #[must_use]
    pub fn failures(self) -> Self {
        self.narrow(Filter::only_failures)
    }

    fn narrow(mut self, narrow: impl FnOnce(&mut Filter)) -> Self {
        let mut list = self.subscriptions.lock();
        let subscriber = list.subscribers.get_mut(&self.id);
        let unwanted = subscriber.map(|subscriber| {
            let unwanted = subscriber.narrow(narrow);
            self.present.retain(|event| subscriber.wants(event));
            unwanted
        });
        drop(list);
        // Errors of users are in there, and are not dropped under the lock.
        drop(unwanted);
        self
    }

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
        if let Some(present) = self.present.pop_front() {
            return Some(present);
        }
        let mut list = self.subscriptions.lock();
        list.subscribers.get_mut(&self.id)?.take()
    }

    /// How many events did not fit into this subscription so far.
    pub fn lost(&self) -> u64 {
        let list = self.subscriptions.lock();
        let subscriber = list.subscribers.get(&self.id);
        subscriber.map_or(0, Subscriber::lost)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        // A reader that never has to wait gives way to others all the same.
        if self.in_a_row >= BUDGET {
            self.in_a_row = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let next = match self.present.pop_front() {
            Some(present) => Poll::Ready(Some(present)),
            None => self.take_or_wait(cx),
        };
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

impl Drop for Events {
    fn drop(&mut self) {
        self.subscriptions.remove(self.id);
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

/// How many events are read in a row before the reader yields.
const BUDGET: u32 = 128;
