//! Says when a moment has passed, without a runtime: the thread of that may be what is blocked.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use crate::user_value::quietly;

/// Calls back after a moment, the same for all, from one thread. That is there only while somebody waits.
#[derive(Default)]
pub(crate) struct Moments(Arc<Shared>);

// A mutex, since callers on any thread come here. It is held to put something at the end, or to take it from the front.
#[derive(Default)]
struct Shared(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    /// The earliest first: all wait for the same time.
    waiting: VecDeque<(Instant, Box<dyn FnOnce() + Send>)>,
    /// Whether there is a thread.
    kept: bool,
}

/// How long a moment is.
pub(crate) const MOMENT: Duration = Duration::from_millis(100);

impl Moments {
    /// Has this called in a moment, by the clock of the operating system. At once if there are no threads left.
    pub(crate) fn call_later(&self, call: impl FnOnce() + Send + 'static) {
        let due = clock() + MOMENT;
        let mut queue = self.0.lock();
        queue.waiting.push_back((due, Box::new(call)));
        if queue.kept {
            return;
        }
        queue.kept = true;
        drop(queue);
        let shared = Arc::clone(&self.0);
        if start(move || shared.keep()).is_err() {
            self.0.give_up();
        }
    }
}

impl Shared {
    /// Calls one after the other, until nobody waits.
    fn keep(&self) {
        loop {
            let mut queue = self.lock();
            let Some((due, _)) = queue.waiting.front() else {
                queue.kept = false;
                return;
            };
            let left = due.saturating_duration_since(clock());
            if !left.is_zero() {
                drop(queue);
                // Whoever comes meanwhile waits longer than that.
                rest(left);
                continue;
            }
            let due = queue.waiting.pop_front();
            drop(queue);
            call(due.map(|(_, call)| call));
        }
    }

    /// There is no thread for those who wait.
    fn give_up(&self) {
        let mut queue = self.lock();
        queue.kept = false;
        let waiting = std::mem::take(&mut queue.waiting);
        drop(queue);
        for (_, waits) in waiting {
            call(Some(waits));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Calls somebody, whose waker may panic: that costs nobody else.
fn call(waits: Option<Box<dyn FnOnce() + Send>>) {
    let _nobody_to_tell = quietly(|| waits.map(|call| call()));
}

fn start(keep: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = thread::Builder::new().name(String::from("resurgam-moment"));
    thread.spawn(keep).map(drop)
}

/// The present by the clock of the operating system: tokio's may be paused, and there may be none.
#[expect(
    clippy::disallowed_methods,
    reason = "what is measured is how long another thread does not answer"
)]
pub(crate) fn clock() -> Instant {
    Instant::now()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a thread of its own, that runs no arbiter"
)]
fn rest(time: Duration) {
    thread::sleep(time);
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn many_are_called_by_one_thread_in_their_order_and_a_panic_of_one_costs_no_other() {
        let moments = Moments::default();
        for _ in 0..2 {
            let (call, called) = mpsc::channel();
            let begun = clock();
            for n in 0..100 {
                let call = call.clone();
                moments.call_later(move || {
                    let _test_gone = call.send((n, thread::current().id()));
                    assert!(n != 50, "on purpose");
                });
            }
            drop(call);
            let called: Vec<_> = called.into_iter().collect();
            assert!(clock() >= begun + MOMENT);
            assert!(called.iter().map(|(n, _)| *n).eq(0..100));
            assert!(called.iter().all(|(_, thread)| *thread == called[0].1));
            // The thread ends, and there is another one for the next.
            while moments.0.lock().kept {
                thread::yield_now();
            }
        }
    }

    #[test]
    fn without_a_thread_they_are_called_at_once() {
        let shared = Shared::default();
        let (call, called) = mpsc::channel();
        shared
            .lock()
            .waiting
            .push_back((clock() + MOMENT, Box::new(move || call.send(()).unwrap())));
        shared.give_up();
        assert_eq!(called.try_recv(), Ok(()));
    }
}
