//! What an incarnation of a task, its contexts and its blocking work share.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use actix::Addr;
use futures::task::AtomicWaker;
use tokio::{runtime::Handle, sync::watch};
use tracing::Span;

use super::lineage::Lineage;
use crate::{
    policy::ExitReason,
    service::{NoticeKind, StartContext},
    supervisor::{SupervisorActor, Upward},
};

/// How far an incarnation is, in the order in which that goes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Stage {
    Running,
    /// It was asked to stop.
    Stopping,
    /// It has ended, or is being dropped.
    Over,
}

/// The part of an incarnation that its contexts can reach, from whichever thread.
pub(super) struct Shared {
    pub(super) start: StartContext,
    pub(super) generation: u64,
    pub(super) lineage: Arc<Lineage>,
    pub(super) span: Span,
    /// The runtime of the service's arbiter, for work that is begun from another thread.
    pub(super) runtime: Handle,
    stage: watch::Sender<Stage>,
    // Shared between threads, since contexts may be. Each is a flag that is set once, and no order between them matters.
    announced: AtomicBool,
    acknowledged: AtomicBool,
    // Written by a thread of the blocking pool, read by the incarnation; never held across a call of user code.
    fate: Mutex<Fate>,
    driver: AtomicWaker,
}

/// What blocking work has done to the incarnation that began it.
#[derive(Debug)]
enum Fate {
    /// The incarnation lives.
    Open,
    /// It is over: nobody is left to be told.
    Over,
    /// It is to end with this panic.
    Panicked(ExitReason),
}

impl Shared {
    /// For the incarnation that `start` is about, on its arbiter.
    pub(super) fn new(start: &StartContext, lineage: &Arc<Lineage>) -> Self {
        let generation = start.generation();
        let span = tracing::info_span!(
            target: "resurgam::task",
            parent: None,
            "task",
            path = start.path(),
            token = %start.token(),
            generation,
        );
        Self {
            start: start.clone(),
            generation,
            lineage: Arc::clone(lineage),
            span,
            runtime: Handle::current(),
            stage: watch::Sender::new(Stage::Running),
            announced: AtomicBool::new(false),
            acknowledged: AtomicBool::new(false),
            fate: Mutex::new(Fate::Open),
            driver: AtomicWaker::new(),
        }
    }

    pub(super) fn name(&self) -> &str {
        let path = self.start.path();
        path.rsplit_once('/').map_or(path, |(_, name)| name)
    }

    /// The address of the supervisor, which alone keeps no tree running.
    pub(super) fn supervisor(&self) -> Option<Addr<SupervisorActor>> {
        self.upward()?.address()
    }

    pub(super) fn upward(&self) -> Option<&Upward> {
        Upward::of(self.start.link().core().parent())
    }

    /// Tells the supervisor that the incarnation is ready, once.
    pub(super) fn announce(&self) {
        if !self.announced.swap(true, Ordering::Relaxed) {
            self.notify(NoticeKind::Ready);
        }
    }

    /// Tells the supervisor that the incarnation needs time to stop, once.
    pub(super) fn acknowledge(&self) {
        if !self.acknowledged.swap(true, Ordering::Relaxed) {
            self.notify(NoticeKind::StopAcknowledged);
        }
    }

    /// The supervisor drops what is of an incarnation that it no longer reckons with.
    fn notify(&self, kind: NoticeKind) {
        let core = self.start.link().core();
        core.parent().notify(core.token(), self.generation, kind);
    }

    pub(super) fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    pub(super) fn stages(&self) -> watch::Receiver<Stage> {
        self.stage.subscribe()
    }

    /// Goes on to a later stage.
    pub(super) fn advance(&self, to: Stage) {
        self.stage.send_if_modified(|stage| {
            let later = to > *stage;
            *stage = to.max(*stage);
            later
        });
    }

    /// Reports whether the supervisor has told the incarnation to end, though it may have had no time to look.
    pub(super) fn is_told_to_end(&self) -> bool {
        let core = self.start.link().core();
        core.is_told_to_end() || core.generation() != self.generation
    }

    /// Says whom to wake when blocking work has panicked.
    pub(super) fn drive(&self, waker: &std::task::Waker) {
        self.driver.register(waker);
    }

    /// Lets the incarnation end with a panic of its blocking work; the first one counts.
    pub(super) fn panicked(&self, panic: ExitReason) {
        let mut fate = self.fate();
        match *fate {
            Fate::Open => {
                *fate = Fate::Panicked(panic);
                drop(fate);
                self.driver.wake();
            }
            Fate::Over | Fate::Panicked(_) => {
                drop(fate);
                self.lament(&panic);
            }
        }
    }

    /// Takes the panic that the incarnation is to end with.
    pub(super) fn take_panic(&self) -> Option<ExitReason> {
        let mut fate = self.fate();
        if !matches!(*fate, Fate::Panicked(_)) {
            return None;
        }
        match std::mem::replace(&mut *fate, Fate::Open) {
            Fate::Panicked(panic) => Some(panic),
            Fate::Open | Fate::Over => None,
        }
    }

    /// Ends the incarnation, and the services that are to end with it.
    pub(super) fn end(&self) {
        self.advance(Stage::Over);
        let fate = std::mem::replace(&mut *self.fate(), Fate::Over);
        if let Fate::Panicked(panic) = fate {
            self.lament(&panic);
        }
        // The waker would keep the memory of a cell that is gone.
        drop(self.driver.take());
        self.lineage
            .end(self.generation, self.supervisor().as_ref());
    }

    /// A panic that ends nobody is logged.
    fn lament(&self, panic: &ExitReason) {
        tracing::error!(
            target: "resurgam::task",
            path = self.start.path(),
            generation = self.generation,
            "blocking work {panic}, after its service had ended",
        );
    }

    fn fate(&self) -> MutexGuard<'_, Fate> {
        self.fate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
