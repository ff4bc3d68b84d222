//! Runs services: carries out what the state decides, with cells, timers and kills.
//!
//! A supervisor is a service like any other. Its [`SupervisorActor`] holds no rule: each handler reads the clock, calls one method of
//! the state, and carries out what comes back.

mod build;
mod cells;
mod clock;
mod conclude;
mod core;
mod deferred;
mod driver;
mod error;
mod handler;
pub mod message;
mod program;
mod random;
mod reference;
mod report;
mod root;
mod scope;
mod spec;
mod upward;

use std::{fmt, sync::Arc};

use actix::prelude::*;

pub use self::{
    build::Build,
    deferred::Deferred,
    error::{ReconfigureError, ScopeError},
    reference::SupervisorRef,
    report::{Report, ServiceReport},
    spec::SupervisorSpec,
};
use self::{core::Core, driver::Driver, random::Random};
pub(crate) use self::{
    scope::{AddMember, Life, LifeStage},
    upward::Upward,
};
use crate::{
    policy::{Readiness, ServiceError, Shutdown},
    service::{
        AnyLink, Factory, Making, ServiceContext, ServiceKind, ServiceRef, ServiceSpec,
        StartContext, StartError,
    },
    state::AddError,
};

/// An actor that starts services, and starts them again when they fail.
///
/// Made with [`new`](Self::new), given services with [`add`](Self::add), and started with [`start`](Self::start), or added to another supervisor with
/// [`ServiceSpec::supervisor`]. From then on it is spoken to through a [`SupervisorRef`], or with the messages of
/// [`message`] through its [`Addr`].
///
/// # Examples
///
/// ```
/// use actix::prelude::*;
/// use resurgam::{ServiceContext, ServiceSpec, SupervisorActor, SupervisorSpec};
///
/// #[derive(Default)]
/// struct Worker;
///
/// impl Actor for Worker {
///     type Context = ServiceContext<Self>;
/// }
///
/// # #[actix::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut root = SupervisorActor::new("root", SupervisorSpec::default());
/// let worker = root.add(ServiceSpec::new("worker", Worker::default))?;
/// let root = root.start().await?;
/// assert_eq!(worker.path(), "root/worker");
/// root.shutdown().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SupervisorActor {
    core: Box<Core>,
}

impl SupervisorActor {
    /// A supervisor that is not started yet. Does nothing else.
    pub fn new(name: impl Into<Arc<str>>, spec: SupervisorSpec) -> Self {
        Self {
            core: Box::new(Core::new(name.into(), spec, Random::new())),
        }
    }

    /// A supervisor with the [default](SupervisorSpec) spec.
    pub fn with_defaults(name: impl Into<Arc<str>>) -> Self {
        Self::new(name, SupervisorSpec::default())
    }

    /// The name of the supervisor.
    pub fn name(&self) -> &str {
        self.core.name()
    }

    /// Adds a service to start with. The reference is valid at once: messages wait for the start.
    ///
    /// # Errors
    ///
    /// Those of [`AddError`] that concern the spec and the name.
    pub fn add<A>(&mut self, service: ServiceSpec<A>) -> Result<ServiceRef<A>, AddError>
    where
        A: Actor,
    {
        self.core.add(service)
    }

    /// Hands the state an input, and carries out what it decides.
    fn decide<T>(
        &mut self,
        ctx: &mut ServiceContext<Self>,
        input: impl FnOnce(&mut Core) -> T,
    ) -> T {
        let core = &mut *self.core;
        core.listen();
        let output = input(core);
        core.carry_out(ctx);
        output
    }
}

impl Actor for SupervisorActor {
    type Context = ServiceContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let link = Arc::clone(ctx.link());
        let Some(tree) = Upward::of(link.core().parent())
            .map(Upward::tree)
            .map(Arc::clone)
        else {
            return ctx.stop();
        };
        ctx.spawn(Driver::default());
        self.decide(ctx, |core| core.start_all(&link, &tree, clock::now()));
    }

    fn stopping(&mut self, ctx: &mut Self::Context) -> Running {
        if self.core.ended.is_none() {
            self.decide(ctx, |core| core.state.shutdown(None, clock::now()));
        }
        if self.core.ended.is_some() {
            Running::Stop
        } else {
            ctx.stop_later();
            Running::Continue
        }
    }

    fn stopped(&mut self, ctx: &mut Self::Context) {
        if let Some((ended, below)) = self.core.take_ended() {
            let (life, error) = self.core.end_of_scope(&ended);
            let report = conclude::conclude(ctx, ended, below, error.as_ref());
            self.core.tell_end(&report);
            if let Some(life) = life {
                life.end(error.map_or(Ok(()), Err));
            }
        }
    }
}

impl fmt::Display for SupervisorActor {
    /// The name of the supervisor.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ServiceSpec<SupervisorActor> {
    /// A supervisor as a service of another one.
    ///
    /// It is ready when all its services are, stops them all when it is stopped ([`Shutdown::Infinity`] by default), and keeps
    /// them, with their addresses, when it is restarted itself.
    pub fn supervisor(supervisor: SupervisorActor) -> Self {
        let name = Arc::clone(supervisor.core.name());
        let factory = SupervisorFactory {
            refused: supervisor.core.validate().err(),
            core: Some(supervisor.core),
        };
        Self::with_factory(name, Box::new(factory))
            .with_kind(ServiceKind::Supervisor)
            .readiness(Readiness::Explicit)
            .shutdown(Shutdown::Infinity)
    }
}

/// The factory of a supervisor below another one: keeps the core between two incarnations.
struct SupervisorFactory {
    /// What is wrong with the spec. Such a supervisor fails at each start.
    refused: Option<AddError>,
    /// `None` while an incarnation has it, and after a panic of [`Core::leave`].
    core: Option<Box<Core>>,
}

impl Factory<SupervisorActor> for SupervisorFactory {
    fn make(&mut self, _: StartContext) -> Making<SupervisorActor> {
        let core = match &self.refused {
            Some(error) => Err(StartError::Refused(error.clone())),
            None => self.core.take().ok_or(StartError::SupervisorGone),
        };
        let actor = core.map(|core| SupervisorActor { core });
        Making::Done(actor.map_err(ServiceError::new))
    }

    fn take_back(&mut self, SupervisorActor { mut core }: SupervisorActor) {
        core.leave();
        self.core = Some(core);
    }
}
