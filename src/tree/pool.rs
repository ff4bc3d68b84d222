//! The threads that services of one tree share.

use std::{
    io,
    sync::atomic::{AtomicUsize, Ordering},
    thread::available_parallelism,
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
        let cores = available_parallelism().map_or(1, usize::from);
        Ok(Self {
            arbiters: (0..cores)
                .map(|_| Arbiter::try_new())
                .collect::<Result<_, _>>()?,
            turn: AtomicUsize::new(0),
        })
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
