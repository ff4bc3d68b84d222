//! The services that a task has spawned, through all its incarnations.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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
    spawned: Mutex<Spawned>,
}

/// The services that end with an incarnation, and which incarnations are over.
#[derive(Debug, Default)]
struct Spawned {
    /// By the incarnation with which they end, and a number of their own: so that its end comes to its own services alone.
    bound: BTreeMap<Key, Bound>,
    /// Those that were asked to stop because their incarnation is over, by name: whoever spawns a service looks there and nowhere else.
    removed: BTreeMap<Arc<str>, BTreeMap<Key, ServiceToken>>,
    /// The number of the next.
    next: u64,
    /// All generations below this one are over.
    alive: u64,
}

/// The incarnation with which a service ends, and the number of the service.
type Key = (u64, u64);

/// A service that ends with the incarnation that spawned it, from before it is added until it is forgotten.
#[derive(Debug)]
struct Bound {
    name: Arc<str>,
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
    /// Makes a service end with an incarnation, which may be over by now. Of one that is still to get its number, the name is what comes
    /// before that: nobody looks for it.
    pub(super) fn bind(self: &Arc<Self>, name: &Arc<str>, generation: u64) -> Tie {
        let mut spawned = self.spawned();
        let key = (generation, spawned.next);
        spawned.next += 1;
        let owner = if generation < spawned.alive {
            Owner::Over
        } else {
            Owner::Alive
        };
        spawned.bound.insert(
            key,
            Bound {
                name: Arc::clone(name),
                token: None,
                owner,
            },
        );
        drop(spawned);
        Tie {
            lineage: Arc::clone(self),
            key,
        }
    }

    /// A service of this name that was asked to stop because its incarnation is over, and is not forgotten yet.
    pub(super) fn being_removed(&self, name: &str) -> Option<ServiceToken> {
        let spawned = self.spawned();
        let removed = spawned.removed.get(name)?;
        removed.first_key_value().map(|(_, token)| *token)
    }

    /// Asks the services to stop that end with an incarnation.
    pub(super) fn end(&self, generation: u64, supervisor: Option<&Addr<SupervisorActor>>) {
        let mut spawned = self.spawned();
        let Spawned {
            bound,
            removed,
            alive,
            ..
        } = &mut *spawned;
        *alive = (*alive).max(generation + 1);
        for (key, service) in bound.range_mut((generation, 0)..=(generation, u64::MAX)) {
            if service.owner == Owner::Over {
                continue;
            }
            service.owner = Owner::Over;
            let Some(token) = service.token else {
                continue;
            };
            let name = Arc::clone(&service.name);
            removed.entry(name).or_default().insert(*key, token);
            if let Some(supervisor) = supervisor {
                // Nobody waits for the answer. If the supervisor has ended, it has stopped the service itself.
                supervisor.do_send(Remove::new(token));
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
    key: Key,
}

impl Tie {
    /// Says which service was added, and returns whether the incarnation is over that it was to end with.
    pub(super) fn name(&self, token: ServiceToken) -> Owner {
        let mut spawned = self.lineage.spawned();
        let Spawned { bound, removed, .. } = &mut *spawned;
        let Some(service) = bound.get_mut(&self.key) else {
            return Owner::Over;
        };
        service.token = Some(token);
        if service.owner == Owner::Over {
            let name = Arc::clone(&service.name);
            removed.entry(name).or_default().insert(self.key, token);
        }
        service.owner
    }
}

impl Drop for Tie {
    fn drop(&mut self) {
        let mut spawned = self.lineage.spawned();
        let Some(service) = spawned.bound.remove(&self.key) else {
            return;
        };
        if let Some(removed) = spawned.removed.get_mut(&service.name) {
            removed.remove(&self.key);
            if removed.is_empty() {
                spawned.removed.remove(&service.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

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

    /// What a spawn looks through are the services that are being removed under its name, however many others there are.
    #[test]
    fn only_services_that_are_being_removed_are_looked_through_by_name() {
        let lineage = Arc::<Lineage>::default();
        let supervisor = SupervisorId::issue();
        let looked_through = |name: &str| {
            let spawned = lineage.spawned();
            (
                spawned.removed.len(),
                spawned.removed.get(name).map(BTreeMap::len),
            )
        };
        let bind = |generation, number: u32| {
            let tie = lineage.bind(&Arc::from(format!("a[{number}]")), generation);
            let _alive = tie.name(ServiceToken::issue(supervisor, number));
            tie
        };
        let old: Vec<_> = (0..100).map(|number| bind(0, number)).collect();
        let new: Vec<_> = (100..1000).map(|number| bind(1, number)).collect();
        assert_eq!(looked_through("a[7]"), (0, None));
        assert_eq!(lineage.being_removed("a[7]"), None);
        lineage.end(0, None);
        assert_eq!(looked_through("a[7]"), (100, Some(1)));
        assert!(lineage.being_removed("a[7]").is_some());
        assert_eq!(lineage.being_removed("a[700]"), None);
        drop(old);
        assert_eq!(looked_through("a[7]"), (0, None));
        drop(new);
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
