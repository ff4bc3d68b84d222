//! What a [`KeyedRef`](super::KeyedRef) shares with the follower of the table.

use std::sync::{
    Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
    atomic::{AtomicU64, Ordering},
};

use actix::Actor;
use tokio::sync::{mpsc, oneshot};

use super::{
    by_key::ByKey,
    error::{RescanError, StartKeyError, StopKeyError},
};
use crate::{
    policy::ExitReason,
    service::{Link, ServiceRef},
    state::RemoveError,
    supervisor::{Awaiting, Receiver, SupervisorActor},
    token::ServiceToken,
};

/// What references read, and where they ask.
pub(super) struct Shared<K, A: Actor> {
    // A lock, since references are read by any thread without waiting for the supervisor. Only the follower writes, on the supervisor's
    // turn, one entry at a time; nothing of the user's but `Hash` and `Eq` of a key runs meanwhile.
    services: RwLock<ByKey<K, Entry<A>>>,
    /// Where requests are taken, by the present life of the supervisor: what comes just when that is over is dropped with the channel, so that
    /// nobody waits for the next one. A lock, since any thread asks; it is held for one `send`.
    requests: RwLock<Option<mpsc::UnboundedSender<Request<K, A>>>>,
    /// How many starts were asked for.
    starts: AtomicU64,
    /// The supervisor, once it is part of a tree.
    pub(super) owner: OnceLock<Arc<Link<SupervisorActor>>>,
}

/// What is known of a key.
pub(super) enum Entry<A: Actor> {
    /// It is taken by the start of this number, and has no service yet.
    Reserved(u64),
    Service(ServiceRef<A>),
}

/// What a reference asks of the follower.
pub(super) enum Request<K, A: Actor> {
    /// With the number of the start.
    Start(K, u64, oneshot::Sender<Result<Awaiting<A>, StartKeyError>>),
    /// Not the start of this number, if it has no service yet.
    Cancel(K, u64, oneshot::Sender<()>),
    Stop(K, oneshot::Sender<Result<Stopping, StopKeyError>>),
    /// To be told when the first scan of this life has ended, if it has not.
    FirstScan(oneshot::Sender<()>),
    Rescan(oneshot::Sender<Result<(), RescanError>>),
}

/// A key that is being stopped.
pub(super) enum Stopping {
    /// It had no service yet.
    Cancelled,
    Service(Receiver<ExitReason, RemoveError>),
}

impl<K, A: Actor> Shared<K, A> {
    pub(super) fn new() -> Self {
        Self {
            services: RwLock::new(ByKey::new()),
            requests: RwLock::default(),
            starts: AtomicU64::new(0),
            owner: OnceLock::new(),
        }
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, ByKey<K, Entry<A>>> {
        // Poisoned if a user's `Hash` or `Eq` has panicked. The map is as usable as it was.
        self.services.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, ByKey<K, Entry<A>>> {
        self.services
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on requests are taken.
    pub(super) fn open(&self) -> mpsc::UnboundedReceiver<Request<K, A>> {
        let (tx, rx) = mpsc::unbounded_channel();
        self.set_requests(Some(tx));
        rx
    }

    /// From now on nothing is taken.
    pub(super) fn close(&self) {
        self.set_requests(None);
    }

    fn set_requests(&self, requests: Option<mpsc::UnboundedSender<Request<K, A>>>) {
        let mut taken = self
            .requests
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *taken = requests;
    }

    /// Asks the follower, if there is one.
    pub(super) fn send(&self, request: Request<K, A>) {
        let requests = self.requests.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(requests) = &*requests {
            let _just_over = requests.send(request);
        }
    }

    /// The number of another start.
    pub(super) fn next_start(&self) -> u64 {
        self.starts.fetch_add(1, Ordering::Relaxed)
    }

    /// A start has come to nothing. Needs no `Hash` of a key that may have panicked.
    pub(super) fn clear_reserved(&self, number: u64) {
        self.write()
            .retain(|_, entry| !matches!(entry, Entry::Reserved(known) if *known == number));
    }

    /// A service is gone whose key is not known any longer.
    pub(super) fn clear_service(&self, token: ServiceToken) {
        self.write().retain(
            |_, entry| !matches!(entry, Entry::Service(service) if service.token() == token),
        );
    }

    /// No start of the life before will come to anything.
    pub(super) fn clear_all_reserved(&self) {
        self.write()
            .retain(|_, entry| matches!(entry, Entry::Service(_)));
    }
}
