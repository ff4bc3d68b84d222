//! A service that counts, and what the tests ask of it.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix::prelude::*;
use resurgam::{
    Placement, RestartLimit, ServiceContext, ServiceSpec, ServiceState, ServiceToken,
    SupervisorActor, SupervisorRef, SupervisorSpec,
};
use tokio::{sync::oneshot, task::yield_now, time::timeout};

/// How long a test waits for what must happen. Nothing here takes that long.
const PATIENCE: Duration = Duration::from_secs(60);

/// More messages than any service may handle before it looks up.
pub(crate) const SLICE: usize = 1_000;

/// Fails the test instead of waiting for ever.
pub(crate) async fn patiently<F: Future>(future: F) -> F::Output {
    timeout(PATIENCE, future)
        .await
        .expect("what must happen has not happened")
}

/// Runs a test as a task among tasks.
///
/// tokio polls what a test itself awaits once in 61 turns of the tasks beside it, which says nothing about those.
pub(crate) async fn among_tasks(test: impl Future<Output = ()> + 'static) {
    if let Err(failed) = actix_rt::spawn(test).await {
        std::panic::resume_unwind(failed.into_panic());
    }
}

/// A root whose services are restarted without a limit.
pub(crate) async fn root() -> SupervisorRef {
    let spec = SupervisorSpec::default().limit(RestartLimit::unlimited());
    SupervisorActor::new("root", spec).start().await.unwrap()
}

/// Every kind of thread on which a service may run. The arbiter must be kept.
pub(crate) fn placements() -> (Arbiter, Vec<Placement>) {
    let arbiter = Arbiter::new();
    let placements = vec![
        Placement::Inherit,
        Placement::Pool,
        Placement::Dedicated,
        Placement::Arbiter(arbiter.handle()),
    ];
    (arbiter, placements)
}

/// Returns when a service has come to be in a state.
pub(crate) async fn until_state(root: &SupervisorRef, token: ServiceToken, state: ServiceState) {
    let arrived = async {
        loop {
            let services = root.services().await.unwrap();
            let service = services.iter().find(|service| service.token() == token);
            if service.is_some_and(|service| service.state() == state) {
                return;
            }
            yield_now().await;
        }
    };
    patiently(arrived).await;
}

/// A number that services and tests share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally(Arc<AtomicUsize>);

impl Tally {
    pub(crate) fn add(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// Returns when it has come to be `count`.
    pub(crate) async fn until(&self, count: usize) {
        let reached = async {
            while self.get() < count {
                yield_now().await;
            }
        };
        patiently(reached).await;
    }
}

/// Writes down the numbers that it gets.
pub(crate) struct Clerk {
    book: Book,
    generation: u64,
}

/// What all incarnations of a [`Clerk`] have written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Book {
    pub(crate) made: Tally,
    pub(crate) dropped: Tally,
    /// Numbers, with the generation that got them.
    lines: Arc<Mutex<Vec<(usize, u64)>>>,
}

impl Book {
    pub(crate) fn lines(&self) -> Vec<(usize, u64)> {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }
}

impl Clerk {
    pub(crate) fn spec(name: &str, book: &Book) -> ServiceSpec<Self> {
        let book = book.clone();
        ServiceSpec::new(name, move || {
            book.made.add();
            Self {
                book: book.clone(),
                generation: 0,
            }
        })
    }
}

impl Actor for Clerk {
    type Context = ServiceContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.generation = ctx.generation();
    }
}

impl Drop for Clerk {
    fn drop(&mut self) {
        self.book.dropped.add();
    }
}

#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Write(pub(crate) usize);

impl Handler<Write> for Clerk {
    type Result = ();

    fn handle(&mut self, Write(number): Write, _: &mut Self::Context) {
        let mut lines = self
            .book
            .lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        lines.push((number, self.generation));
    }
}

/// Answered when everything that was sent before has been handled.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Barrier;

impl Handler<Barrier> for Clerk {
    type Result = ();

    fn handle(&mut self, _: Barrier, _: &mut Self::Context) {}
}

/// Blocks the service's thread until it is released.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Block {
    pub(crate) blocked: oneshot::Sender<()>,
    pub(crate) release: std::sync::mpsc::Receiver<()>,
}

impl Handler<Block> for Clerk {
    type Result = ();

    fn handle(&mut self, msg: Block, _: &mut Self::Context) {
        let _ = msg.blocked.send(());
        let _ = msg.release.recv();
    }
}
