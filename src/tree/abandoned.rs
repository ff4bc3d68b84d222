//! The threads that are blocked by services that were abandoned, and who those are.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::ThreadId,
};

use crate::{policy::names_below, state::UnstoppedService};

/// The threads of a tree that are blocked by services that were abandoned.
// A mutex, since supervisors and cells on several threads come here, when a thread is abandoned or back. It is held for one change.
#[derive(Clone, Default)]
pub(crate) struct AbandonedThreads(Arc<Mutex<Blocked>>);

/// The services that were abandoned, by the thread that they were launched on.
type Blocked = HashMap<ThreadId, Vec<UnstoppedService>>;

impl AbandonedThreads {
    /// How many there are at present.
    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    /// Reports whether this is one of them.
    pub(super) fn has(&self, thread: ThreadId) -> bool {
        self.lock().contains_key(&thread)
    }

    /// Counts a thread, until what this returns is dropped: for services that run there.
    pub(super) fn write_off(
        &self,
        thread: ThreadId,
        services: Vec<UnstoppedService>,
    ) -> WrittenOff {
        let mut blocked = self.lock();
        blocked
            .entry(thread)
            .or_default()
            .extend_from_slice(&services);
        drop(blocked);
        WrittenOff {
            threads: self.clone(),
            thread,
            services,
        }
    }

    /// The services below a supervisor that are still there, although they were abandoned: in the order of the adding.
    pub(crate) fn below(&self, supervisor: &str) -> Vec<UnstoppedService> {
        let blocked = self.lock();
        let mut below: Vec<_> = blocked
            .values()
            .flatten()
            .filter(|service| is_below(service.path(), supervisor))
            .cloned()
            .collect();
        drop(blocked);
        below.sort_unstable_by_key(|service| (service.token(), service.generation()));
        below
    }

    fn lock(&self) -> MutexGuard<'_, Blocked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread that is blocked by a service that was abandoned; dropped when it is back.
pub(crate) struct WrittenOff {
    threads: AbandonedThreads,
    thread: ThreadId,
    services: Vec<UnstoppedService>,
}

impl Drop for WrittenOff {
    fn drop(&mut self) {
        let mut threads = self.threads.lock();
        if let Some(services) = threads.get_mut(&self.thread) {
            services.retain(|service| !self.services.contains(service));
            if services.is_empty() {
                threads.remove(&self.thread);
            }
        }
    }
}

/// Reports whether a path leads through another one, name by name.
pub(super) fn is_below(path: &str, above: &str) -> bool {
    names_below(path, above).is_some()
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::token::{ServiceToken, SupervisorId};

    fn abandoned(path: &str) -> UnstoppedService {
        let token = ServiceToken::issue(SupervisorId::issue(), 0);
        UnstoppedService::new(Arc::from(path), token, 0)
    }

    #[test]
    fn thread_counts_once_however_many_services_were_abandoned_on_it() {
        let threads = AbandonedThreads::default();
        let here = thread::current().id();
        let first = threads.write_off(here, vec![abandoned("root/a")]);
        let second = threads.write_off(here, vec![abandoned("root/b")]);
        assert_eq!(threads.count(), 1);
        drop(first);
        assert_eq!(threads.count(), 1);
        drop(second);
        assert_eq!(threads.count(), 0);
    }

    #[test]
    fn who_was_abandoned_is_known_until_it_is_back() {
        let threads = AbandonedThreads::default();
        let here = thread::current().id();
        let [first, second, other] = ["root/sub/z", "root/sub/a", "root/subway"].map(abandoned);
        let _other = threads.write_off(here, vec![other.clone()]);
        let second_back = threads.write_off(here, vec![second.clone()]);
        let first_back = threads.write_off(here, vec![first.clone()]);
        assert_eq!(threads.below("root/sub"), [first.clone(), second.clone()]);
        assert_eq!(threads.below("root"), [first, second.clone(), other]);
        drop(first_back);
        assert_eq!(threads.below("root/sub"), [second]);
        drop(second_back);
        assert_eq!(threads.below("root/sub"), []);
    }
}
