//! Services that are made anew at each start of their supervisor, and what is cleaned up when it ends.
//!
//! # Invariants
//!
//! 1. A clean-up is called once, also if the start function that gave it fails or panics, or the incarnation is dropped.
//! 2. Services of a start are forgotten only after the start function of a later one has succeeded without them.

use std::{
    collections::HashSet,
    fmt, mem,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use actix::Actor;

use super::{
    cells::Cells,
    clock::now,
    scope_run::{CurrentRun, ScopeRun},
};
use crate::{
    policy::{ExitReason, ServiceError},
    service::{ServiceRef, ServiceSpec, downcast, guard_service},
    state::{AddError, SupervisorState},
    token::ServiceToken,
    user_value::UserValue,
};

/// What a [start function](crate::SupervisorSpec::on_start) adds its services and its clean-up to.
pub struct OnStart<'a> {
    state: &'a mut SupervisorState,
    cells: &'a mut Cells,
    scope: &'a mut CurrentRun,
    given: &'a mut Given,
}

impl OnStart<'_> {
    /// Adds a service, after those that were added before.
    ///
    /// A service that the start before had too, by name and type, keeps its token, its address and its queue, and gets the new
    /// factory; its other settings stay as they were.
    ///
    /// # Errors
    ///
    /// As [`SupervisorActor::add`](crate::SupervisorActor::add).
    pub fn add<A>(&mut self, service: ServiceSpec<A>) -> Result<ServiceRef<A>, AddError>
    where
        A: Actor,
    {
        let service = match self.given_before(service.name()) {
            Some(known) => {
                // Taken by the cell with the command to start, which comes after this function: the old factory makes no actor any more.
                known.core().set_factory(Box::new(service.into_factory()));
                known
            }
            None => self.cells.add(service, self.state, now())?,
        };
        self.given.services.insert(service.token());
        Ok(service)
    }

    /// Has a function called when the supervisor ends, whatever ends it, after its services and in reverse order of these calls.
    ///
    /// It is called if the start fails, if the rest of the start function fails or panics, and on every stop. A panic in it is listed in
    /// the [`ShutdownReport`](crate::ShutdownReport). It runs on the supervisor's arbiter and should be quick.
    pub fn on_cleanup(&mut self, cleanup: impl FnOnce() + Send + 'static) {
        let cleanup: Box<dyn FnOnce() + Send> = Box::new(cleanup);
        self.given.cleanups.push(UserValue::new(cleanup));
    }

    /// Begins the run of a scope with the start that the services are added for.
    pub(crate) fn open_scope(&mut self) -> Option<Arc<ScopeRun>> {
        let owner = &**self.cells.owner()?;
        let ending = self.state.next_ending();
        Some(self.scope.open(owner, self.cells.parent(), ending))
    }

    /// The service that the start before had by this name, if it is an `A`; another one is forgotten.
    fn given_before<A>(&mut self, name: &str) -> Option<ServiceRef<A>>
    where
        A: Actor,
    {
        let token = self.state.named(name)?;
        // A name that is taken by a service of this very start, or by one that was added by hand, is a duplicate: `Cells::add` says so.
        if !self.given.leftover.remove(&token) {
            return None;
        }
        self.state.given_again();
        let link = self.cells.link(token).map(Arc::clone)?;
        let known = downcast(link).ok().and_then(ServiceRef::from_link);
        if known.is_none() {
            let reason = self.state.last_exit(token);
            self.state.forget(token, now());
            // At once, and not by the effect of `forget`: that is carried out after the next service was added, perhaps to the same slot,
            // and would find a link with another token there.
            self.cells.release(token, reason);
        }
        known
    }
}

impl fmt::Debug for OnStart<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnStart")
            .field("supervisor", self.state.path())
            .finish_non_exhaustive()
    }
}

/// A start function. A mutex because a spec is cloned and shared; it is called on the supervisor's turn only.
pub(super) type StartFn =
    Arc<Mutex<dyn FnMut(&mut OnStart<'_>) -> Result<(), ServiceError> + Send>>;

/// The start function of a supervisor, and what its present incarnation was given by it.
pub(super) struct Starter {
    function: Option<StartFn>,
    given: Given,
}

impl Starter {
    pub(super) fn new(function: Option<StartFn>) -> Self {
        Self {
            function,
            given: Given::default(),
        }
    }

    /// Calls the start function, if there is one.
    pub(super) fn call(
        &mut self,
        state: &mut SupervisorState,
        cells: &mut Cells,
        scope: &mut CurrentRun,
        now: Instant,
    ) -> Result<(), ExitReason> {
        // Most supervisors have none, and their services are those that were added.
        let Some(function) = &self.function else {
            return Ok(());
        };
        let given = &mut self.given;
        // Added to what is left, and does not replace it: a function that failed has not come to all of them.
        given.leftover.extend(mem::take(&mut given.services));
        // Some of them may have been removed since.
        let leftover = given.leftover.iter();
        let present = leftover.filter(|token| state.service_path(**token).is_some());
        state.set_leftover(present.count());
        let outcome = guard_service(|| {
            // Poisoned if it panicked in an earlier start: it is called again all the same, as a factory is.
            let mut function = function.lock().unwrap_or_else(PoisonError::into_inner);
            function(&mut OnStart {
                state,
                cells,
                scope,
                given,
            })
        });
        state.set_leftover(0);
        match outcome {
            Err(panic) => Err(panic),
            Ok(Err(error)) => Err(ExitReason::Failed(error)),
            Ok(Ok(())) => {
                // Before the services are started, so that their names are free and nobody waits for them as a requirement.
                for token in mem::take(&mut self.given.leftover) {
                    state.forget(token, now);
                }
                Ok(())
            }
        }
    }

    /// Takes the latest clean-up that was not called yet.
    pub(super) fn next_cleanup(&mut self) -> Option<impl FnOnce()> {
        self.given.cleanups.pop().map(UserValue::into_inner)
    }
}

/// What an incarnation was given by the start function.
#[derive(Default)]
struct Given {
    /// The services of the latest start.
    services: HashSet<ServiceToken>,
    /// Those of the start before that have not been added again yet.
    leftover: HashSet<ServiceToken>,
    /// In the order in which they were given.
    cleanups: Vec<UserValue<Box<dyn FnOnce() + Send>>>,
}
