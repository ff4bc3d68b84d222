//! Services that are built anew for each start of their supervisor.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use actix::Actor;

use super::{clock::now, core::Core};
use crate::{
    policy::{ExitReason, ServiceError},
    service::{ServiceRef, ServiceSpec, downcast, guard},
    state::AddError,
    token::ServiceToken,
};

/// What a [build function](crate::SupervisorSpec::build) adds its services and its clean-up to.
pub struct Build<'a> {
    pub(super) core: &'a mut Core,
}

/// A build function. A mutex because a spec is cloned and shared; it is called on the supervisor's turn only.
pub(crate) type BuildFn = Arc<Mutex<dyn FnMut(&mut Build<'_>) -> Result<(), ServiceError> + Send>>;

/// What the present incarnation of a supervisor was built with.
#[derive(Default)]
pub(super) struct Built {
    /// The services of the latest build.
    services: HashSet<ServiceToken>,
    /// Those of the build before that have not been built again yet.
    leftover: HashSet<ServiceToken>,
    /// In the order in which they were given.
    cleanups: Vec<Box<dyn FnOnce() + Send>>,
}

impl Build<'_> {
    /// Adds a service, after those that were added before.
    ///
    /// A service that the build before had too, by name and type, keeps its token, its address and its queue, and gets the new
    /// factory; its other settings stay as they were.
    ///
    /// # Errors
    ///
    /// As [`SupervisorActor::add`](crate::SupervisorActor::add).
    pub fn add<A>(&mut self, service: ServiceSpec<A>) -> Result<ServiceRef<A>, AddError>
    where
        A: Actor,
    {
        let service = match self.core.built_before(service.name()) {
            Some(known) => {
                known.core().set_factory(Box::new(service.into_factory()));
                known
            }
            None => self.core.add(service)?,
        };
        self.core.built.services.insert(service.token());
        Ok(service)
    }

    /// Has a function called when the supervisor ends, whatever ends it, after its services and in reverse order of these calls.
    ///
    /// It is called if the start fails, if the rest of the build function fails or panics, and on every stop. A panic in it is listed in
    /// the [`ShutdownReport`](crate::ShutdownReport). It runs on the supervisor's arbiter and should be quick.
    pub fn on_cleanup(&mut self, cleanup: impl FnOnce() + Send + 'static) {
        self.core.built.cleanups.push(Box::new(cleanup));
    }
}

impl fmt::Debug for Build<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Build").field(self.core).finish()
    }
}

impl Core {
    /// Calls the build function, if the spec has one.
    pub(super) fn build(&mut self, now: Instant) -> Result<(), ExitReason> {
        let Some(build) = self.build_fn.clone() else {
            return Ok(());
        };
        // Added to what is left: a build that failed has not come to all of them.
        let services = std::mem::take(&mut self.built.services);
        self.built.leftover.extend(services);
        let outcome = guard(|| {
            let mut build = build.lock().unwrap_or_else(PoisonError::into_inner);
            build(&mut Build { core: self })
        });
        match outcome {
            Err(panic) => Err(panic),
            Ok(Err(error)) => Err(ExitReason::Failed(error)),
            Ok(Ok(())) => {
                for token in std::mem::take(&mut self.built.leftover) {
                    self.state.forget(token, now);
                }
                Ok(())
            }
        }
    }

    /// Calls what was given to [`Build::on_cleanup`], and reports what panics.
    pub(super) fn clean_up(&mut self) {
        while let Some(cleanup) = self.built.cleanups.pop() {
            if let Err(panic) = guard(cleanup) {
                let path = Arc::clone(self.state.path());
                self.below.push_failure(path, panic);
            }
        }
    }

    /// The service that the build before had by this name, if it is an `A`; another one is forgotten.
    fn built_before<A>(&mut self, name: &str) -> Option<ServiceRef<A>>
    where
        A: Actor,
    {
        let token = self.state.named(name)?;
        if !self.built.leftover.remove(&token) {
            return None;
        }
        let link = self.link(token).map(Arc::clone)?;
        let known = downcast(link).ok().and_then(ServiceRef::from_link);
        if known.is_none() {
            self.state.forget(token, now());
            // At once, since the next service may be given its slot.
            self.release(token);
        }
        known
    }
}
