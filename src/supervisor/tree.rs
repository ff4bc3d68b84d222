//! What the supervisors of one tree share.

use std::{
    fmt, io,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    thread::available_parallelism,
};

use actix::{Actor, Addr};
use actix_rt::{Arbiter, ArbiterHandle};
use tokio::sync::watch;

use super::{
    SupervisorActor,
    root::{Outcome, OutcomeSlot},
};
use crate::{
    observe::EventHub,
    registry::{Close, RegistryActor},
    service::{AnyLink, Link},
};

/// The registry, the events, the pool and the end of one tree.
pub(crate) struct Tree {
    pub(crate) registry: Addr<RegistryActor>,
    pub(crate) events: EventHub,
    pub(crate) outcome: watch::Receiver<Option<Outcome>>,
    pub(super) ending: OutcomeSlot,
    /// Set once the root begins to end: no service of the tree will be started again.
    pub(super) closing: watch::Sender<bool>,
    pool: OnceLock<Pool>,
    handle: OnceLock<Weak<TreeHandle>>,
}

impl Tree {
    /// A tree whose registry runs on this thread's arbiter.
    pub(super) fn new(outcome: watch::Receiver<Option<Outcome>>) -> Self {
        Self {
            registry: RegistryActor::default().start(),
            events: EventHub::default(),
            outcome,
            ending: OutcomeSlot::default(),
            closing: watch::Sender::new(false),
            pool: OnceLock::new(),
            handle: OnceLock::new(),
        }
    }

    /// What keeps the tree running, as long as somebody holds it.
    pub(super) fn handle(&self) -> Option<Arc<TreeHandle>> {
        self.handle.get()?.upgrade()
    }

    pub(super) fn set_handle(&self, handle: &Arc<TreeHandle>) {
        let _called_once = self.handle.set(Arc::downgrade(handle));
    }

    /// Ends what the tree still keeps: subscriptions end, and the pool's threads with them.
    pub(super) fn close(&self) {
        self.events.close();
        self.registry.do_send(Close);
        if let Some(pool) = self.pool.get() {
            pool.stop();
        }
    }

    /// The arbiter of the shared pool whose turn it is.
    pub(super) fn pooled(&self) -> io::Result<ArbiterHandle> {
        if let Some(pool) = self.pool.get() {
            return Ok(pool.next());
        }
        let pool = Pool::new()?;
        Ok(self.pool.get_or_init(|| pool).next())
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tree").finish_non_exhaustive()
    }
}

/// Held by every [`SupervisorRef`](super::SupervisorRef) of a tree; when the last one goes, the tree is asked to stop.
pub(crate) struct TreeHandle(Arc<Link<SupervisorActor>>);

impl TreeHandle {
    pub(super) fn new(root: Arc<Link<SupervisorActor>>) -> Self {
        Self(root)
    }

    pub(super) fn root(&self) -> &Arc<Link<SupervisorActor>> {
        &self.0
    }
}

impl Drop for TreeHandle {
    fn drop(&mut self) {
        self.0.core().stop();
    }
}

/// One arbiter per core, used in turn.
struct Pool {
    arbiters: Vec<Arbiter>,
    // Which turn it is; several supervisors share it. Only a spread is wanted, so no order is needed.
    next: AtomicUsize,
}

impl Pool {
    fn new() -> io::Result<Self> {
        let cores = available_parallelism().map_or(1, usize::from);
        Ok(Self {
            arbiters: (0..cores)
                .map(|_| Arbiter::try_new())
                .collect::<Result<_, _>>()?,
            next: AtomicUsize::new(0),
        })
    }

    fn next(&self) -> ArbiterHandle {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        self.arbiters[turn % self.arbiters.len()].handle()
    }

    /// Nothing runs here any more; one that has stopped does not mind being told again.
    fn stop(&self) {
        for arbiter in &self.arbiters {
            arbiter.stop();
        }
    }
}

impl Drop for Pool {
    /// For a tree that is dropped with its system before it could end.
    fn drop(&mut self) {
        self.stop();
    }
}
