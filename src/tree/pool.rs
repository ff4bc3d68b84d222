//! The threads that services of one tree share.

use std::{
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, ThreadId, available_parallelism},
};

use actix_rt::{Arbiter, ArbiterHandle};

use super::abandoned::AbandonedThreads;

/// One arbiter per core, used in turn.
pub(super) struct Pool {
    arbiters: Vec<Shared>,
    // Counts the services that were placed here. Supervisors on several threads share it; only a spread is wanted, so `Relaxed` is enough.
    turn: AtomicUsize,
}

impl Pool {
    pub(super) fn new() -> io::Result<Self> {
        Self::of(new_thread)
    }

    fn of(mut thread: impl FnMut() -> io::Result<Arbiter>) -> io::Result<Self> {
        let cores = available_parallelism().map_or(1, usize::from);
        // Dropped if one of them fails, and with it those that were made.
        let mut pool = Self {
            arbiters: Vec::with_capacity(cores),
            turn: AtomicUsize::new(0),
        };
        for _ in 0..cores {
            pool.arbiters.push(Shared::new(thread()?));
        }
        Ok(pool)
    }

    /// The arbiter whose turn it is. Those whose threads are blocked are passed over, unless all are.
    pub(super) fn next(&self, blocked: &AbandonedThreads) -> ArbiterHandle {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let (before, after) = self.arbiters.split_at(turn % self.arbiters.len());
        let is_free = |shared: &&Shared| !shared.is_one_of(blocked);
        let free = after.iter().chain(before).find(is_free);
        free.unwrap_or(&after[0]).arbiter.handle()
    }

    /// Stops the threads, on which nothing runs any more. May be called again: an arbiter that has stopped ignores it.
    pub(super) fn stop(&self) {
        for shared in &self.arbiters {
            shared.arbiter.stop();
        }
    }
}

/// An arbiter of the pool.
struct Shared {
    arbiter: Arbiter,
    /// Set by the first thing that the thread does, and so before a service can block it.
    thread: Arc<OnceLock<ThreadId>>,
}

impl Shared {
    fn new(arbiter: Arbiter) -> Self {
        let thread = Arc::new(OnceLock::new());
        let there = Arc::clone(&thread);
        arbiter.spawn_fn(move || {
            let _set_once = there.set(thread::current().id());
        });
        Self { arbiter, thread }
    }

    fn is_one_of(&self, blocked: &AbandonedThreads) -> bool {
        let thread = self.thread.get();
        thread.is_some_and(|thread| blocked.has(*thread))
    }
}

impl Drop for Pool {
    /// A tree whose actix system stops first is dropped without having been closed, and its threads would stay.
    fn drop(&mut self) {
        self.stop();
    }
}

/// Makes a thread with an arbiter.
pub(crate) fn new_thread() -> io::Result<Arbiter> {
    #[cfg(test)]
    scarce::take()?;
    Arbiter::try_new()
}

/// For tests: makes threads scarce.
#[cfg(test)]
pub(crate) mod scarce {
    use std::{cell::Cell, io};

    thread_local! {
        /// How many more threads can be made from this one; any number if it does not say.
        static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
    }

    pub(crate) fn allow(threads: Option<u32>) {
        LEFT.set(threads);
    }

    pub(super) fn take() -> io::Result<()> {
        match LEFT.get() {
            Some(0) => Err(io::Error::other("no threads are left")),
            left => {
                LEFT.set(left.map(|left| left - 1));
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        state::UnstoppedService,
        token::{ServiceToken, SupervisorId},
    };

    #[actix::test]
    async fn threads_that_were_made_before_one_that_cannot_be_made_are_stopped() {
        let mut made = Vec::new();
        let pool = Pool::of(|| {
            if !made.is_empty() {
                return Err(io::Error::other("no threads are left"));
            }
            let arbiter = Arbiter::try_new()?;
            made.push(arbiter.handle());
            Ok(arbiter)
        });
        // With one core there is none that cannot be made.
        drop(pool);
        assert_eq!(made.len(), 1);
        while made[0].spawn(async {}) {
            tokio::task::yield_now().await;
        }
    }

    fn abandoned(path: &str) -> UnstoppedService {
        let token = ServiceToken::issue(SupervisorId::issue(), 0);
        UnstoppedService::new(Arc::from(path), token, 0)
    }

    #[actix::test]
    async fn arbiters_whose_threads_are_blocked_are_passed_over_unless_all_are() {
        let pool = Pool::new().unwrap();
        let threads = AbandonedThreads::default();
        let mut ids = Vec::new();
        for shared in &pool.arbiters {
            while shared.thread.get().is_none() {
                tokio::task::yield_now().await;
            }
            ids.extend(shared.thread.get().copied());
        }
        let (free, blocked) = ids.split_first().unwrap();
        let _blocked: Vec<_> = blocked
            .iter()
            .map(|thread| threads.write_off(*thread, vec![abandoned("root/a")]))
            .collect();
        for _ in 0..2 * ids.len() {
            assert_eq!(runs_on(&pool.next(&threads)).await, *free);
        }
        let _last = threads.write_off(*free, vec![abandoned("root/b")]);
        let mut used = Vec::new();
        for _ in &ids {
            used.push(runs_on(&pool.next(&threads)).await);
        }
        used.sort_unstable_by_key(|thread| ids.iter().position(|id| id == thread));
        assert_eq!(used, ids);
    }

    async fn runs_on(arbiter: &ArbiterHandle) -> ThreadId {
        let (tell, told) = tokio::sync::oneshot::channel();
        arbiter.spawn_fn(move || {
            let _test_gone = tell.send(thread::current().id());
        });
        told.await.unwrap()
    }
}
