//! What the supervisors of one tree share, and what stands in for the supervisor that a root does not have.
//!
//! A [`Tree`] holds the registry, the events, the shared threads and the end. Its [`Keeper`] takes the notices of the root's cell,
//! as a supervisor takes those of its services. [`signal`] and [`systemd`] make a program of a tree.
//!
//! Nothing here decides, starts or stops a service, or knows what a supervisor is: the root is a link and its notices, and whoever
//! makes a program of a tree says how its root is told to hurry ([`signal::Top`]).
//!
//! # Invariants
//!
//! 1. A tree ends once. Its end is published before its events and its registry are closed, so that whoever sees the end of
//!    either finds that there.
//! 2. Services hold the tree, and only users hold its [`TreeHandle`]: a tree that nobody can reach any more is stopped.

mod abandoned;
mod alarm;
mod error;
mod keeper;
mod links;
mod moment;
mod pool;
pub(crate) mod signal;
mod supervisors;
#[cfg(feature = "sd-notify")]
pub(crate) mod systemd;

use std::{
    fmt,
    future::pending,
    io,
    sync::{Arc, OnceLock, Weak},
    thread::{self, ThreadId},
    time::Duration,
};

use actix::{Actor, Addr};
use actix_rt::ArbiterHandle;
use tokio::sync::{oneshot, watch};

pub use self::error::{JoinError, ShutdownError, SupervisorGone};
#[cfg(test)]
pub(crate) use self::pool::scarce;
use self::{
    abandoned::{AbandonedThreads, WrittenOff},
    alarm::Alarm,
    links::Links,
    moment::Moments,
    pool::Pool,
    supervisors::Supervisors,
};
pub(crate) use self::{
    error::result,
    keeper::Keeper,
    moment::clock,
    pool::new_thread,
    supervisors::{Details, KnownSupervisor, LastPicture, LastSeen, Numbers, Silent},
};
use crate::{
    observe::EventHub,
    registry::{Await, Close, Located, LookupError, RegistryActor, Sought, WhenEnded},
    service::{AnyLink, Reply, on_other_threads, side_by_side},
    state::{Ended, ShutdownReport, UnstoppedService},
    token::ServiceToken,
};

/// The registry, the events, the shared threads and the end of one tree.
pub(crate) struct Tree {
    pub(crate) registry: Addr<RegistryActor>,
    pub(crate) events: EventHub,
    pub(crate) abandoned: AbandonedThreads,
    /// The services, where also those can read them who have nobody to ask.
    pub(crate) links: Links,
    /// The supervisors among them, and the root.
    pub(crate) supervisors: Supervisors,
    /// For whoever waits a moment, and has nobody who would wake it.
    pub(crate) moments: Moments,
    /// Where root and registry run.
    thread: ThreadId,
    /// `None` until the tree has ended.
    published: watch::Receiver<Option<Arc<Ended>>>,
    /// Whether the root has begun to end. A channel, since systemd is told as soon as that changes.
    closing: watch::Sender<bool>,
    /// Made by the first service that is placed there, since most trees have none.
    pool: OnceLock<Pool>,
    // Weak, since services hold the tree: a strong one would keep a tree running that no user can reach.
    handle: OnceLock<Weak<TreeHandle>>,
}

impl Tree {
    /// A tree whose registry runs on this thread's arbiter, and what its outcome is published with.
    pub(crate) fn new(events: EventHub) -> (Self, watch::Sender<Option<Arc<Ended>>>) {
        let (publish, published) = watch::channel(None);
        let registry = RegistryActor::new().start();
        (Self::with(registry, events, published), publish)
    }

    fn with(
        registry: Addr<RegistryActor>,
        events: EventHub,
        published: watch::Receiver<Option<Arc<Ended>>>,
    ) -> Self {
        Self {
            registry,
            events,
            abandoned: AbandonedThreads::default(),
            links: Links::default(),
            supervisors: Supervisors::default(),
            moments: Moments::default(),
            thread: thread::current().id(),
            published,
            closing: watch::Sender::new(false),
            pool: OnceLock::new(),
            handle: OnceLock::new(),
        }
    }

    /// A tree that has ended before it began, whose registry is closed.
    pub(crate) fn over(registry: Addr<RegistryActor>) -> Self {
        let (_publish, published) = watch::channel(None);
        let tree = Self::with(registry, EventHub::default(), published);
        tree.events.close();
        tree
    }

    /// What keeps the tree running, as long as a user holds it.
    pub(crate) fn handle(&self) -> Option<Arc<TreeHandle>> {
        self.handle.get()?.upgrade()
    }

    fn set_handle(&self, handle: &Arc<TreeHandle>) {
        let _called_once = self.handle.set(Arc::downgrade(handle));
    }

    /// Waits until the tree has ended, and says how.
    pub(crate) async fn ended(&self) -> Result<Arc<Ended>, ShutdownError> {
        // Cloned, since waiting marks a receiver: so any number may wait, and each sees an end that was there before it came.
        let mut published = self.published.clone();
        // The keeper is a task of the root's arbiter. A system that stops drops it, and the sender with it, without an end.
        let ended = side_by_side(published.wait_for(Option::is_some)).await;
        ended
            .ok()
            .and_then(|ended| ended.clone())
            .ok_or(ShutdownError::SystemStopped)
    }

