//! The state that an incarnation of a task shares with its contexts and its blocking work, which may run on other threads.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use actix::Addr;
use futures::task::AtomicWaker;
use tokio::{runtime::Handle, sync::watch};

use super::lineage::Lineage;
use crate::{
    policy::ExitReason,
    service::{NoticeKind, Published, ServiceSpan, StartContext},
    supervisor::{SupervisorActor, Upward},
    user_value::say,
};

/// The part of an incarnation that its contexts can reach, from whichever thread.
pub(super) struct Shared {
    pub(super) start: StartContext,
    pub(super) generation: u64,
    pub(super) lineage: Arc<Lineage>,
    pub(super) span: Arc<ServiceSpan>,
    /// The runtime of the service's arbiter, for work that is begun from another thread.
    pub(super) runtime: Handle,
    state: Published<TaskState>,
    // Set once, from whichever thread a context is used on. `Relaxed`: whoever sets one first tells the supervisor, and nothing else is
    // read because of it.
    announced: AtomicBool,
    acknowledged: AtomicBool,
    // Written by threads of the blocking pool, read by the incarnation. The lock is never held while user code runs.
    fate: Mutex<Fate>,
    driver: AtomicWaker,
}

impl Shared {
    /// For the incarnation that `start` is about, on its arbiter.
    pub(super) fn new(start: &StartContext, lineage: &Arc<Lineage>) -> Self {
        Self {
            start: start.clone(),
            generation: start.generation(),
            lineage: Arc::clone(lineage),
            span: start
                .span()
                .unwrap_or_else(|| Arc::new(ServiceSpan::none())),
            runtime: Handle::current(),
            state: Published::new(TaskState::Running),
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

    /// Tells the supervisor, which ignores what an incarnation says that is not the present one.
    fn notify(&self, kind: NoticeKind) {
        let core = self.start.link().core();
        core.parent().notify(core.token(), self.generation, kind);
    }

    pub(super) fn state(&self) -> TaskState {
        *self.state.read()
    }

    pub(super) fn states(&self) -> watch::Receiver<TaskState> {
        self.state.subscribe()
    }

    /// Goes on to a later state; does nothing if that is reached.
    pub(super) fn advance(&self, to: TaskState) {
        self.state.modify(|state| {
            let is_later = to > *state;
            *state = to.max(*state);
            is_later
        });
    }

    /// Reports whether the supervisor has told the incarnation to stop or has killed it. The cell may not have seen that yet.
    pub(super) fn is_told_to_end(&self) -> bool {
        let core = self.start.link().core();
        core.is_told_to_end(self.start.epoch()) || core.generation() != self.generation
    }

    /// Reports whether the incarnation is to be dropped, and its cell has not seen that yet.
    pub(super) fn is_overruled(&self) -> bool {
        let core = self.start.link().core();
        core.is_overruled(self.start.epoch())
    }

    /// Sets whom to wake when blocking work has panicked.
    pub(super) fn wake_on_panic(&self, waker: &std::task::Waker) {
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
                self.log_late_panic(&panic);
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
        self.advance(TaskState::Ended);
        let fate = std::mem::replace(&mut *self.fate(), Fate::Over);
        if let Fate::Panicked(panic) = fate {
            self.log_late_panic(&panic);
        }
        // Contexts may outlive the incarnation, and its waker would keep the memory of the cell.
        drop(self.driver.take());
        self.lineage
            .end(self.generation, self.supervisor().as_ref());
    }

    /// Logs a panic that comes too late to end the incarnation.
    fn log_late_panic(&self, panic: &ExitReason) {
        say(|| {
            tracing::error!(
                target: "resurgam::task",
                path = self.start.path(),
                generation = self.generation,
                "blocking work {panic}, after its service had ended",
            );
        });
    }

    fn fate(&self) -> MutexGuard<'_, Fate> {
        self.fate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far an incarnation of a task is. It goes through these in order, and may leave out `Stopping`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum TaskState {
    Running,
    /// It was asked to stop.
    Stopping,
    /// It is over, or is being dropped.
    Ended,
}

/// What blocking work has done to the incarnation that began it.
#[derive(Debug)]
enum Fate {
    /// The incarnation lives.
    Open,
    /// It is over: a panic from here on is only logged.
    Over,
    /// It is to end with this panic, which it has not seen yet.
    Panicked(ExitReason),
}
