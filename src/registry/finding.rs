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
    /// without one that does. Whether somebody waits for its start, its supervisor knows. If its start is none of that of its supervisor,
    /// likewise of those on the way whose start is.
    pub(super) fn tell_ring(&self, token: ServiceToken, held: impl Fn(&str) -> Held) {
        let Some(Waiting { find, .. }) = self.waiting.get(&token) else {
            return;
        };
        self.tell_if_ring(find, &held);
        if find.needed {
            return;
        }
        // They have asked before, when there was no ring.
        let reached = self.walk(find, &held).before;
        let askers = reached
            .keys()
            .filter_map(|path| self.by_own_path.get(path))
            .flatten()
            .filter(|other| **other != token)
            .filter_map(|other| self.needed(*other));
        for asker in askers {
            self.tell_if_ring(asker, &held);
        }
    }

    fn tell_if_ring(&self, find: &Find, held: &impl Fn(&str) -> Held) {
        let Walk { before, ring } = self.walk(find, held);
        let Some(last) = ring else {
            return;
        };
        let way = iter::successors(Some(&last), |path| before.get(*path)?.as_ref());
        let mut members: Vec<_> = way.map(Arc::clone).collect();
        members.reverse();
        let ticket = find.ticket;
        find.tell(NoticeKind::Ring { ticket, members });
    }

    /// Goes from a service that waits to all without which it cannot go on.
    fn walk(&self, find: &Find, held: &impl Fn(&str) -> Held) -> Walk {
        let start = &find.path;
        // Each with the one that cannot go on without it.
        let mut before = BTreeMap::from([(Arc::clone(start), None)]);
        let mut work = vec![Arc::clone(start)];
        while let Some(path) = work.pop() {
            for next in self.without(&path, path == *start, held) {
                if is_at_or_above(&next, start) {
                    let ring = Some(path);
                    return Walk { before, ring };
                }
                // Thousands may wait for one.
                if let Entry::Vacant(new) = before.entry(Arc::clone(&next)) {
                    new.insert(Some(Arc::clone(&path)));
                    work.push(next);
                }
            }
        }
        Walk { before, ring: None }
    }

    /// Whom the service with this path, which is not there, cannot do without: what it waits for elsewhere, siblings that it or a supervisor
    /// above it requires before it is started, and what is below it without which it is not ready.
    fn without(&self, path: &str, asks: bool, held: &impl Fn(&str) -> Held) -> Vec<Arc<str>> {
        let own = self.by_own_path.get(path).into_iter().flatten();
        let own = own.filter_map(|token| self.waiting.get(token));
        let paths = own.flat_map(|waiting| waiting.find.paths.iter());
        let mut all: Vec<_> = paths
            .filter(|path| !matches!(held(path), Held::There))
            .map(Arc::clone)
            .collect();
        // One that asks has its siblings, and so have those above it.
        if !asks {
            for (end, _) in path.match_indices('/').skip(1).chain([(path.len(), "")]) {
                if let Held::Waits { required } = held(&path[..end]) {
                    let missing = |path: &Arc<str>| !matches!(held(path), Held::There);
                    all.extend(required.into_iter().filter(missing));
                }
            }
        }
        all.extend(self.needed_below(path));
        all
    }

    /// The question of a service that the start of its supervisor needs.
    fn needed(&self, token: ServiceToken) -> Option<&Find> {
        let Waiting { find, .. } = self.waiting.get(&token)?;
        find.needed.then_some(find)
    }

    /// Those below the supervisor with this path that wait, and without which it does not start.
    fn needed_below(&self, path: &str) -> impl Iterator<Item = Arc<str>> {
        // All paths below one begin with it and a `/`, whose successor is `0`.
        let (from, to) = (format!("{path}/"), format!("{path}0"));
        let bounds = (Bound::Included(&*from), Bound::Excluded(&*to));
        let within = self.by_own_path.range::<str, _>(bounds);
        let needed = within.filter(|(_, tokens)| {
            let mut tokens = tokens.iter();
            tokens.any(|token| self.needed(*token).is_some())
        });
        needed.map(|(path, _)| Arc::clone(path))
    }
}

/// What keeps a service from being required, as the registry sees it.
pub(super) enum Held {
    /// Nothing.
    There,
    /// Its start, for which all of these siblings have to be ready, by their paths.
    Waits { required: Vec<Arc<str>> },
    /// Anything else.
    Otherwise,
}

/// What was found on the way from a service that waits.
struct Walk {
    /// Each path with the one that cannot go on without it.
    before: BTreeMap<Arc<str>, Option<Arc<str>>>,
    /// The last of a ring, which cannot go on without the first.
    ring: Option<Arc<str>>,
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
