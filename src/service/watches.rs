//! Who watches the services of one supervisor.
//!
//! Kept here and not with each service: one that nobody watches pays nothing, and nothing is left of a watch that is over. What a change
//! means, the supervisor says; here is only who is told.
//!
//! # Invariants
//!
//! 1. Under the lock no code of others runs: wakers are cloned, woken and dropped without it, and messages are sent without it.
//! 2. An end is told once to each watcher, by the number of the life that has ended: by the supervisor, or by whoever begins to watch a service
//!    that has ended already. Both claim it under the lock.

use std::{
    collections::BTreeMap,
    fmt,
    ops::RangeInclusive,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
};

use actix::Message;

use crate::{
    policy::ExitReason,
    token::ServiceToken,
    user_value::{UserValue, quietly},
};

/// A service has ended for good: it has finished, was given up, is lost, or was removed.
///
/// What a watch tells, see [`ServiceContext::watch`](crate::ServiceContext::watch) and [`ServiceRef::watch`](crate::ServiceRef::watch).
#[derive(Clone, Debug)]
pub struct ServiceEnded {
    what: Arc<What>,
    pub(super) meant: Meant,
}

#[derive(Debug)]
struct What {
    path: Arc<str>,
    token: ServiceToken,
    reason: ExitReason,
}

/// For whom a notice of an end is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Meant {
    Anybody,
    /// For the incarnation that has begun this watch.
    Watch(u64),
}

impl ServiceEnded {
    pub(super) fn new(path: Arc<str>, token: ServiceToken, reason: ExitReason) -> Self {
        Self::of(Arc::new(What {
            path,
            token,
            reason,
        }))
    }

    const fn of(what: Arc<What>) -> Self {
        let meant = Meant::Anybody;
        Self { what, meant }
    }

    /// The names from the root to the service, as in `root/db/pool`.
    pub fn path(&self) -> &str {
        &self.what.path
    }

    /// The token of the service.
    pub fn token(&self) -> ServiceToken {
        self.what.token
    }

    /// Why its latest incarnation ended; [`Normal`](ExitReason::Normal) if it has had none.
    pub fn reason(&self) -> &ExitReason {
        &self.what.reason
    }

    pub(super) const fn meant_for(mut self, meant: Meant) -> Self {
        self.meant = meant;
        self
    }
}

impl Message for ServiceEnded {
    type Result = ();
}

impl fmt::Display for ServiceEnded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} has ended: {}", self.path(), self.reason())
    }
}

/// Where the ends of services are told.
pub(super) trait Target: Send + Sync + 'static {
    /// Sends a message, past the capacity of the mailbox.
    fn tell(&self, watch: u64, ended: ServiceEnded);

    /// Reports whether nobody is left to be told.
    fn is_gone(&self) -> bool;
}

/// The watchers of all services of one supervisor.
#[derive(Default)]
// A mutex, since whoever watches does so on any thread. It is held to look through the watchers of one service.
pub(super) struct Watches(Mutex<Watchers>);

#[derive(Default)]
struct Watchers {
    /// By service, and for each in the order in which they came.
    map: BTreeMap<(ServiceToken, u64), Watcher>,
    latest: u64,
    /// At how many watchers those are looked for that nobody has taken out and nobody can be told any more.
    sweep_at: usize,
}

enum Watcher {
    /// Wants to know of each change.
    State { news: News, waker: Option<Waker> },
    /// Waits for the end.
    End {
        ended: Option<Arc<What>>,
        waker: Option<Waker>,
    },
    /// Is told of each end. `told` says of which it was: the number of lives that the service has had by then.
    Target {
        target: Arc<dyn Target>,
        told: Option<u64>,
    },
}

/// Whether the state has changed since somebody looked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum News {
    No,
    Yes,
}

/// What has become of a service.
pub(super) enum Change {
    /// It is in another state.
    State,
    /// It has ended for good, after so many lives.
    Ended { lives: u64, ended: ServiceEnded },
    /// Likewise, and it is removed: nothing else follows.
    Removed { lives: u64, ended: ServiceEnded },
}

impl Watches {
    /// Takes in somebody who wants to know of each change of a service. `note` is called under the lock, and notes that it is watched.
    pub(super) fn watch_state(&self, service: ServiceToken, note: impl FnOnce()) -> u64 {
        let news = News::No;
        self.add(service, Watcher::State { news, waker: None }, note)
    }