    /// Waits until the stop of a supervisor of the tree is overdue by the clock of the operating system, because a thread that has to
    /// carry it out is blocked. Says who is still there.
    ///
    /// For ever if it is this thread that is late, or if there is no thread to wait on: the supervisors keep the limit, or nobody does.
    pub(crate) async fn overdue(
        &self,
        supervisor: &dyn AnyLink,
        limit: Duration,
    ) -> ShutdownReport {
        let Ok(alarm) = Alarm::start(limit) else {
            return pending().await;
        };
        loop {
            alarm.rings().await;
            if self.is_held_elsewhere(supervisor) {
                return self.unstopped_now(supervisor);
            }
        }
    }

    /// Reports whether another thread than this one may be what keeps a stop from its end.
    ///
    /// The supervisors go by tokio's clock, which may be paused. What is late by that of the operating system is not late for one who
    /// runs on their own thread, while no other thread is in a service.
    fn is_held_elsewhere(&self, supervisor: &dyn AnyLink) -> bool {
        if thread::current().id() != self.thread {
            return true;
        }
        let busy = on_other_threads();
        let core = supervisor.core();
        busy.iter().any(|cell| cell.is_of(core)) || self.links.has_any(&busy)
    }

    /// Who is still there of a supervisor that was to stop, those first that another thread is in. Asks nobody.
    pub(crate) fn unstopped_now(&self, supervisor: &dyn AnyLink) -> ShutdownReport {
        self.links
            .unstopped(supervisor, &on_other_threads(), &self.abandoned)
    }

    /// Writes off the thread of a service that was abandoned, until what this returns is dropped. Of a supervisor the services below are the
    /// ones that block the thread, if it is in any of them.
    pub(crate) fn write_off(
        &self,
        service: &dyn AnyLink,
        thread: Option<ThreadId>,
    ) -> Option<WrittenOff> {
        let thread = thread?;
        let core = service.core();
        let mut busy = on_other_threads();
        busy.retain(|cell| cell.thread() == thread);
        let mut services = self.links.occupied(core.path(), &busy);
        let path = Arc::clone(core.path());
        services.push(UnstoppedService::new(path, core.token(), core.generation()));
        Some(self.abandoned.write_off(thread, services))
    }

    /// Waits until a service of the tree is ready.
    pub(crate) async fn when_ready(&self, sought: Sought) -> Result<Located, LookupError> {
        let (waiter, ready) = oneshot::channel();
        let waiter = Reply::new(waiter);
        // `do_send`, which ignores the capacity of the registry's mailbox. A registry that has ended drops the waiter, which answers.
        self.registry.do_send(Await { sought, waiter });
        ready.await.unwrap_or(Err(LookupError::SupervisorGone))
    }

    /// Waits until nobody will start a service of the tree any more, also because the tree is over.
    pub(crate) async fn when_ended(&self, token: ServiceToken) {
        let (waiter, ended) = oneshot::channel();
        let waiter = Reply::new(waiter);
        self.registry.do_send(WhenEnded { token, waiter });
        let _or_the_tree_is_over = ended.await;
    }

    /// Says that the root has begun to end: no service of the tree will be started again.
    pub(crate) fn begin_closing(&self) {
        self.closing.send_replace(true);
    }

    /// Reports whether the root has begun to end.
    pub(crate) fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Closes what the tree still keeps: subscriptions and look-ups come to their end, and the pool's threads stop.
    fn close(&self) {
        // The root ends last, so nobody but an abandoned supervisor has an event left to tell.
        self.events.close();
        self.registry.do_send(Close);
        // Links hold the tree.
        self.links.clear();
        self.supervisors.clear();
        if let Some(pool) = self.pool.get() {
            pool.stop();
        }
    }

    /// The arbiter of the shared pool whose turn it is.
    pub(crate) fn pooled(&self) -> io::Result<ArbiterHandle> {
        if let Some(pool) = self.pool.get() {
            return Ok(pool.next(&self.abandoned));
        }
        let pool = Pool::new()?;
        // Not by `get_or_init` alone, since making one may fail. Two supervisors on two threads may both make one: the first to come here
        // wins, and the other pool stops its threads as it is dropped.
        Ok(self.pool.get_or_init(|| pool).next(&self.abandoned))
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tree").finish_non_exhaustive()
    }
}

/// Held by every [`SupervisorRef`](crate::SupervisorRef) of a tree; when the last one is dropped, the root is asked to stop.
pub(crate) struct TreeHandle(Arc<dyn AnyLink>);

impl TreeHandle {
    pub(crate) fn root(&self) -> &Arc<dyn AnyLink> {
        &self.0
    }
}

impl Drop for TreeHandle {
    fn drop(&mut self) {
        // On whichever thread this is, also that of the root: a command is only noted here, and obeyed in the cell's next poll. To a root
        // that has ended it means nothing.
        self.0.core().stop();
    }
}
