//! What the benchmarks measure: each piece of work twice, on plain actix and on services.
//!
//! Every function runs on the arbiter that calls it, and returns how long the work itself took.

pub(crate) mod lifecycle;
pub(crate) mod messages;
pub(crate) mod restart;

use std::{
    cell::Cell,
    panic,
    rc::Rc,
    time::{Duration, Instant},
};

use actix::prelude::*;
use resurgam::{RestartLimit, SupervisorActor, SupervisorRef, SupervisorSpec};
use tokio::sync::Notify;

/// Takes the time.
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(
        clippy::disallowed_methods,
        reason = "real time is what a benchmark is about"
    )]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn lap(&mut self) -> Duration {
        let before = std::mem::replace(self, Self::start()).0;
        self.0 - before
    }
}

/// The system in which everything runs, with panics that print nothing.
///
/// Must come before the first supervisor, which chains its own hook in front of this one.
pub(crate) fn system() -> SystemRunner {
    panic::set_hook(Box::new(|_| {}));
    System::new()
}

/// A supervisor that restarts as often as it takes.
pub(crate) async fn tireless_root() -> SupervisorRef {
    let spec = SupervisorSpec::default().limit(RestartLimit::unlimited());
    SupervisorActor::new("root", spec)
        .start()
        .await
        .expect("it has no services that could fail")
}

/// Counts down what happens on one thread.
#[derive(Clone)]
pub(crate) struct Countdown(Rc<(Cell<usize>, Notify)>);

impl Countdown {
    pub(crate) fn from(count: usize) -> Self {
        Self(Rc::new((Cell::new(count), Notify::new())))
    }

    pub(crate) fn tick(&self) {
        let (left, over) = &*self.0;
        left.set(left.get() - 1);
        if left.get() == 0 {
            over.notify_one();
        }
    }

    pub(crate) async fn over(&self) {
        let (left, over) = &*self.0;
        if left.get() > 0 {
            over.notified().await;
        }
    }
}
