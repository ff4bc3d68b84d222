//! The services that a task has spawned, through all its incarnations.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use actix::Addr;

use crate::{
    supervisor::{SupervisorActor, message::Remove},
    token::ServiceToken,
};

/// The state that all incarnations of one task share.
#[derive(Debug, Default)]
pub(super) struct Lineage {
    // Shared, since contexts may be used from several threads, and factories of spawned services may run on others. While the lock is held
    // nothing outside of this file is called, but that a message is queued.
    number: AtomicU64,
    spawned: Mutex<Spawned>,
}

/// The services that end with an incarnation, and which incarnations are over.
#[derive(Debug, Default)]
struct Spawned {
    bound: BTreeMap<u64, Bound>,
    /// All generations below this one are over.
    alive: u64,
}

/// A service that ends with the incarnation that spawned it, from before it is added until it is forgotten.
#[derive(Debug)]
struct Bound {
    name: Arc<str>,
    generation: u64,
    /// `None` until it is added.
    token: Option<ServiceToken>,
    owner: Owner,
}

/// The incarnation that spawned a service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub(super) enum Owner {
    Alive,
    Over,
}

impl Lineage {
    /// The number of the next nameless service, from 1.
    pub(super) fn next_number(&self) -> u64 {
        self.number.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Makes a service end with an incarnation, which may be over by now.
    pub(super) fn bind(self: &Arc<Self>, name: &Arc<str>, generation: u64) -> Tie {
        let mut spawned = self.spawned();
        let last = spawned.bound.last_key_value();
        let id = last.map_or(0, |(last, _)| last + 1);
        let owner = if generation < spawned.alive {
            Owner::Over
        } else {
            Owner::Alive
        };
        spawned.bound.insert(
            id,
            Bound {
                name: Arc::clone(name),
                generation,
                token: None,
                owner,
            },
        );
        drop(spawned);
        Tie {
            lineage: Arc::clone(self),
            id,
        }
    }

    /// A service of this name that was asked to stop because its incarnation is over, and is not forgotten yet.
    pub(super) fn being_removed(&self, name: &str) -> Option<ServiceToken> {
        let spawned = self.spawned();
        let bound = spawned.bound.values();
        let mut removed =
            bound.filter(|service| service.owner == Owner::Over && *service.name == *name);
        removed.find_map(|service| service.token)
    }

    /// Asks the services to stop that end with an incarnation.
    pub(super) fn end(&self, generation: u64, supervisor: Option<&Addr<SupervisorActor>>) {
        let mut spawned = self.spawned();
        spawned.alive = spawned.alive.max(generation + 1);
        for service in spawned.bound.values_mut() {
            if service.generation != generation || service.owner == Owner::Over {
                continue;
            }
            service.owner = Owner::Over;
            if let (Some(token), Some(supervisor)) = (service.token, supervisor) {
                // Nobody waits for the answer. If the supervisor has ended, it has stopped the service itself.
                supervisor.do_send(Remove(token));
            }
        }
    }

    fn spawned(&self) -> MutexGuard<'_, Spawned> {
        self.spawned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a service in the list of those that end with an incarnation.
///
/// Held by the factory of that service, and so dropped when the service is forgotten.
#[derive(Debug)]
pub(super) struct Tie {
    lineage: Arc<Lineage>,
    id: u64,
}

impl Tie {
    /// Says which service was added, and returns whether the incarnation is over that it was to end with.
    pub(super) fn name(&self, token: ServiceToken) -> Owner {
        let mut spawned = self.lineage.spawned();
        let Some(service) = spawned.bound.get_mut(&self.id) else {
            return Owner::Over;
        };
        service.token = Some(token);
        service.owner
    }
}

impl Drop for Tie {
    fn drop(&mut self) {
        self.lineage.spawned().bound.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Lineage, Owner};
    use crate::token::{ServiceToken, SupervisorId};

    #[test]
    fn service_that_is_forgotten_is_no_longer_listed() {
        let lineage = Arc::<Lineage>::default();
        let ties: Vec<_> = (0..10).map(|_| lineage.bind(&Arc::from("a"), 0)).collect();
        assert_eq!(lineage.spawned().bound.len(), 10);
        drop(ties);
        assert!(lineage.spawned().bound.is_empty());
    }

    #[test]
    fn service_that_is_added_while_its_incarnation_ends_learns_of_it() {
        let lineage = Arc::<Lineage>::default();
        let name = Arc::from("a");
        let early = lineage.bind(&name, 0);
        lineage.end(0, None);
        let late = lineage.bind(&name, 0);
        let next = lineage.bind(&name, 1);
        let supervisor = SupervisorId::issue();
        let token = ServiceToken::issue(supervisor, 0);
        assert_eq!(early.name(token), Owner::Over);
        let other = ServiceToken::issue(supervisor, 1);
        assert_eq!(late.name(other), Owner::Over);
        assert_eq!(next.name(other), Owner::Alive);
        assert_eq!(lineage.being_removed("a"), Some(token));
    }
}
