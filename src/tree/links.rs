//! The services of a tree, for whoever cannot wait until a supervisor or the registry answers: their thread may be blocked.

use std::{
    hash::BuildHasher,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::{service::AnyLink, state::ShutdownReport, token::ServiceToken};

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
        drop(table);
        // What it holds may be the user's, and is not dropped under the lock.
        drop(gone);
    }

    /// Forgets all.
    pub(super) fn clear(&self) {
        let all = std::mem::take(&mut *self.lock());
        drop(all);
    }

    /// Reports whether one of these is a service of the tree.
    pub(super) fn has_any(&self, serials: &[u64]) -> bool {
        let table = self.lock();
        !serials.is_empty()
            && table
                .iter()
                .any(|link| serials.contains(&link.core().token().serial()))
    }

    /// Who is still there of a supervisor that was to stop: first those that a thread is in, then whatever else runs below it, each in the
    /// order of the adding. The supervisor itself is one of them only if a thread is in it: else it merely waits for the others.
    pub(super) fn unstopped(&self, supervisor: &dyn AnyLink, busy: &[u64]) -> ShutdownReport {
        let is_busy = |token: ServiceToken| busy.contains(&token.serial());
        let top = supervisor.core();
        let mut there = Vec::new();
        if is_busy(top.token()) {
            there.push((false, top.token(), Arc::clone(top.path()), top.generation()));
        }
        for link in self.lock().iter() {
            let core = link.core();
            if core.state().is_live() && is_below(core.path(), top.path()) {
                let idle = !is_busy(core.token());
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
        report
    }

    fn hash(&self, token: ServiceToken) -> u64 {
        self.hasher.hash_one(token.serial())
    }

    fn lock(&self) -> MutexGuard<'_, HashTable<Arc<dyn AnyLink>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reports whether a path leads through another one, name by name.
fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above)
        .is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use actix::{Actor, Context, dev::channel::channel};

    use super::*;
    use crate::{
        policy::Readiness,
        service::{Link, Parent, ServiceKind},
        state::{ServiceState, UnstoppedService},
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
        let _nobody_watches = link.core().set_state(state);
        Arc::new(link)
    }

    fn serial(link: &Arc<dyn AnyLink>) -> u64 {
        link.core().token().serial()
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

        let busy = [serial(&stuck), u64::MAX];
        let report = links.unstopped(&*root, &busy);
        let all = [
            "root/sub/stuck",
            "root/sub",
            "root/idle",
            "root/sub/inner",
            "root/subway",
        ];
        assert_eq!(paths(&report), all);
        assert_eq!(report.unstopped()[0].token(), stuck.core().token());
        let below = links.unstopped(&*sub, &busy);
        assert_eq!(paths(&below), ["root/sub/stuck", "root/sub/inner"]);
        // A supervisor that a thread is in, as its build function may be what blocks.
        let itself = links.unstopped(&*sub, &[serial(&sub)]);
        assert_eq!(paths(&itself)[0], "root/sub");

        assert!(links.has_any(&busy));
        links.remove(stuck.core().token());
        assert!(!links.has_any(&busy));
        assert_eq!(paths(&links.unstopped(&*sub, &busy)), ["root/sub/inner"]);
        links.clear();
        assert!(links.unstopped(&*root, &busy).is_clean());
    }
}
