//! The services of a tree, for whoever cannot wait until a supervisor or the registry answers: their thread may be blocked.

use std::{
    hash::BuildHasher,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::abandoned::{AbandonedThreads, is_below};
use crate::{
    service::{AnyLink, LinkCore, Occupied},
    state::{DROPPED, ShutdownReport, UnstoppedService},
    token::ServiceToken,
};

/// The links of all services that were not released, but for the root's.
// A mutex, since supervisors on several threads come here. Each time it is held for one change, or to read the table; nothing of the user's
// is called or dropped meanwhile.
#[derive(Default)]
pub(crate) struct Links {
    table: Mutex<HashTable<Arc<dyn AnyLink>>>,
    hasher: DefaultHashBuilder,
}

impl Links {
    /// Takes services in, each once.
    pub(crate) fn add<'a>(&self, links: impl IntoIterator<Item = &'a Arc<dyn AnyLink>>) {
        let mut table = self.lock();
        for link in links {
            let hash = self.hash(link.core().token());
            let rehash = |link: &Arc<dyn AnyLink>| self.hash(link.core().token());
            table.insert_unique(hash, Arc::clone(link), rehash);
        }
    }

    /// Forgets a service.
    pub(crate) fn remove(&self, token: ServiceToken) {
        let is_it = |link: &Arc<dyn AnyLink>| link.core().token() == token;
        let mut table = self.lock();
        let found = table.find_entry(self.hash(token), is_it).ok();
        let gone = found.map(|entry| entry.remove().0);
        // The room of many that are gone is given back: what that costs, so many removals have paid.
        if table.len() < table.capacity() / 8 {
            let rehash = |link: &Arc<dyn AnyLink>| self.hash(link.core().token());
            let room = 2 * table.len();
            table.shrink_to(room, rehash);
        }
        drop(table);
        // What it holds may be the user's, and is not dropped under the lock.
        drop(gone);
    }

    /// Forgets all.
    pub(super) fn clear(&self) {
        let all = std::mem::take(&mut *self.lock());
        drop(all);
    }

    /// Shows each once, in no order. Nothing is to be called there that waits.
    pub(crate) fn visit(&self, mut look: impl FnMut(&Arc<dyn AnyLink>)) {
        for link in self.lock().iter() {
            look(link);
        }
    }

    /// Reports whether one of these is the cell of a service of the tree.
    pub(super) fn has_any(&self, busy: &[Occupied]) -> bool {
        !busy.is_empty() && self.lock().iter().any(|link| is_busy(link.core(), busy))
    }

    /// Who is still there of a supervisor that was to stop: first those that a thread is in, then whatever else runs below it, each in the
    /// order of the adding; then those that were abandoned before. The supervisor itself is one of them only if a thread is in it, or if
    /// there is nobody else: as a rule it merely waits for the others.
    pub(super) fn unstopped(
        &self,
        supervisor: &dyn AnyLink,
        busy: &[Occupied],
        abandoned: &AbandonedThreads,
    ) -> ShutdownReport {
        let top = supervisor.core();
        let mut there = Vec::new();
        if is_busy(top, busy) {
            there.push((false, top.token(), Arc::clone(top.path()), top.generation()));
        }
        for link in self.lock().iter() {
            let core = link.core();
            let idle = !is_busy(core, busy);
            // One that is down may still block a thread, with a message that it drops.
            if (core.state().is_live() || !idle) && is_below(core.path(), top.path()) {
                there.push((
                    idle,
                    core.token(),
                    Arc::clone(core.path()),
                    core.generation(),
                ));
            }
        }
        there.sort_unstable_by_key(|(idle, token, ..)| (*idle, *token));
        let mut report = ShutdownReport::default();
        for (_, token, path, generation) in there {
            report.push_unstopped(path, token, generation);
        }
        report.add_unstopped(abandoned.below(top.path()));
        if report.is_clean() {
            // Whoever reads this has waited in vain, whatever the reason.
            report.push_unstopped(Arc::clone(top.path()), top.token(), top.generation());
        }
        report
    }

    /// The services below a supervisor in whose present cells a thread is, one of these, in the order of the adding.
    pub(super) fn occupied(&self, supervisor: &str, busy: &[Occupied]) -> Vec<UnstoppedService> {
        let mut found = Vec::new();
        for link in self.lock().iter() {
            let core = link.core();
            if is_busy(core, busy) && is_below(core.path(), supervisor) {
                let path = Arc::clone(core.path());
                found.push(UnstoppedService::new(path, core.token(), core.generation()));
            }
        }
        found.sort_unstable_by_key(UnstoppedService::token);
        found
    }

    /// Releases all services below a supervisor that is lost with its blocked thread.
    ///
    /// That supervisor gives commands as well, if its thread is back at this moment; then it finds itself written off, and releases them, too.
    pub(crate) fn release_below(&self, supervisor: &str) {
        let table = self.lock();
        let below = table
            .iter()
            .filter(|link| is_below(link.core().path(), supervisor));
        let below: Vec<_> = below.cloned().collect();
        drop(table);
        for link in below {
            link.core().release(DROPPED);
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn hash(&self, token: ServiceToken) -> u64 {
        self.hasher.hash_one(token.serial())
    }

    fn lock(&self) -> MutexGuard<'_, HashTable<Arc<dyn AnyLink>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reports whether a thread is in the present cell of a service.
fn is_busy(service: &LinkCore, busy: &[Occupied]) -> bool {
    busy.iter().any(|cell| cell.is_of(service))
}

#[cfg(test)]
mod tests {
    use actix::{Actor, Context, dev::channel::channel};

    use super::*;
    use crate::{
        policy::Readiness,
        service::{Link, Parent, ServiceKind},
        state::ServiceState,
        token::SupervisorId,
    };

    struct Any;

    impl Actor for Any {
        type Context = Context<Self>;
    }

    fn link(path: &str, state: ServiceState) -> Arc<dyn AnyLink> {
        let (sender, _receiver) = channel::<Any>(1);
        let (parent, _notices) = Parent::new();
        let link = Link::new(
            ServiceToken::issue(SupervisorId::issue(), 0),
            Arc::from(path),
            Arc::new(parent),
            actix::Addr::new(sender).downgrade(),
            Readiness::Explicit,
            ServiceKind::Actor,
        );
        let _nobody_watches = link.core().set_state(state, None);
        Arc::new(link)
    }

    /// A thread in the present cell of a service.
    fn occupied(link: &Arc<dyn AnyLink>) -> Occupied {
        Occupied::here(link.core(), link.core().epoch())
    }

    fn paths(report: &ShutdownReport) -> Vec<&str> {
        report
            .unstopped()
            .iter()
            .map(UnstoppedService::path)
            .collect()
    }

    #[test]
    fn who_a_thread_is_in_comes_first_and_only_what_runs_below_is_there() {
        use ServiceState::{BackingOff, Ready, Stopped, Stopping};
        let links = Links::default();
        let root = link("root", Ready);
        let sub = link("root/sub", Stopping);
        let idle = link("root/idle", Ready);
        let inner = link("root/sub/inner", Ready);
        let stuck = link("root/sub/stuck", Stopping);
        let namesake = link("root/subway", Ready);
        let down = [link("root/a", Stopped), link("root/b", BackingOff)];
        links.add([&sub, &idle, &inner, &stuck, &namesake]);
        links.add(&down);

        let nobody = AbandonedThreads::default();
        let busy = [occupied(&stuck), occupied(&link("other/any", Ready))];
        let report = links.unstopped(&*root, &busy, &nobody);
        let all = [
            "root/sub/stuck",
            "root/sub",
            "root/idle",
            "root/sub/inner",
            "root/subway",
        ];
        assert_eq!(paths(&report), all);
        assert_eq!(report.unstopped()[0].token(), stuck.core().token());
        let below = links.unstopped(&*sub, &busy, &nobody);
        assert_eq!(paths(&below), ["root/sub/stuck", "root/sub/inner"]);
        // A supervisor that a thread is in, as its start function may be what blocks.
        let itself = links.unstopped(&*sub, &[occupied(&sub)], &nobody);
        assert_eq!(paths(&itself)[0], "root/sub");

        // One that is down, and blocks its thread with a message that it drops.
        let refusing = links.unstopped(&*root, &[occupied(&down[0])], &nobody);
        assert_eq!(paths(&refusing)[..2], ["root/a", "root/sub"]);

        assert!(links.has_any(&busy));
        links.remove(stuck.core().token());
        assert!(!links.has_any(&busy));
        let left = links.unstopped(&*sub, &busy, &nobody);
        assert_eq!(paths(&left), ["root/sub/inner"]);
        // Whatever keeps the supervisor: it has not stopped, and that is never told as a clean stop.
        links.clear();
        assert_eq!(paths(&links.unstopped(&*root, &busy, &nobody)), ["root"]);
    }

    #[test]
    fn who_was_abandoned_is_still_there_and_a_late_cell_is_not_the_present_one() {
        let links = Links::default();
        let (root, stuck) = (
            link("root", ServiceState::Stopping),
            link("root/stuck", ServiceState::Ready),
        );
        let other = link("root/other", ServiceState::Ready);
        links.add([&stuck, &other]);
        let late = [occupied(&stuck)];
        assert!(links.has_any(&late));
        let abandoned = AbandonedThreads::default();
        let core = stuck.core();
        let incarnation = UnstoppedService::new(Arc::clone(core.path()), core.token(), 7);
        let here = std::thread::current().id();
        let written_off = abandoned.write_off(here, vec![incarnation]);
        let _epoch = core.write_off();
        assert!(!links.has_any(&late));
        let busy = [late[0], occupied(&other)];
        let report = links.unstopped(&*root, &busy, &abandoned);
        let generations = report.unstopped().iter().map(UnstoppedService::generation);
        assert_eq!(paths(&report), ["root/other", "root/stuck", "root/stuck"]);
        assert_eq!(generations.collect::<Vec<_>>(), [0, 0, 7]);
        drop(written_off);
        let report = links.unstopped(&*root, &busy, &abandoned);
        assert_eq!(paths(&report), ["root/other", "root/stuck"]);
    }

    #[test]
    fn only_what_is_below_is_released() {
        let links = Links::default();
        let [sub, inner, namesake] = ["root/sub", "root/sub/low/inner", "root/subway"]
            .map(|path| link(path, ServiceState::Ready));
        links.add([&sub, &inner, &namesake]);
        links.release_below("root/sub");
        let released = |link: &Arc<dyn AnyLink>| link.core().is_released();
        assert_eq!(
            [&sub, &inner, &namesake].map(released),
            [false, true, false]
        );
    }

    #[test]
    fn room_of_many_services_is_given_back_when_they_are_gone() {
        let links = Links::default();
        let any = link("root/any", ServiceState::Ready);
        links.add([&any]);
        let many: Vec<_> = (0..10_000)
            .map(|_| link("root/a", ServiceState::Ready))
            .collect();
        links.add(&many);
        for link in &many {
            links.remove(link.core().token());
        }
        let table = links.lock();
        assert_eq!(table.len(), 1);
        assert!(table.capacity() < 100, "{}", table.capacity());
        drop(table);
        assert!(links.has_any(&[occupied(&any)]));
        links.remove(any.core().token());
        let table = links.lock();
        assert!(table.is_empty());
        // A few places stay; how many depends on where the hashes fell.
        assert!(table.capacity() < 8, "{}", table.capacity());
    }
}
