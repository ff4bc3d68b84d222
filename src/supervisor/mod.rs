//! Runs services: carries out what the state decides, with cells, timers and kills.
//!
//! A supervisor is a service like any other. Its [`SupervisorActor`] holds no rule: each handler reads the clock, calls one method of
//! the state, and carries out what comes back. It runs no user code but start functions, clean-ups and the closures of its spec, each in a
//! guard, and waits for nobody: what takes time comes back as a notice.
//!
//! # Invariants
//!
//! 1. Every input to the state is followed by the carrying out of its effects, in the same turn and in their order.
//! 2. What a supervisor keeps outlives its incarnations, and so do the addresses below it.
//! 3. Nothing here imports what uses it: the parts do not know the core, the core not the messages' handlers, and `tree` none of these.
//!
//! | file | holds |
//! |-|-|
//! | `actor` | the actor and its core, which composes the parts and carries out effects |
//! | `cells`, `answers`, `on_start`, `driver`, `ending`, `scope_run` | the parts: each owns its fields, and knows nothing of the core |
//! | `incarnation`, `idle`, `handler` | what the actor is told: by its context and its cells, also between two incarnations, and by users |
//! | `root`, `nested` | how a supervisor is started, as a root or as a service |
//! | `upward`, `reference`, `shutting_down`, `program` | the way to a supervisor, from below and from outside |
//! | `defaults`, `spec`, `message`, `report`, `error` | what users say and get |
//! | `clock`, `random` | what a decision needs and the state does not make: the present, and jitter |

mod actor;
mod answers;
mod carried;
mod cells;
mod clock;
mod defaults;
mod driver;
mod elsewhere;
mod ending;
mod error;
mod from_within;
mod handler;
mod hands;
mod idle;
mod incarnation;
pub mod message;
mod nested;
mod on_start;
mod program;
mod random;
mod reference;
mod report;
mod root;
mod scope_run;
mod shutting_down;
mod spec;
mod steward;
mod upward;

pub use self::{
    actor::SupervisorActor,
    defaults::ServiceDefaults,
    error::{ReconfigureError, ScopeError},
    on_start::OnStart,
    reference::SupervisorRef,
    report::{Report, ServiceReport},
    spec::SupervisorSpec,
};
pub(crate) use self::{
    clock::now,
    hands::{Awaiting, Hands, Receiver, Steward},
    scope_run::{AddMember, ScopeRun, ScopeState},
    steward::{Awaited, News},
    upward::Upward,
};
