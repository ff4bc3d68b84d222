//! A service that does what it is told, a value that panics in its `Drop`, and roots; `quiet` is for tests that begin with
//! `time::pause()`.

use std::{
    error::Error,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use actix::prelude::*;
use resurgam::{EventKind, Events, ServiceContext, SupervisorActor, SupervisorRef};
use tokio::time;

/// How long is waited for what must happen. Shorter than the time in which services have to stop, so that it shows if
/// that runs out on a paused clock.
pub(crate) const SOON: Duration = Duration::from_secs(2);

/// The same for other threads, whose clock is the one on the wall. Nothing takes that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Panics when it is dropped.
pub(crate) struct Bomb(AtomicBool);

impl Bomb {
    pub(crate) fn armed() -> Self {
        Self(AtomicBool::new(true))
    }

    pub(crate) fn disarm(&self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        let armed = self.0.swap(false, Ordering::SeqCst);
        assert!(!armed, "broken in Drop");
    }
}

/// Fails when it is told to.
#[derive(Default)]
pub(crate) struct Plain;

impl Actor for Plain {
    type Context = ServiceContext<Self>;
}

/// Fails with this.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct FailWith(pub(crate) Box<dyn Error + Send + Sync>);

impl Handler<FailWith> for Plain {
    type Result = ();

    fn handle(&mut self, FailWith(error): FailWith, ctx: &mut Self::Context) {
        ctx.fail(error);
    }
}

/// Asks for the number of the incarnation.
#[derive(Message)]
#[rtype(result = "u64")]
pub(crate) struct Generation;

impl Handler<Generation> for Plain {
    type Result = u64;

    fn handle(&mut self, _: Generation, ctx: &mut Self::Context) -> u64 {
        ctx.generation()
    }
}

pub(crate) async fn root() -> SupervisorRef {
    let root = SupervisorActor::with_defaults("root");
    root.start().await.unwrap()
}

/// Fails the test instead of waiting for other threads for ever.
pub(crate) async fn patiently<F: Future>(future: F, what: &str) -> F::Output {
    let output = time::timeout(PATIENCE, future).await;
    output.unwrap_or_else(|_| panic!("{what} hangs"))
}

/// Returns when this has happened to a service.
pub(crate) async fn happened(events: &mut Events, path: &str, fits: impl Fn(&EventKind) -> bool) {
    let reading = async {
        while let Some(event) = events.next().await {
            if event.path() == path && fits(event.kind()) {
                return true;
            }
        }
        false
    };
    let found = time::timeout(PATIENCE, reading).await;
    assert_eq!(found, Ok(true), "it did not happen to {path}");
}

/// Lets time pass: a paused clock moves only when nothing is left to do.
pub(crate) async fn quiet() {
    time::sleep(Duration::from_millis(50)).await;
}

/// The tree has survived all that was left to do.
pub(crate) async fn assert_alive(root: &SupervisorRef) {
    quiet().await;
    let counts = time::timeout(SOON, root.counts()).await;
    assert!(
        matches!(counts, Ok(Ok(_))),
        "the root is gone: {:?}",
        time::timeout(SOON, root.join()).await
    );
}