    /// Takes in somebody who waits for the end of a service.
    pub(super) fn watch_end(&self, service: ServiceToken, note: impl FnOnce()) -> u64 {
        let (ended, waker) = (None, None);
        self.add(service, Watcher::End { ended, waker }, note)
    }

    /// Takes in somebody who is told of each end of a service.
    pub(super) fn watch_by(
        &self,
        service: ServiceToken,
        target: Arc<dyn Target>,
        note: impl FnOnce(),
    ) -> u64 {
        self.sweep();
        let told = None;
        self.add(service, Watcher::Target { target, told }, note)
    }

    fn add(&self, service: ServiceToken, watcher: Watcher, note: impl FnOnce()) -> u64 {
        let mut watchers = self.lock();
        watchers.latest += 1;
        let watch = watchers.latest;
        watchers.map.insert((service, watch), watcher);
        // Under the lock, as the opposite in `remove` and `tell`: so a service is never noted as unwatched that somebody watches.
        note();
        watch
    }

    /// Takes a watcher out. `note` is called if it was the last one of the service.
    pub(super) fn remove(&self, service: ServiceToken, watch: u64, note: impl FnOnce()) {
        let mut watchers = self.lock();
        let gone = watchers.map.remove(&(service, watch));
        if !watchers.has_any_of(service) {
            note();
        }
        drop(watchers);
        drop_quietly(gone);
    }

    /// Tells those who watch a service what has become of it. `note` is called if there are none any more.
    pub(super) fn tell(&self, service: ServiceToken, change: &Change, note: impl FnOnce()) {
        let mut wakers = Vec::new();
        let mut targets = Vec::new();
        let mut gone = Vec::new();
        let mut watchers = self.lock();
        for ((_, watch), watcher) in watchers.map.range_mut(all_of(service)) {
            watcher.notice(change, &mut wakers, |target| targets.push((*watch, target)));
            if matches!(change, Change::Removed { .. }) && matches!(watcher, Watcher::Target { .. })
            {
                gone.push(*watch);
            }
        }
        let gone: Vec<_> = gone
            .into_iter()
            .map(|watch| watchers.map.remove(&(service, watch)))
            .collect();
        if !watchers.has_any_of(service) {
            note();
        }
        drop(watchers);
        gone.into_iter().for_each(drop_quietly);
        for waker in wakers {
            // Another executor's code, which must not be the end of the supervisor whose turn this is.
            let _nobody_to_tell = quietly(|| waker.wake());
        }
        if let Change::Ended { ended, .. } | Change::Removed { ended, .. } = change {
            for (watch, target) in targets {
                let _nobody_to_tell = quietly(|| target.tell(watch, ended.clone()));
                drop(UserValue::new(target));
            }
        }
    }

    /// Claims the telling of an end to one watcher: it is the caller's if nobody has told of that end, or of a later one.
    pub(super) fn claim(
        &self,
        service: ServiceToken,
        watch: u64,
        lives: u64,
    ) -> Option<Arc<dyn Target>> {
        match self.lock().map.get_mut(&(service, watch))? {
            Watcher::Target { target, told } if is_news(*told, lives) => {
                *told = Some(lives);
                Some(Arc::clone(target))
            }
            _ => None,
        }
    }

    /// Reports whether a service has changed since the last call, or has the caller woken when it does.
    pub(super) fn poll_state(&self, service: ServiceToken, watch: u64, waker: &Waker) -> Poll<()> {
        self.poll(service, watch, waker, |watcher| match watcher {
            Watcher::State { news, .. } if *news == News::Yes => {
                *news = News::No;
                Some(())
            }
            _ => None,
        })
    }

    /// How a service has ended since the watch began, or has the caller woken when it does.
    pub(super) fn poll_end(
        &self,
        service: ServiceToken,
        watch: u64,
        waker: &Waker,
    ) -> Poll<ServiceEnded> {
        self.poll(service, watch, waker, |watcher| match watcher {
            Watcher::End { ended, .. } => ended.take().map(ServiceEnded::of),
            _ => None,
        })
    }

