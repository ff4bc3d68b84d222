//! Supervision trees for actix actors.

mod event;
mod observe;
mod policy;
mod registry;
mod service;
mod state;
mod supervisor;
mod token;

pub use crate::{
    event::{Blocked, Event, EventKind, Restarting},
    observe::Events,
    policy::{
        AutoShutdown, Backoff, ExitReason, KillCause, OnLimit, Readiness, RestartLimit,
        RestartType, ServiceError, Shutdown, SpecError, Strategy, Verdict,
    },
    registry::{LookupError, RegistryActor, ServiceKey, ServiceSummary},
    service::{Placement, ServiceContext, ServiceRef, ServiceSpec, StartContext, StartError},
    state::{
        Counts, RemoveError, ResetError, RestartError, ServiceState, ShutdownReport, StopError,
        UnstoppedService,
    },
    supervisor::{
        AddError, Deferred, JoinError, ReconfigureError, Report, ServiceReport, ShutdownError,
        SupervisorActor, SupervisorGone, SupervisorRef, SupervisorSpec, message,
    },
    token::ServiceToken,
};
