//! What happens, as a list to expect.

use std::{fmt::Write, time::Duration};

use super::{deadline::within, kind::Kind};
use crate::{Event, Events, SupervisorActor, SupervisorRef};

/// Reads the events of a supervisor, and fails the test if they are not what is expected.
///
/// Each method waits, at most five seconds of real time ([`deadline`](Self::deadline)), also where the clock of tokio is paused: an event that does not come fails
/// the test with a list of what came instead. Under a paused clock time passes while a method waits, as far as nothing else is to be done.
///
/// # Panics
///
/// All methods that expect something panic if it does not happen: that is what fails a test.
#[derive(Debug)]
pub struct Recorder {
    events: Events,
    /// What was read.
    seen: Vec<Event>,
    deadline: Duration,
}

/// What has events to record: a supervisor that runs, or is yet to be started.
pub trait Observed {
    /// Subscribes to its events, of which as many are kept for a reader that is behind.
    fn observe(&self, capacity: usize) -> Events;
}

impl Observed for SupervisorActor {
    fn observe(&self, capacity: usize) -> Events {
        self.events_with_capacity(capacity)
    }
}

impl Observed for SupervisorRef {
    fn observe(&self, capacity: usize) -> Events {
        self.events_with_capacity(capacity)
    }
}

impl Recorder {
    /// Records what happens to a supervisor and below it from now on.
    pub fn of(supervisor: &impl Observed) -> Self {
        Self::from(supervisor.observe(MOST))
    }

    /// Fails after so long in real time: five seconds by default.
    #[must_use]
    pub const fn deadline(mut self, limit: Duration) -> Self {
        self.deadline = limit;
        self
    }

    /// Waits for the next event of this kind, and passes over those before it.
    #[track_caller]
    pub fn next(&mut self, kind: Kind) -> impl Future<Output = Event> {
        let at = std::panic::Location::caller();
        async move {
            let from = self.seen.len();
            loop {
                match self.read().await {
                    Some(event) if Kind::from(event.kind()) == kind => return event,
                    Some(_) => {}
                    None => self.fail(at, &kind.to_string(), from),
                }
            }
        }
    }

    /// Waits until events of these kinds have come, in this order. Others may lie between.
    #[track_caller]
    pub fn expect(
        &mut self,
        kinds: impl IntoIterator<Item = Kind>,
    ) -> impl Future<Output = Vec<Event>> {
        let at = std::panic::Location::caller();
        let kinds: Vec<Kind> = kinds.into_iter().collect();
        async move {
            let from = self.seen.len();
            let mut found = Vec::new();
            while found.len() < kinds.len() {
                match self.read().await {
                    Some(event) if Kind::from(event.kind()) == kinds[found.len()] => {
                        found.push(event);
                    }
                    Some(_) => {}
                    None => {
                        let missing = kinds[found.len()];
                        let what = format!("{missing}, number {} of {kinds:?}", found.len() + 1);
                        self.fail(at, &what, from);
                    }
                }
            }
            found
        }
    }

    /// Waits for as many events, which are of these kinds, in this order. No other may come between.
    #[track_caller]
    pub fn expect_exactly(
        &mut self,
        kinds: impl IntoIterator<Item = Kind>,
    ) -> impl Future<Output = Vec<Event>> {
        let at = std::panic::Location::caller();
        let kinds: Vec<Kind> = kinds.into_iter().collect();
        async move {
            let from = self.seen.len();
            let mut found = Vec::new();
            for (place, kind) in kinds.iter().enumerate() {
                match self.read().await {
                    Some(event) if Kind::from(event.kind()) == *kind => found.push(event),
                    _ => {
                        let what = format!("exactly {kind}, number {} of {kinds:?}", place + 1);
                        self.fail(at, &what, from);
                    }
                }
            }
            found
        }
    }

    /// Waits until everything has happened that needs no time, and returns the events that were not read before.
    ///
    /// That is so when the arbiter of the test has nothing left to do; a millisecond passes. What other threads do is not waited for.
    pub async fn settle(&mut self) -> Vec<Event> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let from = self.seen.len();
        self.seen
            .extend(std::iter::from_fn(|| self.events.try_next()));
        self.seen[from..].to_vec()
    }

    /// Everything that was read so far, also what was passed over.
    pub fn seen(&self) -> &[Event] {
        &self.seen
    }

    /// The next event; `None` after the deadline, or at the end of the tree.
    async fn read(&mut self) -> Option<Event> {
        let event = within(self.deadline, self.events.next()).await.flatten()?;
        self.seen.push(event.clone());
        Some(event)
    }

    #[expect(clippy::panic, reason = "that is how a test fails")]
    fn fail(&self, at: &std::panic::Location<'_>, expected: &str, from: usize) -> ! {
        let mut text = format!("{at}: expected {expected}; ");
        if self.seen.len() == from {
            text.push_str("nothing came");
        } else {
            text.push_str("instead came:");
        }
        for event in &self.seen[from..] {
            let kind = Kind::from(event.kind());
            let _a_string_takes_all = write!(text, "\n  {kind:>24}  {event}");
        }
        panic!("{text}");
    }
}

impl From<Events> for Recorder {
    /// Records a subscription, as one that is [filtered](Events::below).
    fn from(events: Events) -> Self {
        Self {
            events,
            seen: Vec::new(),
            deadline: Duration::from_secs(5),
        }
    }
}

/// How many events are kept for a test that does not read.
const MOST: usize = 1 << 20;