    fn poll<T>(
        &self,
        service: ServiceToken,
        watch: u64,
        waker: &Waker,
        look: impl Fn(&mut Watcher) -> Option<T>,
    ) -> Poll<T> {
        let key = (service, watch);
        let mut watchers = self.lock();
        let Some(watcher) = watchers.map.get_mut(&key) else {
            return Poll::Pending;
        };
        if let Some(found) = look(watcher) {
            return Poll::Ready(found);
        }
        if watcher.waker().is_some_and(|known| known.will_wake(waker)) {
            return Poll::Pending;
        }
        drop(watchers);
        // Not under the lock, and so something may have happened by now.
        let waker = waker.clone();
        let mut watchers = self.lock();
        let Some(watcher) = watchers.map.get_mut(&key) else {
            return Poll::Pending;
        };
        let found = look(watcher);
        let before = match &found {
            Some(_) => Some(waker),
            None => watcher.set_waker(waker),
        };
        drop(watchers);
        drop(before);
        found.map_or(Poll::Pending, Poll::Ready)
    }

    /// Forgets those that nobody has taken out, because they are gone. Looked for whenever there are twice as many watchers as were left the last time.
    fn sweep(&self) {
        let watchers = self.lock();
        if watchers.map.len() < watchers.sweep_at.max(FEWEST_SWEPT) {
            return;
        }
        let targets = watchers
            .map
            .iter()
            .filter_map(|(key, watcher)| match watcher {
                Watcher::Target { target, .. } => Some((*key, Arc::clone(target))),
                _ => None,
            });
        let targets: Vec<_> = targets.collect();
        drop(watchers);
        // Asked without the lock: an address that is held for the question may be the last one when it is dropped.
        let mut gone = Vec::new();
        for (key, target) in targets {
            if quietly(|| target.is_gone()).unwrap_or(true) {
                gone.push(key);
            }
            drop(UserValue::new(target));
        }
        let mut watchers = self.lock();
        // A service that nobody watches any more is noted as that with its next change.
        let gone: Vec<_> = gone.iter().map(|key| watchers.map.remove(key)).collect();
        watchers.sweep_at = 2 * watchers.map.len();
        drop(watchers);
        gone.into_iter().for_each(drop_quietly);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().map.len()
    }

    fn lock(&self) -> MutexGuard<'_, Watchers> {
        // Nothing panics while the lock is held. If something did, the map would still be whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watchers {
    fn has_any_of(&self, service: ServiceToken) -> bool {
        self.map.range(all_of(service)).next().is_some()
    }
}

impl Watcher {
    /// Notes a change, and says whom to wake and whom to tell.
    fn notice(
        &mut self,
        change: &Change,
        wakers: &mut Vec<Waker>,
        tell: impl FnOnce(Arc<dyn Target>),
    ) {
        let end = match change {
            Change::State => None,
            Change::Ended { lives, ended } | Change::Removed { lives, ended } => {
                Some((*lives, ended))
            }
        };
        match (self, end) {
            (Self::State { news, waker }, _) => {
                *news = News::Yes;
                wakers.extend(waker.take());
            }
            (Self::End { ended, waker }, Some((_, how))) => {
                // The first: whoever waits has waited for that one.
                ended.get_or_insert_with(|| Arc::clone(&how.what));
                wakers.extend(waker.take());
            }
            (Self::Target { target, told }, Some((lives, _))) if is_news(*told, lives) => {
                *told = Some(lives);
                tell(Arc::clone(target));
            }
            (Self::End { .. } | Self::Target { .. }, _) => {}
        }
    }

    fn waker(&self) -> Option<&Waker> {
        match self {
            Self::State { waker, .. } | Self::End { waker, .. } => waker.as_ref(),
            Self::Target { .. } => None,
        }
    }

    fn set_waker(&mut self, new: Waker) -> Option<Waker> {
        match self {
            Self::State { waker, .. } | Self::End { waker, .. } => waker.replace(new),
            Self::Target { .. } => Some(new),
        }
    }
}

/// Reports whether the end of the latest of so many lives was not told yet. A late one, that others have overtaken, is none.
fn is_news(told: Option<u64>, lives: u64) -> bool {
    told.is_none_or(|told| told < lives)
}

/// Drops a watcher, with the waker or the address that it has. What `Drop` does there is the code of others.
fn drop_quietly(watcher: Option<Watcher>) {
    drop(watcher.map(UserValue::new));
}

fn all_of(service: ServiceToken) -> RangeInclusive<(ServiceToken, u64)> {
    (service, 0)..=(service, u64::MAX)
}

impl fmt::Debug for Watches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watches").finish_non_exhaustive()
    }
}

