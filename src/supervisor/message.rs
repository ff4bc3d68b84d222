//! The messages of a supervisor, and of the registry of its tree.
//!
//! Each does what the method of [`SupervisorRef`](crate::SupervisorRef) with the same name does. Any actix code can send them to
//! an `Addr<SupervisorActor>`, or through a [`Recipient`](actix::Recipient). [`Lookup`], [`WhenReady`], [`Services`] and [`ServicesOf`] are for
//! the [registry](crate::SupervisorRef::registry), where names are those of the root's services; [`Services`] is for both.
//!
//! Unlike one to an actor of the user's, a message to a supervisor is handled once it was sent, whether or not its caller still waits for the
//! answer; and the mailbox of a supervisor takes any number of them. One that is down until somebody starts it again refuses them: their
//! senders get [`MailboxError::Closed`](actix::MailboxError).
//!
//! # Examples
//!
//! ```
//! use actix::prelude::*;
//! use resurgam::{ServiceContext, ServiceSpec, SupervisorActor, message};
//!
//! struct Echo;
//!
//! impl Actor for Echo {
//!     type Context = ServiceContext<Self>;
//! }
//!
//! # #[actix::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let root = SupervisorActor::with_defaults("root").start().await?;
//! let echo = root
//!     .addr()
//!     .send(message::Add::new(ServiceSpec::new("echo", || Echo)))
//!     .await??;
//! let remove: Recipient<message::Remove> = root.addr().clone().recipient();
//! remove.send(message::Remove::new("echo")).await??;
//! # root.shutdown().await?;
//! # Ok(())
//! # }
//! ```

use std::{sync::Arc, time::Duration};

use actix::{Actor, Message};

use super::{report, spec::SupervisorSpec};
pub use crate::registry::request::{Lookup, Services, ServicesOf, WhenReady};
use crate::{
    policy::{ExitReason, SpecError},
    service::{ServiceRef, ServiceSpec, StartError},
    state::{
        AddError, Counts, RemoveError, ResetError, RestartError, ShutdownReport, StopBy, StopError,
    },
    token::ServiceKey,
    tree::ShutdownError,
};

/// Who has asked for an operation, if that was said.
pub(super) type Asker = Option<Arc<str>>;

/// A message that may say who asks.
macro_rules! said_by {
    () => {
        /// Says who asks: [`EventKind::Requested`](crate::EventKind::Requested) tells it.
        #[must_use]
        pub fn by(mut self, who: impl Into<Arc<str>>) -> Self {
            self.by = Some(who.into());
            self
        }

        /// Likewise, if somebody is said to ask.
        pub(super) fn asked_by(mut self, asker: &Asker) -> Self {
            self.by.clone_from(asker);
            self
        }
    };
}

/// Adds a service and starts it. Answered at once; a start that fails is retried by policy.
#[derive(Debug)]
pub struct Add<A: Actor> {
    pub(super) service: ServiceSpec<A>,
    pub(super) by: Asker,
}

impl<A: Actor> Add<A> {
    /// A request to add `service`.
    pub fn new(service: ServiceSpec<A>) -> Self {
        Self { service, by: None }
    }

    said_by!();
}

impl<A: Actor> Message for Add<A> {
    type Result = Result<ServiceRef<A>, AddError>;
}

/// Adds a service, starts it, and answers when it is ready or its first start has failed.
#[derive(Debug)]
pub struct AddAndWait<A: Actor> {
    pub(super) service: ServiceSpec<A>,
    pub(super) by: Asker,
}

impl<A: Actor> AddAndWait<A> {
    /// A request to add `service` and to wait for it.
    pub fn new(service: ServiceSpec<A>) -> Self {
        Self { service, by: None }
    }

    said_by!();
}

impl<A: Actor> Message for AddAndWait<A> {
    type Result = Result<ServiceRef<A>, StartError>;
}

macro_rules! on_service {
    ($(#[$doc:meta])* $name:ident -> $result:ty) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name {
            pub(super) service: ServiceKey,
            pub(super) by: Asker,
        }

        impl $name {
            /// A request about the service that this names.
            pub fn new(service: impl Into<ServiceKey>) -> Self {
                let service = service.into();
                Self { service, by: None }
            }

            said_by!();
        }

        impl Message for $name {
            type Result = $result;
        }
    };
}

on_service! {
    /// Stops a service and forgets it. Answered when it has ended, with how it ended.
    Remove -> Result<ExitReason, RemoveError>
}
on_service! {
    /// Clears the failures of a service, and starts it if it had given up or was waiting.
    Reset -> Result<(), ResetError>
}
on_service! {
    /// Starts a service that is down, or stops and starts one that runs. Answered when it is ready.
    Restart -> Result<(), RestartError>
}
on_service! {
    /// Stops a service and keeps it. Answered when it has ended.
    Stop -> Result<(), StopError>
}

/// Counts the services.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a message without fields")]
pub struct Count;

impl Count {
    /// A request.
    pub const fn new() -> Self {
        Self
    }
}

impl Message for Count {
    type Result = Counts;
}

/// Changes the spec of a running supervisor. A refused change leaves everything as it was.
#[derive(Clone, Debug)]
pub struct Reconfigure {
    pub(super) spec: SupervisorSpec,
    pub(super) by: Asker,
}

impl Reconfigure {
    /// A request to go by `spec` from now on.
    pub const fn new(spec: SupervisorSpec) -> Self {
        Self { spec, by: None }
    }

    said_by!();
}

impl Message for Reconfigure {
    type Result = Result<(), SpecError>;
}

/// Takes a picture of the supervisor and everything below it.
///
/// A supervisor whose own thread is blocked does not read it: [`SupervisorRef::report`](crate::SupervisorRef::report) does without.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a message without fields")]
pub struct Report;

impl Report {
    /// A request.
    pub const fn new() -> Self {
        Self
    }
}

impl Message for Report {
    type Result = report::Report;
}

/// Stops all services, in reverse start order, and the supervisor.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Shutdown {
    pub(super) within: Option<Duration>,
    /// The same, from the time when somebody began to wait.
    pub(super) by: Option<StopBy>,
}

impl Shutdown {
    /// Each service gets its own stop timeout.
    pub fn new() -> Self {
        Self::default()
    }

    /// The whole stop takes at most `limit`.
    pub fn within(limit: Duration) -> Self {
        Self {
            within: Some(limit),
            by: None,
        }
    }
}

impl Message for Shutdown {
    type Result = Result<ShutdownReport, ShutdownError>;
}
