//! A supervisor that is a scope: what its handles share with it.
//!
//! # Invariants
//!
//! 1. Each start of such a supervisor has a [`Life`] of its own. What is asked through the one of a start before is without effect.
//! 2. The end of a scope is told after all its services have ended, or been abandoned.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use actix::{Actor, Addr, Handler, Message};
use tokio::sync::watch;

use super::{Build, ScopeError, SupervisorActor, Upward, clock::now, core::Core};
use crate::{
    policy::{ExitReason, ScopeEnding, ServiceError},
    service::{AnyLink, NoticeKind, Parent, ServiceRef, ServiceSpec, guard},
    state::{AddError, Ended},
    token::ServiceToken,
};

/// One life of a scope, from its start to its end.
pub(crate) struct Life {
    path: Arc<str>,
    /// What names the supervisor, and its incarnation.
    token: ServiceToken,
    generation: u64,
    /// The way to the supervisor, which overtakes its mailbox.
    parent: Arc<Parent>,
    ending: ScopeEnding,
    stage: watch::Sender<LifeStage>,
    // Handles may be used from several threads. Only uniqueness is needed.
    number: AtomicU64,
}

/// How far a scope is.
#[derive(Clone, Debug)]
pub(crate) enum LifeStage {
    Running,
    /// It is to end, or ends.
    Ending,
    Over(Result<(), ScopeError>),
}

impl LifeStage {
    pub(crate) const fn is_ending(&self) -> bool {
        !matches!(self, Self::Running)
    }

    pub(crate) const fn is_over(&self) -> bool {
        matches!(self, Self::Over(_))
    }
}

impl Life {
    pub(crate) fn path(&self) -> &Arc<str> {
        &self.path
    }

    pub(crate) fn ending(&self) -> &ScopeEnding {
        &self.ending
    }

    pub(crate) fn upward(&self) -> Option<&Upward> {
        Upward::of(&self.parent)
    }

    /// The address of the supervisor, which alone keeps no tree running.
    pub(crate) fn address(&self) -> Option<Addr<SupervisorActor>> {
        self.upward()?.address()
    }

    /// The number of the next nameless member, from 1.
    pub(crate) fn next_number(&self) -> u64 {
        self.number.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.stage.borrow().is_ending()
    }

    pub(crate) fn stages(&self) -> watch::Receiver<LifeStage> {
        self.stage.subscribe()
    }

    /// How the scope has ended, if it has.
    pub(crate) fn result(&self) -> Option<Result<(), ScopeError>> {
        match &*self.stage.borrow() {
            LifeStage::Over(result) => Some(result.clone()),
            LifeStage::Ending | LifeStage::Running => None,
        }
    }

    /// Has the scope end. What one thread asks for is decided in that order, and before what follows from it.
    pub(crate) fn request_end(&self, error: Option<ServiceError>) {
        let kind = NoticeKind::ScopeEnds(error);
        self.parent.notify(self.token, self.generation, kind);
        // Only now: who sees that on another thread may end in return, and that comes behind the notice.
        self.begin_to_end();
    }

    /// Says that the scope ends.
    pub(super) fn begin_to_end(&self) {
        self.stage.send_if_modified(|stage| {
            let begins = !stage.is_ending();
            if begins {
                *stage = LifeStage::Ending;
            }
            begins
        });
    }

    /// Says how the scope has ended.
    pub(super) fn end(&self, result: Result<(), ScopeError>) {
        self.stage.send_replace(LifeStage::Over(result));
    }
}

impl Build<'_> {
    /// Begins the life of a scope with the start that the services are built for.
    pub(crate) fn open_scope(&mut self) -> Option<Arc<Life>> {
        let core = &mut *self.core;
        let Upward::Supervisor { link, .. } = Upward::of(core.parent())? else {
            return None;
        };
        let life = Arc::new(Life {
            path: Arc::clone(link.core().path()),
            token: link.core().token(),
            generation: link.core().generation(),
            parent: Arc::clone(core.parent()),
            ending: core.state.next_ending(),
            stage: watch::Sender::new(LifeStage::Running),
            number: AtomicU64::new(0),
        });
        core.scope = Some(Arc::clone(&life));
        Some(life)
    }
}

impl Core {
    /// Ends a scope, if it is still in the life in which that was asked for.
    pub(super) fn end_scope(&mut self, generation: u64, error: Option<ServiceError>) {
        let life = self.scope.as_ref();
        if life.is_none_or(|life| life.generation != generation) {
            return;
        }
        match error {
            Some(error) => self.state.fail_scope(error, now()),
            None => self.state.finish_scope(now()),
        }
    }

    /// Tells a scope's handles that it ends.
    pub(super) fn tell_scope(&self) {
        if let Some(life) = &self.scope
            && self.state.is_ending()
        {
            life.begin_to_end();
        }
    }

    /// Takes the life of a scope that has ended, and why it did if that was an error.
    pub(super) fn end_of_scope(
        &mut self,
        ended: &Ended,
    ) -> (Option<Arc<Life>>, Option<ScopeError>) {
        let life = self.scope.take();
        let error = life
            .as_ref()
            .and_then(|life| ScopeError::of(&life.path, ended));
        (life, error)
    }

    /// Tells a scope's handles that its supervisor is dropped.
    pub(super) fn drop_scope(&mut self) {
        if let Some(life) = self.scope.take() {
            let path = Arc::clone(&life.path);
            life.end(Err(ScopeError::Dropped { path }));
        }
    }
}

impl ScopeError {
    /// The error that a scope has ended with.
    fn of(scope: &Arc<str>, ended: &Ended) -> Option<Self> {
        let (from, reason) = match ended {
            Ended::Stopped { .. } | Ended::AutoShutdown { .. } | Ended::Terminated { .. } => {
                return None;
            }
            Ended::Escalated { reason, .. } => (scope, reason.clone()),
            // A panic or a kill is the error that an exit reason is.
            Ended::Fatal { path, error, .. } => {
                let reason = error.downcast_ref::<ExitReason>().cloned();
                let failed = || ExitReason::Failed(error.clone());
                (path, reason.unwrap_or_else(failed))
            }
            Ended::StartFailed { path, cause, .. } => (path, cause.clone()),
        };
        let path = Arc::clone(scope);
        Some(if from == scope {
            let error = match reason {
                ExitReason::Failed(error) => error,
                other => ServiceError::new(other),
            };
            Self::Failed { path, error }
        } else {
            Self::Member {
                path,
                member: Arc::clone(from),
                reason,
            }
        })
    }
}

/// Adds a service to one life of a scope.
pub(crate) struct AddMember<A: Actor> {
    pub(crate) spec: ServiceSpec<A>,
    pub(crate) life: Arc<Life>,
}

impl<A: Actor> Message for AddMember<A> {
    type Result = Result<ServiceRef<A>, AddError>;
}

impl<A> Handler<AddMember<A>> for SupervisorActor
where
    A: Actor,
{
    type Result = Result<ServiceRef<A>, AddError>;

    fn handle(&mut self, msg: AddMember<A>, ctx: &mut Self::Context) -> Self::Result {
        let AddMember { spec, life } = msg;
        self.decide(ctx, |core| {
            // A life is over before the next one begins, so this also refuses what was meant for a start before.
            if life.is_ending() {
                // The factory is the user's code, also when it is dropped.
                let _nobody_to_tell = guard(move || drop(spec));
                return Err(AddError::ShuttingDown);
            }
            core.add(spec)
        })
    }
}
