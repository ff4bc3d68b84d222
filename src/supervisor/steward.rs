//! What a supervisor keeps of its steward: somebody who looks after its services from within.
//!
//! What a steward may do is in [`hands`](super::hands). Here is what the core needs to know: when it begins and ends, and what it is to hear.

use std::{any::Any, sync::Arc, time::Instant};

use crate::{state::ServiceState, token::ServiceToken};

/// Lives with the core, through all incarnations of the supervisor.
pub(super) trait InOffice: Any + Send {
    /// The supervisor has begun an incarnation.
    fn begin(&mut self, now: Instant);

    /// The incarnation of the supervisor is over.
    fn end(&mut self);
}

/// What has become of a service of the supervisor.
#[derive(Debug)]
pub(crate) enum News {
    /// Its incarnation has ended: is it to go on?
    Ended { ticket: u64 },
    /// It is about to be started again: is it to go on?
    Starts { ticket: u64, sought: Awaited },
    /// It is in this state now.
    State(ServiceState),
    /// It is forgotten, and its name free.
    Released,
}

/// What a service requires elsewhere in the tree.
#[derive(Debug)]
pub(crate) struct Awaited {
    pub(super) paths: Box<[Arc<str>]>,
    pub(super) needed: bool,
}

/// A supervisor's steward, and what it is to hear.
#[derive(Default)]
pub(super) struct Stewarded {
    /// `None` while it is polled, and if there is none.
    pub(super) steward: Option<Box<dyn InOffice>>,
    pub(super) news: Option<Vec<(ServiceToken, News)>>,
    pub(super) started: bool,
    /// Since when it cannot read what says which services are to run.
    pub(super) unreachable: Option<Instant>,
}

impl Stewarded {
    /// Gives a supervisor its steward.
    pub(super) fn set(&mut self, steward: Box<dyn InOffice>) {
        self.steward = Some(steward);
        self.news = Some(Vec::new());
    }

    /// Reports whether somebody else than the state says when the supervisor is ready.
    pub(super) fn says_when_ready(&self) -> bool {
        self.news.is_some()
    }

    /// All services that were there at the start are ready.
    pub(super) fn note_started(&mut self) {
        self.started = true;
    }

    pub(super) fn note(&mut self, token: ServiceToken, news: News) {
        if let Some(all) = &mut self.news {
            all.push((token, news));
        }
    }

    pub(super) fn begin(&mut self, now: Instant) {
        self.started = false;
        if let Some(steward) = &mut self.steward {
            steward.begin(now);
        }
    }

    pub(super) fn end(&mut self) {
        if let Some(steward) = &mut self.steward {
            steward.end();
        }
    }
}
