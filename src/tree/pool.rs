//! The threads that services of one tree share, and those that were abandoned.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{ThreadId, available_parallelism},
};

use actix_rt::{Arbiter, ArbiterHandle};

/// One arbiter per core, used in turn.
pub(super) struct Pool {
    arbiters: Vec<Arbiter>,
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
            pool.arbiters.push(thread()?);
        }
        Ok(pool)
    }

    pub(super) fn next(&self) -> ArbiterHandle {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        self.arbiters[turn % self.arbiters.len()].handle()
    }

    /// Stops the threads, on which nothing runs any more. May be called again: an arbiter that has stopped ignores it.
    pub(super) fn stop(&self) {
        for arbiter in &self.arbiters {
            arbiter.stop();
        }
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

/// The threads of a tree that are blocked by services that were abandoned.
// A mutex, since supervisors and cells on several threads come here, when a thread is abandoned or back. It is held for one change.
#[derive(Clone, Default)]
pub(crate) struct AbandonedThreads(Arc<Mutex<HashMap<ThreadId, usize>>>);

impl AbandonedThreads {
    /// How many there are at present.
    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    /// Counts a thread, until what this returns is dropped: for a service that was launched there.
    pub(crate) fn write_off(&self, thread: Option<ThreadId>) -> Option<WrittenOff> {
        let thread = thread?;
        *self.lock().entry(thread).or_default() += 1;
        Some(WrittenOff {
            threads: self.clone(),
            thread,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ThreadId, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread that is blocked by a service that was abandoned; dropped when it is back.
pub(crate) struct WrittenOff {
    threads: AbandonedThreads,
    thread: ThreadId,
}

impl Drop for WrittenOff {
    fn drop(&mut self) {
        let mut threads = self.threads.lock();
        if let Some(services) = threads.get_mut(&self.thread) {
            *services -= 1;
            if *services == 0 {
                threads.remove(&self.thread);
            }
        }
    }
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

    #[test]
    fn thread_counts_once_however_many_services_were_abandoned_on_it() {
        let threads = AbandonedThreads::default();
        let here = Some(std::thread::current().id());
        let first = threads.write_off(here);
        let second = threads.write_off(here);
        assert!(threads.write_off(None).is_none());
        assert_eq!(threads.count(), 1);
        drop(first);
        assert_eq!(threads.count(), 1);
        drop(second);
        assert_eq!(threads.count(), 0);
    }
}
