//! Who waits for services elsewhere in the tree.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    iter,
    ops::Bound,
    sync::Arc,
};

use hashbrown::HashMap;

use super::message::Find;
use crate::{policy::names_below, service::NoticeKind, state::Obstacle, token::ServiceToken};

/// Services that wait for others elsewhere in the tree, which need not exist.
#[derive(Default)]
pub(super) struct Finding {
    waiting: BTreeMap<ServiceToken, Waiting>,
    /// By the path that is waited for.
    by_path: HashMap<Arc<str>, BTreeSet<ServiceToken>>,
    /// By the path of the one that waits.
    by_own_path: BTreeMap<Arc<str>, BTreeSet<ServiceToken>>,
}

/// A service that waits.
struct Waiting {
    find: Find,
    /// What it was told last.
    told: Option<(Arc<str>, Obstacle)>,
}

impl Finding {
    /// Takes a question, in the place of an earlier one of the same service.
    pub(super) fn insert(&mut self, find: Find) {
        self.remove(find.token);
        for path in &find.paths {
            let waiting = self.by_path.entry(Arc::clone(path)).or_default();
            waiting.insert(find.token);
        }
        let own_path = Arc::clone(&find.path);
        let same_path = self.by_own_path.entry(own_path).or_default();
        same_path.insert(find.token);
        let told = None;
        self.waiting.insert(find.token, Waiting { find, told });
    }

    pub(super) fn remove(&mut self, token: ServiceToken) -> Option<Find> {
        let Waiting { find, .. } = self.waiting.remove(&token)?;
        for path in &find.paths {
            if let Some(waiting) = self.by_path.get_mut(path) {
                waiting.remove(&token);
                if waiting.is_empty() {
                    self.by_path.remove(path);
                }
            }
        }
        // Two services have one path while the older one is being forgotten.
        if let Some(same_path) = self.by_own_path.get_mut(&find.path) {
            same_path.remove(&token);
            if same_path.is_empty() {
                self.by_own_path.remove(&find.path);
            }
        }
        Some(find)
    }

    /// For tests: reports whether nothing is kept.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.by_path.is_empty()
    }

    /// Who waits for a service with this path.
    pub(super) fn waiting_for(&self, path: &str) -> Vec<ServiceToken> {
        let waiting = self.by_path.get(path);
        waiting.into_iter().flatten().copied().collect()
    }

    /// What a service waits for.
    pub(super) fn paths_of(&self, token: ServiceToken) -> Option<Box<[Arc<str>]>> {
        let waiting = self.waiting.get(&token)?;
        Some(waiting.find.paths.clone())
    }

    /// Says that all is there, as it was just seen.
    pub(super) fn tell_found(&mut self, token: ServiceToken) {
        if let Some(find) = self.remove(token) {
            let ticket = find.ticket;
            find.tell(NoticeKind::Found { ticket });
        }
    }

    /// Says which is not there, if that is news.
    pub(super) fn tell_missing(&mut self, token: ServiceToken, on: Arc<str>, why: Obstacle) {
        let Some(waiting) = self.waiting.get_mut(&token) else {
            return;
        };
        let news = Some((on, why));
        if waiting.told != news {
            waiting.told.clone_from(&news);
            if let Some((on, why)) = news {
                let ticket = waiting.find.ticket;
                waiting.find.tell(NoticeKind::NotFound { ticket, on, why });
            }
        }
    }

    /// Says so if a service waits for one that waits for it, directly or not; for one above it, or for a supervisor that does not start
    /// without one that does.
    pub(super) fn tell_ring(&self, token: ServiceToken, is_there: impl Fn(&str) -> bool) {
        // Of no other one does a start depend on it.
        let Some(find) = self.needed(token) else {
            return;
        };
        // Each with the one that waits for it.
        let mut seen = BTreeMap::from([(token, None)]);
        let mut asked = BTreeSet::new();
        let mut work = vec![token];
        while let Some(last) = work.pop() {
            let Some(waiting) = self.waiting.get(&last) else {
                continue;
            };
            for path in waiting.find.paths.iter().filter(|path| !is_there(path)) {
                if is_at_or_above(path, &find.path) {
                    let before = |token: &ServiceToken| seen.get(token).copied().flatten();
                    let way = iter::successors(Some(last), before);
                    let members = way.filter_map(|token| self.waiting.get(&token));
                    let members = members.map(|waiting| Arc::clone(&waiting.find.path));
                    let mut members: Vec<_> = members.collect();
                    members.reverse();
                    let ticket = find.ticket;
                    return find.tell(NoticeKind::Ring { ticket, members });
                }
                // Thousands may wait for one.
                if !asked.insert(path) {
                    continue;
                }
                for next in self.holding_up(path) {
                    if let Entry::Vacant(new) = seen.entry(next) {
                        new.insert(Some(last));
                        work.push(next);
                    }
                }
            }
        }
    }

    /// The question of a service that the start of its supervisor needs.
    fn needed(&self, token: ServiceToken) -> Option<&Find> {
        let Waiting { find, .. } = self.waiting.get(&token)?;
        find.needed.then_some(find)
    }

    /// Who waits, and is the service with this path or one without which that does not start.
    fn holding_up(&self, path: &str) -> impl Iterator<Item = ServiceToken> {
        let itself = self.by_own_path.get(path).into_iter().flatten().copied();
        // All paths below one begin with it and a `/`, whose successor is `0`.
        let (from, to) = (format!("{path}/"), format!("{path}0"));
        let bounds = (Bound::Included(&*from), Bound::Excluded(&*to));
        let within = self.by_own_path.range::<str, _>(bounds);
        let within = within.flat_map(|(_, same_path)| same_path.iter().copied());
        itself.chain(within.filter(|token| self.needed(*token).is_some()))
    }
}

/// Reports whether a path is that of a service, or of a supervisor above it.
fn is_at_or_above(path: &str, service: &str) -> bool {
    path == service || names_below(service, path).is_some()
}

impl Find {
    fn tell(&self, kind: NoticeKind) {
        // The generation says nothing here: the ticket does.
        self.parent.notify(self.token, 0, kind);
    }
}
