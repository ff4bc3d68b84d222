//! The supervisors of a tree that were started, for whoever takes a picture of it: where to ask, and what each looked like the last time.
//!
//! A picture is kept only of a supervisor that somebody has asked for a report, and only what its links do not say anyway: some fifty bytes for
//! each service, and more for one that has failed or waits. Nobody else pays for it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, ThreadId},
    time::{Duration, Instant, SystemTime},
};

use hashbrown::HashMap;

use super::abandoned::is_below;
use crate::{
    event::Blocked,
    policy::ExitReason,
    service::{AnyLink, Parent},
    state::ServiceState,
    token::ServiceToken,
};

/// The supervisors of a tree, the root among them, from their first start until they are gone.
// A mutex, since supervisors on several threads come here, and callers on any. It is held for one change, or to read the list; nothing of the
// user's is called or dropped meanwhile.
#[derive(Default)]
pub(crate) struct Supervisors {
    list: Mutex<HashMap<ServiceToken, Supervisor>>,
}

struct Supervisor {
    known: KnownSupervisor,
    last: Option<Arc<LastPicture>>,
    /// Since when it does not answer: when it was asked for the first time in vain.
    silent: Option<Instant>,
}

/// A supervisor that was started.
#[derive(Clone)]
pub(crate) struct KnownSupervisor {
    pub(crate) link: Arc<dyn AnyLink>,
    /// What its services have in common.
    pub(crate) parent: Arc<Parent>,
    /// The thread that it runs on.
    pub(crate) thread: ThreadId,
}

/// What a supervisor looked like the last time that it has said so.
#[derive(Debug)]
pub(crate) struct LastPicture {
    pub(crate) taken: Instant,
    pub(crate) numbers: Numbers,
    pub(crate) services: Vec<LastSeen>,
}

/// What a supervisor counts, and what it goes by.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Numbers {
    pub(crate) failure_count: f64,
    pub(crate) limit: Option<f64>,
    pub(crate) half_life: Option<Duration>,
    pub(crate) window: Option<Duration>,
    pub(crate) paused_until: Option<SystemTime>,
    pub(crate) table_unreachable: Option<Duration>,
}

/// What a service looked like, as far as its link does not say it.
#[derive(Clone, Debug)]
pub(crate) struct LastSeen {
    pub(crate) token: ServiceToken,
    pub(crate) state: ServiceState,
    pub(crate) generation: u64,
    pub(crate) since: Option<SystemTime>,
    pub(crate) details: Option<Arc<Details>>,
}

/// What there is to say of few services.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Details {
    /// What is counted against a limit of its own.
    pub(crate) failure_count: Option<f64>,
    pub(crate) limit: Option<f64>,
    pub(crate) next_start: Option<SystemTime>,
    pub(crate) waits_for: Option<(Arc<str>, Blocked)>,
    pub(crate) last_exit: Option<ExitReason>,
}

/// What is left to say of a supervisor that does not answer.
pub(crate) struct Silent {
    pub(crate) last: Option<Arc<LastPicture>>,
    /// How old that is; without it, for how long there was no answer.
    pub(crate) age: Duration,
}

impl Supervisors {
    /// Takes a supervisor in that is started for the first time, on this thread.
    pub(crate) fn add(&self, link: &Arc<dyn AnyLink>, parent: &Arc<Parent>) {
        let known = KnownSupervisor {
            link: Arc::clone(link),
            parent: Arc::clone(parent),
            thread: thread::current().id(),
        };
        let supervisor = Supervisor {
            known,
            last: None,
            silent: None,
        };
        let before = self.lock().insert(link.core().token(), supervisor);
        drop(before);
    }

    /// Forgets a supervisor, unless another one has taken its place meanwhile.
    pub(crate) fn remove(&self, token: ServiceToken, parent: &Arc<Parent>) {
        let mut list = self.lock();
        let is_it = |known: &KnownSupervisor| Arc::ptr_eq(&known.parent, parent);
        let gone = match list.get(&token) {
            Some(supervisor) if is_it(&supervisor.known) => list.remove(&token),
            _ => None,
        };
        drop(list);
        // What was seen of it may hold an error of the user's.
        drop(gone);
    }

    /// Forgets all.
    pub(super) fn clear(&self) {
        let all = std::mem::take(&mut *self.lock());
        drop(all);
    }

    /// A supervisor, if it was started.
    pub(crate) fn get(&self, token: ServiceToken) -> Option<KnownSupervisor> {
        let list = self.lock();
        list.get(&token).map(|supervisor| supervisor.known.clone())
    }

    /// The supervisors at this path and below it.
    pub(crate) fn at_and_below(&self, path: &str) -> Vec<KnownSupervisor> {
        let list = self.lock();
        let all = list.values().map(|supervisor| &supervisor.known);
        let those = all.filter(|known| {
            let own = known.link.core().path();
            **own == *path || is_below(own, path)
        });
        those.cloned().collect()
    }

    /// Keeps what a supervisor has said.
    pub(crate) fn keep(&self, token: ServiceToken, picture: LastPicture) {
        let picture = Arc::new(picture);
        let mut list = self.lock();
        let before = list.get_mut(&token).and_then(|supervisor| {
            supervisor.silent = None;
            supervisor.last.replace(picture)
        });
        drop(list);
        drop(before);
    }

    /// What is left to say of a supervisor that was asked then, and has not answered until now.
    pub(crate) fn silent(&self, token: ServiceToken, asked: Instant, now: Instant) -> Silent {
        let mut list = self.lock();
        let Some(supervisor) = list.get_mut(&token) else {
            return Silent {
                last: None,
                age: now.saturating_duration_since(asked),
            };
        };
        let since = *supervisor.silent.get_or_insert(asked);
        let picture = supervisor.last.clone();
        drop(list);
        let since = picture.as_ref().map_or(since, |last| last.taken);
        Silent {
            last: picture,
            age: now.saturating_duration_since(since),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ServiceToken, Supervisor>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
