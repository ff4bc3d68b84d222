//! Incarnations that were dropped with their supervisor, and of whose ends it has not heard.
//!
//! When a supervisor is dropped itself, nobody waits for the ends of its services. If it is started again, a service on another thread
//! begins once its incarnation before is gone; or after a moment, if that blocks its thread.

use std::collections::BTreeMap;

use crate::token::ServiceToken;

/// The incarnations of which nobody has heard, by service.
#[derive(Debug, Default)]
pub(super) struct Dropped(BTreeMap<ServiceToken, Remains>);

/// An incarnation that may still be there.
#[derive(Debug)]
struct Remains {
    generation: u64,
    awaited: Awaited,
}

/// Whether the next incarnation waits until this one is gone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Awaited {
    No,
    Yes,
}

impl Dropped {
    /// Notes that the incarnation of a service was dropped. If it was still to begin, the one before it is the one that may be there.
    pub(super) fn note(&mut self, token: ServiceToken, generation: u64) {
        let awaited = Awaited::No;
        let remains = Remains {
            generation,
            awaited,
        };
        self.0.entry(token).or_insert(remains).awaited = awaited;
    }

    /// The next incarnation of a service is to begin. Reports whether it has to wait.
    pub(super) fn await_end(&mut self, token: ServiceToken) -> bool {
        let remains = self.0.get_mut(&token);
        remains
            .map(|remains| remains.awaited = Awaited::Yes)
            .is_some()
    }

    /// Reports whether the next incarnation of a service waits.
    pub(super) fn is_awaited(&self, token: ServiceToken) -> bool {
        let remains = self.0.get(&token);
        remains.is_some_and(|remains| remains.awaited == Awaited::Yes)
    }

    /// An incarnation has ended. Reports whether that is what the next one has waited for.
    pub(super) fn has_ended(&mut self, token: ServiceToken, generation: u64) -> bool {
        let awaited = self.is_awaited(token);
        let remains = self.0.get(&token);
        if remains.is_none_or(|remains| remains.generation != generation) {
            return false;
        }
        self.forget(token);
        awaited
    }

    /// Forgets what may be there of a service, and returns which incarnation that was.
    pub(super) fn forget(&mut self, token: ServiceToken) -> Option<u64> {
        self.0.remove(&token).map(|remains| remains.generation)
    }
}
