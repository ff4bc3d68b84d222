//! What a [`KeyedRef`](super::KeyedRef) shares with the follower of the table.

use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use actix::Actor;
use tokio::sync::{mpsc, oneshot};

use super::error::{RescanError, StartKeyError, StopKeyError};
use crate::{
    policy::ExitReason,
    service::{Link, ServiceRef},
    state::RemoveError,
    supervisor::{Awaiting, Receiver, SupervisorActor},
};

/// What references read, and where they ask.
pub(super) struct Shared<K, A: Actor> {
    // A lock, since references are read by any thread without waiting for the supervisor. Only the follower writes, on the supervisor's
    // turn, one entry at a time; nothing of the user's but `Hash` and `Eq` of a key runs meanwhile.
    services: RwLock<HashMap<K, Entry<A>>>,
    pub(super) requests: mpsc::UnboundedSender<Request<K, A>>,
    /// Whether requests are taken. Says nothing of anything else, so its order does not matter: a request that comes just when that changes
    /// is refused by the follower, or taken when it begins again.
    running: AtomicBool,
    /// The supervisor, once it is part of a tree.
    pub(super) owner: OnceLock<Arc<Link<SupervisorActor>>>,
}

/// What is known of a key.
pub(super) enum Entry<A: Actor> {
    /// It is taken, and has no service yet.
    Reserved,
    Service(ServiceRef<A>),
}

/// What a reference asks of the follower.
pub(super) enum Request<K, A: Actor> {
    Start(K, oneshot::Sender<Result<Awaiting<A>, StartKeyError>>),
    Stop(K, oneshot::Sender<Result<Stopping, StopKeyError>>),
    Rescan(oneshot::Sender<Result<(), RescanError>>),
}

/// A key that is being stopped.
pub(super) enum Stopping {
    /// It had no service yet.
    Cancelled,
    Service(Receiver<ExitReason, RemoveError>),
}

impl<K, A: Actor> Shared<K, A> {
    pub(super) fn new(requests: mpsc::UnboundedSender<Request<K, A>>) -> Self {
        Self {
            services: RwLock::default(),
            requests,
            running: AtomicBool::new(false),
            owner: OnceLock::new(),
        }
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, HashMap<K, Entry<A>>> {
        // Poisoned if a user's `Hash` or `Eq` has panicked. The map is as usable as it was.
        self.services.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, HashMap<K, Entry<A>>> {
        self.services
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.load(Ordering::Relaxed)
    }

    pub(super) fn set_running(&self, running: bool) {
        self.running.store(running, Ordering::Relaxed);
    }
}