/// With fewer watchers nobody looks for those that are gone.
const FEWEST_SWEPT: usize = 64;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;
    use crate::token::SupervisorId;

    /// Counts what it is told, and may be gone.
    #[derive(Default)]
    struct Counter {
        told: AtomicUsize,
        gone: AtomicBool,
    }

    impl Target for Counter {
        fn tell(&self, _: u64, _: ServiceEnded) {
            self.told.fetch_add(1, Ordering::SeqCst);
        }

        fn is_gone(&self) -> bool {
            self.gone.load(Ordering::SeqCst)
        }
    }

    fn service() -> ServiceToken {
        ServiceToken::issue(SupervisorId::issue(), 0)
    }

    fn ended(service: ServiceToken) -> ServiceEnded {
        ServiceEnded::new(Arc::from("root/a"), service, ExitReason::Normal)
    }

    fn end(watches: &Watches, service: ServiceToken, lives: u64) {
        let ended = ended(service);
        watches.tell(service, &Change::Ended { lives, ended }, || {});
    }

    fn told(counter: &Counter) -> usize {
        counter.told.load(Ordering::SeqCst)
    }

    #[test]
    fn end_is_told_once_and_the_next_one_again() {
        let (watches, service) = (Watches::default(), service());
        let counter = Arc::<Counter>::default();
        let target = || Arc::clone(&counter) as Arc<dyn Target>;
        let watch = watches.watch_by(service, target(), || {});
        end(&watches, service, 1);
        // Shown once more, as that of its supervisor.
        end(&watches, service, 1);
        assert_eq!(told(&counter), 1);
        assert!(watches.claim(service, watch, 1).is_none());
        assert!(watches.claim(service, watch, 2).is_some());
        end(&watches, service, 2);
        assert_eq!(told(&counter), 1);
        // A late claim, of an end that others have overtaken.
        end(&watches, service, 4);
        assert!(watches.claim(service, watch, 3).is_none());
        assert_eq!(told(&counter), 2);
        // Another one that comes later has been told nothing of this.
        let late = watches.watch_by(service, target(), || {});
        assert!(watches.claim(service, late, 4).is_some());
        let ended = ended(service);
        let removed = Change::Removed { lives: 4, ended };
        watches.tell(service, &removed, || {});
        assert_eq!(told(&counter), 2);
        assert_eq!(watches.len(), 0, "nothing follows");
    }

    #[test]
    fn service_that_nobody_watches_any_more_is_noted_as_that() {
        let (watches, a, b) = (Watches::default(), service(), service());
        let noted = AtomicUsize::new(0);
        let (yes, no) = (
            || noted.store(1, Ordering::SeqCst),
            || noted.store(0, Ordering::SeqCst),
        );
        let first = watches.watch_state(a, yes);
        let second = watches.watch_end(a, yes);
        let _other = watches.watch_end(b, || {});
        watches.remove(a, first, no);
        assert_eq!(noted.load(Ordering::SeqCst), 1);
        watches.remove(a, second, no);
        assert_eq!(noted.load(Ordering::SeqCst), 0);
        // Also by a change, if those are gone that nobody has taken out.
        let third = watches.watch_by(a, Arc::<Counter>::default(), yes);
        watches.lock().map.remove(&(a, third));
        watches.tell(a, &Change::State, no);
        assert_eq!(noted.load(Ordering::SeqCst), 0);
        assert_eq!(watches.len(), 1);
    }

    #[test]
    fn those_who_are_gone_are_not_kept_for_ever() {
        let (watches, service) = (Watches::default(), service());
        let stays = Arc::<Counter>::default();
        watches.watch_by(service, stays, || {});
        for _ in 0..10_000 {
            let leaves = Arc::<Counter>::default();
            watches.watch_by(service, Arc::clone(&leaves) as Arc<dyn Target>, || {});
            leaves.gone.store(true, Ordering::SeqCst);
            assert!(watches.len() <= FEWEST_SWEPT);
        }
    }

    #[test]
    fn whoever_waits_is_told_what_has_happened_since_the_watch_began() {
        let (watches, service) = (Watches::default(), service());
        let state = watches.watch_state(service, || {});
        let waits = watches.watch_end(service, || {});
        let waker = Waker::noop();
        assert!(watches.poll_state(service, state, waker).is_pending());
        assert!(watches.poll_end(service, waits, waker).is_pending());
        watches.tell(service, &Change::State, || {});
        assert!(watches.poll_end(service, waits, waker).is_pending());
        end(&watches, service, 1);
        end(&watches, service, 2);
        assert!(watches.poll_state(service, state, waker).is_ready());
        assert!(watches.poll_state(service, state, waker).is_pending());
        assert!(watches.poll_end(service, waits, waker).is_ready());
    }
}
